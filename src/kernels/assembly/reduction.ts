/**
 * Reductions along any axes, and places of the largest: where the elements lie. The loops along the innermost reduced
 * side are made from the formulas (reductions.generated.ts).
 */
import { combineLanes, combineRow, finished, isReduction, onlyFirst, spreadRow, startOf } from './reductions.generated';
import { lowHalf } from './vector';
import { at, loadFloat, loadInt, storeFloat } from './words';

/** Of fewer elements in a row than this four results are made at once, rather than one of four at once. */
const ALONG = 8;

/** Words of scratch before those of the start, and of the last elements. */
const START = 8;
const LAST = 12;

/** Elements that one result is made of. */
function partsOf(sides: i32, rank: i32, kept: i32): i32 {
  let parts = 1;
  for (let axis = kept; axis < rank; axis++) parts *= loadInt(sides + axis);
  return parts;
}

/**
 * Scratch: four doubles, what four results, or four parts of one, are so far; what they start with as four floats; the
 * last elements of a row, as four.
 */
export function reduceForward(
  scratch: i32,
  x: i32,
  y: i32,
  sides: i32,
  rank: i32,
  kept: i32,
  outer: i32,
  operation: i32,
): void {
  if (!isReduction(operation)) unreachable();
  v128.store(at(scratch + START), f32x4.splat(startOf(operation)));
  forwardAlong(0, outer, x, y, sides, rank, kept, partsOf(sides, rank, kept), operation, scratch);
}

/** `count` steps along a side that is kept; gives the offset behind what it wrote. */
function forwardAlong(
  axis: i32,
  count: i32,
  x: i32,
  y: i32,
  sides: i32,
  rank: i32,
  kept: i32,
  parts: i32,
  operation: i32,
  scratch: i32,
): i32 {
  const stride = loadInt(sides + rank + axis);
  let i = 0;
  if (axis < kept - 1) {
    const side = loadInt(sides + axis + 1);
    for (; i < count; i++)
      y = forwardAlong(axis + 1, side, x + i * stride, y, sides, rank, kept, parts, operation, scratch);
    return y;
  }
  const sums = at(scratch),
    along = loadInt(sides + 2 * rank - 1) == 1 && loadInt(sides + rank - 1) >= ALONG;
  while (i < count) {
    const lanes = !along && i + 4 <= count;
    const start = lowHalf(v128.load(at(scratch + START)));
    v128.store(sums, start);
    v128.store(sums, start, 16);
    // The last results one by one: their lanes are all the same.
    combineAlong(kept, x + i * stride, lanes ? stride : 0, along, sides, rank, operation, scratch);
    if (along) combineLanes(operation, sums);
    const result = finished(operation, sums, parts);
    if (lanes) {
      v128.store(at(y + i), result);
      i += 4;
    } else {
      storeFloat(y + i, f32x4.extract_lane(result, 0));
      i++;
    }
  }
  return y + count;
}

/** Combines what lies along the sides from `axis` on; lanes are elements in a row, or `stride` apart. */
function combineAlong(
  axis: i32,
  x: i32,
  stride: i32,
  along: bool,
  sides: i32,
  rank: i32,
  operation: i32,
  scratch: i32,
): void {
  const side = loadInt(sides + axis),
    step = loadInt(sides + rank + axis);
  if (axis < rank - 1) {
    for (let i = 0; i < side; i++) combineAlong(axis + 1, x + i * step, stride, along, sides, rank, operation, scratch);
    return;
  }
  if (!along) {
    combineRow(operation, x, stride, step, side, at(scratch));
    return;
  }
  combineRow(operation, x, 1, 4, side >> 2, at(scratch));
  if ((side & 3) == 0) return;
  const last = scratch + LAST;
  v128.store(at(last), v128.load(at(scratch + START)));
  for (let i = side & ~3; i < side; i++) storeFloat(last + (i & 3), loadFloat(x + i));
  combineRow(operation, last, 1, 4, 1, at(scratch));
}

