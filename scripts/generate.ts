/**
 * Writes what follows from the kernels' specification: the SIMD kernels of the tables of formulas and the assembly's
 * entries (src/kernels/assembly/*.generated.ts), and for each selection of kernels (all of them, and those of inference)
 * what the library carries inside itself, src/kernels/generated/<selection>.generated.ts: the WebAssembly module of its
 * SIMD kernels and its worker thread's program, deflated, in base64. Run by `prepare`.
 */
import { mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { deflateRawSync } from 'node:zlib';
import { build } from 'esbuild';
import { INFERENCE_KERNELS, KERNELS } from '../src/kernels/specification/kernels.ts';
import { activationsModule } from './activations.ts';
import { binariesModule } from './binaries.ts';
import { reductionsModule } from './reductions.ts';
import { assemblyEntry, compileAssembly, memoryFlag, root } from './assembly.ts';

const kernels = join(root, 'src/kernels');

async function bundleWorker(entry: string): Promise<string> {
  const {
    outputFiles: [{ text }],
  } = await build({
    entryPoints: [join(kernels, entry)],
    bundle: true,
    write: false,
    minify: true,
    format: 'iife',
    platform: 'neutral',
    target: 'es2022',
    treeShaking: true,
    legalComments: 'none',
  });
  return text;
}

/** As src/kernels/selection/unpack.ts reads it. */
const pack = (bytes: Uint8Array): string => deflateRawSync(bytes, { level: 9 }).toString('base64');

/** Leaves a file alone that would not change, so that watchers and build caches stay quiet. */
async function write(name: string, text: string): Promise<void> {
  const path = join(kernels, name);
  if ((await readFile(path, 'utf8').catch(() => '')) !== text) await writeFile(path, text);
  console.error(`${name}: ${(await stat(path)).size} bytes`);
}

await mkdir(join(kernels, 'generated'), { recursive: true });
await write('assembly/activations.generated.ts', activationsModule());
await write('assembly/binaries.generated.ts', binariesModule());
await write('assembly/reductions.generated.ts', reductionsModule());
for (const [selection, table] of [
  ['all', KERNELS],
  ['inference', INFERENCE_KERNELS],
] as const) {
  const entry = `assembly/${selection}.generated.ts`;
  await write(entry, await assemblyEntry(table, selection === 'inference'));
  const binary = await compileAssembly(`src/kernels/${entry}`),
    worker = await bundleWorker(`threads/${selection}-worker.ts`);
  const flag = memoryFlag(binary);
  binary[flag] = 1;
  await write(
    `generated/${selection}.generated.ts`,
    `/** Made by scripts/generate.ts from the kernels' specification and assembly, ${binary.length} bytes of WebAssembly, and ${selection}-worker.ts. */
import type { Compiled } from '../selection/selection.ts';

export const compiled: Compiled = {
  memoryFlag: ${flag},
  simd: '${pack(binary)}',
  worker: '${pack(Buffer.from(worker))}',
};
`,
  );
}
