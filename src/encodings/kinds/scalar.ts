/**
 * Scalar encoding: uniform levels of 2 to 8 bits, affine as in Jacob et al., "Quantization and Training of Neural
 * Networks for Efficient Integer-Arithmetic-Only Inference", CVPR 2018, section 2.1: weight = scale (level - zero
 * point). Symmetric, the zero point is the middle, 2^(bits - 1), and not stored. The scales, one for the parameter or
 * one per row of it as a matrix (output channel), are trained; levels and zero points stay. Glossary: G groups of
 * weights that share a scale, each `length` weights in a row; q level, z zero point, s scale.
 *
 * In a file it is `.levels` (U8; q of `bits` bits, lowest bit first: offset binary, so that 0 stands for the least
 * weight), `.scales` (F32) and, not symmetric, `.zeros` (U8; one byte each). The header has `bits`, the number of
 * `scales`, and whether there are `zeros`.
 */
import { log, roundEven } from '../../base/elementary.ts';
import { checkFinite, checkInteger, show } from '../../base/errors.ts';
import { arrayName } from '../../base/realm.ts';
import { sizeOf, type Shape } from '../../base/tensor.ts';
import { packCodes, packedBytes, unpackCodes } from '../bits.ts';
import { checkBytes, checkDtype, checkLength, floatsOf, headerShape, invalid, matrixSides } from '../checks.ts';
import type {
  EncodingHeader,
  EncodingOperations,
  EncodingReading,
  EncodingSize,
  Length,
  StoredTensor,
} from '../kind.ts';
import { decodeScaled, placeScaled, pullbackScaled, type ScaledPlace } from '../scaled.ts';

export interface ScalarEncoding {
  readonly kind: 'scalar';
  readonly shape: Shape;
  /** 2 to 8. */
  readonly bits: number;
  /** As many as the shape has elements, row-major, each below 2^bits. */
  readonly levels: Uint8Array;
  /** One, or one per row. Positive as fitted, but training may move them below zero. */
  readonly scales: Float32Array;
  /** As many as scales, each below 2^bits. Absent: symmetric. */
  readonly zeros?: Uint8Array;
}

/**
 * Levels to the range. What is trained is s 2^(bits - 1), the largest magnitude of a group, not s: so it is in units of
 * the weights, and an optimizer that moves all it trains equally far (Adam) moves weights as far as those that are not
 * encoded. A power of two, so nothing is rounded.
 */
const rangeOf = ({ bits }: ScalarEncoding): number => 2 ** (bits - 1);

const trainedValues = (encoding: ScalarEncoding): Float32Array =>
  encoding.scales.map((scale) => scale * rangeOf(encoding));

/** Weights per scale. */
const groupLength = ({ levels, scales }: ScalarEncoding): number => levels.length / scales.length;

/** q - z of weight i. */
function steps({ bits, levels, zeros }: ScalarEncoding, i: number, group: number): number {
  return levels[i] - (zeros ? zeros[group] : middle(bits));
}

/** The zero point of symmetric levels. */
export const middle = (bits: number): number => 2 ** (bits - 1);

/** Most steps of a level from its zero point. */
export const farthest = (bits: number, zero = middle(bits)): number => Math.max(zero, 2 ** bits - 1 - zero);

function read(name: string, header: EncodingHeader, get: (suffix: string) => StoredTensor): ScalarEncoding {
  const shape = headerShape(name, header.shape);
  const { rows, columns } = matrixSides(shape);
  const { bits, scales: count, zeros: hasZeros } = header;
  if (rows * columns === 0)
    throw invalid(name, `shape: expected at least one weight, got [${shape.join(', ')}]`, shape);
  if (typeof bits !== 'number' || !Number.isInteger(bits) || bits < 2 || bits > 8)
    throw invalid(name, `bits: expected a whole number from 2 to 8, got ${show(bits)}`, bits);
  if (count !== 1 && count !== rows)
    throw invalid(name, `scales: expected 1 or ${rows}, one per row, got ${show(count)}`, count);
  if (typeof hasZeros !== 'boolean')
    throw invalid(name, `zeros: expected true or false, got ${show(hasZeros)}`, hasZeros);
  const storedLevels = stored(name, get('.levels'), 'U8', packedBytes(rows * columns, bits));
  const storedScales = stored(name, get('.scales'), 'F32', 4 * count);
  const storedZeros = hasZeros ? stored(name, get('.zeros'), 'U8', count) : undefined;

  const wrong = storedZeros?.find((zero) => zero >= 2 ** bits);
  if (wrong !== undefined) throw invalid(name, `zeros: expected levels below ${2 ** bits}, got ${wrong}`, wrong);
  const scales = floatsOf(storedScales);
  // Of the largest weights that there may be: a scale that is finite alone is not enough.
  checkFinite(
    'read',
    `${name}.scales`,
    scales.map((scale, group) => scale * farthest(bits, storedZeros?.[group])),
  );
  const levels = Uint8Array.from(unpackCodes(storedLevels, rows * columns, bits, `${name}.levels`));
  return { kind: 'scalar', shape, bits, levels, scales, ...(storedZeros && { zeros: new Uint8Array(storedZeros) }) };
}

