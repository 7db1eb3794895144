/** `espalier/compression`: the per-layer schedule, its stages, its checkpoints and its report. */
export { compress } from './compress.ts';
export type { CompressResult } from './compress.ts';
export { COMPRESS_DEFAULTS, compressibleLayers, LAYER_DEFAULTS } from './options.ts';
export type { CompressOptions, LayerPlan, LayerSetting, LayerTreatment, RetrainSetting } from './options.ts';
export { describeEncoding } from '../encodings/index.ts';
export { splitBytes } from './report.ts';
export type { CompressionReport, LayerReport, LayerState, PlanReport } from './report.ts';
export type { Stage, StageContext, StageReport, StageTransform, StepReport } from './stage.ts';
export type { QuantizeStageReport, Reestimated, RetrainStageReport } from './stages.ts';
export { describePlan, describeStage, describeValidation, epochsOf } from './words.ts';
export { TOLERANCES } from './judge.ts';
export type { Yardstick } from './judge.ts';
export { escapeHtml, svgBars, svgLines } from './charts.ts';
export type { Bar as ChartBar, Line as ChartLine } from './charts.ts';
export { reportHtml } from './html.ts';
export type { ReportFace, ReportInput, ReportMetric } from './html.ts';
export { millisecondsPerSample, summaryTable } from './summary.ts';
