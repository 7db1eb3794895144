/**
 * Every operation, as it is lowered, against its kernel in one piece: the same bits, whatever the order of the pieces,
 * and nothing but the result is written. Sizes are chosen such that the work is cut.
 */
import { beforeAll, describe, expect, it } from 'vitest';
import { loadInferenceKernels, MATMUL, type Geometry, type KernelSet, type Step } from '../../../src/kernels/index.ts';
import { INFERENCE_LOWERINGS } from '../../../src/kernels/lowering/inference.ts';
import { TRAINING_LOWERINGS } from '../../../src/kernels/lowering/training.ts';
import { ACTIVATION } from '../../../src/kernels/specification/activations.ts';
import { BINARY } from '../../../src/kernels/specification/binaries.ts';
import { REDUCTION } from '../../../src/kernels/specification/reductions.ts';
import { geometryWords } from '../../../src/kernels/specification/geometry.ts';
import type { OperationName, Operations } from '../../../src/kernels/specification/operations.ts';
import { bothSets, expectSameBits, expectWithin, normals } from '../bench.ts';
import { createStage, type Stage } from '../operations.ts';

/** Results as [offset, count]. */
type Results = readonly (readonly [number, number])[];
interface Case<O extends OperationName> {
  /** Pieces of the first step of the pass, at least: the case is worth nothing if its work is not cut. */
  readonly pieces: number;
  /** Values on a stage, and the call; results are in order, and `whole` writes them by its own kernels in one piece. */
  prepare(stage: Stage): { readonly call: Operations[O]; readonly results: Results; whole(set: KernelSet): void };
  /** Where sums are taken in parts: the largest difference, as a share of the largest result. Default 0: the same bits. */
  readonly bound?: number;
}

const random = (stage: Stage, seed: number, count: number): number => stage.floats(normals(seed, count, 0.5));
const fused = (stage: Stage) => ({ activation: ACTIVATION.leakyRelu, parameters: stage.floats([0.2]) });
const PLAIN = { activation: ACTIVATION.none, parameters: 0 };

const window = (channelsIn: number, channelsOut: number, side: number, groups = 1): Geometry => ({
  channelsIn,
  heightIn: side,
  widthIn: side,
  channelsOut,
  heightOut: side,
  widthOut: side,
  kernelHeight: 3,
  kernelWidth: 3,
  strideY: 1,
  strideX: 1,
  paddingTop: 1,
  paddingLeft: 1,
  dilationY: 1,
  dilationX: 1,
  groups,
});

/** One sample, whose positions are cut, and a batch, whose samples are. */
const convolution = (samples: number, geometry: Geometry): Case<'convolutionForward'> => ({
  pieces: samples === 1 ? 4 : Math.min(8, samples),
  prepare(stage) {
    const { channelsIn, channelsOut, groups, heightIn: H, widthIn: W } = geometry;
    const weights = (channelsOut * channelsIn * 9) / groups,
      words = samples * channelsOut * H * W;
    const [x, weight, bias] = [samples * channelsIn * H * W, weights, channelsOut].map((n, i) => random(stage, i, n));
    const y = stage.empty(words),
      activation = fused(stage),
      at = stage.ints(geometryWords(geometry));
    return {
      call: { geometry, samples, x, weight, bias, y, ...activation },
      results: [[y, words]],
      whole(set) {
        const packed = stage.empty(set.sizes.packedWords(geometry, 'forward'));
        stage.room.needsScratch(set.sizes.scratchWords('convolutionForward', geometry));
        stage.step('convolutionPack', { geometry: at, weights: weight, packed, transposed: 0 });
        const all = { sample: 0, samples, position: 0, positions: H * W };
        stage.step('convolutionForward', { geometry: at, x, packed, bias, y, ...all, ...activation });
      },
    };
  },
});

const [rows, inputs, outputs] = [9, 300, 130];
const count = 100_003;
const [N, C, P] = [5, 11, 1700];

/** Samples, channels, positions; which are reduced, all in the order of the kernels, results, and pieces. */
const SIDES = [10, 12, 1001];
const REDUCED = [
  { axes: [2], order: [0, 1, 2], kept: 2, results: 120, pieces: 7 },
  { axes: [1], order: [0, 2, 1], kept: 2, results: 10010, pieces: 7 },
  { axes: [0, 2], order: [1, 0, 2], kept: 1, results: 12, pieces: 3 },
] as const;
const sizeOf = (sides: readonly number[]): number => sides.reduce((product, side) => product * side, 1);
const range = (count: number, step: number): number[] => Array.from({ length: count }, (_, i) => i * step);
const sidesOf = (stage: Stage, order: readonly number[]): number =>
  stage.ints([...order.map((axis) => SIDES[axis]), ...order.map((axis) => sizeOf(SIDES.slice(axis + 1)))]);

