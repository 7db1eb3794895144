/**
 * What opening and running a model needs of the encodings: reading them from a file, and their trained values. The
 * table of kinds for that alone.
 */
import { EspalierError, show } from '../base/errors.ts';
import { denseReading } from './dense.ts';
import { productReading } from './product.ts';
import type { Encoding, EncodingHeader, EncodingKind, EncodingReading, StoredTensor } from './types.ts';

const READINGS: { readonly [K in EncodingKind]: EncodingReading<Extract<Encoding, { kind: K }>> } = {
  dense: denseReading,
  product: productReading,
};

/** @throws {EspalierError} FIELD for a kind that is not in the table: kinds come from files */
export function checkEncodingKind(kind: EncodingKind): EncodingKind {
  if (typeof kind !== 'string' || !Object.hasOwn(READINGS, kind))
    throw new EspalierError(
      'FIELD',
      `encoding: kind: expected one of ${Object.keys(READINGS).join(', ')}, got ${show(kind)}`,
      { found: kind },
    );
  return kind;
}

/** The table is keyed by kind, so an encoding fits its entry; the type system cannot follow that through a lookup. */
function readingOf(kind: EncodingKind): EncodingReading<Encoding> {
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

/**
 * The inverse of {@link writeEncoding}, everything checked. @throws {EspalierError} PQ_PARAM, SHAPE, FIELD, NONFINITE,
 * BUDGET
 */
export function readEncoding(name: string, header: EncodingHeader, get: (suffix: string) => StoredTensor): Encoding {
  return readingOf(header.kind).read(name, header, get);
}
