import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  areHalves,
  halfExponent,
  halfToNumber,
  numberToHalf,
  roundToHalves,
  LARGEST_HALF,
} from '../../src/encodings/index.ts';

const vectors = JSON.parse(readFileSync(new URL('../vectors/halves.json', import.meta.url), 'utf8')) as {
  floatBits: number[];
  halves: number[];
};

describe('half precision', () => {
  test('all 65536 halves come back exactly, NaN as NaN', () => {
    for (let bits = 0; bits < 65536; bits++) {
      const value = halfToNumber(bits);
      if (Number.isNaN(value)) expect(halfToNumber(numberToHalf(value))).toBeNaN();
      else if (numberToHalf(value) !== bits) expect.fail(`half ${bits} came back as ${numberToHalf(value)}`);
    }
  });

  test('floats round as numpy rounds them: ties to even, subnormals, overflow', () => {
    const floats = new Float32Array(Int32Array.from(vectors.floatBits).buffer);
    expect(Array.from(floats, numberToHalf)).toEqual(vectors.halves);
  });

  test('no half is nearer than the one chosen, and at equal distance the chosen one is even', () => {
    fc.assert(
      fc.property(
        fc.double({ min: -LARGEST_HALF, max: LARGEST_HALF, noNaN: true }),
        fc.integer({ min: -1, max: 1 }),
        (value, step) => {
          const chosen = numberToHalf(value),
            other = chosen + step;
          if ((other & 0x7fff) > 0x7bff || (other & 0x8000) !== (chosen & 0x8000)) return;
          const near = Math.abs(halfToNumber(chosen) - value),
            far = Math.abs(halfToNumber(other) - value);
          expect(near).toBeLessThanOrEqual(far);
          if (near === far && step !== 0) expect(chosen % 2).toBe(0);
        },
      ),
      { numRuns: 1000 },
    );
  });

  test('rounding twice is rounding once, and areHalves knows', () => {
    fc.assert(
      fc.property(fc.float32Array({ noNaN: true, noDefaultInfinity: true, maxLength: 20 }), (values) => {
        const once = roundToHalves(values);
        expect(roundToHalves(once)).toEqual(once);
        expect(areHalves(once)).toBe(true);
        expect(areHalves(values)).toBe(values.every((value, i) => Object.is(value, once[i])));
      }),
    );
  });

  test('the exponent: none while all bits stay without one, else the largest goes to [2^14, 2^15)', () => {
    const exponent = (...values: number[]): number => halfExponent(Float32Array.from(values));
    expect([exponent(), exponent(0, -0), exponent(2 ** -14, 65503), exponent(-1, 3)]).toEqual([0, 0, 0, 0]);
    expect([exponent(2 ** -14.01, 1), exponent(65520), exponent(-65536)]).toEqual([-14, 1, 2]);
    expect([exponent(2 ** -149), exponent(2 ** 127), exponent(2 ** 14, 1e-9)]).toEqual([-163, 113, 0]);
    const tiny = Float32Array.of(3e-40, -(2 ** -149), 5e-39);
    const rounded = roundToHalves(tiny, halfExponent(tiny));
    rounded.forEach((value, i) => expect(Math.abs(value / tiny[i] - 1)).toBeLessThanOrEqual(2 ** -11));
    expect([areHalves(rounded, halfExponent(tiny)), areHalves(rounded)]).toEqual([true, false]);
  });
});
