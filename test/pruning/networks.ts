/** Small networks and what the tests of importance and pruning do with them. */
import type { DenseEncoding } from '../../src/encodings/types.ts';
import { createExecutor } from '../../src/execution/executor.ts';
import { portableKernels } from '../../src/kernels/index.ts';
import { add, leakyRelu, relu, sigmoid, tanh } from '../../src/network/functions.ts';
import {
  affine,
  averagePool,
  batchNorm,
  concat,
  conv,
  dense,
  dropout,
  flatten,
  globalAveragePool,
  maxPool,
} from '../../src/network/layers.ts';
import { graph, sequential } from '../../src/network/build.ts';
import type { Examples } from '../../src/graph/examples.ts';
import type { Network } from '../../src/graph/network.ts';
import { normal, stream } from '../../src/base/random.ts';
import { sizeOf } from '../../src/base/tensor.ts';
import { inferShapes } from '../../src/network/shapes.ts';
import { findGroups } from '../../src/pruning/index.ts';
import type { Context } from '../../src/graph/transform.ts';

export const data = (network: Network, parameter: string): Float32Array =>
  (network.parameters.get(parameter) as DenseEncoding).data;
export const shape = (network: Network, parameter: string): readonly number[] =>
  network.parameters.get(parameter)?.shape ?? [];

/** The same network with one parameter changed in place of a copy. */
export function change(network: Network, parameter: string, edit: (values: Float32Array) => void): Network {
  const encoding = network.parameters.get(parameter) as DenseEncoding;
  const values = encoding.data.slice();
  edit(values);
  return { ...network, parameters: new Map(network.parameters).set(parameter, { ...encoding, data: values }) };
}

/** Every parameter random (variances and scales positive), so that nothing is zero by construction. */
export function randomize(network: Network, seed: number): Network {
  const parameters = new Map(
    [...network.parameters].map(([name, encoding]) => {
      const draw = stream(seed, 'test parameters', name);
      const positive = name.endsWith('.variance') || name.endsWith('.scale');
      const values = Float32Array.from({ length: sizeOf(encoding.shape) }, () =>
        positive ? 0.5 + draw() : normal(draw) * 0.4,
      );
      return [name, { kind: 'dense', shape: encoding.shape, data: values } as DenseEncoding];
    }),
  );
  return { ...network, parameters };
}

/**
 * The same function in other units: each prunable group's rows times factors of their own, its columns divided by them.
 * For networks whose nonlinearities are positively homogeneous, without norms, without a flatten before a join.
 */
export function rescale(network: Network, factorOf: (group: string, channel: number) => number): Network {
  const scaled = new Map([...network.parameters].map(([name, encoding]) => [name, structuredClone(encoding)]));
  for (const { name, prunable, channels, rows, consumers } of findGroups(network)) {
    if (!prunable) continue;
    const factors = Float64Array.from({ length: channels }, (_, c) => factorOf(name, c));
    for (const { parameter, axis, first, width } of [...rows, ...consumers]) {
      const { shape: sides, data: values } = scaled.get(parameter) as DenseEncoding;
      const inner = sizeOf(sides.slice(axis + 1));
      for (let i = 0; i < values.length; i++) {
        const c = Math.floor(((Math.floor(i / inner) % sides[axis]) - first) / width);
        if (c >= 0 && c < channels) values[i] *= axis === 0 ? factors[c] : 1 / factors[c];
      }
    }
  }
  return { ...network, parameters: scaled };
}

export function randomInputs(network: Network, count: number, seed: number): Float32Array {
  const draw = stream(seed, 'test inputs');
  return Float32Array.from({ length: count * sizeOf(network.inputs[0].shape) }, () => normal(draw));
}

/** Outputs in double precision. */
export async function run(network: Network, inputs: Float32Array, value = network.outputs[0]): Promise<Float64Array> {
  const count = inputs.length / sizeOf(network.inputs[0].shape);
  const executor = await createExecutor(network, {
    kernels: portableKernels(),
    batch: count,
    precision: 'float64',
    watch: [value],
  });
  executor.input().set(inputs);
  executor.forward();
  const outputs = Float64Array.from(executor.output(value));
  executor.dispose();
  return outputs;
}

