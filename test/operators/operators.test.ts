/**
 * Whole operators, attributes and layout included, against PyTorch (test/vectors/operators.py); their shape rules and
 * costs.
 */
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createExecutor } from '../../src/execution/executor.ts';
import { loadKernels, portableKernels } from '../../src/kernels/index.ts';
import {
  add,
  averagePool,
  batchNorm,
  concat,
  conv,
  dense,
  dropout,
  flatten,
  globalAveragePool,
  graph,
  leakyRelu,
  maxPool,
  relu,
  sequential,
  sigmoid,
  softmax,
  tanh,
} from '../../src/network/index.ts';
import type { Layer, Network } from '../../src/network/index.ts';
import { inferShapes, multiplyAdds, nodeCosts } from '../../src/network/shapes.ts';
import { COUPLINGS, OPERATORS, TRAINING_OPERATORS } from '../../src/operators/index.ts';

interface Case {
  readonly name: string;
  readonly shape: number[];
  readonly output: number[];
  readonly parameters: Record<string, number[]>;
}
const { input, cases } = JSON.parse(readFileSync(new URL('../vectors/operators.json', import.meta.url), 'utf8')) as {
  input: number[];
  cases: Case[];
};
const kernelSets = [portableKernels(), await loadKernels({ prefer: 'simd' })];

const INPUT = [4, 5, 6];
const chain = (...layers: Layer[]): Network => sequential({ input: INPUT }, layers);
const NETWORKS: Readonly<Record<string, () => Network>> = {
  conv: () => chain(conv(6, [3, 2], { stride: [2, 1], padding: [1, 2, 1, 2], dilation: [1, 2], groups: 2 })),
  depthwise: () => chain(conv(4, 3, { groups: 4 })),
  dense: () => chain(flatten(), dense(3)),
  maxPool: () => chain(maxPool([2, 3], { stride: [2, 1], padding: 1 })),
  averagePool: () => chain(averagePool([2, 3], { stride: [2, 1], padding: 1 })),
  'averagePool counting padding': () => chain(averagePool([2, 3], { stride: [2, 1], padding: 1, countPadding: true })),
  globalAveragePool: () => chain(globalAveragePool()),
  leakyRelu: () => chain(leakyRelu(0.2)),
  sigmoid: () => chain(sigmoid()),
  tanh: () => chain(tanh()),
  softmax: () => chain(softmax()),
  batchNorm: () => chain(batchNorm({ epsilon: 1e-3 })),
  concat: () =>
    graph({}, (g) => {
      const x = g.input(INPUT);
      return g.node(concat(), x, g.node(relu(), x), x);
    }),
  add: () =>
    graph({}, (g) => {
      const x = g.input(INPUT);
      return g.node(add(), x, x);
    }),
};

