/**
 * Low-rank factors: a dense layer becomes two, a convolution a vertical and a horizontal one, or one with fewer filters and
 * a 1 x 1 behind it. The factors are those that err least on what the layer hears, where data is given, else on weights
 * (singular value decomposition). Sources: Denton et al., "Exploiting Linear Structure Within Convolutional Networks", NIPS
 * 2014; Jaderberg, Vedaldi, Zisserman, "Speeding up CNNs with low rank expansions", BMVC 2014 (the spatial pair, section
 * 2.2); Zhang et al., "Accelerating Very Deep Convolutional Networks", TPAMI 2016, section 3.1 (principal components of the
 * responses).
 *
 * Glossary: W (O, C T) the weight, T = kh kw taps; S (C T, C T) the covariance of what it reads, 1 without data; r the rank.
 */
import { createRunControl } from '../base/control.ts';
import { symmetricEigen } from '../base/eigen.ts';
import { checkInteger, checkNumber, checkOneOf, EspalierError, show } from '../base/errors.ts';
import { ownOptions } from '../base/rules.ts';
import { isDense } from '../encodings/index.ts';
import type { Encoding } from '../encodings/types.ts';
import { checkNetwork } from '../graph/check.ts';
import type { GivenContext } from '../graph/context.ts';
import { freshName, namesIn, namesOf } from '../graph/names.ts';
import type { Network, Node } from '../graph/network.ts';
import type { Transform, TransformReport } from '../graph/transform.ts';
import { outputsOf, parameterUsers } from '../graph/walk.ts';
import { rowProducts } from '../importance/correlation.ts';
import { REFIT_RIDGE, refitWeights } from '../importance/least-squares.ts';
import { momentsObstacle, openMoments } from '../importance/moments.ts';
import type { LayerMoments, MomentsOptions } from '../importance/moments.ts';
import { biasOf, withBias } from '../network/bias.ts';
import { parameterCount, weightedLayers } from '../network/shapes.ts';
import { refitLayers } from './refit.ts';
import type { RefitReport } from './refit.ts';

/**
 * 'channels': r outputs of the layer's own kernel, then 1 x 1 (of a dense layer: two dense ones). 'spatial': r outputs of
 * kh x 1, then 1 x kw.
 */
export type FactorForm = 'channels' | 'spatial';

export interface FactorizeOptions extends Pick<MomentsOptions, 'samples' | 'positions' | 'batch'> {
  /** Names of dense layers and convolutions. Default: all that can be factorized. */
  layers?: readonly string[];
  /** One of these three says how far: outputs of the first factor, */
  rank?: number;
  /** the share of the squares of the layer's responses (without data: of its weights) that stays, above 0 to 1, */
  energy?: number;
  /** or the most of the layer's parameters that stay, above 0 to 1. */
  keep?: number;
  /** Of convolutions. 'best': the one that errs less, of `energy` the smaller one. Default 'best'. */
  form?: FactorForm | 'best';
  /**
   * Afterwards every layer that hears of it, the last factors too, is refitted by least squares to what it answered before;
   * see `refitWeights`. Default: where the context has a training set.
   */
  refit?: boolean;
}

export interface FactorReport {
  readonly layer: string;
  readonly status: 'factorized' | 'left';
  /** Why it was left as it is. */
  readonly reason?: string;
  readonly form?: FactorForm;
  readonly rank?: number;
  /** Name of the first factor; the second has the layer's own. */
  readonly first?: string;
  /** Share of the squares of the layer's responses (without data: of its weights) that is missing, before any refit. */
  readonly error?: number;
  /** Weights, without biases. */
  readonly weightsBefore?: number;
  readonly weightsAfter?: number;
}

export interface FactorizeReport extends TransformReport {
  readonly transform: 'factorize';
  readonly layers: readonly FactorReport[];
  /** Only with `refit`. */
  readonly refitted?: readonly RefitReport[];
  readonly parametersBefore: number;
  readonly parametersAfter: number;
}

/**
 * Share of the mean variance that is added to each column's: so that what the samples never showed is kept as far as weights
 * say. It moves errors by no more than itself.
 */
const RIDGE = 1e-6;

