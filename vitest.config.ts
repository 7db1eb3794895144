import { availableParallelism } from 'node:os';
import { resolve } from 'node:path';
import { defineConfig } from 'vitest/config';
import { entries } from './scripts/entries.ts';

const { index, ...parts } = entries;
const source = (path: string): string => resolve(import.meta.dirname, path);

export default defineConfig({
  // The examples and the bench use the package by its name; here that means the sources, as in tsconfig.json.
  resolve: {
    alias: [
      { find: /^espalier$/, replacement: source(index) },
      ...Object.entries(parts).map(([name, path]) => ({ find: `espalier/${name}`, replacement: source(path) })),
    ],
  },
  test: {
    include: ['test/**/*.test.ts'],
    testTimeout: 60_000,
    pool: 'forks',
    // All of two cores: left to itself one of them stays idle.
    maxWorkers: availableParallelism(),
  },
});
