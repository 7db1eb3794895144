import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { ACTIVATION, MATMUL } from '../../../src/kernels/index.ts';
import { bothSets, expectWithin, normals, onBoth, openBench, seeds, skews, type Bench } from '../bench.ts';
import { callKernel } from '../../../src/kernels/specification/call.ts';

let benches: readonly [Bench, Bench];
beforeAll(async () => {
  const [portable, simd] = await bothSets();
  benches = [openBench(portable, { words: 1 << 20 }), openBench(simd, { words: 1 << 20 })];
});

interface Product {
  m: number;
  n: number;
  k: number;
  seed: number;
  /** Layout of a operand: rows contiguous, columns contiguous, or neither. */
  layoutA: Layout;
  layoutB: Layout;
  /** Words between c's rows beyond n. */
  gap: number;
  flags: number;
  activation: number;
}
type Layout = 'rows' | 'columns' | 'apart';

const layouts = fc.constantFrom<Layout>('rows', 'columns', 'apart');
const edge = (...values: number[]) => fc.constantFrom(...values);
const sizesOf = (m: fc.Arbitrary<number>, n: fc.Arbitrary<number>, k: fc.Arbitrary<number>): fc.Arbitrary<Product> =>
  fc.record({
    m,
    n,
    k,
    seed: seeds,
    layoutA: layouts,
    layoutB: layouts,
    gap: fc.integer({ min: 0, max: 3 }),
    flags: fc.integer({ min: 0, max: 7 }),
    activation: edge(ACTIVATION.none, ACTIVATION.relu, ACTIVATION.leakyRelu),
  });
const alongOf = (m: fc.Arbitrary<number>, n: fc.Arbitrary<number>, k: fc.Arbitrary<number>): fc.Arbitrary<Product> =>
  sizesOf(m, n, k).map((product) => ({ ...product, layoutA: 'rows', layoutB: 'columns' }));
const small = fc.integer({ min: 0, max: 37 });
const products = fc.oneof(
  sizesOf(small, small, small),
  sizesOf(edge(1), fc.integer({ min: 0, max: 70 }), fc.integer({ min: 0, max: 400 })),
  sizesOf(fc.integer({ min: 0, max: 70 }), edge(1), fc.integer({ min: 0, max: 400 })),
  // Across the blocks of every dimension.
  sizesOf(edge(2, 3, 128, 131), edge(2, 17, 33), edge(320, 321, 643)),
  sizesOf(edge(1, 2, 3), edge(255, 256, 259, 1030), edge(5, 321)),
  // Both contiguous along k: with every tail of columns and of k, across blocks of k (the last of 65025 is a single
  // word) and of rows.
  alongOf(
    fc.integer({ min: 1, max: 9 }),
    fc.integer({ min: 1, max: 19 }),
    fc.oneof(fc.integer({ min: 94, max: 110 }), fc.integer({ min: 509, max: 518 }), edge(1023, 1537)),
  ),
  alongOf(edge(1, 2), edge(1, 2), edge(65025)),
  alongOf(edge(127, 129, 400), edge(1, 3), edge(513, 1030)),
);

/** Element (i, j) of a matrix [rows, columns] at i * row + j * column. */
function strides(layout: Layout, rows: number, columns: number): { row: number; column: number; words: number } {
  if (layout === 'rows') return { row: columns, column: 1, words: rows * columns };
  if (layout === 'columns') return { row: 1, column: rows, words: rows * columns };
  return { row: 2 * columns + 1, column: 2, words: Math.max(0, rows * (2 * columns + 1)) };
}

/**
 * c [m, n] of a call, cut into pieces of rows and columns at the given places; the whole of c, gaps included, in `all`.
 */
function run(
  bench: Bench,
  { m, n, k, seed, layoutA, layoutB, gap, flags, activation }: Product,
  { absolute = false, cutRows = [] as number[], cutColumns = [] as number[] } = {},
): { c: number[]; all: number[] } {
  const positive = (values: Float32Array): Float32Array => (absolute ? values.map(Math.abs) : values);
  const inA = strides(layoutA, m, k),
    inB = strides(layoutB, k, n),
    row = n + gap;
  const a = bench.floats(positive(normals(seed, inA.words))),
    b = bench.floats(positive(normals(seed + 1, inB.words)));
  const c = bench.floats(positive(normals(seed + 2, m * row))),
    bias = bench.floats(positive(normals(seed + 3, Math.max(m, n)))),
    slope = bench.floats([0.125]);
  const scratch = bench.room(bench.set.sizes.scratchWords('matmul', undefined, [m, n, k]));
  for (const [i, rows] of pieces(cutRows, m)) {
    for (const [j, columns] of pieces(cutColumns, n)) {
      // Both biases are read from one vector, which a piece can shift only if it is not cut in the other direction.
      callKernel(bench.kernels, 'matmul', scratch, {
        m: rows,
        n: columns,
        k,
        a: a + i * inA.row,
        aRow: inA.row,
        aColumn: inA.column,
        b: b + j * inB.column,
        bRow: inB.row,
        bColumn: inB.column,
        c: c + i * row + j,
        cRow: row,
        flags,
        bias: bias + (flags & MATMUL.biasPerRow ? i : j),
        activation,
        parameters: slope,
      });
    }
  }
  const all = bench.read(c, m * row);
  return { c: all.filter((_, at) => at % row < n), all };
}

