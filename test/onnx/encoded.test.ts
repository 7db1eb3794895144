/** Quantized weights there and back: a model that `writeOnnx` wrote has the same encodings when it is read. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { sizeOf } from '../../src/base/tensor.ts';
import type { Encoding, ProductBlock } from '../../src/encodings/types.ts';
import type { Network, Node } from '../../src/graph/network.ts';
import { decode } from '../../src/encodings/index.ts';
import { NO_LIMITS } from '../../src/network/index.ts';
import { messageField } from '../../src/onnx/encode.ts';
import type { Bytes } from '../../src/onnx/encode.ts';
import { readOnnx, writeOnnx } from '../../src/onnx/index.ts';
import { input, integers, model, node, output, simple, tensorFields } from './making.ts';
import { productEncodings, scalarEncodings, toHalf } from '../encodings/arbitraries.ts';

/** A network of one node that reads `weight`. */
const network = (encoding: Encoding, shape: readonly number[], node: Partial<Node>): Network => ({
  name: 'weights',
  inputs: [{ name: 'x', shape }],
  nodes: [{ name: 'y', kind: 'add', inputs: ['x'], parameters: {}, attributes: {}, ...node }],
  outputs: ['y'],
  parameters: new Map([['y.weight', encoding]]),
});

/** An encoding as a constant of a sum. */
const adding = (encoding: Encoding): Network => network(encoding, encoding.shape, { inputs: ['x', 'y.weight'] });

function expectBack(given: Network): void {
  const bytes = writeOnnx(given);
  const { network: read, notes } = readOnnx(bytes);
  expect(Object.fromEntries(read.parameters)).toEqual(Object.fromEntries(given.parameters));
  expect(notes).toEqual([]);
  expect(Buffer.compare(writeOnnx(read), bytes), 'written again it is the same file').toBe(0);
}

const shaped = (encoding: Encoding, shape: readonly number[]): Encoding => ({ ...encoding, shape });

describe('an encoding that is written and read', () => {
  it('is the same: any product encoding', () => {
    fc.assert(
      fc.property(productEncodings(), (encoding) => expectBack(adding(encoding))),
      { numRuns: 60 },
    );
  });

  it('is the same: any scalar encoding', () => {
    fc.assert(
      fc.property(scalarEncodings, (encoding) => expectBack(adding(encoding))),
      { numRuns: 50 },
    );
  });

  it('is the same: halves times powers of two beyond those of normal numbers', () => {
    for (const exponents of [[-140], [-164], [-120, 120], [-130, 0, 20], [110]]) {
      const blocks = exponents.map((exponent, b): ProductBlock => {
        const codewords = Float32Array.of(1, -1.5, toHalf(0.1), 0.5).map((value) => value * 2 ** exponent);
        const codes = Uint16Array.of(0, 1, 1);
        return {
          ...{ first: 2 * b, subspaceCount: 1, subvectorLength: 2, codewordCount: 2, codewords, codes },
          ...(exponent !== 0 && { codewordExponent: exponent }),
        };
      });
      // The least powers leave few of the bits of a half.
      const halves = exponents[0] > -141;
      if (halves)
        expectBack(adding({ kind: 'product', shape: [3, 2 * blocks.length], blocks, codewordPrecision: 'float16' }));
    }
  });

  const layers: readonly (readonly [
    string,
    readonly number[],
    (weight: readonly number[]) => readonly number[],
    Partial<Node>,
  ])[] = [
    ['conv', [4, 3, 2, 2], () => [3, 5, 5], { kind: 'conv' }],
    ['conv of groups', [4, 3, 2, 2], () => [6, 5, 5], { kind: 'conv', attributes: { groups: 2 } }],
    ['conv3d', [4, 3, 2, 2, 1], () => [3, 4, 4, 4], { kind: 'conv3d' }],
    ['convTranspose', [4, 3, 2, 2], () => [3, 4, 4], { kind: 'convTranspose' }],
    ['convTranspose of groups', [4, 3, 2, 2], () => [6, 4, 4], { kind: 'convTranspose', attributes: { groups: 2 } }],
    ['dense', [4, 12], () => [12], { kind: 'dense' }],
    ['dense of several axes', [4, 12], () => [3, 12], { kind: 'dense' }],
  ];
  it.each(layers)('is the same as the weight of %s', (_, shape, input, node) => {
    const recipe = { rows: fc.constant(4) };
    const fitting = fc
      .oneof(
        productEncodings(recipe).filter((encoding) => sizeOf(encoding.shape) === 48),
        scalarEncodings.filter((encoding) => sizeOf(encoding.shape) === 48 && [1, 4].includes(encoding.scales.length)),
      )
      .map((encoding) => shaped(encoding, shape));
    const window = { stride: [1, 1], padding: [0, 0, 0, 0], dilation: [1, 1], groups: 1 };
    const volume = { stride: [1, 1, 1], padding: [0, 0, 0, 0, 0, 0], dilation: [1, 1, 1], groups: 1 };
    const attributes =
      node.kind === 'dense'
        ? {}
        : node.kind === 'conv3d'
          ? volume
          : { ...window, ...(node.kind === 'convTranspose' && { outputPadding: [0, 0] }), ...node.attributes };
    for (const encoding of fc.sample(fitting, { numRuns: 3, seed: 1 }))
      expectBack(network(encoding, input(shape), { ...node, attributes, parameters: { weight: 'y.weight' } }));
  });
});

