/**
 * Tensors of an ONNX model: of any element type that a model for floats may carry. Weights of other widths become
 * float32; whole numbers keep theirs, 64 bits included, since shapes are computed with them.
 */
import { EspalierError, show } from '../base/errors.ts';
import { sizeOf } from '../base/tensor.ts';
import type { Shape } from '../base/tensor.ts';
import { halfToNumber } from '../encodings/half.ts';
import type { Encoding } from '../encodings/types.ts';
import type { ExternalPlace } from './external.ts';
import type { TensorProto } from './tensor-message.ts';
import { signedVarint, unsignedVarint } from './wire.ts';

/** Arrays that hold the elements, by type. bool: 0 or 1. */
export interface ElementArrays {
  float: Float32Array;
  double: Float64Array;
  uint8: Uint8Array;
  int8: Int8Array;
  uint16: Uint16Array;
  int16: Int16Array;
  uint32: Uint32Array;
  int32: Int32Array;
  uint64: BigUint64Array;
  int64: BigInt64Array;
  bool: Uint8Array;
}
export type ElementName = keyof ElementArrays;
export type ElementArray = ElementArrays[ElementName];

/** A constant of the model: row-major. */
export interface OnnxTensor {
  readonly type: ElementName;
  readonly shape: Shape;
  /** Of a tensor that is stored otherwise: decoded when it is first asked for. */
  readonly data: ElementArray;
  /** How its elements are stored, where that says more than they do. */
  readonly stored?: Stored;
}

/**
 * A parameter that a tensor shows: with its elements in the shape `view`, the axes of that in another order, and whatever
 * shape is then given to them. What undoes all that has the parameter again, as it is stored.
 */
export interface Stored {
  /** As the model calls it. */
  readonly name: string;
  readonly encoding: Encoding;
  readonly view: Shape;
  /** Axis i of what is shown is axis order[i] of the view. */
  readonly order: readonly number[];
  /** Counts elements that are decoded. @throws {EspalierError} BUDGET */
  readonly spend: (elements: number) => void;
}

const ARRAYS: { readonly [E in ElementName]: (count: number) => ElementArrays[E] } = {
  float: (count) => new Float32Array(count),
  double: (count) => new Float64Array(count),
  uint8: (count) => new Uint8Array(count),
  int8: (count) => new Int8Array(count),
  uint16: (count) => new Uint16Array(count),
  int16: (count) => new Int16Array(count),
  uint32: (count) => new Uint32Array(count),
  int32: (count) => new Int32Array(count),
  uint64: (count) => new BigUint64Array(count),
  int64: (count) => new BigInt64Array(count),
  bool: (count) => new Uint8Array(count),
};

/** Whether it is the name of a type that is read. */
export const isElementName = (value: unknown): value is ElementName =>
  typeof value === 'string' && Object.hasOwn(ARRAYS, value);

/** Zeros. */
export function elements<E extends ElementName>(type: E, count: number): ElementArrays[E] {
  return ARRAYS[type](count);
}

/** Whether the elements are numbers of JavaScript's; else they are `bigint`s. */
export const isWide = (type: ElementName): boolean => type === 'int64' || type === 'uint64';
export const isFloating = (type: ElementName): boolean => type === 'float' || type === 'double';

/** Names of ONNX's element types by their codes; those of {@link ElementName} are read, halves and bfloat16 as float32. */
const CODES: readonly string[] = [
  'undefined', 'float', 'uint8', 'int8', 'uint16', 'int16', 'int32', 'int64', 'string', 'bool', 'float16', 'double',
  'uint32', 'uint64', 'complex64', 'complex128', 'bfloat16', 'float8e4m3fn', 'float8e4m3fnuz', 'float8e5m2',
  'float8e5m2fnuz', 'uint4', 'int4', 'float4e2m1', 'float8e8m0', 'uint2', 'int2',
]; // prettier-ignore

/** The name of a code, for texts. */
export const elementWord = (code: number): string => CODES[code] ?? `element type ${code}`;

