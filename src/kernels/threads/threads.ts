/** The threads of a workspace: started together, they share the pieces of a step, and end together. */
import { EspalierError } from '../../base/errors.ts';
import type { Foundation } from '../simd/instance.ts';
import { CONTROL_WORDS, failureText, reportFailure, sharePieces } from './pieces.ts';
import { pieceCount, runPiece, type KernelTable } from '../workspace/program.ts';
import { namesOf, type Selection } from '../selection/selection.ts';
import { unpackText } from '../selection/unpack.ts';
import type { Thread, ThreadHost } from './thread-hosts.ts';

/** Threads that help with the steps of a program. */
export interface Crew {
  /** How many help, beside the caller: 0 if none could be started. */
  readonly size: number;
  /** Why fewer help than were asked for, if so. */
  readonly shortage?: string;
  /** Runs one step. @throws {EspalierError} WORKER if a thread failed, now or before */
  runStep(table: KernelTable, int: Int32Array, step: number, scratch: number): void;
  dispose(): void;
}

/**
 * Milliseconds within which a thread takes pieces (about 30 on a quiet machine), or it is taken for one that never
 * will.
 */
const START_LIMIT = 20_000;

/** Milliseconds for a piece. Where nothing tells that a thread has died in the middle of one, this does. */
const PATIENCE = 600_000;

/**
 * Starts one thread per offset of scratch. Those that cannot be started are done without.
 * @param startLimit - milliseconds to wait for each
 */
export async function startCrew(
  host: ThreadHost,
  selection: Selection,
  foundation: Foundation,
  scratches: readonly number[],
  startLimit = START_LIMIT,
): Promise<Crew> {
  const control = new Int32Array(new SharedArrayBuffer(CONTROL_WORDS * 4));
  const names = namesOf(selection);
  const source = unpackText(selection.compiled.worker);
  const start = async (scratch: number): Promise<Thread> => {
    const thread = host.startThread(await source, { foundation, names, control, scratch }, (cause) =>
      reportFailure(control, cause),
    );
    try {
      await within(startLimit, thread.ready);
      return thread;
    } catch (error) {
      thread.terminate();
      throw error;
    }
  };
  const starts = await Promise.allSettled(scratches.map(start));
  const threads = starts.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
  const refused = starts.find((one) => one.status === 'rejected');
  const dispose = (): void => threads.forEach((thread) => thread.terminate());
  const check = (): void => {
    const failure = failureText(control);
    if (failure === undefined) return;
    dispose();
    throw new EspalierError(
      'WORKER',
      `run: a thread failed: ${failure}; open another workspace, with threads: 1 if it happens again`,
    );
  };
  const lost = (waited: number): string | undefined => {
    if (threads.some((thread) => !thread.alive())) return 'it ended in the middle of its work';
    return waited < PATIENCE ? undefined : `a piece was not finished within ${PATIENCE / 1000} s`;
  };
  return {
    size: threads.length,
    ...(refused && { shortage: String(refused.reason) }),
    runStep(table, int, step, scratch) {
      check();
      const count = pieceCount(int, step);
      try {
        if (count === 1) runPiece(table, int, step, 0, scratch);
        else sharePieces(control, table, int, scratch, step, count, lost);
      } catch (error) {
        // A kernel failed on this thread: the same to the caller as if it had been another.
        reportFailure(control, error);
      }
      check();
    },
    dispose,
  };
}

/** The same promise, but rejected after so many milliseconds. */
async function within(milliseconds: number, promise: Promise<void>): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const limit = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`a thread did not start within ${milliseconds / 1000} s`)), milliseconds);
  });
  try {
    await Promise.race([promise, limit]);
  } finally {
    clearTimeout(timer);
  }
}