/**
 * Factorizes layers where that saves parameters. Reads `context.training`, if it is there: labels are not needed.
 *
 * Cost per layer of C T columns and O outputs: the measurement ({@link measureMoments}), some 4 O^3 (spatial: 4 (O kw)^3) for
 * eigenvectors, and O (C T)^2 for the error. Memory: (C T)^2 x 8 bytes.
 * @returns a {@link Transform}; its report is a {@link FactorizeReport}
 * @throws {TypeError | RangeError} unless exactly one of `rank`, `energy`, `keep` is given, and right
 * @throws {EspalierError} (from the transform) UNSUPPORTED for a named layer that cannot be factorized, with the reason; DATA from
 *   the measurement
 * @example
 * import { factorize } from 'espalier/pruning';
 * const { network: smaller, report } = await factorize({ keep: 0.5 })(network, { training });
 */
export function factorize(
  given: FactorizeOptions,
): (network: Network, context: GivenContext) => Promise<{ network: Network; report: FactorizeReport }> {
  const options = ownOptions('factorize', 'options', given, [
    ...(['layers', 'rank', 'energy', 'keep', 'form', 'refit', 'samples', 'positions', 'batch'] as const),
  ]);
  const extent = checkExtent(options);
  const form = checkOneOf('factorize', 'form', options.form ?? 'best', ['best', 'channels', 'spatial']);
  const step = async (
    network: Network,
    context: GivenContext,
  ): Promise<{ network: Network; report: FactorizeReport }> => {
    checkNetwork('factorize', 'network', network);
    const control = createRunControl(context);
    const names = chosenLayers(network, options.layers);
    const { samples, positions, batch } = options;
    const meter = context.training
      ? await openMoments('factorize', network, context, {
          ...(samples !== undefined && { samples }),
          ...(positions !== undefined && { positions }),
          ...(batch !== undefined && { batch }),
        })
      : undefined;
    const reports: FactorReport[] = [];
    let result = network;
    for (const [index, layer] of names.entries()) {
      await control.pause();
      control.emit({ kind: 'stage', name: 'factorize', index, count: names.length, detail: layer });
      const obstacle = factorObstacle(network, layer);
      if (obstacle !== undefined) {
        if (options.layers)
          throw new EspalierError('UNSUPPORTED', `factorize: layer ${show(layer)} cannot be factorized: ${obstacle}`, {
            name: layer,
          });
        reports.push({ layer, status: 'left', reason: obstacle });
        continue;
      }
      // Of what it hears in the original: the passes so far are those of the refit too.
      const moments = meter && (await meter.measure(network, [{ node: layer }])).get(layer);
      const [best, reason] = bestFactors(matrixOf(network, layer), form, extent, moments);
      if (!best) {
        reports.push({ layer, status: 'left', reason });
        continue;
      }
      const { network: changed, first } = withFactors(result, layer, best, moments);
      result = changed;
      const { rank, error, weights } = best;
      reports.push({
        ...{ layer, status: 'factorized', form: best.form, rank, first, error },
        ...{ weightsBefore: matrixOf(network, layer).data.length, weightsAfter: weights },
      });
    }
    let refitted: RefitReport[] | undefined;
    if (meter && (options.refit ?? true) && result !== network)
      ({ network: result, reports: refitted } = await refitLayers(result, network, meter, new Map(), {
        ridge: REFIT_RIDGE,
        visit: async (layer, index, count) => {
          await control.pause();
          control.emit({ kind: 'stage', name: 'refit', index, count, detail: layer });
        },
      }));
    await control.end();
    return {
      network: result,
      report: {
        transform: 'factorize',
        layers: reports,
        ...(refitted && { refitted }),
        parametersBefore: parameterCount(network),
        parametersAfter: parameterCount(result),
      },
    };
  };
  return step satisfies Transform;
}

/**
 * One layer in two factors of this rank, whether that saves parameters or not.
 * @param moments - of the layer, from `measureMoments`: what it hears. Default: all inputs alike
 * @returns the network, and the report on the layer
 * @throws {EspalierError} UNSUPPORTED for a layer that cannot be factorized, or not in this form, with the reason
 * @throws {RangeError} for a rank that is no whole number from 1 to the largest
 */
