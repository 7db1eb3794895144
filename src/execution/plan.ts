/**
 * Planning: where every value of a network lies on the heap, and which kernel calls make up a pass. Nothing runs here.
 *
 * A *storage* is a stretch of the heap that one or several values share (a view, an activation in place). Each has a
 * time from its first write to its last read; storages whose times do not meet may share words. Time runs over the
 * nodes: forward pass of node i at i, the loss at N, the backward pass of node i at 2 N - i.
 */
import { checkLengths, decodeOnHeap, fillEncoding, placeEncoding, trainedCount } from '../encodings/reading.ts';
import type { Encoding, EncodingPlace } from '../encodings/types.ts';
import { checkInteger, EspalierError, show } from '../base/errors.ts';
import type { Heap, KernelName, KernelSet, Step } from '../kernels/types.ts';
import type { Network, Node } from '../graph/network.ts';
import type { NodeOf, ParameterRole } from '../graph/network.ts';
import { activationOf } from '../operators/activation.ts';
import { operatorOf } from '../operators/inference.ts';
import { channelMapOf } from '../operators/normalization.ts';
import { cut } from '../operators/rules.ts';
import { inferShapes } from '../operators/shapes.ts';
import type { ChannelMap, Plan, Value } from '../operators/types.ts';
import type { Operations, Run } from '../kernels/specification/operations.ts';
import type { Shape } from '../base/tensor.ts';
import { sizeOf } from '../base/tensor.ts';
import type { ExecutorOptions } from './types.ts';

/** Words are handed out in multiples of four: 16 bytes, the width of a SIMD register. */
const align = (words: number): number => Math.ceil(words / 4) * 4;

export interface Storage {
  words: number;
  from: number;
  until: number;
  offset: number;
}

/** Which values share a storage, what is fused, what is read by whom: all that does not depend on offsets. */
export interface Structure {
  readonly network: Network;
  readonly batch: number;
  readonly shapes: ReadonlyMap<string, Shape>;
  /** Position of the producing node; -1 for network inputs. */
  readonly producer: ReadonlyMap<string, number>;
  readonly consumers: ReadonlyMap<string, readonly number[]>;
  /** Outputs and watched values: kept to the end, never overwritten. */
  readonly observed: ReadonlySet<string>;
  /** Node positions whose activation is applied by the node before them. */
  readonly fused: ReadonlySet<number>;
  /**
   * Inference only: node positions (batch normalization, affine) that are multiplied into the weights of the
   * convolution or dense layer before them.
   */
  readonly folded: ReadonlySet<number>;
  readonly storage: ReadonlyMap<string, Storage>;
}

/** What the backward pass reads of a node's values; the inference planner passes a function that says nothing is. */
export type Reads = (node: Node) => { readonly inputs: boolean; readonly output: boolean };

export function soleConsumer(structure: Pick<Structure, 'consumers' | 'observed'>, value: string): number {
  const consumers = structure.consumers.get(value) ?? [];
  return consumers.length === 1 && !structure.observed.has(value) ? consumers[0] : -1;
}

export function analyse(
  who: string,
  network: Network,
  batch: number,
  watch: readonly string[],
  reads: Reads | undefined,
): Structure {
  const shapes = inferShapes(network);
  const { nodes } = network;
  const end = 2 * nodes.length;
  const producer = new Map<string, number>();
  const consumers = new Map<string, number[]>();
  for (const { name } of network.inputs) producer.set(name, -1);
  nodes.forEach((node, i) => {
    producer.set(node.name, i);
    for (const name of node.inputs) {
      const users = consumers.get(name);
      if (users) users.push(i);
      else consumers.set(name, [i]);
    }
  });
  for (const name of watch) {
    if (!shapes.has(name)) throw new RangeError(`${who}: watch: expected names of values, got ${show(name)}`);
  }
  const observed = new Set([...network.outputs, ...watch]);
  const partial = { consumers, observed };
  const fused = new Set<number>();
  const folded = new Set<number>();
  const storage = new Map<string, Storage>();
  // Storages whose contents the caller (inputs) or the backward pass needs as they are: nothing may be computed in
  // place over them.
  const needed = new Set<Storage>();
  for (const { name, shape } of network.inputs) {
    const input = { words: align(batch * sizeOf(shape)), from: -1, until: Infinity, offset: 0 };
    storage.set(name, input);
    needed.add(input);
  }

  nodes.forEach((node, i) => {
    const operator = operatorOf(node.kind);
    const [first] = node.inputs;
    const source = storage.get(first)!;
    const sole = soleConsumer(partial, first) === i;
    const before: Node | undefined = sole ? nodes[producer.get(first)!] : undefined;
    const read = reads?.(node);
    let own: Storage | undefined;
    if (
      (node.kind === 'relu' || node.kind === 'leakyRelu') &&
      before &&
      operatorOf(before.kind).fusesActivation &&
      !needed.has(source)
    ) {
      fused.add(i);
      own = source;
    } else if (
      !reads &&
      isChannelMap(node) &&
      before &&
      (operatorOf(before.kind).foldsChannelMaps || folded.has(producer.get(first)!))
    ) {
      folded.add(i);
      own = source;
    } else if (
      sole &&
      (operator.inPlace === 'view' || (operator.inPlace === 'overwrite' && !needed.has(source) && !read?.inputs))
    ) {
      own = source;
    }
    own ??= { words: align(batch * sizeOf(shapes.get(node.name)!)), from: i, until: i, offset: 0 };
    storage.set(node.name, own);
    if (read?.output) {
      needed.add(own);
      own.until = Math.max(own.until, end - i);
    }
    for (const name of node.inputs) {
      const input = storage.get(name)!;
      input.until = Math.max(input.until, read?.inputs ? end - i : i);
      if (read?.inputs) needed.add(input);
    }
    if (observed.has(node.name)) own.until = Infinity;
  });
  return { network, batch, shapes, producer, consumers, observed, fused, folded, storage };
}

