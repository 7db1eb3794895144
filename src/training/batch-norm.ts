/**
 * Re-estimation of the statistics of batch normalization, which pruning and quantization leave wrong: cheap and
 * label-free.
 */
import { checkInputs, checkNetwork } from '../graph/check.ts';
import { isDense } from '../encodings/index.ts';
import { EspalierError, checkInteger } from '../base/errors.ts';
import { ownOptions } from '../base/rules.ts';
import { NO_UPDATE } from '../execution/no-update.ts';
import { createTrainingExecutor } from '../execution/training-executor.ts';
import { resolveContext } from '../graph/context.ts';
import type { GivenContext } from '../graph/context.ts';
import type { Network, Node } from '../graph/network.ts';
import { operatorOf, trainingOf } from '../operators/table.ts';
import { permutation, stream } from '../base/random.ts';
import type { TransformReport } from '../graph/transform.ts';
import { createBatchReader } from './batches.ts';
import { createRunControl } from '../base/control.ts';
import { checkExamples } from './options.ts';

export interface ReestimateOptions {
  /** Batches to measure on, at most what the training set has. Default 20. */
  readonly batches?: number;
  /** Samples per batch, at least 2 where a normalized value has one position. Default 32. */
  readonly batchSize?: number;
}

/**
 * Replaces mean and variance of every batch normalization by their plain averages over batches of the training set, as
 * they are with batch statistics in force and dropout off (`update_bn` of PyTorch with momentum None does the same).
 * Weights stay. A network without batch normalization comes back as it is. Samples are drawn by `stream(seed,
 * 'reestimate')` and not augmented. Cost: a forward pass per batch.
 *
 * @throws {TypeError | RangeError} for wrong arguments; {EspalierError} DATA, NONFINITE, SHAPE where a batch has one value
 *   per channel (its variance would be 0); `context.signal.reason` when aborted
 */
export async function reestimateBatchNorm(
  network: Network,
  givenContext: GivenContext,
  given: ReestimateOptions = {},
): Promise<{ network: Network; report: TransformReport }> {
  const who = 'reestimateBatchNorm';
  const context = await resolveContext(who, givenContext);
  const options = ownOptions(who, 'options', given, ['batches', 'batchSize']);
  checkNetwork(who, 'network', network);
  const examples = checkExamples(who, 'context.training', context.training);
  const batch = Math.min(checkInteger(who, 'batchSize', options.batchSize ?? 32, 1), examples.count);
  const batches = Math.min(checkInteger(who, 'batches', options.batches ?? 20, 1), Math.floor(examples.count / batch));
  const statesOf = (node: Node): string[] =>
    operatorOf(node).roles.flatMap(({ role, kind }) => (kind === 'state' ? (node.parameters[role] ?? []) : []));
  const statistics = new Set(network.nodes.flatMap(statesOf));
  const layers = network.nodes.filter((node) => statesOf(node).length > 0).length;
  const report = { transform: who, layers, samples: batches * batch };
  if (report.layers === 0) return { network, report: { ...report, samples: 0 } };
  checkInputs(who, 'context.training', examples, network.inputs[0].shape);
  const control = createRunControl(context);
  const { kernels, threads, seed } = context;
  // Everything but the statistics: they are what is to move.
  const frozen = new Set([...network.parameters.keys()].filter((name) => !statistics.has(name)));
  const executor = await createTrainingExecutor(
    { ...network, nodes: network.nodes.map(asMeasured) },
    { batch, kernels, threads, optimizer: NO_UPDATE, frozen },
  );
  try {
    const reader = createBatchReader({
      who,
      name: 'context.training',
      examples,
      batch,
      control,
      targets: false,
      classes: 0,
    });
    const order = permutation(stream(seed, 'reestimate'), examples.count);
    const sums = new Map<string, Float64Array>();
    for (let i = 0; i < batches; i++) {
      await control.pause();
      await reader.read(order.subarray(i * batch, (i + 1) * batch));
      executor.input().set(reader.inputs);
      executor.forwardTraining(i);
      for (const [name, encoding] of executor.snapshot().parameters) {
        if (!statistics.has(name) || !isDense(encoding)) continue;
        const sum = sums.get(name) ?? new Float64Array(encoding.data.length);
        sums.set(
          name,
          sum.map((value, c) => value + encoding.data[c]),
        );
      }
    }
    const parameters = new Map(network.parameters);
    for (const [name, sum] of sums) {
      const data = Float32Array.from(sum, (value) => value / batches);
      if (data.some((value) => !Number.isFinite(value)))
        throw new EspalierError(
          'NONFINITE',
          `${who}: network: expected finite activations, got a statistic ${name} that is not; the weights before it are too large`,
          { name },
        );
      parameters.set(name, { kind: 'dense', shape: [data.length], data });
    }
    return { network: { ...network, parameters }, report };
  } finally {
    executor.dispose();
  }
}

/** As its operator says that a training pass leaves plain statistics of its batch, and draws nothing. */
function asMeasured(node: Node): Node {
  const { measuring } = trainingOf(node);
  return measuring ? { ...node, attributes: Object.assign({}, node.attributes, measuring) } : node;
}
