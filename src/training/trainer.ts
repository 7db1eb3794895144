/** Training: epochs of batches through a training executor, judged on validation, resumable to the byte. */
import { EspalierError, show } from '../base/errors.ts';
import { createExecutor } from '../execution/executor.ts';
import { createTrainingExecutor } from '../execution/training-executor.ts';
import type { Executor, TrainingExecutor } from '../execution/types.ts';
import { checkNetwork } from '../graph/check.ts';
import { resolveContext } from '../graph/context.ts';
import type { GivenContext, GivenTransform } from '../graph/context.ts';
import type { Network } from '../graph/network.ts';
import { permutation, stream } from '../base/random.ts';
import { rootMeanSquare, sameShape, sizeOf } from '../base/tensor.ts';
import type { Context } from '../graph/transform.ts';
import { allocatePredictions, createBatchReader, predictBatches } from './batches.ts';
import type { BatchReader, Predictions } from './batches.ts';
import { openCheckpoint } from './checkpoint.ts';
import type { TrainCheckpoint } from './checkpoint.ts';
import { atOnce, createRunControl } from '../base/control.ts';
import type { RunControl } from '../base/control.ts';
import { divergenceError, nonFiniteParameter } from './divergence.ts';
import { softmaxRows } from '../losses/losses.ts';
import { checkFit, resolveTrainOptions } from './options.ts';
import type { TrainOptions, TrainSettings } from './options.ts';
import type { TrainResult, TrainState } from './types.ts';

/** A run under way: what all epochs share. */
interface Run {
  readonly settings: TrainSettings;
  readonly context: Context;
  readonly control: RunControl;
  readonly executor: TrainingExecutor;
  readonly teacher: Executor | undefined;
  readonly reader: BatchReader;
  readonly judge: ((executor: Executor) => Promise<number>) | undefined;
}

/**
 * Trains all parameters that are not frozen: weights of dense layers, codewords of encoded ones (codes and signs stay).
 *
 * Epoch e takes the samples in the order `permutation(stream(seed, 'order', e), count)`, `batchSize` at a time, and
 * drops what does not fill a last batch; a set smaller than a batch is one batch. The same seed, data, options and
 * kernel set give the same bytes, for any number of threads, in one go or resumed. Cost: three times the multiply-adds
 * of inference per sample, and one pass over validation per evaluation. After the first, a step on a set in memory
 * allocates nothing but its event and the promises of reading, less than 3 kB at any batch size; dropout and
 * augmentation add their random numbers.
 *
 * Events: one 'batch' per step, one 'epoch' per epoch (counted from 0), after its checkpoint is written. A listener
 * that throws ends the run with its error. `context.signal` is looked at before every step.
 *
 * @param given - the context: training set in `training`; validation set, if any, in `validation`; `kernels` are loaded
 *   where they are left out
 * @throws {TypeError | RangeError} for wrong arguments, before any work
 * @throws {EspalierError} SHAPE (a batch normalization that one value per channel would reach: batch x positions = 1),
 *   DATA (samples that do not fit, are not finite, or cannot be read: the sample is named),
 *   DIVERGED (step and layer are named;
 *   {@link lastGoodNetwork} has the last good weights), CHECKPOINT (the checkpoint is of another run), LOCKED (another run uses
 *   it), MEMORY, WORKER, IO
 * @throws `context.signal.reason` when aborted
 * @example
 * import { smoothL1, train } from 'espalier/training';
 * const { network, kept } = await train(start, { kernels, threads: 2, seed: 1, training, validation }, { epochs: 20, loss: smoothL1({ beta: 0.1, scale: 0.1 }) });
 */
export async function train(network: Network, given: GivenContext, options: TrainOptions): Promise<TrainResult> {
  checkNetwork('train', 'network', network);
  const context = await resolveContext('train', given);
  const settings = resolveTrainOptions(network, context, options);
  const control = createRunControl(context);
  control.check();
  const { kernels, threads, seed } = context;
  const { batch, optimizer, frozen } = settings;
  const executor = await createTrainingExecutor(network, { batch, kernels, threads, optimizer, frozen, seed });
  let teacher: Executor | undefined;
  try {
    const input = network.inputs[0].shape;
    const output = executor.shapeOf(network.outputs[0]);
    checkFit(settings, input, output);
    if (settings.teacher) {
      teacher = await createExecutor(settings.teacher, { batch, kernels, threads });
      const [taken, given] = [
        teacher.shapeOf(settings.teacher.inputs[0].name),
        teacher.shapeOf(settings.teacher.outputs[0]),
      ];
      if (!sameShape(taken, input) || sizeOf(given) !== sizeOf(output)) {
        throw new RangeError(
          `train: teacher: expected a network from [${input.join(', ')}] to [${output.join(', ')}], got one from [${taken.join(', ')}] to [${given.join(', ')}]`,
        );
      }
    }
    const reader = createBatchReader({
      who: 'train',
      name: 'context.training',
      examples: settings.training,
      batch,
      control,
      targets: settings.teacherWeight < 1,
      classes: classesOf(settings, output),
    });
    const judge = settings.validation && (await createJudge(settings, control, executor, teacher));
    return await runKept(network, { settings, context, control, executor, teacher, reader, judge });
  } finally {
    teacher?.dispose();
    executor.dispose();
  }
}

