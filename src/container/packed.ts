/**
 * A safetensors file packed: one tensor of bytes, 'packed', that holds the metadata and tensors of another file coded as
 * small as they become. Any reader of safetensors opens it and finds that one tensor; {@link unpackSafetensors} finds
 * what was packed.
 *
 * The bytes: three lengths of 32 bits, little endian (the texts, the directory, what is coded); what is coded, one run of
 * the range coder: first the texts, the values of the metadata and the directory, then the coded parts of the tensors;
 * at last the parts that are stored as they are. The directory is JSON,
 *
 *   { "metadata": [[key, bytes], ...], "tensors": [[name, dtype, shape, part, ...], ...] }
 *
 * with a part for whatever is coded by itself: of floats a model (0 raw, 2 mixed) for each half of 16 bits, the lower
 * one first; of all else [model, bits, count, columns] of numbers packed lowest bit first, each part from a whole byte.
 *
 * Decoding is bounded: time and memory by the lengths, these by the bytes at hand.
 */
import { EspalierError, show } from '../base/errors.ts';
import { sizeOf } from '../base/tensor.ts';
import { createCellCoder, isCountable, MODELS, partBytes } from './cells.ts';
import type { Part } from './cells.ts';
import { parseJson } from './json.ts';
import type { Json } from './json.ts';
import { rangeDecoder } from './range-coder.ts';
import { DTYPE_BYTES } from './safetensors.ts';
import type { Dtype, SafetensorsFile, StoredArray } from './safetensors.ts';
import { codeText } from './text-model.ts';

/** Key in the metadata of a packed file. Its value is the version of the coding. */
export const PACKED_KEY = 'espalier.packed';
export const PACKED_VERSION = '1';
/** Name of its one tensor. */
export const PACKED_TENSOR = 'packed';
/** Bytes in front of what is coded. */
export const LENGTHS_BYTES = 12;

/**
 * Bytes that may come out of `packed` bytes that are coded, beside those that are stored as they are: decoding takes up to
 * a microsecond for each, and what a stranger sends must not take minutes. What would be more is not packed.
 */
export const mostDecoded = (packed: number): number => 2 ** 17 + 64 * packed;

/** Bits of sign and exponent in the upper half of a float of 16 or 32 bits. */
const LEADING = { F16: 6, F32: 9 } as const;

/** The halves of floats as parts, the lower one first; undefined for what is not of floats. */
export function floatParts(dtype: Dtype, count: number): readonly Omit<Part, 'model'>[] | undefined {
  if (dtype !== 'F16' && dtype !== 'F32') return undefined;
  const half = { bits: 16, count, columns: count, stride: DTYPE_BYTES[dtype] };
  const upper = { ...half, first: half.stride - 2, leading: LEADING[dtype] };
  return dtype === 'F16' ? [upper] : [{ ...half, first: 0 }, upper];
}

const WHO = 'unpackSafetensors';

/**
 * What was packed, bit by bit: its metadata and tensors, with the metadata of the file around it (the checksum) in front;
 * a file that is not packed comes back as it is.
 * @throws {EspalierError} UNSUPPORTED_VERSION for another coding; LAYOUT, TRUNCATED, FIELD, HEADER, SHAPE, DUPLICATE for bytes
 *   that were not written so; BUDGET if more would come out than such bytes may hold
 */
export function unpackSafetensors(file: SafetensorsFile): SafetensorsFile {
  const version = file.metadata.get(PACKED_KEY);
  if (version === undefined) return file;
  if (version !== PACKED_VERSION)
    throw new EspalierError(
      'UNSUPPORTED_VERSION',
      `${WHO}: packed as version ${show(version)}; this program reads version ${PACKED_VERSION}, update it`,
      { name: PACKED_KEY, found: version },
    );
  const stored = file.tensors.get(PACKED_TENSOR);
  if (stored?.dtype !== 'U8' || file.tensors.size !== 1)
    throw damaged('LAYOUT', `expected one tensor ${show(PACKED_TENSOR)} of U8`, stored?.dtype);
  const { bytes } = stored;
  if (bytes.length < LENGTHS_BYTES) throw damaged('TRUNCATED', 'it ends within its lengths', bytes.length);
  const view = new DataView(bytes.buffer, bytes.byteOffset, LENGTHS_BYTES);
  const [textLength, directoryLength, codedLength] = [0, 4, 8].map((at) => view.getUint32(at, true));
  if (codedLength > bytes.length - LENGTHS_BYTES)
    throw damaged('TRUNCATED', `expected ${codedLength} coded bytes, got ${bytes.length - LENGTHS_BYTES}`, codedLength);
  checkDecoded(textLength + directoryLength, codedLength);
  const coder = rangeDecoder(bytes.subarray(LENGTHS_BYTES, LENGTHS_BYTES + codedLength));
  const texts = new Uint8Array(textLength + directoryLength);
  codeText(coder, texts);
  const directory = readDirectory(texts, textLength);
  const metadata = new Map(file.metadata);
  let at = 0;
  for (const [key, length] of directory.metadata) {
    if (metadata.has(key)) throw damaged('DUPLICATE', `the key ${show(key)} stands twice`, key);
    metadata.set(key, decodeText(texts.subarray(at, (at += length))));
  }
  if (at !== textLength) throw damaged('LAYOUT', `expected ${textLength} bytes of texts, got ${at}`, at);

  const parts = directory.tensors.flatMap(({ parts }) => parts);
  const sizes = (isRaw: boolean): number =>
    parts.reduce((sum, part) => sum + ((part.model === MODELS.raw) === isRaw ? partBytes(part) : 0), 0);
  const coded = sizes(false);
  checkDecoded(textLength + directoryLength + coded, codedLength);
  let rawAt = LENGTHS_BYTES + codedLength;
  if (sizes(true) !== bytes.length - rawAt)
    throw damaged('LAYOUT', `expected ${sizes(true)} bytes behind what is coded, got ${bytes.length - rawAt}`, rawAt);
  const cells = createCellCoder(coder, coded);
  const tensors = new Map<string, StoredArray>();
  for (const { name, dtype, shape, parts } of directory.tensors) {
    if (tensors.has(name)) throw damaged('DUPLICATE', `the tensor ${show(name)} stands twice`, name);
    const out = new Uint8Array(sizeOf(shape) * DTYPE_BYTES[dtype]);
    for (const part of parts) {
      if (part.model === MODELS.raw) {
        const length = partBytes(part);
        putRaw(part, bytes.subarray(rawAt, (rawAt += length)), out);
      } else cells.code(part, out);
    }
    tensors.set(name, { dtype, shape, bytes: out });
  }
  return { tensors, metadata };
}

