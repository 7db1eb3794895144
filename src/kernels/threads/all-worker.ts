/** The program of a worker thread with all kernels. */
import { createPortableKernels } from '../portable/kernels.ts';
import { serve } from './serve.ts';

serve(createPortableKernels);
