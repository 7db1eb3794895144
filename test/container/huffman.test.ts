/** Huffman codes: as short as such codes can be, and whatever is read ends in numbers or in nothing. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { verifyChecksum } from '../../src/container/checksum.ts';
import { codeLengths, huffmanBytes, leastHuffmanBytes, readHuffman } from '../../src/container/huffman.ts';
import { writePacked } from '../../src/container/pack.ts';
import { PACKED_KEY, unpackSafetensors } from '../../src/container/packed.ts';
import { readSafetensors } from '../../src/container/safetensors.ts';
import { EspalierError } from '../../src/base/errors.ts';
import { packCodes } from '../../src/encodings/bits.ts';

/** The least sum of counts times lengths, by joining the two rarest again and again. */
function leastBits(counts: readonly number[]): number {
  const left = counts.filter((count) => count > 0).sort((a, b) => a - b);
  if (left.length === 1) return left[0];
  let bits = 0;
  while (left.length > 1) {
    const sum = left[0] + left[1];
    bits += sum;
    left.splice(0, 2);
    left.push(sum);
    left.sort((a, b) => a - b);
  }
  return bits;
}

const numbers = fc
  .record({
    bits: fc.integer({ min: 1, max: 12 }),
    count: fc.integer({ min: 1, max: 300 }),
    like: fc.constantFrom(0, 1, 2, 4),
    seed: fc.infiniteStream(fc.nat(65535)),
  })
  .map(({ bits, count, like, seed }) => {
    // From one number alone to all alike.
    const draw = (): number => Math.floor(2 ** bits * ((seed.next().value as number) / 65536) ** like * 0.999);
    const values = Array.from({ length: count }, () => (like === 0 ? 2 ** bits - 1 : draw()));
    return { values, cells: { bits, count, columns: count } };
  });

describe('codes', () => {
  it('take the least bits in sum, fill the tree, and are at most 15 long', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(40), { minLength: 2, maxLength: 60 }), (counts) => {
        fc.pre(counts.some((count) => count > 0));
        const lengths = codeLengths(counts);
        expect(counts.reduce((sum, count, i) => sum + count * lengths[i], 0)).toBe(leastBits(counts));
        counts.forEach((count, i) => expect(lengths[i] > 0).toBe(count > 0));
        if (counts.filter((count) => count > 0).length > 1)
          expect(lengths.reduce((sum, length) => sum + (length > 0 ? 2 ** -length : 0), 0)).toBe(1);
      }),
    );
    // Fibonacci numbers make the deepest tree.
    const counts = [1, 1];
    while (counts.length < 40) counts.push(counts[counts.length - 1] + counts[counts.length - 2]);
    const lengths = codeLengths(counts);
    expect(Math.max(...lengths)).toBeLessThanOrEqual(15);
    expect(lengths.reduce((sum, length) => sum + 2 ** -length, 0)).toBe(1);
    expect(codeLengths(new Array<number>(4096).fill(1)).every((length) => length === 12)).toBe(true);
  });

  it('are canonical: of one length that of the lower number comes first, the shorter ones before', () => {
    // Lengths 1, 2, 3, 3 of numbers 2, 0, 1, 3: codes 0, 10, 110, 111, each from its first bit on.
    const values = [2, 2, 2, 2, 0, 0, 1, 3];
    const bytes = huffmanBytes(packCodes(values, 2), { bits: 2, count: 8, columns: 8 });
    expect([...bytes.subarray(0, 4)]).toEqual([2, 0, 0, 0]);
    expect([...bytes.subarray(4, 6)]).toEqual([0x32, 0x31]);
    const bits = [...bytes.subarray(6)].flatMap((byte) => Array.from({ length: 8 }, (_, i) => (byte >> i) & 1));
    expect(bits.join('')).toBe('0000' + '10' + '10' + '110' + '111' + '00');
  });
});

