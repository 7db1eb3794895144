/** The bias of a layer: what it has, or gains, when a step has something constant to put into it. */
import { isDense } from '../encodings/index.ts';
import type { Network } from '../graph/network.ts';

/**
 * The network with another bias at one node; a node without bias gains one under a name that is free. The values are
 * those that others share too, where a bias is shared.
 */
export function withBias(network: Network, name: string, bias: ArrayLike<number>): Network {
  const node = network.nodes.find((candidate) => candidate.name === name)!;
  const parameters = new Map(network.parameters);
  const data = Float32Array.from(bias);
  const known = node.parameters.bias;
  if (known !== undefined)
    return { ...network, parameters: parameters.set(known, { kind: 'dense', shape: [data.length], data }) };
  let fresh = `${name}.bias`;
  while (parameters.has(fresh)) fresh += '_';
  parameters.set(fresh, { kind: 'dense', shape: [data.length], data });
  const nodes = network.nodes.map((one) =>
    one === node ? { ...one, parameters: { ...one.parameters, bias: fresh } } : one,
  );
  return { ...network, nodes, parameters };
}

/** Values of a node's bias, zeros where it has none. @param length - outputs of the node */
export function biasOf(network: Network, name: string, length: number): Float32Array {
  const bias = network.nodes.find((candidate) => candidate.name === name)?.parameters.bias;
  const encoding = bias === undefined ? undefined : network.parameters.get(bias);
  return isDense(encoding) ? encoding.data : new Float32Array(length);
}
