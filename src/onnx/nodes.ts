/** One node of a model: computed, built, or composed of several; what is known is learned and forgotten on the way. */
import { show, showAll } from '../base/errors.ts';
import type { Shape } from '../base/tensor.ts';
import { freshName } from '../graph/names.ts';
import type { Node } from '../graph/network.ts';
import { arraysOf, axisFrom, encodingOf, storedTensor } from './arrays.ts';
import {
  acrossBatchError,
  addEncoding,
  addNode,
  addParameter,
  BATCHES,
  floatsOf,
  onlyTensor,
  sidesOf,
} from './building.ts';
import type { Building, Constant, Draft, Known, Layout, NodeOptions, Operand, Parameter, Value } from './building.ts';
import { composing } from './composing.ts';
import type { Composed, Composition } from './composing.ts';
import type { EncodedWeights } from './encoded.ts';
import type { GraphProto, NodeProto } from './model.ts';
import { kindOf, labelOf, onnxError, viewOf } from './node.ts';
import type { NodeView } from './node.ts';
import { operatorNamed } from './operators/table.ts';
import { hold, release } from './room.ts';
import type { Room } from './room.ts';
import { toIntegers } from './tensor.ts';
import type { Making, OnnxTensor, Stored } from './tensor.ts';

/** What is converted, and how. */
export interface Conversion {
  readonly graph: GraphProto;
  /** Versions of operator sets by domain. */
  readonly opsets: ReadonlyMap<string, number>;
  /** The tensor of an initializer. */
  readonly initializer: (name: string, makes: Making) => OnnxTensor;
  readonly attributeTensor: (node: NodeProto, name: string, makes: Making) => OnnxTensor;
  /** Dimensions that the caller fixed, by input. */
  readonly shapes: Readonly<Record<string, readonly (number | undefined)[]>>;
  /** For constants and parameters, all of it free. */
  readonly room: Room;
  /** What a node of another format is made of; undefined: it is one of ONNX. */
  readonly compositionOf?: (node: NodeProto) => Composition | undefined;
}

/** What is known while nodes are gone through. */
export interface Constants {
  readonly conversion: Conversion;
  readonly known: Map<string, Known>;
  readonly draft: Draft;
  readonly encoded: EncodedWeights;
  /** How many nodes will still read a value, or yield it as an output. */
  readonly uses: Map<string, number>;
}

export interface State extends Constants {
  readonly layout: Layout;
  readonly batch: number | undefined;
}

const hasMemory = (constant: Constant): ArrayBufferView[] => constant.alternatives.flatMap(arraysOf);

function learn({ known, draft }: Constants, constant: Constant): Constant {
  hold(draft.room, hasMemory(constant));
  known.set(constant.name, constant);
  return constant;
}

/** Forgets constants that nothing will read any more: their memory is free for others. */
export function forget({ known, draft, uses }: Constants, names: readonly string[]): void {
  for (const name of names) {
    const left = (uses.get(name) ?? 0) - 1;
    uses.set(name, left);
    const found = known.get(name);
    if (left > 0 || found?.kind !== 'constant') continue;
    known.delete(name);
    release(draft.room, hasMemory(found));
  }
}

/** The value or constant of a name: what a node made, weights that are stored encoded, or an initializer. */
function lookUp(state: Constants, view: NodeView, name: string): Known {
  const { conversion, known, encoded } = state;
  const found = known.get(name);
  if (found) return found;
  if (conversion.graph.sparse.has(name))
    view.fail('UNSUPPORTED', `its input ${show(name)} is a sparse tensor; store it densely`);
  const encoding = encoded.found.get(name);
  if (encoding) {
    const order = encoding.shape.map((_, axis) => axis);
    const stored: Stored = { name, encoding, view: encoding.shape, order, spend: (count) => view.spends(count) };
    return learn(state, { kind: 'constant', name, alternatives: [storedTensor(stored, encoding.shape)] });
  }
  return learn(state, { kind: 'constant', name, alternatives: [conversion.initializer(name, view.makes)] });
}

/** Converts what a node of another format is made of. What it made on the way, and the weights that it read, are forgotten. */
export function compose(proto: NodeProto, composition: Composition, state: State, composed: Composed): void {
  const { known, draft } = state;
  const view = viewOf(proto, 0, draft.room);
  const seen = new Set<string>();
  const { layout, batch } = state;
  composition(
    composing(proto, {
      layout,
      batch,
      composed,
      apply(step) {
        for (const name of [...step.inputs, ...step.outputs]) seen.add(name);
        convertNode(step, state);
      },
      find(name) {
        seen.add(name);
        return lookUp(state, view, name);
      },
      learn: (constant) => learn(state, constant),
      yields: (name, value) => void (value.kind === 'constant' ? learn(state, value) : known.set(name, value)),
      note: (text) => void draft.notes.push(text),
    }),
  );
  for (const name of [...proto.inputs, ...proto.outputs, ...composed.once.values()]) seen.delete(name);
  forget(state, [...seen]);
}

