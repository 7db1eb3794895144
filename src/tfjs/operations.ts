/** Operations of TensorFlow by name: what each is made of. Axes are those of the model. */
import { show } from '../base/errors.ts';
import type { Shape } from '../base/tensor.ts';
import { activation } from './activations.ts';
import type { Settings } from './settings.ts';
import {
  batchNormalization,
  clipped,
  convolution,
  dense,
  depthwiseConvolution,
  integerInput,
  onChannelsFirst,
  prelu,
  reduction,
  resized,
  sliced,
  transposed,
  transposedConvolution,
  windowSettings,
} from './steps.ts';
import type { Graph, WindowSteps } from './steps.ts';

/** A node of a graph model. */
export interface Operation {
  readonly settings: Settings;
  readonly inputs: readonly string[];
  /** Dilation by batches of positions around a convolution: what it stands for. */
  readonly around?:
    | { readonly dilations: readonly number[]; readonly padding: readonly number[]; readonly crops: readonly number[] }
    | undefined;
}

/** What it yields: a value, or several. */
export type OperationDefinition = (graph: Graph, operation: Operation) => string | readonly string[];

/** An input that must be there. */
function input(graph: Graph, { inputs }: Operation, i: number): string {
  return inputs[i] ?? graph.fail('GRAPH', `expected input ${i}; it has ${inputs.length}`);
}

/** The same operator of ONNX. */
const same =
  (operator: string): OperationDefinition =>
  (graph, { inputs }) =>
    graph.op(operator, inputs);

const named =
  (name: string): OperationDefinition =>
  (graph, operation) =>
    activation(graph, input(graph, operation, 0), name, 2);

const FORMATS = ['NHWC', 'NCHW', 'NDHWC', 'NCDHW', 'NWC', 'NCW'] as const;
const isLast = ({ settings }: Operation): boolean => {
  const format = upper(settings, 'data_format', FORMATS, 'NHWC');
  return format.endsWith('C');
};

/** A word of an attribute in capitals. */
function upper<const T extends string>(settings: Settings, name: string, known: readonly T[], fallback: T): T {
  const found = known.find((one) => one === settings.text(name)?.toUpperCase());
  return found ?? settings.word(name, known, fallback);
}

/** The numbers for positions out of those for all axes. */
const positions = <T>(list: readonly T[], last: boolean): T[] => (last ? list.slice(1, -1) : list.slice(2));

function windowOf(graph: Graph, operation: Operation, rank: number): WindowSteps {
  const { settings, around } = operation;
  const last = isLast(operation);
  const numbers = (name: string): number[] => {
    const list = settings.list(name);
    if (!list || list.length === 0) return new Array<number>(rank).fill(1);
    if (list.length !== rank + 2) graph.fail('ATTRIBUTE', `${name}: expected ${rank + 2} numbers, got ${list.length}`);
    return positions(list, last);
  };
  const padding = upper(settings, 'padding', ['SAME', 'VALID', 'EXPLICIT'], 'VALID');
  const explicit = settings.list('explicit_paddings') ?? [];
  const window = { strides: numbers('strides'), dilations: numbers('dilations') };
  if (around) {
    if (padding !== 'VALID' || window.strides.some((step) => step !== 1))
      graph.fail('UNSUPPORTED', 'between SpaceToBatchND and BatchToSpaceND it must be VALID and of stride 1');
    return { ...window, dilations: around.dilations, padding: around.padding };
  }
  if (padding !== 'EXPLICIT') return { ...window, padding };
  if (explicit.length !== 2 * (rank + 2))
    graph.fail('ATTRIBUTE', `explicit_paddings: expected ${2 * (rank + 2)} numbers, got ${explicit.length}`);
  const before = positions(
    explicit.filter((_, i) => i % 2 === 0),
    last,
  );
  const after = positions(
    explicit.filter((_, i) => i % 2 === 1),
    last,
  );
  return { ...window, padding: [...before, ...after] };
}

/** What `fused_ops` adds behind: a bias, a function of Keras' name, slopes. */
interface Fused {
  readonly bias?: string | undefined;
  readonly after: (x: string) => string;
}

