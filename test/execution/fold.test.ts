/**
 * Batch normalization and affine maps that are multiplied into the weights before them, against the same network
 * computed node by node in double.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decode } from '../../src/encodings/index.ts';
import type { Encoding } from '../../src/encodings/types.ts';
import { createExecutor } from '../../src/execution/executor.ts';
import { createLayout, forwardSteps } from '../../src/execution/layout.ts';
import { analyse } from '../../src/execution/lifetimes.ts';
import { place } from '../../src/execution/placement.ts';
import { loadInferenceKernels } from '../../src/kernels/load-inference.ts';
import { loadKernels, portableKernels } from '../../src/kernels/index.ts';
import type { KernelName, KernelSet } from '../../src/kernels/types.ts';
import {
  add,
  affine,
  batchNorm,
  conv,
  dense,
  flatten,
  graph,
  leakyRelu,
  relu,
  sequential,
} from '../../src/network/index.ts';
import type { Layer, Network } from '../../src/network/index.ts';
import { quantizeMatrix } from '../../src/quantization/index.ts';
import { normal, stream } from '../../src/base/random.ts';
import { sizeOf } from '../../src/base/tensor.ts';

const sets: KernelSet[] = [portableKernels(), await loadKernels({ prefer: 'simd' })];

/** Every parameter drawn anew, so that no scale is 1 and no mean 0; variances lie above 0. */
function randomized(network: Network, seed = 1): Network {
  const parameters = new Map(
    [...network.parameters].map(([name, { shape }]): [string, Encoding] => {
      const random = stream(seed, name);
      const draw = (): number => (name.endsWith('variance') ? 0.1 + random() : normal(random));
      return [name, { kind: 'dense', shape, data: Float32Array.from({ length: sizeOf(shape) }, draw) }];
    }),
  );
  return { ...network, parameters };
}

function samples(network: Network, count: number): Float32Array {
  const random = stream(3, 'samples');
  return Float32Array.from({ length: count * sizeOf(network.inputs[0].shape) }, () => normal(random));
}

async function predict(
  network: Network,
  inputs: Float32Array,
  options: Partial<Parameters<typeof createExecutor>[1]> = {},
): Promise<Float32Array> {
  const executor = await createExecutor(network, { kernels: sets[1], batch: 3, ...options });
  const result = executor.predict(inputs, inputs.length / sizeOf(network.inputs[0].shape));
  executor.dispose();
  return result;
}

/** Kernels of the forward pass, in order. */
function kernelsOf(network: Network, watch: readonly string[] = []): KernelName[] {
  const structure = analyse('test', network, 2, watch, undefined);
  return forwardSteps(createLayout(structure, sets[1], place(structure.storage.values()), true))
    .flat()
    .map((step) => step.kernel);
}

/** Watching every value leaves nothing to fold. */
const apart = (network: Network): Partial<Parameters<typeof createExecutor>[1]> => ({
  watch: network.nodes.map((node) => node.name),
  kernels: sets[0],
  precision: 'float64',
});

/** Sums of absolute values in place of sums: what the bound of an error is a multiple of. */
function absolute(network: Network): Network {
  const parameters = new Map(
    [...network.parameters].map(([name, encoding]): [string, Encoding] => {
      const sign = name.endsWith('mean') ? -1 : 1;
      return [
        name,
        { kind: 'dense', shape: encoding.shape, data: decode(encoding).map((value) => sign * Math.abs(value)) },
      ];
    }),
  );
  return { ...network, parameters };
}

/** `taps` products in each sum of the layer before the maps. */
async function checkBound(network: Network, taps: number, kernels: KernelSet): Promise<void> {
  const inputs = samples(network, 4);
  const [found, exact, sums] = await Promise.all([
    predict(network, inputs, { kernels }),
    predict(network, inputs, apart(network)),
    predict(absolute(network), inputs.map(Math.abs), apart(network)),
  ]);
  const maps = network.nodes.filter((node) => node.kind === 'batchNorm' || node.kind === 'affine').length;
  for (let i = 0; i < found.length; i++) {
    const bound = (2 * taps + 8 * maps + 4) * 2 ** -24 * sums[i];
    if (!(Math.abs(found[i] - exact[i]) <= bound))
      expect.fail(`element ${i}: ${found[i]}, exact ${exact[i]}, bound ${bound}`);
  }
}

