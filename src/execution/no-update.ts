import type { OptimizerOptions } from './types.ts';

/** The optimizer of an executor that computes gradients or statistics and never updates: it keeps the least memory. */
export const NO_UPDATE: OptimizerOptions = {
  kind: 'sgd',
  momentum: 0,
  nesterov: false,
  beta1: 0,
  beta2: 0,
  epsilon: 1,
  decoupled: false,
  weightDecay: 0,
  codewordGradient: 'mean',
};
