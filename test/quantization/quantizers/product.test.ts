import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { loadKernels, portableKernels } from '../../../src/kernels/index.ts';
import {
  codeWidth,
  decode,
  encode,
  encodingSize,
  quantizeMatrix,
  readEncoding,
  reconstructionError,
  withTrainedValues,
  trainedValues,
  writeEncoding,
  type MatrixOptions,
  type MatrixReport,
  type ProductEncoding,
} from '../../../src/quantization/index.ts';
import type { Tensor } from '../../../src/base/tensor.ts';
import { productEncodings, throughFile } from '../../encodings/arbitraries.ts';
import { generatedPoints, matrices, objectiveOf } from '../points.ts';

const kernels = await loadKernels(),
  portable = portableKernels();
type Options = Omit<MatrixOptions, 'kernels'>;
const quantized = (matrix: Tensor, options: Options): { encoding: ProductEncoding; report: MatrixReport } =>
  quantizeMatrix(matrix, { kernels, ...options });
const common = fc.record({
  codewordCount: fc.integer({ min: 2, max: 20 }),
  codebooks: fc.constantFrom('layer' as const, 'subspace' as const),
  signs: fc.constantFrom('apart' as const, 'none' as const),
  clampCodewords: fc.boolean(),
  seed: fc.nat(1000),
});
const cut = fc.oneof(
  fc.record({ subvectorLength: fc.integer({ min: 1, max: 6 }) }),
  fc.record({ subspaceCount: fc.constant(1) }),
);
const options: fc.Arbitrary<Options> = fc.tuple(common, cut).map(([shared, cut]) => ({ ...shared, ...cut }));
/** Decoded values with -0 as 0: a codeword coordinate of 0 has no sign. */
const plain = (encoding: ProductEncoding): Float32Array => decode(encoding).map((value) => value + 0);
const close = (a: number, b: number, bound: number): void =>
  expect(Math.abs(a - b)).toBeLessThanOrEqual(bound * (1 + Math.abs(b)));

