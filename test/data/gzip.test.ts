import { constants, gzipSync } from 'node:zlib';
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

describe('members', () => {
  const parts = [0, 5, 70_000, 3].map((length, seed) =>
    Uint8Array.from({ length }, (_, i) => Math.imul(i + seed, 2654435761) >>> 29),
  );
  const whole = Buffer.concat(parts);
  const members = parts.map(compressed);

  it('of a file are all read, padding of zeros or not, in pieces of any size', async () => {
    const padded = Buffer.concat(members.flatMap((member) => [member, Buffer.alloc(7)]));
    for (const file of [Buffer.concat(members), padded]) {
      expect(Buffer.compare(await gunzip(file), whole)).toBe(0);
      for (const size of [1, 3, 100, 9973]) {
        const got: Uint8Array[] = [];
        const pieces = Array.from({ length: Math.ceil(file.length / size) }, (_, i) =>
          file.subarray(i * size, (i + 1) * size),
        );
        for await (const part of inflate('test', pieces)) got.push(part);
        expect(Buffer.compare(Buffer.concat(got), whole)).toBe(0);
      }
    }
  });

  it('are followed by nothing else: junk is named, and a member that is cut or damaged', async () => {
    const file = Buffer.concat(members.slice(0, 2));
    await expect(gunzip(Buffer.concat([file, Buffer.from('junk')]))).rejects.toMatchObject({ code: 'LAYOUT' });
    await expect(gunzip(Buffer.concat([file, Buffer.alloc(9), Buffer.from('junk')]))).rejects.toThrow(
      'behind member 2',
    );
    for (let end = members[0].length + 1; end < file.length; end++)
      await expect(gunzip(file.subarray(0, end)), String(end)).rejects.toMatchObject({ code: 'TRUNCATED' });
    const damaged = Buffer.concat(members);
    damaged[members[0].length + members[1].length + 30] ^= 16;
    await expect(gunzip(damaged)).rejects.toThrow('in member 3');
  });

  it('count together for the limit', async () => {
    await expect(gunzip(Buffer.concat(members), whole.length - 1)).rejects.toMatchObject({ code: 'BUDGET' });
    expect(await gunzip(Buffer.concat(members), whole.length)).toHaveLength(whole.length);
  });

  it('may say name, comment, further fields and a checksum of the header', async () => {
    const [, , , member] = members;
    const header = Buffer.from([0x1f, 0x8b, 8, 2 | 4 | 8 | 16, 0, 0, 0, 0, 0, 3, 2, 0, 7, 7, 97, 0, 98, 99, 0, 1, 2]);
    const file = Buffer.concat([header, member.subarray(10)]);
    expect(Buffer.compare(await gunzip(file), parts[3])).toBe(0);
    await expect(gunzip(file.subarray(0, 17))).rejects.toMatchObject({ code: 'TRUNCATED' });
  });
});

describe('inflating', () => {
  it('gives what zlib compressed, at every level and strategy, runs, noise and text among it', async () => {
    const { Z_FIXED, Z_HUFFMAN_ONLY, Z_RLE, Z_FILTERED, Z_DEFAULT_STRATEGY } = constants;
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 0, max: 9 }),
        fc.constantFrom(Z_FIXED, Z_HUFFMAN_ONLY, Z_RLE, Z_FILTERED, Z_DEFAULT_STRATEGY),
        fc.array(fc.tuple(fc.constantFrom('run', 'noise', 'steps', 'skewed'), fc.integer({ min: 1, max: 60_000 })), {
          maxLength: 5,
        }),
        async (level, strategy, sections) => {
          const bytes = Buffer.concat(
            sections.map(([kind, length], seed) =>
              Uint8Array.from({ length }, (_, i) => {
                const noise = Math.imul(i + seed * 7919, 2654435761) >>> 0;
                if (kind === 'run') return seed;
                if (kind === 'noise') return noise >>> 24;
                // Codes of every length up to the longest.
                return kind === 'steps' ? i >> 6 : Math.clz32(noise ^ (noise << 13)) * 3;
              }),
            ),
          );
          const file = new Uint8Array(gzipSync(bytes, { level, strategy, memLevel: 1 + (sections.length % 9) }));
          expect(Buffer.compare(await gunzip(file), bytes)).toBe(0);
        },
      ),
      { numRuns: 150 },
    );
  });

  it('answers a flipped bit anywhere with an error, or the same bytes (time, name, system: nobody checks these)', async () => {
    const bytes = Buffer.from('to be or not to be, that is the question; '.repeat(20));
    const file = compressed(bytes);
    for (let bit = 0; bit < file.length * 8; bit++) {
      const damaged = file.slice();
      damaged[bit >> 3] ^= 1 << (bit & 7);
      const outcome = await gunzip(damaged).catch((error: { code?: string }) => error.code);
      if (typeof outcome === 'string') expect(['TRUNCATED', 'BAD_MAGIC', 'BUDGET']).toContain(outcome);
      else {
        expect(Buffer.compare(outcome as Uint8Array, bytes)).toBe(0);
        // And the bits behind the end of the stream in its last byte.
        expect([3, 4, 5, 6, 7, 8, 9, file.length - 9]).toContain(bit >> 3);
      }
    }
  });

  it('says what a file is that is no gzip', async () => {
    const page = new TextEncoder().encode('<html>404</html>');
    await expect(gunzip(page)).rejects.toThrow('HTML');
    await expect(gunzip(new TextEncoder().encode('version https://git-lfs.github.com/spec/v1'))).rejects.toThrow('LFS');
  });
});
