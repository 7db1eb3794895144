/**
 * The main job on embedded data: trains a VGG-like network on synthetic faces, compresses it, reports.
 *
 *   npm run quickstart            (writes out/quickstart/: original.safetensors, compressed.safetensors, report.html, report.json)
 */
import { mkdir } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import {
  augmentLandmarks,
  compress,
  landmarkMetrics,
  landmarks68Task,
  loadKernels,
  meanTarget,
  MIRROR_68,
  OUTER_EYES_68,
  presetOptions,
  saveFile,
  train,
  vgg,
  writeNetwork,
} from 'espalier';
import type { Context, Preprocessing } from 'espalier';
import { drawFaces } from './faces/draw.ts';
import { fitRidge, predictRidge } from './faces/ridge.ts';
import { facesAsExamples, progressLines, writeOutcome } from './run.ts';

const SIDE = 96;
const FOLDER = join('out', 'quickstart');
const [TRAINING, VALIDATION, TEST] = [2400, 200, 300];
const preprocessing: Preprocessing = {
  width: 48,
  height: 48,
  channels: 1,
  filter: 'area',
  scale: 1 / 255,
  standardize: { kind: 'image', epsilon: 1e-3 },
};

const start = Date.now();
await mkdir(FOLDER, { recursive: true });
const COUNT = TRAINING + VALIDATION + TEST;
const threads = Math.min(4, availableParallelism());
let told = 0;
const faces = await drawFaces({
  count: COUNT,
  seed: 1,
  threads,
  onProgress(drawn) {
    if (drawn < COUNT && Date.now() - told < 2000) return;
    told = Date.now();
    console.error(`${((told - start) / 1000).toFixed(0).padStart(5)} s  drawn ${drawn} of ${COUNT} faces`);
  },
});
const part = (first: number, count: number): { images: Uint8Array; landmarks: Float32Array } => ({
  images: faces.images.subarray(first * SIDE * SIDE, (first + count) * SIDE * SIDE),
  landmarks: faces.landmarks.subarray(first * 136, (first + count) * 136),
});
const [trainingFaces, validationFaces, testFaces] = [
  part(0, TRAINING),
  part(TRAINING, VALIDATION),
  part(TRAINING + VALIDATION, TEST),
];
const training = facesAsExamples(trainingFaces.images, trainingFaces.landmarks, SIDE, preprocessing);

const kernels = await loadKernels();
const context: Context = {
  kernels,
  threads,
  seed: 1,
  training: augmentLandmarks(training, { mirror: MIRROR_68 }),
  validation: facesAsExamples(validationFaces.images, validationFaces.landmarks, SIDE, preprocessing),
  onEvent: progressLines(start),
};
console.error(`kernels: ${kernels.name} (${kernels.reason}), ${context.threads} threads`);

const network = vgg({
  name: 'faces',
  side: 48,
  widths: [16, 32, 64, 128],
  hidden: [256],
  seed: 1,
  preprocessing,
  task: landmarks68Task(),
  unit: { scale: 0.1, shift: await meanTarget(training) },
});
const { network: original, history } = await train(network, context, { epochs: 16, learningRate: 0.05 });
await saveFile(join(FOLDER, 'original.safetensors'), writeNetwork(original));

// No epoch and no labels: least squares and error feedback from 512 samples (docs/method.md). With more time the presets
// size and tiny retrain, and paper takes one layer at a time.
const result = await compress(original, context, presetOptions('quick', original));
const { before } = await writeOutcome({
  title: 'espalier quickstart: synthetic faces',
  description: `A VGG-like network for 68 landmarks, trained on ${TRAINING} synthetic faces and compressed. Errors are measured on ${TEST} faces that neither training nor any choice has seen.`,
  folder: FOLDER,
  original,
  result,
  context,
  baseline: history,
  examples: facesAsExamples(testFaces.images, testFaces.landmarks, SIDE, preprocessing),
  setName: 'test',
  pictures: {
    side: SIDE,
    pixels: testFaces.images,
    landmarks: testFaces.landmarks,
    shown: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11],
  },
});
const ridge = landmarkMetrics(
  predictRidge(fitRidge(trainingFaces.images, trainingFaces.landmarks), testFaces.images),
  testFaces.landmarks,
  { points: 68, normalizeBy: OUTER_EYES_68 },
);
console.log(
  `for comparison, ridge regression on 24 x 24 block means: RMSE ${ridge.rmse.toFixed(5)}; the network has ${(before.rmse / ridge.rmse).toFixed(2)} times that`,
);
console.error(`${((Date.now() - start) / 1000).toFixed(0)} s in all`);