describe('reconstruction', () => {
  test('error zero with at least as many codewords as distinct sub-vectors: every matrix comes back, remainder and all', () => {
    fc.assert(
      fc.property(matrices, options, (matrix, options) => {
        const { encoding, report } = quantized(matrix, { ...options, codewordCount: 200, clampCodewords: false });
        expect(plain(encoding)).toEqual(matrix.data.map((value) => value + 0));
        expect([report.objective, report.sumSquares, report.relativeError]).toEqual([0, 0, 0]);
      }),
      { numRuns: 150 },
    );
  });

  test("the objective is the squared error, the total is the sum over the blocks, and each block's is that of its columns", () => {
    fc.assert(
      fc.property(matrices, options, (matrix, options) => {
        const { encoding, report } = quantized(matrix, options),
          decoded = decode(encoding),
          columns = matrix.shape[1];
        close(report.objective, report.sumSquares, 1e-10);
        expect(reconstructionError(matrix, encoding).sumSquares).toBe(report.sumSquares);
        close(
          report.blocks.reduce((sum, { objective }) => sum + objective, 0),
          report.sumSquares,
          1e-10,
        );
        for (const { first, subspaceCount, subvectorLength, objective } of report.blocks) {
          let sum = 0;
          decoded.forEach((value, i) => {
            if (i % columns >= first && i % columns < first + subspaceCount * subvectorLength)
              sum += (matrix.data[i] - value) ** 2;
          });
          close(objective, sum, 1e-10);
        }
      }),
      { numRuns: 150 },
    );
  });

  test('never above that of the best single codeword, with signs apart and without', () => {
    fc.assert(
      fc.property(matrices, options, (matrix, options) => {
        const { encoding, report } = quantized(matrix, options),
          {
            data,
            shape: [rows, columns],
          } = matrix;
        const value = (i: number): number => (options.signs === 'apart' ? Math.abs(data[i]) : data[i]);
        let single = 0;
        for (const { first, subspaceCount: M, subvectorLength: d } of encoding.blocks) {
          for (let j = 0; j < d; j++) {
            const column = Array.from({ length: rows * M }, (_, i) =>
              value(Math.floor(i / M) * columns + first + (i % M) * d + j),
            );
            const mean = column.reduce((sum, x) => sum + x, 0) / column.length;
            single += column.reduce((sum, x) => sum + (x - mean) ** 2, 0);
          }
        }
        expect(report.sumSquares).toBeLessThanOrEqual(single * (1 + 1e-6) + 1e-12);
      }),
      { numRuns: 150 },
    );
  });

  test('more iterations are never worse', () => {
    fc.assert(
      fc.property(matrices, options, fc.integer({ min: 0, max: 4 }), (matrix, options, iterations) => {
        expect(quantized(matrix, { ...options, iterations: iterations + 1 }).report.objective).toBeLessThanOrEqual(
          quantized(matrix, { ...options, iterations }).report.objective,
        );
      }),
    );
  });

  test('signs are exact wherever the codeword is not zero; zeros and -0 keep sign 0', () => {
    fc.assert(
      fc.property(matrices, options, (matrix, options) => {
        const { encoding } = quantized(matrix, { ...options, signs: 'apart' });
        decode(encoding).forEach((value, i) => {
          if (value !== 0 && matrix.data[i] !== 0) expect(Math.sign(value)).toBe(Math.sign(matrix.data[i]));
          if (matrix.data[i] === 0) expect(Object.is(value, -0) || value < 0).toBe(false);
        });
        for (const { codewords } of encoding.blocks) expect(codewords.every((value) => value >= 0)).toBe(true);
      }),
    );
  });

  test('signs apart do what a codebook of all K 2^d sign-symmetric codewords would', () => {
    fc.assert(
      fc.property(matrices, fc.integer({ min: 1, max: 3 }), (matrix, d) => {
        const { encoding, report } = quantized(matrix, { subvectorLength: d, codewordCount: 4, iterations: 3 }),
          {
            data,
            shape: [rows, columns],
          } = matrix;
        let best = 0;
        for (const { first, subspaceCount: M, subvectorLength, codewords } of encoding.blocks) {
          const symmetric = Float32Array.from({ length: codewords.length * 2 ** subvectorLength }, (_, i) => {
            const copy = Math.floor(i / codewords.length),
              value = codewords[i % codewords.length];
            return (copy >> (i % subvectorLength)) & 1 ? -value : value;
          });
          const points = Float32Array.from(
            { length: rows * M * subvectorLength },
            (_, i) => data[Math.floor(i / (M * subvectorLength)) * columns + first + (i % (M * subvectorLength))],
          );
          best += objectiveOf({ data: points, shape: [rows * M, subvectorLength] }, symmetric);
        }
        close(report.sumSquares, best, 1e-5);
      }),
    );
  });

  test('scaling by powers of two commutes', () => {
    fc.assert(
      fc.property(matrices, options, fc.integer({ min: -40, max: 40 }), (matrix, options, exponent) => {
        const factor = 2 ** exponent,
          scaled = { data: matrix.data.map((value) => value * factor), shape: matrix.shape };
        fc.pre(scaled.data.every((value, i) => value / factor === matrix.data[i]));
        const before = quantized(matrix, options).encoding,
          after = quantized(scaled, options).encoding;
        after.blocks.forEach(({ codes, signs, codewords }, b) => {
          expect(codes).toEqual(before.blocks[b].codes);
          expect(signs).toEqual(before.blocks[b].signs);
          // A mean may have bits below the smallest subnormal: one rounding of it.
          codewords.forEach((value, i) =>
            expect(Math.abs(value - before.blocks[b].codewords[i] * factor)).toBeLessThanOrEqual(
              2 ** -149 * Math.max(1, factor),
            ),
          );
        });
      }),
      { numRuns: 150 },
    );
  });
});

