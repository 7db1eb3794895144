/** Normalizations and maps per channel. */
import { sizeOf } from '../../base/tensor.ts';
import type { Shape } from '../../base/tensor.ts';
import { reshaped, withBatch, yieldsSample } from '../exporting.ts';
import type { Exporting } from '../exporting.ts';
import type { Exports } from './define.ts';

type Normalizations = 'batchNorm' | 'affine' | 'layerNorm' | 'groupNorm';

/** A number for each channel, beside samples of this shape. */
const perChannel = ([channels, ...sides]: Shape): number[] => [channels, ...sides.map(() => 1)];

/** Constants of one value. */
const all = (to: Exporting, value: number, shape: Shape): string =>
  to.node('Expand', [to.number(value), to.integers(shape)]);

export const NORMALIZATION_EXPORTS: Exports<Normalizations> = {
  batchNorm({ attributes: { epsilon } }, to) {
    const roles = ['scale', 'shift', 'mean', 'variance'].map((role) => to.parameter(role));
    yieldsSample(to, 'BatchNormalization', [withBatch(to), ...roles], { epsilon: { float: epsilon } });
  },
  affine(_node, to) {
    const shape = perChannel(to.x.shape);
    const scaled = to.node('Mul', [to.x.name, to.parameter('scale', shape)]);
    to.yields('Add', [scaled, to.parameter('shift', shape)]);
  },
  layerNorm({ attributes: { axis, epsilon } }, to) {
    const sides = to.x.shape.slice(axis);
    const scale = to.parameter('scale') ?? all(to, 1, sides);
    const shift = to.parameter('shift');
    const inputs = [to.x.name, scale, ...(shift === undefined ? [] : [shift])];
    to.yields('LayerNormalization', inputs, { axis: axis + to.lead, epsilon: { float: epsilon } });
  },
  // GroupNormalization came with opset 18: instances are the groups.
  groupNorm({ attributes: { groups, epsilon } }, to) {
    const { shape } = to.x;
    const grouped = withBatch(to, [groups, sizeOf(shape) / groups]);
    const plain = [all(to, 1, [groups]), all(to, 0, [groups])];
    const [scale, shift] = ['scale', 'shift'].map((role) => to.parameter(role, perChannel(shape)));
    const normalized = [grouped, ...plain];
    const attributes = { epsilon: { float: epsilon } };
    if (scale === undefined && shift === undefined) {
      yieldsSample(to, 'InstanceNormalization', normalized, attributes, [groups, sizeOf(shape) / groups]);
      return;
    }
    let y = reshaped(to, to.node('InstanceNormalization', normalized, attributes), shape);
    if (scale !== undefined && shift !== undefined) y = to.node('Mul', [y, scale]);
    if (shift === undefined) to.yields('Mul', [y, scale]);
    else to.yields('Add', [y, shift]);
  },
};
