/**
 * Builders: `sequential` for a chain of layers, `graph` for networks with skips. Both give plain {@link Network} data.
 *
 * @example
 * import { conv, dense, flatten, maxPool, relu, sequential } from 'espalier/network';
 * const network = sequential({ input: [1, 28, 28] }, [conv(8, 3), relu(), maxPool(2), flatten(), dense(10)]);
 */
import { EspalierError, show, showAll } from '../base/errors.ts';
import { asFloat32 } from '../base/realm.ts';
import { ownOptions } from '../base/rules.ts';
import { checkShape, sizeOf, toTensor } from '../base/tensor.ts';
import type { Shape, TensorLike } from '../base/tensor.ts';
import { channelsHint } from '../graph/check.ts';
import { denseEncoding } from '../encodings/index.ts';
import type { Encoding } from '../encodings/types.ts';
import type { ElementType, Network, Node } from '../graph/network.ts';
import type { Preprocessing, Task } from '../graph/preprocessing.ts';
import { outputsOf } from '../graph/walk.ts';
import type { ValueType } from '../operators/types.ts';
import type { Layer } from './layers.ts';
import { inferShapes, nodeTypes } from './shapes.ts';

export interface NetworkOptions {
  /** Default 'network'. */
  name?: string;
  /** For the first weights. Default 0. */
  seed?: number;
  preprocessing?: Preprocessing;
  task?: Task;
}

export const NETWORK_NAMES = [
  'name',
  'seed',
  'preprocessing',
  'task',
] as const satisfies readonly (keyof NetworkOptions)[];

/** What the function given to `graph` builds with: every call adds a node and returns the name of its value. */
export interface GraphBuilder {
  input(shape: Shape, name?: string, type?: ElementType): string;
  /** `graph.node(conv(8, 3), x)`, `graph.node(add(), a, b)`. Of several values the first. */
  node(layer: Layer, ...inputs: string[]): string;
  /** All values of a layer that yields several: `const [a, b] = graph.nodes(split([8, 8]), x)`. */
  nodes(layer: Layer, ...inputs: string[]): readonly string[];
  /** A parameter that nodes read as it is, without a batch: `graph.node(add(), x, graph.constant(offsets, 'offsets'))`. */
  constant(values: TensorLike, name: string): string;
  /** Shape per sample of a value. */
  shapeOf(value: string): Shape;
}

/**
 * A network of any shape: `describe` adds nodes and returns the name of the output, or of several.
 * @throws {EspalierError} GRAPH, SHAPE, ATTRIBUTE, naming the node
 */
