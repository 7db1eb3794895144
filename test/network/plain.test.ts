import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { DTYPE_BYTES, readSafetensors, writeSafetensors } from '../../src/container/safetensors.ts';
import type { Dtype } from '../../src/container/safetensors.ts';
import { decode } from '../../src/encodings/index.ts';
import { affine, batchNorm, conv, dense, flatten } from '../../src/network/layers.ts';
import { sequential } from '../../src/network/build.ts';
import { plainWeights, readPlain, withWeights } from '../../src/network/plain.ts';
import { vgg } from '../../src/network/vgg.ts';
import { writeNetwork } from '../../src/network/write.ts';
import type { EspalierError } from '../../src/base/errors.ts';
import { sizeOf } from '../../src/base/tensor.ts';
import type { Tensor } from '../../src/base/tensor.ts';
import { expectCode } from '../container/files.ts';
import { realData } from '../real-data.ts';
import { everyOperator, smallNetwork } from './files.ts';

const zeros = (dtype: Dtype): Uint8Array =>
  writeSafetensors([{ name: 'w', dtype, shape: [2], bytes: new Uint8Array(2 * DTYPE_BYTES[dtype]) }]);

describe('readPlain', () => {
  it('gives the float32 values that PyTorch gives for F16, BF16 and F32, bit by bit, and rounds F64 to the nearest', () => {
    const vector = JSON.parse(readFileSync(new URL('../vectors/safetensors.json', import.meta.url), 'utf8')) as {
      files: string[];
      float32: Record<string, number[]>;
    };
    const all = readSafetensors(Buffer.from(vector.files[0], 'base64')).tensors;
    const floats = [...all]
      .filter(([, { dtype }]) => dtype.includes('F'))
      .map(([name, stored]) => ({ ...stored, name }));
    const read = readPlain(writeSafetensors(floats)).tensors;
    for (const [name, oracle] of [
      ['half', 'half'],
      ['brain', 'bfloat16'],
      ['weight', 'float'],
    ])
      expect([...(read.get(name)?.data ?? [])]).toEqual(vector.float32[oracle]);
    expect([...(read.get('double')?.data ?? [])]).toEqual([Math.fround(1 / 3), -0]);
    expect(read.get('half')?.shape).toEqual([3, 4]);
  });

  it('leaves integers out and names them', () => {
    for (const dtype of ['I64', 'U8', 'BOOL', 'I32', 'U16'] as const) {
      const bytes = new Uint8Array(Float32Array.of(1.5).buffer);
      const file = writeSafetensors([
        { name: 'bn.num_batches_tracked', dtype, shape: [], bytes: new Uint8Array(DTYPE_BYTES[dtype]) },
        { name: 'w', dtype: 'F32', shape: [1], bytes },
      ]);
      const { tensors, skipped } = readPlain(file);
      expect([...tensors.keys()]).toEqual(['w']);
      expect(skipped).toEqual([{ name: 'bn.num_batches_tracked', dtype, shape: [] }]);
    }
  });

  it('refuses doubles beyond float32, and NaN and infinities unless they are allowed', () => {
    const doubles = new Uint8Array(Float64Array.of(1, -1e39).buffer);
    expect(
      expectCode(() => readPlain(writeSafetensors([{ name: 'w', dtype: 'F64', shape: [2], bytes: doubles }])), 'RANGE')
        .message,
    ).toMatch(/w: -1e\+39 is beyond float32/);
    for (const value of [NaN, Infinity]) {
      const file = writeSafetensors([
        { name: 'w', dtype: 'F32', shape: [2], bytes: new Uint8Array(Float32Array.of(1, value).buffer) },
      ]);
      expectCode(() => readPlain(file).tensors, 'NONFINITE');
      expect([...(readPlain(file, { allowNonFinite: true }).tensors.get('w')?.data ?? [])]).toEqual([1, value]);
    }
  });

  it('copies: the file may be let go, wherever it lay', () => {
    const around = new Uint8Array([0, ...zeros('F32')]);
    const read = readPlain(around.subarray(1)).tensors;
    around.fill(255);
    expect([...(read.get('w')?.data ?? [])]).toEqual([0, 0]);
  });
});

