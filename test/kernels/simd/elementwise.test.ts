import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { ACTIVATION } from '../../../src/kernels/index.ts';
import {
  awkwardFloats,
  bothSets,
  expectWithin,
  lengths,
  normals,
  onBoth,
  openBench,
  seeds,
  skews,
  type Bench,
} from '../bench.ts';

const EPS = 2 ** -24;
let benches: readonly [Bench, Bench];
beforeAll(async () => {
  const [portable, simd] = await bothSets();
  benches = [openBench(portable), openBench(simd)];
});

const exact = fc.constantFrom(ACTIVATION.none, ACTIVATION.relu, ACTIVATION.leakyRelu);
const smooth = fc.constantFrom(ACTIVATION.sigmoid, ACTIVATION.tanh);

describe('activations, SIMD against portable, lengths 0 to 67 at offsets 0 to 3', () => {
  it('none, relu, leakyRelu: the same floats, NaN, infinities, zeros and subnormals included', () => {
    fc.assert(
      fc.property(awkwardFloats(0, 67), exact, skews, (x, code, skew) => {
        const { portable, simd } = onBoth(benches, skew, (bench) => {
          const from = bench.floats(x),
            to = bench.room(x.length),
            slope = bench.floats([0.125]);
          bench.kernels.activationForward(bench.scratch, from, to, x.length, code, slope);
          return bench.read(to, x.length);
        });
        expect(simd).toEqual(portable);
      }),
    );
  });

  it('sigmoid, tanh: relative error < 4e-7, or absolute < 1.2e-38', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          awkwardFloats(0, 67),
          fc
            .tuple(lengths, seeds, fc.constantFrom(0.1, 1, 10, 40))
            .map(([n, seed, scale]) => [...normals(seed, n, scale)]),
        ),
        smooth,
        skews,
        (x, code, skew) => {
          const { portable, simd } = onBoth(benches, skew, (bench) => {
            const from = bench.floats(x),
              to = bench.room(x.length);
            bench.kernels.activationForward(bench.scratch, from, to, x.length, code, -1);
            return bench.read(to, x.length);
          });
          expectWithin(simd, portable, (i) => 4e-7 * Math.abs(portable[i]) + 1.2e-38);
        },
      ),
      { numRuns: 300 },
    );
  });

  it('backward: relu and leakyRelu the same floats, sigmoid and tanh within 4 eps |dy|', () => {
    fc.assert(
      fc.property(lengths, seeds, fc.oneof(exact, smooth), skews, (n, seed, code, skew) => {
        const dy = normals(seed + 1, n);
        const { portable, simd } = onBoth(benches, skew, (bench) => {
          const x = bench.floats(normals(seed, n)),
            y = bench.room(n),
            dx = bench.room(n),
            slope = bench.floats([0.125]),
            gradient = bench.floats(dy);
          benches[0].kernels.activationForward(0, x, y, n, code, slope);
          bench.workspace.heap.float.set(benches[0].read(y, n), y);
          bench.kernels.activationBackward(bench.scratch, y, gradient, dx, n, code, slope);
          return bench.read(dx, n);
        });
        if (code === ACTIVATION.sigmoid || code === ACTIVATION.tanh)
          expectWithin(simd, portable, (i) => 4 * EPS * Math.abs(dy[i]));
        else expect(simd).toEqual(portable);
      }),
    );
  });
});

