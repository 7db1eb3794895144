/** Channels along other axes than the first, as in models whose channels are last: found, measured and removed as where they are first. */
import { describe, expect, it } from 'vitest';
import { sizeOf } from '../../src/base/tensor.ts';
import { measureActivations } from '../../src/importance/index.ts';
import type { GroupStatistics } from '../../src/importance/types.ts';
import { graph } from '../../src/network/build.ts';
import type { GraphBuilder } from '../../src/network/build.ts';
import { add, multiply, prelu, reduceMean, relu, tanh } from '../../src/network/functions.ts';
import * as layers from '../../src/network/layers.ts';
import { inferShapes } from '../../src/network/shapes.ts';
import type { Network } from '../../src/graph/network.ts';
import { findGroups, removeNeurons } from '../../src/pruning/index.ts';
import { loadKernels, portableKernels } from '../../src/kernels/index.ts';
import { perturbed } from '../operators/examples.ts';
import { gradientsOf, lossOf, readOutputs, relativeDifference, withTrainer } from '../operators/running.ts';
import { change, contextOf, data, largestDifference, randomInputs, randomize, run } from './networks.ts';
import { expectRemovable, withIdle } from './removable.ts';

const { affine, concat, conv, dense, expand, flatten, gather, globalAveragePool, maxPool, pad, permute } = layers;
const { reshape, resize, slice, softmax, split } = layers;

const kernelSets = [portableKernels(), await loadKernels({ prefer: 'simd' })];

/** [C, H, W] to [H, W, C] and back. */
const LAST = [1, 2, 0];
const FIRST = [2, 0, 1];

/** Layers that are the same function with the channels first and with the channels last. */
const PAIRS: readonly { title: string; first: Network; last: Network; columns?: (c: number, p: number) => number }[] = [
  {
    title: 'a convolution of one tap and a dense layer along the last axis',
    first: graph({}, (g) => {
      const x = g.node(relu(), g.node(conv(6, 3, { name: 'a' }), g.input([2, 5, 4])));
      const y = g.node(tanh(), g.node(conv(4, 1, { name: 'b' }), x));
      return g.node(dense(3, { name: 'c' }), g.node(globalAveragePool(), y));
    }),
    last: graph({}, (g) => {
      const x = g.node(relu(), g.node(conv(6, 3, { name: 'a' }), g.input([2, 5, 4])));
      const y = g.node(tanh(), g.node(dense(4, { name: 'b' }), g.node(permute(LAST), x)));
      return g.node(dense(3, { name: 'c' }), g.node(reduceMean([0, 1]), y));
    }),
  },
  {
    title: 'a flatten of either',
    first: graph({}, (g) => {
      const x = g.node(relu(), g.node(conv(6, 3, { name: 'a' }), g.input([2, 5, 4])));
      return g.node(dense(3, { name: 'c' }), g.node(flatten(), x));
    }),
    last: graph({}, (g) => {
      const x = g.node(relu(), g.node(conv(6, 3, { name: 'a' }), g.input([2, 5, 4])));
      return g.node(dense(3, { name: 'c' }), g.node(flatten(), g.node(permute(LAST), x)));
    }),
    columns: (c, p) => p * 6 + c,
  },
];

/** The weights of the one, as those of the other. */
const weightsOf = (from: Network, to: Network, columns?: (c: number, p: number) => number): Network =>
  [...from.parameters.keys()].reduce(
    (before, name) =>
      change(before, name, (values) => {
        const given = data(from, name);
        values.set(given);
        if (columns && name === 'c.weight')
          given.forEach((value, i) => {
            const [o, c, p] = [Math.floor(i / 120), Math.floor((i % 120) / 20), i % 20];
            values[o * 120 + columns(c, p)] = value;
          });
      }),
    to,
  );

