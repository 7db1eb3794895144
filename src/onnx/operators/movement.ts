/** What moves elements and computes nothing: shapes, orders, parts, padding. */
import { sameShape, sizeOf } from '../../base/tensor.ts';
import type { Shape } from '../../base/tensor.ts';
import { broadcastShape, expanded, permuted, rearranged, reshaped, stridesOf, tableOf } from '../arrays.ts';
import type { Building, Side, Value } from '../building.ts';
import type { NodeView } from '../node.ts';
import { elements, isFloating, toFloats, toIntegers } from '../tensor.ts';
import type { OnnxTensor } from '../tensor.ts';
import { MOST_AXES } from '../tensor-message.ts';
import { rankOf, required, reshapedTo } from './define.ts';
import type { OnnxOperator } from './define.ts';

const integersOf = (node: NodeView, i: number, tensor: OnnxTensor | undefined): number[] | undefined =>
  tensor && toIntegers(node.proto.inputs[i], tensor);

function axisOf(node: NodeView, axis: number, rank: number): number {
  const found = axis < 0 ? axis + rank : axis;
  if (!(found >= 0 && found < rank)) node.fail('ATTRIBUTE', `axis: expected one of ${rank} axes, got ${axis}`);
  return found;
}

/** Indices of a whole axis. */
const all = (side: number): Int32Array => Int32Array.from({ length: side }, (_, i) => i);

/** A tensor with one index list an axis. */
function selected(tensor: OnnxTensor, indices: readonly ArrayLike<number>[], fill: number | bigint = 0): OnnxTensor {
  const strides = stridesOf(tensor.shape);
  return rearranged(
    tensor,
    indices.map((list, axis) => tableOf(list, strides[axis])),
    fill,
  );
}

// Reshape

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
    const named = namedAxes(node, integersOf(node, 1, axes))?.map((axis) => axisOf(node, axis, shape.length));
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
  const places = new Set(axes.map((axis) => axisOf(node, axis, rank)));
  if (places.size !== axes.length) node.fail('ATTRIBUTE', 'axes: expected each once');
  const rest = [...shape];
  return Array.from({ length: rank }, (_, axis) => (places.has(axis) ? 1 : (rest.shift() ?? 1)));
}

// Order

const transpose: OnnxOperator = {
  evaluate(node, [x]) {
    const tensor = required(node, 0, x);
    return [permuted(tensor, orderOf(node, tensor.shape.length))];
  },
  build(node, graph) {
    const x = graph.value(0);
    const order = orderOf(node, rankOf(graph, 0));
    if (graph.layout === 'batched' && order[0] !== 0) graph.acrossBatch('it moves the batch');
    const inSample = graph.layout === 'batched' ? order.slice(1).map((axis) => axis - 1) : order;
    graph.yields(0, permutedTo(graph, x, inSample));
  },
};

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

// Parts

/** Along each axis where a slice begins, how far it steps and how many it takes. */
interface Span {
  readonly start: number;
  readonly step: number;
  readonly count: number;
}

