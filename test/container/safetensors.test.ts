import fc from 'fast-check';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { DTYPE_BYTES, readSafetensors, writeSafetensors } from '../../src/container/safetensors.ts';
import type { Dtype, NamedArray } from '../../src/container/safetensors.ts';
import { sizeOf } from '../../src/base/tensor.ts';
import { realData } from '../real-data.ts';
import { expectCode, rawFile, withHeaderLength } from './files.ts';

const names = fc.oneof(
  fc.string({ unit: 'grapheme', maxLength: 12 }),
  fc.constantFrom('__proto__', 'constructor', 'toString', 'hasOwnProperty', '', '\0', 'a"b\\c', 'é𝛑'),
);
const arrays = fc
  .record({
    name: names,
    dtype: fc.constantFrom(...(Object.keys(DTYPE_BYTES) as Dtype[])),
    shape: fc.array(fc.nat(3), { maxLength: 4 }),
    seed: fc.nat(255),
  })
  .map(({ name, dtype, shape, seed }): NamedArray => ({
    name,
    dtype,
    shape,
    bytes: Uint8Array.from({ length: sizeOf(shape) * DTYPE_BYTES[dtype] }, (_, i) => (seed + 31 * i) & 255),
  }));
const tensorLists = fc
  .uniqueArray(arrays, { selector: ({ name }) => name, maxLength: 8 })
  .filter((all) => all.every(({ name }) => name !== '__metadata__'));
const metadata = fc.dictionary(names, fc.string({ unit: 'grapheme' }), { maxKeys: 4, noNullPrototype: true });

const one = (entry: Record<string, unknown>, data: number): Uint8Array =>
  rawFile({ a: { dtype: 'U8', shape: [data], data_offsets: [0, data], ...entry } }, data);

describe('writeSafetensors and readSafetensors', () => {
  it('give back every tensor and all metadata, whatever the names, dtypes, zero sides and rank 0', () => {
    fc.assert(
      fc.property(tensorLists, metadata, (tensors, texts) => {
        const file = readSafetensors(writeSafetensors(tensors, texts));
        expect(new Set(file.tensors.keys())).toEqual(new Set(tensors.map(({ name }) => name)));
        for (const { name, dtype, shape, bytes } of tensors) {
          const found = file.tensors.get(name);
          expect({ ...found, bytes: Array.from(found?.bytes ?? []) }).toEqual({
            dtype,
            shape,
            bytes: Array.from(bytes),
          });
        }
        expect(file.metadata).toEqual(new Map(Object.entries(texts)));
      }),
    );
  });

  it('give the same bytes for the same tensors in any order, every tensor aligned to its element', () => {
    fc.assert(
      fc.property(tensorLists, fc.infiniteStream(fc.nat()), (tensors, random) => {
        const shuffled = tensors
          .map((tensor) => ({ tensor, key: random.next().value as number }))
          .sort((a, b) => a.key - b.key)
          .map(({ tensor }) => tensor);
        const bytes = writeSafetensors(tensors);
        expect(Buffer.compare(bytes, writeSafetensors(shuffled))).toBe(0);
        for (const { dtype, bytes: view } of readSafetensors(bytes).tensors.values())
          expect(view.byteOffset % DTYPE_BYTES[dtype]).toBe(0);
      }),
    );
  });

  it('refuse what no file can hold', () => {
    const tensor: NamedArray = { name: 'a', dtype: 'U8', shape: [1], bytes: new Uint8Array(1) };
    expect(() => writeSafetensors([tensor, tensor])).toThrow(/given twice/);
    expect(() => writeSafetensors([{ ...tensor, name: '__metadata__' }])).toThrow(/reserved/);
    expect(() => writeSafetensors([{ ...tensor, name: '\ud800' }])).toThrow(/surrogate/);
    expect(() => writeSafetensors([{ ...tensor, shape: [2] }])).toThrow(/expected 2 bytes/);
    expect(() => writeSafetensors([{ ...tensor, dtype: 'F8' as Dtype }])).toThrow(RangeError);
    expect(() => writeSafetensors([{ ...tensor, bytes: [0] as unknown as Uint8Array }])).toThrow(TypeError);
    expect(() => writeSafetensors([], { a: 1 as unknown as string })).toThrow(TypeError);
  });

  it('read a file that Python wrote, header in any order and padded or not', () => {
    const vector = JSON.parse(readFileSync(new URL('../vectors/safetensors.json', import.meta.url), 'utf8')) as {
      files: string[];
      tensors: Record<string, { dtype: Dtype; shape: number[]; hex: string }>;
      metadata: Record<string, string>;
    };
    expect(vector.files.length).toBe(3);
    for (const base64 of vector.files) {
      const { tensors, metadata: texts } = readSafetensors(Buffer.from(base64, 'base64'));
      expect(
        Object.fromEntries(
          [...tensors].map(([name, { dtype, shape, bytes }]) => [
            name,
            { dtype, shape, hex: Buffer.from(bytes).toString('hex') },
          ]),
        ),
      ).toEqual(vector.tensors);
      expect(Object.fromEntries(texts)).toEqual(vector.metadata);
    }
  });

  it.skipIf(realData === undefined)(
    'read a real file: 20 tensors of F32, 5,506,408 values, in less than half a second (measured: 2 ms)',
    () => {
      const bytes = readFileSync(join(realData ?? '', 'models/vgg-face68.safetensors'));
      const started = performance.now();
      const { tensors } = readSafetensors(bytes);
      expect(performance.now() - started).toBeLessThan(500);
      expect(tensors.size).toBe(20);
      expect(
        [...tensors.values()].reduce((sum, { dtype, shape }) => sum + (dtype === 'F32' ? sizeOf(shape) : NaN), 0),
      ).toBe(5_506_408);
    },
  );
});