/** What the elements of a code become; undefined if they are not read. */
export function elementOf(code: number): ElementName | undefined {
  const word = elementWord(code);
  if (word === 'float16' || word === 'bfloat16') return 'float';
  return Object.hasOwn(ARRAYS, word) ? (word as ElementName) : undefined;
}

/** Bytes of an element. */
export const widthOf = (type: ElementName): number => ARRAYS[type](0).BYTES_PER_ELEMENT;

/** The same in raw data, of a type that is read. */
function rawWidthOf(code: number): number {
  const word = elementWord(code);
  return word === 'float16' || word === 'bfloat16' ? 2 : widthOf(word as ElementName);
}

/** Bytes that lie outside the file, as the caller supplied them; as many as are needed, unless the place says how many. */
export type External = (tensor: string, place: ExternalPlace, needed: number) => Uint8Array;

/** Is told what will be made, once it is known that the file has it. @throws {EspalierError} to refuse it */
export type Making = (shape: Shape, type: ElementName) => void;

/**
 * The tensor of a message.
 * @throws {EspalierError} UNSUPPORTED for an element type that is not read, TENSOR for data that do not fit the shape,
 *   and what `external` throws
 */
export function readTensor(bytes: Uint8Array, proto: TensorProto, external: External, makes: Making): OnnxTensor {
  const { name, code, shape } = proto;
  const who = `readOnnx: tensor ${show(name)}`;
  const type = elementOf(code);
  if (type === undefined) {
    const text = `${who}: elements of type ${elementWord(code)} are not read; expected float, float16, bfloat16, double, whole numbers of 8 to 64 bits or bool`;
    throw new EspalierError('UNSUPPORTED', text, { name, found: elementWord(code) });
  }
  const bad = (text: string): EspalierError =>
    new EspalierError('TENSOR', `${who}: ${text}`, { name, offset: proto.at });
  const count = sizeOf(shape);
  const kinds = [proto.external, proto.raw, proto.typed.length > 0 ? proto.typed : undefined].filter(
    (one) => one !== undefined,
  );
  if (kinds.length > 1) throw bad('its data are there twice, in two forms');
  if (proto.external !== undefined || proto.raw !== undefined) {
    const expected = count * rawWidthOf(code);
    const raw = proto.external
      ? external(name, proto.external, expected)
      : bytes.subarray(...(proto.raw as readonly [number, number]));
    if (raw.length !== expected)
      throw bad(`expected ${expected} bytes for [${shape.join(', ')}] of ${elementWord(code)}, got ${raw.length}`);
    makes(shape, type);
    return { type, shape, data: fromRaw(raw, code, type, count) };
  }
  return { type, shape, data: fromTyped(bytes, proto, type, bad, makes) };
}

/** Little-endian elements; where they lie as an array may, the array is a view of the file. */
function fromRaw(raw: Uint8Array, code: number, type: ElementName, count: number): ElementArray {
  const word = elementWord(code);
  if (word === 'float16' || word === 'bfloat16') {
    const view = new DataView(raw.buffer, raw.byteOffset, raw.byteLength);
    const data = new Float32Array(count);
    for (let i = 0; i < count; i++) data[i] = ofSixteenBits(view.getUint16(2 * i, true), word);
    return data;
  }
  const data = elements(type, count);
  // A copy: the caller's bytes may change, and rarely lie as the elements want to.
  new Uint8Array(data.buffer).set(raw);
  if (type === 'bool') for (let i = 0; i < count; i++) data[i] = data[i] === 0 ? 0 : 1;
  return data;
}

const SCRATCH = /* @__PURE__ */ new DataView(/* @__PURE__ */ new ArrayBuffer(4));

/** bfloat16 is the upper half of a float32. */
function ofSixteenBits(bits: number, word: string): number {
  if (word === 'float16') return halfToNumber(bits);
  SCRATCH.setUint32(0, bits * 65536);
  return SCRATCH.getFloat32(0);
}

