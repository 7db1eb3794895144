/**
 * Losses: mean over a batch and its gradient with respect to the prediction, in the precision of the arrays given.
 * x: (prediction - target) / scale, the error in units of `scale`.
 */
import { exp, log, log1p } from '../base/elementary.ts';
import { checkInteger, checkNumber, checkOneOf, show } from '../base/errors.ts';
import { own } from '../base/realm.ts';
import { ownOptions } from '../base/rules.ts';
import type { FloatArray } from '../base/tensor.ts';
import type { Network } from '../graph/network.ts';
import { producersOf } from '../graph/walk.ts';
import { operatorOf } from '../operators/table.ts';

/** A loss as plain JSON-able data: what checkpoints and command lines keep. */
export type LossOptions =
  | { readonly kind: 'l2'; readonly scale?: number }
  | { readonly kind: 'smoothL1'; readonly beta?: number; readonly scale?: number }
  | { readonly kind: 'wing'; readonly w?: number; readonly epsilon?: number; readonly scale?: number }
  | { readonly kind: 'crossEntropy' };

export interface ScaleOptions {
  /** Unit of error: the loss is that of (prediction - target) / scale. Default 1. */
  readonly scale?: number;
}

export interface SmoothL1Options extends ScaleOptions {
  /** Error (in units of scale) below which the loss is quadratic. Default 1. */
  readonly beta?: number;
}

export interface WingOptions extends ScaleOptions {
  /** Error (in units of scale) below which the loss is logarithmic. Default 10. */
  readonly w?: number;
  /** Curvature of the logarithmic part. Default 2. */
  readonly epsilon?: number;
}

export interface Loss {
  readonly name: string;
  /** What the loss is, for checkpoints: two losses with equal options are the same loss. */
  readonly options: { readonly kind: string } & Readonly<Record<string, unknown>>;
  /**
   * True: predictions are logits, targets are one label per sample or one row of probabilities per sample. False:
   * targets have the form of predictions.
   */
  readonly classes: boolean;
  /**
   * The mean loss of `count` samples of `size` outputs each, summed in double. prediction (count, size); target (count,
   * size), or (count) labels where `classes`; gradient (count, size), if given, is overwritten with the derivative of
   * that mean. Arrays may be longer: what lies behind is not touched. Pure otherwise.
   */
  measure(prediction: FloatArray, target: FloatArray, count: number, size: number, gradient?: FloatArray): number;
}

/** Mean of x²: `mse_loss` of PyTorch. @throws {TypeError | RangeError} if `scale` is not above 0 */
export function l2(options: ScaleOptions = {}): Loss {
  const scale = checkScale('l2', ownOptions('l2', 'options', options, ['scale']));
  return elementwise(
    { kind: 'l2', scale },
    (x) => x * x,
    (x) => 2 * x,
  );
}

/**
 * x² / (2 beta) where |x| < beta, else |x| - beta / 2, mean over all elements: `smooth_l1_loss` of PyTorch (Girshick
 * 2015 with beta 1).
 * @throws {RangeError} if beta or scale is not above 0
 * @example
 * import { smoothL1 } from 'espalier/training';
 * const loss = smoothL1({ beta: 0.1, scale: 0.1 }); // landmarks in crop units
 */
export function smoothL1(options: SmoothL1Options = {}): Loss {
  const given = ownOptions('smoothL1', 'options', options, ['beta', 'scale']);
  const scale = checkScale('smoothL1', given);
  const beta = checkNumber('smoothL1', 'beta', given.beta ?? 1, 0, Infinity, true);
  return elementwise(
    { kind: 'smoothL1', beta, scale },
    (x) => (Math.abs(x) < beta ? (x * x) / (2 * beta) : Math.abs(x) - beta / 2),
    (x) => (Math.abs(x) < beta ? x / beta : Math.sign(x)),
  );
}

