/** Elements in other places, and weighted sums of a few along one side. */
import type { Heap, Kernels } from '../types.ts';
import { forEachStep, numbers } from './steps.ts';

export function rearrange({ float, int }: Heap): Kernels['rearrange'] {
  return (_scratch, x, y, tables, rank, first, outer, run, step, fill) => {
    let at = tables + rank;
    const offsets = numbers(int, tables, rank).map((side) => numbers(int, (at += side) - side, side));
    let to = y;
    /** `from` is -1 within what is filled. */
    const along = (axis: number, from: number): void => {
      if (axis === rank) {
        for (let r = 0; r < run; r++) float[to++] = from < 0 ? float[fill] : float[from + r * step];
        return;
      }
      const chosen = axis === 0 ? offsets[0].slice(first, first + outer) : offsets[axis];
      for (const offset of chosen) along(axis + 1, from < 0 || offset < 0 ? -1 : from + offset);
    };
    along(0, x);
  };
}

export function turn({ float, int }: Heap): Kernels['turn'] {
  return (_scratch, x, y, m, n, xRow, yRow, sides, rank, outer) => {
    const [, ...inner] = numbers(int, sides, rank),
      strides = [1, 2].map((operand) => numbers(int, sides + operand * rank, rank));
    forEachStep([outer, ...inner], strides, ([from, to]) => {
      for (let j = 0; j < n; j++)
        for (let i = 0; i < m; i++) float[y + to + j * yRow + i] = float[x + from + i * xRow + j];
    });
  };
}

export function resample({ float, int }: Heap): Kernels['resample'] {
  return (_scratch, x, y, outer, length, inner, count, taps, places, weights, fill) => {
    for (let o = 0; o < outer; o++) {
      for (let j = 0; j < count; j++) {
        for (let i = 0; i < inner; i++) {
          let sum = 0,
            t = 0;
          for (; t < taps && int[places + t * count + j] >= 0; t++)
            sum += float[weights + t * count + j] * float[x + (o * length + int[places + t * count + j]) * inner + i];
          float[y + (o * count + j) * inner + i] = t === 0 ? float[fill] : sum;
        }
      }
    }
  };
}
