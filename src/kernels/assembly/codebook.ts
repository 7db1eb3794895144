/**
 * Product quantization's hot loops in WebAssembly SIMD: the same integers and the same sums, bit for bit, as the portable
 * set. Offsets are in words. Glossary: K codewords, d coordinates, M sub-spaces.
 */

// @ts-ignore: decorator
@inline const TILE: i32 = 8;

// @ts-ignore: decorator
@inline
function address(offset: i32): usize {
  return (offset as usize) << 2;
}

/** Codewords in blocks of 8, coordinate by coordinate: (K / 8, d, 8). The lanes that K leaves over hold NaN, which is never nearest. */
function transposeCodewords(codewords: usize, k: i32, d: i32, to: usize): void {
  for (let first = 0; first < k; first += TILE) {
    for (let j = 0; j < d; j++) {
      for (let lane = 0; lane < TILE; lane++) {
        const c = first + lane;
        store<f32>(to, c < k ? load<f32>(codewords + (((c * d + j) as usize) << 2)) : f32.NaN);
        to += 4;
      }
    }
  }
}

/** Of the four lanes' candidates the least distance, the lowest index among equals. */
function storeNearest(least: v128, nearest: v128, code: usize, distance: usize): void {
  let best = f32x4.extract_lane(least, 0), index = i32x4.extract_lane(nearest, 0);
  let value = f32x4.extract_lane(least, 1), lane = i32x4.extract_lane(nearest, 1);
  if (value < best || (value == best && lane < index)) { best = value; index = lane; }
  value = f32x4.extract_lane(least, 2); lane = i32x4.extract_lane(nearest, 2);
  if (value < best || (value == best && lane < index)) { best = value; index = lane; }
  value = f32x4.extract_lane(least, 3); lane = i32x4.extract_lane(nearest, 3);
  if (value < best || (value == best && lane < index)) { best = value; index = lane; }
  store<i32>(code, index);
  if (distance) store<f32>(distance, best);
}

/**
 * Lanes run across codewords, so each lane's distance is the chain of the portable kernel. A tile of 4 points by 8 codewords
 * keeps its 8 sums in registers and reads each codeword once for 4 points. The last tile repeats the last point.
 */
