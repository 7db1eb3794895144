import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { EspalierError } from '../../src/base/errors.ts';
import { normal, stream } from '../../src/base/random.ts';
import { crc32, writeChecked } from '../../src/container/checksum.ts';
import { writePacked } from '../../src/container/pack.ts';
import type { PackableArray } from '../../src/container/pack.ts';
import { PATCH_KEY } from '../../src/container/packed.ts';
import { applyPatch, diffFiles } from '../../src/container/patch.ts';
import { rangeEncoder } from '../../src/container/range-coder.ts';
import { DTYPE_BYTES, readSafetensors, writeSafetensors } from '../../src/container/safetensors.ts';
import type { Dtype, NamedArray } from '../../src/container/safetensors.ts';
import { codeText } from '../../src/container/text-model.ts';
import { expectCode } from './files.ts';

const random = (length: number, seed = 1): Uint8Array => {
  const draw = stream(seed, 'bytes');
  return Uint8Array.from({ length }, () => 256 * draw());
};

/** Tensors of any type, and what became of them: as they were, a few bits or all of them changed, others of the same name. */
const pair = fc
  .array(
    fc.record({
      dtype: fc.constantFrom(...(Object.keys(DTYPE_BYTES) as Dtype[])),
      size: fc.nat(40),
      change: fc.constantFrom('none', 'bit', 'all', 'longer', 'dtype', 'gone', 'come'),
      bits: fc.integer({ min: 1, max: 16 }),
      seed: fc.nat(1000),
    }),
    { maxLength: 5 },
  )
  .map((all): [PackableArray[], PackableArray[]] => {
    const of = (side: 0 | 1): PackableArray[] =>
      all.flatMap(({ dtype, size, change, bits, seed }, i): PackableArray[] => {
        if (change === (side === 0 ? 'come' : 'gone')) return [];
        const other = side === 1 && change === 'dtype' ? (dtype === 'F32' ? 'I32' : 'F32') : dtype;
        const count = size + (side === 1 && change === 'longer' ? 3 : 0);
        const bytes = random(count * DTYPE_BYTES[other], side === 1 && change === 'all' ? seed + 1 : seed);
        if (side === 1 && change === 'bit' && bytes.length > 0) bytes[seed % bytes.length] ^= 1 << (seed % 8);
        // Packed numbers, the bits behind the last at times set.
        const numbers = Math.floor((8 * bytes.length) / bits);
        const cells =
          other === 'U8' && Math.ceil((numbers * bits) / 8) === bytes.length && numbers > 0
            ? { cells: [{ bits, count: numbers, columns: Math.min(7, numbers) }] }
            : {};
        return [{ name: `t${i}`, dtype: other, shape: [count], bytes, ...cells }];
      });
    return [of(0), of(1)];
  });
const asFile = (tensors: readonly PackableArray[], form: number, text: string): Uint8Array =>
  form === 0
    ? writeSafetensors(tensors, { text })
    : form === 1
      ? writeChecked(tensors, { text })
      : writePacked(tensors, { text }, form === 2 ? 'smallest' : 'huffman')!;

describe('a patch', () => {
  it('gives any file back bit by bit, plain or packed in either way, of a base that is plain or packed', () => {
    fc.assert(
      fc.property(pair, fc.nat(3), fc.nat(3), fc.string({ unit: 'grapheme' }), ([before, after], one, two, text) => {
        const [base, file] = [asFile(before, one, 'a text'), asFile(after, two, text)];
        const patch = diffFiles(base, file);
        expect(applyPatch(base, patch)).toEqual(file);
        expect(diffFiles(base, file)).toEqual(patch);
      }),
      { numRuns: 25 },
    );
  });

  const draw = stream(1, 'values');
  const codes = random(20_000);
  const values = Float32Array.from({ length: 2000 }, () => normal(draw));
  const bytesOf = ({ buffer }: Float32Array): Uint8Array => new Uint8Array(buffer as ArrayBuffer);
  const file = (codes: Uint8Array, values: Float32Array, packed: boolean): Uint8Array => {
    const tensors: NamedArray[] = [
      { name: 'codes', dtype: 'U8', shape: [codes.length], bytes: codes },
      { name: 'codewords', dtype: 'F32', shape: [values.length], bytes: bytesOf(values) },
    ];
    return packed ? writePacked(tensors, {})! : writeChecked(tensors);
  };

  it.each([false, true])(
    'takes nothing for what stays and a few bits for what moved a little, packed: %s',
    (packed) => {
      const base = file(codes, values, packed);
      expect(diffFiles(base, base).length).toBeLessThan(280);
      // A step of 1e-4 is some 2^10 floats from a number near 1: 10 bits and a sign, and what else the size takes.
      const moved = values.map((value) => value + 1e-4 * normal(draw));
      const size = diffFiles(base, file(codes, moved, packed)).length;
      expect(size).toBeLessThan(280 + (2000 * 13.5) / 8);
      const relabelled = codes.map((code, i) => (i % 100 === 0 ? code ^ 1 : code));
      // The entropy of one in a hundred: 0.081 bits each, and which of two ways.
      expect(diffFiles(base, file(relabelled, values, packed)).length).toBeLessThan(
        280 + 1.15 * ((20_000 * 0.091) / 8),
      );
    },
  );

  it('is hardly longer than the file where all is new', () => {
    const base = file(codes, values, true);
    const other = file(
      random(20_000, 9),
      values.map(() => normal(draw)),
      true,
    );
    expect(diffFiles(base, other).length).toBeLessThan(1.01 * other.length);
    expect(applyPatch(base, diffFiles(base, other))).toEqual(other);
  });

  it('of what becomes a thousandth of itself is as long as reading allows', () => {
    const zeros = writeSafetensors([{ name: 'z', dtype: 'U8', shape: [200_000], bytes: new Uint8Array(200_000) }]);
    const base = writeSafetensors([]);
    expect(applyPatch(base, diffFiles(base, zeros))).toEqual(zeros);
  });

  it('leaves a packed file that others put metadata around to its owner', () => {
    const { tensors, metadata } = readSafetensors(file(codes, values, true));
    const around = writeSafetensors(
      [...tensors].map(([name, stored]) => ({ name, ...stored })),
      new Map([...metadata, ['by', 'others']]),
    );
    expectCode(() => diffFiles(around, around), 'UNSUPPORTED');
  });
});

