/** ONNX models wherever the command line takes or writes a model. */
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  add,
  conv,
  createExecutor,
  dense,
  flatten,
  globalAveragePool,
  graph,
  isOnnx,
  parameterCount,
  readNetwork,
  readNpy,
  readOnnx,
  relu,
  writeNetwork,
  writeNpy,
  writeOnnx,
} from '../../src/index.ts';
import type { Network } from '../../src/index.ts';
import { bytesOf, floats, input, model, node, output, outside } from '../onnx/making.ts';
import { call, dataFolder, parsed, temporaryFolder } from './fixtures.ts';

/** A residual block and two outputs. */
const network = graph({ name: 'block', seed: 5 }, (g) => {
  const x = g.node(relu(), g.node(conv(6, 3, { name: 'stem', padding: 1 }), g.input([1, 8, 8], 'image')));
  const y = g.node(conv(6, 3, { name: 'inner', padding: 1 }), x);
  const joined = g.node(relu(), g.node(add(), x, y));
  const pooled = g.node(globalAveragePool(), joined);
  return [
    g.node(dense(4, { name: 'classes' }), g.node(flatten(), pooled)),
    g.node(dense(2, { name: 'place' }), g.node(flatten(), pooled)),
  ];
});

function files(): { folder: string; onnx: string; own: string } {
  const folder = temporaryFolder();
  const [onnx, own] = [join(folder, 'model.onnx'), join(folder, 'model.safetensors')];
  writeFileSync(onnx, writeOnnx(network));
  writeFileSync(own, writeNetwork(network));
  return { folder, onnx, own };
}

const inputs = Float32Array.from({ length: 3 * 64 }, (_, i) => Math.sin(i));

async function outputOf(net: Network, name = net.outputs[0]): Promise<number[]> {
  const executor = await createExecutor(net, { batch: 3 });
  executor.input().set(inputs);
  executor.forward();
  const values = [...executor.output(name)];
  executor.dispose();
  return values;
}

const isNear = (found: readonly number[], wanted: readonly number[]): void => {
  expect(found.length).toBe(wanted.length);
  found.forEach((value, i) => expect(Math.abs(value - wanted[i])).toBeLessThan(1e-4 + 1e-3 * Math.abs(wanted[i])));
};

describe('import and export', () => {
  it('there and back: the same outputs, by the names that they had', async () => {
    const { folder, onnx } = files();
    const [own, back] = [join(folder, 'x.safetensors'), join(folder, 'x.onnx')];
    const report = parsed(await call(['import', onnx, '-o', own, '--json']));
    expect(report).toMatchObject({
      output: own,
      originalBytes: readFileSync(onnx).length,
      bytes: readFileSync(own).length,
    });
    parsed(await call(['export', own, '-o', back, '--json']));
    const returned = readOnnx(readFileSync(back)).network;
    expect(returned.outputs).toEqual(network.outputs);
    for (const name of network.outputs) isNear(await outputOf(returned, name), await outputOf(network, name));
    isNear(await outputOf(readNetwork(readFileSync(own))), await outputOf(network));
  });

  it('a model is told by what it holds, whatever it is called', async () => {
    const { folder, onnx } = files();
    const odd = join(folder, 'model.bin');
    writeFileSync(odd, readFileSync(onnx));
    expect(parsed(await call(['inspect', odd, '--json']))).toMatchObject({ operators: { conv: 2 } });
    writeFileSync(odd, 'not a model at all');
    expect((await call(['inspect', odd])).code).toBe(1);
  });

  it('--dense decodes what is quantized: larger, and the same outputs', async () => {
    const { folder, own } = files();
    const [small, codes, plain] = ['small.safetensors', 'codes.onnx', 'plain.onnx'].map((name) => join(folder, name));
    parsed(await call(['compress', own, '-o', small, '--quantizer', 'scalar', '--bits', '4', '--json']));
    parsed(await call(['export', small, '-o', codes, '--json']));
    parsed(await call(['export', small, '-o', plain, '--dense', '--json']));
    expect(readFileSync(codes).length).not.toBe(readFileSync(plain).length);
    isNear(await outputOf(readOnnx(readFileSync(plain)).network), await outputOf(readNetwork(readFileSync(small))));
  });

  it('the ending has to be right, and no model is written over itself', async () => {
    const { folder, onnx, own } = files();
    for (const args of [
      ['import', onnx, '-o', join(folder, 'x.onnx')],
      ['export', own, '-o', join(folder, 'x.safetensors')],
      ['import', onnx, '-o', onnx],
      ['export', onnx, '-o', onnx],
    ]) {
      const { code, stderr } = await call(args);
      expect([code, stderr]).toEqual([
        2,
        expect.stringMatching(/--output: (expected a name that ends in|.*is MODEL too)/),
      ]);
    }
  });
});

