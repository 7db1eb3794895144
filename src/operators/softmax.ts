/** Softmax along an axis of a sample. */
import { show } from '../base/errors.ts';
import { own } from '../base/realm.ts';
import { integer } from '../base/rules.ts';
import type { RuledBy } from '../base/rules.ts';
import { sizeOf } from '../base/tensor.ts';
import type { Node } from '../graph/network.ts';
import { checkAxis, nodeError } from './define.ts';
import type { Coupling, Operator, Plan, TrainingOperator, Value } from './types.ts';

const ATTRIBUTES = { axis: /* @__PURE__ */ integer(0) };
type Attributes = Partial<RuledBy<typeof ATTRIBUTES>>;

/** The axis of a sample of so many. */
const axisOf = ({ attributes }: Node<Attributes>, rank: number): number => own(attributes).axis ?? rank - 1;

/** Rows that lie one after the other, as the operation takes them, or with their elements `inner` words apart. */
function rowsOf(node: Node<Attributes>, { shape, words }: Value): { rows: number; columns: number; inner: number } {
  const axis = axisOf(node, shape.length - 1) + 1;
  return { rows: words / shape[axis], columns: shape[axis], inner: sizeOf(shape.slice(axis + 1)) };
}

/** Elements of each row next to each other, or (`back`) where they were: for the gradient. */
function turn(
  plan: Plan,
  x: number,
  y: number,
  { rows, columns, inner }: ReturnType<typeof rowsOf>,
  back = false,
): void {
  const side = (count: number, stride: number): number[] => Array.from({ length: count }, (_, i) => i * stride);
  const outer = side(rows / inner, columns * inner);
  const [first, second] = back ? [side(columns, 1), side(inner, columns)] : [side(inner, 1), side(columns, inner)];
  plan.run('rearrange', { x, y, tables: [outer, first, second], fill: -1 });
}

/** over `axis` of the sample, the last one where none is named */
export const softmax: Operator<Attributes> = {
  kind: 'softmax',
  attributes: ATTRIBUTES,
  mayLack: ['axis'],
  roles: [],
  arity: [1, 1],
  inPlace: 'overwrite',
  yieldsProbabilities: true,
  shapes(node, [{ shape }]) {
    if (shape.length === 0) throw nodeError('SHAPE', node, 'input: expected at least one axis');
    checkAxis(node, shape, axisOf(node, shape.length));
    return [shape];
  },
  multiplyAdds: () => 0,
  forward(node, plan) {
    const { rows, columns, inner } = rowsOf(node, plan.output);
    const [x, y] = [plan.inputs[0].offset, plan.output.offset];
    plan.run('softmaxForward', { x, y, outer: rows / inner, length: columns, inner });
  },
};

export const softmaxTraining: TrainingOperator<Attributes> = {
  reads: { inputs: false, output: true },
  backward(node, plan) {
    const dx = plan.inputGradient(0);
    if (!dx) return;
    const across = rowsOf(node, dx);
    const { rows, columns, inner } = across;
    const [y, dy] = [plan.output.offset, plan.outputGradient.offset];
    if (inner === 1) return plan.run('softmaxBackward', { y, dy, dx: dx.offset, rows, columns });
    const [turned, gradient] = [plan.temporary(dx.words), plan.temporary(dx.words)];
    turn(plan, y, turned, across);
    turn(plan, dy, gradient, across);
    plan.run('softmaxBackward', { y: turned, dy: gradient, dx: gradient, rows, columns });
    turn(plan, gradient, dx.offset, across, true);
  },
};

export const softmaxCoupling: Coupling<Attributes> = {
  couple(node, plan) {
    const [input] = plan.inputs;
    if (axisOf(node, plan.outputShapes[0].length) === input.axis)
      plan.refuse(input, `the softmax ${show(node.name)} runs over them`);
    return [input];
  },
};