describe('a patch that does not belong, is damaged or hostile', () => {
  const tensors = (shift: number): NamedArray[] => [
    { name: 'a', dtype: 'U8', shape: [40], bytes: random(40).map((byte, i) => (i % 9 === 0 ? byte + shift : byte)) },
    { name: 'b', dtype: 'F16', shape: [9], bytes: random(18, shift) },
  ];
  const [base, file] = [writeChecked(tensors(0), { t: 'x' }), writeChecked(tensors(1), { t: 'y' })];
  const patch = diffFiles(base, file);

  it('is refused on every other base, and what is no patch by name', () => {
    expect(expectCode(() => applyPatch(file, patch), 'CHECKSUM').message).toContain(
      'the file that the patch was made from',
    );
    for (let i = 0; i < base.length; i += 3) {
      const other = base.map((byte, at) => (at === i ? byte ^ 16 : byte));
      expectCode(() => applyPatch(other, patch), 'CHECKSUM');
    }
    expectCode(() => applyPatch(base, file), 'MISSING');
    expect(() => applyPatch(base, 'patch' as never)).toThrow(TypeError);
    expect(() => diffFiles({} as never, base)).toThrow(TypeError);
  });

  it('is an error for each cut and each flipped bit', () => {
    for (let length = 0; length < patch.length; length++)
      expect(() => applyPatch(base, patch.subarray(0, length))).toThrow(EspalierError);
    for (let bit = 0; bit < 8 * patch.length; bit++) {
      const flipped = patch.slice();
      flipped[bit >> 3] ^= 1 << (bit & 7);
      expect(() => applyPatch(base, flipped)).toThrow(EspalierError);
    }
  });

  const digest = (bytes: Uint8Array): string => `${bytes.length} ${crc32(bytes).toString(16).padStart(8, '0')}`;
  /** A patch with a right checksum and any bytes in it. */
  const hostile = (bytes: Uint8Array, { version = '1', result = digest(file) } = {}): Uint8Array =>
    writeChecked(
      [{ name: 'patch', dtype: 'U8', shape: [bytes.length], bytes }],
      new Map([
        [PATCH_KEY, version],
        ['base', digest(base)],
        ['result', result],
      ]),
    );
  const contents = readSafetensors(patch).tensors.get('patch')!.bytes;

  it('is an error whatever its bytes are, its checksum being right, and never another file', () => {
    expect(applyPatch(base, hostile(contents))).toEqual(file);
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
        expect(() => applyPatch(base, hostile(bytes))).toThrow(EspalierError);
      }),
      { numRuns: 60 },
    );
    for (let i = 0; i < contents.length; i++) {
      const bytes = contents.map((byte, at) => (at === i ? byte ^ 85 : byte));
      let made: Uint8Array | undefined;
      try {
        made = applyPatch(base, hostile(bytes));
      } catch (error) {
        expect(error).toBeInstanceOf(EspalierError);
      }
      // Of the last bytes some say the same.
      if (made) expect(made).toEqual(file);
    }
    expectCode(() => applyPatch(base, hostile(contents, { version: '2' })), 'UNSUPPORTED_VERSION');
    expectCode(() => applyPatch(base, hostile(contents, { result: digest(base) })), 'CHECKSUM');
    expectCode(() => applyPatch(base, hostile(contents.map((byte, i) => (i === 4 ? 2 : byte)))), 'LAYOUT');
    expectCode(() => applyPatch(base, hostile(contents.map((byte, i) => (i < 4 ? 255 : byte)))), 'BUDGET');
  });

  it('that promises a terabyte in a header of its own is refused before anything is allocated', () => {
    const promise = (shape: number, fate: number): Uint8Array => {
      const header = new TextEncoder().encode(
        JSON.stringify({ a: { dtype: 'U8', shape: [shape], data_offsets: [0, shape] } }),
      );
      const known = base.slice(8, 8 + new DataView(base.buffer).getUint32(0, true));
      const coder = rangeEncoder();
      codeText(coder, Uint8Array.from([...known, ...header]), known.length);
      // The fate of one piece, two bits at even chances as the counter has them at first.
      for (const bit of [fate >> 1, fate & 1]) coder.code(0x8000, bit);
      return hostile(Uint8Array.from([header.length, 0, 0, 0, 0, ...coder.finish()]));
    };
    expectCode(() => applyPatch(base, promise(2 ** 40, 2)), 'BUDGET');
    expectCode(() => applyPatch(base, promise(2 ** 40, 0)), 'LAYOUT');
    expectCode(() => applyPatch(base, promise(2 ** 40, 1)), 'LAYOUT');
    expectCode(() => applyPatch(base, promise(40, 3)), 'LAYOUT');
  });
});
