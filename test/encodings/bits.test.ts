import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { codeWidth, packCodes, packedBytes, unpackCodes } from '../../src/encodings/index.ts';

const packable = fc
  .integer({ min: 0, max: 16 })
  .chain((width) =>
    fc.record({
      width: fc.constant(width),
      codes: fc.array(fc.integer({ min: 0, max: 2 ** width - 1 }), { maxLength: 40 }),
    }),
  );

describe('packed codes', () => {
  test('unpack(pack(codes)) = codes for every width from 0 to 16', () => {
    fc.assert(
      fc.property(packable, ({ width, codes }) => {
        const bytes = packCodes(codes, width);
        expect(bytes.length).toBe(packedBytes(codes.length, width));
        expect([...unpackCodes(bytes, codes.length, width)]).toEqual(codes);
      }),
      { numRuns: 500 },
    );
  });

  test('code i takes bits i w to (i + 1) w, lowest first', () => {
    fc.assert(
      fc.property(packable, ({ width, codes }) => {
        const bytes = packCodes(codes, width);
        codes.forEach((code, i) => {
          for (let b = 0; b < width; b++)
            expect((bytes[(i * width + b) >> 3] >> ((i * width + b) & 7)) & 1).toBe((code >> b) & 1);
        });
      }),
    );
    expect([...packCodes([1, 2, 3], 2)]).toEqual([0b111001]);
  });

  test('the width is the least that tells K codewords apart', () => {
    for (const K of [1, 2, 3, 4, 5, 255, 256, 257, 65535, 65536]) {
      expect(2 ** codeWidth(K)).toBeGreaterThanOrEqual(K);
      if (K > 1) expect(2 ** (codeWidth(K) - 1)).toBeLessThan(K);
    }
  });

  test('codes that do not fit, widths beyond 16, wrong lengths and set left-over bits are refused', () => {
    expect(() => packCodes([4], 2)).toThrow(
      new RangeError('packCodes: codes: expected whole numbers below 4, got 4 at element 0; use a larger width'),
    );
    expect(() => packCodes([0.5], 2)).toThrow(RangeError);
    expect(() => packCodes([-1], 2)).toThrow(RangeError);
    expect(() => packCodes([1], 17)).toThrow(RangeError);
    expect(() => unpackCodes(new Uint8Array(2), 3, 2)).toThrow(expect.objectContaining({ code: 'PQ_PARAM' }));
    expect(() => unpackCodes(Uint8Array.of(0b01000000), 3, 2)).toThrow(expect.objectContaining({ code: 'FIELD' }));
    expect(() => unpackCodes(Uint8Array.of(0), 1, 33)).toThrow(RangeError);
  });
});
