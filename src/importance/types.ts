/**
 * What importance and pruning share: which channels go together (a {@link ChannelGroup}, found by `pruning/groups.ts`),
 * what was measured of them, and the shape of a scorer. A scorer only scores; removing is the business of `pruning`.
 */
import type { Network } from '../graph/network.ts';

/**
 * A run of a parameter's axis that belongs to a group: channel c owns elements [first + c width, first + (c + 1)
 * width).
 */
export interface ParameterSlice {
  readonly parameter: string;
  /**
   * 0: rows (filters, neurons, norm vectors); 1: columns (input channels of a convolution, inputs of a dense layer).
   */
  readonly axis: 0 | 1;
  readonly first: number;
  readonly width: number;
}

/** An attribute of a node that is the number of channels. */
export interface ChannelCount {
  readonly node: string;
  readonly attribute: string;
}

/** A node that reads the group's channels, by the columns of its weight. */
export interface Consumer extends ParameterSlice {
  readonly axis: 1;
  readonly node: string;
  /**
   * The value that the node reads. There channel c of the group is channel first + c where the weight has taps (a
   * convolution), else elements [first + c width, first + (c + 1) width).
   */
  readonly value: string;
}

/** Channels that can only be removed together: those of one conv or dense node, or of several that an add joins. */
export interface ChannelGroup {
  /** Name of the first producer. */
  readonly name: string;
  readonly channels: number;
  /** conv and dense nodes whose output channels these are, in topological order. */
  readonly producers: readonly string[];
  /**
   * Everything that is cut along its rows: producers' weights and biases, norm and affine vectors, depthwise filters
   * and biases.
   */
  readonly rows: readonly ParameterSlice[];
  /** Attributes that are the number of the channels: `groups` of the depthwise convolutions on the way. */
  readonly counts: readonly ChannelCount[];
  /** In topological order; a node stands here once for each place where it reads the channels. */
  readonly consumers: readonly Consumer[];
  readonly prunable: boolean;
  /** Why not, naming the node or parameter. */
  readonly reason?: string;
}

/** Moments of the channels as one consumer sees them. */
export interface ChannelMoments {
  /**
   * (channels, width): per channel over samples and positions for a convolution (width 1), per input column for a dense
   * layer.
   */
  readonly mean: ArrayLike<number>;
  /** (channels, channels), over samples and positions. */
  readonly covariance?: Float64Array;
}

/** What was measured at one consumer. */
export interface ConsumerStatistics extends ChannelMoments {
  readonly node: string;
  readonly mean: Float64Array;
  /** O: output channels of the consumer. */
  readonly outputs: number;
  /**
   * (channels, O): |Pearson correlation| of channel and output over samples, averaged over positions that share the
   * weight.
   */
  readonly correlation?: Float64Array;
}

export interface GroupStatistics {
  readonly channels: number;
  /** In the order of {@link ChannelGroup.consumers}. */
  readonly consumers: readonly ConsumerStatistics[];
}

export interface ActivationStatistics {
  readonly samples: number;
  /** By group name. */
  readonly groups: ReadonlyMap<string, GroupStatistics>;
}

/** Options of the built-in criteria; each reads its own. */
export interface ScoreOptions {
  /** magnitude: sum of absolute weights, or Euclidean length. Default 'L1'. */
  norm?: 'L1' | 'L2';
  /** weightCorrelation: over how many of the most correlated neurons to average. Default 3 (COP). */
  neighbours?: number;
  /** random. Default 0. */
  seed?: number;
}

/** One number per channel, larger = more important. */
export type Scorer = (
  network: Network,
  group: ChannelGroup,
  statistics: ActivationStatistics | undefined,
  options: ScoreOptions,
) => Float64Array;