/**
 * w ln(1 + |x| / epsilon) where |x| < w, else |x| - C, C making it continuous (Feng et al., "Wing Loss for Robust
 * Facial Landmark Localisation", CVPR 2018, equation 5). At x = 0 the gradient is taken as 0.
 * @throws {RangeError} if w, epsilon or scale is not above 0
 */
export function wing(options: WingOptions = {}): Loss {
  const given = ownOptions('wing', 'options', options, ['w', 'epsilon', 'scale']);
  const scale = checkScale('wing', given);
  const w = checkNumber('wing', 'w', given.w ?? 10, 0, Infinity, true);
  const epsilon = checkNumber('wing', 'epsilon', given.epsilon ?? 2, 0, Infinity, true);
  const constant = w - w * log1p(w / epsilon);
  return elementwise(
    { kind: 'wing', w, epsilon, scale },
    (x) => (Math.abs(x) < w ? w * log1p(Math.abs(x) / epsilon) : Math.abs(x) - constant),
    (x) => (Math.abs(x) < w ? (Math.sign(x) * w) / (epsilon + Math.abs(x)) : Math.sign(x)),
  );
}

/**
 * Softmax cross-entropy of logits, mean over samples: `cross_entropy` of PyTorch. Targets are labels (0 ... size - 1,
 * one number per sample: `target.length` below count x size) or rows of probabilities (soft targets of a teacher).
 * It has no options. @throws {TypeError} if it is given any
 * @throws {RangeError} from `measure`, for fewer than two classes and for a label that is not one of them
 */
export function crossEntropy(options: Readonly<Record<never, never>> = {}): Loss {
  ownOptions('crossEntropy', 'options', options, []);
  return { name: 'crossEntropy', options: { kind: 'crossEntropy' }, classes: true, measure: measureCrossEntropy };
}

/**
 * The loss that JSON-able options describe; `lossFromOptions(loss.options)` is the same loss again. @throws {TypeError
 * | RangeError} for unknown kinds and wrong numbers
 */
export function lossFromOptions(options: LossOptions): Loss {
  const { kind, ...given } = ownOptions<{ kind?: unknown } & SmoothL1Options & WingOptions>(
    'lossFromOptions',
    'options',
    options,
    ['kind', 'scale', 'beta', 'w', 'epsilon'],
  );
  switch (checkOneOf('lossFromOptions', 'options.kind', kind, ['l2', 'smoothL1', 'wing', 'crossEntropy'])) {
    case 'l2':
      return l2(given);
    case 'smoothL1':
      return smoothL1(given);
    case 'wing':
      return wing(given);
    case 'crossEntropy':
      return crossEntropy(given);
  }
}

/** The loss that fits a network's task. */
export function defaultLoss(network: Network): Loss {
  const { task } = own(network);
  if (task?.kind === 'landmarks') return smoothL1({ beta: 0.1, scale: 0.1 });
  return task?.kind === 'classes' ? crossEntropy() : l2();
}

/**
 * A loss over classes takes logits: a softmax at the end, or before operators that only move, drop or scale its values,
 * would train in silence to something else. Linear in the nodes. @throws {RangeError} naming the node
 */
export function checkLogits(who: string, name: string, loss: Loss, network: Network): void {
  if (!loss.classes) return;
  const producers = producersOf(network);
  const open = [network.outputs[0]];
  const seen = new Set(open);
  for (let value = open.pop(); value !== undefined; value = open.pop()) {
    const node = network.nodes[producers.get(value) ?? -1];
    if (!node) continue;
    const { yieldsProbabilities, keepsMeaning } = operatorOf(node);
    if (yieldsProbabilities)
      throw new RangeError(
        `${who}: ${name}: ${loss.name} takes logits, but the network ends in the ${node.kind} ${show(node.name)}; leave that node out and add it afterwards`,
      );
    for (const input of keepsMeaning ? node.inputs : []) {
      if (!seen.has(input)) open.push(input);
      seen.add(input);
    }
  }
}

