/**
 * Other numbers as float32, which everything here computes in, without a loss that nobody sees: a finite number must not
 * become infinite, nor what a caller tells apart become one and the same.
 */
import { EspalierError, show } from './errors.ts';
import { arrayName, asFloat32 } from './realm.ts';

/** The largest finite float32. */
export const LARGEST_FLOAT32 = 3.4028234663852886e38;

/** Rounding may take this part of a column's range: eight bits of it stay, as many as a pixel has. */
const LOST_PART = 2 ** -8;
/** Differences below this part of the largest number are the rounding of whoever computed them, not meant. */
const MEANT_PART = 2 ** -44;

/**
 * The numbers as float32: the very array where it is one, else a copy. NaN and infinities stay what they are.
 * @param columns - of the matrix that the data are; each has a range of its own. Default 1
 * @throws {TypeError} if there is something else than numbers in it
 * @throws {EspalierError} RANGE for a finite number beyond float32, a whole number of an integer array that float32 does
 *   not hold exactly (the first is 2^24 + 1), or a column that rounding would flatten ({@link flattened})
 */
export function toFloat32(who: string, name: string, data: ArrayLike<number>, columns = 1): Float32Array {
  const own = asFloat32(data);
  if (own) return own;
  refuseBigInts(who, name, data);
  const kind = arrayName(data);
  const out = new Float32Array(data.length);
  const isInteger = kind !== undefined && !kind.startsWith('Float');
  for (let i = 0; i < out.length; i++) {
    const value: unknown = data[i];
    if (typeof value !== 'number')
      throw new TypeError(`${who}: ${name}: expected numbers, got ${show(value)} at element ${i}`);
    out[i] = value;
    if (Number.isFinite(value) && !Number.isFinite(out[i]))
      throw beyond(who, name, i, value, `is beyond float32 (${LARGEST_FLOAT32}); scale it down`);
    if (isInteger && out[i] !== value)
      throw beyond(who, name, i, value, `is no float32: it would become ${out[i]}; subtract an offset first`);
  }
  if (kind === undefined || kind === 'Float64Array') checkApart(who, name, data, columns);
  return out;
}

/** @throws {TypeError} for an array of them: nothing else may be done with one than to convert it */
export function refuseBigInts(who: string, name: string, data: unknown): void {
  if (arrayName(data)?.startsWith('Big'))
    throw new TypeError(
      `${who}: ${name}: expected an array of numbers, got ${show(data)}; convert it (Float64Array.from(data, Number))`,
    );
}

/** A single number that will be one of float32. @throws {EspalierError} RANGE for a finite one beyond it */
export function checkFloat32(who: string, name: string, value: number): number {
  if (Number.isFinite(value) && Math.abs(value) > LARGEST_FLOAT32)
    throw new EspalierError('RANGE', `${who}: ${name}: ${value} is beyond float32 (${LARGEST_FLOAT32})`, {
      name,
      found: value,
    });
  return value;
}

/**
 * Every column keeps its range in float32; see {@link flattened}.
 * @throws {EspalierError} RANGE, naming the number that loses most
 */
export function checkApart(who: string, name: string, data: ArrayLike<number>, columns: number): void {
  const ranges = columnRanges(columns);
  ranges.add(data);
  const [worst] = flattened(ranges);
  if (worst) throw flattenedError(who, name, worst);
}

/** The same, said for whoever gathered the ranges. */
export function flattenedError(who: string, name: string, { column, value, low, high }: Flattened): EspalierError {
  return beyond(
    who,
    name,
    undefined,
    value,
    `would become ${Math.fround(value)} in float32, which cannot tell the values of column ${column}, ${low} to ${high}, apart; subtract an offset (their mean) first`,
  );
}

/** What the columns of a matrix hold, gathered rows by rows. */
export interface ColumnRanges {
  /** Of each column. */
  readonly low: Float64Array;
  readonly high: Float64Array;
  /** The number that rounding moves most, and by how much. */
  readonly worst: Float64Array;
  readonly lost: Float64Array;
  add(rows: ArrayLike<number>): void;
}

/** Nothing gathered yet. Numbers that are not finite are left out. */
export function columnRanges(columns: number): ColumnRanges {
  const low = new Float64Array(columns).fill(Infinity);
  const high = new Float64Array(columns).fill(-Infinity);
  const worst = new Float64Array(columns);
  const lost = new Float64Array(columns);
  return {
    low,
    high,
    worst,
    lost,
    add(rows) {
      for (let i = 0, column = 0; i < rows.length; i++, column = column + 1 < columns ? column + 1 : 0) {
        const value = rows[i];
        if (!Number.isFinite(value)) continue;
        if (value < low[column]) low[column] = value;
        if (value > high[column]) high[column] = value;
        const error = Math.abs(value - Math.fround(value));
        if (error > lost[column]) {
          lost[column] = error;
          worst[column] = value;
        }
      }
    },
  };
}

export interface Flattened {
  readonly column: number;
  readonly value: number;
  readonly low: number;
  readonly high: number;
}

/**
 * The columns of which float32 would keep fewer than eight bits of their range, as of 1.6e9 ... 1.6e9 + 7, which are one
 * float32. A column whose numbers differ by less than 2^-44 of themselves is one of equal numbers.
 */
export function flattened({ low, high, worst, lost }: ColumnRanges): Flattened[] {
  const found: Flattened[] = [];
  for (let column = 0; column < low.length; column++) {
    const range = high[column] - low[column];
    const meant = range > MEANT_PART * Math.max(Math.abs(low[column]), Math.abs(high[column]));
    if (meant && lost[column] > LOST_PART * range)
      found.push({ column, value: worst[column], low: low[column], high: high[column] });
  }
  return found;
}

function beyond(who: string, name: string, element: number | undefined, value: number, what: string): EspalierError {
  const where = element === undefined ? '' : ` at element ${element}`;
  return new EspalierError('RANGE', `${who}: ${name}: ${value}${where} ${what}`, { name, found: value });
}
