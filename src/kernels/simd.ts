/** The SIMD set: WebAssembly that was compiled from assembly/ and travels in the package as text, so that no bundler has to find a file. */
import { codebookScratchWords } from './codebook-sizes.ts';
import { outOfMemory } from './heap.ts';
import { instantiate } from './instance.ts';
import { packedWords, productScratchWords } from './sizes.ts';
import { memoryFlag, simdBinary } from './simd.generated.ts';
import { nodeThreadHost } from './threads.ts';
import type { Geometry, KernelName, KernelSet } from './types.ts';
import { openOn, openSyncOn, type Backend } from './workspace.ts';

/** Bytes of a page of WebAssembly memory. */
const PAGE_BYTES = 65536;

/** The module's bytes, for memory that is shared or not: one byte of the memory's import tells the two apart. */
export function simdBytes(shared: boolean): Uint8Array<ArrayBuffer> {
  const bytes = Uint8Array.from(atob(simdBinary), (character) => character.charCodeAt(0));
  bytes[memoryFlag] = shared ? 3 : 1;
  return bytes;
}

/**
 * Compiles the SIMD set.
 * @throws whatever the platform throws if it has no SIMD, or may not compile or instantiate
 */
export async function compileSimd(wasm: typeof WebAssembly, reason: string): Promise<KernelSet> {
  const single = await wasm.compile(simdBytes(false));
  // Some policies let a module be compiled and refuse its instance: better to know before a heap is asked for.
  instantiate(wasm, single, allocate(wasm, 1, false));
  let threaded: WebAssembly.Module | undefined;
  const backend: Backend = {
    precisions: ['float32'],
    bind(words, _precision, shared) {
      const memory = allocate(wasm, Math.ceil(words * 4 / PAGE_BYTES), shared);
      const module = shared ? threaded ??= new wasm.Module(simdBytes(true)) : single;
      return { ...instantiate(wasm, module, memory), foundation: { set: 'simd', module, memory } };
    },
  };
  return {
    name: 'simd',
    reason,
    packedWords,
    scratchWords,
    open: (options) => openOn(backend, options, nodeThreadHost()),
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

function scratchWords(kernel: KernelName, geometry?: Geometry, sizes?: readonly number[]): number {
  switch (kernel) {
    case 'nearestCodeword': case 'accumulateCentroids': case 'codebookDecode': case 'codebookPullback': return codebookScratchWords(sizes?.[0] ?? 0, sizes?.[1] ?? 0);
    default: return productScratchWords(kernel, geometry, sizes);
  }
}
