/** What a hostile model must come to: an error of the contract, with a code and a place. */
import { expect } from 'vitest';
import { EspalierError } from '../../src/base/errors.ts';
import type { ErrorCode } from '../../src/base/errors.ts';
import type { Bytes } from '../../src/onnx/encode.ts';
import { readOnnx } from '../../src/onnx/index.ts';
import type { OnnxOptions } from '../../src/onnx/index.ts';
import { node, simple } from './making.ts';

/** The error of reading; an engine's own or one without a place is a failure of the test. */
export function refusal(bytes: Uint8Array, options?: OnnxOptions): EspalierError | undefined {
  try {
    readOnnx(bytes, options);
    return undefined;
  } catch (error) {
    if (!(error instanceof EspalierError)) throw error;
    // What the engine says of a size is no answer.
    expect(error.code, error.message).not.toBe('MEMORY');
    expect(error.details.offset ?? error.details.name, `${error.code} ${error.message}`).toBeDefined();
    return error;
  }
}

export function expectRefusal(bytes: Uint8Array, code: ErrorCode, text: RegExp, options?: OnnxOptions): EspalierError {
  const error = refusal(bytes, options);
  expect(error?.message).toMatch(text);
  expect(error?.code).toBe(code);
  return error as EspalierError;
}

/** Code of what is thrown. */
export function expectRefusalOf(run: () => unknown, code: ErrorCode): void {
  try {
    run();
  } catch (error) {
    expect((error as EspalierError).code).toBe(code);
    return;
  }
  throw new Error('nothing was refused');
}

/** x to y. */
export const relu = node('Relu', ['x'], ['y']);
/** A convolution with this weight. */
export const weighted = (initializer: Bytes): Uint8Array =>
  simple([node('Conv', ['x', 'w'], ['y'], { name: 'first' })], initializer);
