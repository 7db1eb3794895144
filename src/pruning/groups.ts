/**
 * Which channels go together. Walks the graph once and carries, for every value, of which groups an axis of it is made up; what a node does with them is said by its operator's coupling. What cannot be cut is marked with the reason.
 */
import { checkNetwork } from '../graph/check.ts';
import { EspalierError, show, showAll } from '../base/errors.ts';
import { sizeOf as product } from '../base/tensor.ts';
import type { Shape } from '../base/tensor.ts';
import { isDense } from '../encodings/index.ts';
import type { Network, Node } from '../graph/network.ts';
import { outputsOf, parametersOf, parameterUsers } from '../graph/walk.ts';
import { spanOf } from '../importance/slices.ts';
import type { ChannelCount, ChannelGroup, Consumer, ParameterSlice } from '../importance/types.ts';
import { inferShapes } from '../network/shapes.ts';
import { couplingOf } from '../operators/table.ts';
import type { ChannelRun, Channels, CouplingPlan } from '../operators/types.ts';

/** Where a run lies along an axis. */
type RunPlace = Pick<ParameterSlice, 'first' | 'width' | 'repeats'>;

/** A group while it grows. After a join the drafts form a chain that ends at the one that counts. */
interface Draft {
  readonly channels: number;
  joined?: Draft;
  producers: string[];
  rows: ParameterSlice[];
  counts: ChannelCount[];
  consumers: Consumer[];
  reason?: string;
}

/**
 * The channel groups of a network in topological order, prunable or not: one per conv or dense node, except where an
 * add makes several into one, and except depthwise convolutions, which go with their input. Cost: one walk over the
 * nodes.
 *
 * Not prunable, with the reason: channels of a network input or output, of a softmax over channels, at either side of a
 * grouped (not depthwise) convolution, joined by a sum whose two sides are cut differently, or touching a parameter
 * that nodes share or that is product-encoded.
 * @throws {EspalierError} GRAPH, SHAPE or ATTRIBUTE if the network is not valid
 */
export function findGroups(
  network: Network,
  shapes: ReadonlyMap<string, Shape> = inferShapes(checkNetwork('findGroups', 'network', network)),
): ChannelGroup[] {
  const values = new Map<string, Channels>();
  const drafts: Draft[] = [];
  for (const { name, shape } of network.inputs) {
    const draft = newDraft(shape[0] ?? 1);
    refuse(draft, `its channels are those of the network input ${show(name)}`);
    values.set(name, { axis: 0, runs: [{ group: draft, width: 1, repeats: 1 }] });
  }
  for (const node of network.nodes) {
    const channels = couplingOf(node).couple(node, planCoupling(network, node, values, shapes, drafts));
    outputsOf(node).forEach((name, i) => values.set(name, checkedChannels(node, channels[i], shapes.get(name) ?? [])));
  }
  for (const name of network.outputs) {
    for (const { group } of values.get(name)?.runs ?? []) {
      refuse(current(group), `its channels are those of the network output ${show(name)}`);
    }
  }

  const order = new Map(network.nodes.map((node, i) => [node.name, i]));
  const users = parameterUsers(network);
  const biases = new Map(network.nodes.map(({ name, parameters }) => [name, parameters.bias]));
  const place = (name: string): number => order.get(name) ?? 0;
  return [...new Set(drafts.map((draft) => current(draft)))]
    .map((draft) => {
      const { channels, counts, rows } = draft;
      const producers = draft.producers.sort((a, b) => place(a) - place(b));
      const consumers = draft.consumers.sort((a, b) => place(a.node) - place(b.node) || a.first - b.first);
      const reason =
        draft.reason ??
        parameterObstacle(network, users, biases, [...rows, ...consumers], consumers) ??
        (consumers.length === 0 ? 'nothing reads its channels' : undefined);
      return {
        name: producers[0],
        channels,
        producers,
        rows,
        counts,
        consumers,
        prunable: reason === undefined,
        ...(reason === undefined ? {} : { reason }),
      };
    })
    .sort((a, b) => place(a.name) - place(b.name));
}

/** The group that a conv or dense node produces. @throws {RangeError} if there is none of that name */
export function findGroup(who: string, groups: readonly ChannelGroup[], name: string): ChannelGroup {
  if (typeof name !== 'string')
    throw new TypeError(`${who}: group: expected the name of a conv or dense node, got ${show(name)}`);
  const group = groups.find(({ producers }) => producers.includes(name));
  if (!group)
    throw new RangeError(
      `${who}: group: expected one of ${showAll(groups.map((known) => known.name))}, got ${show(name)}`,
    );
  return group;
}

/** The same, and its channels can be removed. @throws {EspalierError} COUPLING, with the reason, if they cannot */
export function prunableGroup(who: string, groups: readonly ChannelGroup[], name: string): ChannelGroup {
  const group = findGroup(who, groups, name);
  if (!group.prunable)
    throw new EspalierError('COUPLING', `${who}: group ${show(group.name)} cannot be pruned: ${group.reason}`, {
      name: group.name,
    });
  return group;
}

