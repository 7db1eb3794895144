/** Batch normalization folded into the convolution before it, as converters of trained models do. */
import type { NodeOf } from 'espalier/operators';
import type { Exchanged } from '../exchange.ts';

/** Weights and bias of the convolution that does what this one and the batch normalization behind it do. */
export function folded(
  filter: Float32Array,
  bias: Float32Array,
  norm: NodeOf<'batchNorm'> | undefined,
  weights: Exchanged['weights'],
): { filter: Float32Array; bias: Float32Array } {
  if (!norm) return { filter, bias };
  const [scale, shift, mean, variance] = (['scale', 'shift', 'mean', 'variance'] as const).map((role) =>
    weights(norm.parameters[role]!),
  );
  const factors = scale.map((value, i) => value / Math.sqrt(variance[i] + norm.attributes.epsilon));
  const size = filter.length / bias.length;
  return {
    filter: filter.map((value, i) => value * factors[Math.floor(i / size)]),
    bias: bias.map((value, i) => (value - mean[i]) * factors[i] + shift[i]),
  };
}
