import { describe, expect, test } from 'vitest';
import { loadKernels } from '../../src/kernels/index.ts';
import { readNetwork, writeNetwork } from '../../src/network/index.ts';
import type { Network } from '../../src/graph/network.ts';
import {
  decode,
  denseEncoding,
  encodingSize,
  quantize,
  quantizeLayer,
  quantizeParameterAsync,
  roundCodebooks,
  trainedValues,
  withTrainedValues,
  type Encoding,
  type ParameterOptions,
  type ParameterReport,
  type DenseEncoding,
  type ProductEncoding,
  type RoundingReport,
} from '../../src/quantization/index.ts';
import type { RunEvent } from '../../src/base/control.ts';
import type { Context } from '../../src/graph/transform.ts';
import { bitsOf, toHalf } from '../encodings/arbitraries.ts';
import { generatedPoints } from './points.ts';

const kernels = await loadKernels();
const context: Context = { kernels, threads: 1, seed: 3 };
const weights = (shape: readonly number[], seed: number): Encoding =>
  denseEncoding({
    data: generatedPoints(
      shape.reduce((a, b) => a * b, 1),
      1,
      0,
      seed,
    ).data,
    shape,
  });

/** conv 3x3 (a large weight), dense, and a dense 'head' so small that a codebook would not pay; with biases. */
const network: Network = {
  name: 'sample',
  inputs: [{ name: 'x', shape: [8, 6, 6] }],
  nodes: [
    {
      name: 'conv1',
      kind: 'conv',
      inputs: ['x'],
      parameters: { weight: 'conv1.weight', bias: 'conv1.bias' },
      attributes: { stride: [1, 1], padding: [1, 1, 1, 1], dilation: [1, 1], groups: 1 },
    },
    { name: 'relu1', kind: 'relu', inputs: ['conv1'], parameters: {}, attributes: {} },
    { name: 'pool', kind: 'globalAveragePool', inputs: ['relu1'], parameters: {}, attributes: {} },
    {
      name: 'dense1',
      kind: 'dense',
      inputs: ['pool'],
      parameters: { weight: 'dense1.weight', bias: 'dense1.bias' },
      attributes: {},
    },
    { name: 'head', kind: 'dense', inputs: ['dense1'], parameters: { weight: 'head.weight' }, attributes: {} },
  ],
  outputs: ['head'],
  parameters: new Map([
    ['conv1.weight', weights([32, 8, 3, 3], 1)],
    ['conv1.bias', weights([32], 2)],
    ['dense1.weight', weights([24, 32], 3)],
    ['dense1.bias', weights([24], 4)],
    ['head.weight', weights([1, 24], 5)],
  ]),
};
const kinds = ({ parameters }: Network): Record<string, string> =>
  Object.fromEntries([...parameters].map(([name, { kind }]) => [name, kind]));

