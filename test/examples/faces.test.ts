/**
 * The synthetic faces: reproducible, in the iBUG order, in the box of the real crops, and as varied as they should be.
 */
import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LANDMARK_COUNT, syntheticFace, syntheticFaces } from '../../examples/faces/index.ts';

const COUNT = 96;
const SIDE = 96;
const set = syntheticFaces({ count: COUNT, seed: 5 });
const at = (face: number, k: number): { x: number; y: number } => {
  const i = 2 * (face * LANDMARK_COUNT + k);
  return { x: set.landmarks[i], y: set.landmarks[i + 1] };
};
const faces = Array.from({ length: COUNT }, (_, i) => i);
/** Faces that look at the camera and hold their heads straight: the nose's tip is near the middle of the eyes. */
const frontal = faces.filter((i) => {
  const [left, right, tip] = [at(i, 36), at(i, 45), at(i, 30)];
  const distance = Math.hypot(right.x - left.x, right.y - left.y);
  return Math.abs(tip.x - (left.x + right.x) / 2) < 0.15 * distance && Math.abs(right.y - left.y) < 0.15 * distance;
});
const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
const deviation = (values: readonly number[]): number => {
  const middle = mean(values);
  return Math.sqrt(mean(values.map((value) => (value - middle) ** 2)));
};

describe('reproducibility', () => {
  // A promise to everyone who quotes a number measured on these faces: a change of these bytes is a change of the data
  // set.
  it('freezes the bytes of 4 faces of seed 1', () => {
    const { images, landmarks } = syntheticFaces({ count: 4, seed: 1 });
    const digest = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex').slice(0, 16);
    expect({ images: digest(images), landmarks: digest(new Uint8Array(landmarks.buffer)) }).toEqual({
      images: '6ed65d1600ec87b3',
      landmarks: 'c6027311d0d79702',
    });
  });

  it('face i depends on (seed, i) only: not on count, on where a set starts, nor on what was made before', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 1000 }),
        fc.integer({ min: 0, max: 50 }),
        fc.integer({ min: 1, max: 3 }),
        (seed, first, count) => {
          const { images, landmarks } = syntheticFaces({ count, seed, first, side: 32 });
          const last = syntheticFace(seed, first + count - 1, 32);
          expect(last.image).toEqual(images.subarray((count - 1) * 32 * 32));
          expect(last.landmarks).toEqual(landmarks.subarray((count - 1) * LANDMARK_COUNT * 2));
        },
      ),
      { numRuns: 8 },
    );
  });

  it('another seed or index gives another face; another side the same landmarks', () => {
    const face = syntheticFace(3, 7, 48);
    expect(syntheticFace(4, 7, 48).landmarks).not.toEqual(face.landmarks);
    expect(syntheticFace(3, 8, 48).landmarks).not.toEqual(face.landmarks);
    expect(syntheticFace(3, 7, 64).landmarks).toEqual(face.landmarks);
    expect(syntheticFace(3, 7, 64).image.length).toBe(64 * 64);
  });
});

describe('landmarks', () => {
  it('their box: the larger side from 0.5 - 0.5/1.3 to 0.5 + 0.5/1.3, the other centred, to 1e-6', () => {
    for (const i of faces) {
      const xs = Array.from({ length: LANDMARK_COUNT }, (_, k) => at(i, k).x),
        ys = Array.from({ length: LANDMARK_COUNT }, (_, k) => at(i, k).y);
      const [x0, x1, y0, y1] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
      expect(Math.abs(Math.max(x1 - x0, y1 - y0) - 1 / 1.3)).toBeLessThan(1e-6);
      expect(Math.abs((x0 + x1) / 2 - 0.5)).toBeLessThan(1e-6);
      expect(Math.abs((y0 + y1) / 2 - 0.5)).toBeLessThan(1e-6);
    }
  });

  it('frontal faces have the iBUG order: left to right, top to bottom, eyes and mouth inside the contour', () => {
    expect(frontal.length).toBeGreaterThan(COUNT / 5);
    for (const i of frontal) {
      const ascending = (order: readonly number[]): void => {
        for (let k = 0; k + 1 < order.length; k++) expect(at(i, order[k]).x).toBeLessThan(at(i, order[k + 1]).x);
      };
      ascending([4, 5, 6, 7, 8, 9, 10, 11, 12]); // the contour
      ascending([17, 18, 19, 20, 21, 22, 23, 24, 25, 26]); // brows
      ascending([31, 32, 33, 34, 35]); // underside of the nose
      ascending([0, 36, 37, 38, 39, 42, 43, 44, 45, 16]); // upper lids between the ends of the contour
      ascending([36, 41, 40, 39, 42, 47, 46, 45]); // lower lids
      ascending([48, 49, 50, 51, 52, 53, 54]); // upper lip
      ascending([48, 59, 58, 57, 56, 55, 54]); // lower lip
      ascending([48, 60, 61, 62, 63, 64, 54]);
      ascending([60, 67, 66, 65, 64]);
      const down = [19, 37, 30, 33, 51, 57, 8].map((k) => at(i, k).y);
      for (let k = 0; k + 1 < down.length; k++) expect(down[k]).toBeLessThan(down[k + 1]);
    }
  });

  it('lids and lips do not cross: upper at most 0.02 below lower, in every pose', () => {
    for (const i of faces) {
      // Along the head's own down direction, from the eyes' middle to the chin.
      const eyes = { x: (at(i, 36).x + at(i, 45).x) / 2, y: (at(i, 36).y + at(i, 45).y) / 2 },
        chin = at(i, 8);
      const length = Math.hypot(chin.x - eyes.x, chin.y - eyes.y);
      const down = (a: number, b: number): number =>
        ((at(i, b).x - at(i, a).x) * (chin.x - eyes.x) + (at(i, b).y - at(i, a).y) * (chin.y - eyes.y)) / length;
      for (const [upper, lower] of [
        [37, 41],
        [38, 40],
        [43, 47],
        [44, 46],
        [61, 67],
        [62, 66],
        [63, 65],
        [51, 62],
        [66, 57],
      ])
        expect(down(upper, lower)).toBeGreaterThan(-0.02);
    }
  });

  it('vary as heads do: distance of the outer eye corners 0.40 to 0.45 on average, both profiles, rolls beyond 10 degrees', () => {
    const distances = faces.map((i) => Math.hypot(at(i, 45).x - at(i, 36).x, at(i, 45).y - at(i, 36).y));
    expect(mean(distances)).toBeGreaterThan(0.4);
    expect(mean(distances)).toBeLessThan(0.45);
    const turn = faces.map((i) => (at(i, 30).x - (at(i, 36).x + at(i, 45).x) / 2) / distances[i]);
    expect(Math.min(...turn)).toBeLessThan(-0.3);
    expect(Math.max(...turn)).toBeGreaterThan(0.3);
    const roll = faces.map((i) => Math.abs(Math.atan2(at(i, 45).y - at(i, 36).y, at(i, 45).x - at(i, 36).x)));
    expect(Math.max(...roll)).toBeGreaterThan((10 * Math.PI) / 180);
  });
});

