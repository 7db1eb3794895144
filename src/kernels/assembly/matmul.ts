/**
 * Matrix product in WebAssembly SIMD: packed panels around the register tile (Goto, van de Geijn, "Anatomy of
 * High-Performance Matrix Multiplication", 2008), one row or column without packing,
 * and operands contiguous along k (matmul-along.ts). AssemblyScript; see ../specification/kernels.ts.
 */
import {
  ALONG_K,
  BLOCK_K,
  BLOCK_M,
  BLOCK_N,
  FEW_WORDS,
  NARROW_N,
  ROWS_FIRST_WORDS,
  SHORT_K,
  TILE_COLUMNS,
  TILE_ROWS,
  VECTOR_COLUMNS,
} from './blocking';
import { activateOne, slopeOf } from './activation';
import { productAlong } from './matmul-along';
import { ADD, FINISH, align, blockLength, tile } from './tile';
import { transpose } from './vector';
import { at } from './words';

const ACCUMULATE: i32 = 1;
const BIAS_PER_ROW: i32 = 2;
const BIAS_PER_COLUMN: i32 = 4;

/**
 * Rows [0, rows) and k [0, length) of a as pairs of rows, [rows / 2][length][2]; a missing row is zero. Strides in
 * bytes.
 */
export function packRows(to: usize, a: usize, row: usize, column: usize, rows: i32, length: i32): void {
  for (let i = 0; i < rows; i += 2) {
    const single = i + 1 == rows;
    let first = a + <usize>i * row;
    let second = single ? first : first + row;
    let l = 0;
    if (column == 4) {
      for (; l + 4 <= length; l += 4) {
        const x = v128.load(first);
        const y = single ? f32x4.splat(0) : v128.load(second);
        v128.store(to, v128.shuffle<f32>(x, y, 0, 4, 1, 5));
        v128.store(to, v128.shuffle<f32>(x, y, 2, 6, 3, 7), 16);
        first += 16;
        second += 16;
        to += 32;
      }
    } else if (row == 4 && !single) {
      for (; l < length; l++) {
        store<u64>(to, load<u64>(first));
        first += column;
        to += 8;
      }
    }
    for (; l < length; l++) {
      store<f32>(to, load<f32>(first));
      store<f32>(to, single ? 0 : load<f32>(second), 4);
      first += column;
      second += column;
      to += 8;
    }
  }
}

// @ts-ignore: decorator
@inline
function copyPanelRow(to: usize, from: usize): void {
  v128.store(to, v128.load(from));
  v128.store(to, v128.load(from, 16), 16);
  v128.store(to, v128.load(from, 32), 32);
  v128.store(to, v128.load(from, 48), 48);
}

/**
 * Columns [0, columns) and k [0, length) of b as panels of 16 columns, [columns / 16][length][16]; missing columns are
 * zero. Strides in bytes.
 */
export function packColumns(to: usize, b: usize, row: usize, column: usize, columns: i32, length: i32): void {
  for (let j = 0; j < columns; j += TILE_COLUMNS) {
    const width = min(TILE_COLUMNS, columns - j);
    const first = b + <usize>j * column;
    const panelBytes = (<usize>length) << 6;
    if (column == 4 && columns - j >= 4 * TILE_COLUMNS) {
      // Four panels together, so that whole lines of b follow each other.
      for (let l = 0; l < length; l++) {
        const from = first + <usize>l * row;
        copyPanelRow(to, from);
        copyPanelRow(to + panelBytes, from + 64);
        copyPanelRow(to + 2 * panelBytes, from + 128);
        copyPanelRow(to + 3 * panelBytes, from + 192);
        to += 64;
      }
      to += 3 * panelBytes;
      j += 3 * TILE_COLUMNS;
      continue;
    }
    if (width == TILE_COLUMNS && column == 4) {
      for (let l = 0; l < length; l++) {
        copyPanelRow(to, first + <usize>l * row);
        to += 64;
      }
      continue;
    }
    if (width < TILE_COLUMNS) memory.fill(to, 0, panelBytes);
    // By quads of columns as far as they are whole, then word by word.
    let lane = 0;
    if (row == 4) {
      for (; lane + 4 <= width; lane += 4) {
        let from = first + <usize>lane * column;
        let here = to + at(lane);
        let l = 0;
        for (; l + 4 <= length; l += 4) {
          transpose(
            v128.load(from),
            v128.load(from + column),
            v128.load(from + 2 * column),
            v128.load(from + 3 * column),
            here,
            here + 64,
            here + 128,
            here + 192,
          );
          from += 16;
          here += 256;
        }
        for (; l < length; l++) {
          for (let next: usize = 0; next < 4; next++) store<f32>(here + 4 * next, load<f32>(from + next * column));
          from += 4;
          here += 64;
        }
      }
    } else if (column == 4) {
      for (; lane + 4 <= width; lane += 4) {
        for (let l = 0; l < length; l++)
          v128.store(to + at(lane) + ((<usize>l) << 6), v128.load(first + at(lane) + <usize>l * row));
      }
    }
    if (lane < width) {
      for (let l = 0; l < length; l++) {
        const here = to + ((<usize>l) << 6),
          from = first + <usize>l * row;
        for (let rest = lane; rest < width; rest++) store<f32>(here + at(rest), load<f32>(from + <usize>rest * column));
      }
    }
    to += panelBytes;
  }
}

