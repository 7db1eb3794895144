/** The portable set: one readable loop nest per kernel, sums in double. Specification, oracle of the tests, and fallback. */
import { createHeap } from '../heap.ts';
import type { Heap, KernelSet, Kernels } from '../types.ts';
import { openWorkspace, type Backend } from '../workspace.ts';
import { activation } from './activation.ts';
import { convolution } from './convolution.ts';
import { elementwise } from './elementwise.ts';
import { matmul } from './matmul.ts';
import { normalization } from './normalization.ts';
import { optimizer } from './optimizer.ts';
import { pooling } from './pooling.ts';
import { softmax } from './softmax.ts';

/**
 * The portable kernels on a heap, for direct calls.
 * @example
 * const heap = createHeap(64, 'float64');
 * heap.float.set([1, -2, 3]);
 * createPortableKernels(heap).activationForward(0, 0, 8, 3, ACTIVATION.relu, 0);   // words 8, 9, 10: 1, 0, 3
 */
export function createPortableKernels(heap: Heap): Kernels {
  return {
    ...matmul(heap), ...convolution(heap), ...pooling(heap), ...activation(heap), ...normalization(heap),
    ...softmax(heap), ...elementwise(heap), ...optimizer(heap),
  } as Kernels;
}

const backend: Backend = {
  precisions: ['float32', 'float64'],
  bind(words, precision, shared) {
    const heap = createHeap(words, precision, shared);
    return { heap, kernels: createPortableKernels(heap) };
  },
};

/** The portable set. `reason` says why it was chosen. Weights are packed as they are, and no kernel needs scratch. */
export function portableKernels(reason = 'asked for'): KernelSet {
  return {
    name: 'portable',
    reason,
    packedWords: ({ channelsIn, channelsOut, groups, kernelHeight, kernelWidth }) => channelsOut * (channelsIn / groups) * kernelHeight * kernelWidth,
    scratchWords: () => 0,
    async open(options) { return openWorkspace(backend, options); },
    openSync(options) { return openWorkspace(backend, options); },
  };
}
