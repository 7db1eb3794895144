/**
 * Resizing along axes of a sample, as ONNX says it (operator Resize, opset 19), one axis after the other. An element of the
 * output stands at a coordinate x of the input, and is the sum of elements around it by weights.
 */
import { boolean, choice, integerList, number, numberList } from '../base/rules.ts';
import type { RuledBy } from '../base/rules.ts';
import { sizeOf } from '../base/tensor.ts';
import type { Shape } from '../base/tensor.ts';
import type { Node } from '../graph/network.ts';
import { checkAxis, LARGEST_SIDE, nodeError, refused } from './define.ts';
import { pullBack, range, runMoves } from './rearrange.ts';
import type { Moved } from './rearrange.ts';
import type { Coupling, Operator, TrainingOperator } from './types.ts';

const ATTRIBUTES = {
  /** Of a sample, ascending. */
  axes: /* @__PURE__ */ integerList(0),
  /** Sides of the output along them. */
  sizes: /* @__PURE__ */ integerList(1, LARGEST_SIDE),
  /** By which coordinates are scaled along them. */
  scales: /* @__PURE__ */ numberList(0, Infinity, 'from'),
  mode: /* @__PURE__ */ choice('nearest', 'linear', 'cubic'),
  coordinates: /* @__PURE__ */ choice(
    'halfPixel',
    'halfPixelSymmetric',
    'pytorchHalfPixel',
    'alignCorners',
    'asymmetric',
    'tfCropAndResize',
  ),
  /** Of nearest. */
  rounding: /* @__PURE__ */ choice('roundPreferFloor', 'roundPreferCeil', 'floor', 'ceil'),
  /** Of cubic: the slope a of its kernel. */
  cubicCoefficient: /* @__PURE__ */ number(),
  /** Weights outside of the input are 0 and the others grow, where otherwise its edge goes on. */
  excludeOutside: boolean,
  /** Linear and cubic kernels as wide as the step between elements where the output is smaller. */
  antialias: boolean,
  /** Of tfCropAndResize: where the coordinate is outside of the input. */
  extrapolation: /* @__PURE__ */ number(),
  /** Of tfCropAndResize: starts along the axes, then ends, in shares of the input's side; otherwise empty. */
  region: /* @__PURE__ */ numberList(),
};
export type ResizeAttributes = RuledBy<typeof ATTRIBUTES>;

interface Tap {
  readonly place: number;
  readonly weight: number;
}

/** Everything along one of the axes. */
interface Along {
  readonly axis: number;
  readonly length: number;
  readonly size: number;
  readonly scale: number;
  readonly start: number;
  readonly end: number;
}

const alongEach = ({ attributes: { axes, sizes, scales, region } }: Node<ResizeAttributes>, input: Shape): Along[] =>
  axes.map((axis, i) => ({
    ...{ axis, length: input[axis], size: sizes[i], scale: scales[i] },
    ...{ start: region[i] ?? 0, end: region[axes.length + i] ?? 1 },
  }));

/** In the order of least work: first what shrinks, then what grows from the last axis on, whose elements cost the most. */
const inTurn = (steps: readonly Along[]): Along[] => {
  const grows = ({ size, length }: Along): boolean => size > length;
  return [...steps.filter((along) => !grows(along)), ...steps.filter(grows).reverse()];
};

/** The coordinate of element i of the output. */
function coordinate(i: number, kind: ResizeAttributes['coordinates'], along: Along): number {
  const { length, size, scale, start, end } = along;
  // Of parts of an element too, where it is not the size.
  const out = scale * length,
    isOne = Math.abs(out - 1) < 1e-6;
  switch (kind) {
    case 'alignCorners':
      return isOne ? 0 : (i * (length - 1)) / (out - 1);
    case 'asymmetric':
      return i / scale;
    case 'tfCropAndResize': {
      const span = (end - start) * (length - 1);
      return start * (length - 1) + (size === 1 ? span / 2 : (i * span) / (size - 1));
    }
    case 'pytorchHalfPixel':
      return isOne ? -0.5 : (i + 0.5) / scale - 0.5;
    case 'halfPixelSymmetric':
      return (length / 2) * (1 - size / out) + (i + 0.5) / scale - 0.5;
    case 'halfPixel':
      return (i + 0.5) / scale - 0.5;
  }
}