/**
 * sums[0, columns) += vector [length] times b, whose rows are contiguous: four rows of b pass at a time, in ascending
 * order.
 */
function addRows(sums: usize, vector: usize, b: usize, row: usize, columns: i32, length: i32): void {
  let l = 0;
  for (; l + 4 <= length; l += 4) {
    const a = v128.load(vector + ((<usize>l) << 2));
    const a0 = v128.shuffle<f32>(a, a, 0, 0, 0, 0),
      a1 = v128.shuffle<f32>(a, a, 1, 1, 1, 1);
    const a2 = v128.shuffle<f32>(a, a, 2, 2, 2, 2),
      a3 = v128.shuffle<f32>(a, a, 3, 3, 3, 3);
    const b0 = b + <usize>l * row,
      b1 = b0 + row,
      b2 = b1 + row,
      b3 = b2 + row;
    let j: usize = 0;
    const whole = (<usize>(columns & ~3)) << 2,
      end = (<usize>columns) << 2;
    for (; j < whole; j += 16) {
      let sum = v128.load(sums + j);
      sum = f32x4.add(sum, f32x4.mul(a0, v128.load(b0 + j)));
      sum = f32x4.add(sum, f32x4.mul(a1, v128.load(b1 + j)));
      sum = f32x4.add(sum, f32x4.mul(a2, v128.load(b2 + j)));
      sum = f32x4.add(sum, f32x4.mul(a3, v128.load(b3 + j)));
      v128.store(sums + j, sum);
    }
    for (; j < end; j += 4) {
      let sum = load<f32>(sums + j);
      sum += f32x4.extract_lane(a, 0) * load<f32>(b0 + j);
      sum += f32x4.extract_lane(a, 1) * load<f32>(b1 + j);
      sum += f32x4.extract_lane(a, 2) * load<f32>(b2 + j);
      sum += f32x4.extract_lane(a, 3) * load<f32>(b3 + j);
      store<f32>(sums + j, sum);
    }
  }
  for (; l < length; l++) {
    const a = load<f32>(vector + ((<usize>l) << 2));
    let from = b + <usize>l * row;
    for (let j: usize = 0, end = (<usize>columns) << 2; j < end; j += 4)
      store<f32>(sums + j, load<f32>(sums + j) + a * load<f32>(from + j));
  }
}

/** sum + a[0] x column 0 + ... of a 4 by 4 block that lies as four rows (outputs) of four k. */
// @ts-ignore: decorator
@inline
function addQuad(sum: v128, a0: v128, a1: v128, a2: v128, a3: v128, r0: v128, r1: v128, r2: v128, r3: v128): v128 {
  const low01 = v128.shuffle<f32>(r0, r1, 0, 4, 1, 5);
  const high01 = v128.shuffle<f32>(r0, r1, 2, 6, 3, 7);
  const low23 = v128.shuffle<f32>(r2, r3, 0, 4, 1, 5);
  const high23 = v128.shuffle<f32>(r2, r3, 2, 6, 3, 7);
  sum = f32x4.add(sum, f32x4.mul(a0, v128.shuffle<f64>(low01, low23, 0, 2)));
  sum = f32x4.add(sum, f32x4.mul(a1, v128.shuffle<f64>(low01, low23, 1, 3)));
  sum = f32x4.add(sum, f32x4.mul(a2, v128.shuffle<f64>(high01, high23, 0, 2)));
  return f32x4.add(sum, f32x4.mul(a3, v128.shuffle<f64>(high01, high23, 1, 3)));
}

