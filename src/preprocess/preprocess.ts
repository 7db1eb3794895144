/**
 * From an image to the network's input: grey or colour, resized, scaled, standardized. What it does travels with the
 * model.
 */
import { square } from '../base/elementary.ts';
import { checkFinite, checkInteger, checkNumber, checkOneOf, EspalierError, show } from '../base/errors.ts';
import { own } from '../base/realm.ts';
import { checkNames } from '../base/rules.ts';
import type { Preprocessing } from '../graph/preprocessing.ts';
import { checkFloat32 } from '../base/float32.ts';
import { contiguous, sizeOf } from '../base/tensor.ts';
import type { Shape, TensorLike } from '../base/tensor.ts';
import { planeResizer, RESIZE_FILTERS } from './resize.ts';

/** Writes one image's input, of {@link preprocessedShape}, into `out` from `offset` on. */
export type Preprocessor = (pixels: ArrayLike<number>, out: Float32Array, offset?: number) => void;

/**
 * Turns an image (height, width) or (height, width, 1 | 3 | 4), values 0 ... 255, into a network input (channels,
 * height, width), or (height, width, channels) where its `layout` is 'last'.
 *
 * In this order: a fourth channel (alpha) is left out; colour becomes grey by 0.299 R + 0.587 G + 0.114 B where one
 * channel is wanted, grey is repeated where three are; three
 * are put in their `order`, RGB or BGR; resized by `filter`; multiplied by `scale`; standardized: per
 * image, minus the mean, over (standard deviation with n - 1, plus epsilon; an image without contrast becomes zeros),
 * or per channel by fixed numbers.
 *
 * @throws {TypeError | RangeError} if the image or the preprocessing is not of this form
 * @throws {EspalierError} NONFINITE if a pixel is not finite, RANGE for one beyond float32, or a scale that leads there
 * @example
 * import { preprocess } from 'espalier/data';
 * const input = preprocess({ data: pixels, shape: [96, 96] }, { width: 64, height: 64, channels: 1, filter: 'area', scale: 1 / 255, standardize: { kind: 'image', epsilon: 1e-3 } });
 */
export function preprocess(image: TensorLike, preprocessing: Preprocessing): Float32Array {
  checkPreprocessing('preprocess', preprocessing);
  const { data, shape } = contiguous('preprocess', 'image', image);
  const out = new Float32Array(sizeOf(preprocessedShape(preprocessing)));
  preprocessor('preprocess', shape, preprocessing)(data, out);
  checkPrepared('preprocess', data, out);
  return out;
}

/**
 * What came of an image is finite; if not, the pixel is looked for that made it so.
 * @throws {EspalierError} NONFINITE, RANGE
 */
export function checkPrepared(who: string, pixels: ArrayLike<number>, input: Float32Array): void {
  if (input.every(Number.isFinite)) return;
  checkFinite(who, 'image', pixels);
  for (let i = 0; i < pixels.length; i++) checkFloat32(who, 'image', pixels[i]);
  throw new EspalierError('RANGE', `${who}: image: scaled and standardized it leaves float32; take a smaller scale`, {
    name: 'preprocessing.scale',
  });
}

/** Shape per sample of what a preprocessing yields. */
export function preprocessedShape(preprocessing: Preprocessing): Shape {
  const { channels, height, width, layout } = own(preprocessing);
  return layout === 'last' ? [height, width, channels] : [channels, height, width];
}

/**
 * Prepares one preprocessing for many images of one shape; {@link preprocess} is this for one image. The preprocessing
 * must have been checked.
 * @param imageShape - (height, width) or (height, width, channels) with 1, 3 or 4 channels
 * @throws {RangeError} for another shape
 */
export function preprocessor(who: string, imageShape: Shape, preprocessing: Preprocessing): Preprocessor {
  const [sourceHeight, sourceWidth, sourceChannels = 1] = imageShape;
  if (
    (imageShape.length !== 2 && imageShape.length !== 3) ||
    ![1, 3, 4].includes(sourceChannels) ||
    sizeOf(imageShape) === 0
  ) {
    throw new RangeError(
      `${who}: image: expected shape (height, width) or (height, width, channels) with 1, 3 or 4 channels, got [${imageShape.join(', ')}]`,
    );
  }
  const { width, height, channels, filter, scale, standardize, order = 'RGB', layout = 'first' } = own(preprocessing);
  const resize = planeResizer(sourceWidth, sourceHeight, width, height, filter);
  const plane = new Float32Array(sourceHeight * sourceWidth);
  const area = width * height;

  const fillPlane = (pixels: ArrayLike<number>, channel: number): void => {
    if (sourceChannels === 1) for (let i = 0; i < plane.length; i++) plane[i] = pixels[i];
    else if (channels === 3)
      for (let i = 0, at = order === 'BGR' ? 2 - channel : channel; i < plane.length; i++, at += sourceChannels)
        plane[i] = pixels[at];
    else
      for (let i = 0, at = 0; i < plane.length; i++, at += sourceChannels)
        plane[i] = 0.299 * pixels[at] + 0.587 * pixels[at + 1] + 0.114 * pixels[at + 2];
  };
  // Where a channel begins, and how far apart its elements are.
  const [begins, step] = layout === 'last' ? [1, channels] : [area, 1];
  return (pixels, out, offset = 0) => {
    for (let channel = 0; channel < channels; channel++) {
      fillPlane(pixels, channel);
      resize(plane, out, offset + channel * begins, step);
    }
    if (standardize.kind === 'fixed') {
      for (let channel = 0; channel < channels; channel++) {
        affine(
          out,
          offset + channel * begins,
          area,
          step,
          scale / standardize.deviation[channel],
          -standardize.mean[channel] / standardize.deviation[channel],
        );
      }
    } else if (standardize.kind === 'image') {
      const { mean, deviation } = moments(out, offset, channels * area);
      const divisor = Math.abs(scale) * deviation + standardize.epsilon;
      const factor = divisor > 0 ? scale / divisor : 0;
      affine(out, offset, channels * area, 1, factor, -mean * factor);
    } else affine(out, offset, channels * area, 1, scale, 0);
  };
}

