import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { EspalierError } from '../../src/base/errors.ts';
import { score } from '../../src/importance/index.ts';
import type { ActivationStatistics, ChannelGroup, Criterion } from '../../src/importance/types.ts';
import { conv, dense, flatten } from '../../src/network/layers.ts';
import { relu } from '../../src/network/functions.ts';
import { graph, sequential } from '../../src/network/build.ts';
import type { Network } from '../../src/graph/network.ts';
import { findGroups, prune } from '../../src/pruning/index.ts';
import { permutation, stream } from '../../src/base/random.ts';
import {
  chain,
  change,
  contextOf,
  data,
  largestDifference,
  randomInputs,
  randomize,
  residual,
} from '../pruning/networks.ts';

const first = (network: Network): ChannelGroup => findGroups(network)[0];
const PLAIN = { weighting: 'none' } as const;
/** Statistics of one group whose consumers have these deviations. */
const deviating = ({ name, channels, consumers }: ChannelGroup, ...deviations: number[][]): ActivationStatistics => ({
  samples: 9,
  groups: new Map([
    [
      name,
      {
        channels,
        consumers: consumers.map(({ node }, i) => ({
          node,
          outputs: 1,
          mean: new Float64Array(channels),
          deviation: Float64Array.from(deviations[i]),
        })),
      },
    ],
  ]),
});
const small = (seed: number): Network =>
  randomize(sequential({ input: [2, 4, 4] }, [conv(7, 3, { name: 'a' }), relu(), flatten(), dense(2)]), seed);
/** Rows of a parameter in another order: row i becomes row order[i] of the original. */
function permuteRows(network: Network, parameter: string, order: Int32Array): Network {
  return change(network, parameter, (values) => {
    const before = values.slice(),
      width = values.length / order.length;
    order.forEach((from, to) => values.set(before.subarray(from * width, (from + 1) * width), to * width));
  });
}

