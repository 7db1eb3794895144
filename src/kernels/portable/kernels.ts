/** The portable kernels on a heap. */
import type { Heap, Kernels } from '../types.ts';
import { activation } from './activation.ts';
import { accumulateCentroids, codebookDecode, codebookPullback, nearestCodeword } from './codebook.ts';
import { convolution } from './convolution.ts';
import { elementwise } from './elementwise.ts';
import { matmul } from './matmul.ts';
import { normalization } from './normalization.ts';
import { optimizer } from './optimizer.ts';
import { pooling } from './pooling.ts';
import { softmax } from './softmax.ts';

/**
 * All portable kernels bound to a heap of either precision, for direct calls.
 * @example
 * const heap = createHeap(64, 'float64');
 * heap.float.set([1, -2, 3]);
 * createPortableKernels(heap).activationForward(0, 0, 8, 3, ACTIVATION.relu, 0);   // words 8, 9, 10: 1, 0, 3
 */
export function createPortableKernels(heap: Heap): Kernels {
  return {
    ...matmul(heap), ...convolution(heap), ...pooling(heap), ...activation(heap), ...normalization(heap),
    ...softmax(heap), ...elementwise(heap), ...optimizer(heap),
    nearestCodeword: nearestCodeword(heap), accumulateCentroids: accumulateCentroids(heap), codebookDecode: codebookDecode(heap), codebookPullback: codebookPullback(heap),
  };
}
