import { describe, expect, test } from 'vitest';
import { EspalierError } from '../../src/base/errors.ts';
import { CRITERION_NAMES, measureActivations, score } from '../../src/importance/index.ts';
import type { ScoringOptions } from '../../src/importance/index.ts';
import { conv, dense, flatten, relu, sequential } from '../../src/network/index.ts';
import { parameterCount } from '../../src/network/shapes.ts';
import { findGroups, keepBest, prune, pruneGroup, removeNeurons } from '../../src/pruning/index.ts';
import type { PruneOptions } from '../../src/pruning/index.ts';
import type { RunEvent } from '../../src/base/control.ts';
import {
  chain,
  change,
  contextOf,
  labelled,
  largestDifference,
  parallel,
  randomInputs,
  randomize,
  residual,
  run,
  separable,
  shape,
} from './networks.ts';

/** Wide, and with tails, so that two criteria or norms do not choose alike by chance. */
const wide = change(
  randomize(
    sequential({ input: [2, 6, 6] }, [
      conv(24, 3, { name: 'a' }),
      relu(),
      conv(20, 3, { name: 'b' }),
      relu(),
      flatten(),
      dense(30),
      relu(),
      dense(3),
    ]),
    1,
  ),
  'b.weight',
  (values) => values.forEach((w, i) => (values[i] = 4 * w ** 3)),
);

