/** The portable kernels on a heap. */
import type { InferenceKernelName, KernelName, Kernels } from '../specification/kernels.ts';
import type { Heap } from '../types.ts';
import { activationBackward } from './activation.ts';
import { binaryBackward } from './binary.ts';
import {
  accumulateCentroids,
  codebookPullback,
  codewordErrors,
  nearerSeed,
  nearestCodeword,
  nearestCodewordAgain,
} from './codebook.ts';
import { convolutionBackwardInput, convolutionBackwardWeights } from './convolution.ts';
import { channelSums, multiply, sumParts } from './elementwise.ts';
import { createInferenceKernels } from './inference.ts';
import {
  affineBackward,
  affineBackwardParameters,
  batchNormBackward,
  batchNormForward,
  standardizeBackward,
} from './normalization.ts';
import { adamUpdate, clipScale, sgdUpdate, sumSquares } from './optimizer.ts';
import { averagePoolBackward, maxPoolBackward } from './pooling.ts';
import { reduceBackward } from './reduction.ts';
import { softmaxBackward } from './softmax.ts';
import { bindKernels, type PortableTable } from './table.ts';

const TABLE: PortableTable<Exclude<KernelName, InferenceKernelName>> = {
  convolutionBackwardInput,
  convolutionBackwardWeights,
  channelSums,
  sumParts,
  activationBackward,
  maxPoolBackward,
  averagePoolBackward,
  affineBackward,
  affineBackwardParameters,
  batchNormForward,
  batchNormBackward,
  standardizeBackward,
  softmaxBackward,
  multiply,
  sumSquares,
  clipScale,
  sgdUpdate,
  adamUpdate,
  nearestCodeword,
  nearestCodewordAgain,
  nearerSeed,
  codewordErrors,
  accumulateCentroids,
  codebookPullback,
  binaryBackward,
  reduceBackward,
};

/**
 * All portable kernels bound to a heap of either precision, for direct calls.
 * @example
 * const heap = createHeap(64, 'float64');
 * heap.float.set([1, -2, 3]);
 * createPortableKernels(heap).activationForward(0, 0, 8, 3, ACTIVATION.relu, 0);   // words 8, 9, 10: 1, 0, 3
 */
export function createPortableKernels(heap: Heap): Kernels {
  return { ...createInferenceKernels(heap), ...bindKernels(TABLE, heap) };
}
