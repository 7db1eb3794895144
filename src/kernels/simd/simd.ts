/**
 * The SIMD set: WebAssembly that was compiled from assembly/ and travels in the package as text, so that no bundler has
 * to find a file.
 */
import { outOfMemory } from '../workspace/heap.ts';
import { instantiate } from './instance.ts';
import type { Compiled, Selection } from '../selection/selection.ts';
import { createLower } from '../lowering/lowering.ts';
import { forwardRun, packedWords } from './sizes.ts';
import { threadHost } from '../threads/thread-hosts.ts';
import type { KernelSet } from '../types.ts';
import { openOn, openSyncOn, type Backend } from '../workspace/workspace.ts';

/** Bytes of a page of WebAssembly memory. */
const PAGE_BYTES = 65536;

/** The module for shared memory: one byte of the memory's import tells the two apart. */
export function sharedModule(bytes: Uint8Array<ArrayBuffer>, { memoryFlag }: Compiled): Uint8Array<ArrayBuffer> {
  const shared = bytes.slice();
  shared[memoryFlag] = 3;
  return shared;
}

/**
 * Compiles the SIMD set of a selection from the bytes of its module.
 * @throws whatever the platform throws if it has no SIMD, or may not compile or instantiate
 */
export async function compileSimd(
  selection: Selection,
  wasm: typeof WebAssembly,
  bytes: Uint8Array<ArrayBuffer>,
  reason: string,
): Promise<KernelSet> {
  const single = await wasm.compile(bytes);
  // Some policies let a module be compiled and refuse its instance: better to know before a heap is asked for.
  instantiate(wasm, single, allocate(wasm, 1, false));
  let threaded: WebAssembly.Module | undefined;
  const backend: Backend = {
    selection,
    precisions: ['float32'],
    bind(words, _precision, shared) {
      // The module asks for a page even where nobody asked for a word.
      const memory = allocate(wasm, Math.max(1, Math.ceil((words * 4) / PAGE_BYTES)), shared);
      const module = shared ? (threaded ??= new wasm.Module(sharedModule(bytes, selection.compiled))) : single;
      return { ...instantiate(wasm, module, memory), foundation: { set: 'simd', module, memory } };
    },
  };
  const sizes = { packedWords, forwardRun, scratchWords: selection.simdScratchWords };
  return {
    name: 'simd',
    reason,
    packsWeights: true,
    lower: createLower(selection.lowerings, sizes, selection.others),
    sizes,
    open: (options) => openOn(backend, options, threadHost()),
    openSync: (options) => openSyncOn(backend, options),
  };
}

function allocate(wasm: typeof WebAssembly, pages: number, shared: boolean): WebAssembly.Memory {
  try {
    return new wasm.Memory({ initial: pages, maximum: pages, shared });
  } catch (cause) {
    throw outOfMemory(pages * PAGE_BYTES, cause);
  }
}
