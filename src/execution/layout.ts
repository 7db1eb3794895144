/**
 * The layout of a network on a heap: offsets for parameters, constants and whatever operators ask for, above the words of
 * the values, and the steps of kernels that make up its passes. Nothing runs here.
 */
import { checkNetwork } from '../graph/check.ts';
import { checkInteger, EspalierError, show } from '../base/errors.ts';
import { sizeOf } from '../base/tensor.ts';
import { checkLengths, decodeOnHeap, fillEncoding, placeEncoding, trainedCount } from '../encodings/reading.ts';
import type { Encoding, EncodingPlace } from '../encodings/types.ts';
import type { Network, Node } from '../graph/network.ts';
import { constantInputsOf, outputsOf, parametersOf } from '../graph/walk.ts';
import type { Room, Run } from '../kernels/specification/operations.ts';
import type { Heap, KernelSet, Step } from '../kernels/types.ts';
import { operatorOf, weightOf } from '../operators/table.ts';
import type { ChannelMap, Plan, Value } from '../operators/types.ts';
import { soleConsumer } from './lifetimes.ts';
import type { Structure } from './lifetimes.ts';
import { align } from './placement.ts';
import type { ExecutorOptions } from './types.ts';

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
 * `made`: decoded and folded values; `packed`: what the backend makes of weights for its kernels, after that.
 */
export interface Stage {
  readonly parameter?: PlacedParameter | undefined;
  readonly made: Step[];
  readonly packed: Step[];
}

export interface Layout {
  readonly structure: Structure;
  readonly kernels: KernelSet;
  readonly parameters: ReadonlyMap<string, PlacedParameter>;
  /** Words in use so far. */
  top: number;
  scratchWords: number;
  readonly stages: Stage[];
  /** Words of values, from the first on, that parameters lie in while they are prepared. */
  readonly passed: number;
  allocate(words: number): number;
  integers(values: readonly number[]): number;
  floats(values: readonly number[]): number;
  value(name: string): Value;
  /** What is prepared from here on comes behind the weight of this node, if that does not stay. */
  beginStage(node: Node): void;
  /** A plan for the node at position i that writes its steps to `steps`. */
  planNode(i: number, mode: Plan['mode'], steps: Step[]): Plan;
  /** Operations that belong to no node, as steps. */
  runTo(steps: Step[]): Run;
  /** Puts constants and parameters on a heap, but for those that {@link stages} bring. */
  fill(heap: Heap): void;
}

/** Parameters that only preparation reads: packed, or multiplied with what follows, wherever they are used. */
function passingParameters({ network, consumers, observed, folded }: Structure, packsWeights: boolean): Set<string> {
  const passing = new Set<string>();
  const lasting = constantInputsOf(network);
  for (const node of network.nodes) {
    const { roles, packsWeight, takesIn } = operatorOf(node);
    const folds = takesIn?.channelMaps && folded.has(soleConsumer({ consumers, observed }, outputsOf(node)[0]));
    const weight = roles.find(({ isWeight }) => isWeight)?.role;
    for (const [role, name] of Object.entries(node.parameters)) {
      if (name === undefined) continue;
      const passes = role === weight && ((packsWeight && packsWeights) || folds);
      (passes ? passing : lasting).add(name);
    }
  }
  for (const name of lasting) passing.delete(name);
  return passing;
}

/**
 * Offsets for parameters, constants and everything that is asked for, above the `valueWords` that values take.
 * @param once - preparation is run once, before values are written: what it alone reads (weights that are packed, codes)
 *   lies where they will, one parameter after the other in the same place, so that the heap holds no weight twice
 */
