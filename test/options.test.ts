/**
 * Every door that takes options: own properties only, known names only, a near one is named; and kernels that were not
 * given are loaded where the call waits anyway, or asked for.
 */
import { createHash } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import * as espalier from '../src/index.ts';
import { load, loadInferenceKernels } from '../src/runtime/index.ts';

const kernels = await espalier.loadKernels();
const side = 4;
const count = 8;
const inputs = Float32Array.from({ length: count * side * side }, (_, i) => Math.sin(i));
const targets = Float32Array.from({ length: count * 2 }, (_, i) => Math.cos(i));
const arrays = { inputs, inputShape: [1, side, side], targets, targetShape: [2] };
const examples = espalier.examplesFromArrays(arrays);
const context = { kernels, threads: 1, seed: 1, training: examples, validation: examples };
const network = espalier.sequential({ input: [1, side, side], seed: 3 }, [
  espalier.conv(4, 3, { name: 'conv' }),
  espalier.batchNorm(),
  espalier.relu(),
  espalier.flatten(),
  espalier.dense(6, { name: 'hidden' }),
  espalier.relu(),
  espalier.dense(2, { name: 'out' }),
]);
const bytes = espalier.writeNetwork(network);
const statistics = await espalier.measureActivations(network, espalier.findGroups(network), context, {
  covariances: true,
});
const matrix = { data: inputs, shape: [16, 8] };
const { encoding } = espalier.quantizeMatrix(matrix, { subvectorLength: 4, codewordCount: 4, kernels });
const folder = await mkdtemp(join(tmpdir(), 'espalier-options-'));
afterAll(() => rm(folder, { recursive: true }));
await writeFile(join(folder, 'train-inputs.npy'), espalier.writeNpy({ data: inputs, shape: [count, 16] }));
await writeFile(join(folder, 'train-targets.npy'), espalier.writeNpy({ data: targets, shape: [count, 2] }));

const sgd = { kind: 'sgd', momentum: 0.5, nesterov: true, weightDecay: 0, codewordGradient: 'mean' } as const;
const adam = { kind: 'adam', beta1: 0.9, beta2: 0.99, epsilon: 1e-8, decoupled: true, weightDecay: 0 } as const;
const retrain = { epochs: 1, learningRate: 0.01 };
const store = espalier.memoryStore;
const shown = (layer: espalier.Layer): unknown => espalier.graph({}, (g) => g.node(layer, g.input([4, 4, 4])));
const trained = async (options: object): Promise<unknown> =>
  espalier.writeNetwork((await espalier.train(network, context, { epochs: 1, ...options })).network);
const quick = { retrainPruned: { epochs: 0, learningRate: 1 }, retrainQuantized: { epochs: 0, learningRate: 1 } };
const compressed = async (options: object): Promise<unknown> =>
  (await espalier.compress(network, context, { ...quick, final: { epochs: 0, learningRate: 1 }, ...options })).bytes;

