/**
 * Nearest rows of an encoded matrix. Of a product quantization without rows being decoded: squared distances of the
 * query's sub-vectors to all codewords are put in tables once, and each row is a sum of look-ups (asymmetric distance
 * computation: Jégou, Douze, Schmid, "Product Quantization for Nearest Neighbor Search", TPAMI 2011, section III-A).
 * Glossary: n rows, q queries, M sub-spaces, K codewords.
 */
import { square } from '../base/elementary.ts';
import { checkFinite, checkInteger } from '../base/errors.ts';
import { sizeOf, toTensor } from '../base/tensor.ts';
import type { TensorLike } from '../base/tensor.ts';
import { decode } from '../encodings/index.ts';
import type { Encoding, ProductEncoding } from '../encodings/types.ts';

/** What {@link nearestRows} finds: (q, k) both, nearest first; of equal distances the lower row. */
export interface NearestRows {
  readonly rows: Int32Array;
  /** Squared, from the query as it is to the row as its encoding has it. */
  readonly distances: Float32Array;
}

/**
 * The k rows nearest to each query, by squared Euclidean distance to the values that the encoding stands for. A dense
 * encoding gives the exact search, against which {@link recall} tells what a product quantization loses.
 *
 * Shapes: encoding (n, ...), a row for each first index; queries (q, columns). Cost: of a product encoding without
 * signs q (K columns + n M), of any other decoding and q n columns. Memory: 8 n bytes, and the decoded rows where there
 * are no tables.
 * @param options - `count`: k, from 1 to n. Default 1
 * @throws {TypeError | RangeError} for queries of another width, or a count that is none
 * @throws {EspalierError} NONFINITE if a query holds NaN or an infinity
 * @example
 * import { denseEncoding, nearestRows, quantizeMatrix, recall } from 'espalier/quantization';
 * const { encoding } = quantizeMatrix(vectors, { subvectorLength: 4, codewordCount: 256, signs: 'none', codebooks: 'subspace', kernels });
 * const found = nearestRows(encoding, queries, { count: 10 });
 * const exact = nearestRows(denseEncoding(vectors), queries, { count: 10 });
 * recall(found, exact, 10);   // the share of the true ten that were found
 */
export function nearestRows(encoding: Encoding, queries: TensorLike, options: { count?: number } = {}): NearestRows {
  const n = encoding.shape[0] ?? 0;
  const columns = sizeOf(encoding.shape.slice(1));
  const { data, shape } = toTensor('nearestRows', 'queries', queries);
  if (shape.length !== 2 || shape[1] !== columns)
    throw new RangeError(
      `nearestRows: queries: expected shape (q, ${columns}), as wide as the rows, got [${shape.join(', ')}]`,
    );
  checkFinite('nearestRows', 'queries', data, columns);
  const k = checkInteger('nearestRows', 'count', options.count ?? 1, 1);
  if (k > n) throw new RangeError(`nearestRows: count: expected at most the ${n} rows that there are, got ${k}`);

  const measure =
    encoding.kind === 'product' && encoding.blocks.every(({ signs }) => signs === undefined)
      ? byTables(encoding)
      : byRows(decode(encoding), columns);
  const distances = new Float64Array(n);
  const found = { rows: new Int32Array(shape[0] * k), distances: new Float32Array(shape[0] * k) };
  for (let i = 0; i < shape[0]; i++) {
    measure(data.subarray(i * columns, (i + 1) * columns), distances.fill(0));
    leastOf(distances, found.rows.subarray(i * k, (i + 1) * k));
    for (let j = i * k; j < (i + 1) * k; j++) found.distances[j] = distances[found.rows[j]];
  }
  return found;
}

/**
 * The share of the rows of an exact search that another search found, over all queries: recall k@k of the literature.
 * @param count - k of both searches
 * @throws {RangeError} if they are not of equally many rows, or of no whole number of queries
 */
export function recall(found: NearestRows, exact: NearestRows, count: number): number {
  const k = checkInteger('recall', 'count', count, 1);
  const { length } = exact.rows;
  if (length === 0 || found.rows.length !== length || length % k !== 0)
    throw new RangeError(
      `recall: expected as many rows found as exact ones, ${k} a query, got ${found.rows.length} and ${length}`,
    );
  let hits = 0;
  for (let i = 0; i < length; i += k) {
    const wanted = new Set(exact.rows.subarray(i, i + k));
    for (let j = i; j < i + k; j++) if (wanted.has(found.rows[j])) hits++;
  }
  return hits / length;
}

/** Adds the squared distances of a query to all rows to `sums`. */
type Measure = (query: Float32Array, sums: Float64Array) => void;

function byTables({ blocks }: ProductEncoding): Measure {
  return (query, sums) => {
    for (const { first, subspaceCount: M, subvectorLength: d, codewordCount: K, codewords, codes } of blocks) {
      const table = new Float64Array(M * K);
      for (let m = 0; m < M; m++) {
        for (let c = 0; c < K; c++) {
          let sum = 0;
          for (let j = 0; j < d; j++) sum += square(query[first + m * d + j] - codewords[c * d + j]);
          table[m * K + c] = sum;
        }
      }
      for (let row = 0, at = 0; row < sums.length; row++) {
        let sum = sums[row];
        for (let m = 0; m < M; m++) sum += table[m * K + codes[at++]];
        sums[row] = sum;
      }
    }
  };
}

function byRows(values: Float32Array, columns: number): Measure {
  return (query, sums) => {
    for (let row = 0, at = 0; row < sums.length; row++) {
      let sum = 0;
      for (let j = 0; j < columns; j++) sum += square(query[j] - values[at++]);
      sums[row] = sum;
    }
  };
}

/** Indices of the least values, ascending: a heap with the worst of those kept on top, as most rows are worse than it. */
function leastOf(values: Float64Array, kept: Int32Array): void {
  const k = kept.length;
  const isWorse = (a: number, b: number): boolean => values[a] > values[b] || (values[a] === values[b] && a > b);
  const sink = (end: number): void => {
    for (let at = 0; ;) {
      let child = 2 * at + 1;
      if (child >= end) return;
      if (child + 1 < end && isWorse(kept[child + 1], kept[child])) child++;
      if (!isWorse(kept[child], kept[at])) return;
      [kept[at], kept[child]] = [kept[child], kept[at]];
      at = child;
    }
  };
  // The first k are a heap once they are sorted from the worst to the best.
  for (let i = 0; i < k; i++) kept[i] = i;
  kept.sort((a, b) => (isWorse(a, b) ? -1 : 1));
  for (let i = k; i < values.length; i++) {
    if (!isWorse(kept[0], i)) continue;
    kept[0] = i;
    sink(k);
  }
  kept.sort((a, b) => (isWorse(a, b) ? 1 : -1));
}
