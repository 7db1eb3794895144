/**
 * The parts of a k-means step on a heap of their own: each point to its nearest codeword, the error of that, each
 * codeword to the mean of its points. Glossary: n points, d coordinates, K codewords; codewords (K, d), points (n, d).
 */
import { square } from '../base/elementary.ts';
import type { Call } from '../kernels/specification/kernels.ts';
import type { Heap, KernelSet, Program, Workspace, WorkspaceOptions } from '../kernels/types.ts';
import { boundsShape, createBounds } from './bounds.ts';
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
  /** K. */
  readonly codewordCount: number;
  /** Largest magnitude among the codewords to come, if it may exceed that of the points. */
  readonly largestCodeword?: number;
  readonly metric?: Metric | undefined;
  /** (n) weights of the points in the mean. */
  readonly weights?: Float32Array | undefined;
}

/** How near the points are to the seeds chosen so far. */
export interface Nearness {
  /** (n) squared distance of each point to the nearest seed, scaled alike. */
  readonly least: Float32Array;
  /** Points of a piece; the last may have fewer. */
  readonly size: number;
  /** Of each piece the sum of weight x squared distance. */
  readonly totals: Float64Array;
}

export interface Assignment {
  /** With one seed more, the number of a point; `first` forgets those before. Overwritten by the next call. */
  approach(seed: number, first: boolean): Nearness;
  /**
   * Index of the nearest codeword per point, the lowest among equals; overwritten by the next call. For the first
   * codewords of a run, whatever they are.
   */
  start(codewords: Float32Array): Int32Array;
  /**
   * The same, and faster, for codewords that came from those of the last call: written to `into`. Returns how many
   * differ from `before`.
   */
  assign(codewords: Float32Array, before: Int32Array, into: Int32Array): number;
  /**
   * Of the last assignment, to the codewords that it was given: weighted squared error of each point, in double,
   * overwritten by the next call, and their sum.
   */
  measure(codewords: Float32Array): { errors: Float64Array; objective: number };
  /**
   * Means of the points by the last assignment, each rounded to the nearest float32; a codeword without weight stays,
   * and is listed.
   */
  means(codewords: Float32Array): { codewords: Float32Array; empty: number[] };
}

/**
 * What an assignment asks of a workspace, and what it does with it. Two plans of equal `key` have the same programs and
 * may follow each other on one workspace.
 */
export interface AssignmentPlan {
  readonly key: string;
  readonly workspace: WorkspaceOptions;
  /** Does what needs no workspace, for a caller who waits for one; else `bind` does it. */
  prepare(): void;
  bind(workspace: Workspace): Assignment;
}

/**
 * Of scaled points. Below it squares may have vanished from float32: the nearest codeword is looked for again in
 * double. Only differences some 2^100 below the largest value come here.
 */
const UNDERFLOW = 2 ** -100;

/** Pieces that points are cut into, at most; divisible by 2, 3 (nearly) and 4 threads. */
const PIECES = 32;
/** Fewer points than this are not worth a piece. */
const PIECE_POINTS = 256;
/**
 * Partial sums for the means, at most. They are folded by one thread, which reads what the others wrote: some 0.02 ms
 * each at K d = 2048.
 */
const PARTS = 8;

const PROGRAM = { start: 0, assign: 1, measure: 2, means: 3, approach: 4 } as const;

