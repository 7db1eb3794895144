/** Max and average pooling. A plane is one channel of one sample. Glossary: oy, ox, iy, ix positions; ky, kx taps. */
import { readGeometry, type Geometry } from '../specification/geometry.ts';
import type { Heap, Kernels } from '../types.ts';

export function maxPoolForward({ float, int }: Heap): Kernels['maxPoolForward'] {
  return (_scratch, geometry, x, y, argmax, plane, planes) => {
    const shape = readGeometry(int, geometry);
    const sizeIn = shape.heightIn * shape.widthIn,
      sizeOut = shape.heightOut * shape.widthOut;
    for (let q = plane; q < plane + planes; q++) {
      for (let p = 0; p < sizeOut; p++) {
        let best = 0,
          where = -1;
        forEachTap(shape, p, (at) => {
          const value = float[x + q * sizeIn + at];
          if (where < 0 || value > best || Number.isNaN(value)) {
            best = value;
            where = at;
          }
        });
        float[y + q * sizeOut + p] = best;
        if (argmax >= 0) int[argmax + q * sizeOut + p] = where;
      }
    }
  };
}

export function maxPoolBackward({ float, int }: Heap): Kernels['maxPoolBackward'] {
  return (_scratch, geometry, dy, argmax, dx, plane, planes) => {
    const shape = readGeometry(int, geometry);
    const sizeIn = shape.heightIn * shape.widthIn,
      sizeOut = shape.heightOut * shape.widthOut;
    for (let q = plane; q < plane + planes; q++) {
      float.fill(0, dx + q * sizeIn, dx + (q + 1) * sizeIn);
      for (let p = 0; p < sizeOut; p++) {
        const where = int[argmax + q * sizeOut + p];
        if (where >= 0) float[dx + q * sizeIn + where] += float[dy + q * sizeOut + p];
      }
    }
  };
}

export function averagePoolForward({ float, int }: Heap): Kernels['averagePoolForward'] {
  return (_scratch, geometry, x, y, countPadding, plane, planes) => {
    const shape = readGeometry(int, geometry);
    const sizeIn = shape.heightIn * shape.widthIn,
      sizeOut = shape.heightOut * shape.widthOut;
    for (let q = plane; q < plane + planes; q++) {
      for (let p = 0; p < sizeOut; p++) {
        let sum = 0,
          taps = 0;
        forEachTap(shape, p, (at) => {
          sum += float[x + q * sizeIn + at];
          taps++;
        });
        float[y + q * sizeOut + p] =
          taps === 0 ? 0 : sum / (countPadding ? shape.kernelHeight * shape.kernelWidth : taps);
      }
    }
  };
}

export function averagePoolBackward({ float, int }: Heap): Kernels['averagePoolBackward'] {
  return (_scratch, geometry, dy, dx, countPadding, plane, planes) => {
    const shape = readGeometry(int, geometry);
    const sizeIn = shape.heightIn * shape.widthIn,
      sizeOut = shape.heightOut * shape.widthOut;
    for (let q = plane; q < plane + planes; q++) {
      float.fill(0, dx + q * sizeIn, dx + (q + 1) * sizeIn);
      for (let p = 0; p < sizeOut; p++) {
        let taps = 0;
        forEachTap(shape, p, () => {
          taps++;
        });
        const share = float[dy + q * sizeOut + p] / (countPadding ? shape.kernelHeight * shape.kernelWidth : taps);
        forEachTap(shape, p, (at) => {
          float[dx + q * sizeIn + at] += share;
        });
      }
    }
  };
}

/**
 * Calls `visit` with each input position, within its plane and ascending, that the window of output position p covers.
 */
function forEachTap(shape: Geometry, p: number, visit: (at: number) => void): void {
  const top = Math.floor(p / shape.widthOut) * shape.strideY - shape.paddingTop;
  const left = (p % shape.widthOut) * shape.strideX - shape.paddingLeft;
  for (let ky = 0; ky < shape.kernelHeight; ky++) {
    const iy = top + ky * shape.dilationY;
    if (iy < 0 || iy >= shape.heightIn) continue;
    for (let kx = 0; kx < shape.kernelWidth; kx++) {
      const ix = left + kx * shape.dilationX;
      if (ix >= 0 && ix < shape.widthIn) visit(iy * shape.widthIn + ix);
    }
  }
}
