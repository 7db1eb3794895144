/**
 * Error feedback: weights are quantized a few columns at a time, and the error of what is fixed is made good, as far as the
 * layer's inputs allow, by the columns still to come. Least is (w - q) H (w - q)^T, H the second moments of the inputs.
 *
 * Sources: Frantar et al., "GPTQ", ICLR 2023; van Baalen et al., "GPTVQ", arXiv 2402.15319 (several columns at once). Here in
 * the form that needs no inverse: with H = T^T T, T lower triangular, the error is |T d|^2 for d = w - q, and its component
 * j depends on columns up to j alone, so that q_j is best near w_j + (sum over i < j of T_ji d_i) / T_jj (Babai's nearest
 * plane, which GPTQ is: Chen et al., arXiv 2507.18553). Of several columns at once the whole triangle is the metric.
 */
import { choleskyInPlace } from '../base/cholesky.ts';
import type { RunControl } from '../base/control.ts';
import { square } from '../base/elementary.ts';
import { EspalierError } from '../base/errors.ts';
import type { Tensor } from '../base/tensor.ts';

/** Share of the mean second moment that is added to all of them: of few samples some are 0. */
const DAMPING = 0.01;
/** A row is taken as feedback leaves it where that lowers its error by more than rounding does. */
const LEAST_GAIN = 1e-6;
/** Rows that go through the factor together. */
const ROWS = 4;

/** Second moments, factored. */
export interface FactoredMoments {
  readonly columns: number;
  /** Of rows, one after another and equally many in each, with moments of their own. */
  readonly groups: number;
  /** T (groups, columns, columns), lower triangular, T^T T = H + 1 % of its mean diagonal. */
  readonly factor: Float64Array;
}

/**
 * Factors second moments of a layer's inputs: covariances, where what the mean of an error does goes into the bias. Zeros
 * (the layer hears nothing) count as equal moments. Cost: groups x columns^3 / 6 multiply-adds.
 * @param moments - (groups, columns, columns), symmetric, at least semidefinite
 * @throws {RangeError} for another size
 * @throws {EspalierError} NONFINITE for numbers that are no second moments
 */
export function prepareFeedback(moments: Float64Array, columns: number): FactoredMoments {
  const size = columns * columns;
  const groups = moments.length / size;
  if (groups < 1 || !Number.isInteger(groups))
    throw new RangeError(
      `prepareFeedback: moments: expected ${columns} x ${columns} numbers, one for each pair of columns, or as many for each group of rows, got ${moments.length}`,
    );
  const factor = new Float64Array(groups * size);
  for (let group = 0; group < groups; group++)
    factor.set(factored(moments.subarray(group * size, (group + 1) * size), columns), group * size);
  return { columns, groups, factor };
}

function factored(moments: Float64Array, columns: number): Float64Array {
  const last = columns - 1;
  let trace = 0;
  for (let j = 0; j < columns; j++) trace += moments[j * columns + j];
  const damping = trace > 0 ? (DAMPING * trace) / columns : 1;
  // The factor from the last column to the first: that of the matrix turned around.
  const turned = new Float64Array(columns * columns);
  for (let i = 0; i < columns; i++) {
    for (let j = 0; j <= i; j++) turned[i * columns + j] = moments[(last - i) * columns + (last - j)];
    turned[i * columns + i] += damping;
  }
  const failed = Number.isFinite(trace) ? choleskyInPlace(turned, columns) : 0;
  if (failed >= 0)
    throw new EspalierError(
      'NONFINITE',
      `prepareFeedback: moments: expected second moments, which are finite and positive semidefinite, got others (at column ${last - failed})`,
      { name: 'moments' },
    );
  const factor = new Float64Array(columns * columns);
  for (let j = 0; j < columns; j++)
    for (let i = 0; i <= j; i++) factor[j * columns + i] = turned[(last - i) * columns + (last - j)];
  return factor;
}

/**
 * What the error of each column costs when those before it are exact and those behind it make good what they can, as an
 * importance for codebooks: (columns), or of groups (rows, columns); undefined where all are alike.
 */
export function columnImportance({ columns, groups, factor }: FactoredMoments, rows: number): Tensor | undefined {
  const diagonal = Float64Array.from({ length: groups * columns }, (_, i) => factor[i * columns + (i % columns)]);
  const largest = diagonal.reduce((most, value) => Math.max(most, value), 0);
  const each = Float32Array.from(diagonal, (value) => square(value / largest));
  if (each.every((one) => one === each[0])) return undefined;
  if (groups === 1) return { data: each, shape: [columns] };
  const perGroup = (rows * columns) / groups;
  const data = Float32Array.from(
    { length: rows * columns },
    (_, i) => each[Math.floor(i / perGroup) * columns + (i % columns)],
  );
  return { data, shape: [rows, columns] };
}

