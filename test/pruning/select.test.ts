import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { EspalierError } from '../../src/base/errors.ts';
import { keepAbove, keepBest } from '../../src/pruning/index.ts';

const scores = fc.array(fc.integer({ min: -5, max: 5 }), { minLength: 1, maxLength: 30 });

describe('keepBest', () => {
  test('no channel that goes scores above one that stays, and among equals the lowest indices stay', () => {
    fc.assert(
      fc.property(scores, fc.nat(30), (values, count) => {
        const { kept } = keepBest(values, { count });
        const stays = new Set(kept);
        values.forEach((score, c) => {
          if (stays.has(c)) return;
          for (const k of kept) expect(values[k] > score || (values[k] === score && k < c)).toBe(true);
        });
      }),
    );
  });
  test('as many as asked for, rounded up to the multiple, at least the minimum, at most all; ascending; the report counts them', () => {
    fc.assert(
      fc.property(
        scores,
        fc.double({ min: 0, max: 1, noNaN: true }),
        fc.integer({ min: 1, max: 8 }),
        fc.integer({ min: 1, max: 6 }),
        (values, fraction, multipleOf, minimum) => {
          const { kept, report } = keepBest(values, { fraction, multipleOf, minimum });
          const asked = Math.round(fraction * values.length);
          expect(report).toMatchObject({ before: values.length, after: kept.length, asked });
          expect(kept.length).toBeGreaterThanOrEqual(Math.min(values.length, Math.max(asked, minimum)));
          expect(kept.length % multipleOf === 0 || kept.length === values.length).toBe(true);
          expect(kept.length - multipleOf).toBeLessThan(Math.max(asked, minimum));
          expect(report.raised).toBe(asked < Math.min(minimum, values.length));
          expect([...kept]).toEqual([...new Set(kept)].sort((a, b) => a - b));
          expect(report.lowestKept).toBe(Math.min(...[...kept].map((k) => values[k])));
        },
      ),
    );
  });
  test('a request that rounds to none leaves the best one, and says so', () => {
    expect(keepBest([1, 3, 2], { fraction: 0.1 })).toEqual({
      kept: Int32Array.of(1),
      report: { before: 3, after: 1, asked: 0, raised: true, lowestKept: 3, highestRemoved: 2 },
    });
    expect(keepBest([1, 3, 2], { count: 0 }).report.raised).toBe(true);
  });
  test('scores that are not finite are no ranking: NONFINITE with the element', () => {
    for (const bad of [NaN, Infinity, -Infinity]) {
      for (const select of [() => keepBest([1, bad], { count: 1 }), () => keepAbove([1, bad], 0)]) {
        expect(select).toThrow(EspalierError);
        expect(select).toThrow(/element 1/);
      }
    }
  });
  test.each<[string, () => unknown, typeof RangeError | typeof TypeError]>([
    ['no scores', () => keepBest([], { count: 1 }), RangeError],
    ['no array', () => keepBest(undefined as never, { count: 1 }), TypeError],
    ['neither fraction nor count', () => keepBest([1], {}), RangeError],
    ['both', () => keepBest([1], { count: 1, fraction: 1 }), RangeError],
    ['fraction above 1', () => keepBest([1], { fraction: 1.5 }), RangeError],
    ['negative count', () => keepBest([1], { count: -1 }), RangeError],
    ['multipleOf 0', () => keepBest([1], { count: 1, multipleOf: 0 }), RangeError],
    ['minimum 0', () => keepBest([1], { count: 1, minimum: 0 }), RangeError],
    ['threshold NaN', () => keepAbove([1], NaN), RangeError],
    ['threshold minimum 0', () => keepAbove([1], 0, { minimum: 0 }), RangeError],
  ])('refused: %s', (_what, run, kind) => expect(run).toThrow(kind));
});

describe('keepAbove', () => {
  test('exactly the channels above the threshold stay, unless there is none', () => {
    fc.assert(
      fc.property(scores, fc.integer({ min: -6, max: 6 }), (values, threshold) => {
        const above = values.flatMap((score, c) => (score > threshold ? [c] : []));
        const { kept, report } = keepAbove(values, threshold);
        if (above.length > 0) expect([...kept]).toEqual(above);
        else expect([...kept]).toEqual([values.indexOf(Math.max(...values))]);
        expect(report.raised).toBe(above.length === 0);
      }),
    );
  });
});
