/**
 * Pearson correlation of rows, in double: rows are centred and scaled to length 1, and correlations are their inner
 * products. A constant row has no correlation (0 / 0); here it is 0 with every row, itself included.
 */
import { square } from '../base/elementary.ts';

/**
 * Rows minus their mean, over their Euclidean length; a constant row becomes zeros. Two passes, so that a large mean
 * does not cancel. x (rows, columns) row-major; the result has the same layout.
 */
export function standardizeRows(x: ArrayLike<number>, rows: number, columns: number): Float64Array {
  const z = centreRows(x, rows, columns);
  for (let r = 0; r < rows; r++) {
    const row = z.subarray(r * columns, (r + 1) * columns);
    // Scaled by the largest entry first: the square of 1e-200 is 0 and that of 1e200 infinite.
    let largest = 0;
    for (const value of row) largest = Math.max(largest, Math.abs(value));
    if (largest === 0) continue;
    let squares = 0;
    for (const value of row) squares += square(value / largest);
    const length = largest * Math.sqrt(squares);
    for (let i = 0; i < columns; i++) row[i] /= length;
  }
  return z;
}

/** Rows minus their mean; exactly zero for a row of equal float32 values (their sum is exact in double). */
export function centreRows(x: ArrayLike<number>, rows: number, columns: number): Float64Array {
  const centred = new Float64Array(rows * columns);
  for (let r = 0; r < rows; r++) {
    const first = r * columns;
    let sum = 0;
    for (let i = 0; i < columns; i++) sum += x[first + i];
    const mean = sum / columns;
    for (let i = 0; i < columns; i++) centred[first + i] = x[first + i] - mean;
  }
  return centred;
}

/**
 * Inner products of all rows of a (rowsA, columns) with all rows of b (rowsB, columns): (rowsA, rowsB). Cost: rowsA
 * rowsB columns multiply-adds. Sums run in ascending order of the column, so equal rows give equal products.
 * @param out - what they are added to. Default: zeros
 */
export function rowProducts(
  a: Float64Array,
  rowsA: number,
  b: Float64Array,
  rowsB: number,
  columns: number,
  out: Float64Array = new Float64Array(rowsA * rowsB),
): Float64Array {
  for (let i = 0; i < rowsA; i += 2) for (let j = 0; j < rowsB; j += 4) block(a, i, rowsA, b, j, rowsB, columns, out);
  return out;
}

/** The same for a with itself, symmetric: half the cost. `out`: symmetric too. */
export function gram(
  a: Float64Array,
  rows: number,
  columns: number,
  out: Float64Array = new Float64Array(rows * rows),
): Float64Array {
  for (let i = 0; i < rows; i += 2) for (let j = i & ~3; j < rows; j += 4) block(a, i, rows, a, j, rows, columns, out);
  for (let i = 0; i < rows; i++) for (let j = 0; j < i; j++) out[i * rows + j] = out[j * rows + i];
  return out;
}

/**
 * Pearson correlations of the rows of x with one another: (rows, rows), in [-1, 1]; 1 on the diagonal, 0 where a row is
 * constant.
 */
export function correlationMatrix(x: ArrayLike<number>, rows: number, columns: number): Float64Array {
  return gram(standardizeRows(x, rows, columns), rows, columns).map((r) => Math.max(-1, Math.min(1, r)));
}

/** Covariances of the rows of x, divided by the number of columns: (rows, rows). */
export function covarianceMatrix(x: ArrayLike<number>, rows: number, columns: number): Float64Array {
  return gram(centreRows(x, rows, columns), rows, columns).map((sum) => sum / columns);
}

/** Rows i, i + 1 of a with j ... j + 3 of b. Rows beyond the end are read as the last one and not written. */
function block(
  a: Float64Array,
  i: number,
  rowsA: number,
  b: Float64Array,
  j: number,
  rowsB: number,
  columns: number,
  out: Float64Array,
): void {
  const two = i + 1 < rowsA;
  const last = rowsB - 1;
  const a0 = i * columns;
  const a1 = two ? a0 + columns : a0;
  const b0 = j * columns;
  const b1 = Math.min(j + 1, last) * columns;
  const b2 = Math.min(j + 2, last) * columns;
  const b3 = Math.min(j + 3, last) * columns;
  let s00 = 0;
  let s01 = 0;
  let s02 = 0;
  let s03 = 0;
  let s10 = 0;
  let s11 = 0;
  let s12 = 0;
  let s13 = 0;
  for (let k = 0; k < columns; k++) {
    const x0 = a[a0 + k];
    const x1 = a[a1 + k];
    const y0 = b[b0 + k];
    const y1 = b[b1 + k];
    const y2 = b[b2 + k];
    const y3 = b[b3 + k];
    s00 += x0 * y0;
    s01 += x0 * y1;
    s02 += x0 * y2;
    s03 += x0 * y3;
    s10 += x1 * y0;
    s11 += x1 * y1;
    s12 += x1 * y2;
    s13 += x1 * y3;
  }
  const width = Math.min(4, rowsB - j);
  const row0 = [s00, s01, s02, s03];
  const row1 = [s10, s11, s12, s13];
  for (let c = 0; c < width; c++) {
    out[i * rowsB + j + c] += row0[c];
    if (two) out[(i + 1) * rowsB + j + c] += row1[c];
  }
}
