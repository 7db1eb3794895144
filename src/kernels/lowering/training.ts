/** The operations of training in kernels: gradients and updates. */
import { geometryWords } from '../specification/geometry.ts';
import type { Moved } from '../specification/operations.ts';
import { cut, cutWords, piecesOf } from './cut.ts';
import { cutProduct } from './inference.ts';
import type { Lowerings } from './lowering.ts';
import { reducedPieces } from './reduction.ts';
import { elementsOf, joinSides, rowMajor, sideWords, type Side } from './sides.ts';

/** By operation. */
export const TRAINING_LOWERINGS = {
  denseBackwardInput({ samples, inputs, outputs, dy, weight, dx }, { sizes, needsScratch, step }) {
    needsScratch(sizes.scratchWords('matmul', undefined, [samples, inputs, outputs]));
    step(
      'matmul',
      cutProduct(inputs, samples * inputs * outputs).map(([first, count]) => ({
        ...PLAIN,
        m: samples,
        n: count,
        k: outputs,
        a: dy,
        aRow: outputs,
        aColumn: 1,
        b: weight + first,
        bRow: inputs,
        bColumn: 1,
        c: dx + first,
        cRow: inputs,
      })),
    );
  },

  denseBackwardWeight({ samples, inputs, outputs, x, dy, dweight }, { sizes, needsScratch, step }) {
    needsScratch(sizes.scratchWords('matmul', undefined, [outputs, inputs, samples]));
    step(
      'matmul',
      cutProduct(outputs, samples * inputs * outputs).map(([first, count]) => ({
        ...PLAIN,
        m: count,
        n: inputs,
        k: samples,
        a: dy + first,
        aRow: 1,
        aColumn: outputs,
        b: x,
        bRow: inputs,
        bColumn: 1,
        c: dweight + first * inputs,
        cRow: inputs,
      })),
    );
  },

  convolutionBackwardInput({ geometry, samples, dy, weight, dx }, context) {
    const { sizes, integers, kept, needsScratch, prepare, step } = context;
    const at = integers(geometryWords(geometry));
    const packed = kept(`packedBackward ${weight}`, sizes.packedWords(geometry, 'transposed'));
    needsScratch(sizes.scratchWords('convolutionPack', geometry));
    needsScratch(sizes.scratchWords('convolutionBackwardInput', geometry));
    prepare('convolutionPack', [{ geometry: at, weights: weight, packed, transposed: 1 }]);
    step(
      'convolutionBackwardInput',
      cut(samples).map(([sample, count]) => ({ geometry: at, dy, packed, dx, sample, samples: count })),
    );
  },

  convolutionBackwardWeight({ geometry, samples, x, dy, dweight }, context) {
    const { sizes, integers, needsScratch, temporary, step } = context;
    const { channelsIn, channelsOut, groups, kernelHeight, kernelWidth } = geometry;
    const at = integers(geometryWords(geometry));
    needsScratch(sizes.scratchWords('convolutionBackwardWeights', geometry));
    const words = channelsOut * (channelsIn / groups) * kernelHeight * kernelWidth;
    const runs = cut(samples);
    const parts = runs.length === 1 ? dweight : temporary(words * runs.length);
    step(
      'convolutionBackwardWeights',
      runs.map(([sample, count], i) => ({
        geometry: at,
        x,
        dy,
        dw: parts + i * words,
        sample,
        samples: count,
        accumulate: 0,
      })),
    );
    if (runs.length > 1) step('sumParts', partSums(parts, dweight, runs.length, words));
  },

  channelSums({ x, out, samples, channels, positions }, { step }) {
    // Without positions it is a bias of a dense layer: little to do.
    step(
      'channelSums',
      cut(channels, 1, positions === 1 ? 1 : undefined).map(([channel, count]) => ({
        x,
        out,
        samples,
        allChannels: channels,
        positions,
        channel,
        channels: count,
      })),
    );
  },

  activationBackward({ from, dy, dx, count, activation, parameters }, { sizes, needsScratch, step }) {
    needsScratch(sizes.scratchWords('activationBackward'));
    step(
      'activationBackward',
      cutWords(count).map(([first, length]) => ({
        from: from + first,
        dy: dy + first,
        dx: dx + first,
        count: length,
        activation,
        parameters,
      })),
    );
  },

  maxPoolBackward({ geometry, planes, dy, argmax, dx }, { integers, step }) {
    const at = integers(geometryWords(geometry));
    step(
      'maxPoolBackward',
      cut(planes).map(([plane, count]) => ({ geometry: at, dy, argmax, dx, plane, planes: count })),
    );
  },

  averagePoolBackward({ geometry, planes, dy, dx, countPadding }, { integers, step }) {
    const at = integers(geometryWords(geometry));
    step(
      'averagePoolBackward',
      cut(planes).map(([plane, count]) => ({ geometry: at, dy, dx, countPadding, plane, planes: count })),
    );
  },

  affineBackward({ dy, scale, dx, samples, channels, positions }, { step }) {
    step(
      'affineBackward',
      cut(samples).map(([sample, count]) => ({
        dy: dy + sample * channels * positions,
        scale,
        dx: dx + sample * channels * positions,
        samples: count,
        allChannels: channels,
        positions,
      })),
    );
  },

  affineBackwardParameters({ channels, ...call }, { step }) {
    step(
      'affineBackwardParameters',
      channelRuns(channels).map((run) => ({ ...call, ...run })),
    );
  },

  batchNormForward({ channels, ...call }, { step }) {
    step(
      'batchNormForward',
      channelRuns(channels).map((run) => ({ ...call, ...run })),
    );
  },

  batchNormBackward({ channels, ...call }, { step }) {
    step(
      'batchNormBackward',
      channelRuns(channels).map((run) => ({ ...call, ...run })),
    );
  },

  standardizeBackward({ x, dy, inverse, dx, rows, columns }, { step }) {
    step(
      'standardizeBackward',
      cut(rows, 1, piecesOf(rows * columns)).map(([row, count]) => ({
        x: x + row * columns,
        dy: dy + row * columns,
        inverse: inverse + row,
        dx: dx + row * columns,
        rows: count,
        columns,
      })),
    );
  },

  softmaxBackward({ y, dy, dx, rows, columns }, { step }) {
    step(
      'softmaxBackward',
      cut(rows).map(([row, count]) => ({
        y: y + row * columns,
        dy: dy + row * columns,
        dx: dx + row * columns,
        rows: count,
        columns,
      })),
    );
  },

  multiply({ a, b, y, count }, { step }) {
    step(
      'multiply',
      cutWords(count).map(([first, length]) => ({ a: a + first, b: b + first, y: y + first, count: length })),
    );
  },

  binaryBackward({ a, b, dy, dx, sides, aStrides, bStrides, operation, side }, context) {
    const { sizes, integers, needsScratch, step } = context;
    const dyStrides = rowMajor(sides);
    const all = sides.map((count, axis) => ({ count, strides: [aStrides[axis], bStrides[axis], dyStrides[axis]] }));
    const isKept = ({ strides }: Side): boolean => strides[side] !== 0;
    const kept = joinSides(all.filter(isKept)),
      summed = joinSides(all.filter((one) => !isKept(one)));
    const [{ count: outer, strides }] = kept;
    const own = elementsOf(kept);
    const words = own * elementsOf(summed);
    const at = integers(sideWords([...kept, ...summed], 3));
    needsScratch(sizes.scratchWords('binaryBackward'));
    step(
      'binaryBackward',
      cut(outer, kept.length === 1 ? 4 : 1, piecesOf(words)).map(([first, count]) => ({
        a: a + first * strides[0],
        b: b + first * strides[1],
        dy: dy + first * strides[2],
        dx: dx + first * (own / outer),
        sides: at,
        rank: kept.length + summed.length,
        kept: kept.length,
        outer: count,
        operation,
        side,
      })),
    );
  },

  reduceBackward({ x, y, dy, dx, sides, axes, operation }, context) {
    context.needsScratch(context.sizes.scratchWords('reduceBackward'));
    context.step(
      'reduceBackward',
      reducedPieces(sides, axes, context).map(({ from, to, call }) => ({
        ...call,
        x: x + from,
        y: y + to,
        dy: dy + to,
        dx: dx + from,
        operation,
      })),
    );
  },

  codebookPullback(call, { sizes, needsScratch, temporary, step }) {
    const { gradient, columns, first, rows, codes, signs, dcodewords } = call;
    const { subspaceCount: M, subvectorLength: d, codewordCount: K } = call;
    needsScratch(sizes.scratchWords('codebookPullback', undefined, [K, d]));
    const runs = cut(rows);
    const parts = temporary(runs.length * K * d);
    step(
      'codebookPullback',
      runs.map(([row, count], i) => ({
        gradient,
        columns,
        first,
        row,
        rows: count,
        M,
        d,
        codes,
        signs,
        k: K,
        dcodewords: parts + i * K * d,
      })),
    );
    step('sumParts', partSums(parts, dcodewords, runs.length, K * d));
  },

  clipScale({ gradients, limit, out }, { temporary, step }) {
    const squares = gradients.flatMap(({ at, count }) =>
      cutWords(count).map(([first, length]) => ({ x: at + first, count: length })),
    );
    const parts = temporary(squares.length);
    step(
      'sumSquares',
      squares.map((piece, i) => ({ ...piece, out: parts + i })),
    );
    step('clipScale', [{ parts, count: squares.length, limit, out }]);
  },

  sgdUpdate({ moved, hyper, clip }, { step }) {
    step(
      'sgdUpdate',
      movedRuns(moved).map(({ w, g, state: [v], count }) => ({ w, g, v, count, hyper, clip })),
    );
  },

  adamUpdate({ moved, hyper, clip }, { step }) {
    step(
      'adamUpdate',
      movedRuns(moved).map(({ w, g, state: [m, v], count }) => ({ w, g, m, v, count, hyper, clip })),
    );
  },
} satisfies Lowerings;

/** matmul that overwrites, with neither bias nor activation. */
const PLAIN = { flags: 0, bias: -1, activation: 0, parameters: 0 } as const;

/** Pieces of sumParts over `parts` parts of `words` words that lie one after the other. */
function partSums(from: number, to: number, parts: number, words: number) {
  return cutWords(words).map(([first, count]) => ({ x: from + first, out: to + first, parts, stride: words, count }));
}

function channelRuns(channels: number) {
  return cut(channels).map(([channel, count]) => ({ allChannels: channels, channel, channels: count }));
}

/** What an optimizer moves, parameter by parameter, in pieces. */
function movedRuns(moved: readonly Moved[]) {
  return moved.flatMap(({ values, gradient, state, count }) =>
    cutWords(count).map(([first, length]) => ({
      w: values + first,
      g: gradient + first,
      state: state.map((slot) => slot + first),
      count: length,
    })),
  );
}
