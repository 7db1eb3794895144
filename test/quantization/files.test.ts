import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { normal, stream } from '../../src/base/random.ts';
import { readSafetensors, writeSafetensors } from '../../src/container/safetensors.ts';
import { portableKernels } from '../../src/kernels/index.ts';
import { writeNetwork } from '../../src/network/write.ts';
import { readNetwork } from '../../src/network/read.ts';
import { NO_LIMITS } from '../../src/network/limits.ts';
import {
  decode,
  denseEncoding,
  nearestRows,
  quantizeMatrix,
  readEncodings,
  recall,
  writeEncodings,
} from '../../src/quantization/index.ts';
import type { Encoding, ProductEncoding } from '../../src/quantization/index.ts';
import { expectCode } from '../container/files.ts';
import { bitsOf, ENCODINGS, productEncodings } from '../encodings/arbitraries.ts';
import { edited, randomProduct, smallNetwork } from '../network/files.ts';
import type { FreeJson } from '../network/files.ts';

const json = (value: unknown): FreeJson => value as FreeJson;
const name = fc.oneof(
  fc.string({ minLength: 1, maxLength: 6 }),
  fc.constantFrom('a', 'a.codes', 'a.signs', '__proto__', '__metadata__', 'constructor'),
);
const manyEncodings = fc
  .uniqueArray(fc.tuple(name, fc.oneof(...Object.values<fc.Arbitrary<Encoding>>(ENCODINGS))), {
    selector: ([called]) => called,
    maxLength: 4,
  })
  .map((pairs) => new Map(pairs));

const small = new Map<string, Encoding>([
  ['vectors', randomProduct([3, 5], 2, 3, true, false, stream(1, 'files'))],
  ['means', denseEncoding({ data: Float32Array.of(1, -0, 1e-45), shape: [3] })],
]);
const file = writeEncodings(small);

describe('encodings as bytes', () => {
  it('come back bit by bit, in their order, whatever their kinds and names, and give the same bytes again', () => {
    fc.assert(
      fc.property(manyEncodings, (encodings) => {
        const bytes = writeEncodings(encodings);
        const read = readEncodings(bytes);
        expect([...read.keys()]).toEqual([...encodings.keys()]);
        for (const [called, encoding] of encodings)
          expect(bitsOf(decode(read.get(called) as Encoding))).toEqual(bitsOf(decode(encoding)));
        expect(writeEncodings(read)).toEqual(bytes);
      }),
      { numRuns: 200 },
    );
  });

  it('of a matrix of vectors are an index like the one that was written', () => {
    const random = stream(2, 'files');
    const draw = (rows: number): { data: Float32Array; shape: number[] } => ({
      data: Float32Array.from({ length: rows * 8 }, () => normal(random)),
      shape: [rows, 8],
    });
    const [vectors, queries] = [draw(200), draw(20)];
    const kernels = portableKernels();
    for (const signs of ['none', 'apart'] as const) {
      const { encoding } = quantizeMatrix(vectors, { subvectorLength: 2, codewordCount: 16, signs, kernels });
      const read = readEncodings(writeEncodings(new Map([['vectors', encoding]]))).get('vectors') as Encoding;
      expect(read).toEqual(encoding);
      const found = nearestRows(read, queries, { count: 5 });
      expect(found).toEqual(nearestRows(encoding, queries, { count: 5 }));
      const exact = nearestRows(denseEncoding(vectors), queries, { count: 5 });
      expect(recall(found, exact, 5)).toBeGreaterThan(0.4);
    }
  });

  it('are safetensors whose dense tensors any reader has by name', () => {
    const { tensors } = readSafetensors(file);
    expect([...tensors.keys()].sort()).toEqual(['means', 'vectors.codes', 'vectors.codewords', 'vectors.signs']);
  });

  it('of no encoding are a file too', () => expect(readEncodings(writeEncodings(new Map()))).toEqual(new Map()));

  it('are not made of what could not be read again; the error names the encoding', () => {
    const write = (encoding: unknown, called: unknown = 'vectors'): Uint8Array =>
      writeEncodings(new Map([[called, encoding]]) as Map<string, Encoding>);
    const product = small.get('vectors') as ProductEncoding;
    const withBlock = (change: object): unknown => ({
      ...product,
      blocks: [{ ...product.blocks[0], ...change }, ...product.blocks.slice(1)],
    });
    expectCode(() => write(withBlock({ codewords: new Float32Array(6).fill(NaN) })), 'NONFINITE');
    expect(expectCode(() => write(withBlock({ codes: new Uint16Array(5) })), 'SHAPE').message).toContain('"vectors"');
    expect(() => write(withBlock({ codes: new Uint16Array(6).fill(3) }))).toThrow(
      '"vectors": codes: expected indices below 3, got 3',
    );
    expectCode(() => write({ kind: 'products', shape: [1] }), 'FIELD');
    expect(() => write({ encoding: product })).toThrow('its field `encoding` is one');
    expect(() => write(undefined)).toThrow('writeEncodings: "vectors": expected an encoding, got undefined');
    expect(() => write(product, 7)).toThrow(TypeError);
    expect(() => write(product, '')).toThrow(RangeError);
    expect(() => write(product, 'x'.repeat(4097))).toThrow(RangeError);
    expect(() => writeEncodings({ vectors: product } as unknown as Map<string, Encoding>)).toThrow(
      'writeEncodings: encodings: expected a Map of encodings by name',
    );
  });
});

