/** The inference half: a network bound to a batch size, a heap and threads. */
import { checkInteger, EspalierError, show } from '../base/errors.ts';
import type { Workspace } from '../kernels/types.ts';
import type { Network } from '../graph/network.ts';
import type { FloatArray, Shape } from '../base/tensor.ts';
import { sizeOf } from '../base/tensor.ts';
import { checkExecutorOptions, checkWords, createLayout, fillParameter, forwardSteps } from './layout.ts';
import type { Layout } from './layout.ts';
import { analyse } from './lifetimes.ts';
import type { Structure } from './lifetimes.ts';
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
export async function createExecutor(network: Network, options: ExecutorOptions): Promise<Executor> {
  const { kernels, threads, precision, watch, batch } = checkExecutorOptions('createExecutor', network, options);
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
  // What preparation left where values will be: codes, read as floats, would be slow.
  workspace.heap.float.fill(0, 0, valueWords);
  return { network, ...passes(layout, workspace, () => workspace.run(FORWARD)) };
}

/**
 * What inference and training executors have in common: reading and writing values, and prediction in batches; see
 * {@link Executor} for what each throws.
 */
export function passes(
  layout: Layout,
  workspace: Workspace,
  forward: () => void,
): Pick<Executor, 'batch' | 'workspace' | 'input' | 'output' | 'shapeOf' | 'forward' | 'predict' | 'dispose'> {
  const { structure } = layout;
  const { network, batch } = structure;
  // One view of each value, so that a call makes none.
  const views = new Map<string, FloatArray>();
  const view = (name: string): FloatArray => {
    const { float } = workspace.heap;
    const known = views.get(name);
    if (known) return known;
    const { offset, words } = layout.value(name);
    const made = float.subarray(offset, offset + words);
    views.set(name, made);
    return made;
  };
  const input = (name = network.inputs[0].name): FloatArray => {
    if (structure.producer.get(name) !== -1)
      throw new RangeError(
        `input: name: expected one of ${network.inputs.map((one) => show(one.name)).join(', ')}, got ${show(name)}`,
      );
    return view(name);
  };
  const output = (name = network.outputs[0]): FloatArray => {
    if (!structure.observed.has(name))
      throw new RangeError(
        `output: name: expected one of ${[...structure.observed].map(show).join(', ')}, got ${show(name)}; name it in watch to keep it`,
      );
    return view(name);
  };
  return {
    batch,
    workspace,
    input,
    output,
    forward,
    shapeOf: (name) => shapeOf(structure, name),
    predict(inputs, count) {
      if (network.inputs.length !== 1 || network.outputs.length !== 1)
        throw new EspalierError(
          'GRAPH',
          'predict: the network has several inputs or outputs; use input, forward and output',
        );
      const inputSize = sizeOf(shapeOf(structure, network.inputs[0].name));
      const outputSize = sizeOf(shapeOf(structure, network.outputs[0]));
      checkInteger('predict', 'count', count, 0);
      if (!(inputs instanceof Float32Array))
        throw new TypeError(`predict: inputs: expected a Float32Array, got ${show(inputs)}`);
      if (inputs.length !== count * inputSize)
        throw new RangeError(
          `predict: inputs: expected ${count} samples of ${inputSize} values, got ${inputs.length} values`,
        );
      const results = new Float32Array(count * outputSize);
      for (let first = 0; first < count; first += batch) {
        const samples = Math.min(batch, count - first);
        const destination = input();
        destination.set(samples === count ? inputs : inputs.subarray(first * inputSize, (first + samples) * inputSize));
        // What an earlier batch left behind must not reach the tail: zeros are cheap and never NaN.
        if (samples < batch) destination.fill(0, samples * inputSize);
        forward();
        results.set(samples === batch ? output() : output().subarray(0, samples * outputSize), first * outputSize);
      }
      return results;
    },
    dispose() {
      views.clear();
      workspace.dispose();
    },
  };
}

function shapeOf(structure: Structure, name: string): Shape {
  const shape = structure.types.get(name)?.shape;
  if (!shape) throw new RangeError(`shapeOf: name: expected the name of a value, got ${show(name)}`);
  return shape;
}
