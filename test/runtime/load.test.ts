import fc from 'fast-check';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, it, vi } from 'vitest';
import { preprocess } from '../../src/preprocess/preprocess.ts';
import { readNpy } from '../../src/data/npy.ts';
import { createExecutor } from '../../src/execution/executor.ts';
import { loadInferenceKernels } from '../../src/kernels/load-inference.ts';
import { loadKernels } from '../../src/kernels/load.ts';
import { portableKernels } from '../../src/kernels/portable/index.ts';
import { add } from '../../src/network/functions.ts';
import { conv, dense, globalAveragePool } from '../../src/network/layers.ts';
import { graph, sequential } from '../../src/network/build.ts';
import { readPlain, withWeights } from '../../src/network/plain.ts';
import type { Network } from '../../src/graph/network.ts';
import { vgg } from '../../src/network/vgg.ts';
import { NO_LIMITS } from '../../src/network/limits.ts';
import { writeNetwork } from '../../src/network/write.ts';
import { stream } from '../../src/base/random.ts';
import { load } from '../../src/runtime/load.ts';
import type { ImageLike, Model } from '../../src/runtime/load.ts';
import { sizeOf } from '../../src/base/tensor.ts';
import { expectCode, expectError, rejection } from '../container/files.ts';
import { everyOperator, networks, smallNetwork } from '../network/files.ts';
import { realData } from '../real-data.ts';

const portable = portableKernels();
const sets = [portable, await loadKernels()];
const opened: Model[] = [];
async function open(network: Network, options: Parameters<typeof load>[1] = {}): Promise<Model> {
  const model = await load(writeNetwork(network), { kernels: portable, ...options });
  opened.push(model);
  return model;
}
afterAll(() => {
  for (const model of opened) model.dispose();
});

const values = (count: number, seed = 1): Float32Array =>
  Float32Array.from({ length: count }, () => 2 * stream(seed, 'input', count--)() - 1);
const bits = (data: Float32Array | Int32Array): number[] => [...new Uint32Array(data.slice().buffer)];
const task = smallNetwork();
const image = (width: number, height: number, channels: number): ImageLike => ({
  width,
  height,
  data: Uint8ClampedArray.from({ length: width * height * channels }, (_, i) => (i * 37) % 256),
});

describe('a network that was saved and loaded', () => {
  it.each(sets.map((kernels) => [kernels.name, kernels] as const))(
    'gives bit-identical outputs, every one of them, whatever its encodings, from all kernels and from those of inference (%s)',
    async (prefer, kernels) => {
      const inference = await loadInferenceKernels({ prefer });
      await fc.assert(
        fc.asyncProperty(networks, fc.integer({ min: 1, max: 3 }), async (network, batch) => {
          const input = values(3 * sizeOf(network.inputs[0].shape));
          const executor = await createExecutor(network, { kernels, batch: 3 });
          executor.input().set(input);
          executor.forward();
          for (const own of [kernels, inference]) {
            const model = await load(writeNetwork(network), { kernels: own, batch });
            const { outputs } = model.predict(input);
            for (const name of network.outputs)
              expect(bits(outputs.get(name)?.data ?? new Float32Array(0))).toEqual(
                bits(Float32Array.from(executor.output(name))),
              );
            model.dispose();
          }
          executor.dispose();
        }),
        { numRuns: 15 },
      );
    },
  );

  it.skipIf(realData === undefined)(
    'is the real one: the landmarks that onnxruntime gives, within 2e-6 of the crop side',
    async () => {
      const folder = join(realData ?? '', 'models');
      const model = await open(
        withWeights(vgg(), readPlain(readFileSync(join(folder, 'vgg-face68.safetensors'))).tensors),
        { kernels: sets[1] },
      );
      const { data, shape } = model.predict(readNpy(readFileSync(join(folder, 'vgg-face68.input.npy'))));
      const expected = readNpy(readFileSync(join(folder, 'vgg-face68.output-landmarks.npy')));
      expect(shape).toEqual(expected.shape);
      expect(Math.max(...data.map((value, i) => Math.abs(value - expected.data[i])))).toBeLessThan(2e-6);
    },
  );
});

