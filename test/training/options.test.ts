/** What the options say is what is done: defaults, the share of a teacher, the gradients of codewords. */
import { describe, expect, test } from 'vitest';
import { stream } from '../../src/base/random.ts';
import type { RunEvent } from '../../src/base/control.ts';
import { trainedValues } from '../../src/encodings/index.ts';
import type { ProductEncoding } from '../../src/encodings/types.ts';
import type { Network } from '../../src/graph/network.ts';
import { dense, sequential } from '../../src/network/index.ts';
import {
  constant,
  cosine,
  crossEntropy,
  l2,
  predictAll,
  smoothL1,
  softmaxRows,
  train,
} from '../../src/training/index.ts';
import type { AdamChoice, TrainOptions } from '../../src/training/index.ts';
import { arraySet, bytesOf, classSet, context, smoothSet, tiny } from './fixtures.ts';

const { kernels } = context(undefined);

/** Targets of hundreds, so that gradients are longer than any limit; few enough steps to stay finite. */
function farSet(): ReturnType<typeof arraySet> {
  const random = stream(1, 'far');
  const numbers = (count: number, size: number): Float32Array =>
    Float32Array.from({ length: count }, () => size * (random() - 0.5));
  return arraySet([3], numbers(24, 2), [2], numbers(16, 800));
}

describe('defaults', () => {
  const trained = async (options: Partial<TrainOptions>, network = tiny()) =>
    bytesOf((await train(network, context(farSet()), { epochs: 3, batchSize: 4, ...options })).network);
  const sgd = { kind: 'sgd', momentum: 0.9, nesterov: false, weightDecay: 1e-4, codewordGradient: 'mean' } as const;
  const adam: AdamChoice = {
    ...{ kind: 'adam', beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 1e-4, decoupled: true },
    codewordGradient: 'mean',
  };

  test.each<[string, Partial<TrainOptions>, Partial<TrainOptions>, Partial<TrainOptions>]>([
    ['clip 5', {}, { clip: 5 }, { clip: 4 }],
    ['no clip is none, not one of 0', { clip: 0 }, { clip: 1e30 }, { clip: 5 }],
    ['rate 0.05 of SGD', {}, { learningRate: 0.05 }, { learningRate: 0.04 }],
    ['SGD as a whole', {}, { optimizer: sgd }, { optimizer: { ...sgd, weightDecay: 0 } }],
    ['momentum 0.9', {}, { optimizer: { ...sgd } }, { optimizer: { ...sgd, momentum: 0.8 } }],
    ['no Nesterov', { optimizer: { kind: 'sgd' } }, { optimizer: sgd }, { optimizer: { ...sgd, nesterov: true } }],
    [
      'rate 0.001 of Adam, and Adam as a whole',
      { optimizer: { kind: 'adam' } },
      { optimizer: adam, learningRate: 0.001 },
      { optimizer: { ...adam, decoupled: false }, learningRate: 0.001 },
    ],
    ...(['beta1', 'beta2', 'weightDecay', 'epsilon'] as const).map(
      (name): [string, Partial<TrainOptions>, Partial<TrainOptions>, Partial<TrainOptions>] => [
        `${name} of Adam`,
        { optimizer: { kind: 'adam' } },
        { optimizer: adam },
        { optimizer: { ...adam, [name]: name === 'epsilon' ? 1 : adam[name]! / 2 } },
      ],
    ),
    [
      'cosine with a warm-up of a tenth',
      { epochs: 20 },
      { epochs: 20, schedule: cosine({ warmUp: 4 }) },
      { epochs: 20, schedule: cosine() },
    ],
    ['batches of 32, or the set', { batchSize: undefined } as object, { batchSize: 8 }, { batchSize: 4 }],
    ['the mean square where there is no task', {}, { loss: l2() }, { loss: smoothL1() }],
  ])('%s', async (_name, left, same, other) => {
    const bytes = await trained(left);
    expect(await trained(same)).toEqual(bytes);
    expect(await trained(other)).not.toEqual(bytes);
  });

  test('the warm-up is at most 100 steps', async () => {
    const rates: number[] = [];
    const onEvent = (event: RunEvent): void => void (event.kind === 'batch' && rates.push(event.learningRate));
    await train(tiny(), context(smoothSet(4, 1), { onEvent }), { epochs: 1200, batchSize: 4, learningRate: 1 });
    expect(rates.findIndex((rate, i) => rate < rates[i - 1])).toBe(100);
  });

  test('landmarks: smooth L1 of unit and width 0.1', async () => {
    const landmarks: Network = { ...tiny(), task: { kind: 'landmarks', points: 1 } };
    // Errors on both sides of 0.01, where the loss goes over from the square to the absolute value.
    const [inputs, labels] = [new Float32Array(24), new Float32Array(16)];
    await farSet().read([0, 1, 2, 3, 4, 5, 6, 7], inputs, labels);
    const near = (await predictAll(tiny(), farSet(), { kernels })).map((value, i) => value + 0.006 * (i % 5));
    const set = arraySet([3], inputs, [2], near);
    const run = async (options: Partial<TrainOptions>, network = tiny()) =>
      bytesOf((await train(network, context(set), { epochs: 1, ...options })).network);
    const bytes = await run({}, landmarks);
    expect(await run({ loss: smoothL1({ beta: 0.1, scale: 0.1 }) })).toEqual(bytes);
    expect(await run({ loss: smoothL1({ beta: 0.1, scale: 0.2 }) })).not.toEqual(bytes);
    expect(await run({ loss: smoothL1({ beta: 0.2, scale: 0.1 }) })).not.toEqual(bytes);
    expect(await run({ loss: l2() })).not.toEqual(bytes);
  });

  test('the loss of an epoch is the mean of its steps, to the bit', async () => {
    const losses: number[] = [];
    const onEvent = (event: RunEvent): void => void (event.kind === 'batch' && losses.push(event.loss));
    const { history } = await train(tiny(), context(smoothSet(12, 1), { onEvent }), { epochs: 2, batchSize: 4 });
    for (const { epoch, loss } of history) {
      const [a, b, c] = losses.slice(3 * epoch, 3 * epoch + 3);
      expect(loss).toBe((a + b + c) / 3);
    }
  });
});

