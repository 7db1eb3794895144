/** Formulas over numbers. */
import { exp, log, pow, roundEven, tanh } from '../../base/elementary.ts';
import type { Arithmetic } from '../specification/arithmetic.ts';

/** In double throughout. */
export const NUMBERS: Arithmetic<number, boolean> = {
  constant: (value) => value,
  add: (a, b) => a + b,
  subtract: (a, b) => a - b,
  multiply: (a, b) => a * b,
  divide: (a, b) => a / b,
  minimum: (a, b) => Math.min(a, b),
  maximum: (a, b) => Math.max(a, b),
  negate: (x) => -x,
  absolute: (x) => Math.abs(x),
  squareRoot: (x) => Math.sqrt(x),
  round: roundEven,
  exp,
  log,
  sigmoid: (x) => 1 / (1 + exp(-x)),
  tanh,
  erf,
  power: pow,
  less: (a, b) => a < b,
  greater: (a, b) => a > b,
  select: (condition, yes, no) => (condition ? yes : no),
};

/**
 * The error function: 2 / sqrt(pi) e^-x^2 sum over n of 2^n x^(2n + 1) / (1 3 5 ... (2n + 1)), whose terms are of one
 * sign, so that nothing cancels (Abramowitz, Stegun, equation 7.1.6).
 */
function erf(x: number): number {
  // Beyond 6 it is 1 to the last bit.
  if (Math.abs(x) > 6) return Math.sign(x);
  let sum = x;
  for (let n = 1, term = x; Math.abs(term) > 1e-17 * Math.abs(sum); n++) {
    term *= (2 * x * x) / (2 * n + 1);
    sum += term;
  }
  return (2 / Math.sqrt(Math.PI)) * exp(-x * x) * sum;
}
