/**
 * Checkpoints: where they are kept (a folder, memory, or anything with four functions), and two slots that take turns,
 * so that the previous good checkpoint outlives a damaged newer one. A checkpoint is a checked safetensors file.
 */
import { EspalierError, show } from '../base/errors.ts';
import { requireNode } from '../base/platform.ts';
import { ownOptions } from '../base/rules.ts';
import { CHECKSUM_KEY, verifyChecksum, writeChecked } from './checksum.ts';
import { parseJson } from './json.ts';
import type { Json } from './json.ts';
import { metadataPairs, readSafetensors } from './safetensors.ts';
import type { Metadata, NamedArray, StoredArray } from './safetensors.ts';
import { attempt, isAbsent, loadFile, nodeFiles, saveFile, UNFINISHED } from './save.ts';
import type { FileOptions } from './save.ts';

/**
 * Named bytes. `write` must be whole or not at all. One job at a time uses a store. Names are 1 to 200 letters, digits,
 * '-', '_' and '.', the first not '.'.
 */
export interface CheckpointStore {
  /** undefined: there is nothing of this name. The caller owns the bytes. */
  read(name: string): Promise<Uint8Array | undefined>;
  write(name: string, bytes: Uint8Array): Promise<void>;
  /** Removing what is not there is no error. */
  remove(name: string): Promise<void>;
  /** Ascending. */
  list(): Promise<string[]>;
}

/**
 * Files of a folder, which is made when first written to. Whatever a killed run left unfinished is passed by, and
 * removed with the next write.
 * @throws {TypeError} if `directory` is no path
 * @throws {EspalierError} IO from its functions, if the system refuses
 */
export function folderStore(directory: string, options: FileOptions = {}): CheckpointStore {
  const { fileSystem = nodeFiles('folderStore') } = ownOptions('folderStore', 'options', options, ['fileSystem']);
  const { join } = requireNode('folderStore', 'node:path');
  if (typeof directory !== 'string' || directory === '')
    throw new TypeError(`folderStore: directory: expected the path of a folder, got ${show(directory)}`);
  const pathOf = (name: string): string => join(directory, checkName(name));

  async function names(): Promise<string[]> {
    try {
      return (await attempt('folderStore', directory, 'list', () => fileSystem.readdir(directory))).sort();
    } catch (error) {
      if (isAbsent(error)) return [];
      throw error;
    }
  }

  async function clear(keep: (name: string) => boolean): Promise<void> {
    for (const name of await names()) {
      if (keep(name)) continue;
      await attempt('folderStore', join(directory, name), 'remove', () =>
        fileSystem.unlink(join(directory, name)),
      ).catch((error: unknown) => {
        if (!isAbsent(error)) throw error;
      });
    }
  }

  return {
    async read(name) {
      try {
        return await loadFile(pathOf(name), { fileSystem });
      } catch (error) {
        if (isAbsent(error)) return undefined;
        throw error;
      }
    },
    async write(name, bytes) {
      const path = pathOf(name);
      await attempt('folderStore', directory, 'make', () => fileSystem.mkdir(directory, { recursive: true }));
      await clear((other) => !(other.startsWith(`${name}.`) && other.endsWith(UNFINISHED)));
      await saveFile(path, bytes, { fileSystem });
    },
    async remove(name) {
      checkName(name);
      await clear((other) => other !== name && !(other.startsWith(`${name}.`) && other.endsWith(UNFINISHED)));
    },
    async list() {
      return (await names()).filter((name) => isName(name) && !name.endsWith(UNFINISHED));
    },
  };
}

/** Keeps copies in memory: for tests, and for runs that need not outlive their process. */
export function memoryStore(): CheckpointStore {
  const files = new Map<string, Uint8Array>();
  return {
    read: (name) => Promise.resolve(files.get(checkName(name))?.slice()),
    write: (name, bytes) => Promise.resolve(void files.set(checkName(name), bytes.slice())),
    remove: (name) => Promise.resolve(void files.delete(checkName(name))),
    list: () => Promise.resolve([...files.keys()].sort()),
  };
}

/**
 * What a checkpoint must agree with to be of use: for example { network, options, data, seed }, each as a string that
 * differs where they differ.
 */
export type Fingerprint = Readonly<Record<string, string>>;

export interface CheckpointPayload {
  readonly fingerprint: Fingerprint;
  readonly metadata: Metadata;
  readonly tensors: Iterable<NamedArray>;
}

export interface Checkpoint {
  readonly metadata: ReadonlyMap<string, string>;
  readonly tensors: ReadonlyMap<string, StoredArray>;
  /** 1 for the first that was written under this key. */
  readonly sequence: number;
  /** Newer or older slots that could not be read, each with the reason: to be told to the user. */
  readonly damaged: readonly string[];
}

const HEADER_KEY = 'espalier.checkpoint';
const VERSION = 1;

