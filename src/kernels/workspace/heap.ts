/** Heaps: one block of memory with its views, fixed in size, so that no view ever goes stale. */
import { EspalierError, checkInteger } from '../../base/errors.ts';
import type { Heap, Precision } from '../types.ts';

/** Buffers of a heap: all that another thread needs to see the same words. */
export interface HeapBuffers {
  readonly precision: Precision;
  readonly floats: ArrayBufferLike;
  /** The same buffer with 'float32'. */
  readonly integers: ArrayBufferLike;
}

/** WebAssembly addresses 2^32 bytes; the portable set keeps to the same limit. */
export const MOST_WORDS = 2 ** 30;

/**
 * A heap of at least `words` words, all zero.
 * @param shared - on SharedArrayBuffers, for threads. Default false.
 * @throws {EspalierError} MEMORY if the platform refuses the bytes
 */
export function createHeap(words: number, precision: Precision = 'float32', shared = false): Heap {
  checkInteger('createHeap', 'words', words, 0, MOST_WORDS);
  const whole = words + (words & 1);
  const allocate = (bytes: number): ArrayBufferLike => {
    try {
      return shared ? new SharedArrayBuffer(bytes) : new ArrayBuffer(bytes);
    } catch (cause) {
      throw outOfMemory(bytes, cause);
    }
  };
  if (precision === 'float32') return heapOver(allocate(whole * 4));
  return heapFrom({ precision, floats: allocate(whole * 8), integers: allocate(whole * 4) });
}

/** A float32 heap over the whole of a buffer (a multiple of 8 bytes), such as the one of a WebAssembly memory. */
export function heapOver(buffer: ArrayBufferLike): Heap {
  return heapFrom({ precision: 'float32', floats: buffer, integers: buffer });
}

/** The heap that lies on these buffers: the views are new, the words are the same. */
export function heapFrom({ precision, floats, integers }: HeapBuffers): Heap {
  const double = new Float64Array(floats);
  const int = new Int32Array(integers);
  return {
    precision,
    words: int.length,
    float: precision === 'float32' ? new Float32Array(floats) : double,
    int,
    double,
    doubleIndex: precision === 'float64' ? (offset) => offset : (offset) => offset >> 1,
  };
}

/** The buffers under a heap. */
export function heapBuffers(heap: Heap): HeapBuffers {
  return { precision: heap.precision, floats: heap.float.buffer, integers: heap.int.buffer };
}

/** The error of a heap that cannot be had. */
export function outOfMemory(bytes: number, cause: unknown): EspalierError {
  return new EspalierError(
    'MEMORY',
    `open: could not get ${bytes} bytes of memory; use a smaller batch or fewer threads`,
    { limit: bytes, cause },
  );
}
