/** On the real faces: the recipe's data side. Needs ESPALIER_DATA. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  augmentLandmarks,
  landmarkMetrics,
  landmarks68Task,
  meanTarget,
  MIRROR_68,
  OUTER_EYES_68,
  openFolder,
  readPts,
} from '../../src/data/index.ts';
import type { Preprocessing } from '../../src/graph/preprocessing.ts';
import { realData } from '../real-data.ts';

const PREPROCESSING: Preprocessing = {
  width: 64,
  height: 64,
  channels: 1,
  filter: 'area',
  scale: 1 / 255,
  standardize: { kind: 'image', epsilon: 1e-3 },
};
const folder = join(realData ?? '', 'faces68');

describe.skipIf(realData === undefined)('faces68', () => {
  it('validation has 367 faces of [1, 64, 64], standardized, with 68 landmarks and names', async () => {
    const set = await openFolder(folder, 'validation', { preprocessing: PREPROCESSING });
    expect(set).toMatchObject({
      count: 367,
      inputShape: [1, 64, 64],
      targetShape: [136],
      imageShape: [96, 96],
      task: landmarks68Task(),
    });
    expect(set.names?.length).toBe(367);
    const inputs = new Float32Array(367 * 4096),
      targets = new Float32Array(367 * 136);
    await set.read(
      Array.from({ length: 367 }, (_, i) => i),
      inputs,
      targets,
    );
    for (let i = 0; i < 367; i++) {
      const face = inputs.subarray(i * 4096, (i + 1) * 4096);
      expect(Math.abs(face.reduce((sum, value) => sum + value, 0) / 4096)).toBeLessThan(1e-4);
      expect(face.reduce((sum, value) => sum + value * value, 0) / 4095).toBeGreaterThan(0.9);
    }
    set.close();
  });

  it('the mean shape of train has a test RMSE of 0.0722, an NME of 20.8 % (median 18.0 %) and fails on 82 %', async () => {
    const train = await openFolder(folder, 'train', { preprocessing: PREPROCESSING }),
      test = await openFolder(folder, 'test', { preprocessing: PREPROCESSING, memoryLimit: 0 });
    const mean = await meanTarget(train);
    const targets = new Float32Array(test.count * 136),
      predictions = new Float32Array(test.count * 136);
    await test.read(
      Array.from({ length: test.count }, (_, i) => i),
      new Float32Array(test.count * 4096),
      targets,
    );
    for (let i = 0; i < test.count; i++) predictions.set(mean, i * 136);
    const found = landmarkMetrics(predictions, targets, { points: 68, normalizeBy: OUTER_EYES_68, side: 96 });
    expect(found).toMatchObject({ samples: 466, excluded: 0 });
    expect(found.rmse).toBeCloseTo(0.0722, 4);
    expect(found.rmsePixels).toBeCloseTo(6.93, 2);
    expect(found.nme).toBeCloseTo(0.208, 3);
    expect(found.nmeMedian).toBeCloseTo(0.18, 3);
    expect(found.failureRate).toBeCloseTo(0.82, 2);
    train.close();
    test.close();
  });

  it('augments a face of 64 x 64 in less than a millisecond', async () => {
    const set = augmentLandmarks(await openFolder(folder, 'sample', { preprocessing: PREPROCESSING }), {
      mirror: MIRROR_68,
    });
    const indices = Array.from({ length: 64 }, (_, i) => i),
      inputs = new Float32Array(64 * 4096),
      targets = new Float32Array(64 * 136);
    let least = Infinity;
    for (let epoch = 0; epoch < 5; epoch++) {
      const start = performance.now();
      await set.read(indices, inputs, targets, { seed: 1, epoch });
      least = Math.min(least, (performance.now() - start) / 64);
    }
    expect(least).toBeLessThan(1);
  });

  it('reads the .pts files of the collection, and refuses those without a header', () => {
    const examples = join(realData ?? '', 'pts-examples');
    const files = readdirSync(examples).filter((name) => name.endsWith('.pts'));
    expect(files.length).toBe(12);
    for (const name of files) {
      const text = readFileSync(join(examples, name), 'utf8');
      if (name.startsWith('noheader')) expect(() => readPts(text)).toThrow(/version/);
      else {
        const { data, shape } = readPts(text),
          zeroBased = readPts(text, { oneBased: true }).data;
        expect(shape).toEqual([68, 2]);
        expect(zeroBased[5]).toBe(data[5] - 1);
      }
    }
  });
});
