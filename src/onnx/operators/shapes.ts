/** What computes shapes and constants while a model is read. */
import { sizeOf } from '../../base/tensor.ts';
import { cast, int64s } from '../arrays.ts';
import { BATCHES } from '../building.ts';
import type { Building, Constant } from '../building.ts';
import type { NodeView } from '../node.ts';
import { elementOf, elements, elementWord, isWide, toIntegers } from '../tensor.ts';
import type { ElementName, OnnxTensor } from '../tensor.ts';
import { required } from './define.ts';
import type { OnnxOperator } from './define.ts';

/** The range of a shape that is asked for (`start` and `end` since operator set 15). */
function shapeRange(node: NodeView, rank: number): [number, number] {
  const clamp = (value: number): number => Math.min(Math.max(value < 0 ? value + rank : value, 0), rank);
  return [clamp(node.integer('start', 0)), clamp(node.integer('end', rank))];
}

/** The shape of a value, one tensor for each size of the batch that is tried. */
function shapeOf(graph: Building, i: number): Constant {
  const { name } = graph.value(i);
  const shape = graph.modelShape(i);
  const batches = shape.includes(undefined) ? BATCHES : [0];
  return { kind: 'constant', name, alternatives: batches.map((batch) => int64s(shape.map((side) => side ?? batch))) };
}

const shape: OnnxOperator = {
  evaluate(node, [x]) {
    const { shape } = required(node, 0, x);
    return [int64s(shape.slice(...shapeRange(node, shape.length)))];
  },
  build(node, graph) {
    const whole = shapeOf(graph, 0);
    const range = shapeRange(node, whole.alternatives[0].shape[0]);
    const alternatives = whole.alternatives.map((tensor) => int64s(toIntegers(whole.name, tensor).slice(...range)));
    graph.yields(0, { ...whole, alternatives });
  },
};

const size: OnnxOperator = {
  evaluate: (node, [x]) => [int64s([sizeOf(required(node, 0, x).shape)], [])],
  build(_node, graph) {
    const whole = shapeOf(graph, 0);
    const alternatives = whole.alternatives.map((tensor) => int64s([sizeOf(toIntegers(whole.name, tensor))], []));
    graph.yields(0, { ...whole, alternatives });
  },
};

const constant: OnnxOperator = {
  evaluate(node, _inputs, tensorOf) {
    const vector = (type: 'float' | 'int64', values: readonly number[], shape = [values.length]): OnnxTensor =>
      type === 'float' ? { type, shape, data: Float32Array.from(values) } : int64s(values, shape);
    if (node.has('value')) return [tensorOf('value')];
    if (node.has('value_float')) return [vector('float', [node.float('value_float')], [])];
    if (node.has('value_int')) return [vector('int64', [node.integer('value_int')], [])];
    if (node.has('value_floats')) return [vector('float', node.floats('value_floats') ?? [])];
    if (node.has('value_ints')) return [vector('int64', node.integers('value_ints') ?? [])];
    return node.fail('UNSUPPORTED', 'expected a value of numbers');
  },
};

const constantOfShape: OnnxOperator = {
  evaluate(node, [sides], tensorOf) {
    const shape = toIntegers(node.proto.inputs[0], required(node, 0, sides));
    const bad = shape.find((side) => side < 0);
    if (bad !== undefined) node.fail('ATTRIBUTE', `its shape: expected numbers from 0, got ${bad}`);
    const value = node.has('value') ? tensorOf('value') : undefined;
    node.makes(shape);
    if (value && value.data.length !== 1)
      node.fail('TENSOR', `attribute value: expected one number, got ${value.data.length}`);
    const data = elements(value?.type ?? 'float', sizeOf(shape));
    if (value) (data as unknown as (number | bigint)[]).fill(value.data[0]);
    return [{ type: value?.type ?? 'float', shape, data }];
  },
};

const range: OnnxOperator = {
  evaluate(node, inputs) {
    const [start, limit, delta] = [0, 1, 2].map((i) => required(node, i, inputs[i]));
    if ([limit, delta].some(({ type }) => type !== start.type))
      node.fail('TENSOR', `expected elements of one type, got ${start.type}, ${limit.type} and ${delta.type}`);
    if ([start, limit, delta].some(({ data }) => data.length !== 1))
      node.fail('TENSOR', 'start, limit, delta: expected one number each');
    const [from, to, step] = [start, limit, delta].map(({ data }) => Number(data[0]));
    if (![from, to, step].every(Number.isFinite) || step === 0)
      node.fail('ATTRIBUTE', `start, limit, delta: expected numbers, the last not 0, got ${from}, ${to}, ${step}`);
    const count = Math.max(0, Math.ceil((to - from) / step));
    node.makes([count], start.type);
    const data = elements(start.type, count);
    if (isWide(start.type)) {
      // By halves: a bigint for each takes thirty times as long.
      const halves = new Int32Array(data.buffer);
      for (let i = 0; i < count; i++) {
        const value = from + i * step;
        halves[2 * i] = value;
        halves[2 * i + 1] = Math.floor(value / 2 ** 32);
      }
    } else {
      const numbers = data as unknown as number[];
      for (let i = 0; i < count; i++) numbers[i] = from + i * step;
    }
    return [{ type: start.type, shape: [count], data }];
  },
};

/** The type that a cast wants. */
function target(node: NodeView): ElementName {
  const code = node.integer('to');
  node.ignore('saturate', 'round_mode');
  return elementOf(code) ?? node.fail('UNSUPPORTED', `to: elements of type ${elementWord(code)}`);
}

const castTo: OnnxOperator = {
  evaluate(node, [x]) {
    const tensor = required(node, 0, x);
    node.makes(tensor.shape);
    return [cast(tensor, target(node))];
  },
  build(node, graph) {
    const type = target(node);
    const x = graph.value(0);
    if (type !== 'float' && type !== 'double')
      node.fail('UNSUPPORTED', `values are floats in a network; it would make them ${type}`);
    if (x.type !== 'float') node.fail('UNSUPPORTED', 'whole numbers stay whole numbers in a network');
    graph.yields(0, x);
  },
};

/** Hands its input on. */
const identity: OnnxOperator = {
  evaluate: (node, [x]) => [required(node, 0, x)],
  build: (node, graph) => graph.yields(0, required(node, 0, graph.input(0))),
};

/** Nothing in inference; where the model has its rate it stays, for training on. */
const dropout: OnnxOperator = {
  evaluate(node, [x, ratio, training]) {
    node.ignore('seed', 'ratio', 'is_test');
    const values = required(node, 0, x);
    if (Number(training?.data[0] ?? 0) !== 0 && Number(ratio?.data[0] ?? 0.5) !== 0)
      node.fail('UNSUPPORTED', 'it is in training mode: what it yields is random');
    const data = new Uint8Array(values.data.length).fill(1);
    return [values, { type: 'bool', shape: values.shape, data }];
  },
  build(node, graph) {
    node.ignore('seed', 'is_test');
    const given = graph.constant(1);
    graph.constant(2);
    const rate = given ? Number(given.data[0]) : node.float('ratio', 0.5);
    if (node.outputCount > 1) node.fail('UNSUPPORTED', 'its second output, the mask, is not supported');
    const x = graph.value(0);
    graph.yields(0, rate > 0 && rate < 1 ? graph.node('dropout', { rate }, [x]) : x);
  },
};

export const SHAPES: Readonly<Record<string, OnnxOperator>> = {
  Shape: shape,
  Size: size,
  Constant: constant,
  ConstantOfShape: constantOfShape,
  Range: range,
  Cast: castTo,
  Identity: identity,
  Dropout: dropout,
};
