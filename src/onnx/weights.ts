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
  return addConstant(sheet, 'float', encoding.shape, encoding.data, name);
}

/** The same with all weights as floats in the file. */
export const decodedInFile = (sheet: Sheet, name: string, encoding: Encoding): string =>
  addConstant(sheet, 'float', encoding.shape, decode(encoding), name);

/** Largest exponent of two by which halves are multiplied at once: its power is a float32, and one above the least normal. */
const MOST_EXPONENT = 126;

/** Codewords [K, d] as floats. */
function codewordsOf(
  sheet: Sheet,
  name: string,
  { codewordCount: K, subvectorLength: d, codewords, codewordExponent = 0 }: ProductBlock,
  precision: ProductEncoding['codewordPrecision'],
): string {
  const wanted = `${name}.codewords`;
  if (precision === 'float32' || Math.abs(codewordExponent) > MOST_EXPONENT)
    return addConstant(sheet, 'float', [K, d], codewords, wanted);
  const halves = Uint16Array.from(codewords, (value) => numberToHalf(value * 2 ** -codewordExponent));
  const stored = addConstant(sheet, 'float16', [K, d], halves, wanted);
  const floats = addNode(sheet, 'Cast', [stored], { to: ELEMENT.float }, `${wanted}.float`);
  if (codewordExponent === 0) return floats;
  const power = floatsOf(sheet, [2 ** codewordExponent], [1], `_2^${codewordExponent}`);
  return addNode(sheet, 'Mul', [floats, power], {}, `${wanted}.scaled`);
}

/** Weights of a block, (rows, M, d). */
function blockValues(
  sheet: Sheet,
  name: string,
  rows: number,
  block: ProductBlock,
  precision: ProductEncoding['codewordPrecision'],
): string {
  const { subspaceCount: M, subvectorLength: d, codewordCount: K, codes, signs } = block;
  const codewords = codewordsOf(sheet, name, block, precision);
  const shape = [rows, M, d];
  const magnitudes =
    K === 1
      ? addNode(sheet, 'Expand', [codewords, integersOf(sheet, shape)], {}, `${name}.values`)
      : addNode(
          sheet,
          'Gather',
          [codewords, unpacked(sheet, `${name}.codes`, codes, codeWidth(K), [rows, M])],
          {},
          `${name}.values`,
        );
  if (!signs) return magnitudes;
  // Of each byte the eight signs, as factors.
  const table = once(sheet, 'signs of bytes', () => {
    const bits = addNode(sheet, 'Cast', [byteTable(sheet, 1)], { to: ELEMENT.float }, '_bits');
    const doubled = addNode(sheet, 'Mul', [bits, floatsOf(sheet, [-2], [1], '_-2')], {}, '_doubled');
    return addNode(sheet, 'Add', [doubled, floatsOf(sheet, [1], [1], '_1.0')], {}, '_signs');
  });
  const factors = fromBytes(sheet, `${name}.signs`, signs, table, 8, shape);
  return addNode(sheet, 'Mul', [magnitudes, factors], {}, `${name}.signed`);
}

function product(sheet: Sheet, name: string, { shape, blocks, codewordPrecision }: ProductEncoding): string {
  const { rows } = matrixSides(shape);
  const parts = blocks.map((block, b) => {
    const part = blocks.length === 1 ? name : `${name}.${b}`;
    const values = blockValues(sheet, part, rows, block, codewordPrecision);
    if (blocks.length === 1) return values;
    const columns = block.subspaceCount * block.subvectorLength;
    return addNode(sheet, 'Reshape', [values, integersOf(sheet, [rows, columns])], {}, `${part}.columns`);
  });
  const [whole] = parts.length === 1 ? parts : [addNode(sheet, 'Concat', parts, { axis: 1 }, `${name}.blocks`)];
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
        : addNode(
            sheet,
            'Cast',
            [unpacked(sheet, stored, levels, bits, shape)],
            { to: ELEMENT.uint8 },
            `${stored}.uint8`,
          );
    return addNode(sheet, 'DequantizeLinear', [codes, scale, zero], attributes, name);
  }
  // Symmetric levels with their middle taken off need no zero points, which would be a byte a row.
  const middle = 2 ** (bits - 1);
  const centred =
    bits === 8
      ? addConstant(
          sheet,
          'int8',
          shape,
          Int8Array.from(levels, (level) => level - middle),
          stored,
        )
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
  const cast = (stored: string): string => addNode(sheet, 'Cast', [stored], { to: ELEMENT.int32 }, `${name}.int32`);
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
  const worths = addNode(sheet, 'Mul', [bits, worth], {}, `${name}.worths`);
  const sums = addNode(sheet, 'ReduceSum', [worths, integersOf(sheet, [1])], { keepdims: 0 }, `${name}.sums`);
  return addNode(sheet, 'Reshape', [sums, integersOf(sheet, shape)], {}, `${name}.indices`);
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
  const indices = addNode(sheet, 'Cast', [stored], { to: ELEMENT.int32 }, `${name}.bytes`);
  let all = addNode(sheet, 'Gather', [table, indices], {}, `${name}.table`);
  const count = sizeOf(shape);
  if (bytes.length * perByte > count) {
    const row = addNode(sheet, 'Reshape', [all, integersOf(sheet, [-1])], {}, `${name}.row`);
    all = addNode(sheet, 'Slice', [row, integersOf(sheet, [0]), integersOf(sheet, [count])], {}, `${name}.used`);
  }
  return addNode(sheet, 'Reshape', [all, integersOf(sheet, shape)], {}, `${name}.unpacked`);
}

/** [256, 8 / width]: the codes of `width` bits in every byte, lowest bit first. */
function byteTable(sheet: Sheet, width: number): string {
  return once(sheet, `codes of ${width} bits in bytes`, () => {
    const limits = [0, 256, 1].map((value) => smallIntegersOf(sheet, [value], []));
    const bytes = once(sheet, 'all bytes', () => {
      const row = addNode(sheet, 'Range', limits, {}, '_bytes');
      return addNode(sheet, 'Reshape', [row, integersOf(sheet, [256, 1])], {}, '_byteColumn');
    });
    const steps = smallIntegersOf(
      sheet,
      Array.from({ length: 8 / width }, (_, i) => 2 ** (i * width)),
    );
    const moved = addNode(sheet, 'Div', [bytes, steps], {}, `_moved${width}`);
    return addNode(sheet, 'Mod', [moved, smallIntegersOf(sheet, [2 ** width])], {}, `_table${width}`);
  });
}
