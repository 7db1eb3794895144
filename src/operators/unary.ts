/**
 * Activations and other functions of one number, elementwise: an operator for each row of the table of formulas
 * (`kernels/specification/activations.ts`), which says its parameters, its derivative and what that reads.
 */
import type { Node } from '../graph/network.ts';
import { ACTIVATION, ACTIVATION_GRADIENTS, ACTIVATIONS } from '../kernels/specification/activations.ts';
import type { ActivationName } from '../kernels/specification/activations.ts';
import { forEachKind, PASSES_CHANNELS } from './define.ts';
import type { Coupling, Operator, Plan, TrainingOperator } from './types.ts';

export type UnaryKind = Exclude<ActivationName, 'none'>;
const KINDS = /* @__PURE__ */ Object.keys(ACTIVATIONS).filter((kind): kind is UnaryKind => kind !== 'none');

/** Values of the parameters, in the order of the table. */
const parametersOf = (kind: UnaryKind, { attributes }: Node): number[] =>
  Object.keys(ACTIVATIONS[kind].parameters).map((name) => attributes[name] as number);

function unary(kind: UnaryKind): Operator {
  const code = ACTIVATION[kind];
  return {
    kind,
    attributes: ACTIVATIONS[kind].parameters,
    roles: [],
    arity: [1, 1],
    inPlace: 'overwrite',
    pointwise: 'nonlinearity',
    ...(ACTIVATIONS[kind].fuses && { activation: (node: Node) => ({ code, parameters: parametersOf(kind, node) }) }),
    shapes: (_node, [{ shape }]) => [shape],
    multiplyAdds: () => 0,
    forward: (node, plan) =>
      plan.run('activationForward', {
        x: plan.inputs[0].offset,
        y: plan.output.offset,
        count: plan.output.words,
        ...appliedBy(kind, node, plan),
      }),
  };
}

const appliedBy = (kind: UnaryKind, node: Node, plan: Plan): { activation: number; parameters: number } => ({
  activation: ACTIVATION[kind],
  parameters: plan.floats(parametersOf(kind, node)),
});

function unaryTraining(kind: UnaryKind): TrainingOperator {
  const { reads } = ACTIVATION_GRADIENTS[kind];
  return {
    reads: { inputs: reads === 'input', output: reads === 'output' },
    backward(node, plan) {
      const dx = plan.inputGradient(0);
      if (!dx) return;
      plan.run('activationBackward', {
        from: (reads === 'input' ? plan.inputs[0] : plan.output).offset,
        dy: plan.outputGradient.offset,
        dx: dx.offset,
        count: dx.words,
        ...appliedBy(kind, node, plan),
      });
    },
  };
}

export const UNARY_OPERATORS = /* @__PURE__ */ forEachKind(KINDS, unary);
export const UNARY_TRAINING = /* @__PURE__ */ forEachKind(KINDS, unaryTraining);
export const UNARY_COUPLINGS: Readonly<Record<UnaryKind, Coupling>> = /* @__PURE__ */ forEachKind(
  KINDS,
  () => PASSES_CHANNELS,
);
