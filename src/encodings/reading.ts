/**
 * What opening and running a model needs of the encodings, whatever their kind: reading them from a file, their trained
 * values, and their place on a heap. It asks the reading half of the kinds alone.
 */
import { EspalierError, show } from '../base/errors.ts';
import { sizeOf } from '../base/tensor.ts';
import type { Run } from '../kernels/specification/operations.ts';
import type { Heap } from '../kernels/types.ts';
import { headerShape } from './checks.ts';
import { READINGS } from './readings.generated.ts';
import type {
  Encoding,
  EncodingHeader,
  EncodingKind,
  EncodingPlace,
  EncodingReading,
  EncodingRoom,
  StoredTensor,
} from './types.ts';

/** @throws {EspalierError} FIELD for a kind that is not in the table: kinds come from files */
export function checkEncodingKind(kind: string): EncodingKind {
  if (typeof kind !== 'string' || !Object.hasOwn(READINGS, kind))
    throw new EspalierError(
      'FIELD',
      `encoding: kind: expected one of ${Object.keys(READINGS).join(', ')}, got ${show(kind)}`,
      { found: kind },
    );
  return kind as EncodingKind;
}

/** The table is keyed by kind, so an encoding fits its entry; the type system cannot follow that through a lookup. */
function readingOf(kind: string): EncodingReading<Encoding> {
  return READINGS[checkEncodingKind(kind)] as unknown as EncodingReading<Encoding>;
}

/** Number of values that training moves: all weights, or all codeword coordinates. */
export function trainedCount(encoding: Encoding): number {
  return readingOf(encoding.kind).trainedCount(encoding);
}

/** Those values in a fixed order, copied. */
export function trainedValues(encoding: Encoding): Float32Array {
  return readingOf(encoding.kind).trainedValues(encoding);
}

/** Weights of a parameter: no heap holds more (2^30 words). */
const MOST_WEIGHTS = 2 ** 30;

/**
 * The inverse of {@link writeEncoding}, everything checked; how much a file may ask for in all is checked by
 * `readNetwork`. @throws {EspalierError} PQ_PARAM, SHAPE, FIELD, NONFINITE, BUDGET
 */
export function readEncoding(name: string, header: EncodingHeader, get: (suffix: string) => StoredTensor): Encoding {
  const weights = sizeOf(headerShape(name, header.shape));
  if (weights > MOST_WEIGHTS)
    throw new EspalierError(
      'BUDGET',
      `read: ${show(name)}: ${weights} weights are more than the ${MOST_WEIGHTS} that a heap holds; the file is damaged or hostile`,
      { name, limit: MOST_WEIGHTS, found: weights },
    );
  return readingOf(header.kind).read(name, header, get);
}

/**
 * Arrays as long as the shapes beside them say: a network made by hand must not write over its neighbours on the heap.
 * @throws {EspalierError} SHAPE naming the parameter
 */
export function checkLengths(name: string, encoding: Encoding): void {
  for (const [what, found, expected] of readingOf(encoding.kind).lengths(encoding)) {
    if (found !== expected)
      throw new EspalierError(
        'SHAPE',
        `parameter ${show(name)}: ${what}: expected ${expected} for shape [${encoding.shape.join(', ')}], got ${found}`,
        { name, found },
      );
  }
}

/** Gives an encoding its place on a heap. */
export function placeEncoding(encoding: Encoding, room: EncodingRoom): EncodingPlace {
  return readingOf(encoding.kind).place(encoding, room);
}

/** Writes an encoding to a place that was made for one of the same structure ({@link sameStructure}). */
export function fillEncoding(heap: Heap, place: EncodingPlace, encoding: Encoding): void {
  readingOf(encoding.kind).fill(heap, place, encoding);
}

/** Writes down how the dense values at `place.dense` are made; nothing for an encoding that is dense. */
export function decodeOnHeap(encoding: Encoding, place: EncodingPlace, run: Run): void {
  readingOf(encoding.kind).decodeOnHeap(encoding, place, run);
}
