/** Elements in other places, and weighted sums of a few along one side. */
import { copyColumns } from './convolution-plan';
import { fromHalves, highHalf, lowHalf, transpose } from './vector';
import { at, loadFloat, loadInt, storeFloat } from './words';

/** Words from which the engine's copy is faster than a loop, though it is a call out of WebAssembly. */
const LONG: i32 = 256;
/** Columns that turn together: their lines of y stay in L1, however far apart. */
const TURNED: i32 = 16;

export function rearrange(
  scratch: i32,
  x: i32,
  y: i32,
  tables: i32,
  rank: i32,
  first: i32,
  outer: i32,
  run: i32,
  step: i32,
  fill: i32,
): void {
  moveAlong(0, outer, tables + rank + first, x, y, tables, rank, run, step, fill);
}

/** `count` entries from `table` on, of the side `axis`; gives the offset behind what it wrote. */
function moveAlong(
  axis: i32,
  count: i32,
  table: i32,
  x: i32,
  y: i32,
  tables: i32,
  rank: i32,
  run: i32,
  step: i32,
  fill: i32,
): i32 {
  if (axis == rank - 1) {
    if (run == 1) moveEach(table, count, x, y, fill);
    else moveRuns(table, count, x, y, run, step, fill);
    return y + count * run;
  }
  const side = loadInt(tables + axis + 1);
  let inner = tables + rank;
  for (let i = 0; i <= axis; i++) inner += loadInt(tables + i);
  let words = run;
  for (let i = axis + 1; i < rank; i++) words *= loadInt(tables + i);
  for (let i = 0; i < count; i++) {
    const offset = loadInt(table + i);
    if (offset < 0) fillRow(y, words, fill);
    else if (i > 0 && offset == loadInt(table + i - 1)) memory.copy(at(y), at(y - words), at(words));
    else moveAlong(axis + 1, side, inner, x + offset, y, tables, rank, run, step, fill);
    y += words;
  }
  return y;
}

function moveEach(table: i32, count: i32, x: i32, y: i32, fill: i32): void {
  let i = 0;
  for (; i + 4 <= count; i += 4) {
    if (i32x4.bitmask(v128.load(at(table + i)))) {
      for (let lane = i; lane < i + 4; lane++) moveOne(table + lane, x, y + lane, fill);
      continue;
    }
    let lanes = v128.load32_zero(at(x + loadInt(table + i)));
    lanes = v128.load32_lane(at(x + loadInt(table + i + 1)), lanes, 1);
    lanes = v128.load32_lane(at(x + loadInt(table + i + 2)), lanes, 2);
    v128.store(at(y + i), v128.load32_lane(at(x + loadInt(table + i + 3)), lanes, 3));
  }
  for (; i < count; i++) moveOne(table + i, x, y + i, fill);
}

/** Four floats of x at these places. */
// @ts-ignore: decorator
@inline
function fourAt(x: i32, places: v128): v128 {
  const here = i32x4.shl(i32x4.add(places, i32x4.splat(x)), 2);
  let lanes = v128.load32_zero(i32x4.extract_lane(here, 0));
  lanes = v128.load32_lane(i32x4.extract_lane(here, 1), lanes, 1);
  lanes = v128.load32_lane(i32x4.extract_lane(here, 2), lanes, 2);
  return v128.load32_lane(i32x4.extract_lane(here, 3), lanes, 3);
}

function moveOne(entry: i32, x: i32, y: i32, fill: i32): void {
  const offset = loadInt(entry);
  storeFloat(y, loadFloat(offset < 0 ? fill : x + offset));
}

function moveRuns(table: i32, count: i32, x: i32, y: i32, run: i32, step: i32, fill: i32): void {
  for (let i = 0; i < count; i++) {
    const offset = loadInt(table + i),
      from = x + offset;
    if (offset < 0) fillRow(y, run, fill);
    else if (step == 0) fillRow(y, run, from);
    else if (step == 1 && run >= LONG) memory.copy(at(y), at(from), at(run));
    else copyColumns(at(from), step, at(y), run);
    y += run;
  }
}

/** The float at `value`, `count` times. */
function fillRow(y: i32, count: i32, value: i32): void {
  const lanes = v128.load32_splat(at(value));
  let i = 0;
  for (; i + 4 <= count; i += 4) v128.store(at(y + i), lanes);
  for (; i < count; i++) storeFloat(y + i, f32x4.extract_lane(lanes, 0));
}

export function turn(
  scratch: i32,
  x: i32,
  y: i32,
  m: i32,
  n: i32,
  xRow: i32,
  yRow: i32,
  sides: i32,
  rank: i32,
  outer: i32,
): void {
  turnAlong(0, outer, x, y, m, n, xRow, yRow, sides, rank);
}

