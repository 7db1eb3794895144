/** `espalier run`: raw batches through a model, from .npy to .npy. */
import {
  checkFinite,
  createExecutor,
  EspalierError,
  loadFile,
  loadKernels,
  readNpy,
  sameShape,
  saveFile,
  sizeOf,
  toTensor,
  writeNpy,
} from '../../index.ts';
import type { Tensor } from '../../index.ts';
import { defineCommand, table } from '../command.ts';
import type { Invocation, Result } from '../command.ts';
import { inFile, checkPlaces, checkEnding } from '../files.ts';
import { openModel, PLAIN_OPTIONS, READ_OPTIONS, THREADS_OPTION } from '../model.ts';
import { integer, required, text, withDefault } from '../options.ts';

const OPTIONS = {
  input: required(text('X.npy', 'float32 inputs (n, ...input shape), as they are: nothing is preprocessed', 'i')),
  output: required(text('Y.npy', 'float32 outputs (n, ...output shape) to write', 'o')),
  batch: withDefault(32, integer('N', 'samples per pass; results do not depend on it', 1)),
  ...PLAIN_OPTIONS,
  ...THREADS_OPTION,
  ...READ_OPTIONS,
};

export const runCommand = defineCommand({
  name: 'run',
  summary: 'run a model on raw batches',
  positionals: ['MODEL'],
  description: "Reads a .npy array of network inputs and writes the network's first output for each.",
  example: 'espalier run small.safetensors --input x.npy --output y.npy',
  options: OPTIONS,
  run,
});

async function run({ values, positionals: [path], progress, signal }: Invocation<typeof OPTIONS>): Promise<Result> {
  await checkPlaces({ sources: { MODEL: path, '--input': values.input }, outputs: { '--output': values.output } });
  checkEnding('--output', values.output, '.npy');
  const { network } = await openModel(path, values, { note: progress.note });
  if (network.inputs.length !== 1)
    throw new EspalierError('UNSUPPORTED', `${path}: expected a network of one input, got ${network.inputs.length}`, {
      found: network.inputs.length,
    });
  const inputs = await readInputs(values.input, network.inputs[0].shape);
  const count = inputs.shape[0];

  const executor = await createExecutor(network, {
    batch: values.batch,
    kernels: await loadKernels(),
    threads: values.threads,
  });
  try {
    const [inputSize, outputShape] = [sizeOf(network.inputs[0].shape), executor.shapeOf(network.outputs[0])];
    const outputs = new Float32Array(count * sizeOf(outputShape));
    for (let first = 0; first < count; first += values.batch) {
      const n = Math.min(values.batch, count - first);
      outputs.set(
        executor.predict(inputs.data.subarray(first * inputSize, (first + n) * inputSize), n),
        first * sizeOf(outputShape),
      );
      progress.count('samples', first + n, count);
      // A turn of the event loop, so that a signal is heard.
      await new Promise(setImmediate);
      signal.throwIfAborted();
    }
    const shape = [count, ...outputShape];
    await saveFile(values.output, writeNpy({ data: outputs, shape }));
    return {
      json: { output: values.output, samples: count, shape },
      text: table(
        [
          ['written', values.output],
          ['shape', shape.join('x')],
        ],
        [1],
      ),
    };
  } finally {
    executor.dispose();
  }
}

/** (n, ...shape) in float32. @throws {EspalierError} SHAPE, UNSUPPORTED, NONFINITE */
async function readInputs(path: string, shape: readonly number[]): Promise<Tensor> {
  const bytes = await loadFile(path);
  const { data, shape: found } = inFile(path, () => readNpy(bytes));
  if (!['Float32Array', 'Float64Array'].includes(data[Symbol.toStringTag])) {
    throw new EspalierError(
      'UNSUPPORTED',
      `--input: ${path}: expected floats, which are the network's inputs as they are, got integers; images go through espalier evaluate, or are preprocessed first`,
      { name: path },
    );
  }
  if (!sameShape(found.slice(1), shape) || found.length !== shape.length + 1) {
    throw new EspalierError(
      'SHAPE',
      `--input: ${path}: expected shape [n, ${shape.join(', ')}] as the network takes, got [${found.join(', ')}]`,
      { name: path, found },
    );
  }
  checkFinite('--input', path, data, sizeOf(shape));
  return { ...toTensor('--input', path, { data, shape: [found[0], sizeOf(shape)] }), shape: found };
}
