/**
 * Writes a network as an ONNX model (opset 17) of a fixed batch: just the protobuf that onnx.proto's messages need, for
 * the operators of ../networks.ts. Batch normalization stays a node of its own: folding it is the runtime's business.
 */
import type { Exchanged } from '../exchange.ts';
import type { KnownNode } from 'espalier/operators';

type Bytes = Uint8Array<ArrayBuffer>;

function varint(value: number): Bytes {
  const bytes: number[] = [];
  // Lengths and dimensions only: nothing negative, and less than 2^53.
  for (; value > 127; value = Math.floor(value / 128)) bytes.push((value % 128) | 128);
  return Uint8Array.from([...bytes, value]);
}

function joined(parts: readonly Uint8Array[]): Bytes {
  const all = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** Field of wire type 0. */
const number = (field: number, value: number): Bytes => joined([varint(field << 3), varint(value)]);
/** Field of wire type 2: text, bytes or a message. */
function block(field: number, content: string | readonly Uint8Array[]): Bytes {
  const bytes = typeof content === 'string' ? new TextEncoder().encode(content) : joined(content);
  return joined([varint((field << 3) | 2), varint(bytes.length), bytes]);
}

type Attribute = number | readonly number[] | { readonly float: number };

/** AttributeProto: name 1, f 2, i 3, ints 8, type 20 (FLOAT 1, INT 2, INTS 7). */
function attribute(name: string, value: Attribute): Bytes {
  if (typeof value === 'number') return block(5, [block(1, name), number(3, value), number(20, 2)]);
  if ('float' in value)
    return block(5, [
      block(1, name),
      varint((2 << 3) | 5),
      new Uint8Array(Float32Array.of(value.float).buffer),
      number(20, 1),
    ]);
  return block(5, [block(1, name), ...value.map((each) => number(8, each)), number(20, 7)]);
}

/** NodeProto in GraphProto.node: input 1, output 2, name 3, op_type 4, attribute 5. */
function operator(
  type: string,
  inputs: readonly string[],
  output: string,
  attributes: Readonly<Record<string, Attribute>>,
): Bytes {
  return block(1, [
    ...inputs.map((name) => block(1, name)),
    block(2, output),
    block(3, output),
    block(4, type),
    ...Object.entries(attributes).map(([name, value]) => attribute(name, value)),
  ]);
}

/** TensorProto in GraphProto.initializer: dims 1, data_type 2 (FLOAT 1), name 8, raw_data 9. */
function initializer(name: string, shape: readonly number[], values: Float32Array): Bytes {
  return block(5, [
    ...shape.map((side) => number(1, side)),
    number(2, 1),
    block(8, name),
    block(9, [new Uint8Array(values.buffer, values.byteOffset, values.byteLength)]),
  ]);
}

/** ValueInfoProto: name 1, type 2 { tensor_type 1 { elem_type 1, shape 2 { dim 1 { dim_value 1 } } } }. */
function value(field: number, name: string, shape: readonly number[]): Bytes {
  return block(field, [
    block(1, name),
    block(2, [
      block(1, [
        number(1, 1),
        ...(shape.length
          ? [
              block(
                2,
                shape.map((side) => block(1, [number(1, side)])),
              ),
            ]
          : []),
      ]),
    ]),
  ]);
}

function translate(
  { name, kind, inputs, parameters, attributes }: KnownNode,
  shapeOf: (parameter: string) => readonly number[],
): Bytes {
  const named = (...roles: string[]): string[] => [...inputs, ...roles.flatMap((role) => parameters[role] ?? [])];
  switch (kind) {
    case 'conv':
      return operator('Conv', named('weight', 'bias'), name, {
        kernel_shape: shapeOf(parameters.weight!).slice(2),
        strides: attributes.stride,
        pads: attributes.padding,
        dilations: attributes.dilation,
        group: attributes.groups,
      });
    case 'dense':
      return operator('Gemm', named('weight', 'bias'), name, { transB: 1 });
    case 'batchNorm':
      return operator('BatchNormalization', named('scale', 'shift', 'mean', 'variance'), name, {
        epsilon: { float: attributes.epsilon },
      });
    case 'maxPool':
      return operator('MaxPool', inputs, name, {
        kernel_shape: attributes.size,
        strides: attributes.stride,
        pads: attributes.padding,
      });
    case 'globalAveragePool':
      return joined([
        operator('GlobalAveragePool', inputs, `${name}/planes`, {}),
        operator('Flatten', [`${name}/planes`], name, {}),
      ]);
    case 'relu':
      return operator('Relu', inputs, name, {});
    case 'flatten':
      return operator('Flatten', inputs, name, {});
    case 'add':
      return operator('Add', inputs, name, {});
    default:
      throw new Error(`onnx: no translation of ${kind}`);
  }
}

/**
 * The model's bytes. ModelProto: ir_version 1, graph 7, opset_import 8 { version 2 }; GraphProto: name 2, input 11,
 * output 12.
 */
export function onnxModel({ graph, weights }: Exchanged, batch: number): Uint8Array {
  const parameters = Object.entries(graph.parameters);
  return joined([
    number(1, 8),
    block(8, [number(2, 17)]),
    block(7, [
      ...graph.nodes.map((node) => translate(node as KnownNode, (name) => graph.parameters[name].shape)),
      block(2, graph.name),
      ...parameters.map(([name, { shape }]) => initializer(name, shape, weights(name))),
      ...graph.inputs.map(({ name, shape }) => value(11, name, [batch, ...shape])),
      ...graph.outputs.map((name) => value(12, name, [])),
    ]),
  ]);
}
