/** What stages did, in words: made by those who print, from the data of the reports. */
import type { TransformReport } from '../graph/transform.ts';
import type { PruneReport } from '../pruning/index.ts';
import { describeParameter } from '../quantization/index.ts';
import type { EpochRecord } from '../training/index.ts';
import type { CompressionReport, PlanReport } from './report.ts';
import type { StageReport } from './stage.ts';
import type { QuantizeStageReport, RetrainStageReport } from './stages.ts';

/**
 * One stage in a line: 'conv2 24 -> 18', 'conv2: 256 codewords of 4, signs apart, 3.12 bits a weight, ...'. Of a
 * transform that is not ours: its plain numbers and texts.
 */
export function describeStage({ report }: StageReport): string {
  if (isPruning(report)) return describePruning(report);
  if (isQuantization(report)) return describeQuantization(report);
  if (isTraining(report)) return describeTraining(report);
  if (report.transform === 'roundCodebooks') return 'codewords to half precision';
  const { transform, ...rest } = report;
  return [
    transform,
    ...Object.entries(rest).flatMap(([name, value]) =>
      typeof value === 'number' || typeof value === 'string' || typeof value === 'boolean' ? [`${name} ${value}`] : [],
    ),
  ].join(', ');
}

/** What the validation metric is called, its two values, and the change, in words. */
export function describeValidation({ before, after, yardstick }: CompressionReport['validation']): {
  readonly name: string;
  readonly before: string;
  readonly after: string;
  /** '+2.6 %', '-0.3 points'; empty where there is nothing to compare with. */
  readonly change: string;
} {
  const signed = (value: number): string => `${value > 0 ? '+' : ''}${value.toFixed(1)}`;
  const percent = (share: number): string => `${(100 * share).toFixed(2)} %`;
  switch (yardstick) {
    case 'errorRate':
      return {
        name: 'validation accuracy',
        before: percent(1 - before),
        after: percent(1 - after),
        change: `${signed(100 * (before - after))} points`,
      };
    case 'none':
      return { name: 'validation error', before: 'unknown', after: 'unknown', change: 'no data' };
    case 'outputError':
      return {
        name: "difference from the original's outputs",
        before: percent(before),
        after: percent(after),
        change: '',
      };
    default:
      return {
        name: yardstick === 'rmse' ? 'validation RMSE' : 'validation metric',
        before: before.toPrecision(4),
        after: after.toPrecision(4),
        change: before === 0 ? '' : `${signed(((after - before) / Math.abs(before)) * 100)} %`,
      };
  }
}

/** Where a layer became another than was asked, in words: 'conv2: keep 0.5 asked, 0.75 got'; undefined where it did not. */
export function describePlan({ layer, asked, got }: PlanReport): string | undefined {
  const parts = Object.entries(got.quantize ? got.options : {}).flatMap(([name, value]) =>
    value === asked.options[name] ? [] : [`${name} ${asked.options[name]} asked, ${value} got`],
  );
  // Half a neuron is nobody's fault.
  if (Math.abs(got.keep - asked.keep) > 0.05)
    parts.unshift(`keep ${asked.keep} asked, ${Number(got.keep.toFixed(3))} got`);
  if (asked.reason !== undefined) parts.push(`dense, ${asked.reason}`);
  else if (asked.quantize && !got.quantize) parts.push('quantized asked, dense got');
  return parts.length === 0 ? undefined : `${layer}: ${parts.join(', ')}`;
}

/** Losses by epoch, of a stage that trained. */
export function epochsOf({ report }: StageReport): readonly EpochRecord[] {
  return isTraining(report) ? report.history : [];
}

// Transforms of others may take our names: what is read must be there.
const isPruning = (report: TransformReport): report is PruneReport =>
  report.transform === 'prune' && Array.isArray(report['groups']) && Array.isArray(report['skipped']);
const isQuantization = (report: TransformReport): report is QuantizeStageReport =>
  report.transform === 'quantize' && Array.isArray(report['parameters']);
const isTraining = (
  report: TransformReport,
): report is TransformReport & Partial<RetrainStageReport> & Pick<RetrainStageReport, 'history'> =>
  report.transform === 'train' && Array.isArray(report['history']);

function describePruning({ groups, skipped, refitted = [] }: PruneReport): string {
  const count = refitted.filter(({ status }) => status === 'refitted').length;
  return (
    [
      ...groups.map(({ group, before, after }) => `${group} ${before} -> ${after}`),
      ...skipped.map(({ group, reason }) => `${group} stays: ${reason}`),
      ...(count > 0 ? [`${count} layer${count === 1 ? '' : 's'} refitted`] : []),
    ].join('; ') || 'nothing to remove'
  );
}

function describeQuantization({ folded = 0, parameters }: QuantizeStageReport): string {
  return (
    [
      ...(folded > 0 ? [`${folded} normalization${folded === 1 ? '' : 's'} folded`] : []),
      ...parameters.map(describeLayer),
    ].join('; ') || 'nothing to quantize'
  );
}

function describeLayer(report: QuantizeStageReport['parameters'][number]): string {
  // The transform `quantize` knows parameters only.
  return describeParameter({ ...report, parameter: report.layer ?? report.parameter });
}

function describeTraining({
  history,
  learningRate,
  status,
}: Partial<RetrainStageReport> & Pick<RetrainStageReport, 'history'>): string {
  if (status === 'skipped') return 'nothing has changed';
  const rate = learningRate === undefined ? '' : ` at ${learningRate}`;
  return `${history.length} epochs${rate}${status === 'noImprovement' ? '; none was better than the state before, which stays' : ''}`;
}
