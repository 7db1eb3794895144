import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { EspalierError } from '../../src/base/errors.ts';
import { covarianceMatrix } from '../../src/importance/index.ts';
import type { ChannelGroup, ChannelMoments } from '../../src/importance/types.ts';
import { concat, conv, dense, flatten } from '../../src/network/layers.ts';
import { relu } from '../../src/network/functions.ts';
import { graph, sequential } from '../../src/network/build.ts';
import type { Network } from '../../src/graph/network.ts';
import { multiplyAdds, parameterCount } from '../../src/network/shapes.ts';
import { findGroups, removeNeurons } from '../../src/pruning/index.ts';
import { sizeOf } from '../../src/base/tensor.ts';
import {
  chain,
  change,
  data,
  largestDifference,
  parallel,
  randomInputs,
  randomize,
  residual,
  run,
  separable,
  shape,
} from './networks.ts';

const NETWORKS = { chain, residual, parallel, separable };
const prunable = (network: Network): ChannelGroup[] => findGroups(network).filter((group) => group.prunable);

/** Sets every element that the channels own in the consumers to what `edit` makes of it. */
function editColumns(network: Network, group: ChannelGroup, channels: readonly number[], edit: () => number): Network {
  return group.consumers.reduce(
    (edited, { parameter, first, width }) =>
      change(edited, parameter, (values) => {
        const [rows, columns, ...kernel] = shape(edited, parameter);
        const taps = sizeOf(kernel);
        for (let o = 0; o < rows; o++)
          for (const c of channels)
            for (let i = 0; i < width * taps; i++) values[(o * columns + first + c * width) * taps + i] = edit();
      }),
    network,
  );
}

/** A network, one of its prunable groups, and a proper subset of channels to keep. */
const cases = fc
  .record({
    kind: fc.constantFrom(...(Object.keys(NETWORKS) as (keyof typeof NETWORKS)[])),
    seed: fc.nat(1000),
    which: fc.nat(10),
    mask: fc.array(fc.boolean(), { minLength: 8, maxLength: 8 }),
  })
  .map(({ kind, seed, which, mask }) => {
    const network = NETWORKS[kind](seed);
    const groups = prunable(network);
    const group = groups[which % groups.length];
    const channels = Array.from({ length: group.channels }, (_, c) => c);
    const kept = channels.filter((c) => mask[c]);
    if (kept.length === 0) kept.push(seed % group.channels);
    return { network, group, kept, removed: channels.filter((c) => !kept.includes(c)), seed };
  });

