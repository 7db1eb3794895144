/** Dense encoding: every weight a float32 of its own, stored under the parameter's own name. */
import { EspalierError, checkFinite, show } from '../base/errors.ts';
import { sameShape, sizeOf, toTensor, type TensorLike } from '../base/tensor.ts';
import { checkLength, floatsOf, headerShape } from './checks.ts';
import type { DenseEncoding, EncodingHeader, EncodingOperations, EncodingReading, StoredTensor } from './types.ts';

/** A dense encoding of a tensor's values, copied. */
export function denseEncoding(values: TensorLike): DenseEncoding {
  const { data, shape } = toTensor('denseEncoding', 'values', values);
  return { kind: 'dense', shape: [...shape], data: data.slice() };
}

const trainedCount = ({ data }: DenseEncoding): number => data.length;
const trainedValues = ({ data }: DenseEncoding): Float32Array => data.slice();

function read(name: string, header: EncodingHeader, get: (suffix: string) => StoredTensor): DenseEncoding {
  const shape = headerShape(name, header.shape),
    stored = get(''),
    size = sizeOf(shape);
  if (stored.dtype !== 'F32')
    throw new EspalierError('FIELD', `read: ${name}: expected a tensor of F32, got ${show(stored.dtype)}`, {
      name,
      found: stored.dtype,
    });
  if (!sameShape(stored.shape, shape))
    throw new EspalierError(
      'SHAPE',
      `read: ${name}: expected shape [${shape.join(', ')}], got [${stored.shape.join(', ')}]`,
      { name, found: stored.shape },
    );
  if (stored.bytes.length !== 4 * size)
    throw new EspalierError('SHAPE', `read: ${name}: expected ${4 * size} bytes, got ${stored.bytes.length}`, {
      name,
      found: stored.bytes.length,
    });
  const data = floatsOf(stored.bytes);
  checkFinite('read', name, data);
  return { kind: 'dense', shape, data };
}

export const denseReading: EncodingReading<DenseEncoding> = { kind: 'dense', trainedCount, trainedValues, read };

export const denseOperations: EncodingOperations<DenseEncoding> = {
  kind: 'dense',
  decode({ data }, out = new Float32Array(data.length)) {
    checkLength('decode', 'out', out, data.length);
    out.set(data);
    return out;
  },
  trainedCount,
  trainedValues,
  read,
  withTrainedValues(encoding, values) {
    checkLength('withTrainedValues', 'values', values, encoding.data.length);
    return { ...encoding, data: values.slice() };
  },
  pullback({ data }, gradient) {
    checkLength('pullback', 'gradient', gradient, data.length);
    return { gradient: gradient.slice() as typeof gradient, counts: new Float32Array(data.length).fill(1) };
  },
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
};
