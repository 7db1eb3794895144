/**
 * Operators whose outputs are elements of their input in other places, axis by axis: permute, slice, pad, gather, expand.
 * Each says which elements along which axis of the input stand along an axis of the output; both passes follow from it.
 */
import { choice, integer, integerList, LARGEST, number } from '../base/rules.ts';
import type { RuledBy } from '../base/rules.ts';
import { sizeOf } from '../base/tensor.ts';
import type { Shape } from '../base/tensor.ts';
import type { Attributes, Node } from '../graph/network.ts';
import { checkAxis, LARGEST_SIDE, nodeError, refused } from './define.ts';
import type { BackwardPlan, Coupling, Operator, Plan, TrainingOperator } from './types.ts';

/** What stands along an axis of the output: elements of an axis of the input, -1 for the fill value. */
export interface Moved {
  readonly from: number;
  readonly indices: readonly number[];
}

/** For each axis of the output, the axes of the input each once. */
export type MovesOf<A extends Attributes> = (node: Node<A>, input: Shape) => readonly Moved[];

export const range = (count: number, first = 0, step = 1): number[] =>
  Array.from({ length: count }, (_, i) => first + i * step);

/** Words from an element to the next along each axis. */
const stridesOf = (shape: Shape): number[] => shape.map((_, axis) => sizeOf(shape.slice(axis + 1)));

/** Writes y from x, whose batch goes before all axes that move. */
export function runMoves(plan: Plan, moves: readonly Moved[], input: Shape, x: number, y: number, fill: number): void {
  const strides = stridesOf(input);
  const tables = moves.map(({ from, indices }) => indices.map((i) => (i < 0 ? -1 : i * strides[from])));
  plan.run('rearrange', { x, y, tables: [range(plan.batch, 0, sizeOf(input)), ...tables], fill });
}

/**
 * The transpose of {@link runMoves}: what was read several times gets the sum, in the order of the output. An axis after
 * the other is brought back to elements that were read once, and what is left is moves.
 */
export function pullBack(plan: BackwardPlan, moves: readonly Moved[], input: Shape): void {
  const dx = plan.inputGradient(0);
  if (!dx) return;
  let at = plan.outputGradient.offset;
  const sides = [plan.batch, ...moves.map(({ indices }) => indices.length)];
  const places = moves.map(({ from, indices }, axis) => {
    const readers = Array.from({ length: input[from] }, (): number[] => []);
    indices.forEach((i, to) => i >= 0 && readers[i].push(to));
    if (readers.every(({ length }) => length < 2)) return readers.map(([to = -1]) => to);
    const length = sides[axis + 1];
    sides[axis + 1] = input[from];
    const y = plan.temporary(sizeOf(sides));
    const [outer, inner] = [sizeOf(sides.slice(0, axis + 1)), sizeOf(sides.slice(axis + 2))];
    const taps = readers.map((all) => all.map((place) => ({ place, weight: 1 })));
    plan.run('resample', { x: at, y, outer, length, inner, taps, fill: plan.floats([0]) });
    at = y;
    return range(input[from]);
  });
  const back = input.map((_, axis): Moved => {
    const to = moves.findIndex(({ from }) => from === axis);
    return { from: to, indices: places[to] };
  });
  runMoves(plan, back, sides.slice(1), at, dx.offset, plan.floats([0]));
}

/** An operator that only moves; `shape` checks its attributes. */
function moving<A extends Attributes>(
  kind: string,
  attributes: Operator['attributes'],
  shape: (node: Node<A>, input: Shape) => Shape,
  movesOf: MovesOf<A>,
  fillOf: (node: Node<A>) => number = () => 0,
): Operator<A> {
  return {
    kind,
    attributes,
    keepsMeaning: true,
    roles: [],
    arity: [1, 1],
    inPlace: false,
    shapes: (node, [input]) => [shape(node, input.shape)],
    multiplyAdds: () => 0,
    forward(node, plan) {
      const [
        {
          offset,
          shape: [, ...input],
        },
      ] = plan.inputs;
      runMoves(plan, movesOf(node, input), input, offset, plan.output.offset, plan.floats([fillOf(node)]));
    },
  };
}

const movingTraining = <A extends Attributes>(movesOf: MovesOf<A>): TrainingOperator<A> => ({
  reads: { inputs: false, output: false },
  backward(node, plan) {
    const [, ...input] = plan.inputs[0].shape;
    pullBack(plan, movesOf(node, input), input);
  },
});

