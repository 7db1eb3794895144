import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  canonicalSigns,
  decode,
  encodingSize,
  readEncoding,
  trainedValues,
  withTrainedValues,
  writeEncoding,
  type Encoding,
  type EncodingHeader,
  type ProductBlock,
  type ProductEncoding,
  type StoredTensor,
} from '../../../src/encodings/index.ts';
import { productOperations } from '../../../src/encodings/kinds/product.ts';
import { bitsOf, productEncodings, throughFile, toHalf } from '../arbitraries.ts';

const failing = (code: string): unknown => expect.objectContaining({ code });

describe('product encoding', () => {
  test('canonicalSigns changes no bit of the decoded weights and leaves no codeword coordinate below zero', () => {
    fc.assert(
      fc.property(productEncodings(), (encoding) => {
        const canonical = canonicalSigns(encoding);
        expect(bitsOf(decode(canonical))).toEqual(bitsOf(decode(encoding)));
        for (const { signs, codewords } of canonical.blocks)
          if (signs) expect(codewords.every((value) => value > 0 || Object.is(value, 0))).toBe(true);
        expect(canonicalSigns(canonical)).toEqual(canonical);
        expect(encodingSize(canonical)).toEqual(encodingSize(encoding));
      }),
      { numRuns: 200 },
    );
  });

  test('float16 is kept while every value is a half, and given up rather than rounded', () => {
    fc.assert(
      fc.property(productEncodings(), (encoding) => {
        const halves = {
          ...withTrainedValues(
            { ...encoding, codewordPrecision: 'float32' },
            trainedValues(encoding).map((value) => toHalf(value % 1000)),
          ),
          codewordPrecision: 'float16',
        } as const;
        expect(withTrainedValues(halves, trainedValues(halves)).codewordPrecision).toBe('float16');
        expect(withTrainedValues(halves, trainedValues(halves).fill(1 / 3)).codewordPrecision).toBe('float32');
      }),
    );
  });

  test('the exponent of halves belongs to its block, is there only where it is needed, and goes with the halves', () => {
    const second = { first: 4, subspaceCount: 1, subvectorLength: 1, codes: Uint16Array.of(0, 1, 0) };
    const plain = sample();
    const small = Float32Array.of(2e-9, -3e-13);
    const mixed: ProductEncoding = {
      ...plain,
      shape: [3, 5],
      blocks: [...plain.blocks, { ...second, codewordCount: 2, codewords: small }],
    };
    const halves = productOperations.toHalves!(mixed)!;
    expect(halves.blocks[0]).toEqual(plain.blocks[0]);
    // 2e-9 lies in [2^-29, 2^-28), which becomes [2^14, 2^15).
    expect(halves.blocks[1].codewordExponent).toBe(-43);
    expect(writeEncoding(halves).header['blocks']).toEqual([
      [2, 2, 2, 1],
      [1, 1, 2, 0, -43],
    ]);
    const { codewords } = halves.blocks[1];
    codewords.forEach((value, i) => expect(Math.abs(value / small[i] - 1)).toBeLessThanOrEqual(2 ** -11));
    const moved = withTrainedValues(halves, trainedValues(halves).fill(1 / 3));
    expect([moved.codewordPrecision, moved.blocks[1].codewordExponent]).toEqual(['float32', undefined]);
    expect(withTrainedValues(halves, trainedValues(halves))).toEqual(halves);
  });

  test('codewords that are no halves are not written as halves', () => {
    const encoding = sample({ codewords: Float32Array.of(0.1, 1, 2, 3) });
    expect(() => writeEncoding({ ...encoding, codewordPrecision: 'float16' })).toThrow(/roundCodebooks/);
  });
});

/** 3 rows of 2 sub-vectors of 2; K = 2. */
function sample(block: Partial<ProductBlock> = {}): ProductEncoding {
  const blocks = [
    {
      first: 0,
      subspaceCount: 2,
      subvectorLength: 2,
      codewordCount: 2,
      codewords: Float32Array.of(1, 2, 3, 4),
      codes: Uint16Array.of(0, 1, 1, 0, 1, 1),
      signs: Uint8Array.of(0b10110001, 0b1010),
      ...block,
    },
  ];
  return { kind: 'product', shape: [3, 4], blocks, codewordPrecision: 'float32' };
}

