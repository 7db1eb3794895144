/** How far two networks' outputs are apart, output by output, in one pass over the samples. */
import { createRunControl } from '../base/control.ts';
import { checkInteger, EspalierError, show } from '../base/errors.ts';
import { stream } from '../base/random.ts';
import { ownOptions } from '../base/rules.ts';
import { sameShape, sizeOf } from '../base/tensor.ts';
import { createExecutor } from '../execution/executor.ts';
import type { Executor } from '../execution/types.ts';
import { checkInputs, checkNetwork } from '../graph/check.ts';
import type { Examples } from '../graph/examples.ts';
import type { Network } from '../graph/network.ts';
import type { KernelSet } from '../kernels/types.ts';
import { createBatchReader } from '../training/batches.ts';
import { createSpread } from '../training/outputs.ts';

export interface CompareOptions {
  /** Default: what `loadInferenceKernels` gives. */
  readonly kernels?: KernelSet;
  /** Default 1. */
  readonly threads?: number;
  /** Samples per pass. Default 32. */
  readonly batch?: number;
  /** How many of the samples that are furthest apart are named, of each output. Default 5. */
  readonly worst?: number;
  /** Of random inputs. Default 0. */
  readonly seed?: number;
  readonly signal?: AbortSignal;
  /** Is told how many samples are done. */
  readonly onProgress?: (done: number) => void;
}

export interface OutputDifference {
  /** Of the first network. */
  readonly name: string;
  /** |b - a| / |a|: 0 is the same. Where a is 0: over 1. */
  readonly relativeError: number;
  /**
   * |b - a| / |a - its mean over the samples|: 1 is as far off as answering always the same, which may be little of |a|. Where a
   * never changes: over |a|. What `compress` judges by where there are no labels.
   */
  readonly spreadError: number;
  /** Of all outputs as one vector; 1 where both are 0 throughout. */
  readonly cosine: number;
  /** Largest |b - a| of an element. */
  readonly largest: number;
  /** Samples that are furthest apart, worst first; `error` by the measure of `relativeError`, for this sample alone. */
  readonly worst: readonly { readonly sample: number; readonly error: number }[];
}

export interface Difference {
  readonly samples: number;
  readonly outputs: readonly OutputDifference[];
}

const NAMES = ['kernels', 'threads', 'batch', 'worst', 'seed', 'signal', 'onProgress'] as const;

/**
 * Runs both networks on the same samples and says how far `b` is from `a`, for each output; they are paired in their order,
 * names do not matter. Memory: no outputs are kept but one batch's.
 *
 * @param samples - a set, for networks of one input; or a number: so many random inputs, uniform in -1 ... 1, which say little of
 *   how far apart networks are where it matters
 * @throws {TypeError | RangeError} for what is no network, or two that do not take and give the same
 * @throws {EspalierError} DATA for samples that do not fit; UNSUPPORTED for random inputs of whole numbers; NONFINITE for outputs
 *   that are no numbers; `signal.reason` when aborted
 * @example
 * import { compareNetworks } from 'espalier/compression';
 * const { outputs: [{ relativeError }] } = await compareNetworks(original, small, validation);
 */
export async function compareNetworks(
  a: Network,
  b: Network,
  samples: Examples | number,
  given: CompareOptions = {},
): Promise<Difference> {
  const who = 'compareNetworks';
  const options = ownOptions(who, 'options', given, NAMES);
  const { kernels, threads = 1, seed = 0, signal, onProgress } = options;
  const worst = checkInteger(who, 'worst', options.worst ?? 5, 0);
  checkNetwork(who, 'a', a);
  checkNetwork(who, 'b', b);
  const count = typeof samples === 'number' ? checkInteger(who, 'samples', samples, 1) : samples.count;
  const batch = Math.min(checkInteger(who, 'batch', options.batch ?? 32, 1), count);
  const control = createRunControl(signal ? { signal } : {});
  control.check();
  checkSame(
    who,
    'inputs',
    a.inputs.map(({ shape }) => shape),
    b.inputs.map(({ shape }) => shape),
  );
  const executors: Executor[] = [];
  try {
    for (const network of [a, b])
      executors.push(await createExecutor(network, { batch, threads, ...(kernels && { kernels }) }));
    const shapes = executors.map((one) => one.network.outputs.map((name) => one.shapeOf(name)));
    checkSame(who, 'outputs', shapes[0], shapes[1]);
    const fill =
      typeof samples === 'number'
        ? random(who, executors, seed)
        : await fromSet(who, executors, samples, { batch, control });
    const tallies = shapes[0].map((shape) => createTally(sizeOf(shape), worst));
    for (let first = 0; first < count; first += batch) {
      const n = Math.min(batch, count - first);
      await fill(first, n);
      for (const executor of executors) executor.forward();
      tallies.forEach((tally, o) => {
        const [left, right] = executors.map((executor) => valuesOf(executor, executor.network.outputs[o]));
        tally.add(left, right, first, n);
      });
      onProgress?.(first + n);
      await control.pause();
    }
    return { samples: count, outputs: tallies.map((tally, o) => tally.result(who, a.outputs[o], count)) };
  } finally {
    for (const executor of executors) executor.dispose();
  }
}

