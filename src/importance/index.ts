/** Importance: scores, one number per neuron, and the activation statistics that some of them read. */
export {
  activationCorrelation,
  CRITERIA,
  CRITERION_NAMES,
  magnitude,
  random,
  score,
  weightCorrelation,
} from './criteria.ts';
export type { CriterionName } from './criteria.ts';
export { correlationMatrix, covarianceMatrix } from './correlation.ts';
export { measureActivations } from './statistics.ts';
export type { MeasureOptions } from './statistics.ts';
export type {
  ActivationStatistics,
  ChannelGroup,
  ChannelMoments,
  Consumer,
  ConsumerStatistics,
  GroupStatistics,
  ParameterSlice,
  ScoreOptions,
  Scorer,
} from './types.ts';
