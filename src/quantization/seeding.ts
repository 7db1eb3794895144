/**
 * First codewords of k-means, all of different value. Glossary: n points, d coordinates, K codewords, D(x)^2 the
 * squared distance of a point to the nearest codeword chosen so far.
 */
import { permutation, type Stream } from '../base/random.ts';
import type { Assignment, Nearness } from './assignment.ts';
import type { DistinctPoints } from './points.ts';

/** K points drawn without replacement among the distinct ones, all equally likely. Returns their numbers. */
export function randomSeeds(random: Stream, { first }: DistinctPoints, K: number): number[] {
  return Array.from(permutation(random, first.length).subarray(0, K), (id) => first[id]);
}

/**
 * k-means++ (Arthur, Vassilvitskii, SODA 2007): each next seed is a point drawn with probability proportional to weight
 * x D(x)^2. Returns the seeds' numbers; pauses after each. n K d operations: leaving out points by the triangle
 * inequality (Elkan 2003, lemma 1) looks at a third of them for normal data, n = 131072, d = 8, K = 256, and takes 0.4
 * s for what vectors of all of them do in 0.1 s.
 */
export function* plusPlusSeeds(
  random: Stream,
  assignment: Assignment,
  distinct: DistinctPoints,
  K: number,
  weights?: Float32Array,
): Generator<undefined, number[]> {
  const seeds: number[] = [];
  const chosen = new Set<number>();
  let next = drawUniform(random, distinct, weights);
  for (;;) {
    seeds.push(next);
    chosen.add(distinct.ids[next]);
    if (seeds.length === K) return seeds;
    yield;
    const drawn = drawProportional(random, assignment.approach(next, seeds.length === 1), weights);
    // Where all that is left is at distance 0 by the metric, any value not yet chosen is as good.
    next = drawn >= 0 ? drawn : distinct.first[distinct.first.findIndex((_, id) => !chosen.has(id))];
  }
}

/** A point drawn with probability proportional to its weight. */
function drawUniform(random: Stream, { ids }: DistinctPoints, weights: Float32Array | undefined): number {
  if (!weights) return Math.floor(random() * ids.length);
  return drawProportional(
    random,
    {
      least: new Float32Array(ids.length).fill(1),
      size: ids.length,
      totals: Float64Array.of(weights.reduce((sum, weight) => sum + weight, 0)),
    },
    weights,
  );
}

/**
 * A point drawn with probability proportional to weight x D(x)^2, or -1 if that is 0 everywhere: first its piece, then
 * the point in it.
 */
function drawProportional(
  random: Stream,
  { least, size, totals }: Nearness,
  weights: Float32Array | undefined,
): number {
  const target = random() * totals.reduce((sum, total) => sum + total, 0);
  let before = 0;
  let piece = -1;
  for (let i = 0, sum = 0; i < totals.length && sum <= target; i++) {
    if (totals[i] > 0) [piece, before] = [i, sum];
    sum += totals[i];
  }
  let last = -1;
  for (
    let i = piece * size, end = Math.min(least.length, i + size), sum = before;
    piece >= 0 && i < end && (last < 0 || sum <= target);
    i++
  ) {
    const mass = weights ? weights[i] * least[i] : least[i];
    if (mass > 0) last = i;
    sum += mass;
  }
  return last;
}