describe('sides that a model leaves open', () => {
  const open = model([
    node('Conv', ['image', 'w'], ['y'], { name: 'first', attributes: { pads: [1, 1, 1, 1] } }),
    floats('w', [2, 1, 3, 3]),
    input('image', ['batch', 1, 'height', 'width']),
    output('y'),
  ]);
  it('are said by --shape, and asked for by name', async () => {
    const path = join(temporaryFolder(), 'open.onnx');
    writeFileSync(path, open);
    expect(parsed(await call(['inspect', path, '--shape', 'image=batch, 1,6,5', '--json']))).toMatchObject({
      inputs: [{ name: 'image', shape: [1, 6, 5] }],
    });
    const asked = await call(['inspect', path]);
    expect([asked.code, asked.stderr]).toEqual([1, expect.stringMatching(/--shape "image=batch, 1, 224, \?"/)]);
  });

  it.each([
    ['image=batch,1,6,x', /--shape: expected INPUT=SIDE,SIDE/],
    ['batch,1,6,5', /--shape: expected INPUT=SIDE,SIDE/],
    ['image=1,batch,6,5', /--shape: expected INPUT=SIDE,SIDE/],
    ['image=batch,1,6,5;image=batch,1,7,5', /stands twice/],
    ['picture=batch,1,6,5', /--shape: "picture" is no input of the model; expected "image"/],
  ])('%s is wrong use', async (shape, message) => {
    const path = join(temporaryFolder(), 'open.onnx');
    writeFileSync(path, open);
    const { code, stderr } = await call(['inspect', path, '--shape', shape]);
    expect([code, stderr]).toEqual([2, expect.stringMatching(message)]);
  });

  it('is for ONNX models', async () => {
    const { own } = files();
    for (const args of [
      ['inspect', own],
      ['evaluate', own, '--data', '.', '--part', 'test'],
    ])
      expect((await call([...args, '--shape', 'image=batch,1,8,8'])).stderr).toMatch(
        /--shape: .* is no model of ONNX or TensorFlow.js/,
      );
  });
});

describe('weights beside the model', () => {
  const weights = Float32Array.from({ length: 18 }, (_, i) => i / 10);
  const asking = (location: string): Uint8Array =>
    model([
      node('Conv', ['image', 'w'], ['y'], { name: 'first' }),
      outside('w', [2, 1, 3, 3], { location }),
      input('image', ['batch', 1, 4, 4]),
      output('y'),
    ]);

  it('are read from its own folder, also through a link that stays there', async () => {
    const folder = temporaryFolder();
    writeFileSync(join(folder, 'model.data'), bytesOf(weights));
    symlinkSync('model.data', join(folder, 'linked.data'));
    for (const location of ['model.data', 'linked.data']) {
      writeFileSync(join(folder, 'm.onnx'), asking(location));
      expect(parsed(await call(['inspect', join(folder, 'm.onnx'), '--json']))).toMatchObject({ parameters: 18 });
    }
  });

  it.each([
    ['nowhere.data', /lie in the file "nowhere.data" beside the model.*put it there/],
    ['../outside.data', /expected the name of a file beside the model/],
    ['/etc/hostname', /expected the name of a file beside the model/],
    ['sub/inner.data', /put it there/],
    ['leads-out.data', /put it there/],
    ['m.onnx', /put it there/],
    ['a-folder', /put it there/],
    ['constructor', /put it there/],
  ])('%s is refused', async (location, message) => {
    const parent = temporaryFolder();
    const folder = join(parent, 'models');
    mkdirSync(join(folder, 'sub'), { recursive: true });
    mkdirSync(join(folder, 'a-folder'));
    for (const place of [join(parent, 'outside.data'), join(folder, 'sub/inner.data')])
      writeFileSync(place, bytesOf(weights));
    symlinkSync('../outside.data', join(folder, 'leads-out.data'));
    writeFileSync(join(folder, 'm.onnx'), asking(location));
    const { code, stderr } = await call(['inspect', join(folder, 'm.onnx')]);
    expect([code, stderr]).toEqual([1, expect.stringMatching(message)]);
  });
});

