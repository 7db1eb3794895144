/** Softmax along rows. */
import { exp } from '../../base/elementary.ts';
import type { Heap, Kernels } from '../types.ts';

export function softmaxForward({ float }: Heap): Kernels['softmaxForward'] {
  return (_scratch, x, y, outer, length, inner, count) => {
    for (let o = 0; o < outer; o++) {
      for (let i = 0; i < count; i++) {
        const first = o * length * inner + i,
          end = first + length * inner;
        let most = -Infinity,
          sum = 0;
        for (let j = first; j < end; j += inner) most = Math.max(most, float[x + j]);
        for (let j = first; j < end; j += inner) {
          const power = exp(float[x + j] - most);
          float[y + j] = power;
          sum += power;
        }
        for (let j = first; j < end; j += inner) float[y + j] /= sum;
      }
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
