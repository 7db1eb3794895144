/**
 * What the price of a bit is worth: a network of faces with 68 landmarks, all layers but the first as levels, for several
 * steps and prices, packed bytes and validation error. No epoch and no label. The figures of docs/method.md.
 *
 *   npx tsx bench/levels.ts --normal       # of 200,000 normal numbers: bits, and what is lost against Shannon's bound
 *   npx tsx bench/levels.ts --data DIR --baseline WEIGHTS.safetensors|NETWORK.safetensors [--keep 1,0.45] [--dense 0.2] [--steps 0.5,0.9] [--rates 0,0.2] [--threads 1]
 */
import { readFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import {
  decode,
  dense,
  evaluate,
  findGroups,
  landmarks68Task,
  loadKernels,
  normal,
  openFolder,
  parameterCount,
  prune,
  quantize,
  readNetwork,
  readPlain,
  roundCodebooks,
  sequential,
  stream,
  vgg,
  withWeights,
  writeNetwork,
} from 'espalier';
import type { Context, Network } from 'espalier';
import { preprocessing } from './faces.ts';

const { values } = parseArgs({
  options: {
    normal: { type: 'boolean', default: false },
    data: { type: 'string' },
    baseline: { type: 'string' },
    keep: { type: 'string', default: '1' },
    dense: { type: 'string', default: '0.2' },
    steps: { type: 'string', default: '0.5,0.9,1.3' },
    rates: { type: 'string', default: '0,0.2' },
    threads: { type: 'string', default: '1' },
  },
});
const numbers = (text: string): number[] => text.split(',').map(Number);
const kernels = await loadKernels();

if (values.normal) {
  const start = sequential({ input: [400], name: 'normal' }, [dense(500, { name: 'layer' })]);
  const random = stream(1, 'normal numbers');
  const data = Float32Array.from({ length: 200_000 }, () => normal(random));
  const weight = { kind: 'dense', data, shape: [500, 400] } as const;
  const network: Network = { ...start, parameters: new Map(start.parameters).set('layer.weight', weight) };
  for (const step of numbers(values.steps)) {
    for (const rate of numbers(values.rates)) {
      const levels = { quantizer: 'scalar', bits: 8, scales: 'layer', step, rate } as const;
      const found = await quantize({ parameters: ['layer.weight'], ...levels })(network, {
        kernels,
        threads: 1,
        seed: 1,
      });
      const coded = decode(found.network.parameters.get('layer.weight')!);
      const counts = new Map<number, number>();
      for (const value of coded) counts.set(value, (counts.get(value) ?? 0) + 1);
      const bits = [...counts.values()].reduce((sum, count) => sum - (count / 200_000) * Math.log2(count / 200_000), 0);
      const error = coded.reduce((sum, value, i) => sum + (value - data[i]) ** 2, 0) / 200_000;
      console.log(
        `step ${step}, rate ${rate}: ${bits.toFixed(2)} bits, ${(bits - Math.log2(1 / error) / 2).toFixed(3)} lost`,
      );
    }
  }
  process.exit(0);
}

const { data, baseline } = values;
if (data === undefined || baseline === undefined) {
  console.error('usage: npx tsx bench/levels.ts --data DIR --baseline FILE (see its first lines)');
  process.exit(2);
}
const [training, validation] = await Promise.all(
  ['train', 'validation'].map((part) => openFolder(data, part, { preprocessing })),
);
const context: Context = { kernels, threads: Number(values.threads), seed: 1, training, validation };

/** A file of ours, as it says; else the weights of the VGG-like network. */
async function open(path: string): Promise<Network> {
  const file = await readFile(path);
  if (file.includes('espalier')) return readNetwork(file);
  return withWeights(vgg({ name: 'vgg-face68', preprocessing, task: landmarks68Task() }), readPlain(file).tensors);
}

/** The same share of all groups but the one that the last layer reads. */
const sharesOf = (network: Network, keep: number, dense: number): Record<string, number> =>
  Object.fromEntries(
    findGroups(network)
      .filter(({ prunable }) => prunable)
      .map(({ name, consumers }) => [name, consumers.some(({ node }) => node === 'dense2') ? dense : keep]),
  );

const original = await open(baseline);
const errorOf = async (network: Network): Promise<string> =>
  ((await evaluate(network, validation, context)).rmse ?? NaN).toFixed(5);
console.log(`original: ${parameterCount(original)} parameters, validation ${await errorOf(original)}`);
for (const keep of numbers(values.keep)) {
  const thin =
    keep === 1
      ? original
      : (await prune({ keep: sharesOf(original, keep, Number(values.dense)), refit: true })(original, context)).network;
  console.log(`keep ${keep}: ${parameterCount(thin)} parameters, validation ${await errorOf(thin)}`);
  for (const step of numbers(values.steps)) {
    for (const rate of numbers(values.rates)) {
      const parameters = [...thin.parameters.keys()].filter((name) => name.endsWith('.weight')).slice(1);
      const levels = { quantizer: 'scalar', bits: step < 0.5 ? 8 : 4, scales: 'layer', step, rate } as const;
      const { network } = await quantize({ parameters, feedback: 'full', ...levels })(thin, context);
      const { network: rounded } = await roundCodebooks({ dense: true })(network, context);
      const bytes = writeNetwork(rounded, { packed: true }).length;
      const ratio = (4 * parameterCount(original)) / bytes;
      console.log(
        `  step ${step}, rate ${rate}: ${bytes} bytes, ${ratio.toFixed(1)}x, validation ${await errorOf(rounded)}`,
      );
    }
  }
}