/**
 * sums[0, columns) += vector [length] times b, whose columns are contiguous (stride `column`): blocks of b are
 * transposed in registers, so that each sum is the same chain in ascending k as in the tile. Two quads of columns at a
 * time hide the latency of the additions.
 */
function addColumns(sums: usize, vector: usize, b: usize, column: usize, columns: i32, length: i32): void {
  const blocks = length & ~3;
  let j = 0;
  for (; j + 8 <= columns; j += 8) {
    const at = sums + ((<usize>j) << 2);
    let s0 = v128.load(at),
      s1 = v128.load(at, 16);
    let p = b + <usize>j * column,
      q = p + 4 * column;
    let l = 0;
    for (; l < blocks; l += 4) {
      const a = v128.load(vector + ((<usize>l) << 2));
      const a0 = v128.shuffle<f32>(a, a, 0, 0, 0, 0),
        a1 = v128.shuffle<f32>(a, a, 1, 1, 1, 1);
      const a2 = v128.shuffle<f32>(a, a, 2, 2, 2, 2),
        a3 = v128.shuffle<f32>(a, a, 3, 3, 3, 3);
      s0 = addQuad(
        s0,
        a0,
        a1,
        a2,
        a3,
        v128.load(p),
        v128.load(p + column),
        v128.load(p + 2 * column),
        v128.load(p + 3 * column),
      );
      s1 = addQuad(
        s1,
        a0,
        a1,
        a2,
        a3,
        v128.load(q),
        v128.load(q + column),
        v128.load(q + 2 * column),
        v128.load(q + 3 * column),
      );
      p += 16;
      q += 16;
    }
    v128.store(at, s0);
    v128.store(at, s1, 16);
    if (l < length) {
      for (let lane: usize = 0; lane < 8; lane++)
        addTail(at + 4 * lane, vector, b + (<usize>j + lane) * column, l, length);
    }
  }
  for (; j < columns; j++) addTail(sums + ((<usize>j) << 2), vector, b + <usize>j * column, 0, length);
}

/** One sum, k in [from, length). */
function addTail(sum: usize, vector: usize, column: usize, from: i32, length: i32): void {
  let total = load<f32>(sum);
  for (let l = from; l < length; l++)
    total += load<f32>(vector + ((<usize>l) << 2)) * load<f32>(column + ((<usize>l) << 2));
  store<f32>(sum, total);
}

/**
 * One row times b without packing b: out[j] (+)= sum over k of a[k] b[k, j]. b's rows or its columns must be
 * contiguous. `shared`: the bias of the row; `each`: address of the biases of the outputs, or 0. Strides in bytes.
 * Scratch: a block of a, sums of a block and in all.
 */
function vectorProduct(
  scratch: usize,
  n: i32,
  k: i32,
  a: usize,
  aStep: usize,
  b: usize,
  row: usize,
  column: usize,
  out: usize,
  outStep: usize,
  accumulate: bool,
  hasShared: bool,
  shared: f32,
  each: usize,
  activation: i32,
  leak: f32,
): void {
  const vector = scratch,
    sums = vector + (BLOCK_K << 2),
    totals = sums + (VECTOR_COLUMNS << 2);
  const block = blockLength(k);
  for (let j0 = 0; j0 < n; j0 += VECTOR_COLUMNS) {
    const columns = min(VECTOR_COLUMNS, n - j0);
    const bytes = (<usize>columns) << 2;
    let here = out + <usize>j0 * outStep;
    if (accumulate)
      for (let j: usize = 0; j < bytes; j += 4) store<f32>(totals + j, load<f32>(here + (j >> 2) * outStep));
    for (let k0 = 0; k0 < k; k0 += block) {
      const length = min(block, k - k0);
      for (let l: usize = 0; l < <usize>length; l++) store<f32>(vector + 4 * l, load<f32>(a + (<usize>k0 + l) * aStep));
      for (let j: usize = 0; j < bytes; j += 4) store<f32>(sums + j, 0);
      const from = b + <usize>k0 * row + <usize>j0 * column;
      if (column == 4) addRows(sums, vector, from, row, columns, length);
      else addColumns(sums, vector, from, column, columns, length);
      const add = accumulate || k0 > 0;
      for (let j: usize = 0; j < bytes; j += 4)
        store<f32>(totals + j, add ? load<f32>(totals + j) + load<f32>(sums + j) : load<f32>(sums + j));
    }
    for (let j: usize = 0; j < bytes; j += 4) {
      let bias = shared;
      if (each != 0) {
        const own = load<f32>(each + ((<usize>j0) << 2) + j);
        bias = hasShared ? shared + own : own;
      }
      store<f32>(here, activateOne(load<f32>(totals + j) + bias, activation, leak));
      here += outStep;
    }
  }
}

