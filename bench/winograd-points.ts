/**
 * Which points of interpolation F(4 x 4, 3 x 3) should have: the error of one tile of a layer of 64 channels on normal
 * data, computed in float32, and the worst case, the bound of docs/numerics.md as a multiple of sum |g||d| where all
 * |g| = |d| = 1. Points 0, +-a, +-b and infinity. Run: npx tsx bench/winograd-points.ts
 */
import { normal, stream } from 'espalier';

type Matrix = readonly (readonly number[])[];
const CHANNELS = 64;
const TILES = 400;
const CANDIDATES: readonly (readonly [string, number, number])[] = [
  ['1, 2', 1, 2],
  ['1, 1/2', 1, 1 / 2],
  ['1/sqrt 2, sqrt 2', Math.SQRT1_2, Math.SQRT2],
  ['3/4, 3/2', 3 / 4, 3 / 2],
  ['5/8, 3/2', 5 / 8, 3 / 2],
  ['3/5, 3/2', 3 / 5, 3 / 2],
  ['1/2, 3/2', 1 / 2, 3 / 2],
  ['2/3, 3/2', 2 / 3, 3 / 2],
];

/** Coefficients of the polynomial with these roots, lowest first, filled up to six. */
function polynomial(roots: readonly number[]): number[] {
  const coefficients = roots.reduce(
    (sum, root) => [...sum.map((value, i) => (i > 0 ? sum[i - 1] : 0) - root * value), 1],
    [1],
  );
  return Array.from({ length: 6 }, (_, i) => coefficients[i] ?? 0);
}

/** A^T, G and B^T by their definition (Toom, Cook). */
function transforms(a: number, b: number): { product: Matrix; filter: Matrix; patch: Matrix } {
  const points = [0, a, -a, b, -b];
  const others = (point: number): number[] => points.filter((other) => other !== point);
  return {
    patch: [...points.map((point) => polynomial(others(point))), polynomial(points)],
    filter: [
      ...points.map((point) =>
        [0, 1, 2].map(
          (power) => point ** power / others(point).reduce((product, other) => product * (point - other), 1),
        ),
      ),
      [0, 0, 1],
    ],
    product: [0, 1, 2, 3].map((power) => [...points.map((point) => point ** power), power === 3 ? 1 : 0]),
  };
}

/** t x t^T, every operation rounded by `round`. */
function onBothAxes(t: Matrix, x: Matrix, round: (value: number) => number): number[][] {
  const times = (rows: Matrix, columns: Matrix): number[][] =>
    rows.map((row) =>
      columns.map((column) =>
        row.reduce((sum, value, k) => (value === 0 ? sum : round(sum + round(round(value) * column[k]))), 0),
      ),
    );
  const turned = (matrix: readonly (readonly number[])[]): number[][] =>
    matrix[0].map((_, j) => matrix.map((row) => row[j]));
  return times(times(t, turned(x)), t);
}

const exact = (value: number): number => value;
const magnitudes = (matrix: Matrix): number[][] => matrix.map((row) => row.map(Math.abs));
const filled = (side: number, value: () => number): number[][] =>
  Array.from({ length: side }, () => Array.from({ length: side }, value));
const hadamard = (a: Matrix, b: Matrix): number[][] => a.map((row, y) => row.map((value, x) => value * b[y][x]));

for (const [name, a, b] of CANDIDATES) {
  const { product, filter, patch } = transforms(a, b);
  const random = stream(1, 'tiles');
  let squares = 0;
  let largest = 0;
  for (let tile = 0; tile < TILES; tile++) {
    const sums = filled(6, () => 0);
    const expected = filled(4, () => 0);
    const magnitude = filled(4, () => 0);
    for (let c = 0; c < CHANNELS; c++) {
      const d = filled(6, () => Math.fround(normal(random)));
      const g = filled(3, () => Math.fround(normal(random)));
      const v = onBothAxes(patch, d, Math.fround);
      const u = onBothAxes(filter, g, exact);
      sums.forEach((row, y) =>
        row.forEach((sum, x) => {
          row[x] = Math.fround(sum + Math.fround(Math.fround(u[y][x]) * v[y][x]));
        }),
      );
      expected.forEach((row, y) =>
        row.forEach((_, x) =>
          g.forEach((taps, ky) =>
            taps.forEach((tap, kx) => {
              row[x] += tap * d[y + ky][x + kx];
              magnitude[y][x] += Math.abs(tap * d[y + ky][x + kx]);
            }),
          ),
        ),
      );
    }
    onBothAxes(product, sums, Math.fround).forEach((row, y) =>
      row.forEach((value, x) => {
        squares += (value - expected[y][x]) ** 2;
        largest = Math.max(largest, Math.abs(value - expected[y][x]) / magnitude[y][x]);
      }),
    );
  }
  const ones = (side: number): number[][] => filled(side, () => 1);
  const worst = onBothAxes(
    magnitudes(product),
    hadamard(onBothAxes(magnitudes(filter), ones(3), exact), onBothAxes(magnitudes(patch), ones(6), exact)),
    exact,
  );
  console.log(
    `0, ±${name}`.padEnd(22) +
      `rms ${Math.sqrt(squares / TILES / 16).toExponential(2)}   largest ${(largest * 2 ** 24).toFixed(1).padStart(5)} x 2^-24 sum |g||d|   worst case ${(Math.max(...worst.flat()) / 9).toFixed(0).padStart(4)} x`,
  );
}
