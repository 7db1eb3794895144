/** The training half: a forward pass that keeps what the backward pass reads, the backward pass, the update. */
import { pullbackOnHeap, sameStructure, trainedCounts, withTrainedValues } from '../encodings/index.ts';
import { checkInteger, checkOneOf, EspalierError, show } from '../base/errors.ts';
import type { Operations, Run } from '../kernels/specification/operations.ts';
import type { Step } from '../kernels/types.ts';
import type { Network } from '../graph/network.ts';
import type { ParameterRole } from '../graph/network.ts';
import { operatorOf } from '../operators/inference.ts';
import { cut, cutWords } from '../operators/rules.ts';
import { trainingOperatorOf } from '../operators/training.ts';
import type { BackwardPlan, RoleRule, Value } from '../operators/types.ts';
import { stream } from '../base/random.ts';
import { sizeOf } from '../base/tensor.ts';
import type { FloatArray } from '../base/tensor.ts';
import { passes } from './executor.ts';
import {
  analyse,
  checkExecutorOptions,
  checkWords,
  createLayout,
  fillParameter,
  forwardSteps,
  place,
  soleConsumer,
} from './plan.ts';
import type { Layout, PlacedParameter, Storage, Structure } from './plan.ts';
import type { TrainingExecutor, TrainingExecutorOptions } from './types.ts';

const [PREPARE, FORWARD, FORWARD_TRAINING, BACKWARD, UPDATE] = [0, 1, 2, 3, 4];

/** A trained parameter: where its values, their gradient and the optimizer's memory of it lie. */
interface Trained {
  readonly parameter: PlacedParameter;
  /** Gradient of the dense values, written by the operators. */
  readonly denseGradient: number;
  /** Gradient of the trained values: the same for a dense parameter. */
  readonly gradient: number;
  /** One (SGD) or two (Adam) slots of as many values. */
  readonly state: readonly number[];
}

const SLOTS = { sgd: ['velocity'], adam: ['first', 'second'] } as const;

/**
 * Like {@link createExecutor}, for training. `options.frozen` names parameters that stay as they are; layers below the
 * first trained one take part in the forward pass only.
 *
 * @throws {TypeError | RangeError} for wrong arguments
 * @throws {EspalierError} GRAPH, SHAPE, ATTRIBUTE, MEMORY, WORKER
 */
