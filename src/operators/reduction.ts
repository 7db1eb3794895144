/**
 * Reductions along axes of a sample: an operator for each row of the table of formulas
 * (`kernels/specification/reductions.ts`), and the place of the largest. The batch is never reduced.
 */
import { show } from '../base/errors.ts';
import { boolean, integer, integerList } from '../base/rules.ts';
import type { RuledBy } from '../base/rules.ts';
import { sizeOf } from '../base/tensor.ts';
import type { Node } from '../graph/network.ts';
import { REDUCTION, REDUCTION_GRADIENTS, REDUCTIONS } from '../kernels/specification/reductions.ts';
import type { ReductionName } from '../kernels/specification/reductions.ts';
import { forEachKind, nodeError } from './define.ts';
import type { Channels, Coupling, CouplingPlan, Operator, Plan, TrainingOperator } from './types.ts';

export type ReductionKind = ReductionName;
const KINDS = /* @__PURE__ */ Object.keys(REDUCTIONS) as ReductionKind[];

/** axes of a sample, ascending, each once; keep: they stay, as sides of 1. */
const REDUCTION_RULES = { axes: /* @__PURE__ */ integerList(0), keep: boolean };
const ARG_MAX_RULES = { axis: /* @__PURE__ */ integer(0), keep: boolean };
export type ReductionAttributes = RuledBy<typeof REDUCTION_RULES>;
export type ArgMaxAttributes = RuledBy<typeof ARG_MAX_RULES>;

/**
 * What all of them say.
 * @param expected - in words, for an error
 * @param axesOf - the axes that a node names
 */
const reducing = <A extends ReductionAttributes | ArgMaxAttributes>(
  expected: string,
  axesOf: (node: Node<A>) => readonly number[],
): Omit<Operator<A>, 'kind' | 'attributes' | 'forward'> => ({
  roles: [],
  arity: [1, 1],
  inPlace: false,
  multiplyAdds: () => 0,
  shapes(node, [{ shape }]) {
    const axes = axesOf(node);
    if (axes.length === 0 || axes.some((axis, i) => axis >= shape.length || axis <= (axes[i - 1] ?? -1))) {
      const text = `${expected} of a sample [${shape.join(', ')}], from 0, got ${axes.join(', ') || 'none'}`;
      throw nodeError('ATTRIBUTE', node, text);
    }
    return [shape.flatMap((side, axis) => (axes.includes(axis) ? (node.attributes.keep ? [1] : []) : [side]))];
  },
});

/** Channels go through where they are not reduced; axes before theirs may go. */
function coupleReduced(node: Node, axes: readonly number[], plan: CouplingPlan): Channels[] {
  const [input] = plan.inputs;
  if (!axes.includes(input.axis)) {
    const gone = node.attributes.keep === true ? 0 : axes.filter((axis) => axis < input.axis).length;
    return [{ ...input, axis: input.axis - gone }];
  }
  const reason = `the ${node.kind} ${show(node.name)} runs over them`;
  plan.refuse(input, reason);
  const [rest = 1] = plan.outputShapes[0];
  return [plan.fixed(rest, reason)];
}

/** The common arguments: where x lies, its sides with the batch in front, and those that are reduced. */
const operandOf = (
  kind: ReductionKind,
  { attributes: { axes } }: Node<ReductionAttributes>,
  { inputs: [x] }: Plan,
) => ({ x: x.offset, sides: x.shape, axes: axes.map((axis) => axis + 1), operation: REDUCTION[kind] });

const reduction = (kind: ReductionKind): Operator<ReductionAttributes> => ({
  ...reducing('axes: expected one or more, ascending,', ({ attributes: { axes } }) => axes),
  kind,
  attributes: REDUCTION_RULES,
  forward: (node, plan) => plan.run('reduceForward', { ...operandOf(kind, node, plan), y: plan.output.offset }),
});

const reductionTraining = (kind: ReductionKind): TrainingOperator<ReductionAttributes> => {
  const { readsValues } = REDUCTION_GRADIENTS[kind];
  return {
    reads: { inputs: readsValues, output: readsValues },
    backward(node, plan) {
      const dx = plan.inputGradient(0);
      if (!dx) return;
      const [y, dy] = [plan.output.offset, plan.outputGradient.offset];
      plan.run('reduceBackward', { ...operandOf(kind, node, plan), y, dy, dx: dx.offset });
    },
  };
};

const reductionCoupling: Coupling<ReductionAttributes> = {
  couple: (node, plan) => coupleReduced(node, node.attributes.axes, plan),
};

export const REDUCTION_OPERATORS = /* @__PURE__ */ forEachKind(KINDS, reduction);
export const REDUCTION_TRAINING = /* @__PURE__ */ forEachKind(KINDS, reductionTraining);
export const REDUCTION_COUPLINGS = /* @__PURE__ */ forEachKind(KINDS, () => reductionCoupling);

/** Places of the largest elements along an axis, the lowest of equals: whole numbers. A NaN counts as the largest, as in NumPy. */
export const argMax: Operator<ArgMaxAttributes> = /* @__PURE__ */ (() => ({
  ...reducing<ArgMaxAttributes>('axis: expected one', ({ attributes: { axis } }) => [axis]),
  kind: 'argMax',
  attributes: ARG_MAX_RULES,
  yields: 'integer' as const,
  forward({ attributes: { axis } }, { inputs: [x], output, run }) {
    const length = x.shape[axis + 1],
      inner = sizeOf(x.shape.slice(axis + 2));
    run('argMax', { x: x.offset, y: output.offset, outer: sizeOf(x.shape.slice(0, axis + 1)), length, inner });
  },
}))();

/** No gradient goes through whole numbers. */
export const argMaxTraining: TrainingOperator<ArgMaxAttributes> = { reads: { inputs: false, output: false } };
export const argMaxCoupling: Coupling<ArgMaxAttributes> = {
  couple: (node, plan) => coupleReduced(node, [node.attributes.axis], plan),
};
