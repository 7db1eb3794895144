/**
 * Options of training: their defaults, which are the recipe of the reference network, and the checks made before any
 * work.
 */
import { checkRunCheckpoint } from '../container/store.ts';
import type { RunCheckpoint } from '../container/store.ts';
import { checkInputs, checkNetwork } from '../graph/check.ts';
import { EspalierError, checkInteger, checkNumber, checkOneOf, show } from '../base/errors.ts';
import { ownOptions } from '../base/rules.ts';
import type { OptimizerOptions } from '../execution/types.ts';
import type { Examples } from '../graph/examples.ts';
import type { Network } from '../graph/network.ts';
import { outputsOf } from '../graph/walk.ts';
import { own } from '../base/realm.ts';
import { sizeOf } from '../base/tensor.ts';
import type { Shape } from '../base/tensor.ts';
import type { Context } from '../graph/transform.ts';
import { checkLogits, defaultLoss } from '../losses/losses.ts';
import type { Loss } from '../losses/losses.ts';
import type { Schedule } from './schedules.ts';
import { cosine } from './schedules.ts';

export interface SgdChoice {
  readonly kind: 'sgd';
  /** In [0, 1). Default 0.9. */
  readonly momentum?: number;
  /** Default false. */
  readonly nesterov?: boolean;
  /** Default 1e-4. */
  readonly weightDecay?: number;
  /** Gradient of a codeword: mean over its members or their sum. Default 'mean'. */
  readonly codewordGradient?: 'mean' | 'sum';
}

export interface AdamChoice {
  readonly kind: 'adam';
  /** In [0, 1). Default 0.9. */
  readonly beta1?: number;
  /** In [0, 1). Default 0.999. */
  readonly beta2?: number;
  /** Default 1e-8. */
  readonly epsilon?: number;
  /** Default 1e-4. */
  readonly weightDecay?: number;
  /** True: weights decay by themselves (AdamW); false: the decay is part of the gradient. Default true. */
  readonly decoupled?: boolean;
  /** Gradient of a codeword: mean over its members or their sum. Default 'mean'. */
  readonly codewordGradient?: 'mean' | 'sum';
}

/**
 * What there is to compare on the validation set: predictions and targets (samples, size) or (samples) labels. Lower is
 * better.
 */
export type ValidationMetric = (predictions: Float32Array, targets: Float32Array, samples: number) => number;

export interface TrainOptions {
  /** Passes over `context.training`. */
  readonly epochs: number;
  /**
   * Samples per step; a smaller set is one batch. Samples that do not fill a last batch sit this epoch out. Batch
   * normalization of values without positions needs 2 at least. Default 32.
   */
  readonly batchSize?: number;
  /** Default 0.05 for SGD, 0.001 for Adam. */
  readonly learningRate?: number;
  /**
   * Factor on the learning rate for what encoded parameters train, codewords and scales. Default 10 for SGD with averaged
   * gradients, of which a codeword moves less than its members would have; else 1.
   */
  readonly codebookRate?: number;
  /**
   * Factor on the learning rate over the run. Default cosine, with a warm-up of 100 steps or of a tenth of the run if
   * that is less.
   */
  readonly schedule?: Schedule;
  /** Default { kind: 'sgd' }: momentum 0.9, weight decay 1e-4. */
  readonly optimizer?: SgdChoice | AdamChoice;
  /** Limit of the global gradient norm; 0: none. Default 5. */
  readonly clip?: number;
  /**
   * Default by the network's task: landmarks smoothL1({ beta: 0.1, scale: 0.1 }), classes crossEntropy(), else l2().
   */
  readonly loss?: Loss;
  /**
   * A network of the same inputs and outputs: its outputs on the same (augmented) batch are the targets; for classes
   * their softmax. All outputs of floats are compared, paired in their order, and count alike: the first by `loss`, those
   * behind it by their mean squared error in the unit of their own spread over the first 256 samples of training. So does the
   * first where `loss` is left out and neither labels nor a task say better.
   */
  readonly teacher?: Network;
  /**
   * Targets = teacherWeight x teacher + (1 - teacherWeight) x labels. In (0, 1], only with a teacher. Default 1: no
   * labels are needed.
   */
  readonly teacherWeight?: number;
  /**
   * Names of inner values that teacher and network both compute, in one shape: they are compared beside the outputs. Only with
   * a teacher. Default none.
   */
  readonly responses?: readonly string[];
  /** Names of parameters that stay as they are. */
  readonly frozen?: readonly string[];
  /**
   * 'moving': the levels of scalar encodings change: the weights behind them are trained, every pass sees them rounded, and
   * their gradients go straight through (Jacob et al., CVPR 2018). 'fixed': their scales alone are trained. Default 'fixed'.
   */
  readonly levels?: 'fixed' | 'moving';
  /**
   * What a bit is worth in the loss: this times the mean over the weights of the bits of their levels, by how often each level
   * stands in its layer, is made small beside the loss, so that a packed file gets smaller. Only with levels 'moving'.
   * Default 0. After Wiedemann et al., "DeepCABAC", 2019, and Girish et al., "LilNetX", ICLR 2023, with the counts
   * themselves in the place of a learned model.
   */
  readonly rateWeight?: number;
  /**
   * Decay, a step, of the moving averages of trained values that are judged and handed out in the place of the values
   * themselves: 0.998 remembers some 500 steps. In [0, 1). Default 0: the values.
   */
  readonly average?: number;
  /**
   * Stops after this many evaluations in a row without a new best. Needs `context.validation`. Default: runs all
   * epochs.
   */
  readonly patience?: number;
  /**
   * Of the first output; lower is better. Default: with labels root of the mean squared error, for classes the mean
   * cross-entropy; without, how far all outputs are from the teacher's, each in the unit of its spread, root of the mean square.
   */
  readonly validationMetric?: ValidationMetric;
  /** Evaluates after every so many epochs, and after the last. Default 1. */
  readonly evaluateEvery?: number;
  /**
   * 'best': the state that was best on validation, the network as given among them, so that training never ends in a
   * worse network unsaid; 'last': the last. Default 'best' where `context.validation` is given and `rateWeight` is 0, else
   * 'last'.
   */
  readonly keep?: 'best' | 'last';
  /**
   * Where the state is kept after every epoch, and taken up from if it is there. A killed run that is started again
   * ends in the same bytes. One that is started with another network, other options or other data is refused; of your
   * own functions only the names are compared, of your own losses and schedules their `options`: what computes another
   * thing needs another name, or another key.
   */
  readonly checkpoint?: RunCheckpoint;
}

