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
