/** A teacher of several outputs, and of inner values: what is compared, in which unit, and how much each counts. */
import { describe, expect, test } from 'vitest';
import { lastGoodNetwork, l2, predictOutputs, train } from '../../src/training/index.ts';
import type { TrainOptions } from '../../src/training/index.ts';
import type { Network } from '../../src/graph/network.ts';
import type { Examples } from '../../src/graph/examples.ts';
import { arraySet, bytesOf, context, smoothSet, tiny } from './fixtures.ts';

/** 3 -> 8 -> 'second' [2] and 'further' [4], the second head `factor` times what it would be. */
function twoHeads(seed: number, factor = 1): Network {
  const base = tiny(seed);
  const head = tiny(seed + 100, 16).parameters.get('first.weight') as { data: Float32Array };
  return {
    ...base,
    nodes: [
      ...base.nodes,
      {
        ...base.nodes.find(({ name }) => name === 'second')!,
        ...{ name: 'further', parameters: { weight: 'further.weight' } },
      },
    ],
    outputs: ['second', 'further'],
    parameters: new Map(base.parameters).set('further.weight', {
      kind: 'dense',
      shape: [4, 8],
      data: Float32Array.from(head.data.subarray(0, 32), (value) => factor * value),
    }),
  };
}

const withParameters = (network: Network, names: readonly string[], source: Network): Network => ({
  ...network,
  parameters: new Map(
    [...network.parameters].map(([name, own]) => [name, names.includes(name) ? source.parameters.get(name)! : own]),
  ),
});

const unlabelled = (count: number, seed: number): Examples => {
  const { inputShape, read, count: n } = smoothSet(count, seed);
  return { count: n, inputShape, read: (indices, inputs, _targets, pass) => read(indices, inputs, undefined, pass) };
};

/** Mean squared distance over the mean squared distance of `wanted` from its mean over the samples, by hand. */
function relative(found: Float32Array, wanted: Float32Array, samples: number): number {
  const size = wanted.length / samples;
  let [apart, around] = [0, 0];
  for (let j = 0; j < size; j++) {
    let mean = 0;
    for (let i = 0; i < samples; i++) mean += wanted[i * size + j] / samples;
    for (let i = 0; i < samples; i++) {
      apart += (found[i * size + j] - wanted[i * size + j]) ** 2;
      around += (wanted[i * size + j] - mean) ** 2;
    }
  }
  return apart / around;
}

/** A rate at which nothing moves in float32, so that the loss of the epoch is that of the network as given. */
const STILL = { epochs: 1, learningRate: 1e-30 } as const satisfies TrainOptions;

describe('without labels', () => {
  const set = unlabelled(24, 1);
  const [student, teacher] = [twoHeads(1), twoHeads(7)];

  test('the loss is the mean over the outputs of their squared errors, each over its own variance', async () => {
    const { history } = await train(student, context(set), { ...STILL, teacher, batchSize: 24 });
    const [found, wanted] = await Promise.all([student, teacher].map((one) => predictOutputs(one, set)));
    const errors = student.outputs.map((name) => relative(found.get(name)!, wanted.get(name)!, 24));
    expect(history[0].loss).toBeCloseTo((errors[0] + errors[1]) / 2, 5);
    const validation = await train(student, context(set, { validation: set }), { ...STILL, teacher });
    expect(validation.before).toBeCloseTo(Math.sqrt((errors[0] + errors[1]) / 2), 5);
  });

  test('an output does not count by the size of its numbers', async () => {
    const [small, large] = await Promise.all(
      [1, 1000].map((factor) =>
        train(twoHeads(1, factor), context(set), { ...STILL, teacher: twoHeads(7, factor), batchSize: 24 }),
      ),
    );
    expect(large.history[0].loss / small.history[0].loss).toBeCloseTo(1, 4);
  });

  test('a head behind the first learns', async () => {
    const astray = withParameters(teacher, ['further.weight'], student);
    const { network } = await train(astray, context(set), { epochs: 40, batchSize: 8, learningRate: 0.1, teacher });
    const [before, after, wanted] = await Promise.all(
      [astray, network, teacher].map((one) => predictOutputs(one, set)),
    );
    const error = (found: ReadonlyMap<string, Float32Array>): number =>
      relative(found.get('further')!, wanted.get('further')!, 24);
    expect(error(after)).toBeLessThan(error(before) / 4);
  });

  test('a loss that is given is that of the first output', async () => {
    const { history } = await train(student, context(set), {
      ...STILL,
      teacher,
      loss: l2({ scale: 3 }),
      batchSize: 24,
    });
    const [found, wanted] = await Promise.all([student, teacher].map((one) => predictOutputs(one, set)));
    const first = l2({ scale: 3 }).measure(found.get('second')!, wanted.get('second')!, 24, 2);
    const second = relative(found.get('further')!, wanted.get('further')!, 24);
    expect(history[0].loss).toBeCloseTo((first + second) / 2, 5);
  });

  test('what no trained parameter reaches is left out; the rest learns as it would alone', async () => {
    const frozen = ['further.weight', 'first.weight', 'first.bias'];
    const alone = { ...student, outputs: ['second'] };
    const one = await train(student, context(set), { epochs: 2, batchSize: 8, teacher, frozen });
    const other = await train(alone, context(set), {
      ...{ epochs: 2, batchSize: 8, frozen, teacher: { ...teacher, outputs: ['second'] } },
    });
    expect(bytesOf(one.network)).toEqual(bytesOf(other.network));
  });
});

