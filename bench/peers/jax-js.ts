/**
 * jax-js in WebAssembly: forward and steps of training, in Node, where it runs on one thread (it starts workers only
 * where there is a global `Worker`). Its best case: the whole call traced and compiled once by `jit`, values resident
 * in its memory, batch normalization folded for inference. Convolutions are products of matrices, (filters, C taps) by
 * (C taps, B positions), and maps lie (C, B, height, width), so that nothing is turned over: its own
 * `lax.convGeneralDilated` takes 0.58 s for 64 channels at 48 x 48, padded and compiled, and this 0.036; the gradients
 * 1.8 s each, and 0.06.
 */
import { readArray, readExchange } from '../exchange.ts';
import type { Exchanged } from '../exchange.ts';
import type { KnownNode as Node } from 'espalier/operators';
import { serve } from '../serve.ts';
import type { ForwardJob, Prepared, TrainingJob } from '../serve.ts';
import { folded } from './fold.ts';

/** Operations take their arguments for good: what is read again is handed over as `ref`. */
interface JaxArray {
  readonly ref: JaxArray;
  readonly shape: readonly number[];
  add(other: JaxArray | number): JaxArray;
  sub(other: JaxArray | number): JaxArray;
  mul(other: JaxArray | number): JaxArray;
  reshape(shape: readonly number[]): JaxArray;
  transpose(order?: readonly number[]): JaxArray;
  /** Of each axis all, a number of it, or from and to. */
  slice(...axes: readonly (number | readonly number[])[]): JaxArray;
  data(): Promise<ArrayLike<number>>;
  dispose(): void;
}
type Parameters = Readonly<Record<string, JaxArray>>;
/** What is used of the package; it is not installed where this is type-checked. */
interface Jax {
  init(device: string): Promise<readonly string[]>;
  defaultDevice(device: string): string;
  jit<F extends (...values: never[]) => unknown>(work: F): F;
  valueAndGrad(
    work: (parameters: Parameters, ...others: JaxArray[]) => readonly [JaxArray, JaxArray],
    options: { readonly hasAux: true },
  ): (parameters: Parameters, ...others: JaxArray[]) => readonly [readonly [JaxArray, JaxArray], Parameters];
  blockUntilReady(values: unknown): Promise<unknown>;
  readonly numpy: {
    array(values: Float32Array, options: { readonly shape: readonly number[] }): JaxArray;
    zeros(shape: readonly number[]): JaxArray;
    dot(a: JaxArray, b: JaxArray): JaxArray;
    max(x: JaxArray, axes?: readonly number[]): JaxArray;
    mean(x: JaxArray, axes?: readonly number[]): JaxArray;
    maximum(a: JaxArray, b: JaxArray): JaxArray;
    concatenate(parts: readonly JaxArray[], axis: number): JaxArray;
    pad(x: JaxArray, widths: readonly (readonly number[])[]): JaxArray;
  };
  readonly nn: { relu(x: JaxArray): JaxArray };
}

serve(async (job) => {
  if (job.kind === 'kmeans' || job.kind === 'model') throw new Error(`jax-js: no ${job.kind}`);
  if (job.threads !== 1) throw new Error('jax-js: one thread only');
  const name = '@jax-js/jax';
  const jax = (await import(name)) as Jax;
  if (!(await jax.init('wasm')).includes('wasm')) throw new Error('jax-js: no WebAssembly');
  jax.defaultDevice('wasm');
  return job.kind === 'forward' ? forward(jax, job) : training(jax, job);
});

async function forward(jax: Jax, { network, input, batch }: ForwardJob): Promise<Prepared> {
  const exchanged = foldedNorms(readExchange(network));
  const own = parametersOf(jax, exchanged);
  const [{ shape }] = exchanged.graph.inputs;
  const x = turned(jax, readArray(input), [batch, ...shape]);
  const run = jax.jit((parameters: Parameters, values: JaxArray) => apply(jax, exchanged.graph, parameters, values));
  return outputsOf(() => run(shared(own), x.ref));
}

