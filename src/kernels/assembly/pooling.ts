/**
 * Max and average pooling. A plane is one channel of one sample. Glossary: oy, ox, iy, ix positions; ky, kx taps.
 * Windows are clipped to the input once per window: taps [firstY, lastY) x [firstX, lastX) lie in it.
 */
import { sumOf } from './elementwise';
import { fromHalves, highHalf, lowHalf } from './vector';
import { at, loadFloat, loadInt, loadLanes, storeFloat } from './words';

// Fields of the geometry, in the order of GEOMETRY_FIELDS.
const HEIGHT_IN = 1,
  WIDTH_IN = 2,
  HEIGHT_OUT = 4,
  WIDTH_OUT = 5,
  KERNEL_HEIGHT = 6,
  KERNEL_WIDTH = 7,
  STRIDE_Y = 8,
  STRIDE_X = 9,
  PADDING_TOP = 10,
  PADDING_LEFT = 11,
  DILATION_Y = 12,
  DILATION_X = 13;

/** First tap of a window that begins at `start` which is not before the input. */
// @ts-ignore: decorator
@inline
function firstTap(start: i32, dilation: i32): i32 {
  return start < 0 ? (dilation - 1 - start) / dilation : 0;
}

/** One more than the last tap that is within the input's `size`. */
// @ts-ignore: decorator
@inline
function lastTap(start: i32, dilation: i32, taps: i32, size: i32): i32 {
  return size <= start ? 0 : min<i32>(taps, (size - start + dilation - 1) / dilation);
}

export function maxPoolForward(
  scratch: i32,
  geometry: i32,
  x: i32,
  y: i32,
  argmax: i32,
  plane: i32,
  planes: i32,
): void {
  const heightIn = loadInt(geometry + HEIGHT_IN),
    widthIn = loadInt(geometry + WIDTH_IN),
    heightOut = loadInt(geometry + HEIGHT_OUT),
    widthOut = loadInt(geometry + WIDTH_OUT);
  const halves =
    loadInt(geometry + KERNEL_HEIGHT) == 2 &&
    loadInt(geometry + KERNEL_WIDTH) == 2 &&
    loadInt(geometry + STRIDE_Y) == 2 &&
    loadInt(geometry + STRIDE_X) == 2 &&
    loadInt(geometry + PADDING_TOP) == 0 &&
    loadInt(geometry + PADDING_LEFT) == 0 &&
    loadInt(geometry + DILATION_Y) == 1 &&
    loadInt(geometry + DILATION_X) == 1 &&
    heightOut * 2 <= heightIn &&
    widthOut * 2 <= widthIn;
  const sizeIn = heightIn * widthIn,
    sizeOut = heightOut * widthOut;
  if (argmax < 0 && !halves && isByRows(geometry)) return poolRows(scratch, geometry, x, y, plane, planes);
  for (let q = plane; q < plane + planes; q++) {
    const indices = argmax < 0 ? -1 : argmax + q * sizeOut;
    if (halves) maxOfHalves(x + q * sizeIn, y + q * sizeOut, indices, widthIn, heightOut, widthOut);
    else maxOfWindows(geometry, x + q * sizeIn, y + q * sizeOut, indices);
  }
}

/** Whether windows have rows and columns that are neighbours, each of them some in the input, and planes that fill vectors. */
function isByRows(geometry: i32): bool {
  return (
    loadInt(geometry + DILATION_Y) == 1 &&
    loadInt(geometry + DILATION_X) == 1 &&
    loadInt(geometry + WIDTH_IN) >= 4 &&
    loadInt(geometry + WIDTH_OUT) >= 4 &&
    reaches(geometry, HEIGHT_IN, HEIGHT_OUT, KERNEL_HEIGHT, STRIDE_Y, PADDING_TOP) &&
    reaches(geometry, WIDTH_IN, WIDTH_OUT, KERNEL_WIDTH, STRIDE_X, PADDING_LEFT)
  );
}

/** Whether the first and the last window along a side reach into the input. */
function reaches(geometry: i32, sizeIn: i32, sizeOut: i32, kernel: i32, stride: i32, padding: i32): bool {
  const before = loadInt(geometry + padding),
    last = (loadInt(geometry + sizeOut) - 1) * loadInt(geometry + stride) - before;
  return before < loadInt(geometry + kernel) && last < loadInt(geometry + sizeIn);
}

/**
 * Largest of each window without its place: of the rows of a window first, for all columns at once, then of neighbours in
 * what that leaves. Scratch: one row with its padding.
 */
