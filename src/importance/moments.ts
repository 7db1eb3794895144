/**
 * Second moments of what layers read, as their weights see it: one column for each column of the weight matrix (inputs x
 * taps, unfolded at positions drawn from all), and their cross moments with the responses of another network. What
 * least-squares repair and error feedback in quantization are made of. No labels are needed.
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
import { sizeOf } from '../base/tensor.ts';
import type { FloatArray, Shape } from '../base/tensor.ts';
import { createExecutor } from '../execution/executor.ts';
import type { Executor } from '../execution/types.ts';
import { resolveContext } from '../graph/context.ts';
import type { GivenContext } from '../graph/context.ts';
import type { Network, Node } from '../graph/network.ts';
import { constantInputsOf, outputsOf, parametersOf } from '../graph/walk.ts';
import { inferShapes, weightedLayers } from '../network/shapes.ts';
import { couplingOf } from '../operators/table.ts';
import type { Tap } from '../operators/types.ts';
import { gram, rowProducts } from './correlation.ts';
import { readSamples } from './samples.ts';
import type { MeasureContext } from './statistics.ts';

/** What a layer reads, column by column of its weight matrix. */
export interface LayerMoments {
  readonly node: string;
  /** Rows and columns of the weight matrix, and its taps: column c taps + t is tap t of channel c. */
  readonly outputs: number;
  readonly columns: number;
  readonly taps: number;
  /** Samples x positions. */
  readonly observations: number;
  /** (columns) */
  readonly mean: Float64Array;
  /** (columns) */
  readonly variance: Float64Array;
  /** (columns, columns): E[(x - mean)(x - mean)^T]; empty where variances alone were asked for. */
  readonly covariance: Float64Array;
  /** Of a reference's responses to the same samples at the same positions, where they were asked for. */
  readonly responses?: {
    /** (outputs) */
    readonly mean: Float64Array;
    /** (outputs, columns): E[(y - mean)(x - mean)^T]. */
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
}

/** Defaults of {@link MomentsOptions}. */
export const MOMENTS_DEFAULTS = { samples: 512, positions: 16, batch: 32 } as const;

/** A layer to be measured. */
export interface LayerRequest {
  readonly node: string;
  /** Which outputs of the reference its own are: asks for the reference's responses. */
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
/** Numbers that are kept of the samples, and of the reference's responses, in all; what goes beyond is made anew each time. */
const KEPT = 2 ** 25;

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
  options: MomentsOptions = {},
): Promise<Map<string, LayerMoments>> {
  const meter = await openMoments('measureMoments', network, context, options);
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
  const { groups } = node.attributes as { readonly groups?: number };
  if (groups !== undefined && groups > 1) return `each of its ${groups} groups of filters reads inputs of its own`;
  const shape = network.parameters.get(weight)?.shape ?? [];
  if (!couplingOf(node).taps && shape.length !== 2)
    return `its operator ${show(node.kind)} does not say what its weight reads`;
  return undefined;
}

/** {@link measureMoments} for steps that measure again and again. @param reference - whose responses can be asked for */
export async function openMoments(
  who: string,
  reference: Network,
  givenContext: GivenContext<MeasureContext>,
  given: MomentsOptions = {},
): Promise<MomentsMeter> {
  checkNetwork(who, 'network', reference);
  const context = await resolveContext<MeasureContext>(who, givenContext);
  const options = ownOptions(who, 'options', given, ['samples', 'positions', 'batch']);
  const wanted = checkInteger(who, 'samples', options.samples ?? MOMENTS_DEFAULTS.samples, 1);
  const positions = checkInteger(who, 'positions', options.positions ?? MOMENTS_DEFAULTS.positions, 1);
  const batch = checkInteger(who, 'batch', options.batch ?? MOMENTS_DEFAULTS.batch, 1);
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
  const kept = samples * size <= KEPT ? new Float32Array(samples * size) : undefined;
  let isRead = false;
  const recorded = new Map<string, Recording>();

  /** Passes of all samples over the part of a network that `values` need. */
  const pass = async (
    network: Network,
    values: readonly string[],
    visit: (valueOf: (name: string) => FloatArray, first: number, count: number) => void,
  ): Promise<void> => {
    const part = upTo(network, values);
    const rows = Math.min(batch, samples);
    const executor: Executor | undefined =
      part.nodes.length === 0 ? undefined : await createExecutor(part, { batch: rows, kernels, threads });
    try {
      for (let first = 0; first < samples; first += rows) {
        await control.pause();
        const count = Math.min(rows, samples - first);
        const inputs = await inputsOf(first, count);
        executor?.input().set(inputs);
        executor?.forward();
        visit((name) => (name === network.inputs[0].name ? inputs : executor!.output(name)), first, count);
      }
    } finally {
      executor?.dispose();
    }
    if (kept) isRead = true;
  };
  const inputsOf = async (first: number, count: number): Promise<Float32Array> => {
    if (kept && isRead) return kept.subarray(first * size, (first + count) * size);
    const { inputs } = await readSamples(who, training, indices.subarray(first, first + count), false, control);
    kept?.set(inputs, first * size);
    return inputs;
  };
  /** Responses of the reference: of the layers that are asked for, and of those behind them while there is room. */
  const record = async (layers: readonly string[]): Promise<void> => {
    recorded.clear();
    const shapes = inferShapes(reference);
    const names = weightedLayers(reference).map(({ name }) => name);
    const from = Math.min(...layers.map((name) => names.indexOf(name)));
    let room = KEPT;
    const recordings = names.slice(from).flatMap((name): Recording[] => {
      if (momentsObstacle(reference, name) !== undefined) return [];
      const windows = windowOf(reference, name, shapes);
      const perSample = Math.min(positions, windows.positions);
      room -= samples * perSample * windows.outputs;
      if (room < 0 && !layers.includes(name)) return [];
      return [{ ...windows, perSample, data: new Float32Array(samples * perSample * windows.outputs) }];
    });
    await pass(
      reference,
      recordings.map(({ output }) => output),
      (valueOf, first, count) => {
        for (const { node, output, outputs, positions: all, outputStep, positionStep, perSample, data } of recordings) {
          const value = valueOf(output);
          for (let i = 0; i < count; i++) {
            const sample = first + i;
            let at = sample * perSample * outputs;
            for (const p of drawn(seed, node, indices[sample], all, perSample)) {
              const base = i * outputs * all + p * positionStep;
              for (let o = 0; o < outputs; o++) data[at++] = value[base + o * outputStep];
            }
          }
        }
      },
    );
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
      await pass(
        network,
        sums.map(({ layer }) => layer.value),
        (valueOf, first, count) => {
          for (const sum of sums) {
            const { layer, perSample } = sum;
            const value = valueOf(layer.value);
            const length = layer.inputWords;
            for (let i = 0; i < count; i++) {
              const one = value.subarray(i * length, (i + 1) * length);
              for (const p of drawn(seed, layer.node, indices[first + i], layer.positions, perSample)) sum.add(one, p);
            }
          }
        },
      );
      return new Map(sums.map((sum) => [sum.layer.node, sum.finish(who)]));
    },
  };
}

