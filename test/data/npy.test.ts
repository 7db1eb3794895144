import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readNpy, writeNpy } from '../../src/data/index.ts';
import { decodeNpy, readNpyHeader } from '../../src/data/npy.ts';
import { EspalierError } from '../../src/base/errors.ts';
import { sizeOf } from '../../src/base/tensor.ts';
import type { TypedArray } from '../../src/base/tensor.ts';
import { fromBase64, vectors } from './vectors.ts';

const MAKERS = [
  Float32Array,
  Float64Array,
  Uint8Array,
  Int8Array,
  Uint16Array,
  Int16Array,
  Int32Array,
  Uint32Array,
] as const;

/** A file with any text as header, and `body` zero bytes behind it. */
function file(header: string, body = 0, version: readonly [number, number] = [1, 0]): Uint8Array {
  const length =
    version[0] === 1
      ? [header.length & 255, header.length >> 8]
      : [header.length & 255, (header.length >> 8) & 255, (header.length >> 16) & 255, header.length >>> 24];
  return Uint8Array.from([
    0x93,
    ...Buffer.from('NUMPY'),
    ...version,
    ...length,
    ...Buffer.from(header, 'latin1'),
    ...new Array<number>(body).fill(0),
  ]);
}

function codeOf(bytes: Uint8Array): string {
  try {
    readNpy(bytes);
  } catch (error) {
    if (error instanceof EspalierError) return error.code;
    throw error;
  }
  return 'read';
}

