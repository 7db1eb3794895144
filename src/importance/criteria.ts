/**
 * Importance criteria, a definition each: what it reads, its options, and one number per channel of a group, larger =
 * more important. The table at the end lists them; whoever measures, prunes, documents or offers options asks it.
 */
import { acos, square } from '../base/elementary.ts';
import { choice, integer } from '../base/rules.ts';
import type { Rule, Ruled, RuledBy } from '../base/rules.ts';
import { EspalierError, show } from '../base/errors.ts';
import { stream } from '../base/random.ts';
import { decode } from '../encodings/index.ts';
import { sizeOf } from '../base/tensor.ts';
import type { Network } from '../graph/network.ts';
import { weightedLayers } from '../network/shapes.ts';
import { connectionsOf, contributions } from './contribution.ts';
import { correlationMatrix } from './correlation.ts';
import { elementOf, spanOf } from './slices.ts';
import type { Consumer, Criterion } from './types.ts';

const NO_OPTIONS = {};

/** Whether a correlation, which knows no scale, is weighed with what the neuron contributes. */
const weighting = choice('contribution', 'none');

const ACTIVATION_CORRELATION_OPTIONS = { weighting };
/**
 * |Correlation| of a neuron's activation with those of the neurons that it feeds, averaged over all its connections (of a
 * convolution one per tap), times what it contributes: standard deviation times outgoing weights, as a share of what its
 * consumers hear. A constant neuron scores 0, the lowest. `weighting: 'none'`: the mean alone, which takes a neuron that its
 * consumers hardly listen to for as important as one that drives them. Source: Sun, Wang, Tang, "Sparsifying Neural
 * Network Connections for Face Recognition", CVPR 2016, for one connection; the mean over a neuron's connections and its
 * weight are ours. Measured in docs/method.md.
 */
export const activationCorrelation: Criterion<typeof ACTIVATION_CORRELATION_OPTIONS> = {
  name: 'activationCorrelation',
  measures: (options) => (options.weighting === 'none' ? ['correlations'] : ['correlations', 'deviations']),
  options: ACTIVATION_CORRELATION_OPTIONS,
  defaults: { weighting: 'contribution' },
  words: { weighting: 'what the correlation is multiplied by: deviation and outgoing weights, or nothing' },
  score(network, group, statistics, options) {
    const measured = statistics?.groups.get(group.name)?.consumers ?? [];
    const connections = group.consumers.map((consumer) => connectionsOf(network, consumer));
    const total = connections.reduce((sum, count) => sum + count, 0);
    const scores = new Float64Array(group.channels);
    measured.forEach(({ correlation = [], outputs }, i) => {
      for (let c = 0; c < group.channels; c++) {
        let sum = 0;
        for (let o = 0; o < outputs; o++) sum += correlation[c * outputs + o];
        scores[c] += (sum / outputs) * (connections[i] / total);
      }
    });
    if (options.weighting === 'none') return scores;
    const contributed = contributions(network, group, statistics);
    return scores.map((score, c) => score * contributed[c]);
  },
};

const CORRELATION_OPTIONS = { neighbours: integer(1), weighting };
const CORRELATION_WORDS = {
  neighbours: 'most correlated neurons that the mean is over',
  weighting: 'what is multiplied by: deviation and outgoing weights, or nothing',
};

/** Mean of the `count` largest, over `unit`; of none 0. @param ascending - sorted */
function meanOfLargest(ascending: Float32Array | Float64Array, count: number, unit = 1): number {
  let sum = 0;
  for (let i = 0; i < count; i++) sum += ascending[ascending.length - 1 - i] / unit;
  return count > 0 ? sum / count : 0;
}

