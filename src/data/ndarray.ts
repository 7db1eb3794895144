/**
 * The bridge to `ndarray`, in a file and a sub-path of its own: the package builds code from strings when an array is
 * made, which strict content policies refuse, so nothing that only runs a model may load it. The other way needs no
 * bridge: an `ndarray` is accepted wherever a tensor is.
 */
import ndarray from 'ndarray';
import type { NdArray } from 'ndarray';
import { tensor } from '../base/tensor.ts';
import type { Tensor, TypedArray } from '../base/tensor.ts';

/**
 * An `ndarray` over the same memory: what is written to one is seen in the other.
 * @throws {RangeError} if the length is not the product of the shape
 * @example
 * toNdarray({ data: new Float32Array(6), shape: [2, 3] }).transpose(1, 0).get(2, 1)
 */
export function toNdarray<D extends TypedArray>({ data, shape }: Tensor<D>): NdArray<D> {
  const checked = tensor(data, shape);
  return ndarray(checked.data, [...checked.shape]);
}
