import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  augmentLandmarks,
  examplesFromArrays,
  MIRROR_68,
  OUTER_EYES_68,
  warp,
  warpPoints,
} from '../../src/data/index.ts';
import type { WarpMatrix } from '../../src/data/index.ts';
import type { Examples } from '../../src/graph/examples.ts';
import { difference, vectors } from './vectors.ts';

const IDENTITY: WarpMatrix = [1, 0, 0, 0, 1, 0];
const FLIP: WarpMatrix = [-1, 0, 0, 0, 1, 0];
const shape = fc.tuple(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 9 }));
const image = shape.chain((sides) =>
  fc
    .float32Array({
      minLength: sides[0] * sides[1] * sides[2],
      maxLength: sides[0] * sides[1] * sides[2],
      min: -3,
      max: 3,
      noNaN: true,
    })
    .map((data) => ({ data: data.map((value) => value + 0), sides })),
); // + 0: no -0
const coefficient = fc.double({ min: -0.4, max: 0.4, noNaN: true });
const matrix = fc
  .tuple(coefficient, coefficient, coefficient, coefficient, coefficient, coefficient)
  .map(([a, b, tx, c, d, ty]): WarpMatrix => [1 + a, b, tx, c, 1 + d, ty]);

/** Blobs at the landmarks, so that picture and points can be held against each other. */
function blobs(points: Float32Array, side: number): Float32Array {
  const out = new Float32Array(side * side);
  for (let p = 0; p < points.length; p += 2) {
    for (let i = 0; i < out.length; i++)
      out[i] +=
        (p / 2 + 1) *
        Math.exp(
          -(((i % side) + 0.5 - points[p] * side) ** 2 + (Math.floor(i / side) + 0.5 - points[p + 1] * side) ** 2) / 6,
        );
  }
  return out;
}

async function readAll(
  examples: Examples,
  pass?: { seed: number; epoch: number },
  order?: readonly number[],
): Promise<{ inputs: Float32Array; targets: Float32Array }> {
  const indices = order ?? Array.from({ length: examples.count }, (_, i) => i);
  const inputs = new Float32Array(indices.length * examples.inputShape.reduce((a, b) => a * b));
  const targets = new Float32Array(indices.length * (examples.targetShape?.[0] ?? 0));
  await examples.read(indices, inputs, examples.targetShape ? targets : undefined, pass);
  return { inputs, targets };
}

describe('warp', () => {
  it("agrees with PyTorch's grid_sample within 2e-6, and its points with the inverse map within 2e-6", () => {
    const { shape, image, points, warps } = vectors.warp;
    for (const { matrix, image: warped, points: moved } of warps) {
      expect(difference(warp(Float32Array.from(image), shape, matrix), warped)).toBeLessThan(2e-6);
      expect(difference(warpPoints(Float32Array.from(points), matrix), moved)).toBeLessThan(2e-6);
    }
  });

  it('by the identity changes no value, and by the mirror twice gives every value back exactly', () => {
    fc.assert(
      fc.property(image, ({ data, sides }) => {
        expect(warp(data, sides, IDENTITY)).toEqual(data);
        const mirrored = warp(data, sides, FLIP);
        const width = sides[2];
        expect(mirrored).toEqual(data.map((_, i) => data[i - (i % width) + width - 1 - (i % width)]));
        expect(warp(mirrored, sides, FLIP)).toEqual(data);
      }),
    );
  });

  it('stays within the least and largest pixel of the channel, by any map', () => {
    fc.assert(
      fc.property(image, matrix, ({ data, sides }, map) => {
        const out = warp(data, sides, map),
          area = sides[1] * sides[2];
        for (let channel = 0; channel < sides[0]; channel++) {
          const source = data.subarray(channel * area, (channel + 1) * area);
          const low = Math.min(...source) - 1e-5,
            high = Math.max(...source) + 1e-5;
          for (const value of out.subarray(channel * area, (channel + 1) * area))
            expect(value >= low && value <= high).toBe(true);
        }
      }),
    );
  });

  it('moves points by the inverse: sent back through the map they are where they were, within 1e-5', () => {
    fc.assert(
      fc.property(
        matrix.filter(([a, b, , c, d]) => Math.abs(a * d - b * c) > 0.2),
        fc.float32Array({ minLength: 6, maxLength: 6, min: 0, max: 1, noNaN: true }),
        (map, points) => {
          const [a, b, tx, c, d, ty] = map;
          const moved = warpPoints(points, map);
          const back = moved.map((_, i) => {
            const x = 2 * moved[i - (i % 2)] - 1,
              y = 2 * moved[i - (i % 2) + 1] - 1;
            return ((i % 2 === 0 ? a * x + b * y + tx : c * x + d * y + ty) + 1) / 2;
          });
          expect(difference(back, points)).toBeLessThan(1e-5);
        },
      ),
    );
  });

  it('refuses other ranks, other lengths, its own input as output, and a map that cannot be inverted', () => {
    const data = new Float32Array(4);
    expect(() => warp(data, [4], IDENTITY)).toThrow(RangeError);
    expect(() => warp(data, [1, 2, 3], IDENTITY)).toThrow(/expected 6 numbers/);
    expect(() => warp(data, [1, 2, 2], IDENTITY, data)).toThrow(/another array/);
    expect(() => warpPoints(data, [0, 0, 0, 0, 1, 0])).toThrow(/determinant 0/);
  });
});

