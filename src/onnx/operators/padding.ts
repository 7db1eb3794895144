/** Values that grow: stretched, repeated, padded. */
import { sameShape } from '../../base/tensor.ts';
import { axisFrom, broadcastShape, expanded, selected } from '../arrays.ts';
import type { NodeView } from '../node.ts';
import { isFloating, toFloats } from '../tensor.ts';
import { LARGEST, integersOf, rankOf, required, reshapedTo } from './define.ts';
import type { OnnxOperator } from './define.ts';
import { sliced } from './parts.ts';
import type { Span } from './parts.ts';

const expand: OnnxOperator = {
  evaluate(node, [x, sides]) {
    const tensor = required(node, 0, x);
    const shape =
      broadcastShape(tensor.shape, integersOf(node, 1, sides) ?? []) ??
      node.fail('SHAPE', 'its input does not fit the shape');
    return [expanded(tensor, node.makes(shape))];
  },
  build(node, graph) {
    const x = graph.value(0);
    const sides = required(node, 1, graph.sides(1));
    const rank = rankOf(graph, 0);
    const missing = sides.length - rank;
    if (graph.layout === 'batched') {
      const [first] = sides.length === rank ? sides : [undefined];
      const stays =
        sides.length < rank ||
        (first && ('batches' in first ? first.batches === 1 : first.fixed === 1 || first.fixed === graph.batch));
      if (!stays) graph.acrossBatch('it stretches the batch');
    }
    const wanted = sides
      .slice(graph.layout === 'batched' && sides.length === rank ? 1 : 0)
      .map((side) => ('fixed' in side ? side.fixed : graph.acrossBatch('its shape depends on the batch')));
    const from =
      graph.layout === 'whole' && missing > 0
        ? reshapedTo(graph, x, [...new Array<number>(missing).fill(1), ...x.shape], 'align')
        : x;
    const shape =
      broadcastShape(from.shape, wanted) ??
      node.fail('SHAPE', `[${from.shape.join(', ')}] does not fit [${wanted.join(', ')}]`);
    graph.yields(0, sameShape(shape, from.shape) ? from : graph.node('expand', { shape }, [from]));
  },
};

const tile: OnnxOperator = {
  evaluate(node, [x, repeats]) {
    const tensor = required(node, 0, x);
    const times = required(node, 1, integersOf(node, 1, repeats));
    checkRepeats(node, times, tensor.shape.length, 0);
    node.makes(tensor.shape.map((side, axis) => side * times[axis]));
    return [
      selected(
        tensor,
        tensor.shape.map((side, axis) => Int32Array.from({ length: side * times[axis] }, (_, i) => i % side)),
      ),
    ];
  },
  build(node, graph) {
    const x = graph.value(0);
    const times = [...required(node, 1, graph.integers(1))];
    checkRepeats(node, times, rankOf(graph, 0), 1);
    if (graph.layout === 'batched' && times.shift() !== 1) graph.acrossBatch('it repeats the batch');
    let y = x;
    times.forEach((count, axis) => {
      const side = x.shape[axis];
      if (side * count > LONGEST_LIST)
        node.fail(
          'BUDGET',
          `repeats: axis ${axis} would have ${side * count} elements; at most ${LONGEST_LIST} are listed`,
        );
      if (count > 1)
        y = graph.node('gather', { axis, indices: Array.from({ length: side * count }, (_, i) => i % side) }, [y], {
          part: `axis${axis}`,
        });
    });
    graph.yields(0, y);
  },
};

/** Indices of a repeated axis are listed one by one. */
const LONGEST_LIST = 65536;

function checkRepeats(node: NodeView, times: readonly number[], rank: number, from: number): void {
  if (times.length !== rank) node.fail('ATTRIBUTE', `repeats: expected ${rank} numbers, got ${times.length}`);
  const bad = times.find((count) => count < from);
  if (bad !== undefined) node.fail('ATTRIBUTE', `repeats: expected numbers from ${from}, got ${bad}`);
}

const PAD_MODES = ['constant', 'reflect', 'edge', 'wrap'] as const;