/** Lays points, codewords and bounds out on a heap that is yet to be opened, and writes the programs down. */
export function planAssignment(options: AssignmentOptions): AssignmentPlan {
  const { kernels: set, points, d, codewordCount: K, metric, weights } = options;
  const n = points.length / d;
  const shared = metric && !metric.perPoint;
  const shape = metric?.perPoint ? undefined : boundsShape(n, d, K);
  const cuts = cut(n, Math.min(PIECES, Math.ceil(n / PIECE_POINTS)));
  const parts = cut(n, Math.max(1, Math.min(PARTS, Math.floor(n / (4 * K)))));
  const layout = createLayout();
  const scaledAt = layout(n * d);
  const rawAt = layout(n * d);
  const table = layout(K * d);
  const rawTable = layout(K * d);
  const codes = layout(n);
  const distances = layout(n);
  const metricAt = metric ? layout(metric.weights.length) : -1;
  const weightsAt = weights ? layout(n) : -1;
  const errors = layout(2 * n);
  const totals = layout(2 * cuts.length);
  const sums = layout(2 * K * d * parts.length);
  const counts = layout(2 * K * parts.length);
  const groups = layout(shape?.words ?? 0);
  const bounds = layout(n * (shape?.width ?? 0));

  const runs = metric?.perPoint
    ? runsOfEqualRows(metric.weights, d).flatMap(({ start, count }) =>
        cut(count, Math.ceil(count / Math.ceil(n / PIECES)), start),
      )
    : cuts;
  const nearest = ({ start, count }: Cut): Call<'nearestCodeword'> => ({
    points: scaledAt + start * d,
    stride: d,
    count,
    d,
    codewords: table,
    k: K,
    weights: shared ? metricAt : metric ? metricAt + start * d : -1,
    codes: codes + start,
    distances: distances + start,
  });
  const all: Program = [{ kernel: 'nearestCodeword', pieces: runs.map(nearest) }];
  const bounded = ({ tiles, width }: NonNullable<typeof shape>, fresh: number): Program => [
    {
      kernel: 'nearestCodewordAgain',
      pieces: runs.map((run) => ({ ...nearest(run), groups, tiles, bounds: bounds + run.start * width, fresh })),
    },
  ];
  const programs: Program[] = [];
  programs[PROGRAM.start] = shape ? bounded(shape, 1) : all;
  programs[PROGRAM.assign] = shape ? bounded(shape, 0) : all;
  programs[PROGRAM.measure] = [
    {
      kernel: 'codewordErrors',
      pieces: cuts.map(({ start, count }, i) => ({
        points: rawAt + start * d,
        stride: d,
        count,
        d,
        codewords: rawTable,
        codes: codes + start,
        metric: metric ? metricAt + (shared ? 0 : start * d) : -1,
        metricStride: shared ? 0 : d,
        weights: weights ? weightsAt + start : -1,
        errors: errors + 2 * start,
        total: totals + 2 * i,
      })),
    },
  ];
  programs[PROGRAM.means] = metric?.perPoint
    ? []
    : [
        {
          kernel: 'accumulateCentroids',
          pieces: parts.map(({ start, count }, i) => ({
            points: scaledAt + start * d,
            stride: d,
            count,
            d,
            codes: codes + start,
            k: K,
            weights: weights ? weightsAt + start : -1,
            sums: sums + 2 * K * d * i,
            counts: counts + 2 * K * i,
          })),
        },
      ];
  programs[PROGRAM.approach] = [
    {
      kernel: 'nearerSeed',
      pieces: cuts.map(({ start, count }, i) => ({
        points: scaledAt + start * d,
        stride: d,
        count,
        d,
        seed: table,
        metric: metric ? metricAt + (shared ? 0 : start * d) : -1,
        metricStride: shared ? 0 : d,
        weights: weights ? weightsAt + start : -1,
        least: distances + start,
        total: totals + 2 * i,
      })),
    },
  ];
  const scratchWords = Math.max(
    ...(['nearestCodeword', 'nearestCodewordAgain', 'accumulateCentroids'] as const).map((kernel) =>
      set.sizes.scratchWords(kernel, undefined, [K, d]),
    ),
  );

  let prepared: { scale: number; scaledPoints: Float32Array } | undefined;
  const prepare = (): NonNullable<typeof prepared> => {
    if (prepared) return prepared;
    const scale = distanceScale(Math.max(largestMagnitude(points), options.largestCodeword ?? 0), d);
    const scaledPoints = new Float32Array(n * d);
    for (let i = 0; i < n * d; i++) scaledPoints[i] = points[i] * scale;
    return (prepared = { scale, scaledPoints });
  };
  const bind = (workspace: Workspace): Assignment => {
    const { heap } = workspace;
    const float = heap.float as Float32Array;
    const { int } = heap;
    const { scale, scaledPoints } = prepare();
    float.set(scaledPoints, scaledAt);
    float.set(points, rawAt);
    if (weights) float.set(weights, weightsAt);
    const factor = metric ? weightScale(largestMagnitude(metric.weights)) : 1;
    if (metric)
      float.set(
        metric.weights.map((weight) => weight * factor),
        metricAt,
      );
    const ways = shape && createBounds(int.subarray(groups), float.subarray(groups), shape, d, K);
    const near = float.subarray(distances, distances + n);
    const found = int.subarray(codes, codes + n);
    const error = doubles(heap, errors, n);
    const total = doubles(heap, totals, cuts.length);
    const scaled = float.subarray(table, table + K * d);
    const metricWeights = metric && float.subarray(metricAt, metricAt + metric.weights.length);

    // All that is left to one thread.
    const settle = (codewords: Float32Array, before: Int32Array, into: Int32Array): number => {
      if (into !== found) into.set(found);
      for (let i = nextBelow(near, UNDERFLOW, 0); i < n; i = nextBelow(near, UNDERFLOW, i + 1))
        into[i] = found[i] = nearestInDouble(points, i, d, codewords, found[i], metric);
      return countOther(before, into);
    };
    const load = (codewords: Float32Array): void => {
      for (let i = 0; i < K * d; i++) scaled[i] = codewords[i] * scale;
    };

    return {
      approach(seed, first) {
        if (first) near.fill(Infinity);
        scaled.set(float.subarray(scaledAt + seed * d, scaledAt + (seed + 1) * d));
        workspace.run(PROGRAM.approach);
        return { least: near, size: cuts[0].count, totals: total };
      },
      start(codewords) {
        load(codewords);
        ways?.start(scaled);
        workspace.run(PROGRAM.start);
        settle(codewords, found, found);
        return found;
      },
      assign(codewords, before, into) {
        load(codewords);
        ways?.move(scaled, metricWeights);
        workspace.run(PROGRAM.assign);
        return settle(codewords, before, into);
      },
      measure(codewords) {
        float.set(codewords, rawTable);
        workspace.run(PROGRAM.measure);
        return { errors: error, objective: total.reduce((sum, value) => sum + value, 0) / factor };
      },
      means(codewords) {
        if (metric?.perPoint) return weightedMeans(points, d, found, codewords, metric.weights, weights);
        workspace.run(PROGRAM.means);
        const sum = foldParts(doubles(heap, sums, parts.length * K * d), parts.length);
        const count = foldParts(doubles(heap, counts, parts.length * K), parts.length);
        const means = codewords.slice();
        const empty: number[] = [];
        for (let c = 0; c < K; c++) {
          if (count[c] === 0) empty.push(c);
          else for (let j = 0; j < d; j++) means[c * d + j] = sum[c * d + j] / count[c] / scale;
        }
        return { codewords: means, empty };
      },
    };
  };
  const key = metric?.perPoint ? '' : [n, d, K, metric !== undefined, weights !== undefined].join();
  return { key, workspace: { words: layout(0), scratchWords, programs }, prepare, bind };
}

