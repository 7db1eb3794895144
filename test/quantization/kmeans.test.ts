import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { loadKernels, portableKernels, type KernelSet } from '../../src/kernels/index.ts';
import { boundsShape } from '../../src/quantization/bounds.ts';
import {
  kmeans,
  kmeansAsync,
  quantizeMatrix,
  quantizeMatrixAsync,
  type KMeansOptions,
  type KMeansResult,
} from '../../src/quantization/index.ts';
import type { Tensor, TensorLike } from '../../src/base/tensor.ts';
import { distinctCount, generatedPoints, objectiveOf, pointSets } from './points.ts';

const kernels = await loadKernels(),
  portable = portableKernels();
const run = (points: TensorLike, options: Omit<KMeansOptions, 'kernels'>): KMeansResult<Float32Array> =>
  kmeans(points as Tensor, { kernels, ...options });
const settings = fc.record({
  codewordCount: fc.integer({ min: 1, max: 12 }),
  init: fc.constantFrom('plusPlus' as const, 'random' as const),
  seed: fc.nat(),
  iterations: fc.integer({ min: 0, max: 12 }),
});
const weightsFor = (n: number): fc.Arbitrary<Tensor> =>
  fc
    .array(fc.oneof(fc.float({ min: 0, max: 4, noNaN: true }), fc.constant(0)), { minLength: n, maxLength: n })
    .map((values) => ({ data: Float32Array.from(values), shape: [n] }))
    .filter(({ data }) => data.some((weight) => weight > 0));

