/**
 * Winograd's minimal filtering: its transforms by their definition, its error bounds, and that tiles keep to
 * themselves.
 */
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { ACTIVATION, type Geometry } from '../../../src/kernels/index.ts';
import { bothSets, expectWithin, normals, onBoth, openBench, seeds, skews, type Bench } from '../bench.ts';
import {
  backwardInput,
  backwardWeights,
  between,
  forward,
  inputWords,
  outputWords,
  pack,
  same,
  values,
  weightWords,
  type Case,
} from './convolution-cases.ts';
import { callKernel } from '../../../src/kernels/specification/call.ts';

let benches: readonly [Bench, Bench];
beforeAll(async () => {
  const [portable, simd] = await bothSets();
  benches = [openBench(portable, { words: 1 << 21 }), openBench(simd, { words: 1 << 21 })];
});

/** F(4 x 4, 3 x 3) by its definition (Toom, Cook): one row per point of interpolation, infinity last. */
const POINTS = [0, 2 / 3, -2 / 3, 3 / 2, -3 / 2];
const others = (point: number): number[] => POINTS.filter((other) => other !== point);
/** Coefficients of the polynomial with these roots, lowest first, filled up to six. */
const polynomial = (roots: readonly number[]): number[] => {
  const coefficients = roots.reduce(
    (sum, root) => [...sum.map((value, i) => (i > 0 ? sum[i - 1] : 0) - root * value), sum.at(-1)!],
    [1],
  );
  return Array.from({ length: 6 }, (_, i) => coefficients[i] ?? 0);
};
const TRANSFORM = {
  patch: [...POINTS.map((point) => polynomial(others(point))), polynomial(POINTS)],
  filter: [
    ...POINTS.map((point) =>
      [0, 1, 2].map((power) => point ** power / others(point).reduce((product, other) => product * (point - other), 1)),
    ),
    [0, 0, 1],
  ],
  product: Array.from({ length: 4 }, (_, power) => [...POINTS.map((point) => point ** power), power === 3 ? 1 : 0]),
};
type Matrix = readonly (readonly number[])[];
const times = (a: Matrix, b: Matrix): number[][] =>
  a.map((row) => b[0].map((_, j) => row.reduce((sum, value, k) => sum + value * b[k][j], 0)));
const turned = (a: Matrix): number[][] => a[0].map((_, j) => a.map((row) => row[j]));
/** t x t^T */
const onBothAxes = (t: Matrix, x: Matrix): number[][] => times(times(t, x), turned(t));
const magnitudes = (a: Matrix): number[][] => a.map((row) => row.map(Math.abs));

/**
 * Outputs of one tile by the transforms, or with every sign taken away: the quantity that rounding errors are measured
 * by.
 */
function tileOutputs(patches: readonly Matrix[], filters: readonly Matrix[], absolute: boolean): number[][] {
  const sign = absolute ? magnitudes : (matrix: Matrix): Matrix => matrix;
  const sums = Array.from({ length: 6 }, () => Array<number>(6).fill(0));
  patches.forEach((patch, c) => {
    const v = onBothAxes(sign(TRANSFORM.patch), sign(patch)),
      u = onBothAxes(sign(TRANSFORM.filter), sign(filters[c]));
    sums.forEach((row, y) =>
      row.forEach((_, x) => {
        row[x] += u[y][x] * v[y][x];
      }),
    );
  });
  return onBothAxes(sign(TRANSFORM.product), sums);
}

