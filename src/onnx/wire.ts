/**
 * The wire format of protocol buffers: fields of a message, one after another. Nothing is copied: what a field holds is
 * a range of the bytes. Offsets in errors are from the beginning of the file.
 */
import { EspalierError, show } from '../base/errors.ts';

/** What was wrong, and where. */
export function protoError(offset: number, text: string): EspalierError {
  return new EspalierError('PROTO', `readOnnx: byte ${offset}: ${text}`, { offset });
}

/** One field of a message. */
export interface Field {
  readonly number: number;
  /** Where its tag begins. */
  readonly at: number;
  /** 0 varint, 1 eight bytes, 2 bytes behind their length, 5 four bytes. Groups are passed over. */
  readonly wire: 0 | 1 | 2 | 5;
  /** The bytes of its value, without the length. */
  readonly start: number;
  readonly end: number;
}

/** Groups in groups that are passed over at most. */
const MOST_GROUPS = 100;
/** Bytes of a varint: 64 bits, seven a byte. */
const LONGEST_VARINT = 10;

/** Behind the varint at `at`. @throws {EspalierError} PROTO if it does not end before `end` or within ten bytes */
function endOfVarint(bytes: Uint8Array, at: number, end: number): number {
  for (let i = at; i < at + LONGEST_VARINT; i++) {
    if (i >= end) throw protoError(at, 'a number runs past the end of its message; the file is cut short or damaged');
    if (bytes[i] < 128) return i + 1;
  }
  throw protoError(at, `a number of more than ${LONGEST_VARINT} bytes; the file is damaged`);
}

/** The varint in [start, end) as 64 bits without a sign. */
export function unsignedVarint(bytes: Uint8Array, start: number, end: number): bigint {
  let value = 0n;
  for (let i = end - 1; i >= start; i--) value = (value << 7n) | BigInt(bytes[i] & 127);
  return BigInt.asUintN(64, value);
}

/** The same as a signed number: int32, int64, enums. */
export const signedVarint = (bytes: Uint8Array, start: number, end: number): bigint =>
  BigInt.asIntN(64, unsignedVarint(bytes, start, end));

/** A varint that is small by its meaning: a tag, a length. Beyond 2^53 it is too large for any use. */
function smallVarint(bytes: Uint8Array, start: number, end: number): number {
  let value = 0;
  for (let i = end - 1; i >= start; i--) value = value * 128 + (bytes[i] & 127);
  return value;
}

/**
 * The fields of the message in [start, end), in their order. Unknown fields are there too: a caller takes what it knows.
 * @throws {EspalierError} PROTO with the byte where it went wrong; DEPTH for groups in groups
 */
export function* fieldsOf(bytes: Uint8Array, start: number, end: number): Generator<Field, void, undefined> {
  /** Numbers of the groups that are open: an old way of nesting, which nothing in a model uses. */
  const groups: number[] = [];
  for (let at = start; at < end;) {
    const behindTag = endOfVarint(bytes, at, end);
    const tag = smallVarint(bytes, at, behindTag);
    const [number, wire] = [Math.floor(tag / 8), tag % 8];
    if (number < 1 || number >= 2 ** 29)
      throw protoError(at, `a field with the number ${number}; the file is damaged or is no ONNX model`);
    let [from, to] = [behindTag, behindTag];
    if (wire === 0) to = endOfVarint(bytes, behindTag, end);
    else if (wire === 1) to += 8;
    else if (wire === 5) to += 4;
    else if (wire === 2) {
      from = endOfVarint(bytes, behindTag, end);
      to = from + smallVarint(bytes, behindTag, from);
    } else if (wire === 3) {
      if (groups.push(number) > MOST_GROUPS)
        throw new EspalierError('DEPTH', `readOnnx: byte ${at}: more than ${MOST_GROUPS} groups in each other`, {
          offset: at,
          limit: MOST_GROUPS,
        });
    } else if (wire === 4) {
      if (groups.pop() !== number) throw protoError(at, `the end of a group ${number} that was not begun`);
    } else throw protoError(at, `wire type ${wire}, which does not exist; the file is damaged`);
    if (to > end)
      throw protoError(
        at,
        `field ${number} asks for ${to - from} bytes where ${end - from} are left; the file is cut short or damaged`,
      );
    if (groups.length === 0 && wire !== 4) yield { number, at, wire: wire as Field['wire'], start: from, end: to };
    at = to;
  }
  if (groups.length > 0) throw protoError(end, `the group ${groups[groups.length - 1]} does not end`);
}

/** Refuses a field that is not encoded as its type says. */
function expectWire(field: Field, wire: Field['wire'], what: string): void {
  if (field.wire !== wire) throw protoError(field.at, `${what}: expected wire type ${wire}, got ${field.wire}`);
}

/** A whole number that stands alone. */
export function integerField(bytes: Uint8Array, field: Field, what: string): bigint {
  expectWire(field, 0, what);
  return signedVarint(bytes, field.start, field.end);
}

/** The same where it is a count or a code. @throws {EspalierError} PROTO beyond 2^53 */
export function countField(bytes: Uint8Array, field: Field, what: string): number {
  const value = integerField(bytes, field, what);
  const number = Number(value);
  if (!Number.isSafeInteger(number)) throw protoError(field.at, `${what}: ${value} is beyond 2^53`);
  return number;
}

const DECODER = /* @__PURE__ */ new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** A string. @throws {EspalierError} PROTO if it is not UTF-8 */
export function textField(bytes: Uint8Array, field: Field, what: string): string {
  expectWire(field, 2, what);
  try {
    return DECODER.decode(bytes.subarray(field.start, field.end));
  } catch (cause) {
    throw new EspalierError('PROTO', `readOnnx: byte ${field.start}: ${what}: not UTF-8`, {
      offset: field.start,
      cause,
    });
  }
}

/** A range of bytes: a message within the message, or raw data. */
export function rangeField(field: Field, what: string): readonly [start: number, end: number] {
  expectWire(field, 2, what);
  return [field.start, field.end];
}

/** A float that stands alone. */
export function floatField(bytes: Uint8Array, field: Field, what: string): number {
  expectWire(field, 5, what);
  return new DataView(bytes.buffer, bytes.byteOffset + field.start, 4).getFloat32(0, true);
}

/** Repeated whole numbers, packed or one in each field: `add` gets them in their order. */
export function eachInteger(
  bytes: Uint8Array,
  field: Field,
  what: string,
  add: (start: number, end: number) => void,
): void {
  if (field.wire === 0) {
    add(field.start, field.end);
    return;
  }
  expectWire(field, 2, what);
  for (let at = field.start; at < field.end;) {
    const end = endOfVarint(bytes, at, field.end);
    add(at, end);
    at = end;
  }
}

/** Repeated values of 4 or 8 bytes, packed or one in each field: their place. @throws {EspalierError} PROTO for a part of one */
export function fixedRange(field: Field, size: 4 | 8, what: string): readonly [start: number, end: number] {
  if (field.wire === (size === 4 ? 5 : 1)) return [field.start, field.end];
  const [start, end] = rangeField(field, what);
  if ((end - start) % size !== 0)
    throw protoError(field.at, `${what}: ${show(end - start)} bytes are no whole number of values of ${size} bytes`);
  return [start, end];
}
