/**
 * The stages of a schedule: each a plain transform, made from the settings. The schedule itself runs them one after
 * another, judges them and keeps their reports; it does not know what they do, so one's own may stand among them.
 */
import { isDense } from '../encodings/index.ts';
import type { Network } from '../graph/network.ts';
import type { TransformReport } from '../graph/transform.ts';
import { openMoments } from '../importance/moments.ts';
import { criterionName } from '../importance/score.ts';
import { defaultLoss } from '../losses/losses.ts';
import { sameShape } from '../base/tensor.ts';
import { inferShapes, parameterCount, weightedLayers } from '../network/shapes.ts';
import { foldNormalization } from '../network/simplify.ts';
import { findGroups, prune } from '../pruning/index.ts';
import type { ChannelGroup } from '../importance/types.ts';
import type { PruneReport } from '../pruning/index.ts';
import { quantizeParameterAsync } from '../quantization/index.ts';
import { momentsOfWeight } from '../quantization/network.ts';
import type { ParameterReport } from '../quantization/network.ts';
import type { QuantizerSettings } from '../quantization/index.ts';
import { quantizerOf } from '../quantization/index.ts';
import { reestimateBatchNorm, train } from '../training/index.ts';
import type { EpochRecord, TrainOptions, TrainResult } from '../training/index.ts';
import { roundCodebooks } from '../quantization/round.ts';
import { milder } from './options.ts';
import type { CompressSettings, RetrainSetting } from './options.ts';
import type { Stage, StageContext } from './stage.ts';

/** Report of a 'quantize' stage. */
export interface QuantizeStageReport extends TransformReport {
  readonly transform: 'quantize';
  /** Batch normalizations that were multiplied into the step's layers before. Absent: none. */
  readonly folded?: number;
  /** Of the layers that were dense still and are to be quantized. */
  readonly parameters: readonly (ParameterReport & { readonly layer: string })[];
}

/** What the reports of pruning, quantization and rounding have beside, as `batchNorm`, where statistics were taken anew. */
export interface Reestimated {
  /** Batch normalizations. */
  readonly layers: number;
  /** Samples of the training set that were looked at. */
  readonly samples: number;
}

/** Report of a 'retrain' or 'final' stage. */
export interface RetrainStageReport extends TransformReport {
  readonly transform: 'train';
  /** As set. */
  readonly epochs: number;
  readonly learningRate: number;
  /** 'skipped': nothing had changed that there was to recover from. */
  readonly status: TrainResult['status'] | 'skipped';
  readonly history: readonly EpochRecord[];
}

/** The schedule that the settings describe. */
export function planStages(settings: CompressSettings): Stage[] {
  const { steps, layers, retrainPruned, retrainQuantized, final, codewords } = settings;
  const stages = steps.flatMap((names, step) => {
    const seen = steps.slice(0, step).flat();
    const planned: StagePlan[] = [pruneStage(settings, names, seen)];
    if (retrainPruned.epochs > 0) planned.push(retrainStage(settings, retrainPruned, 'prune'));
    if (names.some((name) => layers.get(name)?.quantize)) {
      planned.push(quantizeStage(settings, names));
      if (retrainQuantized.epochs > 0) planned.push(retrainStage(settings, retrainQuantized, 'quantize'));
    }
    return planned.map((stage): Stage => ({ ...stage, step, layers: names }));
  });
  if (final.epochs > 0)
    stages.push({ ...retrainStage(settings, final), name: 'final', step: steps.length, layers: [] });
  // Rounding comes before the file and after the training, which would leave the grid again. It is judged as a step of
  // its own: a milder one is none.
  const quantized = steps.flat().filter((name) => layers.get(name)?.quantize);
  if (codewords === 'float16' && quantized.length > 0)
    stages.push({
      name: 'round',
      step: steps.length + 1,
      layers: quantized,
      transform: measured(async (network, context) =>
        context.attempt === 0
          ? roundCodebooks({ dense: true })(network, context)
          : { network, report: { transform: 'roundCodebooks', parameters: [] } },
      ),
      differs: (attempt) => attempt === 1,
    });
  return stages;
}

