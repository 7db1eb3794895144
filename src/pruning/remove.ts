/**
 * Removal of neurons for real: smaller tensors, no masks. What the removed channels contributed is folded into their
 * consumers: the mean into the bias, and on demand the part that the remaining channels predict into their columns.
 */
import { ownOptions } from '../base/rules.ts';
import { isDense } from '../encodings/index.ts';
import type { DenseEncoding, Encoding } from '../encodings/types.ts';
import { EspalierError, show } from '../base/errors.ts';
import { outgoingSquares } from '../importance/contribution.ts';
import { elementOf, spanOf } from '../importance/slices.ts';
import type { ChannelGroup, ChannelMoments, Consumer, ParameterSlice } from '../importance/types.ts';
import type { Network, Node } from '../graph/network.ts';
import { parameterCount } from '../network/shapes.ts';
import { sizeOf } from '../base/tensor.ts';
import type { TransformReport } from '../graph/transform.ts';
import { findGroups, prunableGroup } from './groups.ts';
import { regression } from './repair.ts';

/**
 * Ridge of the least-squares repair. Measured on a trained landmark network from 512 samples (docs/method.md): flat from
 * 0.001 to 0.01, worse above; for channels chosen at random, where more is left to predict, flat to 0.03.
 */
export const DEFAULT_RIDGE = 0.003;

/**
 * Below so many observations per kept channel the ridge grows in proportion: 768 dense units from 512 samples want a
 * hundred times that of a convolution, which sees as many at every position (docs/method.md).
 */
const PLENTY = 30;

export interface RemoveOptions {
  /**
   * Moments of the channels as the consumers see them: one per consumer in the order of the group's consumers
   * (`measureActivations(...).groups.get(name).consumers`), or one alone for all. Given: the mean of what goes is
   * folded into the consumers' biases. Absent: nothing is folded.
   */
  moments?: ChannelMoments | readonly ChannelMoments[];
  /** Least-squares repair of the consumers' columns; needs `covariance` in the moments. Default false. */
  repair?: boolean;
  /**
   * Share of the mean of what the kept channels contribute that repair adds to the contribution of each; see
   * `regression`. More where the moments are of fewer than 30 observations per kept channel: times 30 kept / observations.
   * Default {@link DEFAULT_RIDGE}.
   */
  ridge?: number;
}

export interface RemovalReport extends TransformReport {
  readonly transform: 'removeNeurons';
  readonly group: string;
  readonly before: number;
  readonly after: number;
  /** Ascending. */
  readonly removed: readonly number[];
  readonly folded: boolean;
  readonly repaired: boolean;
  /** Removed channels that were exact multiples of kept ones and merged with them, at the first consumer. */
  readonly merged: number;
  /** Trained parameters of the network. */
  readonly parametersBefore: number;
  readonly parametersAfter: number;
}

/**
 * Removes all but the `kept` channels of a group: rows and biases of the producers, norm vectors, depthwise filters and
 * the consumers' columns.
 *
 * The fold of the mean is exact for a channel that is constant, away from padded borders (there the consumer sees zeros
 * instead); a consumer without bias gains one. Repair adds to the column of each kept channel k the sum over removed r
 * of B[r, k] times r's column, B the same at every tap.
 *
 * @param group - name of a conv or dense node of the group
 * @param kept - channels to keep, each once, in any order; at least one
 * @throws {EspalierError} COUPLING if the group cannot be pruned, with the reason
 * @throws {RangeError} if `kept` is empty, repeats a channel or names none, or if the moments do not fit
 * @example
 * import { removeNeurons } from 'espalier/pruning';
 * const { network: thinner, report } = removeNeurons(network, 'conv1', [0, 2, 3]);
 */
