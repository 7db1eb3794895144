/** Elements in other places, and weighted sums of a few along one side. */
import { fromHalves, highHalf, lowHalf } from './vector';
import { at, loadFloat, loadInt, storeFloat } from './words';

export function rearrange(
  scratch: i32,
  x: i32,
  y: i32,
  tables: i32,
  rank: i32,
  first: i32,
  outer: i32,
  run: i32,
  fill: i32,
): void {
  moveAlong(0, outer, tables + rank + first, x, y, tables, rank, run, fill);
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
  fill: i32,
): i32 {
  if (axis == rank - 1) {
    moveRow(table, count, x, y, run, fill);
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
    else moveAlong(axis + 1, side, inner, x + offset, y, tables, rank, run, fill);
    y += words;
  }
  return y;
}

function moveRow(table: i32, count: i32, x: i32, y: i32, run: i32, fill: i32): void {
  for (let i = 0; i < count; i++) {
    const offset = loadInt(table + i),
      from = x + offset,
      to = y + i * run;
    if (offset < 0) fillRow(to, run, fill);
    else if (run >= 32) memory.copy(at(to), at(from), at(run));
    else for (let r = 0; r < run; r++) storeFloat(to + r, loadFloat(from + r));
  }
}

function fillRow(y: i32, count: i32, fill: i32): void {
  const value = loadFloat(fill);
  for (let i = 0; i < count; i++) storeFloat(y + i, value);
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
    for (let j = 0; j < count; j++) {
      const place = places + j * taps,
        weight = weights + j * taps,
        from = x + o * length * inner;
      let last = 0;
      while (last < taps && loadInt(place + last) >= 0) last++;
      if (last == 0) fillRow(y, inner, fill);
      else {
        let i = 0;
        for (; i + 4 <= inner; i += 4) {
          let low = f64x2.splat(0),
            high = f64x2.splat(0);
          for (let t = 0; t < last; t++) {
            const lanes = v128.load(at(from + loadInt(place + t) * inner + i)),
              factor = f64x2.splat(<f64>loadFloat(weight + t));
            low = f64x2.add(low, f64x2.mul(factor, lowHalf(lanes)));
            high = f64x2.add(high, f64x2.mul(factor, highHalf(lanes)));
          }
          v128.store(at(y + i), fromHalves(low, high));
        }
        for (; i < inner; i++) {
          let sum: f64 = 0;
          for (let t = 0; t < last; t++)
            sum += <f64>loadFloat(weight + t) * <f64>loadFloat(from + loadInt(place + t) * inner + i);
          storeFloat(y + i, <f32>sum);
        }
      }
      y += inner;
    }
  }
}
