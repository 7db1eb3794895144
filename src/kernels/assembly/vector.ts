/**
 * Lanes: conversions between four floats and twice two doubles, and functions that WebAssembly has no instruction for.
 */

/** Four vectors of four, transposed: lane i of each to the vector at the i-th address. */
// @ts-ignore: decorator
@inline
export function transpose(
  r0: v128,
  r1: v128,
  r2: v128,
  r3: v128,
  to0: usize,
  to1: usize,
  to2: usize,
  to3: usize,
): void {
  const low01 = v128.shuffle<f32>(r0, r1, 0, 4, 1, 5),
    high01 = v128.shuffle<f32>(r0, r1, 2, 6, 3, 7);
  const low23 = v128.shuffle<f32>(r2, r3, 0, 4, 1, 5),
    high23 = v128.shuffle<f32>(r2, r3, 2, 6, 3, 7);
  v128.store(to0, v128.shuffle<f64>(low01, low23, 0, 2));
  v128.store(to1, v128.shuffle<f64>(low01, low23, 1, 3));
  v128.store(to2, v128.shuffle<f64>(high01, high23, 0, 2));
  v128.store(to3, v128.shuffle<f64>(high01, high23, 1, 3));
}

// @ts-ignore: decorator
@inline
export function lowHalf(x: v128): v128 {
  return f64x2.promote_low_f32x4(x);
}

// @ts-ignore: decorator
@inline
export function highHalf(x: v128): v128 {
  return f64x2.promote_low_f32x4(v128.shuffle<f32>(x, x, 2, 3, 0, 1));
}

/** Two pairs of doubles, rounded to four floats. */
// @ts-ignore: decorator
@inline
export function fromHalves(low: v128, high: v128): v128 {
  return v128.shuffle<f32>(f32x4.demote_f64x2_zero(low), f32x4.demote_f64x2_zero(high), 0, 1, 4, 5);
}

// @ts-ignore: decorator
@inline
export function addLanes(x: v128): f64 {
  return f64x2.extract_lane(x, 0) + f64x2.extract_lane(x, 1);
}

/**
 * e^x with a relative error below 2e-7 where the result is a normal number: x = n ln 2 + r, |r| <= ln 2 / 2, and a
 * polynomial for e^r (Moshier's Cephes, expf). 2^n is applied in two factors, so that the ends of the range come out as
 * infinity, subnormals and zero.
 */
export function exp4(x: v128): v128 {
  return inlineExp4(x);
}

/** The same within a loop, which then keeps more in its registers. */
// @ts-ignore: decorator
@inline
export function inlineExp4(x: v128): v128 {
  // Unlike min and max one instruction each, and a NaN comes through.
  x = f32x4.pmin(f32x4.pmax(x, f32x4.splat(-104)), f32x4.splat(89));
  const n = wholeOf(x);
  return expOf(n, restOf(x, n));
}

/** The n of x = n ln 2 + r, and its r. */
// @ts-ignore: decorator
@inline
function wholeOf(x: v128): v128 {
  return f32x4.nearest(f32x4.mul(x, f32x4.splat(1.44269504088896341)));
}
// @ts-ignore: decorator
@inline
function restOf(x: v128, n: v128): v128 {
  const r = f32x4.sub(x, f32x4.mul(n, f32x4.splat(0.693359375)));
  return f32x4.sub(r, f32x4.mul(n, f32x4.splat(-2.1219444e-4)));
}

/** 2^n e^r of whole n and small r. */
// @ts-ignore: decorator
@inline
function expOf(n: v128, r: v128): v128 {
  const whole = integerOf(n),
    half = i32x4.shr_s(whole, 1);
  return f32x4.mul(f32x4.mul(exponentialOf(r), powerOfTwo(half)), powerOfTwo(i32x4.sub(whole, half)));
}

/** e^r of small r. */
// @ts-ignore: decorator
@inline
function exponentialOf(r: v128): v128 {
  let p = f32x4.splat(1.98756915e-4);
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(1.3981999507e-3));
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(8.3334519073e-3));
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(4.1665795894e-2));
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(1.6666665459e-1));
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(5.0000001201e-1));
  return f32x4.add(f32x4.add(f32x4.mul(p, f32x4.mul(r, r)), r), f32x4.splat(1));
}

