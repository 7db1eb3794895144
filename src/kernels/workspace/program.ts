/**
 * Programs as integers on the heap, where every thread can read them. One step after another:
 * number of the kernel, number of pieces, integers per piece, then the pieces.
 */
import { checkInteger, EspalierError, show } from '../../base/errors.ts';
import { nameOf } from '../specification/codes.ts';
import type { KernelSpecification } from '../specification/kernels.ts';
import { namesOf, type Selection } from '../selection/selection.ts';
import type { KernelName, Kernels, Program, Step } from '../types.ts';

/** Integers before the pieces of a step. */
const STEP_HEAD = 3;

/** Where one program lies: its steps' first words. */
export type ProgramTable = readonly Int32Array[];

/**
 * Words that the programs take.
 * @throws {TypeError | RangeError} on an unknown kernel, a missing or unknown argument or one that is no 32-bit integer
 * @throws {EspalierError} UNSUPPORTED on a kernel that a selection of some lacks
 */
export function programWords(programs: readonly Program[], selection: Selection): number {
  let words = 0;
  programs.forEach((program, number) =>
    program.forEach((step, at) => {
      const who = `open: programs[${number}][${at}]`;
      const specification = specificationOf(who, step, selection);
      step.pieces.forEach((piece, i) => checkPiece(who, `pieces[${i}] of ${step.kernel}`, piece, specification));
      words += STEP_HEAD + step.pieces.length * specification.arguments.length;
    }),
  );
  return words;
}

/** Arguments by name, of whichever kernel. */
type Piece = Readonly<Record<string, number>>;

function checkPiece(who: string, where: string, piece: Piece, specification: KernelSpecification): void {
  const { arguments: names, codes = {} } = specification;
  for (const name of names) checkInteger(who, `${name} of ${where}`, piece[name], -(2 ** 31), 2 ** 31 - 1);
  for (const name of Object.keys(codes)) nameOf(who, `${name} of ${where}`, codes[name], piece[name]);
  const unknown = Object.keys(piece).find((name) => !names.includes(name));
  if (unknown !== undefined)
    throw new TypeError(`${who}: ${where}: expected the arguments ${names.join(', ')}, got ${show(unknown)} too`);
}

function specificationOf(who: string, step: Step, { kernels, others }: Selection): KernelSpecification {
  const kernel: unknown = typeof step === 'object' ? step?.kernel : undefined;
  if (typeof kernel === 'string' && Object.hasOwn(kernels, kernel)) return kernels[kernel as KernelName]!;
  if (typeof kernel === 'string' && others) {
    throw new EspalierError(
      'UNSUPPORTED',
      `${who}: kernel: this set has no ${show(kernel)}, only ${Object.keys(kernels).join(', ')}; ${others} gives all`,
      { name: kernel },
    );
  }
  throw new RangeError(`${who}: kernel: expected the name of a kernel, got ${show(kernel)}`);
}

/** Writes the programs, which {@link programWords} has checked, to `int` from `offset` on. */
export function writePrograms(
  int: Int32Array,
  offset: number,
  programs: readonly Program[],
  selection: Selection,
): ProgramTable {
  const kernels = namesOf(selection);
  let at = offset;
  const writeStep = ({ kernel, pieces }: Step): number => {
    const first = at,
      names = selection.kernels[kernel]!.arguments;
    int.set([kernels.indexOf(kernel), pieces.length, names.length], at);
    at += STEP_HEAD;
    for (const piece of pieces) {
      int.set(rowOf(names, piece), at);
      at += names.length;
    }
    return first;
  };
  return programs.map((program) => Int32Array.from(program, writeStep));
}

/** The arguments of a piece in their order. */
export function rowOf(names: readonly string[], piece: Piece): readonly number[] {
  return names.map((name) => piece[name]);
}

/** How many pieces the step at an offset has. */
export function pieceCount(int: Int32Array, step: number): number {
  return int[step + 1];
}

/**
 * Kernels by number, ready to be called with a row of integers, each with the row that its calls use over and over: one
 * thread's, never shared.
 */
export type KernelTable = readonly { readonly call: (...row: number[]) => void; readonly row: number[] }[];

/** The table of kernels by the places of their names. */
export function kernelTable(kernels: Partial<Kernels>, names: readonly KernelName[]): KernelTable {
  return names.map((name) => ({ call: kernels[name] as (...row: number[]) => void, row: [] }));
}

/** Calls the kernel of a step with its i-th piece. Nothing is allocated: a step of training makes hundreds of calls. */
export function runPiece(table: KernelTable, int: Int32Array, step: number, i: number, scratch: number): void {
  const width = int[step + 2],
    first = step + STEP_HEAD + i * width;
  const { call, row } = table[int[step]];
  row[0] = scratch;
  for (let j = 0; j < width; j++) row[j + 1] = int[first + j];
  call(...row);
}
