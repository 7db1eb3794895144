/** `espalier/runtime`: load a model file and run it. */
export { load } from './load.ts';
export type { ImageLike, LoadOptions, Model, OutputTensor, Prediction } from './load.ts';
export { NO_LIMITS } from '../network/limits.ts';
export type { Limits } from '../network/limits.ts';
export { EspalierError } from '../base/errors.ts';
export type { ErrorCode, ErrorDetails } from '../base/errors.ts';
export { loadInferenceKernels } from '../kernels/load-inference.ts';
export type { KernelSet } from '../kernels/types.ts';
export type { Network } from '../graph/network.ts';
export type { Preprocessing, Task } from '../graph/preprocessing.ts';
export type { Shape, Tensor, TensorLike } from '../base/tensor.ts';
