/**
 * Eigenvalues and eigenvectors of a symmetric matrix in double: Householder's reduction to three diagonals, then QL steps
 * with implicit shifts (Wilkinson, Reinsch, "Handbook for Automatic Computation" II, 1971: tred2 and tql2). Glossary: a
 * (n, n) row-major; d its diagonal, e the one beside it; row i of v becomes eigenvector i.
 */
import { lengthOf, square } from './elementary.ts';

/** QL steps for one eigenvalue; three are common, and the Handbook gives up at 30. */
const MOST_STEPS = 60;

export interface Eigen {
  /** (n), the largest first. */
  readonly values: Float64Array;
  /** (n, n): row i is the eigenvector of value i, of length 1, its largest element above 0. */
  readonly vectors: Float64Array;
}

/**
 * Eigenvalues and eigenvectors of a symmetric matrix; undefined if it holds what is not finite. Cost: some 4 n^3
 * multiply-adds; a matrix of 512 takes about a second.
 * @param a - (n, n), symmetric; stays as it is
 */
export function symmetricEigen(a: Float64Array, n: number): Eigen | undefined {
  if (!a.every((value) => Number.isFinite(value))) return undefined;
  const v = a.slice();
  const d = new Float64Array(n);
  const e = new Float64Array(n);
  toThreeDiagonals(v, d, e, n);
  transpose(v, n);
  if (!toDiagonal(v, d, e, n)) return undefined;
  const order = Array.from({ length: n }, (_, i) => i).sort((i, j) => d[j] - d[i] || i - j);
  const vectors = new Float64Array(n * n);
  order.forEach((from, to) => {
    const row = v.subarray(from * n, (from + 1) * n);
    let largest = 0;
    for (const value of row) if (Math.abs(value) > Math.abs(largest)) largest = value;
    for (let k = 0; k < n; k++) vectors[to * n + k] = largest < 0 ? -row[k] : row[k];
  });
  return { values: Float64Array.from(order, (i) => d[i]), vectors };
}

/** v becomes the product of the reflections, its columns the new basis. */
function toThreeDiagonals(v: Float64Array, d: Float64Array, e: Float64Array, n: number): void {
  for (let i = n - 1; i > 0; i--) {
    const row = i * n;
    let scale = 0;
    for (let k = 0; k < i; k++) scale += Math.abs(v[row + k]);
    if (scale === 0 || i === 1) {
      e[i] = v[row + i - 1];
      d[i] = 0;
      continue;
    }
    let h = 0;
    for (let k = 0; k < i; k++) {
      v[row + k] /= scale;
      h += square(v[row + k]);
    }
    const f = v[row + i - 1];
    const g = f > 0 ? -Math.sqrt(h) : Math.sqrt(h);
    e[i] = scale * g;
    h -= f * g;
    v[row + i - 1] = f - g;
    // e = A u / h, from the lower triangle alone.
    e.fill(0, 0, i);
    for (let j = 0; j < i; j++) {
      const u = v[row + j];
      let sum = e[j] + v[j * n + j] * u;
      for (let k = 0; k < j; k++) {
        sum += v[j * n + k] * v[row + k];
        e[k] += v[j * n + k] * u;
      }
      e[j] = sum;
    }
    let inner = 0;
    for (let j = 0; j < i; j++) {
      e[j] /= h;
      inner += e[j] * v[row + j];
    }
    const half = inner / (h + h);
    for (let j = 0; j < i; j++) e[j] -= half * v[row + j];
    for (let j = 0; j < i; j++) {
      const [u, q] = [v[row + j], e[j]];
      for (let k = 0; k <= j; k++) v[j * n + k] -= u * e[k] + q * v[row + k];
    }
    d[i] = h;
  }
  e[0] = 0;
  for (let i = 0; i < n; i++) {
    const row = i * n;
    if (i > 0 && d[i] !== 0) {
      const sums = new Float64Array(i);
      for (let k = 0; k < i; k++) {
        const u = v[row + k];
        for (let j = 0; j < i; j++) sums[j] += u * v[k * n + j];
      }
      for (let k = 0; k < i; k++) {
        const u = v[row + k] / d[i];
        for (let j = 0; j < i; j++) v[k * n + j] -= u * sums[j];
      }
    }
    d[i] = v[row + i];
    v[row + i] = 1;
    for (let j = 0; j < i; j++) v[row + j] = v[j * n + i] = 0;
  }
}

function transpose(v: Float64Array, n: number): void {
  for (let i = 0; i < n; i++)
    for (let j = 0; j < i; j++) {
      const held = v[i * n + j];
      v[i * n + j] = v[j * n + i];
      v[j * n + i] = held;
    }
}

/** d becomes the eigenvalues, rows of v the eigenvectors; false if it does not converge. */
function toDiagonal(v: Float64Array, d: Float64Array, e: Float64Array, n: number): boolean {
  e.copyWithin(0, 1);
  e[n - 1] = 0;
  for (let l = 0; l < n; l++) {
    for (let steps = 0; ; steps++) {
      let m = l;
      while (m < n - 1 && Math.abs(e[m]) > Number.EPSILON * (Math.abs(d[m]) + Math.abs(d[m + 1]))) m++;
      if (m === l) break;
      if (steps === MOST_STEPS) return false;
      let g = (d[l + 1] - d[l]) / (2 * e[l]);
      let r = lengthOf(g, 1);
      g = d[m] - d[l] + e[l] / (g + (g < 0 ? -r : r));
      let [s, c, p] = [1, 1, 0];
      let i = m - 1;
      for (; i >= l; i--) {
        const f = s * e[i];
        const b = c * e[i];
        r = lengthOf(f, g);
        e[i + 1] = r;
        if (r === 0) {
          d[i + 1] -= p;
          e[m] = 0;
          break;
        }
        s = f / r;
        c = g / r;
        g = d[i + 1] - p;
        r = (d[i] - g) * s + 2 * c * b;
        p = s * r;
        d[i + 1] = g + p;
        g = c * r - b;
        const [one, two] = [i * n, (i + 1) * n];
        for (let k = 0; k < n; k++) {
          const upper = v[two + k];
          v[two + k] = s * v[one + k] + c * upper;
          v[one + k] = c * v[one + k] - s * upper;
        }
      }
      if (r === 0 && i >= l) continue;
      d[l] -= p;
      e[l] = g;
      e[m] = 0;
    }
  }
  return true;
}
