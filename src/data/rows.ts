/** Reading the rows of an `.npy` or `.npy.gz` file (Node): from memory where it fits, else by range from the disk. */
import { EspalierError } from '../base/errors.ts';
import { hasField, isError } from '../base/realm.ts';
import { requireNode } from '../base/platform.ts';
import type { Tensor, TypedArray } from '../base/tensor.ts';
import { fileError } from '../container/file-error.ts';
import { GZIP_RATIO_LIMIT, gunzip, inflate } from './gzip.ts';
import { checkNpySize, decodeNpy, NPY_HEADER_BYTES, readNpy, readNpyHeader } from './npy.ts';
import type { NpyHeader } from './npy.ts';

/** An array of rank at least 1, cut along its first side. */
export interface RowReader {
  readonly header: NpyHeader;
  /** Rows first ... first + count - 1, row-major; valid until the next read. */
  read(first: number, count: number): TypedArray;
  /** Frees file and memory. Twice does no harm. */
  close(): void;
}

/** Reads a whole array, compressed or not. @throws {EspalierError} naming the file; IO if it cannot be read */
export async function readArrayFile(who: string, path: string): Promise<Tensor<TypedArray>> {
  return inFile(who, path, async () => {
    const bytes = await requireNode(who, 'node:fs').promises.readFile(path);
    return readNpy(path.endsWith('.gz') ? await gunzip(new Uint8Array(bytes)) : new Uint8Array(bytes));
  });
}

/**
 * Opens an array for reading by rows. A `.npy` stays on the disk; a `.npy.gz` is inflated into memory up to
 * `memoryLimit` bytes, beyond that into a temporary file. Fortran order has no rows to read by range, so it must fit
 * the limit.
 */
export async function openRows(who: string, path: string, memoryLimit: number): Promise<RowReader> {
  const reader = await inFile(who, path, async (): Promise<RowReader> => {
    const fs = requireNode(who, 'node:fs');
    const fileBytes = fs.statSync(path).size;
    if (path.endsWith('.gz')) return openCompressed(who, path, fileBytes, memoryLimit);
    const file = fs.openSync(path, 'r');
    try {
      const start = new Uint8Array(Math.min(fileBytes, NPY_HEADER_BYTES));
      readFully(fs, file, start, 0);
      const header = checkRows(readNpyHeader(start));
      checkNpySize(header, fileBytes);
      if (!header.fortranOrder) return fileReader(fs, file, header);
      checkFortran(header, memoryLimit);
      const whole = new Uint8Array(fileBytes);
      readFully(fs, file, whole, 0);
      fs.closeSync(file);
      return memoryReader(whole);
    } catch (error) {
      fs.closeSync(file);
      throw error;
    }
  });
  return namedReader(who, path, reader);
}

/** All of it is said: what a host put on every object (`start`, `end`, ...) is no option. */
const READING = { highWaterMark: 1 << 18, start: 0, end: Infinity, flags: 'r', autoClose: true };

type Fs = ReturnType<typeof requireNode<'node:fs'>>;

/** Where inflated bytes go. */
interface Sink {
  append(part: Uint8Array): void;
  finish(): RowReader;
  drop(): void;
}

async function openCompressed(who: string, path: string, fileBytes: number, memoryLimit: number): Promise<RowReader> {
  const fs = requireNode(who, 'node:fs');
  const parts = inflate(who, fs.createReadStream(path, { ...READING }));
  let sink: Sink | undefined;
  try {
    let start = new Uint8Array(0);
    while (start.length < NPY_HEADER_BYTES) {
      const { done, value } = await parts.next();
      if (done) break;
      const longer = new Uint8Array(start.length + value.length);
      longer.set(start);
      longer.set(value, start.length);
      start = longer;
    }
    const header = checkRows(readNpyHeader(start));
    const total = header.dataOffset + header.dataBytes;
    // Nothing is set aside for what so few compressed bytes cannot hold.
    if (total > fileBytes * GZIP_RATIO_LIMIT) checkNpySize(header, fileBytes * GZIP_RATIO_LIMIT);
    if (header.fortranOrder) checkFortran(header, memoryLimit);
    sink = total <= memoryLimit ? memorySink(total) : temporarySink(who, fs, header);
    let size = start.length;
    if (size > total) checkNpySize(header, size);
    sink.append(start);
    for await (const part of parts) {
      size += part.length;
      if (size > total) checkNpySize(header, size);
      sink.append(part);
    }
    checkNpySize(header, size);
    return sink.finish();
  } catch (error) {
    sink?.drop();
    throw error;
  } finally {
    await parts.return(undefined);
  }
}

