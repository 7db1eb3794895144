/**
 * Least-squares repair: what removed channels did is predicted from those that stay, x_r ~ mean_r + sum over k of B[r,
 * k] (x_k - mean_k), and folded into the consumers. Ridge regression, by Cholesky in double. Source: as the
 * reconstruction step of He, Zhang, Sun, "Channel Pruning for Accelerating Very Deep Neural Networks", ICCV 2017, here
 * on channels instead of outputs, so that one solution serves all taps.
 */
import { choleskyInPlace, solveInPlace } from '../base/cholesky.ts';
import { square } from '../base/elementary.ts';
import { checkInteger, checkNumber, EspalierError } from '../base/errors.ts';

/** Correlation from which a removed channel counts as an exact multiple of a kept one. */
const EXACT = 1 - 1e-9;

export interface Regression {
  /** B, (removed, kept). */
  readonly coefficients: Float64Array;
  /** Removed channels that are an exact multiple (plus constant) of a kept one, and merge with it without loss. */
  readonly merged: number;
}

/**
 * Coefficients that predict removed channels from kept ones: C_rk (C_kk + D)^-1, D diagonal, D_k = ridge m / s_k^2, with
 * s_k the size of channel k's outgoing weights and m the mean over kept channels of s^2 times the variance.
 *
 * So what is regularized is what a channel contributes, and nothing changes for a neuron that is scaled up with its
 * outgoing weights scaled down. A share of each channel's own variance would be as blind to scale, but a channel that
 * hardly ever fired in the samples must not get a large coefficient. A removed channel whose |correlation| with a kept one is 1 takes that one alone (the lowest index of several), so exact
 * duplicates merge without ridge or rounding; not so where that one both contributes less and lies below the ridge, for
 * two that fired once, together, correlate fully by chance. A channel that is constant or whose outgoing weights are 0
 * predicts nothing. Cost: kept^3 / 6 + removed kept^2 multiply-adds.
 * @param covariance - (channels, channels), symmetric
 * @param ridge - see above; above 0
 * @param outgoing - s, (channels), from 0 on; default: 1 for each
 * @throws {TypeError | RangeError} if sizes or ridge are wrong
 * @throws {EspalierError} NONFINITE for a variance below 0 or not finite
 */
export function regression(
  covariance: Float64Array,
  channels: number,
  kept: ArrayLike<number>,
  removed: ArrayLike<number>,
  ridge: number,
  outgoing: ArrayLike<number> = new Float64Array(channels).fill(1),
): Regression {
  checkInteger('regression', 'channels', channels, 1);
  checkNumber('regression', 'ridge', ridge, 0, Infinity, true);
  if (covariance.length !== channels * channels)
    throw new RangeError(
      `regression: covariance: expected ${channels} x ${channels} numbers, got ${covariance.length}`,
    );
  if (outgoing.length !== channels)
    throw new RangeError(`regression: outgoing: expected ${channels} numbers, got ${outgoing.length}`);
  const variance = Float64Array.from({ length: channels }, (_, c) => covariance[c * channels + c]);
  if (variance.some((v) => !(v >= 0 && v < Infinity)))
    throw new EspalierError('NONFINITE', 'regression: covariance: expected finite variances of at least 0', {
      name: 'covariance',
    });

  const coefficients = new Float64Array(removed.length * kept.length);
  const contributed = variance.map((v, c) => v * square(outgoing[c]));
  // Places (in `kept`) of the channels that vary and are read.
  const active = Array.from({ length: kept.length }, (_, i) => i).filter((i) => contributed[kept[i]] > 0);
  const n = active.length;
  const damping = (ridge * active.reduce((sum, i) => sum + contributed[kept[i]], 0)) / n;
  const factor = new Float64Array(n * n);
  for (let i = 0; i < n; i++)
    for (let j = 0; j <= i; j++)
      factor[i * n + j] =
        covariance[kept[active[i]] * channels + kept[active[j]]] +
        (i === j ? damping / square(outgoing[kept[active[i]]]) : 0);
  const predicted: number[] = [];
  let merged = 0;
  for (let r = 0; r < removed.length; r++) {
    const channel = removed[r];
    if (variance[channel] === 0) continue;
    const twin = active.find(
      (i) =>
        contributed[kept[i]] >= Math.min(EXACT * contributed[channel], damping) &&
        Math.abs(covariance[channel * channels + kept[i]]) >=
          EXACT * Math.sqrt(variance[channel]) * Math.sqrt(variance[kept[i]]),
    );
    if (twin === undefined) predicted.push(r);
    else {
      coefficients[r * kept.length + twin] = covariance[channel * channels + kept[twin]] / variance[kept[twin]];
      merged++;
    }
  }
  if (predicted.length === 0 || n === 0) return { coefficients, merged };
  const failed = choleskyInPlace(factor, n);
  // A covariance plus a ridge is positive definite; what is not is an error, not a NaN.
  if (failed >= 0) throw notPositive('regression', `kept channel ${failed}`);
  const solutions = Float64Array.from(
    { length: predicted.length * n },
    (_, i) => covariance[removed[predicted[Math.floor(i / n)]] * channels + kept[active[i % n]]],
  );
  solveInPlace(factor, n, solutions);
  predicted.forEach((r, at) =>
    active.forEach((i, j) => {
      coefficients[r * kept.length + i] = solutions[at * n + j];
    }),
  );
  return { coefficients, merged };
}

function notPositive(who: string, where: string): EspalierError {
  return new EspalierError('NONFINITE', `${who}: covariance: not positive definite (at ${where}); raise the ridge`, {
    name: 'covariance',
  });
}
