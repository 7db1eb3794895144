/** Models made field by field: also such as no exporter writes. The numbers of fields are those of onnx.proto. */
import {
  joined as joinedRuns,
  bytesField,
  floatField,
  integerField,
  messageField,
  textField,
} from '../../src/onnx/encode.ts';
import type { Bytes } from '../../src/onnx/encode.ts';

/** All fields one after another. */
export const joined = (fields: readonly Bytes[]): Uint8Array<ArrayBuffer> => joinedRuns(fields.flat(), () => undefined);

export const FLOAT = 1;
export const INT64 = 7;

/** A whole number of 64 bits, as a field without packing. */
export const wideField = (number: number, value: bigint): Bytes => {
  const bytes = [number * 8];
  let rest = BigInt.asUintN(64, value);
  for (; rest > 127n; rest >>= 7n) bytes.push(Number(rest & 127n) | 128);
  return [Uint8Array.from([...bytes, Number(rest)])];
};

export type AttributeValue =
  | number
  | bigint
  | string
  | readonly (number | bigint)[]
  | { readonly float: number }
  | { readonly floats: readonly number[] }
  /** A field as it is: a graph, a tensor, .... */
  | { readonly field: Bytes };

export function attribute(name: string, value: AttributeValue): Bytes {
  const content = (): Bytes => {
    if (typeof value === 'number' || typeof value === 'bigint') return wideField(3, BigInt(value));
    if (typeof value === 'string') return textField(4, value);
    if (Array.isArray(value))
      return [
        ...(value as readonly (number | bigint)[]).flatMap((one) => wideField(8, BigInt(one))),
        ...integerField(20, 7),
      ];
    if ('float' in value) return floatField(2, value.float);
    if ('floats' in value) return value.floats.flatMap((one) => floatField(7, one));
    return (value as { readonly field: Bytes }).field;
  };
  return messageField(5, textField(1, name), content());
}

export interface NodeSpec {
  readonly name?: string;
  readonly domain?: string;
  readonly attributes?: Readonly<Record<string, AttributeValue>>;
}

export const node = (
  operator: string,
  inputs: readonly string[],
  outputs: readonly string[],
  { name, domain, attributes = {} }: NodeSpec = {},
): Bytes =>
  messageField(
    1,
    ...inputs.map((input) => textField(1, input)),
    ...outputs.map((output) => textField(2, output)),
    ...(name === undefined ? [] : [textField(3, name)]),
    textField(4, operator),
    ...Object.entries(attributes).map(([key, value]) => attribute(key, value)),
    ...(domain === undefined ? [] : [textField(7, domain)]),
  );

/** Fields of a tensor; `raw` undefined: none. */
export const tensorFields = (
  name: string,
  dims: readonly (number | bigint)[],
  type: number,
  raw?: Uint8Array,
  ...more: readonly Bytes[]
): Bytes[] => [
  dims.flatMap((side) => wideField(1, BigInt(side))),
  integerField(2, type),
  textField(8, name),
  ...(raw ? [bytesField(9, raw)] : []),
  ...more,
];

export const bytesOf = (data: ArrayBufferView): Uint8Array =>
  new Uint8Array(data.buffer as ArrayBuffer, data.byteOffset, data.byteLength);

export const floats = (name: string, dims: readonly number[], values?: readonly number[]): Bytes => {
  const count = dims.reduce((product, side) => product * side, 1);
  const data = values
    ? Float32Array.from(values)
    : Float32Array.from({ length: count }, (_, i) => ((i * 7) % 11) / 10 - 0.4);
  return messageField(5, ...tensorFields(name, dims, FLOAT, bytesOf(data)));
};

export const integers = (
  name: string,
  values: readonly (number | bigint)[],
  dims: readonly number[] = [values.length],
): Bytes => messageField(5, ...tensorFields(name, dims, INT64, bytesOf(BigInt64Array.from(values, BigInt))));

/** Data in a file beside the model. */
export const outside = (name: string, dims: readonly number[], entries: Readonly<Record<string, string>>): Bytes =>
  messageField(5, ...outsideFields(name, dims, entries));

