/**
 * What each layer's error costs at the outputs: what is lost when neurons go that feed it, and what its weights' coarseness
 * costs. Measured once on the original, a layer at a time with the rest exact, so that thousands of plans can be weighed
 * without being made.
 *
 * In a layer with weights W (rows, columns) that reads x of covariance C, an error D of its weights costs tr(D C D^T) of its
 * responses. With the columns in the order in which pruning lets them go last and C = L L^T that is |L^T D|^2, component j of
 * which depends on columns j and later alone. So when the first k columns stay and are refitted, what is lost are exactly the
 * components from k on of L^T W, for all k from one factorization; and with error feedback an error e_j of column j counts
 * L_jj^2 e_j, as in quantization/feedback.ts. What that does to the outputs is measured for a few errors of either kind on other
 * samples, and their ratio to the estimate holds for the others. Sources: Frantar, Alistarh, "Optimal Brain Compression",
 * NeurIPS 2022 (layer-wise errors that add up); Dong et al., "HAWQ-V2", NeurIPS 2020 (bits by sensitivity).
 */
import { choleskyInPlace } from '../base/cholesky.ts';
import type { RunControl } from '../base/control.ts';
import { exp, log, square } from '../base/elementary.ts';
import { sizeOf } from '../base/tensor.ts';
import type { Tensor } from '../base/tensor.ts';
import { subset } from '../data/arrays.ts';
import { matrixSides } from '../encodings/checks.ts';
import { decode, isDense } from '../encodings/index.ts';
import type { Encoding } from '../encodings/types.ts';
import type { Network } from '../graph/network.ts';
import type { Context } from '../graph/transform.ts';
import { momentsObstacle, openMoments } from '../importance/moments.ts';
import type { LayerMoments } from '../importance/moments.ts';
import { measurementsOf, resolveScoring, score } from '../importance/score.ts';
import { elementOf, spanOf } from '../importance/slices.ts';
import { measureActivations } from '../importance/statistics.ts';
import type { ChannelGroup, Consumer } from '../importance/types.ts';
import { biasOf, withBias } from '../network/bias.ts';
import { weightedLayers } from '../network/shapes.ts';
import { findGroups } from '../pruning/index.ts';
import type { QuantizerSettings } from '../quantization/index.ts';
import { resolveQuantizer } from '../quantization/settings.ts';
import { predictOutputs } from '../training/index.ts';
import { outputError } from '../training/outputs.ts';
import { keptOf } from './allocate.ts';
import type { LayerSensitivity, Sensitivity, SettingSensitivity } from './allocate.ts';
import type { CompressSettings } from './options.ts';

/** Samples on which errors of the outputs are measured. */
const SAMPLES = 128;
/** Rows of a layer that are looked at, where rows are alike. */
const MOST_ROWS = 256;
/** Shares of channels at which the loss is measured; between them, and beyond, the logarithm of the ratio to the estimate goes straight. */
const SHARES_MEASURED = [0.5, 0.25] as const;
/** Step of levels, in root mean squares of the weights, by which the cost of noise is measured. */
const STEP_MEASURED = 0.7;
/** Damping of the covariance, a share of its mean diagonal: that of feedback; of few observations more, as in refitWeights. */
const [LEAST_DAMPING, RIDGE, PLENTY] = [0.01, 0.003, 4];

/** A way to store weights; undefined: dense, in halves. */
export type LadderSetting = QuantizerSettings | undefined;

/**
 * Measures a network. Reads `context.training`, no labels. Cost: a pass over 512 samples, columns^3 / 6 and rows columns^2
 * multiply-adds a layer, fits of 256 rows of each layer in each setting, and four passes over 128 samples a layer.
 * @param ladder - the settings that are weighed, the same for all layers
 */
