/** Allocation against brute force: on small tables every choice can be tried. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { allocate, atPrice, keptOf } from '../../src/compression/allocate.ts';
import type { LayerSensitivity, Sensitivity } from '../../src/compression/allocate.ts';

/** A layer of 8 weights: so many bits a weight are so many bytes, and 2 for each row. */
const layer = (
  name: string,
  settings: readonly { readonly bits: number; readonly noise: number }[],
  ties: Partial<LayerSensitivity> = {},
): LayerSensitivity => ({
  ...{ name, rows: 2, columns: 4, yields: undefined, reads: undefined, cut: 0, lost: [0] },
  settings: settings.map(({ bits, noise }) => ({
    ...{ setting: undefined, bitsPerWeight: bits, fixedBytes: 0 },
    noise: Array.from({ length: ties.lost?.length ?? 1 }, () => noise),
  })),
  ...ties,
});

const settings = fc.array(
  fc.record({ bits: fc.integer({ min: 1, max: 16 }), noise: fc.integer({ min: 0, max: 99 }) }),
  { minLength: 1, maxLength: 4 },
);

/** Bytes and damage of every combination of settings. */
function all(layers: readonly LayerSensitivity[]): { bytes: number; damage: number }[] {
  return layers.reduce(
    (sums, { rows, settings: choices }) =>
      sums.flatMap((sum) =>
        choices.map(({ bitsPerWeight, noise }) => ({
          bytes: sum.bytes + bitsPerWeight + 2 * rows,
          damage: sum.damage + noise[0],
        })),
      ),
    [{ bytes: 0, damage: 0 }],
  );
}

describe('allocate', () => {
  it('by hand: bits go where a byte saves most', () => {
    const layers = [
      layer('tough', [
        { bits: 2, noise: 10 },
        { bits: 4, noise: 4 },
      ]),
      layer('delicate', [
        { bits: 2, noise: 100 },
        { bits: 4, noise: 10 },
      ]),
    ];
    // 4 bytes of biases each. The delicate layer gains 45 a byte, the tough one 3.
    const bitsFor = (budget: number): number[] =>
      [...allocate({ groups: [], layers }, budget).settings.values()].map(({ bitsPerWeight }) => bitsPerWeight);
    expect(bitsFor(12)).toEqual([2, 2]);
    expect(bitsFor(14)).toEqual([2, 4]);
    expect(bitsFor(15.9)).toEqual([2, 4]);
    expect(bitsFor(16)).toEqual([4, 4]);
    // Too few for any: the smallest.
    expect(bitsFor(1)).toEqual([2, 2]);
  });

  it('nothing of at most its bytes has less damage (Everett), for layers that are not tied', () => {
    fc.assert(
      fc.property(
        fc.array(settings, { minLength: 1, maxLength: 4 }),
        fc.integer({ min: 1, max: 90 }),
        (tables, budget) => {
          const layers = tables.map((one, i) => layer(String(i), one));
          const { bytes, damage } = allocate({ groups: [], layers }, budget);
          const every = all(layers);
          const smallest = Math.min(...every.map((one) => one.bytes));
          expect(bytes).toBeLessThanOrEqual(Math.max(budget, smallest));
          for (const one of every) if (one.bytes <= bytes) expect(one.damage).toBeGreaterThanOrEqual(damage);
        },
      ),
    );
  });

  const tied = (tables: { readonly a: number; readonly b: number; readonly lost: readonly number[] }): Sensitivity => ({
    groups: [{ name: 'a', producers: ['a'], channels: 4 }],
    layers: [
      layer(
        'a',
        [
          { bits: tables.a, noise: 1 },
          { bits: 1, noise: 7 },
        ],
        { rows: 4, columns: 2, yields: 'a' },
      ),
      layer(
        'b',
        [
          { bits: tables.b, noise: 2 },
          { bits: 1, noise: 9 },
        ],
        { ...{ rows: 2, columns: 4, reads: 'a', cut: 4 }, lost: [...tables.lost].sort((x, y) => y - x).concat(0) },
      ),
    ],
  });

  it('of two layers that share neurons: the least of damage + price x bytes that there is, in most cases', () => {
    let [optimal, runs] = [0, 0];
    const table = fc.record({
      a: fc.integer({ min: 2, max: 8 }),
      b: fc.integer({ min: 2, max: 8 }),
      lost: fc.array(fc.integer({ min: 0, max: 60 }), { minLength: 4, maxLength: 4 }),
    });
    fc.assert(
      fc.property(table, fc.double({ min: 0.01, max: 8, noNaN: true }), (tables, price) => {
        const sensitivity = tied(tables);
        const [a, b] = sensitivity.layers;
        const found = atPrice(sensitivity, price);
        let least = Infinity;
        for (const kept of [1, 2, 3, 4])
          for (const one of a.settings)
            for (const two of b.settings) {
              const bytes = kept * one.bitsPerWeight * (2 / 8) + 2 * kept + (kept * 2 * two.bitsPerWeight) / 8 + 4;
              least = Math.min(least, b.lost[kept] + one.noise[0] + two.noise[kept] + price * bytes);
            }
        const cost = found.damage + price * found.bytes;
        expect(cost).toBeGreaterThanOrEqual(least - 1e-9);
        // No single choice betters it, and seldom two.
        expect(cost).toBeLessThanOrEqual(1.5 * least);
        runs++;
        if (cost <= least + 1e-9) optimal++;
      }),
      { seed: 1, numRuns: 300 },
    );
    expect(optimal / runs).toBeGreaterThan(0.95);
  });

  it('what a lost neuron counts moves the choice from pruning to bits', () => {
    const sensitivity = tied({ a: 8, b: 8, lost: [9, 5, 2, 1] });
    const keptBy = (pruning: number): number => allocate(sensitivity, 20, { pruning }).kept.get('a')!;
    expect(keptBy(0.1)).toBeLessThan(keptBy(50));
    expect([keptOf(4, 0.01), keptOf(10, 0.55), keptOf(3, 1)]).toEqual([1, 6, 3]);
  });
});
