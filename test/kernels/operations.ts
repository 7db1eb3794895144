/** Operations on a heap of their own: values are laid out, operations written down as steps, then all is run. */
import type { Run, Room } from '../../src/kernels/specification/operations.ts';
import type { Call, KernelName } from '../../src/kernels/specification/kernels.ts';
import type { KernelSet, Precision, Step, Workspace } from '../../src/kernels/types.ts';

/** Between any two blocks, to be found unharmed. */
const GUARD = 12345.5;
const GUARDS = 4;

export interface Stage {
  /** Offset of values; of words that hold NaN. */
  floats(values: ArrayLike<number>): number;
  ints(values: ArrayLike<number>): number;
  empty(words: number): number;
  readonly room: Room;
  /** Lowers an operation of the set. */
  readonly run: Run;
  /** A kernel by itself, in one piece. */
  step<K extends KernelName>(kernel: K, call: Call<K>): void;
  /** Steps so far: what is prepared, and the pass. */
  readonly prepared: Step[];
  readonly steps: Step[];
  /** Runs the steps, those of preparation first, and gives the heap. @throws if a word outside of all blocks has changed */
  play(steps?: (steps: readonly Step[]) => readonly Step[]): Workspace;
}

/** An empty stage on a set. */
export function createStage(set: KernelSet, precision: Precision = 'float32'): Stage {
  let top = 0,
    scratchWords = 0;
  const blocks: { offset: number; values: ArrayLike<number>; words: number; kind: 'float' | 'int' }[] = [];
  const lay = (values: ArrayLike<number>, words: number, kind: 'float' | 'int'): number => {
    const offset = top + GUARDS;
    top = Math.ceil((offset + words) / 4) * 4;
    blocks.push({ offset, values, words, kind });
    return offset;
  };
  const floats = (values: ArrayLike<number>): number => lay(values, values.length, 'float'),
    ints = (values: ArrayLike<number>): number => lay(values, values.length, 'int'),
    empty = (words: number): number => lay(new Float32Array(words).fill(NaN), words, 'float');
  const kept = new Map<string, number>();
  const room: Room = {
    integers: ints,
    floats,
    temporary: empty,
    kept(name, words = 0) {
      const offset = kept.get(name) ?? empty(words);
      kept.set(name, offset);
      return offset;
    },
    needsScratch(words) {
      scratchWords = Math.max(scratchWords, words);
    },
  };
  const prepared: Step[] = [],
    steps: Step[] = [];
  return {
    floats,
    ints,
    empty,
    room,
    prepared,
    steps,
    run: (operation, call) =>
      set.lower(operation, call, room, {
        step: (kernel, pieces) => steps.push({ kernel, pieces } as Step),
        prepare: (kernel, pieces) => prepared.push({ kernel, pieces } as Step),
      }),
    step: (kernel, call) => steps.push({ kernel, pieces: [call] } as unknown as Step),
    play(change = (all) => all) {
      const workspace = set.openSync({
        words: top + GUARDS,
        scratchWords,
        precision,
        programs: [change([...prepared, ...steps])],
      });
      const { float, int } = workspace.heap;
      float.fill(GUARD, 0, top + GUARDS);
      for (const { offset, values, kind } of blocks) (kind === 'int' ? int : float).set(values, offset);
      workspace.run(0);
      const own = new Uint8Array(top + GUARDS);
      for (const { offset, words } of blocks) own.fill(1, offset, offset + words);
      own.forEach((inside, word) => {
        if (!inside && float[word] !== GUARD) throw new Error(`a step wrote to word ${word}, outside of all blocks`);
      });
      return workspace;
    },
  };
}
