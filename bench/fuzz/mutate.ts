/** Mutation of bytes: what accidents and attackers do to a file, drawn from a seeded stream. */
import { below } from 'espalier';
import type { Stream } from 'espalier';

/** Longest input that a mutation makes. */
const LONGEST = 1 << 16;
const NEWEST = 4;

const INTERESTING_BYTES = [0, 1, 2, 0x0a, 0x1f, 0x20, 0x22, 0x2c, 0x2d, 0x30, 0x39, 0x5b, 0x5c, 0x7b, 0x7f, 0x80, 0xff];
const INTERESTING_WORDS = [
  0n,
  1n,
  255n,
  256n,
  65535n,
  1n << 31n,
  (1n << 32n) - 1n,
  1n << 53n,
  (1n << 63n) - 1n,
  (1n << 64n) - 1n,
];
const INTERESTING_NUMBERS = [
  '0',
  '-0',
  '-1',
  '1',
  '1.5',
  '2',
  '255',
  '256',
  '65536',
  '2147483648',
  '4294967295',
  '9007199254740992',
  '18446744073709551615',
  '1e400',
  '1e-400',
  '-1e308',
  '1e39',
  'null',
  'true',
  '""',
  '[]',
  '{}',
  '"__proto__"',
  '"constructor"',
].map((text) => new TextEncoder().encode(text));

type Step = (
  bytes: Uint8Array,
  random: Stream,
  others: readonly Uint8Array[],
  words: readonly Uint8Array[],
) => Uint8Array;

const STEPS: readonly Step[] = [
  (bytes, random) => edited(bytes, random, (copy, at) => (copy[at] ^= 1 << below(random, 8))),
  (bytes, random) => edited(bytes, random, (copy, at) => (copy[at] = pick(random, INTERESTING_BYTES))),
  (bytes, random) => edited(bytes, random, (copy, at) => (copy[at] += below(random, 33) - 16)),
  (bytes, random) => edited(bytes, random, (copy, at) => (copy[at] = below(random, 256))),
  function insertBytes(bytes, random) {
    const at = below(random, bytes.length + 1);
    return spliced(
      bytes,
      at,
      at,
      Uint8Array.from({ length: 1 + below(random, 4) }, () => below(random, 256)),
    );
  },
  function overwriteWord(bytes, random) {
    const size = pick(random, [2, 4, 8]);
    if (bytes.length < size) return bytes;
    const copy = bytes.slice();
    // Lengths stand at the start more often than anywhere else.
    const at = below(random, 3) === 0 ? 0 : below(random, bytes.length - size + 1);
    let word = pick(random, INTERESTING_WORDS);
    for (let i = 0; i < size; i++, word >>= 8n) copy[at + i] = Number(word & 255n);
    return copy;
  },
  function cut(bytes, random) {
    return bytes.slice(0, below(random, bytes.length + 1));
  },
  function remove(bytes, random) {
    const [from, to] = range(bytes, random);
    return spliced(bytes, from, to, new Uint8Array(0));
  },
  function repeat(bytes, random) {
    const [from, to] = range(bytes, random);
    return spliced(bytes, to, to, bytes.slice(from, to));
  },
  function borrow(bytes, random, others) {
    const other = pick(random, others);
    const [from, to] = range(other, random);
    const at = below(random, bytes.length + 1);
    return spliced(
      bytes,
      at,
      below(random, 2) === 0 ? at : Math.min(bytes.length, at + to - from),
      other.slice(from, to),
    );
  },
  function insertWord(bytes, random, _others, words) {
    if (words.length === 0) return bytes;
    const at = below(random, bytes.length + 1);
    return spliced(bytes, at, at, pick(random, words));
  },
  function replaceNumber(bytes, random) {
    const found = numberFrom(bytes, below(random, bytes.length + 1));
    return found === undefined ? bytes : spliced(bytes, found[0], found[1], pick(random, INTERESTING_NUMBERS));
  },
];

/**
 * One input of `corpus`, changed in one to eight steps. `words`: texts of the format, to be inserted. The same stream
 * gives the same bytes; the inputs given are left alone.
 */
export function mutate(corpus: readonly Uint8Array[], words: readonly Uint8Array[], random: Stream): Uint8Array {
  // What came last opened the newest code: every second turn is one of those.
  let bytes = pick(random, below(random, 2) === 0 ? corpus : corpus.slice(-NEWEST));
  const steps = 1 + Math.floor(-2 * Math.log2(1 - random() * (1 - 2 ** -4)));
  for (let i = 0; i < steps; i++) bytes = pick(random, STEPS)(bytes, random, corpus, words).subarray(0, LONGEST);
  return bytes.slice();
}

function pick<T>(random: Stream, list: readonly T[]): T {
  return list[below(random, list.length)];
}

function edited(bytes: Uint8Array, random: Stream, edit: (copy: Uint8Array, at: number) => void): Uint8Array {
  if (bytes.length === 0) return bytes;
  const copy = bytes.slice();
  edit(copy, below(random, bytes.length));
  return copy;
}

/** Mostly short. */
function range(bytes: Uint8Array, random: Stream): [number, number] {
  const from = below(random, bytes.length + 1);
  const longest = below(random, 8) === 0 ? bytes.length : 32;
  return [from, Math.min(bytes.length, from + below(random, longest + 1))];
}

function spliced(bytes: Uint8Array, from: number, to: number, middle: Uint8Array): Uint8Array {
  const out = new Uint8Array(from + middle.length + bytes.length - to);
  out.set(bytes.subarray(0, from));
  out.set(middle, from);
  out.set(bytes.subarray(to), from + middle.length);
  return out;
}

const isDigit = (byte: number): boolean => byte >= 0x30 && byte <= 0x39;

/** The first run of digits from `start` on. */
function numberFrom(bytes: Uint8Array, start: number): [number, number] | undefined {
  let from = start;
  while (from < bytes.length && !isDigit(bytes[from])) from++;
  if (from === bytes.length) return undefined;
  let to = from;
  while (to < bytes.length && isDigit(bytes[to])) to++;
  return [from, to];
}
