/**
 * espalier's contender: the jobs of serve.ts done by the library. Variants: 'simd', and 'portable' for verification.
 */
import { readFileSync } from 'node:fs';
import { createExecutor, createTrainingExecutor, isOnnx, kmeans, kmeansAsync, l2, readOnnx } from 'espalier';
import { loadInferenceKernels, loadKernels, portableKernels } from 'espalier/kernels';
import type { KernelSet } from 'espalier/kernels';
import { foldNormalization, readNetwork, simplify } from 'espalier/network';
import { joinedFloats, networkOf, readArray, readExchange } from './exchange.ts';
import { serve } from './serve.ts';
import type { ForwardJob, KmeansJob, ModelJob, Prepared, TrainingJob } from './serve.ts';

serve(async (job, variant) => {
  if (job.kind === 'forward') return forward(job, await kernelsOf(variant, loadInferenceKernels));
  if (job.kind === 'model') return model(job, await kernelsOf(variant, loadInferenceKernels));
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

/** A file as a page runs it: an ONNX model is simplified, and its normalization folded. */
async function model({ model: path, batch, threads, inputs }: ModelJob, kernels: KernelSet): Promise<Prepared> {
  const bytes = readFileSync(path);
  const network = isOnnx(bytes) ? foldNormalization(simplify(readOnnx(bytes).network)) : readNetwork(bytes);
  const executor = await createExecutor(network, { batch, kernels, threads });
  const values = inputs.map((file, i) => ({ name: network.inputs[i].name, data: readArray(file) }));
  let outputs: (Float32Array | Int32Array)[] = [];
  return {
    run() {
      for (const { name, data } of values) executor.input(name).set(data);
      executor.forward();
      outputs = network.outputs.map((name) =>
        executor.typeOf(name) === 'integer'
          ? Int32Array.from(executor.integers(name))
          : Float32Array.from(executor.output(name)),
      );
    },
    output: () => joinedFloats(outputs),
    close: () => executor.dispose(),
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