export async function measureSensitivity(
  network: Network,
  context: Context,
  settings: Pick<CompressSettings, 'criterion' | 'scoring'>,
  ladder: readonly LadderSetting[],
  control: RunControl,
): Promise<Sensitivity> {
  const groups = findGroups(network).filter(({ prunable, consumers }) => prunable && consumers.length > 0);
  const ranks = await rankChannels(network, groups, context, settings);
  const meter = await openMoments('compressTo', network, context);
  const measure = await openMeasure(network, context);
  const layers: LayerSensitivity[] = [];
  const all = weightedLayers(network);
  for (const [index, { name, weight }] of all.entries()) {
    await control.pause();
    control.emit({ kind: 'stage', name: 'measure', index, count: all.length, detail: name });
    const encoding = network.parameters.get(weight)!;
    if (!isDense(encoding) || sizeOf(encoding.shape) === 0) continue;
    if (all.findIndex((layer) => layer.weight === weight) !== index) continue;
    const { rows, columns } = matrixSides(encoding.shape);
    const isShared = all.filter((layer) => layer.weight === weight).length > 1;
    const moments =
      isShared || momentsObstacle(network, name) !== undefined
        ? undefined
        : (await meter.measure(network, [{ node: name }])).get(name);
    const readings = groups.flatMap((group) =>
      group.consumers.filter(({ node }) => node === name).map((consumer) => ({ group, consumer })),
    );
    // What reads two groups, or in groups of its own, keeps what it reads.
    const reading = readings.length === 1 && moments?.groups === 1 ? readings[0] : undefined;
    const places =
      reading && moments && order(columns, moments.taps, reading.group, reading.consumer, ranks.get(reading.group)!);
    const layer: Layer = { network, name, weight, weights: encoding.data, rows, columns, moments };
    const factored = factor(layer, places?.columns);
    const channels = reading?.group.channels ?? 0;
    const sums = (perPlace: (place: number) => number): number[] =>
      cumulated(columns, channels, places?.channels, perPlace);

    const trials: Trial[] = [];
    for (const setting of ladder) {
      control.check();
      const fitted = await fitTrial(layer, setting, factored.importance, context);
      if (fitted) trials.push(fitted);
    }
    const gain = await gainOfNoise(layer, factored, measure);
    const within = sums((place) => factored.response[place]);
    layers.push({
      name,
      rows,
      columns,
      yields: groups.find(({ producers }) => producers.includes(name))?.name,
      reads: reading?.group.name,
      cut: places ? places.channels.filter((rank) => rank >= 0).length : 0,
      lost: await losses(
        layer,
        factored,
        measure,
        within.map((value) => Math.max(0, within[channels] - value)),
        places,
      ),
      settings: trials.map(({ errors, ...one }): SettingSensitivity => ({
        ...one,
        noise: sums((place) => gain * factored.diagonal[place] * errors[factored.places[place]]),
      })),
    });
  }
  // A group can go as far as all that hear it say what that costs.
  const heard = groups.filter(({ name, consumers }) =>
    consumers.every(({ node }) => layers.some((layer) => layer.name === node && layer.reads === name)),
  );
  const known = (name: string | undefined): string | undefined => heard.find((group) => group.name === name)?.name;
  return {
    groups: heard.map(({ name, producers, channels }) => ({ name, producers, channels })),
    layers: layers.map((layer) => ({ ...layer, yields: known(layer.yields), reads: known(layer.reads) })),
  };
}

/** A layer, and what it reads: undefined where that is not known. */
interface Layer {
  readonly network: Network;
  readonly name: string;
  readonly weight: string;
  /** (rows, columns) */
  readonly weights: Float32Array;
  readonly rows: number;
  readonly columns: number;
  readonly moments: LayerMoments | undefined;
}

/** Channels of each group, the most important first: as pruning ranks them. */
async function rankChannels(
  network: Network,
  groups: readonly ChannelGroup[],
  context: Context,
  { criterion, scoring }: Pick<CompressSettings, 'criterion' | 'scoring'>,
): Promise<Map<ChannelGroup, readonly number[]>> {
  if (groups.length === 0) return new Map();
  const wanted = measurementsOf(criterion, scoring);
  const statistics =
    wanted.length === 0
      ? undefined
      : await measureActivations(network, groups, context, {
          correlations: false,
          deviations: false,
          ...Object.fromEntries(wanted.map((measurement) => [measurement, true])),
        });
  const options = resolveScoring('compressTo', 'scoring', criterion, scoring, context.seed);
  return new Map(
    groups.map((group) => {
      const scores = score(criterion, network, group, statistics, options);
      return [group, Array.from(scores.keys()).sort((a, b) => scores[b] - scores[a] || a - b)];
    }),
  );
}

