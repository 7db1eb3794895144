/**
 * How threads share the pieces of a step. `control` holds counters, all modulo 2^32, that only grow: `next` piece to be
 * taken, `limit` behind the last piece of the current step, `done` pieces finished; between steps the three are equal.
 * A piece is taken by a compare-and-exchange on `next`, which succeeds only if no step ended in between, so that `step`
 * and `first` belong to it. Nobody waits for a thread that has taken nothing.
 */
import { runPiece, type KernelTable } from '../workspace/program.ts';

/** Each counter on a cache line of its own. */
export const CONTROL = {
  next: 0,
  limit: 16,
  first: 32,
  step: 33,
  done: 48,
  failed: 64,
  claimed: 65,
  textLength: 66,
  text: 67,
} as const;
const TEXT_LIMIT = 300;
export const CONTROL_WORDS = CONTROL.text + TEXT_LIMIT;

/**
 * Milliseconds of waiting for other threads' last pieces after which it is asked whether they live: the first time, and
 * at most.
 */
const FIRST_SLICE = 250,
  LAST_SLICE = 1000;

/** Rounds of looking at a counter before a thread goes to sleep: some 20 to 50 µs, about as long as waking up takes. */
const SPINS = 2000;

/** Takes pieces of the current step until there are none. */
function takePieces(control: Int32Array, table: KernelTable, int: Int32Array, scratch: number): void {
  for (;;) {
    const piece = Atomics.load(control, CONTROL.next);
    if (piece === Atomics.load(control, CONTROL.limit)) return;
    const step = Atomics.load(control, CONTROL.step),
      first = Atomics.load(control, CONTROL.first);
    if (Atomics.compareExchange(control, CONTROL.next, piece, (piece + 1) | 0) !== piece) continue;
    runPiece(table, int, step, (piece - first) | 0, scratch);
    const done = (Atomics.add(control, CONTROL.done, 1) + 1) | 0;
    if (done === Atomics.load(control, CONTROL.limit)) Atomics.notify(control, CONTROL.done);
  }
}

/** A worker's life: pieces of one step after another, until it is terminated or a kernel throws. */
export function servePieces(control: Int32Array, table: KernelTable, int: Int32Array, scratch: number): void {
  try {
    for (;;) {
      const seen = Atomics.load(control, CONTROL.limit);
      takePieces(control, table, int, scratch);
      if (spinWhile(control, CONTROL.limit, seen)) Atomics.wait(control, CONTROL.limit, seen);
    }
  } catch (error) {
    reportFailure(control, error);
    // The piece counts as finished, or the thread that waits for it would miss a failure reported just before it fell
    // asleep.
    Atomics.add(control, CONTROL.done, 1);
    Atomics.notify(control, CONTROL.done);
  }
}

/**
 * Runs one step of `count` pieces with whoever helps, and comes back when all are done or a thread has failed.
 * @param lost - asked again and again while the last pieces are awaited, with the milliseconds that went by without
 *   one: why they will never come, if so
 */
export function sharePieces(
  control: Int32Array,
  table: KernelTable,
  int: Int32Array,
  scratch: number,
  step: number,
  count: number,
  lost: (waited: number) => string | undefined,
): void {
  const first = Atomics.load(control, CONTROL.limit),
    limit = (first + count) | 0;
  Atomics.store(control, CONTROL.step, step);
  Atomics.store(control, CONTROL.first, first);
  Atomics.store(control, CONTROL.limit, limit);
  Atomics.notify(control, CONTROL.limit);
  takePieces(control, table, int, scratch);
  for (let waited = 0, slice = FIRST_SLICE; ;) {
    const done = Atomics.load(control, CONTROL.done);
    if (done === limit || Atomics.load(control, CONTROL.failed)) return;
    if (!spinWhile(control, CONTROL.done, done)) continue;
    if (Atomics.wait(control, CONTROL.done, done, slice) === 'timed-out') {
      // Milliseconds of waiting, not of the clock: a machine that slept in between has waited no longer.
      waited += slice;
      slice = Math.min(2 * slice, LAST_SLICE);
      const reason = lost(waited);
      if (reason !== undefined && Atomics.load(control, CONTROL.done) === done) reportFailure(control, reason);
    } else {
      waited = 0;
    }
  }
}

/** Keeps the first failure. */
export function reportFailure(control: Int32Array, cause: unknown): void {
  if (Atomics.compareExchange(control, CONTROL.claimed, 0, 1) !== 0) return;
  const text = String(cause).slice(0, TEXT_LIMIT);
  for (let i = 0; i < text.length; i++) control[CONTROL.text + i] = text.charCodeAt(i);
  control[CONTROL.textLength] = text.length;
  Atomics.store(control, CONTROL.failed, 1);
  Atomics.notify(control, CONTROL.failed);
}

/** The text of the failure, if there was one. */
export function failureText(control: Int32Array): string | undefined {
  if (!Atomics.load(control, CONTROL.claimed)) return undefined;
  // Another thread may still be writing it.
  Atomics.wait(control, CONTROL.failed, 0, LAST_SLICE);
  return String.fromCharCode(...control.subarray(CONTROL.text, CONTROL.text + control[CONTROL.textLength]));
}

/** Looks at a counter for a short time; true if it kept its value. */
function spinWhile(control: Int32Array, index: number, value: number): boolean {
  for (let i = 0; i < SPINS; i++) {
    if (Atomics.load(control, index) !== value) return false;
  }
  return true;
}
