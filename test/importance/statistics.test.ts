import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { EspalierError } from '../../src/base/errors.ts';
import { l2 } from '../../src/losses/losses.ts';
import { measureActivations, score } from '../../src/importance/index.ts';
import type { ActivationStatistics } from '../../src/importance/types.ts';
import { conv, dense, flatten } from '../../src/network/layers.ts';
import { graph, sequential } from '../../src/network/build.ts';
import { relu, tanh } from '../../src/network/functions.ts';
import { evaluate } from '../../src/training/index.ts';
import type { Network } from '../../src/graph/network.ts';
import { findGroups } from '../../src/pruning/index.ts';
import type { Context } from '../../src/graph/transform.ts';
import vectors from '../vectors/correlation.json' with { type: 'json' };
import {
  chain,
  change,
  contextOf,
  examplesOf,
  labelled,
  largestDifference,
  parallel,
  randomInputs,
  randomize,
  residual,
  run,
} from '../pruning/networks.ts';

const prunable = (network: Network): ReturnType<typeof findGroups> =>
  findGroups(network).filter((group) => group.prunable);
const measure = (
  network: Network,
  inputs: Float32Array,
  options = {},
  context: Partial<Context> = {},
): Promise<ActivationStatistics> =>
  measureActivations(network, prunable(network), contextOf(network, inputs, context), options);
const PLAIN = { weighting: 'none' } as const;

describe('against PyTorch and numpy', () => {
  const {
    network: { inputs, parameters, scores, mean },
  } = vectors;
  const structure = sequential({ input: [1, 6, 6] }, [
    conv(3, 3),
    relu(),
    conv(4, 3, { stride: 2, padding: 1 }),
    relu(),
    flatten(),
    dense(5),
  ]);
  const network = Object.entries(parameters).reduce(
    (edited, [name, values]) => change(edited, name, (into) => into.set(values)),
    structure,
  );

  test('activationCorrelation over all pairs of positions agrees to 1e-5 (activations are float32)', async () => {
    const statistics = await measure(network, Float32Array.from(inputs), { positions: 1000 });
    const [conv1, conv2] = prunable(network);
    expect(
      largestDifference(score('activationCorrelation', network, conv1, statistics, PLAIN), scores.conv1),
    ).toBeLessThan(1e-5);
    expect(
      largestDifference(score('activationCorrelation', network, conv2, statistics, PLAIN), scores.conv2),
    ).toBeLessThan(1e-5);
  });
  test('means agree to 1e-6: per channel for a convolution, per column behind a flatten; in batches that do not divide the samples too', async () => {
    for (const batch of [3, 64]) {
      const statistics = await measure(network, Float32Array.from(inputs), { batch, correlations: false });
      expect(largestDifference(statistics.groups.get('conv1')?.consumers[0].mean ?? [], mean.conv1)).toBeLessThan(1e-6);
      expect(largestDifference(statistics.groups.get('conv2')?.consumers[0].mean ?? [], mean.conv2)).toBeLessThan(1e-6);
    }
  });
});

