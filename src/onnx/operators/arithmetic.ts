/** Functions of two numbers and more, with broadcasting; comparisons and logic where they are computed with shapes. */
import { broadcastShape, cast, combined, expanded } from '../arrays.ts';
import type { Elementwise } from '../arrays.ts';
import type { Building, Value } from '../building.ts';
import type { NodeView } from '../node.ts';
import { isFloating } from '../tensor.ts';
import type { OnnxTensor } from '../tensor.ts';
import type { Shape } from '../../base/tensor.ts';
import { binaryOf } from '../../kernels/formulas.ts';
import { LARGEST, aligned, rankOf, required } from './define.ts';
import type { OnnxOperator } from './define.ts';

/** Both of one type and of shapes that fit together, the result not too large. */
function checkPair(node: NodeView, a: OnnxTensor, b: OnnxTensor): void {
  if (a.type !== b.type) node.fail('TENSOR', `expected elements of one type, got ${a.type} and ${b.type}`);
  node.makes(stretched(node, a.shape, b.shape));
}

const stretched = (node: NodeView, a: Shape, b: Shape): Shape =>
  broadcastShape(a, b) ?? node.fail('SHAPE', `[${a.join(', ')}] and [${b.join(', ')}] do not fit together`);

/** A function of two constants. */
function computed(
  node: NodeView,
  first: OnnxTensor | undefined,
  second: OnnxTensor | undefined,
  of: Elementwise,
): OnnxTensor {
  const [a, b] = [required(node, 0, first), required(node, 1, second)];
  checkPair(node, a, b);
  return combined(a, b, of);
}

/**
 * What infinities in a constant are where a number does as well: masks that a softmax makes 0 (a sum of it with any value
 * must stay a number), bounds of maxima and minima.
 */
const INFINITE: Readonly<Partial<Record<string, number>>> = {
  add: 2 ** 127,
  subtract: 2 ** 127,
  minimum: LARGEST,
  maximum: LARGEST,
};

/** Both inputs through a node of ours. */
function buildPair(kind: string, graph: Building, a: number, b: number): Value {
  const rank = Math.max(rankOf(graph, a), rankOf(graph, b));
  return graph.node(kind, {}, [aligned(graph, a, rank, INFINITE[kind]), aligned(graph, b, rank, INFINITE[kind])]);
}

function binary(kind: string, of: Elementwise): OnnxOperator {
  return {
    evaluate: (node, [a, b]) => [computed(node, a, b, of)],
    build: (_node, graph) => graph.yields(0, buildPair(kind, graph, 0, 1)),
  };
}

/** A function of as many inputs as there are, two by two. */
function variadic(kind: string, of: Elementwise): OnnxOperator {
  return {
    evaluate(node, [first, ...rest]) {
      const start = required(node, 0, first);
      return [rest.reduce((all: OnnxTensor, next, i) => computed(node, all, required(node, i + 1, next), of), start)];
    },
    build(node, graph) {
      if (node.inputCount === 1) {
        graph.yields(0, graph.value(0));
        return;
      }
      let rank = 0;
      for (let i = 0; i < node.inputCount; i++) rank = Math.max(rank, rankOf(graph, i));
      // Constants last: the first operand is a value.
      const order = Array.from({ length: node.inputCount }, (_, i) => i).sort(
        (a, b) => Number(graph.input(a)?.kind === 'constant') - Number(graph.input(b)?.kind === 'constant'),
      );
      let all = aligned(graph, order[0], rank, INFINITE[kind]);
      order.slice(1).forEach((i, at) => {
        const last = at === order.length - 2;
        all = graph.node(
          kind,
          {},
          [all, aligned(graph, i, rank, INFINITE[kind])],
          last ? {} : { part: `part${at + 1}` },
        );
      });
      graph.yields(0, all as Value);
    },
  };
}

const divide: Elementwise = { numbers: (a, b) => a / b, bigints: (a, b) => (b === 0n ? 0n : a / b) };

/** Division of whole numbers drops the fraction. */
function quotient(node: NodeView, a: OnnxTensor, b: OnnxTensor): OnnxTensor {
  checkPair(node, a, b);
  if (isFloating(a.type)) return combined(a, b, divide);
  if (b.data.some((value) => Number(value) === 0)) node.fail('TENSOR', 'division of whole numbers by zero');
  return combined(a, b, { ...divide, numbers: (x, y) => Math.trunc(x / y) });
}