/** A name of the table: the function, then `.field` for options within options. */
type Door = readonly [name: string, options: object, call: (options: never) => unknown];
/** With every option that the door has; `call` gives something that shows what was computed. */
const DOORS: readonly Door[] = [
  ['load', { kernels, batch: 2, threads: 1, verify: true }, async (o) => (await load(bytes, o)).predict(inputs)],
  ['loadKernels', { prefer: 'simd', webAssembly: WebAssembly }, async (o) => (await espalier.loadKernels(o)).name],
  ['loadInferenceKernels', { prefer: 'simd' }, async (o) => (await loadInferenceKernels(o)).name],
  ['readNetwork', { verify: true }, (o) => espalier.readNetwork(bytes, o)],
  ['writeNetwork', { metadata: {} }, (o) => espalier.writeNetwork(network, o)],
  ['readPlain', { allowNonFinite: false }, (o) => espalier.readPlain(espalier.plainWeights(network), o)],
  ['loadFile', {}, (o) => espalier.loadFile(join(folder, 'train-inputs.npy'), o)],
  ['saveFile', {}, (o) => espalier.saveFile(join(folder, 'x'), bytes, o)],
  ['folderStore', {}, (o) => Object.keys(espalier.folderStore(folder, o))],
  ['constant', { warmUp: 2 }, (o) => espalier.constant(o).options],
  ['cosine', { warmUp: 2 }, (o) => espalier.cosine(o).options],
  ['step', { at: [0.5], by: 0.5, warmUp: 2 }, (o) => espalier.step(o).options],
  ['scheduleFromOptions', { kind: 'cosine', warmUp: 1 }, (o) => espalier.scheduleFromOptions(o).options],
  ['l2', { scale: 2 }, (o) => espalier.l2(o).options],
  ['smoothL1', { beta: 2, scale: 2 }, (o) => espalier.smoothL1(o).options],
  ['wing', { w: 2, epsilon: 2, scale: 2 }, (o) => espalier.wing(o).options],
  ['crossEntropy', {}, (o) => espalier.crossEntropy(o).options],
  ['lossFromOptions', { kind: 'wing', w: 2, epsilon: 2, scale: 2 }, (o) => espalier.lossFromOptions(o).options],
  [
    'train',
    {
      epochs: 2,
      batchSize: 4,
      learningRate: 0.1,
      schedule: espalier.cosine(),
      optimizer: sgd,
      clip: 1,
      loss: espalier.l2(),
      teacher: network,
      teacherWeight: 0.5,
      frozen: ['out.bias'],
      patience: 1,
      validationMetric: (a: Float32Array) => a[0],
      evaluateEvery: 1,
      keep: 'last',
      checkpoint: { store: store(), key: 'a' },
    },
    trained,
  ],
  ['train.optimizer', sgd, (optimizer) => trained({ optimizer })],
  ['train.optimizer', adam, (optimizer) => trained({ optimizer, learningRate: 0.01 })],
  ['evaluate', { kernels, threads: 1, batch: 3, loss: espalier.l2() }, (o) => espalier.evaluate(network, examples, o)],
  ['predictAll', { kernels, threads: 1, batch: 3 }, (o) => espalier.predictAll(network, examples, o)],
  [
    'reestimateBatchNorm',
    { batches: 2, batchSize: 4 },
    async (o) => espalier.writeNetwork((await espalier.reestimateBatchNorm(network, context, o)).network),
  ],
  ['augmentLandmarks', { rotation: 1, scale: 0.1, shift: 0.1, mirrorProbability: 0.1 }, augmentedPixels],
  ['readPts', { oneBased: true }, (o) => espalier.readPts('version: 1\nn_points: 1\n{\n1 2\n}', o)],
  ['landmarkMetrics', { points: 1, side: 3 }, (o) => espalier.landmarkMetrics(targets, inputs.subarray(0, 16), o)],
  ['openFolder', { memoryLimit: 1e6 }, async (o) => (await espalier.openFolder(folder, 'train', o)).inputShape],
  ['examplesFromArrays', arrays, (o) => Object.keys(espalier.examplesFromArrays(o))],
  ['keepBest', { count: 2, multipleOf: 2, minimum: 1 }, (o) => espalier.keepBest(inputs, o)],
  ['keepAbove', { minimum: 2 }, (o) => espalier.keepAbove(inputs, 10, o)],
  [
    'prune',
    {
      criterion: 'magnitude',
      scoring: { norm: 'L2' },
      keep: 0.5,
      multipleOf: 1,
      fold: true,
      repair: true,
      refit: true,
      ridge: 0.1,
      samples: 8,
      positions: 4,
      batch: 4,
      loss: espalier.l2(),
    },
    async (o) => espalier.writeNetwork((await espalier.prune(o)(network, context)).network),
  ],
  [
    'pruneGroup',
    { criterion: 'magnitude', scoring: { norm: 'L2' }, keep: 0.5, multipleOf: 1, fold: true, repair: true, ridge: 0.1 },
    (o) => espalier.writeNetwork(espalier.pruneGroup(network, 'hidden', statistics, o).network),
  ],
  [
    'removeNeurons',
    { moments: statistics.groups.get('hidden')?.consumers, repair: true, ridge: 0.1 },
    (o) => espalier.writeNetwork(espalier.removeNeurons(network, 'hidden', [0, 1], o).network),
  ],
  [
    'measureActivations',
    {
      samples: 4,
      batch: 2,
      positions: 4,
      correlations: true,
      activity: true,
      gradients: true,
      loss: espalier.l2(),
      covariances: true,
    },
    async (o) => [...(await espalier.measureActivations(network, espalier.findGroups(network), context, o)).groups],
  ],
  [
    'conv',
    { name: 'a', bias: false, stride: 2, padding: 0, dilation: 1, groups: 1 },
    (o) => shown(espalier.conv(2, 3, o)),
  ],
  [
    'dense',
    { name: 'a', bias: false },
    (o) => [espalier.dense(3, o).name, espalier.dense(3, o).parameters([3])].length,
  ],
  ['maxPool', { name: 'a', stride: 1, padding: 0 }, (o) => shown(espalier.maxPool(2, o))],
  ['averagePool', { name: 'a', stride: 1, padding: 1, countPadding: true }, (o) => shown(espalier.averagePool(2, o))],
  ['batchNorm', { name: 'a', epsilon: 0.1, momentum: 0.5 }, (o) => shown(espalier.batchNorm(o))],
  ['affine', { name: 'a' }, (o) => shown(espalier.affine(2, 1, o))],
  ['flatten', { name: 'a' }, (o) => shown(espalier.flatten(o))],
  ['relu', { name: 'a' }, (o) => shown(espalier.relu(o))],
  ['elu', { name: 'a', alpha: 2 }, (o) => shown(espalier.elu(o))],
  ['prelu', { name: 'a' }, (o) => shown(espalier.prelu(0.3, o))],
  ['reduceMean', { name: 'a', keep: true }, (o) => shown(espalier.reduceMean([1], o))],
  ['argMax', { name: 'a', keep: true }, (o) => shown(espalier.argMax(0, o))],
  [
    'vgg',
    { name: 'a', seed: 2, side: 8, channels: 3, widths: [2], hidden: [3], outputs: 2, dropout: 0.1, strided: true },
    (o) => espalier.vgg({ widths: [2], hidden: [3], side: 8, ...(o as object) }),
  ],
  ['graph', { name: 'a', seed: 2 }, (o) => espalier.graph(o, (g) => g.node(espalier.relu(), g.input([2])))],
  [
    'sequential',
    { input: [2], inputName: 'a', name: 'a', seed: 2 },
    (o) => espalier.sequential(o, [espalier.dense(2)]),
  ],
  ['kmeans', { codewordCount: 2, kernels, ...kmeansOptions() }, (o) => espalier.kmeans(matrix, o)],
  [
    'kmeansAsync',
    { codewordCount: 2, kernels, threads: 1, ...kmeansOptions() },
    (o) => espalier.kmeansAsync(matrix, o),
  ],
  ['quantizeMatrix', matrixOptions(), (o) => espalier.quantizeMatrix(matrix, o)],
  ['quantizeMatrixAsync', { ...matrixOptions(), threads: 1 }, (o) => espalier.quantizeMatrixAsync(matrix, o)],
  ['encode', { kernels }, (o) => espalier.encode(encoding, matrix, o)],
  ['quantize', { subvectorLength: 2, codewordCount: 4, iterations: 3 }, quantized],
  ['quantize', { subvectorLength: 2, codewordCount: 4, feedback: 'full', samples: 6 }, quantized],
  ['quantize', { quantizer: 'scalar', bits: 4, scales: 'layer', zeroPoints: true }, quantized],
  [
    'quantizeLayer',
    { subvectorLength: 2, codewordCount: 4, seed: 2 },
    async (o) => espalier.writeNetwork((await espalier.quantizeLayer('hidden', o)(network, context)).network),
  ],
  [
    'quantizeParameterAsync',
    { subvectorLength: 2, codewordCount: 4, seed: 2, kernels, threads: 1 },
    async (o) => espalier.writeNetwork((await espalier.quantizeParameterAsync(network, 'hidden.weight', o)).network),
  ],
  [
    'compress',
    {
      criterion: 'magnitude',
      scoring: { norm: 'L2' },
      repair: true,
      settings: { keep: 0.5 },
      layers: { hidden: { keep: 0.9 } },
      order: 'lastToFirst',
      layersPerStep: 2,
      training: { batchSize: 4 },
      teacherWeight: 0.5,
      tolerance: 1,
      retries: 1,
      codewords: 'float16',
      originalBytes: 4,
      stages: (stages: unknown) => stages,
    },
    compressed,
  ],
  [
    'compress.settings',
    { keep: 0.5, quantize: true, subvectorLength: 2, codewordCount: 4 },
    (settings) => compressed({ settings }),
  ],
  ['compress.layers', { keep: 0.5, quantize: false }, (hidden) => compressed({ layers: { hidden } })],
  ['compress.final', retrain, (final) => compressed({ final })],
  [
    'compress.training',
    { batchSize: 4, loss: espalier.l2(), optimizer: sgd, schedule: espalier.cosine(), clip: 1 },
    (training) => compressed({ training, final: retrain }),
  ],
  [
    'createExecutor',
    { batch: 2, kernels, threads: 1, precision: 'float32', watch: ['hidden'] },
    async (o) => (await espalier.createExecutor(network, o)).predict(inputs, count),
  ],
  [
    'createTrainingExecutor',
    { batch: 2, kernels, threads: 1, optimizer: { ...sgd, ...adam }, frozen: new Set(), seed: 1, inputGradients: true },
    async (o) => (await espalier.createTrainingExecutor(network, o)).predict(inputs, count),
  ],
  [
    'preprocess',
    { width: 2, height: 2, channels: 1, filter: 'area', scale: 1, standardize: { kind: 'none' } },
    (o) => espalier.preprocess({ data: inputs.subarray(0, 16), shape: [4, 4] }, o),
  ],
];

