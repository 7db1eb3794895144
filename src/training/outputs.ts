/**
 * Outputs beside the outputs of another network, its teacher or the original: each in the unit of its own spread, so that
 * none counts by the size of its numbers.
 */
import type { RunControl } from '../base/control.ts';
import { square } from '../base/elementary.ts';
import { rootMeanSquare, sameShape, sizeOf } from '../base/tensor.ts';
import type { Executor } from '../execution/types.ts';
import type { Network } from '../graph/network.ts';
import type { BatchReader } from './batches.ts';

/** An output, or an inner value, and what it is compared with. */
export interface Counterpart {
  /** Of the network that learns. */
  readonly name: string;
  /** Of the teacher: outputs are paired in their order, inner values by their name. */
  readonly taught: string;
  /** Numbers a sample. */
  readonly size: number;
}

/** A network whose `values`, which it computes on its way, are outputs too, behind its own. */
export function withOutputs(network: Network, values: readonly string[]): Network {
  const further = values.filter((name) => !network.outputs.includes(name));
  return further.length === 0 ? network : { ...network, outputs: [...network.outputs, ...further] };
}

/**
 * Pairs of what two networks give, where it is floats.
 * @throws {RangeError} naming the first that are of different sizes
 */
export function counterparts(who: string, student: Executor, teacher: Executor): Counterpart[] {
  const [own, others] = [student.network.outputs, teacher.network.outputs];
  const shapes = (executor: Executor, names: readonly string[]): string =>
    names.map((name) => `[${executor.shapeOf(name).join(', ')}]`).join(' and ');
  const [input, taken] = [student, teacher].map((one) => one.shapeOf(one.network.inputs[0].name));
  const fits =
    sameShape(input, taken) &&
    own.length === others.length &&
    own.every((name, i) => sizeOf(student.shapeOf(name)) === sizeOf(teacher.shapeOf(others[i])));
  if (!fits)
    throw new RangeError(
      `${who}: teacher: expected a network from [${input.join(', ')}] to ${shapes(student, own)}, got one from [${taken.join(', ')}] to ${shapes(teacher, others)}`,
    );
  return own.flatMap((name, i) =>
    student.typeOf(name) === 'float' && teacher.typeOf(others[i]) === 'float'
      ? [{ name, taught: others[i], size: sizeOf(student.shapeOf(name)) }]
      : [],
  );
}

/**
 * |found - wanted| over the spread of `wanted`, by name of the output: of several the root of the mean of their squares.
 * 0 is the same, 1 as far off as answering always the same.
 */
export function outputError(
  found: ReadonlyMap<string, Float32Array>,
  wanted: ReadonlyMap<string, Float32Array>,
  samples: number,
): number {
  const errors = [...wanted].map(([name, values]) => {
    const tally = createSpread(values.length / samples);
    tally.add(values, samples);
    return rootMeanSquare(found.get(name)!, values) / tally.result();
  });
  return rootMeanSquare(errors, new Float64Array(errors.length));
}

/** Samples that tell how far outputs spread. */
const SPREAD_SAMPLES = 256;

/** How far each of a network's outputs spreads over the first samples of a set, at most 256. */
export async function measureSpreads(
  executor: Executor,
  names: readonly string[],
  reader: BatchReader,
  control: RunControl,
): Promise<number[]> {
  const sizes = names.map((name) => sizeOf(executor.shapeOf(name)));
  const tallies = sizes.map(createSpread);
  const count = Math.min(SPREAD_SAMPLES, reader.examples.count);
  for (let first = 0; first < count; first += executor.batch) {
    const samples = Math.min(executor.batch, count - first);
    await reader.read(Int32Array.from({ length: samples }, (_, i) => first + i));
    executor.input().set(reader.inputs);
    executor.forward();
    tallies.forEach((tally, i) => tally.add(executor.output(names[i]), samples));
    await control.pause();
  }
  return tallies.map((tally) => tally.result());
}

export interface Spread {
  /** values (count, size) */
  add(values: ArrayLike<number>, count: number): void;
  /** Root of the mean square of the distance from the mean over the samples; where that is nothing, from 0; 1 if all are 0. */
  result(): number;
}

/** Sums over the samples of one output, of `size` numbers each, in double. */
export function createSpread(size: number): Spread {
  // Deviations are summed from the first sample on, so that little is lost where outputs are large and alike.
  const origin = new Float64Array(size);
  const sums = new Float64Array(size);
  let [squares, whole, samples] = [0, 0, 0];
  return {
    add(values, count) {
      for (let k = 0, i = 0; k < count; k++, samples++) {
        for (let j = 0; j < size; j++, i++) {
          if (samples === 0) origin[j] = values[i];
          const deviation = values[i] - origin[j];
          sums[j] += deviation;
          squares += deviation * deviation;
          whole += values[i] * values[i];
        }
      }
    },
    result() {
      const around = Math.max(
        0,
        sums.reduce((left, sum) => left - square(sum) / samples, squares),
      );
      const counted = around > 1e-12 * whole ? around : whole;
      return Math.sqrt(counted / (samples * size)) || 1;
    },
  };
}