const compared = (of: (a: number | bigint, b: number | bigint) => boolean): OnnxOperator => {
  const compare = (x: number | bigint, y: number | bigint): number => Number(of(x, y));
  return {
    evaluate(node, [first, second]) {
      const [a, b] = [required(node, 0, first), required(node, 1, second)];
      checkPair(node, a, b);
      const shape = stretched(node, a.shape, b.shape);
      const [left, right] = [expanded(a, shape).data, expanded(b, shape).data];
      return [
        { type: 'bool', shape, data: Uint8Array.from({ length: left.length }, (_, i) => compare(left[i], right[i])) },
      ];
    },
  };
};

/** Powers that have a cheaper form, and are exact in it. */
function power(graph: Building): Value {
  const exponent = graph.input(1)?.kind === 'constant' ? graph.constant(1) : undefined;
  if (exponent?.data.length === 1 && graph.input(0)?.kind === 'value') {
    const x = graph.value(0);
    const of = Number(exponent.data[0]);
    if (of === 1) return x;
    if (of === 2) return graph.node('multiply', {}, [x, x]);
    if (of === 3) return graph.node('multiply', {}, [graph.node('multiply', {}, [x, x], { part: 'square' }), x]);
    if (of === 0.5) return graph.node('sqrt', {}, [x]);
    if (of === -1) return graph.node('reciprocal', {}, [x]);
  }
  return buildPair('power', graph, 0, 1);
}

const where: OnnxOperator = {
  evaluate(node, [condition, yes, no]) {
    const [c, a, b] = [required(node, 0, condition), required(node, 1, yes), required(node, 2, no)];
    if (a.type !== b.type) node.fail('TENSOR', `expected elements of one type, got ${a.type} and ${b.type}`);
    const shape = node.makes(stretched(node, stretched(node, c.shape, a.shape), b.shape));
    const [test, left, right] = [c, a, b].map((one) => expanded(one, shape));
    // Of what `expanded` made afresh: the choice is written over it.
    const data = left.data as unknown as (number | bigint)[];
    for (let i = 0; i < data.length; i++) if (Number(test.data[i]) === 0) data[i] = right.data[i];
    return [left];
  },
};

export const ARITHMETIC: Readonly<Record<string, OnnxOperator>> = {
  Add: binary('add', { numbers: (a, b) => a + b, bigints: (a, b) => a + b }),
  Sub: binary('subtract', { numbers: (a, b) => a - b, bigints: (a, b) => a - b }),
  Mul: {
    evaluate(node, [first, second]) {
      const [a, b] = [required(node, 0, first), required(node, 1, second)];
      // Products of 32 bits may lie beyond 2^53, where numbers lose the low bits.
      const numbers = a.type === 'int32' || a.type === 'uint32' ? Math.imul : (x: number, y: number): number => x * y;
      return [computed(node, a, b, { numbers, bigints: (x, y) => x * y })];
    },
    build: (_node, graph) => graph.yields(0, buildPair('multiply', graph, 0, 1)),
  },
  Div: {
    evaluate: (node, [a, b]) => [quotient(node, required(node, 0, a), required(node, 1, b))],
    build: (_node, graph) => graph.yields(0, buildPair('divide', graph, 0, 1)),
  },
  Mod: {
    evaluate: (node, [a, b]) => {
      if (node.integer('fmod', 0) !== 0) return node.fail('UNSUPPORTED', 'fmod is not supported');
      const floored = (x: number, y: number): number => x - y * Math.floor(x / y);
      return [computed(node, a, b, { numbers: floored, bigints: (x, y) => (y === 0n ? 0n : ((x % y) + y) % y) })];
    },
  },
  Pow: {
    evaluate(node, [first, second]) {
      const [a, b] = [required(node, 0, first), required(node, 1, second)];
      const bigints = (x: bigint, y: bigint): bigint => {
        if (y < 0n || y > 63n) node.fail('UNSUPPORTED', `a power of whole numbers: expected 0 to 63, got ${y}`);
        let product = 1n;
        for (let i = 0n; i < y; i++) product *= x;
        return product;
      };
      return [computed(node, a, cast(b, a.type), { numbers: binaryOf('power'), bigints })];
    },
    build: (_node, graph) => graph.yields(0, power(graph)),
  },
  Min: variadic('minimum', { numbers: (a, b) => Math.min(a, b), bigints: (a, b) => (a < b ? a : b) }),
  Max: variadic('maximum', { numbers: (a, b) => Math.max(a, b), bigints: (a, b) => (a > b ? a : b) }),
  Sum: variadic('add', { numbers: (a, b) => a + b, bigints: (a, b) => a + b }),
  Equal: compared((a, b) => a === b),
  Greater: compared((a, b) => a > b),
  GreaterOrEqual: compared((a, b) => a >= b),
  Less: compared((a, b) => a < b),
  LessOrEqual: compared((a, b) => a <= b),
  And: compared((a, b) => a !== 0 && b !== 0),
  Or: compared((a, b) => a !== 0 || b !== 0),
  Where: where,
};
