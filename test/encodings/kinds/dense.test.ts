import { expect, test } from 'vitest';
import {
  denseEncoding,
  isDense,
  readEncoding,
  writeEncoding,
  type Encoding,
  type StoredTensor,
} from '../../../src/encodings/index.ts';

const failing = (code: string): unknown => expect.objectContaining({ code });

test('another dtype, shape or length, or a NaN is refused', () => {
  const {
    header,
    tensors: [tensor],
  } = writeEncoding(denseEncoding({ data: Float32Array.of(1, 2), shape: [2] }));
  const readAs = (change: Partial<StoredTensor>, shape: readonly number[] = [2]): Encoding =>
    readEncoding('b', { ...header, shape }, () => ({ ...tensor, ...change }));
  expect(() => readAs({ dtype: 'U8' })).toThrow(failing('FIELD'));
  // Of halves there are too many bytes.
  expect(() => readAs({ dtype: 'F16' })).toThrow(failing('SHAPE'));
  expect(() => readAs({ shape: [1, 2] })).toThrow(failing('SHAPE'));
  expect(() => readAs({ bytes: new Uint8Array(7) })).toThrow(failing('SHAPE'));
  expect(() => readAs({}, [-1])).toThrow(failing('SHAPE'));
  expect(() => readAs({ bytes: new Uint8Array(Float32Array.of(NaN, 1).buffer) })).toThrow(failing('NONFINITE'));
});

test('is told apart from what is encoded, and from what is not there', () => {
  expect(isDense(denseEncoding({ data: new Float32Array(2), shape: [2] }))).toBe(true);
  expect(isDense<Encoding>(undefined)).toBe(false);
});
