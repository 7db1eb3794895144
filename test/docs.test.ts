/**
 * What docs/ shows can be typed in: code is checked against the types of the source, commands against the options of
 * the command line, and the one program is run.
 */
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import ts from 'typescript';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { syntheticFaces } from '../examples/faces/index.ts';
import { COMMANDS } from '../src/cli/cli.ts';
import { parseOptions } from '../src/cli/options.ts';
import { openFolder, writeNpy } from '../src/index.ts';

const root = join(import.meta.dirname, '..');
const docs = join(root, 'docs');
const pages = new Map<string, string>(
  await Promise.all(
    (await readdir(docs))
      .filter((name) => name.endsWith('.md'))
      .map(async (name) => [`docs/${name}`, await readFile(join(docs, name), 'utf8')] as const),
  ),
);
pages.set('README.md', await readFile(join(root, 'README.md'), 'utf8'));

const blocksOf = (text: string): string[] =>
  [...text.matchAll(/^```(?:js|ts|javascript|typescript)\n(.*?)^```$/gms)].map(([, code]) => code);

/** A block as a whole module: what the text around it has said already stands before it. */
type Whole = (code: string) => string;
/** Cut short by '...': no compiler can read it. */
const FRAGMENT = 'fragment';

/** Every block of every page, in order; those of README.md are run by a test of their own. */
const BLOCKS: Readonly<Record<string, readonly (Whole | typeof FRAGMENT)[]>> = {
  'docs/architecture.md': [
    (code) => {
      const [forward, gradient] = code.split('// ACTIVATION_GRADIENTS').map((part) => part.replace(/^.*\n/, ''));
      return `import type { ActivationGradient, ActivationSpecification } from './src/kernels/specification/activations.ts';
export const rows: Record<string, ActivationSpecification> = {${forward}};
export const gradients: Record<string, ActivationGradient> = {${gradient}};`;
    },
    (code) => `declare function unary(kind: string): () => unknown;\n${code}`,
    (code) => `import type { Criterion } from './src/importance/types.ts';
import type { Network } from './src/graph/network.ts';
const NO_OPTIONS = {} as const;
declare function weightsOf(network: Network, producer: string): Float32Array;
${code}`,
    FRAGMENT,
    FRAGMENT,
  ],
  'docs/command-line.md': [(code) => code],
  'docs/method.md': [
    // The page is JavaScript: what is not there would be an error of the next line.
    (code) => `import type { Tensor } from 'espalier/tensor';
declare const vectors: Tensor, queries: Tensor;
${code.replace(".get('vectors')", ".get('vectors')!")}`,
  ],
  'docs/onnx.md': [(code) => code],
  'docs/tfjs.md': [(code) => code],
  'docs/scale.md': [
    (code) => `import type { Network } from './src/graph/network.ts';
import type { Context } from './src/graph/transform.ts';
declare const network: Network, context: Context;
${code}`,
  ],
  'docs/patches.md': [(code) => `declare const before: Uint8Array, after: Uint8Array;\n${code}`],
  'docs/shapes.md': [
    (code) =>
      `import type { Network } from 'espalier/network';\nimport type { Examples } from 'espalier';\ndeclare const network: Network, training: Examples;\n${code}`,
  ],
  'docs/threads.md': [
    (code) => `import { load } from 'espalier/runtime';\ndeclare const bytes: Uint8Array;\n${code}`,
    (code) => `declare const context: CanvasRenderingContext2D;\n${code}\nexport {};`,
  ],
};

