/**
 * The kernel interface: the hot loops, over one heap, in two sets that do the same: `portable` (TypeScript, the
 * specification and the oracle) and `simd` (WebAssembly).
 *
 * A heap is an array of words. A word holds one float or one 32-bit integer; every offset is counted in words. All
 * kernel arguments are integers: sizes, offsets, flags; a float argument (a slope, a learning rate) is the offset of
 * the word that holds it. So a call is a row of integers, a program is a table of such rows, and threads can share it.
 *
 * The first argument of every kernel is `scratch`: the offset of this thread's working space. Its size comes from
 * {@link KernelSet.scratchWords}; its contents mean nothing before and after the call. Results never depend on it.
 *
 * Unless a kernel says otherwise its outputs must not overlap its inputs; "in place" says where they may be the same.
 */
import type { FloatArray } from '../base/tensor.ts';
import type { Geometry } from './specification/geometry.ts';

export type Precision = 'float32' | 'float64';

/**
 * One block of memory, its size fixed at creation, so a view never goes stale. With 'float32' all three views lie on
 * one buffer (words of 4 bytes); with 'float64' (portable kernels only, for gradient checks) `int` has a buffer of its
 * own. Owned by its workspace and freed with it.
 */
export interface Heap {
  readonly precision: Precision;
  readonly words: number;
  /** Indexed by word. */
  readonly float: FloatArray;
  /** Indexed by word. */
  readonly int: Int32Array;
  /** Doubles. A double occupies two words from an even offset: index it with {@link doubleIndex}. */
  readonly double: Float64Array;
}

/** Activations that a kernel can apply on its way out. The slope belongs to leakyRelu. */
export const ACTIVATION = { none: 0, relu: 1, leakyRelu: 2, sigmoid: 3, tanh: 4 } as const;
export type ActivationName = keyof typeof ACTIVATION;

/** Bits of `matmul`'s flags. */
export const MATMUL = { accumulate: 1, biasPerRow: 2, biasPerColumn: 4 } as const;

/**
 * Every kernel. Glossary: n samples, C channels, P positions of one channel (height x width), O output channels,
 * I input channels, K taps or codewords, d length of a sub-vector.
 */
export interface Kernels {
  /**
   * c[i, j] (+)= sum_k a[i, k] b[k, j], then bias, then activation. Element (i, k) of a lies at a + i aRow + k aColumn,
   * and so on: all transposes. c rows are contiguous (column stride 1). flags: MATMUL bits; activation: none, relu or
   * leakyRelu; slope: offset of the leaky slope. Error: |c - exact| <= 2 K 2^-24 sum |a||b|. K = 0 gives zeros (plus
   * bias).
   */
  matmul(
    scratch: number,
    m: number,
    n: number,
    k: number,
    a: number,
    aRow: number,
    aColumn: number,
    b: number,
    bRow: number,
    bColumn: number,
    c: number,
    cRow: number,
    flags: number,
    bias: number,
    activation: number,
    slope: number,
  ): void;

