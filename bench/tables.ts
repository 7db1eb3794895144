/** The tables of docs/benchmarks.md. */
import { peakRate, rate, seriesName, unique, whoOf } from './charts.ts';
import type { Result } from './results.ts';

/** The first column is text, the others are numbers. */
function table(head: readonly string[], lines: readonly (readonly string[])[]): string {
  return [head, head.map((_, i) => (i === 0 ? '---' : '---:')), ...lines]
    .map((cells) => `| ${cells.join(' | ')} |`)
    .join('\n');
}

/** To three significant digits, without an exponent. */
function short(value: number | undefined): string {
  return value === undefined || !Number.isFinite(value)
    ? '–'
    : value >= 100
      ? value.toFixed(0)
      : Number(value.toPrecision(3)).toString();
}
const ratio = (value: number): string => (Number.isFinite(value) ? `${value.toFixed(2)}x` : '–');

export function peak(rows: readonly Result[]): string {
  const loops = rows.filter((row) => row.case === 'peak').map((row) => `${row.what} ${rate(row).toFixed(1)}`);
  return `Peak is the highest rate of loops that multiply and add 128-bit registers alone, in the same run: **${peakRate(rows).toFixed(1)} GFLOP/s** (by form and number of accumulators: ${loops.join(', ')}).`;
}

export function products(rows: readonly Result[]): string {
  const own = rows.filter((row) => row.group === 'kernels' && row.what === 'product');
  const most = peakRate(rows);
  return table(
    ['product', 'ms', 'GFLOP/s', 'of peak'],
    own.map((row) => [row.case, short(row.minimum), short(rate(row)), `${((100 * rate(row)) / most).toFixed(0)} %`]),
  );
}

export function forward(rows: readonly Result[]): string {
  const own = rows.filter(({ group }) => group === 'forward');
  const people = unique(own.map(({ who }) => who));
  const calls = unique(own.map((row) => `${row.case}, ${row.what}`));
  return table(
    ['', ...people.slice(0, 1), 'ratio', ...people.slice(1)],
    calls.map((call) => {
      const time = (who: string): number | undefined =>
        own.find((row) => `${row.case}, ${row.what}` === call && row.who === who)?.minimum;
      const best = Math.min(time('onnxruntime-web') ?? Infinity, time('tfjs wasm') ?? Infinity);
      const [first, ...others] = people.map((who) => short(time(who)));
      return [call, first, best === Infinity ? '–' : `**${ratio((time('espalier') ?? NaN) / best)}**`, ...others];
    }),
  );
}

export function training(rows: readonly Result[]): string {
  const own = rows.filter(({ group }) => group === 'training');
  return table(
    ['', 'espalier, ms', 'PyTorch, ms', 'ratio'],
    unique(own.map((row) => `${row.case}, ${row.what}`)).map((call) => {
      const [ours, theirs] = ['espalier', 'PyTorch'].map(
        (who) => own.find((row) => `${row.case}, ${row.what}` === call && row.who === who)?.minimum ?? NaN,
      );
      return [call, short(ours), short(theirs), `**${ratio(ours / theirs)}**`];
    }),
  );
}

export function threads(rows: readonly Result[]): string {
  const own = rows.filter(({ group }) => group === 'threads' || group === 'browser');
  const counts = unique(own.map((row) => row.threads)).sort((a, b) => a - b);
  return table(
    [
      'batch 16',
      ...counts.map((count) => `${count} thread${count > 1 ? 's' : ''}, ms`),
      ...counts.slice(1).map((count) => `${count} over 1`),
    ],
    unique(own.map(seriesName)).map((name) => {
      const time = (count: number): number =>
        own.find((row) => seriesName(row) === name && row.threads === count)?.minimum ?? NaN;
      return [
        name,
        ...counts.map((count) => short(time(count))),
        ...counts.slice(1).map((count) => ratio(time(1) / time(count))),
      ];
    }),
  );
}

export function halved(rows: readonly Result[]): string {
  const own = rows.filter(({ group }) => group === 'halved');
  return table(
    ['', 'as it is, ms', 'half of every layer, ms', 'times as fast'],
    unique(own.map(({ what }) => what)).map((what) => {
      const [whole, half] = own.filter((row) => row.what === what).map(({ minimum }) => minimum);
      return [`${own[0].case}, ${what}`, short(whole), short(half), ratio(whole / half)];
    }),
  );
}

export function kmeans(rows: readonly Result[]): string {
  const own = rows.filter(({ group }) => group === 'kmeans');
  const first = own.find(({ what }) => what === 'objective')?.minimum ?? NaN;
  return table(
    ['', 'seconds', 'objective'],
    own
      .filter(({ what }) => what === 'time')
      .map((row) => [
        whoOf(row),
        short(row.minimum / 1e3),
        (
          (own.find((other) => other.what === 'objective' && whoOf(other) === whoOf(row))?.minimum ?? NaN) / first
        ).toFixed(4),
      ]),
  );
}

export function startup(rows: readonly Result[]): string {
  const value = (row: Result): string => `${short(row.group === 'startup' ? row.median : row.minimum)} ${row.unit}`;
  return table(
    ['', 'espalier', 'PyTorch', 'ratio'],
    unique(
      rows.filter(({ group }) => group === 'startup' || group === 'memory').map((row) => `${row.case}, ${row.what}`),
    ).map((name) => {
      const [ours, theirs] = ['espalier', 'PyTorch'].map((who) =>
        rows.find((row) => `${row.case}, ${row.what}` === name && row.who === who),
      );
      return [
        name,
        ours ? value(ours) : '–',
        theirs ? value(theirs) : '–',
        ours && theirs ? ratio(ours.minimum / theirs.minimum) : '–',
      ];
    }),
  );
}
