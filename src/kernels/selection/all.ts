/** Every kernel. */
import { compiled } from '../generated/all.generated.ts';
import { KERNEL_ARGUMENTS } from '../specification/arguments.ts';
import { createPortableKernels } from '../portable/kernels.ts';
import type { Selection } from './selection.ts';
import { trainingScratchWords } from '../simd/training-sizes.ts';

export const ALL_KERNELS: Selection = {
  arguments: KERNEL_ARGUMENTS,
  compiled,
  createPortable: createPortableKernels,
  simdScratchWords: trainingScratchWords,
};