describe.each(PAIRS)('$title', ({ first, last, columns }) => {
  const [left, right] = [randomize(first, 1), weightsOf(randomize(first, 1), last, columns)];
  const inputs = randomInputs(left, 24, 3);
  const prunable = (network: Network) => findGroups(network).filter((group) => group.prunable);
  const measured = async (network: Network): Promise<ReadonlyMap<string, GroupStatistics>> =>
    (
      await measureActivations(network, prunable(network), contextOf(network, inputs), {
        ...{ positions: 1000, activity: true, covariances: true },
      })
    ).groups;

  it('the same outputs, groups and columns', async () => {
    expect(largestDifference(await run(left, inputs), await run(right, inputs))).toBeLessThan(1e-5);
    const sizes = (network: Network) =>
      prunable(network).map(({ name, channels, consumers }) => [name, channels, consumers.length]);
    expect(sizes(right)).toEqual(sizes(left));
    expect(sizes(left).length).toBeGreaterThan(0);
  });

  it('the same statistics, error < 1e-4 of each', async () => {
    const [expected, found] = [await measured(left), await measured(right)];
    const close = (a: ArrayLike<number> | undefined, b: ArrayLike<number> | undefined, what: string): void => {
      expect(a?.length, what).toBe(b?.length);
      Array.from(a ?? []).forEach((value, i) => expect(Math.abs(value - b![i]), `${what} ${i}`).toBeLessThan(1e-4));
    };
    for (const [name, { consumers, producers }] of expected) {
      const other = found.get(name)!;
      producers?.forEach(({ zeros }, i) => close(other.producers![i].zeros, zeros, `zeros of ${name}`));
      consumers.forEach(({ mean, deviation, correlation, covariance }, i) => {
        close(other.consumers[i].mean, mean, `mean of ${name}`);
        close(other.consumers[i].deviation, deviation, `deviation of ${name}`);
        close(other.consumers[i].correlation, correlation, `correlation of ${name}`);
        close(other.consumers[i].covariance, covariance, `covariance of ${name}`);
      });
    }
  });

  it('the same function after removal with repair', async () => {
    for (const { name, channels } of prunable(left)) {
      const kept = Array.from({ length: channels - 2 }, (_, i) => i);
      const [a, b] = await Promise.all(
        [left, right].map(async (network) => {
          const { consumers } = (await measured(network)).get(name)!;
          return removeNeurons(network, name, kept, { moments: consumers, repair: true }).network;
        }),
      );
      const before = await run(left, inputs);
      const after = await run(a, inputs);
      expect(largestDifference(after, await run(b, inputs))).toBeLessThan(1e-3);
      expect(largestDifference(after, before)).toBeGreaterThan(1e-3);
    }
  });
});

