import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  classMetrics,
  createExecutor,
  decode,
  evaluate,
  landmarkMetrics,
  loadKernels,
  openFolder,
  OUTER_EYES_68,
  parameterCount,
  plainWeights,
  readNetwork,
  readNpy,
  regressionMetrics,
  vgg,
  writeNetwork,
  writeNpy,
} from '../../src/index.ts';
import type { KernelSet, Network } from '../../src/index.ts';
import { bundled, call, dataFolder, parsed, temporaryFolder, TINY } from './fixtures.ts';
import type { Kind } from './fixtures.ts';

let kernels: KernelSet;
beforeAll(async () => {
  kernels = await loadKernels();
});

const open = (path: string): Network => readNetwork(readFileSync(path));

/** Largest difference between the parameters of two networks. */
function distance(a: Network, b: Network): number {
  return Math.max(
    ...[...b.parameters].map(([name, encoding]) => {
      const values = decode(a.parameters.get(name)!);
      return decode(encoding).reduce((most, value, i) => Math.max(most, Math.abs(value - values[i])), 0);
    }),
  );
}

interface Trained {
  readonly data: string;
  readonly model: string;
  readonly report: Record<string, unknown>;
}

/** Data and a model trained on them: made once, to be read only. */
const shared = mkdtempSync(join(tmpdir(), 'espalier-cli-'));
afterAll(() => {
  rmSync(shared, { recursive: true, force: true });
});
const made = new Map<string, Promise<Trained>>();
function trained(kind: Kind = 'landmarks', inputs: 'images' | 'inputs' = 'images'): Promise<Trained> {
  const name = `${kind}-${inputs}`;
  const found = made.get(name) ?? make(join(shared, name), kind, inputs);
  made.set(name, found);
  return found;
}

async function make(folder: string, kind: Kind, inputs: 'images' | 'inputs'): Promise<Trained> {
  mkdirSync(folder);
  const data = dataFolder(folder, [kind], inputs);
  const model = join(folder, 'model.safetensors');
  return {
    data,
    model,
    report: parsed(
      await call(['train', '--data', data, '-o', model, '--epochs', '4', '--learning-rate', '0.02', '--json', ...TINY]),
    ),
  };
}