function poolRows(scratch: i32, geometry: i32, x: i32, y: i32, plane: i32, planes: i32): void {
  const heightIn = loadInt(geometry + HEIGHT_IN),
    widthIn = loadInt(geometry + WIDTH_IN),
    heightOut = loadInt(geometry + HEIGHT_OUT),
    widthOut = loadInt(geometry + WIDTH_OUT);
  const kernelHeight = loadInt(geometry + KERNEL_HEIGHT),
    kernelWidth = loadInt(geometry + KERNEL_WIDTH),
    strideY = loadInt(geometry + STRIDE_Y),
    strideX = loadInt(geometry + STRIDE_X);
  const left = loadInt(geometry + PADDING_LEFT),
    words = max((widthOut - 1) * strideX + kernelWidth, left + widthIn);
  for (let i = 0; i < words; i++) storeFloat(scratch + i, -Infinity);
  const row = scratch + left;
  y += plane * heightOut * widthOut;
  for (let q = plane; q < plane + planes; q++) {
    for (let oy = 0; oy < heightOut; oy++) {
      const top = oy * strideY - loadInt(geometry + PADDING_TOP),
        first = max(top, 0),
        end = (min(top + kernelHeight, heightIn) - first) * widthIn,
        source = x + (q * heightIn + first) * widthIn;
      // The last vector overlaps the one before it, here and below.
      for (let i = 0; ; i = min(i + 4, widthIn - 4)) {
        let most = v128.load(at(source + i));
        for (let j = i + widthIn; j < end; j += widthIn) most = f32x4.max(most, v128.load(at(source + j)));
        v128.store(at(row + i), most);
        if (i == widthIn - 4) break;
      }
      for (let i = 0; ; i = min(i + 4, widthOut - 4)) {
        const window = scratch + i * strideX;
        let most = neighboursOf(window, strideX);
        for (let k = 1; k < kernelWidth; k++) most = f32x4.max(most, neighboursOf(window + k, strideX));
        v128.store(at(y + i), most);
        if (i == widthOut - 4) break;
      }
      y += widthOut;
    }
  }
}

// @ts-ignore: decorator
@inline
function neighboursOf(place: i32, stride: i32): v128 {
  return stride <= 2 ? fourOf(place, stride) : loadLanes(place, stride);
}

/** Windows of 2 x 2 side by side, four outputs at a time. */
function maxOfHalves(x: i32, y: i32, argmax: i32, widthIn: i32, heightOut: i32, widthOut: i32): void {
  const steps = i32x4(0, 2, 4, 6);
  for (let oy = 0; oy < heightOut; oy++) {
    const corner = oy * 2 * widthIn,
      out = oy * widthOut;
    let ox = 0;
    for (; ox + 4 <= widthOut; ox += 4) {
      const place = corner + ox * 2,
        a = at(x + place),
        b = at(x + place + widthIn);
      const a0 = v128.load(a),
        a1 = v128.load(a, 16),
        b0 = v128.load(b),
        b1 = v128.load(b, 16);
      const index = i32x4.add(i32x4.splat(place), steps);
      let best = v128.shuffle<f32>(a0, a1, 0, 2, 4, 6),
        where = index;
      let next = v128.shuffle<f32>(a0, a1, 1, 3, 5, 7),
        better = isBetter4(next, best);
      best = v128.bitselect(next, best, better);
      where = v128.bitselect(i32x4.add(index, i32x4.splat(1)), where, better);
      next = v128.shuffle<f32>(b0, b1, 0, 2, 4, 6);
      better = isBetter4(next, best);
      best = v128.bitselect(next, best, better);
      where = v128.bitselect(i32x4.add(index, i32x4.splat(widthIn)), where, better);
      next = v128.shuffle<f32>(b0, b1, 1, 3, 5, 7);
      better = isBetter4(next, best);
      best = v128.bitselect(next, best, better);
      where = v128.bitselect(i32x4.add(index, i32x4.splat(widthIn + 1)), where, better);
      v128.store(at(y + out + ox), best);
      if (argmax >= 0) v128.store(at(argmax + out + ox), where);
    }
    for (; ox < widthOut; ox++) {
      const place = corner + ox * 2;
      let where = place;
      if (isBetter(loadFloat(x + place + 1), loadFloat(x + where))) where = place + 1;
      if (isBetter(loadFloat(x + place + widthIn), loadFloat(x + where))) where = place + widthIn;
      if (isBetter(loadFloat(x + place + widthIn + 1), loadFloat(x + where))) where = place + widthIn + 1;
      storeFloat(y + out + ox, loadFloat(x + where));
      if (argmax >= 0) store<i32>(at(argmax + out + ox), where);
    }
  }
}