describe('laws', () => {
  test('the objective never rises over the iterations, is that of the codes, and the codes are of the nearest codewords', () => {
    fc.assert(
      fc.property(pointSets, settings, (points, options) => {
        const { history, objective, codewords, codes, counts, iterations } = run(points, options);
        for (let t = 1; t < history.length; t++) expect(history[t].objective).toBeLessThan(history[t - 1].objective);
        expect(history[history.length - 1].objective).toBe(objective);
        expect(iterations).toBe(history.length - 1);
        expect(iterations).toBeLessThanOrEqual(options.iterations);
        const exact = objectiveOf(points, codewords.data);
        expect(Math.abs(objective - objectiveOf(points, codewords.data, codes))).toBeLessThanOrEqual(
          1e-12 * (1 + objective),
        );
        expect(objective).toBeLessThanOrEqual(exact * (1 + 1e-5) + 1e-12);
        expect(counts.reduce((sum, count) => sum + count, 0)).toBe(points.shape[0]);
      }),
      { numRuns: 200 },
    );
  });

  test('with at least as many codewords as distinct points the error is 0, and the points come back exactly', () => {
    fc.assert(
      fc.property(pointSets, fc.integer({ min: 0, max: 5 }), (points, more) => {
        const distinct = distinctCount(points);
        const { objective, codewords, codes, distinct: counted } = run(points, { codewordCount: distinct + more });
        expect(counted).toBe(distinct);
        expect(codewords.shape).toEqual([distinct, points.shape[1]]);
        expect(objective).toBe(0);
        expect(objectiveOf(points, codewords.data, codes)).toBe(0);
      }),
    );
  });

  test('after one update never above the best single codeword', () => {
    fc.assert(
      fc.property(pointSets, settings, (points, options) => {
        const single = run(points, { codewordCount: 1 });
        expect(run(points, { ...options, iterations: options.iterations + 1 }).objective).toBeLessThanOrEqual(
          single.objective * (1 + 1e-12),
        );
      }),
    );
  });

  test('one codeword is the mean rounded to float32, or as good', () => {
    fc.assert(
      fc.property(pointSets, (points) => {
        const { objective } = run(points, { codewordCount: 1 });
        expect(objective).toBeLessThanOrEqual(objectiveOf(points, meanOf(points)) * (1 + 1e-12));
      }),
    );
    const points = generatedPoints(500, 3, 4, 7);
    expect(run(points, { codewordCount: 1 }).codewords.data).toEqual(meanOf(points));
  });

  test('the same seed gives the same bytes, from SIMD and portable kernels alike', () => {
    fc.assert(
      fc.property(pointSets, settings, (points, options) => {
        const first = run(points, options);
        expect(run(points, options)).toEqual(first);
        expect(kmeans(points, { ...options, kernels: portable })).toEqual(first);
      }),
    );
    const points = generatedPoints(400, 5, 0, 9);
    expect(run(points, { codewordCount: 9, seed: 1 }).codewords.data).not.toEqual(
      run(points, { codewordCount: 9, seed: 2 }).codewords.data,
    );
  });

  test('scaling by powers of two commutes, bit for bit, from 2^-100 to 2^100', () => {
    const points = generatedPoints(200, 3, 0, 5);
    const { codewords, codes, objective, iterations } = run(points, { codewordCount: 8 });
    for (const exponent of [-100, -63, -1, 1, 40, 100]) {
      const scaled = run(
        { data: points.data.map((value) => value * 2 ** exponent), shape: points.shape },
        { codewordCount: 8 },
      );
      expect(scaled.codewords.data).toEqual(codewords.data.map((value) => value * 2 ** exponent));
      expect(scaled.codes).toEqual(codes);
      expect(scaled.objective).toBe(objective * 4 ** exponent);
      expect(scaled.iterations).toBe(iterations);
    }
  });

  test('a whole weight is as many copies: the same objective from the same first codewords within 1e-6', () => {
    fc.assert(
      fc.property(pointSets, fc.infiniteStream(fc.integer({ min: 0, max: 3 })), ({ data, shape: [n, d] }, stream) => {
        const weights = Float32Array.from({ length: n }, (_, i) => (i === 0 ? 1 : (stream.next().value as number)));
        const copies = Float32Array.from(
          [...weights].flatMap((weight, i) =>
            Array.from({ length: weight }, () => [...data.subarray(i * d, i * d + d)]).flat(),
          ),
        );
        const init = { data: data.slice(0, d * Math.min(2, n)), shape: [Math.min(2, n), d] };
        const options = { codewordCount: init.shape[0], init, iterations: 1 };
        const weighted = run({ data, shape: [n, d] }, { ...options, weights: { data: weights, shape: [n] } });
        const repeated = run({ data: copies, shape: [copies.length / d, d] }, options);
        // An empty codeword goes to the largest weighted error, which copies do not add up to.
        fc.pre([...weighted.history, ...repeated.history].every(({ reseeded }) => reseeded === 0));
        expect(Math.abs(weighted.objective - repeated.objective)).toBeLessThanOrEqual(1e-6 * (1 + repeated.objective));
      }),
    );
  });

  test('a row of coordinate weights for every point, all alike, is one row for all', () => {
    fc.assert(
      fc.property(pointSets, settings, fc.infiniteStream(fc.integer({ min: 1, max: 8 })), (points, options, stream) => {
        const {
            shape: [n, d],
          } = points,
          row = Array.from({ length: d }, () => (stream.next().value as number) / 4);
        const shared = run(points, {
          ...options,
          init: 'random',
          coordinateWeights: { data: Float32Array.from(row), shape: [d] },
        });
        const each = run(points, {
          ...options,
          init: 'random',
          coordinateWeights: { data: Float32Array.from({ length: n * d }, (_, i) => row[i % d]), shape: [n, d] },
        });
        expect(Math.abs(each.objective - shared.objective)).toBeLessThanOrEqual(1e-5 * (1 + shared.objective));
      }),
    );
  });

  test('the objective is that of the weights given, for points, coordinates and both; it never rises', () => {
    const problem = pointSets.chain((points) =>
      fc.record({
        points: fc.constant(points),
        weights: weightsFor(points.shape[0]),
        each: weightsFor(points.data.length).map(({ data }) => ({ data, shape: points.shape })),
      }),
    );
    fc.assert(
      fc.property(problem, settings, ({ points, weights, each }, options) => {
        const { codewords, codes, objective, history } = run(points, { ...options, weights, coordinateWeights: each });
        const d = points.shape[1];
        const expected = objectiveOf(points, codewords.data, codes, (i, j) => weights.data[i] * each.data[i * d + j]);
        expect(Math.abs(objective - expected)).toBeLessThanOrEqual(1e-9 * (1 + expected));
        for (let t = 1; t < history.length; t++) expect(history[t].objective).toBeLessThan(history[t - 1].objective);
        expect(codewords.data.every(Number.isFinite)).toBe(true);
      }),
      { numRuns: 150 },
    );
  });
});

