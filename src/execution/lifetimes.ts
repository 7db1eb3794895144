/**
 * Lifetimes: which values of a network share a stretch of the heap, what is fused with what, and from when until when each
 * stretch is needed. Nothing here depends on offsets.
 *
 * A *storage* is a stretch of the heap that one or several values share (a view, an activation in place). Each has a time
 * from its first write to its last read. Time runs over the nodes: forward pass of node i at i, the loss at N, the backward
 * pass of node i at 2 N - i.
 */
import { show } from '../base/errors.ts';
import { sizeOf } from '../base/tensor.ts';
import type { Network, Node } from '../graph/network.ts';
import { consumersOf, outputsOf, producersOf } from '../graph/walk.ts';
import { inferTypes } from '../network/shapes.ts';
import { takesMaps } from '../operators/define.ts';
import { operatorOf } from '../operators/table.ts';
import type { ValueType } from '../operators/types.ts';
import { align } from './placement.ts';
import type { Storage } from './placement.ts';

/** Which values share a storage, what is fused, what is read by whom. */
export interface Structure {
  readonly network: Network;
  readonly batch: number;
  /** Per sample, of network inputs and values. */
  readonly types: ReadonlyMap<string, ValueType>;
  /** Position of the producing node; -1 for network inputs. */
  readonly producer: ReadonlyMap<string, number>;
  readonly consumers: ReadonlyMap<string, readonly number[]>;
  /** Outputs and watched values: kept to the end, never overwritten. */
  readonly observed: ReadonlySet<string>;
  /** Node positions whose activation is applied by the node before them. */
  readonly fused: ReadonlySet<number>;
  /** Inference only: node positions whose map per channel is multiplied into the weights of the layer before them. */
  readonly folded: ReadonlySet<number>;
  readonly storage: ReadonlyMap<string, Storage>;
}

/** What the backward pass reads of a node's values; the inference planner passes undefined: nothing is. */
export type Reads = (node: Node) => { readonly inputs: boolean; readonly output: boolean };

/** Position of the one node that reads a value, once and unobserved; else -1. */
export function soleConsumer(structure: Pick<Structure, 'consumers' | 'observed'>, value: string): number {
  const consumers = structure.consumers.get(value) ?? [];
  return consumers.length === 1 && !structure.observed.has(value) ? consumers[0] : -1;
}

/** Words of a value for a whole batch. */
export function wordsOf({ batch, types }: Pick<Structure, 'batch' | 'types'>, value: string): number {
  return batch * sizeOf(types.get(value)!.shape);
}

/** The lifetimes of a network's values. @throws {EspalierError} as `inferTypes`; {RangeError} for a name that is watched and is no value */
export function analyse(
  who: string,
  network: Network,
  batch: number,
  watch: readonly string[],
  reads: Reads | undefined,
): Structure {
  const types = inferTypes(network);
  const { nodes } = network;
  const end = 2 * nodes.length;
  const producer = producersOf(network);
  const consumers = consumersOf(network);
  for (const name of watch) {
    if (!types.has(name)) throw new RangeError(`${who}: watch: expected names of values, got ${show(name)}`);
  }
  const observed = new Set([...network.outputs, ...watch]);
  const partial = { consumers, observed };
  const fused = new Set<number>();
  const folded = new Set<number>();
  const storage = new Map<string, Storage>();
  // Storages whose contents the caller (inputs) or the backward pass needs as they are: nothing may be computed in place
  // over them.
  const needed = new Set<Storage>();
  const storageFor = (value: string, from: number, until: number): Storage => ({
    words: align(wordsOf({ batch, types }, value)),
    from,
    until,
    offset: 0,
  });
  for (const { name } of network.inputs) {
    const input = storageFor(name, -1, Infinity);
    storage.set(name, input);
    needed.add(input);
  }

  nodes.forEach((node, i) => {
    const operator = operatorOf(node);
    const [first] = node.inputs;
    const source = storage.get(first);
    const sole = soleConsumer(partial, first) === i;
    const before: Node | undefined = sole ? nodes[producer.get(first)!] : undefined;
    const takesIn = before && outputsOf(before).length === 1 ? operatorOf(before).takesIn : undefined;
    const read = reads?.(node);
    // Without a source the first operand is a constant, which nothing may be written over.
    const isFree = source !== undefined && !needed.has(source);
    const isFused = isFree && operator.activation && takesIn?.activation;
    const followsMaps =
      before && ((takesIn && takesMaps({ takesIn }, types.get(first)!.shape)) || folded.has(producer.get(first)!));
    const isFolded = source && !reads && operator.channelMap && followsMaps;
    const liesInPlace = operator.inPlace === 'view' || (operator.inPlace === 'overwrite' && isFree && !read?.inputs);
    if (isFused) fused.add(i);
    else if (isFolded) folded.add(i);
    const own =
      isFused || isFolded || (source && sole && liesInPlace && sharesWords({ types }, first, node))
        ? source
        : undefined;
    outputsOf(node).forEach((value, which) => {
      const place = (which === 0 ? own : undefined) ?? storageFor(value, i, i);
      storage.set(value, place);
      if (read?.output) {
        needed.add(place);
        place.until = Math.max(place.until, end - i);
      }
      if (observed.has(value)) place.until = Infinity;
    });
    for (const name of node.inputs) {
      const input = storage.get(name);
      if (!input) continue;
      input.until = Math.max(input.until, read?.inputs ? end - i : i);
      if (read?.inputs) needed.add(input);
    }
  });
  return { network, batch, types, producer, consumers, observed, fused, folded, storage };
}

/** Whether the first value of a node has as many elements as one of its inputs, so that it can lie there: a sum may stretch its operand. */
export function sharesWords({ types }: Pick<Structure, 'types'>, input: string, node: Node): boolean {
  const [own] = outputsOf(node);
  return sizeOf(types.get(input)!.shape) === sizeOf(types.get(own)!.shape);
}
