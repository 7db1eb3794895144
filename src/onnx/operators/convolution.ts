/** Convolutions and their transposes, of one, two and three axes. */
import { permuted, reshaped } from '../arrays.ts';
import type { Building, Parameter, Value } from '../building.ts';
import type { NodeView } from '../node.ts';
import type { OnnxTensor } from '../tensor.ts';
import { required, reshapedTo, sampleOf, withBatch } from './define.ts';
import type { OnnxOperator } from './define.ts';
import { NO_AXIS, squareWindow, windowAxes } from './windows.ts';

/** The weight, which must be known: [O, I / groups, ...]. */
function weightOf(node: NodeView, graph: Building, i = 1): OnnxTensor {
  const weight = required(node, i, graph.constant(i));
  if (weight.shape.length < 3) node.fail('SHAPE', `its weight: expected 3 to 5 axes, got [${weight.shape.join(', ')}]`);
  return weight;
}

/** A convolution whose weight and bias are there. x: [I, ...sides]. */
export function convolved(
  node: NodeView,
  graph: Building,
  x: Value,
  weight: (shape: readonly number[]) => Parameter,
  shape: readonly number[],
  bias: Parameter | undefined,
): Value {
  const [, ...sides] = x.shape;
  const kernel = shape.slice(2);
  if (sides.length !== kernel.length)
    node.fail(
      'SHAPE',
      `its weight [${shape.join(', ')}] does not fit a value of ${sides.length} axes behind the channels`,
    );
  const axes = windowAxes(node, sides, kernel);
  const groups = node.integer('group', 1);
  if (!(groups >= 1) || x.shape[0] !== groups * shape[1] || shape[0] % groups !== 0)
    node.fail(
      'ATTRIBUTE',
      `group: ${groups} groups of ${shape[1]} channels do not fit ${x.shape[0]} channels to ${shape[0]} filters`,
    );
  if (axes.length === 2) {
    const parameters = { weight: weight(shape), bias };
    return graph.node('conv', { ...squareWindow(axes), groups }, [x], { parameters });
  }
  if (axes.length === 1) {
    const parameters = { weight: weight([shape[0], shape[1], 1, shape[2]]), bias };
    const wide = reshapedTo(graph, x, [x.shape[0], 1, ...sides], 'wide');
    const y = graph.node('conv', { ...squareWindow([NO_AXIS, axes[0]]), groups }, [wide], { parameters });
    return reshapedTo(graph, y, [y.shape[0], y.shape[2]], 'narrow');
  }
  if (axes.length !== 3) return node.fail('UNSUPPORTED', `convolutions over ${axes.length} axes`);
  return graph.node('conv3d', { ...squareWindow(axes), groups }, [x], { parameters: { weight: weight(shape), bias } });
}

const conv: OnnxOperator = {
  build(node, graph) {
    const { shape } = weightOf(node, graph);
    const x = sampleOf(graph, graph.value(0));
    const bias = graph.input(2) && graph.asParameter(2);
    graph.yields(
      0,
      withBatch(
        graph,
        convolved(node, graph, x, (sides) => graph.asParameter(1, sides), shape, bias),
      ),
    );
  },
};

/** An activation behind a fused operator. */
export function fusedActivation(node: NodeView, graph: Building, x: Value): Value {
  const kinds = {
    '': '',
    Relu: 'relu',
    LeakyRelu: 'leakyRelu',
    Sigmoid: 'sigmoid',
    Tanh: 'tanh',
    HardSigmoid: 'hardSigmoid',
    Clip: 'clip',
  };
  const name = node.text('activation', Object.keys(kinds) as (keyof typeof kinds)[], '');
  const given = node.floats('activation_params') ?? [
    node.float('activation_alpha', NaN),
    node.float('activation_beta', NaN),
  ];
  node.ignore('activation_gamma');
  if (name === '') return x;
  const names: Readonly<Record<string, readonly [string, number][]>> = {
    LeakyRelu: [['slope', 0.01]],
    HardSigmoid: [
      ['alpha', 0.2],
      ['beta', 0.5],
    ],
    Clip: [
      ['minimum', -3.4e38],
      ['maximum', 3.4e38],
    ],
  };
  const attributes = Object.fromEntries(
    (names[name] ?? []).map(([key, fallback], i) => [key, Number.isNaN(given[i] ?? NaN) ? fallback : given[i]]),
  );
  return graph.node(kinds[name], attributes, [x], { part: 'activation' });
}

const fusedConv: OnnxOperator = {
  build(node, graph) {
    const { shape } = weightOf(node, graph);
    const x = sampleOf(graph, graph.value(0));
    const bias = graph.input(2) && graph.asParameter(2);
    let y = convolved(node, graph, x, (sides) => graph.asParameter(1, sides), shape, bias);
    if (graph.input(3)) y = graph.node('add', {}, [y, sampleOf(graph, graph.value(3))], { part: 'sum' });
    graph.yields(0, withBatch(graph, fusedActivation(node, graph, y)));
  },
};

