/** The update: gradients averaged where that is asked for, their global norm, and one step of the optimizer. */
import { trainedCounts } from '../encodings/index.ts';
import type { Step } from '../kernels/types.ts';
import type { Trained } from './backward.ts';
import type { Layout } from './layout.ts';
import type { OptimizerOptions } from './types.ts';

/** Offsets of what the kernels of the update read and write beside the parameters. */
export interface UpdatePlaces {
  readonly hyper: number;
  /** The same numbers for what encodings train, but the rate, which may be another. */
  readonly encodedHyper: number;
  readonly clip: number;
  readonly limit: number;
}

/**
 * Steps of the update, and factors to be put on the heap: 1 / the number of weights that a trained value stands for, where
 * its gradient is to be their mean.
 */
export function updateSteps(
  layout: Layout,
  trained: ReadonlyMap<string, Trained>,
  optimizer: OptimizerOptions,
  { hyper, encodedHyper, clip, limit }: UpdatePlaces,
): { steps: Step[]; averages: { offset: number; values: Float32Array }[] } {
  const averages: { offset: number; values: Float32Array }[] = [];
  const steps: Step[] = [];
  const run = layout.runTo(steps);
  for (const { parameter, gradient } of trained.values()) {
    const { encoding, dense, count, values } = parameter;
    if (values === dense || optimizer.codewordGradient !== 'mean') continue;
    const offset = layout.allocate(count);
    averages.push({ offset, values: trainedCounts(encoding).map((weights) => 1 / Math.max(1, weights)) });
    run('multiply', { a: gradient, b: offset, y: gradient, count });
  }
  const all = [...trained.values()];
  run('clipScale', {
    gradients: all.map(({ gradient, parameter: { count } }) => ({ at: gradient, count })),
    limit,
    out: clip,
  });
  const isEncoded = ({ parameter: { values, dense } }: Trained): boolean => values !== dense;
  for (const [moving, place] of [
    [all.filter((one) => !isEncoded(one)), hyper],
    [all.filter(isEncoded), encodedHyper],
  ] as const) {
    if (moving.length === 0) continue;
    run(optimizer.kind === 'sgd' ? 'sgdUpdate' : 'adamUpdate', {
      moved: moving.map(({ parameter: { values, count }, gradient, state }) => ({ values, gradient, state, count })),
      hyper: place,
      clip,
    });
  }
  return { steps, averages };
}