/** The bytes of a tensor of this type and length. */
function stored(name: string, tensor: StoredTensor, dtype: StoredTensor['dtype'], length: number): Uint8Array {
  checkDtype(name + tensor.suffix, tensor, dtype);
  checkBytes(name + tensor.suffix, tensor, length);
  return tensor.bytes;
}

function lengths({ shape, levels, scales, zeros }: ScalarEncoding): Length[] {
  const { rows } = matrixSides(shape);
  return [
    ['levels', levels.length, sizeOf(shape)],
    ['scales', scales.length, scales.length === 1 ? 1 : rows],
    ...(zeros ? [['zero points', zeros.length, scales.length] as const] : []),
  ];
}

/** The half that a page carries which runs a model. */
export const scalarReading: EncodingReading<ScalarEncoding, ScaledPlace> = {
  kind: 'scalar',
  trainedCount: ({ scales }) => scales.length,
  trainedValues,
  read,
  lengths,
  place: ({ shape, scales }, room) => placeScaled(shape, scales.length, room),
  // Trained are the ranges that the scales stand for; factors are levels, less their zero points, in units of the range.
  fill(heap, { values, factors, shift }, encoding) {
    const { scales } = encoding;
    const length = groupLength(encoding);
    const unit = 1 / rangeOf(encoding);
    heap.float.set(trainedValues(encoding), values);
    heap.float.fill(0, shift, shift + scales.length);
    for (let group = 0, i = 0; group < scales.length; group++)
      for (const end = i + length; i < end; i++) heap.float[factors + i] = steps(encoding, i, group) * unit;
  },
  decodeOnHeap: (encoding, place, run) => decodeScaled(place, encoding.scales.length, groupLength(encoding), run),
};

/** The other half: training, writing, reports. */
export const scalarOperations: EncodingOperations<ScalarEncoding, ScaledPlace> = {
  kind: 'scalar',

  decode(encoding, out) {
    const { levels, scales } = encoding;
    const length = groupLength(encoding);
    const values = out ?? new Float32Array(levels.length);
    checkLength('decode', 'out', values, levels.length);
    // + 0: zero is 0 also where a scale is below it.
    for (let group = 0, i = 0; group < scales.length; group++)
      for (const end = i + length; i < end; i++) values[i] = steps(encoding, i, group) * scales[group] + 0;
    return values;
  },

  withTrainedValues(encoding, values) {
    checkLength('withTrainedValues', 'values', values, encoding.scales.length);
    return { ...encoding, scales: values.map((range) => range / rangeOf(encoding)) };
  },

  /** Summed in double. */
  pullback(encoding, gradient) {
    checkLength('pullback', 'gradient', gradient, encoding.levels.length);
    const sums = groupSums(encoding, (i, share) => share * gradient[i]);
    return (arrayName(gradient) === 'Float64Array' ? sums : Float32Array.from(sums)) as typeof gradient;
  },
  counts: (encoding) => Float32Array.from(groupSums(encoding, (_, share) => share * share)),

  pullbackOnHeap: (encoding, place, places, run) =>
    pullbackScaled(place, places, encoding.scales.length, groupLength(encoding), run),

  structure: ({ bits, levels, scales, zeros }) => [bits, levels.length, scales.length, zeros?.length ?? -1],
  size: ({ shape, bits, scales, zeros }) => scalarSize(sizeOf(shape), bits, scales.length, zeros !== undefined),

  write({ shape, bits, levels, scales, zeros }) {
    const packed = packCodes(levels, bits);
    const cells = [{ bits, count: levels.length, columns: matrixSides(shape).columns }];
    return {
      header: { kind: 'scalar', shape, bits, scales: scales.length, zeros: zeros !== undefined },
      tensors: [
        { suffix: '.levels', dtype: 'U8', shape: [packed.length], bytes: packed, cells },
        { suffix: '.scales', dtype: 'F32', shape: [scales.length], bytes: new Uint8Array(scales.slice().buffer) },
        ...(zeros ? [{ suffix: '.zeros', dtype: 'U8', shape: [zeros.length], bytes: zeros.slice() } as const] : []),
      ],
    };
  },

  canonical: (encoding) => encoding,
  describe: ({ bits, scales, zeros }) => scalarWords(bits, scales.length, zeros !== undefined),
};

