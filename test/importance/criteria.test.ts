import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { EspalierError } from '../../src/base/errors.ts';
import { score } from '../../src/importance/index.ts';
import type { ActivationStatistics, ChannelGroup, Criterion } from '../../src/importance/types.ts';
import { conv, dense, flatten } from '../../src/network/layers.ts';
import { relu } from '../../src/network/functions.ts';
import { sequential } from '../../src/network/build.ts';
import type { Network } from '../../src/graph/network.ts';
import { findGroups } from '../../src/pruning/index.ts';
import { permutation, stream } from '../../src/base/random.ts';
import { chain, change, data, largestDifference, randomize, residual } from '../pruning/networks.ts';

const first = (network: Network): ChannelGroup => findGroups(network)[0];
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
        const [redundancies, movedToo] = [network, permuted].map((n) => score('weightCorrelation', n, first(n)));
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

  test('weightCorrelation: a copy, a multiple, a negation of another neuron scores 0 with one neighbour; positive scaling changes nothing (< 1e-6)', () => {
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
          const scores = score('weightCorrelation', copied, first(copied), undefined, { neighbours: 1 });
          expect(scores[0]).toBeLessThan(1e-6);
          expect(scores[4]).toBeLessThan(1e-6);
          expect(Math.min(...[1, 2, 3, 5, 6].map((c) => scores[c]))).toBeGreaterThan(1e-3);
          const scaled = change(network, 'a.weight', (values) => {
            for (let i = 0; i < 18; i++) values[i] *= scale;
          });
          expect(
            largestDifference(
              score('weightCorrelation', scaled, first(scaled)),
              score('weightCorrelation', network, first(network)),
            ),
          ).toBeLessThan(1e-6);
        },
      ),
      { numRuns: 30 },
    );
  });

  test('weightCorrelation by hand: 1 - mean of the largest |r| among the others', () => {
    const network = change(sequential({ input: [3] }, [dense(3, { name: 'a' }), dense(1)]), 'a.weight', (values) =>
      values.set([1, 2, 3, 3, 2, 1, 1, 3, 2]),
    );
    // r(0, 1) = -1, r(0, 2) = r = 0.5, r(1, 2) = -0.5
    expect(
      largestDifference(score('weightCorrelation', network, first(network), undefined, { neighbours: 1 }), [0, 0, 0.5]),
    ).toBeLessThan(1e-12);
    expect(
      largestDifference(
        score('weightCorrelation', network, first(network), undefined, { neighbours: 2 }),
        [0.25, 0.25, 0.5],
      ),
    ).toBeLessThan(1e-12);
    expect(score('weightCorrelation', network, first(network), undefined, { neighbours: 9 })).toEqual(
      score('weightCorrelation', network, first(network), undefined, { neighbours: 2 }),
    );
  });

  test('a neuron without weights scores 0, the lowest; one with constant weights correlates with none; a lone neuron scores 1', () => {
    const network = change(small(1), 'a.weight', (values) => {
      values.fill(0, 0, 18);
      values.fill(0.5, 18, 36);
    });
    const scores = score('weightCorrelation', network, first(network));
    expect([...scores].every((s) => s >= 0 && s <= 1)).toBe(true);
    expect(scores[0]).toBe(0);
    expect(scores[1]).toBe(1);
    const lone = randomize(sequential({ input: [3] }, [dense(1, { name: 'a' }), dense(1)]), 1);
    expect([...score('weightCorrelation', lone, first(lone))]).toEqual([1]);
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

describe('activationCorrelation', () => {
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
        score('activationCorrelation', network, group, statistics([1, 0, 0.5, 0.5, 0.2, 0.4, 0, 0, 1, 1, 0.1, 0.2], 2)),
        [0.5, 0.5, 0.3, 0, 1, 0.15],
      ),
    ).toBeLessThan(1e-12);
  });
  test('several consumers count by their connections', () => {
    const { groups } = statistics([1, 1, 1, 1, 1, 1], 1);
    const [one] = groups.get('conv1')?.consumers ?? [];
    const three = { ...one, outputs: 3, correlation: new Float64Array(18) };
    expect([
      ...score('activationCorrelation', network, group, {
        samples: 9,
        groups: new Map([['conv1', { channels: 6, consumers: [one, three] }]]),
      }),
    ]).toEqual([0.25, 0.25, 0.25, 0.25, 0.25, 0.25]);
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
