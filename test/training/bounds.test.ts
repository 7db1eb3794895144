/** Bounds and defaults by themselves: the last value that is allowed, the first sample and the last, what is read unasked. */
import { describe, expect, test } from 'vitest';
import { EspalierError } from '../../src/base/errors.ts';
import type { RunEvent } from '../../src/base/control.ts';
import type { Examples } from '../../src/graph/examples.ts';
import { batchNorm, dense, sequential } from '../../src/network/index.ts';
import { evaluate, l2, lastGoodNetwork, predictAll, reestimateBatchNorm, train } from '../../src/training/index.ts';
import type { Schedule, TrainOptions } from '../../src/training/index.ts';
import { arraySet, bytesOf, classSet, context, smoothSet, tiny } from './fixtures.ts';

const { kernels } = context(undefined);
const count = 7;

describe('wherever in a set it stands', () => {
  const positions = Array.from({ length: count }, (_, i) => i);

  test.each(positions)('sample %d: a number that is not finite is named, with its element', async (sample) => {
    for (const element of [0, 1, 2]) {
      const inputs = new Float32Array(3 * count);
      inputs[3 * sample + element] = -Infinity;
      await expect(predictAll(tiny(), arraySet([3], inputs), { kernels, batch: 3 })).rejects.toMatchObject({
        code: 'DATA',
        details: { found: sample },
        message: expect.stringContaining(`got -Infinity in sample ${sample}, element ${element}`) as unknown,
      });
    }
    for (const element of [0, 1]) {
      const targets = new Float32Array(2 * count);
      targets[2 * sample + element] = NaN;
      const set = arraySet([3], new Float32Array(3 * count), [2], targets);
      await expect(evaluate(tiny(), set, { kernels, batch: 3 })).rejects.toMatchObject({
        message: expect.stringContaining(`got NaN in sample ${sample}, element ${element}`) as unknown,
      });
    }
  });

  test.each(positions)('sample %d: a label that is no class is named, and the last class is one', async (sample) => {
    const network = { ...sequential({ input: [2] }, [dense(3)]), task: { kind: 'classes', classes: 3 } as const };
    const labelled = (label: number): Examples =>
      arraySet([2], new Float32Array(2 * count), [], new Float32Array(count).fill(label, sample, sample + 1));
    for (const label of [3, -1, 0.5])
      await expect(evaluate(network, labelled(label), { kernels, batch: 3 })).rejects.toMatchObject({
        code: 'DATA',
        details: { found: sample },
      });
    for (const label of [0, 2])
      expect((await evaluate(network, labelled(label), { kernels, batch: 3 })).targets[sample]).toBe(label);
  });
});

describe('unasked', () => {
  test('32 samples are predicted at a time', async () => {
    const set = smoothSet(70, 1);
    await predictAll(tiny(), set, { kernels });
    expect(set.reads.map(({ indices }) => indices.length)).toEqual([32, 32, 6]);
  });

  test('statistics are taken from 20 batches of 32, or the whole ones that there are, each sample once', async () => {
    const network = sequential({ input: [3] }, [batchNorm()]);
    for (const [samples, batches] of [
      [700, 20],
      [100, 3],
      [20, 1],
    ]) {
      const set = smoothSet(samples, 1);
      const { report } = await reestimateBatchNorm(network, context(set));
      const batch = Math.min(32, samples);
      expect(report.samples).toBe(batches * batch);
      expect(set.reads.map(({ indices }) => indices.length)).toEqual(new Array(batches).fill(batch));
      expect(new Set(set.reads.flatMap(({ indices }) => indices)).size).toBe(batches * batch);
    }
  });

  test('validation is looked at after every epoch; after every third and the last where that is asked', async () => {
    const looks = async (options: Partial<TrainOptions>): Promise<boolean[]> =>
      (
        await train(tiny(), context(smoothSet(8, 1), { validation: smoothSet(4, 2) }), {
          ...{ epochs: 5, batchSize: 4, ...options },
        })
      ).history.map(({ validation }) => validation !== undefined);
    expect(await looks({})).toEqual([true, true, true, true, true]);
    expect(await looks({ evaluateEvery: 3 })).toEqual([false, false, true, false, true]);
    expect(await looks({ evaluateEvery: 9 })).toEqual([false, false, false, false, true]);
  });
});

