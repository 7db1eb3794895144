import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { loadKernels, portableKernels, type KernelSet } from '../../src/kernels/index.ts';
import { boundsShape, createBounds, type Bounds, type BoundsShape } from '../../src/quantization/bounds.ts';
import { callKernel } from '../../src/kernels/specification/call.ts';

const simd = await loadKernels(),
  portable = portableKernels();

interface Case {
  readonly d: number;
  readonly K: number;
  readonly tiles: number;
  readonly points: Float32Array;
  readonly weights: Float32Array | undefined;
  /** Codewords of one call after another. */
  readonly steps: readonly Float32Array[];
}

interface Search {
  readonly bounds: Bounds;
  readonly shape: BoundsShape;
  /** Of every point and group, as the kernel left them. */
  readonly lower: Float32Array;
  /** Group of a codeword. */
  groupOf(codeword: number): number;
  /** What the table says that a group has moved. */
  readonly moved: Float32Array;
  call(codewords: Float32Array, fresh: number): { codes: number[]; distances: number[] };
}

/** The kernel on a heap: points, codewords, weights, codes, distances, table of groups, bounds. */
function open(set: KernelSet, { d, K, tiles, points, weights }: Case): Search {
  const n = points.length / d,
    whole = Math.ceil(K / 8),
    groups = Math.ceil(whole / tiles),
    width = Math.ceil(groups / 4) * 4;
  const shape = { tiles, groups, width, words: whole * 8 + K + width };
  const codewordsAt = n * d,
    weightsAt = codewordsAt + K * d,
    codes = weightsAt + d,
    distances = codes + n,
    table = distances + n,
    lower = table + shape.words;
  const { heap, kernels, scratch } = set.openSync({
    words: lower + n * width,
    scratchWords: set.sizes.scratchWords('nearestCodewordAgain', undefined, [K, d]),
  });
  const float = heap.float as Float32Array;
  float.set(points);
  if (weights) float.set(weights, weightsAt);
  return {
    shape,
    bounds: createBounds(heap.int.subarray(table), float.subarray(table), shape, d, K),
    lower: float.subarray(lower, lower + n * width),
    moved: float.subarray(table + whole * 8 + K, lower),
    groupOf: (codeword) => heap.int[table + whole * 8 + codeword],
    call(codewords, fresh) {
      float.set(codewords, codewordsAt);
      callKernel(kernels, 'nearestCodewordAgain', scratch, {
        points: 0,
        stride: d,
        count: n,
        d,
        codewords: codewordsAt,
        k: K,
        weights: weights ? weightsAt : -1,
        codes,
        distances,
        groups: table,
        tiles,
        bounds: lower,
        fresh,
      });
      return {
        codes: [...heap.int.subarray(codes, codes + n)],
        distances: [...float.subarray(distances, distances + n)],
      };
    },
  };
}

function walk(set: KernelSet, problem: Case): { codes: number[]; distances: number[] }[] {
  const { bounds, call } = open(set, problem);
  return problem.steps.map((codewords, step) => {
    if (step === 0) bounds.start(codewords);
    else bounds.move(codewords, problem.weights);
    return call(codewords, step === 0 ? 1 : 0);
  });
}

