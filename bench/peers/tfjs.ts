/**
 * TensorFlow.js, backend as named by the variant ('wasm': XNNPACK; 'cpu': plain JavaScript), one thread. Its best case:
 * what the converter makes of a trained model, and more. Layout NHWC, batch normalization folded into the convolution
 * before it, bias and ReLU fused, dense weights transposed beforehand (its WebAssembly backend multiplies transposed
 * matrices slowly), the input resident in its memory.
 */
import { readArray, readExchange } from '../exchange.ts';
import type { Exchanged } from '../exchange.ts';
import type { KnownNode as Node, NodeOf } from 'espalier/operators';
import { serve } from '../serve.ts';
import { folded } from './fold.ts';

interface TfTensor {
  readonly shape: readonly number[];
  dataSync(): Float32Array;
  dispose(): void;
}
type Activation = 'relu' | 'linear';
interface Convolution {
  readonly x: TfTensor;
  readonly filter: TfTensor;
  readonly bias: TfTensor;
  readonly activation: Activation;
  readonly strides: readonly number[];
  readonly pad: readonly (readonly number[])[];
  readonly dilations: readonly number[];
}
/** What is used of the package; it is not installed where this is type-checked. */
interface Tf {
  setBackend(name: string): Promise<boolean>;
  ready(): Promise<void>;
  tidy<T>(work: () => T): T;
  tensor(values: Float32Array, shape: readonly number[]): TfTensor;
  transpose(x: TfTensor, order: readonly number[]): TfTensor;
  reshape(x: TfTensor, shape: readonly number[]): TfTensor;
  maxPool(
    x: TfTensor,
    size: readonly number[],
    strides: readonly number[],
    pad: readonly (readonly number[])[],
  ): TfTensor;
  mean(x: TfTensor, axes: readonly number[]): TfTensor;
  add(a: TfTensor, b: TfTensor): TfTensor;
  relu(x: TfTensor): TfTensor;
  readonly fused: {
    conv2d(options: Convolution): TfTensor;
    depthwiseConv2d(options: Convolution): TfTensor;
    matMul(options: { a: TfTensor; b: TfTensor; bias: TfTensor; activation: Activation }): TfTensor;
  };
}

/** A step of the network: the value that it yields, from values by name. */
interface Layer {
  readonly yields: string;
  run(values: ReadonlyMap<string, TfTensor>): TfTensor;
}

serve(async (job, variant) => {
  if (job.kind !== 'forward') throw new Error(`tfjs: no ${job.kind}`);
  const [main, wasm] = ['@tensorflow/tfjs', '@tensorflow/tfjs-backend-wasm'];
  const tf = (await import(main)) as Tf;
  if (variant === 'wasm')
    ((await import(wasm)) as { setThreadsCount(count: number): void }).setThreadsCount(job.threads);
  if (!(await tf.setBackend(variant))) throw new Error(`tfjs: no backend ${variant}`);
  await tf.ready();
  const exchanged = readExchange(job.network);
  const {
    inputs: [{ name, shape }],
    outputs: [outputName],
  } = exchanged.graph;
  const layers = compile(tf, exchanged, job.batch);
  const input = tf.tidy(() => tf.transpose(tf.tensor(readArray(job.input), [job.batch, ...shape]), [0, 2, 3, 1]));
  let output: Float32Array = new Float32Array();
  return {
    run() {
      const result = tf.tidy(() => {
        const values = new Map([[name, input]]);
        for (const layer of layers) values.set(layer.yields, layer.run(values));
        return values.get(outputName)!;
      });
      output = Float32Array.from(result.dataSync());
      result.dispose();
    },
    output: () => output,
  };
});

