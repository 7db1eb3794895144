/**
 * Results: one CSV per processor, one line per measured thing, kept in git. A run replaces the lines of the groups that
 * it measured.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export interface Row {
  /** Name of the group that measured it. */
  readonly group: string;
  /** What was worked on: a network, a layer, a size. */
  readonly case: string;
  /** What was done with it. */
  readonly what: string;
  /** What is swept over: a width, a side, a batch. 0 where nothing is. */
  readonly size: number;
  readonly who: string;
  readonly version: string;
  readonly threads: number;
  readonly unit: 'ms' | 'MB' | 'kB' | 'objective';
  readonly minimum: number;
  readonly median: number;
  readonly rounds: number;
  /**
   * Giga-operations of one call, multiplications and additions counted one each; 0 where the rate is of no interest.
   */
  readonly work: number;
}

/** A row as it is in the file: with where and when. */
export interface Result extends Row {
  readonly node: string;
  readonly date: string;
  readonly machine: string;
}

const TEXT = ['group', 'case', 'what', 'who', 'version', 'unit', 'node', 'date', 'machine'] as const;
const COLUMNS = [
  'group',
  'case',
  'what',
  'size',
  'who',
  'version',
  'threads',
  'unit',
  'minimum',
  'median',
  'rounds',
  'work',
  'node',
  'date',
  'machine',
] as const satisfies readonly (keyof Result)[];

/** Numbers to five significant digits, which is more than a clock is worth. */
export function formatCsv(results: readonly Result[]): string {
  const cell = (value: string | number): string =>
    typeof value === 'number'
      ? String(Number(value.toPrecision(5)))
      : /[",\n]/.test(value)
        ? `"${value.replaceAll('"', '""')}"`
        : value;
  return [COLUMNS.join(','), ...results.map((result) => COLUMNS.map((column) => cell(result[column])).join(','))]
    .map((line) => `${line}\n`)
    .join('');
}

/** @throws {Error} if the columns are others */
export function parseCsv(text: string): Result[] {
  const [head, ...lines] = text.split('\n').filter(Boolean).map(cells);
  if (head?.join() !== COLUMNS.join())
    throw new Error(`parseCsv: expected the columns ${COLUMNS.join()}, got ${head?.join()}`);
  return lines.map(
    (line) =>
      Object.fromEntries(
        COLUMNS.map((column, i) => [column, (TEXT as readonly string[]).includes(column) ? line[i] : Number(line[i])]),
      ) as unknown as Result,
  );
}

function cells(line: string): string[] {
  return [...line.matchAll(/(?:^|,)(?:"((?:[^"]|"")*)"|([^,]*))/g)].map(
    ([, quoted, plain]) => quoted?.replaceAll('""', '"') ?? plain,
  );
}

export function readResults(path: string): Result[] {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch {
    return [];
  }
  return parseCsv(text);
}

/** Puts the results of one group in, in the place of those that the file has of it. Groups keep the order `order`. */
export function updateResults(path: string, group: string, results: readonly Result[], order: readonly string[]): void {
  const merged = [...readResults(path).filter((old) => old.group !== group), ...results];
  mkdirSync(join(path, '..'), { recursive: true });
  writeFileSync(path, formatCsv(merged.sort((a, b) => order.indexOf(a.group) - order.indexOf(b.group))));
}
