/** Options of a compression, their defaults, and the checks made before any work. */
import { checkRunCheckpoint } from '../container/store.ts';
import type { RunCheckpoint } from '../container/store.ts';
import { ownOptions } from '../base/rules.ts';
import type { RuledBy, Rules } from '../base/rules.ts';
import { checkInteger, checkNumber, checkOneOf, show } from '../base/errors.ts';
import { checkCriterion, resolveScoring } from '../importance/score.ts';
import type { CriterionChoice, ScoringOptions } from '../importance/score.ts';
import type { Network } from '../graph/network.ts';
import { weightedLayers } from '../network/shapes.ts';
import { FEEDBACKS } from '../quantization/network.ts';
import type { Feedback } from '../quantization/network.ts';
import { denseByDefault } from '../quantization/worth.ts';
import { DEFAULT_QUANTIZER, QUANTIZER_NAMES, quantizerOf, resolveQuantizer } from '../quantization/settings.ts';
import type { QuantizerName, QuantizerSettings } from '../quantization/settings.ts';
import type { TrainOptions } from '../training/index.ts';
import type { Stage } from './stage.ts';

/** What is done to one layer, beside how it is quantized. */
export interface LayerTreatment {
  /**
   * Fraction of the layer's own neurons (filters, units) that stay; 1: none is removed. They go in the step of the
   * layer that they feed. Default 0.75.
   */
  readonly keep: number;
  /**
   * false: the weights stay dense. Default: true where a layer's own setting has options of a quantizer; else false for
   * layers of which quantization saves little and costs much, by the rule of `denseByDefault`.
   */
  readonly quantize: boolean;
}

/**
 * What is done to one layer: its treatment, the quantizer by name (default 'product'), and that one's own options as its
 * definition in `QUANTIZERS` lists them: `{ keep: 0.5, subvectorLength: 4, codewordCount: 256 }`.
 */
export type LayerSetting = Partial<LayerTreatment> & QuantizerSettings;

/** What is done to a layer where nothing is said; its quantizer has defaults of its own. */
export const LAYER_DEFAULTS = { keep: 0.75 } as const satisfies Partial<LayerTreatment>;

