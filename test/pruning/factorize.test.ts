/** Low-rank factors: nothing lost at full rank, parameters as promised, errors as NumPy's singular values say, and never worse than those on what the layer hears. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { measureMoments } from '../../src/importance/index.ts';
import { conv, dense, flatten, graph, parameterCount, relu, sequential } from '../../src/network/index.ts';
import type { Network } from '../../src/graph/network.ts';
import { factorize, factorizeLayer } from '../../src/pruning/index.ts';
import type { FactorForm } from '../../src/pruning/index.ts';
import vectors from '../vectors/low_rank.json' with { type: 'json' };
import { expectCode, rejection, expectError } from '../container/files.ts';
import {
  change,
  contextOf,
  data,
  largestDifference,
  randomInputs,
  randomize,
  run,
  separable,
  shape,
} from './networks.ts';

/** A strided, padded, spread convolution of 3 x 4 in the middle. */
const network = (seed = 1): Network =>
  randomize(
    sequential({ input: [2, 11, 9] }, [
      conv(5, 3, { name: 'a', padding: 1 }),
      relu(),
      conv(6, [3, 4], { name: 'b', stride: [2, 1], padding: [1, 2, 0, 1], dilation: [1, 2], bias: seed % 2 === 0 }),
      relu(),
      flatten(),
      dense(7, { name: 'c' }),
      dense(3, { name: 'd' }),
    ]),
    seed,
  );
const FORMS: readonly [string, FactorForm, number][] = [
  ['b', 'channels', 6],
  ['b', 'spatial', 15],
  ['c', 'channels', 7],
  ['a', 'channels', 5],
  ['a', 'spatial', 6],
];
const momentsOf = async (of: Network, layer: string, count = 12) =>
  (await measureMoments(of, [layer], contextOf(of, randomInputs(of, count, 3)), { positions: 200 })).get(layer)!;

test.each(FORMS)(
  '%s: %s of full rank %i change no output, with data or without: relative error < 1e-5',
  async (layer, form, rank) => {
    for (const seed of [1, 2]) {
      const original = network(seed);
      const inputs = randomInputs(original, 3, 9);
      const before = await run(original, inputs);
      for (const moments of [undefined, await momentsOf(original, layer)]) {
        const { network: factors, report } = factorizeLayer(original, layer, { rank, form }, moments);
        expect(factors.nodes.length).toBe(original.nodes.length + 1);
        expect(report.error!).toBeLessThan(1e-9);
        const scale = largestDifference(
          before,
          before.map(() => 0),
        );
        expect(largestDifference(await run(factors, inputs), before)).toBeLessThan(1e-5 * scale);
      }
      expect(() => factorizeLayer(original, layer, { rank: rank + 1, form })).toThrow(RangeError);
    }
  },
);

test('the error falls with the rank, is never above that of plain singular values on what the layer hears, and is what outputs show', async () => {
  for (const [layer, form, full] of FORMS) {
    const original = network(2);
    const moments = await momentsOf(original, layer, 40);
    const heard = { ...original, outputs: [layer] };
    const inputs = randomInputs(original, 40, 3);
    const wanted = await run(heard, inputs);
    let last = 1;
    for (let rank = 1; rank <= full; rank += form === 'spatial' ? 3 : 1) {
      const { network: factors, report } = factorizeLayer(original, layer, { rank, form }, moments);
      // The plain ones' error, weighed by the same moments: their product in place of the layer's weight.
      const plain = factorizeLayer(original, layer, { rank, form });
      expect(report.error!).toBeLessThanOrEqual(last + 1e-5);
      last = report.error!;
      const [ours, theirs] = [factors, plain.network].map((one) => ({ ...one, outputs: [layer] }));
      const errors = [await run(ours, inputs), await run(theirs, inputs)].map((found) =>
        centredSquares(found, wanted, original, layer),
      );
      expect(errors[0]).toBeLessThanOrEqual(errors[1] * (1 + 1e-5) + 1e-9);
      // All positions were measured: the report is about these very outputs.
      const mean = centredSquares(
        wanted,
        wanted.map(() => 0),
        original,
        layer,
      );
      expect(Math.abs(errors[0] / mean - report.error!)).toBeLessThan(1e-4);
    }
  }
});

/** Squares of what is missing, about each output's mean. */
function centredSquares(found: Float64Array, wanted: Float64Array, of: Network, layer: string): number {
  const outputs = shape(of, `${layer}.weight`)[0];
  const positions = layer === 'c' ? 1 : layer === 'a' ? 99 : found.length / 40 / outputs;
  let sum = 0;
  for (let o = 0; o < outputs; o++) {
    const values: number[] = [];
    for (let i = 0; i < found.length; i++)
      if (Math.floor(i / positions) % outputs === o) values.push(found[i] - wanted[i]);
    const mean = values.reduce((a, b) => a + b, 0) / values.length;
    for (const value of values) sum += (value - mean) ** 2;
  }
  return sum;
}

