/**
 * Activations: functions of one element, each a row that says all there is to know of it. Its place in the table is its
 * code; the kernels of both sets follow from its formulas.
 */
import { number, type Rules } from '../../base/rules.ts';
import type { Formula } from './arithmetic.ts';
import { codesOf, type Codes } from './codes.ts';

/** A row of {@link ACTIVATIONS}. */
export interface ActivationSpecification {
  /** What it takes beside its input: numbers, which lie on the heap one after another in this order. */
  readonly parameters: Rules;
  /** Of each parameter. */
  readonly defaults: Readonly<Record<string, number>>;
  /** A product, a convolution or a sum can apply it on its way out: assembly/activation.ts knows it. */
  readonly fuses: boolean;
  readonly apply: Formula;
}

/** A row of {@link ACTIVATION_GRADIENTS}. */
export interface ActivationGradient {
  /** What its derivative is computed from: the activation's output, so that the input need not be kept, or its input. */
  readonly reads: 'output' | 'input';
  /** dy / dx from what it reads. Where there is a kink the slope of its left side holds; fakeQuantize's is another's. */
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
  /** x hardSigmoid(x) (Howard et al., "Searching for MobileNetV3", ICCV 2019). */
  hardSwish: {
    parameters: {},
    defaults: {},
    fuses: false,
    apply: (f, x) => {
      const gate = f.add(f.multiply(x, f.constant(1 / 6)), f.constant(0.5));
      return f.multiply(x, f.minimum(f.maximum(gate, f.constant(0)), f.constant(1)));
    },
  },
  /** min(max(alpha x + beta, 0), 1) (Courbariaux et al. 2015); the defaults are PyTorch's. */
  hardSigmoid: {
    parameters: { alpha: /* @__PURE__ */ number(0, Infinity, 'from'), beta: /* @__PURE__ */ number() },
    defaults: { alpha: 1 / 6, beta: 0.5 },
    fuses: false,
    apply: (f, x, { alpha, beta }) =>
      f.minimum(f.maximum(f.add(f.multiply(x, alpha), beta), f.constant(0)), f.constant(1)),
  },
  /** x / (1 + e^-x): SiLU (Elfwing, Uchibe, Doya 2018), or swish. */
  silu: { parameters: {}, defaults: {}, fuses: false, apply: (f, x) => f.multiply(x, f.sigmoid(x)) },
  /** x times the normal distribution function: x / 2 (1 + erf(x / sqrt 2)) (Hendrycks, Gimpel 2016), not its approximation. */
  gelu: {
    parameters: {},
    defaults: {},
    fuses: false,
    apply: (f, x) => {
      const share = f.add(f.constant(1), f.erf(f.multiply(x, f.constant(Math.SQRT1_2))));
      return f.multiply(f.multiply(x, f.constant(0.5)), share);
    },
  },
  /** x, below 0 alpha (e^x - 1) (Clevert, Unterthiner, Hochreiter 2016). */
  elu: {
    parameters: { alpha: /* @__PURE__ */ number(0, Infinity, 'from') },
    defaults: { alpha: 1 },
    fuses: false,
    apply: (f, x, { alpha }) => {
      // e^x - 1 without the difference, which cancels near 0: 2 t / (1 - t) with t = tanh(x / 2).
      const t = f.tanh(f.multiply(f.minimum(x, f.constant(0)), f.constant(0.5)));
      const power = f.divide(f.add(t, t), f.subtract(f.constant(1), t));
      return f.select(f.greater(x, f.constant(0)), x, f.multiply(alpha, power));
    },
  },
  /** Between two bounds, as ONNX's Clip: of bounds that cross, `maximum` holds. */
  clip: {
    parameters: { minimum: /* @__PURE__ */ number(), maximum: /* @__PURE__ */ number() },
    defaults: { minimum: 0, maximum: 6 },
    fuses: false,
    // Comparisons, for in SIMD they cost half of what minimum and maximum do.
    apply: (f, x, { minimum, maximum }) => {
      const above = f.select(f.less(x, minimum), minimum, x);
      return f.select(f.greater(above, maximum), maximum, above);
    },
  },
  exp: { parameters: {}, defaults: {}, fuses: false, apply: (f, x) => f.exp(x) },
  log: { parameters: {}, defaults: {}, fuses: false, apply: (f, x) => f.log(x) },
  sqrt: { parameters: {}, defaults: {}, fuses: false, apply: (f, x) => f.squareRoot(x) },
  /** ln(1 + e^x). */
  softplus: {
    parameters: {},
    defaults: {},
    fuses: false,
    apply: (f, x) => {
      // max(x, 0) + ln(1 + u) with u <= 1, and what rounding takes from 1 + u given back: small u are kept.
      const u = f.exp(f.negate(f.absolute(x))),
        sum = f.add(u, f.constant(1)),
        lost = f.subtract(u, f.subtract(sum, f.constant(1)));
      return f.add(f.maximum(x, f.constant(0)), f.add(f.log(sum), f.divide(lost, sum)));
    },
  },
  erf: { parameters: {}, defaults: {}, fuses: false, apply: (f, x) => f.erf(x) },
  absolute: { parameters: {}, defaults: {}, fuses: false, apply: (f, x) => f.absolute(x) },
  negate: { parameters: {}, defaults: {}, fuses: false, apply: (f, x) => f.negate(x) },
  reciprocal: { parameters: {}, defaults: {}, fuses: false, apply: (f, x) => f.divide(f.constant(1), x) },
  /** Of two nearest whole numbers the even one. */
  round: { parameters: {}, defaults: {}, fuses: false, apply: (f, x) => f.round(x) },
  /** What of x is left by integers from `lowest` to `highest`, each worth `scale`, with x = 0 at `zero`; trained straight through (Jacob et al. 2018). */
  fakeQuantize: {
    parameters: {
      scale: /* @__PURE__ */ number(0, Infinity, 'from'),
      zero: /* @__PURE__ */ number(),
      lowest: /* @__PURE__ */ number(),
      highest: /* @__PURE__ */ number(),
    },
    defaults: { scale: 1 / 32, zero: 0, lowest: -128, highest: 127 },
    fuses: false,
    apply: (f, x, { scale, zero, lowest, highest }) => {
      const level = f.add(f.round(f.divide(x, scale)), zero);
      return f.multiply(f.subtract(f.minimum(f.maximum(level, lowest), highest), zero), scale);
    },
  },
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
  hardSwish: {
    reads: 'input',
    derivative: (f, x) => {
      const between = f.add(f.multiply(x, f.constant(1 / 3)), f.constant(0.5));
      const above = f.select(f.greater(x, f.constant(3)), f.constant(1), between);
      return f.select(f.greater(x, f.constant(-3)), above, f.constant(0));
    },
  },
  hardSigmoid: {
    reads: 'output',
    derivative: (f, y, { alpha }) =>
      f.select(f.greater(y, f.constant(0)), f.select(f.less(y, f.constant(1)), alpha, f.constant(0)), f.constant(0)),
  },
  silu: {
    reads: 'input',
    derivative: (f, x) => {
      // 1 - sigmoid(x) as sigmoid(-x): the difference cancels where x is large, and is multiplied by it.
      const rest = f.sigmoid(f.negate(x));
      return f.multiply(f.sigmoid(x), f.add(f.constant(1), f.multiply(x, rest)));
    },
  },
  gelu: {
    reads: 'input',
    derivative: (f, x) => {
      const share = f.add(f.constant(1), f.erf(f.multiply(x, f.constant(Math.SQRT1_2))));
      const density = f.exp(f.multiply(f.multiply(x, x), f.constant(-0.5)));
      const slope = f.multiply(f.multiply(x, density), f.constant(1 / Math.sqrt(2 * Math.PI)));
      return f.add(f.multiply(share, f.constant(0.5)), slope);
    },
  },
  elu: {
    reads: 'output',
    derivative: (f, y, { alpha }) => f.select(f.greater(y, f.constant(0)), f.constant(1), f.add(y, alpha)),
  },
  clip: {
    reads: 'input',
    derivative: (f, x, { minimum, maximum }) =>
      f.select(f.greater(x, minimum), f.select(f.greater(x, maximum), f.constant(0), f.constant(1)), f.constant(0)),
  },
  exp: { reads: 'output', derivative: (_f, y) => y },
  log: { reads: 'input', derivative: (f, x) => f.divide(f.constant(1), x) },
  sqrt: { reads: 'output', derivative: (f, y) => f.divide(f.constant(0.5), y) },
  softplus: { reads: 'input', derivative: (f, x) => f.sigmoid(x) },
  erf: {
    reads: 'input',
    derivative: (f, x) => f.multiply(f.constant(2 / Math.sqrt(Math.PI)), f.exp(f.negate(f.multiply(x, x)))),
  },
  absolute: {
    reads: 'input',
    derivative: (f, x) => f.select(f.greater(x, f.constant(0)), f.constant(1), f.constant(-1)),
  },
  negate: { reads: 'output', derivative: (f) => f.constant(-1) },
  reciprocal: { reads: 'output', derivative: (f, y) => f.negate(f.multiply(y, y)) },
  round: { reads: 'output', derivative: (f) => f.constant(0) },
  fakeQuantize: {
    reads: 'input',
    derivative: (f, x, { scale, zero, lowest, highest }) => {
      const level = f.add(f.round(f.divide(x, scale)), zero);
      const above = f.select(f.greater(level, highest), f.constant(0), f.constant(1));
      return f.select(f.less(level, lowest), f.constant(0), above);
    },
  },
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
