import { describe, expect, it } from 'vitest';
import { examplesFromArrays } from '../../src/data/index.ts';
import { portableKernels } from '../../src/kernels/index.ts';
import { compareOutcomes } from '../../src/compression/outcome.ts';
import { compareLayers, splitBytes } from '../../src/compression/report.ts';
import { conv, dense, flatten, sequential, writeNetwork } from '../../src/network/index.ts';
import { quantize } from '../../src/quantization/index.ts';
import type { Network } from '../../src/graph/network.ts';

const context = { kernels: portableKernels(), threads: 1, seed: 1 };
const withBias = (network: Network, bias: readonly number[]): Network => ({
  ...network,
  parameters: new Map(
    [...network.parameters].map(([name, encoding]) => [
      name,
      {
        kind: 'dense' as const,
        shape: encoding.shape,
        data: name.endsWith('bias')
          ? Float32Array.from(bias)
          : new Float32Array(encoding.shape.reduce((a, b) => a * b)),
      },
    ]),
  ),
});

it('classes are told by accuracy: 3 of 4 right before, 1 of 4 after', async () => {
  const network = {
    ...sequential({ input: [2], seed: 1 }, [dense(3)]),
    task: { kind: 'classes' as const, classes: 3 },
  };
  const examples = examplesFromArrays({
    inputs: new Float32Array(8),
    inputShape: [2],
    targets: Float32Array.from([1, 1, 0, 1]),
    targetShape: [1],
  });
  const { metrics, faces } = await compareOutcomes(
    withBias(network, [0, 1, 0]),
    withBias(network, [1, 0, 0]),
    examples,
    context,
    { setName: 'test' },
  );
  expect(metrics).toEqual([{ name: 'accuracy on test', before: '75.00 %', after: '25.00 %', change: '-66.7 %' }]);
  expect(faces).toEqual([]);
});

it('landmarks are told by NME and failures, with faces spread over the set, black to white', async () => {
  const network = {
    ...sequential({ input: [1, 2, 2], seed: 1 }, [flatten(), dense(4)]),
    task: { kind: 'landmarks' as const, points: 2, normalizeBy: [0, 1] as const },
  };
  const examples = examplesFromArrays({
    inputs: Float32Array.from({ length: 16 }, (_, i) => i),
    inputShape: [1, 2, 2],
    targets: Float32Array.from({ length: 16 }, (_, i) => [0, 0, 1, 0][i % 4]),
    targetShape: [4],
  });
  const found = await compareOutcomes(
    withBias(network, [0, 0, 1, 0]),
    withBias(network, [0, 0.5, 1, 0.5]),
    examples,
    context,
    { shown: 2 },
  );
  expect(found.metrics.map(({ name, before, after }) => [name, before, after])).toEqual([
    ['NME on validation', '0.00 %', '50.00 %'],
    ['failures over 10 % on validation', '0.00 %', '100.00 %'],
  ]);
  expect(found.faces).toHaveLength(2);
  const [, face] = found.faces;
  expect([...face.pixels]).toEqual([0, 85, 170, 255]);
  expect(Array.from(face.before!)).toEqual([0, 0, 1, 0]);
  expect(Array.from(face.after!)).toEqual([0, 0.5, 1, 0.5]);
  const unlabelled = examplesFromArrays({ inputs: new Float32Array(4), inputShape: [1, 2, 2] });
  const alone = await compareOutcomes(network, network, unlabelled, context);
  expect(alone.metrics).toEqual([]);
  expect(alone.faces[0].truth).toBeUndefined();
});

it('labels of more samples than are read at once each count at their own place', async () => {
  const network = withBias(
    { ...sequential({ input: [1], seed: 1 }, [dense(2)]), task: { kind: 'classes' as const, classes: 2 } },
    [0, 1],
  );
  const labels = Float32Array.from({ length: 150 }, (_, i) => (i === 3 || i === 64 || i >= 127 ? 1 : 0));
  const examples = examplesFromArrays({
    inputs: new Float32Array(150),
    inputShape: [1],
    targets: labels,
    targetShape: [1],
  });
  const { metrics } = await compareOutcomes(network, withBias(network, [1, 0]), examples, context);
  // 3, 64 and 127 to 149 are 25 of 150.
  expect(metrics).toMatchObject([{ name: 'accuracy on validation', before: '16.67 %', after: '83.33 %' }]);
  const unlabelled = examplesFromArrays({ inputs: new Float32Array(3), inputShape: [1] });
  expect(await compareOutcomes(network, network, unlabelled, context)).toEqual({ metrics: [], faces: [] });
  const values = { ...network, task: { kind: 'regression' as const } };
  expect(await compareOutcomes(values, values, examples, context)).toEqual({ metrics: [], faces: [] });
});