describe('encode with given codebooks', () => {
  const nearby = productEncodings({ codewordCount: fc.integer({ min: 1, max: 12 }) });

  test('decode(encode(decode(c))) = decode(c), also for codewords that training moved below zero', () => {
    fc.assert(
      fc.property(nearby, (encoding) => {
        const { columns, rows } = { rows: encoding.shape[0], columns: encoding.shape[1] };
        const again = encode(encoding, { data: decode(encoding), shape: [rows, columns] }, { kernels });
        expect(plain(again)).toEqual(plain(encoding));
      }),
      { numRuns: 200 },
    );
  });

  test('no code of another codeword is nearer: the error is the least over all codewords, within 1e-5', () => {
    fc.assert(
      fc.property(
        productEncodings({ rows: fc.constant(3), codewordCount: fc.integer({ min: 1, max: 6 }) }),
        fc.infiniteStream(fc.float({ min: -3, max: 3, noNaN: true })),
        (codebook, stream) => {
          const small = withTrainedValues(
              codebook,
              trainedValues(codebook).map((value) => value % 3),
            ),
            columns = codebook.shape[1];
          const matrix = {
            data: Float32Array.from({ length: 3 * columns }, () => stream.next().value as number),
            shape: [3, columns],
          };
          let best = 0;
          for (const { first, subspaceCount: M, subvectorLength: d, codewords, signs } of small.blocks) {
            const magnitude = signs ? Math.abs : (value: number): number => value;
            const points = Float32Array.from({ length: 3 * M * d }, (_, i) =>
              magnitude(matrix.data[Math.floor(i / (M * d)) * columns + first + (i % (M * d))]),
            );
            best += objectiveOf({ data: points, shape: [3 * M, d] }, codewords.map(magnitude));
          }
          const { sumSquares } = reconstructionError(matrix, encode(small, matrix, { kernels }));
          expect(sumSquares).toBeLessThanOrEqual(best * (1 + 1e-5) + 1e-9);
          expect(sumSquares).toBeGreaterThanOrEqual(best * (1 - 1e-5) - 1e-9);
        },
      ),
      { numRuns: 100 },
    );
  });

  test('commutes with a permutation of rows, and with leaving rows out', () => {
    fc.assert(
      fc.property(matrices, options, fc.nat(), (matrix, options, seed) => {
        const {
          data,
          shape: [rows, columns],
        } = matrix;
        const { encoding } = quantized(matrix, options);
        const order = Array.from({ length: rows }, (_, r) => r)
          .sort((a, b) => Math.sin(a + seed) - Math.sin(b + seed))
          .slice(0, 1 + (seed % rows));
        const taken = Float32Array.from(order.flatMap((r) => [...data.subarray(r * columns, (r + 1) * columns)]));
        const whole = encode(encoding, matrix, { kernels }),
          part = encode(encoding, { data: taken, shape: [order.length, columns] }, { kernels });
        expect(part.shape).toEqual([order.length, columns]);
        part.blocks.forEach(({ codes, subspaceCount: M }, b) =>
          expect([...codes]).toEqual(order.flatMap((r) => [...whole.blocks[b].codes.subarray(r * M, (r + 1) * M)])),
        );
        const expected = decode(whole);
        expect([...decode(part)]).toEqual(order.flatMap((r) => [...expected.subarray(r * columns, (r + 1) * columns)]));
      }),
    );
  });

  test('the same integers from portable and SIMD kernels, and the encoding that fitting gave is the one that encoding gives', () => {
    fc.assert(
      fc.property(matrices, options, (matrix, options) => {
        const { encoding } = quantized(matrix, options);
        expect(quantizeMatrix(matrix, { ...options, kernels: portable }).encoding).toEqual(encoding);
        const again = encode(encoding, matrix, { kernels });
        expect(encode(encoding, matrix, { kernels: portable })).toEqual(again);
        close(reconstructionError(matrix, again).sumSquares, reconstructionError(matrix, encoding).sumSquares, 1e-6);
      }),
    );
  });

  test('vectors made of codewords come back exactly for every code width from 1 to 16, through the file', () => {
    for (let width = 1; width <= 16; width++) {
      const K = 2 ** width - (width > 2 ? 1 : 0),
        d = width < 12 ? 3 : 1,
        rows = width < 12 ? Math.max(8, K) : 40;
      // Distinct codewords, far enough apart to be told from each other.
      const codewords = Float32Array.from(
        { length: K * d },
        (_, i) => (i % d === 0 ? Math.floor(i / d) + 1 : (i * 7) % 5) / 8,
      );
      const codes = Uint16Array.from({ length: rows * 2 }, (_, i) => (i * 40503 + K - 1) % K);
      const signs = Uint8Array.from({ length: Math.ceil((rows * 2 * d) / 8) }, (_, i) => (i * 37) & 255);
      const codebook: ProductEncoding = {
        kind: 'product',
        shape: [rows, 2 * d],
        codewordPrecision: 'float32',
        blocks: [{ first: 0, subspaceCount: 2, subvectorLength: d, codewordCount: K, codewords, codes, signs }],
      };
      const used = (rows * 2 * d) % 8;
      if (used) signs[signs.length - 1] &= 2 ** used - 1;
      expect(codeWidth(K)).toBe(width);
      const encoded = encode(codebook, { data: decode(codebook), shape: [rows, 2 * d] }, { kernels });
      expect(encoded.blocks[0].codes).toEqual(codes);
      const written = throughFile(writeEncoding(encoded));
      expect(plain(readEncoding('w', written.header, written.get) as ProductEncoding)).toEqual(plain(codebook));
      expect(encodingSize(encoded).codes).toBe(8 * Math.ceil((rows * 2 * width) / 8));
    }
  });
});

