/**
 * The SIMD kernels of inference (see index.ts), as a module of their own: the compiler leaves out what these do not
 * call.
 */
import { convolutionPack as packEither } from './convolution';

export { activationForward } from './activation';
export { codebookDecode } from './codebook';
export { convolutionForward } from './convolution';
export { add, copyRows } from './elementwise';
export { matmul } from './matmul';
export { affineForward, batchNormFold } from './normalization';
export { maxPoolForward, averagePoolForward } from './pooling';
export { softmaxForward } from './softmax';

/**
 * Forward, whatever `backward` says: nothing here would read the other layout, and the constant lets the compiler leave
 * it out.
 */
export function convolutionPack(scratch: i32, geometry: i32, weights: i32, packed: i32, backward: i32): void {
  packEither(scratch, geometry, weights, packed, 0);
}
