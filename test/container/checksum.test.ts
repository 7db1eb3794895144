import fc from 'fast-check';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as zlib from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { CHECKSUM_KEY, crc32, verifyChecksum, writeChecked } from '../../src/container/checksum.ts';
import { readSafetensors, writeSafetensors } from '../../src/container/safetensors.ts';
import { realData } from '../real-data.ts';
import { expectCode } from './files.ts';

const tensor = {
  name: 'w',
  dtype: 'U8' as const,
  shape: [40],
  bytes: Uint8Array.from({ length: 40 }, (_, i) => i * 7),
};

describe('crc32', () => {
  it('has the published check value, and 0 for nothing', () => {
    expect(crc32(new TextEncoder().encode('123456789'))).toBe(0xcbf43926);
    expect(crc32(new Uint8Array(0))).toBe(0);
  });

  const native = (zlib as { crc32?: (bytes: Uint8Array, value?: number) => number }).crc32;
  it.skipIf(native === undefined)("agrees with zlib's for every length and in pieces", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), fc.nat(100), (bytes, at) => {
        expect(crc32(bytes)).toBe(native?.(bytes));
        expect(crc32(bytes.subarray(at), crc32(bytes.subarray(0, at)))).toBe(crc32(bytes));
      }),
    );
  });

  it.skipIf(realData === undefined)('takes less than half a second for 22 MB (measured: 21 ms)', () => {
    const bytes = readFileSync(join(realData ?? '', 'models/vgg-face68.safetensors'));
    const started = performance.now();
    crc32(bytes);
    expect(performance.now() - started).toBeLessThan(500);
  });
});

describe('the checksum of a file', () => {
  it('is right as written, and stands first in the metadata of a file that any reader opens', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 60 }),
        fc.dictionary(fc.string(), fc.string(), { maxKeys: 3, noNullPrototype: true }),
        (bytes, metadata) => {
          const file = writeChecked([{ name: 'w', dtype: 'U8', shape: [bytes.length], bytes }], metadata);
          verifyChecksum('test', file);
          const [first, ...rest] = readSafetensors(file).metadata;
          expect(first[0]).toBe(CHECKSUM_KEY);
          expect(first[1]).toMatch(/^[0-9a-f]{8}$/);
          expect(new Map(rest)).toEqual(new Map(Object.entries(metadata)));
        },
      ),
    );
  });

  it('finds every flipped bit and every byte + 137, its own digits and the header length included', () => {
    const file = writeChecked([tensor], { note: 'x' });
    for (let at = 0; at < file.length; at++) {
      for (const change of [1, 2, 4, 8, 16, 32, 64, 128].map((bit) => file[at] ^ bit).concat((file[at] + 137) & 255)) {
        const copy = file.slice();
        copy[at] = change;
        expectCode(() => verifyChecksum('test', copy), 'CHECKSUM');
      }
    }
    expectCode(
      () =>
        verifyChecksum(
          'test',
          file.map((byte) => byte + 137),
        ),
      'CHECKSUM',
    );
  });

  it('finds every change of up to four bytes in a row', () => {
    const file = writeChecked([tensor]);
    fc.assert(
      fc.property(fc.nat(file.length - 1), fc.uint8Array({ minLength: 1, maxLength: 4 }), (at, bytes) => {
        const copy = file.slice();
        copy.set(bytes.subarray(0, file.length - at), at);
        fc.pre(Buffer.compare(copy, file) !== 0);
        expectCode(() => verifyChecksum('test', copy), 'CHECKSUM');
      }),
      { numRuns: 500 },
    );
  });

  it('is missed in a file without one, and in one that another tool saved anew with the metadata in another order', () => {
    expectCode(() => verifyChecksum('test', writeSafetensors([tensor])), 'CHECKSUM');
    expectCode(() => verifyChecksum('test', new Uint8Array(3)), 'CHECKSUM');
    const { metadata } = readSafetensors(writeChecked([tensor], { note: 'x' }));
    const error = expectCode(
      () => verifyChecksum('test', writeSafetensors([tensor], new Map([...metadata].reverse()))),
      'CHECKSUM',
    );
    expect(error.message).toContain('verify: false');
  });

  it('cannot be given by the caller', () => {
    expect(() => writeChecked([tensor], { [CHECKSUM_KEY]: '00000000' })).toThrow(RangeError);
  });
});
