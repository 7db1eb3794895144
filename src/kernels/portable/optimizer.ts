/** Optimizer updates and gradient clipping. Glossary: w weights, g gradient, m and v moments (v velocity, for SGD). */
import type { Heap, Kernels } from '../types.ts';

export function sumSquares({ float }: Heap): Kernels['sumSquares'] {
  return (_scratch, x, count, out) => {
    let sum = 0;
    for (let i = 0; i < count; i++) sum += float[x + i] * float[x + i];
    float[out] = sum;
  };
}

export function clipScale({ float }: Heap): Kernels['clipScale'] {
  return (_scratch, parts, count, limit, out) => {
    let sum = 0;
    for (let i = 0; i < count; i++) sum += float[parts + i];
    const norm = Math.sqrt(sum),
      most = float[limit];
    float[out] = most === 0 ? 1 : Math.min(1, most / norm);
    float[out + 1] = norm;
  };
}

export function sgdUpdate({ float }: Heap): Kernels['sgdUpdate'] {
  return (_scratch, w, g, v, count, hyper, clip) => {
    const rate = float[hyper],
      momentum = float[hyper + 1],
      weightDecay = float[hyper + 2],
      nesterov = float[hyper + 3] !== 0,
      scale = float[clip];
    for (let i = 0; i < count; i++) {
      const gradient = scale * float[g + i] + weightDecay * float[w + i];
      const velocity = momentum * float[v + i] + gradient;
      float[v + i] = velocity;
      float[w + i] -= rate * (nesterov ? gradient + momentum * velocity : velocity);
    }
  };
}

export function adamUpdate({ float }: Heap): Kernels['adamUpdate'] {
  return (_scratch, w, g, m, v, count, hyper, clip) => {
    const rate = float[hyper],
      beta1 = float[hyper + 1],
      beta2 = float[hyper + 2],
      epsilon = float[hyper + 3],
      weightDecay = float[hyper + 4];
    const decoupled = float[hyper + 5] !== 0,
      correction1 = float[hyper + 6],
      correction2 = float[hyper + 7],
      scale = float[clip];
    for (let i = 0; i < count; i++) {
      const weight = float[w + i];
      const gradient = scale * float[g + i] + (decoupled ? 0 : weightDecay * weight);
      const first = beta1 * float[m + i] + (1 - beta1) * gradient;
      const second = beta2 * float[v + i] + (1 - beta2) * gradient * gradient;
      float[m + i] = first;
      float[v + i] = second;
      const step = first / correction1 / (Math.sqrt(second / correction2) + epsilon);
      float[w + i] = weight - rate * (step + (decoupled ? weightDecay * weight : 0));
    }
  };
}
