/**
 * What a long run owes the outside: events, a way to be stopped, and turns for timers and signals. Makes no decision
 * that results depend on.
 */
import type { Context, RunEvent } from '../transform.ts';

/** Longest stretch of uninterrupted work, in milliseconds. */
const TURN = 50;

export interface RunControl {
  /** Tells the listener. @throws what the listener threw, or what the promise that it returned earlier was rejected with */
  emit(event: RunEvent): void;
  /** Between two pieces of work: throws if the run was aborted, lets others run if it is time. @throws `signal.reason` */
  pause(): Promise<void>;
  /** The value of something that another party takes its time for; an abort does not wait for it. @throws `signal.reason` */
  wait<T>(value: T | Promise<T>): Promise<T>;
}

export function createRunControl(context: Pick<Context, 'signal' | 'onEvent'>): RunControl {
  const { signal, onEvent } = context;
  let lastTurn = performance.now();
  const failures: { readonly reason: unknown }[] = [];

  function check(): void {
    signal?.throwIfAborted();
    const failure = failures.shift();
    if (failure) throw failure.reason;
  }

  return {
    emit(event) {
      check();
      // Listeners return nothing by their type, but an async function passes as one: its rejection must not go unhandled.
      const returned: unknown = onEvent?.(event);
      if (returned instanceof Promise) returned.catch((reason: unknown) => failures.push({ reason }));
    },
    async pause() {
      check();
      if (performance.now() - lastTurn < TURN) return;
      await turn();
      lastTurn = performance.now();
      check();
    },
    async wait(value) {
      check();
      if (!(value instanceof Promise)) return value;
      const result = await untilAborted(value, signal);
      check();
      return result;
    },
  };
}

/** A turn of the event loop: after it timers and signals have had their chance. */
function turn(): Promise<void> {
  const { setImmediate } = globalThis as { setImmediate?: (run: () => void) => unknown };
  return new Promise((resolve) => { if (setImmediate) setImmediate(resolve); else setTimeout(resolve, 0); });
}

/** Settles as `promise` does, or rejects on abort; leaves no listener behind. */
function untilAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return promise;
  return new Promise((resolve, reject) => {
    const stop = (): void => reject(signal.reason as Error);
    signal.addEventListener('abort', stop, { once: true });
    void promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop));
  });
}
