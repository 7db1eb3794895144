/**
 * What a file may ask for, measured before anything is set aside for it: memory for its parameters, memory and work for a
 * pass over one sample. A few hundred bytes can describe a network that no machine runs.
 */
import { EspalierError, show } from '../base/errors.ts';
import { sizeOf } from '../base/tensor.ts';
import type { Shape } from '../base/tensor.ts';
import type { Network, Node } from '../graph/network.ts';
import { outputsOf, parametersOf } from '../graph/walk.ts';
import type { ValueType } from '../operators/types.ts';
import { nodeWork } from './shapes.ts';

/**
 * The most that a file may ask for; beyond it reading is a BUDGET error that says what it would take. Each default is a
 * free allowance or, if that is more, a multiple of the file's bytes, so that time and memory are linear in what came.
 */
export interface Limits {
  /**
   * Bytes of the parameters decoded, 4 a weight. One that serves several nodes counts for each, since each lays it out
   * for its kernel. Default: 64 MiB, or 256 times the file (8 weights to a code of one byte are 32 times).
   */
  bytes?: number;
  /** Bytes of the values that live at one time in a pass over one sample. Default: 1 GiB, or 1024 times the file. */
  activations?: number;
  /**
   * Of a pass over one sample; an element read or written, or a tap of a pool, counts as 32, about what it takes.
   * Default: 2^36 (7e10, seconds to half a minute), or 2^22 for each byte of the file (8 weights to a byte, each for
   * 724 x 724 positions).
   */
  multiplyAdds?: number;
}

/** For a file that is trusted: it may ask for whatever the machine has. */
export const NO_LIMITS: Required<Limits> = { bytes: Infinity, activations: Infinity, multiplyAdds: Infinity };

const FREE: Required<Limits> = { bytes: 2 ** 26, activations: 2 ** 30, multiplyAdds: 2 ** 36 };
const PER_BYTE: Required<Limits> = { bytes: 256, activations: 1024, multiplyAdds: 2 ** 22 };
const NAMES = ['bytes', 'activations', 'multiplyAdds'] as const satisfies readonly (keyof Limits)[];

const ASKS = {
  bytes: 'its parameters decode to %s bytes',
  activations: 'a pass over one sample holds %s bytes of values at one time',
  multiplyAdds: 'a pass over one sample takes %s multiply-adds',
} as const;

/** Refuses more than the limits. @throws {EspalierError} BUDGET */
export type Budget = (of: keyof Limits, found: number) => void;

/** The limits for a file of so many bytes, defaults filled in. @throws {TypeError | RangeError} for what is no limit */
export function budgetOf(who: string, fileBytes: number, limits: Limits = {}): Budget {
  if (typeof limits !== 'object' || limits === null)
    throw new TypeError(`${who}: limits: expected an object, got ${show(limits)}`);
  for (const name of Object.keys(limits)) {
    if (!NAMES.includes(name as keyof Limits))
      throw new RangeError(`${who}: limits: expected ${NAMES.join(', ')}, got ${show(name)}`);
  }
  const most = (of: keyof Limits): number => {
    const limit = Object.hasOwn(limits, of) ? limits[of] : undefined;
    if (limit === undefined) return Math.max(FREE[of], PER_BYTE[of] * fileBytes);
    if (typeof limit !== 'number') throw new TypeError(`${who}: limits.${of}: expected a number, got ${show(limit)}`);
    if (!(limit >= 0)) throw new RangeError(`${who}: limits.${of}: expected a number from 0, got ${limit}`);
    return limit;
  };
  const all = { bytes: most('bytes'), activations: most('activations'), multiplyAdds: most('multiplyAdds') };
  return (of, found) => {
    if (found <= all[of]) return;
    throw new EspalierError(
      'BUDGET',
      `${who}: ${ASKS[of].replace('%s', String(found))}; a file of ${fileBytes} bytes may ask for ${all[of]}. If the file is trusted, raise the limit: { limits: { ${of}: ${found} } } (on the command line --no-limits)`,
      { name: `limits.${of}`, limit: all[of], found },
    );
  };
}

/**
 * Bytes that parameters of these shapes take when decoded, each once for every node that it serves.
 */
export function decodedBytes(
  parameters: Iterable<{ readonly name: string; readonly shape: Shape }>,
  nodes: readonly Node[],
): number {
  const uses = new Map<string, number>();
  for (const node of nodes) for (const name of parametersOf(node)) uses.set(name, (uses.get(name) ?? 0) + 1);
  let bytes = 0;
  for (const { name, shape } of parameters) bytes += 4 * sizeOf(shape) * Math.max(1, uses.get(name) ?? 0);
  return bytes;
}

/** Bytes of the values that live at one time in a pass over one sample, at most: from the node that yields each to the last that reads it. */
export function activationBytes({ inputs, nodes, outputs }: Network, types: ReadonlyMap<string, ValueType>): number {
  const bytesOf = (name: string): number => 4 * sizeOf(types.get(name)?.shape ?? []);
  const lastReader = new Map<string, number>();
  nodes.forEach((node, i) => node.inputs.forEach((name) => lastReader.set(name, i)));
  // Both are kept to the end: the one for the caller to write before a pass, the other to read after it.
  for (const name of [...inputs.map((input) => input.name), ...outputs]) lastReader.set(name, nodes.length);
  let alive = inputs.reduce((sum, { name }) => sum + bytesOf(name), 0);
  let most = alive;
  nodes.forEach((node, i) => {
    const made = outputsOf(node);
    for (const name of made) alive += bytesOf(name);
    most = Math.max(most, alive);
    for (const name of new Set(node.inputs)) if (types.has(name) && lastReader.get(name) === i) alive -= bytesOf(name);
    for (const name of made) if (!lastReader.has(name)) alive -= bytesOf(name);
  });
  return most;
}

/** Multiply-adds of a pass over one sample, or what else a node does where that is more. */
export function passWork(network: Network, types: ReadonlyMap<string, ValueType>): number {
  return network.nodes.reduce((sum, node) => sum + nodeWork(network, node, types), 0);
}
