/**
 * The gradient to the input of depthwise 3 x 3 convolutions of stride 2, whole rows at a time. AssemblyScript.
 *
 * Of every two neighbours in a row of dx, one takes the middle tap of one word of dy, the other both outer taps of that
 * word and of the next; rows go the same way. So four words of dy and their neighbours give eight of dx in two rows,
 * which leave the registers interleaved; the phases one by one (convolution-direct.ts) wrote every second word, at 2
 * GFLOP/s. Each output is one chain in ascending order of the staged words. Packed weights: as they are. Glossary: a
 * step: the two rows of dx that begin with the one of the middle tap; a strip: eight columns of dx.
 */
import { DIRECT_WORDS } from './blocking';
import { stagePlanes } from './convolution-direct';
import { Geometry, Plan, clear } from './convolution-plan';
import { Work } from './convolution-work';
import { at } from './words';

const STRIP: i32 = 8;
/** Narrower planes have no room for what a strip writes beyond a row; of wider ones two staged rows might not fit. */
const NARROWEST: i32 = 4;
const WIDEST: i32 = 4096;

/** Whether the gradient to the input goes this way. */
export function isInterleaved(g: Geometry): bool {
  return (
    g.groups == g.channelsIn &&
    g.groups == g.channelsOut &&
    g.kernelHeight == 3 &&
    g.kernelWidth == 3 &&
    g.strideY == 2 &&
    g.strideX == 2 &&
    g.dilationY == 1 &&
    g.dilationX == 1 &&
    g.widthIn >= NARROWEST &&
    g.widthIn <= WIDEST
  );
}

/** dx of samples [0, samples). gradient, out: addresses of the first plane of dy and of dx; packed: the weights. */
export function directInput(work: Work, g: Geometry, gradient: usize, packed: usize, out: usize, samples: i32): void {
  const plan = changetype<Plan>(work.plan),
    stage = work.stage;
  plan.sourceHeight = g.heightOut;
  plan.sourceWidth = g.widthOut;
  plan.firstRow = (g.paddingTop - 1) >> 1;
  plan.firstColumn = (g.paddingLeft - 1) >> 1;
  plan.rowStep = 1;
  plan.columnStep = 1;
  plan.phases = 1;
  plan.phaseWords = ((g.widthIn + STRIP - 1) / STRIP) * (STRIP / 2) + 1;
  plan.rowWords = plan.phaseWords;
  const planeIn = at(g.heightIn * g.widthIn),
    planeOut = at(g.heightOut * g.widthOut),
    total = samples * g.channelsIn;
  const steps = ((g.heightIn + g.paddingTop - 2) >> 1) - plan.firstRow + 1,
    together = min(steps, DIRECT_WORDS / plan.rowWords - 1);
  const words = (together + 1) * plan.rowWords,
    planes = together < steps ? 1 : min(total, DIRECT_WORDS / words);
  clear(stage, stage + at(planes * words));
  for (let plane = 0; plane < total; plane += planes) {
    const here = min(planes, total - plane);
    // The rows of a plane from first to last, since a strip may write beyond the end of a row what the next row writes
    // again.
    for (let step = 0; step < steps; step += together) {
      const end = min(step + together, steps);
      // What is padding in one band is not in the next.
      if (together < steps) clear(stage, stage + at(words));
      stagePlanes(plan, gradient + <usize>plane * planeOut, stage, here, words, step, end + 1 - step);
      for (let p = plane; p < plane + here; p++) {
        strips(
          work,
          g,
          stage + at((p - plane) * words),
          packed + at((p % g.channelsIn) * 9),
          out + <usize>p * planeIn,
          step,
          end,
          steps,
          p + 1 == total,
        );
      }
    }
  }
}

/**
 * Steps [step, end) of one plane at `out`, from the last strip to the first; `last`: nothing behind the plane may be
 * written, even for a moment.
 */
function strips(
  work: Work,
  g: Geometry,
  stage: usize,
  weights: usize,
  out: usize,
  step: i32,
  end: i32,
  steps: i32,
  last: bool,
): void {
  const pitch = at(changetype<Plan>(work.plan).rowWords),
    toPitch = at(g.widthIn),
    before = 1 - (g.paddingTop & 1),
    swapped = (g.paddingLeft & 1) == 0;
  for (let column = (g.widthIn - 1) & -STRIP; column >= 0; column -= STRIP) {
    const partly = last && column + STRIP > g.widthIn;
    // Steps with a row outside the plane, or with the last row's end, go through the edge.
    const low = step + i32(step == 0 && before),
      high = end - i32(end == steps && (partly || 2 * steps - before > g.heightIn));
    for (let s = step; s < end;) {
      const from = stage + <usize>(s - step) * pitch + at(column >> 1),
        row = 2 * s - before;
      if (s >= low && s < high) {
        write(from, pitch, out + at(row * g.widthIn + column), toPitch, high - s, weights, swapped);
        s = high;
        continue;
      }
      write(from, pitch, work.edge, at(STRIP), 1, weights, swapped);
      const bytes = at(min(STRIP, g.widthIn - column));
      for (let r = max(0, -row); r < min(2, g.heightIn - row); r++)
        memory.copy(out + at((row + r) * g.widthIn + column), work.edge + at(r * STRIP), bytes);
      s++;
    }
  }
}

function write(from: usize, pitch: usize, to: usize, toPitch: usize, steps: i32, weights: usize, swapped: bool): void {
  if (swapped) writeSteps(from, pitch, to, toPitch, steps, weights, true);
  else writeSteps(from, pitch, to, toPitch, steps, weights, false);
}

/** A strip of `steps` steps. swapped: the outer taps come first, and the middle one meets the second of their words. */
// @ts-ignore: decorator
@inline
function writeSteps(
  from: usize,
  pitch: usize,
  to: usize,
  toPitch: usize,
  steps: i32,
  weights: usize,
  swapped: bool,
): void {
  const w0 = v128.load32_splat(weights),
    w1 = v128.load32_splat(weights, 4),
    w2 = v128.load32_splat(weights, 8);
  const w3 = v128.load32_splat(weights, 12),
    w4 = v128.load32_splat(weights, 16),
    w5 = v128.load32_splat(weights, 20);
  const w6 = v128.load32_splat(weights, 24),
    w7 = v128.load32_splat(weights, 28),
    w8 = v128.load32_splat(weights, 32);
  let a = v128.load(from),
    b = v128.load(from, 4);
  do {
    interleave(to, f32x4.mul(w4, swapped ? b : a), f32x4.add(f32x4.mul(w5, a), f32x4.mul(w3, b)), swapped);
    let middle = f32x4.mul(w7, swapped ? b : a),
      outer = f32x4.add(f32x4.mul(w8, a), f32x4.mul(w6, b));
    from += pitch;
    to += toPitch;
    ((a = v128.load(from)), (b = v128.load(from, 4)));
    middle = f32x4.add(middle, f32x4.mul(w1, swapped ? b : a));
    outer = f32x4.add(f32x4.add(outer, f32x4.mul(w2, a)), f32x4.mul(w0, b));
    interleave(to, middle, outer, swapped);
    to += toPitch;
  } while (--steps);
}

// @ts-ignore: decorator
@inline
function interleave(to: usize, middle: v128, outer: v128, swapped: bool): void {
  const even = swapped ? outer : middle,
    odd = swapped ? middle : outer;
  v128.store(to, v128.shuffle<f32>(even, odd, 0, 4, 1, 5));
  v128.store(to, v128.shuffle<f32>(even, odd, 2, 6, 3, 7), 16);
}
