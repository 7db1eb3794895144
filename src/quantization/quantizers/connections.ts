/**
 * Pruning of connections: the weights of least worth become zero for good, and what is left is stored as it is or as
 * codewords (Han, Pool, Tran, Dally, "Learning both weights and connections", NIPS 2015; with codewords Han, Mao, Dally,
 * "Deep Compression", ICLR 2016). Worth is a weight's magnitude, or how far its input and its neuron go together (Sun,
 * Wang, Tang, "Sparsifying neural network connections for face recognition", CVPR 2016). Glossary: S share kept, a neuron
 * (before its activation), b input, r correlation.
 */
import { square } from '../../base/elementary.ts';
import { choice, integer, number } from '../../base/rules.ts';
import { permutation, stream } from '../../base/random.ts';
import type { Tensor } from '../../base/tensor.ts';
import { createRunControl } from '../../base/control.ts';
import { codeWidth, packedBytes } from '../../encodings/bits.ts';
import { matrixSides } from '../../encodings/checks.ts';
import { denseEncoding } from '../../encodings/kinds/dense.ts';
import { mostGapBits, sparseWords } from '../../encodings/kinds/sparse.ts';
import type { SparseEncoding } from '../../encodings/types.ts';
import { checkImportance, checkMatrix, fitReport } from '../matrix.ts';
import type { FitContext, FitReport, Quantizer } from '../quantizer.ts';
import { quantizeMatrixAsync } from './product.ts';

export interface ConnectionsReport extends FitReport {
  /** Weights that are left. */
  readonly kept: number;
  /** Their share of all. */
  readonly density: number;
  /** 0: they are stored as they are. */
  readonly valueCodewords: number;
}

const OPTIONS = {
  density: number(0.001, 1),
  selection: choice('magnitude', 'correlation'),
  valueCodewords: integer(0, 65536),
};

/** Share of what is kept that is drawn from the stronger half (lambda). */
const FROM_STRONGER = 0.75;
/** Largest number of codewords that {@link connectionsQuantizer} goes to when it has to be milder. */
const MOST_CODEWORDS = 65536;

const keptOf = (weights: number, density: number): number => Math.max(1, Math.round(density * weights));

/** Sparse weights; see the head of this file. */
export const connectionsQuantizer: Quantizer<typeof OPTIONS, SparseEncoding, ConnectionsReport> = {
  kind: 'connections',
  options: OPTIONS,
  defaults: { density: 0.3, selection: 'magnitude', valueCodewords: 32 },
  words: {
    density: 'share of the weights that is kept',
    selection:
      'keep the largest weights, or those whose inputs correlate with their neuron, a quarter of them from the weaker half',
    valueCodewords: 'codewords that stand for the weights that are kept; 0: they are stored as they are',
  },
  /** Half as many weights again; with all of them, four times the codewords. */
  milder: (options) =>
    options.density < 1
      ? { ...options, density: Math.min(1, 1.5 * options.density) }
      : options.valueCodewords > 0
        ? { ...options, valueCodewords: Math.min(MOST_CODEWORDS, 4 * options.valueCodewords) }
        : options,
  isBound: true,
  estimateBits(shape, { density, valueCodewords }) {
    const { rows, columns } = matrixSides(shape);
    const kept = keptOf(rows * columns, density);
    const codewords = Math.min(kept, codewordsOf(valueCodewords));
    const values = valueCodewords === 0 ? 32 * kept : 8 * packedBytes(kept, codeWidth(codewords)) + 32 * codewords;
    return mostGapBits(rows * columns, kept) + values;
  },
  async fit(matrix, { density, selection, valueCodewords }, { importance: given, moments, ...context }) {
    const values = checkMatrix('connectionsQuantizer', matrix);
    const importance = checkImportance('connectionsQuantizer', given, values);
    createRunControl(context.signal ? { signal: context.signal } : {}).check();
    const { data, shape } = values;
    const columns = shape[1];
    const kept = keptOf(data.length, density);
    const weightOf = (i: number): number =>
      importance ? importance.data[importance.shape.length === 1 ? i % columns : i] : 1;
    const positions =
      selection === 'correlation'
        ? byCorrelation(correlations(values, moments), kept, context.seed)
        : strongest(
            Float64Array.from(data, (weight, i) => weightOf(i) * square(weight)),
            kept,
          );
    const left = Float32Array.from(positions, (position) => data[position]);
    const encoding: SparseEncoding = {
      kind: 'sparse',
      shape,
      positions,
      values:
        valueCodewords === 0
          ? denseEncoding({ data: left, shape: [kept] })
          : await codewordsFor(left, codewordsOf(valueCodewords), Float32Array.from(positions, weightOf), context),
    };
    return {
      encoding,
      report: {
        ...fitReport(values, encoding),
        kept,
        density: kept / data.length,
        valueCodewords: encoding.values.kind === 'product' ? encoding.values.blocks[0].codewordCount : 0,
      },
    };
  },
  describe: ({ density, valueCodewords }) =>
    sparseWords(density, valueCodewords === 0 ? 'dense' : `${valueCodewords} codewords of 1`),
};

