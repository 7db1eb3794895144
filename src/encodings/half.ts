/**
 * Half-precision floats (IEEE 754 binary16) in 16 bits: sign 1, exponent 5, fraction 10. JavaScript engines of 2024
 * lack a Float16Array. Rounding is to nearest, ties to even, straight from the number given: never by way of a float32.
 */

/** Least half that has all eleven bits of its precision. */
const LEAST_WHOLE = 2 ** -14;
/** Least magnitude that becomes infinite. */
const TOO_LARGE = 65520;

/** Largest finite half. */
export const LARGEST_HALF = 65504;

/** Number of a half given as its 16 bits. */
export function halfToNumber(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  return sign * (1024 + fraction) * 2 ** (exponent - 25);
}

/** Nearest half of a number, as its 16 bits: ties to even, ±Infinity from 65520 on, NaN as 0x7e00. */
export function numberToHalf(value: number): number {
  if (Number.isNaN(value)) return 0x7e00;
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  const magnitude = Math.abs(value);
  if (magnitude >= TOO_LARGE) return sign | 0x7c00;
  // Spacing of the halves around the magnitude: 2^-24 up to 2^-14, then 2^-10 of the power of two below.
  let exponent = -14;
  while (magnitude >= 2 ** (exponent + 1)) exponent++;
  const steps = magnitude * 2 ** (10 - exponent);
  const whole = Math.floor(steps);
  const rest = steps - whole;
  const rounded = whole + (rest > 0.5 || (rest === 0.5 && whole % 2 === 1) ? 1 : 0);
  // A fraction that rounds up to 2^10 or 2^11 carries into the exponent, which is what the addition does.
  return sign | (((exponent + 14) << 10) + rounded);
}

/**
 * The exponent e with which values are stored best as halves times 2^e: 0 where each keeps its eleven bits that way,
 * else the one that puts the largest just below 2^15. Then all within 2^29 of the largest keep theirs.
 */
export function halfExponent(values: Float32Array): number {
  let largest = 0;
  let least = Infinity;
  for (const value of values) {
    const magnitude = Math.abs(value);
    largest = Math.max(largest, magnitude);
    if (magnitude > 0) least = Math.min(least, magnitude);
  }
  if (largest === 0 || (least >= LEAST_WHOLE && largest < TOO_LARGE)) return 0;
  let exponent = -164;
  while (exponent < 113 && largest >= 2 ** (exponent + 15)) exponent++;
  return exponent;
}

/** Bytes of values that are halves times 2^exponent. */
export function halfBytes(values: Float32Array, exponent = 0): Uint8Array {
  return new Uint8Array(Uint16Array.from(values, (value) => numberToHalf(value * 2 ** -exponent)).buffer);
}

/** The values, each rounded to the nearest half times 2^exponent. */
export function roundToHalves(values: Float32Array, exponent = 0): Float32Array {
  return values.map((value) => halfToNumber(numberToHalf(value * 2 ** -exponent)) * 2 ** exponent);
}

/** Whether every value is a half times 2^exponent already, so that storing it as one loses nothing. */
export function areHalves(values: Float32Array, exponent = 0): boolean {
  return values.every((value) => Object.is(halfToNumber(numberToHalf(value * 2 ** -exponent)) * 2 ** exponent, value));
}
