/**
 * The schedule (Zeng, Zhao, Bao 2016; design section 5.4): one step at a time, from the last layer to the first, prune
 * the neurons that feed a layer, retrain, quantize the layer, retrain; at the end retrain everything that is still
 * trained.
 *
 * In that order no step ever cuts an encoded tensor: what feeds a layer is still dense, and so are the rows before it.
 * In any other order a group of neurons that an encoded layer reads stays, and the report says so.
 */
import { canonicalEncoding } from '../encodings/index.ts';
import { EspalierError } from '../base/errors.ts';
import type { Network } from '../graph/network.ts';
import { writeNetwork } from '../network/write.ts';
import { inferShapes, multiplyAdds, parameterCount } from '../network/shapes.ts';
import { findGroups, prune } from '../pruning/index.ts';
import { quantizeParameterAsync, roundCodebooks } from '../quantization/index.ts';
import { evaluate, predictAll, train } from '../training/index.ts';
import type { EpochRecord, TrainOptions, TrainResult } from '../training/index.ts';
import { checkFit, defaultLoss, resolveTrainOptions } from '../training/options.ts';
import { rootMeanSquare } from '../base/tensor.ts';
import type { Context } from '../graph/transform.ts';
import { openProgress, stageKey } from './checkpoint.ts';
import type { Progress } from './checkpoint.ts';
import { milder, resolveCompressOptions } from './options.ts';
import type { CompressOptions, CompressSettings, LayerSetting, RetrainSetting } from './options.ts';
import { compareLayers, splitBytes } from './report.ts';
import type { CompressionReport, StageReport } from './report.ts';

export interface CompressResult {
  readonly network: Network;
  /** The file: what `runtime` loads. */
  readonly bytes: Uint8Array;
  readonly report: CompressionReport;
}

/** One stage of one step; the last step ('final') has no layers. */
interface Stage {
  readonly kind: StageReport['kind'];
  readonly step: number;
  readonly layers: readonly string[];
  readonly lastOfStep: boolean;
}

