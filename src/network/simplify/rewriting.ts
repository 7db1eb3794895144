/** A network while it is rewritten: nodes by what they yield, readers counted, parameters added. */
import { isDense } from '../../encodings/index.ts';
import { sizeOf } from '../../base/tensor.ts';
import type { Shape } from '../../base/tensor.ts';
import type { Attributes, Network, Node } from '../../graph/network.ts';
import { outputsOf, parameterUsers } from '../../graph/walk.ts';
import { inferShapes } from '../shapes.ts';

/** What a rewriting asks of the network that it looks at. */
export interface View {
  readonly network: Network;
  shapeOf(value: string): Shape;
  /** The node that yields a value, of one of these kinds, if nothing else reads the value and it is no output. */
  only(value: string, ...kinds: readonly string[]): Node | undefined;
  /** The node that yields a value, of one of these kinds, whoever else reads it. */
  maker(value: string, ...kinds: readonly string[]): Node | undefined;
  /** The number that a constant input is, if it is a single one. */
  number(name: string): number | undefined;
  /** Values of a parameter that is stored densely and serves once. */
  values(name: string | undefined): { readonly shape: Shape; readonly data: Float32Array } | undefined;
  isConstant(name: string): boolean;
}

export function viewOf(network: Network): View {
  const shapes = inferShapes(network);
  const makers = new Map<string, Node>();
  for (const node of network.nodes) for (const value of outputsOf(node)) makers.set(value, node);
  const readers = new Map<string, number>(network.outputs.map((name) => [name, 2]));
  for (const { inputs } of network.nodes) for (const name of inputs) readers.set(name, (readers.get(name) ?? 0) + 1);
  const users = parameterUsers(network);
  const maker: View['maker'] = (value, ...kinds) => {
    const node = makers.get(value);
    return node && kinds.includes(node.kind) ? node : undefined;
  };
  return {
    network,
    shapeOf: (value) => shapes.get(value) ?? network.parameters.get(value)?.shape ?? [],
    maker,
    only: (value, ...kinds) => (readers.get(value) === 1 ? maker(value, ...kinds) : undefined),
    number(name) {
      const encoding = makers.has(name) ? undefined : network.parameters.get(name);
      return encoding && isDense(encoding) && sizeOf(encoding.shape) === 1 ? encoding.data[0] : undefined;
    },
    values(name) {
      const encoding = name === undefined ? undefined : network.parameters.get(name);
      return encoding && isDense(encoding) && users.get(name ?? '')?.length === 1 ? encoding : undefined;
    },
    isConstant: (name) => network.parameters.has(name) && !shapes.has(name),
  };
}

/** A node of another kind in the place of one: it keeps name and outputs. */
export const replacement = (
  node: Node,
  kind: string,
  attributes: Attributes,
  inputs: readonly string[],
  parameters: Node['parameters'] = {},
): Node => ({ ...node, kind, attributes, inputs, parameters });

/** Layers that moved to where a node behind them stood: of two nodes of one name the later is the one that is read. */
export function lastOfName(nodes: readonly Node[]): Node[] {
  const last = new Map(nodes.map(({ name }, i) => [name, i]));
  return nodes.filter(({ name }, i) => last.get(name) === i);
}

/** Without nodes, parameters and inputs that no output depends on. */
export function withoutUnused(network: Network): Network {
  const used = new Set(network.outputs);
  const nodes: Node[] = [];
  for (let i = network.nodes.length - 1; i >= 0; i--) {
    const node = network.nodes[i];
    if (!outputsOf(node).some((name) => used.has(name))) continue;
    for (const name of node.inputs) used.add(name);
    for (const name of Object.values(node.parameters)) if (name !== undefined) used.add(name);
    nodes.push(node);
  }
  return {
    ...network,
    inputs: network.inputs.filter(({ name }) => used.has(name)),
    nodes: nodes.reverse(),
    parameters: new Map([...network.parameters].filter(([name]) => used.has(name))),
  };
}
