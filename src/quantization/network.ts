/**
 * Quantization of a network's weights: one parameter, one layer, or all. Biases and whatever else is trained stay
 * dense.
 */
import { checkNetwork } from '../graph/check.ts';
import { decode, encodingSize, isDense, writeEncoding } from '../encodings/index.ts';
import { matrixSides } from '../encodings/checks.ts';
import type { DenseEncoding, Encoding } from '../encodings/types.ts';
import { createRunControl } from '../base/control.ts';
import { checkInteger, checkOneOf, show } from '../base/errors.ts';
import { ownOptions } from '../base/rules.ts';
import type { TensorLike } from '../base/tensor.ts';
import { resolveContext } from '../graph/context.ts';
import type { GivenTransform } from '../graph/context.ts';
import { parameterUsers } from '../graph/walk.ts';
import type { Network } from '../graph/network.ts';
import type { Context } from '../graph/transform.ts';
import { givenKernels } from '../kernels/given.ts';
import { loadKernels } from '../kernels/load.ts';
import type { KernelSet } from '../kernels/types.ts';
import { refitWeights } from '../importance/least-squares.ts';
import { momentsObstacle, openMoments } from '../importance/moments.ts';
import type { LayerMoments, MomentsMeter } from '../importance/moments.ts';
import { biasOf, withBias } from '../network/bias.ts';
import { weightedLayers } from '../network/shapes.ts';
import type { FitContext, FitReport } from './quantizer.ts';
import {
  QUANTIZER_NAMES,
  quantizerOf,
  resolveQuantizer,
  type QuantizerName,
  type QuantizerSettings,
  type ResolvedQuantizer,
} from './settings.ts';

export interface ParameterReport {
  readonly parameter: string;
  /** 'dense': the encoding would have made the layer no smaller, all that is written counted, so it stays as it was. */
  readonly status: 'quantized' | 'dense';
  readonly quantizer: QuantizerName;
  readonly weights: number;
  /** Of the file, the encoding's description included. */
  readonly bitsBefore: number;
  readonly bitsAfter: number;
  readonly bitsPerWeight: number;
  /** Of the network that comes back: 0 where the layer stays dense. */
  readonly relativeError: number;
  /** What the fitted encoding is like, kept or not; what the quantizer adds to it is its own. */
  readonly fit: FitReport;
}

/** A quantizer with its options, and what fitting is given besides. */
export type LayerOptions = QuantizerSettings & {
  /** Default: the context's. */
  readonly seed?: number;
  /**
   * Importance of the columns (columns) or of every weight (rows, columns), from 0, in the squared error. Default: all
   * alike.
   */
  readonly importance?: TensorLike;
};

/** How much of what a layer reads its quantization goes by. */
export const FEEDBACKS = ['none', 'diagonal', 'full'] as const;
/**
 * - 'none': of nothing; no data are needed.
 * - 'diagonal': errors count as much as the column's inputs vary.
 * - 'full': and the error of what is quantized is made good by the columns still to come (GPTQ, GPTVQ), its mean by the bias;
 *   where the responses of the network before are known, as in {@link quantize}, what is quantized are the weights that come
 *   nearest to them on what the layer reads by now (`refitWeights`), so that each layer makes good what those before it lost.
 */
export type Feedback = (typeof FEEDBACKS)[number];

export type ParameterOptions = LayerOptions & {
  /** Default: the best set that the platform runs. */
  readonly kernels?: KernelSet;
  /** Default 1. */
  readonly threads?: number;
  readonly signal?: AbortSignal;
  /** What the layer reads, as `measureMoments` tells. Default: none. */
  readonly moments?: LayerMoments;
  /** What is made of `moments`. Default 'full' where they are given. */
  readonly feedback?: Feedback;
};

export type QuantizeOptions = LayerOptions & {
  /**
   * Names of the weights to quantize. Default: the weights of all layers that are dense still.
   */
  readonly parameters?: readonly string[];
  /**
   * Needs `context.training` (no labels) where it is not 'none'; layers are measured one after another, each with those
   * before it quantized. Default 'none'.
   */
  readonly feedback?: Feedback;
  /** Samples that are measured, as in {@link MomentsOptions}. Default 512. */
  readonly samples?: number;
  /** Other options for single weights, by parameter name. */
  readonly overrides?: Readonly<Record<string, LayerOptions>>;
};