describe('predict', () => {
  it('takes one sample, a batch of any size, values in a row and an ndarray, and says the shape', async () => {
    const model = await open(everyOperator(1), { batch: 2 });
    expect([model.inputShape, model.outputShape]).toEqual([[1, 8, 8], [3]]);
    const data = values(5 * 64);
    const whole = model.predict({ data, shape: [5, 1, 8, 8] });
    expect([whole.shape, whole.outputs.size]).toEqual([[5, 3], 2]);
    expect(bits(model.predict(data).data)).toEqual(bits(whole.data));
    for (let i = 0; i < 5; i++) {
      const one = data.slice(64 * i, 64 * i + 64);
      for (const single of [
        model.predict(one),
        model.predict({ data: one, shape: [1, 8, 8] }),
        model.predict({ data, shape: [1, 8, 8], stride: [64, 8, 1], offset: 64 * i }),
      ]) {
        expect(single.shape).toEqual([3]);
        expect(bits(single.data)).toEqual(bits(whole.data.slice(3 * i, 3 * i + 3)));
      }
    }
  });

  it('preprocesses images of any size and of 1, 3 or 4 values a pixel as the model says', async () => {
    const model = await open(task);
    for (const [width, height] of [
      [2, 2],
      [5, 3],
      [5, 3],
      [1, 7],
    ]) {
      for (const channels of [1, 3, 4]) {
        const picture = image(width, height, channels);
        const input = preprocess(
          { data: Uint8Array.from(picture.data), shape: [height, width, channels] },
          task.preprocessing!,
        );
        expect(bits(model.predict(picture).data)).toEqual(bits(model.predict(input).data));
      }
    }
  });

  it('gives data that later calls leave alone, and leaves its input alone', async () => {
    const model = await open(task);
    const input = values(4, 2);
    const before = bits(input);
    const first = model.predict(input);
    const kept = bits(first.data);
    model.predict(values(4, 3));
    model.warmup();
    expect(bits(first.data)).toEqual(kept);
    expect(bits(input)).toEqual(before);
  });

  it('is the same after a warm-up, for any batch size, and for two models of one file', async () => {
    const file = writeNetwork(everyOperator(4));
    const input = values(3 * 64, 5);
    const results = await Promise.all(
      [1, 2, 3, 8].map(async (batch) => {
        const model = await load(file, { kernels: portable, batch });
        if (batch > 1) model.warmup();
        const { data } = model.predict(input);
        model.dispose();
        return bits(data);
      }),
    );
    for (const result of results) expect(result).toEqual(results[0]);
  });

  it('refuses other shapes, kinds and sizes and says what was expected', async () => {
    const model = await open(task);
    const wrong: [unknown, typeof TypeError | typeof RangeError, RegExp][] = [
      [new Float32Array(5), RangeError, /multiple of 4/],
      [new Float32Array(0), RangeError, /multiple of 4/],
      [{ data: new Float32Array(4), shape: [4] }, RangeError, /\[1, 2, 2\]/],
      [{ data: new Float32Array(4), shape: [1, 1, 1, 2, 2] }, RangeError, /samples/],
      [{ width: 2, height: 2, data: new Uint8Array(9) }, RangeError, /1, 3 or 4/],
      [{ width: 0, height: 2, data: [] }, RangeError, /width/],
      [{ width: 2.5, height: 2, data: [] }, RangeError, /width/],
      [{ width: 2, height: 2 }, RangeError, /data/],
      ['image', TypeError, /image/],
      [null, TypeError, /image/],
      [undefined, TypeError, /image/],
      [{}, TypeError, /tensor/],
    ];
    for (const [input, kind, text] of wrong) {
      expect(() => model.predict(input as ImageLike)).toThrow(kind);
      expect(() => model.predict(input as ImageLike)).toThrow(text);
    }
  });
});

