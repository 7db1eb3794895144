/**
 * Folding of the maps per channel that follow a convolution or dense layer (batch normalization, affine) into its weights
 * and bias: no pass over the activations is left.
 */
import type { Plan } from './types.ts';

/**
 * Offsets of weights and bias with `plan.folded` multiplied in: W'[o] = scale[o] W[o], b'[o] = scale[o] b[o] +
 * shift[o], made in preparation; those of the parameters themselves (bias -1: none) where nothing follows. Weights are
 * [channels, size].
 *
 * Each product is rounded once, so a result differs from the unfolded one by at most (K + 4) 2^-24 |scale| (sum |w||x|
 * + |b|) + 2^-23 (|scale b| + |shift|) for sums of K products, beside the error that the product of either has by itself.
 * @param weights - where the folded weights go: words that the caller holds for as long as it reads them
 */
export function foldedParameters(
  plan: Plan,
  channels: number,
  size: number,
  weights: (words: number) => number,
): { weight: number; bias: number } {
  let weight = plan.parameter('weight');
  let bias = plan.parameter('bias');
  if (plan.folded.length === 0) return { weight, bias };
  const none = plan.floats(new Array<number>(channels).fill(0));
  const scaled = weights(channels * size);
  const shifted = plan.kept('foldedBias', channels);
  if (bias < 0) bias = none;
  const as = { samples: 1, channels, activation: 0, parameters: none };
  for (const { scale, shift } of plan.folded) {
    plan.prepare('affineForward', { x: weight, scale, shift: none, y: scaled, positions: size, ...as });
    plan.prepare('affineForward', { x: bias, scale, shift, y: shifted, positions: 1, ...as });
    weight = scaled;
    bias = shifted;
  }
  return { weight, bias };
}
