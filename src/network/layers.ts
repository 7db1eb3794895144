/** Layers: what builders put into a network. Each is a kind with attributes and first values of its parameters. */
import { checkFinite, checkInteger, checkOneOf } from '../base/errors.ts';
import { ownOptions } from '../base/rules.ts';
import { toFloat32 } from '../base/float32.ts';
import type { Shape } from '../base/tensor.ts';
import { sizeOf } from '../base/tensor.ts';
import type { Attributes } from '../graph/network.ts';
import type { ResizeAttributes } from '../operators/resize.ts';
import type { Padding, Pair } from '../operators/types.ts';
import { constantInitializer, heNormal } from './initializers.ts';
import type { Initializer } from './initializers.ts';

/** A layer before it has inputs: what `sequential` takes. Made by the functions below. */
export interface Layer {
  readonly kind: string;
  readonly name?: string;
  readonly attributes: (input: Shape) => Attributes;
  /** Number of values that it yields. Default 1. */
  readonly yields?: number;
  /** Shapes and first values of the parameters, by role, once the input's shape per sample is known. */
  readonly parameters: (input: Shape) => Readonly<Record<string, { shape: Shape; initialize: Initializer }>>;
}

export interface NamedOptions {
  /** Default: kind and number, such as 'conv3'. */
  name?: string;
}

export interface WeightOptions extends NamedOptions {
  /** Default true. */
  bias?: boolean;
  /** Default {@link heNormal}; `glorotUniform` suits sigmoid, tanh and linear outputs. */
  initializer?: Initializer;
}

export interface ConvOptions extends WeightOptions {
  /** Default 1. */
  stride?: number | Pair;
  /**
   * 'same' (default): output side = input side / stride, rounded up; 'valid': none; a number for all sides; or [top,
   * left, bottom, right].
   */
  padding?: 'same' | 'valid' | number | Padding;
  /** Default 1. */
  dilation?: number | Pair;
  /** Default 1; the number of input channels makes it depthwise. */
  groups?: number;
}

const pair = (value: number | Pair): Pair =>
  Array.isArray(value) ? (value as unknown as Pair) : [value as number, value as number];
const WEIGHT_NAMES = ['name', 'bias', 'initializer'] as const satisfies readonly (keyof WeightOptions)[];
const none = (): Record<never, never> => ({});

function paddingFor(padding: ConvOptions['padding'], input: Shape, size: Pair, stride: Pair, dilation: Pair): Padding {
  if (Array.isArray(padding)) return padding as unknown as Padding;
  // Anything but [channels, height, width] is refused by the operator's shape rule, in its words.
  if (input.length !== 3) return [0, 0, 0, 0];
  if (typeof padding === 'number') return [padding, padding, padding, padding];
  if (checkOneOf('conv', 'padding', padding ?? 'same', ['same', 'valid']) === 'valid') return [0, 0, 0, 0];
  const total = (axis: 0 | 1): number =>
    Math.max(
      0,
      (Math.ceil(input[axis + 1] / stride[axis]) - 1) * stride[axis] +
        dilation[axis] * (size[axis] - 1) +
        1 -
        input[axis + 1],
    );
  const [vertical, horizontal] = [total(0), total(1)];
  // The odd pixel goes to the bottom and the right.
  return [vertical >> 1, horizontal >> 1, vertical - (vertical >> 1), horizontal - (horizontal >> 1)];
}

/**
 * `filters` convolutions of `size` x `size`: [in, H, W] to [filters, H', W']. Weight [filters, in / groups, size, size].
 * @throws {TypeError | RangeError} for numbers that are not whole and above 0, or groups that do not divide the channels
 */
export function conv(filters: number, size: number | Pair, given: ConvOptions = {}): Layer {
  const options = ownOptions('conv', 'options', given, [...WEIGHT_NAMES, 'stride', 'padding', 'dilation', 'groups']);
  checkInteger('conv', 'filters', filters, 1);
  const kernel = pair(size);
  kernel.forEach((side) => checkInteger('conv', 'size', side, 1));
  const stride = pair(options.stride ?? 1);
  const dilation = pair(options.dilation ?? 1);
  const groups = checkInteger('conv', 'groups', options.groups ?? 1, 1);
  return {
    ...labelled('conv', options),
    attributes: (input) => ({
      stride,
      dilation,
      groups,
      padding: paddingFor(options.padding, input, kernel, stride, dilation),
    }),
    parameters([channels]) {
      checkGroups('conv', groups, channels);
      return withBias(options, [filters, channels / groups, ...kernel]);
    },
  };
}

