/** A set of samples: what training reads, what statistics are measured on, what choices are judged by. */
import type { Shape } from '../base/tensor.ts';

/** Where in a run a batch is read: what augmentation draws from. Absent in evaluation: then nothing is augmented. */
export interface Pass {
  readonly seed: number;
  readonly epoch: number;
}

/** Read in batches, so that it may be larger than memory. Inputs are network inputs (already preprocessed). */
export interface Examples {
  readonly count: number;
  readonly inputShape: Shape;
  /** per sample; absent: unlabelled */
  readonly targetShape?: Shape;
  /**
   * Writes samples `indices` one after another: inputs (n x size of inputShape) and targets (n x size of targetShape; class
   * labels are one number). May be asynchronous. Must not keep the arrays.
   */
  read(
    indices: ArrayLike<number>,
    inputs: Float32Array,
    targets: Float32Array | undefined,
    pass?: Pass,
  ): void | Promise<void>;
}
