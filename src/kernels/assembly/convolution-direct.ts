/**
 * Convolution straight from staged rows, for groups of one input channel: depthwise layers, their gradient to the
 * input, and first layers of small kernels, where gathering patches for a matrix product would cost more than the
 * product. AssemblyScript; see convolution-plan.ts.
 *
 * A plane is staged once, with its padding, and meets the taps of each of its outputs from registers. Each output is
 * one chain of rounded multiplications and additions in ascending order of the taps, so vectors may overlap at the ends
 * of rows and columns: what is written twice is the same. Packed weights: [group][row][tap]; backward per phase, and
 * within it [group][row][tap], the taps in the order of the staged words.
 */
import { LEAKY_RELU, RELU } from './activations.generated';
import { DIRECT_WORDS, TILE_COLUMNS } from './blocking';
import { Plan, clear, copyColumns, insideFrom, insideTo } from './convolution-plan';
import { Work } from './convolution-work';
import { at } from './words';

/**
 * Arrangements of the taps that have a kernel of their own: three rows of three words that are neighbours, or of which
 * the first and last are.
 */
export const NEIGHBOURS: i32 = 1;
const SORTED: i32 = 2;
/** Any other three rows of three. */
const THREES: i32 = 3;

/** Words of a row up to which planes are copied down strips, so that the inner loop is longer than a row's. */
const STRIPS_WORDS: i32 = 32;

/**
 * Whether a plan is for these kernels. Of several rows with more taps (7 x 7 to 64: 47 GFLOP/s), the product gathers
 * once for all.
 */
// @ts-ignore: decorator
@inline
export function isDirect(channels: i32, rows: i32, taps: i32): bool {
  return channels == 1 && (rows == 1 || taps <= 9);
}

/**
 * out[n, group, r, position] for samples [0, samples) and positions [position, position + positions) of the grid.
 * source, out: addresses of the first group's channel in the first sample; packed: all groups' weights of the plan;
 * bias: address of the biases, or 0.
 */
export function direct(
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
  const plan = changetype<Plan>(work.plan),
    end = position + positions;
  if (samples <= 0 || positions <= 0) return;
  const taps = arrangement(plan),
    firstRow = position / plan.gridWidth,
    lastRow = (end - 1) / plan.gridWidth;
  const together = max(1, (DIRECT_WORDS / plan.rowWords - plan.tapRows) / plan.rowStep + 1);
  for (let row = firstRow; row <= lastRow; row += together) {
    const rows = min(together, lastRow + 1 - row),
      first = max(position, row * plan.gridWidth),
      count = min(end, (row + rows) * plan.gridWidth) - first;
    const staged = (rows - 1) * plan.rowStep + plan.tapRows,
      words = staged * plan.rowWords,
      planes = max(1, min(groups, DIRECT_WORDS / words));
    // The padding lies where it lies for every plane, and is written once.
    clear(work.stage, work.stage + at(planes * words));
    for (let n: usize = 0; n < <usize>samples; n++) {
      let from = source + n * plan.sourceSample,
        to = out + n * plan.outSample,
        weights = packed,
        biases = bias;
      // As many planes as L1 holds, so that what is read was not written a moment ago: a vector across two stores has
      // to wait for both.
      for (let group = 0; group < groups; group += planes) {
        const here = min(planes, groups - group);
        stagePlanes(plan, from, work.stage, here, words, row, staged);
        from += at(here * plan.sourceHeight * plan.sourceWidth);
        for (let g = 0; g < here; g++) {
          for (let r = 0; r < plan.rows; r++) {
            band(
              work,
              plan,
              taps,
              work.stage + at(g * words),
              row,
              weights,
              biases ? load<f32>(biases) : 0,
              to,
              first,
              count,
            );
            if (biases) biases += 4;
            weights += at(plan.taps);
            to += at(plan.outPlane);
          }
        }
      }
    }
  }
}

/**
 * The words of planes that lie in staged rows [0, count) from grid row `gridRow`; what is padding is left alone.
 * stagePlane: words from plane to plane.
 */