describe('with codewords enough for bounds', () => {
  test.each([
    [1, 0],
    [3, 5],
    [8, 0],
    [5, 40],
  ])(
    'SIMD, which leaves distances out, gives the bytes of the portable set, which measures all: d = %i, %i centers',
    (d, centers) => {
      const base = generatedPoints(900, d, centers, 21);
      // Half of the points on a lattice, so that distances tie.
      const points = {
        data: base.data.map((value, i) => (Math.floor(i / d) % 2 ? Math.round(2 * value) / 2 : value)),
        shape: base.shape,
      };
      expect(boundsShape(900, d, 83)).toBeDefined();
      for (const more of [
        {},
        { coordinateWeights: { data: Float32Array.from({ length: d }, (_, j) => (j + 1) / 3), shape: [d] } },
        { restarts: 2 },
      ]) {
        const options = { codewordCount: 83, init: 'random' as const, iterations: 12, ...more };
        expect(run(points, options)).toEqual(kmeans(points, { ...options, kernels: portable }));
      }
    },
  );
});

describe('on threads', () => {
  const points = generatedPoints(24_000, 8, 30, 6);

  test('the same bytes from 1, 2, 3 and 4 threads and from the synchronous call', async () => {
    const options = { codewordCount: 256, kernels, init: 'random' as const, iterations: 25, tolerance: 1e-3 },
      expected = kmeans(points, options);
    for (const threads of [1, 2, 3, 4]) expect(await kmeansAsync(points, { ...options, threads })).toEqual(expected);
  });

  test('a matrix of several blocks, a codebook for each: the same encoding, on one set of threads', async () => {
    const matrix = { data: points.data, shape: [4000, 48] };
    for (const weights of [
      undefined,
      { data: Float32Array.from({ length: 48 }, (_, j) => 1 + (j % 5)), shape: [48] },
    ]) {
      let opened = 0;
      const counting = {
        ...kernels,
        open: (asked: Parameters<typeof kernels.open>[0]) => {
          opened++;
          return kernels.open(asked);
        },
      };
      const options = {
        subvectorLength: 8,
        codebooks: 'subspace' as const,
        codewordCount: 128,
        init: 'random' as const,
        iterations: 45,
        ...(weights && { weights }),
      };
      expect(await quantizeMatrixAsync(matrix, { ...options, kernels: counting, threads: 2 })).toEqual(
        quantizeMatrix(matrix, { ...options, kernels }),
      );
      expect(opened).toBe(1);
    }
  });

  test("an abort ends the call between iterations or seeds with the signal's reason, and before it begins", async () => {
    // Programs 1 to 19 are those of 20 seeds; each iteration runs three.
    for (const last of [5, 40]) {
      const reason = new Error('enough'),
        controller = new AbortController();
      let runs = 0;
      const aborting: KernelSet = {
        ...kernels,
        open: async (asked) => {
          const workspace = await kernels.open(asked);
          return {
            ...workspace,
            dispose: () => workspace.dispose(),
            run: (program) => {
              workspace.run(program);
              if (++runs === last) controller.abort(reason);
            },
          };
        },
      };
      await expect(
        kmeansAsync(points, { codewordCount: 20, kernels: aborting, signal: controller.signal }),
      ).rejects.toBe(reason);
      expect(runs).toBeLessThan(last + 3);
      await expect(
        kmeansAsync(points, { codewordCount: 20, kernels: aborting, signal: controller.signal }),
      ).rejects.toBe(reason);
      expect(runs).toBeLessThan(last + 3);
    }
  });
});