describe('criteria on weights', () => {
  test('scores go with the neurons when these are permuted: magnitude exactly, weightCorrelation to 1e-12', () => {
    fc.assert(
      fc.property(fc.nat(1000), fc.constantFrom('L1' as const, 'L2' as const), (seed, norm) => {
        const network = small(seed);
        const order = permutation(stream(seed, 'order'), 7);
        const permuted = permuteRows(network, 'a.weight', order);
        const [magnitudes, moved] = [network, permuted].map((n) =>
          score('magnitude', n, first(n), undefined, { norm }),
        );
        const [redundancies, movedToo] = [network, permuted].map((n) =>
          score('weightCorrelation', n, first(n), undefined, { ...PLAIN, neighbours: 3 }),
        );
        order.forEach((from, to) => {
          expect(moved[to]).toBe(magnitudes[from]);
          expect(Math.abs(movedToo[to] - redundancies[from])).toBeLessThan(1e-12);
        });
      }),
      { numRuns: 30 },
    );
  });

  test('magnitude is the L1 or L2 length of the incoming weights, over all producers that an add joins', () => {
    const network = residual();
    const group = first(network);
    expect(group.producers).toEqual(['conv0', 'conv2']);
    for (const norm of ['L1', 'L2'] as const) {
      const scores = score('magnitude', network, group, undefined, { norm });
      const weights = ['conv0.weight', 'conv2.weight'].map((name) => data(network, name));
      const expected = Array.from({ length: 6 }, (_, c) => {
        const own = weights.flatMap((w) => [...w.subarray((c * w.length) / 6, ((c + 1) * w.length) / 6)]);
        return norm === 'L1' ? own.reduce((sum, w) => sum + Math.abs(w), 0) : Math.hypot(...own);
      });
      expect(largestDifference(scores, expected)).toBeLessThan(1e-12);
    }
  });

  test('plain weightCorrelation: a copy, a multiple, a negation of another neuron scores 0 with one neighbour; positive scaling changes nothing (< 1e-6)', () => {
    fc.assert(
      fc.property(
        fc.nat(1000),
        fc.double({ min: 0.1, max: 10, noNaN: true }),
        fc.constantFrom(1, -1),
        (seed, scale, sign) => {
          const network = small(seed);
          const copied = change(network, 'a.weight', (values) => {
            for (let i = 0; i < 18; i++) values[18 * 4 + i] = sign * scale * values[i];
          });
          const scores = score('weightCorrelation', copied, first(copied), undefined, PLAIN);
          expect(scores[0]).toBeLessThan(1e-6);
          expect(scores[4]).toBeLessThan(1e-6);
          expect(Math.min(...[1, 2, 3, 5, 6].map((c) => scores[c]))).toBeGreaterThan(1e-3);
          const scaled = change(network, 'a.weight', (values) => {
            for (let i = 0; i < 18; i++) values[i] *= scale;
          });
          expect(
            largestDifference(
              score('weightCorrelation', scaled, first(scaled), undefined, PLAIN),
              score('weightCorrelation', network, first(network), undefined, PLAIN),
            ),
          ).toBeLessThan(1e-6);
        },
      ),
      { numRuns: 30 },
    );
  });

  test('plain weightCorrelation by hand: 1 - mean of the largest |r| among the others', () => {
    const network = change(sequential({ input: [3] }, [dense(3, { name: 'a' }), dense(1)]), 'a.weight', (values) =>
      values.set([1, 2, 3, 3, 2, 1, 1, 3, 2]),
    );
    // r(0, 1) = -1, r(0, 2) = r = 0.5, r(1, 2) = -0.5
    expect(
      largestDifference(score('weightCorrelation', network, first(network), undefined, PLAIN), [0, 0, 0.5]),
    ).toBeLessThan(1e-12);
    expect(
      largestDifference(
        score('weightCorrelation', network, first(network), undefined, { ...PLAIN, neighbours: 2 }),
        [0.25, 0.25, 0.5],
      ),
    ).toBeLessThan(1e-12);
    expect(score('weightCorrelation', network, first(network), undefined, { ...PLAIN, neighbours: 9 })).toEqual(
      score('weightCorrelation', network, first(network), undefined, { ...PLAIN, neighbours: 2 }),
    );
  });

  test('plain weightCorrelation: a neuron without weights scores 0, the lowest; one with constant weights correlates with none; a lone neuron scores 1', () => {
    const network = change(small(1), 'a.weight', (values) => {
      values.fill(0, 0, 18);
      values.fill(0.5, 18, 36);
    });
    const scores = score('weightCorrelation', network, first(network), undefined, { ...PLAIN, neighbours: 3 });
    expect([...scores].every((s) => s >= 0 && s <= 1)).toBe(true);
    expect(scores[0]).toBe(0);
    expect(scores[1]).toBe(1);
    const lone = randomize(sequential({ input: [3] }, [dense(1, { name: 'a' }), dense(1)]), 1);
    expect([...score('weightCorrelation', lone, first(lone), undefined, PLAIN)]).toEqual([1]);
  });

  test('random: the same for the same seed and group, another for another, uniform in [0, 1)', () => {
    const network = chain();
    const [a, b] = findGroups(network);
    const scores = score('random', network, a, undefined, { seed: 3 });
    expect(score('random', network, a, undefined, { seed: 3 })).toEqual(scores);
    expect(score('random', network, a, undefined, { seed: 4 })).not.toEqual(scores);
    expect([...score('random', network, b, undefined, { seed: 3 })].slice(0, 3)).not.toEqual([...scores].slice(0, 3));
    expect([...scores].every((s) => s >= 0 && s < 1)).toBe(true);
  });

  test('encoded weights are decoded', () => {
    const network = sequential({ input: [4] }, [dense(2, { name: 'a' }), dense(1)]);
    const block = {
      first: 0,
      subspaceCount: 2,
      subvectorLength: 2,
      codewordCount: 2,
      codewords: Float32Array.of(1, 2, 3, -4),
      codes: Uint16Array.of(0, 1, 1, 1),
    };
    const encoded: Network = {
      ...network,
      parameters: new Map(network.parameters).set('a.weight', {
        kind: 'product',
        shape: [2, 4],
        blocks: [block],
        codewordPrecision: 'float32',
      }),
    };
    expect([...score('magnitude', encoded, first(encoded))]).toEqual([10, 14]);
  });
});

