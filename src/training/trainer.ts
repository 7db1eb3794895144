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
import { rootMeanSquare, sizeOf } from '../base/tensor.ts';
import type { Context } from '../graph/transform.ts';
import { allocatePredictions, createBatchReader, predictBatches } from './batches.ts';
import type { BatchReader, Predictions } from './batches.ts';
import { openCheckpoint } from './checkpoint.ts';
import type { TrainCheckpoint } from './checkpoint.ts';
import { atOnce, createRunControl } from '../base/control.ts';
import type { RunControl } from '../base/control.ts';
import { divergenceError, nonFiniteParameter } from './divergence.ts';
import { l2, softmaxRows } from '../losses/losses.ts';
import type { Loss } from '../losses/losses.ts';
import { checkFit, resolveTrainOptions } from './options.ts';
import type { TrainOptions, TrainSettings } from './options.ts';
import { counterparts, measureSpreads, outputError, withOutputs } from './outputs.ts';
import type { Counterpart } from './outputs.ts';
import { openAverages } from './averages.ts';
import type { Averages } from './averages.ts';
import { openAnswers } from './answers.ts';
import type { Answers } from './answers.ts';
import { movingLevels, openRounding, withLevels, withoutLevels } from './levels.ts';
import type { Rounding } from './levels.ts';
import type { TrainResult, TrainState } from './types.ts';

/** What is learned of one output: of the first from labels, from the teacher or from both, of the others from the teacher. */
interface Lesson {
  readonly name: string;
  readonly size: number;
  readonly loss: Loss;
  /** The teacher's output. */
  readonly taught: string | undefined;
  /** Share of the teacher; the rest is the labels'. */
  readonly weight: number;
  /** What a batch's targets are mixed in. */
  readonly mixed: Float32Array;
  /** Factor on the loss: the mean over the outputs. */
  readonly share: number;
}

