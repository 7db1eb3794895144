/** Convolution: y[O] = bias + sum over I/groups, ky, kx of w x (a correlation, as in every framework). */
import { show } from '../base/errors.ts';
import { integer, integers } from '../base/rules.ts';
import type { RuledBy } from '../base/rules.ts';
import { sizeOf } from '../base/tensor.ts';
import type { Shape } from '../base/tensor.ts';
import type { Node } from '../graph/network.ts';
import type { Geometry } from '../kernels/specification/geometry.ts';
import { checkParameterShape, checkRank, geometryOf, nodeError, windowOutput } from './define.ts';
import type { Window } from './define.ts';
import { foldedParameters } from './fold.ts';
import type { Coupling, Operator, Plan, TapRange, TrainingOperator } from './types.ts';

const ATTRIBUTES = {
  stride: integers(2, 1),
  /** top, left, bottom, right */
  padding: integers(4, 0),
  dilation: integers(2, 1),
  groups: integer(1),
};
type Attributes = RuledBy<typeof ATTRIBUTES>;

const windowOf = ({ attributes: { stride, padding, dilation } }: Node<Attributes>, weight: Shape): Window => ({
  size: [weight[2], weight[3]],
  stride,
  padding,
  dilation,
});

/** Geometry is read off the values: weights [O, I/groups, kh, kw] are not needed but for the kernel's size. */
function planGeometry(node: Node<Attributes>, plan: Plan): Geometry {
  const [, ...input] = plan.inputs[0].shape;
  const [, ...output] = plan.output.shape;
  return geometryOf(input, output, windowOf(node, plan.parameterShape('weight')), node.attributes.groups);
}

/** weight [O, I/groups, kh, kw], bias [O] optional; x [I, H, W] -> [O, H', W'] */
export const conv: Operator<Attributes> = {
  kind: 'conv',
  attributes: ATTRIBUTES,
  roles: [
    { role: 'weight', kind: 'trained', optional: false, isWeight: true },
    { role: 'bias', kind: 'trained', optional: true },
  ],
  arity: [1, 1],
  takesIn: { activation: true, channelMaps: true },
  packsWeight: true,
  inPlace: false,
  shapes(node, [{ shape: input }], { weight, bias }) {
    checkRank(node, input, 3, '[channels, height, width]');
    const { groups } = node.attributes;
    if (weight?.length !== 4) {
      const found = weight ? `[${weight.join(', ')}]` : 'none';
      throw nodeError('SHAPE', node, `weight: expected [out, in / groups, height, width], got ${found}`);
    }
    if (weight[0] % groups !== 0) {
      throw nodeError('ATTRIBUTE', node, `groups: expected a divisor of the ${weight[0]} filters, got ${groups}`);
    }
    checkParameterShape(node, 'weight', weight, [weight[0], input[0] / groups, weight[2], weight[3]]);
    checkParameterShape(node, 'bias', bias, [weight[0]], true);
    return [[weight[0], ...windowOutput(node, input[1], input[2], windowOf(node, weight))]];
  },
  multiplyAdds: (_node, _inputs, [output], { weight = [] }) => sizeOf(output) * sizeOf(weight.slice(1)),
  forward(node, plan) {
    const geometry = planGeometry(node, plan);
    const columns = (geometry.channelsIn / geometry.groups) * geometry.kernelHeight * geometry.kernelWidth;
    // Packing reads the weights for the last time.
    const { weight, bias } = foldedParameters(plan, geometry.channelsOut, columns, (words) => plan.passing(words));
    plan.run('convolutionForward', {
      geometry,
      samples: plan.batch,
      x: plan.inputs[0].offset,
      weight,
      bias,
      y: plan.output.offset,
      ...plan.activation,
    });
  },
};

export const convTraining: TrainingOperator<Attributes> = {
  reads: { inputs: true, output: false },
  backward(node, plan) {
    const geometry = planGeometry(node, plan);
    const samples = plan.batch;
    const dy = plan.outputGradient.offset;
    const bias = plan.parameterGradient('bias');
    if (bias >= 0) {
      const { channelsOut: channels, heightOut, widthOut } = geometry;
      plan.run('channelSums', { x: dy, out: bias, samples, channels, positions: heightOut * widthOut });
    }
    const dweight = plan.parameterGradient('weight');
    if (dweight >= 0) {
      plan.run('convolutionBackwardWeight', { geometry, samples, x: plan.inputs[0].offset, dy, dweight });
    }
    const dx = plan.inputGradient(0);
    if (dx) {
      const weight = plan.parameter('weight');
      plan.run('convolutionBackwardInput', { geometry, samples, dy, weight, dx: dx.offset });
    }
  },
};

export const convCoupling: Coupling<Attributes> = {
  couple(node, plan) {
    const [input] = plan.inputs;
    const [channelsIn] = plan.inputShapes[0];
    const [channels] = plan.outputShapes[0];
    const { groups } = node.attributes;
    // One group is an ordinary convolution, also where it has a single channel on both sides.
    if (input.axis === 0 && groups > 1 && groups === channelsIn && groups === channels) {
      plan.follow('weight', input);
      plan.follow('bias', input);
      plan.count('groups', input);
      return [input];
    }
    if (input.axis !== 0) plan.refuse(input, `the conv ${show(node.name)} runs over them`);
    else if (groups === 1) plan.consume('weight', input);
    else plan.refuse(input, `they feed the grouped convolution ${show(node.name)}`);
    const output = plan.produce(channels);
    if (groups > 1) plan.refuse(output, `it is made by the grouped convolution ${show(node.name)}`);
    return [output];
  },
  taps({ attributes: { stride, padding, dilation } }, [, , kernelHeight, kernelWidth], [, height, width], output) {
    const [, outHeight, outWidth] = output;
    return Array.from({ length: kernelHeight * kernelWidth }, (_, tap) => {
      const [ky, kx] = [Math.floor(tap / kernelWidth), tap % kernelWidth];
      return {
        y: insideOf(ky * dilation[0] - padding[0], stride[0], height, outHeight),
        x: insideOf(kx * dilation[1] - padding[1], stride[1], width, outWidth),
      };
    });
  },
};

/** Output coordinates o whose input coordinate o stride + shift lies in [0, side). */
function insideOf(shift: number, stride: number, side: number, outSide: number): TapRange {
  const first = Math.max(0, Math.ceil(-shift / stride));
  const last = Math.min(outSide - 1, Math.floor((side - 1 - shift) / stride));
  return { first, count: Math.max(0, last - first + 1), shift, stride };
}
