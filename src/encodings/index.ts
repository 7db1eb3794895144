/** What can be done with an encoding, whatever its kind: functions that look the kind up. */
import { sameShape } from '../base/tensor.ts';
import type { Run } from '../kernels/specification/operations.ts';
import { OPERATIONS } from './operations.generated.ts';
import { checkEncodingKind } from './reading.ts';
import type {
  Encoding,
  EncodingHeader,
  EncodingOperations,
  EncodingPlace,
  EncodingSize,
  PullbackPlaces,
  StoredTensor,
} from './types.ts';

export { codeWidth, packCodes, packedBytes, unpackCodes } from './bits.ts';
export { halfToNumber, numberToHalf, roundToHalves, areHalves, halfExponent, LARGEST_HALF } from './half.ts';
export { denseEncoding, isDense } from './kinds/dense.ts';
export { canonicalSigns } from './kinds/product.ts';
export {
  checkLengths,
  decodeOnHeap,
  fillEncoding,
  placeEncoding,
  readEncoding,
  trainedCount,
  trainedValues,
} from './reading.ts';
export type * from './types.ts';

/**
 * The operations of a kind; they take encodings of that kind only, which is the caller's to keep.
 * @throws {EspalierError} FIELD for a kind that is not in the table: kinds come from files
 */
export function encodingOperations(kind: string): EncodingOperations<Encoding> {
  return OPERATIONS[checkEncodingKind(kind)] as unknown as EncodingOperations<Encoding>;
}

/** Dense values, row-major, in a new array or in `out` (exact length). */
export function decode(encoding: Encoding, out?: Float32Array): Float32Array {
  return encodingOperations(encoding.kind).decode(encoding, out);
}

/**
 * Bits that the encoding takes in a file, by kind of content; equals 8 x the bytes of the tensors of
 * {@link writeEncoding}.
 */
export function encodingSize(encoding: Encoding): EncodingSize {
  return encodingOperations(encoding.kind).size(encoding);
}

/** The same encoding with other trained values. */
export function withTrainedValues<E extends Encoding>(encoding: E, values: Float32Array): E {
  return encodingOperations(encoding.kind).withTrainedValues(encoding, values) as E;
}

/**
 * Gradient of the trained values from that of the dense weights, and how many weights each of them stands for (for a
 * codeword its members).
 */
export function pullback<F extends Float32Array | Float64Array>(
  encoding: Encoding,
  gradient: F,
): { gradient: F; counts: Float32Array } {
  const { pullback: pull, counts } = encodingOperations(encoding.kind);
  return { gradient: pull(encoding, gradient), counts: counts(encoding) };
}

/** How many weights each trained value stands for. */
export function trainedCounts(encoding: Encoding): Float32Array {
  return encodingOperations(encoding.kind).counts(encoding);
}

/** Writes down how the gradient of the trained values of an encoding at `place` is made from that of the dense ones. */
export function pullbackOnHeap(encoding: Encoding, place: EncodingPlace, places: PullbackPlaces, run: Run): void {
  encodingOperations(encoding.kind).pullbackOnHeap(encoding, place, places, run);
}

/** Whether the values of one fit the place of the other. */
export function sameStructure(a: Encoding, b: Encoding): boolean {
  if (a.kind !== b.kind || !sameShape(a.shape, b.shape)) return false;
  const { structure } = encodingOperations(a.kind);
  return sameShape(structure(a), structure(b));
}

/** Header and tensors for the container. */
export function writeEncoding(encoding: Encoding): { header: EncodingHeader; tensors: StoredTensor[] } {
  return encodingOperations(encoding.kind).write(encoding);
}

/** The form in which an encoding is written at last: the same dense values, bit for bit. */
export function canonicalEncoding(encoding: Encoding): Encoding {
  return encodingOperations(encoding.kind).canonical(encoding);
}

/** Storage of an encoding in words: 'dense', '256 codewords of 4, signs apart'. */
export function describeEncoding(encoding: Encoding): string {
  return encodingOperations(encoding.kind).describe(encoding);
}
