/**
 * The schedule (Zeng, Zhao, Bao 2016; design section 5.4): one step at a time, of all layers unless told
 * otherwise, else from the last layer to the first, prune the neurons that feed a layer, retrain, quantize the layer,
 * retrain; at the end retrain everything that is still trained.
 *
 * In that order no step ever cuts an encoded tensor: what feeds a layer is still dense, and so are the rows before it.
 * In any other order a group of neurons that an encoded layer reads stays, and the report says so.
 */
import { createRunControl, within } from '../base/control.ts';
import type { RunControl } from '../base/control.ts';
import { checkNetwork } from '../graph/check.ts';
import { checkInteger, show, showAll } from '../base/errors.ts';
import { isMap } from '../base/realm.ts';
import { canonicalEncoding, isDense } from '../encodings/index.ts';
import { resolveContext } from '../graph/context.ts';
import type { GivenContext } from '../graph/context.ts';
import type { Network } from '../graph/network.ts';
import type { Context, TransformReport } from '../graph/transform.ts';
import { checkLabelled } from '../importance/gradients.ts';
import { measurementsOf } from '../importance/score.ts';
import { writeNetwork } from '../network/write.ts';
import { inferShapes, multiplyAdds, parameterCount, weightedLayers } from '../network/shapes.ts';
import { checkFit, resolveTrainOptions } from '../training/options.ts';
import { openProgress } from './checkpoint.ts';
import type { Progress, ProgressStore } from './checkpoint.ts';
import { createJudge, limitOf, TOLERANCES, yardstickOf } from './judge.ts';
import type { Allowance } from './judge.ts';
import { COMPRESS_DEFAULTS, resolveCompressOptions, compressOptions } from './options.ts';
import type { CompressOptions, CompressSettings } from './options.ts';
import { compareLayers, comparePlans, splitBytes } from './report.ts';
import type { CompressionReport } from './report.ts';
import type { Stage, StepReport } from './stage.ts';
import { planStages, trainOptions } from './stages.ts';
import { withoutData } from './without-data.ts';

export interface CompressResult {
  readonly network: Network;
  /** The file: what `runtime` loads. */
  readonly bytes: Uint8Array;
  readonly report: CompressionReport;
}

/**
 * Compresses a trained network. The network given is not changed; it serves as yardstick, and as teacher if
 * `teacherWeight` is above 0.
 *
 * Reads `context.training` (labelled, unless teacherWeight is 1) and `context.validation`, on which steps are judged
 * and the final state is chosen. Without either weights are quantized, and neurons removed where a criterion on weights
 * is asked for, and that is all: what needs data is refused by name, and the error is unknown (NaN, yardstick 'none'). The same network, data, options, seed and kernel set give the same bytes, in one go or
 * resumed from `options.checkpoint`, for any number of threads.
 *
 * Events: 'stage' when a stage starts; 'batch' and 'epoch' from retraining. Cost: the retraining; epochs x samples x
 * three times the multiply-adds of inference, falling as the network gets thinner.
 *
 * @throws {TypeError | RangeError} for wrong arguments, before any work
 * @throws {EspalierError} DATA, DIVERGED, CHECKPOINT, MEMORY, WORKER, IO; `context.signal.reason` when aborted
 * @example
 * import { compress } from 'espalier/compression';
 * const { bytes, report } = await compress(network, context, { settings: { keep: 0.7, subvectorLength: 4, codewordCount: 256 } });
 */
export async function compress(
  network: Network,
  givenContext: GivenContext,
  given: CompressOptions = {},
): Promise<CompressResult> {
  checkNetwork('compress', 'network', network);
  const context = await resolveContext('compress', givenContext);
  const isBlind = !context.training && !context.validation;
  const options = isBlind ? withoutData(compressOptions(given)) : compressOptions(given);
  const settings = resolveCompressOptions(network, options);
  for (const set of ['training', 'validation'] as const) {
    if (!isBlind && !context[set])
      throw new TypeError(
        `compress: context.${set}: expected examples, got none; the schedule ${set === 'training' ? 'retrains on them' : 'judges its steps by them'}; without both it quantizes, and no more`,
      );
  }
  const stages = arrange(planStages(settings), options);
  checkRetraining(network, context, settings);
  if (!isBlind && measurementsOf(settings.criterion, settings.scoring).includes('gradients'))
    checkLabelled('compress', context.training);
  const control = createRunControl(context);
  tellOfEncoded(network, settings, control);
  if (isBlind && network.nodes.some(({ kind }) => kind === 'batchNorm'))
    control.emit({
      kind: 'warning',
      text: 'compress: without data the statistics of batch normalization stay those of the weights as they were; with data they are taken anew',
    });
  const inner = within(control, context);
  const progress = await openProgress(network, inner, control, options, settings, stages);
  try {
    const run = openRun(network, inner, control, settings, stages);
    let state: Progress = progress.restored ?? (await begin(network, run));
    while (state.next < stages.length) {
      const stage = stages[state.next];
      control.emit({
        kind: 'stage',
        name: stage.name,
        index: state.next,
        count: stages.length,
        detail: stage.layers.join(', '),
      });
      state = settle(await runStage(stages, state, network, inner, run, progress), stages, run);
      await progress.save(state);
    }
    await control.end();
    return finish(network, state, run, options);
  } finally {
    await progress.close();
  }
}

