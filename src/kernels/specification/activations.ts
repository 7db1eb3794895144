/**
 * Activations: functions of one element, each a row that says all there is to know of it. Its place in the table is its
 * code; the kernels of both sets follow from its formulas.
 */
import { number, type Rules } from '../../base/rules.ts';
import type { Formula } from './arithmetic.ts';
import { codesOf, type Codes } from './codes.ts';

export interface ActivationSpecification {
  /** What it takes beside its input: numbers, which lie on the heap one after another in this order. */
  readonly parameters: Rules;
  /** Of each parameter. */
  readonly defaults: Readonly<Record<string, number>>;
  /** A product, a convolution or a sum can apply it on its way out: assembly/activation.ts knows it. */
  readonly fuses: boolean;
  readonly apply: Formula;
}

export interface ActivationGradient {
  /** What its derivative is computed from: the activation's output, so that the input need not be kept, or its input. */
  readonly reads: 'output' | 'input';
  /** dy / dx from what it reads. Where there is a kink the slope of its left side holds. */
  readonly derivative: Formula;
}

/** A NaN goes through every one of them, so that a run which diverges is noticed. */
export const ACTIVATIONS = {
  none: { parameters: {}, defaults: {}, fuses: true, apply: (_f, x) => x },
  relu: { parameters: {}, defaults: {}, fuses: true, apply: (f, x) => f.maximum(x, f.constant(0)) },
  leakyRelu: {
    // A slope of 0 or less would make the sign of the output say nothing of that of the input.
    parameters: { slope: /* @__PURE__ */ number(0, Infinity, 'from') },
    defaults: { slope: 0.01 },
    fuses: true,
    apply: (f, x, { slope }) => f.select(f.less(x, f.constant(0)), f.multiply(x, slope), x),
  },
  sigmoid: { parameters: {}, defaults: {}, fuses: false, apply: (f, x) => f.sigmoid(x) },
  tanh: { parameters: {}, defaults: {}, fuses: false, apply: (f, x) => f.tanh(x) },
} satisfies Record<string, ActivationSpecification>;

export type ActivationName = keyof typeof ACTIVATIONS;

/** Apart from {@link ACTIVATIONS}, since inference needs none of it. */
export const ACTIVATION_GRADIENTS: Readonly<Record<ActivationName, ActivationGradient>> = {
  none: { reads: 'output', derivative: (f) => f.constant(1) },
  relu: { reads: 'output', derivative: (f, y) => f.select(f.greater(y, f.constant(0)), f.constant(1), f.constant(0)) },
  leakyRelu: {
    reads: 'output',
    derivative: (f, y, { slope }) => f.select(f.greater(y, f.constant(0)), f.constant(1), slope),
  },
  sigmoid: { reads: 'output', derivative: (f, y) => f.multiply(y, f.subtract(f.constant(1), y)) },
  tanh: { reads: 'output', derivative: (f, y) => f.subtract(f.constant(1), f.multiply(y, y)) },
};

/** Codes of all activations. */
export const ACTIVATION: Codes<ActivationName> = /* @__PURE__ */ codesOf(ACTIVATIONS);

/** Codes of those that a product, a convolution or a sum can apply on its way out. */
export const FUSED_ACTIVATION: Codes<ActivationName> = /* @__PURE__ */ codesOf<ActivationName, ActivationSpecification>(
  ACTIVATIONS,
  ({ fuses }) => fuses,
);

/** The code of an activation. */
export const activationCode = (name: ActivationName): number => ACTIVATION[name];
