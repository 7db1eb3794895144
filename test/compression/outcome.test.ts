import { expect, it } from 'vitest';
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
