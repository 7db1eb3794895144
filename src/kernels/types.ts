/**
 * Heaps, programs, workspaces and kernel sets. What the kernels are is in specification/kernels.ts, what may be asked of
 * a set as a whole in specification/operations.ts. Kernels come in two sets that do the same: `portable` (TypeScript,
 * the specification and the oracle) and `simd` (WebAssembly).
 *
 * A heap is an array of words. A word holds one float or one 32-bit integer; every offset is counted in words.
 */
import type { FloatArray } from '../base/tensor.ts';
import type { Geometry } from './specification/geometry.ts';
import type { Call, KernelName, Kernels } from './specification/kernels.ts';
import type { OperationName, Operations, Room } from './specification/operations.ts';

export type { KernelName, Kernels };

export type Precision = 'float32' | 'float64';

/**
 * One block of memory, its size fixed at creation, so a view never goes stale. With 'float32' all three views lie on
 * one buffer (words of 4 bytes); with 'float64' (portable kernels only, for gradient checks) `int` has a buffer of its
 * own. Owned by its workspace and freed with it.
 */
export interface Heap {
  readonly precision: Precision;
  readonly words: number;
  /** Indexed by word. */
  readonly float: FloatArray;
  /** Indexed by word. */
  readonly int: Int32Array;
  /** Doubles. A double occupies two words from an even offset: index it with `doubleIndex`. */
  readonly double: Float64Array;
  /** Index into `double` of the double at an (even) word offset. */
  doubleIndex(offset: number): number;
}

export { ACTIVATION, type ActivationName } from './specification/activations.ts';

/** Bits of `matmul`'s flags. */
export const MATMUL = { accumulate: 1, biasPerRow: 2, biasPerColumn: 4 } as const;

/**
 * One kernel, called once per piece. Pieces of a step write disjoint words and read none that another writes, so they
 * may run at once and in any order.
 */
export type Step = {
  readonly [K in KernelName]: { readonly kernel: K; readonly pieces: readonly Call<K>[] };
}[KernelName];
/** Steps run one after another. How work is cut into pieces depends on shapes only, never on the number of threads. */
export type Program = readonly Step[];

export interface WorkspaceOptions {
  /**
   * Words that the caller lays out itself, from offset 0. The workspace adds room for programs and scratch behind them.
   */
  words: number;
  /** Largest scratch that any call needs; every thread gets as much. */
  scratchWords: number;
  /** Programs that {@link Workspace.run} takes by number. */
  programs?: readonly Program[];
  /** Default 1. How many there are is up to the platform: see {@link Workspace.threads}. */
  threads?: number;
  /** Default 'float32'. 'float64' only from the portable set. */
  precision?: Precision;
}

/** A heap, kernels bound to it, and the threads that run programs on it. */
export interface Workspace {
  readonly heap: Heap;
  /** For direct calls. From `loadInferenceKernels` those of inference alone: a call of another is a TypeError. */
  readonly kernels: Kernels;
  /**
   * The calling thread and those that help it: as many as asked for, or fewer where the platform has no more to give.
   * Never an error, and the same bits.
   */
  readonly threads: number;
  /** Why that many: 'asked for', or what stands in the way of more, and the cure. */
  readonly threadsReason: string;
  /** Offset of the calling thread's scratch, for direct calls. */
  readonly scratch: number;
  /**
   * Runs program `program` (its index in the options), synchronously. Same bits for any number of threads. @throws
   * {EspalierError} DISPOSED, WORKER
   */
  run(program: number): void;
  /** Ends the threads and lets go of the heap. Twice is once. Later calls throw DISPOSED. */
  dispose(): void;
}

/** Takes the kernel calls that an operation becomes, one step after another. */
export interface Emit {
  /** A step of the pass. */
  step<K extends KernelName>(kernel: K, pieces: readonly Call<K>[]): void;
  /** A step that is run before the pass, once after parameters changed: weights are packed. */
  prepare<K extends KernelName>(kernel: K, pieces: readonly Call<K>[]): void;
}

/** Words and runs that a set's kernels ask for. */
export interface Sizes {
  /** Words of packed weights. */
  packedWords(geometry: Geometry, direction: 'forward' | 'transposed'): number;
  /**
   * Positions in whose multiples a sample is best cut for convolutionForward: other cuts give the same bits, but cost
   * more.
   */
  forwardRun(geometry: Geometry): number;
  /**
   * Words of scratch that a kernel needs; `geometry` for convolutions, `sizes` [m, n, k] for matmul, [k, d] for the
   * codebook kernels; 0 for kernels that need none.
   */
  scratchWords(kernel: KernelName, geometry?: Geometry, sizes?: readonly number[]): number;
}

/** A compiled set of kernels without memory of its own. */
export interface KernelSet {
  readonly name: 'portable' | 'simd';
  /** Why this set was chosen: of use where 'portable' stands in for 'simd'. */
  readonly reason: string;
  /**
   * A convolution's weights are read in preparation alone ({@link Emit.prepare}), which lays them out anew: for the rest
   * of the time the place that they lie in may serve others.
   */
  readonly packsWeights: boolean;
  /**
   * Writes an operation down as steps of kernels, cut in pieces that depend on shapes only, so that results do not
   * depend on the number of threads.
   * @param room - where it finds words for what is not the caller's: geometry, packed weights, partial sums
   * @throws {RangeError} on an unknown operation
   * @throws {EspalierError} UNSUPPORTED on an operation whose kernels the set lacks
   */
  lower<O extends OperationName>(operation: O, call: Operations[O], room: Room, emit: Emit): void;
  /** What kernels ask for, for those who call them by themselves rather than by {@link lower}. */
  readonly sizes: Sizes;
  /**
   * @throws {EspalierError} MEMORY if the heap cannot be had, UNSUPPORTED if a program names a kernel that the set
   * lacks
   */
  open(options: WorkspaceOptions): Promise<Workspace>;
  /** The same with one thread, at once. */
  openSync(options: WorkspaceOptions): Workspace;
}
