/** What the encodings share: the matrix that a shape stands for, checks, and bytes to floats. */
import { EspalierError, show } from '../base/errors.ts';
import { sizeOf, type Shape } from '../base/tensor.ts';
import { halfToNumber } from './half.ts';
import type { StoredTensor } from './kind.ts';

/** Rows and columns of a parameter of this shape seen as a matrix; a single number is a matrix of one column. */
export function matrixSides(shape: Shape): { rows: number; columns: number } {
  const [rows = 1, ...rest] = shape;
  return { rows, columns: rest.reduce((product, side) => product * side, 1) };
}

/** An array of exactly `expected` elements. @throws {RangeError} */
export function checkLength(who: string, name: string, values: ArrayLike<number>, expected: number): void {
  if (values.length !== expected)
    throw new RangeError(`${who}: ${name}: expected ${expected} elements, got ${values.length}`);
}

/** A shape from a file: whole numbers, their product below 2^53. @throws {EspalierError} SHAPE */
export function headerShape(name: string, shape: unknown): Shape {
  const isShape = Array.isArray(shape) && shape.every((side) => Number.isSafeInteger(side) && side >= 0);
  if (!isShape || !(sizeOf(shape as Shape) <= Number.MAX_SAFE_INTEGER))
    throw new EspalierError(
      'SHAPE',
      `read: ${show(name)}: shape: expected whole numbers whose product is below 2^53, got ${show(shape)}`,
      { name, found: shape },
    );
  return shape as Shape;
}

/** A number or list in the file that no encoding of the kind could have. */
export function invalid(name: string, what: string, found: unknown): EspalierError {
  return new EspalierError('PQ_PARAM', `read: ${show(name)}: ${what}`, { name, found });
}

/** @throws {EspalierError} FIELD */
export function checkDtype(name: string, { dtype }: StoredTensor, ...allowed: readonly StoredTensor['dtype'][]): void {
  if (!allowed.includes(dtype))
    throw new EspalierError(
      'FIELD',
      `read: ${show(name)}: expected a tensor of ${allowed.join(' or ')}, got ${show(dtype)}`,
      { name, found: dtype },
    );
}

/** @throws {EspalierError} PQ_PARAM */
export function checkBytes(name: string, { bytes }: StoredTensor, expected: number): void {
  if (bytes.length !== expected) throw invalid(name, `expected ${expected} bytes, got ${bytes.length}`, bytes.length);
}

/** Whether a field is a whole number from `from` to `to`. */
export function isInteger(value: unknown, from: number, to: number): value is number {
  return Number.isInteger(value) && (value as number) >= from && (value as number) <= to;
}

/** Numbers of little-endian halves, wherever they lie in their buffer. */
export function halvesOf(bytes: Uint8Array): Float32Array {
  return Float32Array.from(new Uint16Array(new Uint8Array(bytes).buffer), halfToNumber);
}

/** Copy of little-endian float32 bytes, wherever they lie in their buffer. */
export function floatsOf(bytes: Uint8Array): Float32Array {
  return new Float32Array(new Uint8Array(bytes).buffer);
}