describe('train', () => {
  it.each([
    ['landmarks', 'images'],
    ['labels', 'images'],
    ['targets', 'inputs'],
  ] as const)(
    '%s of %s: better than at the start, written with its task, and nothing left behind',
    async (kind, inputs) => {
      const { model, report } = await trained(kind, inputs);
      const network = open(model);
      expect(network.task?.kind).toBe({ landmarks: 'landmarks', labels: 'classes', targets: 'regression' }[kind]);
      expect(network.preprocessing === undefined).toBe(inputs === 'inputs');
      expect(report).toMatchObject({
        output: model,
        bytes: readFileSync(model).length,
        parameters: parameterCount(network),
        status: 'finished',
      });
      const { before, kept, history } = report as { before: number; kept: { validation: number }; history: unknown[] };
      expect(kept.validation).toBeLessThan(before);
      expect(history.length).toBe(4);
      expect(readdirSync(dirname(model)).sort()).toEqual(['data', 'model.safetensors']);
    },
  );

  it('--report writes a page with the epochs and the command that made them', async () => {
    const { data } = await trained();
    const folder = temporaryFolder();
    const [model, page] = [join(folder, 'm.safetensors'), join(folder, 'curves.html')];
    const { history } = parsed(
      await call([
        'train',
        '--data',
        data,
        '-o',
        model,
        '--report',
        page,
        '--epochs',
        '2',
        '--seed',
        '9',
        '--json',
        ...TINY,
      ]),
    ) as { history: { loss: number }[] };
    const html = readFileSync(page, 'utf8');
    for (const { loss } of history) expect(html).toContain(`>${loss.toPrecision(4)}</td>`);
    expect(html).toContain('--epochs 2');
    expect(html).toContain('<dt>seed</dt><dd>9</dd>');
  });

  it('the same command gives the same bytes, on one thread or two; another seed gives others', async () => {
    const { data, model } = await trained();
    const folder = temporaryFolder();
    const again = async (...more: string[]): Promise<Buffer> => {
      const path = join(folder, 'again.safetensors');
      parsed(
        await call([
          'train',
          '--data',
          data,
          '-o',
          path,
          '--epochs',
          '4',
          '--learning-rate',
          '0.02',
          '--json',
          ...TINY.filter((arg, i) => arg !== '--threads' && TINY[i - 1] !== '--threads'),
          ...more,
        ]),
      );
      return readFileSync(path);
    };
    expect(await again('--threads', '2')).toEqual(readFileSync(model));
    expect(await again('--threads', '1', '--seed', '2')).not.toEqual(readFileSync(model));
  });

  it('goes on from plain weights and from a model, which brings its network', async () => {
    const { data, model } = await trained();
    const folder = temporaryFolder();
    const plain = join(folder, 'plain.safetensors');
    const start = vgg({ side: 8, widths: [4], hidden: [8], seed: 5 });
    writeFileSync(plain, plainWeights(start));
    const more = [
      '--data',
      data,
      '--epochs',
      '1',
      '--learning-rate',
      '1e-30',
      '--weight-decay',
      '0',
      '--threads',
      '1',
      '--validation',
      'none',
      '--json',
    ];
    parsed(
      await call([
        'train',
        '-o',
        join(folder, 'a.safetensors'),
        '--init',
        plain,
        '--unit',
        'none',
        ...more,
        '--side',
        '8',
        '--widths',
        '4',
        '--hidden',
        '8',
      ]),
    );
    const kept = open(join(folder, 'a.safetensors'));
    expect(distance(kept, start)).toBeLessThan(1e-25);
    expect(kept.preprocessing?.width).toBe(8);
    parsed(await call(['train', '-o', join(folder, 'b.safetensors'), '--init', model, ...more]));
    expect(distance(open(join(folder, 'b.safetensors')), open(model))).toBeLessThan(1e-25);
  });

  it('adam, no augmentation, an own preprocessing, no hidden layer, no validation', async () => {
    const folder = temporaryFolder();
    const data = dataFolder(folder, ['landmarks']);
    const preprocess = join(folder, 'p.json');
    const preprocessing = {
      width: 4,
      height: 4,
      channels: 3,
      filter: 'bilinear',
      scale: 0.01,
      standardize: { kind: 'none' },
    };
    writeFileSync(preprocess, JSON.stringify(preprocessing));
    const model = join(folder, 'm.safetensors');
    const outcome = await call([
      'train',
      '--data',
      data,
      '-o',
      model,
      '--epochs',
      '1',
      '--batch',
      '8',
      '--threads',
      '1',
      '--widths',
      '2',
      '--hidden',
      'none',
      '--optimizer',
      'adam',
      '--augment',
      'none',
      '--validation',
      'none',
      '--preprocess',
      preprocess,
      '--checkpoint',
      'none',
      '--unit',
      '0.2',
    ]);
    expect(outcome.code).toBe(0);
    expect(outcome.stdout).toContain('loss, last epoch');
    const network = open(model);
    expect(network.preprocessing).toEqual(preprocessing);
    expect(network.inputs[0].shape).toEqual([3, 4, 4]);
    expect([...decode(network.parameters.get('output.scale')!)].every((scale) => scale === Math.fround(0.2))).toBe(
      true,
    );
  });

  it('several kinds of targets: --task says which', async () => {
    const folder = temporaryFolder();
    const data = dataFolder(folder, ['landmarks', 'labels', 'targets']);
    const model = join(folder, 'm.safetensors');
    const args = ['train', '--data', data, '-o', model, '--epochs', '1', ...TINY];
    const { code, stderr } = await call(args);
    expect([code, stderr]).toEqual([1, expect.stringContaining('--task')]);
    for (const [task, outputs] of [
      ['classes', 4],
      ['regression', 2],
      ['landmarks', 136],
    ] as const) {
      parsed(await call([...args, '--task', task, '--json']));
      expect(open(model).task?.kind).toBe(task);
      expect(decode(open(model).parameters.get('dense2.bias')!).length).toBe(outputs);
    }
  });
});

