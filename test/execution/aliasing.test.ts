/**
 * Where values share memory. Watching every value forbids all sharing and all fusion, so a network must give the same
 * numbers with and without; in double precision, where fusing an activation rounds nothing differently.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createExecutor } from '../../src/execution/executor.ts';
import { createTrainingExecutor } from '../../src/execution/training-executor.ts';
import type { OptimizerOptions, TrainingExecutor } from '../../src/execution/types.ts';
import { portableKernels } from '../../src/kernels/index.ts';
import {
  add,
  affine,
  averagePool,
  batchNorm,
  concat,
  conv,
  dense,
  dropout,
  flatten,
  graph,
  leakyRelu,
  maxPool,
  relu,
  sigmoid,
  softmax,
  tanh,
} from '../../src/network/index.ts';
import type { Layer, Network, Node } from '../../src/network/index.ts';
import { normal, stream } from '../../src/base/random.ts';

const portable = portableKernels();
const optimizer: OptimizerOptions = {
  kind: 'sgd',
  momentum: 0.9,
  nesterov: false,
  beta1: 0.9,
  beta2: 0.999,
  epsilon: 1e-8,
  decoupled: false,
  weightDecay: 0,
  codewordGradient: 'mean',
};

const UNARY: readonly (() => Layer)[] = [
  () => conv(2, 3),
  () => conv(2, 1, { bias: false }),
  () => relu(),
  () => relu(),
  () => leakyRelu(0.3),
  () => sigmoid(),
  () => tanh(),
  () => batchNorm(),
  () => affine(1.5, -0.25),
  () => dropout(0.3),
  () => softmax(),
  () => maxPool(3, { stride: 1, padding: 1 }),
  () => averagePool(3, { stride: 1, padding: 1 }),
];

/**
 * Any graph of values [2, 3, 3]: each step reads earlier values, the same one twice among them; some values are
 * outputs, some weights are shared.
 */
const anyGraph: fc.Arbitrary<Network> = fc
  .record({
    steps: fc.array(
      fc.record({
        kind: fc.nat(UNARY.length + 3),
        from: fc.tuple(fc.nat(99), fc.nat(99), fc.nat(99)),
        recent: fc.boolean(),
        share: fc.boolean(),
      }),
      { minLength: 1, maxLength: 9 },
    ),
    outputs: fc.array(fc.nat(99), { maxLength: 2 }),
    head: fc.boolean(),
    seed: fc.nat(1000),
  })
  .map(({ steps, outputs, head, seed }) => {
    const network = graph({ seed }, (g) => {
      const values = [g.input([2, 3, 3])];
      for (const { kind, from, recent } of steps) {
        // Chains are where memory is shared, so half the steps go on from the last value.
        const [a, b, c] = from.map((place, i) => (recent && i === 0 ? values.at(-1)! : values[place % values.length]));
        if (kind < UNARY.length) values.push(g.node(UNARY[kind](), a));
        else if (kind < UNARY.length + 2) values.push(g.node(add(), a, b));
        else values.push(g.node(conv(2, 1), g.node(concat(), a, b, c)));
      }
      const chosen = new Set(outputs.map((place) => values[place % values.length]));
      return [...chosen.add(head ? g.node(dense(3), g.node(flatten(), values.at(-1)!)) : values.at(-1)!)];
    });
    return steps.some(({ share }) => share) ? shareWeights(network) : network;
  });

/** Convolutions of one shape all take the weights of the first. */
function shareWeights(network: Network): Network {
  const first = new Map<string, string>();
  const nodes = network.nodes.map((node): Node => {
    const { weight } = node.parameters;
    if (weight === undefined) return node;
    const shape = network.parameters.get(weight)!.shape.join();
    if (!first.has(shape)) first.set(shape, weight);
    return { ...node, parameters: { ...node.parameters, weight: first.get(shape)! } } as Node;
  });
  const used = new Set(nodes.flatMap((node) => Object.values(node.parameters)));
  return { ...network, nodes, parameters: new Map([...network.parameters].filter(([name]) => used.has(name))) };
}

const everything = ({ inputs, nodes }: Network): string[] => [...inputs, ...nodes].map(({ name }) => name);
const trainedNames = ({ nodes }: Network): string[] => [
  ...new Set(
    nodes.flatMap(({ kind, parameters }) =>
      kind === 'affine'
        ? []
        : (['weight', 'bias', 'scale', 'shift'] as const).flatMap((role) => parameters[role] ?? []),
    ),
  ),
];
const numbers = (count: number, seed: number): Float64Array =>
  Float64Array.from(
    { length: count },
    (
      (random) => () =>
        normal(random)
    )(stream(seed, 'numbers')),
  );

