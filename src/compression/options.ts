/** Options of a compression, their defaults, and the checks made before any work. */
import type { CheckpointStore } from '../container/store.ts';
import { checkInteger, checkNumber, checkOneOf, show } from '../base/errors.ts';
import { checkCriterion, resolveScoring } from '../importance/score.ts';
import type { CriterionChoice, ScoringOptions } from '../importance/score.ts';
import type { Network } from '../graph/network.ts';
import type { TrainOptions } from '../training/index.ts';

/** What is done to one conv or dense layer. */
export interface LayerSetting {
  /**
   * Fraction of the layer's own neurons (filters, units) that stay; 1: none is removed. They go in the step of the
   * layer that they feed. Default 0.75.
   */
  readonly keep: number;
  /** false: the weights stay dense. Default true. */
  readonly quantize: boolean;
  /** d: weights per sub-vector. Default 4. */
  readonly subvectorLength: number;
  /** K: codewords per codebook, 2 to 65536. Default 256. */
  readonly codewordCount: number;
  /** One codebook for the layer, or one per sub-space. Default 'layer'. */
  readonly codebooks: 'layer' | 'subspace';
  /**
   * 'apart': absolute values are quantized and a sign bit is kept for each weight (the paper); 'none': signed values.
   * Default 'apart'.
   */
  readonly signs: 'apart' | 'none';
}

export const LAYER_DEFAULTS: LayerSetting = {
  keep: 0.75,
  quantize: true,
  subvectorLength: 4,
  codewordCount: 256,
  codebooks: 'layer',
  signs: 'apart',
};

export interface RetrainSetting {
  /** 0: none. */
  readonly epochs: number;
  readonly learningRate: number;
}

export interface CompressOptions {
  /** Importance of a neuron, as for `prune`. Default 'activationCorrelation'. */
  readonly criterion?: CriterionChoice;
  /** The criterion's own options. */
  readonly scoring?: ScoringOptions;
  /** Least-squares repair of the consumers when neurons go, from activations. Default true. */
  readonly repair?: boolean;
  /** For all layers; see {@link LAYER_DEFAULTS}. */
  readonly settings?: Partial<LayerSetting>;
  /**
   * By name of a conv or dense node: overrides `settings`. The first and last layers are layers like the others: give
   * them here what they need.
   */
  readonly layers?: Readonly<Record<string, Partial<LayerSetting>>>;
  /**
   * Order of the steps: conv and dense nodes from the output to the input (default), the other way, or by name (those
   * left out are not touched).
   */
  readonly order?: 'lastToFirst' | 'firstToLast' | readonly string[];
  /** Layers per step: 1 is the paper's schedule (default); Infinity treats all layers at once. */
  readonly layersPerStep?: number;
  /** After each pruning. Default 1 epoch at 0.02. */
  readonly retrainPruned?: RetrainSetting;
  /** After each quantization. Default 1 epoch at 0.02. */
  readonly retrainQuantized?: RetrainSetting;
  /** The final pass over everything that is still trained. Default 8 epochs at 0.02. */
  readonly final?: RetrainSetting;
  /** What all retraining has in common: batch size, loss, optimizer, schedule, clipping. Defaults as in `train`. */
  readonly training?: Pick<TrainOptions, 'batchSize' | 'loss' | 'optimizer' | 'schedule' | 'clip' | 'validationMetric'>;
  /** Weight of the original network's outputs as targets, from 0 (labels only, default) to 1 (no labels needed). */
  readonly teacherWeight?: number;
  /**
   * A step that ends with a validation error above (1 + tolerance) times the original's is undone and tried milder.
   * Default 0.25; Infinity: never. Without labels the original's error is 0, and every step is above it.
   */
  readonly tolerance?: number;
  /**
   * How often a step is tried milder: half as many neurons removed, four times the codewords. The best try stays.
   * Default 1.
   */
  readonly retries?: number;
  /** How codewords are stored. Default 'float32'. */
  readonly codewords?: 'float32' | 'float16';
  /**
   * Bytes of the original as it was given; the ratio is counted from these or from 4 bytes a trained parameter,
   * whichever is less.
   */
  readonly originalBytes?: number;
  /**
   * Where the state is kept after every epoch and every step, and taken up from if it is there. A killed run that is
   * started again ends in the same bytes.
   */
  readonly checkpoint?: { readonly store: CheckpointStore; readonly key: string };
}