describe('compress', () => {
  it('writes a smaller model, a report, and numbers that agree with both', async () => {
    const { data, model } = await trained();
    const folder = temporaryFolder();
    const [out, html, layers, options] = ['small.safetensors', 'report.html', 'layers.json', 'options.json'].map(
      (name) => join(folder, name),
    );
    writeFileSync(layers, JSON.stringify({ conv1_1: { quantize: false, keep: 1 } }));
    writeFileSync(
      options,
      JSON.stringify({
        layers: { dense1: { keep: 0.5 } },
        retrainPruned: { epochs: 0 },
        training: { batchSize: 4, loss: { kind: 'l2' }, schedule: { kind: 'constant' } },
        tolerance: 1000,
      }),
    );
    const report = parsed(
      await call([
        'compress',
        model,
        '--data',
        data,
        '-o',
        out,
        '--keep',
        '0.75',
        '--codewords',
        '4',
        '--layers',
        layers,
        '--options',
        options,
        '--layers-per-step',
        'all',
        '--epochs-final',
        '2',
        '--codeword-precision',
        'float16',
        '--report',
        html,
        '--threads',
        '1',
        '--json',
      ]),
    );
    const bytes = readFileSync(out);
    const original = 4 * parameterCount(open(model));
    expect(report).toMatchObject({
      output: out,
      bytes: bytes.length,
      originalBytes: original,
      ratio: original / bytes.length,
    });
    const network = readNetwork(bytes);
    const shapes = Object.fromEntries(
      ['conv1_1', 'conv1_2', 'dense1', 'dense2'].map((name) => [name, network.parameters.get(`${name}.weight`)]),
    );
    expect(shapes['conv1_1']).toMatchObject({ kind: 'dense', shape: [4, 1, 3, 3] });
    expect(shapes['conv1_2']).toMatchObject({ kind: 'product', shape: [3, 4, 3, 3], codewordPrecision: 'float16' });
    expect(shapes['dense1']).toMatchObject({ kind: 'product', shape: [4, 48] });
    const stages = report['stages'] as { name: string; report: { history?: unknown[] } }[];
    expect(stages.map(({ name, report: { history } }) => [name, history?.length])).toEqual([
      ['prune', undefined],
      ['quantize', undefined],
      ['retrain', 1],
      ['final', 2],
      ['round', undefined],
    ]);
    expect(readFileSync(html, 'utf8')).toMatch(/^<!doctype html>/i);
    expect(readdirSync(folder).sort()).toEqual(['layers.json', 'options.json', 'report.html', 'small.safetensors']);
  });

  it('classes too, as a table, in the order asked for, with the original as teacher', async () => {
    const { data, model } = await trained('labels');
    const folder = temporaryFolder();
    const { code, stdout } = await call([
      'compress',
      model,
      '--data',
      data,
      '-o',
      join(folder, 'small.safetensors'),
      '--codewords',
      '4',
      '--order',
      'dense2,dense1',
      '--epochs-pruned',
      '0',
      '--epochs-quantized',
      '0',
      '--epochs-final',
      '1',
      '--teacher-weight',
      '0.5',
      '--threads',
      '1',
    ]);
    expect(code).toBe(0);
    expect(stdout).toContain('validation accuracy');
    expect(stdout).toMatch(/dense1 +8x64 +6x48/);
  });

  it('plain weights by --network: the unit of the output goes into a node of its own', async () => {
    const { data } = await trained();
    const folder = temporaryFolder();
    const [plain, out] = [join(folder, 'plain.safetensors'), join(folder, 'small.safetensors')];
    writeFileSync(plain, plainWeights(vgg({ side: 8, widths: [4], hidden: [8], seed: 5 })));
    const report = parsed(
      await call([
        'compress',
        plain,
        '--network',
        'vgg',
        '--side',
        '8',
        '--widths',
        '4',
        '--hidden',
        '8',
        '--data',
        data,
        '-o',
        out,
        '--epochs-pruned',
        '0',
        '--epochs-quantized',
        '0',
        '--epochs-final',
        '0',
        '--json',
        '--threads',
        '1',
      ]),
    );
    expect(report['originalBytes']).toBe(4 * parameterCount(vgg({ side: 8, widths: [4], hidden: [8] })));
    const network = open(out);
    expect(network.task?.kind).toBe('landmarks');
    // A half, as all that stays dense.
    for (const scale of decode(network.parameters.get('dense2_unit.scale')!))
      expect(Math.abs(scale - 0.1)).toBeLessThan(2 ** -11 * 0.1);
  });
});

