import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { codebookScratchWords } from '../../src/kernels/simd/codebook-sizes.ts';
import {
  loadKernels,
  portableKernels,
  type KernelSet,
  type Precision,
  type Workspace,
} from '../../src/kernels/index.ts';
import { callKernel } from '../../src/kernels/specification/call.ts';

const simd = await loadKernels(),
  portable = portableKernels();
const sets: readonly [string, KernelSet][] = [
  ['portable', portable],
  ['simd', simd],
];

/** Lays arrays out one after another from even offsets, followed by `extra` words. */
function open(
  set: KernelSet,
  arrays: readonly (Float32Array | Float64Array | Int32Array)[],
  extra: number,
  [k, d]: readonly [number, number],
  precision: Precision = 'float32',
): { workspace: Workspace; at: number[]; free: number } {
  const at: number[] = [];
  let words = 0;
  for (const array of arrays) {
    at.push(words);
    words += array.length + (array.length & 1);
  }
  const workspace = set.openSync({
    words: words + extra,
    scratchWords: set.sizes.scratchWords('nearestCodeword', undefined, [k, d]),
    precision,
  });
  arrays.forEach((array, i) =>
    (array instanceof Int32Array ? workspace.heap.int : workspace.heap.float).set(array, at[i]),
  );
  return { workspace, at, free: words };
}

const anyFloat = fc.oneof(
  { weight: 6, arbitrary: fc.float({ noNaN: true, min: -4, max: 4 }) },
  { weight: 2, arbitrary: fc.integer({ min: -2, max: 2 }) },
  { weight: 1, arbitrary: fc.float() },
  { weight: 1, arbitrary: fc.constantFrom(0, -0, 1e-45, -1e-38, 3e38) },
);
const floats = (length: number, element: fc.Arbitrary<number> = anyFloat): fc.Arbitrary<Float32Array> =>
  fc.array(element, { minLength: length, maxLength: length }).map((values) => Float32Array.from(values));

const searchOver = (element: fc.Arbitrary<number>) =>
  fc
    .record({
      count: fc.integer({ min: 0, max: 11 }),
      d: fc.integer({ min: 1, max: 9 }),
      gap: fc.integer({ min: 0, max: 3 }),
      k: fc.integer({ min: 1, max: 21 }),
    })
    .chain(({ count, d, gap, k }) =>
      fc.record({
        count: fc.constant(count),
        d: fc.constant(d),
        k: fc.constant(k),
        stride: fc.constant(d + gap),
        points: floats(count * (d + gap), element),
        codewords: floats(k * d, element),
        weights: fc.option(floats(d, fc.float({ min: 0, max: 2, noNaN: true })), { nil: undefined }),
      }),
    );
const search = searchOver(anyFloat);
type Search = typeof search extends fc.Arbitrary<infer T> ? T : never;

function nearest(
  set: KernelSet,
  { count, d, k, stride, points, codewords, weights }: Search,
  precision: Precision = 'float32',
): { codes: number[]; distances: number[] } {
  const {
    workspace: { kernels, heap, scratch },
    at,
    free,
  } = open(set, [points, codewords, weights ?? new Float32Array(0)], 2 * count, [k, d], precision);
  callKernel(kernels, 'nearestCodeword', scratch, {
    points: at[0],
    stride,
    count,
    d,
    codewords: at[1],
    k,
    weights: weights ? at[2] : -1,
    codes: free,
    distances: free + count,
  });
  return {
    codes: [...heap.int.subarray(free, free + count)],
    distances: [...heap.float.subarray(free + count, free + 2 * count)],
  };
}

test('SIMD kernels are the ones tested', () => {
  expect(simd.name).toBe('simd');
  expect(simd.sizes.scratchWords('nearestCodeword', undefined, [256, 8])).toBe(codebookScratchWords(256, 8));
});

