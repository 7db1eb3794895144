/**
 * What a page that only runs a model carries: all of `espalier/runtime`, bundled for the browser and minified, as its
 * own bundler would.
 */
import { build } from 'esbuild';
import type { Metafile } from 'esbuild';
import { gzipSync } from 'node:zlib';
import { modulesIn, packedIn } from '../../scripts/packed.ts';
import { beforeAll, describe, expect, it } from 'vitest';
import { ALL_SELECTION } from '../../src/kernels/selection/all.ts';
import { INFERENCE_SELECTION } from '../../src/kernels/selection/inference.ts';
import { namesOf } from '../../src/kernels/selection/selection.ts';
import { unpackText } from '../../src/kernels/selection/unpack.ts';
import { isOperatorKind } from '../../src/operators/table.ts';

const root = new URL('../../', import.meta.url).pathname;
let code = '';
let metafile: Metafile;
/** Source file -> bytes of it in the bundle; only those of which something is left. */
let parts: Map<string, number>;

/**
 * What is left of a program that only training has: the names of its kernels (but for those that are names of operators
 * as well), and of the functions about them.
 */
const trainingKernels = namesOf(ALL_SELECTION).filter(
  (name) => !namesOf(INFERENCE_SELECTION).includes(name) && !isOperatorKind(name),
);
const backward = (text: string): string[] =>
  [
    ...trainingKernels,
    'backward',
    'pullback',
    'forwardTraining',
    'withTrainedValues',
    'parameterGradient',
    'outputGradient',
  ].filter((name) => new RegExp(`\\b${name}\\b`).test(text));

async function bundle(contents: string): Promise<{ text: string; metafile: Metafile }> {
  const result = await build({
    stdin: { contents, resolveDir: root, loader: 'ts' },
    bundle: true,
    minify: true,
    write: false,
    metafile: true,
    format: 'esm',
    platform: 'browser',
    target: 'es2022',
    logLevel: 'silent',
  });
  return { text: result.outputFiles[0].text, metafile: result.metafile };
}

beforeAll(async () => {
  ({ text: code, metafile } = await bundle(`export * from './src/runtime/index.ts';`));
  const [output] = Object.values(metafile.outputs);
  parts = new Map(
    Object.entries(output.inputs)
      .filter(([, { bytesInOutput }]) => bytesInOutput > 0)
      .map(([path, { bytesInOutput }]) => [path, bytesInOutput]),
  );
});

describe('the bundle of the runtime', () => {
  it('is below 174 kB minified and 80.5 kB gzipped, SIMD kernels included', () => {
    const gzipped = gzipSync(code).length;
    const table = [...parts]
      .sort(([, a], [, b]) => b - a)
      .map(([path, bytes]) => `${String(bytes).padStart(8)}  ${path}`);
    console.log([`runtime: ${code.length} bytes minified, ${gzipped} gzipped`, ...table].join('\n'));
    expect(code.length).toBeLessThan(174_000);
    expect(gzipped).toBeLessThan(80_500);
  });

  it('keeps to a budget per part: 75 kB for the core, 73 kB for the kernels, 3.6 kB for each file of operators', () => {
    const bytesOf = (belongs: (path: string) => boolean): number =>
      [...parts].reduce((sum, [path, bytes]) => sum + (belongs(path) ? bytes : 0), 0);
    // Of the core 1.9 kB hold a file to limits of memory and work, and 0.8 make what it is called visible, since a page
    // opens files of strangers; 1 looks at options by known names; 0.5 are the exponents of halves; 7 unpack files; 3.7 are sparse and binary weights; 2.9 round and compute functions to the same bits on every engine.
    // The kernels carry what imported models need: functions and powers 3.4 kB, transposed convolutions 2, stacks of products,
    // rows standardized, elements rearranged and resampled; 3.6 kB run these as fast as others do: blocks that turn, pooling by rows.
    const [kernels, operators] = ['src/kernels/', 'src/operators/'];
    expect(bytesOf((path) => !path.startsWith(kernels) && !path.startsWith(operators))).toBeLessThan(75_000);
    expect(bytesOf((path) => path.startsWith(kernels))).toBeLessThan(73_000);
    const large = [...parts].filter(([path, bytes]) => path.startsWith(operators) && bytes > 3600);
    expect(large).toEqual([]);
  });

  it('holds the forward half and no training, backward, pruning, quantization, saving or package', () => {
    for (const needed of [
      'src/runtime/load.ts',
      'src/execution/executor.ts',
      'src/operators/conv.ts',
      'src/container/safetensors.ts',
      'src/preprocess/preprocess.ts',
    ])
      expect(parts.has(needed), needed).toBe(true);
    const unwanted = [...parts.keys()].filter(
      (path) =>
        (!path.startsWith('src/') && path !== '<stdin>') ||
        /training|backward|src\/(pruning|quantization|importance|compression|cli)\/|container\/(save|store)|network\/(build|write|vgg|initializers|plain)/.test(
          path,
        ),
    );
    expect(unwanted).toEqual([]);
  });

  it('names no kernel that only training calls, nor anything else of a gradient; its worker thread neither', async () => {
    expect(trainingKernels).toEqual(
      expect.arrayContaining(['convolutionBackwardWeights', 'codebookPullback', 'sgdUpdate', 'maxPoolBackward']),
    );
    expect([
      parts.has('src/kernels/generated/inference.generated.ts'),
      parts.has('src/kernels/generated/all.generated.ts'),
    ]).toEqual([true, false]);
    expect(backward(code)).toEqual([]);
    const worker = await unpackText(INFERENCE_SELECTION.compiled.worker);
    expect(packedIn(code).map((bytes) => new TextDecoder().decode(bytes))).toContain(worker);
    expect(backward(worker)).toEqual([]);
  });

  it('holds one WebAssembly module of at most 55 kB, inflated, which exports the kernels of inference and no other', () => {
    const modules = modulesIn(code);
    expect(modules).toHaveLength(1);
    expect(modules[0].length).toBeLessThanOrEqual(55_000);
    expect(
      WebAssembly.Module.exports(new WebAssembly.Module(modules[0]))
        .map(({ name }) => name)
        .sort(),
    ).toEqual([...namesOf(INFERENCE_SELECTION)].sort());
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
    const { text, metafile: whole } = await bundle(
      `export { createTrainingExecutor } from './src/execution/training-executor.ts'; export { loadKernels } from './src/kernels/load.ts';`,
    );
    expect(
      Object.values(whole.outputs).some((output) =>
        Object.keys(output.inputs).some((path) => path.includes('training')),
      ),
    ).toBe(true);
    expect(backward(text)).toEqual(expect.arrayContaining(trainingKernels));
    expect(backward(text)).toContain('backward');
    expect(WebAssembly.Module.exports(new WebAssembly.Module(modulesIn(text)[0])).map(({ name }) => name)).toContain(
      'convolutionBackwardWeights',
    );
  });
});
