/**
 * Inflating DEFLATE (RFC 1951) piece by piece. The platform's own `DecompressionStream` does not say where a stream ends:
 * behind the first member of a gzip file Node 20 goes on, Node 24 and Chromium stop or fail. This one says it, and is the
 * same everywhere.
 */

/** Input that comes in pieces: bits from the least significant on, bytes once no bits are left. */
interface Source {
  bytes: Uint8Array;
  /** Next byte. */
  at: number;
  /** Bits that were taken from bytes before `at` and not used yet, and how many. */
  bits: number;
  bitCount: number;
  /** Nothing comes behind `bytes`. */
  isLast: boolean;
}

type Fault = (what: string) => Error;

export interface Inflater {
  readonly source: Source;
  /** Adds input; what was not used yet stays in front of it. */
  feed(bytes: Uint8Array): void;
  /** No more input. */
  end(): void;
  /**
   * Inflates on: a piece of output, valid until the next call; 'more' where input is missing; 'done' at the end of the
   * stream, with `source` behind it. Call {@link Inflater.restart} for the next stream.
   * @throws what `fault` makes, if the data are damaged or, after `end`, cut short
   */
  next(): Uint8Array | 'more' | 'done';
  restart(): void;
}

const WINDOW = 32768;
/** Output that is gathered before it is given away. */
const PIECE = 131072;
/** More than the longest description of a block's codes: 14 + 19 x 3 + 320 x 14 bits. */
const LONGEST_HEADER = 640;
/** Most bytes of a length and a distance: 15 + 5 + 15 + 13 bits. */
const LONGEST_PAIR = 8;
const LONGEST_MATCH = 258;

/** Symbols 257 ... 285: the least length, and how many bits say how much more. */
const LENGTH_BASE = [
  3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258,
];
const LENGTH_BITS = [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0];
/** In which order the lengths of the code for lengths are given. */
const LENGTH_ORDER = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

/** Bits that a table looks at: it stays in the cache, and is made in no time for each block. */
const TABLE_BITS = 10;
const LONGEST_CODE = 15;

/** A prefix code. */
interface Code {
  /** By the next bits: 16 x symbol + length of its code; 0 where no code begins so, or a longer one. */
  readonly table: Int32Array;
  /** Codes of each length, and their symbols in the order of the codes: for codes that are longer. */
  readonly counts: Uint16Array;
  readonly symbols: Uint16Array;
}

/** An entry as of the table for a code of any length, from the next `held` bits; 0 where there is none. */
function lookUp({ counts, symbols }: Code, bits: number, held: number): number {
  for (let length = 1, code = 0, first = 0, index = 0; length <= LONGEST_CODE && length <= held; length++) {
    code |= (bits >>> (length - 1)) & 1;
    const count = counts[length];
    if (code - first < count) return 16 * symbols[index + code - first] + length;
    index += count;
    first = (first + count) << 1;
    code <<= 1;
  }
  return 0;
}

