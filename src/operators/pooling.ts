/** Max, average and global average pooling over planes (sample, channel). */
import { boolean, integers } from '../base/rules.ts';
import type { RuledBy } from '../base/rules.ts';
import type { Shape } from '../base/tensor.ts';
import type { Node } from '../graph/network.ts';
import type { Geometry } from '../kernels/specification/geometry.ts';
import { checkRank, geometryOf, windowOutput } from './define.ts';
import type { Window } from './define.ts';
import type { BackwardPlan, Operator, Pair, Plan, TrainingOperator, ValueType } from './types.ts';

const WINDOW = {
  size: /* @__PURE__ */ integers(2, 1),
  stride: /* @__PURE__ */ integers(2, 1),
  padding: /* @__PURE__ */ integers(4, 0),
  dilation: /* @__PURE__ */ integers(2, 1),
};
const AVERAGE = { ...WINDOW, countPadding: boolean };
type Lacking<A> = Omit<A, 'dilation'> & { readonly dilation?: Pair };
type WindowAttributes = Lacking<RuledBy<typeof WINDOW>>;

/** How a pool of kind K sees an input [C, H, W]. */
type WindowOf<A extends Node['attributes']> = (node: Node<A>, input: Shape) => Window;

const windowed: WindowOf<WindowAttributes> = ({ attributes }) => ({ dilation: [1, 1], ...attributes });
const wholePlane: WindowOf<Node['attributes']> = (_node, [, height, width]) => ({
  size: [height, width],
  stride: [1, 1],
  padding: [0, 0, 0, 0],
  dilation: [1, 1],
});

function pooledShape<A extends Node['attributes']>(
  node: Node<A>,
  [{ shape: input }]: readonly ValueType[],
  windowOf: WindowOf<A>,
): Shape {
  checkRank(node, input, 3, '[channels, height, width]');
  return [input[0], ...windowOutput(node, input[1], input[2], windowOf(node, input))];
}

function layOut<A extends Node['attributes']>(
  node: Node<A>,
  plan: Plan,
  windowOf: WindowOf<A>,
): { geometry: Geometry; planes: number } {
  const [batch, ...input] = plan.inputs[0].shape;
  const window = windowOf(node, input);
  const output = [input[0], ...windowOutput(node, input[1], input[2], window)];
  return { geometry: geometryOf(input, output, window, input[0]), planes: batch * input[0] };
}

const taps = ({ attributes: { size } }: Node<WindowAttributes>): number => size[0] * size[1];

/** What pools have in common. A comparison or an addition for each tap counts as one multiply-add would: not at all. */
const POOL = { roles: [], arity: [1, 1], inPlace: false, multiplyAdds: () => 0 } as const;

/** size, stride, padding (top, left, bottom, right), dilation (absent: 1, 1); [C, H, W] -> [C, H', W'] */
export const maxPool: Operator<WindowAttributes> = {
  ...POOL,
  kind: 'maxPool',
  attributes: WINDOW,
  mayLack: ['dilation'],
  taps,
  shapes: (node, inputs) => [pooledShape(node, inputs, windowed)],
  forward(node, plan) {
    const [x, y] = [plan.inputs[0].offset, plan.output.offset];
    plan.run('maxPoolForward', { ...layOut(node, plan, windowed), x, y, argmax: -1 });
  },
};

export const maxPoolTraining: TrainingOperator<WindowAttributes> = {
  reads: { inputs: false, output: false },
  forwardTraining(node, plan) {
    const [x, y] = [plan.inputs[0].offset, plan.output.offset];
    const argmax = plan.kept('argmax', plan.output.words);
    plan.run('maxPoolForward', { ...layOut(node, plan, windowed), x, y, argmax });
  },
  backward(node, plan) {
    const dx = plan.inputGradient(0);
    if (!dx) return;
    const dy = plan.outputGradient.offset;
    plan.run('maxPoolBackward', { ...layOut(node, plan, windowed), dy, argmax: plan.kept('argmax'), dx: dx.offset });
  },
};

const countPadding = ({ attributes }: Node): number => (attributes.countPadding === true ? 1 : 0);

function averageForward<A extends Node['attributes']>(windowOf: WindowOf<A>) {
  return (node: Node<A>, plan: Plan): void => {
    const [x, y] = [plan.inputs[0].offset, plan.output.offset];
    plan.run('averagePoolForward', { ...layOut(node, plan, windowOf), x, y, countPadding: countPadding(node) });
  };
}

function averageBackward<A extends Node['attributes']>(windowOf: WindowOf<A>) {
  return (node: Node<A>, plan: BackwardPlan): void => {
    const dx = plan.inputGradient(0);
    if (!dx) return;
    const dy = plan.outputGradient.offset;
    plan.run('averagePoolBackward', {
      ...layOut(node, plan, windowOf),
      ...{ dy, dx: dx.offset, countPadding: countPadding(node) },
    });
  };
}

/** As maxPool; countPadding: padded places count as zeros. */
export const averagePool: Operator<Lacking<RuledBy<typeof AVERAGE>>> = {
  ...POOL,
  kind: 'averagePool',
  attributes: AVERAGE,
  mayLack: ['dilation'],
  taps,
  shapes: (node, inputs) => [pooledShape(node, inputs, windowed)],
  forward: /* @__PURE__ */ averageForward(windowed),
};
export const averagePoolTraining: TrainingOperator<WindowAttributes> = {
  reads: { inputs: false, output: false },
  backward: /* @__PURE__ */ averageBackward(windowed),
};

/** [C, H, W] -> [C] */
export const globalAveragePool: Operator = {
  ...POOL,
  kind: 'globalAveragePool',
  attributes: {},
  shapes: (node, inputs) => [[pooledShape(node, inputs, wholePlane)[0]]],
  forward: /* @__PURE__ */ averageForward(wholePlane),
};
export const globalAveragePoolTraining: TrainingOperator = {
  reads: { inputs: false, output: false },
  backward: /* @__PURE__ */ averageBackward(wholePlane),
};