/** {@link LayerSetting} with everything decided. */
export interface LayerPlan extends LayerTreatment {
  readonly quantizer: QuantizerName;
  readonly options: RuledBy<Rules>;
  /** `keep` is set for this layer by name, which counts before what is set for all where layers go together. */
  readonly keepIsOwn: boolean;
  /** Why it stays dense, where the rule says so and not the settings. */
  readonly reason?: string;
}

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
  /**
   * Full least-squares repair when neurons go: every layer that hears of it is refitted to the responses that it gave before,
   * as `prune` does it. No labels are needed. Default false.
   */
  readonly refit?: boolean;
  /**
   * Samples of the training set that are measured for scores, repair and feedback, drawn by the seed; all, where there are
   * fewer. More of them cost in proportion, and what is fitted to them suits others better. Default 512.
   */
  readonly samples?: number;
  /**
   * How much of what the layers read their quantization goes by, as in `quantize`: 'none', 'diagonal' or 'full' (error
   * feedback). No labels are needed. Default 'none'.
   */
  readonly feedback?: Feedback;
  /** For all layers; see {@link LAYER_DEFAULTS}. */
  readonly settings?: LayerSetting;
  /**
   * By name of a layer ({@link compressibleLayers}): overrides `settings`; of another quantizer it takes nothing over.
   * Layers that are cut together, as the branches of a sum are, keep the largest share that is set for one of them by name,
   * or if there is none the largest at all.
   */
  readonly layers?: Readonly<Record<string, LayerSetting>>;
  /** Order of the steps: from the output to the input (default), the other way, or by name (those left out are not touched). */
  readonly order?: 'lastToFirst' | 'firstToLast' | readonly string[];
  /** Layers per step: Infinity treats all layers at once (default); 1 is the paper's schedule. */
  readonly layersPerStep?: number;
  /** After each pruning. Default 1 epoch at 0.02. */
  readonly retrainPruned?: RetrainSetting;
  /** After each quantization. Default 1 epoch at 0.02. */
  readonly retrainQuantized?: RetrainSetting;
  /** The final pass over everything that is still trained. Default 8 epochs at 0.02. */
  readonly final?: RetrainSetting;
  /**
   * What all retraining has in common: batch size, loss, rate of codebooks, whether levels move and what their bits are worth, averages, optimizer, schedule, clipping, inner values that
   * are compared with the original's where that is the teacher. Defaults as in `train`. Inner values that lost channels on the
   * way are left out.
   */
  readonly training?: Pick<
    TrainOptions,
    | 'batchSize'
    | 'loss'
    | 'codebookRate'
    | 'levels'
    | 'rateWeight'
    | 'average'
    | 'optimizer'
    | 'schedule'
    | 'clip'
    | 'validationMetric'
    | 'responses'
  >;
  /** Weight of the original network's outputs as targets, from 0 (labels only, default) to 1 (no labels needed). */
  readonly teacherWeight?: number;
  /**
   * What the whole may cost, by the yardstick that fits the data: with labels a share of the original's RMSE (default
   * 0.25), for classes a share of the samples (0.02: two points of accuracy), without labels the relative error of the
   * outputs (0.2), with a `validationMetric` a share of its value for the original (0.25; in its own units if that is 0).
   * A step that takes the network beyond it and costs more than its own share of it, 1 / the number of steps, is undone
   * and tried milder. Infinity: never.
   */
  readonly tolerance?: number;
  /**
   * How often a step is tried milder: half as many neurons removed, the quantizer as it says itself (product: four times
   * the codewords), codewords not rounded; not where that is the same again. The best try stays. Default 1.
   */
  readonly retries?: number;
  /**
   * How codewords are stored, and with them all that stays dense (biases, layers that are not quantized): rounding to
   * halves is the last step, and judged as any. What halves cannot hold stays float32. Nothing is rounded where nothing is
   * quantized. Default 'float16'.
   */
  readonly codewords?: 'float32' | 'float16';
  /** Whether the file is packed, as `writeNetwork` does it: the same network, in fewer bytes. Default true. */
  readonly packed?: boolean;
  /**
   * Bytes of the original as it was given; the ratio is counted from these or from 4 bytes a trained parameter,
   * whichever is less.
   */
  readonly originalBytes?: number;
  /**
   * Rearranges the schedule: is given the stages that the other options make, and gives those that are run. Any
   * transform may stand among them; a checkpoint knows it by its name, so give another name to what does another thing.
   *
   * @example
   * // The statistics of batch normalization are taken anew after each pruning.
   * const stages = (planned: readonly Stage[]) =>
   *   planned.flatMap((stage) =>
   *     stage.name === 'prune' ? [stage, { ...stage, name: 'reestimate', transform: reestimateBatchNorm }] : [stage],
   *   );
   */
  readonly stages?: (planned: readonly Stage[]) => readonly Stage[];
  /**
   * Where the state is kept after every epoch and every step, and taken up from if it is there. A killed run that is
   * started again ends in the same bytes. One that is started with another network, other options or other data is
   * refused; functions of your own are compared as for `train`.
   */
  readonly checkpoint?: RunCheckpoint;
}

/** Defaults of {@link CompressOptions}, beside {@link LAYER_DEFAULTS}. */
export const COMPRESS_DEFAULTS = {
  criterion: 'activationCorrelation',
  repair: true,
  refit: false,
  samples: 512,
  feedback: 'none',
  order: 'lastToFirst',
  layersPerStep: Infinity,
  retrainPruned: { epochs: 1, learningRate: 0.02 },
  retrainQuantized: { epochs: 1, learningRate: 0.02 },
  final: { epochs: 8, learningRate: 0.02 },
  teacherWeight: 0,
  retries: 1,
  codewords: 'float16',
  packed: true,
} as const satisfies CompressOptions;

/** {@link CompressOptions} with everything decided. */
export interface CompressSettings {
  readonly criterion: CriterionChoice;
  readonly scoring: ScoringOptions;
  readonly repair: boolean;
  readonly refit: boolean;
  readonly samples: number;
  readonly feedback: Feedback;
  /** Layers of each step, in order. */
  readonly steps: readonly (readonly string[])[];
  /** Of every layer that can be compressed. */
  readonly layers: ReadonlyMap<string, LayerPlan>;
  readonly retrainPruned: RetrainSetting;
  readonly retrainQuantized: RetrainSetting;
  readonly final: RetrainSetting;
  readonly training: NonNullable<CompressOptions['training']>;
  readonly teacherWeight: number;
  /** undefined: the default of the yardstick. */
  readonly tolerance: number | undefined;
  readonly retries: number;
  readonly codewords: 'float32' | 'float16';
}

