/** What k-means is given, checked and brought to float32. Glossary: n points, d coordinates, K codewords. */
import { checkFinite, checkOneOf } from '../base/errors.ts';
import { checkFloat32, columnRanges, flattened, toFloat32 } from '../base/float32.ts';
import { arrayName } from '../base/realm.ts';
import { contiguous, toTensor } from '../base/tensor.ts';
import type { Tensor, TensorLike } from '../base/tensor.ts';

/**
 * Points as they are fitted, in float32, and what was taken off each column for it.
 * @throws {TypeError | RangeError} for another shape than (n, d); {EspalierError} NONFINITE, RANGE
 */
export function checkPoints(points: TensorLike): {
  readonly data: Float32Array;
  readonly n: number;
  readonly d: number;
  readonly offsets: Float64Array | undefined;
} {
  const { data: given, shape } = contiguous('kmeans', 'points', points);
  const [n, d] = shape;
  if (shape.length !== 2 || n < 1 || d < 1)
    throw new RangeError(
      `kmeans: points: expected at least one point of at least one coordinate, shape (n, d), got [${shape.join(', ')}]`,
    );
  checkFinite('kmeans', 'points', given, d);
  if (arrayName(given) === 'Float32Array')
    return { data: toFloat32('kmeans', 'points', given), n, d, offsets: undefined };
  // As they were given: the shift would name another number.
  for (let i = 0; i < given.length; i++) checkFloat32('kmeans', 'points', given[i]);
  const ranges = columnRanges(d);
  ranges.add(given);
  const columns = flattened(ranges);
  const offsets = new Float64Array(d);
  // From the least value on: differences of whole numbers stay whole.
  for (const { column, low } of columns) offsets[column] = low;
  const shifted = Float64Array.from(given, (value, i) => value - offsets[i % d]);
  return { data: toFloat32('kmeans', 'points', shifted, d), n, d, offsets: columns.length > 0 ? offsets : undefined };
}

/**
 * First codewords (K, d), moved as the points were, or how to choose them.
 * @throws {TypeError | RangeError} for anything else; {EspalierError} NONFINITE, RANGE
 */
export function checkInit(
  init: 'plusPlus' | 'random' | 'exact' | TensorLike,
  K: number,
  d: number,
  offsets: Float64Array | undefined,
): 'plusPlus' | 'random' | 'exact' | Float32Array {
  if (typeof init === 'string') {
    const checked = checkOneOf<'plusPlus' | 'random' | 'exact'>('kmeans', 'init', init, [
      'plusPlus',
      'random',
      'exact',
    ]);
    if (checked === 'exact' && d !== 1)
      throw new RangeError(`kmeans: init: expected points of one coordinate for 'exact', got ${d}; use 'plusPlus'`);
    return checked;
  }
  const { data, shape } = contiguous('kmeans', 'init', init);
  if (shape.length !== 2 || shape[0] !== K || shape[1] !== d)
    throw new RangeError(`kmeans: init: expected shape [${K}, ${d}], got [${shape.join(', ')}]`);
  checkFinite('kmeans', 'init', data, d);
  for (let i = 0; i < data.length; i++) checkFloat32('kmeans', 'init', data[i]);
  return toFloat32(
    'kmeans',
    'init',
    Float64Array.from(data, (value, i) => value - (offsets?.[i % d] ?? 0)),
    d,
  );
}

/**
 * Weights of one of the shapes, from 0, not all of them 0.
 * @throws {TypeError | RangeError} for others; {EspalierError} NONFINITE
 */
export function checkWeights(
  name: string,
  weights: TensorLike | undefined,
  shapes: readonly (readonly number[])[],
): Tensor | undefined {
  if (weights === undefined) return undefined;
  const checked = toTensor('kmeans', name, weights);
  const { data, shape } = checked;
  if (!shapes.some((expected) => expected.join() === shape.join()))
    throw new RangeError(
      `kmeans: ${name}: expected shape ${shapes.map((expected) => `[${expected.join(', ')}]`).join(' or ')}, got [${shape.join(', ')}]`,
    );
  checkFinite('kmeans', name, data, shape.length === 2 ? shape[1] : 0);
  const negative = data.findIndex((weight) => weight < 0);
  if (negative >= 0)
    throw new RangeError(`kmeans: ${name}: expected weights from 0, got ${data[negative]} at element ${negative}`);
  if (data.every((weight) => weight === 0))
    throw new RangeError(`kmeans: ${name}: expected at least one above 0, got only zeros`);
  return checked;
}
