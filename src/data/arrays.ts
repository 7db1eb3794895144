/** Sets of samples in memory, parts of sets, sets joined. */
import { checkInteger, EspalierError, show } from '../base/errors.ts';
import { asFloat32 } from '../base/realm.ts';
import { ownOptions } from '../base/rules.ts';
import type { Examples } from '../graph/examples.ts';
import { checkShape, sameShape, sizeOf } from '../base/tensor.ts';
import type { Shape } from '../base/tensor.ts';

export type SetShape = Pick<Examples, 'count' | 'inputShape' | 'targetShape'>;

export interface ArrayExamples {
  /** (count, ...inputShape), row-major; kept, not copied. */
  readonly inputs: Float32Array;
  /** per sample */
  readonly inputShape: Shape;
  /** (count, ...targetShape); kept, not copied. Absent: unlabelled. */
  readonly targets?: Float32Array;
  /** per sample; class labels: [1] */
  readonly targetShape?: Shape;
}

/**
 * Samples in memory. The count is the length of `inputs` over the size of `inputShape`.
 * @throws {TypeError | RangeError} on arguments that do not fit each other
 * @throws {EspalierError} DATA if there is no sample, or a value is not finite (its sample is named)
 */
export function examplesFromArrays(arrays: ArrayExamples): Examples {
  const who = 'examplesFromArrays';
  const { inputs, inputShape, targets, targetShape } = ownOptions(who, 'arrays', arrays, [
    'inputs',
    'inputShape',
    'targets',
    'targetShape',
  ]);
  const count = rowsOf(who, 'inputs', inputs, inputShape);
  if ((targets === undefined) !== (targetShape === undefined))
    throw new TypeError(
      `${who}: expected targets and targetShape both or neither, got only ${targets === undefined ? 'targetShape' : 'targets'}`,
    );
  if (targets !== undefined && targetShape !== undefined) {
    const rows = rowsOf(who, 'targets', targets, targetShape);
    if (rows !== count)
      throw new RangeError(`${who}: targets: expected ${count} samples, as many as inputs, got ${rows}`);
  }
  checkSamplesFinite(who, 'inputs', inputs, sizeOf(inputShape));
  if (targets !== undefined && targetShape !== undefined)
    checkSamplesFinite(who, 'targets', targets, sizeOf(targetShape));
  const inputSize = sizeOf(inputShape);
  const set: SetShape = { count, inputShape, ...(targetShape && { targetShape }) };
  return {
    ...set,
    period: 1,
    read(indices, inputsOut, targetsOut) {
      checkRead(`${who}: read`, set, indices, inputsOut, targetsOut);
      copyRows(inputs, indices, inputSize, inputsOut);
      if (targets && targetShape && targetsOut) copyRows(targets, indices, sizeOf(targetShape), targetsOut);
    },
  };
}

/**
 * The samples `indices` of a set, in that order; one may come twice. Nothing is copied but the indices.
 * @throws {TypeError | RangeError} for an index that the set has not, or none at all
 */
export function subset(examples: Examples, indices: ArrayLike<number>): Examples {
  const kept = Int32Array.from({ length: indices.length }, (_, i) =>
    checkInteger('subset', `indices[${i}]`, indices[i], 0, examples.count - 1),
  );
  if (kept.length === 0) throw new RangeError('subset: indices: expected at least one, got none');
  const set: SetShape = { ...shapesOf(examples), count: kept.length };
  const { period } = examples;
  return {
    ...set,
    ...(period !== undefined && { period }),
    read(asked, inputs, targets, pass) {
      checkRead('subset: read', set, asked, inputs, targets);
      return examples.read(
        Int32Array.from(asked, (i) => kept[i]),
        inputs,
        targets,
        pass,
      );
    },
  };
}

/**
 * Sets one after another as one. All must have the same shapes, and all targets or none.
 * @throws {TypeError} if `parts` is no array
 * @throws {RangeError} if it is empty or shapes differ
 */
export function concatenated(parts: readonly Examples[]): Examples {
  if (!Array.isArray(parts)) throw new TypeError(`concatenated: parts: expected an array of sets, got ${show(parts)}`);
  if (parts.length === 0) throw new RangeError('concatenated: parts: expected at least one set, got none');
  const { inputShape, targetShape } = parts[0];
  const starts: number[] = [];
  let count = 0;
  parts.forEach((part, i) => {
    if (!sameShape(part.inputShape, inputShape))
      throw new RangeError(
        `concatenated: parts[${i}]: expected inputs [${inputShape.join(', ')}], got [${part.inputShape.join(', ')}]`,
      );
    if (!sameShape(part.targetShape ?? [-1], targetShape ?? [-1]))
      throw new RangeError(
        `concatenated: parts[${i}]: expected ${describe(targetShape)}, got ${describe(part.targetShape)}`,
      );
    starts.push(count);
    count += part.count;
  });
  const inputSize = sizeOf(inputShape);
  const targetSize = sizeOf(targetShape ?? [0]);
  const partOf = (index: number): number => starts.findLastIndex((start) => start <= index);
  const set: SetShape = { ...shapesOf(parts[0]), count };
  const { period } = parts[0];
  return {
    ...set,
    ...(period !== undefined && parts.every((part) => part.period === period) && { period }),
    async read(indices, inputs, targets, pass) {
      checkRead('concatenated: read', set, indices, inputs, targets);
      // Runs of samples of one part are read at once, straight to their place.
      for (let from = 0, to = 0; from < indices.length; from = to) {
        const part = partOf(indices[from]);
        while (to < indices.length && partOf(indices[to]) === part) to++;
        const run = Int32Array.from({ length: to - from }, (_, i) => indices[from + i] - starts[part]);
        await parts[part].read(
          run,
          inputs.subarray(from * inputSize, to * inputSize),
          targets?.subarray(from * targetSize, to * targetSize),
          pass,
        );
      }
    },
  };
}

