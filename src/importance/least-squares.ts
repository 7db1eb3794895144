/**
 * The weights by which a layer answers most nearly as a reference does, on what it reads now: ridge regression in closed
 * form, by Cholesky in double. Source: the reconstruction step of He, Zhang, Sun, "Channel Pruning for Accelerating Very Deep
 * Neural Networks", ICCV 2017, over channels and taps at once, with the ridge around the weights as they are.
 */
import { choleskyInPlace, solveInPlace } from '../base/cholesky.ts';
import { square } from '../base/elementary.ts';
import { checkNumber, EspalierError } from '../base/errors.ts';
import { rowProducts } from './correlation.ts';
import type { LayerMoments } from './moments.ts';

/**
 * Ridge of the refit, and below how many observations per column it grows in proportion; measured on a trained landmark
 * network from 512 samples (docs/method.md).
 */
export const REFIT_RIDGE = 0.003;
const PLENTY = 4;

/**
 * Weights and bias that answer most nearly as the reference did: they minimize the mean squared difference from its
 * responses plus a ridge times the squared distance from the weights as they are, W + (cross - W C)(C + D)^-1, D diagonal,
 * D_j = ridge m / s_j^2, with s_j the size by which the layer reads column j (over its outputs and the channel's taps, in
 * units of what each output hears) and m the mean over columns of s^2 times the variance. So nothing changes for a channel
 * that is scaled up as the weights that read it are scaled down, nor for an output in other units. A column that is
 * constant or not read keeps its weights. Each group of a convolution in groups for itself, so of a depthwise one each
 * channel. Cost: groups columns^3 / 6 + outputs columns^2 multiply-adds.
 * @param weights - (outputs, columns)
 * @param moments - with `responses`
 * @param ridge - above 0
 * @throws {EspalierError} NONFINITE for moments that are none
 */
export function refitWeights(
  weights: ArrayLike<number>,
  moments: LayerMoments,
  ridge = REFIT_RIDGE,
): { weights: Float64Array; bias: Float64Array } {
  checkNumber('refitWeights', 'ridge', ridge, 0, Infinity, true);
  const { node, columns, taps, groups, observations, responses } = moments;
  if (!responses) throw new TypeError('refitWeights: moments: expected responses of a reference, got none');
  const outputs = responses.mean.length;
  const refitted = Float64Array.from({ length: outputs * columns }, (_, i) => weights[i]);
  const bias = responses.mean.slice();
  for (let group = 0; group < groups; group++) {
    const of = (values: Float64Array): Float64Array =>
      values.subarray((group * values.length) / groups, ((group + 1) * values.length) / groups);
    const [variance, covariance, cross] = [of(moments.variance), of(moments.covariance), of(responses.cross)];
    refitGroup(of(refitted), { node, columns, taps, observations, variance, covariance, cross }, ridge);
    const [rows, biases, mean] = [of(refitted), of(bias), of(moments.mean)];
    for (let o = 0; o < biases.length; o++)
      for (let k = 0; k < columns; k++) biases[o] -= rows[o * columns + k] * mean[k];
  }
  return { weights: refitted, bias };
}

interface GroupMoments extends Pick<
  LayerMoments,
  'node' | 'columns' | 'taps' | 'observations' | 'variance' | 'covariance'
> {
  readonly cross: Float64Array;
}

/** Weights (outputs, columns) of one group, in place. */
function refitGroup(
  weights: Float64Array,
  { node, columns, taps, observations, variance, covariance, cross }: GroupMoments,
  ridge: number,
): void {
  const outputs = weights.length / columns;
  const sizes = readingSizes(weights, variance, outputs, taps);
  const active = Array.from({ length: columns }, (_, j) => j).filter((j) => variance[j] > 0 && sizes[j] > 0);
  const n = active.length;

  // In units of what columns contribute, in which the ridge is the same for all.
  const factor = new Float64Array(n * n);
  let contributed = 0;
  for (let i = 0; i < n; i++) {
    const from = active[i] * columns;
    for (let k = 0; k <= i; k++) factor[i * n + k] = covariance[from + active[k]] * sizes[active[i]] * sizes[active[k]];
    contributed += factor[i * n + i] / n;
  }
  const damping = contributed * ridge * Math.max(1, (PLENTY * n) / observations);
  for (let i = 0; i < n; i++) factor[i * n + i] += damping;
  if (choleskyInPlace(factor, n) >= 0)
    throw new EspalierError('NONFINITE', 'refitWeights: moments: covariance: not positive definite; raise the ridge', {
      name: node,
    });
  const missing = new Float64Array(outputs * n);
  const heard = rowProducts(weights, outputs, covariance, columns, columns);
  for (let o = 0; o < outputs; o++) {
    for (let i = 0; i < n; i++) {
      const at = o * columns + active[i];
      missing[o * n + i] = (cross[at] - heard[at]) * sizes[active[i]];
    }
  }
  solveInPlace(factor, n, missing);
  for (let o = 0; o < outputs; o++)
    for (let i = 0; i < n; i++) weights[o * columns + active[i]] += missing[o * n + i] * sizes[active[i]];
}

/** Size of the weights by which each column is read, the same for all taps of a channel. */
function readingSizes(weights: ArrayLike<number>, variance: Float64Array, outputs: number, taps: number): Float64Array {
  const columns = variance.length;
  const squares = new Float64Array(columns / taps);
  for (let o = 0; o < outputs; o++) {
    let heard = 0;
    for (let j = 0; j < columns; j++) heard += square(weights[o * columns + j]) * variance[j];
    if (!(heard > 0)) continue;
    for (let j = 0; j < columns; j++) squares[Math.floor(j / taps)] += square(weights[o * columns + j]) / heard;
  }
  return variance.map((_, j) => Math.sqrt(squares[Math.floor(j / taps)] / taps));
}
