import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { ACTIVATION, type Geometry } from '../../src/kernels/index.ts';
import { bothSets, expectWithin, geometries, normals, onBoth, openBench, seeds, skews, type Bench } from './bench.ts';

let benches: readonly [Bench, Bench];
beforeAll(async () => {
  const [portable, simd] = await bothSets();
  benches = [openBench(portable, { words: 1 << 21 }), openBench(simd, { words: 1 << 21 })];
});

interface Case { geometry: Geometry; samples: number; seed: number; activation: number; biased: boolean; accumulate: number }

const same = (channelsIn: number, channelsOut: number, height: number, width: number, size = 3, groups = 1): Geometry => ({
  channelsIn, heightIn: height, widthIn: width, channelsOut, heightOut: height, widthOut: width, kernelHeight: size, kernelWidth: size,
  strideY: 1, strideX: 1, paddingTop: size >> 1, paddingLeft: size >> 1, dilationY: 1, dilationX: 1, groups,
});
const between = (min: number, max: number) => fc.integer({ min, max });
/** Padding of the output's size, several blocks of k, widths of the fast gathers, channels along the lanes, depthwise, 1 x 1. */
const layers = fc.oneof(
  fc.tuple(between(1, 5), between(1, 5), between(1, 9), fc.constantFrom(1, 4, 5, 8, 13, 16, 17, 32), fc.constantFrom(1, 3, 5)).map((sizes) => same(...sizes)),
  fc.tuple(between(36, 75), between(1, 3), between(1, 4), fc.constantFrom(4, 5, 8)).map((sizes) => same(...sizes)),
  fc.tuple(between(1, 3), between(36, 75), between(1, 4), fc.constantFrom(4, 5, 8)).map((sizes) => same(...sizes)),
  fc.tuple(between(4, 40), between(7, 40), between(1, 7), between(1, 7), fc.constantFrom(1, 3)).map((sizes) => same(...sizes)),
  fc.tuple(between(32, 40), between(7, 70), between(1, 7), between(1, 7), fc.constant(1)).map((sizes) => same(...sizes)),
  fc.tuple(between(1, 6), between(1, 9), between(1, 20)).map(([channels, height, width]) => same(channels, channels, height, width, 3, channels)),
);
/** Groups of one channel: depthwise with a multiplier, first layers; strides and dilations apart in both directions, padding beyond the kernel, planes of a few positions. */
const planes: fc.Arbitrary<Geometry> = fc.record({
  groups: between(1, 9), multiplier: fc.oneof(fc.constant(1), between(2, 5)), height: between(1, 12), width: fc.oneof(between(1, 9), between(10, 41)),
  kernel: fc.constantFrom([3, 3], [3, 3], [5, 5], [1, 1], [2, 3], [7, 1]), stride: fc.constantFrom([1, 1], [2, 2], [1, 2], [3, 1], [2, 3]), dilation: fc.constantFrom([1, 1], [1, 1], [2, 1], [1, 2], [3, 3]),
  before: fc.constantFrom([0, 0], [1, 1], [1, 0], [4, 5]), after: between(0, 6),
}).map(({ groups, multiplier, height, width, kernel, stride, dilation, before, after }) => ({
  channelsIn: groups, heightIn: height, widthIn: width, channelsOut: groups * multiplier, groups,
  heightOut: Math.floor((height + before[0] + after - dilation[0] * (kernel[0] - 1) - 1) / stride[0]) + 1,
  widthOut: Math.floor((width + before[1] + after - dilation[1] * (kernel[1] - 1) - 1) / stride[1]) + 1,
  kernelHeight: kernel[0], kernelWidth: kernel[1], strideY: stride[0], strideX: stride[1], dilationY: dilation[0], dilationX: dilation[1], paddingTop: before[0], paddingLeft: before[1],
})).filter(({ heightOut, widthOut }) => heightOut > 0 && widthOut > 0);
/** Depthwise 3 x 3 of stride 2, of which the gradient to the input has a kernel of its own: every parity of sides and paddings, several strips and partial ones, rows that no tap reaches. */
const halved: fc.Arbitrary<Geometry> = fc.record({
  groups: between(1, 9), height: between(1, 20), width: fc.oneof(between(1, 9), between(10, 41)), top: between(0, 4), left: between(0, 4), bottom: between(0, 3), right: between(0, 3),
}).map(({ groups, height, width, top, left, bottom, right }) => ({
  ...same(groups, groups, height, width, 3, groups), strideY: 2, strideX: 2, paddingTop: top, paddingLeft: left,
  heightOut: Math.floor((height + top + bottom - 3) / 2) + 1, widthOut: Math.floor((width + left + right - 3) / 2) + 1,
})).filter(({ heightOut, widthOut }) => heightOut > 0 && widthOut > 0);
const cases: fc.Arbitrary<Case> = fc.record({
  geometry: fc.oneof(geometries({ channels: true }), layers, planes, halved), samples: fc.oneof(between(0, 3), between(4, 17)), seed: seeds,
  activation: fc.constantFrom(ACTIVATION.none, ACTIVATION.relu, ACTIVATION.leakyRelu), biased: fc.boolean(), accumulate: between(0, 1),
});

