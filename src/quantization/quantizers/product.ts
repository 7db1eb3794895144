/**
 * Product quantization of a matrix: fitting codebooks, encoding with given ones, and the error. Sources: Jégou, Douze,
 * Schmid, TPAMI 2011 (product quantization); Zeng, Zhao, Bao, BICS 2016 (of absolute values, signs apart); Stock et
 * al., ICLR 2020 (one codebook per layer, fewer codewords in small layers). Glossary: M sub-spaces of a block, d
 * columns in each, K codewords.
 */
import { matrixSides } from '../../encodings/checks.ts';
import { canonicalSigns, productSize, productWords } from '../../encodings/kinds/product.ts';
import type { ProductBlock, ProductEncoding } from '../../encodings/types.ts';
import { exponentOf } from '../../base/elementary.ts';
import { checkInteger, checkOneOf } from '../../base/errors.ts';
import { boolean, choice, integer, ownOptions } from '../../base/rules.ts';
import { checkKernels, givenKernels } from '../../kernels/given.ts';
import { loadKernels } from '../../kernels/load.ts';
import type { KernelSet } from '../../kernels/types.ts';
import type { Tensor, TensorLike } from '../../base/tensor.ts';
import { planAssignment, type Metric } from '../assignment.ts';
import {
  KMEANS_DEFAULTS,
  prepareFit,
  runInTurns,
  type KMeansAsyncOptions,
  type KMeansOptions,
  runAtOnce,
  type FitResult,
} from '../kmeans.ts';
import { columnImportance, prepareFeedback } from '../feedback.ts';
import { feedProduct } from '../product-feedback.ts';
import { checkImportance, checkMatrix, fitReport } from '../matrix.ts';
import { blockPoints, codesByRow, packSigns, type BlockColumns } from '../subvectors.ts';
import { largestMagnitude } from '../points.ts';
import type { FitReport, Quantizer } from '../quantizer.ts';
import { createWorkspaces } from '../workspaces.ts';

export interface MatrixOptions {
  /**
   * d: columns per sub-vector; columns that it leaves over form a block of their own. Either this or `subspaceCount`.
   */
  subvectorLength?: number;
  /** Cuts the columns into at most this many sub-spaces of ⌈columns / count⌉ columns; the last may be shorter. */
  subspaceCount?: number;
  /** K, 2 to 65536. Default 256. Fewer where there are fewer distinct sub-vectors. */
  codewordCount?: number;
  /** One codebook for all sub-spaces, or one for each. Default 'layer'. */
  codebooks?: 'layer' | 'subspace';
  /**
   * 'apart': codewords of absolute values and a bit per weight (the paper). 'none': codewords of signed values. Default
   * 'apart'.
   */
  signs?: 'apart' | 'none';
  /** Small matrices: K at most the power of two that leaves 4 sub-vectors per codeword, but 2. Default true. */
  clampCodewords?: boolean;
  /** Of k-means. Default 0. */
  seed?: number;
  /** Of k-means. Default 25. */
  iterations?: number;
  /**
   * Of k-means. Default 'plusPlus', which of sub-vectors of length 1 is exact as long as numbers x codewords are at most
   * 2^24, as for 262,144 weights and 64 codewords.
   */
  init?: 'plusPlus' | 'random';
  /**
   * Importance of the columns (columns) or of every weight (rows, columns), from 0, in the squared error. Default: all
   * alike.
   */
  weights?: TensorLike;
  kernels: KernelSet;
}

export interface MatrixAsyncOptions
  extends Omit<MatrixOptions, 'kernels'>, Pick<KMeansAsyncOptions, 'kernels' | 'threads' | 'signal'> {}

const MATRIX_NAMES = [
  'subvectorLength',
  'subspaceCount',
  'codewordCount',
  'codebooks',
  'signs',
  'clampCodewords',
  'seed',
  'iterations',
  'init',
  'weights',
  'kernels',
] as const satisfies readonly (keyof MatrixOptions)[];

