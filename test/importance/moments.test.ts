/** Moments of what layers read: a layer's responses are its weights times what it reads, so one tells the other. */
import { describe, expect, test } from 'vitest';
import { stream, normal } from '../../src/base/random.ts';
import { measureMoments, momentsObstacle, openMoments } from '../../src/importance/index.ts';
import type { LayerMoments } from '../../src/importance/index.ts';
import { add, conv, conv3d, convTranspose, dense, graph, relu, sequential } from '../../src/network/index.ts';
import { weightedLayers } from '../../src/network/shapes.ts';
import type { Network } from '../../src/graph/network.ts';
import {
  chain,
  change,
  contextOf,
  data,
  largestDifference,
  parallel,
  randomInputs,
  randomize,
  residual,
  separable,
  shape,
} from '../pruning/networks.ts';

const strided = randomize(
  sequential({ input: [3, 9, 7] }, [
    conv(4, 3, { stride: 2, padding: 0 }),
    relu(),
    conv(5, 3, { dilation: 2 }),
    relu(),
  ]),
  3,
);
const rows = randomize(sequential({ input: [3, 4, 5] }, [dense(6), relu(), dense(2)]), 4);
const volumes = randomize(sequential({ input: [2, 4, 5, 3] }, [conv3d(3, 2), relu(), conv3d(2, 2, { padding: 0 })]), 5);
const widened = randomize(
  sequential({ input: [3, 4, 3] }, [
    convTranspose(4, 3, { stride: 2, padding: 1 }),
    relu(),
    convTranspose(2, 2, { stride: 2 }),
  ]),
  6,
);
const grouped = randomize(
  sequential({ input: [4, 5, 4] }, [
    conv(6, 3, { groups: 2 }),
    relu(),
    convTranspose(9, 3, { stride: 2, groups: 3 }),
    relu(),
    conv(9, 3, { groups: 9, stride: 2 }),
  ]),
  7,
);
const networks: Record<string, Network> = {
  chain: chain(),
  residual: residual(),
  parallel: parallel(),
  separable: separable(),
  strided,
  rows,
  volumes,
  widened,
  grouped,
};

/** Of every layer that has moments, with itself as the reference. */
async function measured(network: Network, options = {}, count = 40): Promise<Map<string, LayerMoments>> {
  const meter = await openMoments('test', network, contextOf(network, randomInputs(network, count, 7)), options);
  const layers = weightedLayers(network).filter(({ name }) => momentsObstacle(network, name) === undefined);
  return meter.measure(
    network,
    layers.map(({ name, weight }) => ({ node: name, rows: [...Array(shape(network, weight)[0]).keys()] })),
  );
}

describe.each(Object.entries(networks))('%s', (_name, network) => {
  test.each([{}, { positions: 3 }, { positions: 1000, batch: 7 }, { samples: 11, batch: 4 }])(
    'responses are weights times moments, whatever is drawn: mean and cross (1e-5), %o',
    async (options) => {
      const found = await measured(network, options);
      expect(found.size).toBeGreaterThan(1);
      for (const { node, outputs, columns, groups, mean, covariance, responses, taps } of found.values()) {
        const { parameters } = network.nodes.find(({ name }) => name === node)!;
        const weights = data(network, parameters.weight!);
        const bias = parameters.bias === undefined ? undefined : data(network, parameters.bias);
        expect(weights.length).toBe(outputs * columns);
        expect(columns % taps).toBe(0);
        for (let o = 0; o < outputs; o++) {
          const group = Math.floor((o * groups) / outputs) * columns;
          let response = bias?.[o] ?? 0;
          for (let j = 0; j < columns; j++) response += weights[o * columns + j] * mean[group + j];
          expect(Math.abs(responses!.mean[o] - response)).toBeLessThan(1e-5);
          for (let j = 0; j < columns; j++) {
            let cross = 0;
            for (let k = 0; k < columns; k++) cross += weights[o * columns + k] * covariance[(group + k) * columns + j];
            expect(Math.abs(responses!.cross[o * columns + j] - cross)).toBeLessThan(1e-5);
          }
        }
      }
    },
  );
});

