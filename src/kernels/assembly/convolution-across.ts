/**
 * The product of convolution-product.ts with its roles exchanged, for planes of few positions: 16 output channels lie
 * along the lanes of the tile and positions come in pairs, so that 9 positions fill 9 of 10 rows instead of 9 of 16
 * lanes. AssemblyScript. Each output is the same chain of operations either way. Packed weights: per block of k, panels
 * of 16 rows [rows / 16][k][16], a missing row zero. The sums stand as [rows / 16][position][16] until they are
 * finished.
 */
import { ACROSS_POSITIONS, ACROSS_WORDS, BLOCK_K, TILE_COLUMNS } from './blocking';
import { Plan, ceilDivide, pairs, panels } from './convolution-plan';
import { Work } from './convolution-work';
import { ADD, FINISH, blockLength, tile } from './tile';
import { transpose } from './vector';
import { at } from './words';

/** Takes the working space from where the staged rows would begin. sizes.ts counts the same words. */
export function layOutAcross(work: Work, plan: Plan, from: usize): void {
  work.places = from;
  work.pairs = work.places + at(2 * ACROSS_POSITIONS);
  work.sums = work.pairs + at(ACROSS_POSITIONS * BLOCK_K);
  work.stage = work.sums + at(max(ACROSS_WORDS, 2 * panels(plan.rows)));
}

/** A band, as in convolution-product.ts. */
export function bandAcross(
  work: Work,
  plan: Plan,
  stage: usize,
  sampleBytes: usize,
  planeWords: i32,
  bandRow: i32,
  packed: usize,
  bias: usize,
  out: usize,
  samples: i32,
  position: i32,
  positions: i32,
): void {
  const length = plan.channels * plan.taps,
    block = blockLength(length),
    total = samples * positions,
    rows = panels(plan.rows);
  const parts = ceilDivide(total, max(2, min(ACROSS_POSITIONS, ACROSS_WORDS / rows) & ~1)),
    most = pairs(ceilDivide(total, parts));
  for (let first = 0; first < total; first += most) {
    const count = min(most, total - first);
    describe(work, plan, sampleBytes, bandRow, first, count, position, positions);
    for (let k0 = 0; k0 < length; k0 += block) {
      const depth = min(block, length - k0),
        pairBytes = at(2 * depth);
      const steps = (k0 > 0 ? ADD : 0) | (k0 + depth == length ? FINISH : 0);
      for (let q = 0; q < count; q += 2)
        gather(work, plan, stage, planeWords, k0, depth, q, work.pairs + <usize>(q >> 1) * pairBytes);
      let weights = packed + at(k0 * rows),
        sums = work.sums;
      for (let r = 0; r < plan.rows; r += TILE_COLUMNS) {
        let pair = work.pairs;
        for (let q = 0; q < count; q += 2) {
          tile(depth, pair, weights, sums, sums + 64, steps, 0, 0, bias ? bias + at(r) : 0, work.activation, work.leak);
          pair += pairBytes;
          sums += 128;
        }
        weights += at(TILE_COLUMNS * depth);
      }
    }
    turn(work, plan, count, out);
  }
}

/**
 * Where the positions [q, q + count) of the band are read and where they go: pairs of offsets. An odd one's partner
 * reads the same and goes nowhere.
 */
function describe(
  work: Work,
  plan: Plan,
  sampleBytes: usize,
  bandRow: i32,
  q: i32,
  count: i32,
  position: i32,
  positions: i32,
): void {
  let sample = q / positions,
    here = position + (q % positions),
    entry = work.places;
  for (let i = 0; i < count; i++) {
    const row = here / plan.gridWidth,
      column = here % plan.gridWidth;
    store<usize>(entry, <usize>sample * sampleBytes + at((row - bandRow) * plan.rowStep * plan.rowWords + column));
    store<usize>(
      entry,
      <usize>sample * plan.outSample + at(plan.outFirst + row * plan.outRow + column * plan.outColumn),
      4,
    );
    entry += 8;
    if (++here == position + positions) {
      here = position;
      sample++;
    }
  }
  if (count & 1) store<usize>(entry, load<usize>(entry - 8));
}

/** Patches of positions q and q + 1, k in [k0, k0 + count), to `to` [count][2]. */
function gather(work: Work, plan: Plan, stage: usize, planeWords: i32, k0: i32, count: i32, q: i32, to: usize): void {
  const entry = work.places + <usize>(8 * q),
    apart = load<usize>(entry, 8) - load<usize>(entry),
    planeBytes = at(planeWords),
    end = to + at(2 * count);
  const taps = plan.tapTable,
    tapsEnd = taps + at(plan.taps);
  let plane = stage + load<usize>(entry) + <usize>(k0 / plan.taps) * planeBytes,
    tap = taps + at(k0 % plan.taps);
  while (to < end) {
    const last = min(tapsEnd, tap + ((end - to) >> 1));
    if (apart == 4) {
      for (; tap < last; tap += 4) {
        store<u64>(to, load<u64>(plane + at(load<i32>(tap))));
        to += 8;
      }
    } else {
      for (; tap < last; tap += 4) {
        const from = plane + at(load<i32>(tap));
        store<f32>(to, load<f32>(from));
        store<f32>(to, load<f32>(from + apart), 4);
        to += 8;
      }
    }
    tap = taps;
    plane += planeBytes;
  }
}

/** Finished sums to their planes: four positions that are neighbours by four channels, or one by one. */
function turn(work: Work, plan: Plan, count: i32, out: usize): void {
  const plane = at(plan.outPlane),
    panel = (<usize>pairs(count)) << 6;
  let sums = work.sums;
  for (let r = 0; r < plan.rows; r += TILE_COLUMNS) {
    const rows = min(TILE_COLUMNS, plan.rows - r);
    for (let q = 0; q < count;) {
      const entry = work.places + <usize>(8 * q),
        to = out + load<usize>(entry, 4),
        sum = sums + ((<usize>q) << 6);
      if (rows == TILE_COLUMNS && q + 4 <= count && load<usize>(entry, 28) - load<usize>(entry, 4) == 12) {
        for (let quad: usize = 0; quad < 4; quad++) {
          const from = sum + 16 * quad,
            here = to + 4 * quad * plane;
          transpose(
            v128.load(from),
            v128.load(from, 64),
            v128.load(from, 128),
            v128.load(from, 192),
            here,
            here + plane,
            here + 2 * plane,
            here + 3 * plane,
          );
        }
        q += 4;
      } else {
        for (let i = 0; i < rows; i++) store<f32>(to + <usize>i * plane, load<f32>(sum + at(i)));
        q++;
      }
    }
    sums += panel;
    out += TILE_COLUMNS * plane;
  }
}