describe('weights that another program quantized', () => {
  const bytes = (name: string, values: readonly number[], dims: readonly number[], code: number): Bytes =>
    messageField(5, ...tensorFields(name, dims, code, Uint8Array.from(values)));
  const [uint8, int8] = [2, 3];
  const levels = [3, 250, 7, 128, 0, 255, 90, 17, 201, 5, 66, 140];
  const product = node('MatMul', ['x', 'w'], ['y']);
  const turned = node('Gemm', ['x', 'w'], ['y'], { attributes: { transB: 1 } });

  it.each([
    ['uint8 with zero points, by column', product, [3, 4], 1, 4, uint8, true],
    ['int8 by column', product, [3, 4], -1, 4, int8, false],
    ['int8 with one scale', product, [3, 4], 0, 1, int8, false],
    ['int8 with zero points, by row', turned, [4, 3], 0, 4, int8, true],
    ['uint8 without zero points', turned, [4, 3], 0, 4, uint8, false],
  ] as const)(
    'are levels as they were, with dense: true the numbers that they mean: %s',
    (_, layer, dims, axis, count, code, hasZeros) => {
      const scales = Float32Array.from({ length: count }, (_, i) => 0.1 * (i + 1));
      const file = model([
        ...[input('x', ['n', 3]), output('y'), bytes('levels', levels, dims, code)],
        messageField(5, ...tensorFields('scales', count === 1 ? [] : [count], 1, new Uint8Array(scales.buffer))),
        ...(hasZeros ? [bytes('zeros', levels.slice(0, count), [count], code)] : []),
        node('DequantizeLinear', ['levels', 'scales', ...(hasZeros ? ['zeros'] : [])], ['w'], { attributes: { axis } }),
        layer,
      ]);
      const signed = (value: number): number => (code === int8 && value > 127 ? value - 256 : value);
      const placeOf = (i: number): number => (count === 1 ? 0 : axis === 0 ? Math.floor(i / dims[1]) : i % dims[1]);
      const meant = levels.map((level, i) =>
        Math.fround((signed(level) - (hasZeros ? signed(levels[placeOf(i)]) : 0)) * scales[placeOf(i)]),
      );
      const rows = layer === product ? [0, 1, 2, 3].flatMap((o) => [0, 1, 2].map((i) => meant[4 * i + o])) : meant;
      const [weight] = [...readOnnx(file).network.parameters.values()];
      expect(weight).toMatchObject({ kind: 'scalar', shape: [4, 3], bits: 8 });
      expect(Array.from(decode(weight))).toEqual(rows);
      const [plain] = [...readOnnx(file, { dense: true }).network.parameters.values()];
      expect(plain).toEqual({ kind: 'dense', shape: [4, 3], data: Float32Array.from(rows) });
    },
  );
});

describe('memory that reading holds', () => {
  const floats = 2 ** 22;
  /** Zeros whose first is added to x. */
  const adding = (count: number, times: number): Uint8Array =>
    simple([
      integers('sides', [count]),
      integers('place', [0]),
      ...Array.from({ length: times }, (_, i) => [
        node('ConstantOfShape', ['sides'], [`c${i}`]),
        node('Gather', [`c${i}`, 'place'], [`first${i}`]),
        node('Add', [i === 0 ? 'x' : `y${i}`, `first${i}`], [i === times - 1 ? 'y' : `y${i + 1}`]),
      ]).flat(),
    ]);

  it('is what lives at one time: constants that nothing reads any more count no longer', () => {
    expect(readOnnx(adding(floats, 5)).network.nodes.length).toBe(5);
  });

  it('is at most twice the file and 64 MiB, or what the limit says', () => {
    const file = adding(4 * floats, 1);
    expect(() => readOnnx(file)).toThrowError(/twice the file and 67108864.*raise the limit.*bytes: \d+.*--no-limits/);
    expect(readOnnx(file, { limits: { bytes: 2 ** 28 } }).network.nodes.length).toBe(1);
    expect(readOnnx(file, { limits: NO_LIMITS }).network.nodes.length).toBe(1);
  });

  it('is that of the bits of weights that writeOnnx wrote, however many they decode to', () => {
    // 8 weights to a byte: 2^25 of them are 128 MiB.
    const [rows, M] = [2 ** 11, 2 ** 11];
    const codes = Uint16Array.from({ length: rows * M }, (_, i) => i % 251);
    const codewords = Float32Array.from({ length: 256 * 8 }, (_, i) => i);
    const block = { first: 0, subspaceCount: M, subvectorLength: 8, codewordCount: 256, codewords, codes };
    const weight: Encoding = { kind: 'product', shape: [rows, 8 * M], blocks: [block], codewordPrecision: 'float32' };
    const bytes = writeOnnx(network(weight, [8 * M], { kind: 'dense', parameters: { weight: 'y.weight' } }));
    const read = readOnnx(bytes).network;
    expect(read.parameters.get('y.weight')?.kind).toBe('product');
    expect(Buffer.compare(writeOnnx(read), bytes)).toBe(0);
    expect(() => readOnnx(bytes, { dense: true })).toThrowError(/--no-limits/);
  });
});