describe('a teacher with a share w teaches what labels w teacher + (1 - w) label do, to the byte', () => {
  test.each([0.125, 0.75])('numbers, w = %d', async (w) => {
    const set = smoothSet(16, 1);
    const teacher = tiny(7);
    const [inputs, labels] = [new Float32Array(48), new Float32Array(32)];
    await set.read(Array.from(Array(16).keys()), inputs, labels);
    const taught = await predictAll(teacher, set, { kernels });
    const mixed = taught.map((value, i) => w * value + (1 - w) * labels[i]);
    const options = { epochs: 2, batchSize: 8, loss: l2() };
    expect(bytesOf((await train(tiny(1), context(set), { ...options, teacher, teacherWeight: w })).network)).toEqual(
      bytesOf((await train(tiny(1), context(arraySet([3], inputs, [2], mixed)), options)).network),
    );
  });

  test.each([0.125, 0.75])('classes: w softmax of its logits + (1 - w) the row of the label, w = %d', async (w) => {
    const set = classSet(12, 1);
    const teacher = sequential({ input: [2], seed: 9 }, [dense(3)]);
    const [inputs, labels] = [new Float32Array(24), new Float32Array(12)];
    await set.read(Array.from(Array(12).keys()), inputs, labels);
    const taught = await predictAll(teacher, set, { kernels });
    softmaxRows(taught, 12, 3);
    const rows = taught.map((value, i) => w * value + (1 - w) * (labels[Math.floor(i / 3)] === i % 3 ? 1 : 0));
    const options = { epochs: 2, batchSize: 6, loss: crossEntropy() };
    const start = sequential({ input: [2], seed: 1 }, [dense(3)]);
    const byRows = await train(start, context(arraySet([2], inputs, [3], rows)), options);
    expect(bytesOf((await train(start, context(set), { ...options, teacher, teacherWeight: w })).network)).toEqual(
      bytesOf(byRows.network),
    );
    const alone = await train(start, context(set), { ...options, teacher });
    expect(bytesOf(alone.network)).not.toEqual(bytesOf(byRows.network));
  });
});

test('a codeword moves by the mean over the weights that it stands for, or by their sum: n times as far, within 1e-6', async () => {
  // Codeword 0 stands for 5 weights of the matrix, codeword 1 for 3.
  const encoding: ProductEncoding = {
    kind: 'product',
    shape: [2, 4],
    codewordPrecision: 'float32',
    blocks: [
      {
        first: 0,
        subspaceCount: 4,
        subvectorLength: 1,
        codewordCount: 2,
        codewords: Float32Array.of(0.5, -0.25),
        codes: Uint16Array.of(0, 1, 0, 0, 1, 0, 1, 0),
      },
    ],
  };
  const base = sequential({ input: [4] }, [dense(2, { name: 'layer' })]);
  const network = { ...base, parameters: new Map(base.parameters).set('layer.weight', encoding) };
  const random = stream(3, 'inputs');
  const set = arraySet(
    [4],
    Float32Array.from({ length: 16 }, () => random()),
    [2],
    new Float32Array(8).fill(3),
  );
  const moved = async (codewordGradient: 'mean' | 'sum'): Promise<number[]> => {
    const { network: trained } = await train(network, context(set), {
      ...{ epochs: 1, batchSize: 4, clip: 0, learningRate: 0.01, codebookRate: 1, schedule: constant(), loss: l2() },
      optimizer: { kind: 'sgd', momentum: 0, weightDecay: 0, codewordGradient },
    });
    const values = trainedValues(trained.parameters.get('layer.weight')!);
    return [values[0] - 0.5, values[1] + 0.25];
  };
  const [mean, sum] = [await moved('mean'), await moved('sum')];
  expect(Math.abs(mean[0])).toBeGreaterThan(1e-3);
  expect(Math.abs(sum[0] - 5 * mean[0])).toBeLessThan(1e-6);
  expect(Math.abs(sum[1] - 3 * mean[1])).toBeLessThan(1e-6);
});
