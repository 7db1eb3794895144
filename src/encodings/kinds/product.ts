/**
 * Product encoding (Jégou, Douze, Schmid, "Product Quantization for Nearest Neighbor Search", TPAMI 2011, section
 * II-B), with signs apart as in Zeng, Zhao, Bao 2016. The parameter is a matrix of shape[0] rows. Glossary: M
 * sub-spaces of a block, d columns in each, K codewords, r row, m sub-space, j coordinate.
 *
 * In a file it is three tensors: `.codes` (U8; codes of ⌈log2 K⌉ bits, lowest bit first, each block from a whole byte),
 * `.signs` (U8; one bit per weight, each block from a whole byte; absent without signs) and `.codewords` (F32 or F16;
 * blocks one after another). The header has one row per block: [M, d, K, 1 with signs apart or 0 without], and behind
 * it an exponent e where the halves of the block are to be multiplied by 2^e; a block starts at the column where the one
 * before it ends.
 */
import { concatenateBytes } from '../../base/bytes.ts';
import { checkFinite, show } from '../../base/errors.ts';
import { arrayName } from '../../base/realm.ts';
import type { Shape } from '../../base/tensor.ts';
import { checkLeftOver, codeWidth, packCodes, packedBytes, unpackCodes } from '../bits.ts';
import {
  checkBytes,
  checkDtype,
  checkLength,
  floatsOf,
  halvesOf,
  headerShape,
  invalid,
  matrixSides,
} from '../checks.ts';
import { areHalves, halfBytes, halfExponent, roundToHalves } from '../half.ts';
import type {
  EncodingHeader,
  EncodingOperations,
  EncodingPlace,
  EncodingReading,
  EncodingSize,
  Length,
  StoredTensor,
} from '../kind.ts';

/**
 * A range of columns of the weight matrix that shares one codebook: columns [first, first + M d), cut in M sub-spaces
 * of d columns. A codebook per layer is one block (and a second one, M = 1, for the columns that d leaves over); a
 * codebook per sub-space is M blocks with M = 1.
 */
export interface ProductBlock {
  /** First column. */
  readonly first: number;
  /** M: sub-spaces in the block. */
  readonly subspaceCount: number;
  /** d: columns per sub-space. */
  readonly subvectorLength: number;
  /** K: 2 to 65536 (1 where all sub-vectors are alike). */
  readonly codewordCount: number;
  /**
   * (K, d). With signs apart they stand for absolute values, but training may move them below zero;
   * {@link canonicalSigns} mends that.
   */
  readonly codewords: Float32Array;
  /** With codewords in half precision: they are halves times 2^this. Absent: 0. */
  readonly codewordExponent?: number;
  /** (rows, M), each below K. */
  readonly codes: Uint16Array;
  /**
   * With signs apart: one bit per weight of the block in the order (row, m, j), 1 = negative; bit (i & 7) of byte i >>
   * 3.
   */
  readonly signs?: Uint8Array;
}

/** Product quantization (Jégou, Douze, Schmid 2011) of the parameter seen as a matrix of shape[0] rows. */
export interface ProductEncoding {
  readonly kind: 'product';
  readonly shape: Shape;
  /** Ascending in `first`; together they cover every column once. */
  readonly blocks: readonly ProductBlock[];
  /**
   * How codewords are stored. Rounding them to halves is a transform of its own, so with 'float16' every codeword is a
   * half already, times the power of two of its block.
   */
  readonly codewordPrecision: 'float32' | 'float16';
}

/** Where a product encoding lies on a heap: `values` are the codewords of all blocks in order. */
export interface ProductPlace extends EncodingPlace {
  /** Per block: offset of the codes, a word each. */
  readonly codes: readonly number[];
  /** Per block: offset of the signs, 32 in a word; -1: none. */
  readonly signs: readonly number[];
}

/** Most codewords of a block: codes are 16 bits. */
const MOST_CODEWORDS = 65536;
/** Exponents of two that take halves to float32: the least float32 from the largest halves, and the other way round. */
const [LEAST_EXPONENT, LARGEST_EXPONENT] = [-164, 151];

