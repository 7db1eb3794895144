/**
 * Where values share memory, in any graph of any operators. Watching every value forbids all sharing and all fusion, so a
 * network must give the same numbers with and without; in double precision, where fusing an activation rounds nothing
 * differently.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { portableKernels } from '../../src/kernels/index.ts';
import type { Network } from '../../src/network/index.ts';
import { everything, STRAIGHT_THROUGH } from '../operators/examples.ts';
import { anyGraph } from '../operators/graphs.ts';
import {
  gradientsOf,
  lossOf,
  numbers,
  read,
  readOutputs,
  relativeDifference,
  valuesOf,
  withExecutor,
  withTrainer,
} from '../operators/running.ts';
import type { Values } from '../operators/running.ts';

const options = { kernels: portableKernels(), batch: 2, precision: 'float64' } as const;
const graphs = anyGraph({ sharesWeights: true });

/** Functions of functions may overflow; what is compared is what is computed with some digits. */
const isTame = (...values: Iterable<Values>[]): boolean =>
  values.every((some) => [...some].every((one) => one.every((value) => Math.abs(value) < 1e4)));

/** Outputs of the inference pass, twice: the second must not see what the first left. Undefined if a value is huge. */
const inferred = (network: Network, watch: readonly string[]): Promise<Map<string, Values> | undefined> =>
  withExecutor(network, { ...options, watch }, (one) => {
    one.forward();
    one.forward();
    return isTame(watch.map((name) => read(one, name))) ? readOutputs(one) : undefined;
  });

describe('any graph, with values that share memory and without', () => {
  it('gives the same outputs within 1e-11 of the largest (what is folded into weights rounds otherwise)', () =>
    fc.assert(
      fc.asyncProperty(graphs, async (network) => {
        const apart = await inferred(network, everything(network));
        if (!apart) return;
        const shared = (await inferred(network, []))!;
        for (const [name, values] of apart) {
          expect(relativeDifference(shared.get(name)!, values), name).toBeLessThan(1e-11);
        }
      }),
      { numRuns: 200 },
    ));

  it('gives the same outputs and gradients in training, and inference between steps disturbs neither', () =>
    fc.assert(
      fc.asyncProperty(graphs, async (network) => {
        const [shared, apart] = await Promise.all(
          [[], everything(network)].map((watch) =>
            withTrainer(network, { ...options, watch }, (one) => {
              one.forward();
              lossOf(one);
              const outputs = readOutputs(one);
              const isSmall = isTame(watch.map((name) => read(one, name)));
              return { outputs, gradients: gradientsOf(one), isSmall };
            }),
          ),
        );
        if (!apart.isSmall || !isTame(apart.gradients.values())) return;
        expect(shared.outputs).toEqual(apart.outputs);
        for (const [name, values] of apart.gradients) {
          expect(relativeDifference(shared.gradients.get(name)!, values), name).toBeLessThan(1e-11);
        }
      }),
      { numRuns: 150 },
    ));

  it('its gradients are the central differences of the sum over all outputs (rtol 1e-4)', () =>
    fc.assert(
      fc.asyncProperty(graphs, fc.nat(1000), async (network, seed) => {
        fc.pre(network.nodes.every(({ kind }) => kind !== STRAIGHT_THROUGH));
        await withTrainer(network, options, (one) => {
          lossOf(one);
          const outputs = readOutputs(one);
          const gradients = gradientsOf(one);
          if (!isTame(outputs.values(), gradients.values())) return;
          for (const [name, gradient] of gradients) {
            const values = valuesOf(one, name);
            const kept = values.slice();
            const direction = numbers(values.length, seed);
            const at = (step: number): number => {
              values.set(kept.map((value, i) => value + step * direction[i]));
              one.changed();
              return lossOf(one);
            };
            const slope = (step: number): number => (at(step) - at(-step)) / (2 * step);
            const [fine, coarse] = [slope(1e-6), slope(2e-6)];
            at(0);
            // Two steps that disagree straddle a kink, where there is no derivative.
            if (!(Math.abs(fine - coarse) < 1e-5 * (1 + Math.abs(fine)))) continue;
            const found = direction.reduce((sum, step, i) => sum + step * gradient[i], 0);
            expect(Math.abs(found - fine), `${name}: ${found} against ${fine}`).toBeLessThan(
              1e-4 * (1 + Math.abs(fine)),
            );
          }
        });
      }),
      { numRuns: 80 },
    ));
});
