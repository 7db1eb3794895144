/** The kernels of inference. */
import { INFERENCE_ARGUMENTS } from '../specification/inference-arguments.ts';
import { compiled } from '../generated/inference.generated.ts';
import { createInferenceKernels } from '../portable/inference.ts';
import type { Selection } from './selection.ts';
import { productScratchWords } from '../simd/sizes.ts';

export const INFERENCE_KERNELS: Selection = {
  arguments: INFERENCE_ARGUMENTS,
  others: 'loadKernels()',
  compiled,
  createPortable: createInferenceKernels,
  simdScratchWords: productScratchWords,
};
