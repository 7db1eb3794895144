/**
 * Learning-rate schedules: pure functions of (step, total steps) that give the factor by which the learning rate is
 * multiplied. Steps count from 0; the factor is in [0, 1].
 */
import { cosPi, power } from '../base/elementary.ts';
import { checkInteger, checkNumber, checkOneOf, show } from '../base/errors.ts';
import { ownOptions } from '../base/rules.ts';

/** A schedule as plain JSON-able data. */
export type ScheduleOptions =
  | { readonly kind: 'constant'; readonly warmUp?: number }
  | { readonly kind: 'cosine'; readonly warmUp?: number }
  | { readonly kind: 'step'; readonly at?: readonly number[]; readonly by?: number; readonly warmUp?: number };

export interface WarmUpOptions {
  /** Steps over which the factor rises linearly: times min(1, (step + 1) / warmUp). Default 0: at once. */
  readonly warmUp?: number;
}

export interface StepOptions extends WarmUpOptions {
  /** Shares of the run after which the rate falls, ascending, in (0, 1). Default [1/2, 3/4]. */
  readonly at?: readonly number[];
  /** What the rate is multiplied by each time. Default 0.1. */
  readonly by?: number;
}

export interface Schedule {
  /** What the schedule is, for checkpoints: two schedules with equal options are the same schedule. */
  readonly options: { readonly kind: string } & Readonly<Record<string, unknown>>;
  /** Factor of step `step` in 0 ... totalSteps - 1. */
  factor(step: number, totalSteps: number): number;
}

/** Always 1, after the warm-up. */
export function constant(options: WarmUpOptions = {}): Schedule {
  return withWarmUp('constant', { kind: 'constant' }, ownOptions('constant', 'options', options, ['warmUp']), () => 1);
}

/** (1 + cos(pi step / totalSteps)) / 2: from 1 towards 0 (Loshchilov, Hutter, "SGDR", ICLR 2017, without restarts). */
export function cosine(options: WarmUpOptions = {}): Schedule {
  return withWarmUp(
    'cosine',
    { kind: 'cosine' },
    ownOptions('cosine', 'options', options, ['warmUp']),
    (step, totalSteps) => 0.5 * (1 + cosPi(step / totalSteps)),
  );
}

/**
 * 1, then times `by` from each of the shares `at` of the run on. @throws {RangeError} for shares that do not ascend
 * within (0, 1) or a factor outside (0, 1]
 */
export function step(options: StepOptions = {}): Schedule {
  const given = ownOptions('step', 'options', options, ['at', 'by', 'warmUp']);
  const by = checkNumber('step', 'by', given.by ?? 0.1, 0, 1, true);
  const at: unknown = given.at ?? [0.5, 0.75];
  if (!Array.isArray(at)) throw new TypeError(`step: at: expected an array of shares of the run, got ${show(at)}`);
  const shares = at.map((share, i) => checkNumber('step', `at[${i}]`, share, 0, 1, true));
  if (shares.some((share, i) => i > 0 && share <= shares[i - 1]))
    throw new RangeError(`step: at: expected ascending shares of the run, got ${show(shares)}`);
  return withWarmUp('step', { kind: 'step', at: shares, by }, given, (now, totalSteps) =>
    power(by, shares.filter((share) => now >= share * totalSteps).length),
  );
}

/**
 * The schedule that JSON-able options describe; `scheduleFromOptions(schedule.options)` is the same schedule again.
 * @throws {TypeError | RangeError} for unknown kinds and wrong numbers
 */
export function scheduleFromOptions(options: ScheduleOptions): Schedule {
  const { kind, ...given } = ownOptions<{ kind?: unknown } & StepOptions>('scheduleFromOptions', 'options', options, [
    'kind',
    'at',
    'by',
    'warmUp',
  ]);
  switch (checkOneOf('scheduleFromOptions', 'options.kind', kind, ['constant', 'cosine', 'step'])) {
    case 'constant':
      return constant(given);
    case 'cosine':
      return cosine(given);
    case 'step':
      return step(given);
  }
}

function withWarmUp(
  who: string,
  description: { readonly kind: string } & Readonly<Record<string, unknown>>,
  options: WarmUpOptions,
  factor: Schedule['factor'],
): Schedule {
  const warmUp = checkInteger(who, 'warmUp', options.warmUp ?? 0, 0);
  return {
    options: { ...description, warmUp },
    factor: (now, totalSteps) => factor(now, totalSteps) * (warmUp === 0 ? 1 : Math.min(1, (now + 1) / warmUp)),
  };
}
