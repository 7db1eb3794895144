/**
 * Augmentation of faces with landmarks: a random rotation, scale, shift and mirroring of each sample, the points with
 * it. Applied to network inputs (already resized and standardized).
 */
import { cosPi, sinPi } from '../base/elementary.ts';
import { checkInteger, checkNumber } from '../base/errors.ts';
import { ownOptions } from '../base/rules.ts';
import type { Examples } from '../graph/examples.ts';
import { stream, uniform } from '../base/random.ts';
import { sizeOf } from '../base/tensor.ts';
import type { Shape } from '../base/tensor.ts';
import { shapesOf } from './arrays.ts';

/**
 * Where an output pixel is taken from: [a, b, tx, c, d, ty], in coordinates from -1 (left, upper border) to 1:
 * source x = a x + b y + tx, source y = c x + d y + ty.
 */
export type WarpMatrix = readonly [number, number, number, number, number, number];

export interface AugmentOptions {
  /** Largest angle, degrees, to either side. Default 20. */
  rotation?: number;
  /** Largest change of size, as a fraction. Default 0.12. */
  scale?: number;
  /** Largest shift along each axis, as a fraction of the side. Default 0.05. */
  shift?: number;
  /** Which point is point i after mirroring (for example `MIRROR_68`). Default: none, and nothing is mirrored. */
  mirror?: readonly number[] | undefined;
  /** Default 0.5. */
  mirrorProbability?: number;
  /**
   * How many ways of each sample there are, which the epochs take by turns: then a teacher's answers to each are computed
   * once (`Examples.period`). Default: every epoch another.
   */
  variants?: number | undefined;
}

/** Defaults of {@link AugmentOptions}; `mirror` has none. */
export const AUGMENT_DEFAULTS = { rotation: 20, scale: 0.12, shift: 0.05, mirrorProbability: 0.5 } as const;

/**
 * A set whose samples are warped anew in every epoch. Reads `examples` and changes what came: inputs (channels, height,
 * width) by an affine map (bilinear, border pixels repeated), targets x0, y0, x1, y1, ... (units of the side) by its
 * inverse. Unlabelled sets: the image alone. Numbers come from `stream(pass.seed, 'augment', pass.epoch modulo variants, index)`, so
 * they depend on seed, epoch and sample only; without `pass` (evaluation) nothing is changed. Cost: about 15 ns a
 * pixel.
 *
 * @throws {RangeError} if shapes do not fit (inputs of rank 3, an even number of targets, `mirror` a permutation of the
 *   points)
 */
export function augmentLandmarks(examples: Examples, options: AugmentOptions = {}): Examples {
  const who = 'augmentLandmarks';
  const given = ownOptions(who, 'options', options, [
    'rotation',
    'scale',
    'shift',
    'mirror',
    'mirrorProbability',
    'variants',
  ]);
  const { mirror } = given;
  const variants = given.variants === undefined ? Infinity : checkInteger(who, 'variants', given.variants, 1);
  // In half turns, as sinPi and cosPi take it.
  const rotation = checkNumber(who, 'rotation', given.rotation ?? AUGMENT_DEFAULTS.rotation, 0, 180) / 180;
  const scale = checkNumber(who, 'scale', given.scale ?? AUGMENT_DEFAULTS.scale, 0, 0.99);
  const shift = checkNumber(who, 'shift', given.shift ?? AUGMENT_DEFAULTS.shift, 0, 1);
  const mirrorProbability = checkNumber(
    who,
    'mirrorProbability',
    given.mirrorProbability ?? AUGMENT_DEFAULTS.mirrorProbability,
    0,
    1,
  );
  const { inputShape, targetShape } = examples;
  checkImageShape(who, inputShape);
  const inputSize = sizeOf(inputShape);
  const targetSize = targetShape ? sizeOf(targetShape) : 0;
  if (targetSize % 2 !== 0)
    throw new RangeError(`${who}: examples: expected targets x0, y0, x1, y1, ..., got ${targetSize} numbers a sample`);
  if (mirror) checkMirror(who, mirror, targetShape ? targetSize / 2 : mirror.length);
  const source = new Float32Array(inputSize);
  const points = new Float32Array(targetSize);

  return {
    ...shapesOf(examples),
    ...(given.variants !== undefined && examples.period === 1 && { period: variants }),
    async read(indices, inputs, targets, pass) {
      await examples.read(indices, inputs, targets, pass);
      if (!pass) return;
      for (let i = 0; i < indices.length; i++) {
        const random = stream(pass.seed, 'augment', pass.epoch % variants, indices[i]);
        const angle = uniform(random, -rotation, rotation);
        const size = 1 + uniform(random, -scale, scale);
        // The side is 2 long in these coordinates.
        const tx = uniform(random, -2 * shift, 2 * shift);
        const ty = uniform(random, -2 * shift, 2 * shift);
        const mirrored = mirror !== undefined && random() < mirrorProbability;
        const c = cosPi(angle) * size;
        const s = sinPi(angle) * size;
        // Mirroring comes after the map, so its output x is turned round before the map is asked where to look.
        const matrix: WarpMatrix = mirrored ? [-c, -s, tx, -s, c, ty] : [c, -s, tx, s, c, ty];

        const image = inputs.subarray(i * inputSize, (i + 1) * inputSize);
        source.set(image);
        warp(source, inputShape, matrix, image);
        if (targets && targetSize > 0) {
          const moved = targets.subarray(i * targetSize, (i + 1) * targetSize);
          warpPoints(moved, matrix, moved);
          if (mirrored) {
            points.set(moved);
            for (let p = 0; p < mirror.length; p++) {
              moved[2 * p] = points[2 * mirror[p]];
              moved[2 * p + 1] = points[2 * mirror[p] + 1];
            }
          }
        }
      }
    },
  };
}