function spansOf(
  node: NodeView,
  shape: readonly (number | undefined)[],
  given: {
    starts?: readonly number[] | undefined;
    ends?: readonly number[] | undefined;
    axes?: readonly number[] | undefined;
    steps?: readonly number[] | undefined;
  },
): (Span | undefined)[] {
  const starts = given.starts ?? node.integers('starts') ?? node.fail('ATTRIBUTE', 'starts: it is missing');
  const ends = given.ends ?? node.integers('ends') ?? node.fail('ATTRIBUTE', 'ends: it is missing');
  const axes = given.axes ?? node.integers('axes') ?? starts.map((_, i) => i);
  const steps = given.steps ?? starts.map(() => 1);
  if ([ends, axes, steps].some(({ length }) => length !== starts.length))
    node.fail(
      'ATTRIBUTE',
      `starts, ends, axes, steps: expected as many of each, got ${starts.length}, ${ends.length}, ${axes.length}, ${steps.length}`,
    );
  const spans = new Array<Span | undefined>(shape.length).fill(undefined);
  axes.forEach((given, i) => {
    const axis = axisOf(node, given, shape.length);
    // A batch of any size: only a slice of all of it is one for every batch.
    const side = shape[axis] ?? 2 ** 52;
    const step = steps[i];
    if (step === 0) node.fail('ATTRIBUTE', 'steps: expected numbers that are not 0');
    const clamp = (value: number, low: number, high: number): number =>
      Math.min(Math.max(value < 0 ? value + side : value, low), high);
    const start = step > 0 ? clamp(starts[i], 0, side) : clamp(starts[i], 0, side - 1);
    const end = step > 0 ? clamp(ends[i], 0, side) : clamp(ends[i], -1, side - 1);
    const count = Math.max(0, Math.ceil((end - start) / step));
    spans[axis] = start === 0 && step === 1 && count === side ? undefined : { start, step, count };
  });
  return spans;
}

const slice: OnnxOperator = {
  evaluate(node, [x, starts, ends, axes, steps]) {
    const tensor = required(node, 0, x);
    const spans = spansOf(node, tensor.shape, {
      starts: integersOf(node, 1, starts),
      ends: integersOf(node, 2, ends),
      axes: integersOf(node, 3, axes),
      steps: integersOf(node, 4, steps),
    });
    const indices = spans.map((span, axis) =>
      span ? Int32Array.from({ length: span.count }, (_, i) => span.start + i * span.step) : all(tensor.shape[axis]),
    );
    return [selected(tensor, indices)];
  },
  build(node, graph) {
    const x = graph.value(0);
    const spans = spansOf(node, graph.modelShape(0), {
      starts: graph.integers(1),
      ends: graph.integers(2),
      axes: graph.integers(3),
      steps: graph.integers(4),
    });
    if (graph.layout === 'batched' && spans.shift()) graph.acrossBatch('it takes a part of the batch');
    if (spans.some((span) => span?.count === 0)) node.fail('SHAPE', 'it takes nothing: its output would be empty');
    if (spans.every((span) => !span)) graph.yields(0, x);
    else graph.yields(0, sliced(graph, x, spans));
  },
};

function sliced(graph: Building, x: Value, spans: readonly (Span | undefined)[], part?: string): Value {
  const attributes = {
    starts: spans.map((span) => span?.start ?? 0),
    counts: spans.map((span, axis) => span?.count ?? x.shape[axis]),
    steps: spans.map((span) => span?.step ?? 1),
  };
  return graph.node('slice', attributes, [x], part === undefined ? {} : { part });
}

const gather: OnnxOperator = {
  evaluate(node, [x, indices]) {
    const tensor = required(node, 0, x);
    const places = required(node, 1, indices);
    const axis = axisOf(node, node.integer('axis', 0), tensor.shape.length);
    const lists = tensor.shape.map((side, i) =>
      i === axis ? placesIn(node, side, integersOf(node, 1, places) ?? []) : all(side),
    );
    const shape = node.makes([...tensor.shape.slice(0, axis), ...places.shape, ...tensor.shape.slice(axis + 1)]);
    return [reshaped(selected(tensor, lists), shape)];
  },
  build(node, graph) {
    const x = graph.value(0);
    const axis = graph.axis(node.integer('axis', 0), rankOf(graph, 0));
    const places = required(node, 1, graph.constant(1));
    const indices = placesIn(node, x.shape[axis], graph.integers(1) ?? []);
    if (indices.length === 0) node.fail('SHAPE', 'it takes nothing: its output would be empty');
    const taken = graph.node('gather', { axis, indices: [...indices] }, [x]);
    graph.yields(
      0,
      reshapedTo(graph, taken, [...x.shape.slice(0, axis), ...places.shape, ...x.shape.slice(axis + 1)], 'shape'),
    );
  },
};