export async function createTrainingExecutor(
  network: Network,
  options: TrainingExecutorOptions,
): Promise<TrainingExecutor> {
  const who = 'createTrainingExecutor';
  const { kernels, threads, precision, watch, batch } = checkExecutorOptions(who, network, options);
  const { frozen = new Set<string>(), optimizer, seed = 0 } = options;
  checkOneOf(who, 'optimizer.kind', optimizer?.kind, ['sgd', 'adam']);
  for (const name of frozen) {
    if (!network.parameters.has(name))
      throw new RangeError(`${who}: frozen: expected names of parameters of ${show(network.name)}, got ${show(name)}`);
  }
  const structure = analyse(who, network, batch, watch, (node) => trainingOperatorOf(node.kind).reads);
  const roles = parameterKinds(network);
  const isTrained = (name: string): boolean => roles.get(name) === 'trained' && !frozen.has(name);
  const gradients = gradientStorages(structure, isTrained, options.inputGradients === true);
  const layout = createLayout(structure, kernels, place([...structure.storage.values(), ...gradients.values()]), false);

  const trained = new Map<string, Trained>();
  for (const [name, parameter] of layout.parameters) {
    if (!isTrained(name)) continue;
    const denseGradient = layout.allocate(sizeOf(parameter.encoding.shape));
    trained.set(name, {
      parameter,
      denseGradient,
      gradient: parameter.values === parameter.dense ? denseGradient : layout.allocate(parameter.count),
      state: SLOTS[optimizer.kind].map(() => layout.allocate(parameter.count)),
    });
  }

  const inference = forwardSteps(layout);
  const training = trainingSteps(layout, inference, frozen);
  const backward = backwardSteps(layout, gradients, trained);
  const hyper = layout.allocate(8);
  const clip = layout.allocate(2);
  const limit = layout.allocate(1);
  const update = updateSteps(layout, trained, options.optimizer, { hyper, clip, limit });
  checkWords(who, layout.top);
  const programs = [preparation(layout), inference.flat(), training.flat(), backward, update.steps];
  const workspace = await kernels.open({
    words: layout.top,
    scratchWords: layout.scratchWords,
    programs,
    threads,
    precision,
  });
  // Asked for each time: a workspace that was disposed of says so and lets its memory go.
  const floats = (): FloatArray => workspace.heap.float;
  layout.fill(workspace.heap);
  for (const { offset, values } of update.averages) floats().set(values, offset);
  const { kind, momentum, nesterov, beta1, beta2, epsilon, weightDecay, decoupled } = optimizer;
  // The rate, which comes first, and what depends on the step are written with each update.
  floats().set(
    kind === 'sgd'
      ? [0, momentum, weightDecay, nesterov ? 1 : 0]
      : [0, beta1, beta2, epsilon, weightDecay, decoupled ? 1 : 0],
    hyper,
  );

  // Decoded and packed weights, folded batch statistics: made again before the next pass once a parameter has moved.
  let stale = true;
  const refresh = (): void => {
    if (stale) workspace.run(PREPARE);
    stale = false;
  };
  const common = passes(layout, workspace, () => {
    refresh();
    workspace.run(FORWARD);
  });
  const dropouts = network.nodes.flatMap((node, i) =>
    node.kind === 'dropout'
      ? [{ node, mask: layout.planNode(i, 'training', []).kept('mask'), words: layout.value(node.name).words }]
      : [],
  );
  const hasState = [...roles.values()].includes('state');

  return {
    network,
    ...common,
    forwardTraining(step) {
      refresh();
      const float = floats();
      for (const { node, mask, words } of dropouts) {
        const random = stream(seed, 'dropout', step, node.name);
        const { rate } = node.attributes;
        const keep = 1 / (1 - rate);
        for (let i = 0; i < words; i++) float[mask + i] = random() < rate ? 0 : keep;
      }
      workspace.run(FORWARD_TRAINING);
      stale = hasState;
    },
    outputGradient(name = network.outputs[0]) {
      const storage = network.outputs.includes(name) ? gradients.get(name) : undefined;
      if (!storage)
        throw new RangeError(
          `outputGradient: name: expected an output that depends on a trained parameter, got ${show(name)}`,
        );
      return floats().subarray(storage.offset, storage.offset + layout.value(name).words);
    },
    backward: () => workspace.run(BACKWARD),
    update({ rate, clip: most }, step) {
      checkInteger('update', 'step', step, 1);
      const float = floats();
      float[hyper] = rate;
      if (kind === 'adam') {
        float[hyper + 6] = 1 - beta1 ** step;
        float[hyper + 7] = 1 - beta2 ** step;
      }
      float[limit] = most;
      workspace.run(UPDATE);
      stale = true;
      return float[clip + 1];
    },
    gradient(name) {
      const storage = network.inputs.some((input) => input.name === name) ? gradients.get(name) : undefined;
      if (storage) return floats().slice(storage.offset, storage.offset + layout.value(name).words);
      const own = trained.get(name);
      if (!own)
        throw new RangeError(
          `gradient: name: expected a trained parameter (or an input, with inputGradients), got ${show(name)}`,
        );
      return floats().slice(own.gradient, own.gradient + own.parameter.count);
    },
    values(name) {
      const own = trained.get(name);
      if (!own) throw new RangeError(`values: name: expected a trained parameter, got ${show(name)}`);
      return floats().subarray(own.parameter.values, own.parameter.values + own.parameter.count);
    },
    changed() {
      stale = true;
    },
    snapshot() {
      const parameters = new Map(network.parameters);
      const float = floats();
      for (const [name, parameter] of layout.parameters) {
        if (!trained.has(name) && (roles.get(name) !== 'state' || frozen.has(name))) continue;
        parameters.set(
          name,
          withTrainedValues(
            parameter.encoding,
            Float32Array.from(float.subarray(parameter.values, parameter.values + parameter.count)),
          ),
        );
      }
      return { ...network, parameters };
    },
    restore(source) {
      // All are looked at before the first is written.
      const filled = [...layout.parameters].map(([name, parameter]): PlacedParameter => {
        const encoding = source.parameters.get(name);
        if (!encoding || !sameStructure(encoding, parameter.encoding)) {
          throw new EspalierError(
            'SHAPE',
            `restore: network: parameter ${show(name)} is missing or is stored in another way; pass a snapshot of the same network`,
            { name },
          );
        }
        return { ...parameter, encoding };
      });
      for (const parameter of filled) fillParameter(workspace.heap, parameter);
      stale = true;
    },
    optimizerState() {
      const state = new Map<string, Float32Array>();
      for (const [name, own] of trained) {
        SLOTS[optimizer.kind].forEach((slot, i) =>
          state.set(
            `${name}/${slot}`,
            Float32Array.from(floats().subarray(own.state[i], own.state[i] + own.parameter.count)),
          ),
        );
      }
      return state;
    },
    restoreOptimizer(state) {
      const filled = [...trained].flatMap(
        ([
          name,
          {
            parameter: { count },
            state: slots,
          },
        ]) =>
          SLOTS[optimizer.kind].map((slot, i) => {
            const values = state.get(`${name}/${slot}`);
            if (values?.length !== count)
              throw new EspalierError(
                'CHECKPOINT',
                `restoreOptimizer: state: expected ${count} values for ${show(`${name}/${slot}`)}, got ${values?.length ?? 'none'}`,
                { name },
              );
            return { values, at: slots[i] };
          }),
      );
      for (const { values, at } of filled) floats().set(values, at);
    },
  };
}

