/**
 * Structure of a graph: names, order, cycles, what is used and what is there. Iterative and linear, since it may come from
 * a file.
 */
import { EspalierError, show, showAll } from '../base/errors.ts';
import type { Network, Node } from '../graph/network.ts';
import { cycleMember, outputsOf } from '../graph/walk.ts';
import { isOperatorKind, operatorOf } from '../operators/table.ts';
import { checkArity, checkAttributes } from './shapes.ts';

/** More than any real network by far. */
const MAX_NODES = 65536;
/** Characters of a name. */
export const MAX_NAME = 4096;

/**
 * Checks everything about a network that does not need shapes; `inferShapes` checks the rest.
 *
 * @throws {EspalierError} GRAPH for names twice, empty or unknown, cycles, nodes out of order, unused inputs, nodes or
 *   parameters, roles that do not fit; ATTRIBUTE for attributes; UNSUPPORTED for unknown operators, all of them named at
 *   once; each naming the node
 */
export function checkGraph(network: Network, who = 'checkGraph'): void {
  const { inputs, nodes, outputs, parameters } = network;
  function fail(problem: string, name?: string): never {
    throw new EspalierError('GRAPH', `${who}: ${problem}`, name === undefined ? {} : { name });
  }
  checkNodeCount(who, nodes.length);
  if (inputs.length === 0) fail('the network has no input');
  if (outputs.length === 0) fail('the network has no output; name at least one value');
  const unknown = nodes.filter(({ kind }) => !isOperatorKind(kind));
  if (unknown.length > 0) {
    const first = unknown
      .slice(0, 20)
      .map(({ name, kind }) => `${show(name)} (${show(kind)})`)
      .join(', ');
    const rest = unknown.length > 20 ? ` and ${unknown.length - 20} more` : '';
    throw new EspalierError(
      'UNSUPPORTED',
      `${who}: operators that are not known here: ${first}${rest}; a newer version may know them`,
      { name: unknown[0].name, found: unknown.length },
    );
  }

  // Place of each value: network inputs come first, then what the nodes yield.
  const places = new Map<string, number>();
  const define = (name: string, place: number): void => {
    checkName(name, 'value', fail);
    if (places.has(name)) fail(`two values are called ${show(name)}; give one another name`, name);
    places.set(name, place);
  };
  const nodeNames = new Set<string>();
  for (const { name } of inputs) define(name, -1);
  nodes.forEach((node, i) => {
    checkName(node.name, 'node', fail);
    if (nodeNames.has(node.name)) fail(`two nodes are called ${show(node.name)}; give one another name`, node.name);
    nodeNames.add(node.name);
    for (const value of outputsOf(node)) define(value, i);
  });
  const used = new Set<string>();
  const constants = new Set<string>();
  let outOfOrder: Node | undefined;
  nodes.forEach((node, i) => {
    for (const name of node.inputs) {
      const place = places.get(name);
      if (place === undefined) {
        if (!parameters.has(name))
          fail(`node ${show(node.name)}: input ${show(name)} is no value of the network`, node.name);
        constants.add(name);
      } else if (place >= i) outOfOrder ??= node;
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
  if (new Set(outputs).size < outputs.length) fail(`an output is named twice: ${showAll(outputs)}`);
  for (const name of outputs) {
    if (!places.has(name)) fail(`output ${show(name)} is no value of the network`, name);
    used.add(name);
  }
  for (const { name } of inputs) {
    if (!used.has(name)) fail(`nothing uses the value ${show(name)} and it is no output; leave it out`, name);
  }
  for (const node of nodes) {
    // Of several values some may be of no use.
    if (!outputsOf(node).some((value) => used.has(value))) {
      fail(`nothing uses the value ${show(node.name)} and it is no output; leave it out`, node.name);
    }
    checkArity(node);
    checkAttributes(node);
  }
  checkParameters(network, constants, fail);
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

/** Every parameter serves in one role (or as a constant), every role that needs one has one, and no parameter lies about unused. */
function checkParameters({ nodes, parameters }: Network, constants: ReadonlySet<string>, fail: Fail): void {
  const roleOf = new Map<string, string>([...constants].map((name) => [name, 'a constant']));
  for (const node of nodes) {
    const { roles } = operatorOf(node);
    for (const [role, name] of Object.entries(node.parameters)) {
      if (!roles.some((rule) => rule.role === role))
        fail(`node ${show(node.name)} (${node.kind}): it has no parameter in the role ${show(role)}`, node.name);
      if (name === undefined || !parameters.has(name))
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
