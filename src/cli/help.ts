/** Help texts, made from the commands' tables. */
import type { Command } from './command.ts';
import { flagName } from './options.ts';
import type { Option } from './options.ts';

const WIDTH = 100;

export function overview(commands: readonly Command[]): string {
  const width = Math.max(...commands.map(({ name }) => name.length));
  return [
    'espalier makes trained neural networks small.',
    '',
    'usage: espalier COMMAND [OPTIONS]',
    '',
    ...commands.map(({ name, summary }) => `  ${name.padEnd(width)}  ${summary}`),
    '',
    'espalier COMMAND --help lists the options of a command; espalier --version says which this is.',
  ].join('\n');
}

export function commandHelp({ name, summary, positionals, description, example, options }: Command): string {
  const entries = Object.entries(options);
  const needed = entries.filter(([, { isRequired }]) => isRequired).map(([key, option]) => written(key, option));
  const left = entries.map(
    ([key, option]) => `${option.short === undefined ? '    ' : `-${option.short}, `}${written(key, option)}`,
  );
  const width = Math.min(34, Math.max(...left.map((text) => text.length)));
  return [
    `espalier ${name}: ${summary}`,
    '',
    `usage: ${['espalier', name, ...positionals, ...needed, '[OPTIONS]'].join(' ')}`,
    '',
    ...wrap(description, WIDTH),
    '',
    ...entries.flatMap(([, { help, shown, isRequired }], i) => {
      const lines = wrap(
        `${help}${isRequired ? ' (required)' : shown === undefined ? '' : ` (default: ${shown})`}`,
        WIDTH - width - 4,
      );
      // A long flag has a line of its own.
      const [head, rest] =
        left[i].length > width ? [left[i], lines] : [`${left[i].padEnd(width)}  ${lines[0]}`, lines.slice(1)];
      return [`  ${head}`, ...rest.map((line) => `${' '.repeat(width + 4)}${line}`)];
    }),
    '',
    `example: ${example}`,
  ].join('\n');
}

function written(key: string, { value }: Option<unknown>): string {
  return `--${flagName(key)}${value === undefined ? '' : ` ${value}`}`;
}

function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else line = line === '' ? word : `${line} ${word}`;
  }
  return [...lines, line];
}