/** Defaults of {@link MatrixOptions}; the length of a sub-vector has none. */
export const MATRIX_DEFAULTS = {
  codewordCount: 256,
  codebooks: 'layer',
  signs: 'apart',
  clampCodewords: true,
} as const;

/** What fitting did, as plain data. */
export interface MatrixReport extends FitReport {
  /** Squared error, times the importance where it was given. */
  readonly objective: number;
  readonly signs: 'apart' | 'none';
  readonly blocks: readonly {
    readonly first: number;
    readonly subspaceCount: number;
    readonly subvectorLength: number;
    readonly codewordCount: number;
    readonly distinct: number;
    readonly iterations: number;
    readonly objective: number;
  }[];
}

const OPTIONS = {
  subvectorLength: integer(1),
  subspaceCount: integer(0),
  codewordCount: integer(2, 65536),
  codebooks: choice('layer', 'subspace'),
  signs: choice('apart', 'none'),
  clampCodewords: boolean,
  iterations: integer(0),
  init: choice('plusPlus', 'random'),
};

/** The product quantizer for whole networks: {@link quantizeMatrixAsync} with defaults, so that no option must be given. */
export const productQuantizer: Quantizer<typeof OPTIONS, ProductEncoding, MatrixReport> = {
  kind: 'product',
  options: OPTIONS,
  defaults: {
    subvectorLength: 4,
    subspaceCount: 0,
    ...MATRIX_DEFAULTS,
    iterations: KMEANS_DEFAULTS.iterations,
    init: KMEANS_DEFAULTS.init,
  },
  words: {
    subvectorLength: 'weights per sub-vector',
    subspaceCount: 'sub-spaces per row, instead of a length of sub-vectors; 0: as that says',
    codewordCount: 'codewords per codebook',
    codebooks: 'one codebook for the layer, or one per sub-space',
    signs: 'quantize absolute values and keep a sign bit per weight, or signed values',
    clampCodewords: 'fewer codewords in small layers, so that each has 4 sub-vectors',
    iterations: 'iterations of k-means at most',
    init: 'first codewords: k-means++ (of single weights the best of all, where that is not too slow) or sub-vectors drawn at random',
  },
  flags: { codewordCount: 'codewords' },
  /** A layer's own way of cutting columns replaces the shared one, as only one of the two may be given. */
  merge({ subvectorLength, subspaceCount, ...rest }, own) {
    if (own.subvectorLength !== undefined && own.subspaceCount)
      throw new RangeError('productQuantizer: expected either subvectorLength or subspaceCount, got both');
    const cut = own.subvectorLength === undefined && own.subspaceCount === undefined;
    return {
      ...rest,
      ...(cut && subvectorLength !== undefined && { subvectorLength }),
      ...(cut && subspaceCount !== undefined && { subspaceCount }),
      ...own,
    };
  },
  /** Two bits more per code. */
  milder: (options) => ({ ...options, codewordCount: Math.min(65536, 4 * options.codewordCount) }),
  /** Exact where there are as many distinct sub-vectors as codewords. */
  estimateBits(shape, { subvectorLength, subspaceCount, codewordCount, codebooks, signs, clampCodewords }) {
    const { rows, columns } = matrixSides(shape);
    const d =
      subspaceCount > 0 ? Math.ceil(columns / Math.min(subspaceCount, columns)) : Math.min(subvectorLength, columns);
    const blocks = cutColumns(columns, d, codebooks).map((block) => {
      const members = rows * block.subspaceCount;
      return {
        ...block,
        codewordCount: Math.min(members, mostCodewords(codewordCount, members, clampCodewords)),
        hasSigns: signs === 'apart',
      };
    });
    return productSize(rows, blocks, 'float32').total;
  },
  async fit(matrix, { subvectorLength, subspaceCount, ...options }, { importance, moments, ...context }) {
    const feedback = moments && prepareFeedback(moments, matrix.shape[1]);
    const weights = importance ?? (feedback && columnImportance(feedback, matrix.shape[0]));
    const { encoding, report } = await quantizeMatrixAsync(matrix, {
      ...options,
      ...context,
      ...(subspaceCount > 0 ? { subspaceCount: Math.min(subspaceCount, matrix.shape[1]) } : { subvectorLength }),
      ...(weights && { weights }),
    });
    if (!feedback) return { encoding, report };
    const fed = await feedProduct(matrix, encoding, feedback, context.signal);
    return { encoding: fed, report: { ...report, ...fitReport(matrix, fed) } };
  },
  describe: ({ signs, blocks }) => productWords(blocks, signs === 'apart'),
};

