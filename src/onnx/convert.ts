/**
 * From the graph of a model to a network: nodes in their order, each either computed at once, where all that it reads is
 * known, or built by its operator's definition. What is not supported is collected and refused in one error.
 */
import { EspalierError, show, showAll } from '../base/errors.ts';
import type { Shape } from '../base/tensor.ts';
import { freshName, namesOf } from '../graph/names.ts';
import type { Network, Node } from '../graph/network.ts';
import { outputsOf } from '../graph/walk.ts';
import { withoutUnused } from '../network/simplify.ts';
import { arraysOf, axisFrom, encodingOf, storedTensor } from './arrays.ts';
import {
  acrossBatchError,
  addEncoding,
  addNode,
  addParameter,
  BATCHES,
  floatsOf,
  isAcrossBatch,
  newDraft,
  onlyTensor,
  sidesOf,
} from './building.ts';
import type { Building, Constant, Draft, Known, Layout, NodeOptions, Operand, Parameter, Value } from './building.ts';
import { composing } from './composing.ts';
import type { Composed, Composition } from './composing.ts';
import { encodedWeights } from './encoded.ts';
import type { EncodedWeights } from './encoded.ts';
import type { GraphProto, NodeProto, ValueProto } from './model.ts';
import { kindOf, labelOf, onnxError, viewOf } from './node.ts';
import type { NodeView } from './node.ts';
import { operatorNamed } from './operators/table.ts';
import { clear, hold, release } from './room.ts';
import type { Room } from './room.ts';
import { elementOf, elementWord, toIntegers } from './tensor.ts';
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

export interface Converted {
  readonly network: Network;
  readonly layout: Layout;
  /** Size of the batch where the model fixes it. */
  readonly batch: number | undefined;
  readonly notes: readonly string[];
}

/** One thing that is not supported. */
interface Problem {
  readonly where: string;
  readonly text: string;
  readonly error: EspalierError;
}

/** With axis 0 as the batch; where the model works across it, or does not fit together that way, as a whole. */
export function converted(conversion: Conversion): Converted {
  try {
    return convert(conversion, 'batched');
  } catch (error) {
    if (!isAcrossBatch(error) && !isMisfit(error)) throw error;
    // Its text is made now: until then an error holds what the functions on its way held, constants too.
    void (error as EspalierError).stack;
    clear(conversion.room);
    const whole = asWhole(conversion, error);
    const reason = (error as EspalierError).message.replace(/^readOnnx: /, '');
    return { ...whole, notes: [`one sample at a time: ${reason}`, ...whole.notes] };
  }
}

/** Shapes that do not fit: of axis 0, which is no batch, or of the model itself. */
const isMisfit = (error: unknown): boolean =>
  error instanceof EspalierError && ['SHAPE', 'ATTRIBUTE', 'GRAPH'].includes(error.code);

/** What is wrong either way is said as of the first. */
function asWhole(conversion: Conversion, first: unknown): Converted {
  try {
    return convert(conversion, 'whole' satisfies Layout);
  } catch (error) {
    throw isMisfit(first) ? first : error;
  }
}

/** @throws {EspalierError} as `readOnnx`; in a batched layout {@link acrossBatchError} for a model that works across the batch */
function convert(conversion: Conversion, layout: Layout): Converted {
  const { graph } = conversion;
  const { known, draft, inputs, batch } = walk(conversion, layout);
  if (inputs.length === 0)
    throw new EspalierError('GRAPH', 'readOnnx: the model has no input that its outputs depend on', { name: 'input' });
  return { network: finish(graph, draft, known, inputs), layout, batch, notes: draft.notes };
}

interface Walked {
  /** What stands for each name of the model. */
  readonly known: ReadonlyMap<string, Known>;
  readonly draft: Draft;
  readonly inputs: readonly Value[];
  readonly batch: number | undefined;
}