/**
 * Resamples an image (channels, height, width) through a map from output to source: bilinear, pixel centres at half
 * coordinates, border pixels repeated. The same as PyTorch's `grid_sample(affine_grid(matrix), padding_mode='border',
 * align_corners=False)`.
 * @param out - destination, not `image` itself. Default: a new array
 * @throws {RangeError} if lengths do not fit `shape`, or `out` is `image`
 */
export function warp(
  image: Float32Array,
  shape: Shape,
  matrix: WarpMatrix,
  out: Float32Array = new Float32Array(image.length),
): Float32Array {
  checkImageShape('warp', shape);
  if (image.length !== sizeOf(shape) || out.length !== image.length)
    throw new RangeError(
      `warp: image and out: expected ${sizeOf(shape)} numbers each, got ${image.length} and ${out.length}`,
    );
  if (out === image) throw new RangeError('warp: out: expected another array than image, got the same');
  const [channels, height, width] = shape;
  const [a, b, tx, c, d, ty] = matrix;
  const area = height * width;
  const right = width - 1;
  const bottom = height - 1;
  // In pixels from the image's middle, so that the identity and a mirroring hit pixel centres exactly.
  const middleX = right / 2;
  const middleY = bottom / 2;
  const bx = (b * width) / height;
  const cy = (c * height) / width;
  for (let y = 0; y < height; y++) {
    const startX = bx * (y - middleY) + (tx * width) / 2 + middleX;
    const startY = d * (y - middleY) + (ty * height) / 2 + middleY;
    for (let x = 0; x < width; x++) {
      const sourceX = Math.min(Math.max(a * (x - middleX) + startX, 0), right);
      const sourceY = Math.min(Math.max(cy * (x - middleX) + startY, 0), bottom);
      const left = Math.floor(sourceX);
      const top = Math.floor(sourceY);
      const fx = sourceX - left;
      const fy = sourceY - top;
      const stepX = left < right ? 1 : 0;
      const stepY = top < bottom ? width : 0;
      for (
        let channel = 0, at = top * width + left, to = y * width + x;
        channel < channels;
        channel++, at += area, to += area
      ) {
        const upper = image[at] + fx * (image[at + stepX] - image[at]);
        const lower = image[at + stepY] + fx * (image[at + stepY + stepX] - image[at + stepY]);
        out[to] = upper + fy * (lower - upper);
      }
    }
  }
  return out;
}

/**
 * Where points x0, y0, x1, y1, ... (units of the side, 0 to 1) of the source lie in the output of {@link warp}: the
 * inverse map. `out` may be `points`.
 * @throws {RangeError} if the matrix cannot be inverted
 */
export function warpPoints(
  points: Float32Array,
  matrix: WarpMatrix,
  out: Float32Array = new Float32Array(points.length),
): Float32Array {
  const [a, b, tx, c, d, ty] = matrix;
  const determinant = a * d - b * c;
  if (!(Math.abs(determinant) > 0))
    throw new RangeError(`warpPoints: matrix: expected one that can be inverted, got determinant ${determinant}`);
  for (let i = 0; i < points.length; i += 2) {
    const x = 2 * points[i] - 1 - tx;
    const y = 2 * points[i + 1] - 1 - ty;
    out[i] = ((d * x - b * y) / determinant + 1) / 2;
    out[i + 1] = ((a * y - c * x) / determinant + 1) / 2;
  }
  return out;
}

function checkImageShape(who: string, shape: Shape): void {
  if (shape.length !== 3 || sizeOf(shape) === 0)
    throw new RangeError(`${who}: expected images (channels, height, width), got shape [${shape.join(', ')}]`);
}

function checkMirror(who: string, mirror: readonly number[], points: number): void {
  if (mirror.length !== points)
    throw new RangeError(`${who}: mirror: expected ${points} numbers, one for each point, got ${mirror.length}`);
  const seen = new Set<number>();
  mirror.forEach((point, i) => {
    checkInteger(who, `mirror[${i}]`, point, 0, points - 1);
    if (seen.has(point)) throw new RangeError(`${who}: mirror: expected every point once, got ${point} twice`);
    seen.add(point);
  });
}
