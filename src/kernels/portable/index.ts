/** The portable set with all kernels. */
import { ALL_SELECTION } from '../selection/all.ts';
import type { KernelSet } from '../types.ts';
import { portableSet } from './set.ts';

/** The portable set. `reason` says why it was chosen. */
export function portableKernels(reason = 'asked for'): KernelSet {
  return portableSet(ALL_SELECTION, reason);
}
