/**
 * Weights without a network: plain safetensors files, one tensor per parameter, as other programs write and read them.
 */
import { unpackSafetensors } from '../container/packed.ts';
import { readSafetensors, writeSafetensors } from '../container/safetensors.ts';
import type { Dtype, StoredArray } from '../container/safetensors.ts';
import { decode, denseEncoding } from '../encodings/index.ts';
import type { Encoding } from '../encodings/types.ts';
import { halfToNumber } from '../encodings/half.ts';
import { checkFinite, checkOneOf, EspalierError, show, showAll, withMemory } from '../base/errors.ts';
import { ownOptions } from '../base/rules.ts';
import { operatorOf } from '../operators/table.ts';
import { sameShape } from '../base/tensor.ts';
import type { Shape, Tensor } from '../base/tensor.ts';
import { editDistance } from '../base/edit-distance.ts';
import { checkFloat32 } from '../base/float32.ts';
import type { Network } from '../graph/network.ts';

export interface PlainOptions {
  /** true: NaN and infinities are let in. Default false. */
  allowNonFinite?: boolean;
}

/** The weights of a file, and what else is in it. */
export interface PlainWeights {
  /** By name, in the order of the file. */
  readonly tensors: Map<string, Tensor>;
  /** Tensors of integers or bools, which are no weights: counters such as `num_batches_tracked`, positions, masks. */
  readonly skipped: readonly { readonly name: string; readonly dtype: Dtype; readonly shape: Shape }[];
}

/**
 * The tensors of a safetensors file, as float32 (F16 and BF16 exactly, F64 rounded to the nearest). Copied: the file
 * may be let go. Integers are left out and named; `readSafetensors` gives their bytes.
 * @throws {EspalierError} NONFINITE, RANGE for a number beyond float32, MEMORY, and whatever `readSafetensors` throws
 * @example
 * import { readPlain, withWeights } from 'espalier/network';
 * const { tensors, skipped } = readPlain(bytes);
 * const trained = withWeights(network, tensors);
 */
export function readPlain(input: Uint8Array | ArrayBuffer, options: PlainOptions = {}): PlainWeights {
  const { allowNonFinite = false } = ownOptions('readPlain', 'options', options, ['allowNonFinite']);
  const tensors = new Map<string, Tensor>();
  const skipped: PlainWeights['skipped'][number][] = [];
  for (const [name, stored] of unpackSafetensors(readSafetensors(input)).tensors) {
    const { dtype, shape } = stored;
    const data = withMemory('readPlain', () => toFloats(name, stored));
    if (!data) {
      skipped.push({ name, dtype, shape });
      continue;
    }
    if (!allowNonFinite) checkFinite('readPlain', name, data);
    tensors.set(name, { data, shape });
  }
  return { tensors, skipped };
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

export interface WeightsOptions {
  /** What becomes of tensors that no parameter is called: 'refuse' (default) or 'drop'. */
  extras?: 'refuse' | 'drop';
}

/**
 * The network with these weights in place of its own, each stored dense. Constants of the network (such as the unit of
 * its output) may be absent and then stay.
 *
 * @throws {EspalierError} MISSING if a parameter is absent (with the tensor of its shape whose name is nearest) or a
 *   tensor has no place, SHAPE if one does not fit; all of them named
 */
export function withWeights(
  network: Network,
  tensors: ReadonlyMap<string, Tensor>,
  options: WeightsOptions = {},
): Network {
  const { extras: wanted = 'refuse' } = ownOptions('withWeights', 'options', options, ['extras']);
  const extras = checkOneOf('withWeights', 'extras', wanted, ['refuse', 'drop']);
  const constants = new Set(
    network.nodes.flatMap((node) =>
      operatorOf(node)
        .roles.filter((rule) => rule.kind === 'constant')
        .map((rule) => node.parameters[rule.role]),
    ),
  );
  const absent = [...network.parameters.keys()].filter((name) => !tensors.has(name) && !constants.has(name));
  const extra = [...tensors.keys()].filter((name) => !network.parameters.has(name));
  if (absent.length > 0 || (extra.length > 0 && extras === 'refuse')) {
    const near = suggestions(network, absent, extra, tensors);
    const parts = [
      absent.length > 0 ? `no tensor for ${showAll(absent)}` : '',
      extra.length > 0 ? `no parameter for ${showAll(extra)}` : '',
      near.length > 0
        ? `nearest of the same shape: ${near.map(([name, found]) => `${show(found)} for ${show(name)}`).join(', ')}; give the tensors these names`
        : absent.length > 0
          ? 'the weights belong to another network'
          : "the weights belong to another network, or leave these out with { extras: 'drop' }",
    ];
    throw new EspalierError('MISSING', `withWeights: ${parts.filter((part) => part !== '').join('; ')}`, {
      name: [...absent, ...extra][0],
      found: { absent, extra, suggested: Object.fromEntries(near) },
    });
  }
  const misfits = [...tensors].filter(([name, { shape }]) => {
    const parameter = network.parameters.get(name);
    return parameter && !sameShape(shape, parameter.shape);
  });
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
      return [name, found === undefined ? before : denseEncoding(found)];
    }),
  );
  return { ...network, parameters };
}

