/**
 * Laws of how channels are coupled, for every operator of the tables and for any graph of them: what findGroups says is
 * what removeNeurons may do, and what it refuses it refuses with a reason.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Network } from '../../src/graph/network.ts';
import { graph } from '../../src/network/build.ts';
import { checkGraph } from '../../src/network/check.ts';
import { concat, conv, dense, flatten, plain, split } from '../../src/network/layers.ts';
import { OPERATORS, operatorOf } from '../../src/operators/table.ts';
import { findGroups } from '../../src/pruning/index.ts';
import { addExample, examplesOf, perturbed } from '../operators/examples.ts';
import type { Example } from '../operators/examples.ts';
import { anyGraph } from '../operators/graphs.ts';

import { expectRemovable } from './removable.ts';

/** The example between weighted layers, and a weighted layer behind each of its values; whole numbers are outputs. */
const coupled = (example: Example): Network =>
  perturbed(
    graph({}, (g) =>
      addExample(g, example, 'between layers', 'example 0').map((value) => {
        if (operatorOf({ name: value, kind: example.layer.kind }).yields === 'integer') return value;
        const { length } = g.shapeOf(value);
        if (length === 3) return g.node(conv(2, 1), value);
        return g.node(dense(2), length === 1 ? value : g.node(flatten(), value));
      }),
    ),
  );

const each = Object.keys(OPERATORS)
  .flatMap(examplesOf)
  .map((example) => [example.title, example] as const);

describe('between layers with weights', () => {
  it.each(each)('%s: channels can be removed, or there is a reason', async (_title, example) => {
    const network = coupled(example);
    checkGraph(network);
    await expectRemovable(network, 1);
    // The last layers make outputs, whose channels stay.
    const inner = findGroups(network).filter(({ reason = '' }) => !reason.includes('network output'));
    const refused = inner.filter(({ prunable }) => !prunable);
    const { refuses } = example;
    if (refuses) expect(refused.length).toBeGreaterThan(0);
    for (const { reason } of refused) expect(reason).toMatch(refuses ?? /^no reason is right here$/);
  });

  it.each(each)('%s: channels of a network input and of a network output are refused', (_title, example) => {
    const network = perturbed(graph({}, (g) => addExample(g, example, 'alone', 'example 0')));
    for (const { prunable, reason } of findGroups(network)) {
      expect(prunable).toBe(false);
      expect(reason).toMatch(/network (input|output)|grouped convolution/);
    }
  });
});

describe('a sum', () => {
  it.each([
    ['first', 'second'],
    ['second', 'first'],
  ])('of %s and %s: what read either of them before is cut with them', async (left, right) => {
    const network = perturbed(
      graph({}, (g) => {
        const x = g.input([4]);
        const made = ['first', 'second'].map((name) => g.node(dense(3, { name }), x));
        const readers = made.map((value) => g.node(dense(2, { name: `reads ${value}` }), value));
        return [...readers, g.node(dense(2, { name: 'end' }), g.node(plain('add'), left, right))];
      }),
    );
    await expectRemovable(network, 1);
    const [{ producers, consumers, prunable }] = findGroups(network);
    expect(prunable).toBe(true);
    expect(producers).toEqual(['first', 'second']);
    expect(consumers.map(({ node }) => node)).toEqual(['reads first', 'reads second', 'end']);
  });
});

describe('a split', () => {
  /** Two layers of 2 and 3 channels side by side, split anew. */
  const reasons = (sizes: readonly number[]): (string | undefined)[] => {
    const network = graph({}, (g) => {
      const x = g.input([4]);
      const parts = g.nodes(split(sizes), g.node(concat(), g.node(dense(2), x), g.node(dense(3), x)));
      return parts.map((part) => g.node(dense(1), part));
    });
    return findGroups(network)
      .slice(0, 2)
      .map(({ reason }) => reason);
  };

  it('where the groups end hands them on, and its sizes follow; elsewhere it cuts the group that it meets', () => {
    const [fixed, cut] = [undefined, 'the split "split1" cuts them in parts'];
    expect(reasons([2, 3])).toEqual([fixed, fixed]);
    expect(reasons([5])).toEqual([fixed, fixed]);
    expect(reasons([1, 1, 3])).toEqual([cut, fixed]);
    expect(reasons([2, 2, 1])).toEqual([fixed, cut]);
    expect(reasons([3, 2])).toEqual([cut, cut]);
  });
});

describe('in any graph', () => {
  it('idle channels go without a trace, twins become one, the smaller network holds together, refusals have reasons', () =>
    fc.assert(
      fc.asyncProperty(anyGraph({ endsWeighted: true }), fc.nat(1000), async (network, seed) => {
        checkGraph(network);
        await expectRemovable(network, seed);
      }),
      { numRuns: 120 },
    ));

  it('where layers share their weights too', () =>
    fc.assert(fc.asyncProperty(anyGraph({ endsWeighted: true, sharesWeights: true }), fc.nat(1000), expectRemovable), {
      numRuns: 60,
    }));
});