type StagePlan = Pick<Stage, 'name' | 'transform' | 'differs'>;

/**
 * A transform after which the statistics of batch normalization are taken anew, before anything is measured: what comes
 * to it is no longer what they were made for. Label-free; networks without batch normalization come back as they are, and
 * where there are no data all do.
 */
function measured<R extends TransformReport>(
  transform: (network: Network, context: StageContext) => Promise<{ network: Network; report: R }>,
): (network: Network, context: StageContext) => Promise<{ network: Network; report: R }> {
  return async (network, context) => {
    const changed = await transform(network, context);
    if (changed.network === network || !context.training) return changed;
    const { network: result, report } = await reestimateBatchNorm(changed.network, context);
    if (result === changed.network) return changed;
    const { layers, samples } = report as TransformReport & Reestimated;
    return { network: result, report: { ...changed.report, batchNorm: { layers, samples } } };
  };
}

/** Removes neurons of the groups that feed the step's layers and that no earlier step has `seen`. */
function pruneStage(settings: CompressSettings, names: readonly string[], seen: readonly string[]): StagePlan {
  const { criterion, scoring, repair, refit, samples, training } = settings;
  // A group is pruned in the first step that reaches one of its readers.
  const feeders = (network: Network): ChannelGroup[] =>
    findGroups(network).filter(
      ({ consumers }) =>
        consumers.some(({ node }) => names.includes(node)) && !consumers.some(({ node }) => seen.includes(node)),
    );
  const transform = async (
    network: Network,
    context: StageContext,
  ): Promise<{ network: Network; report: PruneReport }> => {
    const keep = Object.create(null) as Record<string, number>;
    const skipped: { group: string; reason: string }[] = [];
    for (const group of feeders(network)) {
      const { name, prunable, reason = '' } = group;
      const share = shareOf(group, settings, context.attempt);
      if (share === 1) continue;
      if (prunable) keep[name] = share;
      else skipped.push({ group: name, reason });
    }
    if (Object.keys(keep).length === 0) {
      const parameters = parameterCount(network);
      const nothing = { groups: [], skipped, parametersBefore: parameters, parametersAfter: parameters };
      return { network, report: { transform: 'prune', criterion: criterionName(criterion), ...nothing } };
    }
    const loss = training.loss ?? defaultLoss(network);
    const { network: thinner, report } = await prune({
      ...{ criterion, scoring, loss, keep, repair, refit, samples },
      ...(context.training ? {} : { fold: false }),
    })(network, context);
    return { network: thinner, report: { ...report, skipped } };
  };
  return {
    name: 'prune',
    transform: measured(transform),
    differs: (attempt, start) =>
      feeders(start).some((group) => {
        const [now, before] = [attempt, attempt - 1].map((one) =>
          Math.max(1, Math.round(shareOf(group, settings, one) * group.channels)),
        );
        return group.prunable && now !== before;
      }),
  };
}

/** What stays of a group: of its layers the largest share that is set by name, else the largest. */
function shareOf({ producers }: ChannelGroup, { layers }: CompressSettings, attempt: number): number {
  const plans = producers.flatMap((name) => layers.get(name) ?? []);
  const own = plans.filter(({ keepIsOwn }) => keepIsOwn);
  return Math.max(...(own.length > 0 ? own : plans).map((plan) => milder(plan, attempt).keep));
}

