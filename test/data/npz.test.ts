/** `.npz`: what numpy writes (test/vectors/npz.py), and archives that lie. */
import { readFileSync } from 'node:fs';
import { crc32, deflateRawSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { EspalierError } from '../../src/base/errors.ts';
import type { ErrorCode } from '../../src/base/errors.ts';
import { readNpz, writeNpy } from '../../src/data/index.ts';
import { dense, sequential, withWeights } from '../../src/network/index.ts';

interface Made {
  readonly name: string;
  readonly content: Uint8Array;
  readonly method?: number;
  readonly flags?: number;
  /** Of the directory, where they are not the true ones. */
  readonly size?: number;
  readonly stored?: number;
  readonly crc?: number;
  readonly at?: number;
  /** Of its own header. */
  readonly localName?: string;
  readonly packed?: Uint8Array;
}

/** A zip of these entries. */
function zip(entries: readonly Made[], { count = entries.length, comment = '' } = {}): Uint8Array {
  const parts: Buffer[] = [];
  const directory: Buffer[] = [];
  let at = 0;
  for (const entry of entries) {
    const { name, content, method = 8, flags = 0 } = entry;
    const packed = Buffer.from(entry.packed ?? (method === 8 ? deflateRawSync(content) : content));
    const local = Buffer.alloc(30);
    const own = Buffer.from(entry.localName ?? name);
    local.writeUInt32LE(0x04034b50, 0);
    local.writeUInt16LE(method, 8);
    local.writeUInt16LE(own.length, 26);
    const central = Buffer.alloc(46);
    const bytes = Buffer.from(name);
    central.writeUInt32LE(0x02014b50, 0);
    central.writeUInt16LE(flags, 8);
    central.writeUInt16LE(method, 10);
    central.writeUInt32LE(entry.crc ?? crc32(content), 16);
    central.writeUInt32LE(entry.stored ?? packed.length, 20);
    central.writeUInt32LE(entry.size ?? content.length, 24);
    central.writeUInt16LE(bytes.length, 28);
    central.writeUInt32LE(entry.at ?? at, 42);
    parts.push(local, own, packed);
    directory.push(central, bytes);
    at += 30 + own.length + packed.length;
  }
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50, 0);
  end.writeUInt16LE(count, 8);
  end.writeUInt16LE(count, 10);
  end.writeUInt32LE(Buffer.concat(directory).length, 12);
  end.writeUInt32LE(at, 16);
  end.writeUInt16LE(comment.length, 20);
  return new Uint8Array(Buffer.concat([...parts, ...directory, end, Buffer.from(comment)]));
}

const array = (values: readonly number[] = [1, 2, 3]): Uint8Array =>
  writeNpy({ data: Float32Array.from(values), shape: [values.length] });
const plain = { name: 'w.npy', content: array() };

function refusal(bytes: Uint8Array): EspalierError | undefined {
  try {
    readNpz(bytes);
    return undefined;
  } catch (error) {
    if (!(error instanceof EspalierError)) throw error;
    return error;
  }
}

describe('what numpy writes', () => {
  const files = JSON.parse(readFileSync(new URL('../vectors/npz.json', import.meta.url), 'utf8')) as Record<
    string,
    string
  >;
  it.each(['savez', 'savez_compressed'])('%s', (how) => {
    const { tensors, skipped } = readNpz(Buffer.from(files[how], 'base64'));
    expect([...tensors.keys()]).toEqual(['layer/kernel', 'half', 'wide', 'turned']);
    expect(tensors.get('layer/kernel')).toEqual({ shape: [2, 3], data: Float32Array.of(0, 0.5, 1, 1.5, 2, 2.5) });
    expect(tensors.get('half')?.data).toEqual(Float32Array.of(0.5, -2));
    expect(tensors.get('wide')?.data).toEqual(Float32Array.of(0.1, 1e30));
    expect(tensors.get('turned')).toEqual({ shape: [2, 2], data: Float32Array.of(1, 2, 3, 4) });
    expect(skipped).toEqual([{ name: 'steps', shape: [] }]);
  });
});

