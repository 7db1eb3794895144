import { beforeAll, describe, expect, it } from 'vitest';
import {
  loadKernels,
  portableKernels,
  type KernelSet,
  type Program,
  type WorkspaceOptions,
} from '../../../src/kernels/index.ts';
import { bothSets } from '../bench.ts';

const multiply: Program = [{ kernel: 'multiply', pieces: [{ a: 0, b: 0, y: 4, count: 4 }] }];

describe('a workspace', () => {
  let sets: readonly KernelSet[];
  beforeAll(async () => {
    sets = await bothSets();
  });

  it('runs the program of a number, pieces and steps in order', () => {
    for (const set of sets) {
      const workspace = set.openSync({
        words: 8,
        scratchWords: 3,
        programs: [
          [],
          [
            ...multiply,
            {
              kernel: 'add',
              pieces: [
                { a: 4, b: 0, y: 4, count: 2, activation: 0, parameters: -1 },
                { a: 6, b: 6, y: 6, count: 2, activation: 0, parameters: -1 },
              ],
            },
          ],
        ],
      });
      workspace.heap.float.set([1, 2, 3, 4]);
      workspace.run(0);
      expect([...workspace.heap.float.subarray(0, 8)]).toEqual([1, 2, 3, 4, 0, 0, 0, 0]);
      workspace.run(1);
      expect([...workspace.heap.float.subarray(0, 8)]).toEqual([1, 2, 3, 4, 2, 6, 18, 32]);
    }
  });

  it("keeps programs and scratch away from the caller's words, and scratch at a multiple of 16 words", () => {
    for (const set of sets) {
      for (const words of [0, 1, 15, 16, 17]) {
        const { scratch, heap } = set.openSync({ words, scratchWords: 5, programs: [multiply] });
        expect(scratch % 16).toBe(0);
        expect(scratch).toBeGreaterThanOrEqual(words + 3 + 4);
        expect(heap.words).toBeGreaterThanOrEqual(scratch + 5);
        expect([...heap.int.subarray(0, words)]).toEqual(new Array(words).fill(0));
      }
    }
  });

  it('throws DISPOSED once disposed of; disposing twice is fine', async () => {
    for (const set of sets) {
      for (const threads of [1, 2]) {
        const workspace = await set.open({ words: 8, scratchWords: 0, programs: [multiply], threads });
        workspace.dispose();
        workspace.dispose();
        expect(() => workspace.run(0)).toThrow(expect.objectContaining({ code: 'DISPOSED' }));
        expect(() => workspace.heap).toThrow(expect.objectContaining({ code: 'DISPOSED' }));
        expect(() => workspace.kernels).toThrow(expect.objectContaining({ code: 'DISPOSED' }));
      }
    }
  });

  it('refuses a program number that it does not have', () => {
    for (const set of sets) {
      const workspace = set.openSync({ words: 8, scratchWords: 0, programs: [multiply] });
      expect(() => workspace.run(1)).toThrow(/run: program: expected an integer from 0 to 0, got 1/);
      expect(() => workspace.run(NaN)).toThrow(RangeError);
    }
  });

  it.each<[string, Partial<Record<keyof WorkspaceOptions, unknown>>, RegExp]>([
    ['words -1', { words: -1 }, /words: expected an integer from 0 to 1073741824, got -1/],
    ['words 1.5', { words: 1.5 }, /words/],
    ['words NaN', { words: NaN }, /words/],
    ['words 2^53', { words: 2 ** 53 }, /words/],
    ['words as a BigInt', { words: 8n }, /words/],
    ['no words', { words: undefined }, /words/],
    ['scratch -1', { scratchWords: -1 }, /scratchWords/],
    ['no thread', { threads: 0 }, /threads: expected an integer from 1 to 64, got 0/],
    ['another precision', { precision: 'float16' }, /precision: expected one of float32/],
    [
      'an unknown kernel',
      { programs: [[{ kernel: 'toString', pieces: [] }]] },
      /programs\[0\]\[0\]: kernel: expected the name of a kernel, got "toString"/,
    ],
    [
      'too few arguments',
      { programs: [[{ kernel: 'multiply', pieces: [{ a: 0, b: 0, y: 4 }] }]] },
      /count of pieces\[0\] of multiply: expected an integer .* got undefined/,
    ],
    [
      'an argument that the kernel has not',
      { programs: [[{ kernel: 'multiply', pieces: [{ a: 0, b: 0, y: 4, count: 4, slope: 0 }] }]] },
      /pieces\[0\] of multiply: expected the arguments a, b, y, count, got "slope" too/,
    ],
    [
      'an argument that is no integer',
      { programs: [[{ kernel: 'multiply', pieces: [{ a: 0, b: 0.5, y: 4, count: 4 }] }]] },
      /b of pieces\[0\] of multiply: expected an integer .* got 0.5/,
    ],
    [
      'an argument beyond 32 bits',
      { programs: [[{ kernel: 'multiply', pieces: [{ a: 0, b: 2 ** 31, y: 4, count: 4 }] }]] },
      /got 2147483648/,
    ],
  ])('refuses %s', async (_what, options, message) => {
    for (const set of sets) {
      const whole = { words: 8, scratchWords: 0, ...options } as WorkspaceOptions;
      expect(() => set.openSync(whole)).toThrow(message);
      await expect(set.open(whole)).rejects.toThrow(message);
    }
  });

  it('throws MEMORY when the heap cannot be had', async () => {
    const starved = Object.assign(Object.create(WebAssembly) as typeof WebAssembly, {
      Memory: function (descriptor: WebAssembly.MemoryDescriptor) {
        if (descriptor.initial > 1) throw new RangeError('could not allocate memory');
        return new WebAssembly.Memory(descriptor);
      } as unknown as typeof WebAssembly.Memory,
    });
    const set = await loadKernels({ webAssembly: starved });
    expect(set.name).toBe('simd');
    expect(() => set.openSync({ words: 1e6, scratchWords: 0 })).toThrow(
      expect.objectContaining({ code: 'MEMORY', message: expect.stringMatching(/could not get 4063232 bytes/) }),
    );
    for (const each of [...sets])
      expect(() => each.openSync({ words: 2 ** 30, scratchWords: 2 ** 30 })).toThrow(
        expect.objectContaining({ code: 'MEMORY' }),
      );
  });

  it('in double precision has doubles where floats are, and integers apart', () => {
    const { heap, kernels, scratch } = portableKernels().openSync({ words: 8, scratchWords: 0, precision: 'float64' });
    heap.float.set([1 / 3, 3]);
    heap.int[0] = 7;
    kernels.multiply(scratch, 0, 1, 2, 1);
    expect(heap.float[2]).toBe(1);
    expect(heap.float[0]).toBe(1 / 3);
  });
});
