/**
 * Nodes of other formats, said with operators of ONNX: what each is made of is applied one operator after the other, so
 * that a definition sees the shapes and constants that it works on, and what is known is computed at once.
 */
import { EspalierError, show } from '../base/errors.ts';
import type { ErrorCode } from '../base/errors.ts';
import type { Shape } from '../base/tensor.ts';
import { freshName } from '../graph/names.ts';
import type { Names } from '../graph/names.ts';
import { onlyTensor } from './building.ts';
import type { Constant, Known, Layout } from './building.ts';
import type { AttributeProto, NodeProto } from './model.ts';
import { labelOf, onnxError } from './node.ts';
import { toIntegers } from './tensor.ts';
import type { OnnxTensor } from './tensor.ts';

/** A whole number is a float too: which of both an attribute is, its operator says. */
export type Setting = number | string | readonly number[];

/** What a definition is made with. Values and constants go by their names. */
export interface Composing {
  readonly node: NodeProto;
  /** Applies an operator of ONNX (set {@link COMPOSED_OPSET}). The name of its first output. '' stands for no input. */
  op(operator: string, inputs: readonly string[], settings?: Settings, options?: StepOptions): string;
  /** The same for an operator of several outputs. */
  ops(operator: string, inputs: readonly string[], settings: Settings, outputs: number): string[];
  /** A constant that the model does not hold. */
  constant(wanted: string, tensor: OnnxTensor): string;
  /** Made once for all nodes that ask by this key: weights that several share. */
  once(key: string, make: () => string): string;
  /** As the model sees it: axis 0 is the batch, `undefined` where it is of any size. */
  shape(name: string): readonly (number | undefined)[];
  /** The same without the batch. */
  sides(name: string): readonly number[];
  /** What is known of it; undefined for a value, and for what depends on the batch. */
  known(name: string): OnnxTensor | undefined;
  /** Whole numbers that must be known, the same in every batch. */
  integers(name: string, what: string): number[];
  /** Whole numbers, undefined where they depend on the batch. */
  partly(name: string): (number | undefined)[];
  isConstant(name: string): boolean;
  /** What stands for output i of the node. */
  yields(i: number, name: string): void;
  note(text: string): void;
  fail(code: ErrorCode, text: string): never;
}

export type Settings = Readonly<Record<string, Setting>>;
export interface StepOptions {
  /** Of our node; default: that of the model's. */
  readonly name?: string;
  /** Of what it yields, where that is a constant: parameters are called so. */
  readonly output?: string;
}
export type Composition = (graph: Composing) => void;

/** The operator set that compositions are written in. */
export const COMPOSED_OPSET = 18;

/** What one walk over a model remembers of all compositions. */
export interface Composed extends Names {
  readonly once: Map<string, string>;
}

export interface ComposingState {
  readonly layout: Layout;
  readonly batch: number | undefined;
  readonly composed: Composed;
  /** Converts a node of ONNX. */
  readonly apply: (step: NodeProto) => void;
  /** What stands for a name: values and constants, initializers too. */
  readonly find: (name: string) => Known;
  readonly learn: (constant: Constant) => void;
  readonly yields: (name: string, value: Known) => void;
  readonly note: (text: string) => void;
}

export function composing(
  node: NodeProto,
  { layout, batch, composed, apply, find, learn, yields, note }: ComposingState,
): Composing {
  const fail = (code: ErrorCode, text: string): never => {
    throw onnxError(code, node, text);
  };
  const fresh = (wanted: string): string => freshName(composed, wanted);
  const step = (
    operator: string,
    inputs: readonly string[],
    settings: Settings,
    outputs: number,
    { name = labelOf(node), output = `${name}.${operator}` }: StepOptions = {},
  ): string[] => {
    const attributes = new Map(Object.entries(settings).map(([key, value]) => [key, attributeOf(key, value)]));
    const names = Array.from({ length: outputs }, () => fresh(output));
    const proto = { name, operator, domain: '', inputs, outputs: names, attributes, at: node.at };
    try {
      apply(proto);
    } catch (error) {
      throw error instanceof EspalierError ? ofWhole(error, proto, node) : error;
    }
    return names;
  };
  const shape = (name: string): readonly (number | undefined)[] => {
    const found = find(name);
    if (found.kind === 'value') return layout === 'batched' ? [batch, ...found.shape] : found.shape;
    return found.alternatives[0].shape;
  };
  const tensor = (name: string): OnnxTensor | undefined => {
    const found = find(name);
    return found.kind === 'constant' ? onlyTensor(found) : undefined;
  };
  return {
    node,
    op: (operator, inputs, settings = {}, options) => step(operator, inputs, settings, 1, options)[0],
    ops: (operator, inputs, settings, outputs) => step(operator, inputs, settings, outputs),
    constant(wanted, made) {
      const name = fresh(wanted);
      learn({ kind: 'constant', name, alternatives: [made] });
      return name;
    },
    once(key, make) {
      const found = composed.once.get(key) ?? make();
      composed.once.set(key, found);
      return found;
    },
    shape,
    sides: (name) => shape(name).slice(1) as Shape,
    known: tensor,
    integers(name, what) {
      const found = tensor(name) ?? fail('UNSUPPORTED', `${what}: it must be known when the model is read`);
      return toIntegers(name, found);
    },
    partly(name) {
      const found = find(name);
      if (found.kind === 'value') return fail('UNSUPPORTED', `${show(name)} must be known when the model is read`);
      const [first, second = first] = found.alternatives.map((one) => toIntegers(name, one));
      return first.map((value, i) => (value === second[i] ? value : undefined));
    },
    isConstant: (name) => find(name).kind === 'constant',
    yields(i, name) {
      const found = find(name);
      const output = node.outputs[i];
      yields(output, found.kind === 'constant' ? { ...found, name: output } : found);
    },
    note: (text) => note(`${show(labelOf(node))} (${node.operator}): ${text}`),
    fail,
  };
}

function attributeOf(name: string, value: Setting): AttributeProto {
  if (typeof value === 'string') return { name, text: value };
  if (typeof value === 'number')
    return { name, float: value, ...(Number.isSafeInteger(value) && { integer: BigInt(value) }) };
  return {
    name,
    floats: value,
    ...(value.every((one) => Number.isSafeInteger(one)) && { integers: value.map(BigInt) }),
  };
}

/** An error of a step is one of the node that it is a step of. */
function ofWhole(error: EspalierError, step: NodeProto, node: NodeProto): EspalierError {
  const said = onnxError(error.code, step, '').message;
  const text = error.message.startsWith(said)
    ? error.message.slice(said.length)
    : error.message.replace('readOnnx: ', '');
  const { message, details } = onnxError(error.code, node, text);
  return new EspalierError(error.code, message, { ...error.details, ...details, cause: error });
}
