/**
 * The gradient to the weights of a 3 x 3 convolution of stride 1, through Winograd's transforms: the adjoint of
 * winograd.ts with respect to the filters, dw = G^T [sum over tiles of (A dy A^T) * (B^T x B)] G. Per frequency it is a
 * product of rows by channels, summed over the tiles, with a quarter of the multiplications of the direct sum.
 * AssemblyScript.
 *
 * Tiles are summed in chunks; per chunk the patches of all channels are transformed once, then meet the gradients of a
 * block of rows, and what the block gives is transformed back and added to dw while it is in the cache. A quad: four
 * tiles, the lanes of a vector. Glossary: V = B^T x B [36][channels / 4][quads][4][4], W = A dy A^T [36][rows /
 * 2][quads][2][4], Z = sums [36][rows][channels].
 */
import { WINOGRAD_CHUNK_TILES, WINOGRAD_CHUNK_WORDS, WINOGRAD_GRADIENT_ROWS } from './blocking';
import { Plan } from './convolution-plan';
import { dotTile } from './tile';
import {
  FREQUENCIES,
  GAP,
  TILE_WORDS,
  Tile,
  Tiling,
  afterTiling,
  apart,
  describeTiles,
  layOutTiling,
  stageStrips,
  transformPatches,
} from './winograd-tiling';
import { transformGradient, transformSum } from './winograd-transforms';
import { transpose } from './vector';
import { at } from './words';

const TAPS: i32 = 9;

/** Working space. training-sizes.ts counts the same words. */
@unmanaged
class Space {
  patches: usize;
  gradients: usize;
  sums: usize;
  /** Lanes of a tile of sums; nine taps of four channels. */
  lanes: usize;
  taps: usize;
  /** Quads of the chunk, channels in whole fours; bytes from frequency to frequency of V, W and Z. */
  quads: i32;
  padded: i32;
  ofPatches: usize;
  ofGradients: usize;
  ofSums: usize;
}
const SPACE_WORDS: i32 = 16;

/** dw of all groups (+)= the sums over `samples` samples; source, gradient, dw: of the first group and sample. */
export function winogradWeights(
  scratch: usize,
  plan: Plan,
  groups: i32,
  source: usize,
  gradient: usize,
  dw: usize,
  samples: i32,
  add: bool,
): void {
  const together = max(32, min(WINOGRAD_CHUNK_TILES, (WINOGRAD_CHUNK_WORDS / plan.channels) & ~15)),
    space = changetype<Space>(scratch);
  space.lanes = scratch + at(SPACE_WORDS);
  space.taps = space.lanes + at(32);
  const tiling = layOutTiling(space.taps + at(4 * TAPS), plan, together, 0, plan.gridHeight * plan.gridWidth);
  space.padded = (plan.channels + 3) & ~3;
  space.patches = afterTiling(tiling, together);
  space.gradients = space.patches + at(FREQUENCIES * (space.padded * together + GAP));
  space.sums = space.gradients + at(FREQUENCIES * (WINOGRAD_GRADIENT_ROWS * together + GAP));
  space.ofSums = apart(WINOGRAD_GRADIENT_ROWS * space.padded);
  const total = samples * tiling.ofSample;
  for (let first = 0; first < total; first += together) {
    const count = min(together, total - first);
    describeTiles(plan, tiling, first, count);
    space.quads = (count + 3) >> 2;
    space.ofPatches = apart(4 * space.quads * space.padded);
    space.ofGradients = apart(4 * space.quads * WINOGRAD_GRADIENT_ROWS);
    for (let group = 0; group < groups; group++) {
      sumGroup(
        plan,
        tiling,
        space,
        source + <usize>group * at(plan.channels * plan.sourceHeight * plan.sourceWidth),
        gradient + <usize>group * at(plan.rows * plan.outPlane),
        dw + <usize>group * at(plan.rows * plan.channels * TAPS),
        add || first > 0,
      );
    }
  }
}

