/**
 * Scale and shift per channel, and batch normalization. Tensors are [samples, allChannels, positions]; N = samples x
 * positions. Batch normalization is computed in double throughout, two lanes at a time: with a large mean, (x - m) in
 * float would lose what matters.
 */
import { activate, slopeOf } from './activation';
import { dotOf, sumOf } from './elementwise';
import { addLanes, fromHalves, highHalf, lowHalf } from './vector';
import { at, loadFloat, storeFloat } from './words';

export function affineForward(
  scratch: i32,
  x: i32,
  scale: i32,
  shift: i32,
  y: i32,
  samples: i32,
  allChannels: i32,
  positions: i32,
  activation: i32,
  parameters: i32,
): void {
  const leak = slopeOf(activation, parameters);
  for (let n = 0; n < samples; n++) {
    for (let c = 0; c < allChannels; c++) {
      const a = v128.load32_splat(at(scale + c)),
        b = v128.load32_splat(at(shift + c));
      const first = (n * allChannels + c) * positions,
        last = first + positions;
      let i = first;
      for (; i + 4 <= last; i += 4)
        v128.store(at(y + i), activate(f32x4.add(f32x4.mul(v128.load(at(x + i)), a), b), activation, leak));
      for (; i < last; i++)
        storeFloat(
          y + i,
          f32x4.extract_lane(activate(f32x4.add(f32x4.mul(v128.load32_splat(at(x + i)), a), b), activation, leak), 0),
        );
    }
  }
}

export function affineBackward(
  scratch: i32,
  dy: i32,
  scale: i32,
  dx: i32,
  samples: i32,
  allChannels: i32,
  positions: i32,
): void {
  for (let n = 0; n < samples; n++) {
    for (let c = 0; c < allChannels; c++) {
      const a = loadFloat(scale + c),
        lanes = f32x4.splat(a);
      const first = (n * allChannels + c) * positions,
        last = first + positions;
      let i = first;
      for (; i + 4 <= last; i += 4) v128.store(at(dx + i), f32x4.mul(v128.load(at(dy + i)), lanes));
      for (; i < last; i++) storeFloat(dx + i, loadFloat(dy + i) * a);
    }
  }
}

export function affineBackwardParameters(
  scratch: i32,
  x: i32,
  dy: i32,
  dscale: i32,
  dshift: i32,
  samples: i32,
  allChannels: i32,
  positions: i32,
  channel: i32,
  channels: i32,
): void {
  for (let c = channel; c < channel + channels; c++) {
    let product: f64 = 0,
      sum: f64 = 0;
    for (let n = 0; n < samples; n++) {
      const first = (n * allChannels + c) * positions;
      product += dotOf(dy + first, x + first, positions);
      sum += sumOf(dy + first, positions);
    }
    storeFloat(dscale + c, <f32>product);
    storeFloat(dshift + c, <f32>sum);
  }
}

export function batchNormForward(
  scratch: i32,
  x: i32,
  scale: i32,
  shift: i32,
  runningMean: i32,
  runningVariance: i32,
  savedMean: i32,
  savedInverse: i32,
  y: i32,
  hyper: i32,
  samples: i32,
  allChannels: i32,
  positions: i32,
  channel: i32,
  channels: i32,
): void {
  const epsilon = <f64>loadFloat(hyper),
    momentum = <f64>loadFloat(hyper + 1),
    N = <f64>samples * <f64>positions;
  if (N == 0) return;
  for (let c = channel; c < channel + channels; c++) {
    let sum: f64 = 0,
      squares: f64 = 0;
    for (let n = 0; n < samples; n++) sum += sumOf(x + (n * allChannels + c) * positions, positions);
    const m = sum / N;
    for (let n = 0; n < samples; n++) squares += squaresAbout(m, x + (n * allChannels + c) * positions, positions);
    const v = squares / N,
      inverse = 1 / sqrt<f64>(v + epsilon);
    for (let n = 0; n < samples; n++) {
      const first = (n * allChannels + c) * positions;
      normalize(x + first, y + first, positions, m, inverse, <f64>loadFloat(scale + c), <f64>loadFloat(shift + c));
    }
    storeFloat(savedMean + c, <f32>m);
    storeFloat(savedInverse + c, <f32>inverse);
    const mean = <f64>loadFloat(runningMean + c),
      variance = <f64>loadFloat(runningVariance + c);
    storeFloat(runningMean + c, <f32>(mean + momentum * (m - mean)));
    // One value has no unbiased variance: its own, zero, is taken.
    storeFloat(runningVariance + c, <f32>(variance + momentum * ((v * N) / max<f64>(N - 1, 1) - variance)));
  }
}