describe('load', () => {
  it('asks by name for preprocessing that the model does not carry, and takes it as an option', async () => {
    const { preprocessing, ...bare } = task;
    const without = await open(bare);
    expect(expectCode(() => without.predict(image(2, 2, 4)), 'MISSING').details.name).toBe('preprocessing');
    const given = await open(bare, { preprocessing: preprocessing! });
    const carried = await open(task);
    expect(bits(given.predict(image(4, 4, 4)).data)).toEqual(bits(carried.predict(image(4, 4, 4)).data));
  });

  it('refuses preprocessing of another size, several inputs, and options that are none', async () => {
    expectError(await rejection(open({ ...task, preprocessing: { ...task.preprocessing!, width: 3 } })), 'SHAPE');
    const twoInputs = graph({}, (builder) =>
      builder.node(add(), builder.input([2], 'left'), builder.input([2], 'right')),
    );
    expect(expectError(await rejection(open(twoInputs)), 'UNSUPPORTED').message).toContain('"right"');
    expect(await rejection(open(task, { batch: 0 }))).toBeInstanceOf(RangeError);
    expect(await rejection(open(task, { threads: 1.5 }))).toBeInstanceOf(RangeError);
  });

  it('refuses damaged files and opens one that was saved anew when asked to', async () => {
    const file = writeNetwork(task);
    expectError(await rejection(load(file.subarray(0, 100))), 'TRUNCATED');
    const damaged = file.slice();
    damaged[file.length - 20] ^= 1;
    expectError(await rejection(load(damaged)), 'CHECKSUM');
    expectError(await rejection(load(new TextEncoder().encode('<!doctype html><title>404</title>'))), 'BAD_MAGIC');
    expect(await rejection(load('model.safetensors' as unknown as Uint8Array))).toBeInstanceOf(TypeError);
  });

  it('of 2 kB that asks for 3.6e9 values between two layers is BUDGET, and MEMORY where it is trusted, without an allocation', async () => {
    const network = sequential({ input: [1, 8, 8] }, [conv(1, 1), globalAveragePool(), dense(1)]);
    const nodes = network.nodes.map((node) =>
      node.kind === 'conv'
        ? { ...node, attributes: { ...node.attributes, padding: [30000, 30000, 30000, 30000] as const } }
        : node,
    );
    const file = writeNetwork({ ...network, nodes });
    expect(file.length).toBeLessThan(2000);
    const { details } = expectError(await rejection(load(file, { kernels: portable })), 'BUDGET');
    expect(details).toMatchObject({ name: 'limits.activations', limit: 2 ** 30 });
    expectError(await rejection(load(file, { kernels: portable, limits: NO_LIMITS })), 'MEMORY');
  });

  describe('where WebAssembly gets no memory', () => {
    afterEach(() => {
      vi.unstubAllGlobals();
    });
    const { Memory } = WebAssembly;
    const starve = (): void => {
      vi.stubGlobal(
        'WebAssembly',
        Object.assign(Object.create(WebAssembly) as typeof WebAssembly, {
          Memory: function (descriptor: WebAssembly.MemoryDescriptor) {
            if (descriptor.initial > 1) throw new RangeError('could not allocate memory');
            return new Memory(descriptor);
          },
        }),
      );
    };
    // More than a page of weights.
    const large = sequential({ input: [128] }, [dense(256)]);

    it('runs on the portable kernels, says why, and gives their bits', async () => {
      const expected = (await open(large)).predict(values(128)).data;
      starve();
      const model = await load(writeNetwork(large));
      expect(model.kernels.name).toBe('portable');
      expect(model.kernels.reason).toMatch(/refused the memory.*could not get \d+ bytes/);
      expect(bits(model.predict(values(128)).data as Float32Array)).toEqual(bits(expected as Float32Array));
      model.dispose();
    });

    it('is MEMORY where the kernels were asked for, or arrays are refused too', async () => {
      starve();
      const file = writeNetwork(large);
      expectError(await rejection(load(file, { kernels: await loadKernels() })), 'MEMORY');
      vi.stubGlobal(
        'ArrayBuffer',
        new Proxy(ArrayBuffer, {
          construct(target, [length]: [number]) {
            if (length > 65536) throw new RangeError('Array buffer allocation failed');
            return new target(length);
          },
        }),
      );
      const error = expectError(await rejection(load(file)), 'MEMORY');
      vi.unstubAllGlobals();
      expect(error.message).toContain('could not get');
      (await load(file)).dispose();
    });
  });

  it('of outputs that there is no room for is MEMORY, and runs again with fewer', async () => {
    const model = await open(sequential({ input: [2] }, [dense(64)]));
    const inputs = values(2 * 1000);
    vi.stubGlobal(
      'Float32Array',
      new Proxy(Float32Array, {
        construct(target, [length, ...rest]: [unknown, ...unknown[]], newTarget) {
          if (length === 64_000) throw new RangeError('Array buffer allocation failed');
          return Reflect.construct(target, [length, ...rest], newTarget) as object;
        },
      }),
    );
    try {
      expectCode(() => model.predict(inputs), 'MEMORY');
    } finally {
      vi.unstubAllGlobals();
    }
    expect(model.predict(inputs.subarray(0, 2)).data.length).toBe(64);
  });

  it('is DISPOSED after dispose, which may be called twice', async () => {
    const model = await load(writeNetwork(task), { kernels: portable });
    model.dispose();
    model.dispose();
    expectCode(() => model.predict(new Float32Array(4)), 'DISPOSED');
    expectCode(() => {
      model.warmup();
    }, 'DISPOSED');
  });

  it('says which kernels run it', async () => {
    expect((await open(task)).kernels.name).toBe('portable');
    const model = await load(writeNetwork(task));
    expect(['simd', 'portable']).toContain(model.kernels.name);
    expect(model.kernels.reason).not.toBe('');
    model.dispose();
  });
});
