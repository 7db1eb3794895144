/**
 * Matrix product of two operands that both lie contiguous along the summed dimension (y = x W^T of a dense layer), in
 * WebAssembly SIMD: the lanes lie along k, so that b is read where it is, once if the rows of a are few, and only a is
 * packed. AssemblyScript; see ../specification/kernels.ts.
 *
 * Each output is four chains of rounded multiplications and additions per block of k, one per lane, added in pairs;
 * then the blocks are added in ascending order. A last quad of k that is not whole is padded with zeros in front. So an
 * output has the same bits whatever the other rows and columns are.
 */
import { activate } from './activation';
import { ALONG_BLOCK, ALONG_WORDS, BLOCK_M } from './blocking';
import { ADD, FINISH, blockLength, dotRow, dotRows, sumLanes } from './tile';
import { at } from './words';

/** Columns of b that pass a row at once. */
const COLUMNS = 4;

/** Constants of one call, and a group of columns. Addresses and bytes; columnStep: between columns of c. */
@unmanaged
class Product {
  b: usize;
  bColumn: usize;
  c: usize;
  cRow: usize;
  cColumn: usize;
  rowBiases: usize;
  columnBiases: usize;
  lanes: usize;
  columns: i32;
  activation: i32;
  leak: f32;
}

/** Keeps the last `tail` lanes of a quad. */
// @ts-ignore: decorator
@inline
function lastLanes(tail: i32): v128 {
  return i32x4.ge_s(i32x4(0, 1, 2, 3), i32x4.splat(4 - tail));
}

/**
 * k [0, length) of rows as pairs of rows, [rows / 2][quads][2][4]; a single last row as [quads][4]. A last quad that is
 * not whole is loaded so that it ends where the block does, and masked: what it begins with is of the same row, since k
 * >= 4. Strides in bytes.
 */
function packQuads(to: usize, a: usize, row: usize, rows: i32, length: i32): void {
  const whole = length >> 2,
    tail = length & 3,
    pairBytes = (<usize>((length + 3) >> 2)) << 5;
  for (let i = 0; i < rows; i++) {
    const step: usize = (i | 1) < rows ? 32 : 16;
    let here = to + <usize>(i >> 1) * pairBytes + ((<usize>(i & 1)) << 4),
      from = a + <usize>i * row;
    for (let quad = 0; quad < whole; quad++) {
      v128.store(here, v128.load(from));
      from += 16;
      here += step;
    }
    if (tail) v128.store(here, v128.and(v128.load(from + at(tail) - 16), lastLanes(tail)));
  }
}

/**
 * c (+)= a b, then bias and activation: a [m, k] with rows contiguous, b [k, n] with columns contiguous, k >= 4.
 * Biases of rows and of columns: addresses, or 0 for none. Strides in bytes.
 */
export function productAlong(
  base: usize,
  m: i32,
  n: i32,
  k: i32,
  a: usize,
  aRow: usize,
  b: usize,
  bColumn: usize,
  c: usize,
  cRow: usize,
  cColumn: usize,
  accumulate: bool,
  rowBiases: usize,
  columnBiases: usize,
  activation: i32,
  leak: f32,
): void {
  const product = changetype<Product>(base);
  product.b = b;
  product.bColumn = bColumn;
  product.c = c;
  product.cRow = cRow;
  product.cColumn = cColumn;
  product.rowBiases = rowBiases;
  product.columnBiases = columnBiases;
  product.lanes = base + 64;
  product.columns = n;
  product.activation = activation;
  product.leak = leak;
  const packed = product.lanes + 192,
    block = blockLength(k, ALONG_BLOCK),
    allRows = (m + 1) & ~1;
  // Of few rows all of a is packed, and each column of b is read once, in its own order.
  const few = allRows * ((k + 3) & ~3) <= ALONG_WORDS,
    group = few ? COLUMNS : n,
    kBytes = few ? at(allRows) : 0,
    blockRows = few ? m : BLOCK_M;
  for (let i0 = 0; i0 < m; i0 += blockRows) {
    const rows = min(blockRows, m - i0);
    for (let j0 = 0; j0 < n; j0 += group) {
      for (let k0 = 0; k0 < k; k0 += block) {
        const length = min(block, k - k0),
          here = packed + kBytes * k0;
        if (j0 == 0) packQuads(here, a + <usize>i0 * aRow + at(k0), aRow, rows, length);
        const steps = (accumulate || k0 > 0 ? ADD : 0) | (k0 + length == k ? FINISH : 0);
        for (let j = j0; j < min(j0 + group, n); j += COLUMNS) passRows(product, here, i0, rows, j, k0, length, steps);
      }
    }
  }
}

