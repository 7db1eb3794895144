/** Other shapes and orders of axes for the same elements. */
import { sizeOf } from '../../base/tensor.ts';
import type { Shape } from '../../base/tensor.ts';
import type { DenseEncoding } from '../../encodings/types.ts';
import { axisFrom, permuted, reshaped, storedTensor } from '../arrays.ts';
import type { Building, Side, Value } from '../building.ts';
import type { NodeView } from '../node.ts';
import type { OnnxTensor } from '../tensor.ts';
import { MOST_AXES } from '../tensor-message.ts';
import { integersOf, rankOf, required, reshapedTo } from './define.ts';
import type { OnnxOperator } from './define.ts';

const reshape: OnnxOperator = {
  evaluate(node, [x, sides]) {
    const tensor = required(node, 0, x);
    const wanted = integersOf(node, 1, sides) ?? node.integers('shape') ?? [];
    return [reshaped(tensor, node.makes(resolved(node, wanted, tensor.shape, sizeOf(tensor.shape))))];
  },
  build(node, graph) {
    const x = graph.value(0);
    const sides = graph.sides(1) ?? (node.integers('shape') ?? []).map((fixed): Side => ({ fixed }));
    if (graph.layout === 'whole') {
      const fixed = sides.map((side) =>
        'fixed' in side ? side.fixed : node.fail('SHAPE', 'its shape depends on the batch'),
      );
      graph.yields(0, reshapedTo(graph, x, resolved(node, fixed, x.shape, sizeOf(x.shape))));
      return;
    }
    const rest = sides
      .slice(1)
      .map((side) => ('fixed' in side ? side.fixed : graph.acrossBatch('it makes the batch another axis')));
    const shape = resolved(node, rest, x.shape, sizeOf(x.shape), 1);
    checkBatchStays(node, graph, sides[0], sizeOf(shape) === sizeOf(x.shape), rest.includes(-1));
    graph.yields(0, reshapedTo(graph, x, shape));
  },
};

/** The first side of a new shape must be the batch, however the model says so. */
function checkBatchStays(node: NodeView, graph: Building, first: Side | undefined, fits: boolean, open: boolean): void {
  if (first && fits) {
    if ('batches' in first) {
      if (first.batches === 1) return;
    } else {
      const copies = first.fixed === 0 && node.integer('allowzero', 0) === 0;
      if (copies || first.fixed === -1 || first.fixed === graph.batch) return;
      if (first.fixed === 1 && graph.batch === undefined) {
        graph.note(
          `it makes one sample of whatever comes (its shape begins with 1${open ? ', -1' : ''}); taken as the batch`,
        );
        return;
      }
    }
  }
  graph.acrossBatch('it makes the batch a part of another axis');
}

/** Sides with 0 (as it was) and -1 (what is left) filled in; `offset`: axes of the old shape that lie before. */
function resolved(node: NodeView, wanted: readonly number[], old: Shape, size: number, offset = 0): number[] {
  const allowsZero = node.integer('allowzero', 0) !== 0;
  const sides = wanted.map((side, i) => {
    if (side !== 0 || allowsZero) return side;
    // Counted along the model's axes, of which the batch may be the first.
    return (
      old[i + offset - offset] ??
      node.fail('SHAPE', `its shape asks for side ${i + offset} of its input, which has none`)
    );
  });
  const bad = sides.find((side) => side < -1);
  if (bad !== undefined) node.fail('SHAPE', `its shape: expected sides from 0, or -1 once, got ${bad}`);
  const opens = sides.filter((side) => side === -1).length;
  if (opens > 1) node.fail('SHAPE', 'its shape: expected at most one -1');
  const fixed = sides.reduce((product, side) => (side === -1 ? product : product * side), 1);
  const left = fixed === 0 ? 0 : size / fixed;
  const full = sides.map((side) => (side === -1 ? left : side));
  if (!Number.isInteger(left) || (sizeOf(full) !== size && offset === 0))
    node.fail('SHAPE', `${size} elements do not fill [${wanted.join(', ')}]`);
  return full;
}

