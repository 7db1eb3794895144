/** How good predictions are: landmarks, classes, plain numbers. Sums are in double. */
import { lengthOf } from '../base/elementary.ts';
import { checkFinite, checkInteger, checkNumber, EspalierError, show } from '../base/errors.ts';
import { ownOptions } from '../base/rules.ts';
import type { Pair } from '../operators/types.ts';
import { rootMeanSquare } from '../base/tensor.ts';

export interface LandmarkMetricsOptions {
  /** Points a face. */
  points: number;
  /**
   * The two points whose distance normalizes a face's error (for example `OUTER_EYES_68`). Default: none, and no NME.
   */
  normalizeBy?: Pair | undefined;
  /** Side of the crop in pixels, for `rmsePixels`. Default: left out. */
  side?: number | undefined;
}

/** Normalized mean error, of the faces whose normalizing distance is not 0. */
export interface NormalizedErrors {
  /** Mean over faces of (mean point-to-point distance / normalizing distance), as a fraction. */
  nme: number;
  nmeMedian: number;
  /** Fraction of faces whose error is above {@link FAILURE_LIMIT}. */
  failureRate: number;
  /** One a face; NaN where the two normalizing points coincide: such a face counts in none of the above. */
  errors: Float64Array;
  /** How many faces were left out so. */
  excluded: number;
}

/** The normalized errors are present where `normalizeBy` was given. */
export interface LandmarkMetrics extends Partial<NormalizedErrors> {
  samples: number;
  /** Root of the mean square over all x and y coordinates, in units of the crop's side. */
  rmse: number;
  /** The same in pixels; present where `side` was given. */
  rmsePixels?: number;
}

/** A face with a larger error counts as failed: 10 % of the normalizing distance. */
export const FAILURE_LIMIT = 0.1;

/**
 * Errors of predicted landmarks. predictions, targets: (samples, 2 points), x0, y0, x1, y1, ..., in units of the crop's
 * side. The NME is the one of the 300-W challenge (Sagonas et al. 2016) when normalized by the outer eye corners.
 * @throws {RangeError} if the arrays do not fit
 * @throws {EspalierError} NONFINITE; DATA if the normalizing points coincide in every face
 */
export function landmarkMetrics(
  predictions: ArrayLike<number>,
  targets: ArrayLike<number>,
  options: LandmarkMetricsOptions,
): LandmarkMetrics {
  const who = 'landmarkMetrics';
  const given = ownOptions(who, 'options', options, ['points', 'normalizeBy', 'side']);
  const { normalizeBy, side } = given;
  const points = checkInteger(who, 'points', given.points, 1);
  const samples = checkRows(who, predictions, targets, 2 * points);
  const rmse = rootMeanSquare(predictions, targets);
  return {
    samples,
    rmse,
    ...(side !== undefined && { rmsePixels: rmse * checkNumber(who, 'side', side, 0, Infinity, true) }),
    ...(normalizeBy && normalizedErrors(who, predictions, targets, samples, points, normalizeBy)),
  };
}

/**
 * Cumulative error distribution: which fraction of the faces has at most each error. `errors`: from
 * {@link landmarkMetrics}, NaN left out. `area`: below the curve from 0 to `limit`, over `limit` (exact, not by the steps): 1
 * if every error is 0.
 * @param steps - thresholds are limit / steps, 2 limit / steps, ..., limit, after a first one of 0
 * @throws {RangeError} if `limit` is not above 0 or `steps` below 1
 * @throws {EspalierError} DATA if there are no errors
 */
export function cumulativeCurve(
  errors: ArrayLike<number>,
  limit = FAILURE_LIMIT,
  steps = 100,
): { thresholds: Float64Array; fractions: Float64Array; area: number } {
  checkNumber('cumulativeCurve', 'limit', limit, 0, Infinity, true);
  checkInteger('cumulativeCurve', 'steps', steps, 1);
  const sorted = Float64Array.from(errors)
    .filter((error) => !Number.isNaN(error))
    .sort();
  if (sorted.length === 0)
    throw new EspalierError('DATA', 'cumulativeCurve: errors: expected at least one number, got none', {
      name: 'errors',
    });
  const thresholds = Float64Array.from({ length: steps + 1 }, (_, i) => limit * (i / steps));
  let below = 0;
  const fractions = thresholds.map((threshold) => {
    while (below < sorted.length && sorted[below] <= threshold) below++;
    return below / sorted.length;
  });
  const area = sorted.reduce((sum, error) => sum + Math.max(0, 1 - error / limit), 0) / sorted.length;
  return { thresholds, fractions, area };
}

