/** The 68-point face scheme of the iBUG group (0-based; left and right as seen in the image). */
import type { Pair } from '../operators/types.ts';
import type { Task } from '../graph/preprocessing.ts';

/** Which point is point i after mirroring the image (x to 1 - x); applying it twice gives every point back. */
export const MIRROR_68: readonly number[] = [
  16,
  15,
  14,
  13,
  12,
  11,
  10,
  9,
  8,
  7,
  6,
  5,
  4,
  3,
  2,
  1,
  0, // jaw
  26,
  25,
  24,
  23,
  22,
  21,
  20,
  19,
  18,
  17, // brows
  27,
  28,
  29,
  30,
  35,
  34,
  33,
  32,
  31, // nose
  45,
  44,
  43,
  42,
  47,
  46,
  39,
  38,
  37,
  36,
  41,
  40, // eyes
  54,
  53,
  52,
  51,
  50,
  49,
  48,
  59,
  58,
  57,
  56,
  55,
  64,
  63,
  62,
  61,
  60,
  67,
  66,
  65, // lips
];

/** Outer corners of the eyes: their distance normalizes the error (NME). */
export const OUTER_EYES_68: Pair = [36, 45];

/** The task of a network that finds these points: outputs x0, y0, x1, y1, ... in units of the crop's side. */
export function landmarks68Task(): Extract<Task, { kind: 'landmarks' }> {
  return { kind: 'landmarks', points: 68, normalizeBy: OUTER_EYES_68, mirror: MIRROR_68 };
}
