import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { crossEntropy, l2, lossFromOptions, smoothL1, softmaxRows, wing } from '../../src/losses/losses.ts';
import type { Loss, LossOptions } from '../../src/losses/losses.ts';

interface LossVector {
  options: LossOptions;
  count: number;
  size: number;
  prediction: number[];
  target: number[];
  value: number;
  gradient: number[];
}
const vectors = (
  JSON.parse(readFileSync(new URL('../vectors/training/training.json', import.meta.url), 'utf8')) as {
    losses: LossVector[];
  }
).losses;

const element = fc.double({ min: -3, max: 3, noNaN: true });
const pairs = fc
  .tuple(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 2, max: 5 }))
  .chain(([count, size]) =>
    fc.record({
      count: fc.constant(count),
      size: fc.constant(size),
      prediction: fc.array(element, { minLength: count * size, maxLength: count * size }),
      target: fc.array(element, { minLength: count * size, maxLength: count * size }),
    }),
  );
const scale = fc.double({ min: 0.1, max: 4, noNaN: true });

/** Every loss, with the width around its kinks within which a difference quotient straddles two pieces. */
const everyLoss: fc.Arbitrary<{ loss: Loss; kinks: readonly number[] }> = fc.oneof(
  scale.map((s) => ({ loss: l2({ scale: s }), kinks: [] })),
  fc
    .tuple(scale, fc.double({ min: 0.1, max: 2, noNaN: true }))
    .map(([s, beta]) => ({ loss: smoothL1({ scale: s, beta }), kinks: [beta * s] })),
  fc
    .tuple(scale, fc.double({ min: 0.5, max: 3, noNaN: true }))
    .map(([s, w]) => ({ loss: wing({ scale: s, w, epsilon: 0.5 }), kinks: [0, w * s] })),
  fc.constant<{ loss: Loss; kinks: readonly number[] }>({ loss: crossEntropy(), kinks: [] }),
);

/** Rows of positive numbers that sum to one, from any numbers. */
function probabilities(values: readonly number[], count: number, size: number): Float64Array {
  const rows = Float64Array.from(values);
  softmaxRows(rows, count, size);
  return rows;
}

