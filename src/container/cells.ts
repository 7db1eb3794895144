/**
 * What the bytes of a tensor are made of, and how each part is predicted when it is coded: whole numbers of a few bits
 * packed one after another, or the upper and the lower halves of floats.
 */
import { createCounter, createMixer, mix } from './mixer.ts';
import type { Mixer } from './mixer.ts';
import type { BitCoder } from './range-coder.ts';

/** Whole numbers of `bits` bits each, lowest bit first, from a whole byte on. */
export interface Cells {
  /** 1 to 16. */
  readonly bits: number;
  readonly count: number;
  /** Numbers in a row of the matrix that they stand for. */
  readonly columns: number;
}

/** How a part is stored. */
export const MODELS = {
  /** As it is, behind all that is coded. */
  raw: 0,
  /** Each number by how often it came before, in this part. */
  counted: 1,
  /** Besides by its row, its column, and the magnitudes of those before it and above it. For levels around a middle. */
  mixed: 2,
  /** Each number by a code of its own, behind all that the range coder codes. See huffman.ts. */
  huffman: 3,
} as const;

/** Part of a tensor that is coded by itself. */
export interface Part extends Cells {
  readonly model: number;
  /** Its bytes in the tensor: of each element of `stride` bytes those from `first` on; packed numbers have a stride of 0. */
  readonly first: number;
  readonly stride: number;
  /** Of floats: bits of sign and exponent, which are predicted; those behind them each by its place alone. */
  readonly leading?: number;
}

/** Bytes that packed numbers take. */
export const cellBytes = ({ bits, count }: Cells): number => Math.ceil((bits * count) / 8);

/** Bytes of a part in its tensor. */
export const partBytes = (part: Part): number => (part.stride > 0 ? 2 * part.count : cellBytes(part));

/** Most states of a counter for each number that it counts: else learning costs more than it gains, in time too. */
const MOST_STATES = 16;
export const isCountable = ({ bits, count }: Cells): boolean => 2 ** bits <= MOST_STATES * count;

/** Codes the numbers of parts one after another: what one part teaches the next may use. */
export interface CellCoder {
  /** `bytes`: of the tensor; a decoder fills them, zeros before. */
  code(part: Part, bytes: Uint8Array): void;
}

const [CONTEXTS, WIDEST] = [4, 16];

/** @param coded - bytes of all parts that are to be coded, by which memory is measured out */
export function createCellCoder(coder: BitCoder, coded: number): CellCoder {
  const stateBits = Math.min(20, Math.max(14, 37 - Math.clz32(coded)));
  let mixer: Mixer | undefined;
  const mixed = (): Mixer =>
    (mixer ??= createMixer(coder, { inputs: CONTEXTS, sets: WIDEST + 1, rate: 6, memory: 1023, stateBits }));
  let number = 0;
  return {
    code(part, bytes) {
      number++;
      if (part.stride > 0) codeHalves(mixed(), part, number, bytes);
      else if (part.model === MODELS.counted) codePacked(part, bytes, createCounter(coder, part.bits));
      else codeLevels(mixed(), part, number, bytes);
    },
  };
}

/** Reads each packed number, has it coded, and writes what it is. */
function codePacked(
  { bits, count, first }: Cells & Pick<Part, 'first'>,
  bytes: Uint8Array,
  code: (value: number) => number,
): void {
  const mask = 2 ** bits - 1;
  let waiting = 0;
  let held = 0;
  let from = first;
  let done = 0;
  let full = 0;
  let to = first;
  for (let i = 0; i < count; i++) {
    for (; held < bits; held += 8) waiting |= bytes[from++] << held;
    const value = code(waiting & mask);
    waiting >>>= bits;
    held -= bits;
    done |= value << full;
    for (full += bits; full >= 8; full -= 8) {
      bytes[to++] = done;
      done >>>= 8;
    }
  }
  if (full > 0) bytes[to] = done;
}

/** Levels around a middle: weights of a row, of a column and in a neighbourhood are alike in magnitude. */
function codeLevels(mixer: Mixer, part: Part, number: number, bytes: Uint8Array): void {
  const { bits, columns } = part;
  const { contexts } = mixer;
  const most = 2 ** bits - 1;
  const above = new Uint16Array(columns);
  const shift = Math.max(0, bits - 6);
  let [row, column, one, two] = [0, 0, 0, 0];
  codePacked(part, bytes, (given) => {
    contexts[0] = mix(number, 1);
    contexts[1] = mix(mix(number, row), 2);
    contexts[2] = mix(mix(number, column), 3);
    contexts[3] = mix((2 * one + two + above[column]) >> shift, 4 + bits);
    const value = mixer.code(bits, bits, given);
    two = one;
    one = Math.abs(2 * value - most) >> 1;
    above[column] = one;
    if (++column === columns) {
      column = one = two = 0;
      row++;
    }
    return value;
  });
}

/** Halves of floats, 16 bits each: sign and exponent by those before, what is behind them bit by bit. */
function codeHalves(mixer: Mixer, part: Part, number: number, bytes: Uint8Array): void {
  const { count, first, stride, leading = 0 } = part;
  const { contexts } = mixer;
  let before = 0;
  for (let i = 0, at = first; i < count; i++, at += stride) {
    const given = bytes[at] | (bytes[at + 1] << 8);
    let value = 0;
    if (leading > 0) {
      contexts[0] = mix(number, 1);
      contexts[1] = mix(leading, 2);
      contexts[2] = mix(mix(number, before), 3);
      contexts[3] = mix(mix(leading, before), 4);
      value = mixer.code(leading, 0, given >> (16 - leading));
    }
    before = value;
    for (let place = 15 - leading; place >= 0; place--) {
      contexts[0] = mix(mix(number, place), 5);
      contexts[1] = mix(mix(leading, place), 6);
      // The first places behind the exponent: smaller numbers of one exponent are the more frequent.
      contexts[2] = mix(mix(value, leading), place > 12 - leading ? 7 : 8);
      contexts[3] = mix(mix(number, before), 9 + place);
      value = 2 * value + mixer.code(1, 1, (given >> place) & 1);
    }
    bytes[at] = value;
    bytes[at + 1] = value >> 8;
  }
}