test('columns are the inputs at each tap, zeros in the padding: a convolution by hand', async () => {
  const network = sequential({ input: [1, 2, 2] }, [conv(1, 3)]);
  const inputs = Float32Array.from([1, 2, 3, 4, 5, 6, 7, 8]);
  const { mean, covariance, observations } = (await measureMoments(network, ['conv1'], contextOf(network, inputs))).get(
    'conv1',
  )!;
  expect(observations).toBe(8);
  // Tap (0, 0) reads above and left of the output: inside for the last position alone, where it sees the first pixel.
  const seen = [0, 0, 0, 1, 0, 0, 0, 5];
  const average = 6 / 8;
  expect(mean[0]).toBeCloseTo(average, 12);
  expect(covariance[0]).toBeCloseTo(seen.reduce((sum, x) => sum + (x - average) ** 2, 0) / 8, 12);
  // The middle tap sees every pixel.
  expect(mean[4]).toBeCloseTo(4.5, 12);
  expect(covariance[4 * 9 + 4]).toBeCloseTo(5.25, 12);
});

test('more observations than a chunk, around a mean 1e6 times their spread: as two passes in double (1e-6)', async () => {
  const network = sequential({ input: [3] }, [dense(2)]);
  const draw = stream(1, 'far');
  const inputs = Float32Array.from({ length: 3 * 1500 }, () => 4096 + Math.round(8 * normal(draw)) / 1024);
  const { mean, covariance, observations } = (
    await measureMoments(network, ['dense1'], contextOf(network, inputs), { samples: 1500 })
  ).get('dense1')!;
  expect(observations).toBe(1500);
  for (let i = 0; i < 3; i++) {
    const column = (c: number): number[] => Array.from({ length: 1500 }, (_, n) => inputs[n * 3 + c]);
    const average = (x: number[]): number => x.reduce((sum, value) => sum + value, 0) / x.length;
    expect(Math.abs(mean[i] - average(column(i)))).toBeLessThan(1e-9);
    for (let j = 0; j < 3; j++) {
      const [a, b] = [column(i), column(j)];
      const [ma, mb] = [average(a), average(b)];
      const expected = average(a.map((x, n) => (x - ma) * (b[n] - mb)));
      expect(Math.abs(covariance[i * 3 + j] - expected) / covariance[0]).toBeLessThan(1e-6);
    }
  }
});

test('variances alone are those on the diagonal', async () => {
  const network = chain();
  const meter = await openMoments('test', network, contextOf(network, randomInputs(network, 60, 2)));
  const [whole] = (await meter.measure(network, [{ node: 'conv2' }])).values();
  const [alone] = (await meter.measure(network, [{ node: 'conv2', covariance: false }])).values();
  expect(alone.covariance.length).toBe(0);
  expect(alone.variance).toEqual(whole.variance);
  whole.variance.forEach((value, j) => expect(value).toBeCloseTo(whole.covariance[j * whole.columns + j], 12));
});

test('a channel that is read alone has the moments that a convolution of this one channel has', async () => {
  const deep = randomize(sequential({ input: [3, 5, 5] }, [conv(3, 3, { groups: 3 })]), 2);
  const inputs = randomInputs(deep, 30, 4);
  const all = (await measureMoments(deep, ['conv1'], contextOf(deep, inputs), { positions: 25 })).get('conv1')!;
  const one = sequential({ input: [1, 5, 5] }, [conv(1, 3)]);
  for (let c = 0; c < 3; c++) {
    const plane = Float32Array.from(
      { length: 30 * 25 },
      (_, i) => inputs[(Math.floor(i / 25) * 3 + c) * 25 + (i % 25)],
    );
    const alone = (await measureMoments(one, ['conv1'], contextOf(one, plane), { positions: 25 })).get('conv1')!;
    expect(all.mean.slice(9 * c, 9 * c + 9)).toEqual(alone.mean);
    expect(all.covariance.slice(81 * c, 81 * c + 81)).toEqual(alone.covariance);
  }
});

