import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { verifyChecksum } from '../../src/container/checksum.ts';
import { createCellCoder } from '../../src/container/cells.ts';
import { writePacked } from '../../src/container/pack.ts';
import type { PackableArray } from '../../src/container/pack.ts';
import { PACKED_KEY, PACKED_TENSOR, unpackSafetensors } from '../../src/container/packed.ts';
import { rangeEncoder } from '../../src/container/range-coder.ts';
import { DTYPE_BYTES, readSafetensors, writeSafetensors } from '../../src/container/safetensors.ts';
import type { Dtype } from '../../src/container/safetensors.ts';
import { codeText } from '../../src/container/text-model.ts';
import { EspalierError } from '../../src/base/errors.ts';
import { normal, stream } from '../../src/base/random.ts';
import { expectCode } from './files.ts';

/** What is packed of tensors and metadata, as it comes back. */
function unpacked(file: Uint8Array) {
  verifyChecksum('test', file);
  const { tensors, metadata } = unpackSafetensors(readSafetensors(file));
  return { tensors: [...tensors].map(([name, stored]) => ({ ...stored, name })), metadata: [...metadata].slice(0, -2) };
}

const random = (length: number, seed = 1): Uint8Array => {
  const draw = stream(seed, 'bytes');
  return Uint8Array.from({ length }, () => 256 * draw());
};

const tensor = fc
  .record({
    dtype: fc.constantFrom(...(Object.keys(DTYPE_BYTES) as Dtype[])),
    shape: fc.array(fc.integer({ min: 0, max: 5 }), { maxLength: 3 }),
    like: fc.constantFrom('noise', 'small', 'zeros'),
    seed: fc.nat(1000),
  })
  .map(({ dtype, shape, like, seed }): Omit<PackableArray, 'name'> => {
    const length = shape.reduce((product, side) => product * side, 1) * DTYPE_BYTES[dtype];
    const bytes = random(length, seed).map((byte) => (like === 'noise' ? byte : like === 'small' ? byte & 3 : 0));
    return { dtype, shape, bytes };
  });

/** Numbers of any width, in several runs, the bits behind the last of a run at times set. */
const numbers = fc
  .record({
    runs: fc.array(
      fc.tuple(fc.integer({ min: 1, max: 16 }), fc.integer({ min: 1, max: 400 }), fc.integer({ min: 1, max: 9 })),
      { minLength: 1, maxLength: 3 },
    ),
    like: fc.constantFrom(255, 17, 0),
    seed: fc.nat(1000),
  })
  .map(({ runs, like, seed }): Omit<PackableArray, 'name'> => {
    const cells = runs.map(([bits, count, columns]) => ({ bits, count, columns: Math.min(columns, count) }));
    const length = cells.reduce((sum, { bits, count }) => sum + Math.ceil((bits * count) / 8), 0);
    return { dtype: 'U8', shape: [length], bytes: random(length, seed).map((byte) => byte & like), cells };
  });

const tensors = fc
  .array(fc.oneof(tensor, numbers), { maxLength: 5 })
  .map((all) => all.map((one, i): PackableArray => ({ ...one, name: `t${i}` })));
const metadata = fc
  .uniqueArray(fc.tuple(fc.string({ unit: 'grapheme' }), fc.string({ unit: 'grapheme', maxLength: 60 })), {
    selector: ([key]) => key,
    maxLength: 3,
  })
  .filter((pairs) => pairs.every(([key]) => !key.startsWith('espalier')))
  .map((pairs) => new Map(pairs));

