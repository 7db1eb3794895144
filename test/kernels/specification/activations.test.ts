/** Laws of every row of the table of activations: nobody has to write a test for a new one. */
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { checkRule } from '../../../src/base/rules.ts';
import { portableKernels } from '../../../src/kernels/index.ts';
import {
  ACTIVATION,
  ACTIVATION_GRADIENTS,
  ACTIVATIONS,
  FUSED_ACTIVATION,
  type ActivationName,
  type ActivationSpecification,
} from '../../../src/kernels/specification/activations.ts';
import {
  awkwardFloats,
  bothSets,
  expectWithin,
  lengths,
  normals,
  onBoth,
  openBench,
  seeds,
  skews,
  type Bench,
} from '../bench.ts';
import { NUMBERS } from '../../../src/kernels/portable/arithmetic.ts';
import { callKernel } from '../../../src/kernels/specification/call.ts';

let benches: readonly [Bench, Bench];
beforeAll(async () => {
  const [portable, simd] = await bothSets();
  benches = [openBench(portable), openBench(simd)];
});
const double = openBench(portableKernels(), { words: 1 << 12, scratchWords: 0, precision: 'float64' });

const names = Object.keys(ACTIVATIONS) as ActivationName[];
const parametersOf = (name: ActivationName): ActivationSpecification['parameters'] => ACTIVATIONS[name].parameters;
const defaultsOf = (name: ActivationName): ActivationSpecification['defaults'] => ACTIVATIONS[name].defaults;
const defaults = (name: ActivationName): number[] =>
  Object.keys(parametersOf(name)).map((parameter) => defaultsOf(name)[parameter]);

/** activation(x) on a bench, x and result apart or in one place. */
function forward(bench: Bench, name: ActivationName, x: ArrayLike<number>, inPlace = false): number[] {
  const from = bench.floats(x),
    to = inPlace ? from : bench.room(x.length),
    parameters = bench.floats(defaults(name));
  bench.kernels.activationForward(bench.scratch, from, to, x.length, ACTIVATION[name], parameters);
  return bench.read(to, x.length);
}

/** dy activation'(.), with what the derivative reads, in place of dy or apart. */
function backward(
  bench: Bench,
  name: ActivationName,
  reads: ArrayLike<number>,
  dy: ArrayLike<number>,
  inPlace = false,
): number[] {
  const from = bench.floats(reads),
    gradient = bench.floats(dy),
    to = inPlace ? gradient : bench.room(dy.length),
    parameters = bench.floats(defaults(name));
  bench.kernels.activationBackward(bench.scratch, from, gradient, to, dy.length, ACTIVATION[name], parameters);
  return bench.read(to, dy.length);
}

/** Its gradient is that of another function by intention. */
const STRAIGHT_THROUGH = 'fakeQuantize';

/** Numbers where it is a function of real numbers. */
function inDomain<T extends ArrayLike<number>>(name: ActivationName, x: T): Float64Array {
  const takesNegative = Number.isFinite(ACTIVATIONS[name].apply(NUMBERS, -1, defaultsOf(name) as never));
  return Float64Array.from(x, (value) => (takesNegative ? value : Math.abs(value)));
}

/** What the derivative of an activation reads at x. */
function readsAt(name: ActivationName, x: Float32Array): Float32Array {
  if (ACTIVATION_GRADIENTS[name].reads === 'input') return x;
  benches[0].reset();
  return Float32Array.from(forward(benches[0], name, x));
}

const inputs = fc.oneof(
  awkwardFloats(0, 67),
  fc.tuple(lengths, seeds, fc.constantFrom(0.1, 1, 10, 40)).map(([n, seed, scale]) => [...normals(seed, n, scale)]),
);

