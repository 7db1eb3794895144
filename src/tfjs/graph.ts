/** Graph models: TensorFlow's own nodes as JSON, what they are called with, and what stands around convolutions. */
import { EspalierError, show } from '../base/errors.ts';
import type { Json } from '../container/json.ts';
import type { NodeProto, ValueProto } from '../onnx/model.ts';
import type { OnnxTensor } from '../onnx/tensor.ts';
import { toIntegers } from '../onnx/tensor.ts';
import { isIntegers, isObject } from './json.ts';
import type { JsonObject } from './json.ts';
import { OPERATIONS, operationRefusal } from './operations.ts';
import type { Operation } from './operations.ts';
import { settingsOf } from './settings.ts';
import type { Topology } from './topology.ts';

/** A node as the file has it. */
interface GraphNode {
  readonly name: string;
  readonly kind: string;
  /** `name`, or `name:i` of one that yields several; control inputs left out. */
  readonly inputs: readonly string[];
  readonly attributes: JsonObject;
}

const MOST_INPUTS = 65536;

/**
 * The graph of a graph model.
 * @param weights - constants by the names of their nodes
 * @throws {EspalierError} FIELD, DUPLICATE, GRAPH
 */
export function readGraph(
  who: string,
  topology: JsonObject,
  signature: Json | undefined,
  weights: { has: (name: string) => boolean; tensor: (name: string) => OnnxTensor },
): Topology & { readonly notes: readonly string[] } {
  const notes: string[] = [];
  const nodes = nodesOf(who, topology);
  const byName = new Map(nodes.map((node) => [node.name, node]));
  const missing = nodes.find(({ kind, name }) => kind === 'Const' && !weights.has(name));
  if (missing)
    throw new EspalierError('MISSING', `${who}: the constant ${show(missing.name)} is not in the manifest`, {
      name: missing.name,
    });
  const signed = signatureOf(who, signature);
  const placeholders = nodes.filter(({ kind }) => kind === 'Placeholder' || kind === 'PlaceholderWithDefault');
  const inputs = placeholders.map((node) => inputOf(node, signed?.inputs.get(node.name), notes));
  const read = new Set(nodes.flatMap((node) => node.inputs.map((name) => name.replace(/:\d+$/, ''))));
  const outputs =
    signed?.outputs ?? nodes.filter(({ name, kind }) => !read.has(name) && kind !== 'Const').map(({ name }) => name);
  const around = aroundConvolutions(byName, nodes, weights);
  const operations = new Map<string, GraphNode>();
  const protos = nodes
    .filter(
      ({ kind }) => kind !== 'Const' && kind !== 'NoOp' && kind !== 'Placeholder' && kind !== 'PlaceholderWithDefault',
    )
    .map((node): NodeProto => {
      operations.set(node.name, node);
      const skipped = around.get(node.name);
      return {
        name: node.name,
        operator: node.kind,
        domain: 'tensorflow',
        inputs: skipped?.inputs ?? node.inputs,
        outputs: outputsOf(node, nodes),
        attributes: new Map(),
        at: 0,
      };
    });
  return {
    name: 'model',
    nodes: sorted(protos),
    inputs,
    outputs: outputs.map((name) => ({ name })),
    notes,
    compositionOf(proto) {
      const node = operations.get(proto.name);
      if (!node) return undefined;
      return (graph) => {
        const skipped = around.get(node.name);
        const definition = skipped?.isIdentity ? OPERATIONS.get('Identity') : OPERATIONS.get(node.kind);
        if (!definition) return graph.fail('UNSUPPORTED', operationRefusal(node.kind));
        const settings = settingsOf(plainAttributes(node.attributes), (code, text) => graph.fail(code, text));
        const operation: Operation = { settings, inputs: proto.inputs, around: skipped?.around };
        const made = definition(graph, operation);
        const values = typeof made === 'string' ? [made] : made;
        proto.outputs.forEach((output, i) => {
          const value = values[i];
          if (value !== undefined) graph.yields(i, value);
          else graph.fail('UNSUPPORTED', `its output ${show(output)} is not supported`);
        });
      };
    },
  };
}

const fieldError = (who: string, name: string, expected: string): EspalierError =>
  new EspalierError('FIELD', `${who}: ${name}: expected ${expected}`, { name });