describe('against scikit-learn and faiss (test/vectors/kmeans.py)', () => {
  interface Case {
    count: number;
    d: number;
    centers: number;
    codewordCount: number;
    seed: number;
    checksum: number;
    scikitGiven: number;
    faissGiven: number;
    scikit: number;
    faiss: number;
  }
  const cases = JSON.parse(readFileSync(new URL('../vectors/kmeans.json', import.meta.url), 'utf8')) as Case[];

  test.each(cases)(
    "$count points of $d, K = $codewordCount: from the same codewords within 1e-4, from seeds of each one's own at most 1 % above the better",
    (reference) => {
      const { count, d, centers, codewordCount, seed, checksum, scikitGiven, faissGiven, scikit, faiss } = reference;
      const points = generatedPoints(count, d, centers, seed);
      expect(points.data.reduce((sum, value) => sum + Math.abs(value), 0)).toBeCloseTo(checksum, 6);
      const init = { data: points.data.slice(0, codewordCount * d), shape: [codewordCount, d] };
      const given = run(points, { codewordCount, init }).objective;
      expect(Math.abs(given / scikitGiven - 1)).toBeLessThan(1e-4);
      expect(Math.abs(given / faissGiven - 1)).toBeLessThan(1e-4);
      expect(run(points, { codewordCount, restarts: 5 }).objective).toBeLessThan(1.01 * Math.min(scikit, faiss));
    },
  );
});

describe('degenerate points', () => {
  test('all points equal, also all zero: one codeword, error 0', () => {
    for (const value of [0, 3.25, -1e30]) {
      const { codewords, objective, distinct } = run(
        { data: new Float32Array(20).fill(value), shape: [10, 2] },
        { codewordCount: 4 },
      );
      expect([...codewords.data, objective, distinct]).toEqual([Math.fround(value), Math.fround(value), 0, 1]);
    }
  });

  test('n < K, n = K and n = 1 give the points', () => {
    const points = { data: Float32Array.of(1, 2, 3), shape: [3, 1] };
    for (const codewordCount of [3, 4, 1000])
      expect([...run(points, { codewordCount }).codewords.data]).toEqual([1, 2, 3]);
    expect([...run({ data: Float32Array.of(5, 6), shape: [1, 2] }, { codewordCount: 1 }).codewords.data]).toEqual([
      5, 6,
    ]);
  });

  test('with no more values than codewords a point of weight 0 goes to the nearest of the others, the lowest among equals', () => {
    const points = { data: Float32Array.of(5, 1, 8, 2, 3), shape: [5, 1] },
      weights = { data: Float32Array.of(1, 1, 0, 0, 0), shape: [5] };
    const { codewords, codes, objective } = run(points, { codewordCount: 4, weights });
    expect([[...codewords.data], [...codes], objective]).toEqual([[5, 1], [0, 1, 0, 1, 0], 0]);
  });

  test('a constant column stays exactly constant', () => {
    const { data } = generatedPoints(100, 2, 0, 3);
    for (const constant of [0.1, 1e30, 1e-30]) {
      const { codewords } = run(
        { data: data.map((value, i) => (i % 2 ? constant : value)), shape: [100, 2] },
        { codewordCount: 5 },
      );
      expect(codewords.data.filter((_, i) => i % 2).every((value) => value === Math.fround(constant))).toBe(true);
    }
  });

  // The last two lie at the edge of what float32 codewords can resolve: ten bits, and steps of 8 in a spread of some
  // 60.
  test.each([
    ['1e30', 1e30, 0, 1e-6],
    ['1e-30', 1e-30, 0, 1e-6],
    ['1.6e38', 1.6e38, 0, 1e-6],
    ['1e-42, subnormal', 1e-42, 0, 1e-2],
    ['1e8 + noise', 400, 1e8, 1e-2],
  ])(
    '%s: finite, and the objective that of a k-means in double from the same codewords (factor %d, offset %d, relative difference < %d)',
    (_, factor, offset, bound) => {
      const base = generatedPoints(200, 3, 4, 11),
        points = {
          data: base.data.map((value) => Math.max(-2, Math.min(2, value / 4)) * factor + offset),
          shape: base.shape,
        };
      const first = [0, 1, 2, 3, 70].flatMap((i) => [...points.data.subarray(3 * i, 3 * i + 3)]);
      const { objective, codewords, codes } = run(points, {
        codewordCount: 5,
        init: { data: Float32Array.from(first), shape: [5, 3] },
        iterations: 4,
      });
      expect(codewords.data.every(Number.isFinite)).toBe(true);
      expect(Math.abs(objective / objectiveOf(points, codewords.data, codes) - 1)).toBeLessThan(1e-12);
      let reference: Float64Array = Float64Array.from(first);
      for (let t = 0; t < 4; t++) reference = doubleUpdate(points, reference);
      expect(Math.abs(objective / doubleObjective(points, reference) - 1)).toBeLessThan(bound);
    },
  );

  test('1e30 beside 1e-30: the large ones do not push the small ones out of range', () => {
    const { codewords, objective } = run(
      { data: Float32Array.of(1e30, 1.5e30, 1e-30, 1.25e-30, -1e30), shape: [5, 1] },
      { codewordCount: 4, init: { data: Float32Array.of(1e30, 1.5e30, 1e-30, -1e30), shape: [4, 1] } },
    );
    expect(codewords.data.every(Number.isFinite)).toBe(true);
    expect(objective).toBeLessThan(1e-59);
  });
});

