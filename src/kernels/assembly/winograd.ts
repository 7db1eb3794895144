/**
 * Convolution 3 x 3 of stride 1 by Winograd's minimal filtering (winograd-transforms.ts): tiles of 4 x 4 outputs, the input's patches transformed as they are
 * gathered, 36 small matrix products, and the transform back with bias and activation on the way out. AssemblyScript.
 *
 * Every output depends on its own tile alone, tiles begin at the output's corner, and the products are the chains of tile.ts: so the bits do not
 * depend on how samples and positions are cut. Tiles are taken in panels of 16, the rest in panels of 8 and 4.
 * Packed weights: per block of rows [36][block of k][rows / 8][k][8], missing rows zero.
 * Glossary: c channel of the input, r row: channel of the output, q tile counted over the samples of a call, f = 6 y + x one of 36 frequencies.
 */
import { WINOGRAD_ROWS, WINOGRAD_TILES, WINOGRAD_WORDS } from './blocking';
import { Plan, clear, stageRow } from './convolution-plan';
import { Work } from './convolution-product';
import { patchRow, transformFilter, transformPatch, transformProduct } from './winograd-transforms';
import { narrowTile, slimTile, wideTile } from './winograd-tiles';
import { activate, blockLength } from './tile';
import { at } from './words';

const FREQUENCIES: i32 = 36;
/** Rows that are packed side by side. */
const EIGHT: i32 = 8;
/** A row of tiles of one sample, from `column`: where its six rows begin in the source, and how much of them is staged. */
@unmanaged
class Strip {
  sample: usize; row: i32; column: i32; words: i32;
}
const STRIP_WORDS: i32 = 4;
/** Where a tile's patch is staged, where its outputs go in a plane, its first row and column, and how much of it is wanted. */
@unmanaged
class Tile {
  staged: usize; out: usize; y: i32; x: i32; wanted: i32;
}
const TILE_WORDS: i32 = 5;
/** Nothing (a lane to spare); some outputs, since the tile crosses an end of the plane or of the piece; all. */
const NONE: i32 = 0;
const SOME: i32 = 1;
const ALL: i32 = 2;

/** Working space. sizes.ts counts the same words. */
@unmanaged
class Space {
  /** Transforms halfway: [6][6][4] in, [4][6][4] out; outputs of four tiles that are not whole. */
  half: usize; edge: usize;
  tiles: usize; strips: usize; stage: usize;
  /** V: per panel [36][channels][width], and some words between frequencies, so that these do not share a cache set. */
  patches: usize;
  /** M: [rows of a block][36][width]. */
  products: usize;
  /** Bytes from staged row to staged row; strips in use; the positions of the piece. */
  stride: usize; count: i32; position: i32; end: i32;
}
const SPACE_WORDS: i32 = 16;
const GAP: i32 = 16;

