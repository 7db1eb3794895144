/** A model file, run: in a page or in Node. Nothing here trains, writes files, generates code or needs a package. */
import { checkPrepared, preprocessedShape, preprocessor } from '../preprocess/preprocess.ts';
import type { Preprocessor } from '../preprocess/preprocess.ts';
import { checkInteger, EspalierError, show, showAll, withMemory } from '../base/errors.ts';
import { asFloat32, hasField } from '../base/realm.ts';
import { ownOptions } from '../base/rules.ts';
import { createExecutor } from '../execution/executor.ts';
import type { Executor } from '../execution/types.ts';
import { givenKernels } from '../kernels/given.ts';
import { loadInferenceKernels } from '../kernels/load-inference.ts';
import type { KernelSet } from '../kernels/types.ts';
import type { Limits } from '../network/limits.ts';
import { readNetwork } from '../network/read.ts';
import type { Network } from '../graph/network.ts';
import type { Preprocessing } from '../graph/preprocessing.ts';
import { sameShape, sizeOf, toTensor } from '../base/tensor.ts';
import type { FloatArray, Shape, Tensor, TensorLike } from '../base/tensor.ts';

export interface LoadOptions {
  /** Default: what `loadInferenceKernels` gives, the fastest set that the platform runs. */
  kernels?: KernelSet;
  /** Samples that are computed at once; more are cut in batches of this many. Memory grows with it. Default 1. */
  batch?: number;
  /** Default 1. In a page more need headers and a worker (docs/threads.md); where they are missing there is one. */
  threads?: number;
  /** false: open a file that another tool saved anew, without its checksum. Default true. */
  verify?: boolean;
  /** The most memory and work that the file may ask for. */
  limits?: Limits;
  /** How an image becomes the input, for a model that does not say so itself, or instead of what it says. */
  preprocessing?: Preprocessing;
}

/**
 * Pixels row by row, values 0 ... 255: an `ImageData`, or the same with one (grey), three or four values a pixel. Alpha
 * is left out.
 */
export interface ImageLike {
  readonly data: ArrayLike<number>;
  readonly width: number;
  readonly height: number;
}

/** Floats, or for an output of whole numbers (`argMax`) 32-bit integers. */
export type OutputTensor = Tensor<Float32Array | Int32Array>;

/** The first output; of one sample its shape, of a batch (samples, ...shape). The caller owns the data. */
export interface Prediction extends OutputTensor {
  /** Every output by name, the first among them. */
  readonly outputs: ReadonlyMap<string, OutputTensor>;
}

export interface Model {
  readonly network: Network;
  /** Per sample, for example [1, 64, 64]. */
  readonly inputShape: Shape;
  /** Of the first output, per sample. */
  readonly outputShape: Shape;
  /** Which kernels run it, and why those. */
  readonly kernels: Pick<KernelSet, 'name' | 'reason'>;
  /** How many threads run it, and why that many: 'asked for', or what stands in the way of more. */
  readonly threads: number;
  readonly threadsReason: string;
  /**
   * Runs the model on an image, which is preprocessed as the model says; or on values that are inputs already: a tensor
   * of `inputShape`, a batch of them (samples, ...inputShape), or their values in a row. An input of whole numbers takes
   * them up to 2^24.
   *
   * @throws {TypeError | RangeError} if the input is of another kind or shape
   * @throws {EspalierError} MISSING for an image if the model does not say how to preprocess it, MEMORY, DISPOSED
   */
  predict(input: ImageLike | Float32Array | TensorLike): Prediction;
  /** One run on zeros, so that the first real one is not the slow one. */
  warmup(): void;
  /** Ends the threads and lets the memory go. Twice is once. */
  dispose(): void;
}

/**
 * Loads a model that `writeNetwork` or `espalier compress` made.
 *
 * @throws {TypeError} if `bytes` is not bytes
 * @throws {EspalierError} for whatever is wrong with the file (see `readNetwork`); UNSUPPORTED for a network of several
 *   inputs; SHAPE if preprocessing and input do not fit; MEMORY, WORKER
 * @example
 * import { load } from 'espalier/runtime';
 * const model = await load(await (await fetch('small.safetensors')).arrayBuffer());
 * const { data } = model.predict(context.getImageData(0, 0, 96, 96)); // x0, y0, x1, y1, ...
 */
export async function load(bytes: Uint8Array | ArrayBuffer, given: LoadOptions = {}): Promise<Model> {
  const options = ownOptions('load', 'options', given, [
    'kernels',
    'batch',
    'threads',
    'verify',
    'limits',
    'preprocessing',
  ]);
  const { batch = 1, threads = 1, verify = true, limits } = options;
  checkInteger('load', 'batch', batch, 1);
  checkInteger('load', 'threads', threads, 1);
  const network = readNetwork(bytes, { verify, ...(limits && { limits }) });
  const { inputs } = network;
  if (inputs.length !== 1)
    throw new EspalierError(
      'UNSUPPORTED',
      `load: the network has the inputs ${showAll(inputs.map(({ name }) => name))}; predict() feeds one. Use createExecutor() for several`,
      { found: inputs.length },
    );
  const preprocessing = options.preprocessing ?? network.preprocessing;
  if (preprocessing && !sameShape(preprocessedShape(preprocessing), inputs[0].shape)) {
    throw new EspalierError(
      'SHAPE',
      `load: preprocessing yields [${preprocessedShape(preprocessing).join(', ')}], the network's input is [${inputs[0].shape.join(', ')}]`,
      { name: inputs[0].name },
    );
  }
  const open = async (kernels: KernelSet): Promise<Model> =>
    modelOf(await createExecutor(network, { batch, kernels, threads }), kernels, preprocessing);
  const kernels = await givenKernels('load', 'options.kernels', options.kernels, loadInferenceKernels);
  try {
    return await open(kernels);
  } catch (error) {
    // Platforms have less room for WebAssembly's memories than for arrays: what they refuse to the one they may give to
    // the other.
    const isRefused = error instanceof EspalierError && error.code === 'MEMORY' && error.details.cause !== undefined;
    if (options.kernels !== undefined || kernels.name === 'portable' || !isRefused) throw error;
    const portable = await loadInferenceKernels({ prefer: 'portable' });
    return open({ ...portable, reason: `WebAssembly was refused the memory: ${error.message}` });
  }
}

