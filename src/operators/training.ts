/** The table of the operators' training halves. */
import { convTraining } from './conv.ts';
import { denseTraining } from './dense.ts';
import { leakyReluTraining, reluTraining, sigmoidTraining, tanhTraining } from './activation.ts';
import { affineTraining, batchNormTraining } from './normalization.ts';
import { averagePoolTraining, globalAveragePoolTraining, maxPoolTraining } from './pooling.ts';
import { softmaxTraining } from './softmax.ts';
import { addTraining, concatTraining, dropoutTraining, flattenTraining } from './structure.ts';
import type { OperatorKind } from '../graph/network.ts';
import type { TrainingOperator } from './types.ts';

export const TRAINING_OPERATORS: { readonly [K in OperatorKind]: TrainingOperator<K> } = {
  conv: convTraining,
  dense: denseTraining,
  maxPool: maxPoolTraining,
  averagePool: averagePoolTraining,
  globalAveragePool: globalAveragePoolTraining,
  relu: reluTraining,
  leakyRelu: leakyReluTraining,
  sigmoid: sigmoidTraining,
  tanh: tanhTraining,
  softmax: softmaxTraining,
  batchNorm: batchNormTraining,
  affine: affineTraining,
  flatten: flattenTraining,
  add: addTraining,
  concat: concatTraining,
  dropout: dropoutTraining,
};

export function trainingOperatorOf(kind: OperatorKind): TrainingOperator {
  return TRAINING_OPERATORS[kind] as unknown as TrainingOperator;
}