test.each(vectors)(
  '$name: without data the error is what NumPy drops of the squared singular values, within 1e-6',
  ({ weight, shape: sides, form, missing }) => {
    const input = sides.length === 2 ? [sides[1]] : [sides[1], 6, 6];
    const layer =
      sides.length === 2 ? dense(sides[0], { name: 'l' }) : conv(sides[0], [sides[2], sides[3]], { name: 'l' });
    const original = change(sequential({ input }, [layer]), 'l.weight', (values) => values.set(weight));
    missing.forEach((share, i) => {
      const { report } = factorizeLayer(original, 'l', { rank: i + 1, form: form as FactorForm });
      expect(Math.abs(report.error! - share)).toBeLessThan(1e-6);
    });
  },
);

test('parameters are those that the report says; what does not pay is left, with the reason', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.oneof(
        fc.record({ rank: fc.integer({ min: 1, max: 8 }) }),
        fc.record({ keep: fc.double({ min: 0.05, max: 1, noNaN: true }) }),
        fc.record({ energy: fc.double({ min: 0.05, max: 1, noNaN: true }) }),
      ),
      fc.constantFrom('best', 'channels', 'spatial') as fc.Arbitrary<'best' | FactorForm>,
      async (extent, form) => {
        const original = network(2);
        const { network: smaller, report } = await factorize({ ...extent, form })(original, {} as never);
        let saved = 0;
        for (const { status, weightsBefore = 0, weightsAfter = 0, rank = 0, error = 0, reason } of report.layers) {
          if (status === 'left') expect(reason).toBeTruthy();
          else {
            expect(weightsAfter).toBeLessThan(weightsBefore);
            if ('keep' in extent) expect(weightsAfter).toBeLessThanOrEqual(extent.keep * weightsBefore);
            if ('rank' in extent) expect(rank).toBe(extent.rank);
            if ('energy' in extent) expect(error).toBeLessThan(1 - extent.energy + 1e-6);
          }
          saved += weightsBefore - weightsAfter;
        }
        expect(parameterCount(original) - parameterCount(smaller)).toBe(saved);
        expect([report.parametersBefore, report.parametersAfter]).toEqual([original, smaller].map(parameterCount));
      },
    ),
    { numRuns: 25 },
  );
});

test('with data, the refit brings outputs nearer to the original, and labels are not asked for', async () => {
  const original = network(2);
  const inputs = randomInputs(original, 200, 5);
  const context = contextOf(original, inputs);
  const test = randomInputs(original, 50, 6);
  const wanted = await run(original, test);
  const errorOf = async (one: Network): Promise<number> =>
    (await run(one, test)).reduce((sum, value, i) => sum + (value - wanted[i]) ** 2, 0);
  const [plain, weighted, refitted] = await Promise.all(
    [
      { refit: false, data: false },
      { refit: false, data: true },
      { refit: true, data: true },
    ].map(async ({ refit, data }) =>
      errorOf((await factorize({ keep: 0.5, refit })(original, data ? context : ({} as never))).network),
    ),
  );
  expect(weighted).toBeLessThan(plain);
  expect(refitted).toBeLessThan(weighted);
});

test('what has no factors is named, or refused where it was asked for', async () => {
  const groups = separable();
  const { report } = await factorize({ keep: 0.9, layers: ['expand', 'head'] })(groups, {} as never);
  expect(report.layers.map(({ layer }) => layer)).toEqual(['expand', 'head']);
  const all = await factorize({ keep: 0.9 })(groups, {} as never);
  expect(all.report.layers.find(({ layer }) => layer === 'depthwise')?.reason).toContain('in groups');
  expectError(await rejection(factorize({ keep: 0.9, layers: ['depthwise'] })(groups, {} as never)), 'UNSUPPORTED');
  expectCode(() => factorizeLayer(groups, 'head', { rank: 1, form: 'spatial' }), 'UNSUPPORTED');
  const shared = graph({}, (g) => {
    const x = g.input([4]);
    return g.node(dense(4, { name: 'two' }), g.node(dense(4, { name: 'one' }), x));
  });
  const nodes = shared.nodes.map((node) =>
    node.name === 'two' ? { ...node, parameters: shared.nodes[0].parameters } : node,
  );
  expect((await factorize({ rank: 1 })({ ...shared, nodes }, {} as never)).report.layers[0].reason).toContain('shared');
  expect(() => factorize({})).toThrow(TypeError);
  expect(() => factorize({ rank: 1, keep: 0.5 })).toThrow('rank and keep');
  expect(() => factorize({ keep: 0 })).toThrow(RangeError);
  await expect(factorize({ rank: 1, layers: ['nobody'] })(groups, {} as never)).rejects.toThrow(RangeError);
  expect(data(groups, 'head.weight').length).toBe(12);
});
