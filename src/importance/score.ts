/** Scoring by a named criterion, one's own definition, or a function: what is true of a criterion is asked of it. */
import { checkFinite, checkOneOf, show } from '../base/errors.ts';
import { arrayName } from '../base/realm.ts';
import { resolveOptions } from '../base/rules.ts';
import type { Network } from '../graph/network.ts';
import { CRITERIA, CRITERION_NAMES } from './criteria.ts';
import type { CriterionName, ScoreOptions } from './criteria.ts';
import type { ActivationStatistics, ChannelGroup, Criterion, GroupStatistics, Measurement, Scorer } from './types.ts';

/** A criterion by name, a definition of one's own, or no more than a function, for which correlations are measured. */
export type CriterionChoice = CriterionName | Criterion | Scorer;
/** Options of a named criterion, or those that one's own takes. */
export type ScoringOptions = ScoreOptions | Readonly<Record<string, unknown>>;

/**
 * Scores the channels of a group.
 * @param statistics - of this network, from `measureActivations`, with what the criterion `measures`
 * @param options - the criterion's own; a function gets them as they are
 * @throws {EspalierError} NONFINITE if a score is not a number: a ranking of such would mean nothing
 * @throws {TypeError | RangeError} for an unknown criterion or option, a missing measurement, or if there is not one
 *   score per channel
 * @example
 * import { score } from 'espalier/importance';
 * const scores = score('magnitude', network, group, undefined, { norm: 'L2' });
 */
export function score(
  criterion: CriterionChoice,
  network: Network,
  group: ChannelGroup,
  statistics?: ActivationStatistics,
  options: ScoringOptions = {},
): Float64Array {
  const definition = definitionOf(checkCriterion('score', criterion));
  const resolved = resolveScoring('score', 'options', criterion, options);
  // Only a function knows what it reads.
  if (typeof criterion !== 'function')
    for (const measurement of measurementsOf(criterion, resolved))
      checkMeasured(definition.name, measurement, group, statistics);
  const scores = definition.score(network, group, statistics, resolved as never);
  if (arrayName(scores) !== 'Float64Array')
    throw new TypeError(`score: criterion: expected it to return a Float64Array, got ${show(scores)}`);
  if (scores.length !== group.channels)
    throw new RangeError(
      `score: criterion: expected ${group.channels} scores for group ${show(group.name)}, got ${scores.length}`,
    );
  checkFinite('score', `scores of group ${show(group.name)}`, scores);
  return scores;
}

/** The choice, if it is one. @throws {TypeError | RangeError} */
export function checkCriterion(who: string, criterion: CriterionChoice): CriterionChoice {
  if (typeof criterion === 'function') return criterion;
  if (typeof criterion === 'object' && criterion !== null) {
    const { name, measures, options, score } = criterion as Partial<Criterion>;
    if (
      typeof name === 'string' &&
      (Array.isArray(measures) || typeof measures === 'function') &&
      typeof options === 'object' &&
      typeof score === 'function'
    )
      return criterion;
    throw new TypeError(
      `${who}: criterion: expected { name, measures, options, defaults, words, score }, got another object`,
    );
  }
  return checkOneOf(who, 'criterion', criterion, CRITERION_NAMES);
}

export function criterionName(criterion: CriterionChoice): string {
  return definitionOf(criterion).name;
}

/**
 * What has to be measured for a criterion with these options of its own. A function may read anything, so correlations
 * are measured for it.
 */
export function measurementsOf(criterion: CriterionChoice, scoring?: ScoringOptions): readonly Measurement[] {
  const { measures } = definitionOf(criterion);
  return typeof measures === 'function'
    ? measures(resolveScoring('score', 'options', criterion, scoring) as never)
    : measures;
}

/**
 * A criterion's options with everything decided; those for a function are passed on as they are.
 * @param seed - of the run: what an option of that name is by default
 * @throws {TypeError | RangeError} for what the criterion does not take, naming its own options
 */
export function resolveScoring(
  who: string,
  name: string,
  criterion: CriterionChoice,
  given: ScoringOptions | undefined,
  seed?: number,
): Readonly<Record<string, unknown>> {
  if (typeof criterion === 'function') return { ...(seed === undefined ? {} : { seed }), ...given };
  const { options, defaults } = definitionOf(criterion);
  const ofRun = seed !== undefined && Object.hasOwn(options, 'seed') ? { seed } : {};
  return resolveOptions(who, name, options, { ...defaults, ...ofRun }, given);
}

function definitionOf(criterion: CriterionChoice): Criterion {
  if (typeof criterion === 'string') return CRITERIA[criterion];
  if (typeof criterion === 'object') return criterion;
  const { name } = criterion;
  return { name: name || 'custom', measures: ['correlations'], options: {}, defaults: {}, words: {}, score: criterion };
}

/** Whether a group has been measured. */
const MEASURED: Readonly<Record<Measurement, (group: ChannelGroup, measured: GroupStatistics) => boolean>> = {
  correlations: (_group, { consumers }) => consumers.every(({ correlation }) => correlation !== undefined),
  deviations: (_group, { consumers }) => consumers.every(({ deviation }) => deviation !== undefined),
  activity: ({ producers }, measured) => producers.every((_, i) => measured.producers?.[i]?.zeros !== undefined),
  gradients: ({ producers }, measured) => producers.every((_, i) => measured.producers?.[i]?.gradient !== undefined),
};

function checkMeasured(
  who: string,
  measurement: Measurement,
  group: ChannelGroup,
  statistics: ActivationStatistics | undefined,
): void {
  const measured = statistics?.groups.get(group.name);
  if (measured && MEASURED[measurement](group, measured)) return;
  throw new TypeError(
    `${who}: statistics: expected ${measurement} of group ${show(group.name)}, got none; measure them with measureActivations({ ${measurement}: true })`,
  );
}