const FUSED_FUNCTIONS: ReadonlyMap<string, string> = /* @__PURE__ */ new Map([
  ['Relu', 'relu'],
  ['Relu6', 'relu6'],
  ['Elu', 'elu'],
  ['Sigmoid', 'sigmoid'],
  ['Tanh', 'tanh'],
]);

function fusedOf(graph: Graph, operation: Operation): Fused {
  const { settings } = operation;
  const raw = settings.raw('fused_ops') ?? [];
  const names = Array.isArray(raw) ? [...(raw as readonly unknown[])] : [raw];
  let next = 2;
  const bias = names[0] === 'BiasAdd' ? input(graph, operation, next++) : undefined;
  if (bias !== undefined) names.shift();
  const [name] = names;
  if (names.length > 1 || (name !== undefined && typeof name !== 'string'))
    graph.fail('UNSUPPORTED', `fused_ops: expected BiasAdd and a function, got ${show(raw)}`);
  if (name === undefined) return { bias, after: (x) => x };
  if (name === 'Prelu') {
    const alpha = input(graph, operation, next);
    return { bias, after: (x) => prelu(graph, x, alpha) };
  }
  if (name === 'LeakyRelu') {
    const alpha = settings.float('leakyrelu_alpha', 0.2);
    return { bias, after: (x) => graph.op('LeakyRelu', [x], { alpha }) };
  }
  const known = FUSED_FUNCTIONS.get(name as string);
  if (known === undefined) graph.fail('UNSUPPORTED', `fused_ops: ${show(name)} is not supported`);
  return { bias, after: (x) => activation(graph, x, known as string, 2) };
}

const NO_FUSION: Fused = { after: (x) => x };

const conv =
  (rank: number, isDepthwise: boolean, isFused: boolean): OperationDefinition =>
  (graph, operation) => {
    const [x, kernel] = [input(graph, operation, 0), input(graph, operation, 1)];
    const { bias, after } = isFused ? fusedOf(graph, operation) : NO_FUSION;
    const of = { kernel, bias, name: graph.node.name };
    const window = windowOf(graph, operation, rank);
    const last = isLast(operation);
    const y = onChannelsFirst(graph, x, last, (first) => {
      const whole = isDepthwise ? depthwiseConvolution(graph, first, of, window) : grouped(graph, first, of, window);
      return operation.around ? cropped(graph, whole, operation.around.crops) : whole;
    });
    return after(y);
  };

/** Fewer channels in the kernel than in the value: groups. */
function grouped(
  graph: Graph,
  x: string,
  of: { kernel: string; bias?: string | undefined; name: string },
  window: WindowSteps,
): string {
  const groups = graph.sides(x)[0] / ((graph.shape(of.kernel) as Shape).at(-2) ?? 1);
  return convolution(graph, x, { ...of, groups: Number.isInteger(groups) ? groups : 1 }, window);
}

/** Cut off behind BatchToSpaceND, of channels first. */
function cropped(graph: Graph, x: string, crops: readonly number[]): string {
  if (crops.every((count) => count === 0)) return x;
  const sides = graph.sides(x).slice(1);
  const along = sides.map((_, axis) => axis + 2);
  const starts = sides.map((_, axis) => crops[axis]);
  return sliced(graph, x, { starts, ends: sides.map((side, axis) => side - crops[axis + sides.length]), along });
}

/** The gradient of a convolution: its transpose. */
const convTranspose: OperationDefinition = (graph, operation) => {
  const [sizes, kernel, x] = [0, 1, 2].map((i) => input(graph, operation, i));
  const last = isLast(operation);
  const { strides, dilations = [], padding } = windowOf(graph, operation, 2);
  const outs = positions(graph.partly(sizes), last).map(
    (side) => side ?? graph.fail('UNSUPPORTED', 'its output size must be known when the model is read'),
  );
  const of = { kernel, name: graph.node.name };
  return onChannelsFirst(graph, x, last, (first) =>
    transposedConvolution(graph, first, of, { strides, dilations, padding, outs }),
  );
};

const pool =
  (operator: 'MaxPool' | 'AveragePool', rank: number): OperationDefinition =>
  (graph, operation) => {
    const last = isLast(operation);
    const size = positions(operation.settings.list('ksize') ?? [], last);
    if (size.length !== rank) graph.fail('ATTRIBUTE', `ksize: expected ${rank + 2} numbers`);
    const { dilations: _, ...window } = windowOf(graph, operation, rank);
    return onChannelsFirst(graph, input(graph, operation, 0), last, (x) =>
      graph.op(operator, [x], { ...windowSettings(window), kernel_shape: size }),
    );
  };

