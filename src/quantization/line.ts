/**
 * k-means of numbers, exactly: sorted, every group of the best grouping is an interval, so dynamic programming over where
 * intervals end finds it (Fisher, "On grouping for maximum homogeneity", JASA 1958; Wang, Song, "Ckmeans.1d.dp", The R
 * Journal 2011). The end that is best for a longer prefix is never before that for a shorter one, so each layer is
 * searched by divide and conquer (Grønlund et al., "Fast exact k-means, k-medians and Bregman divergence clustering in
 * 1D", arXiv 1701.07204): n log n steps. Where the cuts are is found without a table of K n ends: each prefix carries the
 * cut in the middle of its groups, and both halves are solved again (Hirschberg 1975), which doubles the time.
 * Glossary: n distinct numbers, K groups.
 */
import { square } from '../base/elementary.ts';

/**
 * First numbers of the K intervals, among n ascending numbers, whose weighted squared distances to their means are least
 * in sum; of cuts that are equally good those before. Pauses after each layer. Cost: 2 n K log2 n steps, 6 n doubles.
 * @param values - ascending, different from each other
 * @param weights - as many, above 0
 * @param K - from 1 to n
 */
export function* bestIntervals(
  values: Float64Array,
  weights: Float64Array,
  K: number,
): Generator<undefined, Int32Array> {
  const n = values.length;
  const cost = intervalCosts(values, weights);
  const starts = new Int32Array(K);
  let before = new Float64Array(n + 1);
  let after = new Float64Array(n + 1);
  let middles = new Int32Array(n + 1);
  let nextMiddles = new Int32Array(n + 1);

  /** Writes the first numbers of `groups` intervals of [from, to) to `starts` from `at` on. */
  function* solve(from: number, to: number, groups: number, at: number): Generator<undefined, void> {
    starts[at] = from;
    if (groups === 1) return;
    const half = groups >> 1;
    for (let i = from + 1; i <= to; i++) before[i] = cost(from, i);
    for (let layer = 2; layer <= groups; layer++) {
      yield;
      // Each of the groups before and behind a prefix has at least one number.
      bestEnds(from + layer, to - (groups - layer), from + layer - 1, to, layer);
      [before, after] = [after, before];
      [middles, nextMiddles] = [nextMiddles, middles];
    }
    const middle = middles[to];
    yield* solve(from, middle, half, at);
    yield* solve(middle, to, groups - half, at + half);

    /** The best of `layer` groups for the prefixes that end at `low` to `high`, the last group beginning at `first` to `last`. */
    function bestEnds(low: number, high: number, first: number, last: number, layer: number): void {
      if (low > high) return;
      const end = (low + high) >> 1;
      let least = Infinity;
      let best = first;
      for (let start = first; start <= Math.min(last, end - 1); start++) {
        const sum = before[start] + cost(start, end);
        if (sum < least) [least, best] = [sum, start];
      }
      after[end] = least;
      nextMiddles[end] = layer === half + 1 ? best : middles[best];
      bestEnds(low, end - 1, first, best, layer);
      bestEnds(end + 1, high, best, last, layer);
    }
  }
  yield* solve(0, n, K, 0);
  return starts;
}

/** Weighted squared distances of numbers [from, to) to their mean: from running sums of numbers less the mean of all. */
function intervalCosts(values: Float64Array, weights: Float64Array): (from: number, to: number) => number {
  const n = values.length;
  let total = 0;
  let all = 0;
  for (let i = 0; i < n; i++) {
    total += weights[i];
    all += weights[i] * values[i];
  }
  const mean = all / total;
  const [sums, moments, squares] = [new Float64Array(n + 1), new Float64Array(n + 1), new Float64Array(n + 1)];
  for (let i = 0; i < n; i++) {
    const value = values[i] - mean;
    sums[i + 1] = sums[i] + weights[i];
    moments[i + 1] = moments[i] + weights[i] * value;
    squares[i + 1] = squares[i] + weights[i] * square(value);
  }
  return (from, to) => {
    const weight = sums[to] - sums[from];
    const moment = moments[to] - moments[from];
    return Math.max(0, squares[to] - squares[from] - (moment * moment) / weight);
  };
}
