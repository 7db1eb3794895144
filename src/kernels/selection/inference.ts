/** The kernels of inference. */
import { compiled } from '../generated/inference.generated.ts';
import { INFERENCE_LOWERINGS } from '../lowering/inference.ts';
import { createInferenceKernels } from '../portable/inference.ts';
import { productScratchWords } from '../simd/sizes.ts';
import { INFERENCE_KERNELS } from '../specification/kernels.ts';
import type { Selection } from './selection.ts';

export const INFERENCE_SELECTION: Selection = {
  kernels: INFERENCE_KERNELS,
  lowerings: INFERENCE_LOWERINGS,
  others: 'loadKernels()',
  compiled,
  createPortable: createInferenceKernels,
  simdScratchWords: productScratchWords,
};
