/** Softmax along rows. */
import { exp } from '../../base/elementary.ts';
import type { Heap, Kernels } from '../types.ts';

export function softmaxForward({ float }: Heap): Kernels['softmaxForward'] {
  return (_scratch, x, y, rows, columns) => {
    for (let r = 0; r < rows; r++) {
      const from = x + r * columns,
        to = y + r * columns;
      let most = -Infinity,
        sum = 0;
      for (let j = 0; j < columns; j++) most = Math.max(most, float[from + j]);
      for (let j = 0; j < columns; j++) {
        const power = exp(float[from + j] - most);
        float[to + j] = power;
        sum += power;
      }
      for (let j = 0; j < columns; j++) float[to + j] /= sum;
    }
  };
}

export function softmaxBackward({ float }: Heap): Kernels['softmaxBackward'] {
  return (_scratch, y, dy, dx, rows, columns) => {
    for (let r = 0; r < rows; r++) {
      const row = r * columns;
      let dot = 0;
      for (let j = row; j < row + columns; j++) dot += float[y + j] * float[dy + j];
      for (let j = row; j < row + columns; j++) float[dx + j] = float[y + j] * (float[dy + j] - dot);
    }
  };
}