describe('pictures', () => {
  const grey = faces.map((i) => Array.from(set.images.subarray(i * SIDE * SIDE, (i + 1) * SIDE * SIDE)));

  it('grey values: mean 85 to 120, deviation over all pixels 42 to 62, no flat and no empty face', () => {
    expect(mean(grey.flat())).toBeGreaterThan(85);
    expect(mean(grey.flat())).toBeLessThan(120);
    expect(deviation(grey.flat())).toBeGreaterThan(42);
    expect(deviation(grey.flat())).toBeLessThan(62);
    for (const face of grey) expect(deviation(face)).toBeGreaterThan(6);
  });

  it('landmarks lie on what they name: brows, eyes, nostrils and lips are darker than the skin beside them in at least 3 of 4 frontal faces', () => {
    const tone = (i: number, x: number, y: number): number =>
      grey[i][Math.floor(y * SIDE) * SIDE + Math.floor(x * SIDE)];
    const between = (i: number, a: number, b: number, t: number): number =>
      tone(i, at(i, a).x + t * (at(i, b).x - at(i, a).x), at(i, a).y + t * (at(i, b).y - at(i, a).y));
    const share = (darker: (i: number) => boolean): number => mean(frontal.map((i) => (darker(i) ? 1 : 0)));
    const cheek = (i: number): number => (between(i, 40, 48, 0.5) + between(i, 47, 54, 0.5)) / 2;
    expect(share((i) => (between(i, 37, 40, 0.5) + between(i, 43, 46, 0.5)) / 2 < cheek(i))).toBeGreaterThan(0.75);
    expect(share((i) => (between(i, 19, 41, 0.04) + between(i, 24, 46, 0.04)) / 2 < cheek(i))).toBeGreaterThan(0.75);
    expect(share((i) => between(i, 62, 66, 0.5) < cheek(i))).toBeGreaterThan(0.75);
    expect(share((i) => (between(i, 32, 51, 0) + between(i, 34, 51, 0)) / 2 < cheek(i))).toBeGreaterThan(0.75);
  });
});

describe('arguments', () => {
  it('no faces are an empty set', () => {
    expect(syntheticFaces({ count: 0 })).toEqual({ images: new Uint8Array(0), landmarks: new Float32Array(0) });
  });

  it('refuses counts, indices and sides that are none', () => {
    expect(() => syntheticFaces({ count: -1 })).toThrow(RangeError);
    expect(() => syntheticFaces({ count: 1.5 })).toThrow(/count: expected an integer/);
    expect(() => syntheticFaces({ count: 1, first: -1 })).toThrow(/first/);
    expect(() => syntheticFaces({ count: 1, side: 8 })).toThrow(/side: expected an integer from 16 to 512/);
    expect(() => syntheticFaces({ count: '3' as unknown as number })).toThrow(TypeError);
    expect(() => syntheticFaces({ count: 1, seed: Number.NaN })).toThrow(/seed: expected a finite number/);
    expect(() => syntheticFace(Infinity, 0)).toThrow(/seed/);
    expect(() => syntheticFace(1, -1)).toThrow(/index/);
    expect(() => syntheticFace(1, 0, 1000)).toThrow(/side/);
  });
});