/** Sum of (x - m)^2. */
function squaresAbout(m: f64, x: i32, count: i32): f64 {
  const mean = f64x2.splat(m);
  let even = f64x2.splat(0),
    odd = f64x2.splat(0),
    i = 0;
  for (; i + 4 <= count; i += 4) {
    const lanes = v128.load(at(x + i)),
      low = f64x2.sub(lowHalf(lanes), mean),
      high = f64x2.sub(highHalf(lanes), mean);
    even = f64x2.add(even, f64x2.mul(low, low));
    odd = f64x2.add(odd, f64x2.mul(high, high));
  }
  let sum = addLanes(f64x2.add(even, odd));
  for (; i < count; i++) sum += (<f64>loadFloat(x + i) - m) * (<f64>loadFloat(x + i) - m);
  return sum;
}

/** y = scale (x - m) inverse + shift. */
function normalize(x: i32, y: i32, count: i32, m: f64, inverse: f64, scale: f64, shift: f64): void {
  const m2 = f64x2.splat(m),
    inverse2 = f64x2.splat(inverse),
    scale2 = f64x2.splat(scale),
    shift2 = f64x2.splat(shift);
  let i = 0;
  for (; i + 4 <= count; i += 4) {
    const lanes = v128.load(at(x + i));
    const low = f64x2.add(f64x2.mul(scale2, f64x2.mul(f64x2.sub(lowHalf(lanes), m2), inverse2)), shift2);
    const high = f64x2.add(f64x2.mul(scale2, f64x2.mul(f64x2.sub(highHalf(lanes), m2), inverse2)), shift2);
    v128.store(at(y + i), fromHalves(low, high));
  }
  for (; i < count; i++) storeFloat(y + i, <f32>(scale * ((<f64>loadFloat(x + i) - m) * inverse) + shift));
}

export function batchNormBackward(
  scratch: i32,
  x: i32,
  dy: i32,
  scale: i32,
  savedMean: i32,
  savedInverse: i32,
  dx: i32,
  dscale: i32,
  dshift: i32,
  samples: i32,
  allChannels: i32,
  positions: i32,
  channel: i32,
  channels: i32,
): void {
  const N = <f64>samples * <f64>positions;
  for (let c = channel; c < channel + channels; c++) {
    const m = <f64>loadFloat(savedMean + c),
      inverse = <f64>loadFloat(savedInverse + c);
    let sumDy: f64 = 0,
      sumDyX: f64 = 0;
    for (let n = 0; n < samples; n++) {
      const first = (n * allChannels + c) * positions;
      sumDy += sumOf(dy + first, positions);
      sumDyX += dotAbout(m, x + first, dy + first, positions);
    }
    sumDyX *= inverse;
    storeFloat(dshift + c, <f32>sumDy);
    storeFloat(dscale + c, <f32>sumDyX);
    for (let n = 0; n < samples; n++) {
      const first = (n * allChannels + c) * positions;
      pullBack(
        x + first,
        dy + first,
        dx + first,
        positions,
        m,
        inverse,
        <f64>loadFloat(scale + c) * inverse,
        sumDy / N,
        sumDyX / N,
      );
    }
  }
}

/** Sum of dy (x - m). */
function dotAbout(m: f64, x: i32, dy: i32, count: i32): f64 {
  const mean = f64x2.splat(m);
  let even = f64x2.splat(0),
    odd = f64x2.splat(0),
    i = 0;
  for (; i + 4 <= count; i += 4) {
    const lanes = v128.load(at(x + i)),
      slopes = v128.load(at(dy + i));
    even = f64x2.add(even, f64x2.mul(lowHalf(slopes), f64x2.sub(lowHalf(lanes), mean)));
    odd = f64x2.add(odd, f64x2.mul(highHalf(slopes), f64x2.sub(highHalf(lanes), mean)));
  }
  let sum = addLanes(f64x2.add(even, odd));
  for (; i < count; i++) sum += <f64>loadFloat(dy + i) * (<f64>loadFloat(x + i) - m);
  return sum;
}

