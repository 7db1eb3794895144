/**
 * The convolution's gradient to its weights in WebAssembly SIMD. AssemblyScript; see ../specification/kernels.ts.
 *
 * dw[o, k] is the product of row o of dy with the patch row k = (channel, tap), both contiguous along the positions, so
 * lanes run along positions and nothing is transposed. Positions are counted over all samples (q) and cut in chunks
 * that keep dy's rows in L2; per chunk the patches of four k at a time are gathered to L1 and meet all rows of dy.
 */
import { CHUNK_MAX, CHUNK_MIN, CHUNK_WORDS, STAGE_WORDS, WINOGRAD_GRADIENT_TILES } from './blocking';
import { directWeights } from './convolution-direct-weights';
import {
  PLAN_WORDS,
  Plan,
  byWinograd,
  ceilDivide,
  geometryAt,
  pairs,
  planForward,
  stageRows,
} from './convolution-plan';
import { align, dotTile } from './tile';
import { winogradWeights } from './winograd-weights';
import { at } from './words';

/** Channels staged at once: a multiple of four patch rows whatever the taps. */
const CHANNELS: i32 = 4;
/** Bytes of a segment's record: source offset, first q within the chunk, length. */
const SEGMENT: usize = 12;

/** Positions [position, position + positions) of samples [sample, sample + samples); q counts them sample by sample. */
@unmanaged
class Chunk {
  sample: i32;
  samples: i32;
  position: i32;
  positions: i32;
  /** q in all, and rounded up to a multiple of 4. */
  count: i32;
  padded: i32;
  segments: i32;
  /** Whether every segment begins and ends at a multiple of 4. */
  even: i32;
  /** Grid rows of a sample: the first, and how many. Words of a staged channel; 0: the source is read as it is. */
  gridRow: i32;
  gridRows: i32;
  stagePlane: i32;
  /** Addresses: packed dy, one quad of patch rows, segments, staged rows, an edge of the result, the tile's lanes. */
  rows: usize;
  patches: usize;
  table: usize;
  stage: usize;
  edge: usize;
  lanes: usize;
}

/** Words of a staged channel for `rows` grid rows. */
// @ts-ignore: decorator
@inline
function planeWords(plan: Plan, rows: i32): i32 {
  return ((rows - 1) * plan.rowStep + plan.tapRows) * plan.rowWords;
}

export function convolutionBackwardWeights(
  scratch: i32,
  geometry: i32,
  x: i32,
  dy: i32,
  dw: i32,
  sample: i32,
  samples: i32,
  accumulate: i32,
): void {
  const g = geometryAt(geometry),
    base = align(scratch);
  const plan = changetype<Plan>(base),
    chunk = changetype<Chunk>(base + at(PLAN_WORDS));
  const tapTable = base + at(PLAN_WORDS + 80);
  planForward(g, plan, tapTable);
  const length = plan.channels * plan.taps,
    positions = plan.gridHeight * plan.gridWidth;
  if (samples <= 0 || positions <= 0 || length <= 0) {
    if (!accumulate) memory.fill(at(dw), 0, at(g.channelsOut * length));
    return;
  }
  const space = tapTable + at((plan.taps + 15) & ~15),
    source = at(x) + <usize>sample * plan.sourceSample,
    gradient = at(dy) + <usize>sample * plan.outSample;
  // With many rows to a plane, those below are faster: 31 GFLOP/s of 1 x 96 x 96 to 32, against 28.
  if (plan.channels == 1 && plan.rows <= 8)
    return directWeights(plan, g.groups, space, source, gradient, at(dw), samples, accumulate != 0);
  if (
    byWinograd(g) &&
    samples * ((plan.gridHeight + 3) >> 2) * ((plan.gridWidth + 3) >> 2) >= WINOGRAD_GRADIENT_TILES
  ) {
    return winogradWeights(space, plan, g.groups, source, gradient, at(dw), samples, accumulate != 0);
  }

  // Chunks are whole samples, or equal parts of one: of the geometry alone, for the order of the sums follows them.
  const most = max(CHUNK_MIN, min(CHUNK_MAX, CHUNK_WORDS / pairs(plan.rows))) & ~3;
  const parts = ceilDivide(positions, most),
    part = (ceilDivide(positions, parts) + 3) & ~3;
  const direct =
    plan.firstRow == 0 &&
    plan.firstColumn == 0 &&
    plan.columnStep == 1 &&
    plan.rowWords == plan.sourceWidth &&
    (plan.gridHeight - 1) * plan.rowStep + plan.tapRows <= plan.sourceHeight;
  const together =
    parts > 1
      ? 1
      : direct
        ? most / positions
        : max(1, min(most / positions, STAGE_WORDS / (CHANNELS * planeWords(plan, plan.gridHeight))));
  chunk.edge = base + at(PLAN_WORDS + 32);
  chunk.lanes = base + at(PLAN_WORDS + 48);
  chunk.rows = space;
  chunk.patches = chunk.rows + at(pairs(plan.rows) * most);
  chunk.table = chunk.patches + at(4 * most);
  chunk.stage = chunk.table + SEGMENT * most;

  const sourceGroup = at(plan.channels * g.heightIn * g.widthIn),
    outGroup = at(plan.rows * plan.outPlane);
  let add = accumulate != 0;
  for (let n = 0; n < samples; n += together) {
    for (let position = 0; position < positions; position += part) {
      chunk.sample = sample + n;
      chunk.samples = min(together, samples - n);
      chunk.position = position;
      chunk.positions = min(part, positions - position);
      describe(plan, chunk, direct);
      for (let group: usize = 0; group < <usize>g.groups; group++) {
        packGradient(plan, chunk, at(dy) + group * outGroup);
        sumChunk(plan, chunk, at(x) + group * sourceGroup, at(dw) + group * at(plan.rows * length), add);
      }
      add = true;
    }
  }
}

