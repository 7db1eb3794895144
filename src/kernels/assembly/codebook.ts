/**
 * Product quantization's hot loops in WebAssembly SIMD but for the search (nearest.ts): the same integers and the same
 * sums, bit for bit, as the portable set. Offsets are in words. Glossary: K codewords, d coordinates, M sub-spaces.
 */

// @ts-ignore: decorator
@inline
export function address(offset: i32): usize {
  return (offset as usize) << 2;
}

/** Adds four floats to four doubles. */
// @ts-ignore: decorator
@inline
function addToDoubles(sum: usize, values: v128): void {
  v128.store(sum, f64x2.add(v128.load(sum), f64x2.promote_low_f32x4(values)));
  v128.store(sum, f64x2.add(v128.load(sum, 16), f64x2.promote_low_f32x4(i64x2.shuffle(values, values, 1, 1))), 16);
}

export function accumulateCentroids(
  scratch: i32,
  points: i32,
  stride: i32,
  count: i32,
  d: i32,
  codes: i32,
  k: i32,
  weights: i32,
  sums: i32,
  counts: i32,
): void {
  memory.fill(address(sums), 0, ((k * d) as usize) << 3);
  memory.fill(address(counts), 0, (k as usize) << 3);
  for (let i = 0; i < count; i++) {
    const code = load<i32>(address(codes + i)),
      x = address(points + i * stride),
      sum = address(sums) + (((code * d) as usize) << 3);
    const total = address(counts) + ((code as usize) << 3);
    let j = 0;
    if (weights < 0) {
      for (; j + 4 <= d; j += 4) addToDoubles(sum + ((j as usize) << 3), v128.load(x + ((j as usize) << 2)));
      for (; j < d; j++) {
        const to = sum + ((j as usize) << 3);
        store<f64>(to, (load<f64>(to) + load<f32>(x + ((j as usize) << 2))) as f64);
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

export function codewordErrors(
  scratch: i32,
  points: i32,
  stride: i32,
  count: i32,
  d: i32,
  codewords: i32,
  codes: i32,
  metric: i32,
  metricStride: i32,
  weights: i32,
  errors: i32,
  total: i32,
): void {
  let all: f64 = 0;
  for (let i = 0; i < count; i++) {
    let x = address(points + i * stride),
      c = address(codewords + load<i32>(address(codes + i)) * d),
      w = address(metric + i * metricStride);
    let sum: f64 = 0;
    for (const end = x + ((d as usize) << 2); x < end; x += 4, c += 4, w += 4) {
      const difference = (load<f32>(x) as f64) - (load<f32>(c) as f64);
      sum += metric < 0 ? difference * difference : (load<f32>(w) as f64) * difference * difference;
    }
    if (weights >= 0) sum *= load<f32>(address(weights + i)) as f64;
    store<f64>(address(errors + 2 * i), sum);
    all += sum;
  }
  store<f64>(address(total), all);
}

/** The sign bit of a float where bit i of the packed signs is 1, else 0. */
// @ts-ignore: decorator
@inline
function signBit(signs: usize, i: i32): i32 {
  return ((load<u8>(signs + ((i as usize) >> 3)) as i32) >> (i & 7)) << 31;
}

/** The same for bits i ... i + 3. Reads two bytes: four bits may lie across them. */
// @ts-ignore: decorator
@inline
function signBits(signs: usize, i: i32): v128 {
  const lanes = i32x4(1, 2, 4, 8),
    bits = i32x4.splat((load<u16>(signs + ((i as usize) >> 3)) as i32) >> (i & 7));
  return v128.and(i32x4.eq(v128.and(bits, lanes), lanes), i32x4.splat(0x80000000));
}

export function codebookDecode(
  scratch: i32,
  codewords: i32,
  codes: i32,
  signs: i32,
  to: i32,
  columns: i32,
  first: i32,
  row: i32,
  rows: i32,
  M: i32,
  d: i32,
): void {
  const packed = address(signs);
  for (let r = row; r < row + rows; r++) {
    let i = r * M * d,
      out = address(to + r * columns + first);
    for (let m = 0; m < M; m++) {
      let codeword = address(codewords + load<i32>(address(codes + r * M + m)) * d);
      let j = 0;
      for (; j + 4 <= d; j += 4) {
        const values = v128.load(codeword);
        v128.store(out, signs < 0 ? values : v128.xor(values, signBits(packed, i)));
        i += 4;
        out += 16;
        codeword += 16;
      }
      for (; j < d; j++) {
        const value = load<i32>(codeword);
        store<i32>(out, signs < 0 ? value : value ^ signBit(packed, i));
        i += 1;
        out += 4;
        codeword += 4;
      }
    }
  }
}

export function codebookPullback(
  scratch: i32,
  gradient: i32,
  columns: i32,
  first: i32,
  row: i32,
  rows: i32,
  M: i32,
  d: i32,
  codes: i32,
  signs: i32,
  k: i32,
  dcodewords: i32,
): void {
  const sums = address(scratch),
    packed = address(signs),
    size = k * d;
  memory.fill(sums, 0, (size as usize) << 3);
  for (let r = row; r < row + rows; r++) {
    let i = r * M * d,
      from = address(gradient + r * columns + first);
    for (let m = 0; m < M; m++) {
      let sum = sums + (((load<i32>(address(codes + r * M + m)) * d) as usize) << 3);
      let j = 0;
      for (; j + 4 <= d; j += 4) {
        const values = v128.load(from);
        addToDoubles(sum, signs < 0 ? values : v128.xor(values, signBits(packed, i)));
        i += 4;
        from += 16;
        sum += 32;
      }
      for (; j < d; j++) {
        const value = load<i32>(from);
        store<f64>(sum, (load<f64>(sum) + reinterpret<f32>(signs < 0 ? value : value ^ signBit(packed, i))) as f64);
        i += 1;
        from += 4;
        sum += 8;
      }
    }
  }
  for (let c = 0; c < size; c++) store<f32>(address(dcodewords + c), load<f64>(sums + ((c as usize) << 3)) as f32);
}