export function factorizeLayer(
  network: Network,
  layer: string,
  { rank, form = 'channels' }: { rank: number; form?: FactorForm },
  moments?: LayerMoments,
): { network: Network; report: FactorReport } {
  checkNetwork('factorizeLayer', 'network', network);
  checkOneOf('factorizeLayer', 'form', form, ['channels', 'spatial']);
  const matrix = factorObstacle(network, layer) === undefined ? matrixOf(network, layer) : undefined;
  const obstacle = matrix ? formObstacle(matrix, form) : factorObstacle(network, layer);
  if (!matrix || obstacle !== undefined)
    throw new EspalierError('UNSUPPORTED', `factorizeLayer: layer ${show(layer)} cannot be factorized: ${obstacle}`, {
      name: layer,
    });
  checkInteger('factorizeLayer', 'rank', rank, 1, largestRank(matrix, form));
  const best = leastError(matrix, form, rank, moments, []);
  const { network: result, first } = withFactors(network, layer, best, moments);
  const { error, weights } = best;
  return {
    network: result,
    report: {
      ...{ layer, status: 'factorized', form, rank, first, error },
      ...{ weightsBefore: matrix.data.length, weightsAfter: weights },
    },
  };
}

type Extent = { readonly [K in 'rank' | 'energy' | 'keep']: { readonly by: K; readonly value: number } }[
  'rank' | 'energy' | 'keep'];

function checkExtent({ rank, energy, keep }: FactorizeOptions): Extent {
  const given = Object.entries({ rank, energy, keep }).filter(([, value]) => value !== undefined);
  if (given.length !== 1)
    throw new TypeError(
      `factorize: options: expected one of rank, energy and keep, got ${given.map(([name]) => name).join(' and ') || 'none'}`,
    );
  if (rank !== undefined) return { by: 'rank', value: checkInteger('factorize', 'rank', rank, 1) };
  if (energy !== undefined) return { by: 'energy', value: checkNumber('factorize', 'energy', energy, 0, 1, true) };
  return { by: 'keep', value: checkNumber('factorize', 'keep', keep!, 0, 1, true) };
}

function chosenLayers(network: Network, layers: readonly string[] | undefined): string[] {
  const known = weightedLayers(network).map(({ name }) => name);
  for (const name of layers ?? [])
    if (!known.includes(name))
      throw new RangeError(
        `factorize: layers: expected names of layers with weights (${known.map((one) => show(one)).join(', ')}), got ${show(name)}`,
      );
  // In the network's own order, so that passes go on where the last one ended.
  return known.filter((name) => layers?.includes(name) ?? true);
}

/** Why a layer has no factors. */
function factorObstacle(network: Network, layer: string): string | undefined {
  const node = network.nodes.find(({ name }) => name === layer);
  if (node?.kind !== 'conv' && node?.kind !== 'dense') return 'it is neither a convolution nor a dense layer';
  if (node.kind === 'conv' && node.attributes['groups'] !== 1) return 'it is a convolution in groups';
  const users = parameterUsers(network);
  for (const role of ['weight', 'bias'] as const) {
    const name = node.parameters[role];
    if (name === undefined) continue;
    const all = users.get(name) ?? [];
    if (all.length > 1) return `its ${role} ${show(name)} is shared by ${all.map((one) => show(one)).join(', ')}`;
    const encoding = network.parameters.get(name);
    if (!isDense(encoding)) return `its ${role} ${show(name)} is ${encoding?.kind}-encoded`;
  }
  return momentsObstacle(network, layer);
}

/** W with its sides. */
interface Matrix {
  readonly kind: 'conv' | 'dense';
  readonly data: Float64Array;
  readonly outputs: number;
  readonly columns: number;
  readonly inputs: number;
  readonly height: number;
  readonly width: number;
}

