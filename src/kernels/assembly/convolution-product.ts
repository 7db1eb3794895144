/**
 * The product of packed weights with the staged rows of a plan: an implicit matrix product (Chellapilla et al. 2006) in
 * which the patches of 16 positions at a time are gathered to a panel [k][16] that stays in L1 while all weights of a
 * block of k pass by. AssemblyScript. Glossary: k = channel T + tap; q = position counted over the samples of a band; a
 * band: the samples, or the rows of one, that are staged at once.
 */
import { activateOne } from './activation';
import { GROUP_PANELS, STAGE_WORDS, TILE_COLUMNS } from './blocking';
import { bandAcross } from './convolution-across';
import { Plan, ceilDivide, pairs, stageRows } from './convolution-plan';
import { PANEL_WORDS, Work } from './convolution-work';
import { ADD, FINISH, blockLength, tile } from './tile';
import { at } from './words';

/** A panel of 16 positions: where its lanes are read and where they go. Bytes. */
@unmanaged
export class Panel {
  /** Positions in it, and whether they lie side by side in the output, beginning at `out`. */
  count: i32;
  whole: i32;
  out: usize;
  segments: i32;
}
/**
 * Offsets within a panel's record, in bytes: (staged offset, length) of each segment, then the output offset of each
 * lane.
 */
const SEGMENTS: usize = 32;
const LANES: usize = SEGMENTS + 8 * TILE_COLUMNS;

/** Words of staged rows for `rows` grid rows. */
// @ts-ignore: decorator
@inline
function stageWords(plan: Plan, rows: i32): i32 {
  return plan.channels * ((rows - 1) * plan.rowStep + plan.tapRows) * plan.rowWords;
}

/**
 * out[n, r, position] for samples [0, samples) and positions [position, position + positions) of the grid. source, out:
 * addresses of the group's first channel in the first sample; packed: the group's weights; bias: address of its biases,
 * or 0.
 */
export function product(
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
  if (plan.channels * plan.taps == 0) return withoutTerms(work, plan, bias, out, samples, position, positions);

  const firstRow = position / plan.gridWidth;
  const rows = (position + positions - 1) / plan.gridWidth - firstRow + 1;
  // Rows without padding need no copy.
  const direct =
    plan.firstRow == 0 &&
    plan.firstColumn == 0 &&
    plan.columnStep == 1 &&
    plan.rowWords == plan.sourceWidth &&
    (plan.gridHeight - 1) * plan.rowStep + plan.tapRows <= plan.sourceHeight;
  if (direct)
    return band(
      work,
      plan,
      source,
      plan.sourceSample,
      plan.sourceHeight * plan.sourceWidth,
      0,
      packed,
      bias,
      out,
      samples,
      position,
      positions,
    );

  if (stageWords(plan, rows) <= STAGE_WORDS) {
    const together = min(samples, STAGE_WORDS / stageWords(plan, rows));
    const staged = (rows - 1) * plan.rowStep + plan.tapRows;
    const sampleBytes = at(stageWords(plan, rows));
    for (let n = 0; n < samples; n += together) {
      const count = min(together, samples - n);
      for (let s = 0; s < count; s++)
        stageRows(
          plan,
          source + <usize>(n + s) * plan.sourceSample,
          work.stage + <usize>s * sampleBytes,
          plan.channels,
          firstRow,
          staged,
        );
      band(
        work,
        plan,
        work.stage,
        sampleBytes,
        staged * plan.rowWords,
        firstRow,
        packed,
        bias,
        out + <usize>n * plan.outSample,
        count,
        position,
        positions,
      );
    }
    return;
  }
  const perRow = stageWords(plan, 2) - stageWords(plan, 1);
  const together = max(1, 1 + (STAGE_WORDS - stageWords(plan, 1)) / perRow);
  const end = position + positions;
  for (let n = 0; n < samples; n++) {
    let from = position;
    for (let row = firstRow; row < firstRow + rows; row += together) {
      const count = min(together, firstRow + rows - row);
      const to = min(end, (row + count) * plan.gridWidth);
      const staged = (count - 1) * plan.rowStep + plan.tapRows;
      stageRows(plan, source + <usize>n * plan.sourceSample, work.stage, plan.channels, row, staged);
      band(
        work,
        plan,
        work.stage,
        0,
        staged * plan.rowWords,
        row,
        packed,
        bias,
        out + <usize>n * plan.outSample,
        1,
        from,
        to - from,
      );
      from = to;
    }
  }
}