/** Computes or builds every node that an output depends on. */
export function walk(conversion: Conversion, layout: Layout): Walked {
  const { graph } = conversion;
  const known = new Map<string, Known>();
  const draft = newDraft(conversion.room);
  const problems: Problem[] = [];
  /** Values that depend on what is not supported. */
  const lost = new Set<string>();
  for (const { name } of [...graph.inputs, ...graph.outputs]) draft.names.add(name);

  const encoded = encodedWeights(conversion);
  const nodes = liveNodes(graph, encoded);
  const constants: Constants = { conversion, known, draft, encoded, uses: usesOf(graph, nodes) };
  const inputs = networkInputs(conversion, nodes, layout, (name, error) => {
    problems.push({ where: `input ${show(name)}`, text: withoutInput(error, name), error });
    lost.add(name);
  });
  for (const value of inputs.inputs) {
    known.set(value.name, value);
    draft.types.set(value.name, { shape: value.shape, type: value.type, isConstant: false });
  }
  const composed: Composed = {
    ...namesOf([...graph.initializers.keys(), ...known.keys(), ...nodes.flatMap(({ outputs }) => outputs)]),
    once: new Map(),
  };
  for (const proto of nodes) {
    if (proto.inputs.some((name) => lost.has(name))) {
      for (const name of proto.outputs) lost.add(name);
      continue;
    }
    try {
      const state: State = { ...constants, layout, batch: inputs.batch };
      const composition = conversion.compositionOf?.(proto);
      if (composition) compose(proto, composition, state, composed);
      else convertNode(proto, state);
      forget(constants, proto.inputs);
    } catch (error) {
      if (!(error instanceof EspalierError) || (layout === 'batched' && isAcrossBatch(error))) throw error;
      if (error.code !== 'UNSUPPORTED') throw named(error, proto);
      problems.push({ where: `${show(labelOf(proto))} (${kindOf(proto)})`, text: withoutWho(error, proto), error });
      for (const name of proto.outputs) lost.add(name);
    }
  }
  if (problems.length > 0) throw unsupported(problems);
  return { known, draft, ...inputs };
}

/** All at once, each with what could be done. */
function unsupported(problems: readonly Problem[]): EspalierError {
  const [{ error, where }] = problems;
  // An input that is alone wrong says it best itself.
  if (problems.length === 1 && where.startsWith('input ')) return error;
  const most = 30;
  const lines = problems.slice(0, most).map(({ where, text }) => `\n  ${where}: ${text}`);
  const rest = problems.length > most ? `\n  and ${problems.length - most} more` : '';
  const what = problems.some((one) => one.where.startsWith('input ')) ? 'inputs and nodes' : 'nodes';
  return new EspalierError(
    'UNSUPPORTED',
    `readOnnx: ${problems.length === 1 ? 'one node is' : `${problems.length} ${what} are`} not supported:${lines.join('')}${rest}`,
    { name: where, found: problems.length },
  );
}

/** The same error with the model's node in front, once. */
function named(error: EspalierError, proto: NodeProto): EspalierError {
  if (error.message.startsWith('readOnnx: node ')) return error;
  return new EspalierError(error.code, onnxError(error.code, proto, plainText(error)).message, {
    ...error.details,
    name: labelOf(proto),
    offset: proto.at,
    cause: error,
  });
}

const plainText = ({ message }: EspalierError): string => message.replace(/^readOnnx: /, '');
const withoutInput = (error: EspalierError, name: string): string =>
  plainText(error).replace(`input ${show(name)}: `, '');
const withoutWho = (error: EspalierError, proto: NodeProto): string =>
  plainText(error).replace(onnxError(error.code, proto, '').message.replace(/^readOnnx: /, ''), '');

/**
 * The nodes that outputs depend on, in the model's order.
 * @throws {EspalierError} GRAPH for a value made twice, one that nothing makes, nodes out of order
 */
