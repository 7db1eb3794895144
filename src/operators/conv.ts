/** Convolution: y[O] = bias + sum over I/groups, ky, kx of w x (a correlation, as in every framework). */
import { show } from '../base/errors.ts';
import { integer, integers } from '../base/rules.ts';
import type { RuledBy } from '../base/rules.ts';
import { sizeOf } from '../base/tensor.ts';
import type { Shape } from '../base/tensor.ts';
import type { Node } from '../graph/network.ts';
import type { Geometry } from '../kernels/specification/geometry.ts';
import { FILTERS, checkFilters, checkRank, geometryOf, windowOutput } from './define.ts';
import type { Window } from './define.ts';
import { foldedParameters } from './fold.ts';
import type { Channels, Coupling, CouplingPlan, Operator, Plan, Tap, TapRange, TrainingOperator } from './types.ts';

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
  ...FILTERS,
  shapes(node, [{ shape: input }], parameters) {
    checkRank(node, input, 3, '[channels, height, width]');
    const weight = checkFilters(node, input, parameters, ['height', 'width']);
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

/** How channels go through a convolution of any kind: its weight is [out, in / groups, ...taps]. */
export function couplingOf(node: Node<{ readonly groups: number }>, plan: CouplingPlan): readonly Channels[] {
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
  if (input.axis !== 0) plan.refuse(input, `the ${node.kind} ${show(node.name)} runs over them`);
  else if (groups === 1) plan.consume('weight', input);
  else plan.refuse(input, `they feed the grouped convolution ${show(node.name)}`);
  const output = plan.produce(channels);
  if (groups > 1) plan.refuse(output, `it is made by the grouped convolution ${show(node.name)}`);
  return [output];
}

export const convCoupling: Coupling<Attributes> = {
  couple: couplingOf,
  taps: ({ attributes: { stride, padding, dilation } }, [, , ...size], [, ...input], [, ...output]) =>
    tapsOf({ stride, padding, dilation, size }, input, output),
};

/** A window over any number of axes; of the padding that in front of each is asked, which comes first. */
interface Taps {
  readonly size: Shape;
  readonly stride: Shape;
  readonly padding: Shape;
  readonly dilation: Shape;
}

/** Taps in the order of the weight, each with the places where it lies inside the sides of the input. */
export function tapsOf({ size, stride, padding, dilation }: Taps, input: Shape, output: Shape): Tap[] {
  return Array.from({ length: sizeOf(size) }, (_, tap) =>
    size.map((side, axis) => {
      const place = Math.floor(tap / sizeOf(size.slice(axis + 1))) % side;
      return insideOf(place * dilation[axis] - padding[axis], stride[axis], input[axis], output[axis]);
    }),
  );
}

/** Output coordinates o whose input coordinate o stride + shift lies in [0, side). */
function insideOf(shift: number, stride: number, side: number, outSide: number): TapRange {
  const first = Math.max(0, Math.ceil(-shift / stride));
  const last = Math.min(outSide - 1, Math.floor((side - 1 - shift) / stride));
  return {
    count: Math.max(0, last - first + 1),
    input: { first: first * stride + shift, step: stride },
    output: { first, step: 1 },
  };
}
