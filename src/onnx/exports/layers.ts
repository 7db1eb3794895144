/** Layers with weights, and products. */
import type { NodeOf } from '../../operators/table.ts';
import { withBatch, yieldsSample } from '../exporting.ts';
import type { Exporting } from '../exporting.ts';
import type { OnnxAttributes } from '../messages.ts';
import type { Exports } from './define.ts';

type Layers = 'conv' | 'conv3d' | 'convTranspose' | 'dense' | 'matMul';

/** What has a window says of it but where it is what everybody takes it for. */
function windowAttributes(
  kernel: readonly number[],
  window: (NodeOf<'conv'> | NodeOf<'conv3d'> | NodeOf<'convTranspose'>)['attributes'],
): OnnxAttributes {
  const { stride, padding, dilation, groups } = window;
  return {
    kernel_shape: kernel,
    ...(stride.some((step) => step !== 1) && { strides: stride }),
    ...(padding.some((side) => side !== 0) && { pads: padding }),
    ...(dilation.some((step) => step !== 1) && { dilations: dilation }),
    ...(groups !== 1 && { group: groups }),
  };
}

/** Weights [O, I/groups, kh, kw] as ONNX has those of a transposed convolution, [I, O/groups, kh, kw]. */
function exchanged(to: Exporting, groups: number): string | undefined {
  const [outputs, inputs, ...kernel] = to.parameterShape('weight');
  const weight = to.parameter('weight');
  if (groups === 1) return to.node('Transpose', [weight], { perm: [1, 0, 2, 3] });
  const grouped = to.node('Reshape', [weight, to.integers([groups, outputs / groups, inputs, ...kernel])]);
  const turned = to.node('Transpose', [grouped], { perm: [0, 2, 1, 3, 4] });
  return to.node('Reshape', [turned, to.integers([groups * inputs, outputs / groups, ...kernel])]);
}

function dense(_node: NodeOf<'dense'>, to: Exporting): void {
  const weight = to.parameter('weight');
  const bias = to.parameter('bias');
  if (to.x.shape.length === 1) {
    yieldsSample(to, 'Gemm', [withBatch(to), weight, ...(bias === undefined ? [] : [bias])], { transB: 1 });
    return;
  }
  // Along the last of several axes: a product with the weight turned, which a runtime does once.
  const inputs = [to.x.name, to.node('Transpose', [weight], { perm: [1, 0] })];
  if (bias === undefined) to.yields('MatMul', inputs);
  else to.yields('Add', [to.node('MatMul', inputs), bias]);
}

function conv({ attributes }: NodeOf<'conv'> | NodeOf<'conv3d'>, to: Exporting): void {
  const [, , ...kernel] = to.parameterShape('weight');
  const bias = to.parameter('bias');
  const inputs = [withBatch(to), to.parameter('weight'), ...(bias === undefined ? [] : [bias])];
  yieldsSample(to, 'Conv', inputs, windowAttributes(kernel, attributes));
}

export const LAYER_EXPORTS: Exports<Layers> = {
  conv,
  conv3d: conv,
  convTranspose({ attributes }, to) {
    const [, , ...kernel] = to.parameterShape('weight');
    const bias = to.parameter('bias');
    const inputs = [withBatch(to), exchanged(to, attributes.groups), ...(bias === undefined ? [] : [bias])];
    yieldsSample(to, 'ConvTranspose', inputs, {
      ...windowAttributes(kernel, attributes),
      output_padding: attributes.outputPadding,
    });
  },
  dense,
  matMul: (_node, to) =>
    to.yields(
      'MatMul',
      to.inputs.map(({ name }) => name),
    ),
};