/** Starts before the first byte of a stream. `fault` makes an error of what is wrong with the data. */
export function createInflater(fault: Fault): Inflater {
  const source: Source = { bytes: new Uint8Array(0), at: 0, bits: 0, bitCount: 0, isLast: false };
  // The window in front, then what is being written.
  const out = new Uint8Array(WINDOW + PIECE + LONGEST_MATCH);
  let size = WINDOW;
  /** Bytes that matches may reach back to. */
  let history = 0;
  let state: 'header' | 'stored' | 'codes' | 'end' = 'header';
  let isFinal = false;
  let storedLeft = 0;
  let lengths: Code;
  let distances: Code;
  let fixed: readonly [Code, Code] | undefined;

  const available = (): number => source.bytes.length - source.at;
  const cut = (): Error => fault('it is cut short');
  const noCode = (held: number): Error =>
    held < LONGEST_CODE && source.isLast ? cut() : fault('it is damaged: a code that stands for nothing');

  function bits(count: number): number {
    while (source.bitCount < count) {
      if (source.at >= source.bytes.length) throw cut();
      source.bits |= source.bytes[source.at++] << source.bitCount;
      source.bitCount += 8;
    }
    const value = source.bits & ((1 << count) - 1);
    source.bits >>>= count;
    source.bitCount -= count;
    return value;
  }

  function symbol(code: Code): number {
    // At the very end there may be fewer bits than the longest code has.
    while (source.bitCount < LONGEST_CODE && source.at < source.bytes.length) {
      source.bits |= source.bytes[source.at++] << source.bitCount;
      source.bitCount += 8;
    }
    const entry = lookUp(code, source.bits, source.bitCount);
    if (entry === 0) throw noCode(source.bitCount);
    source.bits >>>= entry & 15;
    source.bitCount -= entry & 15;
    return entry >> 4;
  }

  function readHeader(): void {
    isFinal = bits(1) === 1;
    const kind = bits(2);
    if (kind === 0) {
      bits(source.bitCount & 7);
      const length = bits(16);
      if (bits(16) !== (length ^ 0xffff)) throw fault('it is damaged: a stored block of two lengths');
      storedLeft = length;
      state = 'stored';
    } else if (kind === 1) {
      fixed ??= fixedCodes(fault);
      [lengths, distances] = fixed;
      state = 'codes';
    } else if (kind === 2) {
      [lengths, distances] = readCodes();
      state = 'codes';
    } else throw fault('it is damaged: a block of no known kind');
  }

  function readCodes(): [Code, Code] {
    const lengthCount = bits(5) + 257;
    const distanceCount = bits(5) + 1;
    const orderCount = bits(4) + 4;
    if (lengthCount > 286 || distanceCount > 30) throw fault('it is damaged: too many codes');
    const own = new Uint8Array(19);
    for (let i = 0; i < orderCount; i++) own[LENGTH_ORDER[i]] = bits(3);
    const code = codeOf(own, false, fault);
    const all = new Uint8Array(lengthCount + distanceCount);
    for (let i = 0; i < all.length;) {
      const found = symbol(code);
      if (found < 16) {
        all[i++] = found;
        continue;
      }
      if (found === 16 && i === 0) throw fault('it is damaged: a repetition of nothing');
      const value = found === 16 ? all[i - 1] : 0;
      const count = found === 16 ? 3 + bits(2) : found === 17 ? 3 + bits(3) : 11 + bits(7);
      if (i + count > all.length) throw fault('it is damaged: more code lengths than codes');
      all.fill(value, i, i + count);
      i += count;
    }
    if (all[256] === 0) throw fault('it is damaged: a block without an end');
    return [codeOf(all.subarray(0, lengthCount), true, fault), codeOf(all.subarray(lengthCount), true, fault)];
  }

  /** Until input or room runs out, or the block ends. */
  function copyStored(): void {
    while (storedLeft > 0 && source.bitCount >= 8 && size < WINDOW + PIECE) {
      out[size++] = bits(8);
      storedLeft--;
    }
    const count = Math.min(storedLeft, available(), WINDOW + PIECE - size);
    if (count > 0 && source.bitCount < 8) {
      out.set(source.bytes.subarray(source.at, source.at + count), size);
      size += count;
      source.at += count;
      storedLeft -= count;
    }
    if (storedLeft === 0) state = isFinal ? 'end' : 'header';
  }

  /** The same for a block of codes: the loop that all the time goes into, so everything is a local variable. */
  function decode(): void {
    const { bytes, isLast } = source;
    const limit = isLast ? bytes.length : bytes.length - LONGEST_PAIR;
    const { table } = lengths;
    const { table: farTable } = distances;
    const mask = (1 << TABLE_BITS) - 1;
    let { at, bits: hold, bitCount: held } = source;
    let to = size;
    const stop = WINDOW + PIECE;
    const fill = (count: number): void => {
      while (held < count) {
        if (at >= bytes.length) throw cut();
        hold |= bytes[at++] << held;
        held += 8;
      }
    };
    while (to < stop && (at < limit || isLast)) {
      while (held < LONGEST_CODE && at < bytes.length) {
        hold |= bytes[at++] << held;
        held += 8;
      }
      let entry = table[hold & mask];
      if (entry === 0 || (entry & 15) > held) entry = lookUp(lengths, hold, held);
      if (entry === 0) throw noCode(held);
      const used = entry & 15;
      hold >>>= used;
      held -= used;
      const found = entry >> 4;
      if (found < 256) {
        out[to++] = found;
        continue;
      }
      if (found === 256) {
        state = isFinal ? 'end' : 'header';
        break;
      }
      if (found > 285) throw fault('it is damaged: a length of no meaning');
      const more = LENGTH_BITS[found - 257];
      fill(more);
      const length = LENGTH_BASE[found - 257] + (hold & ((1 << more) - 1));
      hold >>>= more;
      held -= more;

      while (held < LONGEST_CODE && at < bytes.length) {
        hold |= bytes[at++] << held;
        held += 8;
      }
      let farEntry = farTable[hold & mask];
      if (farEntry === 0 || (farEntry & 15) > held) farEntry = lookUp(distances, hold, held);
      if (farEntry === 0) throw noCode(held);
      const farUsed = farEntry & 15;
      hold >>>= farUsed;
      held -= farUsed;
      const farSymbol = farEntry >> 4;
      if (farSymbol > 29) throw fault('it is damaged: a distance of no meaning');
      const farBits = farSymbol < 2 ? 0 : (farSymbol >> 1) - 1;
      fill(farBits);
      const base = farSymbol < 2 ? farSymbol : (2 + (farSymbol & 1)) << farBits;
      const distance = 1 + base + (hold & ((1 << farBits) - 1));
      hold >>>= farBits;
      held -= farBits;
      if (distance > history + to - WINDOW) throw fault('it is damaged: a distance before its beginning');
      if (distance >= length) out.copyWithin(to, to - distance, to - distance + length);
      else for (let i = 0; i < length; i++) out[to + i] = out[to + i - distance];
      to += length;
    }
    size = to;
    source.at = at;
    source.bits = hold;
    source.bitCount = held;
  }

  /** What was written, and the last of it as the window of what follows. */
  function give(): Uint8Array {
    const piece = out.slice(WINDOW, size);
    out.copyWithin(0, size - WINDOW, size);
    history = Math.min(WINDOW, history + piece.length);
    size = WINDOW;
    return piece;
  }

  return {
    source,
    feed(bytes) {
      // Whole bytes that were taken as bits go back: the end of the stream may be before them.
      source.at -= source.bitCount >> 3;
      source.bitCount &= 7;
      source.bits &= (1 << source.bitCount) - 1;
      const rest = source.bytes.subarray(source.at);
      const joined = rest.length === 0 ? bytes : new Uint8Array(rest.length + bytes.length);
      if (joined !== bytes) {
        joined.set(rest);
        joined.set(bytes, rest.length);
      }
      source.bytes = joined;
      source.at = 0;
    },
    end() {
      source.isLast = true;
    },
    next() {
      for (;;) {
        if (size >= WINDOW + PIECE) return give();
        const before = source.at;
        if (state === 'end') {
          if (size > WINDOW) return give();
          // As in `feed`; the rest of the last byte is nothing.
          source.at -= source.bitCount >> 3;
          source.bits = source.bitCount = 0;
          return 'done';
        }
        if (state === 'header') {
          if (!source.isLast && available() < LONGEST_HEADER) return 'more';
          readHeader();
        } else if (state === 'stored') {
          copyStored();
          if (storedLeft > 0 && size < WINDOW + PIECE) {
            if (source.isLast) throw cut();
            return 'more';
          }
        } else {
          decode();
          if (state === 'codes' && size < WINDOW + PIECE && !source.isLast && source.at === before) return 'more';
        }
      }
    },
    restart() {
      state = 'header';
      history = 0;
      size = WINDOW;
    },
  };
}

