/** Points for tests of k-means. */
import fc from 'fast-check';
import type { Tensor } from '../../src/base/tensor.ts';

/**
 * (count, d) sums of four numbers of a linear congruential generator, around `centers` centers (0: none);
 * test/vectors/kmeans.py makes the same.
 */
export function generatedPoints(count: number, d: number, centers: number, seed: number): Tensor {
  let state = seed;
  const values = Float64Array.from({ length: count * d }, () => {
    let total = 0;
    for (let t = 0; t < 4; t++) {
      state = (Math.imul(1664525, state) + 1013904223) >>> 0;
      total += state / 2 ** 32;
    }
    return total - 2;
  });
  const data = Float32Array.from(values, (value, i) =>
    centers > 0 ? value + 3 * values[(Math.floor(i / d) % centers) * d + (i % d)] : value,
  );
  return { data, shape: [count, d] };
}

/** Small sets with many equal points, some far away; (n, d). */
export const pointSets: fc.Arbitrary<Tensor> = fc
  .record({ n: fc.integer({ min: 1, max: 30 }), d: fc.integer({ min: 1, max: 4 }) })
  .chain(({ n, d }) =>
    fc
      .array(
        fc.oneof(
          fc.integer({ min: -2, max: 2 }),
          fc.float({ min: -3, max: 3, noNaN: true }),
          fc.constantFrom(100, -50),
        ),
        { minLength: n * d, maxLength: n * d },
      )
      .map((values) => ({ data: Float32Array.from(values), shape: [n, d] })),
  );

/** (rows, columns) with any remainder; zeros and -0 among the values. */
export const matrices: fc.Arbitrary<Tensor> = fc
  .record({ rows: fc.integer({ min: 1, max: 9 }), columns: fc.integer({ min: 1, max: 13 }) })
  .chain(({ rows, columns }) =>
    fc
      .array(
        fc.oneof(
          { weight: 4, arbitrary: fc.float({ min: -2, max: 2, noNaN: true }) },
          { weight: 1, arbitrary: fc.constantFrom(0, -0, 1, -1) },
        ),
        { minLength: rows * columns, maxLength: rows * columns },
      )
      .map((values) => ({ data: Float32Array.from(values), shape: [rows, columns] })),
  );

/** Points of different value; 0 and -0 are one. */
export function distinctCount({ data, shape: [n, d] }: Tensor): number {
  return new Set(
    Array.from({ length: n }, (_, i) =>
      data
        .slice(i * d, i * d + d)
        .map((value) => value + 0)
        .join(),
    ),
  ).size;
}

/** The objective in double, by the codes or by the nearest codeword. */
export function objectiveOf(
  { data, shape: [n, d] }: Tensor,
  codewords: Float32Array,
  codes?: ArrayLike<number>,
  weight: (i: number, j: number) => number = () => 1,
): number {
  let total = 0;
  for (let i = 0; i < n; i++) {
    const distance = (c: number): number => {
      let sum = 0;
      for (let j = 0; j < d; j++) sum += weight(i, j) * (data[i * d + j] - codewords[c * d + j]) ** 2;
      return sum;
    };
    total += codes
      ? distance(codes[i])
      : Math.min(...Array.from({ length: codewords.length / d }, (_, c) => distance(c)));
  }
  return total;
}