describe.each(kernelSets.map((kernels) => [kernels.name, kernels] as const))(
  'operators on %s kernels',
  (_name, kernels) => {
    it.each(cases.map((one) => [one.name, one] as const))(
      '%s: the shape and the outputs of PyTorch, error < 1e-5 of the largest',
      async (name, { shape, output, parameters }) => {
        const made = NETWORKS[name]();
        const network: Network = {
          ...made,
          parameters: new Map(
            [...made.parameters].map(([key, encoding]) => [
              key,
              {
                kind: 'dense',
                shape: encoding.shape,
                data: Float32Array.from(parameters[key.slice(key.lastIndexOf('.') + 1)]),
              },
            ]),
          ),
        };
        expect(inferShapes(network).get(network.outputs[0])).toEqual(shape);
        const executor = await createExecutor(network, { kernels, batch: 2 });
        const found = executor.predict(Float32Array.from(input), 2);
        executor.dispose();
        const bound = 1e-5 * Math.max(...output.map(Math.abs));
        expect(found.length).toBe(output.length);
        found.forEach((value, i) => expect(Math.abs(value - output[i])).toBeLessThan(bound));
      },
    );

    it('a network without nodes, or of views of its input, gives the input back; several outputs may be views of it', async () => {
      const network = graph({}, (g) => {
        const x = g.input([2, 3]);
        return [x, g.node(flatten(), x), g.node(dropout(0.5), x)];
      });
      const executor = await createExecutor(network, { kernels, batch: 2 });
      const values = Float32Array.from({ length: 12 }, (_, i) => i - 4);
      executor.input().set(values);
      for (const _pass of [1, 2]) {
        executor.forward();
        for (const name of network.outputs) expect(executor.output(name)).toEqual(values);
      }
      executor.dispose();
      const empty = await createExecutor(sequential({ input: [3] }, []), { kernels });
      expect(empty.predict(Float32Array.of(1, 2, 3), 1)).toEqual(Float32Array.of(1, 2, 3));
      empty.dispose();
    });

    it('values without elements: no inputs to a dense layer leave its bias, no samples of a value leave nothing', async () => {
      const network = sequential({ input: [0] }, [dense(3)]);
      const bias = { kind: 'dense', shape: [3], data: Float32Array.of(1, -2, 3) } as const;
      const executor = await createExecutor(
        { ...network, parameters: new Map(network.parameters).set('dense1.bias', bias) },
        { kernels, batch: 2 },
      );
      expect(executor.predict(new Float32Array(0), 2)).toEqual(Float32Array.of(1, -2, 3, 1, -2, 3));
      executor.dispose();
      for (const layer of [relu(), softmax(), batchNorm(), flatten()]) {
        const none = await createExecutor(sequential({ input: [2, 0, 3] }, [layer]), { kernels });
        expect(none.predict(new Float32Array(0), 1)).toEqual(new Float32Array(0));
        none.dispose();
      }
    });
  },
);

describe('tables and rules', () => {
  it('every operator stands under its kind, and in all three tables', () => {
    for (const [kind, operator] of Object.entries(OPERATORS)) expect(operator.kind).toBe(kind);
    for (const table of [TRAINING_OPERATORS, COUPLINGS]) {
      expect(Object.keys(table).sort()).toEqual(Object.keys(OPERATORS).sort());
    }
  });

  it("'same' padding gives side / stride rounded up, and a convolution costs outputs x inputs per group x taps", () =>
    fc.assert(
      fc.property(
        fc.record({
          groups: fc.integer({ min: 1, max: 3 }),
          perGroup: fc.integer({ min: 1, max: 3 }),
          filters: fc.integer({ min: 1, max: 3 }),
          height: fc.integer({ min: 1, max: 9 }),
          width: fc.integer({ min: 1, max: 9 }),
          size: fc.integer({ min: 1, max: 4 }),
          stride: fc.integer({ min: 1, max: 3 }),
          dilation: fc.integer({ min: 1, max: 2 }),
        }),
        ({ groups, perGroup, filters, height, width, size, stride, dilation }) => {
          const network = sequential({ input: [groups * perGroup, height, width] }, [
            conv(groups * filters, size, { stride, dilation, groups }),
          ]);
          const shape = [groups * filters, Math.ceil(height / stride), Math.ceil(width / stride)];
          expect(inferShapes(network).get('conv1')).toEqual(shape);
          expect(multiplyAdds(network)).toBe(shape[0] * shape[1] * shape[2] * perGroup * size * size);
        },
      ),
    ));

  it('a parameter that two nodes share is counted once, its multiply-adds at both', () => {
    const network = sequential({ input: [4] }, [dense(4), dense(4, { bias: false })]);
    const nodes = network.nodes.map((node) => ({
      ...node,
      parameters: { ...node.parameters, weight: 'dense1.weight' },
    })) as Network['nodes'];
    const costs = nodeCosts({ ...network, nodes });
    expect(costs.map(({ parameters, multiplyAdds }) => [parameters, multiplyAdds])).toEqual([
      [20, 16],
      [0, 16],
    ]);
  });
});