/** The product of no terms: zero (or what was there), bias, activation. */
function emptyProduct(
  m: i32,
  n: i32,
  c: usize,
  cRow: usize,
  flags: i32,
  bias: usize,
  activation: i32,
  leak: f32,
): void {
  for (let i: usize = 0; i < <usize>m; i++) {
    for (let j: usize = 0; j < <usize>n; j++) {
      const here = c + i * cRow + 4 * j;
      let sum = flags & ACCUMULATE ? load<f32>(here) : 0;
      if (flags & BIAS_PER_ROW) sum += load<f32>(bias + 4 * i);
      if (flags & BIAS_PER_COLUMN) sum += load<f32>(bias + 4 * j);
      store<f32>(here, activateOne(sum, activation, leak));
    }
  }
}

export function matmul(
  scratch: i32,
  m: i32,
  n: i32,
  k: i32,
  a: i32,
  aRow: i32,
  aColumn: i32,
  b: i32,
  bRow: i32,
  bColumn: i32,
  c: i32,
  cRow: i32,
  flags: i32,
  bias: i32,
  activation: i32,
  parameters: i32,
): void {
  if (m <= 0 || n <= 0) return;
  const leak = slopeOf(activation, parameters);
  const biases = at(bias),
    perRow = (flags & BIAS_PER_ROW) != 0,
    perColumn = (flags & BIAS_PER_COLUMN) != 0,
    accumulate = (flags & ACCUMULATE) != 0;
  const base = align(scratch);
  if (k <= 0) return emptyProduct(m, n, at(c), at(cRow), flags, biases, activation, leak);
  if (aColumn == 1 && bRow == 1 && k >= ALONG_K) {
    const rowBiases = perRow ? biases : 0,
      columnBiases = perColumn ? biases : 0;
    // A single column is rather a single row of the product transposed.
    const turned = n == 1;
    productAlong(
      base,
      turned ? 1 : m,
      turned ? m : n,
      k,
      at(turned ? b : a),
      at(turned ? bColumn : aRow),
      at(turned ? a : b),
      at(turned ? aRow : bColumn),
      at(c),
      at(cRow),
      turned ? at(cRow) : 4,
      accumulate,
      turned ? columnBiases : rowBiases,
      turned ? rowBiases : columnBiases,
      activation,
      leak,
    );
    return;
  }
  if (m == 1 && (bColumn == 1 || bRow == 1)) {
    return vectorProduct(
      base,
      n,
      k,
      at(a),
      at(aColumn),
      at(b),
      at(bRow),
      at(bColumn),
      at(c),
      4,
      accumulate,
      perRow,
      perRow ? load<f32>(biases) : 0,
      perColumn ? biases : 0,
      activation,
      leak,
    );
  }
  if (n == 1 && (aRow == 1 || aColumn == 1)) {
    return vectorProduct(
      base,
      m,
      k,
      at(b),
      at(bRow),
      at(a),
      at(aColumn),
      at(aRow),
      at(c),
      at(cRow),
      accumulate,
      perColumn,
      perColumn ? load<f32>(biases) : 0,
      perRow ? biases : 0,
      activation,
      leak,
    );
  }

  const work = changetype<Work>(base);
  work.columns = n;
  work.c = at(c);
  work.cRow = at(cRow);
  work.biases = biases;
  work.perRow = perRow;
  work.perColumn = perColumn;
  work.activation = activation;
  work.leak = leak;
  work.edge = base + 64;
  work.edgeBias = work.edge + 128;
  const block = blockLength(k),
    packedA = work.edgeBias + 64;
  // A few rows are packed once, in whole, and b then streams past them in narrow blocks: it is read once, as far as
  // possible in its own order.
  const few = ((m + 1) & ~1) * k <= FEW_WORDS;
  const blockRows = few ? m : min(m, BLOCK_M),
    blockColumns = few && bRow == 1 ? TILE_COLUMNS : few && k > SHORT_K ? NARROW_N : BLOCK_N;
  const rowBytes = at((blockRows + 1) & ~1),
    packedB = packedA + rowBytes * (few ? k : block);
  if (few)
    for (let k0 = 0; k0 < k; k0 += block)
      packRows(packedA + rowBytes * k0, at(a) + at(k0) * aColumn, at(aRow), at(aColumn), m, min(block, k - k0));
  for (let j0 = 0; j0 < n; j0 += blockColumns) {
    const columns = min(blockColumns, n - j0);
    for (let k0 = 0; k0 < k; k0 += block) {
      const length = min(block, k - k0);
      const steps = (accumulate || k0 > 0 ? ADD : 0) | (k0 + length == k ? FINISH : 0);
      packColumns(packedB, at(b) + at(k0) * bRow + at(j0) * bColumn, at(bRow), at(bColumn), columns, length);
      for (let i0 = 0; i0 < m; i0 += blockRows) {
        const rows = min(blockRows, m - i0);
        if (few) {
          multiply(work, packedA + rowBytes * k0, packedB, length, i0, rows, j0, columns, steps);
        } else {
          packRows(packedA, at(a) + at(i0) * aRow + at(k0) * aColumn, at(aRow), at(aColumn), rows, length);
          multiply(work, packedA, packedB, length, i0, rows, j0, columns, steps);
        }
      }
    }
  }
}

