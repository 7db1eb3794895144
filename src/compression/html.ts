/**
 * The report of a compression as one HTML file. Charts are inline SVG; pictures are BMP, which needs no compressor.
 * Nothing is said by a background alone, which printers leave out.
 */
import { escapeHtml, svgLines } from './charts.ts';
import { checkReportInput } from './html-input.ts';
import type { Line } from './charts.ts';
import { faceFigures } from './faces.ts';
import type { ReportFace } from './faces.ts';
import type { CompressionReport, LayerState } from './report.ts';
import { definitions, page, table } from './page.ts';
import { PLAN_HEAD, STEP_HEAD, change, count, headline, planRows, stepRows, summaryRows, times } from './summary.ts';
import type { ReportMetric } from './summary.ts';
import { describeStage, epochsOf } from './words.ts';

export interface ReportInput {
  readonly title: string;
  /** What was compressed, on which data: a sentence or two. */
  readonly description: string;
  readonly report: CompressionReport;
  /** Beside what the report says itself (bytes, parameters, multiply-adds, validation): accuracy, errors, time. */
  readonly metrics?: readonly ReportMetric[];
  /** Loss per epoch of the training of the original, where that is known. */
  readonly baseline?: readonly { readonly loss: number; readonly validation?: number }[];
  readonly faces?: readonly ReportFace[];
  /** How it was made, so that it can be made again: command, options, seed, version, machine. */
  readonly made?: readonly { readonly name: string; readonly value: string }[];
}

/**
 * A whole HTML document, self-contained: charts as SVG, pictures inline, nothing loaded, no script.
 * @throws {TypeError | RangeError} naming the part of `input` that is missing or of another kind
 */
export function reportHtml(input: ReportInput): string {
  checkReportInput('reportHtml', input);
  // Without a prototype: what stands there nobody gave.
  const own = Object.assign(Object.create(null) as ReportInput, input);
  const { title, description, report, metrics = [], faces = [], made = [] } = own;
  const { ratio, sentence } = headline(report);
  return page(
    title,
    `<h1>${escapeHtml(title)}</h1>
<div class="headline"><div class="ratio">${escapeHtml(ratio)}</div><p>${escapeHtml(sentence)}</p></div>
<p class="quiet">${escapeHtml(description)}</p>
<h2>Before and after</h2>
${table('narrow', ['', 'before', 'after', 'change'], summaryRows(report, metrics))}
<h2>Bytes per layer</h2>
${key([
  ['before', 'before'],
  ['after', 'after'],
])}
${layerBars(report)}
<h2>Layers</h2>
${layerTable(report)}
<h2>Where the bytes of the file are</h2>
${splitTable(report)}
${curves(own)}
${report.steps.length > 0 ? `<h2>Steps</h2>\n${table('wide', STEP_HEAD, stepRows(report), { words: [0, 1, 5] })}` : ''}
<h2>Asked and got</h2>
${table('wide', PLAN_HEAD, planRows(report), { words: [5] })}
<h2>Stages</h2>
${stageTable(report)}
${faces.length > 0 ? `<h2>Faces</h2><p class="quiet">A picture grows when it is chosen, and shrinks again.</p>${faceFigures(faces)}` : ''}
${definitions('How it was made', made)}`,
  );
}

function key(entries: readonly (readonly [string, string])[]): string {
  return `<div class="key">${entries.map(([color, name]) => `<span><svg width="12" height="12" viewBox="0 0 12 12" aria-hidden="true"><circle cx="6" cy="6" r="6" fill="var(--${color})"/></svg>${name}</span>`).join('')}</div>`;
}

/** A bar from 0 for each layer, all on one linear scale: before, and after upon it. */
function layerBars({ layers }: CompressionReport): string {
  const most = layers.reduce((value, { before, after }) => Math.max(value, before.bytes, after.bytes), 1);
  return layers
    .map(({ name, before, after }) => {
      const bar = (bytes: number, y: number, height: number, color: string): string =>
        `<rect x="0" y="${y}" width="${((100 * bytes) / most).toFixed(3)}" height="${height}" fill="var(--${color})"/>`;
      return `<div class="bar"><span>${escapeHtml(name)}</span><svg viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">${bar(before.bytes, 0, 10, 'before')}${bar(after.bytes, 5, 5, 'after')}</svg><span>${count(before.bytes)} to ${count(after.bytes)}, ${times(before.bytes, after.bytes)}</span></div>`;
    })
    .join('\n');
}

