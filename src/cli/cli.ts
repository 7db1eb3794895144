/**
 * The command line as a function: arguments in, exit code out. 0: done, 1: failed, 2: wrong use, 130 and 143: stopped
 * by a signal.
 */
import { styleText } from 'node:util';
import { version } from '../../package.json';
import { EspalierError, show, suggestion, visible, visibleLines } from '../index.ts';
import { Stopped } from './command.ts';
import type { Command } from './command.ts';
import { compareCommand } from './commands/compare.ts';
import { compressCommand } from './commands/compress.ts';
import { exportCommand, importCommand } from './commands/convert.ts';
import { evaluateCommand } from './commands/evaluate.ts';
import { inspectCommand } from './commands/inspect.ts';
import { applyCommand, diffCommand } from './commands/patch.ts';
import { runCommand } from './commands/run.ts';
import { trainCommand } from './commands/train.ts';
import { commandHelp, overview } from './help.ts';
import { UsageError } from './io.ts';
import { inWords } from './messages.ts';
import type { Io } from './io.ts';

export const COMMANDS: readonly Command[] = [
  trainCommand,
  compressCommand,
  evaluateCommand,
  compareCommand,
  inspectCommand,
  importCommand,
  exportCommand,
  diffCommand,
  applyCommand,
  runCommand,
];

/**
 * Runs one command. Never throws: whatever goes wrong is one line on stderr and an exit code. Results go to stdout,
 * everything else to stderr.
 */
export async function runCli(args: readonly string[], io: Io): Promise<number> {
  const [first, ...rest] = args;
  if (first === '--help' || first === '-h' || first === 'help')
    return print(io, rest.length > 0 ? helpOf(rest[0]) : overview(COMMANDS));
  if (first === '--version') return print(io, version);
  const command = COMMANDS.find(({ name }) => name === first);
  if (!command) {
    io.stderr.write(
      `espalier: ${
        first === undefined
          ? 'a command is missing'
          : `unknown command ${show(first)}${suggestion(
              first,
              COMMANDS.map(({ name }) => name),
            )}`
      }\n\n${overview(COMMANDS)}\n`,
    );
    return 2;
  }
  // Asked for help is answered whatever else stands there.
  const end = rest.indexOf('--');
  if (rest.slice(0, end < 0 ? rest.length : end).some((arg) => arg === '--help' || arg === '-h'))
    return print(io, commandHelp(command));
  const color = io.stderr.isTTY === true && !io.env['NO_COLOR'];
  try {
    const { result, asJson } = await command.execute(rest, io, color);
    return print(io, asJson ? JSON.stringify(result.json) : result.text);
  } catch (error) {
    const { text, code } = failure(command.name, error);
    const mark = `espalier ${command.name}:`;
    io.stderr.write(`${color ? styleText('red', mark, { validateStream: false }) : mark} ${text}\n`);
    if ((rest.includes('--verbose') || io.env['ESPALIER_DEBUG']) && error instanceof Error)
      io.stderr.write(`${visibleLines(trace(error))}\n`);
    return code;
  }
}

function print({ stdout }: Io, text: string): number {
  stdout.write(`${visibleLines(text)}\n`);
  return 0;
}

function helpOf(name: string): string {
  const command = COMMANDS.find((known) => known.name === name);
  return command ? commandHelp(command) : overview(COMMANDS);
}

/** One line about an error, and its exit code. */
function failure(command: string, error: unknown): { readonly text: string; readonly code: number } {
  if (error instanceof Stopped) return { text: oneLine(error.message), code: error.code };
  if (error instanceof UsageError)
    return { text: `${oneLine(error.message)} (espalier ${command} --help lists the options)`, code: 2 };
  if (error instanceof EspalierError) return { text: oneLine(inWords(error.message)), code: 1 };
  // The library's own checks of arguments, which come from files of options, begin with the function's name.
  if ((error instanceof TypeError || error instanceof RangeError) && /^[a-z]\w*: /i.test(error.message))
    return { text: oneLine(inWords(error.message)), code: 2 };
  return {
    text: `unexpected: ${oneLine(error instanceof Error ? error.message : String(error))} (--verbose shows where)`,
    code: 1,
  };
}

function oneLine(text: string): string {
  return visible(
    text
      .split('\n')
      .map((line) => line.trim())
      .filter((line) => line !== '')
      .join(' '),
  );
}

/** Stack of an error and of what caused it. */
function trace(error: Error): string {
  const { cause } = error;
  return `${error.stack ?? error.message}${cause instanceof Error ? `\ncaused by ${trace(cause)}` : ''}`;
}