function modelOf(executor: Executor, kernels: KernelSet, preprocessing: Preprocessing | undefined): Model {
  const { network, batch } = executor;
  const inputShape = network.inputs[0].shape;
  const inputSize = sizeOf(inputShape);
  let disposed = false;
  // Frames of a video have one size: the resizing tables of the last image serve the next.
  let last: { readonly shape: Shape; readonly prepare: Preprocessor } | undefined;

  function prepareImage({ data, width, height }: ImageLike): Float32Array {
    if (!preprocessing) {
      throw new EspalierError(
        'MISSING',
        `predict: the model does not say how an image becomes its input of [${inputShape.join(', ')}]: pass { preprocessing } to load(), or a tensor to predict()`,
        { name: 'preprocessing' },
      );
    }
    const pixels =
      checkInteger('predict', 'width', width, 1, 32768) * checkInteger('predict', 'height', height, 1, 32768);
    const channels = [1, 3, 4].find((count) => data?.length === count * pixels);
    if (channels === undefined)
      throw new RangeError(
        `predict: data: expected 1, 3 or 4 values for each of ${width} x ${height} pixels, got ${show(data?.length)}`,
      );
    const shape = [height, width, channels];
    if (last === undefined || !sameShape(last.shape, shape))
      last = { shape, prepare: preprocessor('predict', shape, preprocessing) };
    const input = new Float32Array(inputSize);
    last.prepare(data, input);
    checkPrepared('predict', data, input);
    return input;
  }

  /** Values of one sample or several in a row, and the axes in front of the outputs' own. */
  function inputsOf(input: ImageLike | Float32Array | TensorLike): {
    readonly values: Float32Array;
    readonly leading: Shape;
  } {
    const row = asFloat32(input);
    if (row) {
      if (row.length === 0 || row.length % inputSize !== 0)
        throw new RangeError(
          `predict: input: expected a multiple of ${inputSize} values for [${inputShape.join(', ')}], got ${row.length}`,
        );
      return { values: row, leading: row.length === inputSize ? [] : [row.length / inputSize] };
    }
    if (typeof input !== 'object' || input === null)
      throw new TypeError(
        `predict: input: expected an image { data, width, height }, a tensor { data, shape } or a Float32Array, got ${show(input)}`,
      );
    if (hasField(input, 'width')) return { values: prepareImage(input as ImageLike), leading: [] };
    const { data, shape } = toTensor('predict', 'input', input as TensorLike);
    const own = shape.slice(-inputShape.length);
    const leading = shape.slice(0, shape.length - own.length);
    if (!sameShape(own, inputShape) || leading.length > 1) {
      throw new RangeError(
        `predict: input: expected shape [${inputShape.join(', ')}] or [samples, ${inputShape.join(', ')}], got [${shape.join(', ')}]`,
      );
    }
    return { values: data, leading };
  }

  const isInteger = (name: string): boolean => executor.typeOf(name) === 'integer';
  const readOutput = (name: string): FloatArray | Int32Array =>
    isInteger(name) ? executor.integers(name) : executor.output(name);

  function run(values: Float32Array, leading: Shape): Prediction {
    const samples = values.length / inputSize;
    const { name: input } = network.inputs[0];
    const destination = isInteger(input) ? executor.integers(input) : executor.input(input);
    const outputs = withMemory(
      'predict',
      () =>
        new Map(
          network.outputs.map((name): [string, OutputTensor] => {
            const shape = [...leading, ...executor.shapeOf(name)];
            return [name, { data: new (isInteger(name) ? Int32Array : Float32Array)(sizeOf(shape)), shape }];
          }),
        ),
    );
    for (let first = 0; first < samples; first += batch) {
      const count = Math.min(batch, samples - first);
      // Samples do not touch each other: what an earlier call left behind in the tail is computed and not read.
      destination.set(values.subarray(first * inputSize, (first + count) * inputSize));
      executor.forward();
      for (const [name, { data }] of outputs) {
        const size = sizeOf(executor.shapeOf(name));
        data.set(readOutput(name).subarray(0, count * size), first * size);
      }
    }
    const [firstOutput] = outputs.values();
    return { ...firstOutput, outputs };
  }

  function checkAlive(who: string): void {
    if (disposed) throw new EspalierError('DISPOSED', `${who}: the model was disposed; load it again`);
  }

  return {
    network,
    inputShape,
    outputShape: executor.shapeOf(network.outputs[0]),
    kernels: { name: kernels.name, reason: kernels.reason },
    threads: executor.workspace.threads,
    threadsReason: executor.workspace.threadsReason,
    predict(input) {
      checkAlive('predict');
      const { values, leading } = inputsOf(input);
      return run(values, leading);
    },
    warmup() {
      checkAlive('warmup');
      run(new Float32Array(inputSize), []);
    },
    dispose() {
      if (!disposed) executor.dispose();
      disposed = true;
    },
  };
}