describe('a damaged file', () => {
  it('is TRUNCATED at every cut from 0 to n - 1 bytes', () => {
    fc.assert(
      fc.property(tensorLists, (tensors) => {
        const last: NamedArray = { name: '~last', dtype: 'U8', shape: [2], bytes: new Uint8Array(2) };
        const file = writeSafetensors([...tensors.filter(({ name }) => name !== last.name), last], { note: 'x' });
        for (let length = 0; length < file.length; length++)
          expectCode(() => readSafetensors(file.subarray(0, length)), 'TRUNCATED');
      }),
      { numRuns: 20 },
    );
  });

  it('never ends in anything but an EspalierError or a right file, whatever bytes change', () => {
    const file = writeSafetensors(
      [
        { name: 'w', dtype: 'F32', shape: [2, 2], bytes: new Uint8Array(16) },
        { name: 'b', dtype: 'U8', shape: [3], bytes: new Uint8Array(3) },
      ],
      { k: 'v' },
    );
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(file.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 }),
        (changes) => {
          const copy = file.slice();
          for (const [at, byte] of changes) copy[at] = byte;
          try {
            for (const { dtype, shape, bytes } of readSafetensors(copy).tensors.values())
              expect(bytes.length).toBe(sizeOf(shape) * DTYPE_BYTES[dtype]);
          } catch (error) {
            expect((error as Error).name, String((error as Error).stack)).toBe('EspalierError');
          }
        },
      ),
      { numRuns: 3000 },
    );
  });

  it.each<[string, string | number[]]>([
    ['HTML', '<!DOCTYPE html><html>not found</html>'],
    ['HTML', '\n  <html>'],
    ['JSON', '{"error":"not found"}'],
    ['Git LFS', 'version https://git-lfs.github.com/spec/v1\noid sha256:0'],
    ['gzip', [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 1, 2, 3]],
    ['zip', [0x50, 0x4b, 3, 4, 20, 0, 0, 0, 8, 0]],
    ['.npy', [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0, 0x76, 0]],
    ['ONNX', [8, 7, 0x12, 7, 0x70, 0x79, 0x74, 0x6f, 0x72, 0x63, 0x68, 0x3a, 0x80, 4, 0x0a]],
    // Protobuf promises no order: a graph first, an operator set first, a description first.
    ['ONNX', [0x3a, 0x80, 4, 0x0a, 0x10, 0x0a, 1, 0x78, 0x12, 1]],
    ['ONNX', [0x42, 4, 0x0a, 0, 0x10, 13, 8, 7, 0x3a, 0x40, 0x0a]],
    ['ONNX', [0x32, 2, 0x61, 0x62, 0x28, 1, 8, 4, 0x42, 2, 0x10, 9]],
    ['no format known', [8, 7, 0x12, 7, 0x70, 0x79, 0x74, 0x6f, 0x72, 0x63, 0x68]],
    ['no format known', [0x3a, 0x80, 4, 0x0a, 0x10, 0x0a, 1, 0x78, 0x12, 1].map((byte) => byte ^ 1)],
    ['HDF5', [0x89, 0x48, 0x44, 0x46, 13, 10, 26, 10]],
    ['pickle', [0x80, 2, 0x8a, 10, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20]],
    ['TensorFlow Lite', [28, 0, 0, 0, 0x54, 0x46, 0x4c, 0x33, 20, 0]],
    ['PNG', [0x89, 0x50, 0x4e, 0x47, 13, 10, 26, 10, 0]],
    ['no format known', [9, 9, 9, 9, 9, 9, 9, 9, 9, 9]],
  ])('is BAD_MAGIC and said to look like %s', (name, bytes) => {
    const file = typeof bytes === 'string' ? new TextEncoder().encode(bytes) : Uint8Array.from(bytes);
    expect(expectCode(() => readSafetensors(file), 'BAD_MAGIC').message).toContain(name);
  });

  it.skipIf(realData === undefined)('a real ONNX file is BAD_MAGIC, said to be ONNX', () => {
    expect(
      expectCode(() => readSafetensors(readFileSync(join(realData ?? '', 'models/vgg-face68.onnx'))), 'BAD_MAGIC')
        .message,
    ).toContain('ONNX');
  });

  it('is refused by the header length alone: 0, over the cap, over the file, 2^32 - 1, 2^53, 2^63, 2^64 - 1', () => {
    const file = one({}, 4);
    expectCode(() => readSafetensors(withHeaderLength(file, 0n)), 'HEADER');
    expectCode(() => readSafetensors(withHeaderLength(file, 1n)), 'HEADER');
    expectCode(() => readSafetensors(withHeaderLength(file, BigInt(file.length - 7))), 'TRUNCATED');
    expectCode(() => readSafetensors(withHeaderLength(file, 100_000_001n)), 'TOO_LARGE');
    expectCode(() => readSafetensors(withHeaderLength(file, 2n ** 32n - 1n)), 'TOO_LARGE');
    for (const length of [2n ** 53n, 2n ** 63n, 2n ** 64n - 1n])
      expectCode(() => readSafetensors(withHeaderLength(file, length)), 'RANGE');
    expectCode(() => readSafetensors(file, { maxHeaderBytes: 16 }), 'TOO_LARGE');
  });

  it.each<[string, unknown]>([
    ['a list', '[1]'],
    ['spaces first', ' {}'],
    ['a byte order mark', '\ufeff{}'],
    ['invalid UTF-8', Uint8Array.from([0x7b, 0x22, 0xff, 0x22, 0x7d])],
    ['overlong UTF-8', Uint8Array.from([0x7b, 0x22, 0xc0, 0xaf, 0x22, 0x7d])],
    ['a surrogate in UTF-8', Uint8Array.from([0x7b, 0x22, 0xed, 0xa0, 0x80, 0x22, 0x7d])],
    ['depth 10,000', `{"a":${'['.repeat(10_000)}`],
    ['1e400', '{"a":1e400}'],
    ['a cut object', '{"a":'],
    ['text behind', '{}x'],
    ['a tensor that is a number', { a: 1 }],
    ['no dtype', { a: { shape: [], data_offsets: [0, 0] } }],
    ['no shape', { a: { dtype: 'U8', data_offsets: [0, 0] } }],
  ])('is HEADER with %s', (_, header) => {
    expectCode(() => readSafetensors(rawFile(header)), 'HEADER');
  });

  it('is DUPLICATE with a tensor, a field or a metadata key twice', () => {
    const entry = '{"dtype":"U8","shape":[0],"data_offsets":[0,0]}';
    expectCode(() => readSafetensors(rawFile(`{"a":${entry},"a":${entry}}`)), 'DUPLICATE');
    expectCode(
      () => readSafetensors(rawFile('{"a":{"dtype":"U8","dtype":"U8","shape":[0],"data_offsets":[0,0]}}')),
      'DUPLICATE',
    );
    expectCode(() => readSafetensors(rawFile('{"__metadata__":{"a":"","a":""}}')), 'DUPLICATE');
  });

  it('is LAYOUT with a gap, an overlap, two tensors on one range, bytes behind, a second file behind, or offsets that are none', () => {
    const entry = (begin: number, end: number): unknown => ({
      dtype: 'U8',
      shape: [end - begin],
      data_offsets: [begin, end],
    });
    expectCode(() => readSafetensors(rawFile({ a: entry(0, 2), b: entry(3, 5) }, 5)), 'LAYOUT');
    expectCode(() => readSafetensors(rawFile({ a: entry(1, 2) }, 2)), 'LAYOUT');
    expectCode(() => readSafetensors(rawFile({ a: entry(0, 3), b: entry(2, 5) }, 5)), 'LAYOUT');
    expectCode(() => readSafetensors(rawFile({ a: entry(0, 3), b: entry(0, 3) }, 3)), 'LAYOUT');
    expectCode(() => readSafetensors(rawFile({ a: entry(0, 3) }, 4)), 'LAYOUT');
    const file = one({}, 4);
    expectCode(() => readSafetensors(Buffer.concat([file, file])), 'LAYOUT');
    for (const offsets of [[-1, 3], [3, 0], [0.5, 4], ['0', 4], [0], [0, 4, 4], null, [true, 4], [-0.5, 4]])
      expectCode(() => readSafetensors(one({ data_offsets: offsets }, 4)), 'LAYOUT');
    expectCode(() => readSafetensors(rawFile(`{"a":{"dtype":"U8","shape":[4],"data_offsets":[-0,4]}}`, 4)), 'LAYOUT');
    for (const offset of [2 ** 53, 2 ** 63, 2 ** 64])
      expectCode(() => readSafetensors(one({ data_offsets: [0, offset] }, 4)), 'RANGE');
  });

  it('with 100,000 tensors on one range is LAYOUT within ten seconds', () => {
    const entry = '{"dtype":"U8","shape":[1],"data_offsets":[0,1]}';
    const file = rawFile(`{${Array.from({ length: 100_000 }, (_, i) => `"${i}":${entry}`).join(',')}}`, 1);
    const started = performance.now();
    expectCode(() => readSafetensors(file), 'LAYOUT');
    expect(performance.now() - started).toBeLessThan(10_000);
    expectCode(() => readSafetensors(file, { maxTensors: 1000 }), 'TOO_LARGE');
  });

  it('is SHAPE with sides that are no counts, a product over 2^53 (zero sides beside it too), too many axes, or bytes that do not fit', () => {
    for (const shape of [
      '[2,18446744073709551614]',
      '[2,9223372036854775807]',
      '[-1]',
      '[1.5]',
      '["1"]',
      '[4294967296,4294967296]',
      '[0,4503599627370496,4503599627370496]',
      '[-0]',
      `[${Array(33).fill(1).join(',')}]`,
      '[5]',
      '[]',
      '[0]',
    ]) {
      expectCode(
        () => readSafetensors(rawFile(`{"a":{"dtype":"U8","shape":${shape},"data_offsets":[0,4]}}`, 4)),
        'SHAPE',
      );
    }
    expectCode(
      () =>
        readSafetensors(
          rawFile('{"a":{"dtype":"U8","shape":[0,4503599627370496,4503599627370496],"data_offsets":[0,0]}}'),
        ),
      'SHAPE',
    );
    expect(
      readSafetensors(rawFile({ a: { dtype: 'U8', shape: [], data_offsets: [0, 1] } }, 1)).tensors.get('a')?.shape,
    ).toEqual([]);
    expect(
      readSafetensors(rawFile({ a: { dtype: 'U8', shape: [3, 0, 2], data_offsets: [0, 0] } })).tensors.get('a')?.bytes
        .length,
    ).toBe(0);
  });

  it('names dtypes that are not read: F8 and F4 UNSUPPORTED, unknown ones FIELD', () => {
    for (const dtype of ['F8_E4M3', 'F8_E5M2', 'F4'])
      expect(expectCode(() => readSafetensors(one({ dtype }, 4)), 'UNSUPPORTED').message).toContain(dtype);
    for (const dtype of ['F99', 'toString', '__proto__', ''])
      expectCode(() => readSafetensors(one({ dtype }, 4)), 'FIELD');
  });

  it('is FIELD with metadata that are not strings', () => {
    for (const value of [{ a: 1 }, { a: null }, { a: {} }, [], 'x', 1])
      expectCode(() => readSafetensors(rawFile({ __metadata__: value })), 'FIELD');
  });

  it('of 40 to 100 bytes that speaks of terabytes costs less than 1 MB', () => {
    const before = process.memoryUsage().arrayBuffers;
    for (const shape of ['[4294967295]', '[9223372036854775808]', '[1099511627776]']) {
      expectCode(
        () =>
          readSafetensors(rawFile(`{"a":{"dtype":"U8","shape":${shape},"data_offsets":[0,${shape.slice(1, -1)}]}}`)),
        'TRUNCATED',
        'SHAPE',
        'RANGE',
      );
    }
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(2 ** 20);
  });
});

