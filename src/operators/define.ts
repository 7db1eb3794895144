/** What the operator files share: errors that name the node, checks, windows, and couplings that several have. */
import { EspalierError, show } from '../base/errors.ts';
import type { ErrorCode } from '../base/errors.ts';
import type { Shape } from '../base/tensor.ts';
import type { Node } from '../graph/network.ts';
import type { Geometry } from '../kernels/specification/geometry.ts';
import type { Channels, Coupling, CouplingPlan, Operator, Padding, Pair, ParameterShapes } from './types.ts';

/** An error about a node, which its text names with its kind. */
export function nodeError(code: ErrorCode, node: Pick<Node, 'name' | 'kind'>, text: string): EspalierError {
  return new EspalierError(code, `node ${show(node.name)} (${node.kind}): ${text}`, { name: node.name });
}

/** A sample of the given rank; `what` in words. @throws {EspalierError} SHAPE */
export function checkRank(node: Node, shape: Shape, rank: number, what: string): void {
  if (shape.length !== rank)
    throw nodeError('SHAPE', node, `input: expected ${what}, got shape [${shape.join(', ')}] per sample`);
}

/** The number of channels: the first axis of a sample. @throws {EspalierError} SHAPE if there is none */
export function checkChannels(node: Node, shape: Shape): number {
  if (shape.length === 0) throw nodeError('SHAPE', node, 'input: expected channels as the first axis of a sample');
  return shape[0];
}

/** Axes of a sample that a reshape may make, as of a shape in a file. */
export const LARGEST_RANK = 8;

/** Sides and indices that attributes name are at most this. */
export const LARGEST_SIDE = 2 ** 31 - 1;

/** The side along an axis of a sample that an attribute names. @throws {EspalierError} ATTRIBUTE if there is none */
export function checkAxis(node: Node, shape: Shape, axis: number): number {
  if (axis >= shape.length)
    throw nodeError('ATTRIBUTE', node, `axis: expected one of a sample [${shape.join(', ')}], from 0, got ${axis}`);
  return shape[axis];
}

/** Whether a node that yields such samples takes maps per channel into its weights. */
export const takesMaps = ({ takesIn }: Pick<Operator, 'takesIn'>, output: Shape): boolean =>
  takesIn?.channelMaps === true || (takesIn?.channelMaps === 'of vectors' && output.length === 1);

/** A stored parameter of exactly this shape. @throws {EspalierError} SHAPE for another, GRAPH if it is absent and not optional */
export function checkParameterShape(
  node: Node,
  role: string,
  found: Shape | undefined,
  expected: Shape,
  optional = false,
): void {
  if (found === undefined) {
    if (optional) return;
    throw nodeError('GRAPH', node, `${role}: the node names no parameter in this role`);
  }
  if (found.length !== expected.length || found.some((side, i) => side !== expected[i])) {
    throw nodeError('SHAPE', node, `${role}: expected shape [${expected.join(', ')}], got [${found.join(', ')}]`);
  }
}

/** Both shapes stretched to one: aligned at their last axes, a side of 1 taken as often as the other asks. Undefined if they do not fit. */
export function broadcast(a: Shape, b: Shape): Shape | undefined {
  const rank = Math.max(a.length, b.length);
  const padded = (shape: Shape): number[] => [...new Array<number>(rank - shape.length).fill(1), ...shape];
  const [left, right] = [padded(a), padded(b)];
  const fits = left.every((side, i) => side === right[i] || side === 1 || right[i] === 1);
  return fits ? left.map((side, i) => (side === 1 ? right[i] : side)) : undefined;
}

/** Steps in words from an element to the next along each of `sides`; 0 where the operand is the same along it. */
export function stridesOf(shape: Shape, sides: Shape): number[] {
  const strides = new Array<number>(sides.length).fill(0);
  let step = 1;
  for (let axis = shape.length - 1, to = sides.length - 1; axis >= 0; axis--, to--) {
    if (shape[axis] !== 1) strides[to] = step;
    step *= shape[axis];
  }
  return strides;
}

/**
 * The weight of a convolution, [out, in / groups, ...sides], and its bias [out] if there is one.
 * @param sides - in words
 * @throws {EspalierError} SHAPE, GRAPH or ATTRIBUTE, naming the node
 */
