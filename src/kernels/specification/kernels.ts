/**
 * Every kernel: what it computes and the names of its arguments, once. Types, argument counts, the portable table, the
 * entries of the assembly and the checks of programs follow from here.
 *
 * All arguments are integers: sizes, flags, codes, and offsets in words; a float argument (a slope, a learning rate) is
 * the offset of the word that holds it. So a call is a row of integers, a program is a table of such rows, and threads
 * can share it. Before those named here each kernel has the argument `scratch`: the offset of this thread's working
 * space. Its size comes from the set's `scratchWords`; its contents mean nothing before and after the call. Results
 * never depend on it.
 *
 * Unless a kernel says otherwise its outputs must not overlap its inputs; "in place" says where they may be the same.
 * Glossary: n samples, C channels, P positions of one channel (height x width), O output channels, I input channels,
 * K taps or codewords, d length of a sub-vector.
 */

import { ACTIVATION, FUSED_ACTIVATION } from './activations.ts';
import { BINARY, SIDE } from './binaries.ts';
import type { Codes } from './codes.ts';
import { REDUCTION } from './reductions.ts';

/** What is written down of a kernel. */
export interface KernelSpecification {
  /** Its arguments after `scratch`, in order. */
  readonly arguments: readonly string[];
  /** Of the arguments that are codes, those that there are: another is an error in every set. */
  readonly codes?: Readonly<Record<string, Codes>>;
}