describe.each(names)('%s', (name) => {
  it('has parameters whose defaults their rules allow', () => {
    expect(Object.keys(defaultsOf(name))).toEqual(Object.keys(parametersOf(name)));
    for (const [parameter, rule] of Object.entries(parametersOf(name)))
      expect(checkRule('test', parameter, rule, defaultsOf(name)[parameter])).toBe(defaultsOf(name)[parameter]);
  });

  it('forward, SIMD against portable: relative error < 4e-7 of x and y, or absolute < 1.2e-38; lengths 0 to 67', () => {
    fc.assert(
      fc.property(inputs, skews, (x, skew) => {
        const { portable, simd } = onBoth(benches, skew, (bench) => forward(bench, name, x));
        expectWithin(simd, portable, (i) => 4e-7 * (Math.abs(portable[i]) + Math.abs(x[i])) + 1.2e-38);
      }),
      { numRuns: 200 },
    );
  });

  it('backward, SIMD against portable: within 1e-6 of |dy| and |dx|', () => {
    fc.assert(
      fc.property(lengths, seeds, fc.constantFrom(0.1, 1, 10), skews, (n, seed, scale, skew) => {
        const from = readsAt(name, normals(seed, n, scale)),
          dy = normals(seed + 1, n);
        const { portable, simd } = onBoth(benches, skew, (bench) => backward(bench, name, from, dy));
        expectWithin(simd, portable, (i) => 1e-6 * Math.max(Math.abs(dy[i]), Math.abs(portable[i])));
      }),
    );
  });

  it.skipIf(name === STRAIGHT_THROUGH)('derivative: within 1e-5 + 0.1 % of central differences in double', () => {
    fc.assert(
      fc.property(seeds, (seed) => {
        // Apart from kinks, which lie at whole numbers.
        const kept = normals(seed, 40, 2).filter((value) => Math.abs(value - Math.round(value)) > 1e-4);
        const x = [...inDomain(name, kept)],
          step = 1e-6;
        const at = (shift: number): number[] => {
          double.reset();
          return forward(
            double,
            name,
            x.map((value) => value + shift),
          );
        };
        const [above, below, y] = [at(step), at(-step), at(0)];
        const reads = ACTIVATION_GRADIENTS[name].reads === 'input' ? x : y;
        const found = backward(double, name, reads, new Array<number>(x.length).fill(1));
        expectWithin(
          found,
          x.map((_, i) => (above[i] - below[i]) / (2 * step)),
          (i) => 1e-5 + 1e-3 * Math.abs(found[i]),
        );
      }),
      { numRuns: 20 },
    );
  });

  it('in place: the same floats as apart, on both sets', () => {
    fc.assert(
      fc.property(lengths, seeds, (n, seed) => {
        const x = normals(seed, n),
          from = readsAt(name, x);
        for (const bench of benches) {
          const [apart, over] = [false, true].map((inPlace) => {
            bench.reset();
            const both = [forward(bench, name, x, inPlace), backward(bench, name, from, x, inPlace)];
            bench.checkGuards();
            return both;
          });
          expect(over).toEqual(apart);
        }
      }),
      { numRuns: 20 },
    );
  });

  it('a NaN stays one, forward and backward, on both sets', () => {
    const holed = [...inDomain(name, [1, NaN, -1, 2, NaN])];
    const { portable, simd } = onBoth(benches, 0, (bench) => [
      forward(bench, name, holed).map(Number.isNaN),
      backward(bench, name, [1, 1, 1, 1, 1], holed).map(Number.isNaN),
    ]);
    expect([...portable, ...simd]).toEqual(new Array(4).fill(holed.map(Number.isNaN)));
  });
});

describe('codes of activations', () => {
  it.each([-1, names.length, names.length + 1, 2 ** 31 - 1])('%d is none: an error of both sets', (code) => {
    const { kernels } = benches[0];
    expect(() => kernels.activationForward(0, 0, 0, 1, code, 0)).toThrow(RangeError);
    expect(() => kernels.activationBackward(0, 0, 0, 0, 1, code, 0)).toThrow(RangeError);
    const trap = benches[1];
    expect(() => trap.kernels.activationForward(trap.scratch, 0, 0, 1, code, 0)).toThrow(/unreachable/);
    expect(() => trap.kernels.activationBackward(trap.scratch, 0, 0, 0, 1, code, 0)).toThrow(/unreachable/);
  });

  const unfused = names.filter((name) => !Object.hasOwn(FUSED_ACTIVATION, name));
  it.each([...unfused.map((name) => ACTIVATION[name]), names.length])(
    '%d does not fuse: an error of a product, a convolution, a map and a sum of both sets',
    (code) => {
      benches.forEach(({ kernels, scratch, ...bench }, set) => {
        bench.reset();
        const geometry = bench.geometry(ONE),
          message =
            set === 0 ? /activation: expected one of 0 \(none\), 1 \(relu\), 2 \(leakyRelu\), got/ : /unreachable/;
        expect(() =>
          callKernel(kernels, 'matmul', scratch, {
            m: 1,
            n: 1,
            k: 1,
            a: 0,
            aRow: 1,
            aColumn: 1,
            b: 0,
            bRow: 1,
            bColumn: 1,
            c: 0,
            cRow: 1,
            flags: 0,
            bias: -1,
            activation: code,
            parameters: 0,
          }),
        ).toThrow(message);
        expect(() =>
          callKernel(kernels, 'convolutionForward', scratch, {
            geometry,
            x: 0,
            packed: 0,
            bias: -1,
            y: 0,
            sample: 0,
            samples: 1,
            position: 0,
            positions: 1,
            activation: code,
            parameters: 0,
          }),
        ).toThrow(message);
        expect(() =>
          callKernel(kernels, 'affineForward', scratch, {
            x: 0,
            scale: 0,
            shift: 0,
            y: 0,
            samples: 1,
            allChannels: 1,
            positions: 1,
            activation: code,
            parameters: 0,
          }),
        ).toThrow(message);
        expect(() => kernels.add(scratch, 0, 0, 0, 1, code, 0)).toThrow(message);
      });
    },
  );

  it('a program that names none is refused by both sets', () => {
    const piece = { x: 0, y: 0, count: 1, activation: names.length, parameters: 0 };
    for (const { set } of benches)
      expect(() =>
        set.openSync({ words: 8, scratchWords: 0, programs: [[{ kernel: 'activationForward', pieces: [piece] }]] }),
      ).toThrow(/activation of pieces\[0\] of activationForward: expected one of 0 \(none\), .* got/);
  });
});

const ONE = {
  channelsIn: 1,
  heightIn: 1,
  widthIn: 1,
  channelsOut: 1,
  heightOut: 1,
  widthOut: 1,
  kernelHeight: 1,
  kernelWidth: 1,
  strideY: 1,
  strideX: 1,
  paddingTop: 0,
  paddingLeft: 0,
  dilationY: 1,
  dilationX: 1,
  groups: 1,
};
