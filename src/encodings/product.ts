/**
 * Product encoding (Jégou, Douze, Schmid, "Product Quantization for Nearest Neighbor Search", TPAMI 2011, section
 * II-B), with signs apart as in Zeng, Zhao, Bao 2016. The parameter is a matrix of shape[0] rows. Glossary: M
 * sub-spaces of a block, d columns in each, K codewords, r row, m sub-space, j coordinate.
 */
import { codeWidth, packedBytes } from './bits.ts';
import { checkLength, matrixSides } from './checks.ts';
import { areHalves } from './half.ts';
import { readProduct, writeProduct } from './product-file.ts';
import type { EncodingOperations, EncodingReading, ProductBlock, ProductEncoding } from './types.ts';

/** Number of codeword coordinates of a block. */
export function codewordValues({ codewordCount, subvectorLength }: ProductBlock): number {
  return codewordCount * subvectorLength;
}

function trainedCount({ blocks }: ProductEncoding): number {
  return blocks.reduce((sum, block) => sum + codewordValues(block), 0);
}

function trainedValues(encoding: ProductEncoding): Float32Array {
  const values = new Float32Array(trainedCount(encoding));
  let at = 0;
  for (const { codewords } of encoding.blocks) {
    values.set(codewords, at);
    at += codewords.length;
  }
  return values;
}

export const productReading: EncodingReading<ProductEncoding> = {
  kind: 'product',
  trainedCount,
  trainedValues,
  read: readProduct,
};

export const productOperations: EncodingOperations<ProductEncoding> = {
  kind: 'product',
  trainedCount,
  trainedValues,
  read: readProduct,
  write: writeProduct,

  decode(encoding, out) {
    const { rows, columns } = matrixSides(encoding.shape);
    const values = out ?? new Float32Array(rows * columns);
    checkLength('decode', 'out', values, rows * columns);
    for (const { first, subspaceCount: M, subvectorLength: d, codewords, codes, signs } of encoding.blocks) {
      for (let r = 0; r < rows; r++) {
        for (let m = 0; m < M; m++) {
          const i = r * M + m,
            to = r * columns + first + m * d,
            codeword = codes[i] * d;
          for (let j = 0; j < d; j++) {
            const value = codewords[codeword + j];
            values[to + j] = signs && isNegative(signs, i * d + j) ? -value : value;
          }
        }
      }
    }
    return values;
  },

  /** Codewords that are no longer halves are stored as float32 from then on: rounding is never a side effect. */
  withTrainedValues(encoding, values) {
    checkLength('withTrainedValues', 'values', values, trainedCount(encoding));
    let at = 0;
    const blocks = encoding.blocks.map((block) => ({
      ...block,
      codewords: values.slice(at, (at += codewordValues(block))),
    }));
    const stillHalves = encoding.codewordPrecision === 'float16' && areHalves(values);
    return { ...encoding, blocks, codewordPrecision: stillHalves ? 'float16' : 'float32' };
  },

  /** The transpose of `decode` as a linear function of the codewords, summed in double in the order of the members. */
  pullback(encoding, gradient) {
    const { rows, columns } = matrixSides(encoding.shape),
      size = trainedCount(encoding);
    checkLength('pullback', 'gradient', gradient, rows * columns);
    const sums = new Float64Array(size),
      counts = new Float32Array(size);
    let start = 0;
    for (const block of encoding.blocks) {
      const { first, subspaceCount: M, subvectorLength: d, codes, signs } = block;
      for (let r = 0; r < rows; r++) {
        for (let m = 0; m < M; m++) {
          const i = r * M + m,
            from = r * columns + first + m * d,
            codeword = start + codes[i] * d;
          for (let j = 0; j < d; j++) {
            const value = gradient[from + j];
            sums[codeword + j] += signs && isNegative(signs, i * d + j) ? -value : value;
            counts[codeword + j] += 1;
          }
        }
      }
      start += codewordValues(block);
    }
    const summed = gradient instanceof Float64Array ? sums : Float32Array.from(sums);
    return { gradient: summed as typeof gradient, counts };
  },

  /**
   * Codes and signs of a block fill whole bytes; the bits left over in the last byte are counted, as they are written.
   */
  size(encoding) {
    const { rows } = matrixSides(encoding.shape);
    let codes = 0,
      signs = 0,
      coordinates = 0;
    for (const block of encoding.blocks) {
      const members = rows * block.subspaceCount;
      codes += 8 * packedBytes(members, codeWidth(block.codewordCount));
      if (block.signs) signs += 8 * packedBytes(members * block.subvectorLength, 1);
      coordinates += codewordValues(block);
    }
    const codebooks = coordinates * (encoding.codewordPrecision === 'float16' ? 16 : 32);
    return { values: 0, codes, signs, codebooks, total: codes + signs + codebooks };
  },
};

/**
 * The same weights, bit for bit, with no codeword coordinate below zero where signs are apart: a negative one (training
 * moves them there), or -0, is negated and the signs of its members in that coordinate are flipped.
 */
export function canonicalSigns(encoding: ProductEncoding): ProductEncoding {
  return { ...encoding, blocks: encoding.blocks.map(canonicalBlock) };
}

function canonicalBlock(block: ProductBlock): ProductBlock {
  const { subvectorLength: d, codewords, codes, signs } = block;
  const below = (value: number): boolean => value < 0 || Object.is(value, -0);
  if (!signs || !codewords.some(below)) return block;
  const flipped = signs.slice();
  for (let i = 0; i < codes.length; i++) {
    for (let j = 0; j < d; j++) {
      if (below(codewords[codes[i] * d + j])) flipped[(i * d + j) >> 3] ^= 1 << ((i * d + j) & 7);
    }
  }
  return { ...block, codewords: codewords.map((value) => (below(value) ? -value : value)), signs: flipped };
}

function isNegative(signs: Uint8Array, i: number): boolean {
  return ((signs[i >> 3] >> (i & 7)) & 1) === 1;
}
