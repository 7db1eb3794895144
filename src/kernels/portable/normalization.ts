/**
 * Scale and shift per channel, and batch normalization (Ioffe, Szegedy, "Batch Normalization", ICML 2015, algorithms 1
 * and 2). Tensors are [samples, allChannels, positions]; N = samples x positions. m mean, v variance.
 */
import { square } from '../../base/elementary.ts';
import type { Heap, Kernels } from '../types.ts';
import { fusedActivation } from './activation.ts';

export function affineForward(heap: Heap): Kernels['affineForward'] {
  const { float } = heap;
  return (_scratch, x, scale, shift, y, samples, allChannels, positions, activation, parameters) => {
    const activate = fusedActivation('affineForward', heap, activation, parameters);
    for (let n = 0; n < samples; n++) {
      for (let c = 0; c < allChannels; c++) {
        const first = (n * allChannels + c) * positions;
        for (let i = first; i < first + positions; i++)
          float[y + i] = activate(float[x + i] * float[scale + c] + float[shift + c]);
      }
    }
  };
}

export function affineBackward({ float }: Heap): Kernels['affineBackward'] {
  return (_scratch, dy, scale, dx, samples, allChannels, positions) => {
    for (let n = 0; n < samples; n++) {
      for (let c = 0; c < allChannels; c++) {
        const first = (n * allChannels + c) * positions;
        for (let i = first; i < first + positions; i++) float[dx + i] = float[dy + i] * float[scale + c];
      }
    }
  };
}

export function affineBackwardParameters({ float }: Heap): Kernels['affineBackwardParameters'] {
  return (_scratch, x, dy, dscale, dshift, samples, allChannels, positions, channel, channels) => {
    for (let c = channel; c < channel + channels; c++) {
      float[dscale + c] = sumChannel(samples, allChannels, positions, c, (i) => float[dy + i] * float[x + i]);
      float[dshift + c] = sumChannel(samples, allChannels, positions, c, (i) => float[dy + i]);
    }
  };
}

export function batchNormForward({ float }: Heap): Kernels['batchNormForward'] {
  return (
    _scratch,
    x,
    scale,
    shift,
    runningMean,
    runningVariance,
    savedMean,
    savedInverse,
    y,
    hyper,
    samples,
    allChannels,
    positions,
    channel,
    channels,
  ) => {
    const epsilon = float[hyper],
      momentum = float[hyper + 1],
      N = samples * positions;
    if (N === 0) return;
    for (let c = channel; c < channel + channels; c++) {
      const m = sumChannel(samples, allChannels, positions, c, (i) => float[x + i]) / N;
      const v = sumChannel(samples, allChannels, positions, c, (i) => square(float[x + i] - m)) / N;
      const inverse = 1 / Math.sqrt(v + epsilon);
      for (let n = 0; n < samples; n++) {
        const first = (n * allChannels + c) * positions;
        for (let i = first; i < first + positions; i++)
          float[y + i] = float[scale + c] * ((float[x + i] - m) * inverse) + float[shift + c];
      }
      float[savedMean + c] = m;
      float[savedInverse + c] = inverse;
      float[runningMean + c] += momentum * (m - float[runningMean + c]);
      // One value has no unbiased variance: its own, zero, is taken.
      float[runningVariance + c] += momentum * ((v * N) / Math.max(N - 1, 1) - float[runningVariance + c]);
    }
  };
}

export function batchNormBackward({ float }: Heap): Kernels['batchNormBackward'] {
  return (
    _scratch,
    x,
    dy,
    scale,
    savedMean,
    savedInverse,
    dx,
    dscale,
    dshift,
    samples,
    allChannels,
    positions,
    channel,
    channels,
  ) => {
    const N = samples * positions;
    for (let c = channel; c < channel + channels; c++) {
      const m = float[savedMean + c],
        inverse = float[savedInverse + c];
      const sumDy = sumChannel(samples, allChannels, positions, c, (i) => float[dy + i]);
      const sumDyX = sumChannel(
        samples,
        allChannels,
        positions,
        c,
        (i) => float[dy + i] * ((float[x + i] - m) * inverse),
      );
      float[dshift + c] = sumDy;
      float[dscale + c] = sumDyX;
      for (let n = 0; n < samples; n++) {
        const first = (n * allChannels + c) * positions;
        for (let i = first; i < first + positions; i++) {
          float[dx + i] =
            float[scale + c] * inverse * (float[dy + i] - sumDy / N - (float[x + i] - m) * inverse * (sumDyX / N));
        }
      }
    }
  };
}

export function batchNormFold({ float }: Heap): Kernels['batchNormFold'] {
  return (_scratch, scale, shift, mean, variance, scaleOut, shiftOut, hyper, channels) => {
    for (let c = 0; c < channels; c++) {
      const folded = float[scale + c] / Math.sqrt(float[variance + c] + float[hyper]);
      float[scaleOut + c] = folded;
      float[shiftOut + c] = float[shift + c] - float[mean + c] * folded;
    }
  };
}

/** Sum of term(i) over the words i, counted from the start of a tensor, of channel c. */
function sumChannel(
  samples: number,
  allChannels: number,
  positions: number,
  c: number,
  term: (i: number) => number,
): number {
  let sum = 0;
  for (let n = 0; n < samples; n++) {
    const first = (n * allChannels + c) * positions;
    for (let i = first; i < first + positions; i++) sum += term(i);
  }
  return sum;
}

export function standardizeForward({ float }: Heap): Kernels['standardizeForward'] {
  return (_scratch, x, scale, shift, y, inverse, hyper, row, rows, period, channels, positions) => {
    const count = channels * positions;
    for (let r = row; r < row + rows; r++) {
      const first = r * count,
        own = (r % period) * channels;
      let sum = 0,
        squares = 0;
      for (let i = first; i < first + count; i++) sum += float[x + i];
      const m = sum / count;
      for (let i = first; i < first + count; i++) squares += square(float[x + i] - m);
      const factor = 1 / Math.sqrt(squares / count + float[hyper]);
      for (let i = 0; i < count; i++) {
        const c = own + Math.floor(i / positions);
        const standard = (float[x + first + i] - m) * factor;
        float[y + first + i] =
          (scale < 0 ? standard : float[scale + c] * standard) + (shift < 0 ? 0 : float[shift + c]);
      }
      if (inverse >= 0) float[inverse + r] = factor;
    }
  };
}

export function standardizeBackward({ float }: Heap): Kernels['standardizeBackward'] {
  return (_scratch, x, dy, inverse, dx, rows, columns) => {
    for (let r = 0; r < rows; r++) {
      const first = r * columns;
      let sumDy = 0,
        sumDyX = 0;
      for (let i = first; i < first + columns; i++) {
        sumDy += float[dy + i];
        sumDyX += float[dy + i] * float[x + i];
      }
      for (let i = first; i < first + columns; i++)
        float[dx + i] = float[inverse + r] * (float[dy + i] - sumDy / columns - (float[x + i] * sumDyX) / columns);
    }
  };
}