describe('elementwise, SIMD against portable, lengths 0 to 67 at offsets 0 to 3', () => {
  it('add (none, relu, leakyRelu), multiply, copyRows: the same floats', () => {
    fc.assert(
      fc.property(
        awkwardFloats(0, 67),
        seeds,
        exact,
        skews,
        fc.integer({ min: 0, max: 3 }),
        (a, seed, code, skew, rows) => {
          const { portable, simd } = onBoth(benches, skew, (bench) => {
            const n = a.length,
              left = bench.floats(a),
              right = bench.floats(normals(seed, n)),
              slope = bench.floats([-0.5]);
            const sum = bench.room(n),
              product = bench.room(n),
              table = bench.floats(normals(seed, rows * (n + 3))),
              copy = bench.room(rows * (n + 2));
            bench.kernels.add(bench.scratch, left, right, sum, n, code, slope);
            bench.kernels.multiply(bench.scratch, left, right, product, n);
            bench.kernels.copyRows(bench.scratch, table, n + 3, copy, n + 2, rows, n);
            return [...bench.read(sum, n), ...bench.read(product, n), ...bench.read(copy, rows * (n + 2))];
          });
          expect(simd).toEqual(portable);
        },
      ),
    );
  });

  it('sumParts: the same floats, in place too', () => {
    fc.assert(
      fc.property(
        lengths,
        seeds,
        fc.integer({ min: 0, max: 5 }),
        fc.boolean(),
        skews,
        (n, seed, parts, inPlace, skew) => {
          const { portable, simd } = onBoth(benches, skew, (bench) => {
            const x = bench.floats(normals(seed, Math.max(parts, 1) * (n + 1), 1e3)),
              out = inPlace ? x : bench.room(n);
            bench.kernels.sumParts(bench.scratch, x, out, parts, n + 1, n);
            return bench.read(out, n);
          });
          expect(simd).toEqual(portable);
        },
      ),
    );
  });

  it('channelSums: within 2 eps of the sum, or 1e-14 of the sum of sizes', () => {
    fc.assert(
      fc.property(
        seeds,
        fc.integer({ min: 0, max: 4 }),
        fc.integer({ min: 0, max: 5 }),
        lengths,
        skews,
        (seed, samples, channels, positions, skew) => {
          const x = normals(seed, samples * channels * positions);
          const sizes = x.reduce((sum, value) => sum + Math.abs(value), 0);
          const { portable, simd } = onBoth(benches, skew, (bench) => {
            const from = bench.floats(x),
              out = bench.room(channels);
            bench.kernels.channelSums(bench.scratch, from, out, samples, channels, positions, 0, channels);
            return bench.read(out, channels);
          });
          expectWithin(simd, portable, (i) => 2 * EPS * Math.abs(portable[i]) + 1e-14 * sizes);
        },
      ),
    );
  });

  it('channelSums writes the channels asked for and no others', () => {
    const { portable, simd } = onBoth(benches, 0, (bench) => {
      const from = bench.floats(normals(1, 2 * 5 * 7)),
        out = bench.floats([9, 9, 9, 9, 9]);
      bench.kernels.channelSums(bench.scratch, from, out, 2, 5, 7, 1, 2);
      return bench.read(out, 5);
    });
    expect(simd.map((value) => value === 9)).toEqual([true, false, false, true, true]);
    expect(portable.map((value) => value === 9)).toEqual([true, false, false, true, true]);
  });
});

describe('softmax, SIMD against portable', () => {
  it('forward: relative error < 4 eps (1 + max - x) + 2e-7, or absolute < 1.2e-38', () => {
    fc.assert(
      fc.property(
        seeds,
        fc.integer({ min: 0, max: 4 }),
        lengths,
        fc.constantFrom(1, 30),
        skews,
        (seed, rows, columns, scale, skew) => {
          const x = normals(seed, rows * columns, scale);
          const { portable, simd } = onBoth(benches, skew, (bench) => {
            const from = bench.floats(x),
              to = bench.room(x.length);
            bench.kernels.softmaxForward(bench.scratch, from, to, rows, columns, 1, 1);
            return bench.read(to, x.length);
          });
          expectWithin(simd, portable, (i) => {
            const first = i - (i % columns),
              most = Math.max(...x.subarray(first, first + columns));
            return (4 * EPS * (1 + most - x[i]) + 2e-7) * portable[i] + 1.2e-38;
          });
        },
      ),
    );
  });

  it('backward: within 2 eps of y (|dy| + sum y |dy|)', () => {
    fc.assert(
      fc.property(seeds, fc.integer({ min: 0, max: 4 }), lengths, skews, (seed, rows, columns, skew) => {
        const y = normals(seed, rows * columns).map(Math.abs),
          dy = normals(seed + 1, rows * columns);
        const { portable, simd } = onBoth(benches, skew, (bench) => {
          const values = bench.floats(y),
            gradient = bench.floats(dy);
          bench.kernels.softmaxBackward(bench.scratch, values, gradient, gradient, rows, columns);
          return bench.read(gradient, y.length);
        });
        expectWithin(simd, portable, (i) => {
          let sum = Math.abs(dy[i]);
          for (let j = i - (i % columns); j < i - (i % columns) + columns; j++) sum += y[j] * Math.abs(dy[j]);
          return 2 * EPS * y[i] * sum;
        });
      }),
    );
  });

  it('a NaN anywhere in a row makes the whole row NaN, on both sets', () => {
    const { portable, simd } = onBoth(benches, 0, (bench) => {
      const x = bench.floats([1, 2, NaN, 3, 4, 5, 1, 2, 3, 4, 5, 6]);
      bench.kernels.softmaxForward(bench.scratch, x, x, 2, 6, 1, 1);
      return bench.read(x, 12).map(Number.isNaN);
    });
    const expected = [...new Array<boolean>(6).fill(true), ...new Array<boolean>(6).fill(false)];
    expect(portable).toEqual(expected);
    expect(simd).toEqual(expected);
  });
});
