/**
 * NumPy's `.npy`: one array, its type and shape in a small header of Python syntax. Source: NumPy Enhancement Proposal
 * 1 and `numpy.lib.format`. A file is untrusted input: the header has a cap and a grammar of its own (no recursion, no
 * backtracking), and every size is checked against the bytes at hand before anything is allocated. JavaScript engines
 * run on little-endian machines, so big-endian files are the ones that are turned.
 */
import { EspalierError, show, withMemory } from '../base/errors.ts';
import { arrayName, hasField } from '../base/realm.ts';
import { checkShape, gatherStrided, sizeOf, toTensor } from '../base/tensor.ts';
import type { Shape, Tensor, TensorLike, TypedArray } from '../base/tensor.ts';
import { looksLike } from '../container/foreign.ts';
import { steadyBytes } from '../container/safetensors.ts';

/** Element types by NumPy's letter and size in bytes. */
const TYPE_SIZES = { f2: 2, f4: 4, f8: 8, i1: 1, u1: 1, i2: 2, u2: 2, i4: 4, u4: 4, i8: 8, u8: 8, b1: 1 } as const;
export type NpyType = keyof typeof TYPE_SIZES;

export interface NpyHeader {
  readonly type: NpyType;
  readonly bigEndian: boolean;
  /** First index runs fastest in the file. */
  readonly fortranOrder: boolean;
  readonly shape: Shape;
  /** Bytes of one element in the file. */
  readonly elementBytes: number;
  /** Where the elements start. */
  readonly dataOffset: number;
  readonly dataBytes: number;
}

/** Longest header that is read, after magic, version and length; NumPy's own limit is 10,000. */
const HEADER_CAP = 65536;
/** Reading this many bytes of a file is enough for any header that is accepted. */
export const NPY_HEADER_BYTES = HEADER_CAP + 12;
const RANK_CAP = 64;
const MAGIC = [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59];

/**
 * Reads one array. float16 becomes Float32Array, int64 and uint64 Float64Array (exact up to 2^53 - 1, else an error),
 * bool Uint8Array; the others keep their type. Fortran order becomes row-major. Rank 0 and empty arrays are arrays like
 * any other.
 *
 * @throws {TypeError} if `bytes` is not bytes
 * @throws {EspalierError} NPY_HEADER (no or bad header; what else the file looks like is named), UNSUPPORTED (objects, text, structures, complex), SHAPE (too
 *   many elements), TRUNCATED (fewer bytes than declared), LAYOUT (more bytes than declared), RANGE (an integer beyond
 *   2^53), FIELD (a bool that is neither 0 nor 1), INPUT (a buffer that was transferred elsewhere), MEMORY
 * @example
 * import { readNpy } from 'espalier/data';
 * const { data, shape } = readNpy(await readFile('landmarks.npy'));
 */
export function readNpy(bytes: Uint8Array | ArrayBuffer): Tensor<TypedArray> {
  const file = steadyBytes('readNpy', bytes);
  const header = readNpyHeader(file);
  checkNpySize(header, file.length);
  const data = withMemory('readNpy', () => decodeNpy(header, file.subarray(header.dataOffset)));
  return { data, shape: header.shape };
}

/**
 * Reads and checks the header alone. `bytes`: the start of the file, at least {@link NPY_HEADER_BYTES} of it, or all.
 * @throws {EspalierError} NPY_HEADER, UNSUPPORTED for an element type that is not read, SHAPE for more than 2^53 elements
 */