function memorySink(total: number): Sink {
  const whole = allocateBytes(total);
  let at = 0;
  return {
    append: (part) => {
      whole.set(part, at);
      at += part.length;
    },
    finish: () => memoryReader(whole),
    drop: () => undefined,
  };
}

/**
 * The file's name is removed as soon as it is open: its bytes live until it is closed, and nothing stays behind if the
 * process is killed.
 */
function temporarySink(who: string, fs: Fs, header: NpyHeader): Sink {
  const path = requireNode(who, 'node:path').join(
    requireNode(who, 'node:os').tmpdir(),
    `espalier-${globalThis.crypto.randomUUID()}.npy`,
  );
  const file = fs.openSync(path, 'wx+', 0o600);
  try {
    fs.unlinkSync(path);
  } catch (error) {
    fs.closeSync(file);
    throw error;
  }
  return {
    append: (part) => fs.writeFileSync(file, part),
    finish: () => fileReader(fs, file, header),
    drop: () => fs.closeSync(file),
  };
}

function memoryReader(bytes: Uint8Array): RowReader {
  const header = readNpyHeader(bytes);
  let data: TypedArray | undefined = readNpy(bytes).data;
  const width = data.length / header.shape[0];
  return {
    header,
    read(first, count) {
      if (!data) throw closed();
      return data.subarray(first * width, (first + count) * width);
    },
    close() {
      data = undefined;
    },
  };
}

function fileReader(fs: Fs, file: number, header: NpyHeader): RowReader {
  const rowBytes = header.dataBytes / header.shape[0];
  let open = true;
  let buffer = new Uint8Array(0);
  return {
    header,
    read(first, count) {
      if (!open) throw closed();
      if (buffer.length !== count * rowBytes) buffer = new Uint8Array(count * rowBytes);
      readFully(fs, file, buffer, header.dataOffset + first * rowBytes);
      return decodeNpy(header, buffer);
    },
    close() {
      if (open) fs.closeSync(file);
      open = false;
    },
  };
}

/** Fills `out` from `position` on. */
function readFully(fs: Fs, file: number, out: Uint8Array, position: number): void {
  for (let at = 0; at < out.length;) {
    const got = fs.readSync(file, out, at, out.length - at, position + at);
    if (got === 0)
      throw new EspalierError('TRUNCATED', `the file ended at byte ${position + at}; did another program change it?`, {
        offset: position + at,
      });
    at += got;
  }
}

function checkRows(header: NpyHeader): NpyHeader {
  if (header.shape.length === 0)
    throw new EspalierError('DATA', 'expected an array of samples, got a single number (rank 0)');
  if (header.shape[0] === 0) throw new EspalierError('DATA', 'the set is empty; give at least one sample');
  return header;
}

function checkFortran(header: NpyHeader, memoryLimit: number): void {
  if (header.dataBytes > memoryLimit)
    throw new EspalierError(
      'TOO_LARGE',
      `${header.dataBytes} bytes in Fortran order are above memoryLimit ${memoryLimit} and cannot be read by range; save it in C order (numpy.ascontiguousarray) or raise memoryLimit`,
      { limit: memoryLimit, found: header.dataBytes },
    );
}

/** @throws {EspalierError} MEMORY where the engine refuses */
export function allocateBytes(bytes: number): Uint8Array {
  try {
    return new Uint8Array(bytes);
  } catch (cause) {
    throw new EspalierError(
      'MEMORY',
      `cannot set ${bytes} bytes aside; lower memoryLimit, then the set is read from the disk`,
      { limit: bytes, cause },
    );
  }
}

function closed(): EspalierError {
  return new EspalierError('DISPOSED', 'the set is closed; open it again');
}

/** Adds who and which file to an error. @throws {EspalierError} of the same code; IO, TOO_LARGE and MEMORY for those of the system and the engine */
export async function inFile<T>(who: string, path: string, work: () => T | Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    throw named(who, path, cause);
  }
}

/** A reader whose errors say the same, hours after it was opened. */
function namedReader(who: string, path: string, reader: RowReader): RowReader {
  return {
    ...reader,
    read(first, count) {
      try {
        return reader.read(first, count);
      } catch (cause) {
        throw named(who, path, cause);
      }
    },
  };
}

function named(who: string, path: string, cause: unknown): unknown {
  if (!isError(cause)) return cause;
  if (cause instanceof EspalierError)
    return new EspalierError(cause.code, `${who}: ${path}: ${cause.message}`, { ...cause.details, name: path, cause });
  return hasField(cause, 'code') || cause.name === 'RangeError' ? fileError(who, path, 'read', cause) : cause;
}