/** {@link TrainOptions} with everything decided. */
export interface TrainSettings {
  readonly epochs: number;
  readonly batch: number;
  readonly stepsPerEpoch: number;
  readonly learningRate: number;
  readonly codebookRate: number;
  readonly schedule: Schedule;
  readonly optimizer: OptimizerOptions;
  readonly clip: number;
  readonly loss: Loss;
  /** By the caller, or by the network's task. */
  readonly lossIsGiven: boolean;
  readonly teacher: Network | undefined;
  /** 0 without a teacher. */
  readonly teacherWeight: number;
  readonly responses: readonly string[];
  readonly frozen: ReadonlySet<string>;
  readonly levels: 'fixed' | 'moving';
  readonly rateWeight: number;
  readonly average: number;
  readonly patience: number;
  readonly validationMetric: ValidationMetric | undefined;
  readonly evaluateEvery: number;
  readonly keep: 'best' | 'last';
  readonly training: Examples;
  readonly validation: Examples | undefined;
  readonly checkpoint: TrainOptions['checkpoint'];
}

const OPTION_NAMES = [
  'epochs',
  'batchSize',
  'learningRate',
  'codebookRate',
  'schedule',
  'optimizer',
  'clip',
  'loss',
  'teacher',
  'teacherWeight',
  'responses',
  'frozen',
  'levels',
  'rateWeight',
  'average',
  'patience',
  'validationMetric',
  'evaluateEvery',
  'keep',
  'checkpoint',
] as const satisfies readonly (keyof TrainOptions)[];
const OPTIMIZER_NAMES = {
  sgd: ['kind', 'momentum', 'nesterov', 'weightDecay', 'codewordGradient'],
  adam: ['kind', 'beta1', 'beta2', 'epsilon', 'decoupled', 'weightDecay', 'codewordGradient'],
} as const satisfies { sgd: readonly (keyof SgdChoice)[]; adam: readonly (keyof AdamChoice)[] };

/** A decay of 1 would stay at the start for ever. */
const LARGEST_DECAY = 1 - 2 ** -53;

/**
 * Checks everything that can be checked without reading data, and fills in the defaults. @throws {TypeError |
 * RangeError} for arguments, {EspalierError} DATA for sets that do not fit
 */