function maxOfWindows(geometry: i32, x: i32, y: i32, argmax: i32): void {
  const heightIn = loadInt(geometry + HEIGHT_IN),
    widthIn = loadInt(geometry + WIDTH_IN),
    heightOut = loadInt(geometry + HEIGHT_OUT),
    widthOut = loadInt(geometry + WIDTH_OUT);
  const kernelHeight = loadInt(geometry + KERNEL_HEIGHT),
    kernelWidth = loadInt(geometry + KERNEL_WIDTH),
    strideY = loadInt(geometry + STRIDE_Y),
    strideX = loadInt(geometry + STRIDE_X);
  const paddingTop = loadInt(geometry + PADDING_TOP),
    paddingLeft = loadInt(geometry + PADDING_LEFT),
    dilationY = loadInt(geometry + DILATION_Y),
    dilationX = loadInt(geometry + DILATION_X);
  // Columns whose windows lie wholly within the row, if they fill a vector, go four at a time.
  const inner = (paddingLeft + strideX - 1) / strideX,
    outer = min(widthOut, (widthIn - 1 - (kernelWidth - 1) * dilationX + paddingLeft + strideX) / strideX);
  const quads = strideX <= 2 && outer - inner >= 4;
  for (let oy = 0; oy < heightOut; oy++) {
    const top = oy * strideY - paddingTop,
      firstY = firstTap(top, dilationY),
      lastY = lastTap(top, dilationY, kernelHeight, heightIn);
    const vectors = quads && lastY > firstY;
    if (vectors) {
      for (let ox = inner; ; ox = min(ox + 4, outer - 4)) {
        const corner = top * widthIn + ox * strideX - paddingLeft,
          out = oy * widthOut + ox;
        maxOfFour(
          x,
          corner,
          widthIn,
          strideX,
          firstY,
          lastY,
          kernelWidth,
          dilationY,
          dilationX,
          y + out,
          argmax < 0 ? -1 : argmax + out,
        );
        if (ox + 4 == outer) break;
      }
    }
    for (let ox = 0; ox < widthOut; ox++) {
      if (vectors && ox == inner) ox = outer;
      if (ox == widthOut) break;
      const left = ox * strideX - paddingLeft,
        firstX = firstTap(left, dilationX),
        lastX = lastTap(left, dilationX, kernelWidth, widthIn);
      let best: f32 = 0,
        where = -1;
      for (let ky = firstY; ky < lastY; ky++) {
        for (let kx = firstX; kx < lastX; kx++) {
          const place = (top + ky * dilationY) * widthIn + left + kx * dilationX,
            value = loadFloat(x + place);
          if (where < 0 || isBetter(value, best)) {
            best = value;
            where = place;
          }
        }
      }
      storeFloat(y + oy * widthOut + ox, best);
      if (argmax >= 0) store<i32>(at(argmax + oy * widthOut + ox), where);
    }
  }
}

/**
 * Four windows side by side that lie within the row, or at most reach over its top or bottom; corner: the place of the
 * first window's first tap.
 */
function maxOfFour(
  x: i32,
  corner: i32,
  widthIn: i32,
  strideX: i32,
  firstY: i32,
  lastY: i32,
  kernelWidth: i32,
  dilationY: i32,
  dilationX: i32,
  y: i32,
  argmax: i32,
): void {
  const lanes = strideX == 1 ? i32x4(0, 1, 2, 3) : i32x4(0, 2, 4, 6);
  let where = i32x4.add(i32x4.splat(corner + firstY * dilationY * widthIn), lanes),
    best = fourOf(x + corner + firstY * dilationY * widthIn, strideX);
  for (let ky = firstY; ky < lastY; ky++) {
    for (let kx = 0; kx < kernelWidth; kx++) {
      const place = corner + ky * dilationY * widthIn + kx * dilationX,
        value = fourOf(x + place, strideX),
        better = isBetter4(value, best);
      best = v128.bitselect(value, best, better);
      where = v128.bitselect(i32x4.add(i32x4.splat(place), lanes), where, better);
    }
  }
  v128.store(at(y), best);
  if (argmax >= 0) v128.store(at(argmax), where);
}

/** Four words from `place` on, neighbours or every second; nothing behind the last is read. */
// @ts-ignore: decorator
@inline
function fourOf(place: i32, stride: i32): v128 {
  const here = at(place);
  return stride == 1 ? v128.load(here) : v128.shuffle<f32>(v128.load(here), v128.load(here, 12), 0, 2, 5, 7);
}

