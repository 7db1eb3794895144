/** A model under construction, and what the definitions of `exports/` write with. */
import { sameShape } from '../base/tensor.ts';
import type { Shape } from '../base/tensor.ts';
import { freshName, namesOf } from '../graph/names.ts';
import type { Names } from '../graph/names.ts';
import type { Encoding } from '../encodings/types.ts';
import type { Bytes } from './encode.ts';
import { initializerField, nodeField } from './messages.ts';
import type { ElementKind, OnnxAttributes } from './messages.ts';

/** Nodes and initializers so far. */
export interface Sheet extends Names {
  readonly nodes: Bytes[];
  readonly initializers: Bytes[];
  /** Names of what may be shared, by what it is. */
  readonly shared: Map<string, string>;
}

export const newSheet = (): Sheet => ({ nodes: [], initializers: [], ...namesOf(), shared: new Map() });

/** Adds a node that yields one value. Its name: the one wanted, or as short as may be, since files have hundreds of them. */
export function addNode(
  sheet: Sheet,
  operator: string,
  inputs: readonly (string | undefined)[],
  attributes: OnnxAttributes = {},
  wanted = `_${sheet.nodes.length.toString(36)}`,
): string {
  const output = freshName(sheet, wanted);
  sheet.nodes.push(nodeField({ operator, inputs, outputs: [output], attributes }));
  return output;
}

type Numbers = Uint8Array | Int8Array | Uint16Array | Int32Array | BigInt64Array | Float32Array;

/** Adds a constant. Its name. */
export function addConstant(sheet: Sheet, element: ElementKind, shape: Shape, data: Numbers, wanted: string): string {
  const name = freshName(sheet, wanted);
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  sheet.initializers.push(initializerField(name, element, shape, bytes));
  return name;
}

/** What is asked for again is made once. */
export function once({ shared }: Sheet, key: string, make: () => string): string {
  const known = shared.get(key);
  if (known !== undefined) return known;
  const made = make();
  shared.set(key, made);
  return made;
}

/** Whole numbers as the operators take them for shapes, axes and places. */
export const integersOf = (sheet: Sheet, values: readonly number[], shape: Shape = [values.length]): string =>
  once(sheet, `int64 ${shape.join()}: ${values.join()}`, () =>
    addConstant(sheet, 'int64', shape, BigInt64Array.from(values, BigInt), `_${values.join('_').slice(0, 24)}`),
  );

/** Small whole numbers to compute with. */
export const smallIntegersOf = (sheet: Sheet, values: readonly number[], shape: Shape = [values.length]): string =>
  once(sheet, `int32 ${shape.join()}: ${values.join()}`, () =>
    addConstant(sheet, 'int32', shape, Int32Array.from(values), `_i${values.join('_').slice(0, 24)}`),
  );

/** Floats. Few are shared. */
export function floatsOf(sheet: Sheet, values: Float32Array | readonly number[], shape: Shape, wanted: string): string {
  const data = Float32Array.from(values);
  const make = (): string => addConstant(sheet, 'float', shape, data, wanted);
  return data.length > 16 ? make() : once(sheet, `float ${shape.join()}: ${data.join()}`, make);
}

/** An input or an output of a node as its definition sees it. */
export interface ExportedValue {
  /** In the model. */
  readonly name: string;
  /** Per sample; the whole shape of a constant. */
  readonly shape: Shape;
}

/** What a definition writes with. */
export interface Exporting {
  /** How many axes the model's values have before those of a sample: 1, the batch, or none. */
  readonly lead: 0 | 1;
  readonly inputs: readonly ExportedValue[];
  readonly outputs: readonly ExportedValue[];
  /** The first of them. */
  readonly x: ExportedValue;
  readonly y: ExportedValue;
  /** The stored shape of the parameter in a role; empty if there is none. */
  parameterShape(role: string): Shape;
  /** The dense values of the parameter in a role, in a shape of as many elements; undefined if there is none. */
  parameter(role: string, shape?: Shape): string | undefined;
  /** A constant of whole numbers of 64 bits. */
  integers(values: readonly number[]): string;
  /** A constant of floats, which is called after the node. */
  floats(values: Float32Array | readonly number[], shape: Shape): string;
  /** A number. */
  number(value: number): string;
  /** A level of this type. */
  level(type: 'uint8' | 'int8', value: number): string;
  /** A node between: the value that it yields. */
  node(operator: string, inputs: readonly (string | undefined)[], attributes?: OnnxAttributes): string;
  /** The last node, which yields what the node yields. */
  yields(operator: string, inputs: readonly (string | undefined)[], attributes?: OnnxAttributes): void;
}

/** The sides of a model's value with these per sample, the batch as it is. */
export const sidesOf = ({ lead }: Pick<Exporting, 'lead'>, shape: Shape): number[] => [
  ...(lead === 1 ? [0] : []),
  ...shape,
];

/** A value in another shape per sample. */
export const reshaped = (to: Exporting, x: string, shape: Shape): string =>
  to.node('Reshape', [x, to.integers(sidesOf(to, shape))]);

/** Input 0 with a batch in front, for operators that know one. */
export const withBatch = (to: Exporting, shape: Shape = to.x.shape): string => {
  if (to.lead === 1) return sameShape(shape, to.x.shape) ? to.x.name : reshaped(to, to.x.name, shape);
  return to.node('Reshape', [to.x.name, to.integers([1, ...shape])]);
};

/** The last node, of an operator that knows a batch and yields samples of this shape: as the network has it. */
export function yieldsSample(
  to: Exporting,
  operator: string,
  inputs: readonly (string | undefined)[],
  attributes: OnnxAttributes = {},
  shape: Shape = to.y.shape,
): void {
  if (to.lead === 1 && sameShape(shape, to.y.shape)) to.yields(operator, inputs, attributes);
  else to.yields('Reshape', [to.node(operator, inputs, attributes), to.integers(sidesOf(to, to.y.shape))]);
}

/** The parameter of a network as a value of the model: as it is stored, decoded in the graph, in the shape asked for. */
export function parameterValue(
  sheet: Sheet,
  name: string,
  encoding: Encoding,
  shape: Shape,
  decoded: (sheet: Sheet, name: string, encoding: Encoding) => string,
): string {
  const key = `stored ${name}`;
  return once(sheet, `of shape ${shape.join()}: ${name}`, () => {
    const stored = sheet.shared.get(key);
    // Whoever comes first has plain weights in the shape that it wants.
    if (encoding.kind === 'dense' && stored === undefined) {
      const made = addConstant(sheet, 'float', shape, encoding.data, name);
      sheet.shared.set(key, made);
      return made;
    }
    const whole = once(sheet, key, () => decoded(sheet, name, encoding));
    const isIt = encoding.kind !== 'dense' && sameShape(shape, encoding.shape);
    return isIt ? whole : addNode(sheet, 'Reshape', [whole, integersOf(sheet, shape)]);
  });
}