describe('weighed with what a neuron contributes', () => {
  // Neurons 0 and 3 compute the same up to a factor, 1 the negation, 2 another thing: r(0, 1) = r(1, 3) = -1,
  // r(0, 2) = r(2, 3) = 0.5, r(1, 2) = -0.5, r(0, 3) = 1.
  const network = change(
    change(
      sequential({ input: [3] }, [dense(4, { name: 'a' }), relu(), dense(2, { name: 'b' })]),
      'a.weight',
      (values) => values.set([1, 2, 3, 3, 2, 1, 1, 3, 2, 2, 4, 6]),
    ),
    'b.weight',
    (values) => values.set([3, 0, 4, 1, 0, -4, 3, 0]),
  );
  const group = first(network);
  // Shares of the two outputs' variance: 36, 0, 4, 16 of 56 and 0, 16, 2.25, 0 of 18.25. From the largest: 1, 0, 3, 2.
  const deviations = [2, 1, 0.5, 4];
  const shares = [36 / 56, 16 / 18.25, 4 / 56 + 2.25 / 18.25, 16 / 56].map((sum) => Math.sqrt(sum / 2));

  test('weightCorrelation by hand: only neurons that contribute more make one redundant, and not their opposites', () => {
    const statistics = deviating(group, deviations);
    const of = (options: object): Float64Array => score('weightCorrelation', network, group, statistics, options);
    const expected = (own: readonly number[]): number[] => shares.map((share, c) => share * own[c]);
    // Behind a relu a correlation of -1, 0.5, -0.5 becomes -0.4669, 0.4264, -0.3070 (numpy over 1e8 normal pairs: the same).
    const [opposite, half, minusHalf] = [1, Math.sqrt(3) / 2 + Math.PI / 3 - 1, 1 - Math.sqrt(3) / 2 + Math.PI / 6].map(
      (x) => x / (Math.PI - 1),
    );
    expect(largestDifference(of({}), expected([1 - opposite, 1, 1 - half, 0]))).toBeLessThan(1e-12);
    expect(
      largestDifference(of({ neighbours: 2 }), expected([1 - opposite / 2, 1, 1 - half, (1 - opposite) / 2])),
    ).toBeLessThan(1e-12);
    expect(
      largestDifference(
        of({ neighbours: 3 }),
        expected([1 - opposite / 3, 1, 1 - (2 * half + minusHalf) / 3, 1 - (1 + opposite) / 3]),
      ),
    ).toBeLessThan(1e-12);
    expect(of({ neighbours: 9 })).toEqual(of({ neighbours: 3 }));
  });

  test('weightCorrelation: of a cluster of copies that contribute alike the lowest index stays, at its full worth', () => {
    const copies = change(network, 'a.weight', (values) => values.set([1, 2, 3, 1, 2, 3, 1, 3, 2, 1, 2, 3]));
    const alike = change(copies, 'b.weight', (values) => values.set([1, 1, 1, 1, 2, 2, 2, 2]));
    const scores = score('weightCorrelation', alike, group, deviating(group, [1, 1, 1, 1]));
    const half = (Math.sqrt(3) / 2 + Math.PI / 3 - 1) / (Math.PI - 1);
    expect(largestDifference(scores, [0.5, 0, 0.5 * (1 - half), 0])).toBeLessThan(1e-12);
  });

  test('weightCorrelation by its plain form takes all of them for redundant', () => {
    const scores = score('weightCorrelation', network, group, undefined, PLAIN);
    expect(largestDifference(scores, [0, 0, 0.5, 0])).toBeLessThan(1e-12);
  });

  test('activationCorrelation by hand: the mean correlation times the contribution', () => {
    const measured = deviating(group, deviations);
    const [consumer] = measured.groups.get('a')?.consumers ?? [];
    const correlation = Float64Array.of(0.5, 0.7, 1, 1, 0, 0.4, 0.1, 0.3);
    const statistics = {
      ...measured,
      groups: new Map([['a', { channels: 4, consumers: [{ ...consumer, outputs: 2, correlation }] }]]),
    };
    const means = [0.6, 1, 0.2, 0.2];
    expect(
      largestDifference(
        score('activationCorrelation', network, group, statistics),
        shares.map((share, c) => share * means[c]),
      ),
    ).toBeLessThan(1e-12);
  });

  test('outgoing weights are those of all taps of a kernel, all columns behind a flatten, all consumers', () => {
    const branches = randomize(
      graph({}, (g) => {
        const a = g.node(conv(3, 1, { name: 'a' }), g.input([1, 2, 2]));
        const b = g.node(dense(2, { name: 'b' }), g.node(flatten(), a));
        return [b, g.node(conv(2, 3, { name: 'c' }), a)];
      }),
      1,
    );
    const found = first(branches);
    expect(found.consumers.map(({ node, width }) => [node, width])).toEqual([
      ['b', 4],
      ['c', 1],
    ]);
    const columns = Array.from({ length: 12 }, (_, i) => 0.5 + i);
    const statistics = deviating(found, columns, [2, 3, 4]);
    const [b, c] = [data(branches, 'b.weight'), data(branches, 'c.weight')];
    const shares = new Float64Array(3);
    for (let o = 0; o < 2; o++) {
      const [byB, byC] = [new Float64Array(3), new Float64Array(3)];
      for (let channel = 0; channel < 3; channel++) {
        for (let p = 0; p < 4; p++) byB[channel] += (columns[4 * channel + p] * b[12 * o + 4 * channel + p]) ** 2;
        for (let t = 0; t < 9; t++) byC[channel] += ((2 + channel) * c[(3 * o + channel) * 9 + t]) ** 2;
      }
      for (const heard of [byB, byC]) {
        const all = heard[0] + heard[1] + heard[2];
        heard.forEach((part, channel) => (shares[channel] += part / all / 4));
      }
    }
    const expected = shares.map(Math.sqrt);
    // One output channel's weight vector of a has one entry, which correlates with none.
    expect(largestDifference(score('weightCorrelation', branches, found, statistics), expected)).toBeLessThan(1e-12);
  });
});