function liveNodes(graph: GraphProto, encoded: EncodedWeights): NodeProto[] {
  const makers = new Map<string, number>();
  const given = new Set([...graph.initializers.keys(), ...graph.inputs.map(({ name }) => name)]);
  graph.nodes.forEach((node, i) => {
    for (const name of node.outputs) {
      if (name === '') continue;
      if (makers.has(name) || given.has(name))
        throw onnxError('GRAPH', node, `its output ${show(name)} is the name of another value too`);
      makers.set(name, i);
    }
  });
  const live = new Uint8Array(graph.nodes.length);
  for (const { name } of graph.outputs) {
    const maker = makers.get(name);
    if (maker !== undefined) live[maker] = 1;
    else if (!given.has(name))
      throw new EspalierError('GRAPH', `readOnnx: nothing makes the output ${show(name)} of the model`, { name });
  }
  for (let i = graph.nodes.length - 1; i >= 0; i--) {
    if (live[i] === 0) continue;
    if (encoded.find(graph.nodes[i])) {
      live[i] = 0;
      continue;
    }
    for (const name of graph.nodes[i].inputs) {
      const maker = makers.get(name);
      if (maker === undefined) {
        if (name !== '' && !given.has(name) && !graph.sparse.has(name))
          throw onnxError('GRAPH', graph.nodes[i], `nothing makes its input ${show(name)}`);
      } else if (maker >= i) {
        throw onnxError(
          'GRAPH',
          graph.nodes[i],
          `its input ${show(name)} is made ${maker === i ? 'by itself' : 'by a node behind it'}; nodes of a model stand in the order in which they are computed, without cycles`,
        );
      } else live[maker] = 1;
    }
  }
  return graph.nodes.filter((_, i) => live[i] === 1);
}

/** Inputs that are no initializers and that something needs. */
function networkInputs(
  { graph, shapes }: Conversion,
  nodes: readonly NodeProto[],
  layout: Layout,
  refuse: (name: string, error: EspalierError) => void,
): { inputs: Value[]; batch: number | undefined } {
  const used = new Set([...nodes.flatMap((node) => node.inputs), ...graph.outputs.map(({ name }) => name)]);
  const proper = graph.inputs.filter(({ name }) => !graph.initializers.has(name) && used.has(name));
  const sizes = new Set<number | undefined>();
  const valueOf = (input: ValueProto): Value => {
    const dimensions = dimensionsOf(input, Object.hasOwn(shapes, input.name) ? shapes[input.name] : undefined);
    if (layout === 'batched') {
      if (dimensions.length === 0)
        throw acrossBatchError(`readOnnx: input ${show(input.name)} is a single number: it has no batch`);
      sizes.add(dimensions[0]);
    }
    const shape = (layout === 'batched' ? dimensions.slice(1) : dimensions).map((side, axis) => {
      if (side !== undefined) return side;
      // A batch that the model leaves open is one where it runs as a whole.
      if (layout === 'whole' && axis === 0) return 1;
      const at = layout === 'batched' ? axis + 1 : axis;
      throw new EspalierError(
        'UNSUPPORTED',
        `readOnnx: input ${show(input.name)}: dimension ${at} is open (${show(input.dimensions?.[at] ?? 'nothing said')}); a network has one size: fix it with { shapes: { ${show(input.name)}: [${dimensions.map((known, i) => known ?? (i === 0 ? "'batch'" : i === at ? '224' : '?')).join(', ')}] } }`,
        { name: input.name },
      );
    });
    return { kind: 'value', name: input.name, shape, type: 'float' };
  };
  const inputs = proper.flatMap((input): Value[] => {
    try {
      return [valueOf(input)];
    } catch (error) {
      if (!(error instanceof EspalierError) || error.code !== 'UNSUPPORTED' || isAcrossBatch(error)) throw error;
      refuse(input.name, error);
      return [];
    }
  });
  sizes.delete(undefined);
  if (sizes.size > 1) throw acrossBatchError(`readOnnx: inputs have batches of ${[...sizes].join(' and ')}`);
  return { inputs, batch: [...sizes][0] };
}

