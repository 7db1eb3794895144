/** Reading of the samples that measurements are made on. */
import type { RunControl } from '../base/control.ts';
import { EspalierError } from '../base/errors.ts';
import { sizeOf } from '../base/tensor.ts';
import type { Examples } from '../graph/examples.ts';

export interface Samples {
  /** (count, size of an input) */
  readonly inputs: Float32Array;
  /** (count, size of a target); empty where none are wanted. */
  readonly targets: Float32Array;
}

/**
 * Samples `indices` of a training set, not augmented.
 * @throws {EspalierError} DATA, naming the sample, if a number is not finite or was left out
 */
export async function readSamples(
  who: string,
  training: Examples,
  indices: Int32Array,
  withTargets: boolean,
  control: RunControl,
): Promise<Samples> {
  const size = sizeOf(training.inputShape);
  const targetSize = withTargets ? sizeOf(training.targetShape ?? []) : 0;
  // What the source leaves out stays NaN and is found below.
  const inputs = new Float32Array(indices.length * size).fill(NaN);
  const targets = new Float32Array(indices.length * targetSize).fill(NaN);
  await control.wait(training.read(indices, inputs, withTargets ? targets : undefined));
  check('inputs', inputs, size);
  check('targets', targets, targetSize);
  return { inputs, targets };

  function check(what: string, values: Float32Array, each: number): void {
    const wrong = values.findIndex((x) => !Number.isFinite(x));
    if (wrong < 0) return;
    throw new EspalierError(
      'DATA',
      `${who}: context.training: expected finite ${what}, got ${values[wrong]} in sample ${indices[Math.floor(wrong / each)]}; remove the sample or mend it`,
      { name: 'training', found: values[wrong] },
    );
  }
}