function isChannelMap(node: Node): node is NodeOf<'affine' | 'batchNorm'> {
  return node.kind === 'affine' || node.kind === 'batchNorm';
}

/**
 * Gives storages offsets, largest first, each the lowest place that is free during its time. Returns the words used.
 */
export function place(storages: Iterable<Storage>): number {
  // In ascending order of their offsets: a network from a file may have tens of thousands, too many to sort anew for
  // each.
  const placed: Storage[] = [];
  let top = 0;
  for (const storage of [...new Set(storages)].sort((a, b) => b.words - a.words)) {
    let offset = 0;
    for (const other of placed) {
      if (other.offset >= offset + storage.words) break;
      if (other.from <= storage.until && storage.from <= other.until)
        offset = Math.max(offset, other.offset + other.words);
    }
    storage.offset = offset;
    let [low, high] = [0, placed.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (placed[middle].offset <= offset) low = middle + 1;
      else high = middle;
    }
    placed.splice(low, 0, storage);
    top = Math.max(top, offset + storage.words);
  }
  return top;
}

/** A parameter on the heap: its dense values and, where it is encoded, what they are decoded from. */
export interface PlacedParameter {
  readonly name: string;
  readonly encoding: Encoding;
  /** Offset of the dense values that operators read. */
  readonly dense: number;
  /** Offset and number of the values that training moves: the dense values, or what they are decoded from. */
  readonly values: number;
  readonly count: number;
  readonly place: EncodingPlace;
  /** What makes the dense values of the others. */
  readonly decode: readonly Step[];
}

/**
 * A part of preparation: steps behind a parameter that is put in its place right before them, where it does not stay.
 */
export interface Stage {
  readonly parameter?: PlacedParameter | undefined;
  readonly steps: Step[];
}

export interface Layout {
  readonly structure: Structure;
  readonly kernels: KernelSet;
  readonly parameters: ReadonlyMap<string, PlacedParameter>;
  /** Words in use so far. */
  top: number;
  scratchWords: number;
  readonly stages: Stage[];
  allocate(words: number): number;
  integers(values: readonly number[]): number;
  floats(values: readonly number[]): number;
  value(name: string): Value;
  /** What is prepared from here on comes behind the weight of this node, if that does not stay. */
  beginStage(node: Node): void;
  /** A plan for the node at position i that writes its steps to `steps`. */
  planNode(i: number, mode: Plan['mode'], steps: Step[]): Plan;
  /** Puts constants and parameters on a heap, but for those that {@link stages} bring. */
  fill(heap: Heap): void;
}

/** Parameters that only preparation reads: packed, or multiplied with what follows, wherever they are used. */
function passingParameters(structure: Structure): Set<string> {
  const passing = new Set<string>();
  const lasting = new Set<string>();
  for (const { kind, name: node, parameters } of structure.network.nodes) {
    const { packsWeight, foldsChannelMaps } = operatorOf(kind);
    const isPassing = packsWeight || (foldsChannelMaps && structure.folded.has(soleConsumer(structure, node)));
    for (const [role, name] of Object.entries(parameters))
      (role === 'weight' && isPassing ? passing : lasting).add(name);
  }
  for (const name of lasting) passing.delete(name);
  return passing;
}

/**
 * Offsets for parameters, constants and everything that is asked for, above the `valueWords` that {@link place} used.
 * @param once - preparation is run once, before values are written: what it alone reads (weights that are packed,
 *   codes) lies where they will, one parameter after the other in the same place, so that the heap holds no weight
 *   twice
 */