test('with labels the further outputs count as much as the teacher does', async () => {
  const set = smoothSet(24, 1);
  const [student, teacher] = [twoHeads(1), twoHeads(7)];
  const options = { ...STILL, teacher, teacherWeight: 0.25, batchSize: 24 };
  const { history } = await train(student, context(set), options);
  const alone = await train({ ...student, outputs: ['second'] }, context(set), {
    ...{ ...options, teacher: { ...teacher, outputs: ['second'] } },
  });
  const [found, wanted] = await Promise.all([student, teacher].map((one) => predictOutputs(one, set)));
  const further = relative(found.get('further')!, wanted.get('further')!, 24);
  expect(history[0].loss).toBeCloseTo((alone.history[0].loss + 0.25 * further) / 2, 5);
});

describe('inner values', () => {
  const set = unlabelled(24, 1);
  const [student, teacher] = [tiny(1), tiny(7)];
  const inner = student.nodes[1].name;

  test('are compared beside the outputs, and the network keeps its outputs', async () => {
    const { history, network } = await train(student, context(set), {
      ...{ ...STILL, teacher, responses: [inner], batchSize: 24 },
    });
    const asOutput = (one: Network): Network => ({ ...one, outputs: [...one.outputs, inner] });
    const [found, wanted] = await Promise.all([student, teacher].map((one) => predictOutputs(asOutput(one), set)));
    const [first, second] = ['second', inner].map((name) => relative(found.get(name)!, wanted.get(name)!, 24));
    expect(history[0].loss).toBeCloseTo((first + second) / 2, 5);
    expect(network.outputs).toEqual(['second']);
  });

  test('the last good network of a run that diverges has the outputs of the one given', async () => {
    const error: unknown = await train(student, context(set), {
      ...{ epochs: 50, learningRate: 1e30, clip: 0, teacher, responses: [inner], batchSize: 24 },
    }).catch((cause: unknown) => cause);
    expect(lastGoodNetwork(error)?.outputs).toEqual(['second']);
  });

  test.each<[string, TrainOptions, RegExp]>([
    ['no array', { epochs: 1, teacher, responses: inner as never }, /responses: expected an array/],
    ['no teacher', { epochs: 1, responses: [inner] }, /responses: given without a teacher/],
    [
      'an unknown name',
      { epochs: 1, teacher, responses: ['nobody'] },
      /responses: .*got "nobody", which "tiny" does not/,
    ],
    ['another width', { epochs: 1, teacher: tiny(7, 9), responses: [inner] }, /teacher: .*\[8\].*\[9\]/],
  ])('%s is refused', async (_name, options, message) => {
    await expect(train(student, context(set), options)).rejects.toThrow(message);
  });
});

test('outputs of teacher and network are paired in their order, and as many', async () => {
  const set = arraySet([3], new Float32Array(12));
  const teacher = twoHeads(7);
  await expect(
    train(twoHeads(1), context(set), { epochs: 1, teacher: { ...teacher, outputs: ['further', 'second'] } }),
  ).rejects.toThrow('from [3] to [2] and [4], got one from [3] to [4] and [2]');
  await expect(
    train(twoHeads(1), context(set), { epochs: 1, teacher: { ...teacher, outputs: ['second'] } }),
  ).rejects.toThrow(RangeError);
});
