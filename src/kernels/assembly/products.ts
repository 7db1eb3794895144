/** Products of many matrices. */
import { matmul } from './matmul';
import { loadInt } from './words';

export function products(
  scratch: i32,
  m: i32,
  n: i32,
  k: i32,
  a: i32,
  aRow: i32,
  aColumn: i32,
  b: i32,
  bRow: i32,
  bColumn: i32,
  c: i32,
  cRow: i32,
  sides: i32,
  rank: i32,
  kept: i32,
  outer: i32,
): void {
  let wanted = outer,
    summed = 1;
  for (let axis = 1; axis < kept; axis++) wanted *= loadInt(sides + axis);
  for (let axis = kept; axis < rank; axis++) summed *= loadInt(sides + axis);
  for (let i = 0; i < wanted; i++) {
    for (let j = 0; j < summed; j++) {
      let fromA = a,
        fromB = b,
        to = c,
        rest = j;
      for (let axis = rank - 1; axis >= 0; axis--) {
        if (axis == kept - 1) rest = i;
        const side = axis == 0 ? outer : loadInt(sides + axis),
          step = rest % side;
        rest /= side;
        fromA += step * loadInt(sides + rank + axis);
        fromB += step * loadInt(sides + 2 * rank + axis);
        to += step * loadInt(sides + 3 * rank + axis);
      }
      matmul(scratch, m, n, k, fromA, aRow, aColumn, fromB, bRow, bColumn, to, cRow, j > 0 ? 1 : 0, -1, 0, 0);
    }
  }
}
