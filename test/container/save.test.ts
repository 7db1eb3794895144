import { execFileSync, spawn } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  promises,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ownMark } from '../../src/container/owner.ts';
import { checkWritable, loadFile, saveFile } from '../../src/container/save.ts';
import type { FileSystem, OpenFile } from '../../src/container/save.ts';
import { expectError, rejection } from './files.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'espalier-save-'));
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

const OLD = new TextEncoder().encode('the old file');
const NEW = Uint8Array.from({ length: 100_000 }, (_, i) => i * 31);
type Operation = 'open' | 'write' | 'sync' | 'close' | 'rename' | 'stat' | 'readFile';

/**
 * Node's file system, its n-th call (from 1) of one operation failing with `code`; `times` such calls fail. Writes go
 * out in pieces.
 */
function failing(
  operation: Operation | 'none',
  n: number,
  code: string,
  times = 1,
): { fileSystem: FileSystem; calls: Map<Operation, number> } {
  const calls = new Map<Operation, number>();
  function count(called: Operation): void {
    const number = (calls.get(called) ?? 0) + 1;
    calls.set(called, number);
    if (called === operation && number >= n && number < n + times)
      throw Object.assign(new Error(`${code}: injected, ${called}`), { code });
  }
  const fileSystem: FileSystem = {
    readdir: (path) => promises.readdir(path),
    readlink: (path) => promises.readlink(path),
    mkdir: (path, options) => promises.mkdir(path, options),
    unlink: (path) => promises.unlink(path),
    rmdir: (path) => promises.rmdir(path),
    async stat(path) {
      count('stat');
      return promises.stat(path);
    },
    async readFile(path) {
      count('readFile');
      return promises.readFile(path);
    },
    async rename(from, to) {
      count('rename');
      return promises.rename(from, to);
    },
    async open(path, flags, mode) {
      count('open');
      const file = await promises.open(path, flags, mode);
      return {
        async write(bytes, offset, length) {
          count('write');
          return file.write(bytes, offset, Math.min(length, 30_000));
        },
        async sync() {
          count('sync');
          return file.sync();
        },
        async close() {
          await file.close();
          count('close');
        },
      } satisfies OpenFile;
    },
  };
  return { fileSystem, calls };
}

