import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { bothSets, expectWithin, lengths, normals, onBoth, openBench, seeds, skews, type Bench } from '../bench.ts';

const EPS = 2 ** -24;
let benches: readonly [Bench, Bench];
beforeAll(async () => {
  const [portable, simd] = await bothSets();
  benches = [openBench(portable), openBench(simd)];
});

describe('optimizer, SIMD against portable, lengths 0 to 67 at offsets 0 to 3', () => {
  it('sumSquares and clipScale: relative error < 2 eps', () => {
    fc.assert(
      fc.property(lengths, seeds, fc.constantFrom(0, 0.5, 5, 1e9), skews, (n, seed, limit, skew) => {
        const { portable, simd } = onBoth(benches, skew, (bench) => {
          const x = bench.floats(normals(seed, n)),
            sum = bench.room(1),
            most = bench.floats([limit]),
            out = bench.room(2);
          bench.kernels.sumSquares(bench.scratch, x, n, sum);
          const squares = bench.read(sum, 1);
          bench.kernels.clipScale(
            bench.scratch,
            bench.floats(normals(seed, n).map((value) => value * value)),
            n,
            most,
            out,
          );
          return [...squares, ...bench.read(out, 2)];
        });
        expectWithin(simd, portable, (i) => 2 * EPS * Math.abs(portable[i]));
      }),
    );
  });

  it('sumSquares of 10,000,000 floats: relative error < 2 eps', async () => {
    const n = 1e7,
      random = normals(1, 1000);
    const results = (await bothSets()).map((set) => {
      const bench = openBench(set, { words: n + 64, scratchWords: 0 });
      const { float } = bench.workspace.heap;
      for (let i = 0; i < n; i++) float[i] = random[i % 1000] + 3;
      bench.kernels.sumSquares(bench.scratch, 0, n, n);
      return float[n];
    });
    expect(results[0]).toBeGreaterThan(9e7);
    expectWithin([results[1]], [results[0]], () => 2 * EPS * results[0]);
  });

  it('sgdUpdate: velocity within 4 eps of the sum of sizes of its terms, weights within 8 eps', () => {
    fc.assert(
      fc.property(lengths, seeds, fc.boolean(), skews, (n, seed, nesterov, skew) => {
        const [w, g, v] = [normals(seed, n), normals(seed + 1, n), normals(seed + 2, n)];
        const { portable, simd } = onBoth(benches, skew, (bench) => {
          const at = {
            w: bench.floats(w),
            g: bench.floats(g),
            v: bench.floats(v),
            hyper: bench.floats([0.05, 0.9, 0.01, nesterov ? 1 : 0]),
            clip: bench.floats([0.75, 3]),
          };
          bench.kernels.sgdUpdate(bench.scratch, at.w, at.g, at.v, n, at.hyper, at.clip);
          return { w: bench.read(at.w, n), v: bench.read(at.v, n) };
        });
        const terms = (i: number): number => 0.75 * Math.abs(g[i]) + 0.01 * Math.abs(w[i]) + 0.9 * Math.abs(v[i]);
        expectWithin(simd.v, portable.v, (i) => 4 * EPS * terms(i));
        expectWithin(simd.w, portable.w, (i) => 8 * EPS * (Math.abs(w[i]) + 0.1 * terms(i)));
      }),
    );
  });

  it('adamUpdate: moments within 4 eps of the sum of sizes of their terms, weights within 8 eps (|w| + 20 rate)', () => {
    fc.assert(
      fc.property(lengths, seeds, fc.boolean(), skews, (n, seed, decoupled, skew) => {
        const [w, g, m] = [normals(seed, n), normals(seed + 1, n), normals(seed + 2, n)],
          v = normals(seed + 3, n).map((value) => value * value + 0.1);
        const { portable, simd } = onBoth(benches, skew, (bench) => {
          const at = {
            w: bench.floats(w),
            g: bench.floats(g),
            m: bench.floats(m),
            v: bench.floats(v),
            hyper: bench.floats([0.01, 0.9, 0.999, 1e-8, 0.1, decoupled ? 1 : 0, 0.5, 0.25]),
            clip: bench.floats([0.75, 3]),
          };
          bench.kernels.adamUpdate(bench.scratch, at.w, at.g, at.m, at.v, n, at.hyper, at.clip);
          return { w: bench.read(at.w, n), m: bench.read(at.m, n), v: bench.read(at.v, n) };
        });
        const gradient = (i: number): number => Math.abs(g[i]) + 0.1 * Math.abs(w[i]);
        expectWithin(simd.m, portable.m, (i) => 4 * EPS * (Math.abs(m[i]) + 0.1 * gradient(i)));
        expectWithin(simd.v, portable.v, (i) => 4 * EPS * (v[i] + 0.01 * gradient(i) ** 2));
        expectWithin(simd.w, portable.w, (i) => 8 * EPS * (Math.abs(w[i]) + 0.2));
      }),
    );
  });
});
