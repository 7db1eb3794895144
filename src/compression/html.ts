/**
 * The report as one HTML file: no script, no outside resource. Charts are inline SVG; pictures are BMP (which needs no
 * compressor) inside the file.
 */
import { escapeHtml, svgBars, svgLines } from './charts.ts';
import { checkReportInput } from './html-input.ts';
import type { Line } from './charts.ts';
import type { CompressionReport, LayerState } from './report.ts';
import { describeStage, epochsOf } from './words.ts';

/** A grey picture with landmarks of the original and of the compressed network on it. */
export interface ReportFace {
  readonly side: number;
  /** (side, side) grey values. */
  readonly pixels: Uint8Array;
  /** x0, y0, x1, y1, ... in units of the side; each list may be left out. */
  readonly truth?: ArrayLike<number>;
  readonly before?: ArrayLike<number>;
  readonly after?: ArrayLike<number>;
}

/** One line of the summary table. */
export interface ReportMetric {
  readonly name: string;
  readonly before: string;
  readonly after: string;
}

export interface ReportInput {
  readonly title: string;
  /** What was compressed, on which data, with which command: a sentence or two. */
  readonly description: string;
  readonly report: CompressionReport;
  /** Beside bytes, parameters and multiply-adds, which come from the report: errors, time. */
  readonly metrics?: readonly ReportMetric[];
  /** Loss per epoch of the training of the original, where that is known. */
  readonly baseline?: readonly { readonly loss: number; readonly validation?: number }[];
  readonly faces?: readonly ReportFace[];
}

const STYLE = `
:root { color-scheme: light dark; --ink: #1c2430; --quiet: #667; --paper: #fff; --line: #d7dbe2; --before: #9aa5b8; --after: #1f7a5c; --truth: #e0a100; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ee; --quiet: #9aa3b2; --paper: #14181f; --line: #333b48; --before: #77839a; --after: #45c29a; --truth: #f2c14e; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 78rem; margin: 2rem auto; padding: 0 1.25rem; }
h1 { font-size: 1.6rem; margin-bottom: .2rem; } h2 { font-size: 1.15rem; margin: 2.2rem 0 .6rem; }
p.lead { color: var(--quiet); margin-top: 0; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .4rem; font-size: 13.5px; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; }
th:first-child, td:first-child, td.words, th.words { text-align: left; } td.words { white-space: normal; min-width: 9rem; }
thead th { color: var(--quiet); font-weight: 600; } tfoot td { font-weight: 600; border-bottom: 0; }
.scroll { overflow-x: auto; } svg { display: block; max-width: 100%; height: auto; } svg text { fill: var(--quiet); font: 12px system-ui, sans-serif; }
.faces { display: grid; grid-template-columns: repeat(auto-fill, minmax(9rem, 1fr)); gap: .6rem; } .faces svg { width: 100%; border-radius: 6px; }
.key { display: flex; flex-wrap: wrap; gap: 1.2rem; color: var(--quiet); margin: .3rem 0 .6rem; } .key i { display: inline-block; width: .8rem; height: .8rem; border-radius: 50%; margin-right: .4rem; vertical-align: -1px; }
`;

const millions = (value: number): string => `${(value / 1e6).toFixed(value < 1e7 ? 2 : 1)} M`;
const count = (value: number): string => Math.round(value).toLocaleString('en-US');
const times = (before: number, after: number): string =>
  after > 0 ? `${(before / after).toFixed(before / after < 10 ? 2 : 1)}x` : '';
const cells = (kind: 'td' | 'th', values: readonly string[]): string =>
  values.map((value) => `<${kind}>${escapeHtml(value)}</${kind}>`).join('');

/**
 * A whole HTML document, self-contained: charts as SVG, pictures inline, nothing loaded.
 * @throws {TypeError | RangeError} naming the part of `input` that is missing or of another kind
 */
