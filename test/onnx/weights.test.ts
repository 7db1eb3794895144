/** Encoded weights decoded in the graph: bit by bit what espalier decodes, and as few bytes as espalier's own file. */
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { normal, stream } from '../../src/base/random.ts';
import { sizeOf } from '../../src/base/tensor.ts';
import type { Shape } from '../../src/base/tensor.ts';
import { decode } from '../../src/encodings/index.ts';
import type { Encoding, ProductEncoding } from '../../src/encodings/types.ts';
import type { Network } from '../../src/graph/network.ts';
import { loadKernels } from '../../src/kernels/index.ts';
import { conv, dense, flatten, maxPool, sequential, writeNetwork } from '../../src/network/index.ts';
import { relu } from '../../src/network/functions.ts';
import { readOnnx, writeOnnx } from '../../src/onnx/index.ts';
import { prune } from '../../src/pruning/index.ts';
import { quantize, roundCodebooks } from '../../src/quantization/index.ts';
import type { QuantizeOptions } from '../../src/quantization/index.ts';
import { productEncodings, scalarEncodings, toHalf } from '../encodings/arbitraries.ts';
import { inputNumbers } from '../operators/examples.ts';
import { checkModels, hasChecker } from './checker.ts';
import { differencesBetween, runNetwork, runOnnx } from './onnxruntime.ts';
import type { Values } from './onnxruntime.ts';

const kernels = await loadKernels();
const context = { kernels, threads: 1, seed: 1 };

/** A network that adds an encoded constant to its input: with zeros it yields the weights. */
const adding = (encoding: Encoding): Network => ({
  name: 'weights',
  inputs: [{ name: 'x', shape: encoding.shape }],
  nodes: [{ name: 'y', kind: 'add', inputs: ['x', 'weight'], parameters: {}, attributes: {} }],
  outputs: ['y'],
  parameters: new Map([['weight', encoding]]),
});

const zeros = ({ shape }: Encoding): Map<string, Values> =>
  new Map([['x', { shape: [1, ...shape], data: new Float32Array(sizeOf(shape)) }]]);

async function expectDecoded(encoding: Encoding): Promise<void> {
  const expected = Array.from(decode(encoding));
  const bytes = writeOnnx(adding(encoding));
  const y = (await runOnnx(bytes, zeros(encoding))).get('y');
  // 0 + -0 is 0.
  expect(y?.data).toEqual(expected.map((value) => value + 0));
  expect([...readOnnx(bytes).network.parameters.values()]).toEqual([encoding]);
}

/** Codes and codewords at random, of any code width. */
function randomProduct(shape: Shape, d: number, K: number, signed: boolean): Encoding {
  const random = stream(1, 'product', String(K));
  const [rows, ...rest] = shape;
  const M = sizeOf(rest) / d;
  const draw = (count: number, limit: number): number[] =>
    Array.from({ length: count }, () => Math.floor(random() * limit));
  const signs = Uint8Array.from(draw(Math.ceil((rows * M * d) / 8), 256));
  if ((rows * M * d) % 8 > 0) signs[signs.length - 1] &= 2 ** ((rows * M * d) % 8) - 1;
  const codewords = Float32Array.from({ length: K * d }, () => normal(random));
  const codes = Uint16Array.from(draw(rows * M, K));
  const block = { first: 0, subspaceCount: M, subvectorLength: d, codewordCount: K, codewords, codes };
  return { kind: 'product', shape, blocks: [{ ...block, ...(signed && { signs }) }], codewordPrecision: 'float32' };
}

describe('encoded weights', () => {
  it('of any product encoding are decoded bit by bit, by onnxruntime and by readOnnx', async () => {
    await fc.assert(fc.asyncProperty(productEncodings(), expectDecoded), { numRuns: 60, seed: 1 });
  });

  it('of any scalar encoding too', async () => {
    await fc.assert(fc.asyncProperty(scalarEncodings, expectDecoded), { numRuns: 60, seed: 1 });
  });

  it.each([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16])('with codes of %i bits too', async (width) => {
    for (const signed of [false, true])
      await expectDecoded(randomProduct([7, 3, 3, 3], 3, 2 ** width - 1 || 1, signed));
    await expectDecoded(randomProduct([5, 6], 2, 2 ** width, true));
  });

  it.each([
    ['as many codewords, powers of two of their own', [5, 5, 5], [0, -34, 20]],
    ['as many codewords as they like, one power of two', [5, 8, 6], [-34, -34, -34]],
    ['neither', [5, 8, 6], [0, -34, 20]],
  ] as const)('with a codebook for each sub-space too: %s', async (_, counts, exponents) => {
    for (const signed of [false, true]) {
      const blocks = counts.map((K, b) => {
        const [block] = (randomProduct([7, 6], 3, K, signed) as ProductEncoding).blocks;
        const codewords = block.codewords.map((value) => toHalf(value + b) * 2 ** exponents[b]);
        return { ...block, first: 6 * b, codewords };
      });
      const inHalves = blocks.map((block, b) => ({
        ...block,
        ...(exponents[b] !== 0 && { codewordExponent: exponents[b] }),
      }));
      await expectDecoded({ kind: 'product', shape: [7, 18], blocks: inHalves, codewordPrecision: 'float16' });
      await expectDecoded({ kind: 'product', shape: [7, 18], blocks, codewordPrecision: 'float32' });
    }
  });

  it.skipIf(!hasChecker)("pass ONNX's checker (skipped without Python's package onnx)", () => {
    const models = [
      ...fc.sample(productEncodings(), { numRuns: 25, seed: 2 }),
      ...fc.sample(scalarEncodings, { numRuns: 25, seed: 2 }),
    ].map((encoding, i) => [`encoding ${i}`, writeOnnx(adding(encoding))] as const);
    expect(checkModels(new Map(models))).toBe('');
  });
});

