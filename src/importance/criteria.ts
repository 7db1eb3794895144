/**
 * Importance criteria: one number per channel of a group, larger = more important. They only score; any of them goes
 * with any removal, and a user's own function of the same form stands beside them.
 */
import { decode } from '../encodings/index.ts';
import { checkFinite, checkInteger, checkOneOf, EspalierError, show } from '../base/errors.ts';
import type { Network } from '../graph/network.ts';
import { stream } from '../base/random.ts';
import { correlationMatrix } from './correlation.ts';
import type { ActivationStatistics, ChannelGroup, ScoreOptions, Scorer } from './types.ts';

/**
 * |Correlation| of a neuron's activation with those of the neurons that it feeds, averaged over all its connections. A
 * constant neuron scores 0, the lowest. Source: Sun, Wang, Tang, "Sparsifying Neural Network Connections for Face
 * Recognition", CVPR 2016, for one connection; the mean over a neuron's connections is ours.
 */
export function activationCorrelation(
  _network: Network,
  group: ChannelGroup,
  statistics?: ActivationStatistics,
): Float64Array {
  const measured = statistics?.groups.get(group.name);
  if (!measured || measured.consumers.some((consumer) => !consumer.correlation)) {
    throw new TypeError(
      `activationCorrelation: statistics: expected correlations of group ${show(group.name)}, got none; measure them with measureActivations`,
    );
  }
  const scores = new Float64Array(group.channels);
  const connections = measured.consumers.reduce((sum, consumer) => sum + consumer.outputs, 0);
  for (const { correlation = [], outputs } of measured.consumers) {
    for (let c = 0; c < group.channels; c++) {
      let sum = 0;
      for (let o = 0; o < outputs; o++) sum += correlation[c * outputs + o];
      scores[c] += sum / connections;
    }
  }
  return scores;
}

/**
 * 1 - mean |Pearson correlation| of a neuron's weight vector with those of its `neighbours` most correlated fellows:
 * what others nearly compute is redundant. In [0, 1]; a neuron with all weights zero scores 0. A constant weight vector
 * correlates with none. Producers joined by an add are scored apart and averaged. Cost: channels^2 / 2 x weights per
 * neuron. Source: after Wang et al., "COP: Customized Deep Model Compression via Regularized Correlation-Based
 * Filter-Level Pruning", IJCAI 2019 (which correlates the next layer's columns).
 */
export function weightCorrelation(
  network: Network,
  group: ChannelGroup,
  _statistics?: ActivationStatistics,
  options: ScoreOptions = {},
): Float64Array {
  const neighbours = Math.min(
    checkInteger('weightCorrelation', 'neighbours', options.neighbours ?? 3, 1),
    group.channels - 1,
  );
  const scores = new Float64Array(group.channels);
  for (const producer of group.producers) {
    const weights = weightsOf(network, producer);
    const columns = weights.length / group.channels;
    const correlations = correlationMatrix(weights, group.channels, columns);
    for (let c = 0; c < group.channels; c++) {
      if (weights.subarray(c * columns, (c + 1) * columns).every((w) => w === 0)) continue;
      const others = correlations.slice(c * group.channels, (c + 1) * group.channels).map(Math.abs);
      others[c] = 0; // Absolute values are at least 0 and neighbours < channels, so a neuron never counts as its own neighbour.
      others.sort();
      let sum = 0;
      for (let i = 0; i < neighbours; i++) sum += others[group.channels - 1 - i];
      scores[c] += (1 - (neighbours > 0 ? sum / neighbours : 0)) / group.producers.length;
    }
  }
  return scores;
}

/**
 * Size of a neuron's incoming weights (biases apart), over all producers of the channel. Source: Li et al., "Pruning
 * Filters for Efficient ConvNets", ICLR 2017 (L1).
 */
export function magnitude(
  network: Network,
  group: ChannelGroup,
  _statistics?: ActivationStatistics,
  options: ScoreOptions = {},
): Float64Array {
  const norm = checkOneOf('magnitude', 'norm', options.norm ?? 'L1', ['L1', 'L2']);
  const scores = new Float64Array(group.channels);
  for (const producer of group.producers) {
    const weights = weightsOf(network, producer);
    const columns = weights.length / group.channels;
    for (let c = 0; c < group.channels; c++) {
      for (let i = c * columns; i < (c + 1) * columns; i++)
        scores[c] += norm === 'L1' ? Math.abs(weights[i]) : weights[i] ** 2;
    }
  }
  return norm === 'L1' ? scores : scores.map(Math.sqrt);
}

/** Uniform in [0, 1): the baseline that every criterion has to beat. The same (seed, group) gives the same scores. */
export function random(
  _network: Network,
  group: ChannelGroup,
  _statistics?: ActivationStatistics,
  options: ScoreOptions = {},
): Float64Array {
  const draw = stream(options.seed ?? 0, 'random importance', group.name);
  return Float64Array.from({ length: group.channels }, draw);
}

/** The named criteria, and whether they read measured correlations. */
export const CRITERIA = {
  activationCorrelation: { score: activationCorrelation, measures: true },
  weightCorrelation: { score: weightCorrelation, measures: false },
  magnitude: { score: magnitude, measures: false },
  random: { score: random, measures: false },
} as const satisfies Record<string, { score: Scorer; measures: boolean }>;
export type CriterionName = keyof typeof CRITERIA;
export const CRITERION_NAMES = Object.keys(CRITERIA) as readonly CriterionName[];

/**
 * Scores the channels of a group by a named criterion or by a function of the same form.
 * @throws {EspalierError} NONFINITE if a score is not a number: a ranking of such would mean nothing
 * @throws {RangeError} if there is not one score per channel
 * @example
 * import { score } from 'espalier/importance';
 * const scores = score('magnitude', network, group);
 */
export function score(
  criterion: CriterionName | Scorer,
  network: Network,
  group: ChannelGroup,
  statistics?: ActivationStatistics,
  options: ScoreOptions = {},
): Float64Array {
  const scorer: Scorer =
    typeof criterion === 'function'
      ? criterion
      : CRITERIA[checkOneOf('score', 'criterion', criterion, CRITERION_NAMES)].score;
  const scores: unknown = scorer(network, group, statistics, options);
  if (!(scores instanceof Float64Array))
    throw new TypeError(`score: criterion: expected it to return a Float64Array, got ${show(scores)}`);
  if (scores.length !== group.channels)
    throw new RangeError(
      `score: criterion: expected ${group.channels} scores for group ${show(group.name)}, got ${scores.length}`,
    );
  checkFinite('score', `scores of group ${show(group.name)}`, scores);
  return scores;
}

function weightsOf(network: Network, producer: string): Float32Array {
  const parameter = network.nodes.find((node) => node.name === producer)?.parameters.weight;
  const encoding = parameter === undefined ? undefined : network.parameters.get(parameter);
  if (!encoding)
    throw new EspalierError(
      'GRAPH',
      `score: network: expected a conv or dense node ${show(producer)} with a weight; take the group from findGroups of the same network`,
      { name: producer },
    );
  return decode(encoding);
}
