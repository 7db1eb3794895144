/**
 * safetensors, in and out: 8 bytes header length (little endian), a JSON header of tensor name -> dtype, shape and byte
 * range, then the tensors' bytes, without gaps. A file is untrusted: every size in it is checked against the bytes at
 * hand before anything is allocated. Format: https://github.com/huggingface/safetensors
 */
import { EspalierError, show, withMemory } from '../base/errors.ts';
import { arrayName, asBytes, isMap, own } from '../base/realm.ts';
import { checkShape, sizeOf } from '../base/tensor.ts';
import type { Shape } from '../base/tensor.ts';
import { looksLike } from './foreign.ts';
import { isWellFormed, parseJson } from './json.ts';
import type { Json } from './json.ts';

/** Bytes per element. */
export const DTYPE_BYTES = {
  F64: 8,
  I64: 8,
  U64: 8,
  F32: 4,
  I32: 4,
  U32: 4,
  F16: 2,
  BF16: 2,
  I16: 2,
  U16: 2,
  I8: 1,
  U8: 1,
  BOOL: 1,
} as const;
export type Dtype = keyof typeof DTYPE_BYTES;

/** Types that the format knows and this reader does not: named, so that the error can be plain. */
const UNSUPPORTED_DTYPES: readonly string[] = [
  'F8_E4M3',
  'F8_E5M2',
  'F8_E8M0',
  'F8_E4M3FNUZ',
  'F8_E5M2FNUZ',
  'F6_E2M3',
  'F6_E3M2',
  'F4',
  'C64',
  'C128',
];

/** `bytes` holds the elements, row-major and little endian. */
export interface StoredArray {
  readonly dtype: Dtype;
  readonly shape: Shape;
  readonly bytes: Uint8Array;
}

export interface NamedArray extends StoredArray {
  readonly name: string;
}

export interface SafetensorsFile {
  /** In the order of the header. `bytes` are views of the file, at any alignment. */
  readonly tensors: ReadonlyMap<string, StoredArray>;
  readonly metadata: ReadonlyMap<string, string>;
}

export interface ReadLimits {
  /** Default 100,000,000, as in the format's own reader. */
  maxHeaderBytes?: number;
  /** Default 250,000. */
  maxTensors?: number;
  /** Default 32. */
  maxRank?: number;
}

export type Metadata = ReadonlyMap<string, string> | Readonly<Record<string, string>>;

/** Of a header: the field that is no tensor. */
export const METADATA = '__metadata__';
export const LENGTH_BYTES = 8;
/** Axes of a tensor. */
export const MOST_RANK = 32;

/**
 * The file's bytes: the same for the same tensors in any order. Tensors stand by element size, largest first, then by
 * name, and the data start at a multiple of 8, so every tensor is aligned. Metadata keep their order and stand first in
 * the header.
 *
 * @throws {TypeError} for values that are not strings or bytes
 * @throws {RangeError} for a name twice or '__metadata__', or bytes that do not fit dtype and shape
 */
