/**
 * Resizing of images: separable, antialiased. Both filters are PyTorch's, so that a model trained there sees the same
 * input here.
 */
import { checkInteger, checkOneOf } from '../base/errors.ts';
import type { Preprocessing } from '../graph/preprocessing.ts';
import { toTensor } from '../base/tensor.ts';
import type { Tensor, TensorLike } from '../base/tensor.ts';

export type ResizeFilter = Preprocessing['filter'];
/** 'area': the mean of what a pixel covers; 'bilinear': a triangle filter. See {@link resizeImage}. */
export const RESIZE_FILTERS = ['area', 'bilinear'] as const;

/**
 * For each output position: the first source position, how many follow, and their weights (rows of `width`), which sum
 * to 1.
 */
interface Taps {
  readonly start: Int32Array;
  readonly count: Int32Array;
  readonly weights: Float64Array;
  readonly width: number;
}

/**
 * Resamples one plane: source (sourceHeight, sourceWidth), row-major, into out from `offset` on, elements `step` apart.
 */
export type PlaneResizer = (source: ArrayLike<number>, out: Float32Array, offset?: number, step?: number) => void;

/**
 * Resizes an image (height, width) or (height, width, channels), row-major, of any element type; the result has the
 * same rank.
 *
 * `'area'`: every output pixel is the plain mean of the source pixels that it touches: rows floor(i h / H) to ceil((i +
 * 1) h / H), all with the same weight, columns alike. That is `torch.nn.functional.interpolate(mode='area')`; where
 * sides divide it is the exact mean over the covered area, elsewhere the touched border pixels count in full.
 * `'bilinear'`: a triangle filter, as wide as the shrinking asks for; `interpolate(mode='bilinear', antialias=True)`
 * and Pillow's `BILINEAR`. Sums are in double. Cost: about height·WIDTH·(taps) + HEIGHT·WIDTH·(taps) multiply-adds a
 * channel.
 *
 * @throws {RangeError} if the image is empty or of another rank, or a side is no whole number from 1
 */
export function resizeImage(image: TensorLike, width: number, height: number, filter: ResizeFilter): Tensor {
  const { data, shape } = toTensor('resizeImage', 'image', image);
  if (shape.length !== 2 && shape.length !== 3)
    throw new RangeError(
      `resizeImage: image: expected shape (height, width) or (height, width, channels), got [${shape.join(', ')}]`,
    );
  checkInteger('resizeImage', 'width', width, 1);
  checkInteger('resizeImage', 'height', height, 1);
  checkOneOf('resizeImage', 'filter', filter, RESIZE_FILTERS);
  const [sourceHeight, sourceWidth, channels = 1] = shape;
  if (data.length === 0) throw new RangeError(`resizeImage: image: expected pixels, got shape [${shape.join(', ')}]`);
  const resize = planeResizer(sourceWidth, sourceHeight, width, height, filter);
  const out = new Float32Array(height * width * channels);
  const plane = new Float32Array(sourceHeight * sourceWidth);
  for (let c = 0; c < channels; c++) {
    for (let i = 0; i < plane.length; i++) plane[i] = data[i * channels + c];
    resize(plane, out, c, channels);
  }
  return { data: out, shape: shape.length === 2 ? [height, width] : [height, width, channels] };
}

/** Prepares one resizing for many planes. Arguments are the caller's to check. */
export function planeResizer(
  sourceWidth: number,
  sourceHeight: number,
  width: number,
  height: number,
  filter: ResizeFilter,
): PlaneResizer {
  const makeTaps = filter === 'area' ? areaTaps : triangleTaps;
  const across = makeTaps(sourceWidth, width);
  const down = makeTaps(sourceHeight, height);
  const narrow = new Float64Array(sourceHeight * width);
  return (source, out, offset = 0, step = 1) => {
    for (let y = 0; y < sourceHeight; y++) {
      for (let x = 0; x < width; x++) {
        const first = y * sourceWidth + across.start[x];
        const count = across.count[x];
        const tap = x * across.width;
        let sum = 0;
        for (let k = 0; k < count; k++) sum += across.weights[tap + k] * source[first + k];
        narrow[y * width + x] = sum;
      }
    }
    for (let y = 0; y < height; y++) {
      const first = down.start[y] * width;
      const count = down.count[y];
      const tap = y * down.width;
      for (let x = 0; x < width; x++) {
        let sum = 0;
        for (let k = 0; k < count; k++) sum += down.weights[tap + k] * narrow[first + k * width + x];
        out[offset + (y * width + x) * step] = sum;
      }
    }
  };
}

function areaTaps(source: number, target: number): Taps {
  const width = Math.ceil(source / target) + 1;
  const taps = emptyTaps(target, width);
  for (let i = 0; i < target; i++) {
    const start = Math.floor((i * source) / target);
    const count = Math.ceil(((i + 1) * source) / target) - start;
    taps.start[i] = start;
    taps.count[i] = count;
    taps.weights.fill(1 / count, i * width, i * width + count);
  }
  return taps;
}

function triangleTaps(source: number, target: number): Taps {
  const scale = source / target;
  const support = Math.max(scale, 1);
  const width = 2 * Math.ceil(support) + 1;
  const taps = emptyTaps(target, width);
  for (let i = 0; i < target; i++) {
    const centre = scale * (i + 0.5);
    const start = Math.max(Math.floor(centre - support + 0.5), 0);
    const count = Math.min(Math.floor(centre + support + 0.5), source) - start;
    let sum = 0;
    for (let k = 0; k < count; k++)
      sum += taps.weights[i * width + k] = Math.max(0, 1 - Math.abs(start + k - centre + 0.5) / support);
    for (let k = 0; k < count; k++) taps.weights[i * width + k] /= sum;
    taps.start[i] = start;
    taps.count[i] = count;
  }
  return taps;
}

function emptyTaps(target: number, width: number): Taps {
  return {
    start: new Int32Array(target),
    count: new Int32Array(target),
    weights: new Float64Array(target * width),
    width,
  };
}