  /**
   * Lays weights [O, I/groups, kh, kw] out as convolutionForward wants them (`packedWords(geometry, 'forward')` words,
   * a format of the set's own) or, with backward = 1, as convolutionBackwardInput wants them. Once per change of the
   * weights.
   */
  convolutionPack(scratch: number, geometry: number, weights: number, packed: number, backward: number): void;
  /**
   * y[n, O, oy, ox] = activation(bias[O] + sum over I/groups, ky, kx of w x); x [N, I, H, W]; bias -1: none; activation
   * none, relu or leakyRelu. Computes samples [sample, sample + samples) and of each the output positions [position,
   * position + positions) of all channels; x and y are the whole tensors. Pieces are disjoint in y. Error: as matmul's
   * with K = I/groups kh kw; but simd may take Winograd's F(4 x 4, 3 x 3) for 3 x 3 of stride 1, where |y - exact| <=
   * (I/groups + 32) 2^-24 (sum over i of |A|^T (|G||w||G|^T * |B|^T|x||B|) |A| + |bias|) over the 6 x 6 patch of a tile
   * of 4 x 4 outputs (docs/numerics.md): a huge or non-finite x then reaches its whole tile.
   */
  convolutionForward(
    scratch: number,
    geometry: number,
    x: number,
    packed: number,
    bias: number,
    y: number,
    sample: number,
    samples: number,
    position: number,
    positions: number,
    activation: number,
    slope: number,
  ): void;
  /**
   * dx[n, I, iy, ix] = sum of w dy, overwritten, for samples [sample, sample + samples). Error as in
   * convolutionForward, over the output channels.
   */
  convolutionBackwardInput(
    scratch: number,
    geometry: number,
    dy: number,
    packed: number,
    dx: number,
    sample: number,
    samples: number,
  ): void;
  /**
   * dw [O, I/groups, kh, kw] = sum over samples [sample, sample + samples) and positions of dy x: overwritten
   * (accumulate = 0) or added to. One call yields all of dw; sums over groups of samples are folded by `sumParts`.
   * Error: as matmul's with K the positions of all samples; where simd goes by Winograd, over T tiles |dw - exact| <=
   * (T + 40) 2^-24 (sum of |G|^T (|A||dy||A|^T * |B|^T|x||B|) |G| + |dw before|).
   */
  convolutionBackwardWeights(
    scratch: number,
    geometry: number,
    x: number,
    dy: number,
    dw: number,
    sample: number,
    samples: number,
    accumulate: number,
  ): void;

  /**
   * out[c] = sum over n in [0, N) and positions of x[n, c, p], for channels [channel, channel + channels); x [N, C, P].
   * Sums in double.
   */
  channelSums(
    scratch: number,
    x: number,
    out: number,
    samples: number,
    allChannels: number,
    positions: number,
    channel: number,
    channels: number,
  ): void;
  /**
   * out[i] = sum over part in [0, parts) of x[part * stride + i], in ascending order of part, i in [0, count). out may
   * be x (in place on part 0).
   */
  sumParts(scratch: number, x: number, out: number, parts: number, stride: number, count: number): void;

  /** y = activation(x), elementwise; in place allowed. activation: an ACTIVATION code. */
  activationForward(scratch: number, x: number, y: number, count: number, activation: number, slope: number): void;
  /** dx = dy * activation'(x), computed from y = activation(x) (slope > 0); dx may be dy. */
  activationBackward(
    scratch: number,
    y: number,
    dy: number,
    dx: number,
    count: number,
    activation: number,
    slope: number,
  ): void;

  /**
   * Planes [plane, plane + planes) of N C planes. argmax: input position within its plane (lowest index among equals; a
   * window wholly in the padding: -1 and y = 0). argmax -1: not wanted.
   */
  maxPoolForward(
    scratch: number,
    geometry: number,
    x: number,
    y: number,
    argmax: number,
    plane: number,
    planes: number,
  ): void;
  /** dx overwritten. */
  maxPoolBackward(
    scratch: number,
    geometry: number,
    dy: number,
    argmax: number,
    dx: number,
    plane: number,
    planes: number,
  ): void;
  /** countPadding 1: divide by kh kw, 0: by the taps that lie in the input (a window wholly in the padding gives 0). */
  averagePoolForward(
    scratch: number,
    geometry: number,
    x: number,
    y: number,
    countPadding: number,
    plane: number,
    planes: number,
  ): void;
  averagePoolBackward(
    scratch: number,
    geometry: number,
    dy: number,
    dx: number,
    countPadding: number,
    plane: number,
    planes: number,
  ): void;

