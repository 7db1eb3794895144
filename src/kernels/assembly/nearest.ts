/**
 * The nearest codeword in WebAssembly SIMD: the same integers and distances, bit for bit, as the portable set. Offsets
 * are in words. Glossary: K codewords, d coordinates.
 *
 * Once the codewords have only moved, groups of them that the triangle inequality shows to be too far are left out. One
 * lower bound per point and group: Ding et al., "Yinyang K-Means", ICML 2015, section 3.2; unlike there a group is a
 * tile of 8 codewords or several, so that what is not left out is still a vector's work, and holds for the nearest
 * codeword too, whose group is always measured.
 *
 * Why the integers are those of all distances. Let m be a distance as the kernel computes it, a chain of d float32
 * operations on terms that are not negative, and D^2 its exact value: |m - D^2| <= q D^2 + 2^-126, q = (d + 3) 2^-24 to
 * first order; so D lies within sqrt(m) (1 +- e) +- TINY for the e below, which has room for the roundings of the bound
 * itself too. A bound is kept as D_low + moved, moved being all that the group has moved so far (rounded up in each
 * step), and compared with D_high of the best so far + moved as it is now; it is scaled down by more than the rounding
 * of either sum. So a group is left out only if each of its distances is above the best, not equal.
 */
import { NEAREST_BLOCK as BLOCK } from './blocking';
import { address } from './codebook';

// @ts-ignore: decorator
@inline
const TILE: i32 = 8;
/**
 * Above what vanishes from squares below float32's normal numbers, beneath all that matters of points that are scaled
 * up.
 */
// @ts-ignore: decorator
@inline
const TINY: f32 = 8.67361737988403547e-19; // 2^-60
/** 1 - 2^-22 */
// @ts-ignore: decorator
@inline
const SHRINK: f32 = 0.9999997615814209;

/**
 * e: twice what d + 3 roundings of the distance do to its root, and 5 more for the root, its factor and their product.
 */
// @ts-ignore: decorator
@inline
function slack(d: i32): f32 {
  return ((d + 8) as f32) * 5.9604644775390625e-8; // 2^-24
}

// @ts-ignore: decorator
@inline
function lowFactor(d: i32): f32 {
  return 1 - slack(d);
}

/** Groups, rounded up to whole vectors. */
// @ts-ignore: decorator
@inline
function boundsWidth(k: i32, tiles: i32): i32 {
  return ((((k + 7) >> 3) + tiles - 1) / tiles + 3) & ~3;
}

/**
 * Codewords in blocks of 8, coordinate by coordinate: (K / 8, d, 8). The lanes that K leaves over hold NaN, which is
 * never nearest. order: 0, or the address of the numbers of the codewords that the lanes are to hold, blockwise
 * ascending.
 */
function transposeCodewords(codewords: usize, k: i32, d: i32, to: usize, order: usize): void {
  for (let first = 0; first < k; first += TILE) {
    for (let j = 0; j < d; j++) {
      for (let lane = 0; lane < TILE; lane++) {
        let c = first + lane;
        if (order && c < k) c = load<i32>(order + ((c as usize) << 2));
        store<f32>(to, c < k ? load<f32>(codewords + (((c * d + j) as usize) << 2)) : f32.NaN);
        to += 4;
      }
    }
  }
}

/**
 * Lanes where a distance comes before the least so far: it is less, or as large and the codeword's number lower, which
 * it cannot be in ascending order.
 */
// @ts-ignore: decorator
@inline
function before(distance: v128, index: v128, least: v128, nearest: v128, groups: i32): v128 {
  const less = f32x4.lt(distance, least);
  return groups < 0 ? less : v128.or(less, v128.and(f32x4.eq(distance, least), i32x4.lt_s(index, nearest)));
}

/** The least lane of each of four vectors. */
// @ts-ignore: decorator
@inline
function leastOfEach(a: v128, b: v128, c: v128, d: v128): v128 {
  const ab = f32x4.pmin(v128.shuffle<f32>(a, b, 0, 4, 1, 5), v128.shuffle<f32>(a, b, 2, 6, 3, 7));
  const cd = f32x4.pmin(v128.shuffle<f32>(c, d, 0, 4, 1, 5), v128.shuffle<f32>(c, d, 2, 6, 3, 7));
  return f32x4.pmin(v128.shuffle<f32>(ab, cd, 0, 1, 4, 5), v128.shuffle<f32>(ab, cd, 2, 3, 6, 7));
}

