import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { ACTIVATION, type Geometry } from '../../../src/kernels/index.ts';
import { byWinograd } from '../../../src/kernels/simd/sizes.ts';
import { bothSets, expectWithin, geometries, onBoth, openBench, seeds, skews, type Bench } from '../bench.ts';
import {
  backwardInput,
  backwardWeights,
  between,
  forward,
  same,
  taps,
  type Case,
  type Way,
} from './convolution-cases.ts';

let benches: readonly [Bench, Bench];
beforeAll(async () => {
  const [portable, simd] = await bothSets();
  benches = [openBench(portable, { words: 1 << 21 }), openBench(simd, { words: 1 << 21 })];
});

/**
 * Padding of the output's size, several blocks of k, widths of the fast gathers, channels along the lanes, depthwise, 1
 * x 1.
 */
const layers = fc.oneof(
  fc
    .tuple(
      between(1, 5),
      between(1, 5),
      between(1, 9),
      fc.constantFrom(1, 4, 5, 8, 13, 16, 17, 32),
      fc.constantFrom(1, 3, 5),
    )
    .map((sizes) => same(...sizes)),
  fc.tuple(between(36, 75), between(1, 3), between(1, 4), fc.constantFrom(4, 5, 8)).map((sizes) => same(...sizes)),
  fc.tuple(between(1, 3), between(36, 75), between(1, 4), fc.constantFrom(4, 5, 8)).map((sizes) => same(...sizes)),
  fc
    .tuple(between(4, 40), between(7, 40), between(1, 7), between(1, 7), fc.constantFrom(1, 3))
    .map((sizes) => same(...sizes)),
  fc
    .tuple(between(32, 40), between(7, 70), between(1, 7), between(1, 7), fc.constant(1))
    .map((sizes) => same(...sizes)),
  fc
    .tuple(between(1, 6), between(1, 9), between(1, 20))
    .map(([channels, height, width]) => same(channels, channels, height, width, 3, channels)),
);
/**
 * Groups of one channel: depthwise with a multiplier, first layers; strides and dilations apart in both directions,
 * padding beyond the kernel, planes of a few positions.
 */
const planes: fc.Arbitrary<Geometry> = fc
  .record({
    groups: between(1, 9),
    multiplier: fc.oneof(fc.constant(1), between(2, 5)),
    height: between(1, 12),
    width: fc.oneof(between(1, 9), between(10, 41)),
    kernel: fc.constantFrom([3, 3], [3, 3], [5, 5], [1, 1], [2, 3], [7, 1]),
    stride: fc.constantFrom([1, 1], [2, 2], [1, 2], [3, 1], [2, 3]),
    dilation: fc.constantFrom([1, 1], [1, 1], [2, 1], [1, 2], [3, 3]),
    before: fc.constantFrom([0, 0], [1, 1], [1, 0], [4, 5]),
    after: between(0, 6),
  })
  .map(({ groups, multiplier, height, width, kernel, stride, dilation, before, after }) => ({
    channelsIn: groups,
    heightIn: height,
    widthIn: width,
    channelsOut: groups * multiplier,
    groups,
    heightOut: Math.floor((height + before[0] + after - dilation[0] * (kernel[0] - 1) - 1) / stride[0]) + 1,
    widthOut: Math.floor((width + before[1] + after - dilation[1] * (kernel[1] - 1) - 1) / stride[1]) + 1,
    kernelHeight: kernel[0],
    kernelWidth: kernel[1],
    strideY: stride[0],
    strideX: stride[1],
    dilationY: dilation[0],
    dilationX: dilation[1],
    paddingTop: before[0],
    paddingLeft: before[1],
  }))
  .filter(({ heightOut, widthOut }) => heightOut > 0 && widthOut > 0);
/**
 * Depthwise 3 x 3 of stride 2, of which the gradient to the input has a kernel of its own: every parity of sides and
 * paddings, several strips and partial ones, rows that no tap reaches.
 */
const halved: fc.Arbitrary<Geometry> = fc
  .record({
    groups: between(1, 9),
    height: between(1, 20),
    width: fc.oneof(between(1, 9), between(10, 41)),
    top: between(0, 4),
    left: between(0, 4),
    bottom: between(0, 3),
    right: between(0, 3),
  })
  .map(({ groups, height, width, top, left, bottom, right }) => ({
    ...same(groups, groups, height, width, 3, groups),
    strideY: 2,
    strideX: 2,
    paddingTop: top,
    paddingLeft: left,
    heightOut: Math.floor((height + top + bottom - 3) / 2) + 1,
    widthOut: Math.floor((width + left + right - 3) / 2) + 1,
  }))
  .filter(({ heightOut, widthOut }) => heightOut > 0 && widthOut > 0);
const cases: fc.Arbitrary<Case> = fc.record({
  // Those that go by Winograd have bounds of their own: simd-winograd.test.ts.
  geometry: fc
    .oneof(geometries({ channels: true }), layers, planes, halved)
    .filter((geometry) => !byWinograd(geometry)),
  samples: fc.oneof(between(0, 3), between(4, 17)),
  seed: seeds,
  activation: fc.constantFrom(ACTIVATION.none, ACTIVATION.relu, ACTIVATION.leakyRelu),
  biased: fc.boolean(),
  accumulate: between(0, 1),
});

/** SIMD against portable: within 2 K 2^-24 of the sum of magnitudes, which the portable kernel gives on magnitudes. */
function checkBound(
  kernel: (bench: Bench, one: Case, way?: Way) => number[],
  one: Case,
  skew: number,
  terms: number,
): void {
  const { portable, simd } = onBoth(benches, skew, (bench) => kernel(bench, one));
  benches[0].reset(skew);
  const magnitude = kernel(benches[0], { ...one, activation: ACTIVATION.none }, { absolute: true });
  expectWithin(simd, portable, (i) => 2 * terms * 2 ** -24 * magnitude[i]);
}

