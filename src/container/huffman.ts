/**
 * Huffman codes (Huffman, "A method for the construction of minimum-redundancy codes", Proc. IRE 1952), canonical and of
 * at most 15 bits, for whole numbers of 1 to 12 bits: what Deep Compression (Han, Mao, Dally, ICLR 2016, section 4) counts
 * its files by. A number takes a whole number of bits, which the range coder's do not; it is read by one look in a table.
 *
 * A part is: the length of its bits in bytes, 32 bits, little endian; for each number the length of its code, 4 bits,
 * lowest first, 0 where it does not occur; the codes, each from its first bit on, filling bytes from the lowest bit up. Of
 * codes of one length that of the lower number comes first. A number that is alone has a code of one bit, 0.
 */
import type { Cells } from './cells.ts';

/** Longest code. */
const LONGEST = 15;
/** Widest numbers: the table of lengths takes 2^(bits - 1) bytes. */
const WIDEST = 12;
const LENGTH_BYTES = 4;

/** Whether numbers so wide have codes. */
export const hasHuffman = ({ bits }: Pick<Cells, 'bits'>): boolean => bits <= WIDEST;

const tableBytes = (bits: number): number => Math.ceil(2 ** bits / 2);

/** Numbers packed lowest bit first, one by one. */
function eachNumber(bytes: Uint8Array, { bits, count }: Cells, visit: (value: number) => void): void {
  const mask = 2 ** bits - 1;
  let waiting = 0;
  let held = 0;
  let from = 0;
  for (let i = 0; i < count; i++) {
    for (; held < bits; held += 8) waiting |= bytes[from++] << held;
    visit(waiting & mask);
    waiting >>>= bits;
    held -= bits;
  }
}

/** A part as it is stored. @param bytes - the numbers, packed from the first byte on; count is at least 1 */
export function huffmanBytes(bytes: Uint8Array, cells: Cells): Uint8Array {
  const counts = new Float64Array(2 ** cells.bits);
  eachNumber(bytes, cells, (value) => counts[value]++);
  const lengths = codeLengths(counts);
  const codes = canonicalCodes(lengths);
  const size = Math.ceil(counts.reduce((sum, count, value) => sum + count * lengths[value], 0) / 8);
  const head = LENGTH_BYTES + tableBytes(cells.bits);
  const out = new Uint8Array(head + size);
  new DataView(out.buffer).setUint32(0, size, true);
  lengths.forEach((length, value) => (out[LENGTH_BYTES + (value >> 1)] |= length << (4 * (value & 1))));
  let waiting = 0;
  let held = 0;
  let at = head;
  eachNumber(bytes, cells, (value) => {
    waiting |= codes[value] << held;
    for (held += lengths[value]; held >= 8; held -= 8) {
      out[at++] = waiting;
      waiting >>>= 8;
    }
  });
  if (held > 0) out[at] = waiting;
  return out;
}

/**
 * Lengths of the codes of numbers by how often each occurs: Huffman's, as long as none is above 15; else of counts halved,
 * rounded up, until they are (15 bits are enough for any 4096 equal counts).
 */
export function codeLengths(counts: ArrayLike<number>): Uint8Array {
  for (let now = Float64Array.from(counts); ; now = now.map((count) => Math.ceil(count / 2))) {
    const lengths = huffmanLengths(now);
    if (lengths.every((length) => length <= LONGEST)) return lengths;
  }
}

function huffmanLengths(counts: Float64Array): Uint8Array {
  const values = Array.from(counts.keys()).filter((value) => counts[value] > 0);
  values.sort((a, b) => counts[a] - counts[b] || a - b);
  const n = values.length;
  const lengths = new Uint8Array(counts.length);
  if (n === 1) lengths[values[0]] = 1;
  if (n < 2) return lengths;
  // Leaves from the rarest on, then the pairs in the order in which they are made, which is that of their counts.
  const weights = Float64Array.from({ length: 2 * n - 1 }, (_, i) => (i < n ? counts[values[i]] : Infinity));
  const parents = new Int32Array(2 * n - 1);
  let leaf = 0;
  let pair = n;
  for (let made = n; made < 2 * n - 1; made++) {
    let sum = 0;
    for (let child = 0; child < 2; child++) {
      const least = leaf < n && weights[leaf] <= weights[pair] ? leaf++ : pair++;
      sum += weights[least];
      parents[least] = made;
    }
    weights[made] = sum;
  }
  const depths = new Int32Array(2 * n - 1);
  for (let i = 2 * n - 3; i >= 0; i--) depths[i] = depths[parents[i]] + 1;
  // Longer than a byte holds is too long in any case.
  values.forEach((value, i) => (lengths[value] = Math.min(255, depths[i])));
  return lengths;
}

