/** Tables of offsets, made as few as they can be. */

/** Entries of a table that several were made into, at most: it takes their product. */
const LARGEST_TABLE = 4096;

/**
 * The same elements in the same order: the innermost that lie in a row in x as runs of words, neighbours joined where
 * their product stays small, at least one table in the end. `from`: offset to add to x.
 */
export function joinTables(tables: readonly (readonly number[])[]): {
  readonly from: number;
  readonly run: number;
  readonly sides: readonly (readonly number[])[];
} {
  const sides: (readonly number[])[] = [];
  let run = 1,
    from = 0;
  for (const table of tables.toReversed()) {
    if (sides.length === 0 && table[0] >= 0 && table.every((offset, i) => offset === table[0] + i * run)) {
      from += table[0];
      run *= table.length;
      continue;
    }
    const inner = sides[0] as readonly number[] | undefined;
    // The outermost is cut in pieces and stays by itself.
    if (inner && table !== tables[0] && inner.length * table.length <= LARGEST_TABLE)
      sides[0] = table.flatMap((a) => inner.map((b) => (a < 0 || b < 0 ? -1 : a + b)));
    else sides.unshift(table);
  }
  return { from, run, sides: sides.length > 0 ? sides : [[0]] };
}