export function stagePlanes(
  plan: Plan,
  source: usize,
  to: usize,
  planes: i32,
  stagePlane: i32,
  gridRow: i32,
  count: i32,
): void {
  const top = gridRow * plan.rowStep + plan.firstRow,
    low = max(0, -top),
    high = min(count, plan.sourceHeight - top);
  if (plan.columnStep == 2 && plan.phases == 2 && plan.firstColumn <= 0) {
    // Where the words of columns 0 and 1 go.
    const phase = plan.firstColumn & 1,
      even = -plan.firstColumn >> 1,
      odd = (1 - plan.firstColumn) >> 1;
    const evenWords = min(plan.phaseWords - even, (plan.sourceWidth + 1) >> 1),
      oddWords = min(plan.phaseWords - odd, plan.sourceWidth >> 1);
    for (let p = 0; p < planes; p++) {
      const here = to + at(p * stagePlane + low * plan.rowWords),
        from = source + at((p * plan.sourceHeight + top + low) * plan.sourceWidth);
      splitRows(
        from,
        at(plan.sourceWidth),
        here + at(phase * plan.phaseWords + even),
        here + at((1 - phase) * plan.phaseWords + odd),
        at(plan.rowWords),
        high - low,
        evenWords,
        oddWords,
      );
    }
    return;
  }
  for (let phase = 0; phase < plan.phases; phase++) {
    const first = plan.firstColumn + phase,
      left = insideFrom(first, plan.columnStep, plan.phaseWords);
    const words = insideTo(first, plan.columnStep, plan.phaseWords, plan.sourceWidth) - left;
    if (words <= 0) continue;
    for (let p = 0; p < planes; p++) {
      let from = source + at((p * plan.sourceHeight + top + low) * plan.sourceWidth + first + left * plan.columnStep);
      let here = to + at(p * stagePlane + low * plan.rowWords + phase * plan.phaseWords + left);
      if (plan.columnStep == 1) {
        copyRows(from, at(plan.sourceWidth), here, at(plan.rowWords), high - low, words);
        continue;
      }
      for (let r = low; r < high; r++) {
        copyColumns(from, plan.columnStep, here, words);
        from += at(plan.sourceWidth);
        here += at(plan.rowWords);
      }
    }
  }
}

/**
 * Rows of which the words at even columns go to one place and those at odd columns to another; counts below 1: none.
 * Down strips, whose loop is longer than a row's.
 */
function splitRows(
  from: usize,
  pitch: usize,
  even: usize,
  odd: usize,
  toPitch: usize,
  rows: i32,
  evenWords: i32,
  oddWords: i32,
): void {
  if (rows <= 0) return;
  const both = min(evenWords, oddWords);
  if (both >= 4) {
    // The last strip overlaps the one before it.
    for (let column = 0; ; column = min(column + 4, both - 4)) {
      let here = from + at(2 * column),
        first = even + at(column),
        second = odd + at(column),
        left = rows;
      do {
        const a = v128.load(here),
          b = v128.load(here, 16);
        v128.store(first, v128.shuffle<f32>(a, b, 0, 2, 4, 6));
        v128.store(second, v128.shuffle<f32>(a, b, 1, 3, 5, 7));
        here += pitch;
        first += toPitch;
        second += toPitch;
      } while (--left);
      if (column == both - 4) break;
    }
  }
  const rest = both >= 4 ? both : 0;
  for (let column = rest; column < evenWords; column++)
    copyDown(from + at(2 * column), pitch, even + at(column), toPitch, rows);
  for (let column = rest; column < oddWords; column++)
    copyDown(from + at(2 * column + 1), pitch, odd + at(column), toPitch, rows);
}

/** `words` words of every row, down strips while those are few. */
export function copyRows(from: usize, pitch: usize, to: usize, toPitch: usize, rows: i32, words: i32): void {
  if (rows <= 0) return;
  if (words > STRIPS_WORDS) {
    for (let r = 0; r < rows; r++) {
      copyColumns(from, 1, to, words);
      from += pitch;
      to += toPitch;
    }
    return;
  }
  if (words < 4) {
    for (let column = 0; column < words; column++) copyDown(from + at(column), pitch, to + at(column), toPitch, rows);
    return;
  }
  // The last strip overlaps the one before it.
  for (let column = 0; ; column = min(column + 4, words - 4)) {
    let here = from + at(column),
      there = to + at(column),
      left = rows;
    do {
      v128.store(there, v128.load(here));
      here += pitch;
      there += toPitch;
    } while (--left);
    if (column == words - 4) return;
  }
}