function matrixOf(network: Network, layer: string): Matrix {
  const node = network.nodes.find(({ name }) => name === layer)!;
  const encoding = network.parameters.get(node.parameters.weight!)!;
  const [outputs, inputs, height = 1, width = 1] = encoding.shape;
  const data = Float64Array.from(isDense(encoding) ? encoding.data : []);
  return {
    kind: node.kind as 'conv' | 'dense',
    data,
    outputs,
    inputs,
    height,
    width,
    columns: inputs * height * width,
  };
}

function formObstacle({ kind, height, width }: Matrix, form: FactorForm): string | undefined {
  if (form === 'channels') return undefined;
  if (kind === 'dense') return 'a dense layer has no rows and columns to be told apart';
  return height === 1 || width === 1 ? `its kernel of ${height} x ${width} has one direction only` : undefined;
}

const largestRank = ({ outputs, columns, inputs, height, width }: Matrix, form: FactorForm): number =>
  form === 'channels' ? Math.min(outputs, columns) : Math.min(outputs * width, inputs * height);

/** Weights for each unit of rank. */
const weightsPerRank = ({ outputs, columns, inputs, height, width }: Matrix, form: FactorForm): number =>
  form === 'channels' ? columns + outputs : inputs * height + outputs * width;

interface Factors {
  readonly form: FactorForm;
  readonly rank: number;
  /** (r, columns), spatial: (r, C kh) */
  readonly first: Float64Array;
  /** (O, r), spatial: (O, r kw) */
  readonly second: Float64Array;
  /** Their product, (O, columns). */
  readonly product: Float64Array;
  readonly error: number;
  readonly weights: number;
}

/** The better of the forms, or why there is none that pays. */
function bestFactors(
  matrix: Matrix,
  wanted: FactorForm | 'best',
  extent: Extent,
  moments: LayerMoments | undefined,
): [Factors | undefined, string] {
  const forms = (['channels', 'spatial'] as const).filter(
    (form) =>
      (wanted === 'best' || wanted === form || matrix.kind === 'dense') && formObstacle(matrix, form) === undefined,
  );
  const found: Factors[] = [];
  let reason = forms.length === 0 ? formObstacle(matrix, wanted as FactorForm)! : '';
  for (const form of forms) {
    const perRank = weightsPerRank(matrix, form);
    const most = Math.min(largestRank(matrix, form), Math.ceil(matrix.data.length / perRank) - 1);
    const bases = basesOf(matrix, form, moments);
    const rank =
      extent.by === 'rank'
        ? extent.value
        : extent.by === 'keep'
          ? Math.min(most, Math.floor((extent.value * matrix.data.length) / perRank))
          : rankOfEnergy(bases[0].values, extent.value);
    if (rank >= 1 && rank <= most) found.push(leastError(matrix, form, rank, moments, bases));
    else if (reason === '')
      reason =
        rank < 1
          ? `one unit of rank takes ${perRank} weights, of ${matrix.data.length}`
          : `rank ${rank} takes ${rank * perRank} weights or there is none such, and it has ${matrix.data.length}`;
  }
  found.sort((a, b) => (extent.by === 'energy' ? a.weights - b.weights : 0) || a.error - b.error);
  return [found[0], reason];
}

function rankOfEnergy(values: Float64Array, energy: number): number {
  const all = values.reduce((sum, value) => sum + Math.max(0, value), 0);
  let sum = 0;
  for (let rank = 0; rank < values.length; rank++) {
    if (sum >= energy * all * (1 - 1e-12)) return rank;
    sum += Math.max(0, values[rank]);
  }
  return values.length;
}

/** An orthonormal basis of responses, most first, and what they are taken from. */
interface Basis {
  readonly values: Float64Array;
  readonly vectors: Float64Array;
  /** (rows, inner): W, or of a spatial pair its rows (o, x) by columns (c, y). */
  readonly rows: Float64Array;
  readonly count: number;
  readonly inner: number;
}

