/**
 * A selection of the kernels, with all that the two sets of it are made of. There are two: every kernel (all.ts) and
 * those of inference (inference.ts). What loads, opens and runs kernels takes a selection and names none of them.
 */
import type { Lowerings } from '../lowering/lowering.ts';
import type { Geometry } from '../specification/geometry.ts';
import type { KernelTable } from '../specification/kernels.ts';
import type { Heap, KernelName, Kernels } from '../types.ts';

/** What scripts/generate.ts makes of a selection, as unpack.ts reads it. */
export interface Compiled {
  /** The WebAssembly module of its SIMD kernels, for memory that is not shared. */
  readonly simd: string;
  /** Position in the module of the byte that is 1, and is to be 3 for shared memory. */
  readonly memoryFlag: number;
  /** The program of a worker thread, with its portable kernels. */
  readonly worker: string;
}

export interface Selection {
  /** What is written down of its kernels. */
  readonly kernels: KernelTable;
  /** The operations that its kernels make up. */
  readonly lowerings: Lowerings;
  /** The function that gives all kernels, for the text of an error, if these are not all. */
  readonly others?: string;
  readonly compiled: Compiled;
  createPortable(heap: Heap): Partial<Kernels>;
  /** `scratchWords` of its SIMD set. */
  simdScratchWords(kernel: KernelName, geometry?: Geometry, sizes?: readonly number[]): number;
}

/** Names of its kernels. A kernel's place among them is its number in programs. */
export function namesOf(selection: Selection): readonly KernelName[] {
  return Object.keys(selection.kernels) as KernelName[];
}
