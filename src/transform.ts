/** A transform changes a network: ours and a user's own three-line step stand beside each other. */
import type { KernelSet } from './kernels/types.ts';
import type { Examples, Network } from './network/types.ts';

/**
 * What happens during a run, told to `Context.onEvent`. `kind` says which; a listener that throws stops the run with
 * its error.
 */
export type RunEvent =
  | {
      readonly kind: 'batch';
      readonly epoch: number;
      readonly epochs: number;
      readonly step: number;
      readonly steps: number;
      readonly loss: number;
      readonly learningRate: number;
      readonly gradientNorm: number;
    }
  | {
      readonly kind: 'epoch';
      readonly epoch: number;
      readonly epochs: number;
      readonly loss: number;
      readonly validation?: number;
      readonly best?: number;
      readonly seconds: number;
    }
  | {
      readonly kind: 'stage';
      readonly name: string;
      readonly index: number;
      readonly count: number;
      readonly detail: string;
    }
  | { readonly kind: 'note'; readonly text: string };

/** Everything that a transform may use: nothing is global. */
export interface Context {
  readonly kernels: KernelSet;
  readonly threads: number;
  readonly seed: number;
  /** Samples to train on, to measure statistics on. */
  readonly training?: Examples;
  /** Samples to choose on. */
  readonly validation?: Examples;
  readonly signal?: AbortSignal;
  readonly onEvent?: (event: RunEvent) => void;
}

/** What a transform did, as plain JSON-able data. */
export interface TransformReport {
  readonly transform: string;
  readonly [detail: string]: unknown;
}

export type Transform = (network: Network, context: Context) => Promise<{ network: Network; report: TransformReport }>;
