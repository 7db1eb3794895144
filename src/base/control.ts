/**
 * What a long run owes the outside: events, a way to be stopped, and turns for timers and signals. Makes no decision
 * that results depend on.
 */
/**
 * What happens during a run, told to `Context.onEvent`. `kind` says which; a listener that throws stops the run with
 * its error.
 */
export type RunEvent =
  | {
      readonly kind: 'batch';
      readonly epoch: number;
      readonly epochs: number;
      readonly step: number;
      readonly steps: number;
      readonly loss: number;
      readonly learningRate: number;
      readonly gradientNorm: number;
    }
  | {
      readonly kind: 'epoch';
      readonly epoch: number;
      readonly epochs: number;
      readonly loss: number;
      readonly validation?: number;
      readonly best?: number;
      readonly seconds: number;
    }
  | {
      readonly kind: 'stage';
      readonly name: string;
      readonly index: number;
      readonly count: number;
      readonly detail: string;
    }
  | { readonly kind: 'note'; readonly text: string };

/** Longest stretch of uninterrupted work, in milliseconds. */
const TURN = 50;

export interface RunControl {
  /** @throws `signal.reason` if the run was aborted, or what a listener's promise was rejected with */
  check(): void;
  /** Tells the listener. @throws what the listener threw, and as {@link RunControl.check} */
  emit(event: RunEvent): void;
  /**
   * Between two pieces of work: checks, and lets timers and signals have their turn if it is time. @throws as
   * {@link RunControl.check}
   */
  pause(): Promise<void>;
  /**
   * The value of something that another party takes its time for; an abort does not wait for it. @throws as
   * {@link RunControl.check}, or what that party threw
   */
  wait<T>(value: T | PromiseLike<T>): Promise<T>;
}

/**
 * Control of one run: throws what `signal` was aborted with or a listener failed with, at the next call of any of its
 * functions.
 * @param context - where the run is stopped from, and who hears of it; both may be left out
 */
export function createRunControl(context: {
  readonly signal?: AbortSignal;
  readonly onEvent?: (event: RunEvent) => void;
}): RunControl {
  const { signal, onEvent } = context;
  let lastTurn = performance.now();
  let failure: { readonly reason: unknown } | undefined;

  function check(): void {
    signal?.throwIfAborted();
    if (failure) throw failure.reason;
  }

  return {
    check,
    emit(event) {
      check();
      // Listeners return nothing by their type, but an async function passes as one: its rejection must not go
      // unhandled.
      const returned: unknown = onEvent?.(event);
      if (isPromise(returned))
        returned.then(undefined, (reason: unknown) => {
          failure ??= { reason };
        });
    },
    async pause() {
      check();
      if (performance.now() - lastTurn < TURN) return;
      await turn();
      lastTurn = performance.now();
      check();
    },
    async wait<T>(value: T | PromiseLike<T>): Promise<T> {
      const result = isPromise<T>(value) ? await untilAborted(value, signal) : value;
      check();
      return result;
    },
  };
}

function isPromise<T>(value: unknown): value is PromiseLike<T> {
  return typeof value === 'object' && value !== null && typeof (value as { then?: unknown }).then === 'function';
}

/** A turn of the event loop: after it timers and signals have had their chance. */
function turn(): Promise<void> {
  const { setImmediate } = globalThis as { setImmediate?: (run: () => void) => unknown };
  return new Promise((resolve) => {
    if (setImmediate) setImmediate(resolve);
    else setTimeout(resolve, 0);
  });
}

/**
 * Settles as `promise` does, or rejects on abort; leaves no listener behind, and no rejection without one who hears it.
 */
function untilAborted<T>(promise: PromiseLike<T>, signal: AbortSignal | undefined): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const leave = (): void => signal?.removeEventListener('abort', stop);
    const stop = (): void => {
      leave();
      reject(signal?.reason as Error);
    };
    promise.then(
      (value) => {
        leave();
        resolve(value);
      },
      (reason: unknown) => {
        leave();
        reject(reason as Error);
      },
    );
    if (signal?.aborted) stop();
    else signal?.addEventListener('abort', stop);
  });
}
