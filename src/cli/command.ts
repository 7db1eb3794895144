/** A command: a table of options and a function of their values that gives a result to print. */
import type { Context } from '../index.ts';
import { loadKernels, visible } from '../index.ts';
import { createProgress } from './progress.ts';
import type { Progress } from './progress.ts';
import { STOP_CODES } from './io.ts';
import type { Io } from './io.ts';
import { flag, parseOptions } from './options.ts';
import type { OptionTable, Values } from './options.ts';

/** What a command has to say on stdout: one of the two is printed. */
export interface Result {
  readonly json: Readonly<Record<string, unknown>>;
  readonly text: string;
}

export interface Invocation<T extends OptionTable> {
  readonly values: Values<T>;
  readonly positionals: readonly string[];
  readonly progress: Progress;
  readonly signal: AbortSignal;
}

export interface Command {
  readonly name: string;
  /** One line. */
  readonly summary: string;
  /** Names of the positional arguments, all required. */
  readonly positionals: readonly string[];
  readonly description: string;
  readonly example: string;
  readonly options: OptionTable;
  /** @throws whatever goes wrong, and {@link Stopped} when the signal stopped it */
  execute(
    args: readonly string[],
    io: Io,
    color: boolean,
  ): Promise<{ readonly result: Result; readonly asJson: boolean }>;
}

export interface CommandDefinition<T extends OptionTable> extends Omit<Command, 'execute'> {
  readonly options: T;
  run(invocation: Invocation<T>): Promise<Result>;
  /** How to go on after the run was stopped. Default: nothing was saved. */
  afterStop?(values: Values<T>): string | Promise<string>;
}

/** Options that every command has. */
export const COMMON = {
  json: flag('print one JSON object instead of a table'),
  quiet: flag('no progress', 'q'),
  verbose: flag('show where an error came from (also by ESPALIER_DEBUG=1)'),
  help: flag('show this help', 'h'),
};

/** A signal ended the run before it was done: `code` is the exit code. */
export class Stopped extends Error {
  readonly code: number;
  constructor(message: string, code: number) {
    super(message);
    this.code = code;
  }
}

export function defineCommand<T extends OptionTable>(definition: CommandDefinition<T>): Command {
  const { options, positionals: names } = definition;
  const all = { ...options, ...COMMON };
  return {
    ...definition,
    options: all,
    async execute(args, { stderr, signal }, color) {
      const { values, positionals } = parseOptions(args, all, names);
      const progress = createProgress(stderr, { quiet: (values as Values<typeof COMMON>).quiet, color });
      try {
        const result = await definition.run({ values: values as Values<T>, positionals, progress, signal });
        return { result, asJson: (values as Values<typeof COMMON>).json };
      } catch (error) {
        if (!signal.aborted || error !== signal.reason) throw error;
        const reason = signal.reason as keyof typeof STOP_CODES;
        throw new Stopped(
          `stopped by ${reason}; ${(await definition.afterStop?.(values as Values<T>)) ?? 'nothing was saved'}`,
          STOP_CODES[reason],
        );
      } finally {
        progress.end();
      }
    },
  };
}

/** What all runs share: the best kernels, told of on stderr. */
export async function createContext(
  { progress, signal }: Pick<Invocation<OptionTable>, 'progress' | 'signal'>,
  { threads, seed }: { readonly threads: number; readonly seed: number },
): Promise<Context> {
  const kernels = await loadKernels();
  // Slow kernels are worth a word; that all is well is not.
  if (kernels.name !== 'simd') progress.note(`slow: ${kernels.name} kernels, because ${kernels.reason}`);
  return { kernels, threads, seed, signal, onEvent: progress.onEvent };
}

/** Rows of cells, which may hold names from files, as lines; the first column is left-aligned, as is every one that `left` names. */
export function table(rows: readonly (readonly string[])[], left: readonly number[] = []): string {
  const seen = rows.map((row) => row.map(visible));
  const widths = seen[0].map((_, column) => seen.reduce((most, row) => Math.max(most, row[column].length), 0));
  return seen
    .map((row) =>
      row
        .map((cell, column) =>
          column === 0 || left.includes(column) ? cell.padEnd(widths[column]) : cell.padStart(widths[column]),
        )
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

export const grouped = (value: number): string => Math.round(value).toLocaleString('en-US');
export const percent = (value: number): string => `${(100 * value).toFixed(2)} %`;
