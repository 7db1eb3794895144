/**
 * onnxruntime-web (its WebAssembly SIMD backend) and onnxruntime-node (native), as named by the variant; one thread,
 * all graph optimizations.
 */
import { readFileSync } from 'node:fs';
import { readOnnx } from 'espalier';
import { joinedFloats, readArray, readExchange } from '../exchange.ts';
import { serve } from '../serve.ts';
import { onnxModel } from './onnx.ts';

interface Session {
  readonly inputNames: readonly string[];
  readonly outputNames: readonly string[];
  run(feeds: Record<string, object>): Promise<Record<string, { readonly data: ArrayLike<number | bigint> }>>;
  release(): Promise<void>;
}

/** What is used of either package; they are not installed where this is type-checked. */
interface OnnxRuntime {
  readonly env: { readonly wasm: { numThreads: number }; logLevel?: string };
  readonly Tensor: new (type: 'float32', data: Float32Array, shape: readonly number[]) => object;
  readonly InferenceSession: { create(model: Uint8Array, options: object): Promise<Session> };
}

serve(async (job, variant) => {
  if (job.kind !== 'forward' && job.kind !== 'model') throw new Error(`${variant}: no ${job.kind}`);
  const module = (await import(variant)) as OnnxRuntime & { default?: OnnxRuntime };
  const { env, Tensor, InferenceSession } = module.default ?? module;
  const isWeb = variant === 'onnxruntime-web';
  if (isWeb) env.wasm.numThreads = job.threads;
  // Of initializers that are inputs as well it warns one by one.
  env.logLevel = 'error';
  const { batch } = job;
  const exchanged = job.kind === 'forward' ? readExchange(job.network) : undefined;
  const model = job.kind === 'model' ? readFileSync(job.model) : onnxModel(exchanged!, batch);
  const files = job.kind === 'model' ? job.inputs : [job.input];
  const session = await InferenceSession.create(model, {
    executionProviders: [isWeb ? 'wasm' : 'cpu'],
    graphOptimizationLevel: 'all',
    executionMode: 'sequential',
    intraOpNumThreads: job.threads,
    interOpNumThreads: 1,
    logSeverityLevel: 3,
  });
  const { inputs } = exchanged?.graph ?? readOnnx(model).network;
  const feeds = Object.fromEntries(
    inputs.map(({ name, shape }, i) => [name, new Tensor('float32', readArray(files[i]), [batch, ...shape])]),
  );
  let outputs: ArrayLike<number | bigint>[] = [];
  return {
    async run() {
      const results = await session.run(feeds);
      outputs = session.outputNames.map((name) => results[name].data);
    },
    output: () => joinedFloats(outputs),
    close: () => session.release(),
  };
});
