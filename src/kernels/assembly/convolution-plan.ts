/**
 * What the three convolution kernels share: the geometry, and the plan of one product. AssemblyScript.
 *
 * A forward pass and each phase of the gradient to the input are the same thing: a grid of output positions, each the
 * sum over input channels and taps of a weight times a word of the staged rows. Staged rows are the input's rows with
 * their padding written out and, for a stride, the columns sorted by remainder, so that neighbouring positions of the
 * grid always read neighbouring words. Glossary: T taps; a phase: the inputs whose coordinates have one remainder
 * modulo the stride.
 */
import { TILE_COLUMNS, WINOGRAD_CHANNELS, WINOGRAD_POSITIONS } from './blocking';
import { at } from './words';

/** Fields of a geometry, in the order of GEOMETRY_FIELDS. */
@unmanaged
export class Geometry {
  channelsIn: i32;
  heightIn: i32;
  widthIn: i32;
  channelsOut: i32;
  heightOut: i32;
  widthOut: i32;
  kernelHeight: i32;
  kernelWidth: i32;
  strideY: i32;
  strideX: i32;
  paddingTop: i32;
  paddingLeft: i32;
  dilationY: i32;
  dilationX: i32;
  groups: i32;
}

/** Whether the kernels go by winograd.ts and winograd-weights.ts. sizes.ts asks the same. */
export function byWinograd(g: Geometry): bool {
  return (
    g.kernelHeight == 3 &&
    g.kernelWidth == 3 &&
    g.strideY == 1 &&
    g.strideX == 1 &&
    g.dilationY == 1 &&
    g.dilationX == 1 &&
    g.channelsIn / g.groups >= WINOGRAD_CHANNELS &&
    g.channelsOut / g.groups >= WINOGRAD_CHANNELS &&
    g.heightOut * g.widthOut >= WINOGRAD_POSITIONS
  );
}

export function geometryAt(offset: i32): Geometry {
  return changetype<Geometry>(at(offset));
}

/** One product over a grid of positions, for one group of channels. Words unless a field says bytes or address. */
@unmanaged
export class Plan {
  /** Output channels and input channels of a group. */
  rows: i32;
  channels: i32;
  /** T, and the address of the taps' offsets within a staged channel. */
  taps: i32;
  tapTable: usize;
  sourceHeight: i32;
  sourceWidth: i32;
  /** Source row and column of the first staged word, at grid row 0. */
  firstRow: i32;
  firstColumn: i32;
  /** Source rows per grid row; rows that the taps of one grid row span. */
  rowStep: i32;
  tapRows: i32;
  /** Source columns per staged column; column phases; words of a phase and of a staged row. */
  columnStep: i32;
  phases: i32;
  phaseWords: i32;
  rowWords: i32;
  gridHeight: i32;
  gridWidth: i32;
  /** Where position (row, column) goes: outFirst + row outRow + column outColumn, in a plane of outPlane. */
  outFirst: i32;
  outRow: i32;
  outColumn: i32;
  outPlane: i32;
  /** Bytes from sample to sample. */
  sourceSample: usize;
  outSample: usize;
  /** Whether output channels, not positions, lie along the lanes of the product. */
  across: bool;
}

/** Words of a plan on the heap. */
export const PLAN_WORDS: i32 = 32;

// @ts-ignore: decorator
@inline
export function ceilDivide(a: i32, b: i32): i32 {
  return (a + b - 1) / b;
}

/** Rows rounded up to whole pairs. */
// @ts-ignore: decorator
@inline
export function pairs(rows: i32): i32 {
  return (rows + 1) & ~1;
}

/** a rounded up to a multiple of TILE_COLUMNS. */
// @ts-ignore: decorator
@inline
export function panels(a: i32): i32 {
  return (a + TILE_COLUMNS - 1) & -TILE_COLUMNS;
}

/**
 * Whether a product over `positions` of a sample, such as 9 or 36, leaves fewer lanes of its tiles idle with the output
 * channels along them than with the positions: a matter of the geometry alone, for weights are packed accordingly.
 * length: channels x taps, of which a few do not pay for turning the result.
 */
export function isAcross(rows: i32, positions: i32, length: i32): bool {
  return (
    length >= 32 &&
    rows > TILE_COLUMNS / 2 &&
    1.06 * <f64>pairs(positions) * <f64>panels(rows) < <f64>panels(positions) * <f64>pairs(rows)
  );
}

/** Rows of packed weights: whole panels or pairs. */
// @ts-ignore: decorator
@inline
export function packedRows(plan: Plan): i32 {
  return plan.across ? panels(plan.rows) : pairs(plan.rows);
}

