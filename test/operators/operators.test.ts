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
  plain,
  relu,
  sequential,
  sigmoid,
  softmax,
  split,
  tanh,
} from '../../src/network/index.ts';
import type { Initializer, Layer, Network } from '../../src/network/index.ts';
import type { Shape } from '../../src/base/tensor.ts';
import { BINARIES } from '../../src/kernels/specification/binaries.ts';
import type { BinarySpecification } from '../../src/kernels/specification/binaries.ts';
import { perChannel } from '../../src/network/functions.ts';
import { inferShapes, multiplyAdds, nodeCosts } from '../../src/network/shapes.ts';
import type { BinaryKind } from '../../src/operators/binary.ts';
import { relativeDifference, withTrainer } from './running.ts';

interface Case {
  readonly name: string;
  readonly shape: number[];
  readonly output: number[];
  readonly parameters: Record<string, number[]>;
}
/** A function of two tensors, the batch in front of both but where the second is a constant (test/vectors/binaries.py). */
interface BinaryCase {
  readonly operation: BinaryKind;
  readonly left: number[];
  readonly right: number[];
  readonly sides: number[];
  readonly a: number[];
  readonly b: number[];
  readonly y: number[];
  readonly dy: number[];
  readonly da: number[];
  readonly db: number[];
}
const vectors = (name: string): unknown =>
  JSON.parse(readFileSync(new URL(`../vectors/${name}`, import.meta.url), 'utf8'));
const {
  input,
  cases,
  split: splitCase,
} = vectors('operators.json') as {
  input: number[];
  cases: Case[];
  split: { sizes: number[]; outputs: number[][]; gradients: number[][]; inputGradient: number[] };
};
const isConstant = ({ left, right }: BinaryCase): boolean => right.length < left.length;
/** The second operand is a parameter of the operator, a number per channel. */
const isTrained = ({ operation }: BinaryCase): boolean =>
  'parameter' in (BINARIES as Readonly<Record<string, BinarySpecification>>)[operation];
const isPerChannel = ({ left: [, ...own], right }: BinaryCase): boolean =>
  right.length === own.length && right.every((side, axis) => side === (axis === 0 ? own[0] : 1));
const binaryCases = (vectors('binaries.json') as BinaryCase[]).filter((one) =>
  isTrained(one)
    ? isPerChannel(one)
    : one.left[0] === one.sides[0] && (isConstant(one) || one.right[0] === one.sides[0]),
);
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

    it.each(
      binaryCases.map(
        (one) =>
          [`${one.operation} of [${one.left}] and ${isConstant(one) ? 'a constant ' : ''}[${one.right}]`, one] as const,
      ),
    )('%s: the outputs and gradients of PyTorch, error < 1e-5 of the largest', async (_title, one) => {
      const { operation, left, right, a, b, y, dy, da, db } = one;
      const network = graph({}, (g) => {
        const x = g.input(left.slice(1), 'a');
        const data = Float32Array.from(b);
        if (isTrained(one)) {
          const layer = perChannel(operation)(0, { name: 'node' });
          const given = (shape: Shape): { shape: Shape; initialize: Initializer } => ({
            shape,
            initialize: () => data,
          });
          const parameters = (shape: Shape): ReturnType<Layer['parameters']> =>
            Object.fromEntries(Object.entries(layer.parameters(shape)).map(([role, one]) => [role, given(one.shape)]));
          return g.node({ ...layer, parameters }, x);
        }
        return g.node(
          plain(operation),
          x,
          isConstant(one) ? g.constant({ data, shape: right }, 'b') : g.input(right.slice(1), 'b'),
        );
      });
      await withTrainer(network, { kernels, batch: left[0] }, (trainer) => {
        trainer.input('a').set(a);
        if (!isConstant(one) && !isTrained(one)) trainer.input('b').set(b);
        trainer.forward();
        expect(relativeDifference(trainer.output(), y)).toBeLessThan(1e-5);
        trainer.forwardTraining(1);
        expect(relativeDifference(trainer.output(), y)).toBeLessThan(1e-5);
        trainer.outputGradient().set(dy);
        trainer.backward();
        expect(relativeDifference(trainer.gradient('a'), da)).toBeLessThan(1e-5);
        const [second] = isTrained(one) ? network.parameters.keys() : isConstant(one) ? [] : ['b'];
        if (second !== undefined) expect(relativeDifference(trainer.gradient(second), db)).toBeLessThan(1e-5);
      });
    });

    it('split: the outputs and the gradient of PyTorch, bit for bit, where one of three values leads nowhere', async () => {
      const whole = graph({}, (g) => g.nodes(split(splitCase.sizes), g.input(INPUT)));
      const [first, second, third] = whole.outputs;
      await withTrainer(whole, { kernels }, (trainer) => {
        trainer.input().set(input);
        trainer.forward();
        splitCase.outputs.forEach((values, i) => expect([...trainer.output(whole.outputs[i])]).toEqual(values));
      });
      await withTrainer({ ...whole, outputs: [first, third] }, { kernels }, (trainer) => {
        trainer.input().set(input);
        // Twice: what the first pass left must not be taken for the gradient of the second value.
        for (const _pass of [1, 2]) {
          trainer.forwardTraining(1);
          [first, third].forEach((name, i) => trainer.outputGradient(name).set(splitCase.gradients[i]));
          trainer.backward();
          expect([...trainer.gradient('input')]).toEqual(splitCase.inputGradient);
        }
        expect(() => trainer.outputGradient(second)).toThrow(RangeError);
      });
    });

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

describe('rules', () => {
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
