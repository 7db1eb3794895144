/**
 * What a long run owes the outside: events, a way to be stopped, and turns for timers and signals. Makes no decision
 * that results depend on.
 */
const TURN = 50; // The longest stretch of uninterrupted work, in milliseconds.

/**
 * What happens during a run, told to `Context.onEvent`. `kind` says which. A listener that throws stops the run with
 * its error, once; an async one whose promise is rejected does so at the next event or batch, at the latest when the
 * run ends. The run does not wait for a listener's promise.
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
  | { readonly kind: 'note'; readonly text: string }
  /** Something went wrong that the run got over: to be told though nothing else is. */
  | { readonly kind: 'warning'; readonly text: string };

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
  /**
   * At the end of a run: gives what listeners have begun a last turn to fail in. @throws as {@link RunControl.check}
   */
  end(): Promise<void>;
}

/** Where a run is stopped from, and who hears of it. */
interface Outside {
  readonly signal?: AbortSignal;
  readonly onEvent?: (event: RunEvent) => void;
}

/**
 * A context for the parts of a run: what they tell goes through the run's own control, so that the promise of a
 * listener is heard though the part that told it is over.
 */
export function within<T extends Outside>(control: RunControl, context: T): T {
  return context.onEvent ? { ...context, onEvent: control.emit } : context;
}

/**
 * Control of one run, and the only one that calls a listener: throws what `signal` was aborted with or a listener
 * failed with, at the next call of any of its functions.
 * @param context - both of its fields may be left out
 */
export function createRunControl(context: Outside): RunControl {
  const { signal, onEvent } = context;
  /** Promises of listeners that are not settled. */
  let unsettled = 0;
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
      if (!isPromise(returned)) return;
      unsettled++;
      returned.then(
        () => unsettled--,
        (reason: unknown) => {
          unsettled--;
          failure ??= { reason };
        },
      );
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
    async end() {
      if (unsettled > 0) await turn();
      check();
    },
  };
}

/**
 * What a function of the caller's gave, which is to be there at once. @throws {TypeError} for a promise, whose rejection
 * is heard
 */
export function atOnce<T>(who: string, name: string, value: T): T {
  if (!isPromise(value)) return value;
  value.then(undefined, () => undefined);
  throw new TypeError(`${who}: ${name}: expected a value, got a promise; it must not be async`);
}

function isPromise<T>(value: unknown): value is PromiseLike<T> {
  return typeof value === 'object' && value !== null && typeof (value as { then?: unknown }).then === 'function';
}

/**
 * A turn of the event loop: after it timers, signals and a page's clicks have had their chance. In a page by a message,
 * since browsers let timers wait: 4 ms each, and up to a minute where the tab is hidden.
 */
function turn(): Promise<void> {
  const { setImmediate } = globalThis as { setImmediate?: (run: () => void) => unknown };
  return new Promise((resolve) => {
    if (setImmediate) return void setImmediate(resolve);
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(undefined);
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