/** Parameters that are named with a suggestion, tensors that are looked at for each, and letters of their names. */
const SUGGESTED = 8;
const LOOKED_AT = 500;
const NAME_LETTERS = 80;

/** For the first parameters that are absent the tensor of the same shape whose name is nearest, none of them twice. */
function suggestions(
  network: Network,
  absent: readonly string[],
  extra: readonly string[],
  tensors: ReadonlyMap<string, Tensor>,
): [name: string, found: string][] {
  const taken = new Set<string>();
  return absent.slice(0, SUGGESTED).flatMap((name): [string, string][] => {
    const shape = network.parameters.get(name)?.shape ?? [];
    const [near] = extra
      .filter((other) => !taken.has(other) && sameShape(tensors.get(other)?.shape ?? [-1], shape))
      .slice(0, LOOKED_AT)
      .map((other) => ({ other, distance: nameDistance(name, other) }))
      .sort((a, b) => a.distance - b.distance);
    if (near === undefined) return [];
    taken.add(near.other);
    return [[name, near.other]];
  });
}

/** What other programs call the roles of batch norm. */
const ROLES: ReadonlyMap<string, string> = new Map([
  ['running_mean', 'mean'],
  ['running_var', 'variance'],
  ['gamma', 'scale'],
  ['beta', 'shift'],
  ['kernel', 'weight'],
]);

/** Another role counts more than all letters of the layer's name; the order of the file decides between equals. */
function nameDistance(parameter: string, tensor: string): number {
  const [layer, role] = lastDot(parameter);
  const [otherLayer, otherRole] = lastDot(tensor);
  const alike =
    role === otherRole ||
    role === ROLES.get(otherRole) ||
    // PyTorch's batch norm calls scale and shift weight and bias.
    (role === 'scale' && otherRole === 'weight') ||
    (role === 'shift' && otherRole === 'bias');
  return (alike ? 0 : NAME_LETTERS) + editDistance(layer.slice(-NAME_LETTERS), otherLayer.slice(-NAME_LETTERS));
}

function lastDot(name: string): [before: string, after: string] {
  const at = name.lastIndexOf('.');
  return at < 0 ? ['', name] : [name.slice(0, at), name.slice(at + 1)];
}

/** Floats, or undefined of integers and bools. */
function toFloats(name: string, { dtype, bytes }: StoredArray): Float32Array | undefined {
  // A copy begins at an aligned address, which a view of the file need not.
  const { buffer } = new Uint8Array(bytes);
  switch (dtype) {
    case 'F32':
      return new Float32Array(buffer);
    case 'F64':
      return toFloat32Each(name, new Float64Array(buffer));
    case 'F16':
      return Float32Array.from(new Uint16Array(buffer), halfToNumber);
    // The upper half of a float32.
    case 'BF16':
      return new Float32Array(Uint32Array.from(new Uint16Array(buffer), (bits) => bits << 16).buffer);
    default:
      return undefined;
  }
}

/** Rounded to the nearest; weights are not told apart by their place in a range, so only the range of float32 counts. */
function toFloat32Each(name: string, values: Float64Array): Float32Array {
  for (const value of values) checkFloat32('readPlain', name, value);
  return Float32Array.from(values);
}