export function removeNeurons(
  network: Network,
  group: string,
  kept: ArrayLike<number>,
  given: RemoveOptions = {},
): { network: Network; report: RemovalReport } {
  const who = 'removeNeurons';
  const options = ownOptions(who, 'options', given, ['moments', 'repair', 'ridge']);
  const found = prunableGroup(who, findGroups(network), group);
  const stays = keptMask(who, kept, found);
  const removed = indicesOf(stays, false);
  const moments = momentsOf(who, found, options);
  const parametersBefore = parameterCount(network);
  const report: RemovalReport = {
    transform: who,
    group: found.name,
    before: found.channels,
    after: found.channels - removed.length,
    removed,
    folded: removed.length > 0 && moments !== undefined,
    repaired: removed.length > 0 && options.repair === true,
    merged: 0,
    parametersBefore,
    parametersAfter: parametersBefore,
  };
  if (removed.length === 0) return { network, report };

  let merged = 0;
  const draft: Draft = { nodes: [...network.nodes], parameters: new Map(network.parameters) };
  if (moments) {
    if (options.repair === true) joinDuplicates(draft, found, indicesOf(stays, true), removed);
    found.consumers.forEach((consumer, i) => {
      const folded = fold(draft, consumer, { stays, removed, channels: found.channels }, moments[i], options);
      if (i === 0) merged = folded;
    });
  }
  for (const slices of bySide([...found.rows, ...found.consumers])) {
    const [{ parameter, axis }] = slices;
    draft.parameters.set(parameter, cut(denseOf(draft, parameter), axis, slices, stays));
  }
  for (const { node: name, attribute, index, span } of found.counts) {
    replaceNode(draft, name, (node) => {
      const before = node.attributes[attribute] as number | readonly number[];
      const less = removed.length * span;
      const count =
        typeof before === 'number' ? before - less : before.map((one, i) => (i === index ? one - less : one));
      return { ...node, attributes: { ...node.attributes, [attribute]: count } };
    });
  }
  const smaller = { ...network, nodes: draft.nodes, parameters: draft.parameters };
  return { network: smaller, report: { ...report, merged, parametersAfter: parameterCount(smaller) } };
}

/** The parts of a network that change. */
interface Draft {
  nodes: Node[];
  parameters: Map<string, Encoding>;
}

interface Choice {
  readonly channels: number;
  /** By channel: 1 stays. */
  readonly stays: Uint8Array;
  readonly removed: readonly number[];
}

function keptMask(who: string, kept: ArrayLike<number>, group: ChannelGroup): Uint8Array {
  if (typeof kept !== 'object' || kept === null || typeof kept.length !== 'number')
    throw new TypeError(`${who}: kept: expected an array of channel numbers, got ${show(kept)}`);
  if (kept.length === 0)
    throw new RangeError(
      `${who}: kept: expected at least one channel of group ${show(group.name)}, got none; a layer without channels computes nothing`,
    );
  const stays = new Uint8Array(group.channels);
  for (let i = 0; i < kept.length; i++) {
    const channel = kept[i];
    if (!Number.isSafeInteger(channel) || channel < 0 || channel >= group.channels)
      throw new RangeError(
        `${who}: kept: expected whole numbers from 0 to ${group.channels - 1}, got ${show(channel)}`,
      );
    if (stays[channel] === 1) throw new RangeError(`${who}: kept: expected each channel once, got ${channel} twice`);
    stays[channel] = 1;
  }
  return stays;
}

function indicesOf(mask: Uint8Array, value: boolean): number[] {
  const indices: number[] = [];
  mask.forEach((bit, i) => {
    if ((bit === 1) === value) indices.push(i);
  });
  return indices;
}

function momentsOf(
  who: string,
  group: ChannelGroup,
  { moments, repair }: RemoveOptions,
): readonly ChannelMoments[] | undefined {
  if (!moments) {
    if (repair)
      throw new TypeError(
        `${who}: moments: expected means and covariances for repair, got none; measure them with measureActivations(..., { covariances: true })`,
      );
    return undefined;
  }
  const { channels, consumers } = group;
  const list = 'mean' in moments ? consumers.map(() => moments) : moments;
  if (list.length !== consumers.length)
    throw new RangeError(
      `${who}: moments: expected one for each of the ${consumers.length} consumers of group ${show(group.name)}, got ${list.length}`,
    );
  consumers.forEach((consumer, i) => {
    const { mean, covariance } = list[i];
    if (mean.length !== channels && mean.length !== channels * spanOf(consumer)) {
      throw new RangeError(
        `${who}: moments: expected ${channels} means${spanOf(consumer) > 1 ? ` or ${channels * spanOf(consumer)}` : ''} for consumer ${show(consumer.node)}, got ${mean.length}`,
      );
    }
    const wrong = Array.from(mean).find((value) => !Number.isFinite(value));
    if (wrong !== undefined)
      throw new EspalierError(
        'NONFINITE',
        `${who}: moments: expected finite means, got ${wrong} at consumer ${show(consumer.node)}`,
        { name: consumer.node, found: wrong },
      );
    if (repair && covariance?.length !== channels * channels) {
      throw new RangeError(
        `${who}: moments: expected ${channels} x ${channels} covariances for repair at consumer ${show(consumer.node)}, got ${covariance?.length ?? 'none'}`,
      );
    }
  });
  return list;
}

