/** What all quantizers of matrices share: checks of what they are given, and the error of what they make. */
import { square } from '../base/elementary.ts';
import { checkFinite } from '../base/errors.ts';
import { toTensor, type Tensor, type TensorLike } from '../base/tensor.ts';
import { decode, encodingSize } from '../encodings/index.ts';
import type { Encoding } from '../encodings/types.ts';
import type { FitReport } from './quantizer.ts';

/** Shape (rows, columns), at least one element, all finite. @throws {RangeError}, {@link EspalierError} NONFINITE */
export function checkMatrix(who: string, matrix: TensorLike): Tensor {
  const values = toTensor(who, 'matrix', matrix);
  const { data, shape } = values;
  if (shape.length !== 2 || data.length === 0)
    throw new RangeError(
      `${who}: matrix: expected shape (rows, columns) with at least one element, got [${shape.join(', ')}]`,
    );
  checkFinite(who, 'matrix', data, shape[1]);
  return values;
}

/**
 * The importance of every weight or, of shape (columns), of every column.
 * @throws {TypeError | RangeError} for another shape or a number below 0
 * @throws {EspalierError} NONFINITE
 */
export function checkImportance(
  who: string,
  weights: TensorLike | undefined,
  { shape: [rows, columns] }: Tensor,
): Tensor | undefined {
  if (weights === undefined) return undefined;
  const checked = toTensor(who, 'weights', weights);
  const { data, shape } = checked;
  if (shape.join() !== `${columns}` && shape.join() !== `${rows},${columns}`)
    throw new RangeError(
      `${who}: weights: expected shape [${columns}] or [${rows}, ${columns}], got [${shape.join(', ')}]`,
    );
  checkFinite(who, 'weights', data, columns);
  const negative = data.findIndex((weight) => weight < 0);
  if (negative >= 0)
    throw new RangeError(`${who}: weights: expected weights from 0, got ${data[negative]} at element ${negative}`);
  return checked;
}

/**
 * Squared error of an encoding against the matrix that it stands for, summed in double, and |W - decoded| / |W| (0
 * where both are 0).
 * @throws {TypeError | RangeError} if the matrix is none, or has not as many elements as the encoding
 */
export function reconstructionError(matrix: TensorLike, encoding: Encoding): { sumSquares: number; relative: number } {
  const { data } = toTensor('reconstructionError', 'matrix', matrix);
  const decoded = decode(encoding);
  if (data.length !== decoded.length)
    throw new RangeError(
      `reconstructionError: matrix: expected ${decoded.length} elements as the encoding has, got ${data.length}`,
    );
  let sumSquares = 0;
  let norm = 0;
  for (let i = 0; i < data.length; i++) {
    sumSquares += square(data[i] - decoded[i]);
    norm += square(data[i]);
  }
  return { sumSquares, relative: sumSquares === 0 ? 0 : Math.sqrt(sumSquares / norm) };
}

/** What every fit reports, measured on the encoding that it made. */
export function fitReport(matrix: Tensor, encoding: Encoding): FitReport {
  const { sumSquares, relative } = reconstructionError(matrix, encoding);
  const bits = encodingSize(encoding).total;
  return { sumSquares, relativeError: relative, bits, bitsPerWeight: bits / matrix.data.length };
}