/** The last two axes exchanged. */
function exchanged(graph: Graph, x: string): string {
  const rank = graph.shape(x).length;
  const perm = Array.from({ length: rank }, (_, axis) => axis);
  [perm[rank - 2], perm[rank - 1]] = [rank - 1, rank - 2];
  return transposed(graph, x, perm, 'exchanged');
}

const matMul =
  (left: string, right: string, isFused: boolean): OperationDefinition =>
  (graph, operation) => {
    const { settings } = operation;
    const [a, b] = [input(graph, operation, 0), input(graph, operation, 1)];
    const { bias, after } = isFused ? fusedOf(graph, operation) : NO_FUSION;
    const [isLeftTurned, isRightTurned] = [settings.flag(left, false), settings.flag(right, false)];
    const x = isLeftTurned ? exchanged(graph, a) : a;
    const isLayer =
      !graph.isConstant(a) && graph.isConstant(b) && graph.shape(b).length === 2 && (!bias || graph.isConstant(bias));
    if (isLayer) return after(dense(graph, x, { kernel: b, bias, name: graph.node.name, isTurned: isRightTurned }));
    const y = graph.op('MatMul', [x, isRightTurned ? exchanged(graph, b) : b]);
    return after(bias === undefined ? y : graph.op('Add', [y, bias]));
  };

const biasAdd: OperationDefinition = (graph, operation) => {
  const [x, bias] = [input(graph, operation, 0), input(graph, operation, 1)];
  const rank = graph.shape(x).length;
  if (isLast(operation) || rank < 3) return graph.op('Add', [x, bias]);
  const sides = [graph.shape(bias)[0] as number, ...new Array<number>(rank - 2).fill(1)];
  return graph.op('Add', [x, graph.op('Reshape', [bias, integerInput(graph, sides)])]);
};

const batchNorm: OperationDefinition = (graph, operation) => {
  const { settings } = operation;
  if (settings.flag('is_training', false))
    graph.fail('UNSUPPORTED', 'is_training: its outputs depend on the other samples of the batch; freeze the model');
  const [x, scale, shift, mean, variance] = [0, 1, 2, 3, 4].map((i) => input(graph, operation, i));
  const axis = isLast(operation) ? graph.shape(x).length - 1 : 1;
  return batchNormalization(graph, x, { scale, shift, mean, variance, epsilon: settings.float('epsilon', 1e-4) }, axis);
};

// Functions of two numbers

/** (x - y)^2. */
const squaredDifference: OperationDefinition = (graph, { inputs }) => {
  const difference = graph.op('Sub', inputs);
  return graph.op('Mul', [difference, difference]);
};

const square: OperationDefinition = (graph, operation) => {
  const x = input(graph, operation, 0);
  return graph.op('Mul', [x, x]);
};

const clip: OperationDefinition = (graph, operation) => {
  const [low, high] = [1, 2].map((i) => {
    const found = graph.known(input(graph, operation, i));
    if (found?.data.length !== 1) return graph.fail('UNSUPPORTED', 'its bounds must be known numbers');
    return Number(found.data[0]);
  });
  return clipped(graph, input(graph, operation, 0), low, high);
};

// Reductions

function axisFrom(graph: Graph, axis: number, rank: number): number {
  const found = axis < 0 ? axis + rank : axis;
  return found >= 0 && found < rank
    ? found
    : graph.fail('ATTRIBUTE', `axis: expected one of ${rank} axes, got ${axis}`);
}

const reduce =
  (operator: string): OperationDefinition =>
  (graph, operation) => {
    const x = input(graph, operation, 0);
    const rank = graph.shape(x).length;
    const over = graph.integers(input(graph, operation, 1), 'its axes').map((axis) => axisFrom(graph, axis, rank));
    const keep = operation.settings.flag('keep_dims', operation.settings.flag('keepdims', false));
    return reduction(
      graph,
      operator,
      x,
      [...new Set(over)].sort((a, b) => a - b),
      keep,
    );
  };