/**
 * What a neuron contributes (standard deviation times outgoing weights, as a share of what its consumers hear) times
 * what of it is its own: 1 - mean |correlation| with its `neighbours` most correlated fellows among those that contribute
 * more (of equals, the lower index), the correlation being Pearson's of the weight vectors, seen behind a relu. So of
 * neurons that compute the same the strongest stays, and opposites, which a relu makes different, are not taken for the
 * same. A constant neuron scores 0; a constant weight vector correlates with none. Producers joined by an add are scored
 * apart and averaged. Cost: channels^2 / 2 x weights per neuron.
 *
 * `weighting: 'none'`: 1 - mean |r| over all fellows and nothing else, the form of published ideas, in [0, 1]. It is blind
 * to scale, so that its choice on the landmark network is worse than a draw (docs/method.md), and neurons that compute
 * the same, or the opposite, go together.
 *
 * Source: after Wang et al., "COP: Customized Deep Model Compression via Regularized Correlation-Based Filter-Level
 * Pruning", IJCAI 2019 (which correlates the next layer's columns).
 */
export const weightCorrelation: Criterion<typeof CORRELATION_OPTIONS> = {
  name: 'weightCorrelation',
  measures: (options) => (options.weighting === 'none' ? [] : ['deviations']),
  options: CORRELATION_OPTIONS,
  defaults: { neighbours: 1, weighting: 'contribution' },
  words: CORRELATION_WORDS,
  score(network, group, statistics, options) {
    const { channels, producers } = group;
    const contributed = options.weighting === 'none' ? undefined : contributions(network, group, statistics);
    const neighbours = Math.min(options.neighbours, channels - 1);
    const scores = new Float64Array(channels);
    for (const producer of producers) {
      const weights = weightsOf(network, producer);
      const columns = weights.length / channels;
      const correlations = correlationMatrix(weights, channels, columns);
      for (let c = 0; c < channels; c++) {
        if (weights.subarray(c * columns, (c + 1) * columns).every((w) => w === 0)) continue;
        const others = correlations.slice(c * channels, (c + 1) * channels).map((r, j) => {
          if (j === c) return 0; // At least 0 are all, and neighbours < channels: a neuron never counts as its own neighbour.
          if (!contributed) return Math.abs(r);
          const isStronger = contributed[j] > contributed[c] || (contributed[j] === contributed[c] && j < c);
          return isStronger ? Math.abs(behindRelu(r)) : 0;
        });
        others.sort();
        scores[c] += (1 - meanOfLargest(others, neighbours)) / producers.length;
      }
    }
    return contributed ? scores.map((score, c) => score * contributed[c]) : scores;
  },
};

/**
 * What a neuron contributes times what of it is its own: 1 - how redundant a channel is to those who read it: the columns by which consumers read two channels, correlated over
 * their outputs (Pearson, absolute, averaged over taps and columns of a flatten), over the largest of the group; of those the
 * mean of the `neighbours` largest. Several consumers are averaged. Cost: channels^2 / 2 x weights per channel.
 *
 * `weighting: 'none'`: the second factor alone, as published, in [0, 1]. It needs no data, and is as blind to scale as
 * `weightCorrelation` is without weighting (docs/method.md).
 *
 * Source: Wang et al., "COP: Customized Deep Model Compression via Regularized Correlation-Based Filter-Level Pruning", IJCAI
 * 2019, sections 3.1 and 3.2; its terms for cost, which only matter between groups, are `rankGlobally`'s.
 */
export const cop: Criterion<typeof CORRELATION_OPTIONS> = {
  name: 'cop',
  measures: (options) => (options.weighting === 'none' ? [] : ['deviations']),
  options: CORRELATION_OPTIONS,
  defaults: { neighbours: 3, weighting: 'contribution' },
  words: CORRELATION_WORDS,
  score(network, group, statistics, options) {
    const { channels, consumers } = group;
    const contributed = options.weighting === 'none' ? undefined : contributions(network, group, statistics);
    const neighbours = Math.min(options.neighbours, channels - 1);
    const scores = new Float64Array(channels);
    for (const consumer of consumers) {
      const correlations = readAlike(network, channels, consumer);
      const most = correlations.reduce((largest, r) => Math.max(largest, r), 0);
      for (let c = 0; c < channels; c++) {
        const others = correlations.slice(c * channels, (c + 1) * channels).sort();
        scores[c] += (1 - meanOfLargest(others, neighbours, most || 1)) / consumers.length;
      }
    }
    return contributed ? scores.map((score, c) => score * contributed[c]) : scores;
  },
};

