/** Which charts there are, and what they show of the results. */
import { svgBars, svgLines } from 'espalier/compression';
import type { ChartBar, ChartLine } from 'espalier/compression';
import type { Result } from './results.ts';

export interface Chart {
  readonly name: string;
  readonly title: string;
  /** Of bars; lines bring their own. */
  readonly legend: readonly { readonly name: string; readonly color: string }[];
  readonly svg: string;
}

const OWN = '#1f7a5c';
const COLORS: Readonly<Record<string, string>> = {
  espalier: OWN,
  'onnxruntime-web': '#c2571a',
  'tfjs wasm': '#d9a520',
  'jax-js wasm': '#4a9bb0',
  'onnxruntime-node': '#3b6fb6',
  PyTorch: '#8b5fbf',
};
const SERIES = [OWN, '#c2571a', '#3b6fb6', '#8b5fbf'];

export const unique = <T>(values: readonly T[]): T[] => [...new Set(values)];
const rounded = (value: number): number => Number(value.toPrecision(3));

/** GFLOP/s of the fastest multiply-add loop. */
export function peakRate(rows: readonly Result[]): number {
  const loops = rows.filter((row) => row.group === 'kernels' && row.case === 'peak');
  return loops.length === 0 ? NaN : Math.max(...loops.map(rate));
}

export function rate({ work, minimum }: Result): number {
  return (work / minimum) * 1e3;
}

/** Those for which there are results. */
export function charts(rows: readonly Result[]): Chart[] {
  const of = (group: string): Result[] => rows.filter((row) => row.group === group);
  return [
    ...kernelCharts(of('kernels')),
    ...forwardChart(of('forward')),
    ...trainingChart(of('training')),
    ...threadsChart([...of('threads'), ...of('browser')]),
    ...sweepCharts(of('sweep')),
    ...kmeansChart(of('kmeans')),
  ].filter(({ svg }) => svg !== '');
}

function kernelCharts(rows: readonly Result[]): Chart[] {
  const peak = peakRate(rows);
  const axis = `% of the peak of ${peak.toFixed(1)} GFLOP/s`;
  const share = (row: Result): number => rounded((100 * rate(row)) / peak);
  const layers = rows.filter(({ what }) => what === 'forward' || what.startsWith('gradient'));
  const kinds = unique(layers.map(({ what }) => what));
  const convolutions = unique(layers.map((row) => row.case)).map((name): ChartBar => ({
    name,
    values: layers
      .filter((row) => row.case === name)
      .map((row) => ({ value: share(row), color: SERIES[kinds.indexOf(row.what)] })),
  }));
  const products = rows
    .filter(({ what }) => what === 'product')
    .map((row): ChartBar => ({ name: row.case, values: [{ value: share(row), color: OWN }] }));
  return [
    {
      name: 'convolutions',
      title: 'Convolution kernels, one thread',
      legend: kinds.map((name, i) => ({ name, color: SERIES[i] })),
      svg: svgBars(convolutions, `effective rate, ${axis}`),
    },
    { name: 'products', title: 'Matrix products, one thread', legend: [], svg: svgBars(products, `rate, ${axis}`) },
  ];
}

/** A row for each case, a bar in it for each contender. */
function contest(
  rows: readonly Result[],
  nameOf: (row: Result) => string,
  valueOf: (row: Result) => number,
): Pick<Chart, 'legend'> & { bars: ChartBar[] } {
  const bars = unique(rows.map(nameOf)).map((name): ChartBar => ({
    name,
    values: rows
      .filter((row) => nameOf(row) === name)
      .map((row) => ({ value: rounded(valueOf(row)), color: COLORS[row.who] })),
  }));
  return { bars, legend: unique(rows.map(({ who }) => who)).map((name) => ({ name, color: COLORS[name] })) };
}

const batchOf = ({ what }: Result): number => Number(/batch (\d+)/.exec(what)?.[1] ?? 1);

/** Without contenders that take some ten times as long as espalier: of the others nothing would be left to be seen. */
const drawable = (rows: readonly Result[]): Result[] =>
  rows.filter(({ who }) => who !== 'tfjs cpu' && who !== 'jax-js wasm');