describe('a part', () => {
  it('comes back, wherever it lies, and ends where it ends', () => {
    fc.assert(
      fc.property(numbers, fc.nat(5), ({ values, cells }, before) => {
        const packed = packCodes(values, cells.bits);
        const part = huffmanBytes(packed, cells);
        expect(part.length).toBeGreaterThanOrEqual(leastHuffmanBytes(cells));
        const bytes = Uint8Array.from([...new Array<number>(before).fill(255), ...part, 255, 255]);
        const out = new Uint8Array(before + packed.length);
        expect(readHuffman(bytes, before, cells, out, before)).toBe(before + part.length);
        expect(out.subarray(before)).toEqual(packed);
      }),
      { numRuns: 200 },
    );
  });

  it('that is cut anywhere, or has a bit more or less, is none or other numbers of that width', () => {
    fc.assert(
      fc.property(numbers, fc.nat(), ({ values, cells }, at) => {
        const packed = packCodes(values, cells.bits);
        const part = huffmanBytes(packed, cells);
        const cut = part.subarray(0, at % part.length);
        expect(readHuffman(cut, 0, cells, new Uint8Array(packed.length), 0)).toBeUndefined();
        const flipped = part.slice();
        flipped[(at >> 3) % part.length] ^= 1 << (at & 7);
        const end = readHuffman(flipped, 0, cells, new Uint8Array(packed.length), 0);
        expect([undefined, part.length]).toContain(end);
        // One number more or less than there are.
        const more = { ...cells, count: cells.count + 1 };
        const less = { ...cells, count: cells.count - 1 };
        for (const wrong of [more, less]) {
          const out = new Uint8Array(packed.length + 2);
          const found = readHuffman(part, 0, wrong, out, 0);
          // Bits of the last byte that are left over may be another number, or the last one zeros.
          if (found !== undefined) expect(found).toBe(part.length);
        }
      }),
      { numRuns: 300 },
    );
  });

  it('with codes that are too many, too few or none is none', () => {
    const cells = { bits: 2, count: 4, columns: 4 };
    const read = (...lengths: number[]): number | undefined =>
      readHuffman(Uint8Array.from([1, 0, 0, 0, ...lengths, 0]), 0, cells, new Uint8Array(1), 0);
    expect(read(0x11, 0)).toBe(7);
    expect(read(0x01, 0)).toBe(7);
    expect(read(0x11, 1)).toBeUndefined();
    expect(read(0x12, 0)).toBeUndefined();
    expect(read(0x02, 0)).toBeUndefined();
    expect(read(0, 0)).toBeUndefined();
  });
});

describe('a file packed by Huffman codes', () => {
  const codes = Uint8Array.from({ length: 3000 }, (_, i) => ((i * i) % 7) * ((i >> 3) % 3));
  const cells = [{ bits: 4, count: 3000, columns: 30 }];
  const packed = packCodes(codes, 4);
  const tensors = [
    { name: 'f', dtype: 'F32', shape: [2], bytes: new Uint8Array(8).fill(63) },
    { name: 'c', dtype: 'U8', shape: [packed.length], bytes: packed, cells },
    { name: 'n', dtype: 'U8', shape: [5], bytes: Uint8Array.of(1, 2, 3, 4, 5) },
  ] as const;
  const file = writePacked(tensors, { espalier: 'x' }, 'huffman')!;

  it('says so by its version, is smaller, and comes back', () => {
    verifyChecksum('test', file);
    const outer = readSafetensors(file);
    expect(outer.metadata.get(PACKED_KEY)).toBe('2');
    expect(readSafetensors(writePacked(tensors, {})!).metadata.get(PACKED_KEY)).toBe('1');
    const { tensors: found } = unpackSafetensors(outer);
    for (const { name, bytes } of tensors) expect(found.get(name)?.bytes).toEqual(bytes);
    expect(file.length).toBeLessThan(packed.length);
  });

  it('ends in an error of the contract or in tensors, whatever its bytes are', () => {
    const start = file.length - readSafetensors(file).tensors.get('packed')!.bytes.length;
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(file.length - start - 1), fc.nat(255)), { minLength: 1, maxLength: 3 }),
        (changes) => {
          const changed = file.slice();
          for (const [at, byte] of changes) changed[start + at] = byte;
          try {
            unpackSafetensors(readSafetensors(changed));
          } catch (error) {
            expect(error).toBeInstanceOf(EspalierError);
          }
        },
      ),
      { numRuns: 200 },
    );
  });
});
