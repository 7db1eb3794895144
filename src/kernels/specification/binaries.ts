/**
 * Binary operations: functions of two elements, each a row. Its place in the table is its code; the kernels of both sets
 * follow from its formulas.
 */
import type { BinaryFormula } from './arithmetic.ts';
import { codesOf, type Codes } from './codes.ts';

/** y from a and b. */
export interface BinarySpecification {
  readonly apply: BinaryFormula;
  /**
   * Its second operand is no value but a trained parameter of the operator, one number per channel: its role, and what it is
   * at first. Absent: both operands are values or constants.
   */
  readonly parameter?: { readonly role: string; readonly initial: number };
}

export const BINARIES = {
  add: { apply: (f, a, b) => f.add(a, b) },
  subtract: { apply: (f, a, b) => f.subtract(a, b) },
  multiply: { apply: (f, a, b) => f.multiply(a, b) },
  divide: { apply: (f, a, b) => f.divide(a, b) },
  minimum: { apply: (f, a, b) => f.minimum(a, b) },
  maximum: { apply: (f, a, b) => f.maximum(a, b) },
  power: { apply: (f, a, b) => f.power(a, b) },
  /** a, below 0 times the slope of its channel (He et al. 2015). */
  prelu: {
    apply: (f, a, slope) => f.select(f.less(a, f.constant(0)), f.multiply(slope, a), a),
    parameter: { role: 'slope', initial: 0.25 },
  },
} satisfies Record<string, BinarySpecification>;

export type BinaryName = keyof typeof BINARIES;

/** Derivatives to either operand. */
export interface BinaryGradient {
  readonly a: BinaryFormula;
  readonly b: BinaryFormula;
}

/** Which operand a gradient is of. */
export const SIDE = { a: 0, b: 1 } as const;

/** Apart from {@link BINARIES}, since inference needs none of it. Where minimum and maximum tie the gradient goes to a. */
export const BINARY_GRADIENTS: Readonly<Record<BinaryName, BinaryGradient>> = {
  add: { a: (f) => f.constant(1), b: (f) => f.constant(1) },
  subtract: { a: (f) => f.constant(1), b: (f) => f.constant(-1) },
  multiply: { a: (_f, _a, b) => b, b: (_f, a) => a },
  divide: { a: (f, _a, b) => f.divide(f.constant(1), b), b: (f, a, b) => f.negate(f.divide(a, f.multiply(b, b))) },
  minimum: {
    a: (f, a, b) => f.select(f.less(b, a), f.constant(0), f.constant(1)),
    b: (f, a, b) => f.select(f.less(b, a), f.constant(1), f.constant(0)),
  },
  maximum: {
    a: (f, a, b) => f.select(f.greater(b, a), f.constant(0), f.constant(1)),
    b: (f, a, b) => f.select(f.greater(b, a), f.constant(1), f.constant(0)),
  },
  // Where a factor is 0 the other one, which may be infinite, does not count.
  power: {
    a: (f, a, b) => {
      const slope = f.multiply(b, f.power(a, f.subtract(b, f.constant(1))));
      return f.select(f.greater(f.absolute(b), f.constant(0)), slope, f.constant(0));
    },
    b: (f, a, b) => {
      const slope = f.multiply(f.power(a, b), f.log(a));
      return f.select(f.greater(f.absolute(a), f.constant(0)), slope, f.constant(0));
    },
  },
  prelu: {
    a: (f, a, slope) => f.select(f.greater(a, f.constant(0)), f.constant(1), slope),
    b: (f, a) => f.minimum(a, f.constant(0)),
  },
};

/** Codes of all binary operations. */
export const BINARY: Codes<BinaryName> = /* @__PURE__ */ codesOf(BINARIES);

/** The code of a binary operation. */
export const binaryCode = (name: BinaryName): number => BINARY[name];
