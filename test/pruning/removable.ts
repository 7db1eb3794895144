/** What may be done with every group of a network: what findGroups says is what removeNeurons may do. */
import { expect } from 'vitest';
import { sizeOf } from '../../src/base/tensor.ts';
import { stream } from '../../src/base/random.ts';
import type { DenseEncoding } from '../../src/encodings/types.ts';
import type { Network } from '../../src/graph/network.ts';
import type { ChannelGroup, ParameterSlice } from '../../src/importance/types.ts';
import { portableKernels } from '../../src/kernels/index.ts';
import { checkGraph } from '../../src/network/check.ts';
import { readNetwork } from '../../src/network/read.ts';
import { inferShapes, parameterCount, weightedLayers } from '../../src/network/shapes.ts';
import { writeNetwork } from '../../src/network/write.ts';
import { findGroups, removeNeurons } from '../../src/pruning/index.ts';
import { outputsOfRun, relativeDifference, trainedParameters } from '../operators/running.ts';
import type { Values } from '../operators/running.ts';

/** Sums in another order, in double. */
const ROUNDING = 1e-11;

const outputsIn = (network: Network): Promise<Map<string, Values>> =>
  outputsOfRun(network, { kernels: portableKernels(), batch: 2, precision: 'float64' });

/** Elements of a parameter along an axis that belong to a channel of a slice, of so many channels. */
const placesOf = ({ first, width, repeats = 1 }: ParameterSlice, channels: number, channel: number): number[] =>
  Array.from({ length: repeats }, (_, r) =>
    Array.from({ length: width }, (_, i) => first + (r * channels + channel) * width + i),
  ).flat();

/** A parameter with what `edit` makes of each run of values at a place of an axis: (values, from) of each. */
function edited(
  network: Network,
  parameter: string,
  edit: (values: Float32Array, at: (outer: number, place: number) => number, outer: number, inner: number) => void,
  axis: number,
): Network {
  const encoding = network.parameters.get(parameter) as DenseEncoding;
  const { shape } = encoding;
  const data = encoding.data.slice();
  const [outer, inner] = [sizeOf(shape.slice(0, axis)), sizeOf(shape.slice(axis + 1))];
  edit(data, (o, place) => (o * shape[axis] + place) * inner, outer, inner);
  return { ...network, parameters: new Map(network.parameters).set(parameter, { ...encoding, data }) };
}

/** For each consumer's column of channel `from`: `change` of (values, index there, index in the column of `to`). */
function editColumns(
  network: Network,
  { consumers, channels }: ChannelGroup,
  from: number,
  to: number,
  change: (values: Float32Array, from: number, to: number) => void,
): Network {
  return consumers.reduce((before, slice) => {
    const [source, target] = [placesOf(slice, channels, from), placesOf(slice, channels, to)];
    const edit = (
      values: Float32Array,
      at: (o: number, place: number) => number,
      outer: number,
      inner: number,
    ): void => {
      for (let o = 0; o < outer; o++) {
        source.forEach((place, i) => {
          for (let j = 0; j < inner; j++) change(values, at(o, place) + j, at(o, target[i]) + j);
        });
      }
    };
    return edited(before, slice.parameter, edit, 1);
  }, network);
}

/** Channel `to` made a twin of channel `from`: everything along rows that makes it. */
const withTwin = (network: Network, { rows, channels }: ChannelGroup, from: number, to: number): Network =>
  rows.reduce((before, slice) => {
    const [source, target] = [placesOf(slice, channels, from), placesOf(slice, channels, to)];
    return edited(
      before,
      slice.parameter,
      (values, at, outer, inner) => {
        for (let o = 0; o < outer; o++)
          source.forEach((place, i) => values.copyWithin(at(o, target[i]), at(o, place), at(o, place) + inner));
      },
      slice.axis,
    );
  }, network);

/** Some but not all channels of a group, by a seed. */
function someOf({ channels }: ChannelGroup, seed: number): { kept: number[]; removed: number[] } {
  const random = stream(seed, 'removed');
  const order = Array.from({ length: channels }, (_, c) => ({ c, at: random() })).sort((a, b) => a.at - b.at);
  const count = 1 + Math.floor(random() * (channels - 1));
  const inOrder = (some: typeof order): number[] => some.map(({ c }) => c).sort((a, b) => a - b);
  return { removed: inOrder(order.slice(0, count)), kept: inOrder(order.slice(count)) };
}

async function expectSameOutputs(found: Network, expected: Network, what: string): Promise<void> {
  const [left, right] = [await outputsIn(found), await outputsIn(expected)];
  for (const [name, values] of right) {
    // Functions of functions may overflow: then there is nothing to compare.
    if (!values.every((value) => Math.abs(value) < 1e6)) continue;
    expect(relativeDifference(left.get(name)!, values), `${what}: ${name}`).toBeLessThan(ROUNDING);
  }
}

