/** Laws of every criterion in the table: a new one is held to them without a test of its own. */
import { describe, expect, test } from 'vitest';
import { obeys } from '../../src/base/rules.ts';
import type { Rules } from '../../src/base/rules.ts';
import { permutation, stream } from '../../src/base/random.ts';
import type { Context } from '../../src/graph/transform.ts';
import type { Network } from '../../src/graph/network.ts';
import { CRITERIA, CRITERION_NAMES, measureActivations, score } from '../../src/importance/index.ts';
import type { ChannelGroup, Criterion, CriterionName } from '../../src/importance/index.ts';
import { measurementsOf } from '../../src/importance/score.ts';
import {
  add,
  conv,
  dense,
  flatten,
  globalAveragePool,
  graph,
  maxPool,
  relu,
  sequential,
} from '../../src/network/index.ts';
import { findGroups, prune } from '../../src/pruning/index.ts';
import { edgesOf } from '../base/rule-values.ts';
import {
  chain,
  change,
  contextOf,
  labelled,
  largestDifference,
  parallel,
  randomInputs,
  randomize,
  rescale,
  residual,
  run,
  separable,
} from '../pruning/networks.ts';

const TABLE = Object.entries(CRITERIA) as [CriterionName, Criterion][];
const prunable = (network: Network): ChannelGroup[] => findGroups(network).filter((group) => group.prunable);
const contextFor = (network: Network, seed = 1): Context =>
  labelled(network, contextOf(network, randomInputs(network, 24, 1), { seed }));

async function scoresOf(name: CriterionName, network: Network): Promise<Float64Array[]> {
  const measured = Object.fromEntries(measurementsOf(name).map((measurement) => [measurement, true]));
  const statistics = await measureActivations(network, prunable(network), contextFor(network), {
    batch: 8,
    positions: 1000,
    correlations: false,
    ...measured,
  });
  return prunable(network).map((group) => score(name, network, group, statistics));
}

test.each(TABLE)(
  '%s: its name is its key, each option has a rule, a default that obeys it, and words',
  (key, { name, options, defaults, words }) => {
    const measures = measurementsOf(key);
    expect(name).toBe(key);
    expect(Object.keys(defaults)).toEqual(Object.keys(options));
    expect(Object.keys(words)).toEqual(Object.keys(options));
    for (const [option, rule] of Object.entries(options)) {
      expect(obeys(rule, defaults[option])).toBe(true);
      expect(words[option]).toMatch(/^\S.{5,}[^.]$/);
    }
    expect(new Set(measures).size).toBe(measures.length);
  },
);

test('options of one name have one rule, so that one flag of a command line can stand for all of them', () => {
  const seen: Record<string, Rules[string]> = {};
  for (const [, { options }] of TABLE)
    for (const [option, rule] of Object.entries(options)) expect((seen[option] ??= rule)).toEqual(rule);
});