/** Plan of the forward pass. A kernel of one tap and stride 1 without padding sees a plane as one row. */
export function planForward(geometry: Geometry, plan: Plan, tapTable: usize): void {
  const flat =
    geometry.kernelHeight == 1 &&
    geometry.kernelWidth == 1 &&
    geometry.strideY == 1 &&
    geometry.strideX == 1 &&
    geometry.paddingTop == 0 &&
    geometry.paddingLeft == 0 &&
    geometry.heightIn == geometry.heightOut &&
    geometry.widthIn == geometry.widthOut;
  const spanX = (geometry.kernelWidth - 1) * geometry.dilationX;
  plan.rows = geometry.channelsOut / geometry.groups;
  plan.channels = geometry.channelsIn / geometry.groups;
  plan.taps = geometry.kernelHeight * geometry.kernelWidth;
  plan.tapTable = tapTable;
  plan.sourceHeight = flat ? 1 : geometry.heightIn;
  plan.sourceWidth = flat ? geometry.heightIn * geometry.widthIn : geometry.widthIn;
  plan.gridHeight = flat ? 1 : geometry.heightOut;
  plan.gridWidth = flat ? plan.sourceWidth : geometry.widthOut;
  plan.firstRow = -geometry.paddingTop;
  plan.firstColumn = -geometry.paddingLeft;
  plan.rowStep = geometry.strideY;
  plan.tapRows = (geometry.kernelHeight - 1) * geometry.dilationY + 1;
  plan.columnStep = geometry.strideX;
  plan.phases = min(geometry.strideX, spanX + 1);
  plan.phaseWords = plan.gridWidth + spanX / geometry.strideX;
  plan.rowWords = plan.phases * plan.phaseWords;
  plan.outFirst = 0;
  plan.outRow = plan.gridWidth;
  plan.outColumn = 1;
  plan.outPlane = geometry.heightOut * geometry.widthOut;
  plan.across = isAcross(plan.rows, plan.gridHeight * plan.gridWidth, plan.channels * plan.taps);
  plan.sourceSample = at(geometry.channelsIn * geometry.heightIn * geometry.widthIn);
  plan.outSample = at(geometry.channelsOut * plan.outPlane);
  for (let ky = 0; ky < geometry.kernelHeight; ky++) {
    for (let kx = 0; kx < geometry.kernelWidth; kx++) {
      const u = kx * geometry.dilationX;
      store<i32>(
        tapTable,
        ky * geometry.dilationY * plan.rowWords + (u % geometry.strideX) * plan.phaseWords + u / geometry.strideX,
      );
      tapTable += 4;
    }
  }
}

/** Whether tap `tap` reaches an input of phase `phase`. */
// @ts-ignore: decorator
@inline
export function reaches(phase: i32, tap: i32, padding: i32, dilation: i32, stride: i32): bool {
  return (phase + padding - tap * dilation) % stride == 0;
}

/**
 * Plan of the gradient to the inputs whose row has remainder phaseY, whose column phaseX, modulo the strides: a product
 * of stride 1 over dy with the taps that reach them. Input row a stride + phaseY takes dy's row a + (phaseY + padding -
 * ky dilation) / stride.
 */
export function planBackward(geometry: Geometry, plan: Plan, tapTable: usize, phaseY: i32, phaseX: i32): void {
  plan.rows = geometry.channelsIn / geometry.groups;
  plan.channels = geometry.channelsOut / geometry.groups;
  plan.tapTable = tapTable;
  plan.sourceHeight = geometry.heightOut;
  plan.sourceWidth = geometry.widthOut;
  plan.gridHeight = ceilDivide(geometry.heightIn - phaseY, geometry.strideY);
  plan.gridWidth = ceilDivide(geometry.widthIn - phaseX, geometry.strideX);
  let top = i32.MAX_VALUE,
    bottom = i32.MIN_VALUE,
    left = i32.MAX_VALUE,
    right = i32.MIN_VALUE;
  for (let ky = 0; ky < geometry.kernelHeight; ky++) {
    if (!reaches(phaseY, ky, geometry.paddingTop, geometry.dilationY, geometry.strideY)) continue;
    const y = (phaseY + geometry.paddingTop - ky * geometry.dilationY) / geometry.strideY;
    top = min(top, y);
    bottom = max(bottom, y);
  }
  for (let kx = 0; kx < geometry.kernelWidth; kx++) {
    if (!reaches(phaseX, kx, geometry.paddingLeft, geometry.dilationX, geometry.strideX)) continue;
    const x = (phaseX + geometry.paddingLeft - kx * geometry.dilationX) / geometry.strideX;
    left = min(left, x);
    right = max(right, x);
  }
  plan.rowStep = 1;
  plan.columnStep = 1;
  plan.phases = 1;
  plan.outFirst = phaseY * geometry.widthIn + phaseX;
  plan.outRow = geometry.strideY * geometry.widthIn;
  plan.outColumn = geometry.strideX;
  plan.outPlane = geometry.heightIn * geometry.widthIn;
  plan.sourceSample = at(geometry.channelsOut * geometry.heightOut * geometry.widthOut);
  plan.outSample = at(geometry.channelsIn * plan.outPlane);
  plan.taps = 0;
  plan.across = false;
  if (top > bottom || left > right) return;

  plan.firstRow = top;
  plan.firstColumn = left;
  plan.tapRows = bottom - top + 1;
  plan.phaseWords = plan.gridWidth + right - left;
  plan.rowWords = plan.phaseWords;
  for (let ky = geometry.kernelHeight - 1; ky >= 0; ky--) {
    if (!reaches(phaseY, ky, geometry.paddingTop, geometry.dilationY, geometry.strideY)) continue;
    for (let kx = geometry.kernelWidth - 1; kx >= 0; kx--) {
      if (!reaches(phaseX, kx, geometry.paddingLeft, geometry.dilationX, geometry.strideX)) continue;
      const y = (phaseY + geometry.paddingTop - ky * geometry.dilationY) / geometry.strideY - top;
      const x = (phaseX + geometry.paddingLeft - kx * geometry.dilationX) / geometry.strideX - left;
      store<i32>(tapTable, y * plan.rowWords + x);
      tapTable += 4;
      plan.taps++;
    }
  }
  plan.across = isAcross(plan.rows, plan.gridHeight * plan.gridWidth, plan.channels * plan.taps);
}

