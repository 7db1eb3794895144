/** Walks over a graph that need to know no operator: who yields a value, who reads it. Iterative and linear. */
import { hasField } from '../base/realm.ts';
import type { Network, Node } from './network.ts';

/** Names of the values that a node yields. */
export function outputsOf(node: Pick<Node, 'name' | 'outputs'>): readonly string[] {
  return (hasField(node, 'outputs') && node.outputs) || [node.name];
}

/** Names of the parameters that serve a node in its roles. */
export function parametersOf({ parameters }: Pick<Node, 'parameters'>): string[] {
  return Object.values(parameters).filter((name) => name !== undefined);
}

/** Position of the node that yields each value; -1 for network inputs. */
export function producersOf({ inputs, nodes }: Pick<Network, 'inputs' | 'nodes'>): Map<string, number> {
  const producers = new Map<string, number>();
  for (const { name } of inputs) producers.set(name, -1);
  nodes.forEach((node, i) => {
    for (const value of outputsOf(node)) producers.set(value, i);
  });
  return producers;
}

/** Positions of the nodes that read each value or constant, ascending; a node that reads it twice stands there twice. */
export function consumersOf({ nodes }: Pick<Network, 'nodes'>): Map<string, number[]> {
  const consumers = new Map<string, number[]>();
  nodes.forEach((node, i) => {
    for (const name of node.inputs) {
      const users = consumers.get(name);
      if (users) users.push(i);
      else consumers.set(name, [i]);
    }
  });
  return consumers;
}

/** Names of the parameters that nodes read as inputs: constants, such as an addend. */
export function constantInputsOf(network: Pick<Network, 'inputs' | 'nodes' | 'parameters'>): Set<string> {
  const producers = producersOf(network);
  const names = network.nodes.flatMap(({ inputs }) => inputs);
  return new Set(names.filter((name) => !producers.has(name) && network.parameters.has(name)));
}

/** Names of the nodes that read each parameter, in a role or as an input, each once. */
export function parameterUsers({ nodes, parameters }: Pick<Network, 'nodes' | 'parameters'>): Map<string, string[]> {
  const users = new Map<string, string[]>([...parameters.keys()].map((name) => [name, []]));
  for (const node of nodes) {
    for (const name of new Set([...parametersOf(node), ...node.inputs])) users.get(name)?.push(node.name);
  }
  return users;
}

/** A node that can never be computed because it waits, over others or at once, for itself (Kahn 1962). */
export function cycleMember(nodes: readonly Node[]): Node | undefined {
  const producers = producersOf({ inputs: [], nodes });
  const consumers: number[][] = nodes.map(() => []);
  const waiting = new Int32Array(nodes.length);
  nodes.forEach((node, i) => {
    for (const name of node.inputs) {
      const producer = producers.get(name);
      if (producer === undefined) continue;
      consumers[producer].push(i);
      waiting[i]++;
    }
  });
  const ready = nodes.flatMap((_, i) => (waiting[i] === 0 ? [i] : []));
  for (let next = ready.pop(); next !== undefined; next = ready.pop()) {
    for (const consumer of consumers[next]) if (--waiting[consumer] === 0) ready.push(consumer);
  }
  // What is left waits for a cycle without always being in one: walking back along inputs that wait ends in it.
  let at = waiting.findIndex((count) => count > 0);
  if (at < 0) return undefined;
  const seen = new Set<number>();
  while (!seen.has(at)) {
    seen.add(at);
    at = nodes[at].inputs.map((name) => producers.get(name) ?? -1).find((i) => i >= 0 && waiting[i] > 0) ?? at;
  }
  return nodes[at];
}
