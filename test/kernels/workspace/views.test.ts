/** A view that was taken once stays the memory that kernels read and write: no memory grows, so none is replaced. */
import { expect, it, vi } from 'vitest';
import { createExecutor } from '../../../src/execution/executor.ts';
import { loadKernels } from '../../../src/kernels/index.ts';
import { dense, relu, sequential } from '../../../src/network/index.ts';

it.each(['simd', 'portable'] as const)(
  'views outlive whatever is opened, run and disposed beside them, and what is written through them is read (%s)',
  async (prefer) => {
    const grow = vi.spyOn(WebAssembly.Memory.prototype, 'grow');
    const memories: WebAssembly.Memory[] = [];
    const { Memory } = WebAssembly;
    vi.spyOn(WebAssembly, 'Memory').mockImplementation(function (descriptor) {
      const memory = new Memory(descriptor);
      memories.push(memory);
      return memory;
    });
    try {
      const kernels = await loadKernels({ prefer });
      const network = sequential({ input: [8], seed: 1 }, [dense(16), relu(), dense(4)]);
      const executor = await createExecutor(network, { kernels, batch: 3 });
      const [input, output] = [executor.input(), executor.output()];
      const wanted = executor.predict(new Float32Array(24).fill(0.5), 3);
      // Larger and larger ones beside it, some of them let go: what makes a memory grow, if any does.
      for (let batch = 1; batch <= 4096; batch *= 4) {
        const other = await createExecutor(network, { kernels, batch });
        other.predict(new Float32Array(8 * batch), batch);
        if (batch % 16 === 0) other.dispose();
      }
      expect([input.length, output.length]).toEqual([24, 12]);
      expect([executor.input().buffer === input.buffer, executor.output().buffer === output.buffer]).toEqual([
        true,
        true,
      ]);
      input.fill(0.5);
      output.fill(NaN);
      executor.forward();
      expect(output).toEqual(wanted);
      executor.dispose();
      expect(grow).not.toHaveBeenCalled();
      expect(memories.length > 0).toBe(prefer === 'simd');
      // Nobody else can make it grow either.
      for (const memory of memories) expect(() => memory.grow(1)).toThrow();
    } finally {
      vi.restoreAllMocks();
    }
  },
);
