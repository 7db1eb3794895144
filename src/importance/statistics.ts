/**
 * Activation statistics: what the consumers of each channel group see, and how it correlates with what they make of it;
 * on demand how often its producers yield zero, and how the loss depends on their weights.
 *
 * Reading of Sun, Wang, Tang (CVPR 2016) that is taken here: b is the value that the consumer reads (after
 * nonlinearity, pooling, ...), a the consumer's output after its own nonlinearity. A convolution's weight is shared by
 * all positions: its correlation is the mean of |r| over pairs (output position m, tap), each r over samples; so many
 * pairs (`positions`) are drawn of all that lie inside the image. A channel that a flatten spreads over several inputs
 * of a dense layer has one r per input and position along the axes before the last; the same number of them is drawn.
 */
import { checkInputs, checkNetwork } from '../graph/check.ts';
import { createRunControl } from '../base/control.ts';
import { square } from '../base/elementary.ts';
import { checkInteger, EspalierError, show } from '../base/errors.ts';
import { ownOptions } from '../base/rules.ts';
import { createExecutor } from '../execution/executor.ts';
import type { Executor } from '../execution/types.ts';
import { resolveContext } from '../graph/context.ts';
import type { GivenContext } from '../graph/context.ts';
import type { Network, Node } from '../graph/network.ts';
import { outputsOf } from '../graph/walk.ts';
import { weightedLayers } from '../network/shapes.ts';
import { couplingOf, operatorOf } from '../operators/table.ts';
import type { Pointwise, Tap } from '../operators/types.ts';
import { below, permutation, stream } from '../base/random.ts';
import type { Stream } from '../base/random.ts';
import { sizeOf } from '../base/tensor.ts';
import type { FloatArray, Shape } from '../base/tensor.ts';
import type { Context } from '../graph/transform.ts';
import { defaultLoss } from '../losses/losses.ts';
import type { Loss } from '../losses/losses.ts';
import { elementOf, spanOf } from './slices.ts';
import { covarianceMatrix, rowProducts, standardizeRows } from './correlation.ts';
import { measureGradients } from './gradients.ts';
import { readSamples } from './samples.ts';
import type {
  ActivationStatistics,
  ChannelGroup,
  Consumer,
  ConsumerStatistics,
  GradientMoments,
  GroupStatistics,
  Measurement,
  ProducerStatistics,
} from './types.ts';

/** What of a context measuring needs. */
export type MeasureContext = Pick<Context, 'kernels' | 'threads' | 'seed' | 'training' | 'signal'>;

/** The measurements default to those that the default criterion reads. */
export interface MeasureOptions extends Partial<Record<Measurement, boolean>> {
  /** Samples drawn from the training set, by the context's seed; all of them if there are fewer. Default 512. */
  samples?: number;
  /** Samples per pass; gradients are taken of the mean loss of so many. Default 32. */
  batch?: number;
  /**
   * Pairs of positions per consumer, and positions per sample for the covariance. Default: as many as fill 16384 numbers
   * of a consumer's channels and outputs, from 16 to 256, so that layers of few channels and many positions, where two
   * seeds otherwise choose differently, get more and none takes more memory than the widest (docs/method.md).
   */
  positions?: number;
  /** Measure correlations with the consumers' outputs. Default true. */
  correlations?: boolean;
  /** Measure the share of zeros behind each producer's nonlinearity. Default false. */
  activity?: boolean;
  /** Measure moments of the gradient of `loss` by the producers' weights; needs labels. Default false. */
  gradients?: boolean;
  /** For `gradients`. Default: the loss that training takes for the network's task. */
  loss?: Loss;
  /** Measure standard deviations of what the consumers see, over samples and all positions. Default true. */
  deviations?: boolean;
  /** Measure covariances between channels, as least-squares repair wants them. Default false. */
  covariances?: boolean;
}

/**
 * One consumer of one group, and what is collected at it. Each channel has `span` columns of the weight, and each of these
 * an element at every one of `positions` of the value that is read: `places` (channels, span, positions).
 */
interface Probe {
  readonly node: string;
  readonly group: ChannelGroup;
  readonly value: string;
  readonly span: number;
  readonly positions: number;
  readonly places: Int32Array;
  /** Value with the consumer's activation: O channels along an axis. */
  readonly output: string;
  readonly outputs: number;
  readonly outputAxis: Axis;
  /** Elements (of b, of its span and positions; of a, of its positions) whose correlation is taken. */
  readonly pairs: readonly (readonly [number, number])[];
  /** (channels, span), sums over samples and positions. */
  readonly sums: Float64Array;
  /** In the layout of `sums`, where deviations are wanted. */
  readonly spreads?: Spreads;
  /** By position: (channels, samples), and (O, samples). */
  readonly seen: ReadonlyMap<number, Float32Array>;
  readonly made: ReadonlyMap<number, Float32Array>;
  /** (channels, samples x spreadCount) for the covariance; empty if not wanted. */
  readonly spread: Float32Array;
  readonly spreadCount: number;
}

