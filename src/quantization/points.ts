/**
 * What k-means asks of its points before it starts: the power of two that keeps squares within float32, and which
 * points are distinct. Points are (n, d), row-major.
 */
import { exponentOf } from '../base/elementary.ts';
import { codeWidth } from '../encodings/bits.ts';

/** The largest absolute value; 0 of none. */
export function largestMagnitude(values: Float32Array): number {
  let largest = 0;
  // By index: 'for of' takes four times as long.
  for (let i = 0; i < values.length; i++) largest = Math.max(largest, Math.abs(values[i]));
  return largest;
}

/**
 * The power of two that takes values up to `largest` so high that no sum of d squared differences, each times a weight
 * of at most 1, overflows float32; so 1e30 does not overflow, 1e-30 does not vanish, and data times a power of two give
 * the same codes.
 */
export function distanceScale(largest: number, d: number): number {
  if (largest === 0) return 1;
  const target = Math.floor((122 - codeWidth(d)) / 2);
  return 2 ** (target - exponentOf(largest));
}

/** The power of two that takes `largest` to [1/2, 1). */
export function weightScale(largest: number): number {
  return 2 ** (-1 - exponentOf(largest));
}

export interface DistinctPoints {
  /** Number of the point's value, counted in the order of first appearance; -1 where the point has no weight. */
  readonly ids: Int32Array;
  /** First point of each value. */
  readonly first: readonly number[];
}

/** Tells points of different value apart (0 and -0 are one value); points of weight 0 do not count. Linear in n d. */
export function distinctPoints(
  points: Float32Array,
  n: number,
  d: number,
  weights: Float32Array | undefined,
): DistinctPoints {
  const bits = bitsOf(points);
  const mask = 2 ** codeWidth(2 * n + 1) - 1;
  const slots = new Int32Array(mask + 1).fill(-1);
  const ids = new Int32Array(n).fill(-1);
  const first: number[] = [];
  for (let i = 0; i < n; i++) {
    if (weights?.[i] === 0) continue;
    let hash = 0;
    for (let j = 0; j < d; j++) {
      hash = Math.imul(hash ^ bits[i * d + j], 0x9e3779b1);
      hash ^= hash >>> 15;
    }
    let slot = hash & mask;
    while (slots[slot] >= 0 && !equalRows(bits, first[slots[slot]], i, d)) slot = (slot + 1) & mask;
    if (slots[slot] < 0) {
      slots[slot] = first.length;
      first.push(i);
    }
    ids[i] = slots[slot];
  }
  return { ids, first };
}

/** Bits of values of which none is -0: its own, or of a copy. */
function bitsOf(points: Float32Array): Int32Array {
  const bits = new Int32Array(points.buffer, points.byteOffset, points.length);
  // -0 has the sign's bit alone, as the least whole number has.
  return bits.includes(-(2 ** 31)) ? bits.map((word) => (word === -(2 ** 31) ? 0 : word)) : bits;
}

function equalRows(bits: Int32Array, a: number, b: number, d: number): boolean {
  for (let j = 0; j < d; j++) if (bits[a * d + j] !== bits[b * d + j]) return false;
  return true;
}