export function writeSafetensors(tensors: Iterable<NamedArray>, metadata: Metadata = {}): Uint8Array {
  const sorted = [...tensors];
  const names = new Set<string>();
  for (const { name, dtype, shape, bytes } of sorted) {
    checkText('writeSafetensors', 'name', name);
    if (name === METADATA || names.has(name))
      throw new RangeError(
        `writeSafetensors: name: ${show(name)} ${name === METADATA ? 'is reserved' : 'is given twice'}; rename the tensor`,
      );
    names.add(name);
    checkShape('writeSafetensors', `${name}.shape`, shape);
    if (!Object.hasOwn(DTYPE_BYTES, dtype))
      throw new RangeError(
        `writeSafetensors: ${name}.dtype: expected one of ${Object.keys(DTYPE_BYTES).join(', ')}, got ${show(dtype)}`,
      );
    const expected = sizeOf(shape) * DTYPE_BYTES[dtype];
    if (!asBytes(bytes))
      throw new TypeError(`writeSafetensors: ${name}.bytes: expected a Uint8Array, got ${show(bytes)}`);
    if (bytes.length !== expected)
      throw new RangeError(
        `writeSafetensors: ${name}.bytes: expected ${expected} bytes for ${dtype} of [${shape.join(', ')}], got ${bytes.length}`,
      );
  }
  sorted.sort((a, b) => DTYPE_BYTES[b.dtype] - DTYPE_BYTES[a.dtype] || (a.name < b.name ? -1 : 1));

  const entries: string[] = [];
  const pairs = metadataPairs(metadata);
  for (const [key, value] of pairs) {
    checkText('writeSafetensors', 'metadata key', key);
    checkText('writeSafetensors', `metadata ${show(key)}`, value);
  }
  if (pairs.length > 0)
    entries.push(
      `"${METADATA}":{${pairs.map(([key, value]) => `${JSON.stringify(key)}:${JSON.stringify(value)}`).join(',')}}`,
    );
  let end = 0;
  for (const { name, dtype, shape, bytes } of sorted) {
    const begin = end;
    end += bytes.length;
    entries.push(
      `${JSON.stringify(name)}:{"dtype":"${dtype}","shape":[${shape.join(',')}],"data_offsets":[${begin},${end}]}`,
    );
  }

  const header = new TextEncoder().encode(`{${entries.join(',')}}`);
  const padded = Math.ceil(header.length / 8) * 8;
  const file = new Uint8Array(LENGTH_BYTES + padded + end);
  new DataView(file.buffer).setBigUint64(0, BigInt(padded), true);
  file.set(header, LENGTH_BYTES);
  file.fill(0x20, LENGTH_BYTES + header.length, LENGTH_BYTES + padded);
  let at = LENGTH_BYTES + padded;
  for (const { bytes } of sorted) {
    file.set(bytes, at);
    at += bytes.length;
  }
  return file;
}

/** Keys and values of metadata in either form, in their order. */
export function metadataPairs(metadata: Metadata): [string, string][] {
  return isMap(metadata)
    ? [...(metadata as ReadonlyMap<string, string>)]
    : Object.entries(metadata as Readonly<Record<string, string>>);
}

/**
 * Reads any safetensors file. Allocates the header's text and entries only: tensors are views of `input`, which is
 * copied first where it could change beneath them (shared or resizable memory).
 *
 * @throws {TypeError} if `input` is not bytes
 * @throws {EspalierError} TRUNCATED, BAD_MAGIC, HEADER, DUPLICATE, LAYOUT, RANGE, SHAPE, FIELD, UNSUPPORTED, TOO_LARGE,
 *   INPUT, MEMORY
 */
export function readSafetensors(input: Uint8Array | ArrayBuffer, limits: ReadLimits = {}): SafetensorsFile {
  const { maxHeaderBytes = 100_000_000, maxTensors = 250_000, maxRank = MOST_RANK } = own(limits);
  const bytes = steadyBytes('readSafetensors', input);
  const headerLength = readHeaderLength(bytes, maxHeaderBytes);
  const dataStart = LENGTH_BYTES + headerLength;

  const fields = readHeader(bytes.subarray(LENGTH_BYTES, dataStart));
  if (fields.size > maxTensors + 1) {
    throw new EspalierError(
      'TOO_LARGE',
      `readSafetensors: ${fields.size} tensors; at most ${maxTensors} are read, raise maxTensors if this is meant`,
      { limit: maxTensors, found: fields.size },
    );
  }

  const entries: Entry[] = [];
  for (const [name, value] of fields) {
    if (name !== METADATA) entries.push(readEntry(name, value, maxRank));
  }
  checkLayout(entries, bytes.length - dataStart, dataStart);
  return {
    tensors: new Map(
      entries.map(({ name, dtype, shape, begin, end }) => [
        name,
        { dtype, shape, bytes: bytes.subarray(dataStart + begin, dataStart + end) },
      ]),
    ),
    metadata: readMetadata(fields.get(METADATA)),
  };
}

