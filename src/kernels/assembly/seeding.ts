/**
 * Distances to one point more: what each step of k-means++ asks. The same floats and the same sum as the portable
 * kernel. Offsets are in words; d coordinates.
 */
import { at } from './words';
import { highHalf, lowHalf } from './vector';

/** Adds (x - c)^2, times a weight, to a chain. */
// @ts-ignore: decorator
@inline
function link(sum: v128, x: v128, seed: usize, weight: usize): v128 {
  const difference = f32x4.sub(x, v128.load_splat<f32>(seed)),
    square = f32x4.mul(difference, difference);
  return f32x4.add(sum, weight ? f32x4.mul(v128.load_splat<f32>(weight), square) : square);
}

/** Four points to a vector: rows of the points are transposed four coordinates at a time. */
// @ts-ignore: decorator
@inline
function distancesOfFour(x: usize, step: usize, d: i32, seed: usize, metric: usize): v128 {
  const x1 = x + step,
    x2 = x1 + step,
    x3 = x2 + step;
  let sum = f32x4.splat(0),
    j: usize = 0;
  for (const whole = ((d & ~3) as usize) << 2; j < whole; j += 16) {
    const a = v128.load(x + j),
      b = v128.load(x1 + j),
      c = v128.load(x2 + j),
      e = v128.load(x3 + j);
    const ab = v128.shuffle<f32>(a, b, 0, 4, 1, 5),
      ce = v128.shuffle<f32>(c, e, 0, 4, 1, 5);
    const abHigh = v128.shuffle<f32>(a, b, 2, 6, 3, 7),
      ceHigh = v128.shuffle<f32>(c, e, 2, 6, 3, 7);
    const weight = metric ? metric + j : 0;
    sum = link(sum, v128.shuffle<f32>(ab, ce, 0, 1, 4, 5), seed + j, weight);
    sum = link(sum, v128.shuffle<f32>(ab, ce, 2, 3, 6, 7), seed + j + 4, metric ? weight + 4 : 0);
    sum = link(sum, v128.shuffle<f32>(abHigh, ceHigh, 0, 1, 4, 5), seed + j + 8, metric ? weight + 8 : 0);
    sum = link(sum, v128.shuffle<f32>(abHigh, ceHigh, 2, 3, 6, 7), seed + j + 12, metric ? weight + 12 : 0);
  }
  for (const end = (d as usize) << 2; j < end; j += 4) {
    let values = v128.load32_zero(x + j);
    values = v128.load_lane<f32>(x1 + j, values, 1);
    values = v128.load_lane<f32>(x2 + j, values, 2);
    values = v128.load_lane<f32>(x3 + j, values, 3);
    sum = link(sum, values, seed + j, metric ? metric + j : 0);
  }
  return sum;
}

function distanceOfOne(x: usize, d: i32, seed: usize, metric: usize): f32 {
  let sum: f32 = 0;
  for (let j: usize = 0, end = (d as usize) << 2; j < end; j += 4) {
    const difference = load<f32>(x + j) - load<f32>(seed + j);
    sum += metric ? load<f32>(metric + j) * (difference * difference) : difference * difference;
  }
  return sum;
}

export function nearerSeed(
  scratch: i32,
  points: i32,
  stride: i32,
  count: i32,
  d: i32,
  seed: i32,
  metric: i32,
  metricStride: i32,
  weights: i32,
  least: i32,
  total: i32,
): void {
  const step = (stride as usize) << 2,
    to = at(seed);
  let low = f64x2.splat(0),
    high = low,
    i = 0;
  for (; i + 4 <= count; i += 4) {
    const x = at(points) + (i as usize) * step,
      place = at(least + i),
      w = at(metric + i * metricStride),
      next = (metricStride as usize) << 2;
    const distances =
      metric < 0
        ? distancesOfFour(x, step, d, to, 0)
        : metricStride == 0
          ? distancesOfFour(x, step, d, to, w)
          : f32x4(
              distanceOfOne(x, d, to, w),
              distanceOfOne(x + step, d, to, w + next),
              distanceOfOne(x + 2 * step, d, to, w + 2 * next),
              distanceOfOne(x + 3 * step, d, to, w + 3 * next),
            );
    const values = f32x4.pmin(v128.load(place), distances);
    v128.store(place, values);
    low = f64x2.add(
      low,
      weights < 0 ? lowHalf(values) : f64x2.mul(lowHalf(v128.load(at(weights + i))), lowHalf(values)),
    );
    high = f64x2.add(
      high,
      weights < 0 ? highHalf(values) : f64x2.mul(highHalf(v128.load(at(weights + i))), highHalf(values)),
    );
  }
  let rest: f64 = 0;
  for (; i < count; i++) {
    const distance = distanceOfOne(at(points + i * stride), d, to, metric < 0 ? 0 : at(metric + i * metricStride)),
      place = at(least + i);
    if (distance < load<f32>(place)) store<f32>(place, distance);
    rest += (weights < 0 ? 1 : (load<f32>(at(weights + i)) as f64)) * (load<f32>(place) as f64);
  }
  low = f64x2.add(low, high);
  store<f64>(at(total), f64x2.extract_lane(low, 0) + f64x2.extract_lane(low, 1) + rest);
}