/** What all steps share. */
interface Run {
  readonly settings: CompressSettings;
  readonly measure: (network: Network) => Promise<number>;
  readonly judged: Omit<Allowance, 'baseline'>;
  /** Says that a step ended beyond its limit. */
  note(stage: Stage, validation: number, limit: number, consequence: string): void;
}

function openRun(
  network: Network,
  context: Context,
  control: RunControl,
  settings: CompressSettings,
  stages: readonly Stage[],
): Run {
  const yardstick = yardstickOf(network, context, settings);
  const steps = new Set(stages.filter(isJudged).map(({ step }) => step)).size;
  return {
    settings,
    measure: createJudge(network, context, settings),
    judged: {
      yardstick,
      tolerance: settings.tolerance ?? (yardstick === 'none' ? Infinity : TOLERANCES[yardstick]),
      steps: Math.max(1, steps),
    },
    note(stage, validation, limit, consequence) {
      const text = `step of ${stage.layers.join(', ')}: validation ${validation.toPrecision(4)} is above ${limit.toPrecision(4)}; ${consequence}`;
      control.emit({ kind: 'note', text });
    },
  };
}

/** A file that was compressed before: its layers are neither pruned nor quantized anew, which would else be a riddle. */
function tellOfEncoded(network: Network, { layers }: CompressSettings, control: RunControl): void {
  const encoded = weightedLayers(network)
    .filter(({ name, weight }) => layers.has(name) && !isDense(network.parameters.get(weight)!))
    .map(({ name }) => name);
  if (encoded.length === 0) return;
  control.emit({
    kind: 'warning',
    text: `compress: quantized already, and left as they are: ${showAll(encoded)}; to have them otherwise, compress the original`,
  });
}

/** The schedule as the caller arranges it. @throws {TypeError | RangeError} for what is no schedule */
function arrange(planned: readonly Stage[], { stages: rearrange }: CompressOptions): readonly Stage[] {
  if (rearrange === undefined) return planned;
  const stages: unknown = rearrange(planned);
  if (!Array.isArray(stages))
    throw new TypeError(`compress: stages: expected it to give an array of stages, got ${show(stages)}`);
  let last = 0;
  for (const [i, stage] of (stages as unknown[]).entries()) {
    const { name, step, layers, transform } = (stage ?? {}) as Partial<Stage>;
    if (typeof name !== 'string' || !Array.isArray(layers) || typeof transform !== 'function')
      throw new TypeError(
        `compress: stages[${i}]: expected { name, step, layers, transform }, got ${show(stage)} of name ${show(name)}, layers ${show(layers)}, transform ${show(transform)}`,
      );
    last = checkInteger('compress', `stages[${i}].step (of ${show(name)}, ascending)`, step, last);
  }
  return stages as Stage[];
}

async function begin(network: Network, { measure }: Run): Promise<Progress> {
  const validation = await measure(network);
  return {
    next: 0,
    attempt: 0,
    network,
    validation,
    stepStart: network,
    startValidation: validation,
    best: undefined,
    baseline: validation,
    tries: [],
    steps: [],
    stages: [],
  };
}

/** What `train` would refuse hours later, in the first retraining. */
function checkRetraining(network: Network, context: Context, settings: CompressSettings): void {
  const { retrainPruned, retrainQuantized, final } = settings;
  const shapes = inferShapes(network);
  for (const setting of [retrainPruned, retrainQuantized, final]) {
    if (setting.epochs === 0) continue;
    checkFit(
      resolveTrainOptions(network, context, trainOptions(network, settings, setting)),
      network.inputs[0].shape,
      shapes.get(network.outputs[0])!,
    );
  }
}

