/**
 * k-means (Lloyd, "Least squares quantization in PCM", 1982) that never loses a codeword and never returns a worse one
 * than it had. Glossary: n points, d coordinates, K codewords.
 */
import { createRunControl } from '../base/control.ts';
import { checkInteger, checkNumber } from '../base/errors.ts';
import { ownOptions } from '../base/rules.ts';
import { checkKernels, givenKernels } from '../kernels/given.ts';
import { loadKernels } from '../kernels/load.ts';
import type { KernelSet, Workspace } from '../kernels/types.ts';
import { stream } from '../base/random.ts';
import type { FloatArray, Tensor, TensorLike } from '../base/tensor.ts';
import { planAssignment, type Assignment, type AssignmentPlan, type Metric } from './assignment.ts';
import { checkInit, checkPoints, checkWeights } from './kmeans-arguments.ts';
import { bestIntervals } from './line.ts';
import { distinctPoints, largestMagnitude, type DistinctPoints } from './points.ts';
import { plusPlusSeeds, randomSeeds } from './seeding.ts';
import { createWorkspaces, type Workspaces } from './workspaces.ts';

export interface KMeansOptions {
  /** K, at least 1. Fewer come back where there are fewer distinct points. */
  codewordCount: number;
  /** Where distances are measured; every set gives the same codes. */
  kernels: KernelSet;
  /** Default 0. */
  seed?: number;
  /** Most updates of the codewords. Default 25. */
  iterations?: number;
  /** Stops when an iteration lowers the objective by less than this fraction. Default 0: only when nothing improves. */
  tolerance?: number;
  /**
   * Default 'plusPlus'. 'exact': of single coordinates (d = 1) the codewords that are best of all, by dynamic programming
   * (see line.ts), 2 n K log2 n steps; iterations then have nothing to do. A tensor (K, d) gives the first codewords.
   */
  init?: 'plusPlus' | 'random' | 'exact' | TensorLike;
  /** (n) weights of the points, from 0. Default: all 1. */
  weights?: TensorLike;
  /** Weights of the coordinates in the distance, from 0: (d), or (n, d) with a row for each point. Default: all 1. */
  coordinateWeights?: TensorLike;
  /** Runs from different seeds, of which the best is kept. Default 1. */
  restarts?: number;
}

export interface KMeansAsyncOptions extends Omit<KMeansOptions, 'kernels'> {
  /** Default: the best set that the platform runs. */
  kernels?: KernelSet;
  /** Threads that help where there is work enough to be worth their start, and the platform has them. Default 1. */
  threads?: number;
  /** Stops between two iterations. */
  signal?: AbortSignal;
}

const KMEANS_NAMES = [
  'codewordCount',
  'kernels',
  'seed',
  'iterations',
  'tolerance',
  'init',
  'weights',
  'coordinateWeights',
  'restarts',
] as const satisfies readonly (keyof KMeansOptions)[];

/** Defaults of {@link KMeansOptions}. */
export const KMEANS_DEFAULTS = { seed: 0, iterations: 25, tolerance: 0, init: 'plusPlus', restarts: 1 } as const;

export interface KMeansIteration {
  /**
   * Sum of weighted squared distances to the nearest codewords, in double. Never above that of the iteration before.
   */
  readonly objective: number;
  /** Points whose nearest codeword is another than before; all of them in the first entry. */
  readonly moved: number;
  /** Empty codewords that were moved to badly served points before this assignment. */
  readonly reseeded: number;
}

/** `D`: Float32Array for points of float32. */
export interface KMeansResult<D extends FloatArray = FloatArray> {
  /** (min(K, distinct), d); in double where the points had to be shifted, else float32. */
  readonly codewords: Tensor<D>;
  /** (n) the codeword of each point. */
  readonly codes: Int32Array;
  /** Points of each codeword. */
  readonly counts: Int32Array;
  readonly objective: number;
  /** The first assignment, then one entry per iteration that improved. */
  readonly history: readonly KMeansIteration[];
  /** Points of different value, those of weight 0 left out. */
  readonly distinct: number;
  /** Updates that led to the result. */
  readonly iterations: number;
}

