/** A file while its messages are read: what may still be made of it, and what all messages are read with. */
import { EspalierError } from '../base/errors.ts';
import { fieldsOf, rangeField, textField } from './wire.ts';
import type { Field } from './wire.ts';

export type Range = readonly [start: number, end: number];

/** Calls what takes the field of each number; others are passed over. */
export function eachField(
  bytes: Uint8Array,
  [start, end]: Range,
  take: Readonly<Record<number, (field: Field) => void>>,
): void {
  for (const field of fieldsOf(bytes, start, end)) if (Object.hasOwn(take, field.number)) take[field.number](field);
}

/** A file while it is read, with what may still be made of it. */
export interface Source {
  readonly bytes: Uint8Array;
  /** Things that may still be made: a node of two bytes becomes an object of hundreds. */
  left: number;
}

/** Things that any file may hold, and one more for so many bytes; each takes some 50 bytes of memory. */
const THINGS = { free: 2 ** 20, bytesEach: 32 } as const;
/** How many things one is. */
const WORTH = { node: 8, attribute: 6, tensor: 8, value: 4, text: 1, number: 1 } as const;

export const sourceOf = (bytes: Uint8Array): Source => ({
  bytes,
  left: THINGS.free + Math.floor(bytes.length / THINGS.bytesEach),
});

/** Counts a thing before it is made. @throws {EspalierError} TOO_LARGE */
export function count(source: Source, field: Pick<Field, 'at'>, thing: keyof typeof WORTH): void {
  source.left -= WORTH[thing];
  if (source.left >= 0) return;
  const text = `readOnnx: byte ${field.at}: the file holds more nodes, attributes and numbers than are read of ${source.bytes.length} bytes; large arrays belong into raw data`;
  throw new EspalierError('TOO_LARGE', text, { offset: field.at, limit: THINGS.free });
}

/** A key with its value: StringStringEntryProto. */
export function readEntry(bytes: Uint8Array, field: Field, what: string): { key: string; value: string } {
  const entry = { key: '', value: '' };
  eachField(bytes, rangeField(field, what), {
    1: (part) => (entry.key = textField(bytes, part, `${what}: key`)),
    2: (part) => (entry.value = textField(bytes, part, `${what}: value`)),
  });
  return entry;
}