const FIELDS = ['width', 'height', 'channels', 'order', 'layout', 'filter', 'scale', 'standardize'];

/** Checks a preprocessing that came from a caller or a file. @throws {TypeError | RangeError} naming the field */
export function checkPreprocessing(who: string, preprocessing: unknown): asserts preprocessing is Preprocessing {
  if (typeof preprocessing !== 'object' || preprocessing === null)
    throw new TypeError(
      `${who}: preprocessing: expected an object { width, height, channels, filter, scale, standardize }, got ${show(preprocessing)}`,
    );
  checkNames(who, 'preprocessing', preprocessing, FIELDS);
  const { width, height, channels, filter, scale, standardize, order, layout } = own(
    preprocessing as Partial<Record<keyof Preprocessing, unknown>>,
  );
  checkInteger(who, 'preprocessing.width', width, 1, 32768);
  checkInteger(who, 'preprocessing.height', height, 1, 32768);
  if (channels !== 1 && channels !== 3)
    throw new RangeError(`${who}: preprocessing.channels: expected 1 or 3, got ${show(channels)}`);
  checkOneOf(who, 'preprocessing.filter', filter, RESIZE_FILTERS);
  if (order !== undefined) checkOneOf(who, 'preprocessing.order', order, ['RGB', 'BGR']);
  if (layout !== undefined) checkOneOf(who, 'preprocessing.layout', layout, ['first', 'last']);
  if (checkNumber(who, 'preprocessing.scale', scale) === 0)
    throw new RangeError(`${who}: preprocessing.scale: expected a number other than 0 (1/255 is usual), got 0`);
  if (typeof standardize !== 'object' || standardize === null)
    throw new TypeError(
      `${who}: preprocessing.standardize: expected { kind: 'none' | 'image' | 'fixed' }, got ${show(standardize)}`,
    );
  const { kind, epsilon, mean, deviation } = standardize as Record<string, unknown>;
  const kinds = { none: [], image: ['epsilon'], fixed: ['mean', 'deviation'] };
  const fields = kinds[checkOneOf(who, 'preprocessing.standardize.kind', kind, ['none', 'image', 'fixed'])];
  checkNames(who, 'preprocessing.standardize', standardize, ['kind', ...fields]);
  if (kind === 'image') checkNumber(who, 'preprocessing.standardize.epsilon', epsilon, 0);
  if (kind === 'fixed') {
    for (const [name, list, from] of [
      ['mean', mean, -Infinity],
      ['deviation', deviation, 0],
    ] as const) {
      const field = `preprocessing.standardize.${name}`;
      if (!Array.isArray(list))
        throw new TypeError(`${who}: ${field}: expected ${channels} numbers, got ${show(list)}`);
      if (list.length !== channels)
        throw new RangeError(`${who}: ${field}: expected ${channels} numbers, got ${list.length}`);
      list.forEach((value, c) => checkNumber(who, `${field}[${c}]`, value, from, Infinity, name === 'deviation'));
    }
  }
}

/** Mean and standard deviation (n - 1; 0 of a single value) in two passes, in double. */
function moments(data: Float32Array, offset: number, count: number): { mean: number; deviation: number } {
  let sum = 0;
  for (let i = offset; i < offset + count; i++) sum += data[i];
  const mean = sum / count;
  let squares = 0;
  for (let i = offset; i < offset + count; i++) squares += square(data[i] - mean);
  return { mean, deviation: count > 1 ? Math.sqrt(squares / (count - 1)) : 0 };
}

/** Of `count` elements, `step` apart. */
function affine(data: Float32Array, offset: number, count: number, step: number, factor: number, shift: number): void {
  for (let i = 0, at = offset; i < count; i++, at += step) data[at] = data[at] * factor + shift;
}