/** How much is added before and behind each axis, less than nothing where elements are cut off. */
function padded(
  node: NodeView,
  rank: number,
  given: readonly number[] | undefined,
  named: readonly number[] | undefined,
): { before: number[]; after: number[] } {
  const pads =
    given ?? node.integers('pads') ?? node.integers('paddings') ?? node.fail('ATTRIBUTE', 'pads: it is missing');
  const axes = named ?? Array.from({ length: rank }, (_, axis) => axis);
  if (pads.length !== 2 * axes.length)
    node.fail('ATTRIBUTE', `pads: expected ${2 * axes.length} numbers, got ${pads.length}`);
  const before = new Array<number>(rank).fill(0);
  const after = new Array<number>(rank).fill(0);
  axes.forEach((axis, i) => {
    const at = axisFrom(axis, rank);
    [before[at], after[at]] = [pads[i], pads[i + axes.length]];
  });
  return { before, after };
}

/** The element that a padded place shows, -1: the fill value. */
function shown(mode: (typeof PAD_MODES)[number], at: number, side: number): number {
  if (at >= 0 && at < side) return at;
  if (mode === 'constant') return -1;
  if (mode === 'edge') return at < 0 ? 0 : side - 1;
  if (mode === 'wrap') return ((at % side) + side) % side;
  const period = Math.max(1, 2 * (side - 1));
  const folded = ((at % period) + period) % period;
  return folded < side ? folded : period - folded;
}

const pad: OnnxOperator = {
  evaluate(node, [x, pads, filler, axes]) {
    const tensor = required(node, 0, x);
    const { shape } = tensor;
    const mode = node.text('mode', PAD_MODES, 'constant');
    const { before, after } = padded(node, shape.length, integersOf(node, 1, pads), integersOf(node, 3, axes));
    const sides = shape.map((side, axis) => before[axis] + side + after[axis]);
    if (sides.some((side) => side < 0)) node.fail('ATTRIBUTE', `pads: nothing is left of [${shape.join(', ')}]`);
    node.makes(sides);
    const emptied = shape.findIndex((side, axis) => side === 0 && sides[axis] > 0);
    if (emptied >= 0 && mode !== 'constant') node.fail('ATTRIBUTE', `pads: axis ${emptied} has nothing to repeat`);
    if (filler && filler.type !== tensor.type)
      node.fail('TENSOR', `expected a fill value of type ${tensor.type}, got ${filler.type}`);
    const lists = sides.map((side, axis) =>
      Array.from({ length: side }, (_, i) => shown(mode, i - before[axis], shape[axis])),
    );
    const value = node.float('value', 0);
    return [selected(tensor, lists, filler?.data[0] ?? (isFloating(tensor.type) ? value : Math.trunc(value)))];
  },
  build(node, graph) {
    const x = graph.value(0);
    const mode = node.text('mode', PAD_MODES, 'constant');
    const { before, after } = padded(node, rankOf(graph, 0), graph.integers(1), graph.integers(3));
    const filler = graph.constant(2);
    const given = filler ? toFloats(node.proto.inputs[2], filler)[0] : node.float('value', 0);
    // In front of a maximum, where the least number does as well.
    const value = Math.min(Math.max(given, -LARGEST), LARGEST);
    if (graph.layout === 'batched' && [before.shift(), after.shift()].some((count) => count !== 0))
      graph.acrossBatch('it pads the batch');
    // What is negative is cut off.
    const spans = x.shape.map((side, axis): Span | undefined => {
      const [head, tail] = [Math.min(0, before[axis]), Math.min(0, after[axis])];
      if (head === 0 && tail === 0) return undefined;
      if (side + head + tail < 1) node.fail('ATTRIBUTE', `pads: nothing is left of side ${side}`);
      return { start: head === 0 ? 0 : -head, step: 1, count: side + head + tail };
    });
    const cut = spans.some(Boolean) ? sliced(graph, x, spans, 'cut') : x;
    const [more, behind] = [before, after].map((counts) => counts.map((count) => Math.max(0, count)));
    const nothing = [...more, ...behind].every((count) => count === 0);
    graph.yields(0, nothing ? cut : graph.node('pad', { before: more, after: behind, mode, value }, [cut]));
  },
};

export const PADDING: Readonly<Record<string, OnnxOperator>> = { Expand: expand, Tile: tile, Pad: pad };
