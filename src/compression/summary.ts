/** The table that is printed after a compression, and the time that a network takes. */
import { createExecutor } from '../execution/executor.ts';
import type { KernelSet } from '../kernels/types.ts';
import type { Network } from '../graph/network.ts';
import type { ReportMetric } from './html.ts';
import type { CompressionReport } from './report.ts';

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

const number = (value: number): string => Math.round(value).toLocaleString('en-US');

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
  const total = table([
    ['', 'before', 'after', 'ratio'],
    ['bytes', number(report.originalBytes), number(report.bytes), `${report.ratio.toFixed(1)}x`],
    [
      'parameters',
      number(report.parameters.before),
      number(report.parameters.after),
      `${(report.parameters.before / report.parameters.after).toFixed(2)}x`,
    ],
    [
      'multiply-adds',
      number(report.multiplyAdds.before),
      number(report.multiplyAdds.after),
      `${(report.multiplyAdds.before / report.multiplyAdds.after).toFixed(2)}x`,
    ],
    ...metrics.map(({ name, before, after }) => [name, before, after, '']),
  ]);
  const layers = table([
    ['layer', 'weights', '', 'parameters', '', 'bytes', '', 'multiply-adds', '', 'stored as'],
    ...report.layers.map(({ name, before, after }) => [
      name,
      before.shape.join('x'),
      after.shape.join('x'),
      number(before.parameters),
      number(after.parameters),
      number(before.bytes),
      number(after.bytes),
      number(before.multiplyAdds),
      number(after.multiplyAdds),
      after.encoding,
    ]),
  ]);
  return `${total}\n\n${layers}`;
}
