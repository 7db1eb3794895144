/**
 * A lock on a name in a folder (Node): one holder at a time, among processes and within one, and none that outlives its
 * process. Every contender makes a file of its own, then looks for others: of two, the one that looks last sees the
 * other, so both never hold it. A file of a dead process is removed by whoever finds it; names are never used twice, so
 * nobody removes a file that has come to life again.
 */
import { EspalierError, show } from '../base/errors.ts';
import { requireNode } from '../base/platform.ts';
import { ownerOf, ownMark } from './owner.ts';
import { attempt, isAbsent } from './save.ts';
import type { FileSystem } from './save.ts';

/** What a run holds while it uses a store under a key. */
export interface Lock {
  /** Before each write. @throws {EspalierError} LOCKED if another run has taken over while this one stood still */
  confirm(): Promise<void>;
  release(): Promise<void>;
}

export interface LockTimes {
  /** Milliseconds between two signs of life. Default 3000. */
  readonly beat?: number;
  /** Milliseconds without a sign of life after which a holder on another machine counts as dead. Default 30000. */
  readonly patience?: number;
}

export const LOCK = '.lock';
const WHO = 'folderStore';
/** Two that have seen each other step back both: some more tries, each after another wait. */
const TRIES = 4;

/**
 * Takes the lock. The holder's process is looked up where it runs on this machine; a holder elsewhere is watched for
 * signs of life, in the file's content, since clocks of machines differ.
 * @throws {EspalierError} LOCKED, naming the file; IO
 */
export async function lockFolder(
  fileSystem: FileSystem,
  folder: string,
  key: string,
  { beat = 3000, patience = 30_000 }: LockTimes = {},
): Promise<Lock> {
  const { join } = requireNode(WHO, 'node:path');
  let own = '';
  let beats = 0;
  let timer: ReturnType<typeof setInterval> | undefined;
  let madeFolder = false;

  const pathOf = (name: string): string => join(folder, name);
  const remove = (name: string): Promise<void> =>
    attempt(WHO, pathOf(name), 'remove', () => fileSystem.unlink(pathOf(name))).catch((error: unknown) => {
      if (!isAbsent(error)) throw error;
    });

  async function write(flags: 'wx' | 'r+'): Promise<void> {
    const file = await fileSystem.open(pathOf(own), flags);
    try {
      await file.write(new TextEncoder().encode(String(beats++).padStart(16, '0')), 0, 16);
    } finally {
      await file.close();
    }
  }

  async function make(): Promise<void> {
    own = `${key}.${ownMark(WHO)}${LOCK}`;
    const made = await attempt(WHO, folder, 'make', () => fileSystem.mkdir(folder, { recursive: true }));
    madeFolder ||= made !== undefined;
    try {
      await attempt(WHO, pathOf(own), 'write', () => write('wx'));
    } catch (error) {
      await fileSystem.unlink(pathOf(own)).catch(() => undefined);
      throw error;
    }
  }

  async function others(): Promise<string[]> {
    const names = await attempt(WHO, folder, 'list', () => fileSystem.readdir(folder));
    return names.filter((name) => name !== own && name.startsWith(`${key}.`) && name.endsWith(LOCK));
  }

  /** Whether a holder of another machine gives no sign of life. */
  async function isSilent(name: string): Promise<boolean> {
    const look = (): Promise<string | undefined> =>
      fileSystem.readFile(pathOf(name)).then(
        (bytes) => new TextDecoder().decode(bytes),
        () => undefined,
      );
    const before = await look();
    for (let waited = 0; waited < patience; waited += beat / 2) {
      await wait(beat / 2);
      const now = await look();
      if (now !== before) return now === undefined;
    }
    return true;
  }

  /** The file of another that holds the lock; what the dead have left is removed. */
  async function rival(): Promise<string | undefined> {
    for (const name of await others()) {
      const owner = ownerOf(WHO, name.slice(key.length + 1, -LOCK.length));
      if (owner === 'alive' || (owner === 'unknown' && !(await isSilent(name)))) return name;
      await remove(name);
    }
    return undefined;
  }

  function keepBeating(): void {
    timer ??= setInterval(() => {
      // A folder that is gone is seen by `confirm`.
      write('r+').catch(() => undefined);
    }, beat);
    // In Node a timer keeps its process alive; this one must not.
    (timer as { unref?: () => void }).unref?.();
  }

  async function release(): Promise<void> {
    clearInterval(timer);
    timer = undefined;
    await remove(own);
    // With checkpoints in it, it stays.
    if (madeFolder) await fileSystem.rmdir(folder).catch(() => undefined);
  }

  async function take(): Promise<void> {
    for (let tries = 1; ; tries++) {
      let found: string | undefined;
      try {
        await make();
        keepBeating();
        found = await rival();
        if (found === undefined) return;
      } catch (error) {
        await release().catch(() => undefined);
        // Another run has tidied the folder away between two steps.
        if (!isAbsent(error) || tries === TRIES) throw error;
        continue;
      }
      await release();
      if (tries === TRIES)
        throw new EspalierError(
          'LOCKED',
          `${WHO}: another run uses ${show(key)} in ${folder}; wait until it ends or give this one another place. If there is no such run, remove ${pathOf(found)}`,
          { name: pathOf(found) },
        );
      await wait(20 + 80 * tries * Math.random());
    }
  }

  await take();
  return {
    async confirm() {
      try {
        await fileSystem.stat(pathOf(own));
      } catch (error) {
        // The folder was removed, or this process stood still for so long that it was thought dead.
        if (isAbsent(error)) await take();
      }
    },
    release,
  };
}

function wait(milliseconds: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, milliseconds);
  });
}
