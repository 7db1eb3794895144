import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { EspalierError } from '../../src/base/errors.ts';
import { covarianceMatrix } from '../../src/importance/index.ts';
import { regression } from '../../src/pruning/index.ts';
import { normal, stream } from '../../src/base/random.ts';
import vectors from '../vectors/correlation.json' with { type: 'json' };

describe('regression', () => {
  test('agrees with numpy.linalg.solve to 1e-12', () => {
    const { channels, covariance, kept, removed, ridge, coefficients } = vectors.repair;
    const found = regression(Float64Array.from(covariance), channels, kept, removed, ridge);
    expect(found.merged).toBe(0);
    found.coefficients.forEach((b, i) => expect(Math.abs(b - coefficients[i])).toBeLessThan(1e-12));
  });

  test('a channel that is a sum of kept ones is predicted by that sum as the ridge goes to 0 (< 1e-5), at scales apart by 1e4', () => {
    fc.assert(
      fc.property(fc.nat(1000), fc.integer({ min: -2, max: 2 }), (seed, exponent) => {
        const draw = stream(seed, 'test');
        const scale = 10 ** exponent;
        const rows = Array.from({ length: 2 }, () => Array.from({ length: 30 }, () => normal(draw)));
        const x = [...rows[0], ...rows[1].map((v) => v * scale), ...rows[0].map((v, i) => 2 * v - 3 * rows[1][i])];
        const { coefficients } = regression(covarianceMatrix(x, 3, 30), 3, [0, 1], [2], 1e-12);
        expect(Math.abs(coefficients[0] - 2)).toBeLessThan(1e-5);
        expect(Math.abs(coefficients[1] * scale + 3)).toBeLessThan(1e-5);
      }),
    );
  });

  test('a kept channel that hardly fires predicts hardly anything, though in the few samples it happens to fit', () => {
    // Channel 1 fires once, by 0.01, where the removed channel 2 fires by 1: without ridge its coefficient were 100.
    const x = [1, -1, 1, -1, 2, 0, 0, 0, 0.01, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0];
    const covariance = covarianceMatrix(x, 3, 8);
    expect(Math.abs(regression(covariance, 3, [0, 1], [2], 1e-12).coefficients[1])).toBeGreaterThan(30);
    expect(Math.abs(regression(covariance, 3, [0, 1], [2], 0.03).coefficients[1])).toBeLessThan(0.1);
  });

  test('constant channels neither predict nor are predicted, and never give NaN', () => {
    const x = [1, 2, 3, 5, 5, 5, 2, 4, 7, 4, 4, 4];
    const { coefficients, merged } = regression(covarianceMatrix(x, 4, 3), 4, [0, 1], [2, 3], 0.01);
    expect(coefficients[0]).not.toBe(0);
    expect([...coefficients].slice(1)).toEqual([0, 0, 0]);
    expect(merged).toBe(0);
    expect([...regression(new Float64Array(9), 3, [0, 1], [2], 0.01).coefficients]).toEqual([0, 0]);
  });

  test('more kept channels than observations, and kept duplicates, stay finite', () => {
    const draw = stream(1, 'test');
    const x = Array.from({ length: 12 * 3 }, () => normal(draw));
    x.splice(3, 3, ...x.slice(0, 3));
    const { coefficients } = regression(covarianceMatrix(x, 12, 3), 12, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9], [10, 11], 0.01);
    expect([...coefficients].every((b) => Number.isFinite(b) && Math.abs(b) < 10)).toBe(true);
  });

  test("outgoing weights are a channel's units: what is scaled up as they are scaled down is predicted and predicts alike (1e-12)", () => {
    const draw = stream(3, 'test');
    const x = Array.from({ length: 5 * 20 }, () => normal(draw));
    const outgoing = [0.5, 1, 2, 0.25, 3];
    const factors = [8, 0.125, 1, 64, 0.5];
    const { coefficients } = regression(covarianceMatrix(x, 5, 20), 5, [0, 1, 2], [3, 4], 0.1, outgoing);
    const scaled = regression(
      covarianceMatrix(
        x.map((v, i) => v * factors[Math.floor(i / 20)]),
        5,
        20,
      ),
      5,
      [0, 1, 2],
      [3, 4],
      0.1,
      outgoing.map((s, c) => s / factors[c]),
    );
    scaled.coefficients.forEach((b, i) => {
      const back = (b * factors[i % 3]) / factors[3 + Math.floor(i / 3)];
      expect(Math.abs(back - coefficients[i])).toBeLessThan(1e-12);
    });
    expect(Math.abs(coefficients[0])).toBeGreaterThan(1e-3);
    // And it is not the same as without them.
    expect(regression(covarianceMatrix(x, 5, 20), 5, [0, 1, 2], [3, 4], 0.1).coefficients).not.toEqual(coefficients);
  });

  test('one kept, one removed, by hand: covariance / (variance + ridge x what it contributes, in its own units)', () => {
    const found = regression(Float64Array.of(4, 3, 3, 9), 2, [0], [1], 0.5, [7, 1]);
    expect(found.coefficients[0]).toBeCloseTo(3 / (4 + 0.5 * 4), 12);
    const two = regression(Float64Array.of(4, 0, 2, 0, 1, 3, 2, 3, 99), 3, [0, 1], [2], 0.1, [1, 4, 1]);
    // Contributions 4 and 16, mean 10: 1 is added to the first variance, 1 / 16 to the second.
    expect(two.coefficients[0]).toBeCloseTo(2 / 5, 12);
    expect(two.coefficients[1]).toBeCloseTo(3 / (1 + 1 / 16), 12);
  });

  test('one channel alone is a covariance: itself kept, nothing removed', () => {
    expect([...regression(Float64Array.of(2), 1, [0], [], 0.1).coefficients]).toEqual([]);
    expect(() => regression(new Float64Array(0), 0, [], [], 0.1)).toThrow(/channels: expected .* got 0/);
  });

  test('a kept channel that nobody reads predicts nothing', () => {
    const found = regression(Float64Array.of(4, 3, 3, 9), 2, [0], [1], 0.5, [0, 1]);
    expect([...found.coefficients]).toEqual([0]);
  });

  test('refused: a ridge of 0, a covariance of another size or with NaN, and one that is not positive definite', () => {
    expect(() => regression(new Float64Array(4), 2, [0], [1], 0)).toThrow(RangeError);
    expect(() => regression(new Float64Array(3), 2, [0], [1], 0.1)).toThrow(RangeError);
    expect(() => regression(new Float64Array(4), 2, [0], [1], 0.1, [1])).toThrow(/outgoing: expected 2 numbers, got 1/);
    expect(() => regression(Float64Array.of(1, 0, 0, NaN), 2, [0], [1], 0.1)).toThrow(EspalierError);
    expect(() => regression(Float64Array.of(1, 5, 0, 5, 1, 0, 0, 0, 1), 3, [0, 1], [2], 0.1)).toThrow(
      /not positive definite/,
    );
  });
});
