/**
 * Randomness without state: a fresh generator for each (seed, purpose, ...), so that no result depends on the order of
 * calls, on prefetching or on threads, and no generator state needs saving. Generator: seedrandom's alea (Baagøe).
 */
import { cosPi, log } from './elementary.ts';
import alea from 'seedrandom/lib/alea.js';

export interface Stream {
  /** Uniform in [0, 1), 32 bits. */
  (): number;
}

/**
 * `stream(seed, 'augment', epoch, index)`: the same arguments give the same numbers. Costs about 1.5 µs, a draw 7 ns.
 */
export function stream(seed: number | string, purpose: string, ...where: readonly (number | string)[]): Stream {
  const generator = alea([seed, purpose, ...where].join('\u0000'));
  return () => generator();
}

/** Uniform in [from, to). */
export function uniform(random: Stream, from: number, to: number): number {
  return from + (to - from) * random();
}

/** Whole number in [0, limit). */
export function below(random: Stream, limit: number): number {
  return Math.floor(random() * limit);
}

/** Standard normal (Box and Muller); two uniform draws each. */
export function normal(random: Stream): number {
  const u = 1 - random();
  return Math.sqrt(-2 * log(u)) * cosPi(2 * random());
}

/** A random order of 0 ... count - 1 (Fisher and Yates). */
export function permutation(random: Stream, count: number): Int32Array {
  const order = Int32Array.from({ length: count }, (_, i) => i);
  for (let i = count - 1; i > 0; i--) {
    const j = below(random, i + 1);
    const kept = order[i];
    order[i] = order[j];
    order[j] = kept;
  }
  return order;
}
