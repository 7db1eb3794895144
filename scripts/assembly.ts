/** The assembly: which file defines which kernel, and its compilation to WebAssembly. */
import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import asc from 'assemblyscript/asc';
import type { KernelTable } from '../src/kernels/specification/kernels.ts';

export const root = join(import.meta.dirname, '..');
const folder = join(root, 'src/kernels/assembly');

/** Kernels that inference has in a form of its own. */
const INFERENCE_FORMS = 'inference';

/** Modules, without their ending, and the arguments after `scratch` of each kernel that they export. */
async function definitions(): Promise<{ module: string; kernel: string; names: readonly string[] }[]> {
  const files = (await readdir(folder)).filter((file) => file.endsWith('.ts'));
  const found = await Promise.all(
    files.map(async (file) => {
      const text = await readFile(join(folder, file), 'utf8');
      return [...text.matchAll(/^export function (\w+)\(\s*scratch: i32,([^)]*)\): void/gm)].map(
        ([, kernel, rest]) => ({
          module: file.replace(/\.ts$/, ''),
          kernel,
          names: [...rest.matchAll(/(\w+): i32/g)].map(([, name]) => name),
        }),
      );
    }),
  );
  return found.flat();
}

/**
 * Text of the entry that exports these kernels and no other.
 * @throws if a kernel is missing, defined twice, or has other arguments than the table says
 */
export async function assemblyEntry(kernels: KernelTable, inference: boolean): Promise<string> {
  const defined = await definitions();
  const lines = Object.entries(kernels).map(([kernel, { arguments: names }]) => {
    const candidates = defined.filter((one) => one.kernel === kernel && one.module !== INFERENCE_FORMS);
    const own = inference ? defined.filter((one) => one.kernel === kernel && one.module === INFERENCE_FORMS) : [];
    for (const one of [...candidates, ...own]) {
      if (one.names.join() !== names.join())
        throw new Error(
          `assembly/${one.module}.ts: ${kernel}: expected the arguments ${names.join(', ')}, got ${one.names.join(', ')}`,
        );
    }
    if (candidates.length !== 1)
      throw new Error(`assembly: ${kernel}: expected one definition, got ${candidates.length}`);
    return `export { ${kernel} } from './${(own[0] ?? candidates[0]).module}';`;
  });
  return `/** Made by scripts/generate.ts from specification/kernels.ts. */\n${lines.join('\n')}\n`;
}

/**
 * Compiles a file of the repository, or one of `sources` (texts by path), which may import files of it. One binary for shared and unshared memory: the two differ in one byte of the memory
 * import, and no kernel uses atomics.
 */
export async function compileAssembly(
  file: string,
  sources: Readonly<Record<string, string>> = {},
): Promise<Uint8Array<ArrayBuffer>> {
  let binary: Uint8Array<ArrayBuffer> | undefined;
  const { error, stderr } = await asc.main(
    [
      file,
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
      readFile: (name: string, folder: string) =>
        sources[name] ?? readFile(join(folder, name), 'utf8').catch(() => null),
      writeFile(name: string, contents: Uint8Array | string) {
        if (typeof contents !== 'string' && name.endsWith('.wasm')) binary = Uint8Array.from(contents);
      },
    },
  );
  if (error || !binary) throw new Error(`${stderr.toString()}\n${error?.message ?? 'no module'}`);
  return binary;
}

/** Reads an unsigned LEB128 number. */
function readNumber(bytes: Uint8Array, at: number): { value: number; at: number } {
  let value = 0,
    shift = 0,
    byte: number;
  do {
    byte = bytes[at++];
    value |= (byte & 127) << shift;
    shift += 7;
  } while (byte & 128);
  return { value: value >>> 0, at };
}

/**
 * Position of the byte that says whether the imported memory (the only import) is shared.
 * @throws if the module has static data or imports anything else
 */
export function memoryFlag(bytes: Uint8Array): number {
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
