/** A module of the source and all that it needs as one file, which Node starts several times as fast as through tsx. */
import { resolve } from 'node:path';
import { build } from 'esbuild';

const root = resolve(import.meta.dirname, '..');

/** @param source - below the root: src/cli/main.ts, the program */
export async function bundleProgram(outfile: string, source = 'src/cli/main.ts'): Promise<void> {
  await build({
    entryPoints: [resolve(root, source)],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'esm',
    logLevel: 'error',
  });
}
