/** Levels that move: what the passes see, what is trained, and what is handed out. */
import { describe, expect, test } from 'vitest';
import { decode } from '../../src/encodings/index.ts';
import { encodeLevels } from '../../src/encodings/kinds/scalar.ts';
import type { ScalarEncoding } from '../../src/encodings/kinds/scalar.ts';
import { memoryStore } from '../../src/container/index.ts';
import type { Network } from '../../src/graph/network.ts';
import { openRounding } from '../../src/training/levels.ts';
import type { TrainingExecutor } from '../../src/execution/types.ts';
import { predictAll, train } from '../../src/training/index.ts';
import type { TrainOptions } from '../../src/training/index.ts';
import { bytesOf, context, smoothSet, tiny } from './fixtures.ts';

/** The tiny network with weights of `bits` bits, a scale for each row. */
function coarse(seed: number, bits = 3, zeros?: Uint8Array): Network {
  const base = tiny(seed);
  const parameters = new Map(base.parameters);
  for (const [name, encoding] of base.parameters) {
    if (!name.endsWith('.weight')) continue;
    const [rows, columns] = encoding.shape;
    const data = decode(encoding);
    const scales = Float32Array.from(
      { length: rows },
      (_, row) => Math.max(...data.subarray(row * columns, (row + 1) * columns).map(Math.abs)) / (2 ** (bits - 1) - 1),
    );
    const grid = { bits, scales, ...(zeros && { zeros: zeros.slice(0, rows) }) };
    parameters.set(name, encodeLevels(data, encoding.shape, grid));
  }
  return { ...base, parameters };
}

const scalar = (network: Network, name: string): ScalarEncoding => network.parameters.get(name) as ScalarEncoding;
const set = smoothSet(64, 1);
const MOVING = { epochs: 20, batchSize: 16, learningRate: 0.05, levels: 'moving' } as const satisfies TrainOptions;

describe('moving levels', () => {
  test('change, on the grid that they were on, and fit better than scales alone', async () => {
    const start = coarse(1);
    const [moved, fixed] = await Promise.all(
      (['moving', 'fixed'] as const).map((levels) =>
        train(start, context(set, { validation: set }), { ...MOVING, levels }),
      ),
    );
    const [before, after] = [scalar(start, 'first.weight'), scalar(moved.network, 'first.weight')];
    expect(after).toMatchObject({ kind: 'scalar', bits: 3, shape: before.shape });
    expect(after.scales).toEqual(before.scales);
    expect(after.levels).not.toEqual(before.levels);
    expect(scalar(fixed.network, 'first.weight').levels).toEqual(before.levels);
    expect(moved.kept.validation).toBeLessThan(0.9 * fixed.kept.validation!);
  });

  test('what is judged is what is handed out: rounded', async () => {
    const { network, kept, before } = await train(coarse(1), context(set, { validation: set }), MOVING);
    const measured = async (one: Network): Promise<number> => {
      const found = await predictAll(one, set, { kernels: context(set).kernels });
      const targets = new Float32Array(found.length);
      await set.read(
        Int32Array.from({ length: 64 }, (_, i) => i),
        new Float32Array(192),
        targets,
      );
      return Math.sqrt(found.reduce((sum, value, i) => sum + (value - targets[i]) ** 2, 0) / found.length);
    };
    expect(kept.validation).toBeCloseTo(await measured(network), 6);
    expect(before).toBeCloseTo(await measured(coarse(1)), 6);
  });

  test('weights beyond the last level wait there: a large rate does not carry them out of reach', async () => {
    const { network } = await train(coarse(1), context(set), { ...MOVING, epochs: 3, learningRate: 2, clip: 0 });
    const { levels, bits } = scalar(network, 'second.weight');
    expect(Math.max(...levels)).toBeLessThan(2 ** bits);
    const back = await train(network, context(set, { validation: set }), { ...MOVING, epochs: 30 });
    expect(scalar(back.network, 'second.weight').levels).not.toEqual(levels);
  });

  test('zero points stay, and a frozen weight keeps its levels', async () => {
    const start = coarse(1, 4, new Uint8Array(8).fill(6));
    const { network } = await train(start, context(set), { ...MOVING, epochs: 2, frozen: ['first.weight'] });
    expect(scalar(network, 'second.weight').zeros).toEqual(scalar(start, 'second.weight').zeros);
    expect(network.parameters.get('first.weight')).toBe(start.parameters.get('first.weight'));
  });

  test('a network without such levels trains as it does otherwise', async () => {
    const [moving, fixed] = await Promise.all(
      (['moving', 'fixed'] as const).map((levels) => train(tiny(1), context(set), { ...MOVING, epochs: 2, levels })),
    );
    expect(bytesOf(moving.network)).toEqual(bytesOf(fixed.network));
  });

  test('a run that is stopped goes on to the same levels', async () => {
    const store = memoryStore();
    const run = (signal?: AbortSignal, checkpoint = true) =>
      train(
        coarse(1),
        {
          ...context(set, { validation: set }),
          ...(signal && { signal }),
          onEvent: (event) => void (event.kind === 'epoch' && event.epoch === 2 && signal && stop.abort()),
        },
        { ...MOVING, epochs: 6, ...(checkpoint && { checkpoint: { store, key: 'run' } }) },
      );
    const stop = new AbortController();
    await expect(run(stop.signal)).rejects.toThrow();
    const [resumed, whole] = [await run(), await run(undefined, false)];
    expect(resumed.history).toEqual(whole.history);
    expect([...resumed.network.parameters]).toEqual([...whole.network.parameters]);
  });

  test('another word is refused', async () => {
    await expect(train(coarse(1), context(set), { epochs: 1, levels: 'free' as never })).rejects.toThrow(
      /levels: expected/,
    );
  });
});

