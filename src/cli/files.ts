/** Files named on the command line: looked at before hours of work, read as JSON, cleaned up after. */
import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { realpath, rmdir, stat, unlink, writeFile } from 'node:fs/promises';
import { basename, dirname, extname, join, resolve } from 'node:path';
import { checkPreprocessing, EspalierError, folderStore, loadFile, parseJson, show } from '../index.ts';
import type { CheckpointStore, Json, Preprocessing } from '../index.ts';
import { UsageError } from './io.ts';

/** Where a run keeps its state. */
export interface CheckpointPlace {
  readonly store: CheckpointStore;
  /** Letters only. */
  readonly key: string;
  readonly folder: string;
}

/**
 * Finds out whether a file can be written there, by making and removing an empty one beside it: permissions alone do
 * not tell of full disks and strange file systems.
 * @throws {EspalierError} IO, naming the flag and the cure
 */
export async function checkWritable(flag: string, path: string): Promise<void> {
  // What a symbolic link names is what will be replaced.
  const target = await realpath(path).catch(() => resolve(path));
  const found = await stat(target).catch(() => undefined);
  const fail = (problem: string, cause?: unknown): EspalierError =>
    new EspalierError('IO', `${flag}: ${problem}`, { name: path, cause });
  if (found?.isDirectory()) throw fail(`${show(path)} is a folder; name a file in it`);
  if (found && !found.isFile())
    throw fail(`${show(path)} is a device or a pipe, which cannot be replaced; name a file`);
  const folder = dirname(target);
  if (!existsSync(folder)) throw fail(`there is no folder ${show(folder)}; make it first`);
  const probe = `${target}.${randomUUID()}.unfinished`;
  try {
    await writeFile(probe, '', { flag: 'wx' });
    await unlink(probe);
  } catch (cause) {
    throw fail(`cannot write to the folder ${show(folder)}: ${(cause as Error).message}`, cause);
  }
}

/** @throws {UsageError} if two of the paths are the same file: by flag or argument */
export async function checkApart(paths: Readonly<Record<string, string | undefined>>): Promise<void> {
  const seen = new Map<string, string>();
  for (const [name, path] of Object.entries(paths)) {
    if (path === undefined) continue;
    const target = await realpath(path).catch(() => resolve(path));
    const other = seen.get(target);
    if (other !== undefined) throw new UsageError(`${name}: ${show(path)} is ${other} too; name another file`);
    seen.set(target, name);
  }
}

/** Objects instead of maps; every name is an own property. */
function plain(value: Json): unknown {
  if (value instanceof Map) return Object.fromEntries([...value].map(([name, one]) => [name, plain(one as Json)]));
  return Array.isArray(value) ? value.map(plain) : value;
}

/** Endings of files that are not what is written, with what they would be. */
const ENDINGS: Readonly<Record<string, string>> = {
  '.onnx': 'an ONNX model',
  '.pt': 'a PyTorch file',
  '.pth': 'a PyTorch file',
  '.ckpt': 'a checkpoint of another program',
  '.h5': 'an HDF5 file',
  '.keras': 'a Keras model',
  '.tflite': 'a TensorFlow Lite model',
  '.gguf': 'a GGUF model',
  '.npz': 'a zip of arrays',
  '.npy': 'an array',
  '.safetensors': 'a safetensors file',
  '.json': 'JSON',
  '.html': 'a page',
};

/** @throws {UsageError} if the name promises another format than the one that is written, which ends in `ending` */
export function checkEnding(flag: string, path: string, ending: '.safetensors' | '.npy' | '.html'): void {
  const found = extname(path).toLowerCase();
  if (found === ending || !Object.hasOwn(ENDINGS, found)) return;
  throw new UsageError(
    `${flag}: ${show(path)} would be ${ENDINGS[found]}, but ${ENDINGS[ending]} is written; name it ${show(basename(path, extname(path)) + ending)}`,
  );
}

/** An object of a JSON file. @throws {EspalierError} IO, FIELD */
export async function readJsonFile(flag: string, path: string): Promise<Readonly<Record<string, unknown>>> {
  const bytes = await loadFile(path);
  let value: unknown;
  try {
    // Strict: of a name that stands twice, JSON.parse takes the last in silence.
    value = plain(parseJson(new TextDecoder('utf-8', { fatal: true }).decode(bytes), { who: 'JSON' }));
  } catch (cause) {
    throw new EspalierError('FIELD', `${flag}: ${path}: expected JSON: ${(cause as Error).message}`, {
      name: path,
      cause,
    });
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new EspalierError('FIELD', `${flag}: ${path}: expected a JSON object { ... }, got ${show(value)}`, {
      name: path,
    });
  return value as Readonly<Record<string, unknown>>;
}

/** @throws {EspalierError} IO, FIELD */
export async function readPreprocessing(path: string): Promise<Preprocessing> {
  const value: unknown = await readJsonFile('--preprocess', path);
  try {
    checkPreprocessing('--preprocess', value);
  } catch (cause) {
    throw new EspalierError('FIELD', `${(cause as Error).message} in ${path}`, { name: path, cause });
  }
  return value;
}

/** `given`: a folder, 'none', or undefined for the folder beside the output. */
export function checkpointFolder(given: string | undefined, output: string): string | undefined {
  return given === 'none' ? undefined : (given ?? `${output}.checkpoint`);
}

export async function openCheckpoint(folder: string | undefined, key: string): Promise<CheckpointPlace | undefined> {
  if (folder === undefined) return undefined;
  // The folder itself is made by the first checkpoint; what it will stand in has to be there.
  const found = await stat(folder).catch(() => undefined);
  if (found && !found.isDirectory())
    throw new EspalierError('IO', `--checkpoint: ${show(folder)} is a file; name a folder`, { name: folder });
  await checkWritable('--checkpoint', found ? join(folder, key) : folder);
  return { store: folderStore(folder), key, folder };
}

/** After the result is written: the run's checkpoints, and the folder if nothing else is in it. */
export async function removeCheckpoints(place: CheckpointPlace | undefined): Promise<void> {
  if (!place) return;
  const { store, key, folder } = place;
  const ours = new RegExp(`^${key}(-stage\\d+)?\\.[ab]\\.safetensors$`);
  for (const name of await store.list()) if (ours.test(name)) await store.remove(name);
  await rmdir(folder).catch(() => undefined); // not empty, or never made
}
