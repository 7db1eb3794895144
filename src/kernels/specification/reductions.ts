/**
 * Reductions: functions of many elements that give one, each a row. Its place in the table is its code; the kernels of
 * both sets follow from its formulas.
 */
import type { Arithmetic, Instructions } from './arithmetic.ts';
import { codesOf, type Codes } from './codes.ts';

/** A reduction, computed in double: `finish` of what `combine` makes of `start` and of all elements, in any order. */
export interface Reduction {
  /** What `combine` leaves every other element as it is with. */
  readonly start: number;
  readonly combine: <T, C>(f: Instructions<T, C>, a: T, b: T) => T;
  /** The result, of all combined and of how many they are. */
  readonly finish: <T, C>(f: Instructions<T, C>, all: T, count: T) => T;
}

const asItIs: Reduction['finish'] = (_f, all) => all;

export const REDUCTIONS = {
  reduceSum: { start: 0, combine: (f, a, b) => f.add(a, b), finish: asItIs },
  reduceMean: { start: 0, combine: (f, a, b) => f.add(a, b), finish: (f, all, count) => f.divide(all, count) },
  reduceMax: { start: -Infinity, combine: (f, a, b) => f.maximum(a, b), finish: asItIs },
  reduceMin: { start: Infinity, combine: (f, a, b) => f.minimum(a, b), finish: asItIs },
} as const satisfies Record<string, Reduction>;

export type ReductionName = keyof typeof REDUCTIONS;

/** How the gradient of a result spreads over what it was made of. */
export interface ReductionGradient {
  /** Whether it asks for the elements and for the result. */
  readonly readsValues: boolean;
  /** Whether all goes to one: the first element that is the result. */
  readonly onlyFirst: boolean;
  /** Of the result y of n elements to one of them, x. */
  readonly derivative: <T, C>(f: Arithmetic<T, C>, x: T, y: T, n: T) => T;
}

/** Apart from {@link REDUCTIONS}, since inference needs none of it. */
export const REDUCTION_GRADIENTS: Readonly<Record<ReductionName, ReductionGradient>> = {
  reduceSum: { readsValues: false, onlyFirst: false, derivative: (f) => f.constant(1) },
  reduceMean: { readsValues: false, onlyFirst: false, derivative: (f, _x, _y, n) => f.divide(f.constant(1), n) },
  reduceMax: { readsValues: true, onlyFirst: true, derivative: (f) => f.constant(1) },
  reduceMin: { readsValues: true, onlyFirst: true, derivative: (f) => f.constant(1) },
};

/** Codes of all reductions. */
export const REDUCTION: Codes<ReductionName> = /* @__PURE__ */ codesOf(REDUCTIONS);
