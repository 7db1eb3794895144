/** Every backward kernel against central differences in double precision. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ACTIVATION, portableKernels, type Geometry } from '../../../src/kernels/index.ts';
import { permutation, stream } from '../../../src/base/random.ts';
import { geometries, normals, openBench, seeds, type Bench } from '../bench.ts';
import { callKernel } from '../../../src/kernels/specification/call.ts';

const STEP = 1e-6,
  ABSOLUTE = 1e-5,
  RELATIVE = 1e-3;
const bench = openBench(portableKernels(), { words: 1 << 14, scratchWords: 0, precision: 'float64' });

interface Case {
  inputs: readonly ArrayLike<number>[];
  /** Number of outputs. */
  outputs: number;
  /** Reads the inputs at their offsets, writes y. */
  forward(at: readonly number[], y: number): void;
  /** Given y and dy writes the gradient of each input, in order; -1: not differentiated. */
  backward(at: readonly number[], y: number, dy: number, gradients: readonly number[]): void;
  /** Inputs without a gradient. */
  fixed?: readonly number[];
}

/** Compares the gradients of L = sum of r y, for random r, with (L(x + h) - L(x - h)) / 2h, element by element. */
function checkGradients(build: (b: Bench) => Case, seed: number): void {
  bench.reset();
  const { inputs, outputs, forward, backward, fixed = [] } = build(bench);
  const { float } = bench.workspace.heap;
  const at = inputs.map((input) => bench.floats(input)),
    y = bench.room(outputs),
    r = normals(seed + 77, outputs);
  const loss = (): number => {
    forward(at, y);
    return r.reduce((sum, weight, i) => sum + weight * float[y + i], 0);
  };
  loss();
  const gradients = inputs.map((input, i) => (fixed.includes(i) ? -1 : bench.room(input.length)));
  backward(at, y, bench.floats(r), gradients);
  bench.checkGuards();
  const analytic = gradients.map((offset, i) => (offset < 0 ? [] : bench.read(offset, inputs[i].length)));
  inputs.forEach((input, which) => {
    if (fixed.includes(which)) return;
    for (let i = 0; i < input.length; i++) {
      const place = at[which] + i,
        kept = float[place];
      float[place] = kept + STEP;
      const above = loss();
      float[place] = kept - STEP;
      const below = loss();
      float[place] = kept;
      const numeric = (above - below) / (2 * STEP),
        found = analytic[which][i];
      if (!(Math.abs(found - numeric) <= ABSOLUTE + RELATIVE * Math.abs(numeric)))
        expect.fail(`input ${which}, element ${i}: gradient ${found}, central difference ${numeric}`);
    }
  });
}

/** Numbers that differ by at least 0.05 and keep 0.025 away from zero: no kink within a step. */
function apart(seed: number, count: number): Float64Array {
  const order = permutation(stream(seed, 'apart'), count);
  return Float64Array.from(order, (place) => (place - count / 2) * 0.05 + 0.0251);
}

const close = 'within 1e-5 + 0.1 % of central differences';

