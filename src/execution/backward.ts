/** The backward pass: which gradients are wanted, where they lie, and the steps that make them. */
import { sizeOf } from '../base/tensor.ts';
import { pullbackOnHeap } from '../encodings/index.ts';
import type { Network, Node } from '../graph/network.ts';
import { outputsOf, parametersOf } from '../graph/walk.ts';
import type { Step } from '../kernels/types.ts';
import { operatorOf, trainingOf } from '../operators/table.ts';
import type { BackwardPlan, Value } from '../operators/types.ts';
import type { Layout, PlacedParameter } from './layout.ts';
import { sharesWords, soleConsumer, wordsOf } from './lifetimes.ts';
import type { Structure } from './lifetimes.ts';
import { align } from './placement.ts';
import type { Storage } from './placement.ts';

/** A trained parameter: where its values, their gradient and the optimizer's memory of it lie. */
export interface Trained {
  readonly parameter: PlacedParameter;
  /** Gradient of the dense values, written by the operators. */
  readonly denseGradient: number;
  /** Gradient of the trained values: the same where those are the dense ones. */
  readonly gradient: number;
  /** One (SGD) or two (Adam) slots of as many values. */
  readonly state: readonly number[];
}

/** Storages of the gradients of all values on a path from a trained parameter to an output, by name of the value. */
export function gradientStorages(
  structure: Structure,
  isTrained: (name: string) => boolean,
  inputGradients: boolean,
): Map<string, Storage> {
  const { network, types, consumers } = structure;
  const { nodes } = network;
  const end = 2 * nodes.length;
  const outputs = new Set(network.outputs);
  const isFloat = (name: string): boolean => types.get(name)?.type === 'float';
  const wanted = new Set<string>();
  if (inputGradients) for (const { name } of network.inputs) if (isFloat(name)) wanted.add(name);
  for (const node of nodes) {
    const moves = node.inputs.some((name) => wanted.has(name)) || parametersOf(node).some(isTrained);
    if (moves && trainingOf(node).backward) for (const value of outputsOf(node)) wanted.add(value);
  }
  const gradients = new Map<string, Storage>();
  // From the outputs back, so that a value's own gradient exists when that of its input may move in with it.
  const own = (name: string): void => {
    const users = consumers.get(name) ?? [];
    const from = outputs.has(name) ? nodes.length : end - users[users.length - 1];
    const producer = structure.producer.get(name)!;
    const until = producer < 0 ? Infinity : end - producer;
    gradients.set(name, { words: align(wordsOf(structure, name)), from, until, offset: 0 });
  };
  const isWritten = (node: Node): boolean => outputsOf(node).some((value) => gradients.has(value));
  for (let i = nodes.length - 1; i >= 0; i--) {
    for (const name of outputsOf(nodes[i])) {
      if (!wanted.has(name)) continue;
      const users = consumers.get(name) ?? [];
      const only = soleConsumer(structure, name);
      const mayShare = only >= 0 && sharesGradient(structure, name, only);
      const shared = mayShare ? gradients.get(outputsOf(nodes[only])[0]) : undefined;
      if (shared) {
        shared.until = end - i;
        gradients.set(name, shared);
      } else if (outputs.has(name) || users.some((user) => isWritten(nodes[user]))) own(name);
    }
  }
  for (const { name } of network.inputs) {
    if (wanted.has(name) && (consumers.get(name) ?? []).some((user) => isWritten(nodes[user]))) own(name);
  }
  return gradients;
}

/** Names of the parameters that a gradient comes to: those of nodes of which some value has one. */
export function reachedParameters({ nodes }: Network, gradients: ReadonlyMap<string, Storage>): Set<string> {
  return new Set(
    nodes.filter((node) => outputsOf(node).some((value) => gradients.has(value))).flatMap((node) => parametersOf(node)),
  );
}

/** Whether the gradient of a value may lie where that of its only consumer does. */
function sharesGradient(structure: Structure, name: string, only: number): boolean {
  const node = structure.network.nodes[only];
  if (node.inputs[0] !== name) return false;
  return structure.fused.has(only) || (operatorOf(node).inPlace !== false && sharesWords(structure, name, node));
}

/** Steps of the backward pass. Where a value or a parameter is used several times the first gradient is written, the others are added. */
export function backwardSteps(
  layout: Layout,
  gradients: ReadonlyMap<string, Storage>,
  trained: ReadonlyMap<string, Trained>,
): Step[] {
  const { network } = layout.structure;
  const steps: Step[] = [];
  const written = new Set<string>();
  // An output that is also read by later nodes starts with the caller's gradient.
  for (const name of network.outputs) written.add(`value ${name}`);
  const gradientOf = (name: string): Value | undefined => {
    const storage = gradients.get(name);
    return storage && { ...layout.value(name), offset: storage.offset };
  };
  for (let i = network.nodes.length - 1; i >= 0; i--) {
    const node = network.nodes[i];
    const outputGradients = outputsOf(node).map(gradientOf);
    if (outputGradients.every((gradient) => gradient === undefined)) continue;
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
    const backwardPlan: BackwardPlan = {
      ...plan,
      outputGradients,
      outputGradient: outputGradients[0]!,
      inputGradient(index) {
        const name = node.inputs[index];
        const gradient = gradientOf(name);
        if (!gradient) return undefined;
        // Sharing memory with the output's gradient means being its sole consumer: nothing to add to.
        const isShared = gradients.get(name) === gradients.get(outputsOf(node)[0]);
        if (isShared) return gradient;
        const { offset, words } = gradient;
        return { ...gradient, offset: once(`input ${index}`, () => destination(`value ${name}`, offset, words)) };
      },
      parameterGradient(role) {
        const own = trained.get(node.parameters[role] ?? '');
        if (!own) return -1;
        const { name, encoding } = own.parameter;
        return once(`parameter ${role}`, () =>
          destination(`parameter ${name}`, own.denseGradient, sizeOf(encoding.shape)),
        );
      },
    };
    trainingOf(node).backward?.(node, backwardPlan);
    for (const { from, to, words } of sums) {
      const parameters = layout.floats([0]);
      plan.run('add', { a: from, b: to, y: to, count: words, activation: 0, parameters });
    }
  }
  const run = layout.runTo(steps);
  for (const { parameter, denseGradient, gradient } of trained.values()) {
    const places = { dense: denseGradient, values: gradient, room: layout.allocate };
    pullbackOnHeap(parameter.encoding, parameter.place, places, run);
  }
  return steps;
}