/** One codeword is as good as none: two at least. */
const codewordsOf = (valueCodewords: number): number => Math.max(2, valueCodewords);

/** (n) values as codewords of length 1, with their signs. */
async function codewordsFor(
  values: Float32Array,
  codewordCount: number,
  weights: Float32Array,
  context: Pick<FitContext, 'kernels' | 'threads' | 'seed' | 'signal'>,
): Promise<SparseEncoding['values']> {
  const { encoding } = await quantizeMatrixAsync(
    { data: values, shape: [values.length, 1] },
    {
      ...context,
      subvectorLength: 1,
      codewordCount,
      signs: 'none',
      clampCodewords: false,
      ...(weights.some((weight) => weight > 0) && { weights: { data: weights, shape: [values.length, 1] } }),
    },
  );
  return { ...encoding, shape: [values.length] };
}

/** Where the `count` largest are, ascending; of equal ones the first. */
function strongest(worth: Float64Array, count: number): Uint32Array {
  return ranked(
    worth,
    Uint32Array.from(worth, (_, i) => i),
  )
    .slice(0, count)
    .sort();
}

/** From the largest to the least; equal ones in their order. */
const ranked = (worth: Float64Array, positions: Uint32Array): Uint32Array =>
  positions.sort((i, j) => worth[j] - worth[i] || i - j);

/**
 * (rows, columns): of each weight w_ik how far its input b_k and its neuron a_i = sum of w_ij b_j go together, from -1 to 1;
 * 0 where one of them does not vary. Without moments inputs count as equally strong and independent, so that r is the
 * weight's part of its row's length. Cost: rows x columns^2 multiply-adds.
 * @param moments - covariances of the inputs, as in {@link FitContext}
 */
export function correlations({ data, shape: [rows, columns] }: Tensor, moments?: Float64Array): Float64Array {
  const size = columns * columns;
  const groups = moments ? moments.length / size : 1;
  if (!Number.isInteger(groups) || groups < 1 || rows % groups !== 0)
    throw new RangeError(
      `connectionsQuantizer: moments: expected ${columns} x ${columns} numbers for each of groups that share ${rows} rows evenly, got ${moments?.length}`,
    );
  const found = new Float64Array(rows * columns);
  for (let i = 0; i < rows; i++) {
    const group = Math.floor(i / (rows / groups)) * size;
    const row = data.subarray(i * columns, (i + 1) * columns);
    const joint = found.subarray(i * columns, (i + 1) * columns);
    for (let j = 0; j < columns; j++) {
      if (!moments) joint[j] = row[j];
      else for (let k = 0; k < columns; k++) joint[k] += row[j] * moments[group + j * columns + k];
    }
    const variance = row.reduce((sum, weight, k) => sum + weight * joint[k], 0);
    for (let k = 0; k < columns; k++) {
      const both = Math.max(0, variance) * (moments ? moments[group + k * columns + k] : 1);
      joint[k] = both > 0 ? joint[k] / Math.sqrt(both) : 0;
    }
  }
  return found;
}

/**
 * The rule of Sun, Wang, Tang: of the positive correlations and of the others apart, a share S is kept, three quarters of it
 * drawn at random from the stronger half, the rest from the weaker; where a half has too few, the other gives more.
 */
export function byCorrelation(r: Float64Array, kept: number, seed: number): Uint32Array {
  const strength = r.map(Math.abs);
  const all = Uint32Array.from(r, (_, i) => i);
  const sides = [all.filter((i) => r[i] > 0), all.filter((i) => !(r[i] > 0))];
  const ofPositive = Math.round((kept * sides[0].length) / r.length);
  const random = stream(seed, 'connections');
  const draw = (from: Uint32Array, count: number): Uint32Array =>
    Uint32Array.from(permutation(random, from.length).subarray(0, count), (i) => from[i]);
  const drawn = sides.flatMap((side, s) => {
    const count = s === 0 ? ofPositive : kept - ofPositive;
    const order = ranked(strength, side);
    const half = Math.ceil(order.length / 2);
    const weaker = order.length - half;
    const strong = Math.max(count - weaker, Math.min(half, Math.round(FROM_STRONGER * count)));
    return [...draw(order.subarray(0, half), strong), ...draw(order.subarray(half), count - strong)];
  });
  return Uint32Array.from(drawn).sort();
}
