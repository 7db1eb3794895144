/**
 * The SIMD kernels, in AssemblyScript (TypeScript syntax, compiled to WebAssembly by scripts/generate.mjs). Names and
 * arguments are those of the interface in ../types.ts: word offsets and sizes, all i32. No static data: it would land
 * on the caller's words.
 */
export { activationForward, activationBackward } from './activation';
export { accumulateCentroids, codewordErrors, codebookDecode, codebookPullback } from './codebook';
export {
  convolutionPack,
  convolutionForward,
  convolutionBackwardInput,
  convolutionBackwardWeights,
} from './convolution';
export { add, multiply, copyRows, channelSums, sumParts } from './elementwise';
export { matmul } from './matmul';
export { nearestCodeword, nearestCodewordAgain } from './nearest';
export {
  affineForward,
  affineBackward,
  affineBackwardParameters,
  batchNormForward,
  batchNormBackward,
  batchNormFold,
} from './normalization';
export { sumSquares, clipScale, sgdUpdate, adamUpdate } from './optimizer';
export { maxPoolForward, maxPoolBackward, averagePoolForward, averagePoolBackward } from './pooling';
export { nearerSeed } from './seeding';
export { softmaxForward, softmaxBackward } from './softmax';
