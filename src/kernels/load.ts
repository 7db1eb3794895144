/** Which kernel set this platform can run. */
import { checkOneOf } from '../errors.ts';
import { portableKernels } from './portable/index.ts';
import { compileSimd, simdBytes } from './simd.ts';
import type { KernelSet } from './types.ts';

export interface LoadOptions {
  /** Default 'simd': the fast set where it can run, else the portable one. */
  prefer?: 'simd' | 'portable';
  /** Default: the platform's own. Another to see what happens without. */
  webAssembly?: typeof WebAssembly;
}

/**
 * The best kernel set that the platform can run: SIMD, or portable where there is no WebAssembly, no SIMD in it, or a
 * content policy forbids it. `name` and `reason` of the result say which and why.
 */
export async function loadKernels(options: LoadOptions = {}): Promise<KernelSet> {
  const { prefer = 'simd', webAssembly = globalThis.WebAssembly as typeof WebAssembly | undefined } = options;
  if (checkOneOf('loadKernels', 'prefer', prefer, ['simd', 'portable']) === 'portable') return portableKernels();
  if (!webAssembly) return portableKernels('this platform has no WebAssembly');
  if (!webAssembly.validate(simdBytes(false))) return portableKernels('the WebAssembly of this platform has no SIMD');
  try {
    return await compileSimd(webAssembly, 'WebAssembly with SIMD');
  } catch (cause) {
    return portableKernels(`WebAssembly was refused: ${String(cause)}`);
  }
}