describe('saveFile', () => {
  it('writes a new file and replaces an old one, leaving nothing beside it and keeping its mode', async () => {
    const path = join(folder, 'model.safetensors');
    await saveFile(path, OLD);
    chmodSync(path, 0o640);
    await saveFile(path, NEW);
    expect(Buffer.compare(readFileSync(path), NEW)).toBe(0);
    expect(statSync(path).mode & 0o777).toBe(0o640);
    expect(readdirSync(folder)).toEqual(['model.safetensors']);
    await saveFile(path, new Uint8Array(0));
    expect(readFileSync(path).length).toBe(0);
  });

  it('writes every byte though the system takes them in pieces', async () => {
    const path = join(folder, 'a');
    const { fileSystem, calls } = failing('none', 0, '');
    await saveFile(path, NEW, { fileSystem });
    expect(Buffer.compare(readFileSync(path), NEW)).toBe(0);
    expect(Object.fromEntries(calls)).toEqual({ stat: 2, open: 2, write: 4, sync: 2, close: 2, rename: 1 });
  });

  const faults = ['ENOSPC', 'EIO', 'EACCES', 'EMFILE', 'EROFS', 'EDQUOT'].flatMap(
    (code): [string, Operation, number][] => [
      [code, 'stat', 1],
      [code, 'open', 1],
      [code, 'write', 1],
      [code, 'write', 4],
      [code, 'sync', 1],
      [code, 'close', 1],
      [code, 'rename', 1],
    ],
  );
  it.each(faults)(
    'on %s at %s number %i keeps the old file, leaves nothing beside it and tells IO with its cause',
    async (code, operation, n) => {
      const path = join(folder, 'model');
      writeFileSync(path, OLD);
      const { fileSystem } = failing(operation, n, code);
      const error = expectError(await rejection(saveFile(path, NEW, { fileSystem })), 'IO');
      expect((error.details.cause as { code?: string }).code).toBe(code);
      expect(error.message).toContain(path);
      expect(Buffer.compare(readFileSync(path), OLD)).toBe(0);
      expect(readdirSync(folder)).toEqual(['model']);
    },
  );

  it.each<[Operation, string]>([
    ['open', 'EMFILE'],
    ['sync', 'EIO'],
    ['close', 'EIO'],
  ])('on a failing %s of the folder (%s) tells IO, with the new file whole in place', async (operation, code) => {
    const path = join(folder, 'model');
    writeFileSync(path, OLD);
    expectError(await rejection(saveFile(path, NEW, { fileSystem: failing(operation, 2, code).fileSystem })), 'IO');
    expect(Buffer.compare(readFileSync(path), NEW)).toBe(0);
    expect(readdirSync(folder)).toEqual(['model']);
  });

  it('is content where folders cannot be synced', async () => {
    const path = join(folder, 'model');
    for (const code of ['EISDIR', 'EPERM', 'EINVAL'])
      await saveFile(path, NEW, { fileSystem: failing('sync', 2, code).fileSystem });
    expect(Buffer.compare(readFileSync(path), NEW)).toBe(0);
  });

  it('tries a rename again on EBUSY and EPERM, five times and no more', async () => {
    const path = join(folder, 'model');
    writeFileSync(path, OLD);
    for (const code of ['EBUSY', 'EPERM']) {
      const { fileSystem, calls } = failing('rename', 1, code, 2);
      await saveFile(path, NEW, { fileSystem });
      expect(calls.get('rename')).toBe(3);
    }
    const { fileSystem, calls } = failing('rename', 1, 'EBUSY', 100);
    expectError(await rejection(saveFile(path, OLD, { fileSystem })), 'IO');
    expect(calls.get('rename')).toBe(6);
    expect(Buffer.compare(readFileSync(path), NEW)).toBe(0);
  });

  it('writes through symbolic links, a chain of them and one whose file is not there yet; a circle of them is IO', async () => {
    mkdirSync(join(folder, 'real'));
    symlinkSync('real/model', join(folder, 'first'));
    symlinkSync(join(folder, 'first'), join(folder, 'second'));
    for (const bytes of [OLD, NEW]) {
      await saveFile(join(folder, 'second'), bytes);
      expect(Buffer.compare(readFileSync(join(folder, 'real', 'model')), bytes)).toBe(0);
    }
    expect(readdirSync(join(folder, 'real'))).toEqual(['model']);
    expect((await promises.lstat(join(folder, 'second'))).isSymbolicLink()).toBe(true);
    symlinkSync('b', join(folder, 'a'));
    symlinkSync('a', join(folder, 'b'));
    expectError(await rejection(saveFile(join(folder, 'a'), NEW)), 'IO');
  });

  it('says plainly that the target is a folder, lies in no folder, or beneath a file', async () => {
    expect(expectError(await rejection(saveFile(folder, NEW)), 'IO').message).toContain('is a folder');
    expectError(await rejection(saveFile(join(folder, 'none', 'model'), NEW)), 'IO');
    writeFileSync(join(folder, 'file'), OLD);
    expectError(await rejection(saveFile(join(folder, 'file', 'model'), NEW)), 'IO');
    expect(readdirSync(folder)).toEqual(['file']);
  });

  it('neither replaces nor waits for what is no file: a device, a pipe, a socket of a kind; and keeps its hands off a read-only file', async () => {
    const pipe = join(folder, 'pipe');
    execFileSync('mkfifo', [pipe]);
    symlinkSync('pipe', join(folder, 'link'));
    writeFileSync(join(folder, 'fixed'), OLD);
    chmodSync(join(folder, 'fixed'), 0o444);
    for (const write of [(path: string) => saveFile(path, NEW), (path: string) => checkWritable(path)]) {
      for (const path of [pipe, join(folder, 'link'), '/dev/null'])
        expect(expectError(await rejection(write(path)), 'IO').message).toMatch(
          /is a device or a pipe, which cannot be/,
        );
      expect(expectError(await rejection(write(join(folder, 'fixed'))), 'IO').message).toContain('is read-only');
    }
    expect(statSync(pipe).isFIFO()).toBe(true);
    expect(statSync('/dev/null').isCharacterDevice()).toBe(true);
    expect(Buffer.compare(readFileSync(join(folder, 'fixed')), OLD)).toBe(0);
  });

  it('clears what dead processes and bygone days have left beside it, and nothing of the living or of other files', async () => {
    const dead = ownMark('test').replace(/-[0-9a-f]{8}-/, '-11111111-');
    const foreign = ownMark('test').replace(/^[0-9a-f]{8}/, 'ffffffff');
    const old = 'model.c0ffee00-0000-4000-8000-000000000000.unfinished';
    const kept = [
      `model.${ownMark('test')}.unfinished`,
      `model.${foreign}.unfinished`,
      `other.${dead}.unfinished`,
      'model.old',
    ];
    for (const name of [...kept, `model.${dead}.unfinished`, old]) writeFileSync(join(folder, name), 'half');
    utimesSync(join(folder, old), 0, 0);
    await saveFile(join(folder, 'model'), NEW);
    expect(readdirSync(folder).sort()).toEqual(['model', ...kept].sort());
  });

  it('lets savers of one file run at once: the file is one of theirs, whole', async () => {
    const path = join(folder, 'model');
    const contents = [1, 2, 3, 4, 5].map((byte) => new Uint8Array(50_000).fill(byte));
    await Promise.all(contents.map((bytes) => saveFile(path, bytes)));
    const found = readFileSync(path);
    expect(contents.some((bytes) => Buffer.compare(bytes, found) === 0)).toBe(true);
    expect(readdirSync(folder)).toEqual(['model']);
  });

  it('saves over the file that was just loaded', async () => {
    const path = join(folder, 'model');
    writeFileSync(path, NEW);
    await saveFile(path, await loadFile(path));
    expect(Buffer.compare(await loadFile(path), NEW)).toBe(0);
  });

  it('refuses what are no bytes and no path before it touches anything', async () => {
    expect(await rejection(saveFile(join(folder, 'a'), 'text' as unknown as Uint8Array))).toBeInstanceOf(TypeError);
    expect(await rejection(saveFile(1 as unknown as string, NEW))).toBeInstanceOf(TypeError);
    expect(await rejection(saveFile('', NEW))).toBeInstanceOf(RangeError);
    expect(readdirSync(folder)).toEqual([]);
  });

  it.each<[string, boolean]>([
    ['before', false],
    ['after', true],
  ])('killed right %s the rename, the file is the old one or the new one, whole', async (moment, isNew) => {
    const path = join(folder, 'model');
    writeFileSync(path, OLD);
    const child = spawn(
      process.execPath,
      [
        '--import',
        'tsx',
        '--input-type=module',
        '-e',
        `
      import { promises } from 'node:fs';
      import { saveFile } from ${JSON.stringify(new URL('../../src/container/save.ts', import.meta.url).href)};
      const rename = async (from, to) => {
        if (${JSON.stringify(moment)} === 'after') await promises.rename(from, to);
        process.kill(process.pid, 'SIGKILL');
      };
      const fileSystem = new Proxy(promises, { get: (target, name) => (name === 'rename' ? rename : target[name]) });
      await saveFile(${JSON.stringify(path)}, Uint8Array.from({ length: 100_000 }, (_, i) => i * 31), { fileSystem });
    `,
      ],
      { stdio: ['ignore', 'ignore', 'pipe'] },
    );
    let complaints = '';
    child.stderr.on('data', (text: Buffer) => {
      complaints += text.toString();
    });
    const signal = await new Promise((resolve) => {
      child.on('exit', (_, by) => {
        resolve(by);
      });
    });
    expect(signal, complaints).toBe('SIGKILL');
    expect(Buffer.compare(readFileSync(path), isNew ? NEW : OLD)).toBe(0);
    await saveFile(path, OLD);
    expect(Buffer.compare(readFileSync(path), OLD)).toBe(0);
  });
});

