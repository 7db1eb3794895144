import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  decode,
  describeEncoding,
  readEncoding,
  sameStructure,
  writeEncoding,
  type Encoding,
  type EncodingHeader,
  type ScalarEncoding,
  type StoredTensor,
} from '../../../src/encodings/index.ts';
import { encodeLevels } from '../../../src/encodings/kinds/scalar.ts';
import { bitsOf, scalarEncodings, throughFile } from '../arbitraries.ts';

const failing = (code: string): unknown => expect.objectContaining({ code });

describe('levels', () => {
  const { shape, cases } = JSON.parse(readFileSync(new URL('../../vectors/scalar.json', import.meta.url), 'utf8')) as {
    shape: number[];
    cases: (Record<'weights' | 'scales' | 'levels' | 'decoded', number[]> & {
      name: string;
      bits: number;
      zeros: number[] | null;
    })[];
  };
  test.each(cases)('as PyTorch has them, and the weights to the bit: $name', (one) => {
    const encoding = encodeLevels(Float32Array.from(one.weights), shape, {
      bits: one.bits,
      scales: Float32Array.from(one.scales),
      ...(one.zeros && { zeros: Uint8Array.from(one.zeros) }),
    });
    expect([...encoding.levels]).toEqual(one.levels);
    expect(bitsOf(decode(encoding))).toEqual(bitsOf(one.decoded));
  });

  /** With scales above 0 that are no subnormals, so that neighbouring levels are apart. */
  const usual = scalarEncodings.map((encoding): ScalarEncoding => ({
    ...encoding,
    scales: encoding.scales.map((scale) => Math.max(1e-30, Math.abs(scale))),
  }));

  test('of weights on the grid are those that they were made of: encoding and decoding are exact', () => {
    fc.assert(
      fc.property(usual, (encoding) => {
        const again = encodeLevels(decode(encoding), encoding.shape, encoding);
        expect(again).toEqual(encoding);
      }),
      { numRuns: 200 },
    );
  });

  test('are at most half a step away from weights within the range, and the last ones beyond it', () => {
    fc.assert(
      fc.property(usual, fc.infiniteStream(fc.float({ min: -1.5, max: 1.5, noNaN: true })), (encoding, parts) => {
        const { bits, scales, zeros, levels, shape } = encoding;
        const columns = levels.length / scales.length;
        const group = (i: number): number => Math.floor(i / columns);
        const zeroOf = (i: number): number => zeros?.[group(i)] ?? 2 ** (bits - 1);
        const weights = Float32Array.from(
          levels,
          (_, i) => scales[group(i)] * 2 ** (bits - 1) * (parts.next().value as number),
        );
        const encoded = encodeLevels(weights, shape, encoding);
        decode(encoded).forEach((decoded, i) => {
          const [scale, zero] = [scales[group(i)], zeroOf(i)];
          const [low, high] = [-zero * scale, (2 ** bits - 1 - zero) * scale];
          if (weights[i] < low) expect(encoded.levels[i]).toBe(0);
          else if (weights[i] > high) expect(encoded.levels[i]).toBe(2 ** bits - 1);
          else expect(Math.abs(decoded - weights[i])).toBeLessThanOrEqual((scale / 2) * (1 + 1e-5));
        });
      }),
    );
  });

  test('numbers of scales and zero points that do not fit the shape are refused', () => {
    const encodeWith = (bits: number, scales: number, zeros?: number): ScalarEncoding =>
      encodeLevels(new Float32Array(6), [3, 2], {
        bits,
        scales: new Float32Array(scales).fill(1),
        ...(zeros !== undefined && { zeros: new Uint8Array(zeros) }),
      });
    expect(encodeWith(2, 3, 3).levels).toHaveLength(6);
    for (const [bits, scales, zeros] of [
      [1, 1],
      [9, 1],
      [2, 2],
      [2, 0],
      [2, 3, 1],
    ] as const)
      expect(() => encodeWith(bits, scales, zeros)).toThrow(RangeError);
    expect(() => encodeLevels(new Float32Array(5), [3, 2], { bits: 4, scales: Float32Array.of(1) })).toThrow(
      RangeError,
    );
  });
});

/** 3 rows of 2 weights of 3 bits. */
const sample: ScalarEncoding = {
  kind: 'scalar',
  shape: [3, 2],
  bits: 3,
  levels: Uint8Array.of(0, 7, 3, 4, 5, 6),
  scales: Float32Array.of(1, 2, 0.5),
  zeros: Uint8Array.of(0, 4, 7),
};

