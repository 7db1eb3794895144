/** Optimizer updates and gradient clipping. Glossary: w weights, g gradient, m and v moments (v velocity, for SGD). */
import { dotOf, sumOf } from './elementwise';
import { at, loadFloat, storeFloat } from './words';

export function sumSquares(scratch: i32, x: i32, count: i32, out: i32): void {
  storeFloat(out, <f32>dotOf(x, x, count));
}

export function clipScale(scratch: i32, parts: i32, count: i32, limit: i32, out: i32): void {
  const norm = sqrt<f64>(sumOf(parts, count)),
    most = <f64>loadFloat(limit);
  storeFloat(out, most == 0 ? 1 : <f32>min<f64>(1, most / norm));
  storeFloat(out + 1, <f32>norm);
}

export function sgdUpdate(scratch: i32, w: i32, g: i32, v: i32, count: i32, hyper: i32, clip: i32): void {
  const rate = v128.load32_splat(at(hyper)),
    momentum = v128.load32_splat(at(hyper + 1)),
    weightDecay = v128.load32_splat(at(hyper + 2));
  const nesterov = loadFloat(hyper + 3) != 0,
    scale = v128.load32_splat(at(clip));
  for (let i = 0; i < count; i += 4) {
    const left = count - i;
    const weight = loadSome(w + i, left);
    const gradient = f32x4.add(f32x4.mul(scale, loadSome(g + i, left)), f32x4.mul(weightDecay, weight));
    const velocity = f32x4.add(f32x4.mul(momentum, loadSome(v + i, left)), gradient);
    const step = nesterov ? f32x4.add(gradient, f32x4.mul(momentum, velocity)) : velocity;
    storeSome(v + i, velocity, left);
    storeSome(w + i, f32x4.sub(weight, f32x4.mul(rate, step)), left);
  }
}

export function adamUpdate(scratch: i32, w: i32, g: i32, m: i32, v: i32, count: i32, hyper: i32, clip: i32): void {
  const one = f32x4.splat(1),
    rate = v128.load32_splat(at(hyper)),
    beta1 = v128.load32_splat(at(hyper + 1)),
    beta2 = v128.load32_splat(at(hyper + 2));
  const epsilon = v128.load32_splat(at(hyper + 3)),
    decay = loadFloat(hyper + 4),
    decoupled = loadFloat(hyper + 5) != 0;
  const correction1 = v128.load32_splat(at(hyper + 6)),
    correction2 = v128.load32_splat(at(hyper + 7)),
    scale = v128.load32_splat(at(clip));
  const coupledDecay = f32x4.splat(decoupled ? 0 : decay),
    decoupledDecay = f32x4.splat(decoupled ? decay : 0);
  for (let i = 0; i < count; i += 4) {
    const left = count - i;
    const weight = loadSome(w + i, left);
    const gradient = f32x4.add(f32x4.mul(scale, loadSome(g + i, left)), f32x4.mul(coupledDecay, weight));
    const first = f32x4.add(f32x4.mul(beta1, loadSome(m + i, left)), f32x4.mul(f32x4.sub(one, beta1), gradient));
    const second = f32x4.add(
      f32x4.mul(beta2, loadSome(v + i, left)),
      f32x4.mul(f32x4.sub(one, beta2), f32x4.mul(gradient, gradient)),
    );
    const step = f32x4.div(
      f32x4.div(first, correction1),
      f32x4.add(f32x4.sqrt(f32x4.div(second, correction2)), epsilon),
    );
    storeSome(m + i, first, left);
    storeSome(v + i, second, left);
    storeSome(w + i, f32x4.sub(weight, f32x4.mul(rate, f32x4.add(step, f32x4.mul(decoupledDecay, weight)))), left);
  }
}

/** Four floats, or the `left` < 4 that there are and zeros. */
// @ts-ignore: decorator
@inline
function loadSome(offset: i32, left: i32): v128 {
  if (left >= 4) return v128.load(at(offset));
  let lanes = v128.load32_zero(at(offset));
  if (left > 1) lanes = f32x4.replace_lane(lanes, 1, loadFloat(offset + 1));
  if (left > 2) lanes = f32x4.replace_lane(lanes, 2, loadFloat(offset + 2));
  return lanes;
}

// @ts-ignore: decorator
@inline
function storeSome(offset: i32, lanes: v128, left: i32): void {
  if (left >= 4) {
    v128.store(at(offset), lanes);
    return;
  }
  storeFloat(offset, f32x4.extract_lane(lanes, 0));
  if (left > 1) storeFloat(offset + 1, f32x4.extract_lane(lanes, 1));
  if (left > 2) storeFloat(offset + 2, f32x4.extract_lane(lanes, 2));
}
