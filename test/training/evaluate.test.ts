import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createExecutor } from '../../src/execution/executor.ts';
import {
  batchNorm,
  conv,
  dense,
  dropout,
  flatten,
  globalAveragePool,
  relu,
  sequential,
} from '../../src/network/index.ts';
import type { Examples } from '../../src/graph/examples.ts';
import { crossEntropy, evaluate, l2, predictAll, reestimateBatchNorm } from '../../src/training/index.ts';
import { stream } from '../../src/base/random.ts';
import { arraySet, classSet, context, countingKernels, smoothSet, tiny } from './fixtures.ts';

const { kernels } = context(undefined);

describe('predictAll', () => {
  test('is what an executor predicts, in the order of the set, whatever the batch', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: 25 }), async (count, batch) => {
        const set = smoothSet(count, 3);
        const inputs = new Float32Array(3 * count);
        await set.read(
          Array.from({ length: count }, (_, i) => i),
          inputs,
          undefined,
        );
        const executor = await createExecutor(tiny(), { kernels });
        expect(await predictAll(tiny(), set, { kernels, batch })).toEqual(executor.predict(inputs, count));
        executor.dispose();
        expect(set.reads.every(({ pass }) => pass === undefined)).toBe(true);
      }),
      { numRuns: 25 },
    );
  });

  test('reads no targets, so it takes unlabelled sets', async () => {
    expect((await predictAll(tiny(), arraySet([3], new Float32Array(9)), { kernels })).length).toBe(6);
  });
});

describe('evaluate', () => {
  test('rmse is the root of the l2 loss over all elements, within 1e-12; targets are those of the set', async () => {
    const set = smoothSet(17, 3);
    const { samples, predictions, targets, rmse, loss } = await evaluate(tiny(), set, {
      kernels,
      batch: 5,
      loss: l2(),
    });
    expect(samples).toBe(17);
    expect(Math.abs(rmse! - Math.sqrt(loss!))).toBeLessThan(1e-12);
    const direct = new Float32Array(34);
    await set.read(
      Array.from({ length: 17 }, (_, i) => i),
      new Float32Array(51),
      direct,
    );
    expect(targets).toEqual(direct);
    expect(rmse).toBe(Math.sqrt([...predictions].reduce((sum, value, i) => sum + (value - targets[i]) ** 2, 0) / 34));
  });

  test('labels have a loss but no rmse; one outside of the classes is DATA, naming the sample', async () => {
    const network = { ...sequential({ input: [2] }, [dense(3)]), task: { kind: 'classes', classes: 3 } as const };
    const result = await evaluate(network, classSet(7, 1), { kernels, loss: crossEntropy() });
    expect(result.rmse).toBeUndefined();
    expect(result.loss).toBeGreaterThan(0);
    expect(result.targets).toEqual(Float32Array.of(0, 1, 2, 0, 1, 2, 0));
    await expect(
      evaluate(network, arraySet([2], new Float32Array(6), [], Float32Array.of(0, 3, 1)), { kernels }),
    ).rejects.toMatchObject({ code: 'DATA', details: { found: 1 } });
  });

  test('wrong sets and options are refused, and nothing is left behind', async () => {
    const { kernels: counted, open } = countingKernels();
    const set = smoothSet(6, 1);
    const options = { kernels: counted };
    await expect(evaluate(tiny(), arraySet([3], new Float32Array(9)), options)).rejects.toMatchObject({
      code: 'DATA',
      message: expect.stringContaining('use predictAll') as unknown,
    });
    await expect(evaluate(tiny(), { ...set, count: 0 }, options)).rejects.toMatchObject({ code: 'DATA' });
    await expect(evaluate(tiny(), { ...set, inputShape: [2] }, options)).rejects.toMatchObject({ code: 'DATA' });
    await expect(
      evaluate(
        tiny(),
        {
          ...set,
          read: () => {
            throw new Error('disk gone');
          },
        },
        options,
      ),
    ).rejects.toMatchObject({ code: 'DATA', cause: { message: 'disk gone' } });
    await expect(evaluate(tiny(), undefined as unknown as Examples, options)).rejects.toBeInstanceOf(TypeError);
    await expect(evaluate(tiny(), set, { ...options, batch: 0 })).rejects.toBeInstanceOf(RangeError);
    await expect(predictAll({ ...tiny(), inputs: [] }, set, options)).rejects.toBeInstanceOf(RangeError);
    await expect(evaluate(tiny(), set, { ...options, signal: AbortSignal.abort('enough') })).rejects.toBe('enough');
    expect(open()).toBe(0);
  });
});

