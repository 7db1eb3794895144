/** The program of a worker thread with the kernels of inference. */
import { createInferenceKernels } from '../portable/inference.ts';
import { serve } from './serve.ts';

serve(createInferenceKernels);
