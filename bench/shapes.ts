/**
 * What other shapes of layers cost before any retraining: the VGG-like network on a folder of faces with 68 landmarks, in
 * low-rank factors or with strides in place of pools, with and without data; validation error. The figures of docs/shapes.md.
 *
 *   npx tsx bench/shapes.ts --data DIR --baseline WEIGHTS.safetensors [--keep 0.75,0.5,0.25] [--forms best,channels,spatial] [--only factorize|pools]
 */
import { readFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import {
  evaluate,
  factorize,
  landmarks68Task,
  loadKernels,
  nodeCosts,
  openFolder,
  parameterCount,
  poolToStride,
  readPlain,
  vgg,
  withWeights,
} from 'espalier';
import type { Context, FactorizeOptions, Network } from 'espalier';
import { preprocessing } from './faces.ts';

const { values } = parseArgs({
  options: {
    data: { type: 'string' },
    baseline: { type: 'string' },
    keep: { type: 'string', default: '0.75,0.5,0.25' },
    forms: { type: 'string', default: 'best,channels,spatial' },
    only: { type: 'string' },
  },
});
if (values.data === undefined || values.baseline === undefined) {
  console.error('usage: npx tsx bench/shapes.ts --data DIR --baseline WEIGHTS.safetensors (see its first lines)');
  process.exit(2);
}
const [training, validation] = await Promise.all(
  ['train', 'validation'].map((part) => openFolder(values.data!, part, { preprocessing })),
);
const original = withWeights(
  vgg({ name: 'vgg-face68', preprocessing, task: landmarks68Task() }),
  readPlain(await readFile(values.baseline)).tensors,
);
const bare: Context = { kernels: await loadKernels(), threads: 1, seed: 1 };
const context: Context = { ...bare, training };
console.log('| change | repaired | RMSE | parameters | multiply-adds |\n| --- | --- | --- | --- | --- |');
await tell('none', '', original);
if (values.only !== 'factorize')
  for (const refit of [false, true])
    await tell('pools to strides', refit ? 'refit' : 'no', (await poolToStride({ refit })(original, context)).network);
if (values.only !== 'pools')
  for (const keep of values.keep.split(',').map(Number))
    for (const form of values.forms.split(',') as NonNullable<FactorizeOptions['form']>[])
      for (const [words, refit, given] of [
        ['weights alone', false, bare],
        ['by what layers hear', false, context],
        ['and refit', true, context],
      ] as const) {
        const { network, report } = await factorize({ keep, form, refit })(original, given);
        const forms = report.layers.map((layer) => (layer.form ?? '-')[0]).join('');
        await tell(`factors, ${100 * keep} %, ${form} (${forms})`, words, network);
      }

async function tell(change: string, repaired: string, network: Network): Promise<void> {
  const { rmse = NaN } = await evaluate(network, validation, { kernels: bare.kernels, threads: 1 });
  const cost = nodeCosts(network).reduce((sum, { multiplyAdds }) => sum + multiplyAdds, 0);
  console.log(
    `| ${change} | ${repaired} | ${rmse.toFixed(5)} | ${parameterCount(network)} | ${(cost / 1e6).toFixed(1)} M |`,
  );
}
