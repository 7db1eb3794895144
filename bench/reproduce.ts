/**
 * The experiment on real faces: trains the VGG-like baseline on a folder of faces with 68 landmarks (or loads one),
 * compresses it, reports.
 *
 *   npm run reproduce -- --data DIR [--baseline WEIGHTS.safetensors] [--setting size|tiny|paper] [--out out/reproduce] [--epochs 20] [--seed 1] [--threads 2] [--test]
 *
 * Resumable: killed anywhere and started again with the same arguments it goes on from its last checkpoint and ends in
 * the same bytes. Choices are made on the part `validation`; the part `test` is read only with --test, after everything
 * is decided.
 */
import { mkdir, readFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import {
  augmentLandmarks,
  compress,
  folderStore,
  landmarks68Task,
  loadKernels,
  meanTarget,
  MIRROR_68,
  openFolder,
  parameterCount,
  PRESET_NAMES,
  presetOptions,
  readNpy,
  readPlain,
  gunzip,
  saveFile,
  smoothL1,
  train,
  vgg,
  withOutputUnit,
  withWeights,
  writeNetwork,
} from 'espalier';
import type { CompressOptions, Context, Network } from 'espalier';
import { preprocessing } from './faces.ts';
import { landmarkErrors, progressLines, writeOutcome } from '../examples/run.ts';

/** The quickstart's is no setting of the experiment. */
const SETTINGS = PRESET_NAMES.filter((name) => name !== 'quick');

const { values } = parseArgs({
  options: {
    data: { type: 'string' },
    baseline: { type: 'string' },
    setting: { type: 'string', default: 'size' },
    out: { type: 'string', default: join('out', 'reproduce') },
    epochs: { type: 'string', default: '20' },
    seed: { type: 'string', default: '1' },
    threads: { type: 'string', default: String(Math.min(2, availableParallelism())) },
    options: { type: 'string' },
    'only-baseline': { type: 'boolean', default: false },
    test: { type: 'boolean', default: false },
  },
});
const setting = SETTINGS.find((name) => name === values.setting);
if (values.data === undefined || setting === undefined) {
  console.error(
    `usage: npm run reproduce -- --data DIR [--baseline WEIGHTS.safetensors] [--setting ${SETTINGS.join('|')}] [--out DIR] [--epochs N] [--seed N] [--threads N] [--options JSON] [--only-baseline] [--test]`,
  );
  process.exit(2);
}
const { data, out } = values;
await mkdir(out, { recursive: true });
const start = Date.now();
const store = folderStore(join(out, 'checkpoints'));
const kernels = await loadKernels();
const [plainTraining, validation] = await Promise.all(
  ['train', 'validation'].map((part) => openFolder(data, part, { preprocessing })),
);
const context: Context = {
  kernels,
  threads: Number(values.threads),
  seed: Number(values.seed),
  training: augmentLandmarks(plainTraining, { mirror: MIRROR_68 }),
  validation,
  onEvent: progressLines(start),
};
console.error(
  `kernels: ${kernels.name} (${kernels.reason}), ${context.threads} threads; ${plainTraining.count} faces to train on, ${validation.count} to choose on`,
);

const unit = { scale: 0.1, shift: await meanTarget(plainTraining) };
const plan = { name: 'vgg-face68', preprocessing, task: landmarks68Task(), seed: Number(values.seed) };
// The recipe: smooth L1 of (prediction - target) / 0.1; everything else is the default of `train`.
const loss = smoothL1({ beta: 0.1, scale: 0.1 });
let original: Network;
let history: readonly { loss: number; validation?: number }[] | undefined;
if (values.baseline === undefined) {
  const trained = await train(vgg({ ...plan, unit }), context, {
    epochs: Number(values.epochs),
    loss,
    checkpoint: { store, key: 'baseline' },
  });
  ({ network: original, history } = trained);
} else {
  // Weights that give landmarks in units of the crop; the unit goes into a node of its own, so that the recipe's rates
  // fit.
  original = withOutputUnit(withWeights(vgg(plan), readPlain(await readFile(values.baseline)).tensors), unit);
}
await saveFile(join(out, 'baseline.safetensors'), writeNetwork(original));
const before = await landmarkErrors(original, validation, context);
console.error(
  `baseline: ${parameterCount(original)} parameters, validation RMSE ${before.rmse.toFixed(5)}, NME ${(100 * (before.nme ?? NaN)).toFixed(2)} %, ${((Date.now() - start) / 1000).toFixed(0)} s`,
);
if (values['only-baseline']) {
  if (values.test) {
    const { rmse, nme = NaN } = await landmarkErrors(
      original,
      await openFolder(data, 'test', { preprocessing }),
      context,
    );
    console.log(`baseline on test: RMSE ${rmse.toFixed(5)}, NME ${(100 * nme).toFixed(2)} %`);
  }
  process.exit(0);
}

const preset = presetOptions(setting, original);
const options: CompressOptions = {
  ...preset,
  training: { ...preset.training, loss },
  ...(values.options === undefined ? {} : (JSON.parse(values.options) as CompressOptions)),
};
// Taken by turns, so that a teacher is asked once about each.
const variants = options.teacherWeight ? 16 : undefined;
const taught = { ...context, training: augmentLandmarks(plainTraining, { mirror: MIRROR_68, variants }) };
const result = await compress(original, taught, {
  ...options,
  checkpoint: { store, key: `compress-${values.setting}` },
});
const reported = values.test ? 'test' : 'validation';
const examples = await openFolder(data, reported, { preprocessing });
const pixels = readNpy(await gunzip(await readFile(join(data, `${reported}-images.npy.gz`))));
const landmarks = readNpy(await readFile(join(data, `${reported}-landmarks.npy`)));
await writeOutcome({
  title: 'espalier: compression of a landmark network on real faces',
  description: `VGG-like network of ${parameterCount(original).toLocaleString('en-US')} parameters${values.baseline === undefined ? `, trained for ${values.epochs} epochs` : ', weights as given'}; setting '${values.setting}', chosen on validation; errors measured on ${reported} (${examples.count} faces).`,
  folder: out,
  original,
  result,
  examples,
  setName: reported,
  context,
  ...(history ? { baseline: history } : {}),
  pictures: {
    side: pixels.shape[1],
    pixels: pixels.data as Uint8Array,
    landmarks: Float32Array.from(landmarks.data),
    shown: Array.from({ length: 12 }, (_, i) => Math.floor((i * examples.count) / 12)),
  },
});
console.error(
  `${((Date.now() - start) / 1000).toFixed(0)} s in all, peak memory ${(process.resourceUsage().maxRSS / 1024).toFixed(0)} MiB`,
);
