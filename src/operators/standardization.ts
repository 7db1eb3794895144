/** Normalization by each sample's own mean and variance: over all axes from one on, or over groups of channels. */
import { show } from '../base/errors.ts';
import { integer, number } from '../base/rules.ts';
import type { RuledBy } from '../base/rules.ts';
import { sizeOf } from '../base/tensor.ts';
import type { Shape } from '../base/tensor.ts';
import type { Attributes, Node } from '../graph/network.ts';
import { checkChannels, checkParameterShape, nodeError } from './define.ts';
import type { Coupling, Operator, Plan, TrainingOperator } from './types.ts';

const EPSILON = { epsilon: number(0, Infinity, 'from') };
const LAYER = { axis: integer(0), ...EPSILON };
const GROUP = { groups: integer(1), ...EPSILON };
type LayerAttributes = RuledBy<typeof LAYER>;
type GroupAttributes = RuledBy<typeof GROUP>;
const ROLES = ['scale', 'shift'] as const;

/** How a value (batch in front) is standardized: `rows`, of which `period` in a row have scales of their own, by channels and positions. */
interface Rows {
  readonly rows: number;
  readonly period: number;
  readonly channels: number;
  readonly positions: number;
}
type RowsOf<A extends Attributes> = (node: Node<A>, shape: Shape) => Rows;

const layerRows: RowsOf<LayerAttributes> = ({ attributes: { axis } }, shape) => {
  const channels = sizeOf(shape.slice(axis + 1));
  return { rows: sizeOf(shape.slice(0, axis + 1)), period: 1, channels, positions: 1 };
};
const groupRows: RowsOf<GroupAttributes> = ({ attributes: { groups } }, [batch, channels, ...sides]) => ({
  ...{ rows: batch * groups, period: groups, channels: channels / groups, positions: sizeOf(sides) },
});

/** Standardizes x to y, with scales and shifts or without. */
function standardize<A extends Attributes>(
  { attributes }: Node<A>,
  plan: Plan,
  rows: Rows,
  to: { readonly y: number; readonly scale: number; readonly shift: number; readonly inverse: number },
): void {
  // Without scales all elements of a row are treated alike.
  const { channels, positions } = rows;
  const alike = { ...rows, channels: 1, positions: channels * positions };
  const hyper = plan.floats([attributes.epsilon as number]);
  plan.run('standardizeForward', { x: plan.inputs[0].offset, ...to, hyper, ...(to.scale < 0 ? alike : rows) });
}

/** What is there of scale and shift, the other one made up for; none where both lack. */
function mapOf(plan: Plan, { period, channels }: Rows): { scale: number; shift: number } {
  const [scale, shift] = ROLES.map((role) => plan.parameter(role));
  if (scale < 0 && shift < 0) return { scale, shift };
  const all = (value: number): number => plan.floats(new Array<number>(period * channels).fill(value));
  return { scale: scale < 0 ? all(1) : scale, shift: shift < 0 ? all(0) : shift };
}

const standardizing = <A extends Attributes>(
  rowsOf: RowsOf<A>,
): Omit<Operator<A>, 'kind' | 'attributes' | 'shapes'> => ({
  roles: ROLES.map((role) => ({ role, kind: 'trained', optional: true })),
  arity: [1, 1],
  inPlace: 'overwrite',
  multiplyAdds: (_node, _inputs, [output]) => sizeOf(output),
  forward(node, plan) {
    const rows = rowsOf(node, plan.output.shape);
    standardize(node, plan, rows, { y: plan.output.offset, ...mapOf(plan, rows), inverse: -1 });
  },
});

const training = <A extends Attributes>(rowsOf: RowsOf<A>): TrainingOperator<A> => ({
  reads: { inputs: true, output: false },
  backward(node, plan) {
    const rows = rowsOf(node, plan.output.shape);
    const { words } = plan.output;
    const x = plan.temporary(words);
    const inverse = plan.temporary(rows.rows);
    standardize(node, plan, rows, { y: x, scale: -1, shift: -1, inverse });
    const channels = rows.period * rows.channels;
    const mapped = { samples: rows.rows / rows.period, channels, positions: rows.positions };
    const [dscale, dshift] = ROLES.map((role) => plan.parameterGradient(role));
    const dy = plan.outputGradient.offset;
    if (dscale >= 0 || dshift >= 0) {
      // Both come from one pass; the one that is not wanted goes to waste.
      const wanted = (offset: number): number => (offset >= 0 ? offset : plan.temporary(channels));
      plan.run('affineBackwardParameters', { x, dy, dscale: wanted(dscale), dshift: wanted(dshift), ...mapped });
    }
    const dx = plan.inputGradient(0);
    if (!dx) return;
    const scale = plan.parameter('scale');
    if (scale >= 0) plan.run('affineBackward', { dy, scale, dx: dx.offset, ...mapped });
    const columns = rows.channels * rows.positions;
    plan.run('standardizeBackward', {
      ...{ x, dy: scale >= 0 ? dx.offset : dy, inverse, dx: dx.offset, rows: rows.rows, columns },
    });
  },
});

/** x over all axes from `axis` on (Ba, Kiros, Hinton 2016); scale, shift: the sides of these axes, optional */
export const layerNorm: Operator<LayerAttributes> = {
  kind: 'layerNorm',
  attributes: LAYER,
  ...standardizing(layerRows),
  shapes(node, [{ shape }], parameters) {
    const { axis } = node.attributes;
    if (axis >= shape.length)
      throw nodeError('ATTRIBUTE', node, `axis: expected an axis of a sample [${shape.join(', ')}], got ${axis}`);
    for (const role of ROLES) checkParameterShape(node, role, parameters[role], shape.slice(axis), true);
    return [shape];
  },
};
export const layerNormTraining = /* @__PURE__ */ training(layerRows);

export const layerNormCoupling: Coupling<LayerAttributes> = {
  couple(node, plan) {
    const [input] = plan.inputs;
    if (input.axis >= node.attributes.axis) plan.refuse(input, `the layerNorm ${show(node.name)} runs over them`);
    return [input];
  },
};

/** x over each of `groups` runs of channels and all positions (Wu, He 2018); scale, shift [C] optional. As many groups as channels: instance normalization. */
export const groupNorm: Operator<GroupAttributes> = {
  kind: 'groupNorm',
  attributes: GROUP,
  ...standardizing(groupRows),
  shapes(node, [{ shape }], parameters) {
    const channels = checkChannels(node, shape);
    const { groups } = node.attributes;
    if (channels % groups !== 0)
      throw nodeError('ATTRIBUTE', node, `groups: expected a divisor of the ${channels} channels, got ${groups}`);
    for (const role of ROLES) checkParameterShape(node, role, parameters[role], [channels], true);
    return [shape];
  },
};
export const groupNormTraining = /* @__PURE__ */ training(groupRows);

export const groupNormCoupling: Coupling<GroupAttributes> = {
  couple(node, plan) {
    const [input] = plan.inputs;
    const { groups } = node.attributes;
    for (const role of ROLES) plan.follow(role, input);
    // One group may stand for a single channel; else only channels of a group each are on their own.
    if (input.axis === 0 && groups === plan.inputShapes[0][0] && groups > 1) plan.count('groups', input);
    else plan.refuse(input, `the groupNorm ${show(node.name)} runs over them`);
    return [input];
  },
};
