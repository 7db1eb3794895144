/** Sliding windows as ONNX states them: kernels, strides, pads, dilations, automatic padding, sides rounded up. */
import type { Attributes } from '../../graph/network.ts';
import type { NodeView } from '../node.ts';

/** One spatial axis of a window. */
export interface WindowAxis {
  readonly size: number;
  readonly stride: number;
  readonly dilation: number;
  /** In front of the image, and behind it. */
  readonly before: number;
  readonly after: number;
  /** Side of the output. */
  readonly out: number;
  /** Padding behind the image that the windows reach: what is needed where sides are rounded up, else no more than `after`. */
  readonly reach: number;
}

/** An axis that is not there: of a window over fewer axes than the operator has. */
export const NO_AXIS: WindowAxis = { size: 1, stride: 1, dilation: 1, before: 0, after: 0, out: 1, reach: 0 };

/** Elements that a window covers. */
const extent = (size: number, dilation: number): number => (size - 1) * dilation + 1;

const AUTOMATIC = ['NOTSET', 'SAME_UPPER', 'SAME_LOWER', 'VALID'] as const;

/**
 * The spatial axes of a window over an image.
 * @param sides - of the image
 * @param kernel - of the weight, where the operator has one
 */
export function windowAxes(node: NodeView, sides: readonly number[], kernel?: readonly number[]): WindowAxis[] {
  const rank = sides.length;
  const list = (name: string, fallback: number, count = rank): readonly number[] => {
    const found = node.integers(name) ?? new Array<number>(count).fill(fallback);
    if (found.length !== count) node.fail('ATTRIBUTE', `${name}: expected ${count} numbers, got ${found.length}`);
    return found;
  };
  const given = node.integers('kernel_shape');
  const size = given ?? kernel ?? node.fail('ATTRIBUTE', 'attribute kernel_shape: it is missing');
  if (size.length !== rank)
    node.fail('ATTRIBUTE', `kernel_shape: expected ${rank} numbers, as the image has axes, got ${size.length}`);
  if (kernel && kernel.some((side, axis) => side !== size[axis]))
    node.fail('ATTRIBUTE', `kernel_shape: [${size.join(', ')}] is not that of the weight, [${kernel.join(', ')}]`);
  const strides = list('strides', 1);
  const dilations = list('dilations', 1);
  const pads = list('pads', 0, 2 * rank);
  const automatic = node.text('auto_pad', AUTOMATIC, 'NOTSET');
  const up = node.integer('ceil_mode', 0) !== 0;
  return sides.map((side, axis): WindowAxis => {
    const [stride, dilation] = [strides[axis], dilations[axis]];
    const bad = Object.entries({ kernel_shape: size[axis], strides: stride, dilations: dilation }).find(
      ([, value]) => !(value >= 1),
    );
    if (bad) node.fail('ATTRIBUTE', `${bad[0]}: expected numbers from 1, got ${bad[1]}`);
    const covered = extent(size[axis], dilation);
    let [before, after] = [pads[axis], pads[axis + rank]];
    if (automatic === 'VALID') [before, after] = [0, 0];
    else if (automatic !== 'NOTSET') {
      const total = Math.max(0, (Math.ceil(side / stride) - 1) * stride + covered - side);
      const less = Math.floor(total / 2);
      [before, after] = automatic === 'SAME_UPPER' ? [less, total - less] : [total - less, less];
    }
    if (before < 0 || after < 0)
      node.fail('ATTRIBUTE', `pads: expected numbers from 0, got ${Math.min(before, after)}`);
    const steps = (side + before + after - covered) / stride;
    let out = (up ? Math.ceil(steps) : Math.floor(steps)) + 1;
    // A window that would begin in the padding behind is none.
    if (up && (out - 1) * stride >= side + before) out--;
    if (out < 1)
      node.fail(
        'ATTRIBUTE',
        `a window of ${size[axis]} (dilation ${dilation}) does not fit ${side + before + after} elements`,
      );
    const reach = Math.max(0, (out - 1) * stride + covered - side - before);
    return { size: size[axis], stride, dilation, before, after, out, reach };
  });
}

/** What the operators of ours take. */
export const squareWindow = (axes: readonly WindowAxis[]): Attributes => ({
  stride: axes.map(({ stride }) => stride),
  padding: [...axes.map(({ before }) => before), ...axes.map(({ reach }) => reach)],
  dilation: axes.map(({ dilation }) => dilation),
});

/** The same for a pool, whose elements lie side by side unless it says otherwise. */
export function poolWindow(axes: readonly WindowAxis[]): Attributes {
  const { dilation, ...window } = squareWindow(axes);
  const size = axes.map((axis) => axis.size);
  return { size, ...window, ...(axes.some((axis) => axis.dilation > 1) && { dilation }) };
}