/**
 * The product over one band; planeWords: from staged channel to staged channel; bandRow: the grid row of staged row 0.
 */
function band(
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
  if (plan.across)
    return bandAcross(
      work,
      plan,
      stage,
      sampleBytes,
      planeWords,
      bandRow,
      packed,
      bias,
      out,
      samples,
      position,
      positions,
    );
  const length = plan.channels * plan.taps,
    block = blockLength(length),
    total = samples * positions;
  const weightRows = pairs(plan.rows);
  const groupPositions = GROUP_PANELS * TILE_COLUMNS;
  for (let first = 0; first < total; first += groupPositions) {
    const panels = ceilDivide(min(groupPositions, total - first), TILE_COLUMNS);
    for (let p = 0; p < panels; p++)
      describe(
        plan,
        changetype<Panel>(work.panels + at(p * PANEL_WORDS)),
        sampleBytes,
        bandRow,
        first + p * TILE_COLUMNS,
        total,
        position,
        positions,
      );
    for (let k0 = 0; k0 < length; k0 += block) {
      const count = min(block, length - k0);
      const steps = (k0 > 0 ? ADD : 0) | (k0 + count == length ? FINISH : 0);
      for (let p = 0; p < panels; p++) {
        const panel = changetype<Panel>(work.panels + at(p * PANEL_WORDS));
        gather(plan, panel, stage, planeWords, k0, count, work.gathered);
        multiply(work, plan, panel, packed + at(k0 * weightRows), count, steps, bias, out);
      }
    }
  }
}

/** Finds the segments of a panel: runs of positions in one grid row of one sample. */
function describe(
  plan: Plan,
  panel: Panel,
  sampleBytes: usize,
  bandRow: i32,
  q: i32,
  total: i32,
  position: i32,
  positions: i32,
): void {
  const count = min(TILE_COLUMNS, total - q),
    address = changetype<usize>(panel);
  let sample = q / positions,
    here = position + (q % positions),
    lane = 0,
    segments = 0;
  while (lane < count) {
    const row = here / plan.gridWidth,
      column = here % plan.gridWidth;
    const run = min(min(plan.gridWidth - column, position + positions - here), count - lane);
    store<usize>(
      address + SEGMENTS + 8 * segments,
      <usize>sample * sampleBytes + at((row - bandRow) * plan.rowStep * plan.rowWords + column),
    );
    store<i32>(address + SEGMENTS + 8 * segments, run, 4);
    segments++;
    let to = <usize>sample * plan.outSample + at(plan.outFirst + row * plan.outRow + column * plan.outColumn);
    for (let i = 0; i < run; i++) {
      store<usize>(address + LANES + at(lane++), to);
      to += at(plan.outColumn);
    }
    here += run;
    if (here == position + positions) {
      here = position;
      sample++;
    }
  }
  panel.count = count;
  panel.segments = segments;
  panel.out = load<usize>(address + LANES);
  panel.whole = i32(
    count == TILE_COLUMNS && load<usize>(address + LANES + at(TILE_COLUMNS - 1)) - panel.out == at(TILE_COLUMNS - 1),
  );
}

/**
 * The patches of a panel, k in [k0, k0 + count), to `to` [count][16]. Lanes without a position hold anything:
 * their sums go nowhere.
 */
