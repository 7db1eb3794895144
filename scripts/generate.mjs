/**
 * Writes what the library carries inside itself: for each selection of kernels (all of them, and those of inference) a
 * file src/kernels/generated/<selection>.generated.ts with the WebAssembly module of its SIMD kernels as base64 and its worker
 * thread's program as text. Run by `prepare`.
 */
import { mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import asc from 'assemblyscript/asc';
import { build } from 'esbuild';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const kernels = join(root, 'src/kernels');
const generated = join(kernels, 'generated');

/**
 * One binary for shared and unshared memory: the two differ in one byte of the memory import, and no kernel uses
 * atomics.
 */
async function compileKernels(entry) {
  let binary;
  const { error, stderr } = await asc.main(
    [
      `src/kernels/assembly/${entry}`,
      '--baseDir',
      root,
      '--outFile',
      'kernels.wasm',
      '--runtime',
      'stub',
      '-O3',
      '--noAssert',
      '--enable',
      'simd',
      '--enable',
      'threads',
      '--importMemory',
      '--noExportMemory',
      '--sharedMemory',
      '--initialMemory',
      '1',
      '--maximumMemory',
      '65536',
    ],
    {
      writeFile(name, contents) {
        if (name.endsWith('.wasm')) binary = contents;
      },
    },
  );
  if (error) throw new Error(`${stderr.toString()}\n${error.message}`);
  return binary;
}

/** Reads an unsigned LEB128 number. */
function readNumber(bytes, at) {
  let value = 0,
    shift = 0,
    byte;
  do {
    byte = bytes[at++];
    value |= (byte & 127) << shift;
    shift += 7;
  } while (byte & 128);
  return { value: value >>> 0, at };
}

/** Position of the byte that says whether the imported memory (the only import) is shared. */
function memoryFlag(bytes) {
  let flag = -1;
  for (let at = 8; at < bytes.length;) {
    const id = bytes[at],
      { value: length, at: start } = readNumber(bytes, at + 1);
    if (id === 11)
      throw new Error('the kernels have static data, which would overwrite the words of the heap: compute it instead');
    if (id === 2) {
      let here = readNumber(bytes, start);
      if (here.value !== 1) throw new Error(`the kernels import ${here.value} things: expected the memory alone`);
      here = readNumber(bytes, here.at);
      here = readNumber(bytes, here.at + here.value);
      flag = here.at + here.value + 1;
      if (bytes[flag - 1] !== 2 || bytes[flag] !== 3)
        throw new Error('the import is not a shared memory with a maximum');
    }
    at = start + length;
  }
  return flag;
}

async function bundleWorker(entry) {
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

/** Leaves a file alone that would not change, so that watchers and build caches stay quiet. */
async function write(name, text) {
  const path = join(generated, name);
  if ((await readFile(path, 'utf8').catch(() => '')) !== text) await writeFile(path, text);
  console.error(`${name}: ${(await stat(path)).size} bytes`);
}

await mkdir(generated, { recursive: true });
for (const [selection, module] of [
  ['all', 'index.ts'],
  ['inference', 'inference.ts'],
]) {
  const binary = await compileKernels(module),
    worker = await bundleWorker(`threads/${selection}-worker.ts`);
  await write(
    `${selection}.generated.ts`,
    `/** Made by scripts/generate.mjs from assembly/${module}, ${binary.length} bytes of WebAssembly, and ${selection}-worker.ts. */
import type { Compiled } from '../selection/selection.ts';

export const compiled: Compiled = {
  memoryFlag: ${memoryFlag(binary)},
  simd: '${Buffer.from(binary).toString('base64')}',
  worker: ${JSON.stringify(worker)},
};
`,
  );
}