/** Number of codeword coordinates of a block. */
function codewordValues({ codewordCount, subvectorLength }: ProductBlock): number {
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

function read(name: string, header: EncodingHeader, get: (suffix: string) => StoredTensor): ProductEncoding {
  const shape = headerShape(name, header.shape);
  const { rows, columns } = matrixSides(shape);
  const layout = checkLayout(name, header.blocks, rows, columns);
  const storedCodes = get('.codes');
  const storedCodewords = get('.codewords');
  const storedSigns = layout.some((block) => block.hasSigns) ? get('.signs') : undefined;

  checkDtype(`${name}.codes`, storedCodes, 'U8');
  checkDtype(`${name}.codewords`, storedCodewords, 'F32', 'F16');
  if (storedSigns) checkDtype(`${name}.signs`, storedSigns, 'U8');
  const perCodeword = storedCodewords.dtype === 'F16' ? 2 : 4;
  const total = (bytes: (block: BlockLayout) => number): number => layout.reduce((sum, block) => sum + bytes(block), 0);
  const codeBytes = (block: BlockLayout): number => packedBytes(rows * block.M, codeWidth(block.K));
  const signBytes = (block: BlockLayout): number => (block.hasSigns ? packedBytes(rows * block.M * block.d, 1) : 0);
  checkBytes(`${name}.codes`, storedCodes, total(codeBytes));
  checkBytes(
    `${name}.codewords`,
    storedCodewords,
    total((block) => block.K * block.d * perCodeword),
  );
  if (storedSigns) checkBytes(`${name}.signs`, storedSigns, total(signBytes));
  const codewords = perCodeword === 2 ? halvesOf(storedCodewords.bytes) : floatsOf(storedCodewords.bytes);
  checkFinite('read', `${name}.codewords`, codewords);
  let codesAt = 0;
  let signsAt = 0;
  let codewordsAt = 0;
  const blocks = layout.map((block, index): ProductBlock => {
    const { first, M, d, K, hasSigns, exponent } = block;
    const codes = unpackCodes(
      storedCodes.bytes.subarray(codesAt, (codesAt += codeBytes(block))),
      rows * M,
      codeWidth(K),
      `${name}.codes`,
    );
    const wrong = codes.findIndex((code) => code >= K);
    if (wrong >= 0)
      throw invalid(
        name,
        `codes: expected indices below ${K}, got ${codes[wrong]} for sub-vector ${wrong} of the block at column ${first}`,
        codes[wrong],
      );
    const halves = codewords.slice(codewordsAt, (codewordsAt += K * d));
    if (exponent !== 0 && (perCodeword !== 2 || !halves.every((half) => Number.isFinite(scaled(half, exponent)))))
      throw invalid(
        name,
        `blocks[${index}]: exponent: expected halves that 2^${exponent} takes to float32 numbers, got ${storedCodewords.dtype} codewords that it does not`,
        exponent,
      );
    const fields = {
      first,
      subspaceCount: M,
      subvectorLength: d,
      codewordCount: K,
      codewords: exponent === 0 ? halves : halves.map((half) => scaled(half, exponent)),
      ...(exponent !== 0 && { codewordExponent: exponent }),
      codes,
    };
    if (!storedSigns || !hasSigns) return fields;
    const signs = new Uint8Array(storedSigns.bytes.subarray(signsAt, (signsAt += signBytes(block))));
    checkLeftOver('read', `${name}.signs`, signs, rows * M * d);
    return { ...fields, signs };
  });
  return { kind: 'product', shape, blocks, codewordPrecision: perCodeword === 2 ? 'float16' : 'float32' };
}

interface BlockLayout {
  readonly first: number;
  readonly M: number;
  readonly d: number;
  readonly K: number;
  readonly hasSigns: boolean;
  readonly exponent: number;
}

/** Blocks that cover the columns once, from the header. Nothing is allocated by the numbers in it. */
function checkLayout(name: string, blocks: unknown, rows: number, columns: number): BlockLayout[] {
  if (rows < 1 || columns < 1)
    throw invalid(
      name,
      `shape: expected at least one sub-vector, got ${rows} rows of ${columns} columns`,
      rows * columns,
    );
  if (!Array.isArray(blocks) || blocks.length === 0)
    throw invalid(name, `blocks: expected at least one row [M, d, K, signs], got ${show(blocks)}`, blocks);
  let first = 0;
  const layout = blocks.map((block: unknown, index): BlockLayout => {
    const whole =
      Array.isArray(block) &&
      (block.length === 4 || block.length === 5) &&
      block.every((field) => Number.isSafeInteger(field));
    if (!whole)
      throw invalid(
        name,
        `blocks[${index}]: expected four whole numbers [M, d, K, signs] or five with an exponent, got ${show(block)}`,
        block,
      );
    const [M, d, K, signs, exponent = 0] = block as [number, number, number, number, number?];
    if (M < 1 || d < 1 || M * d > columns - first)
      throw invalid(
        name,
        `blocks[${index}]: ${M} sub-spaces of ${d} columns do not fit in the ${columns - first} columns from ${first} on`,
        block,
      );
    if (K < 1 || K > MOST_CODEWORDS)
      throw invalid(name, `blocks[${index}]: expected 1 to ${MOST_CODEWORDS} codewords, got ${K}`, K);
    if (signs !== 0 && signs !== 1)
      throw invalid(name, `blocks[${index}]: signs: expected 0 or 1, got ${signs}`, signs);
    if (exponent < LEAST_EXPONENT || exponent > LARGEST_EXPONENT)
      throw invalid(
        name,
        `blocks[${index}]: exponent: expected ${LEAST_EXPONENT} to ${LARGEST_EXPONENT}, got ${exponent}`,
        exponent,
      );
    const start = first;
    first += M * d;
    return { first: start, M, d, K, hasSigns: signs === 1, exponent };
  });
  if (first !== columns) throw invalid(name, `blocks: expected them to cover ${columns} columns, got ${first}`, first);
  return layout;
}

/** half x 2^exponent; NaN where that is no float32. */
function scaled(half: number, exponent: number): number {
  const value = half * 2 ** exponent;
  return Math.fround(value) === value ? value : NaN;
}

function lengths({ shape, blocks }: ProductEncoding): Length[] {
  const { rows, columns } = matrixSides(shape);
  return [
    ...blocks.flatMap(
      ({ subspaceCount: M, subvectorLength: d, codewordCount: K, codes, codewords, signs }): Length[] => [
        ['codes of a block', codes.length, rows * M],
        ['codeword values of a block', codewords.length, K * d],
        ...(signs ? [['bytes of signs of a block', signs.length, packedBytes(rows * M * d, 1)] as const] : []),
      ],
    ),
    [
      'columns of all blocks',
      blocks.reduce((sum, { subspaceCount, subvectorLength }) => sum + subspaceCount * subvectorLength, 0),
      columns,
    ],
  ];
}

/** The half that a page carries which runs a model. */
export const productReading: EncodingReading<ProductEncoding, ProductPlace> = {
  kind: 'product',
  trainedCount,
  trainedValues,
  read,
  lengths,
  place(encoding, { dense, source }) {
    const { rows } = matrixSides(encoding.shape);
    const values = source(trainedCount(encoding));
    const codes: number[] = [];
    const signs: number[] = [];
    for (const { subspaceCount: M, subvectorLength: d, signs: apart } of encoding.blocks) {
      codes.push(source(rows * M));
      signs.push(apart ? source(Math.ceil((rows * M * d) / 32)) : -1);
    }
    return { dense, values, codes, signs };
  },
  fill(heap, { values, codes, signs }, encoding) {
    heap.float.set(trainedValues(encoding), values);
    encoding.blocks.forEach((block, b) => {
      heap.int.set(block.codes, codes[b]);
      if (!block.signs) return;
      const words = Math.ceil(block.signs.length / 4);
      const padded = new Uint8Array(words * 4);
      padded.set(block.signs);
      // Little-endian by construction, whatever the machine: bit i of the block is bit i & 31 of word i >> 5.
      for (let i = 0; i < words; i++)
        heap.int[signs[b] + i] =
          padded[4 * i] | (padded[4 * i + 1] << 8) | (padded[4 * i + 2] << 16) | (padded[4 * i + 3] << 24);
    });
  },
  decodeOnHeap(encoding, { dense, values, codes, signs }, run) {
    forEachBlock(encoding, (block, b, start) =>
      run('codebookDecode', { ...block, codewords: values + start, codes: codes[b], signs: signs[b], to: dense }),
    );
  },
};

/** What the kernels ask of each block, its number, and where its codewords begin among those of all. */
function forEachBlock(
  { shape, blocks }: ProductEncoding,
  visit: (
    block: Record<'columns' | 'first' | 'rows' | 'subspaceCount' | 'subvectorLength' | 'codewordCount', number>,
    b: number,
    start: number,
  ) => void,
): void {
  let start = 0;
  blocks.forEach((block, b) => {
    const { first, subspaceCount, subvectorLength, codewordCount } = block;
    visit({ ...matrixSides(shape), first, subspaceCount, subvectorLength, codewordCount }, b, start);
    start += codewordValues(block);
  });
}

/** The other half: training, writing, reports. */
export const productOperations: EncodingOperations<ProductEncoding, ProductPlace> = {
  kind: 'product',

  decode(encoding, out) {
    const { rows, columns } = matrixSides(encoding.shape);
    const values = out ?? new Float32Array(rows * columns);
    checkLength('decode', 'out', values, rows * columns);
    for (const { first, subspaceCount: M, subvectorLength: d, codewords, codes, signs } of encoding.blocks) {
      for (let r = 0; r < rows; r++) {
        for (let m = 0; m < M; m++) {
          const i = r * M + m;
          const to = r * columns + first + m * d;
          const codeword = codes[i] * d;
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
    const blocks = encoding.blocks.map((block): ProductBlock => ({
      ...block,
      codewords: values.slice(at, (at += codewordValues(block))),
    }));
    if (
      encoding.codewordPrecision === 'float16' &&
      blocks.every(({ codewords, codewordExponent }) => areHalves(codewords, codewordExponent))
    )
      return { ...encoding, blocks };
    return {
      ...encoding,
      blocks: blocks.map(({ codewordExponent: _ofHalves, ...block }) => block),
      codewordPrecision: 'float32',
    };
  },

  /** Summed in double in the order of the members. */
  pullback(encoding, gradient) {
    const { rows, columns } = matrixSides(encoding.shape);
    checkLength('pullback', 'gradient', gradient, rows * columns);
    const sums = new Float64Array(trainedCount(encoding));
    let start = 0;
    for (const block of encoding.blocks) {
      const { first, subspaceCount: M, subvectorLength: d, codes, signs } = block;
      for (let r = 0; r < rows; r++) {
        for (let m = 0; m < M; m++) {
          const i = r * M + m;
          const from = r * columns + first + m * d;
          const codeword = start + codes[i] * d;
          for (let j = 0; j < d; j++) {
            const value = gradient[from + j];
            sums[codeword + j] += signs && isNegative(signs, i * d + j) ? -value : value;
          }
        }
      }
      start += codewordValues(block);
    }
    return (arrayName(gradient) === 'Float64Array' ? sums : Float32Array.from(sums)) as typeof gradient;
  },

  /** Members of each codeword, for each of its coordinates. */
  counts(encoding) {
    const counts = new Float32Array(trainedCount(encoding));
    let start = 0;
    for (const block of encoding.blocks) {
      const { subvectorLength: d, codes } = block;
      for (const code of codes) for (let j = 0; j < d; j++) counts[start + code * d + j] += 1;
      start += codewordValues(block);
    }
    return counts;
  },

  pullbackOnHeap(encoding, { codes, signs }, { dense, values }, run) {
    forEachBlock(encoding, (block, b, start) =>
      run('codebookPullback', {
        ...block,
        gradient: dense,
        codes: codes[b],
        signs: signs[b],
        dcodewords: values + start,
      }),
    );
  },

  /** Blocks of the same sizes, signs where the other has them. */
  structure: ({ blocks }) =>
    blocks.flatMap(({ first, subspaceCount, subvectorLength, codewordCount, codes, codewords, signs }) => [
      first,
      subspaceCount,
      subvectorLength,
      codewordCount,
      codes.length,
      codewords.length,
      signs?.length ?? -1,
    ]),

  size({ shape, blocks, codewordPrecision }) {
    return productSize(
      matrixSides(shape).rows,
      blocks.map((block) => ({ ...block, hasSigns: block.signs !== undefined })),
      codewordPrecision,
    );
  },
  write,
  canonical: canonicalSigns,

  toHalves(encoding) {
    if (encoding.codewordPrecision === 'float16') return encoding;
    const blocks = encoding.blocks.map(({ codewordExponent: _former, ...block }): ProductBlock => {
      const exponent = halfExponent(block.codewords);
      return {
        ...block,
        codewords: roundToHalves(block.codewords, exponent),
        ...(exponent !== 0 && { codewordExponent: exponent }),
      };
    });
    if (!blocks.every(({ codewords }) => codewords.every(Number.isFinite))) return undefined;
    return { ...encoding, blocks, codewordPrecision: 'float16' };
  },

  describe: ({ blocks }) => productWords(blocks, blocks[0].signs !== undefined),
};

/** '256 codewords of 4, signs apart': those of the first block stand for all. */
export function productWords(
  blocks: readonly Pick<ProductBlock, 'codewordCount' | 'subvectorLength'>[],
  signsApart: boolean,
): string {
  const [{ codewordCount, subvectorLength }] = blocks;
  const books = blocks.length === 1 ? '' : `, ${blocks.length} codebooks`;
  return `${codewordCount} codewords of ${subvectorLength}${signsApart ? ', signs apart' : ''}${books}`;
}

/**
 * Bits of blocks of `rows` rows, before there are any codewords or codes. Codes and signs of a block fill whole bytes;
 * the bits left over in the last byte are counted, as they are written.
 */
export function productSize(
  rows: number,
  blocks: readonly (Pick<ProductBlock, 'subspaceCount' | 'subvectorLength' | 'codewordCount'> & {
    readonly hasSigns: boolean;
  })[],
  codewordPrecision: ProductEncoding['codewordPrecision'],
): EncodingSize {
  let codes = 0;
  let signs = 0;
  let coordinates = 0;
  for (const { subspaceCount, subvectorLength, codewordCount, hasSigns } of blocks) {
    const members = rows * subspaceCount;
    codes += 8 * packedBytes(members, codeWidth(codewordCount));
    if (hasSigns) signs += 8 * packedBytes(members * subvectorLength, 1);
    coordinates += codewordCount * subvectorLength;
  }
  const codebooks = coordinates * (codewordPrecision === 'float16' ? 16 : 32);
  return { values: 0, codes, signs, codebooks, total: codes + signs + codebooks };
}

function write(encoding: ProductEncoding): { header: EncodingHeader; tensors: StoredTensor[] } {
  const { shape, blocks, codewordPrecision } = encoding;
  const codes = concatenateBytes(blocks.map((block) => packCodes(block.codes, codeWidth(block.codewordCount))));
  const cells = blocks.map(({ codes: { length }, codewordCount, subspaceCount }) => ({
    bits: codeWidth(codewordCount),
    count: length,
    columns: subspaceCount,
  }));
  const signs = concatenateBytes(blocks.map((block) => block.signs ?? new Uint8Array(0)));
  const codewords = concatenateBytes(blocks.map((block) => codewordBytes(block, codewordPrecision)));
  const perCodeword = codewordPrecision === 'float16' ? 2 : 4;
  return {
    header: {
      kind: 'product',
      shape,
      blocks: blocks.map((block) => [
        block.subspaceCount,
        block.subvectorLength,
        block.codewordCount,
        block.signs ? 1 : 0,
        ...(codewordPrecision === 'float16' && block.codewordExponent ? [block.codewordExponent] : []),
      ]),
    },
    tensors: [
      { suffix: '.codes', dtype: 'U8', shape: [codes.length], bytes: codes, cells },
      ...(blocks.some((block) => block.signs)
        ? [{ suffix: '.signs', dtype: 'U8', shape: [signs.length], bytes: signs } as const]
        : []),
      {
        suffix: '.codewords',
        dtype: perCodeword === 2 ? 'F16' : 'F32',
        shape: [codewords.length / perCodeword],
        bytes: codewords,
      },
    ],
  };
}

function codewordBytes(
  { codewords, codewordExponent = 0 }: ProductBlock,
  precision: ProductEncoding['codewordPrecision'],
): Uint8Array {
  if (precision === 'float32') return new Uint8Array(codewords.slice().buffer);
  if (!areHalves(codewords, codewordExponent))
    throw new RangeError(
      `write: codewords: expected halves with codewordPrecision 'float16', got others; apply roundCodebooks() first, or store 'float32'`,
    );
  return halfBytes(codewords, codewordExponent);
}

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