/** What goes on with channels along the last axis of [5, 4, 6]; every value ends in a layer with weights. */
const BETWEEN: Readonly<Record<string, (g: GraphBuilder, x: string) => readonly string[]>> = {
  'a pointwise layer': (g, x) => [g.node(dense(3), x)],
  'back to a convolution': (g, x) => [g.node(conv(2, 3), g.node(permute(FIRST), x))],
  'turned twice': (g, x) => [g.node(dense(3), g.node(permute([1, 0, 2]), x))],
  'in the middle, reduced around': (g, x) => [
    g.node(dense(3), g.node(reduceMean([0, 2]), g.node(permute([0, 2, 1]), x))),
  ],
  'a constant for each of them': (g, x) => {
    const bias = g.constant({ shape: [6], data: Float32Array.from({ length: 6 }, (_, i) => i / 4 - 0.6) }, 'bias');
    return [g.node(dense(3), g.node(add(), x, bias))];
  },
  'a constant for each of their places': (g, x) => {
    const scale = g.constant({ shape: [4, 6], data: Float32Array.from({ length: 24 }, (_, i) => i / 9 - 1) }, 'scale');
    return [g.node(dense(3), g.node(multiply(), scale, x))];
  },
  'maps and slopes of rows': (g, x) => [
    g.node(dense(3), g.node(prelu(), g.node(affine(0.5, 0.25), g.node(layers.dropout(0), x)))),
  ],
  'a sum of two': (g, x) => [
    g.node(dense(3), g.node(add(), x, g.node(tanh(), g.node(dense(6, { name: 'other' }), x)))),
  ],
  'a gate over places': (g, x) => [
    g.node(dense(3), g.node(multiply(), x, g.node(reduceMean([0, 1], { keep: true }), x))),
  ],
  'side by side': (g, x) => {
    const whole = g.node(concat({ axis: 2 }), x, g.node(dense(5, { name: 'other' }), x));
    return [g.node(dense(3), whole)];
  },
  'one above the other': (g, x) => [g.node(dense(3), g.node(concat({ axis: 0 }), x, g.node(tanh(), x)))],
  'split where they end': (g, x) => {
    const whole = g.node(concat({ axis: 2 }), x, g.node(dense(5, { name: 'other' }), x));
    return g.nodes(split([6, 5], { axis: 2 }), whole).map((part) => g.node(dense(3), part));
  },
  'split over places': (g, x) => g.nodes(split([2, 3], { axis: 0 }), x).map((part) => g.node(dense(3), part)),
  'sliced where they end': (g, x) => {
    const whole = g.node(concat({ axis: 2 }), x, g.node(dense(5, { name: 'other' }), x));
    const second = g.node(slice([1, 0, 6], [2, 2, 5], { steps: [2, 1, 1] }), whole);
    return [g.node(dense(3), second), g.node(dense(2), whole)];
  },
  'padded, gathered and resized': (g, x) => {
    const padded = g.node(pad([1, 0, 0], [0, 2, 0], { mode: 'edge' }), x);
    const resized = g.node(resize([3, 7], { axes: [0, 1], mode: 'cubic' }), padded);
    return [g.node(dense(3), g.node(gather(1, [2, 2, 0]), resized))];
  },
  'stretched over places': (g, x) => [
    g.node(dense(3), g.node(expand([5, 4, 6]), g.node(reduceMean([0], { keep: true }), x))),
  ],
  'places in a row': (g, x) => [g.node(dense(3), g.node(reshape([20, 6]), x))],
  'as a vector': (g, x) => [g.node(dense(3), g.node(flatten(), x))],
  'as a vector and back': (g, x) => [
    g.node(dense(3), g.node(reshape([5, 4, 6]), g.node(tanh(), g.node(reshape([120]), x)))),
  ],
  'as two vectors of places': (g, x) => [g.node(dense(3), g.node(reshape([5, 24]), x))],
  'several as a vector': (g, x) => {
    const whole = g.node(concat({ axis: 2 }), x, g.node(dense(5, { name: 'other' }), x));
    return [g.node(dense(3), g.node(flatten(), whole))];
  },
  'probabilities over places': (g, x) => [g.node(dense(3), g.node(softmax({ axis: 0 }), x))],
};

