/** Reductions along axes. */
import { axisFrom, reduced } from '../arrays.ts';
import type { Building } from '../building.ts';
import type { NodeView } from '../node.ts';

import { integersOf, rankOf, required, sampleOf, withBatch } from './define.ts';
import type { OnnxOperator } from './define.ts';
import { overPositions } from './pooling.ts';

type Of = Parameters<typeof reduced>[3];

const SUM: Of = { start: 0, combine: (all, x) => all + x, finish: (all) => all };

/** The axes that are named, from the beginning; all where none is, or none if the node says so. */
function axesOf(node: NodeView, rank: number, given: readonly number[] | undefined): number[] {
  const named = given ?? node.integers('axes');
  const none = node.integer('noop_with_empty_axes', 0) !== 0;
  if (named && named.length > 0) {
    return named.map((axis) => axisFrom(axis, rank));
  }
  return none ? [] : Array.from({ length: rank }, (_, axis) => axis);
}

/** `kind`: absent where it is only computed. */
const reduction = (kind: 'reduceMean' | 'reduceSum' | 'reduceMax' | 'reduceMin' | undefined, of: Of): OnnxOperator => ({
  evaluate(node, [x, axes]) {
    const tensor = required(node, 0, x);
    const named = integersOf(node, 1, axes);
    const keep = node.integer('keepdims', 1) !== 0;
    node.makes(tensor.shape);
    return [reduced(tensor, axesOf(node, tensor.shape.length, named), keep, of)];
  },
  ...(kind && {
    build(node: NodeView, graph: Building) {
      const x = graph.value(0);
      const rank = rankOf(graph, 0);
      const named = axesOf(node, rank, graph.integers(1));
      const keep = node.integer('keepdims', 1) !== 0;
      if (named.length === 0) {
        graph.yields(0, x);
        return;
      }
      const isSpatial = rank === 4 && named.length === 2 && named.includes(2) && named.includes(3);
      if (kind === 'reduceMean' && isSpatial && (graph.layout === 'batched' || x.shape[0] === 1)) {
        const sample = sampleOf(graph, x);
        const y = keep ? overPositions(graph, sample, kind) : graph.node('globalAveragePool', {}, [sample]);
        graph.yields(0, withBatch(graph, y));
        return;
      }
      const axes = [...new Set(named.map((axis) => graph.axis(axis, rank)))].sort((a, b) => a - b);
      graph.yields(0, graph.node(kind, { axes, keep }, [x]));
    },
  }),
});

const argMax: OnnxOperator = {
  build(node, graph) {
    if (node.integer('select_last_index', 0) !== 0) node.fail('UNSUPPORTED', 'select_last_index: expected 0');
    const axis = graph.axis(node.integer('axis', 0), rankOf(graph, 0));
    graph.yields(0, graph.node('argMax', { axis, keep: node.integer('keepdims', 1) !== 0 }, [graph.value(0)]));
  },
};

export const REDUCTIONS: Readonly<Record<string, OnnxOperator>> = {
  ReduceMean: reduction('reduceMean', { ...SUM, finish: (all, count) => all / count }),
  ReduceSum: reduction('reduceSum', SUM),
  ReduceMax: reduction('reduceMax', { ...SUM, start: -Infinity, combine: Math.max }),
  ReduceMin: reduction('reduceMin', { ...SUM, start: Infinity, combine: Math.min }),
  ReduceProd: reduction(undefined, { ...SUM, start: 1, combine: (all, x) => all * x }),
  ArgMax: argMax,
};
