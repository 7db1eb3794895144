/** Every kernel. */
import { compiled } from '../generated/all.generated.ts';
import { INFERENCE_LOWERINGS } from '../lowering/inference.ts';
import { TRAINING_LOWERINGS } from '../lowering/training.ts';
import { createPortableKernels } from '../portable/kernels.ts';
import { trainingScratchWords } from '../simd/training-sizes.ts';
import { KERNELS } from '../specification/kernels.ts';
import type { Selection } from './selection.ts';

export const ALL_SELECTION: Selection = {
  kernels: KERNELS,
  lowerings: { ...INFERENCE_LOWERINGS, ...TRAINING_LOWERINGS },
  compiled,
  createPortable: createPortableKernels,
  simdScratchWords: trainingScratchWords,
};