export function readNpyHeader(bytes: Uint8Array): NpyHeader {
  if (MAGIC.some((byte, i) => i < bytes.length && bytes[i] !== byte)) {
    const foreign = looksLike(bytes);
    throw headerError(
      foreign === undefined
        ? 'expected the bytes \\x93NUMPY at the start, got bytes of no format known here; this is no .npy file'
        : `expected a .npy file, got what looks like ${foreign}`,
      0,
    );
  }
  if (bytes.length < 10) throw headerError(`expected at least 10 bytes, got ${bytes.length}`, bytes.length);
  const major = bytes[6];
  const minor = bytes[7];
  if (major < 1 || major > 3 || minor !== 0)
    throw headerError(`expected version 1.0, 2.0 or 3.0, got ${major}.${minor}`, 6);
  const lengthBytes = major === 1 ? 2 : 4;
  if (bytes.length < 8 + lengthBytes) throw headerError(`the file ends in the header's length`, bytes.length);
  let length = 0;
  for (let i = lengthBytes - 1; i >= 0; i--) length = length * 256 + bytes[8 + i];
  if (length > HEADER_CAP) throw headerError(`a header of ${length} bytes is above the limit of ${HEADER_CAP}`, 8);
  const dataOffset = 8 + lengthBytes + length;
  if (bytes.length < dataOffset)
    throw headerError(`a header of ${length} bytes is declared, but the file has ${bytes.length} bytes`, 8);

  const { type, bigEndian, fortranOrder, shape } = parseHeader(bytes, 8 + lengthBytes, dataOffset);
  let count = 1;
  for (const side of shape) {
    count *= side;
    if (count > Number.MAX_SAFE_INTEGER)
      throw new EspalierError('SHAPE', `readNpy: shape [${shape.join(', ')}] has more than 2^53 elements`, {
        name: 'shape',
      });
  }
  const elementBytes = TYPE_SIZES[type];
  return { type, bigEndian, fortranOrder, shape, elementBytes, dataOffset, dataBytes: count * elementBytes };
}

/** The whole file must have the bytes that its header declares. @throws {EspalierError} TRUNCATED, LAYOUT */
export function checkNpySize({ type, shape, dataOffset, dataBytes }: NpyHeader, fileBytes: number): void {
  const found = fileBytes - dataOffset;
  if (dataBytes === found) return;
  throw new EspalierError(
    dataBytes > found ? 'TRUNCATED' : 'LAYOUT',
    `readNpy: expected ${dataBytes} bytes of ${type} for shape [${shape.join(', ')}], got ${found}; write the file anew`,
    { offset: dataOffset, limit: dataBytes, found },
  );
}

/**
 * Elements from file bytes: all of them in any order, or, where the header says C order, any whole number of them.
 * Always a copy.
 */
export function decodeNpy(header: NpyHeader, bytes: Uint8Array): TypedArray {
  const count = bytes.length / header.elementBytes;
  const raw = new Uint8Array(bytes.length);
  raw.set(bytes);
  if (header.bigEndian) reverseElements(raw, header.elementBytes);
  const elements = viewElements(header.type, raw.buffer, count);
  return header.fortranOrder && header.shape.length > 1 ? fromFortran(elements, header.shape) : elements;
}

/**
 * Writes one array as NumPy does: version 1.0, little-endian, C order, elements from a multiple of 64 bytes on.
 * An `ndarray` is written as float32.
 * @throws {TypeError | RangeError} if `value` is no tensor
 */
export function writeNpy(value: TensorLike): Uint8Array {
  const { data, shape } =
    typeof value !== 'object' || value === null || hasField(value, 'stride') || !hasField(value, 'shape')
      ? toTensor('writeNpy', 'tensor', value)
      : value;
  checkShape('writeNpy', 'tensor.shape', shape);
  const descr = DESCRIPTIONS.get(arrayName(data) ?? '');
  if (descr === undefined || !ArrayBuffer.isView(data))
    throw new TypeError(
      `writeNpy: tensor.data: expected a typed array of floats or of integers up to 32 bits, got ${show(data)}`,
    );
  if (data.length !== sizeOf(shape))
    throw new RangeError(
      `writeNpy: tensor: expected ${sizeOf(shape)} elements for shape [${shape.join(', ')}], got ${data.length}`,
    );
  const tuple = shape.length === 1 ? `(${shape[0]},)` : `(${shape.join(', ')})`;
  const text = `{'descr': '${descr}', 'fortran_order': False, 'shape': ${tuple}, }`;
  const dataOffset = Math.ceil((10 + text.length + 1) / 64) * 64;
  const header = text.padEnd(dataOffset - 11, ' ') + '\n';
  const bytes = new Uint8Array(dataOffset + data.byteLength);
  bytes.set([...MAGIC, 1, 0, header.length & 255, header.length >> 8]);
  for (let i = 0; i < header.length; i++) bytes[10 + i] = header.charCodeAt(i);
  bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), dataOffset);
  return bytes;
}

