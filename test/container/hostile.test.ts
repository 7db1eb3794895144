/** Doors for bytes when memory is refused, when the bytes change beneath them, and when they are meant to take for ever. */
import { gzipSync } from 'node:zlib';
import { Worker } from 'node:worker_threads';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { EspalierError } from '../../src/base/errors.ts';
import { readSafetensors, writeSafetensors } from '../../src/container/safetensors.ts';
import { gunzip, readNpy, readPts, writeNpy } from '../../src/data/index.ts';
import { readNetwork } from '../../src/network/read.ts';
import { readPlain } from '../../src/network/plain.ts';
import { writeNetwork } from '../../src/network/write.ts';
import { load } from '../../src/runtime/load.ts';
import { smallNetwork } from '../network/files.ts';
import { expectError, rawFile, rejection } from './files.ts';

const floats = new Uint8Array(Float32Array.of(1, 2, 3, 4).buffer);
const plain = writeSafetensors([{ name: 'w', dtype: 'F32', shape: [4], bytes: floats }]);
const halves = writeSafetensors([{ name: 'w', dtype: 'F16', shape: [8], bytes: new Uint8Array(16) }]);
const array = writeNpy({ data: Float32Array.of(1, 2, 3, 4), shape: [4] });
const noise = Uint8Array.from({ length: 1 << 21 }, (_, i) => Math.imul(i, 2654435761) >>> 13);
const packed = new Uint8Array(gzipSync(noise));

describe('memory that the engine refuses', () => {
  afterEach(() => {
    vi.unstubAllGlobals();
  });

  /** As if there were no room for more than `most` elements. */
  function starve(name: 'Float32Array' | 'Uint8Array' | 'Uint16Array', most: number): void {
    const refuse = (length: unknown): void => {
      if (typeof length === 'number' && length > most) throw new RangeError('Array buffer allocation failed');
    };
    vi.stubGlobal(
      name,
      new Proxy(globalThis[name], {
        construct(target, [first, ...rest]: [unknown, ...unknown[]], newTarget) {
          // Views of memory that is there cost nothing.
          const isView = first instanceof ArrayBuffer || first instanceof SharedArrayBuffer;
          refuse(isView ? 0 : ((first as { length?: number }).length ?? first));
          return Reflect.construct(target, [first, ...rest], newTarget) as object;
        },
      }),
    );
  }
  const shared = (bytes: Uint8Array): Uint8Array => {
    const copy = new Uint8Array(new SharedArrayBuffer(bytes.length));
    copy.set(bytes);
    return copy;
  };

  it.each<[string, 'Float32Array' | 'Uint8Array' | 'Uint16Array', number, () => unknown]>([
    ['readPlain: the copy of a tensor', 'Uint8Array', 8, () => readPlain(plain)],
    [
      'readPlain: the copy of shared bytes',
      'Uint8Array',
      8,
      (
        (file) => () =>
          readPlain(file)
      )(shared(plain)),
    ],
    ['readPlain: floats from halves', 'Float32Array', 4, () => readPlain(halves)],
    ['readNpy: the copy of the elements', 'Uint8Array', 8, () => readNpy(array)],
    ['gunzip: what comes out', 'Uint8Array', noise.length - 1, () => gunzip(packed)],
    ['gunzip: its tables', 'Uint16Array', 8, () => gunzip(packed)],
    [
      'gunzip: the copy of shared bytes',
      'Uint8Array',
      1000,
      (
        (file) => () =>
          gunzip(file)
      )(shared(packed)),
    ],
    [
      'readSafetensors: the copy of shared bytes',
      'Uint8Array',
      8,
      (
        (file) => () =>
          readSafetensors(file)
      )(shared(plain)),
    ],
  ])('is MEMORY with its cause, and it works again where there is room: %s', async (_name, type, most, read) => {
    starve(type, most);
    const error = expectError(await rejection((async () => read())()), 'MEMORY');
    expect(error.details.cause).toBeInstanceOf(RangeError);
    vi.unstubAllGlobals();
    await read();
  });
});

