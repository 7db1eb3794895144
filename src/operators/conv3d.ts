/** Convolution over depth, height and width: for each place along the depth an ordinary one, over channels x taps of the depth. */
import { integer, integers } from '../base/rules.ts';
import type { RuledBy } from '../base/rules.ts';
import { sizeOf } from '../base/tensor.ts';
import type { Shape } from '../base/tensor.ts';
import type { Node } from '../graph/network.ts';
import type { Geometry } from '../kernels/specification/geometry.ts';
import { couplingOf, tapsOf } from './conv.ts';
import { FILTERS, checkFilters, checkRank, geometryOf, windowOutput } from './define.ts';
import type { Window } from './define.ts';
import { foldedParameters } from './fold.ts';
import { range } from './rearrange.ts';
import type { BackwardPlan, Coupling, Operator, Plan, TrainingOperator } from './types.ts';

const ATTRIBUTES = {
  stride: integers(3, 1),
  /** front, top, left, back, bottom, right */
  padding: integers(6, 0),
  dilation: integers(3, 1),
  groups: integer(1),
};
type Attributes = RuledBy<typeof ATTRIBUTES>;

/** The window over height and width, and that over the depth. */
function windowsOf({ attributes }: Node<Attributes>, weight: Shape): readonly [plane: Window, depth: Window] {
  const { padding, stride, dilation } = attributes;
  const [front, top, left, back, bottom, right] = padding;
  return [
    {
      size: [weight[3], weight[4]],
      stride: [stride[1], stride[2]],
      padding: [top, left, bottom, right],
      dilation: [dilation[1], dilation[2]],
    },
    { size: [weight[2], 1], stride: [stride[0], 1], padding: [front, 0, back, 0], dilation: [dilation[0], 1] },
  ];
}

/** Sides of both values, and the ordinary convolution. */
interface Work {
  readonly batch: number;
  readonly inputs: number;
  readonly outputs: number;
  readonly depthIn: number;
  readonly depthOut: number;
  /** Elements of a plane of x, and of y. */
  readonly planeIn: number;
  readonly planeOut: number;
  readonly taps: number;
  readonly geometry: Geometry;
  /** Where tap z reads for place d of the output, which may be outside. */
  readonly depth: (d: number, z: number) => number;
}

function workOf(node: Node<Attributes>, plan: Plan): Work {
  const [batch, inputs, depthIn, ...planeIn] = plan.inputs[0].shape;
  const [, outputs, depthOut, ...planeOut] = plan.output.shape;
  const [plane, depth] = windowsOf(node, plan.parameterShape('weight'));
  const taps = depth.size[0];
  return {
    ...{ batch, inputs, outputs, depthIn, depthOut, taps },
    ...{ planeIn: sizeOf(planeIn), planeOut: sizeOf(planeOut) },
    geometry: geometryOf([inputs * taps, ...planeIn], [outputs, ...planeOut], plane, node.attributes.groups),
    depth: (d, z) => d * depth.stride[0] + z * depth.dilation[0] - depth.padding[0],
  };
}

/** x as [D', N, I kd, H, W]: for each place along the depth what its taps read. */
function unfold(plan: Plan, { batch, inputs, depthIn, depthOut, planeIn, taps, depth }: Work): number {
  const words = batch * inputs * taps * planeIn;
  const y = plan.temporary(depthOut * words);
  for (let d = 0; d < depthOut; d++) {
    const places = range(taps).map((z) => depth(d, z));
    const tables = [
      range(batch, 0, inputs * depthIn * planeIn),
      range(inputs, 0, depthIn * planeIn),
      places.map((place) => (place >= 0 && place < depthIn ? place * planeIn : -1)),
      range(planeIn),
    ];
    plan.run('rearrange', { x: plan.inputs[0].offset, y: y + d * words, tables, fill: plan.floats([0]) });
  }
  return y;
}