interface Places {
  /** Column at each place, those that go first last. */
  readonly columns: Int32Array;
  /** By place: rank of the column's channel; -1: it cannot go. */
  readonly channels: Int32Array;
}

function order(
  columns: number,
  taps: number,
  { channels }: ChannelGroup,
  consumer: Consumer,
  ranked: readonly number[],
): Places {
  const rank = new Int32Array(columns).fill(-1);
  ranked.forEach((channel, place) => {
    // The slice counts inputs, each of which has a column for every tap.
    for (let s = 0; s < spanOf(consumer); s++) {
      const first = elementOf(consumer, channels, channel, s) * taps;
      rank.fill(place, first, first + taps);
    }
  });
  const sorted = Int32Array.from(rank.keys()).sort((a, b) => rank[a] - rank[b] || a - b);
  return { columns: sorted, channels: sorted.map((column) => rank[column]) };
}

/** (channels + 1): sums over the places of columns that are there when so many channels are. */
function cumulated(
  columns: number,
  channels: number,
  ranks: Int32Array | undefined,
  perPlace: (place: number) => number,
): number[] {
  const sums = new Float64Array(channels + 1);
  for (let place = 0; place < columns; place++) sums[(ranks?.[place] ?? -1) + 1] += perPlace(place);
  for (let k = 1; k <= channels; k++) sums[k] += sums[k - 1];
  return Array.from(sums);
}

interface Factored {
  /** Column at each place. */
  readonly places: Int32Array;
  /** By place: L_jj^2, and the sum over rows of (L^T W)_j^2, both over the response's variance. */
  readonly diagonal: Float64Array;
  readonly response: Float64Array;
  /** By column, for fits: what its error costs; undefined where all are alike. */
  readonly importance: Float32Array | undefined;
  /** L, of a layer without groups whose inputs vary. */
  readonly triangle: Float64Array | undefined;
}

function factor({ weights, rows, columns, moments }: Layer, ranked: Int32Array | undefined): Factored {
  const places = ranked ?? Int32Array.from({ length: columns }, (_, j) => j);
  const groups = moments?.groups ?? 1;
  const known = moments?.variance.some((one) => one > 0) === true;
  const [diagonal, response] = [new Float64Array(columns), new Float64Array(columns)];
  let triangle: Float64Array | undefined;
  for (let group = 0; group < groups; group++) {
    const chosen = someRows(rows / groups).map((o) => o + (group * rows) / groups);
    const share = rows / groups / chosen.length;
    triangle = known ? factorOf(moments, group, places) : undefined;
    const product = new Float64Array(columns);
    for (let j = 0; j < columns; j++) diagonal[j] += (triangle ? square(triangle[j * columns + j]) : 1) / groups;
    for (const o of chosen) {
      product.fill(0);
      for (let i = 0; i < columns; i++) {
        const weight = weights[o * columns + places[i]];
        if (!triangle) product[i] = weight;
        else for (let j = 0, at = i * columns; j <= i; j++, at++) product[j] += triangle[at] * weight;
      }
      for (let j = 0; j < columns; j++) response[j] += share * square(product[j]);
    }
  }
  const total = response.reduce((sum, one) => sum + one, 0) || 1;
  const largest = diagonal.reduce((most, one) => Math.max(most, one), 0) || 1;
  const importance = new Float32Array(columns);
  for (let j = 0; j < columns; j++) importance[places[j]] = diagonal[j] / largest;
  return {
    places,
    diagonal: diagonal.map((one) => one / total),
    response: response.map((one) => one / total),
    importance: importance.every((one) => one === importance[0]) ? undefined : importance,
    triangle: groups === 1 ? triangle : undefined,
  };
}

/** At most {@link MOST_ROWS} of so many, evenly spaced. */
function someRows(rows: number): number[] {
  const count = Math.min(rows, MOST_ROWS);
  return Array.from({ length: count }, (_, i) => Math.floor((i * rows) / count));
}

/** L of the damped covariance of what a group of rows reads, columns in the order of `places`. */
function factorOf(
  { covariance, columns, observations }: LayerMoments,
  group: number,
  places: Int32Array,
): Float64Array {
  const from = group * columns * columns;
  const a = new Float64Array(columns * columns);
  let trace = 0;
  for (let i = 0; i < columns; i++) {
    for (let j = 0; j <= i; j++) a[i * columns + j] = covariance[from + places[i] * columns + places[j]];
    trace += a[i * columns + i];
  }
  const share = Math.max(LEAST_DAMPING, RIDGE * Math.max(1, (PLENTY * columns) / observations));
  const damping = (share * trace) / columns || 1;
  for (let i = 0; i < columns; i++) a[i * columns + i] += damping;
  choleskyInPlace(a, columns);
  return a;
}

