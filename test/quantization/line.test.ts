/** k-means of numbers: the best of all groupings, by trying them all, and never above scikit-learn's. */
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { square } from '../../src/base/elementary.ts';
import { normal, stream } from '../../src/base/random.ts';
import { loadKernels } from '../../src/kernels/index.ts';
import { kmeans, quantizeMatrix } from '../../src/quantization/index.ts';
import { bestIntervals } from '../../src/quantization/line.ts';

const kernels = await loadKernels();

function intervals(values: readonly number[], weights: readonly number[], K: number): number[] {
  const run = bestIntervals(Float64Array.from(values), Float64Array.from(weights), K);
  for (;;) {
    const { done, value } = run.next();
    if (done) return [...value];
  }
}

/** Weighted squared distances to the means of the intervals that begin at `starts`. */
function costOf(values: readonly number[], weights: readonly number[], starts: readonly number[]): number {
  return starts.reduce((sum, start, k) => {
    const range = values.map((_, i) => i).slice(start, starts[k + 1] ?? values.length);
    const weight = range.reduce((all, i) => all + weights[i], 0);
    const mean = range.reduce((all, i) => all + weights[i] * values[i], 0) / weight;
    return sum + range.reduce((all, i) => all + weights[i] * square(values[i] - mean), 0);
  }, 0);
}

/** All ways to begin K intervals of n numbers. */
function* cuts(n: number, K: number, from = 0): Generator<number[]> {
  if (K === 1) yield [from];
  else
    for (let next = from + 1; next <= n - K + 1; next++) for (const rest of cuts(n, K - 1, next)) yield [from, ...rest];
}

const line = fc
  .record({
    values: fc.uniqueArray(fc.integer({ min: -60, max: 60 }), { minLength: 1, maxLength: 10 }),
    weights: fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 10, maxLength: 10 }),
    share: fc.double({ min: 0, max: 1, noNaN: true }),
  })
  .map(({ values, weights, share }) => ({
    values: values.sort((a, b) => a - b),
    weights: weights.slice(0, values.length),
    K: 1 + Math.floor(share * (values.length - 1)),
  }));

test('as good as the best of all intervals, of any weights', () => {
  fc.assert(
    fc.property(line, ({ values, weights, K }) => {
      const starts = intervals(values, weights, K);
      expect([starts.length, starts[0]]).toEqual([K, 0]);
      for (let k = 1; k < K; k++) expect(starts[k]).toBeGreaterThan(starts[k - 1]);
      let least = Infinity;
      for (const one of cuts(values.length, K)) least = Math.min(least, costOf(values, weights, one));
      expect(costOf(values, weights, starts)).toBeCloseTo(least, 8);
    }),
    { numRuns: 300 },
  );
});

test("kmeans with init 'exact': no iteration improves it, weighted by point or coordinate, with equal points and such of no weight", () => {
  fc.assert(
    fc.property(
      line,
      fc.boolean(),
      fc.constantFrom('weights', 'coordinateWeights'),
      ({ values, weights, K }, far, name) => {
        // Each twice, and one more that does not count.
        const points = [...values, ...values, 1000].map((value) => value + (far ? 4096 : 0));
        const shape = name === 'weights' ? [points.length] : [points.length, 1];
        const { codewords, objective, iterations } = kmeans(
          { data: Float32Array.from(points), shape: [points.length, 1] },
          {
            codewordCount: K,
            kernels,
            init: 'exact',
            [name]: { data: Float32Array.from([...weights, ...weights, 0]), shape },
          },
        );
        if (name === 'coordinateWeights') return;
        const least = 2 * costOf(values, weights, intervals(values, weights, K));
        expect(objective).toBeLessThanOrEqual(least * (1 + 1e-5) + 1e-5);
        expect(iterations).toBeLessThanOrEqual(1);
        expect([...codewords.data]).toEqual([...codewords.data].sort((a, b) => a - b));
      },
    ),
    { numRuns: 100 },
  );
});

test('points of several coordinates are refused', () => {
  const points = { data: Float32Array.of(1, 2, 3, 4), shape: [2, 2] };
  expect(() => kmeans(points, { codewordCount: 2, kernels, init: 'exact' })).toThrow(
    /one coordinate for 'exact', got 2/,
  );
});

interface Vector {
  readonly values: readonly number[];
  readonly K: number;
  readonly inertia: number;
}
const vectors = JSON.parse(readFileSync(new URL('../vectors/line.json', import.meta.url), 'utf8')) as readonly Vector[];

test("scikit-learn's best of 20 runs is never better", () => {
  for (const { values, K, inertia } of vectors) {
    const points = { data: Float32Array.from(values), shape: [values.length, 1] };
    const { objective } = kmeans(points, { codewordCount: K, kernels, init: 'exact' });
    expect(objective).toBeLessThanOrEqual(inertia * (1 + 1e-6));
  }
});

test('a product quantizer of single weights is exact unless told otherwise', () => {
  const draw = stream(1, 'weights');
  const matrix = { data: Float32Array.from({ length: 600 }, () => normal(draw)), shape: [20, 30] };
  const points = { data: matrix.data, shape: [600, 1] };
  const options = { subvectorLength: 1, codewordCount: 16, signs: 'none', kernels } as const;
  const { report } = quantizeMatrix(matrix, options);
  const { objective } = kmeans(points, { codewordCount: 16, kernels, init: 'exact' });
  expect(report.objective).toBeCloseTo(objective, 6);
  expect(objective).toBeLessThan(quantizeMatrix(matrix, { ...options, init: 'random' }).report.objective);
});
