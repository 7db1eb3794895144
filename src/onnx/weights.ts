/**
 * Encoded parameters as nodes of a model: what stands for the weights lies in the file as few bits as in ours, and is
 * decoded by operators of opset 13, once, when a runtime opens the model and folds what is constant.
 *
 * Codes of 8 or 16 bits are cast to indices. Others are packed, and unpacked by a table that says what is in each of the
 * 256 bytes (there are no operators on bits before opset 18); the table itself is computed in the graph.
 */
import { sizeOf } from '../base/tensor.ts';
import type { Shape } from '../base/tensor.ts';
import { codeWidth, packCodes } from '../encodings/bits.ts';
import { matrixSides } from '../encodings/checks.ts';
import { numberToHalf } from '../encodings/half.ts';
import { decode } from '../encodings/index.ts';
import type { Encoding, ProductBlock, ProductEncoding, ScalarEncoding } from '../encodings/types.ts';
import { addConstant, addNode, floatsOf, integersOf, once, smallIntegersOf } from './exporting.ts';
import type { Sheet } from './exporting.ts';
import { ELEMENT } from './messages.ts';

/** The dense values of an encoding, of its shape. */
export function decodedInGraph(sheet: Sheet, name: string, encoding: Encoding): string {
  if (encoding.kind === 'product') return product(sheet, name, encoding);
  if (encoding.kind === 'scalar') return scalar(sheet, name, encoding);
  // Where values stand would be told by running sums of the gaps, which readOnnx cannot read
  // yet; nor does it know signs alone.
  if (encoding.kind === 'sparse' || encoding.kind === 'binary') return decodedInFile(sheet, name, encoding);
  return addConstant(sheet, 'float', encoding.shape, encoding.data, name);
}

/** The same with all weights as floats in the file. */
export const decodedInFile = (sheet: Sheet, name: string, encoding: Encoding): string =>
  addConstant(sheet, 'float', encoding.shape, decode(encoding), name);

/** Blocks in a row that are decoded together: their codewords one after another, the codes of each from where its own begin. */
interface Run {
  readonly blocks: readonly ProductBlock[];
  /** M of all: sub-vectors in a row of weights. */
  readonly subspaces: number;
  /** d */
  readonly length: number;
  /** Bits of a code. */
  readonly width: number;
}

const exponentOf = ({ codewordExponent = 0 }: ProductBlock): number => codewordExponent;
const alike = (numbers: readonly number[]): boolean => numbers.every((one) => one === numbers[0]);

/** Runs as long as may be: a codebook for each of many sub-spaces would else be as many times the nodes. */
function runsOf(blocks: readonly ProductBlock[]): Run[] {
  const runs: Run[] = [];
  for (const block of blocks) {
    const last = runs.at(-1);
    const made: Run = {
      blocks: [...(last?.blocks ?? []), block],
      subspaces: (last?.subspaces ?? 0) + block.subspaceCount,
      length: block.subvectorLength,
      width: codeWidth(block.codewordCount),
    };
    const joins =
      last !== undefined &&
      last.length === made.length &&
      last.width === made.width &&
      made.width > 0 &&
      (last.blocks[0].signs === undefined) === (block.signs === undefined) &&
      // Powers of two of their own are a factor for each of equally many codewords.
      (alike(made.blocks.map(exponentOf)) || alike(made.blocks.map(({ codewordCount }) => codewordCount)));
    if (joins) runs[runs.length - 1] = made;
    else runs.push({ ...made, blocks: [block], subspaces: block.subspaceCount });
  }
  return runs;
}

/** Exponents of two by which halves are multiplied at once: what comes out is a normal float32, so that nothing is lost. */
const [LEAST_EXPONENT, MOST_EXPONENT] = [-102, 126];

