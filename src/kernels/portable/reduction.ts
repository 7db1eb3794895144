/** Reductions along any axes, by their formulas, and places of the largest. */
import { nameOf } from '../specification/codes.ts';
import type { Kernels } from '../specification/kernels.ts';
import { REDUCTION, REDUCTION_GRADIENTS, REDUCTIONS } from '../specification/reductions.ts';
import type { Heap } from '../types.ts';
import { NUMBERS } from './arithmetic.ts';
import { forEachStep, numbers } from './steps.ts';

/** Calls `visit` with the place in y and the offset in x of each result, and with a walk over the offsets from there of what it is made of. */
function forEachResult(
  int: Int32Array,
  [sides, rank, kept, outer]: readonly [sides: number, rank: number, kept: number, outer: number],
  visit: (result: number, first: number, forEachPart: (part: (offset: number) => void) => void) => void,
): void {
  const [, ...inner] = numbers(int, sides, rank),
    all = [outer, ...inner],
    strides = numbers(int, sides + rank, rank);
  let result = 0;
  forEachStep(all.slice(0, kept), [strides.slice(0, kept)], ([first]) =>
    visit(result++, first, (part) => forEachStep(all.slice(kept), [strides.slice(kept)], ([offset]) => part(offset))),
  );
}

export function reduceForward({ float, int }: Heap): Kernels['reduceForward'] {
  return (_scratch, x, y, sides, rank, kept, outer, operation) => {
    const { start, combine, finish } = REDUCTIONS[nameOf('reduceForward', 'operation', REDUCTION, operation)];
    forEachResult(int, [sides, rank, kept, outer], (result, first, forEachPart) => {
      let [all, count] = [start as number, 0];
      forEachPart((offset) => {
        all = combine(NUMBERS, all, float[x + first + offset]);
        count++;
      });
      float[y + result] = finish(NUMBERS, all, count);
    });
  };
}

export function reduceBackward({ float, int }: Heap): Kernels['reduceBackward'] {
  return (_scratch, x, y, dy, dx, sides, rank, kept, outer, operation) => {
    const name = nameOf('reduceBackward', 'operation', REDUCTION, operation);
    const { onlyFirst, derivative } = REDUCTION_GRADIENTS[name];
    forEachResult(int, [sides, rank, kept, outer], (result, first, forEachPart) => {
      let [isOpen, count] = [true, 0];
      forEachPart(() => count++);
      forEachPart((offset) => {
        const [from, of] = [float[x + first + offset], float[y + result]];
        // NaN is what it is made of, too.
        const takes = !onlyFirst || (isOpen && (from === of || (Number.isNaN(from) && Number.isNaN(of))));
        if (takes) isOpen = false;
        float[dx + first + offset] = takes ? float[dy + result] * derivative(NUMBERS, from, of, count) : 0;
      });
    });
  };
}

export function argMax({ float, int }: Heap): Kernels['argMax'] {
  return (_scratch, x, y, outer, length, inner) => {
    for (let o = 0; o < outer; o++) {
      for (let i = 0; i < inner; i++) {
        const first = x + o * length * inner + i;
        let [place, most] = [0, -Infinity];
        for (let j = 0; j < length; j++) {
          const value = float[first + j * inner];
          // Larger, or the first NaN.
          if (!(value <= most || Number.isNaN(most))) [place, most] = [j, value];
        }
        int[y + o * inner + i] = place;
      }
    }
  };
}
