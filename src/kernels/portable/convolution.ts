/**
 * Convolution (cross-correlation, as in every framework) and its two gradients. Packed weights are those of
 * the convolution from x to y as they are. Glossary: g group; o, i output and input channel; oy, ox, iy, ix positions; ky, kx taps.
 */
import type { Heap, Kernels } from '../types.ts';
import { readGeometry } from '../specification/geometry.ts';
import { fusedActivation } from './activation.ts';

export function convolutionPack({ float, int }: Heap): Kernels['convolutionPack'] {
  return (_scratch, geometry, weights, packed, transposed) => {
    const { channelsOut, channelsIn, groups, kernelHeight, kernelWidth } = readGeometry(int, geometry);
    const groupIn = channelsIn / groups,
      groupOut = channelsOut / groups,
      taps = kernelHeight * kernelWidth;
    for (let o = 0; o < channelsOut; o++) {
      for (let i = 0; i < groupIn; i++) {
        const group = Math.floor(o / groupOut),
          own = transposed === 2 ? (group * groupIn + i) * groupOut + (o % groupOut) : o * groupIn + i;
        float.copyWithin(packed + (o * groupIn + i) * taps, weights + own * taps, weights + (own + 1) * taps);
      }
    }
  };
}

export function convolutionForward(heap: Heap): Kernels['convolutionForward'] {
  const { float, int } = heap;
  return (_scratch, geometry, x, packed, bias, y, sample, samples, position, positions, activation, parameters) => {
    const {
      channelsIn,
      heightIn,
      widthIn,
      channelsOut,
      heightOut,
      widthOut,
      kernelHeight,
      kernelWidth,
      strideY,
      strideX,
      paddingTop,
      paddingLeft,
      dilationY,
      dilationX,
      groups,
    } = readGeometry(int, geometry);
    const groupIn = channelsIn / groups,
      groupOut = channelsOut / groups;
    const activate = fusedActivation('convolutionForward', heap, activation, parameters);
    for (let n = sample; n < sample + samples; n++) {
      for (let o = 0; o < channelsOut; o++) {
        const firstIn = Math.floor(o / groupOut) * groupIn;
        for (let p = position; p < position + positions; p++) {
          const top = Math.floor(p / widthOut) * strideY - paddingTop;
          const left = (p % widthOut) * strideX - paddingLeft;
          let sum = bias < 0 ? 0 : float[bias + o];
          for (let i = 0; i < groupIn; i++) {
            const plane = x + (n * channelsIn + firstIn + i) * heightIn * widthIn;
            for (let ky = 0; ky < kernelHeight; ky++) {
              const iy = top + ky * dilationY;
              if (iy < 0 || iy >= heightIn) continue;
              const taps = packed + ((o * groupIn + i) * kernelHeight + ky) * kernelWidth;
              for (let kx = 0; kx < kernelWidth; kx++) {
                const ix = left + kx * dilationX;
                if (ix >= 0 && ix < widthIn) sum += float[taps + kx] * float[plane + iy * widthIn + ix];
              }
            }
          }
          float[y + (n * channelsOut + o) * heightOut * widthOut + p] = activate(sum);
        }
      }
    }
  };
}

export function convolutionBackwardInput(heap: Heap): Kernels['convolutionBackwardInput'] {
  const transposed = transposedForward(heap);
  return (scratch, geometry, dy, packed, dx, sample, samples) =>
    transposed(scratch, geometry, dy, packed, -1, dx, sample, samples, 0, 0);
}

export function transposedForward(heap: Heap): Kernels['transposedForward'] {
  const { float, int } = heap;
  return (_scratch, geometry, x, packed, bias, y, sample, samples, activation, parameters) => {
    const {
      channelsIn,
      heightIn,
      widthIn,
      channelsOut,
      heightOut,
      widthOut,
      kernelHeight,
      kernelWidth,
      strideY,
      strideX,
      paddingTop,
      paddingLeft,
      dilationY,
      dilationX,
      groups,
    } = readGeometry(int, geometry);
    const groupIn = channelsIn / groups,
      groupOut = channelsOut / groups;
    const activate = fusedActivation('transposedForward', heap, activation, parameters);
    for (let n = sample; n < sample + samples; n++) {
      for (let i = 0; i < channelsIn; i++) {
        const firstOut = Math.floor(i / groupIn) * groupOut;
        for (let iy = 0; iy < heightIn; iy++) {
          for (let ix = 0; ix < widthIn; ix++) {
            let sum = bias < 0 ? 0 : float[bias + i];
            for (let o = firstOut; o < firstOut + groupOut; o++) {
              const plane = x + (n * channelsOut + o) * heightOut * widthOut;
              for (let ky = 0; ky < kernelHeight; ky++) {
                const oy = (iy + paddingTop - ky * dilationY) / strideY;
                if (oy < 0 || oy >= heightOut || !Number.isInteger(oy)) continue;
                const taps = packed + ((o * groupIn + (i % groupIn)) * kernelHeight + ky) * kernelWidth;
                for (let kx = 0; kx < kernelWidth; kx++) {
                  const ox = (ix + paddingLeft - kx * dilationX) / strideX;
                  if (ox >= 0 && ox < widthOut && Number.isInteger(ox))
                    sum += float[taps + kx] * float[plane + oy * widthOut + ox];
                }
              }
            }
            float[y + ((n * channelsIn + i) * heightIn + iy) * widthIn + ix] = activate(sum);
          }
        }
      }
    }
  };
}

export function convolutionBackwardWeights({ float, int }: Heap): Kernels['convolutionBackwardWeights'] {
  return (_scratch, geometry, x, dy, dw, sample, samples, accumulate) => {
    const {
      channelsIn,
      heightIn,
      widthIn,
      channelsOut,
      heightOut,
      widthOut,
      kernelHeight,
      kernelWidth,
      strideY,
      strideX,
      paddingTop,
      paddingLeft,
      dilationY,
      dilationX,
      groups,
    } = readGeometry(int, geometry);
    const groupIn = channelsIn / groups,
      groupOut = channelsOut / groups;
    for (let o = 0; o < channelsOut; o++) {
      const firstIn = Math.floor(o / groupOut) * groupIn;
      for (let i = 0; i < groupIn; i++) {
        for (let ky = 0; ky < kernelHeight; ky++) {
          for (let kx = 0; kx < kernelWidth; kx++) {
            const at = dw + ((o * groupIn + i) * kernelHeight + ky) * kernelWidth + kx;
            let sum = accumulate ? float[at] : 0;
            for (let n = sample; n < sample + samples; n++) {
              const planeIn = x + (n * channelsIn + firstIn + i) * heightIn * widthIn;
              const planeOut = dy + (n * channelsOut + o) * heightOut * widthOut;
              for (let oy = 0; oy < heightOut; oy++) {
                const iy = oy * strideY - paddingTop + ky * dilationY;
                if (iy < 0 || iy >= heightIn) continue;
                for (let ox = 0; ox < widthOut; ox++) {
                  const ix = ox * strideX - paddingLeft + kx * dilationX;
                  if (ix >= 0 && ix < widthIn)
                    sum += float[planeOut + oy * widthOut + ox] * float[planeIn + iy * widthIn + ix];
                }
              }
            }
            float[at] = sum;
          }
        }
      }
    }
  };
}