export function resolveTrainOptions(network: Network, context: Context, given: TrainOptions): TrainSettings {
  const options = ownOptions('train', 'options', given, OPTION_NAMES);
  const { schedule, validationMetric, teacher, checkpoint } = options;
  const training = checkExamples('train', 'context.training', context.training);
  const validation =
    context.validation === undefined ? undefined : checkExamples('train', 'context.validation', context.validation);
  checkInteger('train', 'context.seed', context.seed, 0);
  checkInteger('train', 'context.threads', context.threads, 1);
  const epochs = checkInteger('train', 'epochs', options.epochs, 1);
  const batch = Math.min(checkInteger('train', 'batchSize', options.batchSize ?? 32, 1), training.count);
  const stepsPerEpoch = Math.floor(training.count / batch);
  const optimizer = resolveOptimizer(options.optimizer ?? { kind: 'sgd' });
  const loss = options.loss ?? defaultLoss(network);
  if (typeof loss?.measure !== 'function')
    throw new TypeError(`train: loss: expected a loss such as smoothL1(), got ${show(loss)}`);
  if (schedule !== undefined && typeof schedule?.factor !== 'function')
    throw new TypeError(`train: schedule: expected a schedule such as cosine(), got ${show(schedule)}`);
  if (validationMetric !== undefined && typeof validationMetric !== 'function')
    throw new TypeError(`train: validationMetric: expected a function, got ${show(validationMetric)}`);
  if (teacher !== undefined) checkNetwork('train', 'teacher', teacher);
  if (checkpoint !== undefined) checkRunCheckpoint('train', checkpoint);
  if (options.frozen !== undefined && !Array.isArray(options.frozen))
    throw new TypeError(`train: frozen: expected an array of names, got ${show(options.frozen)}`);
  if (options.teacherWeight !== undefined && !teacher)
    throw new TypeError('train: teacherWeight: given without a teacher; give teacher too or leave it out');
  const responses = checkResponses(options.responses, network, teacher);
  const levels = checkOneOf('train', 'levels', options.levels ?? 'fixed', ['fixed', 'moving']);
  const rateWeight = checkNumber('train', 'rateWeight', options.rateWeight ?? 0, 0);
  if (rateWeight > 0 && levels === 'fixed')
    throw new TypeError(
      "train: rateWeight: only levels that move become cheaper; give levels: 'moving' too or leave it out",
    );
  if (!validation) {
    for (const name of ['patience', 'validationMetric', 'evaluateEvery'] as const) {
      if (options[name] !== undefined)
        throw new TypeError(`train: ${name}: needs context.validation, which is missing`);
    }
    if (options.keep === 'best') throw new TypeError(`train: keep: 'best' needs context.validation, which is missing`);
  }
  for (const name of options.frozen ?? []) {
    if (!network.parameters.has(name))
      throw new RangeError(`train: frozen: expected names of parameters of ${show(network.name)}, got ${show(name)}`);
  }
  if (network.inputs.length !== 1)
    throw new RangeError(`train: network: expected one input, got ${network.inputs.length}`);
  checkLogits('train', 'network', loss, network);
  if (teacher) checkLogits('train', 'teacher', loss, teacher);
  return {
    epochs,
    batch,
    stepsPerEpoch,
    optimizer,
    loss,
    lossIsGiven: options.loss !== undefined || own(network).task !== undefined,
    teacher,
    responses,
    training,
    validation,
    checkpoint,
    validationMetric,
    learningRate: checkNumber(
      'train',
      'learningRate',
      options.learningRate ?? (optimizer.kind === 'sgd' ? 0.05 : 0.001),
      0,
      Infinity,
      true,
    ),
    codebookRate: checkNumber(
      'train',
      'codebookRate',
      options.codebookRate ?? (optimizer.kind === 'sgd' && optimizer.codewordGradient === 'mean' ? 10 : 1),
      0,
      Infinity,
      true,
    ),
    schedule: schedule ?? cosine({ warmUp: Math.min(100, Math.floor((epochs * stepsPerEpoch) / 10)) }),
    clip: checkNumber('train', 'clip', options.clip ?? 5, 0),
    teacherWeight: teacher ? checkNumber('train', 'teacherWeight', options.teacherWeight ?? 1, 0, 1, true) : 0,
    frozen: new Set(options.frozen),
    levels,
    rateWeight,
    average: checkNumber('train', 'average', options.average ?? 0, 0, LARGEST_DECAY),
    patience: options.patience === undefined ? Infinity : checkInteger('train', 'patience', options.patience, 1),
    evaluateEvery: checkInteger('train', 'evaluateEvery', options.evaluateEvery ?? 1, 1),
    // The best on validation would be the one that took the most bits.
    keep: checkOneOf('train', 'keep', options.keep ?? (validation && rateWeight === 0 ? 'best' : 'last'), [
      'best',
      'last',
    ]),
  };
}

function checkResponses(given: unknown, network: Network, teacher: Network | undefined): readonly string[] {
  if (given === undefined) return [];
  if (!Array.isArray(given))
    throw new TypeError(`train: responses: expected an array of names of values, got ${show(given)}`);
  if (!teacher) throw new TypeError('train: responses: given without a teacher; give teacher too or leave them out');
  for (const name of given as unknown[]) {
    for (const one of [network, teacher]) {
      if (one.nodes.some((node) => outputsOf(node).includes(name as string))) continue;
      throw new RangeError(
        `train: responses: expected names of values that network and teacher compute, got ${show(name)}, which ${show(one.name)} does not`,
      );
    }
  }
  return [...(given as string[])];
}