/**
 * Groups points around K codewords so that the sum of weighted squared distances is (locally) least.
 *
 * Shapes: points (n, d), any strides. Distances are float32 chains that give the same codes on every kernel set (a tie
 * goes to the lowest index), of points scaled by a power of two so that neither 1e30 nor 1e-30 leaves float32's range;
 * means and the objective are in double. The mean rounded to float32 is the best float32 codeword, so the objective
 * falls also where data are large beside their spread (1e8 + noise) and nothing is gained by centering. All points are
 * used, always. An empty codeword moves to the point with the largest current weighted error, several to points of
 * different value (a split of the largest cluster, as faiss does it, can raise the objective). With no more distinct
 * points than K, they themselves come back and the objective is 0.
 *
 * Points of other types than float32 are rounded to it. A coordinate that this would flatten, such as 1.6e9 ... 1.6e9 +
 * 7, which are one float32, is taken from its least value on, in double, and the codewords come back in double.
 *
 * Cost: at most n K d multiply-adds per iteration, of which bounds leave most out from the third on where K (d + 6) >=
 * 550 (see bounds.ts; the codes are the same): n = 131072, d = 8, K = 256 takes 0.3 s with 25 iterations and the SIMD
 * kernels. Memory: 2 n d + n (4 + K / 8) words, at most 64 MB of it for bounds. With `coordinateWeights` (n, d) all
 * distances are measured, and a kernel call serves only consecutive points of equal rows.
 * @throws {TypeError | RangeError} on wrong arguments: no points, a negative weight, weights that are all 0, an `init`
 *   of another shape
 * @throws {EspalierError} NONFINITE if a point or weight is NaN or infinite, named by row and column; RANGE if one is
 *   beyond float32
 * @example
 * import { kmeans } from 'espalier/quantization';
 * const { codewords, codes } = kmeans(points, { codewordCount: 16, kernels: await loadKernels() });
 */
export function kmeans(points: Tensor, options: KMeansOptions): KMeansResult<Float32Array>;
export function kmeans(points: TensorLike, options: KMeansOptions): KMeansResult;
export function kmeans(points: TensorLike, options: KMeansOptions): KMeansResult {
  const fit = prepareFit(points, options);
  return unshifted(runAtOnce(fit), fit.offsets);
}

/** Runs a k-means without turns. */
export function runAtOnce(fit: Fit): FitResult {
  const workspace = fit.kernels.openSync(fit.plan.workspace);
  try {
    const run = fit.begin()(workspace);
    for (;;) {
      const { done, value } = run.next();
      if (done) return value;
    }
  } finally {
    workspace.dispose();
  }
}

/** The codewords where the points were, in double. */
function unshifted(result: FitResult, offsets: Float64Array | undefined): KMeansResult {
  if (!offsets) return result;
  const { data, shape } = result.codewords;
  return {
    ...result,
    codewords: { data: Float64Array.from(data, (value, i) => value + offsets[i % offsets.length]), shape },
  };
}

/**
 * {@link kmeans} on several threads, with turns for timers and signals in between: the same bytes for any number of
 * threads.
 * @throws {EspalierError} WORKER if a thread fails; those that cannot be started are done without
 * @throws the signal's reason, if it is aborted
 */
export function kmeansAsync(points: Tensor, options: KMeansAsyncOptions): Promise<KMeansResult<Float32Array>>;
export function kmeansAsync(points: TensorLike, options: KMeansAsyncOptions): Promise<KMeansResult>;
export async function kmeansAsync(points: TensorLike, options: KMeansAsyncOptions): Promise<KMeansResult> {
  const {
    kernels: given,
    threads = 1,
    signal,
    ...rest
  } = ownOptions('kmeansAsync', 'options', options, [...KMEANS_NAMES, 'threads', 'signal']);
  const kernels = await givenKernels('kmeansAsync', 'options.kernels', given, loadKernels);
  const fit = prepareFit(points, { ...rest, kernels });
  const workspaces = createWorkspaces(kernels, checkInteger('kmeansAsync', 'threads', threads, 1), fit.work);
  try {
    return unshifted(await runInTurns(fit, workspaces, signal), fit.offsets);
  } finally {
    workspaces.dispose();
  }
}

/** Runs a k-means with turns of the event loop at its pauses. */
export async function runInTurns(
  fit: Fit,
  workspaces: Workspaces,
  signal: AbortSignal | undefined,
): Promise<FitResult> {
  const control = createRunControl(signal ? { signal } : {});
  control.check();
  const opening = workspaces.open(fit.plan);
  let begun: ReturnType<Fit['begin']>;
  try {
    begun = fit.begin();
  } finally {
    await opening; // Or its threads would be left to themselves.
  }
  const run = begun(await opening);
  for (;;) {
    await control.pause();
    const { done, value } = run.next();
    if (done) return value;
  }
}

/** Of the points as they were fitted: shifted, if they were. */
export type FitResult = KMeansResult<Float32Array>;