interface Trial extends Omit<SettingSensitivity, 'noise'> {
  /** Sum over the rows of the squared errors of each column. */
  readonly errors: Float64Array;
}

/** Fits some rows without feedback; undefined where that is not smaller than halves. */
async function fitTrial(
  { weights, rows, columns }: Layer,
  setting: LadderSetting,
  importance: Float32Array | undefined,
  { kernels, threads, seed, signal }: Context,
): Promise<Trial | undefined> {
  if (setting === undefined) return { setting, errors: new Float64Array(columns), bitsPerWeight: 16, fixedBytes: 0 };
  const chosen = someRows(rows);
  const matrix: Tensor = { data: new Float32Array(chosen.length * columns), shape: [chosen.length, columns] };
  chosen.forEach((o, i) => matrix.data.set(weights.subarray(o * columns, (o + 1) * columns), i * columns));
  const { quantizer, options } = resolveQuantizer('compressTo', 'setting', setting);
  const { encoding } = await quantizer.fit(matrix, options, {
    ...{ kernels, threads, seed },
    ...(signal && { signal }),
    ...(importance && { importance: { data: importance, shape: [columns] } }),
  });
  const { bitsPerWeight, fixedBytes } = codedSize(encoding);
  if (bitsPerWeight >= 16) return undefined;
  const values = decode(encoding);
  const errors = new Float64Array(columns);
  for (let i = 0; i < values.length; i++)
    errors[i % columns] += (square(matrix.data[i] - values[i]) * rows) / chosen.length;
  return { setting, errors, bitsPerWeight, fixedBytes };
}

/** As a packed file has it: codes and levels by their entropy, codewords in halves. */
function codedSize(encoding: Encoding): { readonly bitsPerWeight: number; readonly fixedBytes: number } {
  if (encoding.kind === 'scalar')
    return { bitsPerWeight: entropy(encoding.levels), fixedBytes: 4 * encoding.scales.length };
  if (encoding.kind !== 'product') return { bitsPerWeight: 16, fixedBytes: 0 };
  let [bits, fixedBytes] = [0, 0];
  for (const { codes, codewords, signs, subvectorLength } of encoding.blocks) {
    bits += codes.length * (entropy(codes) + (signs ? subvectorLength : 0));
    fixedBytes += 2 * codewords.length;
  }
  return { bitsPerWeight: bits / sizeOf(encoding.shape), fixedBytes };
}

/** Bits each. */
function entropy(codes: ArrayLike<number>): number {
  const counts = new Map<number, number>();
  for (let i = 0; i < codes.length; i++) counts.set(codes[i], (counts.get(codes[i]) ?? 0) + 1);
  let bits = 0;
  for (const count of counts.values()) bits -= (count / codes.length) * (log(count / codes.length) / Math.LN2);
  return bits;
}

/** Squared error of a changed network's outputs, in units of their spread; of several outputs the mean. */
type Measure = (changed: Network) => Promise<number>;

async function openMeasure(network: Network, context: Context): Promise<Measure> {
  const { kernels, threads, signal } = context;
  const how = { kernels, threads, ...(signal && { signal }) };
  const training = context.training!;
  const count = Math.min(SAMPLES, training.count);
  const examples = subset(
    training,
    Int32Array.from({ length: count }, (_, i) => Math.floor((i * training.count) / count)),
  );
  const before = await predictOutputs(network, examples, how);
  return async (changed) => square(outputError(await predictOutputs(changed, examples, how), before, examples.count));
}

