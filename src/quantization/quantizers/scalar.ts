/**
 * Scalar quantization: every weight to the nearest of 2^bits levels an equal step apart. The step is searched for, not
 * taken from the largest weight: for each group of weights with a scale of its own, the range is clipped to 100 % to
 * 10 % of itself in steps of 2.5 %, and the clipping with the least squared error (times the importance) stays; of
 * equal ones the widest. As in Banner et al., "Post-training 4-bit quantization of convolution networks", NeurIPS 2019,
 * but by measuring instead of a model of the weights. Or the step is given in standard deviations: then nothing is
 * clipped as long as the bits suffice, large levels are rare, and a packed file takes for each weight what its level is
 * worth (Gish, Pierce, "Asymptotically efficient quantizing", IEEE Transactions on Information Theory, 1968: a quarter of
 * a bit from what any quantizer can reach). Needs no data and no seed.
 */
import { square } from '../../base/elementary.ts';
import { boolean, choice, integer, number } from '../../base/rules.ts';
import { createRunControl, type RunControl } from '../../base/control.ts';
import type { Tensor } from '../../base/tensor.ts';
import { matrixSides } from '../../encodings/checks.ts';
import {
  bitsOfLevels,
  encodeLevels,
  farthest,
  middle,
  nearestLevel,
  scalarSize,
  scalarOperations,
  scalarWords,
  type ScalarEncoding,
} from '../../encodings/kinds/scalar.ts';
import { columnImportance, feedRows, prepareFeedback, type Choose, type FactoredMoments } from '../feedback.ts';
import { checkImportance, checkMatrix, fitReport } from '../matrix.ts';
import type { FitReport, Quantizer } from '../quantizer.ts';

export interface ScalarReport extends FitReport {
  readonly levelBits: number;
  readonly scales: number;
  readonly zeroPoints: boolean;
  /** Part of the range that the levels span, from 0.1 to 1: the mean over the scales. */
  readonly clipping: number;
}

const OPTIONS = {
  bits: integer(2, 8),
  scales: choice('channel', 'layer'),
  zeroPoints: boolean,
  step: number(0, 4),
  rate: number(0, 10),
};

/** 1, 0.975, ..., 0.1. */
const CLIPPINGS = 37;
const clippingOf = (i: number): number => 1 - i / 40;
/** Largest float32. */
const LARGEST = (2 - 2 ** -23) * 2 ** 127;

/** Uniform levels of 2 to 8 bits; see the head of this file. */
export const scalarQuantizer: Quantizer<typeof OPTIONS, ScalarEncoding, ScalarReport> = {
  kind: 'scalar',
  options: OPTIONS,
  defaults: { bits: 8, scales: 'channel', zeroPoints: false, step: 0, rate: 0 },
  words: {
    bits: 'bits per weight',
    scales: 'a scale per output channel, or one for the layer',
    zeroPoints: 'a zero point beside each scale, for weights that lie to one side of 0',
    step: 'distance of levels, in root mean squares of the weights that share a scale: small in a packed file; 0: searched for',
    rate: 'squared steps of error that a bit less is worth, of levels coded by how often they stand; 0: the nearest level',
  },
  /** Half the step; else two bits more; with all of them, a scale per channel. */
  milder: (options) =>
    options.step > 0
      ? { ...options, step: options.step / 2 }
      : options.bits < 8
        ? { ...options, bits: Math.min(8, options.bits + 2) }
        : { ...options, scales: 'channel' },
  /** Exact, of a plain file. */
  estimateBits(shape, { bits, scales, zeroPoints }) {
    const { rows, columns } = matrixSides(shape);
    return scalarSize(rows * columns, bits, scales === 'layer' ? 1 : rows, zeroPoints).total;
  },
  async fit(matrix, { bits, scales: per, zeroPoints, step, rate }, { signal, importance: given, moments }) {
    const values = checkMatrix('scalarQuantizer', matrix);
    const feedback = moments && prepareFeedback(moments, values.shape[1]);
    const importance = checkImportance(
      'scalarQuantizer',
      given ?? (feedback && columnImportance(feedback, matrix.shape[0])),
      values,
    );
    const { data, shape } = values;
    const [rows, columns] = shape;
    const groups = per === 'layer' ? 1 : rows;
    const length = data.length / groups;
    const scales = new Float32Array(groups);
    const zeros = new Uint8Array(groups);
    const control = createRunControl(signal ? { signal } : {});
    const weightOf = (i: number): number =>
      importance ? importance.data[importance.shape.length === 1 ? i % columns : i] : 1;
    let clippings = 0;
    for (let group = 0; group < groups; group++) {
      const [first, end] = [group * length, (group + 1) * length];
      const { scale: widest, zero } = wholeRange(data.subarray(first, end), bits, zeroPoints);
      if (step > 0) {
        zeros[group] = middle(bits);
        scales[group] = stored(step * rootMeanSquare(data.subarray(first, end)), bits, middle(bits));
        clippings += Math.min(1, scales[group] / widest);
        continue;
      }
      zeros[group] = zero;
      let least = Infinity;
      let best = 0;
      for (let i = 0; i < CLIPPINGS; i++) {
        await control.pause();
        const scale = stored(widest * clippingOf(i), bits, zero);
        let error = 0;
        for (let at = first; at < end; at++) {
          const decoded = Math.fround((nearestLevel(data[at], scale, zero, bits) - zero) * scale);
          error += weightOf(at) * square(data[at] - decoded);
        }
        if (error >= least) continue;
        [least, best] = [error, i];
        scales[group] = scale;
      }
      clippings += clippingOf(best);
    }
    const grid = { bits, scales, ...(zeroPoints && { zeros }) };
    const nearest = encodeLevels(data, shape, grid);
    const plain = rate > 0 ? cheapened(values, nearest, rate, importance) : nearest;
    const encoding = feedback ? encodeLevels(await fed(values, plain, feedback, rate, control), shape, grid) : plain;
    return {
      encoding,
      report: {
        ...fitReport(values, encoding),
        levelBits: bits,
        scales: groups,
        zeroPoints,
        clipping: clippings / groups,
      },
    };
  },
  describe: ({ levelBits, scales, zeroPoints }) => scalarWords(levelBits, scales, zeroPoints),
};

