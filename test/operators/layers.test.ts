/** Normalization by a sample's own statistics, products, transposed and three-dimensional convolutions against PyTorch (test/vectors/layers.py). */
import { describe, expect, it } from 'vitest';
import type { Tensor } from '../../src/base/tensor.ts';
import { NO_UPDATE } from '../../src/execution/no-update.ts';
import { createTrainingExecutor } from '../../src/execution/training-executor.ts';
import type { Attributes, Network } from '../../src/graph/network.ts';
import { loadKernels, portableKernels } from '../../src/kernels/index.ts';
import { graph, plain } from '../../src/network/index.ts';
import { inferShapes } from '../../src/network/shapes.ts';
import vectors from '../vectors/layers.json' with { type: 'json' };
import { relativeDifference } from './running.ts';

interface Stored {
  readonly shape: readonly number[];
  readonly data: readonly number[];
  readonly gradient?: readonly number[];
}
interface Case {
  readonly kind: string;
  readonly attributes: Attributes;
  readonly inputs: readonly (Stored & { readonly isConstant: boolean })[];
  readonly parameters: Readonly<Record<string, Stored>>;
  readonly shape: readonly number[];
  readonly output: readonly number[];
  readonly outputGradient: readonly number[];
}
const cases = vectors as unknown as readonly Case[];
const tensorOf = ({ shape, data }: Stored): Tensor => ({ shape, data: Float32Array.from(data) });

const networkOf = ({ kind, attributes, inputs, parameters }: Case): Network =>
  graph({}, (g) => {
    const values = inputs.map((one, i) =>
      one.isConstant ? g.constant(tensorOf(one), `input ${i}`) : g.input(one.shape, `input ${i}`),
    );
    const trained = Object.entries(parameters).map(([role, stored]) => {
      const { shape, data } = tensorOf(stored);
      return [role, { shape, initialize: () => data as Float32Array<ArrayBuffer> }] as const;
    });
    return [
      g.node({ ...plain(kind, attributes), name: 'y', parameters: () => Object.fromEntries(trained) }, ...values),
    ];
  });

describe.each([portableKernels(), await loadKernels()])('on $name kernels', (kernels) => {
  it.each(cases.map((one, i) => [`${one.kind} ${JSON.stringify(one.attributes)}, case ${i}`, one] as const))(
    '%s: the shape, outputs and gradients of PyTorch, error < 1e-5 of the largest',
    async (_title, one) => {
      const network = networkOf(one);
      expect(inferShapes(network).get('y')).toEqual(one.shape);
      const executor = await createTrainingExecutor(network, {
        ...{ kernels, optimizer: NO_UPDATE, inputGradients: true, batch: 2 },
      });
      one.inputs.forEach(({ isConstant, data }, i) => isConstant || executor.input(`input ${i}`).set(data));
      const expectClose = (found: ArrayLike<number>, expected: readonly number[]): void =>
        expect(relativeDifference(found, expected)).toBeLessThan(1e-5);
      executor.forward();
      expectClose(executor.output(), one.output);
      executor.forwardTraining(0);
      expectClose(executor.output(), one.output);
      executor.outputGradient().set(one.outputGradient);
      executor.backward();
      one.inputs.forEach(({ gradient }, i) => gradient && expectClose(executor.gradient(`input ${i}`), gradient));
      for (const [role, { gradient = [] }] of Object.entries(one.parameters))
        expectClose(executor.gradient(`y.${role}`), gradient);
      executor.dispose();
    },
  );
});