function placesIn(node: NodeView, side: number, indices: readonly number[]): Int32Array {
  return Int32Array.from(indices, (index) => {
    const found = index < 0 ? index + side : index;
    return found >= 0 && found < side
      ? found
      : node.fail('ATTRIBUTE', `indices: expected ${-side} to ${side - 1}, got ${index}`);
  });
}

const concat: OnnxOperator = {
  evaluate(node, given) {
    const tensors = given.map((tensor, i) => required(node, i, tensor));
    const first = required(node, 0, tensors[0]);
    const axis = axisOf(node, node.integer('axis'), first.shape.length);
    const differs = tensors.find(
      ({ type, shape }) =>
        type !== first.type ||
        shape.length !== first.shape.length ||
        shape.some((side, i) => i !== axis && side !== first.shape[i]),
    );
    if (differs)
      node.fail('SHAPE', `[${differs.shape.join(', ')}] does not fit [${first.shape.join(', ')}] but for axis ${axis}`);
    const outer = sizeOf(first.shape.slice(0, axis));
    const total = tensors.reduce((sum, { shape }) => sum + shape[axis], 0);
    const shape = node.makes(first.shape.map((side, i) => (i === axis ? total : side)));
    const result = elements(first.type, sizeOf(shape)) as unknown as (number | bigint)[];
    let to = 0;
    for (let row = 0; row < outer; row++) {
      for (const { data } of tensors) {
        const count = data.length / outer;
        for (let i = row * count; i < (row + 1) * count; i++) result[to++] = data[i];
      }
    }
    return [{ type: first.type, shape, data: result as unknown as OnnxTensor['data'] }];
  },
  build(node, graph) {
    const values = Array.from({ length: node.inputCount }, (_, i) => graph.value(i));
    const axis = graph.axis(node.integer('axis'), rankOf(graph, 0));
    graph.yields(0, values.length === 1 ? values[0] : graph.node('concat', { axis }, values));
  },
};

const split: OnnxOperator = {
  evaluate(node, [x, given]) {
    const tensor = required(node, 0, x);
    const axis = axisOf(node, node.integer('axis', 0), tensor.shape.length);
    let from = 0;
    return splitSizes(node, tensor.shape[axis], integersOf(node, 1, given)).map((size) => {
      const indices = tensor.shape.map((side, i) =>
        i === axis ? Int32Array.from({ length: size }, (_, k) => from + k) : all(side),
      );
      from += size;
      return selected(tensor, indices);
    });
  },
  build(node, graph) {
    const x = graph.value(0);
    const axis = graph.axis(node.integer('axis', 0), rankOf(graph, 0));
    const sizes = splitSizes(node, x.shape[axis], graph.integers(1));
    if (sizes.includes(0)) node.fail('SHAPE', 'sizes of 0: its output would be empty');
    const parts = sizes.length === 1 ? [x] : graph.add('split', { axis, sizes }, [x], { yields: sizes.length });
    parts.forEach((part, i) => graph.yields(i, part));
  },
};

function splitSizes(node: NodeView, side: number, given: readonly number[] | undefined): number[] {
  const named = given ?? node.integers('split');
  if (named) {
    if (
      named.reduce((sum, size) => sum + size, 0) !== side ||
      named.some((size) => size < 0) ||
      named.length < node.outputCount
    )
      node.fail('ATTRIBUTE', `split: expected sizes that add up to ${side}, got [${named.join(', ')}]`);
    return [...named];
  }
  const parts = node.proto.outputs.length;
  const stated = node.integer('num_outputs', parts);
  if (stated !== parts) node.fail('ATTRIBUTE', `num_outputs: expected ${parts}, as it has outputs, got ${stated}`);
  const size = Math.ceil(side / parts);
  return Array.from({ length: parts }, (_, i) => Math.max(0, Math.min(size, side - i * size)));
}

// Stretching and padding