describe('a residual branch', () => {
  /** conv0 -> (conv1 -> relu -> conv2) + conv0, the skip first or last among the addends. */
  const branched = (skip: 'first' | 'last'): Network =>
    randomize(
      graph({}, (g) => {
        const x = g.node(conv(3, 3, { name: 'conv0' }), g.input([2, 6, 6]));
        const y = g.node(conv(3, 3, { name: 'conv2' }), g.node(relu(), g.node(conv(4, 3, { name: 'conv1' }), x)));
        const sum = g.node(add({ name: 'sum' }), ...(skip === 'first' ? ([x, y] as const) : ([y, x] as const)));
        return g.node(conv(2, 1, { name: 'head' }), sum);
      }),
      4,
    );

  test.each(['first', 'last'] as const)('is asked for what the skip, which comes %s, lacks', async (skip) => {
    const network = branched(skip);
    const moved = {
      ...network,
      parameters: new Map(network.parameters).set('conv0.bias', {
        kind: 'dense',
        shape: [3],
        data: data(network, 'conv0.bias').map((value, o) => value + o + 1),
      } as const),
    };
    const context = contextOf(network, randomInputs(network, 20, 3));
    const rows = { conv1: [0, 1, 2, 3], conv2: [0, 1, 2] };
    const meter = await openMoments('test', network, context);
    const requests = (['conv1', 'conv2'] as const).map((node) => ({ node, rows: rows[node] }));
    const before = await meter.measure(network, requests);
    const after = await meter.measure(moved, requests);
    // Each channel of the skip is further up by its number: so much less is wanted of the branch.
    before.get('conv2')!.responses!.mean.forEach((mean, o) => {
      expect(Math.abs(after.get('conv2')!.responses!.mean[o] - (mean - o - 1))).toBeLessThan(1e-5);
    });
    // Of what no sum reads the response is the reference's own.
    expect(after.get('conv1')!.responses!.mean).toEqual(before.get('conv1')!.responses!.mean);
  });

  test('of which the other addend is made later is asked for its own response alone', async () => {
    const network = branched('first');
    const [conv0, conv1, act, conv2, ...rest] = network.nodes;
    const late = { ...conv2, name: 'late', parameters: { weight: 'conv2.weight', bias: 'conv2.bias' } };
    const summed = rest.map((node) => (node.name === 'sum' ? { ...node, inputs: ['conv2', 'late'] } : node));
    const twins: Network = { ...network, nodes: [conv0, conv1, act, conv2, late, ...summed] };
    const meter = await openMoments('test', twins, contextOf(twins, randomInputs(twins, 20, 3)), { positions: 36 });
    const doubled = { ...twins, parameters: new Map(twins.parameters) };
    doubled.parameters.set('conv2.bias', {
      kind: 'dense',
      shape: [3],
      data: data(twins, 'conv2.bias').map((value) => value + 1),
    });
    const found = await meter.measure(doubled, [
      { node: 'conv2', rows: [0, 1, 2] },
      { node: 'late', rows: [0, 1, 2] },
    ]);
    const [early, after] = [found.get('conv2')!.responses!.mean, found.get('late')!.responses!.mean];
    early.forEach((mean, o) => expect(Math.abs(after[o] - (mean - 1))).toBeLessThan(1e-5));
  });
});

