/**
 * A safetensors file packed: one tensor of bytes, 'packed', that holds the metadata and tensors of another file coded as
 * small as they become. Any reader of safetensors opens it and finds that one tensor; {@link unpackSafetensors} finds
 * what was packed.
 *
 * The bytes: two lengths of 32 bits, little endian, of the header and of what is coded; what is coded, one run of the range
 * coder: the header, then the coded parts of the tensors; at last the parts that are stored as they are or by Huffman
 * codes, which version 2 has beside all that version 1 has. The header is
 * that of a safetensors file, but the tensors have no data_offsets and lie one behind the other; in their place is a list
 * of `parts`. Of floats it has the model (0 raw, 2 mixed) of each half of 16 bits, the lower one first; of all else [model,
 * bits, count, columns] of whole numbers packed lowest bit first, and again for the next, each from a whole byte on.
 *
 * Decoding is bounded: time and memory by the lengths, these by the bytes at hand.
 */
import { EspalierError, show } from '../base/errors.ts';
import { createCellCoder, isCountable, MODELS, partBytes } from './cells.ts';
import type { Part } from './cells.ts';
import { hasHuffman, leastHuffmanBytes, readHuffman } from './huffman.ts';
import type { Json } from './json.ts';
import { rangeDecoder } from './range-coder.ts';
import {
  DTYPE_BYTES,
  failingOf,
  isCount,
  METADATA,
  MOST_RANK,
  readHeader,
  readMetadata,
  readType,
} from './safetensors.ts';
import type { Dtype, SafetensorsFile, StoredArray, TensorType } from './safetensors.ts';
import { codeText } from './text-model.ts';

/** Key in the metadata of a packed file. Its value is the version of the coding. */
export const PACKED_KEY = 'espalier.packed';
export const PACKED_VERSION = '1';
/** The same where parts are stored by Huffman codes. */
export const HUFFMAN_VERSION = '2';
/** Name of its one tensor. */
export const PACKED_TENSOR = 'packed';
/** Key in the metadata of a patch, which patch.ts writes. Its value is the version of the coding. */
export const PATCH_KEY = 'espalier.patch';
/** Bytes in front of what is coded. */
export const LENGTHS_BYTES = 8;

/**
 * Bytes that may come out of `coded` ones: decoding takes up to a microsecond for each, and what a stranger sends must
 * not take minutes. What would be more is not packed.
 */
export const mostDecoded = (coded: number): number => 2 ** 17 + 64 * coded;

/** Bits of sign and exponent in the upper half of a float. */
const LEADING = { F16: 6, F32: 9 } as const;

/** The halves of floats as parts, the lower one first; undefined for what is not of floats. */
export function floatParts(dtype: Dtype, length: number): readonly Omit<Part, 'model'>[] | undefined {
  if (dtype !== 'F16' && dtype !== 'F32') return undefined;
  const stride = DTYPE_BYTES[dtype];
  const half = { bits: 16, count: length / stride, columns: 1, stride };
  const upper = { ...half, first: stride - 2, leading: LEADING[dtype] };
  return dtype === 'F16' ? [upper] : [{ ...half, first: 0 }, upper];
}

/**
 * What was packed, bit by bit: its metadata, those of the file around it in front, and its tensors. A file that is not
 * packed comes back as it is.
 * @throws {EspalierError} UNSUPPORTED_VERSION for another coding; BUDGET if more would come out than such bytes may hold;
 *   LAYOUT, TRUNCATED, and whatever `readSafetensors` throws, for bytes that were not written so
 */
export function unpackSafetensors(file: SafetensorsFile): SafetensorsFile {
  if (!file.metadata.has(PACKED_KEY)) return file;
  const { text, tensors } = openPacked(file);
  return {
    tensors: new Map(tensors.map(({ name, dtype, shape, bytes }) => [name, { dtype, shape, bytes }])),
    metadata: new Map([...readMetadata(readHeader(text).get(METADATA)), ...file.metadata]),
  };
}

/** A tensor in a packed file, before it is decoded: the parts make up its bytes. */
export interface PackedTensor extends TensorType {
  readonly name: string;
  readonly parts: readonly Part[];
}