export interface ConvTransposeOptions extends WeightOptions {
  /** Default 1. */
  stride?: number | Pair;
  /** What is cut off of the output: a number for all sides (default 0), or [top, left, bottom, right]. */
  padding?: number | Padding;
  /** Default 1. */
  dilation?: number | Pair;
  /** Default 1. */
  groups?: number;
  /** Rows and columns more, below and to the right. Default 0. */
  outputPadding?: number | Pair;
}

/**
 * `filters` transposed convolutions of `size` x `size`: [in, H, W] to [filters, stride (H - 1) + size, ...]. Weight
 * [filters, in / groups, size, size].
 * @throws {TypeError | RangeError} as {@link conv}
 */
export function convTranspose(filters: number, size: number | Pair, given: ConvTransposeOptions = {}): Layer {
  const names = [...WEIGHT_NAMES, 'stride', 'padding', 'dilation', 'groups', 'outputPadding'] as const;
  const options = ownOptions('convTranspose', 'options', given, names);
  checkInteger('convTranspose', 'filters', filters, 1);
  const kernel = pair(size);
  kernel.forEach((side) => checkInteger('convTranspose', 'size', side, 1));
  const { padding = 0 } = options;
  const groups = checkInteger('convTranspose', 'groups', options.groups ?? 1, 1);
  const attributes = {
    stride: pair(options.stride ?? 1),
    padding: typeof padding === 'number' ? ([padding, padding, padding, padding] as const) : padding,
    dilation: pair(options.dilation ?? 1),
    groups,
    outputPadding: pair(options.outputPadding ?? 0),
  };
  return {
    ...labelled('convTranspose', options),
    attributes: () => attributes,
    parameters([channels]) {
      checkGroups('convTranspose', groups, channels);
      return withBias(options, [filters, channels / groups, ...kernel]);
    },
  };
}

type Triple = readonly [number, number, number];

export interface Conv3dOptions extends WeightOptions {
  /** Default 1. */
  stride?: number | Triple;
  /** A number for all sides (default 0), or [front, top, left, back, bottom, right]. */
  padding?: number | readonly [number, number, number, number, number, number];
  /** Default 1. */
  dilation?: number | Triple;
  /** Default 1. */
  groups?: number;
}

/**
 * `filters` convolutions of `size` x `size` x `size`: [in, D, H, W] to [filters, D', H', W']. Weight [filters, in / groups,
 * size, size, size].
 * @throws {TypeError | RangeError} as {@link conv}
 */
export function conv3d(filters: number, size: number | Triple, given: Conv3dOptions = {}): Layer {
  const names = [...WEIGHT_NAMES, 'stride', 'padding', 'dilation', 'groups'] as const;
  const options = ownOptions('conv3d', 'options', given, names);
  const three = (value: number | Triple): Triple => (typeof value === 'number' ? [value, value, value] : value);
  checkInteger('conv3d', 'filters', filters, 1);
  const kernel = three(size);
  kernel.forEach((side) => checkInteger('conv3d', 'size', side, 1));
  const { padding = 0 } = options;
  const groups = checkInteger('conv3d', 'groups', options.groups ?? 1, 1);
  const attributes = {
    stride: three(options.stride ?? 1),
    padding: typeof padding === 'number' ? [...three(padding), ...three(padding)] : padding,
    dilation: three(options.dilation ?? 1),
    groups,
  };
  return {
    ...labelled('conv3d', options),
    attributes: () => attributes,
    parameters([channels]) {
      checkGroups('conv3d', groups, channels);
      return withBias(options, [filters, channels / groups, ...kernel]);
    },
  };
}

function checkGroups(who: string, groups: number, channels: number): void {
  if (channels % groups !== 0)
    throw new RangeError(`${who}: groups: expected a divisor of the ${channels} input channels, got ${groups}`);
}

