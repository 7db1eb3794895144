import fc from 'fast-check';
import { existsSync, mkdtempSync, promises, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { EspalierError } from '../../src/base/errors.ts';
import { writeChecked } from '../../src/container/checksum.ts';
import { readSafetensors } from '../../src/container/safetensors.ts';
import type { FileSystem } from '../../src/container/save.ts';
import {
  folderStore,
  memoryStore,
  readCheckpoint,
  removeCheckpoint,
  writeCheckpoint,
} from '../../src/container/store.ts';
import type { Checkpoint, CheckpointPayload, CheckpointStore, Fingerprint } from '../../src/container/store.ts';
import { expectError, rejection } from './files.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'espalier-store-'));
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

const stores: [string, () => CheckpointStore][] = [
  ['memoryStore', memoryStore],
  ['folderStore', () => folderStore(join(folder, 'deep', 'store'))],
];
const fingerprint = { network: 'abc', data: '1', seed: '7' };
const payload = (epoch: number): CheckpointPayload => ({
  fingerprint,
  metadata: { epoch: String(epoch) },
  tensors: [{ name: 'w', dtype: 'U8', shape: [2], bytes: Uint8Array.of(epoch, 1) }],
});
/** What a slot holds, as it is, with its number and what was damaged. */
const read = async (
  store: CheckpointStore,
  key = 'job',
  like: Fingerprint = fingerprint,
): Promise<(Checkpoint & { sequence: number; damaged: readonly string[] }) | undefined> => {
  const found = await readCheckpoint(store, key, like, ({ metadata, tensors }) => ({ metadata, tensors }));
  return found && { ...found.state, sequence: found.sequence, damaged: found.damaged };
};
const epochOf = async (store: CheckpointStore): Promise<string | undefined> =>
  (await read(store))?.metadata.get('epoch');

describe.each(stores)('%s', (_, open) => {
  it('behaves as a Map of names and bytes, whatever is written, removed, read and listed', async () => {
    const names = fc.constantFrom('a', 'b.safetensors', 'a.b', '_1');
    const command = fc.oneof(
      fc.record({ kind: fc.constant('write' as const), name: names, bytes: fc.uint8Array({ maxLength: 8 }) }),
      fc.record({ kind: fc.constant('remove' as const), name: names }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(command, { maxLength: 8 }), async (commands) => {
        const store = open();
        for (const name of await store.list()) await store.remove(name);
        const model = new Map<string, number[]>();
        for (const one of commands) {
          if (one.kind === 'write') {
            await store.write(one.name, one.bytes);
            model.set(one.name, [...one.bytes]);
          } else {
            await store.remove(one.name);
            model.delete(one.name);
          }
        }
        expect(await store.list()).toEqual([...model.keys()].sort());
        for (const name of ['a', 'b.safetensors', 'a.b', '_1']) {
          const found = await store.read(name);
          expect(found && [...found]).toEqual(model.get(name));
        }
      }),
      { numRuns: 15 },
    );
  });

  it('refuses names that could lead elsewhere', async () => {
    const store = open();
    for (const name of ['', '.', '..', '../a', 'a/b', 'a\\b', '/a', '.a', 'a\0', 'ü', 'a'.repeat(201)]) {
      const attempts = [() => store.read(name), () => store.write(name, new Uint8Array(1)), () => store.remove(name)];
      for (const attempt of attempts)
        expect(await rejection((async () => attempt())()), name).toBeInstanceOf(RangeError);
    }
  });

  it('keeps what it was given though the caller changes the array', async () => {
    const store = open();
    const bytes = Uint8Array.of(1, 2);
    await store.write('a', bytes);
    bytes[0] = 9;
    const found = await store.read('a');
    expect(found && [...found]).toEqual([1, 2]);
    found?.fill(0);
    expect([...((await store.read('a')) ?? [])]).toEqual([1, 2]);
  });

  it('a key is locked for one at a time, other keys are not', async () => {
    const store = open();
    const lock = await store.lock!('job');
    expectError(await rejection(store.lock!('job')), 'LOCKED');
    await (await store.lock!('job2')).release();
    await lock.confirm();
    await lock.release();
    await (await store.lock!('job')).release();
  });

  it('checkpoints: the last one written is the one read, with its tensors, and at most two are kept', async () => {
    const store = open();
    expect(await read(store, 'job', fingerprint)).toBeUndefined();
    for (let epoch = 1; epoch <= 5; epoch++) {
      await writeCheckpoint(store, 'job', payload(epoch));
      const found = await read(store, 'job', fingerprint);
      expect(found?.metadata).toEqual(new Map([['epoch', String(epoch)]]));
      expect(found?.sequence).toBe(epoch);
      expect(found?.damaged).toEqual([]);
      expect([...(found?.tensors.get('w')?.bytes ?? [])]).toEqual([epoch, 1]);
      expect((await store.list()).length).toBe(Math.min(epoch, 2));
    }
    expect(await read(store, 'other', fingerprint)).toBeUndefined();
    await removeCheckpoint(store, 'job');
    expect(await store.list()).toEqual([]);
    await removeCheckpoint(store, 'job');
  });
});

describe('a damaged checkpoint', () => {
  /** A store with the checkpoints of epochs 1 and 2, and the name of the newer one. */
  async function two(): Promise<{ store: CheckpointStore; newer: string; older: string }> {
    const store = memoryStore();
    await writeCheckpoint(store, 'job', payload(1));
    const [older] = await store.list();
    await writeCheckpoint(store, 'job', payload(2));
    return { store, older, newer: (await store.list()).find((name) => name !== older) ?? '' };
  }
  const damages: [string, (bytes: Uint8Array) => Uint8Array][] = [
    ['emptied', () => new Uint8Array(0)],
    ['cut', (bytes) => bytes.subarray(0, bytes.length - 1)],
    ['cut to its header', (bytes) => bytes.subarray(0, 60)],
    ['with one flipped bit in its data', (bytes) => bytes.map((byte, i) => (i === bytes.length - 1 ? byte ^ 1 : byte))],
    ['with one flipped bit in its header', (bytes) => bytes.map((byte, i) => (i === 100 ? byte ^ 1 : byte))],
    ['overwritten by an HTML page', () => new TextEncoder().encode('<html>503</html>')],
    ['replaced by another safetensors file', () => writeChecked([], { a: 'b' })],
    [
      'of an older format',
      () => writeChecked([], { 'espalier.checkpoint': '{"version":0,"sequence":2,"fingerprint":{}}' }),
    ],
  ];

  it.each(damages)('that is newer and %s is passed by for the one before it, and told', async (_, damage) => {
    const { store, newer } = await two();
    await store.write(newer, damage((await store.read(newer)) ?? new Uint8Array(0)));
    const found = await read(store, 'job', fingerprint);
    expect(found?.metadata.get('epoch')).toBe('1');
    expect(found?.damaged.length).toBe(1);
    expect(found?.damaged[0]).toContain(newer);
    // The next one takes the place of the damaged one, not of the good one.
    await writeCheckpoint(store, 'job', payload(3));
    const next = await read(store, 'job', fingerprint);
    expect([next?.metadata.get('epoch'), next?.damaged.length]).toEqual(['3', 0]);
  });

  it.each(damages)(
    'that is the only one and %s is CHECKPOINT: a run never starts anew in silence',
    async (_, damage) => {
      const { store, newer, older } = await two();
      await store.remove(older);
      await store.write(newer, damage((await store.read(newer)) ?? new Uint8Array(0)));
      expectError(await rejection(read(store, 'job', fingerprint)), 'CHECKPOINT');
    },
  );

  it('is found at every cut and every flipped bit', async () => {
    const { store, newer } = await two();
    const bytes = (await store.read(newer)) ?? new Uint8Array(0);
    for (let at = 0; at < bytes.length; at += 3) {
      for (const damaged of [
        bytes.subarray(0, at),
        bytes.map((byte, i) => (i === at ? byte ^ (1 << (at % 8)) : byte)),
      ]) {
        await store.write(newer, damaged);
        expect(await epochOf(store)).toBe('1');
      }
    }
  });
});

describe('a checkpoint that is whole and yet of no use to its reader', () => {
  it("is passed by for the one before it, told, and removed, so that the next does not take the good one's place", async () => {
    const store = memoryStore();
    for (const epoch of [1, 2]) await writeCheckpoint(store, 'job', payload(epoch));
    const picky = (except: string): ReturnType<typeof readCheckpoint<string>> =>
      readCheckpoint(store, 'job', fingerprint, ({ metadata }) => {
        const epoch = metadata.get('epoch')!;
        if (epoch === except) throw new EspalierError('FIELD', 'not this one');
        return epoch;
      });
    expect(await picky('2')).toEqual({ state: '1', sequence: 1, damaged: ['job.b.safetensors: not this one'] });
    expect(await store.list()).toEqual(['job.a.safetensors']);
    const error = expectError(await rejection(picky('1')), 'CHECKPOINT');
    expect(error.message).toContain('not this one');
    expect(await store.list()).toEqual(['job.a.safetensors']);
  });

  it('a fault of the reader itself is no damage', async () => {
    const store = memoryStore();
    await writeCheckpoint(store, 'job', payload(1));
    const reading = readCheckpoint(store, 'job', fingerprint, () => {
      throw new TypeError('a bug');
    });
    expect(await rejection(reading)).toBeInstanceOf(TypeError);
  });
});

describe('a checkpoint of another run', () => {
  it('is CHECKPOINT and says what differs: a value, a field too many, a field too few', async () => {
    const store = memoryStore();
    await writeCheckpoint(store, 'job', payload(1));
    const differing: [Record<string, string>, string[]][] = [
      [{ ...fingerprint, seed: '8' }, ['seed']],
      [{ ...fingerprint, network: 'x', data: 'y' }, ['network', 'data']],
      [{ network: 'abc', data: '1' }, ['seed']],
      [{ ...fingerprint, extra: '1' }, ['extra']],
    ];
    for (const [other, names] of differing) {
      const error = expectError(await rejection(read(store, 'job', other)), 'CHECKPOINT');
      expect(error.details.found).toEqual(names);
      for (const name of names) expect(error.message).toContain(name);
    }
    expect(await epochOf(store)).toBe('1');
  });
});

describe('folderStore', () => {
  it('passes by what a killed run left unfinished; the next run of that key removes it, and nothing of another', async () => {
    const store = folderStore(folder);
    await store.write('job.a.safetensors', Uint8Array.of(1));
    await store.write('other.a.safetensors', Uint8Array.of(2));
    writeFileSync(join(folder, 'job.a.safetensors.1234.unfinished'), 'half');
    writeFileSync(join(folder, 'other.a.safetensors.1234.unfinished'), 'half');
    expect(await store.list()).toEqual(['job.a.safetensors', 'other.a.safetensors']);
    const lock = await store.lock?.('job');
    expect(await store.list()).toEqual(['job.a.safetensors', 'other.a.safetensors']);
    await lock?.release();
    expect(readdirSync(folder).sort()).toEqual([
      'job.a.safetensors',
      'other.a.safetensors',
      'other.a.safetensors.1234.unfinished',
    ]);
    await store.remove('other.a.safetensors');
    await store.remove('other.a.safetensors');
    expect(await store.list()).toEqual(['job.a.safetensors']);
  });

  it('goes on after its folder was deleted: nothing there to read, made anew by a write', async () => {
    const store = folderStore(join(folder, 'store'));
    await store.write('a', Uint8Array.of(1));
    rmSync(join(folder, 'store'), { recursive: true });
    expect(await store.read('a')).toBeUndefined();
    expect(await store.list()).toEqual([]);
    await store.remove('a');
    await store.write('a', Uint8Array.of(2));
    expect(readFileSync(join(folder, 'store', 'a'))[0]).toBe(2);
  });

  it('does nothing when it is made, and tells IO where the folder cannot be', async () => {
    const store = folderStore(join(folder, 'new'));
    expect(existsSync(join(folder, 'new'))).toBe(false);
    expect(await store.read('a')).toBeUndefined();
    writeFileSync(join(folder, 'file'), '');
    expectError(await rejection(folderStore(join(folder, 'file')).write('a', new Uint8Array(1))), 'IO');
    expect(() => folderStore('')).toThrow(TypeError);
  });

  it('keeps both earlier checkpoints when the disk fills up in the middle of the third', async () => {
    let full = false;
    const fileSystem: FileSystem = new Proxy(promises as FileSystem, {
      get(target, name: keyof FileSystem) {
        if (name !== 'open') return target[name];
        return (...all: Parameters<FileSystem['open']>) =>
          full ? Promise.reject(Object.assign(new Error('ENOSPC: injected'), { code: 'ENOSPC' })) : target.open(...all);
      },
    });
    const store = folderStore(folder, { fileSystem });
    await writeCheckpoint(store, 'job', payload(1));
    await writeCheckpoint(store, 'job', payload(2));
    full = true;
    expectError(await rejection(writeCheckpoint(store, 'job', payload(3))), 'IO');
    full = false;
    expect(await epochOf(store)).toBe('2');
    await writeCheckpoint(store, 'job', payload(3));
    expect(await epochOf(store)).toBe('3');
  });

  it('its checkpoints are safetensors files', async () => {
    const store = folderStore(folder);
    await writeCheckpoint(store, 'job', payload(1));
    const [name] = await store.list();
    expect(readSafetensors(readFileSync(join(folder, name))).tensors.get('w')?.shape).toEqual([2]);
  });
});
