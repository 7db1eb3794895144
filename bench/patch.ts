/**
 * How long a patch is where the last pass of a compression was trained on: the quickstart's network on its synthetic
 * faces, compressed, written; its codewords, biases and what else stays trainable trained on, rounded as before, written
 * again. The figures of docs/patches.md.
 *
 *   npx tsx bench/patch.ts [--faces 600] [--epochs 4] [--rate 0.01]
 */
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import {
  applyPatch,
  compress,
  diffFiles,
  landmarks68Task,
  loadKernels,
  meanTarget,
  presetOptions,
  roundCodebooks,
  train,
  vgg,
  writeNetwork,
} from 'espalier';
import type { Context, Preprocessing } from 'espalier';
import { drawFaces } from '../examples/faces/draw.ts';
import { facesAsExamples } from '../examples/run.ts';

const { values } = parseArgs({
  options: {
    faces: { type: 'string', default: '600' },
    epochs: { type: 'string', default: '4' },
    rate: { type: 'string', default: '0.01' },
  },
});
const SIDE = 96;
const preprocessing: Preprocessing = {
  width: 48,
  height: 48,
  channels: 1,
  filter: 'area',
  scale: 1 / 255,
  standardize: { kind: 'image', epsilon: 1e-3 },
};
const threads = Math.min(4, availableParallelism());
const count = Number(values.faces);
const faces = await drawFaces({ count: count + 100, seed: 1, threads });
const part = (first: number, end: number) =>
  facesAsExamples(
    faces.images.subarray(first * SIDE * SIDE, end * SIDE * SIDE),
    faces.landmarks.subarray(first * 136, end * 136),
    SIDE,
    preprocessing,
  );
const training = part(0, count);
const context: Context = {
  kernels: await loadKernels(),
  threads,
  seed: 1,
  training,
  validation: part(count, count + 100),
};
const untrained = vgg({
  name: 'faces',
  side: 48,
  widths: [16, 32, 64, 128],
  hidden: [256],
  seed: 1,
  preprocessing,
  task: landmarks68Task(),
  unit: { scale: 0.1, shift: await meanTarget(training) },
});
const { network: original } = await train(untrained, context, { epochs: Number(values.epochs), learningRate: 0.05 });
const { network } = await compress(original, context, {
  ...presetOptions('quick', original),
  final: { epochs: 2, learningRate: Number(values.rate) },
});
console.log('| trained on at | file | after | patch | of the file |\n| --- | --- | --- | --- | --- |');
for (const packed of [true, false]) {
  const before = writeNetwork(network, { packed });
  for (const share of [0.01, 0.1, 1]) {
    const learningRate = share * Number(values.rate);
    // Without validation: the last epoch counts, were it worse.
    const again: Context = { kernels: context.kernels, threads, seed: 2, training };
    const { network: longer } = await train(network, again, { epochs: 1, learningRate });
    const after = writeNetwork((await roundCodebooks({ dense: true })(longer, context)).network, { packed });
    const start = performance.now();
    const patch = diffFiles(before, after);
    const made = performance.now();
    if (Buffer.compare(applyPatch(before, patch), after) !== 0) throw new Error('the result is another file');
    console.log(
      `| ${learningRate} ${packed ? 'packed' : 'plain'} | ${before.length} | ${after.length} | ${patch.length} | ${((100 * patch.length) / after.length).toFixed(2)} % | made in ${(made - start).toFixed(0)} ms`,
    );
  }
}