  /**
   * y[n, c, p] = x scale[c] + shift[c], then activation; x [samples, C, P]; in place allowed. Batch normalization at
   * inference, with scale and shift folded.
   */
  affineForward(
    scratch: number,
    x: number,
    scale: number,
    shift: number,
    y: number,
    samples: number,
    allChannels: number,
    positions: number,
    activation: number,
    slope: number,
  ): void;
  /** dx[n, c, p] = dy scale[c]; dx may be dy. */
  affineBackward(
    scratch: number,
    dy: number,
    scale: number,
    dx: number,
    samples: number,
    allChannels: number,
    positions: number,
  ): void;
  /**
   * dscale[c] = sum dy x, dshift[c] = sum dy over samples and positions, in double; channels [channel, channel +
   * channels).
   */
  affineBackwardParameters(
    scratch: number,
    x: number,
    dy: number,
    dscale: number,
    dshift: number,
    samples: number,
    allChannels: number,
    positions: number,
    channel: number,
    channels: number,
  ): void;
  /**
   * Batch normalization in training (Ioffe, Szegedy 2015): per channel mean m and variance v (divided by count) over
   * samples and positions, y = scale (x - m) / sqrt(v + epsilon) + shift. Keeps m in savedMean and 1/sqrt(v + epsilon)
   * in savedInverse; moves runningMean and runningVariance (the unbiased variance) by momentum: running = (1 -
   * momentum) running + momentum now. hyper: offset of [epsilon, momentum].
   */
  batchNormForward(
    scratch: number,
    x: number,
    scale: number,
    shift: number,
    runningMean: number,
    runningVariance: number,
    savedMean: number,
    savedInverse: number,
    y: number,
    hyper: number,
    samples: number,
    allChannels: number,
    positions: number,
    channel: number,
    channels: number,
  ): void;
  /** dx, dscale, dshift overwritten. dx may be dy. */
  batchNormBackward(
    scratch: number,
    x: number,
    dy: number,
    scale: number,
    savedMean: number,
    savedInverse: number,
    dx: number,
    dscale: number,
    dshift: number,
    samples: number,
    allChannels: number,
    positions: number,
    channel: number,
    channels: number,
  ): void;
  /**
   * scaleOut[c] = scale / sqrt(variance + epsilon), shiftOut[c] = shift - mean scaleOut: folds batch normalization for
   * affineForward. hyper as above.
   */
  batchNormFold(
    scratch: number,
    scale: number,
    shift: number,
    mean: number,
    variance: number,
    scaleOut: number,
    shiftOut: number,
    hyper: number,
    channels: number,
  ): void;

  /** Along rows of `columns`: y = exp(x - max) / sum. In place allowed. */
  softmaxForward(scratch: number, x: number, y: number, rows: number, columns: number): void;
  /** dx = y (dy - sum y dy); dx may be dy. */
  softmaxBackward(scratch: number, y: number, dy: number, dx: number, rows: number, columns: number): void;

  /** y = a + b, elementwise, then activation. y may be a or b. */
  add(scratch: number, a: number, b: number, y: number, count: number, activation: number, slope: number): void;
  /** y = a * b, elementwise. y may be a or b. */
  multiply(scratch: number, a: number, b: number, y: number, count: number): void;
  /** Copies rows: to[r * toStride + j] = from[r * fromStride + j], r in [0, rows), j in [0, columns). */
  copyRows(
    scratch: number,
    from: number,
    fromStride: number,
    to: number,
    toStride: number,
    rows: number,
    columns: number,
  ): void;

  /** out[0] = sum of x^2, in double. */
  sumSquares(scratch: number, x: number, count: number, out: number): void;
  /**
   * hyper scale for clipping: out[0] = min(1, limit / sqrt(sum of parts[0, count))) with limit = value at `limit` (0:
   * no clipping, 1); norm written to out[1].
   */
  clipScale(scratch: number, parts: number, count: number, limit: number, out: number): void;
  /**
   * g' = clip[0] g + weightDecay w; v = momentum v + g'; w -= rate (nesterov ? g' + momentum v : v). hyper: [rate,
   * momentum, weightDecay, nesterov]. Sutskever et al. 2013 in PyTorch's form. clip: offset of the scale from
   * clipScale.
   */
  sgdUpdate(scratch: number, w: number, g: number, v: number, count: number, hyper: number, clip: number): void;
  /**
   * Adam (Kingma, Ba 2015) and AdamW (decoupled). hyper: [rate, beta1, beta2, epsilon, weightDecay, decoupled, 1 -
   * beta1^t, 1 - beta2^t].
   */
  adamUpdate(
    scratch: number,
    w: number,
    g: number,
    m: number,
    v: number,
    count: number,
    hyper: number,
    clip: number,
  ): void;