async function training(jax: Jax, { network, input, target, batch, rate, momentum }: TrainingJob): Promise<Prepared> {
  const exchanged = readExchange(network);
  const [{ shape }] = exchanged.graph.inputs;
  const x = turned(jax, readArray(input), [batch, ...shape]);
  const targets = readArray(target);
  const wanted = turned(jax, targets, [batch, targets.length / batch]);
  const gradients = jax.valueAndGrad(
    (parameters, values, labels) => {
      const predictions = apply(jax, exchanged.graph, parameters, values);
      const error = predictions.ref.sub(labels);
      return [jax.numpy.mean(error.ref.mul(error)), predictions];
    },
    { hasAux: true },
  );
  const step = jax.jit((parameters: Parameters, velocities: Parameters, values: JaxArray, labels: JaxArray) => {
    const [[loss, predictions], gradient] = gradients(parameters, values, labels);
    loss.dispose();
    const moved: Record<string, JaxArray> = {};
    const next: Record<string, JaxArray> = {};
    for (const name of Object.keys(parameters)) {
      moved[name] = velocities[name].mul(momentum).add(gradient[name]);
      next[name] = parameters[name].sub(moved[name].ref.mul(rate));
    }
    return [next, moved, predictions] as const;
  });
  let parameters = parametersOf(jax, exchanged);
  let velocities: Parameters = Object.fromEntries(
    Object.entries(parameters).map(([name, { shape }]) => [name, jax.numpy.zeros(shape)]),
  );
  return outputsOf(async () => {
    let predictions: JaxArray;
    [parameters, velocities, predictions] = step(parameters, velocities, x.ref, wanted.ref);
    await jax.blockUntilReady([parameters, velocities]);
    return predictions;
  });
}

/** A contender whose call ends when its outputs are there. */
function outputsOf(work: () => JaxArray | Promise<JaxArray>): Prepared {
  let output = new Float32Array();
  return {
    async run() {
      output = Float32Array.from(await (await work()).transpose().data());
    },
    output: () => output,
  };
}

/** With the samples in the second place. */
function turned(jax: Jax, values: Float32Array, shape: readonly number[]): JaxArray {
  return jax.numpy.array(values, { shape }).transpose([1, 0, ...shape.map((_, i) => i).slice(2)]);
}

const shared = (parameters: Parameters): Parameters =>
  Object.fromEntries(Object.entries(parameters).map(([name, value]) => [name, value.ref]));

function parametersOf(jax: Jax, { graph, weights }: Exchanged): Parameters {
  return Object.fromEntries(
    Object.entries(graph.parameters).map(([name, { shape }]) => [
      name,
      jax.numpy.array(weights(name).slice(), { shape }),
    ]),
  );
}

/** The network with its batch normalizations in the convolutions before them. */
function foldedNorms({ graph, weights }: Exchanged): Exchanged {
  const nodes: Node[] = [];
  const values = new Map<string, Float32Array>();
  const renamed = new Map<string, string>();
  for (const node of graph.nodes as readonly Node[]) {
    const inputs = node.inputs.map((name) => renamed.get(name) ?? name);
    const before = nodes.at(-1);
    if (node.kind === 'batchNorm' && before?.kind === 'conv' && before.name === inputs[0]) {
      const { weight, bias } = before.parameters;
      const filters = graph.parameters[weight!].shape[0];
      const merged = folded(
        weights(weight!),
        bias === undefined ? new Float32Array(filters) : weights(bias),
        node,
        weights,
      );
      values.set(weight!, merged.filter).set(node.parameters.shift!, merged.bias);
      nodes[nodes.length - 1] = { ...before, parameters: { weight: weight!, bias: node.parameters.shift! } };
      renamed.set(node.name, before.name);
    } else nodes.push({ ...node, inputs });
  }
  const used = new Set(nodes.flatMap(({ parameters }) => Object.values(parameters)));
  const kept = Object.entries(graph.parameters).filter(([name]) => used.has(name));
  return {
    graph: { ...graph, nodes, parameters: Object.fromEntries(kept) },
    weights: (name) => values.get(name) ?? weights(name),
  };
}

function apply(
  jax: Jax,
  { inputs, nodes, outputs }: Exchanged['graph'],
  parameters: Parameters,
  x: JaxArray,
): JaxArray {
  const values = new Map([[inputs[0].name, x]]);
  const reads = new Map<string, number>();
  for (const name of [...nodes.flatMap((node) => node.inputs), outputs[0]]) reads.set(name, (reads.get(name) ?? 0) + 1);
  /** The value: for good to its last reader, else another reference. */
  const read = (name: string): JaxArray => {
    const left = reads.get(name)! - 1;
    reads.set(name, left);
    return left > 0 ? values.get(name)!.ref : values.get(name)!;
  };
  for (const node of nodes as readonly Node[])
    values.set(node.name, applyNode(jax, node, parameters, node.inputs.map(read)));
  return read(outputs[0]);
}