/** By what the layer hears, where that is known, and by the weights alone. */
function basesOf(matrix: Matrix, form: FactorForm, moments: LayerMoments | undefined): Basis[] {
  const { outputs, inputs, height, width, columns, data } = matrix;
  const isSpatial = form === 'spatial';
  const count = isSpatial ? outputs * width : outputs;
  const inner = isSpatial ? inputs * height : columns;
  let rows = data;
  if (isSpatial) {
    rows = new Float64Array(data.length);
    for (let o = 0; o < outputs; o++)
      for (let k = 0; k < inner; k++)
        for (let x = 0; x < width; x++) rows[(o * width + x) * inner + k] = data[o * columns + k * width + x];
  }
  const basis = (heard: Float64Array): Basis => {
    const found = symmetricEigen(symmetric(rowProducts(heard, count, rows, count, inner), count), count);
    if (!found) throw new EspalierError('NONFINITE', 'factorize: weights or moments that are not finite');
    return { ...found, rows, count, inner };
  };
  const plain = basis(rows);
  if (!moments) return [plain];
  const covariance = new Float64Array(inner * inner);
  for (let i = 0; i < inner; i++)
    for (let j = 0; j < inner; j++) {
      if (!isSpatial) covariance[i * inner + j] = moments.covariance[i * columns + j];
      // Of a column of the kernel with itself, on the average: as if columns did not correlate with each other.
      else
        for (let x = 0; x < width; x++)
          covariance[i * inner + j] += moments.covariance[(i * width + x) * columns + j * width + x] / width;
    }
  let trace = 0;
  for (let i = 0; i < inner; i++) trace += covariance[i * inner + i];
  for (let i = 0; i < inner; i++) covariance[i * inner + i] += (RIDGE * trace) / inner;
  return [basis(rowProducts(rows, count, covariance, inner, inner)), plain];
}

function symmetric(a: Float64Array, n: number): Float64Array {
  for (let i = 0; i < n; i++)
    for (let j = 0; j < i; j++) a[i * n + j] = a[j * n + i] = (a[i * n + j] + a[j * n + i]) / 2;
  return a;
}

/** Of all bases the factors that err least on what the layer hears. @param bases - where they are known, else [] */
function leastError(
  matrix: Matrix,
  form: FactorForm,
  rank: number,
  moments: LayerMoments | undefined,
  bases: readonly Basis[],
): Factors {
  const known = bases.length > 0 ? bases : basesOf(matrix, form, moments);
  const all = powerOf(matrix.data, matrix, moments);
  return known
    .map((basis) => factorsOf(matrix, form, rank, basis, moments, all))
    .reduce((best, one) => (one.error < best.error ? one : best));
}

function factorsOf(
  matrix: Matrix,
  form: FactorForm,
  rank: number,
  { vectors, rows, count, inner }: Basis,
  moments: LayerMoments | undefined,
  all: number,
): Factors {
  const { outputs, width, columns, data } = matrix;
  const taps = form === 'spatial' ? width : 1;
  const basis = vectors.subarray(0, rank * count);
  const first = rowProducts(basis, rank, transposed(rows, count, inner), inner, count);
  let second = new Float64Array(outputs * rank * taps);
  for (let o = 0; o < outputs; o++)
    for (let r = 0; r < rank; r++)
      for (let x = 0; x < taps; x++) second[(o * rank + r) * taps + x] = basis[r * count + o * taps + x];
  // The first factor at each place that the second reads, as rows over what the layer reads: (r taps, columns).
  const read = new Float64Array(rank * taps * columns);
  for (let r = 0; r < rank; r++)
    for (let x = 0; x < taps; x++)
      for (let k = 0; k < inner; k++) read[(r * taps + x) * columns + k * taps + x] = first[r * inner + k];
  // Columns of a spatial kernel do correlate: the second factor is the best for the first one.
  if (form === 'spatial' && moments) {
    const n = rank * taps;
    const heard = rowProducts(read, n, moments.covariance, columns, columns);
    const covariance = symmetric(rowProducts(heard, n, read, n, columns), n);
    const { weights } = refitWeights(
      second,
      {
        ...{ node: moments.node, outputs, columns: n, taps, groups: 1, observations: moments.observations },
        mean: new Float64Array(n),
        variance: Float64Array.from({ length: n }, (_, i) => covariance[i * n + i]),
        covariance,
        responses: { mean: new Float64Array(outputs), cross: rowProducts(data, outputs, heard, n, columns) },
      },
      RIDGE,
    );
    second = Float64Array.from(weights);
  }
  const product = rowProducts(second, outputs, transposed(read, rank * taps, columns), columns, rank * taps);
  const missing = powerOf(
    data.map((value, i) => value - product[i]),
    matrix,
    moments,
  );
  const weights = rank * weightsPerRank(matrix, form);
  return { form, rank, first, second, product, error: all === 0 ? 0 : missing / all, weights };
}

