/** Kernel sets as callers give them. */
import { show } from '../base/errors.ts';
import type { KernelSet } from './types.ts';

/** The set that was given. @throws {TypeError} if it is none: left out, or not awaited */
export function checkKernels(who: string, name: string, kernels: unknown): KernelSet {
  const { open, lower, then } = Object(kernels) as { open?: unknown; lower?: unknown; then?: unknown };
  if (typeof open === 'function' && typeof lower === 'function') return kernels as KernelSet;
  const got = typeof then === 'function' ? 'a promise that was not awaited' : show(kernels);
  throw new TypeError(`${who}: ${name}: expected a kernel set (await loadKernels()), got ${got}`);
}

/** The set that was given, or where none was, what `load` gives: for calls that are asynchronous anyway. */
export async function givenKernels(
  who: string,
  name: string,
  kernels: unknown,
  load: () => Promise<KernelSet>,
): Promise<KernelSet> {
  return kernels === undefined ? load() : checkKernels(who, name, kernels);
}