function gather(plan: Plan, panel: Panel, stage: usize, planeWords: i32, k0: i32, count: i32, to: usize): void {
  const taps = plan.taps,
    table = plan.tapTable,
    planeBytes = at(planeWords);
  const first = changetype<usize>(panel) + SEGMENTS,
    end = first + 8 * panel.segments;
  const offset0 = load<usize>(first),
    offset1 = load<usize>(first, 8);
  const one = panel.segments == 1,
    halves = panel.segments == 2 && load<i32>(first, 4) == 8;
  let plane = stage + <usize>(k0 / taps) * planeBytes;
  let tap = k0 % taps;
  let left = count;
  while (left > 0) {
    const here = min(left, taps - tap);
    left -= here;
    let entry = table + at(tap);
    const last = entry + at(here);
    if (one) {
      for (; entry < last; entry += 4) {
        const from = plane + offset0 + at(load<i32>(entry));
        v128.store(to, v128.load(from));
        v128.store(to, v128.load(from, 16), 16);
        v128.store(to, v128.load(from, 32), 32);
        v128.store(to, v128.load(from, 48), 48);
        to += 64;
      }
    } else if (halves) {
      for (; entry < last; entry += 4) {
        const from = plane + at(load<i32>(entry));
        v128.store(to, v128.load(from + offset0));
        v128.store(to, v128.load(from + offset0, 16), 16);
        v128.store(to, v128.load(from + offset1), 32);
        v128.store(to, v128.load(from + offset1, 16), 48);
        to += 64;
      }
    } else {
      for (; entry < last; entry += 4) {
        const from = plane + at(load<i32>(entry));
        let lane = to;
        for (let segment = first; segment < end; segment += 8) {
          const source = from + load<usize>(segment),
            bytes = at(load<i32>(segment, 4));
          let i: usize = 0;
          for (; i + 16 <= bytes; i += 16) v128.store(lane + i, v128.load(source + i));
          for (; i < bytes; i += 4) store<f32>(lane + i, load<f32>(source + i));
          lane += bytes;
        }
        to += 64;
      }
    }
    tap = 0;
    plane += planeBytes;
  }
}

/** A gathered panel times all rows of a block of weights [rows / 2][count][2]. */
function multiply(
  work: Work,
  plan: Plan,
  panel: Panel,
  weights: usize,
  count: i32,
  steps: i32,
  bias: usize,
  out: usize,
): void {
  const plane = at(plan.outPlane),
    activation = work.activation,
    leak = work.leak;
  for (let r = 0; r < plan.rows; r += 2) {
    const lone = r + 1 == plan.rows;
    const bias0: f32 = bias ? load<f32>(bias + at(r)) : 0,
      bias1: f32 = bias && !lone ? load<f32>(bias + at(r), 4) : 0;
    const c0 = out + <usize>r * plane;
    if (panel.whole && !lone) {
      tile(
        count,
        weights,
        work.gathered,
        c0 + panel.out,
        c0 + plane + panel.out,
        steps,
        bias0,
        bias1,
        0,
        activation,
        leak,
      );
    } else {
      if (steps & ADD) {
        collect(panel, c0, work.edge);
        if (!lone) collect(panel, c0 + plane, work.edge + 64);
      }
      tile(count, weights, work.gathered, work.edge, work.edge + 64, steps, bias0, bias1, 0, activation, leak);
      scatter(panel, work.edge, c0);
      if (!lone) scatter(panel, work.edge + 64, c0 + plane);
    }
    weights += at(2 * count);
  }
}

/** Reads a panel's outputs from one plane to 16 lanes. */
function collect(panel: Panel, plane: usize, lanes: usize): void {
  let entry = changetype<usize>(panel) + LANES;
  for (const end = entry + at(panel.count); entry < end; entry += 4) {
    store<f32>(lanes, load<f32>(plane + load<usize>(entry)));
    lanes += 4;
  }
}

function scatter(panel: Panel, lanes: usize, plane: usize): void {
  let entry = changetype<usize>(panel) + LANES;
  for (const end = entry + at(panel.count); entry < end; entry += 4) {
    store<f32>(plane + load<usize>(entry), load<f32>(lanes));
    lanes += 4;
  }
}

/** Outputs that no tap reaches: the bias, activated. */
function withoutTerms(
  work: Work,
  plan: Plan,
  bias: usize,
  out: usize,
  samples: i32,
  position: i32,
  positions: i32,
): void {
  for (let n = 0; n < samples; n++) {
    for (let r = 0; r < plan.rows; r++) {
      const value = activateOne(bias ? load<f32>(bias + at(r)) : 0, work.activation, work.leak);
      for (let p = position; p < position + positions; p++) {
        const where = plan.outFirst + (p / plan.gridWidth) * plan.outRow + (p % plan.gridWidth) * plan.outColumn;
        store<f32>(out + <usize>n * plan.outSample + at(r * plan.outPlane + where), value);
      }
    }
  }
}