describe('evaluate', () => {
  it('landmarks: rmse and nme as the library measures them, after saving and loading', async () => {
    const { data, model } = await trained();
    const network = open(model);
    const set = await openFolder(data, 'test', { preprocessing: network.preprocessing });
    const { predictions, targets } = await evaluate(network, set, { kernels });
    const { samples, rmse, nme, nmeMedian, failureRate } = landmarkMetrics(predictions, targets, {
      points: 68,
      normalizeBy: OUTER_EYES_68,
    });
    const outcome = await call([
      'evaluate',
      model,
      '--data',
      data,
      '--part',
      'test',
      '--json',
      '--batch',
      '3',
      '--threads',
      '2',
    ]);
    expect(parsed(outcome)).toEqual({ samples, rmse, nme, nmeMedian, failureRate });
    const { stdout } = await call(['evaluate', model, '--data', data, '--part', 'test', '--quiet']);
    expect(stdout).toMatch(/samples +10\nrmse +0\.\d+\nnme +[\d.]+ %/);
  });

  it('classes: accuracy; numbers: rmse', async () => {
    for (const [kind, inputs, measure] of [
      ['labels', 'images', (p: Float32Array, t: Float32Array) => classMetrics(p, t, 4)],
      ['targets', 'inputs', (p: Float32Array, t: Float32Array) => regressionMetrics(p, t, 2)],
    ] as const) {
      const { data, model } = await trained(kind, inputs);
      const network = open(model);
      const { predictions, targets } = await evaluate(
        network,
        await openFolder(data, 'test', { preprocessing: network.preprocessing, task: network.task }),
        { kernels },
      );
      expect(parsed(await call(['evaluate', model, '--data', data, '--part', 'test', '--json']))).toEqual(
        measure(predictions, targets),
      );
    }
  });

  it('plain weights of a network that the flags describe give the numbers of the model that they came from', async () => {
    const { data } = await trained();
    const folder = temporaryFolder();
    const network = vgg({
      side: 8,
      widths: [4],
      hidden: [8],
      seed: 5,
      preprocessing: {
        width: 8,
        height: 8,
        channels: 1,
        filter: 'area',
        scale: 1 / 255,
        standardize: { kind: 'image', epsilon: 1e-3 },
      },
    });
    const [plain, whole] = [join(folder, 'plain.safetensors'), join(folder, 'whole.safetensors')];
    writeFileSync(plain, plainWeights(network));
    writeFileSync(whole, writeNetwork(network));
    const on = ['--data', data, '--part', 'test', '--json'];
    const expected = parsed(await call(['evaluate', whole, ...on]));
    expect(
      parsed(
        await call(['evaluate', plain, '--network', 'vgg', '--side', '8', '--widths', '4', '--hidden', '8', ...on]),
      ),
    ).toEqual(expected);
  });

  it('a model that does not say how images become inputs asks for --preprocess, and takes it', async () => {
    const { data, model } = await trained();
    const folder = temporaryFolder();
    const { preprocessing, ...bare } = open(model);
    const [path, file] = [join(folder, 'bare.safetensors'), join(folder, 'p.json')];
    writeFileSync(path, writeNetwork(bare));
    writeFileSync(file, JSON.stringify(preprocessing));
    const on = ['--data', data, '--part', 'test', '--json'];
    const asked = await call(['evaluate', path, ...on]);
    expect([asked.code, asked.stderr]).toEqual([
      1,
      expect.stringMatching(/^espalier evaluate: --preprocess FILE\.json is missing: .*"standardize".*\n$/),
    ]);
    expect(parsed(await call(['evaluate', path, ...on, '--preprocess', file]))).toEqual(
      parsed(await call(['evaluate', model, ...on])),
    );
  });
});

