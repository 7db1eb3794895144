/** Quantized models: levels become the numbers that they stand for, and values keep the rounding that the model gives them. */
import { sameShape, sizeOf } from '../../base/tensor.ts';
import type { ScalarEncoding } from '../../encodings/types.ts';
import { axisFrom, permuted, storedTensor } from '../arrays.ts';
import type { Building, Value } from '../building.ts';
import type { NodeView } from '../node.ts';
import { elementOf, toFloats } from '../tensor.ts';
import type { ElementName, OnnxTensor } from '../tensor.ts';
import { required, sampleOf, withBatch } from './define.ts';
import type { OnnxOperator } from './define.ts';
import { convolved } from './convolution.ts';

const LEVELS: Readonly<Partial<Record<ElementName, readonly [lowest: number, highest: number]>>> = {
  uint8: [0, 255],
  int8: [-128, 127],
  uint16: [0, 65535],
  int16: [-32768, 32767],
};

/**
 * (level - zero) scale of levels of 8 bits as the encoding that they are, decoded where somebody looks at the numbers. Scale
 * and zero: one number, or one for each place of an axis, which is the first of the encoding.
 */
function encodedLevels(
  node: NodeView,
  x: OnnxTensor,
  scales: Float32Array,
  zero: OnnxTensor | undefined,
  axis: number,
): OnnxTensor | undefined {
  const { type, shape } = x;
  if ((type !== 'uint8' && type !== 'int8') || shape.length === 0 || sizeOf(shape) === 0) return undefined;
  // Levels are counted from the least.
  const least = type === 'int8' ? -128 : 0;
  const zeros = Uint8Array.from({ length: scales.length }, (_, i) => Number(zero?.data[i] ?? 0) - least);
  const isSymmetric = type === 'int8' && zeros.every((value) => value === 128);
  const forward = [axis, ...shape.map((_, i) => i).filter((i) => i !== axis)];
  node.makes(shape, type);
  const { data } = axis === 0 ? x : permuted(x, forward);
  const view = forward.map((i) => shape[i]);
  const levels = new Uint8Array(data.length);
  for (let i = 0; i < levels.length; i++) levels[i] = Number(data[i]) - least;
  const encoding: ScalarEncoding = {
    kind: 'scalar',
    shape: view,
    bits: 8,
    levels,
    scales,
    ...(!isSymmetric && { zeros }),
  };
  const order = shape.map((_, i) => forward.indexOf(i));
  const spend = (count: number): void => node.spends(count);
  return storedTensor({ name: node.proto.outputs[0], encoding, view, order, spend }, shape);
}

/** (level - zero) scale; scale and zero one number, one for each place of an axis, or for each block along it. */
function dequantized(node: NodeView, x: OnnxTensor, scale: OnnxTensor, zero: OnnxTensor | undefined): OnnxTensor {
  const rank = x.shape.length;
  const named = node.integer('axis', 1);
  // A scale for all has no axis: whatever is said of it means nothing.
  const isPlain = scale.data.length === 1 || rank === 0;
  const axis = isPlain ? 0 : axisFrom(named, rank);
  const block = node.integer('block_size', 0);
  if (block < 0) node.fail('ATTRIBUTE', `block_size: expected a number from 0, got ${block}`);
  node.ignore('output_dtype', 'saturate');
  const scales = toFloats(node.proto.inputs[1], scale);
  const inner = sizeOf(x.shape.slice(axis + 1));
  const side = x.shape[axis] ?? 1;
  const places = scale.shape.length === 0 || scales.length === 1 ? 1 : block > 0 ? (scale.shape[axis] ?? 1) : side;
  const blocks = x.shape.map((s, i) => (i === axis ? Math.ceil(s / Math.max(1, block)) : s));
  const expected = places === 1 ? 1 : block > 0 ? sizeOf(blocks) : side;
  if (places > 1 && block > 0 && !sameShape(scale.shape, blocks))
    node.fail('SHAPE', `its scales: expected [${blocks.join(', ')}], got [${scale.shape.join(', ')}]`);
  if (scales.length !== expected || (zero && zero.data.length !== scales.length))
    node.fail(
      'SHAPE',
      `its scales and zero points: expected ${expected}, got ${scales.length} and ${zero?.data.length ?? 0}`,
    );
  const encoded = places > 1 && block > 0 ? undefined : encodedLevels(node, x, scales, zero, axis);
  if (encoded) return encoded;
  node.makes(x.shape, 'float');
  const data = new Float32Array(x.data.length);
  for (let i = 0; i < data.length; i++) {
    const at = Math.floor(i / inner) % side;
    const outer = Math.floor(i / (inner * side));
    let place = 0;
    if (places > 1) place = block > 0 ? (outer * places + Math.floor(at / block)) * inner + (i % inner) : at;
    data[i] = (Number(x.data[i]) - Number(zero?.data[place] ?? 0)) * scales[place];
  }
  return { type: 'float', shape: x.shape, data };
}

