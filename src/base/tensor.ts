/**
 * Tensors: a typed array and a shape, row-major. An `ndarray` is accepted wherever a tensor is, by its structure.
 */
import { square } from './elementary.ts';
import { show } from './errors.ts';
import { refuseBigInts, toFloat32 } from './float32.ts';
import { arrayName, hasField } from './realm.ts';

export type FloatArray = Float32Array | Float64Array;
export type TypedArray = FloatArray | Uint8Array | Int8Array | Uint16Array | Int16Array | Int32Array | Uint32Array;
export type Shape = readonly number[];

/**
 * Row-major; `data.length` is the product of `shape` (1 for the empty shape). The tensor owns nothing: `data` is the
 * caller's.
 */
export interface Tensor<D extends TypedArray = Float32Array> {
  readonly data: D;
  readonly shape: Shape;
}

/**
 * What an `ndarray` looks like: strides in elements, element (i, j, ...) at `offset + i stride[0] + j stride[1] + ...`.
 */
export interface StridedArray<D extends ArrayLike<number> = ArrayLike<number>> {
  readonly data: D;
  readonly shape: Shape;
  readonly stride: readonly number[];
  readonly offset: number;
}

export type TensorLike = Tensor<TypedArray> | StridedArray;

/** Number of elements of a shape. */
export function sizeOf(shape: Shape): number {
  let size = 1;
  for (const side of shape) size *= side;
  return size;
}

/** A tensor over `data` without copying. @throws {RangeError} if the length is not the product of the shape. */
export function tensor<D extends TypedArray>(data: D, shape: Shape): Tensor<D> {
  checkShape('tensor', 'shape', shape);
  if (!ArrayBuffer.isView(data)) throw new TypeError(`tensor: data: expected a typed array, got ${show(data)}`);
  if (data.length !== sizeOf(shape))
    throw new RangeError(
      `tensor: data: expected ${sizeOf(shape)} elements for shape [${shape.join(', ')}], got ${data.length}`,
    );
  return { data, shape: [...shape] };
}

/** Every side a whole number from 0, the product exact. @throws {TypeError | RangeError} naming `who` and `name` */
export function checkShape(who: string, name: string, shape: unknown): asserts shape is Shape {
  if (!Array.isArray(shape))
    throw new TypeError(`${who}: ${name}: expected an array of whole numbers, got ${show(shape)}`);
  let size = 1;
  for (const side of shape as unknown[]) {
    if (typeof side !== 'number') throw new TypeError(`${who}: ${name}: expected whole numbers, got ${show(side)}`);
    if (!Number.isSafeInteger(side) || side < 0)
      throw new RangeError(`${who}: ${name}: expected whole numbers from 0, got ${side}`);
    size *= side;
    if (size > Number.MAX_SAFE_INTEGER)
      throw new RangeError(`${who}: ${name}: [${shape.join(', ')}] has more than 2^53 elements`);
  }
}

/** Whether two shapes have the same sides in the same order. */
export function sameShape(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((side, i) => side === b[i]);
}

/**
 * A contiguous float32 tensor: the argument itself where it already is one, else a copy. Accepts any strides. Along the
 * last axis of several each position is a column with a range of its own.
 * @throws {TypeError | RangeError} naming `who` and `name`
 * @throws {EspalierError} RANGE for numbers that float32 does not hold or does not tell apart; see {@link toFloat32}
 */
export function toTensor(who: string, name: string, value: TensorLike): Tensor {
  const { data, shape } = contiguous(who, name, value);
  return { data: toFloat32(who, name, data, columnsOf(shape)), shape };
}

/** Of how many numbers a row is: the last side of several, else one. */
export function columnsOf(shape: Shape): number {
  return shape.length > 1 ? shape[shape.length - 1] : 1;
}

/**
 * Row-major elements, whatever their type: the data themselves where they are, else a copy of the same or a wider type.
 * @throws {TypeError | RangeError} naming `who` and `name`
 */
export function contiguous(
  who: string,
  name: string,
  value: TensorLike,
): { readonly data: ArrayLike<number>; readonly shape: Shape } {
  if (typeof value !== 'object' || value === null || !hasField(value, 'data') || !hasField(value, 'shape')) {
    throw new TypeError(`${who}: ${name}: expected a tensor ({ data, shape }) or an ndarray, got ${show(value)}`);
  }
  const { data, shape } = value;
  checkShape(who, `${name}.shape`, shape);
  const size = sizeOf(shape);
  if (typeof data !== 'object' || data === null || typeof data.length !== 'number')
    throw new TypeError(`${who}: ${name}.data: expected a typed array, got ${show(data)}`);
  if (!hasField(value, 'stride')) {
    if (data.length !== size)
      throw new RangeError(
        `${who}: ${name}: expected ${size} elements for shape [${shape.join(', ')}], got ${data.length}`,
      );
    return { data, shape };
  }
  const { stride, offset } = value as StridedArray;
  if (!Array.isArray(stride) || stride.length !== shape.length)
    throw new RangeError(`${who}: ${name}.stride: expected ${shape.length} strides, got ${show(stride)}`);
  if (!Number.isSafeInteger(offset))
    throw new RangeError(`${who}: ${name}.offset: expected a whole number, got ${show(offset)}`);
  let low = offset;
  let high = offset;
  shape.forEach((side, axis) => {
    const step: unknown = stride[axis];
    if (typeof step !== 'number' || !Number.isSafeInteger(step))
      throw new RangeError(`${who}: ${name}.stride: expected whole numbers, got ${show(step)}`);
    if (step < 0) low += (side - 1) * step;
    else high += (side - 1) * step;
  });
  if (size > 0 && (low < 0 || high >= data.length))
    throw new RangeError(
      `${who}: ${name}: shape, stride and offset reach element ${low < 0 ? low : high}, outside of data with ${data.length}`,
    );
  refuseBigInts(who, `${name}.data`, data);
  const kind = arrayName(data);
  const isInteger = kind !== undefined && /^U?[iI]nt/.test(kind);
  const Gathered = isInteger ? (kind === 'Uint32Array' ? Uint32Array : Int32Array) : Float64Array;
  const out = new (kind === 'Float32Array' ? Float32Array : Gathered)(size);
  gatherStrided(data, shape, stride, offset, out);
  return { data: out, shape };
}

/** Writes the elements of a strided array to `out` in row-major order; the strides have been checked. */
export function gatherStrided(
  data: ArrayLike<number>,
  shape: Shape,
  stride: readonly number[],
  offset: number,
  out: TypedArray,
): void {
  const index = new Array<number>(shape.length).fill(0);
  for (let i = 0, from = offset; i < out.length; i++) {
    out[i] = data[from];
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      from += stride[axis];
      if (++index[axis] < shape[axis]) break;
      from -= shape[axis] * stride[axis];
      index[axis] = 0;
    }
  }
}

/** Root of the mean squared difference, summed in double; NaN of nothing. */
export function rootMeanSquare(predictions: ArrayLike<number>, targets: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < targets.length; i++) sum += square(predictions[i] - targets[i]);
  return Math.sqrt(sum / targets.length);
}