describe('npy', () => {
  it('reads back exactly what was written, for every element type, rank 0 to 4 and empty sides', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...MAKERS),
        fc.array(fc.nat(4), { maxLength: 4 }),
        fc.infiniteStream(fc.integer()),
        (Maker, shape, values) => {
          const data = new Maker(sizeOf(shape)).map(() => values.next().value as number) as TypedArray;
          const back = readNpy(writeNpy({ data, shape }));
          expect(back.shape).toEqual(shape);
          expect(back.data).toEqual(data);
        },
      ),
    );
  });

  it('starts the elements at a multiple of 64 bytes', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 3 }), { maxLength: 30 }).filter((shape) => sizeOf(shape) < 1000),
        (shape) => {
          expect(readNpyHeader(writeNpy({ data: new Uint8Array(sizeOf(shape)), shape })).dataOffset % 64).toBe(0);
        },
      ),
      { numRuns: 30 },
    );
  });

  it('reads what NumPy writes: every type, both byte orders, Fortran order, rank 0, empty, versions 1 to 3', () => {
    expect(vectors.npy.length).toBeGreaterThan(25);
    for (const { file, shape, type, values } of vectors.npy) {
      const { data, shape: found } = readNpy(fromBase64(file));
      expect(found, type).toEqual(shape);
      const expected = values.map((text) => Number(text.replace('inf', 'Infinity')));
      expect(Array.from(data), type).toEqual(expected);
    }
  });

  it('keeps element types, and widens float16 to float32 and 64-bit integers to float64', () => {
    const kinds = new Map(vectors.npy.map(({ file, type }) => [type, readNpy(fromBase64(file)).data.constructor.name]));
    expect(Object.fromEntries(kinds)).toEqual({
      f2: 'Float32Array',
      f4: 'Float32Array',
      f8: 'Float64Array',
      i1: 'Int8Array',
      u1: 'Uint8Array',
      b1: 'Uint8Array',
      i2: 'Int16Array',
      u2: 'Uint16Array',
      i4: 'Int32Array',
      u4: 'Uint32Array',
      i8: 'Float64Array',
      u8: 'Float64Array',
    });
  });

  it('refuses a file cut at any byte, and one with a byte too many, by an EspalierError', () => {
    for (const { file } of vectors.npy.slice(0, 6)) {
      const bytes = fromBase64(file);
      for (let end = 0; end < bytes.length; end++)
        expect(codeOf(bytes.subarray(0, end))).toBe(end < readNpyHeader(bytes).dataOffset ? 'NPY_HEADER' : 'TRUNCATED');
      expect(codeOf(Uint8Array.from([...bytes, 0]))).toBe('LAYOUT');
    }
  });

  it('answers any bytes in the header by a tensor or an EspalierError, never by another error', () => {
    const good = fromBase64(vectors.npy[2].file);
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(good.length - 1), fc.nat(255)), { maxLength: 4 }), (changes) => {
        const bytes = good.slice();
        for (const [at, value] of changes) bytes[at] = value;
        codeOf(bytes);
      }),
      { numRuns: 2000 },
    );
    fc.assert(
      fc.property(
        fc.string({ unit: fc.constantFrom(...'{}()[]\'",: 0123456789TrueFalsdcipthn_ofL<>|=fiu\\\n'), maxLength: 90 }),
        (text) => {
          codeOf(file(text));
        },
      ),
      { numRuns: 1000 },
    );
  });

  it('refuses bad magic, versions (1,1) (0,0) (255,255) (4,0), and a header above the cap before it looks at it', () => {
    const header = "{'descr': '<f4', 'fortran_order': False, 'shape': (), }\n";
    expect(codeOf(file(header, 4))).toBe('read');
    for (const version of [
      [1, 1],
      [0, 0],
      [255, 255],
      [4, 0],
    ] as const)
      expect(codeOf(file(header, 4, version))).toBe('NPY_HEADER');
    const bytes = file(header, 4);
    bytes[1] ^= 1;
    expect(codeOf(bytes)).toBe('NPY_HEADER');
    expect(() => readNpy(Uint8Array.from([0x93, ...Buffer.from('NUMPY'), 2, 0, 255, 255, 255, 255]))).toThrow(
      /4294967295 bytes is above the limit/,
    );
  });

  it('refuses missing, unknown and doubled keys, and values that are not of the grammar', () => {
    const bad = [
      '',
      '{',
      '{}',
      '[]',
      "{'descr': '<f4', 'fortran_order': False}",
      "{'descr': '<f4', 'fortran_order': False, 'shape': (), 'x': 1}",
      "{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': ()}",
      "{'descr': ('<f4',), 'fortran_order': False, 'shape': ()}",
      "{'descr': '<f4', 'fortran_order': 0, 'shape': ()}",
      "{'descr': '<f4', 'fortran_order': False, 'shape': (1)}",
      "{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}",
      "{'descr': '<f4', 'fortran_order': False, 'shape': (1.0,)}",
      "{'descr': '<f4', 'fortran_order': False, 'shape': ()} x",
      "{'descr': 'f4', 'fortran_order': False, 'shape': ()}",
      "{'descr': '|f4', 'fortran_order': False, 'shape': ()}",
      "{'descr': '', 'fortran_order': False, 'shape': ()}",
      "{'de\\scr': '<f4', 'fortran_order': False, 'shape': ()}",
      `{'descr': '<f4', 'fortran_order': False, 'shape': ${'('.repeat(10000)}}`,
      `{'descr': '<f4', 'fortran_order': False, 'shape': (${'1,'.repeat(65)})}`,
      `{'descr': '<f4', 'fortran_order': False, 'shape': (18446744073709551616,)}`,
      "{'__proto__': '<f4', 'fortran_order': False, 'shape': ()}",
    ];
    for (const header of bad) expect(codeOf(file(header, 4)), header.slice(0, 80)).toBe('NPY_HEADER');
  });

  it('refuses 80 bytes that declare 16 GiB, and shapes beyond 2^53 elements, before setting memory aside', () => {
    expect(codeOf(file("{'descr': '<f4', 'fortran_order': False, 'shape': (65536, 65536)}", 8))).toBe('TRUNCATED');
    expect(codeOf(file("{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296)}", 8))).toBe(
      'SHAPE',
    );
  });

  it('refuses pickled objects, text, structures, complex numbers and dates by name', () => {
    for (const refused of vectors.refused) expect(codeOf(fromBase64(refused))).toBe('UNSUPPORTED');
    expect(() => readNpy(file("{'descr': '|O', 'fortran_order': False, 'shape': ()}"))).toThrow(/pickle/);
  });

  it('refuses an integer beyond 2^53 and a bool of 2, naming the element', () => {
    expect(() => readNpy(fromBase64(vectors.beyond))).toThrow(/element 1: .* within 2\^53/);
    const bytes = file("{'descr': '|b1', 'fortran_order': False, 'shape': (3,)}", 3);
    bytes[bytes.length - 1] = 2;
    expect(() => readNpy(bytes)).toThrow(/element 2: expected a bool of 0 or 1, got 2/);
  });

  it('reads a view at any offset of a buffer, and never the bytes around it', () => {
    const bytes = fromBase64(vectors.npy[2].file);
    const around = new Uint8Array(bytes.length + 20).fill(255);
    around.set(bytes, 7);
    expect(readNpy(around.subarray(7, 7 + bytes.length))).toEqual(readNpy(bytes));
    expect(codeOf(around.subarray(7, 6 + bytes.length))).toBe('TRUNCATED');
  });

  it('decodes any run of rows of a C-order file', () => {
    const bytes = writeNpy({ data: Float32Array.from({ length: 12 }, (_, i) => i), shape: [4, 3] });
    const header = readNpyHeader(bytes);
    expect(Array.from(decodeNpy(header, bytes.subarray(header.dataOffset + 12, header.dataOffset + 36)))).toEqual([
      3, 4, 5, 6, 7, 8,
    ]);
  });

  it('wants a Uint8Array to read and a tensor to write', () => {
    expect(() => readNpy('x' as never)).toThrow(TypeError);
    expect(() => readNpy(new Float32Array(3) as never)).toThrow(TypeError);
    expect(() => writeNpy(undefined as never)).toThrow(TypeError);
    expect(() => writeNpy({ data: [1, 2] as never, shape: [2] })).toThrow(TypeError);
    expect(() => writeNpy({ data: new Float32Array(3), shape: [2] })).toThrow(RangeError);
  });
});

