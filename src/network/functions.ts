/** Layers of the operators that are rows of a table: functions of one number and of two, elementwise, and reductions. */
import { ownOptions } from '../base/rules.ts';
import type { RuledBy } from '../base/rules.ts';
import type { Attributes } from '../graph/network.ts';
import { ACTIVATIONS } from '../kernels/specification/activations.ts';
import { BINARIES } from '../kernels/specification/binaries.ts';
import type { BinarySpecification } from '../kernels/specification/binaries.ts';
import type { BinaryKind } from '../operators/binary.ts';
import type { ReductionKind } from '../operators/reduction.ts';
import type { UnaryKind } from '../operators/unary.ts';
import { constantInitializer } from './initializers.ts';
import { plain } from './layers.ts';
import type { Layer, NamedOptions } from './layers.ts';

/** The parameters of a function, each with the default of the table. */
export type UnaryOptions<K extends UnaryKind> = NamedOptions & Partial<RuledBy<(typeof ACTIVATIONS)[K]['parameters']>>;

function unary<K extends UnaryKind>(kind: K) {
  return (options: UnaryOptions<K> = {}): Layer => {
    const { name, ...parameters } = ownOptions<NamedOptions & Record<string, unknown>>(kind, 'options', options, [
      'name',
      ...Object.keys(ACTIVATIONS[kind].parameters),
    ]);
    const given = Object.entries<unknown>(parameters).filter(([, value]) => value !== undefined);
    // What they are is checked by the operator's rules, with the name of the node.
    const attributes = { ...ACTIVATIONS[kind].defaults, ...Object.fromEntries(given) } as Attributes;
    return plain(kind, attributes, name === undefined ? {} : { name });
  };
}

function binary(kind: BinaryKind) {
  return (options: NamedOptions = {}): Layer => plain(kind, {}, options);
}

/** A function whose second operand is trained: a number per channel, at first that of the table. */
export function perChannel(kind: BinaryKind): (initial?: number, options?: NamedOptions) => Layer {
  const { parameter }: BinarySpecification = BINARIES[kind];
  return (initial = parameter?.initial ?? 0, options: NamedOptions = {}): Layer => ({
    ...plain(kind, {}, options),
    parameters: ([channels]) => ({
      ...(parameter && { [parameter.role]: { shape: [channels], initialize: constantInitializer(initial) } }),
    }),
  });
}

export interface ReductionOptions extends NamedOptions {
  /** What is reduced stays, as sides of 1. Default false: it is gone. */
  keep?: boolean;
}

function reduction(kind: ReductionKind) {
  return (axes: readonly number[], options: ReductionOptions = {}): Layer => {
    const { keep = false, ...rest } = ownOptions(kind, 'options', options, ['name', 'keep']);
    return plain(kind, { axes, keep }, rest);
  };
}

/** max(x, 0). */
export const relu = /* @__PURE__ */ unary('relu');
/** x, times `slope` where it is negative. The slope is above 0, by default 0.01. */
export const leakyRelu = (slope = ACTIVATIONS.leakyRelu.defaults.slope, options: NamedOptions = {}): Layer =>
  plain('leakyRelu', { slope }, options);