describe('the bytes given', () => {
  const file = writeSafetensors([
    { name: 'w', dtype: 'F32', shape: [2], bytes: Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8) },
  ]);
  const values = (input: Uint8Array | ArrayBuffer): number[] =>
    Array.from(readSafetensors(input).tensors.get('w')?.bytes ?? []);

  it('may lie anywhere in their buffer, at odd addresses, in a Buffer, an ArrayBuffer, shared or resizable memory', () => {
    for (let offset = 0; offset < 9; offset++) {
      const around = new Uint8Array(file.length + 20).fill(0x7b);
      around.set(file, offset);
      expect(values(around.subarray(offset, offset + file.length))).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
      expect(values(Buffer.from(around.buffer, offset, file.length))).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    }
    expect(values(file.buffer as ArrayBuffer)).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    const shared = new Uint8Array(new SharedArrayBuffer(file.length));
    shared.set(file);
    const { tensors } = readSafetensors(shared);
    shared.fill(0);
    expect(Array.from(tensors.get('w')?.bytes ?? [])).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
  });

  it('are INPUT where they were transferred away or a resizable buffer shrank under them', () => {
    const moved = file.slice();
    structuredClone(moved.buffer, { transfer: [moved.buffer] });
    expectCode(() => readSafetensors(moved), 'INPUT');
    expectCode(() => readSafetensors(moved.buffer as ArrayBuffer), 'INPUT');
    const Resizable = ArrayBuffer as unknown as new (
      length: number,
      options: { maxByteLength: number },
    ) => ArrayBuffer & { resize(length: number): void };
    const buffer = new Resizable(file.length, { maxByteLength: 4096 });
    const view = new Uint8Array(buffer, 0, file.length);
    view.set(file);
    expect(values(view)).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    buffer.resize(16);
    expectCode(() => readSafetensors(view), 'INPUT');
  });

  it('are a TypeError where they are none', () => {
    for (const value of [undefined, null, 'abc', [1, 2], {}, new Float32Array(2), new DataView(new ArrayBuffer(8))])
      expect(() => readSafetensors(value as unknown as Uint8Array)).toThrow(TypeError);
  });
});
