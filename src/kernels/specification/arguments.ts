/** All kernels by name. */
import { INFERENCE_ARGUMENTS } from './inference-arguments.ts';
import type { ArgumentCounts } from '../types.ts';

/** Arguments of each kernel after `scratch`. */
export const KERNEL_ARGUMENTS = {
  ...INFERENCE_ARGUMENTS,
  convolutionBackwardInput: 6,
  convolutionBackwardWeights: 7,
  channelSums: 7,
  sumParts: 5,
  activationBackward: 6,
  maxPoolBackward: 6,
  averagePoolBackward: 6,
  affineBackward: 6,
  affineBackwardParameters: 9,
  batchNormForward: 14,
  batchNormBackward: 13,
  softmaxBackward: 5,
  multiply: 4,
  sumSquares: 3,
  clipScale: 4,
  sgdUpdate: 6,
  adamUpdate: 7,
  nearestCodeword: 9,
  nearestCodewordAgain: 13,
  nearerSeed: 10,
  codewordErrors: 11,
  accumulateCentroids: 9,
  codebookPullback: 11,
} as const satisfies ArgumentCounts;