const layers: readonly (readonly [make: () => Layer, taps: number])[] = [
  [() => conv(5, 3), 36],
  [() => conv(6, 1, { stride: 2, bias: false }), 4],
  [() => conv(6, 3, { groups: 2, dilation: 2, padding: 2 }), 18],
  [() => conv(4, 3, { groups: 4, bias: false }), 9],
];
const maps = fc.array(
  fc.constantFrom<() => Layer>(
    () => batchNorm(),
    () => affine(1, 1),
  ),
  { minLength: 1, maxLength: 3 },
);
const after = fc.constantFrom<() => Layer[]>(
  () => [],
  () => [relu()],
  () => [leakyRelu(0.2)],
);

describe.each(sets.map((kernels) => [kernels.name, kernels] as const))('on %s kernels', (_name, kernels) => {
  it('folded into K-term sums, m maps err by at most (2 K + 8 m + 4) 2^-24 times the sum of absolute terms', async () => {
    const cases = fc.record({ which: fc.nat(layers.length), maps, after, seed: fc.nat(1000) });
    await fc.assert(
      fc.asyncProperty(cases, async ({ which, maps, after, seed }) => {
        const behind = [...maps.map((make) => make()), ...after()];
        const network =
          which === layers.length
            ? sequential({ input: [3, 5, 2] }, [flatten(), dense(7), ...behind])
            : sequential({ input: [4, 7, 6] }, [layers[which][0](), ...behind]);
        expect(kernelsOf(network)).toEqual([which === layers.length ? 'matmul' : 'convolutionForward']);
        await checkBound(randomized(network, seed), which === layers.length ? 30 : layers[which][1], kernels);
      }),
      { numRuns: 40 },
    );
  });

  it('weights that are product-quantized are decoded, then multiplied; the network stays as it was', async () => {
    const network = randomized(sequential({ input: [2, 6, 6] }, [conv(8, 3), batchNorm(), relu()]));
    const weight = network.parameters.get('conv1.weight')!;
    const { encoding } = quantizeMatrix(
      { data: decode(weight), shape: [8, 18] },
      { kernels: sets[1], subvectorLength: 3, codewordCount: 6, seed: 1 },
    );
    const encoded: Encoding = { ...encoding, shape: weight.shape };
    const before = structuredClone(encoded);
    await checkBound({ ...network, parameters: new Map(network.parameters).set('conv1.weight', encoded) }, 18, kernels);
    expect(encoded).toEqual(before);
  });

  it('two layers that share their weights are folded apart', async () => {
    const network = randomized(
      graph({}, (g) => {
        const x = g.input([3, 5, 5]);
        const a = g.node(batchNorm(), g.node(conv(3, 3, { name: 'a' }), x));
        return g.node(add(), a, g.node(affine(2, 1), g.node(conv(3, 3, { name: 'b' }), x)));
      }),
    );
    const nodes = network.nodes.map((node) =>
      node.name === 'b' ? { ...node, parameters: { weight: 'a.weight', bias: 'a.bias' } } : node,
    ) as Network['nodes'];
    const shared = {
      ...network,
      nodes,
      parameters: new Map([...network.parameters].filter(([name]) => !name.startsWith('b.'))),
    };
    expect(kernelsOf(shared)).toEqual(['convolutionForward', 'convolutionForward', 'add']);
    await checkBound(shared, 27, kernels);
  });

  it('gives the same bits for 1, 2 and 3 threads', async () => {
    const network = randomized(
      sequential({ input: [3, 9, 9] }, [
        conv(12, 3),
        batchNorm(),
        relu(),
        conv(9, 3, { bias: false }),
        affine(1, 1),
        flatten(),
        dense(20),
        batchNorm(),
      ]),
    );
    const inputs = samples(network, 5);
    const results = await Promise.all([1, 2, 3].map((threads) => predict(network, inputs, { kernels, threads })));
    for (const result of results) expect(result).toEqual(results[0]);
  });
});