/**
 * Accuracy: how often the largest of a sample's scores is at its label; of equal scores the first counts.
 * scores (samples, classes), logits or probabilities; labels (samples).
 * @throws {RangeError} if the lengths do not fit
 * @throws {EspalierError} DATA if there are no samples or a label is none, NONFINITE
 */
export function classMetrics(
  scores: ArrayLike<number>,
  labels: ArrayLike<number>,
  classes: number,
): { samples: number; accuracy: number } {
  const who = 'classMetrics';
  checkInteger(who, 'classes', classes, 1);
  const samples = labels.length;
  if (samples === 0) throw new EspalierError('DATA', `${who}: labels: the set is empty`, { name: 'labels' });
  if (scores.length !== samples * classes)
    throw new RangeError(`${who}: scores: expected ${samples} x ${classes} numbers, got ${scores.length}`);
  checkFinite(who, 'scores', scores, classes);
  let right = 0;
  for (let i = 0; i < samples; i++) {
    const label = labels[i];
    if (!Number.isInteger(label) || label < 0 || label >= classes)
      throw new EspalierError(
        'DATA',
        `${who}: labels: expected whole numbers from 0 to ${classes - 1}, got ${show(label)} in sample ${i}`,
        { name: 'labels', offset: i, found: label },
      );
    let best = 0;
    for (let c = 1; c < classes; c++) if (scores[i * classes + c] > scores[i * classes + best]) best = c;
    if (best === label) right++;
  }
  return { samples, accuracy: right / samples };
}

/**
 * RMSE over all outputs, in the targets' unit. predictions, targets: (samples, width).
 * @throws {RangeError} if the lengths do not fit
 * @throws {EspalierError} DATA if there are no samples, NONFINITE
 */
export function regressionMetrics(
  predictions: ArrayLike<number>,
  targets: ArrayLike<number>,
  width: number,
): { samples: number; rmse: number } {
  checkInteger('regressionMetrics', 'width', width, 1);
  const samples = checkRows('regressionMetrics', predictions, targets, width);
  return { samples, rmse: rootMeanSquare(predictions, targets) };
}

function normalizedErrors(
  who: string,
  predictions: ArrayLike<number>,
  targets: ArrayLike<number>,
  samples: number,
  points: number,
  normalizeBy: Pair,
): NormalizedErrors {
  const [from, to] = normalizeBy.map((point, i) => 2 * checkInteger(who, `normalizeBy[${i}]`, point, 0, points - 1));
  const errors = new Float64Array(samples);
  for (let face = 0; face < samples; face++) {
    const start = face * 2 * points;
    let sum = 0;
    for (let i = start; i < start + 2 * points; i += 2)
      sum += lengthOf(predictions[i] - targets[i], predictions[i + 1] - targets[i + 1]);
    const distance = lengthOf(
      targets[start + from] - targets[start + to],
      targets[start + from + 1] - targets[start + to + 1],
    );
    errors[face] = distance > 0 ? sum / points / distance : NaN;
  }
  const counted = errors.filter((error) => !Number.isNaN(error)).sort();
  const n = counted.length;
  if (n === 0)
    throw new EspalierError(
      'DATA',
      `${who}: points ${from / 2} and ${to / 2} coincide in every face, so no error can be normalized; give other points as normalizeBy`,
      { name: 'normalizeBy' },
    );
  const middle = n >> 1;
  return {
    nme: counted.reduce((sum, error) => sum + error, 0) / n,
    nmeMedian: n % 2 === 1 ? counted[middle] : (counted[middle - 1] + counted[middle]) / 2,
    failureRate: counted.filter((error) => error > FAILURE_LIMIT).length / n,
    errors,
    excluded: samples - n,
  };
}

function checkRows(who: string, predictions: ArrayLike<number>, targets: ArrayLike<number>, width: number): number {
  if (targets.length === 0) throw new EspalierError('DATA', `${who}: targets: the set is empty`, { name: 'targets' });
  if (targets.length % width !== 0)
    throw new RangeError(`${who}: targets: expected a multiple of ${width} numbers, got ${targets.length}`);
  if (predictions.length !== targets.length)
    throw new RangeError(
      `${who}: predictions: expected ${targets.length} numbers, as many as targets, got ${predictions.length}`,
    );
  checkFinite(who, 'predictions', predictions, width);
  checkFinite(who, 'targets', targets, width);
  return targets.length / width;
}