/** weight [O, I/groups, kd, kh, kw], bias [O] optional; x [I, D, H, W] -> [O, D', H', W'] */
export const conv3d: Operator<Attributes> = {
  kind: 'conv3d',
  attributes: ATTRIBUTES,
  ...FILTERS,
  shapes(node, [{ shape: input }], parameters) {
    checkRank(node, input, 4, '[channels, depth, height, width]');
    const weight = checkFilters(node, input, parameters, ['depth', 'height', 'width']);
    const [plane, depth] = windowsOf(node, weight);
    const [depthOut] = windowOutput(node, input[1], 1, depth);
    return [[weight[0], depthOut, ...windowOutput(node, input[2], input[3], plane)]];
  },
  multiplyAdds: (_node, _inputs, [output], { weight = [] }) => sizeOf(output) * sizeOf(weight.slice(1)),
  forward(node, plan) {
    const work = workOf(node, plan);
    const { batch, outputs, depthOut, planeOut, geometry } = work;
    const columns = sizeOf(plan.parameterShape('weight').slice(1));
    // Packing reads the weights for the last time.
    const { weight, bias } = foldedParameters(plan, outputs, columns, (words) => plan.passing(words));
    const x = unfold(plan, work);
    const isFlat = depthOut === 1;
    const y = isFlat ? plan.output.offset : plan.temporary(plan.output.words);
    plan.run('convolutionForward', { geometry, samples: batch * depthOut, x, weight, bias, y, ...plan.activation });
    if (isFlat) return;
    const places = range(depthOut, 0, batch * outputs * planeOut);
    const tables = [range(batch, 0, outputs * planeOut), range(outputs, 0, planeOut), places, range(planeOut)];
    plan.run('rearrange', { x: y, y: plan.output.offset, tables, fill: plan.floats([0]) });
  },
};

export const conv3dTraining: TrainingOperator<Attributes> = {
  reads: { inputs: true, output: false },
  backward(node, plan) {
    const work = workOf(node, plan);
    const { batch, outputs, depthOut, planeOut, geometry } = work;
    const samples = batch * depthOut;
    const from = plan.outputGradient.offset;
    const bias = plan.parameterGradient('bias');
    if (bias >= 0)
      plan.run('channelSums', {
        ...{ x: from, out: bias, samples: batch, channels: outputs, positions: depthOut * planeOut },
      });
    const dy = plan.temporary(plan.output.words);
    const channels = range(outputs, 0, depthOut * planeOut);
    const samplesOf = range(batch, 0, outputs * depthOut * planeOut);
    const tables = [range(depthOut, 0, planeOut), samplesOf, channels, range(planeOut)];
    plan.run('rearrange', { x: from, y: dy, tables, fill: plan.floats([0]) });
    const dweight = plan.parameterGradient('weight');
    if (dweight >= 0) plan.run('convolutionBackwardWeight', { geometry, samples, x: unfold(plan, work), dy, dweight });
    foldBack(plan, work, dy);
  },
};

/** The gradient of x: that of what was unfolded, summed over the taps that read the same plane. */
function foldBack(plan: BackwardPlan, work: Work, dy: number): void {
  const dx = plan.inputGradient(0);
  if (!dx) return;
  const { batch, inputs, depthIn, depthOut, planeIn, taps, depth, geometry } = work;
  const words = batch * inputs * taps * planeIn;
  const unfolded = plan.temporary(depthOut * words);
  const sorted = plan.temporary(depthOut * words);
  const summed = plan.temporary(batch * depthIn * inputs * planeIn);
  const fill = plan.floats([0]);
  const weight = plan.parameter('weight');
  plan.run('convolutionBackwardInput', { geometry, samples: batch * depthOut, dy, weight, dx: unfolded });
  const planes = range(planeIn);
  const places = [range(depthOut, 0, words), range(taps, 0, planeIn)];
  const toTaps = [range(batch, 0, inputs * taps * planeIn), ...places, range(inputs, 0, taps * planeIn), planes];
  plan.run('rearrange', { x: unfolded, y: sorted, tables: toTaps, fill });
  const readers = Array.from({ length: depthIn }, (): { place: number; weight: number }[] => []);
  for (let place = 0; place < depthOut * taps; place++)
    readers[depth(Math.floor(place / taps), place % taps)]?.push({ place, weight: 1 });
  const along = { outer: batch, length: depthOut * taps, inner: inputs * planeIn };
  plan.run('resample', { x: sorted, y: summed, ...along, taps: readers, fill });
  const plane = inputs * planeIn;
  const back = [range(batch, 0, depthIn * plane), range(inputs, 0, planeIn), range(depthIn, 0, plane), planes];
  plan.run('rearrange', { x: summed, y: dx.offset, tables: back, fill });
}

export const conv3dCoupling: Coupling<Attributes> = {
  couple: couplingOf,
  taps: ({ attributes: { stride, padding, dilation } }, [, , ...size], [, ...input], [, ...output]) =>
    tapsOf({ stride, padding, dilation, size }, input, output),
};