describe('code in docs', () => {
  it('is all known here', () => {
    const found = [...pages].flatMap(([name, text]) => {
      const count = blocksOf(text).length;
      return name === 'README.md' || count === 0 ? [] : [[name, count]];
    });
    expect(Object.fromEntries(found)).toEqual(
      Object.fromEntries(Object.entries(BLOCKS).map(([name, blocks]) => [name, blocks.length])),
    );
    for (const [name, ways] of Object.entries(BLOCKS))
      for (const [i, code] of blocksOf(pages.get(name)!).entries())
        expect([name, i, /\{ \.\.\. \}/.test(code)]).toEqual([name, i, ways[i] === FRAGMENT]);
  });

  it('suits the types of the source', { timeout: 120_000 }, () => {
    const files = new Map<string, string>();
    for (const [name, ways] of Object.entries(BLOCKS))
      blocksOf(pages.get(name)!).forEach((code, i) => {
        const way = ways[i];
        if (typeof way === 'function') files.set(join(root, `${name.replace(/\W/g, '-')}-${i}.ts`), way(code));
      });
    const { config } = ts.readConfigFile(join(root, 'tsconfig.json'), (path) => ts.sys.readFile(path)) as {
      config: unknown;
    };
    // A name that is shown and not used yet is no mistake of a page.
    const options = {
      ...ts.parseJsonConfigFileContent(config, ts.sys, root).options,
      noUnusedLocals: false,
      noUnusedParameters: false,
    };
    const host = ts.createCompilerHost(options);
    const { fileExists, readFile: read } = host;
    host.fileExists = (path) => files.has(path) || fileExists(path);
    host.readFile = (path) => files.get(path) ?? read(path);
    host.getSourceFile = (path, target) => {
      const text = host.readFile(path);
      return text === undefined ? undefined : ts.createSourceFile(path, text, target);
    };
    const program = ts.createProgram([...files.keys()], options, host);
    const problems = [...files.keys()].flatMap((path) => {
      const source = program.getSourceFile(path);
      return [...program.getSyntacticDiagnostics(source), ...program.getSemanticDiagnostics(source)].map(
        ({ messageText }) => `${path}: ${ts.flattenDiagnosticMessageText(messageText, '\n')}`,
      );
    });
    expect(problems).toEqual([]);
  });
});

describe('the program that draws faces', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'espalier-docs-'));
  });
  afterAll(() => rm(folder, { recursive: true }));

  it('makes a folder that the command line opens', { timeout: 120_000 }, async () => {
    const [code] = blocksOf(pages.get('docs/command-line.md')!);
    const { outputText } = ts.transpileModule(
      code
        .replaceAll(/^import .*$/gm, '')
        .replaceAll(/(['`])faces\b/g, (_, quote: string) => `${quote}${folder}/faces`),
      { compilerOptions: { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext } },
    );
    const AsyncFunction = (async () => undefined).constructor as new (
      ...names: string[]
    ) => (...values: unknown[]) => Promise<unknown>;
    const { mkdir, writeFile } = await import('node:fs/promises');
    const given = { mkdir, writeFile, writeNpy, syntheticFaces };
    await new AsyncFunction(...Object.keys(given), outputText.replace(/^export \{\};?$/m, ''))(...Object.values(given));
    const set = await openFolder(join(folder, 'faces'), 'validation', {
      task: 'landmarks',
      preprocessing: PREPROCESSING,
    });
    expect([set.count, set.targetShape]).toEqual([60, [136]]);
    set.close();
  });
});

const PREPROCESSING = {
  width: 16,
  height: 16,
  channels: 1,
  filter: 'area',
  scale: 1 / 255,
  standardize: { kind: 'image', epsilon: 1e-3 },
} as const;

/** Words of a command as a shell cuts them: pages use neither quotes nor pipes. */
const calls = [...pages].flatMap(([name, text]) =>
  [...text.matchAll(/^```\w*\n(.*?)^```$/gms)]
    .flatMap(([, block]) => block.split('\n'))
    .flatMap((line) => /^(?:\$ )?(?:npx )?espalier (\w+(?: +(?:\S+))*)$/.exec(line)?.[1] ?? [])
    // The overview of the commands explains each behind two blanks or more.
    .filter((line) => !/^\w+ {2,}/.test(line) && !/^\w+: /.test(line))
    .map((line) => [name, line.trim()] as const),
);

describe('commands in docs', () => {
  it('are found', () => {
    expect(calls.length).toBeGreaterThanOrEqual(10);
    expect(new Set(calls.map(([, line]) => line.split(' ')[0]))).toEqual(new Set(COMMANDS.map(({ name }) => name)));
  });

  it.each(calls)('%s: espalier %s', (_, line) => {
    const [name, ...args] = line.replace(/ #.*$/, '').split(/ +/);
    const command = COMMANDS.find((one) => one.name === name)!;
    expect(() => parseOptions(args, command.options, command.positionals)).not.toThrow();
  });

  it('an unknown flag would be told', () => {
    const { options, positionals } = COMMANDS.find(({ name }) => name === 'inspect')!;
    expect(() => parseOptions(['m', '--nothing'], options, positionals)).toThrow('unknown option --nothing');
  });
});
