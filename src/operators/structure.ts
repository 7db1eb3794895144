/** Operators that move values and compute nothing: flatten, reshape, concat, split. */
import { show } from '../base/errors.ts';
import { own } from '../base/realm.ts';
import { integer, integerList } from '../base/rules.ts';
import type { RuledBy } from '../base/rules.ts';
import { sameShape, sizeOf } from '../base/tensor.ts';
import type { Node } from '../graph/network.ts';
import { checkAxis, LARGEST_RANK, LARGEST_SIDE, nodeError, refused } from './define.ts';
import type { Coupling, Operator, TrainingOperator, Value, ValueType } from './types.ts';

/** The backward pass reads no value. */
const NOTHING = { inputs: false, output: false };

/** [C, ...] -> [size] */
export const flatten: Operator = {
  kind: 'flatten',
  keepsMeaning: true,
  attributes: {},
  roles: [],
  arity: [1, 1],
  inPlace: 'view',
  shapes: (_node, [{ shape }]) => [[sizeOf(shape)]],
  multiplyAdds: () => 0,
  forward: (_node, plan) =>
    plan.run('copy', { from: plan.inputs[0].offset, to: plan.output.offset, count: plan.output.words }),
};
/** Of whatever keeps all elements in their order. */
export const viewTraining: TrainingOperator = {
  reads: NOTHING,
  backward(_node, plan) {
    const dx = plan.inputGradient(0);
    if (dx) plan.run('copy', { from: plan.outputGradient.offset, to: dx.offset, count: dx.words });
  },
};
export const flattenCoupling: Coupling = {
  couple: (_node, plan) => [plan.reshape(plan.inputs[0], plan.inputShapes[0], plan.outputShapes[0])],
};

const RESHAPE = { shape: /* @__PURE__ */ integerList(1, LARGEST_SIDE) };
type ReshapeAttributes = RuledBy<typeof RESHAPE>;

/** The same elements in the same order as a sample of this shape; of one number where it has no sides. */
export const reshape: Operator<ReshapeAttributes> = /* @__PURE__ */ (() => ({
  ...flatten,
  kind: 'reshape',
  attributes: RESHAPE,
  shapes(node: Node<ReshapeAttributes>, [{ shape: from }]: readonly ValueType[]) {
    const { shape } = node.attributes;
    if (shape.length > LARGEST_RANK)
      throw nodeError('ATTRIBUTE', node, `shape: expected at most ${LARGEST_RANK} sides, got ${shape.length}`);
    if (sizeOf(shape) === sizeOf(from)) return [shape];
    const text = `shape: expected the ${sizeOf(from)} elements of [${from.join(', ')}], got [${shape.join(', ')}]`;
    throw nodeError('ATTRIBUTE', node, text);
  },
}))();
export const reshapeCoupling: Coupling<ReshapeAttributes> = {
  couple(_node, plan) {
    const channels = plan.reshape(plan.inputs[0], plan.inputShapes[0], plan.outputShapes[0]);
    if (plan.outputShapes[0].length > 0) plan.count('shape', channels, channels.axis);
    return [channels];
  },
};

const CONCAT = { axis: /* @__PURE__ */ integer(0) };
type ConcatAttributes = Partial<RuledBy<typeof CONCAT>>;

/** That of a node itself, not of a prototype. */
const axisOf = (node: Node<ConcatAttributes>): number => own(node.attributes).axis ?? 0;

/** How often the side along `axis` of a sample is walked through in a value with these sides, the batch in front. */
const rowsOf = ({ shape }: Value, axis: number): number => sizeOf(shape.slice(0, axis + 1));