describe('measureActivations', () => {
  test('a drawn subset of positions lies inside the image: with a third of them scores stay within 0.2 of all of them', async () => {
    const network = chain(4);
    const inputs = randomInputs(network, 40, 1);
    const [all, some] = [
      await measure(network, inputs, { positions: 100000 }),
      await measure(network, inputs, { positions: 40 }),
    ];
    const [conv1] = prunable(network);
    const [a, b] = [
      score('activationCorrelation', network, conv1, all, PLAIN),
      score('activationCorrelation', network, conv1, some, PLAIN),
    ];
    expect(largestDifference(a, b)).toBeLessThan(0.2);
    expect(a).not.toEqual(b);
  });

  test('the same seed gives the same numbers for any batch size', async () => {
    const network = parallel(2);
    const inputs = randomInputs(network, 30, 1);
    const options = { samples: 10, covariances: true };
    const once = await measure(network, inputs, { ...options, batch: 10 });
    expect(await measure(network, inputs, { ...options, batch: 10 })).toEqual(once);
    const other = await measure(network, inputs, { ...options, batch: 3 });
    for (const [name, { consumers }] of once.groups)
      consumers.forEach((consumer, i) =>
        expect(
          largestDifference(consumer.correlation ?? [], other.groups.get(name)?.consumers[i].correlation ?? []),
        ).toBeLessThan(1e-5),
      );
    expect(once.samples).toBe(10);
  });

  test('samples are drawn by the seed, each once, and read in order; with all of them and all positions a seed changes nothing (< 1e-12)', async () => {
    const network = parallel(2);
    const inputs = randomInputs(network, 30, 1);
    const read: number[][] = [];
    const measured = (seed: number, samples: number): Promise<ActivationStatistics> => {
      read.length = 0;
      const set = examplesOf(network, inputs);
      const training: typeof set = {
        ...set,
        read: (indices, into, targets) => {
          read.push(Array.from(indices));
          return set.read(indices, into, targets);
        },
      };
      const options = { samples, batch: 4, positions: 1000, covariances: true };
      return measure(network, inputs, options, { seed, training });
    };
    const draws: number[][] = [];
    for (const seed of [1, 2, 3]) {
      const statistics = await measured(seed, 10);
      const indices = read.flat();
      expect(statistics).toMatchObject({ samples: 10 });
      expect(new Set(indices).size).toBe(10);
      expect(indices).toEqual([...indices].sort((a, b) => a - b));
      expect(indices.every((i) => i >= 0 && i < 30)).toBe(true);
      expect(read.map((batch) => batch.length)).toEqual([4, 4, 2]);
      draws.push(indices);
    }
    expect(new Set(draws.map(String)).size).toBe(3);
    const [all, again, more] = [await measured(1, 30), await measured(2, 30), await measured(3, 99)];
    expect(read.flat()).toEqual(Array.from({ length: 30 }, (_, i) => i));
    for (const other of [again, more]) {
      expect(other.samples).toBe(30);
      for (const [name, { consumers }] of all.groups)
        consumers.forEach(({ mean, deviation = [], correlation = [], covariance = [] }, i) => {
          const theirs = other.groups.get(name)!.consumers[i];
          expect(largestDifference(mean, theirs.mean)).toBeLessThan(1e-12);
          expect(largestDifference(deviation, theirs.deviation ?? [])).toBeLessThan(1e-12);
          expect(largestDifference(correlation, theirs.correlation ?? [])).toBeLessThan(1e-12);
          expect(largestDifference(covariance, theirs.covariance ?? [])).toBeLessThan(1e-12);
        });
    }
  });

  test('positions by default: 16384 numbers of channels and outputs, from 16 to 256; else as many as asked for', async () => {
    const build = (side: number, channels: number, outputs: number): Network =>
      randomize(
        sequential({ input: [1, side, side] }, [conv(channels, 1, { name: 'a' }), relu(), conv(outputs, 1)]),
        1,
      );
    for (const [side, channels, outputs, positions] of [
      [17, 2, 3, 256],
      [17, 60, 40, 163],
      [5, 900, 200, 16],
    ]) {
      const network = build(side, channels, outputs);
      const inputs = randomInputs(network, 2, 1);
      const [group] = prunable(network);
      const of = async (options: object): Promise<string> => {
        const statistics = await measureActivations(network, [group], contextOf(network, inputs), {
          correlations: false,
          covariances: true,
          ...options,
        });
        return String(statistics.groups.get('a')?.consumers[0].covariance?.slice(0, 40));
      };
      const [byDefault, same, one, fewer] = [
        await of({}),
        await of({ positions }),
        await of({ positions: positions + 1 }),
        await of({ positions: positions - 1 }),
      ];
      expect(byDefault).toBe(same);
      expect(byDefault).not.toBe(one);
      expect(byDefault).not.toBe(fewer);
    }
  });

  test("activationCorrelation is unchanged (< 1e-5) when a neuron is scaled up and its consumers' columns down", async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(100), fc.constantFrom(0.25, 0.5, 3, 8), async (seed, scale) => {
        const network = randomize(
          sequential({ input: [5] }, [dense(4, { name: 'a' }), relu(), dense(3, { name: 'b' }), relu(), dense(2)]),
          seed,
        );
        const scaled = change(
          change(
            change(network, 'a.weight', (values) => {
              for (let i = 0; i < 5; i++) values[i] *= scale;
            }),
            'a.bias',
            (values) => {
              values[0] *= scale;
            },
          ),
          'b.weight',
          (values) => {
            for (let o = 0; o < 3; o++) values[4 * o] /= scale;
          },
        );
        const inputs = randomInputs(network, 20, seed);
        const [before, after] = await Promise.all(
          [network, scaled].map(async (n) =>
            score('activationCorrelation', n, findGroups(n)[0], await measure(n, inputs), PLAIN),
          ),
        );
        expect(largestDifference(before, after)).toBeLessThan(1e-5);
      }),
      { numRuns: 10 },
    );
  });

  test('dead and constant neurons have correlation 0 and so the lowest importance; no NaN', async () => {
    const network = change(
      change(chain(3), 'conv2.weight', (values) => {
        values.fill(0, 0, values.length / 5);
      }),
      'dense1.weight',
      (values) => {
        values.fill(0, 0, 20);
      },
    );
    const statistics = await measure(network, randomInputs(network, 12, 1), { covariances: true });
    const [, conv2, dense1] = prunable(network);
    for (const group of [conv2, dense1]) {
      const scores = score('activationCorrelation', network, group, statistics, PLAIN);
      expect(scores[0]).toBe(0);
      expect([...scores].slice(1).every((s) => s > 0 && s <= 1)).toBe(true);
      expect(statistics.groups.get(group.name)?.consumers[0].covariance?.[0]).toBe(0);
    }
  });

  test('the covariance over all positions is that of the activations (< 1e-6), and its channels follow concat offsets', async () => {
    const network = parallel(5);
    const inputs = randomInputs(network, 6, 1);
    const group = prunable(network)[1];
    const statistics = await measure(network, inputs, { positions: 1000, covariances: true });
    const seen = await run(network, inputs, group.consumers[0].value); // (6, 8, 6, 6), channels 3 ... 7 are the group's
    const observed = Array.from({ length: 5 }, (_, c) =>
      Array.from({ length: 6 * 36 }, (_, i) => seen[Math.floor(i / 36) * 288 + (3 + c) * 36 + (i % 36)]),
    );
    const means = observed.map((row) => row.reduce((sum, v) => sum + v, 0) / row.length);
    const expected = observed.flatMap((a, i) =>
      observed.map((b, j) => a.reduce((sum, v, k) => sum + (v - means[i]) * (b[k] - means[j]), 0) / a.length),
    );
    const [consumer] = statistics.groups.get('b')?.consumers ?? [];
    expect(largestDifference(consumer.covariance ?? [], expected)).toBeLessThan(1e-6);
    expect(largestDifference(consumer.mean, means)).toBeLessThan(1e-6);
    expect(consumer.observations).toBe(6 * 36);
  });

  test('deviations are those of all observations (< 1e-6): per channel over positions for a convolution, per column behind a flatten; 0 for a constant', async () => {
    const network = change(chain(5), 'conv2.weight', (values) => values.fill(0, 0, 54));
    const inputs = randomInputs(network, 7, 1);
    const statistics = await measure(network, inputs, { batch: 3 });
    for (const { name, channels, consumers } of prunable(network)) {
      const [{ value, width }] = consumers;
      const seen = await run(network, inputs, value);
      const each = seen.length / 7 / channels;
      const isSpread = width > 1;
      const expected = Array.from({ length: channels * width }, (_, j) => {
        const own = [...seen].filter((_, i) => {
          const [c, p] = [Math.floor(i / each) % channels, i % each];
          return isSpread ? c * width + p === j : c === j;
        });
        const mean = own.reduce((sum, x) => sum + x, 0) / own.length;
        return Math.sqrt(own.reduce((sum, x) => sum + (x - mean) ** 2, 0) / own.length);
      });
      const { deviation = [] } = statistics.groups.get(name)?.consumers[0] ?? {};
      const scale = Math.max(...expected);
      expect(deviation.length).toBe(expected.length);
      expected.forEach((x, j) => expect(Math.abs(deviation[j] - x)).toBeLessThan(1e-6 * scale));
    }
    const { deviation: still } = statistics.groups.get('conv2')!.consumers[0];
    expect([...still!].slice(0, 4)).toEqual([0, 0, 0, 0]);
  });

  test('a mean of ten million cancels nothing of a deviation (1e-12)', async () => {
    const network = change(
      change(sequential({ input: [1] }, [dense(2, { name: 'a' }), dense(1)]), 'a.weight', (w) => w.set([1, -2])),
      'a.bias',
      (b) => b.set([1e7, -1e7]),
    );
    const { groups } = await measure(network, Float32Array.of(2, 5, -1, 3, 7, 0, -4));
    const deviation = groups.get('a')?.consumers[0].deviation ?? [];
    const expected = Math.sqrt((4 + 25 + 1 + 9 + 49 + 16) / 7 - (12 / 7) ** 2);
    expect(largestDifference(deviation, [expected, 2 * expected])).toBeLessThan(1e-12);
  });

  test('the covariance at a dense consumer, where each channel is one number a sample (< 1e-6)', async () => {
    const network = chain(3);
    const inputs = randomInputs(network, 9, 1);
    const group = prunable(network)[2];
    const seen = await run(network, inputs, group.consumers[0].value);
    const [consumer] = (await measure(network, inputs, { covariances: true })).groups.get('dense1')?.consumers ?? [];
    const means = Array.from({ length: 7 }, (_, c) => seen.reduce((sum, x, i) => sum + (i % 7 === c ? x : 0), 0) / 9);
    const expected = Array.from({ length: 49 }, (_, ij) => {
      const [i, j] = [Math.floor(ij / 7), ij % 7];
      let sum = 0;
      for (let n = 0; n < 9; n++) sum += (seen[7 * n + i] - means[i]) * (seen[7 * n + j] - means[j]);
      return sum / 9;
    });
    expect(largestDifference(consumer.covariance ?? [], expected)).toBeLessThan(1e-6);
    expect(consumer.observations).toBe(9);
    expect(Math.max(...expected)).toBeGreaterThan(0.01);
  });

  test("a nonlinearity behind another layer is not the consumer's own", async () => {
    const linear = sequential({ input: [1] }, [
      dense(1, { name: 'a' }),
      dense(1, { name: 'b' }),
      dense(1, { name: 'c' }),
      relu(),
      dense(1),
    ]);
    const network = [...linear.parameters.keys()].reduce(
      (edited, name) => change(edited, name, (values) => values.fill(name.endsWith('weight') ? 1 : 0)),
      linear,
    );
    const { groups } = await measure(network, Float32Array.of(-3, -2, -1, 1, 2));
    expect(groups.get('a')?.consumers[0].correlation?.[0]).toBeCloseTo(1, 12);
    expect(groups.get('b')?.consumers[0].correlation?.[0]).toBeLessThan(0.95);
  });

  test("correlations are taken with the consumer's own nonlinearity where that alone reads it, else with its output", async () => {
    // b's output is read by a relu and by the head: a is b itself, so a copy of the channel correlates fully, which
    // behind the relu it would not.
    const build = (alone: boolean): Network => {
      const network = graph({}, (g) => {
        const b = g.node(dense(1, { name: 'b' }), g.node(dense(1, { name: 'a' }), g.input([1])));
        const r = g.node(relu({ name: 'r' }), b);
        return alone
          ? [g.node(dense(1, { name: 'head' }), r)]
          : [g.node(dense(1, { name: 'head' }), r), g.node(dense(1, { name: 'other' }), b)];
      });
      return [...network.parameters.keys()].reduce(
        (edited, name) => change(edited, name, (values) => values.fill(name.endsWith('weight') ? 1 : 0)),
        network,
      );
    };
    const inputs = Float32Array.of(-3, -2, -1, 1, 2);
    const r = async (network: Network): Promise<number | undefined> =>
      (await measureActivations(network, [findGroups(network)[0]], contextOf(network, inputs))).groups.get('a')
        ?.consumers[0].correlation?.[0];
    expect(await r(build(false))).toBeCloseTo(1, 12);
    expect(await r(build(true))).toBeLessThan(0.95);
  });
});

