/**
 * Programs as integers on the heap, where every thread can read them. One step after another:
 * number of the kernel, number of pieces, integers per piece, then the pieces.
 */
import { checkInteger, show } from '../errors.ts';
import type { KernelName, Kernels, Program, Step } from './types.ts';

/** Length of the tuple T without its first element. */
type Rest<T extends readonly unknown[]> = T extends readonly [unknown, ...infer R] ? R['length'] : never;

/** Arguments of each kernel after `scratch`. The order of the names is the number of a kernel. */
export const KERNEL_ARGUMENTS = {
  matmul: 15,
  convolutionPack: 4, convolutionForward: 11, convolutionBackwardInput: 6, convolutionBackwardWeights: 7,
  channelSums: 7, sumParts: 5,
  activationForward: 5, activationBackward: 6,
  maxPoolForward: 6, maxPoolBackward: 6, averagePoolForward: 6, averagePoolBackward: 6,
  affineForward: 9, affineBackward: 6, affineBackwardParameters: 9, batchNormForward: 14, batchNormBackward: 13, batchNormFold: 8,
  softmaxForward: 4, softmaxBackward: 5,
  add: 6, multiply: 4, copyRows: 6,
  sumSquares: 3, clipScale: 4, sgdUpdate: 6, adamUpdate: 7,
  nearestCodeword: 9, accumulateCentroids: 9, codebookDecode: 10, codebookPullback: 11,
} as const satisfies { [K in KernelName]: Rest<Parameters<Kernels[K]>> };

export const KERNEL_NAMES = Object.keys(KERNEL_ARGUMENTS) as readonly KernelName[];

/** Integers before the pieces of a step. */
const STEP_HEAD = 3;

/** Where one program lies: its steps' first words. */
export type ProgramTable = readonly Int32Array[];

/** Words that the programs take. @throws {TypeError | RangeError} on an unknown kernel, a wrong number of arguments or an argument that is no 32-bit integer */
export function programWords(programs: readonly Program[]): number {
  let words = 0;
  programs.forEach((program, number) => program.forEach((step, at) => {
    const who = `open: programs[${number}][${at}]`;
    if (typeof step !== 'object' || step === null || !Object.hasOwn(KERNEL_ARGUMENTS, step.kernel)) throw new RangeError(`${who}: kernel: expected the name of a kernel, got ${show(step?.kernel)}`);
    const expected = KERNEL_ARGUMENTS[step.kernel];
    step.pieces.forEach((piece, i) => {
      if (piece.length !== expected) throw new RangeError(`${who}: pieces[${i}]: expected the ${expected} arguments of ${step.kernel} after scratch, got ${piece.length}`);
      piece.forEach((argument, j) => checkInteger(who, `pieces[${i}][${j}] of ${step.kernel}`, argument, -(2 ** 31), 2 ** 31 - 1));
    });
    words += STEP_HEAD + step.pieces.length * expected;
  }));
  return words;
}

/** Writes the programs to `int` from `offset` on. */
export function writePrograms(int: Int32Array, offset: number, programs: readonly Program[]): ProgramTable {
  let at = offset;
  const writeStep = ({ kernel, pieces }: Step): number => {
    const first = at, width = KERNEL_ARGUMENTS[kernel];
    int.set([KERNEL_NAMES.indexOf(kernel), pieces.length, width], at);
    at += STEP_HEAD;
    for (const piece of pieces) {
      int.set(piece, at);
      at += width;
    }
    return first;
  };
  return programs.map((program) => Int32Array.from(program, writeStep));
}

export function pieceCount(int: Int32Array, step: number): number {
  return int[step + 1];
}

/** Kernels by number, ready to be called with a row of integers. */
export type KernelTable = readonly ((...row: number[]) => void)[];

export function kernelTable(kernels: Kernels): KernelTable {
  return KERNEL_NAMES.map((name) => kernels[name] as (...row: number[]) => void);
}

/** Calls the kernel of a step with its i-th piece. */
export function runPiece(table: KernelTable, int: Int32Array, step: number, i: number, scratch: number): void {
  const width = int[step + 2], first = step + STEP_HEAD + i * width;
  const row = [scratch];
  for (let j = 0; j < width; j++) row.push(int[first + j]);
  table[int[step]](...row);
}