export function nearestCodeword(scratch: i32, points: i32, stride: i32, count: i32, d: i32, codewords: i32, k: i32, weights: i32, codes: i32, distances: i32): void {
  const table = address(scratch), step = (stride as usize) << 2, last = count - 1;
  transposeCodewords(address(codewords), k, d, table);
  const infinity = f32x4.splat(f32.POSITIVE_INFINITY), ascending = i32x4(0, 1, 2, 3), four = i32x4.splat(4);
  for (let i = 0; i < count; i += 4) {
    const i1 = min(i + 1, last), i2 = min(i + 2, last), i3 = min(i + 3, last);
    const x0 = address(points) + (i as usize) * step, x1 = address(points) + (i1 as usize) * step;
    const x2 = address(points) + (i2 as usize) * step, x3 = address(points) + (i3 as usize) * step;
    let least0 = infinity, least1 = infinity, least2 = infinity, least3 = infinity;
    let nearest0 = i32x4.splat(0), nearest1 = nearest0, nearest2 = nearest0, nearest3 = nearest0;
    let index = ascending, from = table;
    for (let c = 0; c < k; c += TILE) {
      let a0 = f32x4.splat(0), a1 = a0, a2 = a0, a3 = a0, b0 = a0, b1 = a0, b2 = a0, b3 = a0;
      for (let j: usize = 0, end = (d as usize) << 2; j < end; j += 4) {
        const ca = v128.load(from), cb = v128.load(from, 16);
        from += 32;
        let x = v128.load_splat<f32>(x0 + j), s = f32x4.sub(x, ca), t = f32x4.sub(x, cb);
        if (weights < 0) {
          a0 = f32x4.add(a0, f32x4.mul(s, s)); b0 = f32x4.add(b0, f32x4.mul(t, t));
          x = v128.load_splat<f32>(x1 + j); s = f32x4.sub(x, ca); t = f32x4.sub(x, cb);
          a1 = f32x4.add(a1, f32x4.mul(s, s)); b1 = f32x4.add(b1, f32x4.mul(t, t));
          x = v128.load_splat<f32>(x2 + j); s = f32x4.sub(x, ca); t = f32x4.sub(x, cb);
          a2 = f32x4.add(a2, f32x4.mul(s, s)); b2 = f32x4.add(b2, f32x4.mul(t, t));
          x = v128.load_splat<f32>(x3 + j); s = f32x4.sub(x, ca); t = f32x4.sub(x, cb);
          a3 = f32x4.add(a3, f32x4.mul(s, s)); b3 = f32x4.add(b3, f32x4.mul(t, t));
        } else {
          const w = v128.load_splat<f32>(address(weights) + j);
          a0 = f32x4.add(a0, f32x4.mul(w, f32x4.mul(s, s))); b0 = f32x4.add(b0, f32x4.mul(w, f32x4.mul(t, t)));
          x = v128.load_splat<f32>(x1 + j); s = f32x4.sub(x, ca); t = f32x4.sub(x, cb);
          a1 = f32x4.add(a1, f32x4.mul(w, f32x4.mul(s, s))); b1 = f32x4.add(b1, f32x4.mul(w, f32x4.mul(t, t)));
          x = v128.load_splat<f32>(x2 + j); s = f32x4.sub(x, ca); t = f32x4.sub(x, cb);
          a2 = f32x4.add(a2, f32x4.mul(w, f32x4.mul(s, s))); b2 = f32x4.add(b2, f32x4.mul(w, f32x4.mul(t, t)));
          x = v128.load_splat<f32>(x3 + j); s = f32x4.sub(x, ca); t = f32x4.sub(x, cb);
          a3 = f32x4.add(a3, f32x4.mul(w, f32x4.mul(s, s))); b3 = f32x4.add(b3, f32x4.mul(w, f32x4.mul(t, t)));
        }
      }
      const upper = i32x4.add(index, four);
      let less = f32x4.lt(a0, least0); least0 = v128.bitselect(a0, least0, less); nearest0 = v128.bitselect(index, nearest0, less);
      less = f32x4.lt(b0, least0); least0 = v128.bitselect(b0, least0, less); nearest0 = v128.bitselect(upper, nearest0, less);
      less = f32x4.lt(a1, least1); least1 = v128.bitselect(a1, least1, less); nearest1 = v128.bitselect(index, nearest1, less);
      less = f32x4.lt(b1, least1); least1 = v128.bitselect(b1, least1, less); nearest1 = v128.bitselect(upper, nearest1, less);
      less = f32x4.lt(a2, least2); least2 = v128.bitselect(a2, least2, less); nearest2 = v128.bitselect(index, nearest2, less);
      less = f32x4.lt(b2, least2); least2 = v128.bitselect(b2, least2, less); nearest2 = v128.bitselect(upper, nearest2, less);
      less = f32x4.lt(a3, least3); least3 = v128.bitselect(a3, least3, less); nearest3 = v128.bitselect(index, nearest3, less);
      less = f32x4.lt(b3, least3); least3 = v128.bitselect(b3, least3, less); nearest3 = v128.bitselect(upper, nearest3, less);
      index = i32x4.add(upper, four);
    }
    const none = distances < 0;
    storeNearest(least0, nearest0, address(codes + i), none ? 0 : address(distances + i));
    storeNearest(least1, nearest1, address(codes + i1), none ? 0 : address(distances + i1));
    storeNearest(least2, nearest2, address(codes + i2), none ? 0 : address(distances + i2));
    storeNearest(least3, nearest3, address(codes + i3), none ? 0 : address(distances + i3));
  }
}

/** Adds four floats to four doubles. */
// @ts-ignore: decorator
@inline
function addToDoubles(sum: usize, values: v128): void {
  v128.store(sum, f64x2.add(v128.load(sum), f64x2.promote_low_f32x4(values)));
  v128.store(sum, f64x2.add(v128.load(sum, 16), f64x2.promote_low_f32x4(i64x2.shuffle(values, values, 1, 1))), 16);
}