function nodesOf(who: string, topology: JsonObject): GraphNode[] {
  const listed = topology.get('node');
  if (!Array.isArray(listed)) throw fieldError(who, 'modelTopology.node', 'a list');
  const names = new Set<string>();
  return (listed as readonly Json[]).map((json, i): GraphNode => {
    const where = `modelTopology.node[${i}]`;
    if (!isObject(json)) throw fieldError(who, where, 'an object { name, op }');
    const [name, kind, inputs, attributes] = [
      json.get('name'),
      json.get('op'),
      json.get('input') ?? [],
      json.get('attr'),
    ];
    if (typeof name !== 'string' || name === '') throw fieldError(who, `${where}.name`, 'a text');
    if (typeof kind !== 'string') throw fieldError(who, `${where}.op`, 'a text');
    if (!Array.isArray(inputs) || !inputs.every((one) => typeof one === 'string') || inputs.length > MOST_INPUTS)
      throw fieldError(who, `${where}.input`, 'a list of names');
    if (names.has(name)) throw new EspalierError('DUPLICATE', `${who}: two nodes are called ${show(name)}`, { name });
    names.add(name);
    return {
      name,
      kind,
      inputs: (inputs as readonly string[]).filter((one) => !one.startsWith('^')).map((one) => one.replace(/:0$/, '')),
      attributes: isObject(attributes) ? attributes : new Map<string, Json>(),
    };
  });
}

/** Values of a node that are read: `name`, `name:1`, ... */
function outputsOf({ name, attributes, kind }: GraphNode, nodes: readonly GraphNode[]): string[] {
  const several = SEVERAL.get(kind);
  if (several === undefined) return [name];
  const stated = plainValue(attributes.get(several.attribute));
  const count =
    typeof stated === 'number' && stated >= 1 && stated <= MOST_INPUTS
      ? stated
      : isTypes(stated)
        ? stated.length
        : highest(name, nodes) + 1;
  return Array.from({ length: count }, (_, i) => (i === 0 ? name : `${name}:${i}`));
}

const isTypes = (value: Json | undefined): value is readonly string[] =>
  Array.isArray(value) && value.every((one) => typeof one === 'string');

/** Operations of several outputs, and the attribute that counts them. */
const SEVERAL: ReadonlyMap<string, { readonly attribute: string }> = /* @__PURE__ */ new Map([
  ['Split', { attribute: 'num_split' }],
  ['SplitV', { attribute: 'num_split' }],
  ['Unpack', { attribute: 'num' }],
  ['IdentityN', { attribute: 'T' }],
]);

/** The largest number that a value of the node is read by. */
function highest(name: string, nodes: readonly GraphNode[]): number {
  let most = 0;
  for (const { inputs } of nodes) {
    for (const one of inputs) {
      const match = one.startsWith(`${name}:`) ? /^\d{1,5}$/.exec(one.slice(name.length + 1)) : null;
      if (match) most = Math.max(most, Number(match[0]));
    }
  }
  return most;
}

// Attributes

/** What an attribute holds, whatever of its type it is wrapped in. */
function plainValue(json: Json | undefined): Json | undefined {
  if (!isObject(json)) return undefined;
  for (const [key, value] of json) {
    if (key === 'i' || key === 'f') return typeof value === 'string' ? numberOf(value) : value;
    if (key === 's') return typeof value === 'string' ? fromBase64(value) : value;
    if (key === 'b' || key === 'type') return value;
    if (key === 'shape') return shapeOf(value);
    if (key === 'list' && isObject(value)) return listOf(value);
  }
  return undefined;
}

const numberOf = (text: string): Json =>
  /^-?[\d.eE+-]{1,32}$/.test(text) && Number.isFinite(Number(text)) ? Number(text) : text;

function listOf(json: JsonObject): Json {
  for (const [key, value] of json)
    if (Array.isArray(value)) return (value as readonly Json[]).map((one) => plainValue(new Map([[key, one]])) ?? null);
  return [];
}

/** Texts are base64 in JSON of protocol buffers. Some writers leave them plain. */
function fromBase64(text: string): string {
  if (!/^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(text)) return text;
  const decoded = atob(text);
  return /^[\x20-\x7e]*$/.test(decoded) ? decoded : text;
}

function shapeOf(json: Json | undefined): Json {
  const dimensions = isObject(json) ? json.get('dim') : undefined;
  if (!Array.isArray(dimensions)) return isObject(json) && json.get('unknownRank') !== true ? [] : null;
  return (dimensions as readonly Json[]).map((one) => {
    const size = isObject(one) ? one.get('size') : undefined;
    const number = typeof size === 'string' ? numberOf(size) : (size ?? -1);
    return typeof number === 'number' ? number : -1;
  });
}

const plainAttributes = (attributes: JsonObject): JsonObject =>
  new Map([...attributes].map(([name, value]) => [name, plainValue(value) ?? null]));

// Inputs and outputs

interface Signature {
  /** Shapes by the node. */
  readonly inputs: ReadonlyMap<string, JsonObject>;
  readonly outputs: readonly string[] | undefined;
}