async function withTrainer<T>(
  network: Network,
  watch: readonly string[],
  body: (one: TrainingExecutor) => T,
): Promise<T> {
  const one = await createTrainingExecutor(network, {
    kernels: portable,
    optimizer,
    batch: 2,
    precision: 'float64',
    inputGradients: true,
    watch,
  });
  try {
    return body(one);
  } finally {
    one.dispose();
  }
}

/** Loss: sum over all outputs of c y. */
function lossOf(one: TrainingExecutor): number {
  one.forwardTraining(1);
  return one.network.outputs.reduce((sum, name, i) => {
    const y = one.output(name);
    return sum + numbers(y.length, i).reduce((s, c, j) => s + c * y[j], 0);
  }, 0);
}

function gradientsOf(one: TrainingExecutor): Map<string, Float64Array> {
  one.network.outputs.forEach((name, i) => one.outputGradient(name).set(numbers(one.output(name).length, i)));
  one.backward();
  const names = [
    ...one.network.inputs
      .map(({ name }) => name)
      .filter((name) => one.network.nodes.some((node) => node.inputs.includes(name))),
    ...trainedNames(one.network),
  ];
  return new Map(names.map((name) => [name, Float64Array.from(one.gradient(name))]));
}

describe('any graph, with values that share memory and without', () => {
  it('gives the same outputs within 1e-12 (what is folded into weights rounds otherwise)', () =>
    fc.assert(
      fc.asyncProperty(anyGraph, async (network) => {
        const [shared, apart] = await Promise.all(
          [[], everything(network)].map(async (watch) => {
            const one = await createExecutor(network, { kernels: portable, batch: 2, precision: 'float64', watch });
            one.input().set(numbers(one.input().length, 7));
            one.forward();
            // Twice: the second pass must not see what the first left.
            one.forward();
            const outputs = network.outputs.flatMap((name) => Array.from(one.output(name)));
            one.dispose();
            return outputs;
          }),
        );
        expect(shared.length).toBe(apart.length);
        apart.forEach((value, i) =>
          expect(Math.abs(shared[i] - value), `element ${i}`).toBeLessThanOrEqual(1e-12 * (1 + Math.abs(value))),
        );
      }),
      { numRuns: 150 },
    ));

  it('gives the same outputs and gradients in training, and inference between steps disturbs neither', () =>
    fc.assert(
      fc.asyncProperty(anyGraph, async (network) => {
        const [shared, apart] = await Promise.all(
          [[], everything(network)].map((watch) =>
            withTrainer(network, watch, (one) => {
              one.input().set(numbers(one.input().length, 7));
              one.forward();
              lossOf(one);
              const outputs = network.outputs.map((name) => Array.from(one.output(name)));
              return { outputs, gradients: gradientsOf(one) };
            }),
          ),
        );
        expect(shared.outputs).toEqual(apart.outputs);
        for (const [name, gradient] of apart.gradients)
          gradient.forEach((value, i) =>
            expect(Math.abs(shared.gradients.get(name)![i] - value), `${name}[${i}]`).toBeLessThanOrEqual(
              1e-12 * (1 + Math.abs(value)),
            ),
          );
      }),
      { numRuns: 100 },
    ));

  it('its gradients are the central differences of the sum over all outputs (rtol 1e-4)', () =>
    fc.assert(
      fc.asyncProperty(anyGraph, fc.nat(1000), async (network, seed) => {
        await withTrainer(network, [], (one) => {
          one.input().set(numbers(one.input().length, 7));
          lossOf(one);
          const gradients = gradientsOf(one);
          for (const [name, gradient] of gradients) {
            const values = name === network.inputs[0].name ? one.input() : one.values(name);
            const kept = values.slice();
            const direction = numbers(values.length, seed);
            const at = (step: number): number => {
              values.set(kept.map((value, i) => value + step * direction[i]));
              one.changed();
              return lossOf(one);
            };
            const slope = (step: number): number => (at(step) - at(-step)) / (2 * step);
            const [fine, coarse] = [slope(1e-6), slope(2e-6)];
            at(0);
            // Two steps that disagree straddle a kink, where there is no derivative.
            if (Math.abs(fine - coarse) > 1e-5 * (1 + Math.abs(fine))) continue;
            const found = gradient.reduce((sum, value, i) => sum + value * direction[i], 0);
            expect(Math.abs(found - fine), `${name}: ${found} against ${fine}`).toBeLessThan(
              1e-4 * (1 + Math.abs(fine)),
            );
          }
        });
      }),
      { numRuns: 60 },
    ));
});