describe('prune', () => {
  test.each(CRITERION_NAMES)(
    '%s: half of every prunable group stays, the network still runs, the report counts what is there',
    async (criterion) => {
      for (const build of [chain, residual, parallel, separable]) {
        const network = build(2);
        const context = labelled(network, contextOf(network, randomInputs(network, 12, 1)));
        const { network: thinner, report } = await prune({ criterion, keep: 0.5, repair: build !== parallel })(
          network,
          context,
        );
        const groups = findGroups(thinner);
        for (const { name, channels, prunable } of findGroups(network)) {
          expect(groups.find((group) => group.name === name)?.channels).toBe(
            prunable ? Math.round(channels / 2) : channels,
          );
        }
        expect(report).toMatchObject({
          transform: 'prune',
          criterion,
          parametersBefore: parameterCount(network),
          parametersAfter: parameterCount(thinner),
        });
        expect(report.groups.map(({ group }) => group)).toEqual(
          findGroups(network)
            .filter((group) => group.prunable)
            .map(({ name }) => name),
        );
        expect(report.skipped.map(({ group }) => group)).toEqual(
          findGroups(network)
            .filter((group) => !group.prunable)
            .map(({ name }) => name),
        );
        expect((await run(thinner, randomInputs(network, 2, 3))).every(Number.isFinite)).toBe(true);
        expect(JSON.parse(JSON.stringify(report))).toEqual(report);
      }
    },
  );

  test.each<[string, PruneOptions, ScoringOptions]>([
    ['a criterion', { criterion: 'magnitude', keep: 0.5 }, {}],
    ['its options', { criterion: 'magnitude', scoring: { norm: 'L2' }, keep: 0.5 }, { norm: 'L2' }],
    ['its seed', { criterion: 'random', scoring: { seed: 7 }, keep: 0.5 }, { seed: 7 }],
    ['the seed of the run', { criterion: 'random', keep: 0.5 }, { seed: 5 }],
    ['the default criterion, cut only', { keep: 0.5, fold: false }, {}],
    ['means only', { criterion: 'weightCorrelation', keep: 0.5, repair: false }, {}],
    ['repair though not fold', { criterion: 'magnitude', keep: 0.5, fold: false, repair: true }, {}],
    ['a ridge', { criterion: 'zeroFraction', keep: 0.5, ridge: 0.5 }, {}],
    ['a multiple', { criterion: 'geometricMedian', keep: 0.5, multipleOf: 3 }, {}],
    ['samples, positions, batch', { keep: 0.5, samples: 9, positions: 5, batch: 4 }, {}],
  ])(
    '%s: what is asked for is done, group by group: scored and measured on the network as it was, the best kept, the rest removed',
    async (_what, options, scoring) => {
      const network = chain(2);
      const context = contextOf(network, randomInputs(network, 20, 1), { seed: 5 });
      const { criterion = 'activationCorrelation', fold = true, repair = fold } = options;
      const groups = findGroups(network).filter((group) => group.prunable);
      const statistics = await measureActivations(network, groups, context, {
        samples: options.samples ?? 512,
        batch: options.batch ?? 32,
        ...(options.positions === undefined ? {} : { positions: options.positions }),
        activity: true,
        covariances: true,
      });
      let expected = network;
      for (const group of groups) {
        const { kept } = keepBest(score(criterion, network, group, statistics, scoring), {
          fraction: 0.5,
          multipleOf: options.multipleOf ?? 1,
        });
        expected = removeNeurons(expected, group.name, kept, {
          ...(fold || repair ? { moments: statistics.groups.get(group.name)?.consumers ?? [] } : {}),
          repair,
          ...(options.ridge === undefined ? {} : { ridge: options.ridge }),
        }).network;
      }
      const { network: pruned, report } = await prune(options)(network, context);
      expect(pruned).toEqual(expected);
      expect(report.groups.every(({ folded, repaired }) => folded === (fold || repair) && repaired === repair)).toBe(
        true,
      );
    },
  );

  test('criteria and their options make a difference', async () => {
    const network = wide;
    const context = contextOf(network, randomInputs(network, 16, 1));
    const choices = [
      {},
      { scoring: { weighting: 'none' } },
      { criterion: 'weightCorrelation' },
      { criterion: 'weightCorrelation', scoring: { neighbours: 9 } },
      { criterion: 'magnitude' },
      { criterion: 'magnitude', scoring: { norm: 'L2' } },
      { criterion: 'random' },
      { criterion: 'random', scoring: { seed: 7 } },
      { repair: false },
      { fold: false },
      { ridge: 0.5 },
    ] as const;
    const results = await Promise.all(
      choices.map(async (choice) => {
        const { network: pruned } = await prune({ ...choice, keep: 0.5 })(network, context);
        return JSON.stringify([...pruned.parameters]);
      }),
    );
    expect(new Set(results).size).toBe(choices.length);
  });

  test('the same seed gives the same network', async () => {
    const network = chain();
    const context = contextOf(network, randomInputs(network, 20, 1));
    const options = { keep: 0.5, samples: 10, repair: true } as const;
    expect(await prune(options)(network, context)).toEqual(await prune(options)(network, context));
  });

  test('named groups only, each to its share; any producer names its group', async () => {
    const network = residual();
    const { network: thinner, report } = await prune({
      criterion: 'magnitude',
      fold: false,
      keep: { conv2: 0.5, conv1: 0.25 },
    })(network, contextOf(network, new Float32Array(0)));
    expect(report.groups.map(({ group, before, after }) => [group, before, after])).toEqual([
      ['conv0', 6, 3],
      ['conv1', 4, 1],
    ]);
    expect(report.skipped).toEqual([]);
    expect(shape(thinner, 'conv1.weight')).toEqual([1, 3, 3, 3]);
  });

  test('producers that go together lose no more than any of them was to lose: the largest share, in any order', async () => {
    const network = residual();
    for (const [keep, left] of [
      [{ conv0: 0.5, conv2: 1 }, 6],
      [{ conv2: 1, conv0: 0.5 }, 6],
      [{ conv0: 4 / 6, conv2: 0.5 }, 4],
      [{ conv2: 0.5 }, 3],
    ] as const) {
      const { report } = await prune({ criterion: 'magnitude', fold: false, keep })(
        network,
        contextOf(network, new Float32Array(0)),
      );
      expect(report.groups.map(({ group, after }) => [group, after])).toEqual([['conv0', left]]);
    }
  });

  test('criteria on weights without fold need no data; with fold the set is asked for', async () => {
    const network = chain();
    const { kernels, threads, seed } = contextOf(network, new Float32Array(0));
    const context = { kernels, threads, seed };
    const plain = { criterion: 'weightCorrelation', scoring: { weighting: 'none' }, keep: 0.5 } as const;
    const { report } = await prune({ ...plain, fold: false })(network, context);
    expect(report.groups.every(({ folded }) => !folded)).toBe(true);
    await expect(prune(plain)(network, context)).rejects.toThrow(/training/);
    // What is measured goes by the criterion's options.
    await expect(prune({ ...plain, scoring: {}, fold: false })(network, context)).rejects.toThrow(/training/);
  });

  test('over eight networks folding means brings the outputs nearer to the original than cutting, and repair nearer still', async () => {
    const errors = { cut: 0, folded: 0, repaired: 0 };
    for (let seed = 1; seed <= 8; seed++) {
      const network = chain(seed);
      const inputs = randomInputs(network, 64, seed);
      const original = await run(network, inputs);
      const errorOf = async (options: object): Promise<number> => {
        const { network: thinner } = await prune({ keep: { conv1: 0.5, conv2: 0.6 }, ...options })(
          network,
          contextOf(network, inputs),
        );
        return (await run(thinner, inputs)).reduce((sum, y, i) => sum + (y - original[i]) ** 2, 0);
      };
      errors.cut += await errorOf({ fold: false });
      errors.folded += await errorOf({ repair: false });
      errors.repaired += await errorOf({});
    }
    expect(errors.folded).toBeLessThan(0.8 * errors.cut);
    expect(errors.repaired).toBeLessThan(errors.folded);
  });

  test('dead neurons go first and take nothing with them (< 1e-6)', async () => {
    // Behind the norm a channel is dead when it is scaled and shifted to 0.
    const network = change(
      change(chain(3), 'batchNorm1.scale', (values) => {
        values[1] = 0;
        values[4] = 0;
      }),
      'batchNorm1.shift',
      (values) => {
        values[1] = 0;
        values[4] = -1;
      },
    );
    const inputs = randomInputs(network, 10, 1);
    const { network: thinner, report } = await prune({ keep: { conv1: 4 / 6 } })(network, contextOf(network, inputs));
    expect(report.groups[0]).toMatchObject({ removed: [1, 4], folded: true });
    expect(largestDifference(await run(network, inputs), await run(thinner, inputs))).toBeLessThan(1e-6);
  });

  test('a share that rounds to no channel keeps one, reported', async () => {
    const network = chain();
    const { network: thinner, report } = await prune({ criterion: 'random', keep: 0, fold: false })(
      network,
      contextOf(network, new Float32Array(0)),
    );
    expect(report.groups.map(({ after, asked, raised }) => [after, asked, raised])).toEqual([
      [1, 0, true],
      [1, 0, true],
      [1, 0, true],
    ]);
    expect(shape(thinner, 'dense1.weight')).toEqual([1, 4]);
  });

  test("a criterion of one's own, with its name in the report; events tell each group", async () => {
    const network = chain();
    const events: RunEvent[] = [];
    const { report } = await prune({
      criterion: function lastOnes(_network, { channels }) {
        return Float64Array.from({ length: channels }, (_, c) => c);
      },
      keep: { conv1: 0.5 },
    })(network, contextOf(network, randomInputs(network, 4, 1), { onEvent: (event) => events.push(event) }));
    expect(report.criterion).toBe('lastOnes');
    expect(report.groups[0].removed).toEqual([0, 1, 2]);
    expect(events).toEqual([{ kind: 'stage', name: 'prune', index: 0, count: 1, detail: 'conv1' }]);
  });

  test('refused: a group that cannot be pruned (COUPLING), unknown or repeated groups, wrong shares and criteria', async () => {
    const network = residual();
    const context = contextOf(network, randomInputs(network, 4, 1));
    await expect(prune({ keep: { head: 0.5 } })(network, context)).rejects.toThrow(EspalierError);
    await expect(prune({ keep: { head: 0.5 } })(network, context)).rejects.toThrow(/network output "head"/);
    await expect(prune({ keep: { nobody: 0.5 } })(network, context)).rejects.toThrow(RangeError);
    expect(() => prune({ keep: 1.5 })).toThrow(RangeError);
    expect(() => prune({ keep: { conv0: NaN } })).toThrow(RangeError);
    for (const keep of ['half', null, undefined, true])
      expect(() => prune({ keep: keep as never })).toThrow(/^prune: keep: expected a share from 0 to 1, or/);
    expect(() => prune({ keep: 0.5, criterion: 'best' as never })).toThrow(RangeError);
    await expect(
      prune({ keep: 0.5 })(network, { ...context, signal: AbortSignal.abort(new Error('enough')) }),
    ).rejects.toThrow('enough');
  });
});

