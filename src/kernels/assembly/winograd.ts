/**
 * Convolution 3 x 3 of stride 1 by Winograd's minimal filtering (winograd-transforms.ts): tiles of 4 x 4 outputs, the
 * input's patches transformed as they are gathered, 36 small matrix products, and the transform back with bias and
 * activation on the way out. AssemblyScript.
 *
 * Every output depends on its own tile alone, tiles begin at the output's corner, and the products are the chains of
 * tile.ts: so the bits do not depend on how samples and positions are cut. Tiles are taken in panels of 16, the rest in
 * panels of 8 and 4. Packed weights: per block of rows [36][block of k][rows / 8][k][8], missing rows zero. Glossary: c
 * channel of the input, r row: channel of the output, q tile counted over the samples of a call, f = 6 y + x one of 36
 * frequencies.
 */
import { activate } from './activation';
import { WINOGRAD_ROWS, WINOGRAD_TILES, WINOGRAD_WORDS } from './blocking';
import { Plan } from './convolution-plan';
import { Work } from './convolution-work';
import {
  ALL,
  FREQUENCIES,
  GAP,
  NONE,
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
import { transformFilter, transformProduct } from './winograd-transforms';
import { narrowTile, slimTile, wideTile } from './winograd-tiles';
import { blockLength } from './tile';
import { transpose } from './vector';
import { at } from './words';

/** Rows that are packed side by side. */
const EIGHT: i32 = 8;

/** Working space. sizes.ts counts the same words. */
@unmanaged
class Space {
  /** Outputs of four tiles that are not whole. */
  edge: usize;
  /** V: per panel [36][channels][width], and some words between frequencies. */
  patches: usize;
  /** M: [rows of a block][36][width]. */
  products: usize;
}
const SPACE_WORDS: i32 = 4;

/** Tiles that are transformed together. */
// @ts-ignore: decorator
@inline
function tilesTogether(channels: i32): i32 {
  return max(16, min(WINOGRAD_TILES, (WINOGRAD_WORDS / channels) & ~15));
}

/** Rows as they are packed. */
// @ts-ignore: decorator
@inline
function inEights(rows: i32): i32 {
  return (rows + 7) & ~7;
}

/** Width of the panel that takes the next of `left` tiles. */
// @ts-ignore: decorator
@inline
function panelWidth(left: i32): i32 {
  return left > 12 ? 16 : left > 4 ? 8 : 4;
}

/** The work of `product` of convolution-product.ts for all groups. source, packed, bias, out: of the first. */
export function winograd(
  work: Work,
  groups: i32,
  source: usize,
  packed: usize,
  bias: usize,
  out: usize,
  samples: i32,
  position: i32,
  positions: i32,
): void {
  const plan = changetype<Plan>(work.plan);
  for (let group = 0; group < groups; group++) {
    ofGroup(work, source, packed, bias, out, samples, position, positions);
    source += at(plan.channels * plan.sourceHeight * plan.sourceWidth);
    packed += at(FREQUENCIES * inEights(plan.rows) * plan.channels);
    if (bias) bias += at(plan.rows);
    out += at(plan.rows * plan.outPlane);
  }
}

function ofGroup(
  work: Work,
  source: usize,
  packed: usize,
  bias: usize,
  out: usize,
  samples: i32,
  position: i32,
  positions: i32,
): void {
  const plan = changetype<Plan>(work.plan);
  if (samples <= 0 || positions <= 0) return;
  const together = tilesTogether(plan.channels),
    space = changetype<Space>(work.stage);
  space.edge = work.stage + at(SPACE_WORDS);
  const tiling = layOutTiling(space.edge + at(64), plan, together, position, position + positions);
  space.patches = afterTiling(tiling, together);
  space.products = space.patches + at(FREQUENCIES * (plan.channels * together + GAP * (together / 16 + 1)));
  const total = samples * tiling.ofSample;
  for (let first = 0; first < total; first += together) {
    const count = min(together, total - first);
    describeTiles(plan, tiling, first, count);
    transformSource(plan, tiling, space.patches, source, count);
    for (let row = 0; row < plan.rows; row += WINOGRAD_ROWS) {
      const rows = min(WINOGRAD_ROWS, plan.rows - row);
      let lanes = tiling.tiles,
        patches = space.patches;
      for (let left = count; left > 0;) {
        const width = panelWidth(left);
        multiply(plan, space, packed + at(FREQUENCIES * row * plan.channels), patches, rows, width);
        transformProducts(
          work,
          plan,
          tiling,
          space,
          lanes,
          bias ? bias + at(row) : 0,
          out + at(row * plan.outPlane),
          rows,
          width,
        );
        lanes += at(TILE_WORDS * width);
        patches += panelBytes(plan, width);
        left -= width;
      }
    }
  }
}

// @ts-ignore: decorator
@inline
function frequencyBytes(plan: Plan, width: i32): usize {
  return apart(plan.channels * width);
}

// @ts-ignore: decorator
@inline
function panelBytes(plan: Plan, width: i32): usize {
  return <usize>FREQUENCIES * frequencyBytes(plan, width);
}

/** V of every channel and tile. */
function transformSource(plan: Plan, tiling: Tiling, patches: usize, source: usize, count: i32): void {
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
    let entry = tiling.tiles,
      panel = patches;
    for (let left = count; left > 0;) {
      const width = panelWidth(left),
        frequency = frequencyBytes(plan, width);
      let to = panel + at(c * width);
      for (const end = to + at(width); to < end; to += 16) {
        transformPatches(tiling, entry, to, frequency);
        entry += at(4 * TILE_WORDS);
      }
      panel += panelBytes(plan, width);
      left -= width;
    }
  }
}

