/** Instances of the WebAssembly module, and what another thread needs to make one of its own on the same memory. */
import { heapOver, type HeapBuffers } from './heap.ts';
import { KERNEL_NAMES } from './program.ts';
import type { Heap, Kernels } from './types.ts';

/** What kernels stand on; can be posted to a worker. */
export type Foundation =
  | { readonly set: 'portable'; readonly buffers: HeapBuffers }
  | { readonly set: 'simd'; readonly module: WebAssembly.Module; readonly memory: WebAssembly.Memory };

/** The kernels of the module on a memory, and the heap over it. The module takes word offsets, so its exports are the kernels as they are. */
export function instantiate(wasm: typeof WebAssembly, module: WebAssembly.Module, memory: WebAssembly.Memory): { heap: Heap; kernels: Kernels } {
  const { exports } = new wasm.Instance(module, { env: { memory } });
  return { heap: heapOver(memory.buffer), kernels: Object.fromEntries(KERNEL_NAMES.map((name) => [name, exports[name]])) as unknown as Kernels };
}