/** Layers, what the file has beside them, and the file: the last line is the sum of those above. */
function layerTable({ layers, bytes, split, parameters, multiplyAdds }: CompressionReport): string {
  const { packing = 0 } = split;
  const state = ({ shape, parameters, bytes }: LayerState): string[] => [
    shape.join(' x '),
    count(parameters),
    count(bytes),
  ];
  const sum = (of: 'parameters' | 'bytes', when: 'before' | 'after'): number =>
    layers.reduce((total, layer) => total + layer[when][of], 0);
  const [before, after] = [sum('bytes', 'before'), sum('bytes', 'after')];
  const rows = layers.map((layer) => [
    layer.name,
    ...state(layer.before),
    ...state(layer.after),
    count(layer.before.multiplyAdds),
    count(layer.after.multiplyAdds),
    layer.after.encoding,
  ]);
  return table(
    'wide',
    [
      'layer',
      'weights before',
      'parameters before',
      'bytes before',
      'weights after',
      'parameters after',
      'bytes after',
      'multiply-adds before',
      'multiply-adds after',
      'stored as',
    ],
    rows,
    {
      words: [9],
      foot: [
        [
          'all layers',
          '',
          count(sum('parameters', 'before')),
          count(before),
          '',
          count(sum('parameters', 'after')),
          count(after),
          count(multiplyAdds.before),
          count(multiplyAdds.after),
          '',
        ],
        ['header, graph and padding', '', '', '', '', '', count(bytes - packing - after), '', '', ''],
        ...(packing < 0 ? [['packing', '', '', '', '', '', count(packing), '', '', '']] : []),
        ['file', '', count(parameters.before), '', '', count(parameters.after), count(bytes), '', '', ''],
      ],
    },
  );
}

/** Bytes by content: the last line is the size of the file. */
function splitTable({ split, bytes, originalBytes, layers }: CompressionReport): string {
  const parts: readonly (readonly [string, number])[] = [
    ['codes', split.codes],
    ['signs', split.signs],
    ['codebooks', split.codebooks],
    ['values', split.values],
    ['header, graph and padding', split.rest],
    ...(split.packing === undefined ? [] : [['packing', split.packing] as const]),
  ];
  const share = (part: number): string => `${((100 * part) / bytes).toFixed(1)} %`;
  const stored = layers.reduce((total, { before }) => total + before.bytes, 0);
  return `${table(
    'narrow',
    ['', 'bytes', 'of the file'],
    parts.map(([name, part]) => [name, count(part), share(part)]),
    { foot: [['file', count(bytes), share(bytes)]] },
  )}
<p class="quiet">Before: ${count(originalBytes)} bytes, the smaller of 4 for each trained parameter and the file as it was given; the layers alone, with statistics that are not trained, were ${count(stored)}.</p>`;
}

/**
 * Validation error stage by stage, and loss epoch by epoch: the baseline's training first, then all retraining in
 * order.
 */
function curves({ report, baseline = [] }: ReportInput): string {
  const retraining = report.stages.flatMap(epochsOf);
  const loss: Line[] = [
    { name: 'training of the original', color: 'var(--before)', values: baseline.map((epoch) => epoch.loss) },
    {
      name: 'retraining',
      color: 'var(--after)',
      values: retraining.map((epoch) => epoch.loss),
      offset: baseline.length,
    },
  ].filter((line) => line.values.length > 0);
  const stages: Line[] = [
    {
      name: 'original',
      color: 'var(--before)',
      values: [report.validation.before, ...report.stages.map(() => report.validation.before)],
    },
    {
      name: 'after each stage',
      color: 'var(--after)',
      values: [report.validation.before, ...report.stages.map((stage) => stage.validation)],
    },
  ];
  const isJudged = report.validation.yardstick !== 'none';
  const drawn = (lines: readonly Line[], x: string, y: string): string => svgLines(lines, x, y, { width: 700 });
  return `${loss.length > 0 ? `<h2>Loss per epoch</h2>${drawn(loss, 'epoch', 'training loss')}` : ''}
${isJudged ? `<h2>Validation error after each stage</h2>${drawn(stages, 'stage', 'validation error')}` : ''}`;
}

function stageTable({ stages, validation }: CompressionReport): string {
  return table(
    'wide',
    ['stage', 'layers', 'what', 'parameters', 'validation', 'change'],
    stages.map((stage, i) => [
      `${i + 1} ${stage.name}${stage.attempt > 0 ? ` (try ${stage.attempt + 1})` : ''}`,
      stage.layers.join(', '),
      describeStage(stage),
      count(stage.parameters),
      validation.yardstick === 'none' ? 'unknown' : stage.validation.toPrecision(4),
      change(i === 0 ? validation.before : stages[i - 1].validation, stage.validation),
    ]),
    { words: [0, 1, 2] },
  );
}
