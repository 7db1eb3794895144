/** Arithmetic on constants: what shapes and weights are computed with while a model is read. Nothing here runs later. */
import { EspalierError, show } from '../base/errors.ts';
import { sameShape, sizeOf } from '../base/tensor.ts';
import type { Shape } from '../base/tensor.ts';
import { decode } from '../encodings/index.ts';
import type { Encoding } from '../encodings/types.ts';
import { elements, isFloating, isWide } from './tensor.ts';
import type { ElementArray, ElementName, OnnxTensor, Stored } from './tensor.ts';

/** A tensor of whole numbers. */
export const int64s = (values: readonly number[], shape: Shape = [values.length]): OnnxTensor => ({
  type: 'int64',
  shape,
  data: BigInt64Array.from(values, BigInt),
});

/** Both shapes stretched to one, aligned at their last axes; undefined if they do not fit. */
export function broadcastShape(a: Shape, b: Shape): Shape | undefined {
  const rank = Math.max(a.length, b.length);
  const sides: number[] = [];
  for (let i = 0; i < rank; i++) {
    const left = a[a.length - rank + i] ?? 1;
    const right = b[b.length - rank + i] ?? 1;
    if (left !== right && left !== 1 && right !== 1) return undefined;
    sides.push(left === 1 ? right : left);
  }
  return sides;
}

/** Steps in elements along each axis of a row-major shape. */
export function stridesOf(shape: Shape): number[] {
  const strides = new Array<number>(shape.length);
  for (let axis = shape.length - 1, step = 1; axis >= 0; axis--) {
    strides[axis] = step;
    step *= shape[axis];
  }
  return strides;
}

/**
 * Elements of a tensor in another arrangement: along each axis of the new one a table of offsets in the old, whose sum is
 * the element; one below 0 makes it the fill value.
 */
export function rearranged(
  { type, data }: OnnxTensor,
  tables: readonly Int32Array[],
  fill: number | bigint = 0,
): OnnxTensor {
  const shape = tables.map(({ length }) => length);
  const count = sizeOf(shape);
  const result = elements(type, count) as unknown as (number | bigint)[];
  const filling = isWide(type) ? BigInt(fill) : Number(fill);
  const at = new Array<number>(shape.length).fill(0);
  for (let i = 0; i < count; i++) {
    let from = 0;
    for (let axis = 0; axis < at.length && from >= 0; axis++) {
      const step = tables[axis][at[axis]];
      from = step < 0 ? -1 : from + step;
    }
    result[i] = from < 0 ? filling : data[from];
    for (let axis = at.length - 1; axis >= 0 && ++at[axis] === shape[axis]; axis--) at[axis] = 0;
  }
  return { type, shape, data: result as unknown as OnnxTensor['data'] };
}

/** Indices of a whole axis. */
export const wholeAxis = (side: number): Int32Array => Int32Array.from({ length: side }, (_, i) => i);

/** Elements by a list of indices for each axis; one below 0 is the fill value. */
export function selected(
  tensor: OnnxTensor,
  indices: readonly ArrayLike<number>[],
  fill: number | bigint = 0,
): OnnxTensor {
  const strides = stridesOf(tensor.shape);
  return rearranged(
    tensor,
    indices.map((list, axis) => Int32Array.from(list, (index) => (index < 0 ? -1 : index * strides[axis]))),
    fill,
  );
}

/** Stretched to a shape that it fits. */
export function expanded(tensor: OnnxTensor, shape: Shape): OnnxTensor {
  const lead = shape.length - tensor.shape.length;
  const strides = stridesOf(tensor.shape);
  return rearranged(
    tensor,
    shape.map((side, axis) => {
      const stride = tensor.shape[axis - lead] === 1 ? 0 : (strides[axis - lead] ?? 0);
      return Int32Array.from({ length: side }, (_, i) => i * stride);
    }),
  );
}

/** The same elements in a shape that has as many. */
export function reshaped(tensor: OnnxTensor, shape: Shape): OnnxTensor {
  const { stored } = tensor;
  return stored ? storedTensor(stored, shape) : { type: tensor.type, shape, data: tensor.data };
}

