import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { rowProducts } from '../../src/importance/correlation.ts';
import { correlationMatrix, covarianceMatrix } from '../../src/importance/index.ts';
import vectors from '../vectors/correlation.json' with { type: 'json' };

const { rows, columns, x, correlation, covariance } = vectors.matrix;
const sizes = fc.tuple(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 12 }));
const matrix = (length: number): fc.Arbitrary<number[]> =>
  fc.array(fc.double({ min: -100, max: 100, noNaN: true }), { minLength: length, maxLength: length });

describe('correlationMatrix', () => {
  test('agrees with numpy.corrcoef to 1e-12, a constant row defined as 0', () => {
    correlationMatrix(x, rows, columns).forEach((r, i) => expect(Math.abs(r - correlation[i])).toBeLessThan(1e-12));
  });
  test('symmetric, in [-1, 1], never NaN; unchanged (< 1e-9) by a positive scale and a shift of a row; a negative scale turns the sign', () => {
    fc.assert(
      fc.property(
        sizes.chain(([r, , c]) =>
          fc.tuple(
            fc.constant(r),
            fc.constant(c),
            fc.array(fc.integer({ min: -9, max: 9 }), { minLength: r * c, maxLength: r * c }),
          ),
        ),
        fc.double({ min: 0.01, max: 100, noNaN: true }),
        fc.integer({ min: -50, max: 50 }),
        ([r, c, values], scale, shift) => {
          const found = correlationMatrix(values, r, c);
          const other = correlationMatrix(
            values.map((v, i) => (i < c ? v * scale + shift : v)),
            r,
            c,
          );
          const turned = correlationMatrix(
            values.map((v, i) => (i < c ? -v * scale : v)),
            r,
            c,
          );
          for (let i = 0; i < r; i++) {
            for (let j = 0; j < r; j++) {
              expect(Math.abs(found[i * r + j])).toBeLessThanOrEqual(1);
              expect(found[i * r + j]).toBe(found[j * r + i]);
              expect(Math.abs(found[i * r + j] - turned[i * r + j] * ((i === 0) === (j === 0) ? 1 : -1))).toBeLessThan(
                1e-9,
              );
              // A constant row times a scale may differ from itself by rounding, and only then has a correlation.
              if (found[i * r + i] !== 0 && found[j * r + j] !== 0)
                expect(Math.abs(found[i * r + j] - other[i * r + j])).toBeLessThan(1e-9);
            }
          }
        },
      ),
    );
  });
  test('squares that would overflow or vanish do not: rows of 1e200 and of 1e-200 correlate as rows of 1', () => {
    const base = [1, 2, 4, 3, 1, 2];
    const plain = correlationMatrix(base, 2, 3);
    for (const [a, b] of [
      [1e200, 1e-200],
      [1e-160, 1e160],
    ]) {
      correlationMatrix(
        base.map((v, i) => v * (i < 3 ? a : b)),
        2,
        3,
      ).forEach((r, i) => expect(Math.abs(r - plain[i])).toBeLessThan(1e-12));
    }
  });
});

describe('covarianceMatrix', () => {
  test('agrees with numpy.cov(bias=True) to 1e-9, also where the mean is 1000 and the deviation 0.1', () => {
    covarianceMatrix(x, rows, columns).forEach((v, i) => expect(Math.abs(v - covariance[i])).toBeLessThan(1e-9));
  });
  test('equal rows have equal entries, bit by bit', () => {
    fc.assert(
      fc.property(matrix(7), fc.integer({ min: 2, max: 9 }), (row, copies) => {
        expect(new Set(covarianceMatrix(Array.from({ length: copies }, () => row).flat(), copies, 7)).size).toBe(1);
      }),
    );
  });
});

test('rowProducts is the plain sum over columns in ascending order, bit by bit, for all remainders of its tile', () => {
  fc.assert(
    fc.property(
      sizes.chain(([a, b, c]) => fc.tuple(fc.constant([a, b, c]), matrix(a * c), matrix(b * c))),
      ([[rowsA, rowsB, c], a, b]) => {
        const found = rowProducts(Float64Array.from(a), rowsA, Float64Array.from(b), rowsB, c);
        for (let i = 0; i < rowsA; i++) {
          for (let j = 0; j < rowsB; j++) {
            let sum = 0;
            for (let k = 0; k < c; k++) sum += a[i * c + k] * b[j * c + k];
            expect(found[i * rowsB + j]).toBe(sum);
          }
        }
      },
    ),
  );
});