describe('readNpz', () => {
  it('gives weights to a network', () => {
    const network = sequential({ input: [3], seed: 1 }, [dense(1)]);
    const [weight, bias] = [...network.parameters.keys()];
    const bytes = zip([
      { name: `${weight}.npy`, content: writeNpy({ data: Float32Array.of(1, 2, 3), shape: [1, 3] }) },
      { name: `${bias}.npy`, content: array([4]), method: 0 },
    ]);
    const filled = withWeights(network, readNpz(bytes).tensors);
    expect(filled.parameters.get(weight)).toMatchObject({ data: Float32Array.of(1, 2, 3) });
  });

  it('reads an empty archive, one with a comment, one with other files and folders', () => {
    expect(readNpz(zip([])).tensors.size).toBe(0);
    expect(readNpz(zip([plain], { comment: 'PK\u0005\u0006 as a comment' })).tensors.size).toBe(1);
    const { tensors, skipped } = readNpz(
      zip([{ name: 'a/', content: new Uint8Array(0), method: 0 }, plain, { name: 'note.txt', content: array() }]),
    );
    expect([[...tensors.keys()], skipped]).toEqual([['w'], [{ name: 'note.txt' }]]);
  });

  const lies: [string, Uint8Array, ErrorCode, RegExp][] = [
    ['no zip', new TextEncoder().encode('<!doctype html>'), 'BAD_MAGIC', /HTML/],
    ['an array alone', array(), 'BAD_MAGIC', /\.npy/],
    ['nothing', new Uint8Array(0), 'ZIP', /cut short/],
    ['two entries of one name', zip([plain, plain]), 'DUPLICATE', /"w.npy"/],
    ...['../w.npy', '/w.npy', 'a/../w.npy', 'a\\w.npy', 'C:w.npy', 'a//w.npy', 'w\0.npy'].map(
      (name): [string, Uint8Array, ErrorCode, RegExp] => [
        `the name ${JSON.stringify(name)}`,
        zip([{ ...plain, name }]),
        'PATH',
        /expected the name of an array/,
      ],
    ),
    ['an encrypted entry', zip([{ ...plain, flags: 1 }]), 'ZIP', /encrypted/],
    ['another method', zip([{ ...plain, method: 14 }]), 'ZIP', /method 14/],
    ['a wrong checksum', zip([{ ...plain, crc: 1 }]), 'ZIP', /"w.npy".*checksum/],
    ['fewer bytes declared than come out', zip([{ ...plain, size: 8 }]), 'ZIP', /more than the 8/],
    ['more bytes declared', zip([{ ...plain, size: 200 }]), 'ZIP', /inflates to 140 bytes, 200/],
    ['more than deflating can do', zip([{ ...plain, size: 2 ** 25 }]), 'ZIP', /cannot inflate/],
    ['more than the limit', zip([{ ...plain, size: 2 ** 31 }]), 'BUDGET', /limit/],
    ['stored with two sizes', zip([{ ...plain, method: 0, size: 8 }]), 'ZIP', /stored/],
    ['past the end', zip([{ ...plain, stored: 100_000 }]), 'ZIP', /past the end/],
    ['a header elsewhere', zip([{ ...plain, at: 7 }]), 'ZIP', /expected its header/],
    ['another name in its own header', zip([{ ...plain, localName: 'v.npy' }]), 'ZIP', /another name/],
    ['two entries in one place', zip([plain, { ...plain, name: 'v.npy', at: 0 }]), 'ZIP', /share bytes/],
    ['more entries declared', zip([plain], { count: 2 }), 'ZIP', /2 entries are declared/],
    ['a damaged stream', zip([{ ...plain, packed: Uint8Array.of(7, 7, 7) }]), 'ZIP', /"w.npy"/],
    [
      'bytes behind the stream',
      zip([{ ...plain, packed: Buffer.concat([deflateRawSync(array()), Buffer.alloc(3)]) }]),
      'ZIP',
      /behind its data/,
    ],
    ['no array in it', zip([{ ...plain, content: new Uint8Array(20) }]), 'NPY_HEADER', /^readNpz: "w.npy"/],
    ['NaN', zip([{ ...plain, content: array([1, NaN]) }]), 'NONFINITE', /w/],
  ];
  it.each(lies)('refuses %s', (_, bytes, code, text) => {
    const error = refusal(bytes);
    expect(error?.message).toMatch(text);
    expect(error?.code).toBe(code);
  });

  it('a bomb of bombs is refused before anything is inflated', () => {
    const zeros = new Uint8Array(2 ** 22);
    const bomb = zip(Array.from({ length: 20 }, (_, i) => ({ name: `w${i}.npy`, content: zeros })));
    expect(bomb.length).toBeLessThan(2 ** 17);
    expect(refusal(bomb)?.code).toBe('BUDGET');
    expect(() => readNpz(bomb, { limit: 20 * 2 ** 22 })).toThrow(/"w0.npy".*NUMPY/);
  });

  it('cut at any byte, or with any byte changed, it is refused or read with its own values', () => {
    const bytes = zip([plain, { ...plain, name: 'v.npy', method: 0 }]);
    for (let length = 0; length < bytes.length; length++) expect(refusal(bytes.subarray(0, length))).toBeDefined();
    for (let at = 0; at < bytes.length; at++) {
      const changed = bytes.slice();
      changed[at] += 137;
      try {
        for (const { data } of readNpz(changed).tensors.values()) expect(data).toEqual(Float32Array.of(1, 2, 3));
      } catch (error) {
        if (!(error instanceof EspalierError)) throw error;
      }
    }
  });

  it('arguments', () => {
    expect(() => readNpz('w.npz' as unknown as Uint8Array)).toThrow(/^readNpz: bytes: expected a Uint8Array/);
    expect(() => readNpz(zip([]), { limit: -1 })).toThrow(RangeError);
    expect(() => readNpz(zip([]), { most: 1 } as object)).toThrow(/expected limit, allowNonFinite/);
  });
});