/** Computes or builds one node. */
export function convertNode(proto: NodeProto, state: State): void {
  const { conversion, known, draft } = state;
  const opset = conversion.opsets.get(proto.domain);
  const operator = operatorNamed(proto);
  const view = viewOf(proto, opset ?? 0, draft.room);
  if (!operator) {
    const inside = [...proto.attributes.values()].some(({ other }) => other === 'graph');
    return view.fail(
      'UNSUPPORTED',
      inside
        ? 'control flow is not supported; export the model with it unrolled or scripted away'
        : `the operator ${show(proto.operator)}${proto.domain === '' ? '' : ` of ${show(proto.domain)}`} is not known here`,
    );
  }
  const other = [...proto.attributes.values()].find((attribute) => attribute.other !== undefined);
  if (other) view.fail('UNSUPPORTED', `attribute ${show(other.name)}: a ${other.other} is not read`);
  const inputs = proto.inputs.map((name) => (name === '' ? undefined : lookUp(state, view, name)));
  const tensorOf = (name: string): OnnxTensor => {
    view.tensor(name);
    return conversion.attributeTensor(proto, name, view.makes);
  };
  const constants = inputs.filter((input) => input?.kind === 'constant');
  if (operator.evaluate && constants.length === inputs.filter(Boolean).length) {
    const count = constants.some(({ alternatives }) => alternatives.length > 1) ? BATCHES.length : 1;
    const results = Array.from({ length: count }, (_, batch) =>
      operator.evaluate?.(
        view,
        inputs.map((input) =>
          input?.kind === 'constant' ? (input.alternatives[batch] ?? input.alternatives[0]) : undefined,
        ),
        tensorOf,
      ),
    );
    proto.outputs.forEach((name, i) => {
      if (name === '') return;
      const alternatives = results.map((tensors) => tensors?.[i]).filter((tensor) => tensor !== undefined);
      if (alternatives.length === 0) view.fail('UNSUPPORTED', `its output ${i} is not computed`);
      for (const { shape } of alternatives) view.makes(shape.map(() => 1));
      learn(state, { kind: 'constant', name, alternatives });
    });
  } else if (operator.build) {
    operator.build(view, buildingOf(proto, view, inputs, state, tensorOf));
    for (const name of proto.outputs) {
      if (name !== '' && !known.has(name)) view.fail('UNSUPPORTED', `its output ${show(name)} is not supported`);
    }
  } else {
    view.fail('UNSUPPORTED', 'it is supported only where all that it reads is known when the model is read');
  }
  const unread = view.unread();
  if (unread.length > 0) view.fail('UNSUPPORTED', `attributes that are not known here: ${showAll(unread)}`);
}

