/**
 * Which channels go together. Walks the graph once and carries, for every value, of which groups its first axis is made
 * up; an add joins groups, a concat lines them up, a flatten widens them. What cannot be cut is marked with the reason.
 */
import { isDense } from '../encodings/index.ts';
import { EspalierError, show } from '../base/errors.ts';
import type { ChannelGroup, Consumer, ParameterSlice } from '../importance/types.ts';
import type { Network, Node } from '../graph/network.ts';
import type { NodeOf } from '../graph/network.ts';
import { inferShapes } from '../operators/shapes.ts';
import type { Shape } from '../base/tensor.ts';

/** A run along axis 0 of a value: all channels of a group in order, `width` elements each. */
interface Segment {
  readonly group: Draft;
  readonly width: number;
}

/** A group while it grows. After a join the drafts form a chain that ends at the one that counts. */
interface Draft {
  readonly channels: number;
  joined?: Draft;
  producers: string[];
  rows: ParameterSlice[];
  depthwise: string[];
  consumers: Consumer[];
  reason?: string;
}

/**
 * The channel groups of a network in topological order, prunable or not: one per conv or dense node, except where an
 * add makes several into one, and except depthwise convolutions, which go with their input. Cost: one walk over the
 * nodes.
 *
 * Not prunable, with the reason: channels of a network input or output, of a softmax over channels, at either side of a
 * grouped (not depthwise) convolution, joined by an add whose two sides are cut differently, or touching a parameter
 * that nodes share or that is product-encoded.
 * @throws {EspalierError} GRAPH, SHAPE or ATTRIBUTE if the network is not valid
 */