/** Every axis where it was. */
const each = (input: Shape, indices: (axis: number, side: number) => number[]): Moved[] =>
  input.map((side, from) => ({ from, indices: indices(from, side) }));

/** Lists with a number for every axis. @throws {EspalierError} ATTRIBUTE */
function checkAxes(node: Node, input: Shape, ...names: string[]): void {
  for (const name of names) {
    const { length } = node.attributes[name] as readonly number[];
    if (length === input.length) continue;
    const text = `${name}: expected a number for each axis of a sample [${input.join(', ')}], got ${length} of them`;
    throw nodeError('ATTRIBUTE', node, text);
  }
}

const PERMUTE = { order: /* @__PURE__ */ integerList(0) };
type PermuteAttributes = RuledBy<typeof PERMUTE>;
const permuteMoves: MovesOf<PermuteAttributes> = ({ attributes: { order } }, input) =>
  order.map((from) => ({ from, indices: range(input[from]) }));

/** order: axis i of the output is axis order[i] of the input */
export const permute: Operator<PermuteAttributes> = /* @__PURE__ */ moving(
  'permute',
  PERMUTE,
  (node, input) => {
    const { order } = node.attributes;
    checkAxes(node, input, 'order');
    if (input.some((_, axis) => !order.includes(axis))) {
      const text = `order: expected each axis of a sample [${input.join(', ')}] once, from 0, got ${order.join(', ')}`;
      throw nodeError('ATTRIBUTE', node, text);
    }
    return order.map((axis) => input[axis]);
  },
  permuteMoves,
);
export const permuteTraining = /* @__PURE__ */ movingTraining(permuteMoves);
export const permuteCoupling: Coupling<PermuteAttributes> = {
  couple: ({ attributes: { order } }, { inputs: [{ axis, runs }] }) => [{ axis: order.indexOf(axis), runs }],
};

const SLICE = {
  starts: /* @__PURE__ */ integerList(0, LARGEST_SIDE),
  counts: /* @__PURE__ */ integerList(1, LARGEST_SIDE),
  steps: /* @__PURE__ */ integerList(-LARGEST, LARGEST),
};
type SliceAttributes = RuledBy<typeof SLICE>;
const sliceMoves: MovesOf<SliceAttributes> = ({ attributes: { starts, counts, steps } }, input) =>
  each(input, (axis) => range(counts[axis], starts[axis], steps[axis]));

/** y[i] = x[starts + i steps] for `counts` elements along every axis of the sample */
export const slice: Operator<SliceAttributes> = /* @__PURE__ */ moving(
  'slice',
  SLICE,
  (node, input) => {
    const { starts, counts, steps } = node.attributes;
    checkAxes(node, input, 'starts', 'counts', 'steps');
    input.forEach((side, axis) => {
      const [first, last] = [starts[axis], starts[axis] + (counts[axis] - 1) * steps[axis]];
      if (steps[axis] !== 0 && first < side && last >= 0 && last < side) return;
      const expected = `axis ${axis}: expected elements 0 to ${side - 1} by a step other than 0`;
      throw nodeError('ATTRIBUTE', node, `${expected}, got ${first} to ${last} by ${steps[axis]}`);
    });
    return counts;
  },
  sliceMoves,
);
export const sliceTraining = /* @__PURE__ */ movingTraining(sliceMoves);
export const sliceCoupling: Coupling<SliceAttributes> = {
  couple(node, plan) {
    const { starts, counts, steps } = node.attributes;
    const [input] = plan.inputs;
    const { axis } = input;
    const [first, count] = [starts[axis], counts[axis]];
    if (steps[axis] !== 1 && count > 1) return refused(node, plan, 'takes them by steps');
    const channels = plan.slice(input, first, count);
    plan.count('starts', plan.slice(input, 0, first), axis);
    plan.count('counts', channels, axis);
    return [channels];
  },
};

const PAD = {
  before: /* @__PURE__ */ integerList(0),
  after: /* @__PURE__ */ integerList(0),
  mode: /* @__PURE__ */ choice('constant', 'reflect', 'edge', 'wrap'),
  value: /* @__PURE__ */ number(),
};
export type PadAttributes = RuledBy<typeof PAD>;

