/** Networks to write, and files of them with something changed and the checksum made anew. */
import fc from 'fast-check';
import { CHECKSUM_KEY, writeChecked } from '../../src/container/checksum.ts';
import { readSafetensors } from '../../src/container/safetensors.ts';
import type { NamedArray } from '../../src/container/safetensors.ts';
import type { Encoding, ProductBlock, ProductEncoding } from '../../src/encodings/types.ts';
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
  maxPool,
  softmax,
} from '../../src/network/layers.ts';
import { graph, sequential } from '../../src/network/build.ts';
import type { Network } from '../../src/graph/network.ts';
import { stream } from '../../src/base/random.ts';
import type { Stream } from '../../src/base/random.ts';
import { sizeOf } from '../../src/base/tensor.ts';

/**
 * A product encoding with random codes: sub-vectors of `d` columns and a remainder, `K` codewords, signs apart or not.
 */
export function randomProduct(
  shape: readonly number[],
  d: number,
  K: number,
  signs: boolean,
  half: boolean,
  random: Stream,
): ProductEncoding {
  const rows = shape[0];
  const columns = sizeOf(shape.slice(1));
  const block = (first: number, M: number, length: number): ProductBlock => ({
    first,
    subspaceCount: M,
    subvectorLength: length,
    codewordCount: K,
    // Multiples of 1/8 below 8 are halves.
    codewords: Float32Array.from({ length: K * length }, () => Math.round(64 * random()) / 8 - 4),
    codes: Uint16Array.from({ length: rows * M }, () => Math.floor(K * random())),
    ...(signs && {
      signs: withoutRest(
        Uint8Array.from({ length: Math.ceil((rows * M * length) / 8) }, () => Math.floor(256 * random())),
        rows * M * length,
      ),
    }),
  });
  const whole = Math.floor(columns / d);
  const blocks = [
    ...(whole > 0 ? [block(0, whole, d)] : []),
    ...(columns % d > 0 ? [block(whole * d, 1, columns % d)] : []),
  ];
  return { kind: 'product', shape, blocks, codewordPrecision: half ? 'float16' : 'float32' };
}

/** Bits behind the last sign are zero. */
function withoutRest(bytes: Uint8Array, bits: number): Uint8Array {
  if (bits % 8 !== 0) bytes[bytes.length - 1] &= (1 << (bits % 8)) - 1;
  return bytes;
}

/** Weights replaced by product encodings: every one for which `choose` gives parameters. */
export function encoded(network: Network, random: Stream, share = 0.6): Network {
  const parameters = new Map(
    [...network.parameters].map(([name, encoding]): [string, Encoding] => {
      if (encoding.shape.length < 2 || random() > share) return [name, encoding];
      return [
        name,
        randomProduct(
          encoding.shape,
          1 + Math.floor(5 * random()),
          [1, 2, 3, 16, 300][Math.floor(5 * random())],
          random() < 0.5,
          random() < 0.5,
          random,
        ),
      ];
    }),
  );
  return { ...network, parameters };
}

/** Every operator, a skip, two outputs, preprocessing and task: input [2, 8, 8]. */
export function everyOperator(seed: number): Network {
  return graph(
    {
      name: 'every operator',
      seed,
      task: { kind: 'classes', classes: 3, labels: ['a', 'ü', '__proto__'] },
      preprocessing: {
        width: 8,
        height: 8,
        channels: 1,
        filter: 'bilinear',
        scale: 1 / 255,
        standardize: { kind: 'fixed', mean: [0.5], deviation: [0.25] },
      },
    },
    (builder) => {
      const x = builder.input([1, 8, 8]);
      const a = builder.node(
        leakyRelu(0.2),
        builder.node(batchNorm(), builder.node(conv(4, 3, { stride: 2, padding: [0, 1, 2, 1], dilation: 1 }), x)),
      );
      const b = builder.node(relu(), builder.node(conv(4, 3, { groups: 2, bias: false }), a));
      const sum = builder.node(add(), a, b);
      const pooled = builder.node(
        concat(),
        builder.node(maxPool(2), sum),
        builder.node(averagePool(2, { countPadding: true }), sum),
      );
      const flat = builder.node(dropout(0.25), builder.node(flatten(), pooled));
      const first = builder.node(affine(0.5, 1), builder.node(tanh(), builder.node(dense(5), flat)));
      return [builder.node(softmax(), builder.node(dense(3), builder.node(sigmoid(), first))), first];
    },
  );
}

/** A random chain, some of its weights product-encoded. */
export const networks: fc.Arbitrary<Network> = fc
  .record({
    seed: fc.nat(1e6),
    side: fc.integer({ min: 2, max: 6 }),
    filters: fc.array(fc.integer({ min: 1, max: 4 }), { maxLength: 2 }),
    units: fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 3 }),
    every: fc.boolean(),
  })
  .map(({ seed, side, filters, units, every }) => {
    const random = stream(seed, 'encodings');
    if (every) return encoded(everyOperator(seed), random);
    return encoded(
      sequential({ name: `chain ${seed}`, seed, input: [1, side, side] }, [
        ...filters.flatMap((count) => [conv(count, 3), relu()]),
        flatten(),
        ...units.map((count) => dense(count)),
      ]),
      random,
    );
  });

/** About 1.5 kB: a dense layer, and one product-encoded with signs apart. */
export function smallNetwork(): Network {
  const network = sequential(
    {
      name: 'small',
      input: [1, 2, 2],
      task: { kind: 'landmarks', points: 2, normalizeBy: [0, 1], mirror: [1, 0] },
      preprocessing: {
        width: 2,
        height: 2,
        channels: 1,
        filter: 'area',
        scale: 1 / 255,
        standardize: { kind: 'image', epsilon: 1e-3 },
      },
    },
    [flatten(), dense(3), relu(), dense(4)],
  );
  const weight = [...network.parameters.keys()][0];
  return {
    ...network,
    parameters: new Map([
      ...network.parameters,
      [weight, randomProduct([3, 4], 2, 3, true, false, stream(1, 'small'))],
    ]),
  };
}

// A description is taken apart as free JSON: what is tested is what a reader makes of any.
export interface FreeJson {
  [field: string]: FreeJson;
}

/** The file with its description changed, its tensors too if wanted, and a right checksum. */
export function edited(
  file: Uint8Array,
  change: (description: FreeJson, tensors: NamedArray[]) => unknown,
  key?: string,
): Uint8Array {
  const { tensors, metadata } = readSafetensors(file);
  // Of a network, or of encodings by themselves.
  const own = metadata.has('espalier') ? 'espalier' : 'espalier.encodings';
  const description = JSON.parse(metadata.get(own) ?? '') as FreeJson;
  const arrays = [...tensors].map(([name, stored]) => ({ ...stored, name }));
  const changed = change(description, arrays);
  const text = typeof changed === 'string' ? changed : JSON.stringify(description);
  return writeChecked(
    arrays,
    new Map([[key ?? own, text], ...[...metadata].filter(([name]) => name !== CHECKSUM_KEY && name !== own)]),
  );
}
