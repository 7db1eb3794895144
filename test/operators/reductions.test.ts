/**
 * Reductions, whole operators forward and backward, against PyTorch, and places of the largest against NumPy
 * (test/vectors/reductions.py); whole numbers on their way in and out.
 */
import { describe, expect, it } from 'vitest';
import { createExecutor } from '../../src/execution/executor.ts';
import { NO_UPDATE } from '../../src/execution/no-update.ts';
import { createTrainingExecutor } from '../../src/execution/training-executor.ts';
import { loadKernels, portableKernels } from '../../src/kernels/index.ts';
import {
  argMax,
  dense,
  graph,
  plain,
  reduceMax,
  reduceMean,
  relu,
  sequential,
  writeNetwork,
} from '../../src/network/index.ts';
import type { Layer } from '../../src/network/index.ts';
import { REDUCTION_OPERATORS } from '../../src/operators/reduction.ts';
import { load } from '../../src/runtime/index.ts';
import { expectCode } from '../container/files.ts';
import vectors from '../vectors/reductions.json' with { type: 'json' };

/** Those of a file, where NaN and infinities are words: 'nan', 'inf', '-inf'. */
const numbersOf = (words: readonly string[]): number[] =>
  words.map((word) => (word === 'nan' ? NaN : Number(word.replace('inf', 'Infinity'))));

function expectClose(found: ArrayLike<number>, expected: readonly number[], bound: number): void {
  expect(found.length).toBe(expected.length);
  expected.forEach((value, i) =>
    expect(Math.abs(found[i] - value)).toBeLessThanOrEqual(bound * Math.max(1, Math.abs(value))),
  );
}

const sets = [
  { name: 'portable', kernels: portableKernels(), precision: 'float32', bound: 1e-7 },
  { name: 'simd', kernels: await loadKernels(), precision: 'float32', bound: 1e-7 },
  { name: 'portable in double', kernels: portableKernels(), precision: 'float64', bound: 1e-11 },
] as const;

it('every reduction of the table has vectors', () => {
  expect([...new Set(vectors.reductions.map(({ kind }) => kind))].sort()).toEqual(
    Object.keys(REDUCTION_OPERATORS).sort(),
  );
});

describe.each(sets)('$name', ({ kernels, precision, bound }) => {
  it.each(vectors.reductions)(
    `$kind of $shape along $axes, keep $keep, and its gradient: error <= ${bound}`,
    async ({ kind, shape: [batch, ...input], axes, keep, x, output, y, dy, dx }) => {
      const network = sequential({ input }, [plain(kind, { axes, keep })]);
      const options = { kernels, precision, batch, optimizer: NO_UPDATE, inputGradients: true };
      const executor = await createTrainingExecutor(network, options);
      expect([batch, ...executor.shapeOf(network.outputs[0])]).toEqual(output);
      executor.input().set(x);
      executor.forward();
      expectClose(executor.output(), y, bound);
      executor.forwardTraining(0);
      expectClose(executor.output(), y, bound);
      executor.outputGradient().set(dy);
      executor.backward();
      expectClose(executor.gradient('input'), dx, bound);
      executor.dispose();
    },
  );

  it.each(vectors.places)(
    'argMax of $shape along $axis, keep $keep: the integers of NumPy',
    async ({ shape: [batch, ...input], axis, keep, x, output, y }) => {
      const executor = await createExecutor(sequential({ input }, [argMax(axis, { keep })]), {
        kernels,
        precision,
        batch,
      });
      expect([batch, ...executor.shapeOf(executor.network.outputs[0])]).toEqual(output);
      executor.input().set(numbersOf(x));
      executor.forward();
      expect(executor.integers()).toEqual(Int32Array.from(y));
      executor.dispose();
    },
  );

  it('whole numbers go in and come out as they are, also those that no float holds', async () => {
    const network = graph({}, (g) => {
      const scores = g.input([3], 'scores');
      return [
        g.input([2], 'labels', 'integer'),
        g.node(argMax(0, { name: 'class' }), scores),
        g.node(relu({ name: 'y' }), scores),
      ];
    });
    const executor = await createExecutor(network, { kernels, precision, batch: 2 });
    const labels = [2 ** 31 - 1, -(2 ** 31), 2 ** 24 + 1, 5];
    executor.integers('labels').set(labels);
    executor.input('scores').set([0, 1, 2, 7, 6, 5]);
    executor.forward();
    expect(executor.integers('labels')).toEqual(Int32Array.from(labels));
    expect(executor.integers('class')).toEqual(Int32Array.of(2, 0));
    expect(['labels', 'class', 'scores', 'y'].map((name) => executor.typeOf(name))).toEqual([
      ...['integer', 'integer', 'float', 'float'],
    ]);
    expect(() => executor.output('class')).toThrow(
      /output: name: expected a value of floats, got "class"; integers\("class"\) gives it/,
    );
    expect(() => executor.input('labels')).toThrow(/input: name: expected a value of floats, got "labels"/);
    expect(() => executor.integers('y')).toThrow(/integers: name: expected a value of whole numbers, got "y"/);
    expect(() => executor.integers('x')).toThrow(/integers: name: expected one of "labels", "class", "y", got "x"/);
    expect(() => executor.typeOf('x')).toThrow(/typeOf: name: expected the name of a value, got "x"/);
    executor.dispose();
  });

  it('predict gives whole numbers as floats, and takes them so, in batches', async () => {
    const labels = graph({}, (g) => g.input([2], 'labels', 'integer'));
    const classes = sequential({ input: [3] }, [argMax()]);
    for (const [network, inputs, expected] of [
      [labels, [1, 2, -3, 4, 2 ** 24, 0], [1, 2, -3, 4, 2 ** 24, 0]],
      [classes, [0, 1, 0, 3, 2, 1, 4, 5, 6], [1, 0, 2]],
    ] as const) {
      const executor = await createExecutor(network, { kernels, precision, batch: 2 });
      expect(executor.predict(Float32Array.from(inputs), 3)).toEqual(Float32Array.from(expected));
      executor.dispose();
    }
  });
});