describe('a packed file', () => {
  it('gives back tensors of every type, numbers of every width, and metadata, bit by bit and in their order', () => {
    fc.assert(
      fc.property(tensors, metadata, (given, texts) => {
        const file = writePacked(given, texts);
        expect(file).toBeDefined();
        const read = unpacked(file!);
        expect(read.tensors).toEqual(given.map(({ name, dtype, shape, bytes }) => ({ dtype, shape, bytes, name })));
        expect(read.metadata).toEqual([...texts]);
      }),
      { numRuns: 25 },
    );
  });

  it('is the same for the same tensors, leaves them as they were, and is a file of one tensor to any other reader', () => {
    const given: PackableArray[] = [{ name: 'a', dtype: 'F32', shape: [50], bytes: random(200) }];
    const before = given[0].bytes.slice();
    const file = writePacked(given, { text: 'a text, a text, a text' })!;
    expect(writePacked(given, { text: 'a text, a text, a text' })).toEqual(file);
    expect(given[0].bytes).toEqual(before);
    const { tensors, metadata } = readSafetensors(file);
    expect([...tensors.keys()]).toEqual([PACKED_TENSOR]);
    expect(metadata.get(PACKED_KEY)).toBe('1');
  });

  it('takes what levels and halves of a normal distribution are worth: within 2 % of the entropy', () => {
    const draw = stream(3, 'levels');
    const levels = Uint8Array.from({ length: 30_000 }, () =>
      Math.min(255, Math.max(0, Math.round(128 + 3 * normal(draw)))),
    );
    const cells = [{ bits: 8, count: levels.length, columns: 100 }];
    const size =
      writePacked([{ name: 'l', dtype: 'U8', shape: [levels.length], bytes: levels, cells }], {})!.length - 300;
    // Of a normal distribution with steps of a third: log2(3 sqrt(2 pi e)) bits.
    expect(size).toBeLessThan((1.02 * levels.length * Math.log2(3 * Math.sqrt(2 * Math.PI * Math.E))) / 8);
    // Rows of other widths are told apart.
    const rows = levels.map((level, i) => 128 + Math.round(((level - 128) * (1 + (Math.floor(i / 100) % 4))) / 4));
    const by = (columns: number): number =>
      writePacked(
        [{ name: 'l', dtype: 'U8', shape: [rows.length], bytes: rows, cells: [{ ...cells[0], columns }] }],
        {},
      )!.length;
    expect(by(100)).toBeLessThan(0.99 * by(rows.length));
  });

  it('stores as it is what does not become smaller', () => {
    expect(writePacked([{ name: 'n', dtype: 'U8', shape: [5000], bytes: random(5000) }], {})!.length).toBeLessThan(
      5400,
    );
  });

  it('is not written where reading would refuse it: a thousand times what is coded', () => {
    expect(
      writePacked([{ name: 'z', dtype: 'U8', shape: [150_000], bytes: new Uint8Array(150_000) }], {}),
    ).toBeUndefined();
  });
});

/** A packed file of this header, whatever it says, and any bytes behind it. */
function fileOf(header: string, { raw = new Uint8Array(0), version = '1' } = {}): Uint8Array {
  const encoder = rangeEncoder();
  const text = new TextEncoder().encode(header);
  codeText(encoder, text);
  const coded = encoder.finish();
  const lengths = new Uint8Array(new Uint32Array([text.length, coded.length]).buffer);
  const packed = Uint8Array.from([...lengths, ...coded, ...raw]);
  return writeSafetensors([{ name: PACKED_TENSOR, dtype: 'U8', shape: [packed.length], bytes: packed }], {
    [PACKED_KEY]: version,
  });
}
const unpack = (file: Uint8Array) => unpackSafetensors(readSafetensors(file));