/** A value rounded to the levels of a type, and what they stand for. */
function rounded(node: NodeView, graph: Building, x: Value, at: number, part?: string): Value {
  const scale = required(node, at, graph.constant(at));
  const zero = graph.constant(at + 1);
  if (scale.data.length !== 1) node.fail('UNSUPPORTED', 'values that are quantized by axis; per tensor is supported');
  const named = node.integer('output_dtype', 0);
  const type = zero?.type ?? (named > 0 ? elementOf(named) : undefined) ?? 'uint8';
  const levels = LEVELS[type] ?? node.fail('UNSUPPORTED', `levels of type ${type}`);
  node.ignore('axis', 'saturate', 'block_size', 'precision');
  const attributes = {
    scale: toFloats(node.proto.inputs[at], scale)[0],
    zero: Number(zero?.data[0] ?? 0),
    lowest: levels[0],
    highest: levels[1],
  };
  return graph.node('fakeQuantize', attributes, [x], part === undefined ? {} : { part });
}

/** Names of scale and zero point, by which a dequantization is known to undo a quantization. */
const QUANTIZED = new WeakMap<Value, { scale: number; zero: number }>();

function unit(node: NodeView, graph: Building, at: number): { scale: number; zero: number } {
  const scale = required(node, at, graph.constant(at));
  if (scale.data.length !== 1) node.fail('UNSUPPORTED', 'values that are quantized by axis; per tensor is supported');
  return { scale: toFloats(node.proto.inputs[at], scale)[0], zero: Number(graph.constant(at + 1)?.data[0] ?? 0) };
}

/** The numbers that levels stand for, where both sides name the same scale. */
function undone(node: NodeView, graph: Building, i: number, at: number): Value {
  const x = graph.value(i);
  const made = QUANTIZED.get(x);
  const wanted = unit(node, graph, at);
  if (made?.scale !== wanted.scale || made.zero !== wanted.zero)
    node.fail('UNSUPPORTED', `input ${i}: levels that were not made with this scale and zero point`);
  return x;
}

function yieldLevels(node: NodeView, graph: Building, y: Value, at: number): void {
  QUANTIZED.set(y, unit(node, graph, at));
  graph.yields(0, y);
}

const qLinearConv: OnnxOperator = {
  build(node, graph) {
    const x = sampleOf(graph, undone(node, graph, 0, 1));
    const levels = required(node, 3, graph.constant(3));
    const [scale, zero] = [required(node, 4, graph.constant(4)), graph.constant(5)];
    const scales = toFloats(node.proto.inputs[4], scale);
    const filters = levels.shape[0];
    if (scales.length !== 1 && scales.length !== filters)
      node.fail('SHAPE', `its weight scales: expected 1 or ${filters}, got ${scales.length}`);
    if (zero && zero.data.length !== 1 && zero.data.length !== filters)
      node.fail('SHAPE', `its weight's zero points: expected 1 or ${filters}, got ${zero.data.length}`);
    const pick = (list: ArrayLike<number | bigint>, filter: number): number =>
      Number(list[list.length === 1 ? 0 : filter]);
    const many = Math.max(scales.length, zero?.data.length ?? 1);
    const perFilter = Float32Array.from({ length: many }, (_, filter) => pick(scales, filter));
    const zeros: OnnxTensor | undefined = zero && {
      ...zero,
      data: Int32Array.from({ length: many }, (_, filter) => pick(zero.data, filter)),
    };
    const filtersOf =
      encodedLevels(node, levels, perFilter, zeros, 0) ??
      node.fail('UNSUPPORTED', `its weight: expected levels of 8 bits, got ${levels.type}`);
    const input = unit(node, graph, 1).scale;
    const sums = graph.constant(8);
    if (sums && sums.data.length !== filters)
      node.fail('SHAPE', `its bias: expected ${filters} numbers, got ${sums.data.length}`);
    const bias =
      sums &&
      graph.parameter(
        node.proto.inputs[8],
        'decoded',
        [filters],
        Float32Array.from({ length: filters }, (_, o) => Number(sums.data[o]) * input * pick(scales, o)),
      );
    const weight = (shape: readonly number[]) => graph.ofTensor(node.proto.inputs[3], filtersOf, shape);
    const y = convolved(node, graph, x, weight, levels.shape, bias);
    yieldLevels(node, graph, withBatch(graph, rounded(node, graph, y, 6, 'levels')), 6);
  },
};

export const QUANTIZATION: Readonly<Record<string, OnnxOperator>> = {
  QuantizeLinear: {
    build(node, graph) {
      yieldLevels(node, graph, rounded(node, graph, graph.value(0), 1), 1);
    },
  },
  DequantizeLinear: {
    evaluate: (node, [x, scale, zero]) => [dequantized(node, required(node, 0, x), required(node, 1, scale), zero)],
    build(node, graph) {
      node.ignore('axis', 'block_size', 'output_dtype');
      graph.yields(0, undone(node, graph, 0, 1));
    },
  },
  QLinearConv: qLinearConv,
};