/** Scratch: which of four results have not met their first element. */
export function reduceBackward(
  scratch: i32,
  x: i32,
  y: i32,
  dy: i32,
  dx: i32,
  sides: i32,
  rank: i32,
  kept: i32,
  outer: i32,
  operation: i32,
): void {
  if (!isReduction(operation)) unreachable();
  backwardAlong(0, outer, x, dx - x, y, dy - y, sides, rank, kept, partsOf(sides, rank, kept), operation, scratch);
}

/**
 * `count` steps along a side that is kept; gives the offset in y behind what it read. toDx, toDy: from an element of x
 * or y to that of the gradient.
 */
function backwardAlong(
  axis: i32,
  count: i32,
  x: i32,
  toDx: i32,
  y: i32,
  toDy: i32,
  sides: i32,
  rank: i32,
  kept: i32,
  parts: i32,
  operation: i32,
  scratch: i32,
): i32 {
  const stride = loadInt(sides + rank + axis);
  let i = 0;
  if (axis < kept - 1) {
    const side = loadInt(sides + axis + 1);
    for (; i < count; i++)
      y = backwardAlong(axis + 1, side, x + i * stride, toDx, y, toDy, sides, rank, kept, parts, operation, scratch);
    return y;
  }
  const n = f32x4.splat(<f32>parts);
  while (i < count) {
    const lanes = stride == 1 && i + 4 <= count,
      result = at(y + i),
      gradient = at(y + i + toDy);
    v128.store(at(scratch), i32x4.splat(-1));
    spreadAlong(
      kept,
      x + i * stride,
      toDx,
      lanes,
      lanes ? v128.load(result) : v128.load32_splat(result),
      lanes ? v128.load(gradient) : v128.load32_splat(gradient),
      n,
      sides,
      rank,
      operation,
      at(scratch),
    );
    i += lanes ? 4 : 1;
  }
  return y + count;
}

/** Spreads dy over what lies along the sides from `axis` on; lanes: of four results in a row, or of one. */
function spreadAlong(
  axis: i32,
  x: i32,
  toDx: i32,
  lanes: bool,
  y: v128,
  dy: v128,
  n: v128,
  sides: i32,
  rank: i32,
  operation: i32,
  open: usize,
): void {
  const side = loadInt(sides + axis),
    step = loadInt(sides + rank + axis);
  if (axis < rank - 1) {
    for (let i = 0; i < side; i++)
      spreadAlong(axis + 1, x + i * step, toDx, lanes, y, dy, n, sides, rank, operation, open);
    return;
  }
  let done = 0;
  if (!lanes && step == 1 && !onlyFirst(operation)) {
    done = side & ~3;
    spreadRow(operation, x, toDx, 4, done >> 2, true, y, dy, n, open);
  }
  spreadRow(operation, x + done * step, toDx, step, side - done, lanes, y, dy, n, open);
}

export function argMax(scratch: i32, x: i32, y: i32, outer: i32, length: i32, inner: i32): void {
  for (let o = 0; o < outer; o++) {
    let i = 0;
    while (i < inner) {
      const lanes = i + 4 <= inner;
      let most = f32x4.splat(-Infinity),
        places = i32x4.splat(0);
      for (let j = 0; j < length; j++) {
        const from = at(x + i + j * inner),
          value = lanes ? v128.load(from) : v128.load32_splat(from);
        const isFirstNaN = v128.andnot(f32x4.ne(value, value), f32x4.ne(most, most)),
          larger = v128.or(f32x4.gt(value, most), isFirstNaN);
        most = v128.bitselect(value, most, larger);
        places = v128.bitselect(i32x4.splat(j), places, larger);
      }
      if (lanes) {
        v128.store(at(y + i), places);
        i += 4;
      } else {
        store<i32>(at(y + i), i32x4.extract_lane(places, 0));
        i++;
      }
    }
    x += length * inner;
    y += inner;
  }
}