/** {@link train} as a step of a pipeline. */
export function trainTransform(options: TrainOptions): GivenTransform {
  return async (network, context) => {
    const { network: trained, ...report } = await train(network, context, options);
    return { network: trained, report: { transform: 'train', ...report } };
  };
}

async function runKept(network: Network, run: Run): Promise<TrainResult> {
  const { checkpoint: place } = run.settings;
  if (!place) return runEpochs(network, run);
  const checkpoint = await openCheckpoint(place, run.executor, run.settings, run.context, run.control);
  try {
    return await runEpochs(network, run, checkpoint);
  } finally {
    await checkpoint.close();
  }
}

async function runEpochs(network: Network, run: Run, checkpoint?: TrainCheckpoint): Promise<TrainResult> {
  const { settings, control, executor, judge } = run;
  const { epochs, stepsPerEpoch } = settings;
  let state = await checkpoint?.load();
  if (state) {
    control.emit({ kind: 'note', text: `train: goes on from the checkpoint after epoch ${state.history.length - 1}` });
  } else {
    const before = await judge?.(executor);
    if (before !== undefined && !Number.isFinite(before))
      throw new EspalierError(
        'NONFINITE',
        `train: network: expected a finite validation metric before training, got ${before}`,
        { found: before },
      );
    state = {
      network,
      optimizer: new Map(),
      history: [],
      before,
      best: before === undefined ? undefined : { epoch: -1, validation: before, network },
    };
  }

  while (state.history.length < epochs && !hasStopped(state, settings)) {
    const epoch: number = state.history.length;
    const lastStep = (epoch + 1) * stepsPerEpoch - 1;
    const started = performance.now();
    const loss = await trainEpoch(run, epoch, state.network);
    const now = executor.snapshot();
    const lost = nonFiniteParameter(now);
    if (lost !== undefined)
      throw await divergence(run, lastStep, `parameter ${show(lost)} is not finite`, state.network);
    const due = (epoch + 1) % settings.evaluateEvery === 0 || epoch + 1 === epochs;
    const validation = due ? await judge?.(executor) : undefined;
    if (validation !== undefined && !Number.isFinite(validation))
      throw await divergence(run, lastStep, `the validation metric is ${validation}`, state.network);
    const isBest: boolean = validation !== undefined && validation < (state.best?.validation ?? Infinity);
    state = {
      // As large as the parameters, and of use to a checkpoint alone.
      network: now,
      optimizer: checkpoint ? executor.optimizerState() : state.optimizer,
      before: state.before,
      history: [...state.history, { epoch, loss, ...(validation === undefined ? {} : { validation }) }],
      best: isBest ? { epoch, validation: validation!, network: now } : state.best,
    };
    await checkpoint?.save(state);
    control.emit({
      kind: 'epoch',
      epoch,
      epochs,
      loss,
      seconds: (performance.now() - started) / 1000,
      ...(validation === undefined ? {} : { validation }),
      ...(state.best ? { best: state.best.validation } : {}),
    });
  }
  await control.end();
  return conclude(state, settings);
}

function conclude(state: TrainState, settings: TrainSettings): TrainResult {
  const { history, best, before } = state;
  const last = history.at(-1);
  const kept =
    settings.keep === 'best' && best
      ? best
      : { epoch: history.length - 1, validation: last?.validation, network: state.network };
  return {
    network: kept.network,
    status: statusOf(kept.epoch, state, settings),
    history,
    ...(before === undefined ? {} : { before }),
    kept: { epoch: kept.epoch, ...(kept.validation === undefined ? {} : { validation: kept.validation }) },
    steps: history.length * settings.stepsPerEpoch,
  };
}

/** Whether patience has run out: a function of the history, so a resumed run stops where an uninterrupted one does. */
function hasStopped({ history, best }: TrainState, { patience }: TrainSettings): boolean {
  return (
    best !== undefined &&
    history.filter(({ epoch, validation }) => validation !== undefined && epoch > best.epoch).length >= patience
  );
}