/** Elements in the field of their type: floats and doubles as they are, whole numbers as varints. */
function fromTyped(
  bytes: Uint8Array,
  { typed, code, shape }: TensorProto,
  type: ElementName,
  bad: (text: string) => EspalierError,
  makes: Making,
): ElementArray {
  const count = sizeOf(shape);
  const word = elementWord(code);
  const field = FIELD_OF[word] ?? 'int32_data';
  const other = typed.find((part) => part.field !== field);
  if (other) throw bad(`its elements are of type ${word} and lie in ${other.field}; expected ${field}`);
  if (field === 'float_data' || field === 'double_data') {
    const size = field === 'float_data' ? 4 : 8;
    const found = typed.reduce((sum, { start, end }) => sum + (end - start) / size, 0);
    if (found !== count) throw bad(`expected ${count} elements, got ${found}`);
    makes(shape, type);
    const data = elements(type, count);
    const target = new Uint8Array(data.buffer);
    let to = 0;
    for (const { start, end } of typed) {
      target.set(bytes.subarray(start, end), to);
      to += end - start;
    }
    return data;
  }
  // A varint ends with the byte that is below 128: they are counted before anything is allocated for them.
  let found = 0;
  for (const { start, end } of typed) for (let i = start; i < end; i++) if (bytes[i] < 128) found++;
  if (found !== count) throw bad(`expected ${count} elements, got ${found}`);
  makes(shape, type);
  const data = elements(type, count);
  let i = 0;
  for (const { start, end } of typed) {
    for (let at = start; at < end; i++) {
      let behind = at;
      while (bytes[behind] >= 128) behind++;
      behind++;
      if (type === 'uint64') (data as BigUint64Array)[i] = unsignedVarint(bytes, at, behind);
      else if (type === 'int64') (data as BigInt64Array)[i] = signedVarint(bytes, at, behind);
      else {
        const value = Number(signedVarint(bytes, at, behind));
        const numbers = data as Exclude<ElementArray, BigInt64Array | BigUint64Array>;
        if (word === 'float16' || word === 'bfloat16') {
          if (value < 0 || value > 65535) throw bad(`element ${i}: ${value} is no pattern of 16 bits`);
          numbers[i] = ofSixteenBits(value, word);
        } else {
          numbers[i] = type === 'bool' ? Number(value !== 0) : value;
          if (type !== 'bool' && numbers[i] !== value) throw bad(`element ${i}: ${value} is no ${word}`);
        }
      }
      at = behind;
    }
  }
  return data;
}

const FIELD_OF: Readonly<Partial<Record<string, string>>> = {
  float: 'float_data',
  double: 'double_data',
  int64: 'int64_data',
  uint64: 'uint64_data',
  uint32: 'uint64_data',
};

/** The same numbers as float32. @throws {EspalierError} RANGE for what is beyond it; TENSOR for whole numbers beyond 2^53 */
export function toFloats(name: string, { type, data }: OnnxTensor): Float32Array {
  if (type === 'float') return data as Float32Array;
  const floats = new Float32Array(data.length);
  for (let i = 0; i < floats.length; i++) {
    const value = Number(data[i]);
    floats[i] = value;
    if (Number.isFinite(value) && !Number.isFinite(floats[i])) {
      const text = `readOnnx: tensor ${show(name)}: element ${i}: ${value} is beyond float32`;
      throw new EspalierError('RANGE', text, { name, found: value });
    }
  }
  return floats;
}

/** Whole numbers of a short list: axes, sizes, pads. @throws {EspalierError} TENSOR for one beyond 2^53, or floats */
export function toIntegers(name: string, { type, data }: OnnxTensor): number[] {
  return Array.from<number | bigint, number>(data as ArrayLike<number | bigint>, (value) => {
    const number = Number(value);
    if (isFloating(type) || !Number.isSafeInteger(number)) {
      const text = `readOnnx: tensor ${show(name)}: expected whole numbers below 2^53, got ${show(String(value))}`;
      throw new EspalierError('TENSOR', text, { name, found: number });
    }
    return number;
  });
}