/** Larger, or not a number: a NaN comes through, so that a run which diverges is noticed. */
// @ts-ignore: decorator
@inline
function isBetter(value: f32, best: f32): bool {
  return value > best || value != value;
}

// @ts-ignore: decorator
@inline
function isBetter4(value: v128, best: v128): v128 {
  return v128.or(f32x4.gt(value, best), f32x4.ne(value, value));
}

export function maxPoolBackward(
  scratch: i32,
  geometry: i32,
  dy: i32,
  argmax: i32,
  dx: i32,
  plane: i32,
  planes: i32,
): void {
  const sizeIn = loadInt(geometry + HEIGHT_IN) * loadInt(geometry + WIDTH_IN),
    sizeOut = loadInt(geometry + HEIGHT_OUT) * loadInt(geometry + WIDTH_OUT);
  memory.fill(at(dx + plane * sizeIn), 0, at(planes * sizeIn));
  for (let q = plane; q < plane + planes; q++) {
    for (let p = q * sizeOut; p < (q + 1) * sizeOut; p++) {
      const where = loadInt(argmax + p),
        target = dx + q * sizeIn + where;
      if (where >= 0) storeFloat(target, loadFloat(target) + loadFloat(dy + p));
    }
  }
}

export function averagePoolForward(
  scratch: i32,
  geometry: i32,
  x: i32,
  y: i32,
  countPadding: i32,
  plane: i32,
  planes: i32,
): void {
  const isWhole = loadInt(geometry + HEIGHT_OUT) * loadInt(geometry + WIDTH_OUT) == 1;
  if (!isWhole && isByRows(geometry)) averageRows(scratch, geometry, x, y, countPadding, plane, planes);
  else poolAverages(geometry, x, y, countPadding, plane, planes, false);
}

/** As poolRows, with sums in double. Scratch: one row of them. */
function averageRows(scratch: i32, geometry: i32, x: i32, y: i32, countPadding: i32, plane: i32, planes: i32): void {
  const heightIn = loadInt(geometry + HEIGHT_IN),
    widthIn = loadInt(geometry + WIDTH_IN),
    heightOut = loadInt(geometry + HEIGHT_OUT),
    widthOut = loadInt(geometry + WIDTH_OUT);
  const kernelHeight = loadInt(geometry + KERNEL_HEIGHT),
    kernelWidth = loadInt(geometry + KERNEL_WIDTH),
    strideY = loadInt(geometry + STRIDE_Y),
    strideX = loadInt(geometry + STRIDE_X);
  const left = loadInt(geometry + PADDING_LEFT),
    words = max((widthOut - 1) * strideX + kernelWidth, left + widthIn);
  for (let i = 0; i < 2 * words; i++) storeFloat(scratch + i, 0);
  const row = scratch + 2 * left;
  y += plane * heightOut * widthOut;
  for (let q = plane; q < plane + planes; q++) {
    for (let oy = 0; oy < heightOut; oy++) {
      const top = oy * strideY - loadInt(geometry + PADDING_TOP),
        first = max(top, 0),
        rows = min(top + kernelHeight, heightIn) - first,
        end = rows * widthIn,
        source = x + (q * heightIn + first) * widthIn;
      for (let i = 0; ; i = min(i + 4, widthIn - 4)) {
        let low = f64x2.splat(0),
          high = f64x2.splat(0);
        for (let j = i; j < end; j += widthIn) {
          const lanes = v128.load(at(source + j));
          low = f64x2.add(low, lowHalf(lanes));
          high = f64x2.add(high, highHalf(lanes));
        }
        v128.store(at(row + 2 * i), low);
        v128.store(at(row + 2 * i), high, 16);
        if (i == widthIn - 4) break;
      }
      const whole = <f64>(countPadding ? kernelHeight * kernelWidth : rows * kernelWidth);
      for (let i = 0; ; i = min(i + 4, widthOut - 4)) {
        const window = scratch + 2 * i * strideX;
        let low = f64x2.splat(0),
          high = f64x2.splat(0);
        for (let k = 0; k < kernelWidth; k++) {
          low = f64x2.add(low, twoOf(window + 2 * k, strideX));
          high = f64x2.add(high, twoOf(window + 2 * (k + 2 * strideX), strideX));
        }
        const start = i * strideX - left;
        let lowCount = f64x2.splat(whole),
          highCount = lowCount;
        if (!countPadding && (start < 0 || start + 3 * strideX + kernelWidth > widthIn)) {
          lowCount = f64x2.splat(<f64>(rows * tapsAt(start, kernelWidth, widthIn)));
          lowCount = f64x2.replace_lane(lowCount, 1, <f64>(rows * tapsAt(start + strideX, kernelWidth, widthIn)));
          highCount = f64x2.splat(<f64>(rows * tapsAt(start + 2 * strideX, kernelWidth, widthIn)));
          highCount = f64x2.replace_lane(highCount, 1, <f64>(rows * tapsAt(start + 3 * strideX, kernelWidth, widthIn)));
        }
        v128.store(at(y + i), fromHalves(f64x2.div(low, lowCount), f64x2.div(high, highCount)));
        if (i == widthOut - 4) break;
      }
      y += widthOut;
    }
  }
}

