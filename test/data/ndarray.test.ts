import fc from 'fast-check';
import ops from 'ndarray-ops';
import { describe, expect, it } from 'vitest';
import { toNdarray } from '../../src/data/ndarray.ts';
import { sizeOf, toTensor } from '../../src/base/tensor.ts';

describe('toNdarray', () => {
  it('and back is the same tensor, for rank 0 to 4', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 4 }), { maxLength: 4 }), (shape) => {
        const data = Float32Array.from({ length: sizeOf(shape) }, (_, i) => i);
        expect(toTensor('test', 'array', toNdarray({ data, shape }))).toEqual({ data, shape });
      }),
    );
  });

  it('shares memory with the tensor', () => {
    const data = new Float32Array(6);
    ops.assigns(toNdarray({ data, shape: [2, 3] }).pick(null, 1), 7);
    expect(Array.from(data)).toEqual([0, 7, 0, 0, 7, 0]);
  });

  it('refuses a length that is not the product of the shape', () => {
    expect(() => toNdarray({ data: new Float32Array(5), shape: [2, 3] })).toThrow(/expected 6 elements/);
  });
});
