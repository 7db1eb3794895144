/**
 * What is behind a face: an uneven wall, and before it a few of the things that rooms, streets and studios show as
 * bright and dark shapes: panels, stripes, discs, lettering, foliage.
 */
import { below, uniform } from 'espalier';
import type { Stream } from 'espalier';
import { drawLattice, noiseAt, smoothStep } from './noise.ts';

/**
 * Fills `picture` (side, side) with linear light; `side` is even. Painted at half the resolution: what is behind is out
 * of focus.
 */
export function paintBackground(random: Stream, picture: Float32Array, side: number): void {
  const half = side / 2;
  const wall = new Float32Array(half * half);
  paintWall(random, wall, half);
  const shapes = random() < 0.25 ? 0 : 1 + below(random, 7);
  for (let k = 0; k < shapes; k++) paintShape(random, wall, half);
  for (let y = 0; y < side; y++) {
    for (let x = 0; x < side; x++) picture[y * side + x] = wall[(y >> 1) * half + (x >> 1)];
  }
}

function paintWall(random: Stream, picture: Float32Array, side: number): void {
  const lattice = drawLattice(random, 16);
  const base = Math.pow(random(), 2) * 0.85 + 0.01;
  const slopeX = uniform(random, -0.5, 0.5),
    slopeY = uniform(random, -0.5, 0.5);
  const rough = uniform(random, 0, 0.5),
    scale = uniform(random, 2, 9);
  const leaves = random() < 0.2 ? uniform(random, 0.2, 0.8) : 0;
  for (let y = 0; y < side; y++) {
    for (let x = 0; x < side; x++) {
      const px = x / side,
        py = y / side;
      let tone = 1 + slopeX * (px - 0.5) + slopeY * (py - 0.5) + rough * noiseAt(lattice, px * scale, py * scale);
      if (leaves > 0) tone += leaves * noiseAt(lattice, px * 14, py * 14);
      picture[y * side + x] = Math.max(0.005, base * tone);
    }
  }
}

function paintShape(random: Stream, picture: Float32Array, side: number): void {
  const tone = Math.pow(random(), 1.4) * 0.9 + 0.01;
  const cover = uniform(random, 0.4, 1),
    blur = uniform(random, 0.004, 0.06);
  const cx = uniform(random, -0.1, 1.1),
    cy = uniform(random, -0.1, 1.1);
  const halfX = uniform(random, 0.03, 0.4),
    halfY = random() < 0.3 ? 2 : uniform(random, 0.03, 0.5);
  const turn = random() < 0.6 ? 0 : uniform(random, -0.6, 0.6);
  const round = random() < 0.25;
  const stripes = random() < 0.25 ? uniform(random, 12, 70) : 0;
  const sine = Math.sin(turn),
    cosine = Math.cos(turn);
  const reach = Math.hypot(halfX, Math.min(halfY, 2)) + blur;
  const x0 = Math.max(0, Math.floor((cx - reach) * side)),
    x1 = Math.min(side, Math.ceil((cx + reach) * side));
  const y0 = Math.max(0, Math.floor((cy - reach) * side)),
    y1 = Math.min(side, Math.ceil((cy + reach) * side));
  for (let y = y0; y < y1; y++) {
    for (let x = x0; x < x1; x++) {
      const dx = x / side - cx,
        dy = y / side - cy;
      const a = Math.abs(cosine * dx + sine * dy) / halfX,
        b = Math.abs(cosine * dy - sine * dx) / halfY;
      const d = round ? Math.hypot(a, b) : Math.max(a, b);
      const edge = blur / halfX;
      if (d > 1 + edge) continue;
      let share = cover * smoothStep(1 + edge, 1 - edge, d);
      if (stripes > 0) share *= 0.5 + 0.5 * Math.sin(stripes * (cosine * dx + sine * dy));
      const i = y * side + x;
      picture[i] += share * (tone - picture[i]);
    }
  }
}
