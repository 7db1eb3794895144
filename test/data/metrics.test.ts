import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { classMetrics, cumulativeCurve, landmarkMetrics, regressionMetrics } from '../../src/data/index.ts';
import { difference, vectors } from './vectors.ts';

const coordinate = fc.double({ min: 0, max: 1, noNaN: true });
const faces = fc
  .integer({ min: 1, max: 6 })
  .chain((n) =>
    fc.tuple(
      fc.array(coordinate, { minLength: 6 * n, maxLength: 6 * n }),
      fc.array(coordinate, { minLength: 6 * n, maxLength: 6 * n }),
    ),
  );
const apart = (targets: readonly number[]): boolean =>
  targets.every(
    (_, i) => i % 6 !== 0 || Math.hypot(targets[i] - targets[i + 2], targets[i + 1] - targets[i + 3]) > 0.01,
  );
const OPTIONS = { points: 3, normalizeBy: [0, 1] } as const;

describe('landmarkMetrics', () => {
  it('agrees with NumPy within 1e-12, curve and area too (area within 1e-6)', () => {
    const { points, normalizeBy, predictions, targets, curve, area, ...expected } = vectors.metrics;
    const found = landmarkMetrics(predictions, targets, { points, normalizeBy, side: 96 });
    expect(found.samples).toBe(9);
    expect(found.excluded).toBe(0);
    for (const name of ['rmse', 'nme', 'nmeMedian', 'failureRate'] as const)
      expect(Math.abs((found[name] ?? NaN) - expected[name])).toBeLessThan(1e-12);
    expect(found.rmsePixels).toBeCloseTo(96 * expected.rmse, 10);
    expect(difference(found.errors ?? [], expected.errors)).toBeLessThan(1e-12);
    expect(Array.from(cumulativeCurve(found.errors ?? [], 0.2, 10).fractions)).toEqual(curve);
    expect(Math.abs(cumulativeCurve(found.errors ?? []).area - area)).toBeLessThan(1e-6);
  });

  it('is 0 for the targets themselves, and does not change when both move alike', () => {
    fc.assert(
      fc.property(
        faces.filter(([, targets]) => apart(targets)),
        ([predictions, targets]) => {
          const own = landmarkMetrics(targets, targets, OPTIONS);
          expect([own.rmse, own.nme, own.nmeMedian, own.failureRate]).toEqual([0, 0, 0, 0]);
          const found = landmarkMetrics(predictions, targets, OPTIONS);
          const moved = landmarkMetrics(
            predictions.map((v) => v + 0.25),
            targets.map((v) => v + 0.25),
            OPTIONS,
          );
          expect(Math.abs(moved.rmse - found.rmse)).toBeLessThan(1e-9);
          expect(Math.abs((moved.nme ?? NaN) - (found.nme ?? NaN))).toBeLessThan(1e-9 * (1 + (found.nme ?? NaN)));
        },
      ),
    );
  });

  it('RMSE grows with the crop, NME does not', () => {
    fc.assert(
      fc.property(
        faces.filter(([, targets]) => apart(targets)),
        ([predictions, targets]) => {
          const found = landmarkMetrics(predictions, targets, OPTIONS),
            twice = landmarkMetrics(
              predictions.map((v) => 2 * v),
              targets.map((v) => 2 * v),
              OPTIONS,
            );
          expect(twice.rmse).toBeCloseTo(2 * found.rmse, 10);
          expect(twice.errors).toEqual(found.errors);
        },
      ),
    );
  });

  it('leaves out and counts faces whose normalizing points coincide, and fails where all do', () => {
    const targets = [0, 0, 1, 0, 0, 1, 0.5, 0.5, 0.5, 0.5, 0, 1],
      predictions = targets.map((v) => v + 0.3);
    const found = landmarkMetrics(predictions, targets, OPTIONS);
    expect(found.excluded).toBe(1);
    expect(Array.from(found.errors ?? [])).toEqual([expect.closeTo(0.3 * Math.SQRT2, 10), NaN]);
    expect(found.nme).toBeCloseTo(0.3 * Math.SQRT2, 10);
    expect(found.nmeMedian).toBe(found.nme);
    expect(found.failureRate).toBe(1);
    expect(cumulativeCurve(found.errors ?? [], 1, 2).fractions).toEqual(Float64Array.of(0, 1, 1));
    expect(() => landmarkMetrics(predictions.slice(6), targets.slice(6), OPTIONS)).toThrow(
      expect.objectContaining({ code: 'DATA' }),
    );
  });

  it('counts a face as failed above 10 %, not at 10 %', () => {
    const targets = [0, 0, 1, 0, 0, 0, 1, 0],
      shifts = [0.1, 0.1001];
    const found = landmarkMetrics(
      targets.map((v, i) => v + (i % 2) * shifts[i >> 2]),
      targets,
      { points: 2, normalizeBy: [0, 1] },
    );
    expect(Array.from(found.errors ?? [])).toEqual(shifts);
    expect(found.failureRate).toBe(0.5);
  });

  it('gives no NME without normalizeBy, and no pixels without a side', () => {
    expect(landmarkMetrics([0, 0], [0.3, 0.4], { points: 1 })).toEqual({ samples: 1, rmse: Math.sqrt(0.125) });
  });

  it('refuses arrays that do not fit, empty sets, numbers that are not finite, points that are not there', () => {
    expect(() => landmarkMetrics([0, 0], [0, 0, 0], { points: 1 })).toThrow(/multiple of 2/);
    expect(() => landmarkMetrics([0, 0], [0, 0, 0, 0], { points: 1 })).toThrow(/expected 4 numbers/);
    expect(() => landmarkMetrics([], [], { points: 1 })).toThrow(/empty/);
    expect(() => landmarkMetrics([NaN, 0], [0, 0], { points: 1 })).toThrow(
      expect.objectContaining({ code: 'NONFINITE' }),
    );
    expect(() => landmarkMetrics([0, 0], [0, 0], { points: 1, normalizeBy: [0, 1] })).toThrow(/normalizeBy\[1\]/);
    expect(() => landmarkMetrics([0, 0], [0, 0], { points: 0 })).toThrow(RangeError);
    expect(() => landmarkMetrics([0, 0], [0, 0], { points: 1, side: 0 })).toThrow(/side/);
  });
});

