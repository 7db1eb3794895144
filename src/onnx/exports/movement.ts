/** What moves elements and computes nothing, and resizing. */
import { padMoves, range } from '../../operators/rearrange.ts';
import { resizedAlong } from '../../operators/resize.ts';
import type { NodeOf } from '../../operators/table.ts';
import { sidesOf } from '../exporting.ts';
import type { Exporting } from '../exporting.ts';
import type { Exports } from './define.ts';

type Movements =
  'flatten' | 'reshape' | 'concat' | 'split' | 'permute' | 'slice' | 'pad' | 'gather' | 'expand' | 'resize' | 'dropout';

/** The last of several nodes, of which there may be none. */
function yieldsAll(to: Exporting, steps: readonly ((x: string, last: boolean) => string | undefined)[]): void {
  if (steps.length === 0) {
    to.yields('Identity', [to.x.name]);
    return;
  }
  let x: string | undefined = to.x.name;
  steps.forEach((step, i) => (x = step(x ?? '', i === steps.length - 1)));
}

/** A step of {@link yieldsAll}. */
const stepOf =
  (to: Exporting, operator: string, inputs: (x: string) => readonly string[], attributes = {}) =>
  (x: string, last: boolean): string | undefined => {
    if (!last) return to.node(operator, inputs(x), attributes);
    to.yields(operator, inputs(x), attributes);
    return undefined;
  };

function slice({ attributes: { starts, counts, steps } }: NodeOf<'slice'>, to: Exporting): void {
  const { shape } = to.x;
  const cut = range(shape.length).filter(
    (axis) => starts[axis] !== 0 || counts[axis] !== shape[axis] || steps[axis] !== 1,
  );
  const ends = cut.map((axis) => {
    const end = starts[axis] + (counts[axis] - 1) * steps[axis] + Math.sign(steps[axis]);
    // -1 would be the last element; what lies before the first is found from far below.
    return end < 0 ? -shape[axis] - 1 : end;
  });
  if (cut.length === 0) {
    to.yields('Identity', [to.x.name]);
    return;
  }
  const lists = [
    cut.map((axis) => starts[axis]),
    ends,
    cut.map((axis) => axis + to.lead),
    cut.map((axis) => steps[axis]),
  ];
  to.yields('Slice', [to.x.name, ...lists.map((list) => to.integers(list))]);
}

function pad(node: NodeOf<'pad'>, to: Exporting): void {
  const { before, after, mode, value } = node.attributes;
  if (mode === 'constant') {
    const lead = to.lead === 1 ? [0] : [];
    const pads = to.integers([...lead, ...before, ...lead, ...after]);
    to.yields('Pad', [to.x.name, pads, to.number(value)], { mode });
    return;
  }
  // By index: 'wrap' came with opset 19, and reflections beyond the other end are understood differently.
  const moves = padMoves(node, to.x.shape).filter((_, axis) => before[axis] > 0 || after[axis] > 0);
  const steps = moves.map(({ from, indices }) =>
    stepOf(to, 'Gather', (x) => [x, to.integers(indices)], { axis: from + to.lead }),
  );
  yieldsAll(to, steps);
}

/** Names of ours in ONNX, where opset 17 has them and runtimes agree on them. */
const COORDINATES: Readonly<Partial<Record<NodeOf<'resize'>['attributes']['coordinates'], string>>> = {
  halfPixel: 'half_pixel',
  asymmetric: 'asymmetric',
  alignCorners: 'align_corners',
};

/**
 * A Resize where it is one of planes by whole factors up, of which nobody has doubts: elements of the nearest, or a linear one
 * along the last two axes. Undefined: it is not.
 */