/** All that is said of groups as data: what each owns is there, is owned once, and has an owner or a reason. */
function expectWhole(network: Network, groups: readonly ChannelGroup[]): void {
  const owned = new Map<string, Set<number>>();
  for (const group of groups) {
    const { name, channels, producers, rows, consumers, prunable, reason } = group;
    expect(producers, name).toContain(name);
    expect(prunable).toBe(reason === undefined);
    if (!prunable) expect(reason).toMatch(/\w+ \w+/);
    if (prunable) expect(consumers.length).toBeGreaterThan(0);
    for (const slice of [...rows, ...consumers]) {
      const { parameter, axis, first, width } = slice;
      const side = network.parameters.get(parameter)!.shape[axis];
      const elements = channels * width * (slice.repeats ?? 1);
      expect(first + elements, `${name}: ${parameter}`).toBeLessThanOrEqual(side);
      expect(first).toBeGreaterThanOrEqual(0);
      expect(width).toBeGreaterThanOrEqual(1);
      const places = owned.get(`${parameter} ${axis}`) ?? new Set<number>();
      owned.set(`${parameter} ${axis}`, places);
      // What nodes share is owned by each of them; such groups are refused.
      if (!prunable) continue;
      for (let place = first; place < first + elements; place++) {
        expect(places.has(place), `${parameter} ${axis}: ${place} twice`).toBe(false);
        places.add(place);
      }
    }
  }
  const producers = groups.flatMap((group) => group.producers);
  expect(new Set(producers).size).toBe(producers.length);
  // Every layer with a weight makes channels of its own, or its rows go with those of the layer before (depthwise).
  for (const { name, weight } of weightedLayers(network)) {
    const goesWith = groups.some(({ rows }) => rows.some(({ parameter }) => parameter === weight));
    expect(producers.includes(name) || goesWith || isDepthwiseOfInput(network, name), name).toBe(true);
  }
}

/** Its channels are those of a network input, which belong to no group. */
const isDepthwiseOfInput = ({ nodes }: Network, name: string): boolean =>
  Number(nodes.find((node) => node.name === name)!.attributes.groups ?? 1) > 1;

/** Trained numbers that channels of a group own: their rows and columns, what is both counted once. */
function trainedOf(network: Network, { rows, consumers, channels }: ChannelGroup, some: readonly number[]): number {
  const trained = trainedParameters(network);
  const owned = new Map<string, Set<number>>();
  for (const slice of [...rows, ...consumers]) {
    const { parameter, axis } = slice;
    if (!trained.includes(parameter)) continue;
    const { shape } = network.parameters.get(parameter)!;
    const inner = sizeOf(shape.slice(axis + 1));
    const places = owned.get(parameter) ?? new Set<number>();
    owned.set(parameter, places);
    for (const place of some.flatMap((channel) => placesOf(slice, channels, channel)))
      for (let o = 0; o < sizeOf(shape.slice(0, axis)); o++)
        for (let i = 0; i < inner; i++) places.add((o * shape[axis] + place) * inner + i);
  }
  return [...owned.values()].reduce((sum, places) => sum + places.size, 0);
}

/** Nothing reads these channels any more: the weights behind them are zero. */
export const withIdle = (network: Network, group: ChannelGroup, removed: readonly number[]): Network =>
  removed.reduce(
    (before, channel) => editColumns(before, group, channel, channel, (values, at) => (values[at] = 0)),
    network,
  );

/** What may be done with every group that can be pruned. */
export async function expectRemovable(network: Network, seed: number): Promise<void> {
  const groups = findGroups(network);
  expectWhole(network, groups);
  for (const group of groups) {
    const { name, prunable, channels } = group;
    if (!prunable) {
      expect(() => removeNeurons(network, name, [0])).toThrow(expect.objectContaining({ code: 'COUPLING' }));
      continue;
    }
    if (channels < 2) continue;
    const { kept, removed } = someOf(group, seed);
    // Idle channels go without a trace.
    const idle = withIdle(network, group, removed);
    const through = readNetwork(writeNetwork(idle));
    const { network: smaller, report } = removeNeurons(through, name, kept);
    expect(readNetwork(writeNetwork(smaller))).toEqual(smaller);
    expect(parameterCount(smaller)).toBe(report.parametersAfter);
    expect(report.parametersBefore - report.parametersAfter).toBe(trainedOf(network, group, removed));
    checkGraph(smaller);
    const shapes = inferShapes(smaller);
    const kinds = new Map(network.nodes.map((node) => [node.name, node.kind]));
    for (const producer of group.producers)
      expect(shapes.get(producer)!.at(kinds.get(producer) === 'dense' ? -1 : 0)).toBe(kept.length);
    const before = inferShapes(network);
    for (const [value, shape] of shapes) expect(shape.length).toBe(before.get(value)!.length);
    for (const output of network.outputs) expect(shapes.get(output)).toEqual(before.get(output));
    await expectSameOutputs(smaller, idle, `${name} without ${removed.join()}`);

    // A twin's outgoing weights go to its sibling; rounded, so that their sums are floats.
    const [from, to] = [kept[0], removed[0]];
    const twins = [from, to].reduce(
      (before, channel) =>
        editColumns(before, group, channel, channel, (values, at) => (values[at] = Math.round(values[at] * 256) / 256)),
      withTwin(network, group, from, to),
    );
    const merged = editColumns(twins, group, to, from, (values, at, into) => (values[into] += values[at]));
    const others = Array.from({ length: channels }, (_, c) => c).filter((c) => c !== to);
    await expectSameOutputs(removeNeurons(merged, name, others).network, twins, `${name}: ${to} merged into ${from}`);
  }
}