/** How often levels are counted anew, as choices by their bits change how often they stand. */
const ROUNDS = 3;

/** Bits of the levels of an encoding, by how often each stands in it. */
function costsOf({ bits, levels }: ScalarEncoding): Float64Array {
  const counts = new Float64Array(2 ** bits);
  for (let i = 0; i < levels.length; i++) counts[levels[i]]++;
  return bitsOfLevels(counts);
}

/**
 * The level of the least error plus bits, of those between the nearest and the zero point.
 * @param aimed - the weight in steps from the zero point
 * @param bits - that each of the 2^levelBits levels costs
 * @param price - of a bit, in squared steps
 */
function cheapest(aimed: number, zero: number, levelBits: number, bits: Float64Array, price: number): number {
  const nearest = nearestLevel(aimed, 1, zero, levelBits);
  if (price === 0) return nearest;
  const towards = Math.sign(zero - nearest);
  let [best, least] = [nearest, Infinity];
  for (let level = nearest; ; level += towards) {
    const cost = square(aimed - (level - zero)) + price * bits[level];
    if (cost < least) [best, least] = [level, cost];
    if (level === zero) return best;
  }
}

/** Levels by error and bits, without feedback. */
function cheapened(
  { data, shape }: Tensor,
  nearest: ScalarEncoding,
  rate: number,
  importance: Tensor | undefined,
): ScalarEncoding {
  const { bits, scales, zeros } = nearest;
  const columns = shape[1];
  const length = data.length / scales.length;
  const worth = (i: number): number =>
    importance ? importance.data[importance.shape.length === 1 ? i % columns : i] : 1;
  let mean = 0;
  for (let i = 0; i < data.length; i++) mean += worth(i) / data.length;
  let found = nearest;
  for (let round = 0; round < ROUNDS; round++) {
    const costs = costsOf(found);
    found = {
      ...found,
      levels: found.levels.map((_, i) => {
        const group = Math.floor(i / length);
        return cheapest(
          data[i] / scales[group],
          zeros ? zeros[group] : middle(bits),
          bits,
          costs,
          (rate * mean) / worth(i),
        );
      }),
    };
  }
  return found;
}

/**
 * Weights on the grid of an encoding, each with what the errors before it ask for; with a rate, what is least of error and
 * bits (as "CERWU", arXiv 2505.18758, where the price of a bit stands beside the error that the triangle of moments gives a
 * column).
 */
async function fed(
  matrix: Tensor,
  plain: ScalarEncoding,
  feedback: FactoredMoments,
  rate: number,
  control: RunControl,
): Promise<Float32Array> {
  const { bits, scales, zeros } = plain;
  const { data, shape } = matrix;
  const columns = shape[1];
  const cuts = Array.from({ length: columns }, (_, first) => ({ first, count: 1 }));
  let mean = 0;
  for (let i = 0; i < feedback.groups * columns; i++)
    mean += square(feedback.factor[i * columns + (i % columns)]) / (feedback.groups * columns);
  const plainValues = scalarOperations.decode(plain);
  let [found, values] = [plain, plainValues];
  for (let round = 0; round < (rate > 0 ? ROUNDS : 1); round++) {
    const costs = costsOf(found);
    const choose: Choose = (row, j, [carried], decoded, factor) => {
      const group = scales.length === 1 ? 0 : row;
      const zero = zeros ? zeros[group] : middle(bits);
      const own = factor[j * columns + j];
      const aimed = data[row * columns + j] + carried / own;
      const level = cheapest(aimed / scales[group], zero, bits, costs, rate === 0 ? 0 : (rate * mean) / square(own));
      decoded[j] = Math.fround((level - zero) * scales[group]);
    };
    const result = plainValues.slice();
    const keep = (row: number, decoded: Float64Array): void => result.set(decoded, row * columns);
    await feedRows(matrix, feedback, cuts, plainValues, choose, keep, control);
    [values, found] = [result, encodeLevels(result, shape, plain)];
  }
  return values;
}

/** The scale and zero point by which the levels just reach all weights, and 0. Of zeros alone any scale will do: 1. */
function wholeRange(weights: Float32Array, bits: number, zeroPoints: boolean): { scale: number; zero: number } {
  let low = 0;
  let high = 0;
  for (let i = 0; i < weights.length; i++) {
    low = Math.min(low, weights[i]);
    high = Math.max(high, weights[i]);
  }
  if (low === high) return { scale: 1, zero: middle(bits) };
  const most = 2 ** bits - 1;
  if (!zeroPoints) return { scale: Math.max(high / (most - middle(bits)), -low / middle(bits)), zero: middle(bits) };
  return { scale: (high - low) / most, zero: Math.round((-low / (high - low)) * most) };
}

function rootMeanSquare(weights: Float32Array): number {
  return Math.sqrt(weights.reduce((sum, weight) => sum + square(weight), 0) / weights.length) || 1;
}

/** A scale as it is stored: a float32 above 0, and no weight of it infinite. */
function stored(scale: number, bits: number, zero: number): number {
  const most = (LARGEST / farthest(bits, zero)) * (1 - 2 ** -23);
  return Math.max(2 ** -149, Math.fround(Math.min(scale, most)));
}