/** Rows [i0, i0 + rows), packed, times columns [j, j + 4) over k [k0, k0 + length). */
function passRows(product: Product, packed: usize, i0: i32, rows: i32, j: i32, k0: i32, length: i32, steps: i32): void {
  const quads = length >> 2,
    tail = length & 3,
    count = min(COLUMNS, product.columns - j),
    lanes = product.lanes,
    step = product.bColumn;
  // Columns that do not exist are the last one again.
  const b0 = product.b + <usize>j * step + at(k0),
    b1 = count > 1 ? b0 + step : b0,
    b2 = count > 2 ? b1 + step : b1,
    b3 = count > 3 ? b2 + step : b2;
  const here = product.c + <usize>j * product.cColumn;
  for (let i = 0; i < rows; i += 2) {
    const single = i + 1 == rows,
      width = single ? 1 : 2;
    if (quads == 0) memory.fill(lanes, 0, 128);
    else if (single) dotRow(quads, packed, b0, b1, b2, b3, lanes);
    else dotRows(quads, packed, b0, b1, b2, b3, lanes);
    packed += (<usize>(quads * width)) << 4;
    if (tail) {
      // After the loop and through memory: within it V8 would spill. Masked on both sides, so that a NaN before the
      // quad stays out.
      const keep = lastLanes(tail),
        last = at(length) - 16;
      const t0 = v128.and(v128.load(b0 + last), keep),
        t1 = v128.and(v128.load(b1 + last), keep);
      const t2 = v128.and(v128.load(b2 + last), keep),
        t3 = v128.and(v128.load(b3 + last), keep);
      for (let r = 0; r < width; r++) {
        const a = v128.load(packed),
          sums = lanes + ((<usize>r) << 6);
        v128.store(sums, f32x4.add(v128.load(sums), f32x4.mul(a, t0)));
        v128.store(sums, f32x4.add(v128.load(sums, 16), f32x4.mul(a, t1)), 16);
        v128.store(sums, f32x4.add(v128.load(sums, 32), f32x4.mul(a, t2)), 32);
        v128.store(sums, f32x4.add(v128.load(sums, 48), f32x4.mul(a, t3)), 48);
        packed += 16;
      }
    }
    for (let r = 0; r < width; r++)
      leaveRow(
        product,
        lanes + ((<usize>r) << 6),
        here + <usize>(i0 + i + r) * product.cRow,
        i0 + i + r,
        j,
        count,
        steps,
      );
  }
}

/** Four sums on their way to c, of which the first `count` exist. Inlined: a call costs 5 % at 512 words of k. */
// @ts-ignore: decorator
@inline
function leaveRow(product: Product, lanes: usize, c: usize, i: i32, j: i32, count: i32, steps: i32): void {
  const edge = product.lanes + 128,
    step = product.cColumn,
    whole = count == COLUMNS && step == 4;
  let sum = sumLanes(lanes);
  if (steps & ADD) {
    if (!whole) for (let t = 0; t < count; t++) store<f32>(edge + at(t), load<f32>(c + <usize>t * step));
    sum = f32x4.add(v128.load(whole ? c : edge), sum);
  }
  if (steps & FINISH) {
    let bias = f32x4.splat(product.rowBiases ? load<f32>(product.rowBiases + at(i)) : 0);
    if (product.columnBiases) {
      let own = product.columnBiases + at(j);
      if (count < COLUMNS) {
        for (let t = 0; t < count; t++) store<f32>(edge + at(t), load<f32>(own + at(t)));
        own = edge;
      }
      bias = f32x4.add(bias, v128.load(own));
    }
    sum = activate(f32x4.add(sum, bias), product.activation, product.leak);
  }
  if (whole) {
    v128.store(c, sum);
    return;
  }
  v128.store(edge, sum);
  for (let t = 0; t < count; t++) store<f32>(c + <usize>t * step, load<f32>(edge + at(t)));
}