describe('codewords', () => {
  const matrix = generatedPoints(60, 10, 0, 4);

  test('bits are those written: 1 + width / d + 32 C / N bits per weight', () => {
    const { encoding, report } = quantized(matrix, { subvectorLength: 5, codewordCount: 16 });
    expect(report.bits).toBe(8 * writeEncoding(encoding).tensors.reduce((sum, { bytes }) => sum + bytes.length, 0));
    expect(report.bitsPerWeight).toBeCloseTo(1 + 4 / 5 + (32 * 16 * 5) / 600, 12);
  });

  test('clamped, a codebook has at least 4 sub-vectors per codeword: a power of two, at least 2', () => {
    const counts = (rows: number, clampCodewords: boolean): number =>
      quantized(
        { data: generatedPoints(rows, 4, 0, 3).data, shape: [rows, 4] },
        { subvectorLength: 4, codewordCount: 256, clampCodewords },
      ).report.blocks[0].codewordCount;
    expect([1, 2, 5, 11, 16, 31, 32, 33, 100].map((rows) => counts(rows, true))).toEqual([1, 2, 2, 2, 4, 4, 8, 8, 16]);
    expect(counts(100, false)).toBe(100);
  });

  test('as many codewords as asked for, 2 to 65536, powers of two or not', () => {
    const large = generatedPoints(6000, 4, 0, 6);
    for (const K of [2, 3, 100, 2000])
      expect(
        quantized(large, { subvectorLength: 2, codewordCount: K, iterations: 1, init: 'random' }).report.blocks[0]
          .codewordCount,
      ).toBe(K);
    const most = {
      data: Float32Array.from({ length: 70000 }, (_, i) => ((i * 40503) % 65536) / 256),
      shape: [1000, 70],
    };
    const { encoding, report } = quantized(most, {
      subvectorLength: 1,
      codewordCount: 65536,
      clampCodewords: false,
      signs: 'none',
    });
    expect(report.blocks[0].codewordCount).toBe(65536);
    expect(decode(encoding)).toEqual(most.data);
  });

  test('a codebook per sub-space is never worse than one per layer with as many restarts, and costs as many codewords more', () => {
    const layer = quantized(matrix, { subvectorLength: 5, codewordCount: 4 }),
      subspace = quantized(matrix, { subvectorLength: 5, codewordCount: 4, codebooks: 'subspace' });
    expect(subspace.encoding.blocks).toHaveLength(2);
    expect(subspace.report.sumSquares).toBeLessThan(layer.report.sumSquares);
    expect(encodingSize(subspace.encoding).codebooks).toBe(2 * encodingSize(layer.encoding).codebooks);
  });

  test('columns that d leaves over form a block of their own; sub-spaces by number are of ⌈columns / count⌉ columns', () => {
    const blocksOf = (options: Options): number[][] =>
      quantized(matrix, options).encoding.blocks.map(({ first, subspaceCount, subvectorLength }) => [
        first,
        subspaceCount,
        subvectorLength,
      ]);
    expect(blocksOf({ subvectorLength: 4 })).toEqual([
      [0, 2, 4],
      [8, 1, 2],
    ]);
    expect(blocksOf({ subvectorLength: 4, codebooks: 'subspace' })).toEqual([
      [0, 1, 4],
      [4, 1, 4],
      [8, 1, 2],
    ]);
    expect(blocksOf({ subspaceCount: 4 })).toEqual([
      [0, 3, 3],
      [9, 1, 1],
    ]);
    expect(blocksOf({ subvectorLength: 99 })).toEqual([[0, 1, 10]]);
  });
});

