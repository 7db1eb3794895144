/** What the operator files share: errors that name the node, geometry, and how work is cut into pieces. */
import { EspalierError, show } from '../base/errors.ts';
import type { ErrorCode } from '../base/errors.ts';
import type { Geometry } from '../kernels/specification/geometry.ts';
import type { Node } from '../graph/network.ts';
import type { Padding, Pair } from '../graph/network.ts';
import type { Shape } from '../base/tensor.ts';

export function nodeError(code: ErrorCode, node: Node, text: string): EspalierError {
  return new EspalierError(code, `node ${show(node.name)} (${node.kind}): ${text}`, { name: node.name });
}

/** A sample of the given rank, or SHAPE. */
export function checkRank(node: Node, shape: Shape, rank: number, what: string): void {
  if (shape.length !== rank)
    throw nodeError('SHAPE', node, `input: expected ${what}, got shape [${shape.join(', ')}] per sample`);
}

/** A stored parameter of exactly this shape, or SHAPE. */
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

function checkPair(node: Node, name: string, pair: Pair, from: number): void {
  if (
    !Array.isArray(pair) ||
    pair.length !== 2 ||
    pair.some((v) => !Number.isSafeInteger(v) || v < from || v > 65535)
  ) {
    throw nodeError('ATTRIBUTE', node, `${name}: expected two whole numbers from ${from} to 65535, got ${show(pair)}`);
  }
}

export interface Window {
  readonly size: Pair;
  readonly stride: Pair;
  readonly padding: Padding;
  readonly dilation: Pair;
}

/** Output height and width of a sliding window, rounded down. */
export function windowOutput(node: Node, height: number, width: number, window: Window): Pair {
  const { size, stride, padding, dilation } = window;
  checkPair(node, 'kernel size', size, 1);
  checkPair(node, 'stride', stride, 1);
  checkPair(node, 'dilation', dilation, 1);
  if (
    !Array.isArray(padding) ||
    padding.length !== 4 ||
    padding.some((v: unknown) => !Number.isSafeInteger(v) || (v as number) < 0 || (v as number) > 65535)
  ) {
    throw nodeError(
      'ATTRIBUTE',
      node,
      `padding: expected four whole numbers from 0 (top, left, bottom, right), got ${show(padding)}`,
    );
  }
  const [top, left, bottom, right] = padding;
  const outHeight = Math.floor((height + top + bottom - dilation[0] * (size[0] - 1) - 1) / stride[0]) + 1;
  const outWidth = Math.floor((width + left + right - dilation[1] * (size[1] - 1) - 1) / stride[1]) + 1;
  if (outHeight < 1 || outWidth < 1) {
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

/**
 * How many pieces a step is cut into where there is work enough: divisible by 2, 3 (nearly) and 4 threads. A constant,
 * so that results do not depend on threads.
 */
const PIECES = 8;

/**
 * Cuts [0, count) in at most `pieces` runs, each but the last a multiple of `multiple`: [first, length] each. They
 * differ by one multiple at most and the longer ones come first, so that threads which take one after another end
 * together.
 */
export function cut(count: number, multiple = 1, pieces = PIECES): [number, number][] {
  const units = Math.ceil(count / multiple),
    most = Math.min(pieces, units);
  const longer = units % most,
    length = Math.floor(units / most) * multiple;
  const runs: [number, number][] = [];
  for (let first = 0; first < count;) {
    const next = Math.min(first + length + (runs.length < longer ? multiple : 0), count);
    runs.push([first, next - first]);
    first = next;
  }
  return runs;
}

/** Elementwise work: one piece per 16 384 words or more, since a piece costs about a microsecond. */
export function cutWords(count: number): [number, number][] {
  return cut(count, 4, Math.max(1, Math.min(PIECES, Math.floor(count / 16384))));
}