describe('convolution, SIMD', () => {
  it('forward: |y - exact| <= 2 (K + 1) 2^-24 (sum |w||x| + |bias|), any geometry, bias and activation', () => {
    fc.assert(
      fc.property(cases, skews, (one, skew) => {
        checkBound(forward, one, skew, (one.geometry.channelsIn / one.geometry.groups) * taps(one.geometry) + 1);
      }),
      { numRuns: 200 },
    );
  });

  it('backward to the input: |dx - exact| <= 2 K 2^-24 sum |w||dy|, any geometry; inputs that no tap reaches get zero', () => {
    fc.assert(
      fc.property(cases, skews, (one, skew) => {
        checkBound(backwardInput, one, skew, (one.geometry.channelsOut / one.geometry.groups) * taps(one.geometry));
      }),
      { numRuns: 200 },
    );
  });

  it('backward to the weights: |dw - exact| <= 2 (K + 1) 2^-24 (sum |dy||x| + |dw before|), any geometry', () => {
    fc.assert(
      fc.property(cases, skews, (one, skew) => {
        checkBound(backwardWeights, one, skew, one.samples * one.geometry.heightOut * one.geometry.widthOut + 1);
      }),
      { numRuns: 200 },
    );
  });

  it('the same bounds where the input is staged in bands of rows, chunks are parts of a sample, and chunks are several samples', () => {
    const large = [
      same(44, 3, 37, 41),
      same(3, 44, 37, 41),
      same(150, 3, 10, 12),
      { ...same(9, 6, 61, 45, 5), strideX: 2, widthOut: 23 },
      same(7, 2, 60, 60, 1),
      same(4, 5, 3, 5),
      same(2, 2, 90, 83, 3, 2),
      same(300, 300, 3, 3, 3, 300),
      same(40, 1100, 3, 3, 1),
      same(40, 40, 4, 6),
      ...[0, 1].map((padding): Geometry => ({
        ...same(3, 3, 141, 283, 3, 3),
        strideY: 2,
        strideX: 2,
        paddingTop: padding,
        paddingLeft: 1 - padding,
        heightOut: 71 - 1 + padding,
        widthOut: 142 - padding,
      })),
    ];
    for (const geometry of large) {
      const one: Case = {
        geometry,
        samples: geometry.heightIn < 4 ? 80 : 2,
        seed: 5,
        activation: ACTIVATION.relu,
        biased: true,
        accumulate: 1,
      };
      checkBound(forward, one, 1, geometry.channelsIn * taps(geometry) + 1);
      checkBound(backwardInput, one, 1, geometry.channelsOut * taps(geometry));
      checkBound(backwardWeights, one, 1, one.samples * geometry.heightOut * geometry.widthOut + 1);
    }
  });

  it('scratch suffices where a plane of one channel is larger than all that is staged elsewhere: 1 x 1, which sees it as one row', () => {
    const one: Case = {
      geometry: same(2, 2, 301, 299, 1, 2),
      samples: 1,
      seed: 5,
      activation: ACTIVATION.none,
      biased: true,
      accumulate: 0,
    };
    checkBound(forward, one, 1, 2);
    checkBound(backwardInput, one, 1, 1);
    checkBound(backwardWeights, one, 1, 90000);
  });

  it('the bounds are not vacuous: one weight that is off by a part in a thousand breaks them', () => {
    const one: Case = {
      geometry: same(4, 3, 6, 8),
      samples: 1,
      seed: 3,
      activation: ACTIVATION.none,
      biased: false,
      accumulate: 0,
    };
    const { portable, simd } = onBoth(benches, 0, (bench) => forward(bench, one));
    benches[0].reset();
    const magnitude = forward(benches[0], one, { absolute: true });
    simd[17] += 1e-3 * magnitude[17];
    expect(() => expectWithin(simd, portable, (i) => 2 * 37 * 2 ** -24 * magnitude[i])).toThrow('element 17');
  });

  const cuts = fc.array(fc.nat(), { maxLength: 4 });
  it('forward: any cut into samples and positions gives the same bits', () => {
    fc.assert(
      fc.property(cases, cuts, cuts, (one, cutSamples, cutPositions) => {
        const bench = benches[1];
        bench.reset();
        const whole = forward(bench, one);
        bench.reset();
        expect(forward(bench, one, { cutSamples, cutPositions })).toEqual(whole);
        bench.checkGuards();
      }),
      { numRuns: 150 },
    );
  });

  it('backward to the input: any cut into samples gives the same bits', () => {
    fc.assert(
      fc.property(cases, cuts, (one, cutSamples) => {
        const bench = benches[1];
        bench.reset();
        const whole = backwardInput(bench, one);
        bench.reset();
        expect(backwardInput(bench, one, { cutSamples })).toEqual(whole);
      }),
      { numRuns: 100 },
    );
  });

  it('backward to the weights: one call and an accumulating call per sample agree within the bound', () => {
    fc.assert(
      fc.property(cases, cuts, (one, cutSamples) => {
        const terms = one.samples * one.geometry.heightOut * one.geometry.widthOut + 1,
          bench = benches[1];
        bench.reset();
        const cut = backwardWeights(bench, one, { cutSamples });
        benches[0].reset();
        const expected = backwardWeights(benches[0], one);
        benches[0].reset();
        const magnitude = backwardWeights(benches[0], one, { absolute: true });
        expectWithin(cut, expected, (i) => 2 * terms * 2 ** -24 * magnitude[i]);
      }),
      { numRuns: 60 },
    );
  });
});
