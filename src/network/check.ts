/**
 * Structure of a graph: names, order, cycles, what is used and what is there. Iterative and linear, since it may come
 * from a file.
 */
import { EspalierError, show } from '../base/errors.ts';
import { operatorOf } from '../operators/inference.ts';
import { checkAttributes, isOperatorKind } from './attributes.ts';
import type { Network, Node } from '../graph/network.ts';
import type { ParameterRole } from '../graph/network.ts';

/** More than any real network by far. */
const MAX_NODES = 65536;
const MAX_NAME = 4096;

/**
 * Checks everything about a network that does not need shapes; `inferShapes` checks the rest.
 *
 * @throws {EspalierError} GRAPH for names twice, empty or unknown, cycles, nodes out of order, unused inputs, nodes or
 *   parameters, roles that do not fit; ATTRIBUTE for attributes; UNSUPPORTED for unknown operators, all of them named
 *   at once; each naming the node
 */
export function checkGraph(network: Network, who = 'checkGraph'): void {
  const { inputs, nodes, outputs } = network;
  function fail(problem: string, name?: string): never {
    throw new EspalierError('GRAPH', `${who}: ${problem}`, name === undefined ? {} : { name });
  }
  checkNodeCount(who, nodes.length);
  if (inputs.length === 0) fail('the network has no input');
  if (outputs.length === 0) fail('the network has no output; name at least one value');
  const unknown = nodes.filter((node: Node) => !isOperatorKind(node.kind));
  if (unknown.length > 0) {
    const first = unknown
      .slice(0, 20)
      .map((node: Node) => `${show(node.name)} (${show(node.kind)})`)
      .join(', ');
    throw new EspalierError(
      'UNSUPPORTED',
      `${who}: operators that are not known here: ${first}${unknown.length > 20 ? ` and ${unknown.length - 20} more` : ''}; a newer version may know them`,
      { name: unknown[0].name, found: unknown.length },
    );
  }

  // Place of each value: network inputs first, then nodes.
  const places = new Map<string, number>();
  for (const { name } of [...inputs, ...nodes]) {
    checkName(name, 'value', fail);
    if (places.has(name)) fail(`two values are called ${show(name)}; give one another name`, name);
    places.set(name, places.size);
  }
  const used = new Set<string>();
  let outOfOrder: Node | undefined;
  nodes.forEach((node, i) => {
    for (const name of node.inputs) {
      const place = places.get(name);
      if (place === undefined)
        fail(`node ${show(node.name)}: input ${show(name)} is no value of the network`, node.name);
      if (place >= inputs.length + i) outOfOrder ??= node;
      used.add(name);
    }
  });
  if (outOfOrder !== undefined) {
    const member = cycleMember(nodes);
    if (member !== undefined) fail(`node ${show(member.name)} is part of a cycle`, member.name);
    fail(
      `node ${show(outOfOrder.name)} stands before one of its inputs; nodes stand in topological order`,
      outOfOrder.name,
    );
  }
  if (new Set(outputs).size < outputs.length)
    fail(`an output is named twice: ${outputs.slice(0, 20).map(show).join(', ')}`);
  for (const name of outputs) {
    if (!places.has(name)) fail(`output ${show(name)} is no value of the network`, name);
    used.add(name);
  }
  for (const name of places.keys()) {
    if (!used.has(name)) fail(`nothing uses the value ${show(name)} and it is no output; leave it out`, name);
  }

  for (const node of nodes) {
    const [least, most] = operatorOf(node.kind).arity;
    if (node.inputs.length < least || node.inputs.length > most)
      fail(
        `node ${show(node.name)} (${node.kind}): expected ${least === most ? least : `${least} to ${most}`} inputs, got ${node.inputs.length}`,
        node.name,
      );
    checkAttributes(who, node);
  }
  checkParameters(network, fail);
}

/** Before nodes are made from a file. @throws {EspalierError} GRAPH */
export function checkNodeCount(who: string, count: number): void {
  if (count > MAX_NODES)
    throw new EspalierError('GRAPH', `${who}: ${count} nodes; at most ${MAX_NODES} are allowed`, {
      limit: MAX_NODES,
      found: count,
    });
}

type Fail = (problem: string, name?: string) => never;

/** Every parameter serves in one role, every role that needs one has one, and no parameter lies about unused. */
function checkParameters({ nodes, parameters }: Network, fail: Fail): void {
  const roleOf = new Map<string, string>();
  for (const node of nodes) {
    const { roles } = operatorOf(node.kind);
    for (const [role, name] of Object.entries(node.parameters) as [ParameterRole, string][]) {
      if (!roles.some((rule) => rule.role === role))
        fail(`node ${show(node.name)} (${node.kind}): it has no parameter in the role ${show(role)}`, node.name);
      if (!parameters.has(name))
        fail(`node ${show(node.name)}: ${role} ${show(name)} is no parameter of the network`, node.name);
      const before = roleOf.get(name);
      if (before !== undefined && before !== role)
        fail(`parameter ${show(name)} serves as ${before} and as ${role}; give each its own`, name);
      roleOf.set(name, role);
    }
    for (const { role, optional } of roles) {
      if (!optional && !Object.hasOwn(node.parameters, role))
        fail(`node ${show(node.name)} (${node.kind}): it needs a parameter in the role ${role}`, node.name);
    }
  }
  for (const name of parameters.keys()) {
    checkName(name, 'parameter', fail);
    if (!roleOf.has(name)) fail(`no node uses the parameter ${show(name)}; leave it out`, name);
  }
}

function checkName(name: unknown, what: string, fail: Fail): void {
  if (typeof name !== 'string' || name === '') fail(`a ${what} without a name: ${show(name)}`);
  if (name.length > MAX_NAME)
    fail(`a ${what} with a name of ${name.length} characters; at most ${MAX_NAME} are allowed`, name.slice(0, 60));
}

/** A node that can never be computed because it waits, over others or at once, for itself (Kahn 1962). */
function cycleMember(nodes: readonly Node[]): Node | undefined {
  const index = new Map(nodes.map((node, i) => [node.name, i]));
  const consumers: number[][] = nodes.map(() => []);
  const waiting = new Int32Array(nodes.length);
  nodes.forEach((node, i) => {
    for (const name of node.inputs) {
      const producer = index.get(name);
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
    at = nodes[at].inputs.map((name) => index.get(name) ?? -1).find((i) => i >= 0 && waiting[i] > 0) ?? at;
  }
  return nodes[at];
}