/** One whole number of an input. */
function numberOf(graph: Graph, operation: Operation, i: number, what: string): number {
  const [value] = graph.integers(input(graph, operation, i), what);
  return value ?? graph.fail('ATTRIBUTE', `${what}: expected a number`);
}

const argOf =
  (isLargest: boolean): OperationDefinition =>
  (graph, operation) => {
    const x = input(graph, operation, 0);
    const axis = operation.inputs.length > 1 ? numberOf(graph, operation, 1, 'its axis') : 0;
    return graph.op('ArgMax', [isLargest ? x : graph.op('Neg', [x])], { axis, keepdims: 0 });
  };

// Shapes and parts

const concat =
  (isAxisFirst: boolean): OperationDefinition =>
  (graph, operation) => {
    const { inputs } = operation;
    const at = isAxisFirst ? 0 : inputs.length - 1;
    const axis = numberOf(graph, operation, at, 'its axis');
    return graph.op(
      'Concat',
      inputs.filter((_, i) => i !== at),
      { axis },
    );
  };

const pack: OperationDefinition = (graph, { inputs, settings }) => {
  const axis = settings.integer('axis', 0);
  const rank = graph.shape(inputs[0] ?? graph.fail('GRAPH', 'it has no input')).length + 1;
  const at = axis < 0 ? axis + rank : axis;
  return graph.op(
    'Concat',
    inputs.map((x) => graph.op('Unsqueeze', [x, integerInput(graph, [at])])),
    { axis: at },
  );
};

const MOST_PARTS = 65536;

/** Equal parts along an axis, as many as are said. */
function parts(graph: Graph, x: string, axis: number, count: number): string[] {
  const side = graph.shape(x)[axis];
  if (side === undefined) graph.fail('UNSUPPORTED', 'it parts the batch');
  if (!(count >= 1 && count <= MOST_PARTS) || (side as number) % count !== 0)
    graph.fail('ATTRIBUTE', `${count} parts do not divide side ${side}`);
  if (count === 1) return [x];
  const sizes = integerInput(graph, new Array<number>(count).fill((side as number) / count));
  return graph.ops('Split', [x, sizes], { axis }, count);
}

const split: OperationDefinition = (graph, operation) => {
  const x = input(graph, operation, 1);
  const axis = axisFrom(graph, numberOf(graph, operation, 0, 'its axis'), graph.shape(x).length);
  return parts(graph, x, axis, operation.settings.integer('num_split'));
};

const splitV: OperationDefinition = (graph, operation) => {
  const x = input(graph, operation, 0);
  const axis = axisFrom(graph, numberOf(graph, operation, 2, 'its axis'), graph.shape(x).length);
  const sizes = graph.integers(input(graph, operation, 1), 'its sizes');
  const rest = (graph.shape(x)[axis] ?? 0) - sizes.reduce((sum, size) => sum + Math.max(0, size), 0);
  const full = sizes.map((size) => (size === -1 ? rest : size));
  if (full.length > MOST_PARTS) graph.fail('ATTRIBUTE', `its sizes: more than ${MOST_PARTS}`);
  if (full.length === 1) return x;
  return graph.ops('Split', [x, integerInput(graph, full)], { axis }, full.length);
};

const unpack: OperationDefinition = (graph, operation) => {
  const x = input(graph, operation, 0);
  const axis = axisFrom(graph, operation.settings.integer('axis', 0), graph.shape(x).length);
  const count = operation.settings.integer('num', graph.shape(x)[axis] ?? 0);
  return parts(graph, x, axis, count).map((part) => graph.op('Squeeze', [part, integerInput(graph, [axis])]));
};

/** As good as infinite: behind any side, that of a batch of any size too. */
const END = Number.MAX_SAFE_INTEGER;
const LARGEST_INT32 = 2 ** 31 - 1;

const slice: OperationDefinition = (graph, operation) => {
  const x = input(graph, operation, 0);
  const starts = graph.integers(input(graph, operation, 1), 'where it begins');
  const sizes = graph.integers(input(graph, operation, 2), 'its sizes');
  const ends = starts.map((start, axis) => (sizes[axis] === -1 ? END : start + sizes[axis]));
  return sliced(graph, x, { starts, ends, along: starts.map((_, axis) => axis) });
};

const bit = (mask: number, i: number): boolean => ((mask >> i) & 1) === 1;