export function createLayout(structure: Structure, kernels: KernelSet, valueWords: number, once: boolean): Layout {
  const { network, batch, shapes, storage, fused, folded } = structure;
  const constants: { offset: number; values: readonly number[]; kind: 'float' | 'int' }[] = [];
  const kept = new Map<string, number>();
  const pool: { offset: number; words: number; user: number }[] = [];
  const parameters = new Map<string, PlacedParameter>();
  const stages: Stage[] = [];

  const allocate = (words: number): number => {
    const offset = layout.top;
    layout.top += align(words);
    return offset;
  };
  const constant = (values: readonly number[], kind: 'float' | 'int'): number => {
    const offset = allocate(values.length);
    constants.push({ offset, values, kind });
    return offset;
  };
  const value = (name: string): Value => {
    const shape = [batch, ...shapes.get(name)!];
    return { offset: storage.get(name)!.offset, shape, words: sizeOf(shape) };
  };

  const used = new Set(network.nodes.flatMap((node) => Object.values(node.parameters)));
  const placed = [...network.parameters].filter(([name]) => used.has(name));
  const passing = once ? passingParameters(structure) : new Set<string>();
  const denseWords = (name: string, { shape }: Encoding): number => (passing.has(name) ? align(sizeOf(shape)) : 0);
  const passingWords = once
    ? placed.reduce((most, [name, encoding]) => Math.max(most, sourceWords(encoding) + denseWords(name, encoding)), 0)
    : 0;
  // Behind it room for weights that are multiplied with what follows on their way to being packed.
  const passingRoom =
    folded.size > 0 ? placed.reduce((most, [name, encoding]) => Math.max(most, denseWords(name, encoding)), 0) : 0;
  const passingAllocator = (): Layout['allocate'] => {
    let next = 0;
    return (words) => (next += align(words)) - align(words);
  };

  const layout: Layout = {
    structure,
    kernels,
    parameters,
    stages,
    allocate,
    value,
    top: Math.max(valueWords, passingWords + passingRoom),
    scratchWords: 0,
    integers: (values) => constant(values, 'int'),
    floats: (values) => constant(values, 'float'),
    beginStage({ parameters: { weight } }) {
      const parameter = weight !== undefined && passing.has(weight) ? parameters.get(weight) : undefined;
      stages.push({ parameter, steps: [...(parameter?.decode ?? [])] });
    },
    planNode(i, mode, steps) {
      const node = network.nodes[i];
      const maps: ChannelMap[] = [];
      let next = soleConsumer(structure, node.name);
      for (
        let map = network.nodes[next];
        !folded.has(i) && folded.has(next) && isChannelMap(map);
        map = network.nodes[next]
      ) {
        maps.push(channelMapOf(map, layout.planNode(next, mode, steps)));
        next = soleConsumer(structure, map.name);
      }
      const follower = next >= 0 && fused.has(next) ? network.nodes[next] : undefined;
      const parameterOf = (role: ParameterRole): PlacedParameter | undefined => {
        const name = node.parameters[role];
        return name === undefined ? undefined : parameters.get(name);
      };
      return {
        batch,
        kernels,
        mode,
        folded: maps,
        inputs: node.inputs.map(value),
        output: value(node.name),
        activation:
          follower && (follower.kind === 'relu' || follower.kind === 'leakyRelu')
            ? activationOf(follower)
            : { code: 0, slope: 0 },
        parameter: (role) => parameterOf(role)?.dense ?? -1,
        kernelSize: (role) => {
          const shape = parameterOf(role)?.encoding.shape ?? [];
          return [shape[2], shape[3]];
        },
        integers: layout.integers,
        floats: layout.floats,
        kept(name, words = 0) {
          const key = JSON.stringify([node.name, name]);
          const found = kept.get(key);
          if (found !== undefined) return found;
          const offset = allocate(words);
          kept.set(key, offset);
          return offset;
        },
        temporary(words) {
          // Nodes run one after another, so what one node used the next may; within a node every request is its own.
          const free = pool.find((entry) => entry.user !== i && entry.words >= words);
          if (free) {
            free.user = i;
            return free.offset;
          }
          const entry = { offset: allocate(words), words, user: i };
          pool.push(entry);
          return entry.offset;
        },
        passing: () => passingWords,
        needsScratch(words) {
          layout.scratchWords = Math.max(layout.scratchWords, words);
        },
        step: (kernel, pieces) => pushStep(steps, kernel, pieces),
        prepare: (kernel, pieces) => pushStep(stages[stages.length - 1].steps, kernel, pieces),
      };
    },
    fill(heap) {
      for (const { offset, values, kind } of constants) (kind === 'int' ? heap.int : heap.float).set(values, offset);
      const brought = new Set(once ? stages.map(({ parameter }) => parameter) : []);
      for (const parameter of parameters.values()) if (!brought.has(parameter)) fillParameter(heap, parameter);
    },
  };

  for (const [name, encoding] of placed) {
    const pass = passingAllocator();
    const parameter = placeParameter(layout, name, encoding, {
      dense: passing.has(name) ? pass : allocate,
      source: once ? pass : allocate,
    });
    parameters.set(name, parameter);
    if (!passing.has(name) && parameter.decode.length > 0) stages.push({ parameter, steps: [...parameter.decode] });
  }
  return layout;
}

