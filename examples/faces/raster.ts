/**
 * A z-buffer for grids: fills, per pixel, what is nearest and what the painters need to colour it. Attributes are
 * interpolated affinely, which is exact enough for triangles of a few pixels.
 */
import type { Grid } from './mesh.ts';

/** Depth, index of the grid (255: nothing), place on its surface and light, each (side, side). */
export interface Frame {
  readonly side: number;
  readonly depth: Float32Array;
  readonly owner: Uint8Array;
  readonly u: Float32Array;
  readonly v: Float32Array;
  readonly shade: Float32Array;
  readonly gloss: Float32Array;
}

export const NOTHING = 255;

export function makeFrame(side: number): Frame {
  const size = side * side;
  return {
    side,
    depth: new Float32Array(size),
    owner: new Uint8Array(size),
    u: new Float32Array(size),
    v: new Float32Array(size),
    shade: new Float32Array(size),
    gloss: new Float32Array(size),
  };
}

/** The same buffers for a picture of a smaller side. */
export function narrowFrame(frame: Frame, side: number): Frame {
  const size = side * side;
  const first = <T extends Float32Array | Uint8Array>(plane: T): T => plane.subarray(0, size) as T;
  return {
    side,
    depth: first(frame.depth),
    owner: first(frame.owner),
    u: first(frame.u),
    v: first(frame.v),
    shade: first(frame.shade),
    gloss: first(frame.gloss),
  };
}

export function clearFrame(frame: Frame): void {
  frame.depth.fill(-1e9);
  frame.owner.fill(NOTHING);
}

/** From camera coordinates to pixels. */
export interface Projection {
  toX(x: number, z: number): number;
  toY(y: number, z: number): number;
}

/** Draws a grid as pairs of triangles. `visible` may cut away parts of the surface (hair beyond its edge). */
export function drawGrid(
  frame: Frame,
  grid: Grid,
  owner: number,
  projection: Projection,
  visible?: (u: number, v: number) => boolean,
): void {
  const { rows, columns, closed } = grid;
  const count = rows * columns;
  const sx = new Float32Array(count),
    sy = new Float32Array(count);
  for (let i = 0; i < count; i++) {
    sx[i] = projection.toX(grid.x[i], grid.z[i]);
    sy[i] = projection.toY(grid.y[i], grid.z[i]);
  }
  const last = closed ? columns : columns - 1;
  for (let r = 0; r + 1 < rows; r++) {
    for (let c = 0; c < last; c++) {
      const next = c + 1 === columns ? 0 : c + 1;
      const a = r * columns + c,
        b = r * columns + next,
        d = a + columns,
        e = b + columns;
      drawTriangle(frame, grid, owner, sx, sy, a, b, d, visible);
      drawTriangle(frame, grid, owner, sx, sy, b, e, d, visible);
    }
  }
}