/** Rows of softmax of logits, in place: what makes targets of a teacher's outputs. logits (count, size). */
export function softmaxRows(logits: FloatArray, count: number, size: number): void {
  for (let row = 0; row < count; row++) {
    const first = row * size;
    const logTotal = logSumExp(logits, first, size);
    for (let j = first; j < first + size; j++) logits[j] = exp(logits[j] - logTotal);
  }
}

function measureCrossEntropy(
  prediction: FloatArray,
  target: FloatArray,
  count: number,
  size: number,
  gradient?: FloatArray,
): number {
  checkSizes('crossEntropy', prediction, count, size, gradient);
  if (size < 2) throw new RangeError(`crossEntropy: size: expected at least 2 classes, got ${size}`);
  const rows = target.length >= count * size;
  if (!rows && target.length < count)
    throw new RangeError(
      `crossEntropy: target: expected ${count} labels or ${count * size} probabilities, got ${target.length} numbers`,
    );
  let sum = 0;
  for (let row = 0; row < count; row++) {
    const first = row * size;
    const logTotal = logSumExp(prediction, first, size);
    const label = rows ? -1 : target[row];
    if (!rows && !(Number.isInteger(label) && label >= 0 && label < size))
      throw new RangeError(`crossEntropy: target: expected a label from 0 to ${size - 1}, got ${label} in row ${row}`);
    let mass = 0; // of the row of targets: 1 for labels and proper probabilities
    for (let j = 0; j < size; j++) {
      const share = rows ? target[first + j] : j === label ? 1 : 0;
      mass += share;
      // A class without mass costs nothing, even where its logit is -Infinity.
      if (share !== 0) sum += share * (logTotal - prediction[first + j]);
    }
    if (!gradient) continue;
    for (let j = 0; j < size; j++) {
      const share = rows ? target[first + j] : j === label ? 1 : 0;
      gradient[first + j] = (exp(prediction[first + j] - logTotal) * mass - share) / count;
    }
  }
  return sum / count;
}

/** ln of the sum of exponentials of a row, without overflow. */
function logSumExp(values: FloatArray, first: number, size: number): number {
  let top = -Infinity;
  for (let j = first; j < first + size; j++) top = Math.max(top, values[j]);
  let total = 0;
  for (let j = first; j < first + size; j++) total += exp(values[j] - top);
  return top + log(total);
}

/** A loss that treats every element alike: `value` of x and `slope`, its derivative. */
function elementwise(
  options: { readonly kind: string; readonly scale: number } & Readonly<Record<string, unknown>>,
  value: (x: number) => number,
  slope: (x: number) => number,
): Loss {
  const { kind, scale } = options;
  return {
    name: kind,
    options,
    classes: false,
    measure(prediction, target, count, size, gradient) {
      checkSizes(kind, prediction, count, size, gradient);
      const elements = count * size;
      if (target.length < elements)
        throw new RangeError(`${kind}: target: expected ${elements} numbers, got ${target.length}`);
      let sum = 0;
      for (let i = 0; i < elements; i++) {
        const x = (prediction[i] - target[i]) / scale;
        sum += value(x);
        if (gradient) gradient[i] = slope(x) / (elements * scale);
      }
      return sum / elements;
    },
  };
}

function checkScale(who: string, options: ScaleOptions): number {
  return checkNumber(who, 'scale', options.scale ?? 1, 0, Infinity, true);
}

function checkSizes(
  who: string,
  prediction: FloatArray,
  count: number,
  size: number,
  gradient: FloatArray | undefined,
): void {
  const elements = checkInteger(who, 'count', count, 1) * checkInteger(who, 'size', size, 1);
  if (prediction.length < elements)
    throw new RangeError(`${who}: prediction: expected ${elements} numbers, got ${prediction.length}`);
  if (gradient && gradient.length < elements)
    throw new RangeError(`${who}: gradient: expected room for ${elements} numbers, got ${gradient.length}`);
}
