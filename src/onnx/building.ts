/** The network while it grows out of a model: what stands for each name of the model, and what definitions build with. */
import { EspalierError, show } from '../base/errors.ts';
import { own } from '../base/realm.ts';
import { sizeOf } from '../base/tensor.ts';
import type { Shape } from '../base/tensor.ts';
import { trainedValues } from '../encodings/index.ts';
import { farthest } from '../encodings/kinds/scalar.ts';
import type { Encoding } from '../encodings/types.ts';
import { freshName, namesOf } from '../graph/names.ts';
import type { Names } from '../graph/names.ts';
import type { Attributes, ElementType, Node } from '../graph/network.ts';
import { nodeTypes } from '../network/shapes.ts';
import type { ValueType } from '../operators/types.ts';
import { arraysOfEncoding } from './arrays.ts';
import { hold } from './room.ts';
import type { Room } from './room.ts';
import { toFloats, toIntegers } from './tensor.ts';
import type { OnnxTensor } from './tensor.ts';

/**
 * Whether axis 0 of the model's values is the batch, as with nearly every network, or the model mixes that axis with
 * others (or has none): then each of its values is whole, one sample of ours, and the model runs on one at a time.
 */
export type Layout = 'batched' | 'whole';

/** A value of the network: what a node yields, or a network input. */
export interface Value {
  readonly kind: 'value';
  readonly name: string;
  /** Per sample. */
  readonly shape: Shape;
  readonly type: ElementType;
}

/**
 * What is known while reading. Where it depends on the size of the batch it is computed for two sizes, so that whoever
 * reads it sees how it depends: `alternatives` has one tensor, or one for each of {@link BATCHES}.
 */
export interface Constant {
  readonly kind: 'constant';
  /** Its name in the model. */
  readonly name: string;
  readonly alternatives: readonly OnnxTensor[];
}

export type Known = Value | Constant;

/** Sizes of the batch that shape computations are tried with. */
export const BATCHES = [5, 7] as const;

/** A number that is the same in every batch, or a multiple of the batch. */
export type Side = { readonly fixed: number } | { readonly batches: number };

/** In the details of an error: in a batched layout a node wants to work across the batch; the model is tried as a whole instead. */
const ACROSS_BATCH = 'across the batch';

/** The error for a node that works across the batch. */
export const acrossBatchError = (message: string): EspalierError =>
  new EspalierError('UNSUPPORTED', message, { found: ACROSS_BATCH });

export const isAcrossBatch = (error: unknown): boolean =>
  error instanceof EspalierError && error.details.found === ACROSS_BATCH;

/** What a definition builds with. Inputs are numbered as the model's node has them. */
export interface Building {
  readonly layout: Layout;
  /** Size of the batch where the model fixes it. */
  readonly batch: number | undefined;
  input(i: number): Known | undefined;
  /** The tensor of an attribute. */
  tensorOf(attribute: string): OnnxTensor;
  /** A value of the network; a constant becomes a parameter that is read as it is only by {@link operand}. */
  value(i: number): Value;
  /** A constant that is the same in every batch. */
  constant(i: number): OnnxTensor | undefined;
  /** Whole numbers that are known, the same in every batch. */
  integers(i: number): number[] | undefined;
  /** Whole numbers that may depend on the batch. */
  sides(i: number): Side[] | undefined;
  /** The shape of an input as the model sees it, the batch as `undefined` where it is not fixed. */
  modelShape(i: number): readonly (number | undefined)[];
  /** An axis of the model as one of a sample. @throws {@link acrossBatchError} for the batch's */
  axis(axis: number, rank: number): number;
  /**
   * A value, or a constant as a parameter that the node reads: name of either.
   * @param infinite - what stands for infinities in a constant, where that is as good; absent: they are refused
   */
  operand(i: number, rank: number, infinite?: number): Operand;
  /** A node of ours. `parameters`: by role. Its values. */
  add(kind: string, attributes: Attributes, inputs: readonly Operand[], options?: NodeOptions): Value[];
  /** The same for a node that yields one value. */
  node(kind: string, attributes: Attributes, inputs: readonly Operand[], options?: NodeOptions): Value;
  /** A parameter of new values, called by a name of the model and what was done to it. */
  parameter(name: string, suffix: string, shape: Shape, data: Float32Array): Parameter;
  /** A constant of the model as a parameter, stored as the model has it. */
  asParameter(i: number, shape?: Shape): Parameter;
  /** The same of a tensor that was made of constants: under this name, or that of the weights that it shows. */
  ofTensor(name: string, tensor: OnnxTensor, shape?: Shape): Parameter;
  /** What stands for output i of the model's node. */
  yields(i: number, value: Known): void;
  /** Something about the model that its user should know. */
  note(text: string): void;
  /** An operator that works across the batch. */
  acrossBatch(text: string): never;
}

/** A parameter of the network, to be read in a role or as an input. */
export interface Parameter {
  readonly kind: 'parameter';
  readonly name: string;
  readonly shape: Shape;
}
export type Operand = Value | Parameter;

export interface NodeOptions {
  readonly parameters?: Readonly<Record<string, Parameter | undefined>>;
  /** How many values it yields. Default 1. */
  readonly yields?: number;
  /** What is appended to the node's name, where one node of the model becomes several of ours. */
  readonly part?: string;
}

