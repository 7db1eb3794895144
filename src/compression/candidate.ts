/**
 * A candidate: one plan carried out without an epoch of training, and what comes of it. A task and its result are plain data,
 * so that a worker thread, or another machine from a queue, can be asked for it; the same task gives the same result anywhere
 * (of one kernel set).
 */
import { show } from '../base/errors.ts';
import { ownOptions } from '../base/rules.ts';
import type { Context } from '../graph/transform.ts';
import { resolveContext } from '../graph/context.ts';
import type { GivenContext } from '../graph/context.ts';
import { readNetwork } from '../network/read.ts';
import { NO_LIMITS } from '../network/limits.ts';
import { compress } from './compress.ts';
import type { CompressOptions } from './options.ts';
import type { Plan } from './plan.ts';

/** What every candidate shares of the options of `compress`: plain data. */
export type CandidateOptions = Pick<
  CompressOptions,
  'scoring' | 'repair' | 'refit' | 'feedback' | 'codewords' | 'packed' | 'order'
> & { readonly criterion?: Extract<CompressOptions['criterion'], string> };

export interface CandidateTask {
  /** The original, as `writeNetwork` writes it. */
  readonly network: Uint8Array;
  readonly plan: Plan;
  readonly options: CandidateOptions;
  readonly seed: number;
}

export interface CandidateResult {
  /** Of the file. */
  readonly bytes: number;
  /** On the validation set, by the yardstick that fits it. */
  readonly error: number;
}

const NONE = { epochs: 0, learningRate: 0.01 };
/** How a plan is carried out where nothing is trained. */
export const UNTRAINED = {
  layersPerStep: Infinity,
  retries: 0,
  tolerance: Infinity,
  retrainPruned: NONE,
  retrainQuantized: NONE,
  final: NONE,
} as const satisfies CompressOptions;

/**
 * Carries out a plan without training. Reads the training set (no labels, unless the criterion does) and the validation set.
 * @param context - the sets; its seed does not count, the task's does
 * @throws {TypeError} for what is no task; {EspalierError} for a damaged network; as {@link compress}
 */
export async function evaluateCandidate(
  task: CandidateTask,
  context: GivenContext<Omit<Context, 'seed'>>,
): Promise<CandidateResult> {
  const { network, plan, options, seed } = ownOptions('evaluateCandidate', 'task', task, [
    'network',
    'plan',
    'options',
    'seed',
  ]);
  if (typeof plan !== 'object' || plan === null)
    throw new TypeError(`evaluateCandidate: task.plan: expected a plan, got ${show(plan)}`);
  const { report } = await compress(
    // It is the caller's own network, however large.
    readNetwork(network, { limits: NO_LIMITS }),
    { ...(await resolveContext('evaluateCandidate', context)), seed },
    { ...options, ...UNTRAINED, layers: plan.layers },
  );
  return { bytes: report.bytes, error: report.validation.after };
}