/** Codewords of all blocks of a run, (all K, d), as floats. */
function codewordsOf(
  sheet: Sheet,
  name: string,
  { blocks, length: d }: Run,
  precision: ProductEncoding['codewordPrecision'],
): string {
  const wanted = `${name}.codewords`;
  const values = blocks.flatMap(({ codewords }) => [...codewords]);
  const shape = [values.length / d, d];
  const exponents = blocks.map(exponentOf);
  if (precision === 'float32') return addConstant(sheet, 'float', shape, Float32Array.from(values), wanted);
  const halves = Uint16Array.from(
    blocks.flatMap((block) => [...block.codewords].map((value) => numberToHalf(value * 2 ** -exponentOf(block)))),
  );
  const isOne = alike(exponents);
  const rows = isOne ? shape : [blocks.length, values.length / blocks.length];
  const stored = addConstant(sheet, 'float16', rows, halves, wanted);
  const floats = addNode(sheet, 'Cast', [stored], { to: ELEMENT.float });
  if (isOne && exponents[0] === 0) return floats;
  const all = isOne ? [exponents[0]] : exponents;
  const first = all.map((exponent) => Math.min(Math.max(exponent, LEAST_EXPONENT), MOST_EXPONENT));
  const rest = all.map((exponent, i) => exponent - first[i]);
  const powersOf = (of: readonly number[]): string =>
    floatsOf(sheet, of.map((exponent) => 2 ** exponent), [of.length, 1], `${wanted}.powers`); // prettier-ignore
  let scaled = addNode(sheet, 'Mul', [floats, powersOf(first)]);
  if (rest.some((exponent) => exponent !== 0)) scaled = addNode(sheet, 'Mul', [scaled, powersOf(rest)]);
  return isOne ? scaled : addNode(sheet, 'Reshape', [scaled, integersOf(sheet, shape)]);
}

/** Codes of a run, (rows, all M): of each block those that it has, as indices among the codewords of all. */
function indicesOf(sheet: Sheet, name: string, rows: number, { blocks, subspaces, width }: Run): string {
  const codes = new Uint16Array(rows * subspaces);
  const firsts: number[] = [];
  let codewords = 0;
  for (const { subspaceCount: M, codewordCount, codes: own } of blocks) {
    for (let r = 0; r < rows; r++) codes.set(own.subarray(r * M, (r + 1) * M), r * subspaces + firsts.length);
    firsts.push(...new Array<number>(M).fill(codewords));
    codewords += codewordCount;
  }
  const indices = unpacked(sheet, `${name}.codes`, codes, width, [rows, subspaces]);
  if (blocks.length === 1) return indices;
  return addNode(sheet, 'Add', [indices, smallIntegersOf(sheet, firsts)]);
}

/** Signs of a run in the order (row, sub-space, column), packed; undefined if its codewords have theirs. */
function signsOf(rows: number, { blocks, subspaces, length: d }: Run): Uint8Array | undefined {
  if (!blocks[0].signs || blocks.length === 1) return blocks[0].signs;
  const signs = new Uint8Array(Math.ceil((rows * subspaces * d) / 8));
  let before = 0;
  for (const { subspaceCount: M, signs: own = signs } of blocks) {
    for (let r = 0; r < rows; r++) {
      for (let i = 0; i < M * d; i++) {
        const from = r * M * d + i;
        const to = (r * subspaces + before) * d + i;
        if ((own[from >> 3] >> (from & 7)) & 1) signs[to >> 3] |= 1 << (to & 7);
      }
    }
    before += M;
  }
  return signs;
}

/** Weights of a run, (rows, all M, d). */
function runValues(
  sheet: Sheet,
  name: string,
  rows: number,
  run: Run,
  precision: ProductEncoding['codewordPrecision'],
): string {
  const codewords = codewordsOf(sheet, name, run, precision);
  const shape = [rows, run.subspaces, run.length];
  // A single codeword is everywhere.
  const [operator, chosen] =
    run.width === 0
      ? (['Expand', integersOf(sheet, shape)] as const)
      : (['Gather', indicesOf(sheet, name, rows, run)] as const);
  const magnitudes = addNode(sheet, operator, [codewords, chosen]);
  const signs = signsOf(rows, run);
  if (!signs) return magnitudes;
  const factors = fromBytes(sheet, `${name}.signs`, signs, signTable(sheet), 8, shape);
  return addNode(sheet, 'Mul', [magnitudes, factors]);
}

/** [256, 8]: the signs that are the bits of every byte, as factors. */
function signTable(sheet: Sheet): string {
  return once(sheet, 'signs of bytes', () => {
    const bits = addNode(sheet, 'Cast', [byteTable(sheet, 1)], { to: ELEMENT.float });
    const doubled = addNode(sheet, 'Mul', [bits, floatsOf(sheet, [-2], [1], '_-2')]);
    return addNode(sheet, 'Add', [doubled, floatsOf(sheet, [1], [1], '_1')]);
  });
}

function product(sheet: Sheet, name: string, { shape, blocks, codewordPrecision }: ProductEncoding): string {
  const { rows } = matrixSides(shape);
  const runs = runsOf(blocks);
  const parts = runs.map((run, i) => {
    if (runs.length === 1) return runValues(sheet, name, rows, run, codewordPrecision);
    const values = runValues(sheet, `${name}.${i}`, rows, run, codewordPrecision);
    const columns = integersOf(sheet, [rows, run.subspaces * run.length]);
    return addNode(sheet, 'Reshape', [values, columns]);
  });
  const [whole] = parts.length === 1 ? parts : [addNode(sheet, 'Concat', parts, { axis: 1 })];
  return addNode(sheet, 'Reshape', [whole, integersOf(sheet, shape)], {}, name);
}

