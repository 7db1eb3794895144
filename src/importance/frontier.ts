/**
 * Passes of the same samples through networks that change from front to back: values are kept at a cut of the graph,
 * and the next pass begins there. So a walk over all layers costs one pass in all, not one for each.
 *
 * A cut stands before a node, in the order of the nodes; what is kept are the values that are made before it and read
 * behind it. They hold for another network too if the nodes before the cut and their parameters are the same objects.
 */
import type { RunControl } from '../base/control.ts';
import { sizeOf } from '../base/tensor.ts';
import type { FloatArray } from '../base/tensor.ts';
import { createExecutor } from '../execution/executor.ts';
import type { Executor } from '../execution/types.ts';
import type { Network, NetworkInput, Node } from '../graph/network.ts';
import { constantInputsOf, outputsOf, parametersOf, producersOf } from '../graph/walk.ts';
import type { KernelSet } from '../kernels/types.ts';
import { inferTypes } from '../network/shapes.ts';

/** Shows a batch: the values by name, (rows, ...shape) of which the first `count` are samples `first`, `first` + 1, ... */
export type Visit = (valueOf: (name: string) => FloatArray, first: number, count: number) => void;

export interface Frontier {
  /**
   * All samples through a network, as far as `values` need it, from the cut if they lie behind it. The new cut is before
   * node `end`, where there is room for it; it stays where it was if not.
   * @param end - the nodes before it yield the values; those behind it will be asked about next
   */
  pass(network: Network, values: readonly string[], end: number, visit: Visit): Promise<void>;
}

export interface FrontierOptions {
  readonly samples: number;
  /** Samples per pass. */
  readonly batch: number;
  /** Numbers that may be kept; while a new cut is made the old one is there too. 0: every pass is from the inputs on. */
  readonly room: number;
  readonly kernels: KernelSet;
  readonly threads: number;
  readonly control: RunControl;
  /** Inputs (count, ...) from a sample on. */
  inputsOf(first: number, count: number): Promise<Float32Array>;
}

interface Cut {
  readonly end: number;
  /** What came before it: nodes, and the encodings that they read. */
  readonly nodes: readonly Node[];
  readonly parameters: readonly unknown[];
  /** (samples, ...shape) by name; the network's input, which is at hand anyway, is not among them. */
  readonly values: ReadonlyMap<string, Float32Array>;
}

const START: Cut = { end: 0, nodes: [], parameters: [], values: new Map() };

/** A frontier before the first node. */
export function createFrontier({
  samples,
  batch,
  room,
  kernels,
  threads,
  control,
  inputsOf,
}: FrontierOptions): Frontier {
  const rows = Math.min(batch, samples);
  let cut = START;
  return {
    async pass(network, values, end, visit) {
      const [input] = network.inputs;
      const producers = producersOf(network);
      const types = inferTypes(network);
      const isAtHand = (name: string): boolean => (producers.get(name) ?? -1) >= cut.end || cut.values.has(name);
      if (!holdsFor(cut, network) || !values.every((name) => name === input.name || isAtHand(name))) cut = START;
      const { end: begin, values: kept } = cut;

      const live = room > 0 && end > begin ? readBehind(network, end, producers) : [];
      const needed = live.filter((name) => name !== input.name);
      const sizes = new Map(needed.map((name) => [name, sizeOf(types.get(name)?.shape ?? [])]));
      const numbers = samples * needed.reduce((sum, name) => sum + sizes.get(name)!, 0);
      const moves =
        room > 0 && end > begin && numbers <= room && needed.every((name) => types.get(name)?.type === 'float');
      const made = (name: string): boolean => (producers.get(name) ?? -1) >= begin;
      const next = new Map(
        moves ? needed.map((name) => [name, kept.get(name) ?? new Float32Array(samples * sizes.get(name)!)]) : [],
      );

      const wanted = new Set([...values, ...next.keys()].filter(made));
      const part = partOf(network, begin, [...wanted], (name) => ({ name, shape: types.get(name)!.shape }));
      const executor: Executor | undefined =
        part.nodes.length === 0 ? undefined : await createExecutor(part, { batch: rows, kernels, threads });
      const readsInput = values.includes(input.name) || part.inputs.some(({ name }) => name === input.name);
      try {
        for (let first = 0; first < samples; first += rows) {
          await control.pause();
          const count = Math.min(rows, samples - first);
          const inputs = readsInput ? await inputsOf(first, count) : undefined;
          const keptOf = (name: string): Float32Array => {
            if (name === input.name) return inputs!;
            const all = kept.get(name)!;
            const size = all.length / samples;
            return all.subarray(first * size, (first + count) * size);
          };
          for (const { name } of part.inputs) executor!.input(name).set(keptOf(name));
          executor?.forward();
          const valueOf = (name: string): FloatArray => (wanted.has(name) ? executor!.output(name) : keptOf(name));
          for (const [name, all] of next) {
            if (!wanted.has(name)) continue;
            const size = all.length / samples;
            all.set(valueOf(name).subarray(0, count * size), first * size);
          }
          visit(valueOf, first, count);
        }
      } finally {
        executor?.dispose();
      }
      if (moves) cut = { end, nodes: network.nodes.slice(0, end), parameters: readBefore(network, end), values: next };
    },
  };
}

function holdsFor({ end, nodes, parameters }: Cut, network: Network): boolean {
  const now = readBefore(network, end);
  return (
    nodes.every((node, i) => node === network.nodes[i]) &&
    parameters.length === now.length &&
    parameters.every((encoding, i) => encoding === now[i])
  );
}

/** Encodings of the parameters and constants of the nodes before one. */
function readBefore({ nodes, parameters }: Network, end: number): unknown[] {
  return nodes
    .slice(0, end)
    .flatMap((node) => [...parametersOf(node), ...node.inputs].map((name) => parameters.get(name)));
}

/** Values made before a node and read by it or behind it. */
function readBehind({ nodes }: Network, end: number, producers: ReadonlyMap<string, number>): string[] {
  const read = new Set(nodes.slice(end).flatMap(({ inputs }) => inputs));
  return [...read].filter((name) => (producers.get(name) ?? Infinity) < end);
}

/** The nodes from `begin` on that some values need, with these as outputs; what they read from before it are inputs. */
function partOf(
  network: Network,
  begin: number,
  values: readonly string[],
  inputOf: (name: string) => NetworkInput,
): Network {
  const wanted = new Set(values);
  const nodes: Node[] = [];
  for (const node of network.nodes.slice(begin).reverse()) {
    if (!outputsOf(node).some((name) => wanted.has(name))) continue;
    nodes.unshift(node);
    for (const name of node.inputs) wanted.add(name);
  }
  const constants = constantInputsOf(network);
  const made = new Set(nodes.flatMap(outputsOf));
  const read = new Set(nodes.flatMap(({ inputs }) => inputs));
  const used = new Set([...nodes.flatMap(parametersOf), ...[...read].filter((name) => constants.has(name))]);
  return {
    name: network.name,
    inputs: [...read].filter((name) => !made.has(name) && !constants.has(name)).map(inputOf),
    nodes,
    outputs: [...values],
    parameters: new Map([...network.parameters].filter(([name]) => used.has(name))),
  };
}