describe('empty codewords', () => {
  test('one moves to the point with the largest error, several to points of different value, the lowest index among equals', () => {
    const points = { data: Float32Array.of(0, 0, 10, 10, 9, -7, 1), shape: [7, 1] };
    const init = { data: Float32Array.of(0, 500, 600, 700), shape: [4, 1] };
    const { codewords, history } = run(points, { codewordCount: 4, init, iterations: 1 });
    // Mean of all by the first assignment, then 10, 9 and -7: the second 10 is not another value.
    expect([...codewords.data]).toEqual([Math.fround(23 / 7), 10, 9, -7]);
    expect(history[1].reseeded).toBe(3);
    expect(history[1].objective).toBeLessThan(history[0].objective);
  });

  test('a codeword whose one point is taken for an empty one does not end empty: the next takes its turn', () => {
    // The far point is the only one of the second codeword, and the one that an empty codeword wants.
    const points = { data: Float32Array.of(0, 1, 2, 100), shape: [4, 1] };
    const init = { data: Float32Array.of(1, 60, 900), shape: [3, 1] };
    const { codewords, codes, history } = run(points, { codewordCount: 3, init, iterations: 5 });
    expect(history[1].reseeded).toBeGreaterThan(0);
    expect(new Set(codes).size).toBe(3);
    expect([...codewords.data].filter((value) => value === 100)).toHaveLength(1);
    expect(codewords.data.every(Number.isFinite)).toBe(true);
  });

  test('the error that decides is the weighted one', () => {
    const points = { data: Float32Array.of(0, 3, 5), shape: [3, 1] };
    const init = { data: Float32Array.of(0, 500), shape: [2, 1] };
    const { codewords } = run(points, {
      codewordCount: 2,
      init,
      iterations: 1,
      weights: { data: Float32Array.of(1, 9, 1), shape: [3] },
    });
    expect(codewords.data[1]).toBe(3);
  });

  test('none is left empty while distinct points without a codeword of their own remain: given codewords all alike, all far, at the origin', () => {
    const points = generatedPoints(300, 2, 0, 8);
    for (const value of [0, 0.1, 1e6]) {
      const { counts, history, objective } = run(points, {
        codewordCount: 12,
        init: { data: new Float32Array(24).fill(value), shape: [12, 2] },
      });
      expect(counts.every((count) => count > 0)).toBe(true);
      expect(history[1].reseeded).toBe(11);
      expect(objective).toBeLessThan(1.3 * run(points, { codewordCount: 12 }).objective);
    }
  });

  test('both seedings choose different values even where most points are equal', () => {
    const data = new Float32Array(200).fill(1);
    data.set([2, 3, 4, 5, 6], 100);
    for (const init of ['plusPlus', 'random'] as const) {
      for (let seed = 0; seed < 20; seed++)
        expect(
          new Set(run({ data, shape: [200, 1] }, { codewordCount: 5, init, seed, iterations: 0 }).codewords.data).size,
        ).toBe(5);
    }
  });

  test('coordinates without weight do not stop the seeding: distances are all 0, the error is 0', () => {
    const points = generatedPoints(20, 2, 0, 8),
      flat = { data: points.data.map((value, i) => (i % 2 ? value : 1)), shape: [20, 2] };
    expect(
      run(flat, { codewordCount: 3, coordinateWeights: { data: Float32Array.of(1, 0), shape: [2] } }).objective,
    ).toBe(0);
  });
});

