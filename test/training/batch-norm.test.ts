/** Batch normalization over too few values, and of variances that give no number. */
import { describe, expect, test } from 'vitest';
import { createExecutor } from '../../src/execution/executor.ts';
import {
  batchNorm,
  conv,
  dense,
  flatten,
  readNetwork,
  relu,
  sequential,
  writeNetwork,
} from '../../src/network/index.ts';
import type { Network } from '../../src/graph/network.ts';
import { load } from '../../src/runtime/index.ts';
import { l2, reestimateBatchNorm, train } from '../../src/training/index.ts';
import { arraySet, context, countingKernels, smoothSet } from './fixtures.ts';

const onRows = sequential({ input: [3], seed: 1 }, [dense(4), batchNorm({ name: 'norm' }), relu(), dense(2)]);

describe('one value per channel', () => {
  const tooFew = { code: 'SHAPE', details: { name: 'norm' }, message: expect.stringContaining('batchSize') as unknown };

  test('a batch of one, or a set of one sample, is refused before anything is read, naming node and cure', async () => {
    for (const [count, batchSize] of [
      [12, 1],
      [1, 32],
      [1, 1],
    ]) {
      const { kernels, open } = countingKernels();
      const set = smoothSet(count, 1);
      await expect(
        train(onRows, context(set, { kernels }), { epochs: 1, batchSize, loss: l2() }),
      ).rejects.toMatchObject(tooFew);
      await expect(reestimateBatchNorm(onRows, context(set, { kernels }), { batchSize })).rejects.toMatchObject(tooFew);
      expect(set.reads).toEqual([]);
      expect(open()).toBe(0);
    }
  });

  test('a last batch of one sits the epoch out: 9 samples in batches of 4 train as 8 would, with variances above 0', async () => {
    const set = smoothSet(9, 1);
    const { network, steps } = await train(onRows, context(set), { epochs: 1, batchSize: 4, loss: l2() });
    expect(steps).toBe(2);
    expect(set.reads.every(({ indices }) => indices.length === 4)).toBe(true);
    expect(Math.min(...statistic(network, 'norm.variance'))).toBeGreaterThan(0);
  });

  test('two values are enough, from two samples or from two positions of one', async () => {
    await train(onRows, context(smoothSet(2, 1)), { epochs: 1, batchSize: 2, loss: l2() });
    const onPositions = sequential({ input: [1, 1, 2] }, [conv(2, 1), batchNorm(), flatten(), dense(2)]);
    const one = arraySet([1, 1, 2], Float32Array.of(0.5, -1), [2], Float32Array.of(1, 2));
    await train(onPositions, context(one), { epochs: 1, batchSize: 1, loss: l2() });
    await reestimateBatchNorm(onPositions, context(one), { batchSize: 1 });
  });

  test('a channel that is constant is no fault: its variance is 0, its output its shift', async () => {
    const alone = sequential({ input: [2] }, [batchNorm({ name: 'norm' })]);
    const set = arraySet([2], Float32Array.of(3, 1, 3, 2, 3, 3, 3, 4));
    const { network } = await reestimateBatchNorm(alone, context(set), { batchSize: 4 });
    expect(statistic(network, 'norm.variance')[0]).toBe(0);
    const executor = await createExecutor(network, { kernels: context(set).kernels });
    expect(Math.abs(executor.predict(Float32Array.of(3, 2.5), 1)[0])).toBeLessThan(1e-3);
    executor.dispose();
  });
});

describe('variances', () => {
  const withVariance = (values: readonly number[]): Network => ({
    ...onRows,
    parameters: new Map(onRows.parameters).set('norm.variance', {
      kind: 'dense',
      shape: [4],
      data: Float32Array.from(values),
    }),
  });

  test.each([-1e-5, -0.5, -Infinity, NaN])(
    'one of %d with epsilon 1e-5 is refused wherever it comes in, with its channel',
    async (variance) => {
      const network = withVariance([1, 1, variance, 1]);
      const wrong = {
        code: 'FIELD',
        details: { name: 'norm' },
        message: expect.stringContaining('in channel 2') as unknown,
      };
      await expect(createExecutor(network, { kernels: context(undefined).kernels })).rejects.toMatchObject(wrong);
      await expect(train(network, context(smoothSet(4, 1)), { epochs: 1 })).rejects.toMatchObject(wrong);
      if (!Number.isFinite(variance)) return; // files with these are refused before
      // Written by a program that does not look: the bytes of a good file with another variance.
      const bytes = writeNetwork(withVariance([1, 1, 0.3125, 1]));
      const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
      for (let at = 0; at + 4 <= bytes.length; at++) {
        if (view.getFloat32(at, true) === 0.3125) view.setFloat32(at, variance, true);
      }
      expect(() => readNetwork(bytes, { verify: false })).toThrow(expect.objectContaining(wrong));
      await expect(load(bytes, { verify: false })).rejects.toMatchObject(wrong);
    },
  );

  test('a little below 0, as rounding leaves it, is allowed and predicts numbers', async () => {
    const executor = await createExecutor(withVariance([0, -9e-6, 1, 1]), { kernels: context(undefined).kernels });
    expect(executor.predict(Float32Array.of(1, 2, 3), 1).every(Number.isFinite)).toBe(true);
    executor.dispose();
  });
});

function statistic(network: Network, name: string): number[] {
  const encoding = network.parameters.get(name)!;
  if (encoding.kind !== 'dense') throw new Error('dense expected');
  return [...encoding.data];
}
