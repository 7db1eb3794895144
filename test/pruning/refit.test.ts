/** Full least-squares repair: what it leaves alone, what it makes good, and in which units. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { DenseEncoding } from '../../src/encodings/types.ts';
import type { Network } from '../../src/graph/network.ts';
import { openMoments } from '../../src/importance/index.ts';
import type { LayerMoments } from '../../src/importance/index.ts';
import { add, conv, dense, globalAveragePool, graph, relu, sequential } from '../../src/network/index.ts';
import { findGroups, prune, refitLayers, refitWeights } from '../../src/pruning/index.ts';
import vectors from '../vectors/least_squares.json' with { type: 'json' };
import {
  chain,
  change,
  contextOf,
  data,
  largestDifference,
  parallel,
  randomInputs,
  randomize,
  rescale,
  residual,
  run,
  separable,
  shape,
} from './networks.ts';

const numpy = (ridge = vectors.ridge): { moments: LayerMoments; ridge: number } => ({
  moments: {
    node: 'layer',
    outputs: vectors.outputs,
    columns: vectors.columns,
    taps: vectors.taps,
    groups: 1,
    observations: vectors.observations,
    mean: Float64Array.from(vectors.mean),
    variance: Float64Array.from({ length: vectors.columns }, (_, j) => vectors.covariance[j * vectors.columns + j]),
    covariance: Float64Array.from(vectors.covariance),
    responses: { mean: Float64Array.from(vectors.responseMean), cross: Float64Array.from(vectors.cross) },
  },
  ridge,
});

describe('refitWeights', () => {
  test('agrees with numpy.linalg.solve to 1e-9', () => {
    const { moments, ridge } = numpy();
    const { weights, bias } = refitWeights(vectors.weights, moments, ridge);
    expect(largestDifference(weights, vectors.refitted)).toBeLessThan(1e-9);
    expect(largestDifference(bias, vectors.bias)).toBeLessThan(1e-9);
  });

  test('of a depthwise convolution agrees with numpy.linalg.lstsq channel by channel, to 1e-9', () => {
    const { groups, taps, mean, covariance, responseMean, cross, weights, refitted, bias } = vectors.depthwise;
    const moments: LayerMoments = {
      ...{ node: 'layer', outputs: groups, columns: taps, taps, groups, observations: vectors.observations },
      mean: Float64Array.from(mean),
      variance: Float64Array.from({ length: groups * taps }, (_, j) => covariance[j * taps + (j % taps)]),
      covariance: Float64Array.from(covariance),
      responses: { mean: Float64Array.from(responseMean), cross: Float64Array.from(cross) },
    };
    const found = refitWeights(weights, moments, vectors.ridge);
    expect(largestDifference(found.weights, refitted)).toBeLessThan(1e-9);
    expect(largestDifference(found.bias, bias)).toBeLessThan(1e-9);
  });

  test('groups that read the same are refitted as the layer without groups is', () => {
    const { moments, ridge } = numpy();
    const twice = (values: Float64Array): Float64Array => Float64Array.from([...values, ...values]);
    const { mean, cross } = moments.responses!;
    const both: LayerMoments = {
      ...{ ...moments, groups: 2, outputs: 2 * vectors.outputs },
      ...{ mean: twice(moments.mean), variance: twice(moments.variance), covariance: twice(moments.covariance) },
      responses: { mean: twice(mean), cross: twice(cross) },
    };
    const one = refitWeights(vectors.weights, moments, ridge);
    const found = refitWeights([...vectors.weights, ...vectors.weights], both, ridge);
    expect(found).toEqual({ weights: twice(one.weights), bias: twice(one.bias) });
  });

  test('a large ridge keeps the weights, and the bias still takes the mean', () => {
    const { moments } = numpy();
    const { weights, bias } = refitWeights(vectors.weights, moments, 1e12);
    expect(largestDifference(weights, vectors.weights)).toBeLessThan(1e-9);
    const { mean, responses } = moments;
    for (let o = 0; o < vectors.outputs; o++) {
      const heard = mean.reduce((sum, value, j) => sum + value * weights[o * vectors.columns + j], 0);
      expect(bias[o]).toBeCloseTo(responses!.mean[o] - heard, 9);
    }
  });

  test('fewer observations than 4 a column damp in proportion', () => {
    const { moments, ridge } = numpy();
    const few = { ...moments, observations: 24 };
    expect(refitWeights(vectors.weights, few, ridge)).toEqual(refitWeights(vectors.weights, moments, 2 * ridge));
  });

  test('constant and unread columns keep their weights, and nothing becomes NaN', () => {
    const { moments, ridge } = numpy();
    const { columns, taps } = vectors;
    const covariance = moments.covariance.map((value, i) =>
      i % columns === 4 || Math.floor(i / columns) === 4 ? 0 : value,
    );
    const variance = moments.variance.with(4, 0);
    const cross = moments.responses!.cross.map((value, i) => (i % columns === 4 ? 0 : value));
    const weights = vectors.weights.map((value, i) => (i % columns < taps ? 0 : value));
    const found = refitWeights(
      weights,
      { ...moments, covariance, variance, responses: { ...moments.responses!, cross } },
      ridge,
    );
    found.weights.forEach((value, i) => {
      expect(Number.isFinite(value)).toBe(true);
      if (i % columns < taps || i % columns === 4) expect(value).toBe(weights[i]);
      else expect(value).not.toBe(weights[i]);
    });
    const silent = {
      ...moments,
      covariance: new Float64Array(columns ** 2),
      variance: new Float64Array(columns),
      responses: { ...moments.responses!, cross: new Float64Array(cross.length) },
    };
    expect([...refitWeights(weights, silent, ridge).weights]).toEqual(weights);
  });

  test('refused: no responses, a ridge of 0, moments that are none', () => {
    const { moments } = numpy();
    const { responses: _none, ...without } = moments;
    expect(() => refitWeights(vectors.weights, without)).toThrow(/expected responses of a reference/);
    expect(() => refitWeights(vectors.weights, moments, 0)).toThrow(/refitWeights: ridge/);
    const covariance = moments.covariance.map((value, i) => (i === 1 || i === vectors.columns ? 1e6 : value));
    expect(() => refitWeights(vectors.weights, { ...moments, covariance })).toThrow(/not positive definite/);
  });
});

const networks: Record<string, () => Network> = { chain, residual, parallel, separable };
const allRows = (network: Network): Map<string, number[]> =>
  new Map(
    network.nodes.flatMap(({ name, parameters: { weight } }) =>
      weight === undefined ? [] : [[name, [...Array(shape(network, weight)[0]).keys()]] as const],
    ),
  );

describe.each(Object.entries(networks))('%s', (_name, make) => {
  const network = make();
  const inputs = randomInputs(network, 200, 5);
  const context = contextOf(network, inputs);
  const probe = randomInputs(network, 16, 6);

  test('with nothing removed nothing changes, outputs to 1e-5', async () => {
    const first = [...network.parameters.keys()][0];
    // The same values under another object: every layer behind it is taken to have heard of a change.
    const copy = change(network, first, () => undefined);
    const meter = await openMoments('test', network, context);
    const { network: same, reports } = await refitLayers(copy, network, meter, allRows(network));
    expect(reports.filter(({ status }) => status === 'refitted').length).toBeGreaterThan(0);
    expect(largestDifference(await run(same, probe), await run(network, probe))).toBeLessThan(1e-5);
  });

  test('outputs are nearer to the original than with repair per channel, for random channels', async () => {
    const before = await run(network, probe);
    let [gained, lost] = [0, 0];
    for (const seed of [1, 2, 3, 4]) {
      const options = { criterion: 'random', scoring: { seed }, keep: 0.6 } as const;
      const distance = async (refit: boolean): Promise<number> => {
        const after = await run((await prune({ ...options, refit })(network, context)).network, probe);
        return Math.sqrt(after.reduce((sum, value, i) => sum + (value - before[i]) ** 2, 0));
      };
      gained += await distance(true);
      lost += await distance(false);
    }
    expect(gained).toBeLessThan(lost);
  });
});

test('a duplicated channel that goes is made good exactly (1e-5), through convolutions, a flatten and a skip', async () => {
  for (const [make, group, weight] of [
    [chain, 'conv1', 'conv1.weight'],
    [chain, 'conv2', 'conv2.weight'],
    [chain, 'dense1', 'dense1.weight'],
    [residual, 'conv1', 'conv1.weight'],
  ] as const) {
    let network = make();
    const [rows, ...rest] = shape(network, weight);
    const length = rest.reduce((product, side) => product * side, 1);
    const { rows: own } = findGroups(network).find(({ name }) => name === group)!;
    for (const { parameter } of own) {
      const run = data(network, parameter).length / rows;
      network = change(network, parameter, (values) => values.copyWithin(run, 0, run));
    }
    expect(data(network, weight).subarray(0, length)).toEqual(data(network, weight).subarray(length, 2 * length));
    const inputs = randomInputs(network, 200, 5);
    const probe = randomInputs(network, 16, 6);
    // Of the two the criterion keeps one: its scores say so.
    const criterion = (): Float64Array => Float64Array.from({ length: rows }, (_, c) => (c === 1 ? 0 : 1));
    const { network: thinner, report } = await prune({ criterion, keep: { [group]: (rows - 1) / rows }, refit: true })(
      network,
      contextOf(network, inputs),
    );
    expect(report.refitted!.length).toBeGreaterThan(0);
    expect(shape(thinner, weight)[0]).toBe(rows - 1);
    expect(largestDifference(await run(thinner, probe), await run(network, probe))).toBeLessThan(1e-5);
  }
});

test('channels in other units give the same outputs (1e-6)', async () => {
  const plain = randomize(
    sequential({ input: [2, 6, 6] }, [
      conv(8, 3),
      relu(),
      conv(6, 3),
      relu(),
      globalAveragePool(),
      dense(9),
      relu(),
      dense(3),
    ]),
    8,
  );
  const inputs = randomInputs(plain, 200, 5);
  const probe = randomInputs(plain, 16, 6);
  const outputs = async (network: Network): Promise<Float64Array> => {
    const { network: thinner } = await prune({ keep: 0.5, refit: true })(network, contextOf(network, inputs));
    return run(thinner, probe);
  };
  const expected = await outputs(plain);
  await fc.assert(
    fc.asyncProperty(fc.nat(), async (seed) => {
      const other = rescale(plain, (group, c) => 2 ** (((c * 7 + group.length * 3 + seed) % 9) - 4));
      expect(largestDifference(await outputs(other), expected)).toBeLessThan(1e-6);
    }),
    { numRuns: 5 },
  );
});

test('every consumer of a skip is refitted, and what cannot be is named with the reason', async () => {
  const network = residual();
  const context = contextOf(network, randomInputs(network, 100, 5));
  const { report } = await prune({ keep: { conv0: 0.5 }, refit: true })(network, context);
  expect(report.refitted!.map(({ layer, status }) => [layer, status])).toEqual([
    ['conv1', 'refitted'],
    ['conv2', 'refitted'],
    ['head', 'refitted'],
  ]);
  const encoded: Network = {
    ...network,
    parameters: new Map(network.parameters).set('head.weight', {
      ...(network.parameters.get('head.weight') as DenseEncoding),
    }),
  };
  expect(
    (await prune({ keep: { conv1: 0.5 }, refit: true })(encoded, context)).report.refitted!.map(({ layer }) => layer),
  ).toEqual(['conv2', 'head']);

  const deep = separable();
  const { report: through } = await prune({ keep: { expand: 0.5 }, refit: true })(
    deep,
    contextOf(deep, randomInputs(deep, 100, 5)),
  );
  expect(through.refitted).toEqual([
    { layer: 'depthwise', status: 'refitted' },
    { layer: 'project', status: 'refitted' },
    { layer: 'head', status: 'refitted' },
  ]);
});

test('a layer that shares its weight is left as it is', async () => {
  const network = randomize(
    graph({}, (g) => {
      const x = g.node(relu(), g.node(conv(5, 3, { name: 'first' }), g.input([2, 6, 6])));
      const y = g.node(relu(), g.node(conv(4, 1, { name: 'second' }), x));
      const [a, b] = ['third', 'fourth'].map((name) => g.node(conv(4, 1, { name }), y));
      return g.node(dense(3, { name: 'head' }), g.node(globalAveragePool(), g.node(add(), a, b)));
    }),
    2,
  );
  const shared: Network = {
    ...network,
    nodes: network.nodes.map((node) =>
      node.name === 'fourth' ? { ...node, parameters: { weight: 'third.weight', bias: 'fourth.bias' } } : node,
    ),
    parameters: new Map([...network.parameters].filter(([name]) => name !== 'fourth.weight')),
  };
  const { report } = await prune({ keep: { first: 0.6 }, refit: true })(
    shared,
    contextOf(shared, randomInputs(shared, 100, 5)),
  );
  expect(report.refitted!.filter(({ status }) => status === 'left')).toEqual(
    ['third', 'fourth'].map((layer) => ({
      layer,
      status: 'left',
      reason: 'its weight "third.weight" is shared by "third", "fourth"',
    })),
  );
  expect(report.refitted!.filter(({ status }) => status === 'refitted').map(({ layer }) => layer)).toEqual([
    'second',
    'head',
  ]);
});
