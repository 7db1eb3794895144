/**
 * Second moments of what layers read, as their weights see it: one column for each column of the weight matrix (inputs x
 * taps, unfolded at positions drawn from all), and their cross moments with the responses of another network. What
 * least-squares repair and error feedback in quantization are made of. No labels are needed. Of a convolution in groups
 * each group has moments of its own, of a depthwise one so each channel: taps x taps.
 *
 * Observations are streamed: a chunk of them is unfolded, taken from an origin so that a large mean cancels nothing, and
 * added to sums in double.
 */
import { checkInputs, checkNetwork } from '../graph/check.ts';
import { createRunControl } from '../base/control.ts';
import { square } from '../base/elementary.ts';
import { checkInteger, EspalierError, show } from '../base/errors.ts';
import { below, permutation, stream } from '../base/random.ts';
import { ownOptions } from '../base/rules.ts';
import { sameShape, sizeOf } from '../base/tensor.ts';
import type { FloatArray, Shape } from '../base/tensor.ts';
import { resolveContext } from '../graph/context.ts';
import type { GivenContext } from '../graph/context.ts';
import type { Network, Node } from '../graph/network.ts';
import { outputsOf, producersOf } from '../graph/walk.ts';
import { inferShapes, weightedLayers } from '../network/shapes.ts';
import { couplingOf } from '../operators/table.ts';
import type { Tap } from '../operators/types.ts';
import { gram, rowProducts } from './correlation.ts';
import { createFrontier } from './frontier.ts';
import type { Frontier } from './frontier.ts';
import { readSamples } from './samples.ts';
import type { MeasureContext } from './statistics.ts';

/** What a layer reads, column by column of its weight matrix. */
export interface LayerMoments {
  readonly node: string;
  /** Rows and columns of the weight matrix, and its taps: column c taps + t is tap t of channel c. */
  readonly outputs: number;
  readonly columns: number;
  readonly taps: number;
  /** Groups of rows, one after another and equally many in each, that read inputs of their own; nearly always 1. */
  readonly groups: number;
  /** Samples x positions. */
  readonly observations: number;
  /** (groups, columns) */
  readonly mean: Float64Array;
  /** (groups, columns) */
  readonly variance: Float64Array;
  /** (groups, columns, columns): E[(x - mean)(x - mean)^T]; empty where variances alone were asked for. */
  readonly covariance: Float64Array;
  /**
   * Of a reference's responses to the same samples at the same positions, where they were asked for; with what is missing in
   * the value that is added to the layer's, if there is one: see {@link LayerRequest}.
   */
  readonly responses?: {
    /** (outputs) */
    readonly mean: Float64Array;
    /** (outputs, columns): E[(y - mean)(x - mean)^T], x what the output's group reads. */
    readonly cross: Float64Array;
  };
}

export interface MomentsOptions {
  /** Samples drawn from the training set, by the context's seed; all of them if there are fewer. Default 512. */
  samples?: number;
  /** Positions drawn in each sample, of a layer whose weights serve many; all of them if there are fewer. Default 16. */
  positions?: number;
  /** Samples per pass. Default 32. */
  batch?: number;
  /**
   * Bytes that may be kept from one measurement to the next, a quarter each for inputs, the reference's responses, and the
   * values at which a pass through either network stopped, from where the next goes on. What finds no room is made anew:
   * the same results, later. Default 512 MiB.
   */
  memory?: number;
  /**
   * Values of the reference, by name of a layer, that are what it should respond in place of its own output there: of as many
   * channels, and of the layer's positions as it is measured. Default none.
   */
  targets?: ReadonlyMap<string, string>;
}

/** Defaults of {@link MomentsOptions}. */
export const MOMENTS_DEFAULTS = { samples: 512, positions: 16, batch: 32, memory: 2 ** 29 } as const;

