/**
 * What pruning costs before any retraining: the VGG-like network on a folder of faces with 68 landmarks, channels chosen
 * by each criterion, least-squares repair, validation error. The figures of docs/method.md.
 *
 *   npx tsx bench/pruning.ts --data DIR --baseline WEIGHTS.safetensors [--keep 0.75/0.5,0.55/0.25,0.4/0.25] [--criteria NAME,NAME:OPTION=VALUE,...] [--ridges 0.003,0.03] [--seeds 1,2] [--positions N] [--units]
 *
 * `--keep`: share of the filters / of the dense units that stays. `--units`: the same function in other units, each
 * channel times a power of two of its own; error that it adds is a fault.
 */
import { readFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import {
  CRITERIA,
  CRITERION_NAMES,
  DEFAULT_RIDGE,
  evaluate,
  findGroups,
  keepBest,
  landmarks68Task,
  loadKernels,
  measureActivations,
  openFolder,
  readPlain,
  removeNeurons,
  score,
  vgg,
  withWeights,
} from 'espalier';
import type { ActivationStatistics, ChannelGroup, Context, CriterionName, Network } from 'espalier';
import { preprocessing } from './faces.ts';

const { values } = parseArgs({
  options: {
    data: { type: 'string' },
    baseline: { type: 'string' },
    keep: { type: 'string', default: '0.75/0.5,0.55/0.25,0.4/0.25' },
    criteria: { type: 'string', default: CRITERION_NAMES.filter((name) => name !== 'taylor').join(',') },
    ridges: { type: 'string', default: String(DEFAULT_RIDGE) },
    seeds: { type: 'string', default: '1,2' },
    positions: { type: 'string' },
    units: { type: 'boolean', default: false },
  },
});
if (values.data === undefined || values.baseline === undefined) {
  console.error('usage: npx tsx bench/pruning.ts --data DIR --baseline WEIGHTS.safetensors (see its first lines)');
  process.exit(2);
}
const kernels = await loadKernels();
const [training, validation] = await Promise.all(
  ['train', 'validation'].map((part) => openFolder(values.data!, part, { preprocessing })),
);
const trained = withWeights(
  vgg({ name: 'vgg-face68', preprocessing, task: landmarks68Task() }),
  readPlain(await readFile(values.baseline)).tensors,
);
const original = values.units ? inOtherUnits(trained) : trained;
const groups = findGroups(original).filter((group) => group.prunable);
const keeps = values.keep.split(',').map((pair) => pair.split('/').map(Number));
const ridges = values.ridges.split(',').map(Number);
const measured: { readonly seed: number; readonly statistics: ActivationStatistics; readonly seconds: number }[] = [];
for (const seed of values.seeds.split(',').map(Number)) {
  const start = performance.now();
  const context: Context = { kernels, threads: 1, seed, training };
  const statistics = await measureActivations(original, groups, context, {
    covariances: true,
    activity: true,
    ...(values.positions === undefined ? {} : { positions: Number(values.positions) }),
  });
  measured.push({ seed, statistics, seconds: (performance.now() - start) / 1000 });
}
console.log(
  `unpruned ${(await error(original)).toFixed(5)}; measured in ${measured.map(({ seconds }) => seconds.toFixed(1)).join(', ')} s`,
);
const settings = keeps.map(([filters, units]) => `${100 * filters} % / ${100 * units} %`);
console.log(`| criterion | ridge | ${settings.join(' | ')} |\n| --- | --- |${' --- |'.repeat(keeps.length)}`);
for (const chosen of values.criteria.split(',')) {
  const { name, options } = parseCriterion(chosen);
  const scored = measured.map(({ seed, statistics }) => {
    const withSeed = 'seed' in CRITERIA[name].options ? { ...options, seed } : options;
    return new Map(groups.map((group) => [group, score(name, original, group, statistics, withSeed)]));
  });
  for (const ridge of ridges) {
    const cells = [];
    for (const [filters, units] of keeps) {
      const errors = [];
      for (const [i, { statistics }] of measured.entries())
        errors.push(await error(thinned(scored[i], statistics, filters, units, ridge)));
      cells.push(errors.map((one) => one.toFixed(5)).join(', '));
    }
    console.log(`| ${chosen} | ${ridge} | ${cells.join(' | ')} |`);
  }
}
if (measured.length > 1) reportAgreement();

/** As `prune` does it: everything is scored before anything goes. */
function thinned(
  scores: ReadonlyMap<ChannelGroup, Float64Array>,
  statistics: ActivationStatistics,
  filters: number,
  units: number,
  ridge: number,
): Network {
  let network = original;
  for (const [group, own] of scores) {
    const { kept } = keepBest(own, { fraction: group.name.startsWith('dense') ? units : filters });
    const moments = statistics.groups.get(group.name)?.consumers ?? [];
    network = removeNeurons(network, group.name, kept, { moments, repair: true, ridge }).network;
  }
  return network;
}

async function error(network: Network): Promise<number> {
  return (await evaluate(network, validation, { kernels, threads: 1 })).rmse ?? NaN;
}

/** Share of the channels kept by one seed that the next one keeps too, of the plain correlations, by layer. */
function reportAgreement(): void {
  const [filters] = keeps.at(-1) ?? [0.5];
  const shares = groups.map((group) => {
    const kept = measured.map(({ statistics }) => {
      const scores = score('activationCorrelation', original, group, statistics, { weighting: 'none' });
      return [...keepBest(scores, { fraction: filters }).kept];
    });
    const both = kept.slice(1).map((next, i) => next.filter((c) => kept[i].includes(c)).length / next.length);
    return `${group.name} ${Math.round((100 * both.reduce((sum, one) => sum + one, 0)) / both.length)} %`;
  });
  console.log(`the same ${100 * filters} % by the plain activationCorrelation of two seeds: ${shares.join(', ')}`);
}

/** `name` or `name:option=value:option=value`. */
function parseCriterion(text: string): { name: CriterionName; options: Record<string, string | number> } {
  const [name, ...pairs] = text.split(':');
  const options = pairs
    .map((pair) => pair.split('='))
    .map(([key, value]) => [key, Number.isNaN(Number(value)) ? value : Number(value)]);
  return { name: name as CriterionName, options: Object.fromEntries(options) as Record<string, string | number> };
}

/** Every filter and unit times 1/16 to 16, and what reads it divided by that. */
function inOtherUnits(network: Network): Network {
  const parameters = new Map(network.parameters);
  findGroups(network)
    .filter((group) => group.prunable)
    .forEach(({ rows, consumers, channels }, g) => {
      const factor = (c: number): number => 2 ** (((c * 7 + g * 3) % 9) - 4);
      for (const { parameter, axis, first, width } of [...rows, ...consumers]) {
        const encoding = parameters.get(parameter);
        if (encoding?.kind !== 'dense') throw new Error(`expected ${parameter} dense`);
        const inner = encoding.shape.slice(axis + 1).reduce((product, side) => product * side, 1);
        const data = encoding.data.map((value, i) => {
          const c = Math.floor(((Math.floor(i / inner) % encoding.shape[axis]) - first) / width);
          return c < 0 || c >= channels ? value : axis === 0 ? value * factor(c) : value / factor(c);
        });
        parameters.set(parameter, { ...encoding, data });
      }
    });
  return { ...network, parameters };
}