describe('importance', () => {
  test('weights of columns are rows of equal weights: the same objective within 1e-5, which is the weighted error', () => {
    fc.assert(
      fc.property(
        matrices,
        common,
        fc.integer({ min: 1, max: 4 }),
        fc.infiniteStream(fc.integer({ min: 0, max: 8 })),
        (matrix, common, subvectorLength, stream) => {
          const [rows, columns] = matrix.shape,
            weights = Float32Array.from({ length: columns }, () => stream.next().value as number);
          const options = { ...common, subvectorLength, init: 'random' as const, iterations: 4 };
          const perColumn = quantized(matrix, { ...options, weights: { data: weights, shape: [columns] } });
          const perWeight = quantized(matrix, {
            ...options,
            weights: {
              data: Float32Array.from({ length: rows * columns }, (_, i) => weights[i % columns]),
              shape: [rows, columns],
            },
          });
          const decoded = decode(perColumn.encoding);
          // A block without any weight is fitted as if all were alike, and its error counted so.
          const counted = perColumn.encoding.blocks.flatMap(({ first, subspaceCount, subvectorLength: d }) => {
            const own = [...weights.subarray(first, first + subspaceCount * d)];
            return own.every((weight) => weight === 0) ? own.map(() => 1) : own;
          });
          close(
            perColumn.report.objective,
            decoded.reduce((sum, value, i) => sum + counted[i % columns] * (matrix.data[i] - value) ** 2, 0),
            1e-9,
          );
          if (weights.every((weight) => weight > 0))
            close(perWeight.report.objective, perColumn.report.objective, 1e-4);
        },
      ),
      { numRuns: 100 },
    );
  });

  test('more weight on a column lowers its error, and encode heeds it too', () => {
    const matrix = generatedPoints(300, 4, 0, 12),
      errorOf = (encoding: ProductEncoding): number =>
        decode(encoding).reduce((sum, value, i) => (i % 4 === 1 ? sum + (value - matrix.data[i]) ** 2 : sum), 0);
    const weights = { data: Float32Array.of(1, 100, 1, 1), shape: [4] };
    for (const subvectorLength of [2, 4]) {
      const even = quantized(matrix, { subvectorLength, codewordCount: 8 }).encoding,
        heavy = quantized(matrix, { subvectorLength, codewordCount: 8, weights }).encoding;
      expect(errorOf(heavy)).toBeLessThan(0.8 * errorOf(even));
      expect(errorOf(encode(even, matrix, { kernels, weights }))).toBeLessThan(
        errorOf(encode(even, matrix, { kernels })),
      );
    }
  });
});