/** Dimensions of a network input; undefined: open. @throws {EspalierError} UNSUPPORTED for what is no tensor of floats */
function dimensionsOf(
  { name, code, other, dimensions }: ValueProto,
  fixed: readonly (number | undefined)[] | undefined,
): (number | undefined)[] {
  const refuse = (text: string): EspalierError =>
    new EspalierError('UNSUPPORTED', `readOnnx: input ${show(name)}: ${text}`, { name });
  if (other !== undefined) throw refuse(`${other} values; expected a tensor of floats`);
  if (code !== undefined && code !== 0) {
    const element = elementOf(code);
    if (element !== 'float' && element !== 'double')
      throw refuse(
        `elements of type ${elementWord(code)}; expected floats: a model that takes whole numbers must be exported with its conversion to floats left out`,
      );
  }
  if (fixed && dimensions && fixed.length !== dimensions.length)
    throw refuse(`shapes: expected ${dimensions.length} sides, got ${fixed.length}`);
  const found = fixed ?? dimensions;
  if (!found)
    throw refuse(`its shape is not said; give it with { shapes: { ${show(name)}: [undefined, 3, 224, 224] } }`);
  return found.map((side, i) => {
    const known = side ?? dimensions?.[i];
    return typeof known === 'number' ? known : undefined;
  });
}

/** What is known while nodes are gone through. */
interface Constants {
  readonly conversion: Conversion;
  readonly known: Map<string, Known>;
  readonly draft: Draft;
  readonly encoded: EncodedWeights;
  /** How many nodes will still read a value, or yield it as an output. */
  readonly uses: Map<string, number>;
}

interface State extends Constants {
  readonly layout: Layout;
  readonly batch: number | undefined;
}

function usesOf(graph: GraphProto, nodes: readonly NodeProto[]): Map<string, number> {
  const uses = new Map<string, number>(graph.outputs.map(({ name }) => [name, 1]));
  for (const { inputs } of nodes) for (const name of inputs) uses.set(name, (uses.get(name) ?? 0) + 1);
  return uses;
}

const hasMemory = (constant: Constant): ArrayBufferView[] => constant.alternatives.flatMap(arraysOf);

function learn({ known, draft }: Constants, constant: Constant): Constant {
  hold(draft.room, hasMemory(constant));
  known.set(constant.name, constant);
  return constant;
}

/** Forgets constants that nothing will read any more: their memory is free for others. */
function forget({ known, draft, uses }: Constants, names: readonly string[]): void {
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
function compose(proto: NodeProto, composition: Composition, state: State, composed: Composed): void {
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
function convertNode(proto: NodeProto, state: State): void {
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

/** The network of the values that outputs depend on; outputs are called as the model calls them. */
function finish(graph: GraphProto, draft: Draft, known: ReadonlyMap<string, Known>, inputs: readonly Value[]): Network {
  const taken = new Set(inputs.map(({ name }) => name));
  const renamed = new Map<string, string>();
  const outputs: string[] = [];
  const constant = graph.outputs.map(({ name }) => name).filter((name) => known.get(name)?.kind !== 'value');
  if (constant.length > 0) {
    const text = `readOnnx: outputs of the model that do not depend on its input: ${showAll(constant)}; export it without them`;
    throw new EspalierError('UNSUPPORTED', text, { name: constant[0] });
  }
  for (const { name } of graph.outputs) {
    let value = known.get(name) as Value;
    if (value.name !== name && (taken.has(value.name) || renamed.has(value.name))) {
      // One value under two names: a copy, which costs nothing to run.
      [value] = addNode(draft, freshName(draft, `${name}.copy`), 'reshape', { shape: value.shape }, [value], {});
    }
    if (value.name !== name) renamed.set(value.name, name);
    else taken.add(name);
    outputs.push(name);
  }
  const nodes = draft.nodes.map((node): Node => {
    const made = outputsOf(node).map((name) => renamed.get(name) ?? name);
    // It was called as the output that it yields, and got a number since that name was taken: by itself.
    const isOutput = made.length === 1 && renamed.has(node.name) && node.name.replace(/_\d+$/, '') === made[0];
    const name = isOutput ? made[0] : node.name;
    const isPlain = made.length === 1 && made[0] === name;
    const { outputs: _, ...rest } = node;
    return {
      ...rest,
      name,
      inputs: node.inputs.map((name) => renamed.get(name) ?? name),
      ...(isPlain ? {} : { outputs: made }),
    };
  });
  return withoutUnused({
    name: graph.name || 'model',
    inputs: inputs.map(({ name, shape }) => ({ name, shape })),
    nodes,
    outputs,
    parameters: draft.parameters,
  });
}