/** A run under way: what all epochs share. */
interface Run {
  readonly settings: TrainSettings;
  readonly context: Context;
  readonly control: RunControl;
  readonly executor: TrainingExecutor;
  readonly teacher: Executor | undefined;
  readonly answers: Answers | undefined;
  readonly lessons: readonly Lesson[];
  readonly reader: BatchReader;
  readonly judge: ((executor: Executor) => Promise<number>) | undefined;
  readonly rounding: Rounding | undefined;
  readonly averages: Averages | undefined;
  /** A state with the outputs and encodings that the caller's network has. */
  readonly asGiven: (state: Network) => Network;
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
  const moving = settings.levels === 'moving' ? movingLevels(network, frozen) : new Map<string, never>();
  const student = withOutputs(withoutLevels(network, moving), settings.responses);
  const executor = await createTrainingExecutor(student, { batch, kernels, threads, optimizer, frozen, seed });
  let teacher: Executor | undefined;
  try {
    const output = executor.shapeOf(network.outputs[0]);
    checkFit(settings, network.inputs[0].shape, output);
    if (settings.teacher)
      teacher = await createExecutor(withOutputs(settings.teacher, settings.responses), { batch, kernels, threads });
    const pairs = teacher ? counterparts('train', executor, teacher) : [];
    const reader = createBatchReader({
      who: 'train',
      name: 'context.training',
      examples: settings.training,
      batch,
      control,
      targets: settings.teacherWeight < 1,
      classes: classesOf(settings, output),
    });
    const judge = settings.validation && (await createJudge(settings, control, executor, teacher, pairs));
    const lessons = await planLessons(settings, executor, teacher, pairs, reader, control);
    const answers =
      teacher &&
      openAnswers(
        teacher,
        lessons.map(({ taught, size }) => ({ taught: taught!, size })),
        reader,
      );
    // The network as given is told by being the same.
    const asGiven = (state: Network): Network =>
      state === student ? network : withLevels({ ...state, outputs: network.outputs }, moving);
    const rounding = moving.size > 0 ? openRounding(executor, moving) : undefined;
    const averages = settings.average > 0 ? openAverages(executor, settings.average) : undefined;
    return await runKept(student, {
      ...{
        settings,
        context,
        control,
        executor,
        teacher,
        answers,
        lessons,
        reader,
        judge,
        rounding,
        averages,
        asGiven,
      },
    });
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
  const { settings, executor, context, control, averages } = run;
  const { checkpoint: place } = settings;
  if (!place) return runEpochs(network, run);
  const checkpoint = await openCheckpoint(place, executor, settings, context, control, averages);
  try {
    return await runEpochs(network, run, checkpoint);
  } finally {
    await checkpoint.close();
  }
}

async function runEpochs(network: Network, run: Run, checkpoint?: TrainCheckpoint): Promise<TrainResult> {
  const { settings, control, executor, rounding, averages } = run;
  const { epochs, stepsPerEpoch } = settings;
  const judge =
    run.judge &&
    (async (): Promise<number> => {
      averages?.put();
      rounding?.round();
      const value = await run.judge!(executor);
      rounding?.restore();
      averages?.restore();
      return value;
    });
  const averaged = (now: Network): Network => {
    if (!averages) return now;
    averages.put();
    const shown = executor.snapshot();
    averages.restore();
    return shown;
  };
  let state = await checkpoint?.load();
  if (state) {
    control.emit({ kind: 'note', text: `train: goes on from the checkpoint after epoch ${state.history.length - 1}` });
  } else {
    const before = await judge?.();
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
    const validation = due ? await judge?.() : undefined;
    if (validation !== undefined && !Number.isFinite(validation))
      throw await divergence(run, lastStep, `the validation metric is ${validation}`, state.network);
    const isBest: boolean = validation !== undefined && validation < (state.best?.validation ?? Infinity);
    state = {
      // As large as the parameters, and of use to a checkpoint alone.
      network: now,
      optimizer: checkpoint ? new Map([...executor.optimizerState(), ...(averages?.state() ?? [])]) : state.optimizer,
      before: state.before,
      history: [...state.history, { epoch, loss, ...(validation === undefined ? {} : { validation }) }],
      best: isBest ? { epoch, validation: validation!, network: averaged(now) } : state.best,
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
  const result = conclude({ ...state, network: averaged(state.network) }, settings);
  return { ...result, network: run.asGiven(result.network) };
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

/**
 * Without labels and without a loss of the caller's or of the network's task, each output counts in the unit of its own
 * spread, as outputs beside the first always do: they have no labels. What no trained parameter reaches is left out.
 */
async function planLessons(
  { batch, loss, lossIsGiven, teacherWeight }: TrainSettings,
  executor: TrainingExecutor,
  teacher: Executor | undefined,
  pairs: readonly Counterpart[],
  reader: BatchReader,
  control: RunControl,
): Promise<Lesson[]> {
  const [first] = executor.network.outputs;
  const size = sizeOf(executor.shapeOf(first));
  const lesson = { name: first, size, loss, taught: undefined, weight: 0, mixed: new Float32Array(0), share: 1 };
  if (!teacher) return [lesson];
  const labelled = teacherWeight < 1;
  const reached = pairs.filter(({ name }) => executor.trainedOutputs.includes(name) || (labelled && name === first));
  const learned = reached.length > 0 ? reached : pairs.slice(0, 1);
  const asGiven = (name: string): boolean => name === first && (labelled || lossIsGiven);
  const scaled = learned.filter(({ name }) => !asGiven(name));
  const spreads =
    scaled.length === 0
      ? []
      : await measureSpreads(
          teacher,
          scaled.map(({ taught }) => taught),
          reader,
          control,
        );
  return learned.map((pair): Lesson => ({
    ...pair,
    loss: asGiven(pair.name) ? loss : l2({ scale: spreads[scaled.indexOf(pair)] }),
    weight: pair.name === first ? teacherWeight : 1,
    mixed: new Float32Array(batch * pair.size),
    share: (pair.name === first ? 1 : teacherWeight) / learned.length,
  }));
}

/** One pass over the training set. Returns the mean loss. */
async function trainEpoch(run: Run, epoch: number, lastGood: Network): Promise<number> {
  const { settings, context, control, executor, reader, rounding, averages } = run;
  const { batch, stepsPerEpoch, epochs, schedule, learningRate, codebookRate, clip } = settings;
  const steps = epochs * stepsPerEpoch;
  const order = permutation(stream(context.seed, 'order', epoch), settings.training.count);
  const pass = { seed: context.seed, epoch };
  const [input, measure] = [executor.input(), openLessons(run)];
  let sum = 0;
  for (let i = 0; i < stepsPerEpoch; i++) {
    const step = epoch * stepsPerEpoch + i;
    await control.pause();
    await reader.read(order.subarray(i * batch, (i + 1) * batch), pass);
    input.set(reader.inputs);
    rounding?.round();
    executor.forwardTraining(step);
    const value = measure(order.subarray(i * batch, (i + 1) * batch), epoch);
    if (!Number.isFinite(value)) throw await divergence(run, step, `the loss is ${value}`, lastGood);
    executor.backward();
    rounding?.restore();
    const rate = learningRate * schedule.factor(step, steps);
    const gradientNorm = executor.update({ rate, codebookRate: codebookRate * rate, clip }, step + 1);
    if (!Number.isFinite(gradientNorm))
      throw await divergence(run, step, `the gradient norm is ${gradientNorm}`, lastGood);
    rounding?.settle(rate * settings.rateWeight);
    averages?.follow(step + 1);
    sum += value;
    control.emit({ kind: 'batch', epoch, epochs, step, steps, loss: value, learningRate: rate, gradientNorm });
  }
  return sum / stepsPerEpoch;
}

/**
 * The loss of the batch that lies in reader and executor, with the gradients of all outputs written. Views are taken once:
 * a step allocates nothing.
 */
function openLessons({
  settings,
  executor,
  answers,
  reader,
  lessons,
}: Run): (samples: Int32Array, epoch: number) => number {
  const { batch } = settings;
  const views = lessons.map((lesson) => ({
    ...lesson,
    output: executor.output(lesson.name),
    gradient: executor.outputGradient(lesson.name),
    answer: lesson.taught === undefined ? undefined : answers?.of(lesson.taught),
  }));
  return (samples, epoch) => {
    answers?.ask(samples, epoch);
    let value = 0;
    for (const { size, loss, weight, mixed, share, output, gradient, answer } of views) {
      let targets = reader.targets;
      if (answer) {
        mixed.set(answer);
        if (loss.classes) softmaxRows(mixed, batch, size);
        if (targets && weight < 1) mixTargets(mixed, targets, weight, batch, size);
        targets = mixed;
      }
      const own = loss.measure(output, targets!, batch, size, gradient);
      value += share * own;
      if (share !== 1) for (let i = 0; i < gradient.length; i++) gradient[i] *= share;
    }
    return value;
  };
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

function divergence(
  { executor, context, asGiven }: Run,
  step: number,
  seen: string,
  lastGood: Network,
): Promise<EspalierError> {
  return divergenceError(executor, context.kernels, { step, seen, lastGood: asGiven(lastGood) });
}

function classesOf({ loss }: TrainSettings, output: readonly number[]): number {
  return loss.classes ? sizeOf(output) : 0;
}

/**
 * The validation metric as a function of the state of an executor. Where there are no labels the teacher's outputs are what
 * is wanted, all of them.
 */
async function createJudge(
  settings: TrainSettings,
  control: RunControl,
  executor: Executor,
  teacher: Executor | undefined,
  pairs: readonly Counterpart[],
): Promise<(executor: Executor) => Promise<number>> {
  const { validation: examples, loss, validationMetric } = settings;
  const { count } = examples!;
  const output = executor.shapeOf(executor.network.outputs[0]);
  const reader = createBatchReader({
    who: 'train',
    name: 'context.validation',
    examples: examples!,
    batch: executor.batch,
    control,
    targets: true,
    classes: classesOf(settings, output),
  });
  if (reader.targets || !teacher) {
    const room = allocatePredictions(executor, reader);
    return async (judged) => {
      await predictBatches(judged, reader, control, room);
      return measure(settings, room, count);
    };
  }
  const room = (names: readonly string[]): Predictions => ({
    predictions: new Float32Array(0),
    targets: undefined,
    outputs: new Map(pairs.map(({ size }, i) => [names[i], new Float32Array(count * size)])),
  });
  const own = room(pairs.map(({ name }) => name));
  const taught = room(pairs.map(({ taught }) => taught));
  await predictBatches(teacher, reader, control, taught);
  const wanted = new Map(pairs.map(({ name, taught: answer }) => [name, taught.outputs!.get(answer)!]));
  const first = wanted.get(executor.network.outputs[0]);
  if (loss.classes && validationMetric && first) softmaxRows(first, count, sizeOf(output));
  return async (judged) => {
    await predictBatches(judged, reader, control, own);
    return validationMetric
      ? measure(settings, { predictions: own.outputs!.get(executor.network.outputs[0])!, targets: first }, count)
      : outputError(own.outputs!, wanted, count);
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