describe('plain activationCorrelation', () => {
  const network = chain();
  const group = first(network);
  const statistics = (correlation: number[], outputs: number): ActivationStatistics => ({
    samples: 9,
    groups: new Map([
      [
        'conv1',
        {
          channels: 6,
          consumers: [
            { node: 'conv2', outputs, mean: new Float64Array(6), correlation: Float64Array.from(correlation) },
          ],
        },
      ],
    ]),
  });
  test('is the mean over connections', () => {
    expect(
      largestDifference(
        score(
          'activationCorrelation',
          network,
          group,
          statistics([1, 0, 0.5, 0.5, 0.2, 0.4, 0, 0, 1, 1, 0.1, 0.2], 2),
          PLAIN,
        ),
        [0.5, 0.5, 0.3, 0, 1, 0.15],
      ),
    ).toBeLessThan(1e-12);
  });
  test('several consumers count by their connections, of a convolution one per tap, behind a flatten one per column', () => {
    const branches = graph({}, (g) => {
      const a = g.node(conv(2, 3, { name: 'a' }), g.input([1, 4, 4]));
      const b = g.node(conv(4, 3, { name: 'b' }), a);
      return [
        g.node(dense(2, { name: 'head' }), g.node(flatten(), a)),
        g.node(conv(3, 1, { name: 'c' }), a),
        g.node(dense(1, { name: 'last' }), g.node(flatten(), b)),
      ];
    });
    const group = first(branches);
    expect(group.consumers.map(({ node }) => node)).toEqual(['b', 'head', 'c']);
    // Connections of a channel: 4 outputs x 9 taps, 2 outputs x 16 columns, 3 outputs.
    const consumers = [4, 2, 3].map((outputs, i) => ({
      node: '',
      outputs,
      mean: new Float64Array(2),
      correlation: Float64Array.from({ length: 2 * outputs }, (_, j) => (j < outputs ? [0.5, 0.1, 0.8][i] : 1)),
    }));
    const scores = score(
      'activationCorrelation',
      branches,
      group,
      { samples: 9, groups: new Map([['a', { channels: 2, consumers }]]) },
      PLAIN,
    );
    expect(largestDifference(scores, [(36 * 0.5 + 32 * 0.1 + 3 * 0.8) / 71, 1])).toBeLessThan(1e-12);
  });
  test('without measured correlations: TypeError that names the cure', () => {
    expect(() => score('activationCorrelation', network, group)).toThrow(/TypeError|measureActivations/);
    expect(() => score('activationCorrelation', network, group, { samples: 1, groups: new Map() })).toThrow(TypeError);
  });
});

