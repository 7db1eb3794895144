/**
 * espalier's contender: the jobs of serve.ts done by the library. Variants: 'simd', and 'portable' for verification.
 */
import { createExecutor, createTrainingExecutor, kmeans, kmeansAsync, l2 } from 'espalier';
import { loadInferenceKernels, loadKernels, portableKernels } from 'espalier/kernels';
import type { KernelSet } from 'espalier/kernels';
import { networkOf, readArray, readExchange } from './exchange.ts';
import { serve } from './serve.ts';
import type { ForwardJob, KmeansJob, Prepared, TrainingJob } from './serve.ts';

serve(async (job, variant) => {
  if (job.kind === 'forward') return forward(job, await kernelsOf(variant, loadInferenceKernels));
  if (job.kind === 'training') return training(job, await kernelsOf(variant, loadKernels));
  return clustering(job, await kernelsOf(variant, loadKernels));
});

async function kernelsOf(variant: string, load: () => Promise<KernelSet>): Promise<KernelSet> {
  const kernels = variant === 'portable' ? portableKernels() : await load();
  if (kernels.name !== variant) throw new Error(`expected ${variant} kernels, got ${kernels.name}: ${kernels.reason}`);
  return kernels;
}

async function forward({ network, batch, threads, input }: ForwardJob, kernels: KernelSet): Promise<Prepared> {
  const executor = await createExecutor(networkOf(readExchange(network)), { batch, kernels, threads });
  const values = readArray(input);
  let output: Float32Array = new Float32Array();
  return {
    run() {
      executor.input().set(values);
      executor.forward();
      output = Float32Array.from(executor.output());
    },
    output: () => output,
  };
}

async function training(
  { network, batch, threads, input, target, rate, momentum }: TrainingJob,
  kernels: KernelSet,
): Promise<Prepared> {
  const optimizer = {
    kind: 'sgd',
    momentum,
    nesterov: false,
    beta1: 0.9,
    beta2: 0.999,
    epsilon: 1e-8,
    decoupled: false,
    weightDecay: 0,
    codewordGradient: 'mean',
  } as const;
  const executor = await createTrainingExecutor(networkOf(readExchange(network)), {
    batch,
    kernels,
    threads,
    optimizer,
  });
  const values = readArray(input);
  const targets = readArray(target);
  const loss = l2();
  let output: Float32Array = new Float32Array();
  let step = 0;
  return {
    run() {
      executor.input().set(values);
      executor.forwardTraining(step++);
      const predictions = executor.output();
      output = Float32Array.from(predictions);
      loss.measure(predictions, targets, batch, targets.length / batch, executor.outputGradient());
      executor.backward();
      executor.update({ rate, clip: 0 }, step);
    },
    output: () => output,
  };
}

async function clustering(
  { points, init, n, d, k, iterations, threads }: KmeansJob,
  kernels: KernelSet,
): Promise<Prepared> {
  const data = { data: readArray(points), shape: [n, d] };
  const options = { codewordCount: k, kernels, init: { data: readArray(init), shape: [k, d] }, iterations };
  let output: Float32Array = new Float32Array();
  return {
    async run() {
      const { codewords } = threads === 1 ? kmeans(data, options) : await kmeansAsync(data, { ...options, threads });
      output = codewords.data;
    },
    output: () => output,
  };
}
