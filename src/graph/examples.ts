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
   * After how many epochs the same numbers come again, in passes of one seed: 1 for a set that is not augmented, more where
   * augmentations are drawn once and taken by turns. What is computed of a sample can then be kept, such as a teacher's
   * answers. Absent: never, or unknown.
   */
  readonly period?: number;
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
