/**
 * Dense encoding: every weight a number of its own, stored under the parameter's own name. Not encoded, that is. In a file
 * it is F32, or F16 with an exponent e in the header where the halves are to be multiplied by 2^e, e not 0.
 */
import { EspalierError, checkFinite, show } from '../../base/errors.ts';
import { own } from '../../base/realm.ts';
import { sameShape, sizeOf, toTensor, type Shape, type TensorLike } from '../../base/tensor.ts';
import { checkDtype, checkLength, floatsOf, halvesOf, headerShape, invalid, isInteger } from '../checks.ts';
import { areHalves, halfBytes, halfExponent, roundToHalves } from '../half.ts';
import type { Encoded, EncodingHeader, EncodingOperations, EncodingReading, StoredTensor } from '../kind.ts';

/** Every weight a float32 of its own, row-major. */
export interface DenseEncoding {
  readonly kind: 'dense';
  readonly shape: Shape;
  readonly data: Float32Array;
  /**
   * Stored as halves times 2^this, as long as every value is one: rounding is a transform of its own, and whatever moves
   * the values makes them float32 again. Absent: float32.
   */
  readonly halfExponent?: number;
}

/** Exponents of two that take halves to float32 numbers. */
const [LEAST_EXPONENT, LARGEST_EXPONENT] = [-164, 151];

/** Whether the values are stored as halves. */
function isHalf(encoding: DenseEncoding): boolean {
  const { data, halfExponent: exponent } = own(encoding);
  return exponent !== undefined && areHalves(data!, exponent);
}

/** A dense encoding of a tensor's values, copied. */
export function denseEncoding(values: TensorLike): DenseEncoding {
  const { data, shape } = toTensor('denseEncoding', 'values', values);
  return { kind: 'dense', shape: [...shape], data: data.slice() };
}

/** Whether a parameter is not encoded, so that its weights can be cut, folded and replaced one by one. */
export function isDense<E extends Encoded>(encoding: E | undefined): encoding is Extract<E, DenseEncoding> {
  return encoding?.kind === 'dense';
}

function read(name: string, header: EncodingHeader, get: (suffix: string) => StoredTensor): DenseEncoding {
  const shape = headerShape(name, header.shape);
  const stored = get('');
  const size = sizeOf(shape);
  checkDtype(name, stored, 'F32', 'F16');
  const isHalf = stored.dtype === 'F16';
  const { exponent = 0 } = own(header);
  if (!isInteger(exponent, LEAST_EXPONENT, LARGEST_EXPONENT) || (exponent !== 0 && !isHalf))
    throw invalid(
      name,
      `exponent: expected one of halves, ${LEAST_EXPONENT} to ${LARGEST_EXPONENT}, got ${show(exponent)}`,
      exponent,
    );
  if (!sameShape(stored.shape, shape))
    throw new EspalierError(
      'SHAPE',
      `read: ${show(name)}: expected shape [${shape.join(', ')}], got [${stored.shape.join(', ')}]`,
      { name, found: stored.shape },
    );
  const length = (isHalf ? 2 : 4) * size;
  if (stored.bytes.length !== length)
    throw new EspalierError('SHAPE', `read: ${show(name)}: expected ${length} bytes, got ${stored.bytes.length}`, {
      name,
      found: stored.bytes.length,
    });
  const data = isHalf ? halvesOf(stored.bytes).map((half) => half * 2 ** exponent) : floatsOf(stored.bytes);
  checkFinite('read', name, data);
  return { kind: 'dense', shape, data, ...(isHalf && { halfExponent: exponent }) };
}

/** The half that a page carries which runs a model. */
export const denseReading: EncodingReading<DenseEncoding> = {
  kind: 'dense',
  trainedCount: ({ data }) => data.length,
  trainedValues: ({ data }) => data.slice(),
  read,
  lengths: ({ shape, data }) => [['values', data.length, sizeOf(shape)]],
  place: (_encoding, { dense }) => ({ dense, values: dense }),
  fill(heap, { values }, { data }) {
    heap.float.set(data, values);
  },
  // The trained values are the dense ones.
  decodeOnHeap: () => undefined,
};

/** The other half: training, writing, reports. */
export const denseOperations: EncodingOperations<DenseEncoding> = {
  kind: 'dense',
  decode({ data }, out = new Float32Array(data.length)) {
    checkLength('decode', 'out', out, data.length);
    out.set(data);
    return out;
  },
  withTrainedValues(encoding, values) {
    checkLength('withTrainedValues', 'values', values, encoding.data.length);
    return { ...encoding, data: values.slice() };
  },
  pullback({ data }, gradient) {
    checkLength('pullback', 'gradient', gradient, data.length);
    return gradient.slice() as typeof gradient;
  },
  counts: ({ data }) => new Float32Array(data.length).fill(1),
  pullbackOnHeap: () => undefined,
  structure: ({ data }) => [data.length],
  size(encoding) {
    const values = (isHalf(encoding) ? 16 : 32) * encoding.data.length;
    return { values, codes: 0, signs: 0, codebooks: 0, total: values };
  },
  write(encoding) {
    const { shape, data } = encoding;
    const { halfExponent: exponent = 0 } = own(encoding);
    if (!isHalf(encoding))
      return {
        header: { kind: 'dense', shape },
        tensors: [{ suffix: '', dtype: 'F32', shape, bytes: new Uint8Array(data.slice().buffer) }],
      };
    return {
      header: { kind: 'dense', shape, ...(exponent !== 0 && { exponent }) },
      tensors: [{ suffix: '', dtype: 'F16', shape, bytes: halfBytes(data, exponent) }],
    };
  },
  canonical(encoding) {
    const { halfExponent: _former, ...single } = encoding;
    return isHalf(encoding) ? encoding : single;
  },
  toHalves(encoding) {
    const exponent = isHalf(encoding) ? encoding.halfExponent! : halfExponent(encoding.data);
    const data = roundToHalves(encoding.data, exponent);
    const holds = data.every((value, i) => Number.isFinite(value) && (value !== 0 || encoding.data[i] === 0));
    return holds ? { ...encoding, data, halfExponent: exponent } : undefined;
  },
  describe: () => 'dense',
};
