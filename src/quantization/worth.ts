/**
 * Which layers stay dense unless one asks for more. The first layer of a network and its depthwise convolutions are the
 * ones whose quantization costs most error, and they are small; of tiny layers there is nothing to save. The rule goes
 * by the bytes that quantizing a layer saves, measured against the file that would come of quantizing all. Of the
 * 68-landmark network conv1_1 alone stays: it would save 784 bytes, less than 0.1 %.
 */
import { sizeOf } from '../base/tensor.ts';
import type { Network, Node } from '../graph/network.ts';
import { outputsOf } from '../graph/walk.ts';
import { weightedLayers } from '../network/shapes.ts';
import { quantizerOf, type ResolvedQuantizer } from './settings.ts';

/** Share of the file that any layer has to save. */
export const LEAST_SHARE = 0.01;
/** Share that a first layer or a depthwise convolution has to save: that of a large dense first layer does. */
export const LEAST_SHARE_OF_ROLE = 0.05;

/**
 * The layers that stay dense by default, by name, each with the reason. A weight that nodes share stays if it would in any
 * of its places.
 * @param planned - how each layer is quantized if it is; layers that are not in it count as dense
 */
export function denseByDefault(
  network: Network,
  planned: ReadonlyMap<string, Pick<ResolvedQuantizer, 'kind' | 'options'>>,
): Map<string, string> {
  const roles = rolesOf(network);
  const layers = weightedLayers(network).flatMap(({ name, weight }) => {
    const plan = planned.get(name);
    const { shape } = network.parameters.get(weight)!;
    if (!plan || sizeOf(shape) === 0) return [];
    const dense = 4 * sizeOf(shape);
    const encoded = Math.ceil(quantizerOf(plan.kind).estimateBits(shape, plan.options) / 8);
    return [{ name, weight, bytes: Math.min(dense, encoded), saved: Math.max(0, dense - encoded) }];
  });
  const sizes = new Map(layers.map(({ weight, bytes }) => [weight, bytes]));
  const total = [...sizes.values()].reduce((sum, bytes) => sum + bytes, 0);
  const reasons = new Map<string, string>();
  for (const { name, weight, saved } of layers) {
    const role = roles.get(weight);
    if (saved >= (role === undefined ? LEAST_SHARE : LEAST_SHARE_OF_ROLE) * total) continue;
    reasons.set(
      name,
      `${role ?? 'tiny layer'}: quantized it would save ${saved} bytes, ${((100 * saved) / total).toFixed(1)} % of all`,
    );
  }
  return reasons;
}

/** Roles of weights that are sensitive to quantization. */
function rolesOf(network: Network): Map<string, 'first layer' | 'depthwise'> {
  const roles = new Map<string, 'first layer' | 'depthwise'>();
  const weights = new Map(weightedLayers(network).map(({ name, weight }) => [name, weight]));
  // Values that no weight has touched yet.
  const plain = new Set(network.inputs.map(({ name }) => name));
  for (const node of network.nodes) {
    const weight = weights.get(node.name);
    const fromInput = node.inputs.every((name) => plain.has(name));
    if (weight === undefined) {
      if (fromInput) for (const name of outputsOf(node)) plain.add(name);
    } else if (fromInput) roles.set(weight, 'first layer');
    else if (isDepthwise(node, network)) roles.set(weight, 'depthwise');
  }
  return roles;
}

function isDepthwise({ kind, attributes, parameters }: Node, network: Network): boolean {
  const { groups } = attributes as { readonly groups?: number };
  return kind === 'conv' && (groups ?? 1) > 1 && network.parameters.get(parameters.weight ?? '')?.shape[1] === 1;
}