// Numbers on a lattice, so that equal distances abound, some a last place beside it, some far off, all times a power of
// two.
const lattice = fc.oneof(
  { weight: 6, arbitrary: fc.integer({ min: -3, max: 3 }) },
  { weight: 2, arbitrary: fc.constantFrom(1 + 2 ** -23, 1 - 2 ** -24, -2 - 2 ** -22, 3 - 2 ** -22) },
  { weight: 2, arbitrary: fc.float({ min: -4, max: 4, noNaN: true }) },
  { weight: 1, arbitrary: fc.constantFrom(1000, -4096, 2 ** -20) },
);
/** What a codeword does between two calls: mostly little. */
const motions = fc.oneof(
  { weight: 5, arbitrary: fc.constant(0) },
  { weight: 2, arbitrary: fc.constantFrom(2 ** -23, -(2 ** -22), 2 ** -12) },
  { weight: 1, arbitrary: fc.integer({ min: -3, max: 3 }) },
  { weight: 1, arbitrary: lattice },
);
const cases: fc.Arbitrary<Case> = fc
  .record({
    n: fc.integer({ min: 1, max: 9 }),
    d: fc.integer({ min: 1, max: 9 }),
    K: fc.integer({ min: 1, max: 90 }),
    tiles: fc.integer({ min: 1, max: 3 }),
    calls: fc.integer({ min: 1, max: 6 }),
    exponent: fc.constantFrom(-18, 0, 45),
    weighted: fc.boolean(),
  })
  .chain(({ n, d, K, tiles, calls, exponent, weighted }) => {
    const scale = 2 ** exponent,
      many = <T>(element: fc.Arbitrary<T>, length: number): fc.Arbitrary<T[]> =>
        fc.array(element, { minLength: length, maxLength: length });
    return fc
      .record({
        points: many(lattice, n * d),
        first: many(lattice, K * d),
        motion: many(many(motions, K * d), calls - 1),
        stays: many(fc.boolean(), calls),
        weights: many(fc.float({ min: 0, max: 1, noNaN: true }), d),
      })
      .map(({ points, first, motion, stays, weights }) => {
        const steps = [Float32Array.from(first, (value) => value * scale)];
        // In some steps only one codeword in eight moves: those are the steps in which most is left out.
        motion.forEach((step, t) =>
          steps.push(steps[t].map((value, i) => value + (stays[t] && Math.floor(i / d) % 8 ? 0 : step[i] * scale))),
        );
        return {
          d,
          K,
          tiles,
          points: Float32Array.from(points, (value) => value * scale),
          weights: weighted ? Float32Array.from(weights) : undefined,
          steps,
        };
      });
  });

describe('nearestCodewordAgain', () => {
  test('the same integers and distances as all distances, call after call, ties, duplicates, jumps and weights included', () => {
    fc.assert(
      fc.property(cases, (problem) => {
        expect(walk(simd, problem)).toEqual(walk(portable, problem));
      }),
      { numRuns: 400 },
    );
  });

  // 128 codewords around 16 centers far from each other; every point near one of them.
  const clustered = (d: number): Case => {
    const at = (i: number, j: number): number => 64 * ((i >> (j % 4)) & 1) + ((i * 37 + j * 11) % 16) / 16;
    const codewords = Float32Array.from(
      { length: 128 * d },
      (_, i) => at((Math.floor(i / d) % 16) + 16 * Math.floor(i / d / 16), i % d) + Math.floor(i / d / 16) / 8,
    );
    return {
      d,
      K: 128,
      tiles: 1,
      points: Float32Array.from({ length: 40 * d }, (_, i) => at(Math.floor(i / d), i % d)),
      weights: undefined,
      steps: [codewords],
    };
  };

  test('groups that are too far are left out: their bounds stay as they were', () => {
    const problem = clustered(4),
      { bounds, lower, shape, call } = open(simd, problem);
    bounds.start(problem.steps[0]);
    call(problem.steps[0], 1);
    lower.fill(1e6);
    call(problem.steps[0], 0);
    // Only the group of the codeword itself is measured where the others are believed to be far.
    expect(lower.filter((bound) => bound !== 1e6)).toHaveLength(40);
    lower.fill(0);
    call(problem.steps[0], 0);
    expect(lower.filter((bound, i) => i % shape.width < shape.groups && bound === 0)).toHaveLength(0);
    expect(walk(simd, { ...problem, steps: [problem.steps[0], problem.steps[0]] })[1]).toEqual(
      walk(portable, problem)[0],
    );
  });

  test('what moved and was not told is missed: the bounds are believed', () => {
    const problem = clustered(2),
      jumped = problem.steps[0].slice(),
      { bounds, groupOf, call } = open(simd, problem);
    bounds.start(jumped);
    const own = call(jumped, 1).codes[0],
      far = Array.from({ length: 128 }, (_, c) => c)
        .filter((c) => groupOf(c) !== groupOf(own))
        .pop() as number;
    jumped.set(problem.points.subarray(0, 2), 2 * far);
    // Were it believed to be where it was, its old group would be left out.
    expect(call(jumped, 0).codes[0]).toBe(own);
    bounds.move(jumped, undefined);
    expect(call(jumped, 0).codes[0]).toBe(walk(portable, { ...problem, steps: [jumped] })[0].codes[0]);
  });

  test('after every call each bound, less what its group has moved, is at most the distance to every codeword of the group', () => {
    fc.assert(
      fc.property(cases, (problem) => {
        const { bounds, lower, shape, groupOf, moved, call } = open(simd, problem),
          { d, K, points, weights, steps } = problem;
        steps.forEach((codewords, step) => {
          if (step === 0) bounds.start(codewords);
          else bounds.move(codewords, weights);
          call(codewords, step === 0 ? 1 : 0);
          for (let i = 0; i * d < points.length; i++) {
            for (let c = 0; c < K; c++) {
              const g = groupOf(c),
                low = lower[i * shape.width + g] - moved[g];
              let sum = 0;
              for (let j = 0; j < d; j++) sum += (weights?.[j] ?? 1) * (points[i * d + j] - codewords[c * d + j]) ** 2;
              if (low > Math.sqrt(sum) * (1 + 1e-12))
                expect.fail(`call ${step}, point ${i}, codeword ${c}: ${low} is above ${Math.sqrt(sum)}`);
            }
          }
        });
      }),
      { numRuns: 150 },
    );
  });
});

