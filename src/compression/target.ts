/** What a compression is to reach: bytes, an error, or both. */
import { checkInteger, checkNumber, show } from '../base/errors.ts';
import { ownOptions } from '../base/rules.ts';

/** At least one of them. */
export interface Target {
  /** Bytes of the file at most. */
  readonly size?: number;
  /** Original over file at least, counted as `CompressionReport.ratio` is. */
  readonly ratio?: number;
  /**
   * What the whole may cost at most, in the unit of `tolerance`: 0.015 is 1.5 % of the original's RMSE, of classes 1.5 points
   * of accuracy, without labels 1.5 % of the outputs' spread.
   */
  readonly maxError?: number;
}

/** A target in bytes and in the unit of the yardstick; Infinity: whatever comes. */
export interface TargetLimits {
  readonly bytes: number;
  readonly error: number;
}

/** @throws {TypeError | RangeError} for what is no target */
export function checkTarget(who: string, given: Target): Target {
  if (typeof given !== 'object' || given === null)
    throw new TypeError(`${who}: target: expected { size, ratio, maxError }, got ${show(given)}`);
  const { size, ratio, maxError } = ownOptions(who, 'target', given, ['size', 'ratio', 'maxError']);
  if (size === undefined && ratio === undefined && maxError === undefined)
    throw new TypeError(`${who}: target: expected size, ratio or maxError, got none of them`);
  if (size !== undefined && ratio !== undefined)
    throw new RangeError(`${who}: target: expected either size or ratio, got both; leave one out`);
  if (size !== undefined) checkInteger(who, 'target.size', size, 1);
  if (ratio !== undefined) checkNumber(who, 'target.ratio', ratio, 1, Infinity, true);
  if (maxError !== undefined) checkNumber(who, 'target.maxError', maxError, 0);
  return {
    ...(size !== undefined && { size }),
    ...(ratio !== undefined && { ratio }),
    ...(maxError !== undefined && { maxError }),
  };
}

/** By how much a file misses its target: bytes too many, and error too much; 0: it does not. */
export interface Miss {
  readonly bytes: number;
  readonly error: number;
}

export const missOf = (limits: TargetLimits, found: { readonly bytes: number; readonly error: number }): Miss => ({
  bytes: Math.max(0, found.bytes - limits.bytes),
  error: Math.max(0, found.error - limits.error),
});

export const isMet = ({ bytes, error }: Miss): boolean => bytes === 0 && error === 0;

/**
 * Which of two files is nearer to the target. Of those that meet it: with a limit of the error the smaller one, else the one
 * of less error. Of others the one that misses by the smaller share.
 */
export function nearer<T extends { readonly bytes: number; readonly error: number }>(
  limits: TargetLimits,
  a: T,
  b: T,
): T {
  const share = (one: T): number => {
    const { bytes, error } = missOf(limits, one);
    return bytes / limits.bytes + (error === 0 ? 0 : error / Math.abs(limits.error || 1));
  };
  const [x, y] = [share(a), share(b)];
  if (x !== y) return y < x ? b : a;
  const [p, q] = limits.error < Infinity ? [a.bytes, b.bytes] : [a.error, b.error];
  return q < p ? b : a;
}
