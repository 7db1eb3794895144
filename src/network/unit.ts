/** The unit of the output: learning rates suit a network whose last layer yields numbers around 1. */
import { decode, isDense } from '../encodings/index.ts';
import { checkFinite, checkNumber, EspalierError, show } from '../base/errors.ts';
import { checkFloat32, toFloat32 } from '../base/float32.ts';
import type { Network, Node } from '../graph/network.ts';
import { takesMaps } from '../operators/define.ts';
import { operatorOf } from '../operators/table.ts';
import { inferShapes } from './shapes.ts';

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
 *   nothing else uses; NONFINITE, or RANGE for numbers that float32 does not hold
 * @throws {TypeError | RangeError} for arguments of another kind
 */
export function withOutputUnit(network: Network, unit: OutputUnit): Network {
  const who = 'withOutputUnit';
  if (typeof network !== 'object' || !Array.isArray(network?.nodes) || !Array.isArray(network.outputs))
    throw new TypeError(`${who}: network: expected a network, got ${show(network)}`);
  if (typeof unit !== 'object' || unit === null)
    throw new TypeError(`${who}: unit: expected { scale, shift }, got ${show(unit)}`);
  checkFloat32(who, 'unit.scale', checkNumber(who, 'unit.scale', unit.scale, 0, Infinity, true));
  if (typeof unit.shift?.length !== 'number')
    throw new TypeError(`${who}: unit.shift: expected a number per output, got ${show(unit.shift)}`);
  const shift = toFloat32(who, 'unit.shift', unit.shift);
  const [output] = network.outputs;
  const node = network.nodes.find(({ name }) => name === output);
  const { weight, bias } = node?.parameters ?? {};
  if (
    network.outputs.length !== 1 ||
    !node ||
    !takesMaps(operatorOf(node), inferShapes(network).get(output) ?? []) ||
    weight === undefined ||
    bias === undefined
  ) {
    throw new EspalierError(
      'GRAPH',
      `${who}: network: expected one output that is a layer with weight and bias, got ${show(network.outputs)}`,
      { name: output },
    );
  }
  const weights = network.parameters.get(weight);
  const givenBias = network.parameters.get(bias);
  if (!weights || !givenBias)
    throw new EspalierError(
      'GRAPH',
      `${who}: network: ${show(node.name)} names ${show(weights ? bias : weight)}, which is no parameter of it`,
      { name: node.name },
    );
  const biases = decode(givenBias);
  if (!isDense(weights))
    throw new EspalierError('GRAPH', `${who}: network: ${show(weight)} is encoded; set the unit before quantizing`, {
      name: weight,
    });
  const count = biases.length;
  if (shift.length !== count)
    throw new RangeError(`${who}: unit.shift: expected ${count} numbers, one per output, got ${shift.length}`);
  checkFinite(who, 'unit.shift', shift);
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
  if (network.nodes.some((one) => one.name === name))
    throw new EspalierError('GRAPH', `${who}: network: ${show(name)} is taken; give that node another name`, { name });
  const parameters = new Map(network.parameters);
  // What overflows here is a scale too small for the weights.
  const scaled = weights.data.map((value) => value / unit.scale);
  const shifted = biases.map((value, i) => (value - shift[i]) / unit.scale);
  checkFinite(who, `${weight} / unit.scale`, scaled);
  checkFinite(who, `(${bias} - unit.shift) / unit.scale`, shifted);
  parameters.set(weight, { ...weights, data: scaled });
  parameters.set(bias, { kind: 'dense', shape: [count], data: shifted });
  parameters.set(`${name}.scale`, { kind: 'dense', shape: [count], data: new Float32Array(count).fill(unit.scale) });
  parameters.set(`${name}.shift`, { kind: 'dense', shape: [count], data: shift.slice() });
  return { ...network, nodes: [...network.nodes, affine], outputs: [name], parameters };
}
