/** Matrix products. */
import { MATMUL, type Heap, type Kernels } from '../types.ts';
import { fusedActivation } from './activation.ts';
import { forEachStep, numbers } from './steps.ts';

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

export function products(heap: Heap): Kernels['products'] {
  const product = matmul(heap);
  const { int } = heap;
  return (scratch, m, n, k, a, aRow, aColumn, b, bRow, bColumn, c, cRow, sides, rank, kept, outer) => {
    const [, ...inner] = numbers(int, sides, rank),
      all = [outer, ...inner],
      strides = [1, 2, 3].map((operand) => numbers(int, sides + operand * rank, rank));
    forEachStep(
      all.slice(0, kept),
      strides.map((one) => one.slice(0, kept)),
      ([keptA, keptB, to]) => {
        let flags = 0;
        forEachStep(
          all.slice(kept),
          strides.map((one) => one.slice(kept)),
          ([i, j]) => {
            const [left, right] = [a + keptA + i, b + keptB + j];
            product(scratch, m, n, k, left, aRow, aColumn, right, bRow, bColumn, c + to, cRow, flags, -1, 0, 0);
            flags = MATMUL.accumulate;
          },
        );
      },
    );
  };
}