/**
 * Fits a product quantizer to a matrix and encodes it: cuts rows into sub-vectors, finds codewords by {@link kmeans},
 * and keeps for each sub-vector the index of its codeword.
 *
 * With signs apart the sub-vectors are of absolute values and each weight keeps its sign in a bit (0 for zeros): for
 * the squared error, weighted or not, this equals a codebook of K 2^d sign-symmetric codewords. Bits per weight: 1 with
 * signs apart + ⌈log2 K⌉ / d + 32 x codeword coordinates / weights.
 *
 * Shapes: matrix (rows, columns). Result: blocks as in {@link ProductEncoding}. Cost: 25 iterations of rows x columns x
 * K multiply-adds.
 * @throws {TypeError | RangeError} on wrong arguments, {@link EspalierError} NONFINITE naming row and column
 * @example
 * const { encoding, report } = quantizeMatrix(weights, { subvectorLength: 8, codewordCount: 256, kernels: await loadKernels() });
 */
export function quantizeMatrix(
  matrix: TensorLike,
  options: MatrixOptions,
): { encoding: ProductEncoding; report: MatrixReport } {
  const { blocks, problemOf, finish } = prepareMatrix(matrix, options);
  return finish(
    blocks.map((block) => {
      const { points, kmeansOptions } = problemOf(block);
      return runAtOnce(prepareFit(points, kmeansOptions));
    }),
  );
}

/**
 * {@link quantizeMatrix} on several threads, with turns for timers and signals in between: the same bytes for any
 * number of threads. Sub-spaces with codebooks of their own follow each other on the same threads.
 * @throws {EspalierError} WORKER if a thread fails; those that cannot be started are done without
 * @throws the signal's reason, if it is aborted
 */
export async function quantizeMatrixAsync(
  matrix: TensorLike,
  options: MatrixAsyncOptions,
): Promise<{ encoding: ProductEncoding; report: MatrixReport }> {
  const who = 'quantizeMatrixAsync';
  const {
    kernels: given,
    threads = 1,
    signal,
    ...rest
  } = ownOptions(who, 'options', options, [...MATRIX_NAMES, 'threads', 'signal']);
  const kernels = await givenKernels(who, 'options.kernels', given, loadKernels);
  const { blocks, problemOf, finish, work } = prepareMatrix(matrix, { ...rest, kernels });
  const workspaces = createWorkspaces(kernels, checkInteger(who, 'threads', threads, 1), work);
  try {
    const fits: FitResult[] = [];
    for (const block of blocks) {
      const { points, kmeansOptions } = problemOf(block);
      fits.push(await runInTurns(prepareFit(points, kmeansOptions), workspaces, signal));
    }
    return finish(fits);
  } finally {
    workspaces.dispose();
  }
}

/**
 * Checked arguments, the blocks to be fitted, the k-means of each, and the encoding that they make. `work`: weights x
 * codewords x iterations.
 */
