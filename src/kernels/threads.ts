/**
 * Worker threads for a workspace. A {@link ThreadHost} is what a platform must offer; Node's is here. A host for browsers
 * would start the same source from a Blob, in a coordinator that is itself a worker, since a page's main thread may not wait.
 */
import { EspalierError } from '../errors.ts';
import { nodeModule } from '../platform.ts';
import type { Foundation } from './instance.ts';
import { CONTROL_WORDS, failureText, reportFailure, sharePieces } from './pieces.ts';
import { pieceCount, runPiece, type KernelTable } from './program.ts';
import { namesOf, type Selection } from './selection.ts';
import type { KernelName } from './types.ts';

/** What a worker is given. */
export interface ThreadStart {
  readonly foundation: Foundation;
  /** Kernels by number. */
  readonly names: readonly KernelName[];
  /** The counters of `pieces.ts`. */
  readonly control: Int32Array;
  /** Word offset of this thread's scratch. */
  readonly scratch: number;
}

export interface Thread {
  /** Ends it, whatever it does. */
  terminate(): void;
}

export interface ThreadHost {
  /**
   * Starts `source` with `start`; resolves when it takes pieces, rejects if it cannot.
   * @param onDeath - called if it ends later without having been terminated
   */
  startThread(source: string, start: ThreadStart, onDeath: (cause: unknown) => void): Promise<Thread>;
}

/** Threads that help with the steps of a program. */
export interface Crew {
  /** Runs one step. @throws {EspalierError} WORKER if a thread failed, now or before */
  runStep(table: KernelTable, int: Int32Array, step: number, scratch: number): void;
  dispose(): void;
}

/** A piece that takes this long is not coming: the thread was killed in the middle of it. */
const PATIENCE = 600_000;

/** Node's worker threads, or undefined where there are none. They do not keep the process alive. */
export function nodeThreadHost(): ThreadHost | undefined {
  const node = nodeModule('node:worker_threads');
  if (!node) return undefined;
  return {
    startThread: (source, start, onDeath) => new Promise((resolve, reject) => {
      const worker = new node.Worker(source, { eval: true, workerData: start, execArgv: [], stdin: false });
      let terminated = false, cause: unknown;
      worker.once('message', () => {
        worker.unref();
        resolve({ terminate() {
          terminated = true;
          void worker.terminate();
        } });
      });
      worker.on('error', (error) => { cause = error; });
      worker.on('exit', (code) => {
        if (terminated) return;
        const reason = cause ?? new Error(`the thread exited with code ${code}`);
        reject(reason instanceof Error ? reason : new Error(String(reason)));
        onDeath(reason);
      });
    }),
  };
}

/**
 * Starts one thread per offset of scratch.
 * @throws {EspalierError} WORKER if one cannot be started; those that could are ended
 */
export async function startCrew(host: ThreadHost, selection: Selection, foundation: Foundation, scratches: readonly number[]): Promise<Crew> {
  const control = new Int32Array(new SharedArrayBuffer(CONTROL_WORDS * 4));
  const names = namesOf(selection);
  const starts = await Promise.allSettled(scratches.map((scratch) => host.startThread(selection.compiled.worker, { foundation, names, control, scratch }, (cause) => reportFailure(control, cause))));
  const threads = starts.flatMap((start) => (start.status === 'fulfilled' ? [start.value] : []));
  const dispose = (): void => threads.forEach((thread) => thread.terminate());
  const refused = starts.find((start) => start.status === 'rejected');
  if (refused) {
    dispose();
    throw new EspalierError('WORKER', `open: could not start ${scratches.length} threads: ${String(refused.reason)}; use threads: 1`, { cause: refused.reason });
  }
  const check = (): void => {
    const failure = failureText(control);
    if (failure === undefined) return;
    dispose();
    throw new EspalierError('WORKER', `run: a thread failed: ${failure}; open another workspace, with threads: 1 if it happens again`);
  };
  return {
    runStep(table, int, step, scratch) {
      check();
      const count = pieceCount(int, step);
      try {
        if (count === 1) runPiece(table, int, step, 0, scratch);
        else sharePieces(control, table, int, scratch, step, count, PATIENCE);
      } catch (error) {
        // A kernel failed on this thread: the same to the caller as if it had been another.
        reportFailure(control, error);
      }
      check();
    },
    dispose,
  };
}
