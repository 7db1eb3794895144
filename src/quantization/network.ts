/**
 * Quantization of a network's weights: one parameter, one layer, or all. Biases and whatever else is trained stay
 * dense.
 */
import { decode, encodingSize, writeEncoding } from '../encodings/index.ts';
import { matrixSides } from '../encodings/checks.ts';
import type { Encoding, ProductEncoding } from '../encodings/types.ts';
import { show } from '../base/errors.ts';
import type { Network } from '../graph/network.ts';
import type { Context, Transform } from '../graph/transform.ts';
import {
  quantizeMatrix,
  quantizeMatrixAsync,
  type MatrixAsyncOptions,
  type MatrixOptions,
  type MatrixReport,
} from './product.ts';

export interface ParameterReport {
  readonly parameter: string;
  /** 'dense': the codebook would have made the layer no smaller, all that is written counted, so it stays as it was. */
  readonly status: 'quantized' | 'dense';
  readonly weights: number;
  /** Of the file, the encoding's description included. */
  readonly bitsBefore: number;
  readonly bitsAfter: number;
  readonly bitsPerWeight: number;
  /** Of the network that comes back: 0 where the layer stays dense. */
  readonly relativeError: number;
  /** What the fitted quantizer is like, kept or not. */
  readonly quantizer: MatrixReport;
}

/** Options without what the context brings; the seed is the context's by default. */
export type LayerOptions = Omit<MatrixOptions, 'kernels'>;

export interface QuantizeOptions extends LayerOptions {
  /**
   * Names of the weights to quantize. Default: the weights of all convolutions and dense layers that are dense still.
   */
  parameters?: readonly string[];
  /** Other options for single weights, by parameter name. */
  overrides?: Readonly<Record<string, Partial<LayerOptions>>>;
}

/**
 * Quantizes the weight of a convolution or dense layer, (out, the rest) as a matrix; see {@link quantizeMatrix}. Where
 * that would not make it smaller the network comes back as it is, and the report says so.
 * @throws {RangeError} if `parameter` is not the weight of a convolution or dense layer, or is not dense
 */
export function quantizeParameter(
  network: Network,
  parameter: string,
  options: MatrixOptions,
): { network: Network; report: ParameterReport } {
  const { matrix, finish } = prepareParameter(network, parameter);
  return finish(quantizeMatrix(matrix, options));
}

/** {@link quantizeParameter} on several threads, as {@link quantizeMatrixAsync}. */
export async function quantizeParameterAsync(
  network: Network,
  parameter: string,
  options: MatrixAsyncOptions,
): Promise<{ network: Network; report: ParameterReport }> {
  const { matrix, finish } = prepareParameter(network, parameter);
  return finish(await quantizeMatrixAsync(matrix, options));
}

/** A parameter as a matrix, and the network that its quantization makes. */
function prepareParameter(network: Network, parameter: string) {
  const encoding = network.parameters.get(parameter);
  const names = weightNames(network);
  if (!encoding || !names.includes(parameter))
    throw new RangeError(
      `quantizeParameter: parameter: expected the weight of a convolution or dense layer (${names.join(', ')}), got ${show(parameter)}`,
    );
  if (encoding.kind !== 'dense')
    throw new RangeError(
      `quantizeParameter: parameter: expected ${show(parameter)} to be dense, got a ${encoding.kind} encoding; quantize each weight once`,
    );
  const { rows, columns } = matrixSides(encoding.shape);
  const finish = ({
    encoding: fitted,
    report: quantizer,
  }: {
    encoding: ProductEncoding;
    report: MatrixReport;
  }): { network: Network; report: ParameterReport } => {
    const quantized: Encoding = { ...fitted, shape: encoding.shape };
    const before = writtenBits(parameter, encoding),
      after = writtenBits(parameter, quantized),
      smaller = after < before;
    const report: ParameterReport = {
      parameter,
      status: smaller ? 'quantized' : 'dense',
      weights: rows * columns,
      bitsBefore: before,
      bitsAfter: smaller ? after : before,
      bitsPerWeight: (smaller ? after : before) / (rows * columns),
      relativeError: smaller ? quantizer.relativeError : 0,
      quantizer,
    };
    return {
      network: smaller ? { ...network, parameters: new Map(network.parameters).set(parameter, quantized) } : network,
      report,
    };
  };
  return { matrix: { data: decode(encoding), shape: [rows, columns] }, finish };
}

