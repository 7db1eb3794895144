/** The training half: a forward pass that keeps what the backward pass reads, the backward pass, the update. */
import { power } from '../base/elementary.ts';
import { checkInteger, checkOneOf, EspalierError, show } from '../base/errors.ts';
import { stream } from '../base/random.ts';
import { sizeOf } from '../base/tensor.ts';
import type { FloatArray } from '../base/tensor.ts';
import { sameStructure, withTrainedValues } from '../encodings/index.ts';
import type { Network } from '../graph/network.ts';
import { outputsOf } from '../graph/walk.ts';
import type { Step } from '../kernels/types.ts';
import { operatorOf, trainingOf } from '../operators/table.ts';
import { DRAWN } from '../operators/types.ts';
import type { RoleRule } from '../operators/types.ts';
import { backwardSteps, gradientStorages, reachedParameters } from './backward.ts';
import type { Trained } from './backward.ts';
import { passes } from './executor.ts';
import {
  checkExecutorOptions,
  EXECUTOR_NAMES,
  checkWords,
  createLayout,
  fillParameter,
  forwardSteps,
} from './layout.ts';
import type { Layout, PlacedParameter } from './layout.ts';
import { analyse } from './lifetimes.ts';
import { place } from './placement.ts';
import { givenKernels } from '../kernels/given.ts';
import { loadKernels } from '../kernels/load.ts';
import { ownOptions } from '../base/rules.ts';
import type { TrainingExecutor, TrainingExecutorOptions } from './types.ts';
import { updateSteps } from './update.ts';

const [PREPARE, FORWARD, FORWARD_TRAINING, BACKWARD, UPDATE] = [0, 1, 2, 3, 4];

/** What an optimizer remembers of each value that it moves. */
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
  given: TrainingExecutorOptions,
): Promise<TrainingExecutor> {
  const who = 'createTrainingExecutor';
  const options = ownOptions(who, 'options', given, [
    ...EXECUTOR_NAMES,
    'optimizer',
    'frozen',
    'seed',
    'inputGradients',
  ]);
  const { threads, precision, watch, batch } = checkExecutorOptions(who, network, options);
  const kernels = await givenKernels(who, 'options.kernels', options.kernels, loadKernels);
  const { frozen = new Set<string>(), optimizer, seed = 0 } = options;
  checkOneOf(who, 'optimizer.kind', optimizer?.kind, ['sgd', 'adam']);
  for (const name of frozen) {
    if (!network.parameters.has(name))
      throw new RangeError(`${who}: frozen: expected names of parameters of ${show(network.name)}, got ${show(name)}`);
  }
  const structure = analyse(who, network, batch, watch, (node) => trainingOf(node).reads);
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
  const encodedHyper = layout.allocate(8);
  const clip = layout.allocate(2);
  const limit = layout.allocate(1);
  // What no gradient reaches has one of zeros, and stays as it is: it is not even decayed.
  const reached = reachedParameters(network, gradients);
  const moved = new Map([...trained].filter(([name]) => reached.has(name)));
  const update = updateSteps(layout, moved, options.optimizer, { hyper, encodedHyper, clip, limit });
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
  const hypers = [hyper, encodedHyper] as const;
  for (const at of hypers)
    floats().set(
      kind === 'sgd'
        ? [0, momentum, weightDecay, nesterov ? 1 : 0]
        : [0, beta1, beta2, epsilon, weightDecay, decoupled ? 1 : 0],
      at,
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
  const drawn = network.nodes.flatMap((node, i) => {
    const draw = trainingOf(node).draw?.(node);
    if (!draw) return [];
    const { words } = layout.value(outputsOf(node)[0]);
    return [{ node, draw, words, at: layout.planNode(i, 'training', []).kept(DRAWN) }];
  });
  const outputGradients = new Set(network.outputs.flatMap((name) => gradients.get(name) ?? []));
  const hasState = [...roles.values()].includes('state');

  return {
    network,
    trainedOutputs: network.outputs.filter((name) => gradients.has(name)),
    ...common,
    forwardTraining(step) {
      refresh();
      const float = floats();
      for (const { node, draw, words, at } of drawn) {
        const random = stream(seed, node.kind, step, node.name);
        for (let i = 0; i < words; i++) float[at + i] = draw(random);
      }
      workspace.run(FORWARD_TRAINING);
      stale = hasState;
      // Where the caller writes no gradient there is none; until now the words held other values.
      for (const { offset, words } of outputGradients) float.fill(0, offset, offset + words);
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
    update({ rate, codebookRate = rate, clip: most }, step) {
      checkInteger('update', 'step', step, 1);
      const float = floats();
      float[hyper] = rate;
      float[encodedHyper] = codebookRate;
      if (kind === 'adam') {
        for (const at of hypers) {
          float[at + 6] = 1 - power(beta1, step);
          float[at + 7] = 1 - power(beta2, step);
        }
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
      const filled: { readonly values: Float32Array; readonly at: number }[] = [];
      for (const [name, { parameter, state: slots }] of trained) {
        SLOTS[optimizer.kind].forEach((slot, i) => {
          const values = state.get(`${name}/${slot}`);
          if (values?.length !== parameter.count)
            throw new EspalierError(
              'CHECKPOINT',
              `restoreOptimizer: state: expected ${parameter.count} values for ${show(`${name}/${slot}`)}, got ${values?.length ?? 'none'}`,
              { name },
            );
          filled.push({ values, at: slots[i] });
        });
      }
      for (const { values, at } of filled) floats().set(values, at);
    },
  };
}

/**
 * Decoding and the rest, then what the backend makes of weights, kernel by kernel in one step each: one layer's weights
 * are one piece, which by itself would keep one thread busy and the others waiting, before every pass of training.
 */
function preparation({ stages }: Layout): Step[] {
  const packed = new Map<string, Step>();
  for (const step of stages.flatMap((stage) => stage.packed)) {
    const before = packed.get(step.kernel);
    packed.set(step.kernel, before ? ({ ...before, pieces: [...before.pieces, ...step.pieces] } as Step) : step);
  }
  return [...stages.flatMap((stage) => stage.made), ...packed.values()];
}

/** Kind of every parameter in use; one that serves in several roles is trained if it is in any. */
function parameterKinds(network: Network): Map<string, RoleRule['kind']> {
  const kinds = new Map<string, RoleRule['kind']>();
  for (const node of network.nodes) {
    for (const { role, kind } of operatorOf(node).roles) {
      const name = node.parameters[role];
      if (name !== undefined && kinds.get(name) !== 'trained') kinds.set(name, kind);
    }
  }
  return kinds;
}

/**
 * Where an operator has no pass of its own for training, that of inference. Of running statistics that are frozen it
 * moves words that nobody reads.
 */
function trainingSteps(layout: Layout, inference: readonly Step[][], frozen: ReadonlySet<string>): Step[][] {
  const { network, fused } = layout.structure;
  return network.nodes.map((node, i) => {
    const { forwardTraining } = trainingOf(node);
    if (fused.has(i) || !forwardTraining) return inference[i];
    const steps: Step[] = [];
    const plan = layout.planNode(i, 'training', steps);
    const moved = new Set(
      operatorOf(node)
        .roles.filter(({ kind }) => kind === 'state')
        .map(({ role }) => role),
    );
    const parameter = (role: string): number => {
      const name = node.parameters[role];
      return name !== undefined && moved.has(role) && frozen.has(name)
        ? plan.temporary(sizeOf(network.parameters.get(name)!.shape))
        : plan.parameter(role);
    };
    forwardTraining(node, { ...plan, parameter });
    return steps;
  });
}
