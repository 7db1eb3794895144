import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createHeap } from '../../../src/kernels/index.ts';
import { heapBuffers, heapFrom } from '../../../src/kernels/workspace/heap.ts';

describe('createHeap', () => {
  it('has at least the words asked for, all zero, an even number of them', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 1000 }),
        fc.constantFrom('float32' as const, 'float64' as const),
        fc.boolean(),
        (words, precision, shared) => {
          const heap = createHeap(words, precision, shared);
          expect(heap.words - words).toBe(words % 2);
          expect([heap.float.length, heap.int.length]).toEqual([heap.words, heap.words]);
          expect(heap.float.every((value) => value === 0)).toBe(true);
          expect(heap.float.buffer instanceof SharedArrayBuffer).toBe(shared);
        },
      ),
    );
  });

  it('float32: three views of one buffer, a double over two words', () => {
    const heap = createHeap(4);
    heap.double[heap.doubleIndex(2)] = 1;
    expect([...heap.int]).toEqual([0, 0, 0, 0x3ff00000]);
    heap.float[0] = 1;
    expect(heap.int[0]).toBe(0x3f800000);
  });

  it('float64: integers apart, floats and doubles the same', () => {
    const heap = createHeap(4, 'float64');
    heap.int[1] = 7;
    heap.double[heap.doubleIndex(2)] = 1 / 3;
    expect([...heap.float]).toEqual([0, 0, 1 / 3, 0]);
  });

  it('seen again through its buffers it has the same words', () => {
    for (const precision of ['float32', 'float64'] as const) {
      const heap = createHeap(4, precision, true),
        again = heapFrom(heapBuffers(heap));
      heap.float[1] = 0.1;
      heap.int[2] = 5;
      expect([again.float[1], again.int[2], again.words]).toEqual([heap.float[1], 5, 4]);
    }
  });

  it('refuses a size that is none, or beyond 2^30 words', () => {
    for (const words of [-1, 1.5, NaN, 2 ** 30 + 1])
      expect(() => createHeap(words)).toThrow(/createHeap: words: expected an integer from 0 to 1073741824/);
    expect(() => createHeap('8' as unknown as number)).toThrow(TypeError);
  });
});