describe('inspect', () => {
  it('names operators, what can be pruned and how a model came to be', async () => {
    const { onnx } = files();
    const report = parsed(await call(['inspect', onnx, '--json']));
    expect(report).toMatchObject({
      operators: { conv: 2, dense: 2, relu: 2, add: 1 },
      opset: 17,
      producer: 'espalier',
      batch: 'any',
    });
    const { stdout } = await call(['inspect', onnx]);
    expect(stdout).toMatch(/^model +ONNX, operator set 17, by espalier, batch any$/m);
    expect(stdout).toMatch(/^pruning +1 of 3 groups, 6 of 12 channels, can be pruned$/m);
  });

  it('--groups: who goes together, and why others stay', async () => {
    const { onnx, own } = files();
    for (const path of [onnx, own]) {
      const { groups } = parsed(await call(['inspect', path, '--groups', '--json'])) as {
        groups: Record<string, unknown>[];
      };
      expect(groups[0]).toMatchObject({ channels: 6, together: ['stem', 'inner'], prunable: true });
      expect(groups[0]['readBy']).toEqual([
        'inner',
        expect.stringMatching(/^classes/),
        expect.stringMatching(/^place/),
      ]);
      expect(groups.slice(1).map(({ reason }) => reason)).toEqual(
        network.outputs.map((name) => `its channels are those of the network output ${JSON.stringify(name)}`),
      );
    }
    expect((await call(['inspect', own, '--groups'])).stdout).toMatch(
      /stem +6 +stem inner +inner classes place +can be\n/,
    );
  });

  it('of a model that is refused: everything that stands in the way, in one error', async () => {
    const path = join(temporaryFolder(), 'm.onnx');
    writeFileSync(
      path,
      model([
        node('LSTM', ['image', 'w'], ['a'], { name: 'memory' }),
        node('Wavelet', ['image'], ['b'], { name: 'waves' }),
        floats('w', [2, 1, 3, 3]),
        input('image', ['batch', 1, 4, 4]),
        output('a'),
        output('b'),
      ]),
    );
    const { code, stderr } = await call(['inspect', path]);
    expect(code).toBe(1);
    for (const name of ['m.onnx', 'memory', 'LSTM', 'waves', 'Wavelet']) expect(stderr).toContain(name);
  });
});