/** Columns that are fixed together. */
export interface Cut {
  readonly first: number;
  readonly count: number;
}

/**
 * Chooses what a piece of a row becomes. The error to be least: sum over j of (carried_j + sum over i <= j of T_ji (w_i -
 * q_i))^2, i and j within the piece.
 * @param decoded - the row's values, (columns): the choice is written to those of the piece
 * @param factor - T of the row's group
 */
export type Choose = (
  row: number,
  cut: number,
  carried: Float64Array,
  decoded: Float64Array,
  factor: Float64Array,
) => void;

/**
 * Takes all rows of a matrix through the pieces, from the first to the last. Returns the rows where that is better than
 * `plain`, which was quantized without feedback. Cost: rows x columns^2 multiply-adds beside the choices.
 * @param keep - told of each such row, with its values
 */
export async function feedRows(
  { data, shape: [rows, columns] }: Tensor,
  { groups, factor: factors }: FactoredMoments,
  cuts: readonly Cut[],
  plain: ArrayLike<number>,
  choose: Choose,
  keep: (row: number, decoded: Float64Array) => void,
  control: RunControl,
): Promise<{ before: number; after: number }> {
  const most = cuts.reduce((largest, { count }) => Math.max(largest, count), 0);
  const errors = Array.from({ length: ROWS }, () => new Float64Array(columns));
  const decoded = Array.from({ length: ROWS }, () => new Float64Array(columns));
  const carried = Array.from({ length: ROWS }, () => new Float64Array(most));
  const costs = new Float64Array(ROWS);
  const total = { before: 0, after: 0 };
  if (rows % groups !== 0)
    throw new RangeError(`feedRows: moments: expected those of groups that share ${rows} rows evenly, got ${groups}`);
  const perGroup = rows / groups;
  for (let first = 0, count = 0; first < rows; first += count) {
    await control.pause();
    const group = Math.floor(first / perGroup);
    count = Math.min(ROWS, (group + 1) * perGroup - first);
    const factor = factors.subarray(group * columns * columns, (group + 1) * columns * columns);
    // What the plain choice costs.
    for (let r = 0; r < count; r++) {
      const from = (first + r) * columns;
      for (let j = 0; j < columns; j++) errors[r][j] = data[from + j] - plain[from + j];
    }
    costs.fill(0);
    cuts.forEach((cut) => {
      carry(factor, columns, cut, errors, carried);
      for (let r = 0; r < count; r++) costs[r] += costOf(factor, columns, cut, carried[r], errors[r]);
    });
    const before = costs.slice();
    costs.fill(0);
    cuts.forEach((cut, i) => {
      carry(factor, columns, cut, errors, carried);
      for (let r = 0; r < count; r++) {
        choose(first + r, i, carried[r], decoded[r], factor);
        const from = (first + r) * columns;
        for (let j = cut.first; j < cut.first + cut.count; j++) errors[r][j] = data[from + j] - decoded[r][j];
        costs[r] += costOf(factor, columns, cut, carried[r], errors[r]);
      }
    });
    for (let r = 0; r < count; r++) {
      const isBetter = costs[r] < before[r] * (1 - LEAST_GAIN);
      if (isBetter) keep(first + r, decoded[r]);
      total.before += before[r];
      total.after += isBetter ? costs[r] : before[r];
    }
  }
  return total;
}

/** What the errors before a piece put on its components, of four rows. */
function carry(
  factor: Float64Array,
  columns: number,
  { first, count }: Cut,
  errors: readonly Float64Array[],
  carried: readonly Float64Array[],
): void {
  const [a, b, c, d] = errors;
  for (let j = 0; j < count; j++) {
    const at = (first + j) * columns;
    let s = 0;
    let t = 0;
    let u = 0;
    let v = 0;
    for (let i = 0; i < first; i++) {
      const weight = factor[at + i];
      s += weight * a[i];
      t += weight * b[i];
      u += weight * c[i];
      v += weight * d[i];
    }
    carried[0][j] = s;
    carried[1][j] = t;
    carried[2][j] = u;
    carried[3][j] = v;
  }
}

function costOf(
  factor: Float64Array,
  columns: number,
  { first, count }: Cut,
  carried: Float64Array,
  errors: Float64Array,
): number {
  let cost = 0;
  for (let j = 0; j < count; j++) {
    let sum = carried[j];
    for (let i = 0; i <= j; i++) sum += factor[(first + j) * columns + first + i] * errors[first + i];
    cost += sum * sum;
  }
  return cost;
}
