/** What can be done with an encoding, whatever its kind: the table of kinds, and functions that look the kind up. */
import { denseOperations } from './dense.ts';
import { productOperations } from './product.ts';
import { checkEncodingKind } from './reading.ts';
import type {
  Encoding,
  EncodingHeader,
  EncodingKind,
  EncodingOperations,
  EncodingSize,
  StoredTensor,
} from './types.ts';

export { codeWidth, packCodes, packedBytes, unpackCodes } from './bits.ts';
export { denseEncoding } from './dense.ts';
export { halfToNumber, numberToHalf, roundToHalves, areHalves, LARGEST_HALF } from './half.ts';
export { canonicalSigns } from './product.ts';
export { readEncoding, trainedCount, trainedValues } from './reading.ts';
export type * from './types.ts';

const OPERATIONS: { readonly [K in EncodingKind]: EncodingOperations<Extract<Encoding, { kind: K }>> } =
  /* @__PURE__ */ Object.freeze({ dense: denseOperations, product: productOperations });

/**
 * The operations of a kind; they take encodings of that kind only, which is the caller's to keep.
 * @throws {EspalierError} FIELD for a kind that is not in the table: kinds come from files
 */
export function encodingOperations(kind: EncodingKind): EncodingOperations<Encoding> {
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

/** Gradient of the trained values from that of the dense weights, and the number of members of each. */
export function pullback<F extends Float32Array | Float64Array>(
  encoding: Encoding,
  gradient: F,
): { gradient: F; counts: Float32Array } {
  return encodingOperations(encoding.kind).pullback(encoding, gradient);
}

/** Header and tensors for the container. */
export function writeEncoding(encoding: Encoding): { header: EncodingHeader; tensors: StoredTensor[] } {
  return encodingOperations(encoding.kind).write(encoding);
}