const flatten: OnnxOperator = {
  evaluate(node, [x]) {
    const tensor = required(node, 0, x);
    const axis = flattenAxis(node, tensor.shape.length);
    return [reshaped(tensor, [sizeOf(tensor.shape.slice(0, axis)), sizeOf(tensor.shape.slice(axis))])];
  },
  build(node, graph) {
    const x = graph.value(0);
    const axis = flattenAxis(node, rankOf(graph, 0));
    if (graph.layout === 'whole') {
      graph.yields(0, reshapedTo(graph, x, [sizeOf(x.shape.slice(0, axis)), sizeOf(x.shape.slice(axis))]));
      return;
    }
    if (axis === 0 || sizeOf(x.shape.slice(0, axis - 1)) !== 1)
      graph.acrossBatch('it makes the batch a part of another axis');
    graph.yields(0, reshapedTo(graph, x, [sizeOf(x.shape)]));
  },
};

function flattenAxis(node: NodeView, rank: number): number {
  const axis = node.integer('axis', 1);
  const found = axis < 0 ? axis + rank : axis;
  return found >= 0 && found <= rank ? found : node.fail('ATTRIBUTE', `axis: expected 0 to ${rank}, got ${axis}`);
}

/** Axes as an attribute (before operator set 13) or as an input. */
const namedAxes = (node: NodeView, input: readonly number[] | undefined): readonly number[] | undefined =>
  input ?? node.integers('axes');

const squeeze: OnnxOperator = {
  evaluate(node, [x, axes]) {
    const tensor = required(node, 0, x);
    const { shape } = tensor;
    const named = namedAxes(node, integersOf(node, 1, axes))?.map((axis) => axisFrom(axis, shape.length));
    return [
      reshaped(tensor, squeezed(node, shape, named ?? shape.flatMap((side, axis) => (side === 1 ? [axis] : [])))),
    ];
  },
  build(node, graph) {
    const x = graph.value(0);
    const rank = rankOf(graph, 0);
    const named = namedAxes(node, graph.integers(1))?.map((axis) => graph.axis(axis, rank));
    if (!named && graph.layout === 'batched' && graph.batch === 1)
      graph.acrossBatch('it takes off every side of 1, the batch too');
    graph.yields(
      0,
      reshapedTo(
        graph,
        x,
        squeezed(node, x.shape, named ?? x.shape.flatMap((side, axis) => (side === 1 ? [axis] : []))),
      ),
    );
  },
};

function squeezed(node: NodeView, shape: Shape, axes: readonly number[]): number[] {
  const bad = axes.find((axis) => shape[axis] !== 1);
  if (bad !== undefined) node.fail('SHAPE', `axes: side ${bad} is ${shape[bad]}; only sides of 1 can go`);
  return shape.filter((_, axis) => !axes.includes(axis));
}

const unsqueeze: OnnxOperator = {
  evaluate(node, [x, axes]) {
    const tensor = required(node, 0, x);
    return [
      reshaped(tensor, unsqueezed(node, tensor.shape, required(node, 1, namedAxes(node, integersOf(node, 1, axes))))),
    ];
  },
  build(node, graph) {
    const x = graph.value(0);
    const axes = required(node, 1, namedAxes(node, graph.integers(1)));
    const rank = rankOf(graph, 0) + axes.length;
    const shape = unsqueezed(node, graph.layout === 'batched' ? [0, ...x.shape] : x.shape, axes);
    for (const axis of axes) graph.axis(axis, rank);
    graph.yields(0, reshapedTo(graph, x, graph.layout === 'batched' ? shape.slice(1) : shape));
  },
};

function unsqueezed(node: NodeView, shape: Shape, axes: readonly number[]): number[] {
  const rank = shape.length + axes.length;
  if (rank > MOST_AXES) node.fail('UNSUPPORTED', `axes: it makes ${rank}; at most ${MOST_AXES} are read`);
  const places = new Set(axes.map((axis) => axisFrom(axis, rank)));
  if (places.size !== axes.length) node.fail('ATTRIBUTE', 'axes: expected each once');
  const rest = [...shape];
  return Array.from({ length: rank }, (_, axis) => (places.has(axis) ? 1 : (rest.shift() ?? 1)));
}

