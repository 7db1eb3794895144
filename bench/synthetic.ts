/**
 * How good the synthetic faces are: trains a network on them alone and measures it on held-out synthetic faces, beside
 * ridge regression, and on real ones.
 *
 *   npx tsx bench/synthetic.ts [--data DIR] [--faces 4000] [--epochs 14] [--test]
 *
 * With --data (a folder of faces with 68 landmarks) errors on its part `validation` are printed, with --test those on
 * `test` instead.
 */
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import {
  augmentLandmarks,
  landmarkMetrics,
  landmarks68Task,
  loadKernels,
  meanTarget,
  MIRROR_68,
  openFolder,
  OUTER_EYES_68,
  train,
  vgg,
} from 'espalier';
import type { Context, LandmarkMetrics, Preprocessing } from 'espalier';
import { syntheticFaces } from '../examples/faces/index.ts';
import { fitRidge, predictRidge } from '../examples/faces/ridge.ts';
import { facesAsExamples, landmarkErrors, progressLines } from '../examples/run.ts';

const { values } = parseArgs({
  options: {
    data: { type: 'string' },
    faces: { type: 'string', default: '4000' },
    epochs: { type: 'string', default: '14' },
    test: { type: 'boolean', default: false },
  },
});
const count = Number(values.faces);
const preprocessing: Preprocessing = {
  width: 48,
  height: 48,
  channels: 1,
  filter: 'area',
  scale: 1 / 255,
  standardize: { kind: 'image', epsilon: 1e-3 },
};

const [seen, unseen] = [syntheticFaces({ count, seed: 1 }), syntheticFaces({ count: 500, seed: 1, first: count })];
const [training, held] = [seen, unseen].map(({ images, landmarks }) =>
  facesAsExamples(images, landmarks, 96, preprocessing),
);
const context: Context = {
  kernels: await loadKernels(),
  threads: Math.min(2, availableParallelism()),
  seed: 1,
  training: augmentLandmarks(training, { mirror: MIRROR_68 }),
  onEvent: progressLines(),
};
const network = vgg({
  side: 48,
  widths: [16, 32, 64, 128],
  hidden: [256],
  seed: 1,
  preprocessing,
  task: landmarks68Task(),
  unit: { scale: 0.1, shift: await meanTarget(training) },
});
const { network: trained } = await train(network, context, { epochs: Number(values.epochs) });

const line = (name: string, { samples, rmse, nme = NaN }: LandmarkMetrics): void =>
  console.log(
    `${name.padEnd(44)} ${String(samples).padStart(5)} faces  RMSE ${rmse.toFixed(4)}  NME ${(100 * nme).toFixed(2)} %`,
  );
const options = { points: 68, normalizeBy: OUTER_EYES_68 };
line(
  'ridge regression, held-out synthetic',
  landmarkMetrics(predictRidge(fitRidge(seen.images, seen.landmarks), unseen.images), unseen.landmarks, options),
);
line('network, held-out synthetic', await landmarkErrors(trained, held, context));
if (values.data !== undefined) {
  const part = values.test ? 'test' : 'validation';
  const real = await openFolder(values.data, part, { preprocessing });
  line(`network trained on synthetic only, real ${part}`, await landmarkErrors(trained, real, context));
}