describe('what a group has moved', () => {
  const shape = { tiles: 1, groups: 3, width: 4, words: 24 + 24 + 4 };
  const opened = (): { bounds: Bounds; moved: Float32Array; codewords: Float32Array } => {
    const { buffer } = new Float32Array(shape.words);
    // 24 codewords of one coordinate: tiles of 0 to 7, 8 to 15 and 16 to 23.
    const codewords = Float32Array.from({ length: 24 }, (_, i) => i);
    const bounds = createBounds(new Int32Array(buffer), new Float32Array(buffer), shape, 1, 24);
    bounds.start(codewords);
    return { bounds, moved: new Float32Array(buffer).subarray(48), codewords };
  };

  test('is never less than the sum of its steps, though each is lost beside it in float32; and hardly more', () => {
    const { bounds, moved, codewords } = opened();
    let way = 0;
    const step = (by: number): void => {
      const before = codewords[0];
      codewords[0] += by;
      way += Math.abs(codewords[0] - before);
      bounds.move(codewords, undefined);
      expect(moved[0]).toBeGreaterThanOrEqual(way);
    };
    step(4);
    // To and fro about 0, where such steps are exact; half a last place of 4, 500 times.
    step(-4);
    for (let i = 0; i < 500; i++) step((i % 2 === 0 ? 1 : -1) * 2 ** -22);
    expect(way).toBeCloseTo(8 + 500 * 2 ** -22, 12);
    expect(moved[0]).toBeLessThan(way * (1 + 502 * 2 ** -21));
  });

  test('is what its farthest codeword has, in the weights of the distance; others stay, and there are no more', () => {
    const { bounds, moved, codewords } = opened();
    codewords[9] += 2;
    codewords[12] -= 3;
    codewords[20] += 1;
    bounds.move(codewords, Float32Array.of(0.25));
    [0, 1.5, 0.5].forEach((way, g) => expect(moved[g]).toBeCloseTo(way, 5));
    expect(moved[3]).toBe(-Infinity);
    bounds.move(codewords, undefined);
    expect(moved[1]).toBeCloseTo(1.5, 5);
    bounds.start(codewords);
    expect([...moved]).toEqual([0, 0, 0, -Infinity]);
  });
});

describe('boundsShape', () => {
  test('few codewords and very long vectors go without, many points get larger groups, and bounds never take more than 64 MB', () => {
    expect(boundsShape(1000, 8, 16)).toBeUndefined();
    expect(boundsShape(1000, 5000, 256)).toBeUndefined();
    expect(boundsShape(131072, 8, 256)).toMatchObject({ tiles: 1, groups: 32, width: 32 });
    expect(boundsShape(2 ** 20, 4, 256)).toMatchObject({ tiles: 2, groups: 16 });
    expect(boundsShape(1000, 8, 1024)).toMatchObject({ tiles: 2, groups: 64 });
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 2 ** 26 }), fc.integer({ min: 1, max: 65536 }), (n, K) => {
        const shape = boundsShape(n, 8, K);
        if (!shape) return;
        expect(n * shape.width).toBeLessThanOrEqual(2 ** 24);
        expect(shape.groups * shape.tiles * 8).toBeGreaterThanOrEqual(K);
      }),
    );
  });
});