/** A small whole number as an integer: the last bits of its sum with 3/2 2^23. Truncation that saturates costs four times as much. */
// @ts-ignore: decorator
@inline
function integerOf(n: v128): v128 {
  return i32x4.sub(f32x4.add(n, f32x4.splat(12582912)), i32x4.splat(0x4b400000));
}

/** 2^k for -126 <= k <= 127. */
// @ts-ignore: decorator
@inline
function powerOfTwo(k: v128): v128 {
  return i32x4.shl(i32x4.add(k, i32x4.splat(127)), 23);
}

// @ts-ignore: decorator
@inline
export function sigmoid4(x: v128): v128 {
  const one = f32x4.splat(1);
  return f32x4.div(one, f32x4.add(one, exp4(f32x4.neg(x))));
}

/** A polynomial near zero, where 1 - 2 / (e^2x + 1) would cancel (Moshier's Cephes, tanhf). From 10 on it is 1. */
export function tanh4(x: v128): v128 {
  const one = f32x4.splat(1),
    size = f32x4.abs(x),
    z = f32x4.mul(x, x);
  let near = f32x4.splat(-5.70498872745e-3);
  near = f32x4.add(f32x4.mul(near, z), f32x4.splat(2.06390887954e-2));
  near = f32x4.add(f32x4.mul(near, z), f32x4.splat(-5.37397155531e-2));
  near = f32x4.add(f32x4.mul(near, z), f32x4.splat(1.33314422036e-1));
  near = f32x4.add(f32x4.mul(near, z), f32x4.splat(-3.33332819422e-1));
  near = f32x4.add(f32x4.mul(f32x4.mul(near, z), x), x);
  const twice = f32x4.pmin(f32x4.add(size, size), f32x4.splat(20)),
    n = wholeOf(twice);
  const power = f32x4.mul(exponentialOf(restOf(twice, n)), powerOfTwo(integerOf(n)));
  let far = f32x4.sub(one, f32x4.div(f32x4.splat(2), f32x4.add(power, one)));
  far = v128.bitselect(x, far, i32x4.splat(0x80000000));
  return v128.bitselect(near, far, f32x4.lt(size, f32x4.splat(0.625)));
}

/**
 * Natural logarithm with a relative error below 2e-7, or an absolute one below 1e-38: x = 2^n m, sqrt(1/2) <= m < sqrt(2),
 * and a polynomial for log(m) (Moshier's Cephes, logf). -Infinity at zero, NaN below.
 */
export function log4(x: v128): v128 {
  const one = f32x4.splat(1);
  // A subnormal number has no exponent to read: 2^23 times as large it has.
  const small = f32x4.lt(x, f32x4.splat(1.17549435e-38));
  const bits = v128.bitselect(f32x4.mul(x, f32x4.splat(8388608)), x, small);
  let n = i32x4.sub(i32x4.shr_u(bits, 23), v128.bitselect(i32x4.splat(149), i32x4.splat(126), small));
  let m = v128.or(v128.and(bits, i32x4.splat(0x007fffff)), i32x4.splat(0x3f000000));
  const low = f32x4.lt(m, f32x4.splat(0.707106781186547524));
  n = i32x4.add(n, low);
  m = f32x4.sub(f32x4.add(m, v128.and(m, low)), one);
  const e = f32x4.convert_i32x4_s(n),
    z = f32x4.mul(m, m);
  let p = f32x4.splat(7.0376836292e-2);
  p = f32x4.add(f32x4.mul(p, m), f32x4.splat(-1.151461031e-1));
  p = f32x4.add(f32x4.mul(p, m), f32x4.splat(1.167699874e-1));
  p = f32x4.add(f32x4.mul(p, m), f32x4.splat(-1.2420140846e-1));
  p = f32x4.add(f32x4.mul(p, m), f32x4.splat(1.4249322787e-1));
  p = f32x4.add(f32x4.mul(p, m), f32x4.splat(-1.6668057665e-1));
  p = f32x4.add(f32x4.mul(p, m), f32x4.splat(2.0000714765e-1));
  p = f32x4.add(f32x4.mul(p, m), f32x4.splat(-2.4999993993e-1));
  p = f32x4.add(f32x4.mul(p, m), f32x4.splat(3.3333331174e-1));
  p = f32x4.mul(f32x4.mul(p, m), z);
  p = f32x4.add(p, f32x4.mul(e, f32x4.splat(-2.1219444e-4)));
  p = f32x4.sub(p, f32x4.mul(z, f32x4.splat(0.5)));
  const log = f32x4.add(f32x4.add(m, p), f32x4.mul(e, f32x4.splat(0.693359375)));
  // Zero, infinity and NaN are their own cases; below zero x - x over itself is NaN.
  const infinite = f32x4.eq(x, f32x4.splat(Infinity)),
    zero = f32x4.eq(x, f32x4.splat(0));
  let result = v128.bitselect(x, log, infinite);
  result = v128.bitselect(f32x4.splat(-Infinity), result, zero);
  return v128.bitselect(result, f32x4.splat(NaN), f32x4.ge(x, f32x4.splat(0)));
}