/** |Correlation| over outputs of the columns by which a consumer reads two channels, mean over taps; 0 with itself. */
function readAlike(network: Network, channels: number, consumer: Consumer): Float64Array {
  const encoding = network.parameters.get(consumer.parameter);
  const [outputs, inputs, ...kernel] = encoding?.shape ?? [0, 0];
  const weights = encoding ? decode(encoding) : new Float32Array(0);
  const taps = sizeOf(kernel);
  const span = spanOf(consumer);
  const sums = new Float64Array(channels * channels);
  const rows = new Float64Array(channels * outputs);
  for (let s = 0; s < span; s++)
    for (let t = 0; t < taps; t++) {
      for (let c = 0; c < channels; c++) {
        const column = elementOf(consumer, channels, c, s);
        for (let o = 0; o < outputs; o++) rows[c * outputs + o] = weights[(o * inputs + column) * taps + t];
      }
      correlationMatrix(rows, channels, outputs).forEach((r, i) => {
        sums[i] += Math.abs(r) / (span * taps);
      });
    }
  for (let c = 0; c < channels; c++) sums[c * channels + c] = 0;
  return sums;
}

/**
 * What a correlation of two normal variables is behind a relu: 1 of copies, but -0.47 of opposites. Source: Cho, Saul,
 * "Kernel Methods for Deep Learning", NIPS 2009, the kernel of degree 1, less the means.
 */
function behindRelu(r: number): number {
  return (Math.sqrt(1 - square(r)) + r * (Math.PI - acos(r)) - 1) / (Math.PI - 1);
}

const MAGNITUDE_OPTIONS = { norm: choice('L1', 'L2') };
/**
 * Size of a neuron's incoming weights (biases apart), over all producers of the channel. Source: Li et al., "Pruning
 * Filters for Efficient ConvNets", ICLR 2017 (L1).
 */
export const magnitude: Criterion<typeof MAGNITUDE_OPTIONS> = {
  name: 'magnitude',
  measures: [],
  options: MAGNITUDE_OPTIONS,
  defaults: { norm: 'L1' },
  words: { norm: 'sum of absolute weights, or Euclidean length' },
  score(network, group, _statistics, { norm }) {
    const scores = new Float64Array(group.channels);
    for (const producer of group.producers) {
      const weights = weightsOf(network, producer);
      const columns = weights.length / group.channels;
      for (let c = 0; c < group.channels; c++) {
        for (let i = c * columns; i < (c + 1) * columns; i++)
          scores[c] += norm === 'L1' ? Math.abs(weights[i]) : square(weights[i]);
      }
    }
    return norm === 'L1' ? scores : scores.map(Math.sqrt);
  },
};

const RANDOM_OPTIONS = { seed: integer(0, Number.MAX_SAFE_INTEGER) };
/** Uniform in [0, 1): the baseline that every criterion has to beat. The same (seed, group) gives the same scores. */
export const random: Criterion<typeof RANDOM_OPTIONS> = {
  name: 'random',
  measures: [],
  options: RANDOM_OPTIONS,
  defaults: { seed: 0 },
  words: { seed: 'of the draw' },
  score(_network, group, _statistics, { seed }) {
    const draw = stream(seed, 'random importance', group.name);
    return Float64Array.from({ length: group.channels }, draw);
  },
};

/**
 * Sum of the Euclidean distances of a neuron's weight vector to those of all its fellows: one near the geometric median
 * of the layer is what the others can stand for. Producers joined by an add are scored apart and added. Cost: channels^2
 * / 2 x weights per neuron. Source: He et al., "Filter Pruning via Geometric Median for Deep Convolutional Neural
 * Networks Acceleration", CVPR 2019 (FPGM), its sum g(x) over the filters of the layer.
 */
