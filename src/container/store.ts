/**
 * Checkpoints: where they are kept (a folder, memory, or anything with four functions), and two slots that take turns,
 * so that the previous good checkpoint outlives a damaged newer one. A checkpoint is a checked safetensors file.
 */
import { checkOneOf, EspalierError, show } from '../base/errors.ts';
import { asBytes } from '../base/realm.ts';
import { requireNode } from '../base/platform.ts';
import { ownOptions } from '../base/rules.ts';
import { CHECKSUM_KEY, verifyChecksum, writeChecked } from './checksum.ts';
import { describeDifferences } from './differences.ts';
import { parseJson } from './json.ts';
import type { Json } from './json.ts';
import { metadataPairs, readSafetensors } from './safetensors.ts';
import type { Metadata, NamedArray, StoredArray } from './safetensors.ts';
import { LOCK, lockFolder } from './lock.ts';
import type { Lock } from './lock.ts';
import { attempt, clearUnfinished, isAbsent, loadFile, nodeFiles, saveFile, UNFINISHED } from './save.ts';
import type { FileOptions } from './save.ts';

/**
 * Named bytes. `write` must be whole or not at all. Names are 1 to 200 letters, digits, '-', '_' and '.', the first not
 * '.'.
 */
export interface CheckpointStore {
  /** undefined: there is nothing of this name. The caller owns the bytes. */
  read(name: string): Promise<Uint8Array | undefined>;
  write(name: string, bytes: Uint8Array): Promise<void>;
  /** Removing what is not there is no error. */
  remove(name: string): Promise<void>;
  /** Ascending. */
  list(): Promise<string[]>;
  /**
   * Taken by a run for as long as it uses the names that begin with `key`. @throws {EspalierError} LOCKED if another
   * run has it. Absent: it is the caller's care that no two runs use one key.
   */
  lock?(key: string): Promise<Lock>;
}

/** Where a run keeps its state, and what it does about it. */
export interface RunCheckpoint {
  readonly store: CheckpointStore;
  /** Of the run, among those that the store keeps: up to 150 letters, digits, '-', '_' and '.', the first not '.'. */
  readonly key: string;
  /**
   * Stands for the training and validation sets where the run is compared with its checkpoint: a version, or a hash of
   * one's own. Default: a digest of all samples, for which the sets are read through when the run starts.
   */
  readonly data?: string;
  /**
   * What to do when the state cannot be written, because the disk is full for example: 'stop' the run with that error,
   * or 'goOn', telling a 'warning' and trying again with the next state. Default 'stop'.
   */
  readonly onWriteError?: 'stop' | 'goOn';
}

const RUN_CHECKPOINT_NAMES = ['store', 'key', 'data', 'onWriteError'] satisfies (keyof RunCheckpoint)[];

/** @throws {TypeError | RangeError} for what is none */
export function checkRunCheckpoint(who: string, value: RunCheckpoint): void {
  const { store, key, data, onWriteError } = (value ?? {}) as Partial<RunCheckpoint>;
  const functions = ['read', 'write', 'remove', 'list'] as const;
  if (typeof key !== 'string' || functions.some((name) => typeof store?.[name] !== 'function'))
    throw new TypeError(
      `${who}: checkpoint: expected { store, key }, such as { store: folderStore('run'), key: 'run' }, got ${show(value)}`,
    );
  const unknown = Object.keys(value).find((name) => !(RUN_CHECKPOINT_NAMES as string[]).includes(name));
  if (unknown !== undefined)
    throw new TypeError(`${who}: checkpoint: expected ${RUN_CHECKPOINT_NAMES.join(', ')}, got ${show(unknown)}`);
  if (!isName(key) || key.length > 150)
    throw new RangeError(
      `${who}: checkpoint.key: expected up to 150 letters, digits, '-', '_' and '.', the first not '.', got ${show(key)}`,
    );
  if (data !== undefined && typeof data !== 'string')
    throw new TypeError(`${who}: checkpoint.data: expected a string, got ${show(data)}`);
  if (onWriteError !== undefined) checkOneOf(who, 'checkpoint.onWriteError', onWriteError, ['stop', 'goOn']);
}

