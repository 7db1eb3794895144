/** Bounds and defaults by themselves: the last value that is allowed, the first sample and the last, what is read unasked. */
import { describe, expect, test } from 'vitest';
import { EspalierError } from '../../src/base/errors.ts';
import type { RunEvent } from '../../src/base/control.ts';
import type { Examples } from '../../src/graph/examples.ts';
import { batchNorm, dense, sequential } from '../../src/network/index.ts';
import { quantize } from '../../src/quantization/index.ts';
import {
  constant,
  cosine,
  crossEntropy,
  evaluate,
  l2,
  lastGoodNetwork,
  predictAll,
  reestimateBatchNorm,
  softmaxRows,
  step,
  train,
} from '../../src/training/index.ts';
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

test('whichever number a source leaves unwritten is found', async () => {
  for (let hole = 0; hole < 9; hole++) {
    const set: Examples = {
      ...smoothSet(3, 1),
      read: (_indices, inputs, targets) => {
        targets?.fill(1);
        for (let i = 0; i < inputs.length; i++) if (i !== hole) inputs[i] = 1;
      },
    };
    await expect(predictAll(tiny(), set, { kernels })).rejects.toMatchObject({
      code: 'DATA',
      message: expect.stringContaining(`sample ${Math.floor(hole / 3)}, element ${hole % 3}`) as unknown,
    });
    const targetless: Examples = {
      ...set,
      read: (_indices, inputs, targets) => {
        inputs.fill(1);
        for (let i = 0; i < 6; i++) if (i !== hole) targets![i] = 1;
      },
    };
    if (hole < 6)
      await expect(evaluate(tiny(), targetless, { kernels })).rejects.toMatchObject({
        message: expect.stringContaining(`sample ${Math.floor(hole / 2)}, element ${hole % 2}`) as unknown,
      });
  }
});

test('a sample of another shape than the set says is DATA, and the one that is too short is named', async () => {
  const whole = smoothSet(12, 1);
  const odd = (numbers: number): Examples => ({
    ...whole,
    read: (indices, inputs, targets, pass) => {
      void whole.read(indices, inputs, targets, pass);
      const at = Array.from(indices).indexOf(5);
      // The others were written before it: what it does not fill stays empty, what it has too much has no room.
      if (at >= 0) inputs.fill(NaN, 3 * at, 3 * at + 3).set(new Float32Array(numbers).fill(1), 3 * at);
    },
  });
  const options = { epochs: 1, batchSize: 12, loss: l2() };
  await expect(train(tiny(), context(odd(2)), options)).rejects.toMatchObject({
    code: 'DATA',
    details: { found: 5 },
    message: expect.stringContaining('in sample 5, element 2') as unknown,
  });
  await expect(train(tiny(), context(odd(40)), options)).rejects.toMatchObject({
    code: 'DATA',
    cause: { name: 'RangeError' },
  });
});

test('samples of one class alone are learned; an output of one class is refused, and the network is as it was', async () => {
  const same = arraySet(
    [2],
    Float32Array.from({ length: 12 }, (_, i) => Math.sin(i)),
    [],
    new Float32Array(6).fill(1),
  );
  const options = { epochs: 20, batchSize: 6, learningRate: 0.5, loss: crossEntropy() };
  const { history } = await train(sequential({ input: [2] }, [dense(3)]), context(same), options);
  expect(history.at(-1)!.loss).toBeLessThan(history[0].loss / 5);
  const one = sequential({ input: [2], seed: 1 }, [dense(1)]);
  const before = bytesOf(one);
  await expect(
    train(one, context(arraySet([2], new Float32Array(12), [], new Float32Array(6))), options),
  ).rejects.toThrow('at least 2 classes');
  expect(bytesOf(one)).toEqual(before);
});

test('codebooks learn ten times as fast by SGD with averaged gradients, and as fast as all else otherwise', async () => {
  const base = sequential({ input: [3], seed: 1 }, [dense(32, { name: 'layer' }), dense(2)]);
  const set = smoothSet(8, 1);
  const { network } = await quantize({
    ...{
      subvectorLength: 1,
      codewordCount: 2,
      codebooks: 'layer',
      clampCodewords: false,
      parameters: ['layer.weight'],
    },
  } as never)(base, context(set));
  expect(network.parameters.get('layer.weight')!.kind).toBe('product');
  const trained = async (optimizer: TrainOptions['optimizer'], codebookRate?: number): Promise<unknown> =>
    bytesOf(
      (
        await train(network, context(set), {
          ...{ epochs: 2, batchSize: 4, learningRate: 0.01, optimizer: optimizer! },
          ...(codebookRate !== undefined && { codebookRate }),
        })
      ).network,
    );
  for (const [optimizer, rate, other] of [
    [{ kind: 'sgd' }, 10, 1],
    [{ kind: 'sgd', codewordGradient: 'sum' }, 1, 10],
    [{ kind: 'adam' }, 1, 10],
    [{ kind: 'adam', codewordGradient: 'sum' }, 1, 10],
  ] as const) {
    expect(await trained(optimizer)).toEqual(await trained(optimizer, rate));
    expect(await trained(optimizer)).not.toEqual(await trained(optimizer, other));
  }
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

test('schedules say what they are: no warm-up unless asked, steps at a half and three quarters by a tenth', () => {
  expect([constant(), cosine(), step()].map(({ options }) => options)).toEqual([
    { kind: 'constant', warmUp: 0 },
    { kind: 'cosine', warmUp: 0 },
    { kind: 'step', at: [0.5, 0.75], by: 0.1, warmUp: 0 },
  ]);
  expect(constant({ warmUp: 4 }).factor(0, 10)).toBe(0.25);
});

test('softmax of rows leaves what lies behind them', () => {
  const values = Float64Array.of(0, 0, 3, 4);
  softmaxRows(values, 1, 2);
  expect([...values]).toEqual([0.5, 0.5, 3, 4]);
});
