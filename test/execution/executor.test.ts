import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { EspalierError } from '../../src/base/errors.ts';
import type { ProductBlock } from '../../src/encodings/types.ts';
import { createExecutor } from '../../src/execution/executor.ts';
import { place } from '../../src/execution/placement.ts';
import type { Executor } from '../../src/execution/types.ts';
import { loadKernels, portableKernels } from '../../src/kernels/index.ts';
import type { KernelSet } from '../../src/kernels/types.ts';
import type { Network } from '../../src/graph/network.ts';
import { stream } from '../../src/base/random.ts';
import { sizeOf } from '../../src/base/tensor.ts';
import { chain, randomNetwork, skips } from './networks.ts';

const sets: KernelSet[] = [portableKernels(), await loadKernels({ prefer: 'simd' })];

const open: Executor[] = [];
async function executor(network: Network, options: Parameters<typeof createExecutor>[1]): Promise<Executor> {
  const made = await createExecutor(network, options);
  open.push(made);
  return made;
}
afterEach(() => open.splice(0).forEach((one) => one.dispose()));

function samples(network: Network, count: number, seed = 0): Float32Array {
  const random = stream(seed, 'samples');
  return Float32Array.from({ length: count * sizeOf(network.inputs[0].shape) }, () => 2 * random() - 1);
}

describe('place', () => {
  it('storages that live at the same time never share a word, and all fit below the top', () => {
    const interval = fc.record({
      words: fc.integer({ min: 1, max: 40 }),
      from: fc.integer({ min: 0, max: 20 }),
      length: fc.integer({ min: 0, max: 20 }),
    });
    fc.assert(
      fc.property(fc.array(interval, { maxLength: 25 }), (intervals) => {
        const storages = intervals.map(({ words, from, length }) => ({
          words,
          from,
          until: from + length,
          offset: -1,
        }));
        const top = place(storages);
        for (const a of storages) {
          expect(a.offset).toBeGreaterThanOrEqual(0);
          expect(a.offset + a.words).toBeLessThanOrEqual(top);
          for (const b of storages) {
            if (a === b || a.until < b.from || b.until < a.from) continue;
            expect(a.offset + a.words <= b.offset || b.offset + b.words <= a.offset).toBe(true);
          }
        }
      }),
    );
  });

  it('a chain needs no more than its two largest neighbours', () => {
    const storages = [8, 40, 16, 24, 4].map((words, i) => ({ words, from: i, until: i + 1, offset: 0 }));
    expect(place(storages)).toBe(56);
  });
});

describe.each(sets.map((kernels) => [kernels.name, kernels] as const))('executor on %s kernels', (_name, kernels) => {
  it('sharing buffers changes nothing: the same outputs, bit for bit, as when every value is kept', async () => {
    await fc.assert(
      fc.asyncProperty(randomNetwork, fc.integer({ min: 1, max: 4 }), async (network, batch) => {
        const inputs = samples(network, batch);
        const shared = await executor(network, { kernels, batch });
        // Exempt is what comes before a leaky ReLU: fused it multiplies before the sum is rounded to float32, apart after
        // it; and before what is folded into weights (fold.test.ts).
        const watch = network.nodes
          .filter((_, i) => !['leakyRelu', 'batchNorm', 'affine'].includes(network.nodes[i + 1]?.kind))
          .map((node) => node.name);
        const kept = await executor(network, { kernels, batch, watch });
        expect(shared.predict(inputs, batch)).toEqual(kept.predict(inputs, batch));
        open.splice(0).forEach((one) => one.dispose());
      }),
      { numRuns: 40 },
    );
  });

  it('predictions do not depend on the batch size, bit for bit', async () => {
    for (const network of [chain(), skips()]) {
      const inputs = samples(network, 7);
      const results = await Promise.all(
        [1, 2, 3, 7, 16].map(async (batch) => (await executor(network, { kernels, batch })).predict(inputs, 7)),
      );
      for (const result of results) expect(result).toEqual(results[0]);
    }
  });

  it('predictions do not depend on the number of threads, bit for bit', async () => {
    for (const network of [chain(), skips()]) {
      const inputs = samples(network, 9);
      const results = await Promise.all(
        [1, 2, 3].map(async (threads) => (await executor(network, { kernels, batch: 4, threads })).predict(inputs, 9)),
      );
      for (const result of results) expect(result).toEqual(results[0]);
    }
  });

  it('a second pass over the same inputs gives the same outputs: the pass does not destroy what it reads', async () => {
    const network = skips();
    const one = await executor(network, { kernels, batch: 2 });
    one.input().set(samples(network, 2));
    one.forward();
    const first = one.output().slice();
    one.forward();
    expect(one.output().slice()).toEqual(first);
  });

  it('watched values can be read; others are refused by name', async () => {
    const network = chain();
    const one = await executor(network, { kernels, watch: ['relu1'] });
    one.predict(samples(network, 1), 1);
    expect(one.output('relu1').length).toBe(4 * 8 * 8);
    expect(Math.min(...one.output('relu1'))).toBe(0);
    expect(() => one.output('conv2')).toThrow(/"relu1".*got "conv2".*watch/);
  });
});

