/** What a stage of a schedule is: a transform among others, which are judged and undone together. */
import type { RunCheckpoint } from '../container/store.ts';
import type { Network } from '../graph/network.ts';
import type { Context, TransformReport } from '../graph/transform.ts';

/** What a stage may use beside the context of the run. */
export interface StageContext extends Context {
  /** The network as it was given: the yardstick, and the teacher. */
  readonly original: Network;
  /** Layers of its step. */
  readonly layers: readonly string[];
  /** Number of this try of the step, from 0; each is to be milder than the one before. */
  readonly attempt: number;
  /** What the stages before it have done in this try of the step. */
  readonly before: readonly StageReport[];
  /** A seed of this stage and this try alone; `seed` is that of the run. */
  readonly stageSeed: number;
  /** Where a stage that takes long may keep its state, under this key; it is cleared when the stage is done. */
  readonly checkpoint?: RunCheckpoint;
}

/** What a stage does; any `Transform` is one. Its report is kept in checkpoints, so it is plain JSON-able data. */
export type StageTransform = (
  network: Network,
  context: StageContext,
) => Promise<{ network: Network; report: TransformReport }>;

/** One stage of a step. Neighbours of one step number are judged together, and undone together. */
export interface Stage {
  /** Ours are 'prune', 'retrain', 'quantize', 'final' and 'round'. */
  readonly name: string;
  /** Number of the step, from 0, in ascending order. */
  readonly step: number;
  /** Layers of the step; a step without any, as is the final pass, is not judged. */
  readonly layers: readonly string[];
  readonly transform: StageTransform;
  /**
   * Whether try number `attempt` would do anything else than the one before it; of a step where no stage would there is no
   * further try. `start` is the network as the step begins, `tried` as the try before left it. Default: it would.
   */
  differs?(attempt: number, start: Network, tried: Network): boolean;
}

/** What became of a step that was judged. */
export interface StepReport {
  readonly layers: readonly string[];
  /** Validation metric when it began. */
  readonly start: number;
  /** What it might end at. Absent: anything, as the tolerance is Infinity. */
  readonly limit?: number;
  /** Validation metric after each try: the first as asked for, the others milder. */
  readonly tries: readonly number[];
  /** Number of the try that stays. */
  readonly kept: number;
  /** Whether that is within the limit. */
  readonly within: boolean;
}

/** What one stage did. */
export interface StageReport {
  readonly name: string;
  readonly layers: readonly string[];
  /** 0, or the number of the milder try. */
  readonly attempt: number;
  /** false: there was nothing to do. */
  readonly changed: boolean;
  readonly parameters: number;
  /** Validation metric after the stage; NaN where there are no data to judge by. */
  readonly validation: number;
  /**
   * What the transform says of it: groups before and after, weights and their encodings, losses by epoch. In words:
   * `describeStage`.
   */
  readonly report: TransformReport;
}