const transpose: OnnxOperator = {
  evaluate(node, [x]) {
    const tensor = required(node, 0, x);
    const order = orderOf(node, tensor.shape.length);
    // Turned only where somebody reads it so: most are turned back, as the weights of layers.
    return [permuted(asParameter(node, tensor), order)];
  },
  build(node, graph) {
    const x = graph.value(0);
    const order = orderOf(node, rankOf(graph, 0));
    if (graph.layout === 'batched' && order[0] !== 0) graph.acrossBatch('it moves the batch');
    const inSample = graph.layout === 'batched' ? order.slice(1).map((axis) => axis - 1) : order;
    graph.yields(0, permutedTo(graph, x, inSample));
  },
};

/** Floats as the parameter that they are in the model, so that they keep their name and order. */
function asParameter(node: NodeView, tensor: OnnxTensor): OnnxTensor {
  if (tensor.type !== 'float' || tensor.stored) return tensor;
  const { shape } = tensor;
  const encoding: DenseEncoding = { kind: 'dense', shape, data: tensor.data as Float32Array };
  const order = shape.map((_, axis) => axis);
  const spend = (count: number): void => node.spends(count);
  return storedTensor({ name: node.proto.inputs[0], encoding, view: shape, order, spend }, shape);
}

function orderOf(node: NodeView, rank: number): readonly number[] {
  const order = node.integers('perm') ?? Array.from({ length: rank }, (_, i) => rank - 1 - i);
  if (order.length !== rank || new Set(order).size !== rank || order.some((axis) => !(axis >= 0 && axis < rank)))
    node.fail('ATTRIBUTE', `perm: expected each of ${rank} axes once, got [${order.join(', ')}]`);
  return order;
}

function permutedTo(graph: Building, x: Value, order: readonly number[], part?: string): Value {
  if (order.every((axis, i) => axis === i)) return x;
  return graph.node('permute', { order: [...order] }, [x], part === undefined ? {} : { part });
}

/** Blocks of channels become blocks of positions. */
const depthToSpace: OnnxOperator = {
  build(node, graph) {
    const x = graph.value(0);
    const block = node.integer('blocksize');
    const byColumns = node.text('mode', ['DCR', 'CRD'], 'DCR') === 'CRD';
    const lead = x.shape.length - 3;
    if (lead !== 0) graph.acrossBatch('its batch is not that of the model');
    const [channels, height, width] = x.shape;
    const depth = channels / (block * block);
    if (!(block >= 1) || !Number.isInteger(depth) || depth < 1)
      node.fail('ATTRIBUTE', `blocksize: ${block} squared does not divide the ${channels} channels`);
    const parts = byColumns ? [depth, block, block, height, width] : [block, block, depth, height, width];
    const cut = reshapedTo(graph, x, parts, 'blocks');
    const order = byColumns ? [0, 3, 1, 4, 2] : [2, 3, 0, 4, 1];
    graph.yields(0, reshapedTo(graph, permutedTo(graph, cut, order, 'order'), [depth, height * block, width * block]));
  },
};

const spaceToDepth: OnnxOperator = {
  build(node, graph) {
    const x = graph.value(0);
    const block = node.integer('blocksize');
    if (x.shape.length !== 3) graph.acrossBatch('its batch is not that of the model');
    const [channels, height, width] = x.shape;
    if (!(block >= 1) || height % block !== 0 || width % block !== 0)
      node.fail('ATTRIBUTE', `blocksize: ${block} does not divide ${height} x ${width}`);
    const cut = reshapedTo(graph, x, [channels, height / block, block, width / block, block], 'blocks');
    const moved = permutedTo(graph, cut, [2, 4, 0, 1, 3], 'order');
    graph.yields(0, reshapedTo(graph, moved, [channels * block * block, height / block, width / block]));
  },
};

export const RESHAPING: Readonly<Record<string, OnnxOperator>> = {
  Reshape: reshape,
  Flatten: flatten,
  Squeeze: squeeze,
  Unsqueeze: unsqueeze,
  Transpose: transpose,
  DepthToSpace: depthToSpace,
  SpaceToDepth: spaceToDepth,
};
