/**
 * What may be asked of a backend: whole operations over values that lie on its heap. How an operation is cut in pieces for
 * threads, how weights are packed for it, which working space it takes and which kernels it becomes is the backend's own
 * business (`lowering/` for both sets of kernels; a GPU would have its own), so an operator knows nothing of it.
 *
 * Every number is a count or the offset of a word on the heap; an offset of -1 means "none" where that is said.
 * Glossary: N samples, C channels, P positions of one channel, O output channels, I input channels.
 */
import type { Geometry } from './geometry.ts';

/** An activation that is applied on the way out. */
export interface Activation {
  /** Its number in the table of activations; 0: none. */
  readonly activation: number;
  /** Offset of its parameters, as many floats as its definition names. */
  readonly parameters: number;
}

/** Operations by name, each with the call that it takes. */
export interface Operations {
  /** y [N, O] = activation(x [N, I] weight^T + bias); weight [O, I]; bias [O], -1: none. Activations: those that fuse. */
  denseForward: Activation & {
    samples: number;
    inputs: number;
    outputs: number;
    x: number;
    weight: number;
    bias: number;
    y: number;
  };
  /** dx [N, I] = dy [N, O] weight, overwritten. */
  denseBackwardInput: { samples: number; inputs: number; outputs: number; dy: number; weight: number; dx: number };
  /** dweight [O, I] = dy^T x, overwritten. */
  denseBackwardWeight: { samples: number; inputs: number; outputs: number; x: number; dy: number; dweight: number };

  /** y [N, O, oy, ox] = activation(bias [O] + convolution of x [N, I, H, W] with weight [O, I/groups, kh, kw]); bias -1: none. */
  convolutionForward: Activation & {
    geometry: Geometry;
    samples: number;
    x: number;
    weight: number;
    bias: number;
    y: number;
  };
  /**
   * y [N, I, H, W] = activation(bias [I] + transposed convolution of x [N, O, H', W']): of the one from y to x that has
   * this geometry, by weight [I, O/groups, kh, kw]. bias -1: none. Activations: those that fuse.
   */
  transposedForward: Activation & {
    geometry: Geometry;
    samples: number;
    x: number;
    weight: number;
    bias: number;
    y: number;
  };
  /** dx [N, I, H, W], overwritten. */
  convolutionBackwardInput: { geometry: Geometry; samples: number; dy: number; weight: number; dx: number };
  /** dweight [O, I/groups, kh, kw], overwritten; partial sums are folded in a fixed order. */
  convolutionBackwardWeight: { geometry: Geometry; samples: number; x: number; dy: number; dweight: number };

  /** out [C] = sums of x [N, C, P] over samples and positions. */
  channelSums: { x: number; out: number; samples: number; channels: number; positions: number };

  /** y = activation(x), elementwise; in place allowed. */
  activationForward: Activation & { x: number; y: number; count: number };
  /** dx = dy activation'(.) from its input or its output, whichever its definition reads (`ACTIVATION_GRADIENTS`); dx may be dy. */
  activationBackward: Activation & { from: number; dy: number; dx: number; count: number };

  /** x [planes, H, W]; argmax -1: not wanted, else ints as many as y has elements. Channel fields of the geometry are not read. */
  maxPoolForward: { geometry: Geometry; planes: number; x: number; y: number; argmax: number };
  maxPoolBackward: { geometry: Geometry; planes: number; dy: number; argmax: number; dx: number };
  /** countPadding 1: padded places count. */
  averagePoolForward: { geometry: Geometry; planes: number; x: number; y: number; countPadding: number };
  averagePoolBackward: { geometry: Geometry; planes: number; dy: number; dx: number; countPadding: number };

