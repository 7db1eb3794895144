/**
 * What a page that only runs a model carries: bundled for the browser and minified, as its own bundler would. A kernel set is one table, forward
 * and backward loops together (one WebAssembly module); above the kernels nothing of training may be there.
 */
import { build } from 'esbuild';
import type { Metafile } from 'esbuild';
import { gzipSync } from 'node:zlib';
import { beforeAll, describe, expect, it } from 'vitest';

const root = new URL('../../', import.meta.url).pathname;
let code = '';
let metafile: Metafile;
/** Source file -> bytes of it in the bundle; only those of which something is left. */
let parts: Map<string, number>;

async function bundle(contents: string): Promise<{ text: string; metafile: Metafile }> {
  const result = await build({
    stdin: { contents, resolveDir: root, loader: 'ts' },
    bundle: true, minify: true, write: false, metafile: true, format: 'esm', platform: 'browser', target: 'es2022', logLevel: 'silent',
  });
  return { text: result.outputFiles[0].text, metafile: result.metafile };
}

beforeAll(async () => {
  ({ text: code, metafile } = await bundle(`export { load } from './src/runtime/index.ts';`));
  const [output] = Object.values(metafile.outputs);
  parts = new Map(Object.entries(output.inputs).filter(([, { bytesInOutput }]) => bytesInOutput > 0).map(([path, { bytesInOutput }]) => [path, bytesInOutput]));
});

describe('the bundle of the runtime', () => {
  it('is at most 150 kB minified and 60 kB gzipped, SIMD kernels included', () => {
    const gzipped = gzipSync(code).length;
    const table = [...parts].sort(([, a], [, b]) => b - a).map(([path, bytes]) => `${String(bytes).padStart(8)}  ${path}`);
    console.log([`runtime: ${code.length} bytes minified, ${gzipped} gzipped`, ...table].join('\n'));
    expect(code.length).toBeLessThanOrEqual(150_000);
    expect(gzipped).toBeLessThanOrEqual(60_000);
  });

  it('holds the forward half and no training, backward, pruning, quantization, saving or package', () => {
    for (const needed of ['src/runtime/load.ts', 'src/execution/executor.ts', 'src/operators/conv.ts', 'src/container/safetensors.ts', 'src/data/preprocess.ts']) expect(parts.has(needed), needed).toBe(true);
    const unwanted = [...parts.keys()].filter((path) => !path.startsWith('src/') && path !== '<stdin>' || /training|backward|src\/(pruning|quantization|importance|compression|cli)\/|container\/(save|store)|network\/(build|write|vgg|initializers|plain)/.test(path));
    expect(unwanted).toEqual([]);
  });

  it('names no Node module to a bundler, and makes no code from text', () => {
    const imports = Object.values(metafile.outputs).flatMap((output) => output.imports.map(({ path }) => path));
    expect(imports).toEqual([]);
    expect(code).not.toMatch(/\bfrom\s*["']node:|\bimport\s*\(|\brequire\s*\(/);
    expect(code).not.toMatch(/\bnew\s+Function\b|\beval\s*\(|\bFunction\s*\(/);
  });

  it('does nothing when it is imported: an import without a use leaves next to nothing', async () => {
    const { text } = await bundle(`import './src/runtime/index.ts';`);
    expect(text.length).toBeLessThan(100);
  });

  it('would be caught with training in it', async () => {
    const { metafile: whole } = await bundle(`export { createTrainingExecutor } from './src/execution/training-executor.ts';`);
    expect(Object.values(whole.outputs).some((output) => Object.keys(output.inputs).some((path) => path.includes('training')))).toBe(true);
  });
});