/** A layer to be measured. */
export interface LayerRequest {
  readonly node: string;
  /**
   * Which outputs of the reference its own are: asks for the reference's responses. Where nothing but a sum with a value
   * that was there before reads the layer, as in a residual branch, a response is what makes the sum the reference's: its
   * own plus what the other addend lacks.
   */
  readonly rows?: ArrayLike<number>;
  /** false: variances alone, which cost next to nothing. Default true. */
  readonly covariance?: boolean;
}

/** Measures layers of networks that read the same samples, one after another as they change. */
export interface MomentsMeter {
  /** @throws {EspalierError} DATA for activations that are not finite; UNSUPPORTED for a layer that has no moments */
  measure(network: Network, requests: readonly LayerRequest[]): Promise<Map<string, LayerMoments>>;
}

/** Observations of a chunk. */
const CHUNK = 512;

/**
 * Second moments of what layers read; see {@link LayerMoments}.
 *
 * Cost: the passes, and per layer observations x columns x (columns / 2 + outputs of the reference) multiply-adds in double.
 * Memory: columns x (columns + outputs + 512) x 8 bytes per layer.
 * @param layers - names of layers that {@link momentsObstacle} does not object to
 * @param context - kernels (default: loaded), threads, seed, training set (labels are not read), abort signal
 * @throws {EspalierError} DATA if there is no training set, it is empty, or an input or activation is not finite;
 *   UNSUPPORTED for a layer that has no such moments, with the reason
 * @example
 * import { measureMoments } from 'espalier/importance';
 * const { covariance, mean } = (await measureMoments(network, ['conv2'], context)).get('conv2');
 */
export async function measureMoments(
  network: Network,
  layers: readonly string[],
  context: GivenContext<MeasureContext>,
  given: Omit<MomentsOptions, 'memory' | 'targets'> = {},
): Promise<Map<string, LayerMoments>> {
  const options = ownOptions('measureMoments', 'options', given, ['samples', 'positions', 'batch']);
  // One pass, after which nothing is asked again.
  const meter = await openMoments('measureMoments', network, context, { ...options, memory: 0 });
  return meter.measure(
    network,
    layers.map((node) => ({ node })),
  );
}

/** Why a layer has no moments that all its rows share; undefined if it has. */
export function momentsObstacle(network: Network, layer: string): string | undefined {
  const node = network.nodes.find(({ name }) => name === layer);
  const weight = weightedLayers(network).find(({ name }) => name === layer)?.weight;
  if (!node || weight === undefined) return 'it is no layer with a weight';
  const shape = network.parameters.get(weight)?.shape ?? [];
  if (!couplingOf(node).taps && shape.length !== 2)
    return `its operator ${show(node.kind)} does not say what its weight reads`;
  return undefined;
}

/**
 * {@link measureMoments} for steps that measure again and again. Where layers are measured from the first to the last, and
 * none before a measured one changes any more, all passes together are one through either network; in any other order, and
 * beyond `memory`, the results are the same (to rounding) and the passes longer. Peak: half as much again as `memory` allows,
 * since a cut is there until the next one is made.
 * @param reference - whose responses can be asked for
 */