function forwardChart(rows: readonly Result[]): Chart[] {
  const { bars, legend } = contest(
    drawable(rows),
    (row) => `${row.case}, batch ${batchOf(row)}`,
    (row) => row.minimum / batchOf(row),
  );
  return [
    { name: 'forward', title: 'Inference, one thread', legend, svg: svgBars(bars, 'ms per sample, less is better') },
  ];
}

function trainingChart(rows: readonly Result[]): Chart[] {
  const { bars, legend } = contest(
    drawable(rows),
    (row) => `${row.case}, batch ${batchOf(row)}`,
    ({ minimum }) => minimum,
  );
  return [
    { name: 'training', title: 'Training step, one thread', legend, svg: svgBars(bars, 'ms per step, less is better') },
  ];
}

function threadsChart(rows: readonly Result[]): Chart[] {
  const series = unique(rows.map(seriesName));
  const cores = Number(/(\d+) cores/.exec(rows[0]?.machine ?? '')?.[1] ?? 1);
  const most = Math.max(...rows.map(({ threads }) => threads));
  const lines = series.map((name, i): ChartLine => {
    const own = rows.filter((row) => seriesName(row) === name);
    return { name, color: SERIES[i], offset: 1, values: own.map(({ minimum }) => own[0].minimum / minimum) };
  });
  const ideal: ChartLine = {
    name: 'ideal',
    color: '#b4bcc8',
    offset: 1,
    values: Array.from({ length: most }, (_, i) => Math.min(i + 1, cores)),
  };
  return rows.length === 0
    ? []
    : [
        {
          name: 'threads',
          title: `Threads, batch 16, ${cores} cores`,
          legend: [],
          svg: svgLines([ideal, ...lines], 'threads', 'times as fast as one', { fromZero: true }),
        },
      ];
}

/** Where it ran and what was done: 'Node, forward'. */
export function seriesName({ group, what, who }: Result): string {
  return `${group === 'browser' ? who.replace('espalier, ', '') : 'Node'}, ${what.replace(/, batch.*/, '')}`;
}

function sweepCharts(rows: readonly Result[]): Chart[] {
  const chart = (
    name: string,
    title: string,
    chosen: readonly Result[],
    yName: string,
    valueOf: (row: Result) => number,
  ): Chart => {
    const lines = unique(chosen.map((row) => row.case)).map((label, i): ChartLine => {
      const own = chosen.filter((row) => row.case === label);
      const values = new Array<number>(Math.max(...own.map(({ size }) => size)) + 1).fill(NaN);
      for (const row of own) values[row.size] = valueOf(row);
      return { name: label, color: SERIES[i], values };
    });
    return { name, title, legend: [], svg: svgLines(lines, chosen[0]?.what ?? '', yName, { fromZero: true }) };
  };
  const swept = (what: string, start = ''): Result[] =>
    rows.filter((row) => row.what === what && row.case.startsWith(start));
  return [
    chart(
      'width-convolution',
      'Convolution: cost against width',
      swept('width', 'convolution'),
      'ms',
      ({ minimum }) => minimum,
    ),
    chart('width-dense', 'Dense layer: cost against width', swept('width', 'dense'), 'ms', ({ minimum }) => minimum),
    chart(
      'side',
      'Convolution: cost of a pixel against the side of the image',
      swept('side'),
      'ns per pixel',
      ({ minimum, size }) => (minimum * 1e6) / (4 * size * size),
    ),
    chart(
      'batch',
      'Inference: cost of a sample against the batch',
      swept('batch'),
      'ms per sample',
      ({ minimum, size }) => minimum / size,
    ),
  ];
}

/** What takes more than ten times as long would leave nothing to be seen of the others. */
function kmeansChart(rows: readonly Result[]): Chart[] {
  const times = rows.filter(({ what }) => what === 'time');
  const most = 10 * (times.find(({ who }) => who === 'espalier')?.minimum ?? Infinity);
  const bars = times
    .filter(({ minimum }) => minimum <= most)
    .map((row): ChartBar => ({
      name: whoOf(row),
      values: [{ value: rounded(row.minimum / 1e3), color: row.who === 'espalier' ? OWN : '#9aa5b8' }],
    }));
  return [
    {
      name: 'kmeans',
      title: `k-means, ${rows[0]?.case ?? ''}`,
      legend: [],
      svg: svgBars(bars, 'seconds, less is better'),
    },
  ];
}

export function whoOf({ who, threads }: Result): string {
  return threads > 1 ? `${who}, ${threads} threads` : who;
}