/** The code of each number, its first bit the lowest. */
function canonicalCodes(lengths: Uint8Array): Uint16Array {
  const codes = new Uint16Array(lengths.length);
  let next = 0;
  for (let length = 1; length <= LONGEST; length++, next *= 2) {
    lengths.forEach((own, value) => {
      if (own === length) codes[value] = reversed(next++, length);
    });
  }
  return codes;
}

function reversed(code: number, length: number): number {
  let turned = 0;
  for (let i = 0; i < length; i++) turned |= ((code >> i) & 1) << (length - 1 - i);
  return turned;
}

/** Least bytes that a part takes: a bit for each number. What is set aside for numbers is bounded by it. */
export const leastHuffmanBytes = ({ bits, count }: Cells): number =>
  LENGTH_BYTES + tableBytes(bits) + Math.ceil(count / 8);

/**
 * Reads a part that begins at `from`; its numbers go to `out`, packed from byte `to` on. Returns where it ends; undefined
 * for bytes that are no such part: cut, lengths that make no complete code, or not as many numbers as there should be.
 */
export function readHuffman(
  bytes: Uint8Array,
  from: number,
  { bits, count }: Cells,
  out: Uint8Array,
  to: number,
): number | undefined {
  const head = from + LENGTH_BYTES + tableBytes(bits);
  if (head > bytes.length) return undefined;
  const size = new DataView(bytes.buffer, bytes.byteOffset).getUint32(from, true);
  const end = head + size;
  if (end > bytes.length) return undefined;
  const lengths = Uint8Array.from(
    { length: 2 ** bits },
    (_, value) => (bytes[from + LENGTH_BYTES + (value >> 1)] >> (4 * (value & 1))) & 15,
  );
  const longest = lengths.reduce((most, length) => Math.max(most, length), 0);
  const filled = lengths.reduce((sum, length) => sum + (length > 0 ? 2 ** (longest - length) : 0), 0);
  const isAlone = longest === 1 && filled === 1;
  if (longest === 0 || (filled !== 2 ** longest && !isAlone)) return undefined;

  const byteAt = (place: number): number => (place < end ? bytes[place] : 0);
  // By the next bits: the number, and above it the length of its code; 0 where no code is.
  const table = new Uint16Array(2 ** longest);
  const codes = canonicalCodes(lengths);
  lengths.forEach((length, value) => {
    if (length > 0)
      for (let i = codes[value]; i < table.length; i += 2 ** length) table[i] = value | (length << WIDEST);
  });
  const mask = table.length - 1;
  let waiting = 0;
  let held = 0;
  let at = head;
  let done = 0;
  let full = 0;
  for (let i = 0; i < count; i++) {
    // Behind the end are zeros; that they were used shows below.
    for (; held < longest; held += 8) waiting |= byteAt(at++) << held;
    const entry = table[waiting & mask];
    const length = entry >> WIDEST;
    if (length === 0) return undefined;
    waiting >>>= length;
    held -= length;
    done |= (entry & (2 ** WIDEST - 1)) << full;
    for (full += bits; full >= 8; full -= 8) {
      out[to++] = done;
      done >>>= 8;
    }
  }
  if (full > 0) out[to] = done;
  const used = 8 * (at - head) - held;
  // All bytes are used, and what is left of the last is zeros.
  const isWhole = Math.ceil(used / 8) === size && (used % 8 === 0 || bytes[end - 1] >> (used % 8) === 0);
  return isWhole ? end : undefined;
}