function buildingOf(
  proto: NodeProto,
  view: NodeView,
  inputs: readonly (Known | undefined)[],
  { layout, batch, known, draft }: State,
  tensorOf: (name: string) => OnnxTensor,
): Building {
  const constantOf = (i: number): Constant | undefined => {
    const input = inputs[i];
    if (input?.kind === 'value')
      view.fail('UNSUPPORTED', `input ${i} (${show(input.name)}): it must be known when the model is read`);
    return input?.kind === 'constant' ? input : undefined;
  };
  const tensor = (i: number): OnnxTensor | undefined => {
    const constant = constantOf(i);
    if (!constant) return undefined;
    return (
      onlyTensor(constant) ??
      view.fail('UNSUPPORTED', `input ${i} (${show(constant.name)}) depends on the size of the batch`)
    );
  };
  const nameOf = (i: number): string => proto.inputs[i];
  const asParameter = (i: number, shape?: Shape): Parameter => {
    const found = tensor(i) ?? view.fail('ATTRIBUTE', `input ${i}: it is missing`);
    const sides = shape ?? found.shape;
    const key = `${nameOf(i)}\n${sides.join(',')}`;
    const shared = draft.shared.get(key);
    if (shared) return shared;
    const made = ofTensor(nameOf(i), found, sides);
    draft.shared.set(key, made);
    return made;
  };
  const ofTensor = (name: string, tensor: OnnxTensor, sides = tensor.shape): Parameter => {
    const encoding = encodingOf(tensor, sides);
    if (!encoding || !tensor.stored) return addParameter(draft, name, sides, floatsOf({ name }, tensor, sides));
    // Several nodes may turn the same weights: they serve all of them.
    const key = `${tensor.stored.name}\n${sides.join(',')}`;
    const made = draft.shared.get(key) ?? addEncoding(draft, tensor.stored.name, encoding);
    draft.shared.set(key, made);
    return made;
  };
  const add = (
    kind: string,
    attributes: Node['attributes'],
    operands: readonly Operand[],
    options: NodeOptions = {},
  ): Value[] => {
    const base = baseName(proto, options);
    const name = freshName(draft, options.part === undefined ? base : `${base}.${options.part}`);
    return addNode(draft, name, kind, attributes, operands, options);
  };
  const value = (i: number): Value => {
    const input = inputs[i];
    if (input?.kind === 'value') return input;
    return view.fail(
      'UNSUPPORTED',
      input ? `input ${i} (${show(nameOf(i))}) is a constant where a value is expected` : `input ${i}: it is missing`,
    );
  };
  const acrossBatch = (text: string): never => {
    throw acrossBatchError(onnxError('UNSUPPORTED', proto, text).message);
  };
  return {
    layout,
    batch,
    tensorOf,
    input: (i) => inputs[i],
    value,
    constant: tensor,
    integers(i) {
      const found = tensor(i);
      return found && toIntegers(nameOf(i), found);
    },
    sides(i) {
      const constant = constantOf(i);
      if (!constant) return undefined;
      return (
        sidesOf(constant) ??
        view.fail(
          'UNSUPPORTED',
          `input ${i} (${show(constant.name)}) depends on the size of the batch in a way that is not a multiple of it`,
        )
      );
    },
    modelShape(i) {
      const input = inputs[i];
      if (input?.kind === 'value') return layout === 'batched' ? [batch, ...input.shape] : input.shape;
      return tensor(i)?.shape ?? [];
    },
    axis(axis, rank) {
      const found = axisFrom(axis, rank);
      if (layout === 'whole') return found;
      if (found === 0) acrossBatch(`it works along axis 0`);
      return found - 1;
    },
    operand(i, rank, infinite) {
      const input = inputs[i];
      if (input?.kind === 'value') return input;
      const found = tensor(i) ?? view.fail('ATTRIBUTE', `input ${i}: it is missing`);
      let { shape } = found;
      if (layout === 'batched' && shape.length >= rank) {
        if (shape.length > rank || shape[0] !== 1)
          acrossBatch(`the constant ${show(nameOf(i))} differs over the batch`);
        shape = shape.slice(1);
      }
      if (infinite !== undefined) {
        const bounded = withoutInfinities(found, infinite);
        if (bounded) {
          const name = nameOf(i);
          draft.notes.push(
            `the constant ${show(name)} holds infinities; taken as numbers of ${infinite.toExponential(2)}, which no value comes near`,
          );
          view.makes(shape, 'float');
          return addParameter(draft, `${name}.finite`, shape, bounded);
        }
      }
      return asParameter(i, shape);
    },
    add,
    node: (...call) => add(...call)[0],
    parameter: (name, suffix, shape, data) =>
      addParameter(draft, suffix === '' ? name : `${name}.${suffix}`, shape, data),
    asParameter,
    ofTensor,
    yields(i, result) {
      const name = proto.outputs[i];
      if (name === undefined || name === '') return;
      known.set(name, result.kind === 'constant' ? { ...result, name } : result);
    },
    note: (text) => void draft.notes.push(`node ${show(labelOf(proto))} (${kindOf(proto)}): ${text}`),
    acrossBatch,
  };
}

/** Floats with a number in place of infinities, of the same sign; undefined where there are none. */
function withoutInfinities({ type, data, stored }: OnnxTensor, number: number): Float32Array | undefined {
  if (stored || type !== 'float' || !(data as Float32Array).some((value) => Math.abs(value) === Infinity))
    return undefined;
  return (data as Float32Array).map((value) => (Math.abs(value) === Infinity ? Math.sign(value) * number : value));
}

/** As PyTorch calls the module whose weight it has, else as the model's node or its output is called. */
function baseName(proto: NodeProto, { parameters = {} }: NodeOptions): string {
  for (const parameter of Object.values(parameters)) {
    const module = parameter && /^(.+)\.(?:weight|gamma)$/.exec(parameter.name);
    if (module) return module[1];
  }
  return (labelOf(proto).replace(/^\/+/, '') || proto.operator.toLowerCase()).slice(0, 1024);
}
