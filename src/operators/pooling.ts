/** Max, average and global average pooling. Pieces are planes (sample, channel). */
import { geometryWords } from '../kernels/specification/geometry.ts';
import type { NodeOf } from '../graph/network.ts';
import type { Shape } from '../base/tensor.ts';
import { checkRank, cut, geometryOf, windowOutput } from './rules.ts';
import type { Window } from './rules.ts';
import type { BackwardPlan, Operator, Plan, TrainingOperator } from './types.ts';

type Pool = NodeOf<'maxPool' | 'averagePool' | 'globalAveragePool'>;

function windowOf(node: Pool, input: Shape): Window {
  if (node.kind === 'globalAveragePool')
    return { size: [input[1], input[2]], stride: [1, 1], padding: [0, 0, 0, 0], dilation: [1, 1] };
  return { ...node.attributes, dilation: [1, 1] };
}

function outputShape(node: Pool, [input]: readonly Shape[]): Shape {
  checkRank(node, input, 3, '[channels, height, width]');
  return [input[0], ...windowOutput(node, input[1], input[2], windowOf(node, input))];
}

function layOut(node: Pool, plan: Plan): { at: number; planes: [number, number][] } {
  const [batch, ...input] = plan.inputs[0].shape;
  const window = windowOf(node, input);
  const output = [input[0], ...windowOutput(node, input[1], input[2], window)];
  return {
    at: plan.integers(geometryWords(geometryOf(input, output, window, input[0]))),
    planes: cut(batch * input[0]),
  };
}

const countPadding = (node: Pool): number => (node.kind === 'averagePool' && node.attributes.countPadding ? 1 : 0);

/** A comparison or an addition for each tap counts as one multiply-add would: not at all. */
const free = (): number => 0;

export const maxPool: Operator<'maxPool'> = {
  kind: 'maxPool',
  roles: [],
  arity: [1, 1],
  fusesActivation: false,
  inPlace: false,
  shape: outputShape,
  multiplyAdds: free,
  forward(node, plan) {
    const { at, planes } = layOut(node, plan);
    plan.step(
      'maxPoolForward',
      planes.map(([plane, count]) => [at, plan.inputs[0].offset, plan.output.offset, -1, plane, count]),
    );
  },
};

export const maxPoolTraining: TrainingOperator<'maxPool'> = {
  kind: 'maxPool',
  reads: { inputs: false, output: false },
  forwardTraining(node, plan) {
    const { at, planes } = layOut(node, plan);
    const argmax = plan.kept('argmax', plan.output.words);
    plan.step(
      'maxPoolForward',
      planes.map(([plane, count]) => [at, plan.inputs[0].offset, plan.output.offset, argmax, plane, count]),
    );
  },
  backward(node, plan) {
    const dx = plan.inputGradient(0);
    if (!dx) return;
    const { at, planes } = layOut(node, plan);
    plan.step(
      'maxPoolBackward',
      planes.map(([plane, count]) => [at, plan.outputGradient.offset, plan.kept('argmax'), dx.offset, plane, count]),
    );
  },
};

function averageForward(node: Pool, plan: Plan): void {
  const { at, planes } = layOut(node, plan);
  plan.step(
    'averagePoolForward',
    planes.map(([plane, count]) => [at, plan.inputs[0].offset, plan.output.offset, countPadding(node), plane, count]),
  );
}

function averageBackward(node: Pool, plan: BackwardPlan): void {
  const dx = plan.inputGradient(0);
  if (!dx) return;
  const { at, planes } = layOut(node, plan);
  plan.step(
    'averagePoolBackward',
    planes.map(([plane, count]) => [at, plan.outputGradient.offset, dx.offset, countPadding(node), plane, count]),
  );
}

export const averagePool: Operator<'averagePool'> = {
  kind: 'averagePool',
  roles: [],
  arity: [1, 1],
  fusesActivation: false,
  inPlace: false,
  shape: outputShape,
  multiplyAdds: free,
  forward: averageForward,
};
export const averagePoolTraining: TrainingOperator<'averagePool'> = {
  kind: 'averagePool',
  reads: { inputs: false, output: false },
  backward: averageBackward,
};

export const globalAveragePool: Operator<'globalAveragePool'> = {
  kind: 'globalAveragePool',
  roles: [],
  arity: [1, 1],
  fusesActivation: false,
  inPlace: false,
  shape: (node, inputs) => [outputShape(node, inputs)[0]],
  multiplyAdds: free,
  forward: averageForward,
};
export const globalAveragePoolTraining: TrainingOperator<'globalAveragePool'> = {
  kind: 'globalAveragePool',
  reads: { inputs: false, output: false },
  backward: averageBackward,
};
