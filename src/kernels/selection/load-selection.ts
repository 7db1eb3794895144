/** Which set of a selection of kernels this platform can run. */
import { checkOneOf } from '../../base/errors.ts';
import { ownOptions } from '../../base/rules.ts';
import { portableSet } from '../portable/set.ts';
import type { Selection } from './selection.ts';
import { unpack } from './unpack.ts';
import { compileSimd } from '../simd/simd.ts';
import type { KernelSet } from '../types.ts';

export interface LoadOptions {
  /** Default 'simd': the fast set where it can run, else the portable one. */
  prefer?: 'simd' | 'portable';
  /** Default: the platform's own. Another to see what happens without. */
  webAssembly?: typeof WebAssembly;
}

/** SIMD, or portable where it is asked for or SIMD cannot run; never rejects for want of SIMD. */
export async function loadSelection(who: string, selection: Selection, options: LoadOptions): Promise<KernelSet> {
  const { prefer = 'simd', webAssembly = globalThis.WebAssembly as typeof WebAssembly | undefined } = ownOptions(
    who,
    'options',
    options,
    ['prefer', 'webAssembly'],
  );
  const portable = (reason: string): KernelSet => portableSet(selection, reason);
  if (checkOneOf(who, 'prefer', prefer, ['simd', 'portable']) === 'portable') return portable('asked for');
  if (!webAssembly) return portable('this platform has no WebAssembly');
  let bytes: Uint8Array<ArrayBuffer>;
  try {
    bytes = await unpack(selection.compiled.simd);
  } catch (cause) {
    return portable(`the SIMD kernels could not be unpacked: ${String(cause)}`);
  }
  try {
    return await compileSimd(selection, webAssembly, bytes, 'WebAssembly with SIMD');
  } catch (cause) {
    // Asked afterwards, since it takes half as long as to compile.
    if (!webAssembly.validate(bytes)) return portable('the WebAssembly of this platform has no SIMD');
    return portable(`WebAssembly was refused: ${String(cause)}`);
  }
}