const DESCRIPTIONS = /* @__PURE__ */ new Map<string, string>([
  ['Float32Array', '<f4'],
  ['Float64Array', '<f8'],
  ['Uint8Array', '|u1'],
  ['Int8Array', '|i1'],
  ['Uint16Array', '<u2'],
  ['Int16Array', '<i2'],
  ['Int32Array', '<i4'],
  ['Uint32Array', '<u4'],
]);

function headerError(what: string, offset: number): EspalierError {
  return new EspalierError('NPY_HEADER', `readNpy: ${what}`, { offset });
}

/**
 * The dictionary {'descr': string, 'fortran_order': bool, 'shape': tuple}: its keys in any order, each once, nothing
 * else.
 */
function parseHeader(
  bytes: Uint8Array,
  start: number,
  end: number,
): Pick<NpyHeader, 'type' | 'bigEndian' | 'fortranOrder' | 'shape'> {
  let at = start;
  const peek = (): string => (at < end ? String.fromCharCode(bytes[at]) : '');
  const skipSpace = (): void => {
    while (at < end && (bytes[at] === 0x20 || (bytes[at] >= 9 && bytes[at] <= 13))) at++;
  };
  const expected = (what: string): EspalierError =>
    headerError(`header: expected ${what}, got ${at < end ? show(peek()) : 'its end'}`, at);
  const take = (char: string): void => {
    skipSpace();
    if (peek() !== char) throw expected(show(char));
    at++;
  };
  const readString = (): string => {
    skipSpace();
    const quote = peek();
    if (quote !== "'" && quote !== '"') throw expected('a string');
    const from = ++at;
    while (at < end && peek() !== quote && peek() !== '\\') at++;
    if (peek() !== quote) throw expected('a plain string');
    return String.fromCharCode(...bytes.subarray(from, Math.min(at++, from + 80)));
  };
  const readBoolean = (): boolean => {
    skipSpace();
    for (const [word, value] of [
      ['True', true],
      ['False', false],
    ] as const) {
      if ([...word].every((char, i) => at + i < end && bytes[at + i] === char.charCodeAt(0))) {
        at += word.length;
        return value;
      }
    }
    throw expected('True or False');
  };
  const readShape = (): number[] => {
    const shape: number[] = [];
    take('(');
    for (skipSpace(); peek() !== ')'; skipSpace()) {
      const from = at;
      let side = 0;
      for (; at < end && bytes[at] >= 0x30 && bytes[at] <= 0x39; at++) side = side * 10 + bytes[at] - 0x30;
      if (at === from) throw expected('a whole number');
      // As Python 2 writes what was a long there.
      if (peek() === 'L') at++;
      if (side > Number.MAX_SAFE_INTEGER) throw headerError('header: a side of the shape is beyond 2^53', from);
      shape.push(side);
      if (shape.length > RANK_CAP) throw headerError(`header: more than ${RANK_CAP} dimensions`, from);
      skipSpace();
      // A tuple of one element needs its comma: (3) is a number to Python.
      if (peek() === ')' && shape.length > 1) break;
      take(',');
    }
    at++;
    return shape;
  };

  let description: { type: NpyType; bigEndian: boolean } | undefined;
  let fortranOrder: boolean | undefined;
  let shape: number[] | undefined;
  take('{');
  for (skipSpace(); peek() !== '}'; skipSpace()) {
    const keyAt = at;
    const key = readString();
    take(':');
    skipSpace();
    if (key === 'descr' && description === undefined) {
      if (peek() === '[')
        throw new EspalierError(
          'UNSUPPORTED',
          'readNpy: descr: structured elements are not supported; save each field as an array of its own',
          { name: 'descr' },
        );
      description = parseDescription(readString());
    } else if (key === 'fortran_order' && fortranOrder === undefined) fortranOrder = readBoolean();
    else if (key === 'shape' && shape === undefined) shape = readShape();
    else
      throw headerError(`header: expected the keys descr, fortran_order and shape, each once, got ${show(key)}`, keyAt);
    skipSpace();
    if (peek() === '}') break;
    take(',');
  }
  at++;
  skipSpace();
  if (at < end) throw expected('nothing after the dictionary');
  if (!description || fortranOrder === undefined || !shape)
    throw headerError('header: expected the keys descr, fortran_order and shape', start);
  return { ...description, fortranOrder, shape };
}

