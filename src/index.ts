/** `espalier`: everything but the command line and the ndarray bridge. Each part is also a sub-path of its own. */
export { checkFinite, checkInteger, checkNumber, EspalierError, show, visible, visibleLines } from './base/errors.ts';
export type { ErrorCode, ErrorDetails } from './base/errors.ts';
export * from './compression/index.ts';
export {
  applyPatch,
  checkWritable,
  diffFiles,
  DTYPE_BYTES,
  folderStore,
  loadFile,
  memoryStore,
  parseJson,
  readSafetensors,
  saveFile,
  writeSafetensors,
} from './container/index.ts';
export type {
  CheckpointStore,
  Dtype,
  Json,
  Lock,
  Metadata,
  NamedArray,
  ReadLimits,
  RunCheckpoint,
  SafetensorsFile,
  StoredArray,
} from './container/index.ts';
export * from './data/index.ts';
export { decode, encodingSize } from './encodings/index.ts';
export type { DenseEncoding, Encoding, EncodingSize, ProductBlock, ProductEncoding } from './encodings/types.ts';
export { createExecutor } from './execution/executor.ts';
export { createTrainingExecutor } from './execution/training-executor.ts';
export type {
  Executor,
  ExecutorOptions,
  OptimizerOptions,
  TrainingExecutor,
  TrainingExecutorOptions,
  UpdateOptions,
} from './execution/types.ts';
export * from './importance/index.ts';
export { loadKernels, portableKernels } from './kernels/index.ts';
export type { KernelSet } from './kernels/types.ts';
export * from './network/index.ts';
export * from './onnx/index.ts';
export * from './tfjs/index.ts';
export * from './pruning/index.ts';
export * from './quantization/index.ts';
export { expectation, obeys, suggestion } from './base/rules.ts';
export type { Rule, Ruled, RuledBy, Rules } from './base/rules.ts';
export { below, normal, permutation, stream, uniform } from './base/random.ts';
export type { Stream } from './base/random.ts';
export { sameShape, sizeOf, tensor, toTensor } from './base/tensor.ts';
export type { Shape, StridedArray, Tensor, TensorLike } from './base/tensor.ts';
export * from './training/index.ts';
export type { RunEvent } from './base/control.ts';
export type { GivenContext, GivenTransform } from './graph/context.ts';
export type { Context, Transform, TransformReport } from './graph/transform.ts';