describe('a small network, pruned and quantized', () => {
  const built = sequential({ input: [1, 24, 24], seed: 1 }, [
    conv(32, 3, { name: 'conv1' }),
    relu(),
    maxPool(2, { stride: 2 }),
    conv(64, 3, { name: 'conv2' }),
    relu(),
    maxPool(2, { stride: 2 }),
    flatten(),
    dense(128, { name: 'dense1' }),
    relu(),
    dense(10, { name: 'dense2' }),
  ]);
  let pruned: Network;
  beforeAll(async () => {
    ({ network: pruned } = await prune({ criterion: 'magnitude', fold: false, keep: 0.75 })(built, context));
  });
  const inputs = new Map<string, Values>([
    ['input', { shape: [3, 1, 24, 24], data: inputNumbers('input', 3, [1, 24, 24]) }],
  ]);
  const wrongWith = async (network: Network, bytes: Uint8Array): Promise<string[]> => {
    const expected = await runNetwork(network, inputs, 3, kernels);
    return [
      ...differencesBetween(await runOnnx(bytes, inputs), expected),
      ...differencesBetween(await runNetwork(readOnnx(bytes).network, inputs, 3, kernels), expected),
    ];
  };

  it('is a plain model where it is dense', async () => {
    expect(pruned.parameters.get('conv2.weight')?.shape).toEqual([48, 24, 3, 3]);
    expect(await wrongWith(pruned, writeOnnx(pruned))).toEqual([]);
  });

  const product = { quantizer: 'product', subvectorLength: 4, codewordCount: 256, iterations: 3 } as const;
  const settings: readonly (readonly [string, QuantizeOptions, boolean])[] = [
    ['256 codewords, signs apart', product, false],
    ['256 codewords of halves, signs apart', product, true],
    ['256 codewords of halves', { ...product, signs: 'none' }, true],
    ['256 codewords of 8, signs apart, halves', { ...product, subvectorLength: 8 }, true],
    ['64 codewords, signs apart, halves', { ...product, codewordCount: 64 }, true],
    [
      '16 codewords for each sub-space',
      { ...product, codewordCount: 16, codebooks: 'subspace', subvectorLength: 16 },
      true,
    ],
    ['levels of 8 bits', { quantizer: 'scalar', bits: 8 }, false],
    ['levels of 4 bits', { quantizer: 'scalar', bits: 4 }, false],
    ['levels of 3 bits', { quantizer: 'scalar', bits: 3 }, false],
  ];
  it.each(settings)(
    "with %s takes at most 1.15 of the bytes of espalier's own file",
    async (title, options, halves) => {
      const { network: quantized } = await quantize(options)(pruned, context);
      const network = halves ? (await roundCodebooks()(quantized, context)).network : quantized;
      expect([...network.parameters.values()].filter(({ kind }) => kind !== 'dense').length).toBeGreaterThan(1);
      const bytes = writeOnnx(network);
      const own = writeNetwork(network).length;
      console.log(title, bytes.length, own, (bytes.length / own).toFixed(3));
      expect(await wrongWith(network, bytes)).toEqual([]);
      const read = readOnnx(bytes).network;
      expect(Object.fromEntries(read.parameters)).toEqual(Object.fromEntries(network.parameters));
      expect(Buffer.compare(writeOnnx(read), bytes), 'written again it is the same file').toBe(0);
      const plain = writeOnnx(network, { dense: true });
      expect(plain.length).toBeGreaterThan(2 * bytes.length);
      expect(await wrongWith(network, plain)).toEqual([]);
      expect(bytes.length / own).toBeLessThanOrEqual(1.15);
    },
  );
});