describe('the bounds of the options are allowed', () => {
  test.each<[string, Partial<TrainOptions>]>([
    ['momentum 0', { optimizer: { kind: 'sgd', momentum: 0 } }],
    ['Nesterov with a little momentum', { optimizer: { kind: 'sgd', nesterov: true, momentum: 1e-6 } }],
    ['beta1 and beta2 0', { optimizer: { kind: 'adam', beta1: 0, beta2: 0 } }],
    ['weight decay 0', { optimizer: { kind: 'sgd', weightDecay: 0 } }],
    ['clip 0', { clip: 0 }],
    ['batches of one', { batchSize: 1 }],
    ['patience 1, evaluateEvery 1', { patience: 1, evaluateEvery: 1 }],
    ['a rate of 1e-30', { learningRate: 1e-30, codebookRate: 1e-30 }],
    ['a teacher alone', { teacher: tiny(3), teacherWeight: 1 }],
    ['a teacher with hardly a word', { teacher: tiny(3), teacherWeight: 1e-6 }],
  ])('%s', async (_name, options) => {
    const given = context(smoothSet(6, 1), { seed: 0, validation: smoothSet(4, 2) });
    const { history } = await train(tiny(), given, { epochs: 1, loss: l2(), ...options });
    expect(history[0].loss).toBeGreaterThan(0);
  });
});

describe('divergence', () => {
  test('weights that overflow in the last step of an epoch are found at its end: step, parameter and layer are named', async () => {
    const set = smoothSet(12, 1);
    const options = { batchSize: 4, loss: l2(), clip: 0, optimizer: { kind: 'sgd', momentum: 0 } } as const;
    // Well-behaved but for the last of three steps of the second epoch; no forward pass sees what it leaves.
    const schedule: Schedule = { options: { kind: 'bursts' }, factor: (step) => (step === 5 ? 1e45 : 1) };
    for (const frozen of [[], ['first.weight', 'first.bias']]) {
      const error = (await train(tiny(), context(set), {
        ...{ epochs: 3, learningRate: 10, ...options, schedule: calm(schedule), frozen },
      }).catch((reason: unknown) => reason)) as EspalierError;
      const layer = frozen.length === 0 ? 'first' : 'second';
      expect(error).toBeInstanceOf(EspalierError);
      expect(error).toMatchObject({ code: 'DIVERGED', details: { step: 5, name: layer } });
      expect(error.message).toContain(`parameter "${layer}.weight" is not finite at step 5, first in layer "${layer}"`);
      const one = await train(tiny(), context(set), {
        ...{ epochs: 1, learningRate: 10, ...options, schedule: calm(schedule), frozen },
      });
      expect(bytesOf(lastGoodNetwork(error)!)).toEqual(bytesOf(one.network));
    }
    function calm({ options: description, factor }: Schedule): Schedule {
      return { options: description, factor: (step, total) => factor(step, total) / 1000 };
    }
  });
});

test('the rate of a step and the number of steps are those of the whole run, also where samples are left over', async () => {
  const steps: number[] = [];
  const onEvent = (event: RunEvent): void =>
    void (event.kind === 'batch' && steps.push(event.step, event.steps, event.epoch, event.epochs));
  const schedule: Schedule = { options: { kind: 'asked' }, factor: (step, total) => (step + 1) / total };
  const result = await train(tiny(), context(smoothSet(11, 1), { onEvent }), { epochs: 2, batchSize: 4, schedule });
  expect(steps).toEqual([0, 4, 0, 2, 1, 4, 0, 2, 2, 4, 1, 2, 3, 4, 1, 2]);
  expect(result).toMatchObject({ status: 'finished', steps: 4, kept: { epoch: 1 } });
});

test('a set of labels is judged by cross-entropy where the loss is one: before, after, and what is kept', async () => {
  const network = { ...sequential({ input: [2] }, [dense(3)]), task: { kind: 'classes', classes: 3 } as const };
  const set = classSet(30, 1);
  const result = await train(network, context(set, { validation: set }), { epochs: 3, batchSize: 10 });
  expect(result.status).toBe('finished');
  expect(result.before).toBeGreaterThan(result.kept.validation!);
});