describe('nearestCodeword', () => {
  test('portable, portable on doubles and SIMD: the same integers and the same distances, bit for bit, for any floats, strides, tails and weights', () => {
    fc.assert(
      fc.property(search, (problem) => {
        const expected = nearest(portable, problem);
        expect(nearest(simd, problem)).toEqual(expected);
        expect(nearest(portable, problem, 'float64')).toEqual(expected);
      }),
      { numRuns: 400 },
    );
  });

  test('the distance is within (d + 2) 2^-23 of the least one in double, and of the codeword it names', () => {
    fc.assert(
      fc.property(searchOver(fc.integer({ min: -4096, max: 4096 }).map((value) => value / 1024)), (problem) => {
        const { count, d, k, stride, points, codewords, weights } = problem;
        const { codes, distances } = nearest(simd, problem);
        for (let i = 0; i < count; i++) {
          const exact = Array.from({ length: k }, (_, c) => {
            let sum = 0;
            for (let j = 0; j < d; j++)
              sum += (weights?.[j] ?? 1) * (points[i * stride + j] - codewords[c * d + j]) ** 2;
            return sum;
          });
          const bound = (d + 2) * 2 ** -23,
            least = Math.min(...exact);
          expect(exact[codes[i]]).toBeLessThanOrEqual(least * (1 + bound) + 1e-37);
          expect(Math.abs(distances[i] - exact[codes[i]])).toBeLessThanOrEqual(exact[codes[i]] * bound + 1e-37);
        }
      }),
      { numRuns: 150 },
    );
  });

  test.each(sets)('%s: a tie goes to the lowest index, across lanes and blocks', (_, set) => {
    for (const k of [2, 4, 5, 8, 9, 17]) {
      for (let lowest = 0; lowest < k; lowest++) {
        const codewords = Float32Array.from({ length: k }, (_, c) => (c < lowest ? 9 : c % 2 ? -1 : 1));
        const problem = { count: 1, d: 1, k, stride: 1, points: Float32Array.of(0), codewords, weights: undefined };
        expect(nearest(set, problem).codes).toEqual([lowest]);
      }
    }
  });

  test.each(sets)('%s: distances are left alone where they are not wanted', (_, set) => {
    const {
      workspace: { kernels, heap, scratch },
      free,
    } = open(set, [Float32Array.of(1, 2, 3), Float32Array.of(0, 2)], 4, [2, 1]);
    heap.float.fill(7, free, free + 4);
    callKernel(kernels, 'nearestCodeword', scratch, {
      points: 0,
      stride: 1,
      count: 3,
      d: 1,
      codewords: 4,
      k: 2,
      weights: -1,
      codes: free,
      distances: -1,
    });
    expect([...heap.int.subarray(free, free + 3)]).toEqual([0, 1, 1]);
    expect(heap.float[free + 3]).toBe(7);
  });
});

const membership = fc
  .record({
    count: fc.integer({ min: 0, max: 20 }),
    d: fc.integer({ min: 1, max: 9 }),
    k: fc.integer({ min: 1, max: 6 }),
  })
  .chain(({ count, d, k }) =>
    fc.record({
      count: fc.constant(count),
      d: fc.constant(d),
      k: fc.constant(k),
      points: floats(count * d, fc.float({ noNaN: true, noDefaultInfinity: true })),
      codes: fc
        .array(fc.integer({ min: 0, max: k - 1 }), { minLength: count, maxLength: count })
        .map((codes) => Int32Array.from(codes)),
      weights: fc.option(floats(count, fc.float({ min: 0, max: 100, noNaN: true })), { nil: undefined }),
    }),
  );

test('accumulateCentroids: sums and counts are the doubles of the plain loop, bit for bit, in both sets', () => {
  fc.assert(
    fc.property(membership, ({ count, d, k, points, codes, weights }) => {
      const sums = new Float64Array(k * d),
        counts = new Float64Array(k);
      codes.forEach((code, i) => {
        counts[code] += weights?.[i] ?? 1;
        for (let j = 0; j < d; j++) sums[code * d + j] += (weights?.[i] ?? 1) * points[i * d + j];
      });
      for (const [, set] of sets) {
        const {
          workspace: { kernels, heap, scratch },
          at,
          free,
        } = open(set, [points, codes, weights ?? new Float32Array(0)], 2 * k * d + 2 * k, [k, d]);
        heap.float.fill(NaN, free);
        callKernel(kernels, 'accumulateCentroids', scratch, {
          points: at[0],
          stride: d,
          count,
          d,
          codes: at[1],
          k,
          weights: weights ? at[2] : -1,
          sums: free,
          counts: free + 2 * k * d,
        });
        const first = heap.doubleIndex(free);
        expect(heap.double.slice(first, first + k * d)).toEqual(sums);
        expect(heap.double.slice(first + k * d, first + k * d + k)).toEqual(counts);
      }
    }),
    { numRuns: 150 },
  );
});

