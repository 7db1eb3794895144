/**
 * A worker thread: binds the kernels to the shared heap, says that it is ready, and takes pieces until it is
 * terminated.
 */
import { nodeModule } from '../../base/platform.ts';
import { heapFrom } from '../workspace/heap.ts';
import { instantiate } from '../simd/instance.ts';
import { servePieces } from './pieces.ts';
import { kernelTable } from '../workspace/program.ts';
import type { Selection } from '../selection/selection.ts';
import type { Ready, ThreadStart } from './thread-hosts.ts';
import type { Heap, Kernels } from '../types.ts';

/** Does the work of the thread that this is called on, which is a worker that `thread-hosts.ts` has started. */
export function serve(createPortable: Selection['createPortable']): void {
  const work = (start: ThreadStart, sayReady: () => void): void => {
    const { heap, kernels } = bind(start, createPortable);
    sayReady();
    servePieces(start.control, kernelTable(kernels, start.names), heap.int, start.scratch);
  };
  const threads = nodeModule('node:worker_threads');
  if (threads)
    return work((threads.workerData as { start: ThreadStart }).start, () => threads.parentPort?.postMessage('ready'));
  const ready = (): void => postMessage({ pulse: URL.createObjectURL(new Blob()) } satisfies Ready);
  addEventListener('message', ({ data }: MessageEvent<ThreadStart>) => work(data, ready), { once: true });
}

function bind(
  { foundation }: ThreadStart,
  createPortable: Selection['createPortable'],
): { heap: Heap; kernels: Partial<Kernels> } {
  if (foundation.set === 'simd') return instantiate(WebAssembly, foundation.module, foundation.memory);
  const heap = heapFrom(foundation.buffers);
  return { heap, kernels: createPortable(heap) };
}
