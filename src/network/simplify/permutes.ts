/**
 * Orders of axes: a network that was trained with channels last is exported with a permute on either side of every
 * convolution. Each is carried forward, through what does not care for the order of axes, until it meets its opposite;
 * one that comes to a dense layer becomes the order of that layer's weights. A value that had to be turned once is there
 * in both orders: whoever reads it beside a turned one reads it turned.
 */
import { sameShape, sizeOf } from '../../base/tensor.ts';
import type { Shape } from '../../base/tensor.ts';
import { isDense } from '../../encodings/index.ts';
import type { Encoding } from '../../encodings/types.ts';
import { freshName, namesIn, namesOf } from '../../graph/names.ts';
import type { Attributes, Network, Node } from '../../graph/network.ts';
import { outputsOf } from '../../graph/walk.ts';
import { operatorOf } from '../../operators/table.ts';
import { viewOf, withoutUnused } from './rewriting.ts';
import type { View } from './rewriting.ts';

/** A value that is another one with its axes in this order, and was not written down yet. */
interface Pending {
  readonly source: string;
  readonly sourceShape: Shape;
  readonly order: readonly number[];
  /** It is a flatten of that. */
  readonly flat?: boolean;
}

const isIdentity = (order: readonly number[]): boolean => order.every((axis, i) => axis === i);
const inverse = (order: readonly number[]): number[] => order.map((_, axis) => order.indexOf(axis));

/** The order moves sides of 1 only: elements stay where they are. */
function keepsElements(order: readonly number[], shape: Shape): boolean {
  const moved = order.filter((axis) => shape[axis] !== 1);
  return moved.every((axis, i) => i === 0 || axis > moved[i - 1]);
}

/** Attributes of a node that works on the source instead; undefined: it cannot. Lists have an entry for each axis. */
function movedAttributes({ kind, attributes }: Node, order: readonly number[]): Attributes | undefined {
  const back = inverse(order);
  const list = (name: string): number[] => {
    const values = attributes[name] as readonly number[];
    return back.map((axis) => values[axis]);
  };
  const axes = (name: string): number[] => (attributes[name] as readonly number[]).map((axis) => order[axis]);
  if (kind === 'pad') return { ...attributes, before: list('before'), after: list('after') };
  if (kind === 'slice') return { ...attributes, starts: list('starts'), counts: list('counts'), steps: list('steps') };
  if (kind === 'dropout') return attributes;
  if (kind === 'concat' || kind === 'softmax' || kind === 'gather' || kind === 'split')
    return { ...attributes, axis: order[(attributes['axis'] as number | undefined) ?? order.length - 1] };
  if (kind.startsWith('reduce') && attributes['keep'] === true)
    return { ...attributes, axes: axes('axes').sort((a, b) => a - b) };
  return undefined;
}

