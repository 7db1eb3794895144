/** espalier/kernels: the hot loops over one heap, in two sets that do the same. */
export { callKernel } from './specification/call.ts';
export { KERNELS, type Call, type KernelSpecification } from './specification/kernels.ts';
export type { OperationName, Operations, Room, Run } from './specification/operations.ts';
export { createHeap } from './workspace/heap.ts';
export { loadKernels } from './load.ts';
export { loadInferenceKernels } from './load-inference.ts';
export type { LoadOptions } from './selection/load-selection.ts';
export { portableKernels } from './portable/index.ts';
export { createPortableKernels } from './portable/kernels.ts';
export {
  ACTIVATION,
  MATMUL,
  type ActivationName,
  type Emit,
  type Heap,
  type KernelName,
  type Kernels,
  type KernelSet,
  type Precision,
  type Program,
  type Sizes,
  type Step,
  type Workspace,
  type WorkspaceOptions,
} from './types.ts';
export {
  GEOMETRY_FIELDS,
  GEOMETRY_WORDS,
  geometryWords,
  readGeometry,
  type Geometry,
} from './specification/geometry.ts';
