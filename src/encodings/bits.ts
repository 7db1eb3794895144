/** Codes of a few bits each, packed: code i takes bits [i w, (i + 1) w) of the bytes, lowest bit first. */
import { EspalierError, checkInteger, show } from '../base/errors.ts';

/** Bits of a code that tells K codewords apart: ⌈log2 K⌉, 0 for one codeword. */
export function codeWidth(codewordCount: number): number {
  return codewordCount <= 1 ? 0 : 32 - Math.clz32(codewordCount - 1);
}

/** Bytes of `count` codes of `width` bits. Exact up to 2^49 codes. */
export function packedBytes(count: number, width: number): number {
  return Math.ceil((count * width) / 8);
}

/**
 * Packs codes to `width` bits each (0 to 16); the bits left over in the last byte are 0. Result: {@link packedBytes}
 * bytes.
 * @throws {RangeError} if a code does not fit in `width` bits
 * @example
 * packCodes([1, 2, 3], 2);   // Uint8Array [0b111001]
 */
export function packCodes(codes: ArrayLike<number>, width: number): Uint8Array {
  checkInteger('packCodes', 'width', width, 0, 16);
  const bytes = new Uint8Array(packedBytes(codes.length, width));
  const limit = 2 ** width;
  let waiting = 0;
  let bits = 0;
  let at = 0;
  for (let i = 0; i < codes.length; i++) {
    const code = codes[i];
    if (!(code >= 0 && code < limit && Number.isInteger(code)))
      throw new RangeError(
        `packCodes: codes: expected whole numbers below ${limit}, got ${show(code)} at element ${i}; use a larger width`,
      );
    waiting |= code << bits;
    for (bits += width; bits >= 8; bits -= 8) {
      bytes[at++] = waiting & 255;
      waiting >>>= 8;
    }
  }
  if (bits > 0) bytes[at] = waiting;
  return bytes;
}

/**
 * The inverse of {@link packCodes}.
 * @param name - what the error names
 * @throws {EspalierError} PQ_PARAM if `bytes` has another length than `count` codes take, FIELD if left-over bits are
 *   set
 */
export function unpackCodes(bytes: Uint8Array, count: number, width: number, name = 'bytes'): Uint16Array {
  checkInteger('unpackCodes', 'count', count, 0);
  checkInteger('unpackCodes', 'width', width, 0, 16);
  const expected = packedBytes(count, width);
  if (bytes.length !== expected)
    throw new EspalierError(
      'PQ_PARAM',
      `unpackCodes: ${show(name)}: expected ${expected} bytes for ${count} codes of ${width} bits, got ${bytes.length}`,
      { name, found: bytes.length },
    );
  checkLeftOver('unpackCodes', name, bytes, count * width);
  const codes = new Uint16Array(count);
  const mask = 2 ** width - 1;
  let waiting = 0;
  let bits = 0;
  let at = 0;
  for (let i = 0; i < count; i++) {
    for (; bits < width; bits += 8) waiting |= bytes[at++] << bits;
    codes[i] = waiting & mask;
    waiting >>>= width;
    bits -= width;
  }
  return codes;
}

/**
 * Bits behind the first `used` of the last byte must be 0, so that equal contents are equal bytes. @throws
 * {EspalierError} FIELD
 */
export function checkLeftOver(who: string, name: string, bytes: Uint8Array, used: number): void {
  const within = used % 8;
  if (within > 0 && bytes[bytes.length - 1] >> within !== 0)
    throw new EspalierError(
      'FIELD',
      `${who}: ${show(name)}: expected the last ${8 - within} bits to be 0; the file is damaged or not by this library`,
      { name, found: bytes[bytes.length - 1] },
    );
}