/** One case or several of each operation: a new operation has no type without. */
const CASES: { readonly [O in OperationName]: readonly Case<O>[] } = {
  denseForward: [
    {
      pieces: 8,
      prepare(stage) {
        const [x, weight, bias] = [rows * inputs, outputs * inputs, outputs].map((n, i) => random(stage, i, n));
        const y = stage.empty(rows * outputs),
          activation = fused(stage);
        return {
          call: { samples: rows, inputs, outputs, x, weight, bias, y, ...activation },
          results: [[y, rows * outputs]],
          whole(set) {
            stage.room.needsScratch(set.sizes.scratchWords('matmul', undefined, [rows, outputs, inputs]));
            const strides = { aRow: inputs, aColumn: 1, bRow: 1, bColumn: inputs, cRow: outputs };
            const call = { m: rows, n: outputs, k: inputs, a: x, b: weight, c: y, ...strides };
            stage.step('matmul', { ...call, flags: MATMUL.biasPerColumn, bias, ...activation });
          },
        };
      },
    },
  ],
  denseBackwardInput: [
    {
      pieces: 8,
      prepare(stage) {
        const [dy, weight] = [rows * outputs, outputs * inputs].map((n, i) => random(stage, i, n));
        const dx = stage.empty(rows * inputs);
        return {
          call: { samples: rows, inputs, outputs, dy, weight, dx },
          results: [[dx, rows * inputs]],
          whole(set) {
            stage.room.needsScratch(set.sizes.scratchWords('matmul', undefined, [rows, inputs, outputs]));
            const strides = { aRow: outputs, aColumn: 1, bRow: inputs, bColumn: 1, cRow: inputs };
            const call = { m: rows, n: inputs, k: outputs, a: dy, b: weight, c: dx, ...strides };
            stage.step('matmul', { ...call, flags: 0, bias: -1, ...PLAIN });
          },
        };
      },
    },
  ],
  denseBackwardWeight: [
    {
      pieces: 8,
      prepare(stage) {
        const [x, dy] = [rows * inputs, rows * outputs].map((n, i) => random(stage, i, n));
        const dweight = stage.empty(outputs * inputs);
        return {
          call: { samples: rows, inputs, outputs, x, dy, dweight },
          results: [[dweight, outputs * inputs]],
          whole(set) {
            stage.room.needsScratch(set.sizes.scratchWords('matmul', undefined, [outputs, inputs, rows]));
            const strides = { aRow: 1, aColumn: outputs, bRow: inputs, bColumn: 1, cRow: inputs };
            const call = { m: outputs, n: inputs, k: rows, a: dy, b: x, c: dweight, ...strides };
            stage.step('matmul', { ...call, flags: 0, bias: -1, ...PLAIN });
          },
        };
      },
    },
  ],
  convolutionForward: [
    convolution(1, window(6, 20, 30)),
    convolution(9, window(6, 20, 14)),
    convolution(1, window(8, 8, 64, 8)),
    convolution(3, window(3, 5, 21)),
  ],
  transposedForward: [
    {
      pieces: 8,
      prepare(stage) {
        const geometry = window(6, 20, 14),
          [samples, plane] = [9, 14 * 14];
        const [x, weight, bias] = [samples * 20 * plane, 20 * 6 * 9, 6].map((n, i) => random(stage, i, n));
        const y = stage.empty(samples * 6 * plane),
          activation = fused(stage),
          at = stage.ints(geometryWords(geometry));
        return {
          call: { geometry, samples, x, weight, bias, y, ...activation },
          results: [[y, samples * 6 * plane]],
          whole(set) {
            const packed = stage.empty(set.sizes.packedWords(geometry, 'transposed'));
            stage.room.needsScratch(set.sizes.scratchWords('convolutionPack', geometry));
            stage.room.needsScratch(set.sizes.scratchWords('transposedForward', geometry));
            stage.step('convolutionPack', { geometry: at, weights: weight, packed, transposed: 2 });
            stage.step('transposedForward', { geometry: at, x, packed, bias, y, sample: 0, samples, ...activation });
          },
        };
      },
    },
  ],
  convolutionBackwardInput: [
    {
      pieces: 8,
      prepare(stage) {
        const geometry = window(6, 20, 14),
          [samples, plane] = [9, 14 * 14];
        const [dy, weight] = [samples * 20 * plane, 20 * 6 * 9].map((n, i) => random(stage, i, n));
        const dx = stage.empty(samples * 6 * plane),
          at = stage.ints(geometryWords(geometry));
        return {
          call: { geometry, samples, dy, weight, dx },
          results: [[dx, samples * 6 * plane]],
          whole(set) {
            const packed = stage.empty(set.sizes.packedWords(geometry, 'transposed'));
            stage.room.needsScratch(set.sizes.scratchWords('convolutionPack', geometry));
            stage.room.needsScratch(set.sizes.scratchWords('convolutionBackwardInput', geometry));
            stage.step('convolutionPack', { geometry: at, weights: weight, packed, transposed: 1 });
            stage.step('convolutionBackwardInput', { geometry: at, dy, packed, dx, sample: 0, samples });
          },
        };
      },
    },
  ],
  convolutionBackwardWeight: [1, 9].map((samples) => ({
    pieces: Math.min(samples, 8),
    bound: samples === 1 ? 0 : 1e-5,
    prepare(stage) {
      const geometry = window(6, 20, 14),
        plane = 14 * 14;
      const [x, dy] = [samples * 6 * plane, samples * 20 * plane].map((n, i) => random(stage, i, n));
      const dweight = stage.empty(20 * 6 * 9),
        at = stage.ints(geometryWords(geometry));
      return {
        call: { geometry, samples, x, dy, dweight },
        results: [[dweight, 20 * 6 * 9]],
        whole(set) {
          stage.room.needsScratch(set.sizes.scratchWords('convolutionBackwardWeights', geometry));
          const all = { sample: 0, samples, accumulate: 0 };
          stage.step('convolutionBackwardWeights', { geometry: at, x, dy, dw: dweight, ...all });
        },
      };
    },
  })),
  channelSums: [P, 1].map((positions) => ({
    pieces: positions === 1 ? 1 : 8,
    prepare(stage) {
      const x = random(stage, 1, N * C * positions),
        out = stage.empty(C);
      return {
        call: { x, out, samples: N, channels: C, positions },
        results: [[out, C]],
        whole: () =>
          stage.step('channelSums', { x, out, samples: N, allChannels: C, positions, channel: 0, channels: C }),
      };
    },
  })),
  activationForward: [
    {
      pieces: 6,
      prepare(stage) {
        const x = random(stage, 1, count),
          y = stage.empty(count),
          call = { x, y, count, activation: ACTIVATION.tanh, parameters: 0 };
        return { call, results: [[y, count]], whole: () => stage.step('activationForward', call) };
      },
    },
  ],
  activationBackward: [
    {
      pieces: 6,
      prepare(stage) {
        const [from, dy] = [1, 2].map((seed) => random(stage, seed, count)),
          dx = stage.empty(count),
          call = { from, dy, dx, count, activation: ACTIVATION.sigmoid, parameters: 0 };
        return { call, results: [[dx, count]], whole: () => stage.step('activationBackward', call) };
      },
    },
  ],
  maxPoolForward: [
    {
      pieces: 8,
      prepare(stage) {
        const geometry = window(1, 1, 9),
          words = 13 * 81;
        const x = random(stage, 1, words),
          y = stage.empty(words),
          argmax = stage.empty(words),
          at = stage.ints(geometryWords(geometry));
        return {
          call: { geometry, planes: 13, x, y, argmax },
          results: [[y, words]],
          whole: () => stage.step('maxPoolForward', { geometry: at, x, y, argmax, plane: 0, planes: 13 }),
        };
      },
    },
  ],
  maxPoolBackward: [
    {
      pieces: 8,
      prepare(stage) {
        const geometry = window(1, 1, 9),
          words = 13 * 81;
        const dy = random(stage, 1, words),
          dx = stage.empty(words),
          argmax = stage.ints(Array.from({ length: words }, (_, i) => (i * 7) % 81)),
          at = stage.ints(geometryWords(geometry));
        return {
          call: { geometry, planes: 13, dy, argmax, dx },
          results: [[dx, words]],
          whole: () => stage.step('maxPoolBackward', { geometry: at, dy, argmax, dx, plane: 0, planes: 13 }),
        };
      },
    },
  ],
  averagePoolForward: [0, 1].map((countPadding) => ({
    pieces: 8,
    prepare(stage) {
      const geometry = window(1, 1, 9),
        words = 13 * 81;
      const x = random(stage, 1, words),
        y = stage.empty(words),
        at = stage.ints(geometryWords(geometry));
      return {
        call: { geometry, planes: 13, x, y, countPadding },
        results: [[y, words]],
        whole: () => stage.step('averagePoolForward', { geometry: at, x, y, countPadding, plane: 0, planes: 13 }),
      };
    },
  })),
  averagePoolBackward: [0, 1].map((countPadding) => ({
    pieces: 8,
    prepare(stage) {
      const geometry = window(1, 1, 9),
        words = 13 * 81;
      const dy = random(stage, 1, words),
        dx = stage.empty(words),
        at = stage.ints(geometryWords(geometry));
      return {
        call: { geometry, planes: 13, dy, dx, countPadding },
        results: [[dx, words]],
        whole: () => stage.step('averagePoolBackward', { geometry: at, dy, dx, countPadding, plane: 0, planes: 13 }),
      };
    },
  })),
  affineForward: [1, N].map((samples) => ({
    pieces: samples === 1 ? 8 : N,
    prepare(stage) {
      const positions = samples === 1 ? 12_000 : P;
      const [x, scale, shift] = [samples * C * positions, C, C].map((n, i) => random(stage, i, n)),
        y = stage.empty(samples * C * positions),
        call = { x, scale, shift, y, samples, positions, ...fused(stage) };
      return {
        call: { ...call, channels: C },
        results: [[y, samples * C * positions]],
        whole: () => stage.step('affineForward', { ...call, allChannels: C }),
      };
    },
  })),
  affineBackward: [
    {
      pieces: N,
      prepare(stage) {
        const [dy, scale] = [N * C * P, C].map((n, i) => random(stage, i, n)),
          dx = stage.empty(N * C * P),
          call = { dy, scale, dx, samples: N, positions: P };
        return {
          call: { ...call, channels: C },
          results: [[dx, N * C * P]],
          whole: () => stage.step('affineBackward', { ...call, allChannels: C }),
        };
      },
    },
  ],
  affineBackwardParameters: [
    {
      pieces: 8,
      prepare(stage) {
        const [x, dy] = [1, 2].map((seed) => random(stage, seed, N * C * P)),
          [dscale, dshift] = [stage.empty(C), stage.empty(C)],
          call = { x, dy, dscale, dshift, samples: N, positions: P };
        return {
          call: { ...call, channels: C },
          results: [
            [dscale, C],
            [dshift, C],
          ],
          whole: () => stage.step('affineBackwardParameters', { ...call, allChannels: C, channel: 0, channels: C }),
        };
      },
    },
  ],
  batchNormForward: [
    {
      pieces: 8,
      prepare(stage) {
        const [x, scale, shift] = [N * C * P, C, C].map((n, i) => random(stage, i, n)),
          [savedMean, savedInverse, y] = [C, C, N * C * P].map(stage.empty),
          [runningMean, runningVariance] = [3, 4].map((seed) => random(stage, seed, C));
        const call = {
          ...{ x, scale, shift, runningMean, runningVariance, savedMean, savedInverse, y },
          ...{ hyper: stage.floats([1e-5, 0.1]), samples: N, positions: P },
        };
        return {
          call: { ...call, channels: C },
          results: [
            [y, N * C * P],
            ...[runningMean, runningVariance, savedMean, savedInverse].map((at) => [at, C] as const),
          ],
          whole: () => stage.step('batchNormForward', { ...call, allChannels: C, channel: 0, channels: C }),
        };
      },
    },
  ],
  batchNormBackward: [
    {
      pieces: 8,
      prepare(stage) {
        const [x, dy] = [1, 2].map((seed) => random(stage, seed, N * C * P)),
          [scale, savedMean, savedInverse] = [3, 4, 5].map((seed) => random(stage, seed, C)),
          [dx, dscale, dshift] = [N * C * P, C, C].map(stage.empty),
          call = { x, dy, scale, savedMean, savedInverse, dx, dscale, dshift, samples: N, positions: P };
        return {
          call: { ...call, channels: C },
          results: [
            [dx, N * C * P],
            [dscale, C],
            [dshift, C],
          ],
          whole: () => stage.step('batchNormBackward', { ...call, allChannels: C, channel: 0, channels: C }),
        };
      },
    },
  ],
  batchNormFold: [
    {
      pieces: 1,
      prepare(stage) {
        const [scale, shift, mean] = [1, 2, 3].map((seed) => random(stage, seed, C)),
          variance = stage.floats(normals(4, C).map(Math.abs)),
          [scaleOut, shiftOut] = [stage.empty(C), stage.empty(C)],
          hyper = stage.floats([1e-5, 0.1]),
          call = { scale, shift, mean, variance, scaleOut, shiftOut, hyper, channels: C };
        return {
          call,
          results: [
            [scaleOut, C],
            [shiftOut, C],
          ],
          whole: () => stage.step('batchNormFold', call),
        };
      },
    },
  ],
  standardizeForward: [
    {
      pieces: 8,
      prepare(stage) {
        const [rows, period, channels, positions] = [26, 13, 10, 700];
        const words = rows * channels * positions;
        const [x, scale, shift] = [words, 130, 130].map((n, i) => random(stage, i, n));
        const [y, inverse, hyper] = [stage.empty(words), stage.empty(rows), stage.floats([0.1])];
        const call = { x, scale, shift, y, inverse, hyper, rows, period, channels, positions };
        const results: Results = [
          [y, words],
          [inverse, rows],
        ];
        return { call, results, whole: () => stage.step('standardizeForward', { ...call, row: 0 }) };
      },
    },
  ],
  standardizeBackward: [
    {
      pieces: 8,
      prepare(stage) {
        const [rows, columns] = [26, 7000];
        const [x, dy, inverse] = [rows * columns, rows * columns, rows].map((n, i) => random(stage, i, n));
        const dx = stage.empty(rows * columns),
          call = { x, dy, inverse, dx, rows, columns };
        return { call, results: [[dx, rows * columns]], whole: () => stage.step('standardizeBackward', call) };
      },
    },
  ],
  products: [
    {
      // Samples, heads and groups of them: of a over all, of b over samples and groups, summed over groups.
      pieces: 3,
      prepare(stage) {
        const [m, n, k] = [5, 7, 6];
        const [a, b] = [3 * 4 * 2 * m * k, 3 * 2 * k * n].map((words, i) => random(stage, i, words));
        const c = stage.empty(3 * 4 * m * n);
        const matrices = { m, n, k, a, aRow: k, aColumn: 1, b, bRow: n, bColumn: 1, c, cRow: n };
        const [aStrides, bStrides, cStrides] = [
          [8 * m * k, 2 * m * k, m * k],
          [2 * k * n, 0, k * n],
          [4 * m * n, m * n, 0],
        ];
        const sides = [3, 4, 2];
        return {
          call: { ...matrices, sides, aStrides, bStrides, cStrides },
          results: [[c, 3 * 4 * m * n]],
          whole(set) {
            stage.room.needsScratch(set.sizes.scratchWords('matmul', undefined, [m, n, k]));
            const at = stage.ints([...sides, ...aStrides, ...bStrides, ...cStrides]);
            stage.step('products', { ...matrices, sides: at, rank: 3, kept: 2, outer: 3 });
          },
        };
      },
    },
    {
      pieces: 8,
      prepare(stage) {
        const [a, b] = [rows * inputs, inputs * outputs].map((words, i) => random(stage, i, words));
        const c = stage.empty(rows * outputs);
        const [m, n, k] = [rows, outputs, inputs];
        const matrices = { m, n, k, a, aRow: k, aColumn: 1, b, bRow: n, bColumn: 1, c, cRow: n };
        return {
          call: { ...matrices, sides: [1], aStrides: [0], bStrides: [0], cStrides: [0] },
          results: [[c, rows * outputs]],
          whole(set) {
            stage.room.needsScratch(set.sizes.scratchWords('matmul', undefined, [m, n, k]));
            stage.step('matmul', { ...matrices, flags: 0, bias: -1, ...PLAIN });
          },
        };
      },
    },
  ],
  softmaxForward: [
    {
      pieces: 8,
      prepare(stage) {
        const x = random(stage, 1, 13 * 10),
          y = stage.empty(13 * 10),
          call = { x, y, outer: 13, length: 10, inner: 1 };
        return { call, results: [[y, 130]], whole: () => stage.step('softmaxForward', { ...call, count: 1 }) };
      },
    },
    // Across, of one sample.
    {
      pieces: 2,
      prepare(stage) {
        const x = random(stage, 1, 5 * 7001),
          y = stage.empty(5 * 7001),
          call = { x, y, outer: 1, length: 5, inner: 7001 };
        return { call, results: [[y, 5 * 7001]], whole: () => stage.step('softmaxForward', { ...call, count: 7001 }) };
      },
    },
  ],
  softmaxBackward: [
    {
      pieces: 8,
      prepare(stage) {
        const [y, dy] = [1, 2].map((seed) => random(stage, seed, 13 * 10)),
          dx = stage.empty(13 * 10),
          call = { y, dy, dx, rows: 13, columns: 10 };
        return { call, results: [[dx, 130]], whole: () => stage.step('softmaxBackward', call) };
      },
    },
  ],
  add: [
    {
      pieces: 6,
      prepare(stage) {
        const [a, b] = [1, 2].map((seed) => random(stage, seed, count)),
          y = stage.empty(count),
          call = { a, b, y, count, ...fused(stage) };
        return { call, results: [[y, count]], whole: () => stage.step('add', call) };
      },
    },
  ],
  multiply: [
    {
      pieces: 6,
      prepare(stage) {
        const [a, b] = [1, 2].map((seed) => random(stage, seed, count)),
          y = stage.empty(count),
          call = { a, b, y, count };
        return { call, results: [[y, count]], whole: () => stage.step('multiply', call) };
      },
    },
  ],
  copyRows: [
    {
      pieces: 6,
      prepare(stage) {
        const from = random(stage, 1, 100 * 1003),
          to = stage.floats(normals(2, 100 * 1005)),
          call = { from, fromStride: 1003, to, toStride: 1005, rows: 100, columns: 1001 };
        return { call, results: [[to, 100 * 1005]], whole: () => stage.step('copyRows', call) };
      },
    },
  ],
  copy: [
    {
      pieces: 6,
      prepare(stage) {
        const from = random(stage, 1, count),
          to = stage.empty(count);
        return {
          call: { from, to, count },
          results: [[to, count]],
          whole: () => stage.step('copyRows', { from, fromStride: 0, to, toStride: 0, rows: 1, columns: count }),
        };
      },
    },
  ],
  binaryForward: [[100, 3, 400] as const, [1, count] as const].map((sides) => ({
    pieces: 6,
    prepare(stage) {
      const words = sides.reduce((product: number, side) => product * side, 1);
      const [a, b] = [words, 3].map((n, i) => random(stage, i, n)),
        y = stage.empty(words),
        strides = sides.length === 3 ? { a: [1200, 400, 1], b: [0, 1, 0] } : { a: [count, 1], b: [0, 0] };
      const [at, rank] = [stage.ints([...sides, ...strides.a, ...strides.b]), sides.length];
      return {
        call: { a, b, y, sides, aStrides: strides.a, bStrides: strides.b, operation: BINARY.subtract },
        results: [[y, words]],
        whole: () =>
          stage.step('binaryForward', { a, b, y, sides: at, rank, outer: sides[0], operation: BINARY.subtract }),
      };
    },
  })),
  binaryBackward: [0, 1].map((side) => ({
    pieces: side === 0 ? 7 : 3,
    prepare(stage) {
      // The divisor is one number for each channel, over samples and positions.
      const [samples, channels, positions] = [10, 12, 1000],
        words = samples * channels * positions;
      const [a, dy] = [1, 2].map((seed) => random(stage, seed, words)),
        b = stage.floats(Array.from({ length: channels }, (_, i) => i - 4.5)),
        dx = stage.empty(side === 0 ? words : channels);
      const [sample, channel, position] = [
        [samples, channels * positions, 0, channels * positions],
        [channels, positions, 1, positions],
        [positions, 1, 0, 1],
      ];
      const order = side === 0 ? [sample, channel, position, [1, 0, 0, 0]] : [channel, sample, position];
      const at = stage.ints([0, 1, 2, 3].flatMap((which) => order.map((one) => one[which]))),
        kept = side === 0 ? 3 : 1;
      const common = { a, b, dy, dx, operation: BINARY.divide, side: side as 0 | 1 };
      return {
        call: {
          ...common,
          sides: [samples, channels, positions],
          aStrides: [channels * positions, positions, 1],
          bStrides: [0, 1, 0],
        },
        results: [[dx, side === 0 ? words : channels]],
        whole(set) {
          stage.room.needsScratch(set.sizes.scratchWords('binaryBackward'));
          stage.step('binaryBackward', { ...common, sides: at, rank: order.length, kept, outer: order[0][0] });
        },
      };
    },
  })),
  // Positions, whose elements lie in a row; channels, and samples with positions, whose elements do not.
  reduceForward: REDUCED.map(({ axes, order, kept, pieces, results }) => ({
    pieces,
    prepare(stage) {
      const x = random(stage, 1, sizeOf(SIDES)),
        y = stage.empty(results),
        sides = sidesOf(stage, order);
      const common = { x, y, operation: REDUCTION.reduceMean };
      return {
        call: { ...common, sides: SIDES, axes },
        results: [[y, results]],
        whole(set) {
          stage.room.needsScratch(set.sizes.scratchWords('reduceForward'));
          stage.step('reduceForward', { ...common, sides, rank: 3, kept, outer: SIDES[order[0]] });
        },
      };
    },
  })),
  reduceBackward: REDUCED.map(({ axes, order, kept, pieces, results }, i) => ({
    pieces,
    prepare(stage) {
      const values = normals(1, sizeOf(SIDES), 0.5).map(Math.round),
        x = stage.floats(values),
        dx = stage.empty(values.length),
        [y, dy] = [stage.floats(new Array<number>(results).fill(1)), random(stage, 3, results)],
        sides = sidesOf(stage, order);
      const common = { x, y, dy, dx, operation: i === 0 ? REDUCTION.reduceMean : REDUCTION.reduceMax };
      return {
        call: { ...common, sides: SIDES, axes },
        results: [[dx, values.length]],
        whole(set) {
          stage.room.needsScratch(set.sizes.scratchWords('reduceBackward'));
          stage.step('reduceBackward', { ...common, sides, rank: 3, kept, outer: SIDES[order[0]] });
        },
      };
    },
  })),
  argMax: [
    {
      pieces: 7,
      prepare(stage) {
        const [outer, length, inner] = SIDES;
        const x = random(stage, 1, sizeOf(SIDES)),
          y = stage.empty(outer * inner),
          call = { x, y, outer, length, inner };
        return { call, results: [[y, outer * inner]], whole: () => stage.step('argMax', call) };
      },
    },
  ],
  // The batch stays, of the rest the last axis comes first and every other element of the middle one goes, with one filled.
  rearrange: [
    {
      pieces: 3,
      prepare(stage) {
        const [outer, middle, inner] = SIDES;
        const kept = [-1, ...range(middle / 2, 2 * inner)];
        const x = random(stage, 1, sizeOf(SIDES)),
          y = stage.empty(outer * inner * kept.length),
          fill = stage.floats([0.5]);
        const tables = [range(outer, middle * inner), range(inner, 1), kept];
        return {
          call: { x, y, tables, fill },
          results: [[y, outer * inner * kept.length]],
          whole() {
            const at = stage.ints([...tables.map(({ length }) => length), ...tables.flat()]);
            stage.step('rearrange', { x, y, tables: at, rank: 3, first: 0, outer, run: 1, step: 1, fill });
          },
        };
      },
    },
    // Rows that lie together, from the second on.
    {
      pieces: 6,
      prepare(stage) {
        const [outer, middle, inner] = SIDES;
        const x = random(stage, 1, sizeOf(SIDES)),
          y = stage.empty(outer * (middle - 1) * inner);
        const run = (middle - 1) * inner;
        const tables = [
          range(outer, middle * inner),
          range(middle - 1, inner).map((at) => at + inner),
          range(inner, 1),
        ];
        return {
          call: { x, y, tables, fill: -1 },
          results: [[y, outer * run]],
          whole() {
            const at = stage.ints([outer, ...tables[0]]);
            stage.step('rearrange', { x: x + inner, y, tables: at, rank: 1, first: 0, outer, run, step: 1, fill: -1 });
          },
        };
      },
    },
    // The last two axes change places: rows become columns.
    {
      pieces: 2,
      prepare(stage) {
        const [m, n] = [103, 319];
        const x = random(stage, 1, m * n),
          y = stage.empty(m * n);
        const tables = [[0], range(n, 1), range(m, n)];
        return {
          call: { x, y, tables, fill: -1 },
          results: [[y, m * n]],
          whole() {
            const at = stage.ints([1, n, m, 0, ...range(n, 1), ...range(m, n)]);
            stage.step('rearrange', { x, y, tables: at, rank: 3, first: 0, outer: 1, run: 1, step: 1, fill: -1 });
          },
        };
      },
    },
    // Every third of the last axis, from the second on, every row twice; and of another one nothing but its first, over and over.
    ...[3, 0].map((step): Case<'rearrange'> => ({
      pieces: 1,
      prepare(stage) {
        const x = random(stage, 1, 10 * 31),
          y = stage.empty(20 * 10);
        const rows = range(20, 1).map((i) => (i >> 1) * 31),
          columns = range(10, step).map((at) => at + 1);
        return {
          call: { x, y, tables: [rows, columns], fill: -1 },
          results: [[y, 200]],
          whole() {
            const at = stage.ints([20, 10, ...rows, ...columns]);
            stage.step('rearrange', { x, y, tables: at, rank: 2, first: 0, outer: 20, run: 1, step: 1, fill: -1 });
          },
        };
      },
    })),
  ],
  // Of 12 elements 20, one of them of three taps, one of none.
  resample: [
    {
      pieces: 8,
      prepare(stage) {
        const [outer, length, inner] = SIDES;
        const taps = range(20, 1).map((j) =>
          range(j === 3 ? 3 : j === 7 ? 0 : 2, 1).map((t) => ({ place: (j + t) % length, weight: 0.25 + t / (j + 1) })),
        );
        const x = random(stage, 1, sizeOf(SIDES)),
          y = stage.empty(outer * 20 * inner),
          fill = stage.floats([0.5]);
        return {
          call: { x, y, outer, length, inner, taps, fill },
          results: [[y, outer * 20 * inner]],
          whole() {
            const padded = range(3, 1).flatMap((t) => taps.map((all) => all[t] ?? { place: -1, weight: 0 }));
            const places = stage.ints(padded.map(({ place }) => place)),
              weights = stage.floats(padded.map(({ weight }) => weight));
            stage.step('resample', { x, y, outer, length, inner, count: 20, taps: 3, places, weights, fill });
          },
        };
      },
    },
  ],
  codebookDecode: [
    {
      pieces: 8,
      prepare(stage) {
        const block = codebook(stage),
          to = stage.floats(normals(7, 21 * 19));
        const { codewords, codes, signs } = block;
        return {
          call: { codewords, codes, signs, to, columns: 19, first: 2, rows: 21, ...SIZES },
          results: [[to, 21 * 19]],
          whole: () =>
            stage.step('codebookDecode', {
              ...{ codewords, codes, signs, to, columns: 19, first: 2, row: 0, rows: 21 },
              ...{ M: SIZES.subspaceCount, d: SIZES.subvectorLength },
            }),
        };
      },
    },
  ],
  codebookPullback: [
    {
      pieces: 8,
      bound: 1e-6,
      prepare(stage) {
        const { codes, signs } = codebook(stage);
        const gradient = random(stage, 7, 21 * 19),
          dcodewords = stage.empty(6 * 5);
        return {
          call: { gradient, columns: 19, first: 2, rows: 21, codes, signs, dcodewords, ...SIZES },
          results: [[dcodewords, 6 * 5]],
          whole(set) {
            stage.room.needsScratch(set.sizes.scratchWords('codebookPullback', undefined, [6, 5]));
            stage.step('codebookPullback', {
              ...{ gradient, columns: 19, first: 2, row: 0, rows: 21, codes, signs, dcodewords },
              ...{ M: SIZES.subspaceCount, d: SIZES.subvectorLength, k: SIZES.codewordCount },
            });
          },
        };
      },
    },
  ],
  clipScale: [
    {
      pieces: 8,
      bound: 1e-6,
      prepare(stage) {
        const gradients = [count, 7, 40_000].map((n, i) => ({ at: random(stage, i, n), count: n })),
          limit = stage.floats([3]),
          out = stage.empty(2);
        return {
          call: { gradients, limit, out },
          results: [[out, 2]],
          whole() {
            const parts = stage.empty(gradients.length);
            gradients.forEach(({ at, count: n }, i) => stage.step('sumSquares', { x: at, count: n, out: parts + i }));
            stage.step('clipScale', { parts, count: gradients.length, limit, out });
          },
        };
      },
    },
  ],
  sgdUpdate: [
    {
      pieces: 9,
      prepare(stage) {
        const moved = movedOn(stage, 1);
        const hyper = stage.floats([0.1, 0.9, 0.01, 1]),
          clip = stage.floats([0.5]);
        return {
          call: { moved, hyper, clip },
          results: moved.flatMap(({ values, state: [v], count: n }) => [[values, n] as const, [v, n] as const]),
          whole: () =>
            moved.forEach(({ values: w, gradient: g, state: [v], count: n }) =>
              stage.step('sgdUpdate', { w, g, v, count: n, hyper, clip }),
            ),
        };
      },
    },
  ],
  adamUpdate: [
    {
      pieces: 9,
      prepare(stage) {
        const moved = movedOn(stage, 2);
        const hyper = stage.floats([0.1, 0.9, 0.999, 1e-8, 0.01, 1, 0.1, 0.001]),
          clip = stage.floats([0.5]);
        return {
          call: { moved, hyper, clip },
          results: moved.flatMap(({ values, state: [m, v], count: n }) => [
            [values, n] as const,
            [m, n] as const,
            [v, n] as const,
          ]),
          whole: () =>
            moved.forEach(({ values: w, gradient: g, state: [m, v], count: n }) =>
              stage.step('adamUpdate', { w, g, m, v, count: n, hyper, clip }),
            ),
        };
      },
    },
  ],
};