/**
 * Quantizes all weights, or the named ones. Report: `parameters`, a {@link ParameterReport} each, and `skipped`, the
 * names of the other weights.
 * @example
 * const { network: small, report } = await quantize({ subvectorLength: 4, overrides: { 'dense1.weight': { codewordCount: 1024 } } })(network, context);
 */
export function quantize(options: QuantizeOptions): Transform {
  const { parameters, overrides = {}, ...shared } = options;
  return async (network, context) => {
    const names = weightNames(network);
    const unknown = Object.keys(overrides).find((name) => !names.includes(name));
    if (unknown !== undefined)
      throw new RangeError(
        `quantize: overrides: expected names of weights (${names.join(', ')}), got ${show(unknown)}`,
      );
    const chosen = parameters ?? names.filter((name) => network.parameters.get(name)?.kind === 'dense');
    const reports: ParameterReport[] = [];
    let result = network;
    for (const [index, name] of chosen.entries()) {
      context.signal?.throwIfAborted();
      const own = Object.hasOwn(overrides, name) ? overrides[name] : {};
      const step = await quantizeParameterAsync(result, name, {
        seed: context.seed,
        ...merge(shared, own),
        ...how(context),
      });
      result = step.network;
      reports.push(step.report);
      context.onEvent?.({
        kind: 'stage',
        name: 'quantize',
        index,
        count: chosen.length,
        detail: describe(step.report),
      });
    }
    return {
      network: result,
      report: { transform: 'quantize', parameters: reports, skipped: names.filter((name) => !chosen.includes(name)) },
    };
  };
}

/**
 * Quantizes the weight of one layer, by the name of its node. @throws {RangeError} if there is no such convolution or
 * dense layer
 */
export function quantizeLayer(name: string, options: LayerOptions): Transform {
  return async (network, context) => {
    const node = network.nodes.find((candidate) => candidate.name === name);
    const weight = node && (node.kind === 'conv' || node.kind === 'dense') ? node.parameters.weight : undefined;
    if (weight === undefined)
      throw new RangeError(
        `quantizeLayer: name: expected a convolution or dense layer, got ${show(name)}${node ? `, which is of kind ${node.kind}` : ''}`,
      );
    const { network: result, report } = await quantizeParameterAsync(network, weight, {
      seed: context.seed,
      ...options,
      ...how(context),
    });
    return { network: result, report: { transform: 'quantizeLayer', layer: name, ...report } };
  };
}

function how({ kernels, threads, signal }: Context): Pick<MatrixAsyncOptions, 'kernels' | 'threads' | 'signal'> {
  return { kernels, threads, ...(signal && { signal }) };
}

/** Weights of convolutions and dense layers in the order of the nodes, a shared one once. */
function weightNames({ nodes }: Network): string[] {
  const names = nodes.flatMap((node) =>
    (node.kind === 'conv' || node.kind === 'dense') && node.parameters.weight !== undefined
      ? [node.parameters.weight]
      : [],
  );
  return [...new Set(names)];
}

/** A layer's own way of cutting columns replaces the shared one, as only one of the two may be given. */
function merge(shared: LayerOptions, own: Partial<LayerOptions>): LayerOptions {
  const { subvectorLength, subspaceCount, ...rest } = shared;
  const cut = own.subvectorLength === undefined && own.subspaceCount === undefined;
  return {
    ...rest,
    ...(cut && subvectorLength !== undefined && { subvectorLength }),
    ...(cut && subspaceCount !== undefined && { subspaceCount }),
    ...own,
  };
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

function describe({ parameter, status, bitsPerWeight, relativeError }: ParameterReport): string {
  return status === 'dense'
    ? `${parameter} stays dense: a codebook would not make it smaller`
    : `${parameter}: ${bitsPerWeight.toFixed(2)} bits a weight, relative error ${relativeError.toFixed(4)}`;
}
