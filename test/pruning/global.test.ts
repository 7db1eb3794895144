/** One ranking over all groups: shares that add up, orders that are the scores', costs that count. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { score } from '../../src/importance/index.ts';
import { findGroups, globalKeep, prune } from '../../src/pruning/index.ts';
import { expectCode } from '../container/files.ts';
import { chain, contextOf, randomInputs, residual, separable } from './networks.ts';

test('as many channels stay as were asked for, at least the minimum of each group, and prune takes the shares', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(chain, residual, separable),
      fc.double({ min: 0, max: 1, noNaN: true }),
      fc.double({ min: 0, max: 2, noNaN: true }),
      async (of, keep, weight) => {
        const network = of(1);
        const groups = findGroups(network).filter(({ prunable }) => prunable);
        const scores = new Map(groups.map((group) => [group.name, score('magnitude', network, group)]));
        const shares = globalKeep(network, scores, { keep, parameters: weight, multiplyAdds: weight, minimum: 0 });
        const total = groups.reduce((sum, { channels }) => sum + channels, 0);
        const counts = groups.map(({ name, channels }) => shares[name] * channels);
        const wanted = Math.max(groups.length, Math.round(keep * total));
        expect(counts.reduce((sum, count) => sum + Math.round(count), 0)).toBe(wanted);
        const context = contextOf(network, randomInputs(network, 2, 1));
        const { report } = await prune({ criterion: 'magnitude', keep: shares, fold: false })(network, context);
        expect(report.groups.map(({ group, after }) => [group, after])).toEqual(
          groups.map(({ name }, i) => [name, Math.round(counts[i])]),
        );
      },
    ),
    { numRuns: 20 },
  );
});

test('scores in other units rank alike; the costs of a channel count against it', () => {
  const network = chain();
  const groups = findGroups(network).filter(({ prunable }) => prunable);
  const level = (factor: number): Map<string, Float64Array> =>
    new Map(
      groups.map(({ name, channels }, g) => [
        name,
        Float64Array.from({ length: channels }, (_, c) => (c + 1) * (g === 0 ? factor : 1)),
      ]),
    );
  expect(globalKeep(network, level(64), { keep: 0.5 })).toEqual(globalKeep(network, level(1), { keep: 0.5 }));
  // The first convolution, before the pool, computes most; the second one's channels have the most parameters behind them.
  const [plain, work, size] = [{}, { multiplyAdds: 5 }, { parameters: 5 }].map((more) =>
    globalKeep(network, level(1), { keep: 0.5, ...more }),
  );
  expect(work[groups[0].name]).toBeLessThan(plain[groups[0].name]);
  expect(size[groups[1].name]).toBeLessThan(plain[groups[1].name]);
});

test('what is no score, no group or no share is refused', () => {
  const network = chain();
  const [{ name, channels }] = findGroups(network);
  expect(() => globalKeep(network, new Map([[name, new Float64Array(channels + 1)]]), { keep: 0.5 })).toThrow(
    RangeError,
  );
  expectCode(
    () => globalKeep(network, new Map([[name, new Float64Array(channels).fill(NaN)]]), { keep: 0.5 }),
    'NONFINITE',
  );
  expect(() => globalKeep(network, new Map(), { keep: 2 })).toThrow(RangeError);
  expect(() => globalKeep(network, new Map([['nobody', new Float64Array(1)]]), { keep: 0.5 })).toThrow();
});