const stridedSlice: OperationDefinition = (graph, operation) => {
  const { settings } = operation;
  const x = input(graph, operation, 0);
  const [begin, end, step] = [1, 2, 3].map((i) =>
    graph.integers(input(graph, operation, i), 'where it begins and ends'),
  );
  const mask = (name: string): number => settings.integer(name, 0);
  const [begins, ends, ellipsis, added, shrunk] = [
    mask('begin_mask'), mask('end_mask'), mask('ellipsis_mask'), mask('new_axis_mask'), mask('shrink_axis_mask'),
  ]; // prettier-ignore
  const rank = graph.shape(x).length;
  const spans = { starts: [] as number[], ends: [] as number[], along: [] as number[], steps: [] as number[] };
  const gone: number[] = [];
  /** Sides of 1 that come, by their place in the result. */
  const come: number[] = [];
  let axis = 0;
  let place = 0;
  begin.forEach((start, i) => {
    if (bit(ellipsis, i)) {
      const listed = begin.filter((_, k) => k > i && !bit(added, k)).length;
      place += Math.max(0, rank - listed - axis);
      axis = Math.max(axis, rank - listed);
    } else if (bit(added, i)) come.push(place++);
    else {
      if (axis >= rank) graph.fail('ATTRIBUTE', `it slices more than the ${rank} axes of its input`);
      const by = step[i] ?? 1;
      spans.along.push(axis);
      if (bit(shrunk, i)) {
        gone.push(axis);
        spans.starts.push(start);
        spans.ends.push(start === -1 ? END : start + 1);
        spans.steps.push(1);
      } else {
        spans.starts.push(bit(begins, i) ? (by > 0 ? 0 : END) : start);
        spans.ends.push(bit(ends, i) ? (by > 0 ? END : -END) : end[i] >= LARGEST_INT32 ? END : end[i]);
        spans.steps.push(by);
        place++;
      }
      axis++;
    }
  });
  let y = spans.along.length > 0 ? sliced(graph, x, spans) : x;
  if (gone.length > 0) y = graph.op('Squeeze', [y, integerInput(graph, gone)]);
  return come.length > 0 ? graph.op('Unsqueeze', [y, integerInput(graph, come)]) : y;
};

const squeeze: OperationDefinition = (graph, operation) => {
  const x = input(graph, operation, 0);
  const { settings } = operation;
  const named = settings.list('squeeze_dims') ?? settings.list('axis') ?? [];
  return graph.op('Squeeze', named.length > 0 ? [x, integerInput(graph, named)] : [x]);
};

const expandDims: OperationDefinition = (graph, operation) => {
  const axis = numberOf(graph, operation, 1, 'its axis');
  return graph.op('Unsqueeze', [input(graph, operation, 0), integerInput(graph, [axis])]);
};

const transpose: OperationDefinition = (graph, operation) =>
  graph.op('Transpose', [input(graph, operation, 0)], {
    perm: graph.integers(input(graph, operation, 1), 'its order'),
  });

const gather: OperationDefinition = (graph, operation) => {
  if (operation.settings.integer('batch_dims', 0) !== 0) graph.fail('UNSUPPORTED', 'batch_dims: expected 0');
  const axis = operation.inputs.length > 2 ? numberOf(graph, operation, 2, 'its axis') : 0;
  return graph.op('Gather', [input(graph, operation, 0), input(graph, operation, 1)], { axis });
};

const pad =
  (isMirrored: boolean): OperationDefinition =>
  (graph, operation) => {
    const { inputs, settings } = operation;
    const x = input(graph, operation, 0);
    const pairs = graph.integers(input(graph, operation, 1), 'its paddings');
    const pads = integerInput(graph, [...pairs.filter((_, i) => i % 2 === 0), ...pairs.filter((_, i) => i % 2 === 1)]);
    if (isMirrored) {
      upper(settings, 'mode', ['REFLECT'], 'REFLECT');
      return graph.op('Pad', [x, pads], { mode: 'reflect' });
    }
    return graph.op('Pad', [x, pads, ...(inputs.length > 2 ? [inputs[2]] : [])]);
  };

const fill: OperationDefinition = (graph, operation) =>
  graph.op('Expand', [input(graph, operation, 1), input(graph, operation, 0)]);

const range: OperationDefinition = (graph, { inputs }) => graph.op('Range', inputs);

