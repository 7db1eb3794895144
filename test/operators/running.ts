/** Running networks in tests: values at random, a linear loss, its gradients. */
import { createExecutor } from '../../src/execution/executor.ts';
import { createTrainingExecutor } from '../../src/execution/training-executor.ts';
import type {
  Executor,
  ExecutorOptions,
  OptimizerOptions,
  TrainingExecutor,
  TrainingExecutorOptions,
} from '../../src/execution/types.ts';
import { normal, stream } from '../../src/base/random.ts';
import type { FloatArray } from '../../src/base/tensor.ts';
import type { Network } from '../../src/graph/network.ts';
import { outputsOf } from '../../src/graph/walk.ts';
import { operatorOf, trainingOf } from '../../src/operators/table.ts';
import { inputNumbers } from './examples.ts';

export const optimizer: OptimizerOptions = {
  kind: 'sgd',
  momentum: 0.9,
  nesterov: false,
  beta1: 0.9,
  beta2: 0.999,
  epsilon: 1e-8,
  decoupled: false,
  weightDecay: 0,
  codewordGradient: 'mean',
};

/** What was drawn by seed: central differences ask for it again at each step. */
const drawn = new Map<number, Float64Array>();
export const numbers = (count: number, seed: number): Float64Array => {
  let known = drawn.get(seed);
  if (known === undefined || known.length < count) {
    const random = stream(seed, 'numbers');
    known = Float64Array.from({ length: count }, () => normal(random));
    drawn.set(seed, known);
  }
  return known.slice(0, count);
};

/** A value's view, whatever its elements are. */
export type Values = FloatArray | Int32Array;
const isFloat = (one: Executor, name: string): boolean => one.typeOf(name) === 'float';

/** View of an output or watched value. */
export const read = (one: Executor, name: string): Values =>
  isFloat(one, name) ? one.output(name) : one.integers(name);

/** Fills every input, with numbers that depend on its name alone. */
export function fillInputs(one: Executor): void {
  for (const { name, shape } of one.network.inputs) {
    (isFloat(one, name) ? one.input(name) : one.integers(name)).set(inputNumbers(name, one.batch, shape));
  }
}

export async function withExecutor<T>(
  network: Network,
  options: ExecutorOptions,
  body: (one: Executor) => T,
): Promise<T> {
  const one = await createExecutor(network, options);
  try {
    fillInputs(one);
    return body(one);
  } finally {
    one.dispose();
  }
}

/** With gradients of the inputs; batch 2 if nothing else is said. */
export async function withTrainer<T>(
  network: Network,
  options: Omit<TrainingExecutorOptions, 'optimizer'> & Partial<TrainingExecutorOptions>,
  body: (one: TrainingExecutor) => T,
): Promise<T> {
  const one = await createTrainingExecutor(network, { batch: 2, optimizer, inputGradients: true, ...options });
  try {
    fillInputs(one);
    return body(one);
  } finally {
    one.dispose();
  }
}

/** Outputs of the inference pass, by name. */
export const outputsOfRun = (network: Network, options: ExecutorOptions): Promise<Map<string, Values>> =>
  withExecutor(network, options, (one) => {
    one.forward();
    // Twice: the second pass must not see what the first left.
    one.forward();
    return readOutputs(one);
  });

export const readOutputs = (one: Executor): Map<string, Values> =>
  new Map(one.network.outputs.map((name) => [name, read(one, name).slice()]));

/** Outputs that have a gradient, each with the c of the loss: that is the sum of c y over all of them. */
const weightsOf = (one: TrainingExecutor): [string, Float64Array][] =>
  one.network.outputs.flatMap((name, i) => (isFloat(one, name) ? [[name, numbers(one.output(name).length, i)]] : []));

/** Runs the training pass. */
export function lossOf(one: TrainingExecutor, step = 1): number {
  one.forwardTraining(step);
  return weightsOf(one).reduce((sum, [name, weights]) => {
    const y = one.output(name);
    return weights.reduce((part, c, j) => part + c * y[j], sum);
  }, 0);
}

/** Runs the backward pass. Gradients of the inputs that are read and of the trained parameters, by name. */
export function gradientsOf(one: TrainingExecutor): Map<string, FloatArray> {
  const { network } = one;
  const weights = weightsOf(one);
  for (const [name, values] of weights) one.outputGradient(name).set(values);
  one.backward();
  // What a gradient comes to, from the outputs back; an input is none of them where it only is an output itself.
  const reached = new Set(weights.map(([name]) => name));
  const readBack = new Set<string>();
  for (const node of [...network.nodes].reverse()) {
    if (!trainingOf(node).backward || !outputsOf(node).some((value) => reached.has(value))) continue;
    for (const name of node.inputs) {
      readBack.add(name);
      reached.add(name);
    }
  }
  const inputs = network.inputs.map(({ name }) => name).filter((name) => readBack.has(name));
  return new Map([...inputs, ...trainedParameters(network)].map((name) => [name, one.gradient(name).slice()]));
}

/** Names of the parameters that some operator trains. */
export const trainedParameters = ({ nodes }: Network): string[] => [
  ...new Set(
    nodes.flatMap((node) =>
      operatorOf(node).roles.flatMap(({ role, kind }) => (kind === 'trained' ? (node.parameters[role] ?? []) : [])),
    ),
  ),
];

/** View of what a gradient is to: an input or a parameter's trained values. */
export const valuesOf = (one: TrainingExecutor, name: string): FloatArray =>
  one.network.inputs.some((input) => input.name === name) ? one.input(name) : one.values(name);

/** Largest difference, as a share of the largest of `expected` (or of 1, where that is smaller). */
export function relativeDifference(found: ArrayLike<number>, expected: ArrayLike<number>): number {
  if (found.length !== expected.length) return Infinity;
  let [difference, largest] = [0, 1];
  for (let i = 0; i < expected.length; i++) {
    // Written so that NaN counts as a difference.
    const own = Math.abs(found[i] - expected[i]);
    if (!(own <= difference)) difference = Number.isNaN(own) ? Infinity : own;
    largest = Math.max(largest, Math.abs(expected[i]));
  }
  return difference / largest;
}
