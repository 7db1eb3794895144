/**
 * Builders: `sequential` for a chain of layers, `graph` for networks with skips. Both give plain {@link Network} data.
 *
 * @example
 * import { conv, dense, flatten, maxPool, relu, sequential } from 'espalier/network';
 * const network = sequential({ input: [1, 28, 28] }, [conv(8, 3), relu(), maxPool(2), flatten(), dense(10)]);
 */
import type { DenseEncoding, Encoding } from '../encodings/types.ts';
import { checkInteger, checkOneOf, EspalierError, show } from '../base/errors.ts';
import { operatorOf, OPERATORS } from '../operators/inference.ts';
import { inferShapes, parameterShapes } from '../operators/shapes.ts';
import type { Shape } from '../base/tensor.ts';
import { checkShape, sizeOf } from '../base/tensor.ts';
import { constantInitializer, heNormal } from './initializers.ts';
import type { Initializer } from './initializers.ts';
import type { Network, Node } from '../graph/network.ts';
import type { OperatorAttributes, OperatorKind, Padding, Pair, ParameterRole } from '../graph/network.ts';
import type { Preprocessing, Task } from '../graph/preprocessing.ts';

/** A layer before it has inputs: what `sequential` takes. Made by the functions below. */
export interface Layer {
  readonly kind: OperatorKind;
  readonly name?: string;
  readonly attributes: (input: Shape) => OperatorAttributes[OperatorKind];
  /** Shapes and first values of the parameters, by role, once the input's shape per sample is known. */
  readonly parameters: (input: Shape) => Partial<Record<ParameterRole, { shape: Shape; initialize: Initializer }>>;
}

export interface NamedOptions {
  /** Default: kind and number, such as 'conv3'. */
  name?: string;
}

export interface WeightOptions extends NamedOptions {
  /** Default true. */
  bias?: boolean;
  /** Default {@link heNormal}; `glorotUniform` suits sigmoid, tanh and linear outputs. */
  initializer?: Initializer;
}

export interface ConvOptions extends WeightOptions {
  /** Default 1. */
  stride?: number | Pair;
  /**
   * 'same' (default): output side = input side / stride, rounded up; 'valid': none; a number for all sides; or [top,
   * left, bottom, right].
   */
  padding?: 'same' | 'valid' | number | Padding;
  /** Default 1. */
  dilation?: number | Pair;
  /** Default 1; the number of input channels makes it depthwise. */
  groups?: number;
}

const pair = (value: number | Pair): Pair =>
  Array.isArray(value) ? (value as unknown as Pair) : [value as number, value as number];
const none = (): Record<never, never> => ({});

function paddingFor(padding: ConvOptions['padding'], input: Shape, size: Pair, stride: Pair, dilation: Pair): Padding {
  if (Array.isArray(padding)) return padding as unknown as Padding;
  if (typeof padding === 'number') return [padding, padding, padding, padding];
  if (checkOneOf('conv', 'padding', padding ?? 'same', ['same', 'valid']) === 'valid') return [0, 0, 0, 0];
  const total = (axis: 0 | 1): number =>
    Math.max(
      0,
      (Math.ceil(input[axis + 1] / stride[axis]) - 1) * stride[axis] +
        dilation[axis] * (size[axis] - 1) +
        1 -
        input[axis + 1],
    );
  const [vertical, horizontal] = [total(0), total(1)];
  // The odd pixel goes to the bottom and the right.
  return [vertical >> 1, horizontal >> 1, vertical - (vertical >> 1), horizontal - (horizontal >> 1)];
}

/** `filters` convolutions of `size` x `size`. Weight [filters, in / groups, size, size]. */
export function conv(filters: number, size: number | Pair, options: ConvOptions = {}): Layer {
  checkInteger('conv', 'filters', filters, 1);
  const kernel = pair(size);
  kernel.forEach((side) => checkInteger('conv', 'size', side, 1));
  const stride = pair(options.stride ?? 1);
  const dilation = pair(options.dilation ?? 1);
  const groups = checkInteger('conv', 'groups', options.groups ?? 1, 1);
  return {
    ...named('conv', options),
    attributes: (input) => ({
      stride,
      dilation,
      groups,
      padding: paddingFor(options.padding, input, kernel, stride, dilation),
    }),
    parameters([channels]) {
      if (channels % groups !== 0)
        throw new RangeError(`conv: groups: expected a divisor of the ${channels} input channels, got ${groups}`);
      return withBias(options, [filters, channels / groups, ...kernel]);
    },
  };
}

