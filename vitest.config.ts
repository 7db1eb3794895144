import { readdirSync, readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join, resolve } from 'node:path';
import { defineConfig } from 'vitest/config';
import { entries } from './scripts/entries.ts';

const { index, ...parts } = entries;
const source = (path: string): string => resolve(import.meta.dirname, path);

/**
 * Words of a test that changes what all files of a process share, or that measures it: such files have a process each. The
 * others share theirs and the modules that were loaded, which takes a fifth of the processor's time off the whole.
 */
const ALONE = /vi\.(mock|doMock|stub|spyOn|useFake)|process\.argv =|\.prototype|globalThis|memoryUsage|fuzz\/guard/;
const tests = readdirSync(source('test'), { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.test.ts'))
  .map((file) => join('test', file).replaceAll('\\', '/'));
const alone = tests.filter((file) => ALONE.test(readFileSync(source(file), 'utf8')));

export default defineConfig({
  // The examples and the bench use the package by its name; here that means the sources, as in tsconfig.json.
  resolve: {
    alias: [
      { find: /^espalier$/, replacement: source(index) },
      ...Object.entries(parts).map(([name, path]) => ({ find: `espalier/${name}`, replacement: source(path) })),
    ],
  },
  test: {
    testTimeout: 60_000,
    pool: 'forks',
    // All of two cores: left to itself one of them stays idle.
    maxWorkers: availableParallelism(),
    projects: [
      { extends: true, test: { name: 'alone', include: alone } },
      { extends: true, test: { name: 'together', include: ['test/**/*.test.ts'], exclude: alone, isolate: false } },
    ],
  },
});