describe('inspect', () => {
  it('parts add up: parameters, bytes of the layers, bytes of the file', async () => {
    const { model, data } = await trained();
    const folder = temporaryFolder();
    const small = join(folder, 'small.safetensors');
    parsed(
      await call([
        'compress',
        model,
        '--data',
        data,
        '-o',
        small,
        '--codewords',
        '8',
        '--epochs-final',
        '0',
        '--epochs-pruned',
        '0',
        '--epochs-quantized',
        '0',
        '--json',
      ]),
    );
    for (const path of [model, small]) {
      const found = parsed(await call(['inspect', path, '--json']));
      const layers = found['layers'] as {
        name: string;
        kind: string;
        shape: number[];
        outputShape: number[];
        parameters: number;
        multiplyAdds: number;
        bytes: number;
        encoding: string;
      }[];
      const split = found['split'] as Record<string, number>;
      expect(found).toMatchObject({
        parameters: parameterCount(open(path)),
        bytes: readFileSync(path).length,
        task: { kind: 'landmarks', points: 68 },
        preprocessing: { width: 8 },
      });
      expect(layers.reduce((sum, { parameters }) => sum + parameters, 0)).toBe(found['parameters']);
      expect(Object.values(split).reduce((sum, bytes) => sum + bytes, 0)).toBe(found['bytes']);
      const stored = split['codes'] + split['signs'] + split['codebooks'] + split['values'];
      expect(Math.abs(layers.reduce((sum, { bytes }) => sum + bytes, 0) - stored)).toBeLessThan(layers.length);
      expect(layers.map(({ name }) => name)).toEqual(open(path).nodes.map(({ name }) => name));
      expect(layers.find(({ name }) => name === 'dense2')).toMatchObject({
        kind: 'dense',
        outputShape: [136],
        encoding: path === small ? expect.stringContaining('codewords of 4, signs apart') : 'dense',
      });
      const { stdout } = await call(['inspect', path]);
      for (const { name } of layers) expect(stdout).toContain(`\n${name} `);
    }
  });

  it('a safetensors file without a network: its tensors', async () => {
    const path = join(temporaryFolder(), 'plain.safetensors');
    const network = vgg({ side: 8, widths: [2], hidden: [3], outputs: 5 });
    writeFileSync(path, plainWeights(network));
    const found = parsed(await call(['inspect', path, '--json']));
    expect(found).toMatchObject({ parameters: parameterCount(network), bytes: readFileSync(path).length, layers: [] });
    expect((found['tensors'] as { name: string }[]).map(({ name }) => name).sort()).toEqual(
      [...network.parameters.keys()].sort(),
    );
    expect((await call(['inspect', path])).stdout).toContain('dense2.bias');
  });

  it('a file that another tool saved anew opens with --no-checksum', async () => {
    const { model } = await trained();
    const folder = temporaryFolder();
    const [bytes, path] = [readFileSync(model), join(folder, 'changed.safetensors')];
    bytes[bytes.length - 1] ^= 1;
    writeFileSync(path, bytes);
    expect(await call(['inspect', path])).toMatchObject({ code: 1, stdout: '', stderr: expect.stringContaining(path) });
    expect((await call(['inspect', path, '--no-checksum'])).code).toBe(0);
  });
});