/**
 * The code of these lengths, each symbol's from its place in the order of lengths. A code that leaves bits over is
 * allowed where there is no more than one symbol (`mayBeOne`), as zlib writes it for a block of one distance.
 */
function codeOf(lengths: Uint8Array, mayBeOne: boolean, fault: Fault): Code {
  const counts = new Uint16Array(16);
  for (const length of lengths) counts[length]++;
  counts[0] = 0;
  let left = 1;
  let count = 0;
  for (let length = 1; length < 16; length++) {
    left = 2 * left - counts[length];
    if (left < 0) throw fault('it is damaged: more codes than there is room for');
    count += counts[length];
  }
  if (left > 0 && !(mayBeOne && (count === 0 || (count === 1 && counts[1] === 1))))
    throw fault('it is damaged: a code that is not complete');
  const next = new Uint16Array(16);
  const place = new Uint16Array(16);
  for (let length = 1, code = 0; length < 16; length++) {
    code = (code + counts[length - 1]) << 1;
    next[length] = code;
    place[length] = place[length - 1] + counts[length - 1];
  }
  const table = new Int32Array(1 << TABLE_BITS);
  const symbols = new Uint16Array(count);
  lengths.forEach((length, symbol) => {
    if (length === 0) return;
    symbols[place[length]++] = symbol;
    // Codes stand in the stream with their first bit first.
    let reversed = 0;
    for (let i = 0, code = next[length]++; i < length; i++, code >>= 1) reversed = (reversed << 1) | (code & 1);
    if (length <= TABLE_BITS)
      for (let at = reversed; at < table.length; at += 1 << length) table[at] = 16 * symbol + length;
  });
  return { table, counts, symbols };
}

/** Of blocks that do not describe theirs. */
function fixedCodes(fault: Fault): [Code, Code] {
  const lengths = new Uint8Array(288).fill(8);
  lengths.fill(9, 144, 256);
  lengths.fill(7, 256, 280);
  return [codeOf(lengths, false, fault), codeOf(new Uint8Array(32).fill(5), false, fault)];
}
