/** Layers of the operators that are rows of a table: functions of one number and of two, elementwise. */
import { ACTIVATIONS } from '../kernels/specification/activations.ts';
import type { ActivationSpecification } from '../kernels/specification/activations.ts';
import type { BinaryKind } from '../operators/binary.ts';
import type { UnaryKind } from '../operators/unary.ts';
import { plain } from './layers.ts';
import type { Layer, NamedOptions } from './layers.ts';

type Parameters<K extends UnaryKind> = (typeof ACTIVATIONS)[K]['parameters'];

/** The parameters of a function, each with the default of the table. */
export type UnaryOptions<K extends UnaryKind> = NamedOptions & { -readonly [P in keyof Parameters<K>]?: number };

function unary<K extends UnaryKind>(kind: K) {
  const specification: ActivationSpecification = ACTIVATIONS[kind];
  const defaults = Object.entries(specification.parameters).map(([name, parameter]) => [name, parameter.default]);
  return ({ name, ...given }: UnaryOptions<K> = {}): Layer =>
    plain(kind, { ...Object.fromEntries(defaults), ...given }, name === undefined ? {} : { name });
}

function binary(kind: BinaryKind) {
  return (options: NamedOptions = {}): Layer => plain(kind, {}, options);
}

export const relu = /* @__PURE__ */ unary('relu');
/** Slope for negative inputs, above 0. Default 0.01. */
export const leakyRelu = (slope?: number, options: NamedOptions = {}): Layer =>
  unary('leakyRelu')({ ...options, ...(slope !== undefined && { slope }) });
export const sigmoid = /* @__PURE__ */ unary('sigmoid');
export const tanh = /* @__PURE__ */ unary('tanh');

/** Two values, or a value and a constant, stretched to each other where sides are 1: skips, offsets, gates. */
export const add = /* @__PURE__ */ binary('add');
export const subtract = /* @__PURE__ */ binary('subtract');
export const multiply = /* @__PURE__ */ binary('multiply');
export const divide = /* @__PURE__ */ binary('divide');
export const minimum = /* @__PURE__ */ binary('minimum');
export const maximum = /* @__PURE__ */ binary('maximum');
