/**
 * Cases of convolution for the tests of its kernels, and each kernel run on one: with exactly the words that the set
 * asks for, whole or cut.
 */
import fc from 'fast-check';
import type { Geometry } from '../../../src/kernels/index.ts';
import { normals, type Bench } from '../bench.ts';
import { callKernel } from '../../../src/kernels/specification/call.ts';

/** Values are drawn from N(0, 1) by `seed`; `accumulate` is of the gradient to the weights. */
export interface Case {
  geometry: Geometry;
  samples: number;
  seed: number;
  activation: number;
  biased: boolean;
  accumulate: number;
}

/** Stride 1, and the padding that keeps the size. */
export const same = (
  channelsIn: number,
  channelsOut: number,
  height: number,
  width: number,
  size = 3,
  groups = 1,
): Geometry => ({
  channelsIn,
  heightIn: height,
  widthIn: width,
  channelsOut,
  heightOut: height,
  widthOut: width,
  kernelHeight: size,
  kernelWidth: size,
  strideY: 1,
  strideX: 1,
  paddingTop: size >> 1,
  paddingLeft: size >> 1,
  dilationY: 1,
  dilationX: 1,
  groups,
});
export const between = (min: number, max: number) => fc.integer({ min, max });

export const inputWords = ({ channelsIn, heightIn, widthIn }: Geometry): number => channelsIn * heightIn * widthIn;
export const outputWords = ({ channelsOut, heightOut, widthOut }: Geometry): number =>
  channelsOut * heightOut * widthOut;
export const weightWords = ({ channelsOut, channelsIn, groups, kernelHeight, kernelWidth }: Geometry): number =>
  channelsOut * (channelsIn / groups) * kernelHeight * kernelWidth;
export const taps = ({ kernelHeight, kernelWidth }: Geometry): number => kernelHeight * kernelWidth;

/** Pieces [start, length) of [0, length) cut at the given places. */
function pieces(cuts: readonly number[], length: number): [number, number][] {
  const places = [0, ...cuts.map((cut) => cut % (length + 1)).sort((a, b) => a - b), length];
  return places.slice(1).map((end, i) => [places[i], end - places[i]]);
}

export interface Way {
  absolute?: boolean;
  cutSamples?: readonly number[];
  cutPositions?: readonly number[];
}
export const values = (seed: number, count: number, absolute = false): Float32Array =>
  absolute ? normals(seed, count).map(Math.abs) : normals(seed, count);

/** Packs with exactly the words that the set asks for, as scratch and as packed weights. */
export function pack(
  bench: Bench,
  geometry: Geometry,
  shape: number,
  weights: number,
  direction: 'forward' | 'transposed',
): number {
  const packed = bench.room(bench.set.sizes.packedWords(geometry, direction)),
    scratch = bench.room(bench.set.sizes.scratchWords('convolutionPack', geometry));
  bench.kernels.convolutionPack(scratch, shape, weights, packed, direction === 'transposed' ? 1 : 0);
  return packed;
}

export function forward(
  bench: Bench,
  { geometry, samples, seed, activation, biased }: Case,
  { absolute, cutSamples = [], cutPositions = [] }: Way = {},
): number[] {
  const shape = bench.geometry(geometry),
    x = bench.floats(values(seed, samples * inputWords(geometry), absolute)),
    weights = bench.floats(values(seed + 1, weightWords(geometry), absolute));
  const bias = biased ? bench.floats(values(seed + 2, geometry.channelsOut, absolute)) : -1,
    slope = bench.floats([0.25]),
    y = bench.room(samples * outputWords(geometry));
  const packed = pack(bench, geometry, shape, weights, 'forward'),
    scratch = bench.room(bench.set.sizes.scratchWords('convolutionForward', geometry));
  for (const [sample, count] of pieces(cutSamples, samples)) {
    for (const [position, positions] of pieces(cutPositions, geometry.heightOut * geometry.widthOut)) {
      callKernel(bench.kernels, 'convolutionForward', scratch, {
        geometry: shape,
        x,
        packed,
        bias,
        y,
        sample,
        samples: count,
        position,
        positions,
        activation,
        parameters: slope,
      });
    }
  }
  return bench.read(y, samples * outputWords(geometry));
}

export function backwardInput(
  bench: Bench,
  { geometry, samples, seed }: Case,
  { absolute, cutSamples = [] }: Way = {},
): number[] {
  const shape = bench.geometry(geometry),
    dy = bench.floats(values(seed, samples * outputWords(geometry), absolute)),
    weights = bench.floats(values(seed + 1, weightWords(geometry), absolute));
  const dx = bench.room(samples * inputWords(geometry));
  const packed = pack(bench, geometry, shape, weights, 'transposed'),
    scratch = bench.room(bench.set.sizes.scratchWords('convolutionBackwardInput', geometry));
  // From last to first: a piece that wrote beyond its samples, even for a moment, would spoil those of another thread.
  for (const [sample, count] of pieces(cutSamples, samples).reverse())
    bench.kernels.convolutionBackwardInput(scratch, shape, dy, packed, dx, sample, count);
  return bench.read(dx, samples * inputWords(geometry));
}

export function backwardWeights(
  bench: Bench,
  { geometry, samples, seed, accumulate }: Case,
  { absolute, cutSamples = [] }: Way = {},
): number[] {
  const shape = bench.geometry(geometry),
    x = bench.floats(values(seed, samples * inputWords(geometry), absolute)),
    dy = bench.floats(values(seed + 1, samples * outputWords(geometry), absolute));
  const dw = bench.floats(values(seed + 2, weightWords(geometry), absolute)),
    scratch = bench.room(bench.set.sizes.scratchWords('convolutionBackwardWeights', geometry));
  for (const [sample, count] of pieces(cutSamples, samples))
    bench.kernels.convolutionBackwardWeights(
      scratch,
      shape,
      x,
      dy,
      dw,
      sample,
      count,
      accumulate || Number(sample > 0),
    );
  return bench.read(dw, weightWords(geometry));
}
