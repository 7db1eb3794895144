/**
 * Sparse encoding: most weights are zero, and the few that are not are an encoding of their own, dense or of codewords
 * (Han, Mao, Dally, "Deep Compression", ICLR 2016, sections 2 and 3). Where they stand is stored as in section 2 there:
 * relative indices of a few bits. What is trained are the values of the inner encoding, so zeros stay zeros in
 * retraining by construction. Glossary: n values, each at its position in the row-major weights; a gap is the number of
 * zeros between two of them.
 *
 * In a file it is `.gaps` (U8; numbers of `bits` bits, lowest bit first) and the tensors of the inner encoding, a vector of
 * n numbers, under `.values`. A number below 2^bits - 1 is a gap with a value behind it; 2^bits - 1 stands for as many
 * zeros and no value, where the paper spends a value of 0. The width is the one that takes the fewest bits. The header has
 * `bits`, the number of `gaps`, and the inner header as `values`.
 */
import { show } from '../../base/errors.ts';
import { arrayName, own } from '../../base/realm.ts';
import { sizeOf, type Shape } from '../../base/tensor.ts';
import { packCodes, packedBytes, unpackCodes } from '../bits.ts';
import { checkBytes, checkDtype, checkLength, headerShape, invalid, isInteger, matrixSides } from '../checks.ts';
import type {
  EncodingHeader,
  EncodingOperations,
  EncodingPlace,
  EncodingReading,
  EncodingSize,
  Length,
  StoredTensor,
} from '../kind.ts';
import { denseOperations, denseReading, type DenseEncoding } from './dense.ts';
import { productOperations, productReading, type ProductEncoding } from './product.ts';

/** What the values of a sparse encoding may be stored as. */
export type SparseValues = DenseEncoding | ProductEncoding;

export interface SparseEncoding {
  readonly kind: 'sparse';
  readonly shape: Shape;
  /** (n), n at least 1: where the values stand among the row-major weights, ascending. */
  readonly positions: Uint32Array;
  /** Of shape (n). */
  readonly values: SparseValues;
}

/** Where a sparse encoding lies on a heap: `values` are those of the inner encoding. */
export interface SparsePlace extends EncodingPlace {
  readonly inner: EncodingPlace;
  /** The positions, a word each. */
  readonly positions: number;
  /** For each weight the number of its value; n, behind the last value, is a zero. */
  readonly numbers: number;
}

/** Widest relative index. */
const MOST_BITS = 8;
const SUFFIX = '.values';

/** The table is keyed by kind, so an encoding fits its entry; the type system cannot follow that through a lookup. */
function readingOf({ kind }: { readonly kind: SparseValues['kind'] }): EncodingReading<SparseValues> {
  return (kind === 'dense' ? denseReading : productReading) as unknown as EncodingReading<SparseValues>;
}
function operationsOf({ kind }: SparseValues): EncodingOperations<SparseValues> {
  return (kind === 'dense' ? denseOperations : productOperations) as unknown as EncodingOperations<SparseValues>;
}

function read(name: string, header: EncodingHeader, get: (suffix: string) => StoredTensor): SparseEncoding {
  const shape = headerShape(name, header.shape);
  const { bits, gaps: count, values: inner } = own(header as EncodingHeader & Record<string, unknown>);
  if (!isInteger(bits, 1, MOST_BITS))
    throw invalid(name, `bits: expected a whole number from 1 to ${MOST_BITS}, got ${show(bits)}`, bits);
  if (!isInteger(count, 1, sizeOf(shape)))
    throw invalid(name, `gaps: expected a whole number from 1 to ${sizeOf(shape)}, got ${show(count)}`, count);
  if (typeof inner !== 'object' || inner === null)
    throw invalid(name, `values: expected the header of an encoding, got ${show(inner)}`, inner);
  const { kind, shape: innerShape } = own(inner as EncodingHeader);
  if (kind !== 'dense' && kind !== 'product')
    throw invalid(name, `values: kind: expected dense or product, got ${show(kind)}`, kind);
  const stored = get('.gaps');
  checkDtype(`${name}.gaps`, stored, 'U8');
  checkBytes(`${name}.gaps`, stored, packedBytes(count, bits));
  const positions = positionsOf(unpackCodes(stored.bytes, count, bits, `${name}.gaps`), bits);
  const last = positions[positions.length - 1];
  if (positions.length === 0 || last === undefined || last >= sizeOf(shape))
    throw invalid(
      name,
      `gaps: expected at least one value, all within ${sizeOf(shape)} weights and one behind the last gap, got ${positions.length}, the last at ${show(last)}`,
      last,
    );
  if (headerShape(name, innerShape).join() !== `${positions.length}`)
    throw invalid(
      name,
      `values: shape: expected [${positions.length}], as many as gaps that end at one, got ${show(innerShape)}`,
      innerShape,
    );
  const values = readingOf({ kind }).read(name + SUFFIX, inner as EncodingHeader, (suffix) => get(SUFFIX + suffix));
  return { kind: 'sparse', shape, positions, values };
}

