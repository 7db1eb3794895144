/**
 * The register tiles on which every SIMD product stands, and the activation on the way out. AssemblyScript.
 *
 * By `tile` each output is one chain of rounded multiplications and additions in ascending k per block of the inner
 * dimension, and the sums of the blocks are added in ascending order. By the dot tiles it is four such chains, one per
 * lane. So an output has the same bits whichever tile, piece or tail it falls in.
 */
import { activate } from './activation';
import { RELU } from './activations.generated';
import { BLOCK_K } from './blocking';

/** Steps of a tile's epilogue. */
export const ADD: i32 = 1;
export const FINISH: i32 = 2;

/** Address of a thread's scratch, moved up to a cache line. */
export function align(scratch: i32): usize {
  return (((<usize>scratch) << 2) + 63) & ~63;
}

/**
 * Length of the equal blocks (but for the last) in which an inner dimension of k is summed: a function of k (and of the
 * longest that the kernel takes) alone.
 */
export function blockLength(k: i32, longest: i32 = BLOCK_K): i32 {
  const blocks = (k + longest - 1) / longest;
  return blocks > 1 ? ((k + blocks - 1) / blocks + 3) & ~3 : k;
}

// @ts-ignore: decorator
@inline
function leave(at: usize, offset: usize, sum: v128, flags: i32, bias: v128, activation: i32, slope: f32): void {
  if (flags & ADD) sum = f32x4.add(v128.load(at + offset), sum);
  if (flags & FINISH) sum = activate(f32x4.add(sum, bias), activation, slope);
  v128.store(at + offset, sum);
}

/**
 * c[r, 0..16) = sum over k of a[k, r] b[k, 0..16), r in {0, 1}; panels a [k][2], b [k][16]; c0, c1: the two rows. k >=
 * 1. flags: ADD the sum to what is there; FINISH: then add the bias (bias0, bias1: per row; columns: address of 16, or
 * 0) and activate.
 *
 * The loop counts down and tests at its end: V8 then unrolls it and keeps the sums in registers (54 GFLOP/s); the same
 * loop unrolled by hand spills, because Binaryen sinks the additions (34), and with a test at its head it is bound by
 * decoding (45). 4x8 gave 46 to 53, 3x12 23 to 51, 1x32 50.
 */
export function tile(
  k: i32,
  a: usize,
  b: usize,
  c0: usize,
  c1: usize,
  flags: i32,
  bias0: f32,
  bias1: f32,
  columns: usize,
  activation: i32,
  slope: f32,
): void {
  let s00 = f32x4.splat(0);
  let s01 = f32x4.splat(0);
  let s02 = f32x4.splat(0);
  let s03 = f32x4.splat(0);
  let s10 = f32x4.splat(0);
  let s11 = f32x4.splat(0);
  let s12 = f32x4.splat(0);
  let s13 = f32x4.splat(0);
  do {
    const b0 = v128.load(b);
    const b1 = v128.load(b, 16);
    const b2 = v128.load(b, 32);
    const b3 = v128.load(b, 48);
    const a0 = v128.load32_splat(a);
    s00 = f32x4.add(s00, f32x4.mul(a0, b0));
    s01 = f32x4.add(s01, f32x4.mul(a0, b1));
    s02 = f32x4.add(s02, f32x4.mul(a0, b2));
    s03 = f32x4.add(s03, f32x4.mul(a0, b3));
    const a1 = v128.load32_splat(a, 4);
    s10 = f32x4.add(s10, f32x4.mul(a1, b0));
    s11 = f32x4.add(s11, f32x4.mul(a1, b1));
    s12 = f32x4.add(s12, f32x4.mul(a1, b2));
    s13 = f32x4.add(s13, f32x4.mul(a1, b3));
    a += 8;
    b += 64;
  } while (--k);

  // What most convolutions want, without a branch per vector: of short sums (16 to 36 terms) a tenth of the time. pmax
  // lets a NaN through.
  if (flags == FINISH && columns == 0 && activation <= RELU) {
    const floor = f32x4.splat(activation == RELU ? 0 : -Infinity);
    const biasTop = f32x4.splat(bias0),
      biasBottom = f32x4.splat(bias1);
    v128.store(c0, f32x4.pmax(f32x4.add(s00, biasTop), floor));
    v128.store(c0, f32x4.pmax(f32x4.add(s01, biasTop), floor), 16);
    v128.store(c0, f32x4.pmax(f32x4.add(s02, biasTop), floor), 32);
    v128.store(c0, f32x4.pmax(f32x4.add(s03, biasTop), floor), 48);
    v128.store(c1, f32x4.pmax(f32x4.add(s10, biasBottom), floor));
    v128.store(c1, f32x4.pmax(f32x4.add(s11, biasBottom), floor), 16);
    v128.store(c1, f32x4.pmax(f32x4.add(s12, biasBottom), floor), 32);
    v128.store(c1, f32x4.pmax(f32x4.add(s13, biasBottom), floor), 48);
    return;
  }
  let first = f32x4.splat(bias0);
  let biasA = first,
    biasB = first,
    biasC = first,
    biasD = first;
  if (columns != 0) {
    biasA = f32x4.add(first, v128.load(columns));
    biasB = f32x4.add(first, v128.load(columns, 16));
    biasC = f32x4.add(first, v128.load(columns, 32));
    biasD = f32x4.add(first, v128.load(columns, 48));
  }
  leave(c0, 0, s00, flags, biasA, activation, slope);
  leave(c0, 16, s01, flags, biasB, activation, slope);
  leave(c0, 32, s02, flags, biasC, activation, slope);
  leave(c0, 48, s03, flags, biasD, activation, slope);
  first = f32x4.splat(bias1);
  biasA = biasB = biasC = biasD = first;
  if (columns != 0) {
    biasA = f32x4.add(first, v128.load(columns));
    biasB = f32x4.add(first, v128.load(columns, 16));
    biasC = f32x4.add(first, v128.load(columns, 32));
    biasD = f32x4.add(first, v128.load(columns, 48));
  }
  leave(c1, 0, s10, flags, biasA, activation, slope);
  leave(c1, 16, s11, flags, biasB, activation, slope);
  leave(c1, 32, s12, flags, biasC, activation, slope);
  leave(c1, 48, s13, flags, biasD, activation, slope);
}