describe('quantizeParameterAsync', () => {
  test('replaces one weight, keeps its shape, shares the rest, and leaves the network given as it was', async () => {
    const before = kinds(network);
    const { network: result, report } = await quantizeParameterAsync(network, 'conv1.weight', {
      subvectorLength: 9,
      codewordCount: 16,
      kernels,
    });
    const encoding = result.parameters.get('conv1.weight') as ProductEncoding;
    expect(encoding.kind).toBe('product');
    expect(encoding.shape).toEqual([32, 8, 3, 3]);
    expect(report).toMatchObject({ parameter: 'conv1.weight', status: 'quantized', weights: 2304 });
    expect(report.bitsAfter).toBeGreaterThan(encodingSize(encoding).total);
    expect(report.bitsAfter).toBeLessThan(encodingSize(encoding).total + 8 * 320);
    expect(report.bitsPerWeight).toBe(report.bitsAfter / 2304);
    const original = decode(network.parameters.get('conv1.weight') as Encoding),
      decoded = decode(encoding);
    const error = Math.sqrt(
      original.reduce((sum, value, i) => sum + (value - decoded[i]) ** 2, 0) /
        original.reduce((sum, value) => sum + value ** 2, 0),
    );
    expect(report.relativeError).toBeCloseTo(error, 12);
    expect(kinds(network)).toEqual(before);
    for (const [name, kept] of network.parameters)
      if (name !== 'conv1.weight') expect(result.parameters.get(name)).toBe(kept);
    expect(result.nodes).toBe(network.nodes);
  });

  test('a codebook that is bigger than the layer: the layer stays dense, and the report says so', async () => {
    const { network: result, report } = await quantizeParameterAsync(network, 'head.weight', {
      subvectorLength: 1,
      codewordCount: 256,
      clampCodewords: false,
      kernels,
    });
    expect(result).toBe(network);
    expect(report).toMatchObject({ status: 'dense', relativeError: 0 });
    expect(report.bitsAfter).toBe(report.bitsBefore);
    expect(report.fit.bits).toBeGreaterThanOrEqual(32 * 24);
  });

  test('sub-vectors longer than a row are a row', async () => {
    const { network: result } = await quantizeParameterAsync(network, 'dense1.weight', {
      subvectorLength: 1000,
      codewordCount: 4,
      kernels,
    });
    expect((result.parameters.get('dense1.weight') as ProductEncoding).blocks[0].subvectorLength).toBe(32);
  });

  test('a bias, an unknown name, and a weight that is quantized already are refused', async () => {
    const options = { subvectorLength: 4, codewordCount: 8, kernels };
    await expect(quantizeParameterAsync(network, 'conv1.bias', options)).rejects.toThrow(
      /expected the weight of a layer \(conv1.weight, dense1.weight, head.weight\), got "conv1.bias"/,
    );
    await expect(quantizeParameterAsync(network, '__proto__', options)).rejects.toThrow(RangeError);
    const { network: once } = await quantizeParameterAsync(network, 'dense1.weight', options);
    await expect(quantizeParameterAsync(once, 'dense1.weight', options)).rejects.toThrow(
      /to be dense, got a product encoding/,
    );
  });

  test('an option that the quantizer has not, a wrong value, an unknown quantizer and two ways of cutting are refused', async () => {
    const refuse = (options: object, message: RegExp): Promise<void> =>
      expect(
        quantizeParameterAsync(network, 'dense1.weight', { ...options, kernels } as ParameterOptions),
      ).rejects.toThrow(message);
    await refuse({ codewords: 8 }, /options: expected .*subvectorLength, .*, got "codewords"/);
    await refuse({ codewordCount: 1 }, /options.codewordCount: expected an integer from 2 to 65536, got 1/);
    await refuse({ quantizer: 'toString' }, /options.quantizer: expected one of .*product.*, got "toString"/);
    await refuse({ subvectorLength: 4, subspaceCount: 2 }, /either subvectorLength or subspaceCount/);
    await refuse({ threads: 0 }, /threads/);
  });
});

