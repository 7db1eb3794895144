/**
 * One convolution on a heap of its own, with the three kernels of it and random operands: what is timed, and beside it
 * its specification.
 */
import { callKernel, geometryWords } from 'espalier/kernels';
import type { Geometry, KernelSet } from 'espalier/kernels';
import { normals } from './exchange.ts';

export interface LayerShape {
  readonly channelsIn: number;
  readonly channelsOut: number;
  /** Of the input, height and width. */
  readonly side: number;
  /** Default 3. */
  readonly size?: number;
  /** Default 1. */
  readonly stride?: number;
  /** Default 1. */
  readonly groups?: number;
}

export type LayerKernel = 'forward' | 'toInput' | 'toWeights';

export interface OpenLayer {
  /** Multiplications and additions of one call of any of the three kernels, by the direct algorithm. */
  readonly operations: number;
  /** For `samples` samples from `first` on. */
  readonly run: Readonly<Record<LayerKernel, (first: number, samples: number) => void>>;
  /** What a kernel wrote for these samples; the gradient of the weights whole. */
  result(kernel: LayerKernel, first: number, samples: number): Float32Array;
  /** Takes samples of another layer of the same shape for its own, from the first on. */
  take(other: OpenLayer, first: number, samples: number): void;
  readonly operands: (
    first: number,
    samples: number,
  ) => { readonly x: Float32Array; readonly dy: Float32Array; readonly weights: Float32Array };
}

export function geometryOf({ channelsIn, channelsOut, side, size = 3, stride = 1, groups = 1 }: LayerShape): Geometry {
  const padding = size >> 1;
  const out = Math.floor((side + 2 * padding - size) / stride) + 1;
  return {
    channelsIn,
    heightIn: side,
    widthIn: side,
    channelsOut,
    heightOut: out,
    widthOut: out,
    kernelHeight: size,
    kernelWidth: size,
    strideY: stride,
    strideX: stride,
    paddingTop: padding,
    paddingLeft: padding,
    dilationY: 1,
    dilationX: 1,
    groups,
  };
}

/** Opens the layer for `batch` samples, operands filled with N(0, 1). One thread. */
export function openLayer(set: KernelSet, shape: LayerShape, batch: number): OpenLayer {
  const geometry = geometryOf(shape);
  const { channelsIn, channelsOut, groups, kernelHeight, kernelWidth } = geometry;
  const positionsIn = geometry.heightIn * geometry.widthIn;
  const positions = geometry.heightOut * geometry.widthOut;
  const input = channelsIn * positionsIn;
  const output = channelsOut * positions;
  const weightCount = ((channelsOut * channelsIn) / groups) * kernelHeight * kernelWidth;
  let total = 0;
  // Every block starts on a cache line, as an executor lays them out.
  const place = (count: number): number => (total += Math.ceil(count / 16) * 16) - Math.ceil(count / 16) * 16;
  const at = place(16);
  const weights = place(weightCount);
  const dw = place(weightCount);
  const x = place(batch * input);
  const dx = place(batch * input);
  const y = place(batch * output);
  const dy = place(batch * output);
  const packed = place(set.sizes.packedWords(geometry, 'forward'));
  const packedBack = place(set.sizes.packedWords(geometry, 'transposed'));
  const scratchWords = Math.max(
    ...(
      ['convolutionPack', 'convolutionForward', 'convolutionBackwardInput', 'convolutionBackwardWeights'] as const
    ).map((kernel) => set.sizes.scratchWords(kernel, geometry)),
  );
  const {
    heap: { float, int },
    kernels,
    scratch,
  } = set.openSync({ words: total, scratchWords });
  const pack = (): void => {
    kernels.convolutionPack(scratch, at, weights, packed, 0);
    kernels.convolutionPack(scratch, at, weights, packedBack, 1);
  };
  const part = (from: number, size: number, first: number, samples: number): Float32Array =>
    (float as Float32Array).subarray(from + first * size, from + (first + samples) * size);
  int.set(geometryWords(geometry), at);
  float.set(normals(weightCount, 'weights'), weights);
  float.set(normals(batch * input, 'x'), x);
  float.set(normals(batch * output, 'dy'), dy);
  pack();
  return {
    operations: 2 * batch * positions * weightCount,
    run: {
      forward: (first, samples) =>
        callKernel(kernels, 'convolutionForward', scratch, {
          geometry: at,
          x,
          packed,
          bias: -1,
          y,
          sample: first,
          samples,
          position: 0,
          positions,
          activation: 0,
          parameters: 0,
        }),
      toInput: (first, samples) => kernels.convolutionBackwardInput(scratch, at, dy, packedBack, dx, first, samples),
      toWeights: (first, samples) => kernels.convolutionBackwardWeights(scratch, at, x, dy, dw, first, samples, 0),
    },
    result(kernel, first, samples) {
      if (kernel === 'toWeights') return part(dw, weightCount, 0, 1);
      return kernel === 'forward' ? part(y, output, first, samples) : part(dx, input, first, samples);
    },
    operands: (first, samples) => ({
      x: part(x, input, first, samples),
      dy: part(dy, output, first, samples),
      weights: part(weights, weightCount, 0, 1),
    }),
    take(other, first, samples) {
      const operands = other.operands(first, samples);
      part(weights, weightCount, 0, 1).set(operands.weights);
      part(x, input, 0, samples).set(operands.x);
      part(dy, output, 0, samples).set(operands.dy);
      pack();
    },
  };
}
