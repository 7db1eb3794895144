/**
 * What layers of Keras and operations of TensorFlow have in common, said with operators of ONNX. Values keep the axes that
 * the model gives them, channels last; what works on images stands between two transposes, which undo those of its
 * neighbours when the network is simplified.
 */
import { int64s } from '../onnx/arrays.ts';
import type { Composing, Settings } from '../onnx/composing.ts';

/** A layer or operation while it becomes operators: `base` names what it adds. */
export type Graph = Composing;

/** Whole numbers as an input. */
export const integerInput = (graph: Graph, values: readonly number[]): string =>
  graph.constant('integers', int64s(values));

/** Floats as an input: one number, or as many as the last axis has elements. */
export function floatInput(graph: Graph, what: string, values: readonly number[], shape = [values.length]): string {
  return graph.constant(what, { type: 'float', shape, data: Float32Array.from(values) });
}

const axes = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

export function transposed(graph: Graph, x: string, perm: readonly number[], part: string): string {
  if (perm.every((axis, i) => axis === i)) return x;
  return graph.op('Transpose', [x], { perm }, { name: `${graph.node.name}.${part}` });
}

/** [N, ..., C] -> [N, C, ...]. */
export function channelsFirst(graph: Graph, x: string): string {
  const rank = graph.shape(x).length;
  return transposed(graph, x, [0, rank - 1, ...axes(rank - 2).map((axis) => axis + 1)], 'channelsFirst');
}

/** [N, C, ...] -> [N, ..., C]. */
export function channelsLast(graph: Graph, x: string): string {
  const rank = graph.shape(x).length;
  return transposed(graph, x, [0, ...axes(rank - 2).map((axis) => axis + 2), 1], 'channelsLast');
}

/** What works on channels first, of a value that has them last. */
export function onChannelsFirst(graph: Graph, x: string, isLast: boolean, work: (x: string) => string): string {
  return isLast ? channelsLast(graph, work(channelsFirst(graph, x))) : work(x);
}

/** A weight in another order of axes, called as a layer's weight is called; made once. */
export function turnedWeight(graph: Graph, weight: string, name: string, perm: readonly number[]): string {
  return graph.once(`${weight}\n${perm.join()}`, () => graph.op('Transpose', [weight], { perm }, { output: name }));
}

/** The same as it is. */
export function namedWeight(graph: Graph, weight: string, name: string): string {
  return graph.once(`${weight}\n${name}`, () => graph.op('Identity', [weight], {}, { output: name }));
}

export interface WindowSteps {
  readonly strides: readonly number[];
  readonly dilations?: readonly number[];
  /** 'SAME', 'VALID', or numbers before and behind each axis, as ONNX orders them. */
  readonly padding: 'SAME' | 'VALID' | readonly number[];
}

export const windowSettings = ({ strides, dilations, padding }: WindowSteps): Settings => ({
  strides,
  ...(dilations && { dilations }),
  ...(typeof padding === 'string' ? { auto_pad: padding === 'SAME' ? 'SAME_UPPER' : 'VALID' } : { pads: padding }),
});

/**
 * A convolution.
 * @param x - channels first
 * @param kernel - [...taps, inputs of a group, outputs]
 */
export function convolution(
  graph: Graph,
  x: string,
  { kernel, bias, name, groups = 1 }: { kernel: string; bias?: string | undefined; name: string; groups?: number },
  window: WindowSteps,
): string {
  const rank = graph.shape(kernel).length;
  if (rank !== graph.shape(x).length)
    graph.fail('SHAPE', `its kernel has ${rank} axes; expected ${graph.shape(x).length}, as its input`);
  const weight = turnedWeight(graph, kernel, `${name}.weight`, [rank - 1, rank - 2, ...axes(rank - 2)]);
  return graph.op(
    'Conv',
    withBias(graph, [x, weight], bias, name),
    { ...windowSettings(window), group: groups },
    { name },
  );
}