describe('quantize', () => {
  test('all weights of convolutions and dense layers; biases and layers that gain nothing stay dense; one event each', async () => {
    const events: RunEvent[] = [];
    const { network: result, report } = await quantize({ subvectorLength: 4, codewordCount: 16 })(network, {
      ...context,
      onEvent: (event) => events.push(event),
    });
    expect(kinds(result)).toEqual({
      'conv1.weight': 'product',
      'conv1.bias': 'dense',
      'dense1.weight': 'product',
      'dense1.bias': 'dense',
      'head.weight': 'dense',
    });
    expect((report.parameters as ParameterReport[]).map(({ parameter, status }) => [parameter, status])).toEqual([
      ['conv1.weight', 'quantized'],
      ['dense1.weight', 'quantized'],
      ['head.weight', 'dense'],
    ]);
    expect(events.map((event) => event.kind === 'stage' && [event.name, event.index, event.count])).toEqual([
      ['quantize', 0, 3],
      ['quantize', 1, 3],
      ['quantize', 2, 3],
    ]);
    expect(JSON.parse(JSON.stringify(report))).toEqual(report);
  });

  test('overrides replace options of single weights, also the way of cutting; named parameters leave out the rest', async () => {
    const { network: result, report } = await quantize({
      subvectorLength: 4,
      codewordCount: 16,
      parameters: ['dense1.weight', 'conv1.weight'],
      overrides: { 'dense1.weight': { subspaceCount: 2, codewordCount: 8, signs: 'none' } },
    })(network, context);
    const [block] = (result.parameters.get('dense1.weight') as ProductEncoding).blocks;
    expect(block).toMatchObject({ subspaceCount: 2, subvectorLength: 16, codewordCount: 8 });
    expect(block.signs).toBeUndefined();
    expect((result.parameters.get('conv1.weight') as ProductEncoding).blocks[0].subvectorLength).toBe(4);
    expect(report.skipped).toEqual(['head.weight']);
  });

  test('a second time it skips what is quantized', async () => {
    const once = await quantize({ subvectorLength: 4, codewordCount: 16 })(network, context),
      twice = await quantize({ subvectorLength: 4, codewordCount: 16 })(once.network, context);
    expect(twice.report.skipped).toEqual(['conv1.weight', 'dense1.weight']);
    expect(twice.network.parameters).toEqual(once.network.parameters);
  });

  test("the seed is the context's unless one is given", async () => {
    const codewords = async (options: { seed?: number }, seed: number): Promise<unknown> =>
      (
        await quantize({ subvectorLength: 4, codewordCount: 16, ...options })(network, { ...context, seed })
      ).network.parameters.get('dense1.weight');
    expect(await codewords({}, 1)).toEqual(await codewords({ seed: 1 }, 2));
    expect(await codewords({}, 1)).not.toEqual(await codewords({}, 2));
  });

  test('an override for no weight is refused, and an aborted signal stops it', async () => {
    await expect(quantize({ subvectorLength: 4, overrides: { 'conv1.bias': {} } })(network, context)).rejects.toThrow(
      /overrides: expected names of weights/,
    );
    const reason = new Error('enough');
    await expect(
      quantize({ subvectorLength: 4 })(network, { ...context, signal: AbortSignal.abort(reason) }),
    ).rejects.toBe(reason);
  });
});

describe('quantizeLayer', () => {
  test('is quantizeParameterAsync by the name of the node', async () => {
    const { network: result, report } = await quantizeLayer('dense1', { subvectorLength: 4, codewordCount: 8 })(
      network,
      context,
    );
    expect(result.parameters.get('dense1.weight')).toEqual(
      (
        await quantizeParameterAsync(network, 'dense1.weight', {
          subvectorLength: 4,
          codewordCount: 8,
          seed: 3,
          kernels,
        })
      ).network.parameters.get('dense1.weight'),
    );
    expect(report).toMatchObject({ transform: 'quantizeLayer', layer: 'dense1', status: 'quantized' });
  });

  test('a layer of another kind, or none, is refused by name', async () => {
    await expect(quantizeLayer('relu1', { subvectorLength: 4 })(network, context)).rejects.toThrow(
      /expected a node with a weight \(conv1, dense1, head\), got "relu1"/,
    );
    await expect(quantizeLayer('none', { subvectorLength: 4 })(network, context)).rejects.toThrow(/got "none"/);
  });
});

const { network: quantized } = await quantizeParameterAsync(network, 'dense1.weight', {
  subvectorLength: 4,
  codewordCount: 16,
  kernels,
});

