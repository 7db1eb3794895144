/** Softmax along the last axis of a sample. */
import { show } from '../base/errors.ts';
import { nodeError } from './define.ts';
import type { Coupling, Operator, TrainingOperator } from './types.ts';

/** over the last axis */
export const softmax: Operator = {
  kind: 'softmax',
  attributes: {},
  roles: [],
  arity: [1, 1],
  inPlace: 'overwrite',
  yieldsProbabilities: true,
  shapes(node, [{ shape }]) {
    if (shape.length === 0) throw nodeError('SHAPE', node, 'input: expected at least one axis');
    return [shape];
  },
  multiplyAdds: () => 0,
  forward(_node, plan) {
    const columns = plan.output.shape[plan.output.shape.length - 1];
    const [x, y] = [plan.inputs[0].offset, plan.output.offset];
    plan.run('softmaxForward', { x, y, rows: plan.output.words / columns, columns });
  },
};

export const softmaxTraining: TrainingOperator = {
  reads: { inputs: false, output: true },
  backward(_node, plan) {
    const dx = plan.inputGradient(0);
    if (!dx) return;
    const columns = dx.shape[dx.shape.length - 1];
    const [y, dy] = [plan.output.offset, plan.outputGradient.offset];
    plan.run('softmaxBackward', { y, dy, dx: dx.offset, rows: dx.words / columns, columns });
  },
};

export const softmaxCoupling: Coupling = {
  couple(node, plan) {
    const [input] = plan.inputs;
    if (plan.outputShapes[0].length === 1) plan.refuse(input, `the softmax ${show(node.name)} runs over them`);
    return [input];
  },
};
