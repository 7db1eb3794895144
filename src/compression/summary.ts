/** What a compression came to, in a sentence and in rows, for the terminal and for the page; and the time that a network takes. */
import { createExecutor } from '../execution/executor.ts';
import type { KernelSet } from '../kernels/types.ts';
import type { Network } from '../graph/network.ts';
import type { CompressionReport } from './report.ts';
import { describePlan, describeValidation } from './words.ts';

/**
 * Milliseconds per sample of a forward pass, one sample at a time on one thread: the least of `runs` after one that
 * warms up. The clock is read here only to report; no decision depends on it.
 */
export async function millisecondsPerSample(network: Network, kernels: KernelSet, runs = 15): Promise<number> {
  const executor = await createExecutor(network, { kernels, batch: 1 });
  try {
    executor.forward();
    let least = Infinity;
    for (let run = 0; run < runs; run++) {
      const start = performance.now();
      executor.forward();
      least = Math.min(least, performance.now() - start);
    }
    return least;
  } finally {
    executor.dispose();
  }
}

/** One more row of before and after. */
export interface ReportMetric {
  readonly name: string;
  readonly before: string;
  readonly after: string;
  readonly change?: string;
}

export const count = (value: number): string => Math.round(value).toLocaleString('en-US');

/** '12.5x', or nothing where that would be a division by nothing. */
export function times(before: number, after: number): string {
  const ratio = before / after;
  return after > 0 ? `${ratio.toFixed(ratio < 10 ? 2 : ratio < 100 ? 1 : 0)}x` : '';
}

/** '+1.2 %', or nothing where there was nothing to change from. */
export function change(before: number, after: number): string {
  if (before === 0 || !Number.isFinite(before) || !Number.isFinite(after)) return '';
  const percent = ((after - before) / Math.abs(before)) * 100;
  return `${percent > 0 ? '+' : ''}${percent.toFixed(1)} %`;
}

const UNITS = [
  ['kB', 1e3],
  ['MB', 1e6],
  ['GB', 1e9],
] as const;

/** Three figures; what they would round up to 1000 is 1.00 of the next unit. */
function size(bytes: number): string {
  if (bytes < 1000) return `${bytes} bytes`;
  const [name, unit] = UNITS.find(([, one]) => bytes < 999.5 * one) ?? UNITS[2];
  return `${(bytes / unit).toPrecision(3)} ${name}`;
}

/** The one thing to remember: how much smaller, at what price. */
export function headline({ originalBytes, bytes, validation }: CompressionReport): {
  readonly ratio: string;
  readonly sentence: string;
} {
  const { name, before, after, change: changed } = describeValidation(validation);
  const sizes = `${size(originalBytes)} became ${size(bytes)}`;
  if (validation.yardstick === 'none')
    return {
      ratio: times(originalBytes, bytes),
      sentence: `${sizes}; the error is unknown, as there were no data to measure it on.`,
    };
  const price = `${before} to ${after}${changed === '' ? '' : ` (${changed})`}`;
  return { ratio: times(originalBytes, bytes), sentence: `${sizes}; the ${name} went from ${price}.` };
}

/** Name, before, after and change of the whole, the measures of the caller's last. */
export function summaryRows(report: CompressionReport, metrics: readonly ReportMetric[]): string[][] {
  const { originalBytes, bytes, parameters, multiplyAdds, validation } = report;
  const validated = describeValidation(validation);
  const row = (name: string, before: number, after: number): string[] => [
    name,
    count(before),
    count(after),
    times(before, after),
  ];
  return [
    row('bytes', originalBytes, bytes),
    row('parameters', parameters.before, parameters.after),
    row('multiply-adds', multiplyAdds.before, multiplyAdds.after),
    [validated.name, validated.before, validated.after, validated.change],
    ...metrics.map(({ name, before, after, change: changed = '' }) => [name, before, after, changed]),
  ];
}

export const STEP_HEAD = ['step', 'layers', 'began at', 'limit', 'tries', 'what became of it'] as const;

/** The steps that were judged: where each began, what it might end at, every try, and which of them stays. */
export function stepRows({ steps }: CompressionReport): string[][] {
  return steps.map(({ layers, start, limit, tries, kept, within }, i) => [
    `${i + 1}`,
    layers.join(', '),
    start.toPrecision(4),
    limit === undefined || !Number.isFinite(limit) ? 'none' : limit.toPrecision(4),
    tries.map((value) => value.toPrecision(4)).join(', '),
    `${tries.length === 1 ? 'the only try' : `try ${kept + 1} of ${tries.length}`} stays, ${within ? 'within the limit' : 'beyond the limit'}`,
  ]);
}

export const PLAN_HEAD = ['layer', 'keep asked', 'keep got', 'quantized asked', 'quantized got', 'difference'] as const;

/** What was asked of each layer, and what was got. */
export function planRows({ plans }: CompressionReport): string[][] {
  const answer = (value: boolean): string => (value ? 'yes' : 'no');
  return plans.map((plan) => [
    plan.layer,
    `${plan.asked.keep}`,
    `${Number(plan.got.keep.toFixed(3))}`,
    answer(plan.asked.quantize),
    answer(plan.got.quantize),
    describePlan(plan) ?? '',
  ]);
}

function table(rows: readonly (readonly string[])[]): string {
  const widths = rows[0].map((_, column) => rows.reduce((most, row) => Math.max(most, row[column].length), 0));
  const line = (row: readonly string[]): string =>
    row
      .map((cell, column) =>
        column === 0 || (column === row.length - 1 && rows[0][column] === 'stored as')
          ? cell.padEnd(widths[column])
          : cell.padStart(widths[column]),
      )
      .join('  ')
      .trimEnd();
  const [head, ...body] = rows;
  return [line(head), widths.map((width) => '-'.repeat(width)).join('  '), ...body.map(line)].join('\n');
}

/** Before and after, in total and per layer, as text for a terminal. */
export function summaryTable(report: CompressionReport, metrics: readonly ReportMetric[] = []): string {
  const total = table([['', 'before', 'after', 'change'], ...summaryRows(report, metrics)]);
  const layers = table([
    ['layer', 'weights', '', 'parameters', '', 'bytes', '', 'multiply-adds', '', 'stored as'],
    ...report.layers.map(({ name, before, after }) => [
      name,
      before.shape.join('x'),
      after.shape.join('x'),
      count(before.parameters),
      count(after.parameters),
      count(before.bytes),
      count(after.bytes),
      count(before.multiplyAdds),
      count(after.multiplyAdds),
      after.encoding,
    ]),
  ]);
  const parts = [total, layers];
  if (report.steps.length > 0) parts.push(table([STEP_HEAD, ...stepRows(report)]));
  if (report.plans.length > 0) parts.push(table([PLAN_HEAD, ...planRows(report)]));
  return parts.join('\n\n');
}
