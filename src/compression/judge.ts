/**
 * What a network is judged by, and when a step has cost too much. The yardstick follows from what there is: labels of
 * values, labels of classes, none, or a metric of the caller's; lower is better with each.
 */
import { atOnce } from '../base/control.ts';
import { EspalierError } from '../base/errors.ts';
import { classMetrics } from '../data/metrics.ts';
import type { Network } from '../graph/network.ts';
import type { Context } from '../graph/transform.ts';
import { defaultLoss } from '../losses/losses.ts';
import { evaluate, predictOutputs } from '../training/index.ts';
import { outputError } from '../training/outputs.ts';
import type { CompressSettings } from './options.ts';

/**
 * - 'rmse': root of the mean squared difference from the targets.
 * - 'errorRate': share of the samples whose largest output is not at their label, 1 - accuracy.
 * - 'outputError': without labels; |outputs - the original's| / |the original's - their mean over the samples|: 0 is the
 *   same, 1 as far off as answering always the same. Of several outputs the root of the mean of their squares.
 * - 'custom': `training.validationMetric`.
 * - 'none': without data; the error is unknown, NaN.
 */
export type Yardstick = 'rmse' | 'errorRate' | 'outputError' | 'custom' | 'none';

/**
 * What a compression may cost by default: of 'rmse' and 'custom' a share of the original's error, of 'errorRate' a share
 * of the samples, of 'outputError' as it is.
 */
export const TOLERANCES = { rmse: 0.25, errorRate: 0.02, outputError: 0.2, custom: 0.25 } as const satisfies Record<
  Exclude<Yardstick, 'none'>,
  number
>;

/** Which yardstick fits the data and the settings. */
export function yardstickOf(network: Network, context: Context, { training }: CompressSettings): Yardstick {
  if (!context.validation) return 'none';
  if (training.validationMetric) return 'custom';
  if (!context.validation.targetShape) return 'outputError';
  return (training.loss ?? defaultLoss(network)).classes ? 'errorRate' : 'rmse';
}

/**
 * Measures networks by the yardstick. @throws {EspalierError} DATA where the targets do not suit it, NONFINITE for a
 * measure that is no number
 */
export function createJudge(
  original: Network,
  context: Context,
  settings: CompressSettings,
): (network: Network) => Promise<number> {
  const yardstick = yardstickOf(original, context, settings);
  const { validationMetric } = settings.training;
  const examples = context.validation;
  if (!examples) return () => Promise.resolve(NaN);
  const { kernels, threads, signal } = context;
  const how = { kernels, threads, ...(signal && { signal }) };
  let wanted: ReadonlyMap<string, Float32Array> | undefined;

  const measure = async (network: Network): Promise<number> => {
    if (!examples.targetShape) {
      wanted ??= await predictOutputs(original, examples, how);
      const found = await predictOutputs(network, examples, how);
      const [first] = original.outputs;
      return validationMetric
        ? atOnce(
            'compress',
            'validationMetric',
            validationMetric(found.get(first)!, wanted.get(first)!.slice(), examples.count),
          )
        : outputError(found, wanted, examples.count);
    }
    const { predictions, targets, samples, rmse } = await evaluate(network, examples, how);
    if (validationMetric)
      return atOnce('compress', 'validationMetric', validationMetric(predictions, targets, samples));
    if (yardstick === 'errorRate') {
      const classes = predictions.length / samples;
      return 1 - classMetrics(predictions, labelsOf(targets, samples), classes).accuracy;
    }
    if (rmse === undefined)
      throw new EspalierError(
        'DATA',
        `compress: context.validation: expected targets of ${predictions.length / samples} numbers, got ${targets.length / samples}; give such targets, or a validationMetric that can judge these`,
        { name: 'validation' },
      );
    return rmse;
  };
  return async (network) => {
    const value = await measure(network);
    if (Number.isFinite(value)) return value;
    throw new EspalierError(
      'NONFINITE',
      `compress: context.validation: expected a finite ${yardstick === 'custom' ? 'validationMetric' : yardstick}, got ${value}; the network or the data hold numbers that are too large`,
      { name: 'validation', found: value },
    );
  };
}

/** Labels; of rows of probabilities the places of their largest. */
function labelsOf(targets: Float32Array, samples: number): Float32Array {
  const classes = targets.length / samples;
  if (classes === 1) return targets;
  return Float32Array.from({ length: samples }, (_, i) => {
    const row = targets.subarray(i * classes, (i + 1) * classes);
    return row.indexOf(row.reduce((largest, value) => Math.max(largest, value)));
  });
}

/** What a step may end at, in the unit of the yardstick. */
export interface Allowance {
  readonly yardstick: Yardstick;
  /** Of the original. */
  readonly baseline: number;
  readonly tolerance: number;
  /** Steps that are judged. */
  readonly steps: number;
}

/**
 * The limit of a step that began at `start`: the tolerance over the whole, or its own share of it above where it began,
 * whichever is more. So what was lost before is not laid at its door, a step that improves is never undone, and a
 * schedule whose steps are all within their limits ends within twice the tolerance.
 */
export function limitOf({ yardstick, baseline, tolerance, steps }: Allowance, start: number): number {
  const unit = unitOf(yardstick, baseline);
  return Math.max(baseline + tolerance * unit, start + (tolerance * unit) / steps);
}

/** What a tolerance is a share of. */
export function unitOf(yardstick: Yardstick, baseline: number): number {
  // A metric of the caller's may be negative, as minus an accuracy is; of one that is 0 there is no share.
  return yardstick === 'errorRate' || yardstick === 'outputError' ? 1 : Math.abs(baseline) || 1;
}