const inputWords = ({ channelsIn, heightIn, widthIn }: Geometry): number => channelsIn * heightIn * widthIn;
const outputWords = ({ channelsOut, heightOut, widthOut }: Geometry): number => channelsOut * heightOut * widthOut;
const weightWords = ({ channelsOut, channelsIn, groups, kernelHeight, kernelWidth }: Geometry): number => channelsOut * (channelsIn / groups) * kernelHeight * kernelWidth;
const taps = ({ kernelHeight, kernelWidth }: Geometry): number => kernelHeight * kernelWidth;

/** Pieces [start, length) of [0, length) cut at the given places. */
function pieces(cuts: readonly number[], length: number): [number, number][] {
  const places = [0, ...cuts.map((cut) => cut % (length + 1)).sort((a, b) => a - b), length];
  return places.slice(1).map((end, i) => [places[i], end - places[i]]);
}

interface Way { absolute?: boolean; cutSamples?: readonly number[]; cutPositions?: readonly number[] }
const values = (seed: number, count: number, absolute = false): Float32Array => (absolute ? normals(seed, count).map(Math.abs) : normals(seed, count));

/** Packs with exactly the words that the set asks for, as scratch and as packed weights. */
function pack(bench: Bench, geometry: Geometry, shape: number, weights: number, direction: 'forward' | 'backward'): number {
  const packed = bench.room(bench.set.packedWords(geometry, direction)), scratch = bench.room(bench.set.scratchWords('convolutionPack', geometry));
  bench.kernels.convolutionPack(scratch, shape, weights, packed, direction === 'backward' ? 1 : 0);
  return packed;
}

function forward(bench: Bench, { geometry, samples, seed, activation, biased }: Case, { absolute, cutSamples = [], cutPositions = [] }: Way = {}): number[] {
  const shape = bench.geometry(geometry), x = bench.floats(values(seed, samples * inputWords(geometry), absolute)), weights = bench.floats(values(seed + 1, weightWords(geometry), absolute));
  const bias = biased ? bench.floats(values(seed + 2, geometry.channelsOut, absolute)) : -1, slope = bench.floats([0.25]), y = bench.room(samples * outputWords(geometry));
  const packed = pack(bench, geometry, shape, weights, 'forward'), scratch = bench.room(bench.set.scratchWords('convolutionForward', geometry));
  for (const [sample, count] of pieces(cutSamples, samples)) {
    for (const [position, positions] of pieces(cutPositions, geometry.heightOut * geometry.widthOut)) {
      bench.kernels.convolutionForward(scratch, shape, x, packed, bias, y, sample, count, position, positions, activation, slope);
    }
  }
  return bench.read(y, samples * outputWords(geometry));
}