/**
 * Decoding and the rest, then all weights packed in one step: each is one piece, which by itself would keep one thread
 * busy and the others waiting, before every pass of training.
 */
function preparation({ stages }: Layout): Step[] {
  const steps = stages.flatMap((stage) => stage.steps);
  const pieces = steps.flatMap((step) => (step.kernel === 'convolutionPack' ? step.pieces : []));
  return [
    ...steps.filter(({ kernel }) => kernel !== 'convolutionPack'),
    ...(pieces.length > 0 ? [{ kernel: 'convolutionPack' as const, pieces }] : []),
  ];
}

/** Kind of every parameter in use; one that serves in several roles is trained if it is in any. */
function parameterKinds(network: Network): Map<string, RoleRule['kind']> {
  const kinds = new Map<string, RoleRule['kind']>();
  for (const node of network.nodes) {
    for (const { role, kind } of operatorOf(node.kind).roles) {
      const name = node.parameters[role];
      if (name !== undefined && kinds.get(name) !== 'trained') kinds.set(name, kind);
    }
  }
  return kinds;
}

/** Storages of the gradients of all values on a path from a trained parameter to an output. */
function gradientStorages(
  structure: Structure,
  isTrained: (name: string) => boolean,
  inputGradients: boolean,
): Map<string, Storage> {
  const { network, shapes, batch, consumers } = structure;
  const { nodes } = network;
  const end = 2 * nodes.length;
  const wanted = new Set<string>(inputGradients ? network.inputs.map((input) => input.name) : []);
  for (const node of nodes) {
    if (node.inputs.some((name) => wanted.has(name)) || Object.values(node.parameters).some(isTrained))
      wanted.add(node.name);
  }
  const gradients = new Map<string, Storage>();
  // From the outputs back, so that a value's own gradient exists when that of its input may move in with it.
  const own = (name: string): void => {
    const users = consumers.get(name) ?? [];
    const from = network.outputs.includes(name) ? nodes.length : end - Math.max(...users);
    const producer = structure.producer.get(name)!;
    gradients.set(name, {
      words: Math.ceil((batch * sizeOf(shapes.get(name)!)) / 4) * 4,
      from,
      until: producer < 0 ? Infinity : end - producer,
      offset: 0,
    });
  };
  for (let i = nodes.length - 1; i >= 0; i--) {
    const { name } = nodes[i];
    if (!wanted.has(name)) continue;
    const users = consumers.get(name) ?? [];
    const only = soleConsumer(structure, name);
    const shared =
      only >= 0 &&
      (structure.fused.has(only) || operatorOf(nodes[only].kind).inPlace !== false) &&
      nodes[only].inputs[0] === name
        ? gradients.get(nodes[only].name)
        : undefined;
    if (shared) {
      shared.until = end - i;
      gradients.set(name, shared);
    } else if (network.outputs.includes(name) || users.some((user) => gradients.has(nodes[user].name))) own(name);
  }
  for (const { name } of network.inputs) {
    if (wanted.has(name) && consumers.has(name)) own(name);
  }
  return gradients;
}

