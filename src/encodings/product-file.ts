/**
 * Product encodings in a file. Three tensors: `.codes` (U8; codes of ⌈log2 K⌉ bits, lowest bit first, each block from a
 * whole byte), `.signs` (U8; one bit per weight, each block from a whole byte; absent without signs) and `.codewords`
 * (F32 or F16; blocks one after another). The header has one row per block: [M, d, K, 1 with signs apart or 0 without];
 * a block starts at the column where the one before it ends.
 */
import { EspalierError, checkFinite, show } from '../base/errors.ts';
import { checkLeftOver, codeWidth, packCodes, packedBytes, unpackCodes } from './bits.ts';
import { floatsOf, headerShape, matrixSides } from './checks.ts';
import { areHalves, halfToNumber, numberToHalf } from './half.ts';
import type { EncodingHeader, ProductBlock, ProductEncoding, StoredTensor } from './types.ts';

/** Most codewords of a block: codes are 16 bits. */
export const MOST_CODEWORDS = 65536;
/** A file may decode to this many weights whatever its own size ... */
const FREE_WEIGHTS = 2 ** 24;
/** ... and beyond that to this many per byte stored. One code of one bit for a sub-vector of 512 reaches it. */
const WEIGHTS_PER_BYTE = 4096;

export function writeProduct(encoding: ProductEncoding): { header: EncodingHeader; tensors: StoredTensor[] } {
  const { shape, blocks, codewordPrecision } = encoding;
  const codes = concatenate(blocks.map((block) => packCodes(block.codes, codeWidth(block.codewordCount))));
  const signs = concatenate(blocks.map((block) => block.signs ?? new Uint8Array(0)));
  const codewords = concatenate(blocks.map((block) => codewordBytes(block.codewords, codewordPrecision)));
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
      ]),
    },
    tensors: [
      { suffix: '.codes', dtype: 'U8', shape: [codes.length], bytes: codes },
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

export function readProduct(
  name: string,
  header: EncodingHeader,
  get: (suffix: string) => StoredTensor,
): ProductEncoding {
  const shape = headerShape(name, header.shape);
  const { rows, columns } = matrixSides(shape);
  const layout = checkLayout(name, header.blocks, rows, columns);
  const storedCodes = get('.codes'),
    storedCodewords = get('.codewords');
  const storedSigns = layout.some((block) => block.hasSigns) ? get('.signs') : undefined;

  expectDtype(`${name}.codes`, storedCodes, ['U8']);
  expectDtype(`${name}.codewords`, storedCodewords, ['F32', 'F16']);
  if (storedSigns) expectDtype(`${name}.signs`, storedSigns, ['U8']);
  const perCodeword = storedCodewords.dtype === 'F16' ? 2 : 4;
  const total = (bytes: (block: BlockLayout) => number): number => layout.reduce((sum, block) => sum + bytes(block), 0);
  const codeBytes = (block: BlockLayout): number => packedBytes(rows * block.M, codeWidth(block.K));
  const signBytes = (block: BlockLayout): number => (block.hasSigns ? packedBytes(rows * block.M * block.d, 1) : 0);
  expectBytes(`${name}.codes`, storedCodes, total(codeBytes));
  expectBytes(
    `${name}.codewords`,
    storedCodewords,
    total((block) => block.K * block.d * perCodeword),
  );
  if (storedSigns) expectBytes(`${name}.signs`, storedSigns, total(signBytes));
  const stored = storedCodes.bytes.length + storedCodewords.bytes.length + (storedSigns?.bytes.length ?? 0);
  const limit = Math.max(FREE_WEIGHTS, WEIGHTS_PER_BYTE * stored);
  if (rows * columns > limit)
    throw new EspalierError(
      'BUDGET',
      `read: ${name}: ${rows * columns} weights from ${stored} bytes are more than the ${limit} that are allowed; the file is damaged or hostile`,
      { name, limit, found: rows * columns },
    );

  const codewords = perCodeword === 2 ? halvesOf(storedCodewords.bytes) : floatsOf(storedCodewords.bytes);
  checkFinite('read', `${name}.codewords`, codewords);
  let codesAt = 0,
    signsAt = 0,
    codewordsAt = 0;
  const blocks = layout.map((block): ProductBlock => {
    const { first, M, d, K, hasSigns } = block;
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
    const fields = {
      first,
      subspaceCount: M,
      subvectorLength: d,
      codewordCount: K,
      codewords: codewords.slice(codewordsAt, (codewordsAt += K * d)),
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
    const whole = Array.isArray(block) && block.length === 4 && block.every((field) => Number.isSafeInteger(field));
    if (!whole)
      throw invalid(name, `blocks[${index}]: expected four whole numbers [M, d, K, signs], got ${show(block)}`, block);
    const [M, d, K, signs] = block as [number, number, number, number];
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
    const start = first;
    first += M * d;
    return { first: start, M, d, K, hasSigns: signs === 1 };
  });
  if (first !== columns) throw invalid(name, `blocks: expected them to cover ${columns} columns, got ${first}`, first);
  return layout;
}

function invalid(name: string, what: string, found: unknown): EspalierError {
  return new EspalierError('PQ_PARAM', `read: ${name}: ${what}`, { name, found });
}

function expectDtype(name: string, { dtype }: StoredTensor, allowed: readonly StoredTensor['dtype'][]): void {
  if (!allowed.includes(dtype))
    throw new EspalierError(
      'FIELD',
      `read: ${name}: expected a tensor of ${allowed.join(' or ')}, got ${show(dtype)}`,
      { name, found: dtype },
    );
}

function expectBytes(name: string, { bytes }: StoredTensor, expected: number): void {
  if (bytes.length !== expected) throw invalid(name, `expected ${expected} bytes, got ${bytes.length}`, bytes.length);
}

function codewordBytes(codewords: Float32Array, precision: ProductEncoding['codewordPrecision']): Uint8Array {
  if (precision === 'float32') return new Uint8Array(codewords.slice().buffer);
  if (!areHalves(codewords))
    throw new RangeError(
      `write: codewords: expected halves with codewordPrecision 'float16', got others; apply roundCodebooks() first, or store 'float32'`,
    );
  return new Uint8Array(Uint16Array.from(codewords, numberToHalf).buffer);
}

function halvesOf(bytes: Uint8Array): Float32Array {
  return Float32Array.from(new Uint16Array(new Uint8Array(bytes).buffer), halfToNumber);
}

function concatenate(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
