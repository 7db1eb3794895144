/**
 * Which channels stay: by number or share, or above a threshold. Pure functions of scores; the same integers
 * everywhere.
 */
import { checkFinite, checkInteger, checkNumber, show } from '../base/errors.ts';
import { ownOptions } from '../base/rules.ts';

export interface KeepOptions {
  /** Share to keep, 0 to 1, rounded to the nearest number of channels. Give this or `count`. */
  fraction?: number;
  /** Number to keep; more than there are means all. */
  count?: number;
  /** Round the number up to a multiple of this, for kernels that like it; never beyond all channels. Default 1. */
  multipleOf?: number;
  /** Never keep fewer than this; at least 1. Default 1. */
  minimum?: number;
}

export interface SelectionReport {
  readonly before: number;
  readonly after: number;
  /** What was asked for, before rounding up and the minimum. */
  readonly asked: number;
  /** True where the minimum kept channels that the request would have removed. */
  readonly raised: boolean;
  /** Lowest score that stays, and highest that goes (absent if none goes). */
  readonly lowestKept: number;
  readonly highestRemoved?: number;
}

export interface Selection {
  /** Ascending. */
  readonly kept: Int32Array;
  readonly report: SelectionReport;
}

/**
 * The channels with the highest scores; among equals the lowest index stays.
 * @throws {EspalierError} NONFINITE if a score is not a finite number
 * @throws {RangeError} if there are no scores, or not exactly one of `fraction` and `count` is given
 */
export function keepBest(scores: ArrayLike<number>, options: KeepOptions): Selection {
  const channels = checkScores('keepBest', scores);
  const {
    fraction,
    count,
    multipleOf = 1,
    minimum = 1,
  } = ownOptions('keepBest', 'options', options, ['fraction', 'count', 'multipleOf', 'minimum']);
  if ((fraction === undefined) === (count === undefined))
    throw new RangeError(
      `keepBest: options: expected either fraction or count, got ${fraction === undefined ? 'neither' : 'both'}`,
    );
  const asked =
    fraction === undefined
      ? Math.min(channels, checkInteger('keepBest', 'count', count, 0))
      : Math.round(checkNumber('keepBest', 'fraction', fraction, 0, 1) * channels);
  checkInteger('keepBest', 'multipleOf', multipleOf, 1);
  checkInteger('keepBest', 'minimum', minimum, 1);
  const raised = asked < Math.min(minimum, channels);
  const number = Math.min(channels, Math.ceil(Math.max(asked, minimum) / multipleOf) * multipleOf);
  return select(scores, number, asked, raised);
}

/**
 * The channels that score above `threshold`; if none does, the `minimum` best stay and the report says so. @throws
 * {EspalierError} NONFINITE if a score is not a finite number
 */
export function keepAbove(scores: ArrayLike<number>, threshold: number, options: { minimum?: number } = {}): Selection {
  const channels = checkScores('keepAbove', scores);
  checkNumber('keepAbove', 'threshold', threshold);
  const given = ownOptions('keepAbove', 'options', options, ['minimum']);
  const minimum = Math.min(channels, checkInteger('keepAbove', 'minimum', given.minimum ?? 1, 1));
  let asked = 0;
  for (let c = 0; c < channels; c++) if (scores[c] > threshold) asked++;
  return select(scores, Math.max(asked, minimum), asked, asked < minimum);
}

function checkScores(who: string, scores: ArrayLike<number>): number {
  if (typeof scores !== 'object' || scores === null || typeof scores.length !== 'number')
    throw new TypeError(`${who}: scores: expected an array of numbers, got ${show(scores)}`);
  if (scores.length === 0) throw new RangeError(`${who}: scores: expected one per channel, got none`);
  checkFinite(who, 'scores', scores);
  return scores.length;
}

function select(scores: ArrayLike<number>, count: number, asked: number, raised: boolean): Selection {
  const ranked = Array.from({ length: scores.length }, (_, c) => c).sort((a, b) => scores[b] - scores[a] || a - b);
  const report: SelectionReport = {
    before: scores.length,
    after: count,
    asked,
    raised,
    lowestKept: scores[ranked[count - 1]],
    ...(count < scores.length ? { highestRemoved: scores[ranked[count]] } : {}),
  };
  return { kept: Int32Array.from(ranked.slice(0, count)).sort(), report };
}
