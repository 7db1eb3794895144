/** Scratch of the codebook kernels, apart from both sets so that either can be had without the other. */
import { NEAREST_BLOCK } from '../assembly/blocking.ts';

/**
 * Words of scratch that the SIMD codebook kernels need for K codewords of d coordinates, from an offset that is a
 * multiple of 4: either the codewords transposed, (d, K rounded up to 8), and for each point of a block what was found
 * and a bit for each group of codewords; or the sums of the pullback, (K, d) doubles.
 */
export function codebookScratchWords(k: number, d: number): number {
  const tiles = Math.ceil(k / 8);
  return Math.max(tiles * 8 * d + NEAREST_BLOCK * (2 + Math.ceil(tiles / 32)), 2 * k * d);
}
