/** Dense (fully connected) along the last axis: y = x W^T + bias, W [out, in]. */
import { show } from '../base/errors.ts';
import { sizeOf } from '../base/tensor.ts';
import { checkParameterShape, nodeError } from './define.ts';
import { foldedParameters } from './fold.ts';
import type { Coupling, Operator, Plan, TrainingOperator } from './types.ts';

function sizesOf(plan: Plan): { samples: number; inputs: number; outputs: number } {
  const { shape } = plan.output,
    outputs = shape[shape.length - 1];
  const samples = plan.output.words / outputs;
  return { samples, inputs: plan.inputs[0].words / samples, outputs };
}

/** weight [out, in], bias [out] optional; x [..., in] -> [..., out] */
export const dense: Operator = {
  kind: 'dense',
  attributes: {},
  roles: [
    { role: 'weight', kind: 'trained', optional: false, isWeight: true },
    { role: 'bias', kind: 'trained', optional: true },
  ],
  arity: [1, 1],
  takesIn: { activation: true, channelMaps: 'of vectors' },
  inPlace: false,
  shapes(node, [{ shape: input }], { weight, bias }) {
    if (input.length === 0) throw nodeError('SHAPE', node, 'input: expected at least one axis');
    if (weight?.length !== 2) {
      throw nodeError('SHAPE', node, `weight: expected [out, in], got ${weight ? `[${weight.join(', ')}]` : 'none'}`);
    }
    checkParameterShape(node, 'weight', weight, [weight[0], input[input.length - 1]]);
    checkParameterShape(node, 'bias', bias, [weight[0]], true);
    return [input.with(-1, weight[0])];
  },
  multiplyAdds: (_node, _inputs, [output], { weight = [] }) => sizeOf(output) * weight[1],
  forward(_node, plan) {
    const sizes = sizesOf(plan);
    const { weight, bias } = foldedParameters(plan, sizes.outputs, sizes.inputs, (words) =>
      plan.kept('foldedWeight', words),
    );
    const [x, y] = [plan.inputs[0].offset, plan.output.offset];
    plan.run('denseForward', { ...sizes, x, weight, bias, y, ...plan.activation });
  },
};

export const denseTraining: TrainingOperator = {
  reads: { inputs: true, output: false },
  backward(_node, plan) {
    const sizes = sizesOf(plan);
    const { samples, outputs } = sizes;
    const dy = plan.outputGradient.offset;
    const bias = plan.parameterGradient('bias');
    if (bias >= 0) plan.run('channelSums', { x: dy, out: bias, samples, channels: outputs, positions: 1 });
    const dweight = plan.parameterGradient('weight');
    if (dweight >= 0) plan.run('denseBackwardWeight', { ...sizes, x: plan.inputs[0].offset, dy, dweight });
    const dx = plan.inputGradient(0);
    if (dx) plan.run('denseBackwardInput', { ...sizes, dy, weight: plan.parameter('weight'), dx: dx.offset });
  },
};

export const denseCoupling: Coupling = {
  neuronsAlong: 'last',
  couple(node, plan) {
    const [input] = plan.inputs;
    const [output] = plan.outputShapes;
    const axis = output.length - 1;
    if (input.axis === axis) plan.consume('weight', input);
    else plan.refuse(input, `the dense ${show(node.name)} makes neurons along another axis`);
    return [plan.produce(output[axis], axis)];
  },
};