function drawTriangle(
  frame: Frame,
  grid: Grid,
  owner: number,
  sx: Float32Array,
  sy: Float32Array,
  a: number,
  b: number,
  c: number,
  visible: ((u: number, v: number) => boolean) | undefined,
): void {
  const ax = sx[a],
    ay = sy[a],
    bx = sx[b],
    by = sy[b],
    cx = sx[c],
    cy = sy[c];
  const area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax);
  if (area <= 0) return; // turned away, or seen edge-on
  const { side } = frame;
  const left = Math.max(0, Math.ceil(Math.min(ax, bx, cx) - 0.5)),
    right = Math.min(side - 1, Math.floor(Math.max(ax, bx, cx) - 0.5));
  const top = Math.max(0, Math.ceil(Math.min(ay, by, cy) - 0.5)),
    bottom = Math.min(side - 1, Math.floor(Math.max(ay, by, cy) - 0.5));
  if (left > right || top > bottom) return;
  const inverse = 1 / area;
  // Barycentric weights of b and c are linear in the pixel: value at the first pixel, and steps along x and y.
  const bStepX = (cy - ay) * inverse,
    bStepY = -(cx - ax) * inverse;
  const cStepX = -(by - ay) * inverse,
    cStepY = (bx - ax) * inverse;
  const { depth: nearest, owner: owners, u: frameU, v: frameV, shade: frameShade, gloss: frameGloss } = frame;
  const { u, v, shade, gloss } = grid;
  const za = grid.z[a],
    zb = grid.z[b],
    zc = grid.z[c];
  const u0 = u[a];
  let u1 = u[b],
    u2 = u[c];
  // The angle jumps by a turn behind the head.
  if (u1 - u0 > 3) u1 -= 2 * Math.PI;
  else if (u0 - u1 > 3) u1 += 2 * Math.PI;
  if (u2 - u0 > 3) u2 -= 2 * Math.PI;
  else if (u0 - u2 > 3) u2 += 2 * Math.PI;
  for (let y = top; y <= bottom; y++) {
    const dx = left + 0.5 - ax,
      dy = y + 0.5 - ay;
    let beta = dx * bStepX + dy * bStepY,
      gamma = dx * cStepX + dy * cStepY;
    for (let x = left; x <= right; x++, beta += bStepX, gamma += cStepX) {
      const alpha = 1 - beta - gamma;
      if (alpha < 0 || beta < 0 || gamma < 0) continue;
      const pixel = y * side + x;
      const depth = alpha * za + beta * zb + gamma * zc;
      if (depth <= nearest[pixel]) continue;
      const pu = alpha * u0 + beta * u1 + gamma * u2,
        pv = alpha * v[a] + beta * v[b] + gamma * v[c];
      if (visible !== undefined && !visible(pu, pv)) continue;
      nearest[pixel] = depth;
      owners[pixel] = owner;
      frameU[pixel] = pu;
      frameV[pixel] = pv;
      frameShade[pixel] = alpha * shade[a] + beta * shade[b] + gamma * shade[c];
      frameGloss[pixel] = alpha * gloss[a] + beta * gloss[b] + gamma * gloss[c];
    }
  }
}

/**
 * Share of a parallel light that reaches a point: a depth map of `side` pixels over +-`reach` centimetres, read with
 * four taps. The vertices themselves are its samples, two pixels wide each: they lie closer than that, and no triangle
 * needs filling.
 */
export function shadowMap(
  grids: readonly { grid: Grid; visible?: (u: number, v: number) => boolean }[],
  direction: readonly [number, number, number],
  reach: number,
  side = 56,
): (x: number, y: number, z: number) => number {
  const [lx, ly, lz] = direction;
  // Two axes across the light: right = y axis x light, down = light x right.
  const across = Math.hypot(lz, lx) || 1;
  const rx = lz / across,
    rz = -lx / across;
  const dx = ly * rz,
    dy = lz * rx - lx * rz,
    dz = -ly * rx;
  const scale = side / (2 * reach);
  const right = (x: number, z: number): number => side / 2 + scale * (x * rx + z * rz);
  const down = (x: number, y: number, z: number): number => side / 2 + scale * (x * dx + y * dy + z * dz);
  const map = new Float32Array(side * side).fill(-1e9);
  for (const { grid, visible } of grids) {
    const { x, y, z, u, v } = grid;
    for (let i = 0; i < x.length; i++) {
      const column = Math.floor(right(x[i], z[i]) - 0.5),
        row = Math.floor(down(x[i], y[i], z[i]) - 0.5);
      if (column < 0 || row < 0 || column + 1 >= side || row + 1 >= side) continue;
      if (visible !== undefined && !visible(u[i], v[i])) continue;
      const depth = x[i] * lx + y[i] * ly + z[i] * lz;
      const at = row * side + column;
      if (map[at] < depth) map[at] = depth;
      if (map[at + 1] < depth) map[at + 1] = depth;
      if (map[at + side] < depth) map[at + side] = depth;
      if (map[at + side + 1] < depth) map[at + side + 1] = depth;
    }
  }
  return (x, y, z) => {
    const column = Math.floor(right(x, z) - 0.5),
      row = Math.floor(down(x, y, z) - 0.5);
    if (column < 0 || row < 0 || column + 1 >= side || row + 1 >= side) return 1;
    const depth = x * lx + y * ly + z * lz + 0.5;
    const at = row * side + column;
    let lit = 0;
    if (map[at] <= depth) lit += 0.25;
    if (map[at + 1] <= depth) lit += 0.25;
    if (map[at + side] <= depth) lit += 0.25;
    if (map[at + side + 1] <= depth) lit += 0.25;
    return lit;
  };
}
