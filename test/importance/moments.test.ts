/** Moments of what layers read: a layer's responses are its weights times what it reads, so one tells the other. */
import { describe, expect, test } from 'vitest';
import { stream, normal } from '../../src/base/random.ts';
import { measureMoments, momentsObstacle, openMoments } from '../../src/importance/index.ts';
import type { LayerMoments } from '../../src/importance/index.ts';
import { conv, conv3d, convTranspose, dense, relu, sequential } from '../../src/network/index.ts';
import { weightedLayers } from '../../src/network/shapes.ts';
import type { Network } from '../../src/graph/network.ts';
import {
  chain,
  contextOf,
  data,
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
const networks: Record<string, Network> = {
  chain: chain(),
  residual: residual(),
  parallel: parallel(),
  separable: separable(),
  strided,
  rows,
  volumes,
  widened,
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
      for (const { node, outputs, columns, mean, covariance, responses, taps } of found.values()) {
        const { parameters } = network.nodes.find(({ name }) => name === node)!;
        const weights = data(network, parameters.weight!);
        const bias = parameters.bias === undefined ? undefined : data(network, parameters.bias);
        expect(weights.length).toBe(outputs * columns);
        expect(columns % taps).toBe(0);
        for (let o = 0; o < outputs; o++) {
          let response = bias?.[o] ?? 0;
          for (let j = 0; j < columns; j++) response += weights[o * columns + j] * mean[j];
          expect(Math.abs(responses!.mean[o] - response)).toBeLessThan(1e-5);
          for (let j = 0; j < columns; j++) {
            let cross = 0;
            for (let k = 0; k < columns; k++) cross += weights[o * columns + k] * covariance[k * columns + j];
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
  test('grouped convolutions and what is no layer, with the reason', async () => {
    expect(momentsObstacle(separable(), 'depthwise')).toMatch(/6 groups of filters/);
    expect(momentsObstacle(separable(), 'norm')).toMatch(/no layer/);
    const context = contextOf(separable(), randomInputs(separable(), 4, 1));
    await expect(measureMoments(separable(), ['depthwise'], context)).rejects.toMatchObject({ code: 'UNSUPPORTED' });
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
