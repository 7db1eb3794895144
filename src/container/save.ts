/**
 * Files that are whole or not there (Node): what is saved is written beside its target, synced, and renamed over it, so
 * that a crash at any moment leaves the old file or the new one.
 */
import { EspalierError, show } from '../base/errors.ts';
import { asBytes } from '../base/realm.ts';
import { requireNode } from '../base/platform.ts';
import { fileError } from './file-error.ts';
import { ownerOf, ownMark } from './owner.ts';
import { ownOptions } from '../base/rules.ts';

/** The part of an open file that is used here. */
export interface OpenFile {
  write(bytes: Uint8Array, offset: number, length: number): Promise<{ bytesWritten: number }>;
  sync(): Promise<void>;
  close(): Promise<void>;
}

/**
 * The part of `node:fs/promises` that is used here: anything that does the same will do, such as one that fails on
 * purpose.
 */
export interface FileSystem {
  open(path: string, flags: string, mode?: number): Promise<OpenFile>;
  readFile(path: string): Promise<Uint8Array>;
  readdir(path: string): Promise<string[]>;
  readlink(path: string): Promise<string>;
  stat(
    path: string,
  ): Promise<{ readonly mode: number; readonly mtimeMs: number; isDirectory(): boolean; isFile(): boolean }>;
  mkdir(path: string, options: { recursive: true }): Promise<unknown>;
  rmdir(path: string): Promise<void>;
  rename(from: string, to: string): Promise<void>;
  unlink(path: string): Promise<void>;
}

export interface FileOptions {
  /** Default: Node's. */
  fileSystem?: FileSystem;
}

/** Ends the name of everything that is not finished; readers of a folder pass it by. */
export const UNFINISHED = '.unfinished';

// On Windows a virus scanner may hold the target for a moment. Together a little over a second.
const RENAME_WAITS = [10, 40, 160, 320, 640];
// What folders answer where they cannot be synced (Windows, some network drives): the rename itself is then all there
// is.
const NO_FOLDER_SYNC = ['EISDIR', 'EPERM', 'EACCES', 'EINVAL', 'ENOTSUP', 'EBADF', 'ENOSYS'];
const MAX_LINKS = 40;
const DAY = 24 * 3600 * 1000;

/**
 * Writes `bytes` to `path`, whole or not at all: through a symbolic link to the file that it names, with the mode of
 * the file that was there. On an error the old file is untouched and nothing is left beside it; only where the very
 * last sync fails is the new file in place. What killed processes have left beside it is removed.
 *
 * @throws {EspalierError} IO, with the system's error as cause; also where `path` is a folder, a device, a pipe or a
 *   read-only file, none of which can be replaced as a whole
 */
export async function saveFile(path: string, bytes: Uint8Array, options: FileOptions = {}): Promise<void> {
  const { fileSystem = nodeFiles('saveFile') } = ownOptions('saveFile', 'options', options, ['fileSystem']);
  if (!asBytes(bytes)) throw new TypeError(`saveFile: bytes: expected a Uint8Array, got ${show(bytes)}`);
  const { basename, dirname } = requireNode('saveFile', 'node:path');
  const { target, mode } = await findTarget('saveFile', path, fileSystem);
  await writeBeside('saveFile', path, target, mode, bytes, fileSystem, (unfinished) =>
    attempt('saveFile', path, 'replace', () => renameWithPatience(fileSystem, unfinished, target)),
  );
  await attempt('saveFile', path, 'sync the folder of', () => syncFolder(fileSystem, dirname(target)));
  await clearUnfinished(fileSystem, dirname(target), basename(target), target);
}

/**
 * Finds out whether {@link saveFile} can write there, before the work that makes the bytes: by writing and removing a
 * small file beside it, since permissions alone do not tell of full disks and strange file systems. What is at `path`
 * is not touched.
 * @throws {EspalierError} IO, as {@link saveFile}
 */
