/** Instances of the WebAssembly module, and what another thread needs to make one of its own on the same memory. */
import { heapOver, type HeapBuffers } from '../workspace/heap.ts';
import type { Heap, Kernels } from '../types.ts';

/** What kernels stand on; can be posted to a worker. */
export type Foundation =
  | { readonly set: 'portable'; readonly buffers: HeapBuffers }
  | { readonly set: 'simd'; readonly module: WebAssembly.Module; readonly memory: WebAssembly.Memory };

/**
 * The kernels of the module on a memory, and the heap over it. The module takes word offsets, so its exports are the
 * kernels as they are, and there are no others.
 */
export function instantiate(
  wasm: typeof WebAssembly,
  module: WebAssembly.Module,
  memory: WebAssembly.Memory,
): { heap: Heap; kernels: Partial<Kernels> } {
  const { exports } = new wasm.Instance(module, { env: { memory } });
  return { heap: heapOver(memory.buffer), kernels: exports as Partial<Kernels> };
}