  /** y [N, C, P] = activation(x scale [C] + shift [C]); in place allowed. */
  affineForward: Activation & {
    x: number;
    scale: number;
    shift: number;
    y: number;
    samples: number;
    channels: number;
    positions: number;
  };
  /** dx = dy scale; dx may be dy. */
  affineBackward: { dy: number; scale: number; dx: number; samples: number; channels: number; positions: number };
  /** dscale [C] = sums of dy x, dshift [C] = sums of dy. */
  affineBackwardParameters: {
    x: number;
    dy: number;
    dscale: number;
    dshift: number;
    samples: number;
    channels: number;
    positions: number;
  };
  /** In training; hyper: offset of [epsilon, momentum]. See the kernel of the same name. */
  batchNormForward: {
    x: number;
    scale: number;
    shift: number;
    runningMean: number;
    runningVariance: number;
    savedMean: number;
    savedInverse: number;
    y: number;
    hyper: number;
    samples: number;
    channels: number;
    positions: number;
  };
  batchNormBackward: {
    x: number;
    dy: number;
    scale: number;
    savedMean: number;
    savedInverse: number;
    dx: number;
    dscale: number;
    dshift: number;
    samples: number;
    channels: number;
    positions: number;
  };
  /** Batch normalization as scale and shift per channel. */
  batchNormFold: {
    scale: number;
    shift: number;
    mean: number;
    variance: number;
    scaleOut: number;
    shiftOut: number;
    hyper: number;
    channels: number;
  };

  /**
   * y = scale (x - m) / sqrt(v + epsilon) + shift, m and v over each row of `channels` x `positions` elements; scale and
   * shift (-1: none) have `channels` elements for each of `period` rows. inverse [rows], -1: not wanted: 1 / sqrt(v +
   * epsilon). hyper: offset of [epsilon]. y may be x.
   */
  standardizeForward: {
    x: number;
    scale: number;
    shift: number;
    y: number;
    inverse: number;
    hyper: number;
    rows: number;
    period: number;
    channels: number;
    positions: number;
  };
  /** From x as it is standardized; dx may be dy. */
  standardizeBackward: { x: number; dy: number; inverse: number; dx: number; rows: number; columns: number };

  /**
   * c [m, n] = a [m, k] b [k, n] for each combination of steps along `sides`; strides in words, one per side, of c 0 where
   * products are summed. Rows of c lie cRow apart.
   */
  products: Record<'m' | 'n' | 'k' | 'a' | 'aRow' | 'aColumn' | 'b' | 'bRow' | 'bColumn' | 'c' | 'cRow', number> & {
    sides: readonly number[];
    aStrides: readonly number[];
    bStrides: readonly number[];
    cStrides: readonly number[];
  };

  softmaxForward: { x: number; y: number; outer: number; length: number; inner: number };
  softmaxBackward: { y: number; dy: number; dx: number; rows: number; columns: number };

  /** y = activation(a + b), elementwise, all of one shape. y may be a or b. Activations: those that fuse. */
  add: Activation & { a: number; b: number; y: number; count: number };
  /** y = a b, elementwise. y may be a or b. */
  multiply: { a: number; b: number; y: number; count: number };
  /** to[r toStride + j] = from[r fromStride + j], r in [0, rows), j in [0, columns). Nothing where both are the same words. */
  copyRows: { from: number; fromStride: number; to: number; toStride: number; rows: number; columns: number };
  /** The same for `count` words in a row. */
  copy: { from: number; to: number; count: number };

  /**
   * y = operation(a, b) with broadcasting: y is row-major of shape `sides`; a and b are read with strides in words, one per
   * side, 0 where they are the same along it. operation: a number in the table of binary operations.
   */
  binaryForward: {
    a: number;
    b: number;
    y: number;
    sides: readonly number[];
    aStrides: readonly number[];
    bStrides: readonly number[];
    operation: number;
  };
  /**
   * Gradient to one operand, overwritten: of a (side 0) or of b (side 1), summed in double in row-major order over what was
   * broadcast; `dx` has the operand's own elements, row-major.
   */
  binaryBackward: {
    a: number;
    b: number;
    dy: number;
    dx: number;
    sides: readonly number[];
    aStrides: readonly number[];
    bStrides: readonly number[];
    operation: number;
    side: 0 | 1;
  };