/** Writes a checkpoint over the older of the two slots of `key`, or over a damaged one. */
export async function writeCheckpoint(store: CheckpointStore, key: string, payload: CheckpointPayload): Promise<void> {
  const slots = await Promise.all(slotNames(key).map((name) => readSlot(store, name)));
  // The slot to lose: an empty or damaged one first, else the older.
  const sequences = slots.map((slot) => slot?.sequence ?? 0);
  const [loser, sequence] = [sequences[0] <= sequences[1] ? 0 : 1, Math.max(...sequences) + 1];
  const header = JSON.stringify({ version: VERSION, sequence, fingerprint: payload.fingerprint });
  await store.write(
    slotNames(key)[loser],
    writeChecked(payload.tensors, new Map([[HEADER_KEY, header], ...metadataPairs(payload.metadata)])),
  );
}

/**
 * The newest checkpoint that is whole, or undefined if there never was one.
 * @throws {EspalierError} CHECKPOINT if there are slots and none is whole, if it is of another version, or if it was
 *   made for another fingerprint, naming what differs: a run never starts anew in silence
 */
export async function readCheckpoint(
  store: CheckpointStore,
  key: string,
  fingerprint: Fingerprint,
): Promise<Checkpoint | undefined> {
  const slots = (await Promise.all(slotNames(key).map((name) => readSlot(store, name)))).filter(
    (slot) => slot !== undefined,
  );
  if (slots.length === 0) return undefined;
  const damaged = slots.flatMap((slot) => (slot.problem === undefined ? [] : [slot.problem]));
  const [newest] = slots.filter((slot) => slot.problem === undefined).sort((a, b) => b.sequence - a.sequence);
  if (newest === undefined) {
    throw new EspalierError(
      'CHECKPOINT',
      `readCheckpoint: no checkpoint of ${show(key)} can be read (${damaged.join('; ')}); remove them to start anew`,
      { name: key },
    );
  }
  const differing = [...new Set([...Object.keys(fingerprint), ...newest.fingerprint.keys()])].filter(
    (field) => newest.fingerprint.get(field) !== (Object.hasOwn(fingerprint, field) ? fingerprint[field] : undefined),
  );
  if (differing.length > 0) {
    throw new EspalierError(
      'CHECKPOINT',
      `readCheckpoint: the checkpoint of ${show(key)} was made with another ${differing.join(', ')}; go on with what it was made with, or remove it to start anew`,
      { name: key, found: differing },
    );
  }
  return { metadata: newest.metadata, tensors: newest.tensors, sequence: newest.sequence, damaged };
}

/** Both slots, once a run is done. */
export async function removeCheckpoint(store: CheckpointStore, key: string): Promise<void> {
  for (const name of slotNames(key)) await store.remove(name);
}

interface Slot {
  /** Why it cannot be used; the rest is then empty and `sequence` 0. */
  readonly problem?: string;
  readonly sequence: number;
  readonly fingerprint: ReadonlyMap<string, Json>;
  readonly metadata: ReadonlyMap<string, string>;
  readonly tensors: ReadonlyMap<string, StoredArray>;
}

function slotNames(key: string): [string, string] {
  return [`${key}.a.safetensors`, `${key}.b.safetensors`];
}

async function readSlot(store: CheckpointStore, name: string): Promise<Slot | undefined> {
  const bytes = await store.read(name);
  if (bytes === undefined) return undefined;
  try {
    const file = readSafetensors(bytes);
    verifyChecksum('readCheckpoint', bytes);
    const header = file.metadata.get(HEADER_KEY);
    const fields = header === undefined ? undefined : parseJson(header, { who: 'readCheckpoint' });
    if (!(fields instanceof Map)) throw new EspalierError('CHECKPOINT', 'it is no checkpoint');
    const { version, sequence, fingerprint } = Object.fromEntries(fields as ReadonlyMap<string, Json>);
    if (version !== VERSION)
      throw new EspalierError('CHECKPOINT', `it has format version ${show(version)}, this program reads ${VERSION}`);
    if (!Number.isSafeInteger(sequence) || (sequence as number) < 1 || !(fingerprint instanceof Map))
      throw new EspalierError('CHECKPOINT', 'its sequence or fingerprint is missing');
    const metadata = new Map([...file.metadata].filter(([key]) => key !== HEADER_KEY && key !== CHECKSUM_KEY));
    return {
      sequence: sequence as number,
      fingerprint: fingerprint as ReadonlyMap<string, Json>,
      metadata,
      tensors: file.tensors,
    };
  } catch (error) {
    if (!(error instanceof EspalierError)) throw error;
    return {
      problem: `${name}: ${error.message}`,
      sequence: 0,
      fingerprint: new Map(),
      metadata: new Map(),
      tensors: new Map(),
    };
  }
}

function isName(name: string): boolean {
  return /^[A-Za-z0-9_-][A-Za-z0-9._-]{0,199}$/.test(name);
}

function checkName(name: unknown): string {
  if (typeof name !== 'string') throw new TypeError(`CheckpointStore: name: expected a string, got ${show(name)}`);
  if (!isName(name))
    throw new RangeError(
      `CheckpointStore: name: expected up to 200 letters, digits, '-', '_' and '.', the first not '.', got ${show(name)}`,
    );
  return name;
}
