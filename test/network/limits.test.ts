import { describe, expect, it } from 'vitest';
import type { Encoding, ProductEncoding } from '../../src/encodings/types.ts';
import { readSafetensors } from '../../src/container/safetensors.ts';
import type { Network } from '../../src/graph/network.ts';
import { graph, sequential } from '../../src/network/build.ts';
import { add, reduceMean, relu } from '../../src/network/functions.ts';
import { conv, dense, flatten, globalAveragePool, maxPool } from '../../src/network/layers.ts';
import { activationBytes, NO_LIMITS, passWork } from '../../src/network/limits.ts';
import type { Limits } from '../../src/network/limits.ts';
import { readNetwork } from '../../src/network/read.ts';
import { inferTypes, multiplyAdds } from '../../src/network/shapes.ts';
import { vgg } from '../../src/network/vgg.ts';
import { writeNetwork } from '../../src/network/write.ts';
import { expectCode } from '../container/files.ts';
import { edited, everyOperator } from './files.ts';
import type { FreeJson } from './files.ts';

const json = (value: unknown): FreeJson => value as FreeJson;

/** The file is refused by this limit alone, let in where that is as high as the error says, and not a bit below. */
function expectBudget(file: Uint8Array, of: keyof Limits): void {
  const { details, message } = expectCode(() => readNetwork(file), 'BUDGET');
  expect(details.name).toBe(`limits.${of}`);
  const found = details.found as number;
  expect(found).toBeGreaterThan(details.limit!);
  expect(message).toContain(`{ limits: { ${of}: ${found} } }`);
  readNetwork(file, { limits: { ...NO_LIMITS, [of]: found } });
  expectCode(() => readNetwork(file, { limits: { ...NO_LIMITS, [of]: found - 1 } }), 'BUDGET');
}

/** Every weight one codeword: no bits at all for any number of rows. */
function zeroBits(shape: readonly number[]): ProductEncoding {
  const columns = shape.slice(1).reduce((product, side) => product * side, 1);
  return {
    kind: 'product',
    shape,
    codewordPrecision: 'float32',
    blocks: [
      {
        first: 0,
        subspaceCount: 1,
        subvectorLength: columns,
        codewordCount: 1,
        codewords: new Float32Array(columns),
        codes: new Uint16Array(shape[0]),
      },
    ],
  };
}

/** The network with one parameter encoded in no bits, its shape given. */
function withZeroBits(network: Network, name: string): Network {
  const encoding: Encoding = zeroBits(network.parameters.get(name)!.shape);
  return { ...network, parameters: new Map([...network.parameters, [name, encoding]]) };
}

describe('a stored tensor', () => {
  const square = writeNetwork(sequential({ input: [64] }, [dense(64), dense(64)]));

  it('serves one parameter: many names for one are LAYOUT, by its name', () => {
    const weight = (name: string): unknown => ({
      name,
      header: { kind: 'dense', shape: [64, 64] },
      tensors: { '': 'dense1.weight' },
    });
    const shared = edited(square, (d, tensors) => {
      d.parameters = json([weight('dense1.weight'), 'dense1.bias', weight('dense2.weight'), 'dense2.bias']);
      tensors.splice(
        tensors.findIndex(({ name }) => name === 'dense2.weight'),
        1,
      );
    });
    const error = expectCode(() => readNetwork(shared, { limits: NO_LIMITS }), 'LAYOUT');
    expect(error.details).toMatchObject({ name: 'dense1.weight', found: 'dense2.weight' });
  });

  it('serves once within a parameter too, and under a name that another parameter would find by itself', () => {
    const encoded = writeNetwork(withZeroBits(sequential({ input: [2] }, [dense(8)]), 'dense1.weight'));
    const twice = edited(encoded, (d) => {
      d.parameters[0].tensors = json({ '.codewords': 'dense1.weight.codewords', '.codes': 'dense1.weight.codewords' });
    });
    expectCode(() => readNetwork(twice), 'LAYOUT');
    const other = edited(encoded, (d) => {
      d.parameters = json([d.parameters[0], 'dense1.weight.codewords', d.parameters[1]]);
    });
    expectCode(() => readNetwork(other), 'LAYOUT');
  });

  it('serves one parameter of several nodes, as weights that are shared do', () => {
    const tied = edited(square, (d, tensors) => {
      d.nodes[1].parameters.weight = json('dense1.weight');
      d.parameters = json(['dense1.weight', 'dense1.bias', 'dense2.bias']);
      tensors.splice(
        tensors.findIndex(({ name }) => name === 'dense2.weight'),
        1,
      );
    });
    const { nodes, parameters } = readNetwork(tied);
    expect(nodes[1].parameters.weight).toBe('dense1.weight');
    expect([...parameters.keys()].sort()).toEqual(['dense1.bias', 'dense1.weight', 'dense2.bias']);
    expect(readSafetensors(tied).tensors.size).toBe(3);
  });
});

