/**
 * Weights on a heap that are a factor each, which stays, times a scale, which is trained: one for all, or one for each of
 * equally long runs. Decoding is an affine map, whose shift is 0.
 */
import { sizeOf, type Shape } from '../base/tensor.ts';
import type { Run } from '../kernels/specification/operations.ts';
import type { EncodingPlace, EncodingRoom, PullbackPlaces } from './kind.ts';

/** Where they lie: `values` are the scales. */
export interface ScaledPlace extends EncodingPlace {
  /** One for each weight, floats. */
  readonly factors: number;
  /** As many zeros as scales. */
  readonly shift: number;
}

export function placeScaled(shape: Shape, scales: number, { dense, source }: EncodingRoom): ScaledPlace {
  const values = source(scales);
  return { dense, values, factors: source(sizeOf(shape)), shift: source(scales) };
}

/** @param positions - weights per scale */
export function decodeScaled(
  { dense, values, factors, shift }: ScaledPlace,
  scales: number,
  positions: number,
  run: Run,
): void {
  run('affineForward', {
    x: factors,
    scale: values,
    shift,
    y: dense,
    samples: 1,
    channels: scales,
    positions,
    activation: 0,
    parameters: shift,
  });
}

/** @param positions - weights per scale */
export function pullbackScaled(
  { factors }: ScaledPlace,
  { dense, values, room }: PullbackPlaces,
  scales: number,
  positions: number,
  run: Run,
): void {
  run('affineBackwardParameters', {
    x: factors,
    dy: dense,
    dscale: values,
    // The shift is not trained.
    dshift: room(scales),
    samples: 1,
    channels: scales,
    positions,
  });
}