/**
 * The share of a group's channels that stays where each producer may have a setting of its own (undefined: it has none):
 * the largest, since channels that go together must not lose more than any of their producers was to lose. Undefined if
 * no producer has one.
 */
export function largestKeep(
  { producers }: ChannelGroup,
  keepOf: (producer: string) => number | undefined,
): number | undefined {
  const shares = producers.map(keepOf).filter((share) => share !== undefined);
  return shares.length === 0 ? undefined : shares.reduce((largest, share) => Math.max(largest, share));
}

function newDraft(channels: number): Draft {
  return { channels, producers: [], rows: [], counts: [], consumers: [] };
}

/** The draft that counts, after joins. Operators hand on what they were given, so every group is a draft of ours. */
function current(group: object): Draft {
  let draft = group as Draft;
  while (draft.joined) draft = draft.joined;
  return draft;
}

function refuse(draft: Draft, reason: string): void {
  draft.reason ??= reason;
}

function join(a: object, b: object): Draft {
  const [first, second] = [current(a), current(b)];
  if (first === second) return first;
  // The shorter lists move, so that a chain of n skips moves n log n entries, and chains of drafts stay as short.
  const [into, from] = sizeOf(first) < sizeOf(second) ? [second, first] : [first, second];
  append(into.producers, from.producers);
  append(into.rows, from.rows);
  append(into.counts, from.counts);
  append(into.consumers, from.consumers);
  const reason = first.reason ?? second.reason;
  if (reason !== undefined) into.reason = reason;
  from.joined = into;
  return into;
}

/** Entries of a draft. */
const sizeOf = ({ producers, rows, counts, consumers }: Draft): number =>
  producers.length + rows.length + counts.length + consumers.length;

/** As `push(...more)`, whose arguments lie on the stack, which is too small for the nodes of a large network. */
function append<T>(list: T[], more: readonly T[]): void {
  for (const one of more) list.push(one);
}

/** Elements of a run. */
const sizeOfRun = ({ group, width, repeats }: ChannelRun): number => current(group).channels * width * repeats;

/** Elements along the channel axis. */
const elementsOf = ({ runs }: Channels): number => runs.reduce((sum, run) => sum + sizeOfRun(run), 0);

/** What a coupling said, if it says it of every channel. */
function checkedChannels(node: Node, channels: Channels, shape: Shape): Channels {
  const expected = shape[channels.axis] ?? 1;
  if (elementsOf(channels) !== expected) {
    throw new Error(
      `coupling of ${node.kind}: expected channels for ${expected} elements along axis ${channels.axis}, got ${elementsOf(channels)}`,
    );
  }
  return channels;
}

/** Runs that a reshape may make of one value's; more are refused, since each is a place of its own to cut and to measure. */
const MOST_RUNS = 64;

/**
 * The runs along an axis of `to` that hold all channels of a value of `from`, seen as (before, its runs, behind), row-major.
 * Undefined if there is no such axis: an axis that holds parts of channels, or of their elements some.
 */
function reshaped({ axis, runs }: Channels, from: Shape, to: Shape): Channels | undefined {
  const before = product(from.slice(0, axis));
  const behind = product(from.slice(axis + 1));
  const found = to.map((side, at): Channels | undefined => {
    const ahead = product(to.slice(0, at));
    if (runs.length === 1) {
      const [{ group, width, repeats }] = runs;
      const [all, wide] = [before * repeats, width * behind];
      const again = all / ahead;
      const own = side / (again * current(group).channels);
      const fits = Number.isInteger(again) && Number.isInteger(own) && wide % own === 0;
      return fits ? { axis: at, runs: [{ group, width: own, repeats: again }] } : undefined;
    }
    const again = before / ahead;
    // Elements of the axis for each that was: several, or a part of one.
    const factor = side / (again * runs.reduce((sum, run) => sum + sizeOfRun(run), 0));
    const scaled = runs.map((run) => ({ ...run, width: run.width * factor }));
    const fits =
      Number.isInteger(again) &&
      again * runs.length <= MOST_RUNS &&
      scaled.every(({ width }, i) => Number.isInteger(width) && (runs[i].width * behind) % width === 0);
    return fits ? { axis: at, runs: Array.from({ length: again }, () => scaled).flat() } : undefined;
  });
  const repeatsOf = (channels: Channels): number => channels.runs[0].repeats * channels.runs.length;
  return found
    .filter((channels) => channels !== undefined)
    .reduce<Channels | undefined>((best, one) => (best && repeatsOf(best) <= repeatsOf(one) ? best : one), undefined);
}

