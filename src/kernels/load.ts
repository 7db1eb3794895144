/** All kernels, in the best set that the platform can run. */
import { ALL_SELECTION } from './selection/all.ts';
import { loadSelection, type LoadOptions } from './selection/load-selection.ts';
import type { KernelSet } from './types.ts';

/**
 * The best kernel set that the platform can run: SIMD, or portable where there is no WebAssembly, no SIMD in it, or a
 * content policy forbids it. `name` and `reason` of the result say which and why.
 */
export function loadKernels(options: LoadOptions = {}): Promise<KernelSet> {
  return loadSelection('loadKernels', ALL_SELECTION, options);
}