/**
 * Quantizes the weight of a layer, (out, the rest) as a matrix, by the quantizer that the options name. Where that would not make it smaller the network comes back as it is, and the report says so.
 * @throws {TypeError | RangeError} for wrong options, by name
 * @throws {RangeError} if `parameter` is not the weight of a layer, or is not dense
 * @throws {EspalierError} NONFINITE, WORKER; the signal's reason, if it is aborted
 * @example
 * const { network: small } = await quantizeParameterAsync(network, 'dense1.weight', { codewordCount: 1024, kernels: await loadKernels() });
 */
export async function quantizeParameterAsync(
  network: Network,
  parameter: string,
  options: ParameterOptions,
): Promise<{ network: Network; report: ParameterReport }> {
  const who = 'quantizeParameterAsync';
  const {
    kernels,
    threads = 1,
    signal,
    moments,
    feedback,
    ...own
  } = ownSettings(who, options, ['kernels', 'threads', 'signal', 'moments', 'feedback']);
  const context = {
    kernels: await givenKernels(who, 'options.kernels', kernels, loadKernels),
    threads: checkInteger(who, 'threads', threads, 1),
    seed: 0,
    ...(signal && { signal }),
  };
  const kind = checkOneOf(who, 'feedback', feedback ?? (moments ? 'full' : 'none'), FEEDBACKS);
  if (kind !== 'none' && !moments)
    throw new TypeError(
      `${who}: moments: expected what the layer reads for feedback ${show(kind)}, got none; take it from measureMoments`,
    );
  return fitParameter(who, network, parameter, planFit(who, [own], context), moments && { kind, moments });
}

/**
 * Own properties, of names that some quantizer has or that stand beside it; whether it is the one that is chosen is
 * checked where that is known.
 */
function ownSettings<T extends LayerOptions>(who: string, given: T, beside: readonly (keyof T & string)[] = []): T {
  const ofQuantizers = QUANTIZER_NAMES.flatMap((kind) => Object.keys(quantizerOf(kind).options));
  const names = ['quantizer', ...new Set(ofQuantizers), 'seed', 'importance', ...beside];
  return ownOptions<T>(who, 'options', given, names as (keyof T & string)[]);
}

interface Fit extends ResolvedQuantizer {
  readonly context: FitContext;
}

/** What is to be fitted and how, checked. @param given - the later over the earlier */
function planFit(who: string, settingsGiven: readonly LayerOptions[], context: FitContext): Fit {
  const given = settingsGiven.map((one) => ownSettings(who, one));
  const seed = given.findLast((one) => one.seed !== undefined)?.seed ?? context.seed;
  const importance = given.findLast((one) => one.importance !== undefined)?.importance;
  const settings = given.map(({ seed: _seed, importance: _importance, ...rest }): QuantizerSettings => rest);
  return {
    ...resolveQuantizer(who, 'options', ...settings),
    context: { ...context, seed, ...(importance && { importance }) },
  };
}

interface Fed {
  readonly kind: Feedback;
  readonly moments: LayerMoments;
}

async function fitParameter(
  who: string,
  network: Network,
  parameter: string,
  { kind, quantizer, options, context }: Fit,
  fed?: Fed,
): Promise<{ network: Network; report: ParameterReport }> {
  checkNetwork(who, 'network', network);
  const encoding = network.parameters.get(parameter);
  const names = weightNames(network);
  if (!encoding || !names.includes(parameter))
    throw new RangeError(
      `${who}: parameter: expected the weight of a layer (${names.join(', ')}), got ${show(parameter)}`,
    );
  if (!isDense(encoding))
    throw new RangeError(
      `${who}: parameter: expected ${show(parameter)} to be dense, got a ${encoding.kind} encoding; quantize each weight once`,
    );
  const { rows, columns } = matrixSides(encoding.shape);
  const matrix = { data: aimedAt(network, encoding, fed), shape: [rows, columns] };
  const { encoding: fitted, report: fit } = await quantizer.fit(matrix, options, { ...context, ...heard(fed, rows) });
  const quantized: Encoding = { ...fitted, shape: encoding.shape };
  const before = writtenBits(parameter, encoding);
  const after = writtenBits(parameter, quantized);
  const smaller = after < before;
  return {
    network: smaller ? replaced(network, parameter, quantized, fed) : network,
    report: {
      parameter,
      status: smaller ? 'quantized' : 'dense',
      quantizer: kind,
      weights: rows * columns,
      bitsBefore: before,
      bitsAfter: smaller ? after : before,
      bitsPerWeight: (smaller ? after : before) / (rows * columns),
      relativeError: smaller ? fit.relativeError : 0,
      fit,
    },
  };
}