describe('removeNeurons', () => {
  test('removing channels whose outgoing weights are zero changes no output (differences < 1e-12 in double)', async () => {
    await fc.assert(
      fc.asyncProperty(cases, async ({ network, group, kept, removed, seed }) => {
        const idle = editColumns(network, group, removed, () => 0);
        const inputs = randomInputs(idle, 3, seed);
        expect(
          largestDifference(await run(idle, inputs), await run(removeNeurons(idle, group.name, kept).network, inputs)),
        ).toBeLessThan(1e-12);
      }),
      { numRuns: 40 },
    );
  });

  test('and with weights that are not zero it does change them', async () => {
    for (const build of Object.values(NETWORKS)) {
      const network = build(3);
      const inputs = randomInputs(network, 3, 1);
      for (const { name } of prunable(network))
        expect(
          largestDifference(
            await run(network, inputs),
            await run(removeNeurons(network, name, [1, 2]).network, inputs),
          ),
          name,
        ).toBeGreaterThan(1e-4);
    }
  });

  test('the thinner network is what the network is with the removed channels zeroed in all consumers', async () => {
    await fc.assert(
      fc.asyncProperty(cases, async ({ network, group, kept, removed, seed }) => {
        const inputs = randomInputs(network, 2, seed);
        expect(
          largestDifference(
            await run(
              editColumns(network, group, removed, () => 0),
              inputs,
            ),
            await run(removeNeurons(network, group.name, kept).network, inputs),
          ),
        ).toBeLessThan(1e-12);
      }),
      { numRuns: 20 },
    );
  });

  test('the order in which channels are named, and removal in one step or two, make no difference', () => {
    fc.assert(
      fc.property(cases, ({ network, group, kept }) => {
        const once = removeNeurons(network, group.name, kept).network;
        const backwards = removeNeurons(network, group.name, [...kept].reverse()).network;
        const half = Array.from({ length: group.channels }, (_, c) => c).filter((c) => kept.includes(c) || c % 2 === 0);
        const twice = removeNeurons(
          removeNeurons(network, group.name, half).network,
          group.name,
          kept.map((c) => half.indexOf(c)),
        ).network;
        expect(backwards).toEqual(once);
        expect(twice).toEqual(once);
      }),
    );
  });

  test('the original is left as it was, and untouched parameters are shared with it', () => {
    fc.assert(
      fc.property(cases, ({ network, group, kept }) => {
        const before = structuredClone(network);
        const thinner = removeNeurons(network, group.name, kept, {
          moments: { mean: new Float64Array(group.channels).fill(1) },
        }).network;
        expect(network).toEqual(before);
        const touched = new Set(
          [...group.rows, ...group.consumers]
            .map(({ parameter }) => parameter)
            .concat(group.consumers.map(({ node }) => `${node}.bias`)),
        );
        for (const [name, encoding] of network.parameters)
          if (!touched.has(name)) expect(thinner.parameters.get(name)).toBe(encoding);
      }),
      { numRuns: 20 },
    );
  });

  test('keeping all channels gives back the very network', () => {
    const network = chain();
    expect(removeNeurons(network, 'conv1', [5, 4, 3, 2, 1, 0]).network).toBe(network);
  });

  test('keeping p of the inputs and q of the outputs leaves p q of the weights, multiply-adds alike', () => {
    const network = sequential({ input: [8] }, [
      dense(16, { name: 'a', bias: false }),
      relu(),
      dense(32, { name: 'b', bias: false }),
      relu(),
      dense(8, { name: 'c', bias: false }),
    ]);
    const first = removeNeurons(network, 'a', [0, 1, 2, 3]);
    const second = removeNeurons(
      first.network,
      'b',
      Array.from({ length: 16 }, (_, c) => 2 * c),
    );
    expect(shape(second.network, 'b.weight')).toEqual([16, 4]);
    expect(parameterCount(second.network)).toBe(8 * 4 + 16 * 32 * (4 / 16) * (16 / 32) + 16 * 8);
    expect(multiplyAdds(second.network)).toBe(parameterCount(second.network));
    expect(first.report).toMatchObject({
      before: 16,
      after: 4,
      removed: [4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
      parametersBefore: 896,
      parametersAfter: 8 * 4 + 4 * 32 + 32 * 8,
    });
    expect(second.report.parametersBefore).toBe(first.report.parametersAfter);
  });

  test("a constant neuron folds into the consumers' biases without changing an output (< 1e-6 per channel: biases are float32), through norms, pools, add, concat and flatten", async () => {
    await fc.assert(
      fc.asyncProperty(cases, async ({ network, group, kept, removed, seed }) => {
        // A padded convolution sees zeros beyond the border instead of the constant: the next test.
        fc.pre(
          group.consumers.every(({ parameter }) =>
            shape(network, parameter)
              .slice(2)
              .every((side) => side === 1),
          ) && group.counts.length === 0,
        );
        const still = group.producers.reduce(
          (edited, producer) =>
            change(edited, `${producer}.weight`, (values) => {
              const columns = values.length / group.channels;
              for (const c of removed) values.fill(0, c * columns, (c + 1) * columns);
            }),
          network,
        );
        const inputs = randomInputs(still, 2, seed);
        const moments: ChannelMoments[] = [];
        for (const { value, first, width } of group.consumers) {
          const seen = await run(still, inputs, value);
          moments.push({ mean: Float64Array.from({ length: group.channels * width }, (_, i) => seen[first + i]) });
        }
        const thinner = removeNeurons(still, group.name, kept, { moments }).network;
        expect(largestDifference(await run(still, inputs), await run(thinner, inputs))).toBeLessThan(
          1e-6 * (1 + removed.length),
        );
      }),
      { numRuns: 40 },
    );
  });

  test('a constant channel folded into a padded 3 x 3 convolution changes nothing in the interior and only the border', async () => {
    const network = change(
      randomize(
        sequential({ input: [1, 7, 7] }, [
          conv(3, 1, { name: 'a' }),
          relu({ name: 'seen' }),
          conv(2, 3, { name: 'b', bias: false }),
        ]),
        4,
      ),
      'a.weight',
      (values) => {
        values[1] = 0;
      },
    );
    const still = change(network, 'a.bias', (values) => {
      values[1] = 0.75;
    });
    const inputs = randomInputs(still, 1, 2);
    const { network: thinner, report } = removeNeurons(still, 'a', [0, 2], { moments: { mean: [9, 0.75, 9] } });
    expect(report).toMatchObject({ folded: true, repaired: false });
    const [before, after] = [await run(still, inputs), await run(thinner, inputs)];
    let border = 0;
    for (let i = 0; i < before.length; i++) {
      const y = Math.floor(i / 7) % 7,
        x = i % 7;
      const difference = Math.abs(before[i] - after[i]);
      if (y > 0 && y < 6 && x > 0 && x < 6) expect(difference).toBeLessThan(1e-6);
      else border = Math.max(border, difference);
    }
    expect(border).toBeGreaterThan(1e-3);
  });

  test('a consumer without bias gains one, under a name that is free', () => {
    const network = sequential({ input: [2] }, [dense(2, { name: 'a' }), dense(1, { name: 'b', bias: false })]);
    const taken: Network = {
      ...network,
      parameters: new Map(network.parameters).set('b.bias', { kind: 'dense', shape: [1], data: new Float32Array(1) }),
    };
    const thinner = removeNeurons(taken, 'a', [0], { moments: { mean: [1, 2] } }).network;
    const name = thinner.nodes[1].parameters.bias ?? '';
    expect(name).toBe('b.bias_');
    expect(data(thinner, name)[0]).toBeCloseTo(2 * data(network, 'b.weight')[1], 6);
    expect(
      removeNeurons(network, 'a', [0], { moments: { mean: [1, 0] } }).network.nodes[1].parameters.bias,
    ).toBeUndefined();
  });

  test('a depthwise convolution follows its input, groups included', () => {
    const thinner = removeNeurons(separable(), 'expand', [0, 3]).network;
    expect(shape(thinner, 'depthwise.weight')).toEqual([2, 1, 3, 3]);
    expect(thinner.nodes.find(({ name }) => name === 'depthwise')?.attributes).toMatchObject({ groups: 2 });
    expect(shape(thinner, 'norm.variance')).toEqual([2]);
  });

  test('any producer of a group names it', () => {
    const network = residual();
    expect(removeNeurons(network, 'conv2', [1, 4])).toEqual(removeNeurons(network, 'conv0', [1, 4]));
  });
});

describe('repair', () => {
  /** Moments of the channels that each consumer sees, over all samples and positions. */
  async function measure(network: Network, group: ChannelGroup, inputs: Float32Array): Promise<ChannelMoments[]> {
    const count = inputs.length / sizeOf(network.inputs[0].shape);
    const moments: ChannelMoments[] = [];
    for (const { value, first, width, parameter } of group.consumers) {
      const seen = await run(network, inputs, value);
      const size = seen.length / count;
      const isConv = shape(network, parameter).length === 4;
      const span = isConv ? size / shape(network, parameter)[1] : width;
      const base = isConv ? first * span : first;
      const rows = new Float64Array(group.channels * count * span);
      for (let c = 0; c < group.channels; c++)
        for (let n = 0; n < count; n++)
          for (let p = 0; p < span; p++) rows[(c * count + n) * span + p] = seen[n * size + base + c * span + p];
      const mean = new Float64Array(group.channels * (isConv ? 1 : width));
      rows.forEach((x, i) => {
        mean[isConv ? Math.floor(i / (count * span)) : Math.floor(i / (count * span)) * span + (i % span)] +=
          x / (isConv ? count * span : count);
      });
      moments.push({ mean, covariance: covarianceMatrix(rows, group.channels, count * span) });
    }
    return moments;
  }

  test('an exact duplicate merges with its twin and no output changes (< 1e-5: weights are float32), through norms, pools, add, concat, depthwise and flatten', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(chain, parallel, residual, separable),
        fc.nat(1000),
        fc.nat(10),
        async (build, seed, which) => {
          const original = build(seed);
          const groups = prunable(original);
          const group = groups[which % groups.length];
          // Channel 2 becomes a copy of channel 0 in everything that makes it.
          const twins = group.rows.reduce(
            (edited, { parameter, first, width }) =>
              change(edited, parameter, (values) => {
                const inner = values.length / shape(edited, parameter)[0];
                values.copyWithin((first + 2 * width) * inner, first * inner, (first + width) * inner);
              }),
            original,
          );
          const inputs = randomInputs(twins, 6, seed);
          const kept = Array.from({ length: group.channels }, (_, c) => c).filter((c) => c !== 2);
          const { network: merged, report } = removeNeurons(twins, group.name, kept, {
            moments: await measure(twins, group, inputs),
            repair: true,
          });
          const dead = (await run(twins, inputs, group.consumers[0].value)).every((x) => x === 0);
          if (!dead) expect(report).toMatchObject({ after: group.channels - 1, repaired: true });
          expect(largestDifference(await run(twins, inputs), await run(merged, inputs))).toBeLessThan(1e-5);
        },
      ),
      { numRuns: 40 },
    );
  });

  test('chains of duplicates: 0 = 2 = 4 merge into the lowest one kept, and a negated one into its opposite', async () => {
    const network = sequential({ input: [3] }, [dense(6, { name: 'a' }), dense(4, { name: 'b' })]);
    const copies = change(randomize(network, 5), 'a.weight', (values) => {
      for (const c of [2, 4]) values.copyWithin(3 * c, 0, 3);
      for (let i = 0; i < 3; i++) values[15 + i] = -values[3 + i]; // 5 = -1 (and another bias)
    });
    const group = findGroups(copies)[0];
    const inputs = randomInputs(copies, 8, 1);
    const moments = await measure(copies, group, inputs);
    const { network: merged, report } = removeNeurons(copies, 'a', [1, 2, 3], { moments, repair: true });
    expect(report.merged).toBe(3);
    expect(largestDifference(await run(copies, inputs), await run(merged, inputs))).toBeLessThan(1e-5);
  });

  test('copies merge also where the kept one contributes next to nothing, and where its column is 0', async () => {
    for (const share of [0, 1e-6]) {
      const network = randomize(
        sequential({ input: [3] }, [dense(4, { name: 'a' }), relu(), dense(2, { name: 'b' })]),
        2,
      );
      const copies = ['a.weight', 'a.bias'].reduce(
        (edited, name) =>
          change(edited, name, (values) => values.copyWithin(0, (values.length * 3) / 4, values.length)),
        change(network, 'b.weight', (values) => [0, 4].forEach((i) => (values[i] *= share))),
      );
      const group = findGroups(copies)[0];
      const inputs = randomInputs(copies, 12, 1);
      const moments = await measure(copies, group, inputs);
      const { network: merged } = removeNeurons(copies, 'a', [0, 1, 2], { moments, repair: true, ridge: 0.1 });
      expect(largestDifference(await run(copies, inputs), await run(merged, inputs))).toBeLessThan(1e-5);
      // Without repair, columns stay as they are.
      const { network: folded } = removeNeurons(copies, 'a', [0, 1, 2], { moments });
      expect(data(folded, 'b.weight')[0]).toBe(data(copies, 'b.weight')[0]);
    }
  });

  test('copies that a convolution reads merge tap by tap, at their place behind a concat', () => {
    const network = randomize(
      graph({}, (g) => {
        const x = g.input([2, 4, 4]);
        const [z, a] = [g.node(conv(2, 1, { name: 'z' }), x), g.node(conv(3, 1, { name: 'a' }), x)];
        return g.node(conv(2, 3, { name: 'b' }), g.node(concat(), z, a));
      }),
      2,
    );
    const copies = change(
      change(network, 'a.weight', (values) => values.copyWithin(0, 4, 6)),
      'a.bias',
      (values) => values.copyWithin(0, 2, 3),
    );
    const moments = { mean: new Float64Array(3), covariance: Float64Array.of(1, 0, 1, 0, 1, 0, 1, 0, 1) };
    const before = data(copies, 'b.weight');
    const after = data(removeNeurons(copies, 'a', [0, 1], { moments, repair: true }).network, 'b.weight');
    for (let o = 0; o < 2; o++)
      for (let c = 0; c < 4; c++)
        for (let t = 0; t < 9; t++) {
          const was = before[(o * 5 + c) * 9 + t] + (c === 2 ? before[(o * 5 + 4) * 9 + t] : 0);
          expect(after[(o * 4 + c) * 9 + t]).toBeCloseTo(was, 6);
        }
  });

  test("never worse than folding the mean: the consumers' pre-activations are nearer to the original on the samples measured", async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(1000), async (seed) => {
        const network = randomize(
          sequential({ input: [6] }, [dense(8, { name: 'a' }), relu(), dense(5, { name: 'b' })]),
          seed,
        );
        const inputs = randomInputs(network, 40, seed);
        const moments = await measure(network, findGroups(network)[0], inputs);
        const original = await run(network, inputs);
        const errorOf = async (options: Parameters<typeof removeNeurons>[3]): Promise<number> =>
          (await run(removeNeurons(network, 'a', [0, 2, 4, 6, 7], options).network, inputs)).reduce(
            (sum, y, i) => sum + (y - original[i]) ** 2,
            0,
          );
        const [repaired, folded, cut] = [
          await errorOf({ moments, repair: true, ridge: 1e-6 }),
          await errorOf({ moments }),
          await errorOf({}),
        ];
        expect(repaired).toBeLessThanOrEqual(folded * (1 + 1e-4) + 1e-9);
        expect(folded).toBeLessThanOrEqual(cut * (1 + 1e-4) + 1e-9);
      }),
      { numRuns: 15 },
    );
  });
});