describe('augmentLandmarks', () => {
  const count = 6,
    side = 32;
  const mirror = [1, 0, 2];
  const targets = Float32Array.from(
    { length: count * 6 },
    (_, i) => [0.35, 0.4, 0.65, 0.4, 0.5, 0.65][i % 6] + 0.01 * Math.floor(i / 6),
  );
  const inputs = new Float32Array(count * side * side);
  for (let i = 0; i < count; i++) inputs.set(blobs(targets.subarray(i * 6, i * 6 + 6), side), i * side * side);
  const examples = examplesFromArrays({ inputs, inputShape: [1, side, side], targets, targetShape: [6] });
  const augmented = augmentLandmarks(examples, { mirror });

  it('changes nothing without a pass', async () => {
    expect(await readAll(augmented)).toEqual({ inputs, targets });
  });

  it('depends on seed, epoch and sample only: not on order, batch or earlier calls', async () => {
    const pass = { seed: 7, epoch: 3 };
    const all = await readAll(augmented, pass);
    const order = [5, 0, 3];
    const some = await readAll(augmentLandmarks(examples, { mirror }), pass, order);
    order.forEach((index, i) => {
      expect(some.targets.subarray(i * 6, i * 6 + 6)).toEqual(all.targets.subarray(index * 6, index * 6 + 6));
      expect(some.inputs.subarray(i * side * side, (i + 1) * side * side)).toEqual(
        all.inputs.subarray(index * side * side, (index + 1) * side * side),
      );
    });
    for (const other of [
      { seed: 7, epoch: 4 },
      { seed: 8, epoch: 3 },
    ])
      expect((await readAll(augmented, other)).targets).not.toEqual(all.targets);
  });

  it('leaves every landmark on its feature: image and points move together, mirrored or not', async () => {
    let mirrored = 0;
    for (let epoch = 0; epoch < 10; epoch++) {
      const found = await readAll(augmented, { seed: 1, epoch });
      for (let i = 0; i < count; i++) {
        const points = found.targets.subarray(i * 6, i * 6 + 6);
        const drawn = found.inputs.subarray(i * side * side, (i + 1) * side * side);
        // Mirroring exchanges points 0 and 1 (weights 1 and 2), so a mirrored picture has the heavier blob at point 0.
        const value = (p: number): number =>
          drawn[Math.floor(points[2 * p + 1] * side) * side + Math.floor(points[2 * p] * side)];
        const flipped = value(0) > value(1);
        if (flipped) mirrored++;
        expect(points[0]).toBeLessThan(points[2]);
        const expected = flipped ? [2, 1, 3] : [1, 2, 3];
        expected.forEach((weight, p) => expect(value(p)).toBeGreaterThan(weight * 0.75));
      }
    }
    expect(mirrored).toBeGreaterThan(15);
    expect(mirrored).toBeLessThan(45);
  });

  it('mirrors what it would have made otherwise: the same map, then left and right exchanged', async () => {
    const pass = { seed: 11, epoch: 2 };
    const plain = await readAll(augmentLandmarks(examples, { mirror, mirrorProbability: 0 }), pass),
      mirrored = await readAll(augmentLandmarks(examples, { mirror, mirrorProbability: 1 }), pass);
    expect(
      difference(
        mirrored.inputs,
        plain.inputs.map((_, i) => plain.inputs[i - (i % side) + side - 1 - (i % side)]),
      ),
    ).toBeLessThan(1e-5);
    const permuted = plain.targets.map((_, i) => {
      const value = plain.targets[i - (i % 6) + 2 * mirror[(i % 6) >> 1] + (i % 2)];
      return i % 2 === 0 ? 1 - value : value;
    });
    expect(difference(mirrored.targets, permuted)).toBeLessThan(1e-6);
    expect(await readAll(augmentLandmarks(examples), pass)).toEqual(plain);
  });

  it('keeps to its bounds: angle, scale and shift recovered from the points', async () => {
    const bounded = augmentLandmarks(examples, { rotation: 10, scale: 0.05, shift: 0.02 });
    let largest = 0;
    for (let epoch = 0; epoch < 40; epoch++) {
      const found = (await readAll(bounded, { seed: 5, epoch })).targets;
      for (let i = 0; i < count * 6; i += 6) {
        const before = targets.subarray(i, i + 6),
          after = found.subarray(i, i + 6);
        const angle = (p: Float32Array): number => (Math.atan2(p[3] - p[1], p[2] - p[0]) * 180) / Math.PI,
          length = (p: Float32Array): number => Math.hypot(p[3] - p[1], p[2] - p[0]);
        largest = Math.max(largest, Math.abs(angle(after) - angle(before)));
        expect(length(after) / length(before)).toBeGreaterThan(1 / 1.0501);
        expect(length(after) / length(before)).toBeLessThan(1 / 0.9499);
        // The middle of the picture moves by the shift over the scale at most.
        const middle = augmentedMiddle(before, after);
        expect(Math.hypot(middle[0] - 0.5, middle[1] - 0.5)).toBeLessThan((0.02 * Math.SQRT2) / 0.95 + 1e-4);
      }
    }
    expect(largest).toBeLessThan(10.01);
    expect(largest).toBeGreaterThan(8);
  });

  it('warps images alone where there are no targets, by the same maps', async () => {
    const unlabelled = augmentLandmarks(examplesFromArrays({ inputs, inputShape: [1, side, side] }), { mirror });
    const pass = { seed: 2, epoch: 0 };
    expect((await readAll(unlabelled, pass)).inputs).toEqual((await readAll(augmented, pass)).inputs);
    expect((await readAll(unlabelled, pass)).inputs).not.toEqual(inputs);
  });

  it('refuses options out of range, targets that are no points, and a mirror that is no permutation', () => {
    for (const options of [{ rotation: -1 }, { scale: 1 }, { shift: NaN }, { mirrorProbability: 2 }])
      expect(() => augmentLandmarks(examples, options)).toThrow(RangeError);
    expect(() => augmentLandmarks(examples, { mirror: [0, 1] })).toThrow(/expected 3 numbers/);
    expect(() => augmentLandmarks(examples, { mirror: [0, 1, 1] })).toThrow(/1 twice/);
    expect(() => augmentLandmarks(examples, { mirror: [0, 1, 3] })).toThrow(RangeError);
    expect(() => augmentLandmarks({ ...examples, targetShape: [5] })).toThrow(/got 5 numbers/);
    expect(() => augmentLandmarks({ ...examples, inputShape: [1024] })).toThrow(/channels, height, width/);
  });

  it('the mirror of 68 points is its own inverse, keeps the midline, and exchanges the outer eyes', () => {
    expect(MIRROR_68.map((point) => MIRROR_68[point])).toEqual(Array.from({ length: 68 }, (_, i) => i));
    expect(MIRROR_68.flatMap((point, i) => (point === i ? [i] : []))).toEqual([8, 27, 28, 29, 30, 33, 51, 57, 62, 66]);
    expect(MIRROR_68[OUTER_EYES_68[0]]).toBe(OUTER_EYES_68[1]);
  });
});

/** Where the picture's middle goes under the similarity that takes the first two points along. */
function augmentedMiddle(before: Float32Array, after: Float32Array): [number, number] {
  const ux = before[2] - before[0],
    uy = before[3] - before[1],
    vx = after[2] - after[0],
    vy = after[3] - after[1];
  const norm = ux * ux + uy * uy,
    re = (ux * vx + uy * vy) / norm,
    im = (ux * vy - uy * vx) / norm;
  const dx = 0.5 - before[0],
    dy = 0.5 - before[1];
  return [after[0] + re * dx - im * dy, after[1] + im * dx + re * dy];
}
