/** Batch normalization (Ioffe, Szegedy 2015) and the constant affine map per channel. */
import { number } from '../base/rules.ts';
import type { RuledBy } from '../base/rules.ts';
import { sizeOf } from '../base/tensor.ts';
import type { Shape } from '../base/tensor.ts';
import type { Node } from '../graph/network.ts';
import { checkChannels, checkParameterShape, nodeError } from './define.ts';
import type { ChannelMap, Coupling, Operator, Plan, TrainingOperator } from './types.ts';

/** Channels and positions of a value (batch, channels, ...). */
function channelsOf(shape: Shape): { channels: number; positions: number } {
  return { channels: shape[1], positions: sizeOf(shape.slice(2)) };
}

function forwardMap({ scale, shift }: ChannelMap, plan: Plan): void {
  const [x, y] = [plan.inputs[0].offset, plan.output.offset];
  plan.run('affineForward', {
    ...{ x, scale, shift, y, samples: plan.batch },
    ...channelsOf(plan.output.shape),
    ...plan.activation,
  });
}

const mapOf = (plan: Plan): ChannelMap => ({ scale: plan.parameter('scale'), shift: plan.parameter('shift') });

/** y = x scale + shift per channel, constants that are not trained (output units); scale, shift [C] */
export const affine: Operator = {
  kind: 'affine',
  keepsMeaning: true,
  attributes: {},
  roles: [
    { role: 'scale', kind: 'constant', optional: false },
    { role: 'shift', kind: 'constant', optional: false },
  ],
  arity: [1, 1],
  takesIn: { activation: true },
  inPlace: 'overwrite',
  pointwise: 'map',
  channelMap: (_node, plan) => mapOf(plan),
  shapes(node, [{ shape: input }], parameters) {
    const channels = checkChannels(node, input);
    for (const role of ['scale', 'shift']) checkParameterShape(node, role, parameters[role], [channels]);
    return [input];
  },
  multiplyAdds: (_node, _inputs, [output]) => sizeOf(output),
  forward: (_node, plan) => forwardMap(mapOf(plan), plan),
};

export const affineTraining: TrainingOperator = {
  reads: { inputs: false, output: false },
  backward(_node, plan) {
    const dx = plan.inputGradient(0);
    if (!dx) return;
    plan.run('affineBackward', {
      ...{ dy: plan.outputGradient.offset, scale: plan.parameter('scale'), dx: dx.offset, samples: plan.batch },
      ...channelsOf(dx.shape),
    });
  },
};

export const affineCoupling: Coupling = {
  couple(_node, plan) {
    const [input] = plan.inputs;
    for (const role of ['scale', 'shift']) plan.follow(role, input);
    return [input];
  },
};

const ATTRIBUTES = { epsilon: number(0, Infinity, 'from'), momentum: number(0, 1) };
type Attributes = RuledBy<typeof ATTRIBUTES>;
const ROLES = ['scale', 'shift', 'mean', 'variance'];

const hyperOf = ({ attributes: { epsilon, momentum } }: Node<Attributes>, plan: Plan): number =>
  plan.floats([epsilon, momentum]);

/** Scale and shift per channel of batch normalization in inference, computed in preparation. */
function normalizingMap(node: Node<Attributes>, plan: Plan): ChannelMap {
  const { channels } = channelsOf(plan.output.shape);
  const hyper = hyperOf(node, plan);
  const scaleOut = plan.kept('foldedScale', channels);
  const shiftOut = plan.kept('foldedShift', channels);
  const [scale, shift, mean, variance] = ROLES.map((role) => plan.parameter(role));
  plan.prepare('batchNormFold', { scale, shift, mean, variance, scaleOut, shiftOut, hyper, channels });
  return { scale: scaleOut, shift: shiftOut };
}

/** scale, shift trained; mean, variance running statistics; all [C], C = axis 0 of the sample */
export const batchNorm: Operator<Attributes> = {
  kind: 'batchNorm',
  attributes: ATTRIBUTES,
  roles: ROLES.map((role, i) => ({ role, kind: i < 2 ? 'trained' : 'state', optional: false })),
  arity: [1, 1],
  takesIn: { activation: true },
  inPlace: 'overwrite',
  pointwise: 'map',
  channelMap: normalizingMap,
  shapes(node, [{ shape: input }], parameters) {
    const channels = checkChannels(node, input);
    for (const role of ROLES) checkParameterShape(node, role, parameters[role], [channels]);
    return [input];
  },
  multiplyAdds: (_node, _inputs, [output]) => sizeOf(output),
  checkValues(node, valuesOf) {
    const epsilon = Math.fround(node.attributes.epsilon);
    // A variance a little below 0, as rounding may leave it, is no harm.
    const channel = valuesOf('variance')?.findIndex((variance) => !(Math.fround(variance + epsilon) > 0)) ?? -1;
    if (channel >= 0)
      throw nodeError(
        'FIELD',
        node,
        `variance: expected a number above -epsilon (${node.attributes.epsilon}), got ${valuesOf('variance')?.[channel]} in channel ${channel}; outputs would be NaN: re-estimate the statistics, or mend the file`,
      );
  },
  forward: (node, plan) => forwardMap(normalizingMap(node, plan), plan),
};

export const batchNormTraining: TrainingOperator<Attributes> = {
  reads: { inputs: true, output: false },
  measuring: { momentum: 1 },
  forwardTraining(node, plan) {
    const { channels, positions } = channelsOf(plan.output.shape);
    if (plan.batch * positions < 2)
      throw nodeError(
        'SHAPE',
        node,
        `training normalizes by the statistics of a batch and needs at least 2 values per channel, got batch ${plan.batch} x positions ${positions}; give a batchSize of at least 2, and as many samples`,
      );
    const y = plan.output.offset;
    plan.run('batchNormForward', {
      x: plan.inputs[0].offset,
      scale: plan.parameter('scale'),
      shift: plan.parameter('shift'),
      runningMean: plan.parameter('mean'),
      runningVariance: plan.parameter('variance'),
      savedMean: plan.kept('savedMean', channels),
      savedInverse: plan.kept('savedInverse', channels),
      y,
      hyper: hyperOf(node, plan),
      samples: plan.batch,
      channels,
      positions,
    });
    const { activation } = plan.activation;
    if (activation !== 0) plan.run('activationForward', { x: y, y, count: plan.output.words, ...plan.activation });
  },
  backward(_node, plan) {
    const { channels, positions } = channelsOf(plan.output.shape);
    // All three gradients come from one pass; where one is not wanted it goes to waste.
    const wanted = (offset: number): number => (offset >= 0 ? offset : plan.temporary(channels));
    plan.run('batchNormBackward', {
      x: plan.inputs[0].offset,
      dy: plan.outputGradient.offset,
      scale: plan.parameter('scale'),
      savedMean: plan.kept('savedMean'),
      savedInverse: plan.kept('savedInverse'),
      dx: plan.inputGradient(0)?.offset ?? plan.temporary(plan.output.words),
      dscale: wanted(plan.parameterGradient('scale')),
      dshift: wanted(plan.parameterGradient('shift')),
      samples: plan.batch,
      channels,
      positions,
    });
  },
};

export const batchNormCoupling: Coupling<Attributes> = {
  couple(_node, plan) {
    const [input] = plan.inputs;
    for (const role of ROLES) plan.follow(role, input);
    return [input];
  },
};
