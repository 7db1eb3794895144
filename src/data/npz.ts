/**
 * NumPy's `.npz`: a zip of `.npy` files, stored or deflated, as `numpy.savez` and `savez_compressed` write them. Entries
 * are found by the directory at the end and checked against their own headers; nothing is inflated beyond what is
 * declared, and what is declared is bounded first. Format: PKWARE APPNOTE 6.3.
 */
import { checkFinite, checkInteger, EspalierError, show, withMemory } from '../base/errors.ts';
import { checkFloat32 } from '../base/float32.ts';
import { ownOptions } from '../base/rules.ts';
import type { Shape, Tensor } from '../base/tensor.ts';
import { crc32 } from '../container/checksum.ts';
import { looksLike } from '../container/foreign.ts';
import { steadyBytes } from '../container/safetensors.ts';
import { GZIP_RATIO_LIMIT } from './gzip.ts';
import { createInflater } from './inflate.ts';
import { readNpy, readNpyHeader } from './npy.ts';

const WHO = 'readNpz';

export interface NpzOptions {
  /** Most bytes that all entries may inflate to. Default: 64 MiB, or 64 times the file. */
  limit?: number;
  /** true: NaN and infinities are let in. Default false. */
  allowNonFinite?: boolean;
}

/** Arrays of floats by name, without `.npy`, and what else is in the file. */
export interface NpzWeights {
  /** In the order of the file. */
  readonly tensors: Map<string, Tensor>;
  /** Arrays of whole numbers or bools, which are no weights, and files that are no arrays. */
  readonly skipped: readonly { readonly name: string; readonly shape?: Shape }[];
}

/** One file in the archive, as the directory says. */
interface Entry {
  readonly name: string;
  readonly method: number;
  readonly crc: number;
  readonly stored: number;
  readonly size: number;
  /** Where its own header begins. */
  readonly at: number;
}

const LIMIT = { free: 2 ** 26, perByte: 64 } as const;
const [END, DIRECTORY, LOCAL] = [0x06054b50, 0x02014b50, 0x04034b50];
const [END_BYTES, DIRECTORY_BYTES, LOCAL_BYTES] = [22, 46, 30];
/** A comment behind the directory. */
const LONGEST_COMMENT = 65535;
const METHODS = { stored: 0, deflated: 8 } as const;

/**
 * The float arrays of an `.npz`, as float32, for `withWeights`: float16 exactly, float64 rounded to the nearest.
 *
 * @throws {TypeError | RangeError} for arguments that are none
 * @throws {EspalierError} BAD_MAGIC for no zip, ZIP for a damaged, encrypted or lying one (with a byte or an entry),
 *   PATH for an entry that points outside, DUPLICATE, BUDGET for more than `limit`, NONFINITE, RANGE for numbers beyond
 *   float32, MEMORY, and per entry what `readNpy` throws
 * @example
 * import { readNpz } from 'espalier/data';
 * import { withWeights } from 'espalier/network';
 * const trained = withWeights(network, readNpz(await readFile('weights.npz')).tensors);
 */
export function readNpz(input: Uint8Array | ArrayBuffer, options: NpzOptions = {}): NpzWeights {
  const { limit, allowNonFinite = false } = ownOptions(WHO, 'options', options, ['limit', 'allowNonFinite']);
  const bytes = steadyBytes(WHO, input);
  const most =
    limit === undefined ? Math.max(LIMIT.free, LIMIT.perByte * bytes.length) : checkInteger(WHO, 'limit', limit, 0);
  const entries = readDirectory(bytes);
  checkEntries(entries, bytes.length, most);
  const tensors = new Map<string, Tensor>();
  const skipped: NpzWeights['skipped'][number][] = [];
  for (const entry of entries) {
    if (!entry.name.endsWith('.npy')) {
      skipped.push({ name: entry.name });
      continue;
    }
    const name = entry.name.slice(0, -'.npy'.length);
    const content = withMemory(WHO, () => contentOf(bytes, entry));
    const { type, shape } = inEntry(entry, () => readNpyHeader(content));
    if (!type.startsWith('f')) {
      skipped.push({ name, shape });
      continue;
    }
    const { data } = inEntry(entry, () => readNpy(content));
    if (!allowNonFinite) checkFinite(WHO, name, data);
    for (const value of data) checkFloat32(WHO, name, value);
    tensors.set(name, { data: withMemory(WHO, () => Float32Array.from(data)), shape });
  }
  return { tensors, skipped };
}