const rankOf: OperationDefinition = (graph, operation) =>
  graph.op('Squeeze', [integerInput(graph, [graph.shape(input(graph, operation, 0)).length])]);

/** Codes of ONNX: floats, whole numbers of 64 bits, truth values. */
const CASTS: ReadonlyMap<string, number> = /* @__PURE__ */ new Map([
  ['DT_FLOAT', 1],
  ['DT_HALF', 1],
  ['DT_INT32', 7],
  ['DT_INT64', 7],
  ['DT_BOOL', 9],
]);

const cast: OperationDefinition = (graph, operation) => {
  const type = operation.settings.text('DstT') ?? 'DT_FLOAT';
  const to = CASTS.get(type) ?? graph.fail('UNSUPPORTED', `DstT: elements of type ${show(type)}`);
  return graph.op('Cast', [input(graph, operation, 0)], { to });
};

// Images

const resize =
  (mode: 'nearest' | 'bilinear'): OperationDefinition =>
  (graph, operation) => {
    const { settings } = operation;
    const sizes = graph.integers(input(graph, operation, 1), 'its size');
    const isAligned = settings.flag('align_corners', false);
    const isHalf = settings.flag('half_pixel_centers', false);
    const coordinates = isAligned
      ? 'align_corners'
      : isHalf
        ? mode === 'nearest'
          ? 'tf_half_pixel_for_nn'
          : 'half_pixel'
        : 'asymmetric';
    const how = { mode, coordinates, rounding: isAligned ? 'round_prefer_ceil' : 'floor' };
    return onChannelsFirst(graph, input(graph, operation, 0), true, (x) => resized(graph, x, [2, 3], sizes, how));
  };

const blocks =
  (operator: 'DepthToSpace' | 'SpaceToDepth'): OperationDefinition =>
  (graph, operation) =>
    onChannelsFirst(graph, input(graph, operation, 0), isLast(operation), (x) =>
      graph.op(operator, [x], { blocksize: operation.settings.integer('block_size') }),
    );

/** Hands its inputs on. */
const identities: OperationDefinition = (_, { inputs }) => inputs;

/** All operations that are read, by name. */
export const OPERATIONS: ReadonlyMap<string, OperationDefinition> = /* @__PURE__ */ new Map<
  string,
  OperationDefinition