/** Numbers where the distance is the least one, elsewhere the largest of integers. */
// @ts-ignore: decorator
@inline
function numbersOf(distances: v128, numbers: v128, least: v128): v128 {
  return v128.bitselect(numbers, i32x4.splat(i32.MAX_VALUE), f32x4.eq(distances, least));
}

/** The lowest lane of each of four vectors of integers. */
// @ts-ignore: decorator
@inline
function lowestOfEach(a: v128, b: v128, c: v128, d: v128): v128 {
  const ab = i32x4.min_s(v128.shuffle<i32>(a, b, 0, 4, 1, 5), v128.shuffle<i32>(a, b, 2, 6, 3, 7));
  const cd = i32x4.min_s(v128.shuffle<i32>(c, d, 0, 4, 1, 5), v128.shuffle<i32>(c, d, 2, 6, 3, 7));
  return i32x4.min_s(v128.shuffle<i32>(ab, cd, 0, 1, 4, 5), v128.shuffle<i32>(ab, cd, 2, 3, 6, 7));
}

/**
 * All distances. Lanes run across codewords, so each lane's distance is the chain of the portable kernel. A tile of 4
 * points by 8 codewords keeps its 8 sums in registers and reads each codeword once for 4 points. The last tile repeats
 * the last point. groups -1: codewords in their own order, no bounds. Inlined twice, so that what is not asked for
 * costs nothing.
 */