describe('faces of an outcome', () => {
  const found = async (
    count: number,
    shape: readonly number[],
    how: Parameters<typeof compareOutcomes>[4] = {},
    picture = (i: number): number => i,
  ): Promise<{ first: number[]; before: number[]; side: number }[]> => {
    const size = shape.reduce((a, b) => a * b);
    const network = withBias(
      {
        ...sequential({ input: shape, seed: 1 }, [flatten(), dense(2)]),
        task: { kind: 'landmarks' as const, points: 1 },
      },
      [0.25, 0.75],
    );
    const examples = examplesFromArrays({
      inputs: Float32Array.from({ length: count * size }, (_, i) => picture(i)),
      inputShape: shape,
      // Each face is known by its x.
      targets: Float32Array.from({ length: 2 * count }, (_, i) => (i % 2 === 0 ? i / 2 : 0)),
      targetShape: [2],
    });
    const { faces, metrics } = await compareOutcomes(network, network, examples, context, how);
    expect(metrics).toEqual([]);
    return faces.map(({ side, pixels, truth, before }) => {
      expect(Array.from(before!)).toEqual([0.25, 0.75]);
      return { first: [...pixels], before: Array.from(truth!), side };
    });
  };

  it('are six unless another number is asked for, spread over the set, each with its own landmarks', async () => {
    const numbers = async (count: number, how?: Parameters<typeof compareOutcomes>[4]): Promise<number[]> =>
      (await found(count, [1, 1, 1], how)).map(({ before }) => before[0]);
    expect(await numbers(13)).toEqual([0, 2, 4, 6, 8, 10]);
    expect(await numbers(2)).toEqual([0, 1]);
    expect(await numbers(9, { shown: 4 })).toEqual([0, 2, 4, 6]);
    expect(await numbers(2, { shown: 0 })).toEqual([]);
  });

  it('are the first channel, from its least value to its largest; of one value black', async () => {
    const [face, next] = await found(2, [2, 2, 2], { shown: 2 });
    expect(face).toEqual({ side: 2, first: [0, 85, 170, 255], before: [0, 0] });
    expect(next.first).toEqual([0, 85, 170, 255]);
    expect((await found(1, [1, 2, 2], {}, () => 7))[0].first).toEqual([0, 0, 0, 0]);
    // Only the first channel says what is black and white.
    const second = (i: number): number => (i >= 4 ? 100 : i);
    expect((await found(1, [2, 2, 2], {}, second))[0].first).toEqual([0, 85, 170, 255]);
    expect((await found(1, [1, 2, 2], {}, (i) => i - 10))[0].first).toEqual([0, 85, 170, 255]);
  });

  it('are none of inputs that are no square pictures', async () => {
    expect(await found(2, [1, 2, 3])).toEqual([]);
    expect(await found(2, [4])).toEqual([]);
  });
});

it('parts of a file and layers add up to it: the rest is its header and padding, to the byte', async () => {
  const network = sequential({ input: [1, 6, 6], seed: 1 }, [conv(5, 3), flatten(), dense(7)]);
  const { network: small } = await quantize({ codewordCount: 5, subvectorLength: 3 })(network, context);
  const bytes = writeNetwork(small);
  const { rest, ...parts } = splitBytes(small, bytes.length);
  const stored = Object.values(parts).reduce((sum, part) => sum + part);
  expect(stored + rest).toBe(bytes.length);
  expect(compareLayers(network, small).reduce((sum, { after }) => sum + after.bytes, 0)).toBe(stored);
  const header = 8 + Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true));
  const tensors = JSON.parse(new TextDecoder().decode(bytes.subarray(8, header))) as Record<
    string,
    { data_offsets?: [number, number] }
  >;
  const held = Object.values(tensors).reduce((sum, { data_offsets: [from, to] = [0, 0] }) => sum + to - from, 0);
  expect(stored).toBe(held);
});