export function accumulateCentroids(scratch: i32, points: i32, stride: i32, count: i32, d: i32, codes: i32, k: i32, weights: i32, sums: i32, counts: i32): void {
  memory.fill(address(sums), 0, (k * d as usize) << 3);
  memory.fill(address(counts), 0, (k as usize) << 3);
  for (let i = 0; i < count; i++) {
    const code = load<i32>(address(codes + i)), x = address(points + i * stride), sum = address(sums) + ((code * d as usize) << 3);
    const total = address(counts) + ((code as usize) << 3);
    let j = 0;
    if (weights < 0) {
      for (; j + 4 <= d; j += 4) addToDoubles(sum + ((j as usize) << 3), v128.load(x + ((j as usize) << 2)));
      for (; j < d; j++) {
        const to = sum + ((j as usize) << 3);
        store<f64>(to, load<f64>(to) + load<f32>(x + ((j as usize) << 2)) as f64);
      }
      store<f64>(total, load<f64>(total) + 1);
    } else {
      const weight = load<f32>(address(weights + i)) as f64;
      for (; j < d; j++) {
        const to = sum + ((j as usize) << 3);
        store<f64>(to, load<f64>(to) + weight * (load<f32>(x + ((j as usize) << 2)) as f64));
      }
      store<f64>(total, load<f64>(total) + weight);
    }
  }
}

/** The sign bit of a float where bit i of the packed signs is 1, else 0. */
// @ts-ignore: decorator
@inline
function signBit(signs: usize, i: i32): i32 {
  return ((load<u8>(signs + (i as usize >> 3)) as i32) >> (i & 7)) << 31;
}

/** The same for bits i ... i + 3. Reads two bytes: four bits may lie across them. */
// @ts-ignore: decorator
@inline
function signBits(signs: usize, i: i32): v128 {
  const lanes = i32x4(1, 2, 4, 8), bits = i32x4.splat((load<u16>(signs + (i as usize >> 3)) as i32) >> (i & 7));
  return v128.and(i32x4.eq(v128.and(bits, lanes), lanes), i32x4.splat(0x80000000));
}

export function codebookDecode(scratch: i32, codewords: i32, codes: i32, signs: i32, to: i32, columns: i32, first: i32, row: i32, rows: i32, M: i32, d: i32): void {
  const packed = address(signs);
  for (let r = row; r < row + rows; r++) {
    let i = r * M * d, out = address(to + r * columns + first);
    for (let m = 0; m < M; m++) {
      let codeword = address(codewords + load<i32>(address(codes + r * M + m)) * d);
      let j = 0;
      for (; j + 4 <= d; j += 4) {
        const values = v128.load(codeword);
        v128.store(out, signs < 0 ? values : v128.xor(values, signBits(packed, i)));
        i += 4; out += 16; codeword += 16;
      }
      for (; j < d; j++) {
        const value = load<i32>(codeword);
        store<i32>(out, signs < 0 ? value : value ^ signBit(packed, i));
        i += 1; out += 4; codeword += 4;
      }
    }
  }
}

export function codebookPullback(scratch: i32, gradient: i32, columns: i32, first: i32, row: i32, rows: i32, M: i32, d: i32, codes: i32, signs: i32, k: i32, dcodewords: i32): void {
  const sums = address(scratch), packed = address(signs), size = k * d;
  memory.fill(sums, 0, (size as usize) << 3);
  for (let r = row; r < row + rows; r++) {
    let i = r * M * d, from = address(gradient + r * columns + first);
    for (let m = 0; m < M; m++) {
      let sum = sums + ((load<i32>(address(codes + r * M + m)) * d as usize) << 3);
      let j = 0;
      for (; j + 4 <= d; j += 4) {
        const values = v128.load(from);
        addToDoubles(sum, signs < 0 ? values : v128.xor(values, signBits(packed, i)));
        i += 4; from += 16; sum += 32;
      }
      for (; j < d; j++) {
        const value = load<i32>(from);
        store<f64>(sum, load<f64>(sum) + reinterpret<f32>(signs < 0 ? value : value ^ signBit(packed, i)) as f64);
        i += 1; from += 4; sum += 8;
      }
    }
  }
  for (let c = 0; c < size; c++) store<f32>(address(dcodewords + c), load<f64>(sums + ((c as usize) << 3)) as f32);
}
