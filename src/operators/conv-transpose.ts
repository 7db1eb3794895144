/** Transposed convolution: each element of x spreads over the places of y that a convolution from y to x reads for it. */
import { integer, integers } from '../base/rules.ts';
import type { RuledBy } from '../base/rules.ts';
import { sizeOf } from '../base/tensor.ts';
import type { Shape } from '../base/tensor.ts';
import type { Node } from '../graph/network.ts';
import { BINARY } from '../kernels/specification/binaries.ts';
import type { Geometry } from '../kernels/specification/geometry.ts';
import type { Run } from '../kernels/specification/operations.ts';
import { couplingOf, tapsOf } from './conv.ts';
import { FILTERS, checkFilters, checkRank, geometryOf, nodeError } from './define.ts';
import { foldedParameters } from './fold.ts';
import type { Coupling, Operator, Plan, TrainingOperator } from './types.ts';

const ATTRIBUTES = {
  stride: integers(2, 1),
  /** top, left, bottom, right: what is cut off of y */
  padding: integers(4, 0),
  dilation: integers(2, 1),
  groups: integer(1),
  /** rows and columns that y has below and to the right beyond those that x reaches */
  outputPadding: integers(2, 0),
};
type Attributes = RuledBy<typeof ATTRIBUTES>;

/** Of the convolution that leads from y to x. */
function geometryFor(node: Node<Attributes>, plan: Plan): Geometry {
  const [, ...input] = plan.inputs[0].shape;
  const [, ...output] = plan.output.shape;
  const [, , ...size] = plan.parameterShape('weight');
  const { groups, ...rest } = node.attributes;
  return geometryOf(output, input, { ...rest, size: [size[0], size[1]] }, groups);
}

/** Weights [O, I/groups, taps] as the other convolution has them, [I, O/groups, taps], or back (`I` and `O` exchanged). */
function exchange(run: Run, from: number, y: number, groups: number, outputs: number, inputs: number, taps: number) {
  const strides = [outputs * inputs * taps, taps, inputs * taps, 1];
  // The smaller of each element and itself: a copy along other sides.
  const same = { a: from, b: from, y, sides: [groups, inputs, outputs, taps], aStrides: strides, bStrides: strides };
  run('binaryForward', { ...same, operation: BINARY.minimum });
}

/** Of a node, per group. */
function sizesOf({ attributes: { groups } }: Node<Attributes>, shape: Shape) {
  return { groups, outputs: shape[0] / groups, inputs: shape[1], taps: sizeOf(shape.slice(2)) };
}

/** weight [O, I/groups, kh, kw], bias [O] optional; x [I, H, W] -> [O, H', W'] */
export const convTranspose: Operator<Attributes> = {
  kind: 'convTranspose',
  attributes: ATTRIBUTES,
  ...FILTERS,
  shapes(node, [{ shape: input }], parameters) {
    checkRank(node, input, 3, '[channels, height, width]');
    const { stride, padding, dilation, outputPadding } = node.attributes;
    const weight = checkFilters(node, input, parameters, ['height', 'width']);
    const sides = [0, 1].map((axis) => {
      const reached = stride[axis] * (input[axis + 1] - 1) + dilation[axis] * (weight[axis + 2] - 1) + 1;
      return reached + outputPadding[axis] - padding[axis] - padding[axis + 2];
    });
    if (sides.some((side) => side < 1))
      throw nodeError('ATTRIBUTE', node, `padding: cuts off all of an output of ${sides.join(' x ')}`);
    return [[weight[0], ...sides]];
  },
  multiplyAdds: (_node, [{ shape }], _outputs, { weight = [] }) => sizeOf(shape.slice(1)) * sizeOf(weight),
  forward(node, plan) {
    const geometry = geometryFor(node, plan);
    const columns = (geometry.channelsOut / geometry.groups) * geometry.kernelHeight * geometry.kernelWidth;
    // Packing reads the weights for the last time.
    const { weight, bias } = foldedParameters(plan, geometry.channelsIn, columns, (words) => plan.passing(words));
    plan.run('transposedForward', {
      ...{ geometry, samples: plan.batch, x: plan.inputs[0].offset, weight, bias, y: plan.output.offset },
      ...plan.activation,
    });
  },
};

export const convTransposeTraining: TrainingOperator<Attributes> = {
  reads: { inputs: true, output: false },
  backward(node, plan) {
    const geometry = geometryFor(node, plan);
    const samples = plan.batch;
    const { groups, outputs, inputs, taps } = sizesOf(node, plan.parameterShape('weight'));
    const [x, dy] = [plan.inputs[0].offset, plan.outputGradient.offset];
    const words = groups * outputs * inputs * taps;
    const bias = plan.parameterGradient('bias');
    if (bias >= 0) {
      const { channelsIn: channels, heightIn, widthIn } = geometry;
      plan.run('channelSums', { x: dy, out: bias, samples, channels, positions: heightIn * widthIn });
    }
    // The convolution from y to x: what it reads is dy, and its gradient is x.
    const dweight = plan.parameterGradient('weight');
    if (dweight >= 0) {
      const exchanged = plan.temporary(words);
      plan.run('convolutionBackwardWeight', { geometry, samples, x: dy, dy: x, dweight: exchanged });
      exchange(plan.run, exchanged, dweight, groups, inputs, outputs, taps);
    }
    const dx = plan.inputGradient(0);
    if (!dx) return;
    const weight = plan.kept('exchanged', words);
    exchange(plan.prepare, plan.parameter('weight'), weight, groups, outputs, inputs, taps);
    const parameters = plan.floats([0]);
    plan.run('convolutionForward', {
      ...{ geometry, samples, x: dy, weight, bias: -1, y: dx.offset, activation: 0, parameters },
    });
  },
};

export const convTransposeCoupling: Coupling<Attributes> = {
  couple: couplingOf,
  // Those of the convolution from y to x, with input and output exchanged.
  taps: ({ attributes: { stride, padding, dilation } }, [, , ...size], [, ...input], [, ...output]) =>
    tapsOf({ stride, padding, dilation, size }, output, input).map((tap) =>
      tap.map((one) => ({ ...one, input: one.output, output: one.input })),
    ),
};
