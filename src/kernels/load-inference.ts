/** The kernels of inference, in the best set that the platform can run. */
import { INFERENCE_SELECTION } from './selection/inference.ts';
import { loadSelection, type LoadOptions } from './selection/load-selection.ts';
import type { KernelSet } from './types.ts';

/**
 * Like {@link loadKernels}, with the kernels alone that a forward pass in inference calls: enough to run a model, and
 * less to carry. A program that names another kernel is refused with UNSUPPORTED when its workspace is opened.
 */
export function loadInferenceKernels(options: LoadOptions = {}): Promise<KernelSet> {
  return loadSelection('loadInferenceKernels', INFERENCE_SELECTION, options);
}