/** One chunk of one group. */
function sumGroup(
  plan: Plan,
  tiling: Tiling,
  space: Space,
  source: usize,
  gradient: usize,
  dw: usize,
  add: bool,
): void {
  for (let c = 0; c < plan.channels; c++) {
    stageStrips(
      tiling,
      source,
      plan.sourceSample,
      plan.sourceHeight,
      plan.sourceWidth,
      plan.firstRow,
      plan.firstColumn,
      6,
      2,
    );
    source += at(plan.sourceHeight * plan.sourceWidth);
    let to = space.patches + at((c >> 2) * space.quads * 16 + (c & 3) * 4),
      entry = tiling.tiles;
    for (let quad = 0; quad < space.quads; quad++) {
      transformPatches(tiling, entry, to, space.ofPatches);
      entry += at(4 * TILE_WORDS);
      to += 64;
    }
  }
  for (let row = 0; row < plan.rows; row += WINOGRAD_GRADIENT_ROWS) {
    const rows = min(WINOGRAD_GRADIENT_ROWS, plan.rows - row);
    for (let r = 0; r < rows; r++) {
      stageStrips(tiling, gradient, plan.outSample, plan.gridHeight, plan.gridWidth, 0, 0, 4, 0);
      gradient += at(plan.outPlane);
      transformGradients(tiling, space, space.gradients + at((r >> 1) * space.quads * 8 + (r & 1) * 4));
    }
    multiply(space, rows);
    for (let r = 0; r < rows; r++) {
      transformSums(plan, tiling.half, space, space.sums + at(r * space.padded), dw, add);
      dw += at(plan.channels * TAPS);
    }
  }
}

/** W of one staged row. */
function transformGradients(tiling: Tiling, space: Space, to: usize): void {
  const half = tiling.half,
    stride = tiling.stride,
    frequency = space.ofGradients;
  let entry = tiling.tiles;
  for (let quad = 0; quad < space.quads; quad++) {
    let row0 = tiling.stage + changetype<Tile>(entry).staged,
      row1 = tiling.stage + changetype<Tile>(entry + at(TILE_WORDS)).staged;
    let row2 = tiling.stage + changetype<Tile>(entry + at(2 * TILE_WORDS)).staged,
      row3 = tiling.stage + changetype<Tile>(entry + at(3 * TILE_WORDS)).staged;
    entry += at(4 * TILE_WORDS);
    for (let here = half; here < half + 384; here += 96) {
      transpose(
        v128.load(row0),
        v128.load(row1),
        v128.load(row2),
        v128.load(row3),
        here,
        here + 16,
        here + 32,
        here + 48,
      );
      transformGradient(v128.load(here), v128.load(here, 16), v128.load(here, 32), v128.load(here, 48), here, 16);
      row0 += stride;
      row1 += stride;
      row2 += stride;
      row3 += stride;
    }
    let column = to;
    for (let here = half; here < half + 96; here += 16) {
      transformGradient(
        v128.load(here),
        v128.load(here, 96),
        v128.load(here, 192),
        v128.load(here, 288),
        column,
        6 * frequency,
      );
      column += frequency;
    }
    to += 32;
  }
}

/**
 * Z[f][r][c] = sum over the chunk's tiles of W[f][r] V[f][c]. A row that is missing from the last pair gives sums that
 * go nowhere.
 */
function multiply(space: Space, rows: i32): void {
  const rowBytes = at(space.padded),
    pairBytes = at(8 * space.quads),
    fourBytes = at(16 * space.quads);
  let patches = space.patches,
    gradients = space.gradients,
    sums = space.sums;
  for (let f = 0; f < FREQUENCIES; f++) {
    let b = patches;
    for (let to = sums, end = sums + rowBytes; to < end; to += 16) {
      let a = gradients,
        c = to;
      for (let r = 0; r < rows; r += 2) {
        dotTile(space.quads, a, b, space.lanes, c, c + rowBytes, false);
        a += pairBytes;
        c += 2 * rowBytes;
      }
      b += fourBytes;
    }
    patches += space.ofPatches;
    gradients += space.ofGradients;
    sums += space.ofSums;
  }
}

/** dw[c][tap] of one row (+)= G^T Z G. */
function transformSums(plan: Plan, half: usize, space: Space, from: usize, dw: usize, add: bool): void {
  const frequency = space.ofSums,
    taps = space.taps;
  for (let c = 0; c < plan.channels; c += 4) {
    let column = half;
    for (let x = from; x < from + 6 * frequency; x += frequency) {
      transformSum(
        v128.load(x),
        v128.load(x + 6 * frequency),
        v128.load(x + 12 * frequency),
        v128.load(x + 18 * frequency),
        v128.load(x + 24 * frequency),
        v128.load(x + 30 * frequency),
        column,
        96,
      );
      column += 16;
    }
    let to = taps;
    for (let here = half; here < half + 288; here += 96) {
      transformSum(
        v128.load(here),
        v128.load(here, 16),
        v128.load(here, 32),
        v128.load(here, 48),
        v128.load(here, 64),
        v128.load(here, 80),
        to,
        16,
      );
      to += 48;
    }
    for (let lane: usize = 0, end = at(min(4, plan.channels - c)); lane < end; lane += 4) {
      for (let tap = taps + lane, last = tap + 16 * TAPS; tap < last; tap += 16) {
        const sum = load<f32>(tap);
        store<f32>(dw, add ? load<f32>(dw) + sum : sum);
        dw += 4;
      }
    }
    from += 16;
  }
}
