/** A worker thread: binds the kernels to the shared heap, says that it is ready, and takes pieces until it is terminated. */
import { nodeModule } from '../platform.ts';
import { heapFrom } from './heap.ts';
import { instantiate } from './instance.ts';
import { servePieces } from './pieces.ts';
import { createPortableKernels } from './portable/kernels.ts';
import { kernelTable } from './program.ts';
import type { ThreadStart } from './threads.ts';
import type { Heap, Kernels } from './types.ts';

function bind({ foundation }: ThreadStart): { heap: Heap; kernels: Kernels } {
  if (foundation.set === 'simd') return instantiate(WebAssembly, foundation.module, foundation.memory);
  const heap = heapFrom(foundation.buffers);
  return { heap, kernels: createPortableKernels(heap) };
}

const threads = nodeModule('node:worker_threads');
if (threads?.parentPort) {
  const start = threads.workerData as ThreadStart;
  const { heap, kernels } = bind(start);
  threads.parentPort.postMessage('ready');
  servePieces(start.control, kernelTable(kernels), heap.int, start.scratch);
}