describe('the runtime', () => {
  it('gives outputs of whole numbers as Int32Array, beside those of floats, and takes inputs of them', async () => {
    const network = graph({ seed: 1 }, (g) => {
      const scores = g.node(dense(4, { name: 'scores' }), g.input([3]));
      return [g.node(argMax(0, { name: 'class' }), scores), scores];
    });
    const model = await load(writeNetwork(network), { batch: 2 });
    const inputs = Float32Array.from({ length: 15 }, (_, i) => Math.sin(i * i));
    const { data, shape, outputs } = model.predict(inputs);
    const scores = outputs.get('scores')!.data;
    const expected = Array.from({ length: 5 }, (_, i) => {
      const row = [...scores.subarray(4 * i, 4 * i + 4)];
      return row.indexOf(Math.max(...row));
    });
    expect(new Set(expected).size).toBeGreaterThan(1);
    expect([data, shape]).toEqual([Int32Array.from(expected), [5]]);
    expect(outputs.get('class')!.data).toBe(data);
    expect(scores).toBeInstanceOf(Float32Array);
    model.dispose();

    const labels = await load(writeNetwork(graph({}, (g) => g.input([2], 'labels', 'integer'))));
    expect(labels.predict({ data: Int32Array.of(7, -(2 ** 24)), shape: [2] }).data).toEqual(
      Int32Array.of(7, -(2 ** 24)),
    );
    labels.dispose();
  });
});

describe('axes', () => {
  it('that a sample has not, that are none, or are not ascending are refused by name', () => {
    const messageOf = (layer: Layer): string =>
      expectCode(() => sequential({ input: [3, 4] }, [layer]), 'ATTRIBUTE').message;
    for (const [axes, got] of [
      [[], 'none'],
      [[1, 0], '1, 0'],
      [[1, 1], '1, 1'],
      [[0, 2], '0, 2'],
    ] as const) {
      const expected = 'axes: expected one or more, ascending, of a sample [3, 4], from 0';
      expect(messageOf(reduceMean(axes))).toBe(`node "reduceMean1" (reduceMean): ${expected}, got ${got}`);
    }
    expect(messageOf(argMax(2))).toContain('axis: expected one of a sample [3, 4], from 0, got 2');
  });

  it('builders: keep is false, and what is said goes into the node', () => {
    const nodes = sequential({ input: [3, 4] }, [reduceMax([1], { keep: true, name: 'most' }), argMax()]).nodes;
    expect(nodes.map(({ name, attributes }) => ({ name, attributes }))).toEqual([
      { name: 'most', attributes: { axes: [1], keep: true } },
      { name: 'argMax1', attributes: { axis: 0, keep: false } },
    ]);
  });
});
