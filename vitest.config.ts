import { resolve } from 'node:path';
import { defineConfig } from 'vitest/config';

const source = (path: string): string => resolve(import.meta.dirname, 'src', path);

export default defineConfig({
  // The examples use the package by its name; here that means the sources, as in tsconfig.json.
  resolve: { alias: [{ find: /^espalier$/, replacement: source('index.ts') }] },
  test: { include: ['test/**/*.test.ts'], testTimeout: 60_000, pool: 'forks' },
});