describe('a packed file of strangers', () => {
  const raw = new Uint8Array(4);
  const of = (parts: unknown, dtype = 'U8', shape: unknown = [4]): string =>
    JSON.stringify({ a: { dtype, shape, parts } });
  const good = of([0, 8, 4, 4]);

  it('is refused by name for each field that is wrong', () => {
    expect(unpack(fileOf(good, { raw })).tensors.get('a')?.bytes).toEqual(raw);
    expect(unpack(fileOf(good, { raw, version: '2' })).tensors.get('a')?.bytes).toEqual(raw);
    expectCode(() => unpack(fileOf(good, { raw, version: '3' })), 'UNSUPPORTED_VERSION');
    // Huffman codes: of version 2, of numbers up to 12 bits, as many as bits can hold, and whole.
    const coded = new Uint8Array(133);
    expectCode(() => unpack(fileOf(of([3, 8, 4, 4]), { raw: coded })), 'FIELD');
    expectCode(() => unpack(fileOf(of([3, 8, 4, 4]), { raw: coded, version: '2' })), 'LAYOUT');
    expectCode(() => unpack(fileOf(of([3, 8, 4, 4]), { raw, version: '2' })), 'LAYOUT');
    expectCode(() => unpack(fileOf(of([3, 16, 2, 2]), { raw: coded, version: '2' })), 'FIELD');
    expectCode(() => unpack(fileOf(of([3, 8, 2 ** 40, 1], 'U8', [2 ** 40]), { raw: coded, version: '2' })), 'LAYOUT');
    expectCode(() => unpack(fileOf(good)), 'LAYOUT');
    expectCode(() => unpack(fileOf(good, { raw: new Uint8Array(5) })), 'LAYOUT');
    expectCode(() => unpack(fileOf(`${good.slice(0, -1)},${good.slice(1)}`, { raw })), 'DUPLICATE');
    expectCode(() => unpack(fileOf('{"__metadata__":{"a":1}}')), 'FIELD');
    for (const parts of [
      undefined,
      ['0', 8, 4, 4],
      [4, 8, 4, 4],
      [0, 17, 2, 2],
      [0, 0, 4, 4],
      [0, 8, 4, 5],
      [0, 8, 4, 0],
      [1, 16, 2, 2],
      [0, 8, 3, 3],
      [0, 8, 4],
      [0, 8, 4, 4, 0],
      [0, 8, 4, 4, 0, 8, 4, 4],
      [0, 8, -4, 4],
      [0, 8, 4.5, 4],
    ])
      expectCode(() => unpack(fileOf(of(parts), { raw })), 'FIELD');
    expectCode(() => unpack(fileOf(of([0], 'F32', [1]), { raw })), 'FIELD');
    expectCode(() => unpack(fileOf(of([1, 0], 'F32', [1]), { raw })), 'FIELD');
    expectCode(() => unpack(fileOf(of([1], 'F16', [2]), { raw })), 'FIELD');
    expectCode(() => unpack(fileOf(of([0, 8, 4, 4], 'F8'), { raw })), 'FIELD');
    expectCode(() => unpack(fileOf(of([0, 8, 4, 4], 'U8', [2 ** 32, 2 ** 32]), { raw })), 'SHAPE');
    expectCode(() => unpack(fileOf('{"a":')), 'HEADER');
    expectCode(() => unpack(fileOf('[]')), 'HEADER');
    const tensors = [{ name: 'other', dtype: 'U8', shape: [0], bytes: new Uint8Array(0) }] as const;
    expectCode(() => unpack(writeSafetensors(tensors, { [PACKED_KEY]: '1' })), 'LAYOUT');
  });

  it('sets nothing aside by what it says: bombs of text and of tensors are BUDGET or LAYOUT', () => {
    const bomb = (length: number, model: number): string => of([model, 8, length, length], 'U8', [length]);
    expectCode(() => unpack(fileOf(bomb(1e6, 2))), 'BUDGET');
    expectCode(() => unpack(fileOf(bomb(2 ** 40, 2))), 'BUDGET');
    expectCode(() => unpack(fileOf(bomb(2 ** 40, 0))), 'LAYOUT');
    const packed = fileOf(good, { raw });
    const start = packed.length - readSafetensors(packed).tensors.get(PACKED_TENSOR)!.bytes.length;
    packed.set([255, 255, 255, 255], start);
    expectCode(() => unpack(packed), 'BUDGET');
    packed.set([255, 255, 255, 255], start + 4);
    expectCode(() => unpack(packed), 'LAYOUT');
  });

  it('ends in an error of the contract or in tensors, whatever its bytes are', () => {
    const good = writePacked(
      [
        { name: 'w', dtype: 'F16', shape: [40], bytes: random(80).map((byte) => byte & 15) },
        {
          name: 'c',
          dtype: 'U8',
          shape: [60],
          bytes: random(60).map((byte) => byte & 3),
          cells: [{ bits: 4, count: 120, columns: 10 }],
        },
      ],
      { espalier: 'nothing' },
    )!;
    const start = good.length - readSafetensors(good).tensors.get(PACKED_TENSOR)!.bytes.length;
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(good.length - start - 1), fc.nat(255)), { minLength: 1, maxLength: 4 }),
        (changes) => {
          const file = good.slice();
          for (const [at, byte] of changes) file[start + at] = byte;
          try {
            unpack(file);
          } catch (error) {
            expect(error).toBeInstanceOf(EspalierError);
          }
        },
      ),
      { numRuns: 50 },
    );
  });
});

describe('the coding of version 1', () => {
  it('is for ever: states, tables and contexts give these bytes', () => {
    const encoder = rangeEncoder();
    codeText(encoder, new TextEncoder().encode('{"name":"conv1","kind":"conv"},{"name":"conv2","kind":"conv"}'));
    const levels = Uint8Array.from({ length: 64 }, (_, i) => (i * i * 7) % 23);
    const cells = createCellCoder(encoder, 1000);
    const part = { bits: 8, count: 64, columns: 8, first: 0 };
    cells.code({ ...part, model: 2, stride: 0 }, levels.slice());
    cells.code({ ...part, model: 1, stride: 0 }, levels.slice());
    cells.code({ ...part, count: 32, model: 2, stride: 2, leading: 6 }, levels.slice());
    expect(Buffer.from(encoder.finish()).toString('base64')).toMatchInlineSnapshot(
      `"g/Wszh2gzDBgzE9KsoePMyDunrpg1yJRIETkJBSDJSPMvMbavSNznUz8gNtcr+siYrE+dsFWjScuAn7RoPvotKzS0LCnRW2nMyvz4HK5z89Pl3GqU8kl4w1vo3zLnE6UqQUlf/0c9AjfqUKAxuLn7A/ilbC5ObJnsBiBNg/5bMwDC+KpWRMhbjCH0CORvuZT"`,
    );
  });
});