/** {@link CompressOptions} with everything decided. */
export interface CompressSettings {
  readonly criterion: CriterionChoice;
  readonly scoring: ScoringOptions;
  readonly repair: boolean;
  /** Layers of each step, in order. */
  readonly steps: readonly (readonly string[])[];
  /** Setting of every conv and dense node. */
  readonly layers: ReadonlyMap<string, LayerSetting>;
  readonly retrainPruned: RetrainSetting;
  readonly retrainQuantized: RetrainSetting;
  readonly final: RetrainSetting;
  readonly training: NonNullable<CompressOptions['training']>;
  readonly teacherWeight: number;
  readonly tolerance: number;
  readonly retries: number;
  readonly codewords: 'float32' | 'float16';
}

const WHO = 'compress';
const TRAINING_NAMES = [
  'batchSize',
  'loss',
  'optimizer',
  'schedule',
  'clip',
  'validationMetric',
] as const satisfies readonly (keyof NonNullable<CompressOptions['training']>)[];
const OPTION_NAMES: ReadonlySet<string> = new Set([
  'criterion',
  'scoring',
  'repair',
  'settings',
  'layers',
  'order',
  'layersPerStep',
  'retrainPruned',
  'retrainQuantized',
  'final',
  'training',
  'teacherWeight',
  'tolerance',
  'retries',
  'codewords',
  'originalBytes',
  'checkpoint',
] satisfies (keyof CompressOptions)[]);

function checkNames(name: string, value: unknown, allowed: readonly string[]): void {
  if (typeof value !== 'object' || value === null)
    throw new TypeError(`${WHO}: ${name}: expected an object, got ${show(value)}`);
  for (const key of Object.keys(value)) {
    if (!allowed.includes(key))
      throw new TypeError(`${WHO}: ${name}: expected ${allowed.join(', ')}, got ${show(key)}`);
  }
}

/** The later settings win; one that is given as undefined is not given. */
function resolveLayer(name: string, ...given: readonly (Partial<LayerSetting> | undefined)[]): LayerSetting {
  let setting = LAYER_DEFAULTS;
  for (const one of given) {
    if (one === undefined) continue;
    checkNames(name, one, Object.keys(LAYER_DEFAULTS));
    setting = { ...setting, ...Object.fromEntries(Object.entries(one).filter(([, value]) => value !== undefined)) };
  }
  checkNumber(WHO, `${name}.keep`, setting.keep, 0, 1, true);
  if (typeof setting.quantize !== 'boolean')
    throw new TypeError(`${WHO}: ${name}.quantize: expected true or false, got ${show(setting.quantize)}`);
  checkInteger(WHO, `${name}.subvectorLength`, setting.subvectorLength, 1);
  checkInteger(WHO, `${name}.codewordCount`, setting.codewordCount, 2, 65536);
  checkOneOf(WHO, `${name}.codebooks`, setting.codebooks, ['layer', 'subspace']);
  checkOneOf(WHO, `${name}.signs`, setting.signs, ['apart', 'none']);
  return setting;
}

function resolveRetrain(name: string, setting: RetrainSetting): RetrainSetting {
  if (typeof setting !== 'object' || setting === null)
    throw new TypeError(`${WHO}: ${name}: expected { epochs, learningRate }, got ${show(setting)}`);
  checkNames(name, setting, ['epochs', 'learningRate']);
  checkInteger(WHO, `${name}.epochs`, setting.epochs, 0);
  checkNumber(WHO, `${name}.learningRate`, setting.learningRate, 0, Infinity, true);
  return { epochs: setting.epochs, learningRate: setting.learningRate };
}

/** Names of the conv and dense nodes in topological order. */
export function compressibleLayers(network: Network): string[] {
  return network.nodes.filter((node) => node.kind === 'conv' || node.kind === 'dense').map((node) => node.name);
}