/** M[r][f] = sum over c of U[f][c][r] V[f][c] for a block of rows and a panel. */
function multiply(plan: Plan, space: Space, weights: usize, patches: usize, rows: i32, width: i32): void {
  const channels = plan.channels,
    block = blockLength(channels),
    row = at(FREQUENCIES * width),
    frequency = frequencyBytes(plan, width);
  for (let f = 0; f < FREQUENCIES; f++) {
    for (let k = 0; k < channels; k += block) {
      const length = min(block, channels - k),
        b = patches + at(k * width),
        add = k > 0;
      let to = space.products + at(f * width);
      for (let r = 0; r < rows; r += EIGHT) {
        if (width == 16) {
          for (let pair: usize = 0; pair < 4; pair++)
            wideTile(length, weights + 8 * pair, b, to + 2 * pair * row, row, add);
        } else if (width == 8) {
          narrowTile(length, weights, b, to, row, add);
          narrowTile(length, weights + 16, b, to + 4 * row, row, add);
        } else {
          slimTile(length, weights, b, to, row, add);
        }
        weights += at(EIGHT * length);
        to += <usize>EIGHT * row;
      }
    }
    patches += frequency;
  }
}

/** y = A^T M A + bias, activated, for a block of rows and the tiles of a panel. */
function transformProducts(
  work: Work,
  plan: Plan,
  tiling: Tiling,
  space: Space,
  lanes: usize,
  bias: usize,
  out: usize,
  rows: i32,
  width: i32,
): void {
  const half = tiling.half,
    activation = work.activation,
    leak = work.leak,
    plane = at(plan.outPlane),
    rowBytes = at(plan.gridWidth),
    step = at(width);
  let products = space.products;
  for (let r = 0; r < rows; r++) {
    const added = f32x4.splat(bias ? load<f32>(bias + at(r)) : 0);
    let entry = lanes;
    for (let from = products; from < products + step; from += 16) {
      let column = half;
      for (let here = from; here < from + 6 * step; here += step) {
        transformProduct(
          v128.load(here),
          v128.load(here + 6 * step),
          v128.load(here + 12 * step),
          v128.load(here + 18 * step),
          v128.load(here + 24 * step),
          v128.load(here + 30 * step),
          column,
          96,
        );
        column += 16;
      }
      const t0 = changetype<Tile>(entry),
        t1 = changetype<Tile>(entry + at(TILE_WORDS)),
        t2 = changetype<Tile>(entry + at(2 * TILE_WORDS)),
        t3 = changetype<Tile>(entry + at(3 * TILE_WORDS));
      const direct = (t0.wanted & t1.wanted & t2.wanted & t3.wanted) == ALL;
      let to0 = direct ? out + t0.out : space.edge,
        to1 = direct ? out + t1.out : to0 + 64,
        to2 = direct ? out + t2.out : to0 + 128,
        to3 = direct ? out + t3.out : to0 + 192;
      const stride = direct ? rowBytes : 16;
      for (let here = half; here < half + 384; here += 96) {
        transformProduct(
          v128.load(here),
          v128.load(here, 16),
          v128.load(here, 32),
          v128.load(here, 48),
          v128.load(here, 64),
          v128.load(here, 80),
          here,
          16,
        );
        const y0 = activate(f32x4.add(v128.load(here), added), activation, leak),
          y1 = activate(f32x4.add(v128.load(here, 16), added), activation, leak);
        const y2 = activate(f32x4.add(v128.load(here, 32), added), activation, leak),
          y3 = activate(f32x4.add(v128.load(here, 48), added), activation, leak);
        transpose(y0, y1, y2, y3, to0, to1, to2, to3);
        to0 += stride;
        to1 += stride;
        to2 += stride;
        to3 += stride;
      }
      if (!direct) {
        for (let i = 0; i < 4; i++)
          scatter(plan, tiling, changetype<Tile>(entry + at(i * TILE_WORDS)), space.edge + at(16 * i), out);
      }
      entry += at(4 * TILE_WORDS);
    }
    products += <usize>FREQUENCIES * step;
    out += plane;
  }
}