function signatureOf(who: string, json: Json | undefined): Signature | undefined {
  if (!isObject(json)) return undefined;
  const entries = (field: string): JsonObject[] => {
    const value = json.get(field);
    if (value === undefined || value === null) return [];
    if (!isObject(value) || ![...value.values()].every(isObject))
      throw fieldError(who, `signature.${field}`, 'objects by name');
    return [...value.values()] as JsonObject[];
  };
  const nameOf = (entry: JsonObject): string => {
    const name = entry.get('name');
    if (typeof name !== 'string') throw fieldError(who, 'signature: name', 'a text');
    return name.replace(/:0$/, '');
  };
  const outputs = entries('outputs').map(nameOf);
  return {
    inputs: new Map(entries('inputs').map((entry) => [nameOf(entry), entry])),
    outputs: outputs.length > 0 ? [...new Set(outputs)] : undefined,
  };
}

/** An input of the network. Whole numbers are given as floats. */
function inputOf(node: GraphNode, signed: JsonObject | undefined, notes: string[]): ValueProto {
  const attributes = plainAttributes(node.attributes);
  const type = attributes.get('dtype');
  const own = attributes.get('shape');
  const said = signed ? shapeOf(signed.get('tensorShape')) : undefined;
  const sides = isIntegers(own) && own.length > 0 ? own : said;
  if (type !== undefined && type !== null && type !== 'DT_FLOAT')
    notes.push(
      `input ${show(node.name)}: its elements are ${show(type)} in the model; here they are given as floats of the same value`,
    );
  return {
    name: node.name,
    code: 1,
    ...(isIntegers(sides) && { dimensions: sides.map((side) => (side > 0 ? side : undefined)) }),
  };
}

// Dilation by batches of positions

interface Around {
  readonly inputs?: readonly string[];
  readonly isIdentity?: boolean;
  readonly around?: Operation['around'];
}

const CONVOLUTIONS = new Set([
  'Conv2D',
  '_FusedConv2D',
  'DepthwiseConv2dNative',
  'FusedDepthwiseConv2dNative',
  'DepthwiseConv2d',
]);

/**
 * SpaceToBatchND, a convolution, BatchToSpaceND: a convolution with dilation, as older TensorFlow writes it. The
 * convolution reads what the first of them reads, and the last hands on.
 */
function aroundConvolutions(
  byName: ReadonlyMap<string, GraphNode>,
  nodes: readonly GraphNode[],
  weights: { has: (name: string) => boolean; tensor: (name: string) => OnnxTensor },
): Map<string, Around> {
  const found = new Map<string, Around>();
  const numbers = (name: string | undefined): number[] | undefined =>
    name !== undefined && weights.has(name) ? toIntegers(name, weights.tensor(name)) : undefined;
  const readers = new Map<string, number>();
  for (const { inputs } of nodes) for (const name of inputs) readers.set(name, (readers.get(name) ?? 0) + 1);
  for (const last of nodes) {
    if (last.kind !== 'BatchToSpaceND') continue;
    const conv = byName.get(last.inputs[0]);
    const first = conv && byName.get(conv.inputs[0]);
    if (!conv || !CONVOLUTIONS.has(conv.kind) || first?.kind !== 'SpaceToBatchND') continue;
    if (readers.get(conv.name) !== 1 || readers.get(first.name) !== 1) continue;
    const [block, pads] = [numbers(first.inputs[1]), numbers(first.inputs[2])];
    const [same, crops] = [numbers(last.inputs[1]), numbers(last.inputs[2])];
    if (block?.length !== 2 || pads?.length !== 4 || crops?.length !== 4 || same?.join() !== block.join()) continue;
    const byAxis = ([top, bottom, left, right]: number[]): number[] => [top, left, bottom, right];
    const around = { dilations: block, padding: byAxis(pads), crops: byAxis(crops) };
    found.set(first.name, { isIdentity: true, inputs: first.inputs.slice(0, 1) });
    found.set(conv.name, { around });
    found.set(last.name, { isIdentity: true, inputs: last.inputs.slice(0, 1) });
  }
  return found;
}

// Order

/** Each behind those that it reads; in a circle nodes stay as they are, and are refused later. */
function sorted(nodes: readonly NodeProto[]): NodeProto[] {
  const makers = new Map<string, number>();
  nodes.forEach((node, i) => {
    for (const name of node.outputs) makers.set(name, i);
  });
  const open = nodes.map(() => 0);
  const readers: number[][] = nodes.map(() => []);
  nodes.forEach((node, i) => {
    for (const name of node.inputs) {
      const maker = makers.get(name);
      if (maker === undefined) continue;
      open[i]++;
      readers[maker].push(i);
    }
  });
  const ready = nodes.flatMap((_, i) => (open[i] === 0 ? [i] : []));
  const order: number[] = [];
  for (let at = 0; at < ready.length; at++) {
    order.push(ready[at]);
    for (const reader of readers[ready[at]]) if (--open[reader] === 0) ready.push(reader);
  }
  const placed = new Set(order);
  return [...order, ...nodes.flatMap((_, i) => (placed.has(i) ? [] : [i]))].map((i) => nodes[i]);
}