/** @param kernel - [...taps, channels, multiplier] */
export function depthwiseConvolution(
  graph: Graph,
  x: string,
  { kernel, bias, name }: { kernel: string; bias?: string | undefined; name: string },
  window: WindowSteps,
): string {
  const shape = graph.shape(kernel) as readonly number[];
  const rank = shape.length;
  if (rank !== graph.shape(x).length)
    graph.fail('SHAPE', `its kernel has ${rank} axes; expected ${graph.shape(x).length}, as its input`);
  const [channels, multiplier] = shape.slice(-2);
  const weight = graph.once(`${kernel}\ndepthwise`, () => {
    const perChannel = graph.op('Transpose', [kernel], { perm: [rank - 2, rank - 1, ...axes(rank - 2)] });
    const sides = integerInput(graph, [channels * multiplier, 1, ...shape.slice(0, -2)]);
    return graph.op('Reshape', [perChannel, sides], {}, { output: `${name}.weight` });
  });
  return graph.op(
    'Conv',
    withBias(graph, [x, weight], bias, name),
    { ...windowSettings(window), group: channels },
    { name },
  );
}

function withBias(graph: Graph, inputs: string[], bias: string | undefined, name: string): string[] {
  return bias === undefined ? inputs : [...inputs, namedWeight(graph, bias, `${name}.bias`)];
}

/**
 * The transpose of a convolution.
 * @param x - channels first
 * @param kernel - [...taps, outputs, inputs]
 * @param outs - sides of the output
 */
export function transposedConvolution(
  graph: Graph,
  x: string,
  { kernel, bias, name }: { kernel: string; bias?: string | undefined; name: string },
  {
    strides,
    dilations,
    padding,
    outs,
  }: {
    strides: readonly number[];
    dilations?: readonly number[];
    padding: 'SAME' | 'VALID' | readonly number[];
    outs: readonly number[];
  },
): string {
  const shape = graph.shape(kernel) as readonly number[];
  const rank = shape.length;
  if (rank !== graph.shape(x).length)
    graph.fail('SHAPE', `its kernel has ${rank} axes; expected ${graph.shape(x).length}, as its input`);
  const sides = graph.sides(x).slice(1);
  const [before, after, extra]: number[][] = [[], [], []];
  outs.forEach((out, axis) => {
    const full = (sides[axis] - 1) * strides[axis] + (shape[axis] - 1) * (dilations?.[axis] ?? 1) + 1;
    const total = padding === 'VALID' ? 0 : Math.max(0, full - out);
    before[axis] = typeof padding === 'string' ? Math.floor(total / 2) : padding[axis];
    // What the output lacks at its end is cut off, what it has beyond is zeros.
    const rest = full - before[axis] - out;
    [after[axis], extra[axis]] = [Math.max(0, rest), Math.max(0, -rest)];
  });
  const weight = turnedWeight(graph, kernel, `${name}.weight`, [rank - 1, rank - 2, ...axes(rank - 2)]);
  return graph.op(
    'ConvTranspose',
    withBias(graph, [x, weight], bias, name),
    { strides, ...(dilations && { dilations }), pads: [...before, ...after], output_padding: extra },
    { name },
  );
}

/** x W + b along the last axis. @param kernel - [inputs, outputs], or [outputs, inputs] where it `isTurned` */
export function dense(
  graph: Graph,
  x: string,
  {
    kernel,
    bias,
    name,
    isTurned = false,
  }: { kernel: string; bias?: string | undefined; name: string; isTurned?: boolean },
): string {
  const weight = isTurned
    ? namedWeight(graph, kernel, `${name}.weight`)
    : turnedWeight(graph, kernel, `${name}.weight`, [1, 0]);
  return graph.op('Gemm', withBias(graph, [x, weight], bias, name), { transB: 1 }, { name });
}

export interface Normalization {
  readonly scale?: string | undefined;
  readonly shift?: string | undefined;
  readonly mean: string;
  readonly variance: string;
  readonly epsilon: number;
}