function applyNode(jax: Jax, node: Node, parameters: Parameters, [x, other]: readonly JaxArray[]): JaxArray {
  const { numpy, nn } = jax;
  const [channels, batch] = x.shape;
  const own = (role: 'weight' | 'bias'): JaxArray =>
    parameters[(node.parameters as { weight: string; bias: string })[role]].ref;
  switch (node.kind) {
    case 'conv': {
      const { stride, padding, dilation, groups } = node.attributes;
      if (dilation.some((step) => step !== 1)) throw new Error('jax-js: no dilation');
      const weight = own('weight');
      const [filters, perGroup, ...size] = weight.shape;
      const parts = taps(jax, x, size, stride, padding);
      const [height, width] = parts[0].shape.slice(2);
      const area = batch * height * width;
      const sum =
        groups === 1
          ? numpy
              .dot(
                weight.reshape([filters, -1]),
                numpy
                  .concatenate(
                    parts.map((part) => part.reshape([channels, 1, area])),
                    1,
                  )
                  .reshape([-1, area]),
              )
              .reshape([filters, batch, height, width])
          : depthwise(weight, parts, perGroup);
      return node.parameters.bias === undefined ? sum : sum.add(own('bias').reshape([filters, 1, 1, 1]));
    }
    case 'dense':
      return numpy.dot(own('weight'), x).add(own('bias').reshape([-1, 1]));
    case 'maxPool': {
      const { size, stride, padding } = node.attributes;
      const sides = x.shape.slice(2);
      // Windows side by side are a view.
      if (padding.every((width) => width === 0) && size.every((n, i) => n === stride[i] && sides[i] % n === 0))
        return numpy.max(
          x.reshape([channels, batch, sides[0] / size[0], size[0], sides[1] / size[1], size[1]]),
          [3, 5],
        );
      // Padding with zeros does no harm behind a ReLU, where the networks of the comparison have it.
      return taps(jax, x, size, stride, padding).reduce((a, b) => numpy.maximum(a, b));
    }
    case 'globalAveragePool':
      return numpy.mean(x, [2, 3]);
    case 'add':
      return x.add(other);
    case 'relu':
      return nn.relu(x);
    case 'flatten':
      return x.shape.length === 2 ? x : x.transpose([0, 2, 3, 1]).reshape([-1, batch]);
    default:
      throw new Error(`jax-js: no translation of ${node.kind}`);
  }
}

/** One filter a channel: tap by tap, which `jit` makes one loop of. */
function depthwise(weight: JaxArray, parts: readonly JaxArray[], perGroup: number): JaxArray {
  if (perGroup !== 1 || weight.shape[0] !== parts[0].shape[0]) throw new Error('jax-js: groups of one channel only');
  const [, , , columns] = weight.shape;
  const terms = parts.map((part, i) =>
    part.mul(weight.ref.slice([], 0, Math.floor(i / columns), i % columns).reshape([-1, 1, 1, 1])),
  );
  weight.dispose();
  return terms.reduce((a, b) => a.add(b));
}

/**
 * What lies under each tap of a window, (C, B, height, width), row by row. Behind a stride rows and columns are sorted
 * by their phase, as views have no step.
 */
function taps(
  { numpy }: Jax,
  x: JaxArray,
  size: readonly number[],
  [down, across]: readonly number[],
  [top, left, bottom, right]: readonly number[],
): JaxArray[] {
  const [channels, batch, rows, columns] = x.shape;
  const [padded, wide] = [rows + top + bottom, columns + left + right];
  const height = Math.floor((padded - size[0]) / down) + 1;
  const width = Math.floor((wide - size[1]) / across) + 1;
  const [high, broad] = [Math.ceil(padded / down), Math.ceil(wide / across)];
  const phases = numpy
    .pad(x, [
      [0, 0],
      [0, 0],
      [top, bottom + high * down - padded],
      [left, right + broad * across - wide],
    ])
    .reshape([channels, batch, high, down, broad, across]);
  const parts: JaxArray[] = [];
  for (let i = 0; i < size[0]; i++) {
    for (let j = 0; j < size[1]; j++) {
      const [row, column] = [Math.floor(i / down), Math.floor(j / across)];
      parts.push(phases.ref.slice([], [], [row, row + height], i % down, [column, column + width], j % across));
    }
  }
  phases.dispose();
  return parts;
}