  /**
   * For each of `count` points of d coordinates (point i at points + i stride) the index of the nearest of K codewords
   * [K, d], and in distances (-1: not wanted) the squared distance. The distance is a chain of float32 operations in
   * ascending order of the coordinates, each rounded: acc = acc + (x - c)^2; a tie goes to the lowest index. weights
   * -1, or offset of d weights: acc = acc + w_j (x - c)^2. The same integers from every set.
   */
  nearestCodeword(
    scratch: number,
    points: number,
    stride: number,
    count: number,
    d: number,
    codewords: number,
    k: number,
    weights: number,
    codes: number,
    distances: number,
  ): void;
  /**
   * The same integers and distances for codewords that have moved since the call before, from what that call left:
   * codes (one of the K for each point, the nearest of before where that is known) and bounds [count, ⌈G / 4⌉ 4], G =
   * ⌈⌈K / 8⌉ / tiles⌉ groups of codewords. fresh 1: the first call of a run, which asks neither; else 0. groups: order
   * [⌈K / 8⌉ 8] ints, the codewords' numbers in tiles of 8, ascending in each; places [K] ints, the group of each
   * codeword; moved [⌈G / 4⌉ 4] floats: for each group an upper bound of the way of its codewords, in the distance's
   * square root, summed over all calls; -Infinity behind the last. Distances must be finite, differences that matter
   * above 2^-60. A set may leave bounds alone and measure all distances.
   */
  nearestCodewordAgain(
    scratch: number,
    points: number,
    stride: number,
    count: number,
    d: number,
    codewords: number,
    k: number,
    weights: number,
    codes: number,
    distances: number,
    groups: number,
    tiles: number,
    bounds: number,
    fresh: number,
  ): void;
  /**
   * least_i = min(least_i, distance of point i to the seed [d]) for `count` points, distances as in nearestCodeword,
   * and total [1], a double: the sum of weight_i least_i over i = 0, 4, 8 ..., i = 1, 5 ... and so on, of which the
   * first and third, the second and fourth, and then those two are added, and after them what is left of four. metric
   * -1: no weights of coordinates; else point i's at metric + i metricStride. weights -1: all 1.
   */
  nearerSeed(
    scratch: number,
    points: number,
    stride: number,
    count: number,
    d: number,
    seed: number,
    metric: number,
    metricStride: number,
    weights: number,
    least: number,
    total: number,
  ): void;
  /**
   * In double: errors [count] = weight_i sum over j of w_ij (x_ij - c_j)^2, c the codeword that the point's code names,
   * and total = their sum, both in ascending order. metric -1: all w_ij 1; else point i's weights of coordinates at
   * metric + i metricStride. weights -1: all 1.
   */
  codewordErrors(
    scratch: number,
    points: number,
    stride: number,
    count: number,
    d: number,
    codewords: number,
    codes: number,
    metric: number,
    metricStride: number,
    weights: number,
    errors: number,
    total: number,
  ): void;
  /**
   * sums [K, d] and counts [K], doubles: zeroed, then in ascending order of i, sums[code_i] += weight_i x_i,
   * counts[code_i] += weight_i. weights -1: all 1.
   */
  accumulateCentroids(
    scratch: number,
    points: number,
    stride: number,
    count: number,
    d: number,
    codes: number,
    k: number,
    weights: number,
    sums: number,
    counts: number,
  ): void;
  /**
   * Writes a block of a decoded matrix: element (r, first + m d + j) of `to` [rows, columns] = sign * codewords[codes[r
   * M + m], j] for r in [0, rows), m in [0, M). codes [rows, M] ints; signs -1: none, else packed bits (bit (i & 31) of
   * word signs + (i >> 5); 1 = negative), i = r M d + m d + j counting within the block.
   */
  codebookDecode(
    scratch: number,
    codewords: number,
    codes: number,
    signs: number,
    to: number,
    columns: number,
    first: number,
    row: number,
    rows: number,
    M: number,
    d: number,
  ): void;
  /**
   * The transpose: dcodewords [K, d] = sum over members of sign * gradient[r, first + m d + j], rows [row, row + rows),
   * accumulated in double in ascending order; overwritten.
   */
  codebookPullback(
    scratch: number,
    gradient: number,
    columns: number,
    first: number,
    row: number,
    rows: number,
    M: number,
    d: number,
    codes: number,
    signs: number,
    k: number,
    dcodewords: number,
  ): void;
}

