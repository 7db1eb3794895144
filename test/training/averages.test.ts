/** Moving averages of what is trained, judged and handed out in its place. */
import { describe, expect, test } from 'vitest';
import { memoryStore } from '../../src/container/index.ts';
import { decode } from '../../src/encodings/index.ts';
import type { Network } from '../../src/graph/network.ts';
import { constant, train } from '../../src/training/index.ts';
import { predictAll } from '../../src/training/index.ts';
import type { TrainOptions } from '../../src/training/index.ts';
import { bytesOf, context, smoothSet, tiny } from './fixtures.ts';

const set = smoothSet(32, 1);
const HOW = {
  ...{ epochs: 3, batchSize: 16, learningRate: 0.1, schedule: constant() },
  optimizer: { kind: 'sgd', momentum: 0, weightDecay: 0 },
} as const satisfies TrainOptions;

const weights = (network: Network): Float32Array => decode(network.parameters.get('first.weight')!);

/** The weights after each of the first steps: of a run of whole batches, one step an epoch. */
async function path(steps: number): Promise<Float32Array[]> {
  const all = [weights(tiny(1))];
  for (let epochs = 1; epochs <= steps; epochs++)
    all.push(weights((await train(tiny(1), context(set), { ...HOW, epochs, batchSize: 32 })).network));
  return all;
}

describe('averages', () => {
  test('are those of the formula, beginning at the start', async () => {
    const [start, ...steps] = await path(4);
    for (const decay of [0.25, 0.9]) {
      const wanted = Float64Array.from(start);
      steps.forEach((values, i) => {
        const kept = Math.min(decay, (2 + i) / (11 + i));
        values.forEach((value, j) => (wanted[j] = kept * wanted[j] + (1 - kept) * value));
      });
      const { network } = await train(tiny(1), context(set), { ...HOW, epochs: 4, batchSize: 32, average: decay });
      weights(network).forEach((value, j) => expect(value).toBeCloseTo(wanted[j], 6));
    }
  });

  test('take no part in training: losses are those of a run without', async () => {
    const [plain, averaged] = await Promise.all(
      [0, 0.9].map((average) => train(tiny(1), context(set), { ...HOW, average })),
    );
    expect(averaged.history).toEqual(plain.history);
    expect(bytesOf(averaged.network)).not.toEqual(bytesOf(plain.network));
  });

  test('are what is judged', async () => {
    const { network, kept } = await train(tiny(1), context(set, { validation: set }), {
      ...HOW,
      average: 0.9,
      keep: 'last',
    });
    const found = await predictAll(network, set, { kernels: context(set).kernels });
    const targets = new Float32Array(found.length);
    await set.read(
      Int32Array.from({ length: 32 }, (_, i) => i),
      new Float32Array(96),
      targets,
    );
    const error = Math.sqrt(found.reduce((sum, value, i) => sum + (value - targets[i]) ** 2, 0) / found.length);
    expect(kept.validation).toBeCloseTo(error, 6);
  });

  test.each(['best', 'last'] as const)(
    'of a run that was stopped are those of one that was not: keep %s',
    async (keep) => {
      const how = { ...HOW, epochs: 5, average: 0.9, keep };
      const whole = await train(tiny(1), context(set, { validation: set }), how);
      for (let last = 0; last < 5; last++) {
        const [store, stop] = [memoryStore(), new AbortController()];
        const checkpointed = { ...how, checkpoint: { store, key: 'run' } };
        const stopped = train(
          tiny(1),
          context(set, {
            ...{ validation: set, signal: stop.signal },
            onEvent: (event) => void (event.kind === 'epoch' && event.epoch === last && stop.abort()),
          }),
          checkpointed,
        );
        await stopped.catch(() => undefined);
        const resumed = await train(tiny(1), context(set, { validation: set }), checkpointed);
        expect(resumed.history).toEqual(whole.history);
        expect(resumed.kept).toEqual(whole.kept);
        expect(bytesOf(resumed.network)).toEqual(bytesOf(whole.network));
      }
    },
  );

  test('of a decay of 1 would never move: refused', async () => {
    for (const average of [1, -0.1, NaN])
      await expect(train(tiny(1), context(set), { ...HOW, average })).rejects.toThrow(/train: average: expected/);
  });
});