/**
 * A removed channel whose every row is that of a kept one is the same function: its columns go to that one, the lowest of
 * several. Apart from the regression, which cannot tell such a pair from two channels that fired once, together, and
 * would trust a kept one that contributes little to be that by chance.
 */
function joinDuplicates(
  draft: Draft,
  { rows, consumers, channels }: ChannelGroup,
  kept: readonly number[],
  removed: readonly number[],
): void {
  const tensors = rows.map((slice) => ({ slice, ...denseOf(draft, slice.parameter) }));
  const alike = (a: number, b: number): boolean =>
    tensors.every(({ slice, shape, data }) => {
      const { axis } = slice;
      const [outer, inner] = [sizeOf(shape.slice(0, axis)), sizeOf(shape.slice(axis + 1))];
      for (let s = 0; s < spanOf(slice); s++) {
        const [left, right] = [a, b].map((channel) => elementOf(slice, channels, channel, s));
        for (let o = 0; o < outer; o++) {
          const [from, to] = [left, right].map((place) => (o * shape[axis] + place) * inner);
          for (let i = 0; i < inner; i++) if (data[from + i] !== data[to + i]) return false;
        }
      }
      return true;
    });
  for (const r of removed) {
    const twin = kept.find((k) => alike(k, r));
    if (twin === undefined) continue;
    for (const consumer of consumers) {
      const encoding = denseOf(draft, consumer.parameter);
      const [outputs, inputs, ...kernel] = encoding.shape;
      const taps = sizeOf(kernel);
      const data = encoding.data.slice();
      for (let s = 0; s < spanOf(consumer); s++) {
        const [from, to] = [r, twin].map((channel) => elementOf(consumer, channels, channel, s));
        for (let o = 0; o < outputs; o++) {
          for (let t = 0; t < taps; t++) {
            data[(o * inputs + to) * taps + t] += data[(o * inputs + from) * taps + t];
            data[(o * inputs + from) * taps + t] = 0;
          }
        }
      }
      draft.parameters.set(consumer.parameter, { ...encoding, data });
    }
  }
}

/**
 * Adds to a consumer's bias (and in repair to its kept columns) what the removed channels contributed. Returns how many
 * merged exactly.
 */
function fold(
  draft: Draft,
  consumer: Consumer,
  { stays, removed, channels }: Choice,
  moments: ChannelMoments,
  options: RemoveOptions,
): number {
  const width = spanOf(consumer);
  const kept = indicesOf(stays, true);
  const { coefficients, merged } =
    options.repair && moments.covariance
      ? regression(
          moments.covariance,
          channels,
          kept,
          removed,
          (options.ridge ?? DEFAULT_RIDGE) * Math.max(1, (PLENTY * kept.length) / (moments.observations ?? Infinity)),
          outgoingOf(draft, consumer, moments.covariance, channels),
        )
      : { coefficients: undefined, merged: 0 };
  const mean = (c: number, p: number): number =>
    moments.mean.length === channels ? moments.mean[c] : moments.mean[c * width + p];
  // What is left of the mean after the prediction from kept channels: (removed, width).
  const constant = new Float64Array(removed.length * width);
  removed.forEach((r, i) => {
    for (let p = 0; p < width; p++) {
      let rest = mean(r, p);
      if (coefficients)
        kept.forEach((k, j) => {
          rest -= coefficients[i * kept.length + j] * mean(k, p);
        });
      constant[i * width + p] = rest;
    }
  });

  const encoding = denseOf(draft, consumer.parameter);
  const [outputs, inputs, ...kernel] = encoding.shape;
  const taps = sizeOf(kernel);
  const columns = inputs * taps;
  const weights = Float64Array.from(encoding.data);
  const shift = new Float64Array(outputs);
  // Where the weights of each column of a channel begin in a row.
  const starts = Array.from(
    { length: channels * width },
    (_, j) => taps * elementOf(consumer, channels, Math.floor(j / width), j % width),
  );
  for (let o = 0; o < outputs; o++) {
    const row = o * columns;
    removed.forEach((r, i) => {
      for (let s = 0; s < width; s++) {
        const from = row + starts[r * width + s];
        for (let t = 0; t < taps; t++) shift[o] += weights[from + t] * constant[i * width + s];
      }
      if (!coefficients) return;
      for (let j = 0; j < kept.length; j++) {
        const b = coefficients[i * kept.length + j];
        if (b === 0) continue;
        for (let s = 0; s < width; s++) {
          const [from, to] = [row + starts[r * width + s], row + starts[kept[j] * width + s]];
          for (let t = 0; t < taps; t++) weights[to + t] += b * weights[from + t];
        }
      }
    });
  }
  if (coefficients) draft.parameters.set(consumer.parameter, { ...encoding, data: Float32Array.from(weights) });
  addToBias(draft, consumer.node, shift);
  return merged;
}

