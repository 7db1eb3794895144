/** A worker thread: binds the kernels to the shared heap, says that it is ready, and takes pieces until it is terminated. */
import { nodeModule } from '../platform.ts';
import { heapFrom } from './heap.ts';
import { instantiate } from './instance.ts';
import { servePieces } from './pieces.ts';
import { kernelTable } from './program.ts';
import type { Selection } from './selection.ts';
import type { ThreadStart } from './threads.ts';
import type { Heap, Kernels } from './types.ts';

/** Does the work of the thread that this is called on, if it is a worker. */
export function serve(createPortable: Selection['createPortable']): void {
  const threads = nodeModule('node:worker_threads');
  if (!threads?.parentPort) return;
  const start = threads.workerData as ThreadStart;
  const { heap, kernels } = bind(start, createPortable);
  threads.parentPort.postMessage('ready');
  servePieces(start.control, kernelTable(kernels, start.names), heap.int, start.scratch);
}

function bind({ foundation }: ThreadStart, createPortable: Selection['createPortable']): { heap: Heap; kernels: Partial<Kernels> } {
  if (foundation.set === 'simd') return instantiate(WebAssembly, foundation.module, foundation.memory);
  const heap = heapFrom(foundation.buffers);
  return { heap, kernels: createPortable(heap) };
}