/** Along an axis of the sample, that of channels (0) where none is named. */
export const concat: Operator<ConcatAttributes> = {
  kind: 'concat',
  keepsMeaning: true,
  attributes: CONCAT,
  mayLack: ['axis'],
  roles: [],
  arity: [1, 64],
  inPlace: false,
  shapes(node, inputs) {
    const axis = axisOf(node);
    const [{ shape: first }] = inputs;
    checkAxis(node, first, axis);
    inputs.forEach(({ shape }, i) => {
      if (shape.length !== first.length || !sameShape(shape.with(axis, 1), first.with(axis, 1))) {
        const expected = first.map((side, at) => (at === axis ? 'any' : side)).join(', ');
        throw nodeError('SHAPE', node, `input ${i}: expected [${expected}], got [${shape.join(', ')}]`);
      }
    });
    return [
      first.with(
        axis,
        inputs.reduce((sum, { shape }) => sum + shape[axis], 0),
      ),
    ];
  },
  multiplyAdds: () => 0,
  forward(node, { inputs, output, run }) {
    const rows = rowsOf(output, axisOf(node));
    const toStride = output.words / rows;
    let to = output.offset;
    for (const { offset, words } of inputs) {
      const columns = words / rows;
      run('copyRows', { from: offset, fromStride: columns, to, toStride, rows, columns });
      to += columns;
    }
  },
};
export const concatTraining: TrainingOperator<ConcatAttributes> = {
  reads: NOTHING,
  backward(node, plan) {
    const { inputs, output, outputGradient, run } = plan;
    const rows = rowsOf(output, axisOf(node));
    const fromStride = output.words / rows;
    let from = outputGradient.offset;
    inputs.forEach(({ words }, i) => {
      const columns = words / rows;
      const dx = plan.inputGradient(i);
      if (dx) run('copyRows', { from, fromStride, to: dx.offset, toStride: columns, rows, columns });
      from += columns;
    });
  },
};
export const concatCoupling: Coupling<ConcatAttributes> = {
  couple(node, plan) {
    const axis = axisOf(node);
    const [first, ...others] = plan.inputs;
    if (others.some((other) => other.axis !== first.axis))
      return refused(node, plan, 'puts together what has its channels along different axes');
    if (first.axis === axis) return [{ axis, runs: plan.inputs.flatMap(({ runs }) => runs) }];
    return [others.reduce((joined, other) => plan.join(joined, other), first)];
  },
};

const SPLIT = { sizes: /* @__PURE__ */ integerList(1), axis: /* @__PURE__ */ integer(0) };
type SplitAttributes = Pick<RuledBy<typeof SPLIT>, 'sizes'> & ConcatAttributes;

/** The inverse of concat: one value for each of `sizes`, which add up to the side along `axis` (absent: 0) of the sample. */
export const split: Operator<SplitAttributes> = {
  kind: 'split',
  keepsMeaning: true,
  attributes: SPLIT,
  mayLack: ['axis'],
  roles: [],
  arity: [1, 1],
  inPlace: false,
  shapes(node, [{ shape }]) {
    const { sizes } = node.attributes;
    const axis = axisOf(node);
    const side = checkAxis(node, shape, axis);
    if (sizes.reduce((sum, size) => sum + size, 0) !== side) {
      const what = axis === 0 ? `${side} channels` : `${side} elements along axis ${axis}`;
      throw nodeError('SHAPE', node, `sizes: expected them to add up to ${what}, got ${show(sizes)}`);
    }
    return sizes.map((size) => shape.with(axis, size));
  },
  multiplyAdds: () => 0,
  forward(node, { inputs: [input], outputs, run }) {
    const rows = rowsOf(input, axisOf(node));
    const fromStride = input.words / rows;
    let from = input.offset;
    for (const { offset, words } of outputs) {
      const columns = words / rows;
      run('copyRows', { from, fromStride, to: offset, toStride: columns, rows, columns });
      from += columns;
    }
  },
};
export const splitTraining: TrainingOperator<SplitAttributes> = {
  reads: NOTHING,
  backward(node, plan) {
    const dx = plan.inputGradient(0);
    if (!dx) return;
    const { outputs, outputGradients, run } = plan;
    const rows = rowsOf(dx, axisOf(node));
    const toStride = dx.words / rows;
    let to = dx.offset;
    outputs.forEach(({ words }, i) => {
      const columns = words / rows;
      const dy = outputGradients[i];
      // Where nothing depends on an output its gradient is a row of zeros, read again and again.
      const from = dy?.offset ?? plan.floats(new Array<number>(columns).fill(0));
      run('copyRows', { from, fromStride: dy ? columns : 0, to, toStride, rows, columns });
      to += columns;
    });
  },
};
export const splitCoupling: Coupling<SplitAttributes> = {
  couple(node, plan) {
    const { sizes } = node.attributes;
    const axis = axisOf(node);
    const [input] = plan.inputs;
    if (input.axis !== axis) return sizes.map(() => input);
    let first = 0;
    return sizes.map((size, i) => {
      const channels = plan.slice(input, first, size);
      plan.count('sizes', channels, i);
      first += size;
      return channels;
    });
  },
};