/**
 * `units` neurons, each connected to all inputs along the last axis of a sample: [in] to [units], [..., in] to [...,
 * units]. For neurons that see a whole sample put `flatten()` before it. Weight [units, in].
 * @throws {TypeError | RangeError} if `units` is not a whole number above 0
 */
export function dense(units: number, given: WeightOptions = {}): Layer {
  const options = ownOptions('dense', 'options', given, WEIGHT_NAMES);
  checkInteger('dense', 'units', units, 1);
  return {
    ...labelled('dense', options),
    attributes: none,
    // A sample without axes is refused by the operator's shape rule, in its words.
    parameters: (input) => withBias(options, [units, input.at(-1) ?? 1]),
  };
}

function withBias(options: WeightOptions, shape: Shape): ReturnType<Layer['parameters']> {
  const weight = { shape, initialize: options.initializer ?? heNormal };
  return options.bias === false
    ? { weight }
    : { weight, bias: { shape: [shape[0]], initialize: constantInitializer(0) } };
}

function labelled(kind: string, { name }: NamedOptions): Pick<Layer, 'kind' | 'name'> {
  return name === undefined ? { kind } : { kind, name };
}

export interface PoolOptions extends NamedOptions {
  /** Default: the window's size. */
  stride?: number | Pair;
  /** Default 0. */
  padding?: number | Padding;
  /** Distance of the places that a window looks at. Default 1. */
  dilation?: number | Pair;
  /** Average pooling: padded places count as zeros. Default false. */
  countPadding?: boolean;
}

function pool(kind: 'maxPool' | 'averagePool', size: number | Pair, given: PoolOptions): Layer {
  const options = ownOptions(kind, 'options', given, [
    'name',
    'stride',
    'padding',
    'dilation',
    ...(kind === 'averagePool' ? (['countPadding'] as const) : []),
  ]);
  const { padding = 0 } = options;
  const window = {
    size: pair(size),
    stride: pair(options.stride ?? size),
    padding: typeof padding === 'number' ? ([padding, padding, padding, padding] as const) : padding,
    ...(options.dilation !== undefined && { dilation: pair(options.dilation) }),
  };
  return {
    ...labelled(kind, options),
    attributes: () => (kind === 'averagePool' ? { ...window, countPadding: options.countPadding ?? false } : window),
    parameters: none,
  };
}

/** The largest value of each window of `size` x `size`: [C, H, W] to [C, H', W'], rounded down. Padding is never the largest. */
export const maxPool = (size: number | Pair, options: PoolOptions = {}): Layer => pool('maxPool', size, options);
/** The mean of each window of `size` x `size`: [C, H, W] to [C, H', W'], rounded down. */
export const averagePool = (size: number | Pair, options: PoolOptions = {}): Layer =>
  pool('averagePool', size, options);

/** A layer of any kind without parameters of its own: `plain('relu')`, `plain('elu', { alpha: 1 })`. */
export function plain(kind: string, attributes: Attributes = {}, options: NamedOptions = {}): Layer {
  return {
    ...labelled(kind, ownOptions(kind, 'options', options, ['name'])),
    attributes: () => attributes,
    parameters: none,
  };
}

/** The mean of each channel over all positions: [C, H, W] to [C]. */
export const globalAveragePool = (options: NamedOptions = {}): Layer => plain('globalAveragePool', {}, options);
export interface AxisOptions extends NamedOptions {
  /** An axis of a sample, from 0. */
  axis?: number;
}

/** The attribute only where it is given: what its absence means is the operator's business. */
function alongAxis(kind: string, given: AxisOptions, attributes: Attributes = {}): Layer {
  const { axis, ...options } = ownOptions(kind, 'options', given, ['name', 'axis']);
  return plain(kind, { ...attributes, ...(axis !== undefined && { axis }) }, options);
}