/** A checked k-means, and what it asks of a workspace. */
export interface Fit {
  readonly kernels: KernelSet;
  /** (d) what was taken off the points; undefined: nothing. */
  readonly offsets: Float64Array | undefined;
  readonly plan: AssignmentPlan;
  /** Points x codewords x coordinates x iterations. */
  readonly work: number;
  /**
   * Does what needs no workspace, while threads start, and returns the run on one, which pauses between seeds and
   * between iterations.
   */
  begin(): (workspace: Workspace) => Generator<undefined, FitResult>;
}

/** Checks a k-means and plans it; nothing is computed yet. @throws {TypeError | RangeError} for wrong arguments; {EspalierError} NONFINITE */
export function prepareFit(points: TensorLike, given: KMeansOptions): Fit {
  const { data, n, d, offsets } = checkPoints(points);
  const options = ownOptions('kmeans', 'options', given, KMEANS_NAMES);
  const kernels = checkKernels('kmeans', 'options.kernels', options.kernels);
  const K = checkInteger('kmeans', 'codewordCount', options.codewordCount, 1);
  const iterations = checkInteger('kmeans', 'iterations', options.iterations ?? KMEANS_DEFAULTS.iterations, 0);
  const tolerance = checkNumber('kmeans', 'tolerance', options.tolerance ?? KMEANS_DEFAULTS.tolerance, 0);
  const restarts = checkInteger('kmeans', 'restarts', options.restarts ?? KMEANS_DEFAULTS.restarts, 1);
  const seed = checkNumber('kmeans', 'seed', options.seed ?? KMEANS_DEFAULTS.seed);
  const weights = checkWeights('weights', options.weights, [[n]]);
  const coordinateWeights = checkWeights('coordinateWeights', options.coordinateWeights, [[d], [n, d]]);
  const metric: Metric | undefined = coordinateWeights && {
    weights: coordinateWeights.data,
    perPoint: coordinateWeights.shape.length === 2,
  };
  const init = checkInit(options.init ?? KMEANS_DEFAULTS.init, K, d, offsets);

  const plan = planAssignment({
    kernels,
    points: data,
    d,
    codewordCount: Math.min(K, n),
    metric,
    weights: weights?.data,
    largestCodeword: typeof init === 'string' ? 0 : largestMagnitude(init),
  });
  const begin = (): ReturnType<Fit['begin']> => {
    const distinct = distinctPoints(data, n, d, weights?.data);
    const problem: Problem = { points: data, n, d, weights: weights?.data, metric, iterations, tolerance, distinct };
    plan.prepare();
    return function* run(workspace) {
      const assignment = plan.bind(workspace);
      if (distinct.first.length <= K) return finish(problem, exactRun(problem, assignment, Math.min(K, n)));
      let best: Run | undefined;
      for (let restart = 0; restart < restarts; restart++) {
        const run = yield* lloyd(
          problem,
          assignment,
          yield* firstCodewords(problem, assignment, init, K, seed, restart),
        );
        if (!best || run.objective < best.objective) best = run;
        if (typeof init !== 'string' || init === 'exact') break; // The same codewords lead to the same end each time.
      }
      return finish(problem, best as Run);
    };
  };
  return { kernels, plan, offsets, work: n <= K ? 0 : n * K * d * iterations * restarts, begin };
}

interface Problem {
  readonly points: Float32Array;
  readonly n: number;
  readonly d: number;
  readonly weights: Float32Array | undefined;
  readonly metric: Metric | undefined;
  readonly iterations: number;
  readonly tolerance: number;
  readonly distinct: DistinctPoints;
}

interface Run {
  readonly codewords: Float32Array;
  readonly codes: Int32Array;
  readonly objective: number;
  readonly history: readonly KMeansIteration[];
}

function finish({ d, distinct }: Problem, { codewords, codes, objective, history }: Run): FitResult {
  const counts = new Int32Array(codewords.length / d);
  for (let i = 0; i < codes.length; i++) counts[codes[i]]++;
  return {
    codewords: { data: codewords, shape: [counts.length, d] },
    codes,
    counts,
    objective,
    history,
    distinct: distinct.first.length,
    iterations: history.length - 1,
  };
}

/**
 * The distinct points as codewords; points of weight 0, which may be others, go to the nearest. The assignment wants K
 * codewords: copies of the first, which lose every tie, fill up.
 */
