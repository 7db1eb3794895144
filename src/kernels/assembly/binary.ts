/**
 * Functions of two elements with broadcasting: where their operands' elements lie. The loops along the innermost side
 * are made from the formulas (binaries.generated.ts).
 */
import { forwardRow, isBinary, sumTerms } from './binaries.generated';
import { fromHalves } from './vector';
import { at, loadInt, storeFloat } from './words';

export function binaryForward(
  scratch: i32,
  a: i32,
  b: i32,
  y: i32,
  sides: i32,
  rank: i32,
  outer: i32,
  operation: i32,
): void {
  if (!isBinary(operation)) unreachable();
  forwardAlong(0, outer, a, b, y, sides, rank, operation, scratch);
}

/** `count` steps along a side; gives the offset behind what it wrote. */
function forwardAlong(
  axis: i32,
  count: i32,
  a: i32,
  b: i32,
  y: i32,
  sides: i32,
  rank: i32,
  operation: i32,
  scratch: i32,
): i32 {
  const aStride = loadInt(sides + rank + axis),
    bStride = loadInt(sides + 2 * rank + axis);
  if (axis == rank - 1) {
    forwardRow(operation, a, aStride, b, bStride, y, count, scratch);
    return y + count;
  }
  const side = loadInt(sides + axis + 1);
  for (let i = 0; i < count; i++)
    y = forwardAlong(axis + 1, side, a + i * aStride, b + i * bStride, y, sides, rank, operation, scratch);
  return y;
}

/** Scratch: four doubles, the sums of four elements of dx. */
export function binaryBackward(
  scratch: i32,
  a: i32,
  b: i32,
  dy: i32,
  dx: i32,
  sides: i32,
  rank: i32,
  kept: i32,
  outer: i32,
  operation: i32,
  side: i32,
): void {
  if (!isBinary(operation) || (side != 0 && side != 1)) unreachable();
  backwardAlong(0, outer, a, b, dy, dx, sides, rank, kept, operation * 2 + side, scratch);
}

/** `count` steps along a side that is kept; gives the offset behind what it wrote. */
function backwardAlong(
  axis: i32,
  count: i32,
  a: i32,
  b: i32,
  dy: i32,
  dx: i32,
  sides: i32,
  rank: i32,
  kept: i32,
  which: i32,
  scratch: i32,
): i32 {
  const aStride = loadInt(sides + rank + axis),
    bStride = loadInt(sides + 2 * rank + axis),
    dyStride = loadInt(sides + 3 * rank + axis);
  let i = 0;
  if (axis < kept - 1) {
    const side = loadInt(sides + axis + 1);
    for (; i < count; i++)
      dx = backwardAlong(
        axis + 1,
        side,
        a + i * aStride,
        b + i * bStride,
        dy + i * dyStride,
        dx,
        sides,
        rank,
        kept,
        which,
        scratch,
      );
    return dx;
  }
  const sums = at(scratch);
  while (i < count) {
    // The last elements one by one: their lanes are all the same.
    const lanes = i + 4 <= count ? 1 : 0;
    v128.store(sums, f64x2.splat(0));
    v128.store(sums, f64x2.splat(0), 16);
    sumAlong(
      kept,
      a + i * aStride,
      aStride * lanes,
      b + i * bStride,
      bStride * lanes,
      dy + i * dyStride,
      dyStride * lanes,
      sides,
      rank,
      which,
      sums,
    );
    if (lanes) {
      v128.store(at(dx + i), fromHalves(v128.load(sums), v128.load(sums, 16)));
      i += 4;
    } else {
      storeFloat(dx + i, <f32>load<f64>(sums));
      i++;
    }
  }
  return dx + count;
}

/** Adds what lies along the sides from `axis` on, which are summed over; the strides that are arguments are between lanes. */
function sumAlong(
  axis: i32,
  a: i32,
  aStride: i32,
  b: i32,
  bStride: i32,
  dy: i32,
  dyStride: i32,
  sides: i32,
  rank: i32,
  which: i32,
  sums: usize,
): void {
  const side = loadInt(sides + axis),
    aStep = loadInt(sides + rank + axis),
    bStep = loadInt(sides + 2 * rank + axis),
    dyStep = loadInt(sides + 3 * rank + axis);
  if (axis == rank - 1) {
    sumTerms(which, a, aStride, aStep, b, bStride, bStep, dy, dyStride, dyStep, side, sums);
    return;
  }
  for (let i = 0; i < side; i++)
    sumAlong(
      axis + 1,
      a + i * aStep,
      aStride,
      b + i * bStep,
      bStride,
      dy + i * dyStep,
      dyStride,
      sides,
      rank,
      which,
      sums,
    );
}
