/** Workspaces: a heap with kernels bound to it, the programs behind the caller's words, and scratch for each thread. */
import { EspalierError, checkInteger, checkOneOf, show } from '../../base/errors.ts';
import { own } from '../../base/realm.ts';
import { MOST_WORDS } from './heap.ts';
import type { Foundation } from '../simd/instance.ts';
import {
  kernelTable,
  pieceCount,
  programWords,
  runPiece,
  writePrograms,
  type KernelTable,
  type ProgramTable,
} from './program.ts';
import { namesOf, type Selection } from '../selection/selection.ts';
import type { ThreadHost } from '../threads/thread-hosts.ts';
import { startCrew, type Crew } from '../threads/threads.ts';
import type { Heap, Kernels, Precision, Workspace, WorkspaceOptions } from '../types.ts';

/** What a kernel set brings: memory of a size, and the kernels on it. */
export interface Backend {
  readonly selection: Selection;
  readonly precisions: readonly Precision[];
  /** @throws {EspalierError} MEMORY */
  bind(
    words: number,
    precision: Precision,
    shared: boolean,
  ): { readonly heap: Heap; readonly kernels: Partial<Kernels>; readonly foundation: Foundation };
}

/** Start of every block that the workspace adds: a cache line, so that threads do not write to each other's. */
const ALIGNMENT = 16;
const align = (words: number): number => Math.ceil(words / ALIGNMENT) * ALIGNMENT;

/** How a workspace is run. */
interface Manning {
  readonly threads: number;
  readonly threadsReason: string;
  readonly crew?: Crew;
}

const ALONE: Manning = { threads: 1, threadsReason: 'asked for' };

/** {@link KernelSet.openSync}. */
export function openSyncOn(backend: Backend, options: WorkspaceOptions): Workspace {
  return layOut(backend, checkOptions('openSync', backend, options), 1).workspace(ALONE);
}

/**
 * {@link KernelSet.open}.
 * @param host - of the threads, or why there is none
 */
export async function openOn(
  backend: Backend,
  options: WorkspaceOptions,
  host: ThreadHost | string,
): Promise<Workspace> {
  const checked = checkOptions('open', backend, options);
  const { threads } = checked;
  const alone = (threadsReason: string): Workspace =>
    layOut(backend, checked, 1).workspace({ threads: 1, threadsReason });
  if (threads === 1) return alone(ALONE.threadsReason);
  if (typeof host === 'string') return alone(host);
  let plan: ReturnType<typeof layOut>;
  try {
    plan = layOut(backend, checked, threads);
  } catch (error) {
    // Some platforms give less memory where it is to be shared.
    if (error instanceof EspalierError && error.code === 'MEMORY')
      return alone(`the memory for ${threads} was refused: ${error.message}`);
    throw error;
  }
  const crew = await startCrew(host, backend.selection, plan.foundation, plan.scratches.slice(1));
  const started = 1 + crew.size;
  return plan.workspace({
    threads: started,
    threadsReason:
      crew.shortage === undefined
        ? 'asked for'
        : `${threads - started} of ${threads - 1} helping threads could not be started: ${crew.shortage}`,
    ...(crew.size > 0 && { crew }),
  });
}

/** Caller's words, programs, scratch of each thread: allocated and written. */
function layOut(
  backend: Backend,
  { words, scratchWords, programs, precision }: Required<WorkspaceOptions>,
  threads: number,
) {
  const programStart = align(words),
    scratchStart = align(programStart + programWords(programs, backend.selection));
  const scratches = Array.from({ length: threads }, (_, i) => scratchStart + i * align(scratchWords));
  const { heap, kernels, foundation } = backend.bind(
    checkTotal(scratchStart + threads * align(scratchWords)),
    precision,
    threads > 1,
  );
  const steps = writePrograms(heap.int, programStart, programs, backend.selection);
  return {
    foundation,
    scratches,
    workspace: (manning: Manning) =>
      workspaceOf(
        heap,
        kernels as Kernels,
        kernelTable(kernels, namesOf(backend.selection)),
        steps,
        scratches[0],
        manning,
      ),
  };
}

function workspaceOf(
  heap: Heap,
  kernels: Kernels,
  table: KernelTable,
  steps: ProgramTable,
  scratch: number,
  { threads, threadsReason, crew }: Manning,
): Workspace {
  // Everything large hangs on this one reference, so that dispose lets go of it.
  let open: { heap: Heap; kernels: Kernels; table: KernelTable } | undefined = { heap, kernels, table };
  const alive = (): { heap: Heap; kernels: Kernels; table: KernelTable } => {
    if (!open) throw new EspalierError('DISPOSED', 'workspace: it was disposed of; open another');
    return open;
  };
  return {
    get heap() {
      return alive().heap;
    },
    get kernels() {
      return alive().kernels;
    },
    threads,
    threadsReason,
    scratch,
    run(program) {
      const {
        table,
        heap: { int },
      } = alive();
      checkInteger('run', 'program', program, 0, steps.length - 1);
      for (const step of steps[program]) {
        if (crew) crew.runStep(table, int, step, scratch);
        else for (let i = 0; i < pieceCount(int, step); i++) runPiece(table, int, step, i, scratch);
      }
    },
    dispose() {
      if (open) crew?.dispose();
      open = undefined;
    },
  };
}

function checkOptions(who: string, backend: Backend, options: WorkspaceOptions): Required<WorkspaceOptions> {
  if (typeof options !== 'object' || options === null)
    throw new TypeError(`${who}: options: expected an object, got ${show(options)}`);
  const { words, scratchWords, programs = [], threads = 1, precision = 'float32' } = own(options);
  return {
    words: checkInteger(who, 'words', words, 0, MOST_WORDS),
    scratchWords: checkInteger(who, 'scratchWords', scratchWords, 0, MOST_WORDS),
    programs,
    threads: checkInteger(who, 'threads', threads, 1, 64),
    precision: checkOneOf(who, 'precision', precision, backend.precisions),
  };
}

function checkTotal(words: number): number {
  if (words > MOST_WORDS)
    throw new EspalierError(
      'MEMORY',
      `open: ${words} words are more than the ${MOST_WORDS} that a heap can have; use a smaller batch or fewer threads`,
      { limit: MOST_WORDS, found: words },
    );
  return words;
}
