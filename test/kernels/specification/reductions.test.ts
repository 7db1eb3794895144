/** Reductions and places of the largest: laws of every row of their table, over any sides and any of them reduced. */
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { portableKernels, type KernelSet, type Precision } from '../../../src/kernels/index.ts';
import { callKernel } from '../../../src/kernels/specification/call.ts';
import { REDUCTION, REDUCTION_GRADIENTS, REDUCTIONS } from '../../../src/kernels/specification/reductions.ts';
import type { ReductionName } from '../../../src/kernels/specification/reductions.ts';
import { bothSets, expectWithin, normals, seeds } from '../bench.ts';
import { createStage } from '../operations.ts';

const names = Object.keys(REDUCTIONS) as ReductionName[];
type SetName = 'portable' | 'simd' | 'portable in double';
let sets: Record<SetName, { readonly set: KernelSet; readonly precision: Precision }>;
beforeAll(async () => {
  const [portable, simd] = await bothSets();
  sets = {
    portable: { set: portable, precision: 'float32' },
    simd: { set: simd, precision: 'float32' },
    'portable in double': { set: portableKernels(), precision: 'float64' },
  };
});

const sizeOf = (sides: readonly number[]): number => sides.reduce((product, side) => product * side, 1);

interface Case {
  readonly operation: ReductionName;
  readonly sides: readonly number[];
  readonly axes: readonly number[];
  readonly x: ArrayLike<number>;
  readonly dy: ArrayLike<number>;
}

function run(name: SetName, { operation, sides, axes, x, dy }: Case) {
  const { set, precision } = sets[name];
  const stage = createStage(set, precision);
  const [xAt, dyAt] = [x, dy].map(stage.floats),
    [y, dx] = [dy.length, x.length].map(stage.empty);
  const common = { x: xAt, y, sides, axes, operation: REDUCTION[operation] };
  stage.run('reduceForward', common);
  stage.run('reduceBackward', { ...common, dy: dyAt, dx });
  const { float } = stage.play().heap;
  return { y: [...float.subarray(y, y + dy.length)], dx: [...float.subarray(dx, dx + x.length)] };
}

/** Sides, and which of them are reduced: none, some or all. Few are long: rows of whole vectors and of none. */
const reduced = fc
  .array(fc.record({ side: fc.constantFrom(1, 2, 3, 4, 5, 7, 8, 9, 16, 19), isReduced: fc.boolean() }), {
    minLength: 1,
    maxLength: 6,
  })
  .filter((axes) => sizeOf(axes.map(({ side }) => side)) <= 3000)
  .map((all) => ({
    sides: all.map(({ side }) => side),
    axes: all.flatMap(({ isReduced }, axis) => (isReduced ? [axis] : [])),
    results: sizeOf(all.filter(({ isReduced }) => !isReduced).map(({ side }) => side)),
  }));

/** Offsets of the elements of each result, in their order: said anew, by the coordinates of every element. */
function partsOf(sides: readonly number[], axes: readonly number[]): number[][] {
  const parts = new Map<string, number[]>();
  for (let i = 0; i < sizeOf(sides); i++) {
    const place = sides.map((side, axis) => Math.floor(i / sizeOf(sides.slice(axis + 1))) % side);
    const key = place.filter((_, axis) => !axes.includes(axis)).join();
    const own = parts.get(key);
    if (own) own.push(i);
    else parts.set(key, [i]);
  }
  return [...parts.values()];
}

/** Whole numbers, so that sums are exact and many are equal; some NaN where that is asked for. */
const wholes = (seed: number, count: number, some: boolean): Float32Array =>
  normals(seed, count).map((value, i) => (some && (i * 7919 + seed) % 41 === 0 ? NaN : Math.round(2 * value)));