function exactRun({ points, n, d, distinct: { ids, first } }: Problem, assignment: Assignment, K: number): Run {
  const filled = Float32Array.from(
    { length: K * d },
    (_, i) => points[(first[Math.floor(i / d)] ?? first[0]) * d + (i % d)],
  );
  const codes = ids.includes(-1) ? assignment.start(filled).map((code, i) => (ids[i] < 0 ? code : ids[i])) : ids;
  return {
    codewords: filled.slice(0, first.length * d),
    codes,
    objective: 0,
    history: [{ objective: 0, moved: n, reseeded: 0 }],
  };
}

function* lloyd(
  { points, n, d, distinct, iterations, tolerance }: Problem,
  assignment: Assignment,
  first: Float32Array,
): Generator<undefined, Run> {
  let codewords = first;
  let codes = assignment.start(first).slice();
  let spare = new Int32Array(n);
  let { objective, errors } = assignment.measure(first);
  const history: KMeansIteration[] = [{ objective, moved: n, reseeded: 0 }];
  while (history.length <= iterations) {
    yield;
    const { codewords: next, empty } = assignment.means(codewords);
    const reseeded = empty.length > 0 ? reseed(points, d, distinct, next, empty, errors) : 0;
    if (next.every((value, i) => value === codewords[i])) break;
    const moved = assignment.assign(next, codes, spare);
    const measured = assignment.measure(next);
    if (!(measured.objective < objective)) break;
    history.push({ objective: measured.objective, moved, reseeded });
    const gained = (objective - measured.objective) / objective;
    ({ objective, errors } = measured);
    [codewords, codes, spare] = [next, spare, codes];
    if (gained < tolerance) break;
  }
  return { codewords, codes, objective, history };
}

/**
 * Moves empty codewords to the points with the largest errors, no two to points of one value. Returns how many were
 * moved.
 */
function reseed(
  points: Float32Array,
  d: number,
  distinct: DistinctPoints,
  codewords: Float32Array,
  empty: readonly number[],
  errors: Float64Array,
): number {
  const worst = distinct.ids
    .map((_, i) => i)
    .filter((i) => errors[i] > 0)
    .sort((a, b) => errors[b] - errors[a] || a - b);
  const taken = new Set<number>();
  for (const i of worst) {
    if (taken.size === empty.length) break;
    if (taken.has(distinct.ids[i])) continue;
    codewords.set(points.subarray(i * d, (i + 1) * d), empty[taken.size] * d);
    taken.add(distinct.ids[i]);
  }
  return taken.size;
}

function* firstCodewords(
  problem: Problem,
  assignment: Assignment,
  init: 'plusPlus' | 'random' | 'exact' | Float32Array,
  K: number,
  seed: number,
  restart: number,
): Generator<undefined, Float32Array> {
  if (typeof init !== 'string') return init;
  if (init === 'exact') return yield* bestOnLine(problem, K);
  const { points, d, distinct, weights } = problem;
  const random = stream(seed, 'kmeans', restart);
  const seeds =
    init === 'random'
      ? randomSeeds(random, distinct, K)
      : yield* plusPlusSeeds(random, assignment, distinct, K, weights);
  const codewords = new Float32Array(K * d);
  seeds.forEach((seed, k) => codewords.set(points.subarray(seed * d, (seed + 1) * d), k * d));
  return codewords;
}

/** The best codewords of single coordinates: means of intervals of the numbers that there are. */
function* bestOnLine(
  { points, n, weights, metric, distinct: { ids, first } }: Problem,
  K: number,
): Generator<undefined, Float32Array> {
  const weighed = new Float64Array(first.length);
  const counted = new Float64Array(first.length);
  for (let i = 0; i < n; i++) {
    if (ids[i] < 0) continue;
    counted[ids[i]]++;
    weighed[ids[i]] += (weights?.[i] ?? 1) * (metric ? metric.weights[metric.perPoint ? i : 0] : 1);
  }
  // Numbers whose errors count for nothing are grouped as if they counted; such that count hardly, by what they count.
  const most = weighed.reduce((largest, weight) => Math.max(largest, weight), 0);
  const order = Int32Array.from(first, (_, i) => i).sort((a, b) => points[first[a]] - points[first[b]]);
  const values = Float64Array.from(order, (i) => points[first[i]]);
  const shares = Float64Array.from(order, (i) => (most > 0 ? Math.max(weighed[i] / most, 2 ** -60) : counted[i]));
  const starts = yield* bestIntervals(values, shares, K);
  return Float32Array.from(starts, (start, k) => {
    let sum = 0;
    let weight = 0;
    for (let i = start; i < (k + 1 < K ? starts[k + 1] : values.length); i++) {
      sum += shares[i] * values[i];
      weight += shares[i];
    }
    return sum / weight;
  });
}
