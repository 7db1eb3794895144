/**
 * A safetensors file with a checksum over all of its bytes, the checksum's own digits counted as '0'. It tells an
 * accident (a cut, a flipped bit, a tool that re-saved the file), not an attacker: every structural check stays in
 * force.
 *
 * CRC-32 (IEEE 802.3, as in zlib): finds every change within 32 consecutive bits, so every changed byte, with
 * certainty.
 */
import { EspalierError, show } from '../base/errors.ts';
import { metadataPairs, writeSafetensors } from './safetensors.ts';
import type { Metadata, NamedArray } from './safetensors.ts';

/** Key in the file's metadata: 8 lower-case hexadecimal digits. */
export const CHECKSUM_KEY = 'espalier.checksum';

// Metadata stand first in the header and this key first in the metadata, so the digits stand at a fixed place: nothing
// has to be searched.
const OPENING = `{"__metadata__":{"${CHECKSUM_KEY}":"`;
const DIGITS = 8;
const FIRST_DIGIT = 8 + OPENING.length;

/**
 * {@link writeSafetensors} with the checksum as first metadata.
 * @throws {RangeError} if `metadata` has a checksum already
 * @throws whatever `writeSafetensors` throws
 */
export function writeChecked(tensors: Iterable<NamedArray>, metadata: Metadata = {}): Uint8Array {
  const pairs = metadataPairs(metadata);
  if (pairs.some(([key]) => key === CHECKSUM_KEY))
    throw new RangeError(`writeChecked: metadata: ${CHECKSUM_KEY} is written here; leave it out`);
  const file = writeSafetensors(tensors, new Map([[CHECKSUM_KEY, '0'.repeat(DIGITS)], ...pairs]));
  file.set(new TextEncoder().encode(digits(file)), FIRST_DIGIT);
  return file;
}

/**
 * @throws {EspalierError} CHECKSUM if the file has none, has it elsewhere than {@link writeChecked} puts it, or has
 * another one
 */
export function verifyChecksum(who: string, file: Uint8Array): void {
  const opening = new TextDecoder('latin1').decode(file.subarray(8, FIRST_DIGIT));
  if (opening !== OPENING) {
    throw new EspalierError(
      'CHECKSUM',
      `${who}: no checksum where espalier writes it: the file was saved by another tool; pass { verify: false } to open it without`,
      { name: CHECKSUM_KEY },
    );
  }
  const found = new TextDecoder('latin1').decode(file.subarray(FIRST_DIGIT, FIRST_DIGIT + DIGITS));
  const expected = digits(file);
  if (found !== expected) {
    throw new EspalierError(
      'CHECKSUM',
      `${who}: the file says checksum ${show(found)}, its bytes give "${expected}": it is damaged, or was changed by another tool; get it anew, or pass { verify: false } to open it as it is`,
      { name: CHECKSUM_KEY, offset: FIRST_DIGIT, found },
    );
  }
}

function digits(file: Uint8Array): string {
  const tables = crcTables();
  let crc = crcUpdate(tables, 0, file.subarray(0, FIRST_DIGIT));
  crc = crcUpdate(tables, crc, new Uint8Array(DIGITS).fill(0x30));
  crc = crcUpdate(tables, crc, file.subarray(FIRST_DIGIT + DIGITS));
  return crc.toString(16).padStart(DIGITS, '0');
}

/** CRC-32 of bytes; `crc` continues an earlier one. Unsigned. 22 MB take about 30 ms. */
export function crc32(bytes: Uint8Array, crc = 0): number {
  return crcUpdate(crcTables(), crc, bytes);
}

/**
 * Table t, entry b: the CRC of byte b followed by t zero bytes (Kounavis, Berry 2005: "slicing by 8"). (8, 256), made
 * anew for each file in 10 µs.
 */
function crcTables(): Int32Array {
  const tables = new Int32Array(8 * 256);
  for (let b = 0; b < 256; b++) {
    let crc = b;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
    tables[b] = crc;
  }
  for (let i = 256; i < tables.length; i++) {
    const before = tables[i - 256];
    tables[i] = (before >>> 8) ^ tables[before & 255];
  }
  return tables;
}

function crcUpdate(t: Int32Array, before: number, bytes: Uint8Array): number {
  let crc = ~before;
  let i = 0;
  for (; i + 8 <= bytes.length; i += 8) {
    crc ^= bytes[i] | (bytes[i + 1] << 8) | (bytes[i + 2] << 16) | (bytes[i + 3] << 24);
    crc =
      t[1792 + (crc & 255)] ^
      t[1536 + ((crc >>> 8) & 255)] ^
      t[1280 + ((crc >>> 16) & 255)] ^
      t[1024 + (crc >>> 24)] ^
      t[768 + bytes[i + 4]] ^
      t[512 + bytes[i + 5]] ^
      t[256 + bytes[i + 6]] ^
      t[bytes[i + 7]];
  }
  for (; i < bytes.length; i++) crc = (crc >>> 8) ^ t[(crc ^ bytes[i]) & 255];
  return ~crc >>> 0;
}