/** Constants of one call. Addresses and bytes. */
@unmanaged
class Work {
  c: usize;
  cRow: usize;
  biases: usize;
  edge: usize;
  edgeBias: usize;
  columns: i32;
  perRow: bool;
  perColumn: bool;
  activation: i32;
  leak: f32;
}

/**
 * A packed block of rows times a packed block of columns. The columns' panels stay in L1 while rows pass by; if all
 * columns fit there, rows of c are written in one go.
 */
function multiply(
  work: Work,
  packedA: usize,
  packedB: usize,
  length: i32,
  i0: i32,
  rows: i32,
  j0: i32,
  columns: i32,
  steps: i32,
): void {
  if (columns * length <= ROWS_FIRST_WORDS) {
    for (let i = 0; i < rows; i += TILE_ROWS) {
      for (let j = 0; j < columns; j += TILE_COLUMNS)
        multiplyTile(
          work,
          packedA + at(i) * length,
          packedB + at(j) * length,
          length,
          i0 + i,
          i + 1 == rows,
          j0 + j,
          steps,
        );
    }
  } else {
    for (let j = 0; j < columns; j += TILE_COLUMNS) {
      for (let i = 0; i < rows; i += TILE_ROWS)
        multiplyTile(
          work,
          packedA + at(i) * length,
          packedB + at(j) * length,
          length,
          i0 + i,
          i + 1 == rows,
          j0 + j,
          steps,
        );
    }
  }
}

/** Rows i, i + 1 (unless `single`) and up to 16 columns from j; what the tile has too much stays in the edge. */
// @ts-ignore: decorator
@inline
function multiplyTile(work: Work, a: usize, b: usize, length: i32, i: i32, single: bool, j: i32, steps: i32): void {
  const c0 = work.c + <usize>i * work.cRow + at(j),
    c1 = c0 + work.cRow,
    width = work.columns - j,
    edge = work.edge;
  const bias0: f32 = work.perRow ? load<f32>(work.biases + at(i)) : 0,
    bias1: f32 = work.perRow && !single ? load<f32>(work.biases + at(i), 4) : 0;
  let columnBias = work.perColumn ? work.biases + at(j) : 0;
  if (width >= TILE_COLUMNS && !single) {
    tile(length, a, b, c0, c1, steps, bias0, bias1, columnBias, work.activation, work.leak);
    return;
  }
  const bytes = at(min(width, TILE_COLUMNS));
  if (work.perColumn) {
    memory.copy(work.edgeBias, columnBias, bytes);
    columnBias = work.edgeBias;
  }
  if (steps & ADD) {
    memory.copy(edge, c0, bytes);
    if (!single) memory.copy(edge + 64, c1, bytes);
  }
  tile(length, a, b, edge, edge + 64, steps, bias0, bias1, columnBias, work.activation, work.leak);
  memory.copy(c0, edge, bytes);
  if (!single) memory.copy(c1, edge + 64, bytes);
}
