/**
 * What importance and pruning share: which channels go together (a {@link ChannelGroup}, found by `pruning/groups.ts`),
 * what was measured of them, and what a criterion says of itself. It only scores; removing is the business of `pruning`.
 */
import type { RuledBy, Rules } from '../base/rules.ts';
import type { Network } from '../graph/network.ts';

/**
 * A run of a parameter's axis that belongs to a group: of each of `repeats` blocks of channels x width elements channel c
 * owns [c width, (c + 1) width); the first block begins at `first`. `elementOf` in slices.ts counts them.
 */
export interface ParameterSlice {
  readonly parameter: string;
  /**
   * 0: rows (filters, neurons, norm vectors); 1: columns (input channels of a convolution, inputs of a dense layer). A
   * constant may have them along any axis.
   */
  readonly axis: number;
  readonly first: number;
  readonly width: number;
  /** Absent: 1. More where a flatten had the channels last. */
  readonly repeats?: number;
}

/** An attribute of a node that is a number of elements, of which each channel has `span`. */
export interface ChannelCount {
  readonly node: string;
  readonly attribute: string;
  /** The element of it, if it is a list. */
  readonly index?: number;
  readonly span: number;
}

/** A node that reads the group's channels, by the columns of its weight. */
export interface Consumer extends ParameterSlice {
  readonly axis: 1;
  readonly node: string;
  /** The value that the node reads. Its elements along an axis are the columns of the weight. */
  readonly value: string;
  /** That axis, of a sample: the first for a convolution, the last for a dense layer. */
  readonly along: number;
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
   * (channels, span): per column of the weight that belongs to the channel (`spanOf`), over samples and positions: one for
   * a convolution, several for a dense layer behind a flatten.
   */
  readonly mean: ArrayLike<number>;
  /** (channels, channels), over samples and positions. */
  readonly covariance?: Float64Array;
  /** How many observations the covariance is of; left out: plenty. */
  readonly observations?: number;
}

/** What was measured at one consumer. */
export interface ConsumerStatistics extends ChannelMoments {
  readonly node: string;
  readonly mean: Float64Array;
  /** Standard deviations, in the layout of `mean`. */
  readonly deviation?: Float64Array;
  /** O: output channels of the consumer. */
  readonly outputs: number;
  /**
   * (channels, O): |Pearson correlation| of channel and output over samples, averaged over positions that share the
   * weight.
   */
  readonly correlation?: Float64Array;
}

/** First and second moment of the loss's gradient by one weight, over batches; both in the weight's layout. */
export interface GradientMoments {
  readonly mean: Float64Array;
  /** Mean of the squares. */
  readonly square: Float64Array;
}

/** What was measured at one producer, as far as it was asked for. */
export interface ProducerStatistics {
  readonly node: string;
  /** (channels): share of zeros, over samples and positions, of the value that the producer's nonlinearity yields. */
  readonly zeros?: Float64Array;
  /** Of the producer's weight; absent too where that is encoded, and so has no gradient by single weights. */
  readonly gradient?: GradientMoments;
}

export interface GroupStatistics {
  readonly channels: number;
  /** In the order of {@link ChannelGroup.producers}; may be left out where neither zeros nor gradients are measured. */
  readonly producers?: readonly ProducerStatistics[];
  /** In the order of {@link ChannelGroup.consumers}. */
  readonly consumers: readonly ConsumerStatistics[];
}

export interface ActivationStatistics {
  readonly samples: number;
  /** By group name. */
  readonly groups: ReadonlyMap<string, GroupStatistics>;
}

/**
 * What a criterion may want measured, beside the weights that it sees in the network: 'correlations' of channels with
 * the outputs of their consumers, 'deviations' (standard deviations of what consumers see), 'activity' (shares of
 * zeros), 'gradients' of the loss (which need labelled samples).
 */
export type Measurement = 'correlations' | 'deviations' | 'activity' | 'gradients';

/** One finite number per channel, larger = more important. `options` are as given by whoever asks. */
export type Scorer = (
  network: Network,
  group: ChannelGroup,
  statistics: ActivationStatistics | undefined,
  options: Readonly<Record<string, unknown>>,
) => Float64Array;

/** Taken from a method, as `score` is one, so that a criterion with certain options is one among criteria. */
type MeasuredBy<R extends Rules> = { by(options: RuledBy<R>): readonly Measurement[] }['by'];

/**
 * All that is true of a criterion: whoever measures for it, checks, documents or asks for its options reads it here.
 * One's own stands beside those of the table `CRITERIA`.
 */
export interface Criterion<R extends Rules = Rules> {
  readonly name: string;
  /** What has to be measured before it can score; a function where that depends on its options. */
  readonly measures: readonly Measurement[] | MeasuredBy<R>;
  /** Its own options. One named `seed` is that of the run unless it is given. */
  readonly options: R;
  readonly defaults: RuledBy<R>;
  /** A line of help for each option. */
  readonly words: { readonly [K in keyof R]: string };
  /** What an option is called on the command line, in camel case, where that is not its name. */
  readonly flags?: { readonly [K in keyof R]?: string };
  /** {@link Scorer} with every option decided; what `measures` says is in `statistics`. */
  score(
    network: Network,
    group: ChannelGroup,
    statistics: ActivationStatistics | undefined,
    options: RuledBy<R>,
  ): Float64Array;
}
