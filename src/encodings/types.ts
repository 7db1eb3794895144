/**
 * Encodings: how a parameter is stored. An encoding is plain data; what can be done with it is in one file per kind
 * (`dense.ts`, `product.ts`) and listed in `index.ts`. Fitting an encoding to weights is the business of
 * `quantization`.
 */
import type { Shape } from '../base/tensor.ts';

/** Every weight a float32 of its own, row-major. */
export interface DenseEncoding {
  readonly kind: 'dense';
  readonly shape: Shape;
  readonly data: Float32Array;
}

/**
 * A range of columns of the weight matrix that shares one codebook: columns [first, first + M d), cut in M sub-spaces
 * of d columns. A codebook per layer is one block (and a second one, M = 1, for the columns that d leaves over); a
 * codebook per sub-space is M blocks with M = 1.
 */
export interface ProductBlock {
  /** First column. */
  readonly first: number;
  /** M: sub-spaces in the block. */
  readonly subspaceCount: number;
  /** d: columns per sub-space. */
  readonly subvectorLength: number;
  /** K: 2 to 65536 (1 where all sub-vectors are alike). */
  readonly codewordCount: number;
  /**
   * (K, d). With signs apart they stand for absolute values, but training may move them below zero;
   * {@link canonicalSigns} mends that.
   */
  readonly codewords: Float32Array;
  /** (rows, M), each below K. */
  readonly codes: Uint16Array;
  /**
   * With signs apart: one bit per weight of the block in the order (row, m, j), 1 = negative; bit (i & 7) of byte i >>
   * 3.
   */
  readonly signs?: Uint8Array;
}

/** Product quantization (Jégou, Douze, Schmid 2011) of the parameter seen as a matrix of shape[0] rows. */
export interface ProductEncoding {
  readonly kind: 'product';
  readonly shape: Shape;
  /** Ascending in `first`; together they cover every column once. */
  readonly blocks: readonly ProductBlock[];
  /**
   * How codewords are stored. Rounding them to halves is a transform of its own, so with 'float16' every codeword is a
   * half already.
   */
  readonly codewordPrecision: 'float32' | 'float16';
}

export type Encoding = DenseEncoding | ProductEncoding;
export type EncodingKind = Encoding['kind'];

/** What an encoding takes in the file, in bits, by kind of content; headers and padding are the container's. */
export interface EncodingSize {
  readonly values: number;
  readonly codes: number;
  readonly signs: number;
  readonly codebooks: number;
  readonly total: number;
}

/** One tensor of the container. `name` is completed by the parameter's name. */
export interface StoredTensor {
  readonly suffix: string;
  readonly dtype: 'F32' | 'F16' | 'U8' | 'U16' | 'I32';
  readonly shape: Shape;
  readonly bytes: Uint8Array;
}

/** JSON description of an encoding (its numbers, not its arrays), stored in the file's metadata. */
export type EncodingHeader = { readonly kind: EncodingKind; readonly shape: Shape } & Readonly<Record<string, unknown>>;

/** What each file of an encoding exports for those that only open and run a model; generic over its own type. */
export interface EncodingReading<E extends Encoding> {
  readonly kind: E['kind'];
  /** Number of trained values (all weights, or all codeword coordinates). */
  trainedCount(encoding: E): number;
  /** The trained values in a fixed order, copied. */
  trainedValues(encoding: E): Float32Array;
  /**
   * Checks everything before it allocates. `get(suffix)` gives a stored tensor or throws MISSING. @throws
   * {EspalierError} PQ_PARAM, SHAPE, FIELD, NONFINITE
   */
  read(name: string, header: EncodingHeader, get: (suffix: string) => StoredTensor): E;
}

/** All that each file of an encoding exports. */
export interface EncodingOperations<E extends Encoding> extends EncodingReading<E> {
  /** Dense values, row-major; into `out` if given (exact length). */
  decode(encoding: E, out?: Float32Array): Float32Array;
  /** The same encoding with other trained values. */
  withTrainedValues(encoding: E, values: Float32Array): E;
  /**
   * Gradient of the trained values from that of the dense weights (float32 or float64, same out type): for a codeword
   * the sum over its members. counts: members per trained value, so that an optimizer may average.
   */
  pullback<F extends Float32Array | Float64Array>(encoding: E, gradient: F): { gradient: F; counts: Float32Array };
  size(encoding: E): EncodingSize;
  write(encoding: E): { header: EncodingHeader; tensors: StoredTensor[] };
}
