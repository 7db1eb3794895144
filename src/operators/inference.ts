/** The table of operators as inference needs them. */
import { conv } from './conv.ts';
import { dense } from './dense.ts';
import { leakyRelu, relu, sigmoid, tanh } from './activation.ts';
import { affine, batchNorm } from './normalization.ts';
import { averagePool, globalAveragePool, maxPool } from './pooling.ts';
import { softmax } from './softmax.ts';
import { add, concat, dropout, flatten } from './structure.ts';
import type { OperatorKind } from '../graph/network.ts';
import type { Operator } from './types.ts';

export const OPERATORS: { readonly [K in OperatorKind]: Operator<K> } = {
  conv,
  dense,
  maxPool,
  averagePool,
  globalAveragePool,
  relu,
  leakyRelu,
  sigmoid,
  tanh,
  softmax,
  batchNorm,
  affine,
  flatten,
  add,
  concat,
  dropout,
};

/**
 * The operator of a node. The table is keyed by kind, so the node fits its operator; the type system cannot follow that
 * through a lookup.
 */
export function operatorOf(kind: OperatorKind): Operator {
  return OPERATORS[kind] as unknown as Operator;
}