// @ts-ignore: decorator
@inline
function measureAll(
  scratch: i32,
  points: i32,
  stride: i32,
  count: i32,
  d: i32,
  codewords: i32,
  k: i32,
  weights: i32,
  codes: i32,
  distances: i32,
  groups: i32,
  tiles: i32,
  bounds: i32,
): void {
  const table = address(scratch),
    step = (stride as usize) << 2,
    last = count - 1,
    order = address(groups);
  const width = boundsWidth(k, tiles),
    low = lowFactor(d);
  transposeCodewords(address(codewords), k, d, table, groups < 0 ? 0 : order);
  const infinity = f32x4.splat(f32.POSITIVE_INFINITY),
    ascending = i32x4(0, 1, 2, 3),
    four = i32x4.splat(4);
  for (let i = 0; i < count; i += 4) {
    const i1 = min(i + 1, last),
      i2 = min(i + 2, last),
      i3 = min(i + 3, last);
    const x0 = address(points) + (i as usize) * step,
      x1 = address(points) + (i1 as usize) * step;
    const x2 = address(points) + (i2 as usize) * step,
      x3 = address(points) + (i3 as usize) * step;
    let least0 = infinity,
      least1 = infinity,
      least2 = infinity,
      least3 = infinity;
    let nearest0 = i32x4.splat(0),
      nearest1 = nearest0,
      nearest2 = nearest0,
      nearest3 = nearest0;
    let index = ascending,
      from = table,
      numbers = order;
    let near0 = infinity,
      near1 = infinity,
      near2 = infinity,
      near3 = infinity;
    for (let c = 0; c < k; c += TILE) {
      let a0 = f32x4.splat(0),
        a1 = a0,
        a2 = a0,
        a3 = a0,
        b0 = a0,
        b1 = a0,
        b2 = a0,
        b3 = a0;
      for (let j: usize = 0, end = (d as usize) << 2; j < end; j += 4) {
        const ca = v128.load(from),
          cb = v128.load(from, 16);
        from += 32;
        let x = v128.load_splat<f32>(x0 + j),
          s = f32x4.sub(x, ca),
          t = f32x4.sub(x, cb);
        if (weights < 0) {
          a0 = f32x4.add(a0, f32x4.mul(s, s));
          b0 = f32x4.add(b0, f32x4.mul(t, t));
          x = v128.load_splat<f32>(x1 + j);
          s = f32x4.sub(x, ca);
          t = f32x4.sub(x, cb);
          a1 = f32x4.add(a1, f32x4.mul(s, s));
          b1 = f32x4.add(b1, f32x4.mul(t, t));
          x = v128.load_splat<f32>(x2 + j);
          s = f32x4.sub(x, ca);
          t = f32x4.sub(x, cb);
          a2 = f32x4.add(a2, f32x4.mul(s, s));
          b2 = f32x4.add(b2, f32x4.mul(t, t));
          x = v128.load_splat<f32>(x3 + j);
          s = f32x4.sub(x, ca);
          t = f32x4.sub(x, cb);
          a3 = f32x4.add(a3, f32x4.mul(s, s));
          b3 = f32x4.add(b3, f32x4.mul(t, t));
        } else {
          const w = v128.load_splat<f32>(address(weights) + j);
          a0 = f32x4.add(a0, f32x4.mul(w, f32x4.mul(s, s)));
          b0 = f32x4.add(b0, f32x4.mul(w, f32x4.mul(t, t)));
          x = v128.load_splat<f32>(x1 + j);
          s = f32x4.sub(x, ca);
          t = f32x4.sub(x, cb);
          a1 = f32x4.add(a1, f32x4.mul(w, f32x4.mul(s, s)));
          b1 = f32x4.add(b1, f32x4.mul(w, f32x4.mul(t, t)));
          x = v128.load_splat<f32>(x2 + j);
          s = f32x4.sub(x, ca);
          t = f32x4.sub(x, cb);
          a2 = f32x4.add(a2, f32x4.mul(w, f32x4.mul(s, s)));
          b2 = f32x4.add(b2, f32x4.mul(w, f32x4.mul(t, t)));
          x = v128.load_splat<f32>(x3 + j);
          s = f32x4.sub(x, ca);
          t = f32x4.sub(x, cb);
          a3 = f32x4.add(a3, f32x4.mul(w, f32x4.mul(s, s)));
          b3 = f32x4.add(b3, f32x4.mul(w, f32x4.mul(t, t)));
        }
      }
      let upper = i32x4.add(index, four);
      if (groups >= 0) {
        index = v128.load(numbers);
        upper = v128.load(numbers, 16);
        numbers += 32;
      }
      let less = before(a0, index, least0, nearest0, groups);
      least0 = v128.bitselect(a0, least0, less);
      nearest0 = v128.bitselect(index, nearest0, less);
      less = before(b0, upper, least0, nearest0, groups);
      least0 = v128.bitselect(b0, least0, less);
      nearest0 = v128.bitselect(upper, nearest0, less);
      less = before(a1, index, least1, nearest1, groups);
      least1 = v128.bitselect(a1, least1, less);
      nearest1 = v128.bitselect(index, nearest1, less);
      less = before(b1, upper, least1, nearest1, groups);
      least1 = v128.bitselect(b1, least1, less);
      nearest1 = v128.bitselect(upper, nearest1, less);
      less = before(a2, index, least2, nearest2, groups);
      least2 = v128.bitselect(a2, least2, less);
      nearest2 = v128.bitselect(index, nearest2, less);
      less = before(b2, upper, least2, nearest2, groups);
      least2 = v128.bitselect(b2, least2, less);
      nearest2 = v128.bitselect(upper, nearest2, less);
      less = before(a3, index, least3, nearest3, groups);
      least3 = v128.bitselect(a3, least3, less);
      nearest3 = v128.bitselect(index, nearest3, less);
      less = before(b3, upper, least3, nearest3, groups);
      least3 = v128.bitselect(b3, least3, less);
      nearest3 = v128.bitselect(upper, nearest3, less);
      if (groups < 0) {
        index = i32x4.add(upper, four);
      } else {
        near0 = f32x4.pmin(f32x4.pmin(near0, a0), b0);
        near1 = f32x4.pmin(f32x4.pmin(near1, a1), b1);
        near2 = f32x4.pmin(f32x4.pmin(near2, a2), b2);
        near3 = f32x4.pmin(f32x4.pmin(near3, a3), b3);
        const next = (c >> 3) + 1;
        if (next % tiles == 0 || c + TILE >= k) {
          const lanes = f32x4.sub(
            f32x4.mul(f32x4.sqrt(leastOfEach(near0, near1, near2, near3)), f32x4.splat(low)),
            f32x4.splat(TINY),
          );
          const group = (next - 1) / tiles,
            bound = f32x4.mul(lanes, f32x4.splat(SHRINK)),
            to = address(bounds + group);
          v128.store_lane<f32>(to + (((i * width) as usize) << 2), bound, 0);
          v128.store_lane<f32>(to + (((i1 * width) as usize) << 2), bound, 1);
          v128.store_lane<f32>(to + (((i2 * width) as usize) << 2), bound, 2);
          v128.store_lane<f32>(to + (((i3 * width) as usize) << 2), bound, 3);
          near0 = infinity;
          near1 = infinity;
          near2 = infinity;
          near3 = infinity;
        }
      }
    }
    // Of each point's four lanes the least distance, the lowest number among equals; without branches, which would be
    // foretold wrongly.
    const least = leastOfEach(least0, least1, least2, least3);
    const nearest = lowestOfEach(
      numbersOf(least0, nearest0, v128.shuffle<f32>(least, least, 0, 0, 0, 0)),
      numbersOf(least1, nearest1, v128.shuffle<f32>(least, least, 1, 1, 1, 1)),
      numbersOf(least2, nearest2, v128.shuffle<f32>(least, least, 2, 2, 2, 2)),
      numbersOf(least3, nearest3, v128.shuffle<f32>(least, least, 3, 3, 3, 3)),
    );
    v128.store_lane<i32>(address(codes + i), nearest, 0);
    v128.store_lane<i32>(address(codes + i1), nearest, 1);
    v128.store_lane<i32>(address(codes + i2), nearest, 2);
    v128.store_lane<i32>(address(codes + i3), nearest, 3);
    if (distances >= 0) {
      v128.store_lane<f32>(address(distances + i), least, 0);
      v128.store_lane<f32>(address(distances + i1), least, 1);
      v128.store_lane<f32>(address(distances + i2), least, 2);
      v128.store_lane<f32>(address(distances + i3), least, 3);
    }
  }
}

