/**
 * The kernels of inference: the one list of them, apart from the others, so that what only runs a model does not carry
 * even their names.
 */
import type { ArgumentCounts, KernelName, Kernels } from '../types.ts';

/** Arguments after `scratch` of each kernel that a forward pass in inference calls. */
export const INFERENCE_ARGUMENTS = {
  matmul: 15,
  convolutionPack: 4,
  convolutionForward: 11,
  activationForward: 5,
  maxPoolForward: 6,
  averagePoolForward: 6,
  affineForward: 9,
  batchNormFold: 8,
  softmaxForward: 4,
  add: 6,
  copyRows: 6,
  codebookDecode: 10,
} as const satisfies Partial<ArgumentCounts>;

export type InferenceKernels = Pick<Kernels, KernelName & keyof typeof INFERENCE_ARGUMENTS>;