/**
 * The error function with a relative error below 3e-7: below 1 an odd polynomial, above it 1 - e^q for a polynomial q of
 * |x| (both fitted by reweighted least squares to the smallest error of the result), from 4 on 1.
 */
export function erf4(x: v128): v128 {
  const size = f32x4.pmin(f32x4.abs(x), f32x4.splat(4)),
    z = f32x4.mul(size, size);
  let near = f32x4.splat(-9.680136827228125e-6);
  near = f32x4.add(f32x4.mul(near, z), f32x4.splat(1.1270544200669974e-4));
  near = f32x4.add(f32x4.mul(near, z), f32x4.splat(-8.4847112884745e-4));
  near = f32x4.add(f32x4.mul(near, z), f32x4.splat(5.221074912697077e-3));
  near = f32x4.add(f32x4.mul(near, z), f32x4.splat(-2.686544507741928e-2));
  near = f32x4.add(f32x4.mul(near, z), f32x4.splat(1.1283782869577408e-1));
  near = f32x4.add(f32x4.mul(near, z), f32x4.splat(-3.7612637877464294e-1));
  near = f32x4.mul(f32x4.add(f32x4.mul(near, z), f32x4.splat(1.128379225730896)), x);
  let q = f32x4.splat(2.5132692371698795e-7);
  q = f32x4.add(f32x4.mul(q, size), f32x4.splat(-2.531481186451856e-5));
  q = f32x4.add(f32x4.mul(q, size), f32x4.splat(4.6378804836422205e-4));
  q = f32x4.add(f32x4.mul(q, size), f32x4.splat(-4.282382782548666e-3));
  q = f32x4.add(f32x4.mul(q, size), f32x4.splat(2.5373555719852448e-2));
  q = f32x4.add(f32x4.mul(q, size), f32x4.splat(-1.0863899439573288e-1));
  q = f32x4.add(f32x4.mul(q, size), f32x4.splat(-6.330395936965942e-1));
  q = f32x4.add(f32x4.mul(q, size), f32x4.splat(-1.129661202430725));
  q = f32x4.add(f32x4.mul(q, size), f32x4.splat(2.0435989426914603e-4));
  const far = v128.bitselect(x, f32x4.sub(f32x4.splat(1), inlineExp4(q)), i32x4.splat(0x80000000));
  return v128.bitselect(near, far, f32x4.lt(size, f32x4.splat(1)));
}

/**
 * a^b with a relative error below 3e-7 where the result is a normal number: b ln |a| is computed in double, its whole part
 * in ln 2 taken off there, and the rest goes as in exp4. ln |a| = n ln 2 + 2 artanh(s), s = (m - 1) / (m + 1).
 */