export function graph(given: NetworkOptions, describe: (builder: GraphBuilder) => string | readonly string[]): Network {
  const { name = 'network', seed = 0, preprocessing, task } = ownOptions('graph', 'options', given, NETWORK_NAMES);
  const inputs: Network['inputs'][number][] = [];
  const nodes: Node[] = [];
  const parameters = new Map<string, Encoding>();
  const types = new Map<string, ValueType>();
  const counts = new Map<string, number>();
  const define = (value: string, type: ValueType): string => {
    if (types.has(value)) {
      const text = `graph: two values are called ${show(value)}; give one another name`;
      throw new EspalierError('GRAPH', text, { name: value });
    }
    types.set(value, type);
    return value;
  };
  const shapeOf = (value: string): Shape => {
    const shape = types.get(value)?.shape ?? parameters.get(value)?.shape;
    if (!shape) {
      const text = `graph: there is no value ${show(value)} yet; known are ${showAll([...types.keys()])}`;
      throw new EspalierError('GRAPH', text, { name: value });
    }
    return shape;
  };
  const addNodes: GraphBuilder['nodes'] = (given, ...from) => {
    const layer = checkLayer(given);
    const number = (counts.get(layer.kind) ?? 0) + 1;
    counts.set(layer.kind, number);
    const node = layer.name ?? `${layer.kind}${number}`;
    from.forEach(shapeOf);
    const input = shapeOf(from[0]);
    const names: Record<string, string> = {};
    for (const [role, { shape, initialize }] of Object.entries(layer.parameters(input))) {
      const parameter = `${node}.${role}`;
      checkShape(node, role, shape);
      const given: unknown = initialize(shape, seed, parameter);
      const data = asFloat32(given);
      if (data?.length !== sizeOf(shape)) {
        const expected = `a Float32Array of ${sizeOf(shape)} values`;
        throw new RangeError(`graph: initializer of ${show(parameter)}: expected ${expected}, got ${show(given)}`);
      }
      parameters.set(parameter, { kind: 'dense', shape, data });
      names[role] = parameter;
    }
    const { yields = 1 } = layer;
    const made: Node = {
      name: node,
      kind: layer.kind,
      inputs: from,
      ...(yields === 1 ? {} : { outputs: Array.from({ length: yields }, (_, i) => `${node}_${i + 1}`) }),
      parameters: names,
      attributes: layer.attributes(input),
    };
    nodes.push(made);
    const yielded = nodeTypes({ parameters }, made, (value) => types.get(value));
    return outputsOf(made).map((value, i) => define(value, yielded[i]));
  };
  const outputs = describe({
    shapeOf,
    input(shape, input = inputs.length === 0 ? 'input' : `input${inputs.length + 1}`, type = 'float') {
      checkShape('graph', 'input', shape);
      inputs.push({ name: input, shape: [...shape], ...(type === 'float' ? {} : { type }) });
      return define(input, { shape, type, isConstant: false });
    },
    node: (layer, ...from) => addNodes(layer, ...from)[0],
    nodes: addNodes,
    constant(values, constant) {
      if (parameters.has(constant) || types.has(constant)) {
        const text = `graph: ${show(constant)} is taken; give the constant another name`;
        throw new EspalierError('GRAPH', text, { name: constant });
      }
      parameters.set(constant, denseEncoding(toTensor('graph', 'constant', values)));
      return constant;
    },
  });
  const network: Network = {
    name,
    inputs,
    nodes,
    parameters,
    outputs: typeof outputs === 'string' ? [outputs] : [...outputs],
    ...(preprocessing && { preprocessing }),
    ...(task && { task }),
  };
  inferShapes(network);
  return network;
}

/** The layer, own properties only. @throws {TypeError} for what is none, such as the function that makes one */
function checkLayer(layer: unknown): Layer {
  if (typeof layer === 'function')
    throw new TypeError(`graph: layer: expected a layer such as relu(), got a function; call it`);
  const own = Object.assign(Object.create(null) as Partial<Layer>, layer);
  if (typeof own.kind !== 'string' || typeof own.attributes !== 'function' || typeof own.parameters !== 'function')
    throw new TypeError(`graph: layer: expected a layer such as relu() or conv(8, 3), got ${show(layer)}`);
  return own as Layer;
}

/**
 * A chain of layers behind one input of shape `options.input` per sample, for example [1, 64, 64].
 * @throws {TypeError | RangeError} for wrong arguments of a layer, or what is no layer
 * @throws {EspalierError} SHAPE, ATTRIBUTE, naming the node
 * @example
 * const network = sequential({ input: [1, 16, 16] }, [conv(8, 3), relu(), maxPool(2), flatten(), dense(10)]);
 */
export function sequential(
  options: NetworkOptions & { input: Shape; inputName?: string },
  layers: readonly Layer[],
): Network {
  const { input, inputName, ...described } = ownOptions('sequential', 'options', options, [
    ...NETWORK_NAMES,
    'input',
    'inputName',
  ]);
  if (!Array.isArray(layers))
    throw new TypeError(`sequential: layers: expected an array of layers, got ${show(layers)}`);
  try {
    return graph(described, (builder) =>
      layers.reduce((value, layer) => builder.node(layer, value), builder.input(input, inputName)),
    );
  } catch (error) {
    const hint = channelsHint(input);
    if (!(error instanceof EspalierError) || hint === '') throw error;
    throw new EspalierError(error.code, `${error.message}${hint}`, { ...error.details, cause: error });
  }
}