function compile(tf: Tf, { graph, weights }: Exchanged, batch: number): Layer[] {
  // Channels of each value: with them a dense layer knows how the maps before it were flattened.
  const nodes = graph.nodes as readonly Node[];
  const channels = new Map<string, number>(graph.inputs.map(({ name, shape }) => [name, shape[0]]));
  const readers = (value: string): Node[] => nodes.filter(({ inputs }) => inputs.includes(value));
  /** The node behind a value if it is of this kind, takes nothing else, and nothing else takes the value. */
  const only = <K extends Node['kind']>(value: string, kind: K): NodeOf<K> | undefined => {
    const [next, ...others] = readers(value);
    return others.length === 0 && next?.kind === kind && !graph.outputs.includes(value)
      ? (next as NodeOf<K>)
      : undefined;
  };
  const done = new Set<string>();
  const layers: Layer[] = [];
  const pads = ([top, left, bottom, right]: readonly number[]): number[][] => [
    [0, 0],
    [top, bottom],
    [left, right],
    [0, 0],
  ];
  for (const node of nodes) {
    if (done.has(node.name)) continue;
    const [from] = node.inputs;
    const own = node.parameters;
    const taken = (values: ReadonlyMap<string, TfTensor>): TfTensor => values.get(from)!;
    if (node.kind === 'conv') {
      const [filters, perGroup, height, width] = graph.parameters[own.weight!].shape;
      const norm = only(node.name, 'batchNorm');
      const end = norm?.name ?? node.name;
      const activation = only(end, 'relu');
      const { filter, bias } = folded(
        weights(own.weight!),
        own.bias === undefined ? new Float32Array(filters) : weights(own.bias),
        norm,
        weights,
      );
      for (const { name } of [norm, activation].filter((fused) => fused !== undefined)) done.add(name);
      const isDepthwise = node.attributes.groups > 1;
      // [out, in / groups, h, w] becomes [h, w, in, out], depthwise [h, w, in, 1].
      const kernel = tf.tidy(() =>
        tf.transpose(tf.tensor(filter, [filters, perGroup, height, width]), isDepthwise ? [2, 3, 0, 1] : [2, 3, 1, 0]),
      );
      const options = {
        filter: kernel,
        bias: tf.tensor(bias, [filters]),
        strides: node.attributes.stride,
        pad: pads(node.attributes.padding),
        dilations: node.attributes.dilation,
        activation: activation ? 'relu' : 'linear',
      } as const;
      layers.push({
        yields: activation?.name ?? end,
        run: (values) =>
          isDepthwise
            ? tf.fused.depthwiseConv2d({ x: taken(values), ...options })
            : tf.fused.conv2d({ x: taken(values), ...options }),
      });
      channels.set(activation?.name ?? end, filters);
    } else if (node.kind === 'dense') {
      const [units, inputs] = graph.parameters[own.weight!].shape;
      const activation = only(node.name, 'relu');
      if (activation) done.add(activation.name);
      const matrix = denseWeights(tf, weights(own.weight!), units, inputs, channels.get(from)!);
      const bias = tf.tensor(weights(own.bias!), [units]);
      layers.push({
        yields: activation?.name ?? node.name,
        run: (values) =>
          tf.fused.matMul({
            a: tf.reshape(taken(values), [batch, inputs]),
            b: matrix,
            bias,
            activation: activation ? 'relu' : 'linear',
          }),
      });
      channels.set(activation?.name ?? node.name, units);
    } else {
      layers.push({ yields: node.name, run: simple(tf, node, pads) });
      channels.set(node.name, channels.get(from)!);
    }
  }
  return layers;
}

/**
 * The columns of a dense layer behind maps (C, H, W) are put in the order (H, W, C), and the matrix is transposed to
 * [in, out].
 */
function denseWeights(tf: Tf, values: Float32Array, units: number, inputs: number, channels: number): TfTensor {
  const positions = inputs / channels;
  return tf.tidy(() =>
    tf.reshape(tf.transpose(tf.tensor(values, [units, channels, positions]), [2, 1, 0]), [inputs, units]),
  );
}

function simple(tf: Tf, node: Node, pads: (padding: readonly number[]) => number[][]): Layer['run'] {
  const [a, b] = node.inputs;
  switch (node.kind) {
    case 'maxPool':
      return (values) =>
        tf.maxPool(values.get(a)!, node.attributes.size, node.attributes.stride, pads(node.attributes.padding));
    case 'globalAveragePool':
      return (values) => tf.mean(values.get(a)!, [1, 2]);
    case 'add':
      return (values) => tf.add(values.get(a)!, values.get(b)!);
    case 'relu':
      return (values) => tf.relu(values.get(a)!);
    // The dense layer behind it takes the values as they lie.
    case 'flatten':
      return (values) => values.get(a)!;
    default:
      throw new Error(`tfjs: no translation of ${node.kind}`);
  }
}