const block = fc
  .record({
    rows: fc.integer({ min: 1, max: 6 }),
    M: fc.integer({ min: 1, max: 5 }),
    d: fc.integer({ min: 1, max: 9 }),
    k: fc.integer({ min: 1, max: 5 }),
    before: fc.integer({ min: 0, max: 3 }),
    after: fc.integer({ min: 0, max: 3 }),
  })
  .chain(({ rows, M, d, k, before, after }) =>
    fc.record({
      rows: fc.constant(rows),
      M: fc.constant(M),
      d: fc.constant(d),
      k: fc.constant(k),
      first: fc.constant(before),
      columns: fc.constant(before + M * d + after),
      codewords: floats(k * d),
      gradient: floats(rows * (before + M * d + after), fc.float({ min: -8, max: 8, noNaN: true })),
      codes: fc
        .array(fc.integer({ min: 0, max: k - 1 }), { minLength: rows * M, maxLength: rows * M })
        .map((codes) => Int32Array.from(codes)),
      signs: fc.option(
        fc.array(fc.integer(), { minLength: 12, maxLength: 12 }).map((words) => Int32Array.from(words)),
        { nil: undefined },
      ),
      cut: fc.integer({ min: 0, max: rows }),
    }),
  );
type Block = typeof block extends fc.Arbitrary<infer T> ? T : never;

const signOf = ({ signs }: Block, i: number): number => (signs && (signs[i >> 5] >>> (i & 31)) & 1 ? -1 : 1);
const noSigns = new Int32Array(0);

/** Bits, so that 0 and -0 differ and NaN equals NaN. */
const bits = (values: ArrayLike<number>): Int32Array => new Int32Array(Float32Array.from(values).buffer);

test('nearerSeed: the least distances and their weighted sum, bit for bit the same from both sets; the distances are those of nearestCodeword', () => {
  fc.assert(
    fc.property(
      membership,
      fc.constantFrom('none', 'shared', 'each'),
      fc.infiniteStream(fc.float({ min: -4, max: 4, noNaN: true })),
      ({ count, d, weights }, kind, stream) => {
        const take = (length: number): Float32Array =>
          Float32Array.from({ length }, () => stream.next().value as number);
        const points = take(count * d),
          seeds = take(3 * d),
          metric = take(kind === 'none' ? 0 : kind === 'shared' ? d : count * d).map(Math.abs),
          step = kind === 'each' ? d : 0;
        const results = sets.map(([, set]) => {
          const {
            workspace: { kernels, heap, scratch },
            at,
            free,
          } = open(set, [points, seeds, metric, weights ?? new Float32Array(0)], count + (count & 1) + 2, [3, d]);
          heap.float.fill(Infinity, free, free + count);
          for (let s = 0; s < 3; s++)
            callKernel(kernels, 'nearerSeed', scratch, {
              points: at[0],
              stride: d,
              count,
              d,
              seed: at[1] + s * d,
              metric: kind === 'none' ? -1 : at[2],
              metricStride: step,
              weights: weights ? at[3] : -1,
              least: free,
              total: free + count + (count & 1),
            });
          return {
            least: Float32Array.from(heap.float.subarray(free, free + count)),
            total: heap.double[heap.doubleIndex(free + count + (count & 1))],
          };
        });
        expect(results[1]).toEqual(results[0]);
        const sum = results[0].least.reduce((all, value, i) => all + (weights?.[i] ?? 1) * value, 0);
        expect(Math.abs(results[0].total - sum)).toBeLessThanOrEqual(1e-14 * sum);
        if (kind !== 'each')
          expect([...results[0].least]).toEqual(
            nearest(portable, {
              count,
              d,
              k: 3,
              stride: d,
              points,
              codewords: seeds,
              weights: kind === 'shared' ? metric : undefined,
            }).distances,
          );
      },
    ),
    { numRuns: 150 },
  );
});