export function checkFilters(
  node: Node<{ readonly groups: number }>,
  [channels]: Shape,
  { weight, bias }: ParameterShapes,
  sides: readonly string[],
): Shape {
  const { groups } = node.attributes;
  if (weight?.length !== sides.length + 2) {
    const found = weight ? `[${weight.join(', ')}]` : 'none';
    throw nodeError('SHAPE', node, `weight: expected [out, in / groups, ${sides.join(', ')}], got ${found}`);
  }
  if (weight[0] % groups !== 0)
    throw nodeError('ATTRIBUTE', node, `groups: expected a divisor of the ${weight[0]} filters, got ${groups}`);
  checkParameterShape(node, 'weight', weight, [weight[0], channels / groups, ...weight.slice(2)]);
  checkParameterShape(node, 'bias', bias, [weight[0]], true);
  return weight;
}

/** What convolutions of every kind have in common: filters with a bias, which take in what follows. */
export const FILTERS = {
  roles: [
    { role: 'weight', kind: 'trained', optional: false, isWeight: true },
    { role: 'bias', kind: 'trained', optional: true },
  ],
  arity: [1, 1],
  takesIn: { activation: true, channelMaps: true },
  packsWeight: true,
  inPlace: false,
} satisfies Partial<Operator>;

export interface Window {
  readonly size: Pair;
  readonly stride: Pair;
  readonly padding: Padding;
  readonly dilation: Pair;
}

/**
 * Output height and width of a sliding window, rounded down. Its attributes have been checked by their rules.
 * @throws {EspalierError} ATTRIBUTE if it does not fit the padded input
 */
export function windowOutput(node: Node, height: number, width: number, window: Window): Pair {
  const { size, stride, padding, dilation } = window;
  const [top, left, bottom, right] = padding;
  const outHeight = Math.floor((height + top + bottom - dilation[0] * (size[0] - 1) - 1) / stride[0]) + 1;
  const outWidth = Math.floor((width + left + right - dilation[1] * (size[1] - 1) - 1) / stride[1]) + 1;
  if (!(outHeight >= 1 && outWidth >= 1)) {
    throw nodeError(
      'ATTRIBUTE',
      node,
      `a window of ${size.join(' x ')} (dilation ${dilation.join(', ')}) does not fit a padded input of ${height + top + bottom} x ${width + left + right}`,
    );
  }
  return [outHeight, outWidth];
}

/** [C, H, W] per sample in and out; pooling passes groups = C. */
export function geometryOf(input: Shape, output: Shape, window: Window, groups: number): Geometry {
  return {
    channelsIn: input[0],
    heightIn: input[1],
    widthIn: input[2],
    channelsOut: output[0],
    heightOut: output[1],
    widthOut: output[2],
    kernelHeight: window.size[0],
    kernelWidth: window.size[1],
    strideY: window.stride[0],
    strideX: window.stride[1],
    paddingTop: window.padding[0],
    paddingLeft: window.padding[1],
    dilationY: window.dilation[0],
    dilationX: window.dilation[1],
    groups,
  };
}

/** The members of a family that is a table: an entry for each of its kinds. */
export function forEachKind<K extends string, T>(kinds: readonly K[], make: (kind: K) => T): Readonly<Record<K, T>> {
  return Object.fromEntries(kinds.map((kind) => [kind, make(kind)])) as Record<K, T>;
}

/** Channels go through as they are. */
export const PASSES_CHANNELS: Coupling = { couple: (_node, { inputs }) => [inputs[0]] };

/** Channels along the first axis go through; others would be mixed with their neighbours. */
export const PASSES_FIRST: Coupling = {
  couple: (node, plan) => (plan.inputs[0].axis === 0 ? [plan.inputs[0]] : refused(node, plan, 'runs over them')),
};

/** All channels that come in are refused, for a reason that names the node; what comes out stays as it is. */
export function refused(node: Node, plan: CouplingPlan, what: string): Channels[] {
  const reason = `the ${node.kind} ${show(node.name)} ${what}`;
  for (const input of plan.inputs) plan.refuse(input, reason);
  return plan.outputShapes.map(([side = 1]) => plan.fixed(side, reason));
}
