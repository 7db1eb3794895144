/** ReLU, leaky ReLU, sigmoid, tanh. Gradients come from the output, so the input need not be kept. */
import { ACTIVATION } from '../kernels/types.ts';
import type { NodeOf } from '../graph/network.ts';
import { cutWords, nodeError } from './rules.ts';
import type { Operator, TrainingOperator } from './types.ts';

type ActivationKind = 'relu' | 'leakyRelu' | 'sigmoid' | 'tanh';

const slopeOf = (node: NodeOf<ActivationKind>): number => (node.kind === 'leakyRelu' ? node.attributes.slope : 0);

/** Code and slope of an activation node, for the operator that applies it on its way out. */
export function activationOf(node: NodeOf<ActivationKind>): { code: number; slope: number } {
  return { code: ACTIVATION[node.kind], slope: slopeOf(node) };
}

function activation<K extends ActivationKind>(kind: K): Operator<K> {
  return {
    kind,
    roles: [],
    arity: [1, 1],
    fusesActivation: false,
    inPlace: 'overwrite',
    shape(node, [input]) {
      const own = node as NodeOf<ActivationKind>;
      const slope = slopeOf(own);
      // A slope of 0 or less would make the sign of the output say nothing of that of the input.
      if (own.kind === 'leakyRelu' && !(Number.isFinite(slope) && slope > 0))
        throw nodeError('ATTRIBUTE', own, `slope: expected a number above 0, got ${slope}`);
      return input;
    },
    multiplyAdds: () => 0,
    forward(node, plan) {
      const { code, slope } = activationOf(node as NodeOf<ActivationKind>);
      const slopeAt = plan.floats([slope]);
      plan.step(
        'activationForward',
        cutWords(plan.output.words).map(([first, count]) => [
          plan.inputs[0].offset + first,
          plan.output.offset + first,
          count,
          code,
          slopeAt,
        ]),
      );
    },
  };
}

function activationTraining<K extends ActivationKind>(kind: K): TrainingOperator<K> {
  return {
    kind,
    reads: { inputs: false, output: true },
    backward(node, plan) {
      const dx = plan.inputGradient(0);
      if (!dx) return;
      const { code, slope } = activationOf(node as NodeOf<ActivationKind>);
      const slopeAt = plan.floats([slope]);
      plan.step(
        'activationBackward',
        cutWords(dx.words).map(([first, count]) => [
          plan.output.offset + first,
          plan.outputGradient.offset + first,
          dx.offset + first,
          count,
          code,
          slopeAt,
        ]),
      );
    },
  };
}

export const relu = /* @__PURE__ */ activation('relu');
export const leakyRelu = /* @__PURE__ */ activation('leakyRelu');
export const sigmoid = /* @__PURE__ */ activation('sigmoid');
export const tanh = /* @__PURE__ */ activation('tanh');
export const reluTraining = /* @__PURE__ */ activationTraining('relu');
export const leakyReluTraining = /* @__PURE__ */ activationTraining('leakyRelu');
export const sigmoidTraining = /* @__PURE__ */ activationTraining('sigmoid');
export const tanhTraining = /* @__PURE__ */ activationTraining('tanh');
