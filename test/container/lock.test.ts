import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { mkdtempSync, promises, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { lockFolder } from '../../src/container/lock.ts';
import { ownerOf, ownMark } from '../../src/container/owner.ts';
import { expectError, rejection } from './files.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'espalier-lock-'));
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

const FAST = { beat: 20, patience: 200 };
const take = (times = FAST): ReturnType<typeof lockFolder> => lockFolder(promises, folder, 'job', times);
const source = (path: string): string => JSON.stringify(new URL(`../../src/${path}`, import.meta.url).href);

/** Another process that runs `script`; its lines as they come. */
function other(script: string): ChildProcess & { readonly line: () => Promise<string> } {
  const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', script], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const lines: string[] = [];
  child.stdout.on('data', (text: Buffer) => lines.push(...text.toString().trim().split('\n')));
  return Object.assign(child, {
    async line() {
      while (lines.length === 0) await sleep(5);
      return lines.shift()!;
    },
  });
}

const HOLDER = (at: string): string => `
  import { promises } from 'node:fs';
  import { lockFolder } from ${source('container/lock.ts')};
  const lock = await lockFolder(promises, ${JSON.stringify(at)}, 'job');
  console.log('held');
  process.stdin.resume();
`;

describe('marks of owners', () => {
  it('this process is alive, one that has ended is dead, a number given anew to another process is dead, another machine unknown', async () => {
    const own = ownMark('test');
    expect(ownerOf('test', own)).toBe('alive');
    expect(ownMark('test')).not.toBe(own);
    const child = other(`import { ownMark } from ${source('container/owner.ts')}; console.log(ownMark('x'));`);
    const mark = await child.line();
    await new Promise((resolve) => child.on('close', resolve));
    expect(ownerOf('test', mark)).toBe('dead');
    const [host, pid, start, nonce] = own.split('-');
    expect(ownerOf('test', [host, pid, '12345678', nonce].join('-'))).toBe(
      process.platform === 'linux' ? 'dead' : 'alive',
    );
    expect(ownerOf('test', [host, pid, '00000000', nonce].join('-'))).toBe('alive');
    expect(ownerOf('test', ['ffffffff', pid, start, nonce].join('-'))).toBe('unknown');
    for (const text of ['', '1234', 'x', `${own}x`, own.slice(1)]) expect(ownerOf('test', text)).toBe('unknown');
  });
});

describe('lockFolder', () => {
  it('is held by one, names the file and the cure to the others, and leaves nothing', async () => {
    const lock = await take();
    const error = expectError(await rejection(take()), 'LOCKED');
    expect(error.message).toMatch(/another run uses "job" in .*; wait until it ends .* remove .*\.lock$/);
    expect(readdirSync(folder)).toHaveLength(1);
    await lock.confirm();
    await lock.release();
    expect(readdirSync(folder)).toEqual([]);
  });

  it('makes its folder, and removes the one that it made where nothing else came into it', async () => {
    const deep = join(folder, 'a', 'b');
    const lock = await lockFolder(promises, deep, 'job');
    expect(readdirSync(deep)).toHaveLength(1);
    await lock.release();
    expect(readdirSync(join(folder, 'a'))).toEqual([]);
  });

  it('of a killed process is taken over; of a living one not', async () => {
    const holder = other(HOLDER(folder));
    expect(await holder.line()).toBe('held');
    expectError(await rejection(take()), 'LOCKED');
    holder.kill('SIGKILL');
    // The parent may not have been told yet: a zombie counts as over.
    let lock: Awaited<ReturnType<typeof take>> | undefined;
    while (!lock) lock = await take().catch(() => undefined);
    expect(readdirSync(folder)).toHaveLength(1);
    await lock.release();
  });

  it('is held by one of twenty at most, whenever they come, and by all in turn if they try again', async () => {
    let [holders, most, turns] = [0, 0, 0];
    // As a process that was killed leaves it: all find it at once.
    writeFileSync(join(folder, `job.${ownMark('test').replace(/-[0-9a-f]{8}-/, '-11111111-')}.lock`), '');
    await Promise.all(
      Array.from({ length: 20 }, async (_, i) => {
        await sleep(i % 7);
        for (;;) {
          const lock = await take().catch((error: unknown) => {
            expectError(error, 'LOCKED');
            return undefined;
          });
          if (!lock) continue;
          most = Math.max(most, ++holders);
          await sleep(2);
          holders--;
          turns++;
          await lock.release();
          return;
        }
      }),
    );
    expect([most, turns]).toEqual([1, 20]);
    expect(readdirSync(folder)).toEqual([]);
  });

  it('of another machine is watched: silent, it is taken over; with a sign of life it is LOCKED', async () => {
    const foreign = join(folder, `job.${ownMark('test').replace(/^[0-9a-f]{8}/, 'ffffffff')}.lock`);
    writeFileSync(foreign, '0');
    await (await take()).release();
    expect(readdirSync(folder)).toEqual([]);
    writeFileSync(foreign, '0');
    let beats = 0;
    const alive = setInterval(() => {
      writeFileSync(foreign, String(++beats));
    }, 10);
    expectError(await rejection(take()), 'LOCKED');
    clearInterval(alive);
  });

  it('gives signs of life', async () => {
    const lock = await take();
    const path = join(folder, readdirSync(folder)[0]);
    const before = readFileSync(path, 'utf8');
    while (readFileSync(path, 'utf8') === before) await sleep(5);
    await lock.release();
  });

  it('whose file is gone is taken again at the next write; LOCKED if another has it by then', async () => {
    const lock = await take();
    rmSync(folder, { recursive: true });
    await lock.confirm();
    expect(readdirSync(folder)).toHaveLength(1);
    rmSync(folder, { recursive: true });
    const second = await take();
    expectError(await rejection(lock.confirm()), 'LOCKED');
    await second.confirm();
    await second.release();
    await lock.release();
  });

  it('tells IO where the folder cannot be', async () => {
    writeFileSync(join(folder, 'file'), '');
    expectError(await rejection(lockFolder(promises, join(folder, 'file'), 'job')), 'IO');
  });
});
