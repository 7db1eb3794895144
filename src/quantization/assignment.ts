/**
 * The two halves of a k-means step on a heap of their own: each point to its nearest codeword, each codeword to the mean of
 * its points. Glossary: n points, d coordinates, K codewords; codewords (K, d), points (n, d).
 */
import { doubleIndex, type KernelSet } from '../kernels/types.ts';
import { distanceScale, largestMagnitude, weightScale } from './points.ts';

/** Non-negative weights of the coordinates in the distance, (d) for all points or (n, d), a row for each. */
export interface Metric {
  readonly weights: Float32Array;
  readonly perPoint: boolean;
}

export interface AssignmentOptions {
  readonly kernels: KernelSet;
  readonly points: Float32Array;
  readonly d: number;
  /** K, at most. */
  readonly codewordCount: number;
  /** Largest magnitude among the codewords to come, if it may exceed that of the points. */
  readonly largestCodeword?: number;
  readonly metric?: Metric | undefined;
  /** (n) weights of the points in the mean. */
  readonly weights?: Float32Array | undefined;
}

export interface Assignment {
  /** Index of the nearest codeword per point, the lowest among equals; overwritten by the next call. */
  assign(codewords: Float32Array): Int32Array;
  /** Means of the points by the last assignment, each rounded to the nearest float32; a codeword without weight stays, and is listed. */
  means(codewords: Float32Array): { codewords: Float32Array; empty: number[] };
  dispose(): void;
}

/** Of scaled points. Below it squares may have vanished from float32: the nearest codeword is looked for again in double. Only differences some 2^100 below the largest value come here. */
const UNDERFLOW = 2 ** -100;

export function openAssignment(options: AssignmentOptions): Assignment {
  const { kernels: set, points, d, codewordCount: K, metric, weights } = options;
  const n = points.length / d;
  const scale = distanceScale(Math.max(largestMagnitude(points), options.largestCodeword ?? 0), d);
  const even = (words: number): number => words + (words & 1);
  const table = even(n * d), codes = table + even(K * d), distances = codes + even(n), metricAt = distances + even(n), weightsAt = metricAt + even(metric?.weights.length ?? 0);
  const sums = weightsAt + even(weights ? n : 0), counts = sums + 2 * K * d, words = counts + 2 * K;
  const scratchWords = Math.max(set.scratchWords('nearestCodeword', undefined, [K, d]), set.scratchWords('accumulateCentroids', undefined, [K, d]));
  const workspace = set.openSync({ words, scratchWords });
  const { heap, kernels, scratch } = workspace;
  for (let i = 0; i < n * d; i++) heap.float[i] = points[i] * scale;
  if (weights) heap.float.set(weights, weightsAt);
  if (metric) {
    const factor = weightScale(largestMagnitude(metric.weights));
    heap.float.set(metric.weights.map((weight) => weight * factor), metricAt);
  }
  const runs = metric?.perPoint ? runsOfEqualRows(metric.weights, d) : [{ start: 0, count: n }];

  return {
    assign(codewords) {
      for (let i = 0; i < codewords.length; i++) heap.float[table + i] = codewords[i] * scale;
      for (const { start, count } of runs) {
        const at = metric ? metricAt + (metric.perPoint ? start * d : 0) : -1;
        kernels.nearestCodeword(scratch, start * d, d, count, d, table, codewords.length / d, at, codes + start, distances + start);
      }
      for (let i = 0; i < n; i++) {
        if (heap.float[distances + i] < UNDERFLOW) heap.int[codes + i] = nearestInDouble(points, i, d, codewords, heap.int[codes + i], metric);
      }
      return heap.int.subarray(codes, codes + n);
    },
    means(codewords) {
      if (metric?.perPoint) return weightedMeans(points, d, heap.int.subarray(codes, codes + n), codewords, metric.weights, weights);
      const k = codewords.length / d;
      kernels.accumulateCentroids(scratch, 0, d, n, d, codes, k, weights ? weightsAt : -1, sums, counts);
      const sumAt = doubleIndex(heap, sums), countAt = doubleIndex(heap, counts);
      const means = codewords.slice(), empty: number[] = [];
      for (let c = 0; c < k; c++) {
        const count = heap.double[countAt + c];
        if (count === 0) empty.push(c);
        else for (let j = 0; j < d; j++) means[c * d + j] = heap.double[sumAt + c * d + j] / count / scale;
      }
      return { codewords: means, empty };
    },
    dispose: () => workspace.dispose(),
  };
}

/** The found codeword if it is the point itself, as the metric sees it; else the nearest in double, the lowest index among equals. */
function nearestInDouble(points: Float32Array, i: number, d: number, codewords: Float32Array, found: number, metric: Metric | undefined): number {
  const row = metric?.perPoint ? i * d : 0;
  const distance = (c: number): number => {
    let sum = 0;
    for (let j = 0; j < d; j++) sum += (metric ? metric.weights[row + j] : 1) * (points[i * d + j] - codewords[c * d + j]) ** 2;
    return sum;
  };
  let nearest = found, least = distance(found);
  for (let c = 0; least > 0 && c * d < codewords.length; c++) {
    const here = distance(c);
    if (here < least || (here === least && c < nearest)) {
      nearest = c;
      least = here;
    }
  }
  return nearest;
}

/** A kernel call has one metric, so points with the same one that follow each other share a call. */
function runsOfEqualRows(rows: Float32Array, d: number): { start: number; count: number }[] {
  const runs = [{ start: 0, count: 1 }];
  for (let i = 1; i * d < rows.length; i++) {
    let equal = true;
    for (let j = 0; j < d; j++) equal &&= rows[i * d + j] === rows[(i - 1) * d + j];
    if (equal) runs[runs.length - 1].count++;
    else runs.push({ start: i, count: 1 });
  }
  return runs;
}

/** Means where every coordinate of every point has a weight of its own; a coordinate without weight stays. */
function weightedMeans(points: Float32Array, d: number, codes: Int32Array, codewords: Float32Array, metric: Float32Array, weights: Float32Array | undefined): { codewords: Float32Array; empty: number[] } {
  const sums = new Float64Array(codewords.length), totals = new Float64Array(codewords.length);
  for (let i = 0; i < codes.length; i++) {
    const weight = weights?.[i] ?? 1;
    for (let j = 0; j < d; j++) {
      const share = weight * metric[i * d + j];
      sums[codes[i] * d + j] += share * points[i * d + j];
      totals[codes[i] * d + j] += share;
    }
  }
  const means = codewords.map((value, i) => totals[i] > 0 ? sums[i] / totals[i] : value);
  const empty: number[] = [];
  for (let c = 0; c * d < codewords.length; c++) if (totals.subarray(c * d, c * d + d).every((total) => total === 0)) empty.push(c);
  return { codewords: means, empty };
}
