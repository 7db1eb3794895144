/** Every kernel. */
import { compiled } from './all.generated.ts';
import { KERNEL_ARGUMENTS } from './arguments.ts';
import { createPortableKernels } from './portable/kernels.ts';
import type { Selection } from './selection.ts';
import { trainingScratchWords } from './training-sizes.ts';

export const ALL_KERNELS: Selection = {
  arguments: KERNEL_ARGUMENTS,
  compiled,
  createPortable: createPortableKernels,
  simdScratchWords: trainingScratchWords,
};