describe('the two kernel sets agree', () => {
  it('outputs of a whole network within 1e-5', async () => {
    for (const network of [chain(), skips()]) {
      const inputs = samples(network, 5);
      const [portable, simd] = await Promise.all(
        sets.map(async (kernels) => (await executor(network, { kernels, batch: 5 })).predict(inputs, 5)),
      );
      simd.forEach((value, i) => expect(Math.abs(value - portable[i])).toBeLessThan(1e-5));
    }
  });
});

describe('wrong arguments', () => {
  const kernels = portableKernels();
  it('batch', async () => {
    await expect(createExecutor(chain(), { kernels, batch: 0 })).rejects.toThrow(
      /batch: expected an integer of at least 1, got 0/,
    );
    await expect(createExecutor(chain(), { kernels, batch: 1.5 })).rejects.toThrow(RangeError);
    await expect(createExecutor(chain(), { kernels, batch: '2' as never })).rejects.toThrow(TypeError);
  });
  it('no options, no kernels, no network', async () => {
    const alone = await createExecutor(chain());
    alone.dispose();
    await expect(createExecutor(chain(), { kernels: loadKernels() as never })).rejects.toThrow(
      /createExecutor: options.kernels: expected a kernel set \(await loadKernels\(\)\), got a promise that was not awaited/,
    );
    await expect(createExecutor(chain(), { kernels: 'simd' } as never)).rejects.toThrow(TypeError);
    await expect(createExecutor(undefined as never, { kernels })).rejects.toThrow(/createExecutor: network/);
    await expect(createExecutor(chain(), { kernels, watch: 'relu1' as never })).rejects.toThrow(
      /watch: expected an array/,
    );
  });
  it('a parameter whose values are not as many as its shape says writes over no other', async () => {
    const network = chain();
    const parameters = new Map(network.parameters).set('conv1.bias', {
      kind: 'dense',
      shape: [4],
      data: new Float32Array(4096),
    });
    await expect(createExecutor({ ...network, parameters }, { kernels })).rejects.toThrow(
      expect.objectContaining({
        code: 'SHAPE',
        message: expect.stringMatching(/"conv1.bias": values: expected 4 for shape \[4\], got 4096/),
      }),
    );
    const block = (codes: number, codewords: number): ProductBlock => ({
      first: 0,
      subspaceCount: 5,
      subvectorLength: 4,
      codewordCount: 2,
      codewords: new Float32Array(codewords),
      codes: new Uint16Array(codes),
    });
    for (const [blocks, text] of [
      [[block(99, 8)], /codes of a block: expected 35/],
      [[block(35, 16)], /codeword values of a block: expected 8/],
      [[block(35, 8), block(35, 8)], /columns of all blocks: expected 20 .*got 40/],
    ] as const) {
      const encoded = new Map(network.parameters).set('dense1.weight', {
        kind: 'product',
        shape: [7, 20],
        codewordPrecision: 'float32',
        blocks,
      });
      await expect(createExecutor({ ...network, parameters: encoded }, { kernels })).rejects.toThrow(text);
    }
  });
  it('watch', async () => {
    await expect(createExecutor(chain(), { kernels, watch: ['nowhere'] })).rejects.toThrow(/watch.*"nowhere"/);
  });
  it('inputs of another length or kind', async () => {
    const one = await executor(chain(), { kernels });
    expect(() => one.predict(new Float32Array(5), 1)).toThrow(/expected 1 samples of 128 values, got 5/);
    expect(() => one.predict([1, 2] as never, 1)).toThrow(TypeError);
    expect(() => one.predict(new Float32Array(256), '2' as never)).toThrow(/predict: count/);
    expect(() => one.predict(new Float32Array(192), 1.5)).toThrow(/predict: count/);
    expect(one.predict(new Float32Array(0), 0).length).toBe(0);
    expect(() => one.input('nobody')).toThrow(/"input".*got "nobody"/);
  });
  it('a batch whose buffers pass 4 GiB is refused before anything is allocated', async () => {
    await expect(createExecutor(chain(), { kernels, batch: 1 << 24 })).rejects.toMatchObject({ code: 'MEMORY' });
  });
  it('use after dispose', async () => {
    const one = await createExecutor(chain(), { kernels });
    one.dispose();
    one.dispose();
    expect(() => one.forward()).toThrow(EspalierError);
    expect(() => one.forward()).toThrow(expect.objectContaining({ code: 'DISPOSED' }));
  });
});