export const geometricMedian: Criterion<typeof NO_OPTIONS> = {
  name: 'geometricMedian',
  measures: [],
  options: NO_OPTIONS,
  defaults: {},
  words: {},
  score(network, group) {
    const { channels } = group;
    const scores = new Float64Array(channels);
    for (const producer of group.producers) {
      const weights = weightsOf(network, producer);
      const columns = weights.length / channels;
      for (let i = 0; i < channels; i++) {
        for (let j = i + 1; j < channels; j++) {
          let squares = 0;
          for (let k = 0; k < columns; k++) squares += square(weights[i * columns + k] - weights[j * columns + k]);
          scores[i] += Math.sqrt(squares);
          scores[j] += Math.sqrt(squares);
        }
      }
    }
    return scores;
  },
};

/**
 * First-order estimate of how much the loss changes without the neuron: sum over its incoming weights w of (g w)^2, g
 * the gradient of the training loss, averaged over batches; producers joined by an add are added. Source: Molchanov et
 * al., "Importance Estimation for Neural Network Pruning", CVPR 2019, the first-order importance of single weights,
 * summed over a filter.
 */
export const taylor: Criterion<typeof NO_OPTIONS> = {
  name: 'taylor',
  measures: ['gradients'],
  options: NO_OPTIONS,
  defaults: {},
  words: {},
  score(network, group, statistics) {
    const scores = new Float64Array(group.channels);
    for (const { node, gradient } of statistics?.groups.get(group.name)?.producers ?? []) {
      const weights = weightsOf(network, node);
      const columns = weights.length / group.channels;
      for (let c = 0; c < group.channels; c++)
        for (let i = c * columns; i < (c + 1) * columns; i++)
          scores[c] += (gradient?.square[i] ?? 0) * square(weights[i]);
    }
    return scores;
  },
};

/**
 * 1 - the share of zeros of a neuron's activation, behind its nonlinearity, over samples and positions: a neuron that
 * hardly ever fires matters little. Of use behind a relu only; elsewhere all score 1. Producers joined by an add are
 * averaged. Source: Hu et al., "Network Trimming: A Data-Driven Neuron Pruning Approach towards Efficient Deep
 * Architectures", 2016 (APoZ).
 */
export const zeroFraction: Criterion<typeof NO_OPTIONS> = {
  name: 'zeroFraction',
  measures: ['activity'],
  options: NO_OPTIONS,
  defaults: {},
  words: {},
  score(_network, group, statistics) {
    const scores = new Float64Array(group.channels);
    for (const { zeros } of statistics?.groups.get(group.name)?.producers ?? [])
      for (let c = 0; c < group.channels; c++) scores[c] += (1 - (zeros?.[c] ?? 0)) / group.producers.length;
    return scores;
  },
};

/** The named criteria. */
export const CRITERIA = {
  activationCorrelation,
  weightCorrelation,
  cop,
  magnitude,
  random,
  geometricMedian,
  taylor,
  zeroFraction,
} as const satisfies Record<string, Criterion>;
export type CriterionName = keyof typeof CRITERIA;
/** Names of the table, in its order. */
export const CRITERION_NAMES = /* @__PURE__ */ Object.keys(CRITERIA) as readonly CriterionName[];

/** Options of a named criterion; what is left out is the default. */
export type CriterionOptions<K extends CriterionName> = Partial<RuledBy<(typeof CRITERIA)[K]['options']>>;

type AllRules = (typeof CRITERIA)[CriterionName]['options'];
type NamesIn<T> = T extends unknown ? keyof T : never;
type RuleIn<T, K extends PropertyKey> = T extends Readonly<Record<K, infer R extends Rule>> ? R : never;
/** Options of the named criteria together; each takes its own and refuses the others'. */
export type ScoreOptions = { readonly [K in NamesIn<AllRules>]?: Ruled<RuleIn<AllRules, K>> };

/** The weight of a producer, (channels, the rest). */
function weightsOf(network: Network, producer: string): Float32Array {
  const parameter = weightedLayers(network).find(({ name }) => name === producer)?.weight;
  const encoding = parameter === undefined ? undefined : network.parameters.get(parameter);
  if (!encoding)
    throw new EspalierError(
      'GRAPH',
      `score: network: expected a node ${show(producer)} with a weight; take the group from findGroups of the same network`,
      { name: producer },
    );
  return decode(encoding);
}
