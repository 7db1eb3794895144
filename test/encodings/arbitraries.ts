/** Encodings of all kinds: one arbitrary for each in the table, which is what the laws draw from. */
import fc from 'fast-check';
import { denseOperations } from '../../src/encodings/kinds/dense.ts';
import { EspalierError } from '../../src/base/errors.ts';
import {
  denseEncoding,
  numberToHalf,
  halfToNumber,
  packCodes,
  type BinaryEncoding,
  type Encoding,
  type EncodingHeader,
  type EncodingKind,
  type ProductBlock,
  type ProductEncoding,
  type ScalarEncoding,
  type SparseEncoding,
  type StoredTensor,
} from '../../src/encodings/index.ts';

export interface Recipe {
  rows?: fc.Arbitrary<number>;
  codewordCount?: fc.Arbitrary<number>;
  signs?: fc.Arbitrary<boolean>;
}

const half = fc.integer({ min: 0, max: 0xffff }).map(halfToNumber).filter(Number.isFinite);
const float = fc.oneof(
  { weight: 5, arbitrary: fc.float({ noNaN: true, min: -4, max: 4 }) },
  { weight: 1, arbitrary: fc.constantFrom(0, -0, 1e-45, -3e-39, 3e38) },
);

/** With remainders, blocks per sub-space, every code width, with and without signs, halves or floats. */
export function productEncodings(recipe: Recipe = {}): fc.Arbitrary<ProductEncoding> {
  const {
    rows = fc.integer({ min: 1, max: 7 }),
    codewordCount = fc.integer({ min: 1, max: 40 }),
    signs = fc.boolean(),
  } = recipe;
  const cut = fc.record({
    M: fc.integer({ min: 1, max: 4 }),
    d: fc.integer({ min: 1, max: 5 }),
    K: codewordCount,
    signed: signs,
    exponent: fc.constantFrom(0, 0, -34, 20),
  });
  return fc
    .record({
      rows,
      cuts: fc.array(cut, { minLength: 1, maxLength: 3 }),
      halves: fc.boolean(),
      seed: fc.infiniteStream(fc.nat()),
      values: fc.infiniteStream(float),
      halfValues: fc.infiniteStream(half),
    })
    .map(({ rows, cuts, halves, seed, values, halfValues }) => {
      const next = <T>(stream: Iterator<T>): T => stream.next().value as T;
      let first = 0;
      const blocks = cuts.map(({ M, d, K, signed, exponent }): ProductBlock => {
        const start = first;
        first += M * d;
        const signBytes = Uint8Array.from({ length: Math.ceil((rows * M * d) / 8) }, () => next(seed) & 255);
        const used = (rows * M * d) % 8;
        if (used > 0) signBytes[signBytes.length - 1] &= 2 ** used - 1;
        return {
          first: start,
          subspaceCount: M,
          subvectorLength: d,
          codewordCount: K,
          codewords: Float32Array.from({ length: K * d }, () =>
            halves ? next(halfValues) * 2 ** exponent : next(values),
          ),
          ...(halves && exponent !== 0 && { codewordExponent: exponent }),
          codes: Uint16Array.from({ length: rows * M }, () => next(seed) % K),
          ...(signed && { signs: signBytes }),
        };
      });
      return { kind: 'product', shape: [rows, first], blocks, codewordPrecision: halves ? 'float16' : 'float32' };
    });
}

const denseEncodings = fc
  .tuple(fc.integer({ min: 0, max: 5 }), fc.integer({ min: 1, max: 5 }), fc.infiniteStream(float), fc.boolean())
  .map(([rows, columns, values, halves]) => {
    const single = denseEncoding({
      data: Float32Array.from({ length: rows * columns }, () => values.next().value as number),
      shape: [rows, columns],
    });
    return halves ? (denseOperations.toHalves!(single) ?? single) : single;
  });

/** All widths, a scale per row or one, symmetric or not; scales below zero too, as training may leave them. */
export const scalarEncodings: fc.Arbitrary<ScalarEncoding> = fc
  .record({
    rows: fc.integer({ min: 1, max: 6 }),
    columns: fc.integer({ min: 1, max: 9 }),
    bits: fc.integer({ min: 2, max: 8 }),
    perRow: fc.boolean(),
    symmetric: fc.boolean(),
    seed: fc.infiniteStream(fc.nat()),
    scales: fc.infiniteStream(
      fc.oneof(fc.float({ noNaN: true, min: -4, max: 4 }), fc.constantFrom(0, 1e-45, -3e-39, 1e36)),
    ),
  })
  .map(({ rows, columns, bits, perRow, symmetric, seed, scales }) => {
    const count = perRow ? rows : 1;
    const level = (): number => (seed.next().value as number) % 2 ** bits;
    return {
      kind: 'scalar',
      shape: [rows, columns],
      bits,
      levels: Uint8Array.from({ length: rows * columns }, level),
      scales: Float32Array.from({ length: count }, () => scales.next().value as number),
      ...(!symmetric && { zeros: Uint8Array.from({ length: count }, level) }),
    };
  });