/**
 * The fields of a header: tensors, and '__metadata__'.
 * @throws {EspalierError} HEADER, DUPLICATE
 */
export function readHeader(bytes: Uint8Array): ReadonlyMap<string, Json> {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new EspalierError('HEADER', 'readSafetensors: the header is not valid UTF-8; the file is damaged', {
      offset: LENGTH_BYTES,
      cause,
    });
  }
  const header = parseJson(text, { who: 'readSafetensors', start: LENGTH_BYTES, maxDepth: 16 });
  if (!(header instanceof Map))
    throw new EspalierError('HEADER', 'readSafetensors: the header is not a JSON object; the file is damaged', {
      offset: LENGTH_BYTES,
    });
  return header as ReadonlyMap<string, Json>;
}

/** What a header says of a tensor, but for where it lies. */
export interface TensorType {
  readonly dtype: Dtype;
  readonly shape: Shape;
  /** Bytes that it takes. */
  readonly length: number;
}

/** A tensor in a header, and the bytes of the data that it takes. */
export interface Entry extends Omit<TensorType, 'length'> {
  readonly name: string;
  readonly begin: number;
  readonly end: number;
}

/**
 * The tensors of a header in the order of their bytes, which begin where the one before them ends.
 * @throws {EspalierError} what {@link readSafetensors} throws for a header
 */
export function readLayout(header: Uint8Array): Entry[] {
  const entries = [...readHeader(header)].flatMap(([name, value]) =>
    name === METADATA ? [] : [readEntry(name, value, MOST_RANK)],
  );
  entries.sort((a, b) => a.begin - b.begin || a.end - b.end);
  checkLayout(entries, entries.at(-1)?.end ?? 0, LENGTH_BYTES + header.length);
  return entries;
}

/**
 * Bytes that nobody can take away while they are read: a view of the same memory, a copy where it is shared or resizable.
 * @throws {TypeError} if `input` is not bytes
 * @throws {EspalierError} INPUT if its buffer was transferred elsewhere, MEMORY
 */
export function steadyBytes(who: string, input: Uint8Array | ArrayBuffer): Uint8Array {
  const isView = ArrayBuffer.isView(input);
  const given: unknown = isView ? input.buffer : input;
  const kind = Object.prototype.toString.call(given);
  if (
    (isView && arrayName(input) !== 'Uint8Array') ||
    (kind !== '[object ArrayBuffer]' && kind !== '[object SharedArrayBuffer]')
  ) {
    throw new TypeError(`${who}: bytes: expected a Uint8Array or an ArrayBuffer, got ${show(input)}`);
  }
  const buffer = given as ArrayBufferLike & { readonly resizable?: boolean };
  let whole: Uint8Array;
  try {
    whole = new Uint8Array(buffer);
  } catch (cause) {
    throw new EspalierError(
      'INPUT',
      `${who}: bytes: the buffer is detached (it was transferred elsewhere); pass a copy`,
      { cause },
    );
  }
  const bytes = asBytes(input) ?? whole;
  if (buffer.resizable === true && bytes.length === 0)
    throw new EspalierError(
      'INPUT',
      `${who}: bytes: a view of a resizable buffer that no longer reaches it; pass a copy`,
    );
  const mayChange = kind === '[object SharedArrayBuffer]' || buffer.resizable === true;
  return mayChange ? withMemory(who, () => new Uint8Array(bytes)) : bytes;
}