export function withoutPermutes(network: Network): Network {
  const view = viewOf(network);
  const pending = new Map<string, Pending>();
  const outputs = new Set(network.outputs);
  /** Values that were written down in another order, in that order; and what is the same as another, by source and order. */
  const turned = new Map<string, Pending>();
  const made = new Map<string, string>();
  const same = new Map<string, string>();
  const real = (name: string): string => same.get(name) ?? name;
  const names = namesOf(namesIn(network));
  const nodes: Node[] = [];
  const parameters = new Map<string, Encoding>(network.parameters);
  const fresh = (wanted: string): string => freshName(names, wanted);
  /** A node for a value that had another one, which moved. */
  const written = (value: string, kind: string, attributes: Attributes, source: string): void =>
    void nodes.push({
      name: fresh(`${value}.${kind}`),
      kind,
      inputs: [source],
      outputs: [value],
      parameters: {},
      attributes,
    });
  /** Writes down what a value is, where somebody reads it as it is. */
  const settle = (value: string): void => {
    const found = pending.get(value);
    if (!found) return;
    pending.delete(value);
    const { source, sourceShape, order, flat } = found;
    const shape = view.shapeOf(value);
    if (flat) {
      const ordered = fresh(`${value}.order`);
      written(ordered, 'permute', { order: [...order] }, source);
      written(value, 'flatten', {}, ordered);
      return;
    }
    const id = `${order.join()} of ${source}`;
    const before = made.get(id);
    if (before !== undefined && !outputs.has(value)) {
      same.set(value, before);
      return;
    }
    made.set(id, value);
    turned.set(source, { source: value, sourceShape: shape, order: inverse(order) });
    if (!isIdentity(order) && keepsElements(order, sourceShape)) {
      written(value, 'reshape', { shape: [...shape] }, source);
    } else written(value, 'permute', { order: [...order] }, source);
  };
  /** The same node before the permute: its own value is pending then. */
  const push = (node: Node, inputs: readonly string[], attributes: Attributes, first: Pending): void => {
    const moved = outputsOf(node).map((value) => fresh(`${value}.moved`));
    nodes.push({ ...node, inputs, attributes, outputs: moved });
    const back = inverse(first.order);
    outputsOf(node).forEach((value, i) => {
      const shape = view.shapeOf(value);
      const sourceShape = first.flat ? first.sourceShape : back.map((axis) => shape[axis]);
      pending.set(value, { ...first, source: moved[i], sourceShape });
    });
  };

  for (const node of network.nodes) {
    const [value] = outputsOf(node);
    const first = pending.get(node.inputs[0]);
    if (node.kind === 'permute') {
      const order = node.attributes['order'] as readonly number[];
      const [input] = node.inputs;
      const whole = first && !first.flat ? order.map((axis) => first.order[axis]) : order;
      if (first?.flat) settle(input);
      const source = first && !first.flat ? first.source : real(input);
      const sourceShape = first && !first.flat ? first.sourceShape : view.shapeOf(input);
      pending.set(value, { source, sourceShape, order: whole });
      continue;
    }
    const several = node.inputs.map((name) => pending.get(name)).filter((one) => one !== undefined);
    if (several.length > 0) {
      const moved = movedThrough(node, several, view, parameters, {
        orderedAs: (name) => pending.get(name) ?? turned.get(name),
        fresh,
        reshaped(name, shape) {
          const value = fresh(`${name}.order`);
          written(value, 'reshape', { shape: [...shape] }, real(name));
          return value;
        },
      });
      if (moved) {
        push(node, moved.inputs, moved.attributes, several[0]);
        continue;
      }
      if (node.kind === 'flatten' && first && !first.flat && !outputs.has(value)) {
        pending.set(value, { ...first, flat: true });
        continue;
      }
      const columns = node.kind === 'dense' && first?.flat ? turnedColumns(node, first, view) : undefined;
      if (columns && first) {
        const flat = fresh(`${node.inputs[0]}.flat`);
        nodes.push({ name: flat, kind: 'flatten', inputs: [first.source], parameters: {}, attributes: {} });
        parameters.set(columns.name, columns.encoding);
        nodes.push({ ...node, inputs: [flat] });
        continue;
      }
      for (const name of node.inputs) settle(name);
    }
    nodes.push(node.inputs.some((name) => same.has(name)) ? { ...node, inputs: node.inputs.map(real) } : node);
  }
  for (const name of network.outputs) settle(name);
  return withoutUnused(withoutIdentities({ ...network, nodes, parameters }));
}

/** What moving a node takes. */
interface Moving {
  /** A value that is another one in another order. */
  readonly orderedAs: (name: string) => Pending | undefined;
  readonly fresh: (wanted: string) => string;
  /** The same elements in another shape. */
  readonly reshaped: (name: string, shape: Shape) => string;
}