function backwardInput(bench: Bench, { geometry, samples, seed }: Case, { absolute, cutSamples = [] }: Way = {}): number[] {
  const shape = bench.geometry(geometry), dy = bench.floats(values(seed, samples * outputWords(geometry), absolute)), weights = bench.floats(values(seed + 1, weightWords(geometry), absolute));
  const dx = bench.room(samples * inputWords(geometry));
  const packed = pack(bench, geometry, shape, weights, 'backward'), scratch = bench.room(bench.set.scratchWords('convolutionBackwardInput', geometry));
  // From last to first: a piece that wrote beyond its samples, even for a moment, would spoil those of another thread.
  for (const [sample, count] of pieces(cutSamples, samples).reverse()) bench.kernels.convolutionBackwardInput(scratch, shape, dy, packed, dx, sample, count);
  return bench.read(dx, samples * inputWords(geometry));
}

function backwardWeights(bench: Bench, { geometry, samples, seed, accumulate }: Case, { absolute, cutSamples = [] }: Way = {}): number[] {
  const shape = bench.geometry(geometry), x = bench.floats(values(seed, samples * inputWords(geometry), absolute)), dy = bench.floats(values(seed + 1, samples * outputWords(geometry), absolute));
  const dw = bench.floats(values(seed + 2, weightWords(geometry), absolute)), scratch = bench.room(bench.set.scratchWords('convolutionBackwardWeights', geometry));
  for (const [sample, count] of pieces(cutSamples, samples)) bench.kernels.convolutionBackwardWeights(scratch, shape, x, dy, dw, sample, count, accumulate || Number(sample > 0));
  return bench.read(dw, weightWords(geometry));
}

/** SIMD against portable: within 2 K 2^-24 of the sum of magnitudes, which the portable kernel gives on magnitudes. */
function checkBound(kernel: (bench: Bench, one: Case, way?: Way) => number[], one: Case, skew: number, terms: number): void {
  const { portable, simd } = onBoth(benches, skew, (bench) => kernel(bench, one));
  benches[0].reset(skew);
  const magnitude = kernel(benches[0], { ...one, activation: ACTIVATION.none }, { absolute: true });
  expectWithin(simd, portable, (i) => 2 * terms * 2 ** -24 * magnitude[i]);
}