export async function openMoments(
  who: string,
  reference: Network,
  givenContext: GivenContext<MeasureContext>,
  given: MomentsOptions = {},
): Promise<MomentsMeter> {
  checkNetwork(who, 'network', reference);
  const context = await resolveContext<MeasureContext>(who, givenContext);
  const options = ownOptions(who, 'options', given, ['samples', 'positions', 'batch', 'memory', 'targets']);
  const wanted = checkInteger(who, 'samples', options.samples ?? MOMENTS_DEFAULTS.samples, 1);
  const positions = checkInteger(who, 'positions', options.positions ?? MOMENTS_DEFAULTS.positions, 1);
  const batch = checkInteger(who, 'batch', options.batch ?? MOMENTS_DEFAULTS.batch, 1);
  const memory = checkInteger(who, 'memory', options.memory ?? MOMENTS_DEFAULTS.memory, 0);
  const { training, seed, kernels, threads } = context;
  const control = createRunControl(context.signal ? { signal: context.signal } : {});
  if (!training || training.count === 0)
    throw new EspalierError(
      'DATA',
      `${who}: context.training: expected samples to measure on (labels are not needed), got ${training ? 'an empty set' : 'none'}`,
    );
  if (reference.inputs.length !== 1)
    throw new EspalierError('UNSUPPORTED', `${who}: network: expected one input, got ${reference.inputs.length}`);
  checkInputs(who, 'context.training', training, reference.inputs[0].shape);
  const samples = Math.min(wanted, training.count);
  const indices = permutation(stream(seed, 'moment samples'), training.count).slice(0, samples).sort();
  const size = sizeOf(training.inputShape);
  /** Numbers of 4 bytes, of each kind that is kept. */
  const room = Math.floor(memory / 16);
  const kept = samples * size <= room ? new Float32Array(samples * size) : undefined;
  const isRead = new Set<number>();
  const inputsOf = async (first: number, count: number): Promise<Float32Array> => {
    if (kept && isRead.has(first)) return kept.subarray(first * size, (first + count) * size);
    const { inputs } = await readSamples(who, training, indices.subarray(first, first + count), false, control);
    kept?.set(inputs, first * size);
    isRead.add(first);
    return inputs;
  };
  const frontier = (): Frontier => createFrontier({ samples, batch, room, kernels, threads, control, inputsOf });
  const [ofReference, ofChanged] = [frontier(), frontier()];
  const recorded = new Map<string, Recording>();
  /** Responses of the reference: of the layers that are asked for, and of those behind them while there is room. */
  const record = async (layers: readonly string[]): Promise<void> => {
    recorded.clear();
    const shapes = inferShapes(reference);
    const names = weightedLayers(reference).map(({ name }) => name);
    const from = Math.min(...layers.map((name) => names.indexOf(name)));
    let left = room;
    const recordings = names.slice(from).flatMap((name): Recording[] => {
      if (momentsObstacle(reference, name) !== undefined) return [];
      const windows = aimedAt(options.targets?.get(name), windowOf(reference, name, shapes), shapes);
      const perSample = Math.min(positions, windows.positions);
      const numbers = samples * perSample * windows.outputs;
      left -= windows.addend === undefined ? numbers : 2 * numbers;
      if (left < 0 && !layers.includes(name)) return [];
      const data = new Float32Array(numbers);
      return [
        { ...windows, perSample, data, ...(windows.addend !== undefined && { beside: new Float32Array(numbers) }) },
      ];
    });
    const values = recordings.flatMap(({ output, addend }) => [output, ...(addend === undefined ? [] : [addend])]);
    await ofReference.pass(reference, values, endOf(reference, values), (valueOf, first, count) => {
      for (const recording of recordings) {
        const { node, output, addend, outputs, positions: all, perSample, data, beside } = recording;
        const [value, other] = [valueOf(output), addend === undefined ? undefined : valueOf(addend)];
        for (let i = 0; i < count; i++) {
          const sample = first + i;
          let at = sample * perSample * outputs;
          for (const p of drawn(seed, node, indices[sample], all, perSample)) {
            for (let o = 0; o < outputs; o++, at++) {
              const from = placeOf(recording, i, o, p);
              data[at] = value[from];
              if (beside) beside[at] = other![from];
            }
          }
        }
      }
    });
    for (const recording of recordings) recorded.set(recording.node, recording);
  };

  return {
    async measure(network, requests) {
      for (const { node } of requests) {
        const obstacle = momentsObstacle(network, node);
        if (obstacle !== undefined)
          throw new EspalierError('UNSUPPORTED', `${who}: layer ${show(node)} has no moments: ${obstacle}`, {
            name: node,
          });
      }
      const missing = requests.filter(({ node, rows }) => rows && !recorded.has(node)).map(({ node }) => node);
      if (missing.length > 0) await record(missing);
      const shapes = inferShapes(network);
      const sums = requests.map((request) => {
        const { node } = request;
        const layer = windowOf(network, node, shapes);
        const perSample = Math.min(positions, layer.positions);
        return createSums(layer, perSample, samples, request, recorded.get(node));
      });
      const values = sums.flatMap(({ layer, addend }) => [layer.value, ...(addend === undefined ? [] : [addend])]);
      await ofChanged.pass(network, values, endOf(network, values), (valueOf, first, count) => {
        for (const sum of sums) {
          const { layer, perSample, addend } = sum;
          const value = valueOf(layer.value);
          const other = addend === undefined ? undefined : valueOf(addend);
          const length = layer.inputWords;
          for (let i = 0; i < count; i++) {
            const one = value.subarray(i * length, (i + 1) * length);
            for (const p of drawn(seed, layer.node, indices[first + i], layer.positions, perSample))
              sum.add(one, p, other, i);
          }
        }
      });
      return new Map(sums.map((sum) => [sum.layer.node, sum.finish(who)]));
    },
  };
}