/**
 * Files of a folder, which is made when first written to or locked. What a killed run left unfinished is passed by, and
 * removed by the next. A lock is a file in the folder; that of a process that is no more, or that has given no sign of
 * life for half a minute on another machine, is taken over.
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
      await saveFile(path, bytes, { fileSystem });
    },
    async remove(name) {
      const path = pathOf(name);
      await attempt('folderStore', path, 'remove', () => fileSystem.unlink(path)).catch((error: unknown) => {
        if (!isAbsent(error)) throw error;
      });
    },
    async list() {
      return (await names()).filter((name) => isName(name) && !name.endsWith(UNFINISHED) && !name.endsWith(LOCK));
    },
    async lock(key) {
      const lock = await lockFolder(fileSystem, directory, checkName(key));
      // Nobody else writes under this key now, so whatever is unfinished there will stay so.
      for (const name of slotNames(key)) await clearUnfinished(fileSystem, directory, name);
      return lock;
    },
  };
}

/** Keeps copies in memory: for tests, and for runs that need not outlive their process. */
export function memoryStore(): CheckpointStore {
  const files = new Map<string, Uint8Array>();
  const locked = new Set<string>();
  return {
    read: (name) => Promise.resolve(files.get(checkName(name))?.slice()),
    write: (name, bytes) => Promise.resolve(void files.set(checkName(name), bytes.slice())),
    remove: (name) => Promise.resolve(void files.delete(checkName(name))),
    list: () => Promise.resolve([...files.keys()].sort()),
    async lock(key) {
      if (locked.has(checkName(key)))
        throw new EspalierError(
          'LOCKED',
          `memoryStore: another run uses ${show(key)}; wait until it ends or give this one another key`,
          { name: key },
        );
      locked.add(key);
      return { confirm: () => Promise.resolve(), release: () => Promise.resolve(void locked.delete(key)) };
    },
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

/** What a slot holds. */
export interface Checkpoint {
  readonly metadata: ReadonlyMap<string, string>;
  readonly tensors: ReadonlyMap<string, StoredArray>;
}

export interface Restored<T> {
  readonly state: T;
  /** 1 for the first that was written under this key. */
  readonly sequence: number;
  /** Slots that were of no use, each with the reason: to be told to the user. */
  readonly damaged: readonly string[];
}

const HEADER_KEY = 'espalier.checkpoint';
const VERSION = 2;
/** Who fails where a store does. */
const STORE = 'checkpoint.store';

/** Writes a checkpoint over the older of the two slots of `key`, or over a damaged one. */
export async function writeCheckpoint(store: CheckpointStore, key: string, payload: CheckpointPayload): Promise<void> {
  const slots = await Promise.all(slotNames(key).map((name) => readSlot(store, name)));
  // The slot to lose: an empty or damaged one first, else the older.
  const sequences = slots.map((slot) => slot?.sequence ?? 0);
  const [loser, sequence] = [sequences[0] <= sequences[1] ? 0 : 1, Math.max(...sequences) + 1];
  const header = JSON.stringify({ version: VERSION, sequence, fingerprint: payload.fingerprint });
  const name = slotNames(key)[loser];
  const bytes = writeChecked(payload.tensors, new Map([[HEADER_KEY, header], ...metadataPairs(payload.metadata)]));
  await attempt(STORE, name, 'write', () => store.write(name, bytes));
}

/**
 * The state of the newest checkpoint that is whole and that `restore` can make one of, or undefined if there never was
 * a checkpoint. A newer one that cannot be used is removed once an older one is found good.
 * @param restore - makes a state of what a slot holds, or throws an EspalierError that says what is wrong with it
 * @throws {EspalierError} CHECKPOINT if there are slots and none can be used, or if the newest whole one was made for
 *   another fingerprint, naming what differs: a run never starts anew in silence
 */
export async function readCheckpoint<T>(
  store: CheckpointStore,
  key: string,
  fingerprint: Fingerprint,
  restore: (checkpoint: Checkpoint) => T | Promise<T>,
): Promise<Restored<T> | undefined> {
  const slots = (await Promise.all(slotNames(key).map((name) => readSlot(store, name)))).filter(
    (slot) => slot !== undefined,
  );
  if (slots.length === 0) return undefined;
  const damaged = slots.flatMap((slot) => (slot.problem === undefined ? [] : [slot.problem]));
  const whole = slots.filter((slot) => slot.problem === undefined).sort((a, b) => b.sequence - a.sequence);
  const useless: string[] = [];
  for (const slot of whole) {
    checkFingerprint(key, slot, fingerprint);
    try {
      const state = await restore(slot);
      for (const name of useless) await attempt(STORE, name, 'remove', () => store.remove(name));
      return { state, sequence: slot.sequence, damaged };
    } catch (error) {
      if (!(error instanceof EspalierError)) throw error;
      damaged.push(`${slot.name}: ${error.message}`);
      useless.push(slot.name);
    }
  }
  throw new EspalierError(
    'CHECKPOINT',
    `readCheckpoint: no checkpoint of ${show(key)} can be read (${damaged.join('; ')}); remove them to start anew`,
    { name: key },
  );
}

function checkFingerprint(key: string, slot: Slot, fingerprint: Fingerprint): void {
  const differing = [...new Set([...Object.keys(fingerprint), ...slot.fingerprint.keys()])].filter(
    (field) => slot.fingerprint.get(field) !== (Object.hasOwn(fingerprint, field) ? fingerprint[field] : undefined),
  );
  if (differing.length > 0) {
    const details = differing.flatMap(
      (field) => describeDifferences(slot.fingerprint.get(field), fingerprint[field]) ?? [],
    );
    throw new EspalierError(
      'CHECKPOINT',
      `readCheckpoint: the checkpoint of ${show(key)} is of a run that differs in its ${differing.join(', ')}${details.length > 0 ? ` (${details.join('; ')})` : ''}; go on with what it was made with, or remove it to start anew`,
      { name: key, found: differing },
    );
  }
}

/** Both slots, once a run is done. */
export async function removeCheckpoint(store: CheckpointStore, key: string): Promise<void> {
  for (const name of slotNames(key)) await attempt(STORE, name, 'remove', () => store.remove(name));
}

interface Slot extends Checkpoint {
  readonly name: string;
  /** Why it cannot be used; the rest is then empty and `sequence` 0. */
  readonly problem?: string;
  readonly sequence: number;
  readonly fingerprint: ReadonlyMap<string, Json>;
}

function slotNames(key: string): [string, string] {
  return [`${key}.a.safetensors`, `${key}.b.safetensors`];
}

async function readSlot(store: CheckpointStore, name: string): Promise<Slot | undefined> {
  const found: unknown = await attempt(STORE, name, 'read', () => store.read(name));
  if (found === undefined) return undefined;
  // Of a Buffer the bytes without its slice(), which does not copy: nobody behind this door has to think of it.
  const bytes = asBytes(found);
  if (!bytes)
    throw new TypeError(`${STORE}: read(${show(name)}): expected a Uint8Array or undefined, got ${show(found)}`);
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
      name,
      sequence: sequence as number,
      fingerprint: fingerprint as ReadonlyMap<string, Json>,
      metadata,
      tensors: file.tensors,
    };
  } catch (error) {
    if (!(error instanceof EspalierError)) throw error;
    return {
      name,
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