function zipError(text: string, details: { name?: string; offset?: number }): EspalierError {
  return new EspalierError('ZIP', `${WHO}: ${text}`, details);
}

/** What is wrong with an array, with the name of its entry in front. */
function inEntry<T>({ name }: Entry, read: () => T): T {
  try {
    return read();
  } catch (cause) {
    if (!(cause instanceof EspalierError)) throw cause;
    const text = `${WHO}: ${show(name)}: ${cause.message.replace(/^readNpy: /, '')}`;
    throw new EspalierError(cause.code, text, { ...cause.details, name, cause });
  }
}

const DECODER = /* @__PURE__ */ new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** The entries that the directory lists. @throws {EspalierError} BAD_MAGIC, ZIP */
function readDirectory(bytes: Uint8Array): Entry[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const end = endOf(bytes, view);
  const [disk, count, size, start] = [
    view.getUint32(end + 4, true),
    view.getUint16(end + 10, true),
    view.getUint32(end + 12, true),
    view.getUint32(end + 16, true),
  ];
  if (disk !== 0 || view.getUint16(end + 8, true) !== count)
    throw zipError('an archive of several parts; expected one file', { offset: end });
  if (count === 0xffff || size === 0xffffffff || start === 0xffffffff)
    throw zipError('an archive of more than 65534 entries or 4 GiB, which is not read', { offset: end });
  if (start + size !== end)
    throw zipError(`the directory is said to lie at ${start} to ${start + size}; expected it to end at ${end}`, {
      offset: end,
    });
  const entries: Entry[] = [];
  let at = start;
  while (at < end) {
    if (at + DIRECTORY_BYTES > end || view.getUint32(at, true) !== DIRECTORY)
      throw zipError(`byte ${at}: expected an entry of the directory; the file is damaged`, { offset: at });
    const length = (field: number): number => view.getUint16(at + field, true);
    const behind = at + DIRECTORY_BYTES + length(28) + length(30) + length(32);
    if (behind > end) throw zipError(`byte ${at}: the entry runs past the directory`, { offset: at });
    const entry: Entry = {
      name: textAt(bytes, at + DIRECTORY_BYTES, length(28)),
      method: length(10),
      crc: view.getUint32(at + 16, true),
      stored: view.getUint32(at + 20, true),
      size: view.getUint32(at + 24, true),
      at: view.getUint32(at + 42, true),
    };
    if ((length(8) & 1) !== 0)
      throw zipError(`${show(entry.name)} is encrypted; write the archive without a password`, { name: entry.name });
    entries.push(entry);
    at = behind;
  }
  if (entries.length !== count)
    throw zipError(`${count} entries are declared, ${entries.length} are there`, { offset: end });
  return entries.filter(({ name, size: bytesOut }) => !(name.endsWith('/') && bytesOut === 0));
}

/** Where the record at the end begins: its comment reaches exactly to the end of the file. */
function endOf(bytes: Uint8Array, view: DataView): number {
  if (bytes.length >= 4 && view.getUint32(0, true) !== LOCAL && view.getUint32(0, true) !== END) {
    const foreign = looksLike(bytes);
    throw new EspalierError(
      'BAD_MAGIC',
      `${WHO}: expected a zip (PK at the start), got ${foreign === undefined ? 'other bytes' : `what looks like ${foreign}`}`,
      { offset: 0 },
    );
  }
  for (let at = bytes.length - END_BYTES; at >= Math.max(0, bytes.length - END_BYTES - LONGEST_COMMENT); at--) {
    if (view.getUint32(at, true) === END && at + END_BYTES + view.getUint16(at + 20, true) === bytes.length) return at;
  }
  throw zipError('the directory at the end is missing; the file is cut short or damaged', { offset: bytes.length });
}