export function reportHtml(input: ReportInput): string {
  checkReportInput('reportHtml', input);
  const { title, description, report, faces = [] } = input;
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>${escapeHtml(title)}</title><style>${STYLE}</style></head><body>
<h1>${escapeHtml(title)}</h1>
<p class="lead">${escapeHtml(description)}</p>
${summary(input)}
<h2>Bytes per layer</h2>
${key([
  ['before', 'before'],
  ['after', 'after'],
])}
${svgBars(
  report.layers.map(({ name, before, after }) => ({
    name,
    values: [
      { value: before.bytes, color: 'var(--before)' },
      { value: after.bytes, color: 'var(--after)' },
    ],
  })),
  'bytes, logarithmic',
)}
${layerTable(report)}
<h2>Where the bytes of the file are</h2>
<div class="scroll"><table><thead><tr>${cells('th', ['codes', 'signs', 'codebooks', 'values', 'header and graph', 'file'])}</tr></thead>
<tbody><tr>${cells('td', [report.split.codes, report.split.signs, report.split.codebooks, report.split.values, report.split.rest, report.bytes].map(count))}</tr></tbody></table></div>
${curves(input)}
${stageTable(report)}
${
  faces.length > 0
    ? `<h2>Faces, before and after</h2>${key([
        ['before', 'original network'],
        ['after', 'compressed network'],
        ['truth', 'annotation'],
      ])}<div class="faces">${faces.map(faceSvg).join('\n')}</div>`
    : ''
}
</body></html>
`;
}

function key(entries: readonly (readonly [string, string])[]): string {
  return `<div class="key">${entries.map(([color, name]) => `<span><i style="background:var(--${color})"></i>${name}</span>`).join('')}</div>`;
}

function summary({ report, metrics = [] }: ReportInput): string {
  const rows = [
    ['bytes', count(report.originalBytes), count(report.bytes), times(report.originalBytes, report.bytes)],
    [
      'parameters',
      count(report.parameters.before),
      count(report.parameters.after),
      times(report.parameters.before, report.parameters.after),
    ],
    [
      'multiply-adds',
      count(report.multiplyAdds.before),
      count(report.multiplyAdds.after),
      times(report.multiplyAdds.before, report.multiplyAdds.after),
    ],
    [
      'validation error',
      report.validation.before.toPrecision(4),
      report.validation.after.toPrecision(4),
      report.validation.before === 0
        ? ''
        : `${(((report.validation.after - report.validation.before) / Math.abs(report.validation.before)) * 100).toFixed(1)} %`,
    ],
    ...metrics.map(({ name, before, after }) => [name, before, after, '']),
  ];
  return `<div class="scroll"><table><thead><tr>${cells('th', ['', 'before', 'after', 'change'])}</tr></thead><tbody>${rows.map((row) => `<tr>${cells('td', row)}</tr>`).join('')}</tbody></table></div>`;
}

function layerTable(report: CompressionReport): string {
  const state = ({ shape, parameters, bytes }: LayerState): string[] => [
    shape.join(' x '),
    count(parameters),
    count(bytes),
  ];
  const sum = (pick: (state: LayerState) => number, when: 'before' | 'after'): string =>
    count(report.layers.reduce((total, layer) => total + pick(layer[when]), 0));
  const rows = report.layers.map(
    ({ name, before, after }) =>
      `<tr>${cells('td', [name, ...state(before), ...state(after), millions(before.multiplyAdds), millions(after.multiplyAdds)])}<td class="words">${escapeHtml(after.encoding)}</td></tr>`,
  );
  const total = [
    'total',
    '',
    sum((s) => s.parameters, 'before'),
    sum((s) => s.bytes, 'before'),
    '',
    sum((s) => s.parameters, 'after'),
    sum((s) => s.bytes, 'after'),
    millions(report.multiplyAdds.before),
    millions(report.multiplyAdds.after),
  ];
  return `<div class="scroll"><table><thead><tr>${cells('th', ['layer', 'weights before', 'parameters', 'bytes', 'weights after', 'parameters', 'bytes', 'multiply-adds before', 'after'])}<th class="words">stored as</th></tr></thead>
<tbody>${rows.join('\n')}</tbody><tfoot><tr>${cells('td', total)}<td></td></tr></tfoot></table></div>`;
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
  return `${loss.length > 0 ? `<h2>Loss per epoch</h2>${svgLines(loss, 'epoch', 'training loss')}` : ''}
<h2>Validation error after each stage</h2>${svgLines(stages, 'stage', 'validation error')}`;
}

function stageTable(report: CompressionReport): string {
  const rows = report.stages.map(
    (stage, i) =>
      `<tr><td>${i + 1}</td><td class="words">${escapeHtml(stage.name)}${stage.attempt > 0 ? ` (try ${stage.attempt + 1})` : ''}</td><td class="words">${escapeHtml(stage.layers.join(', '))}</td>${cells('td', [count(stage.parameters), stage.validation.toPrecision(4)])}<td class="words">${escapeHtml(describeStage(stage))}</td></tr>`,
  );
  return `<div class="scroll"><table><thead><tr><th></th><th class="words">stage</th><th class="words">layers</th>${cells('th', ['parameters', 'validation'])}<th class="words">what</th></tr></thead><tbody>${rows.join('\n')}</tbody></table></div>`;
}

function faceSvg({ side, pixels, truth, before, after }: ReportFace): string {
  const dots = (points: ArrayLike<number> | undefined, color: string, radius: number): string => {
    const circles: string[] = [];
    for (let i = 0; points && i < points.length; i += 2)
      circles.push(
        `<circle cx="${(points[i] * 100).toFixed(2)}" cy="${(points[i + 1] * 100).toFixed(2)}" r="${radius}" fill="var(--${color})"/>`,
      );
    return circles.join('');
  };
  return `<svg viewBox="0 0 100 100" role="img" aria-label="face with landmarks"><image href="data:image/bmp;base64,${base64(greyBmp(pixels, side))}" width="100" height="100" preserveAspectRatio="none"/>${dots(truth, 'truth', 0.9)}${dots(before, 'before', 0.8)}${dots(after, 'after', 0.6)}</svg>`;
}

/** An 8-bit BMP with a grey palette: 1078 bytes of header, rows from the bottom up, each padded to 4 bytes. @throws {RangeError} if there are not side x side pixels */
export function greyBmp(pixels: Uint8Array, side: number): Uint8Array {
  if (pixels.length !== side * side)
    throw new RangeError(`greyBmp: pixels: expected ${side * side} grey values, got ${pixels.length}`);
  const stride = (side + 3) & ~3;
  const start = 54 + 1024;
  const bytes = new Uint8Array(start + stride * side);
  const view = new DataView(bytes.buffer);
  bytes.set([0x42, 0x4d]);
  view.setUint32(2, bytes.length, true);
  view.setUint32(10, start, true);
  view.setUint32(14, 40, true);
  view.setInt32(18, side, true);
  view.setInt32(22, side, true);
  view.setUint16(26, 1, true);
  view.setUint16(28, 8, true);
  view.setUint32(34, stride * side, true);
  view.setUint32(46, 256, true);
  for (let grey = 0; grey < 256; grey++) bytes.set([grey, grey, grey, 0], 54 + 4 * grey);
  for (let row = 0; row < side; row++)
    bytes.set(pixels.subarray(row * side, (row + 1) * side), start + (side - 1 - row) * stride);
  return bytes;
}

/** btoa takes a string of bytes; in pieces, since a call has only so many arguments. */
function base64(bytes: Uint8Array): string {
  let text = '';
  for (let i = 0; i < bytes.length; i += 8192) text += String.fromCharCode(...bytes.subarray(i, i + 8192));
  return btoa(text);
}
