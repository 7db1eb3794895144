/**
 * Sub-vectors of a matrix as the points of k-means. Points stand sub-space by sub-space, (M rows, d), so that points
 * with one metric follow each other; codes of an encoding stand row by row, (rows, M).
 */
import type { Tensor } from '../base/tensor.ts';

/** Columns [first, first + M d) of a matrix. */
export interface BlockColumns {
  readonly first: number;
  readonly subspaceCount: number;
  readonly subvectorLength: number;
}

/** (M rows, d): the block's sub-vectors, copied; of absolute values if asked for. */
export function blockPoints(
  { data, shape: [rows, columns] }: Tensor,
  { first, subspaceCount: M, subvectorLength: d }: BlockColumns,
  absolute: boolean,
): Tensor {
  const points = new Float32Array(M * rows * d);
  let to = 0;
  for (let m = 0; m < M; m++) {
    for (let r = 0; r < rows; r++) {
      const from = r * columns + first + m * d;
      for (let j = 0; j < d; j++) points[to++] = absolute ? Math.abs(data[from + j]) : data[from + j];
    }
  }
  return { data: points, shape: [M * rows, d] };
}

/** (rows, M) from codes of points that stand sub-space by sub-space. */
export function codesByRow(codes: Int32Array, rows: number, M: number): Uint16Array {
  return Uint16Array.from(codes, (_, i) => codes[(i % M) * rows + Math.floor(i / M)]);
}

/** A bit per weight of the block in the order (row, m, j): 1 where it is below zero. */
export function packSigns(
  { data, shape: [rows, columns] }: Tensor,
  { first, subspaceCount: M, subvectorLength: d }: BlockColumns,
): Uint8Array {
  const width = M * d;
  const signs = new Uint8Array(Math.ceil((rows * width) / 8));
  for (let i = 0; i < rows * width; i++) {
    if (data[Math.floor(i / width) * columns + first + (i % width)] < 0) signs[i >> 3] |= 1 << (i & 7);
  }
  return signs;
}
