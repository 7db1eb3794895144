/** Walks over values by sides and strides. */

/** `rank` numbers from `offset` on. */
export const numbers = (int: Int32Array, offset: number, rank: number): readonly number[] => [
  ...int.subarray(offset, offset + rank),
];

/**
 * Calls `visit` with the offset in each operand of every combination of steps along `sides`, the last the fastest.
 * @param strides - of each operand, along each side
 */
export function forEachStep(
  sides: readonly number[],
  strides: readonly (readonly number[])[],
  visit: (offsets: readonly number[]) => void,
  axis = 0,
  offsets: readonly number[] = strides.map(() => 0),
): void {
  if (axis === sides.length) return visit(offsets);
  for (let i = 0; i < sides[axis]; i++)
    forEachStep(
      sides,
      strides,
      visit,
      axis + 1,
      offsets.map((offset, operand) => offset + i * strides[operand][axis]),
    );
}
