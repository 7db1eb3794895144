/** Sums, products and copies. Sums of many are taken in double. */
import { activate, slopeOf } from './activation';
import { addLanes, fromHalves, highHalf, lowHalf } from './vector';
import { at, loadFloat, storeFloat } from './words';

export function add(scratch: i32, a: i32, b: i32, y: i32, count: i32, activation: i32, parameters: i32): void {
  const leak = slopeOf(activation, parameters);
  let i = 0;
  for (; i + 4 <= count; i += 4)
    v128.store(at(y + i), activate(f32x4.add(v128.load(at(a + i)), v128.load(at(b + i))), activation, leak));
  for (; i < count; i++)
    storeFloat(
      y + i,
      f32x4.extract_lane(activate(f32x4.splat(loadFloat(a + i) + loadFloat(b + i)), activation, leak), 0),
    );
}

export function multiply(scratch: i32, a: i32, b: i32, y: i32, count: i32): void {
  let i = 0;
  for (; i + 4 <= count; i += 4) v128.store(at(y + i), f32x4.mul(v128.load(at(a + i)), v128.load(at(b + i))));
  for (; i < count; i++) storeFloat(y + i, loadFloat(a + i) * loadFloat(b + i));
}

export function copyRows(
  scratch: i32,
  from: i32,
  fromStride: i32,
  to: i32,
  toStride: i32,
  rows: i32,
  columns: i32,
): void {
  for (let r = 0; r < rows; r++) {
    const source = from + r * fromStride,
      target = to + r * toStride;
    // memory.copy is a call out of WebAssembly: not worth it for short rows.
    if (columns >= 32) memory.copy(at(target), at(source), at(columns));
    else for (let j = 0; j < columns; j++) storeFloat(target + j, loadFloat(source + j));
  }
}

/** Sum of `count` floats from x on, in double. */
export function sumOf(x: i32, count: i32): f64 {
  let even = f64x2.splat(0),
    odd = f64x2.splat(0),
    i = 0;
  for (; i + 4 <= count; i += 4) {
    const lanes = v128.load(at(x + i));
    even = f64x2.add(even, lowHalf(lanes));
    odd = f64x2.add(odd, highHalf(lanes));
  }
  let sum = addLanes(f64x2.add(even, odd));
  for (; i < count; i++) sum += <f64>loadFloat(x + i);
  return sum;
}

/** Sum of a b over `count` floats, in double. */
export function dotOf(a: i32, b: i32, count: i32): f64 {
  let even = f64x2.splat(0),
    odd = f64x2.splat(0),
    i = 0;
  for (; i + 4 <= count; i += 4) {
    const left = v128.load(at(a + i)),
      right = v128.load(at(b + i));
    even = f64x2.add(even, f64x2.mul(lowHalf(left), lowHalf(right)));
    odd = f64x2.add(odd, f64x2.mul(highHalf(left), highHalf(right)));
  }
  let sum = addLanes(f64x2.add(even, odd));
  for (; i < count; i++) sum += <f64>loadFloat(a + i) * <f64>loadFloat(b + i);
  return sum;
}

export function channelSums(
  scratch: i32,
  x: i32,
  out: i32,
  samples: i32,
  allChannels: i32,
  positions: i32,
  channel: i32,
  channels: i32,
): void {
  for (let c = channel; c < channel + channels; c++) {
    let sum: f64 = 0;
    for (let n = 0; n < samples; n++) sum += sumOf(x + (n * allChannels + c) * positions, positions);
    storeFloat(out + c, <f32>sum);
  }
}

export function sumParts(scratch: i32, x: i32, out: i32, parts: i32, stride: i32, count: i32): void {
  let i = 0;
  for (; i + 4 <= count; i += 4) {
    let low = f64x2.splat(0),
      high = f64x2.splat(0);
    for (let part = 0; part < parts; part++) {
      const lanes = v128.load(at(x + part * stride + i));
      low = f64x2.add(low, lowHalf(lanes));
      high = f64x2.add(high, highHalf(lanes));
    }
    v128.store(at(out + i), fromHalves(low, high));
  }
  for (; i < count; i++) {
    let sum: f64 = 0;
    for (let part = 0; part < parts; part++) sum += <f64>loadFloat(x + part * stride + i);
    storeFloat(out + i, <f32>sum);
  }
}
