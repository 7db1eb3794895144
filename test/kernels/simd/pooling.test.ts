import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import type { Geometry } from '../../../src/kernels/index.ts';
import { bothSets, geometries, normals, onBoth, openBench, seeds, skews, type Bench } from '../bench.ts';

let benches: readonly [Bench, Bench];
beforeAll(async () => {
  const [portable, simd] = await bothSets();
  benches = [openBench(portable), openBench(simd)];
});

/** Few different values, so that ties abound; some NaN and zeros of both signs. */
const values = (seed: number, count: number): number[] =>
  Array.from(normals(seed, count), (x) => (x > 2 ? NaN : x < -2 ? -0 : Math.round(x * 2) / 2));
const halves = fc
  .record({ heightIn: fc.integer({ min: 2, max: 9 }), widthIn: fc.integer({ min: 2, max: 24 }) })
  .map(({ heightIn, widthIn }): Geometry => ({
    channelsIn: 1,
    heightIn,
    widthIn,
    channelsOut: 1,
    heightOut: heightIn >> 1,
    widthOut: widthIn >> 1,
    kernelHeight: 2,
    kernelWidth: 2,
    strideY: 2,
    strideX: 2,
    paddingTop: 0,
    paddingLeft: 0,
    dilationY: 1,
    dilationX: 1,
    groups: 1,
  }));
const anyPool = fc.oneof(halves, geometries());
const planeCounts = fc.integer({ min: 0, max: 3 });

describe('pooling, SIMD against portable, any stride, padding, dilation', () => {
  it('max: the same floats and the same arg max, ties, NaN and windows in the padding included', () => {
    fc.assert(
      fc.property(anyPool, planeCounts, seeds, skews, (geometry, planes, seed, skew) => {
        const sizeIn = geometry.heightIn * geometry.widthIn,
          sizeOut = geometry.heightOut * geometry.widthOut;
        const { portable, simd } = onBoth(benches, skew, (bench) => {
          const shape = bench.geometry(geometry),
            x = bench.floats(values(seed, (planes + 1) * sizeIn));
          const y = bench.floats(normals(1, (planes + 1) * sizeOut)),
            where = bench.ints(new Int32Array((planes + 1) * sizeOut).fill(-7));
          // The first plane is left out: pieces begin anywhere.
          bench.kernels.maxPoolForward(bench.scratch, shape, x, y, where, 1, planes);
          const unindexed = bench.floats(normals(1, (planes + 1) * sizeOut));
          bench.kernels.maxPoolForward(bench.scratch, shape, x, unindexed, -1, 1, planes);
          return {
            y: bench.read(y, (planes + 1) * sizeOut),
            where: bench.readInts(where, (planes + 1) * sizeOut),
            // Without places SIMD takes rows first and then neighbours: of zeros of both signs either may be found.
            unindexed: bench.read(unindexed, (planes + 1) * sizeOut).map((value) => value + 0),
          };
        });
        expect(simd).toEqual(portable);
        expect(simd.unindexed).toEqual(simd.y.map((value) => value + 0));
      }),
      { numRuns: 200 },
    );
  });

  it('backward of max, both directions of average: the same floats', () => {
    fc.assert(
      fc.property(
        anyPool,
        planeCounts,
        seeds,
        skews,
        fc.integer({ min: 0, max: 1 }),
        (geometry, planes, seed, skew, countPadding) => {
          const sizeIn = planes * geometry.heightIn * geometry.widthIn,
            sizeOut = planes * geometry.heightOut * geometry.widthOut;
          const { portable, simd } = onBoth(benches, skew, (bench) => {
            const shape = bench.geometry(geometry),
              x = bench.floats(normals(seed, sizeIn)),
              dy = bench.floats(normals(seed + 1, sizeOut));
            const y = bench.room(sizeOut),
              where = bench.room(sizeOut),
              dx = bench.room(sizeIn),
              dxAverage = bench.room(sizeIn);
            bench.kernels.maxPoolForward(bench.scratch, shape, x, y, where, 0, planes);
            bench.kernels.maxPoolBackward(bench.scratch, shape, dy, where, dx, 0, planes);
            bench.kernels.averagePoolForward(bench.scratch, shape, x, y, countPadding, 0, planes);
            bench.kernels.averagePoolBackward(bench.scratch, shape, dy, dxAverage, countPadding, 0, planes);
            return [...bench.read(dx, sizeIn), ...bench.read(y, sizeOut), ...bench.read(dxAverage, sizeIn)];
          });
          expect(simd).toEqual(portable);
        },
      ),
      { numRuns: 200 },
    );
  });

  it('a window that lies wholly in the padding gives 0 and arg max -1, and passes no gradient', () => {
    const geometry: Geometry = {
      channelsIn: 1,
      heightIn: 1,
      widthIn: 1,
      channelsOut: 1,
      heightOut: 1,
      widthOut: 3,
      kernelHeight: 1,
      kernelWidth: 1,
      strideY: 1,
      strideX: 1,
      paddingTop: 0,
      paddingLeft: 1,
      dilationY: 1,
      dilationX: 1,
      groups: 1,
    };
    const { portable, simd } = onBoth(benches, 0, (bench) => {
      const shape = bench.geometry(geometry),
        x = bench.floats([-5]),
        y = bench.room(3),
        where = bench.room(3),
        dx = bench.room(1),
        dy = bench.floats([1, 2, 4]);
      bench.kernels.maxPoolForward(bench.scratch, shape, x, y, where, 0, 1);
      bench.kernels.maxPoolBackward(bench.scratch, shape, dy, where, dx, 0, 1);
      const average = bench.room(3),
        dxAverage = bench.room(1);
      bench.kernels.averagePoolForward(bench.scratch, shape, x, average, 0, 0, 1);
      bench.kernels.averagePoolBackward(bench.scratch, shape, dy, dxAverage, 0, 0, 1);
      return {
        y: bench.read(y, 3),
        where: bench.readInts(where, 3),
        dx: bench.read(dx, 1),
        average: bench.read(average, 3),
        dxAverage: bench.read(dxAverage, 1),
      };
    });
    expect(portable).toEqual({ y: [0, -5, 0], where: [-1, 0, -1], dx: [2], average: [0, -5, 0], dxAverage: [2] });
    expect(simd).toEqual(portable);
  });
});
