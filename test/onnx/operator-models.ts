/** A small model for every operator that is read, right as it is: what tests make wrong. */
import type { Bytes } from '../../src/onnx/encode.ts';
import { bytesOf, floats, input, integers, model, node, opset, output, tensorFields } from './making.ts';
import type { AttributeValue } from './making.ts';
import { messageField } from '../../src/onnx/encode.ts';

export interface OperatorCase {
  readonly operator: string;
  readonly inputs: readonly string[];
  readonly outputs?: readonly string[];
  readonly attributes?: Readonly<Record<string, AttributeValue>>;
  readonly initializers?: readonly Bytes[];
  /** Of x. Default ['n', 4, 6, 6]. */
  readonly sides?: readonly (number | string)[];
  readonly domain?: string;
  readonly version?: number;
  /** Only computed: a value would be too much. */
  readonly computed?: boolean;
  /** Nodes in front. */
  readonly before?: readonly Bytes[];
}

const bytes = (name: string, values: readonly number[], dims = [values.length], type = 2): Bytes =>
  messageField(5, ...tensorFields(name, dims, type, Uint8Array.from(values)));

const one = (operator: string, attributes: OperatorCase['attributes'] = {}): OperatorCase => ({
  operator,
  inputs: ['x'],
  attributes,
});
const two = (operator: string): OperatorCase => ({ operator, inputs: ['x', 'c'], initializers: [floats('c', [4, 1, 1])] });
/** Of constants: two vectors of whole numbers, whose result gives a shape away. */
const whole = (operator: string, attributes: OperatorCase['attributes'] = {}): OperatorCase => ({
  operator,
  inputs: ['a', 'b'],
  attributes,
  computed: true,
  initializers: [integers('a', [6, 4]), integers('b', [3, 2])],
});
const weight = [floats('w', [2, 4, 3, 3]), floats('b', [2])];
const window = { kernel_shape: [2, 3], strides: [2, 1], pads: [0, 1, 0, 1], ceil_mode: 1, auto_pad: 'NOTSET' };

