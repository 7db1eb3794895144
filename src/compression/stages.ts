/**
 * The stages of a schedule: each a plain transform, made from the settings. The schedule itself runs them one after
 * another, judges them and keeps their reports; it does not know what they do, so one's own may stand among them.
 */
import { isDense } from '../encodings/index.ts';
import type { Network } from '../graph/network.ts';
import type { TransformReport } from '../graph/transform.ts';
import { criterionName } from '../importance/score.ts';
import { defaultLoss } from '../losses/losses.ts';
import { parameterCount, weightedLayers } from '../network/shapes.ts';
import { findGroups, prune } from '../pruning/index.ts';
import type { PruneReport } from '../pruning/index.ts';
import { quantizeParameterAsync } from '../quantization/index.ts';
import type { ParameterReport } from '../quantization/network.ts';
import type { QuantizerSettings } from '../quantization/index.ts';
import { train } from '../training/index.ts';
import type { EpochRecord, TrainOptions, TrainResult } from '../training/index.ts';
import { roundCodebooks } from '../quantization/round.ts';
import { milder } from './options.ts';
import type { CompressSettings, RetrainSetting } from './options.ts';
import type { Stage, StageTransform } from './stage.ts';

/** Report of a 'quantize' stage. */
export interface QuantizeStageReport extends TransformReport {
  readonly transform: 'quantize';
  /** Of the layers that were dense still and are to be quantized. */
  readonly parameters: readonly (ParameterReport & { readonly layer: string })[];
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
    const planned: Pick<Stage, 'name' | 'transform'>[] = [{ name: 'prune', transform: pruneFeeders(settings, seen) }];
    if (retrainPruned.epochs > 0)
      planned.push({ name: 'retrain', transform: retrain(settings, retrainPruned, 'prune') });
    if (names.some((name) => layers.get(name)?.quantize)) {
      planned.push({ name: 'quantize', transform: quantizeLayers(settings) });
      if (retrainQuantized.epochs > 0)
        planned.push({ name: 'retrain', transform: retrain(settings, retrainQuantized, 'quantize') });
    }
    return planned.map((stage): Stage => ({ ...stage, step, layers: names }));
  });
  const closing = { step: steps.length, layers: [] };
  if (final.epochs > 0) stages.push({ ...closing, name: 'final', transform: retrain(settings, final) });
  // Rounding comes before the file and after the training, which would leave the grid again.
  if (codewords === 'float16') stages.push({ ...closing, name: 'round', transform: roundCodebooks() });
  return stages;
}

/** Removes neurons of the groups that feed the step's layers and that no earlier step has `seen`. */
function pruneFeeders(settings: CompressSettings, seen: readonly string[]): StageTransform {
  const { criterion, scoring, repair, training } = settings;
  return async (network, context): Promise<{ network: Network; report: PruneReport }> => {
    const { layers, attempt } = context;
    const keep = Object.create(null) as Record<string, number>;
    const skipped: { group: string; reason: string }[] = [];
    for (const { name, consumers, prunable, reason = '' } of findGroups(network)) {
      // A group is pruned in the first step that reaches one of its readers.
      if (!consumers.some(({ node }) => layers.includes(node)) || consumers.some(({ node }) => seen.includes(node)))
        continue;
      const share = milder(settings.layers.get(name)!, attempt).keep;
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
    const { network: thinner, report } = await prune({ criterion, scoring, loss, keep, repair })(network, context);
    return { network: thinner, report: { ...report, skipped } };
  };
}

/** Quantizes the step's layers, each as its setting says. */
function quantizeLayers(settings: CompressSettings): StageTransform {
  return async (network, context): Promise<{ network: Network; report: QuantizeStageReport }> => {
    const { layers, attempt, seed, kernels, threads, signal } = context;
    const parameters: (ParameterReport & { layer: string })[] = [];
    let result = network;
    for (const layer of layers) {
      const { quantize, quantizer, options } = milder(settings.layers.get(layer)!, attempt);
      const weight = weightedLayers(result).find(({ name }) => name === layer)?.weight;
      if (!quantize || weight === undefined || !isDense(result.parameters.get(weight))) continue;
      const { network: quantized, report } = await quantizeParameterAsync(result, weight, {
        ...({ quantizer, ...options } as QuantizerSettings),
        seed,
        kernels,
        threads,
        ...(signal && { signal }),
      });
      result = quantized;
      parameters.push({ layer, ...report });
    }
    return { network: result, report: { transform: 'quantize', parameters } };
  };
}

/**
 * Retraining. After a stage named `after` it follows a change: where that stage and those behind it have changed
 * nothing there is nothing to recover from. Without it: the final pass.
 */
function retrain(settings: CompressSettings, setting: RetrainSetting, after?: string): StageTransform {
  return async (network, context): Promise<{ network: Network; report: RetrainStageReport }> => {
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
        ...trainOptions(original, settings, setting),
        // Between steps the last state goes on, as in the paper; what is handed out is the best of the final pass.
        keep: after === undefined ? 'best' : 'last',
        ...(checkpoint ? { checkpoint } : {}),
      },
    );
    return { network: trained, report: { ...report, status, history } };
  };
}

/** Options of one retraining: those of the schedule, its own over them, the original as teacher where that has a weight. */
export function trainOptions(
  original: Network,
  { training, teacherWeight }: CompressSettings,
  setting: RetrainSetting,
): TrainOptions {
  return { ...training, ...setting, ...(teacherWeight > 0 ? { teacher: original, teacherWeight } : {}) };
}