describe('what is folded', () => {
  it('nothing where the layer itself is read: watched, an output, or by a second node', () => {
    const network = sequential({ input: [2, 4, 4] }, [conv(3, 3), batchNorm(), relu()]);
    expect(kernelsOf(network)).toEqual(['convolutionForward']);
    expect(kernelsOf(network, ['conv1'])).toEqual(['convolutionForward', 'affineForward']);
    expect(kernelsOf({ ...network, outputs: ['relu1', 'conv1'] })).toEqual(['convolutionForward', 'affineForward']);
    const twice = graph({}, (g) => {
      const c = g.node(conv(2, 3), g.input([2, 4, 4]));
      return g.node(add(), g.node(batchNorm(), c), c);
    });
    expect(kernelsOf(twice)).toEqual(['convolutionForward', 'affineForward', 'add']);
  });

  it('a watched normalization is folded and readable; the ReLU behind it is a pass of its own', async () => {
    const network = randomized(sequential({ input: [2, 4, 4] }, [conv(3, 3), batchNorm(), relu()]));
    expect(kernelsOf(network, ['batchNorm1'])).toEqual(['convolutionForward', 'activationForward']);
    const executor = await createExecutor(network, { kernels: sets[1], watch: ['batchNorm1'] });
    const output = executor.predict(samples(network, 1), 1);
    const watched = executor.output('batchNorm1');
    expect(Math.min(...watched)).toBeLessThan(0);
    expect(output).toEqual(watched.map((value) => Math.max(0, value)));
    executor.dispose();
  });

  it('neither a map behind an activation or a pooling nor one at the input', () => {
    expect(
      kernelsOf(
        sequential({ input: [2, 4, 4] }, [
          affine(2, 1),
          conv(3, 3),
          relu(),
          batchNorm(),
          flatten(),
          affine(1, 2),
          dense(2),
        ]),
      ),
    ).toEqual(['affineForward', 'convolutionForward', 'affineForward', 'affineForward', 'matmul']);
  });

  it('a sum and the ReLU behind it are one pass', () => {
    const network = graph({}, (g) => {
      const x = g.input([2, 4, 4]);
      return g.node(relu(), g.node(add(), g.node(batchNorm(), g.node(conv(2, 3), x)), x));
    });
    expect(kernelsOf(network)).toEqual(['convolutionForward', 'add']);
  });

  it('the kernels of inference alone suffice', async () => {
    const network = randomized(
      sequential({ input: [2, 4, 4] }, [conv(3, 3), batchNorm(), relu(), flatten(), dense(4), affine(2, 1)]),
    );
    const inputs = samples(network, 2);
    expect(await predict(network, inputs, { kernels: await loadInferenceKernels() })).toEqual(
      await predict(network, inputs),
    );
  });
});

describe('memory', () => {
  /** Words of values, parameters, constants; of portable kernels, whose packed weights are as many as the weights. */
  const words = (network: Network, once: boolean): number => {
    const structure = analyse('test', network, 1, [], undefined);
    const layout = createLayout(structure, sets[0], place(structure.storage.values()), once);
    forwardSteps(layout);
    return layout.top;
  };
  const deep = (): Network =>
    sequential({ input: [32, 6, 6] }, Array.from({ length: 8 }, () => [conv(32, 3), batchNorm(), relu()]).flat());
  const weights = 8 * 32 * 32 * 9;

  it('eight convolutions hold their weights once, but for the one that is being packed; in training twice', () => {
    expect(words(deep(), true)).toBeLessThan(weights * (1 + 2.5 / 8));
    expect(words(deep(), false)).toBeGreaterThan(2 * weights);
  });

  it('codes are let go of, and what they were leaves no trace: inputs are zero before they are written', async () => {
    const network = deep();
    const parameters = new Map(
      [...network.parameters].map(([name, encoding]): [string, Encoding] =>
        name.endsWith('weight')
          ? [
              name,
              {
                ...quantizeMatrix(
                  { data: decode(encoding), shape: [32, 288] },
                  { kernels: sets[1], subvectorLength: 4, codewordCount: 16, seed: 1, iterations: 2 },
                ).encoding,
                shape: encoding.shape,
              },
            ]
          : [name, encoding],
      ),
    );
    expect(words({ ...network, parameters }, true)).toBeLessThan(weights * (1 + 3.5 / 8));
    const executor = await createExecutor({ ...network, parameters }, { kernels: sets[1] });
    expect(executor.input().every((value) => value === 0)).toBe(true);
    executor.dispose();
  });
});