/** An axis of a sample: elements behind it, and its side. */
interface Axis {
  readonly side: number;
  readonly inner: number;
}
const axisOf = (shape: Shape, axis: number): Axis => ({ side: shape[axis] ?? 1, inner: sizeOf(shape.slice(axis + 1)) });
/** Place of what stands at `place` along an axis, at the p-th position along the others. */
const placeAt = ({ side, inner }: Axis, place: number, p: number): number =>
  (Math.floor(p / inner) * side + place) * inner + (p % inner);

/** Sums and sums of squares of observations minus the first one, so that a large mean cancels nothing. */
interface Spreads {
  readonly origin: Float64Array;
  readonly sums: Float64Array;
  readonly squares: Float64Array;
}

/**
 * Runs the network over training samples and measures the given groups at every consumer: means, and on demand
 * correlations, deviations and covariances; and on demand at every producer: shares of zeros and gradients. The same seed gives the
 * same samples and positions. Memory: samples x positions x (channels + outputs) x 4 bytes per consumer, 16 bytes per
 * weight for gradients; time: the passes, and per consumer samples x positions x channels x outputs multiply-adds in
 * double.
 *
 * @param givenContext - kernels (default: loaded), threads, seed, training set, abort signal
 * @throws {EspalierError} DATA if there is no training set, it is empty, has one sample where correlations are wanted,
 *   no labels where gradients are, or an input or activation is not finite (node named)
 * @example
 * import { measureActivations, score } from 'espalier/importance';
 * import { findGroups } from 'espalier/pruning';
 * const [group] = findGroups(network);
 * const scores = score('activationCorrelation', network, group, await measureActivations(network, [group], context));
 */
export async function measureActivations(
  network: Network,
  groups: readonly ChannelGroup[],
  givenContext: GivenContext<MeasureContext>,
  given: MeasureOptions = {},
): Promise<ActivationStatistics> {
  const who = 'measureActivations';
  checkNetwork(who, 'network', network);
  const context = await resolveContext<MeasureContext>(who, givenContext);
  const options = ownOptions(who, 'options', given, [
    'samples',
    'batch',
    'positions',
    'correlations',
    'activity',
    'gradients',
    'loss',
    'covariances',
    'deviations',
  ]);
  const wanted = checkInteger(who, 'samples', options.samples ?? 512, 1);
  const batch = checkInteger(who, 'batch', options.batch ?? 32, 1);
  const positions = options.positions === undefined ? undefined : checkInteger(who, 'positions', options.positions, 1);
  const { correlations = true, deviations = true, covariances = false, activity = false, gradients = false } = options;
  const { training, seed, kernels, threads } = context;
  const control = createRunControl(context.signal ? { signal: context.signal } : {});
  if (!training || training.count === 0) {
    throw new EspalierError(
      'DATA',
      `${who}: context.training: expected samples to measure on, got ${training ? 'an empty set' : 'none'}; give a training set, or choose a criterion that reads weights only and fold nothing`,
    );
  }
  if (network.inputs.length !== 1)
    throw new EspalierError('UNSUPPORTED', `${who}: network: expected one input, got ${network.inputs.length}`);
  checkInputs(who, 'context.training', training, network.inputs[0].shape);
  const samples = Math.min(wanted, training.count);
  if (samples < 2 && (correlations || deviations || covariances))
    throw new EspalierError(
      'DATA',
      `${who}: context.training: expected at least 2 samples, got 1: one sample has no correlation`,
    );
  const order = permutation(stream(seed, 'activation samples'), training.count).slice(0, samples);
  const indices = order.slice().sort();
  // First, since it refuses sets without labels.
  const moments = gradients
    ? await measureGradients(
        network,
        [...new Set(groups.flatMap(({ producers }) => producers.flatMap((name) => weightOf(network, name) ?? [])))],
        context,
        { who, order, batch: Math.min(batch, samples), loss: options.loss ?? defaultLoss(network) },
      )
    : undefined;

  const watch = new Set(
    groups.flatMap((group) => [
      ...group.consumers.flatMap((consumer) => [consumer.value, activationOf(network, consumer.node)]),
      ...(activity ? group.producers.map((producer) => channelsOf(network, producer)) : []),
    ]),
  );
  const executor = await createExecutor(network, {
    batch: Math.min(batch, samples),
    kernels,
    threads,
    watch: [...watch],
  });
  try {
    const probes = groups.map((group) =>
      group.consumers.map((consumer) =>
        probeOf(network, group, consumer, executor, {
          samples,
          positions,
          seed,
          correlations,
          deviations,
          covariances,
        }),
      ),
    );
    const counters = activity
      ? groups.map((group) => group.producers.map((name) => counterOf(network, group, name, executor)))
      : [];
    for (let first = 0; first < samples; first += executor.batch) {
      await control.pause();
      const some = indices.subarray(first, Math.min(first + executor.batch, samples));
      executor.input().set((await readSamples(who, training, some, false, control)).inputs);
      executor.forward();
      for (const probe of probes.flat())
        for (let i = 0; i < some.length; i++) collect(probe, executor, i, first + i, samples, some[i], seed);
      for (const counter of counters.flat()) countZeros(counter, executor, some.length);
    }
    return {
      samples,
      groups: new Map(
        groups.map((group, g): [string, GroupStatistics] => [
          group.name,
          {
            channels: group.channels,
            producers: group.producers.map((name, p) =>
              producerStatistics(network, name, samples, counters[g]?.[p], moments),
            ),
            consumers: probes[g].map((probe) => summarize(probe, samples)),
          },
        ]),
      ),
    };
  } finally {
    executor.dispose();
  }
}