describe('other commands', () => {
  it('run, compress and evaluate take an ONNX model; compress writes one', async () => {
    const folder = temporaryFolder();
    const path = join(folder, 'm.onnx');
    const single = graph({ seed: 2 }, (g) =>
      g.node(
        dense(2, { name: 'out' }),
        g.node(flatten(), g.node(relu(), g.node(conv(8, 3, { name: 'c' }), g.input([1, 8, 8])))),
      ),
    );
    writeFileSync(path, writeOnnx(single));
    const [x, y] = [join(folder, 'x.npy'), join(folder, 'y.npy')];
    writeFileSync(x, writeNpy({ data: inputs, shape: [3, 1, 8, 8] }));
    parsed(await call(['run', path, '-i', x, '-o', y, '--json']));
    isNear([...(readNpy(readFileSync(y)).data as Float32Array)], await outputOf(single));

    const data = dataFolder(folder, ['targets'], 'inputs');
    expect(parsed(await call(['evaluate', path, '--data', data, '--part', 'test', '--json']))).toHaveProperty('rmse');
    const small = join(folder, 'small.onnx');
    const options = [
      '--data',
      data,
      '--epochs-pruned',
      '1',
      '--epochs-quantized',
      '0',
      '--epochs-final',
      '1',
      '--tolerance',
      'none',
    ];
    const report = parsed(await call(['compress', path, '-o', small, ...options, '--json']));
    const bytes = readFileSync(small);
    expect(report).toMatchObject({ output: small, bytes: bytes.length, originalBytes: 4 * parameterCount(single) });
    expect(Object.values(report['split'] as Record<string, number>).reduce((a, b) => a + b)).toBe(bytes.length);
    expect(isOnnx(bytes)).toBe(true);
    expect(parsed(await call(['evaluate', small, '--data', data, '--part', 'test', '--json']))).toHaveProperty('rmse');
  });

  it('a model file that is damaged says where', async () => {
    const { folder, onnx } = files();
    const cut = join(folder, 'cut.onnx');
    writeFileSync(cut, readFileSync(onnx).subarray(0, 900));
    const { code, stderr } = await call(['inspect', cut]);
    expect([code, stderr]).toEqual([1, expect.stringMatching(/cut\.onnx: .*byte/)]);
  });
});

describe('compare', () => {
  it('a model with itself is 0 apart; with another one not, and says which samples are worst', async () => {
    const { folder, onnx, own } = files();
    const same = parsed(await call(['compare', onnx, own, '--random', '7', '--json'])) as {
      outputs: { relativeError: number }[];
    };
    expect(same).toMatchObject({ samples: 7, inputs: 'random', outputs: network.outputs.map((name) => ({ name })) });
    for (const { relativeError } of same.outputs) expect(relativeError).toBeLessThan(1e-5);
    const small = join(folder, 'small.onnx');
    parsed(await call(['compress', own, '-o', small, '--quantizer', 'scalar', '--bits', '3', '--json']));
    const apart = parsed(await call(['compare', onnx, small, '--random', '7', '--worst', '2', '--json'])) as {
      outputs: { relativeError: number; cosine: number; worst: { error: number }[] }[];
      models: { path: string; bytes: number; milliseconds: number }[];
    };
    for (const { relativeError, cosine, worst } of apart.outputs) {
      expect(relativeError).toBeGreaterThan(1e-3);
      expect(cosine).toBeGreaterThan(0.5);
      expect(worst).toHaveLength(2);
      expect(worst[0].error).toBeGreaterThanOrEqual(worst[1].error);
    }
    expect(apart.models.map(({ path, bytes }) => [path, bytes])).toEqual(
      [onnx, small].map((path) => [path, readFileSync(path).length]),
    );
    expect((await call(['compare', onnx, small, '--random', '7'])).stdout).toMatch(
      /7 random inputs, which are no pictures/,
    );
  });

  it.each([
    [[], /--data DIR is missing: .*--random N/],
    [['--random', '3', '--data', '.'], /--random: there are samples in --data/],
  ])('asks for samples once: %j', async (more, message) => {
    const { onnx, own } = files();
    const { code, stderr } = await call(['compare', onnx, own, ...more]);
    expect([code, stderr]).toEqual([2, expect.stringMatching(message)]);
  });

  it('refuses two that do not give the same', async () => {
    const { folder, onnx } = files();
    const other = join(folder, 'other.onnx');
    writeFileSync(other, writeOnnx(graph({}, (g) => g.node(relu(), g.input([1, 8, 8])))));
    expect((await call(['compare', onnx, other, '--random', '2'])).stderr).toMatch(
      /b: expected outputs \[4\], \[2\] as a has, got \[1, 8, 8\]/,
    );
  });
});