/** Runs a stage and takes down what it did. */
async function runStage(
  stages: readonly Stage[],
  state: Progress,
  original: Network,
  context: Context,
  { measure }: Run,
  progress: ProgressStore,
): Promise<Progress> {
  const { name, layers, step, transform } = stages[state.next];
  const { attempt, next } = state;
  const done = state.stages.length;
  const checkpoint = progress.stageCheckpoint(done);
  const { network, report } = checkOutcome(
    name,
    await transform(state.network, {
      ...context,
      original,
      layers,
      attempt,
      before: state.stages.slice(done - (next - firstOf(stages, step))),
      stageSeed: context.seed + 7919 * (1 + next) + 104729 * attempt,
      ...(checkpoint ? { checkpoint } : {}),
    }),
  );
  const changed = network !== state.network;
  const validation = changed ? await measure(network) : state.validation;
  const parameters = parameterCount(network);
  return {
    ...state,
    network,
    validation,
    stages: [...state.stages, { name, layers, attempt, changed, parameters, validation, report }],
    next: next + 1,
  };
}

const firstOf = (stages: readonly Stage[], step: number): number => stages.findIndex((stage) => stage.step === step);

/** What a transform gave, if it is what a transform gives. */
function checkOutcome(name: string, outcome: unknown): { network: Network; report: TransformReport } {
  const { network, report } = (outcome ?? {}) as { network?: Partial<Network>; report?: Partial<TransformReport> };
  if (Array.isArray(network?.nodes) && isMap(network.parameters) && typeof report?.transform === 'string')
    return { network: network as Network, report: report as TransformReport };
  throw new TypeError(
    `compress: stage ${show(name)}: expected its transform to give { network, report: { transform: name, ... } }, got ${show(outcome)}`,
  );
}

/** At the end of a step: within its limit go on; else undo it and try milder, or take the best of the tries. */
function settle(state: Progress, stages: readonly Stage[], run: Run): Progress {
  const stage = stages[state.next - 1];
  const ofStep = stages.filter(({ step }) => step === stage.step);
  const isLast = stages[state.next]?.step !== stage.step;
  if (!isLast || !ofStep.some(isJudged)) return state;
  const { retries } = run.settings;
  const { validation, attempt, network, stepStart } = state;
  const tries = [...state.tries, validation];
  if (run.judged.yardstick === 'none') return state;
  const limit = limitOf({ ...run.judged, baseline: state.baseline }, state.startValidation);
  const best = state.best && state.best.validation <= validation ? state.best : { network, validation, attempt };
  const differs = (one: Stage): boolean => one.differs?.(attempt + 1, stepStart, network) ?? true;
  if (validation > limit && attempt < retries && ofStep.some(differs)) {
    run.note(stage, validation, limit, 'trying again, milder');
    return {
      ...state,
      next: firstOf(stages, stage.step),
      attempt: attempt + 1,
      network: stepStart,
      validation: state.startValidation,
      best,
      tries,
    };
  }
  const within = best.validation <= limit;
  if (!within) run.note(stage, best.validation, limit, 'the best of its tries stays');
  const step: StepReport = {
    layers: stage.layers,
    start: state.startValidation,
    ...(limit === Infinity ? {} : { limit }),
    tries,
    kept: best.attempt,
    within,
  };
  return {
    ...state,
    network: best.network,
    validation: best.validation,
    attempt: 0,
    stepStart: best.network,
    startValidation: best.validation,
    best: undefined,
    tries: [],
    steps: [...state.steps, step],
  };
}

const isJudged = ({ layers }: Stage): boolean => layers.length > 0;

function finish(original: Network, state: Progress, run: Run, options: CompressOptions): CompressResult {
  const parameters = new Map(
    [...state.network.parameters].map(([name, encoding]) => [name, canonicalEncoding(encoding)]),
  );
  const network: Network = { ...state.network, parameters };
  const plain = writeNetwork(network);
  const { packed = COMPRESS_DEFAULTS.packed } = options;
  const bytes = packed ? writeNetwork(network, { packed }) : plain;
  const before = parameterCount(original);
  const originalBytes = Math.min(4 * before, options.originalBytes ?? Infinity);
  return {
    network,
    bytes,
    report: {
      bytes: bytes.length,
      originalBytes,
      ratio: originalBytes / bytes.length,
      split: splitBytes(network, bytes.length, plain.length),
      parameters: { before, after: parameterCount(network) },
      multiplyAdds: { before: multiplyAdds(original), after: multiplyAdds(network) },
      validation: { before: state.baseline, after: state.validation, yardstick: run.judged.yardstick },
      ...(run.judged.tolerance === Infinity ? {} : { tolerance: run.judged.tolerance }),
      layers: compareLayers(original, network),
      plans: comparePlans(original, network, run.settings, state.steps),
      steps: state.steps,
      stages: state.stages,
    },
  };
}
