/**
 * The portable set of a selection of kernels: one readable loop nest per kernel, sums in double. Specification, oracle
 * of the tests, and fallback.
 */
import { createHeap, heapBuffers } from '../workspace/heap.ts';
import type { Selection } from '../selection/selection.ts';
import { threadHost } from '../threads/thread-hosts.ts';
import { createLower } from '../lowering/lowering.ts';
import type { KernelSet, Sizes } from '../types.ts';
import { openOn, openSyncOn, type Backend } from '../workspace/workspace.ts';

/** Weights are packed as they are, and no kernel needs scratch. */
const SIZES: Sizes = {
  packedWords: ({ channelsIn, channelsOut, groups, kernelHeight, kernelWidth }) =>
    channelsOut * (channelsIn / groups) * kernelHeight * kernelWidth,
  forwardRun: () => 64,
  scratchWords: () => 0,
};

/** {@link KernelSet} of the portable kernels of a selection. `reason` says why it was chosen. */
export function portableSet(selection: Selection, reason: string): KernelSet {
  const backend = portableBackend(selection);
  return {
    name: 'portable',
    reason,
    packsWeights: true,
    lower: createLower(selection.lowerings, SIZES, selection.others),
    sizes: SIZES,
    open: (options) => openOn(backend, options, threadHost()),
    openSync: (options) => openSyncOn(backend, options),
  };
}

/** The memory and the kernels of the portable set. */
export function portableBackend(selection: Selection): Backend {
  return {
    selection,
    precisions: ['float32', 'float64'],
    bind(words, precision, shared) {
      const heap = createHeap(words, precision, shared);
      return {
        heap,
        kernels: selection.createPortable(heap),
        foundation: { set: 'portable', buffers: heapBuffers(heap) },
      };
    },
  };
}