test('what it is like, in numbers and in words', () => {
  expect([...decode(sample)]).toEqual([0, 7, -2, 0, -1, -0.5]);
  expect(describeEncoding(sample)).toBe('3-bit levels, 3 scales and zero points');
  const { zeros: _zeros, ...symmetric } = { ...sample, scales: Float32Array.of(1) };
  expect([...decode(symmetric)]).toEqual([-4, 3, -1, 0, 1, 2]);
  expect(describeEncoding(symmetric)).toBe('3-bit levels, 1 scale');
  // Lowest bits first: 000, 111, 011, 100, 101, 110.
  expect([...writeEncoding(sample).tensors[0].bytes]).toEqual([0b11111000, 0b01011000, 0b00000011]);
});

test('another width, number of scales, or zero points where there are none: another structure', () => {
  const { zeros: _zeros, ...symmetric } = sample;
  for (const other of [symmetric, { ...sample, bits: 4 }, { ...symmetric, scales: Float32Array.of(1) }])
    expect(sameStructure(sample, other)).toBe(false);
  expect(sameStructure(symmetric, { ...symmetric, scales: Float32Array.of(1) })).toBe(false);
  expect(sameStructure(sample, { ...sample, zeros: Uint8Array.of(1, 1, 1), levels: new Uint8Array(6) })).toBe(true);
});

describe('reading hostile files', () => {
  type Change = { header?: Record<string, unknown>; tensors?: Record<string, Partial<StoredTensor>> };
  const read = ({ header = {}, tensors = {} }: Change): Encoding => {
    const written = writeEncoding(sample);
    const changed = written.tensors.map((tensor) => ({ ...tensor, ...tensors[tensor.suffix] }));
    const { get } = throughFile({ header: written.header, tensors: changed });
    return readEncoding('w', { ...written.header, ...header } as EncodingHeader, get);
  };
  const floats = (...values: number[]): { bytes: Uint8Array } => ({
    bytes: new Uint8Array(Float32Array.from(values).buffer),
  });

  test('the sample itself is read', () => expect(read({})).toEqual(sample));

  const cases: [string, string, Change][] = [
    ['no rows', 'PQ_PARAM', { header: { shape: [0, 2] } }],
    ['no columns', 'PQ_PARAM', { header: { shape: [3, 0] } }],
    ['a shape that is none', 'SHAPE', { header: { shape: [3, -2] } }],
    ['a shape beyond 2^53', 'SHAPE', { header: { shape: [2 ** 30, 2 ** 30] } }],
    ['a terabyte', 'BUDGET', { header: { shape: [3, 2 ** 40] } }],
    ['1 bit', 'PQ_PARAM', { header: { bits: 1 } }],
    ['9 bits', 'PQ_PARAM', { header: { bits: 9 } }],
    ['half a bit', 'PQ_PARAM', { header: { bits: 2.5 } }],
    ['bits as text', 'PQ_PARAM', { header: { bits: '3' } }],
    ['another width than stored', 'PQ_PARAM', { header: { bits: 5 } }],
    ['two scales for three rows', 'PQ_PARAM', { header: { scales: 2 } }],
    ['no scales', 'PQ_PARAM', { header: { scales: 0 } }],
    ['fewer scales than stored', 'PQ_PARAM', { header: { scales: 1 } }],
    ['zeros that are neither', 'PQ_PARAM', { header: { zeros: 1 } }],
    ['a zero point of 8', 'PQ_PARAM', { tensors: { '.zeros': { bytes: Uint8Array.of(0, 8, 1) } } }],
    ['zero points short', 'PQ_PARAM', { tensors: { '.zeros': { bytes: Uint8Array.of(0, 1) } } }],
    ['scales short', 'PQ_PARAM', { tensors: { '.scales': floats(1, 2) } }],
    ['levels short', 'PQ_PARAM', { tensors: { '.levels': { bytes: new Uint8Array(2) } } }],
    ['set bits behind the levels', 'FIELD', { tensors: { '.levels': { bytes: Uint8Array.of(0, 0, 4) } } }],
    ['levels as floats', 'FIELD', { tensors: { '.levels': { dtype: 'F32' } } }],
    ['scales as bytes', 'FIELD', { tensors: { '.scales': { dtype: 'U8' } } }],
    ['zero points as floats', 'FIELD', { tensors: { '.zeros': { dtype: 'F32' } } }],
    ['a scale that is not a number', 'NONFINITE', { tensors: { '.scales': floats(1, NaN, 1) } }],
    ['a scale whose largest weight is infinite', 'NONFINITE', { tensors: { '.scales': floats(1e38, 1, 1) } }],
  ];
  test.each(cases)('%s: %s', (_, code, change) => expect(() => read(change)).toThrow(failing(code)));
});
