/** How a file was made, for its report. */
import { arch, cpus, type } from 'node:os';
import { version } from '../../package.json';
import type { Context } from '../index.ts';
import { COMMON } from './command.ts';
import { shapesText } from './onnx.ts';
import type { Shapes } from './onnx.ts';
import { flagName } from './options.ts';

export interface Fact {
  readonly name: string;
  readonly value: string;
}

/** What it takes to make the same file again. */
export function made(
  command: string,
  positionals: readonly string[],
  values: Readonly<Record<string, unknown>>,
  { kernels, seed, threads }: Context,
): Fact[] {
  const given = Object.entries(values).flatMap(([key, value]): string[] => {
    if (value === undefined || value === false || key in COMMON) return [];
    return value === true ? [`--${flagName(key)}`] : [`--${flagName(key)}`, quoted(word(value))];
  });
  return [
    { name: 'command', value: [`espalier ${command}`, ...positionals.map(quoted), ...given].join(' ') },
    { name: 'version', value: `espalier ${version}, Node ${process.version}` },
    { name: 'seed', value: String(seed) },
    {
      name: 'machine',
      value: `${cpus()[0]?.model ?? 'unknown processor'}, ${type()} ${arch()}; ${kernels.name} kernels, ${threads} threads (neither changes a bit)`,
    },
  ];
}

/** A value as the option is given. */
function word(value: unknown): string {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return shapesText(value as Shapes);
  return value === null ? 'none' : value === Infinity ? 'all' : String(value);
}

/** A word of a command line, in quotes where a shell would cut it. */
const quoted = (word: string): string => (/^[\w./,:=+-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`);