/** The axes in another order: axis i of the result is axis order[i]. */
export function permuted(tensor: OnnxTensor, order: readonly number[]): OnnxTensor {
  const { stored, shape } = tensor;
  const turned = stored && permutedView(stored, shape, order);
  if (turned) {
    const sides = order.map((axis) => shape[axis]);
    return storedTensor(turned, sides);
  }
  const strides = stridesOf(shape);
  return rearranged(
    tensor,
    order.map((axis) => Int32Array.from({ length: shape[axis] }, (_, i) => i * strides[axis])),
  );
}

// Tensors that are shown otherwise than they are stored

const isInOrder = (order: readonly number[]): boolean => order.every((axis, i) => axis === i);

/** Axes of a tensor of this shape in another order, as a view of what it shows; undefined where none has that order. */
function permutedView(stored: Stored, shape: Shape, order: readonly number[]): Stored | undefined {
  if (isInOrder(stored.order)) return { ...stored, view: shape, order };
  const shown = stored.order.map((axis) => stored.view[axis]);
  return sameShape(shown, shape) ? { ...stored, order: order.map((axis) => stored.order[axis]) } : undefined;
}

/** A tensor of what is stored, in a shape that has as many elements. Its elements are decoded where somebody asks for them. */
export function storedTensor(stored: Stored, shape: Shape): OnnxTensor {
  let data: ElementArray | undefined;
  return {
    type: 'float',
    shape,
    stored,
    get data() {
      return (data ??= shownBy(stored));
    },
  };
}

function shownBy({ encoding, view, order, spend }: Stored): ElementArray {
  if (encoding.kind !== 'dense') spend(sizeOf(view));
  const data = encoding.kind === 'dense' ? encoding.data : decode(encoding);
  const whole: OnnxTensor = { type: 'float', shape: view, data };
  if (isInOrder(order)) return whole.data;
  spend(sizeOf(view));
  return permuted(whole, order).data;
}

/**
 * A tensor as a parameter that is stored as it was found, where all that was done to it is undone, and rows stay rows;
 * undefined: only its elements say what it is.
 */
export function encodingOf({ stored }: OnnxTensor, shape: Shape): Encoding | undefined {
  if (!stored) return undefined;
  const { encoding, view, order } = stored;
  if (encoding.kind === 'scalar' && encoding.scales.length === 1) {
    // Levels of one scale mean the same in any order.
    if (isInOrder(order)) return { ...encoding, shape };
    const levels = permuted({ type: 'uint8', shape: view, data: encoding.levels }, order).data as Uint8Array;
    return { ...encoding, shape, levels };
  }
  if (!isInOrder(order)) return undefined;
  const keepsRows = encoding.kind === 'dense' || (shape[0] ?? 1) === (encoding.shape[0] ?? 1);
  return keepsRows ? { ...encoding, shape } : undefined;
}

/** The arrays that a tensor takes memory for: those it is stored in, or its elements. */
export function arraysOf(tensor: OnnxTensor): ArrayBufferView[] {
  return tensor.stored ? arraysOfEncoding(tensor.stored.encoding) : [tensor.data];
}

export function arraysOfEncoding(encoding: Encoding): ArrayBufferView[] {
  if (encoding.kind === 'dense') return [encoding.data];
  if (encoding.kind === 'sparse') return [encoding.positions, ...arraysOfEncoding(encoding.values)];
  if (encoding.kind === 'binary') return [encoding.signs, encoding.scales];
  const parts =
    encoding.kind === 'scalar'
      ? [encoding.levels, encoding.scales, encoding.zeros]
      : encoding.blocks.flatMap(({ codes, codewords, signs }) => [codes, codewords, signs]);
  return parts.filter((part) => part !== undefined);
}

// Functions of elements

/** A function of numbers and of `bigint`s: 64-bit integers wrap around as they do everywhere. */
export interface Elementwise {
  readonly numbers: (a: number, b: number) => number;
  readonly bigints: (a: bigint, b: bigint) => bigint;
}

