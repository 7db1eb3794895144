/** What a group of the comparison is, and what its members share. */
import type { Row } from '../results.ts';
import type { Timing } from '../measure.ts';
import manifest from '../../package.json' with { type: 'json' };

export const PROJECT_VERSION = manifest.version;

export interface Settings {
  readonly rounds: number;
  /** Folder of ONNX models by others. */
  readonly models?: string | undefined;
}

export interface Group {
  readonly name: string;
  /** For the list that `--help` prints. */
  readonly about: string;
  measure(settings: Settings): Promise<Row[]>;
}

type Labels = Pick<Row, 'case' | 'what' | 'who'> & Partial<Pick<Row, 'size' | 'version' | 'threads' | 'work'>>;

/** A row of milliseconds, printed as it comes. */
export function timeRow(group: string, labels: Labels, { minimum, median, rounds }: Timing): Row {
  const row: Row = {
    group,
    size: 0,
    version: '',
    threads: 1,
    work: 0,
    ...labels,
    unit: 'ms',
    minimum: minimum * 1e3,
    median: median * 1e3,
    rounds,
  };
  print(row);
  return row;
}

/** A row of something that is no time. */
export function valueRow(group: string, labels: Labels, unit: Row['unit'], { minimum, median, rounds }: Timing): Row {
  const row: Row = { group, size: 0, version: '', threads: 1, work: 0, ...labels, unit, minimum, median, rounds };
  print(row);
  return row;
}

function print({ case: name, what, size, who, threads, unit, minimum, median, work }: Row): void {
  const rate = work > 0 && unit === 'ms' ? `${((work / minimum) * 1e3).toFixed(1).padStart(8)} GFLOP/s` : '';
  const shown = (value: number): string => value.toPrecision(4).padStart(10);
  console.log(
    `${name.padEnd(40)} ${(size > 0 ? `${what} ${size}` : what).padEnd(24)} ${(threads > 1 ? `${who}, ${threads} threads` : who).padEnd(24)}${shown(minimum)} ${unit}, median${shown(median)}${rate}`,
  );
}
