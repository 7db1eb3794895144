/** Shape inference and costs: what every value, parameter and node of a network amounts to. */
import { EspalierError, show } from '../base/errors.ts';
import { own } from '../base/realm.ts';
import { LARGEST_FLOAT32 } from '../base/float32.ts';
import { expectation, obeys } from '../base/rules.ts';
import { sizeOf } from '../base/tensor.ts';
import type { Shape } from '../base/tensor.ts';
import type { Network, Node } from '../graph/network.ts';
import { outputsOf } from '../graph/walk.ts';
import { nodeError } from '../operators/define.ts';
import { operatorOf, weightOf } from '../operators/table.ts';
import type { ParameterShapes, ValueType } from '../operators/types.ts';

/** Stored shapes of a node's parameters by role. @throws {EspalierError} GRAPH if one is missing or has no place there */
export function parameterShapes(network: Pick<Network, 'parameters'>, node: Node): ParameterShapes {
  const { roles } = operatorOf(node);
  const shapes: Partial<Record<string, Shape>> = own({});
  for (const [role, name] of Object.entries(node.parameters)) {
    if (!roles.some((rule) => rule.role === role))
      throw nodeError('GRAPH', node, `parameters: the operator has no role ${show(role)}`);
    const encoding = name === undefined ? undefined : network.parameters.get(name);
    if (!encoding) throw nodeError('GRAPH', node, `${role}: the network has no parameter ${show(name)}`);
    shapes[role] = encoding.shape;
  }
  return shapes;
}

/** Every attribute there, of the kind and value that its rule says, and no other. @throws {EspalierError} ATTRIBUTE, naming the node */
export function checkAttributes(node: Node): void {
  const { attributes: rules, mayLack } = operatorOf(node);
  const attributes: unknown = node.attributes;
  if (typeof attributes !== 'object' || attributes === null) {
    throw nodeError('ATTRIBUTE', node, `attributes: expected an object, got ${show(attributes)}`);
  }
  for (const name of Object.keys(attributes)) {
    if (!Object.hasOwn(rules, name)) {
      const known = Object.keys(rules).join(', ') || 'none';
      throw nodeError('ATTRIBUTE', node, `attributes: expected ${known}, got ${show(name)}`);
    }
  }
  for (const [name, rule] of Object.entries(rules)) {
    if (mayLack?.includes(name) && !Object.hasOwn(attributes, name)) continue;
    const value = Object.hasOwn(attributes, name) ? node.attributes[name] : undefined;
    if (!obeys(rule, value)) {
      throw nodeError('ATTRIBUTE', node, `${name}: expected ${expectation(rule)}, got ${show(value)}`);
    }
    const isBeyond = (one: number): boolean => Math.abs(one) > LARGEST_FLOAT32;
    if (
      rule.kind === 'number' ? isBeyond(value as number) : rule.kind === 'numbers' && (value as number[]).some(isBeyond)
    )
      throw nodeError('ATTRIBUTE', node, `${name}: ${show(value)} is beyond float32 (${LARGEST_FLOAT32})`);
  }
}

/** How many inputs and outputs a node has. @throws {EspalierError} GRAPH, naming the node */
export function checkArity(node: Node): void {
  const [least, most] = operatorOf(node).arity;
  const { length } = node.inputs;
  if (length < least || length > most) {
    throw nodeError('GRAPH', node, `inputs: expected ${least === most ? least : `${least} to ${most}`}, got ${length}`);
  }
}

/** Types of the values that one node yields, from those of its inputs. @throws {EspalierError} GRAPH, SHAPE, ATTRIBUTE, naming the node */
export function nodeTypes(
  network: Pick<Network, 'parameters'>,
  node: Node,
  typeOf: (name: string) => ValueType | undefined,
): ValueType[] {
  const operator = operatorOf(node);
  checkArity(node);
  checkAttributes(node);
  const { takes = 'float', yields = 'float', takesConstants = false } = operator;
  const inputs = node.inputs.map((name) => {
    const type = typeOf(name) ?? constantType(network, name);
    if (!type) throw nodeError('GRAPH', node, `inputs: ${show(name)} is no network input and no node before this one`);
    if (type.isConstant && !takesConstants)
      throw nodeError('GRAPH', node, `inputs: expected a value, got the parameter ${show(name)}`);
    if (type.type !== takes)
      throw nodeError('GRAPH', node, `inputs: expected ${takes} elements, got ${show(name)} of ${type.type} ones`);
    return type;
  });
  const shapes = operator.shapes(node, inputs, parameterShapes(network, node));
  const names = outputsOf(node);
  if (names.length !== shapes.length) {
    throw nodeError('GRAPH', node, `outputs: expected ${shapes.length} names, got ${names.length}`);
  }
  return shapes.map((shape) => ({ shape, type: yields, isConstant: false }));
}

function constantType({ parameters }: Pick<Network, 'parameters'>, name: string): ValueType | undefined {
  const encoding = parameters.get(name);
  return encoding && { shape: encoding.shape, type: 'float', isConstant: true };
}