>([
  ['Abs', same('Abs')],
  ['Add', same('Add')],
  ['AddN', same('Sum')],
  ['AddV2', same('Add')],
  ['ArgMax', argOf(true)],
  ['ArgMin', argOf(false)],
  ['AvgPool', pool('AveragePool', 2)],
  ['AvgPool3D', pool('AveragePool', 3)],
  ['BatchMatMul', matMul('adj_x', 'adj_y', false)],
  ['BatchMatMulV2', matMul('adj_x', 'adj_y', false)],
  ['BiasAdd', biasAdd],
  ['BroadcastTo', same('Expand')],
  ['Cast', cast],
  ['Ceil', same('Ceil')],
  ['ClipByValue', clip],
  ['Concat', concat(true)],
  ['ConcatV2', concat(false)],
  ['Conv2D', conv(2, false, false)],
  ['Conv2DBackpropInput', convTranspose],
  ['Conv3D', conv(3, false, false)],
  ['DepthToSpace', blocks('DepthToSpace')],
  ['DepthwiseConv2d', conv(2, true, false)],
  ['DepthwiseConv2dNative', conv(2, true, false)],
  ['Div', same('Div')],
  ['Elu', same('Elu')],
  ['EnsureShape', (graph, operation) => input(graph, operation, 0)],
  ['Equal', same('Equal')],
  ['Erf', same('Erf')],
  ['Exp', same('Exp')],
  ['ExpandDims', expandDims],
  ['Fill', fill],
  ['Floor', same('Floor')],
  ['FusedBatchNorm', batchNorm],
  ['FusedBatchNormV2', batchNorm],
  ['FusedBatchNormV3', batchNorm],
  ['FusedDepthwiseConv2dNative', conv(2, true, true)],
  ['Gather', gather],
  ['GatherV2', gather],
  ['Greater', same('Greater')],
  ['GreaterEqual', same('GreaterOrEqual')],
  ['Identity', identities],
  ['IdentityN', identities],
  [
    'LeakyRelu',
    (graph, operation) =>
      graph.op('LeakyRelu', [input(graph, operation, 0)], { alpha: operation.settings.float('alpha', 0.2) }),
  ],
  ['Less', same('Less')],
  ['LessEqual', same('LessOrEqual')],
  ['Log', same('Log')],
  ['LogSoftmax', named('log_softmax')],
  ['LogicalAnd', same('And')],
  ['LogicalNot', same('Not')],
  ['LogicalOr', same('Or')],
  ['MatMul', matMul('transpose_a', 'transpose_b', false)],
  ['Max', reduce('ReduceMax')],
  ['MaxPool', pool('MaxPool', 2)],
  ['MaxPool3D', pool('MaxPool', 3)],
  ['Maximum', same('Max')],
  ['Mean', reduce('ReduceMean')],
  ['Min', reduce('ReduceMin')],
  ['Minimum', same('Min')],
  ['MirrorPad', pad(true)],
  ['Mul', same('Mul')],
  ['Neg', same('Neg')],
  ['Pack', pack],
  ['Pad', pad(false)],
  ['PadV2', pad(false)],
  ['Pow', same('Pow')],
  ['Prelu', (graph, operation) => prelu(graph, input(graph, operation, 0), input(graph, operation, 1))],
  ['Prod', reduce('ReduceProd')],
  ['Range', range],
  ['Rank', rankOf],
  ['RealDiv', same('Div')],
  ['Reciprocal', same('Reciprocal')],
  ['Relu', same('Relu')],
  ['Relu6', named('relu6')],
  ['Reshape', same('Reshape')],
  ['ResizeBilinear', resize('bilinear')],
  ['ResizeNearestNeighbor', resize('nearest')],
  ['Round', same('Round')],
  ['Rsqrt', (graph, operation) => graph.op('Reciprocal', [graph.op('Sqrt', [input(graph, operation, 0)])])],
  ['Select', same('Where')],
  ['SelectV2', same('Where')],
  ['Selu', named('selu')],
  ['Shape', same('Shape')],
  ['Sigmoid', same('Sigmoid')],
  ['Size', same('Size')],
  ['Slice', slice],
  ['Snapshot', identities],
  ['Softmax', named('softmax')],
  ['Softplus', same('Softplus')],
  ['SpaceToDepth', blocks('SpaceToDepth')],
  ['Split', split],
  ['SplitV', splitV],
  ['Sqrt', same('Sqrt')],
  ['Square', square],
  ['SquaredDifference', squaredDifference],
  ['Squeeze', squeeze],
  ['StopGradient', identities],
  ['StridedSlice', stridedSlice],
  ['Sub', same('Sub')],
  ['Sum', reduce('ReduceSum')],
  ['Tanh', same('Tanh')],
  ['Tile', same('Tile')],
  ['Transpose', transpose],
  ['Unpack', unpack],
  ['_FusedConv2D', conv(2, false, true)],
  ['_FusedMatMul', matMul('transpose_a', 'transpose_b', true)],
]);

const CONTROL = 'control flow is not supported; convert the model with it unrolled';

const REFUSED: ReadonlyMap<string, string> = /* @__PURE__ */ new Map([
  ...[
    'If',
    'While',
    'StatelessIf',
    'StatelessWhile',
    'Switch',
    'Merge',
    'Enter',
    'Exit',
    'NextIteration',
    'LoopCond',
  ].map((name): [string, string] => [name, CONTROL]),
  ...['NonMaxSuppressionV2', 'NonMaxSuppressionV3', 'NonMaxSuppressionV4', 'NonMaxSuppressionV5', 'TopKV2'].map(
    (name): [string, string] => [
      name,
      'how much it yields depends on the input; cut the model in front of it, and do it in code',
    ],
  ),
  ...['SpaceToBatchND', 'BatchToSpaceND'].map((name): [string, string] => [
    name,
    'it is supported around a convolution only, with blocks, paddings and crops that are known',
  ]),
]);

export const operationRefusal = (kind: string): string => {
  const listed = /^Tensor(?:List|Array)/.test(kind) ? CONTROL : undefined;
  return (
    REFUSED.get(kind) ??
    listed ??
    `the operation ${show(kind)} is not known here; cut the model in front of it, or convert it without`
  );
};