function parseDescription(descr: string): { type: NpyType; bigEndian: boolean } {
  const order = descr.charAt(0);
  const type = descr.slice(1);
  if (!'<>|='.includes(order) || order === '')
    throw headerError(`descr: expected a byte order (<, >, |) and a type, got ${show(descr)}`, 0);
  if (!Object.hasOwn(TYPE_SIZES, type)) {
    const what = type.startsWith('O')
      ? 'Python objects (pickle) are refused'
      : `elements of type ${show(descr)} are not supported`;
    throw new EspalierError(
      'UNSUPPORTED',
      `readNpy: descr: ${what}; save it as one of ${Object.keys(TYPE_SIZES).join(', ')}`,
      { name: 'descr', found: descr },
    );
  }
  const known = type as NpyType;
  if (order === '|' && TYPE_SIZES[known] > 1) throw headerError(`descr: ${show(descr)} has no byte order`, 0);
  return { type: known, bigEndian: order === '>' && TYPE_SIZES[known] > 1 };
}

function reverseElements(bytes: Uint8Array, elementBytes: number): void {
  for (let start = 0; start < bytes.length; start += elementBytes) {
    for (let low = start, high = start + elementBytes - 1; low < high; low++, high--) {
      const kept = bytes[low];
      bytes[low] = bytes[high];
      bytes[high] = kept;
    }
  }
}

function viewElements(type: NpyType, buffer: ArrayBuffer, count: number): TypedArray {
  switch (type) {
    case 'f4':
      return new Float32Array(buffer);
    case 'f8':
      return new Float64Array(buffer);
    case 'i1':
      return new Int8Array(buffer);
    case 'u1':
      return new Uint8Array(buffer);
    case 'i2':
      return new Int16Array(buffer);
    case 'u2':
      return new Uint16Array(buffer);
    case 'i4':
      return new Int32Array(buffer);
    case 'u4':
      return new Uint32Array(buffer);
    case 'f2':
      return Float32Array.from(new Uint16Array(buffer), halfToNumber);
    case 'b1': {
      const bits = new Uint8Array(buffer);
      const bad = bits.findIndex((bit) => bit > 1);
      if (bad >= 0)
        throw new EspalierError('FIELD', `readNpy: element ${bad}: expected a bool of 0 or 1, got ${bits[bad]}`, {
          offset: bad,
          found: bits[bad],
        });
      return bits;
    }
    case 'i8':
    case 'u8': {
      const words = new Uint32Array(buffer);
      const signed = new Int32Array(buffer);
      const out = new Float64Array(count);
      for (let i = 0; i < count; i++) {
        out[i] = (type === 'i8' ? signed : words)[2 * i + 1] * 4294967296 + words[2 * i];
        if (!Number.isSafeInteger(out[i]))
          throw new EspalierError(
            'RANGE',
            `readNpy: element ${i}: expected an integer within 2^53, got about ${out[i]}; save it as int32 or float64`,
            { offset: i, found: out[i] },
          );
      }
      return out;
    }
  }
}

/** IEEE 754 binary16. */
function halfToNumber(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (exponent === 0 ? fraction * 2 ** -24 : (1024 + fraction) * 2 ** (exponent - 25));
}

/** From first index fastest to last index fastest. */
function fromFortran(elements: TypedArray, shape: Shape): TypedArray {
  const out = elements.slice();
  const stride: number[] = [];
  shape.reduce((step, side, axis) => {
    stride[axis] = step;
    return step * side;
  }, 1);
  gatherStrided(elements, shape, stride, 0, out);
  return out;
}