/** Columns of a window that lie in the input. */
function tapsAt(start: i32, kernelWidth: i32, widthIn: i32): i32 {
  return min(start + kernelWidth, widthIn) - max(start, 0);
}

/** Two doubles from `place` on, `stride` apart. */
// @ts-ignore: decorator
@inline
function twoOf(place: i32, stride: i32): v128 {
  return v128.load64_lane(at(place + 2 * stride), v128.load64_zero(at(place)), 1);
}

export function averagePoolBackward(
  scratch: i32,
  geometry: i32,
  dy: i32,
  dx: i32,
  countPadding: i32,
  plane: i32,
  planes: i32,
): void {
  const sizeIn = loadInt(geometry + HEIGHT_IN) * loadInt(geometry + WIDTH_IN);
  memory.fill(at(dx + plane * sizeIn), 0, at(planes * sizeIn));
  poolAverages(geometry, dx, dy, countPadding, plane, planes, true);
}

/** Both directions walk the same windows: y = mean of x, or x += share of y. */
function poolAverages(geometry: i32, x: i32, y: i32, countPadding: i32, plane: i32, planes: i32, backward: bool): void {
  const heightIn = loadInt(geometry + HEIGHT_IN),
    widthIn = loadInt(geometry + WIDTH_IN),
    heightOut = loadInt(geometry + HEIGHT_OUT),
    widthOut = loadInt(geometry + WIDTH_OUT);
  const kernelHeight = loadInt(geometry + KERNEL_HEIGHT),
    kernelWidth = loadInt(geometry + KERNEL_WIDTH),
    strideY = loadInt(geometry + STRIDE_Y),
    strideX = loadInt(geometry + STRIDE_X);
  const paddingTop = loadInt(geometry + PADDING_TOP),
    paddingLeft = loadInt(geometry + PADDING_LEFT),
    dilationY = loadInt(geometry + DILATION_Y),
    dilationX = loadInt(geometry + DILATION_X);
  const whole =
    !backward &&
    heightOut * widthOut == 1 &&
    kernelHeight == heightIn &&
    kernelWidth == widthIn &&
    paddingTop == 0 &&
    paddingLeft == 0 &&
    dilationY == 1 &&
    dilationX == 1;
  for (let q = plane; q < plane + planes; q++) {
    const source = x + q * heightIn * widthIn,
      target = y + q * heightOut * widthOut;
    if (whole) {
      storeFloat(target, <f32>(sumOf(source, heightIn * widthIn) / <f64>(heightIn * widthIn)));
      continue;
    }
    for (let oy = 0; oy < heightOut; oy++) {
      const top = oy * strideY - paddingTop,
        firstY = firstTap(top, dilationY),
        lastY = lastTap(top, dilationY, kernelHeight, heightIn);
      for (let ox = 0; ox < widthOut; ox++) {
        const left = ox * strideX - paddingLeft,
          firstX = firstTap(left, dilationX),
          lastX = lastTap(left, dilationX, kernelWidth, widthIn);
        const taps = max<i32>(lastY - firstY, 0) * max<i32>(lastX - firstX, 0),
          place = target + oy * widthOut + ox;
        const divisor = <f64>(countPadding ? kernelHeight * kernelWidth : max<i32>(taps, 1));
        const share = backward ? <f64>loadFloat(place) / divisor : 0;
        let sum: f64 = 0;
        for (let ky = firstY; ky < lastY; ky++) {
          for (let kx = firstX; kx < lastX; kx++) {
            const tap = source + (top + ky * dilationY) * widthIn + left + kx * dilationX;
            if (backward) storeFloat(tap, <f32>(<f64>loadFloat(tap) + share));
            else sum += <f64>loadFloat(tap);
          }
        }
        if (!backward) storeFloat(place, <f32>(sum / divisor));
      }
    }
  }
}
