/** Pools and reductions. */
import { sizeOf } from '../../base/tensor.ts';
import type { Shape } from '../../base/tensor.ts';
import type { NodeOf } from '../../operators/table.ts';
import type { ReductionKind } from '../../operators/reduction.ts';
import { sidesOf, withBatch, yieldsSample } from '../exporting.ts';
import type { Exporting } from '../exporting.ts';
import type { Exports } from './define.ts';

type Pools = 'maxPool' | 'averagePool' | 'globalAveragePool' | 'softmax' | 'argMax' | ReductionKind;

type Padding = readonly [top: number, left: number, bottom: number, right: number];

/** Runtimes refuse pools that are padded by their size or more. */
const isPaddedWide = (size: readonly number[], padding: Padding): boolean =>
  padding.some((side, i) => side >= size[i % 2]);

function maxPool({ attributes }: NodeOf<'maxPool'>, to: Exporting): void {
  const { size, stride, padding, dilation = [1, 1] } = attributes;
  const window = { kernel_shape: size, strides: stride, dilations: dilation };
  const x = withBatch(to);
  if (!isPaddedWide(size, padding)) {
    yieldsSample(to, 'MaxPool', [x], { ...window, pads: padding });
    return;
  }
  const [top, left, bottom, right] = padding;
  const pads = to.integers([0, 0, top, left, 0, 0, bottom, right]);
  const padded = to.node('Pad', [x, pads, to.number(-Infinity)], { mode: 'constant' });
  yieldsSample(to, 'MaxPool', [padded], window);
}

function averagePool({ attributes }: NodeOf<'averagePool'>, to: Exporting): void {
  const { size, stride, padding, dilation = [1, 1], countPadding } = attributes;
  const x = withBatch(to);
  if (dilation.every((step) => step === 1) && !isPaddedWide(size, padding)) {
    const counts = { count_include_pad: countPadding ? 1 : 0 };
    yieldsSample(to, 'AveragePool', [x], { kernel_shape: size, strides: stride, pads: padding, ...counts });
    return;
  }
  // Dilation came with opset 19: sums as a convolution of ones, over how many elements they are of.
  const [channels] = to.x.shape;
  const ones = to.node('Expand', [to.number(1), to.integers([channels, 1, ...size])]);
  const sums = to.node('Conv', [x, ones], {
    ...{ kernel_shape: size, strides: stride, pads: padding, dilations: dilation, group: channels },
  });
  const counts = countPadding ? to.number(sizeOf(size)) : countsOf(attributes, to);
  yieldsSample(to, 'Div', [sums, counts]);
}

/** How many elements of the input each window has; 1 where it has none. */
function countsOf(
  { size, stride, padding, dilation = [1, 1] }: NodeOf<'averagePool'>['attributes'],
  to: Exporting,
): string {
  const along = (axis: 0 | 1): number[] =>
    Array.from({ length: to.y.shape[axis + 1] }, (_, i) => {
      const first = i * stride[axis] - padding[axis];
      const places = Array.from({ length: size[axis] }, (_, tap) => first + tap * dilation[axis]);
      return places.filter((place) => place >= 0 && place < to.x.shape[axis + 1]).length;
    });
  const [rows, columns] = [along(0), along(1)];
  const counts = rows.flatMap((row) => columns.map((column) => Math.max(1, row * column)));
  return to.floats(counts, [rows.length, columns.length]);
}

/** Axes of the model. */
const axesOf = (to: Exporting, axes: Shape): number[] => axes.map((axis) => axis + to.lead);

/** Axes are an attribute up to opset 17, but for sums. */
const reduction =
  (operator: string) =>
  ({ attributes: { axes, keep } }: NodeOf<ReductionKind>, to: Exporting): void =>
    to.yields(operator, [to.x.name], { axes: axesOf(to, axes), keepdims: keep ? 1 : 0 });

export const POOLING_EXPORTS: Exports<Pools> = {
  maxPool,
  averagePool,
  globalAveragePool(_node, to) {
    const y = to.node('GlobalAveragePool', [withBatch(to)]);
    if (to.lead === 1) to.yields('Flatten', [y], { axis: 1 });
    else to.yields('Reshape', [y, to.integers(sidesOf(to, to.y.shape))]);
  },
  softmax: ({ attributes: { axis } }, to) =>
    to.yields('Softmax', [to.x.name], { axis: (axis ?? to.x.shape.length - 1) + to.lead }),
  argMax: ({ attributes: { axis, keep } }, to) =>
    to.yields('ArgMax', [to.x.name], { axis: axis + to.lead, keepdims: keep ? 1 : 0 }),
  reduceSum: ({ attributes: { axes, keep } }, to) =>
    to.yields('ReduceSum', [to.x.name, to.integers(axesOf(to, axes))], { keepdims: keep ? 1 : 0 }),
  reduceMean: reduction('ReduceMean'),
  reduceMax: reduction('ReduceMax'),
  reduceMin: reduction('ReduceMin'),
};