/** From [I, O / groups, ...taps], as ONNX stores it, to [O, I / groups, ...taps]. */
export function turned(weight: OnnxTensor, groups: number): OnnxTensor {
  const [inputs, outputs, ...taps] = weight.shape;
  if (groups === 1) return permuted(weight, [1, 0, ...taps.map((_, i) => i + 2)]);
  const order = [2, 1, ...taps.map((_, i) => i + 3)];
  const grouped = permuted(reshaped(weight, [groups, inputs / groups, outputs, ...taps]), [0, ...order]);
  return reshaped(grouped, [outputs * groups, inputs / groups, ...taps]);
}

interface TransposedAxis {
  readonly stride: number;
  readonly dilation: number;
  readonly before: number;
  readonly after: number;
  readonly extra: number;
}

const AUTOMATIC = ['NOTSET', 'SAME_UPPER', 'SAME_LOWER', 'VALID'] as const;

/** Padding, stride and what is added to the side, along each axis. */
function transposedAxes(node: NodeView, sides: readonly number[], kernel: readonly number[]): TransposedAxis[] {
  const rank = sides.length;
  const list = (name: string, fallback: number, count = rank): readonly number[] => {
    const found = node.integers(name) ?? new Array<number>(count).fill(fallback);
    if (found.length !== count) node.fail('ATTRIBUTE', `${name}: expected ${count} numbers, got ${found.length}`);
    return found;
  };
  const given = node.integers('kernel_shape') ?? kernel;
  if (given.length !== rank || given.some((side, axis) => side !== kernel[axis]))
    node.fail('ATTRIBUTE', `kernel_shape: [${given.join(', ')}] is not that of the weight, [${kernel.join(', ')}]`);
  const [strides, dilations] = [list('strides', 1), list('dilations', 1)];
  const pads = list('pads', 0, 2 * rank);
  const extras = list('output_padding', 0);
  const wanted = node.integers('output_shape')?.slice(-rank);
  const automatic = node.text('auto_pad', AUTOMATIC, 'NOTSET');
  return sides.map((side, axis) => {
    const [stride, dilation] = [strides[axis], dilations[axis]];
    if (!(stride >= 1 && dilation >= 1)) node.fail('ATTRIBUTE', `strides, dilations: expected numbers from 1`);
    const extra = extras[axis];
    const full = stride * (side - 1) + extra + dilation * (kernel[axis] - 1) + 1;
    const same = automatic === 'SAME_UPPER' || automatic === 'SAME_LOWER';
    const out = wanted?.[axis] ?? (same ? side * stride : undefined);
    if (out === undefined) {
      const [before, after] = automatic === 'VALID' ? [0, 0] : [pads[axis], pads[axis + rank]];
      return { stride, dilation, before, after, extra };
    }
    const total = full - out;
    // An output that is larger than the whole gets zeros behind.
    if (total < 0) return { stride, dilation, before: 0, after: 0, extra: extra - total };
    const less = Math.floor(total / 2);
    const [before, after] = automatic === 'SAME_UPPER' ? [less, total - less] : [total - less, less];
    return { stride, dilation, before, after, extra };
  });
}

const convTranspose: OnnxOperator = {
  build(node, graph) {
    const stored = weightOf(node, graph);
    const groups = node.integer('group', 1);
    const x = sampleOf(graph, graph.value(0));
    if (groups < 1 || stored.shape[0] % groups !== 0)
      node.fail('ATTRIBUTE', `group: expected a divisor of the ${stored.shape[0]} input channels, got ${groups}`);
    const [, ...sides] = x.shape;
    const kernel = stored.shape.slice(2);
    if (kernel.length !== sides.length)
      node.fail('SHAPE', `its weight [${stored.shape.join(', ')}] does not fit its input`);
    const axes = transposedAxes(node, sides, kernel);
    const name = node.proto.inputs[1];
    node.makes(stored.shape, 'float');
    const filters = turned(stored, groups);
    const { shape } = filters;
    const isLine = axes.length === 1;
    if (axes.length > 2) node.fail('UNSUPPORTED', 'transposed convolutions over three axes are not supported');
    const wideAxes = isLine ? [{ stride: 1, dilation: 1, before: 0, after: 0, extra: 0 }, axes[0]] : axes;
    const weight = graph.ofTensor(name, filters, isLine ? [shape[0], shape[1], 1, shape[2]] : shape);
    const bias = graph.input(2) && graph.asParameter(2);
    const wide = isLine ? reshapedTo(graph, x, [x.shape[0], 1, ...sides], 'wide') : x;
    const attributes = {
      stride: wideAxes.map(({ stride }) => stride),
      padding: [...wideAxes.map(({ before }) => before), ...wideAxes.map(({ after }) => after)],
      dilation: wideAxes.map(({ dilation }) => dilation),
      groups,
      outputPadding: wideAxes.map(({ extra }) => extra),
    };
    const y = graph.node('convTranspose', attributes, [wide], { parameters: { weight, bias } });
    graph.yields(0, withBatch(graph, isLine ? reshapedTo(graph, y, [y.shape[0], y.shape[2]], 'narrow') : y));
  },
};

export const CONVOLUTION: Readonly<Record<string, OnnxOperator>> = {
  Conv: conv,
  ConvTranspose: convTranspose,
  'com.microsoft.FusedConv': fusedConv,
};
