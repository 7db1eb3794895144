/** Cholesky by blocks, against its own definition; NumPy's numbers stand in test/pruning/refit.test.ts. */
import { describe, expect, test } from 'vitest';
import { choleskyInPlace, solveInPlace } from '../../src/base/cholesky.ts';
import { normal, stream } from '../../src/base/random.ts';

/** B B^T + I. */
function positive(n: number): Float64Array {
  const draw = stream(n, 'matrix');
  const b = Float64Array.from({ length: n * n }, () => normal(draw));
  const a = new Float64Array(n * n);
  for (let i = 0; i < n; i++)
    for (let j = 0; j < n; j++) {
      let sum = i === j ? 1 : 0;
      for (let k = 0; k < n; k++) sum += b[i * n + k] * b[j * n + k];
      a[i * n + j] = sum;
    }
  return a;
}

describe('choleskyInPlace', () => {
  // Around the block of 64 columns, and where pairs and fours of rows leave some over.
  test.each([1, 2, 3, 5, 63, 64, 65, 66, 131])(
    '%i rows: L L^T is the matrix (1e-12 of its size), and solves it',
    (n) => {
      const a = positive(n);
      const factor = a.slice();
      expect(choleskyInPlace(factor, n)).toBe(-1);
      for (let i = 0; i < n; i++)
        for (let j = 0; j <= i; j++) {
          let sum = 0;
          for (let k = 0; k <= j; k++) sum += factor[i * n + k] * factor[j * n + k];
          expect(Math.abs(sum - a[i * n + j])).toBeLessThan(1e-12 * n * 4);
        }
      for (const rows of [1, 4, 6]) {
        const draw = stream(rows, 'solutions');
        const wanted = Float64Array.from({ length: rows * n }, () => normal(draw));
        const x = wanted.map((_, at) => {
          const row = Math.floor(at / n);
          let sum = 0;
          for (let k = 0; k < n; k++) sum += a[(at % n) * n + k] * wanted[row * n + k];
          return sum;
        });
        solveInPlace(factor, n, x);
        x.forEach((value, i) => expect(Math.abs(value - wanted[i])).toBeLessThan(1e-9 * n));
      }
    },
  );

  test('what is not positive definite is told by its row, in the first block and behind it', () => {
    for (const [n, row] of [
      [4, 2],
      [100, 90],
    ]) {
      const a = positive(n);
      a[row * n + row] = -1;
      expect(choleskyInPlace(a, n)).toBe(row);
      const withNaN = positive(n);
      withNaN[row * n + row] = NaN;
      expect(choleskyInPlace(withNaN, n)).toBe(row);
    }
  });
});
