/** Models of TensorFlow.js, and models whose images have their channels last, wherever the command line takes a model. */
import { encode } from 'fast-png';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readNetwork, readNpy, readOnnx, stream, writeNpy } from '../../src/index.ts';
import { floats, input, integers, model, node, output } from '../onnx/making.ts';
import { bytesOf, caseNamed, floatsOf } from '../tfjs/cases.ts';
import { call, parsed, temporaryFolder } from './fixtures.ts';

/** A convolutional classifier of TensorFlow.js' own (test/vectors/tfjs_models.mjs): [8, 8, 3] to 3. */
const { model: json, weights, inputs, outputs } = caseNamed('network');

/** A folder with the model, and one with pictures. */
function made(): { folder: string; tfjs: string; pictures: string } {
  const folder = temporaryFolder();
  const [tfjs, pictures] = [join(folder, 'web'), join(folder, 'pictures')];
  mkdirSync(tfjs);
  mkdirSync(pictures);
  writeFileSync(join(tfjs, 'model.json'), JSON.stringify(json));
  writeFileSync(join(tfjs, 'weights.bin'), bytesOf(weights));
  for (let i = 0; i < 16; i++) {
    const random = stream(1, 'picture', i);
    // More red to the left: with the axes of an image in another order it is another picture.
    const data = Uint8Array.from(
      { length: 300 },
      (_, j) => (j % 3 === 0 ? 20 * (10 - ((j / 3) % 10)) : 0) + 50 * random(),
    );
    writeFileSync(join(pictures, `${i}.png`), encode({ width: 10, height: 10, channels: 3, depth: 8, data }));
  }
  return { folder, tfjs, pictures };
}

const isNear = (found: ArrayLike<number>, wanted: ArrayLike<number>): void => {
  expect(found.length).toBe(wanted.length);
  for (let i = 0; i < wanted.length; i++)
    expect(Math.abs(found[i] - wanted[i])).toBeLessThan(1e-5 + 1e-4 * Math.abs(wanted[i]));
};

describe('a model of TensorFlow.js', () => {
  it('runs, is inspected and written as ONNX, named by its folder or its model.json', async () => {
    const { folder, tfjs } = made();
    const [x, y, onnx] = ['x.npy', 'y.npy', 'out.onnx'].map((name) => join(folder, name));
    writeFileSync(x, writeNpy({ data: floatsOf(inputs[0]), shape: [...inputs[0].shape] }));
    for (const named of [tfjs, join(tfjs, 'model.json')]) {
      parsed(await call(['run', named, '--input', x, '--output', y, '--json']));
      isNear(readNpy(readFileSync(y)).data, floatsOf(outputs[0]));
      expect(parsed(await call(['inspect', named, '--json']))).toMatchObject({ inputs: [{ shape: [8, 8, 3] }] });
      parsed(await call(['export', named, '-o', onnx, '--json']));
      expect(readOnnx(readFileSync(onnx)).network.inputs[0].shape).toEqual([8, 8, 3]);
      parsed(await call(['run', onnx, '--input', x, '--output', y, '--json']));
      isNear(readNpy(readFileSync(y)).data, floatsOf(outputs[0]));
    }
  });

  it('is compressed on pictures, and compared with what came of it', async () => {
    const { folder, tfjs, pictures } = made();
    const out = join(folder, 'small.safetensors');
    const data = ['--data', pictures, '--preprocess', '0..1', '-q'];
    parsed(await call(['compress', tfjs, ...data, '-o', out, '--quick', '--json']));
    const small = readNetwork(readFileSync(out));
    expect(small.inputs[0].shape).toEqual([8, 8, 3]);
    expect(small.preprocessing).toMatchObject({ width: 8, height: 8, channels: 3 });
    const compared = parsed(await call(['compare', tfjs, out, ...data, '--json'])) as {
      outputs: { name: string; relativeError: number }[];
    };
    expect(compared.outputs.map(({ name }) => name)).toEqual(small.outputs);
    expect(compared.outputs[0].relativeError).toBeLessThan(1);
  });

  it('without a shard is refused by the name of the shard; a folder without a model by that of the folder', async () => {
    const { tfjs, pictures } = made();
    rmSync(join(tfjs, 'weights.bin'));
    const { code, stderr } = await call(['inspect', tfjs]);
    expect([code, stderr]).toEqual([1, expect.stringMatching(/model\.json: .*weights\.bin/s)]);
    expect(await call(['inspect', pictures])).toMatchObject({ code: 1, stderr: expect.stringContaining(pictures) });
  });

  it('a shape that it has no use for is wrong use', async () => {
    const { tfjs } = made();
    const { code, stderr } = await call(['inspect', tfjs, '--shape', 'nobody=1,2']);
    expect([code, stderr]).toEqual([2, expect.stringMatching(/--shape: .*"nobody"/)]);
  });
});

describe('an ONNX model with channels last, as tf2onnx writes them', () => {
  /** Turned to channels first, a convolution, turned back, the mean over both sides. */
  const bytes = model([
    input('image', ['batch', 8, 8, 3]),
    output('classes'),
    node('Transpose', ['image'], ['a'], { attributes: { perm: [0, 3, 1, 2] } }),
    node('Conv', ['a', 'w'], ['b'], { attributes: { pads: [1, 1, 1, 1] } }),
    node('Relu', ['b'], ['c']),
    node('Transpose', ['c'], ['d'], { attributes: { perm: [0, 2, 3, 1] } }),
    node('ReduceMean', ['d'], ['e'], { attributes: { axes: [1, 2], keepdims: 0 } }),
    node('MatMul', ['e', 'm'], ['f']),
    node('Reshape', ['f', 's'], ['classes']),
    floats(
      'w',
      [8, 3, 3, 3],
      Array.from({ length: 216 }, (_, i) => Math.sin(i)),
    ),
    floats(
      'm',
      [8, 4],
      Array.from({ length: 32 }, (_, i) => Math.cos(i)),
    ),
    integers('s', [-1, 4]),
  ]);

  it('is compressed on pictures, keeps its input, and answers each picture as the original nearly does', async () => {
    const { folder, pictures } = made();
    const [onnx, out] = [join(folder, 'last.onnx'), join(folder, 'small.onnx')];
    writeFileSync(onnx, bytes);
    const data = ['--data', pictures, '--preprocess', '0..1', '-q'];
    parsed(await call(['compress', onnx, ...data, '-o', out, '--quick', '--json']));
    const { network } = readOnnx(readFileSync(out));
    expect(network.inputs).toEqual([{ name: 'image', shape: [8, 8, 3] }]);
    const same = parsed(await call(['compare', onnx, onnx, ...data, '--json'])) as {
      outputs: { relativeError: number }[];
    };
    expect(same.outputs[0].relativeError).toBe(0);
    const small = parsed(await call(['compare', onnx, out, ...data, '--json'])) as typeof same;
    expect(small.outputs[0].relativeError).toBeLessThan(0.5);
  });
});
