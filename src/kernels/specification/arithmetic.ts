/**
 * What a formula may be made of. A formula is written once, over any arithmetic: the portable kernels evaluate it with
 * numbers (portable/arithmetic.ts), scripts/generate.ts with expressions, which become SIMD kernels.
 */

/** T: a value; C: a condition. A NaN goes through all but `less`, `greater` and the choice that follows from them. */
export interface Arithmetic<T, C> {
  constant(value: number): T;
  add(a: T, b: T): T;
  subtract(a: T, b: T): T;
  multiply(a: T, b: T): T;
  divide(a: T, b: T): T;
  minimum(a: T, b: T): T;
  maximum(a: T, b: T): T;
  negate(x: T): T;
  absolute(x: T): T;
  squareRoot(x: T): T;
  /** To the nearest whole number, of two the even one. */
  round(x: T): T;
  exp(x: T): T;
  /** Natural logarithm. */
  log(x: T): T;
  /** 1 / (1 + e^-x). */
  sigmoid(x: T): T;
  tanh(x: T): T;
  /** The error function. */
  erf(x: T): T;
  /** a^b as IEEE 754 has it: of a negative a for whole b only, else NaN; 1 where a is 1 or b is 0. */
  power(a: T, b: T): T;
  /** False where either is NaN, as is `greater`. */
  less(a: T, b: T): C;
  greater(a: T, b: T): C;
  /** `yes` where the condition holds, else `no`; both are computed. */
  select(condition: C, yes: T, no: T): T;
}

/** A formula of one value x and of parameters by name. */
export type Formula = <T, C>(f: Arithmetic<T, C>, x: T, parameters: Readonly<Record<string, T>>) => T;

/** A formula of two values. */
export type BinaryFormula = <T, C>(f: Arithmetic<T, C>, a: T, b: T) => T;

/** The part of an {@link Arithmetic} that is instructions of every machine, in double too. */
export type Instructions<T, C> = Omit<Arithmetic<T, C>, 'exp' | 'log' | 'sigmoid' | 'tanh' | 'erf' | 'power'>;