/** Zeros of one producer's channels: (channels) counts, in `positions` a sample. */
interface Counter {
  readonly value: string;
  readonly axis: Axis;
  readonly positions: number;
  readonly counts: Float64Array;
}

function counterOf(network: Network, { channels }: ChannelGroup, producer: string, executor: Executor): Counter {
  const value = channelsOf(network, producer);
  const shape = executor.shapeOf(value);
  const axis = axisOf(shape, neuronAxis(nodeOf(network, producer), shape));
  return { value, axis, positions: sizeOf(shape) / channels, counts: new Float64Array(channels) };
}

/** Takes the first `rows` of the batch in. */
function countZeros({ value, axis, positions, counts }: Counter, executor: Executor, rows: number): void {
  for (let i = 0; i < rows; i++) {
    const row = rowOf(executor, value, i);
    for (let c = 0; c < counts.length; c++)
      for (let p = 0; p < positions; p++) if (row[placeAt(axis, c, p)] === 0) counts[c]++;
  }
}

function producerStatistics(
  network: Network,
  node: string,
  samples: number,
  counter: Counter | undefined,
  moments: ReadonlyMap<string, GradientMoments> | undefined,
): ProducerStatistics {
  const gradient = moments?.get(weightOf(network, node) ?? '');
  return {
    node,
    ...(counter ? { zeros: counter.counts.map((count) => count / (samples * counter.positions)) } : {}),
    ...(gradient ? { gradient } : {}),
  };
}

/** Name of a node's weight. */
function weightOf(network: Network, node: string): string | undefined {
  return weightedLayers(network).find(({ name }) => name === node)?.weight;
}

interface ProbeSettings {
  readonly samples: number;
  readonly positions: number | undefined;
  readonly seed: number;
  readonly correlations: boolean;
  readonly deviations: boolean;
  readonly covariances: boolean;
}

function probeOf(
  network: Network,
  group: ChannelGroup,
  consumer: Consumer,
  executor: Executor,
  settings: ProbeSettings,
): Probe {
  const { samples, seed, correlations, deviations, covariances } = settings;
  const node = nodeOf(network, consumer.node);
  const shape = executor.shapeOf(consumer.value);
  const output = activationOf(network, consumer.node);
  const outputShape = executor.shapeOf(output);
  const outputAxis = axisOf(outputShape, neuronAxis(node, outputShape));
  const outputs = outputAxis.side;
  const { positions: wanted = defaultPositions(group.channels + outputs) } = settings;
  const weight = network.parameters.get(consumer.parameter)?.shape ?? [];
  // Over positions that share the weight, or element by element.
  const taps = couplingOf(node).taps?.(node, weight, shape, outputShape);
  const axis = axisOf(shape, consumer.along);
  const span = spanOf(consumer);
  const positions = sizeOf(shape) / axis.side;
  const elements = span * positions;
  const places = Int32Array.from({ length: group.channels * elements }, (_, i) => {
    const [c, s] = [Math.floor(i / elements), Math.floor((i % elements) / positions)];
    return placeAt(axis, elementOf(consumer, group.channels, c, s), i % positions);
  });
  const column = (): Float64Array => new Float64Array(group.channels * span);
  const draw = stream(seed, 'activation positions', group.name, consumer.node, consumer.first);
  const pairs = !correlations
    ? []
    : taps
      ? tapPairs(taps, shape.slice(1), outputShape.slice(1), wanted, draw).map(
          ([p, m]) => [span > 1 ? below(draw, span) * positions + p : p, m] as const,
        )
      : choose(draw, elements, wanted).map(
          (i) => [i, outputPosition(i % positions, positions, outputShape, outputs)] as const,
        );
  const matrices = (rows: number, which: readonly number[]): Map<number, Float32Array> =>
    new Map([...new Set(which)].map((p) => [p, new Float32Array(rows * samples)]));
  const spreadCount = covariances ? Math.min(wanted, elements) : 0;
  return {
    node: consumer.node,
    group,
    value: consumer.value,
    ...{ span, positions, places },
    ...{ output, outputs, outputAxis, pairs },
    sums: column(),
    ...(deviations ? { spreads: { origin: column(), sums: column(), squares: column() } } : {}),
    seen: matrices(
      group.channels,
      pairs.map(([p]) => p),
    ),
    made: matrices(
      outputs,
      pairs.map(([, m]) => m),
    ),
    spread: new Float32Array(group.channels * samples * spreadCount),
    spreadCount,
  };
}

