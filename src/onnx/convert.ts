/**
 * From the graph of a model to a network: nodes in their order, each either computed at once, where all that it reads is
 * known, or built by its operator's definition (nodes.ts). What is not supported is collected and refused in one error.
 */
import { EspalierError, show } from '../base/errors.ts';
import { namesOf } from '../graph/names.ts';
import type { Network } from '../graph/network.ts';
import { isAcrossBatch, newDraft } from './building.ts';
import type { Draft, Known, Layout, Value } from './building.ts';
import type { Composed } from './composing.ts';
import { encodedWeights } from './encoded.ts';
import type { EncodedWeights } from './encoded.ts';
import { finish } from './finish.ts';
import { networkInputs } from './inputs.ts';
import type { GraphProto, NodeProto } from './model.ts';
import { kindOf, labelOf, onnxError } from './node.ts';
import { compose, convertNode, forget } from './nodes.ts';
import type { Constants, Conversion, State } from './nodes.ts';
import { clear } from './room.ts';

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

function usesOf(graph: GraphProto, nodes: readonly NodeProto[]): Map<string, number> {
  const uses = new Map<string, number>(graph.outputs.map(({ name }) => [name, 1]));
  for (const { inputs } of nodes) for (const name of inputs) uses.set(name, (uses.get(name) ?? 0) + 1);
  return uses;
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