describe('repair by default', () => {
  // What goes is predicted by what stays but for one part in a hundred: a ridge that is far too large leaves it, one that
  // is far too small gives a channel that hardly fires all the say.
  const network = randomize(sequential({ input: [4] }, [dense(5, { name: 'a' }), dense(3, { name: 'b' })]), 3);
  const group = findGroups(network)[0];
  const even = change(network, 'b.weight', (values) => values.fill(1));
  const meansOf = new Float64Array(5);

  test('follows what is predictable: at most 5 % of a sum of two kept channels is left', () => {
    // 4 = 0 + 1, all of them of variance 1 or 2, the rest apart.
    const covariance = Float64Array.of(1, 0, 0, 0, 1, 0, 1, 0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1, 0, 1, 1, 0, 0, 2);
    const moments = { mean: meansOf, covariance };
    const { network: repaired } = removeNeurons(even, group.name, [0, 1, 2, 3], { moments, repair: true });
    const gained = data(repaired, 'b.weight').map((w) => w - 1);
    for (const o of [0, 4, 8]) {
      for (const c of [0, 1]) expect(gained[o + c]).toBeGreaterThan(0.95);
      for (const c of [2, 3]) expect(Math.abs(gained[o + c])).toBeLessThan(1e-6);
    }
  });

  test('trusts few observations less: below 30 for each kept channel the ridge grows in proportion', () => {
    const covariance = Float64Array.from({ length: 25 }, (_, i) => (i % 6 === 0 ? 1 : 0.3));
    const repaired = (ridge: number, observations?: number): Network =>
      removeNeurons(even, group.name, [0, 1, 2, 3], {
        moments: { mean: meansOf, covariance, ...(observations === undefined ? {} : { observations }) },
        repair: true,
        ridge,
      }).network;
    for (const plenty of [120, 121, 1e6]) expect(repaired(0.01, plenty)).toEqual(repaired(0.01));
    expect(repaired(0.01, 60)).toEqual(repaired(0.02));
    expect(repaired(0.01, 4)).toEqual(repaired(0.3));
    expect(repaired(0.3)).not.toEqual(repaired(0.01));
  });

  test('does not follow a kept channel of a hundredth of the others', () => {
    // Channel 3 has a deviation of 0.01 and a correlation of 0.9 with 4, by chance: followed, it would be multiplied by 90.
    const covariance = new Float64Array(25);
    for (let c = 0; c < 5; c++) covariance[6 * c] = c === 3 ? 1e-4 : 1;
    covariance[19] = covariance[23] = 0.009;
    const { network: repaired } = removeNeurons(even, group.name, [0, 1, 2, 3], {
      moments: { mean: meansOf, covariance },
      repair: true,
    });
    expect(data(repaired, 'b.weight')[3]).toBeLessThan(10);
  });
});