export function largestDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length !== b.length) return Infinity;
  let largest = 0;
  for (let i = 0; i < a.length; i++) largest = Math.max(largest, Math.abs(a[i] - b[i]));
  return largest;
}

export function examplesOf(network: Network, inputs: Float32Array): Examples {
  const { shape: inputShape } = network.inputs[0];
  const size = sizeOf(inputShape);
  return {
    count: inputs.length / size,
    inputShape,
    read(indices, into) {
      for (let i = 0; i < indices.length; i++)
        into.set(inputs.subarray(indices[i] * size, (indices[i] + 1) * size), i * size);
    },
  };
}

export function contextOf(network: Network, inputs: Float32Array, more: Partial<Context> = {}): Context {
  return { kernels: portableKernels(), threads: 1, seed: 1, training: examplesOf(network, inputs), ...more };
}

/** A context whose training set has random targets for the network's output. */
export function labelled(network: Network, context: Context): Context {
  const training = context.training!;
  const targetShape = inferShapes(network).get(network.outputs[0])!;
  const size = sizeOf(targetShape);
  return {
    ...context,
    training: {
      ...training,
      targetShape,
      async read(indices, inputs, targets) {
        await training.read(indices, inputs, undefined);
        for (let i = 0; targets && i < indices.length; i++) {
          const draw = stream(1, 'test targets', indices[i]);
          for (let j = 0; j < size; j++) targets[i * size + j] = normal(draw);
        }
      },
    },
  };
}

/** conv - norm - pool - conv - flatten - dense - dense: every operator that passes channels on in a chain. */
export const chain = (seed = 1): Network =>
  randomize(
    sequential({ input: [2, 8, 8] }, [
      conv(6, 3),
      batchNorm(),
      relu(),
      maxPool(2),
      conv(5, 3, { bias: false }),
      leakyRelu(0.1),
      averagePool(2),
      dropout(0.3),
      flatten(),
      dense(7),
      tanh(),
      dense(4),
      affine(2, 1),
    ]),
    seed,
  );

/** conv0 and conv2 meet in an add; conv1 is inside the branch. */
export const residual = (seed = 1): Network =>
  randomize(
    graph({}, (g) => {
      const x = g.node(relu({ name: 'r0' }), g.node(conv(6, 3, { name: 'conv0' }), g.input([2, 6, 6])));
      const branch = g.node(
        batchNorm({ name: 'norm2' }),
        g.node(conv(6, 3, { name: 'conv2' }), g.node(relu({ name: 'r1' }), g.node(conv(4, 3, { name: 'conv1' }), x))),
      );
      const sum = g.node(relu({ name: 'r2' }), g.node(add({ name: 'sum' }), x, branch));
      return g.node(dense(3, { name: 'head' }), g.node(globalAveragePool(), sum));
    }),
    seed,
  );

/** Two branches side by side, normed together, then flattened: offsets in vectors, filters and columns. */
export const parallel = (seed = 1): Network =>
  randomize(
    graph({}, (g) => {
      const x = g.input([2, 6, 6]);
      const a = g.node(relu(), g.node(conv(3, 3, { name: 'a' }), x));
      const b = g.node(sigmoid(), g.node(conv(5, 1, { name: 'b' }), x));
      const both = g.node(batchNorm({ name: 'norm' }), g.node(concat(), a, b));
      const c = g.node(relu(), g.node(conv(4, 3, { name: 'c', stride: 2 }), both));
      return g.node(
        dense(2, { name: 'head' }),
        g.node(
          concat({ name: 'flat' }),
          g.node(flatten({ name: 'f1' }), c),
          g.node(flatten({ name: 'f2' }), g.node(maxPool(2), both)),
        ),
      );
    }),
    seed,
  );

/** conv - depthwise conv - norm - conv - global pooling - dense. */
export const separable = (seed = 1): Network =>
  randomize(
    sequential({ input: [2, 6, 6] }, [
      conv(6, 1, { name: 'expand' }),
      relu(),
      conv(6, 3, { name: 'depthwise', groups: 6 }),
      batchNorm({ name: 'norm' }),
      relu(),
      conv(4, 1, { name: 'project' }),
      relu(),
      globalAveragePool(),
      dense(3, { name: 'head' }),
    ]),
    seed,
  );