describe('run', () => {
  it('any number of samples, none too: what the executor predicts, for any batch', async () => {
    const { model } = await trained();
    const folder = temporaryFolder();
    const network = open(model);
    const executor = await createExecutor(network, { kernels, batch: 1 });
    const [x, y] = [join(folder, 'x.npy'), join(folder, 'y.npy')];
    for (const [n, batch] of [
      [0, 2],
      [1, 32],
      [7, 3],
    ]) {
      const inputs = Float32Array.from({ length: n * 64 }, (_, i) => Math.sin(i * i));
      writeFileSync(x, writeNpy({ data: inputs, shape: [n, 1, 8, 8] }));
      expect(
        parsed(await call(['run', model, '--input', x, '--output', y, '--batch', String(batch), '--json'])),
      ).toEqual({ output: y, samples: n, shape: [n, 136] });
      const { data, shape } = readNpy(readFileSync(y));
      expect(shape).toEqual([n, 136]);
      expect(data).toEqual(executor.predict(inputs, n));
    }
    executor.dispose();
  });

  it.each([
    [
      'other shape',
      { data: new Float32Array(64), shape: [1, 64] },
      /expected shape \[n, 1, 8, 8\] as the network takes, got \[1, 64\]/,
    ],
    ['bytes', { data: new Uint8Array(64), shape: [1, 1, 8, 8] }, /expected floats/],
    ['a NaN', { data: new Float32Array(128).fill(NaN, 70, 71), shape: [2, 1, 8, 8] }, /got NaN at row 1, column 6/],
  ])('refuses %s, and leaves the output of before', async (_, value, message) => {
    const { model } = await trained();
    const folder = temporaryFolder();
    const [x, y] = [join(folder, 'x.npy'), join(folder, 'y.npy')];
    writeFileSync(x, writeNpy(value));
    writeFileSync(y, 'before');
    const outcome = await call(['run', model, '--input', x, '--output', y]);
    expect(outcome).toMatchObject({ code: 1, stdout: '', stderr: expect.stringMatching(message) });
    expect(readFileSync(y, 'utf8')).toBe('before');
  });
});

it('an output behind a symbolic link replaces the file that it names', async () => {
  const { model } = await trained();
  const folder = temporaryFolder();
  const [x, y, link] = ['x.npy', 'y.npy', 'link.npy'].map((name) => join(folder, name));
  writeFileSync(x, writeNpy({ data: new Float32Array(64), shape: [1, 1, 8, 8] }));
  writeFileSync(y, 'before');
  symlinkSync(y, link);
  expect((await call(['run', model, '-i', x, '-o', link])).code).toBe(0);
  expect(readNpy(readFileSync(y)).shape).toEqual([1, 136]);
});

const commandLine = bundled('src/cli/cli.ts');
it('importing the command line does nothing', () => {
  const code = `
    const before = Object.getOwnPropertyNames(globalThis).length;
    await import(${JSON.stringify(commandLine())});
    console.log(Object.getOwnPropertyNames(globalThis).length - before, process.listenerCount('SIGINT'));`;
  const text = execFileSync(process.execPath, ['--input-type=module', '-e', code], { encoding: 'utf8' });
  expect(text).toBe('0 0\n');
});

describe('compress without --data', () => {
  it('quantizes, and says on the terminal and on the page that the error is unknown', async () => {
    const { model } = await trained();
    const folder = temporaryFolder();
    const [small, page] = [join(folder, 'small.safetensors'), join(folder, 'report.html')];
    const { code, stdout, stderr } = await call(['compress', model, '-o', small, '--codewords', '8', '--report', page]);
    expect([code, stderr]).toEqual([0, expect.not.stringContaining('error')]);
    expect(stdout).toContain('The error is unknown: there was no --data to measure it on.');
    expect(stdout).not.toContain('NaN');
    expect(readFileSync(page, 'utf8')).toContain('compressed without data');
    expect(open(small).task).toEqual(open(model).task);
    expect(readFileSync(small).length).toBeLessThan(readFileSync(model).length);
    expect(readdirSync(folder).sort()).toEqual(['report.html', 'small.safetensors']);
  });

  it.each([
    ['--epochs-final', '2'],
    ['--epochs-pruned', '2'],
    ['--learning-rate', '0.1'],
    ['--preset', 'size'],
    ['--tolerance', '0.1'],
    ['--validation', 'test'],
    ['--checkpoint', 'here'],
    ['--unit', '0.1'],
    ['--keep', '0.5'],
    ['--criterion', 'magnitude'],
  ])('refuses %s %s, with the cure', async (flag, value) => {
    const { model } = await trained();
    const { code, stderr } = await call([
      'compress',
      model,
      '-o',
      join(temporaryFolder(), 'o.safetensors'),
      flag,
      value,
    ]);
    expect(code).not.toBe(0);
    expect(stderr).toMatch(/give --data DIR, or leave/);
    expect(stderr).not.toContain('context.');
  });
});
