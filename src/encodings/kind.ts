/**
 * What a kind of encoding is: what its one file under `kinds/` says of it, in two halves, that which a page that runs a
 * model carries and the rest.
 */
import type { Shape } from '../base/tensor.ts';
import type { Run } from '../kernels/specification/operations.ts';
import type { Heap } from '../kernels/types.ts';

/** What every encoding has: its kind, which names its file, and the shape of the parameter that it stands for. */
export interface Encoded {
  readonly kind: string;
  readonly shape: Shape;
}

/** What an encoding takes in the file, in bits, by kind of content; headers and padding are the container's. */
export interface EncodingSize {
  /** Weights as they are. */
  readonly values: number;
  /** Whole numbers that stand for weights: codes, levels. */
  readonly codes: number;
  readonly signs: number;
  /** What codes are read with: codewords, scales and zero points. */
  readonly codebooks: number;
  readonly total: number;
}

/** One tensor of the container. `name` is completed by the parameter's name. */
export interface StoredTensor {
  readonly suffix: string;
  readonly dtype: 'F32' | 'F16' | 'U8' | 'U16' | 'I32';
  readonly shape: Shape;
  readonly bytes: Uint8Array;
  /**
   * Of what the bytes consist, where they are packed whole numbers: `count` numbers of `bits` bits, lowest bit first, in rows
   * of `columns`; several such from whole bytes on. It is what a file is made small by, and not stored with a plain one.
   */
  readonly cells?: readonly { readonly bits: number; readonly count: number; readonly columns: number }[];
}

/** JSON description of an encoding (its numbers, not its arrays), stored in the file's metadata. */
export type EncodingHeader = Encoded & Readonly<Record<string, unknown>>;

/** An array whose length the shape beside it determines: what it holds, how many it has, how many it should have. */
export type Length = readonly [what: string, found: number, expected: number];

/** Where an encoding finds words on a heap. Offsets count words of 32 bits. */
export interface EncodingRoom {
  /** Where operators read the dense values: row-major, as many floats as the shape has elements. */
  readonly dense: number;
  /**
   * Words for what the dense values are made from. In inference they may be given to others once that is done, so
   * whatever decoding reads is to be written by `fill`.
   */
  source(words: number): number;
}

/** Where an encoding lies on a heap; kinds add what else they put there. */
export interface EncodingPlace {
  /** As in {@link EncodingRoom}. */
  readonly dense: number;
  /**
   * Offset of the trained values, in the order of `trainedValues`. Where it equals `dense` the trained values are the
   * dense ones: nothing is decoded, and the gradient of the one is that of the other.
   */
  readonly values: number;
}

/** Where gradients lie on a heap when they are pulled back. */
export interface PullbackPlaces {
  /** Gradient of the dense values, read. */
  readonly dense: number;
  /** Gradient of the trained values, overwritten. */
  readonly values: number;
  /** Words for what comes between, or for what nobody reads. */
  room(words: number): number;
}

/** The half of a kind that opens and runs a model; generic over its encoding and its place on the heap. */
export interface EncodingReading<E extends Encoded, P extends EncodingPlace = EncodingPlace> {
  readonly kind: E['kind'];
  /** Number of trained values: what an optimizer moves (all weights, all codeword coordinates, all scales). */
  trainedCount(encoding: E): number;
  /** The trained values in a fixed order, copied. */
  trainedValues(encoding: E): Float32Array;
  /**
   * Checks everything before it allocates. `get(suffix)` gives a stored tensor or throws MISSING.
   * @throws {EspalierError} PQ_PARAM, SHAPE, FIELD, NONFINITE
   */
  read(name: string, header: EncodingHeader, get: (suffix: string) => StoredTensor): E;
  /** Arrays of an encoding made by hand may be of any length; one that is too long would write over its neighbours. */
  lengths(encoding: E): readonly Length[];
  /** Asks the room for all that the encoding needs, always in the same order. Depends on its structure alone. */
  place(encoding: E, room: EncodingRoom): P;
  /** Writes the encoding, which has the structure of the one that was placed. */
  fill(heap: Heap, place: P, encoding: E): void;
  /** Writes down how the dense values are made from what `fill` wrote; nothing where they are written by it. */
  decodeOnHeap(encoding: E, place: P, run: Run): void;
}

/** The other half of a kind. */
export interface EncodingOperations<E extends Encoded, P extends EncodingPlace = EncodingPlace> {
  readonly kind: E['kind'];
  /** Dense values, row-major; into `out` if given (exact length). */
  decode(encoding: E, out?: Float32Array): Float32Array;
  /** The same encoding with other trained values. */
  withTrainedValues(encoding: E, values: Float32Array): E;
  /**
   * Gradient of the trained values from that of the dense weights (float32 or float64, same out type): the transpose of
   * `decode` as a linear function of the trained values.
   */
  pullback<F extends Float32Array | Float64Array>(encoding: E, gradient: F): F;
  /**
   * How many weights each trained value stands for: the squares of its shares in them, summed (for a codeword its
   * members). Dividing a gradient by them moves the weights as far as if each had moved alone.
   */
  counts(encoding: E): Float32Array;
  /** Writes down `pullback` of gradients on the heap; nothing where the trained values are the dense ones. */
  pullbackOnHeap(encoding: E, place: P, places: PullbackPlaces, run: Run): void;
  /** Numbers that are the same for two encodings of one shape if the values of one fit the place of the other. */
  structure(encoding: E): readonly number[];
  size(encoding: E): EncodingSize;
  write(encoding: E): { header: EncodingHeader; tensors: StoredTensor[] };
  /** The form in which an encoding is written at last: the same dense values, bit for bit. */
  canonical(encoding: E): E;
  /**
   * With trained values in half precision, where the kind can store such: each within 2^-11 of itself if it is within
   * 2^29 of the largest, by powers of two that are stored too; undefined where one would become infinite.
   */
  toHalves?(encoding: E): E | undefined;
  /** In words, for tables: '256 codewords of 4, signs apart'. */
  describe(encoding: E): string;
}
