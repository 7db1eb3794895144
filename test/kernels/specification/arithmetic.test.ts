/** Every operation that a formula may be made of: as SIMD against numbers in double. */
import { beforeAll, describe, expect, it } from 'vitest';
import { NUMBERS } from '../../../src/kernels/portable/arithmetic.ts';
import type { Arithmetic } from '../../../src/kernels/specification/arithmetic.ts';
import { compileAssembly } from '../../../scripts/assembly.ts';
import { inlineFunction, PRIMITIVES } from '../../../scripts/formulas.ts';
import { normals } from '../bench.ts';

type Formula = <T, C>(f: Arithmetic<T, C>, a: T, b: T) => T;
const EPS = 2 ** -24;

/** Relative error of each, in units of the last place of float32 where it is one rounding. */
const FORMULAS: Readonly<Record<string, { readonly formula: Formula; readonly bound: number }>> = {
  constant: { formula: (f) => f.constant(0.1), bound: EPS },
  add: { formula: (f, a, b) => f.add(a, b), bound: EPS },
  subtract: { formula: (f, a, b) => f.subtract(a, b), bound: EPS },
  multiply: { formula: (f, a, b) => f.multiply(a, b), bound: EPS },
  divide: { formula: (f, a, b) => f.divide(a, b), bound: EPS },
  minimum: { formula: (f, a, b) => f.minimum(a, b), bound: 0 },
  maximum: { formula: (f, a, b) => f.maximum(a, b), bound: 0 },
  negate: { formula: (f, a) => f.negate(a), bound: 0 },
  absolute: { formula: (f, a) => f.absolute(a), bound: 0 },
  squareRoot: { formula: (f, a) => f.squareRoot(a), bound: EPS },
  round: { formula: (f, a) => f.round(a), bound: 0 },
  exp: { formula: (f, a) => f.exp(a), bound: 2e-7 },
  log: { formula: (f, a) => f.log(a), bound: 2e-7 },
  sigmoid: { formula: (f, a) => f.sigmoid(a), bound: 4e-7 },
  tanh: { formula: (f, a) => f.tanh(a), bound: 4e-7 },
  erf: { formula: (f, a) => f.erf(a), bound: 3e-7 },
  power: { formula: (f, a, b) => f.power(a, b), bound: 3e-7 },
  less: { formula: (f, a, b) => f.select(f.less(a, b), f.constant(1), f.constant(2)), bound: 0 },
  greater: { formula: (f, a, b) => f.select(f.greater(a, b), f.constant(1), f.constant(2)), bound: 0 },
  select: { formula: (f, a, b) => f.select(f.less(a, f.constant(0)), b, a), bound: 0 },
};

/** Numbers of all sizes and both signs, where functions change their form, and those that are cases of their own. */
const grid = Float32Array.from([
  ...[
    0,
    -0,
    Infinity,
    -Infinity,
    NaN,
    1e-45,
    1.17549435e-38,
    3.4028235e38,
    -1e-40,
    88.7,
    89,
    -87.4,
    -104,
    0.625,
    -0.625,
  ],
  ...[0.70710677, 0.7071068, 1.4142135, 1, -1, 2, 4, 3.9999998, 1.0000001, 0.99999994],
  ...normals(1, 3000),
  ...normals(2, 1000, 0.01),
  ...normals(3, 1000, 30),
  ...normals(4, 1000, 1e30),
  ...Array.from({ length: 760 }, (_, i) => 10 ** (i / 10 - 38)),
]);
const others = normals(5, grid.length, 3);

let exports: Record<string, (a: number, b: number) => number>;
beforeAll(async () => {
  const names = Object.keys(FORMULAS);
  const source = [
    `import { ${PRIMITIVES.join(', ')} } from './src/kernels/assembly/vector';`,
    ...names.map((name) => inlineFunction(`${name}Of`, ['a', 'b'], (f) => FORMULAS[name].formula(f, 'a', 'b'))),
    ...names.map(
      (name) =>
        `export function ${name}(a: f32, b: f32): f32 { return f32x4.extract_lane(${name}Of(f32x4.splat(a), f32x4.splat(b)), 3); }`,
    ),
  ].join('\n');
  const module = new WebAssembly.Module(await compileAssembly('formulas.ts', { 'formulas.ts': source }));
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 65536, shared: true });
  ({ exports } = new WebAssembly.Instance(module, { env: { memory } }) as unknown as { exports: typeof exports });
});

describe('arithmetic of formulas', () => {
  it('has a case here for each of its operations', () => {
    expect(Object.keys(FORMULAS).sort()).toEqual(Object.keys(NUMBERS).sort());
  });

  it.each(Object.entries(FORMULAS))('%s: SIMD within its bound of numbers in double', (name, { formula, bound }) => {
    grid.forEach((a, i) => {
      const b = others[i],
        expected = formula(NUMBERS, a, b),
        found = exports[name](a, b);
      const rounded = Math.fround(expected);
      if (Object.is(found, rounded) || (found === 0 && rounded === 0)) return;
      if (!(Math.abs(found - expected) <= bound * Math.abs(expected) + 1.2e-38))
        expect.fail(`${name}(${a}, ${b}): expected ${expected}, got ${found}, ${Math.abs(found / expected - 1)} off`);
    });
  });

  it("erf of numbers: within 1e-13 of its integral by Simpson's rule", () => {
    const simpson = (x: number, parts = 2000): number => {
      const h = x / parts,
        f = (t: number): number => Math.exp(-t * t);
      let sum = f(0) + f(x);
      for (let i = 1; i < parts; i++) sum += (i % 2 ? 4 : 2) * f(i * h);
      return ((2 / Math.sqrt(Math.PI)) * sum * h) / 3;
    };
    for (const x of [1e-9, 0.1, 0.5, 0.999, 1, 1.5, 2, 3, 4.5, 5.9])
      expect(Math.abs(NUMBERS.erf(x) - simpson(x))).toBeLessThan(1e-13);
    expect(NUMBERS.erf(7)).toBe(1);
    expect(NUMBERS.erf(-2)).toBe(-NUMBERS.erf(2));
    expect(NUMBERS.erf(NaN)).toBeNaN();
  });
});