export const OPERATOR_CASES: readonly OperatorCase[] = [
  ...['Add', 'Sub', 'Mul', 'Div', 'Pow', 'Min', 'Max', 'Sum'].map(two),
  ...['Equal', 'Greater', 'GreaterOrEqual', 'Less', 'LessOrEqual', 'And', 'Or', 'Mod'].map((operator) => whole(operator)),
  { ...whole('Where'), inputs: ['condition', 'a', 'b'], initializers: [bytes('condition', [1, 0], [2], 9), integers('a', [6, 4]), integers('b', [3, 2])] },
  { operator: 'Conv', inputs: ['x', 'w', 'b'], initializers: weight, attributes: { kernel_shape: [3, 3], strides: [1, 2], pads: [1, 1, 1, 1], dilations: [1, 1], group: 1, auto_pad: 'NOTSET' } },
  { operator: 'ConvTranspose', inputs: ['x', 'w', 'b'], initializers: [floats('w', [4, 2, 3, 3]), floats('b', [2])], attributes: { strides: [2, 2], pads: [1, 1, 1, 1], output_padding: [1, 1], dilations: [1, 1], group: 1, kernel_shape: [3, 3], auto_pad: 'NOTSET' } },
  { operator: 'FusedConv', domain: 'com.microsoft', inputs: ['x', 'w', 'b'], initializers: weight, attributes: { kernel_shape: [3, 3], activation: 'LeakyRelu', activation_params: { floats: [0.25] } } },
  { operator: 'Gemm', sides: ['n', 4], inputs: ['x', 'w', 'b'], initializers: [floats('w', [2, 4]), floats('b', [2])], attributes: { transB: 1, alpha: { float: 0.5 }, beta: { float: 2 }, transA: 0 } },
  { operator: 'FusedGemm', domain: 'com.microsoft', sides: ['n', 4], inputs: ['x', 'w', 'b'], initializers: [floats('w', [2, 4]), floats('b', [2])], attributes: { transB: 1, activation: 'Relu' } },
  { operator: 'MatMul', inputs: ['x', 'w'], initializers: [floats('w', [6, 2])] },
  one('MaxPool', { ...window, dilations: [1, 1], storage_order: 0 }),
  one('AveragePool', { ...window, count_include_pad: 1 }),
  one('GlobalAveragePool'),
  one('GlobalMaxPool'),
  { operator: 'BatchNormalization', inputs: ['x', 's', 'b', 'm', 'v'], initializers: [floats('s', [4]), floats('b', [4]), floats('m', [4]), floats('v', [4], [1, 2, 3, 4])], attributes: { epsilon: { float: 1e-5 }, momentum: { float: 0.9 }, training_mode: 0 } },
  { operator: 'InstanceNormalization', inputs: ['x', 's', 'b'], initializers: [floats('s', [4]), floats('b', [4])], attributes: { epsilon: { float: 1e-5 } } },
  { operator: 'GroupNormalization', version: 21, inputs: ['x', 's', 'b'], initializers: [floats('s', [4]), floats('b', [4])], attributes: { num_groups: 2, epsilon: { float: 1e-5 } } },
  { operator: 'LayerNormalization', inputs: ['x', 's', 'b'], initializers: [floats('s', [6]), floats('b', [6])], attributes: { axis: -1, epsilon: { float: 1e-5 } } },
  one('Softmax', { axis: 1 }),
  { ...one('LogSoftmax', { axis: 1 }), version: 11 },
  ...['Relu', 'Sigmoid', 'HardSwish', 'Tanh', 'Erf', 'Exp', 'Log', 'Sqrt', 'Softplus', 'Abs', 'Neg', 'Reciprocal', 'Round', 'Identity'].map((operator) => one(operator)),
  one('LeakyRelu', { alpha: { float: 0.1 } }),
  { operator: 'PRelu', inputs: ['x', 's'], initializers: [floats('s', [4, 1, 1])] },
  one('Elu', { alpha: { float: 1 } }),
  { operator: 'Clip', inputs: ['x', 'low', 'high'], initializers: [floats('low', [], [0]), floats('high', [], [6])] },
  { ...one('Gelu', { approximate: 'tanh' }), version: 20 },
  one('HardSigmoid', { alpha: { float: 0.2 }, beta: { float: 0.5 } }),
  ...['Floor', 'Ceil'].map((operator): OperatorCase => ({ operator, inputs: ['a'], computed: true, initializers: [floats('a', [2], [1.5, 2.5])] })),
  { operator: 'Not', inputs: ['a'], computed: true, initializers: [bytes('a', [1, 0], [2], 9)] },
  { operator: 'Reshape', inputs: ['x', 's'], initializers: [integers('s', [0, -1, 6])], attributes: { allowzero: 0 } },
  one('Flatten', { axis: 1 }),
  { operator: 'Squeeze', sides: ['n', 4, 1, 6], inputs: ['x', 'a'], initializers: [integers('a', [2])] },
  { operator: 'Unsqueeze', inputs: ['x', 'a'], initializers: [integers('a', [1, -1])] },
  one('Transpose', { perm: [0, 2, 3, 1] }),
  one('DepthToSpace', { blocksize: 2, mode: 'CRD' }),
  one('SpaceToDepth', { blocksize: 2 }),
  { operator: 'Slice', inputs: ['x', 's', 'e', 'a', 'p'], initializers: [integers('s', [1]), integers('e', [5]), integers('a', [2]), integers('p', [2])] },
  { operator: 'Gather', inputs: ['x', 'i'], initializers: [integers('i', [2, 0])], attributes: { axis: 1 } },
  { operator: 'Concat', inputs: ['x', 'x'], attributes: { axis: 1 } },
  { operator: 'Split', inputs: ['x', 's'], outputs: ['y', 'z'], initializers: [integers('s', [1, 3])], attributes: { axis: 1 } },
  { ...one('Split', { axis: 1, num_outputs: 2 }), outputs: ['y', 'z'], version: 18 },
  { operator: 'Expand', sides: ['n', 4, 1, 6], inputs: ['x', 's'], initializers: [integers('s', [1, 4, 3, 6])] },
  { operator: 'Tile', inputs: ['x', 't'], initializers: [integers('t', [1, 2, 1, 1])] },
  { operator: 'Pad', inputs: ['x', 'p', 'v'], initializers: [integers('p', [0, 0, 1, 1, 0, 0, 1, 1]), floats('v', [], [0])], attributes: { mode: 'constant' } },
  { ...one('Pad', { pads: [0, 0, 1, 1, 0, 0, 1, 1], mode: 'reflect', value: { float: 0 } }), version: 10 },
  ...['ReduceMean', 'ReduceSum', 'ReduceMax', 'ReduceMin'].map((operator) => ({ ...one(operator, { axes: [2], keepdims: 1 }), version: 12 })),
  { operator: 'ReduceProd', inputs: ['a'], computed: true, initializers: [integers('a', [3, 2])], attributes: { keepdims: 1 } },
  { operator: 'ReduceMean', version: 18, inputs: ['x', 'a'], initializers: [integers('a', [2, 3])], attributes: { keepdims: 0, noop_with_empty_axes: 0 } },
  one('ArgMax', { axis: 1, keepdims: 0, select_last_index: 0 }),
  { operator: 'Resize', inputs: ['x', '', 's'], initializers: [floats('s', [4], [1, 1, 2, 2])], attributes: { mode: 'linear', coordinate_transformation_mode: 'half_pixel', cubic_coeff_a: { float: -0.75 }, exclude_outside: 0, extrapolation_value: { float: 0 }, nearest_mode: 'floor' } },
  { operator: 'Resize', version: 18, inputs: ['x', '', '', 's'], initializers: [integers('s', [3, 9])], attributes: { mode: 'nearest', axes: [2, 3], antialias: 0, keep_aspect_ratio_policy: 'stretch' } },
  { operator: 'Upsample', version: 9, inputs: ['x', 's'], initializers: [floats('s', [4], [1, 1, 2, 2])], attributes: { mode: 'nearest' } },
  { operator: 'Shape', inputs: ['a'], computed: true, initializers: [floats('a', [3, 2])], attributes: { start: 0, end: 2 } },
  { operator: 'Size', inputs: ['a'], computed: true, initializers: [floats('a', [3, 2])] },
  { operator: 'Constant', inputs: [], computed: true, attributes: { value_ints: [4, 9] } },
  { operator: 'ConstantOfShape', inputs: ['a'], computed: true, initializers: [integers('a', [3, 2])], attributes: { value: { field: messageField(5, ...tensorFields('v', [1], 7, bytesOf(BigInt64Array.of(2n)))) } } },
  { operator: 'Range', inputs: ['a', 'b', 'd'], computed: true, initializers: [integers('a', [0], []), integers('b', [6], []), integers('d', [2], [])] },
  { operator: 'Cast', inputs: ['a'], computed: true, initializers: [floats('a', [2])], attributes: { to: 7 } },
  one('Cast', { to: 1 }),
  one('Dropout', { ratio: { float: 0.5 } }),
  { operator: 'QuantizeLinear', inputs: ['x', 's', 'z'], outputs: ['q'], initializers: [floats('s', [], [0.1]), bytes('z', [128], [])], attributes: { axis: 1 } },
  { operator: 'DequantizeLinear', inputs: ['a', 's', 'z'], computed: true, initializers: [bytes('a', [1, 2, 3, 4], [2, 2]), floats('s', [2], [0.1, 0.2]), bytes('z', [1, 2])], attributes: { axis: 1 } },
  { operator: 'QLinearConv', inputs: ['q', 's', 'z', 'w', 'ws', 'wz', 's', 'z'], before: [node('QuantizeLinear', ['x', 's', 'z'], ['q'])], initializers: [floats('s', [], [0.1]), bytes('z', [128], []), bytes('w', Array.from({ length: 72 }, (_, i) => i), [2, 4, 3, 3]), floats('ws', [], [0.1]), bytes('wz', [30], [])], attributes: { kernel_shape: [3, 3], pads: [1, 1, 1, 1], strides: [1, 1], dilations: [1, 1], group: 1 } },
];

