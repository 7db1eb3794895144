/** The portable kernels on a heap. */
import type { Heap, Kernels } from '../types.ts';
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
import { affineBackward, affineBackwardParameters, batchNormBackward, batchNormForward } from './normalization.ts';
import { adamUpdate, clipScale, sgdUpdate, sumSquares } from './optimizer.ts';
import { averagePoolBackward, maxPoolBackward } from './pooling.ts';
import { softmaxBackward } from './softmax.ts';

/**
 * All portable kernels bound to a heap of either precision, for direct calls.
 * @example
 * const heap = createHeap(64, 'float64');
 * heap.float.set([1, -2, 3]);
 * createPortableKernels(heap).activationForward(0, 0, 8, 3, ACTIVATION.relu, 0);   // words 8, 9, 10: 1, 0, 3
 */
export function createPortableKernels(heap: Heap): Kernels {
  return {
    ...createInferenceKernels(heap),
    convolutionBackwardInput: convolutionBackwardInput(heap),
    convolutionBackwardWeights: convolutionBackwardWeights(heap),
    channelSums: channelSums(heap),
    sumParts: sumParts(heap),
    activationBackward: activationBackward(heap),
    maxPoolBackward: maxPoolBackward(heap),
    averagePoolBackward: averagePoolBackward(heap),
    affineBackward: affineBackward(heap),
    affineBackwardParameters: affineBackwardParameters(heap),
    batchNormForward: batchNormForward(heap),
    batchNormBackward: batchNormBackward(heap),
    softmaxBackward: softmaxBackward(heap),
    multiply: multiply(heap),
    sumSquares: sumSquares(heap),
    clipScale: clipScale(heap),
    sgdUpdate: sgdUpdate(heap),
    adamUpdate: adamUpdate(heap),
    nearestCodeword: nearestCodeword(heap),
    nearestCodewordAgain: nearestCodewordAgain(heap),
    nearerSeed: nearerSeed(heap),
    codewordErrors: codewordErrors(heap),
    accumulateCentroids: accumulateCentroids(heap),
    codebookPullback: codebookPullback(heap),
    binaryBackward: binaryBackward(heap),
  };
}
