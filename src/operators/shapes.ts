/** Shape inference and costs: what every value, parameter and node of a network amounts to. */
import { EspalierError, show } from '../base/errors.ts';
import type { Network, Node } from '../graph/network.ts';
import type { ParameterRole } from '../graph/network.ts';
import type { Shape } from '../base/tensor.ts';
import { sizeOf } from '../base/tensor.ts';
import { operatorOf, OPERATORS } from './inference.ts';
import { nodeError } from './rules.ts';
import type { ParameterShapes } from './types.ts';

/**
 * Stored shapes of a node's parameters by role. @throws {EspalierError} GRAPH if one is missing or has no place there
 */
export function parameterShapes(network: Network, node: Node): ParameterShapes {
  const { roles } = operatorOf(node.kind);
  const shapes: Partial<Record<ParameterRole, Shape>> = {};
  for (const [role, name] of Object.entries(node.parameters) as [ParameterRole, string][]) {
    if (!roles.some((rule) => rule.role === role))
      throw nodeError('GRAPH', node, `parameters: the operator has no role ${show(role)}`);
    const encoding = network.parameters.get(name);
    if (!encoding) throw nodeError('GRAPH', node, `${role}: the network has no parameter ${show(name)}`);
    shapes[role] = encoding.shape;
  }
  return shapes;
}

/**
 * Shape per sample of every network input and node output, by name.
 * @throws {EspalierError} GRAPH, SHAPE or ATTRIBUTE, naming the node
 */
export function inferShapes(network: Network): Map<string, Shape> {
  const shapes = new Map<string, Shape>();
  const define = (name: string, shape: Shape): void => {
    if (shapes.has(name))
      throw new EspalierError(
        'GRAPH',
        `network ${show(network.name)}: two values are called ${show(name)}; give one another name`,
        { name },
      );
    shapes.set(name, shape);
  };
  for (const input of network.inputs) define(input.name, input.shape);
  for (const node of network.nodes) {
    if (!Object.hasOwn(OPERATORS, node.kind))
      throw new EspalierError('UNSUPPORTED', `node ${show(node.name)}: unknown operator ${show(node.kind)}`, {
        name: node.name,
      });
    const operator = operatorOf(node.kind);
    const [least, most] = operator.arity;
    if (node.inputs.length < least || node.inputs.length > most)
      throw nodeError(
        'GRAPH',
        node,
        `inputs: expected ${least === most ? least : `${least} to ${most}`}, got ${node.inputs.length}`,
      );
    const inputs = node.inputs.map((name) => {
      const shape = shapes.get(name);
      if (!shape)
        throw nodeError('GRAPH', node, `inputs: ${show(name)} is no network input and no node before this one`);
      return shape;
    });
    define(node.name, operator.shape(node as never, inputs, parameterShapes(network, node)));
  }
  for (const name of network.outputs) {
    if (!shapes.has(name))
      throw new EspalierError(
        'GRAPH',
        `network ${show(network.name)}: output ${show(name)} is no value of the network`,
        { name },
      );
  }
  return shapes;
}

export interface NodeCost {
  readonly name: string;
  readonly kind: Node['kind'];
  readonly outputShape: Shape;
  /** Weights that training moves. */
  readonly parameters: number;
  /** Per sample. */
  readonly multiplyAdds: number;
}

/** Trained parameters and multiply-adds per node; a parameter that several nodes share is counted at the first. */
export function nodeCosts(network: Network): NodeCost[] {
  const shapes = inferShapes(network);
  const counted = new Set<string>();
  return network.nodes.map((node) => {
    const operator = operatorOf(node.kind);
    const own = parameterShapes(network, node);
    let parameters = 0;
    for (const { role, kind } of operator.roles) {
      const name = node.parameters[role];
      if (kind !== 'trained' || name === undefined || counted.has(name)) continue;
      counted.add(name);
      parameters += sizeOf(own[role] ?? []);
    }
    const inputs = node.inputs.map((name) => shapes.get(name) ?? []);
    const outputShape = shapes.get(node.name) ?? [];
    return {
      name: node.name,
      kind: node.kind,
      outputShape,
      parameters,
      multiplyAdds: operator.multiplyAdds(node as never, inputs, outputShape, own),
    };
  });
}

/** Trained parameters of the whole network. */
export function parameterCount(network: Network): number {
  return nodeCosts(network).reduce((sum, cost) => sum + cost.parameters, 0);
}

/** Multiply-adds per sample. */
export function multiplyAdds(network: Network): number {
  return nodeCosts(network).reduce((sum, cost) => sum + cost.multiplyAdds, 0);
}
