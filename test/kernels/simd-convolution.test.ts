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
const cases: fc.Arbitrary<Case> = fc.record({
  geometry: fc.oneof(geometries({ channels: true }), layers, planes), samples: fc.oneof(between(0, 3), between(4, 17)), seed: seeds,
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
  for (const [sample, count] of pieces(cutSamples, samples)) bench.kernels.convolutionBackwardInput(scratch, shape, dy, packed, dx, sample, count);
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
    const large = [same(44, 3, 37, 41), same(3, 44, 37, 41), same(150, 5, 10, 12), { ...same(9, 6, 61, 45, 5), strideX: 2, widthOut: 23 }, same(7, 2, 60, 60, 1), same(4, 5, 3, 5), same(2, 2, 90, 83, 3, 2), same(300, 300, 3, 3, 3, 300), same(40, 1100, 3, 3, 1), same(40, 40, 6, 6)];
    for (const geometry of large) {
      const one: Case = { geometry, samples: geometry.heightIn < 4 ? 80 : 2, seed: 5, activation: ACTIVATION.relu, biased: true, accumulate: 1 };
      checkBound(forward, one, 1, geometry.channelsIn * taps(geometry) + 1);
      checkBound(backwardInput, one, 1, geometry.channelsOut * taps(geometry));
      checkBound(backwardWeights, one, 1, one.samples * geometry.heightOut * geometry.widthOut + 1);
    }
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
