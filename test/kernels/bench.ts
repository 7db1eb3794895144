/**
 * A place to call kernels from tests: values are laid on the heap between guard words, at addresses of every alignment.
 */
import fc from 'fast-check';
import { expect } from 'vitest';
import {
  loadKernels,
  portableKernels,
  type Geometry,
  type KernelSet,
  type Precision,
  type Workspace,
} from '../../src/kernels/index.ts';
import { geometryWords } from '../../src/kernels/specification/geometry.ts';
import { stream, normal } from '../../src/base/random.ts';

const GUARD = 12345.5;
const GUARDS = 8;

export interface Bench {
  readonly set: KernelSet;
  readonly workspace: Workspace;
  readonly kernels: Workspace['kernels'];
  readonly scratch: number;
  /** Offset of the values, laid between guards. */
  floats(values: ArrayLike<number>): number;
  ints(values: ArrayLike<number>): number;
  geometry(geometry: Geometry): number;
  /** Offset of `count` words that hold nothing of use. */
  room(count: number): number;
  read(offset: number, count: number): number[];
  readInts(offset: number, count: number): number[];
  /** Fails if a word outside of what was asked for has changed. */
  checkGuards(): void;
  /** Forgets everything laid out; the next value lies `skew` words further. */
  reset(skew?: number): void;
}

export function openBench(
  set: KernelSet,
  { words = 1 << 16, scratchWords = 1 << 16, precision = 'float32' as Precision } = {},
): Bench {
  const workspace = set.openSync({ words, scratchWords, precision });
  const { heap, kernels, scratch } = workspace;
  let next = 0;
  let blocks: { offset: number; count: number }[] = [];
  const room = (count: number): number => {
    const offset = next + GUARDS;
    next = offset + count + GUARDS;
    if (next > words) throw new Error('bench: too small');
    heap.float.fill(GUARD, offset - GUARDS, offset);
    heap.float.fill(NaN, offset, offset + count);
    heap.float.fill(GUARD, offset + count, next);
    blocks.push({ offset, count });
    return offset;
  };
  const floats = (values: ArrayLike<number>): number => {
    const offset = room(values.length);
    heap.float.set(values, offset);
    return offset;
  };
  const ints = (values: ArrayLike<number>): number => {
    const offset = room(values.length);
    heap.int.set(values, offset);
    return offset;
  };
  return {
    set,
    workspace,
    kernels,
    scratch,
    room,
    floats,
    ints,
    geometry: (geometry) => ints(geometryWords(geometry)),
    read: (offset, count) => Array.from(heap.float.subarray(offset, offset + count)),
    readInts: (offset, count) => Array.from(heap.int.subarray(offset, offset + count)),
    checkGuards() {
      for (const { offset, count } of blocks) {
        for (let i = 0; i < GUARDS; i++) {
          if (heap.float[offset - 1 - i] !== GUARD || heap.float[offset + count + i] !== GUARD)
            throw new Error(`a kernel wrote outside of the ${count} words at ${offset}`);
        }
      }
    },
    reset(skew = 0) {
      next = skew;
      blocks = [];
    },
  };
}

/** Both sets, in the order portable, simd. */
export async function bothSets(): Promise<readonly [KernelSet, KernelSet]> {
  const simd = await loadKernels();
  expect(simd.name, simd.reason).toBe('simd');
  return [portableKernels(), simd];
}

/** Runs the same calls on both benches, checks the guards, and gives both results. */
export function onBoth<R>(
  benches: readonly [Bench, Bench],
  skew: number,
  run: (bench: Bench) => R,
): { portable: R; simd: R } {
  const [portable, simd] = benches.map((bench) => {
    bench.reset(skew);
    const result = run(bench);
    bench.checkGuards();
    return result;
  });
  return { portable, simd };
}

/** What was drawn by seed and scale: drawing takes longer than what most kernels do with it. */
const drawn = new Map<string, Float32Array>();

