/**
 * How much of what its consumers hear comes from a channel: from the spread of what they see and the weights by which
 * they read it, all taps of a kernel. Blind to what changes no function, which is a neuron scaled up and its outgoing
 * weights down, here and in the consumers.
 */
import { square } from '../base/elementary.ts';
import { EspalierError, show } from '../base/errors.ts';
import { sizeOf } from '../base/tensor.ts';
import { decode } from '../encodings/index.ts';
import type { Encoding } from '../encodings/types.ts';
import type { Network } from '../graph/network.ts';
import { elementOf, spanOf } from './slices.ts';
import type { ActivationStatistics, ChannelGroup, Consumer } from './types.ts';

/**
 * Squares of the weights by which a consumer reads each column of a group's channels, in units of what the output hears
 * (the sum over all of them of squared weight times variance), summed over outputs and taps: (channels, span).
 * @param variance - of the columns, (channels, span)
 */
export function outgoingSquares(
  network: Pick<Network, 'parameters'>,
  consumer: Consumer,
  variance: ArrayLike<number>,
): Float64Array {
  const encoding = weightOf(network, consumer);
  const weights = decode(encoding);
  const [outputs, inputs, ...kernel] = encoding.shape;
  const taps = sizeOf(kernel);
  const squares = new Float64Array(variance.length);
  const own = new Float64Array(variance.length);
  const span = spanOf(consumer);
  const columns = Array.from(own, (_, j) => elementOf(consumer, own.length / span, Math.floor(j / span), j % span));
  for (let o = 0; o < outputs; o++) {
    own.fill(0);
    columns.forEach((column, j) => {
      const first = (o * inputs + column) * taps;
      for (let t = first; t < first + taps; t++) own[j] += square(weights[t]);
    });
    const heard = own.reduce((sum, square, j) => sum + square * variance[j], 0);
    if (heard > 0) for (let j = 0; j < own.length; j++) squares[j] += own[j] / heard;
  }
  return squares;
}

/** Number of weights by which a consumer reads one channel: over its outputs, its taps and the channel's columns. */
export function connectionsOf(network: Network, consumer: Consumer): number {
  const [outputs, , ...kernel] = weightOf(network, consumer).shape;
  return outputs * sizeOf(kernel) * spanOf(consumer);
}

/**
 * What each channel contributes: the root of the share that it has in the variance of what an output of its consumers
 * hears from the group, as if channels were uncorrelated, on average over outputs. Of one output: standard deviation
 * times outgoing weight, over the Euclidean length of all of these. 0 for a channel that is constant or not read.
 * @param statistics - with `deviations`
 */
export function contributions(
  network: Network,
  group: ChannelGroup,
  statistics: ActivationStatistics | undefined,
): Float64Array {
  const shares = new Float64Array(group.channels);
  const measured = statistics?.groups.get(group.name)?.consumers ?? [];
  const outputs = group.consumers.reduce((sum, consumer) => sum + weightOf(network, consumer).shape[0], 0);
  group.consumers.forEach((consumer, i) => {
    const variance = (measured[i].deviation ?? new Float64Array(group.channels * spanOf(consumer))).map((d) =>
      square(d),
    );
    outgoingSquares(network, consumer, variance).forEach((square, j) => {
      shares[Math.floor(j / spanOf(consumer))] += (variance[j] * square) / outputs;
    });
  });
  return shares.map(Math.sqrt);
}

function weightOf(network: Pick<Network, 'parameters'>, { node, parameter }: Consumer): Encoding {
  const encoding = network.parameters.get(parameter);
  if (encoding) return encoding;
  throw new EspalierError(
    'GRAPH',
    `score: network: expected the weight ${show(parameter)} of the consumer ${show(node)}; take the group from findGroups of the same network`,
    { name: parameter },
  );
}