describe('convolution 3 x 3 by Winograd, SIMD', () => {
  const wide: fc.Arbitrary<Case> = fc.record({
    geometry: fc
      .record({
        channelsIn: between(4, 27),
        channelsOut: between(4, 70),
        height: between(5, 14),
        width: between(5, 20),
        paddingTop: between(0, 3),
        paddingLeft: between(0, 3),
        bottom: between(0, 3),
        right: between(0, 3),
        groups: fc.constantFrom(1, 1, 2),
      })
      .map(({ channelsIn, channelsOut, height, width, paddingTop, paddingLeft, bottom, right, groups }): Geometry => ({
        channelsIn: channelsIn * groups,
        heightIn: height,
        widthIn: width,
        channelsOut: channelsOut * groups,
        heightOut: Math.max(1, height + paddingTop + bottom - 2),
        widthOut: Math.max(1, width + paddingLeft + right - 2),
        kernelHeight: 3,
        kernelWidth: 3,
        strideY: 1,
        strideX: 1,
        paddingTop,
        paddingLeft,
        dilationY: 1,
        dilationX: 1,
        groups,
      })),
    samples: between(1, 3),
    seed: seeds,
    activation: fc.constantFrom(ACTIVATION.none, ACTIVATION.relu, ACTIVATION.leakyRelu),
    biased: fc.boolean(),
    accumulate: fc.constant(0),
  });
  const WORDS_PER_TAP = 36 / 9;

  it('is what these geometries take: four words packed for each weight, rows in eights', () => {
    fc.assert(
      fc.property(wide, ({ geometry }) => {
        const { channelsIn, channelsOut, groups, heightOut, widthOut } = geometry,
          rows = channelsOut / groups;
        fc.pre(heightOut * widthOut >= 25);
        expect(benches[1].set.sizes.packedWords(geometry, 'forward')).toBe(
          Math.ceil(rows / 8) * 8 * channelsIn * 9 * WORDS_PER_TAP,
        );
      }),
    );
  });

  it('the transforms give the convolution, in double', () => {
    fc.assert(
      fc.property(seeds, (seed) => {
        const values = normals(seed, 45),
          patch = Array.from({ length: 6 }, (_, y) => [...values.subarray(6 * y, 6 * y + 6)]),
          filter = [0, 1, 2].map((y) => [...values.subarray(36 + 3 * y, 39 + 3 * y)]);
        tileOutputs([patch], [filter], false).forEach((row, y) =>
          row.forEach((value, x) => {
            const expected = filter.reduce(
              (sum, taps, ky) => sum + taps.reduce((part, tap, kx) => part + tap * patch[y + ky][x + kx], 0),
              0,
            );
            expect(Math.abs(value - expected)).toBeLessThan(1e-12);
          }),
        );
      }),
    );
  });

  /** `read(group, c, y, x)` of one sample, `tap(group, r, c)` as a 3 x 3 matrix, in the frame of the pass. */
  function expectWithinTiles(
    simd: readonly number[],
    portable: readonly number[],
    outputs: { groups: number; rows: number; height: number; width: number; samples: number },
    channels: number,
    read: (sample: number, plane: number, y: number, x: number) => number,
    filter: (group: number, row: number, channel: number) => Matrix,
    bias: (plane: number) => number,
  ): void {
    const { groups, rows, height, width, samples } = outputs;
    for (let n = 0; n < samples; n++) {
      for (let group = 0; group < groups; group++) {
        for (let ty = 0; ty < height; ty += 4) {
          for (let tx = 0; tx < width; tx += 4) {
            const patches = Array.from({ length: channels }, (_, c) =>
              Array.from({ length: 6 }, (_, y) =>
                Array.from({ length: 6 }, (_, x) => read(n, group * channels + c, ty + y, tx + x)),
              ),
            );
            // Two rows of each tile: the bound itself is slow to compute.
            for (const r of [(ty + 3 * tx) % rows, rows - 1]) {
              const plane = group * rows + r,
                magnitude = tileOutputs(
                  patches,
                  Array.from({ length: channels }, (_, c) => filter(group, r, c)),
                  true,
                );
              for (let y = 0; y < Math.min(4, height - ty); y++) {
                for (let x = 0; x < Math.min(4, width - tx); x++) {
                  const i = ((n * groups * rows + plane) * height + ty + y) * width + tx + x;
                  expectWithin(
                    [simd[i]],
                    [portable[i]],
                    () => (channels + 32) * 2 ** -24 * (magnitude[y][x] + Math.abs(bias(plane))),
                  );
                }
              }
            }
          }
        }
      }
    }
  }

  it('forward: |y - exact| <= (C + 32) 2^-24 (sum over c of |A|^T (|G||g||G|^T * |B|^T|d||B|) |A| + |bias|)', () => {
    fc.assert(
      fc.property(wide, skews, (one, skew) => {
        const { geometry, seed, samples } = one,
          { channelsIn, channelsOut, heightIn, widthIn, heightOut, widthOut, paddingTop, paddingLeft, groups } =
            geometry;
        fc.pre(heightOut * widthOut >= 25);
        const { portable, simd } = onBoth(benches, skew, (bench) => forward(bench, one));
        const x = values(seed, samples * inputWords(geometry)),
          weights = values(seed + 1, weightWords(geometry)),
          biases = values(seed + 2, channelsOut),
          channels = channelsIn / groups,
          rows = channelsOut / groups;
        expectWithinTiles(
          simd,
          portable,
          { groups, rows, height: heightOut, width: widthOut, samples },
          channels,
          (n, plane, y, column) =>
            within(x, n * channelsIn + plane, y - paddingTop, column - paddingLeft, heightIn, widthIn),
          (group, r, c) =>
            [0, 1, 2].map((ky) =>
              [0, 1, 2].map((kx) => weights[((group * rows + r) * channels + c) * 9 + 3 * ky + kx]),
            ),
          (plane) => (one.biased ? biases[plane] : 0),
        );
      }),
      { numRuns: 12 },
    );
  });

  it('backward to the input: the same bound over the output channels', () => {
    fc.assert(
      fc.property(wide, skews, (one, skew) => {
        const { geometry, seed, samples } = one,
          { channelsIn, channelsOut, heightIn, widthIn, heightOut, widthOut, paddingTop, paddingLeft, groups } =
            geometry;
        fc.pre(heightOut * widthOut >= 25);
        const { portable, simd } = onBoth(benches, skew, (bench) => backwardInput(bench, one));
        const dy = values(seed, samples * outputWords(geometry)),
          weights = values(seed + 1, weightWords(geometry)),
          rows = channelsIn / groups,
          channels = channelsOut / groups;
        expectWithinTiles(
          simd,
          portable,
          { groups, rows, height: heightIn, width: widthIn, samples },
          channels,
          (n, plane, y, column) =>
            within(dy, n * channelsOut + plane, y + paddingTop - 2, column + paddingLeft - 2, heightOut, widthOut),
          (group, r, c) =>
            [0, 1, 2].map((ky) =>
              [0, 1, 2].map((kx) => weights[((group * channels + c) * rows + r) * 9 + 8 - 3 * ky - kx]),
            ),
          () => 0,
        );
      }),
      { numRuns: 12 },
    );
  });

  it('backward to the weights: |dw - exact| <= (T + 40) 2^-24 (sum over T tiles of |G|^T (|A||dy||A|^T * |B|^T|x||B|) |G| + |dw before|)', () => {
    fc.assert(
      fc.property(wide, skews, fc.integer({ min: 0, max: 1 }), (one, skew, accumulate) => {
        const { geometry, seed, samples } = one,
          { channelsIn, channelsOut, heightIn, widthIn, heightOut, widthOut, paddingTop, paddingLeft, groups } =
            geometry;
        fc.pre(heightOut * widthOut >= 25);
        const { portable, simd } = onBoth(benches, skew, (bench) => backwardWeights(bench, { ...one, accumulate }));
        const x = values(seed, samples * inputWords(geometry)),
          dy = values(seed + 1, samples * outputWords(geometry)),
          before = values(seed + 2, weightWords(geometry)),
          channels = channelsIn / groups,
          rows = channelsOut / groups;
        const square = (side: number, read: (y: number, x: number) => number): Matrix =>
          Array.from({ length: side }, (_, j) => Array.from({ length: side }, (_, i) => Math.abs(read(j, i))));
        const gradientOf = magnitudes(turned(TRANSFORM.product)),
          patchOf = magnitudes(TRANSFORM.patch),
          weightsOf = magnitudes(turned(TRANSFORM.filter)),
          tiles = samples * Math.ceil(heightOut / 4) * Math.ceil(widthOut / 4);
        for (const [group, r, c] of [
          [0, 0, 0],
          [groups - 1, rows - 1, channels - 1],
          [0, rows >> 1, channels >> 1],
        ]) {
          const sums = square(6, () => 0) as number[][];
          for (let n = 0; n < samples; n++) {
            for (let ty = 0; ty < heightOut; ty += 4) {
              for (let tx = 0; tx < widthOut; tx += 4) {
                const v = onBothAxes(
                  patchOf,
                  square(6, (j, i) =>
                    within(
                      x,
                      n * channelsIn + group * channels + c,
                      ty + j - paddingTop,
                      tx + i - paddingLeft,
                      heightIn,
                      widthIn,
                    ),
                  ),
                );
                const w = onBothAxes(
                  gradientOf,
                  square(4, (j, i) =>
                    within(dy, n * channelsOut + group * rows + r, ty + j, tx + i, heightOut, widthOut),
                  ),
                );
                sums.forEach((row, j) =>
                  row.forEach((_, i) => {
                    row[i] += v[j][i] * w[j][i];
                  }),
                );
              }
            }
          }
          const magnitude = onBothAxes(weightsOf, sums).flat(),
            first = ((group * rows + r) * channels + c) * 9;
          expectWithin(
            simd.slice(first, first + 9),
            portable.slice(first, first + 9),
            (tap) => (tiles + 40) * 2 ** -24 * (magnitude[tap] + accumulate * Math.abs(before[first + tap])),
          );
        }
      }),
      { numRuns: 30 },
    );
  });

  it('several blocks of k, of rows, and of tiles: typical errors stay below 2^-20 of the sum of magnitudes', () => {
    for (const geometry of [same(330, 20, 9, 11), same(20, 330, 9, 11), same(16, 16, 61, 45), same(130, 70, 9, 7)]) {
      const one: Case = { geometry, samples: 2, seed: 5, activation: ACTIVATION.relu, biased: true, accumulate: 0 };
      for (const kernel of [forward, backwardInput, backwardWeights]) {
        const { portable, simd } = onBoth(benches, 1, (bench) => kernel(bench, one));
        benches[0].reset(1);
        const magnitude = kernel(benches[0], { ...one, activation: ACTIVATION.none }, { absolute: true });
        expectWithin(simd, portable, (i) => 2 ** -20 * magnitude[i]);
      }
    }
  });

  it('any cut into samples and positions gives the same bits', () => {
    const cuts = fc.array(fc.nat(), { maxLength: 4 });
    fc.assert(
      fc.property(wide, cuts, cuts, (one, cutSamples, cutPositions) => {
        const bench = benches[1];
        for (const [kernel, way] of [
          [forward, { cutSamples, cutPositions }],
          [backwardInput, { cutSamples }],
        ] as const) {
          bench.reset();
          const whole = kernel(bench, one);
          bench.reset();
          expect(kernel(bench, one, way)).toEqual(whole);
          bench.checkGuards();
        }
      }),
      { numRuns: 25 },
    );
  });

  it('what lies outside a tile does not touch it, not even a NaN', () => {
    const geometry = same(16, 16, 8, 8),
      bench = benches[1];
    bench.reset();
    const shape = bench.geometry(geometry),
      x = bench.floats(normals(1, inputWords(geometry))),
      weights = bench.floats(normals(2, weightWords(geometry))),
      y = bench.room(outputWords(geometry));
    const packed = pack(bench, geometry, shape, weights, 'forward'),
      scratch = bench.room(bench.set.sizes.scratchWords('convolutionForward', geometry));
    bench.workspace.heap.float[x + 63] = NaN;
    callKernel(bench.kernels, 'convolutionForward', scratch, {
      geometry: shape,
      x,
      packed,
      bias: -1,
      y,
      sample: 0,
      samples: 1,
      position: 0,
      positions: 64,
      activation: ACTIVATION.none,
      parameters: -1,
    });
    const plane = bench.read(y, 64);
    expect(plane.filter((value) => Number.isNaN(value))).toHaveLength(16);
    expect(plane.every((value, i) => Number.isNaN(value) === (i >> 3 >= 4 && (i & 7) >= 4))).toBe(true);
  });
});

/** x [planes, height, width] with zeros around. */
function within(x: ArrayLike<number>, plane: number, y: number, column: number, height: number, width: number): number {
  return y < 0 || column < 0 || y >= height || column >= width ? 0 : x[(plane * height + y) * width + column];
}
