/**
 * Activations, four lanes at a time; the lanes of an incomplete group go through the same code, so a value does not
 * depend on its place.
 */
import { at, loadFloat, storeFloat } from './words';
import { sigmoid4, tanh4 } from './vector';

export const NONE = 0;
export const RELU = 1;
export const LEAKY_RELU = 2;
export const SIGMOID = 3;
export const TANH = 4;

/** The leaky slope in all lanes; 0 for the activations that have none. */
// @ts-ignore: decorator
@inline
export function slopeLanes(code: i32, slope: i32): v128 {
  return f32x4.splat(code == LEAKY_RELU ? loadFloat(slope) : 0);
}

/** activation(x). A NaN stays one. */
// @ts-ignore: decorator
@inline
export function activate4(x: v128, code: i32, slope: v128): v128 {
  if (code == NONE) return x;
  if (code == RELU) return f32x4.max(x, f32x4.splat(0));
  if (code == LEAKY_RELU) return v128.bitselect(f32x4.mul(x, slope), x, f32x4.lt(x, f32x4.splat(0)));
  if (code == SIGMOID) return sigmoid4(x);
  return tanh4(x);
}

/** dy activation'(x), from y = activation(x). */
// @ts-ignore: decorator
@inline
function pullBack4(y: v128, dy: v128, code: i32, slope: v128): v128 {
  const one = f32x4.splat(1),
    positive = f32x4.gt(y, f32x4.splat(0));
  if (code == NONE) return dy;
  // A product, not a mask: an infinite gradient behind a closed unit is NaN, as in the portable set.
  if (code == RELU) return f32x4.mul(dy, v128.and(positive, one));
  if (code == LEAKY_RELU) return f32x4.mul(dy, v128.bitselect(one, slope, positive));
  if (code == SIGMOID) return f32x4.mul(dy, f32x4.mul(y, f32x4.sub(one, y)));
  return f32x4.mul(dy, f32x4.sub(one, f32x4.mul(y, y)));
}

export function activationForward(scratch: i32, x: i32, y: i32, count: i32, code: i32, slope: i32): void {
  const leak = slopeLanes(code, slope);
  let i = 0;
  for (; i + 4 <= count; i += 4) v128.store(at(y + i), activate4(v128.load(at(x + i)), code, leak));
  for (; i < count; i++) storeFloat(y + i, f32x4.extract_lane(activate4(v128.load32_splat(at(x + i)), code, leak), 0));
}

export function activationBackward(scratch: i32, y: i32, dy: i32, dx: i32, count: i32, code: i32, slope: i32): void {
  const leak = slopeLanes(code, slope);
  let i = 0;
  for (; i + 4 <= count; i += 4)
    v128.store(at(dx + i), pullBack4(v128.load(at(y + i)), v128.load(at(dy + i)), code, leak));
  for (; i < count; i++)
    storeFloat(
      dx + i,
      f32x4.extract_lane(pullBack4(v128.load32_splat(at(y + i)), v128.load32_splat(at(dy + i)), code, leak), 0),
    );
}