describe('channels that are last', () => {
  it.each(Object.entries(BETWEEN))('%s: are removed, and nothing else', async (_title, end) => {
    const network = perturbed(
      graph({}, (g) =>
        end(g, g.node(permute(LAST), g.node(relu(), g.node(conv(6, 3, { name: 'first' }), g.input([2, 5, 4]))))),
      ),
    );
    const groups = findGroups(network).filter(({ reason = '' }) => !reason.includes('network output'));
    expect(groups.map(({ name, reason }) => [name, reason])).toEqual(groups.map(({ name }) => [name, undefined]));
    expect(groups[0].name).toBe('first');
    for (const seed of [1, 2, 3]) await expectRemovable(network, seed);
    // Outputs and the input's gradient, in both sets.
    for (const group of groups) {
      const idle = withIdle(network, group, [0, 2]);
      const last = group.channels > 5 ? [5] : [];
      const smaller = removeNeurons(withIdle(idle, group, last), group.name, [1, 3, 4]).network;
      for (const kernels of kernelSets) {
        const [expected, found] = await Promise.all(
          [withIdle(idle, group, last), smaller].map((one) =>
            withTrainer(one, { kernels }, (trainer) => {
              lossOf(trainer);
              return new Map([...readOutputs(trainer), ['gradient', gradientsOf(trainer).get('input')!]]);
            }),
          ),
        );
        for (const [name, values] of expected) expect(relativeDifference(found.get(name)!, values)).toBeLessThan(1e-5);
      }
    }
  });

  it('channels of a convolution spread by a reshape over planes of a smaller size go with all of them', async () => {
    const network = perturbed(
      graph({}, (g) => {
        const x = g.node(conv(4, 3, { name: 'first' }), g.input([2, 6, 4]));
        return g.node(conv(2, 3), g.node(reshape([8, 3, 4]), x));
      }),
    );
    const [{ consumers }] = findGroups(network);
    expect(consumers).toMatchObject([{ first: 0, width: 2 }]);
    await expectRemovable(network, 1);
    const narrow = perturbed(
      graph({}, (g) => {
        const x = g.node(conv(4, 3, { name: 'first' }), g.input([2, 6, 4]));
        return g.node(conv(2, 3), g.node(reshape([4, 6, 4]), g.node(reshape([8, 12]), x)));
      }),
    );
    expect(findGroups(narrow)[0].prunable).toBe(true);
    await expectRemovable(narrow, 1);
    // A measured channel has its two planes apart.
    const statistics = await measureActivations(
      network,
      findGroups(network).slice(0, 1),
      contextOf(network, randomInputs(network, 8, 1)),
    );
    expect(statistics.groups.get('first')!.consumers[0].mean).toHaveLength(8);
  });

  it.each<[string, (g: GraphBuilder, x: string) => string, RegExp]>([
    ['a pool over them', (g, x) => g.node(globalAveragePool(), g.node(maxPool(2), x)), /maxPool .* runs over them/],
    ['a sum over them', (g, x) => g.node(flatten(), g.node(reduceMean([2]), x)), /reduceMean .* runs over them/],
    ['a softmax over them', (g, x) => g.node(flatten(), g.node(softmax(), x)), /softmax .* runs over them/],
    ['standardized over them', (g, x) => g.node(layers.layerNorm(2), x), /layerNorm .* runs over them/],
    ['standardized with places', (g, x) => g.node(layers.groupNorm(5), x), /groupNorm .* runs over them/],
    ['picked', (g, x) => g.node(gather(2, [1, 0]), x), /gather .* picks some of them/],
    [
      'taken by steps',
      (g, x) => g.node(slice([0, 0, 0], [5, 4, 3], { steps: [1, 1, 2] }), x),
      /slice .* takes them by steps/,
    ],
    ['cut in halves', (g, x) => g.node(slice([0, 0, 0], [5, 4, 3]), x), /slice .* cuts them in parts/],
    ['torn', (g, x) => g.node(reshape([8, 15]), x), /reshape .* takes them apart/],
    ['resized', (g, x) => g.node(resize([3]), x), /resize .* mixes them/],
    [
      'joined with channels that are first',
      (g, x) => g.node(add(), x, g.node(conv(5, 1), x)),
      /along another axis|runs over them/,
    ],
  ])('%s: refused by name', (_title, middle, reason) => {
    const network = graph({}, (g) => {
      const x = g.node(permute(LAST), g.node(conv(6, 3, { name: 'first' }), g.input([2, 5, 4])));
      return g.node(dense(3), g.node(flatten(), middle(g, x)));
    });
    const [group] = findGroups(network);
    expect(group.reason).toMatch(reason);
    expect(sizeOf(inferShapes(network).get(network.outputs[0])!)).toBe(3);
  });
});