function scalar(sheet: Sheet, name: string, { shape, bits, levels, scales, zeros }: ScalarEncoding): string {
  const perRow = scales.length > 1;
  const sides = perRow ? [scales.length] : [];
  const scale = addConstant(sheet, 'float', sides, scales, `${name}.scales`);
  const attributes = { axis: 0 };
  const stored = `${name}.levels`;
  if (zeros) {
    const zero = addConstant(sheet, 'uint8', sides, zeros, `${name}.zeros`);
    const codes =
      bits === 8
        ? addConstant(sheet, 'uint8', shape, levels, stored)
        : addNode(sheet, 'Cast', [unpacked(sheet, stored, levels, bits, shape)], { to: ELEMENT.uint8 });
    return addNode(sheet, 'DequantizeLinear', [codes, scale, zero], attributes, name);
  }
  // Symmetric levels with their middle taken off need no zero points, which would be a byte a row.
  const middle = 2 ** (bits - 1);
  const centred =
    bits === 8
      ? addConstant(sheet, 'int8', shape, new Int8Array(levels.map((level) => level - middle).buffer), stored)
      : addNode(
          sheet,
          'Sub',
          [unpacked(sheet, stored, levels, bits, shape), smallIntegersOf(sheet, [middle])],
          {},
          `${stored}.centred`,
        );
  return addNode(sheet, 'DequantizeLinear', [centred, scale], attributes, name);
}

/** Codes of `width` bits as int32 indices of this shape. */
function unpacked(sheet: Sheet, name: string, codes: ArrayLike<number>, width: number, shape: Shape): string {
  const cast = (stored: string): string => addNode(sheet, 'Cast', [stored], { to: ELEMENT.int32 });
  if (width === 8) return cast(addConstant(sheet, 'uint8', shape, Uint8Array.from(codes), name));
  if (width === 16) return cast(addConstant(sheet, 'uint16', shape, Uint16Array.from(codes), name));
  const bytes = packCodes(codes, width);
  if (8 % width === 0) return fromBytes(sheet, name, bytes, byteTable(sheet, width), 8 / width, shape);
  // Bit by bit: each has its worth in its code.
  const bits = fromBytes(sheet, name, bytes, byteTable(sheet, 1), 8, [codes.length, width]);
  const worth = smallIntegersOf(
    sheet,
    Array.from({ length: width }, (_, bit) => 2 ** bit),
  );
  const worths = addNode(sheet, 'Mul', [bits, worth]);
  const sums = addNode(sheet, 'ReduceSum', [worths, integersOf(sheet, [1])], { keepdims: 0 });
  return addNode(sheet, 'Reshape', [sums, integersOf(sheet, shape)]);
}

/** What a table has for each byte, one after another, as many as the shape has elements. */
function fromBytes(
  sheet: Sheet,
  name: string,
  bytes: Uint8Array,
  table: string,
  perByte: number,
  shape: Shape,
): string {
  const stored = addConstant(sheet, 'uint8', [bytes.length], bytes, name);
  const indices = addNode(sheet, 'Cast', [stored], { to: ELEMENT.int32 });
  let all = addNode(sheet, 'Gather', [table, indices]);
  const count = sizeOf(shape);
  if (bytes.length * perByte > count) {
    const row = addNode(sheet, 'Reshape', [all, integersOf(sheet, [-1])]);
    all = addNode(sheet, 'Slice', [row, integersOf(sheet, [0]), integersOf(sheet, [count])]);
  }
  return addNode(sheet, 'Reshape', [all, integersOf(sheet, shape)]);
}

/** [256, 8 / width]: the codes of `width` bits in every byte, lowest bit first. */
function byteTable(sheet: Sheet, width: number): string {
  return once(sheet, `codes of ${width} bits in bytes`, () => {
    const limits = [0, 256, 1].map((value) => smallIntegersOf(sheet, [value], []));
    const bytes = once(sheet, 'all bytes', () => {
      const row = addNode(sheet, 'Range', limits);
      return addNode(sheet, 'Reshape', [row, integersOf(sheet, [256, 1])]);
    });
    const steps = smallIntegersOf(
      sheet,
      Array.from({ length: 8 / width }, (_, i) => 2 ** (i * width)),
    );
    const moved = addNode(sheet, 'Div', [bytes, steps]);
    return addNode(sheet, 'Mod', [moved, smallIntegersOf(sheet, [2 ** width])]);
  });
}
