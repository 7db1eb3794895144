/** `espalier/compression`: the per-layer schedule, its stages, its checkpoints and its report. */
export { compress } from './compress.ts';
export type { CompressResult } from './compress.ts';
export { COMPRESS_DEFAULTS, compressibleLayers, LAYER_DEFAULTS } from './options.ts';
export type { CompressOptions, LayerSetting, LayerTreatment, RetrainSetting } from './options.ts';
export { PRESET_NAMES, presetOptions } from './presets.ts';
export type { PresetName } from './presets.ts';
export { describeEncoding } from '../encodings/index.ts';
export { splitBytes } from './report.ts';
export type { CompressionReport, LayerReport, LayerState } from './report.ts';
export type { Stage, StageContext, StageReport, StageTransform } from './stage.ts';
export type { QuantizeStageReport, RetrainStageReport } from './stages.ts';
export { describeStage, epochsOf } from './words.ts';
export { escapeHtml, svgBars, svgLines } from './charts.ts';
export type { Bar as ChartBar, Line as ChartLine } from './charts.ts';
export { reportHtml } from './html.ts';
export type { ReportFace, ReportInput, ReportMetric } from './html.ts';
export { millisecondsPerSample, summaryTable } from './summary.ts';
