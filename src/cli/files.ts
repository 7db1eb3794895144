/** Files named on the command line: looked at before hours of work, read as JSON, cleaned up after. */
import { mkdir, readdir, readlink, rmdir, stat, unlink } from 'node:fs/promises';
import { basename, dirname, join, resolve, extname } from 'node:path';
import {
  checkPreprocessing,
  checkWritable,
  EspalierError,
  folderStore,
  loadFile,
  parseJson,
  PREPROCESSING_PRESETS,
  presetPreprocessing,
  show,
} from '../index.ts';
import type { Json, Preprocessing, RunCheckpoint, Shape } from '../index.ts';
import { UsageError } from './io.ts';

/** Where a run keeps its state. */
export interface CheckpointPlace {
  /** Its key is letters only. */
  readonly checkpoint: RunCheckpoint;
  readonly folder: string;
}

/** By flag or argument; undefined: not given. */
type Paths = Readonly<Record<string, string | undefined>>;

export interface Places {
  /** Files that are read. */
  readonly sources: Paths;
  /** Array folder, whose files are read. */
  readonly data?: string | undefined;
  /** Files that are written. */
  readonly outputs: Paths;
  /** Folder of the checkpoint. */
  readonly checkpoint?: string | undefined;
}

const DATA_FILE = /-(images|inputs|landmarks|labels|targets)\.npy(\.gz)?$|-names\.txt$/;
const CHECKPOINT_FILE = /\.[ab]\.safetensors$|-(sensitivity|candidate)-[0-9a-f]+\.json$/;

/**
 * Before the work: no file that is written is one that is read or another that is written, by whatever name, link or
 * spelling; and every output can be written.
 * @throws {UsageError} naming the two that are the same
 * @throws {EspalierError} IO, naming the flag and the cure
 */
export async function checkPlaces({ sources, data, outputs, checkpoint }: Places): Promise<void> {
  const seen = new Map<string, string>();
  const add = async (name: string, path: string): Promise<void> => void seen.set(await identity(path), name);
  for (const [name, path] of Object.entries(sources)) if (path !== undefined) await add(name, path);
  for (const name of await namesIn(data, DATA_FILE)) await add(`${name} of --data`, join(data!, name));
  const written = Object.entries({ ...outputs, '--checkpoint': checkpoint });
  for (const name of await namesIn(checkpoint, CHECKPOINT_FILE))
    written.push(['--checkpoint', join(checkpoint!, name)]);
  for (const [name, path] of written) {
    if (path === undefined) continue;
    const id = await identity(path);
    const other = seen.get(id);
    if (other !== undefined) throw new UsageError(`${name}: ${show(path)} is ${other} too; name another file`);
    seen.set(id, name);
  }
  for (const [flag, path] of Object.entries(outputs)) if (path !== undefined) await checkOutput(flag, path);
}

async function namesIn(folder: string | undefined, ending: RegExp): Promise<string[]> {
  const names = folder === undefined ? [] : await readdir(folder).catch(() => []);
  return names.filter((name) => ending.test(name));
}

/**
 * Equal for two paths that are one file: by the disk's own number where it is there, which sees through links of both
 * kinds and through spelling. A file to be is its folder and its name, without case, since no one can tell how a volume
 * takes that before both are there.
 */
async function identity(path: string): Promise<string> {
  let target = resolve(path);
  for (let links = 0; links < 40; links++) {
    const next = await readlink(target).catch(() => undefined);
    if (next === undefined) break;
    target = resolve(dirname(target), next);
  }
  const number = async (place: string): Promise<string | undefined> => {
    const found = await stat(place, { bigint: true }).catch(() => undefined);
    // Some network drives number nothing.
    return found && found.ino !== 0n ? `${found.dev}:${found.ino}` : undefined;
  };
  return (
    (await number(target)) ??
    `${(await number(dirname(target))) ?? dirname(target)}/${basename(target).normalize('NFC').toLowerCase()}`
  );
}