/**
 * Cuts a chunk into segments, runs of positions in one row of one sample, and says where their patches will be read.
 */
function describe(plan: Plan, chunk: Chunk, direct: bool): void {
  chunk.count = chunk.samples * chunk.positions;
  chunk.padded = (chunk.count + 3) & ~3;
  chunk.gridRow = chunk.position / plan.gridWidth;
  chunk.gridRows = (chunk.position + chunk.positions - 1) / plan.gridWidth - chunk.gridRow + 1;
  chunk.stagePlane = direct ? 0 : planeWords(plan, chunk.gridRows);
  chunk.segments = 0;
  chunk.even = 1;
  const end = chunk.position + chunk.positions;
  let entry = chunk.table,
    q = 0;
  for (let s = 0; s < chunk.samples; s++) {
    for (let here = chunk.position; here < end;) {
      const row = here / plan.gridWidth,
        column = here % plan.gridWidth,
        run = min(plan.gridWidth - column, end - here);
      const staged = s * CHANNELS * chunk.stagePlane + (row - chunk.gridRow) * plan.rowStep * plan.rowWords + column;
      store<usize>(
        entry,
        direct
          ? <usize>(chunk.sample + s) * plan.sourceSample + at(row * plan.rowStep * plan.rowWords + column)
          : at(staged),
      );
      store<i32>(entry, q, 4);
      store<i32>(entry, run, 8);
      if ((q | run) & 3) chunk.even = 0;
      entry += SEGMENT;
      chunk.segments++;
      here += run;
      q += run;
    }
  }
}

/** dy's rows of a group to pairs [rows / 2][padded / 4][2][4]; q beyond the chunk and a missing row are zero. */
function packGradient(plan: Plan, chunk: Chunk, gradient: usize): void {
  const pairBytes = at(2 * chunk.padded);
  for (let r = 0; r < plan.rows; r++) {
    const to = chunk.rows + <usize>(r >> 1) * pairBytes + 16 * (r & 1);
    let from = gradient + <usize>chunk.sample * plan.outSample + at(r * plan.outPlane + chunk.position);
    for (let s = 0; s < chunk.samples; s++) {
      spread(to, 32, s * chunk.positions, from, chunk.positions);
      from += plan.outSample;
    }
    for (let q = chunk.count; q < chunk.padded; q++) store<f32>(to + <usize>(q >> 2) * 32 + at(q & 3), 0);
    if (r + 1 == plan.rows && !(r & 1))
      for (let i: usize = 0; i < pairBytes; i += 32) v128.store(to + 16 + i, f32x4.splat(0));
  }
}

/** Words from[0, count) to lanes q, q + 1, ... of vectors that lie `step` bytes apart. */
function spread(to: usize, step: usize, q: i32, from: usize, count: i32): void {
  const end = q + count;
  for (; q < end && q & 3; q++) {
    store<f32>(to + <usize>(q >> 2) * step + at(q & 3), load<f32>(from));
    from += 4;
  }
  let here = to + <usize>(q >> 2) * step;
  for (; q + 4 <= end; q += 4) {
    v128.store(here, v128.load(from));
    here += step;
    from += 16;
  }
  for (; q < end; q++) {
    store<f32>(here + at(q & 3), load<f32>(from));
    from += 4;
  }
}

