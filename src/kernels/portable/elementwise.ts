/** Sums, products and copies. */
import type { Heap, Kernels } from '../types.ts';
import { fusedActivation } from './activation.ts';

export function add(heap: Heap): Kernels['add'] {
  const { float } = heap;
  return (_scratch, a, b, y, count, activation, parameters) => {
    const activate = fusedActivation('add', heap, activation, parameters);
    for (let i = 0; i < count; i++) float[y + i] = activate(float[a + i] + float[b + i]);
  };
}

export function multiply({ float }: Heap): Kernels['multiply'] {
  return (_scratch, a, b, y, count) => {
    for (let i = 0; i < count; i++) float[y + i] = float[a + i] * float[b + i];
  };
}

export function copyRows({ float }: Heap): Kernels['copyRows'] {
  return (_scratch, from, fromStride, to, toStride, rows, columns) => {
    for (let r = 0; r < rows; r++) {
      for (let j = 0; j < columns; j++) float[to + r * toStride + j] = float[from + r * fromStride + j];
    }
  };
}

export function channelSums({ float }: Heap): Kernels['channelSums'] {
  return (_scratch, x, out, samples, allChannels, positions, channel, channels) => {
    for (let c = channel; c < channel + channels; c++) {
      let sum = 0;
      for (let n = 0; n < samples; n++) {
        const first = x + (n * allChannels + c) * positions;
        for (let i = first; i < first + positions; i++) sum += float[i];
      }
      float[out + c] = sum;
    }
  };
}

export function sumParts({ float }: Heap): Kernels['sumParts'] {
  return (_scratch, x, out, parts, stride, count) => {
    for (let i = 0; i < count; i++) {
      let sum = 0;
      for (let part = 0; part < parts; part++) sum += float[x + part * stride + i];
      float[out + i] = sum;
    }
  };
}