describe('plainWeights and withWeights', () => {
  it('give back the same values in a network of the same structure, encoded ones decoded', () => {
    for (const network of [everyOperator(3), smallNetwork()]) {
      const tensors = readPlain(plainWeights(network)).tensors;
      const again = withWeights(network, tensors);
      expect([...again.parameters.keys()]).toEqual([...network.parameters.keys()]);
      for (const [name, encoding] of network.parameters)
        expect(again.parameters.get(name)).toEqual({ kind: 'dense', shape: encoding.shape, data: decode(encoding) });
      expect(Buffer.compare(plainWeights(again), plainWeights(network))).toBe(0);
    }
  });

  it('copy the values, so that the network does not change with the tensors', () => {
    const network = sequential({ input: [1] }, [dense(1, { bias: false })]);
    const [name] = network.parameters.keys();
    const data = Float32Array.of(3);
    const made = withWeights(network, new Map([[name, { data, shape: [1, 1] }]]));
    data[0] = 4;
    expect(decode(made.parameters.get(name)!)[0]).toBe(3);
  });

  it('name what is missing, what has no place and what does not fit', () => {
    const network = everyOperator(3);
    const tensors = readPlain(plainWeights(network)).tensors;
    const first = 'conv1.weight';
    const without = new Map(tensors);
    without.delete(first);
    expect(expectCode(() => withWeights(network, without), 'MISSING').message).toContain(first);
    expect(
      expectCode(
        () => withWeights(network, new Map([...tensors, ['extra', { data: new Float32Array(1), shape: [1] }]])),
        'MISSING',
      ).message,
    ).toContain('extra');
    const wrong: Tensor = { data: new Float32Array(3), shape: [3] };
    expect(expectCode(() => withWeights(network, new Map([...tensors, [first, wrong]])), 'SHAPE').message).toContain(
      first,
    );
  });

  it('leave constants of the network as they are where the file has none', () => {
    const network = sequential({ input: [2] }, [dense(2), affine(0.5, 1)]);
    const tensors = readPlain(plainWeights(network)).tensors;
    const [, , scale, shift] = network.parameters.keys();
    tensors.delete(scale);
    tensors.delete(shift);
    expect(withWeights(network, tensors)).toEqual(network);
  });

  it.skipIf(realData === undefined)(
    'put the 20 tensors of a real file into the network that it was made for, and write it in at most 6,000 bytes more',
    () => {
      const network = withWeights(
        vgg(),
        readPlain(readFileSync(join(realData ?? '', 'models/vgg-face68.safetensors'))).tensors,
      );
      expect([...network.parameters.values()].reduce((sum, { shape }) => sum + sizeOf(shape), 0)).toBe(5_506_408);
      expect(writeNetwork(network).length - 4 * 5_506_408).toBeLessThan(6000);
      expectCode(() => withWeights(vgg({ hidden: [512] }), readPlain(plainWeights(network)).tensors), 'SHAPE');
    },
  );
});

describe('names of another program', () => {
  const network = sequential({ input: [1, 4, 4] }, [
    conv(2, 3, { name: 'conv1' }),
    batchNorm({ name: 'bn1' }),
    flatten(),
    dense(3, { name: 'head' }),
  ]);
  const own = readPlain(plainWeights(network)).tensors;
  const torch = new Map(
    [...own].map(([name, tensor]) => [
      `module.features.${name}`
        .replace('bn1.scale', 'bn1.weight')
        .replace('bn1.shift', 'bn1.bias')
        .replace('bn1.mean', 'bn1.running_mean')
        .replace('bn1.variance', 'bn1.running_var'),
      tensor,
    ]),
  );

  it('are suggested, each for the parameter of its shape and role', () => {
    const error = expectCode(() => withWeights(network, torch), 'MISSING');
    const { suggested } = (error as EspalierError).details.found as { suggested: Record<string, string> };
    expect(suggested).toEqual(Object.fromEntries([...own.keys()].map((name, i) => [name, [...torch.keys()][i]])));
    expect(error.message).toContain('"module.features.bn1.running_var" for "bn1.variance"');
    // What is suggested works.
    expect(
      withWeights(network, new Map(Object.entries(suggested).map(([name, found]) => [name, torch.get(found)!]))),
    ).toEqual(network);
  });

  it('that no parameter has are dropped where that is asked for, and only these', () => {
    const more = new Map([...own, ['extra', { data: new Float32Array(1), shape: [1] }]]);
    expect(expectCode(() => withWeights(network, more), 'MISSING').message).toContain("{ extras: 'drop' }");
    expect(withWeights(network, more, { extras: 'drop' })).toEqual(network);
    more.delete('head.bias');
    expect(expectCode(() => withWeights(network, more, { extras: 'drop' }), 'MISSING').message).toContain('head.bias');
    expect(() => withWeights(network, own, { extras: 'keep' as never })).toThrow(RangeError);
  });

  it('are compared in bounded time, however long and many they are', () => {
    const many = new Map(
      Array.from({ length: 20_000 }, (_, i) => [
        `${'x'.repeat(3000)}${i}.bias`,
        { data: new Float32Array(3), shape: [3] },
      ]),
    );
    const start = performance.now();
    expectCode(() => withWeights(network, many), 'MISSING');
    expect(performance.now() - start).toBeLessThan(5000);
  });
});