function pieces(cuts: readonly number[], length: number): [number, number][] {
  const places = [0, ...cuts.map((cut) => cut % (length + 1)).sort((a, b) => a - b), length];
  return places.slice(1).map((end, i) => [places[i], end - places[i]]);
}

describe('matmul, SIMD', () => {
  it('|c - exact| <= 2 (K + 3) 2^-24 (sum |a||b| + |c| + |bias|), any size, stride, flags and activation; writes c and nothing else', () => {
    fc.assert(
      fc.property(products, skews, (product, skew) => {
        const { portable, simd } = onBoth(benches, skew, (bench) => run(bench, product));
        benches[0].reset(skew);
        const magnitude = run(benches[0], { ...product, activation: ACTIVATION.none }, { absolute: true });
        expectWithin(simd.c, portable.c, (i) => 2 * (product.k + 3) * 2 ** -24 * magnitude.c[i]);
        const row = product.n + product.gap;
        expect(simd.all.filter((_, i) => i % row >= product.n)).toEqual(
          portable.all.filter((_, i) => i % row >= product.n),
        );
      }),
      { numRuns: 100 },
    );
  });

  it('the bound above is not vacuous: one product left out breaks it', () => {
    const product: Product = {
      m: 4,
      n: 20,
      k: 40,
      seed: 1,
      layoutA: 'rows',
      layoutB: 'rows',
      gap: 0,
      flags: 0,
      activation: 0,
    };
    const { portable, simd } = onBoth(benches, 0, (bench) =>
      run(bench, { ...product, k: bench === benches[1] ? 39 : 40, layoutA: 'columns' }),
    );
    expect(() => expectWithin(simd.c, portable.c, () => 2 * 40 * 2 ** -24 * 60)).toThrow('element');
  });

  it('any cut into rows and columns gives the same bits, pieces of one row or column included', () => {
    const cuts = fc.array(fc.nat(), { maxLength: 4 });
    fc.assert(
      fc.property(products, cuts, cuts, (product, cutRows, cutColumns) => {
        const one =
          product.flags & MATMUL.biasPerRow && product.flags & MATMUL.biasPerColumn
            ? { ...product, flags: product.flags & ~MATMUL.biasPerColumn }
            : product;
        const bench = benches[1];
        bench.reset();
        const whole = run(bench, one);
        bench.reset();
        expect(run(bench, one, { cutRows, cutColumns })).toEqual(whole);
      }),
      { numRuns: 100 },
    );
  });

  it('no terms give zeros, biased and activated; no rows or columns write nothing', () => {
    const { portable, simd } = onBoth(benches, 1, (bench) =>
      run(bench, {
        m: 3,
        n: 5,
        k: 0,
        seed: 4,
        layoutA: 'rows',
        layoutB: 'rows',
        gap: 1,
        flags: MATMUL.biasPerColumn,
        activation: ACTIVATION.relu,
      }),
    );
    expect(simd).toEqual(portable);
  });

  it('a NaN in a row of a reaches that row of c, through every activation, and no other', () => {
    for (const activation of [ACTIVATION.none, ACTIVATION.relu, ACTIVATION.leakyRelu]) {
      // The last two lie contiguous along k, with a last quad that is not whole.
      for (const [m, k, row, column] of [
        [1, 7, 18, 1],
        [5, 7, 18, 1],
        [1, 97, 1, 97],
        [5, 97, 1, 97],
      ]) {
        const bench = benches[1];
        bench.reset();
        const values = normals(2, m * k);
        values[k * (m - 1) + k - 2] = NaN;
        const a = bench.floats(values),
          b = bench.floats(normals(3, k * 18)),
          c = bench.room(m * 18),
          slope = bench.floats([0.5]),
          scratch = bench.room(bench.set.sizes.scratchWords('matmul', undefined, [m, 18, k]));
        callKernel(bench.kernels, 'matmul', scratch, {
          m,
          n: 18,
          k,
          a,
          aRow: k,
          aColumn: 1,
          b,
          bRow: row,
          bColumn: column,
          c,
          cRow: 18,
          flags: 0,
          bias: -1,
          activation,
          parameters: slope,
        });
        expect(bench.read(c, m * 18).map(Number.isNaN)).toEqual(
          Array.from({ length: m * 18 }, (_, i) => i >= 18 * (m - 1)),
        );
      }
    }
  });
});
