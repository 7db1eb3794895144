/** Networks rewritten: the same outputs, fewer nodes. */
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createExecutor } from '../../src/execution/executor.ts';
import type { Network } from '../../src/graph/network.ts';
import { portableKernels } from '../../src/kernels/index.ts';
import { graph, sequential } from '../../src/network/build.ts';
import { add, relu, tanh } from '../../src/network/functions.ts';
import { affine, batchNorm, conv, dense, flatten, maxPool, permute } from '../../src/network/layers.ts';
import { foldNormalization, simplify } from '../../src/network/simplify.ts';
import type { FoldOptions } from '../../src/network/simplify.ts';
import { checkGraph } from '../../src/network/check.ts';
import { inferShapes } from '../../src/network/shapes.ts';
import { readOnnx } from '../../src/onnx/index.ts';
import { inputNumbers, perturbed } from '../operators/examples.ts';
import { anyGraph } from '../operators/graphs.ts';

const kinds = ({ nodes }: Network): string[] => nodes.map(({ kind }) => kind);

/** Outputs of three samples, by name, in double. */
async function outputsOf(network: Network): Promise<Map<string, number[]>> {
  const executor = await createExecutor(network, { kernels: portableKernels(), batch: 3, precision: 'float64' });
  for (const { name, shape } of network.inputs) executor.input(name).set(inputNumbers(name, 3, shape));
  executor.forward();
  const found = network.outputs.map((name): [string, number[]] => [
    name,
    Array.from<number>(executor.typeOf(name) === 'integer' ? executor.integers(name) : executor.output(name)),
  ]);
  executor.dispose();
  return new Map(found);
}

async function expectSame(before: Network, after: Network): Promise<void> {
  checkGraph(after);
  inferShapes(after);
  expect(after.inputs).toEqual(before.inputs);
  expect(after.outputs).toEqual(before.outputs);
  const [expected, simplified] = [await outputsOf(before), await outputsOf(after)];
  for (const [name, values] of expected) {
    const largest = values.filter(Number.isFinite).reduce((most, value) => Math.max(most, Math.abs(value)), 1e-3);
    const found = simplified.get(name) ?? [];
    const isNear = (value: number, i: number): boolean =>
      Object.is(value, found[i]) || Math.abs(value - found[i]) <= 2e-5 * largest;
    expect(values.filter((value, i) => !isNear(value, i))).toEqual([]);
  }
}

describe('any graph', () => {
  it('simplified gives the same outputs under the same names', async () => {
    await fc.assert(
      fc.asyncProperty(anyGraph(), async (network) => expectSame(network, simplify(network))),
      { numRuns: 60 },
    );
  }, 60_000);

  it('with its normalizations folded gives the same outputs', async () => {
    await fc.assert(
      fc.asyncProperty(anyGraph(), async (network) => expectSame(network, foldNormalization(network))),
      { numRuns: 60 },
    );
  }, 60_000);

  it('simplified twice is as simplified once', () => {
    fc.assert(
      fc.property(anyGraph(), (network) => {
        const once = simplify(network);
        expect(kinds(simplify(once))).toEqual(kinds(once));
      }),
      { numRuns: 60 },
    );
  });
});

describe('orders of axes', () => {
  const channelsLast = [0, 1, 2].map((axis) => (axis + 1) % 3);
  const channelsFirst = [2, 0, 1];

  it('that undo each other go, and the last becomes the order of a dense layer', async () => {
    const network = perturbed(
      sequential({ input: [6, 5, 3] }, [
        permute(channelsFirst),
        conv(4, 3),
        permute(channelsLast),
        relu(),
        permute(channelsFirst),
        maxPool(2),
        permute(channelsLast),
        flatten(),
        dense(7),
      ]),
    );
    const found = simplify(network);
    expect(kinds(found)).toEqual(['permute', 'conv', 'relu', 'maxPool', 'flatten', 'dense']);
    await expectSame(network, found);
  });

  it('are written down where somebody reads the value as it is', async () => {
    const network = perturbed(
      graph({}, (g) => {
        const x = g.node(permute(channelsLast), g.node(conv(4, 3), g.input([3, 6, 5])));
        const y = g.node(tanh(), x);
        return [x, g.node(permute(channelsFirst), g.node(add(), y, x))];
      }),
    );
    const found = simplify(network);
    await expectSame(network, found);
    expect(kinds(found).filter((kind) => kind === 'permute').length).toBe(1);
  });
});

describe('normalizations', () => {
  it('go into the layer before them, with or without a bias', async () => {
    const network = perturbed(
      sequential({ input: [3, 6, 5] }, [
        conv(4, 3, { bias: false }),
        batchNorm(),
        relu(),
        conv(4, 3),
        batchNorm(),
        affine(Float32Array.of(1, 2, 3, 4), 0.5),
        flatten(),
        dense(7),
        batchNorm(),
      ]),
    );
    const found = foldNormalization(network);
    expect(kinds(found)).toEqual(['conv', 'relu', 'conv', 'flatten', 'dense']);
    await expectSame(network, found);
  });

  it('stay where others read what is before them', async () => {
    const network = perturbed(
      graph({}, (g) => {
        const x = g.node(conv(4, 3), g.input([3, 6, 5]));
        return g.node(add(), x, g.node(batchNorm(), x));
      }),
    );
    expect(kinds(foldNormalization(network))).toEqual(['conv', 'batchNorm', 'add']);
  });

  it('only into the layers, and only the kinds, that are asked for', async () => {
    const network = graph({ seed: 2 }, (g) => {
      const one = g.node(batchNorm(), g.node(conv(4, 1, { name: 'one' }), g.input([2, 3, 3])));
      return g.node(affine(2, 1), g.node(conv(4, 1, { name: 'two' }), one));
    });
    const found = (options: FoldOptions): string[] => kinds(foldNormalization(network, options));
    expect(found({ layers: ['one'] })).toEqual(['conv', 'conv', 'affine']);
    expect(found({ layers: ['two'] })).toEqual(['conv', 'batchNorm', 'conv']);
    expect(found({ kinds: ['batchNorm'] })).toEqual(['conv', 'conv', 'affine']);
    expect(found({ layers: [] })).toEqual(kinds(network));
    expect(() => found({ layers: 'one' as never })).toThrow('layers: expected an array');
    expect(() => found({ kinds: ['relu' as never] })).toThrow('kinds: expected');
    expect(() => found({ kinds: 'affine' as never })).toThrow('kinds: expected an array');
    expect(() => found({ what: 1 } as never)).toThrow(TypeError);
  });
});

describe('functions that exporters spell out', () => {
  const cases = JSON.parse(readFileSync(new URL('../vectors/onnx_models.json', import.meta.url), 'utf8')) as readonly {
    readonly name: string;
    readonly model: string;
  }[];
  it.each([
    ['matmul and add', ['dense']],
    ['layer norm spelled out', ['layerNorm']],
    ['gelu by erf, as PyTorch writes it', ['gelu']],
    ['gelu by erf, the half first', ['gelu']],
    ['hard swish as PaddlePaddle writes it', ['hardSwish']],
    ['hard swish by hard sigmoid', ['hardSwish']],
    ['silu', ['silu']],
    ['flatten spelled as shape, gather, concat, reshape', ['flatten']],
    ['NHWC as tf2onnx writes it, dims named unk__', ['permute', 'conv', 'relu', 'maxPool', 'flatten', 'dense']],
  ])('%s: %j', (name, expected) => {
    const { model } = cases.find((one) => one.name === name)!;
    expect(kinds(readOnnx(Buffer.from(model, 'base64')).network)).toEqual(expected);
  });
});