describe('what is kept between measurements', () => {
  test.each(Object.entries({ ...networks, residual: residual() }))(
    'changes nothing: %s, layer after layer as they change, forwards and back (1e-6)',
    async (_name, network) => {
      const context = contextOf(network, randomInputs(network, 23, 7));
      const options = { positions: 5, batch: 4 };
      const layers = weightedLayers(network);
      const walk = async (memory: number): Promise<Float64Array[]> => {
        const meter = await openMoments('test', network, context, { ...options, memory });
        let now = network;
        const found: Float64Array[] = [];
        for (const { name, weight } of [...layers, ...layers.toReversed()]) {
          const rows = [...Array(shape(network, weight)[0]).keys()];
          const { mean, covariance, responses } = (await meter.measure(now, [{ node: name, rows }])).get(name)!;
          found.push(mean, covariance, responses!.mean, responses!.cross);
          now = change(now, weight, (values) => values.forEach((value, i) => (values[i] = value * 0.9)));
        }
        return found;
      };
      const [anew, kept, little] = await Promise.all([0, 2 ** 24, 2 ** 14].map(walk));
      anew.forEach((values, i) => {
        expect(largestDifference(kept[i], values)).toBeLessThan(1e-6);
        expect(largestDifference(little[i], values)).toBeLessThan(1e-6);
      });
    },
  );

  test('saves the passes: every node is run once for a walk over all layers', async () => {
    const network = chain();
    let read = 0;
    const context = contextOf(network, randomInputs(network, 20, 7));
    const training = context.training!;
    const counted = {
      ...context,
      training: {
        ...training,
        read: (...given: Parameters<typeof training.read>) => (read++, training.read(...given)),
      },
    };
    const reads = async (memory: number): Promise<number> => {
      read = 0;
      const meter = await openMoments('test', network, counted, { batch: 20, memory });
      for (const { name } of weightedLayers(network)) await meter.measure(network, [{ node: name }]);
      return read;
    };
    expect(await reads(0)).toBe(weightedLayers(network).length);
    expect(await reads(2 ** 24)).toBe(1);
  });
});

test('the same seed gives the same moments, another one others; threads change nothing', async () => {
  const network = chain();
  const inputs = randomInputs(network, 60, 2);
  const of = async (more: object): Promise<unknown> =>
    (await measureMoments(network, ['conv2'], contextOf(network, inputs, more), { samples: 20, positions: 2 })).get(
      'conv2',
    );
  expect(await of({ seed: 3 })).toEqual(await of({ seed: 3, threads: 2 }));
  expect(await of({ seed: 3 })).not.toEqual(await of({ seed: 4 }));
});

describe('refused', () => {
  test('what is no layer, with the reason', async () => {
    expect(momentsObstacle(separable(), 'norm')).toMatch(/no layer/);
    const context = contextOf(separable(), randomInputs(separable(), 4, 1));
    await expect(measureMoments(separable(), ['norm'], context)).rejects.toMatchObject({ code: 'UNSUPPORTED' });
  });
  test('no data, an empty set, activations that are not finite', async () => {
    const network = chain();
    const context = contextOf(network, randomInputs(network, 4, 1));
    const { training: _none, ...without } = context;
    await expect(measureMoments(network, ['conv1'], without)).rejects.toMatchObject({ code: 'DATA' });
    await expect(
      measureMoments(network, ['conv1'], { ...context, training: { ...context.training!, count: 0 } }),
    ).rejects.toMatchObject({ code: 'DATA' });
    const diverged = {
      ...network,
      parameters: new Map(network.parameters).set('conv1.bias', {
        kind: 'dense',
        shape: [6],
        data: new Float32Array(6).fill(Infinity),
      } as const),
    };
    await expect(measureMoments(diverged, ['conv2'], context)).rejects.toThrow(
      /layer "conv2": expected finite activations/,
    );
  });
  test('aborted: with the reason of the signal', async () => {
    const network = chain();
    const context = contextOf(network, randomInputs(network, 4, 1), { signal: AbortSignal.abort(new Error('enough')) });
    await expect(measureMoments(network, ['conv1'], context)).rejects.toThrow('enough');
  });
});