export type KernelName = keyof Kernels;

/** Length of the tuple T without its first element. */
type Rest<T extends readonly unknown[]> = T extends readonly [unknown, ...infer R] ? R['length'] : never;
/** Each kernel's number of arguments after `scratch`. */
export type ArgumentCounts = { readonly [K in KernelName]: Rest<Parameters<Kernels[K]>> };

/**
 * One kernel, called once per piece with (scratch, ...piece). Pieces of a step write disjoint words and read none that
 * another writes, so they may run at once and in any order.
 */
export interface Step {
  readonly kernel: KernelName;
  readonly pieces: readonly (readonly number[])[];
}
/** Steps run one after another. How work is cut into pieces depends on shapes only, never on the number of threads. */
export type Program = readonly Step[];

export interface WorkspaceOptions {
  /**
   * Words that the caller lays out itself, from offset 0. The workspace adds room for programs and scratch behind them.
   */
  words: number;
  /** Largest scratch that any call needs; every thread gets as much. */
  scratchWords: number;
  /** Programs that {@link Workspace.run} takes by number. */
  programs?: readonly Program[];
  /** Default 1. How many there are is up to the platform: see {@link Workspace.threads}. */
  threads?: number;
  /** Default 'float32'. 'float64' only from the portable set. */
  precision?: Precision;
}

/** A heap, kernels bound to it, and the threads that run programs on it. */
export interface Workspace {
  readonly heap: Heap;
  /** For direct calls. From `loadInferenceKernels` those of inference alone: a call of another is a TypeError. */
  readonly kernels: Kernels;
  /**
   * The calling thread and those that help it: as many as asked for, or fewer where the platform has no more to give.
   * Never an error, and the same bits.
   */
  readonly threads: number;
  /** Why that many: 'asked for', or what stands in the way of more, and the cure. */
  readonly threadsReason: string;
  /** Offset of the calling thread's scratch, for direct calls. */
  readonly scratch: number;
  /**
   * Runs program `program` (its index in the options), synchronously. Same bits for any number of threads. @throws
   * {EspalierError} DISPOSED, WORKER
   */
  run(program: number): void;
  /** Ends the threads and lets go of the heap. Twice is once. Later calls throw DISPOSED. */
  dispose(): void;
}

/** A compiled set of kernels without memory of its own. */
export interface KernelSet {
  readonly name: 'portable' | 'simd';
  /** Why this set was chosen: of use where 'portable' stands in for 'simd'. */
  readonly reason: string;
  /** Words of packed weights. */
  packedWords(geometry: Geometry, direction: 'forward' | 'backward'): number;
  /**
   * Positions in whose multiples a sample is best cut for convolutionForward: other cuts give the same bits, but cost
   * more.
   */
  forwardRun(geometry: Geometry): number;
  /**
   * Words of scratch that a kernel needs; `geometry` for convolutions, `sizes` [m, n, k] for matmul, [k, d] for the
   * codebook kernels; 0 for kernels that need none.
   */
  scratchWords(kernel: KernelName, geometry?: Geometry, sizes?: readonly number[]): number;
  /**
   * @throws {EspalierError} MEMORY if the heap cannot be had, UNSUPPORTED if a program names a kernel that the set
   * lacks
   */
  open(options: WorkspaceOptions): Promise<Workspace>;
  /** The same with one thread, at once. */
  openSync(options: WorkspaceOptions): Workspace;
}

/** Index into `heap.double` of the double at an (even) word offset. */
export function doubleIndex(heap: Heap, offset: number): number {
  return heap.precision === 'float64' ? offset : offset >> 1;
}
