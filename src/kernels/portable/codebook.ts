/**
 * Product quantization's hot loops: nearest codeword, sums per codeword, decoding and its transpose.
 * Glossary: K codewords, d coordinates, M sub-spaces, x a point, c a codeword.
 */
import type { Heap, Kernels } from '../types.ts';

/**
 * Each operation of the distance is rounded to float32, also on a heap of doubles, so that every set finds the same
 * codeword.
 */
export function nearestCodeword({ float, int }: Heap): Kernels['nearestCodeword'] {
  const { fround } = Math;
  return (_scratch, points, stride, count, d, codewords, k, weights, codes, distances) => {
    for (let i = 0; i < count; i++) {
      const x = points + i * stride;
      let nearest = 0,
        least = Infinity;
      for (let c = 0; c < k; c++) {
        const codeword = codewords + c * d;
        let distance = 0;
        for (let j = 0; j < d; j++) {
          const difference = fround(float[x + j] - float[codeword + j]);
          const square = fround(difference * difference);
          distance = fround(distance + (weights < 0 ? square : fround(float[weights + j] * square)));
        }
        if (distance < least) {
          least = distance;
          nearest = c;
        }
      }
      int[codes + i] = nearest;
      if (distances >= 0) float[distances + i] = least;
    }
  };
}

/** The chain of {@link nearestCodeword}; the sum in four parts, as a vector of doubles has them. */
export function nearerSeed(heap: Heap): Kernels['nearerSeed'] {
  const { float, double } = heap,
    { fround } = Math;
  return (_scratch, points, stride, count, d, seed, metric, metricStride, weights, least, total) => {
    const parts = [0, 0, 0, 0, 0],
      whole = count - (count % 4);
    for (let i = 0; i < count; i++) {
      let distance = 0;
      for (let j = 0; j < d; j++) {
        const difference = fround(float[points + i * stride + j] - float[seed + j]),
          square = fround(difference * difference);
        distance = fround(distance + (metric < 0 ? square : fround(float[metric + i * metricStride + j] * square)));
      }
      if (distance < float[least + i]) float[least + i] = distance;
      parts[i < whole ? i % 4 : 4] += (weights < 0 ? 1 : float[weights + i]) * float[least + i];
    }
    double[heap.doubleIndex(total)] = parts[0] + parts[2] + (parts[1] + parts[3]) + parts[4];
  };
}

/** All distances: what the bounds leave out is no part of the result. */
export function nearestCodewordAgain(heap: Heap): Kernels['nearestCodewordAgain'] {
  const nearest = nearestCodeword(heap);
  return (
    scratch,
    points,
    stride,
    count,
    d,
    codewords,
    k,
    weights,
    codes,
    distances,
    _groups,
    _tiles,
    _bounds,
    _fresh,
  ) => nearest(scratch, points, stride, count, d, codewords, k, weights, codes, distances);
}

export function codewordErrors(heap: Heap): Kernels['codewordErrors'] {
  const { float, int, double } = heap;
  return (_scratch, points, stride, count, d, codewords, codes, metric, metricStride, weights, errors, total) => {
    const error = heap.doubleIndex(errors);
    let all = 0;
    for (let i = 0; i < count; i++) {
      let sum = 0;
      for (let j = 0; j < d; j++) {
        const difference = float[points + i * stride + j] - float[codewords + int[codes + i] * d + j];
        sum += metric < 0 ? difference * difference : float[metric + i * metricStride + j] * difference * difference;
      }
      double[error + i] = weights < 0 ? sum : sum * float[weights + i];
      all += double[error + i];
    }
    double[heap.doubleIndex(total)] = all;
  };
}

export function accumulateCentroids(heap: Heap): Kernels['accumulateCentroids'] {
  const { float, int, double } = heap;
  return (_scratch, points, stride, count, d, codes, k, weights, sums, counts) => {
    const sum = heap.doubleIndex(sums),
      total = heap.doubleIndex(counts);
    double.fill(0, sum, sum + k * d);
    double.fill(0, total, total + k);
    for (let i = 0; i < count; i++) {
      const x = points + i * stride,
        code = int[codes + i],
        weight = weights < 0 ? 1 : float[weights + i];
      for (let j = 0; j < d; j++) double[sum + code * d + j] += weight * float[x + j];
      double[total + code] += weight;
    }
  };
}

/** Bit i of the packed signs at word `signs`: 1 for a negative weight. */
function isNegative(int: Int32Array, signs: number, i: number): boolean {
  return ((int[signs + (i >>> 5)] >>> (i & 31)) & 1) === 1;
}

export function codebookDecode({ float, int }: Heap): Kernels['codebookDecode'] {
  return (_scratch, codewords, codes, signs, to, columns, first, row, rows, M, d) => {
    for (let r = row; r < row + rows; r++) {
      for (let m = 0; m < M; m++) {
        const i = (r * M + m) * d,
          out = to + r * columns + first + m * d,
          codeword = codewords + int[codes + r * M + m] * d;
        for (let j = 0; j < d; j++) {
          const value = float[codeword + j];
          float[out + j] = signs >= 0 && isNegative(int, signs, i + j) ? -value : value;
        }
      }
    }
  };
}

export function codebookPullback({ float, int }: Heap): Kernels['codebookPullback'] {
  return (_scratch, gradient, columns, first, row, rows, M, d, codes, signs, k, dcodewords) => {
    const sums = new Float64Array(k * d);
    for (let r = row; r < row + rows; r++) {
      for (let m = 0; m < M; m++) {
        const i = (r * M + m) * d,
          from = gradient + r * columns + first + m * d,
          codeword = int[codes + r * M + m] * d;
        for (let j = 0; j < d; j++) {
          const value = float[from + j];
          sums[codeword + j] += signs >= 0 && isNegative(int, signs, i + j) ? -value : value;
        }
      }
    }
    float.set(sums, dcodewords);
  };
}
