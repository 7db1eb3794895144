/** What a training run yields, and what it goes on from. */
import type { Network } from '../graph/network.ts';

export interface EpochRecord {
  /** From 0. */
  readonly epoch: number;
  /** Mean over the steps. */
  readonly loss: number;
  /** Validation metric after the epoch, where it was taken. */
  readonly validation?: number;
}

export interface TrainResult {
  /** The network that was kept; it shares the arrays of frozen and constant parameters with the one given. */
  readonly network: Network;
  /**
   * 'noImprovement': nothing was better on validation than the network as given, which is what `network` holds.
   * 'stoppedEarly': by patience.
   */
  readonly status: 'finished' | 'stoppedEarly' | 'noImprovement';
  readonly history: readonly EpochRecord[];
  /** Validation metric of the network as given. */
  readonly before?: number;
  /** Epoch after which `network` was taken (-1: the network as given), and its validation metric. */
  readonly kept: { readonly epoch: number; readonly validation?: number };
  /** Optimizer steps done. */
  readonly steps: number;
}

/** Everything that a run needs to go on after `history.length` epochs. */
export interface TrainState {
  readonly network: Network;
  readonly optimizer: ReadonlyMap<string, Float32Array>;
  readonly history: readonly EpochRecord[];
  readonly before: number | undefined;
  /** Best on validation so far. */
  readonly best: { readonly epoch: number; readonly validation: number; readonly network: Network } | undefined;
}
