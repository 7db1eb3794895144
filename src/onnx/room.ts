/**
 * Memory that reading a model may hold at one time: twice its bytes, and a free allowance for what is small. Arrays are
 * counted when they are made, and given back when nothing needs them any more; several that share memory count once.
 */
import { EspalierError } from '../base/errors.ts';

export interface Room {
  /** Bytes that may be held in all. */
  limit: number;
  /** Bytes that may still be held. */
  left: number;
  /** How many hold a memory. */
  readonly holders: Map<ArrayBufferLike, number>;
}

/** What a file may hold at one time beyond nothing, and for each of its bytes. */
const [FREE, PER_BYTE] = [2 ** 26, 2];

/**
 * @param fileBytes - bytes of the model, of the files beside it that are read, and of constants that are given
 * @param least - what its reader allows in any case
 */
export function roomFor(fileBytes: number, least = 0): Room {
  const limit = Math.max(FREE + PER_BYTE * fileBytes, least);
  return { limit, left: limit, holders: new Map() };
}

/** Nothing is held any more: reading begins again. */
export function clear(room: Room): void {
  room.left = room.limit;
  room.holders.clear();
}

/** More came than the model: a file beside it. */
export function widen(room: Room, fileBytes: number): void {
  room.limit += PER_BYTE * fileBytes;
  room.left += PER_BYTE * fileBytes;
}

/** Counts bytes to the end. @throws {EspalierError} BUDGET where the file does not explain so many */
export function spend(room: Room, bytes: number): void {
  room.left -= bytes;
  if (room.left < 0) throw roomError(room, bytes - room.left);
}

/** Holds arrays. @throws {EspalierError} BUDGET */
export function hold(room: Room, arrays: readonly ArrayBufferView[]): void {
  for (const { buffer } of arrays) {
    const holders = room.holders.get(buffer) ?? 0;
    room.holders.set(buffer, holders + 1);
    if (holders === 0) spend(room, buffer.byteLength);
  }
}

/** Lets go of arrays that were held. */
export function release(room: Room, arrays: readonly ArrayBufferView[]): void {
  for (const { buffer } of arrays) {
    const holders = (room.holders.get(buffer) ?? 1) - 1;
    if (holders > 0) room.holders.set(buffer, holders);
    else if (room.holders.delete(buffer)) room.left += buffer.byteLength;
  }
}

/** What is wrong, and its cure. */
export const roomText = ({ limit }: Room, more: number): string =>
  `what is held while the model is read would take more than ${limit} bytes, twice the file and ${FREE} (${more} more were asked for). If the file is trusted, raise the limit: { limits: { bytes: ${limit + more} } } or more (on the command line --no-limits)`;

function roomError(room: Room, more: number): EspalierError {
  return new EspalierError('BUDGET', `readOnnx: ${roomText(room, more)}`, {
    name: 'limits.bytes',
    limit: room.limit,
    found: room.limit + more,
  });
}
