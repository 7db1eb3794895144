/** Gradients of the training loss by single weights: what criteria of the Taylor kind read. */
import { createRunControl } from '../base/control.ts';
import { EspalierError } from '../base/errors.ts';
import { sizeOf } from '../base/tensor.ts';
import { trainedCount } from '../encodings/index.ts';
import { NO_UPDATE } from '../execution/no-update.ts';
import { createTrainingExecutor } from '../execution/training-executor.ts';
import type { Examples } from '../graph/examples.ts';
import type { Network } from '../graph/network.ts';
import type { Context } from '../graph/transform.ts';
import { checkLogits } from '../losses/losses.ts';
import type { Loss } from '../losses/losses.ts';
import { readSamples } from './samples.ts';
import type { GradientMoments } from './types.ts';

/** The labelled set that gradients are measured on. @throws {EspalierError} DATA if there is none, or it has no labels */
export function checkLabelled(who: string, training: Examples | undefined): Examples {
  if (training?.targetShape) return training;
  throw new EspalierError(
    'DATA',
    `${who}: context.training: expected labelled samples, as the criterion reads gradients of the loss, got ${training ? 'an unlabelled set' : 'none'}; give targets, or choose a criterion that needs none`,
    { name: 'training' },
  );
}

/**
 * Moments of the loss's gradient by each of the named parameters, over batches of the samples `order`, as the training
 * pass sees them: batch statistics and dropout (by the context's seed) in force. Samples that do not fill a last batch
 * sit out. Cost: three times the multiply-adds of inference per sample.
 *
 * @param parameters - names; one that is encoded, so that its single weights have no gradient, is left out of the result
 * @throws {EspalierError} DATA if samples are unlabelled, do not fit or are not finite; NONFINITE if the loss is not
 */
export async function measureGradients(
  network: Network,
  parameters: readonly string[],
  context: Pick<Context, 'kernels' | 'threads' | 'seed' | 'training' | 'signal'>,
  {
    who,
    order,
    batch,
    loss,
  }: { readonly who: string; readonly order: Int32Array; readonly batch: number; readonly loss: Loss },
): Promise<ReadonlyMap<string, GradientMoments>> {
  const { kernels, threads, seed } = context;
  const control = createRunControl(context.signal ? { signal: context.signal } : {});
  const training = checkLabelled(who, context.training);
  checkLogits(who, 'network', loss, network);
  const wanted = parameters.filter((name) => {
    const encoding = network.parameters.get(name);
    return encoding && trainedCount(encoding) === sizeOf(encoding.shape);
  });
  if (wanted.length === 0) return new Map();
  const frozen = new Set([...network.parameters.keys()].filter((name) => !wanted.includes(name)));
  const executor = await createTrainingExecutor(network, {
    batch,
    kernels,
    threads,
    seed,
    optimizer: NO_UPDATE,
    frozen,
  });
  try {
    const [output, targetSize] = [executor.output(), sizeOf(training.targetShape ?? [])];
    const size = output.length / batch;
    if (targetSize !== size && !(loss.classes && targetSize === 1))
      throw new EspalierError(
        'DATA',
        `${who}: context.training: expected targets of ${loss.classes ? '1 or ' : ''}${size} numbers for this network and loss, got ${targetSize}`,
        { name: 'training', found: targetSize },
      );
    const moments = new Map(
      wanted.map((name): [string, GradientMoments] => {
        const count = executor.values(name).length;
        return [name, { mean: new Float64Array(count), square: new Float64Array(count) }];
      }),
    );
    const steps = Math.floor(order.length / batch);
    for (let step = 0; step < steps; step++) {
      await control.pause();
      const { inputs, targets } = await readSamples(
        who,
        training,
        order.subarray(step * batch, (step + 1) * batch),
        true,
        control,
      );
      executor.input().set(inputs);
      executor.forwardTraining(step);
      for (const other of network.outputs.slice(1)) executor.outputGradient(other).fill(0);
      const value = loss.measure(executor.output(), targets, batch, size, executor.outputGradient());
      if (!Number.isFinite(value))
        throw new EspalierError('NONFINITE', `${who}: network: expected a finite loss on the samples, got ${value}`, {
          found: value,
        });
      executor.backward();
      for (const [name, { mean, square }] of moments) {
        const gradient = executor.gradient(name);
        for (let i = 0; i < mean.length; i++) {
          mean[i] += gradient[i] / steps;
          square[i] += (gradient[i] * gradient[i]) / steps;
        }
      }
    }
    return moments;
  } finally {
    executor.dispose();
  }
}