function prepareMatrix(matrix: TensorLike, given: MatrixOptions) {
  const who = 'quantizeMatrix';
  const values = checkMatrix(who, matrix);
  const options = ownOptions(who, 'options', given, MATRIX_NAMES);
  const kernels = checkKernels(who, 'options.kernels', options.kernels);
  const [rows, columns] = values.shape;
  const K = checkInteger(who, 'codewordCount', options.codewordCount ?? MATRIX_DEFAULTS.codewordCount, 2, 65536);
  const codebooks = checkOneOf(who, 'codebooks', options.codebooks ?? MATRIX_DEFAULTS.codebooks, ['layer', 'subspace']);
  const signed = checkOneOf(who, 'signs', options.signs ?? MATRIX_DEFAULTS.signs, ['apart', 'none']) === 'apart';
  const clamp = options.clampCodewords ?? MATRIX_DEFAULTS.clampCodewords;
  const d = checkSubvectorLength(options, columns);
  const importance = checkImportance(who, options.weights, values);
  const iterations = options.iterations ?? KMEANS_DEFAULTS.iterations;

  const blocks = cutColumns(columns, d, codebooks);
  const problemOf = (block: BlockColumns): { points: Tensor; kmeansOptions: KMeansOptions } => {
    const shape = [rows * block.subspaceCount, block.subvectorLength];
    const coordinateWeights = blockMetric(importance, rows, block);
    const kmeansOptions: KMeansOptions = {
      codewordCount: mostCodewords(K, shape[0], clamp),
      kernels,
      seed: options.seed ?? KMEANS_DEFAULTS.seed,
      iterations,
      init: initOf(options.init ?? KMEANS_DEFAULTS.init, shape, Math.min(K, shape[0])),
      ...(coordinateWeights && {
        coordinateWeights: {
          data: coordinateWeights.weights,
          shape: coordinateWeights.perPoint ? shape : [block.subvectorLength],
        },
      }),
    };
    return { points: blockPoints(values, block, signed), kmeansOptions };
  };

  const finish = (fits: readonly FitResult[]): { encoding: ProductEncoding; report: MatrixReport } => {
    const made = blocks.map((block, i): ProductBlock => {
      const { codewords, codes } = fits[i];
      return {
        ...block,
        codewordCount: codewords.shape[0],
        codewords: codewords.data,
        codes: codesByRow(codes, rows, block.subspaceCount),
        ...(signed && { signs: packSigns(values, block) }),
      };
    });
    const encoding: ProductEncoding = {
      kind: 'product',
      shape: [rows, columns],
      blocks: made,
      codewordPrecision: 'float32',
    };
    const reports = blocks.map((block, i) => {
      const { codewords, distinct, iterations, objective } = fits[i];
      return { ...block, codewordCount: codewords.shape[0], distinct, iterations, objective };
    });
    const objective = reports.reduce((sum, block) => sum + block.objective, 0);
    return {
      encoding,
      report: { objective, signs: signed ? 'apart' : 'none', ...fitReport(values, encoding), blocks: reports },
    };
  };
  return { blocks, problemOf, finish, work: rows * columns * K * iterations };
}

/**
 * Encodes a matrix with the codebooks of an encoding: each sub-vector gets the nearest codeword (squared L2, or
 * weighted by the importance; a tie goes to the lowest index), each weight its sign. The matrix has the encoding's
 * columns and any number of rows.
 * @throws {RangeError} on another number of columns, {@link EspalierError} NONFINITE
 */
