/** The inference half: a network bound to a batch size, a heap and threads. */
import { checkInteger, EspalierError, show, showAll } from '../base/errors.ts';
import { arrayName } from '../base/realm.ts';
import { ownOptions } from '../base/rules.ts';
import { givenKernels } from '../kernels/given.ts';
import { loadInferenceKernels } from '../kernels/load-inference.ts';
import type { Workspace } from '../kernels/types.ts';
import type { Network } from '../graph/network.ts';
import type { FloatArray } from '../base/tensor.ts';
import { sizeOf } from '../base/tensor.ts';
import {
  checkExecutorOptions,
  EXECUTOR_NAMES,
  checkWords,
  createLayout,
  fillParameter,
  forwardSteps,
} from './layout.ts';
import type { Layout } from './layout.ts';
import { analyse } from './lifetimes.ts';
import type { Structure } from './lifetimes.ts';
import type { ValueType } from '../operators/types.ts';
import { place } from './placement.ts';
import type { Executor, ExecutorOptions } from './types.ts';

const FORWARD = 0;

/**
 * Plans the buffers of `network` for batches of `options.batch` (default 1) and puts its parameters on a heap of its
 * own. The network itself is not changed. Call `dispose` when done: it ends the threads and lets the memory go.
 *
 * @throws {TypeError | RangeError} for wrong arguments
 * @throws {EspalierError} GRAPH, SHAPE, ATTRIBUTE for a network that does not fit together, MEMORY, WORKER
 */
export async function createExecutor(network: Network, given: ExecutorOptions = {}): Promise<Executor> {
  const who = 'createExecutor';
  const options = ownOptions(who, 'options', given, EXECUTOR_NAMES);
  const { threads, precision, watch, batch } = checkExecutorOptions(who, network, options);
  const kernels = await givenKernels(who, 'options.kernels', options.kernels, loadInferenceKernels);
  const structure = analyse('createExecutor', network, batch, watch, undefined);
  const valueWords = place(structure.storage.values());
  const layout = createLayout(structure, kernels, valueWords, true);
  const forward = forwardSteps(layout).flat();
  const stages = layout.stages
    .map(({ parameter, made, packed }) => ({ parameter, steps: [...made, ...packed] }))
    .filter(({ steps }) => steps.length > 0);
  checkWords('createExecutor', layout.top);
  const workspace = await kernels.open({
    words: layout.top,
    scratchWords: layout.scratchWords,
    programs: [forward, ...stages.map(({ steps }) => steps)],
    threads,
    precision,
  });
  layout.fill(workspace.heap);
  stages.forEach(({ parameter }, i) => {
    if (parameter) fillParameter(workspace.heap, parameter);
    workspace.run(FORWARD + 1 + i);
  });
  // What preparation left where values will be: codes, read as floats, would be slow. The rest is zero, and memory that
  // nobody has touched costs nothing yet.
  workspace.heap.float.fill(0, 0, layout.passed);
  return { network, ...passes(layout, workspace, () => workspace.run(FORWARD)) };
}

/**
 * What inference and training executors have in common: reading and writing values, and prediction in batches; see
 * {@link Executor} for what each throws.
 */
export function passes(layout: Layout, workspace: Workspace, forward: () => void): Omit<Executor, 'network'> {
  const { structure } = layout;
  const { network, batch } = structure;
  const isInput = (name: string): boolean => structure.producer.get(name) === -1;
  // One view of each value, so that a call makes none.
  const views = new Map<string, FloatArray | Int32Array>();
  const view = (name: string): FloatArray | Int32Array => {
    const { float, int } = workspace.heap;
    const known = views.get(name);
    if (known) return known;
    const { offset, words, type } = layout.value(name);
    const made = (type === 'integer' ? int : float).subarray(offset, offset + words);
    views.set(name, made);
    return made;
  };
  const floats = (who: string, name: string): FloatArray => {
    const found = view(name);
    if (found instanceof Int32Array)
      throw new RangeError(
        `${who}: name: expected a value of floats, got ${show(name)}; integers(${show(name)}) gives it`,
      );
    return found;
  };
  const checkOutput = (who: string, name: string): void => {
    if (!structure.observed.has(name))
      throw new RangeError(
        `${who}: name: expected one of ${showAll([...structure.observed])}, got ${show(name)}; name it in watch to keep it`,
      );
  };
  return {
    batch,
    workspace,
    input(name = network.inputs[0].name) {
      if (!isInput(name))
        throw new RangeError(
          `input: name: expected one of ${showAll(network.inputs.map((one) => one.name))}, got ${show(name)}`,
        );
      return floats('input', name);
    },
    output(name = network.outputs[0]) {
      checkOutput('output', name);
      return floats('output', name);
    },
    integers(name = network.outputs[0]) {
      if (!isInput(name)) checkOutput('integers', name);
      const found = view(name);
      if (!(found instanceof Int32Array))
        throw new RangeError(
          `integers: name: expected a value of whole numbers, got ${show(name)}, which is of floats`,
        );
      return found;
    },
    forward,
    shapeOf: (name) => typeOf('shapeOf', structure, name).shape,
    typeOf: (name) => typeOf('typeOf', structure, name).type,
    predict(inputs, count) {
      if (network.inputs.length !== 1 || network.outputs.length !== 1)
        throw new EspalierError(
          'GRAPH',
          'predict: the network has several inputs or outputs; use input, forward and output',
        );
      const [source, outcome] = [network.inputs[0].name, network.outputs[0]];
      const [inputSize, outputSize] = [source, outcome].map((name) => sizeOf(structure.types.get(name)!.shape));
      checkInteger('predict', 'count', count, 0);
      if (arrayName(inputs) !== 'Float32Array')
        throw new TypeError(`predict: inputs: expected a Float32Array, got ${show(inputs)}`);
      if (inputs.length !== count * inputSize)
        throw new RangeError(
          `predict: inputs: expected ${count} samples of ${inputSize} values, got ${inputs.length} values`,
        );
      const results = new Float32Array(count * outputSize);
      for (let first = 0; first < count; first += batch) {
        const samples = Math.min(batch, count - first);
        const destination = view(source);
        destination.set(samples === count ? inputs : inputs.subarray(first * inputSize, (first + samples) * inputSize));
        // What an earlier batch left behind must not reach the tail: zeros are cheap and never NaN.
        if (samples < batch) destination.fill(0, samples * inputSize);
        forward();
        const made = view(outcome);
        results.set(samples === batch ? made : made.subarray(0, samples * outputSize), first * outputSize);
      }
      return results;
    },
    dispose() {
      views.clear();
      workspace.dispose();
    },
  };
}

function typeOf(who: string, { types }: Structure, name: string): ValueType {
  const type = types.get(name);
  if (!type) throw new RangeError(`${who}: name: expected the name of a value, got ${show(name)}`);
  return type;
}