describe('options', () => {
  const points = generatedPoints(500, 4, 0, 2);

  test('stops at the cap; 0 iterations only assign', () => {
    expect(run(points, { codewordCount: 20, iterations: 3 }).iterations).toBe(3);
    expect(run(points, { codewordCount: 20, iterations: 0 }).history).toHaveLength(1);
  });

  test('stops when a fixed point is reached, however many iterations are allowed', () => {
    expect(run(points, { codewordCount: 4, iterations: 100_000 }).iterations).toBeLessThan(200);
  });

  test('a tolerance stops earlier', () => {
    const loose = run(points, { codewordCount: 20, tolerance: 0.05 }),
      strict = run(points, { codewordCount: 20 });
    expect(loose.iterations).toBeLessThan(strict.iterations);
    const [before, after] = loose.history.slice(-2);
    expect((before.objective - after.objective) / before.objective).toBeLessThan(0.05);
  });

  test('more restarts are never worse', () => {
    const once = run(points, { codewordCount: 10 }).objective,
      best = run(points, { codewordCount: 10, restarts: 6 }).objective;
    expect(best).toBeLessThan(once);
  });

  test('strided arrays are taken as they lie, and no argument is changed', () => {
    const transposed = { data: points.data.slice(), shape: [4, 500], stride: [1, 4], offset: 0 };
    const columns = { data: new Float32Array(2000), shape: [500, 4], stride: [1, 500], offset: 0 };
    for (let i = 0; i < 500; i++) for (let j = 0; j < 4; j++) columns.data[j * 500 + i] = points.data[i * 4 + j];
    const init = { data: points.data.slice(0, 24), shape: [6, 4] },
      copy = init.data.slice();
    expect(run(columns, { codewordCount: 6, init })).toEqual(run(points, { codewordCount: 6, init }));
    expect(init.data).toEqual(copy);
    expect(transposed.data).toEqual(points.data);
  });
});