/** The wanted ones of a tile's outputs [4][4]. */
function scatter(plan: Plan, tiling: Tiling, tile: Tile, from: usize, out: usize): void {
  if (tile.wanted == NONE) return;
  for (let i = 0; i < 4 && tile.y + i < plan.gridHeight; i++) {
    for (let j = 0; j < 4 && tile.x + j < plan.gridWidth; j++) {
      const position = (tile.y + i) * plan.gridWidth + tile.x + j;
      if (position >= tiling.position && position < tiling.end)
        store<f32>(out + tile.out + at(i * plan.gridWidth + j), load<f32>(from + at(4 * i + j)));
    }
  }
}

/**
 * Channels whose transforms are gathered before they are written out: 36 streams at once would fight for the same cache
 * sets.
 */
const PACK_TOGETHER: i32 = 8;

/**
 * U = G g G^T for rows and channels of filters of nine taps, `row` words from row to row and `channel` from channel to
 * channel, from the address of the first tap; step 1, or -1 for filters that are turned round. Returns the address
 * after them. Computed in double.
 */
export function packWinograd(
  scratch: usize,
  to: usize,
  from: usize,
  rows: i32,
  channels: i32,
  row: i32,
  channel: i32,
  step: i32,
): usize {
  const block = blockLength(channels),
    half = scratch,
    full = half + 288,
    gathered = full + 576;
  for (let first = 0; first < rows; first += WINOGRAD_ROWS) {
    const inBlock = inEights(min(WINOGRAD_ROWS, rows - first)),
      frequency = at(inBlock * channels);
    for (let k0 = 0; k0 < channels; k0 += block) {
      const length = min(block, channels - k0);
      for (let eight = 0; eight < inBlock; eight += EIGHT) {
        for (let k = 0; k < length; k += PACK_TOGETHER) {
          const together = min(PACK_TOGETHER, length - k);
          for (let i = 0; i < together; i++) {
            for (let pair = 0; pair < EIGHT; pair += 2) {
              const r = first + eight + pair;
              transformPair(from + at(r * row + (k0 + k + i) * channel), rows - r, at(row), at(step), half, full);
              let here = gathered + at(EIGHT * i + pair);
              for (let f = 0; f < FREQUENCIES; f++) {
                v128.store64_lane(here, f32x4.demote_f64x2_zero(v128.load(full + 16 * f)), 0);
                here += at(EIGHT * PACK_TOGETHER);
              }
            }
          }
          let here = to + at(k0 * inBlock + eight * length + EIGHT * k),
            chunk = gathered;
          for (let f = 0; f < FREQUENCIES; f++) {
            for (let i: usize = 0; i < at(EIGHT * together); i += 16) v128.store(here + i, v128.load(chunk + i));
            chunk += at(EIGHT * PACK_TOGETHER);
            here += frequency;
          }
        }
      }
    }
    to += <usize>FREQUENCIES * frequency;
  }
  return to;
}

/** The filters at `tap` and one row on, of which `left` are there, to full [36] pairs of doubles. */
function transformPair(tap: usize, left: i32, row: usize, step: usize, half: usize, full: usize): void {
  for (let x: usize = 0; x < 3; x++) {
    transformFilter(
      filterPair(tap, left, row),
      filterPair(tap + 3 * step, left, row),
      filterPair(tap + 6 * step, left, row),
      half + 16 * x,
      48,
    );
    tap += step;
  }
  for (let y: usize = 0; y < 6; y++) {
    const from = half + 48 * y;
    transformFilter(v128.load(from), v128.load(from, 16), v128.load(from, 32), full + 96 * y, 16);
  }
}

// @ts-ignore: decorator
@inline
function filterPair(tap: usize, left: i32, row: usize): v128 {
  return f64x2(left > 0 ? load<f32>(tap) : 0, left > 1 ? load<f32>(tap + row) : 0);
}