/** What of a layer's inputs its quantizer is told. */
function heard(fed: Fed | undefined, rows: number): Pick<FitContext, 'importance' | 'moments'> {
  if (!fed || fed.kind === 'none') return {};
  const { variance, covariance, columns, groups } = fed.moments;
  if (fed.kind === 'full') return { moments: covariance };
  if (!variance.some((one) => one > 0)) return {};
  if (groups === 1) return { importance: { data: Float32Array.from(variance), shape: [columns] } };
  const data = Float32Array.from(
    { length: rows * columns },
    (_, i) => variance[Math.floor((i * groups) / (rows * columns)) * columns + (i % columns)],
  );
  return { importance: { data, shape: [rows, columns] } };
}

/** The weights, or where a reference's responses are known those that answer like it on what the layer reads by now. */
function aimedAt(network: Network, weight: DenseEncoding, fed: Fed | undefined): Float32Array {
  return fed?.kind === 'full' && fed.moments.responses && hasBiasOfItsOwn(network, fed.moments.node)
    ? Float32Array.from(refitWeights(weight.data, fed.moments).weights)
    : weight.data;
}

/** Whether a constant can be put into what a layer yields without others hearing of it. */
function hasBiasOfItsOwn(network: Network, node: string): boolean {
  const bias = network.nodes.find(({ name }) => name === node)?.parameters.bias;
  return (
    bias === undefined || (parameterUsers(network).get(bias)?.length === 1 && isDense(network.parameters.get(bias)))
  );
}

/**
 * With feedback the bias takes up the mean of what the errors make of the layer's inputs, where it is the layer's alone:
 * mean responses are the reference's, or those that they were.
 */
function replaced(network: Network, parameter: string, quantized: Encoding, fed: Fed | undefined): Network {
  const result = { ...network, parameters: new Map(network.parameters).set(parameter, quantized) };
  if (fed?.kind !== 'full' || !hasBiasOfItsOwn(network, fed.moments.node)) return result;
  const { node, mean, groups, responses } = fed.moments;
  const { rows, columns } = matrixSides(quantized.shape);
  const after = decode(quantized);
  const sums = Float64Array.from(responses?.mean ?? biasOf(network, node, rows));
  const before = responses ? undefined : decode(network.parameters.get(parameter)!);
  for (let o = 0; o < rows; o++)
    for (let j = 0; j < columns; j++)
      sums[o] +=
        ((before?.[o * columns + j] ?? 0) - after[o * columns + j]) *
        mean[Math.floor((o * groups) / rows) * columns + j];
  return withBias(result, node, sums);
}

/**
 * Quantizes all weights, or the named ones. Report: `parameters`, a {@link ParameterReport} each, and `skipped`, the
 * names of the other weights.
 * @throws {TypeError | RangeError} for options that the quantizer has not, or names of no weight
 * @throws {EspalierError} NONFINITE, WORKER; the signal's reason, if it is aborted
 * @example
 * const { network: small, report } = await quantize({ overrides: { 'dense1.weight': { codewordCount: 1024 } } })(network, context);
 */
