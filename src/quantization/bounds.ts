/**
 * What lets an assignment leave out distances to codewords that are too far: groups of codewords that lie near each
 * other, and how far each group has moved since the run began. The kernel `nearestCodewordAgain` says how it is used
 * and why nothing changes by it. Glossary: n points, d coordinates, K codewords, G groups.
 */
import { square } from '../base/elementary.ts';

/** Codewords of one tile of the kernel. */
const TILE = 8;
/**
 * Of codewords x (coordinates + 6): below it all distances are sooner measured. 131072 normal points, 26 assignments,
 * with bounds and without: K = 32, d = 8 (448) 94 and 84 ms, K = 24, d = 16 (528) 123 and 113, K = 48, d = 8 (672) 110
 * and 173.
 */
const LEAST_WORK = 550;
/** Two groups are too few to leave one out. */
const LEAST_CODEWORDS = 2 * TILE + 1;
/**
 * More groups than this ask for more bounds to be read than they save: K = 1024, d = 8 takes 28 ms an iteration with 64
 * groups, 33 with 128 and 33 with 32.
 */
const MOST_GROUPS = 64;
/** Words of bounds, one a point and group: 64 MB. Where they would be more, groups are larger. */
const MOST_WORDS = 2 ** 24;
/** The kernel's error bound is a first-order one. */
const MOST_COORDINATES = 2 ** 12;

export interface BoundsShape {
  /** Tiles of a group. */
  readonly tiles: number;
  /** G */
  readonly groups: number;
  /** G rounded up to a multiple of 4: bounds of a point. */
  readonly width: number;
  /** Words of the table that the kernel reads: order, places, moved. */
  readonly words: number;
}

/** The groups for n points and K codewords, or undefined where bounds would not pay. */
export function boundsShape(n: number, d: number, K: number): BoundsShape | undefined {
  const all = Math.ceil(K / TILE);
  if (K < LEAST_CODEWORDS || K * (d + 6) < LEAST_WORK || d > MOST_COORDINATES) return undefined;
  for (let tiles = 1; tiles * 2 <= all; tiles *= 2) {
    const groups = Math.ceil(all / tiles);
    const width = Math.ceil(groups / 4) * 4;
    if (groups <= MOST_GROUPS && n * width <= MOST_WORDS)
      return { tiles, groups, width, words: all * TILE + K + width };
  }
  return undefined;
}

/** The table on the heap, from a word on. */
export interface Bounds {
  /** Groups codewords anew; nothing has moved yet. */
  start(codewords: Float32Array): void;
  /** Adds what the codewords moved by since the last call. `weights` are those of the coordinates in the distance. */
  move(codewords: Float32Array, weights: Float32Array | undefined): void;
}

/** `codewords` of the calls are those that the kernel sees, scaled, (K, d). */
export function createBounds(
  int: Int32Array,
  float: Float32Array,
  { tiles, groups, width }: BoundsShape,
  d: number,
  K: number,
): Bounds {
  const places = Math.ceil(K / TILE) * TILE;
  const moved = float.subarray(places + K, places + K + width);
  const last = new Float32Array(K * d);
  const farthest = new Float64Array(groups);
  return {
    start(codewords) {
      const order = tileOrder(codewords, d, K);
      int.set(order, 0);
      order.forEach((codeword, i) => {
        int[places + codeword] = Math.floor(i / TILE / tiles);
      });
      moved.fill(0, 0, groups).fill(-Infinity, groups);
      last.set(codewords);
    },
    move(codewords, weights) {
      farthest.fill(0);
      for (let c = 0; c < K; c++) {
        let sum = 0;
        for (let j = 0; j < d; j++) sum += (weights ? weights[j] : 1) * square(codewords[c * d + j] - last[c * d + j]);
        const group = int[places + c];
        farthest[group] = Math.max(farthest[group], sum);
      }
      // Rounded up, both the root, whose error in double is far below 2^-40, and the sum, by more than float32's last
      // place.
      for (let g = 0; g < groups; g++) moved[g] = (moved[g] + Math.sqrt(farthest[g]) * (1 + 2 ** -40)) * (1 + 2 ** -22);
      last.set(codewords);
    },
  };
}

/**
 * Numbers of the codewords, tile by tile and ascending in each. Codewords that share a tile lie near each other: all
 * are halved at the median of the coordinate that varies most, and each half again, until a tile is left (Bentley 1975,
 * k-d tree).
 */
function tileOrder(codewords: Float32Array, d: number, K: number): Int32Array {
  const order = Int32Array.from({ length: K }, (_, c) => c);
  const halve = (from: number, to: number): void => {
    const part = order.subarray(from, to);
    if (part.length <= TILE) {
      part.sort();
      return;
    }
    const j = widestCoordinate(codewords, d, part);
    const middle = from + TILE * Math.ceil(part.length / TILE / 2);
    part.sort((a, b) => codewords[a * d + j] - codewords[b * d + j] || a - b);
    halve(from, middle);
    halve(middle, to);
  };
  halve(0, K);
  return order;
}

function widestCoordinate(codewords: Float32Array, d: number, part: Int32Array): number {
  let widest = 0;
  let most = 0;
  for (let j = 0; j < d; j++) {
    let mean = 0;
    let variance = 0;
    for (const c of part) mean += codewords[c * d + j] / part.length;
    for (const c of part) variance += square(codewords[c * d + j] - mean);
    if (variance > most) [widest, most] = [j, variance];
  }
  return widest;
}