/** Positions from gaps; none if the last gap has no value behind it. Beyond 2^32 they stay there, above any shape. */
function positionsOf(gaps: Uint16Array, bits: number): Uint32Array {
  const escape = 2 ** bits - 1;
  if (gaps[gaps.length - 1] === escape) return new Uint32Array(0);
  const positions = new Uint32Array(gaps.reduce((sum, gap) => sum + (gap === escape ? 0 : 1), 0));
  let at = 0;
  let i = 0;
  for (const gap of gaps) {
    at += gap;
    if (gap === escape) continue;
    positions[i++] = Math.min(at, 2 ** 32 - 1);
    at++;
  }
  return positions;
}

/** Numbers of `bits` bits that the positions take. */
function gapCount(positions: Uint32Array, bits: number): number {
  const escape = 2 ** bits - 1;
  let count = positions.length;
  for (let i = 0, next = 0; i < positions.length; next = positions[i++] + 1)
    count += Math.floor((positions[i] - next) / escape);
  return count;
}

/** The width that takes the fewest bits, of equal ones the least, and the numbers of it. */
function bestWidth(positions: Uint32Array): { bits: number; count: number } {
  let best = { bits: 1, count: gapCount(positions, 1) };
  for (let bits = 2; bits <= MOST_BITS; bits++) {
    const count = gapCount(positions, bits);
    if (bits * count < best.bits * best.count) best = { bits, count };
  }
  return best;
}

function gapsOf(positions: Uint32Array, { bits, count }: { bits: number; count: number }): Uint8Array {
  const escape = 2 ** bits - 1;
  const gaps = new Uint8Array(count);
  let at = 0;
  let next = 0;
  for (const position of positions) {
    let gap = position - next;
    for (; gap >= escape; gap -= escape) gaps[at++] = escape;
    gaps[at++] = gap;
    next = position + 1;
  }
  return gaps;
}

function lengths({ shape, positions, values }: SparseEncoding): Length[] {
  const size = sizeOf(shape);
  const wrong = positions.findIndex((position, i) => position >= size || (i > 0 && position <= positions[i - 1]));
  return [
    ['values', sizeOf(values.shape), positions.length],
    ['positions within the shape, ascending', wrong < 0 ? positions.length : wrong, Math.max(1, positions.length)],
    ...readingOf(values).lengths(values),
  ];
}

/** The half that a page carries which runs a model. */
export const sparseReading: EncodingReading<SparseEncoding, SparsePlace> = {
  kind: 'sparse',
  trainedCount: ({ values }) => readingOf(values).trainedCount(values),
  trainedValues: ({ values }) => readingOf(values).trainedValues(values),
  read,
  lengths,
  place({ shape, positions, values }, { dense, source }) {
    const inner = readingOf(values).place(values, { dense: source(positions.length + 1), source });
    return { dense, values: inner.values, inner, positions: source(positions.length), numbers: source(sizeOf(shape)) };
  },
  fill(heap, { inner, positions: at, numbers }, { shape, positions, values }) {
    readingOf(values).fill(heap, inner, values);
    heap.float[inner.dense + positions.length] = 0;
    heap.int.set(positions, at);
    heap.int.fill(positions.length, numbers, numbers + sizeOf(shape));
    positions.forEach((position, i) => (heap.int[numbers + position] = i));
  },
  // Each weight is the codeword of its number: codewords are the values and a zero behind them.
  decodeOnHeap({ shape, positions, values }, { dense, inner, numbers }, run) {
    readingOf(values).decodeOnHeap(values, inner, run);
    const { rows, columns } = matrixSides(shape);
    run('codebookDecode', {
      ...picked(rows, columns, positions.length + 1),
      codewords: inner.dense,
      codes: numbers,
      to: dense,
    });
  },
};

