/** Evaluation: predictions of a network over a whole set, and how far they are from the targets. */
import { checkInputs, checkNetwork } from '../graph/check.ts';
import { EspalierError, checkInteger } from '../base/errors.ts';
import { own } from '../base/realm.ts';
import { ownOptions } from '../base/rules.ts';
import { createExecutor } from '../execution/executor.ts';
import type { KernelSet } from '../kernels/types.ts';
import type { Examples } from '../graph/examples.ts';
import type { Network } from '../graph/network.ts';
import { rootMeanSquare, sizeOf } from '../base/tensor.ts';
import { allocatePredictions, createBatchReader, predictBatches } from './batches.ts';
import type { Predictions } from './batches.ts';
import { createRunControl } from '../base/control.ts';
import { checkLogits } from '../losses/losses.ts';
import type { Loss } from '../losses/losses.ts';
import { checkExamples } from './options.ts';

export interface PredictOptions {
  /** Default: what `loadInferenceKernels` gives. */
  readonly kernels?: KernelSet;
  /** Default 1. */
  readonly threads?: number;
  /** Samples per pass. Default 32. Predictions do not depend on it. */
  readonly batch?: number;
  readonly signal?: AbortSignal;
}

const PREDICT_NAMES = ['kernels', 'threads', 'batch', 'signal'] as const satisfies readonly (keyof PredictOptions)[];

export interface EvaluateOptions extends PredictOptions {
  /** Also measures this loss. */
  readonly loss?: Loss;
}

export interface Evaluation {
  readonly samples: number;
  /** (samples, ...output shape) */
  readonly predictions: Float32Array;
  /** (samples, ...target shape) */
  readonly targets: Float32Array;
  /** Root of the mean squared difference over all elements; absent where targets are labels. */
  readonly rmse?: number;
  /** Mean loss, if one was asked for. */
  readonly loss?: number;
}

/**
 * Predictions of a whole set in order, not augmented: (count, ...shape of the first output). One pass over the data.
 * @throws {TypeError | RangeError} for wrong arguments; {EspalierError} DATA for samples that do not fit or cannot be
 *   read; `signal.reason` when aborted
 */
export async function predictAll(
  network: Network,
  examples: Examples,
  options: PredictOptions = {},
): Promise<Float32Array> {
  const given = ownOptions('predictAll', 'options', options, PREDICT_NAMES);
  return (await predictSet('predictAll', network, examples, given, false)).predictions;
}

/**
 * {@link predictAll} for every output of a network, by name: (count, ...shape of the output). Outputs of whole numbers are
 * left out. One pass over the data.
 * @throws as {@link predictAll}
 */
export async function predictOutputs(
  network: Network,
  examples: Examples,
  options: PredictOptions = {},
): Promise<ReadonlyMap<string, Float32Array>> {
  const given = ownOptions('predictOutputs', 'options', options, PREDICT_NAMES);
  return (await predictSet('predictOutputs', network, examples, given, false, true)).outputs!;
}

/**
 * Predictions and targets of a labelled set, the root of their mean squared difference, and `options.loss` if given.
 * @throws as {@link predictAll}
 */
export async function evaluate(
  network: Network,
  examples: Examples,
  options: EvaluateOptions = {},
): Promise<Evaluation> {
  const given = ownOptions('evaluate', 'options', options, [...PREDICT_NAMES, 'loss']);
  checkNetwork('evaluate', 'network', network);
  if (given.loss) checkLogits('evaluate', 'network', given.loss, network);
  const { predictions, targets } = await predictSet('evaluate', network, examples, given, true);
  const samples = examples.count;
  if (!targets)
    throw new EspalierError('DATA', 'evaluate: examples: expected targets, got an unlabelled set; use predictAll', {
      name: 'examples',
    });
  return {
    samples,
    predictions,
    targets,
    ...(predictions.length === targets.length ? { rmse: rootMeanSquare(predictions, targets) } : {}),
    ...(given.loss ? { loss: given.loss.measure(predictions, targets, samples, predictions.length / samples) } : {}),
  };
}

async function predictSet(
  who: string,
  network: Network,
  examples: Examples,
  options: PredictOptions,
  targets: boolean,
  all = false,
): Promise<Predictions> {
  const { kernels, threads = 1, signal } = options;
  checkNetwork(who, 'network', network);
  checkExamples(who, 'examples', examples);
  const batch = Math.min(checkInteger(who, 'batch', options.batch ?? 32, 1), examples.count);
  const [input] = network.inputs;
  if (network.inputs.length !== 1)
    throw new RangeError(`${who}: network: expected one input, got ${network.inputs.length}`);
  checkInputs(who, 'examples', examples, input.shape);
  const control = createRunControl(signal ? { signal } : {});
  control.check();
  const executor = await createExecutor(network, { batch, threads, ...(kernels === undefined ? {} : { kernels }) });
  try {
    const classes = own(network).task?.kind === 'classes' ? sizeOf(executor.shapeOf(network.outputs[0])) : 0;
    const reader = createBatchReader({ who, name: 'examples', examples, batch, control, targets, classes });
    const names = network.outputs.filter((name) => all && executor.typeOf(name) === 'float');
    const outputs = names.map(
      (name) => [name, new Float32Array(examples.count * sizeOf(executor.shapeOf(name)))] as const,
    );
    const room = { ...allocatePredictions(executor, reader), ...(all && { outputs: new Map(outputs) }) };
    await predictBatches(executor, reader, control, room);
    return room;
  } finally {
    executor.dispose();
  }
}