/** Normal numbers of a seed, as floats. */
export function normals(seed: number, count: number, scale = 1): Float32Array {
  const key = `${seed} ${scale}`;
  const known = drawn.get(key);
  if (known && known.length >= count) return known.slice(0, count);
  const random = stream(seed, 'test');
  const numbers = Float32Array.from({ length: count }, () => scale * normal(random));
  // Seeds that a property draws come once.
  if (count >= 4096) drawn.set(key, numbers.slice());
  return numbers;
}

/** The same numbers, zeros with their signs. Of long arrays, where `toEqual` takes seconds. */
export function expectSameBits(actual: Float32Array, expected: Float32Array): void {
  expect(actual.length).toBe(expected.length);
  const at = actual.findIndex((value, i) => !Object.is(value, expected[i]));
  if (at >= 0) expect.fail(`element ${at}: expected ${expected[at]}, got ${actual[at]}`);
}

/** Every |actual - expected| within bound(i); NaN matches NaN, an infinity itself. */
export function expectWithin(
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  bound: (i: number) => number,
): void {
  expect(actual.length).toBe(expected.length);
  for (let i = 0; i < expected.length; i++) {
    if (Object.is(actual[i], expected[i]) || Math.abs(actual[i] - expected[i]) <= bound(i)) continue;
    expect.fail(`element ${i}: expected ${expected[i]} within ${bound(i)}, got ${actual[i]}`);
  }
}

/** Length of a vector with every kind of tail, and the words by which it is off a multiple of four. */
export const lengths = fc.integer({ min: 0, max: 67 });
export const skews = fc.integer({ min: 0, max: 3 });
export const seeds = fc.integer({ min: 0, max: 1e6 });
/** Floats with everything awkward: NaN, infinities, both zeros, subnormals, the largest. */
export const awkwardFloats = (minLength: number, maxLength: number): fc.Arbitrary<number[]> =>
  fc.array(fc.float({ noDefaultInfinity: false, noNaN: false }), { minLength, maxLength });

/** A small pooling or convolution geometry that has at least one output position; windows may lie in the padding. */
export function geometries({ channels = false } = {}): fc.Arbitrary<Geometry> {
  return fc
    .record({
      heightIn: fc.integer({ min: 1, max: 11 }),
      widthIn: fc.integer({ min: 1, max: 19 }),
      kernelHeight: fc.integer({ min: 1, max: 3 }),
      kernelWidth: fc.integer({ min: 1, max: 3 }),
      strideY: fc.integer({ min: 1, max: 3 }),
      strideX: fc.integer({ min: 1, max: 3 }),
      dilationY: fc.integer({ min: 1, max: 2 }),
      dilationX: fc.integer({ min: 1, max: 2 }),
      paddingTop: fc.integer({ min: 0, max: 3 }),
      paddingLeft: fc.integer({ min: 0, max: 3 }),
      paddingBottom: fc.integer({ min: 0, max: 3 }),
      paddingRight: fc.integer({ min: 0, max: 3 }),
      groups: channels ? fc.integer({ min: 1, max: 3 }) : fc.constant(1),
      groupIn: channels ? fc.integer({ min: 1, max: 3 }) : fc.constant(1),
      groupOut: channels ? fc.integer({ min: 1, max: 3 }) : fc.constant(1),
    })
    .map(({ paddingBottom, paddingRight, groupIn, groupOut, ...rest }) => ({
      ...rest,
      channelsIn: rest.groups * groupIn,
      channelsOut: rest.groups * groupOut,
      heightOut:
        Math.floor(
          (rest.heightIn + rest.paddingTop + paddingBottom - rest.dilationY * (rest.kernelHeight - 1) - 1) /
            rest.strideY,
        ) + 1,
      widthOut:
        Math.floor(
          (rest.widthIn + rest.paddingLeft + paddingRight - rest.dilationX * (rest.kernelWidth - 1) - 1) / rest.strideX,
        ) + 1,
    }))
    .filter(({ heightOut, widthOut }) => heightOut > 0 && widthOut > 0);
}