/** Probabilities along `axis`, by default the last. In training leave it out: `crossEntropy` takes what comes before it. */
export const softmax = (options: AxisOptions = {}): Layer => alongAxis('softmax', options);
/** [C, ...] as a vector [size], in the order in which it lies. */
export const flatten = (options: NamedOptions = {}): Layer => plain('flatten', {}, options);
/** The same elements, in the order in which they lie, as a sample of this shape; without sides a single number. */
export const reshape = (shape: Shape, options: NamedOptions = {}): Layer => plain('reshape', { shape }, options);
/** Along `axis` of a sample, by default that of channels (0), of up to 64 values. */
export const concat = (options: AxisOptions = {}): Layer => alongAxis('concat', options);
/** The inverse of `concat`: a value for each of `sizes`, which add up to the side along `axis`, by default the channels. */
export const split = (sizes: readonly number[], options: AxisOptions = {}): Layer => ({
  ...alongAxis('split', options, { sizes }),
  yields: sizes.length,
});
/** Axis i of what it yields is axis order[i] of the sample: [C, H, W] to [H, W, C] with [1, 2, 0]. */
export const permute = (order: readonly number[], options: NamedOptions = {}): Layer =>
  plain('permute', { order }, options);
/** `counts` elements of every axis of a sample, from `starts` on, every `steps`-th (default 1; negative: backwards). */
export const slice = (
  starts: readonly number[],
  counts: readonly number[],
  options: NamedOptions & { steps?: readonly number[] } = {},
): Layer => {
  const { steps = counts.map(() => 1), ...rest } = ownOptions('slice', 'options', options, ['name', 'steps']);
  return plain('slice', { starts, counts, steps }, rest);
};
export interface PadOptions extends NamedOptions {
  /** What goes on beyond the ends: a `value` (default), the sample mirrored at its last element, that element, or the sample again. */
  mode?: 'constant' | 'reflect' | 'edge' | 'wrap';
  /** Default 0. */
  value?: number;
}
/** So many elements `before` and `after` those of a sample, along every axis. */
export const pad = (before: readonly number[], after: readonly number[], options: PadOptions = {}): Layer => {
  const { mode = 'constant', value = 0, ...rest } = ownOptions('pad', 'options', options, ['name', 'mode', 'value']);
  return plain('pad', { before, after, mode, value }, rest);
};
/** The elements with these indices along `axis` of a sample, in this order, each as often as it is named. */
export const gather = (axis: number, indices: readonly number[], options: NamedOptions = {}): Layer =>
  plain('gather', { axis, indices }, options);
/** Sides of 1 stretched to those of `shape`. */
export const expand = (shape: Shape, options: NamedOptions = {}): Layer => plain('expand', { shape }, options);
/** What a resize may be told beside its sizes: the attributes of the operator. */
export type ResizeOptions = NamedOptions & Partial<Omit<ResizeAttributes, 'sizes'>>;

/**
 * The last axes of a sample resized to these sizes, by default linearly between elements whose centres lie where those of
 * the input do ('halfPixel', as PyTorch does without aligned corners): [C, H, W] to [C, 2 H, 2 W] with [2 H, 2 W]. All
 * else is as in ONNX's operator Resize of opset 19, whose names these are.
 */
export const resize = (sizes: readonly number[], options: ResizeOptions = {}): Layer => {
  const { name, ...given } = ownOptions('resize', 'options', options, [
    ...(['name', 'axes', 'scales', 'mode', 'coordinates', 'rounding', 'cubicCoefficient'] as const),
    ...(['excludeOutside', 'antialias', 'extrapolation', 'region'] as const),
  ]);
  return {
    ...labelled('resize', name === undefined ? {} : { name }),
    attributes(input) {
      const axes = given.axes ?? sizes.map((_, i) => input.length - sizes.length + i);
      return {
        mode: 'linear',
        coordinates: 'halfPixel',
        rounding: 'roundPreferFloor',
        cubicCoefficient: -0.75,
        excludeOutside: false,
        antialias: false,
        extrapolation: 0,
        region: [],
        scales: sizes.map((size, i) => size / (input[axes[i]] ?? 1)),
        ...given,
        ...{ axes, sizes },
      };
    },
    parameters: none,
  };
};
/** Zeroes with probability `rate`, from 0 to below 1, in training. */
export const dropout = (rate: number, options: NamedOptions = {}): Layer => plain('dropout', { rate }, options);