/** @throws {EspalierError} IO if nothing can be written there, naming the flag */
async function checkOutput(flag: string, path: string): Promise<void> {
  try {
    await checkWritable(path);
  } catch (cause) {
    if (!(cause instanceof EspalierError)) throw cause;
    throw new EspalierError('IO', cause.message.replace('checkWritable', flag), { ...cause.details, cause });
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
  // A model is written as ONNX where its name says so.
  if (found === ending || (ending === '.safetensors' && found === '.onnx') || !Object.hasOwn(ENDINGS, found)) return;
  throw new UsageError(
    `${flag}: ${show(path)} would be ${ENDINGS[found]}, but ${ENDINGS[ending]} is written; name it ${show(basename(path, extname(path)) + ending)}`,
  );
}

/** Errors of `work` say which file they are about. */
export function inFile<T>(path: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof EspalierError)) throw error;
    throw new EspalierError(error.code, `${path}: ${error.message}`, { ...error.details, cause: error });
  }
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

/**
 * What `--preprocess` says: a preset by its name, for an input of this shape, or a file.
 * @throws {UsageError} for a preset that the input does not suit
 * @throws {EspalierError} IO, FIELD
 */
export async function readPreprocessing(path: string, shape: Shape): Promise<Preprocessing> {
  const [name, order = 'RGB', ...rest] = path.split(',');
  const preset = PREPROCESSING_PRESETS.find((known) => known === name);
  if (preset !== undefined) {
    if ((order !== 'RGB' && order !== 'BGR') || rest.length > 0)
      throw new UsageError(`--preprocess: expected ${preset} or ${preset},BGR, got ${show(path)}`);
    try {
      return presetPreprocessing(preset, shape, { order });
    } catch (cause) {
      if (!(cause instanceof EspalierError)) throw cause;
      throw new UsageError(cause.message.replace('presetPreprocessing', '--preprocess'));
    }
  }
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

/**
 * The folder is made and written to once, and taken away again if it was not there: the first checkpoint makes it anew.
 * @throws {EspalierError} IO, naming the flag
 */
export async function openCheckpoint(
  folder: string | undefined,
  key: string,
  onWriteError: 'stop' | 'goOn',
): Promise<CheckpointPlace | undefined> {
  if (folder === undefined) return undefined;
  const fail = (problem: string, cause?: unknown): EspalierError =>
    new EspalierError('IO', `--checkpoint: ${problem}`, { name: folder, cause });
  const found = await stat(folder).catch(() => undefined);
  if (found && !found.isDirectory()) throw fail(`${show(folder)} is a file; name a folder`);
  if (!found) {
    // Of one level: what it is to stand in has to be there.
    await mkdir(folder).catch((cause: unknown) => {
      throw fail(`cannot make the folder ${show(folder)}: ${(cause as Error).message}`, cause);
    });
  }
  try {
    await checkOutput('--checkpoint', join(folder, `${key}.a.safetensors`));
  } finally {
    if (!found) await rmdir(folder).catch(() => undefined);
  }
  return { checkpoint: { store: folderStore(folder), key, onWriteError }, folder };
}

/** Whether there is something to go on from. */
export async function holdsCheckpoint(folder: string): Promise<boolean> {
  return (await namesIn(folder, CHECKPOINT_FILE)).length > 0;
}

/** After the result is written: the run's checkpoints, and the folder if nothing else is in it. */
export async function removeCheckpoints(place: CheckpointPlace | undefined): Promise<void> {
  if (!place) return;
  const { checkpoint, folder } = place;
  const ours = new RegExp(
    `^${checkpoint.key}((-try\\d+)?(-stage\\d+)?\\.[ab]\\.safetensors|-(sensitivity|candidate)-[0-9a-f]+\\.json)(\\.[^.]+\\.unfinished)?$`,
  );
  for (const name of await namesIn(folder, ours))
    await unlink(join(folder, name)).catch((error: NodeJS.ErrnoException) => {
      // Another process was faster.
      if (error.code !== 'ENOENT') throw error;
    });
  await rmdir(folder).catch(() => undefined); // not empty, or never made
}
