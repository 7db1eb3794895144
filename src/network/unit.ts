/** The unit of the output: learning rates suit a network whose last layer yields numbers around 1. */
import { decode, isDense } from '../encodings/index.ts';
import { checkFinite, checkNumber, EspalierError, show } from '../base/errors.ts';
import type { Network, Node } from '../graph/network.ts';
import { operatorOf } from '../operators/table.ts';

export interface OutputUnit {
  /** Above 0. */
  readonly scale: number;
  /** One number per output. */
  readonly shift: Float32Array;
}

/**
 * The same function (up to rounding in float32) with the output's unit in a constant node of its own: the last dense
 * layer is made to yield (y - shift) / scale, and an affine node named `<layer>_unit` brings that back. So a network
 * that was trained in other units can be retrained with the usual rates.
 *
 * @throws {EspalierError} GRAPH if the network's one output is not a layer with unencoded weights and a bias that
 *   nothing else uses; NONFINITE
 */
export function withOutputUnit(network: Network, unit: OutputUnit): Network {
  const who = 'withOutputUnit';
  checkNumber(who, 'unit.scale', unit.scale, 0, Infinity, true);
  const [output] = network.outputs;
  const node = network.nodes.find(({ name }) => name === output);
  const { weight, bias } = node?.parameters ?? {};
  if (
    network.outputs.length !== 1 ||
    !node ||
    !operatorOf(node).takesIn?.channelMaps ||
    weight === undefined ||
    bias === undefined
  ) {
    throw new EspalierError(
      'GRAPH',
      `${who}: network: expected one output that is a layer with weight and bias, got ${show(network.outputs)}`,
      { name: output },
    );
  }
  const weights = network.parameters.get(weight)!;
  const biases = decode(network.parameters.get(bias)!);
  if (!isDense(weights))
    throw new EspalierError('GRAPH', `${who}: network: ${show(weight)} is encoded; set the unit before quantizing`, {
      name: weight,
    });
  const count = biases.length;
  if (unit.shift.length !== count)
    throw new RangeError(`${who}: unit.shift: expected ${count} numbers, one per output, got ${unit.shift.length}`);
  checkFinite(who, 'unit.shift', unit.shift);
  // Whatever else read the old values would go on with those of the new unit.
  const other = network.nodes.find(
    (one) =>
      one !== node &&
      (one.inputs.includes(node.name) ||
        Object.values(one.parameters).some((used) => used === weight || used === bias)),
  );
  if (other)
    throw new EspalierError(
      'GRAPH',
      `${who}: network: ${show(other.name)} also uses the output ${show(node.name)} or its parameters; give the output a layer of its own`,
      { name: other.name },
    );
  const name = `${node.name}_unit`;
  const affine: Node = {
    name,
    kind: 'affine',
    inputs: [node.name],
    parameters: { scale: `${name}.scale`, shift: `${name}.shift` },
    attributes: {},
  };
  const parameters = new Map(network.parameters);
  parameters.set(weight, { ...weights, data: weights.data.map((value) => value / unit.scale) });
  parameters.set(bias, {
    kind: 'dense',
    shape: [count],
    data: biases.map((value, i) => (value - unit.shift[i]) / unit.scale),
  });
  parameters.set(`${name}.scale`, { kind: 'dense', shape: [count], data: new Float32Array(count).fill(unit.scale) });
  parameters.set(`${name}.shift`, { kind: 'dense', shape: [count], data: Float32Array.from(unit.shift) });
  return { ...network, nodes: [...network.nodes, affine], outputs: [name], parameters };
}