/** Size of the weights by which a consumer reads each channel, over its columns and taps, in units of what it hears. */
function outgoingOf(draft: Draft, consumer: Consumer, covariance: Float64Array, channels: number): Float64Array {
  const width = spanOf(consumer);
  const variance = Float64Array.from({ length: channels * width }, (_, j) => {
    const c = Math.floor(j / width);
    return covariance[c * channels + c];
  });
  const squares = new Float64Array(channels);
  outgoingSquares(draft, consumer, variance).forEach((square, j) => (squares[Math.floor(j / width)] += square));
  return squares.map(Math.sqrt);
}

function addToBias(draft: Draft, name: string, shift: Float64Array): void {
  if (shift.every((value) => value === 0)) return;
  const bias = draft.nodes.find((node) => node.name === name)?.parameters.bias;
  if (bias !== undefined) {
    const encoding = denseOf(draft, bias);
    draft.parameters.set(bias, { ...encoding, data: encoding.data.map((value, o) => value + shift[o]) });
    return;
  }
  let fresh = `${name}.bias`;
  while (draft.parameters.has(fresh)) fresh += '_';
  draft.parameters.set(fresh, { kind: 'dense', shape: [shift.length], data: Float32Array.from(shift) });
  replaceNode(draft, name, (node) => ({ ...node, parameters: { ...node.parameters, bias: fresh } }));
}

function replaceNode(draft: Draft, name: string, change: (node: Node) => Node): void {
  draft.nodes = draft.nodes.map((node) => (node.name === name ? change(node) : node));
}

/** Slices of one parameter and axis are cut at once, so that no cut moves what another one names. */
function bySide(slices: readonly ParameterSlice[]): Iterable<readonly ParameterSlice[]> {
  const sides = new Map<string, ParameterSlice[]>();
  for (const slice of slices) {
    const key = `${slice.axis} ${slice.parameter}`;
    sides.set(key, [...(sides.get(key) ?? []), slice]);
  }
  return sides.values();
}

/** Leaves the removed channels' elements of one axis out. */
function cut(
  encoding: DenseEncoding,
  axis: number,
  slices: readonly ParameterSlice[],
  stays: Uint8Array,
): DenseEncoding {
  const { shape, data } = encoding;
  const left = new Uint8Array(shape[axis]).fill(1);
  for (const slice of slices)
    stays.forEach((bit, c) => {
      for (let s = 0; s < spanOf(slice); s++) left[elementOf(slice, stays.length, c, s)] = bit;
    });
  const count = left.reduce((sum, bit) => sum + bit, 0);
  const outer = sizeOf(shape.slice(0, axis));
  const inner = sizeOf(shape.slice(axis + 1));
  const out = new Float32Array(outer * count * inner);
  let to = 0;
  for (let o = 0; o < outer; o++) {
    for (let i = 0; i < shape[axis]; i++) {
      if (left[i] === 0) continue;
      const from = (o * shape[axis] + i) * inner;
      for (let j = 0; j < inner; j++) out[to++] = data[from + j];
    }
  }
  return { kind: 'dense', shape: shape.with(axis, count), data: out };
}

function denseOf(draft: Draft, name: string): DenseEncoding {
  const encoding = draft.parameters.get(name);
  if (!isDense(encoding))
    throw new EspalierError(
      'COUPLING',
      `removeNeurons: parameter ${show(name)} is ${encoding?.kind ?? 'missing'}: no step cuts an encoded tensor`,
      { name },
    );
  return encoding;
}