/**
 * Where an operator has no pass of its own for training, that of inference. Of running statistics that are frozen it
 * moves words that nobody reads.
 */
function trainingSteps(layout: Layout, inference: readonly Step[][], frozen: ReadonlySet<string>): Step[][] {
  const { network, fused } = layout.structure;
  return network.nodes.map((node, i) => {
    const operator = trainingOperatorOf(node.kind);
    if (fused.has(i) || !operator.forwardTraining) return inference[i];
    const steps: Step[] = [];
    const plan = layout.planNode(i, 'training', steps);
    const moved = new Set(
      operatorOf(node.kind)
        .roles.filter(({ kind }) => kind === 'state')
        .map(({ role }) => role),
    );
    const parameter = (role: ParameterRole): number => {
      const name = node.parameters[role];
      return name !== undefined && moved.has(role) && frozen.has(name)
        ? plan.temporary(sizeOf(network.parameters.get(name)!.shape))
        : plan.parameter(role);
    };
    operator.forwardTraining(node as never, { ...plan, parameter });
    return steps;
  });
}

/**
 * Backward pass. Where a value or a parameter is used several times the first gradient is written, the others are
 * added.
 */
function backwardSteps(
  layout: Layout,
  gradients: ReadonlyMap<string, Storage>,
  trained: ReadonlyMap<string, Trained>,
): Step[] {
  const { network, batch, shapes } = layout.structure;
  const steps: Step[] = [];
  const written = new Set<string>();
  // An output that is also read by later nodes starts with the caller's gradient.
  for (const name of network.outputs) written.add(`value ${name}`);
  for (let i = network.nodes.length - 1; i >= 0; i--) {
    const node = network.nodes[i];
    const outputGradient = gradients.get(node.name);
    if (!outputGradient) continue;
    const plan = layout.planNode(i, 'training', steps);
    const sums: { from: number; to: number; words: number }[] = [];
    const destination = (key: string, offset: number, words: number): number => {
      if (!written.has(key)) {
        written.add(key);
        return offset;
      }
      const from = plan.temporary(words);
      sums.push({ from, to: offset, words });
      return from;
    };
    // An operator may ask more than once; it gets the same answer.
    const answers = new Map<string, number>();
    const once = (key: string, make: () => number): number => {
      const known = answers.get(key);
      if (known !== undefined) return known;
      const offset = make();
      answers.set(key, offset);
      return offset;
    };
    const valueOf = (name: string, offset: number): Value => ({
      offset,
      shape: [batch, ...shapes.get(name)!],
      words: batch * sizeOf(shapes.get(name)!),
    });
    const backwardPlan: BackwardPlan = {
      ...plan,
      outputGradient: valueOf(node.name, outputGradient.offset),
      inputGradient(index) {
        const name = node.inputs[index];
        const storage = gradients.get(name);
        if (!storage) return undefined;
        const { words } = layout.value(name);
        // Sharing memory with the output's gradient means being its sole consumer: nothing to add to.
        const offset =
          storage === outputGradient
            ? storage.offset
            : once(`input ${index}`, () => destination(`value ${name}`, storage.offset, words));
        return valueOf(name, offset);
      },
      parameterGradient(role: ParameterRole) {
        const own = trained.get(node.parameters[role] ?? '');
        return own
          ? once(`parameter ${role}`, () =>
              destination(`parameter ${own.parameter.name}`, own.denseGradient, sizeOf(own.parameter.encoding.shape)),
            )
          : -1;
      },
    };
    trainingOperatorOf(node.kind).backward(node as never, backwardPlan);
    for (const { from, to, words } of sums) {
      const none = layout.floats([0]);
      steps.push({
        kernel: 'add',
        pieces: cutWords(words).map(([first, count]) => [from + first, to + first, to + first, count, 0, none]),
      });
    }
  }
  for (const own of trained.values()) pullbackSteps(layout, own, steps);
  return steps;
}