/** What an operator may say of a node, written down at the groups. */
function planCoupling(
  network: Network,
  node: Node,
  values: ReadonlyMap<string, Channels>,
  shapes: ReadonlyMap<string, Shape>,
  drafts: Draft[],
): CouplingPlan {
  const shapeOf = (name: string): Shape => shapes.get(name) ?? network.parameters.get(name)?.shape ?? [];
  const eachRun = ({ runs }: Channels, visit: (group: Draft, run: RunPlace) => void): void => {
    let first = 0;
    for (const run of runs) {
      const { group, width, repeats } = run;
      visit(current(group), { first, width, ...(repeats > 1 && { repeats }) });
      first += sizeOfRun(run);
    }
  };
  const cutAlong = (parameter: string, axis: number, channels: Channels): void =>
    eachRun(channels, (group, place) => group.rows.push({ parameter, axis, ...place }));
  const refuseAll = (channels: Channels, reason: string): Channels => {
    for (const { group } of channels.runs) refuse(current(group), reason);
    return channels;
  };
  const fixed = (channels: number, reason: string, axis = 0): Channels => {
    const group = newDraft(channels);
    refuse(group, reason);
    return { axis, runs: [{ group, width: 1, repeats: 1 }] };
  };
  return {
    fixed,
    inputs: node.inputs.map((name) => values.get(name) ?? { axis: 0, runs: [] }),
    constantInputs: node.inputs.map((name) => !values.has(name)),
    inputShapes: node.inputs.map(shapeOf),
    outputShapes: outputsOf(node).map(shapeOf),
    produce(channels, axis = 0) {
      const group = newDraft(channels);
      group.producers.push(node.name);
      drafts.push(group);
      const own = { axis, runs: [{ group, width: 1, repeats: 1 }] };
      for (const parameter of parametersOf(node)) cutAlong(parameter, 0, own);
      return own;
    },
    consume(role, channels) {
      const parameter = node.parameters[role] ?? '';
      const [value] = node.inputs;
      const along = channels.axis;
      eachRun(channels, (group, place) =>
        group.consumers.push({ node: node.name, value, along, parameter, axis: 1, ...place }),
      );
    },
    follow(role, channels) {
      const parameter = node.parameters[role];
      if (parameter !== undefined && channels.axis === 0) cutAlong(parameter, 0, channels);
    },
    followInput: (i, channels, axis) => cutAlong(node.inputs[i], axis, channels),
    count: (attribute, channels, index) =>
      eachRun(channels, (group, place) =>
        group.counts.push({ node: node.name, attribute, span: spanOf(place), ...(index !== undefined && { index }) }),
      ),
    join(a, b) {
      const alike =
        a.axis === b.axis &&
        a.runs.length === b.runs.length &&
        a.runs.every(
          ({ group, width, repeats }, i) =>
            current(group).channels === current(b.runs[i].group).channels &&
            width === b.runs[i].width &&
            repeats === b.runs[i].repeats,
        );
      if (alike) return { ...a, runs: a.runs.map((run, i) => ({ ...run, group: join(run.group, b.runs[i].group) })) };
      const reason = `the ${node.kind} ${show(node.name)} joins them with channels that are grouped differently`;
      refuseAll(b, reason);
      return refuseAll(a, reason);
    },
    slice(channels, first, count) {
      const chosen: ChannelRun[] = [];
      const inside: ChannelRun[] = [];
      let at = 0;
      for (const run of channels.runs) {
        const end = at + sizeOfRun(run);
        if (at < first + count && end > first) inside.push(run);
        if (at >= first && end <= first + count) chosen.push(run);
        at = end;
      }
      const { axis } = channels;
      if (elementsOf({ axis, runs: chosen }) === count) return { axis, runs: chosen };
      const reason = `the ${node.kind} ${show(node.name)} cuts them in parts`;
      refuseAll({ axis, runs: inside }, reason);
      return fixed(count, reason, axis);
    },
    reshape(channels, from, to) {
      const found = to.length === 0 ? { ...channels, axis: 0 } : reshaped(channels, from, to);
      if (found) return found;
      const reason = `the ${node.kind} ${show(node.name)} takes them apart`;
      refuseAll(channels, reason);
      return fixed(to[0] ?? 1, reason);
    },
    refuse: refuseAll,
  };
}

/** A parameter that may not be cut, or a consumer's bias that may not take the mean in. */
function parameterObstacle(
  network: Network,
  users: ReadonlyMap<string, readonly string[]>,
  biasOf: ReadonlyMap<string, string | undefined>,
  slices: readonly ParameterSlice[],
  consumers: readonly Consumer[],
): string | undefined {
  const biases = consumers.map(({ node }) => biasOf.get(node)).filter((bias) => bias !== undefined);
  for (const parameter of [...slices.map((slice) => slice.parameter), ...biases]) {
    const all = users.get(parameter) ?? [];
    if (all.length > 1) return `the parameter ${show(parameter)} is shared by ${showAll(all)}`;
    const encoding = network.parameters.get(parameter);
    if (!encoding || !isDense(encoding)) {
      return `the parameter ${show(parameter)} is ${encoding?.kind}-encoded, and no step cuts an encoded tensor; prune before quantizing`;
    }
  }
  return undefined;
}