/** Sums of the lanes of four vectors that lie one after another. */
// @ts-ignore: decorator
@inline
export function sumLanes(at: usize): v128 {
  const s0 = v128.load(at),
    s1 = v128.load(at, 16),
    s2 = v128.load(at, 32),
    s3 = v128.load(at, 48);
  const t0 = f32x4.add(v128.shuffle<f32>(s0, s1, 0, 4, 1, 5), v128.shuffle<f32>(s0, s1, 2, 6, 3, 7));
  const t1 = f32x4.add(v128.shuffle<f32>(s2, s3, 0, 4, 1, 5), v128.shuffle<f32>(s2, s3, 2, 6, 3, 7));
  return f32x4.add(v128.shuffle<f64>(t0, t1, 0, 2), v128.shuffle<f64>(t0, t1, 1, 3));
}

/**
 * c[r, t] (+)= sum over p of a[r, p] b[t, p], r in {0, 1}, t in [0, 4), p in [0, 4 quads): the tile for two operands
 * that lie contiguous along the summed dimension. a [quads][2][4], b [quads][4][4]; lanes: working space of 32 words.
 * As fast as `tile` (55 GFLOP/s), and some 20 cycles at the end. The vectors are stored before their lanes are summed:
 * shuffled straight from the registers, V8 spills them inside the loop (20 GFLOP/s).
 */
