/** The portable set: one readable loop nest per kernel, sums in double. Specification, oracle of the tests, and fallback. */
import { createHeap, heapBuffers } from '../heap.ts';
import { nodeThreadHost } from '../threads.ts';
import type { KernelSet } from '../types.ts';
import { openOn, openSyncOn, type Backend } from '../workspace.ts';
import { createPortableKernels } from './kernels.ts';

/** The portable set. `reason` says why it was chosen. Weights are packed as they are, and no kernel needs scratch. */
export function portableKernels(reason = 'asked for'): KernelSet {
  return {
    name: 'portable',
    reason,
    packedWords: ({ channelsIn, channelsOut, groups, kernelHeight, kernelWidth }) => channelsOut * (channelsIn / groups) * kernelHeight * kernelWidth,
    scratchWords: () => 0,
    open: (options) => openOn(portableBackend, options, nodeThreadHost()),
    openSync: (options) => openSyncOn(portableBackend, options),
  };
}

export const portableBackend: Backend = {
  precisions: ['float32', 'float64'],
  bind(words, precision, shared) {
    const heap = createHeap(words, precision, shared);
    return { heap, kernels: createPortableKernels(heap), foundation: { set: 'portable', buffers: heapBuffers(heap) } };
  },
};