interface Recording extends Window {
  readonly perSample: number;
  /** (samples, perSample, outputs) */
  readonly data: Float32Array;
  /** The same of the addend. */
  readonly beside?: Float32Array;
}

/** Where a layer's weight reads and writes, at each of its positions. */
interface Window {
  readonly node: string;
  /** Names of what it reads and yields. */
  readonly value: string;
  readonly output: string;
  readonly outputs: number;
  readonly groups: number;
  /** Of each group. */
  readonly columns: number;
  readonly taps: number;
  /** The value that stands beside its output in a sum that alone reads it, if that is made before the layer is. */
  readonly addend?: string;
  /** Of an output, per sample: where the weights are applied. Output o at position p: element o outputStep + p positionStep. */
  readonly positions: number;
  readonly outputStep: number;
  readonly positionStep: number;
  /** Words of a sample of the value. */
  readonly inputWords: number;
  /** Tap t at position p reads element c channelStep + offsetOf(p, t) for channel c; -1: it lies in the padding. */
  readonly channelStep: number;
  offsetOf(position: number, tap: number): number;
}

function windowOf(network: Network, name: string, shapes: ReadonlyMap<string, Shape>): Window {
  const node = network.nodes.find((candidate) => candidate.name === name) as Node;
  const weight = weightedLayers(network).find((layer) => layer.name === name)?.weight ?? '';
  const shape = network.parameters.get(weight)?.shape ?? [];
  const [value] = node.inputs;
  const [output] = outputsOf(node);
  const input = shapes.get(value) ?? [];
  const yielded = shapes.get(output) ?? [];
  const [outputs, inputs, ...kernel] = shape;
  const taps = couplingOf(node).taps?.(node, shape, input, yielded);
  const { groups = 1 } = node.attributes as { readonly groups?: number };
  const addend = addendOf(network, node, shapes);
  const common = {
    ...{ node: name, value, output, outputs, groups, columns: inputs * sizeOf(kernel), inputWords: sizeOf(input) },
    ...(addend !== undefined && { addend }),
  };
  if (!taps) {
    // Along the last axis, once for each place of the axes before it.
    const positions = sizeOf(yielded.slice(0, -1));
    return {
      ...common,
      taps: 1,
      positions,
      outputStep: 1,
      positionStep: outputs,
      channelStep: 1,
      offsetOf: (position) => position * inputs,
    };
  }
  const positions = sizeOf(yielded.slice(1));
  const [inputSides, outputSides] = [input.slice(1), yielded.slice(1)];
  return {
    ...common,
    taps: taps.length,
    positions,
    outputStep: positions,
    positionStep: 1,
    channelStep: sizeOf(input.slice(1)),
    offsetOf: (position, tap) => offsetAt(taps[tap], position, inputSides, outputSides),
  };
}

/** The window whose responses are found in another value; see {@link MomentsOptions.targets}. */
function aimedAt(target: string | undefined, window: Window, shapes: ReadonlyMap<string, Shape>): Window {
  if (target === undefined) return window;
  const positions = sizeOf((shapes.get(target) ?? []).slice(1));
  const { addend: _, ...rest } = window;
  return { ...rest, output: target, positions, outputStep: positions, positionStep: 1 };
}

