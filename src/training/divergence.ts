/** Divergence: where a run left the finite numbers, and the error that says so and carries the last good state. */
import { trainedValues } from '../encodings/index.ts';
import { EspalierError, show } from '../base/errors.ts';
import { isError } from '../base/realm.ts';
import { createExecutor } from '../execution/executor.ts';
import type { TrainingExecutor } from '../execution/types.ts';
import type { KernelSet } from '../kernels/types.ts';
import type { Network } from '../graph/network.ts';
import { outputsOf, parametersOf } from '../graph/walk.ts';

/**
 * The network with the last values that were all finite, of an error DIVERGED that training was rejected with; else
 * undefined.
 */
export function lastGoodNetwork(error: unknown): Network | undefined {
  // By its code: the error may be that of another copy of this package.
  const { code, details } = (isError(error) ? error : {}) as Partial<EspalierError>;
  return code === 'DIVERGED' ? (details?.lastGood as Network | undefined) : undefined;
}

/** Name of the first parameter, in the order of the nodes, that holds a number that is not finite. */
export function nonFiniteParameter(network: Network): string | undefined {
  const names = network.nodes.flatMap(parametersOf);
  return names.find((name) => {
    const encoding = network.parameters.get(name);
    return encoding && !allFinite(trainedValues(encoding));
  });
}

export interface Divergence {
  readonly step: number;
  /** What was seen: 'the loss is NaN'. */
  readonly seen: string;
  readonly lastGood: Network;
}

/** The error for a run whose `executor` still holds the batch and the values at which it was seen. */
export async function divergenceError(
  executor: TrainingExecutor,
  kernels: KernelSet,
  { step, seen, lastGood }: Divergence,
): Promise<EspalierError> {
  const now = executor.snapshot();
  const layer =
    nonFiniteGradient(executor, now) ?? nonFiniteWeights(now) ?? (await nonFiniteActivation(executor, now, kernels));
  return new EspalierError(
    'DIVERGED',
    `train: ${seen} at step ${step}${layer ? `, first in layer ${show(layer)}` : ''}; lower learningRate or clip, or lengthen the warm-up (lastGoodNetwork(error) has the last good weights)`,
    { step, lastGood, ...(layer === undefined ? {} : { name: layer }) },
  );
}

/**
 * A gradient that overflows while the loss is finite does so in a late layer first, from where it spreads to earlier
 * ones: the last layer is where it began. After a forward pass that was not fine the gradients are those of the step
 * before, and finite.
 */
function nonFiniteGradient(executor: TrainingExecutor, network: Network): string | undefined {
  // The executor names what it trains by the slots of its optimizer.
  const trained = new Set([...executor.optimizerState().keys()].map((slot) => slot.slice(0, slot.lastIndexOf('/'))));
  return network.nodes.findLast((node) =>
    parametersOf(node).some((name) => trained.has(name) && !allFinite(executor.gradient(name))),
  )?.name;
}

function nonFiniteWeights(network: Network): string | undefined {
  const parameter = nonFiniteParameter(network);
  return parameter === undefined
    ? undefined
    : network.nodes.find((node) => Object.values(node.parameters).includes(parameter))?.name;
}

/**
 * With finite weights: the first layer whose output on this batch is not. Costs an executor of its own, once, at the
 * end of a run.
 */
async function nonFiniteActivation(
  executor: TrainingExecutor,
  network: Network,
  kernels: KernelSet,
): Promise<string | undefined> {
  const watch = network.nodes.flatMap(outputsOf);
  const probe = await createExecutor(network, { batch: executor.batch, kernels, watch });
  // Whole numbers are finite.
  const isFine = (name: string): boolean => probe.typeOf(name) === 'integer' || allFinite(probe.output(name));
  try {
    probe.input().set(executor.input());
    probe.forward();
    return network.nodes.find((node) => !outputsOf(node).every(isFine))?.name;
  } finally {
    probe.dispose();
  }
}

function allFinite(values: ArrayLike<number>): boolean {
  for (let i = 0; i < values.length; i++) if (!Number.isFinite(values[i])) return false;
  return true;
}
