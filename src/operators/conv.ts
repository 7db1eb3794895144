/** Convolution: y[O] = bias + sum over I/groups, ky, kx of w x (a correlation, as in every framework). */
import { sizeOf } from '../base/tensor.ts';
import type { Geometry } from '../kernels/specification/geometry.ts';
import { geometryWords } from '../kernels/specification/geometry.ts';
import type { NodeOf } from '../graph/network.ts';
import type { Shape } from '../base/tensor.ts';
import { foldedParameters } from './fold.ts';
import { checkParameterShape, checkRank, cut, cutWords, geometryOf, nodeError, windowOutput } from './rules.ts';
import type { Window } from './rules.ts';
import type { Operator, ParameterShapes, Plan, TrainingOperator } from './types.ts';

function windowOf(node: NodeOf<'conv'>, weight: Shape): Window {
  const { stride, padding, dilation } = node.attributes;
  return { size: [weight[2], weight[3]], stride, padding, dilation };
}

function shape(node: NodeOf<'conv'>, [input]: readonly Shape[], parameters: ParameterShapes): Shape {
  checkRank(node, input, 3, '[channels, height, width]');
  const { weight } = parameters;
  const { groups } = node.attributes;
  if (weight?.length !== 4)
    throw nodeError(
      'SHAPE',
      node,
      `weight: expected [out, in / groups, height, width], got ${weight ? `[${weight.join(', ')}]` : 'none'}`,
    );
  if (!Number.isSafeInteger(groups) || groups < 1 || weight[0] % groups !== 0)
    throw nodeError('ATTRIBUTE', node, `groups: expected a divisor of the ${weight[0]} filters, got ${String(groups)}`);
  checkParameterShape(node, 'weight', weight, [weight[0], input[0] / groups, weight[2], weight[3]]);
  checkParameterShape(node, 'bias', parameters.bias, [weight[0]], true);
  return [weight[0], ...windowOutput(node, input[1], input[2], windowOf(node, weight))];
}

/** Geometry is read off the values: weights [O, I/groups, kh, kw] are not needed but for the kernel's size. */
function planGeometry(node: NodeOf<'conv'>, plan: Plan): Geometry {
  const [, ...input] = plan.inputs[0].shape;
  const [, ...output] = plan.output.shape;
  const [kernelHeight, kernelWidth] = plan.kernelSize('weight');
  const { stride, padding, dilation, groups } = node.attributes;
  return geometryOf(input, output, { size: [kernelHeight, kernelWidth], stride, padding, dilation }, groups);
}

function forward(node: NodeOf<'conv'>, plan: Plan): void {
  const geometry = planGeometry(node, plan);
  const at = plan.integers(geometryWords(geometry));
  const packed = plan.kept('packed', plan.kernels.packedWords(geometry, 'forward'));
  plan.needsScratch(plan.kernels.scratchWords('convolutionPack', geometry));
  plan.needsScratch(plan.kernels.scratchWords('convolutionForward', geometry));
  // Packing reads the weights for the last time.
  const { weight, bias } = foldedParameters(
    plan,
    geometry.channelsOut,
    (geometry.channelsIn / geometry.groups) * geometry.kernelHeight * geometry.kernelWidth,
    (words) => plan.passing(words),
  );
  plan.prepare('convolutionPack', [[at, weight, packed, 0]]);
  const { code, slope } = plan.activation;
  const slopeAt = plan.floats([slope]);
  const positions = geometry.heightOut * geometry.widthOut;
  // Whole samples where the batch is large; within a sample runs that suit the kernel.
  const pieces = cut(plan.batch).flatMap(([sample, samples]) =>
    cut(positions, plan.kernels.forwardRun(geometry), plan.batch >= 4 ? 1 : 8).map(([position, count]) => [
      at,
      plan.inputs[0].offset,
      packed,
      bias,
      plan.output.offset,
      sample,
      samples,
      position,
      count,
      code,
      slopeAt,
    ]),
  );
  plan.step('convolutionForward', pieces);
}

export const conv: Operator<'conv'> = {
  kind: 'conv',
  roles: [
    { role: 'weight', kind: 'trained', optional: false },
    { role: 'bias', kind: 'trained', optional: true },
  ],
  arity: [1, 1],
  fusesActivation: true,
  packsWeight: true,
  foldsChannelMaps: true,
  inPlace: false,
  shape,
  multiplyAdds: (_node, _inputs, output, parameters) => sizeOf(output) * sizeOf((parameters.weight ?? []).slice(1)),
  forward,
};

export const convTraining: TrainingOperator<'conv'> = {
  kind: 'conv',
  reads: { inputs: true, output: false },
  backward(node, plan) {
    const geometry = planGeometry(node, plan);
    const at = plan.integers(geometryWords(geometry));
    const dy = plan.outputGradient.offset;
    const positions = geometry.heightOut * geometry.widthOut;
    const bias = plan.parameterGradient('bias');
    if (bias >= 0) {
      plan.step(
        'channelSums',
        cut(geometry.channelsOut).map(([channel, channels]) => [
          dy,
          bias,
          plan.batch,
          geometry.channelsOut,
          positions,
          channel,
          channels,
        ]),
      );
    }
    const weights = plan.parameterGradient('weight');
    if (weights >= 0) {
      plan.needsScratch(plan.kernels.scratchWords('convolutionBackwardWeights', geometry));
      const count =
        geometry.channelsOut * (geometry.channelsIn / geometry.groups) * geometry.kernelHeight * geometry.kernelWidth;
      const groups = cut(plan.batch);
      const parts = groups.length === 1 ? weights : plan.temporary(count * groups.length);
      plan.step(
        'convolutionBackwardWeights',
        groups.map(([sample, samples], i) => [at, plan.inputs[0].offset, dy, parts + i * count, sample, samples, 0]),
      );
      if (groups.length > 1) {
        plan.step(
          'sumParts',
          cutWords(count).map(([first, length]) => [parts + first, weights + first, groups.length, count, length]),
        );
      }
    }
    const dx = plan.inputGradient(0);
    if (dx) {
      const packed = plan.kept('packedBackward', plan.kernels.packedWords(geometry, 'backward'));
      plan.needsScratch(plan.kernels.scratchWords('convolutionBackwardInput', geometry));
      plan.prepare('convolutionPack', [[at, plan.parameter('weight'), packed, 1]]);
      plan.step(
        'convolutionBackwardInput',
        cut(plan.batch).map(([sample, samples]) => [at, dy, packed, dx.offset, sample, samples]),
      );
    }
  },
};
