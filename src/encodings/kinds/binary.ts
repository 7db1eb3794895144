/**
 * Binary encoding: every weight is its sign times a scale, of the parameter or of its row as a matrix (output channel), as
 * in Courbariaux et al., "Binarized neural networks", NIPS 2016, with the scales of Rastegari et al., "XNOR-Net", ECCV
 * 2016, section 3.1. The scales are trained; signs stay.
 *
 * In a file it is `.signs` (U8; one bit per weight, lowest first, 1 = negative) and `.scales` (F32). The header has the
 * number of `scales`.
 */
import { checkFinite, show } from '../../base/errors.ts';
import { arrayName } from '../../base/realm.ts';
import { sizeOf, type Shape } from '../../base/tensor.ts';
import { checkLeftOver, packedBytes } from '../bits.ts';
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

export interface BinaryEncoding {
  readonly kind: 'binary';
  readonly shape: Shape;
  /** One bit per weight, row-major, 1 = negative; bit (i & 7) of byte i >> 3. Those left over are 0. */
  readonly signs: Uint8Array;
  /** One, or one per row. From 0 as fitted, but training may move them below zero. */
  readonly scales: Float32Array;
}

const signOf = ({ signs }: BinaryEncoding, i: number): number => ((signs[i >> 3] >> (i & 7)) & 1 ? -1 : 1);
/** Weights per scale. */
const groupLength = ({ shape, scales }: BinaryEncoding): number => sizeOf(shape) / scales.length;

function read(name: string, header: EncodingHeader, get: (suffix: string) => StoredTensor): BinaryEncoding {
  const shape = headerShape(name, header.shape);
  const { rows, columns } = matrixSides(shape);
  const { scales: count } = header;
  if (rows * columns === 0)
    throw invalid(name, `shape: expected at least one weight, got [${shape.join(', ')}]`, shape);
  if (count !== 1 && count !== rows)
    throw invalid(name, `scales: expected 1 or ${rows}, one per row, got ${show(count)}`, count);
  const storedSigns = get('.signs');
  checkDtype(`${name}.signs`, storedSigns, 'U8');
  checkBytes(`${name}.signs`, storedSigns, packedBytes(rows * columns, 1));
  checkLeftOver('read', `${name}.signs`, storedSigns.bytes, rows * columns);
  const storedScales = get('.scales');
  checkDtype(`${name}.scales`, storedScales, 'F32');
  checkBytes(`${name}.scales`, storedScales, 4 * count);
  const scales = floatsOf(storedScales.bytes);
  checkFinite('read', `${name}.scales`, scales);
  return { kind: 'binary', shape, signs: new Uint8Array(storedSigns.bytes), scales };
}

function lengths({ shape, signs, scales }: BinaryEncoding): Length[] {
  return [
    ['signs', signs.length, packedBytes(sizeOf(shape), 1)],
    ['scales', scales.length, scales.length === 1 ? 1 : matrixSides(shape).rows],
  ];
}

/** The half that a page carries which runs a model. */
export const binaryReading: EncodingReading<BinaryEncoding, ScaledPlace> = {
  kind: 'binary',
  trainedCount: ({ scales }) => scales.length,
  trainedValues: ({ scales }) => scales.slice(),
  read,
  lengths,
  place: ({ shape, scales }, room) => placeScaled(shape, scales.length, room),
  fill(heap, { values, factors, shift }, encoding) {
    const { shape, scales } = encoding;
    heap.float.set(scales, values);
    heap.float.fill(0, shift, shift + scales.length);
    for (let i = 0; i < sizeOf(shape); i++) heap.float[factors + i] = signOf(encoding, i);
  },
  decodeOnHeap: (encoding, place, run) => decodeScaled(place, encoding.scales.length, groupLength(encoding), run),
};

/** The other half: training, writing, reports. */
export const binaryOperations: EncodingOperations<BinaryEncoding, ScaledPlace> = {
  kind: 'binary',

  decode(encoding, out) {
    const size = sizeOf(encoding.shape);
    const length = groupLength(encoding);
    const values = out ?? new Float32Array(size);
    checkLength('decode', 'out', values, size);
    // + 0: of a scale of 0 all weights are 0.
    for (let i = 0; i < size; i++) values[i] = signOf(encoding, i) * encoding.scales[Math.floor(i / length)] + 0;
    return values;
  },

  withTrainedValues(encoding, values) {
    checkLength('withTrainedValues', 'values', values, encoding.scales.length);
    return { ...encoding, scales: values.slice() };
  },

  /** Summed in double. */
  pullback(encoding, gradient) {
    checkLength('pullback', 'gradient', gradient, sizeOf(encoding.shape));
    const length = groupLength(encoding);
    const sums = new Float64Array(encoding.scales.length);
    for (let i = 0; i < gradient.length; i++) sums[Math.floor(i / length)] += signOf(encoding, i) * gradient[i];
    return (arrayName(gradient) === 'Float64Array' ? sums : Float32Array.from(sums)) as typeof gradient;
  },
  counts: (encoding) => new Float32Array(encoding.scales.length).fill(groupLength(encoding)),

  pullbackOnHeap: (encoding, place, places, run) =>
    pullbackScaled(place, places, encoding.scales.length, groupLength(encoding), run),

  structure: ({ signs, scales }) => [signs.length, scales.length],
  size: ({ shape, scales }) => binarySize(sizeOf(shape), scales.length),

  write({ shape, signs, scales }) {
    const { rows, columns } = matrixSides(shape);
    return {
      header: { kind: 'binary', shape, scales: scales.length },
      tensors: [
        {
          suffix: '.signs',
          dtype: 'U8',
          shape: [signs.length],
          bytes: signs.slice(),
          cells: [{ bits: 1, count: rows * columns, columns }],
        },
        { suffix: '.scales', dtype: 'F32', shape: [scales.length], bytes: new Uint8Array(scales.slice().buffer) },
      ],
    };
  },

  canonical: (encoding) => encoding,
  describe: ({ scales }) => binaryWords(scales.length),
};

/** Bits of `weights` signs and their scales, before there are any. */
export function binarySize(weights: number, scales: number): EncodingSize {
  const signs = 8 * packedBytes(weights, 1);
  return { values: 0, codes: 0, signs, codebooks: 32 * scales, total: signs + 32 * scales };
}

/** 'signs, 64 scales'. */
export const binaryWords = (scales: number): string => `signs, ${scales} scale${scales === 1 ? '' : 's'}`;
