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
/** With so many places behind the point; what was not measured is a dash. */
const fixed = (value: number, places: number, unit = ''): string =>
  Number.isFinite(value) ? `${value.toFixed(places)}${unit}` : '–';
const ratio = (value: number): string => fixed(value, 2, 'x');

export function peak(rows: readonly Result[]): string {
  const loops = rows.filter((row) => row.case === 'peak').map((row) => `${row.what} ${fixed(rate(row), 1)}`);
  return `Peak is the highest rate of loops that multiply and add 128-bit registers alone, in the same run: **${fixed(peakRate(rows), 1)} GFLOP/s** (by form and number of accumulators: ${loops.join(', ')}).`;
}

export function products(rows: readonly Result[]): string {
  const own = rows.filter((row) => row.group === 'kernels' && row.what === 'product');
  const most = peakRate(rows);
  return table(
    ['product', 'ms', 'GFLOP/s', 'of peak'],
    own.map((row) => [row.case, short(row.minimum), short(rate(row)), fixed((100 * rate(row)) / most, 0, ' %')]),
  );
}

/** Peers in WebAssembly, as espalier is. */
const WASM_PEERS = ['onnxruntime-web', 'tfjs wasm', 'jax-js wasm'];

export function forward(rows: readonly Result[]): string {
  const own = rows.filter(({ group }) => group === 'forward');
  const people = unique(own.map(({ who }) => who));
  const calls = unique(own.map((row) => `${row.case}, ${row.what}`));
  return table(
    ['', ...people.slice(0, 1), 'ratio', ...people.slice(1)],
    calls.map((call) => {
      const time = (who: string): number | undefined =>
        own.find((row) => `${row.case}, ${row.what}` === call && row.who === who)?.minimum;
      const best = Math.min(...WASM_PEERS.map((who) => time(who) ?? Infinity));
      const [first, ...others] = people.map((who) => short(time(who)));
      return [call, first, best === Infinity ? '–' : `**${ratio((time('espalier') ?? NaN) / best)}**`, ...others];
    }),
  );
}

/** espalier beside the one that runs the same file: `what` of each case, least times. */
function againstOnnx(
  rows: readonly Result[],
  group: string,
  label: (row: Result) => string,
  extra: readonly string[],
): string {
  const own = rows.filter((row) => row.group === group);
  const time = (name: string, what: string, who: string): number =>
    own.find((row) => row.case === name && row.what === what && row.who === who)?.minimum ?? NaN;
  const calls = own.filter(({ who, what }) => who === 'espalier' && !extra.includes(what));
  return table(
    [
      '',
      'espalier, ms',
      'onnxruntime-web, ms',
      'ratio',
      ...extra.flatMap((what) => [`${what}, ms`, 'onnxruntime-web']),
    ],
    calls.map((row) => {
      const [ours, theirs] = ['espalier', 'onnxruntime-web'].map((who) => time(row.case, row.what, who));
      const isFirst = calls.find((other) => other.case === row.case) === row;
      const others = extra.flatMap((what) =>
        ['espalier', 'onnxruntime-web'].map((who) => (isFirst ? short(time(row.case, what, who)) : '')),
      );
      return [label(row), short(ours), short(theirs), `**${ratio(ours / theirs)}**`, ...others];
    }),
  );
}

export const models = (rows: readonly Result[]): string =>
  againstOnnx(rows, 'models', (row) => `${row.case}, ${row.what.replace('forward, ', '')}`, ['opening', 'first run']);
export const operators = (rows: readonly Result[]): string => againstOnnx(rows, 'operators', (row) => row.case, []);

export function training(rows: readonly Result[]): string {
  const own = rows.filter(({ group }) => group === 'training');
  const people = unique(own.map(({ who }) => who).filter((who) => who !== 'espalier'));
  return table(
    ['', 'espalier, ms', ...people.flatMap((who) => [`${who}, ms`, 'ratio'])],
    unique(own.map((row) => `${row.case}, ${row.what}`)).map((call) => {
      const time = (who: string): number =>
        own.find((row) => `${row.case}, ${row.what}` === call && row.who === who)?.minimum ?? NaN;
      return [
        call,
        short(time('espalier')),
        ...people.flatMap((who) => [short(time(who)), `**${ratio(time('espalier') / time(who))}**`]),
      ];
    }),
  );
}

/** The ratios of all processors, a column for each: what holds on one is no law. */
export function sideBySide(processors: readonly (readonly Result[])[]): string {
  const least = (rows: readonly Result[], wanted: Partial<Result>, who: readonly string[]): number => {
    const found = rows.filter(
      (row) =>
        who.includes(row.who) &&
        Object.entries({ threads: 1, ...wanted }).every(([key, value]) => row[key as keyof Result] === value),
    );
    return found.length === 0 ? NaN : Math.min(...found.map(({ minimum }) => minimum));
  };
  const against = (label: string, wanted: Partial<Result>, who: readonly string[]): string[] => [
    label,
    ...processors.map((rows) => ratio(least(rows, wanted, ['espalier']) / least(rows, wanted, who))),
  ];
  const threaded = (label: string, wanted: Partial<Result>): string[] => [
    label,
    ...processors.map((rows) =>
      ratio(least(rows, wanted, ['espalier']) / least(rows, { ...wanted, threads: 2 }, ['espalier'])),
    ),
  ];
  const calls = (group: string): Result[] => [
    ...new Map(
      processors
        .flat()
        .filter((row) => row.group === group)
        .map((row) => [`${row.case}, ${row.what}`, row]),
    ).values(),
  ];
  const named = ({ group, case: name, what }: Result): Partial<Result> => ({ group, case: name, what });
  const lines = [
    ['peak, GFLOP/s', ...processors.map((rows) => fixed(peakRate(rows), 1))],
    ...calls('forward').map((row) =>
      against(`${row.case}, ${row.what}: time over the best WebAssembly peer's`, named(row), WASM_PEERS),
    ),
    ...calls('models')
      .filter(({ what }) => what.startsWith('forward'))
      .map((row) => against(`${row.case}, ${row.what}: time over onnxruntime-web's`, named(row), WASM_PEERS)),
    ...calls('training').map((row) =>
      against(`${row.case}, ${row.what}: time over PyTorch's`, named(row), ['PyTorch']),
    ),
    ...calls('training').map((row) =>
      against(`${row.case}, ${row.what}: time over jax-js's`, named(row), ['jax-js wasm']),
    ),
    ...calls('kmeans')
      .filter(({ what }) => what === 'time')
      .flatMap((row) => [
        against(`k-means, ${row.case}: time over faiss's`, named(row), ['faiss']),
        threaded('k-means, two threads: times as fast as one', named(row)),
      ]),
    ...calls('threads').map((row) => threaded(`${row.what}, two threads: times as fast as one`, named(row))),
  ];
  return table(
    ['', ...processors.map((rows) => rows[0].machine.replace(/, \d+ cores.*/, ''))],
    lines.filter(([, ...values]) => values.some((value) => value !== '–')),
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
        fixed(
          (own.find((other) => other.what === 'objective' && whoOf(other) === whoOf(row))?.minimum ?? NaN) / first,
          4,
        ),
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