/** One word of every row. */
// @ts-ignore: decorator
@inline
function copyDown(from: usize, pitch: usize, to: usize, toPitch: usize, rows: i32): void {
  do {
    store<f32>(to, load<f32>(from));
    from += pitch;
    to += toPitch;
  } while (--rows);
}

/**
 * Positions [first, first + count) of one output plane, from rows staged at grid row `bandRow`: a row that is cut,
 * whole rows, a row that is cut.
 */
function band(
  work: Work,
  plan: Plan,
  taps: i32,
  stage: usize,
  bandRow: i32,
  weights: usize,
  bias: f32,
  out: usize,
  first: i32,
  count: i32,
): void {
  const end = first + count,
    width = plan.gridWidth;
  while (first < end) {
    const row = first / width,
      column = first - row * width;
    const whole = column == 0 && end - first >= width;
    const rows = whole ? (end - first) / width : 1,
      columns = whole ? width : min(width - column, end - first);
    const from = stage + at((row - bandRow) * plan.rowStep * plan.rowWords + column),
      to = out + at(plan.outFirst + row * plan.outRow + column * plan.outColumn);
    if (plan.outColumn == 1) block(work, plan, taps, from, weights, bias, to, rows, columns);
    else spreadBlock(work, plan, taps, from, weights, bias, to, rows, columns);
    first += rows * columns;
  }
}

/** Neighbours in the grid that lie apart in the output: through the edge. */
function spreadBlock(
  work: Work,
  plan: Plan,
  taps: i32,
  from: usize,
  weights: usize,
  bias: f32,
  to: usize,
  rows: i32,
  columns: i32,
): void {
  for (let r = 0; r < rows; r++) {
    for (let first = 0; first < columns; first += 2 * TILE_COLUMNS) {
      const count = min(2 * TILE_COLUMNS, columns - first);
      block(work, plan, taps, from + at(first), weights, bias, work.edge, 1, count);
      for (let i = 0; i < count; i++) store<f32>(to + at((first + i) * plan.outColumn), load<f32>(work.edge + at(i)));
    }
    from += at(plan.rowStep * plan.rowWords);
    to += at(plan.outRow);
  }
}

/** How the taps lie: 0 unless the offsets of 3 x 3 taps are those of a row, thrice. */
export function arrangement(plan: Plan): i32 {
  const table = plan.tapTable;
  if (plan.taps != 9) return 0;
  const middle = load<i32>(table, 4),
    right = load<i32>(table, 8),
    pitch = load<i32>(table, 12);
  for (let k = 0; k < 9; k++) {
    if (load<i32>(table + at(k)) != (k / 3) * pitch + (k % 3 == 0 ? 0 : k % 3 == 1 ? middle : right)) return 0;
  }
  if (middle == 1 && right == 2 && pitch == plan.rowStep * plan.rowWords) return NEIGHBOURS;
  return right == 1 ? SORTED : THREES;
}

