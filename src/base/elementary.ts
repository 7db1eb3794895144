/**
 * Elementary functions of our own: ECMAScript leaves the last bits of `Math.exp` and its like to the engine, and engines
 * differ. These are made of sums, products, quotients, square roots and rounding, which IEEE 754 fixes to the last bit,
 * so every engine gives the same bits. Bounds in units in the last place (ulp) are held by test/base/elementary.test.ts.
 */

/** ln 2 in two parts, the first of 32 bits, so that its product with an exponent is exact. */
const LN2_HIGH = 0.6931471803691238,
  LN2_LOW = 1.9082149292705877e-10;

/** pi as a float32, and what that leaves out. */
const PI_HIGH = 3.1415927410125732,
  PI_LOW = -8.742278000372485e-8;

/** x x: `x ** 2` goes by the engine's general power, which may differ from the product. */
export function square(x: number): number {
  return x * x;
}

/** Length of the vector (x, y), whose squares must not overflow: not `Math.hypot`, which is each engine's own. */
export function lengthOf(x: number, y: number): number {
  return Math.sqrt(x * x + y * y);
}

/** 2^n of an integer from -1074 to 1023, exact. */
function powerOfTwo(n: number): number {
  let power = 1;
  for (let rest = Math.abs(n), base = n < 0 ? 0.5 : 2; rest > 0; rest >>= 1, base *= base) {
    if (rest & 1) power *= base;
  }
  return power;
}

/** Exponent e of a positive finite number: 2^e <= x < 2^(e + 1). */
export function exponentOf(x: number): number {
  let e = 0;
  // Most numbers need no long strides.
  let [step, power] = x < 2 ** 32 && x > 2 ** -32 ? [16, 2 ** 16] : [512, 2 ** 512];
  for (; step >= 1; step /= 2, power = Math.sqrt(power)) {
    if (x >= power) {
      x /= power;
      e += step;
    }
    // Twice for the smallest: subnormal numbers go down to 2^-1074.
    while (x * power < 2) {
      x *= power;
      e -= step;
    }
  }
  return e;
}

/**
 * e^x, below 1 ulp. x = n ln 2 + r with |r| <= ln 2 / 2, and e^r = 1 + 2 r / (r coth(r / 2) - r), where
 * r coth(r / 2) = 2 + r^2 / 6 - r^4 / 360 + ...: twice the sum of B_2k r^2k / (2k)!, B the numbers of Bernoulli
 * (Abramowitz, Stegun, equation 4.5.67).
 */
export function exp(x: number): number {
  if (!(x < 709.79)) return x > 0 ? Infinity : x;
  if (x < -745.14) return 0;
  const n = Math.round(x / Math.LN2),
    high = x - n * LN2_HIGH,
    low = n * LN2_LOW,
    r = high - low,
    s = r * r;
  const rest =
    s * (1 / 6 + s * (-1 / 360 + s * (1 / 15120 + s * (-1 / 604800 + s * (1 / 23950080 + s * (-691 / 653837184000))))));
  const c = r - rest;
  const sum = 1 + high,
    result = sum + (high - (sum - 1) - (low - (r * c) / (2 - c)));
  if (n > 1023) return result * powerOfTwo(n - 1) * 2;
  // A result below the normal numbers is rounded once, by the last factor.
  return n < -1021 ? result * powerOfTwo(n + 100) * powerOfTwo(-100) : result * powerOfTwo(n);
}

/** Natural logarithm, below 1 ulp. */
export function log(x: number): number {
  return logOfSum(x, 0);
}

/** ln(1 + x) without the loss that the sum has near 0, below 1 ulp. */
export function log1p(x: number): number {
  const sum = 1 + x;
  if (!(sum > 0 && sum < Infinity)) return log(sum);
  // What rounding took from the sum, which is exact either way.
  return logOfSum(sum, x > 1 ? 1 - (sum - x) : x - (sum - 1));
}

/**
 * ln(x + rest), rest small beside x. x = 2^n (1 + f) with 1 + f from sqrt(1/2) to sqrt 2, and ln(1 + f) = 2 artanh(s),
 * s = f / (2 + f) (Abramowitz, Stegun, equation 4.1.27), with 2 s written as f - s f, so that the series is a small
 * correction of f.
 */
function logOfSum(x: number, rest: number): number {
  if (!(x > 0 && x < Infinity)) return x === 0 ? -Infinity : x > 0 ? x : NaN;
  let n = exponentOf(x),
    fraction = n < -1022 ? x * powerOfTwo(100) * powerOfTwo(-n - 100) : x * powerOfTwo(-n);
  if (fraction > Math.SQRT2) {
    fraction /= 2;
    n++;
  }
  const f = fraction - 1,
    s = f / (2 + f),
    z = s * s,
    half = 0.5 * f * f;
  let series = 0;
  for (let k = 21; k >= 3; k -= 2) series = z * (2 / k + series);
  return n * LN2_HIGH - (half - (s * (half + series) + (n * LN2_LOW + rest / x)) - f);
}

/** cos(pi x), below 1 ulp; exact at multiples of 1/2. */
export function cosPi(x: number): number {
  return cosineOfQuarters(x, 0);
}

