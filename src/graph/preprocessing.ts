/** What travels with a network beside its graph: how an image becomes its input, and what its output means. */

/** How an image becomes the input. */
export interface Preprocessing {
  readonly width: number;
  readonly height: number;
  readonly channels: 1 | 3;
  /** Of three channels: which comes first in the input. Default 'RGB'. */
  readonly order?: 'RGB' | 'BGR';
  /** Where the channels stand in the input: (channels, height, width), or (height, width, channels). Default 'first'. */
  readonly layout?: 'first' | 'last';
  /**
   * 'area': plain mean of the pixels that an output pixel touches (PyTorch's mode='area'); 'bilinear': triangle filter,
   * widened when shrinking.
   */
  readonly filter: 'area' | 'bilinear';
  /** Multiplies pixel values (0 ... 255). Default 1/255. */
  readonly scale: number;
  /**
   * 'image': minus the image's mean, over (its standard deviation (n - 1) + epsilon). 'none'. Or fixed mean and
   * deviation of each channel of the input, in its order, after scaling.
   */
  readonly standardize:
    | { readonly kind: 'none' }
    | { readonly kind: 'image'; readonly epsilon: number }
    | { readonly kind: 'fixed'; readonly mean: readonly number[]; readonly deviation: readonly number[] };
}

/** What the output means. */
export type Task =
  /**
   * output [2 points]: x0, y0, x1, y1, ... in units of the crop's side; NME is normalized by the distance of the two
   * `normalizeBy` points; `mirror[i]`: which point is i after mirroring.
   */
  | {
      readonly kind: 'landmarks';
      readonly points: number;
      readonly normalizeBy?: readonly [number, number];
      readonly mirror?: readonly number[];
    }
  | { readonly kind: 'classes'; readonly classes: number; readonly labels?: readonly string[] }
  | { readonly kind: 'regression' };