describe('refusals', () => {
  const network = chain();
  const code = (run: () => unknown): string => {
    try {
      run();
    } catch (error) {
      if (error instanceof EspalierError) return `${error.code}: ${error.message}`;
      throw error;
    }
    return 'nothing thrown';
  };

  test('a group that cannot be pruned: COUPLING with the reason', () => {
    expect(code(() => removeNeurons(network, 'dense2', [0]))).toMatch(
      /^COUPLING: removeNeurons: group "dense2".*network output "affine1"/,
    );
  });
  test('an encoded tensor: COUPLING with its name', () => {
    const { shape: sides } = network.parameters.get('dense1.weight') ?? { shape: [] };
    const encoded: Network = {
      ...network,
      parameters: new Map(network.parameters).set('dense1.weight', {
        kind: 'product',
        shape: sides,
        blocks: [],
        codewordPrecision: 'float32',
      }),
    };
    for (const group of ['conv2', 'dense1'])
      expect(code(() => removeNeurons(encoded, group, [0]))).toMatch(/^COUPLING:.*"dense1.weight" is product-encoded/);
  });
  test.each<[string, () => unknown, typeof RangeError | typeof TypeError, RegExp]>([
    [
      'no channel kept',
      () => removeNeurons(network, 'conv1', []),
      RangeError,
      /kept: expected at least one channel of group "conv1"/,
    ],
    [
      'a channel that is not there',
      () => removeNeurons(network, 'conv1', [0, 6]),
      RangeError,
      /whole numbers from 0 to 5, got 6/,
    ],
    ['a fractional channel', () => removeNeurons(network, 'conv1', [0.5]), RangeError, /got 0.5/],
    ['a channel twice', () => removeNeurons(network, 'conv1', [3, 3]), RangeError, /got 3 twice/],
    ['kept is no array', () => removeNeurons(network, 'conv1', 3 as never), TypeError, /kept: expected an array/],
    ['kept is null', () => removeNeurons(network, 'conv1', null as never), TypeError, /kept: expected an array/],
    ['kept has no length', () => removeNeurons(network, 'conv1', {} as never), TypeError, /kept: expected an array/],
    [
      'an unknown group',
      () => removeNeurons(network, 'relu1', [0]),
      RangeError,
      /expected one of "conv1", "conv2", "dense1", "dense2", got "relu1"/,
    ],
    ['a group that is no name', () => removeNeurons(network, 7 as never, [0]), TypeError, /expected the name/],
    [
      'means of another length',
      () => removeNeurons(network, 'conv1', [0], { moments: { mean: [1] } }),
      RangeError,
      /expected 6 means for consumer "conv2", got 1/,
    ],
    [
      'moments for another number of consumers',
      () => removeNeurons(network, 'conv1', [0], { moments: [] }),
      RangeError,
      /each of the 1 consumers/,
    ],
    [
      'repair without moments',
      () => removeNeurons(network, 'conv1', [0], { repair: true }),
      TypeError,
      /measureActivations/,
    ],
    [
      'repair without covariance',
      () => removeNeurons(network, 'conv1', [0], { repair: true, moments: { mean: new Float64Array(6) } }),
      RangeError,
      /6 x 6 covariances/,
    ],
  ])('%s', (_what, run, kind, text) => {
    expect(run).toThrow(kind);
    expect(run).toThrow(text);
  });
  test('means that are not finite: NONFINITE with the consumer', () => {
    expect(code(() => removeNeurons(network, 'conv1', [0], { moments: { mean: [0, 1, NaN, 0, 0, 0] } }))).toMatch(
      /^NONFINITE:.*consumer "conv2"/,
    );
  });
  test('a network of one layer with flatten keeps its column order: channel c owns c H W ... c H W + H W - 1', () => {
    const flat = sequential({ input: [1, 2, 2] }, [conv(3, 1, { name: 'a' }), flatten(), dense(1, { name: 'b' })]);
    const numbered = change(flat, 'b.weight', (values) =>
      values.forEach((_, i) => {
        values[i] = i;
      }),
    );
    expect([...data(removeNeurons(numbered, 'a', [0, 2]).network, 'b.weight')]).toEqual([0, 1, 2, 3, 8, 9, 10, 11]);
  });
});
