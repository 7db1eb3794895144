import fc from 'fast-check';
import { expect, it } from 'vitest';
import { symmetricEigen } from '../../src/base/eigen.ts';
import { normal, stream } from '../../src/base/random.ts';
import vectors from '../vectors/eigen.json' with { type: 'json' };

const largest = (values: ArrayLike<number>): number =>
  Array.from(values).reduce((most, x) => Math.max(most, Math.abs(x)), 0);

it.each(vectors)(
  '$name: eigenvalues and leading subspace as NumPy has them, within 1e-12 of the largest',
  ({ n, a, values, leading, projector }) => {
    const found = symmetricEigen(Float64Array.from(a), n)!;
    const scale = largest(values);
    values.forEach((value, i) => {
      expect(Math.abs(found.values[i] - value)).toBeLessThan(1e-12 * scale);
    });
    for (let i = 0; i < n; i++)
      for (let j = 0; j < n; j++) {
        let sum = 0;
        for (let r = 0; r < leading; r++) sum += found.vectors[r * n + i] * found.vectors[r * n + j];
        expect(Math.abs(sum - projector[i * n + j])).toBeLessThan(1e-10);
      }
  },
);

it('rows are orthonormal, give the matrix back within 1e-12 of it, and come in falling order', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 20 }), fc.nat(20), fc.nat(1000), (n, rank, seed) => {
      const draw = stream(seed, 'matrix');
      const a = new Float64Array(n * n);
      for (let r = 0; r < rank; r++) {
        const x = Float64Array.from({ length: n }, () => normal(draw));
        for (let i = 0; i < n; i++) for (let j = 0; j < n; j++) a[i * n + j] += (r % 3 === 2 ? -1 : 1) * x[i] * x[j];
      }
      const before = a.slice();
      const { values, vectors: v } = symmetricEigen(a, n)!;
      expect(a).toEqual(before);
      for (let i = 1; i < n; i++) expect(values[i]).toBeLessThanOrEqual(values[i - 1]);
      for (let i = 0; i < n; i++)
        for (let j = 0; j < n; j++) {
          let [inner, back] = [0, 0];
          for (let k = 0; k < n; k++) {
            inner += v[i * n + k] * v[j * n + k];
            back += values[k] * v[k * n + i] * v[k * n + j];
          }
          expect(Math.abs(inner - (i === j ? 1 : 0))).toBeLessThan(1e-12);
          expect(Math.abs(back - a[i * n + j])).toBeLessThan(1e-12 * (1 + n * largest(a)));
        }
    }),
  );
});

it('has nothing to say of what is not finite', () => {
  expect(symmetricEigen(Float64Array.of(1, NaN, NaN, 1), 2)).toBeUndefined();
});
