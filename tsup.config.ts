import { defineConfig } from 'tsup';
import { entries } from './scripts/entries.ts';

// One split build, so that every sub-path shares one error class and one kernel module.
// The CLI is apart: Node only, ES module only.
export default defineConfig([
  {
    entry: entries,
    format: ['esm', 'cjs'],
    platform: 'neutral',
    target: 'es2022',
    splitting: true,
    dts: true,
    clean: true,
    sourcemap: false,
  },
]);