/** The kernels that a forward pass in inference calls: all that a page which only runs a model carries. */
export const INFERENCE_KERNELS = {
  /**
   * c[i, j] (+)= sum_k a[i, k] b[k, j], then bias, then activation. Element (i, k) of a lies at a + i aRow + k aColumn,
   * and so on: all transposes. c rows are contiguous (column stride 1). flags: MATMUL bits; activation: none, relu or
   * leakyRelu; parameters: offset of the activation's parameters. Error: |c - exact| <= 2 K 2^-24 sum |a||b|. K = 0 gives zeros (plus
   * bias).
   */
  matmul: {
    arguments: [
      'm',
      'n',
      'k',
      'a',
      'aRow',
      'aColumn',
      'b',
      'bRow',
      'bColumn',
      'c',
      'cRow',
      'flags',
      'bias',
      'activation',
      'parameters',
    ],
    codes: { activation: FUSED_ACTIVATION },
  },
  /**
   * Lays weights [O, I/groups, kh, kw] out as convolutionForward wants them (`packedWords(geometry, 'forward')` words,
   * a format of the set's own) or, with transposed = 1, as convolutionBackwardInput wants them, with 2 and
   * weights [I, O/groups, kh, kw] as transposedForward does. Once per change of the
   * weights.
   */
  convolutionPack: { arguments: ['geometry', 'weights', 'packed', 'transposed'] },
  /**
   * y[n, O, oy, ox] = activation(bias[O] + sum over I/groups, ky, kx of w x); x [N, I, H, W]; bias -1: none; activation
   * none, relu or leakyRelu. Computes samples [sample, sample + samples) and of each the output positions [position,
   * position + positions) of all channels; x and y are the whole tensors. Pieces are disjoint in y. Error: as matmul's
   * with K = I/groups kh kw; but simd may take Winograd's F(4 x 4, 3 x 3) for 3 x 3 of stride 1, where |y - exact| <=
   * (I/groups + 32) 2^-24 (sum over i of |A|^T (|G||w||G|^T * |B|^T|x||B|) |A| + |bias|) over the 6 x 6 patch of a tile
   * of 4 x 4 outputs (docs/numerics.md): a huge or non-finite x then reaches its whole tile.
   */
  convolutionForward: {
    arguments: [
      'geometry',
      'x',
      'packed',
      'bias',
      'y',
      'sample',
      'samples',
      'position',
      'positions',
      'activation',
      'parameters',
    ],
    codes: { activation: FUSED_ACTIVATION },
  },
  /**
   * y[n, I, iy, ix] = activation(bias[I] + sum of w x), the transpose of a convolution from y to x that has this geometry:
   * x [N, O, H', W'], packed as convolutionPack lays them out with transposed = 2. bias -1: none. Samples as in
   * convolutionForward. Error: as there, over the output channels.
   */
  transposedForward: {
    arguments: ['geometry', 'x', 'packed', 'bias', 'y', 'sample', 'samples', 'activation', 'parameters'],
    codes: { activation: FUSED_ACTIVATION },
  },
  /** y = activation(x), elementwise; in place allowed. activation: an ACTIVATION code. */
  activationForward: { arguments: ['x', 'y', 'count', 'activation', 'parameters'], codes: { activation: ACTIVATION } },
  /**
   * Planes [plane, plane + planes) of N C planes. argmax: input position within its plane (lowest index among equals; a
   * window wholly in the padding: -1 and y = 0). argmax -1: not wanted.
   */
  maxPoolForward: { arguments: ['geometry', 'x', 'y', 'argmax', 'plane', 'planes'] },
  /** countPadding 1: divide by kh kw, 0: by the taps that lie in the input (a window wholly in the padding gives 0). */
  averagePoolForward: { arguments: ['geometry', 'x', 'y', 'countPadding', 'plane', 'planes'] },
  /**
   * y[n, c, p] = x scale[c] + shift[c], then activation; x [samples, C, P]; in place allowed. Batch normalization at
   * inference, with scale and shift folded.
   */
  affineForward: {
    arguments: ['x', 'scale', 'shift', 'y', 'samples', 'allChannels', 'positions', 'activation', 'parameters'],
    codes: { activation: FUSED_ACTIVATION },
  },
  /**
   * scaleOut[c] = scale / sqrt(variance + epsilon), shiftOut[c] = shift - mean scaleOut: folds batch normalization for
   * affineForward. hyper as above.
   */
  batchNormFold: { arguments: ['scale', 'shift', 'mean', 'variance', 'scaleOut', 'shiftOut', 'hyper', 'channels'] },
  /**
   * y = scale (x - m) / sqrt(v + epsilon) + shift along rows [row, row + rows) of channels positions elements, m and v the
   * row's mean and variance (divided by the count), in double. Row r has the scales and shifts of (r mod period) channels
   * on, a positions' run of elements each; -1: none. inverse -1: not wanted, else 1 / sqrt(v + epsilon) of every row.
   * hyper: offset of [epsilon]. In place allowed.
   */
  standardizeForward: {
    arguments: ['x', 'scale', 'shift', 'y', 'inverse', 'hyper', 'row', 'rows', 'period', 'channels', 'positions'],
  },
  /**
   * c = a b for matrices that lie `sides` apart: element (i, l) of a at a + i aRow + l aColumn, (l, j) of b at b + l bRow
   * + j bColumn, (i, j) of c at c + i cRow + j. sides: offset of the sides, then of a's, b's and c's strides along each;
   * first the `kept` ones, at least one, of which the outermost is taken for `outer` steps; then those over which
   * products are summed, at least one. Error: as matmul's with K = k times the steps summed over.
   */
  products: {
    arguments: [
      ...(['m', 'n', 'k', 'a', 'aRow', 'aColumn', 'b', 'bRow', 'bColumn', 'c', 'cRow'] as const),
      ...(['sides', 'rank', 'kept', 'outer'] as const),
    ],
  },
  /** Along the middle side of x and y [outer, length, inner], for `count` places of the last: y = exp(x - max) / sum. In place allowed. */
  softmaxForward: { arguments: ['x', 'y', 'outer', 'length', 'inner', 'count'] },
  /** y = a + b, elementwise, then activation. y may be a or b. */
  add: { arguments: ['a', 'b', 'y', 'count', 'activation', 'parameters'], codes: { activation: FUSED_ACTIVATION } },
  /** Copies rows: to[r * toStride + j] = from[r * fromStride + j], r in [0, rows), j in [0, columns). */
  copyRows: { arguments: ['from', 'fromStride', 'to', 'toStride', 'rows', 'columns'] },
  /**
   * Writes a block of a decoded matrix: element (r, first + m d + j) of `to` [rows, columns] = sign * codewords[codes[r
   * M + m], j] for r in [0, rows), m in [0, M). codes [rows, M] ints; signs -1: none, else packed bits (bit (i & 31) of
   * word signs + (i >> 5); 1 = negative), i = r M d + m d + j counting within the block.
   */
  codebookDecode: { arguments: ['codewords', 'codes', 'signs', 'to', 'columns', 'first', 'row', 'rows', 'M', 'd'] },
  /**
   * y = operation(a, b) with broadcasting, for the first `outer` steps along the outermost of `rank` sides, at least one.
   * sides: offset of the sides, then of a's strides along each, then of b's, in words, 0 where an operand is the same
   * along it. y is row-major. y may be an operand that is not broadcast.
   */
  binaryForward: { arguments: ['a', 'b', 'y', 'sides', 'rank', 'outer', 'operation'], codes: { operation: BINARY } },
  /**
   * y = operation over x, in double. sides: offset of the sides, then of x's strides along each, in words: first the
   * `kept` sides, at least one, along which y has elements of its own, row-major, of which the outermost is taken for
   * `outer` steps; then those that are reduced, at least one. Portable: in row-major order; simd may combine every fourth
   * element first.
   */
  reduceForward: {
    arguments: ['x', 'y', 'sides', 'rank', 'kept', 'outer', 'operation'],
    codes: { operation: REDUCTION },
  },
  /**
   * y[o, i], an int, = the lowest j among those of the largest x[o, j, i]; x [outer, length, inner], y [outer, inner]. A
   * NaN counts as larger than all numbers, the first of them as the largest. The same integers from every set.
   */
  argMax: { arguments: ['x', 'y', 'outer', 'length', 'inner'] },
  /**
   * y[i, j, ..., r] = x[t0[i] + t1[j] + ... + r step], r in [0, run), or the float at `fill` where one of the offsets is -1, for
   * `outer` entries of the outermost table from the first on. tables: offset of the `rank` sides, at least one, then of
   * the table of each, in words. y is row-major. The same bits from every set.
   */
  rearrange: { arguments: ['x', 'y', 'tables', 'rank', 'first', 'outer', 'run', 'step', 'fill'] },
  /**
   * y[j yRow + i] = x[i xRow + j], i in [0, m), j in [0, n), for `outer` steps along the outermost of `rank` sides, at least
   * one, and all along the others. sides: offset of the sides, then of the strides of x and y along each, in words. The
   * same bits from every set.
   */
  turn: { arguments: ['x', 'y', 'm', 'n', 'xRow', 'yRow', 'sides', 'rank', 'outer'] },
  /**
   * y [outer, count, inner]: y[o, j, i] = sum of weights[t, j] x[o, places[t, j], i] over t in [0, taps), in double, ascending;
   * x [outer, length, inner]. The taps of j end at the first place -1; where that is the first one y is the float at
   * `fill`. The same bits from every set.
   */
  resample: { arguments: ['x', 'y', 'outer', 'length', 'inner', 'count', 'taps', 'places', 'weights', 'fill'] },
} as const satisfies Record<string, KernelSpecification>;