const WHO = 'compress';
const TRAINING_NAMES = [
  'batchSize',
  'loss',
  'codebookRate',
  'levels',
  'rateWeight',
  'average',
  'optimizer',
  'schedule',
  'clip',
  'validationMetric',
  'responses',
] as const satisfies readonly (keyof NonNullable<CompressOptions['training']>)[];
const OPTION_NAMES = [
  'criterion',
  'scoring',
  'repair',
  'refit',
  'samples',
  'feedback',
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
  'packed',
  'originalBytes',
  'stages',
  'checkpoint',
] as const satisfies readonly (keyof CompressOptions)[];

/** The options of {@link compress}: own properties, known names. @throws {TypeError} */
export function compressOptions(given: CompressOptions): CompressOptions {
  return ownOptions(WHO, 'options', given, OPTION_NAMES);
}

/** A plan before the rule has spoken. */
type UndecidedPlan = Omit<LayerPlan, 'quantize' | 'reason'> & { readonly quantize: boolean | undefined };

/** A layer's own settings win over those of all; one that is given as undefined is not given. */
function resolveLayer(name: string, all: LayerSetting | undefined, own: LayerSetting | undefined): UndecidedPlan {
  let keep: number = LAYER_DEFAULTS.keep;
  let quantize: boolean | undefined;
  let isOwnKeep = false;
  let hasOptions = false;
  let named: QuantizerName = DEFAULT_QUANTIZER;
  const settings: QuantizerSettings[] = [];
  for (const one of [all, own]) {
    if (one === undefined) continue;
    const quantizer =
      typeof one === 'object' && one !== null && Object.hasOwn(one, 'quantizer') ? one.quantizer : undefined;
    if (quantizer !== undefined) named = checkOneOf(WHO, `${name}.quantizer`, quantizer, QUANTIZER_NAMES);
    const given = ownOptions<LayerSetting>(WHO, name, one, [
      'keep',
      'quantize',
      'quantizer',
      ...Object.keys(quantizerOf(named).options),
    ] as (keyof LayerSetting)[]);
    const { keep: share, quantize: wanted, ...rest } = given;
    if (wanted !== undefined && typeof wanted !== 'boolean')
      throw new TypeError(`${WHO}: ${name}.quantize: expected true or false, got ${show(wanted)}`);
    keep = share ?? keep;
    quantize = wanted ?? quantize;
    isOwnKeep = one === own && share !== undefined;
    hasOptions = one === own && Object.values(rest).some((value) => value !== undefined);
    settings.push(rest);
  }
  checkNumber(WHO, `${name}.keep`, keep, 0, 1, true);
  const { kind, options } = resolveQuantizer(WHO, name, ...settings);
  return { keep, keepIsOwn: isOwnKeep, quantize: quantize ?? (hasOptions || undefined), quantizer: kind, options };
}

/** Where nobody has said whether a layer is quantized, the rule does. */
function decide(network: Network, plans: ReadonlyMap<string, UndecidedPlan>): Map<string, LayerPlan> {
  const reasons = denseByDefault(
    network,
    new Map([...plans].map(([name, { quantizer, options }]) => [name, { kind: quantizer, options }])),
  );
  return new Map(
    [...plans].map(([name, { quantize, ...plan }]): [string, LayerPlan] => {
      const reason = quantize === undefined ? reasons.get(name) : undefined;
      return [name, { ...plan, quantize: quantize ?? reason === undefined, ...(reason !== undefined && { reason }) }];
    }),
  );
}

function resolveRetrain(name: string, setting: RetrainSetting): RetrainSetting {
  const { epochs, learningRate } = ownOptions(WHO, name, setting, ['epochs', 'learningRate']);
  return {
    epochs: checkInteger(WHO, `${name}.epochs`, epochs, 0),
    learningRate: checkNumber(WHO, `${name}.learningRate`, learningRate, 0, Infinity, true),
  };
}

/** Names of the layers whose weight can be compressed, in topological order. */
export function compressibleLayers(network: Network): string[] {
  return weightedLayers(network).map(({ name }) => name);
}

