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
import { operatorOf } from '../../src/operators/table.ts';
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

export const numbers = (count: number, seed: number): Float64Array => {
  const random = stream(seed, 'numbers');
  return Float64Array.from({ length: count }, () => normal(random));
};

/** Fills every input, with numbers that depend on its name alone. */
export function fillInputs(one: Executor): void {
  for (const { name, shape } of one.network.inputs) one.input(name).set(inputNumbers(name, one.batch, shape));
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
export const outputsOfRun = (network: Network, options: ExecutorOptions): Promise<Map<string, FloatArray>> =>
  withExecutor(network, options, (one) => {
    one.forward();
    // Twice: the second pass must not see what the first left.
    one.forward();
    return readOutputs(one);
  });

export const readOutputs = (one: Executor): Map<string, FloatArray> =>
  new Map(one.network.outputs.map((name) => [name, one.output(name).slice()]));

/** The loss is the sum of c y over all outputs: its gradient to output number i is c. */
const weightsOf = (one: TrainingExecutor, name: string, i: number): Float64Array => numbers(one.output(name).length, i);

/** Runs the training pass. */
export function lossOf(one: TrainingExecutor, step = 1): number {
  one.forwardTraining(step);
  return one.network.outputs.reduce((sum, name, i) => {
    const y = one.output(name);
    return weightsOf(one, name, i).reduce((part, c, j) => part + c * y[j], sum);
  }, 0);
}

/** Runs the backward pass. Gradients of the inputs that are read and of the trained parameters, by name. */
export function gradientsOf(one: TrainingExecutor): Map<string, FloatArray> {
  const { network } = one;
  network.outputs.forEach((name, i) => one.outputGradient(name).set(weightsOf(one, name, i)));
  one.backward();
  const inputs = network.inputs
    .map(({ name }) => name)
    .filter((name) => network.nodes.some((node) => node.inputs.includes(name)));
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