describe('bad data', () => {
  const network = chain();
  const inputs = randomInputs(network, 4, 1);
  const failure = async (run: Promise<unknown>): Promise<string> =>
    run.then(
      () => 'nothing thrown',
      (error: unknown) => (error instanceof EspalierError ? `${error.code}: ${error.message}` : String(error)),
    );

  test('no set, an empty set, one sample: DATA', async () => {
    const { kernels, threads, seed } = contextOf(network, inputs);
    expect(await failure(measureActivations(network, prunable(network), { kernels, threads, seed }))).toMatch(
      /^DATA:.*got none/,
    );
    expect(await failure(measure(network, new Float32Array(0)))).toMatch(/^DATA:.*an empty set/);
    expect(await failure(measure(network, inputs.subarray(0, 128)))).toMatch(/^DATA:.*at least 2 samples/);
    for (const what of ['correlations', 'deviations', 'covariances'])
      expect(
        await failure(measure(network, inputs, { samples: 1, correlations: false, deviations: false, [what]: true })),
      ).toMatch(/^DATA:/);
  });
  test('one sample has a mean', async () => {
    const means = { correlations: false, deviations: false };
    expect((await measure(network, inputs.subarray(0, 128), means)).samples).toBe(1);
  });
  test('samples of another shape: DATA with both shapes', async () => {
    expect(
      await failure(
        measureActivations(
          network,
          prunable(network),
          contextOf(network, inputs, { training: { ...examplesOf(network, inputs), inputShape: [128] } }),
        ),
      ),
    ).toMatch(/^DATA:.*\[2, 8, 8\].*, got \[128\]/);
  });
  test('an input that is not finite: DATA with the sample', async () => {
    const bad = inputs.slice();
    bad[2 * 128 + 5] = NaN;
    expect(await failure(measure(network, bad))).toMatch(/^DATA:.*NaN in sample 2/);
  });
  test('an activation that is not finite: DATA with the node, on the reading and on the writing side', async () => {
    const broken = sequential({ input: [2] }, [
      dense(2, { name: 'a' }),
      relu({ name: 'seen' }),
      dense(2, { name: 'b' }),
      relu({ name: 'made' }),
      dense(1),
    ]);
    const set = (name: string, value: number): Network =>
      change(broken, name, (values) => {
        values.fill(value);
      });
    const ones = Float32Array.of(1, 1, 2, 2);
    expect(
      await failure(measureActivations(set('a.bias', Infinity), [findGroups(broken)[0]], contextOf(broken, ones))),
    ).toMatch(/^DATA:.*node "seen".*Infinity for sample 0/);
    expect(
      await failure(measureActivations(set('b.bias', Infinity), [findGroups(broken)[0]], contextOf(broken, ones))),
    ).toMatch(/^DATA:.*node "made"/);
  });
  test('several inputs: UNSUPPORTED; groups of another network: GRAPH', async () => {
    const two = graph({}, (g) => {
      g.input([2]);
      return g.node(dense(2), g.node(dense(2, { name: 'a' }), g.input([2], 'second')));
    });
    expect(await failure(measureActivations(two, [], contextOf(two, new Float32Array(4))))).toMatch(/^UNSUPPORTED/);
    const [group] = prunable(network);
    expect(
      await failure(
        measureActivations(
          network,
          [{ ...group, consumers: [{ ...group.consumers[0], node: 'relu1' }] }],
          contextOf(network, inputs),
        ),
      ),
    ).toMatch(/^GRAPH:.*"relu1"/);
  });
  test('options that are no whole numbers from 1: RangeError before anything runs', async () => {
    for (const options of [{ samples: 0 }, { batch: 0 }, { positions: 1.5 }])
      await expect(measure(network, inputs, options)).rejects.toThrow(RangeError);
  });
  test('an aborted signal ends it with its reason, and so does a failing source', async () => {
    await expect(measure(network, inputs, {}, { signal: AbortSignal.abort(new Error('enough')) })).rejects.toThrow(
      'enough',
    );
    await expect(
      measure(
        network,
        inputs,
        {},
        { training: { ...examplesOf(network, inputs), read: () => Promise.reject(new Error('disk gone')) } },
      ),
    ).rejects.toThrow('disk gone');
  });
});

