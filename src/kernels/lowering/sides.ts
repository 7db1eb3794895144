/** Sides and strides of broadcast operands, made as few as they can be. */
import { sizeOf } from '../../base/tensor.ts';

/** A side of a value and the strides of its operands along it, in words. */
export interface Side {
  readonly count: number;
  readonly strides: readonly number[];
}

/** For a side of one step: no operand has more of them. */
const NOWHERE = [0, 0, 0];

/**
 * The same elements in the same order: sides of 1 left out, neighbours joined where every operand goes on from the one
 * to the other, at least one side in the end.
 */
export function joinSides(sides: readonly Side[]): Side[] {
  const joined: Side[] = [];
  for (const side of sides) {
    if (side.count === 1) continue;
    const before = joined.at(-1);
    if (before && before.strides.every((stride, operand) => stride === side.strides[operand] * side.count))
      joined[joined.length - 1] = { count: before.count * side.count, strides: side.strides };
    else joined.push(side);
  }
  return joined.length > 0 ? joined : [{ count: 1, strides: NOWHERE }];
}

/** Elements of a value with these sides. */
export const elementsOf = (sides: readonly Side[]): number => sizeOf(sides.map(({ count }) => count));

/** Sides, then strides of each operand, as the kernels read them. */
export function sideWords(sides: readonly Side[], operands: number): number[] {
  const strides = Array.from({ length: operands }, (_, operand) => sides.map((side) => side.strides[operand]));
  return [sides.map(({ count }) => count), ...strides].flat();
}

/** Row-major strides of these sides. */
export function rowMajor(sides: readonly number[]): number[] {
  const strides = new Array<number>(sides.length).fill(1);
  for (let axis = sides.length - 2; axis >= 0; axis--) strides[axis] = strides[axis + 1] * sides[axis + 1];
  return strides;
}