describe('cumulativeCurve', () => {
  it('never falls, starts with the share of zeros, and its area is the mean of what lies below the limit', () => {
    fc.assert(
      fc.property(
        fc.array(fc.double({ min: 0, max: 0.3, noNaN: true }), { minLength: 1 }),
        fc.integer({ min: 1, max: 50 }),
        (errors, steps) => {
          const { thresholds, fractions, area } = cumulativeCurve(errors, 0.1, steps);
          expect(thresholds.length).toBe(steps + 1);
          expect(thresholds[steps]).toBe(0.1);
          expect(fractions[0]).toBe(errors.filter((e) => e === 0).length / errors.length);
          for (let i = 1; i <= steps; i++) expect(fractions[i]).toBeGreaterThanOrEqual(fractions[i - 1]);
          // The step sums from below and above hold it between them.
          const upper = fractions.subarray(1).reduce((a, b) => a + b, 0) / steps,
            lower = fractions.subarray(0, steps).reduce((a, b) => a + b, 0) / steps;
          expect(area).toBeLessThanOrEqual(upper + 1e-9);
          expect(area).toBeGreaterThanOrEqual(lower - 1e-9);
        },
      ),
    );
  });

  it('refuses no errors, no steps and a limit of 0', () => {
    expect(() => cumulativeCurve([NaN])).toThrow(expect.objectContaining({ code: 'DATA' }));
    expect(() => cumulativeCurve([0], 0)).toThrow(RangeError);
    expect(() => cumulativeCurve([0], 1, 0)).toThrow(RangeError);
  });
});

describe('classMetrics and regressionMetrics', () => {
  it('counts the largest score, the first of equal ones', () => {
    expect(classMetrics([1, 2, 3, 3, 1, 1, 5, 5, 0, 0, 0, 9], [2, 0, 1, 2], 3)).toEqual({ samples: 4, accuracy: 0.75 });
  });

  it('accuracy does not change when the classes are renamed, where scores differ', () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.double({ noNaN: true, noDefaultInfinity: true }), {
          minLength: 12,
          maxLength: 12,
          // 0 and -0 are a tie.
          comparator: 'IsStrictlyEqual',
        }),
        fc.array(fc.nat(2), { minLength: 4, maxLength: 4 }),
        (scores, labels) => {
          const renamed = scores.map((_, i) => scores[i - (i % 3) + ((i + 1) % 3)]);
          expect(
            classMetrics(
              renamed,
              labels.map((label) => (label + 2) % 3),
              3,
            ),
          ).toEqual(classMetrics(scores, labels, 3));
        },
      ),
    );
  });

  it('refuses labels out of range, and arrays that do not fit', () => {
    for (const label of [-1, 2, 0.5])
      expect(() => classMetrics([0, 1], [label], 2)).toThrow(expect.objectContaining({ code: 'DATA' }));
    expect(() => classMetrics([0, 1, 2], [0], 2)).toThrow(/1 x 2/);
    expect(() => classMetrics([], [], 2)).toThrow(/empty/);
    expect(() => classMetrics([NaN, 0], [0], 2)).toThrow(expect.objectContaining({ code: 'NONFINITE' }));
  });

  it('measures the root of the mean square', () => {
    expect(regressionMetrics([1, 2, 3, 4], [1, 2, 3, 0], 2)).toEqual({ samples: 2, rmse: 2 });
  });
});
