/** Softmax along rows, or across them. */
import { dotOf } from './elementwise';
import { exp4, inlineExp4, fromHalves, highHalf, lowHalf } from './vector';
import { at, loadFloat, loadLanes, storeFloat, storeLanes } from './words';

/** Of elements in a row fewer than this: four rows at once. */
const ALONG: i32 = 8;

export function softmaxForward(scratch: i32, x: i32, y: i32, outer: i32, length: i32, inner: i32, count: i32): void {
  if (inner == 1) {
    if (length < ALONG) return across(x, y, outer, length, length, 1);
    for (let o = 0; o < outer; o++) along(x + o * length, y + o * length, length);
  } else
    for (let o = 0; o < outer; o++) across(x + o * length * inner, y + o * length * inner, count, 1, length, inner);
}

/** `count` rows whose elements lie `step` apart, from one to the next `stride`; four at once, the last ones one by one. */
function across(x: i32, y: i32, count: i32, stride: i32, length: i32, step: i32): void {
  let i = 0;
  while (i < count) {
    const lanes = i + 4 <= count ? stride : 0,
      from = x + i * stride,
      to = y + i * stride,
      end = length * step;
    let most = f32x4.splat(-Infinity),
      low = f64x2.splat(0),
      high = f64x2.splat(0);
    for (let j = 0; j < end; j += step) most = f32x4.max(most, loadLanes(from + j, lanes));
    for (let j = 0; j < end; j += step) {
      const power = exp4(f32x4.sub(loadLanes(from + j, lanes), most));
      storeLanes(to + j, lanes, power);
      low = f64x2.add(low, lowHalf(power));
      high = f64x2.add(high, highHalf(power));
    }
    const share = f32x4.div(f32x4.splat(1), fromHalves(low, high));
    for (let j = 0; j < end; j += step) storeLanes(to + j, lanes, f32x4.mul(loadLanes(to + j, lanes), share));
    i += lanes ? 4 : 1;
  }
}

/** One row. */
function along(from: i32, to: i32, length: i32): void {
  const whole = length & ~3;
  let lanes = v128.load(at(from)),
    j = 4;
  for (; j < whole; j += 4) lanes = f32x4.max(lanes, v128.load(at(from + j)));
  // The last ones once more with some before them: of a maximum that is no matter.
  lanes = f32x4.max(lanes, v128.load(at(from + length - 4)));
  lanes = f32x4.max(lanes, v128.shuffle<f32>(lanes, lanes, 2, 3, 0, 1));
  const most = f32x4.max(lanes, v128.shuffle<f32>(lanes, lanes, 1, 0, 3, 2));
  let low = f64x2.splat(0),
    high = f64x2.splat(0);
  for (j = 0; j < whole; j += 4) {
    const power = inlineExp4(f32x4.sub(v128.load(at(from + j)), most));
    v128.store(at(to + j), power);
    low = f64x2.add(low, lowHalf(power));
    high = f64x2.add(high, highHalf(power));
  }
  low = f64x2.add(low, high);
  let sum = f64x2.extract_lane(low, 0) + f64x2.extract_lane(low, 1);
  for (; j < length; j++) {
    const power = f32x4.extract_lane(exp4(f32x4.sub(v128.load32_splat(at(from + j)), most)), 0);
    storeFloat(to + j, power);
    sum += <f64>power;
  }
  const share = f32x4.splat(<f32>(1 / sum));
  for (j = 0; j < whole; j += 4) v128.store(at(to + j), f32x4.mul(v128.load(at(to + j)), share));
  for (; j < length; j++) storeFloat(to + j, loadFloat(to + j) * f32x4.extract_lane(share, 0));
}

export function softmaxBackward(scratch: i32, y: i32, dy: i32, dx: i32, rows: i32, columns: i32): void {
  for (let r = 0; r < rows; r++) {
    const row = r * columns,
      dot = dotOf(y + row, dy + row, columns);
    for (let j = row; j < row + columns; j++)
      storeFloat(dx + j, <f32>(<f64>loadFloat(y + j) * (<f64>loadFloat(dy + j) - dot)));
  }
}
