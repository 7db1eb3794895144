/**
 * What compression reaches without labels and without an epoch: the VGG-like network on a folder of faces with 68
 * landmarks, full least-squares repair and error feedback from 512 faces, validation error. Of another model
 * of faces the preset alone. The figures of docs/method.md.
 *
 *   npx tsx bench/quick.ts --data DIR --baseline WEIGHTS.safetensors|MODEL.onnx [--rows prune,quantize,both,preset] [--seed 1] [--threads 1]
 */
import { readFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import {
  compress,
  evaluate,
  landmarks68Task,
  loadKernels,
  openFolder,
  presetOptions,
  prune,
  quantize,
  readPlain,
  vgg,
  withWeights,
} from 'espalier';
import { readOnnx } from 'espalier/onnx';
import type { Context, Examples, Network } from 'espalier';
import { preprocessing } from './faces.ts';

const { values } = parseArgs({
  options: {
    data: { type: 'string' },
    baseline: { type: 'string' },
    rows: { type: 'string', default: 'prune,quantize,both,preset' },
    seed: { type: 'string', default: '1' },
    threads: { type: 'string', default: '1' },
  },
});
if (values.data === undefined || values.baseline === undefined) {
  console.error('usage: npx tsx bench/quick.ts --data DIR --baseline WEIGHTS.safetensors (see its first lines)');
  process.exit(2);
}
const kernels = await loadKernels();
const [training, validation] = await Promise.all(
  ['train', 'validation'].map((part) => openFolder(values.data!, part, { preprocessing })),
);
const file = await readFile(values.baseline);
const isOnnx = values.baseline.endsWith('.onnx');
const original = isOnnx
  ? readOnnx(file).network
  : withWeights(vgg({ name: 'vgg-face68', preprocessing, task: landmarks68Task() }), readPlain(file).tensors);
/** Nothing here sees a label. */
const withoutLabels = ({ count, inputShape, read }: Examples): Examples => ({
  count,
  inputShape,
  read: (indices, inputs) => read(indices, inputs, undefined),
});
const context: Context = {
  kernels,
  threads: Number(values.threads),
  seed: Number(values.seed),
  training: withoutLabels(training),
  validation: withoutLabels(validation),
};
const rows = isOnnx ? ['preset'] : values.rows.split(',');
const error = async (network: Network): Promise<number> =>
  (await evaluate(network, validation, { kernels, threads: 1 })).rmse ?? NaN;
const layers = ['conv1_1', 'conv1_2', 'conv2_1', 'conv2_2', 'conv3_1', 'conv3_2', 'conv4_1', 'conv4_2'];
const keepOf = (filters: number, units: number): Record<string, number> => ({
  ...Object.fromEntries(layers.map((name) => [name, filters])),
  dense1: units,
});
const row = async (name: string, make: () => Promise<Network>): Promise<void> => {
  const start = performance.now();
  const cpu = process.cpuUsage().user;
  const network = await make();
  const seconds = (performance.now() - start) / 1000;
  const used = (process.cpuUsage().user - cpu) / 1e6;
  console.log(`| ${name} | ${(await error(network)).toFixed(5)} | ${seconds.toFixed(0)} | ${used.toFixed(0)} |`);
};
console.log('| | validation RMSE | seconds | of the processor |\n| --- | ---: | ---: | ---: |');
await row('original', async () => original);
if (rows.includes('prune'))
  for (const [filters, units] of [
    [0.55, 0.25],
    [0.4, 0.25],
  ])
    for (const refit of [false, true])
      await row(`keep ${filters} / ${units}, ${refit ? 'refitted' : 'repaired per channel'}`, async () => {
        return (await prune({ keep: keepOf(filters, units), refit })(original, context)).network;
      });

const toQuantize = [...layers.slice(1), 'dense1', 'dense2'].map((name) => `${name}.weight`);
const settings = [
  { name: '2 bits', options: { subvectorLength: 4, codewordCount: 256, signs: 'none' } },
  { name: '3 bits', options: { subvectorLength: 4, codewordCount: 256 } },
  { name: 'scalar 3 bits', options: { quantizer: 'scalar', bits: 3 } },
] as const;
if (rows.includes('quantize'))
  for (const { name, options } of settings)
    for (const feedback of ['none', 'diagonal', 'full'] as const)
      await row(`${name}, feedback ${feedback}`, async () => {
        return (await quantize({ ...options, parameters: toQuantize, feedback })(original, context)).network;
      });
if (rows.includes('both'))
  for (const [filters, units] of [
    [0.55, 0.25],
    [0.4, 0.25],
  ]) {
    const { network: thin } = await prune({ keep: keepOf(filters, units), refit: true })(original, context);
    for (const { name, options } of settings)
      await row(`keep ${filters} / ${units}, ${name}`, async () => {
        return (await quantize({ ...options, parameters: toQuantize, feedback: 'full' })(thin, context)).network;
      });
  }
if (rows.includes('preset'))
  await row('preset quick', async () => {
    const { network, report } = await compress(original, context, presetOptions('quick', original));
    const { bytes, ratio, validation: judged } = report;
    console.error(`${bytes} bytes, ${ratio.toFixed(1)}x; outputs' error ${judged.after.toFixed(4)} of their spread`);
    return network;
  });