export function findGroups(
  network: Network,
  shapes: ReadonlyMap<string, Shape> = inferShapes(network),
): ChannelGroup[] {
  const values = new Map<string, readonly Segment[]>();
  const drafts: Draft[] = [];
  for (const input of network.inputs) {
    values.set(input.name, [
      {
        group: refuse(newDraft(input.shape[0] ?? 1), `its channels are those of the network input ${show(input.name)}`),
        width: 1,
      },
    ]);
  }
  for (const node of network.nodes) values.set(node.name, follow(node, values, shapes, drafts));
  for (const name of network.outputs)
    for (const { group } of values.get(name) ?? [])
      refuse(group, `its channels are those of the network output ${show(name)}`);

  const order = new Map(network.nodes.map((node, i) => [node.name, i]));
  const uses = parameterUses(network);
  const place = (name: string): number => order.get(name) ?? 0;
  return [...new Set(drafts.map(current))]
    .map((draft) => {
      const { channels, depthwise, rows } = draft;
      const producers = draft.producers.sort((a, b) => place(a) - place(b));
      const consumers = draft.consumers.sort((a, b) => place(a.node) - place(b.node) || a.first - b.first);
      const reason =
        draft.reason ??
        parameterObstacle(network, uses, [...rows, ...consumers], consumers) ??
        (consumers.length === 0 ? 'nothing reads its channels' : undefined);
      return {
        name: producers[0],
        channels,
        producers,
        rows,
        depthwise,
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
      `${who}: group: expected one of ${groups.map((known) => known.name).join(', ')}, got ${show(name)}`,
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

function newDraft(channels: number): Draft {
  return { channels, producers: [], rows: [], depthwise: [], consumers: [] };
}

/** The draft that counts, after joins. */
function current(draft: Draft): Draft {
  while (draft.joined) draft = draft.joined;
  return draft;
}

function refuse(draft: Draft, reason: string): Draft {
  const group = current(draft);
  group.reason ??= reason;
  return group;
}

function join(a: Draft, b: Draft): Draft {
  const into = current(a),
    from = current(b);
  if (into === from) return into;
  into.producers.push(...from.producers);
  into.rows.push(...from.rows);
  into.depthwise.push(...from.depthwise);
  into.consumers.push(...from.consumers);
  if (from.reason !== undefined) into.reason ??= from.reason;
  from.joined = into;
  return into;
}

/** Says what the channels of a node's output are, and notes at the groups what the node does with its input. */
function follow(
  node: Node,
  values: ReadonlyMap<string, readonly Segment[]>,
  shapes: ReadonlyMap<string, Shape>,
  drafts: Draft[],
): readonly Segment[] {
  const inputs = node.inputs.map((name) => values.get(name) ?? []);
  const [input = []] = inputs;
  switch (node.kind) {
    case 'conv': {
      const channels = shapes.get(node.name)?.[0] ?? 0;
      const channelsIn = shapes.get(node.inputs[0])?.[0] ?? 0;
      const { groups } = node.attributes;
      // One group is an ordinary convolution, also where it has a single channel on both sides.
      if (groups > 1 && groups === channelsIn && groups === channels) return passDepthwise(node, input);
      if (groups > 1)
        for (const { group } of input) refuse(group, `they feed the grouped convolution ${show(node.name)}`);
      else consume(node, input);
      const output = produce(node, channels, drafts);
      return groups > 1
        ? [{ ...output, group: refuse(output.group, `it is made by the grouped convolution ${show(node.name)}`) }]
        : [output];
    }
    case 'dense':
      consume(node, input);
      return [produce(node, shapes.get(node.name)?.[0] ?? 0, drafts)];
    case 'batchNorm':
    case 'affine':
      cutRows(node, input);
      return input;
    case 'softmax':
      if (shapes.get(node.name)?.length === 1)
        for (const { group } of input) refuse(group, `the softmax ${show(node.name)} runs over them`);
      return input;
    case 'flatten': {
      const factor = (shapes.get(node.inputs[0]) ?? []).slice(1).reduce((product, side) => product * side, 1);
      return input.map(({ group, width }) => ({ group, width: width * factor }));
    }
    case 'concat':
      return inputs.flat();
    case 'add':
      return couple(node, input, inputs[1] ?? []);
    case 'maxPool':
    case 'averagePool':
    case 'globalAveragePool':
    case 'relu':
    case 'leakyRelu':
    case 'sigmoid':
    case 'tanh':
    case 'dropout':
      return input;
  }
}

function produce(node: NodeOf<'conv'> | NodeOf<'dense'>, channels: number, drafts: Draft[]): Segment {
  const group = newDraft(channels);
  group.producers.push(node.name);
  drafts.push(group);
  const segment = { group, width: 1 };
  cutRows(node, [segment]);
  return segment;
}

function consume(node: NodeOf<'conv'> | NodeOf<'dense'>, input: readonly Segment[]): void {
  const parameter = node.parameters.weight ?? '';
  eachSegment(input, (group, first, width) =>
    group.consumers.push({ node: node.name, value: node.inputs[0], parameter, axis: 1, first, width }),
  );
}

/** All of the node's parameters are vectors or rows, one per channel of the segments. */
function cutRows(node: Node, segments: readonly Segment[]): void {
  for (const parameter of Object.values(node.parameters))
    eachSegment(segments, (group, first, width) => group.rows.push({ parameter, axis: 0, first, width }));
}

function passDepthwise(node: NodeOf<'conv'>, input: readonly Segment[]): readonly Segment[] {
  cutRows(node, input);
  eachSegment(input, (group) => group.depthwise.push(node.name));
  return input;
}

/** Both sides of an add lose the same elements, so their groups are one; that needs the same cuts on both sides. */
function couple(node: NodeOf<'add'>, a: readonly Segment[], b: readonly Segment[]): readonly Segment[] {
  const alike =
    a.length === b.length &&
    a.every(({ group, width }, i) => current(group).channels === current(b[i].group).channels && width === b[i].width);
  if (alike) return a.map(({ group, width }, i) => ({ group: join(group, b[i].group), width }));
  for (const { group } of [...a, ...b])
    refuse(group, `the add ${show(node.name)} joins them with channels that are grouped differently`);
  return a;
}

function eachSegment(segments: readonly Segment[], visit: (group: Draft, first: number, width: number) => void): void {
  let first = 0;
  for (const { group: draft, width } of segments) {
    const group = current(draft);
    visit(group, first, width);
    first += group.channels * width;
  }
}

/** How many nodes read each parameter. */
function parameterUses(network: Network): ReadonlyMap<string, readonly string[]> {
  const uses = new Map<string, string[]>();
  for (const node of network.nodes)
    for (const parameter of Object.values(node.parameters))
      uses.set(parameter, [...(uses.get(parameter) ?? []), node.name]);
  return uses;
}

/** A parameter that may not be cut, or a consumer's bias that may not take the mean in. */
function parameterObstacle(
  network: Network,
  uses: ReadonlyMap<string, readonly string[]>,
  slices: readonly ParameterSlice[],
  consumers: readonly Consumer[],
): string | undefined {
  const biases = consumers
    .map(({ node }) => network.nodes.find(({ name }) => name === node)?.parameters.bias)
    .filter((bias) => bias !== undefined);
  for (const parameter of [...slices.map((slice) => slice.parameter), ...biases]) {
    const users = uses.get(parameter) ?? [];
    if (users.length > 1) return `the parameter ${show(parameter)} is shared by ${users.join(', ')}`;
    const encoding = network.parameters.get(parameter);
    if (!isDense(encoding))
      return `the parameter ${show(parameter)} is ${encoding?.kind}-encoded, and no step cuts an encoded tensor; prune before quantizing`;
  }
  return undefined;
}
