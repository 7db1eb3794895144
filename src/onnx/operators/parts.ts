/** Parts of values, and values put together from parts. */
import { sizeOf } from '../../base/tensor.ts';
import { axisFrom, reshaped, selected, wholeAxis } from '../arrays.ts';
import type { Building, Value } from '../building.ts';
import type { NodeView } from '../node.ts';
import { elements } from '../tensor.ts';
import type { OnnxTensor } from '../tensor.ts';
import { integersOf, rankOf, required, reshapedTo } from './define.ts';
import type { OnnxOperator } from './define.ts';

/** Along each axis where a slice begins, how far it steps and how many it takes. */
export interface Span {
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
    const axis = axisFrom(given, shape.length);
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
      span
        ? Int32Array.from({ length: span.count }, (_, i) => span.start + i * span.step)
        : wholeAxis(tensor.shape[axis]),
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

export function sliced(graph: Building, x: Value, spans: readonly (Span | undefined)[], part?: string): Value {
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
    const axis = axisFrom(node.integer('axis', 0), tensor.shape.length);
    const lists = tensor.shape.map((side, i) =>
      i === axis ? placesIn(node, side, integersOf(node, 1, places) ?? []) : wholeAxis(side),
    );
    const shape = node.makes([...tensor.shape.slice(0, axis), ...places.shape, ...tensor.shape.slice(axis + 1)]);
    return [reshaped(selected(tensor, lists), shape)];
  },
  build(node, graph) {
    if (graph.input(0)?.kind === 'constant')
      node.fail(
        'UNSUPPORTED',
        'it looks up rows of a table by numbers that come when the network runs (an embedding), and networks compute with floats; export the part of the model behind it, with the rows as its input',
      );
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

/** A constant as a value, which every sample has: added to a 0 that is made of one element of another value. */
function constantValue(graph: Building, i: number, other: Value): Value {
  const rank = other.shape.length + (graph.layout === 'batched' ? 1 : 0);
  const constant = graph.operand(i, rank);
  const one = sliced(
    graph,
    other,
    other.shape.map(() => ({ start: 0, step: 1, count: 1 })),
    `element${i}`,
  );
  const zero = graph.node('clip', { minimum: 0, maximum: 0 }, [one], { part: `zero${i}` });
  return graph.node('add', {}, [zero, constant], { part: `constant${i}` });
}

const concat: OnnxOperator = {
  evaluate(node, given) {
    const tensors = given.map((tensor, i) => required(node, i, tensor));
    const first = required(node, 0, tensors[0]);
    const axis = axisFrom(node.integer('axis'), first.shape.length);
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
    const given = Array.from({ length: node.inputCount }, (_, i) => graph.input(i));
    const first = given.find((input) => input?.kind === 'value');
    const values = given.map((input, i) =>
      input?.kind === 'constant' && first ? constantValue(graph, i, first) : graph.value(i),
    );
    const axis = graph.axis(node.integer('axis'), rankOf(graph, 0));
    graph.yields(0, values.length === 1 ? values[0] : graph.node('concat', { axis }, values));
  },
};

const split: OnnxOperator = {
  evaluate(node, [x, given]) {
    const tensor = required(node, 0, x);
    const axis = axisFrom(node.integer('axis', 0), tensor.shape.length);
    let from = 0;
    return splitSizes(node, tensor.shape[axis], integersOf(node, 1, given)).map((size) => {
      const indices = tensor.shape.map((side, i) =>
        i === axis ? Int32Array.from({ length: size }, (_, k) => from + k) : wholeAxis(side),
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

export const PARTS: Readonly<Record<string, OnnxOperator>> = {
  Slice: slice,
  Gather: gather,
  Concat: concat,
  Split: split,
};