export function nearestCodeword(
  scratch: i32,
  points: i32,
  stride: i32,
  count: i32,
  d: i32,
  codewords: i32,
  k: i32,
  weights: i32,
  codes: i32,
  distances: i32,
): void {
  measureAll(scratch, points, stride, count, d, codewords, k, weights, codes, distances, -1, 1, -1);
}

/**
 * Distances of a point to the codewords of a group: their least as the point's bound, and in `found`, [distance,
 * number], the nearest so far. Choices instead of branches, which would be foretold wrongly.
 */
// @ts-ignore: decorator
@inline
function measureGroup(
  x: usize,
  group: i32,
  tiles: i32,
  tileCount: i32,
  d: i32,
  table: usize,
  weight: usize,
  order: usize,
  moved: usize,
  bound: usize,
  found: usize,
): void {
  const infinity = f32x4.splat(f32.POSITIVE_INFINITY),
    tileBytes = (d as usize) << 5,
    end = (d as usize) << 2;
  let least = infinity,
    best = load<f32>(found),
    nearest = load<i32>(found, 4);
  const from = group * tiles,
    to = min(from + tiles, tileCount);
  for (let tile = from; tile < to; tile++) {
    let a = f32x4.splat(0),
      b = a,
      at = table + (tile as usize) * tileBytes;
    if (weight == 0) {
      for (let j: usize = 0; j < end; j += 4) {
        const value = v128.load_splat<f32>(x + j),
          s = f32x4.sub(value, v128.load(at)),
          t = f32x4.sub(value, v128.load(at, 16));
        a = f32x4.add(a, f32x4.mul(s, s));
        b = f32x4.add(b, f32x4.mul(t, t));
        at += 32;
      }
    } else {
      for (let j: usize = 0; j < end; j += 4) {
        const value = v128.load_splat<f32>(x + j),
          w = v128.load_splat<f32>(weight + j),
          s = f32x4.sub(value, v128.load(at)),
          t = f32x4.sub(value, v128.load(at, 16));
        a = f32x4.add(a, f32x4.mul(w, f32x4.mul(s, s)));
        b = f32x4.add(b, f32x4.mul(w, f32x4.mul(t, t)));
        at += 32;
      }
    }
    // pmin(y, x) is y where x is no number, as in the lanes that K leaves over.
    let lanes = f32x4.pmin(f32x4.pmin(infinity, a), b);
    lanes = f32x4.pmin(lanes, v128.shuffle<f32>(lanes, lanes, 2, 3, 0, 1));
    lanes = f32x4.pmin(lanes, v128.shuffle<f32>(lanes, lanes, 1, 0, 3, 2));
    least = f32x4.pmin(least, lanes);
    const number = order + ((tile as usize) << 5);
    let numbers = i32x4.min_s(numbersOf(a, v128.load(number), lanes), numbersOf(b, v128.load(number, 16), lanes));
    numbers = i32x4.min_s(numbers, v128.shuffle<i32>(numbers, numbers, 2, 3, 0, 1));
    numbers = i32x4.min_s(numbers, v128.shuffle<i32>(numbers, numbers, 1, 0, 3, 2));
    const here = f32x4.extract_lane(lanes, 0),
      candidate = i32x4.extract_lane(numbers, 0);
    nearest = select<i32>(candidate, nearest, i32(here < best) | (i32(here == best) & i32(candidate < nearest)));
    best = f32.min(here, best);
  }
  store<f32>(found, best);
  store<i32>(found, nearest, 4);
  const offset = (group as usize) << 2;
  store<f32>(
    bound + offset,
    (f32.sqrt(f32x4.extract_lane(least, 0)) * lowFactor(d) - TINY + load<f32>(moved + offset)) * SHRINK,
  );
}

