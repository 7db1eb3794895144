/** The messages of an ONNX model, written: the other direction of model.ts, as far as our networks ask for them. */
import type { Shape } from '../base/tensor.ts';
import { bytesField, floatField, integerField, integerFields, messageField, textField } from './encode.ts';
import type { Bytes } from './encode.ts';

/** Element types by their numbers. */
export const ELEMENT = { float: 1, uint8: 2, int8: 3, uint16: 4, int32: 6, int64: 7, float16: 10 } as const;
export type ElementKind = keyof typeof ELEMENT;

/** An attribute: a whole number or several, a text, or a float, which is said to be one. */
export type OnnxAttribute = number | string | readonly number[] | { readonly float: number };
export type OnnxAttributes = Readonly<Record<string, OnnxAttribute>>;

const TYPE = { float: 1, integer: 2, text: 3, integers: 7 } as const;

function attributeField(name: string, value: OnnxAttribute): Bytes {
  const message = (type: keyof typeof TYPE, content: Bytes): Bytes =>
    messageField(5, textField(1, name), content, integerField(20, TYPE[type]));
  if (typeof value === 'number') return message('integer', integerField(3, value));
  if (typeof value === 'string') return message('text', textField(4, value));
  if ('float' in value) return message('float', floatField(2, value.float));
  return message('integers', integerFields(8, value));
}

export interface NodeMessage {
  readonly name?: string;
  readonly operator: string;
  /** undefined: an optional input that is not there. */
  readonly inputs: readonly (string | undefined)[];
  readonly outputs: readonly string[];
  readonly attributes: OnnxAttributes;
}

/** A node, as a field of the graph. */
export const nodeField = ({ name, operator, inputs, outputs, attributes }: NodeMessage): Bytes =>
  messageField(
    1,
    ...inputs.map((input) => textField(1, input ?? '')),
    ...outputs.map((output) => textField(2, output)),
    ...(name === undefined ? [] : [textField(3, name)]),
    textField(4, operator),
    ...Object.entries(attributes).map(([key, value]) => attributeField(key, value)),
  );

/** A tensor of little-endian bytes, as a field of the graph. */
export const initializerField = (name: string, element: ElementKind, shape: Shape, raw: Uint8Array): Bytes =>
  messageField(5, integerFields(1, shape), integerField(2, ELEMENT[element]), textField(8, name), bytesField(9, raw));

/** A side of an input or an output: a number, or the name of one that is open. */
export type Side = number | string;

const valueField = (number: number, { name, element, sides }: ValueMessage): Bytes => {
  const dimension = (side: Side): Bytes =>
    messageField(1, typeof side === 'number' ? integerField(1, side) : textField(2, side));
  const shape = messageField(2, ...sides.map(dimension));
  return messageField(
    number,
    textField(1, name),
    messageField(2, messageField(1, integerField(1, ELEMENT[element]), shape)),
  );
};

export interface ValueMessage {
  readonly name: string;
  readonly element: ElementKind;
  readonly sides: readonly Side[];
}

export interface ModelMessage {
  readonly opset: number;
  readonly irVersion: number;
  readonly producer: string;
  readonly metadata: readonly (readonly [key: string, value: string])[];
  readonly name: string;
  readonly nodes: readonly Bytes[];
  readonly initializers: readonly Bytes[];
  readonly inputs: readonly ValueMessage[];
  readonly outputs: readonly ValueMessage[];
}

/** The file. */
export function modelBytes(model: ModelMessage): Bytes {
  const graph = messageField(
    7,
    ...model.nodes,
    textField(2, model.name),
    ...model.initializers,
    ...model.inputs.map((input) => valueField(11, input)),
    ...model.outputs.map((output) => valueField(12, output)),
  );
  return [
    integerField(1, model.irVersion),
    textField(2, model.producer),
    graph,
    messageField(8, textField(1, ''), integerField(2, model.opset)),
    ...model.metadata.map(([key, value]) => messageField(14, textField(1, key), textField(2, value))),
  ].flat();
}
