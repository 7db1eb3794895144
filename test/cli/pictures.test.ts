/** Folders of pictures as `--data`, from the files to the numbers. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { encode } from 'fast-png';
import { describe, expect, it } from 'vitest';
import {
  conv,
  dense,
  flatten,
  globalAveragePool,
  graph,
  readNetwork,
  readOnnx,
  relu,
  stream,
  writeNetwork,
  writeOnnx,
} from '../../src/index.ts';
import { call, jpegBytes, parsed, pngBytes, temporaryFolder } from './fixtures.ts';

/** Two outputs: all count without labels. */
const network = graph({ name: 'colours', seed: 4 }, (g) => {
  const x = g.node(globalAveragePool(), g.node(relu(), g.node(conv(8, 3, { name: 'c' }), g.input([3, 8, 8], 'image'))));
  return [g.node(dense(2, { name: 'a' }), g.node(flatten(), x)), g.node(dense(3, { name: 'b' }), g.node(flatten(), x))];
});

/** Noise around a colour; some as JPEG. */
function picture(name: string, colour: readonly [number, number, number]): Uint8Array {
  const random = stream(1, name);
  if (name.endsWith('.jpg'))
    return jpegBytes(12, 9, () => colour.map((c) => c + 40 * random()) as [number, number, number]);
  return encode({
    width: 10,
    height: 12,
    channels: 3,
    depth: 8,
    data: Uint8Array.from({ length: 360 }, (_, i) => colour[i % 3] + 40 * random()),
  });
}

const names = (prefix: string, count: number): string[] =>
  Array.from({ length: count }, (_, i) => `${prefix}${String(i).padStart(2, '0')}.${i % 4 === 0 ? 'jpg' : 'png'}`);

interface Made {
  readonly folder: string;
  readonly data: string;
  readonly onnx: string;
  readonly out: string;
}

function made(files: Readonly<Record<string, Uint8Array | string>>): Made {
  const folder = temporaryFolder();
  const data = join(folder, 'pictures');
  mkdirSync(data);
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(data, name)), { recursive: true });
    writeFileSync(join(data, name), content);
  }
  const onnx = join(folder, 'model.onnx');
  writeFileSync(onnx, writeOnnx(network));
  return { folder, data, onnx, out: join(folder, 'small.onnx') };
}

const plain = (count = 20): Record<string, Uint8Array> =>
  Object.fromEntries(names('p', count).map((name, i) => [name, picture(name, [10 * i, 200 - 10 * i, 80])]));

describe('compress', () => {
  it('an ONNX model on unlabelled pictures needs nothing else: told of the guess, of every output, and writes ONNX', async () => {
    const { data, onnx, out } = made(plain());
    const outcome = await call(['compress', onnx, '--data', data, '-o', out, '--quick', '--json', '-q']);
    const report = parsed(outcome) as {
      outputs: { name: string; relativeError: number }[];
      validation: { yardstick: string };
    };
    expect(report.outputs.map(({ name }) => name)).toEqual(network.outputs);
    expect(report.validation.yardstick).toBe('outputError');
    expect(outcome.stderr).toMatch(
      /warning: the model does not say how a picture becomes its input: imagenet, RGB, is assumed/,
    );
    expect(readOnnx(readFileSync(out)).network.outputs).toEqual(network.outputs);
  });

  it('retrains on what the original says, and tells in words what came of it', async () => {
    const { data, onnx, folder } = made(plain());
    const out = join(folder, 'small.safetensors');
    const epochs = [
      '--epochs-pruned',
      '1',
      '--epochs-quantized',
      '0',
      '--epochs-final',
      '1',
      '--learning-rate',
      '0.001',
    ];
    const { code, stdout, stderr } = await call([
      'compress',
      onnx,
      '--data',
      data,
      '-o',
      out,
      '--preprocess',
      '0..1,BGR',
      ...epochs,
    ]);
    expect([code, stderr]).toEqual([0, expect.not.stringMatching(/warning/)]);
    expect(stdout).toMatch(/model\.onnx: \d+ nodes, 269 parameters, from image 3x8x8 to/);
    expect(stdout).toMatch(/output +error on \d+ samples +of the spread +cosine +largest/);
    expect(readNetwork(readFileSync(out)).preprocessing).toMatchObject({
      order: 'BGR',
      width: 8,
      height: 8,
      scale: 1 / 255,
    });
  });

  it('--quick, --thorough and --preset are one choice', async () => {
    const { data, onnx, out } = made(plain(3));
    const { code, stderr } = await call(['compress', onnx, '--data', data, '-o', out, '--quick', '--thorough']);
    expect([code, stderr]).toEqual([2, expect.stringMatching(/--thorough: --quick is given too/)]);
  });
});