describe('bytes of strangers are refused', () => {
  it('at every cut, with every flipped bit and every byte + 137', () => {
    for (let length = 0; length < file.length; length++)
      expectCode(() => readEncodings(file.subarray(0, length)), 'TRUNCATED');
    const copy = file.slice();
    for (let at = 0; at < file.length; at++) {
      for (const changed of [1, 2, 4, 8, 16, 32, 64, 128].map((bit) => file[at] ^ bit).concat((file[at] + 137) & 255)) {
        copy[at] = changed;
        expect(() => readEncodings(copy), `byte ${at} is ${changed}`).toThrow(
          expect.objectContaining({ name: 'EspalierError' }),
        );
      }
      copy[at] = file[at];
    }
    expectCode(() => readEncodings(Buffer.concat([file, Uint8Array.of(0)])), 'LAYOUT');
    expect(() => readEncodings('text' as unknown as Uint8Array)).toThrow(TypeError);
  });

  it('with any bytes changed and the checksum not asked for, or by an EspalierError', () => {
    const changes = fc.array(fc.tuple(fc.nat(file.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 });
    fc.assert(
      fc.property(changes, (changed) => {
        const copy = file.slice();
        for (const [at, byte] of changed) copy[at] = byte;
        try {
          for (const encoding of readEncodings(copy, { verify: false }).values())
            expect(decode(encoding).every(Number.isFinite)).toBe(true);
        } catch (error) {
          expect((error as Error).name, String((error as Error).stack)).toBe('EspalierError');
        }
      }),
      { numRuns: 3000 },
    );
  });

  it('whatever any field of the description is changed to, under a right checksum', () => {
    const paths: (string | number)[][] = [];
    const walk = (value: unknown, path: (string | number)[]): void => {
      paths.push(path);
      if (typeof value === 'object' && value !== null)
        for (const key of Object.keys(value)) walk((value as FreeJson)[key], [...path, key]);
    };
    walk(JSON.parse(readSafetensors(file).metadata.get('espalier.encodings') ?? ''), []);
    const values = fc.oneof(
      fc.jsonValue({ maxDepth: 2 }),
      fc.constantFrom(0, -1, 1.5, 2 ** 31, 2 ** 53, 1e308, '', '__proto__', null, [], {}, [[]], true),
    );
    fc.assert(
      fc.property(fc.constantFrom(...paths.slice(1)), values, (path, value) => {
        const changed = edited(file, (d) => {
          const parent = path.slice(0, -1).reduce<FreeJson>((at, key) => at[key], d);
          parent[path[path.length - 1]] = json(value);
        });
        try {
          readEncodings(changed);
        } catch (error) {
          expect((error as Error).name, String((error as Error).stack)).toBe('EspalierError');
        }
      }),
      { numRuns: 600 },
    );
  });

  it.each<[string, Parameters<typeof expectCode>[1], (d: FreeJson) => void]>([
    ['a later version', 'UNSUPPORTED_VERSION', (d) => void (d.version = json(2))],
    ['a feature that is required', 'UNSUPPORTED_VERSION', (d) => void (d.requires = json(['more']))],
    ['a name that comes twice', 'GRAPH', (d) => void (d.parameters = json(['means', 'means']))],
    ['a tensor that is not there', 'MISSING', (d) => void (d.parameters = json(['nothing']))],
    [
      'a tensor that serves twice',
      'LAYOUT',
      (d) =>
        void (d.parameters = json([
          'means',
          { name: 'b', header: { kind: 'dense', shape: [3] }, tensors: { '': 'means' } },
        ])),
    ],
    ['a kind that is none', 'FIELD', (d) => void (d.parameters[0].header.kind = json('products'))],
    [
      'an empty name',
      'FIELD',
      (d) =>
        void (d.parameters[0] = json({
          ...d.parameters[0],
          name: '',
          tensors: { '.codes': 'vectors.codes', '.codewords': 'vectors.codewords', '.signs': 'vectors.signs' },
        })),
    ],
  ])('%s', (_what, code, change) => {
    expectCode(() => readEncodings(edited(file, change)), code);
  });

  it('a terabyte from 1 kB is BUDGET, and what a trusted file asks for is let in', () => {
    const bomb = edited(file, (d) => {
      d.parameters = json([
        { name: 'p', header: { kind: 'product', shape: [2 ** 15, 2 ** 10], blocks: [[1, 2 ** 10, 1, 0]] } },
      ]);
    });
    expectCode(() => readEncodings(bomb), 'BUDGET');
    expectCode(() => readEncodings(bomb, { limits: NO_LIMITS }), 'MISSING');
    expectCode(() => readEncodings(file, { limits: { bytes: 71 } }), 'BUDGET');
    expect(readEncodings(file, { limits: { bytes: 72 } })).toEqual(small);
  });

  it('a network and encodings are told apart, each with its cure', () => {
    expect(expectCode(() => readEncodings(writeNetwork(smallNetwork())), 'MISSING').message).toContain('readNetwork(');
    expect(expectCode(() => readNetwork(file), 'MISSING').message).toContain('readEncodings()');
    expectCode(() => readEncodings(writeSafetensors([])), 'MISSING');
  });

  it('saved anew by another tool they are CHECKSUM, and open with { verify: false }', () => {
    const { tensors, metadata } = readSafetensors(file);
    const again = writeSafetensors(
      [...tensors].map(([called, stored]) => ({ ...stored, name: called })),
      [...metadata].reverse().reduce((map, [key, value]) => map.set(key, value), new Map<string, string>()),
    );
    expectCode(() => readEncodings(again), 'CHECKSUM');
    expect(readEncodings(again, { verify: false })).toEqual(small);
    expect(() => readEncodings(file, { verfy: false } as object)).toThrow('verify');
  });
});

it('product encodings keep their codebooks apart: one for each sub-space as they were', () => {
  fc.assert(
    fc.property(productEncodings(), (encoding) => {
      expect(readEncodings(writeEncodings(new Map([['one', encoding]]))).get('one')).toEqual(encoding);
    }),
    { numRuns: 100 },
  );
});