function resolveOrder(
  names: readonly string[],
  order: CompressOptions['order'] = COMPRESS_DEFAULTS.order,
): readonly string[] {
  if (Array.isArray(order)) {
    for (const name of order as unknown[]) {
      if (!names.includes(name as string))
        throw new RangeError(
          `${WHO}: order: expected names of layers that can be compressed (${names.join(', ')}), got ${show(name)}`,
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

/** Checks every option, as {@link compressOptions} gives them, against the network and fills in the defaults. @throws {TypeError | RangeError} */
export function resolveCompressOptions(network: Network, options: CompressOptions): CompressSettings {
  const names = compressibleLayers(network);
  if (names.length === 0)
    throw new RangeError(
      `${WHO}: network: expected at least one layer that can be compressed, got ${network.nodes.length} nodes without such weights`,
    );
  for (const name of Object.keys(options.layers ?? {})) {
    if (!names.includes(name))
      throw new RangeError(
        `${WHO}: layers: expected names of layers that can be compressed (${names.join(', ')}), got ${show(name)}`,
      );
  }
  const layers = decide(
    network,
    new Map(
      names.map((name) => [
        name,
        resolveLayer(
          name,
          options.settings,
          Object.hasOwn(options.layers ?? {}, name) ? options.layers?.[name] : undefined,
        ),
      ]),
    ),
  );
  const order = resolveOrder(names, options.order);
  const perStep = options.layersPerStep ?? COMPRESS_DEFAULTS.layersPerStep;
  if (perStep !== Infinity) checkInteger(WHO, 'layersPerStep', perStep, 1);
  const length = Math.min(perStep, Math.max(1, order.length));
  const steps = Array.from({ length: Math.ceil(order.length / length) }, (_, i) =>
    order.slice(i * length, (i + 1) * length),
  );
  const { criterion = COMPRESS_DEFAULTS.criterion, scoring = {}, tolerance } = options;
  checkCriterion(WHO, criterion);
  resolveScoring(WHO, 'scoring', criterion, scoring);
  if (tolerance !== undefined && tolerance !== Infinity) checkNumber(WHO, 'tolerance', tolerance, 0);
  const { repair = COMPRESS_DEFAULTS.repair, refit = COMPRESS_DEFAULTS.refit, stages, checkpoint } = options;
  const training = ownOptions(WHO, 'training', options.training, TRAINING_NAMES);
  const teacherWeight = checkNumber(
    WHO,
    'teacherWeight',
    options.teacherWeight ?? COMPRESS_DEFAULTS.teacherWeight,
    0,
    1,
  );
  if (training.responses && teacherWeight === 0)
    throw new TypeError(
      `${WHO}: training.responses: expected a teacher to compare with; give teacherWeight, or leave them out`,
    );
  if (stages !== undefined && typeof stages !== 'function')
    throw new TypeError(`${WHO}: stages: expected a function of the planned stages, got ${show(stages)}`);
  const { packed = COMPRESS_DEFAULTS.packed } = options;
  for (const [name, value] of Object.entries({ repair, refit, packed }))
    if (typeof value !== 'boolean') throw new TypeError(`${WHO}: ${name}: expected true or false, got ${show(value)}`);
  if (checkpoint !== undefined) checkRunCheckpoint(WHO, checkpoint);
  if (options.originalBytes !== undefined) checkInteger(WHO, 'originalBytes', options.originalBytes, 1);
  return {
    criterion,
    scoring,
    layers,
    steps,
    tolerance,
    repair,
    refit,
    samples: checkInteger(WHO, 'samples', options.samples ?? COMPRESS_DEFAULTS.samples, 1),
    feedback: checkOneOf(WHO, 'feedback', options.feedback ?? COMPRESS_DEFAULTS.feedback, FEEDBACKS),
    training,
    retrainPruned: resolveRetrain('retrainPruned', options.retrainPruned ?? COMPRESS_DEFAULTS.retrainPruned),
    retrainQuantized: resolveRetrain(
      'retrainQuantized',
      options.retrainQuantized ?? COMPRESS_DEFAULTS.retrainQuantized,
    ),
    final: resolveRetrain('final', options.final ?? COMPRESS_DEFAULTS.final),
    teacherWeight,
    retries: checkInteger(WHO, 'retries', options.retries ?? COMPRESS_DEFAULTS.retries, 0, 8),
    codewords: checkOneOf(WHO, 'codewords', options.codewords ?? COMPRESS_DEFAULTS.codewords, ['float32', 'float16']),
  };
}

/** The plan for try number `attempt` (0: as asked for): each time half as many neurons removed, the quantizer milder. */
export function milder(plan: LayerPlan, attempt: number): LayerPlan {
  let { options } = plan;
  for (let i = 0; i < attempt; i++) options = quantizerOf(plan.quantizer).milder(options);
  return { ...plan, keep: 1 - (1 - plan.keep) / 2 ** attempt, options };
}