export async function checkWritable(path: string, options: FileOptions = {}): Promise<void> {
  const { fileSystem = nodeFiles('checkWritable') } = options;
  const { target, mode } = await findTarget('checkWritable', path, fileSystem);
  await writeBeside('checkWritable', path, target, mode, new Uint8Array(4096), fileSystem, (unfinished) =>
    attempt('checkWritable', path, 'tidy up beside', () => fileSystem.unlink(unfinished)),
  );
}

/** The file that a path leads to, and the mode that a new one is to have. */
async function findTarget(
  who: string,
  path: string,
  fileSystem: FileSystem,
): Promise<{ readonly target: string; readonly mode: number }> {
  const { dirname } = requireNode(who, 'node:path');
  const target = await throughLinks(who, fileSystem, checkPath(who, path));
  const refuse = (problem: string): EspalierError =>
    new EspalierError('IO', `${who}: ${show(path)} ${problem}`, { name: path });
  const found = await attempt(who, path, 'look at', () => fileSystem.stat(target)).catch(absent);
  if (found?.isDirectory()) throw refuse('is a folder; name a file in it');
  if (found && !found.isFile())
    throw refuse('is a device or a pipe, which cannot be replaced as a whole; name a file, and copy it there');
  // No one may write it, its owner included: it was put out of reach on purpose.
  if (found && (found.mode & 0o222) === 0) throw refuse('is read-only; name another file, or allow writing to it');
  const folder = dirname(target);
  if (!found && !(await attempt(who, path, 'look at the folder of', () => fileSystem.stat(folder)).catch(absent)))
    throw refuse(
      target === requireNode(who, 'node:path').resolve(path)
        ? `cannot be written: there is no folder ${show(folder)}; make it first`
        : `is a link to ${show(target)}, and there is no folder ${show(folder)}; make it first`,
    );
  return { target, mode: found === undefined ? 0o666 : found.mode & 0o777 };
}

/** Writes a file beside `target`, then does with it what `then` does; on an error nothing is left. */
async function writeBeside(
  who: string,
  path: string,
  target: string,
  mode: number,
  bytes: Uint8Array,
  fileSystem: FileSystem,
  then: (unfinished: string) => Promise<void>,
): Promise<void> {
  const unfinished = `${target}.${ownMark(who)}${UNFINISHED}`;
  const file = await attempt(who, path, 'write', () => fileSystem.open(unfinished, 'wx', mode));
  try {
    await attempt(who, path, 'write', () => writeAll(file, bytes));
    await then(unfinished);
  } catch (error) {
    // The first error is the one to tell; a leftover is passed by, and cleared when the file is written again.
    await fileSystem.unlink(unfinished).catch(() => undefined);
    throw error;
  }
}

/**
 * Removes what was left unfinished of the files whose names begin with `name`: by processes that are no more, and what
 * may be of another machine if it is a day older than the file `fresh`, by the clock of the disk. Without `fresh`:
 * everything, for one who holds a lock on them. What cannot be removed stays.
 */
export async function clearUnfinished(
  fileSystem: FileSystem,
  folder: string,
  name: string,
  fresh?: string,
): Promise<void> {
  const { join } = requireNode('saveFile', 'node:path');
  const age = async (path: string): Promise<number> => (await fileSystem.stat(path)).mtimeMs;
  try {
    for (const other of await fileSystem.readdir(folder)) {
      if (!other.startsWith(`${name}.`) || !other.endsWith(UNFINISHED)) continue;
      const owner = ownerOf('saveFile', other.slice(name.length + 1, -UNFINISHED.length));
      const isOver =
        fresh === undefined ||
        owner === 'dead' ||
        (owner === 'unknown' && (await age(fresh)) - (await age(join(folder, other))) > DAY);
      if (isOver) await fileSystem.unlink(join(folder, other)).catch(() => undefined);
    }
  } catch {
    // The file itself is saved; to tidy up is a courtesy.
  }
}