describe('wrong arguments', () => {
  const matrix = { data: Float32Array.of(1, 2, 3, 4), shape: [2, 2] };
  const wrong: [string, () => unknown, typeof Error, RegExp][] = [
    [
      'neither way of cutting',
      () => quantized(matrix, {}),
      RangeError,
      /either subvectorLength or subspaceCount, got neither/,
    ],
    ['both ways of cutting', () => quantized(matrix, { subvectorLength: 1, subspaceCount: 1 }), RangeError, /got both/],
    ['d = 0', () => quantized(matrix, { subvectorLength: 0 }), RangeError, /subvectorLength/],
    [
      'more sub-spaces than columns',
      () => quantized(matrix, { subspaceCount: 3 }),
      RangeError,
      /subspaceCount: expected an integer from 1 to 2, got 3/,
    ],
    ['K = 1', () => quantized(matrix, { subvectorLength: 1, codewordCount: 1 }), RangeError, /codewordCount/],
    ['K = 65537', () => quantized(matrix, { subvectorLength: 1, codewordCount: 65537 }), RangeError, /codewordCount/],
    [
      'codebooks by another name',
      () => quantized(matrix, { subvectorLength: 1, codebooks: 'row' as 'layer' }),
      RangeError,
      /layer, subspace/,
    ],
    [
      'signs by another name',
      () => quantized(matrix, { subvectorLength: 1, signs: 'kept' as 'none' }),
      RangeError,
      /apart, none/,
    ],
    [
      'a tensor of rank 3',
      () => quantized({ data: new Float32Array(4), shape: [1, 2, 2] }, { subvectorLength: 1 }),
      RangeError,
      /shape \(rows, columns\)/,
    ],
    [
      'an empty matrix',
      () => quantized({ data: new Float32Array(0), shape: [0, 3] }, { subvectorLength: 1 }),
      RangeError,
      /at least one element/,
    ],
    ['no options', () => quantizeMatrix(matrix, undefined as unknown as MatrixOptions), TypeError, /options/],
    [
      'negative importance',
      () => quantized(matrix, { subvectorLength: 1, weights: { data: Float32Array.of(1, -2), shape: [2] } }),
      RangeError,
      /got -2 at element 1/,
    ],
    [
      'importance of another shape',
      () => quantized(matrix, { subvectorLength: 1, weights: { data: new Float32Array(3), shape: [3] } }),
      RangeError,
      /expected shape \[2\] or \[2, 2\]/,
    ],
    [
      'encode: other columns',
      () =>
        encode(
          quantized(matrix, { subvectorLength: 1 }).encoding,
          { data: new Float32Array(3), shape: [1, 3] },
          { kernels },
        ),
      RangeError,
      /expected 2 columns as the codebook has, got 3/,
    ],
    [
      'error: another size',
      () =>
        reconstructionError(
          { data: new Float32Array(3), shape: [1, 3] },
          quantized(matrix, { subvectorLength: 1 }).encoding,
        ),
      RangeError,
      /expected 4 elements/,
    ],
  ];
  test.each(wrong)('%s', (_, call, kind, text) => {
    expect(call).toThrow(kind);
    expect(call).toThrow(text);
  });

  test('NaN: NONFINITE with row and column, in quantizeMatrix and encode', () => {
    const bad = { data: Float32Array.of(1, 2, 3, NaN), shape: [2, 2] };
    const expected = expect.objectContaining({
      code: 'NONFINITE',
      message: expect.stringContaining('row 1, column 1') as string,
    }) as Error;
    expect(() => quantized(bad, { subvectorLength: 1 })).toThrow(expected);
    expect(() => encode(quantized(matrix, { subvectorLength: 1 }).encoding, bad, { kernels })).toThrow(expected);
  });
});