/** A rectangle of outputs. */
function block(
  work: Work,
  plan: Plan,
  taps: i32,
  from: usize,
  weights: usize,
  bias: f32,
  to: usize,
  rows: i32,
  columns: i32,
): void {
  const table = plan.tapTable,
    step = at(plan.rowStep * plan.rowWords),
    toStep = at(plan.outRow);
  const floor: f32 = work.activation == RELU ? 0 : -Infinity;
  // Fewer columns than lanes go to a place of their own, a few rows at a time, and from there.
  const narrow = columns < 4,
    place = narrow ? work.edge : to,
    placeStep = narrow ? 16 : toStep,
    together = narrow ? 8 : rows,
    last = at(narrow ? 0 : columns - 4);
  for (let r = 0; r < rows; r += together) {
    const count = min(together, rows - r);
    if (taps == NEIGHBOURS) neighbours(from, step, place, placeStep, count, last, weights, bias, floor);
    else if (taps == SORTED)
      sorted(
        from,
        step,
        at(load<i32>(table, 12)),
        at(load<i32>(table, 4)),
        place,
        placeStep,
        count,
        last,
        weights,
        bias,
        floor,
      );
    else others(from, step, place, placeStep, count, last, weights, table, table + at(plan.taps), bias, floor);
    if (narrow) {
      for (let i: usize = 0; i < <usize>count; i++) {
        for (let c: usize = 0; c < at(columns); c += 4) store<f32>(to + i * toStep + c, load<f32>(place + 16 * i + c));
      }
    }
    if (work.activation == LEAKY_RELU) leakRows(to, toStep, count, columns, work.leak);
    from += <usize>together * step;
    to += <usize>together * toStep;
  }
}

/** In a pass of its own, since vectors that overlap would take it twice. */
function leakRows(to: usize, toStep: usize, rows: i32, columns: i32, leak: f32): void {
  for (let r = 0; r < rows; r++) {
    let here = to;
    for (const end = to + at(columns); here < end; here += 4) {
      const x = load<f32>(here);
      if (x < 0) store<f32>(here, x * leak);
    }
    to += toStep;
  }
}

/**
 * Outputs of 3 x 3 neighbours, stride 1: rows of vectors from 0 to `last` (bytes). from, to: the first row; bytes. Down
 * strips of one vector, so that a staged word is loaded for its three rows of outputs at once; 43 GFLOP/s on 48 x 48
 * and 32 on 6 x 8, where row by row gives 45 and 25. The sums begin with the bias; `floor` is 0 for ReLU, else
 * -Infinity. pmax lets a NaN through.
 */
function neighbours(
  from: usize,
  pitch: usize,
  to: usize,
  toPitch: usize,
  rows: i32,
  last: usize,
  weights: usize,
  bias: f32,
  floor: f32,
): void {
  const w0 = v128.load32_splat(weights),
    w1 = v128.load32_splat(weights, 4),
    w2 = v128.load32_splat(weights, 8);
  const w3 = v128.load32_splat(weights, 12),
    w4 = v128.load32_splat(weights, 16),
    w5 = v128.load32_splat(weights, 20);
  const w6 = v128.load32_splat(weights, 24),
    w7 = v128.load32_splat(weights, 28),
    w8 = v128.load32_splat(weights, 32);
  const first = f32x4.splat(bias),
    least = f32x4.splat(floor);
  for (let strip: usize = 0; ; strip = min(strip + 16, last)) {
    let p = from + strip,
      here = to + strip,
      count = rows;
    let a = v128.load(p),
      b = v128.load(p, 4),
      c = v128.load(p, 8);
    let upper = f32x4.add(f32x4.add(f32x4.add(first, f32x4.mul(w0, a)), f32x4.mul(w1, b)), f32x4.mul(w2, c));
    p += pitch;
    ((a = v128.load(p)), (b = v128.load(p, 4)), (c = v128.load(p, 8)));
    let lower = f32x4.add(f32x4.add(f32x4.add(first, f32x4.mul(w0, a)), f32x4.mul(w1, b)), f32x4.mul(w2, c));
    upper = f32x4.add(f32x4.add(f32x4.add(upper, f32x4.mul(w3, a)), f32x4.mul(w4, b)), f32x4.mul(w5, c));
    do {
      p += pitch;
      ((a = v128.load(p)), (b = v128.load(p, 4)), (c = v128.load(p, 8)));
      v128.store(
        here,
        f32x4.pmax(f32x4.add(f32x4.add(f32x4.add(upper, f32x4.mul(w6, a)), f32x4.mul(w7, b)), f32x4.mul(w8, c)), least),
      );
      upper = f32x4.add(f32x4.add(f32x4.add(lower, f32x4.mul(w3, a)), f32x4.mul(w4, b)), f32x4.mul(w5, c));
      lower = f32x4.add(f32x4.add(f32x4.add(first, f32x4.mul(w0, a)), f32x4.mul(w1, b)), f32x4.mul(w2, c));
      here += toPitch;
    } while (--count);
    if (strip == last) return;
  }
}