function plainResize({ attributes }: NodeOf<'resize'>, to: Exporting): Record<string, string> | undefined {
  const { axes, scales, mode, coordinates, rounding, excludeOutside, antialias } = attributes;
  const named = COORDINATES[coordinates];
  const rank = to.x.shape.length;
  const isPlane = to.lead === 1 && rank === 3 && axes.every((axis) => axis > 0);
  if (named === undefined || !isPlane || excludeOutside || antialias) return undefined;
  if (!scales.every((scale) => Number.isInteger(scale))) return undefined;
  if (mode === 'nearest') {
    if (named !== 'asymmetric' || rounding !== 'floor') return undefined;
    return { mode, coordinate_transformation_mode: named, nearest_mode: 'floor' };
  }
  return mode === 'linear' ? { mode, coordinate_transformation_mode: named } : undefined;
}

/** As an operator of its own, else one axis after another: by indices, or as a product with the weights of its elements. */
function resize(node: NodeOf<'resize'>, to: Exporting): void {
  const { axes, scales, mode, extrapolation } = node.attributes;
  const { shape } = to.x;
  const plain = plainResize(node, to);
  if (plain) {
    const whole = [1, ...shape.map((_, axis) => (axes.includes(axis) ? scales[axes.indexOf(axis)] : 1))];
    to.yields('Resize', [to.x.name, undefined, to.floats(whole, [whole.length])], plain);
    return;
  }
  const last = to.lead + shape.length - 1;
  const steps = resizedAlong(node, shape).flatMap(({ axis, length, taps }) => {
    if (mode === 'nearest' && taps.every((all) => all.length === 1)) {
      const indices = taps.map(([{ place }]) => place);
      return [stepOf(to, 'Gather', (x) => [x, to.integers(indices)], { axis: axis + to.lead })];
    }
    // [length, size] behind the axis as the last one.
    const weights = new Float32Array(length * taps.length);
    taps.forEach((all, i) => all.forEach(({ place, weight }) => (weights[place * taps.length + i] = weight)));
    const perm = range(last + 1);
    [perm[axis + to.lead], perm[last]] = [last, axis + to.lead];
    const turn = stepOf(to, 'Transpose', (x) => [x], { perm });
    const turns = axis + to.lead === last ? [] : [turn];
    const multiply = stepOf(to, 'MatMul', (x) => [x, to.floats(weights, [length, taps.length])]);
    const outside = taps.map((all) => (all.length === 0 ? extrapolation : 0));
    const add = stepOf(to, 'Add', (x) => [x, to.floats(outside, [taps.length])]);
    return [...turns, multiply, ...(outside.some((value) => value !== 0) ? [add] : []), ...turns];
  });
  yieldsAll(to, steps);
}

export const MOVEMENT_EXPORTS: Exports<Movements> = {
  flatten(_node, to) {
    if (to.lead === 1) to.yields('Flatten', [to.x.name], { axis: 1 });
    else to.yields('Reshape', [to.x.name, to.integers(to.y.shape)]);
  },
  reshape: (_node, to) => to.yields('Reshape', [to.x.name, to.integers(sidesOf(to, to.y.shape))]),
  concat: ({ attributes: { axis = 0 } }, to) =>
    to.yields(
      'Concat',
      to.inputs.map(({ name }) => name),
      { axis: axis + to.lead },
    ),
  split: ({ attributes: { sizes, axis = 0 } }, to) =>
    to.yields('Split', [to.x.name, to.integers(sizes)], { axis: axis + to.lead }),
  permute({ attributes: { order } }, to) {
    const lead = to.lead === 1 ? [0] : [];
    to.yields('Transpose', [to.x.name], { perm: [...lead, ...order.map((axis) => axis + to.lead)] });
  },
  slice,
  pad,
  gather: ({ attributes: { axis, indices } }, to) =>
    to.yields('Gather', [to.x.name, to.integers(indices)], { axis: axis + to.lead }),
  expand({ attributes: { shape } }, to) {
    to.yields('Expand', [to.x.name, to.integers([...(to.lead === 1 ? [1] : []), ...shape])]);
  },
  resize,
  dropout: (_node, to) => to.yields('Identity', [to.x.name]),
};
