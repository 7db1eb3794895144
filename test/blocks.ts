/** Blocks of code in pages of documentation, run as they stand. */
import { expect } from 'vitest';

const AsyncFunction = (async () => undefined).constructor as new (
  ...names: string[]
) => (...values: unknown[]) => Promise<unknown>;

/** The code of the blocks of JavaScript and TypeScript. */
export function codeBlocks(page: string): string[] {
  return [...page.matchAll(/^```(js|ts)\n(.*?)^```$/gms)].map(([, , code]) => code);
}

/**
 * Runs a block; what it names in `gives` comes back.
 * @param given - values that the block takes for granted
 * @param entries - what it may import
 */
export function runCode(
  code: string,
  gives: string,
  given: Readonly<Record<string, unknown>>,
  entries: Readonly<Record<string, object>>,
): Promise<unknown> {
  const body = code.replaceAll(/^import (\{.*\}) from '(.*)';$/gm, "const $1 = entry('$2');");
  const names = Object.keys(given);
  const entry = (name: string): object => {
    expect(Object.keys(entries)).toContain(name);
    return entries[name];
  };
  return new AsyncFunction('entry', ...names, `${body}\nreturn ${gives};`)(entry, ...names.map((name) => given[name]));
}
