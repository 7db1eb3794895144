import { expect, test } from 'vitest';
import { examplesFromArrays } from '../../src/data/index.ts';
import { measureActivations, score } from '../../src/importance/index.ts';
import { l2 } from '../../src/losses/losses.ts';
import { conv, dense, flatten, relu, sequential } from '../../src/network/index.ts';
import { findGroups } from '../../src/pruning/index.ts';
import vectors from '../vectors/taylor.json' with { type: 'json' };
import { change, contextOf } from '../pruning/networks.ts';

const network = Object.entries(vectors.parameters).reduce(
  (edited, [name, values]) => change(edited, name, (into) => into.set(values)),
  sequential({ input: [1, 4, 4] }, [conv(4, 3), relu(), conv(3, 3), relu(), flatten(), dense(2)]),
);
const groups = findGroups(network).filter(({ prunable }) => prunable);
const training = examplesFromArrays({
  inputs: Float32Array.from(vectors.inputs),
  inputShape: [1, 4, 4],
  targets: Float32Array.from(vectors.targets),
  targetShape: [2],
});
const context = { ...contextOf(network, new Float32Array(0)), training };

test('taylor agrees with the gradients of PyTorch to 1e-5 of the largest score', async () => {
  const statistics = await measureActivations(network, groups, context, { gradients: true, loss: l2() });
  for (const group of groups) {
    const [scores, wanted] = [score('taylor', network, group, statistics), vectors.scores[group.name as 'conv1']];
    wanted.forEach((value, c) => expect(Math.abs(scores[c] - value)).toBeLessThan(1e-5 * Math.max(...wanted)));
  }
});

test('over batches it is the mean of their scores, not the score of their mean', async () => {
  const of = async (part: typeof training): Promise<Float64Array> =>
    score(
      'taylor',
      network,
      groups[0],
      await measureActivations(
        network,
        groups,
        { ...context, training: part },
        { gradients: true, correlations: false, deviations: false, batch: 1 },
      ),
    );
  const whole = await of(training);
  const parts = await Promise.all(
    [0, 1, 2, 3, 4, 5].map((i) =>
      of({ ...training, count: 1, read: (_indices, inputs, targets) => training.read([i], inputs, targets) }),
    ),
  );
  whole.forEach((value, c) => expect(value / parts.reduce((sum, part) => sum + part[c] / 6, 0)).toBeCloseTo(1, 5));
});

test('a neuron without weights, or that the loss does not depend on, scores 0', async () => {
  const cut = change(
    change(network, 'conv1.weight', (values) => values.fill(0, 0, 9)),
    'conv2.weight',
    (values) => {
      for (let o = 0; o < 3; o++) values.fill(0, o * 36 + 9, o * 36 + 18);
    },
  );
  const scores = score('taylor', cut, groups[0], await measureActivations(cut, groups, context, { gradients: true }));
  expect([scores[0], scores[1]]).toEqual([0, 0]);
  expect(scores[2]).toBeGreaterThan(0);
});
