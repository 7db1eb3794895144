import { expect, test } from 'vitest';
import { score } from '../../src/importance/index.ts';
import { conv, dense, flatten, relu, sequential } from '../../src/network/index.ts';
import { findGroups } from '../../src/pruning/index.ts';
import vectors from '../vectors/geometric_median.json' with { type: 'json' };
import { change, data, largestDifference, residual } from '../pruning/networks.ts';

const network = change(
  sequential({ input: [2, 4, 4] }, [conv(7, 3, { name: 'a' }), relu(), flatten(), dense(2)]),
  'a.weight',
  (values) => values.set(vectors.weight),
);

test('geometricMedian agrees with numpy to 1e-5; copies score alike, a far neuron is the most important', () => {
  const scores = score('geometricMedian', network, findGroups(network)[0]);
  expect(largestDifference(scores, vectors.scores)).toBeLessThan(1e-5);
  expect(scores[6]).toBe(scores[0]);
  expect(scores.indexOf(Math.max(...scores))).toBe(4);
});

test('the same vector added to every neuron changes nothing (< 1e-5), a factor multiplies the scores (< 1e-5)', () => {
  const [group] = findGroups(network);
  const scores = score('geometricMedian', network, group);
  const moved = change(network, 'a.weight', (values) => values.forEach((w, i) => (values[i] = w + (i % 18) / 8)));
  expect(largestDifference(score('geometricMedian', moved, group), scores)).toBeLessThan(1e-5);
  const scaled = change(network, 'a.weight', (values) => values.forEach((w, i) => (values[i] = -2 * w)));
  expect(
    largestDifference(
      score('geometricMedian', scaled, group),
      scores.map((s) => 2 * s),
    ),
  ).toBeLessThan(1e-5);
});

test('producers that an add joins are added', () => {
  const joined = residual();
  const [group] = findGroups(joined);
  const expected = new Float64Array(6);
  for (const name of group.producers) {
    const weights = data(joined, `${name}.weight`);
    const columns = weights.length / 6;
    for (let i = 0; i < 36; i++) {
      const row = (c: number): Float32Array => weights.subarray(c * columns, (c + 1) * columns);
      expected[i % 6] += Math.hypot(...row(i % 6).map((w, k) => w - row(Math.floor(i / 6))[k]));
    }
  }
  expect(largestDifference(score('geometricMedian', joined, group), expected)).toBeLessThan(1e-5);
});
