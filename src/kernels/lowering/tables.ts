/** Tables of offsets, made as few as they can be, or what they are the tables of: sides that change places. */
import { joinSides, rowMajor, type Side } from './sides.ts';

/** Entries of a table that several were made into, at most: it takes their product. */
const LARGEST_TABLE = 4096;
/** Fewer elements than this in a row, a step other than 1 apart, are quicker by a table. */
const SHORTEST_RUN = 8;
/** Words that are worth copying rather than being made twice. */
const LONG = 16;

/** The step from entry to entry, if it is always the same and nothing is filled. */
function stepOf(table: readonly number[]): number | undefined {
  const step = table.length > 1 ? table[1] - table[0] : 1;
  return table[0] >= 0 && table.every((offset, i) => offset >= 0 && offset === table[0] + i * step) ? step : undefined;
}

/**
 * The same elements in the same order: the innermost that lie `step` apart in x as runs of words, neighbours joined where
 * their product stays small, at least one table in the end. `from`: offset to add to x.
 */
export function joinTables(tables: readonly (readonly number[])[]): {
  readonly from: number;
  readonly run: number;
  readonly step: number;
  readonly sides: readonly (readonly number[])[];
} {
  const sides: (readonly number[])[] = [];
  let run = 1,
    step = 1,
    from = 0;
  for (const table of tables.toReversed()) {
    const own = sides.length === 0 ? stepOf(table) : undefined;
    const begins = run === 1 && own !== undefined && (own === 1 || (own >= 0 && table.length >= SHORTEST_RUN));
    if (own !== undefined && (begins || table.length === 1 || (run > 1 && own === run * step))) {
      from += table[0];
      if (run === 1 && table.length > 1) step = own;
      run *= table.length;
      continue;
    }
    const inner = sides[0] as readonly number[] | undefined;
    // The outermost is cut in pieces and stays by itself; what one repeats is copied.
    const repeats = table.some((offset, i) => i > 0 && offset === table[i - 1]) && run * (inner?.length ?? 1) >= LONG;
    if (inner && table !== tables[0] && !repeats && inner.length * table.length <= LARGEST_TABLE)
      sides[0] = table.flatMap((a) => inner.map((b) => (a < 0 || b < 0 ? -1 : a + b)));
    else sides.unshift(table);
  }
  return { from, run, step, sides: sides.length > 0 ? sides : [[0]] };
}

/** Rows of a matrix that become columns, once for each step along `sides`, whose strides are of x, then of y. */
export interface Turned {
  readonly from: number;
  readonly m: number;
  readonly n: number;
  readonly xRow: number;
  readonly yRow: number;
  readonly sides: readonly Side[];
}

/** What the tables are if they bring elements next to each other that were apart, and apart what was: worth blocks. */
export function turnOf(tables: readonly (readonly number[])[]): Turned | undefined {
  const steps = tables.map(stepOf);
  const strides = rowMajor(tables.map(({ length }) => length));
  if (steps.includes(undefined)) return undefined;
  const joined = joinSides(tables.map(({ length: count }, i) => ({ count, strides: [steps[i]!, strides[i]] })));
  const columns = joined.findIndex((side) => side.strides[0] === 1),
    last = joined.length - 1;
  const [m, n] = [joined[last].count, joined[columns]?.count ?? 0];
  if (columns === last || m < 4 || n < 4 || joined[last].strides[0] < 1) return undefined;
  return {
    from: tables.reduce((sum, [first]) => sum + first, 0),
    ...{ m, n, xRow: joined[last].strides[0], yRow: joined[columns].strides[1] },
    sides: joinSides(joined.filter((_, i) => i !== columns && i !== last)),
  };
}