function resolveOrder(names: readonly string[], order: CompressOptions['order'] = 'lastToFirst'): readonly string[] {
  if (Array.isArray(order)) {
    for (const name of order as unknown[]) {
      if (!names.includes(name as string))
        throw new RangeError(
          `${WHO}: order: expected names of conv and dense nodes (${names.join(', ')}), got ${show(name)}`,
        );
    }
    if (new Set(order).size !== order.length)
      throw new RangeError(`${WHO}: order: expected each name once, got ${show([...order])}`);
    return order as readonly string[];
  }
  return checkOneOf(WHO, 'order', order, ['lastToFirst', 'firstToLast']) === 'lastToFirst'
    ? [...names].reverse()
    : names;
}

/** Checks every option against the network and fills in the defaults. @throws {TypeError | RangeError} */
export function resolveCompressOptions(network: Network, options: CompressOptions): CompressSettings {
  if (typeof options !== 'object' || options === null)
    throw new TypeError(`${WHO}: options: expected an object, got ${show(options)}`);
  for (const name of Object.keys(options)) {
    if (!OPTION_NAMES.has(name))
      throw new TypeError(`${WHO}: options: expected ${[...OPTION_NAMES].join(', ')}, got ${show(name)}`);
  }
  const names = compressibleLayers(network);
  if (names.length === 0)
    throw new RangeError(
      `${WHO}: network: expected at least one conv or dense node, got ${network.nodes.length} nodes without weights to compress`,
    );
  for (const name of Object.keys(options.layers ?? {})) {
    if (!names.includes(name))
      throw new RangeError(
        `${WHO}: layers: expected names of conv and dense nodes (${names.join(', ')}), got ${show(name)}`,
      );
  }
  const layers = new Map(
    names.map((name) => [
      name,
      resolveLayer(
        name,
        options.settings,
        Object.hasOwn(options.layers ?? {}, name) ? options.layers?.[name] : undefined,
      ),
    ]),
  );
  const order = resolveOrder(names, options.order);
  const perStep = options.layersPerStep ?? 1;
  if (perStep !== Infinity) checkInteger(WHO, 'layersPerStep', perStep, 1);
  const length = Math.min(perStep, Math.max(1, order.length));
  const steps = Array.from({ length: Math.ceil(order.length / length) }, (_, i) =>
    order.slice(i * length, (i + 1) * length),
  );
  const { criterion = 'activationCorrelation', scoring = {}, tolerance = 0.25 } = options;
  checkCriterion(WHO, criterion);
  resolveScoring(WHO, 'scoring', criterion, scoring);
  if (tolerance !== Infinity) checkNumber(WHO, 'tolerance', tolerance, 0);
  const { repair = true, training = {}, checkpoint } = options;
  if (typeof repair !== 'boolean') throw new TypeError(`${WHO}: repair: expected true or false, got ${show(repair)}`);
  checkNames('training', training, TRAINING_NAMES);
  if (
    checkpoint !== undefined &&
    (typeof checkpoint?.store?.write !== 'function' || typeof checkpoint.key !== 'string')
  )
    throw new TypeError(`${WHO}: checkpoint: expected { store, key }, got ${show(checkpoint)}`);
  if (options.originalBytes !== undefined) checkInteger(WHO, 'originalBytes', options.originalBytes, 1);
  return {
    criterion,
    scoring,
    layers,
    steps,
    tolerance,
    repair,
    training,
    retrainPruned: resolveRetrain('retrainPruned', options.retrainPruned ?? { epochs: 1, learningRate: 0.02 }),
    retrainQuantized: resolveRetrain('retrainQuantized', options.retrainQuantized ?? { epochs: 1, learningRate: 0.02 }),
    final: resolveRetrain('final', options.final ?? { epochs: 8, learningRate: 0.02 }),
    teacherWeight: checkNumber(WHO, 'teacherWeight', options.teacherWeight ?? 0, 0, 1),
    retries: checkInteger(WHO, 'retries', options.retries ?? 1, 0, 8),
    codewords: checkOneOf(WHO, 'codewords', options.codewords ?? 'float32', ['float32', 'float16']),
  };
}

/**
 * The setting for try number `attempt` (0: as asked for): half as many neurons removed and four times the codewords
 * each time.
 */
export function milder(setting: LayerSetting, attempt: number): LayerSetting {
  return {
    ...setting,
    keep: 1 - (1 - setting.keep) / 2 ** attempt,
    codewordCount: Math.min(65536, setting.codewordCount * 4 ** attempt),
  };
}
