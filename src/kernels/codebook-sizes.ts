/** Scratch of the codebook kernels, apart from both sets so that either can be had without the other. */

/**
 * Words of scratch that the SIMD codebook kernels need for K codewords of d coordinates, from an offset that is a
 * multiple of 4: either the codewords transposed, (d, K rounded up to 8), or the sums of the pullback, (K, d) doubles.
 */
export function codebookScratchWords(k: number, d: number): number {
  return Math.max(Math.ceil(k / 8) * 8 * d, 2 * k * d);
}