function turnAlong(
  axis: i32,
  count: i32,
  x: i32,
  y: i32,
  m: i32,
  n: i32,
  xRow: i32,
  yRow: i32,
  sides: i32,
  rank: i32,
): void {
  const xStride = loadInt(sides + rank + axis),
    yStride = loadInt(sides + 2 * rank + axis);
  for (let i = 0; i < count; i++) {
    if (axis == rank - 1) turnMatrix(x, y, m, n, xRow, yRow);
    else turnAlong(axis + 1, loadInt(sides + axis + 1), x, y, m, n, xRow, yRow, sides, rank);
    x += xStride;
    y += yStride;
  }
}

function turnMatrix(x: i32, y: i32, m: i32, n: i32, xRow: i32, yRow: i32): void {
  const pitch = at(xRow),
    toPitch = at(yRow),
    rows = m & ~3,
    columns = n & ~3;
  for (let first = 0; first < columns; first += TURNED) {
    const end = min(first + TURNED, columns);
    for (let i = 0; i < rows; i += 4) {
      for (let j = first; j < end; j += 4) {
        const from = at(x + i * xRow + j),
          to = at(y + j * yRow + i);
        transpose(
          v128.load(from),
          v128.load(from + pitch),
          v128.load(from + 2 * pitch),
          v128.load(from + 3 * pitch),
          to,
          to + toPitch,
          to + 2 * toPitch,
          to + 3 * toPitch,
        );
      }
    }
  }
  for (let j = 0; j < n; j++) {
    for (let i = j < columns ? rows : 0; i < m; i++) storeFloat(y + j * yRow + i, loadFloat(x + i * xRow + j));
  }
}

export function resample(
  scratch: i32,
  x: i32,
  y: i32,
  outer: i32,
  length: i32,
  inner: i32,
  count: i32,
  taps: i32,
  places: i32,
  weights: i32,
  fill: i32,
): void {
  for (let o = 0; o < outer; o++) {
    if (inner == 1 && count >= 4) {
      // The last four overlap those before them.
      for (let j = 0; ; j = min(j + 4, count - 4)) {
        resampleFour(x, y + j, count, taps, places + j, weights + j, fill);
        if (j == count - 4) break;
      }
      y += count;
    } else {
      for (let j = 0; j < count; j++) {
        resampleRow(x, y, inner, count, taps, places + j, weights + j, fill);
        y += inner;
      }
    }
    x += length * inner;
  }
}

/** Four neighbours, each of elements of its own. */
function resampleFour(x: i32, y: i32, count: i32, taps: i32, places: i32, weights: i32, fill: i32): void {
  let low = f64x2.splat(0),
    high = f64x2.splat(0);
  const none = i32x4.lt_s(v128.load(at(places)), i32x4.splat(0));
  for (let t = 0; t < taps; t++) {
    const place = v128.load(at(places)),
      lanes = v128.andnot(fourAt(x, i32x4.max_s(place, i32x4.splat(0))), i32x4.shr_s(place, 31)),
      factor = v128.load(at(weights));
    low = f64x2.add(low, f64x2.mul(lowHalf(factor), lowHalf(lanes)));
    high = f64x2.add(high, f64x2.mul(highHalf(factor), highHalf(lanes)));
    places += count;
    weights += count;
  }
  v128.store(at(y), v128.bitselect(v128.load32_splat(at(fill)), fromHalves(low, high), none));
}

/** One place of all that lie inside of it. */
function resampleRow(x: i32, y: i32, inner: i32, count: i32, taps: i32, places: i32, weights: i32, fill: i32): void {
  let last = 0;
  while (last < taps && loadInt(places + last * count) >= 0) last++;
  if (last == 0) return fillRow(y, inner, fill);
  let i = 0;
  for (; i + 4 <= inner; i += 4) {
    let low = f64x2.splat(0),
      high = f64x2.splat(0);
    for (let t = 0; t < last; t++) {
      const lanes = v128.load(at(x + loadInt(places + t * count) * inner + i)),
        factor = f64x2.splat(<f64>loadFloat(weights + t * count));
      low = f64x2.add(low, f64x2.mul(factor, lowHalf(lanes)));
      high = f64x2.add(high, f64x2.mul(factor, highHalf(lanes)));
    }
    v128.store(at(y + i), fromHalves(low, high));
  }
  for (; i < inner; i++) {
    let sum: f64 = 0;
    for (let t = 0; t < last; t++)
      sum += <f64>loadFloat(weights + t * count) * <f64>loadFloat(x + loadInt(places + t * count) * inner + i);
    storeFloat(y + i, <f32>sum);
  }
}