/** The axis of what a node with a weight yields along which its neurons lie. */
const neuronAxis = (node: Node, shape: Shape): number =>
  couplingOf(node).neuronsAlong === 'last' ? Math.max(0, shape.length - 1) : 0;

/** The position of the output that belongs to one of the input: its own where they are as many, else the nearest share. */
const outputPosition = (p: number, positions: number, shape: Shape, outputs: number): number =>
  Math.floor((p * sizeOf(shape)) / outputs / positions);

/** See {@link MeasureOptions}. */
function defaultPositions(rows: number): number {
  return Math.min(256, Math.max(16, Math.floor(16384 / rows)));
}

/** What a producer's channels become: its activation, also where that is of a sum that it goes into first. */
function channelsOf(network: Network, producer: string): string {
  return activationOf(network, producer, ['map', 'join']);
}

/** The consumer's activation: its output, or that of the norm and nonlinearity that alone read it. */
function activationOf(network: Network, name: string, through: readonly Pointwise[] = ['map']): string {
  let [value] = outputsOf(nodeOf(network, name));
  for (;;) {
    const readers = network.nodes.filter((node) => node.inputs.includes(value));
    if (readers.length !== 1 || network.outputs.includes(value)) return value;
    const { pointwise } = operatorOf(readers[0]);
    if (pointwise === 'nonlinearity') return outputsOf(readers[0])[0];
    if (pointwise === undefined || !through.includes(pointwise)) return value;
    [value] = outputsOf(readers[0]);
  }
}

/**
 * Pairs (input position, output position) that a weight with taps joins, each pair inside the image, drawn evenly from all
 * of them.
 */
function tapPairs(
  taps: readonly Tap[],
  inputSides: Shape,
  outputSides: Shape,
  count: number,
  draw: Stream,
): [number, number][] {
  const counts = taps.map((axes) => sizeOf(axes.map((axis) => axis.count)));
  const total = counts.reduce((sum, one) => sum + one, 0);
  return choose(draw, total, count).map((chosen) => {
    let rest = chosen;
    let at = 0;
    while (rest >= counts[at]) rest -= counts[at++];
    const axes = taps[at];
    let [from, to] = [0, 0];
    axes.forEach(({ count: along, input, output }, axis) => {
      const place = Math.floor(rest / sizeOf(axes.slice(axis + 1).map((one) => one.count))) % along;
      from = from * inputSides[axis] + input.first + place * input.step;
      to = to * outputSides[axis] + output.first + place * output.step;
    });
    return [from, to];
  });
}

/** All of [0, total), or `count` different ones of it, ascending. */
function choose(draw: Stream, total: number, count: number): number[] {
  if (total <= count) return Array.from({ length: total }, (_, i) => i);
  const chosen = new Set<number>();
  while (chosen.size < count) chosen.add(below(draw, total));
  return [...chosen].sort((a, b) => a - b);
}

