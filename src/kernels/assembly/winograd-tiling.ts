/**
 * Tiles of 4 x 4 positions and the patches of 6 x 6 words beneath them: where they are, how they are staged, and their
 * transform. Shared by the forward pass (winograd.ts) and the gradient to the weights (winograd-weights.ts).
 * AssemblyScript. Glossary: q tile counted over the samples of a call; a strip: neighbouring tiles of one row of tiles
 * of one sample; f = 6 y + x one of 36 frequencies.
 */
import { Plan, clear, stageRow } from './convolution-plan';
import { patchRow, transformPatch } from './winograd-transforms';
import { at } from './words';

export const FREQUENCIES: i32 = 36;
/** Most words that {@link apart} adds. */
export const GAP: i32 = 32;

/**
 * Bytes from frequency to frequency for `words` words: an odd number of cache lines, so that no two of the 36 fall into
 * one set of the cache.
 */
// @ts-ignore: decorator
@inline
export function apart(words: i32): usize {
  return (((at(words) + 63) >> 6) | 1) << 6;
}

/** `run` tiles of one sample: row and column of the first, counted in tiles. */
@unmanaged
class Strip {
  sample: i32;
  row: i32;
  column: i32;
  run: i32;
}
const STRIP_WORDS: i32 = 4;

/** Where a tile is staged, where its outputs go in a plane, its first row and column, and how much of it is wanted. */
@unmanaged
export class Tile {
  staged: usize;
  out: usize;
  y: i32;
  x: i32;
  wanted: i32;
}
export const TILE_WORDS: i32 = 5;
/** Nothing (a lane to spare); some outputs, since the tile crosses an end of the plane or of the piece; all. */
export const NONE: i32 = 0;
const SOME: i32 = 1;
export const ALL: i32 = 2;

/** Tiles that are taken together, and the rows that they are staged from. */
@unmanaged
export class Tiling {
  tiles: usize;
  strips: usize;
  stage: usize;
  /** A transform halfway: [6][6][4]. */
  half: usize;
  /** Bytes from staged row to staged row, and from strip to strip; strips in use. */
  stride: usize;
  stripBytes: usize;
  count: i32;
  /** Tiles in a row of tiles; first row of tiles; tiles of a sample; the positions of the piece. */
  across: i32;
  firstRow: i32;
  ofSample: i32;
  position: i32;
  end: i32;
}
const TILING_WORDS: i32 = 16;

/**
 * Lays a tiling of positions [position, end) out at `here`, for `together` tiles at most. tilingWords of sizes.ts
 * counts the same words.
 */
export function layOutTiling(here: usize, plan: Plan, together: i32, position: i32, end: i32): Tiling {
  const tiling = changetype<Tiling>(here);
  const across = (plan.gridWidth + 3) >> 2,
    stride = 4 * min(across, together) + 4;
  here += at(TILING_WORDS);
  tiling.half = here;
  here += at(FREQUENCIES * 4);
  tiling.tiles = here;
  here += at(TILE_WORDS * together);
  tiling.strips = here;
  here += at(STRIP_WORDS * stripsOf(together, across));
  tiling.stage = here;
  tiling.stride = at(stride);
  tiling.stripBytes = at(6 * stride);
  tiling.across = across;
  tiling.firstRow = (position / plan.gridWidth) >> 2;
  tiling.ofSample = ((((end - 1) / plan.gridWidth) >> 2) - tiling.firstRow + 1) * across;
  tiling.position = position;
  tiling.end = end;
  return tiling;
}

/** The address behind a tiling. */
export function afterTiling(tiling: Tiling, together: i32): usize {
  return tiling.stage + <usize>(stripsOf(together, tiling.across) + 1) * tiling.stripBytes;
}

/** Most strips that `together` tiles lie in. */
// @ts-ignore: decorator
@inline
function stripsOf(together: i32, across: i32): i32 {
  return (together + across - 2) / across + 1;
}

/**
 * Tiles [first, first + count), rounded up to fours, or to 16 from 13 on; the spare ones lie on a strip of zeros behind
 * the others.
 */