const ROUND: Readonly<Record<ResizeAttributes['rounding'], (x: number) => number>> = {
  roundPreferFloor: (x) => Math.ceil(x - 0.5),
  roundPreferCeil: (x) => Math.floor(x + 0.5),
  floor: Math.floor,
  ceil: Math.ceil,
};

const linear = (x: number): number => Math.max(0, 1 - Math.abs(x));
/** Keys' kernel (1981) with slope a. */
const cubic =
  (a: number) =>
  (x: number): number => {
    const t = Math.abs(x);
    if (t <= 1) return ((a + 2) * t - (a + 3)) * t * t + 1;
    return t < 2 ? ((t - 5) * t + 8) * a * t - 4 * a : 0;
  };

/** What element i of the output is the sum of; nothing where it lies outside and is extrapolated. */
function tapsOf(i: number, attributes: ResizeAttributes, along: Along): Tap[] {
  const { mode, coordinates, rounding, cubicCoefficient, excludeOutside, antialias } = attributes;
  const { length, scale } = along;
  const x = coordinate(i, coordinates, along);
  const inside = (place: number): number => Math.min(Math.max(place, 0), length - 1);
  if (coordinates === 'tfCropAndResize' && (x < 0 || x > length - 1)) return [];
  if (mode === 'nearest') return [{ place: inside(ROUND[rounding](x)), weight: 1 }];
  const [kernel, reach] = mode === 'linear' ? [linear, 1] : [cubic(cubicCoefficient), 2];
  const shrink = antialias ? Math.min(scale, 1) : 1;
  const half = -Math.floor(-reach / shrink);
  // Of two elements equally far the left one.
  const first = Math.ceil(x) - half;
  const places = range(2 * half, first);
  const weights = places.map((place) => (excludeOutside && place !== inside(place) ? 0 : kernel((place - x) * shrink)));
  const sum = excludeOutside || antialias ? weights.reduce((all, weight) => all + weight, 0) : 1;
  const merged = new Map<number, number>();
  places.forEach((place, t) => merged.set(inside(place), (merged.get(inside(place)) ?? 0) + weights[t] / sum));
  return [...merged].filter(([, weight]) => weight !== 0).map(([place, weight]) => ({ place, weight }));
}

const tapsAlong = ({ attributes }: Node<ResizeAttributes>, along: Along): Tap[][] =>
  range(along.size).map((i) => tapsOf(i, attributes, along));

/** Axis by axis: what each element along it is the sum of, of the elements before. */
export const resizedAlong = (
  node: Node<ResizeAttributes>,
  input: Shape,
): { readonly axis: number; readonly length: number; readonly taps: readonly (readonly Tap[])[] }[] =>
  alongEach(node, input).map((along) => ({ axis: along.axis, length: along.length, taps: tapsAlong(node, along) }));

/** Each element of the output is one of the input, or the extrapolated value: nothing is summed. */
const movesOf = (node: Node<ResizeAttributes>, input: Shape): Moved[] => {
  const resized = alongEach(node, input);
  return input.map((side, from) => {
    const along = resized.find(({ axis }) => axis === from);
    return { from, indices: along ? tapsAlong(node, along).map(([tap]) => tap?.place ?? -1) : range(side) };
  });
};

function check(node: Node<ResizeAttributes>, input: Shape): void {
  const { axes, coordinates, antialias, mode, sizes, scales, region } = node.attributes;
  const fail = (text: string): never => {
    throw nodeError('ATTRIBUTE', node, text);
  };
  axes.forEach((axis, i) => {
    checkAxis(node, input, axis);
    if (axis <= (axes[i - 1] ?? -1)) fail(`axes: expected them ascending, got ${axes.join(', ')}`);
  });
  const isCrop = coordinates === 'tfCropAndResize';
  const expected = Object.entries({ sizes, scales, region });
  for (const [name, { length }] of expected) {
    const count = name === 'region' ? (isCrop ? 2 * axes.length : 0) : axes.length;
    if (length !== count) fail(`${name}: expected ${count} numbers for ${axes.length} axes, got ${length}`);
  }
  if (mode === 'nearest' && antialias) fail('antialias: expected false where mode is nearest, got true');
  for (const { axis, length, size, scale } of alongEach(node, input)) {
    const out = scale * length;
    // A crop is scaled by what it is of; a kernel is as wide as the input at most.
    if (isCrop ? !antialias || out >= 0.5 : out >= 0.5 && Math.abs(out - size) < 1) continue;
    fail(`scales: expected about ${size / length} along axis ${axis}, from ${length} to ${size}, got ${scale}`);
  }
}