export function encode(
  codebook: ProductEncoding,
  matrix: TensorLike,
  options: { kernels: KernelSet; weights?: TensorLike },
): ProductEncoding {
  const { kernels: given, weights } = ownOptions('encode', 'options', options, ['kernels', 'weights']);
  const kernels = checkKernels('encode', 'options.kernels', given);
  const values = checkMatrix('encode', matrix);
  const [rows, columns] = values.shape;
  const expected = matrixSides(codebook.shape).columns;
  if (columns !== expected)
    throw new RangeError(`encode: matrix: expected ${expected} columns as the codebook has, got ${columns}`);
  const importance = checkImportance('encode', weights, values);
  // Codewords that training moved below zero are no absolute values: they are made so first, or their signs would be
  // lost.
  const blocks = canonicalSigns(codebook).blocks.map((block): ProductBlock => {
    const { subspaceCount: M, subvectorLength: d, codewords, codewordCount } = block;
    const signed = block.signs !== undefined;
    const points = blockPoints(values, block, signed);
    const plan = planAssignment({
      kernels,
      points: points.data,
      d,
      codewordCount,
      largestCodeword: largestMagnitude(codewords),
      metric: blockMetric(importance, rows, block),
    });
    const workspace = kernels.openSync(plan.workspace);
    try {
      return {
        ...block,
        codes: codesByRow(plan.bind(workspace).start(codewords), rows, M),
        ...(signed && { signs: packSigns(values, block) }),
      };
    } finally {
      workspace.dispose();
    }
  });
  return { ...codebook, shape: [rows, ...codebook.shape.slice(1)], blocks };
}

/** Most numbers x codewords for which the best codewords are searched for. */
const MOST_EXACT = 2 ** 24;

/** How single numbers find the best codewords of all, where that takes no longer than a few seconds. */
function initOf(init: 'plusPlus' | 'random', [n, d]: readonly number[], K: number): 'plusPlus' | 'random' | 'exact' {
  return init === 'plusPlus' && d === 1 && n * K <= MOST_EXACT ? 'exact' : init;
}

/** K, but of a small matrix at most the power of two that leaves 4 of its `members` per codeword, and at least 2. */
function mostCodewords(K: number, members: number, clamp: boolean): number {
  return clamp ? Math.min(K, Math.max(2, 2 ** exponentOf(members / 4))) : K;
}

/** Blocks for columns cut into pieces of d: what d leaves over is a block of its own. */
function cutColumns(columns: number, d: number, codebooks: 'layer' | 'subspace'): BlockColumns[] {
  const whole = Math.floor(columns / d);
  const rest = columns - whole * d;
  const blocks: BlockColumns[] =
    codebooks === 'layer'
      ? [{ first: 0, subspaceCount: whole, subvectorLength: d }]
      : Array.from({ length: whole }, (_, m) => ({ first: m * d, subspaceCount: 1, subvectorLength: d }));
  if (rest > 0) blocks.push({ first: whole * d, subspaceCount: 1, subvectorLength: rest });
  return blocks;
}

function checkSubvectorLength({ subvectorLength, subspaceCount }: MatrixOptions, columns: number): number {
  if ((subvectorLength === undefined) === (subspaceCount === undefined))
    throw new RangeError(
      'quantizeMatrix: expected either subvectorLength or subspaceCount, got ' +
        (subvectorLength === undefined ? 'neither' : 'both'),
    );
  if (subspaceCount !== undefined)
    return Math.ceil(columns / checkInteger('quantizeMatrix', 'subspaceCount', subspaceCount, 1, columns));
  return Math.min(columns, checkInteger('quantizeMatrix', 'subvectorLength', subvectorLength, 1));
}

/** The importance as a metric of the block's sub-vectors; undefined where there is none, or none in this block. */
function blockMetric(importance: Tensor | undefined, rows: number, block: BlockColumns): Metric | undefined {
  if (!importance) return undefined;
  const perRow = importance.shape.length === 2;
  const perPoint = perRow || block.subspaceCount > 1;
  const columns = importance.shape[importance.shape.length - 1];
  const spread =
    perRow || !perPoint
      ? importance
      : {
          data: Float32Array.from({ length: rows * columns }, (_, i) => importance.data[i % columns]),
          shape: [rows, columns],
        };
  const weights = perPoint
    ? blockPoints(spread, block, false).data
    : importance.data.slice(block.first, block.first + block.subvectorLength);
  return weights.some((weight) => weight > 0) ? { weights, perPoint } : undefined;
}
