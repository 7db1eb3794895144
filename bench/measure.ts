/** Rounds: contenders take turns, so that what disturbs the machine for a while disturbs all alike. */
export interface Timing {
  /** Seconds. */
  readonly minimum: number;
  readonly median: number;
  readonly rounds: number;
}

export interface Timed {
  /** Seconds of one call. */
  run(): number | Promise<number>;
  /** Fewer rounds than the others, for one that takes seconds. */
  readonly rounds?: number;
}

/** One call of each per round, in an order that starts with another one each time. No warm-up: verification was one. */
export async function takeTurns(contenders: readonly Timed[], rounds: number): Promise<Timing[]> {
  const seconds = contenders.map((): number[] => []);
  for (let round = 0; round < rounds; round++) {
    for (let i = 0; i < contenders.length; i++) {
      const turn = (i + round) % contenders.length;
      const { run, rounds: most = rounds } = contenders[turn];
      if (round < most) seconds[turn].push(await run());
    }
  }
  return seconds.map(summarize);
}

export function summarize(values: readonly number[]): Timing {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return {
    minimum: sorted[0],
    median: sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2,
    rounds: sorted.length,
  };
}

/**
 * Seconds that `work` takes, repeated until it fills `least` seconds: one call of a small kernel is below what a clock
 * can tell.
 */
export function timed(work: () => void, repeats = 1): number {
  const start = process.hrtime.bigint();
  for (let i = 0; i < repeats; i++) work();
  return Number(process.hrtime.bigint() - start) / 1e9 / repeats;
}

/** How often work must be repeated to take some 4 ms. */
export function repeatsOf(work: () => void): number {
  timed(work);
  return Math.max(1, Math.ceil(0.004 / timed(work)));
}

/** Largest difference over the largest magnitude of `expected`; NaN counts as infinite. */
export function difference(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  if (actual.length !== expected.length) return Infinity;
  let worst = 0;
  let largest = 0;
  for (let i = 0; i < expected.length; i++) {
    const distance = Math.abs(actual[i] - expected[i]);
    if (!(distance <= worst)) worst = Number.isNaN(distance) ? Infinity : distance;
    largest = Math.max(largest, Math.abs(expected[i]));
  }
  return worst / largest;
}

/** @throws {Error} if the results differ by more than `bound` (see {@link difference}): then no time is worth taking */
export function verify(what: string, actual: ArrayLike<number>, expected: ArrayLike<number>, bound: number): number {
  const found = difference(actual, expected);
  if (!(found <= bound))
    throw new Error(`${what}: the results differ by ${found} of the largest value; at most ${bound} is allowed`);
  return found;
}