describe('reading hostile files', () => {
  type Change = { header?: Record<string, unknown>; tensors?: Record<string, Partial<StoredTensor> | undefined> };
  const read = ({ header = {}, tensors = {} }: Change): Encoding => {
    const written = writeEncoding(sample());
    const changed = written.tensors.map((tensor) => ({ ...tensor, ...tensors[tensor.suffix] }));
    const { get } = throughFile({ header: written.header, tensors: changed });
    return readEncoding('w', { ...written.header, ...header } as EncodingHeader, get);
  };

  test('the sample itself is read', () => expect(read({})).toEqual(sample()));

  const scaledHalves = (half: number, exponent: number): Change => ({
    header: { blocks: [[2, 2, 2, 1, exponent]] },
    tensors: { '.codewords': { dtype: 'F16', bytes: new Uint8Array(Uint16Array.of(half, half, half, half).buffer) } },
  });
  test('halves with the exponents that suit them are read', () => {
    expect((read(scaledHalves(0x7bff, 112)) as ProductEncoding).blocks[0].codewords[0]).toBe(65504 * 2 ** 112);
    expect((read(scaledHalves(0x0400, -135)) as ProductEncoding).blocks[0].codewords[0]).toBe(2 ** -149);
    expect(read(scaledHalves(0x3c00, 0))).toMatchObject({ blocks: [{ codewords: Float32Array.of(1, 1, 1, 1) }] });
  });

  const cases: [string, string, Change][] = [
    ['no rows', 'PQ_PARAM', { header: { shape: [0, 4] } }],
    ['no columns', 'PQ_PARAM', { header: { shape: [3, 0] } }],
    ['a shape that is none', 'SHAPE', { header: { shape: [3, -4] } }],
    ['a shape with half a side', 'SHAPE', { header: { shape: [3, 1.5] } }],
    ['a shape beyond 2^53', 'SHAPE', { header: { shape: [2 ** 30, 2 ** 30] } }],
    ['a shape whose product is not a number', 'SHAPE', { header: { shape: [...Array<number>(40).fill(2 ** 52), 0] } }],
    ['a shape that is text', 'SHAPE', { header: { shape: '34' } }],
    ['no blocks', 'PQ_PARAM', { header: { blocks: [] } }],
    ['blocks that are text', 'PQ_PARAM', { header: { blocks: 'x' } }],
    ['a block of three numbers', 'PQ_PARAM', { header: { blocks: [[2, 2, 2]] } }],
    ['zero sub-vectors', 'PQ_PARAM', { header: { blocks: [[0, 2, 2, 1]] } }],
    ['sub-vectors of length 0', 'PQ_PARAM', { header: { blocks: [[2, 0, 2, 1]] } }],
    ['K = 0', 'PQ_PARAM', { header: { blocks: [[2, 2, 0, 1]] } }],
    ['K = 65537', 'PQ_PARAM', { header: { blocks: [[2, 2, 65537, 1]] } }],
    ['M d below the columns', 'PQ_PARAM', { header: { blocks: [[1, 2, 2, 1]] } }],
    ['M d above the columns', 'PQ_PARAM', { header: { blocks: [[3, 2, 2, 1]] } }],
    ['M d that wraps', 'PQ_PARAM', { header: { blocks: [[2 ** 52, 2 ** 52, 2, 1]] } }],
    ['a block of six numbers', 'PQ_PARAM', { header: { blocks: [[2, 2, 2, 1, 0, 0]] } }],
    ['an exponent that is half', 'PQ_PARAM', { header: { blocks: [[2, 2, 2, 1, 0.5]] } }],
    ['an exponent beyond floats', 'PQ_PARAM', { header: { blocks: [[2, 2, 2, 1, 152]] } }],
    ['an exponent below floats', 'PQ_PARAM', { header: { blocks: [[2, 2, 2, 1, -165]] } }],
    ['an exponent of float32 codewords', 'PQ_PARAM', { header: { blocks: [[2, 2, 2, 1, -3]] } }],
    ['halves that become infinite', 'PQ_PARAM', scaledHalves(0x7bff, 113)],
    ['halves that are no float32 any more', 'PQ_PARAM', scaledHalves(0x0401, -140)],
    ['a sign flag of 2', 'PQ_PARAM', { header: { blocks: [[2, 2, 2, 2]] } }],
    ['more codewords than stored', 'PQ_PARAM', { header: { blocks: [[2, 2, 3, 1]] } }],
    ['one byte of codes too many', 'PQ_PARAM', { tensors: { '.codes': { bytes: new Uint8Array(2) } } }],
    ['no codes', 'PQ_PARAM', { tensors: { '.codes': { bytes: new Uint8Array(0) } } }],
    ['a byte of codewords short', 'PQ_PARAM', { tensors: { '.codewords': { bytes: new Uint8Array(15) } } }],
    ['signs short', 'PQ_PARAM', { tensors: { '.signs': { bytes: new Uint8Array(1) } } }],
    ['set bits behind the signs', 'FIELD', { tensors: { '.signs': { bytes: Uint8Array.of(0, 0x10) } } }],
    ['set bits behind the codes', 'FIELD', { tensors: { '.codes': { bytes: Uint8Array.of(0x80) } } }],
    ['codes as floats', 'FIELD', { tensors: { '.codes': { dtype: 'F32' } } }],
    ['signs as floats', 'FIELD', { tensors: { '.signs': { dtype: 'F32' } } }],
    ['codewords as bytes', 'FIELD', { tensors: { '.codewords': { dtype: 'U8' } } }],
    [
      'an infinite codeword',
      'NONFINITE',
      { tensors: { '.codewords': { bytes: new Uint8Array(Float32Array.of(1, Infinity, 3, 4).buffer) } } },
    ],
    [
      'a NaN half',
      'NONFINITE',
      { tensors: { '.codewords': { dtype: 'F16', bytes: new Uint8Array(Uint16Array.of(0, 0x7e01, 0, 0).buffer) } } },
    ],
  ];
  test.each(cases)('%s: %s', (_, code, change) => expect(() => read(change)).toThrow(failing(code)));

  test('an index at or above K: PQ_PARAM', () => {
    const three = sample({ codewordCount: 3, codewords: new Float32Array(6), codes: Uint16Array.of(0, 1, 2, 0, 1, 2) });
    const { header, tensors } = writeEncoding(three);
    const codes = Uint8Array.of(0b11000000, 0);
    expect(() =>
      readEncoding(
        'w',
        header,
        throughFile({
          header,
          tensors: tensors.map((tensor) => (tensor.suffix === '.codes' ? { ...tensor, bytes: codes } : tensor)),
        }).get,
      ),
    ).toThrow(/indices below 3, got 3 for sub-vector 3/);
  });

  test('a terabyte from zero-bit codes: BUDGET, before anything is allocated', () => {
    const one = sample({ codewordCount: 1, codewords: new Float32Array(2), codes: new Uint16Array(6) });
    const { header, tensors } = writeEncoding(one);
    const huge = { ...header, shape: [2 ** 37, 2], blocks: [[1, 2, 1, 0]] };
    expect(() => readEncoding('w', huge, throughFile({ header, tensors }).get)).toThrow(failing('BUDGET'));
  });
});
