import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { cut } from '../../../src/kernels/lowering/cut.ts';

describe('cut', () => {
  const cuts = fc.record({
    count: fc.integer({ min: 0, max: 5000 }),
    multiple: fc.integer({ min: 1, max: 64 }),
    pieces: fc.integer({ min: 1, max: 12 }),
  });

  it('covers everything once and in order, in runs of multiples that differ by one at most, the longer ones first', () => {
    fc.assert(
      fc.property(cuts, ({ count, multiple, pieces }) => {
        const runs = cut(count, multiple, pieces);
        expect(runs.length).toBe(Math.min(pieces, Math.ceil(count / multiple)));
        let end = 0;
        for (const [first, length] of runs) {
          expect(first).toBe(end);
          end += length;
        }
        expect(end).toBe(count);
        const units = runs.map(([, length]) => Math.ceil(length / multiple));
        expect(runs.slice(0, -1).every(([, length]) => length % multiple === 0)).toBe(true);
        expect(units).toEqual(units.toSorted((a, b) => b - a));
        if (units.length > 0) expect(units[0] - units[units.length - 1]).toBeLessThanOrEqual(1);
      }),
    );
  });

  it('lets 2 threads share the work of 1 to 70 samples evenly, but for one', () => {
    for (let samples = 1; samples <= 70; samples++) {
      const shares = [0, 0];
      for (const [, length] of cut(samples)) shares[shares[0] <= shares[1] ? 0 : 1] += length;
      expect(Math.abs(shares[0] - shares[1])).toBeLessThanOrEqual(1);
    }
  });
});