export function createLayout(structure: Structure, kernels: KernelSet, valueWords: number, once: boolean): Layout {
  const { network, batch, types, storage, fused, folded } = structure;
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
    const type = types.get(name);
    if (type) {
      const shape = [batch, ...type.shape];
      return { ...type, offset: storage.get(name)!.offset, shape, words: sizeOf(shape) };
    }
    const { dense, encoding } = parameters.get(name)!;
    return { offset: dense, shape: encoding.shape, words: sizeOf(encoding.shape), type: 'float', isConstant: true };
  };

  const used = new Set([...network.nodes.flatMap(parametersOf), ...constantInputsOf(network)]);
  const placed = [...network.parameters].filter(([name]) => used.has(name));
  const passing = once ? passingParameters(structure, kernels.packsWeights) : new Set<string>();
  const denseWords = (name: string, { shape }: Encoding): number => (passing.has(name) ? align(sizeOf(shape)) : 0);
  const most = (words: (name: string, encoding: Encoding) => number): number =>
    placed.reduce((largest, [name, encoding]) => Math.max(largest, words(name, encoding)), 0);
  const passingWords = once ? most((name, encoding) => sourceWords(encoding) + denseWords(name, encoding)) : 0;
  // Behind it room for weights that are multiplied with what follows on their way to being packed.
  const passingRoom = folded.size > 0 ? most(denseWords) : 0;
  const passingAllocator = (): Layout['allocate'] => {
    let next = 0;
    return (words) => (next += align(words)) - align(words);
  };

  /** @param user - whose words are its own: those of another may be had again */
  const roomFor = (user: number, name: string): Room => ({
    integers: layout.integers,
    floats: layout.floats,
    kept(what, words = 0) {
      const key = JSON.stringify([name, what]);
      const found = kept.get(key);
      if (found !== undefined) return found;
      const offset = allocate(words);
      kept.set(key, offset);
      return offset;
    },
    temporary(words) {
      // Nodes run one after another, so what one node used the next may; within a node every request is its own.
      const free = pool.find((entry) => entry.user !== user && entry.words >= words);
      if (free) {
        free.user = user;
        return free.offset;
      }
      const entry = { offset: allocate(words), words, user };
      pool.push(entry);
      return entry.offset;
    },
    needsScratch(words) {
      layout.scratchWords = Math.max(layout.scratchWords, words);
    },
  });
  const runOn =
    (room: Room, steps: () => Step[], packed: () => Step[]): Run =>
    (operation, call) =>
      kernels.lower(operation, call, room, {
        step: (kernel, pieces) => steps().push({ kernel, pieces } as Step),
        prepare: (kernel, pieces) => packed().push({ kernel, pieces } as Step),
      });
  const lastStage = (): Stage => stages[stages.length - 1];

  const layout: Layout = {
    structure,
    kernels,
    parameters,
    stages,
    allocate,
    value,
    top: Math.max(valueWords, passingWords + passingRoom),
    scratchWords: 0,
    passed: Math.min(valueWords, passingWords + passingRoom),
    integers: (values) => constant(values, 'int'),
    floats: (values) => constant(values, 'float'),
    beginStage(node) {
      const name = weightOf(node);
      const parameter = name !== undefined && passing.has(name) ? parameters.get(name) : undefined;
      stages.push({ parameter, made: [...(parameter?.decode ?? [])], packed: [] });
    },
    planNode(i, mode, steps) {
      const node = network.nodes[i];
      const maps: ChannelMap[] = [];
      let next = soleConsumer(structure, outputsOf(node)[0]);
      while (!folded.has(i) && folded.has(next)) {
        const map = network.nodes[next];
        maps.push(operatorOf(map).channelMap!(map, layout.planNode(next, mode, steps)));
        next = soleConsumer(structure, outputsOf(map)[0]);
      }
      const follower = next >= 0 && fused.has(next) ? network.nodes[next] : undefined;
      const { code, parameters: numbers } = (follower && operatorOf(follower).activation?.(follower)) ?? NO_ACTIVATION;
      const parameterOf = (role: string): PlacedParameter | undefined => parameters.get(node.parameters[role] ?? '');
      const outputs = outputsOf(node).map(value);
      const room = roomFor(i, node.name);
      return {
        ...room,
        batch,
        mode,
        folded: maps,
        inputs: node.inputs.map(value),
        outputs,
        output: outputs[0],
        activation: { activation: code, parameters: layout.floats(numbers) },
        parameter: (role) => parameterOf(role)?.dense ?? -1,
        parameterShape: (role) => parameterOf(role)?.encoding.shape ?? [],
        passing: () => passingWords,
        run: runOn(
          room,
          () => steps,
          () => lastStage().packed,
        ),
        prepare: runOn(
          room,
          () => lastStage().made,
          () => lastStage().packed,
        ),
      };
    },
    runTo: (steps) =>
      runOn(
        roomFor(-1, ''),
        () => steps,
        () => steps,
      ),
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
    if (!passing.has(name) && parameter.decode.length > 0) {
      stages.push({ parameter, made: [...parameter.decode], packed: [] });
    }
  }
  return layout;
}

const NO_ACTIVATION = { code: 0, parameters: [0] };

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
  decodeOnHeap(encoding, place, layout.runTo(decode));
  return { name, encoding, dense, values: place.values, count: trainedCount(encoding), place, decode };
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
    if (!fused.has(i) && !folded.has(i)) operatorOf(node).forward(node, layout.planNode(i, 'inference', steps));
    return steps;
  });
}

export const EXECUTOR_NAMES = [
  'batch',
  'kernels',
  'threads',
  'precision',
  'watch',
] as const satisfies readonly (keyof ExecutorOptions)[];

/**
 * Network and options of either executor, with the defaults; threads and precision are checked where the kernels are
 * opened, kernels where they are loaded. @throws {TypeError | RangeError}
 */
export function checkExecutorOptions(
  who: string,
  network: Network,
  options: ExecutorOptions,
): Omit<Required<ExecutorOptions>, 'kernels'> {
  checkNetwork(who, 'network', network);
  const { threads = 1, precision = 'float32', watch = [] } = options;
  if (!Array.isArray(watch)) throw new TypeError(`${who}: watch: expected an array of names, got ${show(watch)}`);
  return { threads, precision, watch, batch: checkInteger(who, 'batch', options.batch ?? 1, 1) };
}

/** 2^30 words are the 4 GiB that WebAssembly can address. @throws {EspalierError} MEMORY for more */
export function checkWords(who: string, words: number): void {
  if (words >= 2 ** 30)
    throw new EspalierError(
      'MEMORY',
      `${who}: the network needs ${((words * 4) / 2 ** 30).toFixed(1)} GiB at this batch size, the limit is 4; choose a smaller batch`,
      { limit: 2 ** 30, found: words },
    );
}
