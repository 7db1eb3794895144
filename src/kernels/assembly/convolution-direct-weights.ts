/**
 * The gradient to the weights of depthwise convolutions, which convolution-direct.ts computes: each tap's is the sum,
 * over a plane of dy, of dy times the staged words that lie under it. AssemblyScript. Rows of dy that are not whole
 * vectors are staged with zeros behind their ends; sums stay in lanes until the last sample.
 */
import { DIRECT_WORDS } from './blocking';
import { NEIGHBOURS, arrangement, copyRows, stagePlanes } from './convolution-direct';
import { Plan, clear } from './convolution-plan';
import { at } from './words';

/**
 * dw of all groups; source, gradient: addresses of the first sample's first channel; scratch: behind the taps.
 * training-sizes.ts counts the same words.
 */
export function directWeights(
  plan: Plan,
  groups: i32,
  scratch: usize,
  source: usize,
  gradient: usize,
  dw: usize,
  samples: i32,
  accumulate: bool,
): void {
  const lanes = scratch,
    length = plan.rows * plan.taps,
    stage = lanes + at(4 * length),
    taps = arrangement(plan);
  const whole = ((plan.gridHeight - 1) * plan.rowStep + plan.tapRows) * plan.rowWords,
    width = (plan.gridWidth + 3) & ~3;
  const planes = max(1, min(samples, DIRECT_WORDS / whole)),
    together = max(1, min(plan.gridHeight, (DIRECT_WORDS / plan.rowWords - plan.tapRows) / plan.rowStep + 1));
  const most = planes * ((together - 1) * plan.rowStep + plan.tapRows) * plan.rowWords + 4,
    slopes = stage + at(most);
  for (let group = 0; group < groups; group++) {
    clear(lanes, stage);
    for (let row = 0; row < plan.gridHeight; row += together) {
      const rows = min(together, plan.gridHeight - row),
        staged = (rows - 1) * plan.rowStep + plan.tapRows,
        words = staged * plan.rowWords;
      // What is padding in one band is not in the next, but is in the next group.
      if (group == 0 || together < plan.gridHeight) clear(stage, slopes + at(planes * rows * width));
      for (let n = 0; n < samples; n += planes) {
        const count = min(planes, samples - n);
        for (let s = 0; s < count; s++) {
          stagePlanes(
            plan,
            source + <usize>(n + s) * plan.sourceSample + at(group * plan.sourceHeight * plan.sourceWidth),
            stage + at(s * words),
            1,
            words,
            row,
            staged,
          );
        }
        for (let r = 0; r < plan.rows; r++) {
          const from =
              gradient + <usize>n * plan.outSample + at((group * plan.rows + r) * plan.outPlane + row * plan.gridWidth),
            sums = lanes + at(4 * r * plan.taps);
          if (width != plan.gridWidth) {
            for (let s = 0; s < count; s++) {
              copyRows(
                from + <usize>s * plan.outSample,
                at(plan.gridWidth),
                slopes + at(s * rows * width),
                at(width),
                rows,
                plan.gridWidth,
              );
            }
          }
          for (let s = 0; s < count; s++) {
            const x = stage + at(s * words),
              dy = width == plan.gridWidth ? from + <usize>s * plan.outSample : slopes + at(s * rows * width);
            if (taps == NEIGHBOURS) addThrees(plan, sums, x, dy, rows, width, 4, 8);
            else if (taps)
              addThrees(
                plan,
                sums,
                x,
                dy,
                rows,
                width,
                at(load<i32>(plan.tapTable, 4)),
                at(load<i32>(plan.tapTable, 8)),
              );
            else addOthers(plan, sums, x, dy, rows, width);
          }
        }
      }
    }
    for (let k: usize = 0; k < <usize>length; k++) {
      const sum = v128.load(lanes + 16 * k),
        to = dw + at(group * length) + 4 * k;
      const total =
        f32x4.extract_lane(sum, 0) +
        f32x4.extract_lane(sum, 1) +
        (f32x4.extract_lane(sum, 2) + f32x4.extract_lane(sum, 3));
      store<f32>(to, accumulate ? load<f32>(to) + total : total);
    }
  }
}

/** Nine sums of 3 x 3 taps, in registers; middle, right: bytes from a row's first tap to the others. */
// @ts-ignore: decorator
@inline
function addThrees(
  plan: Plan,
  sums: usize,
  x: usize,
  dy: usize,
  rows: i32,
  width: i32,
  middle: usize,
  right: usize,
): void {
  const pitch = at(load<i32>(plan.tapTable, 12));
  const step = at(plan.rowStep * plan.rowWords);
  let s0 = v128.load(sums),
    s1 = v128.load(sums, 16),
    s2 = v128.load(sums, 32),
    s3 = v128.load(sums, 48),
    s4 = v128.load(sums, 64);
  let s5 = v128.load(sums, 80),
    s6 = v128.load(sums, 96),
    s7 = v128.load(sums, 112),
    s8 = v128.load(sums, 128);
  do {
    let p = x,
      q = x + pitch,
      r = q + pitch,
      left = width;
    do {
      const d = v128.load(dy);
      s0 = f32x4.add(s0, f32x4.mul(d, v128.load(p)));
      s1 = f32x4.add(s1, f32x4.mul(d, v128.load(p + middle)));
      s2 = f32x4.add(s2, f32x4.mul(d, v128.load(p + right)));
      s3 = f32x4.add(s3, f32x4.mul(d, v128.load(q)));
      s4 = f32x4.add(s4, f32x4.mul(d, v128.load(q + middle)));
      s5 = f32x4.add(s5, f32x4.mul(d, v128.load(q + right)));
      s6 = f32x4.add(s6, f32x4.mul(d, v128.load(r)));
      s7 = f32x4.add(s7, f32x4.mul(d, v128.load(r + middle)));
      s8 = f32x4.add(s8, f32x4.mul(d, v128.load(r + right)));
      p += 16;
      q += 16;
      r += 16;
      dy += 16;
      left -= 4;
    } while (left);
    x += step;
  } while (--rows);
  v128.store(sums, s0);
  v128.store(sums, s1, 16);
  v128.store(sums, s2, 32);
  v128.store(sums, s3, 48);
  v128.store(sums, s4, 64);
  v128.store(sums, s5, 80);
  v128.store(sums, s6, 96);
  v128.store(sums, s7, 112);
  v128.store(sums, s8, 128);
}

/** Taps that lie anywhere, one after another. */
function addOthers(plan: Plan, sums: usize, x: usize, dy: usize, rows: i32, width: i32): void {
  const step = at(plan.rowStep * plan.rowWords),
    bytes = at(width);
  let entry = plan.tapTable;
  for (const end = entry + at(plan.taps); entry < end; entry += 4) {
    let word = x + at(load<i32>(entry)),
      d = dy,
      sum = v128.load(sums);
    for (let row = 0; row < rows; row++) {
      for (let i: usize = 0; i < bytes; i += 16) sum = f32x4.add(sum, f32x4.mul(v128.load(d + i), v128.load(word + i)));
      word += step;
      d += bytes;
    }
    v128.store(sums, sum);
    sums += 16;
  }
}