/** 1 / (1 + e^-x). */
export const sigmoid = /* @__PURE__ */ unary('sigmoid');
/** The hyperbolic tangent. */
export const tanh = /* @__PURE__ */ unary('tanh');
/** x min(max(x / 6 + 1 / 2, 0), 1): MobileNetV3's. */
export const hardSwish = /* @__PURE__ */ unary('hardSwish');
/** min(max(alpha x + beta, 0), 1); alpha above 0. Default alpha 1/6, beta 0.5. */
export const hardSigmoid = /* @__PURE__ */ unary('hardSigmoid');
/** x / (1 + e^-x), also called swish. */
export const silu = /* @__PURE__ */ unary('silu');
/** x / 2 (1 + erf(x / sqrt 2)), exact. */
export const gelu = /* @__PURE__ */ unary('gelu');
/** x, below 0 alpha (e^x - 1); alpha above 0. Default 1. */
export const elu = /* @__PURE__ */ unary('elu');
/** Between `minimum` and `maximum`. Default 0 and 6: ReLU6. */
export const clip = /* @__PURE__ */ unary('clip');
/** e^x. */
export const exp = /* @__PURE__ */ unary('exp');
/** The natural logarithm: -Infinity at 0, NaN below. */
export const log = /* @__PURE__ */ unary('log');
/** The square root, NaN below 0. */
export const sqrt = /* @__PURE__ */ unary('sqrt');
/** ln(1 + e^x). */
export const softplus = /* @__PURE__ */ unary('softplus');
/** The error function. */
export const erf = /* @__PURE__ */ unary('erf');
/** |x|. */
export const absolute = /* @__PURE__ */ unary('absolute');
/** -x. */
export const negate = /* @__PURE__ */ unary('negate');
/** 1 / x. */
export const reciprocal = /* @__PURE__ */ unary('reciprocal');
/** The nearest whole number, of two the even one. Its gradient is 0. */
export const round = /* @__PURE__ */ unary('round');
/**
 * (min(max(q, lowest), highest) - zero) scale with q = x / scale, rounded half to even, + zero: what integers leave of x. Its
 * gradient goes straight through: 1 where q lies within the bounds, else 0. Scale above 0. Default: -128 to 127 times 1/32.
 */
export const fakeQuantize = /* @__PURE__ */ unary('fakeQuantize');

/** a + b: two values, or a value and a constant, stretched to each other where sides are 1. Skips, offsets. */
export const add = /* @__PURE__ */ binary('add');
/** a - b, stretched as in {@link add}. */
export const subtract = /* @__PURE__ */ binary('subtract');
/** a b, stretched as in {@link add}: gates. */
export const multiply = /* @__PURE__ */ binary('multiply');
/** a / b, stretched as in {@link add}. */
export const divide = /* @__PURE__ */ binary('divide');
/** a^b, stretched as in {@link add}; NaN for negative a where b is not whole. */
export const power = /* @__PURE__ */ binary('power');
/** The smaller of a and b, stretched as in {@link add}. Where they are equal the gradient goes to a. */
export const minimum = /* @__PURE__ */ binary('minimum');
/** The larger of a and b, stretched as in {@link add}. Where they are equal the gradient goes to a. */
export const maximum = /* @__PURE__ */ binary('maximum');
/** x, below 0 times the slope of its channel, which is trained. Default 0.25 at first. */
export const prelu = /* @__PURE__ */ perChannel('prelu');

/**
 * The sum along `axes` of a sample, ascending, at least one: [C, H, W] to [C] with [1, 2]. Axis 0 is that of the
 * channels; the batch is never reduced. Summed in double.
 */
export const reduceSum = /* @__PURE__ */ reduction('reduceSum');
/** The mean along `axes`, as in {@link reduceSum}. */
export const reduceMean = /* @__PURE__ */ reduction('reduceMean');
/** The largest element along `axes`, as in {@link reduceSum}; NaN if there is one. Of equals the first has the gradient. */
export const reduceMax = /* @__PURE__ */ reduction('reduceMax');
/** The smallest element along `axes`, as in {@link reduceSum}; NaN if there is one. Of equals the first has the gradient. */
export const reduceMin = /* @__PURE__ */ reduction('reduceMin');
/**
 * The place of the largest element along `axis` of a sample: whole numbers, the lowest of equals; a NaN counts as the
 * largest. Default axis 0, the class of a vector of scores. No gradient goes through.
 */
export const argMax = (axis = 0, options: ReductionOptions = {}): Layer => {
  const { keep = false, ...rest } = ownOptions('argMax', 'options', options, ['name', 'keep']);
  return plain('argMax', { axis, keep }, rest);
};
