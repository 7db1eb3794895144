/** Quantized weights there and back: a model that `writeOnnx` wrote has the same encodings when it is read. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { sizeOf } from '../../src/base/tensor.ts';
import type { Encoding, ProductBlock } from '../../src/encodings/types.ts';
import type { Network, Node } from '../../src/graph/network.ts';
import { readOnnx, writeOnnx } from '../../src/onnx/index.ts';
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