  /**
   * y = operation of all elements of x, row-major of shape `sides`, along `axes` of it (ascending); y has an element for
   * each place along the others, row-major. In double. operation: a number in the table of reductions.
   */
  reduceForward: { x: number; y: number; sides: readonly number[]; axes: readonly number[]; operation: number };
  /** dx, overwritten; x and y are read by the operations whose gradient asks for them. */
  reduceBackward: {
    x: number;
    y: number;
    dy: number;
    dx: number;
    sides: readonly number[];
    axes: readonly number[];
    operation: number;
  };
  /** y [outer, inner], ints: places of the largest of x [outer, length, inner], the lowest of equals; NaN is the largest. */
  argMax: { x: number; y: number; outer: number; length: number; inner: number };

  /**
   * y, row-major with a side for each table: the element at (i, j, ...) is x[tables[0][i] + tables[1][j] + ...], offsets
   * in words, or the float at `fill` where one of them is -1.
   */
  rearrange: { x: number; y: number; tables: readonly (readonly number[])[]; fill: number };
  /**
   * y [outer, taps.length, inner] = along the middle side of x [outer, length, inner] the sums of weight x[place], in double
   * in their order; the float at `fill` where there is no tap.
   */
  resample: {
    x: number;
    y: number;
    outer: number;
    length: number;
    inner: number;
    taps: readonly (readonly { readonly place: number; readonly weight: number }[])[];
    fill: number;
  };

  /**
   * Columns [first, first + M d) of a matrix `to` [rows, columns] from codes [rows, M], codewords [K, d] and packed signs
   * (-1: none): a block of a product encoding.
   */
  codebookDecode: {
    codewords: number;
    codes: number;
    signs: number;
    to: number;
    columns: number;
    first: number;
    rows: number;
    subspaceCount: number;
    subvectorLength: number;
    codewordCount: number;
  };
  /** The transpose: dcodewords [K, d] from the gradient of the matrix, overwritten; partial sums are folded in a fixed order. */
  codebookPullback: {
    gradient: number;
    columns: number;
    first: number;
    rows: number;
    subspaceCount: number;
    subvectorLength: number;
    codewordCount: number;
    codes: number;
    signs: number;
    dcodewords: number;
  };

  /** Global norm of several gradients, and the factor that clips it: out [2] = [factor, norm]; limit: offset of the most, 0: none. */
  clipScale: { gradients: readonly { readonly at: number; readonly count: number }[]; limit: number; out: number };
  /** One update of all parameters; see the kernels of the same names for hyper and clip. */
  sgdUpdate: { moved: readonly Moved[]; hyper: number; clip: number };
  adamUpdate: { moved: readonly Moved[]; hyper: number; clip: number };
}

/** Values that an optimizer moves: where they, their gradient and its memory of them lie. */
export interface Moved {
  readonly values: number;
  readonly gradient: number;
  /** Velocity (SGD), or first and second moment (Adam). */
  readonly state: readonly number[];
  readonly count: number;
}

export type OperationName = keyof Operations;

/** Writes an operation down: nothing runs yet. */
export type Run = <K extends OperationName>(operation: K, call: Operations[K]) => void;

/** Where a backend finds room for what its kernels need beside the caller's values. */
export interface Room {
  /** Offset of words that hold the given whole numbers, or floats. */
  integers(values: readonly number[]): number;
  floats(values: readonly number[]): number;
  /** Offset of words that live as long as the executor, by a name that the same node asks for again (0 words: must exist). */
  kept(name: string, words?: number): number;
  /** Words of one operation's own, which hold nothing behind its last step. */
  temporary(words: number): number;
  /** Says how much scratch a call may need. */
  needsScratch(words: number): void;
}
