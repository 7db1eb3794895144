/** A finite number beyond float32 is refused at every door by name, and what float32 cannot tell apart is not made one. */
import { describe, expect, it } from 'vitest';
import { EspalierError } from '../../src/base/errors.ts';
import { toTensor } from '../../src/base/tensor.ts';
import type { Tensor } from '../../src/base/tensor.ts';
import { preprocess, resizeImage } from '../../src/data/index.ts';
import type { Preprocessing } from '../../src/graph/preprocessing.ts';
import { loadKernels } from '../../src/kernels/index.ts';
import { checkNetwork } from '../../src/graph/check.ts';
import { affine, batchNorm, dense, leakyRelu, sequential, writeNetwork } from '../../src/network/index.ts';
import { kmeans, kmeansAsync } from '../../src/quantization/index.ts';
import { load } from '../../src/runtime/index.ts';

const kernels = await loadKernels();
const BEYOND = 3.5e38;
const doubles = (...values: number[]): Float64Array => Float64Array.from(values);
const plain: Preprocessing = {
  ...{ width: 2, height: 2, channels: 1, filter: 'area', scale: 1 },
  standardize: { kind: 'none' },
} as const;
const model = await load(writeNetwork(sequential({ input: [4], seed: 1 }, [dense(2)])), { kernels });
const options = { codewordCount: 2, kernels };

describe('a finite double beyond float32', () => {
  it.each<[string, (data: Float64Array) => unknown]>([
    ['a tensor', (data) => toTensor('toTensor', 'value', { data, shape: [2, 2] })],
    ['points of k-means', (data) => kmeans({ data, shape: [4, 1] }, options)],
    ['points of k-means in turns', (data) => kmeansAsync({ data, shape: [2, 2] }, options)],
    [
      'codewords to begin with',
      (data) =>
        kmeans({ data: doubles(1, 2, 3, 4, 5, 6), shape: [3, 2] }, { ...options, init: { data, shape: [2, 2] } }),
    ],
    ['predict, a tensor', (data) => model.predict({ data, shape: [4] })],
    ['resizeImage', (data) => resizeImage({ data, shape: [2, 2] }, 4, 4, 'bilinear')],
    ['preprocess', (data) => preprocess({ data, shape: [2, 2] }, plain)],
    ['a layer of constants', (data) => sequential({ input: [4] }, [affine(data as never, 0)])],
  ])('is RANGE with its value: %s', async (_name, door) => {
    for (const value of [BEYOND, -BEYOND, Number.MAX_VALUE])
      for (let i = 0; i < 4; i++) {
        const data = doubles(1, 2, 3, 4);
        data[i] = value;
        const error = await (async () => door(data))().catch((reason: unknown) => reason);
        expect(error).toBeInstanceOf(EspalierError);
        expect(error).toMatchObject({ code: 'RANGE', message: expect.stringContaining(String(value)) as unknown });
      }
    // The largest float32 is none: no error, or one that says what it is about.
    const most = (2 - 2 ** -23) * 2 ** 127;
    const found = await (async () => door(doubles(most, 0, -most, 0)))().catch((reason: unknown) => reason);
    if (found instanceof Error) expect(found.message).not.toContain('beyond float32');
  });

  it('is ATTRIBUTE in a node, which is named', () => {
    for (const layer of [leakyRelu(BEYOND, { name: 'node' }), batchNorm({ name: 'node', epsilon: BEYOND })])
      expect(() => {
        checkNetwork('test', 'network', sequential({ input: [4] }, [layer]));
      }).toThrow(expect.objectContaining({ code: 'ATTRIBUTE', message: expect.stringContaining('"node"') as unknown }));
  });

  it('that a scale of the preprocessing makes is RANGE, naming the scale', () => {
    const image = { data: Float32Array.of(1e30, 1, 1, 1), shape: [2, 2] };
    expect(() => preprocess(image, { ...plain, scale: 1e10 })).toThrow(
      expect.objectContaining({ code: 'RANGE', details: { name: 'preprocessing.scale' } }),
    );
  });
});

describe('numbers that float32 cannot tell apart', () => {
  const stamps = doubles(...Array.from({ length: 8 }, (_, i) => 1.6e9 + i));

  it('are points of their own for k-means, whose codewords lie among them, in the shifted column alone', async () => {
    for (const cluster of [kmeans, kmeansAsync]) {
      const { codewords, objective } = await (cluster as typeof kmeansAsync)(
        { data: doubles(...Array.from(stamps).flatMap((value, i) => [value, i / 4])), shape: [8, 2] },
        { ...options, codewordCount: 8 },
      );
      expect(objective).toBe(0);
      const rows = Array.from({ length: 8 }, (_, k) => [...codewords.data.subarray(2 * k, 2 * k + 2)]);
      expect(rows.sort((a, b) => a[0] - b[0])).toEqual(Array.from(stamps, (value, i) => [value, i / 4]));
    }
    const given: Tensor<Float64Array> = { data: doubles(1.6e9, 1.6e9 + 7), shape: [2, 1] };
    const halves = kmeans({ data: stamps, shape: [8, 1] }, { ...options, init: given });
    expect([...halves.codewords.data]).toEqual([1.6e9 + 1.5, 1.6e9 + 5.5]);
  });

  it('in one column with a number beyond float32 in another are RANGE', () => {
    const data = doubles(1.6e9, 0, 1.6e9 + 1, BEYOND);
    expect(() => kmeans({ data, shape: [2, 2] }, options)).toThrow(expect.objectContaining({ code: 'RANGE' }));
  });

  it('are RANGE where nothing can be shifted: what a network predicts from them', () => {
    expect(() => model.predict({ data: stamps, shape: [2, 4] })).toThrow(expect.objectContaining({ code: 'RANGE' }));
  });
});