/** What an error of the response counts at the outputs, where it is that of levels with feedback. */
async function gainOfNoise(layer: Layer, { places, diagonal, triangle }: Factored, measure: Measure): Promise<number> {
  const { weights, rows, columns } = layer;
  const changed = weights.slice();
  const chosen = someRows(rows);
  const step = STEP_MEASURED * Math.sqrt(weights.reduce((sum, one) => sum + square(one), 0) / weights.length);
  const [carried, errors] = [new Float64Array(columns), new Float64Array(columns)];
  for (const o of chosen) {
    carried.fill(0);
    for (let i = columns - 1; i >= 0; i--) {
      const at = o * columns + places[i];
      const aimed = weights[at] + (triangle ? carried[i] / triangle[i * columns + i] : 0);
      changed[at] = step * Math.round(aimed / step);
      const error = weights[at] - changed[at];
      errors[i] += square(aimed - changed[at]);
      if (triangle) for (let j = 0, k = i * columns; j < i; j++, k++) carried[j] += triangle[k] * error;
    }
  }
  const estimate = errors.reduce((sum, error, place) => sum + diagonal[place] * error, 0);
  return estimate > 0 ? (await measure(withWeights(layer, changed))) / estimate : 0;
}

/**
 * What is lost at the outputs for each number of channels that stay, from what is lost of the response: that times a ratio,
 * which is measured where half and where a quarter of the channels stay and the layer is refitted.
 */
async function losses(
  layer: Layer,
  factored: Factored,
  measure: Measure,
  lost: readonly number[],
  places: Places | undefined,
): Promise<readonly number[]> {
  const channels = lost.length - 1;
  if (!places || !factored.triangle || !(lost[1] > 0)) return lost;
  const ratios: { share: number; ratio: number }[] = [];
  for (const share of SHARES_MEASURED) {
    const kept = keptOf(channels, share);
    if (!(lost[kept] > 0)) continue;
    const columns = places.channels.filter((rank) => rank < kept).length;
    const far = await measure(withWeights(layer, refitted(layer, factored.triangle, factored.places, columns)));
    ratios.push({ share: kept / channels, ratio: log(far / lost[kept]) });
  }
  if (ratios.length === 0) return lost;
  const [a, b = a] = ratios;
  const slope = a.share === b.share ? 0 : (b.ratio - a.ratio) / (b.share - a.share);
  return lost.map((value, k) => value * exp(a.ratio + slope * (k / channels - a.share)));
}

/**
 * The weights by which the columns at the first k places answer for all: W_K + L_KK^-T L_RK^T W_R, K those that stay, R the
 * others, which become 0.
 */
function refitted({ weights, rows, columns }: Layer, L: Float64Array, places: Int32Array, k: number): Float32Array {
  const result = new Float32Array(weights.length);
  // Two rows at a time: the triangle is read half as often.
  const [a, b] = [new Float64Array(k), new Float64Array(k)];
  for (let o = 0; o < rows; o += 2) {
    const [p, q] = [o * columns, Math.min(o + 1, rows - 1) * columns];
    a.fill(0);
    b.fill(0);
    for (let i = k; i < columns; i++) {
      const [s, t] = [weights[p + places[i]], weights[q + places[i]]];
      for (let j = 0, at = i * columns; j < k; j++, at++) {
        a[j] += L[at] * s;
        b[j] += L[at] * t;
      }
    }
    for (let j = k - 1; j >= 0; j--) {
      const pivot = L[j * columns + j];
      const [s, t] = [(a[j] /= pivot), (b[j] /= pivot)];
      for (let i = 0, at = j * columns; i < j; i++, at++) {
        a[i] -= L[at] * s;
        b[i] -= L[at] * t;
      }
    }
    for (let j = 0; j < k; j++) {
      result[p + places[j]] = weights[p + places[j]] + a[j];
      result[q + places[j]] = weights[q + places[j]] + b[j];
    }
  }
  return result;
}

/** The network with other weights in a layer, and in its bias what their mean makes of the inputs. */
function withWeights({ network, name, weight, weights, rows, columns, moments }: Layer, data: Float32Array): Network {
  const { shape } = network.parameters.get(weight)!;
  const changed = {
    ...network,
    parameters: new Map(network.parameters).set(weight, { kind: 'dense', shape, data }),
  } as Network;
  if (!moments) return changed;
  const bias = Float64Array.from(biasOf(network, name, rows));
  for (let o = 0; o < rows; o++) {
    const group = Math.floor((o * moments.groups) / rows);
    for (let j = 0; j < columns; j++)
      bias[o] += (weights[o * columns + j] - data[o * columns + j]) * moments.mean[group * columns + j];
  }
  return withBias(changed, name, bias);
}