/** A scale per row or one; scales below zero too, as training may leave them. */
export const binaryEncodings: fc.Arbitrary<BinaryEncoding> = fc
  .record({
    rows: fc.integer({ min: 1, max: 6 }),
    columns: fc.integer({ min: 1, max: 11 }),
    perRow: fc.boolean(),
    seed: fc.infiniteStream(fc.nat()),
    scales: fc.infiniteStream(float),
  })
  .map(({ rows, columns, perRow, seed, scales }) => ({
    kind: 'binary',
    shape: [rows, columns],
    signs: packCodes(
      Array.from({ length: rows * columns }, () => (seed.next().value as number) & 1),
      1,
    ),
    scales: Float32Array.from({ length: perRow ? rows : 1 }, () => scales.next().value as number),
  }));

/**
 * Few values or many, beside each other and far apart (gaps that every width has to cut in pieces), as floats, halves or
 * codewords.
 */
export const sparseEncodings: fc.Arbitrary<SparseEncoding> = fc
  .record({
    gaps: fc.array(
      fc.oneof({ weight: 5, arbitrary: fc.nat(4) }, { weight: 1, arbitrary: fc.constantFrom(7, 30, 31, 32, 300) }),
      { minLength: 1, maxLength: 12 },
    ),
    behind: fc.nat(3),
    rows: fc.constantFrom(1, 2, 5),
    inner: fc.constantFrom('float', 'half', 'codewords'),
    codewordCount: fc.integer({ min: 1, max: 9 }),
    values: fc.infiniteStream(float),
    seed: fc.infiniteStream(fc.nat()),
  })
  .map(({ gaps, behind, rows, inner, codewordCount: K, values, seed }) => {
    let next = 0;
    const positions = Uint32Array.from(gaps, (gap) => (next += gap + 1) - 1);
    const n = positions.length;
    const draw = (length: number): Float32Array => Float32Array.from({ length }, () => values.next().value as number);
    const block = {
      first: 0,
      subspaceCount: 1,
      subvectorLength: 1,
      codewordCount: K,
      codewords: draw(K),
      codes: Uint16Array.from({ length: n }, () => (seed.next().value as number) % K),
    };
    const single = denseEncoding({ data: draw(n), shape: [n] });
    return {
      kind: 'sparse',
      shape: [rows, Math.ceil((next + behind) / rows)],
      positions,
      values:
        inner === 'codewords'
          ? { kind: 'product', shape: [n], blocks: [block], codewordPrecision: 'float32' }
          : inner === 'half'
            ? (denseOperations.toHalves!(single) ?? single)
            : single,
    };
  });

/** An arbitrary for every kind: laws.test.ts fails for a kind that has none. */
export const ENCODINGS: { readonly [K in EncodingKind]: fc.Arbitrary<Extract<Encoding, { kind: K }>> } = {
  binary: binaryEncodings,
  dense: denseEncodings,
  product: productEncodings(),
  scalar: scalarEncodings,
  sparse: sparseEncodings,
};

/** What a file would do: the header as JSON text and back, tensors found by suffix. */
export function throughFile({ header, tensors }: { header: EncodingHeader; tensors: readonly StoredTensor[] }): {
  header: EncodingHeader;
  get: (suffix: string) => StoredTensor;
} {
  return {
    header: JSON.parse(JSON.stringify(header)) as EncodingHeader,
    get(suffix) {
      const found = tensors.find((tensor) => tensor.suffix === suffix);
      if (!found) throw new EspalierError('MISSING', `no tensor ${suffix}`);
      // Bytes as a file gives them: somewhere within a larger buffer, at an odd offset.
      const buffer = new Uint8Array(found.bytes.length + 8).fill(255);
      buffer.set(found.bytes, 3);
      return { ...found, bytes: buffer.subarray(3, 3 + found.bytes.length) };
    },
  };
}

export const toHalf = (value: number): number => halfToNumber(numberToHalf(value));

/** Bits, so that 0 and -0 differ. */
export const bitsOf = (values: ArrayLike<number>): Int32Array => new Int32Array(Float32Array.from(values).buffer);