export function power4(a: v128, b: v128): v128 {
  const one = f32x4.splat(1),
    zero = f32x4.splat(0),
    size = f32x4.abs(a);
  const small = f32x4.lt(size, f32x4.splat(1.17549435e-38));
  const bits = v128.bitselect(f32x4.mul(size, f32x4.splat(8388608)), size, small);
  let n = i32x4.sub(i32x4.shr_u(bits, 23), v128.bitselect(i32x4.splat(149), i32x4.splat(126), small));
  let m = v128.or(v128.and(bits, i32x4.splat(0x007fffff)), i32x4.splat(0x3f000000));
  const low = f32x4.lt(m, f32x4.splat(0.707106781186547524));
  n = i32x4.add(n, low);
  m = f32x4.add(m, v128.and(m, low));
  const exponent = f32x4.convert_i32x4_s(n);
  const t0 = exponentOf2(lowHalf(exponent), lowHalf(m), lowHalf(b)),
    t1 = exponentOf2(highHalf(exponent), highHalf(m), highHalf(b));
  const w0 = f64x2.nearest(f64x2.mul(t0, f64x2.splat(1.4426950408889634))),
    w1 = f64x2.nearest(f64x2.mul(t1, f64x2.splat(1.4426950408889634)));
  const ln2 = f64x2.splat(0.6931471805599453);
  let result = expOf(
    fromHalves(w0, w1),
    fromHalves(f64x2.sub(t0, f64x2.mul(w0, ln2)), f64x2.sub(t1, f64x2.mul(w1, ln2))),
  );
  // 0 and infinity have no mantissa to read, and 1 to the power of infinity is 1.
  const infinite = f32x4.eq(size, f32x4.splat(Infinity)),
    ends = v128.or(f32x4.eq(size, zero), infinite);
  const large = v128.xor(f32x4.lt(b, zero), infinite);
  result = v128.bitselect(v128.and(f32x4.splat(Infinity), large), result, ends);
  result = v128.bitselect(one, result, f32x4.eq(size, one));
  // The sign of a counts for odd b; a negative number has no other powers than whole ones.
  const half = f32x4.mul(b, f32x4.splat(0.5)),
    whole = f32x4.eq(f32x4.nearest(b), b),
    odd = v128.andnot(whole, f32x4.eq(f32x4.nearest(half), half));
  result = v128.xor(result, v128.and(v128.and(a, odd), i32x4.splat(0x80000000)));
  const none = v128.andnot(v128.andnot(f32x4.lt(a, zero), infinite), whole);
  result = v128.bitselect(f32x4.splat(NaN), result, v128.or(none, v128.or(f32x4.ne(a, a), f32x4.ne(b, b))));
  return v128.bitselect(one, result, v128.or(f32x4.eq(b, zero), f32x4.eq(a, one)));
}

/** b (n ln 2 + ln m) in double, sqrt(1/2) <= m < sqrt(2), between the ends of what exp4 tells apart. */
// @ts-ignore: decorator
@inline
function exponentOf2(n: v128, m: v128, b: v128): v128 {
  const one = f64x2.splat(1),
    s = f64x2.div(f64x2.sub(m, one), f64x2.add(m, one)),
    z = f64x2.mul(s, s);
  let p = f64x2.splat(2.0 / 13);
  p = f64x2.add(f64x2.mul(p, z), f64x2.splat(2.0 / 11));
  p = f64x2.add(f64x2.mul(p, z), f64x2.splat(2.0 / 9));
  p = f64x2.add(f64x2.mul(p, z), f64x2.splat(2.0 / 7));
  p = f64x2.add(f64x2.mul(p, z), f64x2.splat(2.0 / 5));
  p = f64x2.add(f64x2.mul(p, z), f64x2.splat(2.0 / 3));
  p = f64x2.add(f64x2.mul(p, z), f64x2.splat(2));
  const log = f64x2.add(f64x2.mul(n, f64x2.splat(0.6931471805599453)), f64x2.mul(p, s));
  return f64x2.min(f64x2.max(f64x2.mul(b, log), f64x2.splat(-104)), f64x2.splat(89));
}