/** The model of a case. What is only computed is cast to floats and joins x, so that it is needed. */
export function modelOf(given: OperatorCase): Uint8Array<ArrayBuffer> {
  const { operator, inputs, outputs = ['y'], attributes = {}, initializers = [], sides = ['n', 4, 6, 6], domain, version = 17 } = given;
  const isComputed = given.computed === true;
  const own = node(operator, inputs, isComputed ? ['computed'] : outputs, { name: `the ${operator}`, attributes, ...(domain === undefined ? {} : { domain }) });
  const behind = isComputed
    ? [
        node('Cast', ['computed'], ['numbers'], { attributes: { to: 1 } }),
        node('ReduceMean', ['numbers'], ['number'], { attributes: { keepdims: 0 } }),
        node('Add', ['x', 'number'], ['y']),
      ]
    : outputs[0] === 'q'
      ? [node('DequantizeLinear', ['q', 's', 'z'], ['y'])]
      : operator === 'QLinearConv'
        ? [node('DequantizeLinear', ['y', 's', 'z'], ['out'])]
        : [];
  const yielded = outputs[0] === 'q' ? ['y'] : operator === 'QLinearConv' ? ['out'] : outputs;
  return model(
    [input('x', sides), ...yielded.map(output), ...initializers, ...(given.before ?? []), own, ...behind],
    [opset(version), ...(domain === undefined ? [] : [opset(1, domain)])],
  );
}

/** How a case is called. */
export const titleOf = ({ operator, version = 17 }: OperatorCase): string => `${operator} (opset ${version})`;
