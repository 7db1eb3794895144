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

// @ts-ignore: decorator
@inline
export function loadInt(offset: i32): i32 {
  return load<i32>(at(offset));
}
