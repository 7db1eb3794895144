/** A host that puts things on every object and array, or freezes them: files read, run and written as ever. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { spawnSync } from 'node:child_process';
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';
import { afterAll, describe, expect, it } from 'vitest';
import { examplesFromArrays, gunzip, openFolder, preprocess, readNpy, writeNpy } from '../../src/data/index.ts';
import {
  dense,
  flatten,
  plainWeights,
  readNetwork,
  readPlain,
  sequential,
  withWeights,
  writeNetwork,
} from '../../src/network/index.ts';
import { compareOutcomes } from '../../src/compression/outcome.ts';
import { portableKernels } from '../../src/kernels/index.ts';
import { defaultLoss } from '../../src/losses/losses.ts';
import { evaluate } from '../../src/training/index.ts';
import { readSafetensors } from '../../src/container/index.ts';
import { load } from '../../src/runtime/index.ts';
import { everyOperator, smallNetwork } from '../network/files.ts';

const folder = mkdtempSync(join(tmpdir(), 'espalier-polluted-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** Every name that the source reads of something, but what the language itself reads of every object. */
function namesRead(): string[] {
  const root = join(import.meta.dirname, '../../src');
  const names = new Set<string>();
  for (const path of readdirSync(root, { recursive: true, encoding: 'utf8' })) {
    if (!path.endsWith('.ts') || /^cli|assembly|generated/.test(path)) continue;
    const text = readFileSync(join(root, path), 'utf8');
    for (const [, name] of text.matchAll(/(?:\.|readonly |[{,] )([a-z]\w+)/gi)) names.add(name);
  }
  // A promise, a property and a template are made of these by the engine, by Node or by the test runner.
  const language = [
    'then',
    'get',
    'set',
    'value',
    'writable',
    'raw',
    'toJSON',
    'signal',
    'return',
    'constructor',
    '__proto__',
  ];
  return [...names].filter((name) => !language.includes(name) && !(name in Object.prototype)).sort();
}

const small = writeNetwork(smallNetwork());
const every = writeNetwork(everyOperator(1));
const array = writeNpy({ data: Float64Array.of(1, 2, 3), shape: [3] });
const image = { data: Uint8Array.of(1, 2, 3, 4), shape: [2, 2] };
const asInput = { width: 1, height: 1, channels: 1, filter: 'area', scale: 1, standardize: { kind: 'none' } } as const;

/** What files come to, as text. */
function outcome(): string {
  const network = readNetwork(small);
  const plain = readPlain(plainWeights(network)).tensors;
  return [
    writeNetwork(network),
    writeNetwork(readNetwork(every)),
    writeNetwork(withWeights(network, plain)),
    ...[...readSafetensors(small).tensors.values()].map(({ bytes }) => bytes),
    readNpy(array).data,
    writeNpy(readNpy(array)),
    preprocess(image, asInput),
  ]
    .map((bytes) => Array.prototype.join.call(bytes))
    .join('\n');
}

describe('a polluted Object.prototype', () => {
  const expected = outcome();
  it('changes nothing of what is read and written, whatever the name', () => {
    const names = namesRead();
    expect(names.length).toBeGreaterThan(500);
    const holds = (some: readonly string[]): boolean => {
      for (const name of some) Object.prototype[name as never] = 7 as never;
      try {
        return outcome() === expected;
      } catch {
        return false;
      } finally {
        for (const name of some) delete Object.prototype[name as never];
      }
    };
    // Many at once, and where that makes a difference, one by one.
    const changed: string[] = [];
    for (let first = 0; first < names.length; first += 40) {
      const some = names.slice(first, first + 40);
      if (!holds(some)) changed.push(...some.filter((name) => !holds([name])), '(and those together with it)');
    }
    expect(changed).toEqual([]);
  }, 60_000);

  it('changes nothing of folders, gzip and a loaded model', async () => {
    writeFileSync(join(folder, 'train-inputs.npy'), writeNpy({ data: Float32Array.of(1, 2), shape: [2, 1] }));
    writeFileSync(
      join(folder, 'test-inputs.npy.gz'),
      gzipSync(writeNpy({ data: Float32Array.of(1, 2), shape: [2, 1] })),
    );
    const all = async (): Promise<string> => {
      const sets = [await openFolder(folder, 'train'), await openFolder(folder, 'test', { memoryLimit: 0 })];
      const read = new Float32Array(2);
      const found: unknown[] = [];
      for (const set of sets) {
        await set.read([0, 1], read, undefined);
        found.push(Object.keys(set).join(), read.join());
        set.close();
      }
      const model = await load(small);
      found.push(model.predict(new Float32Array(model.inputShape.reduce((a, b) => a * b, 1)).fill(0.5)).data.join());
      model.dispose();
      return [...found, (await gunzip(gzipSync(array))).join()].join('\n');
    };
    const expected = await all();
    for (const name of [
      'start',
      'end',
      'outputs',
      'stride',
      'width',
      'data',
      'shape',
      'task',
      'names',
      'member',
      'type',
    ]) {
      Object.prototype[name as never] = 1 as never;
      const found = await all().catch(String);
      delete Object.prototype[name as never];
      expect(found, name).toBe(expected);
    }
  });

  it('gives no network a task, no task a field, and no workspace threads or programs', async () => {
    const network = sequential({ input: [1, 2, 2], seed: 1 }, [flatten(), dense(4)]);
    const landmarks = { ...network, task: { kind: 'landmarks' as const, points: 2 } };
    const set = examplesFromArrays({
      inputs: Float32Array.of(1, 2, 3, 4),
      inputShape: [1, 2, 2],
      targets: new Float32Array(4),
      targetShape: [4],
    });
    const kernels = portableKernels();
    const context = { kernels, threads: 1, seed: 1 };
    const all = async (): Promise<string> => {
      const workspace = kernels.openSync({ words: 4, scratchWords: 0 });
      workspace.dispose();
      const { rmse } = await evaluate(network, set, { kernels });
      const outcomes = [network, landmarks].map((one) => compareOutcomes(one, one, set, context));
      return JSON.stringify([defaultLoss(network).options, rmse, ...(await Promise.all(outcomes))]);
    };
    const expected = await all();
    const put: Record<string, unknown> = {
      task: { kind: 'classes', classes: 4 },
      normalizeBy: [0, 1],
      threads: 'many',
      programs: 'none',
      precision: 'float8',
    };
    for (const [name, value] of Object.entries(put)) {
      Object.prototype[name as never] = value as never;
      const found = await all().catch(String);
      delete Object.prototype[name as never];
      expect(found, name).toBe(expected);
    }
  });

  it('and Array.prototype with something to enumerate change nothing', () => {
    Object.defineProperty(Array.prototype, 'last', { value: () => 0, enumerable: true, configurable: true });
    try {
      expect(outcome()).toBe(expected);
    } finally {
      delete Array.prototype['last' as never];
    }
  });
});

describe('frozen intrinsics', () => {
  it('read, refuse, run and write as ever', async () => {
    const program = join(folder, 'frozen.mjs');
    await build({
      stdin: {
        contents: `
          import { dense, EspalierError, gunzip, kmeans, loadKernels, readNetwork, relu, sequential, writeNetwork } from './src/index.ts';
          import { load } from './src/runtime/index.ts';
          for (const name of Object.getOwnPropertyNames(globalThis)) {
            const value = globalThis[name];
            if (typeof value === 'function' && value.prototype && !['Buffer', 'EventTarget', 'Event'].includes(name)) {
              Object.freeze(value.prototype);
            }
          }
          const network = sequential({ input: [3], seed: 1 }, [dense(4), relu(), dense(2)]);
          const bytes = writeNetwork(network);
          const kernels = await loadKernels();
          const model = await load(bytes, { kernels });
          const output = model.predict(Float32Array.of(1, 2, 3)).data.join();
          const { codes } = kmeans({ data: Float32Array.of(0, 1, 8, 9), shape: [4, 1] }, { codewordCount: 2, kernels });
          let refused;
          try { readNetwork(bytes.subarray(0, 100)); } catch (error) { refused = error; }
          console.log(JSON.stringify([output, [...codes], refused instanceof EspalierError, refused.name, refused.code]));
        `,
        resolveDir: join(import.meta.dirname, '../..'),
        loader: 'ts',
      },
      bundle: true,
      format: 'esm',
      platform: 'node',
      outfile: program,
      logLevel: 'silent',
    });
    const { stdout, stderr } = spawnSync(process.execPath, [program], { encoding: 'utf8' });
    expect(stderr).toBe('');
    const [output, codes, ...rest] = JSON.parse(stdout) as [string, number[], boolean, string, string];
    expect(output.split(',').every((value) => Number.isFinite(Number(value)))).toBe(true);
    expect([codes[0] === codes[1], codes[2] === codes[3], codes[0] !== codes[2]]).toEqual([true, true, true]);
    expect(rest).toEqual([true, 'EspalierError', 'TRUNCATED']);
  });
});
