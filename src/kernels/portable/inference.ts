/**
 * The portable kernels that a forward pass in inference calls, and no other: what a page that only runs a model
 * carries.
 */
import type { InferenceKernelName, Kernels } from '../specification/kernels.ts';
import type { Heap } from '../types.ts';
import { activationForward } from './activation.ts';
import { binaryForward } from './binary.ts';
import { codebookDecode } from './codebook.ts';
import { convolutionForward, convolutionPack, transposedForward } from './convolution.ts';
import { add, copyRows } from './elementwise.ts';
import { matmul, products } from './matmul.ts';
import { affineForward, batchNormFold, standardizeForward } from './normalization.ts';
import { averagePoolForward, maxPoolForward } from './pooling.ts';
import { rearrange, resample, turn } from './rearrange.ts';
import { argMax, reduceForward } from './reduction.ts';
import { softmaxForward } from './softmax.ts';
import { bindKernels, type PortableTable } from './table.ts';

const TABLE: PortableTable<InferenceKernelName> = {
  matmul,
  convolutionPack,
  convolutionForward,
  transposedForward,
  activationForward,
  maxPoolForward,
  averagePoolForward,
  affineForward,
  batchNormFold,
  standardizeForward,
  products,
  softmaxForward,
  add,
  copyRows,
  codebookDecode,
  binaryForward,
  reduceForward,
  argMax,
  rearrange,
  turn,
  resample,
};

/** The portable kernels of inference bound to a heap of either precision. */
export function createInferenceKernels(heap: Heap): Pick<Kernels, InferenceKernelName> {
  return bindKernels(TABLE, heap);
}