/** `units` neurons, each connected to all inputs (a vector: put `flatten()` before it). Weight [units, in]. */
export function dense(units: number, options: WeightOptions = {}): Layer {
  checkInteger('dense', 'units', units, 1);
  return {
    ...named('dense', options),
    attributes: none,
    parameters: (input) => withBias(options, [units, sizeOf(input)]),
  };
}

function withBias(options: WeightOptions, shape: Shape): ReturnType<Layer['parameters']> {
  const weight = { shape, initialize: options.initializer ?? heNormal };
  return options.bias === false
    ? { weight }
    : { weight, bias: { shape: [shape[0]], initialize: constantInitializer(0) } };
}

function named(kind: OperatorKind, { name }: NamedOptions): Pick<Layer, 'kind' | 'name'> {
  return name === undefined ? { kind } : { kind, name };
}

export interface PoolOptions extends NamedOptions {
  /** Default: the window's size. */
  stride?: number | Pair;
  /** Default 0. */
  padding?: number | Padding;
  /** Average pooling: padded places count as zeros. Default false. */
  countPadding?: boolean;
}

function pool(kind: 'maxPool' | 'averagePool', size: number | Pair, options: PoolOptions): Layer {
  const { padding = 0 } = options;
  const window = {
    size: pair(size),
    stride: pair(options.stride ?? size),
    padding: typeof padding === 'number' ? ([padding, padding, padding, padding] as const) : padding,
  };
  return {
    ...named(kind, options),
    attributes: () => (kind === 'averagePool' ? { ...window, countPadding: options.countPadding ?? false } : window),
    parameters: none,
  };
}

export const maxPool = (size: number | Pair, options: PoolOptions = {}): Layer => pool('maxPool', size, options);
export const averagePool = (size: number | Pair, options: PoolOptions = {}): Layer =>
  pool('averagePool', size, options);

function plain(kind: OperatorKind, options: NamedOptions, attributes: OperatorAttributes[OperatorKind] = {}): Layer {
  return { ...named(kind, options), attributes: () => attributes, parameters: none };
}

export const globalAveragePool = (options: NamedOptions = {}): Layer => plain('globalAveragePool', options);
export const relu = (options: NamedOptions = {}): Layer => plain('relu', options);
/** Slope for negative inputs, above 0. Default 0.01. */
export const leakyRelu = (slope = 0.01, options: NamedOptions = {}): Layer => plain('leakyRelu', options, { slope });
export const sigmoid = (options: NamedOptions = {}): Layer => plain('sigmoid', options);
export const tanh = (options: NamedOptions = {}): Layer => plain('tanh', options);
export const softmax = (options: NamedOptions = {}): Layer => plain('softmax', options);
export const flatten = (options: NamedOptions = {}): Layer => plain('flatten', options);
export const add = (options: NamedOptions = {}): Layer => plain('add', options);
export const concat = (options: NamedOptions = {}): Layer => plain('concat', options);
/** Zeroes with probability `rate` in training. */
export const dropout = (rate: number, options: NamedOptions = {}): Layer => plain('dropout', options, { rate });

/** epsilon default 1e-5, momentum (share of the new statistics) default 0.1. */
export function batchNorm(options: NamedOptions & { epsilon?: number; momentum?: number } = {}): Layer {
  const { epsilon = 1e-5, momentum = 0.1 } = options;
  return {
    ...named('batchNorm', options),
    attributes: () => ({ epsilon, momentum }),
    parameters: ([channels]) => ({
      scale: { shape: [channels], initialize: constantInitializer(1) },
      shift: { shape: [channels], initialize: constantInitializer(0) },
      mean: { shape: [channels], initialize: constantInitializer(0) },
      variance: { shape: [channels], initialize: constantInitializer(1) },
    }),
  };
}

/** y = x scale + shift per channel, not trained: brings outputs to their unit. A number stands for all channels. */
export function affine(scale: number | Float32Array, shift: number | Float32Array, options: NamedOptions = {}): Layer {
  const constant =
    (value: number | Float32Array): Initializer =>
    (shape) => {
      if (typeof value === 'number') return new Float32Array(sizeOf(shape)).fill(value);
      if (value.length !== sizeOf(shape))
        throw new RangeError(`affine: scale and shift: expected ${sizeOf(shape)} values, got ${value.length}`);
      return Float32Array.from(value);
    };
  return {
    ...named('affine', options),
    attributes: none,
    parameters: ([channels]) => ({
      scale: { shape: [channels], initialize: constant(scale) },
      shift: { shape: [channels], initialize: constant(shift) },
    }),
  };
}