/** A packed file's header as it stands there, and its tensors. @throws {EspalierError} see {@link unpackSafetensors} */
export function openPacked(file: SafetensorsFile): {
  readonly text: Uint8Array;
  readonly tensors: readonly (PackedTensor & StoredArray)[];
} {
  const version = file.metadata.get(PACKED_KEY);
  if (version !== PACKED_VERSION && version !== HUFFMAN_VERSION)
    throw new EspalierError(
      'UNSUPPORTED_VERSION',
      `readSafetensors: packed as version ${show(version)}; this program reads versions ${PACKED_VERSION} and ${HUFFMAN_VERSION}, update it`,
      { name: PACKED_KEY, found: version },
    );
  const fail = failingOf(PACKED_TENSOR);
  const { bytes = new Uint8Array(0) } = file.tensors.get(PACKED_TENSOR) ?? {};
  if (bytes.length < LENGTHS_BYTES) fail('LAYOUT', 'expected it, and its lengths in it', bytes.length);
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const [headerLength, codedLength] = [view.getUint32(0, true), view.getUint32(4, true)];
  let rawAt = LENGTHS_BYTES + codedLength;
  if (rawAt > bytes.length) fail('LAYOUT', `expected ${codedLength} coded bytes; the file is cut`, codedLength);
  checkDecoded(headerLength, codedLength);
  const coder = rangeDecoder(bytes.subarray(LENGTHS_BYTES, rawAt));
  const text = new Uint8Array(headerLength);
  codeText(coder, text);

  const planned = readPacked(text);
  let decoded = 0;
  // At least.
  let raw = 0;
  let isHuffman = false;
  for (const part of planned.flatMap(({ parts }) => parts)) {
    if (part.model === MODELS.raw) raw += partBytes(part);
    else if (part.model === MODELS.huffman) {
      isHuffman = true;
      raw += leastHuffmanBytes(part);
    } else decoded += partBytes(part);
  }
  checkDecoded(headerLength + decoded, codedLength);
  if (isHuffman && version !== HUFFMAN_VERSION)
    fail('FIELD', `expected version ${HUFFMAN_VERSION} where there are Huffman codes`, version);
  if (isHuffman ? raw > bytes.length - rawAt : raw !== bytes.length - rawAt)
    fail('LAYOUT', `expected ${raw} bytes as they are, got ${bytes.length - rawAt}`, raw);
  const cells = createCellCoder(coder, decoded);
  const tensors = planned.map((tensor) => {
    const out = new Uint8Array(tensor.length);
    for (const part of tensor.parts) {
      if (part.model === MODELS.raw) putRaw(part, bytes.subarray(rawAt, (rawAt += partBytes(part))), out);
      else if (part.model === MODELS.huffman) {
        const end = readHuffman(bytes, rawAt, part, out, part.first);
        if (end === undefined)
          return failingOf(tensor.name)(
            'LAYOUT',
            `expected ${part.count} numbers in Huffman codes; the file is damaged`,
            rawAt,
          );
        rawAt = end;
      } else cells.code(part, out);
    }
    return { ...tensor, bytes: out };
  });
  if (rawAt !== bytes.length) fail('LAYOUT', 'expected nothing behind the last part', bytes.length - rawAt);
  return { text, tensors };
}

/** The tensors of a packed file's header. @throws {EspalierError} what reading a header throws, FIELD */
export function readPacked(text: Uint8Array): PackedTensor[] {
  return [...readHeader(text)].flatMap(([name, value]) => {
    if (name === METADATA) return [];
    const type = readType(name, value, MOST_RANK);
    return [{ ...type, name, parts: partsOf(name, type, (value as ReadonlyMap<string, Json>).get('parts')) }];
  });
}

/** @throws {EspalierError} BUDGET */
function checkDecoded(decoded: number, coded: number): void {
  const limit = mostDecoded(coded);
  if (decoded > limit)
    throw new EspalierError(
      'BUDGET',
      `readSafetensors: ${decoded} bytes packed in ${coded}, at most ${limit} are unpacked; the file is damaged or hostile`,
      { limit, found: decoded },
    );
}

/** Bytes of a part that is stored as it is, to their places in the tensor. */
function putRaw({ first, stride, count }: Part, raw: Uint8Array, out: Uint8Array): void {
  if (stride === 0) return out.set(raw, first);
  for (let i = 0; i < count; i++) {
    out[first + i * stride] = raw[2 * i];
    out[first + i * stride + 1] = raw[2 * i + 1];
  }
}

/** Parts that make up the whole of a tensor. @throws {EspalierError} FIELD */
function partsOf(name: string, { dtype, length }: TensorType, value: Json | undefined): Part[] {
  const numbers = Array.isArray(value) && value.every(isCount) ? (value as number[]) : [];
  const halves = floatParts(dtype, length);
  const parts = halves?.map((half, i): Part => ({ ...half, model: numbers[i] })) ?? [];
  let first = 0;
  for (let i = 0; !halves && i < numbers.length; i += 4) {
    const [model, bits, count, columns] = numbers.slice(i);
    parts.push({ model, bits, count, columns, first, stride: 0 });
    first += partBytes(parts[i / 4]);
  }
  const isRight = ({ model, bits, count, columns, stride }: Part): boolean =>
    stride > 0
      ? model === MODELS.raw || model === MODELS.mixed
      : model <= MODELS.huffman && bits >= 1 && bits <= 16 && columns >= 1 && columns <= count;
  if (
    !parts.every(
      (part) =>
        isRight(part) &&
        (part.model !== MODELS.counted || isCountable(part)) &&
        (part.model !== MODELS.huffman || hasHuffman(part)),
    ) ||
    (halves ? numbers.length !== halves.length : first !== length)
  )
    failingOf(name)('FIELD', `parts: expected such as make up ${length} bytes, got ${show(value)}`, value);
  return parts;
}
