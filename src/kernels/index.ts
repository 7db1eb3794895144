/** espalier/kernels: the hot loops over one heap, in two sets that do the same. */
export { createHeap } from './heap.ts';
export { loadKernels } from './load.ts';
export { loadInferenceKernels } from './load-inference.ts';
export type { LoadOptions } from './load-selection.ts';
export { portableKernels } from './portable/index.ts';
export { createPortableKernels } from './portable/kernels.ts';
export {
  ACTIVATION,
  GEOMETRY_FIELDS,
  GEOMETRY_WORDS,
  MATMUL,
  doubleIndex,
  geometryWords,
  readGeometry,
  type ActivationName,
  type Geometry,
  type Heap,
  type KernelName,
  type Kernels,
  type KernelSet,
  type Precision,
  type Program,
  type Step,
  type Workspace,
  type WorkspaceOptions,
} from './types.ts';