describe('wrong arguments', () => {
  const points = { data: Float32Array.of(1, 2, 3, 4), shape: [2, 2] };
  const wrong: [string, () => unknown, typeof Error, RegExp][] = [
    [
      'no points',
      () => run({ data: new Float32Array(0), shape: [0, 2] }, { codewordCount: 1 }),
      RangeError,
      /points: expected at least one point/,
    ],
    [
      'no coordinates',
      () => run({ data: new Float32Array(0), shape: [2, 0] }, { codewordCount: 1 }),
      RangeError,
      /points/,
    ],
    [
      'points of rank 1',
      () => run({ data: new Float32Array(2), shape: [2] }, { codewordCount: 1 }),
      RangeError,
      /shape \(n, d\), got \[2\]/,
    ],
    ['points that are no tensor', () => run([1, 2] as unknown as Tensor, { codewordCount: 1 }), TypeError, /points/],
    ['K = 0', () => run(points, { codewordCount: 0 }), RangeError, /codewordCount/],
    ['K = 1.5', () => run(points, { codewordCount: 1.5 }), RangeError, /codewordCount/],
    ['K as text', () => run(points, { codewordCount: '2' as unknown as number }), TypeError, /codewordCount/],
    ['no options', () => kmeans(points, undefined as unknown as KMeansOptions), TypeError, /options/],
    ['iterations -1', () => run(points, { codewordCount: 1, iterations: -1 }), RangeError, /iterations/],
    ['tolerance NaN', () => run(points, { codewordCount: 1, tolerance: NaN }), RangeError, /tolerance/],
    [
      'a negative weight of a coordinate',
      () => run(points, { codewordCount: 1, coordinateWeights: { data: Float32Array.of(1, -2), shape: [2] } }),
      RangeError,
      /coordinateWeights: .* got -2 at element 1/,
    ],
    ['restarts 0', () => run(points, { codewordCount: 1, restarts: 0 }), RangeError, /restarts/],
    [
      'an unknown init',
      () => run(points, { codewordCount: 1, init: 'best' as 'random' }),
      RangeError,
      /init: expected one of plusPlus, random/,
    ],
    [
      'given codewords of another shape',
      () => run(points, { codewordCount: 2, init: { data: new Float32Array(2), shape: [1, 2] } }),
      RangeError,
      /init: expected shape \[2, 2\], got \[1, 2\]/,
    ],
    [
      'a negative weight',
      () => run(points, { codewordCount: 1, weights: { data: Float32Array.of(1, -1), shape: [2] } }),
      RangeError,
      /got -1 at element 1/,
    ],
    [
      'weights all 0',
      () => run(points, { codewordCount: 1, weights: { data: new Float32Array(2), shape: [2] } }),
      RangeError,
      /only zeros/,
    ],
    [
      'too few weights',
      () => run(points, { codewordCount: 1, weights: { data: Float32Array.of(1), shape: [1] } }),
      RangeError,
      /weights: expected shape \[2\]/,
    ],
    [
      'coordinate weights of another shape',
      () => run(points, { codewordCount: 1, coordinateWeights: { data: Float32Array.of(1, 1, 1), shape: [3] } }),
      RangeError,
      /coordinateWeights: expected shape \[2\] or \[2, 2\]/,
    ],
  ];
  test.each(wrong)('%s', (_, call, kind, text) => {
    expect(call).toThrow(kind);
    expect(call).toThrow(text);
  });

  test('no threads: RangeError before anything is started', async () => {
    await expect(kmeansAsync(points, { codewordCount: 1, kernels, threads: 0 })).rejects.toThrow(
      /kmeansAsync: threads: expected an integer of at least 1, got 0/,
    );
  });

  test.each([NaN, Infinity, -Infinity])('%f: NONFINITE with its row and column', (value) => {
    const data = new Float32Array(12);
    data[7] = value;
    expect(() => run({ data, shape: [4, 3] }, { codewordCount: 2 })).toThrow(
      expect.objectContaining({ code: 'NONFINITE', message: expect.stringContaining('row 2, column 1') as string }),
    );
    expect(() =>
      run(
        { data: new Float32Array(4), shape: [4, 1] },
        { codewordCount: 2, weights: { data: Float32Array.of(1, value, 1, 1), shape: [4] } },
      ),
    ).toThrow(expect.objectContaining({ code: 'NONFINITE' }));
  });
});

function meanOf({ data, shape: [n, d] }: Tensor): Float32Array {
  return Float32Array.from(
    { length: d },
    (_, j) => data.reduce((sum, value, i) => (i % d === j ? sum + value : sum), 0) / n,
  );
}

function doubleNearest({ data }: Tensor, d: number, codewords: Float64Array, i: number): [number, number] {
  let nearest = 0,
    least = Infinity;
  for (let c = 0; c * d < codewords.length; c++) {
    let sum = 0;
    for (let j = 0; j < d; j++) sum += (data[i * d + j] - codewords[c * d + j]) ** 2;
    if (sum < least) [nearest, least] = [c, sum];
  }
  return [nearest, least];
}

function doubleUpdate(points: Tensor, codewords: Float64Array): Float64Array {
  const [n, d] = points.shape,
    sums = new Float64Array(codewords.length),
    counts = new Float64Array(codewords.length / d);
  for (let i = 0; i < n; i++) {
    const [c] = doubleNearest(points, d, codewords, i);
    counts[c]++;
    for (let j = 0; j < d; j++) sums[c * d + j] += points.data[i * d + j];
  }
  return sums.map((sum, i) => sum / counts[Math.floor(i / d)]);
}

function doubleObjective(points: Tensor, codewords: Float64Array): number {
  const [n, d] = points.shape;
  let total = 0;
  for (let i = 0; i < n; i++) total += doubleNearest(points, d, codewords, i)[1];
  return total;
}
