/** Kernels that the module of inference has in a smaller form: the compiler leaves out what they do not call. */
import { convolutionPack as packEither } from './convolution';

/**
 * Not the layout of convolution-direct-input.ts, which nothing in inference would read: the constant lets the compiler
 * leave it out.
 */
export function convolutionPack(scratch: i32, geometry: i32, weights: i32, packed: i32, transposed: i32): void {
  packEither(scratch, geometry, weights, packed, transposed ? 2 : 0);
}