/** Takes sample `row` of the batch in as observation `at`. */
function collect(
  probe: Probe,
  executor: Executor,
  row: number,
  at: number,
  samples: number,
  sample: number,
  seed: number,
): void {
  const {
    group: { channels },
    span,
    positions,
    places,
    sums,
    spreads,
    outputs,
    outputAxis,
    spreadCount,
  } = probe;
  const seen = rowOf(executor, probe.value, row);
  const elements = span * positions;
  for (let j = 0; j < channels * span; j++) {
    const own = places.subarray(j * positions, (j + 1) * positions);
    let sum = 0;
    for (const place of own) sum += seen[place];
    if (!Number.isFinite(sum))
      throw notFinite(
        probe.value,
        Array.from(own, (place) => seen[place]),
        sample,
      );
    sums[j] += sum;
    if (spreads) addSpread(spreads, seen, own, j, at);
  }
  for (const [p, matrix] of probe.seen)
    for (let c = 0; c < channels; c++) matrix[c * samples + at] = seen[places[c * elements + p]];
  if (probe.made.size > 0) {
    const made = rowOf(executor, probe.output, row);
    for (const [m, matrix] of probe.made) {
      for (let o = 0; o < outputs; o++) {
        const value = made[placeAt(outputAxis, o, m)];
        if (!Number.isFinite(value)) throw notFinite(probe.output, [value], sample);
        matrix[o * samples + at] = value;
      }
    }
  }
  if (spreadCount > 0) {
    const draw = stream(seed, 'covariance positions', probe.node, sample);
    const columns = samples * spreadCount;
    for (let i = 0; i < spreadCount; i++) {
      const p = spreadCount === elements ? i : below(draw, elements);
      for (let c = 0; c < channels; c++)
        probe.spread[c * columns + at * spreadCount + i] = seen[places[c * elements + p]];
    }
  }
}

/** Takes what is seen of column j at its places in, as observation `at`. */
function addSpread(
  { origin, sums, squares }: Spreads,
  seen: FloatArray,
  places: Int32Array,
  j: number,
  at: number,
): void {
  if (at === 0) origin[j] = seen[places[0]];
  for (const place of places) {
    const distance = seen[place] - origin[j];
    sums[j] += distance;
    squares[j] += square(distance);
  }
}

function rowOf(executor: Executor, value: string, row: number): FloatArray {
  const size = sizeOf(executor.shapeOf(value));
  return executor.output(value).subarray(row * size, (row + 1) * size);
}

function notFinite(value: string, among: ArrayLike<number>, sample: number): EspalierError {
  const found = Array.from(among).find((x) => !Number.isFinite(x));
  return new EspalierError(
    'DATA',
    `measureActivations: node ${show(value)}: expected finite activations, got ${found} for sample ${sample}; the network has diverged or the sample is out of range`,
    { name: value, found },
  );
}

function summarize(probe: Probe, samples: number): ConsumerStatistics {
  const {
    node,
    group: { channels },
    outputs,
    pairs,
    positions,
    spreads,
    spread,
    spreadCount,
  } = probe;
  const seen = samples * positions;
  const mean = probe.sums.map((sum) => sum / seen);
  const summary: { -readonly [K in keyof ConsumerStatistics]: ConsumerStatistics[K] } = { node, mean, outputs };
  if (spreads) {
    const { sums, squares } = spreads;
    summary.deviation = squares.map((sum, j) => Math.sqrt(Math.max(0, sum - square(sums[j]) / seen) / seen));
  }
  if (spreadCount > 0) {
    summary.observations = samples * spreadCount;
    summary.covariance = covarianceMatrix(spread, channels, summary.observations);
  }
  if (pairs.length > 0) summary.correlation = meanCorrelation(probe, samples);
  return summary;
}

/** (channels, O): |r| averaged over the pairs of positions. */
function meanCorrelation({ group: { channels }, outputs, pairs, seen, made }: Probe, samples: number): Float64Array {
  const standard = (matrices: ReadonlyMap<number, Float32Array>, rows: number): Map<number, Float64Array> =>
    new Map([...matrices].map(([p, matrix]) => [p, standardizeRows(matrix, rows, samples)]));
  const b = standard(seen, channels);
  const a = standard(made, outputs);
  const correlation = new Float64Array(channels * outputs);
  for (const [p, m] of pairs) {
    const r = rowProducts(b.get(p) ?? new Float64Array(0), channels, a.get(m) ?? new Float64Array(0), outputs, samples);
    for (let i = 0; i < r.length; i++) correlation[i] += Math.min(1, Math.abs(r[i])) / pairs.length;
  }
  return correlation;
}

function nodeOf(network: Network, name: string): Node {
  const node = network.nodes.find((candidate) => candidate.name === name);
  if (!node || !weightedLayers(network).some((layer) => layer.name === name)) {
    throw new EspalierError(
      'GRAPH',
      `measureActivations: groups: ${show(name)} is no node with a weight of this network; take the groups from findGroups of the same network`,
      { name },
    );
  }
  return node;
}