export interface NetworkOptions {
  /** Default 'network'. */
  name?: string;
  /** For the first weights. Default 0. */
  seed?: number;
  preprocessing?: Preprocessing;
  task?: Task;
}

/** What the function given to `graph` builds with: every call adds a node and returns the name of its value. */
export interface GraphBuilder {
  input(shape: Shape, name?: string): string;
  /** `graph.node(conv(8, 3), x)`, `graph.node(add(), a, b)`. */
  node(layer: Layer, ...inputs: string[]): string;
  /** Shape per sample of a value. */
  shapeOf(value: string): Shape;
}

/**
 * A network of any shape: `describe` adds nodes and returns the name of the output, or of several.
 * @throws {EspalierError} GRAPH, SHAPE, ATTRIBUTE, naming the node
 */
export function graph(
  options: NetworkOptions,
  describe: (builder: GraphBuilder) => string | readonly string[],
): Network {
  const { name = 'network', seed = 0 } = options;
  const inputs: Network['inputs'][number][] = [];
  const nodes: Node[] = [];
  const parameters = new Map<string, Encoding>();
  const shapes = new Map<string, Shape>();
  const counts = new Map<string, number>();
  const define = (value: string, shape: Shape): string => {
    if (shapes.has(value))
      throw new EspalierError('GRAPH', `graph: two values are called ${show(value)}; give one another name`, {
        name: value,
      });
    shapes.set(value, shape);
    return value;
  };
  const shapeOf = (value: string): Shape => {
    const shape = shapes.get(value);
    if (!shape)
      throw new EspalierError(
        'GRAPH',
        `graph: there is no value ${show(value)} yet; known are ${[...shapes.keys()].map(show).join(', ')}`,
        { name: value },
      );
    return shape;
  };
  const outputs = describe({
    shapeOf,
    input(shape, input = inputs.length === 0 ? 'input' : `input${inputs.length + 1}`) {
      checkShape('graph', 'input', shape);
      inputs.push({ name: input, shape: [...shape] });
      return define(input, shape);
    },
    node(layer, ...from) {
      const number = (counts.get(layer.kind) ?? 0) + 1;
      counts.set(layer.kind, number);
      const value = layer.name ?? `${layer.kind}${number}`;
      const input = shapeOf(from[0]);
      const names: Partial<Record<ParameterRole, string>> = {};
      for (const [role, { shape, initialize }] of Object.entries(layer.parameters(input))) {
        const parameter = `${value}.${role}`;
        checkShape(value, role, shape);
        const data = initialize(shape, seed, parameter);
        if (!(data instanceof Float32Array) || data.length !== sizeOf(shape))
          throw new RangeError(
            `graph: initializer of ${show(parameter)}: expected a Float32Array of ${sizeOf(shape)} values, got ${show(data)}`,
          );
        parameters.set(parameter, { kind: 'dense', shape, data } satisfies DenseEncoding);
        names[role as ParameterRole] = parameter;
      }
      const node = {
        name: value,
        kind: layer.kind,
        inputs: from,
        parameters: names,
        attributes: layer.attributes(input),
      } as Node;
      nodes.push(node);
      const partial: Network = { name, inputs, nodes, outputs: [], parameters };
      const [least, most] = operatorOf(node.kind).arity;
      if (from.length < least || from.length > most)
        throw new EspalierError(
          'GRAPH',
          `node ${show(value)} (${node.kind}): expected ${least === most ? least : `${least} to ${most}`} inputs, got ${from.length}`,
          { name: value },
        );
      return define(
        value,
        OPERATORS[node.kind].shape(node as never, from.map(shapeOf), parameterShapes(partial, node)),
      );
    },
  });
  const network: Network = {
    name,
    inputs,
    nodes,
    parameters,
    outputs: typeof outputs === 'string' ? [outputs] : [...outputs],
    ...(options.preprocessing && { preprocessing: options.preprocessing }),
    ...(options.task && { task: options.task }),
  };
  inferShapes(network);
  return network;
}

/** A chain of layers behind one input of shape `options.input` per sample, for example [1, 64, 64]. */
export function sequential(
  options: NetworkOptions & { input: Shape; inputName?: string },
  layers: readonly Layer[],
): Network {
  return graph(options, (builder) =>
    layers.reduce((value, layer) => builder.node(layer, value), builder.input(options.input, options.inputName)),
  );
}
