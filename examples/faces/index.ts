/**
 * Synthetic faces with 68 landmarks: a head is modelled, posed, lit, dressed and photographed, all from a seed. Nothing
 * in here is learned from, or copied out of, pictures of people.
 */
import { checkInteger, checkNumber, stream } from 'espalier';
import { develop } from './camera.ts';
import { makeWorkspace, renderScene } from './scene.ts';
import type { Workspace } from './scene.ts';
import { drawTraits } from './traits.ts';

export interface SyntheticFacesOptions {
  /** Number of faces. */
  count: number;
  /** Default 1. */
  seed?: number;
  /** Index of the first face; face i depends on (seed, i) only. Default 0. */
  first?: number;
  /** Pixels along each border; default 96. */
  side?: number;
}

export interface SyntheticFaces {
  /** (count, side, side), row-major, 0 black to 255 white. */
  readonly images: Uint8Array;
  /**
   * (count, 68, 2): x to the right and y down in units of the crop's side, in the iBUG order. The larger side of their
   * bounding box runs from 0.5 - 0.5/1.3 to 0.5 + 0.5/1.3, the other is centred.
   */
  readonly landmarks: Float32Array;
}

export interface SyntheticFace {
  /** (side, side). */
  readonly image: Uint8Array;
  /** (68, 2). */
  readonly landmarks: Float32Array;
}

export const LANDMARK_COUNT = 68;

/**
 * Faces `first` to `first + count - 1` of a seed: the same seed, index and side give the same bytes, whatever else is
 * asked for. Costs 8 to 9 ms of one core a face of 96 x 96 (measured on a busy two-core machine).
 * @throws {TypeError} if a number is of another kind
 * @throws {RangeError} if count or first is negative or no whole number, or side not a whole number from 16 to 512
 * @example
 * import { syntheticFaces } from './faces/index.ts';
 * const { images, landmarks } = syntheticFaces({ count: 64, seed: 7 });   // (64, 96, 96) bytes, (64, 68, 2) floats
 */
export function syntheticFaces(options: SyntheticFacesOptions): SyntheticFaces {
  const { seed = 1, first = 0, side = 96 } = options;
  checkNumber('syntheticFaces', 'seed', seed);
  const count = checkInteger('syntheticFaces', 'count', options.count, 0);
  checkInteger('syntheticFaces', 'first', first, 0);
  checkInteger('syntheticFaces', 'side', side, 16, 512);
  const images = new Uint8Array(count * side * side);
  const landmarks = new Float32Array(count * LANDMARK_COUNT * 2);
  const workspace = makeWorkspace(side);
  for (let i = 0; i < count; i++) {
    const face = makeFace(seed, first + i, workspace);
    images.set(face.image, i * side * side);
    landmarks.set(face.landmarks, i * LANDMARK_COUNT * 2);
  }
  return { images, landmarks };
}

/** Face `index` of a seed; see {@link syntheticFaces}. @throws {RangeError} if index or side is out of range */
export function syntheticFace(seed: number, index: number, side = 96): SyntheticFace {
  checkNumber('syntheticFace', 'seed', seed);
  checkInteger('syntheticFace', 'index', index, 0);
  checkInteger('syntheticFace', 'side', side, 16, 512);
  return makeFace(seed, index, makeWorkspace(side));
}

function makeFace(seed: number, index: number, workspace: Workspace): SyntheticFace {
  const { pixels, picture, landmarks } = renderScene(seed, index, drawTraits(seed, index), workspace);
  return { image: develop(stream(seed, 'face camera', index), picture, pixels, workspace.side), landmarks };
}