/**
 * Compresses a trained network. The network given is not changed; it serves as yardstick, and as teacher if
 * `teacherWeight` is above 0.
 *
 * Needs `context.training` (labelled, unless teacherWeight is 1) and `context.validation`, on which steps are judged
 * and the final state is chosen. The same network, data, options, seed and kernel set give the same bytes, in one go or
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
  context: Context,
  options: CompressOptions = {},
): Promise<CompressResult> {
  const settings = resolveCompressOptions(network, options);
  for (const set of ['training', 'validation'] as const) {
    if (!context[set])
      throw new TypeError(
        `compress: context.${set}: expected examples, got none; the schedule ${set === 'training' ? 'retrains on them' : 'judges its steps by them'}`,
      );
  }
  checkRetraining(network, context, settings);
  const stages = planStages(settings);
  const progress = await openProgress(network, context, options, settings);
  let state: Progress = progress.restored ?? (await begin(network, context, settings));

  while (state.next < stages.length) {
    context.signal?.throwIfAborted();
    const stage = stages[state.next];
    context.onEvent?.({
      kind: 'stage',
      name: stage.kind,
      index: state.next,
      count: stages.length,
      detail: stage.layers.join(', '),
    });
    const { network: changed, report } = await runStage(stage, state, {
      original: network,
      context,
      settings,
      options,
    });
    state = settle(
      {
        ...state,
        network: changed,
        validation: report.validation,
        stages: [...state.stages, report],
        next: state.next + 1,
      },
      stage,
      stages,
      settings,
      context,
    );
    await progress.save(state);
  }
  return finish(network, state, options);
}

function planStages(settings: CompressSettings): Stage[] {
  const { steps, layers, retrainPruned, retrainQuantized, final, codewords } = settings;
  const stages = steps.flatMap((names, step) => {
    const kinds: StageReport['kind'][] = ['prune'];
    if (retrainPruned.epochs > 0) kinds.push('retrain');
    if (names.some((name) => layers.get(name)?.quantize)) {
      kinds.push('quantize');
      if (retrainQuantized.epochs > 0) kinds.push('retrain');
    }
    return kinds.map((kind, i): Stage => ({ kind, step, layers: names, lastOfStep: i === kinds.length - 1 }));
  });
  const closing = (kind: StageReport['kind']): Stage => ({ kind, step: steps.length, layers: [], lastOfStep: false });
  if (final.epochs > 0) stages.push(closing('final'));
  // Rounding comes before the file and after the training, which would leave the grid again.
  if (codewords === 'float16') stages.push(closing('round'));
  return stages;
}

async function begin(network: Network, context: Context, settings: CompressSettings): Promise<Progress> {
  const validation = await measure(network, network, context, settings);
  return {
    next: 0,
    attempt: 0,
    network,
    validation,
    stepStart: network,
    startValidation: validation,
    best: undefined,
    baseline: validation,
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

interface Run {
  readonly original: Network;
  readonly context: Context;
  readonly settings: CompressSettings;
  readonly options: CompressOptions;
}

async function runStage(stage: Stage, state: Progress, run: Run): Promise<{ network: Network; report: StageReport }> {
  const { context, settings } = run;
  const reported = async (
    network: Network,
    detail: string,
    epochs?: readonly EpochRecord[],
  ): Promise<{ network: Network; report: StageReport }> => ({
    network,
    report: {
      kind: stage.kind,
      layers: stage.layers,
      attempt: state.attempt,
      changed: network !== state.network,
      parameters: parameterCount(network),
      detail,
      validation:
        network === state.network ? state.validation : await measure(run.original, network, context, settings),
      ...(epochs
        ? {
            epochs: epochs.map(({ loss, validation }) => ({
              loss,
              ...(validation === undefined ? {} : { validation }),
            })),
          }
        : {}),
    },
  });
  if (stage.kind === 'prune') {
    const { network, detail } = await pruneFeeders(stage, state, run);
    return reported(network, detail);
  }
  if (stage.kind === 'quantize') {
    const { network, detail } = await quantizeLayers(stage, state, run);
    return reported(network, detail);
  }
  if (stage.kind === 'round') {
    const { network } = await roundCodebooks()(state.network, context);
    return reported(network, 'codewords to half precision');
  }
  // Retraining follows a change: a step that neither removed nor quantized anything has nothing to recover from.
  if (stage.kind === 'retrain' && state.stages.at(-1)?.changed === false)
    return reported(state.network, 'nothing has changed');
  const setting =
    stage.kind === 'final'
      ? settings.final
      : state.stages.at(-1)?.kind === 'prune'
        ? settings.retrainPruned
        : settings.retrainQuantized;
  const { network, status, history } = await retrain(stage, state, run, setting);
  return reported(
    network,
    `${setting.epochs} epochs at ${setting.learningRate}${status === 'noImprovement' ? '; none was better than the state before, which stays' : ''}`,
    history,
  );
}

const settingOf = (settings: CompressSettings, layer: string, attempt: number): LayerSetting =>
  milder(settings.layers.get(layer)!, attempt);

/** Removes neurons of the groups that feed the step's layers and that no earlier step has seen. */
async function pruneFeeders(
  stage: Stage,
  state: Progress,
  { context, settings }: Run,
): Promise<{ network: Network; detail: string }> {
  const { network, attempt } = state;
  const keep: Record<string, number> = Object.create(null) as Record<string, number>;
  const words: string[] = [];
  const seen = new Set(settings.steps.slice(0, stage.step).flat());
  for (const group of findGroups(network)) {
    // A group is pruned in the first step that reaches one of its readers.
    if (
      !group.consumers.some(({ node }) => stage.layers.includes(node)) ||
      group.consumers.some(({ node }) => seen.has(node))
    )
      continue;
    const share = settingOf(settings, group.name, attempt).keep;
    if (share === 1) continue;
    if (!group.prunable) words.push(`${group.name} stays: ${group.reason}`);
    else keep[group.name] = share;
  }
  if (Object.keys(keep).length === 0) return { network, detail: words.join('; ') || 'nothing to remove' };
  const { network: thinner, report } = await prune({ criterion: settings.criterion, keep, repair: settings.repair })(
    network,
    context,
  );
  const removed = report.groups.map(({ group, before, after }) => `${group} ${before} -> ${after}`);
  return { network: thinner, detail: [...removed, ...words].join('; ') };
}

async function quantizeLayers(
  stage: Stage,
  state: Progress,
  { context, settings }: Run,
): Promise<{ network: Network; detail: string }> {
  let { network } = state;
  const words: string[] = [];
  for (const layer of stage.layers) {
    const { quantize, subvectorLength, codewordCount, codebooks, signs } = settingOf(settings, layer, state.attempt);
    const weight = network.nodes.find((node) => node.name === layer)?.parameters.weight;
    if (!quantize || weight === undefined || network.parameters.get(weight)?.kind !== 'dense') continue;
    const { network: quantized, report } = await quantizeParameterAsync(network, weight, {
      subvectorLength,
      codewordCount,
      codebooks,
      signs,
      seed: context.seed,
      kernels: context.kernels,
      threads: context.threads,
      ...(context.signal && { signal: context.signal }),
    });
    network = quantized;
    words.push(
      report.status === 'dense'
        ? `${layer} stays dense: a codebook would not make it smaller`
        : `${layer} ${report.bitsPerWeight.toFixed(2)} bits a weight, relative error ${report.relativeError.toFixed(4)}`,
    );
  }
  return { network, detail: words.join('; ') || 'nothing to quantize' };
}

