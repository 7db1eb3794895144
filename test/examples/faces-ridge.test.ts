/**
 * Ridge regression on block means, against scikit-learn (vectors/ridge.py), its own law, and the figure known for the
 * real faces.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { fitRidge, predictRidge } from '../../examples/faces/ridge.ts';
import { landmarkMetrics } from '../../src/data/metrics.ts';
import { gunzip } from '../../src/data/gzip.ts';
import { readNpy } from '../../src/data/npy.ts';
import { realData } from '../real-data.ts';
import vectors from '../vectors/ridge.json' with { type: 'json' };

/** The pictures and landmarks of vectors/ridge.py. */
function examples(count: number, side: number): { images: Uint8Array; landmarks: Float32Array } {
  const images = new Uint8Array(count * side * side),
    landmarks = new Float32Array(count * 136);
  for (let n = 0; n < count; n++) {
    for (let y = 0; y < side; y++) {
      for (let x = 0; x < side; x++)
        images[(n * side + y) * side + x] = (n * n * 31 + y * (n + 3) * 7 + x * x * (n + 1) * 5 + x * y * 3) % 251;
    }
    for (let k = 0; k < 136; k++) landmarks[n * 136 + k] = ((n * 17 + k * 29 + n * n * k) % 101) / 101;
  }
  return { images, landmarks };
}

describe('ridge regression', () => {
  const { count, fit, side, blocks, lambda, predicted } = vectors;
  const { images, landmarks } = examples(count, side);
  const ridge = fitRidge(images.subarray(0, fit * side * side), landmarks.subarray(0, fit * 136), { lambda, blocks });

  it('predicts what scikit-learn predicts, to 1e-6', () => {
    const found = predictRidge(ridge, images.subarray(fit * side * side));
    const expected = predicted.flat();
    expect(found.length).toBe(expected.length);
    for (let i = 0; i < expected.length; i++) expect(Math.abs(found[i] - expected[i])).toBeLessThan(1e-6);
  });

  it('does not see brightness and contrast: 2 p + 3 gives the same landmarks to 1e-6', () => {
    const dim = images.subarray(0, side * side).map((value) => value >> 1);
    const bright = dim.map((value) => 2 * value + 3);
    const [a, b] = [predictRidge(ridge, dim), predictRidge(ridge, bright)];
    for (let i = 0; i < a.length; i++) expect(Math.abs(a[i] - b[i])).toBeLessThan(1e-6);
  });

  it('tends to the mean of the landmarks for a large lambda, and for a flat picture', () => {
    const stiff = fitRidge(images, landmarks, { lambda: 1e12, blocks });
    const found = predictRidge(stiff, images);
    for (let i = 0; i < 136; i++) expect(Math.abs(found[i] - stiff.targetMean[i])).toBeLessThan(1e-6);
    const flat = predictRidge(ridge, new Uint8Array(side * side).fill(77));
    expect(flat.every(Number.isFinite)).toBe(true);
  });

  it('refuses what does not fit together', () => {
    expect(() => fitRidge(images, landmarks, { blocks: 5 })).toThrow(/divisor of the side 12, got 5/);
    expect(() => fitRidge(images, landmarks, { lambda: 0, blocks })).toThrow(/lambda/);
    expect(() => fitRidge(images.subarray(1), landmarks, { blocks })).toThrow(RangeError);
    expect(() => fitRidge(images, landmarks.subarray(1), { blocks })).toThrow(RangeError);
    expect(() => predictRidge(ridge, images.subarray(5))).toThrow(RangeError);
  });

  it.skipIf(realData === undefined)('fitted on faces68 train: a test RMSE of 0.0377 and an NME of 10.6 %', async () => {
    const folder = join(realData ?? '', 'faces68');
    const part = async (name: string): Promise<{ images: Uint8Array; landmarks: Float32Array }> => ({
      images: readNpy(await gunzip(new Uint8Array(readFileSync(join(folder, `${name}-images.npy.gz`)))))
        .data as Uint8Array,
      landmarks: readNpy(new Uint8Array(readFileSync(join(folder, `${name}-landmarks.npy`)))).data as Float32Array,
    });
    const train = await part('train'),
      test = await part('test');
    const found = landmarkMetrics(predictRidge(fitRidge(train.images, train.landmarks), test.images), test.landmarks, {
      points: 68,
      normalizeBy: [36, 45],
    });
    expect(found.rmse).toBeCloseTo(0.0377, 4);
    expect(found.nme).toBeCloseTo(0.106, 3);
  });
});