describe.each(names)('%s', (operation) => {
  it('SIMD gives the same bits as portable where sums are exact, NaN among them; gradients within 2e-7', () => {
    fc.assert(
      fc.property(reduced, seeds, fc.boolean(), ({ sides, axes, results }, seed, some) => {
        const one = {
          operation,
          sides,
          axes,
          x: wholes(seed, sizeOf(sides), some),
          dy: wholes(seed + 1, results, false),
        };
        const [portable, simd] = [run('portable', one), run('simd', one)];
        expect(simd.y).toEqual(portable.y);
        if (REDUCTION_GRADIENTS[operation].onlyFirst) expect(simd.dx).toEqual(portable.dx);
        else expectWithin(simd.dx, portable.dx, (i) => 2e-7 * Math.abs(portable.dx[i]));
      }),
      { numRuns: 150 },
    );
  });

  it('sums are in double: of numbers near 1000 the nearest float but for 1e-3 of a unit in the last place', () => {
    if (!operation.match(/Sum|Mean/)) return;
    for (const [sides, axes] of [
      [[3, 3001], [1]],
      [[3001, 3], [0]],
      [[3001, 6], [0]],
    ]) {
      const x = normals(1, sizeOf(sides)).map((value) => value + 1000);
      const parts = partsOf(sides, axes);
      const exact = parts.map((own) => own.reduce((sum, i) => sum + x[i], 0));
      const expected = operation === 'reduceSum' ? exact : exact.map((sum) => sum / 3001);
      for (const name of ['portable', 'simd'] as const) {
        const { y } = run(name, { operation, sides, axes, x, dy: expected });
        expectWithin(y, expected, (i) => 1.001 * 2 ** -24 * Math.abs(expected[i]));
      }
    }
  });

  it('in double the gradients are those of central differences', () => {
    fc.assert(
      fc.property(reduced, seeds, ({ sides, axes, results }, seed) => {
        fc.pre(sizeOf(sides) <= 60);
        const [x, dy] = [sizeOf(sides), results].map((count, i) => Float64Array.from(normals(seed + i, count)));
        const one = { operation, sides, axes, x, dy };
        const found = run('portable in double', one);
        const loss = (changed: Float64Array): number =>
          run('portable in double', { ...one, x: changed }).y.reduce((sum, value, i) => sum + value * dy[i], 0);
        const i = seed % x.length,
          step = 1e-6;
        const moved = (by: number): number => loss(x.map((value, j) => (j === i ? value + by : value)));
        const expected = (moved(step) - moved(-step)) / (2 * step);
        expect(Math.abs(found.dx[i] - expected)).toBeLessThanOrEqual(1e-5 + 1e-3 * Math.abs(expected));
      }),
      { numRuns: 25 },
    );
  });
});

describe.each(['reduceMax', 'reduceMin'] as const)('%s', (operation) => {
  it('is an element, or NaN where there is one; its whole gradient goes to the first that it is', () => {
    fc.assert(
      fc.property(reduced, seeds, fc.boolean(), ({ sides, axes, results }, seed, some) => {
        const x = wholes(seed, sizeOf(sides), some);
        const dy = Float32Array.from({ length: results }, (_, i) => i + 1);
        const dx = new Array<number>(x.length).fill(0);
        const y = partsOf(sides, axes).map((own, result) => {
          const values = own.map((i) => x[i]);
          const most = operation === 'reduceMax' ? Math.max(...values) : Math.min(...values);
          dx[own[values.findIndex((value) => Object.is(value + 0, most + 0))]] = dy[result];
          return most + 0;
        });
        for (const name of ['portable', 'simd'] as const) {
          const found = run(name, { operation, sides, axes, x, dy });
          expect(found.y.map((value) => value + 0)).toEqual(y);
          expect(found.dx).toEqual(dx);
        }
      }),
      { numRuns: 60 },
    );
  });
});

describe('argMax', () => {
  it('is the lowest place of the largest, NaN the largest of all, the same integers from every set', () => {
    fc.assert(
      fc.property(
        fc.tuple(fc.integer({ min: 1, max: 6 }), fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: 11 })),
        seeds,
        fc.boolean(),
        ([outer, length, inner], seed, some) => {
          const sides = [outer, length, inner];
          const x = wholes(seed, sizeOf(sides), some).map((value) => (value === -2 ? -Infinity : value));
          const expected = partsOf(sides, [1]).map((own) => {
            const values = own.map((i) => x[i]);
            const most = Math.max(...values);
            return values.findIndex((value) => Object.is(value + 0, most + 0));
          });
          for (const { set, precision } of Object.values(sets)) {
            const stage = createStage(set, precision);
            const [from, y] = [stage.floats(x), stage.empty(outer * inner)];
            stage.run('argMax', { x: from, y, outer, length, inner });
            // In double the integers lie beside the floats.
            const { int } = stage.play().heap;
            expect([...int.subarray(y, y + outer * inner)]).toEqual(expected);
          }
        },
      ),
      { numRuns: 150 },
    );
  });
});

describe('codes of reductions', () => {
  it.each([-1, names.length])('%d is none: an error of both sets, written down or called', (code) => {
    const call = { x: 0, y: 0, sides: 8, rank: 2, kept: 1, outer: 1, operation: code };
    for (const { set } of [sets.portable, sets.simd]) {
      const { kernels, scratch } = set.openSync({ words: 64, scratchWords: 64 });
      const message = set.name === 'portable' ? /operation: expected one of 0 \(reduceSum\)/ : /unreachable/;
      expect(() => callKernel(kernels, 'reduceForward', scratch, call)).toThrow(message);
      expect(() => callKernel(kernels, 'reduceBackward', scratch, { ...call, dy: 0, dx: 0 })).toThrow(message);
      expect(() =>
        set.openSync({ words: 64, scratchWords: 0, programs: [[{ kernel: 'reduceForward', pieces: [call] }]] }),
      ).toThrow(/operation of pieces\[0\] of reduceForward: expected one of 0 \(reduceSum\)/);
    }
  });
});
