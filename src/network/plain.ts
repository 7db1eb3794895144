/**
 * Weights without a network: plain safetensors files, one tensor per parameter, as other programs write and read them.
 */
import { readSafetensors, writeSafetensors } from '../container/safetensors.ts';
import type { StoredArray } from '../container/safetensors.ts';
import { decode } from '../encodings/index.ts';
import type { Encoding } from '../encodings/types.ts';
import { halfToNumber } from '../encodings/half.ts';
import { checkFinite, EspalierError, show, showAll } from '../base/errors.ts';
import { ownOptions } from '../base/rules.ts';
import { operatorOf } from '../operators/table.ts';
import { sameShape } from '../base/tensor.ts';
import type { Tensor } from '../base/tensor.ts';
import type { Network } from '../graph/network.ts';

export interface PlainOptions {
  /** true: NaN and infinities are let in. Default false. */
  allowNonFinite?: boolean;
}

/**
 * The tensors of a safetensors file, as float32 (F16 and BF16 exactly, F64 rounded to the nearest). Copied: the file
 * may be let go.
 * @throws {EspalierError} UNSUPPORTED for integer tensors, NONFINITE, and whatever `readSafetensors` throws
 */
export function readPlain(input: Uint8Array | ArrayBuffer, options: PlainOptions = {}): Map<string, Tensor> {
  const { allowNonFinite = false } = ownOptions('readPlain', 'options', options, ['allowNonFinite']);
  const tensors = new Map<string, Tensor>();
  for (const [name, stored] of readSafetensors(input).tensors) {
    const data = toFloats(name, stored);
    if (!allowNonFinite) checkFinite('readPlain', name, data);
    tensors.set(name, { data, shape: stored.shape });
  }
  return tensors;
}

/** All parameters decoded, as a plain safetensors file by name. */
export function plainWeights(network: Network): Uint8Array {
  return writeSafetensors(
    [...network.parameters].map(([name, encoding]) => {
      const values = decode(encoding);
      return {
        name,
        dtype: 'F32' as const,
        shape: encoding.shape,
        bytes: new Uint8Array(values.buffer, values.byteOffset, values.byteLength),
      };
    }),
  );
}

/**
 * The network with these weights in place of its own, each stored dense. Constants of the network (such as the unit of
 * its output) may be absent and then stay.
 *
 * @throws {EspalierError} MISSING if a parameter is absent or a tensor has no place, SHAPE if one does not fit; all of
 *   them named
 */
export function withWeights(network: Network, tensors: ReadonlyMap<string, Tensor>): Network {
  const constants = new Set(
    network.nodes.flatMap((node) =>
      operatorOf(node)
        .roles.filter((rule) => rule.kind === 'constant')
        .map((rule) => node.parameters[rule.role]),
    ),
  );
  const absent = [...network.parameters.keys()].filter((name) => !tensors.has(name) && !constants.has(name));
  const extra = [...tensors.keys()].filter((name) => !network.parameters.has(name));
  if (absent.length > 0 || extra.length > 0) {
    const parts = [
      absent.length > 0 ? `no tensor for ${showAll(absent)}` : '',
      extra.length > 0 ? `no parameter for ${showAll(extra)}` : '',
    ];
    throw new EspalierError(
      'MISSING',
      `withWeights: ${parts.filter((part) => part !== '').join('; ')}; the weights belong to another network`,
      { name: [...absent, ...extra][0], found: { absent, extra } },
    );
  }
  const misfits = [...tensors].filter(
    ([name, { shape }]) => !sameShape(shape, network.parameters.get(name)?.shape ?? []),
  );
  if (misfits.length > 0) {
    const list = misfits
      .slice(0, 8)
      .map(
        ([name, { shape }]) =>
          `${show(name)} expected [${network.parameters.get(name)?.shape.join(', ')}], got [${shape.join(', ')}]`,
      )
      .join('; ');
    throw new EspalierError(
      'SHAPE',
      `withWeights: ${list}${misfits.length > 8 ? ` and ${misfits.length - 8} more` : ''}`,
      { name: misfits[0][0], found: misfits[0][1].shape },
    );
  }
  const parameters = new Map(
    [...network.parameters].map(([name, before]): [string, Encoding] => {
      const found = tensors.get(name);
      return [name, found === undefined ? before : { kind: 'dense', shape: found.shape, data: found.data.slice() }];
    }),
  );
  return { ...network, parameters };
}

function toFloats(name: string, { dtype, bytes }: StoredArray): Float32Array {
  // A copy begins at an aligned address, which a view of the file need not.
  const { buffer } = new Uint8Array(bytes);
  switch (dtype) {
    case 'F32':
      return new Float32Array(buffer);
    case 'F64':
      return Float32Array.from(new Float64Array(buffer));
    case 'F16':
      return Float32Array.from(new Uint16Array(buffer), halfToNumber);
    // The upper half of a float32.
    case 'BF16':
      return new Float32Array(Uint32Array.from(new Uint16Array(buffer), (bits) => bits << 16).buffer);
    default:
      throw new EspalierError(
        'UNSUPPORTED',
        `readPlain: tensor ${show(name)} is of ${dtype}; weights are F32, F16, BF16 or F64`,
        { name, found: dtype },
      );
  }
}