describe.each(TABLE)('%s', (name, { options }) => {
  const measures = measurementsOf(name);
  test('gives one finite number per channel of every prunable group, the same each time', async () => {
    for (const build of [chain, residual, parallel, separable]) {
      const network = build(3);
      const scores = await scoresOf(name, network);
      prunable(network).forEach(({ channels }, g) => {
        expect(scores[g].length).toBe(channels);
        expect(scores[g].every(Number.isFinite)).toBe(true);
      });
      expect(await scoresOf(name, network)).toEqual(scores);
    }
  });

  test('scores go with the neurons when these change places (< 1e-5 of the largest); of one that draws, the draws stay', async () => {
    for (let seed = 1; seed <= 5; seed++) {
      const network = randomize(
        sequential({ input: [2, 4, 4] }, [
          conv(7, 3, { name: 'a' }),
          relu(),
          flatten(),
          dense(3, { name: 'b' }),
          relu(),
          dense(2),
        ]),
        seed,
      );
      const order = permutation(stream(seed, 'order'), 7);
      const [[before], [after]] = [await scoresOf(name, network), await scoresOf(name, permuted(network, order))];
      const expected = 'seed' in options ? before : Float64Array.from(order, (from) => before[from]);
      const scale = Math.max(...before.map(Math.abs));
      expected.forEach((value, c) => expect(Math.abs(after[c] - value)).toBeLessThan(1e-5 * scale));
    }
  });

  test('takes what the rules of its options allow, the bounds included, refuses what they do not, and other options by its own names', async () => {
    const network = chain();
    const [group] = prunable(network);
    const statistics = await measureActivations(network, [group], contextFor(network), {
      batch: 8,
      deviations: true,
      activity: true,
      gradients: true,
    });
    for (const [option, rule] of Object.entries(options as Rules)) {
      const { allowed, refused } = edgesOf(rule);
      for (const value of allowed)
        expect(score(name, network, group, statistics, { [option]: value }).every(Number.isFinite)).toBe(true);
      for (const value of refused) {
        expect(() => score(name, network, group, statistics, { [option]: value })).toThrow(
          `score: options.${option}: expected`,
        );
        expect(() => prune({ keep: 0.5, criterion: name, scoring: { [option]: value } })).toThrow(
          `prune: scoring.${option}: expected`,
        );
      }
    }
    const names = Object.keys(options).join(', ') || 'no options';
    expect(() => prune({ keep: 0.5, criterion: name, scoring: { beauty: 1 } })).toThrow(
      `scoring: expected ${names}, got "beauty"`,
    );
  });

  test('asks by name for what it measures, where that is missing', () => {
    const [group] = prunable(chain());
    const attempt = (): unknown => score(name, chain(), group, { samples: 1, groups: new Map() });
    if (measures.length === 0) expect(attempt).not.toThrow();
    else
      expect(attempt).toThrow(
        `expected ${measures[0]} of group "conv1", got none; measure them with measureActivations`,
      );
  });
});

describe('a network in other units, which computes the same', () => {
  const build = {
    chain: (seed: number): Network =>
      randomize(
        sequential({ input: [2, 6, 6] }, [
          conv(6, 3),
          relu(),
          maxPool(2),
          conv(5, 3),
          relu(),
          flatten(),
          dense(9),
          relu(),
          dense(3),
        ]),
        seed,
      ),
    residual: (seed: number): Network =>
      randomize(
        graph({}, (g) => {
          const x = g.node(relu(), g.node(conv(6, 3), g.input([2, 5, 5])));
          const branch = g.node(conv(6, 3), g.node(relu(), g.node(conv(8, 1), x)));
          return g.node(dense(3), g.node(globalAveragePool(), g.node(relu(), g.node(add(), x, branch))));
        }),
        seed,
      ),
  };
  // These go by weights in the units that they have.
  const inUnits: readonly string[] = ['magnitude', 'geometricMedian', 'weightCorrelation', 'cop'];
  const blind = CRITERION_NAMES.filter((name) => !inUnits.includes(name));
  test.each(blind.flatMap((name) => Object.entries(build).map(([kind, make]) => [name, kind, make] as const)))(
    '%s, %s: is pruned alike and repaired alike: powers of two leave no trace at all',
    async (criterion, _kind, make) => {
      for (let seed = 1; seed <= 3; seed++) {
        const network = make(seed);
        const scaled = rescale(network, (name, c) => 2 ** (((c * 7 + name.length * 3 + seed) % 9) - 4));
        const inputs = randomInputs(network, 3, 1);
        expect(largestDifference(await run(network, inputs), await run(scaled, inputs))).toBeLessThan(1e-12);
        const [before, after] = await Promise.all(
          [network, scaled].map((n) => prune({ criterion, keep: 0.5 })(n, contextFor(n))),
        );
        const removed = ({ report }: typeof before): unknown => report.groups.map((group) => group.removed);
        expect(removed(after)).toEqual(removed(before));
        expect(largestDifference(await run(before.network, inputs), await run(after.network, inputs))).toBeLessThan(
          1e-12,
        );
      }
    },
  );
});

/** The channels of `a` in another order, in its consumer too: row i is row order[i] of the original. */
function permuted(network: Network, order: Int32Array): Network {
  const rows = (values: Float32Array): void => {
    const [before, width] = [values.slice(), values.length / order.length];
    order.forEach((from, to) => values.set(before.subarray(from * width, (from + 1) * width), to * width));
  };
  const columns = (values: Float32Array): void => {
    const side = values.length / 3;
    for (let row = 0; row < 3; row++) rows(values.subarray(row * side, (row + 1) * side));
  };
  return change(change(change(network, 'a.weight', rows), 'a.bias', rows), 'b.weight', columns);
}