describe('convolution, SIMD', () => {
  it('forward: |y - exact| <= 2 (K + 1) 2^-24 (sum |w||x| + |bias|), any geometry, bias and activation', () => {
    fc.assert(fc.property(cases, skews, (one, skew) => {
      checkBound(forward, one, skew, (one.geometry.channelsIn / one.geometry.groups) * taps(one.geometry) + 1);
    }), { numRuns: 200 });
  });

  it('backward to the input: |dx - exact| <= 2 K 2^-24 sum |w||dy|, any geometry; inputs that no tap reaches get zero', () => {
    fc.assert(fc.property(cases, skews, (one, skew) => {
      checkBound(backwardInput, one, skew, (one.geometry.channelsOut / one.geometry.groups) * taps(one.geometry));
    }), { numRuns: 200 });
  });

  it('backward to the weights: |dw - exact| <= 2 (K + 1) 2^-24 (sum |dy||x| + |dw before|), any geometry', () => {
    fc.assert(fc.property(cases, skews, (one, skew) => {
      checkBound(backwardWeights, one, skew, one.samples * one.geometry.heightOut * one.geometry.widthOut + 1);
    }), { numRuns: 200 });
  });

  it('the same bounds where the input is staged in bands of rows, chunks are parts of a sample, and chunks are several samples', () => {
    const large = [same(44, 3, 37, 41), same(3, 44, 37, 41), same(150, 5, 10, 12), { ...same(9, 6, 61, 45, 5), strideX: 2, widthOut: 23 }, same(7, 2, 60, 60, 1), same(4, 5, 3, 5), same(2, 2, 90, 83, 3, 2), same(300, 300, 3, 3, 3, 300), same(40, 1100, 3, 3, 1), same(40, 40, 6, 6),
      ...[0, 1].map((padding): Geometry => ({ ...same(3, 3, 141, 283, 3, 3), strideY: 2, strideX: 2, paddingTop: padding, paddingLeft: 1 - padding, heightOut: 71 - 1 + padding, widthOut: 142 - padding }))];
    for (const geometry of large) {
      const one: Case = { geometry, samples: geometry.heightIn < 4 ? 80 : 2, seed: 5, activation: ACTIVATION.relu, biased: true, accumulate: 1 };
      checkBound(forward, one, 1, geometry.channelsIn * taps(geometry) + 1);
      checkBound(backwardInput, one, 1, geometry.channelsOut * taps(geometry));
      checkBound(backwardWeights, one, 1, one.samples * geometry.heightOut * geometry.widthOut + 1);
    }
  });

  it('scratch suffices where a plane of one channel is larger than all that is staged elsewhere: 1 x 1, which sees it as one row', () => {
    const one: Case = { geometry: same(2, 2, 301, 299, 1, 2), samples: 1, seed: 5, activation: ACTIVATION.none, biased: true, accumulate: 0 };
    checkBound(forward, one, 1, 2);
    checkBound(backwardInput, one, 1, 1);
    checkBound(backwardWeights, one, 1, 90000);
  });

  it('the bounds are not vacuous: one weight that is off by a part in a thousand breaks them', () => {
    const one: Case = { geometry: same(4, 4, 6, 8), samples: 1, seed: 3, activation: ACTIVATION.none, biased: false, accumulate: 0 };
    const { portable, simd } = onBoth(benches, 0, (bench) => forward(bench, one));
    benches[0].reset();
    const magnitude = forward(benches[0], one, { absolute: true });
    simd[17] += 1e-3 * magnitude[17];
    expect(() => expectWithin(simd, portable, (i) => 2 * 37 * 2 ** -24 * magnitude[i])).toThrow('element 17');
  });

  const cuts = fc.array(fc.nat(), { maxLength: 4 });
  it('forward: any cut into samples and positions gives the same bits', () => {
    fc.assert(fc.property(cases, cuts, cuts, (one, cutSamples, cutPositions) => {
      const bench = benches[1];
      bench.reset();
      const whole = forward(bench, one);
      bench.reset();
      expect(forward(bench, one, { cutSamples, cutPositions })).toEqual(whole);
      bench.checkGuards();
    }), { numRuns: 150 });
  });

  it('backward to the input: any cut into samples gives the same bits', () => {
    fc.assert(fc.property(cases, cuts, (one, cutSamples) => {
      const bench = benches[1];
      bench.reset();
      const whole = backwardInput(bench, one);
      bench.reset();
      expect(backwardInput(bench, one, { cutSamples })).toEqual(whole);
    }), { numRuns: 100 });
  });

  it('backward to the weights: one call and an accumulating call per sample agree within the bound', () => {
    fc.assert(fc.property(cases, cuts, (one, cutSamples) => {
      const terms = one.samples * one.geometry.heightOut * one.geometry.widthOut + 1, bench = benches[1];
      bench.reset();
      const cut = backwardWeights(bench, one, { cutSamples });
      benches[0].reset();
      const expected = backwardWeights(benches[0], one);
      benches[0].reset();
      const magnitude = backwardWeights(benches[0], one, { absolute: true });
      expectWithin(cut, expected, (i) => 2 * terms * 2 ** -24 * magnitude[i]);
    }), { numRuns: 60 });
  });
});

/** F(4 x 4, 3 x 3) by its definition (Toom, Cook): one row per point of interpolation, infinity last. */
const POINTS = [0, 2 / 3, -2 / 3, 3 / 2, -3 / 2];
const others = (point: number): number[] => POINTS.filter((other) => other !== point);
/** Coefficients of the polynomial with these roots, lowest first, filled up to six. */
const polynomial = (roots: readonly number[]): number[] => {
  const coefficients = roots.reduce((sum, root) => [...sum.map((value, i) => (i > 0 ? sum[i - 1] : 0) - root * value), sum.at(-1)!], [1]);
  return Array.from({ length: 6 }, (_, i) => coefficients[i] ?? 0);
};
const TRANSFORM = {
  patch: [...POINTS.map((point) => polynomial(others(point))), polynomial(POINTS)],
  filter: [...POINTS.map((point) => [0, 1, 2].map((power) => point ** power / others(point).reduce((product, other) => product * (point - other), 1))), [0, 0, 1]],
  product: Array.from({ length: 4 }, (_, power) => [...POINTS.map((point) => point ** power), power === 3 ? 1 : 0]),
};
type Matrix = readonly (readonly number[])[];
const times = (a: Matrix, b: Matrix): number[][] => a.map((row) => b[0].map((_, j) => row.reduce((sum, value, k) => sum + value * b[k][j], 0)));
const turned = (a: Matrix): number[][] => a[0].map((_, j) => a.map((row) => row[j]));
/** t x t^T */
const onBothAxes = (t: Matrix, x: Matrix): number[][] => times(times(t, x), turned(t));
const magnitudes = (a: Matrix): number[][] => a.map((row) => row.map(Math.abs));

