/** Addresses of words and the shape of pooling and convolution, shared by the kernels. */

/** Address of a word. */
// @ts-ignore: decorator
@inline
export function at(offset: i32): usize {
  return (<usize>offset) << 2;
}

// @ts-ignore: decorator
@inline
export function loadFloat(offset: i32): f32 {
  return load<f32>(at(offset));
}

// @ts-ignore: decorator
@inline
export function storeFloat(offset: i32, value: f32): void {
  store<f32>(at(offset), value);
}

/** Four floats that lie `stride` words apart. */
// @ts-ignore: decorator
@inline
export function loadLanes(offset: i32, stride: i32): v128 {
  if (stride == 1) return v128.load(at(offset));
  if (stride == 0) return v128.load32_splat(at(offset));
  return gather(offset, stride);
}

/** Four floats to where they lie `stride` words apart; 0: the first alone. */
// @ts-ignore: decorator
@inline
export function storeLanes(offset: i32, stride: i32, lanes: v128): void {
  if (stride == 1) {
    v128.store(at(offset), lanes);
    return;
  }
  storeFloat(offset, f32x4.extract_lane(lanes, 0));
  if (stride == 0) return;
  storeFloat(offset + stride, f32x4.extract_lane(lanes, 1));
  storeFloat(offset + 2 * stride, f32x4.extract_lane(lanes, 2));
  storeFloat(offset + 3 * stride, f32x4.extract_lane(lanes, 3));
}

/** Words that lanesOf may bring together. */
export const LANES_WORDS: i32 = 256;

/** Address of `count` floats that lie `stride` words apart, or of one four times: where they are, or at `place`. */
export function lanesOf(offset: i32, stride: i32, count: i32, place: usize): usize {
  if (stride == 1) return at(offset);
  if (stride == 0) v128.store(place, v128.load32_splat(at(offset)));
  else {
    for (let i: usize = 0; i < at(count); i += 4) {
      store<f32>(place + i, loadFloat(offset));
      offset += stride;
    }
  }
  return place;
}

/** Some few. */
export function copyWords(from: usize, to: usize, count: i32): void {
  for (let i: usize = 0; i < at(count); i += 4) store<f32>(to + i, load<f32>(from + i));
}

function gather(offset: i32, stride: i32): v128 {
  let lanes = v128.load32_zero(at(offset));
  lanes = f32x4.replace_lane(lanes, 1, loadFloat(offset + stride));
  lanes = f32x4.replace_lane(lanes, 2, loadFloat(offset + 2 * stride));
  return f32x4.replace_lane(lanes, 3, loadFloat(offset + 3 * stride));
}

// @ts-ignore: decorator
@inline
export function loadInt(offset: i32): i32 {
  return load<i32>(at(offset));
}
