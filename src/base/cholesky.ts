/**
 * Cholesky factorization in double, by blocks of columns: a matrix of 2000 rows stays in cache. Glossary: a (n, n)
 * row-major, of which the lower triangle is read; L lower triangular with L L^T = a.
 */

/** Columns of a block. */
const BLOCK = 64;

/**
 * The lower triangle of a becomes L; what is above it is lost. Returns the row of the first pivot that is not above 0, where
 * it stops, or -1. Cost: n^3 / 6 multiply-adds.
 */
export function choleskyInPlace(a: Float64Array, n: number): number {
  for (let first = 0; first < n; first += BLOCK) {
    const end = Math.min(n, first + BLOCK);
    if (first > 0) subtractProducts(a, n, first, end);
    for (let j = first; j < end; j++) {
      const pivot = a[j * n + j] - inner(a, j * n, j * n, first, j);
      if (!(pivot > 0)) return j;
      const root = Math.sqrt(pivot);
      a[j * n + j] = root;
      for (let i = j + 1; i < n; i++) a[i * n + j] = (a[i * n + j] - inner(a, i * n, j * n, first, j)) / root;
    }
  }
  return -1;
}

/**
 * Each row of x (rows, n) becomes the solution y of L L^T y = row. Cost: rows n^2 multiply-adds.
 * @param factor - L in its lower triangle
 */
export function solveInPlace(factor: Float64Array, n: number, x: Float64Array): void {
  const rows = x.length / n;
  // Four rows at a time, so that the factor is read a quarter as often; of fewer the last one stands in and is done again.
  for (let row = 0; row < rows; row += 4) {
    const [a, b, c, d] = [0, 1, 2, 3].map((r) =>
      x.slice(Math.min(row + r, rows - 1) * n, Math.min(row + r, rows - 1) * n + n),
    );
    for (let i = 0; i < n; i++) {
      const at = i * n;
      let [s, t, u, v] = [0, 0, 0, 0];
      for (let k = 0; k < i; k++) {
        const l = factor[at + k];
        s += l * a[k];
        t += l * b[k];
        u += l * c[k];
        v += l * d[k];
      }
      const pivot = factor[at + i];
      a[i] = (a[i] - s) / pivot;
      b[i] = (b[i] - t) / pivot;
      c[i] = (c[i] - u) / pivot;
      d[i] = (d[i] - v) / pivot;
    }
    for (let i = n - 1; i >= 0; i--) {
      const at = i * n;
      const pivot = factor[at + i];
      const s = (a[i] /= pivot);
      const t = (b[i] /= pivot);
      const u = (c[i] /= pivot);
      const v = (d[i] /= pivot);
      for (let k = 0; k < i; k++) {
        const l = factor[at + k];
        a[k] -= l * s;
        b[k] -= l * t;
        c[k] -= l * u;
        d[k] -= l * v;
      }
    }
    [a, b, c, d].forEach((solution, r) => row + r < rows && x.set(solution, (row + r) * n));
  }
}

/** Sum over k in [from, to) of a[p + k] a[q + k]. */
function inner(a: Float64Array, p: number, q: number, from: number, to: number): number {
  let sum = 0;
  for (let k = from; k < to; k++) sum += a[p + k] * a[q + k];
  return sum;
}

/** Takes what columns [0, first) contribute off columns [first, end) of the rows from `first` on, two rows and four columns at a time. */
function subtractProducts(a: Float64Array, n: number, first: number, end: number): void {
  for (let i = first; i < n; i += 2) {
    const two = i + 1 < n;
    const p = i * n;
    const q = two ? p + n : p;
    for (let j = first; j < end; j += 4) {
      const j0 = j * n;
      const j1 = Math.min(j + 1, end - 1) * n;
      const j2 = Math.min(j + 2, end - 1) * n;
      const j3 = Math.min(j + 3, end - 1) * n;
      let s00 = 0;
      let s01 = 0;
      let s02 = 0;
      let s03 = 0;
      let s10 = 0;
      let s11 = 0;
      let s12 = 0;
      let s13 = 0;
      for (let k = 0; k < first; k++) {
        const x = a[p + k];
        const y = a[q + k];
        const z0 = a[j0 + k];
        const z1 = a[j1 + k];
        const z2 = a[j2 + k];
        const z3 = a[j3 + k];
        s00 += x * z0;
        s01 += x * z1;
        s02 += x * z2;
        s03 += x * z3;
        s10 += y * z0;
        s11 += y * z1;
        s12 += y * z2;
        s13 += y * z3;
      }
      const width = Math.min(4, end - j);
      const row0 = [s00, s01, s02, s03];
      const row1 = [s10, s11, s12, s13];
      for (let c = 0; c < width; c++) {
        a[p + j + c] -= row0[c];
        if (two) a[q + j + c] -= row1[c];
      }
    }
  }
}