/** Inputs and attributes of a node that works on the sources of its inputs; undefined if it cares for the order. */
function movedThrough(
  node: Node,
  several: readonly Pending[],
  view: View,
  parameters: Map<string, Encoding>,
  { orderedAs, fresh, reshaped }: Moving,
): { inputs: readonly string[]; attributes: Attributes } | undefined {
  const [{ order, flat, sourceShape }] = several;
  if (outputsOf(node).length > 1 && node.kind !== 'split') return undefined;
  const isAlike = (one: Pending): boolean =>
    one.flat === flat && sameShape(one.order, order) && (!flat || sameShape(one.sourceShape, sourceShape));
  if (!several.every(isAlike)) return undefined;
  const { pointwise, roles } = operatorOf(node);
  const isPointwise = pointwise !== undefined && roles.length === 0;
  if (flat && !isPointwise && node.kind !== 'dropout') return undefined;
  const attributes = isPointwise ? node.attributes : movedAttributes(node, order);
  if (!attributes) return undefined;
  const back = inverse(order);
  const inputs = node.inputs.map((name): string | undefined => {
    const found = orderedAs(name);
    if (found && isAlike(found)) return found.source;
    // Another value of as many axes would have to be turned itself; of a constant the elements are.
    if (!isPointwise) return undefined;
    if (!view.isConstant(name)) {
      const shape = view.shapeOf(name);
      if (flat || shape.length !== order.length || !keepsElements(back, shape)) return undefined;
      return reshaped(name, back.map((axis) => shape[axis])); // prettier-ignore
    }
    const encoding = parameters.get(name);
    if (!encoding || !isDense(encoding)) return undefined;
    if (sizeOf(encoding.shape) === 1 && encoding.shape.length <= order.length) return name;
    if (flat || encoding.shape.length > order.length) return undefined;
    const shape = [...new Array<number>(order.length - encoding.shape.length).fill(1), ...encoding.shape];
    const turned = fresh(`${name}.order`);
    parameters.set(turned, {
      kind: 'dense',
      shape: back.map((axis) => shape[axis]),
      data: permuted(encoding.data, shape, back),
    });
    return turned;
  });
  return inputs.every((name) => name !== undefined) ? { inputs, attributes } : undefined;
}

/** Elements of a row-major array with its axes in another order. */
function permuted(data: Float32Array, shape: Shape, order: readonly number[]): Float32Array {
  const steps = new Array<number>(shape.length);
  for (let axis = shape.length - 1, step = 1; axis >= 0; axis--) {
    steps[axis] = step;
    step *= shape[axis];
  }
  const sides = order.map((axis) => shape[axis]);
  const at = new Array<number>(order.length).fill(0);
  const result = new Float32Array(data.length);
  for (let i = 0; i < result.length; i++) {
    result[i] = data[at.reduce((sum, index, axis) => sum + index * steps[order[axis]], 0)];
    for (let axis = at.length - 1; axis >= 0 && ++at[axis] === sides[axis]; axis--) at[axis] = 0;
  }
  return result;
}

/** The weight of a dense layer whose inputs come in the order of the source. */
function turnedColumns(
  node: Node,
  { sourceShape, order }: Pending,
  view: View,
): { name: string; encoding: Encoding } | undefined {
  const name = node.parameters['weight'];
  const weight = view.values(name);
  if (!weight || name === undefined) return undefined;
  const [outputs, inputs] = weight.shape;
  const shape = order.map((axis) => sourceShape[axis]);
  const data = new Float32Array(weight.data.length);
  const back = inverse(order);
  for (let row = 0; row < outputs; row++)
    data.set(permuted(weight.data.subarray(row * inputs, (row + 1) * inputs), shape, back), row * inputs);
  return { name, encoding: { kind: 'dense', shape: weight.shape, data } };
}

/** Permutes that change nothing are read through; an output that is one gives its name to what it reads. */
function withoutIdentities(network: Network): Network {
  const outputs = new Set(network.outputs);
  const renamed = new Map<string, string>();
  const current = (name: string): string => renamed.get(name) ?? name;
  const isNothing = ({ kind, attributes }: Node): boolean =>
    kind === 'permute' && isIdentity(attributes['order'] as readonly number[]);
  const yielded = new Set(network.nodes.flatMap((node) => outputsOf(node)));
  const kept = network.nodes.filter((node) => {
    if (!isNothing(node)) return true;
    const [value] = outputsOf(node);
    const source = current(node.inputs[0]);
    if (!outputs.has(value)) renamed.set(value, source);
    else if (yielded.has(source) && !outputs.has(source)) renamed.set(source, value);
    else return true;
    return false;
  });
  // A name may lead to one that was given away later.
  const settled = (name: string): string => current(current(name));
  return {
    ...network,
    nodes: kept.map((node) => {
      const names = outputsOf(node).map(settled);
      const { outputs: _, ...rest } = node;
      const inputs = node.inputs.map(settled);
      return names.length === 1 && names[0] === node.name ? { ...rest, inputs } : { ...rest, inputs, outputs: names };
    }),
  };
}
