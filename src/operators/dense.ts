/** Dense (fully connected): y = x W^T + bias, W [out, in]. */
import { sizeOf } from '../base/tensor.ts';
import { MATMUL } from '../kernels/types.ts';
import { foldedParameters } from './fold.ts';
import { checkParameterShape, checkRank, cut, nodeError } from './rules.ts';
import type { Operator, Plan, TrainingOperator } from './types.ts';

/** A product that is small is not worth cutting. */
const pieces = (count: number, work: number): [number, number][] => cut(count, 16, work < 1 << 18 ? 1 : 8);

function sizes(plan: Plan): { n: number; inputs: number; outputs: number } {
  return { n: plan.batch, inputs: plan.inputs[0].shape[1], outputs: plan.output.shape[1] };
}

export const dense: Operator<'dense'> = {
  kind: 'dense',
  roles: [
    { role: 'weight', kind: 'trained', optional: false },
    { role: 'bias', kind: 'trained', optional: true },
  ],
  arity: [1, 1],
  fusesActivation: true,
  foldsChannelMaps: true,
  inPlace: false,
  shape(node, [input], parameters) {
    checkRank(node, input, 1, 'a vector; put a flatten before it');
    const { weight } = parameters;
    if (weight?.length !== 2)
      throw nodeError('SHAPE', node, `weight: expected [out, in], got ${weight ? `[${weight.join(', ')}]` : 'none'}`);
    checkParameterShape(node, 'weight', weight, [weight[0], input[0]]);
    checkParameterShape(node, 'bias', parameters.bias, [weight[0]], true);
    return [weight[0]];
  },
  multiplyAdds: (_node, _inputs, _output, parameters) => sizeOf(parameters.weight ?? []),
  forward(_node, plan) {
    const { n, inputs, outputs } = sizes(plan);
    const { weight, bias } = foldedParameters(plan, outputs, inputs, (words) => plan.kept('foldedWeight', words));
    const { code, slope } = plan.activation;
    const slopeAt = plan.floats([slope]);
    plan.needsScratch(plan.kernels.scratchWords('matmul', undefined, [n, outputs, inputs]));
    plan.step(
      'matmul',
      pieces(outputs, n * inputs * outputs).map(([first, count]) => [
        n,
        count,
        inputs,
        plan.inputs[0].offset,
        inputs,
        1,
        weight + first * inputs,
        1,
        inputs,
        plan.output.offset + first,
        outputs,
        bias >= 0 ? MATMUL.biasPerColumn : 0,
        bias + first,
        code,
        slopeAt,
      ]),
    );
  },
};

export const denseTraining: TrainingOperator<'dense'> = {
  kind: 'dense',
  reads: { inputs: true, output: false },
  backward(_node, plan) {
    const { n, inputs, outputs } = sizes(plan);
    const work = n * inputs * outputs;
    const dy = plan.outputGradient.offset;
    const bias = plan.parameterGradient('bias');
    if (bias >= 0) plan.step('channelSums', [[dy, bias, n, outputs, 1, 0, outputs]]);
    const weight = plan.parameterGradient('weight');
    if (weight >= 0) {
      plan.needsScratch(plan.kernels.scratchWords('matmul', undefined, [outputs, inputs, n]));
      plan.step(
        'matmul',
        pieces(outputs, work).map(([first, count]) => [
          count,
          inputs,
          n,
          dy + first,
          1,
          outputs,
          plan.inputs[0].offset,
          inputs,
          1,
          weight + first * inputs,
          inputs,
          0,
          -1,
          0,
          0,
        ]),
      );
    }
    const dx = plan.inputGradient(0);
    if (dx) {
      plan.needsScratch(plan.kernels.scratchWords('matmul', undefined, [n, inputs, outputs]));
      plan.step(
        'matmul',
        pieces(inputs, work).map(([first, count]) => [
          n,
          count,
          outputs,
          dy,
          outputs,
          1,
          plan.parameter('weight') + first,
          inputs,
          1,
          dx.offset + first,
          inputs,
          0,
          -1,
          0,
          0,
        ]),
      );
    }
  },
};
