/** Connections that are left: which ones, how many, and as what. Correlations against NumPy. */
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { normal, stream } from '../../../src/base/random.ts';
import type { Tensor } from '../../../src/base/tensor.ts';
import { decode } from '../../../src/encodings/index.ts';
import { loadKernels } from '../../../src/kernels/index.ts';
import { kmeans } from '../../../src/quantization/index.ts';
import { QUANTIZERS } from '../../../src/quantization/settings.ts';
import { byCorrelation, correlations } from '../../../src/quantization/quantizers/connections.ts';

const kernels = await loadKernels();
const context = { kernels, threads: 1, seed: 3 };
const { connections } = QUANTIZERS;
const random = (rows: number, columns: number, seed = 1): Tensor => {
  const draw = stream(seed, 'matrix');
  return { data: Float32Array.from({ length: rows * columns }, () => normal(draw)), shape: [rows, columns] };
};

test('by magnitude: as many as asked for, none smaller than one that went; as floats they are what they were', async () => {
  await fc.assert(
    fc.asyncProperty(fc.double({ min: 0.001, max: 1, noNaN: true }), fc.nat(), async (density, seed) => {
      const matrix = random(9, 7, seed);
      const options = { density, selection: 'magnitude', valueCodewords: 0 } as const;
      const { encoding, report } = await connections.fit(matrix, options, context);
      const decoded = decode(encoding);
      const kept = [...matrix.data].filter((_, i) => decoded[i] !== 0).map(Math.abs);
      const gone = [...matrix.data].filter((_, i) => decoded[i] === 0).map(Math.abs);
      expect([kept.length, report.kept]).toEqual([Math.max(1, Math.round(density * 63)), kept.length]);
      expect(Math.min(...kept)).toBeGreaterThan(Math.max(0, ...gone));
      decoded.forEach((value, i) => expect([0, matrix.data[i]]).toContain(value));
    }),
    { numRuns: 50 },
  );
});

test('an importance decides with the squares of the weights, and zeros of it go first', async () => {
  const matrix = { data: Float32Array.of(1, 2, 3, 4), shape: [1, 4] };
  const importance = { data: Float32Array.of(1, 3, 1, 0), shape: [4] };
  const options = { density: 0.5, selection: 'magnitude', valueCodewords: 0 } as const;
  const { encoding } = await connections.fit(matrix, options, { ...context, importance });
  expect([...decode(encoding)]).toEqual([0, 2, 3, 0]);
});

test('codewords of what is left are the best of all', async () => {
  const matrix = random(20, 20);
  const options = { density: 0.4, selection: 'magnitude', valueCodewords: 8 } as const;
  const { encoding, report } = await connections.fit(matrix, options, context);
  const left = Float32Array.from(encoding.positions, (position) => matrix.data[position]);
  const { objective } = kmeans({ data: left, shape: [left.length, 1] }, { codewordCount: 8, kernels, init: 'exact' });
  const decoded = decode(encoding);
  const error = [...encoding.positions].reduce((sum, i) => sum + (matrix.data[i] - decoded[i]) ** 2, 0);
  expect(error).toBeCloseTo(objective, 5);
  expect(connections.describe(report)).toBe('40% of the weights, 8 codewords of 1');
});

interface Vector {
  readonly shape: readonly number[];
  readonly weights: readonly number[];
  readonly moments: readonly number[];
  readonly correlations: readonly number[];
}
const vectors = JSON.parse(
  readFileSync(new URL('../../vectors/connections.json', import.meta.url), 'utf8'),
) as readonly Vector[];

test("correlations are NumPy's of inputs and answers within 1e-6; an input that does not vary has none", () => {
  for (const { shape, weights, moments, correlations: wanted } of vectors) {
    const found = correlations({ data: Float32Array.from(weights), shape }, Float64Array.from(moments));
    wanted.forEach((r, i) => expect(Math.abs(found[i] - r)).toBeLessThan(1e-6));
  }
  const still = correlations({ data: Float32Array.of(1, 1), shape: [1, 2] }, Float64Array.of(1, 0, 0, 0));
  expect([...still]).toEqual([1, 0]);
  expect(() => correlations(random(2, 3), new Float64Array(8))).toThrow(/expected 3 x 3 numbers/);
});

test('the rule keeps the share of each sign, three quarters from the stronger half; by seed', () => {
  // 40 positive and 60 negative ones, the stronger half of each above 1/2.
  const r = Float64Array.from({ length: 100 }, (_, i) => (i < 40 ? (i + 1) / 40 : -(i - 39) / 60));
  const kept = [...byCorrelation(r, 40, 1)];
  expect(kept).toEqual([...new Set(kept)].sort((a, b) => a - b));
  const count = (holds: (value: number) => boolean): number => kept.filter((i) => holds(r[i])).length;
  expect([count((x) => x > 0.5), count((x) => x > 0 && x <= 0.5)]).toEqual([12, 4]);
  expect([count((x) => x < -0.5), count((x) => x < 0 && x >= -0.5)]).toEqual([18, 6]);
  expect([...byCorrelation(r, 40, 1)]).toEqual(kept);
  expect([...byCorrelation(r, 40, 2)]).not.toEqual(kept);
});

test('any share can be had, all of them too', () => {
  fc.assert(
    fc.property(
      fc.array(fc.double({ min: -1, max: 1, noNaN: true }), { minLength: 1, maxLength: 30 }),
      fc.nat(),
      (r, n) => {
        const count = 1 + (n % r.length);
        const kept = [...byCorrelation(Float64Array.from(r), count, n)];
        expect(new Set(kept).size).toBe(count);
        expect(Math.max(...kept)).toBeLessThan(r.length);
      },
    ),
  );
});