/** Hands out words from 0 on, each block at a multiple of 4 words. Asked for none it tells how many there are. */
function createLayout(): (words: number) => number {
  let end = 0;
  return (words) => {
    const start = end;
    end += Math.ceil(words / 4) * 4;
    return start;
  };
}

interface Cut {
  readonly start: number;
  readonly count: number;
}

/** At most `pieces` pieces of [start, start + n), each but the last a multiple of 4. */
function cut(n: number, pieces: number, start = 0): Cut[] {
  const size = Math.ceil(n / pieces / 4) * 4;
  return Array.from({ length: Math.ceil(n / size) }, (_, i) => ({
    start: start + i * size,
    count: Math.min(size, n - i * size),
  }));
}

// Loops over all points in functions of their own: within `settle`, as one loop around its call, they took more than twice as long.

/** The first element from `from` on that is less than `limit`; the length if none is. */
function nextBelow(values: Float32Array, limit: number, from: number): number {
  const { length } = values;
  let i = from;
  while (i < length && !(values[i] < limit)) i++;
  return i;
}

/** How many elements differ. */
function countOther(before: Int32Array, after: Int32Array): number {
  const { length } = after;
  let count = 0;
  for (let i = 0; i < length; i++) if (before[i] !== after[i]) count++;
  return count;
}

function doubles(heap: Heap, offset: number, count: number): Float64Array {
  const first = heap.doubleIndex(offset);
  return heap.double.subarray(first, first + count);
}

/** The parts of a row of equal parts, added up in ascending order. */
function foldParts(values: Float64Array, parts: number): Float64Array {
  const count = values.length / parts;
  const total = values.slice(0, count);
  for (let part = 1; part < parts; part++) for (let i = 0; i < count; i++) total[i] += values[part * count + i];
  return total;
}

/**
 * The found codeword if it is the point itself, as the metric sees it; else the nearest in double, the lowest index
 * among equals.
 */
function nearestInDouble(
  points: Float32Array,
  i: number,
  d: number,
  codewords: Float32Array,
  found: number,
  metric: Metric | undefined,
): number {
  const row = metric?.perPoint ? i * d : 0;
  const distance = (c: number): number => {
    let sum = 0;
    for (let j = 0; j < d; j++)
      sum += (metric ? metric.weights[row + j] : 1) * square(points[i * d + j] - codewords[c * d + j]);
    return sum;
  };
  let nearest = found;
  let least = distance(found);
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
function runsOfEqualRows(rows: Float32Array, d: number): Cut[] {
  const runs: Cut[] = [];
  for (let i = 1, start = 0; i * d <= rows.length; i++) {
    let equal = i * d < rows.length;
    for (let j = 0; equal && j < d; j++) equal = rows[i * d + j] === rows[(i - 1) * d + j];
    if (equal) continue;
    runs.push({ start, count: i - start });
    start = i;
  }
  return runs;
}

/** Means where every coordinate of every point has a weight of its own; a coordinate without weight stays. */
function weightedMeans(
  points: Float32Array,
  d: number,
  codes: Int32Array,
  codewords: Float32Array,
  metric: Float32Array,
  weights: Float32Array | undefined,
): { codewords: Float32Array; empty: number[] } {
  const sums = new Float64Array(codewords.length);
  const totals = new Float64Array(codewords.length);
  for (let i = 0; i < codes.length; i++) {
    const weight = weights?.[i] ?? 1;
    for (let j = 0; j < d; j++) {
      const share = weight * metric[i * d + j];
      sums[codes[i] * d + j] += share * points[i * d + j];
      totals[codes[i] * d + j] += share;
    }
  }
  const means = codewords.map((value, i) => (totals[i] > 0 ? sums[i] / totals[i] : value));
  const empty: number[] = [];
  for (let c = 0; c * d < codewords.length; c++)
    if (totals.subarray(c * d, c * d + d).every((total) => total === 0)) empty.push(c);
  return { codewords: means, empty };
}
