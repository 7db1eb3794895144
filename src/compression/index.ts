/** `espalier/compression`: the per-layer schedule, its checkpoints and its report. */
export { compress } from './compress.ts';
export type { CompressResult } from './compress.ts';
export { compressibleLayers, LAYER_DEFAULTS } from './options.ts';
export type { CompressOptions, LayerSetting, RetrainSetting } from './options.ts';
export { describeEncoding } from '../encodings/index.ts';
export type { CompressionReport, LayerReport, LayerState, StageReport } from './report.ts';
export { escapeHtml, svgBars, svgLines } from './charts.ts';
export type { Bar as ChartBar, Line as ChartLine } from './charts.ts';
export { reportHtml } from './html.ts';
export type { ReportFace, ReportInput, ReportMetric } from './html.ts';
export { millisecondsPerSample, summaryTable } from './summary.ts';
