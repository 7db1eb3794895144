/** Layers of the operators that are rows of a table: functions of one number and of two, elementwise. */
import type { RuledBy } from '../base/rules.ts';
import { ACTIVATIONS } from '../kernels/specification/activations.ts';
import type { BinaryKind } from '../operators/binary.ts';
import type { UnaryKind } from '../operators/unary.ts';
import { plain } from './layers.ts';
import type { Layer, NamedOptions } from './layers.ts';

/** The parameters of a function, each with the default of the table. */
export type UnaryOptions<K extends UnaryKind> = NamedOptions & Partial<RuledBy<(typeof ACTIVATIONS)[K]['parameters']>>;

function unary<K extends UnaryKind>(kind: K) {
  return ({ name, ...parameters }: UnaryOptions<K> = {}): Layer =>
    plain(kind, { ...ACTIVATIONS[kind].defaults, ...parameters }, name === undefined ? {} : { name });
}

function binary(kind: BinaryKind) {
  return (options: NamedOptions = {}): Layer => plain(kind, {}, options);
}

export const relu = /* @__PURE__ */ unary('relu');
/** Slope for negative inputs, above 0. Default 0.01. */
export const leakyRelu = (slope = ACTIVATIONS.leakyRelu.defaults.slope, options: NamedOptions = {}): Layer =>
  plain('leakyRelu', { slope }, options);
export const sigmoid = /* @__PURE__ */ unary('sigmoid');
export const tanh = /* @__PURE__ */ unary('tanh');

/** Two values, or a value and a constant, stretched to each other where sides are 1: skips, offsets, gates. */
export const add = /* @__PURE__ */ binary('add');
export const subtract = /* @__PURE__ */ binary('subtract');
export const multiply = /* @__PURE__ */ binary('multiply');
export const divide = /* @__PURE__ */ binary('divide');
export const minimum = /* @__PURE__ */ binary('minimum');
export const maximum = /* @__PURE__ */ binary('maximum');
