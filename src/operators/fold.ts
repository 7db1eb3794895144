/**
 * Folding of the maps per channel that follow a convolution or dense layer (batch normalization, affine) into its
 * weights and bias: no pass over the activations is left.
 */
import { cut } from './rules.ts';
import type { Plan } from './types.ts';

/**
 * Offsets of weights and bias with `plan.folded` multiplied in: W'[o] = scale[o] W[o], b'[o] = scale[o] b[o] +
 * shift[o], made in preparation; those of the parameters themselves (bias -1: none) where nothing follows. Weights are
 * [channels, size].
 *
 * Each product is rounded once, so a result differs from the unfolded one by at most (K + 4) 2^-24 |scale| (sum |w||x|
 * + |b|) + 2^-23 (|scale b| + |shift|) for sums of K products, beside the error that the product of either has by
 * itself.
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
  for (const { scale, shift } of plan.folded) {
    plan.prepare(
      'affineForward',
      cut(channels).map(([first, count]) => [
        weight + first * size,
        scale + first,
        none,
        scaled + first * size,
        1,
        count,
        size,
        0,
        none,
      ]),
    );
    plan.prepare('affineForward', [[bias, scale, shift, shifted, 1, channels, 1, 0, none]]);
    weight = scaled;
    bias = shifted;
  }
  return { weight, bias };
}
