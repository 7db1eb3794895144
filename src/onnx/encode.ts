/**
 * The wire format of protocol buffers, written. A field is a list of runs of bytes, so that weights are copied once, when
 * the file is joined.
 */
import { concatenateBytes } from '../base/bytes.ts';

export type Bytes = readonly Uint8Array[];

const ENCODER = /* @__PURE__ */ new TextEncoder();

/** A number as a varint; negative ones take ten bytes, as int64 does. */
function varint(value: number): number[] {
  const bytes: number[] = [];
  let rest = BigInt.asUintN(64, BigInt(value));
  for (; rest > 127n; rest >>= 7n) bytes.push(Number(rest & 127n) | 128);
  return [...bytes, Number(rest)];
}

const tag = (number: number, wire: 0 | 2 | 5): number[] => varint(number * 8 + wire);

/** Length in bytes. */
export const lengthOf = (bytes: Bytes): number => bytes.reduce((sum, { length }) => sum + length, 0);

/** A whole number. */
export const integerField = (number: number, value: number): Bytes => [
  Uint8Array.from([...tag(number, 0), ...varint(value)]),
];

/** Whole numbers, one in each field, as the schema of ONNX has them. */
export const integerFields = (number: number, values: readonly number[]): Bytes => [
  Uint8Array.from(values.flatMap((value) => [...tag(number, 0), ...varint(value)])),
];

export function floatField(number: number, value: number): Bytes {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setFloat32(0, value, true);
  return [Uint8Array.from(tag(number, 5)), bytes];
}

/** Bytes behind their length. */
export const bytesField = (number: number, bytes: Uint8Array): Bytes => [
  Uint8Array.from([...tag(number, 2), ...varint(bytes.length)]),
  bytes,
];

export const textField = (number: number, text: string): Bytes => bytesField(number, ENCODER.encode(text));

/** A message within the message, of the fields given. */
export function messageField(number: number, ...fields: readonly Bytes[]): Bytes {
  const all = fields.flat();
  return [Uint8Array.from([...tag(number, 2), ...varint(lengthOf(all))]), ...all];
}

/** All runs one after another, if their length passes. */
export function joined(runs: Bytes, check: (length: number) => void): Uint8Array<ArrayBuffer> {
  check(lengthOf(runs));
  return concatenateBytes(runs);
}
