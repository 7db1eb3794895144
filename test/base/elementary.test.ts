import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  acos,
  cosPi,
  exp,
  exponentOf,
  lengthOf,
  log,
  log1p,
  pow,
  power,
  roundEven,
  sinPi,
  square,
  tanh,
} from '../../src/base/elementary.ts';
import { observeNumbers } from '../browser/numbers.ts';

type Name = 'exp' | 'log' | 'log1p' | 'cosPi' | 'sinPi' | 'tanh' | 'acos';
const vectors = JSON.parse(readFileSync(new URL('../vectors/elementary.json', import.meta.url), 'utf8')) as Readonly<
  Record<Name, readonly (readonly [x: number, nearest: number, rest: number])[]>
>;

/** Distance from |x| to the next double. */
function ulp(x: number): number {
  return x === 0 ? 2 ** -1074 : 2 ** Math.max(-1074, exponentOf(Math.abs(x)) - 52);
}

describe('elementary functions', () => {
  test.each<[Name, number, (x: number) => number]>([
    ['exp', 0.75, exp],
    ['log', 0.8, log],
    ['log1p', 0.8, log1p],
    ['cosPi', 0.75, cosPi],
    ['sinPi', 0.75, sinPi],
    ['tanh', 1.1, tanh],
    ['acos', 1.5, acos],
  ])('%s is the exact value of mpmath within %d ulp', (name, bound, f) => {
    for (const [x, nearest, rest] of vectors[name]) {
      const error = Math.abs(f(x) - nearest - rest) / ulp(nearest);
      expect(error, `${name}(${x}) is off by ${error} ulp`).toBeLessThanOrEqual(bound);
    }
  });

  test('the same bits on every engine: digests over 30,000 numbers, which scripts/check-browser.ts asks of a browser too', () => {
    const { ours, powersOfTwo } = observeNumbers();
    expect(powersOfTwo).toBe(true);
    // May only change together with the functions, and then so do seeds' weights, schedules and losses.
    expect(ours).toEqual({
      exp: 'b7b6df69',
      log: 'b55060eb',
      log1p: '3f781c1c',
      cosPi: '1a1f3309',
      sinPi: '29d09489',
      tanh: '833747eb',
      acos: '156b789d',
      exponentOf: 'bce18af6',
      power: 'bd2842f2',
      pow: '89dd738a',
      roundEven: '8a278c82',
    });
  });

  test('ends and special values', () => {
    expect([exp(-Infinity), exp(-746), exp(0), exp(-0), exp(710), exp(Infinity), exp(NaN)]).toEqual([
      ...[0, 0, 1, 1, Infinity, Infinity, NaN],
    ]);
    expect(exp(-745.13)).toBe(2 ** -1074);
    expect([log(0), log(-0), log(1), log(Infinity), log(-1), log(NaN)]).toEqual([
      ...[-Infinity, -Infinity, 0, Infinity, NaN, NaN],
    ]);
    expect([log1p(-1), log1p(0), log1p(Infinity), log1p(-2), log1p(NaN)]).toEqual([-Infinity, 0, Infinity, NaN, NaN]);
    expect([tanh(-Infinity), tanh(-30), tanh(30), tanh(Infinity), tanh(NaN)]).toEqual([-1, -1, 1, 1, NaN]);
    expect([tanh(0), tanh(-0), tanh(1e-300), tanh(5e-324)]).toEqual([0, -0, 1e-300, 5e-324]);
    expect([acos(1), acos(-1), acos(0), acos(2), acos(-2), acos(NaN)]).toEqual([
      0,
      Math.PI,
      Math.PI / 2,
      NaN,
      NaN,
      NaN,
    ]);
    expect([cosPi(Infinity), cosPi(NaN), sinPi(-Infinity), sinPi(NaN)]).toEqual([NaN, NaN, NaN, NaN]);
  });

  test('cosines and sines of half turns and quarters are exact, to any size', () => {
    for (let k = -9; k <= 9; k++) {
      const [cosine, sine] = [
        [1, 0],
        [0, 1],
        [-1, 0],
        [0, -1],
      ][((k % 4) + 4) % 4];
      expect([cosPi(k / 2) + 0, sinPi(k / 2) + 0]).toEqual([cosine + 0, sine + 0]);
    }
    expect([cosPi(2 ** 60), cosPi(2 ** 52 + 1), sinPi(2 ** 51 + 0.5)].map((x) => x + 0)).toEqual([1, -1, 1]);
  });

  test('laws: cosines are even, sines and tanh odd, to the bit; exp rises', () => {
    fc.assert(
      fc.property(fc.double({ min: -700, max: 700, noNaN: true }), (x) => {
        expect(cosPi(-x)).toBe(cosPi(x));
        expect(sinPi(-x) + 0).toBe(-sinPi(x) + 0);
        expect(tanh(-x)).toBe(-tanh(x));
        expect(exp(x)).toBeLessThanOrEqual(exp(x + 1e-12 + Math.abs(x) * 1e-15));
      }),
    );
  });

  test('the exponent of a number is exact from 2^-1074 to 2^1023, on both sides of each power of two', () => {
    for (let e = -1074; e <= 1023; e++) {
      expect(exponentOf(2 ** e)).toBe(e);
      if (e > -1074) expect(exponentOf(2 ** e - ulp(2 ** (e - 1)))).toBe(e - 1);
    }
    expect(exponentOf(Number.MAX_VALUE)).toBe(1023);
  });

  test('power is exact where its value is whole, and within n / 2^53 of it else', () => {
    for (let n = 0; n <= 33; n++) expect(power(3, n)).toBe(Number(3n ** BigInt(n)));
    expect([power(0, 0), power(0, 3), power(-2, 3), power(0.9, 1)]).toEqual([1, 0, -8, 0.9]);
    fc.assert(
      fc.property(fc.double({ min: 0.5, max: 1, noNaN: true }), fc.integer({ min: 1, max: 1000 }), (x, n) => {
        const expected = exp(n * log(x));
        expect(Math.abs(power(x, n) - expected)).toBeLessThanOrEqual((4 * n * expected) / 2 ** 53);
      }),
    );
  });

  test('powers of any exponent: the ends as IEEE 754 has them, else within (|y ln x| + 2) / 2^52', () => {
    const specials = [NaN, -Infinity, -3, -2.5, -1, -0.5, -0, 0, 0.5, 1, 2, 2.5, 3, 1e300, Infinity];
    for (const x of specials) {
      for (const y of specials) {
        // ECMAScript's own exceptions to IEEE 754 are those of |x| = 1.
        const expected = x === 1 ? 1 : x === -1 && Math.abs(y) === Infinity ? 1 : Math.pow(x, y);
        if (!Number.isFinite(expected) || expected === 0) expect(pow(x, y), `${x} ^ ${y}`).toBe(expected);
      }
    }
    const doubles = fc.double({ min: -20, max: 20, noNaN: true });
    fc.assert(
      fc.property(doubles, fc.oneof(doubles, fc.integer({ min: -20, max: 20 })), (x, y) => {
        const expected = Math.pow(x, y);
        if (!(Math.abs(expected) < Infinity && Math.abs(expected) > 1e-300)) return;
        // x^0 is 1 for every x, 0 and infinity among them, of which no logarithm is a number to count with.
        const exponent = y === 0 ? 0 : Math.abs(y * Math.log(Math.abs(x)));
        const bound = ((exponent + 4) / 2 ** 52) * Math.abs(expected);
        expect(Math.abs(pow(x, y) - expected), `${x} ^ ${y}`).toBeLessThanOrEqual(bound);
      }),
      { numRuns: 2000 },
    );
  });

  test('rounding goes to the nearest whole number, from the middle to the even one', () => {
    const values = [-2.5, -1.5, -0.5, -0.3, -0, 0, 0.5, 0.51, 1.5, 2.5, 2 ** 52 + 1, -Infinity, Infinity, NaN];
    const whole = [-2, -2, -0, -0, -0, 0, 0, 1, 2, 2, 2 ** 52 + 1, -Infinity, Infinity, NaN];
    expect(values.map(roundEven)).toEqual(whole);
    expect(roundEven(0.49999999999999994)).toBe(0);
  });

  test('squares and lengths', () => {
    expect([square(-3), square(0.1), lengthOf(3, -4), lengthOf(0, 0)]).toEqual([9, 0.1 * 0.1, 5, 0]);
  });
});
