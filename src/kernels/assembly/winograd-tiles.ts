/**
 * The register tiles of Winograd's products: rows of a lie in eights, a [k][8]; no bias and no activation, since what
 * they write is yet to be transformed. AssemblyScript. Loops and chains are as in tile.ts: an output has the same bits
 * whichever tile it falls in. `wideTile` is a loop of its own, since one with the step of a as an argument makes every
 * convolution's forward pass a fifth slower. Rows of c lie `row` bytes apart; `add`: to what is there.
 */

// @ts-ignore: decorator
@inline
function leave(at: usize, offset: usize, sum: v128, add: bool): void {
  if (add) sum = f32x4.add(v128.load(at + offset), sum);
  v128.store(at + offset, sum);
}

/** Two of the eight rows by 16 columns; a: address of the first of them, b [k][16]. */
export function wideTile(k: i32, a: usize, b: usize, c: usize, row: usize, add: bool): void {
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
    a += 32;
    b += 64;
  } while (--k);

  leave(c, 0, s00, add);
  leave(c, 16, s01, add);
  leave(c, 32, s02, add);
  leave(c, 48, s03, add);
  leave(c + row, 0, s10, add);
  leave(c + row, 16, s11, add);
  leave(c + row, 32, s12, add);
  leave(c + row, 48, s13, add);
}

/** Four of the eight rows by 8 columns, b [k][8]. */
export function narrowTile(k: i32, a: usize, b: usize, c: usize, row: usize, add: bool): void {
  let s00 = f32x4.splat(0);
  let s01 = f32x4.splat(0);
  let s10 = f32x4.splat(0);
  let s11 = f32x4.splat(0);
  let s20 = f32x4.splat(0);
  let s21 = f32x4.splat(0);
  let s30 = f32x4.splat(0);
  let s31 = f32x4.splat(0);
  do {
    const b0 = v128.load(b);
    const b1 = v128.load(b, 16);
    const a0 = v128.load32_splat(a);
    s00 = f32x4.add(s00, f32x4.mul(a0, b0));
    s01 = f32x4.add(s01, f32x4.mul(a0, b1));
    const a1 = v128.load32_splat(a, 4);
    s10 = f32x4.add(s10, f32x4.mul(a1, b0));
    s11 = f32x4.add(s11, f32x4.mul(a1, b1));
    const a2 = v128.load32_splat(a, 8);
    s20 = f32x4.add(s20, f32x4.mul(a2, b0));
    s21 = f32x4.add(s21, f32x4.mul(a2, b1));
    const a3 = v128.load32_splat(a, 12);
    s30 = f32x4.add(s30, f32x4.mul(a3, b0));
    s31 = f32x4.add(s31, f32x4.mul(a3, b1));
    a += 32;
    b += 32;
  } while (--k);

  leave(c, 0, s00, add);
  leave(c, 16, s01, add);
  leave(c + row, 0, s10, add);
  leave(c + row, 16, s11, add);
  leave(c + 2 * row, 0, s20, add);
  leave(c + 2 * row, 16, s21, add);
  leave(c + 3 * row, 0, s30, add);
  leave(c + 3 * row, 16, s31, add);
}

/**
 * All eight rows by 4 columns, b [k][4]. The rows are splat from registers: eight `load32_splat` a turn make 20 GFLOP/s
 * in place of 38.
 */
export function slimTile(k: i32, a: usize, b: usize, c: usize, row: usize, add: bool): void {
  let s0 = f32x4.splat(0);
  let s1 = f32x4.splat(0);
  let s2 = f32x4.splat(0);
  let s3 = f32x4.splat(0);
  let s4 = f32x4.splat(0);
  let s5 = f32x4.splat(0);
  let s6 = f32x4.splat(0);
  let s7 = f32x4.splat(0);
  do {
    const b0 = v128.load(b);
    const p = v128.load(a),
      q = v128.load(a, 16);
    s0 = f32x4.add(s0, f32x4.mul(v128.shuffle<f32>(p, p, 0, 0, 0, 0), b0));
    s1 = f32x4.add(s1, f32x4.mul(v128.shuffle<f32>(p, p, 1, 1, 1, 1), b0));
    s2 = f32x4.add(s2, f32x4.mul(v128.shuffle<f32>(p, p, 2, 2, 2, 2), b0));
    s3 = f32x4.add(s3, f32x4.mul(v128.shuffle<f32>(p, p, 3, 3, 3, 3), b0));
    s4 = f32x4.add(s4, f32x4.mul(v128.shuffle<f32>(q, q, 0, 0, 0, 0), b0));
    s5 = f32x4.add(s5, f32x4.mul(v128.shuffle<f32>(q, q, 1, 1, 1, 1), b0));
    s6 = f32x4.add(s6, f32x4.mul(v128.shuffle<f32>(q, q, 2, 2, 2, 2), b0));
    s7 = f32x4.add(s7, f32x4.mul(v128.shuffle<f32>(q, q, 3, 3, 3, 3), b0));
    a += 32;
    b += 16;
  } while (--k);

  leave(c, 0, s0, add);
  leave(c + row, 0, s1, add);
  leave(c + 2 * row, 0, s2, add);
  leave(c + 3 * row, 0, s3, add);
  leave(c + 4 * row, 0, s4, add);
  leave(c + 5 * row, 0, s5, add);
  leave(c + 6 * row, 0, s6, add);
  leave(c + 7 * row, 0, s7, add);
}