describe('bytes that change while they are read', () => {
  it('in shared memory, by another thread, give the model that was there, or a typed error', async () => {
    const file = writeNetwork(smallNetwork());
    const memory = new SharedArrayBuffer(file.length + 8);
    const bytes = new Uint8Array(memory, 8);
    const stop = new Int32Array(memory, 0, 1);
    const turns = new Int32Array(memory, 4, 1);
    bytes.set(file);
    // Spoils one byte after another for a moment each, as fast as it can.
    const worker = new Worker(
      `const { workerData } = require('node:worker_threads');
       const [stop, turns, bytes] = [new Int32Array(workerData, 0, 1), new Int32Array(workerData, 4, 1), new Uint8Array(workerData, 8)];
       for (let i = 0; Atomics.load(stop, 0) === 0; i = (i + 7919) % bytes.length) {
         bytes[i] ^= 85; Atomics.add(turns, 0, 1); bytes[i] ^= 85;
       }`,
      { eval: true, workerData: memory },
    );
    try {
      while (Atomics.load(turns, 0) === 0) await new Promise((resolve) => setTimeout(resolve, 1));
      const wanted = smallNetwork();
      const outcomes = new Set<string>();
      for (let i = 0; i < 200; i++) {
        try {
          expect(readNetwork(bytes)).toEqual(wanted);
          outcomes.add('right');
        } catch (error) {
          expect(error).toBeInstanceOf(EspalierError);
          outcomes.add('refused');
        }
      }
      expect(outcomes.size).toBeGreaterThan(0);
    } finally {
      Atomics.store(stop, 0, 1);
      await worker.terminate();
    }
  });

  it('by their owner, while gunzip and load have turns between, give what was there or a typed error', async () => {
    const filled = (bytes: Uint8Array) => (): void => void bytes.fill(0x1f, 20);
    const moved = (bytes: Uint8Array) => (): void => void structuredClone(bytes.buffer, { transfer: [bytes.buffer] });
    for (const change of [filled, moved]) {
      const archive = packed.slice();
      const unpacking = gunzip(archive).catch((error: unknown) => error);
      change(archive)();
      const found = await unpacking;
      if (found instanceof Error) expectError(found, 'TRUNCATED', 'INPUT');
      else expect(Buffer.compare(found as Uint8Array, noise)).toBe(0);

      const file = writeNetwork(smallNetwork());
      const wanted = (await load(file)).predict(new Float32Array(64)).data;
      const loading = load(file).catch((error: unknown) => error);
      change(file)();
      const model = await loading;
      if (model instanceof Error) expect(model).toBeInstanceOf(EspalierError);
      else expect((model as Awaited<ReturnType<typeof load>>).predict(new Float32Array(64)).data).toEqual(wanted);
    }
    // In shared memory it is what was there when the call was made.
    const shared = new Uint8Array(new SharedArrayBuffer(packed.length));
    shared.set(packed);
    const unpacking = gunzip(shared);
    shared.fill(0);
    expect(Buffer.compare(await unpacking, noise)).toBe(0);
  });
});

describe('text that is meant to take for ever', () => {
  const deep = (n: number): string => 'a'.repeat(n);
  const keys = (n: number): Record<string, unknown> =>
    Object.fromEntries(
      Array.from({ length: n >> 5 }, (_, i) => [`t${i}`, { dtype: 'U8', shape: [0], data_offsets: [0, 0] }]),
    );
  const pts = (n: number): string => `version: 1\nn_points: 1\n{\n${' '.repeat(n)}1${' '.repeat(n)}x\n}\n`;
  const npy = (middle: string): Uint8Array => {
    const header = `{'descr': '<f4',${middle} 'fortran_order': False, 'shape': (1,)}`;
    return Uint8Array.from([
      0x93,
      0x4e,
      0x55,
      0x4d,
      0x50,
      0x59,
      2,
      0,
      ...lengthBytes(header.length),
      ...Buffer.from(header),
    ]);
  };
  const lengthBytes = (n: number): number[] => [n & 255, (n >> 8) & 255, (n >> 16) & 255, n >>> 24];

  it.each<[string, number, (n: number) => () => unknown]>([
    [
      'a name of n characters',
      1 << 18,
      (n) =>
        (
          (file) => () =>
            readSafetensors(file)
        )(rawFile(`{"${deep(n)}":1}`)),
    ],
    [
      'a name of n blanks',
      1 << 18,
      (n) =>
        (
          (file) => () =>
            readSafetensors(file)
        )(rawFile(`{"${' '.repeat(n)}":1}`)),
    ],
    [
      'a name of n escapes',
      1 << 16,
      (n) =>
        (
          (file) => () =>
            readSafetensors(file)
        )(rawFile(`{"${'\\u0041'.repeat(n)}":1}`)),
    ],
    [
      'n blanks between',
      1 << 18,
      (n) =>
        (
          (file) => () =>
            readSafetensors(file)
        )(rawFile(`{${' '.repeat(n)}x}`)),
    ],
    [
      'a number of n digits',
      1 << 16,
      (n) =>
        (
          (file) => () =>
            readSafetensors(file)
        )(rawFile(`{"a":${'1'.repeat(n)}x}`)),
    ],
    [
      'n brackets',
      1 << 16,
      (n) =>
        (
          (file) => () =>
            readSafetensors(file)
        )(rawFile(`{"a":${'['.repeat(n)}`)),
    ],
    [
      'n / 32 tensors',
      1 << 18,
      (n) =>
        (
          (file) => () =>
            readSafetensors(file)
        )(rawFile(keys(n))),
    ],
    [
      'points with n blanks',
      1 << 17,
      (n) =>
        (
          (file) => () =>
            readPts(file)
        )(pts(n)),
    ],
    [
      'an array whose header has n blanks',
      1 << 12,
      (n) =>
        (
          (file) => () =>
            readNpy(file)
        )(npy(' '.repeat(n))),
    ],
    [
      'an array whose header has n parentheses',
      1 << 12,
      (n) =>
        (
          (file) => () =>
            readNpy(file)
        )(npy('('.repeat(n))),
    ],
  ])('%s: eight times as much takes less than 30 times as long, where a square would take 64', (_name, n, prepare) => {
    // Time of this process on the processor, the least of five, as others may be busy; what is below 5 ms is not told apart.
    const least = (read: () => unknown): number => {
      const times = Array.from({ length: 5 }, () => {
        const before = process.cpuUsage();
        try {
          read();
        } catch (error) {
          expect(error).toBeInstanceOf(EspalierError);
        }
        const { user, system } = process.cpuUsage(before);
        return (user + system) / 1000;
      });
      return Math.min(...times);
    };
    const [small, large] = [least(prepare(n)), least(prepare(8 * n))];
    expect(large).toBeLessThan(30 * Math.max(small, 5));
  });
});
