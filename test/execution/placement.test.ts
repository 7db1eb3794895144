import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { align, place } from '../../src/execution/placement.ts';
import type { Storage } from '../../src/execution/placement.ts';

const storages: fc.Arbitrary<Storage[]> = fc
  .array(
    fc.record({
      words: fc.integer({ min: 0, max: 100 }).map(align),
      from: fc.integer({ min: -1, max: 12 }),
      lasts: fc.oneof(fc.integer({ min: 0, max: 6 }), fc.constant(Infinity)),
    }),
    { maxLength: 40 },
  )
  .map((all) => all.map(({ words, from, lasts }) => ({ words, from, until: from + lasts, offset: -1 })));

describe('place', () => {
  it.each([0, 1, 5, 4096])('lets no two share words whose times meet, with %d fitted into gaps', (mostFitted) => {
    fc.assert(
      fc.property(storages, (all) => {
        const top = place(all, mostFitted);
        for (const [i, a] of all.entries()) {
          expect(a.offset).toBeGreaterThanOrEqual(0);
          expect(a.offset % 4).toBe(0);
          expect(a.offset + a.words).toBeLessThanOrEqual(top);
          for (const b of all.slice(i + 1)) {
            const meet = a.from <= b.until && b.from <= a.until;
            const share = a.offset < b.offset + b.words && b.offset < a.offset + a.words;
            expect(meet && share, JSON.stringify([a, b])).toBe(false);
          }
        }
      }),
      { numRuns: 300 },
    );
  });

  it('of a chain needs two places, fitted into gaps or in turn', () => {
    const chain = (): Storage[] =>
      Array.from({ length: 50 }, (_, i) => ({ words: 64, from: i, until: i + 1, offset: 0 }));
    expect(place(chain())).toBe(128);
    expect(place(chain(), 0)).toBe(128);
    expect(place(chain(), 7)).toBeLessThanOrEqual(256);
  });

  it('takes time nearly linear in their number: eight times as many are not 24 times as slow', () => {
    const milliseconds = (count: number): number => {
      const all = Array.from({ length: count }, (_, i) => ({ words: 4, from: i % 7, until: Infinity, offset: 0 }));
      const start = performance.now();
      place(all);
      return performance.now() - start;
    };
    milliseconds(8192);
    expect(milliseconds(65536) / Math.max(1, milliseconds(8192))).toBeLessThan(24);
  });

  it('of a value that several storages stand for places one', () => {
    const shared: Storage = { words: 8, from: 0, until: 3, offset: 0 };
    expect(place([shared, shared, shared], 0)).toBe(8);
  });
});
