/**
 * onnxruntime-web (its WebAssembly SIMD backend) and onnxruntime-node (native), as named by the variant; one thread,
 * all graph optimizations.
 */
import { readArray, readExchange } from '../exchange.ts';
import { serve } from '../serve.ts';
import { onnxModel } from './onnx.ts';

/** What is used of either package; they are not installed where this is type-checked. */
interface OnnxRuntime {
  readonly env: { readonly wasm: { numThreads: number } };
  readonly Tensor: new (type: 'float32', data: Float32Array, shape: readonly number[]) => object;
  readonly InferenceSession: {
    create(
      model: Uint8Array,
      options: object,
    ): Promise<{ run(feeds: Record<string, object>): Promise<Record<string, { readonly data: Float32Array }>> }>;
  };
}

serve(async (job, variant) => {
  if (job.kind !== 'forward') throw new Error(`${variant}: no ${job.kind}`);
  const module = (await import(variant)) as OnnxRuntime & { default?: OnnxRuntime };
  const { env, Tensor, InferenceSession } = module.default ?? module;
  const isWeb = variant === 'onnxruntime-web';
  if (isWeb) env.wasm.numThreads = job.threads;
  const exchanged = readExchange(job.network);
  const {
    inputs: [{ name, shape }],
    outputs: [outputName],
  } = exchanged.graph;
  const session = await InferenceSession.create(onnxModel(exchanged, job.batch), {
    executionProviders: [isWeb ? 'wasm' : 'cpu'],
    graphOptimizationLevel: 'all',
    executionMode: 'sequential',
    intraOpNumThreads: job.threads,
    interOpNumThreads: 1,
  });
  const input = new Tensor('float32', readArray(job.input), [job.batch, ...shape]);
  let output: Float32Array = new Float32Array();
  return {
    async run() {
      output = (await session.run({ [name]: input }))[outputName].data;
    },
    output: () => Float32Array.from(output),
  };
});