/** dx = factor (dy - meanDy - (x - m) inverse meanDyX). */
function pullBack(
  x: i32,
  dy: i32,
  dx: i32,
  count: i32,
  m: f64,
  inverse: f64,
  factor: f64,
  meanDy: f64,
  meanDyX: f64,
): void {
  const m2 = f64x2.splat(m),
    inverse2 = f64x2.splat(inverse),
    factor2 = f64x2.splat(factor),
    meanDy2 = f64x2.splat(meanDy),
    meanDyX2 = f64x2.splat(meanDyX);
  let i = 0;
  for (; i + 4 <= count; i += 4) {
    const lanes = v128.load(at(x + i)),
      slopes = v128.load(at(dy + i));
    const low = f64x2.sub(
      f64x2.sub(lowHalf(slopes), meanDy2),
      f64x2.mul(f64x2.mul(f64x2.sub(lowHalf(lanes), m2), inverse2), meanDyX2),
    );
    const high = f64x2.sub(
      f64x2.sub(highHalf(slopes), meanDy2),
      f64x2.mul(f64x2.mul(f64x2.sub(highHalf(lanes), m2), inverse2), meanDyX2),
    );
    v128.store(at(dx + i), fromHalves(f64x2.mul(factor2, low), f64x2.mul(factor2, high)));
  }
  for (; i < count; i++)
    storeFloat(
      dx + i,
      <f32>(factor * (<f64>loadFloat(dy + i) - meanDy - (<f64>loadFloat(x + i) - m) * inverse * meanDyX)),
    );
}

export function batchNormFold(
  scratch: i32,
  scale: i32,
  shift: i32,
  mean: i32,
  variance: i32,
  scaleOut: i32,
  shiftOut: i32,
  hyper: i32,
  channels: i32,
): void {
  for (let c = 0; c < channels; c++) {
    const folded = <f64>loadFloat(scale + c) / sqrt<f64>(<f64>loadFloat(variance + c) + <f64>loadFloat(hyper));
    storeFloat(scaleOut + c, <f32>folded);
    storeFloat(shiftOut + c, <f32>(<f64>loadFloat(shift + c) - <f64>loadFloat(mean + c) * folded));
  }
}

export function standardizeForward(
  scratch: i32,
  x: i32,
  scale: i32,
  shift: i32,
  y: i32,
  inverse: i32,
  hyper: i32,
  row: i32,
  rows: i32,
  period: i32,
  channels: i32,
  positions: i32,
): void {
  const count = channels * positions,
    epsilon = <f64>loadFloat(hyper);
  for (let r = row; r < row + rows; r++) {
    const from = x + r * count,
      to = y + r * count,
      m = sumOf(from, count) / <f64>count,
      factor = 1 / sqrt<f64>(squaresAbout(m, from, count) / <f64>count + epsilon);
    const scales = scale < 0 ? -1 : scale + (r % period) * channels,
      shifts = shift < 0 ? -1 : shift + (r % period) * channels;
    if (inverse >= 0) storeFloat(inverse + r, <f32>factor);
    if (positions == 1 && scale >= 0 && shift >= 0) {
      standardizeEach(from, to, count, m, factor, scales, shifts);
      continue;
    }
    for (let c = 0; c < channels; c++)
      normalize(
        from + c * positions,
        to + c * positions,
        positions,
        m,
        factor,
        scale < 0 ? 1 : <f64>loadFloat(scales + c),
        shift < 0 ? 0 : <f64>loadFloat(shifts + c),
      );
  }
}

/** y = scale (x - m) inverse + shift with a scale and a shift for each element. */
function standardizeEach(x: i32, y: i32, count: i32, m: f64, inverse: f64, scale: i32, shift: i32): void {
  const m2 = f64x2.splat(m),
    inverse2 = f64x2.splat(inverse);
  let i = 0;
  for (; i + 4 <= count; i += 4) {
    const lanes = v128.load(at(x + i)),
      scales = v128.load(at(scale + i)),
      shifts = v128.load(at(shift + i));
    const low = f64x2.mul(lowHalf(scales), f64x2.mul(f64x2.sub(lowHalf(lanes), m2), inverse2));
    const high = f64x2.mul(highHalf(scales), f64x2.mul(f64x2.sub(highHalf(lanes), m2), inverse2));
    v128.store(at(y + i), fromHalves(f64x2.add(low, lowHalf(shifts)), f64x2.add(high, highHalf(shifts))));
  }
  for (; i < count; i++)
    storeFloat(
      y + i,
      <f32>(<f64>loadFloat(scale + i) * ((<f64>loadFloat(x + i) - m) * inverse) + <f64>loadFloat(shift + i)),
    );
}

export function standardizeBackward(
  scratch: i32,
  x: i32,
  dy: i32,
  inverse: i32,
  dx: i32,
  rows: i32,
  columns: i32,
): void {
  for (let r = 0; r < rows; r++) {
    const first = r * columns,
      N = <f64>columns;
    pullBack(
      x + first,
      dy + first,
      dx + first,
      columns,
      0,
      1,
      <f64>loadFloat(inverse + r),
      sumOf(dy + first, columns) / N,
      dotOf(dy + first, x + first, columns) / N,
    );
  }
}