function trainOptions(
  original: Network,
  { training, teacherWeight }: CompressSettings,
  setting: RetrainSetting,
): TrainOptions {
  return { ...training, ...setting, ...(teacherWeight > 0 ? { teacher: original, teacherWeight } : {}) };
}

function retrain(stage: Stage, state: Progress, run: Run, setting: RetrainSetting): Promise<TrainResult> {
  const { context, settings, options, original } = run;
  const { checkpoint } = options;
  return train(
    state.network,
    {
      ...context,
      // Every stage draws orders and augmentations of its own, as if the epochs of the whole run were numbered through.
      seed: context.seed + 7919 * (1 + state.next) + 104729 * state.attempt,
    },
    {
      ...trainOptions(original, settings, setting),
      // Between steps the last state goes on, as in the paper; what is handed out is the best of the final pass.
      keep: stage.kind === 'final' ? 'best' : 'last',
      ...(checkpoint
        ? { checkpoint: { store: checkpoint.store, key: stageKey(checkpoint.key, state.stages.length) } }
        : {}),
    },
  );
}

/** At the end of a step: within the tolerance go on; else undo it and try milder, or take the best of the tries. */
function settle(
  state: Progress,
  stage: Stage,
  stages: readonly Stage[],
  settings: CompressSettings,
  context: Context,
): Progress {
  if (!stage.lastOfStep) return state;
  const { validation } = state;
  // A metric of the caller's may be negative, as minus an accuracy is.
  const limit =
    settings.tolerance === Infinity ? Infinity : state.baseline + settings.tolerance * Math.abs(state.baseline);
  const best = state.best && state.best.validation <= validation ? state.best : { network: state.network, validation };
  if (validation > limit && state.attempt < settings.retries) {
    const first = stages.findIndex(({ step }) => step === stage.step);
    context.onEvent?.({
      kind: 'note',
      text: `step of ${stage.layers.join(', ')}: validation ${validation.toPrecision(4)} is above ${limit.toPrecision(4)}; trying again, milder`,
    });
    return {
      ...state,
      next: first,
      attempt: state.attempt + 1,
      network: state.stepStart,
      validation: state.startValidation,
      best,
    };
  }
  return { ...state, ...best, attempt: 0, stepStart: best.network, startValidation: best.validation, best: undefined };
}

/** The validation metric: lower is better. Without labels the original's outputs are the yardstick. */
async function measure(
  original: Network,
  network: Network,
  context: Context,
  settings: CompressSettings,
): Promise<number> {
  const examples = context.validation!;
  const how = {
    kernels: context.kernels,
    threads: context.threads,
    ...(context.signal ? { signal: context.signal } : {}),
  };
  const { validationMetric, loss: given = defaultLoss(network) } = settings.training;
  if (!examples.targetShape) {
    const [wanted, found] = [await predictAll(original, examples, how), await predictAll(network, examples, how)];
    return validationMetric ? validationMetric(found, wanted, examples.count) : rootMeanSquare(found, wanted);
  }
  const { predictions, targets, samples, rmse, loss } = await evaluate(network, examples, {
    ...how,
    ...(given.classes ? { loss: given } : {}),
  });
  const value = validationMetric ? validationMetric(predictions, targets, samples) : given.classes ? loss : rmse;
  if (value === undefined)
    throw new EspalierError(
      'DATA',
      `compress: context.validation: expected targets of ${predictions.length / samples} numbers, got ${targets.length / samples}; give such targets, or a validationMetric that can judge these`,
      { name: 'validation' },
    );
  return value;
}

function finish(original: Network, state: Progress, options: CompressOptions): CompressResult {
  const parameters = new Map(
    [...state.network.parameters].map(([name, encoding]) => [name, canonicalEncoding(encoding)]),
  );
  const network: Network = { ...state.network, parameters };
  const bytes = writeNetwork(network);
  const before = parameterCount(original);
  const originalBytes = Math.min(4 * before, options.originalBytes ?? Infinity);
  return {
    network,
    bytes,
    report: {
      bytes: bytes.length,
      originalBytes,
      ratio: originalBytes / bytes.length,
      split: splitBytes(network, bytes.length),
      parameters: { before, after: parameterCount(network) },
      multiplyAdds: { before: multiplyAdds(original), after: multiplyAdds(network) },
      validation: { before: state.baseline, after: state.validation },
      layers: compareLayers(original, network),
      stages: state.stages,
    },
  };
}
