/** Settings that were measured, by name: those of docs/results.md, chosen on validation, and that of the quickstart. */
import { checkOneOf } from '../base/errors.ts';
import type { Network } from '../graph/network.ts';
import { sizeOf } from '../base/tensor.ts';
import { weightedLayers } from '../network/shapes.ts';
import { compressibleLayers } from './options.ts';
import type { CompressOptions, LayerSetting } from './options.ts';

const UNTRAINED = {
  retrainPruned: { epochs: 0, learningRate: 0.01 },
  retrainQuantized: { epochs: 0, learningRate: 0.01 },
  final: { epochs: 0, learningRate: 0.01 },
} as const satisfies CompressOptions;

/** All layers at once, each fitted to what the original answers. */
const FITTED = {
  layersPerStep: Infinity,
  refit: true,
  feedback: 'full',
  samples: 2048,
} as const satisfies CompressOptions;

/** Pruned at once, refitted, retrained with the original as teacher beside the labels, then quantized without an epoch. */
const TAUGHT = {
  ...FITTED,
  teacherWeight: 0.5,
  training: { average: 0.998 },
  retrainPruned: { epochs: 60, learningRate: 0.04 },
  retrainQuantized: { epochs: 0, learningRate: 0.01 },
  final: { epochs: 0, learningRate: 0.01 },
} as const satisfies CompressOptions;

/**
 * All but `paper` treat all layers in one step: at the same number of epochs that ended far better than one layer at a
 * time. `dense`: how much of the first dense layer stays.
 */
const PRESETS = {
  /** The paper's schedule, one layer at a time, as it was measured: float32 codewords at the rate of everything else. */
  paper: {
    dense: 0.25,
    options: {
      layersPerStep: 1,
      codewords: 'float32',
      training: { codebookRate: 1 },
      settings: { keep: 0.75, subvectorLength: 4, codewordCount: 256 },
      retrainPruned: { epochs: 1, learningRate: 0.02 },
      retrainQuantized: { epochs: 1, learningRate: 0.02 },
      final: { epochs: 14, learningRate: 0.02 },
    },
  },
  /** The smallest file at the original's error: 1.9 bits a weight in a packed file, the original as teacher beside labels. */
  size: {
    dense: 0.12,
    options: {
      settings: { keep: 0.3, quantizer: 'scalar', bits: 4, scales: 'layer', step: 0.9, rate: 0.2 },
      ...TAUGHT,
    },
  },
  /** The structure of `size` with coarser levels: 1 bit a weight. */
  tiny: {
    dense: 0.12,
    options: {
      settings: { keep: 0.3, quantizer: 'scalar', bits: 4, scales: 'layer', step: 1.5, rate: 0.2 },
      ...TAUGHT,
    },
  },
  /** No epoch and no labels: by least squares and error feedback, from 2048 samples; 1.8 bits a weight. */
  quick: {
    dense: 0.2,
    options: {
      settings: { keep: 0.45, quantizer: 'scalar', bits: 4, scales: 'layer', step: 0.9, rate: 0.2 },
      ...FITTED,
      ...UNTRAINED,
    },
  },
} as const satisfies Readonly<Record<string, { readonly dense: number; readonly options: CompressOptions }>>;

/**
 * The same for networks of small layers, detectors for phones and the like, whose layers are too small for a codebook each and
 * whose channels are few already: nothing is pruned, and all layers get levels, which cost one scale a layer beside.
 * The first layer and depthwise convolutions too: they are a fifth of such a network.
 */
const OF_SMALL_LAYERS = {
  /** No epoch and no labels. */
  quick: {
    layersPerStep: Infinity,
    settings: { keep: 1, quantize: true, quantizer: 'scalar', scales: 'layer', step: 0.28 },
    feedback: 'full',
    retries: 0,
    ...UNTRAINED,
  },
  size: {
    layersPerStep: Infinity,
    settings: { keep: 1, quantize: true, quantizer: 'scalar', scales: 'layer', step: 0.4 },
    feedback: 'full',
    retries: 0,
    ...UNTRAINED,
    training: { levels: 'moving', optimizer: { kind: 'adam', weightDecay: 0 }, batchSize: 8 },
    final: { epochs: 24, learningRate: 0.0002 },
  },
} as const satisfies Partial<Record<keyof typeof PRESETS, CompressOptions>>;

export type PresetName = keyof typeof PRESETS;
/** Names of presets: 'paper', 'size', 'tiny', 'quick'. */
export const PRESET_NAMES = /* @__PURE__ */ Object.keys(PRESETS) as readonly PresetName[];

/** Weights of a layer of which a codebook of 256 codewords of 4, in halves, is a quarter of what it codes at 3 bits each. */
const LEAST_FOR_CODEBOOK = (4 * 256 * 4 * 2 * 8) / 3;

/** Whether most weights of a network are in layers that are too small for a codebook of their own. */
function hasSmallLayers(network: Network): boolean {
  const sizes = new Map(
    weightedLayers(network).map(({ weight }) => [weight, sizeOf(network.parameters.get(weight)!.shape)]),
  );
  let [all, small] = [0, 0];
  for (const size of sizes.values()) {
    all += size;
    if (size < LEAST_FOR_CODEBOOK) small += size;
  }
  return 2 * small > all;
}

/**
 * Options of `compress` by name, for a network: `size` and `tiny` are the settings of docs/results.md, `paper` its
 * schedule of one layer at a time, `quick` what needs minutes and no labels. The first layer stays dense, and of the first dense layer,
 * unless it is the last, a smaller share stays than of the others. Of a network whose weights are for the most part in layers
 * of fewer than some 22,000, `quick` and `size` prune nothing, and store levels that a packed file makes small, some 5 and 4 bits a weight. Spread your own over them.
 * @throws {TypeError | RangeError} for another name
 * @example
 * import { compress, presetOptions } from 'espalier/compression';
 * const { bytes } = await compress(network, context, { ...presetOptions('size', network), tolerance: 0.1 });
 */
export function presetOptions(name: PresetName, network: Network): CompressOptions {
  const { dense, options } = PRESETS[checkOneOf('presetOptions', 'name', name, PRESET_NAMES)];
  if (Object.hasOwn(OF_SMALL_LAYERS, name) && hasSmallLayers(network))
    return OF_SMALL_LAYERS[name as keyof typeof OF_SMALL_LAYERS];
  const names = compressibleLayers(network);
  const firstDense = names.find((layer) => network.nodes.find((node) => node.name === layer)?.kind === 'dense');
  const layers: Record<string, LayerSetting> = {};
  if (firstDense !== undefined && firstDense !== names.at(-1)) layers[firstDense] = { keep: dense };
  if (names.length > 1) layers[names[0]] = { ...layers[names[0]], quantize: false };
  return { ...options, layers };
}