/** dw of a group (+)= the sums over one chunk. */
function sumChunk(plan: Plan, chunk: Chunk, source: usize, dw: usize, add: bool): void {
  const length = plan.channels * plan.taps,
    sourcePlane = at(plan.sourceHeight * plan.sourceWidth),
    rowBytes = at(length);
  const plane = chunk.stagePlane ? at(chunk.stagePlane) : sourcePlane;
  for (let channel = 0; channel < plan.channels; channel += CHANNELS) {
    const channels = min(CHANNELS, plan.channels - channel);
    let from = source + <usize>channel * sourcePlane;
    if (chunk.stagePlane) {
      stageChunk(plan, chunk, from, channels);
      from = chunk.stage;
    }
    const end = (channel + channels) * plan.taps;
    for (let k = channel * plan.taps; k < end; k += 4) {
      gatherQuad(plan, chunk, from, plane, k - channel * plan.taps, min(4, end - k));
      multiply(plan, chunk, dw + at(k), rowBytes, min(4, end - k), add);
    }
  }
}

function stageChunk(plan: Plan, chunk: Chunk, source: usize, channels: i32): void {
  const rows = (chunk.gridRows - 1) * plan.rowStep + plan.tapRows;
  for (let s = 0; s < chunk.samples; s++) {
    stageRows(
      plan,
      source + <usize>(chunk.sample + s) * plan.sourceSample,
      chunk.stage + at(s * CHANNELS * chunk.stagePlane),
      channels,
      chunk.gridRow,
      rows,
    );
  }
}

/**
 * Patch rows k to k + count (counted from the first staged channel) to [padded / 4][4][4]. Rows beyond count repeat the
 * last, and their sums go nowhere.
 */
function gatherQuad(plan: Plan, chunk: Chunk, from: usize, plane: usize, k: i32, count: i32): void {
  const r0 = patchRow(plan, from, plane, k),
    r1 = patchRow(plan, from, plane, k + min(1, count - 1));
  const r2 = patchRow(plan, from, plane, k + min(2, count - 1)),
    r3 = patchRow(plan, from, plane, k + min(3, count - 1));
  const patches = chunk.patches,
    end = chunk.table + SEGMENT * chunk.segments;
  if (chunk.even) {
    let to = patches;
    for (let entry = chunk.table; entry < end; entry += SEGMENT) {
      let offset = load<usize>(entry);
      const stop = offset + at(load<i32>(entry, 8));
      for (; offset < stop; offset += 16) {
        v128.store(to, v128.load(r0 + offset));
        v128.store(to, v128.load(r1 + offset), 16);
        v128.store(to, v128.load(r2 + offset), 32);
        v128.store(to, v128.load(r3 + offset), 48);
        to += 64;
      }
    }
    return;
  }
  for (let entry = chunk.table; entry < end; entry += SEGMENT) {
    const offset = load<usize>(entry),
      q = load<i32>(entry, 4),
      run = load<i32>(entry, 8);
    spread(patches, 64, q, r0 + offset, run);
    spread(patches + 16, 64, q, r1 + offset, run);
    spread(patches + 32, 64, q, r2 + offset, run);
    spread(patches + 48, 64, q, r3 + offset, run);
  }
  for (let q = chunk.count; q < chunk.padded; q++) {
    for (let row: usize = 0; row < 64; row += 16) store<f32>(patches + <usize>(q >> 2) * 64 + row + at(q & 3), 0);
  }
}

// @ts-ignore: decorator
@inline
function patchRow(plan: Plan, from: usize, plane: usize, k: i32): usize {
  return from + <usize>(k / plan.taps) * plane + at(load<i32>(plan.tapTable + at(k % plan.taps)));
}

/** Columns [0, count) of dw, at the address of row 0, from the gathered quad and all rows of dy. */
function multiply(plan: Plan, chunk: Chunk, dw: usize, rowBytes: usize, count: i32, add: bool): void {
  const quads = chunk.padded >> 2,
    pairBytes = at(2 * chunk.padded),
    bytes = at(count);
  let rows = chunk.rows;
  for (let r = 0; r < plan.rows; r += 2) {
    const lone = r + 1 == plan.rows,
      c0 = dw + <usize>r * rowBytes,
      c1 = c0 + rowBytes;
    if (count == 4 && !lone) {
      dotTile(quads, rows, chunk.patches, chunk.lanes, c0, c1, add);
    } else {
      const edge = chunk.edge;
      dotTile(quads, rows, chunk.patches, chunk.lanes, edge, edge + 16, false);
      for (let i: usize = 0; i < bytes; i += 4) {
        store<f32>(c0 + i, add ? load<f32>(c0 + i) + load<f32>(edge + i) : load<f32>(edge + i));
        if (!lone) store<f32>(c1 + i, add ? load<f32>(c1 + i) + load<f32>(edge + i, 16) : load<f32>(edge + i, 16));
      }
    }
    rows += pairBytes;
  }
}