/** One pass over the training set. Returns the mean loss. */
async function trainEpoch(run: Run, epoch: number, lastGood: Network): Promise<number> {
  const { settings, context, control, executor, reader, teacher } = run;
  const { batch, stepsPerEpoch, epochs, loss, schedule, learningRate, codebookRate, clip, teacherWeight } = settings;
  const steps = epochs * stepsPerEpoch;
  const order = permutation(stream(context.seed, 'order', epoch), settings.training.count);
  const pass = { seed: context.seed, epoch };
  const [input, output, gradient, taught] = [
    executor.input(),
    executor.output(),
    executor.outputGradient(),
    teacher?.output(),
  ];
  const size = output.length / batch;
  const mixed = new Float32Array(teacher ? output.length : 0);
  let sum = 0;
  for (let i = 0; i < stepsPerEpoch; i++) {
    const step = epoch * stepsPerEpoch + i;
    await control.pause();
    await reader.read(order.subarray(i * batch, (i + 1) * batch), pass);
    input.set(reader.inputs);
    let targets = reader.targets;
    if (teacher && taught) {
      teacher.input().set(reader.inputs);
      teacher.forward();
      mixed.set(taught);
      if (loss.classes) softmaxRows(mixed, batch, size);
      if (targets) mixTargets(mixed, targets, teacherWeight, batch, size);
      targets = mixed;
    }
    executor.forwardTraining(step);
    const value = loss.measure(output, targets!, batch, size, gradient);
    if (!Number.isFinite(value)) throw await divergence(run, step, `the loss is ${value}`, lastGood);
    executor.backward();
    const rate = learningRate * schedule.factor(step, steps);
    const gradientNorm = executor.update({ rate, codebookRate: codebookRate * rate, clip }, step + 1);
    if (!Number.isFinite(gradientNorm))
      throw await divergence(run, step, `the gradient norm is ${gradientNorm}`, lastGood);
    sum += value;
    control.emit({ kind: 'batch', epoch, epochs, step, steps, loss: value, learningRate: rate, gradientNorm });
  }
  return sum / stepsPerEpoch;
}

function statusOf(keptEpoch: number, state: TrainState, settings: TrainSettings): TrainResult['status'] {
  if (keptEpoch === -1) return 'noImprovement';
  return hasStopped(state, settings) ? 'stoppedEarly' : 'finished';
}

/**
 * mixed = weight mixed + (1 - weight) targets, a label standing for the row with all mass on it. mixed (count, size).
 */
function mixTargets(mixed: Float32Array, targets: Float32Array, weight: number, count: number, size: number): void {
  const areLabels = targets.length < mixed.length;
  for (let row = 0; row < count; row++) {
    for (let j = 0, i = row * size; j < size; j++, i++) {
      const mass = targets[row] === j ? 1 : 0;
      mixed[i] = weight * mixed[i] + (1 - weight) * (areLabels ? mass : targets[i]);
    }
  }
}

function divergence({ executor, context }: Run, step: number, seen: string, lastGood: Network): Promise<EspalierError> {
  return divergenceError(executor, context.kernels, { step, seen, lastGood });
}

function classesOf({ loss }: TrainSettings, output: readonly number[]): number {
  return loss.classes ? sizeOf(output) : 0;
}

/**
 * The validation metric as a function of the state of an executor. Targets are the labels, or where there are none the
 * teacher's outputs.
 */
async function createJudge(
  settings: TrainSettings,
  control: RunControl,
  executor: Executor,
  teacher: Executor | undefined,
): Promise<(executor: Executor) => Promise<number>> {
  const examples = settings.validation!;
  const output = executor.shapeOf(executor.network.outputs[0]);
  const reader = createBatchReader({
    who: 'train',
    name: 'context.validation',
    examples,
    batch: executor.batch,
    control,
    targets: true,
    classes: classesOf(settings, output),
  });
  const room = allocatePredictions(executor, reader);
  let taught: Float32Array | undefined;
  if (!room.targets && teacher) {
    taught = new Float32Array(room.predictions.length);
    await predictBatches(teacher, reader, control, { predictions: taught, targets: undefined });
    if (settings.loss.classes) softmaxRows(taught, examples.count, sizeOf(output));
  }
  return async (judged) => {
    await predictBatches(judged, reader, control, room);
    return measure(settings, { predictions: room.predictions, targets: room.targets ?? taught }, examples.count);
  };
}

function measure(
  { loss, validationMetric }: TrainSettings,
  { predictions, targets }: Predictions,
  count: number,
): number {
  if (validationMetric)
    return atOnce('train', 'validationMetric', validationMetric(predictions.slice(), targets!.slice(), count));
  return loss.classes
    ? loss.measure(predictions, targets!, count, predictions.length / count)
    : rootMeanSquare(predictions, targets!);
}