/** Gradient of the trained values of an encoded parameter from that of the dense ones. */
function pullbackSteps(layout: Layout, { parameter, denseGradient, gradient }: Trained, steps: Step[]): void {
  pullbackOnHeap(
    parameter.encoding,
    parameter.place,
    { dense: denseGradient, values: gradient, room: (words) => layout.allocate(words) },
    pullingBack(layout, steps),
  );
}

/** The operations that pull a gradient back, as steps of kernels. */
function pullingBack(layout: Layout, steps: Step[]): Run {
  const lowered: { [K in keyof Operations]?: (call: Operations[K]) => void } = {
    /** Runs of rows apart, then their sum. */
    codebookPullback(call) {
      const { gradient, columns, first, codes, signs, dcodewords } = call;
      const { subspaceCount: M, subvectorLength: d, codewordCount: K } = call;
      const runs = cut(call.rows);
      const parts = layout.allocate(runs.length * K * d);
      layout.scratchWords = Math.max(
        layout.scratchWords,
        layout.kernels.scratchWords('codebookPullback', undefined, [K, d]),
      );
      steps.push({
        kernel: 'codebookPullback',
        pieces: runs.map(([row, count], i) => [
          gradient,
          columns,
          first,
          row,
          count,
          M,
          d,
          codes,
          signs,
          K,
          parts + i * K * d,
        ]),
      });
      steps.push({
        kernel: 'sumParts',
        pieces: cutWords(K * d).map(([at, count]) => [parts + at, dcodewords + at, runs.length, K * d, count]),
      });
    },
    affineBackwardParameters({ x, dy, dscale, dshift, samples, channels, positions }) {
      steps.push({
        kernel: 'affineBackwardParameters',
        pieces: cut(channels).map(([channel, count]) => [
          x,
          dy,
          dscale,
          dshift,
          samples,
          channels,
          positions,
          channel,
          count,
        ]),
      });
    },
  };
  return (operation, call) => lowered[operation]!(call);
}

interface UpdatePlaces {
  hyper: number;
  clip: number;
  limit: number;
}

/** Averages the gradients of values that stand for several weights if asked to, measures the global norm, and updates. */
function updateSteps(
  layout: Layout,
  trained: ReadonlyMap<string, Trained>,
  optimizer: TrainingExecutorOptions['optimizer'],
  places: UpdatePlaces,
): { steps: Step[]; averages: { offset: number; values: Float32Array }[] } {
  const averages: { offset: number; values: Float32Array }[] = [];
  const scaling: number[][] = [];
  const squares: number[][] = [];
  const updates: number[][] = [];
  for (const { parameter, gradient, state } of trained.values()) {
    const { encoding, dense, count, values } = parameter;
    if (values !== dense && optimizer.codewordGradient === 'mean') {
      const offset = layout.allocate(count);
      averages.push({ offset, values: trainedCounts(encoding).map((weights) => 1 / Math.max(1, weights)) });
      scaling.push([gradient, offset, gradient, count]);
    }
    for (const [first, length] of cutWords(count)) {
      squares.push([gradient + first, length]);
      updates.push([
        values + first,
        gradient + first,
        ...state.map((slot) => slot + first),
        length,
        places.hyper,
        places.clip,
      ]);
    }
  }
  const parts = layout.allocate(squares.length);
  const steps: Step[] = [
    { kernel: 'sumSquares', pieces: squares.map((piece, i) => [...piece, parts + i]) },
    { kernel: 'clipScale', pieces: [[parts, squares.length, places.limit, places.clip]] },
    { kernel: optimizer.kind === 'sgd' ? 'sgdUpdate' : 'adamUpdate', pieces: updates },
  ];
  if (scaling.length > 0) steps.unshift({ kernel: 'multiply', pieces: scaling });
  return { steps, averages };
}