/**
 * Shape per sample and element type of every network input and every value, by name.
 * @throws {EspalierError} GRAPH, SHAPE, ATTRIBUTE or UNSUPPORTED, naming the node; FIELD for values of a parameter that
 *   its operator cannot compute with (a batch normalization of no positive variance)
 */
export function inferTypes(network: Network): Map<string, ValueType> {
  const types = new Map<string, ValueType>();
  const define = (name: string, type: ValueType): void => {
    if (types.has(name)) {
      const text = `network ${show(network.name)}: two values are called ${show(name)}; give one another name`;
      throw new EspalierError('GRAPH', text, { name });
    }
    types.set(name, type);
  };
  for (const input of network.inputs) {
    const { name, shape, type = 'float' } = own(input);
    define(name, { shape, type, isConstant: false });
  }
  for (const node of network.nodes) {
    const yielded = nodeTypes(network, node, (name) => types.get(name));
    outputsOf(node).forEach((name, i) => define(name, yielded[i]));
    operatorOf(node).checkValues?.(node, (role) => {
      const encoding = network.parameters.get(node.parameters[role] ?? '');
      return encoding?.kind === 'dense' ? encoding.data : undefined;
    });
  }
  for (const name of network.outputs) {
    if (!types.has(name)) {
      const text = `network ${show(network.name)}: output ${show(name)} is no value of the network`;
      throw new EspalierError('GRAPH', text, { name });
    }
  }
  return types;
}

/** Shape per sample of every network input and value, by name. @throws {EspalierError} as {@link inferTypes} */
export function inferShapes(network: Network): Map<string, Shape> {
  return new Map([...inferTypes(network)].map(([name, { shape }]) => [name, shape]));
}

export interface NodeCost {
  readonly name: string;
  readonly kind: Node['kind'];
  /** Of the first value that it yields. */
  readonly outputShape: Shape;
  /** Weights that training moves. */
  readonly parameters: number;
  /** Per sample. */
  readonly multiplyAdds: number;
}

/** Trained parameters and multiply-adds per node; a parameter that several nodes share is counted at the first. */
export function nodeCosts(network: Network): NodeCost[] {
  const types = inferTypes(network);
  const counted = new Set<string>();
  return network.nodes.map((node) => {
    const operator = operatorOf(node);
    const own = parameterShapes(network, node);
    let parameters = 0;
    for (const { role, kind } of operator.roles) {
      const name = node.parameters[role];
      if (kind !== 'trained' || name === undefined || counted.has(name)) continue;
      counted.add(name);
      parameters += sizeOf(own[role] ?? []);
    }
    const { inputs, outputs } = valuesOf(network, node, types);
    const multiplyAdds = operator.multiplyAdds(node, inputs, outputs, own);
    return { name: node.name, kind: node.kind, outputShape: outputs[0], parameters, multiplyAdds };
  });
}

/** What a node reads, and the shapes that it yields, in a network whose types are known. */
function valuesOf(
  network: Network,
  node: Node,
  types: ReadonlyMap<string, ValueType>,
): { readonly inputs: ValueType[]; readonly outputs: Shape[] } {
  return {
    inputs: node.inputs.flatMap((name) => types.get(name) ?? constantType(network, name) ?? []),
    outputs: outputsOf(node).map((name) => types.get(name)?.shape ?? []),
  };
}

/**
 * Multiply-adds that an element which is read or written, or a tap of a pool, is worth: 0.8 to 17 ns (ReLU, GELU) against
 * some 0.05 in a large convolution.
 */
const ELEMENT_WORK = 32;

/** Work of a node per sample: its multiply-adds, elements and taps, in multiply-adds. */
export function nodeWork(network: Network, node: Node, types: ReadonlyMap<string, ValueType>): number {
  const { multiplyAdds, taps } = operatorOf(node);
  const { inputs, outputs } = valuesOf(network, node, types);
  const elements = (shapes: readonly Shape[]): number => shapes.reduce((sum, shape) => sum + sizeOf(shape), 0);
  const touched = elements(inputs.map(({ shape }) => shape)) + elements(outputs) * (1 + (taps?.(node) ?? 0));
  return multiplyAdds(node, inputs, outputs, parameterShapes(network, node)) + ELEMENT_WORK * touched;
}

/** Trained parameters of the whole network. */
export function parameterCount(network: Network): number {
  return nodeCosts(network).reduce((sum, cost) => sum + cost.parameters, 0);
}

/** Multiply-adds per sample. */
export function multiplyAdds(network: Network): number {
  return nodeCosts(network).reduce((sum, cost) => sum + cost.multiplyAdds, 0);
}

/** A node with a weight: what is pruned by its neurons and quantized by its rows. */
export interface WeightedLayer {
  /** Of the node. */
  readonly name: string;
  /** Name of the parameter. */
  readonly weight: string;
}

/** Nodes that have a weight (convolutions, dense layers), in topological order. */
export function weightedLayers({ nodes }: Pick<Network, 'nodes'>): WeightedLayer[] {
  return nodes.flatMap((node) => {
    const weight = weightOf(node);
    return weight === undefined ? [] : [{ name: node.name, weight }];
  });
}
