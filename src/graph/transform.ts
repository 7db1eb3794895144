/** A transform changes a network: ours and a user's own three-line step stand beside each other. */
import type { RunEvent } from '../base/control.ts';
import type { KernelSet } from '../kernels/types.ts';
import type { Examples } from './examples.ts';
import type { Network } from './network.ts';

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