type Fill = (first: number, count: number) => void | Promise<void>;

function checkSame(
  who: string,
  what: string,
  a: readonly (readonly number[])[],
  b: readonly (readonly number[])[],
): void {
  const text = (shapes: readonly (readonly number[])[]): string =>
    shapes.map((shape) => `[${shape.join(', ')}]`).join(', ');
  if (a.length === b.length && a.every((shape, i) => sameShape(shape, b[i]))) return;
  throw new RangeError(
    `${who}: b: expected ${what} ${text(a)} as a has, got ${text(b)}; two networks are compared that take and give the same`,
  );
}

const valuesOf = (executor: Executor, name: string): ArrayLike<number> =>
  executor.typeOf(name) === 'float' ? executor.output(name) : executor.integers(name);

function random(who: string, executors: readonly Executor[], seed: number): Fill {
  const [{ network }] = executors;
  for (const { name } of network.inputs) {
    if (executors[0].typeOf(name) !== 'float')
      throw new EspalierError(
        'UNSUPPORTED',
        `${who}: input ${show(name)} is of whole numbers, which mean something; give samples`,
        { name },
      );
  }
  return (first, count) => {
    network.inputs.forEach(({ shape }, i) => {
      const size = sizeOf(shape);
      const [x, y] = executors.map((executor) => executor.input(executor.network.inputs[i].name));
      for (let k = 0; k < count; k++) {
        const draw = stream(seed, 'compare', i, first + k);
        for (let j = 0; j < size; j++) x[k * size + j] = 2 * draw() - 1;
      }
      y.set(x);
    });
  };
}

async function fromSet(
  who: string,
  executors: readonly Executor[],
  examples: Examples,
  { batch, control }: { readonly batch: number; readonly control: ReturnType<typeof createRunControl> },
): Promise<Fill> {
  const { inputs } = executors[0].network;
  if (inputs.length !== 1)
    throw new RangeError(
      `${who}: a: a set has one input, the networks ${inputs.length}; give a number of random samples`,
    );
  checkInputs(who, 'samples', examples, inputs[0].shape);
  const reader = createBatchReader({ who, name: 'samples', examples, batch, control, targets: false, classes: 0 });
  return async (first, count) => {
    await reader.read(Int32Array.from({ length: count }, (_, i) => first + i));
    for (const executor of executors) executor.input().set(reader.inputs);
  };
}

interface Tally {
  add(a: ArrayLike<number>, b: ArrayLike<number>, first: number, count: number): void;
  result(who: string, name: string, samples: number): OutputDifference;
}

/** Sums over the samples of one output, in double. */
function createTally(size: number, worst: number): Tally {
  const spread = createSpread(size);
  let [own, other, product, apart, largest] = [0, 0, 0, 0, 0];
  let furthest: { sample: number; error: number }[] = [];
  return {
    add(a, b, first, count) {
      spread.add(a, count);
      for (let k = 0; k < count; k++) {
        let distance = 0;
        for (let j = 0; j < size; j++) {
          const [x, y] = [a[k * size + j], b[k * size + j]];
          own += x * x;
          other += y * y;
          product += x * y;
          distance += (y - x) * (y - x);
          largest = Math.max(largest, Math.abs(y - x));
        }
        apart += distance;
        furthest.push({ sample: first + k, error: Math.sqrt(distance) });
      }
      furthest = furthest.sort((one, two) => two.error - one.error || one.sample - two.sample).slice(0, worst);
    },
    result(who, name, samples) {
      if (!Number.isFinite(own + other))
        throw new EspalierError(
          'NONFINITE',
          `${who}: output ${show(name)}: expected finite numbers from both networks, got others`,
          { name },
        );
      const norm = Math.sqrt(own || 1);
      return {
        name,
        relativeError: Math.sqrt(apart) / norm,
        spreadError: own === 0 ? Math.sqrt(apart) : Math.sqrt(apart / (samples * size)) / spread.result(),
        cosine: own === 0 && other === 0 ? 1 : own === 0 || other === 0 ? 0 : product / Math.sqrt(own * other),
        largest,
        worst: furthest.map(({ sample, error }) => ({ sample, error: (error * Math.sqrt(samples)) / norm })),
      };
    },
  };
}