/** @param axis - of the model, from 0 */
export function batchNormalization(
  graph: Graph,
  x: string,
  { scale, shift, mean, variance, epsilon }: Normalization,
  axis: number,
): string {
  const rank = graph.shape(x).length;
  const channels = graph.shape(x)[axis] as number;
  const perm = [0, axis, ...axes(rank).filter((one) => one !== 0 && one !== axis)];
  const first = rank === 2 ? x : transposed(graph, x, perm, 'channelsFirst');
  const y = graph.op(
    'BatchNormalization',
    [
      first,
      scale ?? constants(graph, 'scale', channels, 1),
      shift ?? constants(graph, 'shift', channels, 0),
      mean,
      variance,
    ],
    { epsilon },
  );
  if (rank === 2) return y;
  return transposed(
    graph,
    y,
    axes(rank).map((one) => perm.indexOf(one)),
    'channelsLast',
  );
}

/** The same number for each channel. */
export const constants = (graph: Graph, what: string, count: number, value: number): string =>
  floatInput(graph, `${graph.node.name}.${what}`, new Array<number>(count).fill(value));

/** Slopes below 0. @param alpha - of a sample's shape, with sides of 1 where they are shared, in the model's order of axes */
export function prelu(graph: Graph, x: string, alpha: string): string {
  const rank = graph.shape(x).length;
  const shape = [...(graph.shape(alpha) as readonly number[])];
  while (shape.length >= rank && shape[0] === 1) shape.shift();
  if (shape.length >= rank) graph.fail('UNSUPPORTED', 'its slopes differ over the batch');
  const sides = [...new Array<number>(rank - 1 - shape.length).fill(1), ...shape];
  const whole = graph.op('Reshape', [alpha, integerInput(graph, sides)], {}, { output: `${graph.node.name}.slope` });
  if (rank < 3) return graph.op('PRelu', [x, whole]);
  const slopes = graph.op(
    'Transpose',
    [whole],
    { perm: [rank - 2, ...axes(rank - 2)] },
    { output: `${graph.node.name}.slope` },
  );
  return onChannelsFirst(graph, x, true, (first) => graph.op('PRelu', [first, slopes]));
}

/** A reduction over axes of the model, from 0. */
export function reduction(graph: Graph, operator: string, x: string, over: readonly number[], keep: boolean): string {
  const rank = graph.shape(x).length;
  if (over.length === 0) return x;
  const isSpatial =
    !graph.isConstant(x) && rank > 2 && over.length === rank - 2 && over.every((axis) => axis > 0 && axis < rank - 1);
  if (!isSpatial) return graph.op(operator, [x], { axes: over, keepdims: Number(keep) });
  // Over the positions of channels that come last: those of channels that come first, which other nodes work on.
  const inFirst = over.map((axis) => axis + 1);
  const y = graph.op(operator, [channelsFirst(graph, x)], { axes: inFirst, keepdims: Number(keep) });
  return keep ? channelsLast(graph, y) : y;
}

/** Part of every axis; `ends` beyond it are its end. */
export function sliced(
  graph: Graph,
  x: string,
  { starts, ends, along, steps }: { starts: number[]; ends: number[]; along: number[]; steps?: number[] },
): string {
  const inputs = [x, ...[starts, ends, along, ...(steps ? [steps] : [])].map((list) => integerInput(graph, list))];
  return graph.op('Slice', inputs);
}

export type Resizing = 'nearest' | 'bilinear';

/** New sizes of axes; how positions map is said in ONNX's words. */
export function resized(
  graph: Graph,
  x: string,
  along: readonly number[],
  sizes: readonly number[],
  { mode, coordinates, rounding = 'floor' }: { mode: Resizing; coordinates: string; rounding?: string },
): string {
  return graph.op('Resize', [x, '', '', integerInput(graph, sizes)], {
    axes: along,
    mode: mode === 'nearest' ? 'nearest' : 'linear',
    coordinate_transformation_mode: coordinates,
    nearest_mode: rounding,
  });
}

/** x between two numbers. */
export const clipped = (graph: Graph, x: string, low: number, high: number): string =>
  graph.op('Clip', [x, floatInput(graph, 'low', [low], []), floatInput(graph, 'high', [high], [])]);

/** A number against every element. */
export const withNumber = (graph: Graph, operator: string, x: string, value: number): string =>
  graph.op(operator, [x, floatInput(graph, `${graph.node.name}.${operator}`, [value], [])]);
