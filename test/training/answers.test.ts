/** A teacher's answers, kept where the same samples come again. */
import { describe, expect, test } from 'vitest';
import { openAnswers } from '../../src/training/answers.ts';
import type { BatchReader } from '../../src/training/batches.ts';
import type { Executor } from '../../src/execution/types.ts';
import { augmentLandmarks, concatenated, examplesFromArrays, subset } from '../../src/data/index.ts';
import { train } from '../../src/training/index.ts';
import { bytesOf, context, smoothSet, tiny } from './fixtures.ts';

/** A teacher whose outputs are 10 x and (x, -x) of what it was given, and which counts its passes. */
function teacherOf(batch: number): { teacher: Executor; passes: () => number } {
  const input = new Float32Array(batch);
  const outputs: Record<string, Float32Array> = { ten: new Float32Array(batch), pair: new Float32Array(2 * batch) };
  let passes = 0;
  return {
    passes: () => passes,
    teacher: {
      batch,
      input: () => input,
      output: (name: string) => outputs[name],
      forward() {
        passes++;
        input.forEach((x, i) => {
          outputs.ten[i] = 10 * x;
          outputs.pair.set([x, -x], 2 * i);
        });
      },
    } as unknown as Executor,
  };
}

const OUTPUTS = [
  { taught: 'ten', size: 1 },
  { taught: 'pair', size: 2 },
];

function asked(period: number | undefined, rounds: readonly (readonly [epoch: number, samples: number[]])[]) {
  const { teacher, passes } = teacherOf(2);
  const inputs = new Float32Array(2);
  const examples = { count: 5, inputShape: [1], ...(period !== undefined && { period }), read: () => undefined };
  const answers = openAnswers(teacher, OUTPUTS, { examples, inputs } as unknown as BatchReader);
  return rounds.map(([epoch, samples]) => {
    // What sample s of epoch e holds, in turns of the period.
    inputs.set(samples.map((sample) => sample + 100 * (epoch % (period ?? Infinity))));
    answers.ask(samples, epoch);
    return { passes: passes(), ten: [...answers.of('ten')], pair: [...answers.of('pair')] };
  });
}

describe('answers', () => {
  test('of a set without a period are asked each time', () => {
    expect(
      asked(undefined, [
        [0, [0, 1]],
        [0, [0, 1]],
      ]).map(({ passes }) => passes),
    ).toEqual([1, 2]);
  });

  test('are kept by sample and by turn, whatever batch a sample stands in', () => {
    const found = asked(2, [
      [0, [0, 1]],
      [0, [2, 3]],
      [2, [3, 0]],
      [1, [3, 0]],
      [3, [0, 3]],
      [4, [0, 4]],
      [6, [4, 0]],
    ]);
    expect(found.map(({ passes }) => passes)).toEqual([1, 2, 2, 3, 3, 4, 4]);
    expect(found.map(({ ten }) => ten)).toEqual([
      [0, 10],
      [20, 30],
      [30, 0],
      [1030, 1000],
      [1000, 1030],
      [0, 40],
      [40, 0],
    ]);
    expect(found[4].pair).toEqual([100, -100, 103, -103]);
  });

  test('that need more than 256 MB are asked each time', () => {
    expect(
      asked(2 ** 24, [
        [0, [0, 1]],
        [2 ** 24, [0, 1]],
      ]).map(({ passes }) => passes),
    ).toEqual([1, 2]);
  });

  test('kept or not, training ends in the same bytes', async () => {
    const set = smoothSet(37, 1);
    const how = { epochs: 3, batchSize: 8, teacher: tiny(5), teacherWeight: 0.5, learningRate: 0.1 };
    const [asks, keeps] = await Promise.all(
      [set, { ...set, period: 1 }].map((training) => train(tiny(1), context(training), how)),
    );
    expect(bytesOf(keeps.network)).toEqual(bytesOf(asks.network));
    expect(keeps.history).toEqual(asks.history);
  });
});

describe('the period of a set', () => {
  test('is a whole number of epochs', async () => {
    for (const period of [0, 1.5, NaN])
      await expect(train(tiny(1), context({ ...smoothSet(8, 1), period }), { epochs: 1 })).rejects.toThrow(
        /train: context.training.period: expected/,
      );
  });

  const plain = examplesFromArrays({ inputs: new Float32Array(4 * 16).map((_, i) => i), inputShape: [1, 4, 4] });

  test('is 1 for arrays, and passes through parts and joins', () => {
    expect(plain.period).toBe(1);
    expect(subset(plain, [1, 2]).period).toBe(1);
    expect(concatenated([plain, plain]).period).toBe(1);
    expect(concatenated([plain, augmentLandmarks(plain)])).not.toHaveProperty('period');
    expect(subset(augmentLandmarks(plain), [0])).not.toHaveProperty('period');
  });

  test('of augmentations is the number of variants, which then come again', async () => {
    const set = augmentLandmarks(plain, { variants: 3 });
    expect(set.period).toBe(3);
    const read = async (epoch: number, seed = 1): Promise<number[]> => {
      const inputs = new Float32Array(32);
      await set.read([1, 3], inputs, undefined, { seed, epoch });
      return [...inputs];
    };
    const epochs = await Promise.all([0, 1, 2, 3, 4, 5].map((epoch) => read(epoch)));
    expect(epochs.slice(3)).toEqual(epochs.slice(0, 3));
    expect(new Set(epochs.map(String)).size).toBe(3);
    expect(await read(0, 2)).not.toEqual(epochs[0]);
  });

  test('of augmentations over a set that may change is unknown', () => {
    const { period: _, ...changing } = plain;
    expect(augmentLandmarks(changing, { variants: 3 })).not.toHaveProperty('period');
    expect(() => augmentLandmarks(plain, { variants: 0 })).toThrow('augmentLandmarks: variants: expected');
  });
});