/**
 * Writes staged rows [0, count) of `channels` channels from `source` (channel planes of sourceHeight x sourceWidth) to
 * `to`, [channels][count][phases][phaseWords], for the grid row `gridRow`. What lies outside the source is zero. Cost:
 * one copy.
 */
export function stageRows(plan: Plan, source: usize, to: usize, channels: i32, gridRow: i32, count: i32): void {
  const sourceRowBytes = at(plan.sourceWidth),
    planeBytes = sourceRowBytes * plan.sourceHeight,
    rowBytes = at(plan.rowWords);
  for (let c = 0; c < channels; c++) {
    let row = gridRow * plan.rowStep + plan.firstRow;
    for (let r = 0; r < count; r++, row++) {
      if (row < 0 || row >= plan.sourceHeight) {
        clear(to, to + rowBytes);
        to += rowBytes;
        continue;
      }
      const from = source + <usize>row * sourceRowBytes;
      for (let phase = 0; phase < plan.phases; phase++) {
        stageRow(from, plan.sourceWidth, plan.firstColumn + phase, plan.columnStep, to, plan.phaseWords);
        to += at(plan.phaseWords);
      }
    }
    source += planeBytes;
  }
}

/** First and one past the last i in [0, count) for which first + i step lies in [0, width). */
export function insideFrom(first: i32, step: i32, count: i32): i32 {
  return first < 0 ? min(ceilDivide(-first, step), count) : 0;
}

export function insideTo(first: i32, step: i32, count: i32, width: i32): i32 {
  return first >= width ? 0 : min((width - 1 - first) / step + 1, count);
}

/** to[i] = from[first + i step] where that lies in [0, width), else 0; i in [0, count). */
export function stageRow(from: usize, width: i32, first: i32, step: i32, to: usize, count: i32): void {
  const low = insideFrom(first, step, count),
    high = max(low, insideTo(first, step, count, width));
  clear(to, to + at(low));
  copyColumns(from + at(first + low * step), step, to + at(low), high - low);
  clear(to + at(high), to + at(count));
}

/** to[i] = from[i step], i in [0, count). */
export function copyColumns(from: usize, step: i32, to: usize, count: i32): void {
  if (count >= 4 && step <= 2) {
    // The last vector overlaps the one before it.
    const last = to + at(count - 4),
      lastFrom = from + at((count - 4) * step);
    if (step == 1) {
      for (; to < last; to += 16) {
        v128.store(to, v128.load(from));
        from += 16;
      }
      v128.store(last, v128.load(lastFrom));
    } else {
      for (; to < last; to += 16) {
        v128.store(to, evens(from));
        from += 32;
      }
      v128.store(last, evens(lastFrom));
    }
    return;
  }
  for (const end = to + at(count); to < end; to += 4) {
    store<f32>(to, load<f32>(from));
    from += at(step);
  }
}

// @ts-ignore: decorator
@inline
function evens(from: usize): v128 {
  return v128.shuffle<f32>(v128.load(from), v128.load(from, 12), 0, 2, 5, 7);
}

export function clear(from: usize, end: usize): void {
  for (; from + 16 <= end; from += 16) v128.store(from, f32x4.splat(0));
  for (; from < end; from += 4) store<f32>(from, 0);
}
