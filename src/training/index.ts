/** espalier/training: losses, schedules, training, evaluation. */
export { reestimateBatchNorm, type ReestimateOptions } from './batch-norm.ts';
export { lastGoodNetwork } from './divergence.ts';
export {
  evaluate,
  predictAll,
  predictOutputs,
  type EvaluateOptions,
  type Evaluation,
  type PredictOptions,
} from './evaluate.ts';
export {
  crossEntropy,
  defaultLoss,
  l2,
  lossFromOptions,
  smoothL1,
  softmaxRows,
  wing,
  type Loss,
  type LossOptions,
  type ScaleOptions,
  type SmoothL1Options,
  type WingOptions,
} from '../losses/losses.ts';
export type { AdamChoice, SgdChoice, TrainOptions, ValidationMetric } from './options.ts';
export {
  constant,
  cosine,
  scheduleFromOptions,
  step,
  type Schedule,
  type ScheduleOptions,
  type StepOptions,
  type WarmUpOptions,
} from './schedules.ts';
export { train, trainTransform } from './trainer.ts';
export type { EpochRecord, TrainResult } from './types.ts';