const expand: OnnxOperator = {
  evaluate(node, [x, sides]) {
    const tensor = required(node, 0, x);
    const shape =
      broadcastShape(tensor.shape, integersOf(node, 1, sides) ?? []) ??
      node.fail('SHAPE', 'its input does not fit the shape');
    return [expanded(tensor, node.makes(shape))];
  },
  build(node, graph) {
    const x = graph.value(0);
    const sides = required(node, 1, graph.sides(1));
    const rank = rankOf(graph, 0);
    const missing = sides.length - rank;
    if (graph.layout === 'batched') {
      const [first] = sides.length === rank ? sides : [undefined];
      const stays =
        sides.length < rank ||
        (first && ('batches' in first ? first.batches === 1 : first.fixed === 1 || first.fixed === graph.batch));
      if (!stays) graph.acrossBatch('it stretches the batch');
    }
    const wanted = sides
      .slice(graph.layout === 'batched' && sides.length === rank ? 1 : 0)
      .map((side) => ('fixed' in side ? side.fixed : graph.acrossBatch('its shape depends on the batch')));
    const from =
      graph.layout === 'whole' && missing > 0
        ? reshapedTo(graph, x, [...new Array<number>(missing).fill(1), ...x.shape], 'align')
        : x;
    const shape =
      broadcastShape(from.shape, wanted) ??
      node.fail('SHAPE', `[${from.shape.join(', ')}] does not fit [${wanted.join(', ')}]`);
    graph.yields(0, sameShape(shape, from.shape) ? from : graph.node('expand', { shape }, [from]));
  },
};

const tile: OnnxOperator = {
  evaluate(node, [x, repeats]) {
    const tensor = required(node, 0, x);
    const times = required(node, 1, integersOf(node, 1, repeats));
    checkRepeats(node, times, tensor.shape.length, 0);
    node.makes(tensor.shape.map((side, axis) => side * times[axis]));
    return [
      selected(
        tensor,
        tensor.shape.map((side, axis) => Int32Array.from({ length: side * times[axis] }, (_, i) => i % side)),
      ),
    ];
  },
  build(node, graph) {
    const x = graph.value(0);
    const times = [...required(node, 1, graph.integers(1))];
    checkRepeats(node, times, rankOf(graph, 0), 1);
    if (graph.layout === 'batched' && times.shift() !== 1) graph.acrossBatch('it repeats the batch');
    let y = x;
    times.forEach((count, axis) => {
      const side = x.shape[axis];
      if (side * count > LONGEST_LIST)
        node.fail(
          'BUDGET',
          `repeats: axis ${axis} would have ${side * count} elements; at most ${LONGEST_LIST} are listed`,
        );
      if (count > 1)
        y = graph.node('gather', { axis, indices: Array.from({ length: side * count }, (_, i) => i % side) }, [y], {
          part: `axis${axis}`,
        });
    });
    graph.yields(0, y);
  },
};

/** Indices of a repeated axis are listed one by one. */
const LONGEST_LIST = 65536;

function checkRepeats(node: NodeView, times: readonly number[], rank: number, from: number): void {
  if (times.length !== rank) node.fail('ATTRIBUTE', `repeats: expected ${rank} numbers, got ${times.length}`);
  const bad = times.find((count) => count < from);
  if (bad !== undefined) node.fail('ATTRIBUTE', `repeats: expected numbers from ${from}, got ${bad}`);
}

const PAD_MODES = ['constant', 'reflect', 'edge', 'wrap'] as const;

/** How much is added before and behind each axis, less than nothing where elements are cut off. */
function padded(
  node: NodeView,
  rank: number,
  given: readonly number[] | undefined,
  named: readonly number[] | undefined,
): { before: number[]; after: number[] } {
  const pads =
    given ?? node.integers('pads') ?? node.integers('paddings') ?? node.fail('ATTRIBUTE', 'pads: it is missing');
  const axes = named ?? Array.from({ length: rank }, (_, axis) => axis);
  if (pads.length !== 2 * axes.length)
    node.fail('ATTRIBUTE', `pads: expected ${2 * axes.length} numbers, got ${pads.length}`);
  const before = new Array<number>(rank).fill(0);
  const after = new Array<number>(rank).fill(0);
  axes.forEach((axis, i) => {
    const at = axisOf(node, axis, rank);
    [before[at], after[at]] = [pads[i], pads[i + axes.length]];
  });
  return { before, after };
}