/** Refuses what is not a safetensors file before it looks at the header. */
function readHeaderLength(bytes: Uint8Array, maxHeaderBytes: number): number {
  if (bytes.length < LENGTH_BYTES) {
    throw new EspalierError(
      'TRUNCATED',
      `readSafetensors: ${bytes.length} bytes, of which a safetensors file has at least ${LENGTH_BYTES}; the file is empty or cut`,
      { offset: bytes.length },
    );
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, LENGTH_BYTES);
  // Both halves as doubles: exact to 2^53, and never small where the true number is not.
  const length = view.getUint32(0, true) + view.getUint32(4, true) * 2 ** 32;
  const opensHeader = bytes.length === LENGTH_BYTES || bytes[LENGTH_BYTES] === 0x7b;
  if (length > maxHeaderBytes || !opensHeader) {
    const foreign = looksLike(bytes);
    if (foreign !== undefined)
      throw new EspalierError(
        'BAD_MAGIC',
        `readSafetensors: expected a safetensors file, got what looks like ${foreign}`,
        { offset: 0 },
      );
  }
  if (length > maxHeaderBytes) {
    if (!opensHeader)
      throw new EspalierError(
        'BAD_MAGIC',
        'readSafetensors: expected a safetensors file, got bytes of no format known here',
        { offset: 0 },
      );
    throw new EspalierError(
      length > Number.MAX_SAFE_INTEGER ? 'RANGE' : 'TOO_LARGE',
      `readSafetensors: a header of ${length} bytes; at most ${maxHeaderBytes} are read`,
      { offset: 0, limit: maxHeaderBytes, found: length },
    );
  }
  if (length < 2)
    throw new EspalierError(
      'HEADER',
      `readSafetensors: a header of ${length} bytes cannot hold a JSON object; the file is damaged`,
      { offset: 0, found: length },
    );
  if (length > bytes.length - LENGTH_BYTES) {
    throw new EspalierError(
      'TRUNCATED',
      `readSafetensors: a header of ${length} bytes in a file of ${bytes.length}; the file is cut`,
      { offset: bytes.length, found: length },
    );
  }
  if (!opensHeader)
    throw new EspalierError(
      'HEADER',
      "readSafetensors: the header does not begin with '{'; the file is damaged or of another format",
      { offset: LENGTH_BYTES },
    );
  return length;
}

/** Throws what is wrong with a tensor. */
export type Fail = (
  code: 'HEADER' | 'FIELD' | 'UNSUPPORTED' | 'SHAPE' | 'LAYOUT' | 'RANGE',
  problem: string,
  found?: unknown,
) => never;

export function failingOf(name: string): Fail {
  return (code, problem, found) => {
    throw new EspalierError(code, `readSafetensors: tensor ${show(name)}: ${problem}`, { name, found });
  };
}

/** @throws {EspalierError} HEADER, FIELD, UNSUPPORTED, SHAPE */
export function readType(name: string, value: Json, maxRank: number): TensorType {
  const fail: Fail = failingOf(name);
  if (!(value instanceof Map)) fail('HEADER', 'expected an object with dtype, shape and data_offsets', value);
  const fields = value as ReadonlyMap<string, Json>;
  const dtype = fields.get('dtype');
  const shape = fields.get('shape');

  if (typeof dtype !== 'string') return fail('HEADER', `dtype: expected a string, got ${show(dtype)}`, dtype);
  if (!isDtype(dtype)) {
    return fail(
      UNSUPPORTED_DTYPES.includes(dtype) ? 'UNSUPPORTED' : 'FIELD',
      `dtype ${show(dtype)} is not read here; convert it to one of ${Object.keys(DTYPE_BYTES).join(', ')}`,
      dtype,
    );
  }

  if (!Array.isArray(shape)) return fail('HEADER', `shape: expected an array, got ${show(shape)}`, shape);
  const sides = shape as readonly Json[];
  if (sides.length > maxRank) fail('SHAPE', `${sides.length} axes; at most ${maxRank} are read`, sides.length);
  // Zero sides are left out of the bound, so that [0, 2^50, 2^50] is refused like [2^50, 2^50].
  let bound: number = DTYPE_BYTES[dtype];
  for (const side of sides) {
    if (!isCount(side)) return fail('SHAPE', `shape: expected whole numbers from 0 to 2^53, got ${show(sides)}`, side);
    bound *= Math.max(1, side);
    if (bound > Number.MAX_SAFE_INTEGER) fail('SHAPE', `shape ${show(sides)} has more than 2^53 bytes`, side);
  }
  const whole = [...sides] as number[];
  return { dtype, shape: whole, length: sizeOf(whole) * DTYPE_BYTES[dtype] };
}

