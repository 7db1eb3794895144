/** Workspaces: a heap with kernels bound to it, the programs behind the caller's words, and scratch for each thread. */
import { EspalierError, checkInteger, checkOneOf, show } from '../errors.ts';
import { MOST_WORDS } from './heap.ts';
import { kernelTable, pieceCount, programWords, runPiece, writePrograms } from './program.ts';
import type { Heap, Kernels, Precision, Workspace, WorkspaceOptions } from './types.ts';

/** What a kernel set brings: memory of a size, and the kernels on it. */
export interface Backend {
  /** @throws {EspalierError} MEMORY */
  bind(words: number, precision: Precision, shared: boolean): { readonly heap: Heap; readonly kernels: Kernels };
  readonly precisions: readonly Precision[];
}

/** Start of every block that the workspace adds: a cache line, so that threads do not write to each other's. */
const ALIGNMENT = 16;
const align = (words: number): number => Math.ceil(words / ALIGNMENT) * ALIGNMENT;

/** A workspace with one thread. */
export function openWorkspace(backend: Backend, options: WorkspaceOptions): Workspace {
  const { words, scratchWords, programs, precision } = checkOptions(backend, options);
  const programStart = align(words), scratch = align(programStart + programWords(programs));
  const { heap, kernels } = backend.bind(checkTotal(scratch + align(scratchWords)), precision, false);
  const steps = writePrograms(heap.int, programStart, programs), table = kernelTable(kernels);
  let open: { heap: Heap; kernels: Kernels } | undefined = { heap, kernels };
  const alive = (): { heap: Heap; kernels: Kernels } => {
    if (!open) throw new EspalierError('DISPOSED', 'workspace: it was disposed of; open another');
    return open;
  };
  return {
    get heap() { return alive().heap; },
    get kernels() { return alive().kernels; },
    threads: 1,
    scratch,
    run(program) {
      const { int } = alive().heap;
      checkInteger('run', 'program', program, 0, steps.length - 1);
      for (const step of steps[program]) {
        for (let i = 0; i < pieceCount(int, step); i++) runPiece(table, int, step, i, scratch);
      }
    },
    dispose() { open = undefined; },
  };
}

function checkOptions(backend: Backend, options: WorkspaceOptions): Required<WorkspaceOptions> {
  if (typeof options !== 'object' || options === null) throw new TypeError(`open: options: expected an object, got ${show(options)}`);
  const { words, scratchWords, programs = [], threads = 1, precision = 'float32' } = options;
  return {
    words: checkInteger('open', 'words', words, 0, MOST_WORDS),
    scratchWords: checkInteger('open', 'scratchWords', scratchWords, 0, MOST_WORDS),
    programs,
    threads: checkInteger('open', 'threads', threads, 1, 64),
    precision: checkOneOf('open', 'precision', precision, backend.precisions),
  };
}

function checkTotal(words: number): number {
  if (words > MOST_WORDS) throw new EspalierError('MEMORY', `open: ${words} words are more than the ${MOST_WORDS} that a heap can have; use a smaller batch or fewer threads`, { limit: MOST_WORDS, found: words });
  return words;
}
