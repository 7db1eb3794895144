/** Dense encoding: every weight a float32 of its own, stored under the parameter's own name. Not encoded, that is. */
import { EspalierError, checkFinite, show } from '../../base/errors.ts';
import { sameShape, sizeOf, toTensor, type Shape, type TensorLike } from '../../base/tensor.ts';
import { checkDtype, checkLength, floatsOf, headerShape } from '../checks.ts';
import type { Encoded, EncodingHeader, EncodingOperations, EncodingReading, StoredTensor } from '../kind.ts';

/** Every weight a float32 of its own, row-major. */
export interface DenseEncoding {
  readonly kind: 'dense';
  readonly shape: Shape;
  readonly data: Float32Array;
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
  checkDtype(name, stored, 'F32');
  if (!sameShape(stored.shape, shape))
    throw new EspalierError(
      'SHAPE',
      `read: ${show(name)}: expected shape [${shape.join(', ')}], got [${stored.shape.join(', ')}]`,
      { name, found: stored.shape },
    );
  if (stored.bytes.length !== 4 * size)
    throw new EspalierError('SHAPE', `read: ${show(name)}: expected ${4 * size} bytes, got ${stored.bytes.length}`, {
      name,
      found: stored.bytes.length,
    });
  const data = floatsOf(stored.bytes);
  checkFinite('read', name, data);
  return { kind: 'dense', shape, data };
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
  size({ data }) {
    const values = 32 * data.length;
    return { values, codes: 0, signs: 0, codebooks: 0, total: values };
  },
  write({ shape, data }) {
    return {
      header: { kind: 'dense', shape },
      tensors: [{ suffix: '', dtype: 'F32', shape, bytes: new Uint8Array(data.slice().buffer) }],
    };
  },
  canonical: (encoding) => encoding,
  describe: () => 'dense',
};