/** Sum over each group of a term of the weight's number and its share, (q - z) / 2^(bits - 1). */
function groupSums(encoding: ScalarEncoding, term: (i: number, share: number) => number): Float64Array {
  const length = groupLength(encoding);
  const unit = 1 / rangeOf(encoding);
  const sums = new Float64Array(encoding.scales.length);
  for (let i = 0; i < encoding.levels.length; i++) {
    const group = Math.floor(i / length);
    sums[group] += term(i, steps(encoding, i, group) * unit);
  }
  return sums;
}

/** Bits of `weights` levels and their scales, before there are any. */
export function scalarSize(weights: number, bits: number, scales: number, hasZeros: boolean): EncodingSize {
  const codes = 8 * packedBytes(weights, bits);
  const codebooks = scales * (hasZeros ? 40 : 32);
  return { values: 0, codes, signs: 0, codebooks, total: codes + codebooks };
}

/** '8-bit levels, 64 scales and zero points'. */
export function scalarWords(bits: number, scales: number, hasZeros: boolean): string {
  return `${bits}-bit levels, ${scales} scale${scales === 1 ? '' : 's'}${hasZeros ? ' and zero points' : ''}`;
}

/**
 * Encodes weights with given scales: each gets the nearest level (ties to the even one, as in PyTorch and ONNX), the
 * least or the largest where it is beyond.
 * @param weights - row-major, of the shape given
 * @param grid - `scales` above 0, one or one per row; `zeros` as many, or none for symmetric levels
 * @throws {RangeError} for numbers of scales or zero points that do not fit the shape, or bits outside 2 to 8
 */
export function encodeLevels(
  weights: Float32Array,
  shape: Shape,
  grid: Pick<ScalarEncoding, 'bits' | 'scales' | 'zeros'>,
): ScalarEncoding {
  const { bits, scales, zeros } = grid;
  checkInteger('encodeLevels', 'bits', bits, 2, 8);
  const levels = new Uint8Array(weights.length);
  const encoding: ScalarEncoding = { kind: 'scalar', shape, bits, levels, scales, ...(zeros && { zeros }) };
  for (const [what, found, expected] of lengths(encoding))
    checkLength('encodeLevels', what, { length: found }, expected);
  const length = groupLength(encoding);
  for (let i = 0; i < weights.length; i++) {
    const group = Math.floor(i / length);
    levels[i] = nearestLevel(weights[i], scales[group], zeros ? zeros[group] : middle(bits), bits);
  }
  return encoding;
}

/** The level whose weight is nearest. */
export function nearestLevel(weight: number, scale: number, zero: number, bits: number): number {
  return Math.min(2 ** bits - 1, Math.max(0, roundEven(weight / scale) + zero));
}

/**
 * Bits of each level by how often it stands, as an adaptive coder comes to pay; one that never stands costs as if it stood once.
 * @param out - as many. Default: a new array
 */
export function bitsOfLevels(counts: Float64Array, out = new Float64Array(counts.length)): Float64Array {
  let total = 0;
  for (let level = 0; level < counts.length; level++) total += counts[level];
  for (let level = 0; level < counts.length; level++)
    out[level] = log((total + 1) / Math.max(1, counts[level])) / Math.LN2;
  return out;
}