/**
 * The bytes of a file.
 * @throws {EspalierError} IO, with the system's error as cause; TOO_LARGE from 2 GiB on, MEMORY
 */
export async function loadFile(path: string, options: FileOptions = {}): Promise<Uint8Array> {
  const { fileSystem = nodeFiles('loadFile') } = ownOptions('loadFile', 'options', options, ['fileSystem']);
  const bytes = await attempt('loadFile', checkPath('loadFile', path), 'read', () => fileSystem.readFile(path));
  return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Node's own file system. @throws {Error} where there is no Node */
export function nodeFiles(who: string): FileSystem {
  return requireNode(who, 'node:fs').promises;
}

/** The system's error codes that mean "there is nothing of this name". */
export function isAbsent(error: unknown): boolean {
  const { code } = (error instanceof EspalierError ? error.details.cause : error) as { code?: unknown };
  return code === 'ENOENT';
}

/**
 * Runs an operation on a file or a store. @throws {EspalierError} what `fileError` makes of what the system throws; an
 * EspalierError as it is
 */
export async function attempt<T>(who: string, path: string, verb: string, operation: () => Promise<T>): Promise<T> {
  try {
    return await operation();
  } catch (cause) {
    if (cause instanceof EspalierError) throw cause;
    throw fileError(who, path, verb, cause);
  }
}

function absent(error: unknown): undefined {
  if (isAbsent(error)) return undefined;
  throw error;
}

function checkPath(who: string, path: unknown): string {
  if (typeof path !== 'string') throw new TypeError(`${who}: path: expected a string, got ${show(path)}`);
  if (path === '') throw new RangeError(`${who}: path: expected the name of a file, got ""`);
  return path;
}

/** The file that a chain of symbolic links ends at, there already or not. */
async function throughLinks(who: string, fileSystem: FileSystem, path: string): Promise<string> {
  const { dirname, resolve } = requireNode(who, 'node:path');
  let target = resolve(path);
  for (let links = 0; links < MAX_LINKS; links++) {
    let next: string;
    try {
      next = await fileSystem.readlink(target);
    } catch {
      // Not a link, not there, or not to be seen: opening it will say so.
      return target;
    }
    target = resolve(dirname(target), next);
  }
  throw new EspalierError(
    'IO',
    `${who}: ${show(path)}: more than ${MAX_LINKS} symbolic links; do they go round in a circle?`,
    { name: path, limit: MAX_LINKS },
  );
}

async function writeAll(file: OpenFile, bytes: Uint8Array): Promise<void> {
  try {
    for (let at = 0; at < bytes.length;) {
      const { bytesWritten } = await file.write(bytes, at, bytes.length - at);
      if (bytesWritten < 1) throw new Error(`the system took ${bytesWritten} of ${bytes.length - at} bytes`);
      at += bytesWritten;
    }
    await file.sync();
  } catch (error) {
    await file.close().catch(() => undefined);
    throw error;
  }
  await file.close();
}

async function renameWithPatience(fileSystem: FileSystem, from: string, to: string): Promise<void> {
  for (const wait of RENAME_WAITS) {
    try {
      return await fileSystem.rename(from, to);
    } catch (error) {
      const { code } = error as { code?: unknown };
      if (code !== 'EPERM' && code !== 'EBUSY') throw error;
    }
    await new Promise((resolve) => {
      setTimeout(resolve, wait);
    });
  }
  return fileSystem.rename(from, to);
}

async function syncFolder(fileSystem: FileSystem, folder: string): Promise<void> {
  let file: OpenFile | undefined;
  try {
    file = await fileSystem.open(folder, 'r');
    await file.sync();
  } catch (error) {
    if (!NO_FOLDER_SYNC.includes(String((error as { code?: unknown }).code))) throw error;
  } finally {
    await file?.close();
  }
}
