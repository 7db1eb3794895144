/** Activations on the way out of a product, a convolution or a sum: those that fuse. */
import { fuses, LEAKY_RELU, RELU } from './activations.generated';
import { loadFloat } from './words';

/** The leaky slope; 0 for the activations that have none. Traps on one that does not fuse. */
export function slopeOf(activation: i32, parameters: i32): f32 {
  if (!fuses(activation)) unreachable();
  return activation == LEAKY_RELU ? loadFloat(parameters) : 0;
}

/** activation(x). A NaN stays one. */
// @ts-ignore: decorator
@inline
export function activate(x: v128, activation: i32, slope: f32): v128 {
  if (activation == RELU) return f32x4.max(x, f32x4.splat(0));
  if (activation == LEAKY_RELU) return v128.bitselect(f32x4.mul(x, f32x4.splat(slope)), x, f32x4.lt(x, f32x4.splat(0)));
  return x;
}

export function activateOne(x: f32, activation: i32, slope: f32): f32 {
  return f32x4.extract_lane(activate(f32x4.splat(x), activation, slope), 0);
}
