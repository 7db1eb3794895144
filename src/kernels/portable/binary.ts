/** Functions of two elements with broadcasting, by their formulas. */
import { BINARIES, BINARY, BINARY_GRADIENTS, SIDE } from '../specification/binaries.ts';
import { nameOf } from '../specification/codes.ts';
import type { Kernels } from '../specification/kernels.ts';
import type { Heap } from '../types.ts';
import { NUMBERS } from './arithmetic.ts';
import { forEachStep, numbers } from './steps.ts';

export function binaryForward({ float, int }: Heap): Kernels['binaryForward'] {
  return (_scratch, a, b, y, sides, rank, outer, operation) => {
    const { apply } = BINARIES[nameOf('binaryForward', 'operation', BINARY, operation)];
    const [, ...inner] = numbers(int, sides, rank),
      strides = [1, 2].map((operand) => numbers(int, sides + operand * rank, rank));
    let to = y;
    forEachStep([outer, ...inner], strides, ([i, j]) => {
      float[to++] = apply(NUMBERS, float[a + i], float[b + j]);
    });
  };
}

export function binaryBackward({ float, int }: Heap): Kernels['binaryBackward'] {
  return (_scratch, a, b, dy, dx, sides, rank, kept, outer, operation, side) => {
    const name = nameOf('binaryBackward', 'operation', BINARY, operation),
      derivative = BINARY_GRADIENTS[name][nameOf('binaryBackward', 'side', SIDE, side)];
    const [, ...inner] = numbers(int, sides, rank),
      all = [outer, ...inner],
      strides = [1, 2, 3].map((operand) => numbers(int, sides + operand * rank, rank));
    let to = dx;
    forEachStep(
      all.slice(0, kept),
      strides.map((one) => one.slice(0, kept)),
      ([keptA, keptB, keptDy]) => {
        let sum = 0;
        forEachStep(
          all.slice(kept),
          strides.map((one) => one.slice(kept)),
          ([i, j, k]) => {
            sum += float[dy + keptDy + k] * derivative(NUMBERS, float[a + keptA + i], float[b + keptB + j]);
          },
        );
        float[to++] = sum;
      },
    );
  };
}
