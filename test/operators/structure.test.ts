/** Operators that move and resize, pools with dilation, softmax and dense along axes, against PyTorch and NumPy (test/vectors/structure.py). */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { loadKernels, portableKernels } from '../../src/kernels/index.ts';
import { concat, dense, graph, plain, split } from '../../src/network/index.ts';
import type { Network } from '../../src/network/index.ts';
import type { Attributes } from '../../src/graph/network.ts';
import { inferShapes } from '../../src/network/shapes.ts';
import { relativeDifference, withTrainer } from './running.ts';

interface Case {
  readonly kind: string;
  readonly attributes: Attributes;
  readonly input: number[];
  readonly output: number[];
  readonly x: number[];
  readonly y: number[];
  readonly dy: number[];
  readonly dx: number[];
  readonly parameters: Record<string, number[]>;
}
const { cases, concat: joined } = JSON.parse(
  readFileSync(new URL('../vectors/structure.json', import.meta.url), 'utf8'),
) as { cases: Case[]; concat: { axis: number; sizes: number[]; shape: number[]; whole: number[]; parts: number[][] } };
const kernelSets = [portableKernels(), await loadKernels({ prefer: 'simd' })];

function networkOf({ kind, attributes, input, output, parameters }: Case): Network {
  if (kind !== 'dense') return graph({}, (g) => g.node(plain(kind, attributes), g.input(input)));
  const network = graph({}, (g) => g.node(dense(output.at(-1)!), g.input(input)));
  const given = [...network.parameters].map(([name, { shape }]) => {
    const data = Float32Array.from(parameters[name.slice(name.lastIndexOf('.') + 1)]);
    return [name, { kind: 'dense' as const, shape, data }] as const;
  });
  return { ...network, parameters: new Map(given) };
}

describe.each(kernelSets.map((kernels) => [kernels.name, kernels] as const))('on %s kernels', (_name, kernels) => {
  it.each(cases.map((one) => [`${one.kind} of [${one.input}] by ${JSON.stringify(one.attributes)}`, one] as const))(
    '%s: shape, outputs and gradient, error < 2e-6 of the largest',
    async (_title, one) => {
      const network = networkOf(one);
      expect(inferShapes(network).get(network.outputs[0])).toEqual(one.output);
      await withTrainer(network, { kernels, batch: 2 }, (trainer) => {
        trainer.input().set(one.x);
        trainer.forward();
        expect(relativeDifference(trainer.output(), one.y)).toBeLessThan(2e-6);
        trainer.forwardTraining(1);
        expect(relativeDifference(trainer.output(), one.y)).toBeLessThan(2e-6);
        trainer.outputGradient().set(one.dy);
        trainer.backward();
        expect(relativeDifference(trainer.gradient('input'), one.dx)).toBeLessThan(2e-6);
      });
    },
  );

  it('concat and split along an axis are each other backwards', async () => {
    const { axis, sizes, shape, whole, parts } = joined;
    const network = graph({}, (g) => [
      ...g.nodes(split(sizes, { axis }), g.input(shape, 'whole')),
      g.node(concat({ axis }), ...sizes.map((size, i) => g.input(shape.with(axis, size), `part ${i}`))),
    ]);
    await withTrainer(network, { kernels, batch: 2 }, (trainer) => {
      trainer.input('whole').set(whole);
      parts.forEach((values, i) => trainer.input(`part ${i}`).set(values));
      trainer.forwardTraining(1);
      parts.forEach((values, i) => expect([...trainer.output(network.outputs[i])]).toEqual(values));
      expect([...trainer.output(network.outputs[2])]).toEqual(whole);
      parts.forEach((values, i) => trainer.outputGradient(network.outputs[i]).set(values));
      trainer.outputGradient(network.outputs[2]).set(whole);
      trainer.backward();
      expect([...trainer.gradient('whole')]).toEqual(whole);
      parts.forEach((values, i) => expect([...trainer.gradient(`part ${i}`)]).toEqual(values));
    });
  });
});

describe('attributes that do not fit', () => {
  const shaped = (kind: string, attributes: Attributes) => (): Network =>
    graph({}, (g) => g.node(plain(kind, attributes), g.input([2, 3])));
  const resized = {
    ...{ axes: [1], sizes: [6], scales: [2], mode: 'linear', coordinates: 'halfPixel', rounding: 'floor', region: [] },
    ...{ cubicCoefficient: -0.75, excludeOutside: false, antialias: false, extrapolation: 0 },
  };
  it.each([
    ['reshape', { shape: [7] }, /shape: expected the 6 elements of \[2, 3\], got \[7\]/],
    ['reshape', { shape: [6, 1, 1, 1, 1, 1, 1, 1, 1] }, /shape: expected at most 8 sides, got 9/],
    ['permute', { order: [0, 0] }, /order: expected each axis of a sample \[2, 3\] once, from 0, got 0, 0/],
    ['permute', { order: [0] }, /order: expected a number for each axis of a sample \[2, 3\], got 1 of them/],
    [
      'slice',
      { starts: [0, 2], counts: [1, 2], steps: [1, 1] },
      /axis 1: expected elements 0 to 2 .*, got 2 to 3 by 1/,
    ],
    ['slice', { starts: [0, 0], counts: [1, 2], steps: [1, -1] }, /axis 1: expected elements 0 to 2 .*, got 0 to -1/],
    ['slice', { starts: [0, 0], counts: [1, 1], steps: [0, 1] }, /axis 0: .* by a step other than 0/],
    ['gather', { axis: 1, indices: [0, 3] }, /indices: expected one or more from 0 to 2, got 3/],
    ['gather', { axis: 2, indices: [0] }, /axis: expected one of a sample \[2, 3\], from 0, got 2/],
    ['expand', { shape: [2, 6] }, /shape: expected \[2, 3\] with sides of 1 stretched, got \[2, 6\]/],
    ['concat', { axis: 2 }, /axis: expected one of a sample \[2, 3\], from 0, got 2/],
    ['softmax', { axis: 2 }, /axis: expected one of a sample \[2, 3\], from 0, got 2/],
    ['resize', { ...resized, sizes: [6, 1] }, /sizes: expected 1 numbers for 1 axes, got 2/],
    ['resize', { ...resized, scales: [9] }, /scales: expected about 2 along axis 1, from 3 to 6, got 9/],
    ['resize', { ...resized, axes: [1, 0], sizes: [6, 4], scales: [2, 2] }, /axes: expected them ascending, got 1, 0/],
    ['resize', { ...resized, region: [0, 1] }, /region: expected 0 numbers/],
    ['resize', { ...resized, mode: 'nearest', antialias: true }, /antialias: expected false where mode is nearest/],
  ] as const)('%s %o is refused by name', (kind, attributes, message) => {
    expect(shaped(kind, attributes as unknown as Attributes)).toThrow(message);
    expect(shaped(kind, attributes as unknown as Attributes)).toThrow(/node "\w+1"/);
  });
});