export function dotTile(quads: i32, a: usize, b: usize, lanes: usize, c0: usize, c1: usize, add: bool): void {
  let s00 = f32x4.splat(0);
  let s01 = f32x4.splat(0);
  let s02 = f32x4.splat(0);
  let s03 = f32x4.splat(0);
  let s10 = f32x4.splat(0);
  let s11 = f32x4.splat(0);
  let s12 = f32x4.splat(0);
  let s13 = f32x4.splat(0);
  do {
    const b0 = v128.load(b);
    const b1 = v128.load(b, 16);
    const b2 = v128.load(b, 32);
    const b3 = v128.load(b, 48);
    const a0 = v128.load(a);
    s00 = f32x4.add(s00, f32x4.mul(a0, b0));
    s01 = f32x4.add(s01, f32x4.mul(a0, b1));
    s02 = f32x4.add(s02, f32x4.mul(a0, b2));
    s03 = f32x4.add(s03, f32x4.mul(a0, b3));
    const a1 = v128.load(a, 16);
    s10 = f32x4.add(s10, f32x4.mul(a1, b0));
    s11 = f32x4.add(s11, f32x4.mul(a1, b1));
    s12 = f32x4.add(s12, f32x4.mul(a1, b2));
    s13 = f32x4.add(s13, f32x4.mul(a1, b3));
    a += 32;
    b += 64;
  } while (--quads);

  v128.store(lanes, s00);
  v128.store(lanes, s01, 16);
  v128.store(lanes, s02, 32);
  v128.store(lanes, s03, 48);
  v128.store(lanes, s10, 64);
  v128.store(lanes, s11, 80);
  v128.store(lanes, s12, 96);
  v128.store(lanes, s13, 112);
  let sum0 = sumLanes(lanes),
    sum1 = sumLanes(lanes + 64);
  if (add) {
    sum0 = f32x4.add(v128.load(c0), sum0);
    sum1 = f32x4.add(v128.load(c1), sum1);
  }
  v128.store(c0, sum0);
  v128.store(c1, sum1);
}

/**
 * The sums of `dotTile` before their lanes are added, lanes[r][t] [2][4][4], of four columns b0 to b3 that lie where
 * they are, each contiguous along the summed dimension: b is read without being packed. a [quads][2][4]. A loop of its
 * own: one for both, with the step from quad to quad as an argument, makes the gradient to the weights a fifth slower,
 * and a dense layer of 16 x 1024 x 9216 a seventh.
 */
export function dotRows(quads: i32, a: usize, b0: usize, b1: usize, b2: usize, b3: usize, lanes: usize): void {
  let s00 = f32x4.splat(0);
  let s01 = f32x4.splat(0);
  let s02 = f32x4.splat(0);
  let s03 = f32x4.splat(0);
  let s10 = f32x4.splat(0);
  let s11 = f32x4.splat(0);
  let s12 = f32x4.splat(0);
  let s13 = f32x4.splat(0);
  do {
    const v0 = v128.load(b0);
    const v1 = v128.load(b1);
    const v2 = v128.load(b2);
    const v3 = v128.load(b3);
    const a0 = v128.load(a);
    s00 = f32x4.add(s00, f32x4.mul(a0, v0));
    s01 = f32x4.add(s01, f32x4.mul(a0, v1));
    s02 = f32x4.add(s02, f32x4.mul(a0, v2));
    s03 = f32x4.add(s03, f32x4.mul(a0, v3));
    const a1 = v128.load(a, 16);
    s10 = f32x4.add(s10, f32x4.mul(a1, v0));
    s11 = f32x4.add(s11, f32x4.mul(a1, v1));
    s12 = f32x4.add(s12, f32x4.mul(a1, v2));
    s13 = f32x4.add(s13, f32x4.mul(a1, v3));
    a += 32;
    b0 += 16;
    b1 += 16;
    b2 += 16;
    b3 += 16;
  } while (--quads);
  v128.store(lanes, s00);
  v128.store(lanes, s01, 16);
  v128.store(lanes, s02, 32);
  v128.store(lanes, s03, 48);
  v128.store(lanes, s10, 64);
  v128.store(lanes, s11, 80);
  v128.store(lanes, s12, 96);
  v128.store(lanes, s13, 112);
}

/** `dotRows` of one row: a [quads][4], lanes [4][4]; the same chains. */
export function dotRow(quads: i32, a: usize, b0: usize, b1: usize, b2: usize, b3: usize, lanes: usize): void {
  let s0 = f32x4.splat(0);
  let s1 = f32x4.splat(0);
  let s2 = f32x4.splat(0);
  let s3 = f32x4.splat(0);
  do {
    const x = v128.load(a);
    s0 = f32x4.add(s0, f32x4.mul(x, v128.load(b0)));
    s1 = f32x4.add(s1, f32x4.mul(x, v128.load(b1)));
    s2 = f32x4.add(s2, f32x4.mul(x, v128.load(b2)));
    s3 = f32x4.add(s3, f32x4.mul(x, v128.load(b3)));
    a += 16;
    b0 += 16;
    b1 += 16;
    b2 += 16;
    b3 += 16;
  } while (--quads);
  v128.store(lanes, s0);
  v128.store(lanes, s1, 16);
  v128.store(lanes, s2, 32);
  v128.store(lanes, s3, 48);
}