describe('gradients', () => {
  it(`convolution, any stride, asymmetric padding, dilation, groups, with bias: ${close}`, () => {
    fc.assert(
      fc.property(
        geometries({ channels: true }).filter((g) => g.channelsIn * g.heightIn * g.widthIn < 300),
        seeds,
        (geometry, seed) => {
          const { channelsIn, channelsOut, groups, kernelHeight, kernelWidth } = geometry;
          const samples = 2,
            weights = channelsOut * (channelsIn / groups) * kernelHeight * kernelWidth;
          checkGradients((b) => {
            const shape = b.geometry(geometry),
              packed = b.room(weights),
              positions = geometry.heightOut * geometry.widthOut,
              { kernels } = b;
            return {
              inputs: [
                normals(seed, samples * channelsIn * geometry.heightIn * geometry.widthIn),
                normals(seed + 1, weights),
                normals(seed + 2, channelsOut),
              ],
              outputs: samples * channelsOut * positions,
              forward([x, w, bias], y) {
                kernels.convolutionPack(0, shape, w, packed, 0);
                // In pieces: sample by sample, and positions in two parts.
                for (let n = 0; n < samples; n++) {
                  callKernel(kernels, 'convolutionForward', 0, {
                    geometry: shape,
                    x,
                    packed,
                    bias,
                    y,
                    sample: n,
                    samples: 1,
                    position: 0,
                    positions: positions >> 1,
                    activation: ACTIVATION.none,
                    parameters: -1,
                  });
                  callKernel(kernels, 'convolutionForward', 0, {
                    geometry: shape,
                    x,
                    packed,
                    bias,
                    y,
                    sample: n,
                    samples: 1,
                    position: positions >> 1,
                    positions: positions - (positions >> 1),
                    activation: ACTIVATION.none,
                    parameters: -1,
                  });
                }
              },
              backward([x, w], _y, dy, [dx, dw, dbias]) {
                kernels.convolutionPack(0, shape, w, packed, 1);
                kernels.convolutionBackwardInput(0, shape, dy, packed, dx, 0, samples);
                kernels.convolutionBackwardWeights(0, shape, x, dy, dw, 0, 1, 0);
                kernels.convolutionBackwardWeights(0, shape, x, dy, dw, 1, 1, 1);
                kernels.channelSums(0, dy, dbias, samples, channelsOut, positions, 0, channelsOut);
              },
            };
          }, seed);
        },
      ),
      { numRuns: 25 },
    );
  });

  it(`matmul as a dense layer, with bias: ${close}`, () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 5 }),
        fc.integer({ min: 1, max: 5 }),
        fc.integer({ min: 0, max: 5 }),
        seeds,
        (n, outputs, inputs, seed) => {
          checkGradients(
            ({ kernels }) => ({
              inputs: [normals(seed, n * inputs), normals(seed + 1, outputs * inputs), normals(seed + 2, outputs)],
              outputs: n * outputs,
              forward: ([x, w, bias], y) =>
                callKernel(kernels, 'matmul', 0, {
                  m: n,
                  n: outputs,
                  k: inputs,
                  a: x,
                  aRow: inputs,
                  aColumn: 1,
                  b: w,
                  bRow: 1,
                  bColumn: inputs,
                  c: y,
                  cRow: outputs,
                  flags: 4,
                  bias,
                  activation: 0,
                  parameters: -1,
                }),
              backward([x, w], _y, dy, [dx, dw, dbias]) {
                callKernel(kernels, 'matmul', 0, {
                  m: n,
                  n: inputs,
                  k: outputs,
                  a: dy,
                  aRow: outputs,
                  aColumn: 1,
                  b: w,
                  bRow: inputs,
                  bColumn: 1,
                  c: dx,
                  cRow: inputs,
                  flags: 0,
                  bias: -1,
                  activation: 0,
                  parameters: -1,
                });
                callKernel(kernels, 'matmul', 0, {
                  m: outputs,
                  n: inputs,
                  k: n,
                  a: dy,
                  aRow: 1,
                  aColumn: outputs,
                  b: x,
                  bRow: inputs,
                  bColumn: 1,
                  c: dw,
                  cRow: inputs,
                  flags: 0,
                  bias: -1,
                  activation: 0,
                  parameters: -1,
                });
                kernels.channelSums(0, dy, dbias, n, outputs, 1, 0, outputs);
              },
            }),
            seed,
          );
        },
      ),
    );
  });

  it(`max and average pooling: ${close}`, () => {
    fc.assert(
      fc.property(geometries(), fc.constantFrom('max', 0, 1), seeds, (geometry: Geometry, kind, seed) => {
        const planes = 2,
          outputs = planes * geometry.heightOut * geometry.widthOut;
        checkGradients((b) => {
          const shape = b.geometry(geometry),
            where = b.room(outputs),
            { kernels } = b;
          return {
            inputs: [apart(seed, planes * geometry.heightIn * geometry.widthIn)],
            outputs,
            forward: ([x], y) =>
              kind === 'max'
                ? kernels.maxPoolForward(0, shape, x, y, where, 0, planes)
                : kernels.averagePoolForward(0, shape, x, y, Number(kind), 0, planes),
            backward: (_at, _y, dy, [dx]) =>
              kind === 'max'
                ? kernels.maxPoolBackward(0, shape, dy, where, dx, 0, planes)
                : kernels.averagePoolBackward(0, shape, dy, dx, Number(kind), 0, planes),
          };
        }, seed);
      }),
      { numRuns: 60 },
    );
  });

  it(`scale and shift per channel: ${close}`, () => {
    const [samples, channels, positions] = [2, 3, 5];
    checkGradients(
      ({ kernels }) => ({
        inputs: [normals(1, 30), normals(2, 3), normals(3, 3)],
        outputs: 30,
        forward: ([x, scale, shift], y) =>
          callKernel(kernels, 'affineForward', 0, {
            x,
            scale,
            shift,
            y,
            samples,
            allChannels: channels,
            positions,
            activation: ACTIVATION.none,
            parameters: -1,
          }),
        backward([x, scale], _y, dy, [dx, dscale, dshift]) {
          callKernel(kernels, 'affineBackwardParameters', 0, {
            x,
            dy,
            dscale,
            dshift,
            samples,
            allChannels: channels,
            positions,
            channel: 0,
            channels,
          });
          kernels.affineBackward(0, dy, scale, dx, samples, channels, positions);
        },
      }),
      4,
    );
  });

  it(`batch normalization with the statistics of the batch: ${close}`, () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 3 }),
        fc.integer({ min: 1, max: 3 }),
        fc.integer({ min: 2, max: 6 }),
        seeds,
        (samples, channels, positions, seed) => {
          checkGradients((b) => {
            const { kernels } = b,
              hyper = b.floats([1e-2, 0.1]),
              [running, variance, mean, inverse] = [0, 1, 2, 3].map(() => b.floats(new Float32Array(channels)));
            return {
              inputs: [
                normals(seed, samples * channels * positions),
                normals(seed + 1, channels),
                normals(seed + 2, channels),
              ],
              outputs: samples * channels * positions,
              forward: ([x, scale, shift], y) =>
                callKernel(kernels, 'batchNormForward', 0, {
                  x,
                  scale,
                  shift,
                  runningMean: running,
                  runningVariance: variance,
                  savedMean: mean,
                  savedInverse: inverse,
                  y,
                  hyper,
                  samples,
                  allChannels: channels,
                  positions,
                  channel: 0,
                  channels,
                }),
              backward: ([x, scale], _y, dy, [dx, dscale, dshift]) =>
                callKernel(kernels, 'batchNormBackward', 0, {
                  x,
                  dy,
                  scale,
                  savedMean: mean,
                  savedInverse: inverse,
                  dx,
                  dscale,
                  dshift,
                  samples,
                  allChannels: channels,
                  positions,
                  channel: 0,
                  channels,
                }),
            };
          }, seed);
        },
      ),
      { numRuns: 40 },
    );
  });

  it(`softmax: ${close}`, () => {
    checkGradients(
      ({ kernels }) => ({
        inputs: [normals(5, 21)],
        outputs: 21,
        forward: ([x], y) => kernels.softmaxForward(0, x, y, 3, 7, 1, 1),
        backward: (_at, y, dy, [dx]) => kernels.softmaxBackward(0, y, dy, dx, 3, 7),
      }),
      6,
    );
  });

  it('sees a gradient that is 1 % wrong', () => {
    expect(() =>
      checkGradients(
        ({ kernels }) => ({
          inputs: [normals(5, 4), normals(6, 4)],
          outputs: 4,
          forward: ([a, b], y) => kernels.multiply(0, a, b, y, 4),
          backward([, b], _y, dy, [da]) {
            kernels.multiply(0, dy, b, da, 4);
            for (let i = 0; i < 4; i++) bench.workspace.heap.float[da + i] *= 1.01;
          },
          fixed: [1],
        }),
        7,
      ),
    ).toThrow(/central difference/);
  });
});
