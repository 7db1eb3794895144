/**
 * Files that are whole or not there (Node): what is saved is written beside its target, synced, and renamed over it, so
 * that a crash at any moment leaves the old file or the new one.
 */
import { EspalierError, show } from '../base/errors.ts';
import { asBytes } from '../base/realm.ts';
import { requireNode } from '../base/platform.ts';
import { fileError } from './file-error.ts';

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
  stat(path: string): Promise<{ readonly mode: number; isDirectory(): boolean }>;
  mkdir(path: string, options: { recursive: true }): Promise<unknown>;
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

/**
 * Writes `bytes` to `path`, whole or not at all: through a symbolic link to the file that it names, with the mode of
 * the file that was there. On an error the old file is untouched and nothing is left beside it; only where the very
 * last sync fails is the new file in place.
 *
 * @throws {EspalierError} IO, with the system's error as cause
 */
export async function saveFile(path: string, bytes: Uint8Array, options: FileOptions = {}): Promise<void> {
  const { fileSystem = nodeFiles('saveFile') } = options;
  if (!asBytes(bytes)) throw new TypeError(`saveFile: bytes: expected a Uint8Array, got ${show(bytes)}`);
  const { dirname } = requireNode('saveFile', 'node:path');
  const target = await throughLinks(fileSystem, checkPath('saveFile', path));
  const found = await attempt('saveFile', path, 'look at', () => fileSystem.stat(target)).catch(absent);
  if (found?.isDirectory())
    throw new EspalierError('IO', `saveFile: ${show(path)} is a folder; name a file in it`, { name: path });

  const unfinished = `${target}.${globalThis.crypto.randomUUID()}${UNFINISHED}`;
  const file = await attempt('saveFile', path, 'write', () =>
    fileSystem.open(unfinished, 'wx', found === undefined ? 0o666 : found.mode & 0o777),
  );
  try {
    await attempt('saveFile', path, 'write', () => writeAll(file, bytes));
    await attempt('saveFile', path, 'replace', () => renameWithPatience(fileSystem, unfinished, target));
  } catch (error) {
    // The first error is the one to tell; a leftover is ignored by every reader.
    await fileSystem.unlink(unfinished).catch(() => undefined);
    throw error;
  }
  await attempt('saveFile', path, 'sync the folder of', () => syncFolder(fileSystem, dirname(target)));
}

/**
 * The bytes of a file.
 * @throws {EspalierError} IO, with the system's error as cause; TOO_LARGE from 2 GiB on, MEMORY
 */
export async function loadFile(path: string, options: FileOptions = {}): Promise<Uint8Array> {
  const { fileSystem = nodeFiles('loadFile') } = options;
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

/** Runs a file operation. @throws {EspalierError} IO for what the system throws, saying what was tried */
export async function attempt<T>(who: string, path: string, verb: string, operation: () => Promise<T>): Promise<T> {
  try {
    return await operation();
  } catch (cause) {
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
async function throughLinks(fileSystem: FileSystem, path: string): Promise<string> {
  const { dirname, resolve } = requireNode('saveFile', 'node:path');
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
    `saveFile: ${show(path)}: more than ${MAX_LINKS} symbolic links; do they go round in a circle?`,
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