/** The element that a padded place shows, -1: the fill value. */
function shown(mode: (typeof PAD_MODES)[number], at: number, side: number): number {
  if (at >= 0 && at < side) return at;
  if (mode === 'constant') return -1;
  if (mode === 'edge') return at < 0 ? 0 : side - 1;
  if (mode === 'wrap') return ((at % side) + side) % side;
  const period = Math.max(1, 2 * (side - 1));
  const folded = ((at % period) + period) % period;
  return folded < side ? folded : period - folded;
}

const pad: OnnxOperator = {
  evaluate(node, [x, pads, filler, axes]) {
    const tensor = required(node, 0, x);
    const { shape } = tensor;
    const mode = node.text('mode', PAD_MODES, 'constant');
    const { before, after } = padded(node, shape.length, integersOf(node, 1, pads), integersOf(node, 3, axes));
    const sides = shape.map((side, axis) => before[axis] + side + after[axis]);
    if (sides.some((side) => side < 0)) node.fail('ATTRIBUTE', `pads: nothing is left of [${shape.join(', ')}]`);
    node.makes(sides);
    const emptied = shape.findIndex((side, axis) => side === 0 && sides[axis] > 0);
    if (emptied >= 0 && mode !== 'constant') node.fail('ATTRIBUTE', `pads: axis ${emptied} has nothing to repeat`);
    if (filler && filler.type !== tensor.type)
      node.fail('TENSOR', `expected a fill value of type ${tensor.type}, got ${filler.type}`);
    const lists = sides.map((side, axis) =>
      Array.from({ length: side }, (_, i) => shown(mode, i - before[axis], shape[axis])),
    );
    const value = node.float('value', 0);
    return [selected(tensor, lists, filler?.data[0] ?? (isFloating(tensor.type) ? value : Math.trunc(value)))];
  },
  build(node, graph) {
    const x = graph.value(0);
    const mode = node.text('mode', PAD_MODES, 'constant');
    const { before, after } = padded(node, rankOf(graph, 0), graph.integers(1), graph.integers(3));
    const filler = graph.constant(2);
    const value = filler ? toFloats(node.proto.inputs[2], filler)[0] : node.float('value', 0);
    if (graph.layout === 'batched' && [before.shift(), after.shift()].some((count) => count !== 0))
      graph.acrossBatch('it pads the batch');
    // What is negative is cut off.
    const spans = x.shape.map((side, axis): Span | undefined => {
      const [head, tail] = [Math.min(0, before[axis]), Math.min(0, after[axis])];
      if (head === 0 && tail === 0) return undefined;
      if (side + head + tail < 1) node.fail('ATTRIBUTE', `pads: nothing is left of side ${side}`);
      return { start: head === 0 ? 0 : -head, step: 1, count: side + head + tail };
    });
    const cut = spans.some(Boolean) ? sliced(graph, x, spans, 'cut') : x;
    const [more, behind] = [before, after].map((counts) => counts.map((count) => Math.max(0, count)));
    const nothing = [...more, ...behind].every((count) => count === 0);
    graph.yields(0, nothing ? cut : graph.node('pad', { before: more, after: behind, mode, value }, [cut]));
  },
};

export const MOVEMENT: Readonly<Record<string, OnnxOperator>> = {
  Reshape: reshape,
  Flatten: flatten,
  Squeeze: squeeze,
  Unsqueeze: unsqueeze,
  Transpose: transpose,
  DepthToSpace: depthToSpace,
  SpaceToDepth: spaceToDepth,
  Slice: slice,
  Gather: gather,
  Concat: concat,
  Split: split,
  Expand: expand,
  Tile: tile,
  Pad: pad,
};