/** Outputs of one tile by the transforms, or with every sign taken away: the quantity that rounding errors are measured by. */
function tileOutputs(patches: readonly Matrix[], filters: readonly Matrix[], absolute: boolean): number[][] {
  const sign = absolute ? magnitudes : (matrix: Matrix): Matrix => matrix;
  const sums = Array.from({ length: 6 }, () => Array<number>(6).fill(0));
  patches.forEach((patch, c) => {
    const v = onBothAxes(sign(TRANSFORM.patch), sign(patch)), u = onBothAxes(sign(TRANSFORM.filter), sign(filters[c]));
    sums.forEach((row, y) => row.forEach((_, x) => { row[x] += u[y][x] * v[y][x]; }));
  });
  return onBothAxes(sign(TRANSFORM.product), sums);
}

describe('convolution 3 x 3 by Winograd, SIMD', () => {
  const wide: fc.Arbitrary<Case> = fc.record({
    geometry: fc.record({ channelsIn: between(16, 27), channelsOut: between(16, 70), height: between(5, 14), width: between(5, 20), paddingTop: between(0, 3), paddingLeft: between(0, 3), bottom: between(0, 3), right: between(0, 3), groups: fc.constantFrom(1, 1, 2) })
      .map(({ channelsIn, channelsOut, height, width, paddingTop, paddingLeft, bottom, right, groups }): Geometry => ({
        channelsIn: channelsIn * groups, heightIn: height, widthIn: width, channelsOut: channelsOut * groups, heightOut: Math.max(1, height + paddingTop + bottom - 2), widthOut: Math.max(1, width + paddingLeft + right - 2),
        kernelHeight: 3, kernelWidth: 3, strideY: 1, strideX: 1, paddingTop, paddingLeft, dilationY: 1, dilationX: 1, groups,
      })),
    samples: between(1, 3), seed: seeds, activation: fc.constantFrom(ACTIVATION.none, ACTIVATION.relu, ACTIVATION.leakyRelu), biased: fc.boolean(), accumulate: fc.constant(0),
  });
  const WORDS_PER_TAP = 36 / 9;

  it('is what these geometries take: four words packed for each weight, rows in eights', () => {
    fc.assert(fc.property(wide, ({ geometry }) => {
      const { channelsIn, channelsOut, groups, heightOut, widthOut } = geometry, rows = channelsOut / groups;
      fc.pre(heightOut * widthOut >= 25);
      expect(benches[1].set.packedWords(geometry, 'forward')).toBe(Math.ceil(rows / 8) * 8 * channelsIn * 9 * WORDS_PER_TAP);
    }));
  });

  it('the transforms give the convolution, in double', () => {
    fc.assert(fc.property(seeds, (seed) => {
      const values = normals(seed, 45), patch = Array.from({ length: 6 }, (_, y) => [...values.subarray(6 * y, 6 * y + 6)]), filter = [0, 1, 2].map((y) => [...values.subarray(36 + 3 * y, 39 + 3 * y)]);
      tileOutputs([patch], [filter], false).forEach((row, y) => row.forEach((value, x) => {
        const expected = filter.reduce((sum, taps, ky) => sum + taps.reduce((part, tap, kx) => part + tap * patch[y + ky][x + kx], 0), 0);
        expect(Math.abs(value - expected)).toBeLessThan(1e-12);
      }));
    }));
  });

  /** `read(group, c, y, x)` of one sample, `tap(group, r, c)` as a 3 x 3 matrix, in the frame of the pass. */
  function expectWithinTiles(simd: readonly number[], portable: readonly number[], outputs: { groups: number; rows: number; height: number; width: number; samples: number }, channels: number,
    read: (sample: number, plane: number, y: number, x: number) => number, filter: (group: number, row: number, channel: number) => Matrix, bias: (plane: number) => number): void {
    const { groups, rows, height, width, samples } = outputs;
    for (let n = 0; n < samples; n++) {
      for (let group = 0; group < groups; group++) {
        for (let ty = 0; ty < height; ty += 4) {
          for (let tx = 0; tx < width; tx += 4) {
            const patches = Array.from({ length: channels }, (_, c) => Array.from({ length: 6 }, (_, y) => Array.from({ length: 6 }, (_, x) => read(n, group * channels + c, ty + y, tx + x))));
            // Two rows of each tile: the bound itself is slow to compute.
            for (const r of [(ty + 3 * tx) % rows, rows - 1]) {
              const plane = group * rows + r, magnitude = tileOutputs(patches, Array.from({ length: channels }, (_, c) => filter(group, r, c)), true);
              for (let y = 0; y < Math.min(4, height - ty); y++) {
                for (let x = 0; x < Math.min(4, width - tx); x++) {
                  const i = ((n * groups * rows + plane) * height + ty + y) * width + tx + x;
                  expectWithin([simd[i]], [portable[i]], () => (channels + 32) * 2 ** -24 * (magnitude[y][x] + Math.abs(bias(plane))));
                }
              }
            }
          }
        }
      }
    }
  }

  it('forward: |y - exact| <= (C + 32) 2^-24 (sum over c of |A|^T (|G||g||G|^T * |B|^T|d||B|) |A| + |bias|)', () => {
    fc.assert(fc.property(wide, skews, (one, skew) => {
      const { geometry, seed, samples } = one, { channelsIn, channelsOut, heightIn, widthIn, heightOut, widthOut, paddingTop, paddingLeft, groups } = geometry;
      fc.pre(heightOut * widthOut >= 25);
      const { portable, simd } = onBoth(benches, skew, (bench) => forward(bench, one));
      const x = values(seed, samples * inputWords(geometry)), weights = values(seed + 1, weightWords(geometry)), biases = values(seed + 2, channelsOut), channels = channelsIn / groups, rows = channelsOut / groups;
      expectWithinTiles(simd, portable, { groups, rows, height: heightOut, width: widthOut, samples }, channels,
        (n, plane, y, column) => within(x, n * channelsIn + plane, y - paddingTop, column - paddingLeft, heightIn, widthIn),
        (group, r, c) => [0, 1, 2].map((ky) => [0, 1, 2].map((kx) => weights[((group * rows + r) * channels + c) * 9 + 3 * ky + kx])),
        (plane) => (one.biased ? biases[plane] : 0));
    }), { numRuns: 12 });
  });

  it('backward to the input: the same bound over the output channels', () => {
    fc.assert(fc.property(wide, skews, (one, skew) => {
      const { geometry, seed, samples } = one, { channelsIn, channelsOut, heightIn, widthIn, heightOut, widthOut, paddingTop, paddingLeft, groups } = geometry;
      fc.pre(heightOut * widthOut >= 25);
      const { portable, simd } = onBoth(benches, skew, (bench) => backwardInput(bench, one));
      const dy = values(seed, samples * outputWords(geometry)), weights = values(seed + 1, weightWords(geometry)), rows = channelsIn / groups, channels = channelsOut / groups;
      expectWithinTiles(simd, portable, { groups, rows, height: heightIn, width: widthIn, samples }, channels,
        (n, plane, y, column) => within(dy, n * channelsOut + plane, y + paddingTop - 2, column + paddingLeft - 2, heightOut, widthOut),
        (group, r, c) => [0, 1, 2].map((ky) => [0, 1, 2].map((kx) => weights[((group * channels + c) * rows + r) * 9 + 8 - 3 * ky - kx])),
        () => 0);
    }), { numRuns: 12 });
  });

  it('backward to the weights: |dw - exact| <= (T + 40) 2^-24 (sum over T tiles of |G|^T (|A||dy||A|^T * |B|^T|x||B|) |G| + |dw before|)', () => {
    fc.assert(fc.property(wide, skews, fc.integer({ min: 0, max: 1 }), (one, skew, accumulate) => {
      const { geometry, seed, samples } = one, { channelsIn, channelsOut, heightIn, widthIn, heightOut, widthOut, paddingTop, paddingLeft, groups } = geometry;
      fc.pre(heightOut * widthOut >= 25);
      const { portable, simd } = onBoth(benches, skew, (bench) => backwardWeights(bench, { ...one, accumulate }));
      const x = values(seed, samples * inputWords(geometry)), dy = values(seed + 1, samples * outputWords(geometry)), before = values(seed + 2, weightWords(geometry)), channels = channelsIn / groups, rows = channelsOut / groups;
      const square = (side: number, read: (y: number, x: number) => number): Matrix => Array.from({ length: side }, (_, j) => Array.from({ length: side }, (_, i) => Math.abs(read(j, i))));
      const gradientOf = magnitudes(turned(TRANSFORM.product)), patchOf = magnitudes(TRANSFORM.patch), weightsOf = magnitudes(turned(TRANSFORM.filter)), tiles = samples * Math.ceil(heightOut / 4) * Math.ceil(widthOut / 4);
      for (const [group, r, c] of [[0, 0, 0], [groups - 1, rows - 1, channels - 1], [0, rows >> 1, channels >> 1]]) {
        const sums = square(6, () => 0) as number[][];
        for (let n = 0; n < samples; n++) {
          for (let ty = 0; ty < heightOut; ty += 4) {
            for (let tx = 0; tx < widthOut; tx += 4) {
              const v = onBothAxes(patchOf, square(6, (j, i) => within(x, n * channelsIn + group * channels + c, ty + j - paddingTop, tx + i - paddingLeft, heightIn, widthIn)));
              const w = onBothAxes(gradientOf, square(4, (j, i) => within(dy, n * channelsOut + group * rows + r, ty + j, tx + i, heightOut, widthOut)));
              sums.forEach((row, j) => row.forEach((_, i) => { row[i] += v[j][i] * w[j][i]; }));
            }
          }
        }
        const magnitude = onBothAxes(weightsOf, sums).flat(), first = ((group * rows + r) * channels + c) * 9;
        expectWithin(simd.slice(first, first + 9), portable.slice(first, first + 9), (tap) => (tiles + 40) * 2 ** -24 * (magnitude[tap] + accumulate * Math.abs(before[first + tap])));
      }
    }), { numRuns: 30 });
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
    fc.assert(fc.property(wide, cuts, cuts, (one, cutSamples, cutPositions) => {
      const bench = benches[1];
      for (const [kernel, way] of [[forward, { cutSamples, cutPositions }], [backwardInput, { cutSamples }]] as const) {
        bench.reset();
        const whole = kernel(bench, one);
        bench.reset();
        expect(kernel(bench, one, way)).toEqual(whole);
        bench.checkGuards();
      }
    }), { numRuns: 25 });
  });

  it('what lies outside a tile does not touch it, not even a NaN', () => {
    const geometry = same(16, 16, 8, 8), bench = benches[1];
    bench.reset();
    const shape = bench.geometry(geometry), x = bench.floats(normals(1, inputWords(geometry))), weights = bench.floats(normals(2, weightWords(geometry))), y = bench.room(outputWords(geometry));
    const packed = pack(bench, geometry, shape, weights, 'forward'), scratch = bench.room(bench.set.scratchWords('convolutionForward', geometry));
    bench.workspace.heap.float[x + 63] = NaN;
    bench.kernels.convolutionForward(scratch, shape, x, packed, -1, y, 0, 1, 0, 64, ACTIVATION.none, -1);
    const plane = bench.read(y, 64);
    expect(plane.filter((value) => Number.isNaN(value))).toHaveLength(16);
    expect(plane.every((value, i) => Number.isNaN(value) === (i >> 3 >= 4 && (i & 7) >= 4))).toBe(true);
  });
});

/** x [planes, height, width] with zeros around. */
function within(x: ArrayLike<number>, plane: number, y: number, column: number, height: number, width: number): number {
  return y < 0 || column < 0 || y >= height || column >= width ? 0 : x[(plane * height + y) * width + column];
}