/** Of a block of 21 rows of 3 sub-vectors of 5 among 19 columns, coded by 6 codewords. */
const SIZES = { subspaceCount: 3, subvectorLength: 5, codewordCount: 6 } as const;
function codebook(stage: Stage) {
  return {
    codewords: random(stage, 1, 6 * 5),
    codes: stage.ints(Array.from({ length: 21 * 3 }, (_, i) => (i * 5) % 6)),
    signs: stage.ints(Array.from({ length: Math.ceil((21 * 15) / 32) }, (_, i) => (i * 0x9e3779b9) | 0)),
  };
}

function movedOn(stage: Stage, slots: number) {
  return [count, 5, 50_000].map((n, i) => ({
    values: random(stage, 10 * i, n),
    gradient: random(stage, 10 * i + 1, n),
    state: Array.from({ length: slots }, (_, slot) => stage.floats(normals(10 * i + 2 + slot, n).map(Math.abs))),
    count: n,
  }));
}

let sets: readonly KernelSet[];
beforeAll(async () => {
  sets = await bothSets();
});

const names = Object.keys(CASES) as OperationName[];

describe('lowering', () => {
  it('has cases here for each operation, and there is none without kernels', () => {
    expect([...names].sort()).toEqual(Object.keys({ ...INFERENCE_LOWERINGS, ...TRAINING_LOWERINGS }).sort());
  });

  it.each(names.flatMap((name) => CASES[name].map((one, i) => [name, i, one as Case<OperationName>] as const)))(
    '%s, case %i: as in one piece, in whichever order the pieces run',
    (name, _i, { pieces, bound = 0, prepare }) => {
      for (const set of sets) {
        const play = (how: 'whole' | 'lowered' | 'backwards'): Float32Array => {
          const stage = createStage(set);
          const { call, results, whole } = prepare(stage);
          if (how === 'whole') whole(set);
          else {
            stage.run(name, call);
            expect(stage.steps[0].pieces.length).toBeGreaterThanOrEqual(pieces);
          }
          const turned = (steps: readonly Step[]): Step[] =>
            steps.map((step) => ({ ...step, pieces: [...step.pieces].reverse() }) as Step);
          const { float } = stage.play(how === 'backwards' ? turned : undefined).heap;
          const all = new Float32Array(results.reduce((sum, [, n]) => sum + n, 0));
          let at = 0;
          for (const [offset, n] of results) {
            all.set(float.subarray(offset, offset + n), at);
            at += n;
          }
          return all;
        };
        const [whole, lowered, backwards] = [play('whole'), play('lowered'), play('backwards')];
        expect(whole.some(Number.isNaN)).toBe(false);
        expectSameBits(backwards, lowered);
        if (bound === 0) expectSameBits(lowered, whole);
        else {
          const most = whole.reduce((largest, value) => Math.max(largest, Math.abs(value)), 0);
          expectWithin(lowered, whole, () => bound * most);
        }
      }
    },
  );

  it('copies nothing where source and destination are the same words', () => {
    const stage = createStage(sets[0]);
    stage.run('copy', { from: 4, to: 4, count: 9 });
    stage.run('copyRows', { from: 4, fromStride: 3, to: 4, toStride: 3, rows: 3, columns: 2 });
    expect(stage.steps).toEqual([]);
  });

  it('takes no step for a value without elements', () => {
    const stage = createStage(sets[1]);
    stage.run('activationForward', { x: 0, y: 0, count: 0, activation: 1, parameters: 0 });
    stage.run('softmaxForward', { x: 0, y: 0, outer: 0, length: 3, inner: 1 });
    expect(stage.steps).toEqual([]);
  });

  it('refuses an operation that the set lacks, by name', async () => {
    for (const prefer of ['simd', 'portable'] as const) {
      const inference = createStage(await loadInferenceKernels({ prefer }));
      expect(() => inference.run('multiply', { a: 0, b: 0, y: 0, count: 1 })).toThrow(
        expect.objectContaining({
          code: 'UNSUPPORTED',
          message: expect.stringMatching(
            /lower: operation: this set has no "multiply", only .*loadKernels\(\) gives all/,
          ),
        }),
      );
    }
    const all = createStage(sets[0]);
    expect(() => all.run('toString' as 'copy', { from: 0, to: 0, count: 1 })).toThrow(
      /lower: operation: expected one of .*, got "toString"/,
    );
  });
});