/** sin(pi x), below 1 ulp; exact at multiples of 1/2. */
export function sinPi(x: number): number {
  return cosineOfQuarters(x, 3);
}

/** cos(pi (x + shift / 2)). The nearest multiple of 1/2 is taken off exactly; what is left, |r| <= 1/4, is a series. */
function cosineOfQuarters(x: number, shift: number): number {
  const quarters = Math.round(2 * x),
    r = x - quarters / 2,
    // From 0 to 3; the remainder of a negative number is negative.
    quadrant = ((quarters % 4) + shift + 4) % 4;
  const value = quadrant % 2 === 0 ? cosineSeries(r) : sineSeries(r);
  return quadrant === 0 || quadrant === 3 ? value : -value;
}

/** pi r as a rounded number and the rest of it: r and pi are cut in two, so that their first product is exact. */
function timesPi(r: number): readonly [angle: number, rest: number] {
  const high = Math.fround(r),
    product = high * PI_HIGH,
    small = high * PI_LOW + (r - high) * Math.PI,
    angle = product + small;
  return [angle, product - angle + small];
}

/** sin(pi r), |r| <= 1/4, by its series (Abramowitz, Stegun, equation 4.3.65). */
function sineSeries(r: number): number {
  const [angle, rest] = timesPi(r),
    z = angle * angle;
  let series = 0;
  for (let k = 16; k >= 2; k -= 2) series = (-z / (k * (k + 1))) * (1 + series);
  return angle + (rest * (1 - z / 2) + angle * series);
}

/** cos(pi r), |r| <= 1/4, by its series (Abramowitz, Stegun, equation 4.3.66). */
function cosineSeries(r: number): number {
  const [angle, rest] = timesPi(r),
    z = angle * angle,
    half = z / 2,
    most = 1 - half;
  let series = 0;
  for (let k = 15; k >= 3; k -= 2) series = (-z / (k * (k + 1))) * (1 + series);
  // What rounding took from `most` comes back with the rest of the series, in which z stands once too often.
  return most + (1 - most - half - half * series - angle * rest);
}

/** The angle from 0 to pi with cosine x, below 1.5 ulp: by its sine's, or by that of its half where |x| > 1/2. */
export function acos(x: number): number {
  if (x > 0.5) return 2 * arcSineSeries(Math.sqrt((1 - x) / 2));
  if (x < -0.5) return Math.PI - 2 * arcSineSeries(Math.sqrt((1 + x) / 2));
  return Math.PI / 2 - arcSineSeries(x);
}

/** The angle of sine x, |x| <= 1/2, by its series (Abramowitz, Stegun, equation 4.4.40). */
function arcSineSeries(x: number): number {
  const z = x * x;
  let series = 0;
  // Term k is (2 k - 1)^2 / (2 k (2 k + 1)) z times the one before.
  for (let k = 24; k >= 1; k--) series = ((z * square(2 * k - 1)) / (2 * k * (2 * k + 1))) * (1 + series);
  return x + x * series;
}

/**
 * Hyperbolic tangent, below 1.1 ulp. Near 0 by Lambert's continued fraction x / (1 + x^2 / (3 + x^2 / (5 + ...)))
 * (Abramowitz, Stegun, equation 4.5.70), as x less a correction; else 1 - 2 / (e^2x + 1).
 */
export function tanh(x: number): number {
  const size = Math.abs(x);
  if (!(size < 0.8)) return size > 20 ? Math.sign(x) : Math.sign(x) * (1 - 2 / (exp(2 * size) + 1));
  const z = x * x;
  if (z === 0) return x;
  let fraction = 0;
  for (let k = 19; k >= 3; k -= 2) fraction = z / (k + fraction);
  return x - x * (fraction / (1 + fraction));
}

/** x^n of an integer n from 0 on, by squaring: a relative error below n / 2^53. */
export function power(x: number, n: number): number {
  let result = 1;
  for (let rest = n, base = x; rest > 0; rest = Math.floor(rest / 2), base *= base) {
    if (rest % 2 === 1) result *= base;
  }
  return result;
}

/**
 * x^y as IEEE 754 has it, a relative error below (|y ln x| + 2) / 2^52: of a negative x for whole y only, else NaN; 1 where
 * x is 1 or y is 0, whatever the other. `**` is each engine's own.
 */
export function pow(x: number, y: number): number {
  if (y === 0 || x === 1) return 1;
  const size = Math.abs(x),
    isWhole = Math.floor(y) === y;
  if (x < 0 && size < Infinity && !isWhole) return NaN;
  const value = size === 1 && isWhole ? 1 : exp(y * log(size));
  return Math.abs(y % 2) === 1 && (x < 0 || 1 / x < 0) ? -value : value;
}

/** To the nearest whole number, of two the even one. */
export function roundEven(x: number): number {
  const below = Math.floor(x),
    over = x - below;
  if (over < 0.5 || (over === 0.5 && below % 2 === 0)) return below || x * 0;
  // A negative number near 0 is -0, as for every instruction of the kind.
  return over > 0 ? below + 1 || -0 : x;
}
