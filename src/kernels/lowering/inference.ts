/** The operations of inference in kernels. */
import { sizeOf } from '../../base/tensor.ts';
import { geometryWords } from '../specification/geometry.ts';
import type { Call } from '../specification/kernels.ts';
import type { Room } from '../specification/operations.ts';
import { MATMUL } from '../types.ts';
import { elementsOf, joinSides, sideWords, type Side } from './sides.ts';
import { cut, cutWords, piecesOf, type Run } from './cut.ts';
import type { Lowerings } from './lowering.ts';
import { reducedPieces } from './reduction.ts';
import { joinTables, turnOf, type Turned } from './tables.ts';

/** Outputs of a dense layer, or what its gradients have instead: a product that is small is not worth cutting. */
export function cutProduct(count: number, work: number): Run[] {
  return cut(count, 16, work < 1 << 18 ? 1 : 8);
}

/** Rows, but few of them if they are short. */
function cutRows(rows: number, columns: number): Run[] {
  return cut(rows, 1, piecesOf(rows * columns));
}

/** By operation. */
export const INFERENCE_LOWERINGS = {
  denseForward(
    { samples, inputs, outputs, x, weight, bias, y, activation, parameters },
    { sizes, needsScratch, step },
  ) {
    needsScratch(sizes.scratchWords('matmul', undefined, [samples, outputs, inputs]));
    step(
      'matmul',
      cutProduct(outputs, samples * inputs * outputs).map(([first, count]) => ({
        m: samples,
        n: count,
        k: inputs,
        a: x,
        aRow: inputs,
        aColumn: 1,
        b: weight + first * inputs,
        bRow: 1,
        bColumn: inputs,
        c: y + first,
        cRow: outputs,
        flags: bias < 0 ? 0 : MATMUL.biasPerColumn,
        bias: bias < 0 ? -1 : bias + first,
        activation,
        parameters,
      })),
    );
  },

  convolutionForward({ geometry, samples, x, weight, bias, y, activation, parameters }, context) {
    const { sizes, integers, kept, needsScratch, prepare, step } = context;
    const at = integers(geometryWords(geometry));
    const packed = kept(`packed ${weight}`, sizes.packedWords(geometry, 'forward'));
    needsScratch(sizes.scratchWords('convolutionPack', geometry));
    needsScratch(sizes.scratchWords('convolutionForward', geometry));
    prepare('convolutionPack', [{ geometry: at, weights: weight, packed, transposed: 0 }]);
    // Whole samples where the batch is large; within a sample runs that suit the kernel.
    const runs = cut(geometry.heightOut * geometry.widthOut, sizes.forwardRun(geometry), samples >= 4 ? 1 : 8);
    step(
      'convolutionForward',
      cut(samples).flatMap(([sample, count]) =>
        runs.map(([position, positions]) => ({
          geometry: at,
          x,
          packed,
          bias,
          y,
          sample,
          samples: count,
          position,
          positions,
          activation,
          parameters,
        })),
      ),
    );
  },

  transposedForward({ geometry, samples, weight, ...call }, context) {
    const { sizes, integers, kept, needsScratch, prepare, step } = context;
    const at = integers(geometryWords(geometry));
    const packed = kept(`packedTransposed ${weight}`, sizes.packedWords(geometry, 'transposed'));
    needsScratch(sizes.scratchWords('convolutionPack', geometry));
    needsScratch(sizes.scratchWords('transposedForward', geometry));
    prepare('convolutionPack', [{ geometry: at, weights: weight, packed, transposed: 2 }]);
    step(
      'transposedForward',
      cut(samples).map(([sample, count]) => ({ ...call, geometry: at, packed, sample, samples: count })),
    );
  },

  activationForward({ x, y, count, activation, parameters }, { sizes, needsScratch, step }) {
    needsScratch(sizes.scratchWords('activationForward'));
    step(
      'activationForward',
      cutWords(count).map(([first, length]) => ({ x: x + first, y: y + first, count: length, activation, parameters })),
    );
  },

  maxPoolForward({ geometry, planes, x, y, argmax }, { sizes, integers, needsScratch, step }) {
    needsScratch(sizes.scratchWords('maxPoolForward', geometry));
    const at = integers(geometryWords(geometry));
    step(
      'maxPoolForward',
      cut(planes).map(([plane, count]) => ({ geometry: at, x, y, argmax, plane, planes: count })),
    );
  },

  averagePoolForward({ geometry, planes, x, y, countPadding }, { sizes, integers, needsScratch, step }) {
    needsScratch(sizes.scratchWords('averagePoolForward', geometry));
    const at = integers(geometryWords(geometry));
    step(
      'averagePoolForward',
      cut(planes).map(([plane, count]) => ({ geometry: at, x, y, countPadding, plane, planes: count })),
    );
  },

  affineForward({ x, scale, shift, y, samples, channels, positions, activation, parameters }, { step }) {
    const whole = { scale, shift, positions, activation, parameters };
    // The channels of one sample lie like samples of their own.
    if (samples === 1)
      return step(
        'affineForward',
        cutRows(channels, positions).map(([channel, count]) => ({
          ...whole,
          x: x + channel * positions,
          scale: scale + channel,
          shift: shift + channel,
          y: y + channel * positions,
          samples: 1,
          allChannels: count,
        })),
      );
    step(
      'affineForward',
      cut(samples).map(([sample, count]) => ({
        ...whole,
        x: x + sample * channels * positions,
        y: y + sample * channels * positions,
        samples: count,
        allChannels: channels,
      })),
    );
  },

  batchNormFold(call, { step }) {
    step('batchNormFold', [call]);
  },

  standardizeForward({ rows, ...call }, { step }) {
    step(
      'standardizeForward',
      cut(rows, 1, piecesOf(rows * call.channels * call.positions)).map(([row, count]) => ({
        ...call,
        row,
        rows: count,
      })),
    );
  },

  products({ sides, aStrides, bStrides, cStrides, ...call }, { sizes, integers, needsScratch, step }) {
    const { m, n, k, a, b, bColumn, c } = call;
    const all = sides.map((count, axis) => ({ count, strides: [aStrides[axis], bStrides[axis], cStrides[axis]] }));
    const isKept = ({ strides }: Side): boolean => strides[2] !== 0;
    const kept = joinSides(all.filter(isKept)),
      summed = joinSides(all.filter((one) => !isKept(one)));
    needsScratch(sizes.scratchWords('matmul', undefined, [m, n, k]));
    if (elementsOf([...kept, ...summed]) === 1)
      return step(
        'matmul',
        cutProduct(n, m * n * k).map(([first, count]) => ({
          ...call,
          ...{ n: count, b: b + first * bColumn, c: c + first, flags: 0, bias: -1, activation: 0, parameters: 0 },
        })),
      );
    const [{ count: outer, strides }] = kept;
    const at = integers(sideWords([...kept, ...summed], 3));
    step(
      'products',
      cut(outer).map(([first, count]) => ({
        ...call,
        ...{ a: a + first * strides[0], b: b + first * strides[1], c: c + first * strides[2] },
        ...{ sides: at, rank: kept.length + summed.length, kept: kept.length, outer: count },
      })),
    );
  },

  softmaxForward({ x, y, outer, length, inner }, { step }) {
    const piece = (at: number, some: number, count: number): Call<'softmaxForward'> => ({
      ...{ x: x + at, y: y + at, outer: some, length, inner, count },
    });
    step(
      'softmaxForward',
      outer === 1 && inner > 1
        ? cut(inner, 4, piecesOf(length * inner)).map(([first, count]) => piece(first, 1, count))
        : cut(outer).map(([first, count]) => piece(first * length * inner, count, inner)),
    );
  },

  add({ a, b, y, count, activation, parameters }, { step }) {
    step(
      'add',
      cutWords(count).map(([first, length]) => ({
        a: a + first,
        b: b + first,
        y: y + first,
        count: length,
        activation,
        parameters,
      })),
    );
  },

  copyRows({ from, fromStride, to, toStride, rows, columns }, { step }) {
    if (from === to && (fromStride === toStride || rows <= 1)) return;
    step(
      'copyRows',
      cutRows(rows, columns).map(([row, count]) => ({
        from: from + row * fromStride,
        fromStride,
        to: to + row * toStride,
        toStride,
        rows: count,
        columns,
      })),
    );
  },

  copy({ from, to, count }, { step }) {
    if (from === to) return;
    step(
      'copyRows',
      cutWords(count).map(([first, length]) => ({
        from: from + first,
        fromStride: length,
        to: to + first,
        toStride: length,
        rows: 1,
        columns: length,
      })),
    );
  },

  binaryForward({ a, b, y, sides, aStrides, bStrides, operation }, { sizes, integers, needsScratch, step }) {
    needsScratch(sizes.scratchWords('binaryForward'));
    const joined = joinSides(sides.map((count, axis) => ({ count, strides: [aStrides[axis], bStrides[axis]] })));
    const [{ count: outer, strides }] = joined;
    const words = elementsOf(joined);
    const at = integers(sideWords(joined, 2));
    step(
      'binaryForward',
      cut(outer, joined.length === 1 ? 4 : 1, piecesOf(words)).map(([first, count]) => ({
        a: a + first * strides[0],
        b: b + first * strides[1],
        y: y + first * (words / outer),
        sides: at,
        rank: joined.length,
        outer: count,
        operation,
      })),
    );
  },

  reduceForward({ x, y, sides, axes, operation }, context) {
    context.needsScratch(context.sizes.scratchWords('reduceForward'));
    context.step(
      'reduceForward',
      reducedPieces(sides, axes, context).map(({ from, to, call }) => ({ ...call, x: x + from, y: y + to, operation })),
    );
  },

  argMax({ x, y, outer, length, inner }, { step }) {
    step(
      'argMax',
      cut(outer, 1, piecesOf(outer * length * inner)).map(([first, count]) => ({
        x: x + first * length * inner,
        y: y + first * inner,
        outer: count,
        length,
        inner,
      })),
    );
  },

  rearrange({ x, y, tables, fill }, { integers, step }) {
    const turned = turnOf(tables);
    if (turned) return step('turn', turnedPieces(x, y, turned, integers));
    const { from, run, step: wordStep, sides } = joinTables(tables);
    const [outermost] = sides;
    const outer = outermost.length,
      words = sizeOf(sides.map(({ length }) => length)) * run;
    const at = integers([...sides.map(({ length }) => length), ...sides.flat()]);
    step(
      'rearrange',
      cut(outer, 1, piecesOf(words)).map(([first, count]) => ({
        x: x + from,
        y: y + first * (words / outer),
        tables: at,
        rank: sides.length,
        first,
        outer: count,
        run,
        step: wordStep,
        fill,
      })),
    );
  },

  resample({ x, y, outer, length, inner, taps, fill }, { integers, floats, step }) {
    const most = Math.max(1, ...taps.map((all) => all.length));
    const padded = Array.from({ length: most }, (_, t) => taps.map((all) => all[t] ?? NO_TAP)).flat();
    const common = {
      ...{ length, inner, count: taps.length, taps: most, fill },
      places: integers(padded.map(({ place }) => place)),
      weights: floats(padded.map(({ weight }) => weight)),
    };
    step(
      'resample',
      cut(outer, 1, piecesOf(outer * taps.length * inner * most)).map(([first, count]) => ({
        ...common,
        x: x + first * length * inner,
        y: y + first * taps.length * inner,
        outer: count,
      })),
    );
  },

  codebookDecode(call, { sizes, needsScratch, step }) {
    const { codewords, codes, signs, to, columns, first, rows } = call;
    const { subspaceCount: M, subvectorLength: d, codewordCount: K } = call;
    needsScratch(sizes.scratchWords('codebookDecode', undefined, [K, d]));
    step(
      'codebookDecode',
      cut(rows).map(([row, count]) => ({ codewords, codes, signs, to, columns, first, row, rows: count, M, d })),
    );
  },
} satisfies Lowerings;

/** Along the outermost side there is, or along the rows of y. */
function turnedPieces(
  x: number,
  y: number,
  { from, m, n, xRow, yRow, sides }: Turned,
  integers: Room['integers'],
): Call<'turn'>[] {
  const [{ count: outer, strides }] = sides;
  const common = { m, n, xRow, yRow, sides: integers(sideWords(sides, 2)), rank: sides.length, outer };
  const pieces = piecesOf(elementsOf(sides) * m * n);
  return outer > 1
    ? cut(outer, 1, pieces).map(([first, count]) => ({
        ...{ ...common, outer: count, x: x + from + first * strides[0], y: y + first * strides[1] },
      }))
    : cut(n, 16, pieces).map(([first, count]) => ({
        ...{ ...common, n: count, x: x + from + first, y: y + first * yRow },
      }));
}

const NO_TAP = { place: -1, weight: 0 };