describe('roundCodebooks', () => {
  const before = quantized.parameters.get('dense1.weight') as ProductEncoding;

  test('every codeword becomes the nearest half, the codebook takes half the bits, and the change is reported', async () => {
    const { network: result, report } = await roundCodebooks()(quantized, context);
    const after = result.parameters.get('dense1.weight') as ProductEncoding;
    expect(after.codewordPrecision).toBe('float16');
    expect(after.blocks[0].codewords).toEqual(before.blocks[0].codewords.map(toHalf));
    expect(after.blocks[0].codes).toBe(before.blocks[0].codes);
    expect(2 * encodingSize(after).codebooks).toBe(encodingSize(before).codebooks);
    const [entry] = report.parameters as RoundingReport[];
    expect(entry).toMatchObject({ parameter: 'dense1.weight', precision: 'float16' });
    expect(entry.relativeChange).toBeGreaterThan(0);
    expect(entry.relativeChange).toBeLessThan(2 ** -11);
    expect(entry.largestChange).toBe(
      Math.max(...after.blocks[0].codewords.map((value, i) => Math.abs(value - before.blocks[0].codewords[i]))),
    );
  });

  test('a second time it changes nothing', async () => {
    const once = (await roundCodebooks()(quantized, context)).network,
      { network: twice, report } = await roundCodebooks()(once, context);
    expect(bitsOf(decode(twice.parameters.get('dense1.weight') as Encoding))).toEqual(
      bitsOf(decode(once.parameters.get('dense1.weight') as Encoding)),
    );
    expect((report.parameters as RoundingReport[])[0]).toMatchObject({ largestChange: 0, relativeChange: 0 });
  });

  test('codewords far below the least half, or above the largest, keep eleven bits: a power of two beside them', async () => {
    for (const factor of [2e-9, 1e9]) {
      const small = withTrainedValues(
        before,
        before.blocks[0].codewords.map((value) => value * factor),
      );
      const { network: result, report } = await roundCodebooks()(
        { ...quantized, parameters: new Map(quantized.parameters).set('dense1.weight', small) },
        context,
      );
      const after = result.parameters.get('dense1.weight') as ProductEncoding;
      expect(after.codewordPrecision).toBe('float16');
      expect((report.parameters as RoundingReport[])[0].relativeChange).toBeLessThan(2 ** -11);
      expect(decode(readNetwork(writeNetwork(result)).parameters.get('dense1.weight')!)).toEqual(decode(after));
    }
  });

  test('what is dense is rounded too where that is asked for, each value by itself, and training makes it float32 again', async () => {
    const values = Array.from({ length: 24 }, (_, i) => [0.1, -3e-7, 20.5][i % 3]);
    const head = quantized.parameters.get('head.weight')!;
    const wide = decode(head).map((_, i) => (i === 0 ? 1e-30 : 1e30));
    const odd = new Map(quantized.parameters)
      .set('dense1.bias', { kind: 'dense', shape: [24], data: Float32Array.from(values) })
      .set('head.weight', { kind: 'dense', shape: head.shape, data: wide });
    const mixed = { ...quantized, parameters: odd };
    const { network: result } = await roundCodebooks({ dense: true })(mixed, context);
    const bias = result.parameters.get('dense1.bias') as DenseEncoding;
    expect(encodingSize(bias).total).toBe(24 * 16);
    bias.data.forEach((value, i) => {
      const was = values[i];
      expect(Math.abs(value - was)).toBeLessThanOrEqual(2 ** -11 * Math.abs(was));
    });
    // 0 would be another number.
    expect(result.parameters.get('head.weight')).toEqual(odd.get('head.weight'));
    expect(readNetwork(writeNetwork(result)).parameters).toEqual(result.parameters);
    expect((await roundCodebooks()(mixed, context)).network.parameters.get('dense1.bias')).toBe(odd.get('dense1.bias'));
    const moved = withTrainedValues(
      bias,
      Float32Array.from(values, (value) => value / 3),
    );
    expect(encodingSize(moved).total).toBe(24 * 32);
    expect(
      readNetwork(writeNetwork({ ...result, parameters: odd.set('dense1.bias', moved) })).parameters.get('dense1.bias'),
    ).toEqual({ kind: 'dense', shape: [24], data: moved.data });
  });

  test('codewords that would be infinite stay float32, and the report says so', async () => {
    const large = withTrainedValues(before, trainedValues(before).fill(3.4028e38));
    const { network: result, report } = await roundCodebooks()(
      { ...quantized, parameters: new Map(quantized.parameters).set('dense1.weight', large) },
      context,
    );
    expect(result.parameters.get('dense1.weight')).toBe(large);
    expect(report.parameters).toEqual([
      { parameter: 'dense1.weight', precision: 'float32', largestChange: 0, relativeChange: 0 },
    ]);
  });
});