/** epsilon default 1e-5, momentum (share of the new statistics) default 0.1. */
export function batchNorm(given: NamedOptions & { epsilon?: number; momentum?: number } = {}): Layer {
  const options = ownOptions('batchNorm', 'options', given, ['name', 'epsilon', 'momentum']);
  const { epsilon = 1e-5, momentum = 0.1 } = options;
  return {
    ...labelled('batchNorm', options),
    attributes: () => ({ epsilon, momentum }),
    // A sample without axes is refused by the operator's shape rule, in its words.
    parameters: ([channels = 1]) => ({
      scale: { shape: [channels], initialize: constantInitializer(1) },
      shift: { shape: [channels], initialize: constantInitializer(0) },
      mean: { shape: [channels], initialize: constantInitializer(0) },
      variance: { shape: [channels], initialize: constantInitializer(1) },
    }),
  };
}

export interface StandardizeOptions extends NamedOptions {
  /** Default 1e-5. */
  epsilon?: number;
  /** Scale and shift, which are trained. Default true. */
  affine?: boolean;
}

const STANDARDIZE_NAMES = ['name', 'epsilon', 'affine'] as const;
const scaleAndShift = (shape: Shape): ReturnType<Layer['parameters']> => ({
  scale: { shape, initialize: constantInitializer(1) },
  shift: { shape, initialize: constantInitializer(0) },
});

/** Mean 0 and variance 1 over all axes of a sample from `axis` on, then scale and shift of their sides. Default axis 0. */
export function layerNorm(axis = 0, given: StandardizeOptions = {}): Layer {
  const options = ownOptions('layerNorm', 'options', given, STANDARDIZE_NAMES);
  const { epsilon = 1e-5, affine: isAffine = true } = options;
  return {
    ...labelled('layerNorm', options),
    attributes: () => ({ axis, epsilon }),
    parameters: (input) => (isAffine ? scaleAndShift(input.slice(axis)) : {}),
  };
}

/** Mean 0 and variance 1 over each of `groups` runs of channels, then scale and shift per channel. A divisor of the channels. */
export function groupNorm(groups: number, given: StandardizeOptions = {}): Layer {
  const options = ownOptions('groupNorm', 'options', given, STANDARDIZE_NAMES);
  const { epsilon = 1e-5, affine: isAffine = true } = options;
  return {
    ...labelled('groupNorm', options),
    attributes: () => ({ groups, epsilon }),
    parameters: ([channels = 1]) => (isAffine ? scaleAndShift([channels]) : {}),
  };
}

/** {@link groupNorm} with every channel on its own. */
export const instanceNorm = (given: StandardizeOptions = {}): Layer => ({
  ...groupNorm(1, given),
  attributes: ([groups = 1]) => ({ groups, epsilon: given.epsilon ?? 1e-5 }),
});

/** a [..., M, K] times b [..., K, N], two values or a value and a constant, leading axes stretched to each other: attention. */
export const matMul = (options: NamedOptions = {}): Layer => plain('matMul', {}, options);

/**
 * y = x scale + shift per channel, not trained: brings outputs to their unit. A number stands for all channels.
 * @throws {RangeError} when the network is built, if there are not as many values as channels
 * @throws {EspalierError} NONFINITE, or RANGE for numbers that float32 does not hold, when it is built
 */
export function affine(scale: number | Float32Array, shift: number | Float32Array, options: NamedOptions = {}): Layer {
  const constant =
    (value: number | Float32Array): Initializer =>
    (shape) => {
      if (typeof value === 'number') return constantInitializer(value)(shape, 0, 'affine');
      const values = toFloat32('affine', 'scale and shift', value);
      checkFinite('affine', 'scale and shift', values);
      if (values.length !== sizeOf(shape))
        throw new RangeError(`affine: scale and shift: expected ${sizeOf(shape)} values, got ${values.length}`);
      return values.slice();
    };
  return {
    ...labelled('affine', ownOptions('affine', 'options', options, ['name'])),
    attributes: none,
    parameters: ([channels = 1]) => ({
      scale: { shape: [channels], initialize: constant(scale) },
      shift: { shape: [channels], initialize: constant(shift) },
    }),
  };
}