/** Nodes and parameters so far. */
export interface Draft extends Names {
  readonly nodes: Node[];
  readonly parameters: Map<string, Encoding>;
  readonly types: Map<string, ValueType>;
  /** For constants and parameters. */
  readonly room: Room;
  readonly notes: string[];
  /** Parameters that are constants of the model as they are, by the constant's name and shape. */
  readonly shared: Map<string, Parameter>;
  /** The role that a parameter serves in, and by both names what took its place in another. */
  readonly roles: Map<string, string>;
  readonly copies: Map<string, string>;
}

export const newDraft = (room: Room): Draft => ({
  room,
  nodes: [],
  parameters: new Map(),
  types: new Map(),
  ...namesOf(),
  notes: [],
  shared: new Map(),
  roles: new Map(),
  copies: new Map(),
});

/** A parameter serves in one role: models share an array of zeros for whatever is zero, and it is copied for each. */
function inRole(draft: Draft, name: string, role: string): string {
  const first = draft.roles.get(name) ?? role;
  draft.roles.set(name, first);
  const encoding = draft.parameters.get(name);
  if (first === role || !encoding) return name;
  const key = `${role}\n${name}`;
  const copy = draft.copies.get(key) ?? addEncoding(draft, `${name}.${role.replace('a ', '')}`, encoding).name;
  draft.copies.set(key, copy);
  draft.roles.set(copy, role);
  return copy;
}

/** Adds a node; its shapes and everything about it are checked by its operator. */
export function addNode(
  draft: Draft,
  name: string,
  kind: string,
  attributes: Attributes,
  inputs: readonly Operand[],
  { parameters = {}, yields = 1 }: NodeOptions,
): Value[] {
  const roles: Record<string, string> = own({});
  for (const [role, parameter] of Object.entries(parameters))
    if (parameter) roles[role] = inRole(draft, parameter.name, role);
  const node: Node = {
    name,
    kind,
    inputs: inputs.map((input) => (input.kind === 'value' ? input.name : inRole(draft, input.name, 'a constant'))),
    ...(yields === 1
      ? {}
      : { outputs: Array.from({ length: yields }, (_, i) => freshName(draft, `${name}_${i + 1}`)) }),
    parameters: roles,
    attributes,
  };
  const types = nodeTypes(draft, node, (value) => draft.types.get(value));
  draft.nodes.push(node);
  return (node.outputs ?? [name]).map((value, i) => {
    draft.types.set(value, types[i]);
    return { kind: 'value', name: value, shape: types[i].shape, type: types[i].type };
  });
}

/** Adds a parameter under a name of its own. @throws {EspalierError} NONFINITE, BUDGET */
export const addParameter = (draft: Draft, wanted: string, shape: Shape, data: Float32Array): Parameter =>
  addEncoding(draft, wanted, { kind: 'dense', shape, data });

/** The same of one that is stored otherwise. @throws {EspalierError} NONFINITE, BUDGET */
export function addEncoding(draft: Draft, wanted: string, encoding: Encoding): Parameter {
  hold(draft.room, arraysOfEncoding(encoding));
  const values = encoding.kind === 'dense' ? encoding.data : largestOf(encoding);
  for (let i = 0; i < values.length; i++) {
    if (!Number.isFinite(values[i])) {
      const text = `readOnnx: the constant ${show(wanted)}: expected finite numbers, got ${values[i]} at element ${i}`;
      throw new EspalierError('NONFINITE', text, { name: wanted, found: values[i] });
    }
  }
  const name = freshName(draft, wanted);
  draft.parameters.set(name, encoding);
  return { kind: 'parameter', name, shape: encoding.shape };
}

/** Numbers that are finite where all that the encoding decodes to are. */
function largestOf(encoding: Encoding): Float32Array {
  if (encoding.kind !== 'scalar') return trainedValues(encoding);
  const { bits, scales, zeros } = encoding;
  return scales.map((scale, i) => scale * farthest(bits, zeros?.[i]));
}

/** The one tensor of a constant that does not depend on the batch. */
export function onlyTensor({ alternatives }: Constant): OnnxTensor | undefined {
  return alternatives.length === 1 ? alternatives[0] : undefined;
}

/** The elements of a constant as numbers that may be multiples of the batch; undefined if they depend on it otherwise. */
export function sidesOf({ name, alternatives }: Constant): Side[] | undefined {
  const [first, second = first] = alternatives.map((tensor) => toIntegers(name, tensor));
  if (first.length !== second.length) return undefined;
  const sides = first.map((value, i): Side | undefined => {
    if (value === second[i]) return { fixed: value };
    const batches = value / BATCHES[0];
    return Number.isInteger(batches) && batches * BATCHES[1] === second[i] ? { batches } : undefined;
  });
  return sides.every((side) => side !== undefined) ? sides : undefined;
}

/** The constant as float32 of a shape that has as many elements. */
export function floatsOf(
  { name }: Pick<Constant, 'name'>,
  tensor: OnnxTensor,
  shape: Shape = tensor.shape,
): Float32Array {
  const floats = toFloats(name, tensor);
  if (floats.length !== sizeOf(shape))
    throw new EspalierError(
      'SHAPE',
      `${show(name)}: expected [${shape.join(', ')}], got [${tensor.shape.join(', ')}]`,
      { name },
    );
  return floats;
}