/** [..., side, ...] to [..., size, ...] along `axes` of the sample */
export const resize: Operator<ResizeAttributes> = {
  kind: 'resize',
  attributes: ATTRIBUTES,
  roles: [],
  arity: [1, 1],
  inPlace: false,
  shapes(node, [{ shape }]) {
    check(node, shape);
    const { axes, sizes } = node.attributes;
    return [shape.map((side, axis) => (axes.includes(axis) ? sizes[axes.indexOf(axis)] : side))];
  },
  multiplyAdds: () => 0,
  taps({ attributes: { mode, scales, antialias } }) {
    const wide = mode === 'nearest' ? 1 : mode === 'linear' ? 2 : 4;
    return scales.reduce((sum, scale) => sum + Math.ceil(wide / (antialias ? Math.min(scale, 1) : 1)), 0);
  },
  forward(node, plan) {
    const { offset, shape } = plan.inputs[0];
    const [batch, ...input] = shape;
    const fill = plan.floats([node.attributes.extrapolation]);
    if (node.attributes.mode === 'nearest')
      return runMoves(plan, movesOf(node, input), input, offset, plan.output.offset, fill);
    const sides = [batch, ...input];
    let x = offset;
    const steps = inTurn(alongEach(node, input));
    if (steps.length === 0) plan.run('copy', { from: x, to: plan.output.offset, count: plan.output.words });
    steps.forEach((along, i) => {
      const axis = along.axis + 1;
      const { length, size } = along;
      sides[axis] = size;
      const y = i === steps.length - 1 ? plan.output.offset : plan.temporary(sizeOf(sides));
      const [outer, inner] = [sizeOf(sides.slice(0, axis)), sizeOf(sides.slice(axis + 1))];
      plan.run('resample', { x, y, outer, length, inner, taps: tapsAlong(node, along), fill });
      x = y;
    });
  },
};

export const resizeTraining: TrainingOperator<ResizeAttributes> = {
  reads: { inputs: false, output: false },
  backward(node, plan) {
    const dx = plan.inputGradient(0);
    if (!dx) return;
    const [batch, ...input] = dx.shape;
    if (node.attributes.mode === 'nearest') return pullBack(plan, movesOf(node, input), input);
    const steps = inTurn(alongEach(node, input)).reverse();
    const sides = [batch, ...plan.output.shape.slice(1)];
    let x = plan.outputGradient.offset;
    if (steps.length === 0) plan.run('copy', { from: x, to: dx.offset, count: dx.words });
    steps.forEach((along, i) => {
      const axis = along.axis + 1;
      // Each element of the input in turn: where it went, and by how much.
      const taps = range(along.length).map((): Tap[] => []);
      tapsAlong(node, along).forEach((all, to) =>
        all.forEach(({ place, weight }) => taps[place].push({ place: to, weight })),
      );
      sides[axis] = along.length;
      const y = i === steps.length - 1 ? dx.offset : plan.temporary(sizeOf(sides));
      const [outer, inner] = [sizeOf(sides.slice(0, axis)), sizeOf(sides.slice(axis + 1))];
      plan.run('resample', { x, y, outer, length: along.size, inner, taps, fill: plan.floats([0]) });
      x = y;
    });
  },
};

export const resizeCoupling: Coupling<ResizeAttributes> = {
  couple: (node, plan) =>
    node.attributes.axes.includes(plan.inputs[0].axis) ? refused(node, plan, 'mixes them') : [plan.inputs[0]],
};