/**
 * Mean over all targets, (size of targetShape), in double: for landmarks the mean shape. Read in batches, nothing
 * augmented.
 * @throws {TypeError} if the set is unlabelled
 */
export async function meanTarget(examples: Examples): Promise<Float32Array> {
  if (!examples.targetShape) throw new TypeError('meanTarget: examples: expected targets, got an unlabelled set');
  const inputSize = sizeOf(examples.inputShape);
  const targetSize = sizeOf(examples.targetShape);
  const batch = Math.min(64, examples.count);
  const inputs = new Float32Array(batch * inputSize);
  const targets = new Float32Array(batch * targetSize);
  const sum = new Float64Array(targetSize);
  for (let from = 0; from < examples.count; from += batch) {
    const n = Math.min(batch, examples.count - from);
    await examples.read(
      Int32Array.from({ length: n }, (_, i) => from + i),
      inputs.subarray(0, n * inputSize),
      targets.subarray(0, n * targetSize),
    );
    for (let i = 0; i < n * targetSize; i++) sum[i % targetSize] += targets[i];
  }
  return Float32Array.from(sum, (s) => s / examples.count);
}

/** Every value finite; names the sample. @throws {EspalierError} DATA */
export function checkSamplesFinite(
  who: string,
  name: string,
  data: ArrayLike<number>,
  width: number,
  sampleOf: (row: number) => number = (row) => row,
): void {
  for (let i = 0; i < data.length; i++) {
    if (!Number.isFinite(data[i])) {
      const sample = sampleOf(Math.floor(i / width));
      throw new EspalierError(
        'DATA',
        `${who}: ${name}: expected finite numbers, got ${data[i]} in sample ${sample}, element ${i % width}; repair or remove this sample`,
        { name, found: data[i], offset: sample },
      );
    }
  }
}

/** Indices inside the set, and room for what is asked for. @throws {TypeError | RangeError} */
export function checkRead(
  who: string,
  examples: SetShape,
  indices: ArrayLike<number>,
  inputs: Float32Array,
  targets: Float32Array | undefined,
): void {
  const inputLength = indices.length * sizeOf(examples.inputShape);
  if (inputs.length < inputLength)
    throw new RangeError(`${who}: inputs: expected room for ${inputLength} numbers, got ${inputs.length}`);
  if (targets) {
    if (!examples.targetShape) throw new TypeError(`${who}: targets: this set is unlabelled; pass undefined`);
    const targetLength = indices.length * sizeOf(examples.targetShape);
    if (targets.length < targetLength)
      throw new RangeError(`${who}: targets: expected room for ${targetLength} numbers, got ${targets.length}`);
  }
  for (let i = 0; i < indices.length; i++) {
    const index = indices[i];
    // The name is made for an error only: strings for every sample of every batch add up.
    if (!(Number.isInteger(index) && index >= 0 && index < examples.count))
      checkInteger(who, `indices[${i}]`, index, 0, examples.count - 1);
  }
}

/**
 * Rows `indices` of a matrix with `width` columns, one after another. By element: a view of each row for each batch
 * would be garbage by the megabyte in an epoch.
 */
export function copyRows(source: Float32Array, indices: ArrayLike<number>, width: number, out: Float32Array): void {
  for (let i = 0; i < indices.length; i++) {
    const from = indices[i] * width;
    const to = i * width;
    for (let j = 0; j < width; j++) out[to + j] = source[from + j];
  }
}

/** What a set is without its samples: to spread into another one. */
export function shapesOf({ count, inputShape, targetShape }: Examples): SetShape {
  return { count, inputShape, ...(targetShape && { targetShape }) };
}

function describe(targetShape: Shape | undefined): string {
  return targetShape ? `targets [${targetShape.join(', ')}]` : 'no targets';
}

function rowsOf(who: string, name: string, data: unknown, shape: unknown): number {
  const own = asFloat32(data);
  if (!own) throw new TypeError(`${who}: ${name}: expected a Float32Array, got ${show(data)}`);
  checkShape(who, `${name.slice(0, -1)}Shape`, shape);
  const size = sizeOf(shape);
  if (size === 0)
    throw new RangeError(`${who}: ${name.slice(0, -1)}Shape: expected no empty side, got [${shape.join(', ')}]`);
  if (own.length === 0)
    throw new EspalierError('DATA', `${who}: ${name}: the set is empty; give at least one sample`, { name });
  if (own.length % size !== 0)
    throw new RangeError(
      `${who}: ${name}: expected a multiple of ${size} numbers (shape [${shape.join(', ')}] per sample), got ${own.length}`,
    );
  return own.length / size;
}
