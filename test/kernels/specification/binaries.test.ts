/** Binary operations with broadcasting: laws of every row of their table, and PyTorch 1.13 (test/vectors/binaries.py). */
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { portableKernels, type KernelSet, type Precision } from '../../../src/kernels/index.ts';
import { BINARIES, BINARY, SIDE, type BinaryName } from '../../../src/kernels/specification/binaries.ts';
import vectors from '../../vectors/binaries.json';
import { bothSets, expectWithin, normals, seeds } from '../bench.ts';
import { createStage } from '../operations.ts';
import { callKernel } from '../../../src/kernels/specification/call.ts';

const names = Object.keys(BINARIES) as BinaryName[];
let sets: Record<
  'portable' | 'simd' | 'portable in double',
  { readonly set: KernelSet; readonly precision: Precision }
>;
beforeAll(async () => {
  const [portable, simd] = await bothSets();
  sets = {
    portable: { set: portable, precision: 'float32' },
    simd: { set: simd, precision: 'float32' },
    'portable in double': { set: portableKernels(), precision: 'float64' },
  };
});

const sizeOf = (shape: readonly number[]): number => shape.reduce((product, side) => product * side, 1);

/** Strides of an operand of `shape` along `sides`, aligned at their ends. */
function stridesOf(shape: readonly number[], sides: readonly number[]): number[] {
  let step = 1;
  const strides = new Array<number>(sides.length).fill(0);
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    if (shape[axis] > 1) strides[sides.length - shape.length + axis] = step;
    step *= shape[axis];
  }
  return strides;
}

interface Case {
  readonly operation: BinaryName;
  readonly left: readonly number[];
  readonly right: readonly number[];
  readonly sides: readonly number[];
  readonly a: ArrayLike<number>;
  readonly b: ArrayLike<number>;
  readonly dy: ArrayLike<number>;
}

function run(name: keyof typeof sets, { operation, left, right, sides, a, b, dy }: Case) {
  const { set, precision } = sets[name];
  const stage = createStage(set, precision);
  const [aAt, bAt, dyAt] = [a, b, dy].map(stage.floats),
    [y, da, db] = [sizeOf(sides), a.length, b.length].map(stage.empty);
  const common = {
    a: aAt,
    b: bAt,
    sides,
    aStrides: stridesOf(left, sides),
    bStrides: stridesOf(right, sides),
    operation: BINARY[operation],
  };
  stage.run('binaryForward', { ...common, y });
  stage.run('binaryBackward', { ...common, dy: dyAt, dx: da, side: SIDE.a });
  stage.run('binaryBackward', { ...common, dy: dyAt, dx: db, side: SIDE.b });
  const { float } = stage.play().heap;
  const read = (offset: number, count: number): number[] => [...float.subarray(offset, offset + count)];
  return { y: read(y, sizeOf(sides)), da: read(da, a.length), db: read(db, b.length) };
}

describe.each(['portable', 'simd', 'portable in double'] as const)('%s against PyTorch', (name) => {
  const bound = name === 'portable in double' ? 1e-8 : 1e-5;
  it.each(vectors.map((vector) => [vector.operation, vector.left, vector.right, vector] as const))(
    `%s of %j and %j: within ${bound} (1 + |expected|)`,
    (_operation, _left, _right, vector) => {
      const found = run(name, vector as Case);
      for (const part of ['y', 'da', 'db'] as const)
        expectWithin(found[part], vector[part], (i) => bound * (1 + Math.abs(vector[part][i])));
    },
  );
});

/** Shapes of two operands and of their result: some sides of either are 1. */
const shapes = fc
  .array(fc.record({ side: fc.integer({ min: 1, max: 6 }), who: fc.constantFrom('both', 'both', 'a', 'b') }), {
    minLength: 1,
    maxLength: 8,
  })
  .filter((axes) => axes.reduce((product, { side }) => product * side, 1) <= 3000)
  .map((axes) => ({
    sides: axes.map(({ side }) => side),
    left: axes.map(({ side, who }) => (who === 'b' ? 1 : side)),
    right: axes.map(({ side, who }) => (who === 'a' ? 1 : side)),
  }));