/** Quantizes the step's layers, each as its setting says. */
function quantizeStage(settings: CompressSettings, layers: readonly string[]): StagePlan {
  const weightOf = (network: Network, layer: string): string | undefined =>
    weightedLayers(network).find(({ name }) => name === layer)?.weight;
  const transform = async (
    network: Network,
    context: StageContext,
  ): Promise<{ network: Network; report: QuantizeStageReport }> => {
    const { attempt, seed, kernels, threads, signal } = context;
    const { feedback, samples } = settings;
    const parameters: (ParameterReport & { layer: string })[] = [];
    // Behind quantized weights it could be folded no more, and would cost its four vectors.
    let result = foldNormalization(network, { layers, kinds: ['batchNorm'] });
    const folded = network.nodes.length - result.nodes.length;
    const meter = feedback === 'none' ? undefined : await openMoments('compress', result, context, { samples });
    // Each layer is measured with those before it quantized.
    const order = weightedLayers(network).map(({ name }) => name);
    const chosen = meter ? [...layers].sort((a, b) => order.indexOf(a) - order.indexOf(b)) : layers;
    for (const layer of chosen) {
      const { quantize, quantizer, options } = milder(settings.layers.get(layer)!, attempt);
      const weight = weightOf(result, layer);
      if (!quantize || weight === undefined || !isDense(result.parameters.get(weight))) continue;
      const moments = meter && (await momentsOfWeight(result, weight, feedback, meter));
      const { network: quantized, report } = await quantizeParameterAsync(result, weight, {
        ...({ quantizer, ...options } as QuantizerSettings),
        seed,
        kernels,
        threads,
        ...(signal && { signal }),
        ...(moments && { moments, feedback }),
      });
      result = quantized;
      parameters.push({ layer, ...report });
    }
    return { network: result, report: { transform: 'quantize', ...(folded > 0 && { folded }), parameters } };
  };
  return {
    name: 'quantize',
    transform: measured(transform),
    // Options may be milder and the codebook no larger, where a small layer has no room for more codewords.
    differs: (attempt, _start, tried) =>
      layers.some((layer) => {
        const plan = settings.layers.get(layer)!;
        const shape = tried.parameters.get(weightOf(tried, layer) ?? '')?.shape;
        if (!plan.quantize || !shape) return false;
        const [now, before] = [attempt, attempt - 1].map((one) =>
          quantizerOf(plan.quantizer).estimateBits(shape, milder(plan, one).options),
        );
        return now !== before;
      }),
  };
}

/**
 * Retraining. After a stage named `after` it follows a change: where that stage and those behind it have changed
 * nothing there is nothing to recover from. Without it: the final pass.
 */
function retrainStage(settings: CompressSettings, setting: RetrainSetting, after?: string): StagePlan {
  const transform = async (
    network: Network,
    context: StageContext,
  ): Promise<{ network: Network; report: RetrainStageReport }> => {
    const { original, before, stageSeed, checkpoint } = context;
    const report = { transform: 'train', ...setting } as const;
    const since = Math.max(
      0,
      before.findLastIndex(({ name }) => name === after),
    );
    if (after !== undefined && !before.slice(since).some(({ changed }) => changed))
      return { network, report: { ...report, status: 'skipped', history: [] } };
    const {
      network: trained,
      status,
      history,
    } = await train(
      network,
      // Every stage draws orders and augmentations of its own, as if the epochs of the whole run were numbered through.
      { ...context, seed: stageSeed },
      {
        ...trainOptions(original, settings, setting, network),
        // Validation is looked at after every epoch anyway, so the best state costs nothing. Where bits have a weight the
        // best on validation is the one of most bits.
        ...(settings.training.rateWeight ? {} : { keep: 'best' }),
        ...(checkpoint ? { checkpoint } : {}),
      },
    );
    return { network: trained, report: { ...report, status, history } };
  };
  // Another order of the samples is another try of luck, not a milder one.
  return { name: 'retrain', transform, differs: () => false };
}

/** Options of one retraining: those of the schedule, its own over them, the original as teacher where that has a weight. */
export function trainOptions(
  original: Network,
  { training, teacherWeight }: CompressSettings,
  setting: RetrainSetting,
  network = original,
): TrainOptions {
  const { responses, ...common } = training;
  if (teacherWeight === 0) return { ...common, ...setting };
  const taught = { ...common, ...setting, teacher: original, teacherWeight };
  if (!responses || network === original) return { ...taught, ...(responses && { responses }) };
  const [before, after] = [inferShapes(original), inferShapes(network)];
  const isWhole = (name: string): boolean => sameShape(before.get(name) ?? [], after.get(name) ?? [NaN]);
  return { ...taught, responses: responses.filter(isWhole) };
}
