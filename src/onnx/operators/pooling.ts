/** Pools. Those over three axes are pools over two and one behind each other: maxima and means of equal counts take it in any order. */
import { elements, isWide } from '../tensor.ts';
import type { OnnxTensor } from '../tensor.ts';
import { sizeOf } from '../../base/tensor.ts';
import type { Building, Value } from '../building.ts';
import type { NodeView } from '../node.ts';
import { required, reshapedTo, sampleOf, withBatch } from './define.ts';
import type { OnnxOperator } from './define.ts';
import { NO_AXIS, poolWindow, windowAxes } from './windows.ts';
import type { WindowAxis } from './windows.ts';

type Pool = (x: Value, axes: readonly WindowAxis[], part: string | undefined) => Value;

/** A pool over any number of spatial axes by pools over two. x: [C, ...sides]. */
function pooled(node: NodeView, graph: Building, x: Value, axes: readonly WindowAxis[], pool: Pool): Value {
  const [channels, ...sides] = x.shape;
  const outs = axes.map(({ out }) => out);
  if (axes.length === 2) return pool(x, axes, undefined);
  if (axes.length === 1) {
    const wide = reshapedTo(graph, x, [channels, 1, ...sides], 'wide');
    return reshapedTo(graph, pool(wide, [NO_AXIS, axes[0]], undefined), [channels, ...outs], 'narrow');
  }
  if (axes.length !== 3) return node.fail('UNSUPPORTED', `pools over ${axes.length} axes`);
  const [depth, height, width] = sides;
  const planes = reshapedTo(graph, x, [channels * depth, height, width], 'planes');
  const inPlanes = pool(planes, axes.slice(1), 'plane');
  const columns = reshapedTo(graph, inPlanes, [channels, depth, outs[1] * outs[2]], 'columns');
  return reshapedTo(graph, pool(columns, [axes[0], NO_AXIS], undefined), [channels, ...outs], 'whole');
}

const maxPool: OnnxOperator = {
  evaluate: (node, [x]) => evaluateMaxPool(node, required(node, 0, x)),
  build(node, graph) {
    const x = sampleOf(graph, graph.value(0));
    const axes = windowAxes(node, x.shape.slice(1));
    node.ignore('storage_order');
    if (node.outputCount > 1)
      node.fail('UNSUPPORTED', 'its second output, the places of the largest, is not supported');
    const pool: Pool = (value, [first, second], part) =>
      graph.node('maxPool', poolWindow([first, second]), [value], part === undefined ? {} : { part });
    graph.yields(0, withBatch(graph, pooled(node, graph, x, axes, pool)));
  },
};

/** How many elements a tap is worth: it takes some 0.2 microseconds. */
const TAP_WORK = 16;

/** On constants of any element type, with the places of the largest. */
function evaluateMaxPool(node: NodeView, { type, shape, data }: OnnxTensor): OnnxTensor[] {
  if (shape.length < 3) node.fail('SHAPE', `expected at least 3 axes, got [${shape.join(', ')}]`);
  const [batch, channels, ...sides] = shape;
  const axes = windowAxes(node, sides);
  const byColumns = node.integer('storage_order', 0) === 1;
  const outs = axes.map(({ out }) => out);
  const [planeIn, planeOut] = [sizeOf(sides), sizeOf(outs)];
  // Every tap of every window is looked at.
  node.makes([batch * channels, ...outs, TAP_WORK, ...axes.map(({ size }) => size)]);
  const result = elements(type, batch * channels * planeOut) as unknown as (number | bigint)[];
  const places = elements('int64', result.length);
  const taps = axes.map(({ size }) => size);
  const at = (flat: number, of: readonly number[]): number[] => {
    const found = new Array<number>(of.length);
    for (let axis = of.length - 1, rest = flat; axis >= 0; axis--) {
      found[axis] = rest % of[axis];
      rest = Math.floor(rest / of[axis]);
    }
    return found;
  };
  for (let i = 0; i < result.length; i++) {
    const plane = Math.floor(i / planeOut);
    const output = at(i % planeOut, outs);
    let best: number | bigint | undefined;
    for (let tap = 0; tap < sizeOf(taps); tap++) {
      const inside = at(tap, taps).map(
        (k, axis) => output[axis] * axes[axis].stride - axes[axis].before + k * axes[axis].dilation,
      );
      if (inside.some((place, axis) => place < 0 || place >= sides[axis])) continue;
      const flat = inside.reduce((sum, place, axis) => sum * sides[axis] + place, 0);
      const value = data[plane * planeIn + flat];
      if (best !== undefined && !(value > best)) continue;
      best = value;
      const stored = byColumns ? inside.reduceRight((sum, place, axis) => sum * sides[axis] + place, 0) : flat;
      places[i] = BigInt(plane * planeIn + stored);
    }
    result[i] = best ?? (isWide(type) ? 0n : 0);
  }
  const whole = [batch, channels, ...outs];
  return [
    { type, shape: whole, data: result as unknown as OnnxTensor['data'] },
    { type: 'int64', shape: whole, data: places },
  ];
}

const averagePool: OnnxOperator = {
  build(node, graph) {
    let x = sampleOf(graph, graph.value(0));
    let axes = windowAxes(node, x.shape.slice(1));
    const countPadding = node.integer('count_include_pad', 0) !== 0;
    // Padding that was asked for counts, what rounding up adds does not: the former becomes part of the image.
    const goesBeyond = countPadding && axes.some(({ reach, after }) => reach > after);
    if (goesBeyond) {
      const [before, after] = [axes.map((axis) => axis.before), axes.map((axis) => axis.after)];
      const attributes = { before: [0, ...before], after: [0, ...after], mode: 'constant', value: 0 };
      x = graph.node('pad', attributes, [x], { part: 'pad' });
      axes = axes.map((axis) => ({ ...axis, before: 0, after: 0, reach: Math.max(0, axis.reach - axis.after) }));
    }
    const pool: Pool = (value, [first, second], part) => {
      const attributes = { ...poolWindow([first, second]), countPadding: countPadding && !goesBeyond };
      return graph.node('averagePool', attributes, [value], part === undefined ? {} : { part });
    };
    graph.yields(0, withBatch(graph, pooled(node, graph, x, axes, pool)));
  },
};

const globalPool = (kind: 'reduceMean' | 'reduceMax'): OnnxOperator => ({
  build(_node, graph) {
    const x = sampleOf(graph, graph.value(0));
    graph.yields(0, withBatch(graph, overPositions(graph, x, kind)));
  },
});

/** [C, ...] -> [C, 1, ...]. */
export function overPositions(graph: Building, x: Value, kind: 'reduceMean' | 'reduceMax'): Value {
  const kept = [x.shape[0], ...x.shape.slice(1).fill(1)];
  if (kind === 'reduceMean' && x.shape.length === 3)
    return reshapedTo(graph, graph.node('globalAveragePool', {}, [x]), kept, 'sides');
  const axes = x.shape.slice(1).map((_, axis) => axis + 1);
  return graph.node(kind, { axes, keep: true }, [x]);
}

export const POOLING: Readonly<Record<string, OnnxOperator>> = {
  MaxPool: maxPool,
  AveragePool: averagePool,
  GlobalAveragePool: globalPool('reduceMean'),
  GlobalMaxPool: globalPool('reduceMax'),
};