describe('checkWritable', () => {
  it('leaves a file as it is and a new name free, also behind links', async () => {
    writeFileSync(join(folder, 'model'), OLD);
    symlinkSync('model', join(folder, 'link'));
    symlinkSync('none', join(folder, 'dangling'));
    for (const name of ['model', 'link', 'new', 'dangling']) await checkWritable(join(folder, name));
    expect(readdirSync(folder).sort()).toEqual(['dangling', 'link', 'model']);
    expect(Buffer.compare(readFileSync(join(folder, 'model')), OLD)).toBe(0);
  });

  it('finds what saveFile would: a folder, no folder, a link into none, a circle of links, a beginning that is a file', async () => {
    writeFileSync(join(folder, 'file'), OLD);
    symlinkSync('none/model', join(folder, 'into'));
    symlinkSync('b', join(folder, 'a'));
    symlinkSync('a', join(folder, 'b'));
    const bad: [string, RegExp][] = [
      ['', /is a folder/],
      ['none/model', /there is no folder .*none"; make it first/],
      ['into', /is a link to .*none\/model", and there is no folder/],
      ['a', /more than 40 symbolic links/],
      ['a/model', /ELOOP/],
      ['file/model', /ENOTDIR/],
    ];
    for (const [name, message] of bad) {
      for (const write of [saveFile, checkWritable as unknown as typeof saveFile])
        expect(expectError(await rejection(write(join(folder, name), NEW)), 'IO').message).toMatch(message);
    }
  });

  it.each<[string, Operation, number]>([
    ['ENOSPC', 'open', 1],
    ['ENOSPC', 'write', 1],
    ['EROFS', 'open', 1],
    ['EDQUOT', 'sync', 1],
  ])('finds %s at %s, leaving nothing', async (code, operation, n) => {
    const { fileSystem } = failing(operation, n, code);
    expectError(await rejection(checkWritable(join(folder, 'model'), { fileSystem })), 'IO');
    expect(readdirSync(folder)).toEqual([]);
  });
});

describe('loadFile', () => {
  it('gives the bytes; a file that is not there, a folder and a failing disk are IO', async () => {
    const path = join(folder, 'model');
    writeFileSync(path, NEW);
    expect(Buffer.compare(await loadFile(path), NEW)).toBe(0);
    expectError(await rejection(loadFile(join(folder, 'none'))), 'IO');
    expectError(await rejection(loadFile(folder)), 'IO');
    for (const code of ['EIO', 'EACCES', 'EMFILE'])
      expectError(await rejection(loadFile(path, { fileSystem: failing('readFile', 1, code).fileSystem })), 'IO');
    expect(existsSync(path)).toBe(true);
  });
});