test('pruneGroup is prune for one group, given its statistics', async () => {
  const network = parallel();
  const context = contextOf(network, randomInputs(network, 10, 1));
  const group = findGroups(network).filter(({ name }) => name === 'b');
  const statistics = await measureActivations(network, group, context, { covariances: true });
  const alone = pruneGroup(network, 'b', statistics, { keep: 0.4 });
  const whole = await prune({ keep: { b: 0.4 } })(network, context);
  expect(alone.network).toEqual(whole.network);
  expect(whole.report.groups).toEqual([alone.report]);
  expect(alone.report).toMatchObject({ folded: true, repaired: true });
  const meansOnly = await measureActivations(network, group, context);
  expect(pruneGroup(network, 'b', meansOnly, { keep: 0.4 }).report).toMatchObject({ folded: true, repaired: false });
  expect(pruneGroup(network, 'b', undefined, { criterion: 'magnitude', keep: 0.4 }).report).toMatchObject({
    folded: false,
    repaired: false,
  });
});

test('pruneGroup does what it is asked for, as prune does', async () => {
  const context = contextOf(wide, randomInputs(wide, 16, 1));
  const group = findGroups(wide).filter(({ name }) => name === 'b');
  const statistics = await measureActivations(wide, group, context, { covariances: true });
  const choices = [
    {},
    { criterion: 'magnitude' },
    { criterion: 'magnitude', scoring: { norm: 'L2' } },
    { criterion: 'random', scoring: { seed: 4 } },
    { multipleOf: 5 },
    { ridge: 0.5 },
    { repair: false },
    { fold: false },
  ] as const;
  const results = await Promise.all(
    choices.map(async (choice) => {
      const { network: pruned } = pruneGroup(wide, 'b', statistics, { ...choice, keep: 0.4 });
      expect(pruned).toEqual((await prune({ ...choice, keep: { b: 0.4 } })(wide, context)).network);
      return JSON.stringify([...pruned.parameters]);
    }),
  );
  expect(new Set(results).size).toBe(choices.length);
});