function kmeansOptions(): object {
  return {
    seed: 1,
    iterations: 3,
    tolerance: 0.1,
    init: 'random',
    weights: { data: new Float32Array(16).fill(1), shape: [16] },
    restarts: 2,
  };
}

function matrixOptions(): object {
  return {
    subvectorLength: 2,
    codewordCount: 4,
    codebooks: 'layer',
    signs: 'none',
    clampCodewords: false,
    seed: 2,
    iterations: 3,
    init: 'random',
    kernels,
  };
}

async function quantized(options: never): Promise<unknown> {
  return espalier.writeNetwork((await espalier.quantize(options)(network, context)).network);
}

async function augmentedPixels(options: never): Promise<unknown> {
  const out = new Float32Array(32);
  await espalier.augmentLandmarks(examples, options).read(Int32Array.of(0, 1), out, undefined, { seed: 1, epoch: 1 });
  return out;
}

/** What a call gave, functions left out, or how it failed. */
async function outcome(call: () => unknown): Promise<string> {
  try {
    const text = JSON.stringify(await call(), (_, value: unknown) => (value instanceof Map ? [...value] : value)) ?? '';
    return text.length > 400 ? createHash('sha256').update(text).digest('hex') : text;
  } catch (error) {
    return String(error);
  }
}

