/** Batch normalization (Ioffe, Szegedy 2015) and the constant affine map per channel. */
import type { NodeOf } from '../graph/network.ts';
import { sizeOf } from '../base/tensor.ts';
import type { Shape } from '../base/tensor.ts';
import { checkParameterShape, cut, nodeError } from './rules.ts';
import type { ChannelMap, Operator, Plan, TrainingOperator } from './types.ts';

/** Channels and positions of a value (batch, channels, ...). */
function channelsOf(shape: Shape): { channels: number; positions: number } {
  return { channels: shape[1], positions: sizeOf(shape.slice(2)) };
}

/**
 * Scale and shift per channel that the node is in inference; those of batch normalization are computed in preparation.
 */
export function channelMapOf(node: NodeOf<'affine' | 'batchNorm'>, plan: Plan): ChannelMap {
  if (node.kind === 'affine') return { scale: plan.parameter('scale'), shift: plan.parameter('shift') };
  const { channels } = channelsOf(plan.output.shape);
  const hyper = plan.floats([node.attributes.epsilon, node.attributes.momentum]);
  const scale = plan.kept('foldedScale', channels);
  const shift = plan.kept('foldedShift', channels);
  plan.prepare('batchNormFold', [
    [
      plan.parameter('scale'),
      plan.parameter('shift'),
      plan.parameter('mean'),
      plan.parameter('variance'),
      scale,
      shift,
      hyper,
      channels,
    ],
  ]);
  return { scale, shift };
}

function channelMapForward(node: NodeOf<'affine' | 'batchNorm'>, plan: Plan): void {
  const { scale, shift } = channelMapOf(node, plan);
  const { channels, positions } = channelsOf(plan.output.shape);
  const { code, slope } = plan.activation;
  const slopeAt = plan.floats([slope]);
  const sample = channels * positions;
  plan.step(
    'affineForward',
    cut(plan.batch).map(([first, samples]) => [
      plan.inputs[0].offset + first * sample,
      scale,
      shift,
      plan.output.offset + first * sample,
      samples,
      channels,
      positions,
      code,
      slopeAt,
    ]),
  );
}

export const affine: Operator<'affine'> = {
  kind: 'affine',
  roles: [
    { role: 'scale', kind: 'constant', optional: false },
    { role: 'shift', kind: 'constant', optional: false },
  ],
  arity: [1, 1],
  fusesActivation: true,
  inPlace: 'overwrite',
  shape(node, [input], parameters) {
    if (input.length === 0) throw nodeError('SHAPE', node, 'input: expected channels as the first axis of a sample');
    checkParameterShape(node, 'scale', parameters.scale, [input[0]]);
    checkParameterShape(node, 'shift', parameters.shift, [input[0]]);
    return input;
  },
  multiplyAdds: (_node, _inputs, output) => sizeOf(output),
  forward: channelMapForward,
};

export const affineTraining: TrainingOperator<'affine'> = {
  kind: 'affine',
  reads: { inputs: false, output: false },
  backward(_node, plan) {
    const dx = plan.inputGradient(0);
    if (!dx) return;
    const { channels, positions } = channelsOf(dx.shape);
    const sample = channels * positions;
    plan.step(
      'affineBackward',
      cut(plan.batch).map(([first, samples]) => [
        plan.outputGradient.offset + first * sample,
        plan.parameter('scale'),
        dx.offset + first * sample,
        samples,
        channels,
        positions,
      ]),
    );
  },
};

export const batchNorm: Operator<'batchNorm'> = {
  kind: 'batchNorm',
  roles: [
    { role: 'scale', kind: 'trained', optional: false },
    { role: 'shift', kind: 'trained', optional: false },
    { role: 'mean', kind: 'state', optional: false },
    { role: 'variance', kind: 'state', optional: false },
  ],
  arity: [1, 1],
  fusesActivation: true,
  inPlace: 'overwrite',
  shape(node, [input], parameters) {
    if (input.length === 0) throw nodeError('SHAPE', node, 'input: expected channels as the first axis of a sample');
    for (const role of ['scale', 'shift', 'mean', 'variance'] as const)
      checkParameterShape(node, role, parameters[role], [input[0]]);
    const { epsilon, momentum } = node.attributes;
    if (!(epsilon > 0 && Number.isFinite(epsilon)))
      throw nodeError('ATTRIBUTE', node, `epsilon: expected a number above 0, got ${epsilon}`);
    if (!(momentum >= 0 && momentum <= 1))
      throw nodeError('ATTRIBUTE', node, `momentum: expected a number from 0 to 1, got ${momentum}`);
    return input;
  },
  multiplyAdds: (_node, _inputs, output) => sizeOf(output),
  forward: channelMapForward,
};

export const batchNormTraining: TrainingOperator<'batchNorm'> = {
  kind: 'batchNorm',
  reads: { inputs: true, output: false },
  forwardTraining(node, plan) {
    const { channels, positions } = channelsOf(plan.output.shape);
    const hyper = plan.floats([node.attributes.epsilon, node.attributes.momentum]);
    const mean = plan.kept('savedMean', channels);
    const inverse = plan.kept('savedInverse', channels);
    plan.step(
      'batchNormForward',
      cut(channels).map(([channel, count]) => [
        plan.inputs[0].offset,
        plan.parameter('scale'),
        plan.parameter('shift'),
        plan.parameter('mean'),
        plan.parameter('variance'),
        mean,
        inverse,
        plan.output.offset,
        hyper,
        plan.batch,
        channels,
        positions,
        channel,
        count,
      ]),
    );
    const { code, slope } = plan.activation;
    if (code !== 0)
      plan.step('activationForward', [
        [plan.output.offset, plan.output.offset, plan.output.words, code, plan.floats([slope])],
      ]);
  },
  backward(_node, plan) {
    const { channels, positions } = channelsOf(plan.output.shape);
    // All three gradients come from one pass; where one is not wanted it goes to waste.
    const dx = plan.inputGradient(0)?.offset ?? plan.temporary(plan.output.words);
    const wanted = (offset: number): number => (offset >= 0 ? offset : plan.temporary(channels));
    const dscale = wanted(plan.parameterGradient('scale'));
    const dshift = wanted(plan.parameterGradient('shift'));
    plan.step(
      'batchNormBackward',
      cut(channels).map(([channel, count]) => [
        plan.inputs[0].offset,
        plan.outputGradient.offset,
        plan.parameter('scale'),
        plan.kept('savedMean'),
        plan.kept('savedInverse'),
        dx,
        dscale,
        dshift,
        plan.batch,
        channels,
        positions,
        channel,
        count,
      ]),
    );
  },
};