describe.each(names)('%s', (operation) => {
  it('SIMD against portable: forward the nearest float, backward within 1e-6 of the sum of sizes; up to 8 sides', () => {
    fc.assert(
      fc.property(shapes, seeds, ({ sides, left, right }, seed) => {
        // Whole numbers, so that ties happen; never 0, for divide.
        const wholes = (which: number, shape: readonly number[]): Float32Array =>
          normals(seed + which, sizeOf(shape)).map((value) => Math.round(value) || 2);
        const one = { operation, sides, left, right, a: wholes(0, left), b: wholes(1, right), dy: wholes(2, sides) };
        const portable = run('portable', one),
          simd = run('simd', one);
        expect(simd.y).toEqual(portable.y);
        const most = one.dy.reduce((sum, value) => sum + Math.abs(value), 0) * 5;
        expectWithin(simd.da, portable.da, () => 1e-6 * most);
        expectWithin(simd.db, portable.db, () => 1e-6 * most);
      }),
      { numRuns: 60 },
    );
  });

  it('in double the gradients are those of central differences', () => {
    fc.assert(
      fc.property(shapes, seeds, ({ sides, left, right }, seed) => {
        fc.pre(sizeOf(sides) <= 60);
        const apart = (which: number, shape: readonly number[]): Float64Array =>
          Float64Array.from(
            normals(seed + which, sizeOf(shape)),
            (value, i) => Math.sign(value) * (0.5 + (i % 97) / 100 + which / 200),
          );
        const one = {
          operation,
          sides,
          left,
          right,
          a: operation === 'power' ? apart(0, left).map(Math.abs) : apart(0, left),
          b: apart(1, right),
          dy: apart(2, sides),
        };
        const loss = (changed: Partial<Case>): number =>
          run('portable in double', { ...one, ...changed }).y.reduce((sum, value, i) => sum + value * one.dy[i], 0);
        const found = run('portable in double', one);
        for (const [operand, gradient] of [
          ['a', found.da],
          ['b', found.db],
        ] as const) {
          const i = seed % gradient.length,
            step = 1e-6;
          const moved = (by: number): number =>
            loss({ [operand]: one[operand].map((value, j) => (j === i ? value + by : value)) });
          const expected = (moved(step) - moved(-step)) / (2 * step);
          expect(Math.abs(gradient[i] - expected)).toBeLessThanOrEqual(1e-5 + 1e-3 * Math.abs(expected));
        }
      }),
      { numRuns: 20 },
    );
  });
});

describe('codes of binary operations', () => {
  it.each([-1, names.length])('%d is none: an error of both sets, written down or called', (code) => {
    for (const { set } of [sets.portable, sets.simd]) {
      const { kernels, scratch } = set.openSync({ words: 64, scratchWords: 64 });
      const message = set.name === 'portable' ? /operation: expected one of 0 \(add\)/ : /unreachable/;
      expect(() => kernels.binaryForward(scratch, 0, 0, 0, 8, 1, 1, code)).toThrow(message);
      expect(() =>
        callKernel(kernels, 'binaryBackward', scratch, {
          a: 0,
          b: 0,
          dy: 0,
          dx: 0,
          sides: 8,
          rank: 2,
          kept: 1,
          outer: 1,
          operation: code,
          side: 0,
        }),
      ).toThrow(message);
      const pieces = [{ a: 0, b: 0, y: 0, sides: 8, rank: 1, outer: 1, operation: code }];
      expect(() =>
        set.openSync({ words: 64, scratchWords: 0, programs: [[{ kernel: 'binaryForward', pieces }]] }),
      ).toThrow(/operation of pieces\[0\] of binaryForward: expected one of 0 \(add\)/);
    }
  });

  it('minimum and maximum of equals give the gradient to a', () => {
    const same = [1, -2, 0, 5, 7];
    for (const operation of ['minimum', 'maximum'] as const)
      for (const name of ['portable', 'simd'] as const)
        expect(
          run(name, { operation, sides: [5], left: [5], right: [5], a: same, b: same, dy: [1, 2, 3, 4, 5] }),
        ).toEqual({ y: same, da: [1, 2, 3, 4, 5], db: [0, 0, 0, 0, 0] });
  });
});