/** What the kernel asks to pick (rows, columns) single numbers by theirs. */
function picked(rows: number, columns: number, codewordCount: number) {
  return { rows, columns, first: 0, subspaceCount: columns, subvectorLength: 1, codewordCount, signs: -1 };
}

/** The other half: training, writing, reports. */
export const sparseOperations: EncodingOperations<SparseEncoding, SparsePlace> = {
  kind: 'sparse',

  decode({ shape, positions, values }, out) {
    const weights = out ?? new Float32Array(sizeOf(shape));
    checkLength('decode', 'out', weights, sizeOf(shape));
    const kept = operationsOf(values).decode(values);
    weights.fill(0);
    positions.forEach((position, i) => (weights[position] = kept[i]));
    return weights;
  },

  withTrainedValues: (encoding, values) => ({
    ...encoding,
    values: operationsOf(encoding.values).withTrainedValues(encoding.values, values),
  }),

  pullback({ shape, positions, values }, gradient) {
    checkLength('pullback', 'gradient', gradient, sizeOf(shape));
    const kept =
      arrayName(gradient) === 'Float64Array' ? new Float64Array(positions.length) : new Float32Array(positions.length);
    positions.forEach((position, i) => (kept[i] = gradient[position]));
    return operationsOf(values).pullback(values, kept as typeof gradient);
  },
  counts: ({ values }) => operationsOf(values).counts(values),

  // The transpose of picking is to pick the gradients of the values, since each value stands in one place.
  pullbackOnHeap(encoding, { inner, positions: at }, { dense, values: to, room }, run) {
    const { shape, positions, values } = encoding;
    const isTrained = inner.values === inner.dense;
    const kept = isTrained ? to : room(positions.length);
    run('codebookDecode', { ...picked(positions.length, 1, sizeOf(shape)), codewords: dense, codes: at, to: kept });
    if (!isTrained) operationsOf(values).pullbackOnHeap(values, inner, { dense: kept, values: to, room }, run);
  },

  structure({ positions, values }) {
    const { bits, count } = bestWidth(positions);
    return [bits, count, values.kind === 'dense' ? 0 : 1, ...operationsOf(values).structure(values)];
  },

  size({ positions, values }) {
    const { bits, count } = bestWidth(positions);
    return withGaps(operationsOf(values).size(values), 8 * packedBytes(count, bits));
  },

  write({ shape, positions, values }) {
    const width = bestWidth(positions);
    const { bits, count } = width;
    const packed = packCodes(gapsOf(positions, width), bits);
    const { header, tensors } = operationsOf(values).write(values);
    return {
      header: { kind: 'sparse', shape, bits, gaps: count, values: header },
      tensors: [
        {
          suffix: '.gaps',
          dtype: 'U8',
          shape: [packed.length],
          bytes: packed,
          cells: [{ bits, count, columns: count }],
        },
        ...tensors.map((tensor) => ({ ...tensor, suffix: SUFFIX + tensor.suffix })),
      ],
    };
  },

  canonical: (encoding) => ({ ...encoding, values: operationsOf(encoding.values).canonical(encoding.values) }),

  toHalves(encoding) {
    const values = operationsOf(encoding.values).toHalves!(encoding.values);
    return values && { ...encoding, values };
  },

  describe: ({ shape, positions, values }) =>
    sparseWords(positions.length / sizeOf(shape), operationsOf(values).describe(values)),
};

function withGaps(size: EncodingSize, gaps: number): EncodingSize {
  return { ...size, codes: size.codes + gaps, total: size.total + gaps };
}

/** '10% of the weights, 32 codewords of 1'. `values`: in words, how they are stored. */
export function sparseWords(density: number, values: string): string {
  return `${Number((100 * density).toPrecision(3))}% of the weights, ${values}`;
}

/**
 * Most bits that the gaps of `kept` of `weights` weights take, wherever they stand: with as many numbers without a value as
 * fit in the zeros.
 */
export function mostGapBits(weights: number, kept: number): number {
  const bits = Array.from({ length: MOST_BITS }, (_, i) => {
    const escapes = Math.floor((weights - kept) / (2 ** (i + 1) - 1));
    return 8 * packedBytes(kept + escapes, i + 1);
  });
  return Math.min(...bits);
}
