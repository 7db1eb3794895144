/** Matrix product. */
import { MATMUL, type Heap, type Kernels } from '../types.ts';
import { fusedActivation } from './activation.ts';

export function matmul(heap: Heap): Kernels['matmul'] {
  const { float } = heap;
  return (_scratch, m, n, k, a, aRow, aColumn, b, bRow, bColumn, c, cRow, flags, bias, activation, parameters) => {
    const activate = fusedActivation('matmul', heap, activation, parameters);
    for (let i = 0; i < m; i++) {
      for (let j = 0; j < n; j++) {
        let sum = flags & MATMUL.accumulate ? float[c + i * cRow + j] : 0;
        for (let l = 0; l < k; l++) sum += float[a + i * aRow + l * aColumn] * float[b + l * bRow + j * bColumn];
        if (flags & MATMUL.biasPerRow) sum += float[bias + i];
        if (flags & MATMUL.biasPerColumn) sum += float[bias + j];
        float[c + i * cRow + j] = activate(sum);
      }
    }
  };
}