export const outsideFields = (
  name: string,
  dims: readonly number[],
  entries: Readonly<Record<string, string>>,
): Bytes[] =>
  tensorFields(
    name,
    dims,
    FLOAT,
    undefined,
    ...Object.entries(entries).map(([key, value]) => messageField(13, textField(1, key), textField(2, value))),
    integerField(14, 1),
  );

export type Sides = readonly (number | bigint | string)[] | undefined;

/** An input (11) or an output (12) of a graph. */
export function value(number: 11 | 12, name: string, sides: Sides, type = FLOAT): Bytes {
  const shape = sides
    ? [
        messageField(
          2,
          ...sides.map((side) =>
            messageField(1, typeof side === 'string' ? textField(2, side) : wideField(1, BigInt(side))),
          ),
        ),
      ]
    : [];
  return messageField(number, textField(1, name), messageField(2, messageField(1, integerField(1, type), ...shape)));
}

export const input = (name: string, sides: Sides, type = FLOAT): Bytes => value(11, name, sides, type);
export const output = (name: string): Bytes => value(12, name, undefined);

/** A graph of these fields. */
export const graphField = (number: number, ...fields: readonly Bytes[]): Bytes =>
  messageField(number, textField(2, 'graph'), ...fields);

export const opset = (version: number, domain = ''): Bytes =>
  messageField(8, textField(1, domain), integerField(2, version));

/** A model: fields of its graph; `more`: fields of the model, of which operator sets are the newest that most write. */
export const model = (fields: readonly Bytes[], more: readonly Bytes[] = [opset(17)]): Uint8Array<ArrayBuffer> =>
  joined([integerField(1, 8), graphField(7, ...fields), ...more]);

/** x [n, 3, 6, 6] through nodes to y. */
export const simple = (nodes: readonly Bytes[], ...more: readonly Bytes[]): Uint8Array<ArrayBuffer> =>
  model([input('x', ['n', 3, 6, 6]), output('y'), ...nodes, ...more]);

/** A small model of many things: convolutions, a skip, pools, shapes that are computed, a dense layer. */
export const small = (): Uint8Array<ArrayBuffer> =>
  model([
    input('x', ['n', 3, 6, 6]),
    output('y'),
    output('z'),
    floats('conv.weight', [4, 3, 3, 3]),
    floats('conv.bias', [4]),
    floats('bn.scale', [4], [1, 0.5, 2, 1]),
    floats('bn.var', [4], [1, 2, 1, 0.5]),
    floats('dense.weight', [5, 36]),
    floats('slope', [1], [0.25]),
    integers('minus', [-1]),
    integers('first', [0], []),
    node('Conv', ['x', 'conv.weight', 'conv.bias'], ['c'], {
      name: '/conv/Conv',
      attributes: { pads: [1, 1, 1, 1], kernel_shape: [3, 3], group: 1, auto_pad: 'NOTSET' },
    }),
    node('BatchNormalization', ['c', 'bn.scale', 'conv.bias', 'conv.bias', 'bn.var'], ['b'], {
      attributes: { epsilon: { float: 1e-5 } },
    }),
    node('PRelu', ['b', 'slope'], ['p']),
    node('Add', ['p', 'c'], ['s']),
    node('MaxPool', ['s'], ['m'], { attributes: { kernel_shape: [2, 2], strides: [2, 2], ceil_mode: 1 } }),
    node('Shape', ['m'], ['shape']),
    node('Gather', ['shape', 'first'], ['batch'], { attributes: { axis: 0 } }),
    node('Constant', [], ['zero'], { attributes: { value_ints: [0] } }),
    node('Unsqueeze', ['batch', 'zero'], ['batch1']),
    node('Concat', ['batch1', 'minus'], ['sides'], { attributes: { axis: 0 } }),
    node('Reshape', ['m', 'sides'], ['flat']),
    node('Gemm', ['flat', 'dense.weight'], ['y'], { attributes: { transB: 1, alpha: { float: 0.5 } } }),
    node('ReduceMean', ['s'], ['z'], { attributes: { axes: [2, 3], keepdims: 0 } }),
  ]);