/** @throws {EspalierError} BUDGET */
function checkDecoded(decoded: number, codedLength: number): void {
  const limit = mostDecoded(codedLength);
  if (decoded > limit)
    throw new EspalierError(
      'BUDGET',
      `${WHO}: ${decoded} bytes from ${codedLength} that are coded, at most ${limit} are unpacked; the file is damaged or hostile`,
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

interface Directory {
  readonly metadata: readonly (readonly [key: string, bytes: number])[];
  readonly tensors: readonly {
    readonly name: string;
    readonly dtype: Dtype;
    readonly shape: readonly number[];
    readonly parts: readonly Part[];
  }[];
}

function readDirectory(texts: Uint8Array, start: number): Directory {
  const json = parseJson(decodeText(texts.subarray(start)), { who: WHO, maxDepth: 8 });
  const field = (name: string): readonly Json[] =>
    listOf(name, json instanceof Map ? (json as ReadonlyMap<string, Json>).get(name) : undefined);
  return {
    metadata: field('metadata').map((entry) => {
      const [key, bytes] = listOf('metadata', entry);
      return [textOf('metadata', key), count('metadata', bytes, start)] as const;
    }),
    tensors: field('tensors').map((entry) => {
      const [name, dtype, shape, ...parts] = listOf('tensors', entry);
      const known = textOf('dtype', dtype);
      if (!Object.hasOwn(DTYPE_BYTES, known)) throw damaged('FIELD', `dtype: got ${show(known)}`, known);
      const sides = listOf('shape', shape).map((side) => count('shape', side));
      const size = sides.reduce((product, side) => product * Math.max(1, side), DTYPE_BYTES[known as Dtype]);
      if (sides.length > 32 || size > Number.MAX_SAFE_INTEGER) throw damaged('SHAPE', `got ${show(sides)}`, sides);
      return {
        name: textOf('name', name),
        dtype: known as Dtype,
        shape: sides,
        parts: partsOf(known as Dtype, sizeOf(sides), parts),
      };
    }),
  };
}

/** Parts that make up the whole of a tensor. */
function partsOf(dtype: Dtype, elements: number, entries: readonly Json[]): Part[] {
  const halves = floatParts(dtype, elements);
  if (halves) {
    if (entries.length !== halves.length) throw damaged('FIELD', `parts: expected ${halves.length}`, entries.length);
    return halves.map((half, i) => {
      const model = count('model', entries[i], MODELS.mixed);
      if (model === MODELS.counted) throw damaged('FIELD', `model: floats are not counted`, model);
      return { ...half, model };
    });
  }
  let first = 0;
  const parts = entries.map((entry): Part => {
    const fields = listOf('part', entry);
    const bits = count('bits', fields[1], 16, 1);
    const numbers = count('count', fields[2]);
    const part = {
      model: count('model', fields[0], MODELS.mixed),
      bits,
      count: numbers,
      columns: count('columns', fields[3], numbers, 1),
      first,
      stride: 0,
    };
    if (part.model === MODELS.counted && !isCountable(part))
      throw damaged('FIELD', `bits: ${bits} for ${numbers} numbers`, bits);
    first += partBytes(part);
    return part;
  });
  if (first !== elements * DTYPE_BYTES[dtype])
    throw damaged('SHAPE', `parts: expected ${elements * DTYPE_BYTES[dtype]} bytes, got ${first}`, first);
  return parts;
}

function decodeText(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new EspalierError('HEADER', `${WHO}: a text is not valid UTF-8; the file is damaged`, { cause });
  }
}

function damaged(
  code: 'LAYOUT' | 'TRUNCATED' | 'FIELD' | 'SHAPE' | 'DUPLICATE',
  problem: string,
  found: unknown,
): EspalierError {
  return new EspalierError(code, `${WHO}: ${problem}; the file is damaged or was not written by espalier`, { found });
}

function listOf(name: string, value: Json | undefined): readonly Json[] {
  if (!Array.isArray(value)) throw damaged('FIELD', `${name}: expected a list, got ${show(value)}`, value);
  return value as readonly Json[];
}

function textOf(name: string, value: Json | undefined): string {
  if (typeof value !== 'string') throw damaged('FIELD', `${name}: expected a string, got ${show(value)}`, value);
  return value;
}

function count(name: string, value: Json | undefined, to = Number.MAX_SAFE_INTEGER, from = 0): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < from || value > to)
    throw damaged('FIELD', `${name}: expected a whole number from ${from} to ${to}, got ${show(value)}`, value);
  return value;
}