describe('labels', () => {
  const classes = Object.fromEntries(
    [...names('red/', 10), ...names('blue/', 10)].map((name) => [
      name,
      picture(name, name.startsWith('red') ? [200, 20, 20] : [20, 20, 200]),
    ]),
  );

  it('class folders: a network is trained, and tells red from blue', async () => {
    const { data, folder } = made(classes);
    const model = join(folder, 'm.safetensors');
    const size = ['--side', '8', '--widths', '4', '--hidden', 'none', '--preprocess', '-1..1'];
    parsed(
      await call([
        'train',
        '--data',
        data,
        '-o',
        model,
        '--epochs',
        '12',
        '--batch',
        '4',
        '--validation',
        '0.3',
        ...size,
        '--json',
      ]),
    );
    const network = readNetwork(readFileSync(model));
    expect(network.task).toEqual({ kind: 'classes', classes: 2, labels: ['blue', 'red'] });
    expect(parsed(await call(['evaluate', model, '--data', data, '--part', 'all', '--json']))).toEqual({
      samples: 20,
      accuracy: 1,
    });
  });

  it('those of another model are refused; --unlabelled leaves them unread', async () => {
    const { data, folder } = made({ ...classes, 'green/g.png': picture('g', [20, 200, 20]) });
    const path = join(folder, 'own.safetensors');
    writeFileSync(path, writeNetwork(network));
    const compare = ['compare', path, path, '--data', data, '--part', 'all', '--preprocess', '0..1'];
    const { code, stderr } = await call(compare);
    expect([code, stderr]).toEqual([
      1,
      expect.stringMatching(/labels of 3 classes, the model's first output is 2 numbers; .*--unlabelled/),
    ]);
    const report = parsed(await call([...compare, '--unlabelled', '--json'])) as {
      samples: number;
      outputs: { worst: { name: string }[] }[];
    };
    expect(report).toMatchObject({
      samples: 21,
      inputs: 'data',
      outputs: [{ relativeError: 0, cosine: 1 }, { relativeError: 0 }],
    });
    expect(report.outputs[0].worst[0].name).toBe('blue/00.jpg');
  });
});

describe('what is wrong with pictures', () => {
  const spoilt = {
    ...plain(6),
    'cut.png': pngBytes(4, 4, { depth: 8, type: 0, raw: [0] }).subarray(0, 50),
    'cut.jpg': picture('x.jpg', [1, 2, 3]).subarray(0, 300),
    'text.png': 'hello',
  };
  const compare = (onnx: string, data: string, ...more: string[]): ReturnType<typeof call> =>
    call(['compare', onnx, onnx, '--data', data, '--part', 'all', '--preprocess', '0..1', ...more]);

  it('is told by name, all of it; --skip-bad goes on and tells of each', async () => {
    const { data, onnx } = made(spoilt);
    const { code, stderr } = await compare(onnx, data);
    expect(code).toBe(1);
    expect(stderr).toMatch(
      /3 of 9 pictures cannot be read: "cut.jpg" \(the JPEG is cut.*"cut.png" \(the PNG is cut.*"text.png" \(neither PNG nor JPEG.*leave them out with --skip-bad/,
    );
    const skipping = await compare(onnx, data, '--skip-bad', '--json');
    expect(parsed(skipping)).toMatchObject({ samples: 6 });
    for (const name of ['cut.jpg', 'cut.png', 'text.png'])
      expect(skipping.stderr).toContain(`warning: left out "${name}"`);
  });

  it.each([
    ['no folder', 'nowhere', {}, /there is no folder/],
    [
      'neither pictures nor arrays',
      '',
      { 'notes.txt': 'x' },
      /--data: .* holds neither pictures \(.png, .jpg, .jpeg\) nor arrays/,
    ],
    ['a picture for a folder', 'p00.jpg', plain(1), /p00\.jpg/],
  ])('%s', async (_name, below, files, message) => {
    const { data, onnx } = made(files);
    const { code, stderr } = await compare(onnx, join(data, below));
    expect([code, stderr]).toEqual([1, expect.stringMatching(message)]);
  });

  it.each([
    ['imagenet,GBR', /--preprocess: expected imagenet or imagenet,BGR, got "imagenet,GBR"/],
    ['imagenett', /imagenett/],
  ])('--preprocess %s', async (preprocess, message) => {
    const { data, onnx } = made(plain(2));
    const { code, stderr } = await call([
      'compare',
      onnx,
      onnx,
      '--data',
      data,
      '--part',
      'all',
      '--preprocess',
      preprocess,
    ]);
    expect([code > 0, stderr]).toEqual([true, expect.stringMatching(message)]);
  });

  it('options of pictures are of no use to arrays', async () => {
    const { data, onnx } = made({ 'test-inputs.npy': 'x' });
    expect((await compare(onnx, data, '--skip-bad')).stderr).toMatch(/--skip-bad: is for folders of pictures/);
  });
});