/** A function of two tensors of one type, with broadcasting. */
export function combined(
  a: OnnxTensor,
  b: OnnxTensor,
  { numbers, bigints }: Elementwise,
  type: ElementName = a.type,
): OnnxTensor {
  if (a.type !== b.type)
    throw new EspalierError('TENSOR', `expected elements of one type, got ${a.type} and ${b.type}`);
  const shape = broadcastShape(a.shape, b.shape);
  if (!shape)
    throw new EspalierError('SHAPE', `[${a.shape.join(', ')}] and [${b.shape.join(', ')}] do not fit together`);
  const [left, right] = [expanded(a, shape).data, expanded(b, shape).data];
  const result = elements(type, left.length) as unknown as (number | bigint)[];
  const combine = (isWide(a.type) ? bigints : numbers) as (x: number | bigint, y: number | bigint) => number | bigint;
  // Arrays of 64-bit integers wrap around; those of others take the low bits.
  for (let i = 0; i < left.length; i++) result[i] = stored(combine(left[i], right[i]), type);
  return { type, shape, data: result as unknown as OnnxTensor['data'] };
}

/** A function of one tensor's elements, as numbers. */
export function mapped(tensor: OnnxTensor, of: (x: number) => number, type: ElementName = tensor.type): OnnxTensor {
  const { data, shape } = tensor;
  const result = elements(type, data.length) as unknown as (number | bigint)[];
  for (let i = 0; i < data.length; i++) result[i] = stored(of(Number(data[i])), type);
  return { type, shape, data: result as unknown as OnnxTensor['data'] };
}

/** The same elements as another type, as C casts them; bool: whether they are not zero. */
export function cast({ type: from, shape, data }: OnnxTensor, type: ElementName): OnnxTensor {
  if (type === from) return { type, shape, data };
  const result = elements(type, data.length) as unknown as (number | bigint)[];
  for (let i = 0; i < data.length; i++) {
    const value = data[i];
    if (type === 'bool') result[i] = Number(value) === 0 ? 0 : 1;
    else if (typeof value === 'bigint')
      result[i] = isWide(type) ? value : isFloating(type) ? Number(value) : lowBits(value);
    else result[i] = stored(isFloating(from) && !isFloating(type) ? Math.trunc(value) : value, type);
  }
  return { type, shape, data: result as unknown as OnnxTensor['data'] };
}

const lowBits = (value: bigint): number => Number(BigInt.asIntN(32, value));

function stored(value: number | bigint, type: ElementName): number | bigint {
  if (!isWide(type)) return Number(value);
  if (typeof value === 'bigint') return value;
  return Number.isFinite(value) ? BigInt(Math.trunc(value)) : 0n;
}

/** What `combine` makes of the elements along axes, as numbers; `finish` gets their count. */
export function reduced(
  tensor: OnnxTensor,
  axes: readonly number[],
  keep: boolean,
  {
    start,
    combine,
    finish,
  }: { start: number; combine: (all: number, x: number) => number; finish: (all: number, count: number) => number },
): OnnxTensor {
  const { type, shape, data } = tensor;
  const kept = shape.map((side, axis) => (axes.includes(axis) ? 1 : side));
  const strides = stridesOf(kept).map((stride, axis) => (axes.includes(axis) ? 0 : stride));
  const sums = new Float64Array(sizeOf(kept)).fill(start);
  const at = new Array<number>(shape.length).fill(0);
  for (let i = 0; i < data.length; i++) {
    let to = 0;
    for (let axis = 0; axis < at.length; axis++) to += at[axis] * strides[axis];
    sums[to] = combine(sums[to], Number(data[i]));
    for (let axis = at.length - 1; axis >= 0 && ++at[axis] === shape[axis]; axis--) at[axis] = 0;
  }
  const count = data.length / sums.length;
  const result = elements(type, sums.length) as unknown as (number | bigint)[];
  for (let i = 0; i < sums.length; i++) result[i] = stored(finish(sums[i], count), type);
  return {
    type,
    shape: keep ? kept : shape.filter((_, axis) => !axes.includes(axis)),
    data: result as unknown as OnnxTensor['data'],
  };
}

/** An axis from the end as one from the beginning. @throws {EspalierError} ATTRIBUTE if there is none */
export function axisFrom(axis: number, rank: number): number {
  const found = axis < 0 ? axis + rank : axis;
  if (Number.isInteger(found) && found >= 0 && found < rank) return found;
  throw new EspalierError('ATTRIBUTE', `axis: expected one of ${rank} axes, got ${show(axis)}`);
}
