/** Reading of samples in batches, with everything checked that a data source can get wrong. */
import { EspalierError, show } from '../base/errors.ts';
import { isError } from '../base/realm.ts';
import type { Executor } from '../execution/types.ts';
import type { Examples, Pass } from '../graph/examples.ts';
import { sizeOf } from '../base/tensor.ts';
import type { RunControl } from '../base/control.ts';

export interface BatchReader {
  readonly examples: Examples;
  /** (batch, size of an input); overwritten by each read. */
  readonly inputs: Float32Array;
  /** (batch, size of a target), or undefined if targets are not wanted; overwritten by each read. */
  readonly targets: Float32Array | undefined;
  /**
   * Reads samples `indices`, at most as many as a batch holds. Nothing is allocated. @throws {EspalierError} DATA,
   * naming the sample
   */
  read(indices: ArrayLike<number>, pass?: Pass): Promise<void>;
}

export interface BatchReaderOptions {
  /** Function and argument for error texts. */
  readonly who: string;
  readonly name: string;
  readonly examples: Examples;
  readonly batch: number;
  readonly control: RunControl;
  /** Whether targets are read. */
  readonly targets: boolean;
  /** If above 0, a target of one number must be a label below this. */
  readonly classes: number;
}

/** Reads batches of a set into arrays of its own, made once, and checks what came. An abort does not wait for the set. */
export function createBatchReader({
  who,
  name,
  examples,
  batch,
  control,
  targets: wanted,
  classes,
}: BatchReaderOptions): BatchReader {
  const inputSize = sizeOf(examples.inputShape);
  const targetSize = wanted && examples.targetShape ? sizeOf(examples.targetShape) : 0;
  const inputs = new Float32Array(batch * inputSize);
  const targets = wanted && examples.targetShape ? new Float32Array(batch * targetSize) : undefined;
  // The source gets a copy of the order, so that nothing it does to it reaches the run.
  const given = new Int32Array(batch);
  const labels = classes > 0 && targetSize === 1;

  function fail(problem: string, index: number, cause?: unknown): EspalierError {
    return new EspalierError('DATA', `${who}: ${name}: ${problem}`, {
      name,
      found: index,
      ...(cause === undefined ? {} : { cause }),
    });
  }

  /** The loop over the values is a function of its own, so that it is compiled as one and makes no garbage. */
  function checkFinite(what: string, values: Float32Array, size: number, indices: ArrayLike<number>): void {
    const wrong = firstNotFinite(values, indices.length * size);
    if (wrong < 0) return;
    const sample = indices[Math.floor(wrong / size)];
    throw fail(
      `expected finite ${what}, got ${values[wrong]} in sample ${sample}, element ${wrong % size}; remove the sample or mend its source`,
      sample,
    );
  }

  return {
    examples,
    inputs,
    targets,
    async read(indices, pass) {
      const count = indices.length;
      for (let i = 0; i < count; i++) given[i] = indices[i];
      // What the source leaves out stays NaN and is found below: a short read must not train on the batch before.
      inputs.fill(NaN, 0, count * inputSize);
      targets?.fill(NaN, 0, count * targetSize);
      const full = count === batch;
      try {
        await control.wait(
          examples.read(
            full ? given : given.subarray(0, count),
            full ? inputs : inputs.subarray(0, count * inputSize),
            full ? targets : targets?.subarray(0, count * targetSize),
            pass,
          ),
        );
      } catch (cause) {
        control.check(); // an abort goes by its own reason
        throw fail(
          `expected the source to read samples, but it failed at sample ${indices[0]} and ${count - 1} more: ${isError(cause) ? cause.message : show(cause)}`,
          indices[0],
          cause,
        );
      }
      checkFinite('inputs', inputs, inputSize, indices);
      if (!targets) return;
      checkFinite('targets', targets, targetSize, indices);
      const wrong = labels ? firstNoLabel(targets, count, classes) : -1;
      if (wrong >= 0)
        throw fail(
          `expected labels from 0 to ${classes - 1}, got ${targets[wrong]} in sample ${indices[wrong]}`,
          indices[wrong],
        );
    },
  };
}

/** Index of the first of `count` values that is not finite, or -1. */
function firstNotFinite(values: Float32Array, count: number): number {
  for (let i = 0; i < count; i++) if (!Number.isFinite(values[i])) return i;
  return -1;
}

/** Index of the first of `count` values that is not a whole number from 0 to below `classes`, or -1. */
function firstNoLabel(values: Float32Array, count: number, classes: number): number {
  for (let i = 0; i < count; i++) if (!(Number.isInteger(values[i]) && values[i] >= 0 && values[i] < classes)) return i;
  return -1;
}

export interface Predictions {
  /** (count, size of the output) */
  readonly predictions: Float32Array;
  /** (count, size of a target); undefined where the reader reads none */
  readonly targets: Float32Array | undefined;
  /** By name of an output, (count, size of it), where more than the first are wanted. */
  readonly outputs?: ReadonlyMap<string, Float32Array>;
}

/** Room for what {@link predictBatches} writes. */
export function allocatePredictions(executor: Executor, reader: BatchReader): Predictions {
  const { count, targetShape } = reader.examples;
  const size = sizeOf(executor.shapeOf(executor.network.outputs[0]));
  return {
    predictions: new Float32Array(count * size),
    targets: reader.targets && targetShape ? new Float32Array(count * sizeOf(targetShape)) : undefined,
  };
}

/** Runs a network over a whole set in order, not augmented, into arrays of {@link allocatePredictions}. */
export async function predictBatches(
  executor: Executor,
  reader: BatchReader,
  control: RunControl,
  { predictions, targets, outputs }: Predictions,
): Promise<void> {
  const { count } = reader.examples;
  const size = predictions.length / count;
  const targetSize = targets ? targets.length / count : 0;
  for (let first = 0; first < count; first += executor.batch) {
    const samples = Math.min(executor.batch, count - first);
    await reader.read(Int32Array.from({ length: samples }, (_, i) => first + i));
    executor.input().set(reader.inputs);
    executor.forward();
    if (size > 0) predictions.set(executor.output().subarray(0, samples * size), first * size);
    for (const [name, values] of outputs ?? []) {
      const length = values.length / count;
      values.set(executor.output(name).subarray(0, samples * length), first * length);
    }
    if (targets && reader.targets) targets.set(reader.targets.subarray(0, samples * targetSize), first * targetSize);
    await control.pause();
  }
}
