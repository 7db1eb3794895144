import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { ACTIVATION } from '../../../src/kernels/index.ts';
import { bothSets, expectWithin, lengths, normals, onBoth, openBench, seeds, skews, type Bench } from '../bench.ts';
import { callKernel } from '../../../src/kernels/specification/call.ts';

const EPS = 2 ** -24;
let benches: readonly [Bench, Bench];
beforeAll(async () => {
  const [portable, simd] = await bothSets();
  benches = [openBench(portable), openBench(simd)];
});

const shapes = fc.record({
  seed: seeds,
  samples: fc.integer({ min: 0, max: 4 }),
  channels: fc.integer({ min: 0, max: 5 }),
  positions: lengths,
  skew: skews,
  offset: fc.constantFrom(0, 1000),
});

describe('normalization, SIMD against portable, any size, tails and empty dimensions', () => {
  it('affine forward: within 2 eps (|x scale| + |shift|); backward to the input: the same floats; to the parameters: 2 eps of the sum, or 1e-14 of the sum of sizes', () => {
    fc.assert(
      fc.property(shapes, ({ seed, samples, channels, positions, skew }) => {
        const size = samples * channels * positions,
          x = normals(seed, size),
          dy = normals(seed + 1, size),
          scale = normals(seed + 2, channels),
          shift = normals(seed + 3, channels);
        const { portable, simd } = onBoth(benches, skew, (bench) => {
          const at = {
            x: bench.floats(x),
            dy: bench.floats(dy),
            scale: bench.floats(scale),
            shift: bench.floats(shift),
            slope: bench.floats([0.25]),
          };
          const y = bench.room(size),
            dx = bench.room(size),
            dscale = bench.room(channels),
            dshift = bench.room(channels);
          callKernel(bench.kernels, 'affineForward', bench.scratch, {
            x: at.x,
            scale: at.scale,
            shift: at.shift,
            y,
            samples,
            allChannels: channels,
            positions,
            activation: ACTIVATION.leakyRelu,
            parameters: at.slope,
          });
          bench.kernels.affineBackward(bench.scratch, at.dy, at.scale, dx, samples, channels, positions);
          callKernel(bench.kernels, 'affineBackwardParameters', bench.scratch, {
            x: at.x,
            dy: at.dy,
            dscale,
            dshift,
            samples,
            allChannels: channels,
            positions,
            channel: 0,
            channels,
          });
          return {
            y: bench.read(y, size),
            dx: bench.read(dx, size),
            dscale: bench.read(dscale, channels),
            dshift: bench.read(dshift, channels),
          };
        });
        const channelOf = (i: number): number => Math.floor(i / positions) % channels;
        expectWithin(
          simd.y,
          portable.y,
          (i) => 2 * EPS * (Math.abs(x[i] * scale[channelOf(i)]) + Math.abs(shift[channelOf(i)])),
        );
        expect(simd.dx).toEqual(portable.dx);
        expectWithin(simd.dscale, portable.dscale, (c) => 2 * EPS * Math.abs(portable.dscale[c]) + 1e-12);
        expectWithin(simd.dshift, portable.dshift, (c) => 2 * EPS * Math.abs(portable.dshift[c]) + 1e-12);
      }),
    );
  });

  it('batch normalization, both directions: within 4 eps, also with a mean of 1000 standard deviations', () => {
    fc.assert(
      fc.property(shapes, ({ seed, samples, channels, positions, skew, offset }) => {
        const size = samples * channels * positions,
          x = normals(seed, size).map((value) => value + offset),
          dy = normals(seed + 1, size);
        const { portable, simd } = onBoth(benches, skew, (bench) => {
          const at = {
            x: bench.floats(x),
            dy: bench.floats(dy),
            scale: bench.floats(normals(seed + 2, channels)),
            shift: bench.floats(normals(seed + 3, channels)),
            hyper: bench.floats([1e-5, 0.1]),
          };
          const running = bench.floats(normals(seed + 4, channels)),
            variance = bench.floats(new Float32Array(channels).fill(1));
          const mean = bench.floats(new Float32Array(channels)),
            inverse = bench.floats(new Float32Array(channels).fill(1)),
            y = bench.room(size),
            dscale = bench.room(channels),
            dshift = bench.room(channels);
          callKernel(bench.kernels, 'batchNormForward', bench.scratch, {
            x: at.x,
            scale: at.scale,
            shift: at.shift,
            runningMean: running,
            runningVariance: variance,
            savedMean: mean,
            savedInverse: inverse,
            y,
            hyper: at.hyper,
            samples,
            allChannels: channels,
            positions,
            channel: 0,
            channels,
          });
          const statistics = {
            mean: bench.read(mean, channels),
            inverse: bench.read(inverse, channels),
            running: bench.read(running, channels),
            variance: bench.read(variance, channels),
          };
          // Both sets differentiate at the same statistics: it is the kernel that is compared, not the rounding before
          // it.
          if (bench !== benches[0]) bench.workspace.heap.float.set(benches[0].read(mean, channels), mean);
          if (bench !== benches[0]) bench.workspace.heap.float.set(benches[0].read(inverse, channels), inverse);
          callKernel(bench.kernels, 'batchNormBackward', bench.scratch, {
            x: at.x,
            dy: at.dy,
            scale: at.scale,
            savedMean: mean,
            savedInverse: inverse,
            dx: at.dy,
            dscale,
            dshift,
            samples,
            allChannels: channels,
            positions,
            channel: 0,
            channels,
          });
          return {
            ...statistics,
            y: bench.read(y, size),
            dx: bench.read(at.dy, size),
            dscale: bench.read(dscale, channels),
            dshift: bench.read(dshift, channels),
          };
        });
        for (const key of ['mean', 'inverse', 'running', 'variance', 'y', 'dscale', 'dshift', 'dx'] as const) {
          const largest = Math.max(1e-6, ...portable[key].map(Math.abs));
          expectWithin(simd[key], portable[key], () => 4 * EPS * largest);
        }
      }),
    );
  });

  it('without samples batch normalization leaves statistics and running values as they are', () => {
    const { portable, simd } = onBoth(benches, 0, (bench) => {
      const ones = [0, 1, 2, 3, 4, 5].map(() => bench.floats([1, 1])),
        hyper = bench.floats([1e-5, 0.1]);
      callKernel(bench.kernels, 'batchNormForward', bench.scratch, {
        x: 0,
        scale: ones[0],
        shift: ones[1],
        runningMean: ones[2],
        runningVariance: ones[3],
        savedMean: ones[4],
        savedInverse: ones[5],
        y: 0,
        hyper,
        samples: 0,
        allChannels: 2,
        positions: 5,
        channel: 0,
        channels: 2,
      });
      return ones.map((offset) => bench.read(offset, 2));
    });
    expect(portable).toEqual(new Array(6).fill([1, 1]));
    expect(simd).toEqual(portable);
  });

  it('batchNormFold: the same floats', () => {
    fc.assert(
      fc.property(seeds, lengths, skews, (seed, channels, skew) => {
        const { portable, simd } = onBoth(benches, skew, (bench) => {
          const [scale, shift, mean] = [0, 1, 2].map((i) => bench.floats(normals(seed + i, channels))),
            variance = bench.floats(normals(seed + 3, channels).map(Math.abs));
          const scaleOut = bench.room(channels),
            shiftOut = bench.room(channels),
            hyper = bench.floats([1e-5]);
          callKernel(bench.kernels, 'batchNormFold', bench.scratch, {
            scale,
            shift,
            mean,
            variance,
            scaleOut,
            shiftOut,
            hyper,
            channels,
          });
          return [bench.read(scaleOut, channels), bench.read(shiftOut, channels)];
        });
        expect(simd).toEqual(portable);
      }),
    );
  });
});
