/** Maps per channel multiplied into the weights before them. */
import { checkOneOf, show } from '../../base/errors.ts';
import { ownOptions } from '../../base/rules.ts';
import { checkNetwork } from '../../graph/check.ts';
import type { DenseEncoding } from '../../encodings/types.ts';
import { freshName, namesIn, namesOf } from '../../graph/names.ts';
import type { Network, Node } from '../../graph/network.ts';
import { outputsOf } from '../../graph/walk.ts';
import { lastOfName, viewOf, withoutUnused } from './rewriting.ts';
import type { View } from './rewriting.ts';

/** Layers whose outputs are rows of their weight. */
const LAYERS = ['conv', 'dense', 'conv3d', 'convTranspose'] as const;

/** What a node does to each channel: y = scale x + shift. */
function mapOf(node: Node, view: View): { scale: Float64Array; shift: Float64Array } | undefined {
  const role = (name: string): Float32Array | undefined => view.values(node.parameters[name])?.data;
  const [scale, shift] = [role('scale'), role('shift')];
  if (!scale || !shift) return undefined;
  if (node.kind === 'affine') return { scale: Float64Array.from(scale), shift: Float64Array.from(shift) };
  const [mean, variance] = [role('mean'), role('variance')];
  if (!mean || !variance) return undefined;
  const epsilon = node.attributes['epsilon'] as number;
  const factors = Float64Array.from(scale, (value, i) => value / Math.sqrt(variance[i] + epsilon));
  return { scale: factors, shift: Float64Array.from(shift, (value, i) => value - factors[i] * mean[i]) };
}

export interface FoldOptions {
  /** Names of the layers that are folded into. Default: all. */
  readonly layers?: readonly string[];
  /** What is folded. Default: both. */
  readonly kinds?: readonly ('batchNorm' | 'affine')[];
}

/**
 * A network without the batch normalizations and affine maps that stand right behind a layer with weights: they are
 * multiplied into its weights and bias, in double, rounded once. It gives the same outputs in inference; training on from
 * it has no statistics of batches. A layer whose parameters others share, or whose outputs others read, stays.
 * @throws {TypeError} for options that are none; {EspalierError} GRAPH, SHAPE, ATTRIBUTE for a network that is not valid
 */
export function foldNormalization(network: Network, options: FoldOptions = {}): Network {
  const { layers, kinds = ['batchNorm', 'affine'] } = ownOptions('foldNormalization', 'options', options, [
    'layers',
    'kinds',
  ]);
  if (layers !== undefined && !Array.isArray(layers))
    throw new TypeError(`foldNormalization: layers: expected an array of names of nodes, got ${show(layers)}`);
  if (!Array.isArray(kinds))
    throw new TypeError(`foldNormalization: kinds: expected an array of 'batchNorm' and 'affine', got ${show(kinds)}`);
  for (const kind of kinds) checkOneOf('foldNormalization', 'kinds', kind, ['batchNorm', 'affine']);
  const chosen = layers && new Set<string>(layers);
  let current = checkNetwork('foldNormalization', 'network', network);
  for (;;) {
    const view = viewOf(current);
    const parameters = new Map(current.parameters);
    const names = namesOf(namesIn(current));
    const gone = new Set<string>();
    const nodes = current.nodes.map((node): Node => {
      if (!(kinds as readonly string[]).includes(node.kind)) return node;
      const found = view.only(node.inputs[0], ...LAYERS);
      const layer = found && chosen?.has(found.name) === false ? undefined : found;
      const weight = layer && view.values(layer.parameters['weight']);
      const biasName = layer?.parameters['bias'];
      const bias = biasName === undefined ? undefined : view.values(biasName);
      // Of a dense layer over several axes the channels of the map are another axis than its outputs.
      const isVector = layer?.kind !== 'dense' || view.shapeOf(node.inputs[0]).length === 1;
      const map = weight && isVector && (biasName === undefined || bias) ? mapOf(node, view) : undefined;
      if (!layer || !weight || !map || gone.has(layer.name)) return node;
      const { scale, shift } = map;
      const columns = weight.data.length / scale.length;
      const folded: DenseEncoding = {
        kind: 'dense',
        shape: weight.shape,
        data: weight.data.map((value, i) => value * scale[Math.floor(i / columns)]),
      };
      const shifted: DenseEncoding = {
        kind: 'dense',
        shape: [scale.length],
        data: Float32Array.from(shift, (value, i) => value + scale[i] * (bias?.data[i] ?? 0)),
      };
      parameters.set(layer.parameters['weight'] ?? '', folded);
      const name = biasName ?? freshName(names, `${layer.name}.bias`);
      parameters.set(name, shifted);
      gone.add(layer.name);
      return { ...layer, outputs: outputsOf(node), parameters: { ...layer.parameters, bias: name } };
    });
    if (gone.size === 0) return current;
    current = withoutUnused({ ...current, nodes: lastOfName(nodes), parameters });
  }
}
