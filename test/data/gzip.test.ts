import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { gunzip } from '../../src/data/index.ts';
import { inflate } from '../../src/data/gzip.ts';

const compressed = (bytes: Uint8Array): Uint8Array => new Uint8Array(gzipSync(bytes));

describe('gunzip', () => {
  it('gives back what was compressed, from no byte to several pieces', async () => {
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(0, 1, 1000, 200_000), fc.integer(), async (length, seed) => {
        const bytes = Uint8Array.from({ length }, (_, i) => Math.imul(i + seed, 2654435761) >>> 13);
        expect(Buffer.compare(await gunzip(compressed(bytes)), bytes)).toBe(0);
      }),
      { numRuns: 12 },
    );
  });

  it('refuses a file cut at every byte, and a damaged one', async () => {
    const bytes = compressed(Uint8Array.from({ length: 60 }, (_, i) => (i * 37) & 255));
    for (let end = 0; end < bytes.length; end++)
      await expect(gunzip(bytes.subarray(0, end))).rejects.toMatchObject({ code: 'TRUNCATED' });
    const damaged = bytes.slice();
    damaged[damaged.length - 6] ^= 1;
    await expect(gunzip(damaged)).rejects.toMatchObject({ code: 'TRUNCATED' });
  });

  it('refuses what is no gzip, and more bytes than the limit', async () => {
    await expect(gunzip(new Uint8Array(100))).rejects.toMatchObject({ code: 'BAD_MAGIC' });
    await expect(gunzip(compressed(new Uint8Array(10_000_000)), 1_000_000)).rejects.toMatchObject({ code: 'BUDGET' });
    expect((await gunzip(compressed(new Uint8Array(1000)), 1000)).length).toBe(1000);
    await expect(gunzip('x' as never)).rejects.toThrow(TypeError);
  });

  it('lets an error of the source through as it is, and closes the source when the reader stops', async () => {
    const bytes = compressed(Uint8Array.from({ length: 300_000 }, (_, i) => Math.imul(i, 2654435761) >>> 13));
    const fault = new Error('disk on fire');
    await expect(
      (async () => {
        for await (const part of inflate(
          'test',
          (function* () {
            yield bytes.subarray(0, 50_000);
            throw fault;
          })(),
        ))
          expect(part.length).toBeGreaterThan(0);
      })(),
    ).rejects.toBe(fault);
    let closed = false;
    const source = function* (): Generator<Uint8Array> {
      try {
        for (let at = 0; at < bytes.length; at += 1000) yield bytes.subarray(at, at + 1000);
      } finally {
        closed = true;
      }
    };
    for await (const part of inflate('test', source())) {
      expect(part.length).toBeGreaterThan(0);
      break;
    }
    expect(closed).toBe(true);
  });
});
