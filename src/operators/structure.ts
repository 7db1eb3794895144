/** Operators that move or join values: flatten, add, concat, dropout. */
import { sameShape, sizeOf } from '../base/tensor.ts';
import { cutWords, nodeError } from './rules.ts';
import type { BackwardPlan, Operator, Plan, TrainingOperator } from './types.ts';

/** Copies a whole value; nothing where source and destination share memory. */
function copy(plan: Plan, from: number, to: number, words: number): void {
  if (from !== to)
    plan.step(
      'copyRows',
      cutWords(words).map(([first, count]) => [from + first, count, to + first, count, 1, count]),
    );
}

function passGradient(plan: BackwardPlan): void {
  const dx = plan.inputGradient(0);
  if (dx) copy(plan, plan.outputGradient.offset, dx.offset, dx.words);
}

export const flatten: Operator<'flatten'> = {
  kind: 'flatten',
  roles: [],
  arity: [1, 1],
  fusesActivation: false,
  inPlace: 'view',
  shape: (_node, [input]) => [sizeOf(input)],
  multiplyAdds: () => 0,
  forward: (_node, plan) => copy(plan, plan.inputs[0].offset, plan.output.offset, plan.output.words),
};
export const flattenTraining: TrainingOperator<'flatten'> = {
  kind: 'flatten',
  reads: { inputs: false, output: false },
  backward: (_node, plan) => passGradient(plan),
};

export const add: Operator<'add'> = {
  kind: 'add',
  roles: [],
  arity: [2, 2],
  fusesActivation: true,
  inPlace: 'overwrite',
  shape(node, [a, b]) {
    if (!sameShape(a, b))
      throw nodeError(
        'SHAPE',
        node,
        `inputs: expected two values of one shape, got [${a.join(', ')}] and [${b.join(', ')}]`,
      );
    return a;
  },
  multiplyAdds: () => 0,
  forward(_node, plan) {
    const [a, b] = plan.inputs;
    const { code, slope } = plan.activation;
    const slopeAt = plan.floats([slope]);
    plan.step(
      'add',
      cutWords(plan.output.words).map(([first, count]) => [
        a.offset + first,
        b.offset + first,
        plan.output.offset + first,
        count,
        code,
        slopeAt,
      ]),
    );
  },
};
export const addTraining: TrainingOperator<'add'> = {
  kind: 'add',
  reads: { inputs: false, output: false },
  backward(_node, plan) {
    for (const i of [0, 1]) {
      const dx = plan.inputGradient(i);
      if (dx) copy(plan, plan.outputGradient.offset, dx.offset, dx.words);
    }
  },
};

export const concat: Operator<'concat'> = {
  kind: 'concat',
  roles: [],
  arity: [1, 64],
  fusesActivation: false,
  inPlace: false,
  shape(node, inputs) {
    const [first] = inputs;
    if (first.length === 0) throw nodeError('SHAPE', node, 'inputs: expected channels as the first axis of a sample');
    inputs.forEach((input, i) => {
      if (!sameShape(input.slice(1), first.slice(1)))
        throw nodeError(
          'SHAPE',
          node,
          `input ${i}: expected [any, ${first.slice(1).join(', ')}], got [${input.join(', ')}]`,
        );
    });
    return [inputs.reduce((sum, input) => sum + input[0], 0), ...first.slice(1)];
  },
  multiplyAdds: () => 0,
  forward(_node, plan) {
    const stride = plan.output.words / plan.batch;
    let first = 0;
    for (const input of plan.inputs) {
      const columns = input.words / plan.batch;
      plan.step('copyRows', [[input.offset, columns, plan.output.offset + first, stride, plan.batch, columns]]);
      first += columns;
    }
  },
};
export const concatTraining: TrainingOperator<'concat'> = {
  kind: 'concat',
  reads: { inputs: false, output: false },
  backward(_node, plan) {
    const stride = plan.output.words / plan.batch;
    let first = 0;
    plan.inputs.forEach((input, i) => {
      const columns = input.words / plan.batch;
      const dx = plan.inputGradient(i);
      if (dx)
        plan.step('copyRows', [[plan.outputGradient.offset + first, stride, dx.offset, columns, plan.batch, columns]]);
      first += columns;
    });
  },
};

/** The executor draws the mask (0 or 1 / (1 - rate)) before each training pass into `kept('mask')`. */
export const dropout: Operator<'dropout'> = {
  kind: 'dropout',
  roles: [],
  arity: [1, 1],
  fusesActivation: false,
  inPlace: 'overwrite',
  shape(node, [input]) {
    const { rate } = node.attributes;
    if (!(rate >= 0 && rate < 1))
      throw nodeError('ATTRIBUTE', node, `rate: expected a number from 0 to below 1, got ${rate}`);
    return input;
  },
  multiplyAdds: () => 0,
  forward: (_node, plan) => copy(plan, plan.inputs[0].offset, plan.output.offset, plan.output.words),
};
export const dropoutTraining: TrainingOperator<'dropout'> = {
  kind: 'dropout',
  reads: { inputs: false, output: false },
  forwardTraining(_node, plan) {
    const mask = plan.kept('mask', plan.output.words);
    plan.step(
      'multiply',
      cutWords(plan.output.words).map(([first, count]) => [
        plan.inputs[0].offset + first,
        mask + first,
        plan.output.offset + first,
        count,
      ]),
    );
  },
  backward(_node, plan) {
    const dx = plan.inputGradient(0);
    if (!dx) return;
    const mask = plan.kept('mask');
    plan.step(
      'multiply',
      cutWords(dx.words).map(([first, count]) => [
        plan.outputGradient.offset + first,
        mask + first,
        dx.offset + first,
        count,
      ]),
    );
  },
};