/** The others: gradients, updates, and the search for codewords. */
export const TRAINING_KERNELS = {
  /**
   * dx[n, I, iy, ix] = sum of w dy, overwritten, for samples [sample, sample + samples). Error as in
   * convolutionForward, over the output channels.
   */
  convolutionBackwardInput: { arguments: ['geometry', 'dy', 'packed', 'dx', 'sample', 'samples'] },
  /**
   * dw [O, I/groups, kh, kw] = sum over samples [sample, sample + samples) and positions of dy x: overwritten
   * (accumulate = 0) or added to. One call yields all of dw; sums over groups of samples are folded by `sumParts`.
   * Error: as matmul's with K the positions of all samples; where simd goes by Winograd, over T tiles |dw - exact| <=
   * (T + 40) 2^-24 (sum of |G|^T (|A||dy||A|^T * |B|^T|x||B|) |G| + |dw before|).
   */
  convolutionBackwardWeights: { arguments: ['geometry', 'x', 'dy', 'dw', 'sample', 'samples', 'accumulate'] },
  /**
   * out[c] = sum over n in [0, N) and positions of x[n, c, p], for channels [channel, channel + channels); x [N, C, P].
   * Sums in double.
   */
  channelSums: { arguments: ['x', 'out', 'samples', 'allChannels', 'positions', 'channel', 'channels'] },
  /**
   * out[i] = sum over part in [0, parts) of x[part * stride + i], in ascending order of part, i in [0, count). out may
   * be x (in place on part 0).
   */
  sumParts: { arguments: ['x', 'out', 'parts', 'stride', 'count'] },
  /** dx = dy * activation'(x), computed from y = activation(x) (slope > 0); dx may be dy. */
  activationBackward: {
    arguments: ['from', 'dy', 'dx', 'count', 'activation', 'parameters'],
    codes: { activation: ACTIVATION },
  },
  /** dx overwritten. */
  maxPoolBackward: { arguments: ['geometry', 'dy', 'argmax', 'dx', 'plane', 'planes'] },
  averagePoolBackward: { arguments: ['geometry', 'dy', 'dx', 'countPadding', 'plane', 'planes'] },
  /** dx[n, c, p] = dy scale[c]; dx may be dy. */
  affineBackward: { arguments: ['dy', 'scale', 'dx', 'samples', 'allChannels', 'positions'] },
  /**
   * dscale[c] = sum dy x, dshift[c] = sum dy over samples and positions, in double; channels [channel, channel +
   * channels).
   */
  affineBackwardParameters: {
    arguments: ['x', 'dy', 'dscale', 'dshift', 'samples', 'allChannels', 'positions', 'channel', 'channels'],
  },
  /**
   * Batch normalization in training (Ioffe, Szegedy 2015): per channel mean m and variance v (divided by count) over
   * samples and positions, y = scale (x - m) / sqrt(v + epsilon) + shift. Keeps m in savedMean and 1/sqrt(v + epsilon)
   * in savedInverse; moves runningMean and runningVariance (the unbiased variance) by momentum: running = (1 -
   * momentum) running + momentum now. hyper: offset of [epsilon, momentum].
   */
  batchNormForward: {
    arguments: [
      'x',
      'scale',
      'shift',
      'runningMean',
      'runningVariance',
      'savedMean',
      'savedInverse',
      'y',
      'hyper',
      'samples',
      'allChannels',
      'positions',
      'channel',
      'channels',
    ],
  },
  /** dx, dscale, dshift overwritten. dx may be dy. */
  batchNormBackward: {
    arguments: [
      'x',
      'dy',
      'scale',
      'savedMean',
      'savedInverse',
      'dx',
      'dscale',
      'dshift',
      'samples',
      'allChannels',
      'positions',
      'channel',
      'channels',
    ],
  },
  /** dx = inverse (dy - mean dy - x mean (dy x)) along rows of `columns`, x standardized; in double. dx may be dy. */
  standardizeBackward: { arguments: ['x', 'dy', 'inverse', 'dx', 'rows', 'columns'] },
  /** dx = y (dy - sum y dy); dx may be dy. */
  softmaxBackward: { arguments: ['y', 'dy', 'dx', 'rows', 'columns'] },
  /** y = a * b, elementwise. y may be a or b. */
  multiply: { arguments: ['a', 'b', 'y', 'count'] },
  /** out[0] = sum of x^2, in double. */
  sumSquares: { arguments: ['x', 'count', 'out'] },
  /**
   * hyper scale for clipping: out[0] = min(1, limit / sqrt(sum of parts[0, count))) with limit = value at `limit` (0:
   * no clipping, 1); norm written to out[1].
   */
  clipScale: { arguments: ['parts', 'count', 'limit', 'out'] },
  /**
   * g' = clip[0] g + weightDecay w; v = momentum v + g'; w -= rate (nesterov ? g' + momentum v : v). hyper: [rate,
   * momentum, weightDecay, nesterov]. Sutskever et al. 2013 in PyTorch's form. clip: offset of the scale from
   * clipScale.
   */
  sgdUpdate: { arguments: ['w', 'g', 'v', 'count', 'hyper', 'clip'] },
  /**
   * Adam (Kingma, Ba 2015) and AdamW (decoupled). hyper: [rate, beta1, beta2, epsilon, weightDecay, decoupled, 1 -
   * beta1^t, 1 - beta2^t].
   */
  adamUpdate: { arguments: ['w', 'g', 'm', 'v', 'count', 'hyper', 'clip'] },
  /**
   * For each of `count` points of d coordinates (point i at points + i stride) the index of the nearest of K codewords
   * [K, d], and in distances (-1: not wanted) the squared distance. The distance is a chain of float32 operations in
   * ascending order of the coordinates, each rounded: acc = acc + (x - c)^2; a tie goes to the lowest index. weights
   * -1, or offset of d weights: acc = acc + w_j (x - c)^2. The same integers from every set.
   */
  nearestCodeword: { arguments: ['points', 'stride', 'count', 'd', 'codewords', 'k', 'weights', 'codes', 'distances'] },
  /**
   * The same integers and distances for codewords that have moved since the call before, from what that call left:
   * codes (one of the K for each point, the nearest of before where that is known) and bounds [count, ⌈G / 4⌉ 4], G =
   * ⌈⌈K / 8⌉ / tiles⌉ groups of codewords. fresh 1: the first call of a run, which asks neither; else 0. groups: order
   * [⌈K / 8⌉ 8] ints, the codewords' numbers in tiles of 8, ascending in each; places [K] ints, the group of each
   * codeword; moved [⌈G / 4⌉ 4] floats: for each group an upper bound of the way of its codewords, in the distance's
   * square root, summed over all calls; -Infinity behind the last. Distances must be finite, differences that matter
   * above 2^-60. A set may leave bounds alone and measure all distances.
   */
  nearestCodewordAgain: {
    arguments: [
      'points',
      'stride',
      'count',
      'd',
      'codewords',
      'k',
      'weights',
      'codes',
      'distances',
      'groups',
      'tiles',
      'bounds',
      'fresh',
    ],
  },
  /**
   * least_i = min(least_i, distance of point i to the seed [d]) for `count` points, distances as in nearestCodeword,
   * and total [1], a double: the sum of weight_i least_i over i = 0, 4, 8 ..., i = 1, 5 ... and so on, of which the
   * first and third, the second and fourth, and then those two are added, and after them what is left of four. metric
   * -1: no weights of coordinates; else point i's at metric + i metricStride. weights -1: all 1.
   */
  nearerSeed: {
    arguments: ['points', 'stride', 'count', 'd', 'seed', 'metric', 'metricStride', 'weights', 'least', 'total'],
  },
  /**
   * In double: errors [count] = weight_i sum over j of w_ij (x_ij - c_j)^2, c the codeword that the point's code names,
   * and total = their sum, both in ascending order. metric -1: all w_ij 1; else point i's weights of coordinates at
   * metric + i metricStride. weights -1: all 1.
   */
  codewordErrors: {
    arguments: [
      'points',
      'stride',
      'count',
      'd',
      'codewords',
      'codes',
      'metric',
      'metricStride',
      'weights',
      'errors',
      'total',
    ],
  },
  /**
   * sums [K, d] and counts [K], doubles: zeroed, then in ascending order of i, sums[code_i] += weight_i x_i,
   * counts[code_i] += weight_i. weights -1: all 1.
   */
  accumulateCentroids: { arguments: ['points', 'stride', 'count', 'd', 'codes', 'k', 'weights', 'sums', 'counts'] },
  /**
   * The transpose: dcodewords [K, d] = sum over members of sign * gradient[r, first + m d + j], rows [row, row + rows),
   * accumulated in double in ascending order; overwritten.
   */
  codebookPullback: {
    arguments: ['gradient', 'columns', 'first', 'row', 'rows', 'M', 'd', 'codes', 'signs', 'k', 'dcodewords'],
  },
  /**
   * dx = dy times the derivative of operation(a, b) to a (side 0) or b (side 1), summed in double, row-major, over the
   * sides along which that operand was broadcast; overwritten. sides: offset of the sides, then of a's strides along
   * each, of b's and of dy's: first those of the `kept` sides, at least one, along which dx has elements of its own,
   * row-major, of which the outermost is taken for `outer` steps; then those that are summed over, at least one.
   */
  binaryBackward: {
    arguments: ['a', 'b', 'dy', 'dx', 'sides', 'rank', 'kept', 'outer', 'operation', 'side'],
    codes: { operation: BINARY, side: SIDE },
  },
  /**
   * dx = dy times the derivative of operation over x, to each of its elements, or to the first that is y and 0 to the
   * others; overwritten. Sides as in reduceForward; dx lies as x does, y and dy are row-major.
   */
  reduceBackward: {
    arguments: ['x', 'y', 'dy', 'dx', 'sides', 'rank', 'kept', 'outer', 'operation'],
    codes: { operation: REDUCTION },
  },
} as const satisfies Record<string, KernelSpecification>;

/** All of them. A function's value, so that a bundler can drop it and with it the names of the second table. */
export const KERNELS: typeof INFERENCE_KERNELS & typeof TRAINING_KERNELS = /* @__PURE__ */ (() => ({
  ...INFERENCE_KERNELS,
  ...TRAINING_KERNELS,
}))();

export type KernelName = keyof typeof KERNELS;
export type InferenceKernelName = keyof typeof INFERENCE_KERNELS;

type ArgumentsOf<K extends KernelName> = (typeof KERNELS)[K]['arguments'];
type Numbers<A extends readonly string[]> = { [I in keyof A]: number };

/** The kernels as functions: `(scratch, ...arguments)`, in the order of the table. */
export type Kernels = { readonly [K in KernelName]: (scratch: number, ...row: Numbers<ArgumentsOf<K>>) => void };

/** One call of a kernel: its arguments by name. */
export type Call<K extends KernelName = KernelName> = { readonly [N in ArgumentsOf<K>[number]]: number };

/** Kernels by name with what is written down of them: all, or those of a selection. */
export type KernelTable = Readonly<Partial<Record<KernelName, KernelSpecification>>>;
