/** The kernels of inference. */
import { INFERENCE_ARGUMENTS } from './inference-arguments.ts';
import { compiled } from './inference.generated.ts';
import { createInferenceKernels } from './portable/inference.ts';
import type { Selection } from './selection.ts';
import { productScratchWords } from './sizes.ts';

export const INFERENCE_KERNELS: Selection = {
  arguments: INFERENCE_ARGUMENTS,
  others: 'loadKernels()',
  compiled,
  createPortable: createInferenceKernels,
  simdScratchWords: productScratchWords,
};