function readEntry(name: string, value: Json, maxRank: number): Entry {
  const fail: Fail = failingOf(name);
  const { dtype, shape, length } = readType(name, value, maxRank);
  const offsets = (value as ReadonlyMap<string, Json>).get('data_offsets');
  if (!Array.isArray(offsets) || offsets.length !== 2)
    return fail('LAYOUT', `data_offsets: expected [begin, end], got ${show(offsets)}`, offsets);
  const [begin, end] = offsets as readonly Json[];
  for (const offset of [begin, end]) {
    if (typeof offset === 'number' && offset > Number.MAX_SAFE_INTEGER)
      fail('RANGE', `data_offsets: ${offset} lies beyond 2^53`, offset);
    if (!isCount(offset))
      return fail('LAYOUT', `data_offsets: expected whole numbers from 0, got ${show(offsets)}`, offset);
  }
  const from = begin as number;
  const to = end as number;
  if (from > to) fail('LAYOUT', `data_offsets: begin ${from} lies behind end ${to}`, from);
  if (to - from !== length)
    fail(
      'SHAPE',
      `${dtype} of [${shape.join(', ')}] takes ${length} bytes, its data_offsets span ${to - from}`,
      to - from,
    );
  return { name, dtype, shape, begin: from, end: to };
}

/** The tensors must cover the data exactly once: nothing hidden in a gap, nothing shared, nothing behind. */
function checkLayout(entries: readonly Entry[], available: number, dataStart: number): void {
  const sorted = [...entries].sort((a, b) => a.begin - b.begin || a.end - b.end);
  let end = 0;
  for (const entry of sorted) {
    if (entry.begin !== end) {
      throw new EspalierError(
        'LAYOUT',
        `readSafetensors: tensor ${show(entry.name)} begins at ${entry.begin} of the data, the one before it ends at ${end}: ${entry.begin < end ? 'they overlap' : 'there is a gap'}`,
        { name: entry.name, offset: dataStart + entry.begin, found: entry.begin },
      );
    }
    end = entry.end;
  }
  if (end > available)
    throw new EspalierError(
      'TRUNCATED',
      `readSafetensors: the header speaks of ${end} bytes of data, the file has ${available}; it is cut`,
      { offset: dataStart + available, found: end, limit: available },
    );
  if (end < available)
    throw new EspalierError(
      'LAYOUT',
      `readSafetensors: ${available - end} bytes behind the last tensor; the file is not what was written`,
      { offset: dataStart + end, found: available - end },
    );
}

export function readMetadata(value: Json | undefined): Map<string, string> {
  const metadata = new Map<string, string>();
  if (value === undefined) return metadata;
  if (!(value instanceof Map))
    throw new EspalierError(
      'FIELD',
      `readSafetensors: ${METADATA}: expected an object of strings, got ${show(value)}`,
      { name: METADATA },
    );
  for (const [key, text] of value as ReadonlyMap<string, Json>) {
    if (typeof text !== 'string')
      throw new EspalierError(
        'FIELD',
        `readSafetensors: ${METADATA}: ${show(key)}: expected a string, got ${show(text)}`,
        { name: key, found: text },
      );
    metadata.set(key, text);
  }
  return metadata;
}

function isDtype(name: string): name is Dtype {
  return Object.hasOwn(DTYPE_BYTES, name);
}

/** A whole number from 0. */
export function isCount(value: Json | undefined): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 && !Object.is(value, -0);
}

/** A string that UTF-8 can hold: no half of a surrogate pair. */
function checkText(who: string, name: string, value: unknown): asserts value is string {
  if (typeof value !== 'string') throw new TypeError(`${who}: ${name}: expected a string, got ${show(value)}`);
  if (!isWellFormed(value))
    throw new RangeError(
      `${who}: ${name}: ${show(value)} holds half of a surrogate pair, which no file can hold; rename it`,
    );
}