// @ts-ignore: decorator
@inline
function addThree(sum: v128, w0: v128, w1: v128, w2: v128, p: usize, middle: usize): v128 {
  return f32x4.add(
    f32x4.add(f32x4.add(sum, f32x4.mul(w0, v128.load(p))), f32x4.mul(w1, v128.load(p + middle))),
    f32x4.mul(w2, v128.load(p, 4)),
  );
}

/**
 * The same for a stride of 2 along the row: its first and third tap lie side by side, the second `middle` further, and
 * rows of taps `tapPitch` apart.
 */
function sorted(
  from: usize,
  pitch: usize,
  tapPitch: usize,
  middle: usize,
  to: usize,
  toPitch: usize,
  rows: i32,
  last: usize,
  weights: usize,
  bias: f32,
  floor: f32,
): void {
  const w0 = v128.load32_splat(weights),
    w1 = v128.load32_splat(weights, 4),
    w2 = v128.load32_splat(weights, 8);
  const w3 = v128.load32_splat(weights, 12),
    w4 = v128.load32_splat(weights, 16),
    w5 = v128.load32_splat(weights, 20);
  const w6 = v128.load32_splat(weights, 24),
    w7 = v128.load32_splat(weights, 28),
    w8 = v128.load32_splat(weights, 32);
  const first = f32x4.splat(bias),
    least = f32x4.splat(floor);
  do {
    for (let place: usize = 0; ; place = min(place + 16, last)) {
      const p = from + place;
      let sum = addThree(first, w0, w1, w2, p, middle);
      sum = addThree(sum, w3, w4, w5, p + tapPitch, middle);
      sum = addThree(sum, w6, w7, w8, p + 2 * tapPitch, middle);
      v128.store(to + place, f32x4.pmax(sum, least));
      if (place == last) break;
    }
    from += pitch;
    to += toPitch;
  } while (--rows);
}

/** The same for taps that lie anywhere: at the offsets of a table. */
function others(
  from: usize,
  pitch: usize,
  to: usize,
  toPitch: usize,
  rows: i32,
  last: usize,
  weights: usize,
  table: usize,
  tableEnd: usize,
  bias: f32,
  floor: f32,
): void {
  const first = f32x4.splat(bias),
    least = f32x4.splat(floor);
  do {
    if (last >= 48) {
      for (let place: usize = 0; ; place = min(place + 64, last - 48)) {
        const patch = from + place,
          here = to + place;
        let s0 = first,
          s1 = first,
          s2 = first,
          s3 = first,
          weight = weights;
        for (let entry = table; entry < tableEnd; entry += 4) {
          const word = patch + at(load<i32>(entry)),
            w = v128.load32_splat(weight);
          s0 = f32x4.add(s0, f32x4.mul(w, v128.load(word)));
          s1 = f32x4.add(s1, f32x4.mul(w, v128.load(word, 16)));
          s2 = f32x4.add(s2, f32x4.mul(w, v128.load(word, 32)));
          s3 = f32x4.add(s3, f32x4.mul(w, v128.load(word, 48)));
          weight += 4;
        }
        v128.store(here, f32x4.pmax(s0, least));
        v128.store(here, f32x4.pmax(s1, least), 16);
        v128.store(here, f32x4.pmax(s2, least), 32);
        v128.store(here, f32x4.pmax(s3, least), 48);
        if (place == last - 48) break;
      }
    } else {
      for (let place: usize = 0; ; place = min(place + 16, last)) {
        let sum = first,
          weight = weights;
        for (let entry = table; entry < tableEnd; entry += 4) {
          sum = f32x4.add(sum, f32x4.mul(v128.load32_splat(weight), v128.load(from + place + at(load<i32>(entry)))));
          weight += 4;
        }
        v128.store(to + place, f32x4.pmax(sum, least));
        if (place == last) break;
      }
    }
    from += pitch;
    to += toPitch;
  } while (--rows);
}
