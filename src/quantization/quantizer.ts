/**
 * What a quantizer is: the one file of a kind under `quantizers/` says which options it has and what is true of them,
 * what it would take in a file, and how it fits an encoding to a matrix. Schedules, command line and reports ask it.
 */
import type { Rules, RuledBy } from '../base/rules.ts';
import type { Shape, Tensor, TensorLike } from '../base/tensor.ts';
import type { Encoding } from '../encodings/types.ts';
import type { KernelSet } from '../kernels/types.ts';

/** What fitting is given beside the matrix and the options. */
export interface FitContext {
  readonly kernels: KernelSet;
  /** The same bytes for any number of them. */
  readonly threads: number;
  readonly seed: number;
  readonly signal?: AbortSignal;
  /**
   * Importance of the columns (columns) or of every weight (rows, columns), from 0, in the squared error. Default: all
   * alike.
   */
  readonly importance?: TensorLike;
  /**
   * Second moments of what the matrix is multiplied with, (columns, columns) in double, or (groups, columns, columns) where
   * groups of rows read inputs of their own: then the error of what is quantized is made good by the columns still to come.
   * Default: none, every column for itself.
   */
  readonly moments?: Float64Array;
}

/** What fitting did, as plain data; quantizers add what is their own. */
export interface FitReport {
  /** Squared error, without the importance. */
  readonly sumSquares: number;
  /** |W - decoded| / |W| in the Frobenius norm. */
  readonly relativeError: number;
  /** Of the encoding's contents in the file, as {@link encodingSize} counts them. */
  readonly bits: number;
  readonly bitsPerWeight: number;
}

export interface Quantizer<R extends Rules = Rules, E extends Encoding = Encoding, F extends FitReport = FitReport> {
  /** Its name in options and on the command line, and that of its file. */
  readonly kind: string;
  /** What each option may be. */
  readonly options: R;
  readonly defaults: RuledBy<R>;
  /** One line of help per option, without its bounds and its default. */
  readonly words: { readonly [K in keyof R]: string };
  /** What an option is called on the command line, in camel case, where that is not its name. */
  readonly flags?: { readonly [K in keyof R]?: string };
  /**
   * Options of a single layer over those that layers share, where that is more than the one replacing the other.
   * Default: each replaces its like.
   * @throws {RangeError} for options that exclude each other
   */
  merge?(shared: Partial<RuledBy<R>>, own: Partial<RuledBy<R>>): Partial<RuledBy<R>>;
  /** Options that lose less and cost more, one step of a kind; the same where there are none. */
  milder(options: RuledBy<R>): RuledBy<R>;
  /**
   * Bits that the contents of a parameter of this shape take in the file, known without its values: at most this many,
   * and exactly this many unless the values leave something out (as do fewer distinct sub-vectors than codewords), or
   * {@link isBound}.
   */
  estimateBits(shape: Shape, options: RuledBy<R>): number;
  /** What the estimate leaves open depends on all values (where those stand that are not zero). Default false. */
  readonly isBound?: boolean;
  /**
   * Fits an encoding of shape (rows, columns) to a matrix of finite values. The same matrix, options and seed give the
   * same bytes.
   * @throws {RangeError} for options that do not suit the matrix
   * @throws {EspalierError} NONFINITE naming row and column, WORKER
   * @throws the signal's reason, if it is aborted
   */
  fit(matrix: Tensor, options: RuledBy<R>, context: FitContext): Promise<{ encoding: E; report: F }>;
  /** What a fit is like in words: '256 codewords of 4, signs apart'. */
  describe(report: F): string;
}