describe('what a small file may ask for', () => {
  it('in parameters: zero-bit codes of 128 MiB, and one parameter of 1 MiB for 100 nodes, are BUDGET', () => {
    const narrow = withZeroBits(sequential({ input: [16] }, [dense(2, { bias: false })]), 'dense1.weight');
    const wide = edited(writeNetwork(narrow), (d) => {
      d.parameters[0].header.shape = json([2 ** 21, 16]);
    });
    expect(wide.length).toBeLessThan(1000);
    expectBudget(wide, 'bytes');

    const one = sequential({ input: [512] }, [dense(512, { bias: false })]);
    const nodes = Array.from({ length: 100 }, (_, i) => ({
      ...one.nodes[0],
      name: `n${i}`,
      inputs: [i === 0 ? 'input' : `n${i - 1}`],
    }));
    const tied = withZeroBits({ ...one, nodes, outputs: ['n99'] }, 'dense1.weight');
    expectBudget(writeNetwork(tied), 'bytes');
  });

  it('in memory: an input of 400 million values is BUDGET', () => {
    const plain = writeNetwork(sequential({ input: [1, 4, 4] }, [globalAveragePool(), dense(1)]));
    expectBudget(
      edited(plain, (d) => {
        d.inputs[0].shape = json([1, 20000, 20000]);
      }),
      'activations',
    );
  });

  it.each<[string, () => Network]>([
    [
      'a convolution of 1 weight over 60 planes of 6000 x 6000 in turn, each of 64 x 64 taps',
      () =>
        sequential({ input: [1, 1, 1] }, [
          conv(1, 1, { padding: 3000 }),
          ...Array.from({ length: 60 }, () => conv(1, 65)),
          globalAveragePool(),
          dense(1),
        ]),
    ],
    [
      'pools of 512 x 512',
      () =>
        sequential({ input: [1, 1, 1] }, [
          conv(1, 1, { padding: 4200 }),
          maxPool(512, { stride: 1 }),
          globalAveragePool(),
          dense(1),
        ]),
    ],
    [
      '2,000 means of one value of 64 million numbers',
      () =>
        graph({}, (builder) => {
          const x = builder.node(conv(1, 1, { padding: 4000 }), builder.input([1, 1, 1]));
          let sum = builder.node(reduceMean([0, 1, 2]), x);
          for (let i = 0; i < 2000; i++) sum = builder.node(add(), sum, builder.node(reduceMean([0, 1, 2]), x));
          return sum;
        }),
    ],
  ])('in work: %s are BUDGET', (_, network) => expectBudget(writeNetwork(network()), 'multiplyAdds'));

  it('is nothing that an honest network meets: VGG, MobileNet-like depth, every operator', () => {
    for (const network of [
      vgg({ side: 96, widths: [16, 32, 64, 128], hidden: [128], outputs: 136 }),
      everyOperator(3),
      sequential({ input: [3, 256, 256] }, [
        ...Array.from({ length: 100 }, (_, i) => conv(8 + (i % 3), 3, { padding: 1 })),
        relu(),
      ]),
    ])
      expect(readNetwork(writeNetwork(network)).nodes).toEqual(network.nodes);
  });
});

describe('what is counted', () => {
  const network = sequential({ input: [2, 8, 8] }, [
    conv(4, 3, { padding: 1, name: 'first' }),
    relu(),
    maxPool(2),
    flatten(),
    dense(10),
  ]);

  it('activations: the values that live at once, inputs and outputs to the end', () => {
    // The input 128, conv 256 and relu 256 at once.
    expect(activationBytes(network, inferTypes(network))).toBe(4 * (128 + 256 + 256));
    const both = { ...network, outputs: ['first', ...network.outputs] };
    expect(activationBytes(both, inferTypes(both))).toBe(4 * (128 + 256 + 256 + 64));
  });

  it('work: multiply-adds, elements read and written, taps of pools', () => {
    const elements = 128 + 256 + (256 + 256) + 256 + (64 + 64) + (64 + 10);
    expect(multiplyAdds(network)).toBe(256 * 18 + 640);
    expect(passWork(network, inferTypes(network))).toBe(multiplyAdds(network) + 32 * (elements + 64 + 64 * 4));
  });
});

describe('limits', () => {
  const file = writeNetwork(sequential({ input: [4] }, [dense(2)]));
  it('that are none are refused by name', () => {
    const read = (limits: unknown) => () => readNetwork(file, { limits: limits as Limits });
    expect(read(5)).toThrow(TypeError);
    expect(read({ bytes: '1' })).toThrow(/limits\.bytes: expected a number, got "1"/);
    expect(read({ activations: NaN })).toThrow(RangeError);
    expect(read({ multiplyAdds: -1 })).toThrow(RangeError);
    expect(read({ multiplyAdd: 1 })).toThrow(/expected bytes, activations, multiplyAdds, got "multiplyAdd"/);
  });
  it('grow with the file beyond the free allowance: 256 and 1024 bytes and 2^22 multiply-adds for each of its own', () => {
    const asking = sequential({ input: [1, 1, 1] }, [conv(1, 1, { padding: 10_000 }), conv(1, 401), maxPool(2)]);
    const huge = withZeroBits(sequential({ input: [16] }, [dense(2, { bias: false })]), 'dense1.weight');
    const limitOf = (network: Network, text: number): [string | undefined, number] => {
      const padded = writeNetwork(network, { metadata: { story: 'x'.repeat(text) } });
      const wide = edited(padded, (d) => {
        if (network === huge) d.parameters[0].header.shape = json([2 ** 25, 16]);
      });
      const { details } = expectCode(() => readNetwork(wide), 'BUDGET');
      return [details.name, details.limit! / wide.length];
    };
    expect(limitOf(huge, 300_000)).toEqual(['limits.bytes', 256]);
    expect(limitOf(asking, 1_200_000)).toEqual(['limits.activations', 1024]);
    expect(limitOf(asking, 3_500_000)).toEqual(['limits.multiplyAdds', 2 ** 22]);
  });

  it('hold also below the defaults', () => {
    for (const of of ['bytes', 'activations', 'multiplyAdds'] as const)
      expectCode(() => readNetwork(file, { limits: { [of]: 1 } }), 'BUDGET');
    readNetwork(file, { limits: {} });
    readNetwork(file, { limits: { bytes: undefined } as unknown as Limits });
  });
});