export function describeTiles(plan: Plan, tiling: Tiling, first: i32, count: i32): void {
  let strips = tiling.strips,
    staged: usize = 0,
    entry = tiling.tiles;
  tiling.count = 0;
  for (let q = first; q < first + count;) {
    const strip = changetype<Strip>(strips),
      sample = q / tiling.ofSample,
      inSample = q % tiling.ofSample;
    strip.sample = sample;
    strip.row = tiling.firstRow + inSample / tiling.across;
    strip.column = inSample % tiling.across;
    strip.run = min(tiling.across - strip.column, first + count - q);
    const y = 4 * strip.row;
    for (let i = 0; i < strip.run; i++) {
      const here = changetype<Tile>(entry),
        x = 4 * (strip.column + i),
        start = y * plan.gridWidth + x;
      here.staged = staged + at(4 * i);
      here.out = <usize>sample * plan.outSample + at(start);
      here.y = y;
      here.x = x;
      here.wanted =
        y + 4 <= plan.gridHeight &&
        x + 4 <= plan.gridWidth &&
        start >= tiling.position &&
        start + 3 * plan.gridWidth + 4 <= tiling.end
          ? ALL
          : SOME;
      entry += at(TILE_WORDS);
    }
    staged += tiling.stripBytes;
    strips += at(STRIP_WORDS);
    tiling.count++;
    q += strip.run;
  }
  clear(tiling.stage + staged, tiling.stage + staged + tiling.stripBytes);
  for (let spare = count; (spare & 3) != 0 || (spare & 15) > 12; spare++) {
    const here = changetype<Tile>(entry);
    here.staged = staged;
    here.wanted = NONE;
    entry += at(TILE_WORDS);
  }
}

/**
 * The strips of one channel, `rows` rows each, that begin at (top, left) from their tiles' corners and are `beyond`
 * words wider than these; zeros where they lie outside of the source, whose planes are height x width, `sample` bytes
 * from sample to sample.
 */
export function stageStrips(
  tiling: Tiling,
  source: usize,
  sample: usize,
  height: i32,
  width: i32,
  top: i32,
  left: i32,
  rows: i32,
  beyond: i32,
): void {
  let strips = tiling.strips,
    staged = tiling.stage;
  for (let s = 0; s < tiling.count; s++) {
    const strip = changetype<Strip>(strips),
      first = 4 * strip.row + top,
      words = 4 * strip.run + beyond;
    let from = source + <usize>strip.sample * sample + <usize>first * at(width),
      to = staged;
    for (let row = first; row < first + rows; row++) {
      if (row >= 0 && row < height) stageRow(from, width, 4 * strip.column + left, 1, to, words);
      else clear(to, to + at(words));
      from += at(width);
      to += tiling.stride;
    }
    strips += at(STRIP_WORDS);
    staged += tiling.stripBytes;
  }
}

/** V[f] = B^T d B of the four tiles from `entry` on, to `to`, `frequency` bytes from f to f. */
export function transformPatches(tiling: Tiling, entry: usize, to: usize, frequency: usize): void {
  const stage = tiling.stage,
    stride = tiling.stride,
    half = tiling.half;
  let row0 = stage + changetype<Tile>(entry).staged,
    row1 = stage + changetype<Tile>(entry + at(TILE_WORDS)).staged;
  let row2 = stage + changetype<Tile>(entry + at(2 * TILE_WORDS)).staged,
    row3 = stage + changetype<Tile>(entry + at(3 * TILE_WORDS)).staged;
  for (let here = half; here < half + at(FREQUENCIES * 4); here += 96) {
    patchRow(row0, row1, row2, row3, here);
    row0 += stride;
    row1 += stride;
    row2 += stride;
    row3 += stride;
  }
  for (let here = half; here < half + 96; here += 16) {
    transformPatch(
      v128.load(here),
      v128.load(here, 96),
      v128.load(here, 192),
      v128.load(here, 288),
      v128.load(here, 384),
      v128.load(here, 480),
      to,
      6 * frequency,
    );
    to += frequency;
  }
}