interface Recording extends Window {
  readonly perSample: number;
  /** (samples, perSample, outputs) */
  readonly data: Float32Array;
}

/** Where a layer's weight reads and writes, at each of its positions. */
interface Window {
  readonly node: string;
  /** Names of what it reads and yields. */
  readonly value: string;
  readonly output: string;
  readonly outputs: number;
  readonly columns: number;
  readonly taps: number;
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
  const common = { node: name, value, output, outputs, columns: inputs * sizeOf(kernel), inputWords: sizeOf(input) };
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
  /** Takes the next observation in: position p of a sample's value. */
  add(value: FloatArray, position: number): void;
  finish(who: string): LayerMoments;
}

function createSums(
  layer: Window,
  perSample: number,
  samples: number,
  { rows, covariance: isWhole = true }: LayerRequest,
  recording: Recording | undefined,
): Sums {
  const { columns, taps, outputs, channelStep } = layer;
  const responses = rows && recording;
  const chunk = Math.min(CHUNK, samples * perSample);
  const x = new Float64Array(columns * chunk);
  const y = new Float64Array(responses ? rows.length * chunk : 0);
  const squares = new Float64Array(columns);
  const covariance = new Float64Array(isWhole ? columns * columns : 0);
  const cross = new Float64Array(responses ? rows.length * columns : 0);
  const [xOrigin, xSums] = [new Float64Array(columns), new Float64Array(columns)];
  const [yOrigin, ySums] = [new Float64Array(rows?.length ?? 0), new Float64Array(rows?.length ?? 0)];
  let filled = 0;
  let observations = 0;

  const flush = (): void => {
    if (filled === 0) return;
    const isFirst = observations === filled;
    settle(x, columns, chunk, filled, isFirst, xOrigin, xSums, squares);
    if (isWhole) gram(x, columns, chunk, covariance);
    if (responses) {
      settle(y, rows.length, chunk, filled, isFirst, yOrigin, ySums);
      rowProducts(y, rows.length, x, columns, chunk, cross);
    }
    filled = 0;
  };
  return {
    layer,
    perSample,
    add(value, position) {
      for (let t = 0; t < taps; t++) {
        const from = layer.offsetOf(position, t);
        for (let at = t * chunk + filled, c = 0; at < x.length; at += taps * chunk, c++)
          x[at] = from < 0 ? 0 : value[from + c * channelStep];
      }
      if (responses) {
        const from = observations * recording.outputs;
        for (let i = 0; i < rows.length; i++) y[i * chunk + filled] = recording.data[from + rows[i]];
      }
      observations++;
      if (++filled === chunk) flush();
    },
    finish(who) {
      flush();
      const n = observations;
      const [xMean, yMean] = [xSums.map((sum) => sum / n), ySums.map((sum) => sum / n)];
      const variance = squares.map((sum, j) => Math.max(0, sum / n - square(xMean[j])));
      for (let i = 0; isWhole && i < columns; i++)
        for (let j = 0; j < columns; j++)
          covariance[i * columns + j] = covariance[i * columns + j] / n - xMean[i] * xMean[j];
      for (let o = 0; o < yMean.length; o++)
        for (let j = 0; j < columns; j++) cross[o * columns + j] = cross[o * columns + j] / n - yMean[o] * xMean[j];
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

/** The part of a network that some of its values need, with these as outputs. */
function upTo(network: Network, values: readonly string[]): Network {
  const wanted = new Set(values);
  const nodes: Node[] = [];
  for (const node of [...network.nodes].reverse()) {
    if (!outputsOf(node).some((name) => wanted.has(name))) continue;
    nodes.unshift(node);
    for (const name of node.inputs) wanted.add(name);
  }
  const used = new Set([...nodes.flatMap(parametersOf), ...constantInputsOf({ ...network, nodes })]);
  const inputs = new Set(network.inputs.map(({ name }) => name));
  return {
    name: network.name,
    inputs: network.inputs,
    nodes,
    outputs: [...new Set(values)].filter((name) => !inputs.has(name)),
    parameters: new Map([...network.parameters].filter(([name]) => used.has(name))),
  };
}