describe('files of another kind', () => {
  const text = (value: string): Uint8Array => new TextEncoder().encode(value);
  const zip = (name: string): Uint8Array =>
    Buffer.concat([
      Buffer.from('PK\x03\x04'),
      Buffer.alloc(22),
      Buffer.from([name.length, 0, 0, 0]),
      text(name),
      Buffer.alloc(50),
    ]);

  it.each([
    ['a .npz archive', zip('arr_0.npy'), /\.npz archive; unpack it/],
    ['a PyTorch file', zip('archive/data.pkl'), /PyTorch file/],
    ['another zip file', zip('model.json'), /a zip file/],
    ['a page', text('<!DOCTYPE html><title>404</title>'), /HTML/],
    ['a pointer of Git LFS', text('version https://git-lfs.github.com/spec/v1\noid sha256:0\n'), /git lfs pull/],
    ['gzip', Uint8Array.of(0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0), /gzip/],
    ['nothing known', text('once upon a time'), /no format known here/],
    ['a short page', text('<html>'), /HTML/],
  ])('%s is named as what it is', (_name, bytes, expected) => {
    expect(codeOf(bytes)).toBe('NPY_HEADER');
    expect(() => readNpy(bytes)).toThrow(expected);
  });

  it('reads sides that Python 2 wrote as long', () => {
    const [two, three] = [
      "{'descr': '<f4', 'fortran_order': False, 'shape': (2L, 3L), }",
      "{'descr': '<f4', 'fortran_order': False, 'shape': (6L,), }",
    ].map((header) => readNpy(file(header, 24)).shape);
    expect([two, three]).toEqual([[2, 3], [6]]);
    for (const shape of ['(L,)', '(2LL,)', '(2 L,)'])
      expect(codeOf(file(`{'descr': '<f4', 'fortran_order': False, 'shape': ${shape}, }`, 8))).toBe('NPY_HEADER');
  });
});

describe('memory that moves', () => {
  const values = Float64Array.of(1.5, -2, 3);
  const whole = writeNpy({ data: values, shape: [3] });

  it('of a Buffer at any place is read without its neighbours', () => {
    for (const before of [0, 1, 3, 8]) {
      const around = Buffer.alloc(whole.length + before + 9, 0xaa);
      around.set(whole, before);
      expect([...readNpy(around.subarray(before, before + whole.length)).data]).toEqual([...values]);
      expect(codeOf(around.subarray(before, before + whole.length + 1))).toBe('LAYOUT');
    }
  });

  it('that is gone is INPUT, shared memory is copied first', () => {
    const moved = whole.slice();
    structuredClone(moved.buffer, { transfer: [moved.buffer] });
    expect(codeOf(moved)).toBe('INPUT');
    const shared = new Uint8Array(new SharedArrayBuffer(whole.length));
    shared.set(whole);
    expect([...readNpy(shared).data]).toEqual([...values]);
    const Resizable = ArrayBuffer as unknown as new (
      length: number,
      options: { maxByteLength: number },
    ) => ArrayBuffer & { resize(length: number): void };
    const resizable = new Resizable(whole.length, { maxByteLength: 4096 });
    const view = new Uint8Array(resizable, 0, whole.length);
    view.set(whole);
    expect([...readNpy(view).data]).toEqual([...values]);
    resizable.resize(20);
    expect(codeOf(view)).toBe('INPUT');
  });
});
