/** Digests of elementary functions over a grid: ours, which must be the same everywhere, and the engine's, which need not. */
import * as elementary from '../../src/base/elementary.ts';
import { stream, uniform } from '../../src/base/random.ts';
import { digest } from './digest.ts';

export interface Numbers {
  /** Function -> digest of its values. */
  readonly ours: Readonly<Record<string, string>>;
  readonly engine: Readonly<Record<string, string>>;
  /** Whether `2 ** n` is exact from 2^-1074 to 2^1023. */
  readonly powersOfTwo: boolean;
}

type Unary = (x: number) => number;

const OURS: Readonly<Record<string, Unary>> = {
  exp: elementary.exp,
  log: (x) => elementary.log(Math.abs(x)),
  log1p: (x) => elementary.log1p(Math.abs(x)),
  cosPi: elementary.cosPi,
  sinPi: elementary.sinPi,
  tanh: elementary.tanh,
  acos: (x) => elementary.acos(x % 1),
  exponentOf: (x) => elementary.exponentOf(Math.abs(x)),
  pow: (x) => elementary.pow(Math.abs(x), 1.7 - x / 100),
  roundEven: elementary.roundEven,
  power: (x) => elementary.power(x, Math.floor(Math.abs(x))),
};

const ENGINE = (
  ['exp', 'expm1', 'log', 'log1p', 'log2', 'log10', 'sin', 'cos', 'tan', 'asin', 'acos', 'atan'] as const
).concat(['sinh', 'cosh', 'tanh', 'asinh', 'acosh', 'atanh', 'cbrt'] as never[]);

/** 30,000 numbers of sizes from 1e-8 to 700, made without any of the functions. */
function grid(): Float64Array {
  const random = stream(1, 'grid');
  return Float64Array.from({ length: 30_000 }, (_, i) => uniform(random, -1, 1) * [1e-8, 0.01, 1, 3, 30, 700][i % 6]);
}

export function observeNumbers(): Numbers {
  const xs = grid();
  const digestOf = (f: Unary): string => digest([xs.map((x) => f(x))]);
  let powersOfTwo = true;
  for (let n = 0, power = 1, [two] = [2]; n < 1024; n++, power *= 2) powersOfTwo &&= two ** n === power;
  for (let n = 0, power = 1, [two] = [2]; n <= 1074; n++, power /= 2) powersOfTwo &&= two ** -n === power;
  return {
    ours: Object.fromEntries(Object.entries(OURS).map(([name, f]) => [name, digestOf(f)])),
    engine: {
      ...Object.fromEntries(ENGINE.map((name) => [name, digestOf(Math[name])])),
      'x ** y': digestOf((x) => Math.abs(x) ** (x / 3)),
      hypot: digestOf((x) => Math.hypot(x, 1)),
    },
    powersOfTwo,
  };
}
