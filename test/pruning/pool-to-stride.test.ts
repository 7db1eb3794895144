/** Pools that become strides: shapes stay, what cannot go says why, and the repair makes good what labels would. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  averagePool,
  batchNorm,
  conv,
  dense,
  flatten,
  graph,
  inferShapes,
  maxPool,
  relu,
  sequential,
  softmax,
} from '../../src/network/index.ts';
import type { Network } from '../../src/graph/network.ts';
import { poolToStride } from '../../src/pruning/index.ts';
import { expectError, rejection } from '../container/files.ts';
import { chain, contextOf, randomInputs, randomize, run } from './networks.ts';

const none = {} as never;

test('shapes stay as they are for all sides, paddings, strides and windows, or the pool stays and says why', async () => {
  let [gone, stayed] = [0, 0];
  const side = fc.integer({ min: 5, max: 14 });
  const pair = (min: number, max: number) => fc.tuple(fc.integer({ min, max }), fc.integer({ min, max }));
  await fc.assert(
    fc.asyncProperty(
      fc.record({
        height: side,
        width: side,
        kernel: pair(1, 4),
        stride: pair(1, 2),
        padding: fc.tuple(...[0, 1, 2, 3].map(() => fc.nat(2))) as fc.Arbitrary<[number, number, number, number]>,
        size: pair(1, 3),
        poolStride: pair(1, 3),
        poolPadding: fc.nat(1),
        average: fc.boolean(),
      }),
      async ({ height, width, kernel, stride, padding, size, poolStride, poolPadding, average }) => {
        const pool = { size, stride: poolStride, padding: size.map((s) => Math.min(poolPadding, s - 1)) };
        const pad = [pool.padding[0], pool.padding[1], pool.padding[0], pool.padding[1]] as [
          number,
          number,
          number,
          number,
        ];
        const make = average ? averagePool : maxPool;
        const build = (): Network =>
          sequential({ input: [2, height, width] }, [
            conv(3, kernel, { name: 'conv', stride, padding }),
            relu(),
            make(size, { name: 'pool', stride: poolStride, padding: pad }),
            conv(2, 1, { name: 'head' }),
          ]);
        let network: Network;
        try {
          network = build();
          inferShapes(network);
        } catch {
          return; // Nothing is left of the picture.
        }
        const { network: strided, report } = await poolToStride()(network, none);
        expect(report.replaced.length + report.skipped.length).toBe(1);
        if (report.skipped.length > 0) {
          stayed++;
          expect(strided).toEqual(network);
          return;
        }
        gone++;
        expect(strided.nodes.map(({ kind }) => kind)).toEqual(['conv', 'relu', 'conv']);
        expect(inferShapes(strided).get('head')).toEqual(inferShapes(network).get('head'));
        expect(report.multiplyAddsAfter).toBeLessThanOrEqual(report.multiplyAddsBefore);
      },
    ),
    { numRuns: 200 },
  );
  expect(gone).toBeGreaterThan(20);
  expect(stayed).toBeGreaterThan(5);
});

test('a pool of one place in strides is the stride itself: no output changes', async () => {
  const network = randomize(
    sequential({ input: [2, 9, 9] }, [
      conv(4, 3, { padding: 1 }),
      batchNorm(),
      relu(),
      maxPool(1, { stride: 2 }),
      conv(3, 3),
      flatten(),
      dense(2),
    ]),
    1,
  );
  const { network: strided } = await poolToStride()(network, none);
  const inputs = randomInputs(network, 3, 2);
  expect(await run(strided, inputs)).toEqual(await run(network, inputs));
});

test('without labels, the repair brings outputs much nearer to the original', async () => {
  // Pictures that are smooth, as pictures are: of noise no place tells of its neighbours.
  const network = randomize(
    sequential({ input: [1, 16, 16] }, [
      conv(6, 3, { padding: 1 }),
      relu(),
      maxPool(2),
      conv(6, 3, { padding: 1 }),
      relu(),
      averagePool(2),
      flatten(),
      dense(4),
    ]),
    3,
  );
  const smooth = (count: number, seed: number): Float32Array => {
    const noise = randomInputs(network, count, seed);
    return noise.map((_, i) => {
      const [y, x, n] = [Math.floor(i / 16) % 16, i % 16, Math.floor(i / 256)];
      return (
        noise[256 * n] * Math.sin((y * noise[256 * n + 1]) / 3) +
        noise[256 * n + 2] * Math.cos((x * noise[256 * n + 3]) / 3 + y / 4)
      );
    });
  };
  const inputs = smooth(60, 9);
  const wanted = await run(network, inputs);
  const errorOf = async (one: Network): Promise<number> =>
    (await run(one, inputs)).reduce((sum, value, i) => sum + (value - wanted[i]) ** 2, 0);
  const context = contextOf(network, smooth(200, 1));
  const plain = await poolToStride({ refit: false })(network, context);
  const repaired = await poolToStride()(network, context);
  expect(repaired.report.replaced.map(({ stride }) => stride)).toEqual([
    [2, 2],
    [2, 2],
  ]);
  expect(repaired.report.refitted?.map(({ status }) => status)).toEqual(['refitted', 'refitted', 'refitted']);
  expect(await errorOf(repaired.network)).toBeLessThan(0.3 * (await errorOf(plain.network)));
});

test('what cannot go says why, and is refused where it was asked for', async () => {
  const reasonOf = async (network: Network): Promise<string> =>
    (await poolToStride()(network, none)).report.skipped[0].reason;
  const of = (layers: Parameters<typeof sequential>[1], side = 9): Network =>
    sequential({ input: [2, side, side] }, layers);
  expect(await reasonOf(of([maxPool(2), conv(2, 1)]))).toContain('no convolution');
  expect(await reasonOf(of([conv(2, 1), relu(), maxPool(2)]))).toContain('no padding to leave out');
  expect(await reasonOf(of([conv(2, 3, { padding: 1 }), maxPool(3, { stride: 1 })]))).toContain('nothing to raise');
  expect(await reasonOf(of([conv(2, 3), maxPool(2, { dilation: 2 })]))).toContain('gaps');
  expect(await reasonOf(of([conv(2, 1), softmax(), maxPool(2)], 8))).toContain('a softmax');
  const twice = graph({}, (g) => {
    const x = g.node(conv(2, 3, { name: 'conv', padding: 1 }), g.input([1, 8, 8]));
    return [g.node(maxPool(2), x), x];
  });
  expect(await reasonOf(twice)).toContain('read by others');
  expectError(await rejection(poolToStride({ pools: ['maxPool1'] })(of([conv(2, 1), maxPool(2)]), none)), 'COUPLING');
  await expect(poolToStride({ pools: ['conv1'] })(chain(), none)).rejects.toThrow(RangeError);
});
