/**
 * Smooth value noise on a small random lattice, and the few scalar helpers that every painter of the faces uses.
 */
import type { Stream } from 'espalier';

/** Random lattice of side x side values in [-1, 1]; `side` is a power of two, the pattern repeats after it. */
export interface Lattice {
  readonly side: number;
  readonly values: Float32Array;
}

export function drawLattice(random: Stream, side = 32): Lattice {
  const values = new Float32Array(side * side);
  for (let i = 0; i < values.length; i++) values[i] = 2 * random() - 1;
  return { side, values };
}

/** The lattice at a real position: bilinear between smoothed fractions, in [-1, 1]. About 8 ns. */
export function noiseAt({ side, values }: Lattice, x: number, y: number): number {
  const column = Math.floor(x),
    row = Math.floor(y);
  let s = x - column,
    t = y - row;
  s = s * s * (3 - 2 * s);
  t = t * t * (3 - 2 * t);
  const mask = side - 1;
  const left = column & mask,
    right = (column + 1) & mask;
  const top = (row & mask) * side,
    bottom = ((row + 1) & mask) * side;
  const upper = values[top + left] + s * (values[top + right] - values[top + left]);
  const lower = values[bottom + left] + s * (values[bottom + right] - values[bottom + left]);
  return upper + t * (lower - upper);
}

export function clamp(value: number, low: number, high: number): number {
  return value < low ? low : value > high ? high : value;
}

/** 0 below `from`, 1 above `to`, smooth between; `from` may be above `to` for a falling step. */
export function smoothStep(from: number, to: number, value: number): number {
  const t = clamp((value - from) / (to - from), 0, 1);
  return t * t * (3 - 2 * t);
}

export function mix(a: number, b: number, t: number): number {
  return a + (b - a) * t;
}

/**
 * `f` on [from, to] as a table of `steps` intervals, read linearly, constant outside: for curves that are asked for at
 * every vertex.
 */
export function tabulated(f: (x: number) => number, from: number, to: number, steps = 256): (x: number) => number {
  const scale = steps / (to - from);
  const table = Float64Array.from({ length: steps + 2 }, (_, i) => f(Math.min(to, from + i / scale)));
  return (x) => {
    const t = clamp((x - from) * scale, 0, steps);
    const i = Math.floor(t);
    return table[i] + (t - i) * (table[i + 1] - table[i]);
  };
}

/**
 * A function of one variable through points with ascending `xs`: cubic Hermite with finite-difference slopes, constant
 * outside.
 */
export function curveThrough(xs: readonly number[], ys: readonly number[]): (x: number) => number {
  const last = xs.length - 1;
  const slopes = xs.map((_, i) => {
    const before = Math.max(0, i - 1),
      after = Math.min(last, i + 1);
    return (ys[after] - ys[before]) / (xs[after] - xs[before]);
  });
  return (x) => {
    if (x <= xs[0]) return ys[0];
    if (x >= xs[last]) return ys[last];
    let i = 0;
    while (x > xs[i + 1]) i++;
    const width = xs[i + 1] - xs[i];
    const t = (x - xs[i]) / width;
    const a = 1 - t;
    return (
      a * a * ((1 + 2 * t) * ys[i] + t * width * slopes[i]) +
      t * t * ((1 + 2 * a) * ys[i + 1] - a * width * slopes[i + 1])
    );
  };
}