describe('reestimateBatchNorm', () => {
  /** Batch normalization alone: its statistics are those of the data. */
  const alone = sequential({ input: [3], seed: 1 }, [batchNorm({ name: 'norm' }), dropout(0.5), dense(2)]);
  const statistic = (network: typeof alone, name: string): number[] => {
    const encoding = network.parameters.get(name)!;
    if (encoding.kind !== 'dense') throw new Error('dense expected');
    return [...encoding.data];
  };

  test('one batch of the whole set: mean and unbiased variance of the data, within 1e-6; batches: their plain averages', async () => {
    const random = stream(3, 'normal');
    const inputs = Float32Array.from({ length: 3 * 24 }, (_, i) => (1 + (i % 3)) * random() + (i % 3));
    const set = arraySet([3], inputs);
    const columns = [0, 1, 2].map((c) => Array.from({ length: 24 }, (_, i) => inputs[3 * i + c]));
    const { network, report } = await reestimateBatchNorm(alone, context(set), { batchSize: 24, batches: 5 });
    expect(report).toEqual({ transform: 'reestimateBatchNorm', layers: 1, samples: 24 });
    columns.forEach((column, c) => {
      const mean = column.reduce((sum, value) => sum + value, 0) / 24;
      expect(Math.abs(statistic(network, 'norm.mean')[c] - mean)).toBeLessThan(1e-6);
      expect(
        Math.abs(
          statistic(network, 'norm.variance')[c] - column.reduce((sum, value) => sum + (value - mean) ** 2, 0) / 23,
        ),
      ).toBeLessThan(1e-6);
    });
    // Two batches of 12 in whatever order: the average of their means is the mean of all.
    const halves = (await reestimateBatchNorm(alone, context(set), { batchSize: 12 })).network;
    statistic(halves, 'norm.mean').forEach((value, c) =>
      expect(Math.abs(value - statistic(network, 'norm.mean')[c])).toBeLessThan(1e-6),
    );
  });

  test('it forgets what the statistics were, and changes nothing but them, not the momentum either', async () => {
    const base = sequential({ input: [1, 5, 5], seed: 1 }, [
      conv(3, 3),
      batchNorm({ name: 'a' }),
      relu(),
      conv(2, 3),
      batchNorm({ name: 'b' }),
      globalAveragePool(),
      dense(2),
    ]);
    const random = stream(4, 'pictures');
    const set = arraySet(
      [1, 5, 5],
      Float32Array.from({ length: 25 * 12 }, () => random()),
    );
    const shifted = {
      ...base,
      parameters: new Map(base.parameters).set('a.mean', {
        kind: 'dense' as const,
        shape: [3],
        data: Float32Array.of(5, -5, 50),
      }),
    };
    const [one, two] = await Promise.all(
      [base, shifted].map((network) => reestimateBatchNorm(network, context(set), { batchSize: 4, batches: 2 })),
    );
    for (const name of ['a.mean', 'a.variance', 'b.mean', 'b.variance']) {
      expect(statistic(one.network, name)).toEqual(statistic(two.network, name));
      expect(statistic(one.network, name)).not.toEqual(statistic(base, name));
    }
    for (const [name, encoding] of one.network.parameters)
      if (!/mean|variance/.test(name)) expect(encoding).toBe(base.parameters.get(name));
    expect(one.network.nodes).toBe(base.nodes);
    expect(one.report.samples).toBe(8);
  });

  test('after it, inference of the measured batch has mean 0 and variance 1 behind the normalization, within 1e-3', async () => {
    const base = sequential({ input: [3], seed: 2 }, [dense(4), batchNorm({ epsilon: 1e-9 })]);
    const set = smoothSet(200, 5);
    const { network } = await reestimateBatchNorm(base, context(set), { batchSize: 200 });
    const outputs = await predictAll(network, set, { kernels });
    for (let c = 0; c < 4; c++) {
      const column = Array.from({ length: 200 }, (_, i) => outputs[4 * i + c]);
      const mean = column.reduce((sum, value) => sum + value, 0) / 200;
      expect(Math.abs(mean)).toBeLessThan(1e-3);
      expect(Math.abs(column.reduce((sum, value) => sum + (value - mean) ** 2, 0) / 199 - 1)).toBeLessThan(1e-3);
    }
  });

  test('a network without batch normalization comes back as it is, and no data are read', async () => {
    const network = sequential({ input: [3] }, [dense(2)]);
    const result = await reestimateBatchNorm(
      network,
      context({
        ...smoothSet(4, 1),
        read: () => {
          throw new Error('was read');
        },
      }),
    );
    expect(result.network).toBe(network);
    expect(result.report).toMatchObject({ layers: 0, samples: 0 });
  });

  test('wrong arguments are refused; activations that are not finite are NONFINITE and nothing is left behind', async () => {
    const set = smoothSet(8, 1);
    await expect(reestimateBatchNorm(alone, context(undefined))).rejects.toBeInstanceOf(TypeError);
    await expect(reestimateBatchNorm(alone, context(set), { batches: 0 })).rejects.toBeInstanceOf(RangeError);
    await expect(reestimateBatchNorm(alone, context(set), { batchSize: 1.5 })).rejects.toBeInstanceOf(RangeError);
    await expect(reestimateBatchNorm(alone, context({ ...set, inputShape: [5] }))).rejects.toMatchObject({
      code: 'DATA',
    });
    await expect(reestimateBatchNorm(alone, context(set, { signal: AbortSignal.abort('enough') }))).rejects.toBe(
      'enough',
    );
    const { kernels: counted, open } = countingKernels();
    const base = sequential({ input: [3] }, [dense(2, { name: 'huge' }), batchNorm(), flatten()]);
    const huge = {
      ...base,
      parameters: new Map(base.parameters).set('huge.weight', {
        kind: 'dense' as const,
        shape: [2, 3],
        data: new Float32Array(6).fill(3e38),
      }),
    };
    await expect(reestimateBatchNorm(huge, context(set, { kernels: counted }))).rejects.toMatchObject({
      code: 'NONFINITE',
    });
    expect(open()).toBe(0);
  });
});
