import { expect, test } from 'vitest';
import { score } from '../../src/importance/index.ts';
import { conv, relu, sequential } from '../../src/network/index.ts';
import { findGroups } from '../../src/pruning/index.ts';
import vectors from '../vectors/cop.json' with { type: 'json' };
import { change, largestDifference } from '../pruning/networks.ts';

const network = change(
  sequential({ input: [2, 6, 6] }, [conv(6, 3, { name: 'a' }), relu(), conv(8, 3, { name: 'b' })]),
  'b.weight',
  (values) => values.set(vectors.weight),
);
const [group] = findGroups(network);
const cop = (of: typeof network, options: object = {}): Float64Array =>
  score('cop', of, group, undefined, { weighting: 'none', ...options });

test('cop agrees with numpy to 1e-6, with three neighbours and with one; what is read alike scores 0 with one', () => {
  expect(largestDifference(cop(network), vectors.scores)).toBeLessThan(1e-6);
  const nearest = cop(network, { neighbours: 1 });
  expect(largestDifference(nearest, vectors.nearest)).toBeLessThan(1e-6);
  expect(Math.max(nearest[0], nearest[5])).toBeLessThan(1e-9);
});

test('a factor for all that reads a channel changes nothing; one that is not read correlates with none', () => {
  const scaled = change(network, 'b.weight', (values) =>
    values.forEach((w, i) => (values[i] = Math.floor(i / 9) % 6 === 2 ? 4 * w : w)),
  );
  expect(cop(scaled)).toEqual(cop(network));
  const unread = change(network, 'b.weight', (values) =>
    values.forEach((w, i) => (values[i] = Math.floor(i / 9) % 6 === 2 ? 0 : w)),
  );
  expect(cop(unread)[2]).toBe(1);
});

test('times what a channel contributes, unless that is left out', () => {
  const deviation = Float64Array.of(1, 2, 3, 4, 5, 6);
  const consumers = [{ node: 'b', mean: new Float64Array(6), deviation, outputs: 8 }];
  const statistics = { samples: 1, groups: new Map([[group.name, { channels: 6, consumers }]]) };
  const contributed = score('cop', network, group, statistics);
  const ratio = contributed.map((value, c) => value / cop(network)[c]);
  expect(ratio.every((value) => value > 0 && value < 1)).toBe(true);
  expect(() => score('cop', network, group)).toThrow('deviations');
});