export function nearestCodewordAgain(
  scratch: i32,
  points: i32,
  stride: i32,
  count: i32,
  d: i32,
  codewords: i32,
  k: i32,
  weights: i32,
  codes: i32,
  distances: i32,
  groups: i32,
  tiles: i32,
  bounds: i32,
  fresh: i32,
): void {
  if (fresh) {
    measureAll(scratch, points, stride, count, d, codewords, k, weights, codes, distances, groups, tiles, bounds);
    return;
  }
  const tileCount = (k + 7) >> 3,
    width = boundsWidth(k, tiles),
    words = (width + 31) >> 5,
    high: f32 = 1 + slack(d);
  const order = address(groups),
    places = order + ((tileCount as usize) << 5),
    moved = places + ((k as usize) << 2),
    weight = weights < 0 ? 0 : address(weights);
  const table = address(scratch),
    found = table + ((((tileCount << 3) * d) as usize) << 2),
    masks = found + (BLOCK << 3);
  transposeCodewords(address(codewords), k, d, table, order);
  for (let start = 0; start < count; start += BLOCK) {
    const stop = min(start + BLOCK, count);
    // First for all points of the block the group of the last codeword, whose least distance says which others are not
    // too far: a bit for each of those.
    let place = found,
      mask = masks;
    for (let i = start; i < stop; i++, place += 8) {
      const x = address(points + i * stride),
        bound = address(bounds + i * width);
      const own = load<i32>(places + ((load<i32>(address(codes + i)) as usize) << 2));
      store<f32>(place, f32.POSITIVE_INFINITY);
      store<i32>(place, 0, 4);
      measureGroup(x, own, tiles, tileCount, d, table, weight, order, moved, bound, place);
      const reach = f32x4.splat(f32.sqrt(load<f32>(place)) * high + TINY);
      for (let first = 0; first < width; first += 32, mask += 4) {
        let bits = 0;
        for (let g = first, end = min(first + 32, width); g < end; g += 4) {
          const at = (g as usize) << 2,
            far = f32x4.gt(v128.load(bound + at), f32x4.add(reach, v128.load(moved + at)));
          bits |= (i32x4.bitmask(far) ^ 15) << (g - first);
        }
        store<i32>(mask, own >> 5 == first >> 5 ? bits & ~(1 << (own & 31)) : bits);
      }
    }
    // Then those groups. Where the loop ends is hard to foretell; the points after it wait for nothing else.
    place = found;
    mask = masks;
    for (let i = start; i < stop; i++, place += 8) {
      for (let first = 0, end = words << 5; first < end; first += 32, mask += 4) {
        for (let bits = load<i32>(mask); bits; bits &= bits - 1) {
          measureGroup(
            address(points + i * stride),
            first + i32.ctz(bits),
            tiles,
            tileCount,
            d,
            table,
            weight,
            order,
            moved,
            address(bounds + i * width),
            place,
          );
        }
      }
      store<i32>(address(codes + i), load<i32>(place, 4));
      if (distances >= 0) store<f32>(address(distances + i), load<f32>(place));
    }
  }
}