describe('the weight of bits', () => {
  /** Bits of all levels by how often each stands in its layer. */
  const bitsOf = (network: Network): number =>
    ['first.weight', 'second.weight'].reduce((sum, name) => {
      const { levels } = scalar(network, name);
      const counts = new Map<number, number>();
      for (const level of levels) counts.set(level, (counts.get(level) ?? 0) + 1);
      return sum + [...counts.values()].reduce((bits, count) => bits - count * Math.log2(count / levels.length), 0);
    }, 0);

  test('makes them fewer, the more the larger it is, and the loss pays for it', async () => {
    const runs = await Promise.all(
      [0, 0.3, 1].map((rateWeight) => train(coarse(1, 4), context(set), { ...MOVING, rateWeight })),
    );
    const bits = runs.map(({ network }) => bitsOf(network));
    expect(bits[1]).toBeLessThan(0.95 * bits[0]);
    expect(bits[2]).toBeLessThan(0.8 * bits[1]);
    const losses = runs.map(({ history }) => history.at(-1)!.loss);
    expect(losses[2]).toBeGreaterThan(losses[0]);
  });

  test('takes each weight down the line between the bits of the levels beside it', () => {
    const values = Float32Array.of(0.1, 0.3, 2.4, -3.4);
    const executor = { values: () => values, changed: () => undefined } as unknown as TrainingExecutor;
    const encoding: ScalarEncoding = {
      ...{ kind: 'scalar', shape: [1, 4], bits: 2, levels: new Uint8Array(4), scales: Float32Array.of(2) },
    };
    const rounding = openRounding(executor, new Map([['w', encoding]]));
    rounding.round();
    expect([...values]).toEqual([0, 0, 2, -4]);
    rounding.restore();
    rounding.settle(0.8);
    // Levels -2, -1, 0, 1 stand 1, 0, 2, 1 times: log2 5, log2 5, log2 2.5, log2 5 bits. From 0 upwards and from 1 on it is
    // one bit a step of 2, from -2 to -1 none; 0.8 over 4 weights and the step: 0.1.
    [0, 0.2, 2.3, -3.4].forEach((wanted, i) => expect(values[i]).toBeCloseTo(wanted, 6));
  });

  test('keeps the last state, as the best on validation is the one of most bits', async () => {
    const how = { ...MOVING, epochs: 3, rateWeight: 0.3 };
    const { kept } = await train(coarse(1, 4), context(set, { validation: set }), how);
    expect(kept.epoch).toBe(2);
  });

  test('needs levels that move', async () => {
    await expect(train(coarse(1), context(set), { epochs: 1, rateWeight: 1 })).rejects.toThrow(
      "train: rateWeight: only levels that move become cheaper; give levels: 'moving' too or leave it out",
    );
    await expect(train(coarse(1), context(set), { ...MOVING, rateWeight: -1 })).rejects.toThrow(/rateWeight: expected/);
  });
});