function addendOf(
  { nodes, outputs, inputs }: Network,
  node: Node,
  shapes: ReadonlyMap<string, Shape>,
): string | undefined {
  const [output] = outputsOf(node);
  const readers = nodes.filter((one) => one.inputs.includes(output));
  const [sum] = readers;
  if (readers.length !== 1 || sum.kind !== 'add' || outputs.includes(output)) return undefined;
  const others = sum.inputs.filter((name) => name !== output);
  if (sum.inputs.length !== 2 || others.length !== 1) return undefined;
  const [other] = others;
  const before = nodes.slice(0, nodes.indexOf(node));
  const isThere = inputs.some(({ name }) => name === other) || before.some((one) => outputsOf(one).includes(other));
  return isThere && sameShape(shapes.get(other) ?? [], shapes.get(output) ?? []) ? other : undefined;
}

/** Where output o of a sample of a batch lies, at position p. */
function placeOf(
  { outputs, positions, outputStep, positionStep }: Window,
  sample: number,
  o: number,
  p: number,
): number {
  return sample * outputs * positions + o * outputStep + p * positionStep;
}

/** So many nodes make the values. */
function endOf(network: Network, values: readonly string[]): number {
  const producers = producersOf(network);
  return Math.max(0, ...values.map((name) => (producers.get(name) ?? -1) + 1));
}

/** Place among the positions of the input that a tap joins with this one of the output; -1: none, or the padding. */
function offsetAt(tap: Tap, position: number, inputSides: Shape, outputSides: Shape): number {
  let [place, rest] = [0, position];
  for (let axis = 0; axis < tap.length; axis++) {
    const inner = sizeOf(outputSides.slice(axis + 1));
    const { count, input, output } = tap[axis];
    const along = (Math.floor(rest / inner) - output.first) / output.step;
    if (!Number.isInteger(along) || along < 0 || along >= count) return -1;
    place = place * inputSides[axis] + input.first + along * input.step;
    rest %= inner;
  }
  return place;
}

/** The positions of one layer in one sample: all, or so many drawn. */
function drawn(seed: number, node: string, sample: number, all: number, count: number): Int32Array {
  if (count >= all) return Int32Array.from({ length: all }, (_, p) => p);
  const draw = stream(seed, 'moment positions', node, sample);
  return Int32Array.from({ length: count }, () => below(draw, all));
}

interface Sums {
  readonly layer: Window;
  readonly perSample: number;
  /** The layer's, where what it lacks belongs to the responses. */
  readonly addend: string | undefined;
  /**
   * Takes the next observation in: position p of a sample's value.
   * @param addend - a batch of it, in which it is this row
   */
  add(value: FloatArray, position: number, addend: FloatArray | undefined, row: number): void;
  finish(who: string): LayerMoments;
}

