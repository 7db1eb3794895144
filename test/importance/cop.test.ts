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

test('cop agrees with numpy to 1e-6, with three neighbours and with one; what is read alike scores 0 with one', () => {
  expect(largestDifference(score('cop', network, group), vectors.scores)).toBeLessThan(1e-6);
  const nearest = score('cop', network, group, undefined, { neighbours: 1 });
  expect(largestDifference(nearest, vectors.nearest)).toBeLessThan(1e-6);
  expect(Math.max(nearest[0], nearest[5])).toBeLessThan(1e-9);
});

test('a factor for all that reads a channel changes nothing; one that is not read correlates with none', () => {
  const scaled = change(network, 'b.weight', (values) =>
    values.forEach((w, i) => (values[i] = Math.floor(i / 9) % 6 === 2 ? 4 * w : w)),
  );
  expect(score('cop', scaled, group)).toEqual(score('cop', network, group));
  const unread = change(network, 'b.weight', (values) =>
    values.forEach((w, i) => (values[i] = Math.floor(i / 9) % 6 === 2 ? 0 : w)),
  );
  expect(score('cop', unread, group)[2]).toBe(1);
});
