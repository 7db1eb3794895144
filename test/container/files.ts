/** Hand-made files: what no writer of ours would write. */
import { expect } from 'vitest';
import { EspalierError } from '../../src/base/errors.ts';
import type { ErrorCode } from '../../src/base/errors.ts';

/** A safetensors file of this header text (or anything that JSON can hold) and these data. */
export function rawFile(header: unknown, data: Uint8Array | number = 0): Uint8Array {
  const text =
    typeof header === 'string'
      ? new TextEncoder().encode(header)
      : header instanceof Uint8Array
        ? header
        : new TextEncoder().encode(JSON.stringify(header));
  const bytes = typeof data === 'number' ? new Uint8Array(data) : data;
  const file = new Uint8Array(8 + text.length + bytes.length);
  new DataView(file.buffer).setBigUint64(0, BigInt(text.length), true);
  file.set(text, 8);
  file.set(bytes, 8 + text.length);
  return file;
}

/** The file with another length of the header. */
export function withHeaderLength(file: Uint8Array, length: bigint): Uint8Array {
  const copy = file.slice();
  new DataView(copy.buffer).setBigUint64(0, length, true);
  return copy;
}

/** The error that a call throws: an EspalierError of one of these codes, or the test fails. */
export function expectCode(call: () => unknown, ...codes: ErrorCode[]): EspalierError {
  let thrown: unknown;
  try {
    call();
  } catch (error) {
    thrown = error;
  }
  return expectError(thrown, ...codes);
}

export function expectError(thrown: unknown, ...codes: ErrorCode[]): EspalierError {
  expect(thrown, `expected ${codes.join(' or ')}`).toBeInstanceOf(EspalierError);
  const error = thrown as EspalierError;
  expect(codes, error.message).toContain(error.code);
  return error;
}

/** The error of a promise. */
export async function rejection(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => undefined,
    (error: unknown) => error,
  );
}
