/** Importance: scores, one number per neuron, and the activation statistics that some of them read. */
export * from './criteria.ts';
export { score } from './score.ts';
export type { CriterionChoice, ScoringOptions } from './score.ts';
export { correlationMatrix, covarianceMatrix } from './correlation.ts';
export { measureMoments, MOMENTS_DEFAULTS, momentsObstacle, openMoments } from './moments.ts';
export type { LayerMoments, LayerRequest, MomentsMeter, MomentsOptions } from './moments.ts';
export { measureActivations } from './statistics.ts';
export type { MeasureOptions } from './statistics.ts';
export type {
  ActivationStatistics,
  ChannelGroup,
  ChannelMoments,
  Consumer,
  ConsumerStatistics,
  Criterion,
  GradientMoments,
  GroupStatistics,
  Measurement,
  ParameterSlice,
  ProducerStatistics,
  Scorer,
} from './types.ts';