describe('losses', () => {
  test('the gradient is the central difference of the value (double, step 1e-6, atol 1e-7, rtol 1e-4)', () => {
    fc.assert(
      fc.property(everyLoss, pairs, ({ loss, kinks }, { count, size, prediction, target }) => {
        const p = Float64Array.from(prediction);
        const t = loss.classes ? probabilities(target, count, size) : Float64Array.from(target);
        const gradient = new Float64Array(p.length);
        loss.measure(p, t, count, size, gradient);
        for (let i = 0; i < p.length; i++) {
          const error = Math.abs(p[i] - t[i]);
          if (kinks.some((kink) => Math.abs(error - kink) < 1e-5)) continue;
          const at = p[i];
          p[i] = at + 1e-6;
          const above = loss.measure(p, t, count, size);
          p[i] = at - 1e-6;
          const below = loss.measure(p, t, count, size);
          p[i] = at;
          const slope = (above - below) / 2e-6;
          expect(Math.abs(gradient[i] - slope)).toBeLessThanOrEqual(1e-7 + 1e-4 * Math.abs(slope));
        }
      }),
    );
  });

  test('scale is the unit of error: loss(scale) of (p, t) is loss(1) of (p / scale, t / scale), its gradient divided by scale; exactly so for powers of two', () => {
    fc.assert(
      fc.property(pairs, fc.constantFrom(0.25, 0.5, 2, 4), ({ count, size, prediction, target }, s) => {
        const [p, t] = [prediction, target].map((values) => Float64Array.from(values, (v) => Math.round(v * 64) / 64));
        for (const make of [l2, smoothL1, wing] as const) {
          const scaled = new Float64Array(p.length);
          const plain = new Float64Array(p.length);
          expect(make({ scale: s }).measure(p, t, count, size, scaled)).toBe(
            make().measure(
              p.map((v) => v / s),
              t.map((v) => v / s),
              count,
              size,
              plain,
            ),
          );
          expect(scaled.map((g) => g * s)).toEqual(plain);
        }
      }),
    );
  });

  test('a perfect prediction costs 0 and pulls nowhere', () => {
    fc.assert(
      fc.property(pairs, ({ count, size, prediction }) => {
        for (const loss of [l2(), smoothL1(), wing()]) {
          const gradient = new Float64Array(prediction.length).fill(9);
          expect(
            loss.measure(Float64Array.from(prediction), Float64Array.from(prediction), count, size, gradient),
          ).toBe(0);
          expect([...gradient].every((g) => g === 0)).toBe(true);
        }
      }),
    );
  });

  test('a label is the row of probabilities with all mass on it', () => {
    fc.assert(
      fc.property(pairs, fc.infiniteStream(fc.nat()), ({ count, size, prediction }, picks) => {
        const labels = Float64Array.from({ length: count }, () => (picks.next().value as number) % size);
        const rows = new Float64Array(count * size);
        labels.forEach((label, row) => {
          rows[row * size + label] = 1;
        });
        const [a, b] = [new Float64Array(count * size), new Float64Array(count * size)];
        const p = Float64Array.from(prediction);
        expect(crossEntropy().measure(p, labels, count, size, a)).toBe(crossEntropy().measure(p, rows, count, size, b));
        expect(a).toEqual(b);
      }),
    );
  });

  test('logits of 1e30 neither overflow nor lose the label', () => {
    const gradient = new Float32Array(2);
    expect(crossEntropy().measure(Float32Array.of(1e30, -1e30), Float32Array.of(0), 1, 2, gradient)).toBe(0);
    expect([...gradient]).toEqual([0, 0]);
  });

  test.each(vectors.map((vector, i) => [`${i} ${JSON.stringify(vector.options)}`, vector] as const))(
    'value and gradient of PyTorch within 1e-12 relative: %s',
    (_name, vector) => {
      const gradient = new Float64Array(vector.gradient.length);
      const value = lossFromOptions(vector.options).measure(
        Float64Array.from(vector.prediction),
        Float64Array.from(vector.target),
        vector.count,
        vector.size,
        gradient,
      );
      expect(Math.abs(value - vector.value)).toBeLessThanOrEqual(1e-12 * Math.abs(vector.value));
      vector.gradient.forEach((g, i) =>
        expect(Math.abs(gradient[i] - g)).toBeLessThanOrEqual(1e-12 + 1e-12 * Math.abs(g)),
      );
    },
  );

  test('options describe the loss: lossFromOptions(loss.options) has equal options and values', () => {
    for (const loss of [
      l2({ scale: 2 }),
      smoothL1({ beta: 0.1, scale: 0.1 }),
      wing({ w: 3, epsilon: 1 }),
      crossEntropy(),
    ]) {
      const again = lossFromOptions(JSON.parse(JSON.stringify(loss.options)) as LossOptions);
      expect(again.options).toEqual(loss.options);
      expect(again.measure(Float32Array.of(1, 2), Float32Array.of(0.25, 0.75), 1, 2)).toBe(
        loss.measure(Float32Array.of(1, 2), Float32Array.of(0.25, 0.75), 1, 2),
      );
    }
  });

  test('what is left out is what is documented', () => {
    expect(l2().options).toEqual({ kind: 'l2', scale: 1 });
    expect(smoothL1().options).toEqual({ kind: 'smoothL1', beta: 1, scale: 1 });
    expect(wing().options).toEqual({ kind: 'wing', w: 10, epsilon: 2, scale: 1 });
  });

  test('the last piece begins at its bound: an error of w has the slope 1, on either side', () => {
    const gradient = new Float64Array(2);
    wing({ w: 4, epsilon: 2 }).measure(Float64Array.of(4, -4), new Float64Array(2), 1, 2, gradient);
    expect([...gradient]).toEqual([0.5, -0.5]);
  });

  test('what lies behind the numbers that count is neither read nor written', () => {
    for (const loss of [l2(), smoothL1(), wing(), crossEntropy()]) {
      const [p, t] = [Float64Array.of(1, 2, NaN), Float64Array.of(0, 1, NaN)];
      const gradient = Float64Array.of(7, 7, 7);
      expect(loss.measure(p, t, 1, 2, gradient)).toBe(loss.measure(p.subarray(0, 2), t.subarray(0, 2), 1, 2));
      expect(gradient[2]).toBe(7);
      expect(gradient.subarray(0, 2).includes(7)).toBe(false);
    }
  });

  test('a row of targets that sums to another mass pulls with it: the gradient is mass softmax - targets', () => {
    const gradient = new Float64Array(2);
    const value = crossEntropy().measure(Float64Array.of(0, 0), Float64Array.of(1, 0.5), 1, 2, gradient);
    expect(value).toBeCloseTo(1.5 * Math.LN2, 12);
    expect([...gradient]).toEqual([-0.25, 0.25]);
    // A class without mass costs nothing, even where its logit is -Infinity.
    expect(crossEntropy().measure(Float64Array.of(0, -Infinity), Float64Array.of(1, 0), 1, 2)).toBe(0);
  });

  test('wrong options and sizes are refused by name', () => {
    expect(() => smoothL1({ beta: 0 })).toThrow(
      new RangeError('smoothL1: beta: expected a finite number above 0, got 0'),
    );
    expect(() => l2({ scale: -1 })).toThrow(RangeError);
    expect(() => wing({ w: NaN })).toThrow(RangeError);
    expect(() => wing({ epsilon: '2' as unknown as number })).toThrow(TypeError);
    expect(() => lossFromOptions({ kind: 'huber' } as unknown as LossOptions)).toThrow(RangeError);
    expect(() => lossFromOptions(null as unknown as LossOptions)).toThrow(TypeError);
    const [two, one] = [new Float32Array(2), new Float32Array(1)];
    expect(() => l2().measure(one, two, 1, 2)).toThrow('l2: prediction: expected 2 numbers, got 1');
    expect(() => l2().measure(two, one, 1, 2)).toThrow('l2: target: expected 2 numbers, got 1');
    expect(() => l2().measure(two, two, 1, 2, one)).toThrow('l2: gradient: expected room for 2 numbers, got 1');
    expect(() => l2().measure(two, two, 0, 2)).toThrow(RangeError);
    expect(() => crossEntropy().measure(two, one, 2, 1)).toThrow('at least 2 classes');
    expect(() => crossEntropy().measure(new Float32Array(4), one, 2, 2)).toThrow(
      'expected 2 labels or 4 probabilities, got 1',
    );
    for (const label of [2, -1, 0.5, NaN])
      expect(() => crossEntropy().measure(two, Float32Array.of(label), 1, 2)).toThrow('expected a label from 0 to 1');
  });
});
