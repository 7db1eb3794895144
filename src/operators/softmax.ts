/** Softmax along the last axis of a sample. */
import { cut, nodeError } from './rules.ts';
import type { Operator, TrainingOperator } from './types.ts';

export const softmax: Operator<'softmax'> = {
  kind: 'softmax',
  roles: [],
  arity: [1, 1],
  fusesActivation: false,
  inPlace: 'overwrite',
  shape(node, [input]) {
    if (input.length === 0) throw nodeError('SHAPE', node, 'input: expected at least one axis');
    return input;
  },
  multiplyAdds: () => 0,
  forward(_node, plan) {
    const columns = plan.output.shape[plan.output.shape.length - 1];
    plan.step(
      'softmaxForward',
      cut(plan.output.words / columns).map(([row, rows]) => [
        plan.inputs[0].offset + row * columns,
        plan.output.offset + row * columns,
        rows,
        columns,
      ]),
    );
  },
};

export const softmaxTraining: TrainingOperator<'softmax'> = {
  kind: 'softmax',
  reads: { inputs: false, output: true },
  backward(_node, plan) {
    const dx = plan.inputGradient(0);
    if (!dx) return;
    const columns = dx.shape[dx.shape.length - 1];
    plan.step(
      'softmaxBackward',
      cut(dx.words / columns).map(([row, rows]) => [
        plan.output.offset + row * columns,
        plan.outputGradient.offset + row * columns,
        dx.offset + row * columns,
        rows,
        columns,
      ]),
    );
  },
};
