import { expect, test } from 'vitest';
import { measureActivations, score } from '../../src/importance/index.ts';
import { conv, dense, flatten, maxPool, relu, sequential, tanh } from '../../src/network/index.ts';
import { findGroups } from '../../src/pruning/index.ts';
import vectors from '../vectors/zero_fraction.json' with { type: 'json' };
import { change, contextOf, largestDifference, randomInputs, randomize } from '../pruning/networks.ts';

test('zeroFraction agrees with PyTorch exactly but for rounding (1e-12): before pooling, in batches that do not divide the samples', async () => {
  const network = Object.entries(vectors.parameters).reduce(
    (edited, [name, values]) => change(edited, name, (into) => into.set(values)),
    sequential({ input: [1, 4, 4] }, [conv(5, 3), relu(), maxPool(2), flatten(), dense(4), relu(), dense(2)]),
  );
  const groups = findGroups(network).filter(({ prunable }) => prunable);
  const statistics = await measureActivations(network, groups, contextOf(network, Float32Array.from(vectors.inputs)), {
    activity: true,
    correlations: false,
    batch: 4,
  });
  for (const group of groups)
    expect(
      largestDifference(score('zeroFraction', network, group, statistics), vectors.scores[group.name as 'conv1']),
    ).toBeLessThan(1e-12);
  expect([1, 3].map((c) => score('zeroFraction', network, groups[0], statistics)[c])).toEqual([0, 1]);
});

test('where nothing is ever zero all neurons score 1', async () => {
  const network = randomize(sequential({ input: [3] }, [dense(4, { name: 'a' }), tanh(), dense(2)]), 1);
  const [group] = findGroups(network);
  const statistics = await measureActivations(network, [group], contextOf(network, randomInputs(network, 9, 1)), {
    activity: true,
  });
  expect([...score('zeroFraction', network, group, statistics)]).toEqual([1, 1, 1, 1]);
});