describe('score', () => {
  const network = chain();
  const group = first(network);
  test("a function of one's own stands beside the named criteria", () => {
    expect([
      ...score((_n, { channels }) => Float64Array.from({ length: channels }, (_, c) => -c), network, group),
    ]).toEqual([-0, -1, -2, -3, -4, -5]);
  });
  test('a function gets its options as they are, and the seed of a run unless it is given one', async () => {
    const seen: unknown[] = [];
    const own = (_n: unknown, { channels }: ChannelGroup, _s: unknown, options: unknown): Float64Array => {
      seen.push(options);
      return new Float64Array(channels);
    };
    score(own, network, group, undefined, { power: 2 });
    const context = contextOf(network, randomInputs(network, 4, 1), { seed: 5 });
    for (const scoring of [{ power: 2 }, { seed: 7 }])
      await prune({ criterion: own, scoring, keep: { conv1: 0.5 } })(network, context);
    expect(seen).toEqual([{ power: 2 }, { seed: 5, power: 2 }, { seed: 7 }]);
  });
  test("a definition of one's own: its options are resolved and refused by their rules, what it measures is asked for", () => {
    const options = { power: { kind: 'integer', from: 1, to: 3 } } as const;
    const own: Criterion<typeof options> = {
      name: 'own',
      measures: [],
      options,
      defaults: { power: 2 },
      words: { power: 'of the index' },
      score: (_network, { channels }, _statistics, { power }) =>
        Float64Array.from({ length: channels }, (_, c) => c ** power),
    };
    expect([...score(own, network, group)]).toEqual([0, 1, 4, 9, 16, 25]);
    expect([...score(own, network, group, undefined, { power: 1 })]).toEqual([0, 1, 2, 3, 4, 5]);
    expect(() => score(own, network, group, undefined, { power: 4 })).toThrow(/options.power: expected an integer/);
    expect(() => score(own, network, group, undefined, { norm: 'L1' })).toThrow(/expected power, got "norm"/);
    expect(() => score({ ...own, measures: ['gradients'] }, network, group)).toThrow(
      /own: statistics: expected gradients/,
    );
    expect(() => score({ score: own.score } as never, network, group)).toThrow(/criterion: expected \{ name, measures/);
  });
  test('refused: NaN among the scores (NONFINITE), another number of them, another type, an unknown name, wrong options', () => {
    expect(() => score(() => Float64Array.of(1, NaN, 1, 1, 1, 1), network, group)).toThrow(EspalierError);
    expect(() => score(() => Float64Array.of(1, NaN, 1, 1, 1, 1), network, group)).toThrow(/conv1.*element 1/);
    expect(() => score(() => new Float64Array(5), network, group)).toThrow(RangeError);
    expect(() => score(() => [1, 2, 3, 4, 5, 6] as never, network, group)).toThrow(TypeError);
    expect(() => score('taylors' as never, network, group)).toThrow(/expected one of activationCorrelation/);
    expect(() => score('magnitude', network, group, undefined, { norm: 'L3' as never })).toThrow(/L1, L2/);
    expect(() => score('weightCorrelation', network, group, undefined, { neighbours: 0 })).toThrow(RangeError);
    expect(() => score('magnitude', network, { ...group, producers: ['nobody'] })).toThrow(/"nobody".*findGroups/);
  });
});