test('codewordErrors: the doubles of the plain loop, bit for bit, in both sets', () => {
  fc.assert(
    fc.property(
      membership,
      fc.constantFrom('none', 'shared', 'each'),
      fc.infiniteStream(fc.float({ min: -4, max: 4, noNaN: true })),
      ({ count, d, k, points, codes, weights }, kind, stream) => {
        const take = (length: number): Float32Array =>
          Float32Array.from({ length }, () => stream.next().value as number);
        const codewords = take(k * d),
          metric = take(kind === 'none' ? 0 : kind === 'shared' ? d : count * d).map(Math.abs),
          step = kind === 'each' ? d : 0;
        const errors = Float64Array.from(codes, (code, i) => {
          let sum = 0;
          for (let j = 0; j < d; j++) {
            const difference = points[i * d + j] - codewords[code * d + j];
            sum += kind === 'none' ? difference * difference : metric[i * step + j] * difference * difference;
          }
          return weights ? sum * weights[i] : sum;
        });
        for (const [, set] of sets) {
          const {
            workspace: { kernels, heap, scratch },
            at,
            free,
          } = open(set, [points, codewords, codes, metric, weights ?? new Float32Array(0)], 2 * count + 2, [k, d]);
          callKernel(kernels, 'codewordErrors', scratch, {
            points: at[0],
            stride: d,
            count,
            d,
            codewords: at[1],
            codes: at[2],
            metric: kind === 'none' ? -1 : at[3],
            metricStride: step,
            weights: weights ? at[4] : -1,
            errors: free,
            total: free + 2 * count,
          });
          const first = heap.doubleIndex(free);
          expect(heap.double.slice(first, first + count)).toEqual(errors);
          expect(heap.double[first + count]).toBe(errors.reduce((sum, error) => sum + error, 0));
        }
      },
    ),
    { numRuns: 150 },
  );
});

test('codebookDecode: sign times codeword, bit for bit, whatever rows a call is given; other columns are untouched', () => {
  fc.assert(
    fc.property(block, (problem) => {
      const { rows, M, d, k, first, columns, codewords, codes, signs, cut } = problem;
      const expected = new Float32Array(rows * columns).fill(5);
      for (let i = 0; i < rows * M * d; i++) {
        const r = Math.floor(i / (M * d)),
          column = i % (M * d),
          value = codewords[codes[Math.floor(i / d)] * d + (i % d)];
        expected[r * columns + first + column] = signOf(problem, i) < 0 ? -value : value;
      }
      for (const [, set] of sets) {
        const {
          workspace: { kernels, heap, scratch },
          at,
          free,
        } = open(set, [codewords, codes, signs ?? noSigns], rows * columns, [k, d]);
        heap.float.fill(5, free, free + rows * columns);
        for (const [row, count] of [
          [cut, rows - cut],
          [0, cut],
        ])
          callKernel(kernels, 'codebookDecode', scratch, {
            codewords: at[0],
            codes: at[1],
            signs: signs ? at[2] : -1,
            to: free,
            columns,
            first,
            row,
            rows: count,
            M,
            d,
          });
        expect(bits(heap.float.subarray(free, free + rows * columns))).toEqual(bits(expected));
      }
    }),
    { numRuns: 200 },
  );
});

function pullback(
  set: KernelSet,
  { rows, M, d, k, first, columns, gradient, codes, signs }: Block,
  precision: Precision = 'float32',
): Float64Array {
  const {
    workspace: { kernels, heap, scratch },
    at,
    free,
  } = open(set, [gradient, codes, signs ?? noSigns], k * d, [k, d], precision);
  callKernel(kernels, 'codebookPullback', scratch, {
    gradient: at[0],
    columns,
    first,
    row: 0,
    rows,
    M,
    d,
    codes: at[1],
    signs: signs ? at[2] : -1,
    k,
    dcodewords: free,
  });
  return Float64Array.from(heap.float.subarray(free, free + k * d));
}

test('codebookPullback: the same bits from both sets', () => {
  fc.assert(
    fc.property(block, (problem) => {
      expect(bits(pullback(simd, problem))).toEqual(bits(pullback(portable, problem)));
    }),
    { numRuns: 200 },
  );
});

test('codebookPullback is the transpose of decoding: <gradient, decode(c)> = <pullback(gradient), c> within 1e-12 in double', () => {
  fc.assert(
    fc.property(block, (problem) => {
      const { M, d, first, columns, gradient, codes } = problem;
      const codewords = Float64Array.from({ length: problem.k * d }, (_, i) => Math.sin(i + 1));
      let left = 0,
        scale = 1;
      codes.forEach((code, i) => {
        for (let j = 0; j < d; j++) {
          const term =
            gradient[Math.floor(i / M) * columns + first + (i % M) * d + j] *
            signOf(problem, i * d + j) *
            codewords[code * d + j];
          left += term;
          scale += Math.abs(term);
        }
      });
      const right = pullback(portable, problem, 'float64').reduce((sum, value, i) => sum + value * codewords[i], 0);
      expect(Math.abs(left - right)).toBeLessThanOrEqual(1e-12 * scale);
    }),
    { numRuns: 100 },
  );
});
