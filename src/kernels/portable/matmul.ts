/** Matrix product. */
import { ACTIVATION, MATMUL, type Heap, type Kernels } from '../types.ts';
import { activate } from './activation.ts';

export function matmul({ float }: Heap): Kernels['matmul'] {
  return (_scratch, m, n, k, a, aRow, aColumn, b, bRow, bColumn, c, cRow, flags, bias, code, slope) => {
    const leak = code === ACTIVATION.leakyRelu ? float[slope] : 0;
    for (let i = 0; i < m; i++) {
      for (let j = 0; j < n; j++) {
        let sum = flags & MATMUL.accumulate ? float[c + i * cRow + j] : 0;
        for (let l = 0; l < k; l++) sum += float[a + i * aRow + l * aColumn] * float[b + l * bRow + j * bColumn];
        if (flags & MATMUL.biasPerRow) sum += float[bias + i];
        if (flags & MATMUL.biasPerColumn) sum += float[bias + j];
        float[c + i * cRow + j] = activate(sum, code, leak);
      }
    }
  };
}