describe('of producers', () => {
  test('zeros: exact shares behind the nonlinearity, through the norm and the sum that it stands behind; 1 for a dead channel', async () => {
    const network = residual(2);
    const inputs = randomInputs(network, 6, 1);
    const dead = change(
      change(network, 'conv1.weight', (values) => values.fill(0, 0, 54)),
      'conv1.bias',
      (values) => values.fill(-1, 0, 1),
    );
    const statistics = await measure(dead, inputs, { activity: true, batch: 4 });
    for (const [name, value, channels] of [
      ['conv0', 'r0', 6],
      ['conv2', 'r2', 6],
      ['conv1', 'r1', 4],
    ] as const) {
      const outputs = await run(dead, inputs, value);
      const span = outputs.length / 6 / channels;
      const producer = [...statistics.groups.values()]
        .flatMap(({ producers = [] }) => producers)
        .find(({ node }) => node === name);
      const shares = Array.from(
        { length: channels },
        (_, c) => outputs.filter((x, i) => x === 0 && Math.floor(i / span) % channels === c).length / (6 * span),
      );
      expect([...(producer?.zeros ?? [])]).toEqual(shares);
    }
    expect(statistics.groups.get('conv1')?.producers?.[0].zeros?.[0]).toBe(1);
    expect((await measure(network, inputs)).groups.get('conv1')?.producers).toEqual([{ node: 'conv1' }]);
  });

  test('gradients: first moment is the derivative of the mean loss (central differences, 1e-3); the square of one batch is its square', async () => {
    const network = randomize(sequential({ input: [3] }, [dense(4, { name: 'a' }), tanh(), dense(2)]), 1);
    const context = labelled(network, contextOf(network, randomInputs(network, 8, 1)));
    const { mean, square } = (
      await measureActivations(network, prunable(network), context, { gradients: true, batch: 8 })
    ).groups.get('a')?.producers?.[0].gradient ?? { mean: [], square: [] };
    const lossOf = async (n: Network): Promise<number> => {
      const { rmse = NaN } = await evaluate(n, context.training!, { kernels: context.kernels });
      return rmse ** 2;
    };
    for (let i = 0; i < 12; i++) {
      const [up, down] = await Promise.all(
        [0.01, -0.01].map((by) =>
          lossOf(
            change(network, 'a.weight', (values) => {
              values[i] += by;
            }),
          ),
        ),
      );
      expect(Math.abs((up - down) / 0.02 - mean[i])).toBeLessThan(1e-3);
      expect(square[i]).toBe(mean[i] ** 2);
    }
  });

  test('gradients are those of the first output, whatever else the network yields', async () => {
    const build = (both: boolean): Network =>
      randomize(
        graph({}, (g) => {
          const a = g.node(tanh(), g.node(dense(4, { name: 'a' }), g.input([3])));
          const heads = [
            g.node(dense(2, { name: 'first' }), a),
            ...(both ? [g.node(dense(5, { name: 'other' }), a)] : []),
          ];
          return heads;
        }),
        1,
      );
    const of = async (network: Network): Promise<ArrayLike<number>> => {
      const context = labelled(network, contextOf(network, randomInputs(network, 8, 1)));
      const [group] = prunable(network);
      const options = { gradients: true, batch: 4, loss: l2() };
      const statistics = await measureActivations(network, [group], context, options);
      return statistics.groups.get('a')?.producers?.[0].gradient?.mean ?? [];
    };
    expect(largestDifference(await of(build(true)), await of(build(false)))).toBeLessThan(1e-12);
  });

  test('gradients of an unlabelled set, or of targets of another size, are refused: DATA', async () => {
    const network = chain();
    const context = contextOf(network, randomInputs(network, 8, 1));
    const attempt = (training: NonNullable<Context['training']>): Promise<unknown> =>
      measureActivations(network, prunable(network), { ...context, training }, { gradients: true });
    await expect(attempt(context.training!)).rejects.toThrow(/expected labelled samples.*an unlabelled set/);
    await expect(attempt({ ...labelled(network, context).training!, targetShape: [3] })).rejects.toThrow(
      /targets of 4 numbers .*got 3/,
    );
  });
});