function transposed(a: Float64Array, rows: number, columns: number): Float64Array {
  const out = new Float64Array(a.length);
  for (let i = 0; i < rows; i++) for (let j = 0; j < columns; j++) out[j * rows + i] = a[i * columns + j];
  return out;
}

/** Mean square of what weights (O, columns) make of what the layer hears, less its mean: tr(W S W^T). */
function powerOf(weights: Float64Array, { outputs, columns }: Matrix, moments: LayerMoments | undefined): number {
  const heard = moments ? rowProducts(weights, outputs, moments.covariance, columns, columns) : weights;
  return Math.max(
    0,
    weights.reduce((sum, value, i) => sum + value * heard[i], 0),
  );
}

/** The layer's node becomes the second factor, so that its output keeps its name; the first stands before it. */
function withFactors(
  network: Network,
  layer: string,
  { form, rank, first, second, product }: Factors,
  moments: LayerMoments | undefined,
): { network: Network; first: string } {
  const matrix = matrixOf(network, layer);
  const { kind, data, outputs, inputs, height, width, columns } = matrix;
  const node = network.nodes.find(({ name }) => name === layer)!;
  const names = namesOf(namesIn(network));
  const name = freshName(names, `${layer}_in`);
  const weightName = freshName(names, `${name}.weight`);
  const dense = (values: Float64Array, shape: readonly number[]): Encoding => ({
    kind: 'dense',
    shape,
    data: Float32Array.from(values),
  });
  const isSpatial = form === 'spatial';
  const shapes =
    kind === 'dense'
      ? [
          [rank, inputs],
          [outputs, rank],
        ]
      : isSpatial
        ? [
            [rank, inputs, height, 1],
            [outputs, rank, 1, width],
          ]
        : [
            [rank, inputs, height, width],
            [outputs, rank, 1, 1],
          ];
  const [one, two] = kind === 'dense' ? [node.attributes, node.attributes] : attributesOf(node, isSpatial);
  const before: Node = { name, kind, inputs: node.inputs, parameters: { weight: weightName }, attributes: one };
  const after: Node = { ...node, inputs: [outputsOf(before)[0]], attributes: two };
  const parameters = new Map<string, Encoding>();
  for (const [key, encoding] of network.parameters) {
    if (key === node.parameters.weight) parameters.set(weightName, dense(first, shapes[0]));
    parameters.set(key, key === node.parameters.weight ? dense(second, shapes[1]) : encoding);
  }
  const result = {
    ...network,
    nodes: network.nodes.flatMap((other) => (other === node ? [before, after] : [other])),
    parameters,
  };
  if (!moments) return { network: result, first: name };
  // What is missing on the average: product and weights differ by what they make of the mean.
  const bias = Float64Array.from(biasOf(network, layer, outputs));
  for (let o = 0; o < outputs; o++)
    for (let k = 0; k < columns; k++) bias[o] += (data[o * columns + k] - product[o * columns + k]) * moments.mean[k];
  return { network: withBias(result, layer, bias), first: name };
}

/** Of a convolution's factors: each strides, pads and spreads in its own direction. */
function attributesOf({ attributes }: Node, isSpatial: boolean): [Node['attributes'], Node['attributes']] {
  if (!isSpatial) return [attributes, { ...attributes, stride: [1, 1], padding: [0, 0, 0, 0], dilation: [1, 1] }];
  const { stride, padding, dilation } = attributes as unknown as Record<'stride' | 'padding' | 'dilation', number[]>;
  const [top, left, bottom, right] = padding;
  return [
    { ...attributes, stride: [stride[0], 1], padding: [top, 0, bottom, 0], dilation: [dilation[0], 1] },
    { ...attributes, stride: [1, stride[1]], padding: [0, left, 0, right], dilation: [1, dilation[1]] },
  ];
}