/**
 * Checks sets against the shapes of a network's input and first output. Labels are one number per sample. @throws
 * {EspalierError} DATA
 */
export function checkFit(settings: TrainSettings, input: Shape, output: Shape): void {
  const labelled = settings.teacherWeight < 1;
  checkSet('context.training', settings.training, input, labelled ? targetSize(settings.loss, output) : 0);
  // Without labels the teacher is the yardstick too.
  if (settings.validation)
    checkSet(
      'context.validation',
      settings.validation,
      input,
      settings.teacher && !settings.validation.targetShape ? 0 : targetSize(settings.loss, output),
    );
}

/** Numbers per sample that targets have. */
function targetSize(loss: Loss, output: Shape): readonly number[] {
  return loss.classes ? [1, sizeOf(output)] : [sizeOf(output)];
}

function checkSet(name: string, examples: Examples, input: Shape, targets: readonly number[] | 0): void {
  checkInputs('train', name, examples, input);
  if (targets === 0) return;
  if (!examples.targetShape)
    throw new EspalierError(
      'DATA',
      `train: ${name}: expected targets, got an unlabelled set; give targets, or a teacher with teacherWeight 1`,
      { name },
    );
  const found = sizeOf(examples.targetShape);
  if (!targets.includes(found))
    throw new EspalierError(
      'DATA',
      `train: ${name}: expected ${targets.join(' or ')} numbers per target for this network and loss, got ${found}`,
      { name, found },
    );
}

/** A set of at least one sample. @throws {TypeError | RangeError} if it is no set; {EspalierError} DATA if it is empty */
export function checkExamples(who: string, name: string, examples: Examples | undefined): Examples {
  if (typeof examples !== 'object' || examples === null || typeof examples.read !== 'function')
    throw new TypeError(`${who}: ${name}: expected examples ({ count, inputShape, read }), got ${show(examples)}`);
  checkInteger(who, `${name}.count`, examples.count, 0);
  if (examples.period !== undefined) checkInteger(who, `${name}.period`, examples.period, 1);
  if (examples.count === 0)
    throw new EspalierError('DATA', `${who}: ${name}: expected at least one sample, got an empty set`, {
      name,
      found: 0,
    });
  return examples;
}

/** Fields of either optimizer. */
type OptimizerFields = { readonly kind: string } & Omit<SgdChoice, 'kind'> & Omit<AdamChoice, 'kind'>;

function resolveOptimizer(choice: SgdChoice | AdamChoice): OptimizerOptions {
  if (typeof choice !== 'object' || choice === null)
    throw new TypeError(`train: optimizer: expected { kind: 'sgd' | 'adam', ... }, got ${show(choice)}`);
  const kind = checkOneOf('train', 'optimizer.kind', choice.kind, ['sgd', 'adam']);
  const fields = ownOptions<OptimizerFields>('train', 'optimizer', choice, OPTIMIZER_NAMES[kind]);
  const options: OptimizerOptions = {
    kind,
    momentum: share('momentum', fields.momentum ?? 0.9),
    nesterov: flag('nesterov', fields.nesterov ?? false),
    beta1: share('beta1', fields.beta1 ?? 0.9),
    beta2: share('beta2', fields.beta2 ?? 0.999),
    epsilon: checkNumber('train', 'optimizer.epsilon', fields.epsilon ?? 1e-8, 0, Infinity, true),
    decoupled: flag('decoupled', fields.decoupled ?? true),
    weightDecay: checkNumber('train', 'optimizer.weightDecay', fields.weightDecay ?? 1e-4, 0),
    codewordGradient: checkOneOf('train', 'optimizer.codewordGradient', fields.codewordGradient ?? 'mean', [
      'mean',
      'sum',
    ]),
  };
  if (options.nesterov && options.momentum === 0)
    throw new RangeError('train: optimizer.momentum: expected above 0 with nesterov, got 0');
  return options;
}

/** In [0, 1). */
function share(name: string, value: unknown): number {
  const found = checkNumber('train', `optimizer.${name}`, value, 0, 1);
  if (found === 1) throw new RangeError(`train: optimizer.${name}: expected a number below 1, got 1`);
  return found;
}

function flag(name: string, value: unknown): boolean {
  if (typeof value !== 'boolean')
    throw new TypeError(`train: optimizer.${name}: expected true or false, got ${show(value)}`);
  return value;
}