function textAt(bytes: Uint8Array, at: number, length: number): string {
  try {
    return DECODER.decode(bytes.subarray(at, at + length));
  } catch {
    throw zipError(`byte ${at}: the name of an entry is not UTF-8`, { offset: at });
  }
}

/**
 * Names that stay inside, each once; sizes that a deflated entry can have, together within the limit; entries that share no
 * bytes.
 * @throws {EspalierError} PATH, DUPLICATE, ZIP, BUDGET
 */
function checkEntries(entries: readonly Entry[], fileBytes: number, most: number): void {
  const names = new Set<string>();
  let total = 0;
  for (const entry of entries) {
    const { name, method, stored, size } = entry;
    const parts = name.split('/');
    if (
      name.includes('\\') ||
      name.includes(':') ||
      name.includes('\0') ||
      parts.some((part) => ['', '.', '..'].includes(part))
    )
      throw new EspalierError('PATH', `${WHO}: an entry is called ${show(name)}; expected the name of an array`, {
        name,
      });
    if (names.has(name)) throw new EspalierError('DUPLICATE', `${WHO}: two entries are called ${show(name)}`, { name });
    names.add(name);
    if (method !== METHODS.stored && method !== METHODS.deflated)
      throw zipError(`${show(name)}: method ${method}; expected it stored (0) or deflated (8)`, { name });
    if (method === METHODS.stored && stored !== size)
      throw zipError(`${show(name)} is stored and declares ${stored} bytes in and ${size} out`, { name });
    total += size;
  }
  if (total > most)
    throw new EspalierError(
      'BUDGET',
      `${WHO}: the entries inflate to ${total} bytes; a file of ${fileBytes} may to ${most}. If it is trusted, raise it: { limit: ${total} }`,
      { limit: most, found: total },
    );
  const byPlace = [...entries].sort((a, b) => a.at - b.at);
  byPlace.forEach((entry, i) => {
    const next = byPlace[i + 1];
    if (next && entry.at + LOCAL_BYTES + entry.stored > next.at)
      throw zipError(`${show(entry.name)} and ${show(next.name)} share bytes`, { name: next.name });
  });
}

/** What an entry holds. @throws {EspalierError} ZIP */
function contentOf(bytes: Uint8Array, { name, method, crc, stored, size, at }: Entry): Uint8Array {
  const fault = (what: string): EspalierError => zipError(`${show(name)}: ${what}`, { name });
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (at + LOCAL_BYTES > bytes.length || view.getUint32(at, true) !== LOCAL)
    throw fault(`expected its header at byte ${at}; the file is damaged`);
  const nameBytes = view.getUint16(at + 26, true);
  const from = at + LOCAL_BYTES + nameBytes + view.getUint16(at + 28, true);
  if (from + stored > bytes.length) throw fault('it runs past the end of the file');
  if (textAt(bytes, at + LOCAL_BYTES, nameBytes) !== name || view.getUint16(at + 8, true) !== method)
    throw fault('its own header says another name or method than the directory');
  const packed = bytes.subarray(from, from + stored);
  const content = method === METHODS.stored ? packed : inflated(packed, size, fault);
  if (crc32(content) !== crc) throw fault('its checksum is that of other bytes');
  return content;
}

/** Exactly `size` bytes out of exactly all of `packed`. */
function inflated(packed: Uint8Array, size: number, fault: (what: string) => Error): Uint8Array {
  // DEFLATE cannot do better: what is declared beyond it is not set aside.
  if (size > packed.length * GZIP_RATIO_LIMIT) throw fault(`${packed.length} bytes cannot inflate to ${size}`);
  const inflater = createInflater(fault);
  inflater.feed(packed);
  inflater.end();
  const content = new Uint8Array(size);
  let at = 0;
  for (let found = inflater.next(); found !== 'done'; found = inflater.next()) {
    if (found === 'more') throw fault('it is cut short');
    if (at + found.length > size) throw fault(`it inflates to more than the ${size} bytes that are declared`);
    content.set(found, at);
    at += found.length;
  }
  if (at !== size) throw fault(`it inflates to ${at} bytes, ${size} are declared`);
  if (inflater.source.at !== packed.length) throw fault('other bytes stand behind its data');
  return content;
}
