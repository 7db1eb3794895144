/** `espalier/runtime`: load a model file and run it. */
export { load } from './load.ts';
export type { ImageLike, LoadOptions, Model, Prediction } from './load.ts';
export { EspalierError } from '../errors.ts';
export type { ErrorCode, ErrorDetails } from '../errors.ts';
export { loadInferenceKernels } from '../kernels/load-inference.ts';
export type { KernelSet } from '../kernels/types.ts';
export type { Network, Preprocessing, Task } from '../network/types.ts';
export type { Shape, Tensor, TensorLike } from '../tensor.ts';