export function quantize(options: QuantizeOptions): GivenTransform {
  const {
    parameters,
    overrides = {},
    feedback = 'none',
    samples,
    ...shared
  } = ownSettings('quantize', options, ['parameters', 'overrides', 'feedback', 'samples']);
  checkOneOf('quantize', 'feedback', feedback, FEEDBACKS);
  return async (network, given) => {
    const context = await resolveContext('quantize', given);
    const control = createRunControl(context);
    const names = weightNames(checkNetwork('quantize', 'network', network));
    const unknown = Object.keys(overrides).find((name) => !names.includes(name));
    if (unknown !== undefined)
      throw new RangeError(
        `quantize: overrides: expected names of weights (${names.join(', ')}), got ${show(unknown)}`,
      );
    const chosen = parameters ?? names.filter((name) => isDense(network.parameters.get(name)));
    const fits = chosen.map((name) => {
      const own = Object.hasOwn(overrides, name) ? [overrides[name]] : [];
      return { name, fit: planFit('quantize', [shared, ...own], how(context)) };
    });
    const reports: ParameterReport[] = [];
    let result = network;
    const meter =
      feedback === 'none' || fits.length === 0
        ? undefined
        : await openMoments('quantize', network, context, samples === undefined ? {} : { samples });
    for (const [index, { name, fit }] of fits.entries()) {
      control.check();
      const moments = meter && (await momentsOfWeight(result, name, feedback, meter));
      const step = await fitParameter('quantize', result, name, fit, moments && { kind: feedback, moments });
      result = step.network;
      reports.push(step.report);
      control.emit({
        kind: 'stage',
        name: 'quantize',
        index,
        count: chosen.length,
        detail: describeParameter(step.report),
      });
    }
    await control.end();
    return {
      network: result,
      report: { transform: 'quantize', parameters: reports, skipped: names.filter((name) => !chosen.includes(name)) },
    };
  };
}

/**
 * Quantizes the weight of one layer, by the name of its node.
 * @throws {RangeError} if there is no such node, or it has no weight
 */
export function quantizeLayer(name: string, options: LayerOptions): GivenTransform {
  return async (network, given) => {
    const context = await resolveContext('quantizeLayer', given);
    const layers = weightedLayers(checkNetwork('quantizeLayer', 'network', network));
    const weight = layers.find((layer) => layer.name === name)?.weight;
    if (weight === undefined)
      throw new RangeError(
        `quantizeLayer: name: expected a node with a weight (${layers.map((layer) => layer.name).join(', ')}), got ${show(name)}`,
      );
    const { network: result, report } = await fitParameter(
      'quantizeLayer',
      network,
      weight,
      planFit('quantizeLayer', [options], how(context)),
    );
    return { network: result, report: { transform: 'quantizeLayer', layer: name, ...report } };
  };
}

/**
 * What the layer of a weight reads; undefined for a weight of several layers, which read different things, and where it has
 * no moments that all its rows share.
 */
export async function momentsOfWeight(
  network: Network,
  weight: string,
  feedback: Feedback,
  meter: MomentsMeter,
): Promise<LayerMoments | undefined> {
  const layers = weightedLayers(network).filter((layer) => layer.weight === weight);
  const [{ name }] = layers;
  if (layers.length > 1 || momentsObstacle(network, name) !== undefined) return undefined;
  const [outputs] = network.parameters.get(weight)!.shape;
  const request =
    feedback === 'full'
      ? { node: name, rows: Int32Array.from({ length: outputs }, (_, o) => o) }
      : { node: name, covariance: false };
  return (await meter.measure(network, [request])).get(name);
}

function how({ kernels, threads, seed, signal }: Context): FitContext {
  return { kernels, threads, seed, ...(signal && { signal }) };
}

/** Weights in the order of the nodes, a shared one once. */
function weightNames(network: Network): string[] {
  return [...new Set(weightedLayers(network).map(({ weight }) => weight))];
}

/**
 * Contents, description, and an entry for each tensor in the file's header; the entry's offsets are not known yet and
 * taken to be as long as the size.
 */
function writtenBits(name: string, encoding: Encoding): number {
  const { header, tensors } = writeEncoding(encoding);
  const entries = tensors.map(({ suffix, dtype, shape, bytes }) =>
    JSON.stringify({ [name + suffix]: { dtype, shape, data_offsets: [bytes.length, bytes.length] } }),
  );
  return (
    encodingSize(encoding).total + 8 * [JSON.stringify(header), ...entries].reduce((sum, text) => sum + text.length, 0)
  );
}

/** A report in words: 'conv1.weight: 256 codewords of 4, signs apart, 3.12 bits a weight, relative error 0.0734'. */
export function describeParameter(report: ParameterReport): string {
  const { parameter, status, quantizer, bitsPerWeight, relativeError, fit } = report;
  const words = quantizerOf(quantizer).describe(fit);
  return status === 'dense'
    ? `${parameter} stays dense: ${words} would not make it smaller`
    : `${parameter}: ${words}, ${bitsPerWeight.toFixed(2)} bits a weight, relative error ${relativeError.toFixed(4)}`;
}