/** The element that stands at place i of a side that goes on beyond its ends. */
const PLACES: Readonly<Record<PadAttributes['mode'], (i: number, side: number) => number>> = {
  constant: (i, side) => (i < 0 || i >= side ? -1 : i),
  edge: (i, side) => Math.min(Math.max(i, 0), side - 1),
  wrap: (i, side) => ((i % side) + side) % side,
  reflect(i, side) {
    const period = 2 * (side - 1),
      place = PLACES.wrap(i, Math.max(1, period));
    return Math.min(place, period - place);
  },
};
/** Which elements stand where, for whoever pads by index. */
export const padMoves: MovesOf<PadAttributes> = ({ attributes: { before, after, mode } }, input) =>
  each(input, (axis, side) =>
    range(before[axis] + side + after[axis], -before[axis]).map((i) => PLACES[mode](i, side)),
  );

/** Elements `before` and `after` along every axis: `value`, or the sample mirrored, its edge drawn out, or itself again */
export const pad: Operator<PadAttributes> = /* @__PURE__ */ moving(
  'pad',
  PAD,
  (node, input) => {
    const { before, after } = node.attributes;
    checkAxes(node, input, 'before', 'after');
    return input.map((side, axis) => before[axis] + side + after[axis]);
  },
  padMoves,
  ({ attributes: { value } }) => value,
);
export const padTraining = /* @__PURE__ */ movingTraining(padMoves);
export const padCoupling: Coupling<PadAttributes> = {
  couple(node, plan) {
    const { before, after } = node.attributes;
    const { axis } = plan.inputs[0];
    return before[axis] + after[axis] > 0 ? refused(node, plan, 'adds to them') : [plan.inputs[0]];
  },
};

const GATHER = { axis: /* @__PURE__ */ integer(0), indices: /* @__PURE__ */ integerList(0, LARGEST_SIDE) };
type GatherAttributes = RuledBy<typeof GATHER>;
const gatherMoves: MovesOf<GatherAttributes> = ({ attributes }, input) =>
  each(input, (axis, side) => (axis === attributes.axis ? [...attributes.indices] : range(side)));

/** The elements with these indices along an axis of the sample */
export const gather: Operator<GatherAttributes> = /* @__PURE__ */ moving(
  'gather',
  GATHER,
  (node, input) => {
    const { axis, indices } = node.attributes;
    const side = checkAxis(node, input, axis);
    const wrong = indices.find((i) => i >= side);
    if (indices.length === 0 || wrong !== undefined)
      throw nodeError('ATTRIBUTE', node, `indices: expected one or more from 0 to ${side - 1}, got ${wrong ?? 'none'}`);
    return input.with(axis, indices.length);
  },
  gatherMoves,
);
export const gatherTraining = /* @__PURE__ */ movingTraining(gatherMoves);
export const gatherCoupling: Coupling<GatherAttributes> = {
  couple: (node, plan) =>
    node.attributes.axis === plan.inputs[0].axis ? refused(node, plan, 'picks some of them') : [plan.inputs[0]],
};

const EXPAND = { shape: /* @__PURE__ */ integerList(1, LARGEST_SIDE) };
type ExpandAttributes = RuledBy<typeof EXPAND>;
const expandMoves: MovesOf<ExpandAttributes> = ({ attributes: { shape } }, input) =>
  each(input, (axis, side) => range(shape[axis]).map((i) => (side === 1 ? 0 : i)));

/** Sides of 1 stretched to those of `shape` */
export const expand: Operator<ExpandAttributes> = /* @__PURE__ */ moving(
  'expand',
  EXPAND,
  (node, input) => {
    const { shape } = node.attributes;
    checkAxes(node, input, 'shape');
    if (input.every((side, axis) => side === 1 || side === shape[axis])) return shape;
    const text = `shape: expected [${input.join(', ')}] with sides of 1 stretched, got [${shape.join(', ')}]`;
    throw nodeError('ATTRIBUTE', node, text);
  },
  expandMoves,
);
export const expandTraining = /* @__PURE__ */ movingTraining(expandMoves);
export const expandCoupling: Coupling<ExpandAttributes> = {
  couple(node, plan) {
    const [input] = plan.inputs;
    const { axis } = input;
    if (plan.inputShapes[0][axis] !== node.attributes.shape[axis])
      return refused(node, plan, 'spreads them over other channels');
    plan.count('shape', input, axis);
    return [input];
  },
};