function createSums(
  layer: Window,
  perSample: number,
  samples: number,
  { rows, covariance: isWhole = true }: LayerRequest,
  recording: Recording | undefined,
): Sums {
  const { columns, taps, outputs, groups, channelStep } = layer;
  const responses = rows && recording;
  const chunk = Math.min(CHUNK, samples * perSample);
  const perGroup = (rows?.length ?? 0) / groups;
  const inputs = groups * columns;
  const x = new Float64Array(inputs * chunk);
  const y = new Float64Array(responses ? rows.length * chunk : 0);
  const squares = new Float64Array(inputs);
  const covariance = new Float64Array(isWhole ? inputs * columns : 0);
  const cross = new Float64Array(responses ? rows.length * columns : 0);
  const [xOrigin, xSums] = [new Float64Array(inputs), new Float64Array(inputs)];
  const [yOrigin, ySums] = [new Float64Array(rows?.length ?? 0), new Float64Array(rows?.length ?? 0)];
  let filled = 0;
  let observations = 0;
  const ofGroup = (values: Float64Array, group: number): Float64Array => {
    const length = values.length / groups;
    return values.subarray(group * length, (group + 1) * length);
  };

  const flush = (): void => {
    if (filled === 0) return;
    const isFirst = observations === filled;
    settle(x, inputs, chunk, filled, isFirst, xOrigin, xSums, squares);
    if (responses) settle(y, rows.length, chunk, filled, isFirst, yOrigin, ySums);
    for (let g = 0; g < groups; g++) {
      const read = ofGroup(x, g);
      if (isWhole) gram(read, columns, chunk, ofGroup(covariance, g));
      if (responses) rowProducts(ofGroup(y, g), perGroup, read, columns, chunk, ofGroup(cross, g));
    }
    filled = 0;
  };
  return {
    layer,
    perSample,
    addend: responses?.beside && layer.addend,
    add(value, position, addend, row) {
      for (let t = 0; t < taps; t++) {
        const from = layer.offsetOf(position, t);
        for (let at = t * chunk + filled, c = 0; at < x.length; at += taps * chunk, c++)
          x[at] = from < 0 ? 0 : value[from + c * channelStep];
      }
      if (responses) {
        const { data, beside } = responses;
        const from = observations * responses.outputs;
        for (let i = 0; i < rows.length; i++) {
          y[i * chunk + filled] = data[from + rows[i]];
          if (addend && beside)
            y[i * chunk + filled] += beside[from + rows[i]] - addend[placeOf(layer, row, i, position)];
        }
      }
      observations++;
      if (++filled === chunk) flush();
    },
    finish(who) {
      flush();
      const n = observations;
      const [xMean, yMean] = [xSums.map((sum) => sum / n), ySums.map((sum) => sum / n)];
      const variance = squares.map((sum, j) => Math.max(0, sum / n - square(xMean[j])));
      for (let i = 0; isWhole && i < inputs; i++) {
        const group = ofGroup(xMean, Math.floor(i / columns));
        for (let j = 0; j < columns; j++)
          covariance[i * columns + j] = covariance[i * columns + j] / n - xMean[i] * group[j];
      }
      for (let o = 0; o < yMean.length; o++) {
        const group = ofGroup(xMean, Math.floor(o / perGroup));
        for (let j = 0; j < columns; j++) cross[o * columns + j] = cross[o * columns + j] / n - yMean[o] * group[j];
      }
      const mean = xMean.map((value, j) => value + xOrigin[j]);
      if (![mean, yMean].every((values) => values.every((value) => Number.isFinite(value))))
        throw new EspalierError(
          'DATA',
          `${who}: layer ${show(layer.node)}: expected finite activations; the network has diverged or samples are out of range`,
          { name: layer.node },
        );
      return {
        node: layer.node,
        outputs,
        columns,
        taps,
        groups,
        observations: n,
        mean,
        variance,
        covariance,
        ...(responses && { responses: { mean: yMean.map((value, o) => value + yOrigin[o]), cross } }),
      };
    },
  };
}

/** Takes rows of observations from the origin, which is the mean of the first chunk, and adds them to the sums; what is not filled becomes 0. */
function settle(
  rows: Float64Array,
  count: number,
  stride: number,
  filled: number,
  isFirst: boolean,
  origin: Float64Array,
  sums: Float64Array,
  squares?: Float64Array,
): void {
  for (let r = 0; r < count; r++) {
    const row = rows.subarray(r * stride, (r + 1) * stride);
    if (isFirst) {
      let sum = 0;
      for (let i = 0; i < filled; i++) sum += row[i];
      origin[r] = sum / filled;
    }
    let sum = 0;
    for (let i = 0; i < filled; i++) sum += row[i] -= origin[r];
    sums[r] += sum;
    row.fill(0, filled);
    if (!squares) continue;
    let total = 0;
    for (let i = 0; i < filled; i++) total += square(row[i]);
    squares[r] += total;
  }
}