function pushStep(steps: Step[], kernel: KernelName, pieces: readonly (readonly number[])[]): void {
  if (pieces.length > 0) steps.push({ kernel, pieces });
}

/** Words of all that the dense values are made from, each part from an aligned place. */
function sourceWords(encoding: Encoding): number {
  let sum = 0;
  placeEncoding(encoding, { dense: 0, source: (words) => (sum += align(words)) - align(words) });
  return sum;
}

/** @param allocate - of the dense values, and of what they are decoded from */
function placeParameter(
  layout: Layout,
  name: string,
  encoding: Encoding,
  allocate: Record<'dense' | 'source', Layout['allocate']>,
): PlacedParameter {
  checkLengths(name, encoding);
  const dense = allocate.dense(sizeOf(encoding.shape));
  const place = placeEncoding(encoding, { dense, source: allocate.source });
  const decode: Step[] = [];
  decodeOnHeap(encoding, place, decoding(layout, decode));
  return { name, encoding, dense, values: place.values, count: trainedCount(encoding), place, decode };
}

/** The operations that decode an encoding, as steps of kernels. */
function decoding(layout: Layout, steps: Step[]): Run {
  const lowered: { [K in keyof Operations]?: (call: Operations[K]) => void } = {
    codebookDecode(call) {
      const { codewords, codes, signs, to, columns, first, subspaceCount: M, subvectorLength: d } = call;
      layout.scratchWords = Math.max(
        layout.scratchWords,
        layout.kernels.scratchWords('codebookDecode', undefined, [call.codewordCount, d]),
      );
      pushStep(
        steps,
        'codebookDecode',
        cut(call.rows).map(([row, count]) => [codewords, codes, signs, to, columns, first, row, count, M, d]),
      );
    },
    affineForward({ x, scale, shift, y, samples, channels, positions, activation, parameters }) {
      pushStep(steps, 'affineForward', [[x, scale, shift, y, samples, channels, positions, activation, parameters]]);
    },
  };
  return (operation, call) => lowered[operation]!(call);
}

/** Writes a parameter to its place. */
export function fillParameter(heap: Heap, { encoding, place }: PlacedParameter): void {
  fillEncoding(heap, place, encoding);
}

/** Steps of the inference pass, node by node (a fused activation and a folded map have none). */
export function forwardSteps(layout: Layout): Step[][] {
  const { network, fused, folded } = layout.structure;
  return network.nodes.map((node, i) => {
    const steps: Step[] = [];
    layout.beginStage(node);
    if (!fused.has(i) && !folded.has(i))
      operatorOf(node.kind).forward(node as never, layout.planNode(i, 'inference', steps));
    return steps;
  });
}

/**
 * Network and options of either executor, with the defaults; threads and precision are checked where the kernels are
 * opened. @throws {TypeError | RangeError}
 */
export function checkExecutorOptions(
  who: string,
  network: Network,
  options: ExecutorOptions,
): Required<ExecutorOptions> {
  if (!Array.isArray(network?.nodes)) throw new TypeError(`${who}: network: expected a network, got ${show(network)}`);
  if (typeof options?.kernels?.open !== 'function')
    throw new TypeError(
      `${who}: options.kernels: expected a kernel set (await loadKernels()), got ${show(options?.kernels)}`,
    );
  const { kernels, threads = 1, precision = 'float32', watch = [] } = options;
  if (!Array.isArray(watch)) throw new TypeError(`${who}: watch: expected an array of names, got ${show(watch)}`);
  return { kernels, threads, precision, watch, batch: checkInteger(who, 'batch', options.batch ?? 1, 1) };
}

/** 2^30 words are the 4 GiB that WebAssembly can address. */
export function checkWords(who: string, words: number): void {
  if (words >= 2 ** 30)
    throw new EspalierError(
      'MEMORY',
      `${who}: the network needs ${((words * 4) / 2 ** 30).toFixed(1)} GiB at this batch size, the limit is 4; choose a smaller batch`,
      { limit: 2 ** 30, found: words },
    );
}