/** Tiles that are transformed together. */
// @ts-ignore: decorator
@inline
function tilesTogether(channels: i32): i32 {
  return max(16, min(WINOGRAD_TILES, WINOGRAD_WORDS / channels & ~15));
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

function layOut(work: Work, plan: Plan): Space {
  const across = (plan.gridWidth + 3) >> 2, together = tilesTogether(plan.channels);
  let here = work.stage;
  const space = changetype<Space>(here);
  here += at(SPACE_WORDS);
  space.half = here;
  here += at(FREQUENCIES * 4);
  space.edge = here;
  here += at(64);
  space.tiles = here;
  here += at(TILE_WORDS * together);
  space.strips = here;
  const strips = (together + across - 2) / across + 1, stride = 4 * min(across, together) + 4;
  here += at(STRIP_WORDS * strips);
  space.stage = here;
  space.stride = at(stride);
  here += at(6 * stride * strips);
  space.patches = here;
  here += at(FREQUENCIES * (plan.channels * together + GAP * (together / 16 + 1)));
  space.products = here;
  return space;
}

/** The work of `product` of convolution-product.ts for all groups. source, packed, bias, out: of the first. */
export function winograd(work: Work, groups: i32, source: usize, packed: usize, bias: usize, out: usize, samples: i32, position: i32, positions: i32): void {
  const plan = changetype<Plan>(work.plan);
  for (let group = 0; group < groups; group++) {
    ofGroup(work, source, packed, bias, out, samples, position, positions);
    source += at(plan.channels * plan.sourceHeight * plan.sourceWidth);
    packed += at(FREQUENCIES * inEights(plan.rows) * plan.channels);
    if (bias) bias += at(plan.rows);
    out += at(plan.rows * plan.outPlane);
  }
}

function ofGroup(work: Work, source: usize, packed: usize, bias: usize, out: usize, samples: i32, position: i32, positions: i32): void {
  const plan = changetype<Plan>(work.plan);
  if (samples <= 0 || positions <= 0) return;
  const space = layOut(work, plan);
  space.position = position;
  space.end = position + positions;
  const across = (plan.gridWidth + 3) >> 2, firstRow = (position / plan.gridWidth) >> 2;
  const ofSample = (((position + positions - 1) / plan.gridWidth >> 2) - firstRow + 1) * across;
  const total = samples * ofSample, together = tilesTogether(plan.channels);
  for (let first = 0; first < total; first += together) {
    const count = min(together, total - first);
    describe(plan, space, first, count, across, firstRow, ofSample);
    transformPatches(plan, space, source, count);
    for (let row = 0; row < plan.rows; row += WINOGRAD_ROWS) {
      const rows = min(WINOGRAD_ROWS, plan.rows - row);
      let lanes = space.tiles, patches = space.patches;
      for (let left = count; left > 0;) {
        const width = panelWidth(left);
        multiply(plan, space, packed + at(FREQUENCIES * row * plan.channels), patches, rows, width);
        transformProducts(work, plan, space, lanes, bias ? bias + at(row) : 0, out + at(row * plan.outPlane), rows, width);
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
  return at(plan.channels * width + GAP);
}

// @ts-ignore: decorator
@inline
function panelBytes(plan: Plan, width: i32): usize {
  return FREQUENCIES * frequencyBytes(plan, width);
}

/** Tiles [first, first + count) and the strips that they lie in. Lanes that the last panel leaves over repeat the last tile. */
function describe(plan: Plan, space: Space, first: i32, count: i32, across: i32, firstRow: i32, ofSample: i32): void {
  let strips = space.strips, staged: usize = 0, entry = space.tiles;
  space.count = 0;
  for (let q = first; q < first + count;) {
    const sample = q / ofSample, row = firstRow + q % ofSample / across, column = q % across;
    const run = min(across - column, first + count - q);
    const strip = changetype<Strip>(strips);
    strip.sample = <usize>sample * plan.sourceSample;
    strip.row = 4 * row + plan.firstRow;
    strip.column = 4 * column + plan.firstColumn;
    strip.words = 4 * run + 2;
    for (let i = 0; i < run; i++) {
      const here = changetype<Tile>(entry), y = 4 * row, x = 4 * (column + i), start = y * plan.gridWidth + x;
      here.staged = staged + at(4 * i);
      here.out = <usize>sample * plan.outSample + at(start);
      here.y = y;
      here.x = x;
      here.wanted = y + 4 <= plan.gridHeight && x + 4 <= plan.gridWidth && start >= space.position && start + 3 * plan.gridWidth + 4 <= space.end ? ALL : SOME;
      entry += at(TILE_WORDS);
    }
    staged += 6 * space.stride;
    strips += at(STRIP_WORDS);
    space.count++;
    q += run;
  }
  for (let spare = count; (spare & 3) != 0 || (spare & 15) > 12; spare++) {
    const here = changetype<Tile>(entry);
    here.staged = changetype<Tile>(entry - at(TILE_WORDS)).staged;
    here.wanted = NONE;
    entry += at(TILE_WORDS);
  }
}

/** V[f] = B^T d B for every channel and tile. */
function transformPatches(plan: Plan, space: Space, source: usize, count: i32): void {
  const stage = space.stage, stride = space.stride, half = space.half, plane = at(plan.sourceHeight * plan.sourceWidth);
  for (let c = 0; c < plan.channels; c++) {
    stageStrips(plan, space, source);
    source += plane;
    let entry = space.tiles, patches = space.patches;
    for (let left = count; left > 0;) {
      const width = panelWidth(left), frequency = frequencyBytes(plan, width);
      let to = patches + at(c * width);
      for (const end = to + at(width); to < end; to += 16) {
        let row0 = stage + changetype<Tile>(entry).staged, row1 = stage + changetype<Tile>(entry + at(TILE_WORDS)).staged;
        let row2 = stage + changetype<Tile>(entry + at(2 * TILE_WORDS)).staged, row3 = stage + changetype<Tile>(entry + at(3 * TILE_WORDS)).staged;
        entry += at(4 * TILE_WORDS);
        for (let here = half; here < half + at(FREQUENCIES * 4); here += 96) {
          patchRow(row0, row1, row2, row3, here);
          row0 += stride; row1 += stride; row2 += stride; row3 += stride;
        }
        let column = to;
        for (let here = half; here < half + 96; here += 16) {
          transformPatch(v128.load(here), v128.load(here, 96), v128.load(here, 192), v128.load(here, 288), v128.load(here, 384), v128.load(here, 480), column, 6 * frequency);
          column += frequency;
        }
      }
      patches += panelBytes(plan, width);
      left -= width;
    }
  }
}

/** The strips of one channel, side by side: six rows each, zeros where they lie outside the source. */
function stageStrips(plan: Plan, space: Space, source: usize): void {
  let to = space.stage, entry = space.strips;
  const sourceRow = at(plan.sourceWidth);
  for (let s = 0; s < space.count; s++) {
    const strip = changetype<Strip>(entry);
    let from = source + strip.sample + strip.row * sourceRow;
    for (let row = strip.row; row < strip.row + 6; row++) {
      if (row >= 0 && row < plan.sourceHeight) stageRow(from, plan.sourceWidth, strip.column, 1, to, strip.words);
      else clear(to, to + at(strip.words));
      from += sourceRow;
      to += space.stride;
    }
    entry += at(STRIP_WORDS);
  }
}

/** M[r][f] = sum over c of U[f][c][r] V[f][c] for a block of rows and a panel. */
function multiply(plan: Plan, space: Space, weights: usize, patches: usize, rows: i32, width: i32): void {
  const channels = plan.channels, block = blockLength(channels), row = at(FREQUENCIES * width), frequency = frequencyBytes(plan, width);
  for (let f = 0; f < FREQUENCIES; f++) {
    for (let k = 0; k < channels; k += block) {
      const length = min(block, channels - k), b = patches + at(k * width), add = k > 0;
      let to = space.products + at(f * width);
      for (let r = 0; r < rows; r += EIGHT) {
        if (width == 16) {
          for (let pair: usize = 0; pair < 4; pair++) wideTile(length, weights + 8 * pair, b, to + 2 * pair * row, row, add);
        } else if (width == 8) {
          narrowTile(length, weights, b, to, row, add);
          narrowTile(length, weights + 16, b, to + 4 * row, row, add);
        } else {
          slimTile(length, weights, b, to, row, add);
        }
        weights += at(EIGHT * length);
        to += EIGHT * row;
      }
    }
    patches += frequency;
  }
}

/** y = A^T M A + bias, activated, for a block of rows and the tiles of a panel. */
function transformProducts(work: Work, plan: Plan, space: Space, lanes: usize, bias: usize, out: usize, rows: i32, width: i32): void {
  const half = space.half, activation = work.activation, leak = work.leak, plane = at(plan.outPlane), rowBytes = at(plan.gridWidth), step = at(width);
  let products = space.products;
  for (let r = 0; r < rows; r++) {
    const added = f32x4.splat(bias ? load<f32>(bias + at(r)) : 0);
    let entry = lanes;
    for (let from = products; from < products + step; from += 16) {
      let column = half;
      for (let here = from; here < from + 6 * step; here += step) {
        transformProduct(v128.load(here), v128.load(here + 6 * step), v128.load(here + 12 * step), v128.load(here + 18 * step), v128.load(here + 24 * step), v128.load(here + 30 * step), column, 96);
        column += 16;
      }
      const t0 = changetype<Tile>(entry), t1 = changetype<Tile>(entry + at(TILE_WORDS)), t2 = changetype<Tile>(entry + at(2 * TILE_WORDS)), t3 = changetype<Tile>(entry + at(3 * TILE_WORDS));
      const direct = (t0.wanted & t1.wanted & t2.wanted & t3.wanted) == ALL;
      let to0 = direct ? out + t0.out : space.edge, to1 = direct ? out + t1.out : to0 + 64, to2 = direct ? out + t2.out : to0 + 128, to3 = direct ? out + t3.out : to0 + 192;
      const stride = direct ? rowBytes : 16;
      for (let here = half; here < half + 384; here += 96) {
        transformProduct(v128.load(here), v128.load(here, 16), v128.load(here, 32), v128.load(here, 48), v128.load(here, 64), v128.load(here, 80), here, 16);
        const y0 = activate(f32x4.add(v128.load(here), added), activation, leak), y1 = activate(f32x4.add(v128.load(here, 16), added), activation, leak);
        const y2 = activate(f32x4.add(v128.load(here, 32), added), activation, leak), y3 = activate(f32x4.add(v128.load(here, 48), added), activation, leak);
        const low01 = v128.shuffle<f32>(y0, y1, 0, 4, 1, 5), high01 = v128.shuffle<f32>(y0, y1, 2, 6, 3, 7);
        const low23 = v128.shuffle<f32>(y2, y3, 0, 4, 1, 5), high23 = v128.shuffle<f32>(y2, y3, 2, 6, 3, 7);
        v128.store(to0, v128.shuffle<f64>(low01, low23, 0, 2));
        v128.store(to1, v128.shuffle<f64>(low01, low23, 1, 3));
        v128.store(to2, v128.shuffle<f64>(high01, high23, 0, 2));
        v128.store(to3, v128.shuffle<f64>(high01, high23, 1, 3));
        to0 += stride; to1 += stride; to2 += stride; to3 += stride;
      }
      if (!direct) {
        for (let i = 0; i < 4; i++) scatter(plan, space, changetype<Tile>(entry + at(i * TILE_WORDS)), space.edge + at(16 * i), out);
      }
      entry += at(4 * TILE_WORDS);
    }
    products += FREQUENCIES * step;
    out += plane;
  }
}

/** The wanted ones of a tile's outputs [4][4]. */
function scatter(plan: Plan, space: Space, tile: Tile, from: usize, out: usize): void {
  if (tile.wanted == NONE) return;
  for (let i = 0; i < 4 && tile.y + i < plan.gridHeight; i++) {
    for (let j = 0; j < 4 && tile.x + j < plan.gridWidth; j++) {
      const position = (tile.y + i) * plan.gridWidth + tile.x + j;
      if (position >= space.position && position < space.end) store<f32>(out + tile.out + at(i * plan.gridWidth + j), load<f32>(from + at(4 * i + j)));
    }
  }
}

/** Channels whose transforms are gathered before they are written out: 36 streams at once would fight for the same cache sets. */
const PACK_TOGETHER: i32 = 8;

/**
 * U = G g G^T for rows and channels of filters of nine taps, `row` words from row to row and `channel` from channel to channel, from the address of
 * the first tap; step 1, or -1 for filters that are turned round. Returns the address after them. Computed in double.
 */
export function packWinograd(scratch: usize, to: usize, from: usize, rows: i32, channels: i32, row: i32, channel: i32, step: i32): usize {
  const block = blockLength(channels), half = scratch, full = half + 288, gathered = full + 576;
  for (let first = 0; first < rows; first += WINOGRAD_ROWS) {
    const inBlock = inEights(min(WINOGRAD_ROWS, rows - first)), frequency = at(inBlock * channels);
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
          let here = to + at(k0 * inBlock + eight * length + EIGHT * k), chunk = gathered;
          for (let f = 0; f < FREQUENCIES; f++) {
            for (let i: usize = 0; i < at(EIGHT * together); i += 16) v128.store(here + i, v128.load(chunk + i));
            chunk += at(EIGHT * PACK_TOGETHER);
            here += frequency;
          }
        }
      }
    }
    to += FREQUENCIES * frequency;
  }
  return to;
}

/** The filters at `tap` and one row on, of which `left` are there, to full [36] pairs of doubles. */
function transformPair(tap: usize, left: i32, row: usize, step: usize, half: usize, full: usize): void {
  for (let x: usize = 0; x < 3; x++) {
    transformFilter(filterPair(tap, left, row), filterPair(tap + 3 * step, left, row), filterPair(tap + 6 * step, left, row), half + 16 * x, 48);
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