/** The options that a door cannot do without. */
const NEEDED: Readonly<Record<string, readonly string[]>> = {
  lossFromOptions: ['kind'],
  scheduleFromOptions: ['kind'],
  'train.optimizer': ['kind'],
  landmarkMetrics: ['points'],
  examplesFromArrays: ['inputs', 'inputShape'],
  keepBest: ['count'],
  prune: ['keep'],
  pruneGroup: ['keep'],
  sequential: ['input'],
  kmeans: ['kernels', 'codewordCount'],
  kmeansAsync: ['codewordCount'],
  quantizeMatrix: ['kernels', 'subvectorLength'],
  quantizeMatrixAsync: ['subvectorLength'],
  encode: ['kernels'],
  'compress.final': ['epochs', 'learningRate'],
  createTrainingExecutor: ['optimizer'],
  preprocess: ['width', 'height', 'channels', 'filter', 'scale', 'standardize'],
};

describe.each(DOORS)('%s', (name, options, call) => {
  const of = call as (options: unknown) => unknown;
  const needed = Object.fromEntries(
    Object.entries(options).filter(([key]) => NEEDED[name]?.includes(key) || key === 'quantizer'),
  );

  it('takes what it says, and refuses a misspelt name with the nearest', async () => {
    await of(options);
    for (const key of Object.keys(options)) {
      const typo = `${key}x`;
      const { [key]: value, ...rest } = options as Record<string, unknown>;
      // A name that others are left without may be asked for first.
      const given =
        NEEDED[name]?.includes(key) || key === 'quantizer' ? { ...options, [typo]: value } : { ...rest, [typo]: value };
      const error = await outcome(() => of(given));
      expect(error).toContain('TypeError');
      expect(error).toContain(`got "${typo}"; did you mean ${key}?`);
    }
    expect(await outcome(() => of({ ...options, smoothing: 0.1 }))).toMatch(/^TypeError: .*got "smoothing"/);
  });

  it('reads own properties only', async () => {
    const plain = await outcome(() => of({ ...needed }));
    // `outputs` of vgg is also a field of a node: data, which a file or a caller gives, and no option.
    for (const key of Object.keys(options).filter((one) => !(one in needed) && one !== 'outputs')) {
      for (const poison of [(options as Record<string, unknown>)[key], 7, 'polluted']) {
        Object.defineProperty(Object.prototype, key, { value: poison, configurable: true, writable: true });
        let polluted: string;
        try {
          polluted = await outcome(() => of({ ...needed }));
        } finally {
          delete (Object.prototype as unknown as Record<string, unknown>)[key];
        }
        expect(`${key}: ${polluted}`).toBe(`${key}: ${plain}`);
      }
    }
  });
});
